/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gateway_private.h
 * A gateway from inside, for gateway.c and gateway_restored.c.
 */
#ifndef RUNTIME_GATEWAY_PRIVATE_H
#define RUNTIME_GATEWAY_PRIVATE_H

#include "base/digest.h"
#include "engine/runtime/shard_private.h"

static inline struct eng_body *
gateway_entry(const struct shard *s, const struct gateway *gw, uint64_t seq)
{
	return &gw->window[seq & (s->config.gateway_window - 1)];
}

/** Whether a command, one of the last window that were popped, waits for its outcome. */
static inline bool
gateway_is_open(const struct shard *s, const struct gateway *gw, uint64_t seq)
{
	uint64_t index = seq & (s->config.gateway_window - 1);

	/* Or its place is a later one's. */
	return gw->popped - seq < s->config.gateway_window &&
	       (gw->open[index / 64] >> index % 64 & 1) != 0;
}

/** Of open commands [first, first + count). @param answers  [count] APPLIED; else NULL */
void gateway_complete(const struct shard *s, struct gateway *gw, uint64_t first, uint32_t count,
	enum decree_outcome outcome, const struct decree_answer *answers);

/** Somebody else used our session: we do not know what becomes of commands from @p first on. */
void gateway_on_stolen(struct shard *s, struct gateway *gw, uint64_t first);

/** Give everything again that is not executed. */
void gateway_rewind(struct gateway *gw, uint64_t now_ns);

#endif
