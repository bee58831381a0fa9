/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kinds of fault this seed's world has, and when each of them strikes. Swarm testing (Groce
 * et al., 2012): each seed leaves some kinds out and makes others frequent; a world with everything
 * at once hides what one kind alone would show.
 *
 * A new kind is a name in enum fault_kind, a row here, and its functions in the file of its family.
 * Each strike has a number, by which a shrunk run keeps or drops it; what is dropped draws its
 * random numbers all the same.
 */
#include "tests/sim/sim.h"

const struct fault sim_fault_table[FAULT_KIND_COUNT] = {
	[FAULT_LOSS] = { "loss", "frames are lost, up to 30 %", 60, fault_loss_draw },
	[FAULT_DUPLICATE] = { "duplicate", "frames arrive twice", 40, fault_duplicate_draw },
	[FAULT_CORRUPT] = { "corrupt", "a byte of a frame is changed", 20, fault_corrupt_draw },
	[FAULT_SLOW_FRAME] = { "slow-frame", "some frames take up to several elections", 40,
		fault_slow_frame_draw },
	[FAULT_REPLAY] = { "replay", "old frames, also of earlier lives, arrive again", 25, NULL,
		fault_replay_strike, 3, 30 },
	[FAULT_CLOG] = { "clog", "one direction of a path holds its frames back", 30, NULL,
		fault_clog_strike, 10, 80 },
	[FAULT_PARTITION] = { "partition",
		"links are cut: one node, halves, a bridge, a ring, one way", 50,
		fault_partition_draw, fault_partition_strike, 5, 80 },
	[FAULT_PICKY] = { "picky", "frames of some types are lost on some paths", 40, NULL,
		fault_picky_strike, 5, 50 },
	[FAULT_CHURN] = { "churn", "leaders fall one after another, their Accepts half delivered",
		30, NULL, fault_churn_strike, 20, 80 },
	[FAULT_CRASH] = { "crash", "a process dies between two turns", 75, NULL, fault_crash_strike,
		10, 100 },
	[FAULT_CRASH_INSIDE] = { "crash-inside", "a process dies in the middle of a turn", 40, NULL,
		fault_crash_inside_strike, 10, 100 },
	[FAULT_CRASH_LOOP] = { "crash-loop", "a process dies again and again as it starts", 15,
		NULL, fault_crash_loop_strike, 40, 200 },
	[FAULT_CRASH_ALL] = { "crash-all", "all processes die at once", 20, NULL,
		fault_crash_all_strike, 40, 200 },
	[FAULT_PAUSE] = { "pause", "a process stands still", 30, fault_pause_draw,
		fault_pause_strike, 5, 60 },
	[FAULT_DISK_SLOW] = { "disk-slow", "a disk answers late", 20, NULL, fault_disk_slow_strike,
		5, 60 },
	[FAULT_DISK_HANG] = { "disk-hang", "a disk answers nothing for long", 15, NULL,
		fault_disk_hang_strike, 40, 150 },
	[FAULT_DISK_ERROR] = { "disk-error", "a write fails, and the process ends", 15, NULL,
		fault_disk_error_strike, 20, 100 },
	[FAULT_DRIFT] = { "drift", "clocks run too fast or too slow", 40, fault_drift_draw },
	[FAULT_AMNESIA] = { "amnesia", "a leader forgets which commands it has on their way", 25,
		NULL, fault_amnesia_strike, 2, 20 },
	[FAULT_JUMP] = { "jump", "a clock jumps forward", 15, NULL, fault_jump_strike, 20, 100 },
	[FAULT_DAMAGE] = { "damage",
		"records of a log rot, vanish, overwrite others or cannot be read any more", 30,
		fault_damage_draw, fault_damage_strike, 10, 60 },
	[FAULT_ROT] = { "rot",
		"a disk rots in one place, under a process that goes on or under one that dies", 20,
		NULL, fault_rot_strike, 10, 60 },
	[FAULT_READ_ERROR] = { "read-error", "a disk fails while a node starts; it tries again", 20,
		NULL, fault_read_error_strike, 20, 100 },
	[FAULT_TORN_SECTOR] = { "torn-sector", "a power cut leaves sectors that are half written",
		15, NULL, fault_torn_sector_strike, 10, 60 },
	[FAULT_MISDIRECT] = { "misdirect", "a write goes to another place, over what lies there",
		15, NULL, fault_misdirect_strike, 10, 60 },
	[FAULT_SMALL_LOG] = { "small-log",
		"logs fill up: commands are refused until a snapshot makes room, if one ever does",
		12, fault_small_log_draw },
	[FAULT_LYING] = { "lying-flush",
		"a disk calls writes durable that a power cut then loses or tears", 15, NULL,
		fault_lying_strike, 5, 40 },
	[FAULT_ROLLBACK] = { "rollback", "a node starts on a copy of its disk of some time ago", 25,
		NULL, fault_rollback_strike, 2, 20 },
	[FAULT_MEMBER_ADD] = { "member-add", "the operator adds a node: learner, then voter", 25,
		fault_member_draw, fault_member_add_strike, 10, 60 },
	[FAULT_MEMBER_REMOVE] = { "member-remove", "the operator removes a node, often the leader",
		25, fault_member_draw, fault_member_remove_strike, 15, 80 },
	[FAULT_MEMBER_REPLACE] = { "member-replace",
		"the operator puts a new node in the place of a working one", 15, fault_member_draw,
		fault_member_replace_strike, 15, 80 },
	[FAULT_DISK_LOST] = { "disk-lost",
		"a disk is lost for good, and its node is replaced or removed", 20,
		fault_member_draw, fault_disk_lost_strike, 10, 80 },
	[FAULT_ABSENT] = { "absent",
		"a process is down for so long that the others let go of what it lacks", 45, NULL,
		fault_absent_strike, 10, 60 },
	[FAULT_SLEEPER] = { "sleeper",
		"a leader stands still in the middle of a turn, and wakes up when another one "
		"leads",
		35, NULL, fault_sleeper_strike, 30, 120 },
	[FAULT_TRANSFER] = { "transfer", "the operator wants another node to lead", 30,
		fault_member_draw, fault_transfer_strike, 10, 60 },
	[FAULT_TWIN] = { "twin",
		"a second process runs with a node's id, on a copy of its disk, beside the first",
		40, NULL, fault_twin_strike, 2, 20 },
	[FAULT_FLAPPING] = { "flapping", "a link, or all links of a node, go on and off and on", 25,
		fault_flapping_draw, fault_flapping_strike, 10, 80 },
	[FAULT_SNAPSHOT_SPACE] = { "snapshot-space",
		"nodes have no space for snapshots: they take no commands, and hand over", 20, NULL,
		fault_snapshot_space_strike, 10, 80 },
	[FAULT_USURPER] = { "usurper",
		"somebody registers proposers in a node's name, and its own loses its session", 15,
		fault_usurper_draw, fault_usurper_strike, 5, 60 },
	[FAULT_DECISION] = { "decision",
		"records of decisions that a node has learned rot, and its process dies", 15, NULL,
		fault_decision_strike, 5, 40 },
	[FAULT_OUTAGE] = { "outage",
		"all processes die, and a node comes back on a copy of its disk of some time ago",
		20, NULL, fault_outage_strike, 2, 20 },
};

