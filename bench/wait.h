/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wait.h
 * How whoever measures polls: it gives the CPU away at every empty turn, and sleeps once nothing
 * has come for a millisecond, as a node's shard does.
 *
 * A thread that does nothing but sched_yield() can keep a kernel's worker from its CPU for seconds
 * (seen with 6.18: the one that completes durable writes), and what it waits for then never comes.
 * What takes longer than a millisecond is measured up to WAIT_SLEEP_NS too long.
 */
#ifndef BENCH_WAIT_H
#define BENCH_WAIT_H

#include <sched.h>
#include <stdint.h>
#include <time.h>

#define WAIT_YIELD_NS UINT64_C(1000000)
#define WAIT_SLEEP_NS 20000

/** @param idle_ns  since there was anything to do */
static inline void
wait_a_little(uint64_t idle_ns)
{
	const struct timespec pause = { .tv_nsec = WAIT_SLEEP_NS };

	if (idle_ns < WAIT_YIELD_NS)
		(void)sched_yield(); /* cannot fail */
	else
		(void)nanosleep(&pause, NULL); /* woken early is as good */
}

#endif
