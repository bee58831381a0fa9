/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The learner: which slots are chosen, and how to get those that were missed.
 *
 * A commit index from the leader of ballot b decides a slot here only if this node holds the value
 * that b proposed (own entry at b, slot >= start(b)); the value of an older ballot may have lost
 * (7.1, E16). Everything else is fetched: a Query names a range, any peer that knows the decision
 * answers. An accepted value in an answer is no decision (9.1, E28); only phase 1 asks for those,
 * by digest.
 */
#include "engine/core/replica.h"

#include "base/digest.h"
#include "engine/core/readindex.h"
#include "engine/core/record.h"

/* ---- the decided prefix ---- */

void
mark_decided(struct eng_replica *r, struct entry *e)
{
	e->decided = true;
	damage_clear(r, e->slot);
}

static void
note_value(struct eng_replica *r, const struct entry *e, struct eng_effects *fx)
{
	const uint8_t *bytes = value_place(r, e->slot);
	uint64_t stamp_ns = eng_value_stamp(bytes);
	struct eng_value v;

	if (r->stamp_last_ns < stamp_ns)
		r->stamp_last_ns = stamp_ns;
	if (bytes[0] != ENG_VALUE_CONFIG && bytes[0] != ENG_VALUE_MARK)
		return;
	int rc = eng_value_decode(bytes, e->bytes, &v);
	decree_assert(rc == 0);
	if (v.kind == ENG_VALUE_MARK)
		audit_on_chosen(r, e->slot, &v.mark);
	else
		membership_decided(r, e->slot, &v.membership, fx);
}

void
advance_chosen(struct eng_replica *r, struct eng_effects *fx)
{
	struct decree_slot first = slot_next(r->chosen);

	if (r->snapshot.installing.n != 0)
		return; /* the state machine is on its way to a later slot */
	for (;;) {
		struct entry *e = entry_find(r, slot_next(r->chosen));
		if (e == NULL || !e->decided)
			break;
		r->chosen = e->slot;
		note_value(r, e, fx);
		if (r->chosen.n + 1 >= r->config_next.from.n)
			membership_switch(r, fx);
	}
	if (r->chosen.n < first.n)
		return;
	r->query_fruitless = 0;
	r->query_idle_ns = 0;
	if (fx->apply_first.n == 0)
		fx->apply_first = first;
	fx->apply_after = slot_next(r->chosen);
	if (r->chosen_seen.n < r->chosen.n)
		r->chosen_seen = r->chosen;
	if (r->chosen.n >= r->chosen_seen.n)
		r->query_ns = NEVER;
}

void
learn_commit(struct eng_replica *r, struct decree_ballot ballot, struct decree_slot start,
	struct decree_slot commit, struct eng_effects *fx)
{
	for (uint64_t slot = r->chosen.n + 1; slot <= commit.n; slot++) {
		struct entry *e = entry_find(r, (struct decree_slot){ slot });
		if (slot > ring_last(r).n)
			break;
		if (e != NULL && slot >= start.n && ballot_eq(e->vballot, ballot))
			mark_decided(r, e);
		else if (e == NULL || !e->decided)
			break;
	}
	advance_chosen(r, fx);
	if (r->chosen.n < commit.n)
		learner_want(
			r, commit, r->now_ns + (r->chosen.n + 1 < start.n ? 0 : QUERY_GRACE_NS));
}

void
on_success(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (ballot_node(m->ballot) != m->src || is_beaten(r, m->ballot))
		return;
	follow(r, m->src, m->ballot, fx);
	learn_commit(r, m->ballot, m->success.start, m->success.commit, fx);
}

void
on_heartbeat(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (ballot_node(m->ballot) != m->src)
		return;
	if (is_beaten(r, m->ballot)) {
		ballot_refuse(r, m, fx);
		return;
	}
	follow(r, m->src, m->ballot, fx);
	if (r->heard_seq < m->heartbeat.seq)
		r->heard_seq = m->heartbeat.seq;
	guard_on_heartbeat(r, m, fx);
	lease_grant(r, m->src);
	struct eng_msg *echo = message_add(r, ENG_MSG_HEARTBEAT_ECHO, m->src, fx);
	echo->ballot = m->ballot;
	echo->heartbeat_echo.seq = m->heartbeat.seq;
	echo->heartbeat_echo.dst_nonce = m->src_nonce;
	echo->heartbeat_echo.promised = r->promised;
	learn_commit(r, m->ballot, m->heartbeat.start, m->heartbeat.commit, fx);
	echo->heartbeat_echo.commit = r->chosen;
	echo->heartbeat_echo.cut_asked = r->audit.cut_asked;
}

/* ---- asking ---- */

