/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of phase 1: which value a candidate must propose in a slot (protocol 5.6).
 *
 * Any decided value wins outright. Else let S be a q1 quorum of promises and m the highest ballot
 * that S reports for the slot, damaged copies included: the value of m is the one, a no-op if
 * nobody of S reports anything. A copy whose ballot is unknown counts as infinite, so its owner is
 * in no S for that slot; an owner in doubt is in no S at all. A damaged copy of a known ballot is
 * as good as an intact one as soon as anybody, of the quorum or not, shows its ballot or its digest
 * intact. Otherwise its owner may be left out of S, if the rest is still a q1 quorum: then the lost
 * ballot cannot have been chosen, or the rest would know of it.
 *
 * If no S is left, wait: ask everybody for the value, hope for more promises. Never a lower ballot,
 * never "empty".
 *
 * What is kept per slot is the best intact copy; damaged ones are rare and stand in a table of
 * their own. When that is full, the next one counts as unknown.
 */
#include "engine/core/replica.h"

#include "base/digest.h"

void
choices_forget(struct eng_replica *r)
{
	for (uint32_t i = 0; i < r->cfg.ring_slots; i++)
		r->choices[i] = (struct choice){ .slot = { 0 } };
	r->report_count = 0;
	r->has_unknown = false;
}

static struct choice *
choice_take(struct eng_replica *r, struct decree_slot slot)
{
	struct choice *c = &r->choices[ring_index(r, slot)];

	if (c->slot.n != slot.n)
		*c = (struct choice){ .slot = slot };
	return c;
}

/* ---- intact copies ---- */

static void
merge_intact(struct eng_replica *r, struct choice *c, const struct eng_promise_entry *e,
	uint32_t member, struct eng_effects *fx)
{
	bool decided = e->state == ENG_ENTRY_DECIDED;
	bool same = c->vballot.n == e->vballot.n && c->holders != 0;

	/* Two replies may carry the same ballot for the same slot, and then they must carry the
	 * same value. We check that instead of choosing. */
	if (same && !digest_eq(c->digest, e->digest)) {
		halt(r, ENG_HALT_TWO_VALUES, fx);
		return;
	}
	if (c->decided && decided && !digest_eq(c->digest, e->digest)) {
		halt(r, ENG_HALT_TWO_DECISIONS, fx);
		return;
	}
	if (c->decided && !decided) {
		if (digest_eq(c->digest, e->digest))
			c->holders |= set_of(member);
		return;
	}
	if (e->vballot.n > c->vballot.n || (decided && !c->decided)) {
		bool keep = c->holders != 0 && digest_eq(c->digest, e->digest);
		c->vballot = e->vballot;
		c->digest = e->digest;
		c->holders = keep ? c->holders : 0;
		c->decided = decided;
	}
	if (digest_eq(c->digest, e->digest))
		c->holders |= set_of(member);
}

/* ---- damaged copies ---- */

static void
report_add(
	struct eng_replica *r, struct choice *c, const struct eng_promise_entry *e, uint32_t member)
{
	for (uint32_t i = 0; i < r->report_count; i++)
		if (r->reports[i].slot.n == c->slot.n && r->reports[i].member == member)
			return; /* a fragment came twice */
	if (r->report_count == REPORT_COUNT_MAX) {
		c->unknown |= set_of(member);
		r->has_unknown = true;
		return;
	}
	r->reports[r->report_count++] = (struct report){
		.slot = c->slot,
		.vballot = e->vballot,
		.digest = e->digest,
		.member = (uint8_t)member,
	};
}

/* An intact copy of this ballot, or of these bytes, is here: whoever reported a damaged one of the
 * same is as good as intact. */
static void
reports_resolve(struct eng_replica *r, struct choice *c, struct decree_ballot vballot,
	struct decree_digest digest, uint32_t holder, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < r->report_count; i++) {
		struct report *d = &r->reports[i];
		if (d->slot.n != c->slot.n)
			continue;
		if (ballot_eq(d->vballot, vballot) && !digest_eq(d->digest, digest)) {
			halt(r, ENG_HALT_TWO_VALUES, fx);
			return;
		}
		if (d->is_resolved || !digest_eq(d->digest, digest))
			continue;
		d->is_resolved = true;
		merge_intact(r, c,
			&(struct eng_promise_entry){
				.vballot = d->vballot,
				.digest = d->digest,
				.state = ENG_ENTRY_ACCEPTED,
			},
			holder, fx);
	}
}

void
choice_merge(struct eng_replica *r, struct decree_slot slot, const struct eng_promise_entry *e,
	uint32_t member, struct eng_effects *fx)
{
	if (e->state == ENG_ENTRY_NONE || slot.n <= r->chosen.n)
		return;
	struct choice *c = choice_take(r, slot);
	switch (e->state) {
	case ENG_ENTRY_NONE: break;
	case ENG_ENTRY_ACCEPTED:
	case ENG_ENTRY_DECIDED:
		merge_intact(r, c, e, member, fx);
		reports_resolve(r, c, e->vballot, e->digest, member, fx);
		break;
	case ENG_ENTRY_FAULTY_ID:
		report_add(r, c, e, member);
		if (c->holders != 0)
			reports_resolve(r, c, c->vballot, c->digest, set_first(c->holders), fx);
		break;
	case ENG_ENTRY_FAULTY_UNKNOWN:
		c->unknown |= set_of(member);
		r->has_unknown = true;
		break;
	}
}

void
choice_evidence(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct choice *c = &r->choices[ring_index(r, m->query_reply.slot)];

	if (c->slot.n != m->query_reply.slot.n || r->report_count == 0)
		return;
	reports_resolve(r, c, m->query_reply.vballot, m->query_reply.digest,
		(uint32_t)peer_index(r, m->src), fx);
}

/* ---- settling ---- */

/* Members whose damaged copy may be of a higher ballot than the best intact one. */
static uint16_t
blocked_members(const struct eng_replica *r, const struct choice *c)
{
	uint16_t set = c->unknown;

	for (uint32_t i = 0; i < r->report_count; i++)
		if (r->reports[i].slot.n == c->slot.n && !r->reports[i].is_resolved &&
			r->reports[i].vballot.n > c->vballot.n)
			set |= set_of(r->reports[i].member);
	return set;
}

static bool
is_settled(const struct eng_replica *r, struct decree_slot slot, uint16_t promised)
{
	const struct choice *c = &r->choices[ring_index(r, slot)];
	const struct entry *e = entry_find(r, slot);

	if (c->slot.n != slot.n || c->decided || (e != NULL && e->decided))
		return true;
	return has_promises_of(r, promised & (uint16_t)~blocked_members(r, c));
}

static void
choice_ask(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx)
{
	struct eng_msg *q = message_add(r, ENG_MSG_QUERY, 0, fx);

	q->query.first = slot;
	q->query.after = slot_next(slot);
	q->query.accepted_too = true;
	r->counters.queries++;
}

bool
choices_are_settled(struct eng_replica *r, uint16_t promised, struct eng_effects *fx)
{
	bool may_ask = r->now_ns >= r->choice_ask_ns && !is_alone(r);
	bool settled = true;

	if (r->report_count == 0 && !r->has_unknown)
		return true;
	for (uint64_t slot = r->chosen.n + 1; slot <= r->prepare_last.n; slot++) {
		struct decree_slot s = { slot };
		if (is_settled(r, s, promised))
			continue;
		settled = false;
		if (!may_ask || !fx_has_room(fx, 32, 0))
			break;
		choice_ask(r, s, fx);
		r->choice_ask_ns = r->now_ns + CHOICE_ASK_NS;
	}
	return settled;
}
