/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/snap_fake.h"

#include "base/assert.h"
#include "base/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_COUNT    256 /* of all groups together */
#define REQUEST_COUNT 256
#define BUFFER_BYTES  65536u
#define BLOCK_BYTES   4096 /* the grain of the checksums: damage spoils reads of its block only */

struct fake_file {
	bool is_used;
	uint16_t group;
	struct decree_slot slot;
	uint8_t *bytes;
	uint64_t count;  /* as committed */
	uint64_t stored; /* less after snap_fake_truncate() */
	uint8_t *is_bad; /* [blocks] */
	struct decree_digest digest;
	uint64_t unix_s;
};

struct fake_writer {
	bool is_used;
	uint16_t group;
	struct decree_slot slot;
	uint8_t *bytes;
	uint64_t count, capacity;
	uint64_t begin_ns;
	bool is_committing;
	bool is_urgent;
	uint64_t due_ns;
	struct decree_digest digest;
};

struct fake_read {
	bool is_used;
	bool is_lent;
	uint16_t group;
	struct decree_slot slot;
	uint64_t offset_bytes;
	uint32_t count;
	uint64_t token;
	uint64_t due_ns;
	uint8_t bytes[SNAP_READ_BYTES_MAX];
};

struct snap_fake {
	struct snap_fake_config config;
	uint64_t random;
	uint64_t now_ns;
	int64_t fail_after;
	int fail_rc;
	bool is_space_low;
	struct fake_file files[FILE_COUNT];
	struct fake_writer writers[SNAP_WRITER_COUNT_MAX];
	bool has_reads; /* some of the reads may be in use */
	struct fake_read reads[REQUEST_COUNT];
};

static void *
must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

/* splitmix64 */
static uint64_t
draw(struct snap_fake *f, uint64_t bound)
{
	uint64_t z = f->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return bound == 0 ? 0 : z % bound;
}

static uint64_t
latency_ns(struct snap_fake *f)
{
	uint64_t span = f->config.latency_ns_max - f->config.latency_ns_min;

	return f->config.latency_ns_min + draw(f, span + 1);
}

static void
configure(struct snap_fake *f, const struct snap_fake_config *cfg)
{
	decree_assert(cfg->latency_ns_min <= cfg->latency_ns_max);
	f->config = *cfg;
	if (f->config.buffer_bytes == 0)
		f->config.buffer_bytes = BUFFER_BYTES;
	f->random = cfg->seed;
	f->now_ns = 0;
	f->fail_after = -1;
	f->is_space_low = false;
}

struct snap_fake *
snap_fake_create(const struct snap_fake_config *cfg)
{
	struct snap_fake *f = must(calloc(1, sizeof(*f)));

	configure(f, cfg);
	return f;
}

static void
drop_file(struct fake_file *file)
{
	free(file->bytes);
	free(file->is_bad);
	*file = (struct fake_file){ 0 };
}

static void
drop_writer(struct fake_writer *w)
{
	free(w->bytes);
	*w = (struct fake_writer){ 0 };
}

void
snap_fake_wipe(struct snap_fake *f)
{
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		drop_writer(&f->writers[i]);
	for (uint32_t i = 0; i < REQUEST_COUNT; i++)
		f->reads[i].is_used = false;
	for (uint32_t i = 0; i < FILE_COUNT; i++)
		drop_file(&f->files[i]);
}

static void *
copy_of(const void *bytes, uint64_t count)
{
	void *copy = must(malloc(count + 1));

	memcpy(copy, bytes, count);
	return copy;
}

void
snap_fake_assign(struct snap_fake *f, const struct snap_fake *from)
{
	snap_fake_wipe(f);
	for (uint32_t i = 0; i < FILE_COUNT; i++) {
		const struct fake_file *file = &from->files[i];

		if (!file->is_used)
			continue;
		f->files[i] = *file;
		f->files[i].bytes = copy_of(file->bytes, file->count);
		f->files[i].is_bad = copy_of(file->is_bad, file->count / BLOCK_BYTES + 1);
	}
}

void
snap_fake_destroy(struct snap_fake *f)
{
	if (f == NULL)
		return;
	snap_fake_wipe(f);
	free(f);
}

void
snap_fake_set_now(struct snap_fake *f, uint64_t now_ns)
{
	decree_assert(now_ns >= f->now_ns);
	f->now_ns = now_ns;
}

void
snap_fake_fail_after(struct snap_fake *f, int64_t count, int rc)
{
	f->fail_after = count;
	f->fail_rc = rc;
}

void
snap_fake_set_space_low(struct snap_fake *f, bool is_low)
{
	f->is_space_low = is_low;
}

