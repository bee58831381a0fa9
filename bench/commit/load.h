/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file load.h
 * A load on one group, from the process that the node is in: from a thread of its own, or from the
 * shard's; or on whatever else takes commands and answers them.
 *
 * Threads:  the one that opened it.
 * Errors:   load_die() ends the process, after it has said why on the board.
 */
#ifndef BENCH_COMMIT_LOAD_H
#define BENCH_COMMIT_LOAD_H

#include "bench/commit/board.h"
#include "decree/node.h"

/* Where commands go. */
struct load_target {
	void *context;

	/** As decree_propose(): 0, or it cannot be taken now. */
	int (*propose)(void *context, const void *body, uint32_t bytes, void *cookie);

	/** As decree_poll(). */
	uint32_t (*poll)(void *context, struct decree_completion *ret_done, uint32_t count_max);

	/** Sleep until there may be an answer, or for so long. NULL: give way as wait_a_little()
	 * does. */
	void (*wait)(void *context, uint64_t timeout_ns);
};

struct load {
	struct board *board;
	struct board_node *node; /* where failures are told */
	struct load_target target;
	struct decree_node *own; /* NULL: commands go to no node of this process */
	uint16_t group, place;   /* this one's, among those of the whole cluster that are loaded */
	uint16_t group_count;

	/* Of the order under way. */
	uint64_t begun_ns,
		due_count; /* open loop: commands were due since then, so many were taken */
	uint32_t free_count, in_flight;
	uint64_t started_ns[PLAN_IN_FLIGHT_MAX]; /* when it was due, or sent in a closed loop */
	uint32_t free[PLAN_IN_FLIGHT_MAX];
};

/* Of one order, over all loads of one thread. */
struct load_pace {
	uint64_t now_ns, heard_ns; /* when there was an answer last, or nothing to wait for */
	bool is_waiting;           /* for an answer */
	bool is_due_soon;          /* a command: no time to sleep */
};

/* An order that is being carried out. */
struct load_pass {
	struct load *const *loads; /* [count] */
	uint32_t count;
	struct load_pace pace;
};

/** Let commands go to a node of this process. For another target it is written into the struct, and
 * nothing is opened. */
void load_open(struct load *l, struct decree_node *node);
void load_close(struct load *l);

/** Run the board's order on all of these in turn, until it is over and answered. A target that
 * sleeps itself is alone. */
void load_run(struct load *const *loads, uint32_t count);

/** The same step by step. */
void load_begin(struct load_pass *p, struct load *const *loads, uint32_t count);
/** @return whether there was anything to do */
bool load_turn(struct load_pass *p, bool *ret_is_over);
void load_end(struct load_pass *p);

/** Write what is wrong onto the board, and end the process. */
_Noreturn void load_die(struct board_node *node, const char *what);

#endif
