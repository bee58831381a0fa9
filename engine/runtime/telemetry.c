/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's telemetry: the table of metrics.h for dpdk-telemetry.py and whatever else speaks to its
 * socket. The same board is read as for Prometheus; no shard notices.
 *
 * A name is Prometheus' name, behind it "/key/value" for each label, since telemetry takes letters,
 * digits, '_' and '/' only. It has whole numbers only, so times are in nanoseconds and their names
 * end in "_ns" where Prometheus has "_seconds"; of a histogram there is how many were counted,
 * "_count". What has never happened is left out.
 *
 * A command is for the whole process and for ever: EAL has no way to take one back, and tells it
 * nothing of whom it is about. So the nodes of the process are in a list here. Commands run on
 * threads of EAL's, one for each client.
 */
#include "decree/setup.h"
#include "engine/runtime/node_private.h"

#include <inttypes.h>
#include <rte_eal.h>
#include <rte_telemetry.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* no shard ever takes it */
static struct decree_node *first; /* by telemetry_next; the oldest one first */
static bool is_registered;

/* ----------------------------------------------------------------------------- names and values */

static bool
is_name(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_' || c == '/';
}

static bool
ends_in(const char *text, size_t bytes, const char *end)
{
	return bytes >= strlen(end) && memcmp(text + bytes - strlen(end), end, strlen(end)) == 0;
}

static void
build_name(const struct decree_metric *m, char ret_name[RTE_TEL_MAX_STRING_LEN])
{
	static const char seconds[] = "_seconds";
	const char *labels = m->labels[0] == '@' ? "" : m->labels, *at;
	size_t bytes = strlen(m->name), used;
	char name[RTE_TEL_MAX_STRING_LEN];

	if (m->unit == DECREE_UNIT_SECONDS && ends_in(m->name, bytes, seconds))
		bytes -= sizeof(seconds) - 1;
	used = (size_t)snprintf(name, sizeof(name), "%.*s%s%s", (int)bytes, m->name,
		m->kind == DECREE_HISTOGRAM      ? "_count"
		: m->unit == DECREE_UNIT_SECONDS ? "_ns"
						 : "",
		labels[0] != '\0' ? "/" : "");
	if (used >= sizeof(name))
		used = sizeof(name) - 1; /* a program's may be that long; it was cut */
	for (size_t i = 0; i < used; i++)
		ret_name[i] = is_name(name[i]) ? name[i] : '_';
	/* key="value",key="value" becomes key/value/key/value; anything else that is no name
	 * becomes '_'. */
	for (at = labels; *at != '\0' && used + 1 < RTE_TEL_MAX_STRING_LEN; at++) {
		if (*at == '"')
			continue;
		ret_name[used++] = *at == '=' || *at == ',' ? '/' : is_name(*at) ? *at : '_';
	}
	ret_name[used] = '\0';
}

static int
add(struct rte_tel_data *to, const struct decree_metric *m, uint64_t value)
{
	char name[RTE_TEL_MAX_STRING_LEN];

	if (value == DECREE_METRIC_ABSENT ||
		(m->unit == DECREE_UNIT_SECONDS && value == UINT64_MAX))
		return 0;
	build_name(m, name);
	return rte_tel_data_add_dict_u64(to, name, value);
}

static int
add_rows(struct rte_tel_data *to, const struct decree_metrics *metrics, unsigned scopes)
{
	const struct decree_metric *m;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < metrics->value_count; i++) {
		m = decree_metric_at(i);
		if (m->scope != DECREE_OF_PEER && (scopes & 1u << m->scope) != 0)
			rc = add(to, m, metrics->values[i]);
	}
	return rc;
}

/* ------------------------------------------------------------------------------ parameters */

/* "NUMBER" or "NUMBER,NODE"; NODE is wanted where several nodes live in one process. */
struct question {
	struct decree_node *node;
	bool has_number;
	uint32_t number;
};

static bool
take_number(const char **at, uint32_t *ret)
{
	char *end;
	unsigned long value;

	if (**at < '0' || **at > '9')
		return false;
	value = strtoul(*at, &end, 10);
	if (value > UINT16_MAX || (*end != '\0' && *end != ','))
		return false;
	*at = end;
	*ret = (uint32_t)value;
	return true;
}

