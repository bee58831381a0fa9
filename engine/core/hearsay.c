/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guard.c remembers of the others, kept for the next life of this node: if all nodes end, and
 * one comes back on an old image of its disk, nobody else is left who could tell.
 *
 *   1. every 10 T, with a heartbeat, and whenever a life has proved itself, the rows are made anew.
 *      If they differ, the runtime is asked to keep them. Nothing waits for that.
 *   2. START brings those that were found, and guard.c goes on as if it had never forgotten them.
 *
 * Each row is a lower bound: its node had all of it on its disk before it said so. An older row, or
 * none, is therefore never wrong, only weaker. What would make one wrong is another disk under the
 * same id, so a row names its disk, and only the disks of members have rows.
 *
 * A life that is remembered may have ended while this one was away, and what it found on its disk is
 * not kept. So it proves itself once more before it counts.
 *
 * Row, little-endian:
 *    0  2  node
 *    2  6  zero
 *    8  8  its disk, as the configuration has it
 *   16  8  nonce of the life that counted
 *   24  8  highest start count that it proved
 *   32  8  highest ballot promised
 *   40  8  highest slot accepted in the life ...
 *   48  8  ... with this start count
 *   56  8  highest slot accepted in any life before that one
 * A row is valid if and only if node and disk are not 0, the slots are slots, and zero is zero. Rows
 * end with the first one that is all zero.
 */
#include "engine/core/hearsay.h"

#include "base/bytes.h"
#include "engine/core/replica.h"

#include <errno.h>

/* In T: two seconds, if that is what it usually is. An image of a machine's disk is minutes old, or
 * years. */
#define HEARSAY_ELECTIONS 10

static_assert(ENG_HEARSAY_ROW_COUNT_MAX >= ENG_MEMBER_COUNT_MAX,
	"the others of two configurations have a row each");

void
eng_hearsay_encode(const struct eng_hearsay *row, uint8_t *ret_row)
{
	memset(ret_row, 0, ENG_HEARSAY_ROW_BYTES);
	store_u16(ret_row, row->node_id);
	store_u64(ret_row + 8, row->disk);
	store_u64(ret_row + 16, row->nonce);
	store_u64(ret_row + 24, row->boot_count);
	store_u64(ret_row + 32, row->promised.n);
	store_u64(ret_row + 40, row->accepted.n);
	store_u64(ret_row + 48, row->accepted_boot);
	store_u64(ret_row + 56, row->accepted_before.n);
}

int
eng_hearsay_decode(const uint8_t *row, struct eng_hearsay *ret)
{
	static const uint8_t zeros[ENG_HEARSAY_ROW_BYTES];

	if (memcmp(row, zeros, sizeof(zeros)) == 0)
		return -ENOENT;
	*ret = (struct eng_hearsay){
		.node_id = load_u16(row),
		.disk = load_u64(row + 8),
		.nonce = load_u64(row + 16),
		.boot_count = load_u64(row + 24),
		.promised = { load_u64(row + 32) },
		.accepted = { load_u64(row + 40) },
		.accepted_boot = load_u64(row + 48),
		.accepted_before = { load_u64(row + 56) },
	};
	if (ret->node_id == 0 || ret->disk == 0 || memcmp(row + 2, zeros, 6) != 0)
		return -EBADMSG;
	return ret->accepted.n <= ENG_SLOT_MAX && ret->accepted_before.n <= ENG_SLOT_MAX ? 0
											 : -EBADMSG;
}

/* What was heard under its id came from the disk that the configuration names. */
static bool
is_certain(const struct peer *p)
{
	return p->member_disk != 0 && (p->disk == 0 || p->disk == p->member_disk);
}

static bool
is_empty(const struct guard *g)
{
	return g->boot_count == 0 && g->promised.n == 0 && g->accepted.n == 0 &&
	       g->accepted_before.n == 0;
}

static void
rows_make(const struct eng_replica *r, uint8_t ret_rows[ENG_HEARSAY_BYTES])
{
	uint32_t count = 0;

	memset(ret_rows, 0, ENG_HEARSAY_BYTES);
	for (uint32_t i = 0; i < r->peer_count && count < ENG_HEARSAY_ROW_COUNT_MAX; i++) {
		const struct peer *p = &r->peers[i];
		const struct guard *g = &p->guard;

		if (i == r->self || !is_certain(p) || is_empty(g))
			continue;
		eng_hearsay_encode(
			&(struct eng_hearsay){
				.node_id = p->node_id,
				.disk = p->member_disk,
				.nonce = g->nonce,
				.boot_count = g->boot_count,
				.promised = g->promised,
				.accepted = g->accepted,
				.accepted_boot = g->accepted_boot,
				.accepted_before = g->accepted_before,
			},
			ret_rows + count++ * ENG_HEARSAY_ROW_BYTES);
	}
}

void
hearsay_keep(struct eng_replica *r, struct eng_effects *fx)
{
	const uint64_t every_ns = HEARSAY_ELECTIONS * r->cfg.election_ns;
	uint8_t rows[ENG_HEARSAY_BYTES];

	r->hearsay_ns = r->now_ns - r->now_ns % every_ns + every_ns; /* all groups at once */
	rows_make(r, rows);
	if (memcmp(rows, r->hearsay, sizeof(rows)) == 0)
		return;
	memcpy(r->hearsay, rows, sizeof(rows));
	fx->hearsay_changed = true;
}

void
hearsay_look(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->now_ns >= r->hearsay_ns)
		hearsay_keep(r, fx);
}

const uint8_t *
eng_hearsay(const struct eng_replica *r)
{
	return r->hearsay;
}

void
hearsay_start(struct eng_replica *r, const uint8_t *rows)
{
	struct eng_hearsay row;

	for (uint32_t i = 0; rows != NULL && i < ENG_HEARSAY_ROW_COUNT_MAX; i++) {
		int rc = eng_hearsay_decode(rows + i * ENG_HEARSAY_ROW_BYTES, &row);
		int32_t member = rc == 0 ? peer_index(r, row.node_id) : -1;

		if (rc == -ENOENT)
			return;
		if (member < 0 || (uint32_t)member == r->self ||
			r->peers[member].member_disk != row.disk)
			continue; /* nobody that we know, any more */
		r->peers[member].guard = (struct guard){
			.nonce = row.nonce,
			.boot_count = row.boot_count,
			.promised = row.promised,
			.accepted = row.accepted,
			.accepted_boot = row.accepted_boot,
			.accepted_before = row.accepted_before,
			.is_doubted = true,
		};
	}
	if (rows != NULL)
		memcpy(r->hearsay, rows, sizeof(r->hearsay));
}
