/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who leads: timers, PreVote, phase 1.
 *
 * The happy path of a candidate:
 *   1. no leader heard for a random time in [T, 2 T]: ask everybody whether a Prepare would succeed
 *   2. max(q1, q2) grants: promise a fresh ballot to ourselves, on disk (1.4)
 *   3. durable: send Prepare for everything beyond our decided prefix
 *   4. a q1 quorum of whole promises: learn what they hold decided, choose a value for each slot up
 *      to the last that any mentions, lead (leader.c proposes them again)
 *
 * What goes wrong, and where it ends:
 *   - a live leader exists: PreVote is denied, nothing has changed anywhere
 *   - a higher ballot is promised somewhere: give up, back off for a random time that doubles
 *     (10.4, E25)
 *   - frames are lost: PreVote and Prepare are repeated; both are idempotent
 *   - we are far behind: the promises say so, we learn first; if that takes long, somebody else
 *     wins
 */
#include "engine/core/readindex.h"

#include "base/digest.h"

#define PREVOTE_RETRY_NS(r) ((r)->cfg.election_ns / 2)
#define PREPARE_RETRY_NS(r) ((r)->cfg.election_ns / 8)

/* A ballot has 48 bits for it: with an election a second they last for nine million years. */
#define ROUND_MAX ((1ull << 48) - 1)

/* Back-off: base 2^k heartbeats, at most 2 T. Six doublings of 20 ms pass 2 T = 400 ms. */
#define BACKOFF_DOUBLINGS_MAX 6

uint64_t
election_timeout(struct eng_replica *r)
{
	return r->cfg.election_ns + random_below(r, r->cfg.election_ns + 1);
}

void
election_start(struct eng_replica *r)
{
	r->started_ns = r->now_ns;
	r->election_ns = r->now_ns + (is_alone(r) ? 0 : election_timeout(r));
	lease_start(r);
}

/* Has anybody led within T, for all we know? A node that has just started knows nothing: it listens
 * for T before it helps to depose a leader whose heartbeat may be under way (10.2). */
static bool
is_leader_alive(const struct eng_replica *r)
{
	uint64_t since_ns = r->heard_ns > r->started_ns ? r->heard_ns : r->started_ns;

	return r->role == DECREE_LEADER || r->now_ns < since_ns + r->cfg.election_ns;
}

void
follow(struct eng_replica *r, uint16_t leader, struct decree_ballot ballot, struct eng_effects *fx)
{
	decree_assert(!is_beaten(r, ballot));

	if (r->role == DECREE_LEADER || r->campaign != CAMPAIGN_NONE)
		step_down(r, 0, fx);
	if (!ballot_eq(r->leader_ballot, ballot))
		r->heard_seq = 0;
	r->leader = leader;
	r->leader_ballot = ballot;
	r->heard_ns = r->now_ns;
	r->failures = 0;
	r->election_ns = r->now_ns + election_timeout(r);
}

void
step_down(struct eng_replica *r, uint64_t wait_ns, struct eng_effects *fx)
{
	(void)fx;
	if (r->role == DECREE_LEADER) {
		r->counters.ballots_lost++;
		r->leader = 0;
	}
	r->role = DECREE_FOLLOWER;
	r->campaign = CAMPAIGN_NONE;
	r->ready = false;
	r->batch.bytes = 0;
	r->transfer.to = 0;
	r->reprepare_ns = NEVER;
	r->inherit_ns = NEVER;
	r->election_ns = r->now_ns + wait_ns + election_timeout(r);
}

/* ---- PreVote ---- */

static uint64_t
round_highest(const struct eng_replica *r)
{
	uint64_t round = ballot_round(r->promised);

	return round < r->round_seen ? r->round_seen : round;
}

/* Whoever knows of the last round cannot go above it: it stands no more, and votes on (1.3). */
static bool
has_round_left(const struct eng_replica *r)
{
	return round_highest(r) < ROUND_MAX;
}

