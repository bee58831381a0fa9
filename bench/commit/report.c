/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text, in layouts that people know: one load is reported as etcd's benchmark tool does it, a sweep
 * as perftest does, a row for each size. What is told of a round is a median over the rounds, with
 * the lowest and the highest of them.
 */
#include "bench/commit/results.h"
#include "bench/commit/settings.h"

#include <math.h>
#include <string.h>

#define BAR_WIDTH_MAX 40
#define BAR_COUNT     10

void
report_us(double us, int width)
{
	if (isnan(us))
		printf("%*s", width, "-");
	else
		printf("%*.*f", width, us < 100 ? 1 : 0, us);
}

static void
print_load(const struct plan_load *l)
{
	if (l->rate > 0)
		printf("open loop, %u commands/s due, at most %u in flight", l->rate, l->in_flight);
	else
		printf("CLOSED LOOP, %u in flight", l->in_flight);
	printf(", %u bytes each", l->bytes);
}

static void
print_shape(const struct results *r, const struct plan_shape *s)
{
	printf("%u node%s, %u shard%s, %s, auth %s, log %s%s", s->node_count,
		s->node_count == 1 ? "" : "s", s->shard_count, s->shard_count == 1 ? "" : "s",
		s->node_count == 1 ? "no network" : results_transport(r, s),
		s->has_auth ? "gmac" : "none", plan_mode_word(s->mode),
		results_is_durable(r, s) ? "" : ": NOT DURABLE");
	printf(", load %s", s->is_load_inside ? "inside the shards" : "of a thread");
	if (s->mtu > PLAN_MTU_MIN)
		printf(", MTU %u", s->mtu);
	if (s->has_snapshots)
		printf(", always writing a snapshot");
}

/* How the nodes waited is known once they have run. */
static void
print_idle(const struct result_point *p)
{
	if (p->idle[0] != '\0')
		printf(", idle %s", p->idle);
}

void
report_header(const struct results *r)
{
	const struct plan *p = r->plan;
	bool is_durable = true, has_bridge = false;

	header_print(&r->header, stdout);
	settings_print(p, stdout);
	for (uint32_t i = 0; i < p->point_count; i++) {
		is_durable &= p->points[i].shape.mode == PLAN_DURABLE;
		has_bridge |= p->points[i].shape.joined_by != PLAN_MEMIF;
	}
	printf("run         %u round%s of %g s for each load, after %g s of the same; %g s more on "
	       "a new cluster\n",
		p->round_count, p->round_count == 1 ? "" : "s", p->seconds, p->warm_up_s,
		p->settle_s);
	if (has_bridge)
		printf("transport   af_packet and af_xdp over veth pairs and a bridge, in a "
		       "network namespace of this program's own\n");
	if (header_is_in_memory(&r->header))
		printf("log         NOT DURABLE: on %s, which is memory; --dir names a disk\n",
			r->header.filesystem);
	else if (!is_durable)
		printf("log         NOT DURABLE where it is not `durable`: a power cut loses what "
		       "was answered\n");
	if (!header_is_release())
		printf("build       NOT A RELEASE BUILD: figures are worth nothing\n");
	printf("\n");
	(void)fflush(stdout);
}

/* ------------------------------------------------------------------------------ a round */

void
report_round(const struct results *r, uint32_t round)
{
	for (uint32_t i = 0; i < r->plan->point_count; i++) {
		const struct result_point *p = &r->points[i];
		const double *of = p->rounds[round].of;

		printf("round %u: ", round + 1);
		if (r->plan->point_count > 1)
			printf("#%u ", i + 1);
		printf("p50");
		report_us(of[NUMBER_P50], 7);
		printf(" us, p99");
		report_us(of[NUMBER_P99], 7);
		printf(", %.0f commits/s", of[NUMBER_RATE]);
		if (!isnan(of[NUMBER_RATIO_P50]))
			printf("; floor p50 %.1f: %.2f x", of[NUMBER_FLOOR_P50],
				of[NUMBER_RATIO_P50]);
		if (r->plan->does_kill)
			printf("; leader killed: %.1f ms without an answer",
				p->kills[round].gap_us / 1e3);
		results_print_others(&p->rounds[round]);
		printf("\n");
	}
	(void)fflush(stdout);
}

/* ------------------------------------------------------------------------------ one load */

