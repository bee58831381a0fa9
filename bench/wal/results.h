/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file results.h
 * What bench/wal measured, and the three forms in which it tells it.
 *
 * Threads:  one.   Errors: 0 or -errno.
 */
#ifndef BENCH_WAL_RESULTS_H
#define BENCH_WAL_RESULTS_H

#include "bench/wal/way.h"
#include "wal/device.h"

#define SIZE_COUNT_MAX  16
#define ROUND_COUNT_MAX 64
#define ROW_COUNT_MAX   20

/* A way in one of the two tables. */
struct row {
	const char *name;
	const char *about;
	const struct way *way;
	bool is_single;    /* table of latencies; else of throughput */
	uint32_t depth;    /* appends in flight; 0: as many as --depth says */
	bool is_log_sized; /* appends are as large as the log's mean write was in this round */
};

struct measured {
	struct way_sample sample;
	double device_writes; /* per append, by the kernel's count, of all processes; < 0: unknown */
	double device_flushes;
	double device_bytes; /* written while this was measured, a log's identifiers as well; < 0: unknown */
};

struct results {
	const char *folder;
	struct wal_device device;
	double seconds;
	uint32_t depth;
	uint32_t round_count;
	uint32_t size_count;
	uint32_t sizes[SIZE_COUNT_MAX];
	uint32_t row_count;
	struct row rows[ROW_COUNT_MAX];
	struct measured measured[ROW_COUNT_MAX][SIZE_COUNT_MAX][ROUND_COUNT_MAX];
};

/** One number of a measurement. */
typedef double (*results_number)(const struct measured *m);

double number_p50(const struct measured *m);
double number_p99(const struct measured *m);
double number_p999(const struct measured *m);
double number_max(const struct measured *m);
double number_appends_per_s(const struct measured *m);
double number_written_per_s(const struct measured *m); /* bytes */
double number_write_bytes(const struct measured *m);
double number_device_writes(const struct measured *m);
double number_device_flushes(const struct measured *m);
double number_device_per_s(const struct measured *m); /* bytes; < 0: unknown */

/** Median of the rounds; NAN if one of them has too few samples for it. */
double results_median(const struct results *r, uint32_t row, uint32_t size, results_number number);

/** Median of the ratios of each round. NAN as above. @return 0 if the other row was not measured */
double results_ratio(const struct results *r, uint32_t row, uint32_t other, uint32_t size,
	results_number number);

/** @return index of the row of that name in the same table, or row_count */
uint32_t results_row(const struct results *r, const char *name, bool is_single);

/** Tables on standard output. */
void results_print(const struct results *r);

/** One object with all medians. */
int results_write_json(const struct results *r, const char *path);

/** Latencies and throughput over the size as an SVG, by gnuplot. @retval -ENOENT  there is no
 * gnuplot */
int results_plot(const struct results *r, const char *path);

#endif
