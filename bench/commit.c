/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit latency and throughput of an embedded cluster: three processes on this host, each with a node in it,
 * joined by memif. The process whose node leads proposes commands from a thread of its own and measures
 * from decree_propose() to the completion.
 *
 * One round = start the cluster, elect, warm up (the logs are pre-written meanwhile), measure, stop. With the
 * program floor beside this one, each round also measures the floor with the same transport and disk, so that the
 * two are compared side by side (A B A B); without it it says so. The medians over the rounds are printed, and last
 * one JSON object: with the floor's keys only if there is one. Ratios are medians of the rounds' ratios. What the kernel counts for the device
 * meanwhile is printed per commit: of all nodes, and of whoever else writes there.
 *
 * --state-bytes N gives the state machine N bytes beside its counter, and runs each round twice: without snapshots, and
 * with one after the other. The last object then compares the two. The first snapshots are written into new files,
 * later ones over old blocks: the warm-up must be long enough for two (N = 1 GiB: 60 s), and the measurement for one.
 */
#include "apps/histogram.h"
#include "apps/options.h"
#include "bench/clock.h"
#include "bench/cluster.h"
#include "bench/counters.h"
#include "bench/machine.h"
#include "decree/node.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NODE_COUNT        3
#define IN_FLIGHT_MAX     4096
#define ROUND_COUNT_MAX   32
#define SETTING_COUNT_MAX 16
#define WARM_UP_S         2.0 /* pre-writing 192 MiB takes 1.5 s */
#define ELECTION_NS_MAX   20000000000ull

struct options {
	uint32_t in_flight;
	double seconds;
	uint32_t rounds;
	const char *mode;
	uint64_t log_bytes;
	uint32_t bytes;
	const char *settings[SETTING_COUNT_MAX];
	uint32_t setting_count;
	const char *dir;
	uint64_t state_bytes;
	double warm_up_s;
};

/* What the leader's process reports. */
struct result {
	uint64_t commits;
	double seconds;
	double p50_us, p99_us, p999_us, max_us;
	uint64_t memory_kib;
	uint32_t snapshots; /* finished while measuring */
	bool is_counted;    /* what the device did: for all nodes, and whoever else uses it */
	bool is_exact;      /* else there were at most so many writes */
	struct counters device;
};

static bool is_verbose;

static void
die(const char *what)
{
	fprintf(stderr, "commit: %s\n", what);
	exit(1);
}

/* ------------------------------------------------------------------------------ one node */

static void
on_log(void *context, enum decree_log_level level, const char *line)
{
	const uint16_t *node_id = context;

	if (is_verbose || level <= DECREE_LOG_ERROR)
		fprintf(stderr, "node %u: %s\n", *node_id, line);
}

struct load {
	struct decree_proposer *proposer;
	uint8_t body[65536];
	uint32_t bytes;
	uint64_t started[IN_FLIGHT_MAX];
	uint32_t free[IN_FLIGHT_MAX];
	uint32_t free_count;
	uint64_t commits;
	struct histogram histogram;
	bool is_measuring;
};

static void
push_all(struct load *l)
{
	uint64_t now = now_ns();

	while (l->free_count > 0) {
		uint32_t place = l->free[l->free_count - 1];

		l->started[place] = now;
		if (decree_propose(l->proposer, l->body, l->bytes, (void *)(uintptr_t)place) != 0)
			return;
		l->free_count--;
	}
}

static uint32_t
poll_some(struct load *l)
{
	struct decree_completion done[256];
	uint32_t count = decree_poll(l->proposer, done, 256);
	uint64_t now = count > 0 ? now_ns() : 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t place = (uint32_t)(uintptr_t)done[i].cookie;

		if (done[i].outcome != DECREE_APPLIED)
			die("a command was not applied");
		if (l->is_measuring)
			histogram_add(&l->histogram, now - l->started[place]);
		l->free[l->free_count++] = place;
	}
	l->commits += count;
	return count;
}

static void
run_for(struct load *l, uint64_t for_ns)
{
	uint64_t until = now_ns() + for_ns;

	do {
		push_all(l);
		if (poll_some(l) == 0)
			sched_yield();
	} while (now_ns() < until);
}

