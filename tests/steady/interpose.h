/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file interpose.h
 * What threads ask of the allocators and of the locks, counted for each thread: this program's
 * malloc(), pthread_mutex_lock() and the like stand in front of the C library's and of DPDK's, for
 * all code in the process, also that of shared libraries and of drivers that are loaded later. What
 * a function does inline, as DPDK's spin locks, is not seen.
 *
 * Threads:  each writes its own counts; interpose_read() from any process that was forked behind
 *           interpose_open().
 */
#ifndef TESTS_STEADY_INTERPOSE_H
#define TESTS_STEADY_INTERPOSE_H

#include <stdint.h>
#include <sys/types.h>

struct interposed {
	uint64_t allocations; /* and reallocations and releases, of the C library and of DPDK */
	uint64_t locks;       /* and what else threads wait for each other with */
};

/** From here on counts are kept, in memory that processes share. @retval 0  @retval -ENOMEM */
int interpose_open(void);

/** @return what that thread has done so far: nothing of what is counted, if it is not known */
struct interposed interpose_read(pid_t tid);

/** Whether allocations and locks of a thread are seen: it does some of each. */
_Bool interpose_works(void);

#endif
