/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of sessions into a snapshot and out of it. Format and order: snapshot.h.
 *
 * A walk takes many turns, and commands execute meanwhile. `cut.row_next` is the row that the walk
 * is in; whoever changes a row at or behind it calls session_touch() first, which copies the row as
 * it was at the cut. A row that the walk has left behind may change freely.
 */
#include "engine/core/session_private.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>
#include <string.h>

#define REPLY_BYTES 16

/* ---- writing ---- */

static void
config_put(struct eng_snapshot *snapshot, const struct eng_governor *g)
{
	snapshot->configs[snapshot->config_count++] = (struct eng_snapshot_config){
		.slot = eng_governor_slot(g),
		.members = g->m,
	};
}

void
eng_sessions_facts(const struct eng_sessions *s, struct eng_snapshot *ret_snapshot)
{
	decree_assert(s->configs.now.m.epoch >= 1);
	ret_snapshot->slot = s->applied;
	ret_snapshot->stamp_ns = s->cluster_ns;
	ret_snapshot->config_count = 0;
	config_put(ret_snapshot, &s->configs.now);
	if (s->configs.next.m.epoch != 0)
		config_put(ret_snapshot, &s->configs.next);
}

void
session_save(struct eng_sessions *s, uint32_t row)
{
	uint64_t bit = 1ull << (row % 64);

	if (row >= s->cut.row_count || (s->cut.saved[row / 64] & bit) != 0)
		return;
	s->cut.saved[row / 64] |= bit;
	s->cut.rows[row] = s->rows[row];
	memcpy(&s->cut.replies[(size_t)row * s->window], &s->replies[(size_t)row * s->window],
		s->window * sizeof(struct reply));
}

void
eng_sessions_cut_begin(struct eng_sessions *s)
{
	memset(s->cut.saved, 0, (s->row_count_max / 64 + 1) * sizeof(*s->cut.saved));
	s->cut.is_open = true;
	s->cut.row_next = 0;
	s->cut.reply_next = 0;
	s->cut.row_count = s->row_count;
}

void
eng_sessions_cut_end(struct eng_sessions *s)
{
	s->cut.is_open = false;
}

static bool
is_saved(const struct eng_sessions *s, uint32_t row)
{
	return (s->cut.saved[row / 64] >> (row % 64) & 1) != 0;
}

static uint64_t
first_kept(const struct eng_sessions *s, uint64_t last)
{
	return last >= s->window ? last - s->window + 1 : 1;
}

static void
put_replies(uint8_t *at, const struct eng_sessions *s, const struct reply *replies, uint64_t seq,
	uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, at += REPLY_BYTES) {
		const struct reply *reply = &replies[(seq + i) & (s->window - 1)];

		store_u64(at, reply->result);
		store_u32(at + 8, reply->digest);
		store_u16(at + 12, reply->status);
		at[14] = reply->state;
		at[15] = 0;
	}
}

uint32_t
eng_sessions_cut_next(struct eng_sessions *s, uint8_t *ret_piece)
{
	uint32_t row = s->cut.row_next;

	decree_assert(s->cut.is_open);
	if (row == s->cut.row_count)
		return 0;
	const struct row *w = is_saved(s, row) ? &s->cut.rows[row] : &s->rows[row];
	const struct reply *replies = is_saved(s, row) ? s->cut.replies : s->replies;
	uint64_t first = s->cut.reply_next != 0 ? s->cut.reply_next : first_kept(s, w->last);
	uint64_t left = w->last + 1 - first;
	uint32_t count = left < ENG_SESSIONS_PIECE_REPLIES_MAX ? (uint32_t)left
							       : ENG_SESSIONS_PIECE_REPLIES_MAX;

	store_u32(ret_piece, row);
	store_u32(ret_piece + 4, count);
	store_u64(ret_piece + 8, w->session.n);
	store_u64(ret_piece + 16, w->last);
	memcpy(ret_piece + 24, w->token, DECREE_UUID_BYTES);
	store_u64(ret_piece + 40, first);
	store_u64(ret_piece + 48, w->used);
	store_u64(ret_piece + 56, w->boot_count);
	store_u16(ret_piece + 64, w->node_id);
	store_u16(ret_piece + 66, w->place);
	store_u32(ret_piece + 68, w->opened);
	put_replies(ret_piece + ENG_SESSIONS_PIECE_HEADER_BYTES, s,
		replies + (size_t)row * s->window, first, count);
	s->cut.reply_next = first + count;
	if (count == left) {
		s->cut.row_next++;
		s->cut.reply_next = 0;
	}
	return ENG_SESSIONS_PIECE_HEADER_BYTES + count * REPLY_BYTES;
}

