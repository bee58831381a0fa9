/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A leadership from its first slot to its end.
 *
 *   1. propose again, at our ballot, every slot up to the last that phase 1 heard of: the value
 *      that it chose, or a no-op where a full quorum knows of nothing (5.6, 5.7)
 *   2. ready: take commands (propose.c), count votes and send again what is lost (votes.c)
 *
 * It stops leading when too few heartbeats come back (CheckQuorum, 10.3), when a higher ballot is
 * at work, or when its disk hangs (10.5). It never stops a slot that is on its way: whoever leads
 * next finds it.
 */
#include "engine/core/readindex.h"

#include "base/digest.h"

/* How often missing inherited values are asked for. */
#define INHERIT_RETRY_NS 5000000ull

/* ---- inherited slots ---- */

static void
propose_config(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES + ENG_CONFIG_BYTES_MAX];

	leader_propose(r, slot, value, bootstrap_value(r, value), fx);
}

static void
inherit_ask(struct eng_replica *r, const struct choice *c, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < r->peer_count; i++) {
		uint32_t member = (r->inherit_asked + i) % r->peer_count;
		if (member == r->self || !(c->holders & set_of(member)))
			continue;
		struct eng_msg *q = message_add(r, ENG_MSG_QUERY, r->peers[member].node_id, fx);
		q->query.first = c->slot;
		q->query.after = slot_next(c->slot);
		q->query.accepted_too = true;
		r->counters.queries++;
		return;
	}
}

/* @return false if the chosen value is not here: ask for it, propose it when it comes */
static bool
inherit_slot(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx)
{
	struct choice *c = &r->choices[ring_index(r, slot)];
	struct entry *e = entry_find(r, slot);

	if (e != NULL && ballot_eq(e->vballot, r->ballot))
		return true; /* its value came while we were asking */
	if (e != NULL && e->decided) {
		if (e->vballot.n > r->ballot.n)
			return true; /* a higher ballot decided it: ours is over, though we do not know */
		leader_propose(r, slot, value_place(r, slot), e->bytes, fx);
	} else if (c->slot.n != slot.n || c->holders == 0) {
		if (r->bootstrapping && slot.n == 1)
			propose_config(r, slot, fx);
		else
			leader_propose_noop(r, slot, fx);
	} else if (e != NULL && digest_eq(e->digest, c->digest)) {
		if (c->decided)
			mark_decided(r, e);
		leader_propose(r, slot, value_place(r, slot), e->bytes, fx);
	} else {
		return false;
	}
	return true;
}

/* All of [start, prepare_last], as far as ALPHA and one turn allow. */
static void
inherit_pump(struct eng_replica *r, struct eng_effects *fx)
{
	while (r->inherit_next.n < r->next.n && r->inherit_next.n <= r->chosen.n + r->cfg.alpha &&
		r->inherit_next.n < r->limit.n && r->inherit_next.n <= ring_last(r).n &&
		fx_has_room(fx, 2, 1)) {
		if (r->inherit_next.n > r->chosen.n && !inherit_slot(r, r->inherit_next, fx)) {
			inherit_ask(r, &r->choices[ring_index(r, r->inherit_next)], fx);
			r->inherit_ns = r->now_ns + INHERIT_RETRY_NS;
		}
		r->inherit_next.n++;
	}
}

/* Values that were asked for and did not come: ask the next holder. */
static void
inherit_retry(struct eng_replica *r, struct eng_effects *fx)
{
	uint32_t missing = 0;

	r->inherit_asked++;
	for (uint64_t slot = r->chosen.n + 1; slot < r->inherit_next.n && fx_has_room(fx, 2, 1);
		slot++)
		if (slot <= r->prepare_last.n &&
			!inherit_slot(r, (struct decree_slot){ slot }, fx)) {
			inherit_ask(
				r, &r->choices[ring_index(r, (struct decree_slot){ slot })], fx);
			missing++;
		}
	r->inherit_ns = missing == 0 ? NEVER : r->now_ns + INHERIT_RETRY_NS;
	/* Whoever promised it may not be there any more. Another quorum can tell what to propose
	 * (5.6). */
	if (missing > 0 && r->now_ns >= r->inherit_until_ns && r->reprepare_ns == NEVER)
		r->reprepare_ns = r->now_ns;
}

