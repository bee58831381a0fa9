/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing a node's network, and what the control thread asks of it. */
#include "net/device.h"
#include "net/node.h"
#include "net/steer.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/refuse.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A turn of the loop moves some bursts; this many rings' worth wait for a shard that is paused. */
#define RING_COUNT       1024
#define POOL_CACHE_COUNT 256
#define MBUF_COUNT_MIN   4096 /* below, af_xdp's rings leave nothing to send with */

/* Buffers per shard: 1,024 receive and 1,024 send descriptors of one physical port (memif and
 * af_packet copy and hold none; af_xdp always takes 2,048); 2 x 1,024 in rings from and to other
 * shards; 2 x 1.5 x 256 in the caches of the shard's and the control thread's core; the rest, some
 * 3,000, for what the loop holds: a window of 256 slots to six peers is 1,536. At an MTU of 1,500
 * that is 8,192 x 2.4 KiB = 20 MiB of the node's 256. */

static int
fail(int rc, const char *what, char *ret_error)
{
	return base_refuse(rc, ret_error, "network: %s", what);
}

static int
check_peers(const struct net_config *config, char *ret_error)
{
	for (uint32_t i = 0; i < config->peer_count; i++) {
		const struct net_peer_config *peer = &config->peers[i];

		if (peer->node_id == 0 || peer->node_id == config->node_id)
			return fail(-EINVAL, "a peer has node_id 0 or our own", ret_error);
		for (uint32_t k = 0; k < i; k++)
			if (config->peers[k].node_id == peer->node_id)
				return fail(-EINVAL, "two peers have the same node_id", ret_error);
	}
	return 0;
}

static int
check(const struct net_config *config, char *ret_error)
{
	if (config->node_id == 0)
		return fail(-EINVAL, "node_id must be 1 .. 65535", ret_error);
	if (config->shard_count == 0 || config->shard_count > DECREE_SHARD_COUNT_MAX)
		return fail(-EINVAL, "shard_count must be 1 .. 64", ret_error);
	if (config->base_port == 0 || config->base_port + config->shard_count > 65536)
		return fail(-EINVAL, "the shards' UDP ports must be 1 .. 65535", ret_error);
	if (config->mtu != 0 && (config->mtu < NET_MTU_DEFAULT || config->mtu > NET_MTU_MAX))
		return fail(-EINVAL, "mtu must be 1500 .. 9000", ret_error);
	if (config->mbuf_count != 0 && config->mbuf_count < MBUF_COUNT_MIN)
		return fail(-EINVAL, "mbuf_count must be at least 4096", ret_error);
	if (config->port_count == 0 || config->port_count > NET_PORT_COUNT_MAX)
		return fail(-EINVAL, "1 .. 8 ports are needed", ret_error);
	if (config->peer_count > NET_PEER_COUNT_MAX)
		return fail(-EINVAL, "at most 16 peers", ret_error);
	if (config->identity_bytes > NET_IDENTITY_BYTES_MAX)
		return fail(-EINVAL, "the identity is longer than 256 bytes", ret_error);
	return check_peers(config, ret_error);
}

static struct rte_mempool *
create_pool(const struct net_config *config, uint16_t mtu)
{
	static _Atomic uint32_t serial; /* several nodes may live in one process */
	uint32_t count = config->mbuf_count != 0 ? config->mbuf_count : NET_MBUF_COUNT_DEFAULT;
	uint32_t room =
		RTE_PKTMBUF_HEADROOM + 18u + mtu + (mtu > NET_MTU_DEFAULT ? NET_MTU_SPARE : 0);
	char name[RTE_MEMPOOL_NAMESIZE];

	room = (room + 63) / 64 * 64;
	if (room < RTE_MBUF_DEFAULT_BUF_SIZE)
		room = RTE_MBUF_DEFAULT_BUF_SIZE;
	snprintf(name, sizeof(name), "decree_%u", atomic_fetch_add(&serial, 1));
	return rte_pktmbuf_pool_create(
		name, count, POOL_CACHE_COUNT, 0, (uint16_t)room, SOCKET_ID_ANY);
}

