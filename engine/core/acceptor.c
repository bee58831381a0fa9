/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The acceptor: promises and accepts, and the durable truth behind both.
 *
 *   Prepare(b):  promised := b on disk, then Promise(b) with every accepted slot of the asked
 *                suffix.
 *   Accept(b,i): the value to disk, then Accepted(b) that covers everything durable at b.
 *
 * Persist, then speak: an acceptor that answers first and then loses power has lied to the leader,
 * and the leader may already have told a client (Paxos Made Simple, section 2.5). Both answers
 * therefore wait here for the log; nothing else ever waits with them.
 */
#include "engine/core/readindex.h"

#include "base/digest.h"

/* protocol 1.5: the space of rounds lasts for ever unless something damaged or hostile eats it. */
#define ROUND_JUMP_MAX (1ull << 32)

bool
is_round_jump(const struct eng_replica *r, struct decree_ballot ballot)
{
	uint64_t known = ballot_round(r->promised);

	if (known < r->round_seen)
		known = r->round_seen;
	return ballot_round(ballot) > known + ROUND_JUMP_MAX;
}

/* ---- phase 1 ---- */

void
on_prepare(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (ballot_node(m->ballot) != m->src)
		return; /* nobody prepares another's ballot */
	if (!may_campaign(r, (uint32_t)peer_index(r, m->src), m, fx))
		return;
	if (lease_refuses(r, m->src)) {
		failure_send(r, m, ENG_FAIL_LEASE, fx);
		return;
	}
	if (is_beaten(r, m->ballot)) {
		ballot_refuse(r, m, fx);
		return;
	}
	if (m->prepare.from.n < r->low.n) {
		/* What is decided there cannot be told slot by slot (9.3). */
		compacted_send(r, m, fx);
		return;
	}

	/* From here on: the ballot is promised, now or already (an Accept may have come first). */

	if (m->ballot.n > r->promised.n)
		promise_persist(r, m->ballot, fx);
	if (r->role == DECREE_LEADER || r->campaign != CAMPAIGN_NONE)
		step_down(r, 0, fx);
	if (r->leader != m->src || !ballot_eq(r->leader_ballot, m->ballot))
		r->leader = 0; /* the old one has lost, the new one has not won yet */
	r->election_ns = r->now_ns + election_timeout(r);
	r->promise_due.wanted = true;
	r->promise_due.to = m->src;
	r->promise_due.to_nonce = m->src_nonce;
	r->promise_due.from = m->prepare.from;
	r->promise_due.seq = r->persist_last; /* every record appended before it, too */
	acceptor_on_persisted(r, fx);
}

static void
promise_fragment(struct eng_replica *r, uint64_t first, uint64_t after, struct eng_effects *fx)
{
	struct eng_msg *p = message_add(r, ENG_MSG_PROMISE, r->promise_due.to, fx);

	p->ballot = r->promised;
	p->promise.dst_nonce = r->promise_due.to_nonce;
	p->promise.from = r->promise_due.from;
	p->promise.low = r->low;
	p->promise.commit = r->chosen;
	p->promise.last = r->last;
	p->promise.doubtful = r->damage.doubt;
	p->promise.first.n = first;
	p->promise.after.n = after;
}

/* Every slot in (max(from - 1, commit), last], in fragments of one frame each (5.3). */
static void
promise_send(struct eng_replica *r, struct eng_effects *fx)
{
	uint32_t entry_count = eng_promise_entry_count_max(r->cfg.frame_bytes);
	uint64_t first =
		r->promise_due.from.n > r->chosen.n + 1 ? r->promise_due.from.n : r->chosen.n + 1;

	r->promise_due.wanted = false;
	if (first > r->last.n) {
		promise_fragment(r, first, first, fx);
		return;
	}
	for (; first <= r->last.n; first += entry_count) {
		uint64_t after = first + entry_count;
		promise_fragment(r, first, after <= r->last.n ? after : r->last.n + 1, fx);
	}
}

/* ---- phase 2 ---- */

