/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/queue/model.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

enum {
	READY,
	RESERVED,
	DELAYED,
	BURIED
};

#define NEVER UINT64_MAX

static void
say(struct model *m, uint64_t session, uint64_t seq, uint32_t status, uint64_t result)
{
	decree_assert(m->answer_count < 4096);
	m->answers[m->answer_count++] = (struct qf_answer){ session, seq, status, result };
}

/* ------------------------------------------------------------------------------ looking for something */

static struct model_tube *
find_tube(const struct model *m, const char *name)
{
	for (int i = 0; i < m->tube_count; i++)
		if (strcmp(m->tubes[i].name, name) == 0)
			return (struct model_tube *)&m->tubes[i];
	return NULL;
}

static struct model_gateway *
find_gateway(const struct model *m, uint64_t session)
{
	for (int i = 0; i < m->gateway_count; i++)
		if (m->gateways[i].session == session)
			return (struct model_gateway *)&m->gateways[i];
	return NULL;
}

static struct model_gateway *
find_node(const struct model *m, uint64_t node)
{
	for (int i = 0; i < m->gateway_count; i++)
		if (m->gateways[i].node == node)
			return (struct model_gateway *)&m->gateways[i];
	return NULL;
}

static struct model_connection *
find_connection(const struct model *m, uint64_t session, uint64_t id)
{
	for (int i = 0; i < m->connection_count; i++)
		if (m->connections[i].session == session && m->connections[i].id == id)
			return (struct model_connection *)&m->connections[i];
	return NULL;
}

static struct model_job *
find_job(const struct model *m, uint64_t id)
{
	for (int i = 0; i < m->job_count; i++)
		if (m->jobs[i].id == id)
			return (struct model_job *)&m->jobs[i];
	return NULL;
}

static int
watched_at(const struct model_connection *c, const char *name)
{
	for (int i = 0; i < c->watched_count; i++)
		if (strcmp(c->watched[i].name, name) == 0)
			return i;
	return -1;
}

/* What decides who is first among jobs of one state. */
static uint64_t
rank(const struct model_job *j)
{
	return j->state == READY ? j->pri : j->state == BURIED ? j->buried_order : j->until_ns;
}

/* @param tube  NULL: any @param holder  0: any */
static struct model_job *
first_job(const struct model *m, int state, const char *tube, uint64_t holder)
{
	struct model_job *best = NULL;

	for (int i = 0; i < m->job_count; i++) {
		struct model_job *j = (struct model_job *)&m->jobs[i];

		if (j->state != state || (tube != NULL && strcmp(j->tube, tube) != 0) ||
			(holder != 0 && j->holder != holder))
			continue;
		if (best == NULL || rank(j) < rank(best) ||
			(rank(j) == rank(best) && j->id < best->id))
			best = j;
	}
	return best;
}

static uint64_t
cells_of(uint64_t bytes, uint64_t first)
{
	return bytes <= first ? 1 : 1 + (bytes - first + 203) / 204;
}

static uint64_t
cells_used(const struct model *m)
{
	uint64_t used = (uint64_t)m->gateway_count;

	for (int i = 0; i < m->tube_count; i++)
		used += cells_of(strlen(m->tubes[i].name), 36);
	for (int i = 0; i < m->connection_count; i++)
		used += 1 + (uint64_t)m->connections[i].watched_count;
	for (int i = 0; i < m->job_count; i++)
		used += cells_of(m->jobs[i].bytes, 100);
	return used;
}

static bool
fits_put(const struct model *m, uint64_t cells)
{
	return cells_used(m) + cells <= m->cells_max;
}

static bool
fits_connection(const struct model *m, uint64_t cells)
{
	return cells_used(m) + cells <= m->cells_max + m->cells_kept_for_connections;
}

static bool
fits_gateway(const struct model *m)
{
	return cells_used(m) + 1 <=
	       m->cells_max + m->cells_kept_for_connections + m->cells_kept_for_gateways;
}

/* ------------------------------------------------------------------------------ tubes come and go */

static uint64_t
tube_cells(const struct model *m, const char *name)
{
	return find_tube(m, name) != NULL ? 0 : cells_of(strlen(name), 36);
}

