/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file floor.h
 * What a commit cannot be faster than here: processes that do what the nodes of a cluster cannot
 * leave out, and nothing else.
 *
 * Threads:  each floor runs in processes of its own, which are gone when the call returns.
 * Errors:   0 or -errno; what was wrong is on standard error.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "apps/histogram.h"
#include "bench/wire.h"

#define FLOOR_NODE_COUNT_MAX 7

struct floor_plan {
	const char *dir;
	uint32_t node_count; /* 1 .. FLOOR_NODE_COUNT_MAX */
	/* multiple of 512; 0: nothing is written, a frame is echoed at once */
	uint32_t block_bytes;
	bool has_client; /* a thread of the leader's process asks for each round and waits for its end */
	/* the kernel's interfaces, of network_open(), have to be there already */
	enum wire_kind joined_by;
	double seconds;
	uint16_t cpus[FLOOR_NODE_COUNT_MAX]; /* of each process */
	bool is_pinned;                      /* else they run on any */
};

/**
 * A leader and its followers exchange a frame, write a block durably and answer; a round is
 * complete at the majority's last one. Without blocks and with two nodes this is the raw round
 * trip.
 *
 * @param ret_times  a round's nanoseconds
 */
int floor_commit(const struct floor_plan *plan, struct histogram *ret_times);

/** As many processes as there are nodes write one block after the other, each to a file of its own:
 * what the disk that they share does for them without anybody who waits for anybody. */
int floor_append(const struct floor_plan *plan, struct histogram *ret_times);

/** `decree bench floor`: the floors of a cluster, as text. @return the exit status */
int floor_main(int argc, char **argv);

#endif