static uint64_t
count_until(const struct histogram *h, double us)
{
	struct histogram_step step = { 0 };
	uint64_t count = 0;

	while (histogram_walk(h, 100, &step) && (double)step.value / 1e3 <= us)
		count = step.count;
	return count;
}

/* Evenly up to p99; the rest is one bar. */
static void
print_bars(const struct histogram *h)
{
	double low = (double)histogram_at(h, 0) / 1e3, high = (double)histogram_at(h, 99) / 1e3;
	uint64_t before = 0;

	printf("\nResponse time histogram:\n");
	for (uint32_t i = 0; i <= BAR_COUNT; i++) {
		double bound = i == BAR_COUNT ? (double)h->max / 1e3
					      : low + (high - low) * (i + 1) / BAR_COUNT;
		uint64_t until = i == BAR_COUNT ? h->count : count_until(h, bound);
		uint64_t width = h->count > 0 ? (until - before) * BAR_WIDTH_MAX * 2 / h->count : 0;

		printf("  ");
		report_us(bound, 9);
		printf(" us [%llu]\t|", (unsigned long long)(until - before));
		for (uint64_t k = 0; k < width && k < 2 * BAR_WIDTH_MAX; k++)
			printf("∎");
		printf("\n");
		before = until;
	}
}

static void
print_distribution(const struct results *r, const struct result_point *p)
{
	static const double percents[] = { 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99 };
	static const struct {
		double percent;
		enum number number, ratio; /* NUMBER_COUNT: no ratio */
	} rows[] = {
		{ 50, NUMBER_P50, NUMBER_RATIO_P50 },
		{ 90, NUMBER_P90, NUMBER_RATIO_P90 },
		{ 99, NUMBER_P99, NUMBER_RATIO_P99 },
		{ 99.9, NUMBER_P999, NUMBER_RATIO_P999 },
		{ 99.99, NUMBER_P9999, NUMBER_COUNT },
	};

	printf("\nLatency distribution:  (all rounds together; then median, lowest and highest of "
	       "the rounds, median of their ratios to the floor)\n");
	for (size_t i = 0, k = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		if (!histogram_has(&p->all, percents[i]))
			break;
		printf("  %5g%% in", percents[i]);
		report_us((double)histogram_at(&p->all, percents[i]) / 1e3, 9);
		printf(" us");
		while (k < 4 && rows[k].percent < percents[i])
			k++;
		if (rows[k].percent == percents[i] &&
			!isnan(results_median(r, p->rounds, rows[k].number))) {
			report_us(results_median(r, p->rounds, rows[k].number), 12);
			printf("  [");
			report_us(results_min(r, p->rounds, rows[k].number), 0);
			printf(" .. ");
			report_us(results_max(r, p->rounds, rows[k].number), 0);
			printf("]");
			if (rows[k].ratio != NUMBER_COUNT &&
				!isnan(results_median(r, p->rounds, rows[k].ratio)))
				printf("   %.2f x floor",
					results_median(r, p->rounds, rows[k].ratio));
		}
		printf("\n");
	}
}

static void
print_costs(const struct results *r, const struct result_point *p)
{
	/* Of a cluster on several hosts this one's share alone is seen. */
	bool is_here_alone = r->plan->config != NULL;
	const struct {
		enum number number;
		const char *about;
	} rows[] = {
		{ NUMBER_CPU, is_here_alone ? "us of CPU, of this host's node and the load"
					    : "us of CPU, of all nodes and the load" },
		{ NUMBER_WRITES,
			is_here_alone
				? "writes of this host's device, of its node and whoever else uses "
				  "it"
				: "writes of the device, of all nodes and whoever else uses it" },
		{ NUMBER_FLUSHES, "flushes of it" },
		{ NUMBER_DEVICE_BYTES, "bytes written to it" },
		{ NUMBER_LOG_BYTES, "bytes of the leader's log" },
		{ NUMBER_FRAMES, "frames that the leader sent" },
	};

	printf("\nPer commit:\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double value = results_median(r, p->rounds, rows[i].number);

		if (isnan(value))
			continue;
		printf("  %10.2f  %s%s\n", value,
			rows[i].number == NUMBER_WRITES && !p->is_device_exact ? "(at most) " : "",
			rows[i].about);
	}
	if (!isnan(results_median(r, p->rounds, NUMBER_BATCH)))
		printf("  %10.2f  commands in a slot\n",
			results_median(r, p->rounds, NUMBER_BATCH));
}