static struct decree_ballot
ballot_above_all(const struct eng_replica *r)
{
	decree_assert(has_round_left(r));

	return (struct decree_ballot){ (round_highest(r) + 1) << 16 | r->cfg.node_id };
}

/* A grant says that its sender hears no leader now. One of an earlier round may have been given
 * before a leader was elected, and is not put together with those of this one. */
static void
prevote_send(struct eng_replica *r, struct eng_effects *fx)
{
	struct eng_msg *m = message_add(r, ENG_MSG_PREVOTE, 0, fx);

	r->grants = set_of(r->self);
	m->ballot = r->ballot;
	m->prevote.first_undecided = slot_next(r->chosen);
	r->campaign_retry_ns = r->now_ns + PREVOTE_RETRY_NS(r);
}

static bool
prevote_is_won(const struct eng_replica *r)
{
	return has_q1_everywhere(r, r->grants) && has_q2_everywhere(r, r->grants);
}

static void
campaign_prevote(struct eng_replica *r, struct eng_effects *fx)
{
	r->campaign = CAMPAIGN_PREVOTE;
	r->leader = 0;
	r->ballot = ballot_above_all(r);
	r->grants = set_of(r->self);
	/* The whole attempt gets one timeout; then a new one, with a new ballot. */
	r->election_ns = r->now_ns + election_timeout(r);
	if (prevote_is_won(r))
		campaign_prepare(r, fx);
	else
		prevote_send(r, fx);
}

static bool
prevote_reason(
	const struct eng_replica *r, const struct eng_msg *m, enum eng_failure_reason *ret_reason)
{
	if (m->prevote.first_undecided.n < r->low.n)
		*ret_reason = ENG_FAIL_COMPACTED; /* it must fetch first, whoever leads (10.2) */
	else if (is_leader_alive(r))
		*ret_reason = ENG_FAIL_LEADER_ALIVE;
	else if (lease_refuses(r, m->src))
		*ret_reason = ENG_FAIL_LEASE;
	else if (m->ballot.n <= ballot_highest(r).n)
		*ret_reason = ENG_FAIL_BALLOT;
	else
		return true;
	return false;
}

void
on_prevote(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	enum eng_failure_reason reason = ENG_FAIL_BALLOT;
	bool granted = prevote_reason(r, m, &reason);

	if (!may_campaign(r, (uint32_t)peer_index(r, m->src), m, fx))
		return;
	struct eng_msg *reply = message_add(r, ENG_MSG_PREVOTE_REPLY, m->src, fx);

	reply->ballot = m->ballot;
	reply->prevote_reply.granted = granted;
	reply->prevote_reply.reason = reason;
	reply->prevote_reply.promised = ballot_highest(r);
	reply->prevote_reply.dst_nonce = m->src_nonce;
	/* It hears no leader and so of no decision. The first that it lacks tells it how many there
	 * are and where to ask: it need not lead to learn (10.7). */
	if (m->prevote.first_undecided.n >= r->low.n && m->prevote.first_undecided.n <= r->chosen.n)
		decided_send(r, m->prevote.first_undecided, m->src, fx);
}

void
on_prevote_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (r->campaign != CAMPAIGN_PREVOTE || !ballot_eq(m->ballot, r->ballot) ||
		m->prevote_reply.dst_nonce != r->cfg.nonce) {
		r->counters.dropped_stale++;
		return;
	}
	if (r->round_seen < ballot_round(m->prevote_reply.promised) &&
		!is_round_jump(r, m->prevote_reply.promised))
		r->round_seen = ballot_round(m->prevote_reply.promised);
	if (!m->prevote_reply.granted) {
		if (m->prevote_reply.reason == ENG_FAIL_COMPACTED)
			fetch_want(r, m->src, fx);
		return;
	}

	/* From here on: a grant for the campaign in progress. */

	r->grants |= set_of((uint32_t)peer_index(r, m->src));
	if (!prevote_is_won(r))
		return;
	/* The ballot that was asked about is spent: what we prepare is told apart from it in every
	 * trace. */
	if (r->round_seen < ballot_round(r->ballot))
		r->round_seen = ballot_round(r->ballot);
	campaign_prepare(r, fx);
}