static uint64_t
memory_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kib, sum = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %llu", &kib) == 1 ||
			sscanf(line, "HugetlbPages: %llu", &kib) == 1)
			sum += kib;
	if (file != NULL)
		fclose(file);
	return sum;
}

static void
measure(struct decree_node *node, struct bench_machine *machine, const struct options *o, int out)
{
	static struct load l;
	char error[DECREE_ERROR_BYTES];
	struct result r = { 0 };
	struct counters before = { 0 }, after;
	struct counter_source counters;
	uint32_t snapshots;
	uint64_t began;

	if (decree_proposer_open(node, 0, &l.proposer, error) != 0)
		die(error);
	(void)counters_open(&counters, o->dir); /* what cannot be opened cannot be read */
	l.bytes = o->bytes;
	for (uint32_t i = 0; i < o->in_flight; i++)
		l.free[l.free_count++] = i;
	run_for(&l, (uint64_t)(o->warm_up_s * 1e9));
	snapshots = atomic_load(&machine->snapshot_count);
	l.is_measuring = true;
	l.commits = 0;
	r.is_counted = counters_read(&counters, &before) == 0;
	began = now_ns();
	run_for(&l, (uint64_t)(o->seconds * 1e9));
	r.seconds = (double)(now_ns() - began) / 1e9;
	r.commits = l.commits;
	r.is_counted = r.is_counted && counters_read(&counters, &after) == 0 && r.commits > 0;
	r.is_exact = counters.is_exact;
	if (r.is_counted)
		r.device = counters_between(&before, &after);
	r.p50_us = (double)histogram_at(&l.histogram, 50) / 1e3;
	r.p99_us = (double)histogram_at(&l.histogram, 99) / 1e3;
	r.p999_us = (double)histogram_at(&l.histogram, 99.9) / 1e3;
	r.max_us = (double)histogram_at(&l.histogram, 100) / 1e3;
	r.memory_kib = memory_kib();
	r.snapshots = atomic_load(&machine->snapshot_count) - snapshots;
	counters_close(&counters);
	if (write(out, &r, sizeof(r)) != sizeof(r))
		die("the parent is gone");
	decree_proposer_close(l.proposer);
}

/* @return node_id of the leader once it is known; this node's own only when it is ready */
static uint16_t
await_leader(struct decree_node *node, uint16_t self)
{
	uint64_t until = now_ns() + ELECTION_NS_MAX;
	struct timespec pause = { .tv_nsec = 5000000 };

	while (now_ns() < until) {
		struct decree_group_status status;
		char error[DECREE_ERROR_BYTES];

		if (decree_health(node, error) != 0)
			die(error);
		if (decree_group_status(node, 0, &status) == 0 && status.leader != 0 &&
			(status.leader != self || status.ready))
			return status.leader;
		nanosleep(&pause, NULL);
	}
	die("no leader within 20 s");
	return 0;
}

static void
child(const struct bench_cluster *c, uint16_t node_id, const struct options *o, int in, int out)
{
	static struct bench_machine machine;
	void *machines[] = { &machine };
	struct decree_node *node;
	char config[512], error[DECREE_ERROR_BYTES], byte;
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = config,
		.settings = o->settings,
		.setting_count = o->setting_count,
		.machine_ops = &bench_machine_ops,
		.machines = machines,
		.group_count = 1,
		.context = &node_id,
		.on_log = on_log,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (bench_machine_init(&machine, o->state_bytes) != 0)
		die("no memory for the state");
	bench_cluster_config(c, node_id, config);
	if (decree_open(&options, &node, error) != 0)
		die(error);
	if (decree_start(node) != 0)
		die("the node does not start");
	if (await_leader(node, node_id) == node_id)
		measure(node, &machine, o, out);
	/* Until the parent says that the leader is done. */
	if (read(in, &byte, 1) < 0)
		die("the parent is gone");
	decree_stop(node);
	decree_close(node);
	_exit(0);
}

/* ------------------------------------------------------------------------------ the parent */

