/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving the snapshot that this node stands on to peers (protocol 9.4): an offer says which it is,
 * a read of the store becomes a burst of chunks. Nothing is remembered of a peer but the read on
 * its way; it asks again for what it misses, or asks another node.
 */
#include "engine/runtime/transfer.h"

static void
offer_send(struct shard *s, struct shard_group *g, uint16_t to)
{
	const struct snapshot_kept *kept = &g->snap.kept;
	struct eng_msg m = transfer_message(g, ENG_MSG_SNAPSHOT_OFFER, to);

	m.snapshot_offer.slot = kept->slot;
	m.snapshot_offer.bytes = kept->bytes;
	m.snapshot_offer.anchor = kept->anchor;
	m.snapshot_offer.digest = kept->digest;
	transfer_send(s, g, &m);
}

void
transfer_on_fetch(struct shard *s, struct shard_group *g, const struct eng_msg *m)
{
	const struct snapshot_kept *kept = &g->snap.kept;
	uint32_t count = min_u32(m->snapshot_fetch.count, transfer_burst_bytes(s));
	uint32_t i = 0;

	if (m->snapshot_fetch.slot.n == 0 || m->snapshot_fetch.slot.n != kept->slot.n) {
		offer_send(s, g, m->src);
		return;
	}
	g->snap.served_ns = s->now_ns;
	while (i < SNAPSHOT_SERVE_COUNT && s->serves[i].group != NULL)
		i++;
	if (i == SNAPSHOT_SERVE_COUNT || count == 0 ||
		m->snapshot_fetch.offset_bytes >= kept->bytes)
		return; /* it asks again */
	if (s->config.snap_ops->read(s->config.snap_store, g->config.group, kept->slot,
		    m->snapshot_fetch.offset_bytes, count, i) != 0)
		return;
	s->serves[i] = (struct snapshot_serve){
		.group = g,
		.to = m->src,
		.slot = kept->slot,
		.offset_bytes = m->snapshot_fetch.offset_bytes,
	};
}

void
transfer_on_read(struct shard *s, struct snapshot_serve *serve, const struct snap_completion *c)
{
	uint32_t piece_max = s->config.frame_bytes - TRANSFER_CHUNK_OVERHEAD;
	struct shard_group *g = serve->group;

	serve->group = NULL;
	if (c->rc != 0)
		return; /* gone, or damaged here: the peer asks another node */
	for (uint32_t at = 0; at < c->count; at += piece_max) {
		struct eng_msg m = transfer_message(g, ENG_MSG_SNAPSHOT_CHUNK, serve->to);

		m.snapshot_chunk.slot = serve->slot;
		m.snapshot_chunk.offset_bytes = serve->offset_bytes + at;
		m.snapshot_chunk.value = c->data + at;
		m.snapshot_chunk.bytes = min_u32(piece_max, c->count - at);
		m.snapshot_chunk.digest =
			base_digest(m.snapshot_chunk.value, m.snapshot_chunk.bytes);
		transfer_send(s, g, &m);
	}
}
