/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots with damage in them, and what may happen to whole files: they are missing, cut short,
 * extended, cannot be opened, or hold what belongs to another file or another node. The logs here
 * begin behind a snapshot, so it is needed.
 *
 * As in faults.c: with a majority of untouched nodes the cluster must serve.
 */
#include "base/assert.h"
#include "tests/tables/base.h"

#include <string.h>

#define PIECE_BYTES_MAX 8192

static enum expectation
expectation_of(const struct worker *w, const bool is_touched[NODE_MAX])
{
	uint32_t sound = 0;

	for (uint32_t i = 0; i < w->cluster->node_count; i++)
		sound += !is_touched[i];
	return sound > w->cluster->node_count / 2 ? EXPECT_SERVICE : EXPECT_SAFETY;
}

static void
file_cut(struct worker *w, struct image_file *f)
{
	uint64_t size = draw(&w->random, 2) == 0 ? draw(&w->random, f->size + 1)
						 : draw(&w->random, f->size / 4096 + 1) * 4096;

	memset(f->bytes + size, 0, f->size - size);
	f->size = size;
}

static void
file_lose(struct worker *w, struct image_file *f)
{
	if (draw(&w->random, 2) == 0)
		f->is_folder = true;
	else
		f->is_there = false;
}

/* ---- snapshots ---- */

static struct image_file *
snapshot_draw(struct worker *w, uint32_t node)
{
	struct image *image = &w->images[node];

	decree_assert(image->count > DISK_FILE_COUNT);
	return &image->files[DISK_FILE_COUNT + draw(&w->random, image->count - DISK_FILE_COUNT)];
}

static void
snapshot_spoil(struct worker *w, struct image_file *f)
{
	static const enum damage_kind kinds[] = { DAMAGE_ZEROS, DAMAGE_NOISE, DAMAGE_BIT,
		DAMAGE_ELSEWHERE };
	uint64_t bytes = IMAGE_SECTOR_BYTES << draw(&w->random, 5);

	if (f->size < 4 * PIECE_BYTES_MAX)
		return; /* the reserve of space, or what is left of another damage */
	/* Half of it at the front: the page, and what little there is of a state. */
	uint64_t span = draw(&w->random, 2) == 0 ? PIECE_BYTES_MAX : f->size - PIECE_BYTES_MAX;
	uint64_t offset = draw(&w->random, span / IMAGE_SECTOR_BYTES) * IMAGE_SECTOR_BYTES;

	image_damage(f, offset, bytes, kinds[draw(&w->random, 4)], NULL, &w->random);
}

enum expectation
damage_snapshots(struct worker *w, uint64_t number)
{
	uint32_t count = 1 + (uint32_t)draw(&w->random, 4);
	bool is_touched[NODE_MAX] = { false };

	(void)number;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t node = (uint32_t)draw(&w->random, w->cluster->node_count);
		struct image_file *f = snapshot_draw(w, node);

		is_touched[node] = true;
		switch (draw(&w->random, 6)) {
		case 0: file_lose(w, f); break;
		case 1: file_cut(w, f); break;
		case 2: { /* a record behind it as well */
			const struct base_log *log = &w->base->logs[node];
			struct base_range at = base_block(
				w->base, node, log->records[draw(&w->random, log->count)].slot);

			image_damage(&w->images[node].files[DISK_SEGMENTS], at.offset, at.bytes,
				DAMAGE_NOISE, NULL, &w->random);
			snapshot_spoil(w, f);
			break;
		}
		default: snapshot_spoil(w, f); break;
		}
	}
	return expectation_of(w, is_touched);
}

/* ---- whole files ---- */

static void
swap_contents(struct image_file *a, struct image_file *b)
{
	struct image_file other = *a;

	*a = *b;
	*b = other;
	memcpy(b->name, a->name, sizeof(b->name));
	memcpy(a->name, other.name, sizeof(a->name));
}

/* One that the other node has, too. */
static void
swap_between_nodes(struct worker *w, uint32_t a, uint32_t b)
{
	uint32_t count =
		w->images[a].count < w->images[b].count ? w->images[a].count : w->images[b].count;
	uint32_t file = (uint32_t)draw(&w->random, count + 1);

	if (file < count) {
		swap_contents(&w->images[a].files[file], &w->images[b].files[file]);
		return;
	}
	for (uint32_t i = 0; i < count; i++) /* the whole directory */
		swap_contents(&w->images[a].files[i], &w->images[b].files[i]);
}

static void
file_extend(struct worker *w, struct image_file *f)
{
	uint64_t size = f->size / 2 + draw(&w->random, f->size / 2 + 1);

	/* Cut and filled up again by zeros: a file system may do so after a crash. */
	memset(f->bytes + size, 0, f->size - size);
}

static void
unreadable(struct worker *w, uint32_t node, uint32_t file)
{
	if (file < DISK_FILE_COUNT)
		image_spoil(&w->images[node], (enum disk_file)file, 0,
			BAD_SECTOR_COUNT * IMAGE_SECTOR_BYTES);
	else
		w->images[node].files[file].is_folder = true;
}

enum expectation
damage_files(struct worker *w, uint64_t number)
{
	uint32_t count = 1 + (uint32_t)draw(&w->random, 2);
	uint32_t node_count = w->cluster->node_count;
	bool is_touched[NODE_MAX] = { false };

	(void)number;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t node = (uint32_t)draw(&w->random, node_count);
		uint32_t other =
			(node + 1 + (uint32_t)draw(&w->random, node_count - 1)) % node_count;
		struct image *image = &w->images[node];
		uint32_t file = (uint32_t)draw(&w->random, image->count);

		is_touched[node] = true;
		switch (draw(&w->random, 6)) {
		case 0: file_lose(w, &image->files[file]); break;
		case 1: file_cut(w, &image->files[file]); break;
		case 2: file_extend(w, &image->files[file]); break;
		case 3: unreadable(w, node, file); break;
		case 4:
			swap_between_nodes(w, node, other);
			is_touched[other] = true;
			break;
		default:
			swap_contents(
				&image->files[file], &image->files[draw(&w->random, image->count)]);
			break;
		}
	}
	return expectation_of(w, is_touched);
}
