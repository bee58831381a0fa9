/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, processes and the table. Each process takes every n-th pattern of a family and reports
 * in memory that it shares with the first one, which therefore knows where a process was when it
 * died.
 */
#include "tests/tables/base.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOB_COUNT_MAX 64
#define WRONG_SHOWN   5 /* of each process and family, in full */

static const char usage[] =
	"usage: tables [--ci | --all] [--jobs N] [--seed N] [--dir DIR] [--direct]\n"
	"       tables --only FAMILY [--pattern N] [--count N] [--verbose]\n"
	"\n"
	"Replays the experiments of \"Protocol-Aware Recovery for Consensus-Based Storage\"\n"
	"(FAST '18) on real log files: a cluster commits, stops, its files are damaged, and all\n"
	"nodes start again. Prints a table of what came of it, and fails if anything was wrong.\n"
	"\n"
	"  --ci         all patterns of the two tables of 3 nodes, samples of the rest\n"
	"  --all        all 1,048,576 patterns of the two tables of 5 nodes, too: hours\n"
	"  --only NAME  one family\n"
	"  --pattern N  one pattern of it, with what each node says\n"
	"  --count N    at most so many patterns of each family\n"
	"  --jobs N     processes (default: one per processor)\n"
	"  --seed N     of all that is drawn (default 1)\n"
	"  --dir DIR    where the files are (default: $TMPDIR, /dev/shm or /tmp)\n"
	"  --direct     O_DIRECT and flushes, as a node in mode `durable` writes: slower\n"
	"  --verbose    what the nodes say of every pattern that did not recover\n"
	"\n"
	"Families:\n";

static const struct family families[] = {
	{ "blocks", "4 entries x 3 nodes, block damaged", 3, 4096, 4096, 4096, 1, false,
		damage_entries },
	{ "identifiers", "the same, block and identifier damaged", 3, 4096, 4096, 4096, 1, false,
		damage_entries_and_identifiers },
	{ "corruption", "random corruption", 3, 0, 5000, 2000, 4, false, damage_blocks },
	{ "read-errors", "read errors", 3, 0, 5000, 2000, 4, false, damage_reads },
	{ "crashes", "damage, and nodes that crash or lag", 3, 0, 5000, 2000, BASE_COUNT_MAX, false,
		damage_with_crashes },
	{ "snapshots", "damaged snapshots", 3, 0, 1000, 400, 1, true, damage_snapshots },
	{ "files", "files missing, cut, unreadable, swapped", 3, 0, 1000, 400, 1, true,
		damage_files },
	{ "blocks-5", "4 entries x 5 nodes, block damaged", 5, 1 << 20, 4096, 200, 1, false,
		damage_entries },
	{ "identifiers-5", "the same, block and identifier damaged", 5, 1 << 20, 4096, 200, 1,
		false, damage_entries_and_identifiers },
	{ "corruption-5", "random corruption, 5 nodes", 5, 0, 2000, 100, 4, false, damage_blocks },
	{ "crashes-5", "damage, crashes and lag, 5 nodes", 5, 0, 2000, 100, BASE_COUNT_MAX, false,
		damage_with_crashes },
};

#define FAMILY_COUNT (sizeof(families) / sizeof(families[0]))

struct selection {
	struct options options;
	bool is_ci;
	bool is_all;
	bool has_pattern;
	uint64_t pattern;
	uint64_t count_max;
	const struct family *only;
};

/* What one process has found so far. Written by it, read by the first one. */
struct tally {
	uint64_t done;
	uint64_t current; /* pattern */
	uint64_t outcomes[OUTCOME_COUNT];
	uint64_t refused_too; /* unavailable, and some node refused */
};

/* ---- one process ---- */

static uint64_t
count_of(const struct family *f, const struct selection *s)
{
	uint64_t count = s->is_ci ? f->ci_count : f->count;

	if (s->is_all && f->universe != 0)
		count = f->universe;
	return s->count_max != 0 && s->count_max < count ? s->count_max : count;
}

/* Pattern @p i of those that are tried: all of them, or some drawn evenly. */
static uint64_t
number_of(const struct family *f, const struct selection *s, uint64_t i)
{
	uint64_t random = s->options.seed * 1000003 + i;

	return f->universe == 0 || count_of(f, s) >= f->universe ? i : draw(&random, f->universe);
}

