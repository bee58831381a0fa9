/* SPDX-License-Identifier: Apache-2.0 */
/* Links that come and go. af_packet and af_xdp recover by themselves when a peer is killed. A memif
 * client does not: its server's socket is gone, and only dev_stop and dev_start make it connect
 * again. Both are slow, so they run on the control thread, after the shards have let go of the port
 * (node.h).
 *
 *   STOPPED  --dev_start succeeds-->  RUNNING  --link down, no connection-->  DRAINING
 *      ^                                 ^                                    |
 *      |                                 +-- dev_stop, dev_start succeeded ---+
 *      +------------------------------------ dev_start failed ----------------+
 */
#include "net/device.h"
#include "net/node.h"

#define RETRY_NS (50 * UINT64_C(1000000))
/* A link that is not up after this is looked at again: perhaps its server was not ready. */
#define SETTLE_NS (250 * UINT64_C(1000000))
/* But not while its connection is open. It needs seven messages and four for each shard, one after
 * the other, each of which wakes a thread of the other process, and how long that takes on a busy
 * host, or with a part of a CPU, is anybody's guess: begun anew it might be begun for ever. Worse,
 * DPDK's driver (22.11) frees twice what a connection had that ends half made, and a server whose
 * client is gone before it could answer ends its process (rte_panic). This is for one that is
 * stuck. */
#define PATIENCE_NS (10000 * UINT64_C(1000000))

/* It has just been started. */
static void
give_time(struct port *port, uint64_t now_ns)
{
	port->started_ns = now_ns;
	port->state_ns = now_ns + SETTLE_NS;
}

static void
try_start(const struct net_node *node, struct port *port, uint64_t now_ns)
{
	char ignored[DECREE_ERROR_BYTES]; /* the next try, or the status, tells */

	(void)port_start(node, port, ignored);
	if (port->state == PORT_RUNNING)
		give_time(port, now_ns);
	else
		port->state_ns = now_ns + RETRY_NS; /* there is no server */
}

static bool
is_coming_up(const struct port *port, uint64_t now_ns)
{
	return now_ns - port->started_ns < PATIENCE_NS && device_has_connection(port->device);
}

static bool
is_used(const struct net_node *node, uint32_t index)
{
	for (uint16_t i = 0; i < node->shard_count; i++)
		if (atomic_load(&node->shards[i].is_port_used[index]))
			return true;
	return false;
}

void
link_step(struct net_node *node, uint32_t index, uint64_t now_ns)
{
	struct port *port = &node->ports[index];
	struct rte_eth_link link = { 0 };
	bool is_up;

	is_up = port->state == PORT_RUNNING && rte_eth_link_get_nowait(port->id, &link) == 0 &&
		link.link_status == RTE_ETH_LINK_UP;
	atomic_store_explicit(&port->is_up, is_up, memory_order_relaxed);
	if (port->state == PORT_RUNNING && port->started_ns == 0)
		give_time(port, now_ns); /* net_open() has started it */
	if (!port->is_memif_client || now_ns < port->state_ns)
		return;
	switch (port->state) {
	case PORT_STOPPED: try_start(node, port, now_ns); break;
	case PORT_RUNNING:
		if (is_up)
			break;
		if (is_coming_up(port, now_ns)) {
			port->state_ns = now_ns + RETRY_NS;
			break;
		}
		/* Sequentially consistent, as the two in link_sync(): either the shard sees that
		 * the port is not wanted, or we see that it is used. */
		atomic_store(&port->is_wanted, false);
		port->state = PORT_DRAINING;
		break;
	case PORT_DRAINING:
		if (is_used(node, index))
			break;
		port_stop(port);
		try_start(node, port, now_ns);
		break;
	}
}

void
link_sync(struct net *net)
{
	struct net_node *node = net->node;

	for (uint32_t i = 0; i < node->port_count; i++) {
		bool is_wanted = atomic_load(&node->ports[i].is_wanted);

		if (is_wanted == net->is_port_on[i])
			continue;
		atomic_store(&net->is_port_used[i], is_wanted);
		/* Looked at again: the control thread may have changed its mind before it could see
		 * that we use the port. */
		if (is_wanted && !atomic_load(&node->ports[i].is_wanted)) {
			atomic_store(&net->is_port_used[i], false);
			is_wanted = false;
		}
		net->is_port_on[i] = is_wanted;
	}
}
