/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes that are joined by memif and close their ports at the same moment, give or take a
 * random part of 0.3 ms, again and again. Each has a thread of EAL's that serves the driver's
 * connections, and does what the peer's end makes necessary while we end ours. Nobody may crash, or
 * free what is freed already, which EAL says in its log.
 *
 *     net_close ROUNDS
 */
#include "net/net.h"

#include "base/clock.h"

#include <rte_eal.h>
#include <rte_log.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define JITTER_NS 300000
#define LEAD_NS   1000000 /* until both have seen when they close */
#define LINK_NS   20000000000

/* Of both processes. */
struct meeting {
	_Atomic uint32_t open[2], linked[2], closed[2]; /* rounds, by process */
	_Atomic uint64_t close_ns;
};

static void
await(_Atomic uint32_t *what, uint32_t round)
{
	while (atomic_load(what) < round)
		usleep(50);
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "net_close: %s\n", what);
	exit(2);
}

static void
start_eal(bool is_client)
{
	static struct net_eal_args args;
	char prefix[64], error[DECREE_ERROR_BYTES];
	struct net_eal_config config = {
		.program = "net_close", .file_prefix = prefix, .memory_mib = 128
	};

	snprintf(prefix, sizeof(prefix), "decree-net-close-%d-%d", getpid(), is_client);
	if (net_eal_args(&config, &args, error) != 0)
		die(error);
	if (rte_eal_init(args.argc, args.argv) < 0)
		die("EAL does not start");
}

static struct net_node *
open_node(bool is_client, const char *folder)
{
	char device[300], error[DECREE_ERROR_BYTES];
	struct net_port_config port = { .device = device, .ipv4 = 0x0a000001u + is_client };
	struct net_peer_config peer = {
		.node_id = is_client ? 1 : 2, .ipv4 = 0x0a000002u - is_client, .base_port = 4200
	};
	struct net_config config = {
		.cluster_id = 7,
		.node_id = is_client ? 2 : 1,
		.boot_count = 1,
		.base_port = 4200,
		.shard_count = 2,
		.mbuf_count = 4096,
		.ports = &port,
		.port_count = 1,
		.peers = &peer,
		.peer_count = 1,
		.auth = NET_AUTH_NONE,
	};
	struct net_node *node;

	snprintf(device, sizeof(device),
		"net_memif0,role=%s,id=0,socket=%.200s/socket,socket-abstract=no",
		is_client ? "client" : "server", folder);
	if (net_open(&config, &node, error) != 0)
		die(error);
	return node;
}

/* As the shards and the control thread do, until the link is up. */
static void
await_link(struct net_node *node)
{
	uint64_t until = base_now_ns() + LINK_NS;
	struct net_peer_status s = { 0 };

	while (!s.is_port_up) {
		uint64_t t = base_now_ns();

		if (t > until)
			die("the link does not come up");
		for (uint16_t shard = 0; shard < 2; shard++)
			net_dpdk_ops.tick(net_shard(node, shard), t);
		net_control_tick(node, t);
		net_peer_status(node, 0, 0, &s);
		usleep(200);
	}
}

static void
one_round(struct meeting *m, bool is_client, uint32_t round, const char *folder)
{
	struct net_node *node;
	uint64_t close_ns;

	if (is_client)
		await(&m->open[0], round); /* a socket to connect to */
	node = open_node(is_client, folder);
	atomic_store(&m->open[is_client], round);
	await_link(node);
	atomic_store(&m->linked[is_client], round);
	await(&m->linked[!is_client], round);
	if (!is_client)
		atomic_store(&m->close_ns, base_now_ns() + LEAD_NS);
	atomic_store(&m->closed[is_client], round);
	await(&m->closed[0], round); /* with the moment */
	close_ns = atomic_load(&m->close_ns) + (uint64_t)rand() % JITTER_NS;
	while (base_now_ns() < close_ns)
		continue;
	net_close(node);
}

static int
run(struct meeting *m, bool is_client, uint32_t rounds, const char *folder)
{
	FILE *log = tmpfile();
	char line[256];
	int bad = 0;

	if (log == NULL || rte_openlog_stream(log) != 0)
		die("no file for EAL's log");
	srand(1 + is_client);
	start_eal(is_client);
	for (uint32_t round = 1; round <= rounds; round++)
		one_round(m, is_client, round, folder);
	rewind(log);
	while (fgets(line, sizeof(line), log) != NULL)
		if (strstr(line, "Invalid memory") != NULL)
			bad++;
	if (bad > 0)
		fprintf(stderr, "net_close: the %s freed %d times what was freed already\n",
			is_client ? "client" : "server", bad);
	return bad > 0;
}

int
main(int argc, char **argv)
{
	uint32_t rounds = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;
	char folder[] = "/tmp/decree-net-close-XXXXXX"; /* a socket's path must be short */
	struct meeting *m =
		mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, rc;
	pid_t client;

	if (rounds == 0)
		die("see the head of net_close.c");
	if (m == MAP_FAILED || mkdtemp(folder) == NULL)
		die("no memory, or no folder in /tmp");
	client = fork();
	if (client == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(run(m, true, rounds, folder));
	}
	rc = run(m, false, rounds, folder);
	(void)waitpid(client, &status, 0); /* ours */
	(void)rmdir(folder);               /* the driver has removed the socket */
	if (status != 0)
		fprintf(stderr, "net_close: the client ended with status 0x%x\n", status);
	return rc != 0 || status != 0;
}