void
leader_inherit_value(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct decree_slot slot = m->query_reply.slot;
	struct choice *c = &r->choices[ring_index(r, slot)];
	struct entry *e = entry_find(r, slot);

	if (r->role != DECREE_LEADER || slot.n <= r->chosen.n || slot.n >= r->inherit_next.n ||
		slot.n > r->prepare_last.n)
		return;
	if (e != NULL && (e->decided || ballot_eq(e->vballot, r->ballot)))
		return; /* proposed already, or learned as decided while we were asking */
	if (c->slot.n != slot.n || !digest_eq(c->digest, m->query_reply.digest) ||
		!fx_has_room(fx, 1, 1))
		return;

	/* From here on: the very value that phase 1 chose, from whomever. */

	r->inherit_until_ns = r->now_ns + r->cfg.election_ns;
	leader_propose(r, slot, m->query_reply.value, m->query_reply.bytes, fx);
}

/* ---- becoming a leader, becoming ready ---- */

void
leader_check_ready(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER || r->ready || r->limit.n != NEVER || r->halt != ENG_HALT_NONE)
		return;
	if (r->bootstrapping && r->chosen.n >= 1 && r->next.n == 2 && fx_has_room(fx, 1, 1)) {
		leader_propose_noop(r, r->next, fx);
		r->next.n++;
		r->inherit_next = r->next;
		r->prepare_last.n = r->next.n - 1;
	}
	if (r->bootstrapping && r->chosen.n >= 2)
		r->bootstrapping = false; /* durable everywhere, and everywhere known to be */
	if (r->inherit_next.n < r->next.n || r->chosen.n < r->prepare_last.n)
		return;
	r->ready = true;
	r->admit_reset = true;
	r->failures = 0;
	r->stamp_base_ns = r->stamp_last_ns;
	r->stamp_from_ns = r->now_ns;
}

void
leader_begin(struct eng_replica *r, struct eng_effects *fx)
{
	decree_assert(!is_beaten(r, r->ballot));

	r->role = DECREE_LEADER;
	r->leader = r->cfg.node_id;
	r->leader_ballot = r->ballot;
	r->election_ns = NEVER;
	r->campaign_retry_ns = NEVER;
	r->ready = false;
	/* A third slot was never proposed before the second was durable everywhere. */
	r->bootstrapping = r->chosen.n < 2 && r->prepare_last.n < 3;
	if (r->bootstrapping && r->prepare_last.n < 1)
		r->prepare_last.n = 1;
	if (r->prepare_last.n < r->last.n)
		r->prepare_last = r->last; /* learned as decided while we were campaigning */
	if (r->prepare_last.n < r->chosen.n)
		r->prepare_last = r->chosen;
	r->start = slot_next(r->chosen);
	r->next = slot_next(r->prepare_last);
	r->inherit_next = r->start;
	r->inherit_ns = NEVER;
	r->inherit_until_ns = r->now_ns + r->cfg.election_ns;
	r->busy_ns = 0;
	r->announced = r->chosen;
	r->announce_ns = NEVER;
	r->batch.bytes = 0;
	r->train.part_count = 0;
	r->transfer.to = 0;
	audit_begin(r);
	r->heartbeat_ns = r->now_ns;
	r->retransmit_ns = NEVER;
	readindex_leader_begin(r);
	for (uint32_t i = 0; i < r->peer_count; i++) {
		struct peer *p = &r->peers[i];
		p->matched = r->start;
		p->acked_last.n = 0;
		p->echo_ns = r->now_ns; /* a new leader has T to hear the first echoes */
		p->repeated_last.n = 0;
		votes_expect(p);
		p->full_ns = 0;
	}
	if (!is_alone(r)) {
		struct eng_msg *m = message_add(r, ENG_MSG_LEADER_CHANGE, 0, fx);
		m->ballot = r->ballot;
		m->leader_change.start = r->start;
		m->leader_change.timeout_now = false;
		m->leader_change.seq = r->heartbeat_seq;
	}
	membership_begin(r, fx);
	inherit_pump(r, fx);
	leader_check_ready(r, fx);
}

