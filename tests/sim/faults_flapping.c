/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links that go on and off, again and again: faster than an election, or just so slowly that one is
 * over when they change. Nobody may take a peer for lost or found at each change, nor raise ballots
 * for it.
 */
#include "tests/sim/sim.h"

#define FLAPS_MAX 40

/* From a cable that is loose to a switch that is restarted. */
void
fault_flapping_draw(struct sim *sim)
{
	sim->faults.flap_ns_max =
		sim_draw_between(&sim->random_faults, sim->election_ns / 50, 2 * sim->election_ns);
}

void
sim_flapping_end(struct sim *sim)
{
	sim->faults.flaps_left = 0;
	sim->faults.is_flapped_off = false;
	memset(sim->faults.is_flapping, 0, sizeof(sim->faults.is_flapping));
}

/* One link, or all of a node; both directions, or one. */
static void
choose_links(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;
	uint16_t node = sim_victim(sim), peer = sim_any_node(sim);
	bool is_node = sim_draw_percent(&sim->random_faults, 50);
	uint64_t direction = sim_draw(&sim->random_faults, 4); /* 0, 1: both; 2: out; 3: in */

	for (uint16_t other = 1; other <= sim->node_count; other++) {
		if (other == node || (!is_node && other != peer))
			continue;
		f->is_flapping[node][other] = direction != 3;
		f->is_flapping[other][node] = direction != 2;
	}
	sim_trace(sim, "%s of node %u%s: %u changes to come", is_node ? "the links" : "one link",
		node,
		direction == 2   ? ", from it, flap"
		: direction == 3 ? ", towards it, flap"
				 : " flap",
		f->flaps_left);
}

/* Each change is a strike, so that a shrunk run keeps those that matter. */
void
fault_flapping_strike(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	if (f->flaps_left == 0) {
		f->flaps_left = 2 * (1 + (uint32_t)sim_draw(&sim->random_faults, FLAPS_MAX / 2));
		choose_links(sim);
	}
	f->flaps_left--;
	f->is_flapped_off = f->flaps_left % 2 == 1;
	if (f->flaps_left == 0)
		sim_flapping_end(sim);
	else
		f->next_ns[FAULT_FLAPPING] =
			sim->now_ns + 1 + sim_draw(&sim->random_faults, f->flap_ns_max);
}
