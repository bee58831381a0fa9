/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/config_check.h"

#include "base/assert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a slot spends on its header and on one fragment's, at most. */

__attribute__((format(printf, 3, 4))) static bool
wrong(const struct config *c, char *error, const char *format, ...)
{
	int used = snprintf(error, DECREE_ERROR_BYTES, "%.200s: ", c->path);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error + used, DECREE_ERROR_BYTES - (size_t)used, format,
		args); /* cut if too long */
	va_end(args);
	return false;
}

static bool
check_nodes(const struct config *c, char *error)
{
	if (c->node_count == 0)
		return wrong(c, error, "no nodes: add a section [node N] with an 'ip' for each");
	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct config_node *node = &c->nodes[i];

		if (node->ipv4 == 0)
			return wrong(c, error, "[node %u] has no 'ip': add the address of its port",
				node->node_id);
		for (uint32_t j = 0; j < i; j++)
			if (c->nodes[j].ipv4 == node->ipv4)
				return wrong(c, error,
					"[node %u] and [node %u] have the same 'ip': give each its "
					"own",
					c->nodes[j].node_id, node->node_id);
	}
	return true;
}

static bool
check_quorums(const struct config *c, char *error)
{
	uint32_t founders = config_founder_count(c);

	if (founders == 0)
		return wrong(c, error,
			"every [node N] has 'joins = yes': a cluster is set up by at least one "
			"that has not");
	if (c->q1 > founders || c->q2 > founders)
		return wrong(c, error, "q1 = %u, q2 = %u, but there are only %u nodes", c->q1,
			c->q2, founders);
	if (c->q1 + c->q2 <= founders)
		return wrong(c, error,
			"q1 + q2 = %u must be more than the %u nodes: two quorums that do not meet "
			"would decide differently",
			c->q1 + c->q2, founders);
	return true;
}

static bool
is_power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static bool
check_sizes(const struct config *c, char *error)
{
	if (c->window_slots > c->alpha)
		return wrong(c, error,
			"window_slots = %u is more than alpha = %u: make it at most alpha",
			c->window_slots, c->alpha);
	if (!is_power_of_two(c->session_window))
		return wrong(c, error,
			"session_window = %u is not a power of two: take 1024, 2048, 4096, ...",
			c->session_window);
	if (c->slot_bytes + CONFIG_SLOT_OVERHEAD_BYTES > c->mtu)
		return wrong(c, error,
			"slot_bytes = %u does not fit mtu = %u with %d bytes of headers: set "
			"slot_bytes to at most %d, or raise mtu on every node and switch",
			c->slot_bytes, c->mtu, CONFIG_SLOT_OVERHEAD_BYTES,
			(int)c->mtu - CONFIG_SLOT_OVERHEAD_BYTES);
	return true;
}

static bool
check_cluster(const struct config *c, char *error)
{
	if (c->cluster_id == 0)
		return wrong(c, error,
			"[cluster] has no 'id': add the line 'id = ' with 16 hexadecimal digits, "
			"the same on all nodes (openssl rand -hex 8)");
	if (c->auth == CONFIG_AUTH_GMAC && c->key_file[0] == '\0' && c->client_key_file[0] == '\0')
		return wrong(c, error,
			"[cluster] has no 'key_file': name a file for the cluster's key, and let "
			"'decree format --new-keys' create it, or set auth = none for an "
			"experiment");
	if (c->key_file[0] == '\0' && c->key_file_also[0] != '\0')
		return wrong(c, error,
			"[cluster] has 'key_file_also' and no 'key_file': name the key that this "
			"node uses in 'key_file'");
	if (c->client_key_file[0] == '\0' && c->client_key_file_also[0] != '\0')
		return wrong(c, error,
			"[cluster] has 'client_key_file_also' and no 'client_key_file': name one "
			"of the client keys there");
	if (c->group_count < c->shard_count)
		return wrong(c, error,
			"groups = %u leaves some of the %u shards without work: use fewer shards",
			c->group_count, c->shard_count);
	if (c->election_ns < 10 * c->heartbeat_ns)
		return wrong(c, error,
			"election_ms = %u is less than 10 times heartbeat_ms = %u: a few lost "
			"heartbeats would depose a leader",
			(unsigned int)(c->election_ns / 1000000),
			(unsigned int)(c->heartbeat_ns / 1000000));
	if (c->election_ns >= 64 * c->heartbeat_ns)
		return wrong(c, error,
			"election_ms = %u is 64 times heartbeat_ms = %u or more: raise "
			"heartbeat_ms, or lower election_ms",
			(unsigned int)(c->election_ns / 1000000),
			(unsigned int)(c->heartbeat_ns / 1000000));
	/* Whoever granted a lease may not vote until it is over, so it must be over when an
	 * election begins; and between two heartbeats it must not end. */
	if (c->lease_ns != 0 &&
		c->lease_ns / 1000 * (1000000 + 3 * (uint64_t)c->max_drift_ppm) / 1000 >
			c->election_ns)
		return wrong(c, error,
			"lease_ms = %u, with max_drift_ppm = %u, does not end within election_ms = "
			"%u: lower it to about half of that",
			(unsigned int)(c->lease_ns / 1000000), c->max_drift_ppm,
			(unsigned int)(c->election_ns / 1000000));
	if (c->lease_ns != 0 && c->lease_ns < 2 * c->heartbeat_ns)
		return wrong(c, error,
			"lease_ms = %u is less than two times heartbeat_ms = %u: a lease would "
			"hardly ever hold; set it to about half of election_ms, or to 0",
			(unsigned int)(c->lease_ns / 1000000),
			(unsigned int)(c->heartbeat_ns / 1000000));
	if (c->base_port + c->shard_count - 1 > UINT16_MAX)
		return wrong(c, error,
			"base_port = %u with %u shards runs past port 65535: lower it",
			c->base_port, c->shard_count);
	return true;
}

