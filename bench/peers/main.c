/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree beside etcd, ZooKeeper and libraft: three nodes each, on one host and one disk, durable as
 * each is when nothing else is said.
 *
 * One round: for each system, start it with nothing on its disk (decree with its log's space
 * written once, but for --no-prewrite), load it for a while as a whole, then measure each load, and
 * end it; nothing of the others runs meanwhile. The floor is one more of them. Then the next round,
 * which begins with the next system (A B C B C A C A B). The loop that loads, the clock, the
 * histogram, the counters and the files are those of `decree bench`.
 */
#include "apps/options.h"
#include "bench/commit/floors.h"
#include "bench/commit/settings.h"
#include "bench/peers/report.h"
#include "bench/ports.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE_IN_FLIGHT 256

static const struct peer *const peers[] = {
	&peer_decree,
#ifdef HAS_LIBRAFT
	&peer_libraft,
#endif
	&peer_decree_thread,
	&peer_decree_client,
#ifdef HAS_NGHTTP2
	&peer_etcd,
#endif
#ifdef HAS_ZOOKEEPER
	&peer_zookeeper,
#endif
};
#define PEER_COUNT (sizeof(peers) / sizeof(peers[0]))

/* For which this program was built without a library. */
static const char *const missing[] = {
#ifndef HAS_LIBRAFT
	"libraft: built without libraft-dev and libuv1-dev",
#endif
#ifndef HAS_NGHTTP2
	"etcd: built without libnghttp2-dev",
#endif
#ifndef HAS_ZOOKEEPER
	"zookeeper: built without libzookeeper-st-dev",
#endif
	NULL
};

struct bench {
	struct plan plan;
	double settle_s;
	const char *systems, *json, *dir;
	uint32_t sizes[PLAN_LIST_COUNT_MAX], size_count;
	uint32_t in_flights[PLAN_LIST_COUNT_MAX], in_flight_count;
	struct peer_entry entries[PEER_COUNT_MAX];
	uint32_t entry_count;
	struct run run;
	struct results results;
};

/* ------------------------------------------------------------------------------ options */

struct numbers_option {
	uint32_t *values, *count;
};

static bool
take_numbers(const struct option_row *row, const char *text)
{
	const struct numbers_option *list = row->context;

	for (*list->count = 0;
		*text >= '0' && *text <= '9' && *list->count < PLAN_LIST_COUNT_MAX;) {
		char *end;
		unsigned long long value = strtoull(text, &end, 10);

		if (value < row->min || value > row->max || (*end != ',' && *end != '\0'))
			break;
		list->values[(*list->count)++] = (uint32_t)value;
		if (*end == '\0')
			return true;
		text = end + 1;
	}
	(void)complain_usage("--%s: expected numbers from %llu to %llu, as in 1,64", row->name,
		(unsigned long long)row->min, (unsigned long long)row->max);
	return false;
}

static bool
take_seconds(const struct option_row *row, const char *text)
{
	double *seconds = row->context;
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= 0 && number <= 3600)) {
		(void)complain_usage("--%s %s: expected seconds, 0 to 3600", row->name, text);
		return false;
	}
	*seconds = number;
	return true;
}

static const char about[] =
	"decree beside etcd, ZooKeeper and libraft: three nodes each on this host, durable, in "
	"turns; with one command in flight, and with as many as each does best with. Embedded "
	"systems are loaded inside the process that leads, servers by a client.\n"
	"bench/peers/run installs them, and runs this where decree's nodes have ports for clients.";

