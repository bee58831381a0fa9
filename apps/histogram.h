/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file histogram.h
 * Latencies in constant memory, as an HdrHistogram with three significant digits counts them:
 * values below 2,048 have a bucket each; above, each power of two is cut into 1,024 equal parts, so
 * that a percentile is at most 0.1 % above the true one. From 0 to 2^42 (73 minutes in
 * nanoseconds); larger values count as the largest.
 *
 * Threads:  one at a time.
 * Memory:   270 KB each, in the struct; nothing is allocated.
 */
#ifndef APPS_HISTOGRAM_H
#define APPS_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_PART_COUNT   1024 /* of a power of two */
#define HISTOGRAM_OCTAVE_COUNT 32   /* HdrHistogram's buckets; the first covers 0 .. 2,047 */
#define HISTOGRAM_BUCKET_COUNT (HISTOGRAM_PART_COUNT * (HISTOGRAM_OCTAVE_COUNT + 1))
#define HISTOGRAM_VALUE_MAX    ((UINT64_C(1) << 42) - 1)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);

/** Count what another one has counted, too. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/** The smallest bucket's upper bound that @p percent of the values do not exceed; 0 if there are
 * none.
 * @param percent  0 .. 100: 99.9 = p99.9; 0: the lower bound of the smallest value's bucket */
uint64_t histogram_at(const struct histogram *h, double percent);

/** Whether at least ten values lie above this percentile: with fewer it says nothing. */
bool histogram_has(const struct histogram *h, double percent);

/** Of the buckets' middles, as HdrHistogram has it. 0 if there are no values */
double histogram_mean(const struct histogram *h);
double histogram_deviation(const struct histogram *h);

/* One step of the percentile distribution. */
struct histogram_step {
	uint64_t value;  /* the upper bound of a bucket */
	double percent;  /* that many of the values were to be reached; 100: the last step */
	uint64_t count;  /* values up to there */
	uint32_t bucket; /* private: where to go on */
	double percent_next;
};

/**
 * Walk over the percentiles as HdrHistogram does: so many steps for each halving of the distance to
 * 100 %.
 *
 * @param step  zeroed before the first call, and untouched between two
 * @return false: the last one was the end
 */
bool
histogram_walk(const struct histogram *h, uint32_t steps_per_half, struct histogram_step *step);

/** The percentile distribution (.hgrm) that HdrHistogram's plotters read.
 * @param unit  what values are divided by: 1000 prints nanoseconds as microseconds */
void histogram_print(const struct histogram *h, double unit, FILE *to);

#endif
