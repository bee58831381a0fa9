/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged copies of this node's own (protocol 5.6, 11.3 - 11.5).
 *
 * Recovery may find that a record which once was durable cannot be read any more. Such a slot is
 * neither empty nor what an older record says: reporting either could lose a chosen value. So it is
 * marked:
 *
 *   ID       ballot and digest are known from elsewhere on the disk; only the value is gone
 *   UNKNOWN  the slot is known, its ballot is not: it counts as infinite
 *   decision what was lost is no vote: the slot is decided, with the value of this digest. Its ballot is that of
 *            whoever told us, perhaps below that of a vote of our own, so it counts as UNKNOWN
 *   doubt    not even the slot is known: every slot that is not decided here counts as UNKNOWN,
 *            without end
 *
 * A mark is listed in every Promise and keeps the slot from being acknowledged. It is durable
 * before this node answers any phase 1, since the next recovery may find less of the damaged record
 * than this one did. It ends with a decided value, with an Accept (the ballot of which is at least
 * what is lost, for it is at least what was promised), or with the value itself, fetched by digest
 * from any peer. All else goes on: a damaged copy does not stop its node from voting on other
 * slots.
 *
 * More marks than the table holds, or records behind the first hole that the ring cannot hold, are
 * turned into doubt, which says less and is never wrong.
 */
#include "engine/core/replica.h"

#include "base/digest.h"
#include "engine/core/record.h"

/* How often peers are asked for the values of damaged copies. */
#define REPAIR_RETRY_NS 20000000ull

struct damage *
damage_search(const struct eng_replica *r, struct decree_slot slot)
{
	for (uint32_t i = 0; i < r->damage.count; i++)
		if (r->damage.marks[i].slot.n == slot.n)
			return (struct damage *)&r->damage.marks[i];
	return NULL;
}

uint32_t
damage_count(const struct eng_replica *r)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->damage.count; i++)
		count += r->damage.marks[i].slot.n > r->chosen.n;
	return count;
}

bool
damage_covers(const struct eng_replica *r, const struct entry *e)
{
	if (e->decided)
		return false;
	/* In doubt, what was recovered may have a successor that is lost; what was written since
	 * has not. */
	return damage_find(r, e->slot) != NULL || (r->damage.doubt && e->persist_seq == 0);
}

void
damage_clear(struct eng_replica *r, struct decree_slot slot)
{
	struct damage *d = damage_find(r, slot);

	if (d != NULL)
		*d = r->damage.marks[--r->damage.count];
}

struct eng_promise_entry
damage_promise_entry(const struct eng_replica *r, struct decree_slot slot)
{
	const struct damage *d = damage_find(r, slot);

	if (d == NULL || d->vballot.n == 0)
		return (struct eng_promise_entry){ .state = ENG_ENTRY_FAULTY_UNKNOWN };
	return (struct eng_promise_entry){
		.vballot = d->vballot,
		.digest = d->digest,
		.state = ENG_ENTRY_FAULTY_ID,
	};
}

/* ---- recovery ---- */

static bool
is_superseded(const struct eng_replica *r, const struct damage *d)
{
	const struct entry *e = entry_find(r, d->slot);

	if (d->slot.n <= r->chosen.n || (e != NULL && e->decided))
		return true;
	/* Marks are written later than what they speak of: a later Accept may have ended one
	 * already. */
	return e != NULL && d->vballot.n != 0 && e->vballot.n >= d->vballot.n;
}

/* Votes rise from record to record; a decision comes behind any of them. */
static bool
is_news(const struct damage *old, const struct damage *d)
{
	return old == NULL || d->is_decided || d->vballot.n == 0 || d->vballot.n > old->vballot.n;
}

static void
damage_mark(struct eng_replica *r, const struct damage *d)
{
	struct damage *old = damage_find(r, d->slot);

	if (is_superseded(r, d))
		return;
	if (r->promised.n < d->vballot.n)
		r->promised = d->vballot;
	if (old == NULL && (r->damage.count == DAMAGE_COUNT_MAX || d->slot.n > ring_last(r).n)) {
		r->damage.doubt = true;
		return;
	}
	if (old != NULL && d->is_written && ballot_eq(old->vballot, d->vballot))
		old->is_written = true;
	else if (is_news(old, d))
		*(old != NULL ? old : &r->damage.marks[r->damage.count++]) = *d;
	if (r->last.n < d->slot.n)
		r->last = d->slot;
}

