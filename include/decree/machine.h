/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file machine.h
 * What a state machine has to offer, and what it may use.
 *
 * The same slots reach every node in the same order, and so do these calls. Everything that a
 * machine does must follow from its arguments: no clock, no random number, no pointer order, no
 * floating point.
 *
 * Threads:  all calls come from the shard that owns the group, one at a time. They run between two
 *           network bursts: keep them short, and hand long work to a thread of your own.
 * Memory:   commands are lent for the call.
 * Units:    nanoseconds of cluster time, which stands still while no leader stamps it.
 */
#ifndef DECREE_MACHINE_H
#define DECREE_MACHINE_H

#include "decree/types.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where answers go; valid during apply() only. */
struct decree_sink;

/**
 * Answer a command of this burst, or one of an earlier burst that was left unanswered (a parked
 * one). Each command is answered once; until then whoever waits for it waits.
 *
 * @param status  0 .. 65535, the machine's own; 0 should mean success
 * @param result  the machine's own, e.g. an id. Both are kept for repeated commands
 */
DECREE_API
void decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result);

/**
 * Answer commands of this burst that stand behind each other in it: the same as one call of
 * decree_sink_answer() for each, in their order, for a fraction of the cost. Before and after it
 * commands may be answered one by one.
 *
 * @param commands  [count] a part of what apply() was given, or all of it
 * @param answers   [count] one for each, lent for the call
 */
DECREE_API
void decree_sink_answer_burst(struct decree_sink *sink, const struct decree_command *commands,
	const struct decree_answer *answers, uint32_t count);

#define DECREE_CHUNK_BYTES_MAX 65536

/** One chunk of a snapshot: a key range, serialised whole, at most DECREE_CHUNK_BYTES_MAX. */
struct decree_chunk {
	uint64_t index; /* from 0, in canonical key order */
	const void *bytes;
	size_t count;
};

struct decree_machine_ops {
	size_t struct_bytes; /* sizeof(struct decree_machine_ops): lets this grow */

	/** Execute commands in order; what is due by @p cluster_ns goes first.
	 * @param commands    [count] of one slot. 0: the slot brings none, and next_deadline() has
	 *                    come
	 * @param cluster_ns  the slot's time: never less than in the call before */
	void (*apply)(void *machine, const struct decree_command *commands, uint32_t count,
		uint64_t cluster_ns, struct decree_sink *sink);

	/**
	 * Cluster time at which apply() must be called even without a command, UINT64_MAX = never.
	 * May be NULL: never.
	 *
	 * It belongs to the state: the same on all nodes after the same slot, and after a restore.
	 * In the first slot whose time has come to it apply() is called on every node. If nobody
	 * proposes anything by then, the leader makes a slot of its own, which holds nothing but
	 * the time; as long as there is no leader, or its log is full, time stands still, and
	 * nothing is due. apply() may do a part of what is due and leave the deadline where it is:
	 * then it is called again with the next slot; the leader makes one a millisecond later.
	 *
	 * Asked after each slot without a command, and where the node leads once in each turn of
	 * the loop in which something was applied. Keep it O(1), or nearly.
	 */
	uint64_t (*next_deadline)(void *machine);

	/** Digest of the whole state, maintained incrementally: O(1). */
	struct decree_digest (*digest)(void *machine);

	/*
	 * Snapshots. All six, or none (NULL): then nothing is ever cut and the log fills up for
	 * good.
	 *
	 * Between begin() and end() apply() goes on, and next() is called now and then, in turns
	 * far apart. The chunks must be those of the moment of begin(), in canonical key order and
	 * cut in the same way on every node: serialise an object whole before its first change
	 * after begin(), unless the walk has passed it. Then the bytes are equal on all nodes, and
	 * one may repair another.
	 */

	/** Freeze. @return 0, or -errno: no snapshot this time */
	int (*snapshot_begin)(void *machine);

	/** One more chunk. Its bytes are the machine's, and stay as they are until the next call of
	 * next() or end(), whatever is applied meanwhile. Keep it well under a millisecond.
	 * @return 1 = one more, 0 = that was all, -errno = no snapshot this time: end() follows */
	int (*snapshot_next)(void *machine, struct decree_chunk *ret_chunk);

	/** The walk is over, or given up at any point. */
	void (*snapshot_end)(void *machine);

	/** Forget everything; chunks follow in order, then restore_end(). Nothing is applied in
	 * between. */
	int (*restore_begin)(void *machine);

	/** @return 0, or -EBADMSG: this is no chunk of mine; -EPROTONOSUPPORT: another version of me
	 * made it; -EMSGSIZE: one of another capacity. The node stops then, and says so */
	int (*restore_next)(void *machine, const struct decree_chunk *chunk);

	/** That was all: from here on digest() is that of the state restored. @return 0 or -EBADMSG */
	int (*restore_end)(void *machine);

	/**
	 * Answer a question from the present state and change nothing. May be NULL: reads are
	 * refused.
	 * @param query       [bytes] 0 .. DECREE_QUERY_BYTES_MAX, lent for the call
	 * @param ret_answer  [capacity] up to DECREE_ANSWER_BYTES_MAX, less if frames are small
	 * @return bytes written, 0 .. capacity; or a -errno of your own, which the asker gets
	 */
	int32_t (*read)(void *machine, const void *query, uint32_t bytes, void *ret_answer,
		uint32_t capacity);
};

#ifdef __cplusplus
}
#endif

#endif
