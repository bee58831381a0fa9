/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 2 of the leader.
 *
 *   1. propose again, at our ballot, every slot up to the last that phase 1 heard of: the value that it
 *      chose, or a no-op where a full quorum knows of nothing (5.6, 5.7)
 *   2. pack commands into the next free slot while the previous write is on its way to the disk
 *   3. a slot goes to the own log and to every follower in the same turn
 *   4. q2 durable votes for the same (slot, ballot), our own among them only once durable: chosen
 *   5. what is lost is sent again, byte for byte; who is far behind asks as a learner
 *
 * It stops leading when too few heartbeats come back (CheckQuorum, 10.3), when a higher ballot is at work,
 * or when its disk hangs (10.5). It never stops a slot that is on its way: whoever leads next finds it.
 */
#include "engine/core/replica.h"

#include "base/digest.h"

/* How often lost Accepts are looked for, and missing inherited values asked for. */
#define RETRANSMIT_SCAN_NS REORDER_NS
#define INHERIT_RETRY_NS   5000000ull

/* How long others wait for the next parts of a long command: longer than any retry of a client. */
#define TRAIN_PATIENCE_NS 250000000ull

/* ---- proposing ---- */

/* (slot, ballot) -> bytes is fixed here, at the first send (6.2). */
static void
propose(struct eng_replica *r, struct decree_slot slot, const uint8_t *value, uint32_t bytes,
	struct eng_effects *fx)
{
	struct entry *e =
		entry_store(r, slot, r->ballot, base_digest(value, bytes), value, bytes, false, fx);
	uint64_t stamp_ns = eng_value_stamp(value_place(r, slot));

	e->acks = 0;
	if (r->stamp_last_ns < stamp_ns)
		r->stamp_last_ns = stamp_ns;
	if (r->retransmit_ns == NEVER)
		r->retransmit_ns = r->now_ns + RETRANSMIT_SCAN_NS;
	if (r->cfg.member_count == 1)
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_ACCEPT, 0, fx);
	m->ballot = r->ballot;
	m->accept.slot = slot;
	m->accept.start = r->start;
	m->accept.commit = r->chosen;
	m->accept.digest = e->digest;
	m->accept.value = value_place(r, slot);
	m->accept.bytes = e->bytes;
	r->announced = r->chosen;
}

/* Cluster time: the last stamp of the past plus our own monotonic time since we became ready (7.3). */
static uint64_t
stamp_now(const struct eng_replica *r)
{
	uint64_t stamp_ns = r->stamp_base_ns + (r->now_ns - r->stamp_from_ns);

	return stamp_ns > r->stamp_last_ns ? stamp_ns : r->stamp_last_ns;
}

static void
propose_noop(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];

	eng_value_begin(value, ENG_VALUE_NOOP);
	eng_value_set_stamp(value, r->stamp_last_ns);
	r->counters.noops++;
	propose(r, slot, value, sizeof(value), fx);
}

static void
propose_config(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES + ENG_CONFIG_HEADER_BYTES +
		      DECREE_NODE_COUNT_MAX * ENG_CONFIG_MEMBER_BYTES];

	propose(r, slot, value, bootstrap_value(r, value), fx);
}

/* ---- inherited slots ---- */

static void
inherit_ask(struct eng_replica *r, const struct choice *c, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < r->cfg.member_count; i++) {
		uint32_t member = (r->inherit_asked + i) % r->cfg.member_count;
		if (member == r->self || !(c->holders & (1u << member)))
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
		propose(r, slot, value_place(r, slot), e->bytes, fx);
	} else if (c->slot.n != slot.n || c->holders == 0) {
		if (r->bootstrapping && slot.n == 1)
			propose_config(r, slot, fx);
		else
			propose_noop(r, slot, fx);
	} else if (e != NULL && digest_eq(e->digest, c->digest)) {
		if (c->decided)
			mark_decided(r, e);
		propose(r, slot, value_place(r, slot), e->bytes, fx);
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
		r->inherit_next.n <= ring_last(r).n && fx_has_room(fx, 2, 1)) {
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
	if (c->slot.n != slot.n || !digest_eq(c->digest, m->query_reply.digest))
		return;

	/* From here on: the very value that phase 1 chose, from whomever. */

	propose(r, slot, m->query_reply.value, m->query_reply.bytes, fx);
}

