/* SPDX-License-Identifier: Apache-2.0 */
/* What `sim` is asked for. A number that is none, or out of range, is refused: a seed that was
 * mistyped would pass. */
#include "tests/sim/main.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

static const char usage[] =
	"usage: sim [--seed N] [--count N] [--jobs N] [options]     run seeds\n"
	"       sim --seed N --trace [options]                      tell the story of one\n"
	"       sim --seed N --shrink [options]                     find out what makes it fail\n"
	"\n"
	"A whole cluster in one thread: the production core, loop and log on a simulated network, "
	"on\n"
	"simulated disks and clocks. A seed decides everything: how many nodes there are and how "
	"large\n"
	"their quorums, what is asked of them, and what goes wrong. The same seed gives the same "
	"run,\n"
	"byte for byte.\n"
	"\n"
	"Nodes join and leave while it runs: an operator outside of the cluster asks for it over "
	"the same\n"
	"network, asks again, or twice, or loses patience. What is a quorum is a question of the "
	"slot.\n"
	"\n"
	"A run has three parts. First things go wrong, and nothing may be lost, or differ, or be\n"
	"answered wrongly; that is checked after every step. Then the faults stop for a quorum, "
	"while\n"
	"the other nodes stay broken: it must answer new commands within a bound, and keep its "
	"leader.\n"
	"Then everything heals: all nodes must agree, and everything that was asked for must be "
	"done.\n"
	"\n"
	"  --seed N       first seed (default 1)\n"
	"  --count N      how many seeds (default 1)\n"
	"  --jobs N       processes that share them (default 1); 0: one for each CPU\n"
	"  --trace        tell the story: who crashed, who leads, which ballots and slots\n"
	"  --shrink       of a seed that fails, take away what is not needed for that: kinds of "
	"fault,\n"
	"                 nodes, time, and at last single faults. Prints what is left and the "
	"command\n"
	"\n"
	"What the seed would draw can be given instead:\n"
	"  --nodes N      1 .. 7 nodes\n"
	"  --machine M    queue: the task queue and its gateways, beside a model that checks every "
	"answer;\n"
	"                 log: commands are counted, and nothing else. One of ten seeds draws a "
	"queue\n"
	"  --events N     length of the first part (default 4000); a run has a quarter more at "
	"least,\n"
	"                 and at least 50 commands and a crash\n"
	"  --with K,..    have these kinds of fault in every world where they can be\n"
	"  --without K,.. leave these kinds of fault out\n"
	"  --only-faults N,..  of the faults that strike, keep those with these numbers (as "
	"--trace\n"
	"                 names them); 0 alone keeps none\n"
	"\n"
	"An event is a frame delivered, a request completed by a disk, a timer that went off, or "
	"a\n"
	"command proposed. T is the time after which a node misses its leader: 200 ms to 20 s by "
	"seed,\n"
	"and every pause and partition is measured in it.\n"
	"\n"
	"A power cut, in half of the crashes or so, keeps or loses each sector by itself: of what "
	"was in\n"
	"a disk's cache, and of each write in flight. So every write may be torn in any way.\n"
	"\n"
	"Bad disks (damage, rot, torn-sector, misdirect, lying-flush, rollback, twin) strike no "
	"more\n"
	"nodes than the quorums can spare; the others must lose nothing and go on. Damage is bytes "
	"that\n"
	"change; the log must call it so, or find nothing missing, and damaged copies must be "
	"repaired. A\n"
	"page that cannot be read may end in a refused start. A disk of the past must be found out "
	"by the\n"
	"other nodes, and what its node says must count nowhere. Their memory ends with their "
	"processes: so\n"
	"no process dies until then. A node that is refused is lost until the end of its run.\n"
	"A twin is an old copy, which all refuse, or takes over while the first process stands "
	"still:\n"
	"when that one goes on, both must end.\n"
	"\n"
	"Ends with 0 if all seeds passed; with 1 and a line `FAILED seed N ...` if one did not: "
	"the seed\n"
	"and the commit are the bug report; with 2 if it was called wrongly. Rates go to standard "
	"error.\n"
	"\n"
	"Kinds of fault; each seed has some of them:\n";