static bool
take_question(const char *params, struct question *ret)
{
	const char *at = params != NULL ? params : "";
	uint32_t node_id = 0;

	*ret = (struct question){ .node = first };
	if (*at != '\0') {
		ret->has_number = take_number(&at, &ret->number);
		if (ret->has_number && *at == ',') {
			at++;
			ret->has_number = take_number(&at, &node_id);
		}
		if (!ret->has_number || *at != '\0')
			return false;
	}
	while (ret->node != NULL && node_id != 0 && ret->node->config.node_id != node_id)
		ret->node = ret->node->telemetry_next;
	return ret->node != NULL;
}

/* ------------------------------------------------------------------------------ answers */

static int
answer_numbers(struct rte_tel_data *to, uint32_t count)
{
	int rc = rte_tel_data_start_array(to, RTE_TEL_INT_VAL);

	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = rte_tel_data_add_array_int(to, (int)i);
	return rc;
}

static int
answer_rows(struct rte_tel_data *to, const struct question *q, unsigned scopes)
{
	struct decree_metrics metrics;
	int rc = rte_tel_data_start_dict(to);

	if (q->number >= q->node->config.group_count ||
		!metrics_look(q->node, (uint16_t)q->number, &metrics))
		return -1; /* nobody has said anything of it */
	return rc == 0 ? add_rows(to, &metrics, scopes) : rc;
}

static int
answer_shards(const struct question *q, struct rte_tel_data *to)
{
	if (!q->has_number)
		return answer_numbers(to, q->node->shard_count);
	/* Group n of the first groups is of shard n. */
	return q->number < q->node->shard_count ? answer_rows(to, q, 1u << DECREE_OF_SHARD) : -1;
}

static int
answer_groups(const struct question *q, struct rte_tel_data *to)
{
	return q->has_number ? answer_rows(to, q, 1u << DECREE_OF_GROUP)
			     : answer_numbers(to, q->node->config.group_count);
}

/* What the program around the node counts. */
static void
add_programs(struct rte_tel_data *to, struct decree_node *node)
{
	const struct decree_options *o = &node->options;
	uint64_t values[DECREE_METRIC_COUNT_MAX] = { 0 };
	int rc = 0;

	if (!metrics_of_program(node, values))
		return;
	/* An answer holds 256 rows: ours are there, and of these as many as fit. */
	for (uint32_t i = 0; rc == 0 && i < o->metric_count; i++)
		rc = add(to, &o->metrics[i], values[i]);
}

static int
answer_metrics(const struct question *q, struct rte_tel_data *to)
{
	int rc = answer_rows(
		to, q, 1u << DECREE_OF_NODE | 1u << DECREE_OF_SHARD | 1u << DECREE_OF_GROUP);

	if (rc == 0)
		add_programs(to, q->node);
	return rc;
}

static int
add_peer(struct rte_tel_data *to, const struct decree_peer_metrics *peer)
{
	struct rte_tel_data *one = rte_tel_data_alloc();
	char name[16];
	int rc;

	if (one == NULL)
		return -ENOMEM;
	rc = rte_tel_data_start_dict(one);
	for (uint32_t i = 0; rc == 0 && i < METRIC_PEER_ROW_COUNT; i++)
		rc = add(one, decree_metric_at(METRIC_COUNT + i), peer->values[i]);
	snprintf(name, sizeof(name), "%u", peer->node_id);
	if (rc == 0)
		rc = rte_tel_data_add_dict_container(to, name, one, 0);
	if (rc != 0)
		rte_tel_data_free(one);
	return rc;
}

static int
answer_peers(const struct question *q, struct rte_tel_data *to)
{
	struct decree_metrics metrics;
	int rc = rte_tel_data_start_dict(to);

	if (q->number >= q->node->config.group_count ||
		!metrics_look(q->node, (uint16_t)q->number, &metrics))
		return -1;
	for (uint32_t i = 0; rc == 0 && i < metrics.peer_count; i++)
		rc = add_peer(to, &metrics.peers[i]);
	return rc;
}

