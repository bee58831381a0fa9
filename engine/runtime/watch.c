/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the network turns away, told to the operator: a peer whose handshake is refused, and frames
 * that a healthy cluster never sees. Each kind is told at most once per REPEAT_NS, with how many
 * there were and what to look at. The control thread calls this once a second.
 */
#include "base/version.h"
#include "engine/runtime/node_private.h"

#define REPEAT_NS (30 * 1000000000ull)

struct advice {
	enum net_drop drop;
	const char *text;
};

static const struct advice advices[] = {
	{ NET_DROP_CLUSTER, "frames of another cluster: two clusters share addresses and ports" },
	{ NET_DROP_NODE, "frames addressed to another node id: check the 'ip' of each [node N]" },
	{ NET_DROP_SHARD, "frames for a shard that is not here: 'shards' differs between nodes" },
	{ NET_DROP_PEER_UNKNOWN, "frames of or to a node that is not in this node's file: write "
				 "its [node N] there, and restart" },
	{ NET_DROP_TAG, "frames that are not authentic: damaged, or forged" },
	{ NET_DROP_HELLO_TAG, "handshakes under another key or another 'auth': compare key_file on "
			      "all nodes and clients" },
	{ NET_DROP_HELLO_OLD_BOOT, "handshakes with a boot count of the past: a node runs from an "
				   "old copy of its data" },
	{ NET_DROP_HELLO_TWIN, "handshakes of a second process under one node id: stop it; if "
			       "there is one alone, it runs from an old copy of its data" },
	{ NET_DROP_HELLO_IDENTITY, "handshakes of a node with other constants or another disk: "
				   "compare [cluster] on all nodes" },
	{ NET_DROP_ADDRESS_TAKEN,
		"ARP packets of another host that has this node's address: two nodes with one id "
		"or one 'ip', or a host that answers for others" },
	{ NET_DROP_CLIENT_REFUSED, "clients, which are not allowed here: set client_key_file" },
	{ NET_DROP_NO_BUFFER, "frames for lack of buffers" },
};

#define ADVICE_COUNT (sizeof(advices) / sizeof(advices[0]))

static_assert(ADVICE_COUNT < NODE_WATCH_COUNT, "each kind has a place in struct decree_node");

static uint64_t
sum(const struct decree_node *node, enum net_drop drop)
{
	uint64_t count = 0;

	for (uint16_t i = 0; i < node->shard_count; i++)
		count += atomic_load_explicit(
			&net_shard_counters(node->net, i)->dropped[drop], memory_order_relaxed);
	return count;
}

static void
look_at(struct decree_node *node, const struct advice *a, struct node_watch *seen, uint64_t now_ns)
{
	uint64_t count = sum(node, a->drop);
	uint8_t mac[6];

	if (count == seen->count || now_ns < seen->quiet_until_ns)
		return;
	/* Then the node ends, and says that once. Asked behind the count, since the shard notes
	 * whose packet it is before it counts. */
	if (a->drop == NET_DROP_ADDRESS_TAKEN && net_address_taken(node->net, mac))
		return;
	node_log(node, NOTE_DROPS, "dropped %llu %s (%s)",
		(unsigned long long)(count - seen->count), a->text, net_drop_name(a->drop));
	seen->count = count;
	seen->quiet_until_ns = now_ns + REPEAT_NS;
}

/* @return whether some shard refused that peer for the version */
static bool
find_refused(struct decree_node *node, uint32_t peer, struct net_peer_status *ret_status)
{
	for (uint16_t shard = 0; shard < node->shard_count; shard++) {
		net_peer_status(node->net, shard, peer, ret_status);
		if (ret_status->refusal == NET_DROP_HELLO_VERSION)
			return true;
	}
	return false;
}

/* A peer and we speak no common version. Which of the two is to be upgraded depends on what they
 * speak. */
static void
look_at_versions(struct decree_node *node, uint64_t now_ns)
{
	struct node_watch *seen = &node->watches[ADVICE_COUNT];
	uint64_t count = sum(node, NET_DROP_HELLO_VERSION);
	struct net_peer_status status;

	if (count == seen->count || now_ns < seen->quiet_until_ns)
		return;
	for (uint32_t i = 0; i < node->config.node_count - 1; i++)
		if (find_refused(node, i, &status))
			node_log(node, NOTE_VERSION_REFUSED,
				"node %u is refused: it speaks versions %u to %u, and this one "
				"versions %u to %u: install the newer program where the older one "
				"runs (%s)",
				status.node_id, status.versions.min, status.versions.max,
				status.version_required, base_versions.max,
				net_drop_name(NET_DROP_HELLO_VERSION));
	seen->count = count;
	seen->quiet_until_ns = now_ns + REPEAT_NS;
}

void
watch_drops(struct decree_node *node, uint64_t now_ns)
{
	for (uint32_t i = 0; node->net != NULL && i < ADVICE_COUNT; i++)
		look_at(node, &advices[i], &node->watches[i], now_ns);
	if (node->net != NULL)
		look_at_versions(node, now_ns);
}

void
watch_address(struct decree_node *node)
{
	const struct config_node *self = config_find_node(&node->config, node->config.node_id);
	char text[DECREE_ERROR_BYTES];
	uint8_t mac[6];

	if (node->net == NULL || !net_address_taken(node->net, mac) ||
		atomic_load(&node->failed) != 0)
		return;
	snprintf(text, sizeof(text),
		"another host (%02x:%02x:%02x:%02x:%02x:%02x) has the address of this node, "
		"%u.%u.%u.%u: two nodes run with one id or one 'ip'. Stop the other one, or "
		"correct 'node' in [local] here",
		mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], self->ipv4 >> 24,
		self->ipv4 >> 16 & 255, self->ipv4 >> 8 & 255, self->ipv4 & 255);
	node_fail(node, -EADDRINUSE, text);
}

/* Small frames get through and full ones do not: everything looks well, and nothing is decided. */
void
watch_reach(struct decree_node *node, uint64_t now_ns)
{
	for (uint32_t i = 0; node->net != NULL && i + 1 < node->config.node_count; i++) {
		struct net_peer_status status;

		net_peer_status(node->net, 0, i, &status);
		if (status.reach != NET_REACH_NARROW || now_ns < node->narrow_quiet_until_ns[i])
			continue;
		node->narrow_quiet_until_ns[i] = now_ns + REPEAT_NS;
		node_log(node, NOTE_NARROW,
			"node %u answers, but not if a packet has %u bytes, as 'mtu' says: some "
			"port or switch on the way has a smaller MTU. Raise it there: ip link set "
			"dev INTERFACE mtu %u",
			status.node_id, node->config.mtu, node->config.mtu);
	}
}
