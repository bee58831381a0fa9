/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file histogram.h
 * Latencies in constant memory: each power of two is cut into 64 equal parts, so that a percentile is
 * at most 1/64 (1.6 %) above the true one. From 0 to 2^40 (18 minutes in nanoseconds); larger counts as that.
 */
#ifndef APPS_HISTOGRAM_H
#define APPS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PART_COUNT   64
#define HISTOGRAM_OCTAVE_COUNT 35 /* the first covers 0 .. 127 exactly */
#define HISTOGRAM_BUCKET_COUNT (HISTOGRAM_PART_COUNT * (HISTOGRAM_OCTAVE_COUNT + 1))

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

void histogram_add(struct histogram *h, uint64_t value);

/** The smallest bound that @p per_mille of the values do not exceed; 0 if there are none.
 * @param per_100k  0 .. 100000: 50000 = median, 99900 = p99.9 */
uint64_t histogram_percentile(const struct histogram *h, uint32_t per_100k);

#endif
