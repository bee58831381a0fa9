/* SPDX-License-Identifier: Apache-2.0 */
/* The model's commands, each by itself. */
#include "tests/lib/queue_model_private.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

static bool
fits(const struct model *m, enum model_purpose purpose, uint64_t cells)
{
	return model_cells_used(m) + cells <= m->cells[purpose];
}

static void
open_connection(struct model *m, uint64_t session, uint64_t seq, uint64_t id)
{
	struct model_connection *c;

	if (model_find_connection(m, session, id) != NULL) {
		model_say(m, session, seq, QUEUE_EXISTS, 0);
		return;
	}
	if (!fits(m, MODEL_CONNECTIONS, 2)) {
		model_say(m, session, seq, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	decree_assert(m->connection_count < MODEL_CONNECTION_COUNT);
	c = &m->connections[m->connection_count++];
	memset(c, 0, sizeof(*c));
	c->number = m->number_next;
	m->number_next += 2; /* it, and its watch */
	c->session = session;
	c->id = id;
	strcpy(c->used, "default");
	strcpy(c->watched[0].name, "default");
	c->watched_count = 1;
	m->counters[QUEUE_TOTAL_CONNECTIONS]++;
	model_say(m, session, seq, QUEUE_OK, session);
}

static void
attach(struct model *m, uint64_t session, uint64_t seq, uint64_t node)
{
	struct model_gateway *mine = model_find_gateway(m, session),
			     *before = model_find_node(m, node);
	uint64_t number = m->number_next;

	if (mine != NULL) {
		model_say(m, session, seq, mine == before ? QUEUE_OK : QUEUE_BAD_COMMAND, 0);
		return;
	}
	if (!fits(m, MODEL_GATEWAYS, 1)) {
		model_say(m, session, seq, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	m->number_next++;
	model_say(m, session, seq, QUEUE_OK, before != NULL ? model_detach(m, before) : 0);
	decree_assert(m->gateway_count < MODEL_GATEWAY_COUNT);
	m->gateways[m->gateway_count++] = (struct model_gateway){
		.number = number,
		.session = session,
		.node = node,
		.until_ns = m->now_ns + QUEUE_SILENCE_S * SECOND_NS,
	};
}

static void
put(struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	struct model_job *j;

	if (!fits(m, MODEL_JOBS, model_cells_of(q->tail_bytes, 100))) {
		model_say(m, c->session, seq, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	decree_assert(m->job_count < MODEL_JOB_COUNT);
	m->counters[QUEUE_CMD_PUT]++;
	m->counters[QUEUE_TOTAL_JOBS]++;
	model_find_tube(m, c->used)->total_jobs++;
	c->is_producer = true;
	j = &m->jobs[m->job_count++];
	*j = (struct model_job){
		.id = m->job_next++,
		.state = q->seconds > 0 ? DELAYED : READY,
		.until_ns = m->now_ns + q->seconds * SECOND_NS,
		.created_ns = m->now_ns,
		.pri = q->pri,
		.delay_s = q->seconds,
		.ttr_s = q->ttr_s > 0 ? q->ttr_s : 1,
		.bytes = q->tail_bytes,
		.first = q->tail_bytes > 0 ? *(const uint8_t *)q->tail : 0,
	};
	strcpy(j->tube, c->used);
	model_say(m, c->session, seq, QUEUE_OK, j->id);
	model_match(m);
}

static void
kick(struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	uint64_t kicked = 0, kind = q->flag;
	uint32_t limit = q->bound < 1024 ? q->bound : 1024;
	struct model_job *j;

	if (kind == QUEUE_KICK_ANY) {
		m->counters[QUEUE_CMD_KICK]++;
		kind = model_first_job(m, BURIED, c->used, 0) != NULL ? QUEUE_KICK_BURIED
								      : QUEUE_KICK_DELAYED;
	}
	for (; kicked < limit; kicked++) {
		j = model_first_job(m, kind == QUEUE_KICK_BURIED ? BURIED : DELAYED, c->used, 0);
		if (j == NULL)
			break;
		j->kicks++;
		model_make_ready(m, j);
	}
	model_say(m, c->session, seq, QUEUE_OK, kicked | kind << 32);
}

static void
delete_job(struct model *m, struct model_connection *c, uint64_t seq, struct model_job *j)
{
	m->counters[QUEUE_CMD_DELETE]++;
	if (j == NULL || (j->state == RESERVED && j->holder != c->number)) {
		model_say(m, c->session, seq, QUEUE_NOT_FOUND, 0);
		return;
	}
	model_find_tube(m, j->tube)->cmd_delete++;
	memmove(j, j + 1, (size_t)(m->jobs + m->job_count - j - 1) * sizeof(*j));
	m->job_count--;
	model_say(m, c->session, seq, QUEUE_OK, 0);
}

/* Commands about a job that the connection holds. */
static void
of_held_job(
	struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	struct model_job *j = model_find_job(m, q->id);
	bool is_held = j != NULL && j->state == RESERVED && j->holder == c->number;

	m->counters[q->op == QUEUE_RELEASE ? QUEUE_CMD_RELEASE
		    : q->op == QUEUE_BURY  ? QUEUE_CMD_BURY
					   : QUEUE_CMD_TOUCH]++;
	model_say(m, c->session, seq, is_held ? QUEUE_OK : QUEUE_NOT_FOUND, 0);
	if (!is_held)
		return;
	if (q->op == QUEUE_TOUCH) {
		j->until_ns = m->now_ns + j->ttr_s * SECOND_NS;
		return;
	}
	j->pri = q->pri;
	if (q->op == QUEUE_BURY) {
		j->state = BURIED;
		j->holder = 0;
		j->buries++;
		j->buried_order = m->order_next++;
		return;
	}
	j->releases++;
	j->delay_s = q->seconds;
	j->until_ns = m->now_ns + q->seconds * SECOND_NS;
	if (q->seconds == 0) {
		model_make_ready(m, j);
		return;
	}
	j->state = DELAYED;
	j->holder = 0;
}

/* Commands about a job that nobody holds. */
static void
of_free_job(
	struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	struct model_job *j = model_find_job(m, q->id);

	if (j == NULL || j->state == RESERVED || (q->op == QUEUE_KICK_JOB && j->state == READY)) {
		model_say(m, c->session, seq, QUEUE_NOT_FOUND, 0);
	} else if (q->op == QUEUE_KICK_JOB) {
		model_say(m, c->session, seq, QUEUE_OK, 0);
		j->kicks++;
		model_make_ready(m, j);
	} else {
		c->is_worker = true;
		model_give(m, c, seq, j);
	}
}

/* The first tubes that a connection watches may take what is kept for connections. */
static bool
fits_tube(
	const struct model *m, const struct model_connection *c, enum queue_op op, const char *name)
{
	uint64_t cells = model_tube_cells(m, name);

	if (op == QUEUE_USE)
		return fits(m, MODEL_CONNECTIONS, cells);
	if (model_watched_at(c, name) >= 0)
		return true;
	return fits(m, c->watched_count < 8 ? MODEL_CONNECTIONS : MODEL_JOBS, cells + 1);
}

static void
of_tube(struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q,
	const char *name)
{
	int at = model_watched_at(c, name);
	struct model_tube *t = model_find_tube(m, name);

	switch (q->op) {
	case QUEUE_USE:
	case QUEUE_WATCH:
		if (!fits_tube(m, c, q->op, name)) {
			model_say(m, c->session, seq, QUEUE_OUT_OF_MEMORY, 0);
			return;
		}
		m->counters[q->op == QUEUE_USE ? QUEUE_CMD_USE : QUEUE_CMD_WATCH]++;
		model_need_tube(m, name);
		if (q->op == QUEUE_USE) {
			strcpy(c->used, name);
		} else if (at < 0) {
			strcpy(c->watched[c->watched_count++].name, name);
			m->number_next++;
		}
		model_say(m, c->session, seq, QUEUE_OK,
			q->op == QUEUE_USE ? 0 : (uint64_t)c->watched_count);
		return;
	case QUEUE_IGNORE:
		m->counters[QUEUE_CMD_IGNORE]++;
		if (at >= 0 && c->watched_count == 1) {
			model_say(m, c->session, seq, QUEUE_NOT_IGNORED, 0);
			return;
		}
		if (at >= 0) {
			memmove(&c->watched[at], &c->watched[at + 1],
				(size_t)(c->watched_count - at - 1) * sizeof(c->watched[0]));
			c->watched_count--;
		}
		model_say(m, c->session, seq, QUEUE_OK, (uint64_t)c->watched_count);
		return;
	default:
		m->counters[QUEUE_CMD_PAUSE_TUBE]++;
		model_say(m, c->session, seq, t != NULL ? QUEUE_OK : QUEUE_NOT_FOUND, 0);
		if (t == NULL)
			return;
		t->cmd_pause++;
		t->pause_ns = q->seconds * SECOND_NS;
		t->unpause_ns = q->seconds > 0 ? m->now_ns + t->pause_ns : 0;
		model_match(m);
	}
}

static void
count(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q)
{
	const uint8_t *pairs = q->tail;

	for (uint32_t i = 0; i < q->tail_bytes; i += 5)
		m->counters[pairs[i]] += load_u32(pairs + i + 1);
	if (q->flag != 0)
		model_find_connection(m, session, q->connection)->is_producer = true;
	model_say(m, session, seq, QUEUE_OK, 0);
}

/* Commands that are about no connection, or whose gateway is not there. @return false: it is
 * another one */
static bool
of_gateway(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q)
{
	struct model_gateway *g = model_find_gateway(m, session);

	if (g != NULL)
		g->until_ns = m->now_ns + QUEUE_SILENCE_S * SECOND_NS;
	if (q->op == QUEUE_ATTACH)
		attach(m, session, seq, q->id);
	else if (g == NULL && (q->op == QUEUE_OPEN || q->op == QUEUE_COUNT))
		model_say(m, session, seq, QUEUE_NO_GATEWAY, 0);
	else if (q->op == QUEUE_OPEN)
		open_connection(m, session, seq, q->connection);
	else if (q->op == QUEUE_COUNT && q->flag == 0)
		count(m, session, seq, q);
	else
		return false;
	return true;
}

void
model_execute(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q)
{
	struct model_connection *c = model_find_connection(m, session, q->connection);
	char name[QUEUE_NAME_BYTES_MAX + 1] = "";

	if (of_gateway(m, session, seq, q))
		return;
	if (c == NULL) {
		model_say(m, session, seq, QUEUE_NO_CONNECTION, 0);
		return;
	}
	if (q->op != QUEUE_CLOSE && q->op != QUEUE_CANCEL) {
		if (q->is_after && c->has_parked) {
			model_say(m, session, seq, QUEUE_BEHIND, 0);
			return;
		}
		if (c->is_waiting) {
			model_say(m, session, seq, QUEUE_WAITS, 0);
			return;
		}
		c->has_parked = false;
	}
	switch (q->op) {
	case QUEUE_CLOSE:
		model_close_connection(m, c);
		model_say(m, session, seq, QUEUE_OK, 0);
		break;
	case QUEUE_CANCEL:
		model_say(m, session, seq, QUEUE_OK, c->is_waiting);
		if (c->is_waiting)
			model_end_wait(m, c, QUEUE_TIMED_OUT);
		break;
	case QUEUE_PUT: put(m, c, seq, q); break;
	case QUEUE_RESERVE:
		m->counters[QUEUE_CMD_RESERVE]++;
		model_reserve(m, c, seq, NEVER);
		break;
	case QUEUE_RESERVE_TIMEOUT:
		m->counters[QUEUE_CMD_RESERVE_TIMEOUT]++;
		model_reserve(m, c, seq, q->seconds * SECOND_NS);
		break;
	case QUEUE_DELETE: delete_job(m, c, seq, model_find_job(m, q->id)); break;
	case QUEUE_RELEASE:
	case QUEUE_BURY:
	case QUEUE_TOUCH: of_held_job(m, c, seq, q); break;
	case QUEUE_RESERVE_JOB:
	case QUEUE_KICK_JOB: of_free_job(m, c, seq, q); break;
	case QUEUE_KICK: kick(m, c, seq, q); break;
	case QUEUE_COUNT: count(m, session, seq, q); break;
	default:
		memcpy(name, q->tail, q->tail_bytes);
		of_tube(m, c, seq, q, name);
		break;
	}
}
