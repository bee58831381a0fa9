/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/options.h"
#include "bench/floor.h"
#include "bench/network.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_TRIP_NODE_COUNT 2

static const char about[] =
	"What a commit cannot be faster than on this host, without a line of the engine: the raw "
	"round trip of a "
	"frame, a majority's echo, a durable write beside as many others as there are nodes, and "
	"all of it: a "
	"leader and its followers exchange a frame, write a block durably and answer.";

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

int
floor_main(int argc, char **argv)
{
	struct floor_plan plan = { .dir = "/var/tmp", .node_count = 3, .block_bytes = 4096 };
	static const char *const transports[] = { "memif", "af_packet", "af_xdp", NULL };
	uint64_t milliseconds = 1000, transport = WIRE_MEMIF;
	char dir[PATH_MAX];
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
		{ "dir", 0, "FOLDER", "where they write", .text = &plan.dir },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first;
	int status;

	options_set_program("decree", "bench floor");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first != argc)
		return complain_usage("what is '%s'?", argv[first]);
	if (plan.block_bytes % 512 != 0)
		return complain_usage("--bytes %u: expected a multiple of 512", plan.block_bytes);
	if (realpath(plan.dir, dir) == NULL)
		return complain("--dir %s: %s", plan.dir, strerror(errno));
	plan.dir = dir; /* sockets have to have absolute paths */
	plan.seconds = (double)milliseconds / 1e3;
	plan.joined_by = (enum wire_kind)transport;
	if (transport != WIRE_MEMIF &&
		network_open(plan.node_count < ROUND_TRIP_NODE_COUNT ? ROUND_TRIP_NODE_COUNT
								     : plan.node_count) != 0)
		return EXIT_FAILURE;
	return measure(&plan);
}
