/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: a walk over all objects, by kind and number.
 *
 *   chunk 0   SNAPSHOT_MAGIC, how many objects of each kind, the globals: 8 bytes each,
 *             little-endian. Objects follow at once: tubes, gateways, connections, watches, jobs
 *   object    its words (object.c), then its payload. Words are never cut by the end of a chunk,
 *             payloads may be
 *   chunk     ends where the next words do not fit, or is full
 *
 * The walk shows the moment of its beginning. Before an object that it has not passed changes, its
 * words are kept as an image; when it goes, the image keeps its cells as well, since that is where
 * the payload is. So an object ahead is either untouched or has an image, and the walk merges both
 * in the order of numbers.
 *
 * Images take cells of a share of their own. When it is used up the walk fails, and with it this
 * snapshot; what clients see does not depend on walks. Images that are left over are given back a
 * few at a time.
 */
#include "queue/private.h"

#include "queue/bytes.h"

#include <errno.h>

#define TIDY_COUNT 16

static bool
is_passed(const struct walk *w, const struct object *o)
{
	return o->kind < w->kind || (o->kind == w->kind && o->number < w->number);
}

static bool
is_ahead(const struct queue_machine *m, const struct object *o)
{
	const struct walk *w = &m->walk;

	return w->is_on && !w->has_failed && o->number < w->numbers_after[o->kind] &&
	       !is_passed(w, o);
}

/* ------------------------------------------------------------------------------ images */

static void
image_free(struct queue_machine *m, uint32_t image)
{
	const struct image *i = image_at(m, image);
	const struct object *source = object_at(m, i->source);

	if (i->owns_source) {
		m->retired -= (uint32_t)payload_cells(source->kind, source->payload_bytes);
		cell_give_chain(m, source->more);
		cell_give(m, i->source);
	}
	m->retired--;
	cell_give(m, image);
}

static void
drop_images(struct queue_machine *m)
{
	struct list *from = &m->walk.list, *to = &m->garbage;

	if (from->first == 0)
		return;
	*(to->last != 0 ? &object_at(m, to->last)->next : &to->first) = from->first;
	to->last = from->last;
	to->count += from->count;
	*from = (struct list){ 0 };
	m->walk.images = 0;
}

static void
fail(struct queue_machine *m)
{
	m->walk.has_failed = true;
	drop_images(m);
}

void
walk_tidy(struct queue_machine *m)
{
	for (int i = 0; i < TIDY_COUNT && m->garbage.first != 0; i++) {
		uint32_t image = m->garbage.first;

		m->garbage.first = object_at(m, image)->next;
		if (--m->garbage.count == 0)
			m->garbage = (struct list){ 0 };
		image_free(m, image);
	}
}

static void
image_add(struct queue_machine *m, const struct object *o)
{
	struct walk *w = &m->walk;
	uint32_t image = cell_take(m);
	struct image *i = image_at(m, image);

	m->retired++;
	i->o.kind = o->kind;
	i->o.number = o->number;
	i->o.payload_bytes = o->payload_bytes;
	i->o.order.key = o->kind;
	i->source = (uint32_t)(((const uint8_t *)o - m->cells) / CELL_BYTES);
	(void)object_words(m, o, i->words); /* as many as its kind has */
	tree_insert(m, &w->images, ORDER_AT, image);
	i->o.previous = w->list.last;
	*(w->list.last != 0 ? &object_at(m, w->list.last)->next : &w->list.first) = image;
	w->list.last = image;
	w->list.count++;
}

static void
image_remove(struct queue_machine *m, uint32_t image)
{
	struct walk *w = &m->walk;
	const struct object *o = object_at(m, image);

	tree_remove(m, &w->images, ORDER_AT, image);
	*(o->previous != 0 ? &object_at(m, o->previous)->next : &w->list.first) = o->next;
	*(o->next != 0 ? &object_at(m, o->next)->previous : &w->list.last) = o->previous;
	w->list.count--;
	image_free(m, image);
}

void
walk_note(struct queue_machine *m, struct object *o)
{
	if (!is_ahead(m, o) || o->epoch == m->walk.epoch)
		return;
	if (m->retired == m->retired_max) {
		fail(m);
		return;
	}
	o->epoch = m->walk.epoch;
	image_add(m, o);
}

bool
walk_keep(struct queue_machine *m, uint32_t cell)
{
	struct walk *w = &m->walk;
	const struct object *o = object_at(m, cell);
	uint64_t cells = payload_cells(o->kind, o->payload_bytes);
	uint32_t image;

	if (w->is_on && w->cursor == cell)
		w->cursor = o->next;
	if (!is_ahead(m, o))
		return false;
	if (cells > m->retired_max - m->retired) {
		fail(m);
		return false;
	}
	image = tree_find(m, w->images, ORDER_AT, o->kind, o->number);
	queue_assert(image != 0 && image_at(m, image)->source == cell);
	image_at(m, image)->owns_source = 1;
	m->retired += (uint32_t)cells;
	return true;
}

/* ------------------------------------------------------------------------------ the walk */

