/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two live processes with one id, on two copies of one disk (protocol 11.9). Both send; what is
 * sent to the id reaches both, or either.
 *
 * Each peer goes by the life that it believes, and only by what it has seen itself. While two of
 * them believe different lives, one id votes twice, and no memory of peers can help. So this is one
 * of two stories in which it can:
 *
 *   the copy is old       every other node remembers more than it holds, as with a disk of the
 *                         past: it is refused everywhere. The original goes on, unless the start
 *                         count of the copy is its own: both end then.
 *   the copy takes over   it holds all that the original has said, and the original stands still
 *                         until every other node believes the copy; a virtual machine that moved,
 *                         and whose first host comes back. As soon as the original has proved to a
 *                         peer that it lives, both are refused there, and end.
 *
 * What only one of them may say counts for the oracle: the other one is disowned. Memory ends with
 * processes, so none ends meanwhile.
 */
#include "tests/sim/sim.h"

#define SETTLE_ELECTIONS 16

void
sim_twin_reset(struct sim *sim)
{
	struct sim_node *t = &sim->nodes[SIM_TWIN];

	if (t->disk != NULL)
		sim_node_clear(t);
	t->id = 0;
	t->next_ns = UINT64_MAX;
	sim->twin.id = sim->twin.image.id = 0;
	sim->twin.waits = false;
}

bool
sim_has_twin(const struct sim *sim, uint16_t id)
{
	return sim->twin.id != 0 && sim->twin.id == id;
}

bool
sim_twins_are_open(const struct sim *sim)
{
	return sim->twin.id != 0 &&
	       (!sim->nodes[SIM_TWIN].is_lost ||
		       (sim->twin.takes_over && !sim->nodes[sim->twin.id].is_lost));
}

const struct sim_node *
sim_voice(const struct sim *sim, uint16_t id)
{
	return &sim->nodes[sim_has_twin(sim, id) && sim->twin.takes_over ? SIM_TWIN : id];
}

bool
sim_twin_ends_rightly(const struct sim *sim, const struct sim_node *n, enum eng_halt why)
{
	return sim_has_twin(sim, n->id) && why == ENG_HALT_TWIN;
}

struct sim_node *
sim_twin_hearer(struct sim *sim, uint16_t id, struct sim_node **ret_other)
{
	struct sim_node *n = &sim->nodes[id], *t = &sim->nodes[SIM_TWIN];

	*ret_other = NULL;
	if (!sim_has_twin(sim, id) || !t->is_up)
		return n;
	if (sim->twin.hears_all)
		*ret_other = t;
	else if (n->is_lost || sim_draw_percent(&sim->random_twins, 50))
		return t;
	return n;
}

/* ---- who believes whom ---- */

/* Every other node knows that it is this life of this node that it hears. */
static bool
is_believed(const struct sim *sim, const struct sim_node *life)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (id == life->id || n->is_lost)
			continue;
		if (!n->is_up || !shard_has_started(n->shard) || disk_fake_has_failed(n->disk))
			return false;
		const struct eng_replica *r = sim_replica(n);
		int32_t index = peer_index(r, life->id);
		if (index < 0 || r->peers[index].guard.nonce != life->group.nonce ||
			r->peers[index].guard.boot_count != life->boot_count)
			return false;
	}
	return true;
}

/* A follower has nothing to say to another one, nor to hear from it. */
static bool
speaks_with(const struct sim_node *life, uint16_t id)
{
	uint16_t leader = sim_replica(life)->leader;

	return leader == 0 || leader == life->id || leader == id;
}

/* Both have proved that they live to somebody with whom the copy still speaks. */
static bool
are_known(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (id == sim->twin.id || !n->is_up || !speaks_with(&sim->nodes[SIM_TWIN], id))
			continue;
		int32_t index = peer_index(sim_replica(n), sim->twin.id);
		if (index >= 0 && sim_replica(n)->peers[index].guard.is_twin)
			return true;
	}
	return false;
}

static bool
is_refused_alone(const struct sim *sim, const struct sim_node *life)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (id == life->id || !n->is_up)
			continue;
		int32_t index = peer_index(sim_replica(n), life->id);
		if (index >= 0 && sim_replica(n)->peers[index].guard.refused == life->group.nonce)
			return true;
	}
	return false;
}

/* Whoever hears the original answer has believed it and then the copy: it knows that there are two,
 * and not only that one is outdated. */
void
sim_twin_note_end(struct sim *sim, const struct sim_node *n)
{
	sim->count.fenced++;
	sim_check(sim, !sim->twin.takes_over || n->place == SIM_TWIN || !is_refused_alone(sim, n),
		"node %u runs twice, and the copy is not refused with the original", n->id);
}

/* ---- it begins ---- */

static void
place_create(struct sim *sim)
{
	struct sim_node *t = &sim->nodes[SIM_TWIN];

	t->place = SIM_TWIN;
	t->sim = sim;
	t->accepted_said = calloc(SIM_SLOT_MAX, sizeof(*t->accepted_said));
	t->listed = calloc(SIM_SLOT_MAX, sizeof(*t->listed));
	t->disk = disk_fake_create(&(struct disk_fake_config){ 0 });
}

