/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a shard knows between two turns to the values of the table in metrics.h, and onto the
 * board. A group is published every METRICS_PERIOD_NS, one group at a time, so that a turn is never
 * held up for more than a microsecond.
 */
#include "engine/runtime/node_private.h"

/* What the expressions of METRIC_TABLE read. */
struct metric_source {
	struct decree_status status;
	const struct shard_counters *counters;
	const struct shard_stages *stages;
	struct wal_status wal;
	struct {
		uint64_t durable[2];
		uint64_t chosen[2];
		uint64_t apply[2];
		uint64_t commands_per_s;
	} recent;
};

static void
copy(uint64_t *to, const _Atomic uint64_t *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

static void
gather(const struct node_shard *ns, uint16_t group, struct metric_source *ret)
{
	struct metric_source *s = ret;
	uint16_t local = (uint16_t)(group / ns->node->shard_count);

	/* The group is one of this shard: the callers take it from its list. */
	if (shard_status(ns->shard, group, node_now_ns(), &s->status) != 0)
		memset(&s->status, 0, sizeof(s->status));
	s->counters = shard_counters(ns->shard);
	s->stages = &ns->stages;
	wal_status(ns->wal, &s->wal);
	copy(s->recent.durable, ns->recent.quantiles_ns[RECENT_DURABLE], 2);
	copy(s->recent.chosen, ns->recent.quantiles_ns[RECENT_CHOSEN], 2);
	copy(s->recent.apply, ns->recent.quantiles_ns[RECENT_APPLY], 2);
	copy(&s->recent.commands_per_s, &ns->recent.commands_per_s[local], 1);
}

static void
fill_rows(const struct metric_source *s, uint64_t *values)
{
	uint32_t i = 0;

#define X(scope, kind, unit, name, labels, expression, help) values[i++] = (uint64_t)(expression);
	METRIC_TABLE(X)
#undef X
	decree_assert(i == METRIC_ROW_COUNT);
}

static void
fill_drops(const struct node_shard *ns, uint64_t *values)
{
	const struct net_counters *counters = node_shard_counters(ns);

	if (counters == NULL)
		memset(values, 0, METRIC_DROP_COUNT * sizeof(*values));
	else
		copy(values, &counters->dropped[NET_DROP_NONE + 1], METRIC_DROP_COUNT);
}

static void
fill_peer(const struct metric_source *s, const struct decree_peer_row *p,
	struct decree_peer_metrics *ret)
{
	uint32_t i = 0;

	ret->node_id = p->node_id;
#define X(unit, name, expression, help) ret->values[i++] = (uint64_t)(expression);
	METRIC_PEER_TABLE(X)
#undef X
	decree_assert(i == METRIC_PEER_ROW_COUNT);
}

void
metrics_fill(void *context, uint16_t group, struct decree_metrics *ret_metrics)
{
	struct node_shard *ns = context;
	struct metric_source source;

	gather(ns, group, &source);
	memset(ret_metrics, 0, sizeof(*ret_metrics));
	ret_metrics->node_id = ns->node->config.node_id;
	ret_metrics->group = group;
	ret_metrics->value_count = METRIC_COUNT;
	fill_rows(&source, ret_metrics->values);
	fill_drops(ns, ret_metrics->values + METRIC_ROW_COUNT);
	ret_metrics->peer_count = source.status.peer_count;
	for (uint32_t i = 0; i < ret_metrics->peer_count; i++)
		fill_peer(&source, &source.status.peers[i], &ret_metrics->peers[i]);
}

void
metrics_publish(struct node_shard *ns, uint64_t now_ns)
{
	uint32_t local = ns->publish_next;
	struct decree_metrics metrics;

	if (now_ns < ns->publish_at_ns)
		return;
	ns->publish_at_ns = now_ns + METRICS_PERIOD_NS / ns->config.group_count;
	ns->publish_next = local + 1 == ns->config.group_count ? 0 : local + 1;
	metrics_fill(ns, ns->groups[local].group, &metrics);
	board_write(&ns->boards[local], &metrics, now_ns);
}

bool
metrics_look(struct decree_node *node, uint16_t group, struct decree_metrics *ret_metrics)
{
	const struct node_shard *ns = &node->shards[config_group_to_shard(&node->config, group)];
	uint64_t written_ns, now_ns;

	if (!board_read(&ns->boards[group / node->shard_count], ret_metrics, &written_ns))
		return false;
	now_ns = node_now_ns();
	ret_metrics->values[metrics_row_of("decree_shard_silent_seconds")] =
		now_ns > written_ns ? now_ns - written_ns : 0;
	return true;
}

bool
metrics_of_program(struct decree_node *node, uint64_t *ret_values)
{
	const struct decree_options *o = &node->options;
	bool are_there = false;

	pthread_mutex_lock(&node->program_mutex);
	if (o->read_metrics != NULL)
		are_there = o->read_metrics(o->context, ret_values);
	pthread_mutex_unlock(&node->program_mutex);
	return are_there;
}