static int
take_options(struct bench *b, int argc, char **argv)
{
	struct numbers_option sizes = { b->sizes, &b->size_count },
			      in_flights = { b->in_flights, &b->in_flight_count };
	const struct option_row rows[] = {
		{ "systems", 0, "LIST",
			"of decree, libraft, decree-thread, decree-client, etcd,\n"
			"zookeeper (all)",
			.text = &b->systems },
		{ "in-flight", 0, "LIST",
			"commands without an answer (1,64,256,1000,2000,4000,8000)",
			.take = take_numbers, .context = &in_flights, .min = 1,
			.max = PLAN_IN_FLIGHT_MAX },
		{ "bytes", 0, "LIST", "size of a command, of a value (64)", .take = take_numbers,
			.context = &sizes, .min = 1, .max = PLAN_BYTES_MAX },
		{ "rounds", 0, "N", "repeat everything (3)", .number32 = &b->plan.round_count,
			.min = 1, .max = PLAN_ROUND_COUNT_MAX },
		{ "seconds", 0, "S", "measure each load so long (2)", .take = take_seconds,
			.context = &b->plan.seconds },
		{ "warm-up", 0, "S", "run a load before it is measured (0.5)", .take = take_seconds,
			.context = &b->plan.warm_up_s },
		{ "settle", 0, "S",
			"load a system that was just started, before anything is measured (4)",
			.take = take_seconds, .context = &b->settle_s },
		{ "connections", 0, "N", "of clients with more in flight than one (8)",
			.number32 = &b->plan.connection_count, .min = 1, .max = 64 },
		{ "log-bytes", 0, "N", "size of decree's log (128 MiB)",
			.number = &b->plan.log_bytes, .min = 4u << 20, .max = UINT64_MAX },
		{ "no-prewrite", 0, NULL,
			"leave the space of decree's logs unwritten, as 'decree format' does",
			.flag = &b->plan.is_not_prewritten },
		{ "dir", 0, "FOLDER", "where all have their files (/var/tmp)", .text = &b->dir },
		{ "json", 0, "FILE", "write everything, for 'decree bench-plot'",
			.text = &b->json },
		{ "verbose", 0, NULL, "show what decree's nodes log", .flag = &b->plan.is_verbose },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first, status;

	options_set_program("peers", "");
	status = options_take(argc, argv, &page, &first);
	if (status == OPTIONS_GO_ON && first != argc)
		return complain_usage("what is '%s'?", argv[first]);
	if (status == OPTIONS_GO_ON && b->plan.seconds <= 0)
		return complain_usage("--seconds 0 measures nothing");
	return status;
}

/* ----------------------------------------------------------------------------- what is measured */

static bool
is_wanted(const struct bench *b, const char *name)
{
	const char *at = b->systems;
	size_t length = strlen(name);

	while (at != NULL && *at != '\0') {
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
		at += strcspn(at, ",");
		at += *at == ',';
	}
	return b->systems == NULL;
}

/* @return false: there is no such system */
static bool
is_known(const char *name, size_t length)
{
	static const char *const names[] = { "decree", "libraft", "decree-thread", "decree-client",
		"etcd", "zookeeper" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
			return true;
	return false;
}

static int
check_systems(const struct bench *b)
{
	for (const char *at = b->systems; at != NULL && *at != '\0';) {
		size_t length = strcspn(at, ",");

		if (!is_known(at, length))
			return complain_usage("--systems: what is '%.*s'?", (int)length, at);
		at += length + (at[length] == ',');
	}
	return OPTIONS_GO_ON;
}

static bool
has_auth(const struct peer *p)
{
	return p == &peer_decree || p == &peer_decree_thread || p == &peer_decree_client;
}

static bool
add_points(struct bench *b, struct peer_entry *e)
{
	e->first = b->plan.point_count;
	for (uint32_t i = 0; i < b->size_count; i++)
		for (uint32_t k = 0; k < b->in_flight_count; k++) {
			uint32_t most = e->peer->in_flight_max, in_flight = b->in_flights[k];

			if (most != 0 && in_flight > most)
				in_flight = most;
			if (k > 0 &&
				b->plan.points[b->plan.point_count - 1].load.in_flight == in_flight)
				continue; /* cut already */
			if (b->plan.point_count == PLAN_POINT_COUNT_MAX)
				return false;
			b->plan.points[b->plan.point_count++] = (struct plan_point){
				.shape = { .node_count = PEER_NODE_COUNT,
					.shard_count = 1,
					.mode = PLAN_DURABLE,
					.has_auth = has_auth(e->peer),
					.is_load_inside = e->peer->is_load_inside,
					.is_load_apart = !e->peer->is_embedded,
					.system = e->peer->system,
					.version = e->version,
					.transport = e->peer->transport,
					.started = e->peer->started },
				.load = { .in_flight = in_flight, .bytes = b->sizes[i] },
			};
		}
	e->after = b->plan.point_count;
	return true;
}

/* A line for each system: what it is, or why it is not measured. */
static int
choose(struct bench *b)
{
	for (const char *const *word = missing; *word != NULL; word++)
		printf("skipped     %s\n", *word);
	for (size_t i = 0; i < PEER_COUNT; i++) {
		struct peer_entry *e = &b->entries[b->entry_count];
		const char *why;

		if (!is_wanted(b, peers[i]->name))
			continue;
		why = peers[i]->look(e->version);
		if (why != NULL) {
			printf("skipped     %s: %s\n", peers[i]->name, why);
			continue;
		}
		printf("system      %s %s, %s%s%s\n", peers[i]->system, e->version,
			peers[i]->transport, peers[i]->started == NULL ? "" : "; ",
			peers[i]->started == NULL ? "" : peers[i]->started);
		e->peer = peers[i];
		b->entry_count++;
		if (!add_points(b, e))
			return complain("more than %u combinations", PLAN_POINT_COUNT_MAX);
	}
	return b->entry_count > 0 ? 0 : complain("nothing is left to measure");
}

/* ------------------------------------------------------------------------------ rounds */

/* As a whole: code is compiled where that is done late, space of logs is written for the first
 * time, caches fill. */
static int
settle(struct bench *b, const struct plan_load *load)
{
	static struct run_result unused;
	struct plan_load first = { .in_flight = SETTLE_IN_FLIGHT, .bytes = load->bytes };
	struct plan plan = b->plan;
	int rc;

	if (b->settle_s <= 0)
		return 0;
	b->plan.seconds = b->settle_s;
	b->plan.warm_up_s = 0.2; /* counters are read before the measurement begins */
	rc = run_measure(&b->run, &first, false, &unused);
	b->plan.seconds = plan.seconds;
	b->plan.warm_up_s = plan.warm_up_s;
	return rc;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

/* @param ret  [e->after - e->first] */
static int
measure_loads(struct bench *b, const struct peer_entry *e, struct run_result *ret)
{
	int rc = run_await(&b->run);

	if (rc == 0)
		rc = settle(b, &b->plan.points[e->first].load);
	for (uint32_t i = e->first; rc == 0 && i < e->after; i++)
		rc = run_measure(&b->run, &b->plan.points[i].load, false, &ret[i - e->first]);
	return rc;
}

static int
measure_system(struct bench *b, const struct peer_entry *e, struct run_result *ret)
{
	struct peer_run p = { .run = &b->run, .connection_count = b->plan.connection_count };
	int rc = ports_choose(p.ports, sizeof(p.ports) / sizeof(p.ports[0]));

	snprintf(p.folder, sizeof(p.folder), "%.255s/%s", b->run.cluster.folder, e->peer->name);
	if (rc == 0 && mkdir(p.folder, 0777) != 0)
		rc = -errno;
	if (rc != 0)
		return complain("%s: %s", p.folder, strerror(-rc)), rc;
	rc = e->peer->start(&p);
	if (rc == 0)
		rc = measure_loads(b, e, ret);
	run_end(&b->run);
	(void)nftw(p.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* a leftover harms nobody */
	return rc;
}

/* A system may fail once in a while, and is then started anew, once. */
static int
measure_in_round(struct bench *b, const struct peer_entry *e, uint32_t round)
{
	struct run_result *results = calloc(e->after - e->first, sizeof(*results));
	int rc = results == NULL ? -ENOMEM : measure_system(b, e, results);
	bool is_retried = rc != 0 && rc != -EINTR && results != NULL;

	if (is_retried) {
		printf("round %u: %s failed, and is tried once more\n", round + 1, e->peer->system);
		rc = measure_system(b, e, results);
	}
	for (uint32_t i = e->first; rc == 0 && i < e->after; i++) {
		results_add(&b->results, i, round, &results[i - e->first]);
		b->results.points[i].is_retried[round] = is_retried;
		peer_report_measured(&b->results, i, round);
	}
	free(results);
	if (rc != 0)
		(void)complain("%s could not be measured", e->peer->system);
	return rc;
}

/* Whose turn it is: the systems', and behind the last of them the floors'. */
static int
measure_turn(struct bench *b, uint32_t turn, uint32_t round)
{
	int rc = 0;

	if (turn < b->entry_count)
		return measure_in_round(b, &b->entries[turn], round);
	for (uint32_t i = 0; rc == 0 && i < b->plan.point_count; i++)
		rc = floors_measure_one(&b->results, i, round);
	return rc;
}

static int
measure_all(struct bench *b)
{
	int rc = 0;

	for (uint32_t round = 0; rc == 0 && round < b->plan.round_count; round++) {
		for (uint32_t i = 0; rc == 0 && i <= b->entry_count; i++)
			rc = measure_turn(b, (round + i) % (b->entry_count + 1), round);
		if (rc != 0)
			break;
		results_compare(&b->results, round);
	}
	return rc;
}

static void
print_header(const struct bench *b)
{
	header_print(&b->results.header, stdout);
	settings_print(&b->plan, stdout);
	printf("run         %u round%s of %g s for each load, after %g s of the same; %g s of %u "
	       "in flight on a system that was just started; %u connections of clients, one for "
	       "one in flight\n",
		b->plan.round_count, b->plan.round_count == 1 ? "" : "s", b->plan.seconds,
		b->plan.warm_up_s, b->settle_s, SETTLE_IN_FLIGHT, b->plan.connection_count);
	printf("load        CLOSED LOOP: the next command follows an answer\n");
	if (!header_is_release())
		printf("build       NOT A RELEASE BUILD: figures are worth nothing\n");
	printf("\n");
	(void)fflush(stdout);
}

static int
run(struct bench *b)
{
	int rc;

	print_header(b);
	if (measure_all(b) != 0)
		return EXIT_FAILURE;
	peer_report_print(&b->results, b->entries, b->entry_count, b->sizes, b->size_count);
	rc = b->json == NULL ? 0 : results_write_json(&b->results, b->json);
	return rc == 0 ? EXIT_SUCCESS : complain("%s: %s", b->json, strerror(-rc));
}

int
main(int argc, char **argv)
{
	static struct bench b;

	b = (struct bench){
		.plan = { .round_count = 3,
			.seconds = 2,
			.warm_up_s = 0.5,
			.log_bytes = 128ull << 20,
			.connection_count = 8,
			.words = argv,
			.word_count = (uint32_t)argc },
		.settle_s = 4,
		.dir = "/var/tmp",
		.sizes = { 64 },
		.size_count = 1,
		.in_flights = { 1, 64, 256, 1000, 2000, 4000, 8000 },
		.in_flight_count = 7,
	};
	char dir[PATH_MAX];
	int status = take_options(&b, argc, argv);

	if (status == OPTIONS_GO_ON)
		status = check_systems(&b);
	if (status != OPTIONS_GO_ON)
		return status;
	/* Sockets between nodes have to have absolute paths. */
	if (realpath(b.dir, dir) == NULL)
		return complain("--dir %s: %s", b.dir, strerror(errno));
	b.plan.dir = dir;
	status = choose(&b);
	if (status != 0)
		return status;
	if (run_open(&b.run, &b.plan) != 0)
		return EXIT_FAILURE;
	status = results_open(&b.results, &b.plan) == 0 ? run(&b)
							: complain("no memory for results");
	run_close(&b.run);
	results_close(&b.results);
	return status;
}
