/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * The process of one node: it serves, says what it leads, and loads the groups that the board gives
 * it.
 */
#ifndef BENCH_COMMIT_NODE_H
#define BENCH_COMMIT_NODE_H

#include "bench/commit/board.h"

struct node_task {
	struct board *board;
	uint32_t index;     /* of this node on the board */
	const char *config; /* its configuration */
	const char *const *settings;
	uint32_t setting_count;
	uint32_t group_count;
	uint64_t state_bytes;
	const uint16_t *cpus; /* [cpu_count] of all shards of all nodes: the load keeps off them */
	uint32_t cpu_count;
	bool is_load_inside; /* in the shards' own turns */
	bool is_verbose;
};

/** Until the board is over. Exits with status 0, or with 1 and a word on the board. */
_Noreturn void node_run(const struct node_task *task);

#endif
