/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/disk_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES       512
#define PAGE_BYTES         4096
#define INFLIGHT_COUNT_MAX 64
#define LOST_COUNT_MAX     64

struct fake_file {
	uint8_t *seen;        /* what a read returns */
	uint8_t *stable;      /* what survives a power cut for certain */
	uint8_t *dirty;       /* [bytes / 512] 1: seen and stable may differ */
	uint8_t *used;        /* [bytes / 4096] 1: may hold something else than zeros */
	uint64_t dirty_first; /* every dirty sector is in [first, after) */
	uint64_t dirty_after;
	uint64_t bytes;
};

struct inflight {
	struct disk_request request;
	uint64_t due_ns;
	int rc; /* 0, or what to answer instead */
};

struct disk_fake {
	struct disk_fake_config cfg;
	uint64_t random;
	uint64_t now_ns;
	uint64_t call_count;
	int64_t fail_countdown; /* -1 = never */
	int fail_rc;
	bool has_failed;
	bool is_lying; /* nothing becomes stable */
	bool is_dirty; /* a write has failed: nothing becomes stable, either */
	bool is_torn;  /* by the next power cut, within sectors */
	struct fake_file files[DISK_FILE_COUNT];
	struct inflight inflight[INFLIGHT_COUNT_MAX];
	uint32_t inflight_count;
	uint64_t next_ns;        /* smallest due_ns, UINT64_MAX = none */
	uint64_t stall_until_ns; /* nothing completes before */
	uint64_t completion_count;
	struct {
		enum disk_file file;
		uint64_t first;
		uint64_t after; /* == first: nothing */
	} spoilt;
	struct {
		enum disk_file file;
		uint64_t sector;
	} lost[LOST_COUNT_MAX];
	uint32_t lost_count;
	uint64_t astray; /* where the next write of a record goes instead, plus 1; 0: nowhere */
};

/* splitmix64: small, and good enough to draw coins. */
static uint64_t
draw(struct disk_fake *d)
{
	uint64_t z = d->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void *
must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static bool
is_spoilt(const struct disk_fake *d, const struct disk_request *r)
{
	return d->spoilt.after > d->spoilt.first && r->file == d->spoilt.file &&
	       r->offset_bytes < d->spoilt.after && r->offset_bytes + r->bytes > d->spoilt.first;
}

void
disk_fake_spoil(struct disk_fake *d, enum disk_file file, uint64_t offset, uint64_t bytes)
{
	d->spoilt.file = file;
	d->spoilt.first = offset;
	d->spoilt.after = offset + bytes;
}

static bool
is_lost_in(const struct disk_request *r, enum disk_file file, uint64_t sector)
{
	return file == r->file && sector * SECTOR_BYTES >= r->offset_bytes &&
	       sector * SECTOR_BYTES < r->offset_bytes + r->bytes;
}

static bool
reads_lost_sector(const struct disk_fake *d, const struct disk_request *r)
{
	for (uint32_t i = 0; i < d->lost_count; i++)
		if (is_lost_in(r, d->lost[i].file, d->lost[i].sector))
			return true;
	return false;
}

static void
find_lost_sectors(struct disk_fake *d, const struct disk_request *r)
{
	for (uint32_t i = 0; i < d->lost_count;)
		if (is_lost_in(r, d->lost[i].file, d->lost[i].sector))
			d->lost[i] = d->lost[--d->lost_count];
		else
			i++;
}

void
disk_fake_lose_sector(struct disk_fake *d, enum disk_file file, uint64_t offset)
{
	if (d->lost_count == LOST_COUNT_MAX)
		return;
	d->lost[d->lost_count].file = file;
	d->lost[d->lost_count++].sector = offset / SECTOR_BYTES;
}

void
disk_fake_misdirect(struct disk_fake *d, uint64_t offset)
{
	d->astray = offset + 1;
}

/* @return the error to inject into this call, or 0 */
static int
call(struct disk_fake *d)
{
	d->call_count++;
	if (d->fail_countdown < 0 || d->fail_countdown-- > 0)
		return 0;
	d->fail_countdown = -1;
	d->has_failed = true;
	return d->fail_rc;
}

struct disk_fake *
disk_fake_create(const struct disk_fake_config *cfg)
{
	struct disk_fake *d = must(calloc(1, sizeof(*d)));

	d->cfg = *cfg;
	d->random = cfg->seed;
	d->fail_countdown = -1;
	d->next_ns = UINT64_MAX;
	return d;
}

void
disk_fake_destroy(struct disk_fake *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < DISK_FILE_COUNT; i++)
		disk_fake_resize(d, (enum disk_file)i, 0);
	free(d);
}

