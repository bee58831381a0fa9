/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gateway_answer.h
 * The part of gateway.c that every outcome runs through.
 */
#ifndef RUNTIME_GATEWAY_ANSWER_H
#define RUNTIME_GATEWAY_ANSWER_H

#include "engine/runtime/shard_private.h"

static inline struct mail_command *
gateway_entry(const struct shard *s, const struct gateway *gw, uint64_t seq)
{
	return &gw->window[seq & (s->config.gateway_window - 1)];
}

/** There is always room for one more: those that fill the burst take it along. */
static inline void
gateway_complete(struct gateway *gw, struct mail_command *entry, enum decree_outcome outcome,
	uint16_t status, uint64_t result)
{
	gw->completions[gw->completion_count++] = (struct decree_completion){
		.cookie = entry->cookie,
		.seq = entry->seq,
		.outcome = outcome,
		.status = status,
		.result = result,
	};
	entry->seq = 0;
	gw->open_count--;
	if (gw->completion_count == COMPLETION_BURST)
		gateway_flush(gw);
}

static inline void
gateway_on_answer(
	struct shard *s, struct gateway *gw, uint64_t seq, uint16_t status, uint64_t result)
{
	struct mail_command *entry = gateway_entry(s, gw, seq);

	if (gw->is_refused && entry->seq != seq)
		return;                   /* its proposer has the outcome already */
	decree_assert(entry->seq == seq); /* answered once, and not before it was executed */
	gateway_complete(gw, entry, DECREE_APPLIED, status, result);
}

#endif
