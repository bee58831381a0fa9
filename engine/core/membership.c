/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is known, who takes part, and what is a quorum (protocol 12).
 *
 * Bitmaps of nodes are over peers[]. A configuration is counted as such a bitmap of its voters, so
 * a quorum costs one AND and one count of bits, whatever the number of nodes.
 *
 * The life of a configuration:
 *   1. a leader proposes it in slot i, as a value like any other; it governs nothing yet
 *   2. slot i is decided: `config_next`, everybody sends to its members too
 *   3. all slots below i + alpha are decided: `config`. Whoever it leaves out lingers: it may still
 *      answer and ask, but not lead, until a quorum of the configuration knows, on disk, that it
 *      governs. Then the node is turned away, and ends when a quorum has done so
 *
 * Why there is never more than config and config_next: a configuration is decided only in a slot
 * that `config` governs while there is no config_next; every other one is void (configs.h), on
 * every node alike.
 *
 * Why a node that left must not go earlier: it may hold the only other copy of a slot below i +
 * alpha, and its promise is needed by whoever does not know that those slots are decided. "Knows on
 * disk" therefore means: a record whose commit hint reaches i + alpha - 1 is durable, so a restart
 * does not forget it (settle_seq).
 *
 * And why it may even lead once more: those that remain may not know yet that they are the cluster
 * now. It proposes nothing then, it tells them what is decided and hands over (change.c).
 *
 * Why strangers are turned away, and how: a node that the newest configuration leaves out gets
 * Failure(NOT_MEMBER) from those that know it on disk, and nothing from others. One that knows more
 * than we do is heard (its epoch is higher), since what a message says is judged by ballots, not by
 * membership: votes are counted by whoever proposes, in the configuration that governs the slot.
 */
#include "engine/core/replica.h"

/* ---- the table ---- */

static uint16_t
members_of(const struct eng_replica *r, const struct eng_membership *m)
{
	uint16_t set = 0;

	for (uint32_t i = 0; i < m->member_count; i++) {
		int32_t index = peer_index(r, m->members[i].node_id);
		if (index >= 0)
			set |= set_of((uint32_t)index);
	}
	return set;
}

/* Its place will be another's: nothing that it said may count for the newcomer. */
static void
peer_forget(struct eng_replica *r, uint32_t index)
{
	uint16_t others = (uint16_t)~set_of(index);

	for (uint32_t i = 0; i < r->cfg.ring_slots; i++) {
		r->entries[i].acks &= others;
		r->choices[i].holders &= others;
		r->choices[i].unknown &= others;
	}
	for (uint32_t i = 0; i < AUDIT_ROUND_COUNT; i++)
		r->audit.rounds[i].reported &= others;
	for (uint32_t i = 0; i < r->report_count; i++)
		r->reports[i].is_resolved |= r->reports[i].member == index;
	r->damage.told &= others;
	r->grants &= others;
	r->turned_away &= others;
	r->lingering &= others;
	r->served &= others;
	r->peers[index] = (struct peer){ 0 };
}

static uint16_t
peers_in_use(const struct eng_replica *r)
{
	return members_of(r, &r->configs.now.m) | members_of(r, &r->configs.next.m) |
	       r->config_proposed.voters | r->targets | set_of(r->self);
}

static uint32_t
peer_place(struct eng_replica *r)
{
	if (r->peer_count < ENG_PEER_COUNT_MAX)
		return r->peer_count++;
	/* Two configurations have 9 members between them, and only the last one's lingering are
	 * served. */
	uint16_t unused = (uint16_t)~peers_in_use(r);
	decree_assert(unused != 0);
	peer_forget(r, set_first(unused));
	return set_first(unused);
}

static uint32_t
peer_add(struct eng_replica *r, uint16_t node_id)
{
	int32_t known = peer_index(r, node_id);

	if (known >= 0)
		return (uint32_t)known;
	uint32_t index = peer_place(r);
	r->peers[index] = (struct peer){
		.node_id = node_id,
		.matched = { r->chosen.n + 1 },
		.echo_ns = r->now_ns, /* T to say the first word */
		.rto_ns = RTO_NS_MIN,
	};
	return index;
}

