/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/report.h"

#include <math.h>
#include <stdio.h>

void
peer_report_measured(const struct results *r, uint32_t point, uint32_t round)
{
	const struct plan_point *p = &r->points[point].point;
	const double *of = r->points[point].rounds[round].of;

	printf("round %u: %-19s %5u bytes, %5u in flight: %9.0f commits/s, p50 %8.1f us", round + 1,
		p->shape.system, p->load.bytes, p->load.in_flight, of[NUMBER_RATE], of[NUMBER_P50]);
	results_print_others(&r->points[point].rounds[round]);
	printf("%s\n", r->points[point].is_retried[round] ? "; RETRIED" : "");
	(void)fflush(stdout);
}

/* -------------------------------------------------------------------- which points are compared */

/* Of one system and size: with one in flight, or the one of the others that has the highest rate.
 * @return NULL: none */
static const struct result_point *
find_point(const struct results *r, const struct peer_entry *e, uint32_t bytes, bool is_alone)
{
	const struct result_point *best = NULL;

	for (uint32_t i = e->first; i < e->after; i++) {
		const struct result_point *p = &r->points[i];

		if (p->point.load.bytes != bytes || (p->point.load.in_flight == 1) != is_alone)
			continue;
		if (best == NULL || results_median(r, p->rounds, NUMBER_RATE) >
					    results_median(r, best->rounds, NUMBER_RATE))
			best = p;
	}
	return best;
}

static const struct peer_entry *
find_decree(const struct peer_entry *entries, uint32_t count, bool is_embedded)
{
	for (uint32_t i = 0; i < count; i++)
		if (entries[i].peer == (is_embedded ? &peer_decree : &peer_decree_client))
			return &entries[i];
	return NULL;
}

/* How many times better decree is: the median of the rounds' ratios. */
static double
ratio(const struct results *r, const struct result_point *other, const struct result_point *decree,
	enum number n)
{
	double ratios[PLAN_ROUND_COUNT_MAX];

	if (decree == NULL)
		return NAN;
	for (uint32_t i = 0; i < r->round_count; i++) {
		double theirs = other->rounds[i].of[n], ours = decree->rounds[i].of[n];

		ratios[i] = n == NUMBER_RATE ? ours / theirs : theirs / ours;
	}
	return results_median_of(ratios, r->round_count);
}

/* ------------------------------------------------------------------------------ a table */

static void
print_number(double value, int width, int digits, const char *behind)
{
	if (isnan(value))
		printf("%*s%*s", width, "-", behind[0] != '\0' ? 2 : 0, "");
	else
		printf("%*.*f%s", width, digits, value, behind);
}

/* The rounds' median; or of all rounds together, where one has too few samples. */
static double
percentile_us(const struct results *r, const struct result_point *p, enum number n, double percent)
{
	double median = results_median(r, p->rounds, n);

	return isnan(median) ? results_percentile_us(&p->all, percent) : median;
}

static void
print_row(const struct results *r, const struct peer_entry *e, const struct result_point *p,
	const struct result_point *decree)
{
	bool is_alone = p->point.load.in_flight == 1;
	double cpu = results_median(r, p->rounds, NUMBER_CPU),
	       servers = results_median(r, p->rounds, NUMBER_SERVER_CPU);

	printf("%-19s %-8s %6u", e->peer->system, e->version, p->point.load.in_flight);
	print_number(results_median(r, p->rounds, NUMBER_RATE), 11, 0, "");
	print_number(percentile_us(r, p, NUMBER_P50, 50), 9, is_alone ? 1 : 0, "");
	print_number(percentile_us(r, p, NUMBER_P99, 99), 9, is_alone ? 1 : 0, "");
	print_number(percentile_us(r, p, NUMBER_P999, 99.9), 9, is_alone ? 1 : 0, "");
	print_number(ratio(r, p, decree, is_alone ? NUMBER_P50 : NUMBER_RATE), 9, 2, " x");
	print_number(results_median(r, p->rounds, NUMBER_RATIO_P50), 9, 2, "");
	print_number(isnan(servers) ? cpu : servers, 10, 1, "");
	print_number(isnan(servers) ? NAN : cpu - servers, 8, 1, "");
	print_number(results_median(r, p->rounds, NUMBER_WRITES), 8, 2, "");
	print_number(results_median(r, p->rounds, NUMBER_FLUSHES), 8, 2, "");
	printf("\n");
}

static void
print_table(const struct results *r, const struct peer_entry *entries, uint32_t count,
	uint32_t bytes, bool is_alone)
{
	printf("\n%s, %u bytes:\n", is_alone ? "One in flight" : "The most that each does", bytes);
	printf("system              version  in fl.  commits/s  p50[us]  p99[us]p99.9[us] %s "
	       "p50:floor  CPU[us]  client  writes flushes\n",
		is_alone ? "p50:decree" : "decree:its");
	for (uint32_t kind = 0; kind < 2; kind++) {
		const struct peer_entry *decree = find_decree(entries, count, kind == 0);
		const struct result_point *ours =
			decree == NULL ? NULL : find_point(r, decree, bytes, is_alone);
		bool is_begun = false;

		for (uint32_t i = 0; i < count; i++) {
			const struct result_point *p = find_point(r, &entries[i], bytes, is_alone);

			if (entries[i].peer->is_embedded != (kind == 0) || p == NULL)
				continue;
			if (!is_begun)
				printf("-- %s\n", kind == 0 ? "embedded: the load is inside the "
							      "process that leads"
							    : "by a client: another process, over "
							      "a network of this host");
			is_begun = true;
			print_row(r, &entries[i], p, ours);
		}
	}
}

void
peer_report_print(const struct results *r, const struct peer_entry *entries, uint32_t count,
	const uint32_t *sizes, uint32_t size_count)
{
	for (uint32_t i = 0; i < size_count; i++) {
		print_table(r, entries, count, sizes[i], true);
		print_table(r, entries, count, sizes[i], false);
	}
	for (uint32_t i = 0; i < r->floor_count; i++)
		printf("\n%s: three processes over memif that write %u bytes each, p50 %.1f us, "
		       "p99 %.1f us.\n",
			floor_word(&r->floors[i]), r->floors[i].block_bytes,
			results_median(r, r->floors[i].rounds, NUMBER_P50),
			results_median(r, r->floors[i].rounds, NUMBER_P99));
	printf("\nMedians of %u round%s, ratios of the rounds' ratios. CPU, writes and flushes are "
	       "for each commit: CPU of all servers, with the load where it\nis inside of one, and "
	       "of the client apart; writes and flushes of the device, by whoever uses it. The "
	       "most: of the numbers in flight that were\ntried, the one with the highest median "
	       "rate.\n",
		r->round_count, r->round_count == 1 ? "" : "s");
}
