/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader's part of a change of the members (protocol 12.2 - 12.4).
 *
 *   1. asked by an operator, it proposes a configuration with a learner more, or a voter less
 *   2. decided in slot i: it fills the slots up to i + alpha with no-ops, so that the change ends
 *   3. it proposes no slot >= i + alpha before a phase 1 quorum of the new configuration has
 *      promised its ballot for them (`limit`), and what those nodes hold there is proposed again
 *      first
 *   4. the new one governs, and a quorum of it knows: one more slot puts that knowledge on the
 *      disks, and the nodes that left are served no longer. A leader that is among them hands over
 *   5. a learner within alpha of the decided prefix becomes a voter: a second configuration, from 1
 *      on
 *
 * Why 3 matters: a leader that was elected by the old configuration, and has learned only now that
 * slot i is decided, is not the first one who may know. An earlier leader may have had slots >= i +
 * alpha chosen by a quorum of the new configuration alone. None of the promises that elected the
 * present one need mention them. A promise made in phase 1 counts here too: it was for the whole
 * suffix, and its node has accepted nothing of other ballots below ours since.
 *
 * What goes wrong, and where it ends:
 *   - the leader dies before i is decided: whoever follows finds the value, or nobody ever chose it
 *   - the leader dies later: what is decided is decided; its successor does the rest, from
 *     `settling` on
 *   - too few of the new voters answer: the change is refused beforehand; if they die after that,
 *     the leader steps down like any leader without a quorum (CheckQuorum counts in the proposed
 *     configuration too)
 *   - a second change is asked for meanwhile: refused, one at a time (12.2, E20)
 */
#include "engine/core/readindex.h"
#include "engine/core/replica.h"

/* ---- what may be proposed ---- */

/* May slots that this configuration governs be proposed by us? What its nodes hold there is known,
 * then. */
static bool
may_propose_in(
	struct eng_replica *r, const struct config *c, uint16_t promised, struct eng_effects *fx)
{
	return is_quorum(promised, c, c->q1) && has_learned_all(r) &&
	       choices_are_settled(r, promised, fx);
}

static bool
is_leaving(const struct eng_replica *r)
{
	return r->config_next.from.n != NEVER && !(r->config_next.voters & set_of(r->self));
}

void
membership_limit(struct eng_replica *r, struct eng_effects *fx)
{
	uint16_t promised = promised_members(r);
	uint64_t before = r->limit.n;

	if (r->role != DECREE_LEADER || r->halt != ENG_HALT_NONE)
		return;
	r->limit.n = NEVER;
	if (r->config_next.from.n != NEVER &&
		(is_leaving(r) || !may_propose_in(r, &r->config_next, promised, fx)))
		r->limit = r->config_next.from;
	/* What was open once stays open: a promise that comes later asks for nothing that is on its
	 * way. */
	bool was_open = before > r->config.from.n;
	if (r->epoch != 0 &&
		(!is_voter(r) || (!was_open && !may_propose_in(r, &r->config, promised, fx))))
		r->limit = r->config.from;
	if (r->limit.n != NEVER && before == NEVER && is_voter(r) && !is_leaving(r) &&
		fx_has_room(fx, 1, 0))
		prepare_more(r, r->limit, fx);
}

/* Slots beyond the limit were in use before our time: they are inherited like those of phase 1. */
void
membership_promised(struct eng_replica *r, const struct peer *p, struct eng_effects *fx)
{
	struct decree_slot last = p->promise_last;

	if (last.n < p->promise_commit.n)
		last = p->promise_commit;
	if (last.n >= r->next.n) {
		batch_seal(r, fx);
		r->train.part_count = 0;
		r->prepare_last = last;
		r->next = slot_next(last);
		r->ready = false;
	}
	membership_limit(r, fx);
}

/* After a configuration is decided, no-ops up to where it governs. */
static void
fill(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->inherit_next.n < r->next.n || leader_has_train(r) || !fx_has_room(fx, 2, 1))
		return; /* or what is open would have to leave without room for it */
	batch_seal(r, fx);
	while (r->next.n < r->config_next.from.n && leader_has_room(r, 1) &&
		fx_has_room(fx, 2, 1)) {
		leader_propose_noop(r, r->next, fx);
		r->next.n++;
	}
	r->inherit_next = r->next;
}

void
membership_begin(struct eng_replica *r, struct eng_effects *fx)
{
	r->limit.n = NEVER;
	r->limit_retry_ns = NEVER;
	r->proposed_slot.n = 0;
	r->turned_away = 0;
	r->settling = r->configs.now.m.epoch > 1;
	r->served = r->lingering;
	targets_update(r);
	if (r->settling || r->config_next.from.n != NEVER)
		lease_suspend(r);
	membership_limit(r, fx);
}

void
membership_flush(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->limit.n != NEVER)
		membership_limit(r, fx);
	if (r->config_next.from.n != NEVER)
		fill(r, fx);
}

/* ---- proposing a configuration ---- */