void
on_recover_faulty_id(struct eng_replica *r, const struct eng_event *ev)
{
	struct damage d = {
		.slot = ev->faulty_id.slot,
		.vballot = ev->faulty_id.vballot,
		.digest = ev->faulty_id.digest,
	};

	decree_assert(d.slot.n != 0 && d.vballot.n != 0);
	if (ev->faulty_id.is_decision) {
		d.vballot.n = 0;
		d.is_decided = true;
	}
	damage_mark(r, &d);
}

void
on_recover_faulty_unknown(struct eng_replica *r, const struct eng_event *ev)
{
	struct decree_slot first = ev->faulty_unknown.first;
	struct decree_slot after = ev->faulty_unknown.after;

	if (first.n == 0 || after.n - first.n > DAMAGE_COUNT_MAX) {
		r->damage.doubt = true;
		return;
	}
	for (uint64_t slot = first.n; slot < after.n; slot++)
		damage_mark(r, &(struct damage){ .slot = { slot } });
}

void
damage_found(struct eng_replica *r, struct decree_slot slot, struct decree_ballot vballot,
	struct decree_digest digest)
{
	damage_mark(r, &(struct damage){ .slot = slot, .vballot = vballot, .digest = digest });
	r->damage.repair_ns = r->now_ns;
}

void
damage_recover_mark(struct eng_replica *r, const struct eng_record *record)
{
	struct damage d = {
		.slot = record->slot,
		.vballot = record->vballot,
		.digest = record->digest,
		.is_written = true,
	};

	damage_mark(r, &d);
}

/* An intact record after a mark, in the order in which they were written. */
void
damage_recover_record(struct eng_replica *r, const struct eng_record *record)
{
	const struct damage *d = damage_find(r, record->slot);

	if (d != NULL && (record->kind == ENG_RECORD_DECIDED || record->vballot.n >= d->vballot.n))
		damage_clear(r, record->slot);
}

/* A hint speaks of what the log held before it, lost or not. Where not even the digest is known it
 * tells nothing. */
void
damage_recover_commit(struct eng_replica *r, struct decree_slot commit)
{
	for (uint32_t i = 0; i < r->damage.count; i++)
		r->damage.marks[i].is_decided |=
			r->damage.marks[i].slot.n <= commit.n && r->damage.marks[i].vballot.n != 0;
}

/* ---- writing the marks down ---- */

static void
mark_write(struct eng_replica *r, struct damage *d, struct eng_effects *fx)
{
	struct eng_record record = {
		.kind = ENG_RECORD_FAULTY,
		.group = r->cfg.group,
		.slot = d->slot,
		.vballot = d->vballot,
		.digest = d->digest,
		.commit = r->chosen,
	};
	struct eng_persist *p = persist_add(r, ENG_PERSIST_RECORD, fx);

	p->slot.n = 0; /* no value of this slot is found there */
	p->value = NULL;
	p->bytes = 0;
	eng_record_encode(&record, p->tag);
	d->is_written = true;
	r->damage.seq = r->persist_last;
}

/*
 * No leader proposes beyond ALPHA of what is decided, and what is decided was accepted by a quorum
 * that meets every q1 quorum. So whatever we may have accepted and lost is at most ALPHA beyond the
 * highest slot that a q1 quorum without doubts holds now; once all that is decided here, there is
 * nothing left to doubt.
 */
static bool
is_doubt_over(const struct eng_replica *r)
{
	return r->damage.doubt && r->epoch != 0 && has_q1_everywhere(r, r->damage.told) &&
	       r->chosen.n >= r->damage.last.n + r->cfg.alpha;
}

