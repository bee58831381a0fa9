/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/disk_fake.h"

#include "tests/lib/disk_fake_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INFLIGHT_COUNT_MAX 64
#define LOST_COUNT_MAX     64

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
	struct disk_fake *d = calloc(1, sizeof(*d));

	if (d == NULL)
		abort();
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
		fake_file_resize(&d->files[i], 0);
	free(d);
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
		fake_file_assign(&d->files[i], &from->files[i]);
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

static int32_t
carry_out_read(struct disk_fake *d, const struct disk_request *r, uint64_t bytes)
{
	if (is_spoilt(d, r) || reads_lost_sector(d, r))
		return -EIO;
	fake_file_read(&d->files[r->file], r->offset_bytes, r->buffer, bytes);
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
make_all_stable(struct disk_fake *d)
{
	for (int i = 0; i < DISK_FILE_COUNT; i++)
		fake_file_make_all_stable(&d->files[i]);
}

static void
carry_out_write(struct disk_fake *d, const struct disk_request *r, uint64_t bytes)
{
	struct fake_file *f = &d->files[r->file];

	if (d->lost_count > 0)
		find_lost_sectors(d, r);
	if (fake_file_is_zero_over_unused(f, r->offset_bytes, r->buffer, bytes))
		return; /* pre-writing: megabytes that change nothing */
	uint64_t offset = write_offset(d, r, bytes);
	fake_file_write(f, offset, r->buffer, bytes);
	if (r->kind == DISK_WRITE_DURABLE && !d->is_lying && !d->is_dirty) {
		fake_file_make_stable(f, offset, bytes);
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
	bool keeps_some = !d->is_lying || (fake_draw(&d->random) & 1);

	for (uint32_t i = 0; i < d->inflight_count; i++)
		d->inflight[i].request.kind =
			d->inflight[i].request.kind == DISK_READ ? DISK_READ : DISK_WRITE;
	disk_fake_kill_process(d);
	for (int i = 0; i < DISK_FILE_COUNT; i++)
		fake_file_settle(&d->files[i], &d->random, d->is_torn, keeps_some);
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
		fake_file_mark_used(&d->files[file], 0, d->files[file].bytes);
	return d->files[file].seen;
}

void
disk_fake_flip(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes, uint8_t mask)
{
	fake_file_mark_used(&d->files[file], offset_bytes, 1);
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

	fake_file_mark_used(f, offset_bytes, bytes);
	memmove(f->seen + offset_bytes, from, bytes);
	memcpy(f->stable + offset_bytes, f->seen + offset_bytes, bytes);
}

void
disk_fake_resize(struct disk_fake *d, enum disk_file file, uint64_t bytes)
{
	fake_file_resize(&d->files[file], bytes);
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
				  (spread ? fake_draw(&d->random) % (spread + 1) : 0),
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
