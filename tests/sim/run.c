/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run. First things go wrong, and nothing may ever be lost or differ. Then the faults stop for
 * a quorum, which must make progress within a bound (liveness.c). Then everything heals, and all
 * that was asked for must be done.
 */
#include "tests/sim/sim.h"

#define ELECTIONS_HEALED_MAX 2000
#define ELECTIONS_CALM_MAX   30
#define EVENTS_QUIET         5 /* in half a T: nobody is left who asks, or hears another */

static uint64_t
events_min(const struct sim *sim)
{
	return sim->options.event_count * 5 / 4;
}

/* A shrunk run has the faults that it was given. */
static bool
may_crash(const struct sim *sim)
{
	return !sim->options.without[FAULT_CRASH] && sim->options.only_faults == NULL;
}

static void
crash(struct sim *sim)
{
	if (!sim->options.without[FAULT_CRASH])
		sim_faults_strike(sim, FAULT_CRASH);
	if (sim->is_calm)
		sim->faults.next_ns[FAULT_CRASH] = UINT64_MAX; /* this one, and no more */
}

static void
run_safety(struct sim *sim)
{
	uint64_t half = sim->options.event_count / 2;

	sim->event_limit = half;
	sim_run_until(sim, sim->now_ns + 2000 * sim->election_ns);
	if (sim->count.crashes == 0)
		crash(sim);
	sim->event_limit = 2 * half;
	sim_run_until(sim, sim->now_ns + 2000 * sim->election_ns);
	sim->event_limit = UINT64_MAX;
}

/* A run without a single crash proves little about durability, one with few commands little about
 * anything. */
static bool
shows_something(const struct sim *sim)
{
	return sim->oracle.order_count >= SIM_COMMAND_COUNT_MIN &&
	       (sim->count.crashes > 0 || !may_crash(sim));
}

/* Half a T, or until that many events have happened. Where nothing happens a node starts again, and
 * with it its proposer. */
static void
go_on(struct sim *sim, uint64_t event_limit)
{
	uint64_t before = sim_event_count(sim);
	uint64_t end_ns = sim->now_ns + sim->election_ns / 2;

	sim->event_limit = event_limit;
	sim_run_until(sim, end_ns);
	sim->event_limit = UINT64_MAX;
	if (sim->now_ns >= end_ns && sim_event_count(sim) < before + EVENTS_QUIET)
		crash(sim);
}

/* The healed cluster goes on for a while: almost a fifth of the whole, if what came before was
 * short. */
static void
run_healed(struct sim *sim)
{
	uint64_t end_ns = sim->now_ns + ELECTIONS_HEALED_MAX * sim->election_ns;
	uint64_t events = sim->options.event_count * 6 / 5;

	if (sim->count.crashes == 0)
		crash(sim);
	while (sim_event_count(sim) < events && sim->now_ns < end_ns)
		go_on(sim, events);
	while (!shows_something(sim) && sim->now_ns < end_ns)
		go_on(sim, sim_event_count(sim) + 50);
	sim_check(sim, shows_something(sim) || !may_crash(sim),
		"%lu commands and %lu crashes show nothing", sim->oracle.order_count,
		sim->count.crashes);
}

static void
become_calm(struct sim *sim)
{
	uint64_t end_ns = sim->now_ns + ELECTIONS_CALM_MAX * sim->election_ns;

	while (!oracle_is_calm(sim) && sim->now_ns < end_ns)
		sim_run_until(sim, sim->now_ns + sim->election_ns / 50);
	oracle_check_calm(sim);
}

/* What is on its way is answered, and the rest of the events are those of a cluster with nothing to
 * do. */
static void
run_silent(struct sim *sim)
{
	uint64_t end_ns = sim->now_ns + ELECTIONS_HEALED_MAX * sim->election_ns;

	sim->is_silent = true;
	become_calm(sim);
	while (sim_event_count(sim) < events_min(sim) && sim->now_ns < end_ns) {
		go_on(sim, events_min(sim));
		become_calm(sim);
	}
	sim_check(sim, sim_event_count(sim) >= events_min(sim) || !may_crash(sim),
		"%lu events show nothing", sim_event_count(sim));
}

static void
run_liveness(struct sim *sim)
{
	liveness_begin(sim);
	liveness_require(sim);
	liveness_heal_all(sim);
	run_healed(sim);
	run_silent(sim);
	sim_timers_require(sim);
	sim_queue_require(sim);
	become_calm(sim);
	sim_queue_check_end(sim);
	oracle_check_history(sim);
}

void
sim_run(struct sim *sim, const struct sim_options *options)
{
	sim_reset(sim, options);
	run_safety(sim);
	run_liveness(sim);
}
