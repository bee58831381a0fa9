/* SPDX-License-Identifier: Apache-2.0 */
/* decree_preflight(): what `decree check` cannot know without the engine, found by what the
 * engine's start uses. */
#include "decree/setup.h"

#include "engine/runtime/data_paths.h"
#include "engine/runtime/node_private.h"
#include "wal/directory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct preflight {
	const struct decree_preflight *options;
	struct decree_node *node; /* its configuration, and the probe's ports */
	bool is_formatted;
	bool is_running;
};

__attribute__((format(printf, 5, 6))) static void
report(const struct preflight *p, enum decree_verdict verdict, const char *subject,
	const char *remedy, const char *format, ...)
{
	char text[DECREE_ERROR_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* cut if too long */
	va_end(args);
	p->options->on_finding(p->options->context, verdict, subject, text, remedy);
}

/* Whoever may read the data directory must be able to read the keys: the node runs as one user. */
static bool
is_owner_strange(const struct preflight *p, const char *path)
{
	struct stat key, data;

	return p->is_formatted && stat(path, &key) == 0 &&
	       stat(p->node->config.data_dir, &data) == 0 && data.st_uid != 0 &&
	       key.st_uid != data.st_uid;
}

static bool
look_at_key(const struct preflight *p, const char *path)
{
	char remedy[DECREE_ERROR_BYTES];

	if (path[0] == '\0')
		return true;
	if (!p->is_formatted && access(path, F_OK) != 0) {
		report(p, DECREE_FINDING_NOTE, "keys",
			"'decree format --new-keys' makes it on the first node; copy it from there "
			"to the others",
			"%.300s is not there yet", path);
		return false;
	}
	if (is_owner_strange(p, path)) {
		(void)snprintf(remedy, sizeof(remedy), "chown --reference=%.200s %.200s",
			p->node->config.data_dir, path);
		report(p, DECREE_FINDING_FATAL, "keys", remedy,
			"%.300s is not the user's whose data_dir is: a node that runs as that user "
			"cannot read it",
			path);
		return false;
	}
	return true;
}

static void
look_at_keys(const struct preflight *p)
{
	const struct config *c = &p->node->config;
	const char *const paths[] = { c->key_file, c->client_key_file, c->key_file_also,
		c->client_key_file_also };
	struct net_config keys = { 0 };
	char error[DECREE_ERROR_BYTES];
	int rc;

	if (c->auth == CONFIG_AUTH_NONE)
		return;
	for (uint32_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!look_at_key(p, paths[i]))
			return;
	rc = node_read_keys(c, &keys, error);
	node_forget_keys(&keys);
	if (rc != 0)
		report(p, DECREE_FINDING_FATAL, "keys", NULL, "%s", error);
	else if (keys.has_cluster_key_also || keys.has_client_key_also)
		report(p, DECREE_FINDING_NOTE, "keys",
			"When nobody uses the other key any more, remove the line, and the file",
			"two keys are live: %s is in the configuration",
			keys.has_cluster_key_also ? "key_file_also" : "client_key_file_also");
	else
		report(p, DECREE_FINDING_GOOD, "keys", NULL,
			"nobody but their owner may read them");
}

static void
look_at_clock(const struct preflight *p)
{
	const struct config *c = &p->node->config;
	char source_path[512], error[DECREE_ERROR_BYTES];

	if (c->lease_ns == 0)
		return;
	(void)snprintf(source_path, sizeof(source_path), "%.200s%s",
		p->options->root != NULL ? p->options->root : "", CLOCK_SOURCE_PATH);
	if (clock_check(source_path, c->max_drift_ppm, error) != 0)
		report(p, DECREE_FINDING_FATAL, "leases", NULL, "%s", error);
	else
		report(p, DECREE_FINDING_GOOD, "leases", NULL, "the clock is one to trust");
}

/* Without a word if it is good: there may be many. */
static bool
look_at_address(
	const struct preflight *p, enum decree_verdict verdict, const char *key, const char *where)
{
	const char *numbers = strncmp(where, "tls:", 4) == 0 ? where + 4 : where;
	int fd;

	if (numbers[0] == '\0' || strncmp(where, "unix:", 5) == 0)
		return true;
	fd = metrics_listen(numbers);
	if (fd >= 0) {
		close(fd); /* only a try */
		return true;
	}
	report(p, verdict, "listen",
		fd == -EADDRINUSE ? "Name another port, or end what uses it; 'ss -ltnp' shows that"
		: fd == -EADDRNOTAVAIL ? "Name an address of this host; 'ip address' lists them"
		: fd == -EACCES        ? "Name a port from 1024 on"
				       : "Write numbers, such as 127.0.0.1:11300",
		"%s = %s: %s", key, where, strerror(-fd));
	return false;
}

static void
look_at_addresses(const struct preflight *p)
{
	const struct config *c = &p->node->config;
	bool is_good =
		look_at_address(p, DECREE_FINDING_FATAL, "[metrics] listen", c->metrics_listen);

	/* A node whose machine is no queue does not listen there; one that the file does not name
	 * may be meant for none. */
	for (uint32_t i = 0; i < c->listen_count; i++)
		is_good = look_at_address(p,
				  c->is_listen_default ? DECREE_FINDING_NOTE : DECREE_FINDING_FATAL,
				  "[queue] listen", c->listens[i]) &&
			  is_good;
	if (is_good)
		report(p, DECREE_FINDING_GOOD, "listen", NULL,
			"the addresses to listen on are free");
}

/* ------------------------------------------------------------------------------ the network */

static void
report_peer(const struct preflight *p, const struct probe *probe, uint32_t index, uint16_t node_id)
{
	char remedy[DECREE_ERROR_BYTES];
	uint32_t mtu = p->node->config.mtu;

	if (probe->reach[index] == NET_REACH_FULL) {
		report(p, DECREE_FINDING_GOOD, "network", NULL,
			"node %u answers, to packets of %u bytes too", node_id, mtu);
	} else if (probe->reach[index] == NET_REACH_NARROW) {
		(void)snprintf(remedy, sizeof(remedy),
			"Raise the MTU of every port and switch on the way: ip link set dev "
			"INTERFACE mtu %u",
			mtu);
		report(p, DECREE_FINDING_FATAL, "network", remedy,
			"node %u answers, but not if a packet has %u bytes, as 'mtu' says: slots "
			"would not reach it",
			node_id, mtu);
	} else if (probe->has_address[index]) {
		report(p, DECREE_FINDING_NOTE, "network",
			"If it runs, see that nothing on the way filters ICMP",
			"node %u's address is known, but it answers no ping", node_id);
	} else {
		report(p, DECREE_FINDING_NOTE, "network",
			"If it runs, compare 'ip' with its port's, and see that both are in one "
			"Ethernet segment",
			"node %u does not answer ARP: not started, or not reachable", node_id);
	}
}

static void
look_at_network(const struct preflight *p)
{
	const struct config *c = &p->node->config;
	struct probe probe = { 0 };
	char error[DECREE_ERROR_BYTES];
	uint32_t index = 0;

	if (p->options->has_no_network || c->port_count == 0)
		return;
	if (p->is_running) {
		report(p, DECREE_FINDING_NOTE, "network", NULL,
			"the node runs and has the ports: it asks its peers itself, and its log "
			"says what it misses");
		return;
	}
	if (probe_run(p->node, &probe, error) != 0) {
		report(p, DECREE_FINDING_FATAL, "network", NULL, "%s", error);
		return;
	}
	if (probe.steering[0] != '\0')
		report(p, DECREE_FINDING_GOOD, "network", NULL, "steering: %s", probe.steering);
	if (probe.is_address_taken)
		report(p, DECREE_FINDING_FATAL, "network",
			"Stop the other node, or correct 'node' in [local] here and 'ip' in [node "
			"N]",
			"another host (%02x:%02x:%02x:%02x:%02x:%02x) has the address of this node",
			probe.taken_by[0], probe.taken_by[1], probe.taken_by[2], probe.taken_by[3],
			probe.taken_by[4], probe.taken_by[5]);
	for (uint32_t i = 0; i < c->node_count; i++)
		if (c->nodes[i].node_id != c->node_id)
			report_peer(p, &probe, index++, c->nodes[i].node_id);
}

static void
no_line(void *context, enum decree_log_level level, const char *line)
{
	(void)context, (void)level, (void)line; /* the findings say all */
}

int
decree_preflight(const struct decree_preflight *options, char ret_error[DECREE_ERROR_BYTES])
{
	struct decree_node *node = base_zeros(1, sizeof(*node));
	struct preflight p = { .options = options, .node = node };
	char path[DATA_PATH_BYTES];
	int rc;

	if (node == NULL || options->struct_bytes != sizeof(*options)) {
		(void)snprintf(ret_error, DECREE_ERROR_BYTES,
			"out of memory, or another version's structure");
		free(node);
		return -EINVAL;
	}
	node->options.on_log = no_line;
	rc = config_load(options->config_path, options->settings, options->setting_count,
		CONFIG_FOR_NODE, &node->config, ret_error);
	if (rc == 0) {
		data_shard_path(node->config.data_dir, 0, path);
		p.is_formatted = access(path, F_OK) == 0;
		p.is_running = wal_directory_is_used(path);
		look_at_keys(&p);
		look_at_clock(&p);
		if (!p.is_running)
			look_at_addresses(&p);
		look_at_network(&p);
	}
	free(node);
	return rc;
}