static void
ack_reset(struct eng_replica *r, const struct eng_msg *m)
{
	uint64_t lowest = r->last.n >= r->cfg.ring_slots ? r->last.n - r->cfg.ring_slots + 1 : 1;

	r->ack.ballot = m->ballot;
	r->ack.start = m->accept.start;
	if (r->ack.start.n < lowest)
		r->ack.start.n = lowest;
	r->ack.after = r->ack.start;
	r->ack.last.n = 0;
	r->ack.seq_first = 0;
	r->ack.seq_last = 0;
}

bool
reserve_take(struct eng_replica *r)
{
	if (r->reserve.slots == 0 || r->now_ns >= r->reserve.until_ns)
		return false;
	r->reserve.slots--;
	return true;
}

/*
 * Whether a quorum waits for this node: what it refused is repeated, and is not decided without it.
 * If it refused that for good, nothing would be chosen any more, and so no snapshot made that lets
 * go of the log.
 */
static bool
is_waited_for(struct eng_replica *r, const struct eng_msg *m)
{
	uint64_t patience_ns = r->cfg.election_ns / 4;
	struct decree_slot slot = m->accept.slot;

	if (slot.n <= m->accept.commit.n)
		return false;
	if (r->reserve.since_ns == 0 || r->now_ns >= r->reserve.since_ns + patience_ns) {
		r->reserve.may = r->reserve.last;
		r->reserve.since_ns = r->now_ns;
	}
	if (r->reserve.last.n < slot.n)
		r->reserve.last = slot;
	if (slot.n > r->reserve.may.n)
		return false;
	r->reserve.until_ns = r->now_ns + r->cfg.election_ns;
	return true;
}

static bool
can_accept(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (m->accept.slot.n > ring_last(r).n) {
		r->counters.dropped_window++;
		return false;
	}
	if (r->log_space_slots == 0) {
		/* Also for what is taken: the leader is to take no commands. */
		failure_send(r, m, ENG_FAIL_BUSY, fx);
		if (!is_waited_for(r, m) || !fx_has_room(fx, 1, 1) || !reserve_take(r)) {
			r->counters.dropped_full++;
			return false;
		}
		return true;
	}
	if (!fx_has_room(fx, 1, 1)) {
		r->counters.dropped_full++; /* the buffer drains in a moment; the leader repeats */
		return false;
	}
	return true;
}

/*
 * A decision stays. An Accept of another value, or of a lower ballot than the one at which we hold
 * it, comes from a leader that has lost and does not know it; no vote of ours can help it. (Another
 * value at a ballot above that of the decision would break safety, but the ballot at which a slot
 * was decided is not recorded: the leader itself will see the contradiction in our answer.)
 */
static bool
is_decided_against(const struct entry *e, const struct eng_msg *m)
{
	return e->decided &&
	       (m->ballot.n < e->vballot.n || !digest_eq(e->digest, m->accept.digest));
}

static void
accept_value(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct entry *e = entry_find(r, m->accept.slot);

	if (m->accept.slot.n < r->low.n && e == NULL) {
		compacted_send(r, m, fx);
		return;
	}
	if (m->accept.slot.n <= r->chosen.n && (e == NULL || m->accept.slot.n < r->ack.start.n)) {
		decided_send(r, m->accept.slot, m->src, fx); /* the leader is behind */
		return;
	}
	if (e != NULL && ballot_eq(e->vballot, m->ballot) && is_sound(r, e)) {
		/* (slot, ballot) -> bytes never changes. */
		if (!digest_eq(e->digest, m->accept.digest))
			halt(r, ENG_HALT_TWO_VALUES, fx);
		/* A repeat: the first Accepted may be lost. Say it again, if it is true. */
		r->ack.wanted |= e->persist_seq <= r->persisted;
		return;
	}
	if (e != NULL && is_decided_against(e, m)) {
		decided_send(r, m->accept.slot, m->src, fx);
		return;
	}
	if (!can_accept(r, m, fx))
		return;
	e = entry_store(r, m->accept.slot, m->ballot, m->accept.digest, m->accept.value,
		m->accept.bytes, false, fx);
	if (r->ack.seq_first == 0)
		r->ack.seq_first = e->persist_seq;
	r->ack.seq_last = e->persist_seq;
	if (r->ack.last.n < m->accept.slot.n)
		r->ack.last = m->accept.slot;
}