/* From now on, after an average of @p every_ns; UINT64_MAX for 0. */
static uint64_t
schedule(struct sim *sim, uint64_t every_ns)
{
	if (every_ns == 0)
		return UINT64_MAX;
	return sim->now_ns + sim_draw_between(&sim->random_faults, every_ns / 4, every_ns * 2);
}

static void
note_first(struct sim_faults *f)
{
	f->first_ns = f->heal_ns < f->operator_ns ? f->heal_ns : f->operator_ns;
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		if (f->next_ns[kind] < f->first_ns)
			f->first_ns = f->next_ns[kind];
}

void
sim_faults_note_heal(struct sim *sim, uint64_t heal_ns)
{
	sim->faults.heal_ns = heal_ns;
	note_first(&sim->faults);
}

void
sim_faults_note_operator(struct sim *sim, uint64_t at_ns)
{
	sim->faults.operator_ns = at_ns;
	note_first(&sim->faults);
}

/* The kinds from FAULT_DAMAGE on have a stream of their own, and the last ones have one each, so
 * that a seed without them is what it would be if they did not exist. NULL: the stream of all the
 * others. */
static uint64_t *
stream_of(struct sim *sim, enum fault_kind kind)
{
	switch (kind) {
	case FAULT_TWIN: return &sim->random_twins;
	case FAULT_FLAPPING: return &sim->random_flaps;
	case FAULT_SNAPSHOT_SPACE: return &sim->random_space;
	case FAULT_USURPER: return &sim->random_usurpers;
	case FAULT_DECISION: return &sim->random_decisions;
	case FAULT_OUTAGE: return &sim->random_outages;
	default: return kind < FAULT_DAMAGE ? NULL : &sim->random_disks;
	}
}

/* Called again, it changes back. */
static void
change_stream(struct sim *sim, enum fault_kind kind)
{
	uint64_t *other = stream_of(sim, kind);
	uint64_t now = sim->random_faults;

	if (other == NULL)
		return;
	sim->random_faults = *other;
	*other = now;
}

/* What is drawn for a kind that is left out is drawn all the same: the other kinds stay as they
 * are. */
static void
draw_kind(struct sim *sim, enum fault_kind kind)
{
	const struct fault *row = &sim_fault_table[kind];
	struct sim_faults *f = &sim->faults;
	struct sim_faults before = *f;
	bool is_drawn = sim_draw_percent(&sim->random_faults, row->percent);
	bool has = (is_drawn || sim->options.with[kind]) && !sim->options.without[kind];
	uint64_t tenths = sim_draw_between(&sim->random_faults, row->every_min, row->every_max);

	if (row->draw != NULL)
		row->draw(sim);
	f->next_ns[kind] = UINT64_MAX;
	if (!has) {
		*f = before;
		f->next_ns[kind] = UINT64_MAX;
		return;
	}
	f->has[kind] = true;
	if (row->strike != NULL) {
		f->every_ns[kind] = tenths * sim->election_ns / 10;
		f->next_ns[kind] = schedule(sim, f->every_ns[kind]);
	}
}

