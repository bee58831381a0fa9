/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plan.h
 * What is measured: a shape of a cluster, and a load on it. A sweep is every shape with every load.
 */
#ifndef BENCH_COMMIT_PLAN_H
#define BENCH_COMMIT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_NODE_COUNT_MAX    5
#define PLAN_SHARD_COUNT_MAX   16
#define PLAN_LIST_COUNT_MAX    16
#define PLAN_POINT_COUNT_MAX   256
#define PLAN_ROUND_COUNT_MAX   64
#define PLAN_SETTING_COUNT_MAX 16
#define PLAN_IN_FLIGHT_MAX     16384
#define PLAN_BYTES_MAX         65536
#define PLAN_MTU_MIN           1500
#define PLAN_MTU_MAX           9000

enum plan_mode {
	PLAN_DURABLE = 0,
	PLAN_BUFFERED,
	PLAN_MEMORY,
};

enum plan_transport {
	PLAN_MEMIF = 0,
	PLAN_AF_PACKET,
	PLAN_AF_XDP,
};

/* A cluster; for a change of it all nodes start anew. */
struct plan_shape {
	uint32_t node_count;
	uint32_t shard_count; /* each with one group */
	enum plan_mode mode;
	enum plan_transport joined_by;
	uint32_t mtu; /* slots are as large as it allows; 0: not said */
	bool has_auth;
	bool has_snapshots; /* one is always being written */
	bool is_load_inside; /* in the shards' own turns; else a thread of the leader's process has the load */
	bool is_load_apart; /* neither: a client in a process of its own */
	/* Another one than decree in processes that memif joins; NULL: that. */
	const char *system, *version, *transport;
	const char *started; /* how it was, in words */
};

/* A load; one after the other on the same cluster. */
struct plan_load {
	/* An open loop: commands are due at a fixed rate, whether there are answers or not, and a
	 * latency begins when its command was due. 0: a closed loop, the next command follows an
	 * answer, so that a slow cluster is asked less. */
	uint32_t rate;
	uint32_t in_flight; /* at most so many without an answer, over all shards */
	uint32_t bytes;
};

struct plan_point {
	struct plan_shape shape;
	struct plan_load load;
};

struct plan {
	struct plan_point points[PLAN_POINT_COUNT_MAX]; /* those of one shape stand together */
	uint32_t point_count;
	uint32_t round_count;
	double seconds;   /* of a measurement */
	double warm_up_s; /* of the same load, before each */
	double settle_s;  /* before the first load on a new cluster: logs are pre-written */
	uint64_t log_bytes;
	uint64_t state_bytes; /* of the state machine */
	const char *dir;
	/* the configuration of a node of a cluster that is not of this program; NULL: none */
	const char *config;
	char joined_by[512]; /* of that cluster: its ports, in words */
	const char *settings[PLAN_SETTING_COUNT_MAX];
	uint32_t setting_count;
	uint16_t cpus[PLAN_NODE_COUNT_MAX * PLAN_SHARD_COUNT_MAX]; /* the shards', node by node */
	uint32_t cpu_count;                                        /* 0: any */
	bool is_not_prewritten; /* the space of logs: what is written first is noted by the file system */
	/* of a client that is another process, with more in flight than one; 0: there is none */
	uint32_t connection_count;
	char *const *words; /* [word_count] of the command line */
	uint32_t word_count;
	bool has_floor;
	bool does_kill; /* the leader, in the middle of each measurement */
	bool is_verbose;
};

static inline const char *
plan_mode_word(enum plan_mode mode)
{
	static const char *const words[] = { "durable", "buffered", "memory" };

	return words[mode];
}

static inline const char *
plan_transport_word(enum plan_transport transport)
{
	static const char *const words[] = { "memif", "af_packet", "af_xdp" };

	return words[transport];
}

static inline bool
plan_is_same_shape(const struct plan_shape *a, const struct plan_shape *b)
{
	return a->node_count == b->node_count && a->shard_count == b->shard_count &&
	       a->mode == b->mode && a->joined_by == b->joined_by && a->mtu == b->mtu &&
	       a->has_auth == b->has_auth && a->has_snapshots == b->has_snapshots &&
	       a->is_load_inside == b->is_load_inside && a->system == b->system;
}

#endif
