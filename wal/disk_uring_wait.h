/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk_uring_wait.h
 * Whether completions that wait in the kernel are asked for by a system call of their own. They
 * come when this thread enters the kernel; a loop without work does that by its next sched_yield(),
 * which saves a system call for each tenth write. One that is busy, or has waited for so long that
 * it may sleep, has to ask.
 *
 * Threads:  the disk's.
 */
#ifndef WAL_DISK_URING_WAIT_H
#define WAL_DISK_URING_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* A write takes some tens of turns, and a loop sleeps after a millisecond of them. */
#define DISK_URING_EMPTY_COUNT_MAX 1024

struct disk_uring_wait {
	bool was_flagged;     /* at the last look, and left to the loop */
	uint32_t empty_count; /* looks that found nothing, one after the other */
};

/**
 * One look at the ring.
 *
 * @param has_ready   completions are there already: nobody has to ask
 * @param is_flagged  the kernel says that some wait for this thread
 * @return true: leave it to the loop's next yield, and do not look into the ring
 */
static inline bool
disk_uring_is_left(struct disk_uring_wait *w, bool has_ready, bool is_flagged)
{
	bool is_left;

	if (has_ready) {
		*w = (struct disk_uring_wait){ 0 };
		return false;
	}
	w->empty_count++;
	is_left = is_flagged && !w->was_flagged && w->empty_count <= DISK_URING_EMPTY_COUNT_MAX;
	w->was_flagged = is_left;
	return is_left;
}

#endif
