/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, configuring and starting a port. What a port cannot do (checksums, many queues) is done
 * in software, so any driver will do.
 *
 * Whose a port is. One that EAL has probed for us, at its start or on our request, goes when we go.
 * On an EAL of the host program others may be there already: such a port is used if nobody else
 * does, and left to the host, stopped, afterwards. A port that is in use has an owner, or is
 * started; whatever belongs to somebody else is not even stopped. While we use a port we are its
 * owner, so that a host that walks over all ports (RTE_ETH_FOREACH_DEV) passes by. */
#include "base/refuse.h"
#include "net/device.h"
#include "net/node.h"
#include "net/steer.h"

#include <errno.h>
#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

/* A queue this deep rides out a pause of a millisecond at a million frames a second. */
#define DESCRIPTOR_COUNT 1024

/* EAL names a vdev by what stands before its first comma. */
static bool
is_there(const char *device, uint16_t *ret_id)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	size_t bytes = strcspn(device, ",");

	if (bytes == 0 || bytes >= sizeof(name))
		return false;
	memcpy(name, device, bytes);
	name[bytes] = '\0';
	return rte_eth_dev_get_port_by_name(name, ret_id) == 0;
}

static int
refuse_missing(const struct port *port, char *ret_error)
{
	int rc;

	if (!device_is_pci(port->device))
		return base_refuse(-ENODEV, ret_error,
			"port \"%.256s\" did not come up: EAL has no such device; see the driver's "
			"message above",
			port->device);
	rc = net_device_check(port->device, 0, ret_error);
	if (rc != 0)
		return rc; /* not there, or the kernel's */
	return base_refuse(-ENODEV, ret_error,
		"port \"%.256s\" did not come up: it is bound as it should be, and EAL has no "
		"driver that takes it; 'apt install librte-meta-net' brings those of all NICs, and "
		"'decree check' says whether one is missing. If none is, see EAL's message above",
		port->device);
}

static int
find(struct port *port, bool is_eal_hosts, char *ret_error)
{
	if (is_there(port->device, &port->id)) {
		port->is_hosts = is_eal_hosts;
		return 0;
	}
	/* An EAL that its host has started knows nothing of our ports; one of ours has tried
	 * before, and now says again why it failed. */
	net_remove_stale_socket(port->device);
	if (rte_dev_probe(port->device) == 0 && is_there(port->device, &port->id))
		return 0;
	return refuse_missing(port, ret_error);
}

int
port_take(struct net_node *node, struct port *port, char *ret_error)
{
	struct rte_eth_dev_owner owner = { .id = node->owner_id, .name = "decree" };
	struct rte_eth_dev_owner other = { 0 };
	int rc = find(port, node->is_eal_hosts, ret_error);

	if (rc != 0)
		return rc;
	(void)rte_eth_dev_owner_get(port->id, &other); /* it exists */
	if (other.id == RTE_ETH_DEV_NO_OWNER)
		rc = rte_eth_dev_owner_set(port->id, &owner);
	if (rc == 0 && other.id == RTE_ETH_DEV_NO_OWNER)
		return 0;
	return base_refuse(-EBUSY, ret_error,
		"port \"%.256s\" belongs to somebody else in this process (\"%s\"): give the node "
		"one of its own",
		port->device, other.name);
}

/* ------------------------------------------------------------------ the end */

/* What EAL's interrupt thread is asked to do. */
struct errand {
	const struct port *port;
	bool is_close; /* else it is to be stopped */
	sem_t done;
};

static void
errand_run(const struct errand *e)
{
	if (e->is_close)
		(void)rte_eth_dev_close(e->port->id); /* whatever fails, it is gone */
	else
		(void)rte_eth_dev_stop(e->port->id); /* it fails only if it is stopped */
}

static void
on_errand(void *context)
{
	struct errand *e = context;

	errand_run(e);
	(void)sem_post(&e->done); /* it is ours, and counts to one */
}

/* The driver of memif serves its connections on EAL's interrupt thread. There it frees what a
 * connection had when the peer ends it, without a lock against whoever stops or closes the port at
 * that moment, and both free the same: so we do it on that thread too. Alarms run there. */
static void
end_device(const struct port *port, bool is_close)
{
	struct errand e = { .port = port, .is_close = is_close };

	if (!device_is_memif(port->device) || sem_init(&e.done, 0, 0) != 0) {
		errand_run(&e);
		return;
	}
	if (rte_eal_alarm_set(1, on_errand, &e) == 0)
		while (sem_wait(&e.done) != 0)
			continue; /* a signal */
	else
		errand_run(&e);
	(void)sem_destroy(&e.done); /* nobody waits */
}

