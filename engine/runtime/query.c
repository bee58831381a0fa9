/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of the state machine (8.x): from own proposers and from clients on other hosts, on any
 * node.
 *
 *   LINEARIZABLE  wait in the group's queue; all that wait at the end of a turn are one batch, for
 *                 which the core finds the slot that they have to see; applied that far, the
 *                 machine answers
 *   LEASE         answered at once if this node leads and holds a lease, else like the others
 *   STALE         answered at once from whatever is applied here
 *
 * The queue has four parts, and every read goes through them in order:
 *
 *   first .. ready_after    the slot is known       ready_after .. asked_after  the core was asked
 *   asked_after .. after    arrived since
 *
 * A batch is named by the position behind its last read, so an answer for one serves everything
 * before it.
 *
 * What may fail: the queue is full: proposers' reads stay in their mailboxes, clients hear BUSY.
 * Nobody leads: reads wait. The state is being restored from a snapshot: reads wait, clients hear
 * BUSY. A client that gave up gets an answer that it drops.
 */
#include "engine/runtime/shard_private.h"

#define QUERY_POP_MAX 32 /* of one proposer in one turn */

/* ------------------------------------------------------------------------------ answers */

static void
answer_gateway(struct shard *s, const struct query *q, int32_t rc, struct decree_slot applied)
{
	struct decree_completion done = {
		.cookie = q->cookie,
		.outcome = rc == -ENOTSUP ? DECREE_REFUSED : DECREE_APPLIED,
		.status = rc < 0 ? (uint16_t)-rc : 0,
		.result = applied.n,
		.answer = q->answer,
		.answer_bytes = rc > 0 ? (uint32_t)rc : 0,
	};

	if (rc > 0)
		memcpy(q->answer, s->answer, (size_t)rc);
	gateway_on_read(&s->gateways[q->gateway], &done);
}

static void
answer_client(struct shard *s, const struct shard_group *g, const struct query *q,
	enum client_read_status status, int32_t rc, struct decree_slot applied)
{
	struct net_frame frame;
	struct client_msg m = {
		.type = CLIENT_MSG_READ_REPLY,
		.group = g->config.group,
		.node_id = s->node_id,
		.read_reply = {
			.token = q->token,
			.status = status,
			.error = status == CLIENT_READ_FAILED ? (uint16_t)-rc : 0,
			.applied = applied,
			.answer = s->answer,
			.bytes = rc > 0 ? (uint32_t)rc : 0,
		},
	};

	if (!out_frame(s, &frame))
		return; /* the client repeats */
	frame.peer = q->from;
	frame.payload_bytes = client_msg_encode(&m, frame.payload, s->config.frame_bytes);
	out_push(s, &frame);
}

/* What the machine says now, into s->answer. @return its bytes, or -errno */
static int32_t
ask_machine(struct shard *s, const struct shard_group *g, const struct query *q)
{
	const struct decree_machine_ops *ops = s->config.machine_ops;
	uint32_t capacity =
		min_u32(DECREE_ANSWER_BYTES_MAX, s->config.frame_bytes - CLIENT_READ_REPLY_BYTES);
	int32_t rc;

	if (ops->read == NULL)
		return -ENOTSUP;
	rc = ops->read(g->machine, q->bytes, q->count, s->answer, capacity);
	decree_assert(rc <= (int32_t)capacity && rc > -UINT16_MAX);
	return rc;
}

static void
give(struct shard *s, struct shard_group *g, const struct query *q, int32_t rc)
{
	enum client_read_status status = rc >= 0          ? CLIENT_READ_ANSWERED
					 : rc == -ENOTSUP ? CLIENT_READ_NOT_SUPPORTED
							  : CLIENT_READ_FAILED;

	g->queries.answered++;
	s->did_work = true;
	if (q->asker == QUERY_GATEWAY)
		answer_gateway(s, q, rc, g->applied);
	else if (q->asker == QUERY_CLIENT)
		answer_client(s, g, q, status, rc, g->applied);
}

/* ------------------------------------------------------------------------------ leases */

/*
 * The clock is read again between the answer and its leaving (8.3): whatever held this thread up
 * before that moment, a signal, the scheduler or a pause of the whole machine, the lease outlived
 * it, and so nobody else can have answered a command that this answer does not know. A pause after
 * it is only a slow network.
 */
static bool
give_by_lease(struct shard *s, struct shard_group *g, const struct query *q)
{
	if (s->config.now_ns == NULL || !eng_lease_holds(g->replica, s->now_ns))
		return false;
	int32_t rc = ask_machine(s, g, q);
	if (!eng_lease_holds(g->replica, s->config.now_ns(s->config.context)))
		return false;
	g->queries.answered_by_lease++;
	give(s, g, q, rc);
	return true;
}

/* ------------------------------------------------------------------------------ the queue */

