/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shard's side of a store of snapshot files: it fills rings and looks at states, and never
 * waits.
 *
 * A writer that has failed is not taken away from under the loop: until the failure is reaped, what
 * it writes is swallowed, and room() stays as if all were well.
 */
#include "engine/runtime/snap_private.h"

#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES                                                                               \
	((size_t)SNAP_WRITER_COUNT_MAX * SNAP_RING_BYTES +                                         \
		(size_t)SNAP_READ_SLOT_COUNT * SNAP_READ_BYTES_MAX + SNAP_PIECE_BYTES)

static struct snap_writer *
find_writer(struct snap_store *s, uint16_t group)
{
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++) {
		struct snap_writer *w = &s->writers[i];

		if (atomic_load_explicit(&w->state, memory_order_relaxed) != WRITER_FREE &&
			w->group == group)
			return w;
	}
	return NULL;
}

/* @return the writer of a group unless it was given up */
static struct snap_writer *
live_writer(struct snap_store *s, uint16_t group)
{
	struct snap_writer *w = find_writer(s, group);

	return w != NULL && !atomic_load_explicit(&w->is_aborted, memory_order_relaxed) ? w : NULL;
}

static int
file_begin(void *store, uint16_t group, struct decree_slot slot)
{
	struct snap_store *s = store;

	decree_assert(slot.n != 0);
	decree_assert(group < DECREE_GROUP_COUNT_MAX);
	if (find_writer(s, group) != NULL)
		return -EBUSY;
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++) {
		struct snap_writer *w = &s->writers[i];

		if (atomic_load_explicit(&w->state, memory_order_relaxed) != WRITER_FREE)
			continue;
		w->group = group;
		w->slot = slot;
		w->step = STEP_OPEN;
		w->expected_bytes = s->last[group].bytes;
		atomic_store_explicit(&w->used, 0, memory_order_relaxed);
		atomic_store_explicit(&w->is_committing, false, memory_order_relaxed);
		atomic_store_explicit(&w->is_aborted, false, memory_order_relaxed);
		atomic_store_explicit(&w->head, 0, memory_order_relaxed);
		atomic_store_explicit(&w->tail, 0, memory_order_relaxed);
		s->is_idle = false;
		/* Release: pairs with the acquire in snap_store_step(). */
		atomic_store_explicit(&w->state, WRITER_ACTIVE, memory_order_release);
		return 0;
	}
	return -EAGAIN;
}

/* Acquire: pairs with the release in finish(); what follows is read by the shard only then. */
static bool
is_done(const struct snap_writer *w)
{
	return atomic_load_explicit(&w->state, memory_order_acquire) == WRITER_DONE;
}

static uint32_t
file_room(void *store, uint16_t group)
{
	const struct snap_writer *w = live_writer(store, group);
	uint64_t head, tail;

	if (w == NULL || atomic_load_explicit(&w->is_committing, memory_order_relaxed))
		return 0;
	if (is_done(w))
		return SNAP_RING_BYTES;
	head = atomic_load_explicit(&w->head, memory_order_relaxed);
	/* Acquire: pairs with the release in advance_tail(); that part of the ring was used. */
	tail = atomic_load_explicit(&w->tail, memory_order_acquire);
	return SNAP_RING_BYTES - (uint32_t)(head - tail);
}

static void
file_write(void *store, uint16_t group, const void *bytes, uint32_t count)
{
	struct snap_writer *w = live_writer(store, group);
	const uint8_t *from = bytes;
	uint64_t head;
	uint32_t at, first;

	decree_assert(w != NULL);
	decree_assert(count <= file_room(store, group));
	if (is_done(w))
		return;
	head = atomic_load_explicit(&w->head, memory_order_relaxed);
	at = (uint32_t)(head % SNAP_RING_BYTES);
	first = count < SNAP_RING_BYTES - at ? count : SNAP_RING_BYTES - at;
	memcpy(w->ring + at, from, first);
	memcpy(w->ring, from + first, count - first);
	/* Release: pairs with the acquire in snap_writer_step(). The bytes must be visible before
	 * their count. */
	atomic_store_explicit(&w->head, head + count, memory_order_release);
}