static void
need_tube(struct model *m, const char *name)
{
	struct model_tube *t;

	if (find_tube(m, name) != NULL)
		return;
	decree_assert(m->tube_count < MODEL_TUBE_COUNT);
	t = &m->tubes[m->tube_count++];
	*t = (struct model_tube){ .number = m->number_next++ };
	strcpy(t->name, name);
}

static bool
is_referred_to(const struct model *m, const char *name)
{
	for (int i = 0; i < m->job_count; i++)
		if (strcmp(m->jobs[i].tube, name) == 0)
			return true;
	for (int i = 0; i < m->connection_count; i++)
		if (strcmp(m->connections[i].used, name) == 0 ||
			watched_at(&m->connections[i], name) >= 0)
			return true;
	return strcmp(name, "default") == 0;
}

static void
drop_tubes(struct model *m)
{
	for (int i = 0; i < m->tube_count; i++)
		if (!is_referred_to(m, m->tubes[i].name)) {
			memmove(&m->tubes[i], &m->tubes[i + 1],
				(size_t)(m->tube_count - i - 1) * sizeof(m->tubes[0]));
			m->tube_count--;
			i--;
		}
}

/* ------------------------------------------------------------------------------ jobs meet workers */

static void
give(struct model *m, struct model_connection *c, uint64_t seq, struct model_job *j)
{
	j->state = RESERVED;
	j->holder = c->number;
	j->until_ns = m->now_ns + j->ttr_s * QF_SECOND_NS;
	j->reserves++;
	c->is_waiting = false;
	say(m, c->session, seq, QUEUE_OK, j->id);
}

static void
match(struct model *m)
{
	for (int i = 0; i < m->tube_count; i++) {
		const struct model_tube *t = &m->tubes[i];
		struct model_job *j;

		while (t->pause_ns == 0 && (j = first_job(m, READY, t->name, 0)) != NULL) {
			struct model_connection *longest = NULL;

			for (int k = 0; k < m->connection_count; k++) {
				struct model_connection *c = &m->connections[k];

				if (c->is_waiting && watched_at(c, t->name) >= 0 &&
					(longest == NULL || c->wait_order < longest->wait_order))
					longest = c;
			}
			if (longest == NULL)
				break;
			give(m, longest, longest->wait_seq, j);
		}
	}
}

static void
make_ready(struct model *m, struct model_job *j)
{
	j->state = READY;
	j->holder = 0;
	match(m);
}

static bool
is_deadline_soon(const struct model *m, const struct model_connection *c)
{
	const struct model_job *j = first_job(m, RESERVED, NULL, c->number);

	return j != NULL && m->now_ns + QF_SECOND_NS >= j->until_ns;
}

static void
reserve(struct model *m, struct model_connection *c, uint64_t seq, uint64_t wait_ns)
{
	struct model_job *best = NULL;

	c->is_worker = true;
	for (int i = 0; i < c->watched_count; i++) {
		const struct model_tube *t = find_tube(m, c->watched[i].name);
		struct model_job *j = first_job(m, READY, t->name, 0);

		if (j != NULL && t->pause_ns == 0 &&
			(best == NULL || j->pri < best->pri ||
				(j->pri == best->pri && j->id < best->id)))
			best = j;
	}
	if (best != NULL) {
		give(m, c, seq, best);
	} else if (is_deadline_soon(m, c)) {
		say(m, c->session, seq, QUEUE_DEADLINE_SOON, 0);
	} else if (wait_ns == 0) {
		say(m, c->session, seq, QUEUE_TIMED_OUT, 0);
	} else {
		c->is_waiting = true;
		c->wait_seq = seq;
		c->wait_until = wait_ns == NEVER ? NEVER : m->now_ns + wait_ns;
		c->wait_order = m->order_next++;
	}
}

/* ------------------------------------------------------------------------------ who goes */

static void
stop_waiting(struct model *m, struct model_connection *c)
{
	if (c->is_waiting)
		say(m, c->session, c->wait_seq, QUEUE_CLOSED, 0);
	c->is_waiting = false;
}

