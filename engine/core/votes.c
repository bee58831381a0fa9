/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Votes: q2 durable ones for the same (slot, ballot), our own among them only once durable, choose
 * a slot. What is lost on the way is sent again, byte for byte; who is far behind asks as a
 * learner.
 */
#include "engine/core/replica.h"

#include "base/digest.h"

/* ---- counting ---- */

static void
count_vote(struct eng_replica *r, struct decree_slot slot, uint32_t member)
{
	struct entry *e = entry_find(r, slot);
	const struct config *c = config_governing(r, slot);
	bool needs_all = r->bootstrapping && slot.n <= 2;

	if (e == NULL || !ballot_eq(e->vballot, r->ballot))
		return; /* inherited and not proposed yet */
	e->acks |= set_of(member);
	if (is_quorum(e->acks, c, needs_all ? c->voter_count : c->q2))
		mark_decided(r, e);
}

static void
leader_advance(struct eng_replica *r, struct eng_effects *fx)
{
	advance_chosen(r, fx);
	leader_check_ready(r, fx);
}

void
leader_on_persisted(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER)
		return;
	for (uint64_t slot = r->chosen.n + 1; slot < r->next.n; slot++) {
		struct decree_slot s = { slot };
		const struct entry *e = entry_find(r, s);
		if (e != NULL && e->persist_seq <= r->persisted)
			count_vote(r, s, r->self);
	}
	leader_advance(r, fx);
}

/* ---- round trips ---- */

void
votes_expect(struct peer *p)
{
	uint64_t wait_ns = p->rtt_ns + 4 * p->rtt_drift_ns;

	if (wait_ns < RTO_NS_MIN)
		wait_ns = RTO_NS_MIN;
	p->rto_ns = wait_ns < RTO_NS_MAX ? wait_ns : RTO_NS_MAX;
	p->retry_ns = 0;
}

/* RFC 6298 (Karn, Jacobson): the first measurement is believed, each one after it by an eighth;
 * what was sent again is not measured, since nobody knows which copy was answered. Until something
 * was measured, the longer wait stays. */
static void
round_trip_measure(struct eng_replica *r, struct peer *p, struct decree_slot first)
{
	const struct entry *e = entry_find(r, first);
	uint64_t now_ns, off_ns;

	if (first.n <= p->repeated_last.n || e == NULL || !ballot_eq(e->vballot, r->ballot))
		return;
	now_ns = r->now_ns - e->sent_ns;
	if (now_ns > RTO_NS_MAX)
		now_ns = RTO_NS_MAX; /* a pause of a node, which would be believed for long */
	if (p->rtt_ns == 0) {
		p->rtt_ns = now_ns;
		p->rtt_drift_ns = now_ns / 2;
	} else {
		off_ns = now_ns > p->rtt_ns ? now_ns - p->rtt_ns : p->rtt_ns - now_ns;
		p->rtt_drift_ns += off_ns / 4 - p->rtt_drift_ns / 4;
		p->rtt_ns += now_ns / 8 - p->rtt_ns / 8;
	}
	votes_expect(p);
}

/* @return the highest slot of them, 0 = none */
static struct decree_slot
count_sack(struct eng_replica *r, struct peer *p, uint32_t member, const struct eng_msg *m)
{
	struct decree_slot highest = { 0 };

	for (uint32_t word = 0; word < 4; word++) {
		for (uint64_t bits = m->accepted.sack[word]; bits != 0; bits &= bits - 1) {
			uint64_t bit = word * 64 + (uint64_t)__builtin_ctzll(bits);
			struct decree_slot slot = { m->accepted.after.n + 1 + bit };
			if (slot.n >= r->next.n)
				return highest;
			if (slot.n > r->chosen.n)
				count_vote(r, slot, member);
			if (p->acked_last.n < slot.n)
				p->acked_last = slot;
			highest = slot;
		}
	}
	return highest;
}