/* ------------------------------------------------------------------------------ files */

static struct fake_file *
find_file(const struct snap_fake *f, uint16_t group, struct decree_slot slot)
{
	for (uint32_t i = 0; i < FILE_COUNT; i++) {
		const struct fake_file *file = &f->files[i];

		if (file->is_used && file->group == group && file->slot.n == slot.n)
			return (struct fake_file *)file;
	}
	return NULL;
}

static struct fake_file *
free_file(struct snap_fake *f)
{
	for (uint32_t i = 0; i < FILE_COUNT; i++)
		if (!f->files[i].is_used)
			return &f->files[i];
	abort();
}

static void
store_file(struct snap_fake *f, struct fake_writer *w)
{
	struct fake_file *file = find_file(f, w->group, w->slot);

	if (file != NULL)
		drop_file(file);
	file = free_file(f);
	*file = (struct fake_file){
		.is_used = true,
		.group = w->group,
		.slot = w->slot,
		.bytes = w->bytes,
		.count = w->count,
		.stored = w->count,
		.is_bad = must(calloc(w->count / BLOCK_BYTES + 1, 1)),
		.digest = w->digest,
		.unix_s = f->now_ns / 1000000000u,
	};
	w->bytes = NULL;
}

bool
snap_fake_corrupt(
	struct snap_fake *f, uint16_t group, struct decree_slot slot, uint64_t offset_bytes)
{
	struct fake_file *file = find_file(f, group, slot);

	if (file == NULL || offset_bytes >= file->stored)
		return false;
	file->bytes[offset_bytes] ^= 0x40;
	file->is_bad[offset_bytes / BLOCK_BYTES] = 1;
	return true;
}

bool
snap_fake_truncate(struct snap_fake *f, uint16_t group, struct decree_slot slot, uint64_t bytes)
{
	struct fake_file *file = find_file(f, group, slot);

	if (file == NULL || bytes >= file->stored)
		return false;
	file->stored = bytes;
	return true;
}

const uint8_t *
snap_fake_data(
	const struct snap_fake *f, uint16_t group, struct decree_slot slot, uint64_t *ret_bytes)
{
	const struct fake_file *file = find_file(f, group, slot);

	if (file == NULL)
		return NULL;
	*ret_bytes = file->stored;
	return file->bytes;
}

struct decree_slot
snap_fake_last(const struct snap_fake *f, uint16_t group)
{
	struct decree_slot last = { 0 };

	for (uint32_t i = 0; i < FILE_COUNT; i++)
		if (f->files[i].is_used && f->files[i].group == group &&
			f->files[i].slot.n > last.n)
			last = f->files[i].slot;
	return last;
}

uint32_t
snap_fake_count(const struct snap_fake *f, uint16_t group)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < FILE_COUNT; i++)
		count += f->files[i].is_used && f->files[i].group == group;
	return count;
}

static void
fake_forget(void *store, uint16_t group, struct decree_slot slot)
{
	struct snap_fake *f = store;

	for (uint32_t i = 0; i < FILE_COUNT; i++)
		if (f->files[i].is_used && f->files[i].group == group &&
			f->files[i].slot.n < slot.n)
			drop_file(&f->files[i]);
}

/* ------------------------------------------------------------------------------ writers */

static struct fake_writer *
find_writer(struct snap_fake *f, uint16_t group)
{
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		if (f->writers[i].is_used && f->writers[i].group == group)
			return &f->writers[i];
	return NULL;
}

static int
fake_begin(void *store, uint16_t group, struct decree_slot slot)
{
	struct snap_fake *f = store;

	decree_assert(slot.n != 0);
	if (find_writer(f, group) != NULL)
		return -EBUSY;
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		if (!f->writers[i].is_used) {
			f->writers[i] = (struct fake_writer){
				.is_used = true,
				.group = group,
				.slot = slot,
				.begin_ns = f->now_ns,
			};
			return 0;
		}
	return -EAGAIN;
}

/* What the medium has taken of a writer by now. */
static uint64_t
drained(const struct snap_fake *f, const struct fake_writer *w)
{
	__uint128_t bytes =
		(__uint128_t)f->config.bytes_per_second * (f->now_ns - w->begin_ns) / 1000000000u;

	return f->config.bytes_per_second == 0 || w->is_urgent || bytes > w->count
		       ? w->count
		       : (uint64_t)bytes;
}

static uint32_t
fake_room(void *store, uint16_t group)
{
	struct snap_fake *f = store;
	const struct fake_writer *w = find_writer(f, group);
	uint64_t pending;

	if (w == NULL || w->is_committing)
		return 0;
	pending = w->count - drained(f, w);
	return pending >= f->config.buffer_bytes ? 0 : f->config.buffer_bytes - (uint32_t)pending;
}

