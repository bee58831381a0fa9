/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client_read.h
 * One read on its way, as a pure state machine: which node to ask, when to ask again, what an
 * answer means.
 *
 *  - No answer for a while: the same node again, and after a few times the next one, if any will
 *    do.
 *  - BUSY: the next one after a pause.
 *  - An answer counts whoever of those asked gives it: the question was the same, and all were
 *    asked after this read began.
 *
 * Threads:  one.  Memory: the caller's.  Units: nanoseconds of any monotonic clock.
 */
#ifndef ENGINE_CLIENT_CLIENT_READ_H
#define ENGINE_CLIENT_CLIENT_READ_H

#include "engine/runtime/client_msg.h"

/* A leader that has just failed is missed for an election: no hurry. */
#define CLIENT_READ_REPEAT_NS (50 * UINT64_C(1000000))
#define CLIENT_READ_PAUSE_NS  (1 * UINT64_C(1000000))

#define CLIENT_READ_SILENCE_COUNT 3 /* questions to one node without an answer */

struct client_read {
	struct client_msg request;
	uint16_t nodes[DECREE_NODE_COUNT_MAX];
	uint32_t node_count;
	uint32_t target; /* index in nodes */
	uint32_t unanswered;
	uint64_t ask_at_ns;
	uint8_t *answer; /* [capacity] the caller's */
	uint32_t capacity;
	bool is_done;
	int32_t result; /* of decree_client_read() */
};

/**
 * @param request   a READ_REQUEST with a fresh token; its question is lent
 * @param nodes     [node_count] >= 1, those that may be asked
 * @param answer    [capacity] lent
 */
void client_read_init(struct client_read *r, const struct client_msg *request,
	const uint16_t *nodes, uint32_t node_count, uint8_t *answer, uint32_t capacity);

/** @return false: nothing to ask now */
bool client_read_next(struct client_read *r, uint64_t now_ns, uint16_t *ret_node_id);

/** The question could not be sent to the node that client_read_next() named: no session yet. */
void client_read_unsent(struct client_read *r, uint64_t now_ns);

/** Take a READ_REPLY; one to another question is ignored. */
void client_read_receive(struct client_read *r, uint64_t now_ns, const struct client_msg *m);

#endif
