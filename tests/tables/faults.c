/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random damage: one to four places of random nodes, in any of the four files of the log.
 *
 * As long as a majority of the nodes is untouched and runs, the cluster must serve: each has what was committed, or knows
 * from the other what it has missed. Beyond that it may be unavailable, but never wrong.
 */
#include "base/assert.h"
#include "tests/tables/base.h"

#define PLACE_COUNT_MAX 4
#define BEYOND_BYTES    (8 * IMAGE_SECTOR_BYTES) /* behind the end of the log */
#define PAGE_BYTES      4096

struct place {
	uint32_t node;
	enum disk_file file;
	uint64_t offset;
	uint64_t bytes;
};

static uint64_t
log_end(const struct base *b, uint32_t node)
{
	const struct base_log *log = &b->logs[node];
	struct base_range last = base_block(b, node, log->records[log->count - 1].slot);

	return last.offset + last.bytes;
}

/* A record's block, or one sector anywhere up to a little beyond the end. */
static void
place_in_segments(struct worker *w, struct place *p)
{
	const struct base_log *log = &w->base->logs[p->node];
	uint64_t end = log_end(w->base, p->node) + BEYOND_BYTES;
	uint64_t record = draw(&w->random, 2 * log->count);

	if (record < log->count) {
		struct base_range at = base_block(w->base, p->node, log->records[record].slot);

		p->offset = at.offset;
		p->bytes = at.bytes;
		return;
	}
	if (end > w->images[p->node].files[DISK_SEGMENTS].size)
		end = w->images[p->node].files[DISK_SEGMENTS].size;
	p->offset = draw(&w->random, end / IMAGE_SECTOR_BYTES) * IMAGE_SECTOR_BYTES;
	p->bytes = IMAGE_SECTOR_BYTES;
}

static void
place_in_identifiers(struct worker *w, struct place *p)
{
	const struct base_log *log = &w->base->logs[p->node];
	uint64_t record = draw(&w->random, log->count);
	struct base_range at = base_identifier(w->base, p->node, log->records[record].slot);

	p->offset = at.offset / IMAGE_SECTOR_BYTES * IMAGE_SECTOR_BYTES;
	p->bytes = IMAGE_SECTOR_BYTES;
}

/* One of the copies of a page. */
static void
place_in_pages(struct worker *w, struct place *p)
{
	uint64_t size = w->images[p->node].files[p->file].size;

	p->offset = draw(&w->random, size / PAGE_BYTES) * PAGE_BYTES;
	p->bytes = PAGE_BYTES;
}

static struct place
place_draw(struct worker *w)
{
	struct place p = { .node = (uint32_t)draw(&w->random, w->cluster->node_count) };
	uint64_t dice = draw(&w->random, 10);

	p.file = dice < 6   ? DISK_SEGMENTS
		 : dice < 8 ? DISK_IDENTIFIERS
		 : dice < 9 ? DISK_HARDSTATE
			    : DISK_IDENTITY;
	if (p.file == DISK_SEGMENTS)
		place_in_segments(w, &p);
	else if (p.file == DISK_IDENTIFIERS)
		place_in_identifiers(w, &p);
	else
		place_in_pages(w, &p);
	return p;
}

static void
change(struct worker *w, const struct place *p)
{
	enum damage_kind kind = (enum damage_kind)draw(&w->random, DAMAGE_KIND_COUNT);

	image_damage(&w->images[p->node].files[p->file], p->offset, p->bytes, kind,
		&w->base->older[p->node].files[p->file], &w->random);
}

/* @return what must come of it */
static enum expectation
damage_places(struct worker *w, uint32_t count, bool is_unreadable)
{
	bool is_touched[NODE_MAX] = { false };
	uint32_t sound = 0;

	for (uint32_t i = 0; i < w->crash_count; i++)
		is_touched[w->crashes[i].node] |= w->crashes[i].is_worse;
	for (uint32_t i = 0; i < count; i++) {
		struct place p = place_draw(w);

		is_touched[p.node] = true;
		if (is_unreadable)
			image_spoil(&w->images[p.node], p.file, p.offset, p.bytes);
		else
			change(w, &p);
	}
	for (uint32_t i = 0; i < w->cluster->node_count; i++)
		sound += !is_touched[i] && !w->stays_away[i];
	return sound > w->cluster->node_count / 2 ? EXPECT_SERVICE : EXPECT_SAFETY;
}

enum expectation
damage_blocks(struct worker *w, uint64_t number)
{
	(void)number;
	return damage_places(w, 1 + (uint32_t)draw(&w->random, PLACE_COUNT_MAX), false);
}

enum expectation
damage_reads(struct worker *w, uint64_t number)
{
	(void)number;
	return damage_places(w, 1 + (uint32_t)draw(&w->random, PLACE_COUNT_MAX), true);
}

/* Nodes that die while all recover. What one of them had found out it may find no more when it starts again. */
static void
crashes_draw(struct worker *w)
{
	w->crash_count = 1 + (uint32_t)draw(&w->random, CRASH_COUNT_MAX);
	for (uint32_t i = 0; i < w->crash_count; i++)
		w->crashes[i] = (struct crash){
			.node = (uint32_t)draw(&w->random, w->cluster->node_count),
			.is_worse = draw(&w->random, 2) == 0,
		};
}

void
damage_more(struct worker *w, uint32_t node)
{
	const struct base_log *log = &w->base->logs[node];
	uint64_t slot = log->records[draw(&w->random, log->count)].slot;
	struct base_range block = base_block(w->base, node, slot);
	struct base_range identifier = base_identifier(w->base, node, slot);

	image_damage(&w->images[node].files[DISK_SEGMENTS], block.offset, block.bytes, DAMAGE_NOISE,
		NULL, &w->random);
	image_damage(&w->images[node].files[DISK_IDENTIFIERS], identifier.offset, identifier.bytes,
		DAMAGE_NOISE, NULL, &w->random);
}

/* One node missed the last entries already (base.c). Now one stays away, or comes late, or nodes die again while they
 * recover. */
enum expectation
damage_with_crashes(struct worker *w, uint64_t number)
{
	uint32_t node = (uint32_t)draw(&w->random, w->cluster->node_count);

	switch (number % 3) {
	case 0: w->stays_away[node] = true; break;
	case 1: w->comes_late[node] = true; break;
	default: crashes_draw(w); break;
	}
	return damage_places(
		w, 1 + (uint32_t)draw(&w->random, PLACE_COUNT_MAX - 1), draw(&w->random, 4) == 0);
}
