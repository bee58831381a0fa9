/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the past: restored from an image, or robbed of writes that they had called durable. The
 * node does not know what it has forgotten; its peers do, and refuse it (protocol 11.9).
 *
 * Their memory ends with their processes, but for what they keep of it now and then
 * (faults_outage.c). So such a node begins only where every other node runs and remembers more than
 * the disk holds, and no process ends before it is found out; messages, links and pauses go on as
 * they like. It is promised then that nothing that it says counts anywhere, and that it halts. So
 * the oracle does not hear it any more: whoever counts a vote or a promise of it has no quorum.
 */
#include "tests/sim/sim.h"

bool
sim_must_remember(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++)
		if (sim->nodes[id].is_disowned && !sim->nodes[id].is_lost)
			return true;
	return sim_twins_are_open(sim);
}

/* Does this node refuse a life of that one which claims so much? */
static bool
remembers_more(const struct sim_node *n, uint16_t id, uint64_t boot_count, uint64_t promised,
	uint64_t last)
{
	if (!n->is_up || !shard_has_started(n->shard) || disk_fake_has_failed(n->disk))
		return false;
	const struct eng_replica *r = sim_replica(n);
	int32_t index = peer_index(r, id);
	if (index < 0)
		return false;
	const struct guard *g = &r->peers[index].guard;
	uint64_t accepted = g->accepted_before.n;
	if (g->accepted_boot < boot_count && accepted < g->accepted.n)
		accepted = g->accepted.n;
	return boot_count <= g->boot_count || promised < g->promised.n || last < accepted;
}

static bool
all_remember_more(
	const struct sim *sim, uint16_t id, uint64_t boot_count, uint64_t promised, uint64_t last)
{
	for (uint16_t other = 1; other <= sim->node_count; other++)
		if (other != id && !sim->nodes[other].is_lost &&
			!remembers_more(&sim->nodes[other], id, boot_count, promised, last))
			return false;
	return true;
}

bool
sim_is_found_out(const struct sim *sim, const struct sim_node *n)
{
	const struct eng_replica *r = sim_replica(n);

	/* Who is in doubt is not asked for what it accepted. */
	return !sim_must_remember(sim) &&
	       all_remember_more(sim, n->id, n->boot_count, r->promised.n,
		       r->damage.doubt ? UINT64_MAX : r->last.n);
}

void
sim_spare_processes(struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		struct sim_node *n = &sim->nodes[id];
		n->crash_after = 0;
		if (!disk_fake_has_failed(n->disk))
			disk_fake_fail_after(n->disk, -1, 0);
	}
}

/* ---- a disk that lies ---- */

static void
lying_ends(struct sim *sim, struct sim_node *n)
{
	if (n->is_up) {
		sim_spare_processes(sim);
		sim->count.crashes++;
		sim->count.power_cuts++;
		sim_node_crash(sim, n->id, true);
		n->up_at_ns = sim->now_ns + 1 * MS;
		sim_node_touch(sim, n);
	}
	disk_fake_set_lying(n->disk, false);
}

/* It lies for a while; then power fails. */
void
fault_lying_strike(struct sim *sim)
{
	uint64_t *random = &sim->random_faults;
	uint16_t id = sim_any_node(sim);
	uint64_t after_ns = sim_draw(random, sim->election_ns);
	struct sim_node *n = &sim->nodes[id];

	if (sim->liar != 0) {
		n = &sim->nodes[sim->liar];
		sim->liar = 0;
		lying_ends(sim, n);
		return;
	}
	if (!n->is_up || n->is_disowned || !sim_may_spoil(sim, id))
		return;
	sim_trace(sim, "node %u: its disk calls everything durable from now on", id);
	sim->spoilt_nodes |= 1u << id;
	sim->liar = id;
	n->has_lied = true;
	disk_fake_set_lying(n->disk, true);
	sim->faults.next_ns[FAULT_LYING] = sim->now_ns + after_ns;
}

/* ---- a disk of the past ---- */

void
sim_image_take(struct sim *sim, struct sim_image *image, const struct sim_node *n)
{
	const struct disk_fake_config none = { 0 };
	const struct eng_replica *r = sim_replica(n);

	if (image->disk == NULL) {
		image->disk = disk_fake_create(&none);
		image->snaps = snap_fake_create(&(struct snap_fake_config){ 0 });
	}
	disk_fake_assign(image->disk, n->disk, &none);
	snap_fake_assign(image->snaps, n->snaps);
	image->id = n->id;
	image->boot_count = n->boot_count + 1;
	image->promised = r->promised.n;
	/* A disk that lied may have holes without a name, and whoever reads it again is in doubt
	 * again. */
	image->last = r->damage.doubt || n->has_lied ? UINT64_MAX : r->last.n;
	image->taken_ns = sim->now_ns;
	sim_trace(sim, "node %u: an image is taken of its disk", n->id);
}

bool
sim_image_is_outdated(const struct sim *sim, const struct sim_image *image)
{
	const struct sim_node *n = &sim->nodes[image->id];

	/* Who is in doubt is not asked for what it accepted; damage may lead there. */
	return n->is_up && !n->is_disowned && n->damage_count == 0 && !n->has_bad_page &&
	       sim_may_spoil(sim, image->id) &&
	       all_remember_more(sim, image->id, image->boot_count, image->promised, image->last);
}

void
sim_image_put(struct sim *sim, const struct sim_image *image, struct sim_node *n)
{
	const struct disk_fake_config disk = {
		.seed = sim_draw(&sim->random_faults, UINT64_MAX),
		.latency_ns_min = sim->faults.disk_ns_min,
		.latency_ns_max = sim->faults.disk_ns_max,
	};

	disk_fake_assign(n->disk, image->disk, &disk);
	disk_fake_set_now(n->disk, sim->now_ns);
	snap_fake_assign(n->snaps, image->snaps);
	n->completion_count = 0;
}

static void
image_restore(struct sim *sim)
{
	const struct sim_image *image = &sim->image;
	struct sim_node *n = &sim->nodes[image->id];

	sim_spare_processes(sim);
	sim_node_crash(sim, n->id, false);
	sim_trace(sim, "node %u: its disk is as it was %.1f ms ago", n->id,
		(double)(sim->now_ns - image->taken_ns) / 1e6);
	sim_image_put(sim, image, n);
	n->is_disowned = true;
	sim->spoilt_nodes |= 1u << n->id;
	sim->count.rolled_back++;
	n->up_at_ns = sim->now_ns + 1 * MS;
	sim_node_touch(sim, n);
}

/* Most strikes find nothing outdated enough, so they come often. */
void
fault_rollback_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	bool is_renewed = sim_draw_percent(&sim->random_faults, 25);

	if (sim->image.id != 0 && !is_renewed) {
		if (sim_image_is_outdated(sim, &sim->image))
			image_restore(sim);
		return;
	}
	if (n->is_up && !n->is_disowned && shard_has_started(n->shard) && sim_may_spoil(sim, n->id))
		sim_image_take(sim, &sim->image, n);
}
