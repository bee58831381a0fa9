/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run. First things go wrong, and nothing may ever be lost or differ. Then the faults stop for a quorum, which
 * must make progress within a bound (liveness.c). Then everything heals, and all that was asked for must be done.
 */
#include "tests/sim/sim.h"

#define COMMAND_COUNT_MIN     50
#define ELECTIONS_HEALED_MAX  2000
#define ELECTIONS_STALLED_MAX 10 /* without a single command */

/* A run without a single crash proves little about durability. */
static void
crash_if_none(struct sim *sim)
{
	if (sim->count.crashes == 0 && !sim->options.without[FAULT_CRASH])
		sim_faults_strike(sim, FAULT_CRASH);
}

static void
run_safety(struct sim *sim)
{
	uint64_t half = sim->options.event_count / 2;

	sim->event_limit = half;
	sim_run_until(sim, sim->now_ns + 2000 * sim->election_ns);
	crash_if_none(sim);
	sim->event_limit = 2 * half;
	sim_run_until(sim, sim->now_ns + 2000 * sim->election_ns);
	sim->event_limit = UINT64_MAX;
}

/* The healed cluster goes on for a while: a fifth of the whole, if what came before was short. Where the logs are
 * full for good no command is executed any more, and nobody waits for one. */
static void
run_healed(struct sim *sim)
{
	uint32_t stalled = 0;

	for (int i = 0; i < ELECTIONS_HEALED_MAX; i++) {
		uint64_t before = sim->oracle.order_count;
		bool is_done = before >= COMMAND_COUNT_MIN || stalled == ELECTIONS_STALLED_MAX;
		if (is_done && sim_event_count(sim) >= sim->options.event_count * 5 / 4)
			return;
		sim_run_until(sim, sim->now_ns + sim->election_ns);
		stalled = sim->oracle.order_count != before  ? 0
			  : stalled == ELECTIONS_STALLED_MAX ? stalled
							     : stalled + 1;
	}
}

static void
run_liveness(struct sim *sim)
{
	liveness_begin(sim);
	liveness_require(sim);
	liveness_heal_all(sim);
	run_healed(sim);
	sim->is_silent = true;
	for (int i = 0; i < 300 && !oracle_is_calm(sim); i++)
		sim_run_until(sim, sim->now_ns + sim->election_ns / 10);
	oracle_check_calm(sim);
	oracle_check_history(sim);
}

void
sim_run(struct sim *sim, const struct sim_options *options)
{
	sim_reset(sim, options);
	run_safety(sim);
	run_liveness(sim);
}
