/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads that need no slot (8.2), and leases (8.3).
 *
 * A read may be answered from the state after slot r if r covers every command that was
 * acknowledged before the read began. Only the leader can name such an r, and only while it leads:
 *
 *   1. a batch of reads gets a token: tokens count from 1 in each life of a node. Its node asks the
 *      leader (READ_INDEX), or itself
 *   2. the leader, ready, takes r := its decided prefix and starts a round: a heartbeat that leaves
 *      after everything that waits had arrived. One round is under way at a time, and serves all
 *      that waited
 *   3. members that meet every phase 1 quorum echo it, so nobody else had completed phase 1 before
 *      the round began, and nobody can have acknowledged what is not in r
 *   4. r goes back (READ_INDEX_REPLY); the node applies up to r and answers
 *
 * An answer to token t serves every older batch of that node too: those reads had begun before t
 * was given out. So the leader keeps one token per member in the round and one behind it, whatever
 * the load.
 *
 * What goes wrong, and where it ends:
 *   - a frame is lost: the newest token is asked for again, the round's heartbeat is sent again
 *   - the leader changes: the new one is asked; what the old one still answers is good, if it
 *     answers
 *   - the leader is not ready: the reads wait until it is
 *   - too many batches are open here: the runtime is told to keep the next one for a while
 *
 * A member that has promised less than the leader's ballot counts like one that promised exactly
 * that: what a round must know is that its member had promised nothing higher, since a new leader
 * needs the promise of one member of every such set. One that has promised more, or heard a later
 * leader, does not echo at all.
 *
 * Leases. An echo is also a grant: its sender refuses everybody else's phase 1 for a while, counted
 * from its receipt. The leader counts the same time from its heartbeat's sending, hence from
 * earlier, and by the drift that both clocks may have had it stops before the first of them begins
 * to promise others anything. While grants of members that meet every phase 1 quorum hold, the
 * leader needs no round. A grant gives way to one for a higher ballot only: that a leader was
 * elected there means that the lease of the lower one had ended. is_beaten() sees to it also for a
 * member that has promised neither.
 */
#include "engine/core/readindex.h"

/* ---- leader: rounds ---- */

static void
reply_send(struct eng_replica *r, struct peer *p, struct eng_effects *fx)
{
	struct eng_msg *m = message_add(r, ENG_MSG_READ_INDEX_REPLY, p->node_id, fx);

	m->ballot = r->ballot;
	m->read_index_reply.token = p->read_round.token;
	m->read_index_reply.dst_nonce = p->read_round.nonce;
	m->read_index_reply.slot = r->reads.round_slot;
}

/* Own batches up to this token may be answered once `slot` is applied. */
static void
complete(struct eng_replica *r, uint64_t token, struct decree_slot slot, struct eng_effects *fx)
{
	while (r->reads.done < token) {
		uint64_t next = ++r->reads.done;
		fx->read_ready[fx->read_ready_count++] = (struct eng_read_ready){
			.id = r->reads.open[next % ENG_READ_OPEN_MAX],
			.slot = slot,
		};
	}
	if (r->reads.done == r->reads.last)
		r->reads.retry_ns = NEVER;
}

static void
round_finish(struct eng_replica *r, struct eng_effects *fx)
{
	r->reads.round_seq = 0;
	r->reads.round_retry_ns = NEVER;
	for (uint32_t i = 0; i < r->peer_count; i++) {
		struct peer *p = &r->peers[i];
		if (p->read_round.token == 0)
			continue;
		if (i == r->self)
			complete(r, p->read_round.token, r->reads.round_slot, fx);
		else
			reply_send(r, p, fx);
		p->read_round.token = 0;
	}
}

void
readindex_on_echo(struct eng_replica *r, struct eng_effects *fx)
{
	uint16_t set = set_of(r->self);

	if (r->reads.round_seq == 0)
		return;
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (i != r->self && r->peers[i].echo_seq >= r->reads.round_seq)
			set |= set_of(i);
	if (ballot_eq(r->promised, r->ballot) && meets_every_q1(r, set))
		round_finish(r, fx);
}