/* Which nodes may still have bad disks when members leave is more than this simulator wants to
 * know: a world has one or the other. */
static void
one_family(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;
	bool keeps_members = sim_draw_percent(&sim->random_disks, 60);
	bool has_disks = f->has[FAULT_DAMAGE] || f->has[FAULT_ROT] || f->has[FAULT_TORN_SECTOR] ||
			 f->has[FAULT_MISDIRECT] || f->has[FAULT_LYING] || f->has[FAULT_ROLLBACK];
	bool has_members = f->has[FAULT_MEMBER_ADD] || f->has[FAULT_MEMBER_REMOVE] ||
			   f->has[FAULT_MEMBER_REPLACE] || f->has[FAULT_DISK_LOST];

	if (has_members) {
		f->has[FAULT_TWIN] = f->has[FAULT_DECISION] = f->has[FAULT_OUTAGE] = false;
		f->next_ns[FAULT_TWIN] = f->next_ns[FAULT_DECISION] = UINT64_MAX;
		f->next_ns[FAULT_OUTAGE] = UINT64_MAX;
	}
	if (!has_disks || !has_members)
		return;
	for (int kind = FAULT_DAMAGE; kind <= FAULT_DISK_LOST; kind++) {
		if (kind == FAULT_READ_ERROR || keeps_members == (kind >= FAULT_MEMBER_ADD))
			continue;
		f->has[kind] = false;
		f->next_ns[kind] = UINT64_MAX;
	}
}

void
sim_faults_draw(struct sim *sim)
{
	memset(&sim->faults, 0, sizeof(sim->faults));
	sim->faults.heal_ns = sim->faults.operator_ns = UINT64_MAX;
	faults_net_draw(sim);
	faults_disk_draw(sim);
	faults_process_draw(sim);
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
		change_stream(sim, (enum fault_kind)kind);
		draw_kind(sim, (enum fault_kind)kind);
		change_stream(sim, (enum fault_kind)kind);
	}
	one_family(sim);
	note_first(&sim->faults);
}

uint16_t
sim_any_node(struct sim *sim)
{
	uint16_t id = (uint16_t)(1 + sim_draw(&sim->random_faults, sim->node_count));

	for (uint32_t i = 0; i < sim->node_count && sim->nodes[id].is_lost; i++)
		id = id % (uint16_t)sim->node_count + 1;
	return id;
}

uint16_t
sim_victim(struct sim *sim)
{
	uint16_t leader = sim_leader(sim);
	bool is_leader = sim_draw_percent(&sim->random_faults, 50);
	uint16_t other = sim_any_node(sim);

	return leader != 0 && is_leader ? leader : other;
}

static bool
is_kept(const struct sim *sim, uint32_t number)
{
	const struct sim_options *o = &sim->options;

	if (o->only_faults == NULL)
		return true;
	for (uint32_t i = 0; i < o->only_count; i++)
		if (o->only_faults[i] == number)
			return true;
	return false;
}

bool
sim_faults_number(struct sim *sim, const char *name)
{
	uint32_t number = ++sim->faults.strike_count;

	if (sim->told_strikes != NULL)
		*sim->told_strikes = number;
	if (!is_kept(sim, number))
		return false;
	sim_trace(sim, "fault %u: %s", number, name);
	return true;
}

/* While only the memory of the others stands between a disk of the past and harm, nobody may
 * forget. */
static bool
is_held_back(const struct sim *sim, enum fault_kind kind)
{
	switch (kind) {
	case FAULT_CRASH:
	case FAULT_CRASH_INSIDE:
	case FAULT_CRASH_LOOP:
	case FAULT_CRASH_ALL:
	case FAULT_ABSENT:
	case FAULT_DISK_ERROR:
	case FAULT_DAMAGE:
	case FAULT_DECISION:
	case FAULT_ROT:
	case FAULT_READ_ERROR:
	case FAULT_TORN_SECTOR:
	case FAULT_MISDIRECT:
	case FAULT_LYING:
	case FAULT_ROLLBACK:
	case FAULT_OUTAGE:
	case FAULT_TWIN: return sim_must_remember(sim);
	default: return false;
	}
}

void
sim_faults_strike(struct sim *sim, enum fault_kind kind)
{
	struct sim_faults *f = &sim->faults;

	change_stream(sim, kind);
	f->next_ns[kind] = schedule(sim, f->every_ns[kind]);
	if (sim_faults_number(sim, sim_fault_table[kind].name) && !is_held_back(sim, kind)) {
		sim->count.faults[kind]++;
		sim_fault_table[kind].strike(sim);
	}
	change_stream(sim, kind);
}

void
sim_faults_step(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	if (sim->now_ns < f->first_ns)
		return;
	if (sim->now_ns >= f->heal_ns)
		sim_links_heal(sim);
	if (sim->now_ns >= f->operator_ns)
		operator_step(sim);
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		if (sim->now_ns >= f->next_ns[kind])
			sim_faults_strike(sim, (enum fault_kind)kind);
	note_first(f);
}
