/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/graphs/graphs.h"

#include "base/clock.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"usage: graphs [--all] [--sample N] [--seed N] [--jobs N]\n"
	"       graphs --nodes N --links HEX [--leader N] [--q1 N --q2 N]\n"
	"              [--before HEX --before-ms N] [--seed N] [--trace]\n"
	"\n"
	"Cuts a cluster's links down to a directed graph and checks that the cluster does what "
	"the\n"
	"graph allows: a leader, at most one change, and progress where some node has links both "
	"ways\n"
	"to a quorum; silence elsewhere. Without arguments: all 64 directed graphs of 3 nodes and "
	"all\n"
	"1,024 undirected graphs of 5, each from every leader and from a cold start, and a sample "
	"of\n"
	"the 1,048,576 directed graphs of 5 nodes.\n"
	"\n"
	"  --all       all directed graphs of 5 nodes instead of a sample\n"
	"  --sample N  so many of them (default 2000)\n"
	"  --seed N    of the sample and of all timers (default 1)\n"
	"  --jobs N    processes (default: one per processor)\n"
	"  --links HEX one graph: bit (from - 1) * (nodes - 1) + to - (to < from ? 1 : 2), "
	"counted\n"
	"              from 0, is the link from -> to\n"
	"  --leader N  leads before the cut; 0: all nodes start anew (default)\n"
	"  --before HEX, --before-ms N  another graph holds first, for so long\n"
	"  --trace     every message of this one graph\n"
	"\n"
	"A failure prints the command that repeats it.\n";

struct options {
	bool all;
	uint64_t sample;
	uint64_t seed;
	uint32_t jobs;
	bool is_one;
	struct graph_case one;
};

/* What one process found; sums and maxima, so that processes can be added up. */
struct tally {
	uint64_t runs;
	uint64_t possible;
	uint64_t failures;
	uint64_t changes;
	uint64_t prepares_max;
	uint64_t leader_ns_max;
};

static void
tally_add(struct tally *t, const struct tally *other)
{
	t->runs += other->runs;
	t->possible += other->possible;
	t->failures += other->failures;
	t->changes += other->changes;
	if (t->prepares_max < other->prepares_max)
		t->prepares_max = other->prepares_max;
	if (t->leader_ns_max < other->leader_ns_max)
		t->leader_ns_max = other->leader_ns_max;
}

