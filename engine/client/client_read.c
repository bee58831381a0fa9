/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client/client_read.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

void
client_read_init(struct client_read *r, const struct client_msg *request, const uint16_t *nodes,
	uint32_t node_count, uint8_t *answer, uint32_t capacity)
{
	decree_assert(request->type == CLIENT_MSG_READ_REQUEST);
	decree_assert(node_count >= 1 && node_count <= DECREE_NODE_COUNT_MAX);
	*r = (struct client_read){
		.request = *request,
		.node_count = node_count,
		.answer = answer,
		.capacity = capacity,
		.result = -ETIMEDOUT,
	};
	memcpy(r->nodes, nodes, node_count * sizeof(*nodes));
}

static void
turn_to_next(struct client_read *r)
{
	r->target = (r->target + 1) % r->node_count;
	r->unanswered = 0;
}

bool
client_read_next(struct client_read *r, uint64_t now_ns, uint16_t *ret_node_id)
{
	if (r->is_done || now_ns < r->ask_at_ns)
		return false;
	if (r->unanswered == CLIENT_READ_SILENCE_COUNT)
		turn_to_next(r);
	r->unanswered++;
	r->ask_at_ns = now_ns + CLIENT_READ_REPEAT_NS;
	*ret_node_id = r->nodes[r->target];
	return true;
}

void
client_read_unsent(struct client_read *r, uint64_t now_ns)
{
	turn_to_next(r);
	r->ask_at_ns = now_ns + CLIENT_READ_PAUSE_NS;
}

static int32_t
take_answer(struct client_read *r, const struct client_msg *m)
{
	if (m->read_reply.bytes > r->capacity)
		return -EMSGSIZE;
	if (m->read_reply.bytes > 0)
		memcpy(r->answer, m->read_reply.answer, m->read_reply.bytes);
	return (int32_t)m->read_reply.bytes;
}

void
client_read_receive(struct client_read *r, uint64_t now_ns, const struct client_msg *m)
{
	if (m->type != CLIENT_MSG_READ_REPLY || r->is_done || m->group != r->request.group ||
		m->read_reply.token != r->request.read_request.token)
		return;
	switch (m->read_reply.status) {
	case CLIENT_READ_BUSY:
		turn_to_next(r);
		r->ask_at_ns = now_ns + CLIENT_READ_PAUSE_NS;
		return;
	case CLIENT_READ_ANSWERED: r->result = take_answer(r, m); break;
	case CLIENT_READ_FAILED: r->result = -(int32_t)m->read_reply.error; break;
	case CLIENT_READ_NOT_SUPPORTED: r->result = -ENOTSUP; break;
	case CLIENT_READ_STATUS_AFTER: return;
	}
	r->is_done = true;
}