/* ---- Prepare ---- */

static void
promise_forget(struct peer *p)
{
	p->promised = false;
	p->promise_nonce = 0;
	memset(p->promise_seen, 0, sizeof(p->promise_seen));
}

static void
promises_forget(struct eng_replica *r)
{
	for (uint32_t i = 0; i < r->peer_count; i++)
		promise_forget(&r->peers[i]);
	choices_forget(r);
}

void
campaign_prepare(struct eng_replica *r, struct eng_effects *fx)
{
	if (!has_round_left(r)) {
		step_down(r, 0, fx);
		return;
	}
	r->ballot = ballot_above_all(r);
	r->campaign = CAMPAIGN_PERSISTING;
	r->role = DECREE_FOLLOWER;
	r->ready = false;
	r->leader = 0;
	r->batch.bytes = 0;
	r->transfer.to = 0;
	r->reprepare_ns = NEVER;
	r->inherit_ns = NEVER;
	r->campaign_retry_ns = NEVER;
	r->counters.elections++;
	promises_forget(r);
	promise_persist(r, r->ballot, fx);
	r->campaign_seq = r->persist_last;
	r->election_ns = r->now_ns + election_timeout(r);
}

void
prepare_more(struct eng_replica *r, struct decree_slot from, struct eng_effects *fx)
{
	decree_assert(r->role == DECREE_LEADER);

	if (r->prepare_from.n != from.n)
		for (uint32_t i = 0; i < r->peer_count; i++)
			if (!r->peers[i].promised)
				promise_forget(&r->peers[i]);
	r->prepare_from = from;
	r->limit_retry_ns = r->now_ns + PREPARE_RETRY_NS(r);
	struct eng_msg *m = message_add(r, ENG_MSG_PREPARE, 0, fx);
	m->ballot = r->ballot;
	m->prepare.from = from;
}

static void
prepare_send(struct eng_replica *r, struct eng_effects *fx)
{
	r->campaign_retry_ns = r->now_ns + PREPARE_RETRY_NS(r);
	if (is_alone(r))
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_PREPARE, 0, fx);
	m->ballot = r->ballot;
	m->prepare.from = r->prepare_from;
}

static void
prepare_last_raise(struct eng_replica *r, struct decree_slot last)
{
	if (r->prepare_last.n < last.n)
		r->prepare_last = last;
}

static void
own_promise(struct eng_replica *r, struct eng_effects *fx)
{
	for (uint64_t slot = r->chosen.n + 1; slot <= r->last.n; slot++) {
		struct decree_slot s = { slot };
		struct eng_promise_entry e = eng_replica_promise_entry(r, s);
		choice_merge(r, s, &e, r->self, fx);
	}
	r->peers[r->self].promised = true;
	r->peers[r->self].doubtful = r->damage.doubt;
	r->peers[r->self].promise_commit = r->chosen;
	r->peers[r->self].promise_last = r->last;
}

void
election_on_persisted(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->campaign != CAMPAIGN_PERSISTING || r->persisted < r->campaign_seq ||
		!damage_is_durable(r))
		return;
	decree_assert(ballot_eq(r->promised, r->ballot));
	r->campaign = CAMPAIGN_PREPARING;
	r->prepare_from = slot_next(r->chosen);
	r->prepare_last = r->last;
	own_promise(r, fx);
	prepare_send(r, fx);
	campaign_continue(r, fx);
}

/* ---- Promise ---- */

/* A Promise is one statement in several frames: frames of another one start the collection anew. */
static void
promise_begin(struct peer *p, const struct eng_msg *m)
{
	if (p->promise_nonce == m->src_nonce && p->promise_low.n == m->promise.low.n &&
		p->promise_commit.n == m->promise.commit.n &&
		p->promise_last.n == m->promise.last.n && p->doubtful == m->promise.doubtful)
		return;
	p->promise_nonce = m->src_nonce;
	p->promise_low = m->promise.low;
	p->promise_commit = m->promise.commit;
	p->promise_last = m->promise.last;
	p->doubtful = m->promise.doubtful;
	memset(p->promise_seen, 0, sizeof(p->promise_seen));
}

