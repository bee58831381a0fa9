/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transport itself costs: round trips of 64-byte frames over memif between processes, one in
 * flight, polling with sched_yield, with nothing of decree in the frames.
 *
 * Prints two lines: `echo` (one process answers) and `majority` (two processes answer, the first
 * counts: what a leader with two followers waits for). Sender and echoers are pinned to CPUs in turn.
 */
#include "apps/options.h"
#include "net/net.h"

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES      64
#define ECHOER_COUNT     2
#define WARM_UP_COUNT    2000
#define ROUND_TRIP_COUNT 200000
#define START_TIMEOUT_NS UINT64_C(10000000000)

static char folder[64] = "/tmp/decree-rtt-XXXXXX";

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "rtt: %s\n", what);
	exit(1);
}

/* Start EAL with these devices and give each port a queue. @param place  which CPU, in turn
 * @return the buffers of all */
static struct rte_mempool *
open_ports(const char *const *devices, uint32_t count, const char *name, int place)
{
	static const char *const extra[] = { "--no-telemetry", "--log-level=lib.ethdev:error" };
	static struct net_eal_args args;
	struct net_eal_config config = { .program = "rtt",
		.extra = extra,
		.extra_count = 2,
		.file_prefix = name,
		.devices = devices,
		.device_count = count,
		.memory_mib = 32 };
	struct rte_eth_conf conf = { 0 };
	char error[DECREE_ERROR_BYTES], lcores[32];
	struct rte_mempool *pool;

	snprintf(lcores, sizeof(lcores), "0@%ld", place % sysconf(_SC_NPROCESSORS_ONLN));
	config.lcores = lcores;
	if (net_eal_args(&config, &args, error) != 0)
		die(error);
	if (rte_eal_init(args.argc, args.argv) < 0)
		die("EAL does not start");
	if (rte_eth_dev_count_avail() != count)
		die("a memif port did not come up");
	pool = rte_pktmbuf_pool_create(
		"rtt", 4096, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		die("no memory for buffers");
	for (uint16_t i = 0; i < count; i++)
		if (rte_eth_dev_configure(i, 1, 1, &conf) != 0 ||
			rte_eth_rx_queue_setup(i, 0, 1024, 0, NULL, pool) != 0 ||
			rte_eth_tx_queue_setup(i, 0, 1024, 0, NULL) != 0)
			die("a memif port cannot be configured");
	return pool;
}

/* A memif client that came before its server was ready must connect again: so try until it works. */
static void
start_port(uint16_t port, bool is_client)
{
	struct rte_eth_link link = { 0 };
	uint64_t begun = now();

	for (int i = 0; link.link_status != RTE_ETH_LINK_UP; i++) {
		if (i % 100 == 0 && (i == 0 || is_client)) {
			(void)rte_eth_dev_stop(port);  /* it may not run, */
			(void)rte_eth_dev_start(port); /* and its server may not be there yet */
		}
		(void)rte_eth_link_get_nowait(port, &link); /* down, if it cannot tell */
		if (now() - begun > START_TIMEOUT_NS)
			die("a memif link does not come up");
		usleep(1000);
	}
}

static void
device_of(char *to, size_t room, int echoer, const char *role, int index)
{
	snprintf(to, room, "net_memif%d,role=%s,id=0,socket=%s/%d,socket-abstract=no", index, role,
		folder, echoer);
}

/* Send everything back, for ever. */
static void
run_echoer(int echoer)
{
	char device[256], name[64];
	const char *devices[] = { device };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof(name), "decree-rtt-echo-%d", echoer);
	device_of(device, sizeof(device), echoer, "client", 0);
	(void)open_ports(devices, 1, name, 1 + echoer);
	start_port(0, true);
	for (;;) {
		struct rte_mbuf *mbufs[NET_BURST];
		uint16_t count = rte_eth_rx_burst(0, 0, mbufs, NET_BURST);
		uint16_t sent;

		if (count == 0) {
			sched_yield();
			continue;
		}
		sent = rte_eth_tx_burst(0, 0, mbufs, count);
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	}
}