static void
print_one(const struct results *r, const struct result_point *p)
{
	const struct histogram *h = &p->all;

	print_shape(r, &p->point.shape);
	print_idle(p);
	printf("\n");
	print_load(&p->point.load);
	printf("\n\nSummary:\n");
	printf("  Total:        %.1f secs in %u rounds, %llu commits\n",
		r->plan->seconds * r->round_count, r->round_count, (unsigned long long)h->count);
	printf("  Slowest:      %.1f us\n", (double)h->max / 1e3);
	printf("  Fastest:      %.1f us\n", (double)histogram_at(h, 0) / 1e3);
	printf("  Average:      %.1f us\n", histogram_mean(h) / 1e3);
	printf("  Stddev:       %.1f us\n", histogram_deviation(h) / 1e3);
	printf("  Commits/sec:  %.1f  [%.1f .. %.1f]\n", results_median(r, p->rounds, NUMBER_RATE),
		results_min(r, p->rounds, NUMBER_RATE), results_max(r, p->rounds, NUMBER_RATE));
	if (p->point.load.rate > 0) {
		printf("  Sent late by: p99 ");
		report_us(results_median(r, p->rounds, NUMBER_LAG_P99), 0);
		printf(" us, at most ");
		report_us(results_max(r, p->rounds, NUMBER_LAG_MAX), 0);
		printf(" us; %.0f never sent (worst round)\n",
			results_max(r, p->rounds, NUMBER_UNSENT));
	}
	print_bars(h);
	print_distribution(r, p);
	if (!r->plan->does_kill)
		report_stages(r, p);
	print_costs(r, p);
}

/* ------------------------------------------------------------------------------ a sweep */

static void
print_rule(void)
{
	printf("-----------------------------------------------------------------------------------"
	       "---------------------------------------------------------------\n");
}

/* The percentile: the rounds' median, or of all rounds together where one has too few samples. */
static double
percentile_us(const struct results *r, const struct result_point *p, enum number n, double percent)
{
	double median = results_median(r, p->rounds, n);

	return isnan(median) ? results_percentile_us(&p->all, percent) : median;
}

static void
print_row(const struct results *r, const struct result_point *p, uint32_t index)
{
	double ratio50 = results_median(r, p->rounds, NUMBER_RATIO_P50);
	double ratio99 = results_median(r, p->rounds, NUMBER_RATIO_P99);
	double spread =
		results_max(r, p->rounds, NUMBER_P50) - results_min(r, p->rounds, NUMBER_P50);

	spread *= 100 / results_median(r, p->rounds, NUMBER_P50);
	printf("%3u %6u ", index + 1, p->point.load.bytes);
	if (p->point.load.rate > 0)
		printf("%9u/s", p->point.load.rate);
	else
		printf("     closed");
	printf(" %9u %11.0f", p->point.load.in_flight, results_median(r, p->rounds, NUMBER_RATE));
	report_us(results_median(r, p->rounds, NUMBER_MIN), 10);
	report_us(percentile_us(r, p, NUMBER_P50, 50), 10);
	report_us(percentile_us(r, p, NUMBER_P90, 90), 10);
	report_us(percentile_us(r, p, NUMBER_P99, 99), 10);
	report_us(percentile_us(r, p, NUMBER_P999, 99.9), 10);
	report_us(percentile_us(r, p, NUMBER_P9999, 99.99), 10);
	report_us(results_max(r, p->rounds, NUMBER_MAX), 10);
	printf(isnan(spread) ? "        -" : "   %5.0f%%", spread);
	printf(isnan(ratio50) ? "        -" : "   %6.2f", ratio50);
	printf(isnan(ratio99) ? "        -" : "   %6.2f", ratio99);
	if (p->point.load.rate > 0) {
		report_us(results_median(r, p->rounds, NUMBER_LAG_P99), 10);
		printf(" %8.0f", results_median(r, p->rounds, NUMBER_UNSENT));
	}
	printf("\n");
}

