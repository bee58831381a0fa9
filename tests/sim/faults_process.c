/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: they die between two turns or in the middle of one, all at once or again and again,
 * and pause. */
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

	for (uint32_t i = 0; i < sim->node_count && !sim->nodes[id].is_up; i++)
		id = id % (uint16_t)sim->node_count + 1;
	if (sim->nodes[id].is_up)
		fault_crash_now(sim, id);
}

void
fault_absent_strike(struct sim *sim)
{
	uint16_t id = sim_any_node(sim);
	uint64_t down_ns =
		sim_draw_between(&sim->random_faults, 3 * sim->election_ns, 15 * sim->election_ns);

	if (!sim->nodes[id].is_up)
		return;
	fault_crash_now(sim, id);
	sim->nodes[id].up_at_ns = sim->now_ns + down_ns;
	sim_node_touch(sim, &sim->nodes[id]);
}

/* Not yet: in the middle of one of its next turns, at a point where it matters. */
void
fault_crash_inside_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t kind = sim_draw(&sim->random_faults, 6);

	n->crash_after = 1 + (uint32_t)sim_draw(&sim->random_faults, kind == 0 ? 30 : 8);
	n->crash_points = kind == 0   ? ~0u
			  : kind == 1 ? 1u << POINT_ACCEPT
			  : kind == 2 ? 1u << POINT_ANSWER
			  : kind == 4 ? 1u << POINT_CHUNK
			  : kind == 5 ? 1u << POINT_SNAPSHOT
				      : 1u << POINT_APPEND | 1u << POINT_SUBMIT;
}

void
fault_crash_point(struct sim_node *n, enum crash_point point)
{
	if (n->crash_after == 0 || (n->crash_points >> point & 1) == 0 || n->sim->is_calm ||
		sim_must_remember(n->sim) || --n->crash_after > 0)
		return;
	sim_trace(n->sim, "node %u: dies in the middle of a turn", n->id);
	longjmp(n->out, 1);
}

/* What the leader notes of commands on their way only saves work: exactly-once must not depend on
 * it, so it may be lost at any time. Without it the log holds repeats. */
void
fault_amnesia_strike(struct sim *sim)
{
	uint16_t leader = sim_leader(sim);

	if (leader == 0)
		return;
	sim_trace(sim, "node %u: forgets which commands are on their way", leader);
	eng_sessions_admit_reset(
		(struct eng_sessions *)shard_sessions(sim->nodes[leader].shard, 0));
}

/* It dies as soon as it is up again, a few times. */
void
fault_crash_loop_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t again_ns = sim->now_ns + sim_draw(&sim->random_faults, sim->election_ns / 5);

	if (n->is_lost)
		return;
	if (n->is_up)
		fault_crash_now(sim, n->id);
	if (n->is_lost)
		return;
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
	/* In the middle of a turn, after it had read its clock? */
	n->turn_clock_ns = sim_draw_percent(&sim->random_faults, 50) ? sim_clock_read(sim, n) : 0;
	sim_node_touch(sim, n);
	/* Sometimes nobody can tell it, when it wakes up, that time has passed. */
	if (sim_draw_percent(&sim->random_faults, 40))
		sim_cut_off(sim, n->id, pause_ns + sim->election_ns / 2);
}

/* It has read its clock, and nobody reaches it until it is awake again: only what it does with the
 * time that it lost may keep it from answering. */
void
fault_sleeper_strike(struct sim *sim)
{
	uint16_t leader = sim_leader(sim);
	uint64_t t = sim->election_ns;
	uint64_t pause_ns = sim_draw_between(&sim->random_faults, 2 * t, 6 * t);

	if (leader == 0)
		return;
	struct sim_node *n = &sim->nodes[leader];
	sim_trace(sim, "node %u: stands still for %.1f ms", leader, (double)pause_ns / 1e6);
	n->paused_until_ns = sim->now_ns + pause_ns;
	n->turn_clock_ns = sim_clock_read(sim, n);
	sim_node_touch(sim, n);
	sim_cut_off(sim, leader, pause_ns + t / 4);
}