/* ---- becoming a leader, becoming ready ---- */

static void
leader_check_ready(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER || r->ready || r->halt != ENG_HALT_NONE)
		return;
	if (r->bootstrapping && r->chosen.n >= 1 && r->next.n == 2) {
		propose_noop(r, r->next, fx);
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

static void
leader_advance(struct eng_replica *r, struct eng_effects *fx)
{
	advance_chosen(r, fx);
	leader_check_ready(r, fx);
}

void
leader_begin(struct eng_replica *r, struct eng_effects *fx)
{
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
	r->announced = r->chosen;
	r->batch_bytes = 0;
	r->train.part_count = 0;
	r->heartbeat_ns = r->now_ns;
	r->retransmit_ns = NEVER;
	for (uint32_t i = 0; i < r->cfg.member_count; i++) {
		struct peer *p = &r->peers[i];
		p->matched = r->start;
		p->acked_last.n = 0;
		p->echo_ns = r->now_ns; /* a new leader has T to hear the first echoes */
		p->rto_ns = RTO_NS_MIN;
		p->retry_ns = 0;
	}
	if (r->cfg.member_count > 1) {
		struct eng_msg *m = message_add(r, ENG_MSG_LEADER_CHANGE, 0, fx);
		m->ballot = r->ballot;
		m->leader_change.start = r->start;
		m->leader_change.timeout_now = false;
	}
	inherit_pump(r, fx);
	leader_check_ready(r, fx);
}

/* ---- votes ---- */

static void
count_vote(struct eng_replica *r, struct decree_slot slot, uint32_t member)
{
	struct entry *e = entry_find(r, slot);
	bool needs_all = r->bootstrapping && slot.n <= 2;

	if (e == NULL || !ballot_eq(e->vballot, r->ballot))
		return; /* inherited and not proposed yet */
	e->acks |= (uint8_t)(1u << member);
	if (is_quorum(r, e->acks, needs_all ? r->cfg.member_count : r->cfg.q2))
		mark_decided(r, e);
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

static void
count_sack(struct eng_replica *r, struct peer *p, uint32_t member, const struct eng_msg *m)
{
	for (uint32_t word = 0; word < 4; word++) {
		for (uint64_t bits = m->accepted.sack[word]; bits != 0; bits &= bits - 1) {
			uint64_t bit = word * 64 + (uint64_t)__builtin_ctzll(bits);
			struct decree_slot slot = { m->accepted.after.n + 1 + bit };
			if (slot.n >= r->next.n)
				return;
			if (slot.n > r->chosen.n)
				count_vote(r, slot, member);
			if (p->acked_last.n < slot.n)
				p->acked_last = slot;
		}
	}
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
		p->matched = m->accepted.after;
		p->rto_ns = RTO_NS_MIN;
		p->retry_ns = 0;
	}
	if (m->accepted.after.n > 0 && p->acked_last.n < m->accepted.after.n - 1)
		p->acked_last.n = m->accepted.after.n - 1;
	if (p->commit.n < m->accepted.commit.n)
		p->commit = m->accepted.commit;
	count_sack(r, p, member, m);
	leader_advance(r, fx);
}

/* ---- commands ---- */

static bool
window_has_room(const struct eng_replica *r, uint32_t slots)
{
	return r->next.n + slots <= r->chosen.n + r->cfg.window_slots + 1 &&
	       !replica_log_is_full(r);
}

static void
batch_seal(struct eng_replica *r, struct eng_effects *fx)
{
	uint32_t bytes = r->batch_bytes;

	if (bytes == 0)
		return;
	r->batch_bytes = 0;
	eng_value_set_stamp(value_place(r, r->next), stamp_now(r));
	r->next.n++;
	propose(r, (struct decree_slot){ r->next.n - 1 },
		value_place(r, (struct decree_slot){ r->next.n - 1 }), bytes, fx);
}

static void
batch_open(struct eng_replica *r)
{
	entry_place(r, r->next)->slot.n =
		0; /* what stood here is decided, applied and in the log */
	r->batch_bytes = eng_value_begin(value_place(r, r->next), ENG_VALUE_BATCH);
}

/* Other bytes under the same number are found by the train's digest, when it is applied. */
static bool
is_open_train(const struct eng_replica *r, const struct eng_command *c)
{
	return r->train.part_count != 0 && r->train.session.n == c->session.n &&
	       r->train.seq == c->seq && r->train.bytes == c->bytes;
}

/* Somebody's train is under way: nothing may stand between its parts. */
static bool
must_wait_for_train(struct eng_replica *r, const struct eng_command *c)
{
	if (r->train.part_count == 0 || is_open_train(r, c))
		return false;
	if (r->now_ns < r->train.used_ns + TRAIN_PATIENCE_NS)
		return true;
	r->train.part_count = 0;
	return false;
}

static enum eng_submit_status
submit_admit(struct eng_replica *r, const struct eng_command *c)
{
	if (c->session.n == 0)
		return c->bytes == DECREE_UUID_BYTES ? ENG_SUBMIT_OK : ENG_SUBMIT_NO_SESSION;
	return eng_session_admit(r->sessions, c->session, c->seq);
}

static uint32_t
part_bytes_max(const struct eng_replica *r)
{
	return r->cfg.slot_bytes - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES;
}

static void
propose_part(struct eng_replica *r, const struct eng_command *c, struct eng_effects *fx)
{
	struct decree_slot slot = r->next;
	uint32_t offset = r->train.part_next * part_bytes_max(r);
	uint32_t left = c->bytes - offset;
	struct eng_fragment f = {
		.session = c->session,
		.seq = c->seq,
		.train = r->train.first,
		.part = r->train.part_next++,
		.part_count = r->train.part_count,
		.command_bytes = c->bytes,
		.digest = r->train.digest,
		.bytes = c->body + offset,
		.count = left < part_bytes_max(r) ? left : part_bytes_max(r),
	};

	entry_place(r, slot)->slot.n = 0;
	uint32_t bytes = eng_value_fragment(value_place(r, slot), &f);
	eng_value_set_stamp(value_place(r, slot), stamp_now(r));
	r->next.n++;
	propose(r, slot, value_place(r, slot), bytes, fx);
}

/* @return false if the command may not begin now; *ret_status says why */
static bool
train_begin(struct eng_replica *r, const struct eng_command *c, uint32_t parts,
	enum eng_submit_status *ret_status, struct eng_effects *fx)
{
	*ret_status = eng_session_may_admit(r->sessions, c->session, c->seq);
	if (*ret_status != ENG_SUBMIT_OK)
		return false;
	*ret_status = ENG_SUBMIT_BUSY;
	if (!window_has_room(r, 2) || !fx_has_room(fx, 2, 2))
		return false;
	batch_seal(r, fx);
	r->train.session = c->session;
	r->train.seq = c->seq;
	r->train.bytes = c->bytes;
	r->train.digest = base_digest(c->body, c->bytes);
	r->train.first = r->next;
	r->train.part_next = 0;
	r->train.part_count = parts;
	return true;
}

/*
 * A train: fragments in consecutive slots, nothing between them (7.5a). A long one takes several steps: the
 * answer is BUSY until the last part is proposed, and the same command, given again, goes on where it
 * stopped. Meanwhile other commands wait, unless whoever sends the long one has gone silent; then the
 * train is left as it is, and every node discards it alike.
 */
static enum eng_submit_status
submit_train(
	struct eng_replica *r, const struct eng_command *c, uint32_t parts, struct eng_effects *fx)
{
	enum eng_submit_status status;

	if (!is_open_train(r, c) && !train_begin(r, c, parts, &status, fx))
		return status;
	r->train.used_ns = r->now_ns;
	if (r->train.part_next + 1 == r->train.part_count &&
		!digest_eq(r->train.digest, base_digest(c->body, c->bytes))) {
		r->train.part_count = 0; /* other bytes than it began with: leave it, begin anew */
		return ENG_SUBMIT_BUSY;
	}
	while (r->train.part_next < r->train.part_count) {
		if (!window_has_room(r, 1) || !fx_has_room(fx, 1, 1))
			return ENG_SUBMIT_BUSY;
		propose_part(r, c, fx);
	}
	r->train.part_count = 0;
	return eng_session_admit(r->sessions, c->session, c->seq);
}

static enum eng_submit_status
submit_small(struct eng_replica *r, const struct eng_command *c, struct eng_effects *fx)
{
	uint32_t needed = ENG_COMMAND_HEADER_BYTES + c->bytes;
	bool fits = r->batch_bytes > 0 && r->batch_bytes + needed <= r->cfg.slot_bytes;

	if (!fits && (!window_has_room(r, r->batch_bytes > 0 ? 2 : 1) || !fx_has_room(fx, 1, 1)))
		return ENG_SUBMIT_BUSY;
	enum eng_submit_status status = submit_admit(r, c);
	if (status != ENG_SUBMIT_OK)
		return status;
	if (!fits) {
		batch_seal(r, fx);
		batch_open(r);
	}
	r->batch_bytes =
		eng_value_add(value_place(r, r->next), r->batch_bytes, r->cfg.slot_bytes, c);
	decree_assert(r->batch_bytes != 0);
	return ENG_SUBMIT_OK;
}

static enum eng_submit_status
submit_one(struct eng_replica *r, const struct eng_command *c, struct eng_effects *fx)
{
	if (c->bytes > r->cfg.command_bytes_max)
		return ENG_SUBMIT_TOO_LARGE;
	if (must_wait_for_train(r, c))
		return ENG_SUBMIT_BUSY;
	uint32_t parts = eng_value_part_count(c->bytes, r->cfg.slot_bytes);
	return parts == 1 ? submit_small(r, c, fx) : submit_train(r, c, parts, fx);
}

void
on_submit(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	bool leads = r->role == DECREE_LEADER && r->ready && r->reprepare_ns == NEVER;

	if (leads && r->admit_reset) {
		eng_sessions_admit_reset(r->sessions);
		r->admit_reset = false;
	}
	for (uint32_t i = 0; i < ev->submit.count; i++)
		ev->submit.ret_statuses[i] =
			leads ? submit_one(r, &ev->submit.commands[i], fx) : ENG_SUBMIT_NOT_LEADER;
}

/*
 * The end of a turn. A batch is whatever arrived while the previous write was under way: it is sealed when
 * a write of it would start at once, and never waits for a timer (6.6).
 */
void
leader_flush(struct eng_replica *r, bool log_is_idle, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER)
		return;
	inherit_pump(r, fx);
	leader_check_ready(r, fx);
	if (log_is_idle && fx_has_room(fx, 1, 1))
		batch_seal(r, fx);
	if (r->announced.n < r->chosen.n && r->cfg.member_count > 1) {
		struct eng_msg *m = message_add(r, ENG_MSG_SUCCESS, 0, fx);
		m->ballot = r->ballot;
		m->success.start = r->start;
		m->success.commit = r->chosen;
		r->announced = r->chosen;
	}
}