static void
file_commit(void *store, uint16_t group, struct decree_digest digest)
{
	struct snap_writer *w = live_writer(store, group);

	decree_assert(w != NULL);
	decree_assert(!atomic_load_explicit(&w->is_committing, memory_order_relaxed));
	w->digest = digest;
	/* Release: pairs with the acquire in snap_writer_step(); digest and head are final. */
	atomic_store_explicit(&w->is_committing, true, memory_order_release);
}

static void
file_urge(void *store, uint16_t group, uint32_t used)
{
	struct snap_writer *w = live_writer(store, group);

	decree_assert(used <= SNAP_URGE_MAX);
	if (w != NULL)
		atomic_store_explicit(&w->used, used, memory_order_relaxed);
}

static void
file_abort(void *store, uint16_t group)
{
	struct snap_writer *w = live_writer(store, group);

	if (w != NULL)
		atomic_store_explicit(&w->is_aborted, true, memory_order_relaxed);
}

static int
file_read(void *store, uint16_t group, struct decree_slot slot, uint64_t offset_bytes,
	uint32_t count, uint64_t token)
{
	struct snap_store *s = store;
	struct snap_read_slot *empty = NULL;
	uint32_t under_way = 0;

	decree_assert(count >= 1);
	decree_assert(count <= SNAP_READ_BYTES_MAX);
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT; i++) {
		struct snap_read_slot *r = &s->reads[i];

		if (atomic_load_explicit(&r->state, memory_order_relaxed) == READ_SLOT_FREE)
			empty = r;
		else if (r->group == group)
			under_way++;
	}
	if (under_way >= SNAP_READ_COUNT_MAX || empty == NULL)
		return -EAGAIN;
	empty->group = group;
	empty->slot = slot;
	empty->offset_bytes = offset_bytes;
	empty->count = count;
	empty->token = token;
	s->is_idle = false;
	/* Release: pairs with the acquire in snap_store_step(). */
	atomic_store_explicit(&empty->state, READ_SLOT_ASKED, memory_order_release);
	return 0;
}

static void
file_forget(void *store, uint16_t group, struct decree_slot slot)
{
	struct snap_store *s = store;

	decree_assert(group < DECREE_GROUP_COUNT_MAX);
	if (slot.n <= atomic_load_explicit(&s->forget_below[group], memory_order_relaxed))
		return;
	atomic_store_explicit(&s->forget_below[group], slot.n, memory_order_relaxed);
	atomic_store_explicit(&s->kept[group], slot.n, memory_order_relaxed);
	/* Release: pairs with the acquire in serve_forgets(). */
	atomic_fetch_add_explicit(&s->forget_count, 1, memory_order_release);
}

/* @return false if it was given up: nobody waits for it */
static bool
reap_writer(struct snap_store *s, struct snap_writer *w, struct snap_completion *ret)
{
	bool is_wanted = !atomic_load_explicit(&w->is_aborted, memory_order_relaxed);

	*ret = (struct snap_completion){
		.kind = w->rc == 0 ? SNAP_COMMITTED : SNAP_FAILED,
		.group = w->group,
		.slot = w->slot,
		.rc = w->rc,
		.bytes = w->bytes,
		.committed_unix_s = w->committed_unix_s,
	};
	if (w->rc != 0) {
		memcpy(s->reaped_text, w->text, sizeof(s->reaped_text));
		ret->text = s->reaped_text;
	} else {
		s->last[w->group] = (struct snap_info){
			.bytes = w->bytes,
			.digest = w->digest,
			.committed_unix_s = w->committed_unix_s,
		};
	}
	atomic_store_explicit(&w->state, WRITER_FREE, memory_order_relaxed);
	return is_wanted;
}

static struct snap_completion
reap_read(struct snap_read_slot *r)
{
	atomic_store_explicit(&r->state, READ_SLOT_LENT, memory_order_relaxed);
	return (struct snap_completion){
		.kind = SNAP_READ,
		.group = r->group,
		.slot = r->slot,
		.rc = r->rc,
		.bytes = r->total_bytes,
		.committed_unix_s = r->committed_unix_s,
		.token = r->token,
		.data = r->bytes,
		.count = r->rc == 0 ? r->count : 0,
	};
}

