/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client/admin_request.h"

#include "base/assert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void
admin_request_init(struct admin_request *a, uint16_t group, uint64_t token, uint32_t op,
	const uint8_t *arguments, const uint16_t *nodes, uint32_t node_count)
{
	decree_assert(token != 0);
	decree_assert(node_count >= 1 && node_count <= DECREE_NODE_COUNT_MAX);

	*a = (struct admin_request){ .node_count = node_count };
	memcpy(a->arguments, arguments, sizeof(a->arguments));
	memcpy(a->nodes, nodes, node_count * sizeof(*nodes));
	a->request = (struct client_msg){
		.type = CLIENT_MSG_ADMIN_REQUEST,
		.group = group,
		.admin_request = { .token = token, .op = op, .arguments = a->arguments },
	};
}

static void
turn_to_next(struct admin_request *a)
{
	a->target = (a->target + 1) % a->node_count;
	a->unanswered = 0;
}

bool
admin_request_next(
	struct admin_request *a, uint64_t now_ns, uint16_t *ret_node_id, struct client_msg *ret_msg)
{
	if (a->is_done || now_ns < a->ask_at_ns)
		return false;
	if (a->unanswered++ == ADMIN_SILENCE_COUNT)
		turn_to_next(a);
	a->ask_at_ns = now_ns + ADMIN_REPEAT_NS;
	*ret_node_id = a->nodes[a->target];
	*ret_msg = a->request;
	return true;
}

/* @return false if that node is not known here */
static bool
turn_to(struct admin_request *a, uint16_t node_id)
{
	for (uint32_t i = 0; i < a->node_count; i++)
		if (a->nodes[i] == node_id) {
			a->target = i;
			a->unanswered = 0;
			return true;
		}
	return false;
}

void
admin_request_receive(struct admin_request *a, uint64_t now_ns, const struct client_msg *m)
{
	decree_assert(m->type == CLIENT_MSG_ADMIN_REPLY);
	if (a->is_done || m->admin_reply.token != a->request.admin_request.token)
		return;

	/* From here on: an answer to this very request, perhaps to an earlier repetition of it. */

	a->status = m->admin_reply.status;
	a->unanswered = 0;
	a->ask_at_ns = now_ns + ADMIN_PAUSE_NS;
	(void)snprintf(a->text, sizeof(a->text), "%.*s", (int)m->admin_reply.text_bytes,
		(const char *)m->admin_reply.text);
	if (a->status == CLIENT_ADMIN_NOT_LEADER) {
		if (m->admin_reply.leader == 0 || !turn_to(a, m->admin_reply.leader))
			turn_to_next(a);
		else if (m->admin_reply.leader != m->node_id)
			a->ask_at_ns = now_ns;
	} else if (a->status != CLIENT_ADMIN_PENDING && a->status != CLIENT_ADMIN_BUSY) {
		a->is_done = true;
	}
}

int
admin_request_result(const struct admin_request *a, char *ret_text)
{
	if (!a->is_done && a->status == 0)
		(void)snprintf(ret_text, DECREE_ERROR_BYTES,
			"no node answered: not running, not reachable, or another key");
	else if (!a->is_done)
		(void)snprintf(ret_text, DECREE_ERROR_BYTES,
			"not over in time: %.460s. Asking again does no harm", a->text);
	else
		(void)snprintf(ret_text, DECREE_ERROR_BYTES, "%s", a->text);
	if (!a->is_done)
		return -ETIMEDOUT;
	switch (a->status) {
	case CLIENT_ADMIN_DONE: return 0;
	case CLIENT_ADMIN_OFF: return -EACCES;
	case CLIENT_ADMIN_UNKNOWN: return -ENOSYS;
	default: return -ECANCELED;
	}
}
