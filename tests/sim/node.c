/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node: its start, its turns and its death.
 *
 * A process may die at any of its dealings with the world, not only between two turns:
 * fault_crash_point() leaves the turn by a jump. The loop holds nothing that would need cleaning
 * up: its memory is forgotten.
 */
#include "tests/sim/sim.h"

#include "base/bytes.h"

#include <errno.h>

#define POLL_NS_MIN     (20 * US)
#define POLL_MANY_PER_T 100 /* for two T or so; then fewer and fewer */
#define POLL_IDLE_PER_T 8

/* ---- start ---- */

static uint64_t
on_now_ns(void *context)
{
	struct sim_node *n = context;

	return sim_clock_read(n->sim, n);
}

struct decree_uuid
sim_node_disk(const struct sim_node *n)
{
	struct decree_uuid disk;

	memset(disk.bytes, (n->is_wiped ? 0xa0 : 0xd0) + n->id, sizeof(disk.bytes));
	return disk;
}

/* Who joins is told where the members are; there is room for six, beside itself. */
static void
members_where_to_ask(const struct sim *sim, const struct sim_node *n, struct eng_config *cfg)
{
	const struct eng_membership *m = governors_newest(sim);

	for (uint32_t i = 0; i < m->member_count; i++)
		if (m->members[i].node_id < n->id && cfg->member_count + 1 < DECREE_NODE_COUNT_MAX)
			cfg->members[cfg->member_count++].node_id = m->members[i].node_id;
	cfg->members[cfg->member_count].role = ENG_LEARNER;
	cfg->members[cfg->member_count++].node_id = n->id;
}

static struct eng_config
group_config(struct sim *sim, const struct sim_node *n)
{
	struct eng_config cfg = {
		.cluster_id = 1,
		.node_id = n->id,
		.disk = sim_node_disk(n),
		.joins = n->joins,
		.q1 = sim->q1,
		.q2 = sim->q2,
		.nonce = sim_draw(&sim->random_nodes, UINT64_MAX),
		.seed = sim_draw(&sim->random_nodes, UINT64_MAX),
		.slot_bytes = SIM_SLOT_BYTES,
		.alpha = sim->alpha,
		.window_slots = sim->window_slots,
		.ring_slots = sim->ring_slots,
		.frame_bytes = SIM_FRAME_BYTES,
		.command_bytes_max = SIM_COMMAND_BYTES,
		.session_count = sim->faults.session_count != 0 ? sim->faults.session_count
								: SIM_SESSION_COUNT,
		.session_window = SIM_SESSION_WINDOW,
		.session_idle_slots = 32,
		.digest_slots = 64,
		.heartbeat_ns = sim->election_ns / 10,
		.heartbeat_on_grid = true,
		.announce_ns = SHARD_ANNOUNCE_NS,
		.election_ns = sim->election_ns,
		.disk_stall_ns = sim->election_ns * 5 / 2,
		.lease_ns = sim->reads.lease_ns,
		.max_drift_ppm = sim->reads.max_drift_ppm,
		.version_min = 1,
		.version_max = n->version_max,
	};

	if (n->joins) {
		members_where_to_ask(sim, n, &cfg);
		return cfg;
	}
	cfg.member_count = sim->founder_count;
	for (uint32_t i = 0; i < sim->founder_count; i++)
		cfg.members[i].node_id = (uint16_t)(i + 1);
	return cfg;
}

/* Which program the operator has put there before this start: the new one or the old one, back and
 * forth, until a raise is asked for. One founder has the old one, so that the cluster begins with
 * its version. Not drawn: what else a seed leads to does not depend on it. */
static uint8_t
program_of(const struct sim *sim, const struct sim_node *n)
{
	uint64_t z = (sim->options.seed * 31 + n->id) * 31 + n->boot_count;

	if (governors_newest(sim)->epoch == 0 && n->id == 1)
		return 1;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	return sim->admin.has_raised || (z >> 40 & 1) != 0 ? 2 : 1;
}

static void
shard_build(struct sim *sim, struct sim_node *n)
{
	void *machines[1] = { n };

	n->version_max = program_of(sim, n);
	n->group = group_config(sim, n);
	struct shard_config cfg = {
		.net_ops = &sim_net_ops,
		.frame_bytes = SIM_FRAME_BYTES,
		.log_ops = &sim_log_ops,
		.log_bytes = SIM_LOG_BYTES,
		.groups = &n->group,
		.group_count = 1,
		.machine_ops = &sim_machine_ops,
		.machines = machines,
		.snap_ops = sim->has_snapshots ? &sim_snap_ops : NULL,
		.snap_store = n,
		.snapshot_slots = sim->snapshot_slots,
		.gateway_window = SIM_IN_FLIGHT,
		.assembly_count = 8,
		.context = n,
		.on_applied = sim_on_applied,
		.on_role = sim_on_role,
		.on_note = sim->options.trace ? sim_on_note : NULL,
		.now_ns = on_now_ns,
	};
	n->shard = shard_init(sim_memory_take(&n->memory, shard_bytes(&cfg)), &cfg);
}