static void
fake_write(void *store, uint16_t group, const void *bytes, uint32_t count)
{
	struct snap_fake *f = store;
	struct fake_writer *w = find_writer(f, group);

	decree_assert(w != NULL);
	decree_assert(count <= fake_room(store, group));
	if (w->count + count > w->capacity) {
		w->capacity = 2 * (w->count + count);
		w->bytes = must(realloc(w->bytes, w->capacity));
	}
	memcpy(w->bytes + w->count, bytes, count);
	w->count += count;
}

static void
fake_commit(void *store, uint16_t group, struct decree_digest digest)
{
	struct snap_fake *f = store;
	struct fake_writer *w = find_writer(f, group);
	uint64_t rest;

	decree_assert(w != NULL);
	decree_assert(!w->is_committing);
	rest = w->count - drained(f, w);
	w->is_committing = true;
	w->digest = digest;
	w->due_ns = f->now_ns + latency_ns(f);
	if (f->config.bytes_per_second != 0)
		w->due_ns += rest * 1000000000u / f->config.bytes_per_second;
}

/* Not as fine as the real one, which goes only as fast as it must: without a bound from half on. */
static void
fake_urge(void *store, uint16_t group, uint32_t used)
{
	struct snap_fake *f = store;
	struct fake_writer *w = find_writer(f, group);

	decree_assert(used <= SNAP_URGE_MAX);
	if (w == NULL || w->is_urgent || used < SNAP_URGE_MAX / 2)
		return;
	w->is_urgent = true;
	if (w->is_committing && w->due_ns > f->now_ns + f->config.latency_ns_max)
		w->due_ns = f->now_ns + f->config.latency_ns_max;
}

static void
fake_abort(void *store, uint16_t group)
{
	struct fake_writer *w = find_writer(store, group);

	if (w != NULL)
		drop_writer(w);
}

/* ------------------------------------------------------------------------------ reads */

static int
fake_read_start(void *store, uint16_t group, struct decree_slot slot, uint64_t offset_bytes,
	uint32_t count, uint64_t token)
{
	struct snap_fake *f = store;
	struct fake_read *empty = NULL;
	uint32_t under_way = 0;

	decree_assert(count >= 1);
	decree_assert(count <= SNAP_READ_BYTES_MAX);
	for (uint32_t i = 0; i < REQUEST_COUNT; i++)
		if (!f->reads[i].is_used)
			empty = &f->reads[i];
		else if (f->reads[i].group == group)
			under_way++;
	if (under_way >= SNAP_READ_COUNT_MAX || empty == NULL)
		return -EAGAIN;
	f->has_reads = true;
	empty->is_used = true;
	empty->is_lent = false;
	empty->group = group;
	empty->slot = slot;
	empty->offset_bytes = offset_bytes;
	empty->count = count;
	empty->token = token;
	empty->due_ns = f->now_ns + latency_ns(f);
	return 0;
}

static int
read_rc(const struct fake_file *file, const struct fake_read *r, uint64_t after)
{
	if (file == NULL)
		return -ENOENT;
	if (r->offset_bytes >= file->count)
		return -EINVAL;
	if (after > file->stored)
		return -EBADMSG;
	for (uint64_t block = r->offset_bytes / BLOCK_BYTES; block * BLOCK_BYTES < after; block++)
		if (file->is_bad[block])
			return -EBADMSG;
	return 0;
}

static struct snap_completion
finish_read(struct snap_fake *f, struct fake_read *r)
{
	const struct fake_file *file = find_file(f, r->group, r->slot);
	uint64_t after = r->offset_bytes + r->count;
	struct snap_completion c = {
		.kind = SNAP_READ, .group = r->group, .slot = r->slot, .token = r->token
	};

	if (file != NULL && after > file->count)
		after = file->count;
	c.rc = read_rc(file, r, after);
	if (c.rc == 0) {
		c.bytes = file->count;
		c.count = (uint32_t)(after - r->offset_bytes);
		c.data = r->bytes;
		memcpy(r->bytes, file->bytes + r->offset_bytes, c.count);
	}
	r->is_lent = true;
	return c;
}

/* ------------------------------------------------------------------------------ completions */

