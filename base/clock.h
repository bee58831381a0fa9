/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file clock.h
 * The kernel's clocks in nanoseconds. Not for a shard's loop nor what it calls: it is told the time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/** @param clock  one of the kernel's own, which cannot fail */
static inline uint64_t
base_clock_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/** Since any moment: for how long something takes. */
static inline uint64_t
base_now_ns(void)
{
	return base_clock_ns(CLOCK_MONOTONIC);
}

#endif