static int
print_help(void)
{
	fputs(usage, stdout);
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		printf("  %-14s %s\n", sim_fault_table[kind].name, sim_fault_table[kind].text);
	puts("\ndocs/testing.md tells how to get from a seed to the line of code, and what is "
	     "checked.");
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

struct range {
	const char *name;
	uint64_t min;
	uint64_t max;
};

/* Decimal, or 0x and hexadecimal. @return false after a complaint */
static bool
parse_number(const char *text, const struct range *range, uint64_t *ret_number)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 0);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || number < range->min ||
		number > range->max) {
		fprintf(stderr, "sim: --%s %s: a number from %lu to %lu; see --help\n", range->name,
			text, range->min, range->max);
		return false;
	}
	*ret_number = number;
	return true;
}

static bool
parse_numbers(char *list, struct sim_options *o)
{
	static const struct range range = { "only-faults", 0, UINT32_MAX };
	static uint32_t numbers[ONLY_FAULTS_MAX];
	uint64_t value;

	o->only_faults = numbers;
	for (char *number = strtok(list, ","); number != NULL; number = strtok(NULL, ",")) {
		if (!parse_number(number, &range, &value))
			return false;
		if (o->only_count == ONLY_FAULTS_MAX) {
			fprintf(stderr, "sim: --only-faults: at most %d of them\n",
				ONLY_FAULTS_MAX);
			return false;
		}
		numbers[o->only_count++] = (uint32_t)value;
	}
	if (o->only_count == 0)
		fputs("sim: --only-faults: which? 0 alone keeps none\n", stderr);
	return o->only_count > 0;
}

/* @return false after a complaint */
static bool
parse_machine(const char *name, enum sim_machine *ret_machine)
{
	if (strcmp(name, "log") == 0)
		*ret_machine = SIM_MACHINE_LOG;
	else if (strcmp(name, "queue") == 0)
		*ret_machine = SIM_MACHINE_QUEUE;
	else
		fprintf(stderr, "sim: --machine %s: log or queue; see --help\n", name);
	return *ret_machine != SIM_MACHINE_DRAWN;
}

static const struct option long_options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'c' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "nodes", required_argument, NULL, 'n' },
	{ "machine", required_argument, NULL, 'm' },
	{ "events", required_argument, NULL, 'e' },
	{ "with", required_argument, NULL, 'i' },
	{ "without", required_argument, NULL, 'w' },
	{ "only-faults", required_argument, NULL, 'o' },
	{ "trace", no_argument, NULL, 'v' },
	{ "shrink", no_argument, NULL, 'x' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const struct range seeds = { "seed", 0, UINT64_MAX };
static const struct range counts = { "count", 1, 1000000000 };
static const struct range job_counts = { "jobs", 0, JOB_COUNT_MAX };
static const struct range node_counts = { "nodes", 1, SIM_FOUNDER_MAX };
static const struct range event_counts = { "events", 1, 1000000 };

/* @return false after a complaint */
static bool
take(int option, struct call *c)
{
	struct sim_options *o = &c->options;
	uint64_t number;

	switch (option) {
	case 's': return parse_number(optarg, &seeds, &o->seed);
	case 'c': return parse_number(optarg, &counts, &c->count);
	case 'e': return parse_number(optarg, &event_counts, &o->event_count);
	case 'j':
		if (!parse_number(optarg, &job_counts, &number))
			return false;
		c->jobs = (uint32_t)number;
		return true;
	case 'n':
		if (!parse_number(optarg, &node_counts, &number))
			return false;
		o->node_count = (uint32_t)number;
		return true;
	case 'm': return parse_machine(optarg, &o->machine);
	case 'i': return parse_kinds(optarg, o->with);
	case 'w': return parse_kinds(optarg, o->without);
	case 'o': return parse_numbers(optarg, o);
	case 'v': o->trace = true; return true;
	case 'x': c->shrink = true; return true;
	default: fputs("see sim --help\n", stderr); return false;
	}
}

int
call_parse(int argc, char **argv, struct call *ret_call)
{
	struct call c = {
		.options = { .seed = 1, .event_count = 4000 },
		.count = 1,
		.jobs = 1,
	};

	for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		if (option == 'h')
			return print_help();
		if (!take(option, &c))
			return 2;
	}
	if (optind != argc) {
		fprintf(stderr, "sim: what is '%s'? See --help\n", argv[optind]);
		return 2;
	}
	if (c.jobs == 0)
		c.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (c.jobs > JOB_COUNT_MAX)
		c.jobs = JOB_COUNT_MAX;
	*ret_call = c;
	return CALL_RUNS;
}