/* ---- reading ---- */

void
eng_sessions_restore_begin(struct eng_sessions *s, const struct eng_snapshot *snapshot)
{
	eng_sessions_cut_end(s);
	memset(s->rows, 0, s->row_count_max * sizeof(*s->rows));
	memset(s->buckets, 0, (s->bucket_mask + 1) * sizeof(*s->buckets));
	s->row_count = 0;
	s->train.part_next = 0; /* a MARK closes every train (7.5a) */
	s->applied = snapshot->slot;
	s->cluster_ns = snapshot->stamp_ns;
	eng_configs_init(&s->configs);
	for (uint32_t i = 0; i < snapshot->config_count; i++)
		eng_configs_restore(
			&s->configs, snapshot->configs[i].slot, &snapshot->configs[i].members);
	s->restore_next = 0;
}

/* @return false if this cannot follow what was there before */
static bool
begin_row(struct eng_sessions *s, uint32_t row, const uint8_t *piece)
{
	struct row w = {
		.session = { load_u64(piece + 8) },
		.last = load_u64(piece + 16),
		.used = load_u64(piece + 48),
		.boot_count = load_u64(piece + 56),
		.node_id = load_u16(piece + 64),
		.place = load_u16(piece + 66),
		.opened = load_u32(piece + 68),
	};

	if (row != s->row_count || row >= s->row_count_max || w.session.n == 0 ||
		w.last >= UINT64_MAX - s->window || w.used > s->applied.n ||
		eng_session_row(s, w.session) >= 0)
		return false;
	w.admitted = w.last;
	memcpy(w.token, piece + 24, DECREE_UUID_BYTES);
	s->rows[row] = w;
	s->row_count++;
	session_index(s, row);
	memset(&s->replies[(size_t)row * s->window], 0, s->window * sizeof(struct reply));
	s->restore_next = first_kept(s, w.last);
	return true;
}

static bool
is_same_row(const struct row *w, const uint8_t *piece)
{
	return w->session.n == load_u64(piece + 8) && w->last == load_u64(piece + 16) &&
	       memcmp(w->token, piece + 24, DECREE_UUID_BYTES) == 0 &&
	       w->used == load_u64(piece + 48) && w->boot_count == load_u64(piece + 56) &&
	       w->node_id == load_u16(piece + 64) && w->place == load_u16(piece + 66) &&
	       w->opened == load_u32(piece + 68);
}

static bool
get_reply(struct eng_sessions *s, uint32_t row, uint64_t seq, const uint8_t *at)
{
	if ((at[14] != REPLY_PENDING && at[14] != REPLY_DONE) || at[15] != 0)
		return false;
	*reply_of(s, (int32_t)row, seq) = (struct reply){
		.result = load_u64(at),
		.digest = load_u32(at + 8),
		.status = load_u16(at + 12),
		.state = at[14],
	};
	s->rows[row].pending += at[14] == REPLY_PENDING;
	return true;
}

int
eng_sessions_restore_piece(struct eng_sessions *s, const uint8_t *piece, uint32_t bytes)
{
	if (bytes < ENG_SESSIONS_PIECE_HEADER_BYTES)
		return -EBADMSG;
	uint32_t row = load_u32(piece);
	uint32_t count = load_u32(piece + 4);
	bool goes_on = s->row_count > 0 && s->restore_next <= s->rows[s->row_count - 1].last;

	if (count > ENG_SESSIONS_PIECE_REPLIES_MAX ||
		bytes != ENG_SESSIONS_PIECE_HEADER_BYTES + count * REPLY_BYTES)
		return -EBADMSG;
	if (goes_on ? row != s->row_count - 1 || !is_same_row(&s->rows[row], piece)
		    : !begin_row(s, row, piece))
		return -EBADMSG;
	if (load_u64(piece + 40) != s->restore_next ||
		count > s->rows[row].last + 1 - s->restore_next || (goes_on && count == 0))
		return -EBADMSG;
	for (uint32_t i = 0; i < count; i++)
		if (!get_reply(s, row, s->restore_next + i,
			    piece + ENG_SESSIONS_PIECE_HEADER_BYTES + (size_t)i * REPLY_BYTES))
			return -EBADMSG;
	s->restore_next += count;
	return 0;
}

int
eng_sessions_restore_end(struct eng_sessions *s)
{
	if (s->row_count > 0 && s->restore_next <= s->rows[s->row_count - 1].last)
		return -EBADMSG;
	digest_restore(s);
	return 0;
}
