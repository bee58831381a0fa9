/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest of the session table (7.4).
 *
 * It is a sum mod 2^128 of one term for each row and each answered reply, so that a command changes
 * it by a few additions. Each row has a key, a strong hash of its number and token:
 *
 *   row     key * (last + 1), so executing a command adds the key once
 *   reply   a mix of key, seq, status, result and the body's digest, added with the answer and
 *           taken away when the reply gives up its place
 *
 * A command without an answer shows in `last`. Sums of such terms differ when any term does, except
 * by an accident of about 2^-64; nobody chooses these terms in order to deceive.
 *
 * Commands come in runs of one session, and what a run adds the window takes away again before
 * anybody asks for the digest. So one row, the one that executed last, may be ahead of the sum,
 * which has it up to the seq `summed`. When another row executes, the sum catches up with it. Who
 * asks meanwhile gets the sum and what is missing.
 */
#include "engine/core/session_digest.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/version.h"

#include <string.h>

static struct decree_digest
row_key(const struct row *w)
{
	uint8_t bytes[8 + DECREE_UUID_BYTES];

	store_u64(bytes, w->session.n);
	memcpy(bytes + 8, w->token, DECREE_UUID_BYTES);
	return base_digest(bytes, sizeof(bytes));
}

/* What commands [first, after) of a row have in the sum, as far as their replies are kept. */
static void
sum_add_commands(const struct eng_sessions *s, uint32_t row, uint64_t first, uint64_t after,
	struct decree_digest *sum)
{
	const struct row *w = &s->rows[row];
	uint64_t kept = w->last > s->window ? w->last - s->window + 1 : 1;
	__uint128_t key = (__uint128_t)w->key.hi << 64 | w->key.lo;

	key *= after - first;
	sum_add(sum, (struct decree_digest){ (uint64_t)key, (uint64_t)(key >> 64) });
	for (uint64_t seq = first < kept ? kept : first; seq < after; seq++) {
		const struct reply *reply = reply_of(s, (int32_t)row, seq);

		if (reply->state == REPLY_DONE)
			sum_add(sum, reply_term(w, seq, reply));
	}
}

/* A row with its kept replies. The registration counts as a command 0, which has no reply. */
static void
sum_add_row(const struct eng_sessions *s, uint32_t row, uint64_t last, struct decree_digest *sum)
{
	sum_add_commands(s, row, 0, last + 1, sum);
}

/* ---- changes ---- */

void
digest_drop_row(struct eng_sessions *s, uint32_t row)
{
	struct decree_digest terms = { 0, 0 };

	sum_add_row(s, row, s->rows[row].summed, &terms);
	sum_take(&s->sum, terms);
}

void
digest_go_ahead(struct eng_sessions *s, uint32_t row)
{
	struct row *before = &s->rows[s->row_ahead];

	if (row == s->row_ahead)
		return;
	sum_add_commands(s, s->row_ahead, before->summed + 1, before->last + 1, &s->sum);
	before->summed = before->last;
	s->row_ahead = row;
}

void
digest_add_row(struct eng_sessions *s, uint32_t row)
{
	s->rows[row].key = row_key(&s->rows[row]);
	sum_add(&s->sum, s->rows[row].key);
}

/* ---- the whole ---- */

struct decree_digest
eng_sessions_digest_anew(const struct eng_sessions *s)
{
	struct decree_digest sum = { 0, 0 };

	for (uint32_t i = 0; i < s->row_count; i++)
		sum_add_row(s, i, s->rows[i].last, &sum);
	return sum;
}

void
digest_restore(struct eng_sessions *s)
{
	for (uint32_t i = 0; i < s->row_count; i++) {
		s->rows[i].key = row_key(&s->rows[i]);
		s->rows[i].summed = s->rows[i].last;
	}
	s->sum = eng_sessions_digest_anew(s);
}

struct decree_digest
eng_sessions_digest(const struct eng_sessions *s)
{
	const struct row *ahead = &s->rows[s->row_ahead];
	struct decree_digest sum = s->sum;

	sum_add_commands(s, s->row_ahead, ahead->summed + 1, ahead->last + 1, &sum);
	return sum;
}

struct decree_digest
eng_state_digest(const struct eng_sessions *s, struct decree_digest machine)
{
	uint32_t version = s->configs.now.m.version;
	struct decree_digest sum = eng_sessions_digest(s);
	uint8_t bytes[52];

	decree_assert_slow(digest_eq(sum, eng_sessions_digest_anew(s)));
	store_u64(bytes, machine.lo);
	store_u64(bytes + 8, machine.hi);
	store_u64(bytes + 16, sum.lo);
	store_u64(bytes + 24, sum.hi);
	store_u64(bytes + 32, s->applied.n);
	store_u64(bytes + 40, s->cluster_ns);
	/* Nodes that do not agree on when commands changed their meaning are found out. */
	store_u32(bytes + 48, version);
	return base_digest(bytes, version > VERSION_FIRST ? 52 : 48);
}
