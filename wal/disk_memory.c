/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/disk_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define COMPLETION_COUNT_MAX 64

struct disk_memory {
	uint8_t *data[DISK_FILE_COUNT]; /* NULL: dropped */
	uint64_t bytes[DISK_FILE_COUNT];
	struct disk_completion done[COMPLETION_COUNT_MAX]; /* ring */
	uint32_t done_first;
	uint32_t done_count;
	void *companion;
	void (*companion_close)(void *companion);
};

int
disk_memory_create(
	void *companion, void (*companion_close)(void *companion), struct disk_memory **ret_disk)
{
	struct disk_memory *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->companion = companion;
	d->companion_close = companion_close;
	*ret_disk = d;
	return 0;
}

void
disk_memory_destroy(struct disk_memory *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		if (d->data[i] != NULL)
			(void)munmap(d->data[i], d->bytes[i]);
	}
	if (d->companion_close != NULL)
		d->companion_close(d->companion);
	free(d);
}

static int
memory_sizes(void *disk, uint64_t ret_bytes[DISK_FILE_COUNT])
{
	const struct disk_memory *d = disk;

	memcpy(ret_bytes, d->bytes, sizeof(d->bytes));
	return 0;
}

static int
memory_allocate(void *disk, enum disk_file file, uint64_t bytes)
{
	struct disk_memory *d = disk;
	void *data;

	if (d->bytes[file] != 0)
		return -EEXIST;
	d->bytes[file] = bytes;
	if (file == DISK_IDENTIFIERS)
		return 0;
	data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED) {
		d->bytes[file] = 0;
		return -errno;
	}
	d->data[file] = data;
	return 0;
}

static int
memory_sync_all(void *disk)
{
	(void)disk;
	return 0;
}

static int
memory_attach(void *disk, void *memory, size_t bytes)
{
	(void)disk, (void)memory, (void)bytes;
	return 0;
}

static int32_t
transfer(struct disk_memory *d, const struct disk_request *r)
{
	uint8_t *at = d->data[r->file];

	if (r->offset_bytes + r->bytes > d->bytes[r->file])
		return -EINVAL;
	if (at == NULL && r->kind == DISK_READ)
		memset(r->buffer, 0, r->bytes);
	else if (r->kind == DISK_READ)
		memcpy(r->buffer, at + r->offset_bytes, r->bytes);
	else if (at != NULL)
		memcpy(at + r->offset_bytes, r->buffer, r->bytes);
	return (int32_t)r->bytes;
}

static uint32_t
memory_submit(void *disk, const struct disk_request *requests, uint32_t count)
{
	struct disk_memory *d = disk;
	uint32_t queued = 0;

	for (; queued < count && d->done_count < COMPLETION_COUNT_MAX; queued++) {
		uint32_t at = (d->done_first + d->done_count++) % COMPLETION_COUNT_MAX;

		d->done[at] = (struct disk_completion){
			.token = requests[queued].token,
			.result = transfer(d, &requests[queued]),
		};
	}
	return queued;
}

static void
memory_kick(void *disk)
{
	(void)disk;
}

static uint32_t
memory_reap(void *disk, struct disk_completion *ret, uint32_t count_max)
{
	struct disk_memory *d = disk;
	uint32_t count = 0;

	for (; count < count_max && d->done_count > 0; count++, d->done_count--) {
		ret[count] = d->done[d->done_first];
		d->done_first = (d->done_first + 1) % COMPLETION_COUNT_MAX;
	}
	return count;
}

static void
memory_wait(void *disk)
{
	(void)disk;
}

const struct disk_ops disk_memory_ops = {
	.sizes = memory_sizes,
	.allocate = memory_allocate,
	.sync_all = memory_sync_all,
	.attach = memory_attach,
	.submit = memory_submit,
	.kick = memory_kick,
	.reap = memory_reap,
	.wait = memory_wait,
};