static int
recover_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct sim_node *n = context;
	uint64_t boot_count = 0;

	(void)generation;
	if (bytes == 0)
		return 0;
	int rc = shard_recover_meta(n->shard, blob, bytes, &boot_count);
	if (rc != 0 && n->has_lied)
		return rc; /* it may name a snapshot that is no more */
	sim_check(n->sim, rc == 0, "node %u: hard state of %u bytes", n->id, bytes);
	sim_check(
		n->sim, boot_count <= n->boot_count, "node %u: boot count from the future", n->id);
	n->found_boot_count = boot_count;
	return 0;
}

static void
recover_hearsay(void *context, const void *blob, uint32_t bytes)
{
	struct sim_node *n = context;
	int rc = shard_recover_hearsay(n->shard, blob, bytes);

	sim_check(n->sim, rc == 0 || n->has_bad_page || n->has_lied,
		"node %u: what it kept of the others, %u bytes, is lost", n->id, bytes);
}

static int
recover_record(void *context, const struct log_place *place, const uint8_t *tag,
	const void *payload, uint32_t payload_bytes)
{
	struct sim_node *n = context;

	oracle_on_recovered_record(n->sim, n, tag);
	return shard_recover_record(n->shard, tag, payload, payload_bytes, *place);
}

/* A node may be refused its start, if it has reason to be. It is never let in on a wrong state. */
static void
start_refused(struct sim *sim, struct sim_node *n, const char *error)
{
	n->shard = NULL;
	sim->count.refused_starts++;
	sim_trace(sim, "node %u: does not start: %s", n->id, error);
	if (disk_fake_has_failed(n->disk)) {
		n->up_at_ns = sim->now_ns + sim->election_ns / 20;
		sim_node_touch(sim, n);
		return;
	}
	sim_check(
		sim, n->has_bad_page || n->has_lied, "node %u does not recover: %s", n->id, error);
	sim_node_lose(sim, n);
}

static bool
log_open(struct sim *sim, struct sim_node *n)
{
	char error[DECREE_ERROR_BYTES] = "";
	struct wal_config cfg = {
		.ops = &disk_fake_ops,
		.disk = n->disk,
		.mode = DECREE_LOG_DURABLE,
		.scrub_bytes_per_second = sim->scrubs ? 1 << 20 : 0,
		.recovery = {
			.context = n,
			.meta = recover_meta,
			.hearsay = recover_hearsay,
			.record = recover_record,
			.damaged = sim_damage_recover,
		},
	};
	int64_t fail_after = (int64_t)n->fails_at_start - 1;

	n->found_boot_count = n->fails_at_start = 0;
	disk_fake_fail_after(
		n->disk, fail_after, -EIO); /* what else was to fail, the old process saw */
	int rc = wal_open(&cfg, &n->wal, error);
	if (rc != 0) {
		n->wal = NULL;
		start_refused(sim, n, error);
		return false;
	}
	disk_fake_fail_after(n->disk, -1, 0); /* what could not be read at once was read again */
	n->has_bad_page = false;
	return true;
}

/* A disk that lied may have lost what its node has said. If every other node can tell, it may try;
 * if not, it is beyond what anybody promises (11.9), and stays away. @return whether it goes on */
static bool
admit_liar(struct sim *sim, struct sim_node *n, uint64_t boot_count_before)
{
	if (!n->has_lied || n->is_disowned ||
		(n->boot_count > boot_count_before && oracle_keeps_its_word(sim, n)))
		return true;
	sim->count.forgetful++;
	n->is_disowned = sim_is_found_out(sim, n);
	sim_trace(sim, "node %u: its disk has forgotten what it said, %s", n->id,
		n->is_disowned ? "and everybody knows" : "and nobody could tell");
	if (n->is_disowned)
		return true;
	disk_fake_kill_process(n->disk);
	wal_abandon(n->wal);
	n->wal = NULL;
	n->shard = NULL;
	sim_node_lose(sim, n);
	return false;
}

