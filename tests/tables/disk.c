/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tables/disk.h"

#include "base/assert.h"
#include "wal/disk_uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES  512
#define REQUEST_MAX   64 /* a power of two */
#define COMPLETED_MAX 16

struct request {
	uint64_t token; /* of whoever asked */
	int32_t result;
	bool is_done;
};

struct table_disk {
	struct disk_uring *inner; /* knows a request by its number */
	struct bad_sectors *bad;
	bool is_direct;
	/* [first, after) modulo its size, in the order in which they came */
	struct request requests[REQUEST_MAX];
	uint64_t first, after;
	uint32_t inflight_count; /* of inner */
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

static struct request *
request_of(struct table_disk *d, uint64_t number)
{
	return &d->requests[number % REQUEST_MAX];
}

/* What the kernel has done by now. */
static void
collect(struct table_disk *d)
{
	struct disk_completion done[COMPLETED_MAX];
	uint32_t count;

	do {
		count = disk_uring_ops.reap(d->inner, done, COMPLETED_MAX);
		decree_assert(count <= d->inflight_count);
		d->inflight_count -= count;
		for (uint32_t i = 0; i < count; i++) {
			request_of(d, done[i].token)->result = done[i].result;
			request_of(d, done[i].token)->is_done = true;
		}
	} while (count == COMPLETED_MAX);
}

void
table_disk_settle(struct table_disk *d)
{
	collect(d);
	while (d->inflight_count > 0) {
		disk_uring_ops.wait(d->inner);
		collect(d);
	}
}

bool
table_disk_is_busy(const struct table_disk *d)
{
	return d->first < d->after;
}

void
table_disk_close(struct table_disk *d)
{
	if (d == NULL)
		return;
	table_disk_settle(d); /* and whoever asked is gone */
	disk_uring_close(d->inner);
	free(d);
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

/* @return true if it cannot be read */
static bool
is_refused(struct table_disk *d, const struct disk_request *r)
{
	if (d->bad->count == 0)
		return false;
	if (r->kind == DISK_READ)
		return !is_readable(d->bad, r);
	heal(d->bad, r);
	return false;
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

static bool
submit_one(struct table_disk *d, const struct disk_request *r)
{
	struct disk_request numbered = *r;

	if (d->after - d->first == REQUEST_MAX)
		return false;
	numbered.token = d->after;
	*request_of(d, d->after) = (struct request){ .token = r->token };
	if (is_refused(d, r)) {
		request_of(d, d->after)->result = -EIO;
		request_of(d, d->after)->is_done = true;
	} else if (disk_uring_ops.submit(d->inner, &numbered, 1) == 1) {
		d->inflight_count++;
	} else {
		return false;
	}
	d->after++;
	return true;
}

static uint32_t
table_submit(void *disk, const struct disk_request *requests, uint32_t count)
{
	uint32_t done = 0;

	while (done < count && submit_one(disk, &requests[done]))
		done++;
	return done;
}

static void
table_kick(void *disk)
{
	disk_uring_ops.kick(((struct table_disk *)disk)->inner);
}

/* In the order of the requests, whatever the kernel's was: runs must repeat. */
static uint32_t
table_reap(void *disk, struct disk_completion *ret, uint32_t count_max)
{
	struct table_disk *d = disk;
	uint32_t count = 0;

	collect(d);
	for (; count < count_max && d->first < d->after; count++, d->first++) {
		const struct request *r = request_of(d, d->first);

		if (!r->is_done)
			break;
		ret[count] = (struct disk_completion){ .token = r->token, .result = r->result };
	}
	return count;
}

static void
table_wait(void *disk)
{
	struct table_disk *d = disk;

	if (table_disk_is_busy(d) && !request_of(d, d->first)->is_done)
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