static struct result
run_cluster(const struct bench_cluster *c, const struct options *o)
{
	int stop_pipe[2], result_pipe[2];
	pid_t pids[NODE_COUNT];
	struct result r;

	if (pipe(stop_pipe) != 0 || pipe(result_pipe) != 0)
		die("no pipes");
	for (uint16_t i = 0; i < NODE_COUNT; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork failed");
		if (pids[i] == 0) {
			close(stop_pipe[1]);
			close(result_pipe[0]);
			child(c, (uint16_t)(i + 1), o, stop_pipe[0], result_pipe[1]);
		}
	}
	close(stop_pipe[0]);
	close(result_pipe[1]);
	if (read(result_pipe[0], &r, sizeof(r)) != sizeof(r)) {
		for (int i = 0; i < NODE_COUNT; i++)
			kill(pids[i], SIGKILL);
		die("the cluster ended without a result");
	}
	close(stop_pipe[1]);
	for (int i = 0; i < NODE_COUNT; i++)
		waitpid(pids[i], NULL, 0);
	close(result_pipe[0]);
	return r;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *values, uint32_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare);
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct floor {
	double p50_us, p99_us;
};

/* What the program floor beside this one prints. @return zeros if it is not there; if it fails, so does this one */
static struct floor
run_floor(const char *self, const char *folder)
{
	const char *slash = strrchr(self, '/');
	char command[1024], line[4096];
	struct floor floor = { 0, 0 };
	FILE *output;

	snprintf(command, sizeof(command), "%.*sfloor", (int)(slash == NULL ? 0 : slash - self + 1),
		self);
	if (access(command, X_OK) != 0)
		return floor;
	snprintf(command + strlen(command), sizeof(command) - strlen(command), " --dir '%s'",
		folder);
	output = popen(command, "re");
	while (output != NULL && fgets(line, sizeof(line), output) != NULL) {
		const char *at = strstr(line, "p50_us=");

		if (at == NULL ||
			sscanf(at, "p50_us=%lf p99_us=%lf", &floor.p50_us, &floor.p99_us) != 2)
			floor = (struct floor){ 0, 0 };
	}
	if (output == NULL || pclose(output) != 0 || floor.p50_us == 0)
		die("bench/floor fails: run it alone, or take it away to measure without it");
	return floor;
}

struct series {
	double p50[ROUND_COUNT_MAX], p99[ROUND_COUNT_MAX], p999[ROUND_COUNT_MAX];
	double snapshots_p99[ROUND_COUNT_MAX]; /* with one snapshot after the other */
	double snapshots_ratio[ROUND_COUNT_MAX];
	double rate[ROUND_COUNT_MAX];
	double floor_p50[ROUND_COUNT_MAX], floor_p99[ROUND_COUNT_MAX]; /* 0: not measured */
	double p50_ratio[ROUND_COUNT_MAX],
		p99_ratio[ROUND_COUNT_MAX];                       /* to the floor of the round */
	double writes[ROUND_COUNT_MAX], flushes[ROUND_COUNT_MAX]; /* of the device, per commit */
	bool is_counted, is_exact;
	uint64_t memory_kib;
};

static void
run_round(const char *self, const struct bench_cluster *c, const struct options *o, uint32_t i,
	struct series *s)
{
	char error[DECREE_ERROR_BYTES];
	struct floor floor;
	struct result r;

	if (bench_cluster_format(c, error) != 0)
		die(error);
	r = run_cluster(c, o);
	s->p50[i] = r.p50_us;
	s->p99[i] = r.p99_us;
	s->p999[i] = r.p999_us;
	s->rate[i] = (double)r.commits / r.seconds;
	s->is_exact = (i == 0 || s->is_exact) && r.is_exact;
	s->is_counted = (i == 0 || s->is_counted) && r.is_counted;
	s->writes[i] = (double)r.device.write_count / (double)r.commits;
	s->flushes[i] = (double)r.device.flush_count / (double)r.commits;
	if (s->memory_kib < r.memory_kib)
		s->memory_kib = r.memory_kib;
	floor = run_floor(self, c->folder);
	s->floor_p50[i] = floor.p50_us;
	s->floor_p99[i] = floor.p99_us;
	printf("round %u: p50 %.1f us, p99 %.1f, p99.9 %.1f, max %.0f; %.0f commits/s", i + 1,
		r.p50_us, r.p99_us, r.p999_us, r.max_us, s->rate[i]);
	if (floor.p50_us > 0) {
		s->p50_ratio[i] = r.p50_us / floor.p50_us;
		s->p99_ratio[i] = r.p99_us / floor.p99_us;
		printf("; floor: p50 %.1f us (%.2f x), p99 %.1f (%.2f x)", floor.p50_us,
			s->p50_ratio[i], floor.p99_us, s->p99_ratio[i]);
	}
	if (r.is_counted)
		printf("; %s%.2f device writes and %.2f flushes per commit",
			r.is_exact ? "" : "at most ", s->writes[i], s->flushes[i]);
	printf("\n");
	fflush(stdout);
}

