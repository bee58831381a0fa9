/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small messages wait until the end of the turn for others to the same node, then leave in one
 * frame. A message that waits alone leaves as it is. A large one does not wait, and those before it
 * go first, so the order between two nodes stays what the core made it.
 */
#include "engine/runtime/bundle.h"

#include "base/bytes.h"
#include "engine/runtime/shard_private.h"

/* Room for any small message: the longest, an Accepted, has 96 bytes. */
#define MESSAGE_ROOM 256u

/* ---- reading ---- */

bool
bundle_next(const uint8_t *payload, uint32_t bytes, uint32_t *cursor, const uint8_t **ret_message,
	uint32_t *ret_message_bytes)
{
	uint32_t at = *cursor == 0 ? BUNDLE_HEADER_BYTES : *cursor;

	if (at == bytes)
		return false;
	*ret_message_bytes = load_u16(payload + at);
	*ret_message = payload + at + BUNDLE_MESSAGE_BYTES;
	*cursor = at + BUNDLE_MESSAGE_BYTES + *ret_message_bytes;
	return true;
}

bool
bundle_is_valid(const uint8_t *payload, uint32_t bytes)
{
	uint32_t at = BUNDLE_HEADER_BYTES;
	uint32_t count = 0;

	if (bytes < BUNDLE_HEADER_BYTES || payload[0] != BUNDLE_TYPE || payload[1] != 0)
		return false;
	while (bytes - at >= BUNDLE_MESSAGE_BYTES) {
		uint32_t message_bytes = load_u16(payload + at);

		at += BUNDLE_MESSAGE_BYTES;
		if (message_bytes == 0 || message_bytes > bytes - at)
			return false;
		at += message_bytes;
		count++;
	}
	return at == bytes && count >= 2 && count == load_u16(payload + 2);
}

/* ---- sending ---- */

static bool
is_small(const struct eng_msg *m)
{
	switch (m->type) {
	case ENG_MSG_PROMISE:
	case ENG_MSG_ACCEPT:
	case ENG_MSG_QUERY_REPLY:
	case ENG_MSG_SNAPSHOT_CHUNK: return false;
	default: return true;
	}
}

static struct bundle *
bundle_find(struct shard *s, uint16_t node_id)
{
	for (uint32_t i = 0; i < s->bundle_count; i++)
		if (s->bundles[i].frame.peer.node_id == node_id)
			return &s->bundles[i];
	return NULL;
}

static void
bundle_close(struct shard *s, struct bundle *b)
{
	uint8_t *payload = b->frame.payload;

	b->frame.payload_bytes = b->bytes;
	if (b->count == 1) {
		b->frame.payload_bytes -= BUNDLE_HEADER_BYTES + BUNDLE_MESSAGE_BYTES;
		memmove(payload, payload + BUNDLE_HEADER_BYTES + BUNDLE_MESSAGE_BYTES,
			b->frame.payload_bytes);
	} else {
		payload[0] = BUNDLE_TYPE;
		payload[1] = 0;
		store_u16(payload + 2, b->count);
	}
	out_push(s, &b->frame);
	*b = s->bundles[--s->bundle_count];
}

static struct bundle *
bundle_open(struct shard *s, uint16_t node_id)
{
	struct bundle *b;

	if (s->bundle_count == BUNDLE_COUNT_MAX)
		bundle_close(s, &s->bundles[0]);
	b = &s->bundles[s->bundle_count];
	if (!out_frame(s, &b->frame))
		return NULL;
	s->bundle_count++;
	b->frame.peer = (struct net_endpoint){ .node_id = node_id };
	b->count = 0;
	b->bytes = BUNDLE_HEADER_BYTES;
	return b;
}

bool
bundle_take(struct shard *s, const struct shard_group *g, const struct eng_msg *m)
{
	struct bundle *b = bundle_find(s, m->dst);

	if (b != NULL && (!is_small(m) || s->config.frame_bytes - b->bytes < MESSAGE_ROOM)) {
		bundle_close(s, b);
		b = NULL;
	}
	if (!is_small(m))
		return false;
	if (b == NULL)
		b = bundle_open(s, m->dst);
	if (b == NULL)
		return true; /* no frame: the message is lost */
	uint8_t *at = b->frame.payload + b->bytes;
	uint32_t bytes = eng_msg_encode(
		g->replica, m, at + BUNDLE_MESSAGE_BYTES, MESSAGE_ROOM - BUNDLE_MESSAGE_BYTES);
	store_u16(at, (uint16_t)bytes);
	b->bytes += BUNDLE_MESSAGE_BYTES + bytes;
	b->count++;
	s->counters.messages_out++;
	return true;
}

void
bundles_flush(struct shard *s)
{
	while (s->bundle_count > 0)
		bundle_close(s, &s->bundles[0]);
}
