/* SPDX-License-Identifier: Apache-2.0 */
/* The network: loses, delays, doubles, damages and repeats frames; links are cut and clogged, in
 * one direction or in both. */
#include "tests/sim/sim.h"

void
faults_net_draw(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;
	uint64_t *random = &sim->random_faults;
	uint64_t spread = sim_draw_percent(random, 30) ? sim->election_ns / 40 : 100 * US;

	f->delay_ns_min = 1 * US + sim_draw(random, 50 * US);
	f->delay_ns_max = f->delay_ns_min + sim_draw(random, spread);
}

void
fault_loss_draw(struct sim *sim)
{
	static const uint32_t losses[] = { 1000, 10000, 50000, 150000, 300000 };

	sim->faults.loss_ppm = losses[sim_draw(&sim->random_faults, 5)];
}

void
fault_duplicate_draw(struct sim *sim)
{
	sim->faults.duplicate_ppm = (uint32_t)sim_draw(&sim->random_faults, 100000);
}

void
fault_corrupt_draw(struct sim *sim)
{
	sim->faults.corrupt_ppm = (uint32_t)sim_draw(&sim->random_faults, 20000);
}

void
fault_slow_frame_draw(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	f->slow_ppm = (uint32_t)sim_draw(&sim->random_faults, 50000);
	f->slow_ns_max = sim_draw_percent(&sim->random_faults, 50) ? sim->election_ns / 10
								   : 5 * sim->election_ns;
}

/* ---- frames ---- */

static void
frame_depart(struct sim *sim, struct sim_frame *f)
{
	const struct sim_faults *faults = &sim->faults;
	uint64_t *random = &sim->random_net;
	uint64_t due_ns = sim->now_ns;
	uint64_t clog_ns = sim->clog_until_ns[f->src][f->dst];

	if (due_ns < clog_ns)
		due_ns = clog_ns; /* all of them leave at once, when the path is free again */
	due_ns += sim_draw_between(random, faults->delay_ns_min, faults->delay_ns_max);
	if (faults->slow_ppm != 0 && sim_draw(random, 1000000) < faults->slow_ppm)
		due_ns += sim_draw(random, faults->slow_ns_max);
	sim_heap_push(sim, f, due_ns);
}

static struct sim_frame *
frame_copy(struct sim *sim, const struct sim_frame *f)
{
	struct sim_frame *copy = sim_frame_take(sim);

	if (copy == NULL)
		return NULL;
	copy->src = f->src;
	copy->version_max = f->version_max;
	copy->dst = f->dst;
	copy->bytes = f->bytes;
	memcpy(copy->data, f->data, f->bytes);
	return copy;
}

/* Keep a few old frames of all ages (reservoir sampling), for fault_replay_strike(). */
static void
frame_record(struct sim *sim, const struct sim_frame *f)
{
	uint64_t place = sim->recorded_count < SIM_RECORDED_COUNT
				 ? sim->recorded_count++
				 : sim_draw(&sim->random_net, SIM_RECORDED_COUNT * 16);

	if (place >= SIM_RECORDED_COUNT)
		return;
	struct sim_frame *to = &sim->recorded[place];
	to->src = f->src;
	to->version_max = f->version_max;
	to->dst = f->dst;
	to->bytes = f->bytes;
	memcpy(to->data, f->data, f->bytes);
}

/* Authentication would drop it; with auth = none, a decoder must survive whatever it is. What the
 * decoder takes although a byte is wrong is a lie, and lies are out of the fault model: so only
 * frames that do not decode are handed over. @return whether it is worth sending */
static bool
frame_damage(struct sim *sim, struct sim_frame *f)
{
	struct eng_msg m;

	f->data[sim_draw(&sim->random_net, f->bytes)] ^=
		(uint8_t)(1 + sim_draw(&sim->random_net, 255));
	return f->data[0] < 64 && !is_bundle(f->data, f->bytes) &&
	       eng_msg_decode(f->data, f->bytes, &m) != 0;
}

/* Types of the core's messages in a frame: bit per type. A bundle has several. */
uint32_t
sim_frame_types(const uint8_t *data, uint32_t bytes)
{
	const uint8_t *message;
	uint32_t cursor = 0, message_bytes, types = 0;

	if (!is_bundle(data, bytes))
		return data[0] < 32 ? 1u << data[0] : 0;
	while (bundle_next(data, bytes, &cursor, &message, &message_bytes))
		types |= 1u << message[0];
	return types;
}

/* For some types of message only: what an unlucky sequence of losses would do once in a million
 * runs. */
static bool
is_picked(const struct sim *sim, const struct sim_frame *f)
{
	const struct sim_faults *faults = &sim->faults;

	return faults->is_picky[f->src][f->dst] &&
	       (faults->picky_types & sim_frame_types(f->data, f->bytes)) != 0;
}