void
damage_note_peer(struct eng_replica *r, uint32_t member, const struct eng_msg *m)
{
	if (!r->damage.doubt || m->hello_reply.doubtful)
		return;
	r->damage.told |= set_of(member);
	if (r->damage.last.n < m->hello_reply.last.n)
		r->damage.last = m->hello_reply.last;
}

/* The hole that the doubt comes from may have left the log. So what ended the doubt is on the disk
 * before the hard state says that there is none: records and hard states become durable each on its
 * own. */
static void
doubt_look(struct eng_replica *r)
{
	if (!is_doubt_over(r)) {
		r->damage.over_seq = 0;
		return;
	}
	if (r->damage.over_seq == 0)
		r->damage.over_seq = r->persist_last;
	if (r->persisted >= r->damage.over_seq)
		r->damage.doubt = false;
}

bool
eng_is_doubt_unwritten(const struct eng_replica *r)
{
	return r->damage.doubt && !(r->damage.doubt_written && r->persisted >= r->damage.seq);
}

void
damage_write(struct eng_replica *r, struct eng_effects *fx)
{
	doubt_look(r);
	for (uint32_t i = 0; i < r->damage.count && fx_has_room(fx, 0, 1); i++)
		if (!r->damage.marks[i].is_written)
			mark_write(r, &r->damage.marks[i], fx);
	if (r->damage.doubt != r->damage.doubt_written) {
		hard_persist(r, fx);
		r->damage.doubt_written = r->damage.doubt;
		r->damage.seq = r->persist_last;
	}
}

bool
damage_is_durable(const struct eng_replica *r)
{
	for (uint32_t i = 0; i < r->damage.count; i++)
		if (!r->damage.marks[i].is_written)
			return false;
	return r->damage.doubt == r->damage.doubt_written && r->persisted >= r->damage.seq;
}

void
damage_start(struct eng_replica *r, struct eng_effects *fx)
{
	damage_write(r, fx);
	if (r->damage.count > 0 || r->damage.doubt)
		r->damage.repair_ns = r->now_ns;
	if (r->chosen.n < r->damage.hint.n)
		learner_want(r, r->damage.hint, r->now_ns);
}

/* ---- repair ---- */

/* Marks of slots that were decided meanwhile, in whatever way, are over. */
static void
damage_forget_decided(struct eng_replica *r)
{
	for (uint32_t i = r->damage.count; i-- > 0;)
		if (r->damage.marks[i].slot.n <= r->chosen.n)
			r->damage.marks[i] = r->damage.marks[--r->damage.count];
}

void
damage_tick(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->now_ns < r->damage.repair_ns)
		return;
	r->damage.repair_ns = NEVER;
	damage_forget_decided(r);
	if (r->damage.doubt && !has_q1_everywhere(r, r->damage.told)) {
		guard_ask(r, r->targets & (uint16_t)~r->damage.told, fx);
		r->damage.repair_ns = r->now_ns + REPAIR_RETRY_NS;
	}
	if (r->damage.count == 0 || is_alone(r))
		return;
	/* One after the other: a few KiB each, from whoever holds it. */
	const struct damage *d = &r->damage.marks[r->damage.repair_next++ % r->damage.count];
	struct eng_msg *q = message_add(r, ENG_MSG_QUERY, 0, fx);
	q->query.first = d->slot;
	q->query.after = slot_next(d->slot);
	q->query.accepted_too = true;
	r->counters.queries++;
	r->damage.repair_ns = r->now_ns + REPAIR_RETRY_NS;
}

void
damage_repair(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	const struct damage *d = damage_find(r, m->query_reply.slot);

	if (d == NULL || (d->vballot.n == 0 && !d->is_decided) ||
		!digest_eq(d->digest, m->query_reply.digest) || r->log_space_slots == 0 ||
		!fx_has_room(fx, 1, 1))
		return;

	/* From here on: the very bytes that were lost; written again, the copy is whole. */

	entry_store(r, m->query_reply.slot, d->vballot.n != 0 ? d->vballot : m->query_reply.vballot,
		m->query_reply.digest, m->query_reply.value, m->query_reply.bytes, d->is_decided,
		fx);
	advance_chosen(r, fx);
}
