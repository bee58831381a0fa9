/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members come and go: the reasons why the operator wants something, and what that may lead to.
 *
 * One disk may be lost for good at a time, and only where no change is under way: what is left must
 * hold every value and be quorums, or no protocol could help. Its node may come back with an empty
 * disk under its old id, and must be refused (protocol 12.5, E21).
 */
#include "tests/sim/sim.h"

/* ---- what the present leads to ---- */

static bool
is_open(const struct sim *sim, const struct sim_request *r)
{
	const struct eng_membership *m = governors_newest(sim);
	const struct eng_member *member = eng_member_find(m, r->node);

	if (r->op == DECREE_ADMIN_TRANSFER || r->op == DECREE_ADMIN_RAISE)
		return false;
	if (r->op == DECREE_ADMIN_MEMBER_REMOVE)
		return member != NULL;
	return member == NULL ? r->node > m->id_last : member->role == ENG_LEARNER;
}

/* What was asked for and given up: a frame with it may still be on its way. */
static bool
has_open_request(const struct sim *sim)
{
	const struct sim_operator *o = &sim->admin;

	for (uint32_t i = 0; i < o->asked_count; i++)
		if (is_open(sim, &o->asked[i]))
			return true;
	return false;
}

/* Proposed by somebody, and neither decided nor void: it may be chosen yet. */
static bool
has_open_proposal(const struct sim *sim)
{
	const struct sim_governors *g = &sim->oracle.governors;
	uint32_t epoch = governors_newest(sim)->epoch;

	for (uint32_t i = 0; i < g->proposed_count; i++)
		if (g->proposed[i].m.epoch > epoch && g->proposed[i].slot > g->prefix)
			return true;
	return false;
}

static bool
is_learner_there(const struct eng_membership *m)
{
	return eng_voter_count(m) < m->member_count;
}

bool
members_are_changing(const struct sim *sim)
{
	return sim->admin.is_busy || sim->oracle.governors.configs.next.m.epoch != 0 ||
	       is_learner_there(governors_newest(sim));
}

bool
members_may_change(const struct sim *sim)
{
	return members_are_changing(sim) || has_open_request(sim) || has_open_proposal(sim);
}

bool
sim_is_member(const struct sim *sim, uint16_t id)
{
	const struct eng_membership *m = governors_newest(sim);

	return m->epoch == 0 ? id <= sim->founder_count : eng_member_find(m, id) != NULL;
}

static bool
suffices(uint32_t nodes, uint32_t voters, uint32_t q1, uint32_t q2)
{
	uint32_t count = (uint32_t)__builtin_popcount(nodes & voters);

	return count >= q1 && count >= q2;
}

uint32_t
members_alive(const struct sim *sim)
{
	uint32_t nodes = 0;

	for (uint16_t id = 1; id <= sim->node_count; id++)
		if (!sim->nodes[id].is_lost && !sim->nodes[id].is_wiped &&
			!sim->nodes[id].is_disowned)
			nodes |= 1u << id;
	return nodes;
}

/* One configuration may be decided and another be on its way; a change that is still open is not
 * guessed at. The one before may be needed too, by whoever does not know yet that it has ended:
 * unless too few of it are left. */
bool
members_suffice(const struct sim *sim, uint32_t nodes)
{
	const struct sim_governors *g = &sim->oracle.governors;
	uint32_t alive = members_alive(sim);

	for (uint32_t i = g->count < 3 ? 0 : g->count - 3; i < g->count; i++) {
		const struct sim_governor *c = &g->list[i];
		if (!suffices(nodes, c->voters, c->q1, c->q2) &&
			(i + 1 == g->count || suffices(alive, c->voters, c->q1, c->q2)))
			return false;
	}
	return true;
}

/* ---- a disk is lost ---- */

/* Everybody who is left knows the present configuration, and all that came before it. */
static bool
is_settled(const struct sim *sim, uint16_t victim)
{
	const struct eng_governor *now = &sim->oracle.governors.configs.now;

	for (uint32_t i = 0; i < now->m.member_count; i++) {
		const struct sim_node *n = &sim->nodes[now->m.members[i].node_id];
		if (n->id == victim)
			continue;
		if (n->is_lost || n->is_wiped)
			return false;
		if (now->m.epoch > 1 &&
			(!n->is_up || sim_replica(n)->chosen.n < now->from.n + 2 * sim->alpha))
			return false;
	}
	return true;
}

static bool
may_lose(const struct sim *sim, uint16_t id)
{
	const struct eng_membership *m = &sim->oracle.governors.configs.now.m;
	uint32_t left = governors_voters(m) & ~(1u << id);

	return !members_may_change(sim) && eng_member_find(m, id) != NULL && is_settled(sim, id) &&
	       suffices(left, left, m->q1, m->q2);
}

