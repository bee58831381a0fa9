/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients on this host, of a node without ports: so that `decree tasks` and the like ask a queue of
 * one node as they ask a cluster.
 *
 * Only on an address of loopback: nobody who wrote another one into [node N], for a port that comes
 * later, finds it open to others. What keeps it from working (the address is taken, there is no
 * key) is said, and nothing else of the node minds.
 */
#include "engine/runtime/node_private.h"

#define IS_LOOPBACK(ipv4) ((ipv4) >> 24 == 127)

static void
say_why_not(struct decree_node *node, uint32_t ipv4, int rc)
{
	bool is_taken = rc == -EADDRINUSE;

	node_log(node, NOTE_NETWORK,
		"decree tasks, status and the like cannot ask this node: %u.%u.%u.%u:%u: %s%s",
		ipv4 >> 24, ipv4 >> 16 & 255, ipv4 >> 8 & 255, ipv4 & 255, node->config.base_port,
		strerror(-rc),
		is_taken ? ": give [node] of its configuration an ip of its own in 127.0.0.0/8"
			 : "");
}

void
local_clients_open(struct decree_node *node)
{
	const struct config *c = &node->config;
	uint32_t ipv4 = config_find_node(c, c->node_id)->ipv4;
	struct node_network plan;
	struct net_config *net = &plan.net;
	char error[DECREE_ERROR_BYTES];
	int rc;

	if (!IS_LOOPBACK(ipv4))
		return;
	node_network_plan(node, &plan);
	if (node_read_client_keys(c, net, error) != 0)
		node_log(node, NOTE_NETWORK,
			"decree tasks, status and the like cannot ask this node: %s", error);
	else if (net->are_clients_allowed) {
		rc = local_open(net, ipv4, &node->local);
		if (rc != 0)
			say_why_not(node, ipv4, rc);
	}
	node_forget_keys(net);
}

int
local_clients_start(struct decree_node *node)
{
	int rc;

	if (node->local == NULL)
		return 0;
	rc = control_thread_start(node, &node->local_thread, local_main, node->local);
	node->has_local_thread = rc == 0;
	return rc;
}

void
local_clients_join(struct decree_node *node)
{
	if (!node->has_local_thread)
		return;
	local_stop(node->local);
	pthread_join(node->local_thread, NULL);
	node->has_local_thread = false;
}

const struct net_counters *
node_shard_counters(const struct node_shard *ns)
{
	const struct decree_node *node = ns->node;

	return node->net != NULL     ? net_shard_counters(node->net, ns->index)
	       : node->local != NULL ? local_shard_counters(node->local, ns->index)
				     : NULL;
}