static bool
check_client(const struct config *c, char *error)
{
	if (c->auth == CONFIG_AUTH_GMAC && c->client_key_file[0] == '\0')
		return wrong(c, error,
			"[cluster] has no 'client_key_file', which every client needs (auth = "
			"gmac): name the file that 'decree format --new-keys' created");
	return true;
}

/* By a port of its own, or by the one that leads to all who have none. */
static bool
is_reached(const struct config *c, uint16_t node_id)
{
	for (uint32_t i = 0; i < c->port_count; i++)
		if (c->ports[i].peer_id == 0 || c->ports[i].peer_id == node_id)
			return true;
	return false;
}

static bool
check_ports(const struct config *c, char *error)
{
	if (c->port_count == 0 && c->node_count > 1)
		return wrong(c, error,
			"[local] has no 'port' and no 'link': add the network port, for example "
			"'port = 0000:3b:00.0' or 'port = net_af_packet0,iface=eth1'");
	for (uint32_t i = 0; i < c->port_count; i++) {
		uint16_t peer_id = c->ports[i].peer_id;

		if (peer_id == 0)
			continue;
		if (peer_id == c->node_id)
			return wrong(c, error, "link = %u leads to this node itself", peer_id);
		if (config_find_node(c, peer_id) == NULL)
			return wrong(c, error,
				"link = %u: there is no [node %u] in this configuration", peer_id,
				peer_id);
		for (uint32_t j = 0; j < i; j++)
			if (c->ports[j].peer_id == peer_id)
				return wrong(c, error, "two links to node %u: keep one", peer_id);
	}
	for (uint32_t i = 0; i < c->node_count && c->port_count > 0; i++) {
		uint16_t node_id = c->nodes[i].node_id;

		if (node_id != c->node_id && !is_reached(c, node_id))
			return wrong(c, error,
				"[local] has links, and none to node %u: add a 'link' to it, or a "
				"'port' that leads to all who have no link",
				node_id);
	}
	return true;
}

static bool
check_local(const struct config *c, char *error)
{
	if (c->node_id == 0)
		return wrong(c, error,
			"[local] has no 'node': add 'node = N' to say which [node N] this is");
	if (config_find_node(c, c->node_id) == NULL)
		return wrong(c, error,
			"[local] says node = %u, but there is no [node %u]: add it, or name "
			"another",
			c->node_id, c->node_id);
	if (c->data_dir[0] == '\0')
		return wrong(
			c, error, "[local] has no 'data_dir': add the folder for this node's log");
	if (c->auth == CONFIG_AUTH_GMAC && c->key_file[0] == '\0')
		return wrong(c, error,
			"[cluster] has no 'key_file', which every node needs (auth = gmac)");
	if (c->log_bytes % c->segment_bytes != 0 || c->log_bytes < 2 * c->segment_bytes)
		return wrong(c, error,
			"log_bytes = %lluM is not 2 or more times segment_bytes = %lluM: lower "
			"segment_bytes, or raise log_bytes",
			(unsigned long long)(c->log_bytes >> 20),
			(unsigned long long)(c->segment_bytes >> 20));
	if (c->cpu_count > 0 && c->cpu_count != c->shard_count)
		return wrong(c, error, "cpus names %u CPUs for %u shards: name one for each",
			c->cpu_count, c->shard_count);
	for (uint32_t i = 0; i < c->cpu_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (c->cpus[i] == c->cpus[j] && c->idle == DECREE_IDLE_SPIN)
				return wrong(c, error,
					"cpus names CPU %u twice with idle = spin: shards that "
					"spin need a CPU each",
					c->cpus[i]);
	return check_ports(c, error);
}

int
config_check(const struct config *c, enum config_purpose purpose, char *ret_error)
{
	bool ok = check_cluster(c, ret_error) && check_nodes(c, ret_error) &&
		  check_quorums(c, ret_error) && check_sizes(c, ret_error);

	if (ok)
		ok = purpose == CONFIG_FOR_NODE ? check_local(c, ret_error)
						: check_client(c, ret_error);
	if (!ok)
		return -EINVAL;
	decree_assert(c->group_count >= 1);
	decree_assert(c->q1 >= 1 && c->q2 >= 1);
	return 0;
}
