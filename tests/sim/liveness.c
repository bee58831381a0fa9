/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Liveness: once some nodes have working round trips to a q1 and a q2 quorum, a leader appears and
 * commits within D = 4 elections and some round trips, and stays (protocol 0). So the faults stop
 * for a drawn set of nodes only, the core; the others stay broken, each in its own way, and still
 * may disturb. Afterwards all of them heal.
 *
 * An election takes [T, 2 T]; a node that has just started listens for T first; a leader in the
 * broken part that still reaches the core but whose disk hangs is found out after 2.5 T.
 */
#include "tests/sim/sim.h"

#include "engine/runtime/shard_private.h"

#define PROGRESS_ELECTIONS 4 /* of 2 T each */
#define STAY_ELECTIONS     2

enum broken {
	BROKEN_DOWN = 0,
	BROKEN_PAUSED,
	BROKEN_CUT_OFF,
	BROKEN_DEAF,
	BROKEN_MUTE,
	BROKEN_SLOW_DISK,
	BROKEN_COUNT,
};

static const char *const broken_names[BROKEN_COUNT] = { "is down", "is paused", "is cut off",
	"hears nobody", "is heard by nobody", "has a disk that hangs" };

/* A node that does not know that the cluster was complete once needs every member (protocol 12.0).
 * One that crashed may have known and forgotten. */
bool
sim_is_bootstrapped(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (n->is_lost || !sim_is_member(sim, id))
			continue;
		if (n->is_up ? sim_replica(n)->chosen.n < 3 : sim->oracle.chosen_last < 20)
			return false;
	}
	return true;
}

static void
repair_node(struct sim *sim, struct sim_node *n)
{
	if (n->is_lost)
		return;
	n->paused_until_ns = 0;
	n->crash_after = 0;
	if (!disk_fake_has_failed(n->disk))
		disk_fake_fail_after(n->disk, -1, 0);
	disk_fake_stall(n->disk, 0);
	if (!n->is_up && !n->is_lost)
		n->up_at_ns = sim->now_ns;
	sim_node_touch(sim, n);
}

static void
break_links(struct sim *sim, uint16_t id, bool deaf, bool mute)
{
	for (uint16_t other = 1; other <= sim->node_count; other++) {
		if (other == id)
			continue;
		sim->is_cut[other][id] |= deaf;
		sim->is_cut[id][other] |= mute;
	}
}

static void
break_node(struct sim *sim, struct sim_node *n, enum broken how)
{
	if (how == BROKEN_DOWN && sim_must_remember(sim))
		how = BROKEN_PAUSED;
	sim_trace(sim, "node %u: stays broken: it %s", n->id, broken_names[how]);
	switch (how) {
	case BROKEN_DOWN:
		if (n->is_up)
			fault_crash_now(sim, n->id);
		n->up_at_ns = UINT64_MAX;
		break;
	case BROKEN_PAUSED: n->paused_until_ns = UINT64_MAX; break;
	case BROKEN_CUT_OFF: break_links(sim, n->id, true, true); break;
	case BROKEN_DEAF: break_links(sim, n->id, true, false); break;
	case BROKEN_MUTE: break_links(sim, n->id, false, true); break;
	case BROKEN_SLOW_DISK: disk_fake_stall(n->disk, UINT64_MAX / 2); break;
	case BROKEN_COUNT: break;
	}
	sim_node_touch(sim, n);
}

static void
stop_faults(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	if (sim->is_calm)
		return;
	sim->is_calm = true;
	operator_calms_down(sim);
	f->loss_ppm = f->duplicate_ppm = f->corrupt_ppm = f->slow_ppm = 0;
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		f->next_ns[kind] = UINT64_MAX;
	sim_flapping_end(sim);
	sim_links_heal(sim);
	sim_clocks_agree(sim);
}

/* Bit per node that is no good any more, whatever becomes of the others. */
static uint32_t
gone_nodes(const struct sim *sim)
{
	return ((2u << sim->node_count) - 2) & ~members_alive(sim);
}

/* A node may stay broken if those that neither do nor have a damaged disk are still a quorum. */
static bool
is_spare(const struct sim *sim, uint32_t out, uint16_t id)
{
	if (sim->spoilt_nodes == 0)
		return members_suffice(sim, sim->core_nodes & ~(1u << id));
	return (out >> id & 1) != 0 || (uint32_t)__builtin_popcount(out) < sim_spare_count(sim);
}

static void
break_some(struct sim *sim, uint64_t broken)
{
	uint64_t *random = &sim->random_faults;
	uint32_t out = sim->spoilt_nodes;

	for (int tries = 0; broken > 0 && tries < 50; tries++) {
		uint16_t id = sim_any_node(sim);
		enum broken how = (enum broken)sim_draw(random, BROKEN_COUNT);
		if ((sim->core_nodes >> id & 1) == 0 || !is_spare(sim, out, id))
			continue;
		broken--;
		if (!sim_faults_number(sim, "stays broken"))
			continue;
		sim->core_nodes &= ~(1u << id);
		out |= 1u << id;
		repair_node(sim, &sim->nodes[id]);
		break_node(sim, &sim->nodes[id], how);
	}
}

