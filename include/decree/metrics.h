/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file metrics.h
 * What a node counts and measures: one table, from which Prometheus, DPDK's telemetry and `decree
 * top` take names, units and explanations.
 *
 * Threads:  any; the table is constant.
 * Units:    values are whole numbers. DECREE_UNIT_SECONDS is kept in nanoseconds, and shown in
 *           seconds.
 * Memory:   nothing is taken.
 */
#ifndef DECREE_METRICS_H
#define DECREE_METRICS_H

#include "decree/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum decree_metric_kind {
	DECREE_COUNTER = 1,   /* never falls while the process lives */
	DECREE_GAUGE = 2,     /* what is now */
	DECREE_HISTOGRAM = 3, /* its value here is how many were counted */
};

enum decree_metric_unit {
	DECREE_UNIT_NONE = 0,
	DECREE_UNIT_BYTES = 1,
	DECREE_UNIT_SECONDS = 2, /* the value is in nanoseconds; UINT64_MAX: never */
};

/* Of what there is one. A node has shards, a shard has groups, a group has peers. */
enum decree_metric_scope {
	DECREE_OF_NODE = 1,
	DECREE_OF_SHARD = 2,
	DECREE_OF_GROUP = 3,
	DECREE_OF_PEER = 4,
};

struct decree_metric {
	const char *name;   /* as Prometheus wants it: unit and _total at its end */
	const char *labels; /* "" or more of them: reason="tag" */
	enum decree_metric_kind kind;
	enum decree_metric_unit unit;
	enum decree_metric_scope scope;
	const char *help; /* a sentence; rows of one name have one */
};

#define DECREE_METRIC_COUNT_MAX      160
#define DECREE_PEER_METRIC_COUNT_MAX 8

/* In place of a value that an older node does not know of, or that had no place in its frame. */
#define DECREE_METRIC_ABSENT (UINT64_MAX - 1)

/** A row that a later version has added stands behind those that there were, also if its name was
 * there; those of DECREE_OF_PEER come last. @return NULL: no more */
DECREE_API
const struct decree_metric *decree_metric_at(uint32_t index);

/** What one node says of one of its groups, the shard that owns it, and itself. */
struct decree_metrics {
	uint16_t node_id;
	uint16_t group;
	uint32_t value_count; /* as many as are known here: a newer node may have more */
	uint64_t values[DECREE_METRIC_COUNT_MAX]; /* by decree_metric_at()'s index */
	uint32_t peer_count;
	struct decree_peer_metrics {
		uint16_t node_id;
		/* by the order of the rows OF_PEER */
		uint64_t values[DECREE_PEER_METRIC_COUNT_MAX];
	} peers[DECREE_NODE_COUNT_MAX];
};

#ifdef __cplusplus
}
#endif

#endif