void
sim_frame_send(struct sim *sim, struct sim_frame *f)
{
	const struct sim_faults *faults = &sim->faults;
	uint64_t *random = &sim->random_net;

	sim->count.sent++;
	decree_assert(f->dst <= sim->node_count && f->dst != f->src); /* 0: the operator */
	if (sim_is_cut(sim, f->src, f->dst) || is_picked(sim, f) ||
		(faults->loss_ppm != 0 && sim_draw(random, 1000000) < faults->loss_ppm) ||
		(faults->corrupt_ppm != 0 && sim_draw(random, 1000000) < faults->corrupt_ppm &&
			!frame_damage(sim, f))) {
		sim->count.lost++;
		sim_frame_give(sim, f);
		return;
	}
	if (faults->has[FAULT_REPLAY])
		frame_record(sim, f);
	if (faults->duplicate_ppm != 0 && sim_draw(random, 1000000) < faults->duplicate_ppm) {
		struct sim_frame *copy = frame_copy(sim, f);
		if (copy != NULL)
			frame_depart(sim, copy);
	}
	frame_depart(sim, f);
}

/* ---- what strikes ---- */

void
fault_replay_strike(struct sim *sim)
{
	uint64_t count = 1 + sim_draw(&sim->random_faults, 8);

	sim_trace(sim, "%lu old frames are sent again", count);
	for (; count > 0 && sim->recorded_count > 0; count--) {
		uint64_t i = sim_draw(&sim->random_faults, sim->recorded_count);
		struct sim_frame *f = frame_copy(sim, &sim->recorded[i]);
		if (f != NULL)
			frame_depart(sim, f);
	}
}

void
fault_clog_strike(struct sim *sim)
{
	uint16_t a = sim_victim(sim), b = sim_any_node(sim);
	uint64_t until_ns = sim->now_ns + sim_draw(&sim->random_faults, 3 * sim->election_ns);

	if (a == b)
		return;
	if (sim_draw_percent(&sim->random_faults, 50)) {
		uint16_t other = a;
		a = b;
		b = other;
	}
	sim_trace(sim, "the path from node %u to node %u is clogged for %.1f ms", a, b,
		(double)(until_ns - sim->now_ns) / 1e6);
	sim->clog_until_ns[a][b] = until_ns;
}

void
fault_partition_draw(struct sim *sim)
{
	sim->faults.cut_ns_max =
		sim_draw_between(&sim->random_faults, sim->election_ns / 4, 8 * sim->election_ns);
}

static void
cut_both(struct sim *sim, uint16_t a, uint16_t b)
{
	sim->is_cut[a][b] = sim->is_cut[b][a] = true;
}

/* A permutation of the nodes, from 1 to node_count. */
static void
shuffle(struct sim *sim, uint16_t ret_ids[SIM_NODE_MAX])
{
	for (uint16_t i = 0; i < sim->node_count; i++) {
		uint64_t j = sim_draw(&sim->random_faults, (uint64_t)i + 1);
		ret_ids[i] = ret_ids[j];
		ret_ids[j] = (uint16_t)(i + 1);
	}
}

/* Halves; with @p bridge, the last of the first half still reaches everybody. */
static void
cut_halves(struct sim *sim, const uint16_t *ids, bool bridge)
{
	uint32_t first = 1 + (uint32_t)sim_draw(&sim->random_faults, sim->node_count);

	for (uint32_t i = 0; i < first && i < sim->node_count; i++)
		for (uint32_t j = first; j < sim->node_count; j++)
			if (!bridge || i + 1 < first)
				cut_both(sim, ids[i], ids[j]);
}

/* Everybody reaches two neighbours only. */
static void
cut_to_ring(struct sim *sim, const uint16_t *ids)
{
	uint32_t count = sim->node_count;

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = i + 2; j < count; j++)
			if (i != 0 || j != count - 1 || count == 3)
				cut_both(sim, ids[i], ids[j]);
}

void
fault_partition_strike(struct sim *sim)
{
	static const char *const names[] = { "node %u is alone", "node %u is not heard",
		"node %u hears nobody", "one direction of a link of node %u is cut",
		"two halves, node %u in the first",
		"two halves, and a bridge; node %u in the first", "a ring, beginning with node %u",
		"a random half of all directions, from node %u on" };
	uint64_t *random = &sim->random_faults;
	uint64_t shape = sim_draw(random, 8);
	uint16_t ids[SIM_NODE_MAX];

	shuffle(sim, ids);
	if (sim_draw_percent(random, 50)) {
		/* The leader is the one whose absence matters: it comes first. */
		uint16_t victim = sim_victim(sim);
		for (uint32_t i = 1; i < sim->node_count; i++)
			if (ids[i] == victim) {
				ids[i] = ids[0];
				ids[0] = victim;
			}
	}
	for (uint16_t i = 1; i < sim->node_count; i++) {
		if (shape == 0)
			cut_both(sim, ids[0], ids[i]);
		else if (shape == 1)
			sim->is_cut[ids[0]][ids[i]] = true;
		else if (shape == 2)
			sim->is_cut[ids[i]][ids[0]] = true;
	}
	if (shape == 3 && sim->node_count > 1)
		sim->is_cut[ids[0]][ids[1]] = true;
	else if (shape == 4 || shape == 5)
		cut_halves(sim, ids, shape == 5);
	else if (shape == 6)
		cut_to_ring(sim, ids);
	else if (shape == 7)
		for (uint16_t a = 1; a <= sim->node_count; a++)
			for (uint16_t b = 1; b <= sim->node_count; b++)
				sim->is_cut[a][b] |= sim_draw_percent(random, 50);
	if (sim->options.trace) {
		char line[80];
		snprintf(line, sizeof(line), names[shape], ids[0]);
		sim_trace(sim, "partition: %s", line);
	}
	/* Mostly one partition at a time; sometimes a short one. */
	uint64_t ns_max =
		sim_draw_percent(random, 20) ? sim->election_ns / 5 : sim->faults.cut_ns_max;
	sim_faults_note_heal(sim, sim->now_ns + 1 + sim_draw(random, ns_max));
}