static void
print_sweep(const struct results *r)
{
	for (uint32_t i = 0; i < r->plan->point_count; i++) {
		const struct plan_shape *s = &r->points[i].point.shape;

		if (i == 0 || !plan_is_same_shape(s, &r->points[i - 1].point.shape)) {
			print_rule();
			printf(" ");
			print_shape(r, s);
			print_idle(&r->points[i]);
			printf("\n");
			print_rule();
			printf("  # #bytes        rate in-flight   commits/s t_min[us]   p50[us]   "
			       "p90[us]   p99[us] p99.9[us] p99.99[us] t_max[us]   spread "
			       "p50:floor p99:floor  lag p99   unsent\n");
		}
		print_row(r, &r->points[i], i);
	}
	print_rule();
	printf("Medians of %u round%s; spread: from the lowest p50 of a round to the highest, of "
	       "the median. A percentile that is\ntoo rare for one round is of all rounds "
	       "together. :floor are medians of the rounds' ratios, of loads with one command in "
	       "flight.\n",
		r->round_count, r->round_count == 1 ? "" : "s");
}

/* ------------------------------------------------------------------------------ all */

static void
print_kills(const struct results *r, const struct result_point *p)
{
	double gaps[PLAN_ROUND_COUNT_MAX], slowest[PLAN_ROUND_COUNT_MAX];

	for (uint32_t i = 0; i < r->round_count; i++) {
		gaps[i] = p->kills[i].gap_us / 1e3;
		slowest[i] = p->rounds[i].of[NUMBER_MAX] / 1e3;
	}
	printf("\nLeader killed %u time%s, load at a follower; every command was answered.\n",
		r->round_count, r->round_count == 1 ? "" : "s");
	printf("  without an answer: median %.1f ms", results_median_of(gaps, r->round_count));
	printf(", longest %.1f ms\n", gaps[r->round_count - 1]);
	printf("  slowest command:   median %.1f ms", results_median_of(slowest, r->round_count));
	printf(", longest %.1f ms\n", slowest[r->round_count - 1]);
}

static void
print_disturbed(const struct results *r, const struct numbers *rounds)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->round_count; i++)
		count += results_is_disturbed(&rounds[i]);
	if (count > 0)
		printf("  %u round%s DISTURBED", count, count == 1 ? "" : "s");
}

static const char *
count_word(const struct results *r, bool is_one)
{
	if (r->plan->config != NULL)
		return is_one ? "host, " : "hosts,";
	return is_one ? "process,  " : "processes,";
}

void
report_floors(const struct results *r)
{
	if (r->floor_count == 0) {
		printf("\nNo floor was measured.\n");
		return;
	}
	printf("\nFloors, measured in turns%s, us:  p50, p99 [lowest .. highest p50 of the "
	       "rounds]\n",
		r->plan->point_count > 0 ? " with the above" : "");
	for (uint32_t i = 0; i < r->floor_count; i++) {
		const struct result_floor *f = &r->floors[i];

		printf("  %-14s %u %s", floor_word(f), f->node_count,
			count_word(r, f->node_count == 1));
		if (f->joined_by != PLAN_MEMIF)
			printf(" %s,", plan_transport_word(f->joined_by));
		if (f->block_bytes > 0)
			printf(" blocks of %6u:", f->block_bytes);
		else
			printf(" nothing written:");
		report_us(results_median(r, f->rounds, NUMBER_P50), 9);
		report_us(results_median(r, f->rounds, NUMBER_P99), 9);
		printf("  [");
		report_us(results_min(r, f->rounds, NUMBER_P50), 0);
		printf(" .. ");
		report_us(results_max(r, f->rounds, NUMBER_P50), 0);
		printf("]");
		print_disturbed(r, f->rounds);
		printf("\n");
	}
	printf("floor: a leader and its followers exchange a frame, write a block durably and "
	       "answer; complete on a majority. to client: the same for a thread beside the "
	       "leader's,\nwhich is what a load of such a thread is compared with.\n");
	if (r->plan->config != NULL)
		printf("append: each host's own writes, while the others write. round trip, "
		       "majority echo: frames alone.\n");
	else
		printf("append: as many writers that wait for nobody. round trip, majority echo: "
		       "frames alone. Over memif, if nothing else is said.\n");
}

void
report_print(const struct results *r)
{
	printf("\n");
	if (r->plan->point_count == 1)
		print_one(r, &r->points[0]);
	else
		print_sweep(r);
	for (uint32_t i = 0; r->plan->does_kill && i < r->plan->point_count; i++)
		print_kills(r, &r->points[i]);
	report_floors(r);
}