static uint64_t
promise_first(const struct eng_replica *r, const struct peer *p)
{
	return r->prepare_from.n > p->promise_commit.n + 1 ? r->prepare_from.n
							   : p->promise_commit.n + 1;
}

/* @return true if all fragments of this peer's Promise are here (5.4) */
static bool
promise_note_fragment(const struct eng_replica *r, struct peer *p, const struct eng_msg *m)
{
	uint32_t per_fragment = eng_promise_entry_count_max(r->cfg.frame_bytes);
	uint64_t first = promise_first(r, p);
	uint64_t slots = p->promise_last.n >= first ? p->promise_last.n + 1 - first : 0;
	uint64_t fragments = (slots + per_fragment - 1) / per_fragment;

	if (slots == 0)
		return true;
	uint64_t index = (m->promise.first.n - first) / per_fragment;
	if (m->promise.first.n < first || index >= fragments || index >= FRAGMENT_WORDS * 64 ||
		(m->promise.first.n - first) % per_fragment != 0)
		return false;
	uint64_t after = m->promise.first.n + per_fragment;
	if (after > p->promise_last.n + 1)
		after = p->promise_last.n + 1;
	if (m->promise.after.n != after)
		return false;
	p->promise_seen[index / 64] |= 1ull << (index % 64);
	uint64_t seen = 0;
	for (uint32_t i = 0; i < FRAGMENT_WORDS; i++)
		seen += (uint64_t)__builtin_popcountll(p->promise_seen[i]);
	return seen == fragments;
}

void
on_promise(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	bool is_beyond_limit = r->role == DECREE_LEADER && r->limit.n != NEVER;

	if ((r->campaign != CAMPAIGN_PREPARING && !is_beyond_limit) ||
		!ballot_eq(m->ballot, r->ballot) || m->promise.dst_nonce != r->cfg.nonce ||
		m->promise.from.n != r->prepare_from.n) {
		r->counters.dropped_stale++;
		return;
	}
	uint32_t member = (uint32_t)peer_index(r, m->src);
	struct peer *p = &r->peers[member];
	if (p->promised)
		return; /* a repeat: the network may say things twice */
	if (m->promise.low.n > r->chosen.n + 1)
		fetch_want(r, m->src, fx); /* it cannot tell us what is decided (5.5, 9.3) */
	if (m->promise.last.n > ring_last(r).n) {
		/* We are so far behind that its entries do not fit our ring. Not one of them may be
		 * forgotten, so nothing of it counts: learn first, the next Prepare asks again. */
		learner_want(r, m->promise.commit, r->now_ns);
		return;
	}
	if (is_beyond_limit && !fx_has_room(fx, 1, 1))
		return; /* an open batch may have to leave first; the Prepare is repeated */

	/* From here on: part of a promise for the campaign in progress. */

	if (m->promise.after.n > m->promise.last.n + 1 && m->promise.after.n != m->promise.first.n)
		return; /* lists slots that it says it does not have */
	promise_begin(p, m);
	guard_note(r, member, m->ballot, (struct decree_slot){ 0 });
	for (uint64_t slot = m->promise.first.n; slot < m->promise.after.n; slot++) {
		struct decree_slot s = { slot };
		struct eng_promise_entry e = eng_promise_entry_at(m, s);
		choice_merge(r, s, &e, member, fx);
	}
	if (!promise_note_fragment(r, p, m))
		return;
	p->promised = true;
	if (p->promise_commit.n > r->chosen.n)
		learner_want(r, p->promise_commit, r->now_ns);
	if (is_beyond_limit) {
		membership_promised(r, p, fx);
		return;
	}
	prepare_last_raise(r, p->promise_last);
	campaign_continue(r, fx);
}