/* ---- what strikes ---- */

/* Bootstrap is over for good, and the operator has time; or the patience for the last wish has
 * ended. */
static bool
may_want(struct sim *sim)
{
	struct sim_operator *o = &sim->admin;
	const struct eng_membership *m = governors_newest(sim);

	if (o->lost != 0 && eng_member_find(m, o->lost) == NULL)
		o->lost = 0;
	if (o->lost != 0 || m->epoch == 0 || sim->oracle.chosen_last < 20 ||
		o->asked_count == SIM_ASKED_COUNT)
		return false;
	return !o->is_busy || sim_draw_percent(&sim->random_faults, sim->faults.operator_quirks);
}

/* @return a node that waits to be added; 0: there are no more */
static uint16_t
newcomer(struct sim *sim)
{
	uint16_t id = (uint16_t)sim->node_count;

	if (sim->nodes[id].joins && id > governors_newest(sim)->id_last)
		return id;
	if (id == SIM_NODE_MAX)
		return 0;
	sim_node_join(sim, ++id);
	return id;
}

static void
draw_wanted_quorums(struct sim *sim, struct sim_request *wish, uint32_t voters)
{
	uint64_t *random = &sim->random_faults;

	if (voters == 0 || !sim_draw_percent(random, 40))
		return; /* majorities, or the leader refuses */
	wish->q1 = (uint8_t)sim_draw_between(random, 1, voters);
	wish->q2 = (uint8_t)sim_draw_between(random, voters - wish->q1 + 1u, voters);
}

static uint16_t
any_member(struct sim *sim)
{
	const struct eng_membership *m = governors_newest(sim);
	uint16_t leader = sim_leader(sim);
	uint16_t other = m->members[sim_draw(&sim->random_faults, m->member_count)].node_id;

	return sim_draw_percent(&sim->random_faults, 40) && eng_member_find(m, leader) != NULL
		       ? leader
		       : other;
}

void
fault_member_draw(struct sim *sim)
{
	sim->faults.operator_quirks = (uint32_t)sim_draw(&sim->random_faults, 40);
}

void
fault_member_add_strike(struct sim *sim)
{
	struct sim_request wish = { .op = DECREE_ADMIN_MEMBER_ADD };

	if (!may_want(sim))
		return;
	wish.node = newcomer(sim);
	if (wish.node == 0)
		return;
	draw_wanted_quorums(sim, &wish, eng_voter_count(governors_newest(sim)) + 1);
	operator_wants(sim, &wish);
}

void
fault_member_remove_strike(struct sim *sim)
{
	struct sim_request wish = { .op = DECREE_ADMIN_MEMBER_REMOVE };

	uint32_t voters = eng_voter_count(governors_newest(sim));
	bool is_small = voters <= 2 && !sim_draw_percent(&sim->random_faults, 20);

	if (!may_want(sim) || is_small)
		return;
	wish.node = any_member(sim);
	draw_wanted_quorums(sim, &wish, voters - 1);
	operator_wants(sim, &wish);
}

void
fault_member_replace_strike(struct sim *sim)
{
	struct sim_request wish = { .op = DECREE_ADMIN_MEMBER_REPLACE };

	if (!may_want(sim))
		return;
	wish.old = any_member(sim);
	wish.node = newcomer(sim);
	if (wish.node != 0)
		operator_wants(sim, &wish);
}

void
fault_transfer_strike(struct sim *sim)
{
	struct sim_request wish = { .op = DECREE_ADMIN_TRANSFER };

	if (!may_want(sim))
		return;
	wish.node = any_member(sim);
	if (wish.node % 3 == sim->options.seed % 3) { /* not drawn, see program_of() */
		sim->admin.has_raised = true;
		operator_wants(sim, &(struct sim_request){ .op = DECREE_ADMIN_RAISE });
		return;
	}
	sim->admin.has_transferred = true;
	operator_wants(sim, &wish);
}

void
fault_disk_lost_strike(struct sim *sim)
{
	uint16_t id = sim_victim(sim);
	/* The only founder, with an empty disk, would found another cluster: there is nobody whom
	 * it needs for that. */
	bool comes_back = sim_draw_percent(&sim->random_faults, 40) && sim->founder_count > 1;
	bool is_removed = sim_draw_percent(&sim->random_faults, 25);
	struct sim_request wish = { .op = DECREE_ADMIN_MEMBER_REPLACE };

	if (!may_want(sim) || !may_lose(sim, id))
		return;
	sim_node_destroy(sim, id, comes_back);
	sim->admin.lost = id;
	wish.old = id;
	wish.node = is_removed ? 0 : newcomer(sim);
	if (wish.node == 0)
		wish = (struct sim_request){ .op = DECREE_ADMIN_MEMBER_REMOVE, .node = id };
	operator_wants(sim, &wish);
}
