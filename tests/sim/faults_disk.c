/* SPDX-License-Identifier: Apache-2.0 */
/* Disks: slow, hanging, failing. That a power cut loses and tears what was not durable is
 * disk_fake's doing. */
#include "tests/sim/sim.h"

#include <errno.h>

void
faults_disk_draw(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;
	uint64_t *random = &sim->random_faults;
	uint64_t spread = sim_draw_percent(random, 25) ? sim->election_ns / 10 : 300 * US;

	if (spread > 1000 * MS)
		spread = 1000 * MS; /* slower ones hang: see fault_disk_hang_strike() */
	f->disk_ns_min = 10 * US + sim_draw(random, 200 * US);
	f->disk_ns_max = f->disk_ns_min + sim_draw(random, spread);
}

/* With snapshots there is always room again, in the end; without them the log is full for good, and
 * the run is about what the nodes still do then. */
void
fault_small_log_draw(struct sim *sim)
{
	uint64_t *random = &sim->random_faults;
	bool is_for_good = sim_draw_percent(random, 40);
	uint64_t little = 20 + sim_draw(random, 60);
	uint64_t enough = SIM_LOG_RECORDS_MIN + sim_draw(random, 100);

	sim->faults.log_records = (uint32_t)(is_for_good ? little : enough);
}

static void
stall(struct sim *sim, uint64_t ns_max)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t ns = sim_draw(&sim->random_faults, ns_max);

	sim_trace(sim, "node %u: its disk answers nothing for %.1f ms", n->id, (double)ns / 1e6);
	disk_fake_stall(n->disk, sim->now_ns + ns);
	sim_node_touch(sim, n);
}

void
fault_disk_slow_strike(struct sim *sim)
{
	stall(sim, sim->election_ns / 2);
}

/* Long enough for the watchdog (protocol 10.5). */
void
fault_disk_hang_strike(struct sim *sim)
{
	stall(sim, 6 * sim->election_ns);
}

/* A write or a flush fails: the process must end, and what it had promised by then must hold. */
void
fault_disk_error_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_victim(sim)];
	uint64_t after = sim_draw(&sim->random_faults, 4);

	if (!n->is_up || !shard_has_started(n->shard) || disk_fake_has_failed(n->disk))
		return; /* a paused process does not know yet that its disk failed; it ends of that */
	sim_trace(sim, "node %u: request %lu from now to its disk will fail", n->id, after);
	disk_fake_fail_after(n->disk, (int64_t)after, -EIO);
}

/* ---- no space for snapshots (11.7) ---- */

void
sim_space_return(struct sim *sim, uint32_t nodes)
{
	struct sim_faults *f = &sim->faults;

	for (uint16_t id = 1; id <= sim->node_count; id++)
		if ((f->no_space & nodes) >> id & 1) {
			snap_fake_set_space_low(sim->nodes[id].snaps, false);
			snap_fake_fail_after(sim->nodes[id].snaps, -1, 0);
		}
	if ((f->no_space & nodes) != 0)
		sim_trace(sim, "nodes %#x have space for snapshots again", f->no_space & nodes);
	f->no_space &= ~nodes;
}

/* The leader alone mostly, some nodes, or all of them: then nobody takes commands. */
static uint32_t
choose_full(struct sim *sim)
{
	uint64_t *random = &sim->random_faults;
	uint64_t shape = sim_draw(random, 10);
	uint32_t nodes = 1u << sim_victim(sim);

	for (uint16_t id = 1; id <= sim->node_count; id++)
		if (shape == 0 || (shape < 5 && sim_draw_percent(random, 60)))
			nodes |= 1u << id;
	return nodes;
}

/* For a while; the next strike ends it. The snapshot that is being written may fail for that. */
void
fault_snapshot_space_strike(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;
	uint64_t *random = &sim->random_faults;

	if (f->no_space != 0) {
		sim_space_return(sim, f->no_space);
		return;
	}
	f->no_space = choose_full(sim);
	sim_trace(sim, "nodes %#x have no space for snapshots", f->no_space);
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		if ((f->no_space >> id & 1) == 0)
			continue;
		snap_fake_set_space_low(sim->nodes[id].snaps, true);
		if (sim_draw_percent(random, 50))
			snap_fake_fail_after(sim->nodes[id].snaps, 0, -ENOSPC);
	}
	f->next_ns[FAULT_SNAPSHOT_SPACE] =
		sim->now_ns + sim_draw_between(random, sim->election_ns, 10 * sim->election_ns);
}
