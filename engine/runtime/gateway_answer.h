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

/** There is always room for one more: those that fill the burst take it along. @param end  behind the last one */
static inline void
gateway_completed(struct gateway *gw, const struct decree_completion *end)
{
	uint32_t count = (uint32_t)(end - gw->completions);

	gw->open_count -= count - gw->completion_count;
	gw->completion_count = count;
	if (count == COMPLETION_BURST)
		gateway_flush(gw);
}

static inline void
gateway_complete(struct gateway *gw, struct mail_command *entry, enum decree_outcome outcome,
	uint16_t status, uint64_t result)
{
	struct decree_completion *done = &gw->completions[gw->completion_count];

	*done = (struct decree_completion){
		.cookie = entry->cookie,
		.seq = entry->seq,
		.outcome = outcome,
		.status = status,
		.result = result,
	};
	entry->seq = 0;
	gateway_completed(gw, done + 1);
}

/** To commands [first, first + count). */
static inline void
gateway_on_answers(struct shard *s, struct gateway *gw, uint64_t first, uint32_t count,
	const struct eng_answer *answers)
{
	const uint32_t mask = s->config.gateway_window - 1;
	struct mail_command *window = gw->window;

	for (uint32_t i = 0, until; i < count; i = until) {
		struct decree_completion *done = &gw->completions[gw->completion_count];

		until = min_u32(count, i + COMPLETION_BURST - gw->completion_count);
		for (; i < until; i++) {
			struct mail_command *entry = &window[(first + i) & mask];

			if (entry->seq != first + i) {
				/* Its proposer has the outcome already: answered once, and not before it was executed. */
				decree_assert(gw->is_refused);
				continue;
			}
			*done++ = (struct decree_completion){
				.cookie = entry->cookie,
				.seq = first + i,
				.outcome = DECREE_APPLIED,
				.status = answers[i].status,
				.result = answers[i].result,
			};
			entry->seq = 0;
		}
		gateway_completed(gw, done);
	}
}

#endif