static void
show(const struct family *f, const struct selection *s, uint64_t number, const struct verdict *v)
{
	char text[VERDICT_BYTES + 256];
	int bytes = snprintf(text, sizeof(text), "\ntables --only %s --seed %lu --pattern %lu\n%s",
		f->name, s->options.seed, number, v->text);

	/* In one piece: other processes write, too. */
	if (write(STDERR_FILENO, text, (size_t)bytes) < 0)
		_exit(1);
}

static void
run_share(const struct family *f, const struct selection *s, uint32_t job, struct tally *t)
{
	static struct worker w;
	struct verdict v;
	uint32_t shown = 0;

	worker_init(&w, &s->options, f, job);
	for (uint64_t i = job; i < count_of(f, s); i += s->options.jobs) {
		t->current = number_of(f, s, i);
		worker_run(&w, f, t->current, &v);
		t->outcomes[v.outcome]++;
		t->refused_too += v.outcome == OUTCOME_UNAVAILABLE && v.has_refused;
		t->done++;
		if ((v.outcome == OUTCOME_WRONG && shown++ < WRONG_SHOWN) ||
			(s->options.is_verbose && v.outcome != OUTCOME_RECOVERED))
			show(f, s, t->current, &v);
	}
	worker_fini(&w);
}

static int
run_one(const struct selection *s)
{
	static struct worker w;
	struct verdict v;

	worker_init(&w, &s->options, s->only, 0);
	worker_run(&w, s->only, s->pattern, &v);
	show(s->only, s, s->pattern, &v);
	worker_fini(&w);
	return v.outcome == OUTCOME_WRONG;
}

/* ---- all of them ---- */

static struct tally
sum_of(const struct tally *tallies, uint32_t jobs)
{
	struct tally sum = { 0 };

	for (uint32_t job = 0; job < jobs; job++) {
		sum.done += tallies[job].done;
		sum.refused_too += tallies[job].refused_too;
		for (int i = 0; i < OUTCOME_COUNT; i++)
			sum.outcomes[i] += tallies[job].outcomes[i];
	}
	return sum;
}

/* A process that dies has found something: an assertion is a verdict, too. @return whether it ended
 * well */
static bool
wait_for_one(const struct family *f, const struct selection *s, const pid_t *jobs,
	const struct tally *tallies)
{
	int status;
	pid_t pid = wait(&status);

	for (uint32_t job = 0; job < s->options.jobs; job++)
		if (jobs[job] == pid && status != 0)
			fprintf(stderr,
				"\ntables --only %s --seed %lu --pattern %lu: the process %s %d\n",
				f->name, s->options.seed, tallies[job].current,
				WIFSIGNALED(status) ? "was ended by signal" : "ended with status",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return status == 0;
}

static void
show_progress(const struct family *f, const struct selection *s, const struct tally *tallies,
	uint64_t begin_ns)
{
	struct tally sum = sum_of(tallies, s->options.jobs);

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%s: %lu of %lu, %.0f s ", f->name, sum.done, count_of(f, s),
			(double)(base_now_ns() - begin_ns) / 1e9);
}

static void
print_row(const struct family *f, const struct tally *t, double seconds)
{
	printf("| %-40s | %8lu | %9lu | %7lu | %11lu | %5lu | %6.1f s |\n", f->title, t->done,
		t->outcomes[OUTCOME_RECOVERED], t->outcomes[OUTCOME_REFUSED],
		t->outcomes[OUTCOME_UNAVAILABLE], t->outcomes[OUTCOME_WRONG], seconds);
	fflush(stdout);
}

