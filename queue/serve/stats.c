/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the queue counts, for metrics: twice a second the gateway asks the state machine of its own
 * node, and keeps the answer where any thread may look.
 */
#include "queue/serve/private.h"

#include "queue/bytes.h"

#define STATS_NS 500000000ull

void
stats_tend(struct queue_gateway *g)
{
	const struct queue_query q = { .kind = QUEUE_STATS };
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes;

	if (!g->options.keeps_stats || g->phase != GATEWAY_UP || g->is_asking_stats ||
		g->now_ns < g->stats_at_ns)
		return;
	bytes = queue_query_encode(&q, query, sizeof(query));
	if (decree_read(g->proposer, query, (uint32_t)bytes, DECREE_STALE, NULL) != 0)
		return; /* too many reads wait, or the node has stopped: others notice */
	g->reading++;
	g->is_asking_stats = true;
	g->stats_at_ns = g->now_ns + STATS_NS;
}

void
stats_on_done(struct queue_gateway *g, const struct decree_completion *done)
{
	const uint8_t *at = done->answer;

	g->is_asking_stats = false;
	if (done->status != 0 || done->answer_bytes != QUEUE_STAT_COUNT * 8)
		return; /* the machine is being restored: the next one */
	for (uint32_t i = 0; i < QUEUE_STAT_COUNT; i++)
		atomic_store_explicit(
			&g->stats[i], queue_load_u64(at + 8 * i), memory_order_relaxed);
	atomic_store_explicit(
		&g->client_count, CLIENT_COUNT_MAX - g->free_count, memory_order_relaxed);
	/* Release: pairs with the acquire in queue_gateway_stats(). There is something to see. */
	atomic_store_explicit(&g->has_stats, true, memory_order_release);
}

bool
queue_gateway_stats(const struct queue_gateway *g, uint64_t *ret_stats, uint64_t *ret_client_count)
{
	if (!atomic_load_explicit(&g->has_stats, memory_order_acquire))
		return false;
	for (uint32_t i = 0; i < QUEUE_STAT_COUNT; i++)
		ret_stats[i] = atomic_load_explicit(&g->stats[i], memory_order_relaxed);
	*ret_client_count = atomic_load_explicit(&g->client_count, memory_order_relaxed);
	return true;
}
