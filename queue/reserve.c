/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs meet workers.
 *
 *   a reserve comes: the best ready job of the tubes that it watches; else it waits, in the tree of each of them, and its
 *     command is answered PARKED
 *   a job becomes ready, or a pause ends: whoever waits longest for that tube gets it, in the same command
 *
 * So between two commands nobody waits for a tube that has a ready job, unless it is paused; and a
 * job that becomes ready concerns the waiters of one tube only. The exception: when a pause of many
 * ends, or many who wait longest are on their way out, a shard must not stand still meanwhile. What
 * is left over then is due at once (tube_set_timer()).
 */
#include "queue/private.h"

#define MATCH_COUNT_MAX 1024

void
wait_enter_watch(struct queue_machine *m, uint32_t watch)
{
	struct watch *w = watch_at(m, watch);
	struct tube *t = tube_at(m, w->o.tube);

	w->o.order.key = connection_at(m, w->connection)->wait_order;
	tree_insert(m, &t->waiting, ORDER_AT, watch);
	t->waiting_count++;
}

void
wait_enter(struct queue_machine *m, uint32_t connection)
{
	struct connection *c = connection_at(m, connection);

	for (uint32_t w = c->watch_first; w != 0; w = watch_at(m, w)->next)
		wait_enter_watch(m, w);
	c->t.o.order.key = c->wait_order;
	tree_insert(m, &gateway_at(m, c->gateway)->waiting, ORDER_AT, connection);
	m->waiting_count++;
	connection_set_timer(m, connection);
}

/* @return the seq of its reserve */
static uint64_t
wait_leave(struct queue_machine *m, uint32_t connection)
{
	struct connection *c = connection_at(m, connection);
	uint64_t seq = c->wait_seq;

	queue_assert(c->t.o.state & IS_WAITING);
	for (uint32_t w = c->watch_first; w != 0; w = watch_at(m, w)->next) {
		struct tube *t = tube_at(m, object_at(m, w)->tube);

		tree_remove(m, &t->waiting, ORDER_AT, w);
		t->waiting_count--;
		tube_note_match(m, object_at(m, w)->tube);
	}
	tree_remove(m, &gateway_at(m, c->gateway)->waiting, ORDER_AT, connection);
	m->waiting_count--;
	object_edit(m, &c->t.o);
	c->t.o.state &= (uint8_t)~IS_WAITING;
	c->wait_seq = c->wait_until = c->wait_order = 0;
	object_done(m, &c->t.o);
	connection_set_timer(m, connection);
	return seq;
}

static void
tell(struct queue_machine *m, const struct queue_reserved *r)
{
	if (m->config.on_reserved != NULL)
		m->config.on_reserved(m->config.context, m, r);
}

void
wait_end(struct queue_machine *m, uint32_t connection, enum queue_status status)
{
	const struct queue_reserved r = {
		.session = { connection_session(m, connection) },
		.seq = wait_leave(m, connection),
		.connection = connection_at(m, connection)->id,
		.has_waited = true,
		.status = status,
	};

	tell(m, &r);
}

static void
give(struct queue_machine *m, uint32_t connection, uint64_t seq, uint32_t job, bool has_waited)
{
	const struct job *j = job_at(m, job);

	job_to_reserved(m, job, connection);
	tell(m, &(struct queue_reserved){
			.session = { connection_session(m, connection) },
			.seq = seq,
			.connection = connection_at(m, connection)->id,
			.has_waited = has_waited,
			.status = QUEUE_OK,
			.id = j->o.number,
			.reserves = j->reserves,
			.body_bytes = j->o.payload_bytes,
		});
}

void
reserve_give(struct queue_machine *m, uint32_t connection, uint64_t seq, uint32_t job)
{
	give(m, connection, seq, job, false);
	answer(m, connection_session(m, connection), seq, QUEUE_OK, object_at(m, job)->number);
}

static uint32_t
longest_waiting(const struct queue_machine *m, const struct tube *t)
{
	return watch_at(m, tree_first(m, t->waiting, ORDER_AT))->connection;
}

static bool
is_on_its_way_out(const struct queue_machine *m, uint32_t connection)
{
	return gateway_is_detached(m, connection_at(m, connection)->gateway);
}

void
reserve_match_one(struct queue_machine *m, uint32_t tube)
{
	const struct tube *t = tube_at(m, tube);
	uint32_t connection = longest_waiting(m, t);
	uint64_t seq;

	if (is_on_its_way_out(m, connection)) {
		wait_end(m, connection, QUEUE_CLOSED);
		return;
	}
	seq = wait_leave(m, connection);
	give(m, connection, seq, tree_first(m, t->ready, ORDER_AT), true);
}

void
reserve_match(struct queue_machine *m, uint32_t tube)
{
	const struct tube *t = tube_at(m, tube);

	for (uint32_t i = 0; i < MATCH_COUNT_MAX && tube_is_matching(t) &&
			     !is_on_its_way_out(m, longest_waiting(m, t));
		i++)
		reserve_match_one(m, tube);
	if (tube_is_matching(t))
		tube_set_timer(m, tube);
}

/* Of all tubes that it watches: the least (pri, id). */
static uint32_t
best_ready(const struct queue_machine *m, const struct connection *c)
{
	uint32_t best = 0;

	for (uint32_t w = c->watch_first; w != 0; w = watch_at(m, w)->next) {
		const struct tube *t = tube_at(m, object_at(m, w)->tube);
		uint32_t job = t->pause_ns == 0 ? tree_first(m, t->ready, ORDER_AT) : 0;
		const struct job *j = job_at(m, job), *b = job_at(m, best);

		if (job != 0 && (best == 0 || j->pri < b->pri ||
					(j->pri == b->pri && j->o.number < b->o.number)))
			best = job;
	}
	return best;
}

static bool
is_deadline_soon(const struct queue_machine *m, const struct connection *c)
{
	uint32_t job = tree_first(m, c->reserved, ORDER_AT);

	return job != 0 && object_at(m, job)->order.key - SECOND_NS <= m->globals.now_ns;
}

static void
wait_begin(struct queue_machine *m, uint32_t connection, uint64_t seq, uint64_t until)
{
	struct connection *c = connection_at(m, connection);

	object_edit(m, &c->t.o);
	c->t.o.state |= IS_WAITING | HAS_PARKED;
	c->wait_seq = seq;
	c->wait_until = until;
	c->wait_order = m->globals.order_next++;
	object_done(m, &c->t.o);
	wait_enter(m, connection);
	answer(m, connection_session(m, connection), seq, QUEUE_PARKED, 0);
}

void
reserve(struct queue_machine *m, uint32_t connection, uint64_t seq, bool has_timeout,
	uint32_t seconds)
{
	const struct connection *c = connection_at(m, connection);
	uint32_t job = best_ready(m, c);

	connection_set_flag(m, connection, IS_WORKER);
	if (job != 0)
		reserve_give(m, connection, seq, job);
	else if (is_deadline_soon(m, c))
		answer(m, connection_session(m, connection), seq, QUEUE_DEADLINE_SOON, 0);
	else if (has_timeout && seconds == 0)
		answer(m, connection_session(m, connection), seq, QUEUE_TIMED_OUT, 0);
	else
		wait_begin(m, connection, seq,
			has_timeout ? m->globals.now_ns + seconds * SECOND_NS : NEVER_NS);
}
