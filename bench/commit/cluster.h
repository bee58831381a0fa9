/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cluster.h
 * Files of a throw-away cluster on this host: configurations and formatted data directories.
 */
#ifndef BENCH_COMMIT_CLUSTER_H
#define BENCH_COMMIT_CLUSTER_H

#include "bench/commit/plan.h"
#include "decree/types.h"

struct bench_cluster {
	char folder[256]; /* mkdtemp() template; then the folder that all files are in */
	struct plan_shape shape;
	uint64_t log_bytes; /* of a shard */
	uint32_t in_flight; /* that a session has to take */
	bool is_not_prewritten;
	const char *const *settings; /* [setting_count] "section.key=value" of all nodes */
	uint32_t setting_count;
	bool has_clients; /* node N has the interface nN as well, and clients have a key */
	uint16_t metrics_ports[PLAN_NODE_COUNT_MAX];               /* of 127.0.0.1 */
	uint16_t cpus[PLAN_NODE_COUNT_MAX * PLAN_SHARD_COUNT_MAX]; /* the shards', node by node */
	uint32_t cpu_count;                                        /* 0: any */
};

/** Make the folder. @return 0 or -errno, with @p ret_error [DECREE_ERROR_BYTES] */
int bench_cluster_create(struct bench_cluster *c, char *ret_error);

/** One configuration per node (node-1.ini, ...), joined as the shape says, and fresh, empty logs. */
int bench_cluster_format(struct bench_cluster *c, char *ret_error);

void bench_cluster_remove(const struct bench_cluster *c);

/** @param ret_path  [512] */
void bench_cluster_config(const struct bench_cluster *c, uint32_t node_id, char *ret_path);

#endif
