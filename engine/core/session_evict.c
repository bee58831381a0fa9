/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for new sessions (7.5).
 *
 * The table has a fixed size. When it is full, a registration takes the row of the session that was used last
 * longest ago. Everything that decides here is part of the table, so every node takes the same row. Not
 * taken are
 *   - rows used within the last session_idle_slots slots: their clients are probably there
 *   - rows with an answer outstanding: somebody waits for it, or holds something by it
 *   - rows of live gateways. A gateway's registration says its node, that node's boot_count, its
 *     place there and a number that grows with each opening. One of a later start makes all of the
 *     node's earlier ones ordinary rows that may be taken at once; one of the same start and place,
 *     a later opening, the earlier openings there. A node that is no member any more has none.
 * If none is left the registration is refused.
 *
 * A session's number is the place of its registration in the log, so it is never given again: what
 * a client of a former session repeats finds no row, and is not executed. [E22]
 */
#include "engine/core/session_private.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

/* ---- registrations ---- */

uint32_t
eng_registration_encode(const struct eng_registration *r, uint8_t *ret_body)
{
	memcpy(ret_body, r->token, DECREE_UUID_BYTES);
	if (r->node_id == 0)
		return ENG_REGISTRATION_CLIENT_BYTES;
	store_u16(ret_body + 16, r->node_id);
	store_u16(ret_body + 18, r->place);
	store_u32(ret_body + 20, r->opened);
	store_u64(ret_body + 24, r->boot_count);
	return ENG_REGISTRATION_GATEWAY_BYTES;
}

void
eng_registration_decode(
	const uint8_t *body, uint32_t bytes, struct eng_registration *ret_registration)
{
	decree_assert(eng_is_registration(bytes));
	*ret_registration = (struct eng_registration){ .node_id = 0 };
	memcpy(ret_registration->token, body, DECREE_UUID_BYTES);
	if (bytes == ENG_REGISTRATION_CLIENT_BYTES)
		return;
	ret_registration->node_id = load_u16(body + 16);
	ret_registration->place = load_u16(body + 18);
	ret_registration->opened = load_u32(body + 20);
	ret_registration->boot_count = load_u64(body + 24);
}

/* ---- gateways ---- */

static bool
is_earlier(const struct row *w, const struct eng_registration *g)
{
	if (w->boot_count != g->boot_count)
		return w->boot_count < g->boot_count;
	return w->place == g->place && w->opened < g->opened;
}

/* The reverse: this registration was on its way for so long that another has overtaken it. */
static bool
is_later(const struct row *w, const struct eng_registration *g)
{
	if (w->boot_count != g->boot_count)
		return w->boot_count > g->boot_count;
	return w->place == g->place && w->opened > g->opened;
}

bool
session_gateway_begin(struct eng_sessions *s, const struct eng_registration *g)
{
	bool is_newest = true;

	for (uint32_t i = 0; i < s->row_count; i++) {
		struct row *w = &s->rows[i];

		if (w->node_id != g->node_id)
			continue;
		if (is_later(w, g))
			is_newest = false;
		if (!is_earlier(w, g))
			continue;
		session_touch(s, i);
		w->node_id = 0;
		w->used = 0;
	}
	return is_newest;
}

/* As it was said when the slot was applied first, even if its cluster is another one now (12.5). */
static bool
is_member(const struct eng_sessions *s, uint16_t node_id)
{
	return eng_is_live(&s->configs.now.m, node_id) ||
	       eng_is_live(&s->configs.next.m, node_id) ||
	       s->configs.now.m.epoch == 0; /* not known yet */
}

/* ---- rows ---- */

static bool
may_be_taken(const struct eng_sessions *s, const struct row *w)
{
	return w->pending == 0 && s->applied.n - w->used >= s->idle_slots &&
	       (w->node_id == 0 || !is_member(s, w->node_id));
}

/* Open addressing: those behind the freed place move up, if they may stand there. */
static void
index_remove(struct eng_sessions *s, uint32_t row)
{
	uint32_t hole = session_bucket(s, s->rows[row].session);

	while (s->buckets[hole] != row + 1)
		hole = (hole + 1) & s->bucket_mask;
	for (uint32_t b = (hole + 1) & s->bucket_mask; s->buckets[b] != 0;
		b = (b + 1) & s->bucket_mask) {
		uint32_t home = session_bucket(s, s->rows[s->buckets[b] - 1].session);

		if (((b - home) & s->bucket_mask) < ((b - hole) & s->bucket_mask))
			continue; /* it stands behind the hole because it belongs there */
		s->buckets[hole] = s->buckets[b];
		hole = b;
	}
	s->buckets[hole] = 0;
}

int32_t
session_acquire_row(struct eng_sessions *s)
{
	int32_t oldest = -1;

	if (s->row_count < s->row_count_max)
		return (int32_t)s->row_count++;
	for (uint32_t i = 0; i < s->row_count; i++)
		if (may_be_taken(s, &s->rows[i]) &&
			(oldest < 0 || s->rows[i].used < s->rows[oldest].used))
			oldest = (int32_t)i;
	if (oldest < 0)
		return -1;
	session_touch(s, (uint32_t)oldest);
	digest_drop_row(s, (uint32_t)oldest);
	index_remove(s, (uint32_t)oldest);
	s->evicted_count++;
	return oldest;
}

uint64_t
eng_session_evicted_count(const struct eng_sessions *s)
{
	return s->evicted_count;
}