/* Each repetition waits twice as long, up to a heartbeat: from then on heartbeats do. */
static uint64_t
retry_pause_ns(const struct eng_replica *r)
{
	uint64_t pause_ns = READ_RETRY_NS << r->reads.repeat_count;

	return pause_ns < r->cfg.heartbeat_ns ? pause_ns : r->cfg.heartbeat_ns;
}

static void
repeat_later(struct eng_replica *r, bool is_repeated, uint64_t *ret_at_ns)
{
	if (!is_repeated)
		r->reads.repeat_count = 0;
	else if (r->reads.repeat_count < READ_RETRY_SHIFT_MAX)
		r->reads.repeat_count++;
	*ret_at_ns = r->now_ns + retry_pause_ns(r);
}

/* Everything that waits joins the round, and the round begins after all of it had arrived. */
static void
round_start(struct eng_replica *r, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < r->peer_count; i++) {
		r->peers[i].read_round = r->peers[i].read_queued;
		r->peers[i].read_queued.token = 0;
	}
	r->reads.is_queued = false;
	r->reads.round_slot = r->chosen;
	r->counters.read_rounds++;
	heartbeat_send(r, fx);
	r->reads.round_seq = r->heartbeat_seq;
	repeat_later(r, false, &r->reads.round_retry_ns);
	readindex_on_echo(r, fx); /* our own word may be enough */
}

void
readindex_leader_begin(struct eng_replica *r)
{
	for (uint32_t i = 0; i < r->peer_count; i++) {
		r->peers[i].read_queued.token = 0;
		r->peers[i].read_round.token = 0;
		r->peers[i].grant_ns = 0;
	}
	r->reads.is_queued = false;
	r->reads.round_seq = 0;
	r->reads.round_retry_ns = NEVER;
	r->lease.is_revoked = false;
	r->lease.is_suspended = false;
}

void
readindex_leader_tick(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->reads.round_seq == 0 || r->now_ns < r->reads.round_retry_ns)
		return;
	repeat_later(r, true, &r->reads.round_retry_ns);
	heartbeat_send(r, fx);    /* an echo of this one serves the round as well */
	readindex_on_echo(r, fx); /* and whoever it waits for may be a member no more */
}

static void
queue(struct eng_replica *r, struct peer *p, uint64_t nonce, uint64_t token)
{
	if (p->read_queued.token != 0 && p->read_queued.nonce == nonce &&
		p->read_queued.token >= token)
		return; /* frames overtake each other */
	p->read_queued.nonce = nonce;
	p->read_queued.token = token;
	r->reads.is_queued = true;
}

void
on_read_index(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	(void)fx;
	if (r->role != DECREE_LEADER || m->read_index.token == 0) {
		r->counters.dropped_stale++;
		return; /* it asks again when it knows who leads */
	}
	queue(r, &r->peers[peer_index(r, m->src)], m->src_nonce, m->read_index.token);
}

/* ---- own reads ---- */

void
on_read(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	if (r->reads.last - r->reads.done == ENG_READ_OPEN_MAX) {
		fx->read_ready[fx->read_ready_count++] =
			(struct eng_read_ready){ .id = ev->read.id, .is_busy = true };
		return;
	}
	r->reads.last++;
	r->reads.open[r->reads.last % ENG_READ_OPEN_MAX] = ev->read.id;
}

void
on_read_index_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	uint64_t token = m->read_index_reply.token;

	/* Who was leader when it answered need not be one now: its round was over by then. */
	if (m->read_index_reply.dst_nonce != r->cfg.nonce || token > r->reads.last) {
		r->counters.dropped_stale++;
		return; /* asked in an earlier life of this node, or never */
	}
	complete(r, token, m->read_index_reply.slot, fx);
}

