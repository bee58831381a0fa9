/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: sim [--seed N] [--count N] [--nodes N] [--events N] [--without KIND,...] "
	"[--trace]\n"
	"\n"
	"Runs a whole cluster, production code on simulated network, disks and clocks, once per "
	"seed.\n"
	"A run has two parts: first things go wrong, and nothing may ever be lost or differ; then "
	"the\n"
	"faults stop, and everything that was asked for must be done within a bound.\n"
	"\n"
	"  --seed N     first seed (default 1). The same seed gives the same run, byte for byte\n"
	"  --count N    how many seeds (default 1)\n"
	"  --nodes N    1 .. 7 nodes instead of a number that the seed draws\n"
	"  --events N   length of the first part (default 5000). An event is a frame delivered, a "
	"disk\n"
	"               request completed, a timer that went off, or a command proposed\n"
	"  --without K  leave these kinds of fault out\n"
	"  --trace      tell the story of the run\n"
	"\n"
	"A failure prints the seed and ends with status 1: seed and commit are the bug report.\n"
	"\n"
	"Kinds of fault; each seed has some of them:\n";

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
	uint64_t seeds, events, commands, crashes, power_cuts, sent, lost, leaders, slots;
	uint64_t virtual_ns, events_min, commands_min, progress_tenths, storm_max;
};

static void
add(struct totals *t, const struct sim *sim)
{
	uint64_t events = sim_event_count(sim);

	t->seeds++;
	t->events += events;
	t->commands += sim->oracle.order_count;
	t->crashes += sim->count.crashes;
	t->power_cuts += sim->count.power_cuts;
	t->sent += sim->count.sent;
	t->lost += sim->count.lost;
	t->leaders += sim->oracle.leader_changes;
	t->slots += sim->oracle.chosen_last;
	t->virtual_ns += sim->now_ns;
	if (t->storm_max < sim->oracle.storm_max)
		t->storm_max = sim->oracle.storm_max;
	if (t->progress_tenths < sim->count.progress_tenths)
		t->progress_tenths = sim->count.progress_tenths;
	if (t->events_min == 0 || events < t->events_min)
		t->events_min = events;
	if (t->commands_min == 0 || sim->oracle.order_count < t->commands_min)
		t->commands_min = sim->oracle.order_count;
}

/* Time of this process on a core: another process on the machine does not count. */
static double
cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void
print_totals(const struct totals *t, double cpu)
{
	printf("%lu seeds passed: %lu events (at least %lu each), %lu commands (at least %lu each) "
	       "in "
	       "%lu slots, %lu crashes (%lu power cuts), %lu leaders, %lu of %lu frames lost; "
	       "progress after %.1f T at the latest, at most %lu rounds in one T\n",
		t->seeds, t->events, t->events_min, t->commands, t->commands_min, t->slots,
		t->crashes, t->power_cuts, t->leaders, t->lost, t->sent,
		(double)t->progress_tenths / 10, t->storm_max);
	/* Not to stdout: the same seed prints the same bytes there. */
	fprintf(stderr,
		"%.1f s virtual in %.2f s of one core: %.0f times real time, %.0f events/s, %.0f "
		"seeds/s\n",
		(double)t->virtual_ns / 1e9, cpu, (double)t->virtual_ns / 1e9 / cpu,
		(double)t->events / cpu, (double)t->seeds / cpu);
}

static int
print_help(void)
{
	fputs(usage, stdout);
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		printf("  %-13s %s\n", sim_fault_table[kind].name, sim_fault_table[kind].text);
	return 0;
}

/* @return false if there is no such kind */
static bool
parse_kinds(char *list, bool ret_kinds[FAULT_KIND_COUNT])
{
	for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
		int kind = 0;
		while (kind < FAULT_KIND_COUNT && strcmp(name, sim_fault_table[kind].name) != 0)
			kind++;
		if (kind == FAULT_KIND_COUNT) {
			fprintf(stderr, "sim: no kind of fault is called '%s'; see --help\n", name);
			return false;
		}
		ret_kinds[kind] = true;
	}
	return true;
}

int
main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "nodes", required_argument, NULL, 'n' },
		{ "events", required_argument, NULL, 'e' },
		{ "without", required_argument, NULL, 'w' },
		{ "trace", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct sim_options options = { .seed = 1, .event_count = 5000 };
	uint64_t count = 1;
	struct totals t = { 0 };

	for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
		switch (c) {
		case 's': options.seed = strtoull(optarg, NULL, 0); break;
		case 'c': count = strtoull(optarg, NULL, 0); break;
		case 'n': options.node_count = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'e': options.event_count = strtoull(optarg, NULL, 0); break;
		case 'w':
			if (!parse_kinds(optarg, options.without))
				return 2;
			break;
		case 'v': options.trace = true; break;
		case 'h': return print_help();
		default: fputs(usage, stderr); return 2;
		}
	}
	if (options.node_count > SIM_NODE_MAX) {
		fprintf(stderr, "sim: --nodes must be 1 .. %d\n", SIM_NODE_MAX);
		return 2;
	}
	signal(SIGABRT, on_abort);
	struct sim *sim = sim_create();
	double begin = cpu_seconds();
	for (uint64_t i = 0; i < count; i++, options.seed++) {
		current_seed = options.seed;
		sim_run(sim, &options);
		add(&t, sim);
	}
	print_totals(&t, cpu_seconds() - begin);
	return 0;
}
