/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold at the end, when nothing is wrong any more: everybody has everything, and the
 * history is legal. */
#include "tests/sim/sim.h"

/* A node that was a member once is told that it is none any more, if those who can tell are among
 * the nodes that it knows. */
static bool
must_end(const struct sim *sim, const struct sim_node *n)
{
	if (!n->is_up || (!sim_replica(n)->was_member && !n->is_wiped))
		return false;
	const struct eng_replica *r = sim_replica(n);
	const struct config *newest = r->config_next.from.n != NEVER ? &r->config_next : &r->config;
	uint32_t tellers = 0;

	for (uint32_t i = 0; i < r->peer_count; i++)
		tellers +=
			(newest->voters >> i & 1) != 0 && sim_is_member(sim, r->peers[i].node_id);
	return tellers >= newest->q1 && tellers >= newest->q2;
}

void
oracle_check_history(struct sim *sim)
{
	enum linear_verdict verdict = linear_check(
		sim->oracle.history, &linear_log, LINEAR_CONFIG_COUNT_MAX, stderr, NULL);

	sim_check(sim, verdict == LINEAR_OK, "the history is not that of a single copy (%d)",
		(int)verdict);
}

void
oracle_print_nodes(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		struct eng_status st;
		if (!n->is_up) {
			fprintf(stderr, "node %u: %s\n", id, n->is_lost ? "lost" : "down");
			continue;
		}
		eng_status(sim_replica(n), &st);
		fprintf(stderr,
			"node %u: role %d ready %d leader %u ballot %lu.%lu promised %lu.%lu "
			"chosen %lu last %lu executed %lu, proposer made %lu popped %lu done %lu\n",
			id, st.role, st.ready, st.leader, st.ballot.n >> 16, st.ballot.n & 0xffff,
			st.promised.n >> 16, st.promised.n & 0xffff, st.chosen.n, st.last.n,
			n->applied_count, n->proposer.seq_made, n->proposer.seq_popped,
			n->proposer.seq_done);
	}
}

bool
oracle_is_calm(const struct sim *sim)
{
	if (sim->fills_up || liveness_needs_a_stuck_node(sim))
		return true; /* nobody may be able to take what others still could */
	if (sim_leader(sim) == 0)
		return false;
	if (!workload_is_done(sim))
		return false;
	if (members_are_changing(sim))
		return false;
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (!sim_is_member(sim, id) && must_end(sim, n))
			return false;
		if (!sim_is_member(sim, id) || n->is_lost)
			continue;
		if (!n->is_up || n->is_disowned || n->applied_count != sim->oracle.order_count ||
			sim_replica(n)->chosen.n != sim->oracle.chosen_last)
			return false;
	}
	return true;
}

void
oracle_check_calm(struct sim *sim)
{
	const struct sim_oracle *o = &sim->oracle;

	if (!oracle_is_calm(sim))
		oracle_print_nodes(sim);
	if (sim->fills_up || liveness_needs_a_stuck_node(sim))
		return;
	sim_check(sim, sim_leader(sim) != 0, "no leader although nothing is wrong any more");
	sim_check(sim, workload_is_done(sim),
		"commands are stuck although nothing is wrong any more");
	sim_check(sim, !members_are_changing(sim), "a change of the members does not end");
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		sim_check(sim, sim_is_member(sim, id) || !must_end(sim, n),
			"node %u is no member and does not know it", id);
		if (!sim_is_member(sim, id) || n->is_lost)
			continue;
		sim_check(sim, n->is_up, "node %u is down", id);
		sim_check(
			sim, !n->is_disowned, "node %u runs on a disk of the past, undetected", id);
		sim_check(sim, sim_replica(n)->chosen.n == o->chosen_last,
			"node %u has chosen %lu of %lu", id, sim_replica(n)->chosen.n,
			o->chosen_last);
		sim_check(sim,
			n->damage_count > 0 || n->has_lied ||
				sim_replica(n)->counters.rewritten == 0,
			"node %u wrote again what had not rotten", id);
		sim->count.rewritten += sim_replica(n)->counters.rewritten;
		sim_check(sim, n->applied_count == o->order_count, "node %u executed %lu of %lu",
			id, n->applied_count, o->order_count);
	}
}
