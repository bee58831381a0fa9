/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <getopt.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: sim [--seed N] [--count N] [--nodes N] [--seconds N] [--trace]\n"
	"\n"
	"Runs a whole cluster, production code on simulated network, disks and clock, once per "
	"seed.\n"
	"A run has two parts: first things go wrong, and nothing may ever be lost or differ; then "
	"the\n"
	"faults stop, and everything that was asked for must be done within five seconds.\n"
	"\n"
	"  --seed N     first seed (default 1). The same seed gives the same run, byte for byte\n"
	"  --count N    how many seeds (default 1)\n"
	"  --nodes N    1 .. 7 nodes instead of a number that the seed draws\n"
	"  --seconds N  virtual seconds with faults (default 4)\n"
	"  --trace      tell the story of the run\n"
	"\n"
	"A failure prints the seed and ends with status 1: seed and commit are the bug report.\n";

static uint64_t current_seed;

/* An assertion of the production code knows nothing of seeds. */
static void
on_abort(int signal_number)
{
	char line[64];
	int bytes = snprintf(
		line, sizeof(line), "FAILED seed %lu: an assertion, above\n", current_seed);

	(void)signal_number;
	if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
		_exit(1);
	_exit(1);
}

struct totals {
	uint64_t events, commands, crashes, power_cuts, sent, lost, leaders, slots, virtual_ns;
};

static void
run(uint64_t seed, uint32_t nodes, uint64_t seconds, bool trace, struct totals *t)
{
	current_seed = seed;
	struct sim *sim = sim_create(seed, nodes, trace);
	uint64_t begin_ns = sim->now_ns;

	sim_run_until(sim, sim->now_ns + seconds * 1000 * MS);
	sim_faults_stop(sim);
	sim_run_until(sim, sim->now_ns + 600 * MS);
	for (int i = 0; i < 44 && !oracle_is_calm(sim); i++)
		sim_run_until(sim, sim->now_ns + 100 * MS);
	oracle_check_calm(sim);
	t->events += sim->events;
	t->commands += sim->oracle.order_count;
	t->crashes += sim->count.crashes;
	t->power_cuts += sim->count.power_cuts;
	t->sent += sim->count.sent;
	t->lost += sim->count.lost;
	t->leaders += sim->oracle.leader_changes;
	t->slots += sim->oracle.chosen_last;
	t->virtual_ns += sim->now_ns - begin_ns;
	sim_destroy(sim);
}

static double
wall_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "nodes", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "trace", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t seed = 1, count = 1, seconds = 4;
	uint32_t nodes = 0;
	bool trace = false;
	struct totals t = { 0 };

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'c': count = strtoull(optarg, NULL, 0); break;
		case 'n': nodes = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 't': seconds = strtoull(optarg, NULL, 0); break;
		case 'v': trace = true; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (nodes > SIM_NODE_MAX) {
		fprintf(stderr, "sim: --nodes must be 1 .. %d\n", SIM_NODE_MAX);
		return 2;
	}
	signal(SIGABRT, on_abort);
	double begin = wall_seconds();
	for (uint64_t i = 0; i < count; i++)
		run(seed + i, nodes, seconds, trace, &t);
	double wall = wall_seconds() - begin;
	printf("%lu seeds passed: %lu events, %lu commands in %lu slots, %lu crashes (%lu power "
	       "cuts), "
	       "%lu leaders, %lu of %lu frames lost; %.1f s virtual in %.1f s\n",
		count, t.events, t.commands, t.slots, t.crashes, t.power_cuts, t.leaders, t.lost,
		t.sent, (double)t.virtual_ns / 1e9, wall);
	return 0;
}
