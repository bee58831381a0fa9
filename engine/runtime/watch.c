/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the network turns away, told to the operator: a peer whose handshake is refused, and frames that a
 * healthy cluster never sees. Each kind is told at most once per REPEAT_NS, with how many there were and
 * what to look at. The control thread calls this once a second.
 */
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
	{ NET_DROP_PEER_UNKNOWN, "frames of a node that is not in the configuration" },
	{ NET_DROP_TAG, "frames that are not authentic: damaged, or forged" },
	{ NET_DROP_HELLO_TAG, "handshakes under another key or another 'auth': compare key_file on "
			      "all nodes and clients" },
	{ NET_DROP_HELLO_OLD_BOOT, "handshakes with a boot count of the past: a node runs from an "
				   "old copy of its data" },
	{ NET_DROP_HELLO_TWIN, "handshakes of a second process under one node id: stop it; if "
			       "there is one alone, it runs from an old copy of its data" },
	{ NET_DROP_HELLO_IDENTITY, "handshakes of a node with other constants or another disk: "
				   "compare [cluster] on all nodes" },
	{ NET_DROP_CLIENT_REFUSED, "clients, which are not allowed here: set client_key_file" },
	{ NET_DROP_NO_BUFFER, "frames for lack of buffers" },
};

#define ADVICE_COUNT (sizeof(advices) / sizeof(advices[0]))

static_assert(ADVICE_COUNT <= NODE_WATCH_COUNT, "each kind has a place in struct decree_node");

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

	if (count == seen->count || now_ns < seen->quiet_until_ns)
		return;
	node_log(node, NOTE_DROPS, "dropped %llu %s (%s)",
		(unsigned long long)(count - seen->count), a->text, net_drop_name(a->drop));
	seen->count = count;
	seen->quiet_until_ns = now_ns + REPEAT_NS;
}

void
watch_drops(struct decree_node *node, uint64_t now_ns)
{
	for (uint32_t i = 0; node->net != NULL && i < ADVICE_COUNT; i++)
		look_at(node, &advices[i], &node->watches[i], now_ns);
}