static bool
is_idle(const struct snap_store *s)
{
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		if (atomic_load_explicit(&s->writers[i].state, memory_order_relaxed) != WRITER_FREE)
			return false;
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT; i++)
		if (atomic_load_explicit(&s->reads[i].state, memory_order_relaxed) !=
			READ_SLOT_FREE)
			return false;
	return true;
}

static uint32_t
file_reap(void *store, uint64_t now_ns, struct snap_completion *ret, uint32_t count_max)
{
	struct snap_store *s = store;
	bool has_text = false; /* one failure at a time: its text is lent until the next call */
	uint32_t count = 0;

	(void)now_ns; /* the serving thread has a clock of its own */
	if (s->is_idle)
		return 0;
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT; i++)
		if (atomic_load_explicit(&s->reads[i].state, memory_order_relaxed) ==
			READ_SLOT_LENT)
			atomic_store_explicit(
				&s->reads[i].state, READ_SLOT_FREE, memory_order_relaxed);
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX && count < count_max && !has_text; i++) {
		struct snap_writer *w = &s->writers[i];

		if (!is_done(w) || !reap_writer(s, w, &ret[count]))
			continue;
		has_text = ret[count].rc != 0;
		count++;
	}
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT && count < count_max; i++)
		/* Acquire: pairs with the release in snap_store_step(); the bytes are there. */
		if (atomic_load_explicit(&s->reads[i].state, memory_order_acquire) ==
			READ_SLOT_DONE)
			ret[count++] = reap_read(&s->reads[i]);
	s->is_idle = is_idle(s);
	return count;
}

static bool
file_is_space_low(void *store)
{
	const struct snap_store *s = store;

	return atomic_load_explicit(&s->config.directory->is_space_low, memory_order_relaxed);
}

static bool
file_is_damaged(void *store, uint16_t group, struct decree_slot slot)
{
	const struct snap_store *s = store;

	return atomic_load_explicit(&s->damaged[group], memory_order_relaxed) == slot.n;
}

const struct snap_ops snap_file_ops = {
	.begin = file_begin,
	.room = file_room,
	.write = file_write,
	.commit = file_commit,
	.urge = file_urge,
	.abort = file_abort,
	.read = file_read,
	.forget = file_forget,
	.reap = file_reap,
	.is_space_low = file_is_space_low,
	.is_damaged = file_is_damaged,
	.load = snap_load,
};

void
snap_store_last(const struct snap_store *s, uint16_t group, struct snap_info *ret_info)
{
	decree_assert(group < DECREE_GROUP_COUNT_MAX);
	*ret_info = s->last[group];
}

/* ------------------------------------------------------------------------------ open, close */

int
snap_store_open(const struct snap_store_config *cfg, struct snap_store **ret_store)
{
	struct snap_store *s = base_zeros(1, sizeof(*s));
	uint8_t *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (s == NULL || memory == MAP_FAILED) {
		free(s);
		if (memory != MAP_FAILED)
			(void)munmap(memory, MEMORY_BYTES); /* as mapped above */
		return -ENOMEM;
	}
	s->config = *cfg;
	if (s->config.bytes_per_second == 0)
		s->config.bytes_per_second = SNAP_BYTES_PER_SECOND_DEFAULT;
	s->memory = memory;
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++, memory += SNAP_RING_BYTES) {
		s->writers[i].ring = memory;
		s->writers[i].fd = -1;
	}
	s->piece = memory;
	s->piece_file = -1;
	memory += SNAP_PIECE_BYTES;
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT; i++, memory += SNAP_READ_BYTES_MAX)
		s->reads[i].bytes = memory;
	for (uint32_t i = 0; i < SNAP_OPEN_COUNT; i++)
		s->files[i].fd = -1;
	*ret_store = s;
	return 0;
}

void
snap_store_close(struct snap_store *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		snap_writer_fini(&s->writers[i]);
	for (uint16_t group = 0; group < DECREE_GROUP_COUNT_MAX; group++)
		snap_read_close(s, group, UINT64_MAX);
	(void)munmap(s->memory, MEMORY_BYTES); /* as mapped */
	free(s);
}
