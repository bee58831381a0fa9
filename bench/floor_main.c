/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/options.h"
#include "bench/commit/plan.h"
#include "bench/floor.h"
#include "bench/hosts/floor.h"
#include "bench/hosts/main.h"
#include "bench/network.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_TRIP_NODE_COUNT 2

static const char about[] =
	"What a commit cannot be faster than on this host, without a line of the engine: the raw "
	"round trip of a frame, a majority's echo, a durable write beside as many others as there "
	"are nodes, and all of it: a leader and its followers exchange a frame, write a block "
	"durably and answer.\n"
	"With --config the same between the hosts of a cluster, over their ports and addresses, "
	"while no node runs.";

static void
print(const char *name, const struct histogram *h)
{
	static const double percents[] = { 50, 90, 99, 99.9 };

	printf("%-14s", name);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		printf(" p%g", percents[i]);
		if (histogram_has(h, percents[i]))
			printf(" %9.2f", (double)histogram_at(h, percents[i]) / 1e3);
		else
			printf(" %9s", "-"); /* fewer than ten samples above */
	}
	printf(" us  (%llu)\n", (unsigned long long)h->count);
	fflush(stdout);
}

static int
measure(const struct floor_plan *given)
{
	static struct histogram times;
	struct floor_plan echo = *given, round_trip = *given, client_echo;

	echo.block_bytes = round_trip.block_bytes = 0;
	round_trip.node_count = ROUND_TRIP_NODE_COUNT;
	if (floor_commit(&round_trip, &times) != 0)
		return EXIT_FAILURE;
	print("round trip", &times);
	if (given->node_count > 1) {
		if (floor_commit(&echo, &times) != 0)
			return EXIT_FAILURE;
		print("majority echo", &times);
		client_echo = echo;
		client_echo.has_client = true;
		if (floor_commit(&client_echo, &times) != 0)
			return EXIT_FAILURE;
		print("echo to client", &times);
	}
	if (floor_append(given, &times) != 0)
		return EXIT_FAILURE;
	print("append", &times);
	if (floor_commit(given, &times) != 0)
		return EXIT_FAILURE;
	print("floor", &times);
	return EXIT_SUCCESS;
}

#define SETTING_COUNT_MAX 16

struct settings {
	const char *texts[SETTING_COUNT_MAX];
	uint32_t count;
};

static bool
take_setting(const struct option_row *row, const char *text)
{
	struct settings *s = row->context;

	if (s->count == SETTING_COUNT_MAX) {
		(void)complain_usage("more than %d times --set", SETTING_COUNT_MAX);
		return false;
	}
	s->texts[s->count++] = text;
	return true;
}

static int
between_hosts(
	const struct floor_plan *plan, const struct settings *settings, struct hosts_options *hosts)
{
	hosts->settings = settings->texts;
	hosts->setting_count = settings->count;
	hosts->dir = plan->dir;
	hosts->seconds = plan->seconds;
	hosts->block_bytes = plan->block_bytes;
	return hosts_main(hosts);
}

static int
on_this_host(struct floor_plan *plan)
{
	uint32_t place_count = plan->node_count;
	char dir[PATH_MAX];

	if (plan->dir == NULL)
		plan->dir = "/var/tmp";
	if (realpath(plan->dir, dir) == NULL)
		return complain("--dir %s: %s", plan->dir, strerror(errno));
	plan->dir = dir; /* sockets have to have absolute paths */
	if (place_count < ROUND_TRIP_NODE_COUNT)
		place_count = ROUND_TRIP_NODE_COUNT;
	if (plan->joined_by != WIRE_MEMIF && network_open(place_count, PLAN_MTU_MIN) != 0)
		return EXIT_FAILURE;
	return measure(plan);
}

int
floor_main(int argc, char **argv)
{
	struct floor_plan plan = { .node_count = 3, .block_bytes = 4096 };
	static const char *const transports[] = { "memif", "af_packet", "af_xdp", NULL };
	uint64_t milliseconds = 1000, transport = WIRE_MEMIF;
	struct hosts_options hosts = { .words = argv, .word_count = (uint32_t)argc };
	struct settings settings = { .count = 0 };
	const struct option_row rows[] = {
		{ "nodes", 0, "N", "how many processes", .number32 = &plan.node_count, .min = 1,
			.max = FLOOR_NODE_COUNT_MAX },
		{ "bytes", 0, "N", "a block, a multiple of 512", .number32 = &plan.block_bytes,
			.min = 512, .max = 1 << 20 },
		{ "milliseconds", 0, "N", "measure each for so long", .number = &milliseconds,
			.min = 1, .max = 3600000 },
		{ "transport", 0, "WORD",
			"what joins them: memif, af_packet, af_xdp; the last two need root",
			.number = &transport, .words = transports },
		{ "dir", 0, "FOLDER",
			"where they write (/var/tmp; with --config: beside the node's data)",
			.text = &plan.dir },
		{ "config", 'c', "FILE",
			"between hosts: be this node, whose lowest id measures; the same command "
			"on each",
			.text = &hosts.config },
		{ "set", 0, "section.key=value", "of the configuration; may be repeated",
			.take = take_setting, .context = &settings },
		{ "rounds", 0, "N", "with --config: repeat everything (3)",
			.number32 = &hosts.round_count, .min = 1, .max = HOSTS_ROUND_COUNT_MAX },
		{ "wait", 0, "S", "with --config: for hosts that have not come yet (60)",
			.number32 = &hosts.wait_s, .min = 1, .max = 86400 },
		{ "json", 0, "FILE", "with --config: write everything that was measured",
			.text = &hosts.json },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first, status;

	options_set_program("decree", "bench floor");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first != argc)
		return complain_usage("what is '%s'?", argv[first]);
	if (plan.block_bytes % 512 != 0)
		return complain_usage("--bytes %u: expected a multiple of 512", plan.block_bytes);
	if (hosts.config != NULL && transport != WIRE_MEMIF)
		return complain_usage("--transport goes without --config, which says it");
	if (hosts.config == NULL &&
		(hosts.round_count != 0 || hosts.wait_s != 0 || hosts.json != NULL))
		return complain_usage("--rounds, --wait and --json go with --config: on one host "
				      "'decree bench' measures floors in rounds, and writes them");
	hosts.round_count = hosts.round_count != 0 ? hosts.round_count : 3;
	hosts.wait_s = hosts.wait_s != 0 ? hosts.wait_s : 60;
	plan.seconds = (double)milliseconds / 1e3;
	plan.joined_by = (enum wire_kind)transport;
	return hosts.config != NULL ? between_hosts(&plan, &settings, &hosts) : on_this_host(&plan);
}
