/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mailbox_ops.h
 * How commands and reads of one proposer reach a shard's loop, and how their outcomes go back.
 *
 * Implemented by mailbox.c (a thread of the embedding program at the other end) and by the simulator.
 *
 * Threads:  every call belongs to the shard. Nothing blocks or allocates.
 * Memory:   a popped body stays where it is until consumed() says that it, and everything popped
 *           before it, is no longer needed.
 */
#ifndef RUNTIME_MAILBOX_OPS_H
#define RUNTIME_MAILBOX_OPS_H

#include "decree/node.h"

struct mail_command {
	const uint8_t *body;
	uint32_t bytes;
	uint64_t seq; /* from 1, without gaps */
	void *cookie;
	uint64_t place; /* the mailbox's; give it to consumed() */
};

struct mail_query {
	const uint8_t *bytes; /* [count] stays where it is until the read's completion */
	uint32_t count;
	enum decree_consistency consistency;
	uint8_t *answer; /* [DECREE_ANSWER_BYTES_MAX]; goes back in the completion */
	void *cookie;
};

struct mailbox_ops {
	/** @return 0 .. count_max, in order. Never more than the gateway's window without an outcome. */
	uint32_t (*pop)(void *mailbox, struct mail_command *ret_commands, uint32_t count_max);

	/** Bodies up to and including the one at @p place are free again. */
	void (*consumed)(void *mailbox, uint64_t place);

	/** Outcomes. There is always room: commands without an outcome are limited by the window. */
	void (*complete)(
		void *mailbox, const struct decree_completion *completions, uint32_t count);

	/** @return 0 .. count_max reads. May be NULL: none */
	uint32_t (*pop_queries)(void *mailbox, struct mail_query *ret_queries, uint32_t count_max);
};

#endif