/* ---- time ---- */

static void
heartbeat_send(struct eng_replica *r, struct eng_effects *fx)
{
	r->heartbeat_seq++;
	r->heartbeat_sent_ns[r->heartbeat_seq % HEARTBEAT_HISTORY] = r->now_ns;
	r->heartbeat_ns = r->now_ns + r->cfg.heartbeat_ns;
	if (r->cfg.member_count == 1)
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_HEARTBEAT, 0, fx);
	m->ballot = r->ballot;
	m->heartbeat.seq = r->heartbeat_seq;
	m->heartbeat.start = r->start;
	m->heartbeat.commit = r->chosen;
}

void
on_heartbeat_echo(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	(void)fx;
	if (r->role != DECREE_LEADER || !ballot_eq(m->ballot, r->ballot) ||
		m->heartbeat_echo.dst_nonce != r->cfg.nonce)
		return;
	struct peer *p = &r->peers[peer_index(r, m->src)];
	uint64_t seq = m->heartbeat_echo.seq;
	if (seq <= p->echo_seq || seq > r->heartbeat_seq ||
		seq + HEARTBEAT_HISTORY <= r->heartbeat_seq)
		return;
	p->echo_seq = seq;
	p->echo_ns = r->heartbeat_sent_ns[seq % HEARTBEAT_HISTORY];
	if (p->commit.n < m->heartbeat_echo.commit.n)
		p->commit = m->heartbeat_echo.commit;
	r->heard_ns = r->now_ns;
}

