/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk_uring.h
 * A log directory on a real file system, through io_uring. disk_uring.c is the only file that knows
 * it.
 *
 * Threads:  one owner at a time. A thread that waits for completions on a CPU that also completes
 *           the I/O must call sched_yield() while it polls, or every completion takes a scheduler
 *           tick (4 ms at HZ=250).
 */
#ifndef DECREE_WAL_DISK_URING_H
#define DECREE_WAL_DISK_URING_H

#include "wal/disk_ops.h"

#include "decree/types.h"

struct disk_uring;

extern const struct disk_ops disk_uring_ops;

struct disk_uring_config {
	const char *path;  /* of the directory */
	bool is_new;       /* create what is missing */
	bool is_read_only; /* never written: works on a file system that is mounted read-only, too */
	bool is_unlocked;  /* with is_read_only: somebody else may lock and write it meanwhile */
	bool is_buffered;  /* through the page cache, never flushed: mode `buffered` */
	/* how long to wait for a process that is just ending; 0 = refuse at once */
	uint32_t lock_wait_ms;
};

/**
 * Open and lock a directory; to read, with a lock that others who only read share.
 *
 * @retval -EBUSY    another process has it open
 * @retval -ENOENT   no such directory
 * @retval -ENOTSUP  the file system or disk cannot do direct I/O in units of 512 bytes
 * Blocks: yes.
 */
int disk_uring_open(const struct disk_uring_config *cfg, struct disk_uring **ret_disk,
	char ret_error[DECREE_ERROR_BYTES]);

/**
 * Whether a process has the directory open and locked. Asks for a lock for a moment; who opens the
 * directory just then waits for it.
 *
 * @param ret_changed_ns  when the file that every open writes was last written
 */
bool disk_uring_is_in_use(const char *path, uint64_t *ret_changed_ns);

/** What is in flight is finished by the kernel; the lock goes when it is. NULL is accepted. */
void disk_uring_close(struct disk_uring *disk);

#endif