void
port_close(struct net_node *node, struct port *port)
{
	struct rte_eth_dev_info info = { 0 };

	(void)rte_eth_dev_info_get(port->id, &info); /* it exists */
	if (port->state != PORT_STOPPED)
		port_stop(port); /* nobody uses it any more */
	if (port->is_hosts) {
		(void)rte_eth_dev_owner_unset(port->id, node->owner_id); /* ours: it was taken */
		return;
	}
	/* Out of EAL altogether: a stopped device may still point into our pools. */
	if (device_is_memif(port->device))
		end_device(port, true);
	if (info.device == NULL || rte_dev_remove(info.device) != 0)
		(void)rte_eth_dev_close(port->id);
}

static int
fail(const struct port *port, const char *what, int rc, char *ret_error)
{
	if (rc == -1) /* drivers' way to say that something went wrong */
		rc = -EIO;
	return base_refuse(
		rc, ret_error, "port \"%.256s\": %s failed: %s", port->device, what, strerror(-rc));
}

/* Packets of full size would be lost in silence, and with them every slot that is full. */
static int
refuse_mtu(const struct port *port, uint32_t wanted, uint32_t possible, char *ret_error)
{
	return base_refuse(-EINVAL, ret_error,
		"port \"%.256s\": its driver takes packets of %u bytes at most, and 'mtu' says %u: "
		"%slower 'mtu', and 'slot_bytes' with it",
		port->device, possible, wanted, device_room_advice(port->device));
}

static uint16_t
min_u16(uint32_t a, uint32_t b)
{
	return (uint16_t)(a < b ? a : b);
}

static int
setup_queues(struct net_node *node, struct port *port, const struct rte_eth_dev_info *info,
	char *ret_error)
{
	uint16_t receive_count = DESCRIPTOR_COUNT, send_count = DESCRIPTOR_COUNT;
	int socket = rte_eth_dev_socket_id(port->id);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &receive_count, &send_count);

	(void)info;
	if (rc != 0 && rc != -ENOTSUP)
		return fail(port, "choosing the queues' depth", rc, ret_error);
	for (uint16_t i = 0; i < port->queue_count; i++) {
		rc = rte_eth_rx_queue_setup(
			port->id, i, receive_count, (unsigned)socket, NULL, node->shards[i].pool);
		if (rc != 0)
			return fail(port, "setting up a receive queue", rc, ret_error);
		rc = rte_eth_tx_queue_setup(port->id, i, send_count, (unsigned)socket, NULL);
		if (rc != 0)
			return fail(port, "setting up a send queue", rc, ret_error);
	}
	return 0;
}

int
port_configure(struct net_node *node, struct port *port, char *ret_error)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = { 0 };
	uint16_t mtu = 0;
	uint32_t frame_bytes;
	int rc = rte_eth_dev_info_get(port->id, &info);

	if (rc != 0)
		return fail(port, "asking what it can do", rc, ret_error);
	port->queue_count =
		min_u16(node->shard_count, min_u16(info.max_rx_queues, info.max_tx_queues));
	if (port->queue_count == 0)
		return fail(port, "finding a queue", -ENODEV, ret_error);

	frame_bytes = device_frame_bytes(port->device, info.max_rx_pktlen);
	if (node->mtu > RTE_ETHER_MTU && frame_bytes < node->mtu + 14u)
		return refuse_mtu(port, node->mtu, frame_bytes - 14u, ret_error);
	/* EAL goes by what the driver says, and refuses what is beyond it. */
	if (node->mtu > RTE_ETHER_MTU && info.max_mtu >= node->mtu &&
		info.max_rx_pktlen >= node->mtu + 14u)
		conf.rxmode.mtu = node->mtu;
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	port->has_udp_offload = conf.txmode.offloads != 0;
	if (port->queue_count > 1 && (info.flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_UDP)) {
		/* Spreads clients and peers; a frame in the wrong queue is handed over. */
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_UDP;
		port->has_hash = true;
	}
	rc = rte_eth_dev_configure(port->id, port->queue_count, port->queue_count, &conf);
	if (rc == -EBUSY)
		return base_refuse(rc, ret_error,
			"port \"%.256s\" is started already, so this program uses it itself: give "
			"the node one of its own, or stop it before",
			port->device);
	if (rc != 0)
		return fail(port, "configuring it", rc, ret_error);
	if (rte_eth_dev_get_mtu(port->id, &mtu) == 0 && mtu != node->mtu)
		(void)rte_eth_dev_set_mtu(port->id, node->mtu); /* software ports need not know */
	return setup_queues(node, port, &info, ret_error);
}

int
port_start(const struct net_node *node, struct port *port, char *ret_error)
{
	int rc = rte_eth_dev_start(port->id);

	if (rc == 0) {
		port->state = PORT_RUNNING;
		steer_start(node, port);
		atomic_store(&port->is_wanted, true);
		return 0;
	}
	port->state = PORT_STOPPED;
	if (port->is_memif_client) {
		steer_start(node, port);
		return 0;
	}
	return fail(port, "starting it", rc, ret_error);
}

void
port_stop(struct port *port)
{
	steer_stop(port);
	end_device(port, false);
	port->state = PORT_STOPPED;
}
