/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

/* Swarm testing (Groce et al., 2012): each seed leaves some kinds of fault out and makes others frequent;
 * a world with everything at once hides what one kind alone would show. */
static bool
happens(struct sim *sim, uint32_t percent)
{
	return sim_draw(sim, 100) < percent;
}

static uint64_t
draw_between(struct sim *sim, uint64_t low, uint64_t high)
{
	return low + sim_draw(sim, high - low + 1);
}

static uint64_t
schedule(struct sim *sim, uint64_t every_ns)
{
	return every_ns == 0 ? UINT64_MAX
			     : sim->now_ns + draw_between(sim, every_ns / 4, every_ns * 2);
}

static void
draw_network(struct sim *sim, struct sim_faults *f)
{
	static const uint32_t losses[] = { 1000, 10000, 50000, 150000, 300000 };

	if (happens(sim, 60))
		f->loss_ppm = losses[sim_draw(sim, 5)];
	if (happens(sim, 40))
		f->duplicate_ppm = (uint32_t)sim_draw(sim, 100000);
	if (happens(sim, 20))
		f->corrupt_ppm = (uint32_t)sim_draw(sim, 20000);
	f->delay_ns_min = 1 * US + sim_draw(sim, 50 * US);
	f->delay_ns_max = f->delay_ns_min + sim_draw(sim, happens(sim, 30) ? 5 * MS : 100 * US);
	if (happens(sim, 40)) {
		f->slow_ppm = (uint32_t)sim_draw(sim, 50000);
		f->slow_ns_max = happens(sim, 50) ? 20 * MS : 900 * MS;
	}
	if (happens(sim, 50)) {
		f->cut_every_ns = draw_between(sim, 100 * MS, 1500 * MS);
		f->cut_ns_max = draw_between(sim, 50 * MS, 1500 * MS);
	}
}

static void
draw_nodes(struct sim *sim, struct sim_faults *f)
{
	if (happens(sim, 75)) {
		f->crash_every_ns = draw_between(sim, 100 * MS, 1000 * MS);
		f->power_cut_percent = (uint32_t)sim_draw(sim, 101);
		f->down_ns_max = draw_between(sim, 1 * MS, 800 * MS);
	}
	if (happens(sim, 30)) {
		f->pause_every_ns = draw_between(sim, 100 * MS, 1000 * MS);
		f->pause_ns_max = draw_between(sim, 10 * MS, 800 * MS);
	}
	if (happens(sim, 20))
		f->crash_all_every_ns = draw_between(sim, 700 * MS, 3000 * MS);
	f->disk_ns_min = 10 * US + sim_draw(sim, 200 * US);
	f->disk_ns_max = f->disk_ns_min + sim_draw(sim, happens(sim, 25) ? 20 * MS : 300 * US);
}

void
sim_faults_draw(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	draw_network(sim, f);
	draw_nodes(sim, f);
	sim->heal_at_ns = UINT64_MAX;
	sim->next_crash_ns = schedule(sim, f->crash_every_ns);
	sim->next_crash_all_ns = schedule(sim, f->crash_all_every_ns);
	sim->next_pause_ns = schedule(sim, f->pause_every_ns);
	sim->next_cut_ns = schedule(sim, f->cut_every_ns);
}

/* ---- frames ---- */

static void
frame_push(struct sim *sim, uint16_t src, uint16_t dst, const uint8_t *data, uint32_t bytes)
{
	struct sim_frame *f = malloc(sizeof(*f));
	const struct sim_faults *faults = &sim->faults;

	f->src = src;
	f->dst = dst;
	f->bytes = bytes;
	memcpy(f->data, data, bytes);
	f->number = sim->frame_number++;
	f->due_ns = sim->now_ns + draw_between(sim, faults->delay_ns_min, faults->delay_ns_max);
	if (sim_draw(sim, 1000000) < faults->slow_ppm)
		f->due_ns += sim_draw(sim, faults->slow_ns_max);
	sim_heap_push(sim, f);
}

void
sim_frame_send(struct sim *sim, uint16_t src, uint16_t dst, const uint8_t *data, uint32_t bytes)
{
	const struct sim_faults *f = &sim->faults;
	uint8_t damaged[SIM_FRAME_BYTES];

	sim->count.sent++;
	decree_assert(dst >= 1 && dst <= sim->node_count && dst != src);
	if (sim->is_cut[src][dst] || sim_draw(sim, 1000000) < f->loss_ppm) {
		sim->count.lost++;
		return;
	}
	if (sim_draw(sim, 1000000) < f->corrupt_ppm) {
		/* Authentication would drop it; with auth = none, a decoder must survive whatever it is. What
		 * the decoder takes although a byte is wrong is a lie, and lies are out of the fault model:
		 * so only frames that do not decode are handed over. */
		struct eng_msg m;
		memcpy(damaged, data, bytes);
		damaged[sim_draw(sim, bytes)] ^= (uint8_t)(1 + sim_draw(sim, 255));
		if (damaged[0] < 64 && eng_msg_decode(damaged, bytes, &m) != 0)
			frame_push(sim, src, dst, damaged, bytes);
		return;
	}
	frame_push(sim, src, dst, data, bytes);
	if (sim_draw(sim, 1000000) < f->duplicate_ppm)
		frame_push(sim, src, dst, data, bytes);
}