static void
ask_self(struct eng_replica *r)
{
	if (r->reads.asked == r->reads.last && ballot_eq(r->reads.asked_ballot, r->ballot))
		return;
	queue(r, &r->peers[r->self], r->cfg.nonce, r->reads.last);
	r->reads.asked = r->reads.last;
	r->reads.asked_ballot = r->ballot;
	r->reads.retry_ns = NEVER; /* the round repeats itself */
}

static void
ask_leader(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->leader == 0 || r->leader == r->cfg.node_id)
		return;
	bool is_asked = r->reads.asked == r->reads.last &&
			ballot_eq(r->reads.asked_ballot, r->leader_ballot);
	if (is_asked && r->now_ns < r->reads.retry_ns)
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_READ_INDEX, r->leader, fx);
	m->ballot = r->leader_ballot;
	m->read_index.token = r->reads.last;
	r->reads.asked = r->reads.last;
	r->reads.asked_ballot = r->leader_ballot;
	repeat_later(r, is_asked, &r->reads.retry_ns);
}

void
readindex_flush(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->reads.done < r->reads.last) {
		if (r->role == DECREE_LEADER)
			ask_self(r);
		else
			ask_leader(r, fx);
	}
	if (r->reads.is_queued && r->reads.round_seq == 0 && r->role == DECREE_LEADER && r->ready)
		round_start(r, fx);
}

uint64_t
readindex_wake_at(const struct eng_replica *r)
{
	if (r->role == DECREE_LEADER)
		return r->reads.round_retry_ns;
	return r->leader != 0 && r->leader != r->cfg.node_id ? r->reads.retry_ns : NEVER;
}

/* ---- leases ---- */

/*
 * How long a member refuses others, on its own clock. Each clock may run wrong by rho: the leader's
 * D last at most D / (1 - rho), and X of the member's at least X / (1 + rho), so X = D (1 + rho) /
 * (1 - rho), which is a little more than the D (1 + 2 rho) of 8.3.
 */
static uint64_t
refusal_ns(const struct eng_replica *r)
{
	uint64_t ppm = r->cfg.max_drift_ppm;

	return r->cfg.lease_ns * (1000000 + ppm) / (1000000 - ppm) + 1;
}

void
lease_grant(struct eng_replica *r, uint16_t leader)
{
	if (r->cfg.lease_ns == 0)
		return;
	r->lease.holder = leader;
	r->lease.until_ns = r->now_ns + refusal_ns(r);
}

void
lease_start(struct eng_replica *r)
{
	if (r->cfg.lease_ns != 0 && !is_alone(r))
		r->lease.mute_until_ns = r->now_ns + refusal_ns(r);
}

bool
lease_refuses(const struct eng_replica *r, uint16_t candidate)
{
	return r->now_ns < r->lease.mute_until_ns ||
	       (r->now_ns < r->lease.until_ns && r->lease.holder != candidate);
}

uint64_t
lease_refuses_until(const struct eng_replica *r)
{
	return r->lease.until_ns > r->lease.mute_until_ns ? r->lease.until_ns
							  : r->lease.mute_until_ns;
}

void
lease_give_back(struct eng_replica *r, uint16_t holder)
{
	if (r->lease.holder == holder)
		r->lease.until_ns = 0;
}

void
lease_revoke(struct eng_replica *r)
{
	r->lease.is_revoked = true;
}

void
lease_suspend(struct eng_replica *r)
{
	r->lease.is_suspended = true;
}

void
lease_resume(struct eng_replica *r)
{
	r->lease.is_suspended = false;
	for (uint32_t i = 0; i < r->peer_count; i++)
		r->peers[i].grant_ns = 0;
}

bool
eng_lease_holds(const struct eng_replica *r, uint64_t now_ns)
{
	uint16_t set = set_of(r->self);

	if (r->cfg.lease_ns == 0 || r->role != DECREE_LEADER || !r->ready || r->lease.is_revoked ||
		r->lease.is_suspended || !ballot_eq(r->promised, r->ballot))
		return false;
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (r->peers[i].grant_ns != 0 && now_ns < r->peers[i].grant_ns + r->cfg.lease_ns)
			set |= set_of(i);
	return meets_every_q1(r, set);
}