void
learner_want(struct eng_replica *r, struct decree_slot commit, uint64_t at_ns)
{
	if (r->chosen_seen.n < commit.n)
		r->chosen_seen = commit;
	if (at_ns < r->query_idle_ns)
		at_ns = r->query_idle_ns;
	if (at_ns < r->query_ns)
		r->query_ns = at_ns;
}

/* The leader every other time: it surely knows. In between each of the others, for the leader may
 * be cut off from us, and whoever it is that hears us may be the last in turn (10.7). */
static uint32_t
query_peer_next(struct eng_replica *r)
{
	int32_t leader = peer_index(r, r->leader);
	uint16_t others = r->targets;

	if (leader >= 0 && (uint32_t)leader != r->self) {
		if ((uint32_t)leader != r->query_peer)
			return (uint32_t)leader;
		others &= (uint16_t)~set_of((uint32_t)leader);
	}
	if (others == 0)
		return (uint32_t)leader;
	do
		r->query_turn = (r->query_turn + 1) % r->peer_count;
	while (!(others & set_of(r->query_turn)));
	return r->query_turn;
}

/* A log without room turns away what comes. Whether a snapshot would help is answered to a question
 * for one slot, too. */
static uint64_t
query_slots_max(const struct eng_replica *r)
{
	return r->log_space_slots == 0 && r->query_fruitless > 0 ? 1 : QUERY_SLOT_COUNT;
}

static void
query_send(struct eng_replica *r, struct decree_slot first, struct eng_effects *fx)
{
	uint64_t after = r->chosen_seen.n + 1;

	if (after > first.n + query_slots_max(r))
		after = first.n + query_slots_max(r);
	struct eng_msg *q = message_add(r, ENG_MSG_QUERY, r->peers[r->query_peer].node_id, fx);
	q->query.first = first;
	q->query.after.n = after;
	q->query.accepted_too = false;
	r->query_after.n = after;
	r->counters.queries += after - first.n;
}

/* A Query is on its way. The first round over the members is quick, the next ones slower and
 * slower. */
static void
query_pace(struct eng_replica *r)
{
	uint32_t rounds = ++r->query_fruitless / r->peer_count;
	uint32_t doublings_max =
		r->log_space_slots == 0 ? QUERY_FULL_DOUBLINGS_MAX : QUERY_DOUBLINGS_MAX;
	uint32_t doublings = rounds < doublings_max ? rounds : doublings_max;

	r->query_idle_ns = r->now_ns + (QUERY_RETRY_NS << doublings);
	r->query_ns = r->query_idle_ns;
	if (rounds >= QUERY_ROUNDS_MAX) {
		r->chosen_seen = r->chosen;
		r->query_ns = NEVER;
	}
}

void
learner_ask_anew(struct eng_replica *r)
{
	r->query_fruitless = 0;
	r->query_idle_ns = 0;
	if (r->chosen.n < r->chosen_seen.n)
		learner_want(r, r->chosen_seen, r->now_ns);
}

void
learner_tick(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->now_ns < r->query_ns)
		return;
	r->query_ns = NEVER;
	if (r->chosen.n >= r->chosen_seen.n || is_alone(r) || r->snapshot.installing.n != 0)
		return;
	r->query_peer = query_peer_next(r);
	query_send(r, slot_next(r->chosen), fx);
	query_pace(r);
}

/* ---- answering ---- */

static struct eng_msg *
reply_add(struct eng_replica *r, uint16_t to, struct decree_slot slot, enum eng_entry_state state,
	struct eng_effects *fx)
{
	struct eng_msg *m = message_add(r, ENG_MSG_QUERY_REPLY, to, fx);

	m->query_reply.slot = slot;
	m->query_reply.state = state;
	m->query_reply.commit = r->chosen;
	return m;
}

static void
entry_send(struct eng_replica *r, const struct entry *e, uint16_t to, struct eng_effects *fx)
{
	struct eng_msg *m =
		reply_add(r, to, e->slot, e->decided ? ENG_ENTRY_DECIDED : ENG_ENTRY_ACCEPTED, fx);

	m->query_reply.vballot = e->vballot;
	m->query_reply.digest = e->digest;
	m->query_reply.value = value_place(r, e->slot);
	m->query_reply.bytes = e->bytes;
}

void
decided_send(struct eng_replica *r, struct decree_slot slot, uint16_t to, struct eng_effects *fx)
{
	const struct entry *e = entry_find(r, slot);

	decree_assert(slot.n <= r->chosen.n || (e != NULL && e->decided));
	if (e != NULL)
		entry_send(r, e, to, fx);
	else if (fx->read_count < ENG_FX_READ_MAX)
		fx->reads[fx->read_count++] = (struct eng_read){ slot, to };
}