static uint64_t
draw(uint64_t seed, uint64_t number)
{
	uint64_t z = seed * 0x2545f4914f6cdd1dull + number * 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* ---- one run ---- */

static void
print_failure(const struct graph_case *g, const struct graph_result *r)
{
	char line[512];
	int bytes = snprintf(line, sizeof(line),
		"FAILED: %s\n  graphs --nodes %u --links %lx --leader %u --q1 %u --q2 %u --before "
		"%lx --before-ms %lu --seed %lu --trace\n",
		r->why, g->nodes, g->links, g->leader, g->q1, g->q2, g->links_before,
		g->before_ns / 1000000, g->seed);

	/* In one piece: other processes print, too. */
	if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
		_exit(1);
}

static void
run(const struct graph_case *g, struct tally *t)
{
	struct graph_result r;

	graph_run(g, &r);
	tally_add(t, &(struct tally){ 1, r.is_possible, r.why[0] != '\0', r.leader_changes,
			     r.prepares, r.leader_ns });
	if (r.why[0] != '\0')
		print_failure(g, &r);
}

/* From a cold start and from each node as the leader. */
static void
run_each_leader(struct graph_case g, struct tally *t)
{
	for (g.leader = 0; g.leader <= g.nodes; g.leader++)
		run(&g, t);
}

/* ---- families of graphs: member @p number of each ---- */

static void
run_directed_3(const struct options *o, uint64_t number, struct tally *t)
{
	for (uint64_t seed = 0; seed < 4; seed++)
		run_each_leader(
			(struct graph_case){ .nodes = 3, .links = number, .seed = o->seed + seed },
			t);
}

static void
run_undirected_5(const struct options *o, uint64_t number, struct tally *t)
{
	run_each_leader(
		(struct graph_case){
			.nodes = 5, .links = graph_undirected(5, number), .seed = o->seed },
		t);
}

/* q1 = 4, q2 = 2 and q1 = 2, q2 = 4: one leader each, by turns. */
static void
run_flexible_5(const struct options *o, uint64_t number, struct tally *t)
{
	for (uint32_t q1 = 2; q1 <= 4; q1 += 2)
		run(&(struct graph_case){ .nodes = 5,
			    .links = graph_undirected(5, number),
			    .q1 = q1,
			    .q2 = 6 - q1,
			    .leader = (uint16_t)((number + q1) % 6),
			    .seed = o->seed },
			t);
}

static void
run_directed_5(const struct options *o, uint64_t number, struct tally *t)
{
	uint64_t random = draw(o->seed, number);
	struct graph_case g = {
		.nodes = 5,
		.links = o->all ? number : random & 0xfffff,
		.leader = (uint16_t)(random >> 32) % 6,
		.seed = o->seed + (random >> 48),
	};

	run(&g, t);
}

/* Another graph holds first, for up to 4 T. */
static void
run_directed_5_twice(const struct options *o, uint64_t number, struct tally *t)
{
	uint64_t random = draw(o->seed + 1, number), other = draw(o->seed + 2, number);
	struct graph_case g = {
		.nodes = 5,
		.links = random & 0xfffff,
		.links_before = other & 0xfffff,
		.before_ns = (1 + (other >> 32) % 800) * 1000000,
		.leader = (uint16_t)(1 + (random >> 32) % 5),
		.seed = o->seed + (random >> 48),
	};

	run(&g, t);
}

struct family {
	const char *name;
	uint64_t count;
	void (*run)(const struct options *o, uint64_t number, struct tally *t);
};

/* ---- processes ---- */

#define SECOND_NS UINT64_C(1000000000)

static struct tally
run_share(const struct family *f, const struct options *o, uint32_t job, uint64_t begin_ns)
{
	struct tally t = { 0 };
	uint64_t shown_ns = begin_ns;

	for (uint64_t number = job; number < f->count; number += o->jobs) {
		f->run(o, number, &t);
		if (job == 0 && isatty(STDERR_FILENO) && base_now_ns() > shown_ns + SECOND_NS) {
			shown_ns = base_now_ns();
			fprintf(stderr, "\r%s: %lu of %lu graphs, %lu s ", f->name, number,
				f->count, (shown_ns - begin_ns) / SECOND_NS);
		}
	}
	if (shown_ns != begin_ns)
		fprintf(stderr, "\r%60s\r", "");
	return t;
}

/* @return true if the whole family behaved */
static bool
run_family(const struct family *f, const struct options *o)
{
	struct tally sum = { 0 }, t;
	uint64_t begin_ns = base_now_ns();
	int pipes[2];
	bool is_good = true;

	if (f->count == 0)
		return true;
	if (pipe(pipes) != 0)
		exit(2);
	fflush(stdout);
	for (uint32_t job = 0; job < o->jobs; job++) {
		if (fork() != 0)
			continue;
		t = run_share(f, o, job, begin_ns);
		_exit(write(pipes[1], &t, sizeof(t)) == (ssize_t)sizeof(t) ? 0 : 1);
	}
	close(pipes[1]);
	while (read(pipes[0], &t, sizeof(t)) == (ssize_t)sizeof(t))
		tally_add(&sum, &t);
	close(pipes[0]);
	for (int status; wait(&status) > 0;)
		is_good &= status == 0;
	printf("%-24s %8lu graphs, %8lu runs, %8lu with a possible leader, %lu wrong; leader after "
	       "%lu ms at most, %lu ballots at most; %.1f s\n",
		f->name, f->count, sum.runs, sum.possible, sum.failures,
		sum.leader_ns_max / 1000000, sum.prepares_max,
		(double)(base_now_ns() - begin_ns) / 1e9);
	return is_good && sum.failures == 0;
}

/* ---- options ---- */

static void
options_read(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "sample", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "nodes", required_argument, NULL, 'N' },
		{ "links", required_argument, NULL, 'l' },
		{ "leader", required_argument, NULL, 'L' },
		{ "before", required_argument, NULL, 'b' },
		{ "before-ms", required_argument, NULL, 'B' },
		{ "q1", required_argument, NULL, '1' },
		{ "q2", required_argument, NULL, '2' },
		{ "trace", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (c) {
		case 'a': o->all = true; break;
		case 'n': o->sample = strtoull(optarg, NULL, 0); break;
		case 's': o->seed = strtoull(optarg, NULL, 0); break;
		case 'j': o->jobs = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'N': o->one.nodes = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'l':
			o->one.links = strtoull(optarg, NULL, 16);
			o->is_one = true;
			break;
		case 'L': o->one.leader = (uint16_t)strtoul(optarg, NULL, 0); break;
		case 'b': o->one.links_before = strtoull(optarg, NULL, 16); break;
		case 'B': o->one.before_ns = strtoull(optarg, NULL, 0) * 1000000; break;
		case '1': o->one.q1 = (uint32_t)strtoul(optarg, NULL, 0); break;
		case '2': o->one.q2 = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 't': o->one.trace = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (o->jobs == 0 || (o->is_one && (o->one.nodes == 0 || o->one.nodes > GRAPH_NODE_MAX ||
						  o->one.leader > o->one.nodes))) {
		fputs(usage, stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	struct options o = {
		.sample = 2000,
		.seed = 1,
		.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
	};
	struct tally t = { 0 };
	bool is_good = true;

	options_read(argc, argv, &o);
	if (o.is_one) {
		o.one.seed = o.seed;
		run(&o.one, &t);
		return t.failures != 0;
	}
	const struct family families[] = {
		{ "3 nodes, directed", 64, run_directed_3 },
		{ "5 nodes, undirected", 1024, run_undirected_5 },
		{ "5 nodes, q1 and q2", 1024, run_flexible_5 },
		{ "5 nodes, directed", o.all ? 1u << 20 : o.sample, run_directed_5 },
		{ "5 nodes, cut twice", o.sample, run_directed_5_twice },
	};
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		is_good &= run_family(&families[i], &o);
	return is_good ? 0 : 1;
}