static void
close_connection(struct model *m, struct model_connection *c)
{
	struct model_job *j;

	stop_waiting(m, c);
	while ((j = first_job(m, RESERVED, NULL, c->number)) != NULL)
		make_ready(m, j);
	memmove(c, c + 1, (size_t)(m->connections + m->connection_count - c - 1) * sizeof(*c));
	m->connection_count--;
}

/* With all its connections; none of their jobs goes to another one of them. @return how many they were */
static uint64_t
detach(struct model *m, struct model_gateway *g)
{
	uint64_t closed = 0, session = g->session;

	memmove(g, g + 1, (size_t)(m->gateways + m->gateway_count - g - 1) * sizeof(*g));
	m->gateway_count--;
	for (int i = 0; i < m->connection_count; i++)
		if (m->connections[i].session == session)
			stop_waiting(m, &m->connections[i]);
	for (int i = 0; i < m->connection_count;)
		if (m->connections[i].session == session) {
			close_connection(m, &m->connections[i]);
			closed++;
		} else {
			i++;
		}
	return closed;
}

/* ------------------------------------------------------------------------------ time */

struct event {
	uint64_t at_ns, number;
	struct model_tube *tube;
	struct model_connection *connection;
	struct model_gateway *gateway;
};

static void
take_earlier(struct event *best, struct event e)
{
	if (e.at_ns < best->at_ns || (e.at_ns == best->at_ns && e.number < best->number))
		*best = e;
}

static uint64_t
connection_time(const struct model *m, const struct model_connection *c)
{
	const struct model_job *j = first_job(m, RESERVED, NULL, c->number);
	uint64_t until = j == NULL ? NEVER : j->until_ns;

	if (!c->is_waiting)
		return until;
	if (until != NEVER)
		until -= QF_SECOND_NS;
	return until < c->wait_until ? until : c->wait_until;
}

static struct event
first_event(struct model *m)
{
	struct event best = { .at_ns = NEVER };

	for (int i = 0; i < m->tube_count; i++) {
		struct model_tube *t = &m->tubes[i];
		const struct model_job *j = first_job(m, DELAYED, t->name, 0);

		if (j != NULL)
			take_earlier(
				&best, (struct event){ j->until_ns, t->number, t, NULL, NULL });
		if (t->pause_ns != 0)
			take_earlier(
				&best, (struct event){ t->unpause_ns, t->number, t, NULL, NULL });
	}
	for (int i = 0; i < m->connection_count; i++) {
		struct model_connection *c = &m->connections[i];

		take_earlier(
			&best, (struct event){ connection_time(m, c), c->number, NULL, c, NULL });
	}
	for (int i = 0; i < m->gateway_count; i++) {
		struct model_gateway *g = &m->gateways[i];

		take_earlier(&best, (struct event){ g->until_ns, g->number, NULL, NULL, g });
	}
	return best;
}

static void
happen(struct model *m, const struct event *e)
{
	struct model_connection *c = e->connection;
	struct model_job *j;

	if (e->gateway != NULL) {
		(void)detach(m, e->gateway); /* nobody asks how many */
	} else if (e->tube != NULL && e->tube->pause_ns != 0 && e->tube->unpause_ns == e->at_ns) {
		e->tube->pause_ns = e->tube->unpause_ns = 0;
		match(m);
	} else if (e->tube != NULL) {
		make_ready(m, first_job(m, DELAYED, e->tube->name, 0));
	} else if (c->is_waiting) {
		j = first_job(m, RESERVED, NULL, c->number);
		c->is_waiting = false;
		say(m, c->session, c->wait_seq,
			j != NULL && j->until_ns - QF_SECOND_NS == e->at_ns ? QUEUE_DEADLINE_SOON
									    : QUEUE_TIMED_OUT,
			0);
	} else {
		j = first_job(m, RESERVED, NULL, c->number);
		j->timeouts++;
		m->counters[QUEUE_JOB_TIMEOUTS]++;
		make_ready(m, j);
	}
}

/* ------------------------------------------------------------------------------ commands */