int32_t
peer_admit(struct eng_replica *r, const struct eng_msg *m)
{
	bool has_place = r->peer_count < ENG_PEER_COUNT_MAX || peers_in_use(r) != UINT16_MAX;

	if (m->epoch <= r->epoch || m->src == 0 || !has_place)
		return -1;
	uint32_t index = peer_add(r, m->src);
	if (r->epoch == 0)
		targets_update(r); /* its file may name nobody who is left */
	return (int32_t)index;
}

void
config_set(struct eng_replica *r, struct config *ret_config, const struct eng_governor *g)
{
	*ret_config = (struct config){
		.from = g->from,
		.q1 = (uint8_t)g->m.q1,
		.q2 = (uint8_t)g->m.q2,
		.voter_count = (uint8_t)eng_voter_count(&g->m),
	};
	for (uint32_t i = 0; i < g->m.member_count; i++) {
		uint32_t index = peer_add(r, g->m.members[i].node_id);
		if (g->m.members[i].role == ENG_VOTER)
			ret_config->voters |= set_of(index);
	}
}

void
targets_update(struct eng_replica *r)
{
	uint16_t set =
		members_of(r, &r->configs.now.m) | members_of(r, &r->configs.next.m) | r->served;

	if (r->epoch == 0) /* a new cluster's members, or where a newcomer may ask */
		set = r->cfg.joins ? (uint16_t)((1u << r->peer_count) - 1) : r->config.voters;
	r->targets = set & (uint16_t)~set_of(r->self);
	if (r->role == DECREE_LEADER)
		retransmit_soon(r);
}

static void
disks_note(struct eng_replica *r, const struct eng_membership *m)
{
	for (uint32_t i = 0; i < m->member_count; i++)
		r->peers[peer_index(r, m->members[i].node_id)].member_disk = m->members[i].disk;
}

/* Everything that follows from r->configs. */
static void
configs_take_effect(struct eng_replica *r, struct eng_effects *fx)
{
	r->epoch = r->configs.next.m.epoch != 0 ? r->configs.next.m.epoch : r->configs.now.m.epoch;
	config_set(r, &r->config, &r->configs.now);
	config_set(r, &r->config_next, &r->configs.next);
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (!(r->lingering & set_of(i)))
			r->peers[i].member_disk = 0;
	disks_note(r, &r->configs.now.m);
	disks_note(r, &r->configs.next.m);
	targets_update(r);
	/* What an unknown disk promised before we knew better does not count. */
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (i != r->self && r->peers[i].disk != r->peers[i].member_disk)
			r->peers[i].promised = false;
	fx->members_changed = true;
}

void
membership_init(struct eng_replica *r)
{
	const struct eng_config *cfg = &r->cfg;
	struct eng_governor founders = { .m = { .q1 = cfg->q1, .q2 = cfg->q2 } };

	for (uint32_t i = 0; i < cfg->member_count; i++) {
		r->peers[i].node_id = cfg->members[i].node_id;
		if (cfg->members[i].node_id == cfg->node_id)
			r->self = i;
	}
	r->peer_count = cfg->member_count;
	decree_assert(r->peers[r->self].node_id == cfg->node_id);
	/* Whoever joins is a member of nothing before the log says so; quorums of one among no
	 * voters are never met. */
	if (cfg->joins)
		founders.m.q1 = founders.m.q2 = 1;
	for (uint32_t i = 0; i < cfg->member_count && !cfg->joins; i++) {
		struct eng_member *to = &founders.m.members[founders.m.member_count];
		if (cfg->members[i].role == ENG_LEARNER)
			continue;
		*to = cfg->members[i];
		to->role = ENG_VOTER;
		founders.m.member_count++;
	}
	decree_assert(
		cfg->joins || eng_quorums_are_sound(founders.m.member_count, cfg->q1, cfg->q2));
	eng_configs_init(&r->configs);
	config_set(r, &r->config, &founders);
	config_set(r, &r->config_next, &r->configs.next);
	r->limit.n = NEVER;
	targets_update(r);
}

/* ---- a configuration comes into force ---- */

