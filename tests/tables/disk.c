/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tables/disk.h"

#include "base/assert.h"
#include "wal/disk_uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES    512
#define REFUSED_MAX     64
#define COMPLETION_BULK 16

struct table_disk {
	struct disk_uring *inner;
	struct bad_sectors *bad;
	bool is_direct;
	uint32_t inflight_count; /* of inner */
	struct disk_completion refused[REFUSED_MAX];
	uint32_t refused_count;
};

int
table_disk_open(const char *path, struct bad_sectors *bad, bool is_direct, bool is_new,
	struct table_disk **ret_disk, char error[DECREE_ERROR_BYTES])
{
	struct disk_uring_config cfg = {
		.path = path,
		.is_new = is_new,
		.is_buffered = !is_direct,
	};
	struct table_disk *d = calloc(1, sizeof(*d));
	int rc;

	decree_assert(d != NULL);
	d->bad = bad;
	d->is_direct = is_direct;
	rc = disk_uring_open(&cfg, &d->inner, error);
	if (rc != 0)
		free(d);
	else
		*ret_disk = d;
	return rc;
}

static uint32_t
reap_inner(struct table_disk *d, struct disk_completion *ret, uint32_t count_max)
{
	uint32_t count = disk_uring_ops.reap(d->inner, ret, count_max);

	decree_assert(count <= d->inflight_count);
	d->inflight_count -= count;
	return count;
}

void
table_disk_close(struct table_disk *d)
{
	struct disk_completion done[COMPLETION_BULK];

	if (d == NULL)
		return;
	while (d->inflight_count > 0) {
		disk_uring_ops.wait(d->inner);
		(void)reap_inner(d, done, COMPLETION_BULK); /* whoever asked is gone */
	}
	disk_uring_close(d->inner);
	free(d);
}

bool
table_disk_is_busy(const struct table_disk *d)
{
	return d->inflight_count > 0 || d->refused_count > 0;
}

/* ---- sectors that cannot be read ---- */

static bool
is_readable(const struct bad_sectors *bad, const struct disk_request *r)
{
	for (uint64_t at = r->offset_bytes; at < r->offset_bytes + r->bytes; at += SECTOR_BYTES)
		if (at / SECTOR_BYTES < BAD_SECTOR_COUNT && bad->is_bad[r->file][at / SECTOR_BYTES])
			return false;
	return true;
}

static void
heal(struct bad_sectors *bad, const struct disk_request *r)
{
	for (uint64_t at = r->offset_bytes; at < r->offset_bytes + r->bytes; at += SECTOR_BYTES) {
		uint64_t sector = at / SECTOR_BYTES;

		if (sector >= BAD_SECTOR_COUNT || !bad->is_bad[r->file][sector])
			continue;
		bad->is_bad[r->file][sector] = false;
		bad->count--;
	}
}

/* @return true if the request has failed by itself */
static bool
refuse(struct table_disk *d, const struct disk_request *r)
{
	if (d->bad->count == 0)
		return false;
	if (r->kind != DISK_READ) {
		heal(d->bad, r);
		return false;
	}
	if (is_readable(d->bad, r))
		return false;
	d->refused[d->refused_count++] =
		(struct disk_completion){ .token = r->token, .result = -EIO };
	return true;
}

/* ---- the table ---- */

static int
table_sizes(void *disk, uint64_t ret_bytes[DISK_FILE_COUNT])
{
	return disk_uring_ops.sizes(((struct table_disk *)disk)->inner, ret_bytes);
}

static int
table_allocate(void *disk, enum disk_file file, uint64_t bytes)
{
	return disk_uring_ops.allocate(((struct table_disk *)disk)->inner, file, bytes);
}

static int
table_sync_all(void *disk)
{
	const struct table_disk *d = disk;

	return d->is_direct ? disk_uring_ops.sync_all(d->inner) : 0;
}

static int
table_attach(void *disk, void *memory, size_t bytes)
{
	return disk_uring_ops.attach(((struct table_disk *)disk)->inner, memory, bytes);
}

static uint32_t
table_submit(void *disk, const struct disk_request *requests, uint32_t count)
{
	struct table_disk *d = disk;
	uint32_t done = 0;

	for (; done < count && d->refused_count < REFUSED_MAX; done++) {
		if (refuse(d, &requests[done]))
			continue;
		if (disk_uring_ops.submit(d->inner, &requests[done], 1) == 0)
			break;
		d->inflight_count++;
	}
	return done;
}

static void
table_kick(void *disk)
{
	disk_uring_ops.kick(((struct table_disk *)disk)->inner);
}

static uint32_t
table_reap(void *disk, struct disk_completion *ret, uint32_t count_max)
{
	struct table_disk *d = disk;
	uint32_t count = 0;

	while (count < count_max && d->refused_count > 0)
		ret[count++] = d->refused[--d->refused_count];
	return count + reap_inner(d, ret + count, count_max - count);
}

static void
table_wait(void *disk)
{
	struct table_disk *d = disk;

	if (d->refused_count == 0)
		disk_uring_ops.wait(d->inner);
}

const struct disk_ops table_disk_ops = {
	.sizes = table_sizes,
	.allocate = table_allocate,
	.sync_all = table_sync_all,
	.attach = table_attach,
	.submit = table_submit,
	.kick = table_kick,
	.reap = table_reap,
	.wait = table_wait,
};
