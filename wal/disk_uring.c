/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a real node: O_DIRECT files, one io_uring, registered files and buffers. A durable
 * write is one write with RWF_DSYNC: on a device with FUA it is a single command, elsewhere a write
 * and a flush, issued by the kernel without coming back to us in between.
 *
 * COOP_TASKRUN keeps the kernel from interrupting this thread for completions: they are collected
 * when it enters the kernel anyway (sched_yield does), or when reap() sees twice the flag that says
 * some are waiting: a loop that has nothing else to do yields in between. DEFER_TASKRUN would tie
 * the ring to one thread and make every reap a system call.
 *
 * The directory is locked by flock() on `identity`. That file is registered with the ring, so the
 * lock of a killed process goes only after the kernel has finished its last write.
 */
#include "wal/disk_uring.h"

#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/disk_uring_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define ENTRY_COUNT  64
#define LOCK_STEP_MS 10

struct disk_uring {
	struct io_uring ring;
	bool has_ring;
	bool has_files;   /* registered */
	bool has_buffers; /* registered */
	bool is_buffered;
	bool is_read_only;
	int dir_fd;
	int fds[DISK_FILE_COUNT]; /* -1 = missing */
	const uint8_t *memory;
	size_t memory_bytes;
	uint32_t inflight_count;
	uint64_t queued[ENTRY_COUNT]; /* tokens that the kernel has not seen yet */
	uint32_t queued_count;
	int kick_rc; /* the kernel refused what is queued, for good */
	struct disk_uring_wait wait;
};

static const char *const names[DISK_FILE_COUNT] = { "identity", "hardstate", "segments",
	"identifiers" };

static int
fail(char *error, int rc, const char *path, const char *name, const char *remedy)
{
	snprintf(error, DECREE_ERROR_BYTES, "%s/%s: %s%s%s", path, name, strerror(-rc),
		remedy[0] != '\0' ? "; " : "", remedy);
	return rc;
}

static int
open_flags(const struct disk_uring *d)
{
	return (d->is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (d->is_buffered ? 0 : O_DIRECT);
}

/* The format's unit is a sector of 512 bytes; a disk with larger logical sectors refuses it here. */
static int
check_direct(int fd)
{
	uint8_t sector[512] __attribute__((aligned(512)));

	return pread(fd, sector, sizeof(sector), sizeof(sector)) < 0 && errno == EINVAL ? -ENOTSUP
											: 0;
}

static int
files_open(struct disk_uring *d, const struct disk_uring_config *cfg, char *error)
{
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		int create = cfg->is_new && i == DISK_IDENTITY ? O_CREAT : 0;

		d->fds[i] = openat(d->dir_fd, names[i], open_flags(d) | create, 0600);
		if (d->fds[i] < 0 && errno == EINVAL && d->is_read_only && !d->is_buffered) {
			d->is_buffered = true; /* to look, any file system will do */
			d->fds[i] = openat(d->dir_fd, names[i], open_flags(d), 0600);
		}
		if (d->fds[i] < 0 && errno == ENOENT)
			continue;
		if (d->fds[i] < 0 && errno == EINVAL)
			return fail(error, -ENOTSUP, cfg->path, names[i],
				"this file system has no direct I/O: use another one, or log mode "
				"buffered");
		if (d->fds[i] < 0)
			return fail(error, -errno, cfg->path, names[i],
				errno == EROFS ? "the kernel makes a file system read-only after "
						 "an error of its device: check both, mount it "
						 "again, then start the node"
					       : "");
		if (check_direct(d->fds[i]) != 0)
			return fail(error, -ENOTSUP, cfg->path, names[i],
				"this disk has no direct I/O in units of 512 bytes: use another "
				"one, or log mode buffered");
	}
	return 0;
}

static int
lock_take(struct disk_uring *d, const struct disk_uring_config *cfg, char *error)
{
	const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000 };
	int kind = cfg->is_read_only ? LOCK_SH : LOCK_EX;

	if (d->fds[DISK_IDENTITY] < 0)
		return 0; /* nothing there to protect: the log will say so */
	if (cfg->is_unlocked)
		return 0;
	for (uint32_t waited_ms = 0; flock(d->fds[DISK_IDENTITY], kind | LOCK_NB) != 0;
		waited_ms += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK)
			return fail(
				error, -errno, cfg->path, names[DISK_IDENTITY], "cannot lock it");
		if (waited_ms >= cfg->lock_wait_ms)
			return fail(error, -EBUSY, cfg->path, names[DISK_IDENTITY],
				"a running process uses this directory: stop it first, or choose "
				"another directory");
		nanosleep(&step, NULL);
	}
	return 0;
}

