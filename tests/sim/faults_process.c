/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: they die between two turns or in the middle of one, all at once or again and again, and pause. */
#include "tests/sim/sim.h"

void
faults_process_draw(struct sim *sim)
{
	uint64_t *random = &sim->random_faults;

	sim->faults.power_cut_percent = (uint32_t)sim_draw(random, 101);
	sim->faults.down_ns_max =
		sim_draw_between(random, sim->election_ns / 100, 4 * sim->election_ns);
}

void
fault_crash_now(struct sim *sim, uint16_t id)
{
	bool power_cut = sim_draw_percent(&sim->random_faults, sim->faults.power_cut_percent);
	uint64_t down_ns = 1 * MS + sim_draw(&sim->random_faults, sim->faults.down_ns_max + 1);

	sim->count.crashes++;
	sim->count.power_cuts += power_cut;
	sim_node_crash(sim, id, power_cut);
	sim->nodes[id].up_at_ns = sim->now_ns + down_ns;
	sim_node_touch(sim, &sim->nodes[id]);
}

void
fault_crash_strike(struct sim *sim)
{
	uint16_t id = sim_victim(sim);

	if (sim->nodes[id].is_up)
		fault_crash_now(sim, id);
}

/* Not yet: somewhere inside one of its next turns, between the write and the answer perhaps. */
void
fault_crash_inside_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];

	n->crash_after = 1 + (uint32_t)sim_draw(&sim->random_faults, 30);
}

void
fault_crash_point(struct sim_node *n)
{
	if (n->crash_after == 0 || --n->crash_after > 0 || n->sim->is_calm)
		return;
	sim_trace(n->sim, "node %u: dies in the middle of a turn", n->id);
	longjmp(n->out, 1);
}

/* It dies as soon as it is up again, a few times. */
void
fault_crash_loop_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t again_ns = sim->now_ns + sim_draw(&sim->random_faults, sim->election_ns / 5);

	if (n->is_up)
		fault_crash_now(sim, n->id);
	n->up_at_ns = sim->now_ns + 1 * MS;
	sim_node_touch(sim, n);
	if (!sim_draw_percent(&sim->random_faults, 25))
		sim->faults.next_ns[FAULT_CRASH_LOOP] = again_ns;
}

void
fault_crash_all_strike(struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++)
		if (sim->nodes[id].is_up)
			fault_crash_now(sim, id);
}

void
fault_pause_draw(struct sim *sim)
{
	sim->faults.pause_ns_max =
		sim_draw_between(&sim->random_faults, sim->election_ns / 20, 4 * sim->election_ns);
}

void
fault_pause_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t pause_ns = sim_draw(&sim->random_faults, sim->faults.pause_ns_max);

	sim_trace(sim, "node %u: paused for %.1f ms", n->id, (double)pause_ns / 1e6);
	n->paused_until_ns = sim->now_ns + pause_ns;
	sim_node_touch(sim, n);
}