/* ---- the end of phase 1 ---- */

/* Members whose promise tells all. Who may have forgotten anything, anywhere, is in no quorum
 * (11.3); the intact copies that it lists are as good as any. */
uint16_t
promised_members(const struct eng_replica *r)
{
	uint16_t set = 0;

	for (uint32_t i = 0; i < r->peer_count; i++)
		if (r->peers[i].promised && !r->peers[i].doubtful)
			set |= set_of(i);
	return set;
}

/* 5.5: what a promise calls decided is learned before anything is chosen. */
bool
has_learned_all(const struct eng_replica *r)
{
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (r->peers[i].promised && r->peers[i].promise_commit.n > r->chosen.n)
			return false;
	return true;
}

/* Before we know the first configuration we do not know whose disk may be new, our own included:
 * every member must answer, and one that knows better turns a new disk away (12.0). */
bool
has_promises_of(const struct eng_replica *r, uint16_t members)
{
	if (r->epoch == 0)
		return is_quorum(members, &r->config, r->config.voter_count);
	return has_q1_everywhere(r, members);
}

void
campaign_continue(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->campaign != CAMPAIGN_PREPARING || r->halt != ENG_HALT_NONE)
		return;
	if (!has_promises_of(r, promised_members(r)) || !has_learned_all(r) ||
		!choices_are_settled(r, promised_members(r), fx))
		return;
	r->campaign = CAMPAIGN_NONE;
	leader_begin(r, fx);
}

/* ---- giving way ---- */

static uint64_t
backoff(struct eng_replica *r)
{
	uint32_t doublings =
		r->failures < BACKOFF_DOUBLINGS_MAX ? r->failures : BACKOFF_DOUBLINGS_MAX;
	uint64_t limit = r->cfg.heartbeat_ns << doublings;

	if (limit > 2 * r->cfg.election_ns)
		limit = 2 * r->cfg.election_ns;
	r->failures++;
	return random_below(r, limit + 1);
}

static void
candidate_on_failure(struct eng_replica *r, struct eng_effects *fx)
{
	uint64_t wait_ns = r->cfg.heartbeat_ns + backoff(r);

	step_down(r, 0, fx);
	r->election_ns = r->now_ns + wait_ns;
}

void
ballot_refuse(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	bool has_leader = is_leader_alive(r) && r->leader_ballot.n > m->ballot.n;

	failure_send(r, m, has_leader ? ENG_FAIL_LEADER_ALIVE : ENG_FAIL_BALLOT, fx);
}

/*
 * One member is stuck at a higher promise: phase 1 above it, without PreVote, lets it vote again
 * (5.8).
 *
 * If it follows a leader at a higher ballot, though, a q1 quorum has promised that and none of our
 * slots can be chosen any more. Two leaders that do not hear each other, A - B - C, would take B
 * from each other for ever.
 */
static void
leader_on_failure(struct eng_replica *r, enum eng_failure_reason reason, struct eng_effects *fx)
{
	if (reason == ENG_FAIL_LEADER_ALIVE)
		step_down(r, r->cfg.election_ns, fx);
	else if (r->reprepare_ns == NEVER)
		r->reprepare_ns =
			r->now_ns + r->cfg.heartbeat_ns + random_below(r, r->cfg.heartbeat_ns + 1);
}