void
sim_node_start(struct sim *sim, uint16_t place)
{
	struct sim_node *n = &sim->nodes[place];
	uint64_t boot_count_before = n->boot_count;

	n->crash_after = 0; /* that was for the old process; this one is not in a turn yet */
	n->applied_count = 0;
	n->timer_ns = n->fired_count = 0;
	n->cluster_ns = 0;
	n->own_first = n->own_after = 0;
	n->digest = (struct decree_digest){ 0, 0 };
	n->fold = 0;
	disk_fake_set_now(n->disk, sim->now_ns);
	sim_queue_start(n);
	shard_build(sim, n);
	snap_fake_set_now(n->snaps, sim->now_ns);
	if (!log_open(sim, n))
		return;
	disk_fake_set_now(n->disk, sim->now_ns);
	n->boot_count = n->found_boot_count + 1;
	if (!admit_liar(sim, n, boot_count_before))
		return;
	oracle_on_recovered(sim, n);
	sim_clock_start(sim, n);
	shard_attach(n->shard, n, n);
	shard_start(n->shard, n->boot_count, sim_clock_read(sim, n));
	n->is_up = true;
	n->turn_at_ns = sim->now_ns;
	n->paused_until_ns = n->turn_clock_ns = 0;
	n->poll_ns = POLL_NS_MIN;
	n->is_polling = false;
	n->inbox_left = 0;
	workload_open(sim, n);
	sim_trace(sim, "node %u%s: starts (boot %lu), promised %lu.%lu, decided up to slot %lu",
		n->id, sim_copy_mark(n), n->boot_count, sim_replica(n)->promised.n >> 16,
		sim_replica(n)->promised.n & 0xffff, sim_replica(n)->chosen.n);
	sim_node_touch(sim, n);
}

void
sim_node_crash(struct sim *sim, uint16_t place, bool power_cut)
{
	struct sim_node *n = &sim->nodes[place];

	sim_trace(sim, "node %u: %s", n->id, power_cut ? "power cut" : "kill -9");
	n->proposer.is_open = false;
	n->is_up = false;
	if (power_cut)
		disk_fake_cut_power(n->disk);
	else
		disk_fake_kill_process(n->disk);
	wal_abandon(n->wal); /* only now: writes in flight read its buffers */
	snap_fake_crash(n->snaps);
	n->wal = NULL;
	n->shard = NULL;
	n->up_at_ns = UINT64_MAX;
	sim_frames_reclaim(sim, n);
	sim_node_touch(sim, n);
}

void
sim_node_lose(struct sim *sim, struct sim_node *n)
{
	if (n->is_up)
		sim_node_crash(sim, n->place, false);
	sim_trace(sim, "node %u: is lost", n->id);
	sim->count.lost_nodes++;
	n->is_lost = true;
	n->up_at_ns = UINT64_MAX;
	sim_node_touch(sim, n);
}

/* ---- its turn ---- */

/* The core has ended the process. That is right for a node that the others know no more, and for
 * one that comes without its disk. @return false: it is wrong */
static bool
ends_rightly(struct sim *sim, struct sim_node *n)
{
	enum eng_halt why = sim_replica(n)->halt;

	if (!(why == ENG_HALT_REMOVED && !sim_is_member(sim, n->id)) &&
		!((why == ENG_HALT_NOT_MEMBER || why == ENG_HALT_ROLLED_BACK) && n->is_wiped))
		return false;
	sim_trace(sim, "node %u: ends: %s", n->id, eng_halt_text(why));
	sim_node_crash(sim, n->place, false);
	n->is_lost = true;
	return true;
}

const struct eng_replica *
sim_replica(const struct sim_node *n)
{
	return shard_replica(n->shard, 0);
}

void
sim_node_touch(const struct sim *sim, struct sim_node *n)
{
	uint64_t at = n->turn_at_ns, other;

	if (!n->is_up) {
		n->next_ns = n->up_at_ns;
		return;
	}
	other = disk_fake_next_ns(n->disk);
	if (other < at)
		at = other;
	other = snap_fake_next_ns(n->snaps);
	if (other < at)
		at = other;
	/* A node that boots polls its disk; here the disk says when it has something. */
	n->wake_ns = shard_has_started(n->shard) ? sim_clock_when(sim, n, shard_wake_at(n->shard))
						 : UINT64_MAX;
	if (n->wake_ns < at)
		at = n->wake_ns;
	n->next_ns = at < n->paused_until_ns ? n->paused_until_ns : at;
}

/* Not one of its own: nothing came from outside, but the last turn left something undone. */
static bool
is_unfinished(const struct sim *sim, const struct sim_node *n)
{
	bool is_booting = !shard_has_started(n->shard);

	return n->wake_ns <= sim->now_ns || n->inbox_count > 0 ||
	       (is_booting && disk_fake_next_ns(n->disk) == UINT64_MAX);
}