static int
create_shards(struct net_node *node, const struct net_config *config, char *ret_error)
{
	node->shards = base_zeros(config->shard_count, sizeof(*node->shards));
	if (node->shards == NULL)
		return fail(-ENOMEM, "out of memory", ret_error);
	for (uint16_t i = 0; i < config->shard_count; i++) {
		node->shards[i].node = node;
		node->shards[i].shard = i;
		if (tap_init(&node->shards[i].tap) != 0)
			return fail(-ENOMEM, "out of memory", ret_error);
		node->shards[i].pool = create_pool(config, node->mtu);
		if (node->shards[i].pool == NULL)
			return base_refuse(-ENOMEM, ret_error,
				"network: no memory for the buffers of shard %u (%s): reserve more "
				"hugepages, or give EAL more of its memory (-m)",
				i, rte_strerror(rte_errno));
	}
	return 0;
}

static int
open_ports(struct net_node *node, const struct net_config *config, char *ret_error)
{
	for (uint32_t i = 0; i < config->port_count; i++) {
		struct port *port = &node->ports[i];
		int rc;

		snprintf(port->device, sizeof(port->device), "%s", config->ports[i].device);
		port->is_memif_client =
			device_is_memif(port->device) && !device_is_memif_server(port->device);
		rc = port_take(node, port, ret_error);
		if (rc != 0)
			return rc;
		node->port_count = i + 1;
		rc = port_configure(node, port, ret_error);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool
needs_rings(const struct net_node *node)
{
	for (uint32_t i = 0; i < node->port_count; i++)
		if (node->ports[i].queue_count < node->shard_count)
			return true;
	return node->shard_count > 1; /* a hash may put a frame into any queue */
}

static int
create_rings(struct net_node *node, struct rte_ring ***ret_rings)
{
	static _Atomic uint32_t serial;
	uint32_t count = (uint32_t)node->shard_count * node->shard_count;
	struct rte_ring **rings = calloc(count, sizeof(*rings));

	if (rings == NULL)
		return -ENOMEM;
	*ret_rings = rings; /* destroyed with the node, complete or not */
	for (uint32_t i = 0; i < count; i++) {
		char name[RTE_RING_NAMESIZE];

		if (i / node->shard_count == i % node->shard_count)
			continue;
		snprintf(name, sizeof(name), "decree_%u", atomic_fetch_add(&serial, 1));
		rings[i] = rte_ring_create(
			name, RING_COUNT, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (rings[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
open_paths(struct net_node *node, const struct net_config *config, char *ret_error)
{
	struct path_port ports[NET_PORT_COUNT_MAX] = { 0 };

	for (uint32_t i = 0; i < node->port_count; i++) {
		struct rte_ether_addr mac = { 0 };

		(void)rte_eth_macaddr_get(node->ports[i].id, &mac); /* the port exists */
		memcpy(ports[i].mac, mac.addr_bytes, ETHER_MAC_BYTES);
		ports[i].ipv4 = config->ports[i].ipv4;
		ports[i].peer_id = config->ports[i].peer_id;
		ports[i].has_udp_offload = node->ports[i].has_udp_offload;
	}
	randombytes_buf(&node->neighbours.echo_nonce, sizeof(node->neighbours.echo_nonce));
	node->neighbours.echo_nonce |= 1; /* not 0 */
	for (uint16_t i = 0; i < node->shard_count; i++) {
		struct path_config path = {
			.net = config,
			.ports = ports,
			.shard = (uint8_t)i,
			.neighbours = &node->neighbours,
		};
		int rc;

		randombytes_buf(path.seed, sizeof(path.seed));
		rc = path_init(&node->shards[i].path, &path);
		if (rc == -EINVAL)
			return fail(rc, "a peer has neither a port of its own nor a shared one",
				ret_error);
		if (rc != 0)
			return fail(rc, strerror(-rc), ret_error);
	}
	for (uint32_t i = 0; i < config->peer_count; i++)
		node->peer_ports[i] = node->shards[0].path.peers[i].port;
	return 0;
}

static int
start_ports(struct net_node *node, char *ret_error)
{
	for (uint32_t i = 0; i < node->port_count; i++) {
		int rc = port_start(node, &node->ports[i], ret_error);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static void
describe(struct net_node *node)
{
	const char *device = node->ports[0].device;
	size_t bytes;

	if (strncmp(device, "net_", 4) == 0)
		device += 4;
	else if (strncmp(device, "eth_", 4) == 0)
		device += 4;
	else
		device = "pci";
	bytes = strcspn(device, "0123456789,");
	snprintf(node->description, sizeof(node->description), "%.*s, %s", (int)bytes, device,
		node->auth == NET_AUTH_GMAC ? "auth gmac" : "AUTH NONE");
}

int
net_open(const struct net_config *config, struct net_node **ret_node, char *ret_error)
{
	struct net_node *node;
	int rc = check(config, ret_error);

	if (rc != 0)
		return rc;
	if (sodium_init() < 0)
		return fail(-ENOTSUP, "libsodium does not start", ret_error);
	node = base_zeros(1, sizeof(*node));
	if (node == NULL)
		return fail(-ENOMEM, "out of memory", ret_error);
	node->shard_count = config->shard_count;
	node->base_port = config->base_port;
	node->mtu = config->mtu != 0 ? config->mtu : NET_MTU_DEFAULT;
	node->peer_count = config->peer_count;
	node->auth = config->auth;
	node->is_eal_hosts = config->is_eal_hosts;
	if (rte_eth_dev_owner_new(&node->owner_id) != 0) {
		free(node);
		return fail(-ENOMEM, "EAL has no memory for its list of ports", ret_error);
	}

	rc = create_shards(node, config, ret_error);
	if (rc == 0)
		rc = open_ports(node, config, ret_error);
	if (rc == 0 && needs_rings(node)) {
		rc = create_rings(node, &node->received_rings);
		if (rc == 0)
			rc = create_rings(node, &node->sending_rings);
		if (rc != 0)
			(void)fail(rc, "no memory for the rings between shards", ret_error);
	}
	if (rc == 0)
		rc = open_paths(node, config, ret_error);
	if (rc == 0)
		rc = start_ports(node, ret_error);
	if (rc != 0) {
		net_close(node);
		return rc;
	}
	describe(node);
	*ret_node = node;
	return 0;
}

static void
destroy_rings(const struct net_node *node, struct rte_ring **rings)
{
	if (rings == NULL)
		return;
	for (uint32_t i = 0; i < (uint32_t)node->shard_count * node->shard_count; i++) {
		void *mbuf;

		while (rings[i] != NULL && rte_ring_dequeue(rings[i], &mbuf) == 0)
			rte_pktmbuf_free(mbuf);
		rte_ring_free(rings[i]);
	}
	free(rings);
}

/* A driver may keep buffers of a stopped port until its queues are set up again. Where the port is
 * the host's, its pool outlives us then: it costs memory, and would else cost the host its life. */
static void
free_pool(const struct net_node *node, struct rte_mempool *pool)
{
	for (uint32_t i = 0; i < node->port_count; i++)
		if (node->ports[i].is_hosts && pool != NULL && !rte_mempool_full(pool))
			return;
	rte_mempool_free(pool);
}

void
net_close(struct net_node *node)
{
	if (node == NULL)
		return;
	for (uint32_t i = 0; i < node->port_count; i++)
		port_close(node, &node->ports[i]);
	destroy_rings(node, node->received_rings);
	destroy_rings(node, node->sending_rings);
	for (uint16_t i = 0; node->shards != NULL && i < node->shard_count; i++) {
		tap_fini(&node->shards[i].tap);
		path_fini(&node->shards[i].path);
		free_pool(node, node->shards[i].pool);
	}
	free(node->shards);
	free(node);
}

struct net *
net_shard(struct net_node *node, uint16_t shard)
{
	decree_assert(shard < node->shard_count);
	return &node->shards[shard];
}

uint32_t
net_payload_bytes_max(const struct net_node *node)
{
	return node->mtu - (PATH_HEADER_BYTES - 14u); /* an MTU does not count Ethernet's header */
}

void
net_control_tick(struct net_node *node, uint64_t now_ns)
{
	for (uint32_t i = 0; i < node->port_count; i++)
		link_step(node, i, now_ns);
}

void
net_peer_status(
	struct net_node *node, uint16_t shard, uint32_t index, struct net_peer_status *ret_status)
{
	const struct published_peer *from;
	uint64_t state;

	decree_assert(shard < node->shard_count);
	decree_assert(index < node->peer_count);

	from = &node->shards[shard].published[index];
	state = atomic_load_explicit(&from->state, memory_order_relaxed);
	*ret_status = (struct net_peer_status){
		.node_id = node->shards[shard].path.peers[index].config.node_id,
		.state = (enum net_peer_state)(state & 0xff),
		.refusal = (enum net_drop)(state >> 8 & 0xff),
		.has_address = (state >> 16 & 1) != 0,
		.reach = (enum net_reach)(state >> 24 & 0xff),
		.versions = { .min = (uint8_t)(state >> 32), .max = (uint8_t)(state >> 40) },
		.version_required = (uint8_t)(state >> 48),
		.boot_count = atomic_load_explicit(&from->boot_count, memory_order_relaxed),
		.refused_count = atomic_load_explicit(&from->refused_count, memory_order_relaxed),
		.session_count = atomic_load_explicit(&from->session_count, memory_order_relaxed),
		.is_port_up = atomic_load_explicit(
			&node->ports[node->peer_ports[index]].is_up, memory_order_relaxed),
	};
}

bool
net_address_taken(const struct net_node *node, uint8_t *ret_mac)
{
	uint64_t v = atomic_load_explicit(&node->neighbours.taken_by, memory_order_relaxed);

	memcpy(ret_mac, &v, ETHER_MAC_BYTES);
	return v != 0;
}

const struct net_counters *
net_shard_counters(const struct net_node *node, uint16_t shard)
{
	decree_assert(shard < node->shard_count);
	return &node->shards[shard].path.counters;
}

bool
net_tap_has_ended(const struct net_node *node)
{
	for (uint16_t i = 0; i < node->shard_count; i++)
		/* Acquire: pairs with the release in tap_sync(); its last frames are in the ring. */
		if (atomic_load_explicit(&node->shards[i].is_tap_used, memory_order_acquire))
			return false;
	return true;
}

int
net_tap_begin(struct net_node *node, uint32_t snap_bytes)
{
	if (!net_tap_has_ended(node))
		return -EBUSY;
	for (uint16_t i = 0; i < node->shard_count; i++) {
		struct net *net = &node->shards[i];

		decree_assert(!atomic_load_explicit(&net->is_tap_wanted, memory_order_relaxed));
		tap_reset(&net->tap, snap_bytes);
		/* Release: pairs with the acquire in tap_sync(); the tap is as we made it. */
		atomic_store_explicit(&net->is_tap_wanted, true, memory_order_release);
	}
	return 0;
}

void
net_tap_end(struct net_node *node)
{
	for (uint16_t i = 0; i < node->shard_count; i++)
		atomic_store_explicit(&node->shards[i].is_tap_wanted, false, memory_order_release);
}

struct tap *
net_shard_tap(struct net_node *node, uint16_t shard)
{
	decree_assert(shard < node->shard_count);
	return &node->shards[shard].tap;
}

const char *
net_port_device(const struct net_node *node, uint32_t index)
{
	decree_assert(index < node->port_count);
	return node->ports[index].device;
}

uint32_t
net_port_count(const struct net_node *node)
{
	return node->port_count;
}

void
net_describe_steering(const struct net_node *node, char ret_text[NET_STEERING_BYTES])
{
	steer_describe(node, ret_text, NET_STEERING_BYTES);
}

const char *
net_describe(const struct net_node *node)
{
	return node->description;
}