static void
open_connection(struct model *m, uint64_t session, uint64_t seq, uint64_t id)
{
	struct model_connection *c;

	if (find_connection(m, session, id) != NULL) {
		say(m, session, seq, QUEUE_EXISTS, 0);
		return;
	}
	if (!fits_connection(m, 2)) {
		say(m, session, seq, QUEUE_OUT_OF_MEMORY, 0);
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
	say(m, session, seq, QUEUE_OK, session);
}

static void
attach(struct model *m, uint64_t session, uint64_t seq, uint64_t node)
{
	struct model_gateway *mine = find_gateway(m, session), *before = find_node(m, node);
	uint64_t number = m->number_next;

	if (mine != NULL) {
		say(m, session, seq, mine == before ? QUEUE_OK : QUEUE_BAD_COMMAND, 0);
		return;
	}
	if (!fits_gateway(m)) {
		say(m, session, seq, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	m->number_next++;
	say(m, session, seq, QUEUE_OK, before != NULL ? detach(m, before) : 0);
	decree_assert(m->gateway_count < MODEL_GATEWAY_COUNT);
	m->gateways[m->gateway_count++] = (struct model_gateway){
		.number = number,
		.session = session,
		.node = node,
		.until_ns = m->now_ns + QUEUE_SILENCE_S * QF_SECOND_NS,
	};
}

static void
put(struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	struct model_job *j;

	if (!fits_put(m, cells_of(q->tail_bytes, 100))) {
		say(m, c->session, seq, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	decree_assert(m->job_count < MODEL_JOB_COUNT);
	m->counters[QUEUE_CMD_PUT]++;
	m->counters[QUEUE_TOTAL_JOBS]++;
	find_tube(m, c->used)->total_jobs++;
	c->is_producer = true;
	j = &m->jobs[m->job_count++];
	*j = (struct model_job){
		.id = m->job_next++,
		.state = q->seconds > 0 ? DELAYED : READY,
		.until_ns = m->now_ns + q->seconds * QF_SECOND_NS,
		.created_ns = m->now_ns,
		.pri = q->pri,
		.delay_s = q->seconds,
		.ttr_s = q->ttr_s > 0 ? q->ttr_s : 1,
		.bytes = q->tail_bytes,
		.first = q->tail_bytes > 0 ? *(const uint8_t *)q->tail : 0,
	};
	strcpy(j->tube, c->used);
	say(m, c->session, seq, QUEUE_OK, j->id);
	match(m);
}

static void
kick(struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	uint64_t kicked = 0, kind = q->flag;
	uint32_t limit = q->bound < 1024 ? q->bound : 1024;
	struct model_job *j;

	if (kind == QUEUE_KICK_ANY) {
		m->counters[QUEUE_CMD_KICK]++;
		kind = first_job(m, BURIED, c->used, 0) != NULL ? QUEUE_KICK_BURIED
								: QUEUE_KICK_DELAYED;
	}
	for (; kicked < limit; kicked++) {
		j = first_job(m, kind == QUEUE_KICK_BURIED ? BURIED : DELAYED, c->used, 0);
		if (j == NULL)
			break;
		j->kicks++;
		make_ready(m, j);
	}
	say(m, c->session, seq, QUEUE_OK, kicked | kind << 32);
}

static void
delete_job(struct model *m, struct model_connection *c, uint64_t seq, struct model_job *j)
{
	m->counters[QUEUE_CMD_DELETE]++;
	if (j == NULL || (j->state == RESERVED && j->holder != c->number)) {
		say(m, c->session, seq, QUEUE_NOT_FOUND, 0);
		return;
	}
	find_tube(m, j->tube)->cmd_delete++;
	memmove(j, j + 1, (size_t)(m->jobs + m->job_count - j - 1) * sizeof(*j));
	m->job_count--;
	say(m, c->session, seq, QUEUE_OK, 0);
}

/* Commands about a job that the connection holds. */
static void
of_held_job(
	struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q)
{
	struct model_job *j = find_job(m, q->id);
	bool is_held = j != NULL && j->state == RESERVED && j->holder == c->number;

	m->counters[q->op == QUEUE_RELEASE ? QUEUE_CMD_RELEASE
		    : q->op == QUEUE_BURY  ? QUEUE_CMD_BURY
					   : QUEUE_CMD_TOUCH]++;
	say(m, c->session, seq, is_held ? QUEUE_OK : QUEUE_NOT_FOUND, 0);
	if (!is_held)
		return;
	if (q->op == QUEUE_TOUCH) {
		j->until_ns = m->now_ns + j->ttr_s * QF_SECOND_NS;
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
	j->until_ns = m->now_ns + q->seconds * QF_SECOND_NS;
	if (q->seconds == 0) {
		make_ready(m, j);
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
	struct model_job *j = find_job(m, q->id);

	if (j == NULL || j->state == RESERVED || (q->op == QUEUE_KICK_JOB && j->state == READY)) {
		say(m, c->session, seq, QUEUE_NOT_FOUND, 0);
	} else if (q->op == QUEUE_KICK_JOB) {
		say(m, c->session, seq, QUEUE_OK, 0);
		j->kicks++;
		make_ready(m, j);
	} else {
		c->is_worker = true;
		give(m, c, seq, j);
	}
}

/* The first tubes that a connection watches may take what is kept for connections. */
static bool
fits_tube(
	const struct model *m, const struct model_connection *c, enum queue_op op, const char *name)
{
	if (op == QUEUE_USE)
		return fits_connection(m, tube_cells(m, name));
	if (watched_at(c, name) >= 0)
		return true;
	return c->watched_count < 8 ? fits_connection(m, tube_cells(m, name) + 1)
				    : fits_put(m, tube_cells(m, name) + 1);
}

static void
of_tube(struct model *m, struct model_connection *c, uint64_t seq, const struct queue_command *q,
	const char *name)
{
	int at = watched_at(c, name);
	struct model_tube *t = find_tube(m, name);

	switch (q->op) {
	case QUEUE_USE:
	case QUEUE_WATCH:
		if (!fits_tube(m, c, q->op, name)) {
			say(m, c->session, seq, QUEUE_OUT_OF_MEMORY, 0);
			return;
		}
		m->counters[q->op == QUEUE_USE ? QUEUE_CMD_USE : QUEUE_CMD_WATCH]++;
		need_tube(m, name);
		if (q->op == QUEUE_USE) {
			strcpy(c->used, name);
		} else if (at < 0) {
			strcpy(c->watched[c->watched_count++].name, name);
			m->number_next++;
		}
		say(m, c->session, seq, QUEUE_OK,
			q->op == QUEUE_USE ? 0 : (uint64_t)c->watched_count);
		return;
	case QUEUE_IGNORE:
		m->counters[QUEUE_CMD_IGNORE]++;
		if (at >= 0 && c->watched_count == 1) {
			say(m, c->session, seq, QUEUE_NOT_IGNORED, 0);
			return;
		}
		if (at >= 0) {
			memmove(&c->watched[at], &c->watched[at + 1],
				(size_t)(c->watched_count - at - 1) * sizeof(c->watched[0]));
			c->watched_count--;
		}
		say(m, c->session, seq, QUEUE_OK, (uint64_t)c->watched_count);
		return;
	default:
		m->counters[QUEUE_CMD_PAUSE_TUBE]++;
		say(m, c->session, seq, t != NULL ? QUEUE_OK : QUEUE_NOT_FOUND, 0);
		if (t == NULL)
			return;
		t->cmd_pause++;
		t->pause_ns = q->seconds * QF_SECOND_NS;
		t->unpause_ns = q->seconds > 0 ? m->now_ns + t->pause_ns : 0;
		match(m);
	}
}

static void
count(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q)
{
	const uint8_t *pairs = q->tail;

	for (uint32_t i = 0; i < q->tail_bytes; i += 5)
		m->counters[pairs[i]] += load_u32(pairs + i + 1);
	if (q->flag != 0)
		find_connection(m, session, q->connection)->is_producer = true;
	say(m, session, seq, QUEUE_OK, 0);
}

/* Commands that are about no connection, or whose gateway is not there. @return false: it is another one */
static bool
of_gateway(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q)
{
	struct model_gateway *g = find_gateway(m, session);

	if (g != NULL)
		g->until_ns = m->now_ns + QUEUE_SILENCE_S * QF_SECOND_NS;
	if (q->op == QUEUE_ATTACH)
		attach(m, session, seq, q->id);
	else if (g == NULL && (q->op == QUEUE_OPEN || q->op == QUEUE_COUNT))
		say(m, session, seq, QUEUE_NO_GATEWAY, 0);
	else if (q->op == QUEUE_OPEN)
		open_connection(m, session, seq, q->connection);
	else if (q->op == QUEUE_COUNT && q->flag == 0)
		count(m, session, seq, q);
	else
		return false;
	return true;
}

static void
execute(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q)
{
	struct model_connection *c = find_connection(m, session, q->connection);
	char name[QUEUE_NAME_BYTES_MAX + 1] = "";

	if (of_gateway(m, session, seq, q))
		return;
	if (c == NULL || (c->is_waiting && q->op != QUEUE_CLOSE && q->op != QUEUE_CANCEL)) {
		say(m, session, seq, c == NULL ? QUEUE_NO_CONNECTION : QUEUE_WAITS, 0);
		return;
	}
	switch (q->op) {
	case QUEUE_CLOSE:
		close_connection(m, c);
		say(m, session, seq, QUEUE_OK, 0);
		break;
	case QUEUE_CANCEL:
		say(m, session, seq, QUEUE_OK, c->is_waiting);
		if (c->is_waiting)
			say(m, session, c->wait_seq, QUEUE_TIMED_OUT, 0);
		c->is_waiting = false;
		break;
	case QUEUE_PUT: put(m, c, seq, q); break;
	case QUEUE_RESERVE:
		m->counters[QUEUE_CMD_RESERVE]++;
		reserve(m, c, seq, NEVER);
		break;
	case QUEUE_RESERVE_TIMEOUT:
		m->counters[QUEUE_CMD_RESERVE_TIMEOUT]++;
		reserve(m, c, seq, q->seconds * QF_SECOND_NS);
		break;
	case QUEUE_DELETE: delete_job(m, c, seq, find_job(m, q->id)); break;
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

void
model_init(struct model *m, uint64_t now_ns, uint64_t cells_max)
{
	memset(m, 0, sizeof(*m));
	m->now_ns = now_ns;
	m->cells_max = cells_max;
	m->number_next = m->job_next = m->order_next = 1;
	need_tube(m, "default");
}

void
model_apply(struct model *m, uint64_t now_ns, uint64_t session, uint64_t seq,
	const struct queue_command *c)
{
	struct event e;

	m->answer_count = 0;
	m->now_ns = now_ns;
	while ((e = first_event(m)).at_ns <= now_ns)
		happen(m, &e);
	drop_tubes(m); /* those of gateways that went */
	if (c != NULL)
		execute(m, session, seq, c);
	drop_tubes(m);
}

bool
model_is_attached(const struct model *m, uint64_t session)
{
	return find_gateway(m, session) != NULL;
}

bool
model_is_open(const struct model *m, uint64_t session, uint64_t connection)
{
	return find_connection(m, session, connection) != NULL;
}

uint64_t
model_next_deadline(struct model *m)
{
	return first_event(m).at_ns;
}

/* ------------------------------------------------------------------------------ statistics */

static uint64_t
count_jobs(const struct model *m, int state, const char *tube, uint32_t pri_after)
{
	uint64_t jobs = 0;

	for (int i = 0; i < m->job_count; i++)
		jobs += m->jobs[i].state == state && m->jobs[i].pri < pri_after &&
			(tube == NULL || strcmp(m->jobs[i].tube, tube) == 0);
	return jobs;
}

void
model_stats(const struct model *m, uint64_t n[QUEUE_STAT_COUNT])
{
	memcpy(n, m->counters, sizeof(m->counters));
	n[QUEUE_STAT_JOBS_URGENT] = count_jobs(m, READY, NULL, 1024);
	for (int state = READY; state <= BURIED; state++)
		n[QUEUE_STAT_JOBS_READY + state] = count_jobs(m, state, NULL, UINT32_MAX);
	n[QUEUE_STAT_TUBES] = (uint64_t)m->tube_count;
	n[QUEUE_STAT_CONNECTIONS] = (uint64_t)m->connection_count;
	n[QUEUE_STAT_PRODUCERS] = n[QUEUE_STAT_WORKERS] = n[QUEUE_STAT_WAITING] = 0;
	for (int i = 0; i < m->connection_count; i++) {
		n[QUEUE_STAT_PRODUCERS] += m->connections[i].is_producer;
		n[QUEUE_STAT_WORKERS] += m->connections[i].is_worker;
		n[QUEUE_STAT_WAITING] += m->connections[i].is_waiting;
	}
	n[QUEUE_STAT_NOW_NS] = m->now_ns;
	n[QUEUE_STAT_BYTES_USED] = cells_used(m) * 208;
	n[QUEUE_STAT_BYTES_MAX] = m->cells_max * 208;
}

bool
model_tube_stats(const struct model *m, const char *name, uint64_t n[QUEUE_TUBE_STAT_COUNT])
{
	const struct model_tube *t = find_tube(m, name);

	if (t == NULL)
		return false;
	memset(n, 0, QUEUE_TUBE_STAT_COUNT * sizeof(n[0]));
	n[QUEUE_TUBE_STAT_JOBS_URGENT] = count_jobs(m, READY, name, 1024);
	for (int state = READY; state <= BURIED; state++)
		n[QUEUE_TUBE_STAT_JOBS_READY + state] = count_jobs(m, state, name, UINT32_MAX);
	for (int i = 0; i < m->connection_count; i++) {
		const struct model_connection *c = &m->connections[i];
		bool watches = watched_at(c, name) >= 0;

		n[QUEUE_TUBE_STAT_USING] += strcmp(c->used, name) == 0;
		n[QUEUE_TUBE_STAT_WATCHING] += watches;
		n[QUEUE_TUBE_STAT_WAITING] += watches && c->is_waiting;
	}
	n[QUEUE_TUBE_STAT_TOTAL_JOBS] = t->total_jobs;
	n[QUEUE_TUBE_STAT_CMD_DELETE] = t->cmd_delete;
	n[QUEUE_TUBE_STAT_CMD_PAUSE_TUBE] = t->cmd_pause;
	n[QUEUE_TUBE_STAT_PAUSE_S] = t->pause_ns / QF_SECOND_NS;
	n[QUEUE_TUBE_STAT_PAUSE_LEFT_NS] = t->pause_ns == 0 ? 0 : t->unpause_ns - m->now_ns;
	return true;
}

bool
model_job_stats(const struct model *m, uint64_t id, uint64_t n[QUEUE_JOB_STAT_COUNT])
{
	const struct model_job *j = find_job(m, id);

	if (j == NULL)
		return false;
	memset(n, 0, QUEUE_JOB_STAT_COUNT * sizeof(n[0]));
	n[QUEUE_JOB_STAT_ID] = id;
	n[QUEUE_JOB_STAT_STATE] = (uint64_t)j->state;
	n[QUEUE_JOB_STAT_PRI] = j->pri;
	n[QUEUE_JOB_STAT_AGE_NS] = m->now_ns - j->created_ns;
	n[QUEUE_JOB_STAT_DELAY_S] = j->delay_s;
	n[QUEUE_JOB_STAT_TTR_S] = j->ttr_s;
	if (j->state == RESERVED || j->state == DELAYED)
		n[QUEUE_JOB_STAT_LEFT_NS] = j->until_ns - m->now_ns;
	n[QUEUE_JOB_STAT_RESERVES] = j->reserves;
	n[QUEUE_JOB_STAT_TIMEOUTS] = j->timeouts;
	n[QUEUE_JOB_STAT_RELEASES] = j->releases;
	n[QUEUE_JOB_STAT_BURIES] = j->buries;
	n[QUEUE_JOB_STAT_KICKS] = j->kicks;
	for (int i = 0; i < m->connection_count; i++)
		if (j->state == RESERVED && m->connections[i].number == j->holder) {
			n[QUEUE_JOB_STAT_HOLDER_SESSION] = m->connections[i].session;
			n[QUEUE_JOB_STAT_HOLDER] = m->connections[i].id;
		}
	return true;
}

uint64_t
model_peek(const struct model *m, uint64_t session, uint64_t connection, enum queue_query_kind kind)
{
	const struct model_connection *c = find_connection(m, session, connection);
	int state = kind == QUEUE_PEEK_READY     ? READY
		    : kind == QUEUE_PEEK_DELAYED ? DELAYED
						 : BURIED;
	const struct model_job *j = c == NULL ? NULL : first_job(m, state, c->used, 0);

	return j == NULL ? 0 : j->id;
}
