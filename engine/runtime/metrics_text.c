/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics as Prometheus reads them, text format 0.0.4:
 *
 *	# HELP decree_elections_total Elections that this node has begun.
 *	# TYPE decree_elections_total counter
 *	decree_elections_total{cluster_id="41aa03a774d32be8",node="1",group="0"} 3
 *
 * Lines of one name stand together behind one HELP and one TYPE, whatever they are of: the node,
 * one of its shards, one of its groups, or one peer of a group. Labels are bounded by the
 * configuration: nothing that a client says becomes one. What the program adds to the table
 * (decree_options.metrics) is of the node.
 */
#include "decree/setup.h"
#include "engine/runtime/node_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

struct text {
	char *at;
	size_t bytes, capacity;
	bool has_failed; /* there was no memory */
};

struct view {
	struct decree_node *node;
	struct decree_metrics *groups; /* [group_count] */
	bool *is_there;                /* [group_count] */
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *format, ...)
{
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(t->at + t->bytes, t->capacity - t->bytes, format, args);
	va_end(args);
	if (bytes >= 0 && (size_t)bytes < t->capacity - t->bytes)
		t->bytes += (size_t)bytes;
	else
		t->has_failed = true;
}

/* Room for a few lines more. */
static void
make_room(struct text *t)
{
	char *bigger;

	if (t->has_failed || t->capacity - t->bytes >= 8192)
		return;
	bigger = realloc(t->at, 2 * t->capacity);
	if (bigger == NULL) {
		t->has_failed = true;
		return;
	}
	t->at = bigger;
	t->capacity *= 2;
}

/* A label's value, or a help: a backslash, a quote or a newline would end it. */
static void
add_escaped(struct text *t, const char *value)
{
	for (; *value != '\0'; value++)
		if (*value == '\n')
			add(t, "\\n");
		else
			add(t, *value == '\\' || *value == '"' ? "\\%c" : "%c", *value);
}

/* ------------------------------------------------------------------------------ numbers */

static void
add_seconds(struct text *t, uint64_t ns)
{
	if (ns == UINT64_MAX)
		add(t, "+Inf");
	else
		add(t, "%" PRIu64 ".%09" PRIu64, ns / 1000000000u, ns % 1000000000u);
}

static void
add_number(struct text *t, const struct decree_metric *m, uint64_t value)
{
	if (m->unit == DECREE_UNIT_SECONDS)
		add_seconds(t, value);
	else
		add(t, "%" PRIu64, value);
}

/* ------------------------------------------------------------------------------ lines */

static void
add_info_labels(struct text *t, const struct decree_node *node)
{
	static const char *const modes[] = { "durable", "buffered", "memory" };
	const struct config *c = &node->config;
	char steering[NET_STEERING_BYTES] = "";

	add(t, ",cluster=\"");
	add_escaped(t, c->name);
	add(t, "\",version=\"%s\",log=\"%s\",auth=\"%s\",idle=\"%s\"", decree_version(),
		modes[c->log_mode], c->auth == CONFIG_AUTH_GMAC ? "gmac" : "none",
		idle_name(node->idle));
	if (node->net != NULL)
		net_describe_steering(node->net, steering);
	if (steering[0] != '\0')
		add(t, ",steering=\"%s\"", steering);
}

/* The name and all labels but the closing brace. @param suffix  of a histogram's lines */
static void
add_name(struct text *t, const struct view *v, const struct decree_metric *m, const char *suffix,
	uint16_t group)
{
	make_room(t);
	add(t, "%s%s{cluster_id=\"%" PRIx64 "\",node=\"%u\"", m->name, suffix,
		v->node->config.cluster_id, v->node->config.node_id);
	if (m->scope == DECREE_OF_SHARD)
		add(t, ",shard=\"%u\"", config_group_to_shard(&v->node->config, group));
	if (m->scope == DECREE_OF_GROUP || m->scope == DECREE_OF_PEER)
		add(t, ",group=\"%u\"", group);
	if (strcmp(m->labels, METRIC_INFO) == 0)
		add_info_labels(t, v->node);
	else if (m->labels[0] != '\0')
		add(t, ",%s", m->labels);
}

static void
add_line(struct text *t, const struct view *v, const struct decree_metric *m, uint16_t group,
	uint64_t value)
{
	add_name(t, v, m, "", group);
	add(t, "} ");
	add_number(t, m, value);
	add(t, "\n");
}

