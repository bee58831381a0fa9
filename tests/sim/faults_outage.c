/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All nodes end, and one of them comes back on a disk of the past. Nobody's memory is left but what
 * each node kept on its disk of what the others had said (protocol 11.9).
 *
 * That is a moment old. So it is done only where the disk of every other node says more of this one
 * than the image holds, as it is read after the processes have ended; it is promised then that
 * nothing that the node says counts anywhere, in whichever order they come back, and that it halts.
 */
#include "tests/sim/sim.h"

#include "engine/core/hearsay.h"
#include "engine/runtime/meta.h"
#include "wal/page.h"

/* @return what is on the disk, as a start would find it; NULL: nothing */
static const uint8_t *
kept_by(const struct sim_node *n)
{
	const uint8_t *file = disk_fake_seen(n->disk, DISK_HARDSTATE), *newest = NULL;
	struct wal_seal seal = sim_seal_of(n);
	uint64_t generation = 0;

	for (int copy = 0; copy < 2; copy++) {
		const uint8_t *page = file + page_hearsay.offset_bytes[copy];
		struct page_header header;

		if (page_check(page, &page_hearsay, &seal, &header) != PAGE_VALID ||
			header.generation <= generation)
			continue;
		generation = header.generation;
		newest = page + PAGE_HEADER_BYTES + META_HEADER_BYTES;
	}
	return newest;
}

static bool
says_more(const struct eng_hearsay *row, const struct sim_image *image)
{
	uint64_t accepted = row->accepted_before.n;

	if (row->accepted_boot < image->boot_count && accepted < row->accepted.n)
		accepted = row->accepted.n;
	return image->boot_count <= row->boot_count || image->promised < row->promised.n ||
	       image->last < accepted;
}

static bool
keeps_more(const struct sim_node *n, const struct sim_image *image)
{
	const uint8_t *rows = kept_by(n);
	struct eng_hearsay row;

	for (uint32_t i = 0; rows != NULL && i < ENG_HEARSAY_ROW_COUNT_MAX &&
			     eng_hearsay_decode(rows + i * ENG_HEARSAY_ROW_BYTES, &row) == 0;
		i++)
		if (row.node_id == image->id)
			return says_more(&row, image);
	return false;
}

static bool
all_keep_more(const struct sim *sim, const struct sim_image *image)
{
	for (uint16_t id = 1; id <= sim->node_count; id++)
		if (id != image->id && !sim->nodes[id].is_lost &&
			!keeps_more(&sim->nodes[id], image))
			return false;
	return true;
}

static bool
may_be_put_back(const struct sim *sim, const struct sim_image *image)
{
	const struct sim_node *n = &sim->nodes[image->id];

	return n->is_up && n->damage_count == 0 && !n->has_bad_page && !n->has_lied &&
	       !sim_has_twin(sim, image->id) && sim_may_spoil(sim, image->id) &&
	       all_keep_more(sim, image);
}

static void
put_back(struct sim *sim)
{
	const struct sim_image *image = &sim->outage;
	struct sim_node *n = &sim->nodes[image->id];

	sim_trace(sim, "node %u: its disk is as it was %.1f ms ago", n->id,
		(double)(sim->now_ns - image->taken_ns) / 1e6);
	sim_image_put(sim, image, n);
	n->is_disowned = true;
	sim->spoilt_nodes |= 1u << n->id;
	sim->count.outages++;
}

/* Most strikes find nothing outdated enough, so they come often. */
void
fault_outage_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	struct sim_image *image = &sim->outage;
	bool is_renewed = sim_draw_percent(&sim->random_faults, 10);

	if (image->id == 0 || is_renewed) {
		if (n->is_up && shard_has_started(n->shard) && sim_may_spoil(sim, n->id))
			sim_image_take(sim, image, n);
		return;
	}
	if (!may_be_put_back(sim, image))
		return;
	sim_spare_processes(sim);
	fault_crash_all_strike(sim);
	if (all_keep_more(sim, image)) /* a disk that lied may have lost it with the power */
		put_back(sim);
}