static bool
is_heard(const struct eng_replica *r, uint32_t member)
{
	return member == r->self || r->now_ns < r->peers[member].echo_ns + r->cfg.election_ns;
}

static bool
has_quorum_of_echoes(const struct eng_replica *r)
{
	uint8_t heard = 0;

	for (uint32_t i = 0; i < r->cfg.member_count; i++)
		if (is_heard(r, i))
			heard |= (uint8_t)(1u << i);
	return is_quorum(r, heard, r->cfg.q2);
}

/* 10.5: our disk hangs. The peer that has most of the log takes over; we keep voting when it is back. */
static void
hand_over(struct eng_replica *r, struct eng_effects *fx)
{
	int32_t best = -1;

	for (uint32_t i = 0; i < r->cfg.member_count; i++)
		if (i != r->self && is_heard(r, i) &&
			(best < 0 || r->peers[i].matched.n > r->peers[best].matched.n))
			best = (int32_t)i;
	if (best < 0)
		return; /* nobody to hand over to: wait for the disk */
	r->counters.handovers++;
	struct eng_msg *m = message_add(r, ENG_MSG_LEADER_CHANGE, r->peers[best].node_id, fx);
	m->ballot = r->ballot;
	m->leader_change.start = r->start;
	m->leader_change.timeout_now = true;
	step_down(r, 2 * r->cfg.election_ns, fx);
}

