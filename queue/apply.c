/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each command of command.h, in its order there. A handler turns away, counts, does the work,
 * answers; whether there is room is asked before anything changes.
 */
#include "queue/private.h"

#include "queue/bytes.h"

struct call {
	struct queue_machine *m;
	const struct decree_command *from;
	const struct queue_command *c;
	uint32_t gateway;    /* its cell; none for an ATTACH that is not a repeated one */
	uint32_t connection; /* its cell; none for OPEN, ATTACH, and COUNT without the flag */
};

void
answer(struct queue_machine *m, uint64_t session, uint64_t seq, enum queue_status status,
	uint64_t result)
{
	decree_sink_answer(
		m->sink, (struct decree_session){ session }, seq, (uint16_t)status, result);
}

static void
reply(const struct call *call, enum queue_status status, uint64_t result)
{
	answer(call->m, call->from->session.n, call->from->seq, status, result);
}

static void
count(const struct call *call, enum queue_counter counter)
{
	call->m->globals.counters[counter]++;
}

/* ------------------------------------------------------------------------------ gateways */

static void
on_attach(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t before = gateway_find_node(m, call->c->id);

	if (call->gateway != 0) {
		reply(call, before == call->gateway ? QUEUE_OK : QUEUE_BAD_COMMAND, 0);
		return;
	}
	if (!has_room(m, FOR_GATEWAYS, 1)) {
		reply(call, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	gateway_attach(m, call->from->session.n, call->c->id);
	reply(call, QUEUE_OK, before == 0 ? 0 : gateway_at(m, before)->connection_count);
	if (before == 0)
		return;
	gateway_detach(m, before);
	due_run(m, m->globals.now_ns);
}

static void
on_count(const struct call *call)
{
	const uint8_t *pairs = call->c->tail;

	for (uint32_t at = 0; at < call->c->tail_bytes; at += QUEUE_COUNT_PAIR_BYTES)
		call->m->globals.counters[pairs[at]] += queue_load_u32(pairs + at + 1);
	if (call->c->flag != 0)
		connection_set_flag(call->m, call->connection, IS_PRODUCER);
	reply(call, QUEUE_OK, 0);
}

/* ------------------------------------------------------------------------------ connections */

static void
on_open(const struct call *call)
{
	if (key_find_connection(call->m, call->gateway, call->c->connection) != 0)
		reply(call, QUEUE_EXISTS, 0);
	else if (connection_open(call->m, call->gateway, call->c->connection) == 0)
		reply(call, QUEUE_OUT_OF_MEMORY, 0);
	else
		reply(call, QUEUE_OK, call->from->session.n);
}

static void
on_close(const struct call *call)
{
	connection_close(call->m, call->connection);
	reply(call, QUEUE_OK, 0);
}

static void
on_cancel(const struct call *call)
{
	bool is_waiting = object_at(call->m, call->connection)->state & IS_WAITING;

	if (is_waiting)
		wait_end(call->m, call->connection, QUEUE_TIMED_OUT);
	reply(call, QUEUE_OK, is_waiting);
}

/* ------------------------------------------------------------------------------ producers */

static void
on_put(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t job, tube = object_at(m, call->connection)->tube;

	if (!has_room(m, FOR_JOBS, payload_cells(KIND_JOB, call->c->tail_bytes))) {
		reply(call, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	count(call, QUEUE_CMD_PUT);
	connection_set_flag(m, call->connection, IS_PRODUCER);
	job = job_add(m, tube, call->c);
	reply(call, QUEUE_OK, object_at(m, job)->number);
	reserve_match(m, tube);
}

static void
on_use(const struct call *call)
{
	struct queue_machine *m = call->m;
	const struct queue_command *c = call->c;

	if (!has_room(m, FOR_CONNECTIONS, tube_room(m, c->tail, c->tail_bytes))) {
		reply(call, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	count(call, QUEUE_CMD_USE);
	connection_use(m, call->connection, tube_get(m, c->tail, c->tail_bytes));
	reply(call, QUEUE_OK, 0);
}

/* ------------------------------------------------------------------------------ workers */

static void
on_reserve(const struct call *call)
{
	count(call, QUEUE_CMD_RESERVE);
	reserve(call->m, call->connection, call->from->seq, false, 0);
}

static void
on_reserve_timeout(const struct call *call)
{
	count(call, QUEUE_CMD_RESERVE_TIMEOUT);
	reserve(call->m, call->connection, call->from->seq, true, call->c->seconds);
}

static void
on_reserve_job(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t job = index_find(m, KIND_JOB, call->c->id);

	if (job == 0 || object_at(m, job)->state == JOB_RESERVED) {
		reply(call, QUEUE_NOT_FOUND, 0);
		return;
	}
	connection_set_flag(m, call->connection, IS_WORKER);
	reserve_give(m, call->connection, call->from->seq, job);
}

/* @return the job of the command if this connection holds it, or none */
static uint32_t
held_job(const struct call *call)
{
	uint32_t job = index_find(call->m, KIND_JOB, call->c->id);

	return job != 0 && job_at(call->m, job)->holder == call->connection ? job : 0;
}

static void
on_delete(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t job = index_find(m, KIND_JOB, call->c->id);
	struct tube *t;

	count(call, QUEUE_CMD_DELETE);
	if (job == 0 || (object_at(m, job)->state == JOB_RESERVED && held_job(call) == 0)) {
		reply(call, QUEUE_NOT_FOUND, 0);
		return;
	}
	t = tube_at(m, object_at(m, job)->tube);
	object_edit(m, &t->t.o);
	t->cmd_delete++;
	object_done(m, &t->t.o);
	job_remove(m, job);
	reply(call, QUEUE_OK, 0);
}

static void
on_release(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t job = held_job(call);
	struct job *j = job_at(m, job);

	count(call, QUEUE_CMD_RELEASE);
	if (job == 0) {
		reply(call, QUEUE_NOT_FOUND, 0);
		return;
	}
	object_edit(m, &j->o);
	j->pri = call->c->pri;
	j->delay_s = call->c->seconds;
	j->releases++;
	object_done(m, &j->o);
	reply(call, QUEUE_OK, 0);
	if (call->c->seconds > 0)
		job_to_delayed(m, job, call->c->seconds);
	else
		job_to_ready(m, job);
}

static void
on_bury(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t job = held_job(call);
	struct job *j = job_at(m, job);

	count(call, QUEUE_CMD_BURY);
	if (job == 0) {
		reply(call, QUEUE_NOT_FOUND, 0);
		return;
	}
	object_edit(m, &j->o);
	j->pri = call->c->pri;
	j->buries++;
	object_done(m, &j->o);
	job_to_buried(m, job);
	reply(call, QUEUE_OK, 0);
}

static void
on_touch(const struct call *call)
{
	uint32_t job = held_job(call);

	count(call, QUEUE_CMD_TOUCH);
	if (job != 0)
		job_touch(call->m, job);
	reply(call, job != 0 ? QUEUE_OK : QUEUE_NOT_FOUND, 0);
}

static bool
has_room_to_watch(const struct call *call)
{
	uint64_t cells = tube_room(call->m, call->c->tail, call->c->tail_bytes) + 1;
	bool is_kept = connection_at(call->m, call->connection)->watch_count < WATCH_KEPT_COUNT;

	return has_room(call->m, is_kept ? FOR_CONNECTIONS : FOR_JOBS, cells);
}

static void
on_watch(const struct call *call)
{
	struct queue_machine *m = call->m;
	const struct queue_command *c = call->c;
	uint32_t tube = key_find_tube(m, c->tail, c->tail_bytes);
	bool is_watched = tube != 0 && key_find_watch(m, call->connection, tube) != 0;

	if (!is_watched && !has_room_to_watch(call)) {
		reply(call, QUEUE_OUT_OF_MEMORY, 0);
		return;
	}
	count(call, QUEUE_CMD_WATCH);
	if (!is_watched)
		connection_watch(m, call->connection, tube_get(m, c->tail, c->tail_bytes));
	reply(call, QUEUE_OK, connection_at(m, call->connection)->watch_count);
}

static void
on_ignore(const struct call *call)
{
	struct queue_machine *m = call->m;
	const struct connection *connection = connection_at(m, call->connection);
	uint32_t tube = key_find_tube(m, call->c->tail, call->c->tail_bytes);
	uint32_t watch = tube == 0 ? 0 : key_find_watch(m, call->connection, tube);

	count(call, QUEUE_CMD_IGNORE);
	if (watch != 0 && connection->watch_count == 1) {
		reply(call, QUEUE_NOT_IGNORED, 0);
		return;
	}
	if (watch != 0)
		connection_ignore(m, watch);
	reply(call, QUEUE_OK, connection->watch_count);
}

/* ------------------------------------------------------------------- whoever looks after a tube */

static void
kick(struct queue_machine *m, uint32_t job)
{
	struct job *j = job_at(m, job);

	object_edit(m, &j->o);
	j->kicks++;
	object_done(m, &j->o);
	job_to_ready(m, job);
}

static void
on_kick(const struct call *call)
{
	struct queue_machine *m = call->m;
	struct tube *t = tube_at(m, object_at(m, call->connection)->tube);
	uint64_t kind = call->c->flag;
	uint32_t limit =
		call->c->bound < QUEUE_KICK_COUNT_MAX ? call->c->bound : QUEUE_KICK_COUNT_MAX;
	uint32_t *tree, kicked = 0;

	if (kind == QUEUE_KICK_ANY) {
		count(call, QUEUE_CMD_KICK);
		kind = t->buried != 0 ? QUEUE_KICK_BURIED : QUEUE_KICK_DELAYED;
	}
	tree = kind == QUEUE_KICK_BURIED ? &t->buried : &t->delayed;
	for (; kicked < limit && *tree != 0; kicked++)
		kick(m, tree_first(m, *tree, ORDER_AT));
	reply(call, QUEUE_OK, kicked | kind << 32);
}

static void
on_kick_job(const struct call *call)
{
	uint32_t job = index_find(call->m, KIND_JOB, call->c->id);
	uint8_t state = job == 0 ? JOB_READY : object_at(call->m, job)->state;

	if (state != JOB_BURIED && state != JOB_DELAYED) {
		reply(call, QUEUE_NOT_FOUND, 0);
		return;
	}
	reply(call, QUEUE_OK, 0);
	kick(call->m, job);
}

static void
on_pause_tube(const struct call *call)
{
	struct queue_machine *m = call->m;
	uint32_t tube = key_find_tube(m, call->c->tail, call->c->tail_bytes);
	struct tube *t = tube_at(m, tube);

	count(call, QUEUE_CMD_PAUSE_TUBE);
	if (tube == 0) {
		reply(call, QUEUE_NOT_FOUND, 0);
		return;
	}
	object_edit(m, &t->t.o);
	t->cmd_pause++;
	object_done(m, &t->t.o);
	reply(call, QUEUE_OK, 0);
	tube_pause(m, tube, call->c->seconds * SECOND_NS);
}

/* ------------------------------------------------------------------------------ which is it? */

static void (*const handlers[QUEUE_OP_COUNT])(const struct call *call) = {
	[QUEUE_OPEN] = on_open,
	[QUEUE_CLOSE] = on_close,
	[QUEUE_PUT] = on_put,
	[QUEUE_USE] = on_use,
	[QUEUE_RESERVE] = on_reserve,
	[QUEUE_RESERVE_TIMEOUT] = on_reserve_timeout,
	[QUEUE_RESERVE_JOB] = on_reserve_job,
	[QUEUE_DELETE] = on_delete,
	[QUEUE_RELEASE] = on_release,
	[QUEUE_BURY] = on_bury,
	[QUEUE_TOUCH] = on_touch,
	[QUEUE_WATCH] = on_watch,
	[QUEUE_IGNORE] = on_ignore,
	[QUEUE_KICK] = on_kick,
	[QUEUE_KICK_JOB] = on_kick_job,
	[QUEUE_PAUSE_TUBE] = on_pause_tube,
	[QUEUE_CANCEL] = on_cancel,
	[QUEUE_COUNT] = on_count,
	[QUEUE_ATTACH] = on_attach,
};

/* @return false: it is answered already */
static bool
find_gateway(struct call *call)
{
	enum queue_op op = call->c->op;

	if (call->gateway != 0 || op == QUEUE_ATTACH)
		return true;
	reply(call, op == QUEUE_OPEN || op == QUEUE_COUNT ? QUEUE_NO_GATEWAY : QUEUE_NO_CONNECTION,
		0);
	return false;
}

/* Whether it is its turn, with regard to reserves before it. @return false: it is answered already */
static bool
is_in_turn(const struct call *call)
{
	uint8_t state = object_at(call->m, call->connection)->state;
	enum queue_op op = call->c->op;

	if (!(state & HAS_PARKED) || op == QUEUE_CLOSE || op == QUEUE_CANCEL)
		return true;
	if (call->c->is_after || (state & IS_WAITING)) {
		reply(call, call->c->is_after ? QUEUE_BEHIND : QUEUE_WAITS, 0);
		return false;
	}
	connection_forget_parked(call->m, call->connection);
	return true;
}

/* @return false: it is answered already */
static bool
find_connection(struct call *call)
{
	enum queue_op op = call->c->op;

	if (op == QUEUE_OPEN || op == QUEUE_ATTACH || (op == QUEUE_COUNT && call->c->flag == 0))
		return true;
	call->connection = key_find_connection(call->m, call->gateway, call->c->connection);
	if (call->connection == 0) {
		reply(call, QUEUE_NO_CONNECTION, 0);
		return false;
	}
	return is_in_turn(call);
}

void
execute(struct queue_machine *m, const struct decree_command *command)
{
	struct queue_command c;
	struct call call = { .m = m, .from = command, .c = &c };

	call.gateway = key_find_gateway(m, command->session.n);
	if (call.gateway != 0)
		gateway_hear(m, call.gateway);
	if (queue_command_decode(command->body, command->bytes, &c) != 0)
		reply(&call, QUEUE_BAD_COMMAND, 0);
	else if (find_gateway(&call) && find_connection(&call))
		handlers[c.op](&call);
}