/* ---- turns and time ---- */

void
leader_announce_soon(struct eng_replica *r)
{
	if (r->announced.n < r->chosen.n)
		r->announce_ns = r->now_ns;
}

/* Where one command follows an answer to another, a Success for each would cost as many frames as
 * the Accepts, which carry the same (7.1); so it is sent only if no Accept comes soon. */
static void
announce(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->announced.n == r->chosen.n || is_alone(r)) {
		r->announce_ns = NEVER;
		return;
	}
	if (r->announce_ns == NEVER)
		r->announce_ns = r->now_ns + r->cfg.announce_ns;
	if (r->now_ns < r->announce_ns)
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_SUCCESS, 0, fx);
	m->ballot = r->ballot;
	m->success.start = r->start;
	m->success.commit = r->chosen;
	r->announced = r->chosen;
	r->announce_ns = NEVER;
}

/*
 * The end of a turn. A batch is whatever arrived while the previous write was under way: it is
 * sealed when a write of it would start at once, and never waits for a timer (6.6).
 */
void
leader_flush(struct eng_replica *r, bool log_is_idle, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER)
		return;
	inherit_pump(r, fx);
	membership_flush(r, fx);
	leader_check_ready(r, fx);
	if (log_is_idle && fx_has_room(fx, 1, 1))
		batch_seal(r, fx);
	if (r->ready && r->reprepare_ns == NEVER && r->transfer.to == 0)
		audit_flush(r, fx);
	due_flush(r, fx);
	transfer_continue(r, fx);
	announce(r, fx);
}

void
heartbeat_send(struct eng_replica *r, struct eng_effects *fx)
{
	r->heartbeat_seq++;
	r->heartbeat_sent_ns[r->heartbeat_seq % HEARTBEAT_HISTORY] = r->now_ns;
	r->heartbeat_ns = r->now_ns + r->cfg.heartbeat_ns;
	if (r->cfg.heartbeat_on_grid)
		r->heartbeat_ns -= r->heartbeat_ns % r->cfg.heartbeat_ns;
	if (is_alone(r))
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_HEARTBEAT, 0, fx);
	m->ballot = r->ballot;
	m->heartbeat.seq = r->heartbeat_seq;
	m->heartbeat.start = r->start;
	m->heartbeat.commit = r->chosen;
	guard_heartbeat(r, m, fx);
}

void
on_heartbeat_echo(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER || !ballot_eq(m->ballot, r->ballot) ||
		m->heartbeat_echo.dst_nonce != r->cfg.nonce ||
		m->heartbeat_echo.promised.n > r->ballot.n)
		return;
	struct peer *p = &r->peers[peer_index(r, m->src)];
	uint64_t seq = m->heartbeat_echo.seq;
	if (seq <= p->echo_seq || seq > r->heartbeat_seq ||
		seq + HEARTBEAT_HISTORY <= r->heartbeat_seq)
		return;
	p->echo_seq = seq;
	p->echo_ns = r->heartbeat_sent_ns[seq % HEARTBEAT_HISTORY];
	p->grant_ns = p->echo_ns; /* from its sending, not from its echo (E18) */
	if (p->commit.n < m->heartbeat_echo.commit.n)
		p->commit = m->heartbeat_echo.commit;
	audit_on_echo(r, m);
	r->heard_ns = r->now_ns;
	readindex_on_echo(r, fx);
}