/* @return false: the node must stop */
static bool
self_check(struct eng_replica *r, const struct eng_membership *m, struct eng_effects *fx)
{
	const struct eng_member *self = eng_member_find(m, r->cfg.node_id);

	if (self != NULL && self->disk != eng_disk_short(&r->cfg.disk)) {
		halt(r, ENG_HALT_NOT_MEMBER, fx);
		return false;
	}
	if (self == NULL && !r->was_member && !r->cfg.joins) {
		halt(r, ENG_HALT_NOT_MEMBER, fx);
		return false;
	}
	r->was_member |= self != NULL;
	return true;
}

/* What is written in a version that this program does not have must not be answered, voted on or
 * applied by it. */
static bool
version_check(struct eng_replica *r, const struct eng_membership *m, struct eng_effects *fx)
{
	if (r->cfg.version_min <= m->version && m->version <= r->cfg.version_max)
		return true;
	halt(r, ENG_HALT_VERSION, fx);
	return false;
}

void
membership_decided(struct eng_replica *r, struct decree_slot slot, const struct eng_membership *m,
	struct eng_effects *fx)
{
	if (r->proposed_slot.n == slot.n)
		r->proposed_slot.n = 0;
	if (!bootstrap_agrees(r, m)) {
		halt(r, ENG_HALT_CONSTANTS, fx);
		return;
	}
	if (!eng_configs_decide(&r->configs, slot, m) || !self_check(r, m, fx) ||
		!version_check(r, m, fx))
		return;
	configs_take_effect(r, fx);
	membership_limit(r, fx);
}

void
membership_switch(struct eng_replica *r, struct eng_effects *fx)
{
	uint16_t before = members_of(r, &r->configs.now.m);
	bool is_next = eng_configs_advance(&r->configs, r->chosen);

	decree_assert(is_next);
	r->lingering =
		before & (uint16_t)~members_of(r, &r->configs.now.m) & (uint16_t)~set_of(r->self);
	r->served = r->role == DECREE_LEADER ? r->lingering : 0;
	r->settling = true;
	r->settle_seq = r->started ? r->persist_last + 1 : 0;
	configs_take_effect(r, fx);
	membership_limit(r, fx);
}

void
membership_restore(struct eng_replica *r, const struct eng_configs *configs, struct eng_effects *fx)
{
	const struct eng_membership *newest =
		configs->next.m.epoch != 0 ? &configs->next.m : &configs->now.m;

	if (!bootstrap_agrees(r, newest)) {
		halt(r, ENG_HALT_CONSTANTS, fx);
		return;
	}
	r->configs = *configs;
	r->lingering = 0;
	r->served = 0;
	/* Ids are never used again: one that was given out, and is not there, has been removed. */
	r->was_member |= r->cfg.node_id <= newest->id_last;
	if (self_check(r, newest, fx) && version_check(r, newest, fx))
		configs_take_effect(r, fx);
}

void
lingering_forget(struct eng_replica *r)
{
	for (uint16_t set = r->lingering; set != 0; set = set_rest(set))
		r->peers[set_first(set)].member_disk = 0;
	r->lingering = 0;
	r->served = 0;
	targets_update(r);
}

/* ---- quorums ---- */

bool
has_q1_everywhere(const struct eng_replica *r, uint16_t set)
{
	return is_quorum(set, &r->config, r->config.q1) &&
	       is_quorum(set, &r->config_next, r->config_next.q1);
}

bool
has_q2_everywhere(const struct eng_replica *r, uint16_t set)
{
	if (r->role == DECREE_LEADER && r->proposed_slot.n != 0 &&
		!is_quorum(set, &r->config_proposed, r->config_proposed.q2))
		return false;
	return is_quorum(set, &r->config, r->config.q2) &&
	       is_quorum(set, &r->config_next, r->config_next.q2);
}

/* Two sets meet if one cannot be found within what the other leaves. */
static bool
meets_q1(const struct config *c, uint16_t set)
{
	return c->from.n == NEVER || !is_quorum((uint16_t)~set, c, c->q1);
}

bool
meets_every_q1(const struct eng_replica *r, uint16_t set)
{
	if (r->proposed_slot.n != 0 &&
		is_quorum((uint16_t)~set, &r->config_proposed, r->config_proposed.q1))
		return false;
	return meets_q1(&r->config, set) && meets_q1(&r->config_next, set);
}

