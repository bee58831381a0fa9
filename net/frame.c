/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include "base/assert.h"
#include "base/bytes.h"

static_assert(FRAME_SIGNED_BYTES + FRAME_TAG_BYTES == FRAME_HEADER_BYTES, "wire layout");

void
frame_encode(const struct frame_header *h, uint8_t *ret_bytes)
{
	store_u16(ret_bytes + 0, FRAME_MAGIC);
	ret_bytes[2] = h->kind == FRAME_HELLO ? FRAME_HELLO_VERSION : h->version;
	ret_bytes[3] = (uint8_t)h->kind;
	store_u16(ret_bytes + 4, h->source_node);
	store_u16(ret_bytes + 6, h->target_node);
	ret_bytes[8] = h->source_shard;
	ret_bytes[9] = h->target_shard;
	store_u16(ret_bytes + 10, h->payload_bytes);
	store_u32(ret_bytes + 12, h->client);
	store_u64(ret_bytes + 16, h->cluster_id);
	store_u64(ret_bytes + 24, h->counter);
}

enum net_drop
frame_decode(const uint8_t *bytes, uint32_t count, struct frame_header *ret_header)
{
	struct frame_header h;

	if (count < FRAME_HEADER_BYTES)
		return NET_DROP_SHORT;
	if (load_u16(bytes) != FRAME_MAGIC || bytes[2] == 0)
		return NET_DROP_FRAME_MALFORMED;
	if (bytes[3] != FRAME_DATA && (bytes[3] != FRAME_HELLO || bytes[2] != FRAME_HELLO_VERSION))
		return NET_DROP_FRAME_MALFORMED;

	h.version = bytes[2];
	h.kind = (enum frame_kind)bytes[3];
	h.source_node = load_u16(bytes + 4);
	h.target_node = load_u16(bytes + 6);
	h.source_shard = bytes[8];
	h.target_shard = bytes[9];
	h.payload_bytes = load_u16(bytes + 10);
	h.client = load_u32(bytes + 12);
	h.cluster_id = load_u64(bytes + 16);
	h.counter = load_u64(bytes + 24);

	if (h.payload_bytes != count - FRAME_HEADER_BYTES)
		return NET_DROP_FRAME_MALFORMED;
	if (h.source_node == 0 && h.target_node == 0)
		return NET_DROP_FRAME_MALFORMED;
	if (h.source_node != 0 && h.target_node != 0 && h.client != 0)
		return NET_DROP_FRAME_MALFORMED;
	*ret_header = h;
	return NET_DROP_NONE;
}