void
liveness_begin(struct sim *sim)
{
	if (sim_twins_are_open(sim)) {
		stop_faults(sim);
		liveness_heal_all(sim);
		sim_twins_settle(sim);
	}
	uint32_t gone = gone_nodes(sim);
	uint32_t count = (uint32_t)__builtin_popcount(gone);
	uint32_t spare = sim_spare_count(sim) > count ? sim_spare_count(sim) - count : 0;
	bool may_break = sim_is_bootstrapped(sim) && !members_may_change(sim);
	uint64_t broken = may_break ? sim_draw(&sim->random_faults, spare + 1u) : 0;

	stop_faults(sim);
	sim->core_nodes = members_alive(sim);
	break_some(sim, broken);
	for (uint16_t id = 1; id <= sim->node_count; id++)
		if ((sim->core_nodes | gone) >> id & 1)
			repair_node(sim, &sim->nodes[id]);
	sim_space_return(sim, sim->faults.no_space);
	sim_trace(sim, "the faults stop for nodes %#x", sim->core_nodes);
}

/* What each proposer of the core had made when the faults stopped. */
static void
note_made(const struct sim *sim, uint64_t ret_ids[], uint64_t ret_made[])
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		ret_ids[id] = sim->nodes[id].proposer.id;
		ret_made[id] = sim->nodes[id].is_up ? sim->nodes[id].proposer.seq_made : 0;
	}
}

/* Where nobody may ask, since the table of sessions is full, a ready leader is all there is to see,
 * and one that lasts: it may have slept while another one was elected. A log that is full for good
 * may lack the room for what the last leader left; whoever has a quorum's promises then is not
 * ready, and waits. */
static bool
is_led(const struct sim *sim, uint64_t for_ns)
{
	return for_ns >= 3 * sim->election_ns && (sim->fills_up || sim_leader(sim) != 0);
}

bool
liveness_needs_a_stuck_node(const struct sim *sim)
{
	uint32_t able = sim->core_nodes;

	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (n->is_up && n->shard->space_left < LOG_SPACE_KEPT + 2)
			able &= ~(1u << id);
	}
	return able != sim->core_nodes && !members_suffice(sim, able);
}

/* A gateway of the queue that says nothing for so long that it is taken for dead. It need not ask
 * before the bound. */
static bool
is_silent(const struct sim *sim, const struct sim_proposer *p)
{
	return p->seq_done == p->seq_made && p->next_ns > sim->now_ns + sim->load.every_ns;
}

/* Something that was asked for after the faults stopped has its answer. */
static bool
has_progress(const struct sim *sim, const uint64_t ids[], const uint64_t made[], uint64_t for_ns)
{
	bool can_ask = false;

	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_proposer *p = &sim->nodes[id].proposer;
		if ((sim->core_nodes >> id & 1) == 0 || !sim->nodes[id].is_up ||
			!sim_is_member(sim, id))
			continue;
		uint64_t before = p->id == ids[id] ? made[id] : 0;
		can_ask |= p->is_open && !is_silent(sim, p);
		if (p->is_open && p->seq_done > before)
			return true;
	}
	return (!can_ask || sim->fills_up || liveness_needs_a_stuck_node(sim)) &&
	       is_led(sim, for_ns);
}

static void
require_progress(struct sim *sim)
{
	uint64_t ids[SIM_NODE_MAX + 1], made[SIM_NODE_MAX + 1];
	uint64_t begin_ns = sim->now_ns;
	uint64_t bound_ns = PROGRESS_ELECTIONS * 2 * sim->election_ns + 4 * sim->election_ns +
			    3 * sim->reads.lease_ns + 2 * sim->load.every_ns + 1000 * MS;

	note_made(sim, ids, made);
	/* A heartbeat and its echoes: until then a leader may stand down for what it did not hear
	 * before. */
	sim_run_until(sim, begin_ns + sim->election_ns / 8);
	while (!has_progress(sim, ids, made, sim->now_ns - begin_ns)) {
		if (sim->now_ns >= begin_ns + bound_ns) {
			oracle_print_nodes(sim);
			sim_check(sim, false, "no progress within %.1f T although nodes %#x work",
				(double)bound_ns / (double)sim->election_ns, sim->core_nodes);
		}
		sim_run_until(sim, sim->now_ns + sim->election_ns / 50);
	}
	double took = (double)(sim->now_ns - begin_ns) / (double)sim->election_ns;
	sim_trace(sim, "progress after %.1f T", took);
	if (sim->count.progress_tenths < (uint64_t)(took * 10))
		sim->count.progress_tenths = (uint64_t)(took * 10);
}

/* A leader of the core stays: nobody out there can depose it. */
static void
require_stability(struct sim *sim)
{
	uint16_t leader = sim_leader(sim);

	/* One that was removed leads only to hand over. */
	if (leader == 0 || !sim_is_member(sim, leader) || (sim->core_nodes >> leader & 1) == 0 ||
		members_may_change(sim) || sim->admin.has_transferred)
		return;
	sim->is_silent = true;
	sim_run_until(sim, sim->now_ns + STAY_ELECTIONS * 2 * sim->election_ns);
	sim->is_silent = false;
	sim_check(sim, sim_leader(sim) == leader, "node %u led and lost its place to node %u",
		leader, sim_leader(sim));
}

void
liveness_require(struct sim *sim)
{
	require_progress(sim);
	require_stability(sim);
}

void
liveness_heal_all(struct sim *sim)
{
	sim_links_heal(sim);
	for (uint16_t id = 1; id <= sim->node_count; id++)
		repair_node(sim, &sim->nodes[id]);
	sim->core_nodes = members_alive(sim);
	sim_trace(sim, "everything heals");
}
