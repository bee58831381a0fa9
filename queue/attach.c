/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways: who is alive. A gateway is one session, attached under the number of its node, and
 * clients are opened at it.
 *
 *   attached   every command of its session puts its end off by QUEUE_SILENCE_S
 *   detached   its end has come, or another session was attached under its number: commands of its
 *              session no longer find it nor its connections. What it has left is cleared away in
 *              steps, each one of what is due at one time (due.c): its reserves that wait, then
 *              connection by connection the jobs and the connection, then itself
 *
 * The log may stand still for seconds and go on with a leap of its time: a disk hangs, and its node
 * still leads. Whatever gateways had to say comes behind the leap, so of a leap their ends are put
 * off by all but QUEUE_SILENCE_STEP_MS. And so that no time in which the log goes on is taken for
 * one, there is a slot at least that often (due_next()) as long as there are gateways.
 *
 * Reserves come first, since no job may go to a client that is gone; what becomes ready before they
 * are through is left over until those that stand before a living one have gone (reserve.c). A
 * session that was detached may attach anew: as a gateway of its own, with the old one's
 * connections on their way out beside it.
 */
#include "queue/private.h"

bool
gateway_is_detached(const struct queue_machine *m, uint32_t gateway)
{
	return object_at(m, gateway)->state & IS_DETACHED;
}

/* Only at an ATTACH, of which there is one in a node's life, and there are as many gateways as
 * nodes. */
uint32_t
gateway_find_node(const struct queue_machine *m, uint64_t node)
{
	uint32_t at = m->lists[KIND_GATEWAY].first;

	while (at != 0 && (gateway_at(m, at)->node != node || gateway_is_detached(m, at)))
		at = object_at(m, at)->next;
	return at;
}

#define STEP_NS (QUEUE_SILENCE_STEP_MS * 1000000ull)

uint64_t
gateway_next(const struct queue_machine *m)
{
	return m->lists[KIND_GATEWAY].count == 0 ? NEVER_NS : m->globals.now_ns + STEP_NS;
}

void
gateway_forgive(struct queue_machine *m, uint64_t passed_ns)
{
	if (passed_ns <= STEP_NS)
		return;
	for (uint32_t at = m->lists[KIND_GATEWAY].first; at != 0; at = object_at(m, at)->next) {
		struct gateway *g = gateway_at(m, at);

		if (gateway_is_detached(m, at))
			continue;
		object_edit(m, &g->t.o);
		timer_set(m, at, g->t.timer.key + passed_ns - STEP_NS);
		object_done(m, &g->t.o);
	}
}

static uint64_t
silence_until(const struct queue_machine *m)
{
	return m->globals.now_ns + QUEUE_SILENCE_S * SECOND_NS;
}

void
gateway_attach(struct queue_machine *m, uint64_t session, uint64_t node)
{
	uint32_t gateway = object_add(m, KIND_GATEWAY, m->globals.number_next++);
	struct gateway *g = gateway_at(m, gateway);

	g->session = session;
	g->node = node;
	g->t.timer.key = NEVER_NS;
	timer_set(m, gateway, silence_until(m));
	key_add(m, gateway);
	object_done(m, &g->t.o);
}

void
gateway_hear(struct queue_machine *m, uint32_t gateway)
{
	struct gateway *g = gateway_at(m, gateway);

	if (g->t.timer.key == silence_until(m))
		return; /* most commands: one slot brings many, all at the same time */
	object_edit(m, &g->t.o);
	timer_set(m, gateway, silence_until(m));
	object_done(m, &g->t.o);
}

void
gateway_detach(struct queue_machine *m, uint32_t gateway)
{
	struct gateway *g = gateway_at(m, gateway);

	queue_assert(!gateway_is_detached(m, gateway));
	key_remove(m, gateway);
	object_edit(m, &g->t.o);
	g->t.o.state |= IS_DETACHED;
	if (g->t.timer.key > m->globals.now_ns)
		timer_set(m, gateway, m->globals.now_ns);
	object_done(m, &g->t.o);
}

void
gateway_due(struct queue_machine *m, uint32_t gateway)
{
	const struct gateway *g = gateway_at(m, gateway);
	const struct connection *c = connection_at(m, g->connection_first);

	if (!gateway_is_detached(m, gateway)) {
		gateway_detach(m, gateway);
	} else if (g->waiting != 0) {
		wait_end(m, tree_first(m, g->waiting, ORDER_AT), QUEUE_CLOSED);
	} else if (g->connection_first == 0) {
		tree_remove(m, &m->timers, TIMER_AT, gateway); /* and its words stay as they are */
		object_remove(m, gateway);
	} else if (c->reserved != 0) {
		job_to_ready(m, tree_first(m, c->reserved, ORDER_AT));
	} else {
		connection_close(m, g->connection_first);
	}
}

/* ------------------------------------------------------------------------------ its connections */

void
gateway_enter(struct queue_machine *m, uint32_t connection)
{
	struct connection *c = connection_at(m, connection);
	struct gateway *g = gateway_at(m, c->gateway);

	c->previous = g->connection_last;
	*(c->previous != 0 ? &connection_at(m, c->previous)->next : &g->connection_first) =
		connection;
	g->connection_last = connection;
	g->connection_count++;
}

void
gateway_leave(struct queue_machine *m, uint32_t connection)
{
	const struct connection *c = connection_at(m, connection);
	struct gateway *g = gateway_at(m, c->gateway);

	*(c->previous != 0 ? &connection_at(m, c->previous)->next : &g->connection_first) = c->next;
	*(c->next != 0 ? &connection_at(m, c->next)->previous : &g->connection_last) = c->previous;
	g->connection_count--;
}