bool
leader_hears(const struct eng_replica *r, uint32_t member)
{
	return member == r->self || r->now_ns < r->peers[member].echo_ns + r->cfg.election_ns;
}

static bool
has_quorum_of_echoes(const struct eng_replica *r)
{
	uint16_t heard = 0;

	for (uint32_t i = 0; i < r->peer_count; i++)
		if (leader_hears(r, i))
			heard |= set_of(i);
	return has_q2_everywhere(r, heard);
}

int32_t
leader_best_peer(const struct eng_replica *r)
{
	int32_t best = -1;

	for (uint16_t set = r->config.voters & r->targets; set != 0; set = set_rest(set)) {
		uint32_t i = set_first(set);
		if (leader_hears(r, i) &&
			(best < 0 || r->peers[i].matched.n > r->peers[best].matched.n))
			best = (int32_t)i;
	}
	return best;
}

/* 10.5: our disk hangs. The peer that has most of the log takes over; we keep voting when it is
 * back. */
static void
hand_over(struct eng_replica *r, struct eng_effects *fx)
{
	int32_t best = leader_best_peer(r);

	if (best < 0)
		return; /* nobody to hand over to: wait for the disk */
	r->counters.handovers++;
	timeout_now_send(r, (uint32_t)best, fx);
	step_down(r, 2 * r->cfg.election_ns, fx);
}

void
leader_on_busy(struct eng_replica *r, const struct eng_msg *m)
{
	if (r->role == DECREE_LEADER && ballot_eq(m->ballot, r->ballot))
		r->busy_ns = r->peers[peer_index(r, m->src)].full_ns = r->now_ns;
}

/* What it refused is sent again every RTO_NS_MAX at the latest, and refused again if nothing has
 * changed. */
static bool
is_roomy(const struct eng_replica *r, uint64_t busy_ns)
{
	return busy_ns == 0 || r->now_ns > busy_ns + 2 * RTO_NS_MAX;
}

bool
leader_lacks_roomy_quorum(const struct eng_replica *r)
{
	uint16_t roomy = 0;

	if (r->role != DECREE_LEADER || is_roomy(r, r->busy_ns))
		return false;
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (is_roomy(r, r->peers[i].full_ns))
			roomy |= set_of(i);
	return !has_q2_everywhere(r, roomy);
}

void
leader_tick(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER)
		return;
	if (!has_quorum_of_echoes(r)) {
		step_down(r, r->cfg.election_ns, fx);
		return;
	}
	if (r->stalled_since_ns != NEVER &&
		r->now_ns > r->stalled_since_ns + r->cfg.disk_stall_ns && !is_alone(r)) {
		hand_over(r, fx);
		if (r->role != DECREE_LEADER)
			return;
	}
	if (r->now_ns >= r->reprepare_ns && fx_has_room(fx, 1, 1)) {
		batch_seal(r, fx); /* phase 1 finds it again, in our own log */
		campaign_prepare(r, fx);
		return;
	}
	if (r->now_ns >= r->heartbeat_ns) {
		heartbeat_send(r, fx);
		membership_tick(r, fx);
		if (r->role != DECREE_LEADER)
			return;
	}
	readindex_leader_tick(r, fx);
	if (r->now_ns >= r->retransmit_ns)
		retransmit(r, fx);
	if (r->now_ns >= r->inherit_ns)
		inherit_retry(r, fx);
	transfer_continue(r, fx);
}

uint64_t
leader_wake_at(const struct eng_replica *r)
{
	uint64_t at = r->heartbeat_ns;

	if (r->role != DECREE_LEADER)
		return NEVER;
	if (r->announce_ns < at)
		at = r->announce_ns;
	if (r->retransmit_ns < at)
		at = r->retransmit_ns;
	if (r->reprepare_ns < at)
		at = r->reprepare_ns;
	if (r->inherit_ns < at)
		at = r->inherit_ns;
	if (due_wake_at(r) < at)
		at = due_wake_at(r);
	return at;
}
