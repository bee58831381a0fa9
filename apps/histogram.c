/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/histogram.h"

#include <math.h>
#include <string.h>

#define SINGLE_COUNT      (2u * HISTOGRAM_PART_COUNT) /* values with a bucket each */
#define STEPS_PER_HALF    5
#define SAMPLES_ABOVE_MIN 10

void
histogram_reset(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

/* Above 2,047 the leading bit chooses the octave and the next ten the part. */
static uint32_t
value_to_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < SINGLE_COUNT)
		return (uint32_t)value;
	shift = 53 - (uint32_t)__builtin_clzll(value); /* leaves 11 bits: 1,024 .. 2,047 */
	return HISTOGRAM_PART_COUNT * shift + (uint32_t)(value >> shift);
}

static uint32_t
bucket_shift(uint32_t bucket)
{
	return bucket < SINGLE_COUNT ? 0 : bucket / HISTOGRAM_PART_COUNT - 1;
}

static uint64_t
bucket_low(uint32_t bucket)
{
	uint32_t shift = bucket_shift(bucket);

	return (uint64_t)(bucket - HISTOGRAM_PART_COUNT * shift) << shift;
}

static uint64_t
bucket_high(uint32_t bucket)
{
	return bucket_low(bucket) + (UINT64_C(1) << bucket_shift(bucket)) - 1;
}

/* Rounded up, as HdrHistogram does it: a bucket of one value has no middle but that. */
static double
bucket_middle(uint32_t bucket)
{
	return (double)(bucket_low(bucket) + (UINT64_C(1) << bucket_shift(bucket)) / 2);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	if (value > HISTOGRAM_VALUE_MAX)
		value = HISTOGRAM_VALUE_MAX;
	h->buckets[value_to_bucket(value)]++;
	h->count++;
	if (value > h->max)
		h->max = value;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
		to->buckets[i] += from->buckets[i];
	to->count += from->count;
	if (from->max > to->max)
		to->max = from->max;
}

uint64_t
histogram_at(const struct histogram *h, double percent)
{
	double rank = percent / 100 * (double)h->count;
	uint64_t seen = 0, wanted;

	/* 99.9 % of 1,000 may come out as 999.0000000000001: that is rank 999 and not 1,000. */
	rank = ceil(rank - (nextafter(rank, INFINITY) - rank));
	wanted = rank < 1 ? 1 : (uint64_t)rank;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
		seen += h->buckets[i];
		if (seen >= wanted)
			return percent > 0 ? bucket_high(i) : bucket_low(i);
	}
	return 0;
}

bool
histogram_has(const struct histogram *h, double percent)
{
	/* 0.01 % of 100,000 is ten, whatever the last bit of the product says. */
	return (double)h->count * (100 - percent) / 100 > SAMPLES_ABOVE_MIN - 1e-6;
}

double
histogram_mean(const struct histogram *h)
{
	double sum = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
		if (h->buckets[i] > 0)
			sum += bucket_middle(i) * (double)h->buckets[i];
	return h->count > 0 ? sum / (double)h->count : 0;
}

double
histogram_deviation(const struct histogram *h)
{
	double mean = histogram_mean(h), sum = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
		if (h->buckets[i] > 0)
			sum += (bucket_middle(i) - mean) * (bucket_middle(i) - mean) *
			       (double)h->buckets[i];
	return h->count > 0 ? sqrt(sum / (double)h->count) : 0;
}

/* Half of what is left to 100 % gets so many steps, then half of the rest: where a latency's tail
 * is, there are as many points as where its body is. */
static double
percent_after(double percent, uint32_t steps_per_half)
{
	double ticks = steps_per_half * exp2(floor(log2(100 / (100 - percent))) + 1);

	return percent + 100 / ticks;
}

bool
histogram_walk(const struct histogram *h, uint32_t steps_per_half, struct histogram_step *step)
{
	uint32_t i = step->bucket;
	uint64_t count = step->count;

	if (h->count == 0 || step->percent >= 100)
		return false;
	if (count == 0)
		count = h->buckets[0];
	if (step->count == h->count) {
		step->percent = 100; /* all were reached, at less than that */
		return true;
	}
	while (h->buckets[i] == 0 || 100 * (double)count / (double)h->count < step->percent_next)
		count += h->buckets[++i];
	step->bucket = i;
	step->count = count;
	step->value = bucket_high(i);
	step->percent = step->percent_next;
	step->percent_next = percent_after(step->percent, steps_per_half);
	return true;
}

/* To the twelfth digit, ties away from zero, as HdrHistogram's printing has it. */
static double
share_of(double percent)
{
	return round(percent / 100 * 1e12) / 1e12;
}

void
histogram_print(const struct histogram *h, double unit, FILE *to)
{
	struct histogram_step step = { 0 };

	fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	while (histogram_walk(h, STEPS_PER_HALF, &step)) {
		fprintf(to, "%12.3f %2.12f %10llu", (double)step.value / unit,
			share_of(step.percent), (unsigned long long)step.count);
		if (step.percent < 100)
			fprintf(to, " %14.2f", 1 / (1 - step.percent / 100));
		fprintf(to, "\n");
	}
	fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram_mean(h) / unit,
		histogram_deviation(h) / unit);
	fprintf(to, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max / unit,
		(unsigned long long)h->count);
	fprintf(to, "#[Buckets = %12d, SubBuckets     = %12d]\n", HISTOGRAM_OCTAVE_COUNT,
		2 * HISTOGRAM_PART_COUNT);
}
