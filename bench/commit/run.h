/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file run.h
 * A cluster of processes on this host, and measurements on it.
 *
 * Threads:  one.
 * Errors:   0 or -errno; what was wrong is on standard error.
 */
#ifndef BENCH_COMMIT_RUN_H
#define BENCH_COMMIT_RUN_H

#include "bench/commit/board.h"
#include "bench/commit/cluster.h"
#include "bench/commit/watch.h"
#include "bench/counters.h"
#include "bench/host.h"

#include <sys/types.h>

struct run {
	const struct plan *plan;
	struct bench_cluster cluster;
	struct board *board;
	struct counter_source device;
	bool has_device;
	uint32_t node_count, group_count;
	/* the nodes; and behind them one that loads them, where they do not do it themselves */
	uint32_t process_count;
	pid_t pids[BOARD_PROCESS_COUNT_MAX];         /* 0: it does not run */
	uint16_t metrics_ports[PLAN_NODE_COUNT_MAX]; /* 0: none */
	bool is_fresh;                               /* nothing was measured on this cluster yet */
	/* NULL, or called at the begin and at the end of what is measured. */
	void (*on_moment)(void *context, bool is_end);
	void *context;
};

/* One measurement. Latencies, and what else nodes say of a load, are on the board until the next
 * one. */
struct run_result {
	struct histogram latency, lag;
	uint64_t done_count, unsent_count, unanswered_count;
	double seconds;
	double cpu_us;          /* of all processes, the load's threads as well */
	double load_cpu_us;     /* of the process that does nothing but load; 0: there is none */
	struct host_share host; /* what else took CPU */
	bool is_device_counted, is_device_exact;
	struct counters device;
	uint32_t leader_count;          /* nodes that lead a group, or several */
	bool is_watched;                /* and one node leads them all */
	struct watch leader, followers; /* of the others, summed up */
	char idle[16];                  /* how shards wait; "": they do not say */
	uint64_t memory_bytes;          /* of the leader */
	uint32_t snapshot_count;
	uint64_t killed_ns; /* since the measurement began; 0: nobody was */
};

/** Take memory and a folder. */
int run_open(struct run *r, const struct plan *plan);

/** End what runs, and remove the folder. NULL is fine. */
void run_close(struct run *r);

/** Start a new cluster of this shape, and wait until all of its groups are led. */
int run_start(struct run *r, const struct plan_shape *shape);

/** The same without to wait; and wait. Between the two, a process may come that loads the nodes: see
 * run_fork(). */
int run_start_nodes(struct run *r, const struct plan_shape *shape);
int run_await(struct run *r);

/** Forget the last cluster, for one of another system: processes of run_fork(), the nodes first, and
 * then run_await(). */
void run_begin(struct run *r, uint32_t node_count);

/* What a process does. It tells on its place of the board that it leads, and carries out orders, as
 * node.c does; or it becomes somebody else's program, which knows of no board and is ended by
 * run_end(). */
typedef void run_body(void *context, struct board *board, uint32_t index);

/** One more process. It ends with this one. */
int run_fork(struct run *r, run_body *body, void *context);

/** Kill what runs. */
void run_end(struct run *r);

/** Start the one node of the plan's configuration, and wait until it leads all groups, for ever.
 * @retval -EINTR  somebody has interrupted; the node runs until run_stop() */
int run_join(struct run *r);

/** Go on serving until somebody interrupts. */
int run_serve(struct run *r);

/** One load. @param kill  the leader, in the middle; then a follower has the load, and nothing more
 * can be measured */
int run_measure(struct run *r, const struct plan_load *load, bool kill, struct run_result *ret);

/** Stop all nodes. @retval -EIO  one of them failed */
int run_stop(struct run *r);

#endif
