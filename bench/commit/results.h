/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file results.h
 * What was measured: numbers of every point of a sweep in every round, the floors of the same
 * round, and their ratios.
 *
 * Units:  as in a number's name; what is not known, or has too few samples, is NAN.
 */
#ifndef BENCH_COMMIT_RESULTS_H
#define BENCH_COMMIT_RESULTS_H

#include "apps/histogram.h"
#include "bench/commit/header.h"
#include "bench/commit/plan.h"
#include "bench/commit/run.h"

#define RESULTS_FLOOR_COUNT_MAX 32
#define RESULTS_BIN_NS          UINT64_C(10000000)

/* X(name, key in JSON). Those of one kind stand in one order: RATIO_ is FLOOR_ is P50 .. P999. */
#define NUMBER_TABLE(X)                                                                            \
	X(RATE, "commits_per_s")                                                                   \
	X(MIN, "min_us")                                                                           \
	X(MEAN, "mean_us")                                                                         \
	X(STDEV, "stdev_us")                                                                       \
	X(P50, "p50_us")                                                                           \
	X(P90, "p90_us")                                                                           \
	X(P99, "p99_us")                                                                           \
	X(P999, "p999_us")                                                                         \
	X(P9999, "p9999_us")                                                                       \
	X(MAX, "max_us")                                                                           \
	X(LAG_P99, "lag_p99_us")                                                                   \
	X(LAG_MAX, "lag_max_us")                                                                   \
	X(UNSENT, "unsent")                                                                        \
	X(UNANSWERED, "unanswered")                                                                \
	X(CPU, "cpu_us_per_commit")                                                                \
	X(SERVER_CPU, "server_cpu_us_per_commit")                                                  \
	X(WRITES, "device_writes_per_commit")                                                      \
	X(FLUSHES, "device_flushes_per_commit")                                                    \
	X(DEVICE_BYTES, "device_bytes_per_commit")                                                 \
	X(LOG_BYTES, "leader_log_bytes_per_commit")                                                \
	X(FRAMES, "leader_frames_per_commit")                                                      \
	X(BATCH, "commands_per_slot")                                                              \
	X(LEADERS, "leaders")                                                                      \
	X(MEMORY, "leader_memory_mib")                                                             \
	X(SNAPSHOTS, "snapshots")                                                                  \
	X(OTHERS, "others_cpu_percent")                                                            \
	X(STOLEN, "stolen_cpu_percent")                                                            \
	X(FLOOR_P50, "floor_p50_us")                                                               \
	X(FLOOR_P90, "floor_p90_us")                                                               \
	X(FLOOR_P99, "floor_p99_us")                                                               \
	X(FLOOR_P999, "floor_p999_us")                                                             \
	X(RATIO_P50, "p50_over_floor")                                                             \
	X(RATIO_P90, "p90_over_floor")                                                             \
	X(RATIO_P99, "p99_over_floor")                                                             \
	X(RATIO_P999, "p999_over_floor")

enum number {
#define X(name, key) NUMBER_##name,
	NUMBER_TABLE(X)
#undef X
	NUMBER_COUNT
};

struct numbers {
	double of[NUMBER_COUNT];
};

enum floor_kind {
	FLOOR_COMMIT = 0, /* without blocks: a majority's echo */
	FLOOR_APPEND,
	FLOOR_ROUND_TRIP,
	FLOOR_CLIENT, /* a commit or an echo, as a thread beside the leader's sees it */
};

struct result_floor {
	enum floor_kind kind;
	enum plan_transport joined_by;
	uint32_t node_count, block_bytes;            /* 0: nothing is written */
	struct numbers rounds[PLAN_ROUND_COUNT_MAX]; /* MIN .. MAX */
	struct histogram all;
};

/* A leader was killed in the middle. Moments are since the kill. */
struct result_kill {
	double gap_us;      /* from the last answer before the next one to that */
	double next_us;     /* the first answer behind the gap */
	uint32_t bin_count; /* of RESULTS_BIN_NS; the first begins at first_us */
	double first_us;
	struct result_bin {
		uint32_t due_count, done_count;
		double p50_us, max_us; /* of those that were due then */
	} * bins;
};