void
on_query(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	uint64_t after = m->query.after.n;

	if (after > m->query.first.n + QUERY_SLOT_COUNT)
		after = m->query.first.n + QUERY_SLOT_COUNT;
	if (after > r->last.n + 1)
		after = r->last.n + 1;
	bool is_told = false;
	for (uint64_t slot = m->query.first.n != 0 ? m->query.first.n : 1; slot < after; slot++) {
		struct decree_slot s = { slot };
		const struct entry *e = entry_find(r, s);
		if (slot < r->low.n && e == NULL) {
			if (!is_told)
				compacted_send(r, m, fx); /* once is enough (9.3) */
			is_told = true;
		} else if (slot <= r->chosen.n)
			decided_send(r, s, m->src, fx);
		else if (e != NULL && (e->decided || m->query.accepted_too))
			entry_send(r, e, m->src, fx);
	}
}

/* The log has handed back an old record; it is decided, or nobody would have asked for it. */
void
on_value(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	struct eng_record record;

	if (eng_record_decode(ev->value.tag, &record) != 0 || record.kind == ENG_RECORD_FAULTY ||
		record.slot.n > r->chosen.n || record.bytes != ev->value.bytes)
		return;
	struct eng_msg *m = reply_add(r, ev->value.requester, record.slot, ENG_ENTRY_DECIDED, fx);
	m->query_reply.vballot = record.vballot;
	m->query_reply.digest = record.digest;
	m->query_reply.value = ev->value.value;
	m->query_reply.bytes = ev->value.bytes;
}

/* ---- learning from an answer ---- */

static void
learn_decided(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct entry *e = entry_find(r, m->query_reply.slot);
	bool is_same = e != NULL && digest_eq(e->digest, m->query_reply.digest);

	/* Under a mark only a record decides: hints speak of the last one, and that is not this
	 * copy (11.3). */
	if (is_same && damage_find(r, e->slot) == NULL) {
		mark_decided(r, e);
		return;
	}
	if (!is_same && e != NULL && e->decided) {
		halt(r, ENG_HALT_TWO_DECISIONS, fx);
		return;
	}
	if (!is_same && e != NULL && ballot_eq(e->vballot, m->query_reply.vballot)) {
		halt(r, ENG_HALT_TWO_VALUES, fx);
		return;
	}
	if (!fx_has_room(fx, 1, 1) || (r->log_space_slots == 0 && !reserve_take(r))) {
		r->counters.dropped_full++;
		if (r->log_space_slots == 0)
			fetch_want(r, m->src,
				fx); /* if it has a snapshot of later, that one makes room */
		return;
	}
	/* Own, losing value: a decision replaces it, whatever its ballot. */
	entry_store(r, m->query_reply.slot, m->query_reply.vballot, m->query_reply.digest,
		m->query_reply.value, m->query_reply.bytes, true, fx);
}

static bool
is_sound_reply(const struct eng_replica *r, const struct eng_msg *m)
{
	return value_is_sound(r, m->query_reply.value, m->query_reply.bytes, m->query_reply.digest);
}

void
on_query_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct decree_slot before = r->chosen;

	if (m->query_reply.slot.n <= r->chosen.n) {
		if (r->rewrites.count > 0 && is_sound_reply(r, m))
			rewrite_learn(r, m, fx);
		return;
	}
	if (m->query_reply.slot.n > ring_last(r).n || !is_sound_reply(r, m))
		return;
	if (m->query_reply.vballot.n == 0 || is_round_jump(r, m->query_reply.vballot) ||
		(r->role == DECREE_LEADER && m->query_reply.slot.n >= r->next.n)) {
		/* A leader's free slots are its own to fill. What a higher ballot decided there
		 * comes when that ballot has made a follower of us. */
		r->counters.dropped_stale++;
		return;
	}
	if (m->query_reply.state == ENG_ENTRY_ACCEPTED) {
		damage_repair(r, m, fx);
		if (r->campaign == CAMPAIGN_PREPARING) {
			choice_evidence(r, m, fx);
			campaign_continue(r, fx);
		}
		leader_inherit_value(r, m, fx);
		return;
	}
	learn_decided(r, m, fx);
	learner_want(r, m->query_reply.commit, r->now_ns + QUERY_RETRY_NS);
	advance_chosen(r, fx);

	/* Half of the last range has come: ask the same peer for the next one, so that its frames
	 * and our log stay busy. */
	if (r->chosen.n > before.n && r->query_ns != NEVER) {
		r->query_ns = r->now_ns + QUERY_RETRY_NS;
		if (r->query_after.n <= r->chosen_seen.n && r->query_after.n > r->chosen.n &&
			r->chosen.n + QUERY_SLOT_COUNT / 2 >= r->query_after.n)
			query_send(r, r->query_after, fx);
	}
	campaign_continue(r, fx);
}
