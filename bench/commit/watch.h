/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file watch.h
 * What a node says of itself at [metrics] listen: counters, and the stages of a commit. Read before
 * and after a measurement, over the same HTTP as Prometheus does it.
 *
 * Errors:   0 or -errno.
 */
#ifndef BENCH_COMMIT_WATCH_H
#define BENCH_COMMIT_WATCH_H

#include <stdint.h>

#define WATCH_BOUND_COUNT_MAX 64

/* One stage: a histogram as Prometheus has it, summed over the shards. */
struct watch_stage {
	uint32_t bound_count;
	double bounds_us[WATCH_BOUND_COUNT_MAX]; /* the last is infinite */
	double below[WATCH_BOUND_COUNT_MAX];     /* counts up to each bound */
	double sum_us, count;
};

enum watch_stage_kind {
	WATCH_RX = 0,
	WATCH_DECODE,
	WATCH_STEP,
	WATCH_SUBMIT,
	WATCH_DURABLE,
	WATCH_CHOSEN,
	WATCH_APPLY,
	WATCH_TX,
	WATCH_STAGE_COUNT,
};

struct watch {
	struct watch_stage stages[WATCH_STAGE_COUNT];
	double frames_sent, slots, commands, log_bytes;
	char idle[16]; /* how shards wait: "spin", "yield", "sleep" */
};

/** As in the label `stage`. */
const char *watch_stage_word(enum watch_stage_kind kind);

/** @param port  of 127.0.0.1 */
int watch_read(uint16_t port, struct watch *ret_watch);

/** What was counted between the two. */
void watch_between(const struct watch *before, const struct watch *after, struct watch *ret_watch);

/** @return a bound that this share does not exceed, in us, at most a half above the truth; NAN if
 * fewer than ten are above it, or it is beyond the last bound */
double watch_quantile_us(const struct watch_stage *stage, double share);

/** @return NAN if nothing was counted */
double watch_mean_us(const struct watch_stage *stage);

#endif
