/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/dpdk.h"

#include "net/net.h"

#include <assert.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DESCRIPTOR_COUNT 1024
#define EXTRA_COUNT_MAX  40

static const char *
start(const struct dpdk_config *c)
{
	static struct net_eal_args args;
	static char error[DECREE_ERROR_BYTES];
	const char *extra[EXTRA_COUNT_MAX] = { "--no-telemetry", "--log-level=lib.ethdev:error" };
	char lcores[32], prefix[64];
	struct net_eal_config config = { .program = c->program,
		.extra = extra,
		.extra_count = 2 + c->extra_count,
		.file_prefix = prefix,
		.lcores = lcores,
		.devices = c->devices,
		.device_count = c->device_count,
		.memory_mib = 32 };

	assert(config.extra_count <= EXTRA_COUNT_MAX);
	for (uint32_t i = 0; i < c->extra_count; i++)
		extra[2 + i] = c->extra[i];
	snprintf(prefix, sizeof(prefix), "decree-%s-%d", c->program, (int)getpid());
	snprintf(lcores, sizeof(lcores), "0@(0-%ld)", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	if (net_eal_args(&config, &args, error) != 0)
		return error;
	return rte_eal_init(args.argc, args.argv) < 0 ? "EAL does not start" : NULL;
}

/* EAL names a device by what stands before its first comma. */
static bool
find(const char *device, uint16_t *ret_port)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	return rte_eth_dev_get_port_by_name(name, ret_port) == 0;
}

static bool
configure(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = { 0 };
	uint16_t receive_count = DESCRIPTOR_COUNT, send_count = DESCRIPTOR_COUNT;
	int rc;

	if (rte_eth_dev_configure(port, 1, 1, &conf) != 0)
		return false;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &receive_count, &send_count);
	return (rc == 0 || rc == -ENOTSUP) &&
	       rte_eth_rx_queue_setup(port, 0, receive_count, 0, NULL, pool) == 0 &&
	       rte_eth_tx_queue_setup(port, 0, send_count, 0, NULL) == 0;
}

const char *
dpdk_open(const struct dpdk_config *c, uint16_t *ret_ports, struct rte_mempool **ret_pool)
{
	const char *wrong = start(c);

	if (wrong != NULL)
		return wrong;
	for (uint32_t i = 0; i < c->device_count; i++)
		if (!find(c->devices[i], &ret_ports[i]))
			return "a port did not come up";
	*ret_pool = rte_pktmbuf_pool_create(
		"bench", 4096, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (*ret_pool == NULL)
		return "no memory for buffers";
	for (uint32_t i = 0; i < c->device_count; i++)
		if (!configure(ret_ports[i], *ret_pool))
			return "a port cannot be configured";
	return NULL;
}

void
dpdk_close(const uint16_t *ports, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		(void)rte_eth_dev_stop(ports[i]); /* the end of the program */
		(void)rte_eth_dev_close(ports[i]);
	}
}