/* ---- what happens to nodes and links ---- */

static uint16_t
any_node(struct sim *sim)
{
	return (uint16_t)(1 + sim_draw(sim, sim->node_count));
}

static void
crash_one(struct sim *sim, uint16_t id)
{
	bool power_cut = happens(sim, sim->faults.power_cut_percent);

	if (!sim->nodes[id].is_up)
		return;
	sim->count.crashes++;
	sim->count.power_cuts += power_cut;
	sim_node_crash(sim, id, power_cut);
	sim->nodes[id].up_at_ns = sim->now_ns + 1 * MS + sim_draw(sim, sim->faults.down_ns_max + 1);
}

/* Leaders are where the interesting state is. */
static uint16_t
crash_victim(struct sim *sim)
{
	uint16_t leader = sim_leader(sim);

	return leader != 0 && happens(sim, 50) ? leader : any_node(sim);
}

static void
cut_links(struct sim *sim)
{
	uint16_t a = any_node(sim);

	sim->count.cuts++;
	switch (sim_draw(sim, 4)) {
	case 0: /* one node alone */
		for (uint16_t b = 1; b <= sim->node_count; b++)
			sim->is_cut[a][b] = sim->is_cut[b][a] = true;
		break;
	case 1: /* it hears, but is not heard */
		for (uint16_t b = 1; b <= sim->node_count; b++)
			sim->is_cut[a][b] = true;
		break;
	case 2: /* one direction of one link */ sim->is_cut[a][any_node(sim)] = true; break;
	case 3: /* two halves */
		for (uint16_t b = 1; b <= sim->node_count; b++)
			for (uint16_t c = 1; c <= sim->node_count; c++)
				if ((b <= a) != (c <= a))
					sim->is_cut[b][c] = true;
		break;
	}
	sim_trace(sim, "links are cut around node %u", a);
	sim->heal_at_ns = sim->now_ns + 1 + sim_draw(sim, sim->faults.cut_ns_max);
}

static void
heal(struct sim *sim)
{
	memset(sim->is_cut, 0, sizeof(sim->is_cut));
	sim->heal_at_ns = UINT64_MAX;
	sim_trace(sim, "all links are healed");
}

void
sim_faults_step(struct sim *sim)
{
	const struct sim_faults *f = &sim->faults;

	if (sim->now_ns >= sim->heal_at_ns)
		heal(sim);
	if (sim->is_calm)
		return;
	if (sim->now_ns >= sim->next_crash_ns) {
		crash_one(sim, crash_victim(sim));
		sim->next_crash_ns = schedule(sim, f->crash_every_ns);
	}
	if (sim->now_ns >= sim->next_crash_all_ns) {
		for (uint16_t id = 1; id <= sim->node_count; id++)
			crash_one(sim, id);
		sim->next_crash_all_ns = schedule(sim, f->crash_all_every_ns);
	}
	if (sim->now_ns >= sim->next_pause_ns) {
		struct sim_node *n = &sim->nodes[crash_victim(sim)];
		n->paused_until_ns = sim->now_ns + sim_draw(sim, f->pause_ns_max);
		sim->count.pauses++;
		sim_trace(sim, "node %u: paused", n->id);
		sim->next_pause_ns = schedule(sim, f->pause_every_ns);
	}
	if (sim->now_ns >= sim->next_cut_ns) {
		cut_links(sim);
		sim->next_cut_ns = schedule(sim, f->cut_every_ns);
	}
}

uint64_t
sim_faults_next_ns(const struct sim *sim)
{
	uint64_t at = sim->heal_at_ns;
	const uint64_t all[] = { sim->next_crash_ns, sim->next_crash_all_ns, sim->next_pause_ns,
		sim->next_cut_ns };

	for (int i = 0; i < 4 && !sim->is_calm; i++)
		if (all[i] < at)
			at = all[i];
	return at;
}

void
sim_faults_stop(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	sim->is_calm = true;
	f->loss_ppm = f->duplicate_ppm = f->corrupt_ppm = f->slow_ppm = 0;
	heal(sim);
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		sim->nodes[id].paused_until_ns = 0;
		if (!sim->nodes[id].is_up)
			sim->nodes[id].up_at_ns = sim->now_ns;
	}
	sim_trace(sim, "the faults stop");
}
