/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file floor.h
 * The floor of a commit between hosts: each runs the same, the founding member with the lowest id
 * is the leader and measures.
 *
 * Threads:  one.
 * Errors:   -errno, after a line on standard error that says what to do.
 */
#ifndef BENCH_HOSTS_FLOOR_H
#define BENCH_HOSTS_FLOOR_H

#include "apps/histogram.h"
#include "bench/block.h"
#include "bench/hosts/lane.h"

/* One measurement; those of a round, in order. */
enum hosts_step {
	HOSTS_ROUND_TRIP = 0, /* of a frame, the leader's and the next node's */
	HOSTS_ECHO,           /* a majority's */
	HOSTS_APPEND,         /* each writes, and waits for nobody */
	HOSTS_FLOOR,
	HOSTS_CLIENT, /* the floor, for a thread beside the leader's */
	HOSTS_STEP_COUNT,
};

#define HOSTS_ROUND_COUNT_MAX 50
#define HOSTS_STEP_NONE       (HOSTS_STEP_COUNT * HOSTS_ROUND_COUNT_MAX) /* before the first */

struct hosts_append {
	double p50_us, p99_us; /* of what each host appended meanwhile; NAN: too few */
};

struct hosts_floor {
	struct lane lane;
	struct block block;
	uint32_t run;      /* told by the leader; 0: not yet */
	uint8_t step;      /* of all rounds; those that are over do not come again */
	uint64_t sequence; /* the leader's last round */
	uint64_t told;     /* by a follower */
	uint64_t wait_ns;  /* for who does not come */
	uint64_t answers[LANE_PLACE_COUNT_MAX];
	uint32_t ready_mask; /* who is there, and then who is in this step */
	struct hosts_append appends[LANE_PLACE_COUNT_MAX];
	struct histogram own; /* a follower's appends */
};

/** Wait for all others. The leader's. */
int hosts_gather(struct hosts_floor *f);

/** The leader's: one step. @param step  counts on through all rounds @param ret_times  a round's, or
 * an append's */
int hosts_measure(struct hosts_floor *f, uint8_t step, double seconds, struct histogram *ret_times);

/** The leader's: tell all others that this is the end. @param is_good  nothing went wrong here */
void hosts_end(struct hosts_floor *f, bool is_good);

/** A follower, until the leader says that it is over. */
int hosts_follow(struct hosts_floor *f);

/** Somebody wants this program to end: others are told. For a signal. */
void hosts_interrupt(int signal);

#endif
