/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mailbox_ops.h
 * How commands and reads of one proposer reach a shard's loop, and how their outcomes go back.
 *
 * Implemented by mailbox.c (a thread of the embedding program at the other end) and by the
 * simulator.
 *
 * Threads:  every call belongs to the shard. Nothing blocks or allocates.
 * Memory:   a popped body stays where it is until consumed() says that it, and everything popped
 *           before it, is no longer needed.
 */
#ifndef RUNTIME_MAILBOX_OPS_H
#define RUNTIME_MAILBOX_OPS_H

#include "decree/node.h"
#include "engine/core/core.h"

struct mail_query {
	const uint8_t *bytes; /* [count] stays where it is until the read's completion */
	uint32_t count;
	enum decree_consistency consistency;
	uint8_t *answer; /* [DECREE_ANSWER_BYTES_MAX]; goes back in the completion */
	void *cookie;
};

struct mailbox_ops {
	/** Commands. Their numbers, seq, count from 1 in the order in which they are popped.
	 * @return 0 .. count_max, in order. Never more than the gateway's window without an
	 * outcome. */
	uint32_t (*pop)(void *mailbox, struct eng_body *ret_commands, uint32_t count_max);

	/** Bodies up to and including that of command @p seq are free again. Said before its outcome
	 * is. */
	void (*consumed)(void *mailbox, uint64_t seq);

	/** Outcomes of commands [first, first + count). There is always room: commands without an
	 * outcome are limited by the window. @param answers  [count] if they were APPLIED; else
	 * NULL */
	void (*complete)(void *mailbox, uint64_t first, uint32_t count, enum decree_outcome outcome,
		const struct decree_answer *answers);

	/** Of a read; there is always room, too. */
	void (*complete_read)(void *mailbox, const struct decree_completion *completion);

	/** @return 0 .. count_max reads. May be NULL: none */
	uint32_t (*pop_queries)(void *mailbox, struct mail_query *ret_queries, uint32_t count_max);
};

#endif
