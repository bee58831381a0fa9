/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file way.h
 * A way to append durably, for bench/wal to compare with the others: the log itself, or something
 * that does its work without it.
 *
 * Threads:  one. Ways are measured one after the other.
 * Errors:   0 or -errno; with a sentence where the header says so.
 */
#ifndef BENCH_WAL_WAY_H
#define BENCH_WAL_WAY_H

#include "decree/types.h"

#include <stdbool.h>
#include <stdint.h>

/* Where everything is written, and how large it is. */
struct way_place {
	const char *folder;
	const char *raw_path; /* a pre-written file that ways share */
	uint64_t raw_bytes;
	uint64_t log_bytes;
};

struct way_task {
	uint32_t bytes; /* of an append */
	/* 1: one append at a time; more: in flight, and only throughput is asked for */
	uint32_t depth;
	double seconds;
};

/* What one measurement gave. */
struct way_sample {
	uint64_t append_count;
	double seconds;
	double p50_us, p99_us, p999_us,
		max_us; /* of an append, if depth is 1; NAN: fewer than ten samples above it */
	double written_bytes; /* by its own count, padding and all */
	double write_bytes;   /* mean of its writes */
};

struct way {
	const char *name;

	/** @param ret_error  one sentence, also if the way is to be left out here: -ENOTSUP */
	int (*open)(
		const struct way_place *place, void **ret_self, char ret_error[DECREE_ERROR_BYTES]);

	int (*measure)(void *self, const struct way_task *task, struct way_sample *ret);

	/** NULL is accepted. */
	void (*close)(void *self);
};

extern const struct way way_log;        /* mode durable, as a node runs it */
extern const struct way way_log_one;    /* the same, never more than one write in flight */
extern const struct way way_log_two;    /* the same, two writes in flight whenever it can */
extern const struct way way_log_memory; /* mode memory */
extern const struct way way_raw;        /* io_uring, RWF_DSYNC */
extern const struct way way_sqpoll;
extern const struct way way_linked;
extern const struct way way_thread;    /* RWF_DSYNC by a thread of its own, which polls a ring */
extern const struct way way_fdatasync; /* write and fdatasync, a file that grows */
extern const struct way way_dsync;     /* O_DIRECT and O_DSYNC, a pre-written file, blocking */
extern const struct way way_fio;       /* the program fio with its io_uring engine */

/** One append after the other for task->seconds. @param append  0 or -errno
 * @param ret  written_bytes and write_bytes of a write of whole sectors for each append */
int way_measure_single(int (*append)(void *self, uint32_t bytes), void *self,
	const struct way_task *task, struct way_sample *ret);

/** What an append takes on a disk without a log: whole sectors. */
static inline uint32_t
way_sector_bytes(uint32_t bytes)
{
	return (bytes + 511) / 512 * 512;
}

#endif
