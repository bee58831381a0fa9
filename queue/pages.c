/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists that an operator looks at, in pages: tubes with their numbers, the jobs of a tube, the
 * jobs that are held and by whom. A page begins behind a place in a tree, found anew each time, so
 * it costs O(log n) for each entry whatever the size of the queue, and whatever has happened since
 * the page before.
 *
 * Jobs that are held are in the trees of their holders, and each holder is among the timers, since
 * a TTR runs: their list goes through the timers, and through the jobs of each connection there.
 */
#include "queue/pages.h"

#include <errno.h>

/* A page of HELD looks at no more timers than this: others than holders have some too, and a shard
 * must not stand still. */
#define TIMER_COUNT_MAX 64

static bool
write_entry_name(const struct queue_machine *m, struct writer *w, uint32_t tube)
{
	if (left(w) < 1)
		return false;
	w->bytes[w->count++] = (uint8_t)object_at(m, tube)->payload_bytes;
	return write_name(m, w, tube);
}

int32_t
page_tubes(const struct queue_machine *m, uint64_t after, struct writer *w)
{
	uint64_t n[1 + QUEUE_TUBE_STAT_COUNT];

	for (uint32_t at = tube_behind(m, after); at != 0; at = object_at(m, at)->next) {
		uint32_t before = w->count;

		n[0] = object_at(m, at)->number;
		tube_numbers(m, at, n + 1);
		if (write_numbers(w, n, 1 + QUEUE_TUBE_STAT_COUNT) && write_entry_name(m, w, at))
			continue;
		w->count = before;
		return before > 0 ? (int32_t)before : -EMSGSIZE;
	}
	return (int32_t)w->count;
}

static void
job_numbers(const struct queue_machine *m, uint32_t job, uint64_t n[QUEUE_TASK_COUNT])
{
	const struct job *j = job_at(m, job);
	bool has_time = j->o.state == JOB_RESERVED || j->o.state == JOB_DELAYED;

	n[QUEUE_TASK_ID] = j->o.number;
	n[QUEUE_TASK_PRI] = j->pri;
	n[QUEUE_TASK_AGE_NS] = m->globals.now_ns - j->created_ns;
	n[QUEUE_TASK_LEFT_NS] = has_time ? time_left(m, j->o.order.key) : 0;
	n[QUEUE_TASK_RESERVES] = j->reserves;
	n[QUEUE_TASK_RELEASES] = j->releases;
	n[QUEUE_TASK_TIMEOUTS] = j->timeouts;
	n[QUEUE_TASK_BODY_BYTES] = j->o.payload_bytes;
}

int32_t
page_jobs(const struct queue_machine *m, const struct queue_query *q, struct writer *w)
{
	uint32_t tube = key_find_tube(m, q->name, q->name_bytes);
	uint64_t place[2] = { q->key, q->id }; /* of the last one that fitted */
	uint64_t n[QUEUE_TASK_COUNT];
	uint32_t root, job;

	if (q->offset > JOB_BURIED || q->offset == JOB_RESERVED)
		return -EINVAL;
	if (tube == 0)
		return -ENOENT;
	if (left(w) < sizeof(place) + sizeof(n))
		return -EMSGSIZE;
	root = q->offset == JOB_READY     ? tube_at(m, tube)->ready
	       : q->offset == JOB_DELAYED ? tube_at(m, tube)->delayed
					  : tube_at(m, tube)->buried;
	w->count = sizeof(place);
	for (;;) {
		job = tree_behind(m, root, ORDER_AT, place[0], place[1]);
		if (job == 0 || left(w) < sizeof(n))
			break;
		job_numbers(m, job, n);
		(void)write_numbers(w, n, QUEUE_TASK_COUNT); /* fits */
		place[0] = object_at(m, job)->order.key;
		place[1] = object_at(m, job)->number;
	}
	if (job == 0)
		place[0] = place[1] = 0;
	queue_store_u64(w->bytes, place[0]);
	queue_store_u64(w->bytes + 8, place[1]);
	return (int32_t)w->count;
}

/* --------------------------------------------------------------------------- jobs that are held */

/* Where a list of them has come to: in the timers, and in the jobs of the connection there. */
struct place {
	uint64_t timer_key, timer_number;
	uint64_t job_key, job_number;
};

/* One job. @return false: it does not fit */
static bool
write_held(const struct queue_machine *m, struct writer *w, uint32_t connection, uint32_t job)
{
	const struct connection *c = connection_at(m, connection);
	const struct gateway *g = gateway_at(m, c->gateway);
	uint64_t n[QUEUE_TASK_COUNT + QUEUE_HOLDER_COUNT];
	uint32_t before = w->count;

	job_numbers(m, job, n);
	n[QUEUE_TASK_COUNT + QUEUE_HOLDER_NODE] = g->node;
	n[QUEUE_TASK_COUNT + QUEUE_HOLDER_SESSION] = g->session;
	n[QUEUE_TASK_COUNT + QUEUE_HOLDER_CONNECTION] = c->id;
	if (write_numbers(w, n, QUEUE_TASK_COUNT + QUEUE_HOLDER_COUNT) &&
		write_entry_name(m, w, object_at(m, job)->tube))
		return true;
	w->count = before;
	return false;
}

/* The jobs of one connection. @return false: the page is full, and the place is where it ended */
static bool
write_all_held(
	const struct queue_machine *m, struct writer *w, uint32_t connection, struct place *p)
{
	uint32_t root = connection_at(m, connection)->reserved, job;

	while ((job = tree_behind(m, root, ORDER_AT, p->job_key, p->job_number)) != 0) {
		if (!write_held(m, w, connection, job))
			return false;
		p->job_key = object_at(m, job)->order.key;
		p->job_number = object_at(m, job)->number;
	}
	p->job_key = p->job_number = 0;
	return true;
}

/* @return whether something may be left behind the place */
static bool
write_holders(const struct queue_machine *m, struct writer *w, struct place *p)
{
	/* Where the page before ended within a connection, that one goes on, if it is there still. */
	uint32_t at = tree_find(m, m->timers, TIMER_AT, p->timer_key, p->timer_number);

	if (at == 0 || p->job_number == 0)
		p->job_key = p->job_number = at = 0;
	for (uint32_t i = 0; i < TIMER_COUNT_MAX; i++, at = 0) {
		struct place before = *p;

		if (at == 0)
			at = tree_behind(m, m->timers, TIMER_AT, p->timer_key, p->timer_number);
		if (at == 0)
			return false;
		p->timer_key = ((const struct timed *)cell_at(m, at))->timer.key;
		p->timer_number = object_at(m, at)->number;
		if (object_at(m, at)->kind != KIND_CONNECTION || write_all_held(m, w, at, p))
			continue;
		if (p->job_number == 0)
			*p = before; /* none of its jobs fitted */
		return true;
	}
	return true;
}

int32_t
page_held(const struct queue_machine *m, const struct queue_query *q, struct writer *w)
{
	struct place p = { q->session, q->connection, q->key, q->id };

	if (left(w) < sizeof(p))
		return -EMSGSIZE;
	w->count = sizeof(p);
	if (!write_holders(m, w, &p))
		p = (struct place){ 0 };
	else if (w->count == sizeof(p) && w->capacity < DECREE_ANSWER_BYTES_MAX)
		return -EMSGSIZE; /* it would not go on */
	queue_store_u64(w->bytes, p.timer_key);
	queue_store_u64(w->bytes + 8, p.timer_number);
	queue_store_u64(w->bytes + 16, p.job_key);
	queue_store_u64(w->bytes + 24, p.job_number);
	return (int32_t)w->count;
}
