/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of nodes: formatted once per process, copied for each run; and nodes that come with one, or
 * lose it. */
#include "tests/sim/sim.h"

/* Until the log has pre-written all that it wants to, and noted that. */
static void
log_settle(struct wal *wal, struct disk_fake *disk)
{
	struct log_completion done[8];

	for (uint64_t second = 1; second <= 64; second++) {
		disk_fake_set_now(disk, second * 1000 * MS);
		wal_log_ops.submit(wal, second * 1000 * MS);
		(void)wal_log_ops.reap(
			wal, second * 1000 * MS, done, 8); /* nothing was asked for */
	}
}

/* What a freshly installed node has on its disk: a formatted log that was opened once. Most have
 * had time to prepare it, and spare each run the megabytes of zeros. */
static struct disk_fake *
blank_disk_create(const struct sim *sim, uint16_t id, uint64_t segment_bytes, bool is_settled)
{
	struct disk_fake_config disk = { .flush_covers_all = true };
	struct wal_format format = {
		.payload_bytes_max = SIM_SLOT_BYTES,
		.log_bytes = SIM_LOG_BYTES,
		.segment_bytes = segment_bytes,
		.window_bytes = SIM_WINDOW_BYTES,
	};
	char error[DECREE_ERROR_BYTES] = "";
	struct disk_fake *blank = disk_fake_create(&disk);
	struct wal *wal;

	memset(format.uuid.bytes, id, sizeof(format.uuid.bytes));
	int rc = wal_format(&disk_fake_ops, blank, &format, error);
	sim_check(sim, rc == 0, "format: %s", error);
	struct wal_config cfg = {
		.ops = &disk_fake_ops,
		.disk = blank,
		.mode = DECREE_LOG_DURABLE,
	};
	rc = wal_open(&cfg, &wal, error);
	sim_check(sim, rc == 0, "first open: %s", error);
	if (is_settled)
		log_settle(wal, blank);
	wal_close(wal);
	return blank;
}

void
sim_node_create(struct sim *sim, uint16_t id)
{
	struct sim_node *n = &sim->nodes[id];

	n->id = n->place = id;
	n->sim = sim;
	n->accepted_said = calloc(SIM_SLOT_MAX, sizeof(*n->accepted_said));
	n->listed = calloc(SIM_SLOT_MAX, sizeof(*n->listed));
	sim->blanks[id] = blank_disk_create(sim, id, SIM_LOG_BYTES, false);
	sim->settled[id] = blank_disk_create(sim, id, SIM_LOG_BYTES, true);
	sim->pieces[id] = blank_disk_create(sim, id, SIM_SEGMENT_BYTES, true);
	n->disk = disk_fake_create(&(struct disk_fake_config){ 0 });
}

void
sim_node_clear(struct sim_node *n)
{
	if (n->wal != NULL) {
		disk_fake_kill_process(n->disk);
		wal_abandon(n->wal);
	}
	n->wal = NULL;
	n->shard = NULL;
	n->is_up = n->joins = n->is_wiped = false;
	n->up_at_ns = UINT64_MAX;
	n->boot_count = 0;
	n->inbox_count = n->inbox_first = n->held_count = 0;
	n->clock_ns = 0;
	n->drift_ppm = 0;
	n->promised_said.n = 0;
	memset(n->accepted_said, 0, (n->accepted_last + 1) * sizeof(*n->accepted_said));
	n->accepted_last = 0;
	memset(n->listed, 0, (n->listed_last + 1) * sizeof(*n->listed));
	n->listed_last = 0;
	n->promise_said.n = n->promise_commit = 0;
	n->promise_doubtful = false;
	n->is_lost = n->is_disowned = n->has_lied = n->has_bad_page = false;
	n->fails_at_start = n->damage_count = 0;
	n->proposer.is_open = false;
	n->completion_count = 0;
	n->is_full = false;
	n->log_records_max = 0;
}

void
sim_node_reset(struct sim *sim, uint16_t id)
{
	struct sim_node *n = &sim->nodes[id];
	struct disk_fake_config disk = {
		.seed = sim_draw(&sim->random_nodes, UINT64_MAX),
		.latency_ns_min = sim->faults.disk_ns_min,
		.latency_ns_max = sim->faults.disk_ns_max,
		.flush_covers_all = sim_draw(&sim->random_nodes, 2) == 0,
	};
	bool is_blank = sim_draw(&sim->random_nodes, 8) == 0;

	sim_node_clear(n);
	const struct disk_fake *blank = sim->faults.log_records != 0 ? sim->pieces[id]
					: is_blank                   ? sim->blanks[id]
								     : sim->settled[id];
	disk_fake_assign(n->disk, blank, &disk);
	sim_snapshots_reset(sim, n);
}

void
sim_node_join(struct sim *sim, uint16_t id)
{
	struct sim_node *n = &sim->nodes[id];

	if (n->disk == NULL)
		sim_node_create(sim, id);
	sim->node_count = id;
	sim_node_reset(sim, id);
	n->joins = true;
	sim_trace(sim, "node %u: is new", id);
	sim_node_start(sim, id);
}

void
sim_node_destroy(struct sim *sim, uint16_t id, bool comes_back)
{
	struct sim_node *n = &sim->nodes[id];
	bool joins = n->joins;

	sim_trace(sim, "node %u: its disk is lost%s", id,
		comes_back ? "; it will start with an empty one" : "");
	if (n->is_up)
		sim_node_crash(sim, id, false);
	n->up_at_ns = UINT64_MAX;
	n->is_lost = true;
	if (comes_back) {
		sim_node_reset(sim, id);
		n->joins = joins;
		n->is_wiped = true;
		n->up_at_ns = sim->now_ns + sim_draw(&sim->random_faults, 2 * sim->election_ns);
	}
	sim_node_touch(sim, n);
}
