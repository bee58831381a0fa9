/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/queue_model_private.h"

#include "base/assert.h"

#include <string.h>

static struct model_answer *
answer_add(struct model *m)
{
	decree_assert(m->answer_count < MODEL_ANSWER_COUNT);
	return &m->answers[m->answer_count++];
}

void
model_say(struct model *m, uint64_t session, uint64_t seq, uint32_t status, uint64_t result)
{
	*answer_add(m) = (struct model_answer){
		.session = session, .seq = seq, .status = status, .result = result
	};
}

void
model_end_wait(struct model *m, struct model_connection *c, uint32_t status)
{
	decree_assert(c->is_waiting);
	c->is_waiting = false;
	*answer_add(m) = (struct model_answer){
		.session = c->session,
		.seq = c->wait_seq,
		.status = status,
		.has_waited = true,
		.connection = c->id,
	};
}

/* ------------------------------------------------------------------------ looking for something */

struct model_tube *
model_find_tube(const struct model *m, const char *name)
{
	for (int i = 0; i < m->tube_count; i++)
		if (strcmp(m->tubes[i].name, name) == 0)
			return (struct model_tube *)&m->tubes[i];
	return NULL;
}

struct model_gateway *
model_find_gateway(const struct model *m, uint64_t session)
{
	for (int i = 0; i < m->gateway_count; i++)
		if (m->gateways[i].session == session)
			return (struct model_gateway *)&m->gateways[i];
	return NULL;
}

struct model_gateway *
model_find_node(const struct model *m, uint64_t node)
{
	for (int i = 0; i < m->gateway_count; i++)
		if (m->gateways[i].node == node)
			return (struct model_gateway *)&m->gateways[i];
	return NULL;
}

struct model_connection *
model_find_connection(const struct model *m, uint64_t session, uint64_t id)
{
	for (int i = 0; i < m->connection_count; i++)
		if (m->connections[i].session == session && m->connections[i].id == id)
			return (struct model_connection *)&m->connections[i];
	return NULL;
}

struct model_job *
model_find_job(const struct model *m, uint64_t id)
{
	for (int i = 0; i < m->job_count; i++)
		if (m->jobs[i].id == id)
			return (struct model_job *)&m->jobs[i];
	return NULL;
}

int
model_watched_at(const struct model_connection *c, const char *name)
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
struct model_job *
model_first_job(const struct model *m, int state, const char *tube, uint64_t holder)
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

uint64_t
model_cells_of(uint64_t bytes, uint64_t first)
{
	return bytes <= first ? 1 : 1 + (bytes - first + 203) / 204;
}

uint64_t
model_cells_used(const struct model *m)
{
	uint64_t used = (uint64_t)m->gateway_count;

	for (int i = 0; i < m->tube_count; i++)
		used += model_cells_of(strlen(m->tubes[i].name), 36);
	for (int i = 0; i < m->connection_count; i++)
		used += 1 + (uint64_t)m->connections[i].watched_count;
	for (int i = 0; i < m->job_count; i++)
		used += model_cells_of(m->jobs[i].bytes, 100);
	return used;
}

/* ---------------------------------------------------------------------------- tubes come and go */

uint64_t
model_tube_cells(const struct model *m, const char *name)
{
	return model_find_tube(m, name) != NULL ? 0 : model_cells_of(strlen(name), 36);
}

void
model_need_tube(struct model *m, const char *name)
{
	struct model_tube *t;

	if (model_find_tube(m, name) != NULL)
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
			model_watched_at(&m->connections[i], name) >= 0)
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

/* ---------------------------------------------------------------------------- jobs meet workers */

void
model_give(struct model *m, struct model_connection *c, uint64_t seq, struct model_job *j)
{
	j->state = RESERVED;
	j->holder = c->number;
	j->until_ns = m->now_ns + j->ttr_s * SECOND_NS;
	j->reserves++;
	*answer_add(m) = (struct model_answer){
		.session = c->session,
		.seq = seq,
		.status = QUEUE_OK,
		.result = j->id,
		.has_waited = c->is_waiting,
		.has_job = true,
		.connection = c->id,
		.reserves = j->reserves,
		.body_bytes = j->bytes,
	};
	c->is_waiting = false;
}

void
model_match(struct model *m)
{
	for (int i = 0; i < m->tube_count; i++) {
		const struct model_tube *t = &m->tubes[i];
		struct model_job *j;

		while (t->pause_ns == 0 && (j = model_first_job(m, READY, t->name, 0)) != NULL) {
			struct model_connection *longest = NULL;

			for (int k = 0; k < m->connection_count; k++) {
				struct model_connection *c = &m->connections[k];

				if (c->is_waiting && model_watched_at(c, t->name) >= 0 &&
					(longest == NULL || c->wait_order < longest->wait_order))
					longest = c;
			}
			if (longest == NULL)
				break;
			model_give(m, longest, longest->wait_seq, j);
		}
	}
}

void
model_make_ready(struct model *m, struct model_job *j)
{
	j->state = READY;
	j->holder = 0;
	model_match(m);
}

static bool
is_deadline_soon(const struct model *m, const struct model_connection *c)
{
	const struct model_job *j = model_first_job(m, RESERVED, NULL, c->number);

	return j != NULL && m->now_ns + SECOND_NS >= j->until_ns;
}

