/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found on the disk, until START.
 *
 * Recovery runs through the same structures as life does: the log's records come in the order in
 * which they were appended, so the ring goes through the same states again, and the commit hints in
 * their tags say how far the decided prefix had come (what it passes is applied, exactly as before
 * the restart).
 */
#include "engine/core/replica.h"

#include "base/digest.h"
#include "engine/core/record.h"

void
on_recover_hard(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	struct eng_hard hard;

	if (eng_hard_decode(ev->hard.bytes, &hard) != 0) {
		halt(r, ENG_HALT_BAD_RECORD, fx);
		return;
	}
	if (r->promised.n < hard.promised.n)
		r->promised = hard.promised;
	r->promised_hard = hard.promised;
	r->damage.doubt = r->damage.doubt_written = hard.doubt;
	r->snapshot.slot = hard.snapshot;
	r->snapshot.durable = hard.snapshot;
	r->snapshot.digest = hard.snapshot_digest;
}

/* Replay keeps the highest ballot per slot; a decided value outweighs any (protocol 11.3). */
static void
recover_entry(struct eng_replica *r, const struct eng_record *record, const uint8_t *value)
{
	struct entry *e = entry_place(r, record->slot);

	if (e->slot.n == record->slot.n && record->kind != ENG_RECORD_DECIDED &&
		(e->decided || record->vballot.n < e->vballot.n))
		return;
	memcpy(value_place(r, record->slot), value, record->bytes);
	*e = (struct entry){
		.slot = record->slot,
		.vballot = record->vballot,
		.digest = record->digest,
		.bytes = record->bytes,
		.decided = record->kind == ENG_RECORD_DECIDED,
	};
	if (r->last.n < record->slot.n)
		r->last = record->slot;
}

/* What the hints before this one spoke of is decided, or is lost. But the first slot that the
 * prefix lacks may have been written again since. */
static uint64_t
hint_first(const struct eng_replica *r)
{
	struct decree_slot first = slot_next(r->chosen);

	if (r->damage.hint.n <= r->chosen.n ||
		(entry_find(r, first) != NULL && damage_find(r, first) == NULL))
		return first.n;
	return r->damage.hint.n + 1;
}

/*
 * A hint decides what the log holds before it: the last record of each slot up to there, and
 * nothing that was written later, for that may be the vote for a value that has lost. A hole stops
 * the prefix; what lies behind it is decided all the same. In doubt a hint proves nothing: the copy
 * at hand may be an older one than it spoke of.
 */
static void
recover_decided(struct eng_replica *r, struct decree_slot commit)
{
	uint64_t first = hint_first(r);

	if (!r->damage.doubt)
		damage_recover_commit(r, commit);
	for (uint64_t slot = first; slot <= commit.n && !r->damage.doubt; slot++) {
		struct decree_slot s = { slot };
		struct entry *e = entry_find(r, s);
		if (e == NULL && r->damage.count == 0)
			return;
		if (e != NULL && damage_find(r, s) == NULL)
			mark_decided(r, e);
	}
	if (r->damage.hint.n < commit.n)
		r->damage.hint = commit;
}

void
on_recover_commit(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	struct eng_record record;

	if (eng_record_decode(ev->record.tag, &record) != 0) {
		halt(r, ENG_HALT_BAD_RECORD, fx);
		return;
	}
	recover_decided(r, record.commit);
	advance_chosen(r, fx);
}

void
on_recover_record(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	struct eng_record record;

	if (eng_record_decode(ev->record.tag, &record) != 0 || record.group != r->cfg.group) {
		halt(r, ENG_HALT_BAD_RECORD, fx);
		return;
	}
	if (record.kind == ENG_RECORD_FAULTY) {
		damage_recover_mark(r, &record);
		return;
	}
	if (record.bytes != ev->record.bytes ||
		!value_is_sound(r, ev->record.value, record.bytes, record.digest)) {
		halt(r, ENG_HALT_BAD_RECORD, fx);
		return;
	}
	if (record.slot.n > ring_last(r).n) {
		if (r->damage.count == 0 && !r->damage.doubt)
			halt(r, ENG_HALT_BAD_RECORD, fx);
		/* Behind a hole, and further than the ring reaches: it is not forgotten, but in
		 * doubt. */
		r->damage.doubt = true;
		return;
	}
	damage_recover_record(r, &record);
	/* To accept is to promise; the hard state may have been on its way when power went. */
	if (r->promised.n < record.vballot.n)
		r->promised = record.vballot;
	if (record.slot.n > r->chosen.n)
		recover_entry(r, &record, ev->record.value);
	advance_chosen(r, fx);
}

void
on_start(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	r->started = true;
	election_start(r);
	damage_start(r, fx);
	if (r->promised_hard.n < r->promised.n) {
		/* It was on its way when power went. The record that tells of it may rot before the
		 * next start. */
		hard_persist(r, fx);
		r->found_seq = r->persist_last;
	}
	guard_start(r, ev, fx);
}