static int
ring_open(struct disk_uring *d, const char *path, char *error)
{
	int rc = io_uring_queue_init(
		ENTRY_COUNT, &d->ring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);

	if (rc == -EINVAL)
		rc = io_uring_queue_init(ENTRY_COUNT, &d->ring, 0); /* before Linux 5.19 */
	if (rc != 0)
		return fail(error, rc, path, "io_uring",
			"the log needs io_uring: see sysctl kernel.io_uring_disabled, ulimit -l, "
			"and any seccomp filter of the container");
	d->has_ring = true;
	return 0;
}

static const char *
open_remedy(int error)
{
	return error == EACCES ? "it is another user's: start the node as that user, or give this "
				 "one all of it (chown -R)"
			       : "is this the right path? A new node gets its directory from "
				 "'decree format'; one that lost it is replaced by a node with "
				 "a new id";
}

int
disk_uring_open(const struct disk_uring_config *cfg, struct disk_uring **ret_disk,
	char error[DECREE_ERROR_BYTES])
{
	struct disk_uring *d = calloc(1, sizeof(*d));
	int rc = 0;

	decree_assert(cfg->is_read_only || !cfg->is_unlocked);
	if (d == NULL)
		return fail(error, -ENOMEM, cfg->path, "", "");
	d->dir_fd = -1;
	d->is_buffered = cfg->is_buffered;
	d->is_read_only = cfg->is_read_only;
	for (int i = 0; i < DISK_FILE_COUNT; i++)
		d->fds[i] = -1;

	if (cfg->is_new && mkdir(cfg->path, 0700) != 0 && errno != EEXIST)
		rc = fail(error, -errno, cfg->path, "", "cannot make the directory");
	if (rc == 0) {
		d->dir_fd = open(cfg->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (d->dir_fd < 0)
			rc = fail(error, -errno, cfg->path, "", open_remedy(errno));
	}
	if (rc == 0)
		rc = files_open(d, cfg, error);
	if (rc == 0)
		rc = lock_take(d, cfg, error);
	if (rc == 0)
		rc = ring_open(d, cfg->path, error);
	if (rc == 0)
		*ret_disk = d;
	else
		disk_uring_close(d);
	return rc;
}

bool
disk_uring_is_in_use(const char *path, uint64_t *ret_changed_ns)
{
	char file[PATH_MAX];
	struct stat st;
	bool is_locked;
	int fd;

	*ret_changed_ns = 0;
	(void)snprintf(file, sizeof(file), "%s/%s", path, names[DISK_IDENTITY]);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false; /* whoever opens it will say why */
	is_locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (fstat(fd, &st) == 0)
		*ret_changed_ns =
			(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	(void)close(fd);
	return is_locked;
}

void
disk_uring_close(struct disk_uring *d)
{
	if (d == NULL)
		return;
	if (d->has_ring)
		io_uring_queue_exit(&d->ring);
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		if (d->fds[i] >= 0)
			(void)close(d->fds[i]); /* what matters was synced */
	}
	if (d->dir_fd >= 0)
		(void)close(d->dir_fd);
	free(d);
}

static int
uring_sizes(void *disk, uint64_t ret_bytes[DISK_FILE_COUNT])
{
	const struct disk_uring *d = disk;
	struct stat st;

	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		ret_bytes[i] = 0;
		if (d->fds[i] < 0)
			continue;
		if (fstat(d->fds[i], &st) != 0)
			return -errno;
		ret_bytes[i] = (uint64_t)st.st_size;
	}
	return 0;
}

static int
uring_allocate(void *disk, enum disk_file file, uint64_t bytes)
{
	struct disk_uring *d = disk;
	struct statvfs vfs;

	/* Asked beforehand, since a fallocate that fails has taken all the space there was for a
	 * moment. */
	if (fstatvfs(d->dir_fd, &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < bytes)
		return -ENOSPC;
	if (d->fds[file] < 0) {
		d->fds[file] = openat(d->dir_fd, names[file], open_flags(d) | O_CREAT, 0600);
		if (d->fds[file] < 0)
			return -errno;
	}
	if (fallocate(d->fds[file], 0, 0, (off_t)bytes) != 0)
		return -errno;
	return check_direct(d->fds[file]);
}

static int
uring_sync_all(void *disk)
{
	const struct disk_uring *d = disk;
	int parent_fd, rc = 0;

	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		if (d->fds[i] >= 0 && fsync(d->fds[i]) != 0)
			return -errno;
	}
	if (fsync(d->dir_fd) != 0)
		return -errno;
	parent_fd = openat(d->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0)
		return errno == EACCES
			       ? 0
			       : -errno; /* the directory is not ours to sync, so not ours to make */
	if (fsync(parent_fd) != 0)
		rc = -errno;
	(void)close(parent_fd);
	return rc;
}

/* Registration saves a page-table walk and a file lookup per request; without it (ulimit -l) all
 * still works. */
