/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pcapng.h
 * The four kinds of blocks of a pcapng file that a capture needs, as bytes
 * (draft-ietf-opsawg-pcapng): a section header, one description for each interface, then packets,
 * and statistics of each interface at the end.
 *
 * Numbers are in the machine's order, which the section header tells. Times are in nanoseconds
 * since 1970.
 *
 * Threads:  pure functions.
 * Memory:   the caller's; each function says how much.
 */
#ifndef RUNTIME_PCAPNG_H
#define RUNTIME_PCAPNG_H

#include <stdint.h>

#define PCAPNG_TEXT_BYTES_MAX   240u
#define PCAPNG_BLOCK_BYTES_MAX  640u /* of every block but a packet's */
#define PCAPNG_PACKET_BYTES_MAX 64u  /* of a packet's block beside its frame */

struct pcapng_packet {
	uint32_t interface; /* by the order of their descriptions, from 0 */
	uint64_t unix_ns;
	uint32_t kept_bytes;
	uint32_t frame_bytes;
	int is_sent; /* 0: received */
};

/** Both texts are cut at PCAPNG_TEXT_BYTES_MAX. @return bytes written */
uint32_t
pcapng_section(const char *program, const char *comment, uint8_t ret_out[PCAPNG_BLOCK_BYTES_MAX]);
uint32_t pcapng_interface(const char *name, const char *description, uint32_t snap_bytes,
	uint8_t ret_out[PCAPNG_BLOCK_BYTES_MAX]);

/** @param ret_out  [PCAPNG_PACKET_BYTES_MAX + kept_bytes] */
uint32_t pcapng_packet(const struct pcapng_packet *packet, const uint8_t *frame, uint8_t *ret_out);

/** @param lost_count  frames that there was no room for */
uint32_t pcapng_statistics(uint32_t interface, uint64_t unix_ns, uint64_t frame_count,
	uint64_t lost_count, uint8_t ret_out[PCAPNG_BLOCK_BYTES_MAX]);

#endif
