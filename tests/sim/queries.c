/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads in the workload: every proposer asks its own node now and then how many commands were
 * executed, in each consistency. The state machine of a node answers with its place in the oracle's
 * order, so an answer is a prefix of that order, and what it must cover is known at once: a
 * linearizable read sees every command that any node had executed when it began, since whatever was
 * acknowledged to anybody is among those.
 *
 * Leases are on in some worlds whose clocks only drift, with exactly their drift as the bound. In a
 * world whose clocks jump they may break, which is why the node refuses such clocks. A stale read
 * needs a leader that is asked at the right moment; that somebody is elected while the lease of
 * another holds is wrong in itself, and looked for, too.
 */
#include "tests/sim/sim.h"

#include "base/bytes.h"

void
sim_reads_draw(struct sim *sim)
{
	const struct sim_faults *f = &sim->faults;
	uint64_t *random = &sim->random_load;
	bool may_lease = !f->has[FAULT_JUMP] && f->drift_ppm_max <= 20000;

	sim->reads.one_in = 1 + (uint32_t)sim_draw(random, 6);
	sim->reads.lease_ns = 0;
	sim->reads.max_drift_ppm = f->drift_ppm_max == 0 ? 1 : f->drift_ppm_max;
	if (sim_draw(random, 2) == 0 && may_lease)
		sim->reads.lease_ns = sim->election_ns * sim_draw_between(random, 30, 300) / 100;
	if (sim->reads.lease_ns != 0)
		sim_trace(sim, "leases of %.1f ms", (double)sim->reads.lease_ns / 1e6);
}

void
sim_leases_check(struct sim *sim, const struct sim_node *leader, struct decree_ballot ballot)
{
	for (uint16_t id = 1; id <= sim->node_count && sim->reads.lease_ns != 0; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (n == leader || !n->is_up || n->is_disowned)
			continue;
		const struct eng_replica *r = sim_replica(n);
		sim_check(sim,
			r->ballot.n > ballot.n || !eng_lease_holds(r, sim_clock_read(sim, n)),
			"node %u is elected at %lu.%lu, but the lease of node %u at %lu.%lu holds",
			leader->id, ballot.n >> 16, ballot.n & 0xffff, id, r->ballot.n >> 16,
			r->ballot.n & 0xffff);
	}
}

void
sim_reads_open(struct sim_proposer *p)
{
	memset(p->reads, 0, sizeof(p->reads));
	p->reads_made = p->reads_popped = 0;
}

static void
ask(struct sim *sim, struct sim_proposer *p)
{
	struct sim_read *r = &p->reads[p->reads_made % SIM_READS_IN_FLIGHT];

	if (r->is_open)
		return;
	*r = (struct sim_read){
		.is_open = true,
		.consistency = (enum decree_consistency)sim_draw(&sim->random_load, 3),
		.floor = sim->oracle.order_count,
	};
	struct history_op op = { .client = (uint32_t)p->id, .kind = HISTORY_READ };
	if (r->consistency != DECREE_STALE)
		r->op = history_invoke(sim->oracle.history, &op, sim->now_ns);
	p->reads_made++;
	sim->count.reads++;
}

void
sim_reads_ask(struct sim *sim, struct sim_proposer *p)
{
	if (sim_draw(&sim->random_load, sim->reads.one_in) == 0)
		ask(sim, p);
}

void
sim_reads_burst(struct sim *sim, struct sim_proposer *p)
{
	for (int i = 0; i < 3; i++)
		ask(sim, p);
}

void
sim_reads_ask_deposed(struct sim *sim, const struct sim_node *leader)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		struct sim_node *n = &sim->nodes[id];
		if (n == leader || !n->is_up || !n->proposer.is_open ||
			sim_replica(n)->role != DECREE_LEADER || sim->is_silent)
			continue;
		sim_reads_burst(sim, &n->proposer);
		if (n->turn_at_ns > sim->now_ns) {
			n->turn_at_ns = sim->now_ns;
			sim_node_touch(sim, n);
		}
	}
}

uint32_t
sim_reads_pop(void *mailbox, struct mail_query *ret_queries, uint32_t count_max)
{
	struct sim_proposer *p = mailbox;
	uint32_t count = 0;

	for (; count < count_max && p->reads_popped < p->reads_made; count++) {
		struct sim_read *r = &p->reads[p->reads_popped++ % SIM_READS_IN_FLIGHT];
		ret_queries[count] = (struct mail_query){
			.bytes = r->answer,
			.consistency = r->consistency,
			.answer = r->answer,
			.cookie = r,
		};
	}
	return count;
}

void
sim_reads_complete(struct sim *sim, uint16_t node, const struct decree_completion *c)
{
	static const char *const names[] = { "linearizable", "lease", "stale" };
	struct sim_read *r = c->cookie;

	sim_check(sim, r->is_open, "node %u answers a read twice", node);
	r->is_open = false;
	sim_check(sim, c->outcome == DECREE_APPLIED && c->answer_bytes == 16,
		"node %u does not answer a read", node);
	uint64_t seen = load_u64(c->answer);
	sim_check(sim, seen <= sim->oracle.order_count, "node %u reads what nobody executed", node);
	sim_check(sim, r->consistency == DECREE_STALE || seen >= r->floor,
		"a %s read at node %u sees %lu commands, but %lu were executed before it began",
		names[r->consistency], node, seen, r->floor);
	if (r->consistency == DECREE_STALE)
		return;
	struct history *h = sim->oracle.history;
	history_return(h, r->op, sim->now_ns, seen, load_u64((const uint8_t *)c->answer + 8));
	history_claim(h, r->op, seen << 20 | (r->op + 1));
}

bool
sim_reads_are_done(const struct sim_proposer *p)
{
	for (uint32_t i = 0; i < SIM_READS_IN_FLIGHT; i++)
		if (p->reads[i].is_open)
			return false;
	return true;
}