void
on_accept(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (ballot_node(m->ballot) != m->src || m->accept.slot.n == 0)
		return;
	if (is_beaten(r, m->ballot)) {
		ballot_refuse(r, m, fx);
		return;
	}
	if (!value_is_sound(r, m->accept.value, m->accept.bytes, m->accept.digest)) {
		r->counters.dropped_stale++;
		return;
	}

	/* From here on: a sound Accept of the highest ballot that we know. An accept is a promise. */

	if (m->ballot.n > r->promised.n)
		promise_persist(r, m->ballot, fx);
	follow(r, m->src, m->ballot, fx);
	if (!ballot_eq(r->ack.ballot, m->ballot))
		ack_reset(r, m);
	/* The commit index first, so that the record of this slot carries it as its hint: whoever
	 * holds slot 2 on disk must know from its disk alone that slot 1, the membership, is
	 * decided. */
	learn_commit(r, m->ballot, m->accept.start, m->accept.commit, fx);
	if (r->halt != ENG_HALT_NONE)
		return;
	accept_value(r, m, fx);
	if (m->accept.slot.n <= m->accept.commit.n)
		learn_commit(r, m->ballot, m->accept.start, m->accept.commit, fx);
}

/* ---- what became durable ---- */

void
acceptor_on_persisted(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->promise_due.wanted && r->persisted >= r->promise_due.seq && damage_is_durable(r))
		promise_send(r, fx);
	if (r->ack.seq_first != 0 && r->persisted >= r->ack.seq_first)
		r->ack.wanted = true;
}

static bool
is_durable_at_ack_ballot(const struct eng_replica *r, struct decree_slot slot)
{
	const struct entry *e = entry_find(r, slot);

	return e != NULL && ballot_eq(e->vballot, r->ack.ballot) &&
	       e->persist_seq <= r->persisted && is_sound(r, e);
}

static void
ack_sack(const struct eng_replica *r, uint64_t ret_sack[4])
{
	memset(ret_sack, 0, 4 * sizeof(uint64_t));
	for (uint32_t bit = 0; bit < 256; bit++) {
		struct decree_slot slot = { r->ack.after.n + 1 + bit };
		if (slot.n > r->ack.last.n)
			break;
		if (is_durable_at_ack_ballot(r, slot))
			ret_sack[bit / 64] |= 1ull << (bit % 64);
	}
}

/*
 * The run [start, after) grows over what is durable at this ballot. A slot that was learned as
 * decided at another ballot does not count for this one: the run begins anew behind it.
 */
static void
ack_advance(struct eng_replica *r)
{
	for (;;) {
		if (is_durable_at_ack_ballot(r, r->ack.after)) {
			r->ack.after.n++;
		} else if (r->ack.after.n <= r->chosen.n) {
			const struct entry *e = entry_find(r, r->ack.after);
			if (e != NULL && ballot_eq(e->vballot, r->ack.ballot))
				return; /* on its way to the disk */
			r->ack.after.n++;
			r->ack.start = r->ack.after;
		} else {
			return;
		}
	}
}

/*
 * One Accepted per turn covers everything that became durable. It may leave after a later promise:
 * the records were appended before that promise, so the Promise listed them (protocol 3, E15).
 */
void
acceptor_flush(struct eng_replica *r, struct eng_effects *fx)
{
	if (!r->ack.wanted || r->persisted < r->found_seq)
		return;
	ack_advance(r);
	struct eng_msg *a = message_add(r, ENG_MSG_ACCEPTED, ballot_node(r->ack.ballot), fx);
	a->ballot = r->ack.ballot;
	a->accepted.start = r->ack.start;
	a->accepted.after = r->ack.after;
	a->accepted.commit = r->chosen;
	ack_sack(r, a->accepted.sack);
	r->ack.wanted = false;
	r->ack.seq_first = r->ack.seq_last > r->persisted ? r->persisted + 1 : 0;
}
