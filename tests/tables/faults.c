/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random damage: one to four places of random nodes, in any of the four files of the log.
 *
 * The cluster must serve if a majority of the nodes runs, and
 *
 *   - a majority of all is untouched and runs: they need nobody else; or
 *   - only records are hit, so that the identifiers name all that is lost, and of each slot some
 *     node that runs has an intact record: it is the value to propose again (protocol 5.6).
 *
 * Beyond that it may be unavailable, but never wrong.
 */
#include "base/assert.h"
#include "base/bytes.h"
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

/* The record that lies there. @return its slot, 0 if there is none */
static uint64_t
slot_at(const struct base *b, uint32_t node, uint64_t offset)
{
	for (uint32_t i = 0; i < b->logs[node].count; i++) {
		struct base_range at = base_block(b, node, b->logs[node].records[i].slot);

		if (offset >= at.offset && offset < at.offset + at.bytes)
			return b->logs[node].records[i].slot;
	}
	return 0;
}

/* Which records are hit; and whether anything else is. */
struct hits {
	bool is_touched[NODE_MAX];
	bool is_hit[NODE_MAX][SLOT_MAX];
	bool has_others;
};

/* Of the last record of a leader that died it is perhaps not written yet. */
static bool
has_identifier(const struct base *b, uint32_t node, uint64_t slot)
{
	struct base_range at = base_identifier(b, node, slot);

	return load_u64(b->images[node].files[DISK_IDENTIFIERS].bytes + at.offset) != 0;
}

static void
note_hit(const struct worker *w, const struct place *p, struct hits *h)
{
	uint64_t slot = p->file == DISK_SEGMENTS ? slot_at(w->base, p->node, p->offset) : 0;

	h->is_touched[p->node] = true;
	h->is_hit[p->node][slot] = true;
	h->has_others |= slot == 0 || !has_identifier(w->base, p->node, slot);
}

static bool
has_intact(const struct worker *w, const struct hits *h, uint64_t slot)
{
	for (uint32_t i = 0; i < w->cluster->node_count; i++)
		if (!w->stays_away[i] && !h->is_hit[i][slot] &&
			base_block(w->base, i, slot).bytes != 0)
			return true;
	return false;
}

static enum expectation
expectation_of(const struct worker *w, const struct hits *h)
{
	uint32_t node_count = w->cluster->node_count, running = 0, sound = 0;

	for (uint32_t i = 0; i < node_count; i++) {
		running += !w->stays_away[i];
		sound += !w->stays_away[i] && !h->is_touched[i];
	}
	if (sound > node_count / 2)
		return EXPECT_SERVICE;
	if (running <= node_count / 2 || h->has_others)
		return EXPECT_SAFETY;
	for (uint64_t slot = 1; slot <= w->base->held_last; slot++)
		if (!has_intact(w, h, slot))
			return EXPECT_SAFETY;
	return EXPECT_SERVICE;
}

/* @return what must come of it */
static enum expectation
damage_places(struct worker *w, uint32_t count, bool is_unreadable)
{
	struct hits hits = { .has_others = false };

	for (uint32_t i = 0; i < w->crash_count; i++) {
		hits.is_touched[w->crashes[i].node] |= w->crashes[i].is_worse;
		hits.has_others |= w->crashes[i].is_worse;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct place p = place_draw(w);

		note_hit(w, &p, &hits);
		if (is_unreadable)
			image_spoil(&w->images[p.node], p.file, p.offset, p.bytes);
		else
			change(w, &p);
	}
	return expectation_of(w, &hits);
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

/* Nodes that die while all recover. What one of them had found out it may find no more when it
 * starts again. */
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

/* One node missed the last entries already (base.c). Now one stays away, or comes late, or nodes
 * die again while they recover. */
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