void
membership_proposed(struct eng_replica *r, struct decree_slot slot)
{
	struct eng_value v;
	struct eng_governor g = { .from = { NEVER } };
	int rc = eng_value_decode(value_place(r, slot), entry_find(r, slot)->bytes, &v);

	decree_assert(rc == 0);
	if (r->epoch == 0 || v.membership.epoch != r->epoch + 1 || r->config_next.from.n != NEVER)
		return; /* the first one, or void */
	g.m = v.membership;
	config_set(r, &r->config_proposed, &g);
	r->proposed_slot = slot;
	lease_suspend(r); /* 8.3 */
}

static uint16_t
heard_members(const struct eng_replica *r)
{
	uint16_t heard = set_of(r->self);

	for (uint16_t set = r->targets; set != 0; set = set_rest(set))
		if (leader_hears(r, set_first(set)))
			heard |= set_of(set_first(set));
	return heard;
}

static bool
has_live_quorums(struct eng_replica *r, const struct eng_membership *m)
{
	struct eng_governor g = { .from = { NEVER }, .m = *m };
	struct config c;
	uint16_t heard = heard_members(r);

	config_set(r, &c, &g);
	return is_quorum(heard, &c, c.q1) && is_quorum(heard, &c, c.q2);
}

static bool
is_change_under_way(const struct eng_replica *r)
{
	return r->proposed_slot.n != 0 || r->config_next.from.n != NEVER || r->settling;
}

/* Whoever asks again while the first configuration is not decided yet asks for nothing new. */
static bool
is_proposed(const struct eng_replica *r, const struct eng_membership *m)
{
	const struct entry *e = entry_find(r, r->proposed_slot);
	uint8_t wanted[ENG_CONFIG_BYTES_MAX];
	uint32_t bytes = eng_membership_encode(m, wanted);

	return e != NULL && e->bytes == ENG_VALUE_HEADER_BYTES + bytes &&
	       memcmp(value_place(r, r->proposed_slot) + ENG_VALUE_HEADER_BYTES, wanted, bytes) ==
		       0;
}

static enum eng_member_result
propose(struct eng_replica *r, const struct eng_membership *m, struct eng_effects *fx)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES + ENG_CONFIG_BYTES_MAX];

	if (r->proposed_slot.n != 0 && is_proposed(r, m))
		return ENG_MEMBER_PENDING;
	if (is_change_under_way(r))
		return ENG_MEMBER_OUTSTANDING;
	if (!has_live_quorums(r, m))
		return ENG_MEMBER_NO_QUORUM;
	if (leader_has_train(r) || !leader_has_room(r, 2) || !fx_has_room(fx, 4, 2))
		return ENG_MEMBER_BUSY;
	batch_seal(r, fx);
	uint32_t bytes = eng_value_config(value, m);
	eng_value_set_stamp(value, r->stamp_last_ns);
	leader_propose(r, r->next, value, bytes, fx);
	r->next.n++;
	return ENG_MEMBER_OK;
}

/* The configuration that this leader proposed or that is decided, whatever governs. */
static const struct eng_membership *
newest(const struct eng_replica *r)
{
	return r->config_next.from.n != NEVER ? &r->configs.next.m : &r->configs.now.m;
}

static uint32_t
version_of(const struct eng_replica *r, uint16_t node_id)
{
	uint32_t index = (uint32_t)peer_index(r, node_id);

	if (index == r->self)
		return r->cfg.version_max;
	return leader_hears(r, index) ? r->peers[index].version_max : 0;
}

/* The highest version that every member speaks: what a raise leads to. A member that is not heard
 * may be of any program; one that is stopped now, and is given an older one before the raise is
 * decided, halts when it learns of it, and nothing is lost but its vote.
 * @return OK: @p ret_version is above the present one */
static enum eng_member_result
version_to_raise_to(const struct eng_replica *r, uint32_t *ret_version)
{
	const struct eng_membership *m = newest(r);
	uint32_t lowest = ENG_VERSION_MAX, highest = 0;

	for (uint32_t i = 0; i < m->member_count; i++) {
		uint32_t version = version_of(r, m->members[i].node_id);

		lowest = version < lowest ? version : lowest;
		highest = version > highest ? version : highest;
	}
	*ret_version = lowest;
	if (highest <= m->version)
		return ENG_MEMBER_DONE;
	if (lowest == 0)
		return ENG_MEMBER_UNHEARD;
	return lowest <= m->version ? ENG_MEMBER_OLD_PROGRAM : ENG_MEMBER_OK;
}

/* What a change leads to is seen from the newest decided configuration; it is done when that one
 * governs. */
