/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of a cut: header, sessions, chunks of the state machine, trailer, as snapshot_format.c
 * lays them out. In each turn it hands the store what there is room for, at most a chunk's worth.
 */
#include "engine/runtime/shard_private.h"

#define BYTES_PER_TURN 65536u

static void
part_put(struct snapshot_cut *cut, const uint8_t *head, uint32_t head_bytes, const uint8_t *rest,
	uint32_t rest_bytes)
{
	cut->parts[0] = head;
	cut->part_bytes[0] = head_bytes;
	cut->parts[1] = rest;
	cut->part_bytes[1] = rest_bytes;
}

static void
chunk_put(struct snapshot_cut *cut, const uint8_t *payload, uint32_t bytes)
{
	snapshot_chunk_encode(cut->kind, cut->index++, payload, bytes, cut->piece);
	cut->chunk_count += cut->kind != SNAPSHOT_END;
	part_put(cut, cut->piece, SNAPSHOT_CHUNK_HEADER_BYTES, payload, bytes);
}

static bool
next_sessions(struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;
	uint8_t *payload = cut->piece + SNAPSHOT_CHUNK_HEADER_BYTES;
	uint32_t bytes = eng_sessions_cut_next(g->sessions, payload);

	if (bytes == 0) {
		eng_sessions_cut_end(g->sessions);
		cut->kind = SNAPSHOT_MACHINE;
		cut->index = 0;
		return false;
	}
	chunk_put(cut, payload, bytes);
	return true;
}

static bool
next_of_machine(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;
	struct decree_chunk chunk = { .index = cut->index };
	int rc = s->config.machine_ops->snapshot_next(g->machine, &chunk);

	if (rc < 0 || chunk.count > DECREE_CHUNK_BYTES_MAX) {
		shard_note(s, g, NOTE_SNAPSHOT_FAILED,
			"group %u: the state machine could not write its snapshot of slot %llu: %s",
			g->config.group, (unsigned long long)cut->facts.slot.n,
			rc < 0 ? strerror(-rc) : "its chunk is too large");
		cut_give_up(s, g);
		return true;
	}
	if (rc == 0) {
		cut->kind = SNAPSHOT_END;
		cut->index = 0;
		return false;
	}
	chunk_put(cut, chunk.bytes, (uint32_t)chunk.count);
	return true;
}

static void
next_end(struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;
	uint8_t *payload = cut->piece + SNAPSHOT_CHUNK_HEADER_BYTES;

	snapshot_end_encode(cut->chunk_count, digest_stream_get(&cut->all), payload);
	chunk_put(cut, payload, SNAPSHOT_END_BYTES);
}

static void
next_header(struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;
	uint32_t bytes = snapshot_header_encode(
		&cut->facts, g->config.cluster_id, g->config.group, cut->piece);

	part_put(cut, cut->piece, bytes, NULL, 0);
	cut->kind = SNAPSHOT_SESSIONS;
}

/* @return false if there is nothing left to write */
static bool
next_piece(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;

	if (cut->kind == 0) {
		next_header(g);
		return true;
	}
	if (cut->kind == SNAPSHOT_SESSIONS && next_sessions(g))
		return true;
	if (cut->kind == SNAPSHOT_MACHINE && next_of_machine(s, g))
		return true;
	if (cut->kind == SNAPSHOT_END && cut->index == 0) {
		next_end(g);
		return true;
	}
	return false;
}

static uint32_t
hand_over(struct shard *s, struct shard_group *g, uint32_t part, uint32_t room)
{
	struct snapshot_cut *cut = &g->snap.cut;
	uint32_t count = min_u32(cut->part_bytes[part], room);

	if (count == 0)
		return 0;
	s->config.snap_ops->write(s->config.snap_store, g->config.group, cut->parts[part], count);
	digest_stream_add(&cut->all, cut->parts[part], count);
	cut->parts[part] += count;
	cut->part_bytes[part] -= count;
	cut->bytes += count;
	s->counters.snapshot_bytes += count;
	return count;
}

void
cut_write(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;
	uint32_t budget = BYTES_PER_TURN;

	while (cut->state == CUT_WRITING) {
		uint32_t room = min_u32(
			budget, s->config.snap_ops->room(s->config.snap_store, g->config.group));
		uint32_t taken = hand_over(s, g, 0, room);

		taken += hand_over(s, g, 1, room - taken);
		budget -= taken;
		s->did_work = s->did_work || taken > 0;
		if (cut->part_bytes[0] + cut->part_bytes[1] > 0 || budget == 0)
			return; /* the store, or the turn, has had enough */
		if (next_piece(s, g))
			continue;
		s->config.machine_ops->snapshot_end(g->machine);
		s->config.snap_ops->commit(
			s->config.snap_store, g->config.group, digest_stream_get(&cut->all));
		cut->state = CUT_COMMITTING;
	}
}