bool
is_voter(const struct eng_replica *r)
{
	return (r->config.voters | r->config_next.voters) & set_of(r->self);
}

static bool
is_member(const struct eng_replica *r, uint16_t node_id)
{
	return eng_member_find(&r->configs.now.m, node_id) != NULL ||
	       eng_member_find(&r->configs.next.m, node_id) != NULL;
}

bool
is_removed(const struct eng_replica *r)
{
	return r->was_member && !is_member(r, r->cfg.node_id);
}

/* ---- turning away ---- */

/* A restart of this node would still know that the present configuration governs. */
static bool
is_settled(const struct eng_replica *r)
{
	const struct entry *e = entry_find(r, r->last);

	return r->settle_seq == 0 ||
	       (e != NULL && e->persist_seq >= r->settle_seq && e->persist_seq <= r->persisted);
}

static void
turn_away(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (m->type != ENG_MSG_FAILURE && m->type != ENG_MSG_HELLO &&
		m->type != ENG_MSG_HELLO_REPLY && is_settled(r))
		failure_send(r, m, ENG_FAIL_NOT_MEMBER, fx);
}

void
membership_on_stranger(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	if (r->epoch != 0 && m->src != 0 && m->src <= r->configs.now.m.id_last &&
		m->group == r->cfg.group && m->epoch <= r->epoch)
		turn_away(r, m, fx);
}

bool
is_known_sender(
	struct eng_replica *r, uint32_t index, const struct eng_msg *m, struct eng_effects *fx)
{
	if (r->epoch == 0)
		return true; /* nothing is known yet; then phase 1 needs every member */
	if (r->peers[index].member_disk != 0) {
		if (m->type != ENG_MSG_FAILURE) {
			failure_send(r, m, ENG_FAIL_NOT_MEMBER, fx);
			fx->messages[fx->message_count - 1].failure.other_disk = true;
		}
		return false;
	}
	if (m->epoch > r->epoch)
		return true; /* came after what we know */
	turn_away(r, m, fx);
	return false;
}

bool
may_campaign(struct eng_replica *r, uint32_t index, const struct eng_msg *m, struct eng_effects *fx)
{
	if (r->epoch == 0 || m->epoch > r->epoch ||
		(r->config.voters | r->config_next.voters) & set_of(index))
		return true;
	r->counters.dropped_not_member++;
	if (!is_member(r, m->src))
		turn_away(r, m, fx);
	return false;
}

void
membership_on_refusal(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	const struct config *newest = r->config_next.from.n != NEVER ? &r->config_next : &r->config;
	bool is_newcomer = r->cfg.joins && !r->was_member;
	/* Of the newest one: slots that it waits for may be with nobody who still talks to us. */
	bool is_left_out =
		r->was_member && eng_member_find(r->configs.next.m.epoch != 0 ? &r->configs.next.m
									      : &r->configs.now.m,
					 r->cfg.node_id) == NULL;

	if (m->epoch != 0 && r->epoch == 0 && (m->failure.other_disk || !r->cfg.joins)) {
		halt(r, ENG_HALT_NOT_MEMBER, fx);
		return;
	}
	if (m->failure.other_disk || is_newcomer || m->epoch < r->epoch ||
		(m->epoch == r->epoch && !is_left_out))
		return;

	/* From here on: the sender knows, on disk, a configuration that we are not in. */

	if (r->turned_away == 0 && r->role != DECREE_LEADER)
		r->election_ns = r->now_ns; /* ask the others at once */
	r->turned_away |= set_of((uint32_t)peer_index(r, m->src));
	if (is_quorum(r->turned_away, newest, newest->q1) &&
		is_quorum(r->turned_away, newest, newest->q2))
		halt(r, ENG_HALT_REMOVED, fx);
}

/* ---- what others may know ---- */

const struct eng_configs *
eng_known_configs(const struct eng_replica *r)
{
	return &r->configs;
}

uint32_t
eng_targets(const struct eng_replica *r, uint16_t ret_nodes[ENG_PEER_COUNT_MAX])
{
	uint32_t count = 0;

	for (uint16_t set = r->targets; set != 0; set = set_rest(set))
		ret_nodes[count++] = r->peers[set_first(set)].node_id;
	return count;
}