int
walk_begin(struct queue_machine *m)
{
	struct walk *w = &m->walk;
	uint64_t globals[GLOBAL_WORDS];

	if (w->is_on || m->restoring.is_on)
		return -EBUSY;
	*w = (struct walk){ .is_on = true, .epoch = w->epoch + 1, .cursor = m->lists[0].first };
	w->header[0] = SNAPSHOT_MAGIC;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		w->header[1 + kind] = m->lists[kind].count;
		w->numbers_after[kind] =
			kind == KIND_JOB ? m->globals.job_next : m->globals.number_next;
	}
	memcpy(globals, &m->globals, sizeof(globals));
	memcpy(w->header + 1 + KIND_COUNT, globals, sizeof(globals));
	return 0;
}

/* A chunk being filled. */
struct filling {
	uint8_t *bytes;
	uint32_t count;
};

static uint32_t
room(const struct filling *f)
{
	return DECREE_CHUNK_BYTES_MAX - f->count;
}

static void
add_words(struct filling *f, const uint64_t *words, uint32_t count)
{
	queue_assert(count * 8 <= room(f));
	for (uint32_t i = 0; i < count; i++, f->count += 8)
		queue_store_u64(f->bytes + f->count, words[i]);
}

static void
pass(struct walk *w, uint64_t number)
{
	w->number = number + 1;
	w->is_inside = false;
	w->payload_offset = 0;
}

/* @return false: the chunk is full, and there is more of it */
static bool
add_image(struct queue_machine *m, uint32_t image, struct filling *f)
{
	struct walk *w = &m->walk;
	const struct image *i = image_at(m, image);
	uint32_t words = object_word_count(i->o.kind);
	uint32_t left, n;

	if (!w->is_inside) {
		if (words * 8 > room(f))
			return false;
		add_words(f, i->words, words);
		w->is_inside = true;
	}
	left = i->o.payload_bytes - w->payload_offset;
	n = left < room(f) ? left : room(f);
	payload_read(m, object_at(m, i->source), w->payload_offset, f->bytes + f->count, n);
	f->count += n;
	w->payload_offset += n;
	if (n < left)
		return false;
	pass(w, i->o.number);
	image_remove(m, image);
	return true;
}

static bool
add_live(struct queue_machine *m, uint32_t cell, struct filling *f)
{
	struct object *o = object_at(m, cell);
	uint64_t words[OBJECT_WORDS_MAX];
	uint32_t count = object_words(m, o, words);

	if (count * 8 > room(f))
		return false;
	if (o->payload_bytes > room(f) - count * 8) {
		/* The rest is for later, and it may be gone then. */
		walk_note(m, o);
		return !m->walk.has_failed;
	}
	add_words(f, words, count);
	payload_read(m, o, 0, f->bytes + f->count, o->payload_bytes);
	f->count += o->payload_bytes;
	pass(&m->walk, o->number);
	m->walk.cursor = o->next;
	return true;
}

/* The first object ahead, as an image or as it is. @return false: there is none of this kind any
 * more */
static bool
find_next(struct queue_machine *m, uint32_t *ret_image, uint32_t *ret_live)
{
	struct walk *w = &m->walk;
	uint32_t image = tree_first(m, w->images, ORDER_AT);

	/* Not beyond those that were there at the beginning: there may be a million new ones. */
	while (w->cursor != 0 && object_at(m, w->cursor)->epoch == w->epoch &&
		object_at(m, w->cursor)->number < w->numbers_after[w->kind])
		w->cursor = object_at(m, w->cursor)->next;
	*ret_live = w->cursor;
	if (*ret_live != 0 && object_at(m, *ret_live)->number >= w->numbers_after[w->kind])
		*ret_live = 0;
	*ret_image = image != 0 && object_at(m, image)->kind == w->kind ? image : 0;
	if (*ret_image != 0 && *ret_live != 0) {
		bool is_image_first = object_at(m, image)->number < object_at(m, *ret_live)->number;

		*(is_image_first ? ret_live : ret_image) = 0;
	}
	return *ret_image != 0 || *ret_live != 0;
}

static void
fill(struct queue_machine *m, struct filling *f)
{
	struct walk *w = &m->walk;
	uint32_t image, live;

	while (w->kind < KIND_COUNT && !w->has_failed) {
		if (find_next(m, &image, &live)) {
			if (!(image != 0 ? add_image(m, image, f) : add_live(m, live, f)))
				return;
			continue;
		}
		w->kind++;
		w->number = 0;
		w->cursor = w->kind < KIND_COUNT ? m->lists[w->kind].first : 0;
	}
}

int
walk_next(struct queue_machine *m, struct decree_chunk *ret_chunk)
{
	struct walk *w = &m->walk;
	struct filling f = { .bytes = m->chunk };

	if (!w->is_on)
		return -EINVAL;
	if (!w->has_header) {
		add_words(&f, w->header, sizeof(w->header) / sizeof(w->header[0]));
		w->has_header = true;
	}
	fill(m, &f);
	if (w->has_failed)
		return -ENOSPC;
	if (f.count == 0)
		return 0;
	*ret_chunk = (struct decree_chunk){
		.index = w->chunk_index++,
		.bytes = m->chunk,
		.count = f.count,
	};
	return 1;
}

void
walk_end(struct queue_machine *m)
{
	drop_images(m);
	m->walk.is_on = false;
}