struct result_point {
	struct plan_point point;
	struct numbers rounds[PLAN_ROUND_COUNT_MAX];
	/* Means and quantiles of the stages, in the same order as enum watch_stage_kind. */
	struct result_stage {
		double mean_us, p50_us, p99_us;
	} stages[WATCH_STAGE_COUNT][PLAN_ROUND_COUNT_MAX];
	struct result_stage follower_stages[WATCH_STAGE_COUNT][PLAN_ROUND_COUNT_MAX];
	bool is_device_exact;
	bool is_retried[PLAN_ROUND_COUNT_MAX]; /* the system failed first, and was started anew */
	char idle[16];                         /* how the nodes waited; "": they do not say */
	struct histogram all;                  /* latencies of all rounds */
	struct result_kill kills[PLAN_ROUND_COUNT_MAX];
};

struct results {
	struct header header;
	const struct plan *plan;
	uint32_t round_count;        /* that were finished */
	struct result_point *points; /* [plan->point_count] */
	struct result_floor floors[RESULTS_FLOOR_COUNT_MAX];
	uint32_t floor_count;
};

/** @retval 0  @retval -ENOMEM */
int results_open(struct results *r, const struct plan *plan);
void results_close(struct results *r);

void results_add(struct results *r, uint32_t point, uint32_t round, const struct run_result *run);

/** A leader was killed in that round; what became of each command is on the board. @retval 0
 * @retval -ENOMEM */
int results_add_kill(struct results *r, uint32_t point, uint32_t round, const struct board *board,
	uint64_t killed_ns);

/** Where a floor's figures go. @return NULL: there are too many */
struct result_floor *results_floor(struct results *r, enum floor_kind kind,
	enum plan_transport joined_by, uint32_t node_count, uint32_t block_bytes);
void results_add_floor(struct result_floor *f, uint32_t round, const struct histogram *times,
	const struct host_share *host);

/** What joins the nodes, in a word. */
/** Whether what a log of this shape answered survives a power cut. */
bool results_is_durable(const struct results *r, const struct plan_shape *shape);
const char *results_transport(const struct results *r, const struct plan_shape *shape);

/** A block that this point's floor writes; 0: none. */
uint32_t results_block_bytes(const struct plan_point *p);

/** What this point is compared with: of what writes nothing the echo to a client, where a thread is
 * one. */
enum floor_kind results_floor_kind(const struct plan_shape *s);

/** All floors of a round are there: ratios. */
void results_compare(struct results *r, uint32_t round);

const char *number_key(enum number n);

/** Over the rounds that are finished. @return NAN if it is so in one of them */
double results_median(const struct results *r, const struct numbers *rounds, enum number n);
double results_min(const struct results *r, const struct numbers *rounds, enum number n);
double results_max(const struct results *r, const struct numbers *rounds, enum number n);

/** Whether others, programs or guests, took so much of the CPUs in that round that a figure tells of
 * them, too. */
bool results_is_disturbed(const struct numbers *round);

/** Whether there was no other command under way, or in an open loop less than one on average. */
bool results_is_one_in_flight(const struct plan_load *load, double mean_us);

/** What they took, as the end of a line; nothing if it is not known. */
void results_print_others(const struct numbers *round);

/** Median of [count] values, which get another order; NAN if one of them is. */
double results_median_of(double *values, uint32_t count);

/** A percentile of a histogram in us; NAN if fewer than ten samples are above it. */
double results_percentile_us(const struct histogram *h, double percent);

const char *floor_word(const struct result_floor *f);

/** Text. */
void report_header(const struct results *r);
void report_round(const struct results *r, uint32_t round);
void report_print(const struct results *r);
void report_floors(const struct results *r);
void report_stages(const struct results *r, const struct result_point *p);
/** With one decimal below 100; "-" for NAN. */
void report_us(double us, int width);

/** Files. @retval 0  @return -errno */
int results_write_json(const struct results *r, const char *path);

/** One file for each point; with several points the number of each is in its name. */
int results_write_hgrm(const struct results *r, const char *path);

#endif
