/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest of the session table (7.4), kept up to date command by command.
 *
 * It is a sum mod 2^128 of one term for each row and each answered reply, so that a command changes it by a
 * few additions. Each row has a key, a strong hash of its number and token:
 *
 *   row     key * (last + 1), so executing a command adds the key once
 *   reply   a mix of key, seq, status, result and the body's digest, added with the answer and taken away when
 *           the reply gives up its place
 *
 * A command without an answer shows in `last`. Sums of such terms differ when any term does, except by an
 * accident of about 2^-64; nobody chooses these terms in order to deceive.
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

/* A row with its kept replies. */
static void
sum_add_row(const struct eng_sessions *s, uint32_t row, struct decree_digest *sum)
{
	const struct row *w = &s->rows[row];
	uint64_t first = w->last > s->window ? w->last - s->window + 1 : 1;
	__uint128_t key = (__uint128_t)w->key.hi << 64 | w->key.lo;

	key *= w->last + 1;
	sum_add(sum, (struct decree_digest){ (uint64_t)key, (uint64_t)(key >> 64) });
	for (uint64_t seq = first; seq <= w->last; seq++) {
		const struct reply *reply = reply_of(s, (int32_t)row, seq);

		if (reply->state == REPLY_DONE)
			sum_add(sum, reply_term(w, seq, reply));
	}
}

/* ---- changes ---- */

void
digest_drop_row(struct eng_sessions *s, uint32_t row)
{
	struct decree_digest terms = { 0, 0 };

	sum_add_row(s, row, &terms);
	sum_take(&s->sum, terms);
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
		sum_add_row(s, i, &sum);
	return sum;
}

void
digest_restore(struct eng_sessions *s)
{
	for (uint32_t i = 0; i < s->row_count; i++)
		s->rows[i].key = row_key(&s->rows[i]);
	s->sum = eng_sessions_digest_anew(s);
}

struct decree_digest
eng_sessions_digest(const struct eng_sessions *s)
{
	return s->sum;
}

struct decree_digest
eng_state_digest(const struct eng_sessions *s, struct decree_digest machine)
{
	uint32_t version = s->configs.now.m.version;
	uint8_t bytes[52];

	decree_assert_slow(digest_eq(s->sum, eng_sessions_digest_anew(s)));
	store_u64(bytes, machine.lo);
	store_u64(bytes + 8, machine.hi);
	store_u64(bytes + 16, s->sum.lo);
	store_u64(bytes + 24, s->sum.hi);
	store_u64(bytes + 32, s->applied.n);
	store_u64(bytes + 40, s->cluster_ns);
	/* Nodes that do not agree on when commands changed their meaning are found out. */
	store_u32(bytes + 48, version);
	return base_digest(bytes, version > VERSION_FIRST ? 52 : 48);
}
