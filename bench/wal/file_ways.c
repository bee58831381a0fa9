/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is usually done: blocking calls on a plain file. `fdatasync` lets the file grow, through the
 * page cache, as most logs do; `dsync` writes over space that was written before, past the page
 * cache.
 */
#include "bench/wal/way.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES (4u << 20)

struct plain {
	int fd;
	bool grows;
	uint8_t *buffer;
	uint64_t offset;
	uint64_t end; /* begin anew there */
	char path[512];
};

static void
close_plain(void *self)
{
	struct plain *f = self;

	if (f == NULL)
		return;
	if (f->fd >= 0)
		(void)close(f->fd); /* thrown away, or nothing new in it */
	if (f->grows)
		(void)unlink(f->path);
	free(f->buffer);
	free(f);
}

static int
open_plain(const struct way_place *place, bool grows, void **ret_self, char *ret_error)
{
	struct plain *f = calloc(1, sizeof(*f));
	int rc = 0;

	if (f == NULL)
		return -ENOMEM;
	f->grows = grows;
	f->end = place->raw_bytes;
	f->buffer = aligned_alloc(4096, BUFFER_BYTES);
	if (grows)
		snprintf(f->path, sizeof(f->path), "%s/growing", place->folder);
	else
		snprintf(f->path, sizeof(f->path), "%s", place->raw_path);
	f->fd = open(f->path,
		O_WRONLY | O_CLOEXEC | (grows ? O_CREAT | O_TRUNC : O_DIRECT | O_DSYNC), 0600);
	if (f->fd < 0)
		rc = -errno;
	else if (f->buffer == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		memset(f->buffer, 0, BUFFER_BYTES);
		*ret_self = f;
		return 0;
	}
	snprintf(ret_error, DECREE_ERROR_BYTES, "%.400s: %s", f->path, strerror(-rc));
	close_plain(f);
	return rc;
}

static int
open_fdatasync(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_plain(place, true, ret_self, ret_error);
}

static int
open_dsync(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_plain(place, false, ret_self, ret_error);
}

static int
append_plain(void *self, uint32_t bytes)
{
	struct plain *f = self;
	ssize_t done;

	if (!f->grows)
		bytes = way_sector_bytes(bytes);
	if (!f->grows && f->offset + bytes > f->end)
		f->offset = 0;
	done = pwrite(f->fd, f->buffer, bytes, (off_t)f->offset);
	if (done != (ssize_t)bytes)
		return done < 0 ? -errno : -EIO;
	f->offset += bytes;
	return f->grows && fdatasync(f->fd) != 0 ? -errno : 0;
}

static int
measure_plain(void *self, const struct way_task *task, struct way_sample *ret)
{
	struct plain *f = self;

	/* It grows anew in each measurement, and the space it had is given back before. */
	if (f->grows && (ftruncate(f->fd, 0) != 0 || fsync(f->fd) != 0))
		return -errno;
	if (f->grows)
		f->offset = 0;
	return way_measure_single(append_plain, f, task, ret);
}

const struct way way_fdatasync = { "fdatasync", open_fdatasync, measure_plain, close_plain };
const struct way way_dsync = { "dsync", open_dsync, measure_plain, close_plain };
