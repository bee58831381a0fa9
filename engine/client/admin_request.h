/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file admin_request.h
 * One administrative request on its way, as a pure state machine: which node to ask next, when to
 * ask again, what an answer means.
 *
 *  - Nodes are asked in turn until one knows better: NOT_LEADER names the leader, and it is asked
 *    next.
 *  - PENDING and BUSY: the same node again after a pause. The token stays, so a node knows a
 *    repetition.
 *  - No answer for a while: the next node.
 *
 * Threads:  one.  Memory: the caller's, a few hundred bytes.  Units: nanoseconds of any monotonic clock.
 */
#ifndef ENGINE_CLIENT_ADMIN_REQUEST_H
#define ENGINE_CLIENT_ADMIN_REQUEST_H

#include "engine/runtime/client_msg.h"

#define ADMIN_REPEAT_NS (50 * UINT64_C(1000000))
#define ADMIN_PAUSE_NS  (20 * UINT64_C(1000000))

/* Repetitions without an answer before another node is asked. */
#define ADMIN_SILENCE_COUNT 4

struct admin_request {
	struct client_msg request; /* its arguments are `arguments` */
	uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES];
	uint16_t nodes[DECREE_NODE_COUNT_MAX];
	uint32_t node_count;
	uint32_t target; /* index in nodes */
	uint32_t unanswered;
	uint64_t ask_at_ns;
	bool is_done;                    /* `status` is the end */
	enum client_admin_status status; /* of the last answer; 0: none yet */
	char text[DECREE_ERROR_BYTES];   /* of the last answer */
};

/** @param nodes  [node_count] 1 or more  @param token  fresh, not 0 */
void admin_request_init(struct admin_request *a, uint16_t group, uint64_t token, uint32_t op,
	const uint8_t *arguments, const uint16_t *nodes, uint32_t node_count);

/** @param ret_msg  lends from @p a  @return false: nothing to send now */
bool admin_request_next(struct admin_request *a, uint64_t now_ns, uint16_t *ret_node_id,
	struct client_msg *ret_msg);

/** Take an ADMIN_REPLY; other requests' are ignored. */
void admin_request_receive(struct admin_request *a, uint64_t now_ns, const struct client_msg *m);

/** The result of decree_client_admin(). @param ret_text  [DECREE_ERROR_BYTES] */
int admin_request_result(const struct admin_request *a, char *ret_text);

#endif
