/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/memif.h"

#include "bench/clock.h"
#include "net/net.h"

#include <assert.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_TIMEOUT_NS UINT64_C(10000000000)

static const char *program_name = "bench";

void
memif_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_name, what);
	exit(1);
}

static void
eal_start(const char *const *devices, uint32_t count, const char *program, int place)
{
	static const char *const extra[] = { "--no-telemetry", "--log-level=lib.ethdev:error" };
	static struct net_eal_args args;
	char error[DECREE_ERROR_BYTES], lcores[32], prefix[64];
	long cpu_count = sysconf(_SC_NPROCESSORS_ONLN);
	struct net_eal_config config = { .program = program,
		.extra = extra,
		.extra_count = 2,
		.file_prefix = prefix,
		.lcores = lcores,
		.devices = devices,
		.device_count = count,
		.memory_mib = 32 };

	snprintf(prefix, sizeof(prefix), "decree-%s-%d", program, (int)getpid());
	snprintf(lcores, sizeof(lcores), place < 0 ? "0@(0-%ld)" : "0@%ld",
		place < 0 ? cpu_count - 1 : place % cpu_count);
	if (net_eal_args(&config, &args, error) != 0)
		memif_die(error);
	if (rte_eal_init(args.argc, args.argv) < 0)
		memif_die("EAL does not start");
	if (rte_eth_dev_count_avail() != count)
		memif_die("a memif port did not come up");
}

static struct rte_mempool *
ports_configure(uint16_t count)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		"memif", 4096, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

	if (pool == NULL)
		memif_die("no memory for buffers");
	for (uint16_t i = 0; i < count; i++)
		if (rte_eth_dev_configure(i, 1, 1, &conf) != 0 ||
			rte_eth_rx_queue_setup(i, 0, 1024, 0, NULL, pool) != 0 ||
			rte_eth_tx_queue_setup(i, 0, 1024, 0, NULL) != 0)
			memif_die("a memif port cannot be configured");
	return pool;
}

/* A memif client that came before its server was ready must connect again: so try until it works. */
static void
port_start(uint16_t port, bool is_server)
{
	struct rte_eth_link link = { 0 };
	uint64_t begun = now_ns();

	for (int i = 0; link.link_status != RTE_ETH_LINK_UP; i++) {
		if (i % 100 == 0 && (i == 0 || !is_server)) {
			(void)rte_eth_dev_stop(port);  /* it may not run, */
			(void)rte_eth_dev_start(port); /* and its server may not be there yet */
		}
		(void)rte_eth_link_get_nowait(port, &link); /* down, if it cannot tell */
		if (now_ns() - begun > START_TIMEOUT_NS)
			memif_die("a memif link does not come up");
		usleep(1000);
	}
}

void
memif_open(struct memif *m, const char *program, int place, const char *folder, int first,
	uint16_t port_count, bool is_server)
{
	char texts[NET_PORT_COUNT_MAX][256];
	const char *devices[NET_PORT_COUNT_MAX];

	assert(port_count > 0 && port_count <= NET_PORT_COUNT_MAX);
	program_name = program;
	for (int i = 0; i < port_count; i++) {
		snprintf(texts[i], sizeof(texts[i]),
			"net_memif%d,role=%s,id=0,socket=%.150s/%d,socket-abstract=no", i,
			is_server ? "server" : "client", folder, first + i);
		devices[i] = texts[i];
	}
	eal_start(devices, port_count, program, place);
	m->pool = ports_configure(port_count);
	m->port_count = port_count;
	for (uint16_t i = 0; i < port_count; i++)
		port_start(i, is_server);
}

void
memif_close(struct memif *m)
{
	for (uint16_t i = 0; i < m->port_count; i++) {
		(void)rte_eth_dev_stop(i); /* the end of the program */
		(void)rte_eth_dev_close(i);
	}
}

void
memif_send(struct memif *m, uint16_t port, uint64_t number)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(m->pool);

	if (mbuf == NULL)
		memif_die("out of buffers");
	memset(rte_pktmbuf_append(mbuf, MEMIF_FRAME_BYTES), 0, MEMIF_FRAME_BYTES);
	memcpy(rte_pktmbuf_mtod(mbuf, void *), &number, sizeof(number));
	if (rte_eth_tx_burst(port, 0, &mbuf, 1) != 1) {
		rte_pktmbuf_free(mbuf);
		sched_yield();
	}
}

uint16_t
memif_poll(struct memif *m, uint16_t port, uint64_t *ret_number)
{
	struct rte_mbuf *mbufs[NET_BURST];
	uint16_t count = rte_eth_rx_burst(port, 0, mbufs, NET_BURST);

	(void)m;
	if (count > 0)
		memcpy(ret_number, rte_pktmbuf_mtod(mbufs[count - 1], void *), sizeof(*ret_number));
	rte_pktmbuf_free_bulk(mbufs, count);
	return count;
}
