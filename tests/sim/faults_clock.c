/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each node has a clock of its own: it begins anywhere, runs a little too fast or too slow, and may
 * jump forward (a virtual machine that was suspended). It never runs backwards: the production code
 * reads CLOCK_BOOTTIME or an invariant counter.
 */
#include "tests/sim/sim.h"

#define PPM 1000000ull

static uint64_t
rate_ppm(const struct sim_node *n)
{
	return (uint64_t)((int64_t)PPM + n->drift_ppm);
}

uint64_t
sim_clock_read(const struct sim *sim, const struct sim_node *n)
{
	uint64_t passed = sim->now_ns - n->clock_from_ns;

	if (n->drift_ppm == 0)
		return n->clock_ns + passed;
	return n->clock_ns + (uint64_t)((unsigned __int128)passed * rate_ppm(n) / PPM);
}

uint64_t
sim_clock_when(const struct sim *sim, const struct sim_node *n, uint64_t node_ns)
{
	(void)sim;
	if (node_ns == UINT64_MAX)
		return UINT64_MAX;
	if (node_ns <= n->clock_ns)
		return n->clock_from_ns;
	uint64_t wanted = node_ns - n->clock_ns;
	if (n->drift_ppm == 0)
		return n->clock_from_ns + wanted;
	return n->clock_from_ns +
	       (uint64_t)(((unsigned __int128)wanted * PPM + rate_ppm(n) - 1) / rate_ppm(n));
}

static void
clock_set(struct sim *sim, struct sim_node *n, uint64_t clock_ns)
{
	n->clock_ns = clock_ns;
	n->clock_from_ns = sim->now_ns;
}

void
sim_clock_start(struct sim *sim, struct sim_node *n)
{
	uint64_t drift = sim->faults.drift_ppm_max;

	if (n->clock_ns == 0)
		clock_set(sim, n, 1 + sim_draw(&sim->random_nodes, 100000 * MS));
	else
		clock_set(sim, n, sim_clock_read(sim, n));
	n->drift_ppm = (int64_t)sim_draw(&sim->random_nodes, 2 * drift + 1) - (int64_t)drift;
}

/* Bounds in T are bounds in somebody's T: from here on all clocks run alike. */
void
sim_clocks_agree(struct sim *sim)
{
	sim->faults.drift_ppm_max = 0;
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		clock_set(sim, &sim->nodes[id], sim_clock_read(sim, &sim->nodes[id]));
		sim->nodes[id].drift_ppm = 0;
	}
}

void
fault_drift_draw(struct sim *sim)
{
	static const uint32_t drifts[] = { 50, 1000, 50000, 400000 };

	sim->faults.drift_ppm_max = drifts[sim_draw(&sim->random_faults, 4)];
}

void
fault_jump_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t jump_ns = sim_draw(&sim->random_faults, 5 * sim->election_ns);

	if (!n->is_up)
		return;
	sim_trace(sim, "node %u: its clock jumps forward by %.1f ms", n->id, (double)jump_ns / 1e6);
	clock_set(sim, n, sim_clock_read(sim, n) + jump_ns);
	sim_node_touch(sim, n);
}
