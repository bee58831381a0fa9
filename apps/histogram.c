/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/histogram.h"

#define VALUE_MAX ((UINT64_C(1) << 40) - 1)

/* Below 128 a bucket per value; above, the leading bit chooses the octave and the next six the part. */
static uint32_t
value_to_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < 2 * HISTOGRAM_PART_COUNT)
		return (uint32_t)value;
	shift = 57 - (uint32_t)__builtin_clzll(value); /* leaves 7 bits: 64 .. 127 */
	return HISTOGRAM_PART_COUNT * shift + (uint32_t)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t
bucket_to_value(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < 2 * HISTOGRAM_PART_COUNT)
		return bucket;
	shift = bucket / HISTOGRAM_PART_COUNT - 1;
	return ((uint64_t)(bucket - HISTOGRAM_PART_COUNT * shift + 1) << shift) - 1;
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	if (value > VALUE_MAX)
		value = VALUE_MAX;
	h->buckets[value_to_bucket(value)]++;
	h->count++;
	if (value > h->max)
		h->max = value;
}

uint64_t
histogram_percentile(const struct histogram *h, uint32_t per_100k)
{
	uint64_t rank = (h->count * per_100k + 99999) / 100000;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
		seen += h->buckets[i];
		if (seen >= rank && seen > 0)
			return bucket_to_value(i) < h->max ? bucket_to_value(i) : h->max;
	}
	return h->max;
}