static enum eng_member_result
change(struct eng_replica *r, const struct eng_member_change *wanted, struct eng_effects *fx)
{
	struct eng_member_change full = *wanted;
	enum eng_member_result result = ENG_MEMBER_OK;
	struct eng_membership m;

	if (r->role != DECREE_LEADER || !r->ready || r->reprepare_ns != NEVER || r->epoch == 0)
		return ENG_MEMBER_NOT_LEADER;
	if (full.op == ENG_MEMBER_RAISE)
		result = version_to_raise_to(r, &full.version);
	if (result == ENG_MEMBER_OK)
		result = eng_membership_change(newest(r), &full, &m);
	if (result == ENG_MEMBER_DONE && is_change_under_way(r))
		return ENG_MEMBER_PENDING;
	return result == ENG_MEMBER_OK ? propose(r, &m, fx) : result;
}

void
on_member(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	*ev->member.ret_result = change(r, ev->member.change, fx);
}

/* ---- time ---- */

/* A learner that has caught up votes from now on (12.4). */
static void
promote(struct eng_replica *r, struct eng_effects *fx)
{
	const struct eng_membership *m = &r->configs.now.m;
	struct eng_membership with_voter;

	if (!r->ready || is_change_under_way(r))
		return;
	for (uint32_t i = 0; i < m->member_count; i++) {
		if (m->members[i].role != ENG_LEARNER)
			continue;
		uint32_t index = (uint32_t)peer_index(r, m->members[i].node_id);
		if (!leader_hears(r, index) ||
			r->peers[index].commit.n + r->cfg.alpha < r->chosen.n)
			return;
		eng_membership_promote(m, m->members[i].node_id, &with_voter);
		(void)propose(r, &with_voter, fx); /* or with the next heartbeat */
		return;
	}
}

/* 12.4: a quorum of the configuration has everything that came before it. */
static bool
is_held_by_quorum(const struct eng_replica *r)
{
	uint16_t holders = set_of(r->self);

	for (uint16_t set = r->config.voters & r->targets; set != 0; set = set_rest(set))
		if (r->peers[set_first(set)].commit.n + 1 >= r->config.from.n)
			holders |= set_of(set_first(set));
	return is_quorum(holders, &r->config, r->config.q1) &&
	       is_quorum(holders, &r->config, r->config.q2);
}

/* The most caught-up voter leads instead of us. */
static void
leave(struct eng_replica *r, struct eng_effects *fx)
{
	int32_t best = -1;

	for (uint16_t set = r->config.voters; set != 0; set = set_rest(set)) {
		uint32_t i = set_first(set);
		if (best < 0 || r->peers[i].commit.n > r->peers[best].commit.n)
			best = (int32_t)i;
	}
	timeout_now_send(r, (uint32_t)best, fx);
	step_down(r, r->cfg.election_ns, fx);
}

static void
settle(struct eng_replica *r, struct eng_effects *fx)
{
	if (!r->settling || !is_held_by_quorum(r))
		return;
	if (!is_voter(r)) {
		leave(r, fx);
		return;
	}
	if (!r->ready || leader_has_train(r) || !leader_has_room(r, 2) || !fx_has_room(fx, 4, 2))
		return;
	batch_seal(r, fx);
	leader_propose_noop(r, r->next, fx);
	r->next.n++;
	r->settling = false;
	lingering_forget(r);
	lease_resume(r);
}

void
membership_tick(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->limit.n != NEVER && !is_leaving(r) && is_voter(r) &&
		r->now_ns >= r->limit_retry_ns && fx_has_room(fx, 1, 0))
		prepare_more(r, r->limit, fx);
	settle(r, fx);
	if (r->role == DECREE_LEADER)
		promote(r, fx);
}

const char *
eng_member_result_text(enum eng_member_result result)
{
	switch (result) {
	case ENG_MEMBER_OK: return "begun";
	case ENG_MEMBER_DONE: return "done";
	case ENG_MEMBER_PENDING: return "under way";
	case ENG_MEMBER_NOT_LEADER: return "the leader is not ready";
	case ENG_MEMBER_BUSY: return "no room for a slot right now";
	case ENG_MEMBER_OUTSTANDING:
		return "another change is under way: one at a time (a learner that does not catch "
		       "up can be removed)";
	case ENG_MEMBER_ID_USED:
		return "this node id is or was in use: ids are never used again, take one above "
		       "all others";
	case ENG_MEMBER_NO_DISK: return "the new node's disk is not given";
	case ENG_MEMBER_DISK_USED: return "another member has this disk";
	case ENG_MEMBER_UNKNOWN: return "no such member";
	case ENG_MEMBER_TOO_MANY: return "a cluster has at most 7 voters";
	case ENG_MEMBER_BAD_QUORUM: return "q1 and q2 must not exceed the voters, and q1 + q2 must";
	case ENG_MEMBER_LAST: return "nobody would be left to vote";
	case ENG_MEMBER_OLD_PROGRAM:
		return "a member's program is too old: install the new one on every member first";
	case ENG_MEMBER_UNHEARD:
		return "a member does not answer, and which versions it speaks is not known: start "
		       "it, or replace or remove it first";
	case ENG_MEMBER_NO_QUORUM:
		return "too few of the voters that would be left answer: the cluster would stop";
	}
	return "?";
}