void
on_failure(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (m->failure.dst_nonce != r->cfg.nonce) {
		r->counters.dropped_stale++;
		return; /* meant for an earlier life of this node (E26) */
	}
	if (m->failure.reason == ENG_FAIL_NOT_MEMBER) {
		membership_on_refusal(r, m, fx);
		return;
	}
	if (m->failure.reason == ENG_FAIL_ROLLED_BACK || m->failure.reason == ENG_FAIL_TWIN) {
		halt(r, m->failure.reason == ENG_FAIL_TWIN ? ENG_HALT_TWIN : ENG_HALT_ROLLED_BACK,
			fx);
		return;
	}
	if (m->failure.reason == ENG_FAIL_BUSY)
		leader_on_busy(r, m);
	if (m->failure.reason == ENG_FAIL_COMPACTED && m->failure.snapshot.n > r->chosen.n)
		fetch_want(r, m->src, fx);
	if ((m->failure.reason != ENG_FAIL_BALLOT && m->failure.reason != ENG_FAIL_LEADER_ALIVE) ||
		!ballot_eq(m->ballot, r->ballot) || m->failure.promised.n <= r->ballot.n ||
		is_round_jump(r, m->failure.promised))
		return;

	/* From here on: our present ballot is beaten somewhere. */

	if (r->round_seen < ballot_round(m->failure.promised))
		r->round_seen = ballot_round(m->failure.promised);
	if (r->role == DECREE_LEADER)
		leader_on_failure(r, m->failure.reason, fx);
	else if (r->campaign == CAMPAIGN_PREPARING || r->campaign == CAMPAIGN_PERSISTING)
		candidate_on_failure(r, fx);
}

void
on_leader_change(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (ballot_node(m->ballot) != m->src || is_beaten(r, m->ballot))
		return;
	if (m->leader_change.timeout_now) {
		/* It is repeated with each heartbeat, for as long as it is meant. */
		if (ballot_eq(m->ballot, r->leader_ballot) && m->leader_change.seq < r->heard_seq) {
			r->counters.dropped_stale++;
			return;
		}
		/* The leader's disk has stalled and it asks us to take over: no PreVote, for
		 * everybody has just heard of a leader. */
		lease_give_back(r, m->src);
		if (r->role != DECREE_LEADER && r->campaign == CAMPAIGN_NONE && is_voter(r) &&
			!lease_refuses(r, r->cfg.node_id) && r->snapshot.installing.n == 0)
			campaign_prepare(r, fx);
		return;
	}
	follow(r, m->src, m->ballot, fx);
}

/* ---- time ---- */

static void
election_timed_out(struct eng_replica *r, struct eng_effects *fx)
{
	bool disk_is_stalled = r->stalled_since_ns != NEVER &&
			       r->now_ns > r->stalled_since_ns + r->cfg.disk_stall_ns;

	if (disk_is_stalled || r->snapshot.installing.n != 0) {
		step_down(
			r, r->cfg.election_ns, fx); /* cannot promise itself anything now (10.4) */
		return;
	}
	if (r->campaign == CAMPAIGN_PREPARING && r->log_space_slots == 0) {
		/* What phase 1 found is to be written down, and there is no room for it. Each
		 * Prepare of ours keeps the others from standing: for a while it is their turn. */
		step_down(r, 2 * r->cfg.election_ns, fx);
		return;
	}
	/* A learner does not stand. It asks for the next decision: it may have been removed while
	 * it heard nobody. A node that was removed and knows it asks for votes: those that have all
	 * it has turn it away, and when they are a quorum it ends (12.4); if they have not, it must
	 * lead until they do. */
	if ((!is_voter(r) && !is_removed(r)) || !has_round_left(r)) {
		r->election_ns = r->now_ns + election_timeout(r);
		if (!is_voter(r) && r->was_member)
			learner_want(r, slot_next(r->chosen), r->now_ns);
		return;
	}
	if (lease_refuses(r, r->cfg.node_id)) {
		/* Our own promise counts in the quorum that a lease must meet (8.3). */
		r->election_ns = lease_refuses_until(r) + random_below(r, r->cfg.heartbeat_ns);
		return;
	}
	campaign_prevote(r, fx);
}

void
election_tick(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->role == DECREE_LEADER)
		return;
	if (r->now_ns >= r->election_ns) {
		election_timed_out(r, fx);
		return;
	}
	if (r->now_ns < r->campaign_retry_ns)
		return;
	if (r->campaign == CAMPAIGN_PREVOTE)
		prevote_send(r, fx);
	else if (r->campaign == CAMPAIGN_PREPARING) {
		prepare_send(r, fx);
		campaign_continue(r, fx); /* asks again for what phase 1 waits for */
	}
}
