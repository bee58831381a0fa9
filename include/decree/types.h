/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file types.h
 * The few types that every part of decree shares: identifiers, roles, limits.
 *
 * The two identifiers that are easiest to confuse, a slot and a ballot, are structs, so that mixing
 * them does not compile. Times are nanoseconds unless a name says otherwise; sizes are bytes.
 */
#ifndef DECREE_TYPES_H
#define DECREE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DECREE_API __attribute__((visibility("default")))

#define DECREE_NODE_COUNT_MAX  7  /* voters of one cluster */
#define DECREE_GROUP_COUNT_MAX 64 /* groups of one node */
#define DECREE_SHARD_COUNT_MAX 64 /* shards (pinned threads) of one node */
#define DECREE_UUID_BYTES      16
#define DECREE_ERROR_BYTES     512 /* room for one error message, terminator included */

#define DECREE_QUERY_BYTES_MAX  256  /* of one read's question */
#define DECREE_ANSWER_BYTES_MAX 1024 /* and of its answer: one frame holds either */

/** Position in the log of one group, from 1; 0 = none. */
struct decree_slot {
	uint64_t n;
};

/** round:48 | node:16, so that integer order is ballot order; 0 = none. */
struct decree_ballot {
	uint64_t n;
};

/** A client session: (slot, index) of the command that registered it, slot:48 | index:16; 0 = none. */
struct decree_session {
	uint64_t n;
};

/** One chosen command, executed exactly once. */
struct decree_command {
	struct decree_slot slot;
	uint32_t index; /* in its slot, from 0; (slot, index) grows strictly */
	struct decree_session session;
	uint64_t seq; /* in its session, from 1 without gaps */
	const void *body;
	uint32_t bytes;
};

/**
 * What a machine says of a command that it has executed. Both are kept for a command that is
 * repeated. It goes as an array, so it does not grow: what is to come takes the place of the
 * padding, which has a name so that initialisers zero it.
 */
struct decree_answer {
	uint64_t result;      /* the machine's own, e.g. an id */
	uint16_t status;      /* the machine's own; 0 should mean success */
	uint16_t reserved[3]; /* 0 */
};

/** 128-bit content digest (XXH3-128). It finds accidents, not attackers. */
struct decree_digest {
	uint64_t lo;
	uint64_t hi;
};

/** Identity of one formatted data directory, or of one client; random bytes. */
struct decree_uuid {
	uint8_t bytes[DECREE_UUID_BYTES];
};

enum decree_role {
	DECREE_FOLLOWER = 0,
	DECREE_CANDIDATE = 1,
	DECREE_LEADER = 2,
};

/** How much a read must have seen. */
enum decree_consistency {
	/* every command that was answered to anybody before the read began */
	DECREE_LINEARIZABLE = 0,
	DECREE_LEASE =
		1, /* the same, without a round trip while the asked node holds a lease; that is as
			     good as the clocks of all nodes ([cluster] lease_ms, max_drift_ppm) */
	DECREE_STALE = 2, /* whatever the asked node has applied, which may be long ago */
};

/** What an acknowledged command survives; each mode is named in every status and benchmark header. */
enum decree_log_mode {
	DECREE_LOG_DURABLE = 0,  /* power loss of every node */
	DECREE_LOG_BUFFERED = 1, /* process crashes, not a power cut */
	DECREE_LOG_MEMORY = 2,   /* nothing but the other nodes: for measuring */
};

/** How a shard waits for work. */
enum decree_idle {
	DECREE_IDLE_AUTO = 0,  /* spin if every shard has a CPU for itself, else sleep */
	DECREE_IDLE_SPIN = 1,  /* dedicated CPUs only */
	DECREE_IDLE_YIELD = 2, /* sched_yield() on every empty turn */
	/* the same for 1 ms after any work, then short sleeps: shared CPUs */
	DECREE_IDLE_SLEEP = 3,
};

#ifdef __cplusplus
}
#endif

#endif
