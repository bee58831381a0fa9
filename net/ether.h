/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file ether.h
 * Ethernet, IPv4 and UDP around a datagram, and ARP beside it; on bytes, without a device. Pure.
 *
 *     0  Ethernet: target MAC, source MAC, 0x0800        14 bytes
 *    14  IPv4: no options, do not fragment, TTL 64       20 bytes
 *    34  UDP                                              8 bytes
 *    42  the datagram
 *
 * Addresses and ports are in host order in structs. Options in a received IPv4 header are skipped;
 * fragments are dropped.
 */
#ifndef DECREE_NET_ETHER_H
#define DECREE_NET_ETHER_H

#include "net/drop.h"

#include <stdbool.h>
#include <stdint.h>

#define ETHER_MAC_BYTES 6
#define ETHER_UDP_BYTES 42 /* everything before the datagram */
#define ETHER_ARP_BYTES 42
#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_ARP  0x0806

#define ETHER_PROTOCOL_ICMP 1
#define ETHER_PROTOCOL_UDP  17

struct ether_address {
	uint8_t mac[ETHER_MAC_BYTES];
	uint32_t ipv4;
	uint16_t udp_port;
};

struct ether_datagram {
	struct ether_address source;
	struct ether_address target;
	const uint8_t *bytes; /* into the frame */
	uint32_t count;
};

struct ether_ip {
	uint8_t protocol;
	uint32_t source_ipv4;
	uint32_t target_ipv4;
	uint32_t header_bytes;
	uint32_t packet_bytes; /* with the header */
};

struct ether_arp {
	bool is_request;
	uint8_t sender_mac[ETHER_MAC_BYTES];
	uint32_t sender_ipv4;
	uint8_t target_mac[ETHER_MAC_BYTES];
	uint32_t target_ipv4;
};

/** @return the EtherType, 0 if the frame is too short to have one */
uint16_t ether_type(const uint8_t *frame, uint32_t frame_bytes);

/** The IPv4 header of a frame, checked: its length, its checksum, no fragment, all of the packet
 * there. */
enum net_drop ether_decode_ip(const uint8_t *frame, uint32_t frame_bytes, struct ether_ip *ret_ip);

/** Write Ethernet's and IPv4's headers, 34 bytes. */
void ether_encode_ip(const struct ether_address *source, const struct ether_address *target,
	uint8_t protocol, uint32_t payload_bytes, uint8_t *frame);

/** Take an IPv4/UDP frame apart.
 * @param has_checksum_trust  the port, or a tag further in, vouches for the payload: the UDP
 *                            checksum
 *        is not computed. The IPv4 header checksum always is.
 * @retval NET_DROP_NONE, or what is wrong with it */
enum net_drop ether_decode_udp(const uint8_t *frame, uint32_t frame_bytes, bool has_checksum_trust,
	struct ether_datagram *ret_datagram);

/** Write the headers around a datagram that is in place at frame + ETHER_UDP_BYTES.
 * @param is_udp_offloaded  the port completes the UDP checksum: write the pseudo header's only */
void ether_encode_udp(const struct ether_address *source, const struct ether_address *target,
	uint32_t datagram_bytes, bool is_udp_offloaded, uint8_t *frame);

enum net_drop
ether_decode_arp(const uint8_t *frame, uint32_t frame_bytes, struct ether_arp *ret_arp);

/** @param ethernet_target  [6] @param ret_frame  [ETHER_ARP_BYTES] */
void
ether_encode_arp(const struct ether_arp *arp, const uint8_t *ethernet_target, uint8_t *ret_frame);

/** The Internet checksum's sum, unfolded; @p sum chains calls whose counts are even. */
uint64_t ether_sum(const uint8_t *bytes, uint32_t count, uint64_t sum);

/** Fold and complement. The result is in memory order: store it as it is. */
uint16_t ether_fold(uint64_t sum);

#endif
