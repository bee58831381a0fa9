/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tubes: they are there while a connection uses or watches them or a job lives in them; "default"
 * always is.
 */
#include "queue/private.h"

/* Before all else that is due. It follows from the rest of the state: a node that was restored does
 * not know in which moment reserve_match() left something over. */
#define AT_ONCE_NS 1

uint64_t
tube_room(const struct queue_machine *m, const void *name, uint32_t name_bytes)
{
	return key_find_tube(m, name, name_bytes) != 0 ? 0 : payload_cells(KIND_TUBE, name_bytes);
}

void
tube_enter(struct queue_machine *m, uint32_t tube)
{
	tube_at(m, tube)->t.timer.key = NEVER_NS;
	tree_insert(m, &m->tubes, ORDER_AT, tube);
}

uint32_t
tube_get(struct queue_machine *m, const void *name, uint32_t name_bytes)
{
	uint32_t tube = key_find_tube(m, name, name_bytes);
	struct tube *t;

	if (tube != 0)
		return tube;
	tube = object_add(m, KIND_TUBE, m->globals.number_next++);
	t = tube_at(m, tube);
	payload_init(m, &t->t.o, name, name_bytes);
	t->name_hash = hash_bytes(name, name_bytes);
	tube_enter(m, tube);
	key_add(m, tube);
	object_done(m, &t->t.o);
	return tube;
}

void
tube_drop(struct queue_machine *m, uint32_t tube)
{
	const struct tube *t = tube_at(m, tube);

	if (tube == m->fallback || t->using_count > 0 || t->watching_count > 0)
		return;
	for (int state = 0; state < 4; state++)
		if (t->job_counts[state] > 0)
			return;
	queue_assert(t->waiting_count == 0);
	timer_set(m, tube, NEVER_NS);
	tree_remove(m, &m->tubes, ORDER_AT, tube);
	object_remove(m, tube);
}

bool
tube_is_matching(const struct tube *t)
{
	return t->pause_ns == 0 && t->ready != 0 && t->waiting != 0;
}

static uint64_t
delayed_until(const struct queue_machine *m, const struct tube *t)
{
	uint32_t job = tree_first(m, t->delayed, ORDER_AT);

	return job == 0 ? NEVER_NS : object_at(m, job)->order.key;
}

void
tube_set_timer(struct queue_machine *m, uint32_t tube)
{
	const struct tube *t = tube_at(m, tube);
	uint64_t due_ns = tube_is_matching(t) ? AT_ONCE_NS : delayed_until(m, t);

	if (t->pause_ns != 0 && t->unpause_ns < due_ns)
		due_ns = t->unpause_ns;
	timer_set(m, tube, due_ns);
}

void
tube_note_match(struct queue_machine *m, uint32_t tube)
{
	if (tube_at(m, tube)->t.timer.key == AT_ONCE_NS)
		tube_set_timer(m, tube);
}

void
tube_pause(struct queue_machine *m, uint32_t tube, uint64_t pause_ns)
{
	struct tube *t = tube_at(m, tube);

	object_edit(m, &t->t.o);
	t->pause_ns = pause_ns;
	t->unpause_ns = pause_ns == 0 ? 0 : m->globals.now_ns + pause_ns;
	object_done(m, &t->t.o);
	reserve_match(m, tube);
	tube_set_timer(m, tube);
}

void
tube_due(struct queue_machine *m, uint32_t tube)
{
	const struct tube *t = tube_at(m, tube);

	if (tube_is_matching(t))
		reserve_match_one(m, tube);
	else if (t->pause_ns != 0 && t->unpause_ns <= delayed_until(m, t))
		tube_pause(m, tube, 0);
	else
		job_to_ready(m, tree_first(m, t->delayed, ORDER_AT));
}
