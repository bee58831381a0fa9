/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file board.h
 * What the program and its nodes' processes share: orders one way, what they led to the other way.
 *
 * Threads:  an order is written by the program and then counted up; who sees the count sees the
 *           order. A node answers by writing its part and then the number of the order. Nobody
 *           waits for the other in a measurement.
 * Units:    nanoseconds of CLOCK_MONOTONIC, which all processes of a host share.
 */
#ifndef BENCH_COMMIT_BOARD_H
#define BENCH_COMMIT_BOARD_H

#include "apps/histogram.h"
#include "bench/commit/plan.h"
#include "decree/types.h"

#include <stdatomic.h>

/* Nodes, and one that does nothing but load them. */
#define BOARD_PROCESS_COUNT_MAX (PLAN_NODE_COUNT_MAX + 1)

#define BOARD_SAMPLE_COUNT_MAX (1u << 22) /* untouched pages cost nothing */

/* One group under load; written by the process that loads it. */
struct board_group {
	struct histogram latency; /* until the completion */
	struct histogram lag;     /* open loop: from when a command was due until the node had it */
	uint64_t done_count;      /* completions between from_ns and until_ns */
	uint64_t unsent_count;    /* due, but too many had no answer */
	uint64_t unanswered_count; /* sent, and no answer until long after */
};

/* One command that was due while its leader was killed. */
struct board_sample {
	uint32_t due_us; /* since from_ns */
	uint32_t latency_us;
};

struct board_node {
	_Atomic uint32_t leads; /* bit per group: this node leads it, and takes commands */
	_Atomic uint32_t order; /* the last one that is done */
	_Atomic uint32_t snapshot_count;
	_Atomic uint64_t memory_bytes;
	_Atomic bool has_failed;
	char error[DECREE_ERROR_BYTES]; /* before has_failed */
};

struct board {
	/* The order: written by the program before `order` is counted up. */
	struct plan_load load;
	uint64_t from_ns, until_ns;            /* the load runs before this already, to warm up */
	uint32_t owners[PLAN_SHARD_COUNT_MAX]; /* index of the node that loads a group */
	bool are_samples_wanted;
	_Atomic uint32_t order;
	_Atomic bool is_electing; /* nodes say what they lead */
	_Atomic bool is_over;

	struct board_node nodes[BOARD_PROCESS_COUNT_MAX];
	struct board_group groups[PLAN_SHARD_COUNT_MAX];
	uint32_t sample_count;
	struct board_sample samples[BOARD_SAMPLE_COUNT_MAX];
};

#endif
