/* SPDX-License-Identifier: Apache-2.0 */
/** @file main.h  Between main.c, options.c and shrink.c. */
#ifndef TESTS_SIM_MAIN_H
#define TESTS_SIM_MAIN_H

#include "tests/sim/sim.h"

#define ONLY_FAULTS_MAX 4096
#define JOB_COUNT_MAX   64
#define CALL_RUNS       (-1) /* no exit status: go on */

/* What is asked for on the command line. */
struct call {
	struct sim_options options;
	uint64_t count; /* of seeds */
	uint32_t jobs;  /* 1 .. JOB_COUNT_MAX */
	bool shrink;
};

/* Sums over many runs. */
struct totals {
	uint64_t seeds, events, commands, crashes, power_cuts, sent, lost, leaders, slots;
	uint64_t snapshots, restores, fetched;
	uint64_t damaged, nameless, refused_starts, rolled_back, outages, twins, fenced, forgetful,
		rewritten, lost_nodes, filled, emptied;
	uint64_t refused, evicted; /* commands */
	uint64_t fetching_seeds;   /* that had a state transfer */
	uint64_t changes[3], changes_refused, transfers, raises, too_old; /* of the members */
	uint64_t crash_free;                                              /* runs without a crash */
	uint64_t fired, fired_idle; /* timers of the state machine */
	uint64_t queues;            /* worlds with one */
	struct sim_queue_count queue;
	uint64_t virtual_ns;
	uint64_t events_min, commands_min, crashes_min;
	uint64_t progress_tenths, storm_max;
	double cpu_seconds;
};

/** @param ret_call  with CALL_RUNS
 * @return CALL_RUNS, or the exit status: 0 after --help, 2 after a complaint */
int call_parse(int argc, char **argv, struct call *ret_call);

/** Take away from a failing run what it does not need, print the rest. @return the exit status: 1,
 * or 0 if the run does not fail at all */
int shrink_seed(const struct sim_options *options);

#endif