/* What the node has said, its copy must stand by. */
static void
words_copy(struct sim_node *t, const struct sim_node *n)
{
	t->promised_said = n->promised_said;
	t->promise_said = n->promise_said;
	t->promise_commit = n->promise_commit;
	t->promise_doubtful = n->promise_doubtful;
	t->accepted_last = n->accepted_last;
	t->listed_last = n->listed_last;
	memcpy(t->accepted_said, n->accepted_said,
		(n->accepted_last + 1) * sizeof(*n->accepted_said));
	memcpy(t->listed, n->listed, (n->listed_last + 1) * sizeof(*n->listed));
}

static void
copy_start(struct sim *sim, struct sim_node *n, bool takes_over)
{
	struct sim_node *t = &sim->nodes[SIM_TWIN];
	struct sim_twin *twin = &sim->twin;

	if (t->disk == NULL)
		place_create(sim);
	sim_node_clear(t);
	t->id = twin->id = n->id;
	t->boot_count = n->boot_count;
	twin->takes_over = takes_over;
	twin->hears_all = sim_draw_percent(&sim->random_faults, 50);
	sim_trace(sim, "node %u: a second process starts on a copy of its disk, %.1f ms old%s",
		n->id, (double)(sim->now_ns - twin->image.taken_ns) / 1e6,
		takes_over ? "; the first one stands still" : "");
	sim_spare_processes(sim);
	sim_snapshots_reset(sim, t);
	sim_image_put(sim, &twin->image, t);
	if (takes_over)
		words_copy(t, n);
	t->is_disowned = !takes_over;
	sim->spoilt_nodes |= 1u << n->id;
	sim->count.twins++;
	sim_node_start(sim, SIM_TWIN);
}

/* Whatever it has appended is durable, so its copy has it too: it cannot decide by a vote that the
 * copy lacks. */
static bool
may_be_taken_over(const struct sim *sim, const struct sim_node *n)
{
	return sim_may_spoil(sim, n->id) && n->damage_count == 0 && !n->has_lied &&
	       !n->has_bad_page && !disk_fake_has_failed(n->disk) && wal_log_ops.is_idle(n->wal) &&
	       is_believed(sim, n);
}

static void
take_over(struct sim *sim, struct sim_node *n)
{
	struct sim_twin *twin = &sim->twin;

	sim_image_take(sim, &twin->image, n);
	n->own_first = n->own_after; /* durable; the copy counts them */
	n->is_disowned = true;
	twin->waits = true;
	twin->give_up_ns =
		sim->now_ns + sim_draw_between(&sim->random_faults, 1, 6 * sim->election_ns);
	/* In the middle of a turn, after it had read its clock? */
	n->turn_clock_ns = sim_draw_percent(&sim->random_faults, 50) ? sim_clock_read(sim, n) : 0;
	copy_start(sim, n, true);
}

/* Most strikes find nothing that will do, so they come often. */
void
fault_twin_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	uint64_t kind = sim_draw(&sim->random_faults, 4);
	struct sim_image *image = &sim->twin.image;

	if (sim->twin.id != 0)
		return; /* one is enough */
	if (image->id != 0 && kind != 0) {
		if (sim_image_is_outdated(sim, image) && !sim->nodes[image->id].has_lied)
			copy_start(sim, &sim->nodes[image->id], false);
		if (sim->twin.id != 0 || kind > 1)
			return;
	}
	if (!n->is_up || n->is_disowned || !shard_has_started(n->shard))
		return;
	if (kind == 1 && may_be_taken_over(sim, n))
		take_over(sim, n);
	else if (sim_may_spoil(sim, n->id))
		sim_image_take(sim, image, n);
}

/* ---- it ends ---- */

static void
give_up(struct sim *sim, struct sim_node *n)
{
	if (n->is_lost)
		return;
	sim_trace(sim, "node %u: one of its processes is given up", n->id);
	sim_node_lose(sim, n);
}

void
sim_twin_step(struct sim *sim)
{
	struct sim_twin *twin = &sim->twin;
	struct sim_node *n = &sim->nodes[twin->id], *t = &sim->nodes[SIM_TWIN];

	if (!twin->waits)
		return;
	n->paused_until_ns = UINT64_MAX;
	if (t->is_lost || sim->now_ns >= twin->give_up_ns) {
		twin->waits = false;
		give_up(sim, n);
		give_up(sim, t);
	} else if (t->is_up && is_believed(sim, t)) {
		twin->waits = false;
		sim_trace(sim, "node %u: its first process goes on", n->id);
		n->paused_until_ns = sim->now_ns;
		sim_node_touch(sim, n);
	} else
		sim_node_touch(sim, n);
}

void
sim_twins_settle(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim->twin.id], *t = &sim->nodes[SIM_TWIN];
	uint64_t end_ns = sim->now_ns + SETTLE_ELECTIONS * sim->election_ns;

	sim->is_silent = true; /* this may take long, and a log without snapshots only grows */
	while (sim_twins_are_open(sim) && sim->now_ns < end_ns)
		sim_run_until(sim, sim->now_ns + sim->election_ns / 10);
	sim->is_silent = false;
	if (!sim_twins_are_open(sim))
		return;
	sim_check(sim, !sim->twin.takes_over || n->is_lost,
		"node %u runs twice, and the one of the past goes on", n->id);
	/* The first process may have ended by itself, when it heard what its successor has said, or
	 * by the word of a node that has nothing to say to its successor. One of them is left then,
	 * and that is the right one. */
	sim_check(sim, sim->twin.takes_over && !are_known(sim), "node %u runs twice, undetected",
		n->id);
	give_up(sim, t);
}