static int
uring_attach(void *disk, void *memory, size_t bytes)
{
	struct disk_uring *d = disk;
	struct iovec region = { .iov_base = memory, .iov_len = bytes };

	if (io_uring_register_files(&d->ring, d->fds, DISK_FILE_COUNT) != 0)
		return 0;
	d->has_files = true;
	if (io_uring_register_buffers(&d->ring, &region, 1) == 0) {
		d->has_buffers = true;
		d->memory = memory;
		d->memory_bytes = bytes;
	}
	return 0;
}

static bool
is_registered(const struct disk_uring *d, const void *buffer, uint32_t bytes)
{
	uintptr_t first = (uintptr_t)d->memory, at = (uintptr_t)buffer;

	return d->has_buffers && at >= first && at + bytes <= first + d->memory_bytes;
}

static void
entry_prepare(const struct disk_uring *d, struct io_uring_sqe *sqe, const struct disk_request *r)
{
	int fd = d->has_files ? (int)r->file : d->fds[r->file];
	bool is_fixed = is_registered(d, r->buffer, r->bytes);

	if (r->kind == DISK_READ && is_fixed)
		io_uring_prep_read_fixed(sqe, fd, r->buffer, r->bytes, r->offset_bytes, 0);
	else if (r->kind == DISK_READ)
		io_uring_prep_read(sqe, fd, r->buffer, r->bytes, r->offset_bytes);
	else if (is_fixed)
		io_uring_prep_write_fixed(sqe, fd, r->buffer, r->bytes, r->offset_bytes, 0);
	else
		io_uring_prep_write(sqe, fd, r->buffer, r->bytes, r->offset_bytes);
	if (r->kind == DISK_WRITE_DURABLE && !d->is_buffered && !FAULT_IS_SET("disk.not_durable"))
		sqe->rw_flags = RWF_DSYNC;
	if (d->has_files)
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, r->token);
}

static uint32_t
uring_submit(void *disk, const struct disk_request *requests, uint32_t count)
{
	struct disk_uring *d = disk;
	uint32_t queued = 0;

	for (; queued < count && d->inflight_count < ENTRY_COUNT; queued++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);

		if (sqe == NULL)
			break;
		entry_prepare(d, sqe, &requests[queued]);
		d->queued[d->queued_count++] = requests[queued].token;
		d->inflight_count++;
	}
	return queued;
}

static void
uring_kick(void *disk)
{
	struct disk_uring *d = disk;
	int rc;

	if (d->queued_count == 0 || d->kick_rc != 0)
		return;
	rc = io_uring_submit(&d->ring);
	if (rc > 0) {
		d->queued_count -= (uint32_t)rc;
		memmove(d->queued, d->queued + rc, d->queued_count * sizeof(d->queued[0]));
	} else if (rc < 0 && rc != -EAGAIN && rc != -EBUSY && rc != -EINTR) {
		d->kick_rc = rc;
	}
}

static bool
is_left_to_yield(struct disk_uring *d)
{
	bool is_flagged =
		(__atomic_load_n(d->ring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;

	return disk_uring_is_left(&d->wait, io_uring_cq_ready(&d->ring) > 0, is_flagged);
}

static uint32_t
uring_reap(void *disk, struct disk_completion *ret, uint32_t count_max)
{
	struct disk_uring *d = disk;
	struct io_uring_cqe *cqes[ENTRY_COUNT];
	uint32_t count = 0;

	if (d->inflight_count == 0)
		return 0;
	if (count_max > ENTRY_COUNT)
		count_max = ENTRY_COUNT;
	if (!is_left_to_yield(d))
		count = io_uring_peek_batch_cqe(&d->ring, cqes, count_max);
	for (uint32_t i = 0; i < count; i++)
		ret[i] = (struct disk_completion){
			.token = io_uring_cqe_get_data64(cqes[i]),
			.result = cqes[i]->res,
		};
	io_uring_cq_advance(&d->ring, count);
	while (d->kick_rc != 0 && count < count_max && d->queued_count > 0)
		ret[count++] = (struct disk_completion){
			.token = d->queued[--d->queued_count],
			.result = d->kick_rc,
		};
	decree_assert(count <= d->inflight_count);
	d->inflight_count -= count;
	return count;
}

static void
uring_wait(void *disk)
{
	struct disk_uring *d = disk;

	if (d->inflight_count == 0 || d->kick_rc != 0)
		return;
	uring_kick(d);
	if (d->queued_count == 0 && d->kick_rc == 0)
		(void)io_uring_submit_and_wait(
			&d->ring, 1); /* interrupted or not: the caller polls again */
}

const struct disk_ops disk_uring_ops = {
	.sizes = uring_sizes,
	.allocate = uring_allocate,
	.sync_all = uring_sync_all,
	.attach = uring_attach,
	.submit = uring_submit,
	.kick = uring_kick,
	.reap = uring_reap,
	.wait = uring_wait,
};