/* The same load on a fresh cluster that is always writing a snapshot. */
static void
run_with_snapshots(
	const struct bench_cluster *c, const struct options *given, uint32_t i, struct series *s)
{
	struct options o = *given;
	char error[DECREE_ERROR_BYTES];
	struct result r;

	if (o.setting_count == SETTING_COUNT_MAX)
		die("too many --set");
	o.settings[o.setting_count++] = "snapshot.interval_slots=1";
	if (bench_cluster_format(c, error) != 0)
		die(error);
	r = run_cluster(c, &o);
	s->snapshots_p99[i] = r.p99_us;
	s->snapshots_ratio[i] = r.p99_us / s->p99[i];
	printf("round %u with snapshots: p50 %.1f us, p99 %.1f (%.2f x), p99.9 %.1f, max %.0f; "
	       "%.0f commits/s; "
	       "%u snapshots of %llu MiB\n",
		i + 1, r.p50_us, r.p99_us, s->snapshots_ratio[i], r.p999_us, r.max_us,
		(double)r.commits / r.seconds, r.snapshots,
		(unsigned long long)(o.state_bytes >> 20));
	fflush(stdout);
}

static void
print_snapshots(const struct options *o, struct series *s)
{
	printf("{\"bench\":\"commit_snapshots\",\"mode\":\"%s\",\"in_flight\":%u,\"bytes\":%u,"
	       "\"rounds\":%u,"
	       "\"state_bytes\":%llu,\"p99_us\":%.1f,\"snapshots_p99_us\":%.1f,\"snapshots_p99_"
	       "ratio\":%.2f}\n",
		o->mode, o->in_flight, o->bytes, o->rounds, (unsigned long long)o->state_bytes,
		median(s->p99, o->rounds), median(s->snapshots_p99, o->rounds),
		median(s->snapshots_ratio, o->rounds));
}

static void
print_sum(const struct options *o, struct series *s)
{
	double p50 = median(s->p50, o->rounds);
	double floor = median(s->floor_p50, o->rounds);

	if (floor == 0)
		printf("floor: not measured, build bench/floor\n");
	printf("{\"bench\":\"commit\",\"mode\":\"%s\",\"transport\":\"memif\",\"auth\":\"gmac\","
	       "\"nodes\":%d,"
	       "\"in_flight\":%u,\"bytes\":%u,\"rounds\":%u,\"p50_us\":%.1f,\"p99_us\":%.1f,"
	       "\"p999_us\":%.1f,\"commits_per_s\":%.0f,\"memory_mib\":%llu",
		o->mode, NODE_COUNT, o->in_flight, o->bytes, o->rounds, p50,
		median(s->p99, o->rounds), median(s->p999, o->rounds), median(s->rate, o->rounds),
		(unsigned long long)(s->memory_kib >> 10));
	if (floor > 0)
		printf(",\"floor_p50_us\":%.1f,\"floor_p99_us\":%.1f,\"p50_over_floor\":%.2f,"
		       "\"p99_over_floor\":%.2f",
			floor, median(s->floor_p99, o->rounds), median(s->p50_ratio, o->rounds),
			median(s->p99_ratio, o->rounds));
	if (s->is_counted)
		printf(",\"device_writes\":%.2f,\"device_writes_exact\":%s,\"device_flushes\":%.2f",
			median(s->writes, o->rounds), s->is_exact ? "true" : "false",
			median(s->flushes, o->rounds));
	printf("}\n");
}

static bool
take_seconds(const struct option_row *row, const char *text)
{
	double *seconds = row->context;
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= 0 && number <= 86400)) {
		(void)complain_usage("--%s %s: expected seconds, 0 to 86400", row->name, text);
		return false;
	}
	*seconds = number;
	return true;
}