static struct snap_completion
finish_commit(struct snap_fake *f, struct fake_writer *w)
{
	bool is_same = digest_eq(w->digest, base_digest(w->bytes, w->count));
	struct snap_completion c = {
		.kind = SNAP_COMMITTED,
		.group = w->group,
		.slot = w->slot,
		.bytes = w->count,
		.committed_unix_s = f->now_ns / 1000000000u,
	};

	if (f->fail_after == 0)
		c.rc = f->fail_rc;
	else if (!is_same)
		c.rc = -EBADMSG;
	if (f->fail_after >= 0)
		f->fail_after--;
	if (c.rc != 0) {
		c.kind = SNAP_FAILED;
		c.text = "the fake store was told to fail";
	} else {
		store_file(f, w);
	}
	drop_writer(w);
	return c;
}

static uint32_t
fake_reap(void *store, uint64_t now_ns, struct snap_completion *ret, uint32_t count_max)
{
	struct snap_fake *f = store;
	uint32_t count = 0;

	bool had_reads = f->has_reads;

	snap_fake_set_now(f, now_ns);
	f->has_reads = false;
	for (uint32_t i = 0; i < REQUEST_COUNT && had_reads; i++) {
		if (f->reads[i].is_used && f->reads[i].is_lent)
			f->reads[i].is_used = f->reads[i].is_lent = false;
		f->has_reads |= f->reads[i].is_used;
	}
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX && count < count_max; i++) {
		struct fake_writer *w = &f->writers[i];

		if (w->is_used && w->is_committing && w->due_ns <= now_ns)
			ret[count++] = finish_commit(f, w);
	}
	for (uint32_t i = 0; i < REQUEST_COUNT && count < count_max && f->has_reads; i++)
		if (f->reads[i].is_used && f->reads[i].due_ns <= now_ns)
			ret[count++] = finish_read(f, &f->reads[i]);
	return count;
}

uint64_t
snap_fake_next_ns(const struct snap_fake *f)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		if (f->writers[i].is_used && f->writers[i].is_committing &&
			f->writers[i].due_ns < next)
			next = f->writers[i].due_ns;
	for (uint32_t i = 0; i < REQUEST_COUNT && f->has_reads; i++)
		if (f->reads[i].is_used && !f->reads[i].is_lent && f->reads[i].due_ns < next)
			next = f->reads[i].due_ns;
	return next;
}

void
snap_fake_crash(struct snap_fake *f)
{
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++) {
		struct fake_writer *w = &f->writers[i];

		if (w->is_used && w->is_committing && f->fail_after != 0 &&
			digest_eq(w->digest, base_digest(w->bytes, w->count)) && draw(f, 2) == 0)
			store_file(f, w);
		drop_writer(w);
	}
	for (uint32_t i = 0; i < REQUEST_COUNT; i++)
		f->reads[i].is_used = false;
}

void
snap_fake_reset(struct snap_fake *f, const struct snap_fake_config *cfg)
{
	snap_fake_wipe(f);
	configure(f, cfg);
}

static bool
fake_is_space_low(void *store)
{
	return ((const struct snap_fake *)store)->is_space_low;
}

static bool
fake_is_damaged(void *store, uint16_t group, struct decree_slot slot)
{
	const struct fake_file *file = find_file(store, group, slot);

	if (file == NULL || file->stored < file->count)
		return true;
	for (uint64_t i = 0; i <= file->count / BLOCK_BYTES; i++)
		if (file->is_bad[i] != 0)
			return true;
	return false;
}

/* ------------------------------------------------------------------------------ the start */

#define LOAD_BYTES 131072u

static int
fake_load(void *store, uint16_t group, struct decree_slot slot,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
	struct snap_info *ret_info, char *ret_error)
{
	const struct fake_file *file = find_file(store, group, slot);

	if (file == NULL || file->stored < file->count ||
		!digest_eq(file->digest, base_digest(file->bytes, file->count))) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "snapshot %u-%lu is %s: replace the node",
			group, slot.n, file == NULL ? "missing" : "damaged");
		return file == NULL ? -ENOENT : -EBADMSG;
	}
	for (uint64_t at = 0; sink != NULL && at < file->count; at += LOAD_BYTES) {
		uint64_t left = file->count - at;
		int rc = sink(
			context, file->bytes + at, left < LOAD_BYTES ? (uint32_t)left : LOAD_BYTES);

		if (rc != 0)
			return rc;
	}
	*ret_info = (struct snap_info){
		.bytes = file->count, .digest = file->digest, .committed_unix_s = file->unix_s
	};
	return 0;
}

const struct snap_ops snap_fake_ops = {
	.begin = fake_begin,
	.room = fake_room,
	.write = fake_write,
	.commit = fake_commit,
	.urge = fake_urge,
	.abort = fake_abort,
	.read = fake_read_start,
	.forget = fake_forget,
	.reap = fake_reap,
	.is_space_low = fake_is_space_low,
	.is_damaged = fake_is_damaged,
	.load = fake_load,
};
