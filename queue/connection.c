/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients, as (gateway, id), and the tubes that they use and watch. A watch is an object of its
 * own, since a tube may have any number of watchers and a client may watch any number of tubes.
 */
#include "queue/private.h"

uint32_t
connection_open(struct queue_machine *m, uint32_t gateway, uint64_t id)
{
	uint32_t connection;
	struct connection *c;

	if (!has_room(m, FOR_CONNECTIONS, 2))
		return 0;
	connection = object_add(m, KIND_CONNECTION, m->globals.number_next++);
	c = connection_at(m, connection);
	c->gateway = gateway;
	c->id = id;
	c->t.o.tube = m->fallback;
	c->t.timer.key = NEVER_NS;
	key_add(m, connection);
	gateway_enter(m, connection);
	object_done(m, &c->t.o);
	tube_at(m, m->fallback)->using_count++;
	connection_watch(m, connection, m->fallback);
	m->globals.counters[QUEUE_TOTAL_CONNECTIONS]++;
	return connection;
}

uint64_t
connection_session(const struct queue_machine *m, uint32_t connection)
{
	return gateway_at(m, connection_at(m, connection)->gateway)->session;
}

/* ------------------------------------------------------------------------------ tubes */

void
connection_use(struct queue_machine *m, uint32_t connection, uint32_t tube)
{
	struct connection *c = connection_at(m, connection);
	uint32_t before = c->t.o.tube;

	object_edit(m, &c->t.o);
	c->t.o.tube = tube;
	object_done(m, &c->t.o);
	tube_at(m, tube)->using_count++;
	tube_at(m, before)->using_count--;
	tube_drop(m, before);
}

void
watch_enter(struct queue_machine *m, uint32_t watch)
{
	struct watch *w = watch_at(m, watch);
	struct connection *c = connection_at(m, w->connection);

	w->previous = c->watch_last;
	*(c->watch_last != 0 ? &watch_at(m, c->watch_last)->next : &c->watch_first) = watch;
	c->watch_last = watch;
	c->watch_count++;
	tube_at(m, w->o.tube)->watching_count++;
	key_add(m, watch);
}

void
connection_watch(struct queue_machine *m, uint32_t connection, uint32_t tube)
{
	uint32_t watch = object_add(m, KIND_WATCH, m->globals.number_next++);
	struct watch *w = watch_at(m, watch);

	w->connection = connection;
	w->o.tube = tube;
	watch_enter(m, watch);
	object_done(m, &w->o);
}

void
connection_ignore(struct queue_machine *m, uint32_t watch)
{
	struct watch *w = watch_at(m, watch);
	struct connection *c = connection_at(m, w->connection);
	uint32_t tube = w->o.tube;

	*(w->previous != 0 ? &watch_at(m, w->previous)->next : &c->watch_first) = w->next;
	*(w->next != 0 ? &watch_at(m, w->next)->previous : &c->watch_last) = w->previous;
	c->watch_count--;
	tube_at(m, tube)->watching_count--;
	object_remove(m, watch);
	tube_drop(m, tube);
}

/* ----------------------------------------------------------------------- who it is, and its end */

void
connection_set_flag(struct queue_machine *m, uint32_t connection, uint8_t flag)
{
	struct object *o = object_at(m, connection);

	if (o->state & flag)
		return;
	object_edit(m, o);
	o->state |= flag;
	object_done(m, o);
	*(flag == IS_PRODUCER ? &m->producer_count : &m->worker_count) += 1;
}

void
connection_forget_parked(struct queue_machine *m, uint32_t connection)
{
	struct object *o = object_at(m, connection);

	queue_assert((o->state & HAS_PARKED) && !(o->state & IS_WAITING));
	object_edit(m, o);
	o->state &= (uint8_t)~HAS_PARKED;
	object_done(m, o);
}

void
connection_close(struct queue_machine *m, uint32_t connection)
{
	struct connection *c = connection_at(m, connection);
	uint32_t tube = c->t.o.tube;

	if (c->t.o.state & IS_WAITING)
		wait_end(m, connection, QUEUE_CLOSED);
	while (c->reserved != 0)
		job_to_ready(m, tree_first(m, c->reserved, ORDER_AT));
	while (c->watch_first != 0)
		connection_ignore(m, c->watch_first);
	m->producer_count -= (c->t.o.state & IS_PRODUCER) != 0;
	m->worker_count -= (c->t.o.state & IS_WORKER) != 0;
	tube_at(m, tube)->using_count--;
	queue_assert(c->reserved_count == 0 && c->t.timer.key == NEVER_NS);
	gateway_leave(m, connection);
	object_remove(m, connection);
	tube_drop(m, tube);
}

/* ---------------------------------------------------------------------------- what it waits for */

static uint64_t
job_until(const struct queue_machine *m, const struct connection *c)
{
	uint32_t job = tree_first(m, c->reserved, ORDER_AT);

	return job == 0 ? NEVER_NS : object_at(m, job)->order.key;
}

/* When a reserve that waits is to be answered with DEADLINE_SOON: a worker must not wait away the
 * last second of a job. */
static uint64_t
margin_from(const struct queue_machine *m, const struct connection *c)
{
	uint64_t until = job_until(m, c);

	return until == NEVER_NS ? NEVER_NS : until - SECOND_NS;
}

void
connection_set_timer(struct queue_machine *m, uint32_t connection)
{
	const struct connection *c = connection_at(m, connection);
	uint64_t due_ns = job_until(m, c);

	if (c->t.o.state & IS_WAITING) {
		due_ns = margin_from(m, c);
		if (c->wait_until < due_ns)
			due_ns = c->wait_until;
	}
	timer_set(m, connection, due_ns);
}

static void
time_out_job(struct queue_machine *m, uint32_t job)
{
	struct job *j = job_at(m, job);

	object_edit(m, &j->o);
	j->timeouts++;
	object_done(m, &j->o);
	m->globals.counters[QUEUE_JOB_TIMEOUTS]++;
	job_to_ready(m, job);
}

void
connection_due(struct queue_machine *m, uint32_t connection)
{
	const struct connection *c = connection_at(m, connection);

	if (!(c->t.o.state & IS_WAITING))
		time_out_job(m, tree_first(m, c->reserved, ORDER_AT));
	else if (margin_from(m, c) <= c->wait_until)
		wait_end(m, connection, QUEUE_DEADLINE_SOON);
	else
		wait_end(m, connection, QUEUE_TIMED_OUT);
}
