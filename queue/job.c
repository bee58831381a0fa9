/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs and their four states. A job is in exactly one tree at a time, and its key there is one of
 * its words.
 */
#include "queue/private.h"

static uint32_t *
tree_of(struct queue_machine *m, const struct job *j)
{
	struct tube *t = tube_at(m, j->o.tube);

	switch (j->o.state) {
	case JOB_READY: return &t->ready;
	case JOB_DELAYED: return &t->delayed;
	case JOB_BURIED: return &t->buried;
	default: return &connection_at(m, j->holder)->reserved;
	}
}

static void
count(struct queue_machine *m, const struct job *j, int by)
{
	struct tube *t = tube_at(m, j->o.tube);

	t->job_counts[j->o.state] += (uint32_t)by;
	m->job_counts[j->o.state] += (uint64_t)(int64_t)by;
	if (j->o.state == JOB_READY && j->pri < URGENT_PRI) {
		t->urgent_count += (uint32_t)by;
		m->urgent_count += (uint64_t)(int64_t)by;
	}
	if (j->o.state == JOB_RESERVED)
		connection_at(m, j->holder)->reserved_count += (uint32_t)by;
}

static void
set_timer(struct queue_machine *m, const struct job *j)
{
	if (j->o.state == JOB_DELAYED)
		tube_set_timer(m, j->o.tube);
	else if (j->o.state == JOB_RESERVED)
		connection_set_timer(m, j->holder);
	else if (j->o.state == JOB_READY)
		tube_note_match(m, j->o.tube);
}

void
job_enter(struct queue_machine *m, uint32_t job)
{
	const struct job *j = job_at(m, job);

	tree_insert(m, tree_of(m, j), ORDER_AT, job);
	count(m, j, 1);
	set_timer(m, j);
}

static void
leave(struct queue_machine *m, uint32_t job)
{
	const struct job *j = job_at(m, job);

	tree_remove(m, tree_of(m, j), ORDER_AT, job);
	count(m, j, -1);
	set_timer(m, j);
}

static void
move(struct queue_machine *m, uint32_t job, enum job_state state, uint64_t key, uint32_t holder)
{
	struct job *j = job_at(m, job);

	object_edit(m, &j->o);
	leave(m, job);
	j->o.state = (uint8_t)state;
	j->o.order.key = key;
	j->holder = holder;
	job_enter(m, job);
	object_done(m, &j->o);
}

void
job_to_ready(struct queue_machine *m, uint32_t job)
{
	move(m, job, JOB_READY, job_at(m, job)->pri, 0);
	reserve_match(m, object_at(m, job)->tube);
}

void
job_to_delayed(struct queue_machine *m, uint32_t job, uint32_t delay_s)
{
	move(m, job, JOB_DELAYED, m->globals.now_ns + delay_s * SECOND_NS, 0);
}

void
job_to_buried(struct queue_machine *m, uint32_t job)
{
	move(m, job, JOB_BURIED, m->globals.order_next++, 0);
}

void
job_to_reserved(struct queue_machine *m, uint32_t job, uint32_t connection)
{
	struct job *j = job_at(m, job);

	/* `reserves` is no key, so this and the move are two changes of words and one to whoever
	 * looks on. */
	object_edit(m, &j->o);
	j->reserves++;
	object_done(m, &j->o);
	move(m, job, JOB_RESERVED, m->globals.now_ns + j->ttr_s * SECOND_NS, connection);
}

void
job_touch(struct queue_machine *m, uint32_t job)
{
	const struct job *j = job_at(m, job);

	move(m, job, JOB_RESERVED, m->globals.now_ns + j->ttr_s * SECOND_NS, j->holder);
}

uint32_t
job_add(struct queue_machine *m, uint32_t tube, const struct queue_command *c)
{
	uint32_t job = object_add(m, KIND_JOB, m->globals.job_next++);
	struct job *j = job_at(m, job);
	struct tube *t = tube_at(m, tube);

	payload_init(m, &j->o, c->tail, c->tail_bytes);
	j->body_hash = hash_bytes(c->tail, c->tail_bytes);
	j->created_ns = m->globals.now_ns;
	j->pri = c->pri;
	j->delay_s = c->seconds;
	j->ttr_s = c->ttr_s == 0 ? 1 : c->ttr_s;
	j->o.tube = tube;
	j->o.state = c->seconds == 0 ? JOB_READY : JOB_DELAYED;
	j->o.order.key = c->seconds == 0 ? c->pri : m->globals.now_ns + c->seconds * SECOND_NS;
	job_enter(m, job);
	object_done(m, &j->o);

	object_edit(m, &t->t.o);
	t->total_jobs++;
	object_done(m, &t->t.o);
	m->globals.counters[QUEUE_TOTAL_JOBS]++;
	return job;
}

void
job_remove(struct queue_machine *m, uint32_t job)
{
	uint32_t tube = object_at(m, job)->tube;

	leave(m, job);
	object_remove(m, job);
	tube_drop(m, tube);
}