static bool
take_setting(const struct option_row *row, const char *text)
{
	struct options *o = row->context;

	if (o->setting_count == SETTING_COUNT_MAX) {
		(void)complain_usage("more than %d times --set", SETTING_COUNT_MAX);
		return false;
	}
	o->settings[o->setting_count++] = text;
	return true;
}

static const char about[] =
	"Commit latency and throughput of three nodes on this host, joined by memif, as the "
	"process of the leader sees them. With the program floor beside this one the floor is "
	"measured in turns with it.";

static const char state_help[] =
	"bytes of the state machine's state; not 0: each round runs twice, without snapshots "
	"and with one after the other";

/* @return OPTIONS_GO_ON, or the exit status */
static int
take_arguments(int argc, char **argv, struct options *o)
{
	static const char *const modes[] = { "durable", "buffered", "memory", NULL };
	uint64_t mode = 0;
	const struct option_row rows[] = {
		{ "in-flight", 0, "N", "commands on their way at a time", .number32 = &o->in_flight,
			.min = 1, .max = IN_FLIGHT_MAX },
		{ "seconds", 0, "S", "measure this long in a round (2)", .take = take_seconds,
			.context = &o->seconds },
		{ "rounds", 0, "N", "rounds; the medians are printed", .number32 = &o->rounds,
			.min = 1, .max = ROUND_COUNT_MAX },
		{ "mode", 0, "WORD", "log mode: durable, buffered or memory", .number = &mode,
			.words = modes },
		{ "log-bytes", 0, "N", "size of a node's log", .number = &o->log_bytes,
			.max = UINT64_MAX },
		{ "bytes", 0, "N", "size of a command", .number32 = &o->bytes, .max = 65536 },
		{ "state-bytes", 0, "N", state_help, .number = &o->state_bytes, .max = UINT64_MAX },
		{ "warm-up", 0, "S", "seconds before each measurement (2)", .take = take_seconds,
			.context = &o->warm_up_s },
		{ "set", 0, "section.key=value", "a setting of the nodes; may be repeated",
			.take = take_setting, .context = o },
		{ "dir", 0, "FOLDER", "where the nodes have their data", .text = &o->dir },
		{ "verbose", 0, NULL, "show what the nodes log", .flag = &is_verbose },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first;
	int status;

	options_set_program("commit", "");
	status = options_take(argc, argv, &page, &first);
	if (status == OPTIONS_GO_ON && first != argc)
		return complain_usage("what is '%s'?", argv[first]);
	if (status == OPTIONS_GO_ON && o->seconds <= 0)
		return complain_usage("--seconds 0 measures nothing");
	o->mode = modes[mode];
	return status;
}

int
main(int argc, char **argv)
{
	struct options o = {
		.in_flight = 1,
		.seconds = 2,
		.rounds = 3,
		.log_bytes = 256ull << 20,
		.bytes = 64,
		.dir = "/var/tmp",
		.warm_up_s = WARM_UP_S,
	};
	struct bench_cluster c = { .node_count = NODE_COUNT };
	static struct series s;
	char error[DECREE_ERROR_BYTES];
	int status = take_arguments(argc, argv, &o);

	if (status != OPTIONS_GO_ON)
		return status;
	c.mode = o.mode;
	c.log_bytes = o.log_bytes;
	snprintf(c.folder, sizeof(c.folder), "%.200s/dbXXXXXX", o.dir);
	if (bench_cluster_create(&c, error) != 0)
		die(error);
	printf("3 nodes over memif with gmac on %ld CPUs, log %s, %u commands of %u bytes in "
	       "flight, "
	       "%.1f s x %u\n",
		sysconf(_SC_NPROCESSORS_ONLN), o.mode, o.in_flight, o.bytes, o.seconds, o.rounds);
	fflush(stdout);
	for (uint32_t i = 0; i < o.rounds; i++) {
		run_round(argv[0], &c, &o, i, &s);
		if (o.state_bytes > 0)
			run_with_snapshots(&c, &o, i, &s);
	}
	print_sum(&o, &s);
	if (o.state_bytes > 0)
		print_snapshots(&o, &s);
	bench_cluster_remove(&c);
	return 0;
}