/* Mostly one type at a time, on all paths of a node or on half of all. */
void
fault_picky_strike(struct sim *sim)
{
	static const uint32_t sets[] = {
		1u << ENG_MSG_ACCEPT,
		1u << ENG_MSG_ACCEPT | 1u << ENG_MSG_HEARTBEAT | 1u << ENG_MSG_SUCCESS,
		1u << ENG_MSG_ACCEPTED,
		1u << ENG_MSG_PROMISE,
		1u << ENG_MSG_PREPARE,
		1u << ENG_MSG_HEARTBEAT,
		1u << ENG_MSG_HEARTBEAT | 1u << ENG_MSG_SUCCESS,
		1u << ENG_MSG_HEARTBEAT_ECHO,
		1u << ENG_MSG_QUERY | 1u << ENG_MSG_QUERY_REPLY,
		1u << ENG_MSG_FAILURE,
	};
	uint64_t *random = &sim->random_faults;
	struct sim_faults *f = &sim->faults;
	uint16_t victim = sim_victim(sim);
	uint64_t shape = sim_draw(random, 3);

	f->picky_types = sets[sim_draw(random, sizeof(sets) / sizeof(sets[0]))];
	for (uint16_t a = 1; a <= sim->node_count; a++)
		for (uint16_t b = 1; b <= sim->node_count; b++)
			f->is_picky[a][b] = shape == 0   ? a == victim
					    : shape == 1 ? b == victim
							 : sim_draw_percent(random, 50);
	sim_trace(sim, "%s lose frames of the types %#x",
		shape == 2   ? "some paths"
		: shape == 1 ? "paths to one node"
			     : "paths from one node",
		f->picky_types);
	uint64_t ns = 1 + sim_draw(random, 6 * sim->election_ns);
	if (f->heal_ns == UINT64_MAX || f->heal_ns < sim->now_ns + ns)
		sim_faults_note_heal(sim, sim->now_ns + ns);
}

void
sim_cut_off(struct sim *sim, uint16_t id, uint64_t ns)
{
	sim_trace(sim, "node %u is cut off", id);
	for (uint16_t other = 1; other <= sim->node_count; other++)
		if (other != id)
			cut_both(sim, id, other);
	sim_faults_note_heal(sim, sim->now_ns + ns);
}

static void
draw_picky_paths(struct sim *sim, uint32_t percent)
{
	for (uint16_t a = 1; a <= sim->node_count; a++)
		for (uint16_t b = 1; b <= sim->node_count; b++)
			sim->faults.is_picky[a][b] = sim_draw_percent(&sim->random_faults, percent);
}

/* Several leaders in a row, each of whose Accepts reach a few only: slots then hold different
 * values at different ballots, and phase 1 has to choose. Steps: Accepts get lost; soon after, the
 * leader falls; and again. */
void
fault_churn_strike(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;
	uint64_t *random = &sim->random_faults;
	uint64_t t = sim->election_ns;
	uint16_t leader = sim_leader(sim);
	bool crash = sim_draw_percent(random, 40);

	if (f->churn_left == 0)
		f->churn_left = 2 * (2 + (uint32_t)sim_draw(random, 5));
	if (f->churn_left-- % 2 == 0) {
		sim_trace(sim, "Accepts are lost on most paths");
		f->picky_types = 1u << ENG_MSG_ACCEPT;
		draw_picky_paths(sim, 70);
		f->next_ns[FAULT_CHURN] = sim->now_ns + sim_draw_between(random, t / 10, t);
		return;
	}
	if (f->churn_left != 0)
		f->next_ns[FAULT_CHURN] = sim->now_ns + sim_draw_between(random, 3 * t / 2, 3 * t);
	draw_picky_paths(sim, f->churn_left == 0 ? 0 : 50);
	if (leader == 0)
		return;
	if (crash && !sim_must_remember(sim)) {
		fault_crash_now(sim, leader);
		return;
	}
	sim_cut_off(sim, leader, sim_draw_between(random, t, 3 * t));
}

void
sim_links_heal(struct sim *sim)
{
	memset(sim->is_cut, 0, sizeof(sim->is_cut));
	memset(sim->clog_until_ns, 0, sizeof(sim->clog_until_ns));
	memset(sim->faults.is_picky, 0, sizeof(sim->faults.is_picky));
	sim_faults_note_heal(sim, UINT64_MAX);
	sim_trace(sim, "all links are healed");
}
