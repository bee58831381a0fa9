/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the network is told of a node: keys, ports and peers as the configuration has them, and by
 * what its peers know it.
 */
#include "engine/runtime/node_private.h"

#include "base/refuse.h"

/* ------------------------------------------------------------------------------ keys */

/* A second key, while the first one is being changed. */
static int
read_key_also(const char *path, const char *first_path, const uint8_t *first, uint8_t *ret_key,
	bool *ret_has, char *ret_error)
{
	int rc;

	if (path[0] == '\0')
		return 0;
	rc = config_key_read(path, ret_key, ret_error);
	if (rc != 0)
		return rc;
	if (memcmp(ret_key, first, CONFIG_KEY_BYTES) == 0)
		return base_refuse(-EINVAL, ret_error,
			"%.150s has the same key as %.150s: leave it out, or name the other key's "
			"file",
			path, first_path);
	*ret_has = true;
	return 0;
}

int
node_read_client_keys(const struct config *c, struct net_config *net, char *ret_error)
{
	int rc = 0;

	net->auth = c->auth == CONFIG_AUTH_GMAC ? NET_AUTH_GMAC : NET_AUTH_NONE;
	net->are_clients_allowed = c->auth == CONFIG_AUTH_NONE || c->client_key_file[0] != '\0';
	if (c->auth == CONFIG_AUTH_NONE)
		return 0;
	if (net->are_clients_allowed)
		rc = config_key_read(c->client_key_file, net->client_key, ret_error);
	if (rc == 0)
		rc = read_key_also(c->client_key_file_also, c->client_key_file, net->client_key,
			net->client_key_also, &net->has_client_key_also, ret_error);
	return rc;
}

int
node_read_keys(const struct config *c, struct net_config *net, char *ret_error)
{
	bool has_keys = c->auth != CONFIG_AUTH_NONE;
	int rc = has_keys ? config_key_read(c->key_file, net->cluster_key, ret_error) : 0;

	if (rc == 0)
		rc = node_read_client_keys(c, net, ret_error);
	if (rc == 0 && has_keys)
		rc = read_key_also(c->key_file_also, c->key_file, net->cluster_key,
			net->cluster_key_also, &net->has_cluster_key_also, ret_error);
	return rc;
}

void
node_forget_keys(struct net_config *net)
{
	explicit_bzero(net->cluster_key, sizeof(net->cluster_key));
	explicit_bzero(net->cluster_key_also, sizeof(net->cluster_key_also));
	explicit_bzero(net->client_key, sizeof(net->client_key));
	explicit_bzero(net->client_key_also, sizeof(net->client_key_also));
}

/* Two keys are a state to get out of again, and not to be forgotten. */
static void
tell_of_keys(struct decree_node *node, const struct net_config *net)
{
	if (net->has_cluster_key_also)
		node_log(node, NOTE_KEYS,
			"nodes may also use the key of key_file_also: remove it from the "
			"configuration when no node uses it any more");
	if (net->has_client_key_also)
		node_log(node, NOTE_KEYS,
			"clients may also use the key of client_key_file_also: remove it from the "
			"configuration when no client uses it any more");
}

/* ------------------------------------------------------------------------------ ports and peers */

void
node_network_plan(const struct decree_node *node, struct node_network *ret_plan)
{
	const struct config *c = &node->config;
	struct net_config *net = &ret_plan->net;

	*net = (struct net_config){
		.cluster_id = c->cluster_id,
		.node_id = c->node_id,
		.boot_count = node->boot_count,
		.base_port = (uint16_t)c->base_port,
		.shard_count = (uint16_t)c->shard_count,
		.mtu = (uint16_t)c->mtu,
		.ports = ret_plan->ports,
		.port_count = c->port_count,
		.peers = ret_plan->peers,
		.auth = NET_AUTH_NONE,
		.identity = node->identity,
		.identity_bytes = IDENTITY_BYTES,
	};
	for (uint32_t i = 0; i < c->port_count; i++)
		ret_plan->ports[i] = (struct net_port_config){
			.device = c->ports[i].device,
			.peer_id = c->ports[i].peer_id,
			.ipv4 = config_find_node(c, c->node_id)->ipv4,
		};
	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct config_node *peer = &c->nodes[i];
		struct net_peer_config *to = &ret_plan->peers[net->peer_count];

		if (peer->node_id == c->node_id)
			continue;
		*to = (struct net_peer_config){
			.node_id = peer->node_id,
			.ipv4 = peer->ipv4,
			.base_port = (uint16_t)c->base_port,
			.has_mac = peer->has_mac,
		};
		memcpy(to->mac, peer->mac, sizeof(to->mac));
		net->peer_count++;
	}
}

/* A peer with other constants would compute other states. Shards' threads. */
static bool
accept_identity(void *context, uint16_t node_id, const uint8_t *identity, uint32_t identity_bytes)
{
	const struct decree_node *node = context;
	struct identity mine, theirs;

	if (identity_decode(identity, identity_bytes, &theirs) != 0 ||
		identity_decode(node->identity, IDENTITY_BYTES, &mine) != 0)
		return false;
	return theirs.node_id == node_id && identity_difference(&mine, &theirs) == NULL;
}

int
node_network_open(struct decree_node *node, char *ret_error)
{
	struct node_network plan;
	struct net_config *net = &plan.net;
	int rc;

	node_network_plan(node, &plan);
	net->is_eal_hosts = node->options.eal_is_initialised;
	net->accept_identity = accept_identity;
	net->accept_context = node;
	rc = node_read_keys(&node->config, net, ret_error);
	if (rc == 0)
		rc = net_open(net, &node->net, ret_error);
	if (rc == 0)
		tell_of_keys(node, net);
	node_forget_keys(net);
	if (rc == 0 && net_payload_bytes_max(node->net) < node->shards[0].config.frame_bytes)
		return base_refuse(-EINVAL, ret_error, "mtu leaves too little room for a slot");
	return rc;
}
