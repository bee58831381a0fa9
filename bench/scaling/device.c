/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a host, and the files of a log on it. Records are not kept: nothing reads them in a
 * run without faults, and hundreds of logs would not fit the memory; a read of them ends the
 * program.
 */
#include "bench/scaling/world.h"

#include <errno.h>
#include <string.h>

#define SMALL_BYTES 4096 /* what the latency of a disk is told of */

/* ---- the device ---- */

/* @return when the write is durable */
static uint64_t
device_write(struct world *w, struct device *d, uint32_t bytes)
{
	const struct settings *s = &w->s;
	double ns_per_byte = 1e3 / (double)s->disk_mb;
	double service = bytes * ns_per_byte;
	double begin = d->free_ns > (double)w->now_ns ? d->free_ns : (double)w->now_ns;
	double latency = (double)(s->disk_ns + draw(&w->random, s->disk_spread_ns + 1));

	if (service < 1e9 / (double)s->disk_writes)
		service = 1e9 / (double)s->disk_writes;
	if (bytes > SMALL_BYTES)
		latency += (bytes - SMALL_BYTES) * ns_per_byte;
	d->free_ns = begin + service;
	if (w->is_measured) {
		d->busy_ns += service;
		d->bytes += bytes;
		d->writes++;
	}
	return (uint64_t)(begin + (latency > service ? latency : service));
}

void
log_disk_hand_over(struct world *w, struct log_disk *disk)
{
	struct host *host = disk->member->host;
	struct device *device = &host->devices[disk->member->group % w->s.disk_count];
	bool is_instant = w->is_settling || w->s.is_memory;

	for (uint32_t i = 0; i < disk->request_count; i++)
		if (disk->requests[i].due_ns == UINT64_MAX)
			disk->requests[i].due_ns =
				is_instant || !disk->requests[i].is_write
					? w->now_ns
					: device_write(w, device, disk->requests[i].bytes);
}

uint64_t
log_disk_next_ns(const struct log_disk *disk)
{
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < disk->request_count; i++)
		if (disk->requests[i].due_ns < next_ns)
			next_ns = disk->requests[i].due_ns;
	return next_ns;
}

/* ---- the files ---- */

static int
log_sizes(void *opaque, uint64_t ret_bytes[DISK_FILE_COUNT])
{
	const struct log_disk *disk = opaque;

	memcpy(ret_bytes, disk->bytes, sizeof(disk->bytes));
	return 0;
}

static int
log_allocate(void *opaque, enum disk_file file, uint64_t bytes)
{
	struct log_disk *disk = opaque;

	if (disk->bytes[file] != 0)
		return -EEXIST;
	disk->bytes[file] = bytes;
	if (file == DISK_IDENTITY || file == DISK_HARDSTATE)
		disk->data[file] = take(bytes);
	return 0;
}

static int
log_sync_all(void *opaque)
{
	(void)opaque;
	return 0;
}

static int
log_attach(void *opaque, void *memory, size_t bytes)
{
	(void)opaque, (void)memory, (void)bytes;
	return 0;
}

static void
transfer(const struct log_disk *disk, const struct disk_request *r)
{
	uint8_t *data = disk->data[r->file];

	if (r->offset_bytes + r->bytes > disk->bytes[r->file])
		die("a request beyond the end of a log's file");
	if (r->kind != DISK_READ) {
		if (data != NULL)
			memcpy(data + r->offset_bytes, r->buffer, r->bytes);
		return;
	}
	if (data != NULL)
		memcpy(r->buffer, data + r->offset_bytes, r->bytes);
	else if (disk->member->shard != NULL)
		die("a record is read back, and the model keeps none");
	else
		memset(r->buffer, 0, r->bytes); /* an empty log, that is opened */
}

static uint32_t
log_submit(void *opaque, const struct disk_request *requests, uint32_t count)
{
	struct log_disk *disk = opaque;
	uint32_t queued = 0;

	for (; queued < count && disk->request_count < REQUEST_COUNT; queued++) {
		const struct disk_request *r = &requests[queued];
		uint32_t at = disk->request_count++;

		transfer(disk, r);
		disk->requests[at].completion =
			(struct disk_completion){ .token = r->token, .result = (int32_t)r->bytes };
		disk->requests[at].bytes = r->bytes;
		disk->requests[at].is_write = r->kind != DISK_READ;
		disk->requests[at].due_ns = UINT64_MAX;
		disk->member->work.writes += r->kind != DISK_READ;
	}
	return queued;
}

static void
log_kick(void *opaque)
{
	(void)opaque;
}

static uint32_t
log_reap(void *opaque, struct disk_completion *ret, uint32_t count_max)
{
	struct log_disk *disk = opaque;
	bool is_opening = disk->member->shard == NULL;
	uint32_t count = 0, kept = 0;

	for (uint32_t i = 0; i < disk->request_count; i++)
		if (count < count_max &&
			(is_opening || disk->requests[i].due_ns <= disk->member->world->now_ns))
			ret[count++] = disk->requests[i].completion;
		else
			disk->requests[kept++] = disk->requests[i];
	disk->request_count = kept;
	return count;
}

const struct disk_ops log_disk_ops = {
	.sizes = log_sizes,
	.allocate = log_allocate,
	.sync_all = log_sync_all,
	.attach = log_attach,
	.submit = log_submit,
	.kick = log_kick,
	.reap = log_reap,
	.wait = log_kick,
};
