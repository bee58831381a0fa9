/* SPDX-License-Identifier: Apache-2.0 */
/** @file main.h  Between main.c and shrink.c. */
#ifndef TESTS_SIM_MAIN_H
#define TESTS_SIM_MAIN_H

#include "tests/sim/sim.h"

#define ONLY_FAULTS_MAX 4096

/* Sums over many runs. */
struct totals {
	uint64_t seeds, events, commands, crashes, power_cuts, sent, lost, leaders, slots;
	uint64_t snapshots, restores, fetched;
	uint64_t damaged, nameless, refused_starts, rolled_back, twins, fenced, forgetful,
		rewritten, lost_nodes, filled, emptied;
	uint64_t fetching_seeds;                         /* that had a state transfer */
	uint64_t changes[3], changes_refused, transfers; /* of the members */
	uint64_t crash_free;                             /* runs without a crash */
	uint64_t virtual_ns;
	uint64_t events_min, commands_min, crashes_min;
	uint64_t progress_tenths, storm_max;
	double cpu_seconds;
};

/** Take away from a failing run what it does not need, print the rest. @return the exit status: 1, or 0 if the
 * run does not fail at all */
int shrink_seed(const struct sim_options *options);

#endif