static struct query *
query_at(const struct shard_group *g, uint64_t position)
{
	return &g->queries.ring[position % QUERY_COUNT];
}

static bool
is_full(const struct shard_group *g)
{
	return g->queries.after - g->queries.first == QUERY_COUNT;
}

static void
admit(struct shard *s, struct shard_group *g, const struct query *q,
	enum decree_consistency consistency)
{
	if ((consistency == DECREE_STALE && !g->snap.is_restoring) ||
		s->config.machine_ops->read == NULL) {
		give(s, g, q, ask_machine(s, g, q));
		return;
	}
	if (consistency == DECREE_LEASE && give_by_lease(s, g, q))
		return;
	decree_assert(!is_full(g));
	struct query *place = query_at(g, g->queries.after++);
	memcpy(place, q, offsetof(struct query, copy));
	if (q->asker == QUERY_CLIENT) {
		memcpy(place->copy, q->bytes, q->count);
		place->bytes = place->copy;
	}
	s->query_count++;
}

static void
take_from(struct shard *s, struct gateway *gw)
{
	struct mail_query mail[QUERY_POP_MAX];
	uint32_t room =
		(uint32_t)(QUERY_COUNT - (gw->group->queries.after - gw->group->queries.first));
	uint32_t count = gw->ops->pop_queries(gw->mailbox, mail, min_u32(room, QUERY_POP_MAX));

	for (uint32_t i = 0; i < count; i++) {
		struct query q = {
			.asker = QUERY_GATEWAY,
			.gateway = (uint16_t)(gw - s->gateways),
			.answer = mail[i].answer,
			.cookie = mail[i].cookie,
			.bytes = mail[i].bytes,
			.count = mail[i].count,
		};
		admit(s, gw->group, &q, mail[i].consistency);
	}
}

void
query_take(struct shard *s)
{
	for (uint32_t i = 0; i < s->gateway_after; i++)
		if (s->gateways[i].group != NULL && s->gateways[i].ops->pop_queries != NULL)
			take_from(s, &s->gateways[i]);
}

void
query_on_request(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct client_msg *m)
{
	struct query q = {
		.asker = QUERY_CLIENT,
		.from = from,
		.token = m->read_request.token,
		.bytes = m->read_request.query,
		.count = m->read_request.bytes,
	};

	if (from.node_id != 0)
		return; /* nodes ask by READ_INDEX */
	if (g->snap.is_restoring || (is_full(g) && m->read_request.consistency != DECREE_STALE)) {
		answer_client(s, g, &q, CLIENT_READ_BUSY, 0, g->applied);
		return;
	}
	admit(s, g, &q, m->read_request.consistency);
}

/* Their bytes and answers lie in the mailbox of a proposer that closes. */
void
query_forget(struct shard *s, const struct gateway *gw)
{
	const struct query_queue *queue = &gw->group->queries;

	for (uint64_t i = queue->first; i < queue->after; i++) {
		struct query *q = query_at(gw->group, i);
		if (q->asker == QUERY_GATEWAY && &s->gateways[q->gateway] == gw)
			q->asker = QUERY_NOBODY;
	}
}

/* ------------------------------------------------------------------------------ batches */

void
query_on_ready(struct shard_group *g, const struct eng_read_ready *ready)
{
	struct query_queue *queue = &g->queries;

	if (ready->is_busy) {
		queue->is_refused = true;
		return;
	}
	decree_assert(ready->id <= queue->asked_after);
	for (; queue->ready_after < ready->id; queue->ready_after++)
		query_at(g, queue->ready_after)->slot = ready->slot;
}

static void
ask_core(struct shard *s, struct shard_group *g)
{
	struct query_queue *queue = &g->queries;
	uint64_t before = queue->asked_after;
	struct eng_event event = {
		.type = ENG_EV_READ,
		.now_ns = s->now_ns,
		.read = { .id = queue->after },
	};

	if (queue->asked_after == queue->after)
		return;
	queue->asked_after = queue->after;
	queue->is_refused = false;
	shard_step(s, g, &event);
	if (queue->is_refused)
		queue->asked_after = before; /* too many batches wait: with the next one, then */
}

/* Before the flush, which sends the question or begins the round. */
void
query_ask(struct shard *s)
{
	if (s->query_count == 0)
		return;
	for (uint32_t i = 0; i < s->config.group_count; i++)
		ask_core(s, &s->groups[i]);
}

void
query_answer(struct shard *s)
{
	if (s->query_count == 0)
		return;
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[i];
		struct query_queue *queue = &g->queries;

		while (queue->first < queue->ready_after && !g->snap.is_restoring &&
			query_at(g, queue->first)->slot.n <= g->applied.n) {
			struct query *q = query_at(g, queue->first++);

			s->query_count--;
			if (q->asker != QUERY_NOBODY)
				give(s, g, q, ask_machine(s, g, q));
		}
	}
}
