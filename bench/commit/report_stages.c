/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of a commit goes: the stages that the nodes measure, one after the other, and what
 * they add up to beside the latency that the proposer sees.
 */
#include "bench/commit/results.h"

#include <math.h>
#include <stdio.h>

struct row {
	enum watch_stage_kind kind;
	uint32_t indent; /* of a part of the row above it, which is not added again */
	const char *about;
};

static const struct row leader_rows[] = {
	{ WATCH_RX, 0, "at most: since the loop looked before" },
	{ WATCH_STEP, 0, "the core, until the records are in the log's buffer" },
	{ WATCH_CHOSEN, 0, "from there until a quorum's disks have them" },
	{ WATCH_SUBMIT, 1, "from there until the kernel has the write; frames leave first" },
	{ WATCH_DURABLE, 1, "from there until the leader's own disk has them" },
	{ WATCH_DECODE, 1, "a burst of frames: authenticated, taken apart" },
	{ WATCH_APPLY, 0, "the state machine" },
	{ WATCH_TX, 0, "until the answers are handed over" },
};

static const struct row follower_rows[] = {
	{ WATCH_RX, 0, "at most: since the loop looked before" },
	{ WATCH_DECODE, 0, "a burst of frames: authenticated, taken apart" },
	{ WATCH_STEP, 0, "the core, until the records are in the log's buffer" },
	{ WATCH_DURABLE, 0, "from there until the follower's disk has them" },
	{ WATCH_SUBMIT, 1, "from there until the kernel has the write" },
	{ WATCH_TX, 0, "until the vote is handed to the port" },
};

#define ROW_COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* Mean of a stage in us: the rounds' median. NAN if it is that in one of them */
static double
stage_us(const struct results *r, const struct result_stage *rounds)
{
	double means[PLAN_ROUND_COUNT_MAX];

	for (uint32_t i = 0; i < r->round_count; i++)
		means[i] = rounds[i].mean_us;
	return results_median_of(means, r->round_count);
}

static void
print_row(const struct results *r, const struct row *row, const struct result_stage *rounds)
{
	double p50[PLAN_ROUND_COUNT_MAX], p99[PLAN_ROUND_COUNT_MAX];

	for (uint32_t i = 0; i < r->round_count; i++) {
		p50[i] = rounds[i].p50_us;
		p99[i] = rounds[i].p99_us;
	}
	printf("  %*s%-*s", (int)row->indent * 2, "", 17 - (int)row->indent * 2,
		watch_stage_word(row->kind));
	report_us(stage_us(r, rounds), 9);
	report_us(results_median_of(p50, r->round_count), 10);
	report_us(results_median_of(p99, r->round_count), 10);
	printf("   %*s%s\n", (int)row->indent * 2, "", row->about);
}

/* @return the sum of the means of the rows that are no part of others; NAN if there is none */
static double
print_rows(const struct results *r, const struct row *rows, size_t count,
	const struct result_stage (*stages)[PLAN_ROUND_COUNT_MAX])
{
	double sum = NAN;

	for (size_t i = 0; i < count; i++) {
		double mean = stage_us(r, stages[rows[i].kind]);

		print_row(r, &rows[i], stages[rows[i].kind]);
		if (rows[i].indent == 0 && !isnan(mean))
			sum = isnan(sum) ? mean : sum + mean;
	}
	return sum;
}

void
report_stages(const struct results *r, const struct result_point *p)
{
	double mean = results_median(r, p->rounds, NUMBER_MEAN), sum;
	/* Of a command that is alone each stage is passed once; with others, stages of a turn are
	 * those of many commands. */
	bool is_alone = results_is_one_in_flight(&p->point.load, mean);

	if (isnan(stage_us(r, p->stages[WATCH_STEP]))) {
		printf("\nStages: not told, since %s\n",
			results_median(r, p->rounds, NUMBER_LEADERS) == 1
				? "the nodes have not told them in each round"
				: "not one node led all groups");
		return;
	}
	printf("\nStages:               mean us  p50 up to  p99 up to   (bounds of the node's own "
	       "histograms)\n");
	sum = print_rows(r, leader_rows, ROW_COUNT(leader_rows), p->stages);
	if (!isnan(sum) && is_alone)
		printf("  stages add up to %.1f of %.1f us; the rest is the proposer's way to the "
		       "node and back\n",
			sum, mean);
	if (p->point.shape.node_count == 1)
		return;
	printf(" followers:\n");
	sum = print_rows(r, follower_rows, ROW_COUNT(follower_rows), p->follower_stages);
	if (!isnan(sum) && is_alone)
		printf("  followers' add up to %.1f of the leader's %.1f us between append and "
		       "chosen\n",
			sum, stage_us(r, p->stages[WATCH_CHOSEN]));
}
