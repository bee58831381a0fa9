/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file frame.h
 * The header of every decree datagram, right after UDP. Little-endian, 48 bytes:
 *
 *     0  u16  magic 0xdec4            16  u64  cluster_id
 *     2  u8   version                 24  u64  counter, from 1 (hello: 0)
 *     3  u8   kind                    32  u8[16] tag over bytes 0 .. 31 and the payload
 *     4  u16  source node (0: client) 48  payload
 *     6  u16  target node (0: client)
 *     8  u8   source shard
 *     9  u8   target shard
 *    10  u16  payload bytes
 *    12  u32  client: place in the node's table of clients, 0 between nodes
 *
 * The version of a HELLO is 1, and what it looks like does not change any more: it says which
 * versions its sender speaks. That of DATA is the session's, the highest that both ends speak
 * (docs/wire-format.md).
 *
 * A frame is valid if and only if magic, version and kind are known, the datagram is exactly 48 +
 * payload bytes long, at most one of the two nodes is 0, and its tag is right. Pure.
 */
#ifndef DECREE_NET_FRAME_H
#define DECREE_NET_FRAME_H

#include "net/drop.h"

#include <stdint.h>

#define FRAME_MAGIC         0xdec4
#define FRAME_HELLO_VERSION 1
#define FRAME_SIGNED_BYTES  32 /* what the tag covers of the header: everything before it */
#define FRAME_TAG_BYTES     16
#define FRAME_HEADER_BYTES  48

enum frame_kind {
	FRAME_DATA = 1,
	FRAME_HELLO = 2,
};

struct frame_header {
	enum frame_kind kind;
	uint8_t version; /* DATA: of the session; HELLO: FRAME_HELLO_VERSION, whatever stands here */
	uint16_t source_node;
	uint16_t target_node;
	uint8_t source_shard;
	uint8_t target_shard;
	uint16_t payload_bytes;
	uint32_t client;
	uint64_t cluster_id;
	uint64_t counter;
};

/** Write everything but the tag. @param ret_bytes  [FRAME_HEADER_BYTES] */
void frame_encode(const struct frame_header *header, uint8_t *ret_bytes);

/** @param bytes  the datagram, header and payload
 * @retval NET_DROP_NONE  the header is well-formed; nothing in it is believed yet */
enum net_drop frame_decode(const uint8_t *bytes, uint32_t count, struct frame_header *ret_header);

#endif
