/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened in the second before: rates, and quantiles of the stages of a commit. The control
 * thread takes the difference of what counters and histograms say now and a second ago, so that
 * whoever asks once, like `decree top --once`, is told what goes on now and not the average since
 * the start.
 */
#include "engine/runtime/node_private.h"

#define RECENT_NS 1000000000ull

static void
look_at_stage(struct shard_recent *r, enum recent_stage stage, const struct stage_histogram *h)
{
	static const uint32_t per_mille[2] = { 500, 990 };
	uint64_t *last = r->last_buckets[stage];
	uint64_t now[STAGE_BUCKET_COUNT], since[STAGE_BUCKET_COUNT];

	(void)stage_read(h, now); /* the differences are what counts */
	for (uint32_t i = 0; i < STAGE_BUCKET_COUNT; i++) {
		since[i] = now[i] - last[i];
		last[i] = now[i];
	}
	for (uint32_t i = 0; i < 2; i++)
		atomic_store_explicit(&r->quantiles_ns[stage][i],
			stage_quantile_ns(since, per_mille[i]), memory_order_relaxed);
}

static void
look_at_group(struct node_shard *ns, uint32_t local)
{
	struct shard_recent *r = &ns->recent;
	struct decree_metrics metrics;
	uint64_t written_ns, commands;

	if (!board_read(&ns->boards[local], &metrics, &written_ns))
		return;
	commands = metrics.values[metrics_row_of("decree_commands_total")];
	if (r->last_ns[local] != 0 && written_ns > r->last_ns[local])
		atomic_store_explicit(&r->commands_per_s[local],
			(commands - r->last_commands[local]) * 1000000000u /
				(written_ns - r->last_ns[local]),
			memory_order_relaxed);
	r->last_commands[local] = commands;
	r->last_ns[local] = written_ns;
}

void
metrics_look_back(struct node_shard *ns, uint64_t now_ns)
{
	struct shard_recent *r = &ns->recent;

	if (now_ns < r->next_ns)
		return;
	r->next_ns = now_ns + RECENT_NS;
	look_at_stage(r, RECENT_DURABLE, &ns->stages.durable);
	look_at_stage(r, RECENT_CHOSEN, &ns->stages.chosen);
	look_at_stage(r, RECENT_APPLY, &ns->stages.apply);
	for (uint32_t i = 0; i < ns->config.group_count; i++)
		look_at_group(ns, i);
}
