/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transport itself costs: round trips of 64-byte frames over memif between processes, one in
 * flight, polling with sched_yield, with nothing of decree in the frames.
 *
 * Prints two lines: `echo` (one process answers) and `majority` (two processes answer, the first
 * counts: what a leader with two followers waits for). Sender and echoers are pinned to CPUs in turn.
 */
#include "apps/histogram.h"
#include "apps/options.h"
#include "bench/clock.h"
#include "bench/memif.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ECHOER_COUNT     2
#define WARM_UP_COUNT    2000
#define ROUND_TRIP_COUNT 200000

static char folder[64] = "/tmp/decree-rtt-XXXXXX";

/* Send every number back, for ever. */
static void
run_echoer(int echoer)
{
	struct memif m;
	uint64_t number;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memif_open(&m, "rtt", 1 + echoer, folder, echoer, 1, false);
	for (;;) {
		if (memif_poll(&m, 0, &number) > 0)
			memif_send(&m, 0, number);
		else
			sched_yield();
	}
}

/* @return ns until the first echo of this round trip; late echoes of others are nothing */
static uint64_t
round_trip(struct memif *m, uint16_t port_count, uint64_t sequence)
{
	uint64_t begun = now_ns(), number;

	for (uint16_t i = 0; i < port_count; i++)
		memif_send(m, i, sequence);
	for (;;) {
		for (uint16_t i = 0; i < port_count; i++)
			if (memif_poll(m, i, &number) > 0 && number == sequence)
				return now_ns() - begun;
		sched_yield();
	}
}

static void
measure(struct memif *m, const char *name, uint16_t port_count, uint64_t count)
{
	static struct histogram times;
	static uint64_t sequence;

	for (int i = 0; i < WARM_UP_COUNT; i++)
		(void)round_trip(m, port_count, ++sequence);
	histogram_reset(&times);
	for (uint64_t i = 0; i < count; i++)
		histogram_add(&times, round_trip(m, port_count, ++sequence));
	printf("%s transport=memif frame_bytes=%d round_trips=%llu p50_us=%.2f p99_us=%.2f "
	       "p999_us=%.2f\n",
		name, MEMIF_FRAME_BYTES, (unsigned long long)count,
		(double)histogram_at(&times, 50) / 1000, (double)histogram_at(&times, 99) / 1000,
		(double)histogram_at(&times, 99.9) / 1000);
	fflush(stdout);
}

static void
run_sender(uint64_t count)
{
	struct memif m;

	memif_open(&m, "rtt", 0, folder, 0, ECHOER_COUNT, true);
	measure(&m, "echo", 1, count);
	measure(&m, "majority", ECHOER_COUNT, count);
	memif_close(&m);
}

static const char about[] =
	"What the transport itself costs: round trips of 64-byte frames over memif between "
	"processes, with one process that answers, and with two of which the first counts.";

/* @return OPTIONS_GO_ON, or the exit status */
static int
take_arguments(int argc, char **argv, uint64_t *ret_count)
{
	const struct option_row rows[] = {
		{ .argument = "ROUND_TRIPS",
			.help = "how many of each kind",
			.number = ret_count,
			.min = 1,
			.max = 1000000000 },
	};
	const struct option_page page = { "[ROUND_TRIPS]", about, rows, 1 };
	int first;
	int status;

	options_set_program("rtt", "");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON || first == argc)
		return status;
	if (first < argc - 1)
		return complain_usage("what is '%s'?", argv[first + 1]);
	return parse_number("ROUND_TRIPS", argv[first], rows[0].min, rows[0].max, ret_count)
		       ? OPTIONS_GO_ON
		       : EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	uint64_t count = ROUND_TRIP_COUNT;
	pid_t echoers[ECHOER_COUNT];
	int status = take_arguments(argc, argv, &count);

	if (status != OPTIONS_GO_ON)
		return status;
	if (mkdtemp(folder) == NULL)
		memif_die("no folder for the sockets");
	for (int i = 0; i < ECHOER_COUNT; i++) {
		echoers[i] = fork();
		if (echoers[i] == 0)
			run_echoer(i);
		if (echoers[i] < 0)
			memif_die("cannot fork");
	}
	run_sender(count);
	for (int i = 0; i < ECHOER_COUNT; i++) {
		kill(echoers[i], SIGKILL);
		(void)waitpid(echoers[i], NULL, 0); /* gone */
	}
	(void)rmdir(folder); /* empty: closing a port removes its socket */
	return 0;
}
