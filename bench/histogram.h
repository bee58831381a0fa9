/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file histogram.h
 * Latencies in nanoseconds, counted in buckets that are 1.6 % wide, from 1 ns to 70 s.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS  6 /* 64 buckets per power of two */
#define HISTOGRAM_COUNT (36 << HISTOGRAM_BITS)

struct histogram {
	uint64_t count;
	uint64_t buckets[HISTOGRAM_COUNT];
};

void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t ns);

/** @param share  0 .. 1, e.g. 0.99. @return ns; 0 if empty */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