/* The real loop polls for ever, and a turn costs time. Here what a turn left undone is done in the
 * next one, a little later, and each one without a cause from outside comes twice as late as the
 * one before, and at last an eighth of T later. After a turn that seems to have left nothing there
 * is one more, much later. */
static void
plan_next_turn(struct sim *sim, struct sim_node *n, bool worked)
{
	n->turn_at_ns = UINT64_MAX;
	n->inbox_left = n->inbox_count;
	sim_node_touch(sim, n);
	n->is_polling = is_unfinished(sim, n);
	if (n->is_polling) {
		n->next_ns = n->turn_at_ns = sim->now_ns + n->poll_ns;
		if (n->poll_ns < sim->election_ns / POLL_MANY_PER_T)
			n->poll_ns *= 2;
		else if (n->poll_ns < sim->election_ns / POLL_IDLE_PER_T)
			n->poll_ns += n->poll_ns / 16;
	} else if (worked) {
		n->turn_at_ns = sim->now_ns + sim->election_ns / POLL_IDLE_PER_T;
		if (n->next_ns > n->turn_at_ns)
			n->next_ns = n->turn_at_ns;
	}
}

/* @return whether the turn has a cause from outside, or a timer */
static bool
note_cause(struct sim *sim, struct sim_node *n)
{
	bool is_timer = n->wake_ns <= sim->now_ns && !n->is_polling;

	sim->count.timers += is_timer;
	return is_timer || n->inbox_count > n->inbox_left ||
	       disk_fake_next_ns(n->disk) <= sim->now_ns ||
	       snap_fake_next_ns(n->snaps) <= sim->now_ns;
}

static bool
is_found_out(const struct sim_node *n, enum eng_halt halt)
{
	return n->is_disowned && (halt == ENG_HALT_ROLLED_BACK || halt == ENG_HALT_TWIN);
}

/* The loop has ended by itself: of a disk that failed, or because the others remember more than it
 * does. */
static void
node_stopped(struct sim *sim, struct sim_node *n)
{
	char text[DECREE_ERROR_BYTES];
	enum shard_stop why = shard_stop_reason(n->shard, text);
	enum eng_halt halt = sim_replica(n)->halt;

	if (why == SHARD_STOPPED_LOG && disk_fake_has_failed(n->disk)) {
		sim_trace(sim, "node %u: its disk failed, the process ends", n->id);
		fault_crash_now(sim, n->place);
		return;
	}
	if (why == SHARD_STOPPED_HALT && ends_rightly(sim, n))
		return;
	if (halt == ENG_HALT_VERSION && n->version_max < governors_newest(sim)->version) {
		sim_trace(sim, "node %u: ends, its program is too old", n->id);
		sim->count.too_old++;
		fault_crash_now(sim, n->place);
		return;
	}
	sim_check(sim,
		why == SHARD_STOPPED_HALT &&
			(is_found_out(n, halt) || sim_twin_ends_rightly(sim, n, halt)),
		"node %u stopped: %s", n->id, text);
	if (sim_has_twin(sim, n->id))
		sim_twin_note_end(sim, n);
	sim_trace(sim, "node %u%s: is found out: %s", n->id, sim_copy_mark(n), text);
	sim_node_lose(sim, n);
}

/* A process that stood still does not know that: its turn goes on with the time that it began with.
 * Somebody has asked meanwhile, and frames have come. */
static uint64_t
turn_clock(struct sim *sim, struct sim_node *n)
{
	uint64_t clock_ns = n->turn_clock_ns;

	if (n->paused_until_ns != 0 && !sim->is_silent && n->proposer.is_open)
		sim_reads_burst(sim, &n->proposer);
	n->paused_until_ns = n->turn_clock_ns = 0;
	return clock_ns != 0 ? clock_ns : sim_clock_read(sim, n);
}

void
sim_node_turn(struct sim *sim, struct sim_node *n)
{
	if (!n->is_up) {
		sim_node_start(sim, n->place);
		return;
	}
	if (note_cause(sim, n))
		n->poll_ns = POLL_NS_MIN;
	disk_fake_set_now(n->disk, sim->now_ns);
	if (setjmp(n->out) != 0) {
		fault_crash_now(sim, n->place);
		return;
	}
	bool worked = shard_turn(n->shard, turn_clock(sim, n));
	if (shard_stop_reason(n->shard, NULL) != SHARD_RUNS) {
		node_stopped(sim, n);
		return;
	}
	sim->count.completions += disk_fake_completion_count(n->disk) - n->completion_count;
	n->completion_count = disk_fake_completion_count(n->disk);
	plan_next_turn(sim, n, worked);
}
