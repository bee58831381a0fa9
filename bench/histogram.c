/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/histogram.h"

#include <string.h>

void
histogram_reset(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

/* Values below 64 have a bucket each; above, the highest 7 bits name the bucket. */
static uint32_t
bucket_of(uint64_t ns)
{
	uint32_t shift, bucket;

	if (ns < 1u << HISTOGRAM_BITS)
		return (uint32_t)ns;
	shift = 63 - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_BITS;
	bucket = ((shift + 1) << HISTOGRAM_BITS) + (uint32_t)(ns >> shift) - (1u << HISTOGRAM_BITS);
	return bucket < HISTOGRAM_COUNT ? bucket : HISTOGRAM_COUNT - 1;
}

static uint64_t
bucket_middle(uint32_t bucket)
{
	uint32_t shift = bucket >> HISTOGRAM_BITS;
	uint64_t low = bucket & ((1u << HISTOGRAM_BITS) - 1);

	if (shift == 0)
		return low;
	return ((low + (1u << HISTOGRAM_BITS)) << (shift - 1)) + ((1ull << (shift - 1)) >> 1);
}

void
histogram_add(struct histogram *h, uint64_t ns)
{
	h->count++;
	h->buckets[bucket_of(ns)]++;
}

uint64_t
histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;

	for (uint32_t i = 0; i < HISTOGRAM_COUNT; i++) {
		seen += h->buckets[i];
		if (seen > wanted || (seen == h->count && seen > 0))
			return bucket_middle(i);
	}
	return 0;
}
