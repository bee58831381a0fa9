/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/raw.h"

#include "base/clock.h"
#include "bench/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES       (1u << 20)
#define SQ_THREAD_IDLE_MS 1000

struct raw {
	struct io_uring ring;
	bool has_ring;
	enum raw_kind kind;
	int fd;
	uint8_t *buffer; /* [RAW_WRITE_BYTES_MAX] */
	uint64_t file_bytes;
	uint64_t offset;
};

static uint8_t *
zeros_take(size_t bytes)
{
	uint8_t *zeros = aligned_alloc(4096, bytes);

	if (zeros != NULL)
		memset(zeros, 0, bytes);
	return zeros;
}

int
raw_file_make(const char *path, uint64_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
	uint8_t *zeros = zeros_take(PIECE_BYTES);
	int rc = fd < 0 ? -errno : 0;

	if (rc == 0 && zeros == NULL)
		rc = -ENOMEM;
	for (uint64_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES) {
		ssize_t done = pwrite(fd, zeros, PIECE_BYTES, (off_t)at);

		if (done != PIECE_BYTES)
			rc = done < 0 ? -errno : -EIO;
	}
	if (rc == 0 && fsync(fd) != 0)
		rc = -errno;
	if (fd >= 0)
		(void)close(fd); /* was synced */
	free(zeros);
	return rc;
}

static int
ring_open(struct raw *r)
{
	struct io_uring_params params = { .flags = IORING_SETUP_COOP_TASKRUN |
						   IORING_SETUP_TASKRUN_FLAG };
	struct iovec region = { r->buffer, RAW_WRITE_BYTES_MAX };
	int rc;

	if (r->kind == RAW_SQPOLL)
		params = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL,
			.sq_thread_idle = SQ_THREAD_IDLE_MS };
	rc = io_uring_queue_init_params(2 * RAW_DEPTH_MAX, &r->ring, &params);
	if (rc != 0)
		return rc;
	r->has_ring = true;
	rc = io_uring_register_files(&r->ring, &r->fd, 1);
	return rc != 0 ? rc : io_uring_register_buffers(&r->ring, &region, 1);
}

int
raw_open(const char *path, enum raw_kind kind, struct raw **ret_raw)
{
	struct raw *r = calloc(1, sizeof(*r));
	struct stat st;
	int rc = 0;

	if (r == NULL)
		return -ENOMEM;
	r->kind = kind;
	r->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	r->buffer = zeros_take(RAW_WRITE_BYTES_MAX);
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		rc = -errno;
	else if (r->buffer == NULL)
		rc = -ENOMEM;
	else
		r->file_bytes = (uint64_t)st.st_size;
	if (rc == 0)
		rc = ring_open(r);
	if (rc == 0)
		*ret_raw = r;
	else
		raw_close(r);
	return rc;
}

void
raw_close(struct raw *r)
{
	if (r == NULL)
		return;
	if (r->has_ring)
		io_uring_queue_exit(&r->ring);
	if (r->fd >= 0)
		(void)close(r->fd); /* nothing is in flight */
	free(r->buffer);
	free(r);
}

/* Its completion is the write's, too, which is durable no sooner. */
static void
fsync_link(struct raw *r, struct io_uring_sqe *write)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	write->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, UINT64_MAX);
}

int
raw_start(struct raw *r, uint32_t bytes)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
	int rc;

	if (r->offset + bytes > r->file_bytes)
		r->offset = 0;
	io_uring_prep_write_fixed(sqe, 0, r->buffer, bytes, r->offset, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, bytes);
	if (r->kind == RAW_LINKED)
		fsync_link(r, sqe);
	else
		sqe->rw_flags = RWF_DSYNC;
	r->offset += bytes;
	rc = io_uring_submit(&r->ring);
	return rc < 0 ? rc : 0;
}

/* @return 0, or what is wrong with a completion. An fdatasync carries no length; a write that is
 * linked to one has a completion only if it failed. */
static int
result_check(const struct io_uring_cqe *cqe)
{
	uint64_t expected = io_uring_cqe_get_data64(cqe);

	if (cqe->res < 0)
		return cqe->res;
	return expected == UINT64_MAX || (uint64_t)cqe->res == expected ? 0 : -EIO;
}

int
raw_reap(struct raw *r, uint32_t *ret_count)
{
	struct io_uring_cqe *cqes[RAW_DEPTH_MAX];
	uint32_t count = io_uring_peek_batch_cqe(&r->ring, cqes, RAW_DEPTH_MAX);
	int rc = 0;

	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = result_check(cqes[i]);
	io_uring_cq_advance(&r->ring, count);
	*ret_count = count;
	return rc;
}

int
raw_append(struct raw *r, uint32_t bytes)
{
	int rc = raw_start(r, bytes);
	uint64_t begun = base_now_ns();
	uint32_t count = 0;

	while (rc == 0 && count == 0) {
		rc = raw_reap(r, &count);
		if (count == 0)
			wait_a_little(base_now_ns() - begun);
	}
	return rc;
}