static void
send_to(struct rte_mempool *pool, uint16_t port, uint64_t sequence)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	if (mbuf == NULL)
		die("out of buffers");
	memset(rte_pktmbuf_append(mbuf, FRAME_BYTES), 0, FRAME_BYTES);
	memcpy(rte_pktmbuf_mtod(mbuf, void *), &sequence, sizeof(sequence));
	if (rte_eth_tx_burst(port, 0, &mbuf, 1) != 1) {
		rte_pktmbuf_free(mbuf); /* this echoer is a whole ring behind the other */
		sched_yield();
	}
}

/* @return true if the echo of this round trip was among what came; late echoes of others are nothing */
static bool
has_echo(uint16_t port, uint64_t sequence)
{
	struct rte_mbuf *mbufs[NET_BURST];
	uint16_t count = rte_eth_rx_burst(port, 0, mbufs, NET_BURST);
	bool is_found = false;

	for (uint16_t i = 0; i < count; i++)
		if (memcmp(rte_pktmbuf_mtod(mbufs[i], void *), &sequence, sizeof(sequence)) == 0)
			is_found = true;
	rte_pktmbuf_free_bulk(mbufs, count);
	return is_found;
}

static uint64_t
round_trip(struct rte_mempool *pool, uint16_t port_count, uint64_t sequence)
{
	uint64_t begun = now();

	for (uint16_t i = 0; i < port_count; i++)
		send_to(pool, i, sequence);
	for (;;) {
		for (uint16_t i = 0; i < port_count; i++)
			if (has_echo(i, sequence))
				return now() - begun;
		sched_yield();
	}
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
measure(struct rte_mempool *pool, const char *name, uint16_t port_count, uint64_t count)
{
	static uint64_t sequence;
	uint64_t *times = malloc(count * sizeof(*times));

	if (times == NULL)
		die("out of memory");
	for (int i = 0; i < WARM_UP_COUNT; i++)
		(void)round_trip(pool, port_count, ++sequence);
	for (uint64_t i = 0; i < count; i++)
		times[i] = round_trip(pool, port_count, ++sequence);
	qsort(times, count, sizeof(*times), compare);
	printf("%s transport=memif frame_bytes=%d round_trips=%llu p50_us=%.2f p99_us=%.2f "
	       "p999_us=%.2f\n",
		name, FRAME_BYTES, (unsigned long long)count, (double)times[count / 2] / 1000,
		(double)times[count * 99 / 100] / 1000, (double)times[count * 999 / 1000] / 1000);
	fflush(stdout);
	free(times);
}

static void
run_sender(uint64_t count)
{
	char texts[ECHOER_COUNT][256];
	const char *devices[ECHOER_COUNT];
	struct rte_mempool *pool;

	for (int i = 0; i < ECHOER_COUNT; i++) {
		device_of(texts[i], sizeof(texts[i]), i, "server", i);
		devices[i] = texts[i];
	}
	pool = open_ports(devices, ECHOER_COUNT, "decree-rtt-sender", 0);
	for (uint16_t i = 0; i < ECHOER_COUNT; i++)
		start_port(i, false);
	measure(pool, "echo", 1, count);
	measure(pool, "majority", ECHOER_COUNT, count);
	for (uint16_t i = 0; i < ECHOER_COUNT; i++) {
		(void)rte_eth_dev_stop(i); /* the end of the program */
		(void)rte_eth_dev_close(i);
	}
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
		die("no folder for the sockets");
	for (int i = 0; i < ECHOER_COUNT; i++) {
		echoers[i] = fork();
		if (echoers[i] == 0)
			run_echoer(i);
		if (echoers[i] < 0)
			die("cannot fork");
	}
	run_sender(count);
	for (int i = 0; i < ECHOER_COUNT; i++) {
		kill(echoers[i], SIGKILL);
		(void)waitpid(echoers[i], NULL, 0); /* gone */
	}
	(void)rmdir(folder); /* empty: closing a port removes its socket */
	return 0;
}
