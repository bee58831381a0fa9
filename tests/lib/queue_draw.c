/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/queue_draw.h"

#include "base/bytes.h"

#include <string.h>

uint64_t
queue_draw(struct queue_draw *d, uint64_t below)
{
	uint64_t x = d->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) % below;
}

void
queue_draw_name(struct queue_draw *d)
{
	static const char *const names[] = { "default", "a", "b", "c", "d" };
	uint64_t which = queue_draw(d, 8);

	memset(d->name, 0, sizeof(d->name));
	if (which < 5) {
		strcpy(d->name, names[which]);
		return;
	}
	/* Names that go on in another cell, and differ in their last letter. */
	memset(d->name, 'n', which == 7 ? QUEUE_NAME_BYTES_MAX : 37);
	d->name[which == 7 ? QUEUE_NAME_BYTES_MAX - 1 : 36] = (char)('0' + which);
}

uint64_t
queue_draw_job(struct queue_draw *d, const struct model *m)
{
	if (m->job_count == 0 || queue_draw(d, 20) == 0)
		return queue_draw(d, m->job_next + 2);
	return m->jobs[queue_draw(d, (uint64_t)m->job_count)].id;
}

/* One of the session's that holds a job, if there are any. */
static void
draw_holder(struct queue_draw *d, const struct model *m, uint64_t session, uint64_t *ret_connection)
{
	uint64_t at = queue_draw(d, (uint64_t)m->connection_count + 1);

	for (int i = 0; i < m->connection_count; i++) {
		const struct model_connection *c =
			&m->connections[(at + (uint64_t)i) % (uint64_t)m->connection_count];

		for (int k = 0; k < m->job_count && c->session == session; k++)
			if (m->jobs[k].state == 1 && m->jobs[k].holder == c->number) {
				*ret_connection = c->id;
				return;
			}
	}
}

/* A job that this connection holds, if it holds any. */
static uint64_t
draw_held(struct queue_draw *d, const struct model *m, uint64_t session, uint64_t connection)
{
	uint64_t at = queue_draw(d, (uint64_t)m->job_count + 1);

	for (int i = 0; i < m->job_count; i++) {
		const struct model_job *j = &m->jobs[(at + (uint64_t)i) % (uint64_t)m->job_count];

		for (int k = 0; k < m->connection_count; k++)
			if (j->state == 1 && m->connections[k].number == j->holder &&
				m->connections[k].session == session &&
				m->connections[k].id == connection)
				return j->id;
	}
	return queue_draw_job(d, m);
}

static void
draw_put(struct queue_draw *d, const struct model *m, struct queue_command *c)
{
	uint64_t bytes =
		queue_draw(d, 30) == 0 ? queue_draw(d, d->body_bytes_max + 1u) : queue_draw(d, 320);

	c->op = QUEUE_PUT;
	c->pri = (uint32_t)(queue_draw(d, 2) ? 1000 + queue_draw(d, 50) : queue_draw(d, 3));
	c->seconds = (uint32_t)(queue_draw(d, 3) ? 0 : queue_draw(d, 6));
	c->ttr_s = (uint32_t)queue_draw(d, 8);
	c->tail_bytes = (uint32_t)bytes;
	memset(d->body, (int)m->job_next, bytes);
	c->tail = d->body;
}

static void
draw_named(struct queue_draw *d, struct queue_command *c, enum queue_op op)
{
	c->op = op;
	queue_draw_name(d);
	c->tail = d->name;
	c->tail_bytes = (uint32_t)strlen(d->name);
	c->seconds = (uint32_t)queue_draw(d, 4);
}

static void
draw_count(struct queue_draw *d, struct queue_command *c)
{
	c->op = QUEUE_COUNT;
	c->flag = (uint8_t)queue_draw(d, 2);
	c->id = c->pri = c->seconds = 0;
	if (queue_draw(d, 2))
		return;
	for (uint32_t i = 0; i < 2; i++) {
		d->body[5 * i] = (uint8_t)queue_draw(d, QUEUE_CMD_PAUSE_TUBE + 1);
		store_u32(d->body + 5 * i + 1, (uint32_t)queue_draw(d, 100));
	}
	c->tail = d->body;
	c->tail_bytes = 10;
}

static void
draw_kick(struct queue_draw *d, struct queue_command *c)
{
	*c = (struct queue_command){ .op = QUEUE_KICK,
		.connection = c->connection,
		.bound = (uint32_t)queue_draw(d, 6),
		.flag = (uint8_t)queue_draw(d, 3) };
}

static bool
may_be_after(const struct queue_command *c)
{
	return c->op != QUEUE_OPEN && c->op != QUEUE_CLOSE && c->op != QUEUE_CANCEL &&
	       (c->op != QUEUE_COUNT || c->flag == 1);
}

void
queue_draw_command(
	struct queue_draw *d, const struct model *m, uint64_t session, struct queue_command *c)
{
	bool has_many = (uint32_t)m->job_count > d->jobs_wanted;
	uint64_t which = queue_draw(d, 100);

	*c = (struct queue_command){ .connection = queue_draw(d, d->connections) };
	if (queue_draw(d, 3) == 0)
		draw_holder(d, m, session, &c->connection);
	c->id = draw_held(d, m, session, c->connection);
	c->pri = (uint32_t)queue_draw(d, 2000);
	c->seconds = (uint32_t)(queue_draw(d, 2) ? 0 : queue_draw(d, 5));
	if (!model_is_open(m, session, c->connection) && queue_draw(d, 100) < d->opens)
		c->op = QUEUE_OPEN;
	else if (which < (has_many ? d->puts : 26))
		draw_put(d, m, c);
	else if (which < 34)
		c->op = QUEUE_RESERVE;
	else if (which < 44)
		c->op = QUEUE_RESERVE_TIMEOUT;
	else if (which < (has_many ? 66 : 54))
		c->op = QUEUE_DELETE;
	else if (which < 70)
		c->op = QUEUE_RELEASE;
	else if (which < 73)
		c->op = QUEUE_BURY;
	else if (which < 75)
		c->op = QUEUE_TOUCH;
	else if (which < 78)
		draw_named(d, c, QUEUE_USE);
	else if (which < 82)
		draw_named(d, c, QUEUE_WATCH);
	else if (which < 85)
		draw_named(d, c, QUEUE_IGNORE);
	else if (which < 87)
		draw_named(d, c, QUEUE_PAUSE_TUBE);
	else if (which < 88)
		draw_count(d, c);
	else if (which < 90)
		draw_kick(d, c);
	else if (which < 92)
		c->op = QUEUE_CANCEL;
	else if (which < 93)
		c->op = QUEUE_CLOSE;
	else if (which < 98)
		c->op = QUEUE_OPEN;
	else
		c->op = queue_draw(d, 2) ? QUEUE_KICK_JOB : QUEUE_RESERVE_JOB;
	if (c->op == QUEUE_KICK_JOB || c->op == QUEUE_RESERVE_JOB || c->op == QUEUE_DELETE)
		c->id = queue_draw(d, 2) ? c->id : queue_draw_job(d, m);
	c->is_after = may_be_after(c) && queue_draw(d, 3) == 0;
}
