/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration says, for programs outside the engine. */
#include "decree/setup.h"

#include "base/assert.h"
#include "engine/runtime/config.h"

#include <string.h>

static_assert(DECREE_PATH_BYTES >= CONFIG_PATH_BYTES, "paths are copied whole");
static_assert(DECREE_NAME_BYTES >= CONFIG_TEXT_BYTES, "names are copied whole");
static_assert(DECREE_PORT_COUNT_MAX == CONFIG_PORT_COUNT_MAX, "every port is copied");
static_assert(DECREE_LISTEN_COUNT_MAX == CONFIG_LISTEN_COUNT_MAX, "every address is copied");

static void
fill_local(const struct config *c, struct decree_setup *s)
{
	s->node_id = c->node_id;
	(void)strcpy(s->data_dir, c->data_dir); /* fits: asserted above */
	s->log_mode = c->log_mode;
	s->log_bytes = c->log_bytes;
	s->idle = c->idle;
	s->are_hugepages_wanted = c->hugepages == CONFIG_HUGEPAGES_AUTO;
	s->cpu_count = c->cpu_count;
	memcpy(s->cpus, c->cpus, sizeof(s->cpus));
	s->are_metrics_served = c->metrics_listen[0] != '\0';
	s->port_count = c->port_count;
	for (uint32_t i = 0; i < c->port_count; i++)
		(void)strcpy(s->ports[i], c->ports[i].device); /* fits: asserted above */
}

static void
fill_queue(const struct config *c, struct decree_queue_setup *q)
{
	q->bytes = c->queue_bytes;
	q->job_bytes_max = c->job_bytes_max;
	q->has_unquoted_yaml = c->unquoted_yaml == CONFIG_UNQUOTED_YAML_YES;
	q->listen_count = c->listen_count;
	for (uint32_t i = 0; i < c->listen_count; i++)
		(void)strcpy(q->listens[i], c->listens[i]); /* fits: asserted above */
	(void)strcpy(q->tls_cert, c->tls_cert);             /* the same */
	(void)strcpy(q->tls_key, c->tls_key);
	(void)strcpy(q->tls_ca, c->tls_ca);
}

int
decree_setup_read(const char *config_path, const char *const *settings, uint32_t setting_count,
	bool is_node, struct decree_setup *ret_setup, char ret_error[DECREE_ERROR_BYTES])
{
	struct config c;
	int rc = config_load(config_path, settings, setting_count,
		is_node ? CONFIG_FOR_NODE : CONFIG_FOR_CLIENT, &c, ret_error);

	if (rc != 0)
		return rc;
	*ret_setup = (struct decree_setup){
		.cluster_id = c.cluster_id,
		.auth = c.auth == CONFIG_AUTH_GMAC,
		.shard_count = (uint16_t)c.shard_count,
		.group_count = (uint16_t)c.group_count,
		.command_bytes_max = c.command_bytes_max,
		.session_window = c.session_window,
		.node_count = c.node_count,
	};
	(void)strcpy(ret_setup->name, c.name); /* fits: asserted above */
	for (uint32_t i = 0; i < c.node_count; i++)
		ret_setup->nodes[i] = c.nodes[i].node_id;
	if (!is_node)
		return 0;
	fill_local(&c, ret_setup);
	fill_queue(&c, &ret_setup->queue);
	return 0;
}

const char *
decree_version(void)
{
	return DECREE_VERSION;
}
