/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file results.h
 * What bench/queue measured, and the four forms in which it tells it.
 *
 * Threads:  one.   Errors: 0 or -errno.
 */
#ifndef BENCH_QUEUE_RESULTS_H
#define BENCH_QUEUE_RESULTS_H

#include "bench/queue/load.h"

#define SERVER_COUNT_MAX 8
#define LOAD_COUNT_MAX   16
#define ROUND_COUNT_MAX  64

struct measured {
	double per_s;
	double p50_us, p90_us, p99_us, p999_us, max_us; /* 0: too few samples above it */
	double lag_us;                                  /* p99 */
	double unsent;
};

struct results {
	struct load_server servers[SERVER_COUNT_MAX];
	uint32_t server_count, against; /* index of the server that the others are compared with */
	struct load_plan plans[LOAD_COUNT_MAX];
	char plan_names[LOAD_COUNT_MAX][48];
	uint32_t plan_count, round_count;
	struct measured measured[LOAD_COUNT_MAX][SERVER_COUNT_MAX][ROUND_COUNT_MAX];
};

/** Tables on standard output. */
void results_print(const struct results *r);

/** One object with all medians. */
int results_write_json(const struct results *r, const char *path);

/** The rows of a table for a page, with p99 and p99.9. */
int results_write_markdown(const struct results *r, const char *path);

/** Rates and latencies, one above the other, as an SVG, by gnuplot. @retval -ENOENT  there is no
 * gnuplot */
int results_plot(const struct results *r, const char *path);

#endif