/* Every other bound: half an octave is fine enough for what is kept for years. */
static void
add_histogram(struct text *t, const struct view *v, const struct decree_metric *m, uint16_t group,
	const struct stage_histogram *h)
{
	uint64_t buckets[STAGE_BUCKET_COUNT], seen = 0;
	uint64_t count = stage_read(h, buckets);

	for (uint32_t i = 0; i < STAGE_BUCKET_COUNT - 1; i++) {
		seen += buckets[i];
		if (i % 2 != 0)
			continue;
		add_name(t, v, m, "_bucket", group);
		add(t, ",le=\"");
		add_seconds(t, stage_bound_ns(i));
		add(t, "\"} %" PRIu64 "\n", seen);
	}
	add_name(t, v, m, "_bucket", group);
	add(t, ",le=\"+Inf\"} %" PRIu64 "\n", count);
	add_name(t, v, m, "_sum", group);
	add(t, "} ");
	add_seconds(t, atomic_load_explicit(&h->sum_ns, memory_order_relaxed));
	add(t, "\n");
	add_name(t, v, m, "_count", group);
	add(t, "} %" PRIu64 "\n", count);
}

/* ------------------------------------------------------------------------------ rows */

static void
add_peers(struct text *t, const struct view *v, const struct decree_metric *m, uint16_t group,
	uint32_t row)
{
	const struct decree_metrics *metrics = &v->groups[group];

	for (uint32_t i = 0; i < metrics->peer_count; i++) {
		add_name(t, v, m, "", group);
		add(t, ",peer=\"%u\"} ", metrics->peers[i].node_id);
		add_number(t, m, metrics->peers[i].values[row]);
		add(t, "\n");
	}
}

static void
add_row(struct text *t, const struct view *v, const struct decree_metric *m, uint32_t index)
{
	const struct config *c = &v->node->config;

	for (uint16_t group = 0; group < c->group_count; group++) {
		const struct node_shard *ns = &v->node->shards[config_group_to_shard(c, group)];

		if (!v->is_there[group])
			continue;
		if (m->scope == DECREE_OF_NODE && group > 0)
			return;
		if (m->scope == DECREE_OF_SHARD && group >= c->shard_count)
			return; /* the first groups stand for their shards */
		if (m->scope == DECREE_OF_PEER)
			add_peers(t, v, m, group, index - METRIC_COUNT);
		else if (m->kind == DECREE_HISTOGRAM)
			add_histogram(t, v, m, group, stage_of_labels(&ns->stages, m->labels));
		else
			add_line(t, v, m, group, v->groups[group].values[index]);
	}
}

static void
add_head(struct text *t, const struct decree_metric *m, const struct decree_metric *before)
{
	static const char *const kinds[] = { "", "counter", "gauge", "histogram" };

	if (before != NULL && strcmp(before->name, m->name) == 0)
		return;
	make_room(t);
	add(t, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kinds[m->kind]);
}

static bool
is_first_of_name(uint32_t index)
{
	const char *name = decree_metric_at(index)->name;

	for (uint32_t i = 0; i < index; i++)
		if (strcmp(decree_metric_at(i)->name, name) == 0)
			return false;
	return true;
}

/* All rows of one name stand together, though one that came later is behind others in the table. */
static void
add_family(struct text *t, const struct view *v, uint32_t first)
{
	const struct decree_metric *head = decree_metric_at(first), *m;

	add_head(t, head, NULL);
	for (uint32_t i = first; (m = decree_metric_at(i)) != NULL; i++)
		if (strcmp(m->name, head->name) == 0)
			add_row(t, v, m, i);
}

static void
add_own(struct text *t, const struct view *v)
{
	const struct decree_metric *m;

	for (uint32_t i = 0; (m = decree_metric_at(i)) != NULL; i++)
		if (is_first_of_name(i))
			add_family(t, v, i);
}

/* What the program around the node counts. */
static void
add_programs(struct text *t, const struct view *v)
{
	const struct decree_options *o = &v->node->options;
	uint64_t values[DECREE_METRIC_COUNT_MAX] = { 0 };

	if (!metrics_of_program(v->node, values))
		return;
	for (uint32_t i = 0; i < o->metric_count; i++) {
		add_head(t, &o->metrics[i], i > 0 ? &o->metrics[i - 1] : NULL);
		add_line(t, v, &o->metrics[i], 0, values[i]);
	}
}

static void
look(struct view *v)
{
	for (uint16_t i = 0; i < v->node->config.group_count; i++)
		v->is_there[i] = metrics_look(v->node, i, &v->groups[i]);
}

char *
metrics_text(struct decree_node *node, size_t *ret_bytes)
{
	uint32_t count = node->config.group_count;
	struct view v = {
		.node = node,
		.groups = calloc(count, sizeof(*v.groups)),
		.is_there = calloc(count, sizeof(*v.is_there)),
	};
	struct text t = { .at = malloc(65536), .capacity = 65536 };

	t.has_failed = v.groups == NULL || v.is_there == NULL || t.at == NULL;
	if (!t.has_failed) {
		look(&v);
		add_own(&t, &v);
		add_programs(&t, &v);
	}
	free(v.is_there);
	free(v.groups);
	if (t.has_failed) {
		free(t.at);
		return NULL;
	}
	*ret_bytes = t.bytes;
	return t.at;
}