void
on_accepted(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER || !ballot_eq(m->ballot, r->ballot)) {
		r->counters.dropped_stale++;
		return;
	}
	if (m->accepted.after.n > r->next.n)
		return; /* claims slots that we never proposed */

	/* From here on: durable votes for this very ballot. */

	uint32_t member = (uint32_t)peer_index(r, m->src);
	struct peer *p = &r->peers[member];
	uint64_t slot = m->accepted.start.n;
	if (m->accepted.start.n <= p->matched.n)
		slot = p->matched.n;
	if (slot <= r->chosen.n)
		slot = r->chosen.n + 1;
	for (; slot < m->accepted.after.n; slot++)
		count_vote(r, (struct decree_slot){ slot }, member);
	/* A run that begins later than ours ended: what lies between was learned there as decided. */
	if (p->matched.n < m->accepted.after.n && m->accepted.start.n < m->accepted.after.n) {
		/* The oldest of what is answered: it has waited for the others' write as well. */
		round_trip_measure(
			r, p, p->matched.n < m->accepted.start.n ? m->accepted.start : p->matched);
		p->matched = m->accepted.after;
		p->retry_ns = 0;
	}
	if (m->accepted.after.n > 0 && p->acked_last.n < m->accepted.after.n - 1)
		p->acked_last.n = m->accepted.after.n - 1;
	if (p->commit.n < m->accepted.commit.n)
		p->commit = m->accepted.commit;
	/* An empty run is no vote: what lies before it is decided, and need not be durable there. */
	struct decree_slot highest = count_sack(r, p, member, m);
	if (highest.n == 0 && m->accepted.start.n < m->accepted.after.n)
		highest.n = m->accepted.after.n - 1;
	guard_note(r, member, m->ballot, highest);
	retransmit_soon(r);
	leader_advance(r, fx);
}

/* ---- sending again ---- */

void
retransmit_soon(struct eng_replica *r)
{
	if (r->retransmit_ns > r->now_ns + RETRANSMIT_SCAN_NS)
		r->retransmit_ns = r->now_ns + RETRANSMIT_SCAN_NS;
}

static bool
is_awaited(const struct eng_replica *r, uint32_t member, const struct entry *e)
{
	return e != NULL && (e->acks & set_of(member)) == 0 && ballot_eq(e->vballot, r->ballot);
}

/* After that it counts as lost. What was sent later and has arrived makes it so at once. */
static uint64_t
lost_ns(const struct peer *p, const struct entry *e)
{
	return e->sent_ns + (e->slot.n < p->acked_last.n ? REORDER_NS : p->rto_ns);
}

static void
accept_again(struct eng_replica *r, struct peer *p, const struct entry *e, struct eng_effects *fx)
{
	struct eng_msg *m = message_add(r, ENG_MSG_ACCEPT, p->node_id, fx);

	if (p->repeated_last.n < e->slot.n)
		p->repeated_last = e->slot;
	m->ballot = r->ballot;
	m->accept.slot = e->slot;
	m->accept.start = r->start;
	m->accept.commit = r->chosen;
	m->accept.digest = e->digest;
	m->accept.value = value_place(r, e->slot);
	m->accept.bytes = e->bytes;
}

/* @return when to look again for what this peer misses; NEVER: nothing is awaited from it */
static uint64_t
retransmit_peer(struct eng_replica *r, uint32_t member, struct eng_effects *fx)
{
	struct peer *p = &r->peers[member];
	uint64_t again_ns = NEVER;
	uint32_t count = 0;

	if (r->now_ns < p->retry_ns)
		return p->retry_ns;
	for (uint64_t slot = r->chosen.n + 1; slot < r->next.n && count < RETRANSMIT_COUNT_MAX;
		slot++) {
		const struct entry *e = entry_find(r, (struct decree_slot){ slot });
		if (!is_awaited(r, member, e))
			continue;
		if (r->now_ns > lost_ns(p, e)) {
			accept_again(r, p, e, fx);
			count++;
		} else if (again_ns > lost_ns(p, e)) {
			again_ns = lost_ns(p, e) + 1;
		}
	}
	if (count == 0)
		return again_ns;
	r->counters.retransmits += count;
	p->retry_ns = r->now_ns + p->rto_ns + random_below(r, p->rto_ns / 4 + 1);
	p->rto_ns = p->rto_ns * 2 < RTO_NS_MAX ? p->rto_ns * 2 : RTO_NS_MAX;
	return p->retry_ns;
}

/* Whatever makes an earlier look worth while asks for it: retransmit_soon(). */
void
retransmit(struct eng_replica *r, struct eng_effects *fx)
{
	uint64_t again_ns = NEVER;

	for (uint16_t set = r->targets; set != 0; set = set_rest(set)) {
		uint64_t peer_ns = retransmit_peer(r, set_first(set), fx);
		if (again_ns > peer_ns)
			again_ns = peer_ns;
	}
	if (again_ns < r->now_ns + RETRANSMIT_SCAN_NS)
		again_ns = r->now_ns + RETRANSMIT_SCAN_NS;
	r->retransmit_ns = again_ns;
}