static void
mark_used(struct fake_file *f, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / PAGE_BYTES, last = (offset + bytes - 1) / PAGE_BYTES;

	if (bytes == 0)
		return;
	memset(f->used + first, 1, last - first + 1);
}

static uint64_t
page_count(const struct fake_file *f)
{
	return (f->bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

static uint64_t
page_bytes(const struct fake_file *f, uint64_t page)
{
	uint64_t left = f->bytes - page * PAGE_BYTES;

	return left < PAGE_BYTES ? left : PAGE_BYTES;
}

/* Only pages that hold something in one of the two are touched. */
static void
assign_file(struct disk_fake *d, const struct disk_fake *from, enum disk_file file)
{
	struct fake_file *f = &d->files[file];
	const struct fake_file *source = &from->files[file];

	disk_fake_resize(d, file, source->bytes);
	for (uint64_t page = 0; page < page_count(f); page++) {
		uint64_t at = page * PAGE_BYTES, bytes = page_bytes(f, page);

		if (source->used[page]) {
			memcpy(f->seen + at, source->seen + at, bytes);
			memcpy(f->stable + at, source->stable + at, bytes);
		} else if (f->used[page]) {
			memset(f->seen + at, 0, bytes);
			memset(f->stable + at, 0, bytes);
		}
		f->used[page] = source->used[page];
	}
	if (f->bytes > 0)
		memcpy(f->dirty, source->dirty, f->bytes / SECTOR_BYTES);
	f->dirty_first = source->dirty_first;
	f->dirty_after = source->dirty_after;
}

void
disk_fake_assign(
	struct disk_fake *d, const struct disk_fake *from, const struct disk_fake_config *cfg)
{
	d->cfg = *cfg;
	d->random = cfg->seed;
	d->now_ns = from->now_ns;
	d->call_count = 0;
	d->fail_countdown = -1;
	d->has_failed = false;
	d->is_lying = d->is_dirty = d->is_torn = false;
	d->spoilt = from->spoilt;
	memcpy(d->lost, from->lost, sizeof(d->lost));
	d->lost_count = from->lost_count;
	d->astray = 0;
	d->inflight_count = 0;
	d->next_ns = UINT64_MAX;
	d->stall_until_ns = 0;
	d->completion_count = 0;
	for (int i = 0; i < DISK_FILE_COUNT; i++)
		assign_file(d, from, (enum disk_file)i);
}

struct disk_fake *
disk_fake_copy(const struct disk_fake *from, uint64_t seed)
{
	struct disk_fake *d = disk_fake_create(&from->cfg);
	struct disk_fake_config cfg = from->cfg;

	cfg.seed = seed;
	disk_fake_assign(d, from, &cfg);
	return d;
}

void
disk_fake_set_now(struct disk_fake *d, uint64_t now_ns)
{
	d->now_ns = now_ns;
}

static void
note_next(struct disk_fake *d)
{
	d->next_ns = UINT64_MAX;
	for (uint32_t i = 0; i < d->inflight_count; i++)
		if (d->inflight[i].due_ns < d->next_ns)
			d->next_ns = d->inflight[i].due_ns;
}

uint64_t
disk_fake_next_ns(const struct disk_fake *d)
{
	return d->next_ns;
}

void
disk_fake_stall(struct disk_fake *d, uint64_t until_ns)
{
	d->stall_until_ns = until_ns;
	for (uint32_t i = 0; i < d->inflight_count; i++)
		if (d->inflight[i].due_ns < until_ns)
			d->inflight[i].due_ns = until_ns;
		else if (until_ns == 0 && d->inflight[i].due_ns > d->now_ns)
			d->inflight[i].due_ns = d->now_ns;
	note_next(d);
}

uint64_t
disk_fake_completion_count(const struct disk_fake *d)
{
	return d->completion_count;
}

static void
make_stable(struct fake_file *f, uint64_t offset, uint64_t bytes)
{
	memcpy(f->stable + offset, f->seen + offset, bytes);
	memset(f->dirty + offset / SECTOR_BYTES, 0, bytes / SECTOR_BYTES);
}

/* Only what is dirty: a simulator calls this for every durable write. */
static void
make_all_stable(struct disk_fake *d)
{
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		struct fake_file *f = &d->files[i];

		for (uint64_t sector = f->dirty_first; sector < f->dirty_after; sector++)
			if (f->dirty[sector] != 0)
				make_stable(f, sector * SECTOR_BYTES, SECTOR_BYTES);
		f->dirty_first = f->dirty_after = 0;
	}
}

static void
make_dirty(struct fake_file *f, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / SECTOR_BYTES, after = first + bytes / SECTOR_BYTES;

	memset(f->dirty + first, 1, after - first);
	if (f->dirty_first == f->dirty_after) {
		f->dirty_first = first;
		f->dirty_after = after;
	}
	if (first < f->dirty_first)
		f->dirty_first = first;
	if (after > f->dirty_after)
		f->dirty_after = after;
}

static bool
is_zero_over_unused(
	const struct fake_file *f, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
	uint64_t first = offset / PAGE_BYTES, last = (offset + count - 1) / PAGE_BYTES;

	if (count == 0 || bytes[0] != 0 || memchr(f->used + first, 1, last - first + 1) != NULL)
		return false;
	return memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* Pages that hold nothing are not looked at. */
static void
read_bytes(const struct fake_file *f, uint64_t offset, uint8_t *ret_bytes, uint64_t count)
{
	while (count > 0) {
		uint64_t left = PAGE_BYTES - offset % PAGE_BYTES;
		uint64_t piece = left < count ? left : count;

		if (f->used[offset / PAGE_BYTES])
			memcpy(ret_bytes, f->seen + offset, piece);
		else
			memset(ret_bytes, 0, piece);
		ret_bytes += piece;
		offset += piece;
		count -= piece;
	}
}

static int32_t
carry_out_read(struct disk_fake *d, const struct disk_request *r, uint64_t bytes)
{
	if (is_spoilt(d, r) || reads_lost_sector(d, r))
		return -EIO;
	read_bytes(&d->files[r->file], r->offset_bytes, r->buffer, bytes);
	return (int32_t)bytes;
}

/* A write that misses its place, if it fits where it goes. */
static uint64_t
write_offset(struct disk_fake *d, const struct disk_request *r, uint64_t bytes)
{
	uint64_t astray = d->astray - 1;

	if (d->astray == 0 || r->file != DISK_SEGMENTS)
		return r->offset_bytes;
	d->astray = 0;
	return astray + bytes <= d->files[r->file].bytes ? astray : r->offset_bytes;
}

static void
carry_out_write(struct disk_fake *d, const struct disk_request *r, uint64_t bytes)
{
	struct fake_file *f = &d->files[r->file];

	if (d->lost_count > 0)
		find_lost_sectors(d, r);
	if (is_zero_over_unused(f, r->offset_bytes, r->buffer, bytes))
		return; /* pre-writing: megabytes that change nothing */
	uint64_t offset = write_offset(d, r, bytes);
	memcpy(f->seen + offset, r->buffer, bytes);
	mark_used(f, offset, bytes);
	make_dirty(f, offset, bytes);
	if (r->kind == DISK_WRITE_DURABLE && !d->is_lying && !d->is_dirty) {
		make_stable(f, offset, bytes);
		if (d->cfg.flush_covers_all)
			make_all_stable(d);
	}
}

/* The request reaches the disk. @return its result */
static int32_t
carry_out(struct disk_fake *d, const struct inflight *io)
{
	const struct disk_request *r = &io->request;
	const struct fake_file *f = &d->files[r->file];
	uint64_t bytes = r->bytes;

	if (io->rc < 0) {
		d->is_dirty |= r->kind != DISK_READ;
		return io->rc;
	}
	if (io->rc > 0 && (uint64_t)io->rc < bytes)
		bytes = (uint64_t)io->rc;
	if (r->offset_bytes >= f->bytes)
		return r->kind == DISK_READ ? 0 : -ENOSPC;
	if (bytes > f->bytes - r->offset_bytes)
		bytes = f->bytes - r->offset_bytes;

	if (r->kind == DISK_READ)
		return carry_out_read(d, r, bytes);
	carry_out_write(d, r, bytes);
	return (int32_t)bytes;
}

void
disk_fake_kill_process(struct disk_fake *d)
{
	for (uint32_t i = 0; i < d->inflight_count; i++) {
		if (d->inflight[i].request.kind != DISK_READ)
			(void)carry_out(d, &d->inflight[i]);
	}
	d->inflight_count = 0;
	d->next_ns = UINT64_MAX;
}

/* The first bytes of a sector are new, the rest is old. */
static void
tear_sector(struct disk_fake *d, struct fake_file *f, uint64_t at)
{
	uint64_t bytes = 1 + draw(d) % (SECTOR_BYTES - 1);

	memcpy(f->stable + at, f->seen + at, bytes);
	memcpy(f->seen + at, f->stable + at, SECTOR_BYTES);
}

/* Each sector that is not stable is kept or lost by itself. */
static void
settle_page(struct disk_fake *d, struct fake_file *f, uint64_t page, bool keeps_some)
{
	uint64_t first = page * (PAGE_BYTES / SECTOR_BYTES);
	uint64_t after = first + page_bytes(f, page) / SECTOR_BYTES;

	for (uint64_t sector = first; sector < after; sector++) {
		uint64_t at = sector * SECTOR_BYTES;

		if (f->dirty[sector] == 0)
			continue;
		if (d->is_torn && draw(d) % 4 == 0)
			tear_sector(d, f, at);
		else if (keeps_some && (draw(d) & 1))
			memcpy(f->stable + at, f->seen + at, SECTOR_BYTES);
		else
			memcpy(f->seen + at, f->stable + at, SECTOR_BYTES);
		f->dirty[sector] = 0;
	}
}

void
disk_fake_set_lying(struct disk_fake *d, bool is_lying)
{
	d->is_lying = is_lying;
}

void
disk_fake_tear(struct disk_fake *d)
{
	d->is_torn = true;
}

void
disk_fake_cut_power(struct disk_fake *d)
{
	bool keeps_some = !d->is_lying || (draw(d) & 1);

	for (uint32_t i = 0; i < d->inflight_count; i++)
		d->inflight[i].request.kind =
			d->inflight[i].request.kind == DISK_READ ? DISK_READ : DISK_WRITE;
	disk_fake_kill_process(d);
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		struct fake_file *f = &d->files[i];

		for (uint64_t page = 0; page < page_count(f); page++)
			if (f->used[page])
				settle_page(d, f, page, keeps_some);
		f->dirty_first = f->dirty_after = 0;
	}
	d->is_torn = false;
}

void
disk_fake_fail_after(struct disk_fake *d, int64_t count, int rc)
{
	d->fail_countdown = count;
	d->fail_rc = rc;
	d->has_failed = d->is_dirty = false;
}

bool
disk_fake_has_failed(const struct disk_fake *d)
{
	return d->has_failed;
}

uint64_t
disk_fake_call_count(const struct disk_fake *d)
{
	return d->call_count;
}

uint8_t *
disk_fake_data(struct disk_fake *d, enum disk_file file, uint64_t *ret_bytes)
{
	if (ret_bytes != NULL)
		*ret_bytes = d->files[file].bytes;
	if (d->files[file].bytes > 0)
		mark_used(&d->files[file], 0, d->files[file].bytes);
	return d->files[file].seen;
}

void
disk_fake_flip(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes, uint8_t mask)
{
	mark_used(&d->files[file], offset_bytes, 1);
	d->files[file].seen[offset_bytes] ^= mask;
	d->files[file].stable[offset_bytes] ^= mask;
}

const uint8_t *
disk_fake_seen(const struct disk_fake *d, enum disk_file file)
{
	return d->files[file].seen;
}

bool
disk_fake_is_stable(const struct disk_fake *d, enum disk_file file, uint64_t offset_bytes)
{
	return d->files[file].dirty[offset_bytes / SECTOR_BYTES] == 0;
}

void
disk_fake_overwrite(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes,
	const uint8_t *from, uint64_t bytes)
{
	struct fake_file *f = &d->files[file];

	mark_used(f, offset_bytes, bytes);
	memmove(f->seen + offset_bytes, from, bytes);
	memcpy(f->stable + offset_bytes, f->seen + offset_bytes, bytes);
}

/* Zeros that cost nothing until they are touched. */
static uint8_t *
grow(uint8_t *old, uint64_t old_bytes, uint64_t bytes)
{
	uint8_t *memory = must(calloc(1, bytes));

	if (old_bytes > 0)
		memcpy(memory, old, old_bytes < bytes ? old_bytes : bytes);
	free(old);
	return memory;
}

void
disk_fake_resize(struct disk_fake *d, enum disk_file file, uint64_t bytes)
{
	struct fake_file *f = &d->files[file];
	uint64_t old = f->bytes;

	if (bytes == old)
		return;
	f->bytes = bytes;
	if (bytes == 0) {
		free(f->seen);
		free(f->stable);
		free(f->dirty);
		free(f->used);
		*f = (struct fake_file){ 0 };
		return;
	}
	f->seen = grow(f->seen, old, bytes);
	f->stable = grow(f->stable, old, bytes);
	f->dirty = grow(f->dirty, old / SECTOR_BYTES, bytes / SECTOR_BYTES + 1);
	f->used = grow(f->used, (old + PAGE_BYTES - 1) / PAGE_BYTES, page_count(f));
}

static int
fake_sizes(void *disk, uint64_t ret_bytes[DISK_FILE_COUNT])
{
	struct disk_fake *d = disk;
	int rc = call(d);

	for (int i = 0; i < DISK_FILE_COUNT; i++)
		ret_bytes[i] = d->files[i].bytes;
	return rc < 0 ? rc : 0;
}

static int
fake_allocate(void *disk, enum disk_file file, uint64_t bytes)
{
	int rc = call(disk);

	if (rc < 0)
		return rc;
	disk_fake_resize(disk, file, bytes);
	return 0;
}

static int
fake_sync_all(void *disk)
{
	struct disk_fake *d = disk;
	int rc = call(d);

	if (rc < 0) {
		d->is_dirty = true;
		return rc;
	}
	if (!d->is_lying && !d->is_dirty)
		make_all_stable(d);
	return 0;
}

static int
fake_attach(void *disk, void *memory, size_t bytes)
{
	int rc = call(disk);

	(void)memory, (void)bytes;
	return rc < 0 ? rc : 0;
}

static uint32_t
fake_submit(void *disk, const struct disk_request *requests, uint32_t count)
{
	struct disk_fake *d = disk;
	uint32_t queued = 0;

	for (; queued < count && d->inflight_count < INFLIGHT_COUNT_MAX; queued++) {
		const struct disk_request *r = &requests[queued];
		uint64_t spread = d->cfg.latency_ns_max - d->cfg.latency_ns_min;
		uint64_t begin = d->now_ns > d->stall_until_ns ? d->now_ns : d->stall_until_ns;

		if (r->offset_bytes % SECTOR_BYTES != 0 || r->bytes % SECTOR_BYTES != 0 ||
			r->bytes == 0 || (uintptr_t)r->buffer % SECTOR_BYTES != 0)
			abort(); /* direct I/O would refuse it */
		d->inflight[d->inflight_count++] = (struct inflight){
			.request = *r,
			.due_ns = begin + d->cfg.latency_ns_min +
				  (spread ? draw(d) % (spread + 1) : 0),
			.rc = call(d),
		};
	}
	note_next(d);
	return queued;
}

static void
fake_kick(void *disk)
{
	(void)disk;
}

static uint32_t
fake_reap(void *disk, struct disk_completion *ret, uint32_t count_max)
{
	struct disk_fake *d = disk;
	uint32_t count = 0;

	d->now_ns += d->cfg.reap_ns;
	while (count < count_max && d->inflight_count > 0) {
		uint32_t i = 0;

		if (d->next_ns > d->now_ns)
			break;
		while (d->inflight[i].due_ns != d->next_ns)
			i++;
		ret[count++] = (struct disk_completion){
			.token = d->inflight[i].request.token,
			.result = carry_out(d, &d->inflight[i]),
		};
		memmove(&d->inflight[i], &d->inflight[i + 1],
			(d->inflight_count - i - 1) * sizeof(d->inflight[0]));
		d->inflight_count--;
		note_next(d);
	}
	d->completion_count += count;
	return count;
}

static void
fake_wait(void *disk)
{
	struct disk_fake *d = disk;
	uint64_t next_ns = disk_fake_next_ns(d);

	if (next_ns != UINT64_MAX && next_ns > d->now_ns)
		d->now_ns = next_ns;
}

const struct disk_ops disk_fake_ops = {
	.sizes = fake_sizes,
	.allocate = fake_allocate,
	.sync_all = fake_sync_all,
	.attach = fake_attach,
	.submit = fake_submit,
	.kick = fake_kick,
	.reap = fake_reap,
	.wait = fake_wait,
};