static int
answer_status(const struct question *q, struct rte_tel_data *to)
{
	static const char *const modes[] = { "durable", "buffered", "memory" };
	const struct config *c = &q->node->config;
	struct decree_metrics metrics;
	char steering[NET_STEERING_BYTES];
	char cluster_id[24];
	int rc = rte_tel_data_start_dict(to);

	snprintf(cluster_id, sizeof(cluster_id), "%" PRIx64, c->cluster_id);
	if (rc == 0)
		rc = rte_tel_data_add_dict_int(to, "node", c->node_id);
	if (rc == 0)
		rc = rte_tel_data_add_dict_string(to, "cluster", c->name);
	if (rc == 0)
		rc = rte_tel_data_add_dict_string(to, "cluster_id", cluster_id);
	if (rc == 0)
		rc = rte_tel_data_add_dict_string(to, "version", decree_version());
	if (rc == 0)
		rc = rte_tel_data_add_dict_string(to, "log", modes[c->log_mode]);
	if (rc == 0)
		rc = rte_tel_data_add_dict_string(
			to, "auth", c->auth == CONFIG_AUTH_GMAC ? "gmac" : "none");
	if (rc == 0)
		rc = rte_tel_data_add_dict_string(to, "idle", idle_name(q->node->idle));
	if (rc == 0)
		rc = rte_tel_data_add_dict_int(to, "shards", (int)c->shard_count);
	net_describe_steering(q->node->net, steering);
	if (rc == 0 && steering[0] != '\0')
		rc = rte_tel_data_add_dict_string(to, "steering", steering);
	if (rc == 0)
		rc = rte_tel_data_add_dict_int(to, "groups", (int)c->group_count);
	if (rc == 0 && metrics_look(q->node, 0, &metrics))
		rc = add_rows(to, &metrics, 1u << DECREE_OF_NODE);
	return rc;
}

/* ------------------------------------------------------------------------------ commands */

static const struct command {
	const char *name, *help;
	int (*answer)(const struct question *q, struct rte_tel_data *to);
} commands[] = {
	{ "/decree/status",
		"What this node is and how it is set. No parameter; or 0,NODE where a process has "
		"several",
		answer_status },
	{ "/decree/metrics",
		"What the node counts and measures, of one group and its shard. Parameter: GROUP "
		"(0)",
		answer_metrics },
	{ "/decree/shards", "Without a parameter the shards; with one, SHARD, what that one counts",
		answer_shards },
	{ "/decree/groups", "Without a parameter the groups; with one, GROUP, how that one does",
		answer_groups },
	{ "/decree/peers", "The other nodes, as a group sees them. Parameter: GROUP (0)",
		answer_peers },
};

static int
on_command(const char *name, const char *params, struct rte_tel_data *to)
{
	struct question q;
	int rc = -1;

	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0 && take_question(params, &q))
			rc = commands[i].answer(&q, to);
	pthread_mutex_unlock(&mutex);
	return rc;
}

static void
say_where(struct decree_node *node)
{
	char path[DECREE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/dpdk_telemetry.v2", rte_eal_get_runtime_dir());
	if (access(path, F_OK) == 0) /* it is EAL's to make, and a host program's to leave out */
		node_log(node, NOTE_METRICS, "telemetry at %s", path);
}

void
telemetry_open(struct decree_node *node)
{
	struct decree_node **last = &first;

	if (node->net == NULL)
		return; /* no EAL */
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; !is_registered && i < sizeof(commands) / sizeof(commands[0]); i++)
		/* Without memory there is one command less. */
		(void)rte_telemetry_register_cmd(commands[i].name, on_command, commands[i].help);
	is_registered = true;
	while (*last != NULL)
		last = &(*last)->telemetry_next;
	*last = node;
	pthread_mutex_unlock(&mutex);
	say_where(node);
}

void
telemetry_close(struct decree_node *node)
{
	pthread_mutex_lock(&mutex);
	for (struct decree_node **at = &first; *at != NULL; at = &(*at)->telemetry_next)
		if (*at == node) {
			*at = node->telemetry_next;
			break;
		}
	pthread_mutex_unlock(&mutex);
}