void
model_reserve(struct model *m, struct model_connection *c, uint64_t seq, uint64_t wait_ns)
{
	struct model_job *best = NULL;

	c->is_worker = true;
	for (int i = 0; i < c->watched_count; i++) {
		const struct model_tube *t = model_find_tube(m, c->watched[i].name);
		struct model_job *j = model_first_job(m, READY, t->name, 0);

		if (j != NULL && t->pause_ns == 0 &&
			(best == NULL || j->pri < best->pri ||
				(j->pri == best->pri && j->id < best->id)))
			best = j;
	}
	if (best != NULL) {
		model_give(m, c, seq, best);
	} else if (is_deadline_soon(m, c)) {
		model_say(m, c->session, seq, QUEUE_DEADLINE_SOON, 0);
	} else if (wait_ns == 0) {
		model_say(m, c->session, seq, QUEUE_TIMED_OUT, 0);
	} else {
		c->is_waiting = c->has_parked = true;
		c->wait_seq = seq;
		c->wait_until = wait_ns == NEVER ? NEVER : m->now_ns + wait_ns;
		c->wait_order = m->order_next++;
		model_say(m, c->session, seq, QUEUE_PARKED, 0);
	}
}

/* ------------------------------------------------------------------------------ who goes */

static void
stop_waiting(struct model *m, struct model_connection *c)
{
	if (c->is_waiting)
		model_end_wait(m, c, QUEUE_CLOSED);
}

void
model_close_connection(struct model *m, struct model_connection *c)
{
	struct model_job *j;

	stop_waiting(m, c);
	while ((j = model_first_job(m, RESERVED, NULL, c->number)) != NULL)
		model_make_ready(m, j);
	memmove(c, c + 1, (size_t)(m->connections + m->connection_count - c - 1) * sizeof(*c));
	m->connection_count--;
}

/* With all its connections; none of their jobs goes to another one of them. @return how many they
 * were */
uint64_t
model_detach(struct model *m, struct model_gateway *g)
{
	uint64_t closed = 0, session = g->session;

	memmove(g, g + 1, (size_t)(m->gateways + m->gateway_count - g - 1) * sizeof(*g));
	m->gateway_count--;
	for (int i = 0; i < m->connection_count; i++)
		if (m->connections[i].session == session)
			stop_waiting(m, &m->connections[i]);
	for (int i = 0; i < m->connection_count;)
		if (m->connections[i].session == session) {
			model_close_connection(m, &m->connections[i]);
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
	const struct model_job *j = model_first_job(m, RESERVED, NULL, c->number);
	uint64_t until = j == NULL ? NEVER : j->until_ns;

	if (!c->is_waiting)
		return until;
	if (until != NEVER)
		until -= SECOND_NS;
	return until < c->wait_until ? until : c->wait_until;
}

static struct event
first_event(struct model *m)
{
	struct event best = { .at_ns = NEVER };

	for (int i = 0; i < m->tube_count; i++) {
		struct model_tube *t = &m->tubes[i];
		const struct model_job *j = model_first_job(m, DELAYED, t->name, 0);

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
		(void)model_detach(m, e->gateway); /* nobody asks how many */
	} else if (e->tube != NULL && e->tube->pause_ns != 0 && e->tube->unpause_ns == e->at_ns) {
		e->tube->pause_ns = e->tube->unpause_ns = 0;
		model_match(m);
	} else if (e->tube != NULL) {
		model_make_ready(m, model_first_job(m, DELAYED, e->tube->name, 0));
	} else if (c->is_waiting) {
		j = model_first_job(m, RESERVED, NULL, c->number);
		model_end_wait(m, c,
			j != NULL && j->until_ns - SECOND_NS == e->at_ns ? QUEUE_DEADLINE_SOON
									 : QUEUE_TIMED_OUT);
	} else {
		j = model_first_job(m, RESERVED, NULL, c->number);
		j->timeouts++;
		m->counters[QUEUE_JOB_TIMEOUTS]++;
		model_make_ready(m, j);
	}
}

void
model_init(struct model *m, uint64_t now_ns, const uint64_t cells[MODEL_PURPOSE_COUNT])
{
	m->now_ns = now_ns;
	memcpy(m->cells, cells, sizeof(m->cells));
	m->number_next = m->job_next = m->order_next = 1;
	memset(m->counters, 0, sizeof(m->counters));
	m->tube_count = m->gateway_count = m->connection_count = m->job_count = 0;
	m->answer_count = 0;
	model_need_tube(m, "default");
}

/* If there was no slot for more than 2.5 s, all beyond these is nobody's silence. */
static void
leap(struct model *m, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - m->now_ns;

	for (int i = 0; i < m->gateway_count && passed_ns > SLOT_NS; i++)
		m->gateways[i].until_ns += passed_ns - SLOT_NS;
	m->now_ns = now_ns;
}

void
model_apply(struct model *m, uint64_t now_ns, uint64_t session, uint64_t seq,
	const struct queue_command *c)
{
	struct event e;

	m->answer_count = 0;
	leap(m, now_ns);
	while ((e = first_event(m)).at_ns <= now_ns)
		happen(m, &e);
	drop_tubes(m); /* those of gateways that went */
	if (c != NULL)
		model_execute(m, session, seq, c);
	drop_tubes(m);
}

bool
model_is_attached(const struct model *m, uint64_t session)
{
	return model_find_gateway(m, session) != NULL;
}

bool
model_is_open(const struct model *m, uint64_t session, uint64_t connection)
{
	return model_find_connection(m, session, connection) != NULL;
}

uint64_t
model_next_deadline(struct model *m)
{
	uint64_t at_ns = first_event(m).at_ns;

	return m->gateway_count > 0 && m->now_ns + SLOT_NS < at_ns ? m->now_ns + SLOT_NS : at_ns;
}
