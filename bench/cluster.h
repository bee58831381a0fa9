/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cluster.h
 * Files of a throw-away cluster on this host: configurations and formatted data directories.
 */
#ifndef BENCH_CLUSTER_H
#define BENCH_CLUSTER_H

#include "decree/types.h"

struct bench_cluster {
	char folder[256]; /* mkdtemp() template; then the folder that all files are in */
	uint32_t node_count;
	const char *mode; /* durable, buffered, memory */
	uint64_t log_bytes;
};

/** Make the folder and one configuration per node (node-1.ini, ...), joined by memif.
 * @return 0 or -errno, with @p ret_error [DECREE_ERROR_BYTES] */
int bench_cluster_create(struct bench_cluster *c, char *ret_error);

/** Fresh, empty logs for every node. */
int bench_cluster_format(const struct bench_cluster *c, char *ret_error);

void bench_cluster_remove(const struct bench_cluster *c);

/** @param ret_path  [512] */
void bench_cluster_config(const struct bench_cluster *c, uint32_t node_id, char *ret_path);

#endif
