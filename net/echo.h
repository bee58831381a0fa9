/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file echo.h
 * ICMP echo, which every `ping` speaks: nodes answer it, and ask their peers whether a frame of
 * full size gets through; on whole frames, without a device. Pure.
 *
 *     0  Ethernet, IPv4          34 bytes (ether.h)
 *    34  ICMP: type, 0, checksum, id, sequence number; all big-endian
 *    42  what comes back unchanged; of ours the first 8 bytes are a nonce
 */
#ifndef DECREE_NET_ECHO_H
#define DECREE_NET_ECHO_H

#include "net/ether.h"

#define ECHO_HEADER_BYTES 42 /* everything before what comes back */
#define ECHO_NONCE_BYTES  8
#define ECHO_BYTES_SMALL  84 /* of a packet without Ethernet's header: what `ping` sends */

struct echo {
	bool is_request; /* else an answer */
	uint8_t source_mac[ETHER_MAC_BYTES];
	uint32_t source_ipv4;
	uint32_t target_ipv4;
	uint32_t packet_bytes; /* without Ethernet's header */
	uint64_t nonce;        /* 0: too short for one */
};

/** Cheap: what comes back is not looked at.
 * @retval NET_DROP_NONE, or what is wrong with it; NET_DROP_FOREIGN: it is no echo */
enum net_drop echo_decode(const uint8_t *frame, uint32_t frame_bytes, struct echo *ret_echo);

/** Is the checksum right? Reads all of it. */
bool echo_is_intact(const uint8_t *frame, const struct echo *e);

/** Turn a request that was decoded into its answer, in place. @param mac  [6] of the port that
 * answers */
void echo_answer(uint8_t *frame, const uint8_t *mac);

/**
 * Write a request.
 *
 * @param packet_bytes  ECHO_BYTES_SMALL .. NET_MTU_MAX
 * @param ret_frame     [14 + packet_bytes]
 */
void echo_encode(const struct ether_address *source, const struct ether_address *target,
	uint64_t nonce, uint32_t packet_bytes, uint8_t *ret_frame);

#endif