/* @return true if nothing was wrong */
static bool
run_family(const struct family *f, const struct selection *s, struct tally *tallies)
{
	pid_t jobs[JOB_COUNT_MAX];
	uint32_t left = s->options.jobs;
	uint64_t begin_ns = base_now_ns();
	bool is_good = true;

	memset(tallies, 0, JOB_COUNT_MAX * sizeof(*tallies));
	fflush(stdout);
	for (uint32_t job = 0; job < s->options.jobs; job++) {
		jobs[job] = fork();
		if (jobs[job] < 0) {
			perror("tables: fork");
			exit(2);
		}
		if (jobs[job] != 0)
			continue;
		run_share(f, s, job, &tallies[job]);
		_exit(0);
	}
	while (left > 0) {
		siginfo_t info = { 0 };

		show_progress(f, s, tallies, begin_ns);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
			usleep(200000);
			continue;
		}
		is_good &= wait_for_one(f, s, jobs, tallies);
		left--;
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
	struct tally sum = sum_of(tallies, s->options.jobs);
	print_row(f, &sum, (double)(base_now_ns() - begin_ns) / 1e9);
	return is_good && sum.outcomes[OUTCOME_WRONG] == 0;
}

static int
run_table(const struct selection *s)
{
	struct tally *tallies = mmap(NULL, JOB_COUNT_MAX * sizeof(*tallies), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool is_good = true;

	decree_assert(tallies != MAP_FAILED);
	printf("| %-40s | patterns | recovered | refused | unavailable | wrong |     time |\n"
	       "|------------------------------------------|---------:|----------:|--------:|------"
	       "------:|------:|---------:|\n",
		"damage");
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		if (s->only == NULL || s->only == &families[i])
			is_good &= run_family(&families[i], s, tallies);
	return is_good ? 0 : 1;
}

/* ---- options ---- */

static void
print_usage(FILE *to)
{
	fputs(usage, to);
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		fprintf(to, "  %-13s %s\n", families[i].name, families[i].title);
}

static const struct family *
family_find(const char *name)
{
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		if (strcmp(families[i].name, name) == 0)
			return &families[i];
	fprintf(stderr, "tables: no family %s\n", name);
	print_usage(stderr);
	exit(2);
}

static void
options_read(int argc, char **argv, struct selection *s)
{
	static const struct option names[] = {
		{ "ci", no_argument, NULL, 'c' },
		{ "all", no_argument, NULL, 'a' },
		{ "only", required_argument, NULL, 'o' },
		{ "pattern", required_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'n' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "seed", required_argument, NULL, 's' },
		{ "dir", required_argument, NULL, 'd' },
		{ "direct", no_argument, NULL, 'D' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (c) {
		case 'c': s->is_ci = true; break;
		case 'a': s->is_all = true; break;
		case 'o': s->only = family_find(optarg); break;
		case 'p':
			s->pattern = strtoull(optarg, NULL, 0);
			s->has_pattern = true;
			break;
		case 'n': s->count_max = strtoull(optarg, NULL, 0); break;
		case 'j': s->options.jobs = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 's': s->options.seed = strtoull(optarg, NULL, 0); break;
		case 'd': s->options.directory = optarg; break;
		case 'D': s->options.is_direct = true; break;
		case 'v': s->options.is_verbose = true; break;
		case 'h': print_usage(stdout); exit(0);
		default: print_usage(stderr); exit(2);
		}
	}
	if (s->options.jobs == 0 || s->options.jobs > JOB_COUNT_MAX || optind != argc ||
		(s->has_pattern && s->only == NULL)) {
		print_usage(stderr);
		exit(2);
	}
}

static char directory[256];
static pid_t owner;

static void
directory_remove(void)
{
	pid_t pid = getpid() == owner ? fork() : -1;

	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", directory, (char *)NULL);
		_exit(1);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0); /* failing, it leaves a few MiB behind */
}

static void
directory_make(struct options *o)
{
	snprintf(directory, sizeof(directory), "%.200s/decree-tables-XXXXXX", o->directory);
	if (mkdtemp(directory) == NULL) {
		fprintf(stderr, "tables: cannot make %s: %s\n", directory, strerror(errno));
		exit(2);
	}
	o->directory = directory;
	owner = getpid();
	(void)atexit(directory_remove);
}

/* In memory if there is such a place: nobody cuts the power. */
static const char *
directory_default(void)
{
	const char *given = getenv("TMPDIR");

	if (given != NULL)
		return given;
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

int
main(int argc, char **argv)
{
	struct selection s = {
		.options = {
			.seed = 1,
			.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
			.directory = directory_default(),
		},
	};

	options_read(argc, argv, &s);
	directory_make(&s.options);
	return s.has_pattern ? run_one(&s) : run_table(&s);
}