static bool
is_lost(const struct eng_replica *r, const struct peer *p, uint32_t member, const struct entry *e)
{
	if (e->acks & (1u << member) || !ballot_eq(e->vballot, r->ballot))
		return false;
	return r->now_ns > e->sent_ns + p->rto_ns ||
	       (e->slot.n < p->acked_last.n && r->now_ns > e->sent_ns + REORDER_NS);
}

static void
retransmit_peer(struct eng_replica *r, uint32_t member, struct eng_effects *fx)
{
	struct peer *p = &r->peers[member];
	uint32_t count = 0;

	if (member == r->self || r->now_ns < p->retry_ns)
		return;
	for (uint64_t slot = r->chosen.n + 1; slot < r->next.n && count < RETRANSMIT_COUNT_MAX;
		slot++) {
		const struct entry *e = entry_find(r, (struct decree_slot){ slot });
		if (e == NULL || !is_lost(r, p, member, e))
			continue;
		struct eng_msg *m = message_add(r, ENG_MSG_ACCEPT, p->node_id, fx);
		m->ballot = r->ballot;
		m->accept.slot = e->slot;
		m->accept.start = r->start;
		m->accept.commit = r->chosen;
		m->accept.digest = e->digest;
		m->accept.value = value_place(r, e->slot);
		m->accept.bytes = e->bytes;
		count++;
	}
	if (count == 0)
		return;
	r->counters.retransmits += count;
	p->retry_ns = r->now_ns + p->rto_ns + random_below(r, p->rto_ns / 4 + 1);
	p->rto_ns = p->rto_ns * 2 < RTO_NS_MAX ? p->rto_ns * 2 : RTO_NS_MAX;
}

static void
retransmit(struct eng_replica *r, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < r->cfg.member_count; i++)
		retransmit_peer(r, i, fx);
	r->retransmit_ns = r->chosen.n + 1 < r->next.n ? r->now_ns + RETRANSMIT_SCAN_NS : NEVER;
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
		r->now_ns > r->stalled_since_ns + r->cfg.disk_stall_ns && r->cfg.member_count > 1) {
		hand_over(r, fx);
		if (r->role != DECREE_LEADER)
			return;
	}
	if (r->now_ns >= r->reprepare_ns) {
		batch_seal(r, fx); /* phase 1 finds it again, in our own log */
		campaign_prepare(r, fx);
		return;
	}
	if (r->now_ns >= r->heartbeat_ns)
		heartbeat_send(r, fx);
	if (r->now_ns >= r->retransmit_ns)
		retransmit(r, fx);
	if (r->now_ns >= r->inherit_ns)
		inherit_retry(r, fx);
}

uint64_t
leader_wake_at(const struct eng_replica *r)
{
	uint64_t at = r->heartbeat_ns;

	if (r->role != DECREE_LEADER)
		return NEVER;
	if (r->retransmit_ns < at)
		at = r->retransmit_ns;
	if (r->reprepare_ns < at)
		at = r->reprepare_ns;
	if (r->inherit_ns < at)
		at = r->inherit_ns;
	return at;
}
