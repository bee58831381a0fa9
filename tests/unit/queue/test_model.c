/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands of many connections of three gateways that come and go, with time going on, given to the machine and to a model of it that is
 * too plain to be wrong: every answer, and every number that can be asked for, must be the same. Snapshots are taken
 * meanwhile, and now and then the machine goes on as a copy that was restored from one. */
#include "tests/unit/queue/check_pages.h"
#include "tests/unit/queue/model.h"

#include "base/bytes.h"
#include "queue/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CONNECTIONS 6 /* of each gateway */

struct run {
	const char *name;
	uint64_t seed;
	uint32_t commands;
	uint32_t body_bytes_max; /* most are small */
	uint32_t jobs_wanted;    /* more deletes above, */
	uint32_t puts;           /* and so many puts of a hundred commands; 26 below */
	uint64_t step_ns_max;    /* between two commands; now and then a hundred times as much */
};

struct world {
	const struct run *run;
	struct queue_fixture *f, *spare;
	struct model *model;
	uint64_t random;
	/* A walk under way, and the digest at its beginning. */
	bool is_walking;
	struct decree_digest at_begin;
	struct qf_snapshot walk;
	/* So many turns nothing is heard of that session. */
	uint64_t silent;
	uint32_t silent_turns;
	uint32_t refused, waited, restores, closed, detached, replaced;
	uint8_t body[1 << 17];
	char name[QUEUE_NAME_BYTES_MAX + 1];
};

static uint64_t
draw(struct world *w, uint64_t below)
{
	uint64_t x = w->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) % below;
}

/* ------------------------------------------------------------------------------ a command */

static void
draw_name(struct world *w)
{
	static const char *const names[] = { "default", "a", "b", "c", "d" };
	uint64_t which = draw(w, 8);

	memset(w->name, 0, sizeof(w->name));
	if (which < 5) {
		strcpy(w->name, names[which]);
		return;
	}
	/* Names that go on in another cell, and differ in their last letter. */
	memset(w->name, 'n', which == 7 ? QUEUE_NAME_BYTES_MAX : 37);
	w->name[which == 7 ? QUEUE_NAME_BYTES_MAX - 1 : 36] = (char)('0' + which);
}

static uint64_t
draw_job(struct world *w)
{
	if (w->model->job_count == 0 || draw(w, 20) == 0)
		return draw(w, w->model->job_next + 2);
	return w->model->jobs[draw(w, (uint64_t)w->model->job_count)].id;
}

/* A job that this connection holds, if it holds any. */
static uint64_t
draw_held(struct world *w, uint64_t session, uint64_t connection)
{
	const struct model *m = w->model;
	uint64_t at = draw(w, (uint64_t)m->job_count + 1);

	for (int i = 0; i < m->job_count; i++) {
		const struct model_job *j = &m->jobs[(at + (uint64_t)i) % (uint64_t)m->job_count];

		for (int k = 0; k < m->connection_count; k++)
			if (j->state == 1 && m->connections[k].number == j->holder &&
				m->connections[k].session == session &&
				m->connections[k].id == connection)
				return j->id;
	}
	return draw_job(w);
}

static void
draw_put(struct world *w, struct queue_command *c)
{
	uint64_t bytes = draw(w, 30) == 0 ? draw(w, w->run->body_bytes_max + 1) : draw(w, 320);

	c->op = QUEUE_PUT;
	c->pri = (uint32_t)(draw(w, 2) ? 1000 + draw(w, 50) : draw(w, 3));
	c->seconds = (uint32_t)(draw(w, 3) ? 0 : draw(w, 6));
	c->ttr_s = (uint32_t)draw(w, 8);
	c->tail_bytes = (uint32_t)bytes;
	memset(w->body, (int)w->model->job_next, bytes);
	c->tail = w->body;
}

static void
draw_named(struct world *w, struct queue_command *c, enum queue_op op)
{
	c->op = op;
	draw_name(w);
	c->tail = w->name;
	c->tail_bytes = (uint32_t)strlen(w->name);
	c->seconds = (uint32_t)draw(w, 4);
}

static void
draw_count(struct world *w, struct queue_command *c)
{
	c->op = QUEUE_COUNT;
	c->flag = (uint8_t)draw(w, 2);
	c->id = c->pri = c->seconds = 0;
	if (draw(w, 2))
		return;
	for (uint32_t i = 0; i < 2; i++) {
		w->body[5 * i] = (uint8_t)draw(w, QUEUE_CMD_PAUSE_TUBE + 1);
		store_u32(w->body + 5 * i + 1, (uint32_t)draw(w, 100));
	}
	c->tail = w->body;
	c->tail_bytes = 10;
}

/* Three sessions and two numbers: they drive each other out. */
static void
draw_attach(struct world *w, uint64_t session, struct queue_command *c)
{
	bool is_own = draw(w, 4) > 0;

	*c = (struct queue_command){ .op = QUEUE_ATTACH, .id = 1 + draw(w, 2) };
	if (is_own && session != QF_THIRD)
		c->id = session == QF_SESSION ? 1 : 2;
}

static void
draw_command(struct world *w, uint64_t session, struct queue_command *c)
{
	bool has_many = (uint32_t)w->model->job_count > w->run->jobs_wanted;
	bool is_attached = model_is_attached(w->model, session);
	uint64_t which = draw(w, 100);

	*c = (struct queue_command){ .connection = draw(w, CONNECTIONS) };
	c->id = draw_held(w, session, c->connection);
	c->pri = (uint32_t)draw(w, 2000);
	c->seconds = (uint32_t)(draw(w, 2) ? 0 : draw(w, 5));
	if (draw(w, is_attached ? 300 : session == QF_THIRD ? 50 : 3) == 0)
		draw_attach(w, session, c);
	else if (!model_is_open(w->model, session, c->connection) && draw(w, 3) == 0)
		c->op = QUEUE_OPEN;
	else if (which < (has_many ? w->run->puts : 26))
		draw_put(w, c);
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
		draw_named(w, c, QUEUE_USE);
	else if (which < 82)
		draw_named(w, c, QUEUE_WATCH);
	else if (which < 85)
		draw_named(w, c, QUEUE_IGNORE);
	else if (which < 87)
		draw_named(w, c, QUEUE_PAUSE_TUBE);
	else if (which < 88)
		draw_count(w, c);
	else if (which < 90)
		*c = (struct queue_command){ .op = QUEUE_KICK,
			.connection = c->connection,
			.bound = (uint32_t)draw(w, 6),
			.flag = (uint8_t)draw(w, 3) };
	else if (which < 92)
		c->op = QUEUE_CANCEL;
	else if (which < 93)
		c->op = QUEUE_CLOSE;
	else if (which < 98)
		c->op = QUEUE_OPEN;
	else
		c->op = draw(w, 2) ? QUEUE_KICK_JOB : QUEUE_RESERVE_JOB;
	if (c->op == QUEUE_KICK_JOB || c->op == QUEUE_RESERVE_JOB || c->op == QUEUE_DELETE)
		c->id = draw(w, 2) ? c->id : draw_job(w);
}

/* ------------------------------------------------------------------------------ the same? */

static int
compare_answers(const void *left, const void *right)
{
	const struct qf_answer *a = left, *b = right;

	if (a->session != b->session)
		return a->session < b->session ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* The order of the answers to one command is nobody's business: each goes to its own connection. */
static void
check_answers(struct world *w, uint64_t before)
{
	static struct qf_answer got[4096];
	struct model *m = w->model;
	int count = (int)(w->f->answer_count - before);

	assert_int_equal(count, m->answer_count);
	for (int i = 0; i < count; i++)
		got[i] = w->f->answers[(before + (uint64_t)i) % QF_ANSWER_COUNT];
	qsort(got, (size_t)count, sizeof(got[0]), compare_answers);
	qsort(m->answers, (size_t)count, sizeof(got[0]), compare_answers);
	for (int i = 0; i < count; i++) {
		assert_int_equal(got[i].session, m->answers[i].session);
		assert_int_equal(got[i].seq, m->answers[i].seq);
		assert_int_equal(got[i].status, m->answers[i].status);
		assert_int_equal(got[i].result, m->answers[i].result);
		w->refused += got[i].status == QUEUE_OUT_OF_MEMORY;
		w->closed += got[i].status == QUEUE_CLOSED;
	}
	w->waited += count > 1;
}

static int32_t
ask(struct world *w, struct queue_query q, uint8_t *ret_answer)
{
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(&q, query, sizeof(query));

	assert_true(bytes > 0);
	return queue_machine_ops.read(
		w->f->m, query, (uint32_t)bytes, ret_answer, DECREE_ANSWER_BYTES_MAX);
}

static void
check_numbers(const uint8_t *answer, int32_t bytes, bool is_there, const uint64_t *numbers,
	uint32_t count)
{
	if (!is_there) {
		assert_int_equal(bytes, -2); /* ENOENT */
		return;
	}
	assert_true(bytes >= (int32_t)(8 * count));
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(load_u64(answer + 8 * i), numbers[i]);
}

static void
check_job(struct world *w, uint64_t id)
{
	uint8_t answer[DECREE_ANSWER_BYTES_MAX], body[320];
	uint64_t numbers[QUEUE_JOB_STAT_COUNT];
	bool is_there = model_job_stats(w->model, id, numbers);
	int32_t bytes = ask(w, (struct queue_query){ .kind = QUEUE_STATS_JOB, .id = id }, answer);
	const struct model_job *j = w->model->jobs;

	check_numbers(answer, bytes, is_there, numbers, QUEUE_JOB_STAT_COUNT);
	if (!is_there)
		return;
	while (j->id != id)
		j++;
	assert_int_equal(bytes, QUEUE_JOB_STAT_COUNT * 8 + strlen(j->tube));
	assert_memory_equal(answer + QUEUE_JOB_STAT_COUNT * 8, j->tube, strlen(j->tube));

	uint32_t offset = (uint32_t)draw(w, j->bytes + 1u), left = j->bytes - offset;
	int64_t part = queue_machine_body(w->f->m, id, offset, body, sizeof(body));

	assert_int_equal(part, left < sizeof(body) ? left : sizeof(body));
	for (int64_t i = 0; i < part; i++)
		assert_int_equal(body[i], j->first);
}

static void
check_tubes(struct world *w)
{
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	uint64_t numbers[QUEUE_TUBE_STAT_COUNT];
	struct queue_query list = { .kind = QUEUE_LIST_TUBES };
	int at = 0;
	int32_t bytes;

	draw_name(w);
	bytes = ask(w,
		(struct queue_query){ .kind = QUEUE_STATS_TUBE,
			.name = w->name,
			.name_bytes = (uint32_t)strlen(w->name) },
		answer);
	check_numbers(answer, bytes, model_tube_stats(w->model, w->name, numbers), numbers,
		QUEUE_TUBE_STAT_COUNT);
	while ((bytes = ask(w, list, answer)) > 0)
		for (const uint8_t *e = answer; e < answer + bytes; e += 9 + e[8], at++) {
			assert_true(at < w->model->tube_count);
			list.id = load_u64(e);
			assert_int_equal(list.id, w->model->tubes[at].number);
			assert_int_equal(e[8], strlen(w->model->tubes[at].name));
			assert_memory_equal(e + 9, w->model->tubes[at].name, e[8]);
		}
	assert_int_equal(at, w->model->tube_count);
}

static void
check_connection(struct world *w, uint64_t session, uint64_t connection)
{
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct queue_query q = { .session = session, .connection = connection };

	for (q.kind = QUEUE_PEEK_READY; q.kind <= QUEUE_PEEK_BURIED; q.kind++) {
		uint64_t id = model_peek(w->model, session, connection, q.kind);

		check_numbers(answer, ask(w, q, answer), id != 0, &id, 1);
	}
	for (int i = 0; i < w->model->connection_count; i++) {
		const struct model_connection *c = &w->model->connections[i];
		int32_t bytes;
		int at = 0;

		if (c->session != session || c->id != connection)
			continue;
		q.kind = QUEUE_TUBE_USED;
		assert_int_equal(ask(w, q, answer), strlen(c->used));
		assert_memory_equal(answer, c->used, strlen(c->used));
		for (q.kind = QUEUE_LIST_TUBES_WATCHED; (bytes = ask(w, q, answer)) > 0;)
			for (const uint8_t *e = answer; e < answer + bytes; e += 9 + e[8], at++) {
				q.id = load_u64(e);
				assert_true(at < c->watched_count);
				assert_int_equal(e[8], strlen(c->watched[at].name));
				assert_memory_equal(e + 9, c->watched[at].name, e[8]);
			}
		assert_int_equal(at, c->watched_count);
	}
}

static void
check_stats(struct world *w)
{
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	uint64_t numbers[QUEUE_STAT_COUNT];

	model_stats(w->model, numbers);
	check_numbers(answer, ask(w, (struct queue_query){ .kind = QUEUE_STATS }, answer), true,
		numbers, QUEUE_STAT_COUNT);
	assert_true(queue_machine_ops.next_deadline(w->f->m) == model_next_deadline(w->model));
}

/* ------------------------------------------------------------------------------ snapshots */

static bool
is_equal(struct decree_digest a, struct decree_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* What a walk has collected is the state at its beginning, whatever happened meanwhile. */
static void
check_walk(struct world *w)
{
	struct qf_snapshot again = { 0 };

	assert_int_equal(qf_snapshot_restore(w->spare, &w->walk), 0);
	assert_true(is_equal(qf_digest(w->spare), w->at_begin));
	qf_snapshot_take(w->spare, &again);
	assert_true(qf_snapshot_equal(&w->walk, &again));
	qf_snapshot_free(&again);
}

static void
walk_on(struct world *w)
{
	int rc;

	if (!w->is_walking) {
		if (draw(w, 300) != 0)
			return;
		w->at_begin = qf_digest(w->f);
		assert_int_equal(queue_machine_ops.snapshot_begin(w->f->m), 0);
		w->is_walking = true;
		return;
	}
	if (draw(w, 20) != 0)
		return;
	rc = draw(w, 50) == 0 ? -1 : qf_snapshot_next(w->f, &w->walk); /* sometimes given up */
	if (rc == 1)
		return;
	queue_machine_ops.snapshot_end(w->f->m);
	w->is_walking = false;
	if (rc == 0)
		check_walk(w);
	qf_snapshot_free(&w->walk);
}

/* Another machine goes on with what was restored. */
static void
move_over(struct world *w)
{
	struct qf_snapshot s = { 0 };
	struct decree_digest digest = qf_digest(w->f);
	struct queue_machine *m = w->f->m;

	if (w->is_walking || draw(w, 1000) != 0)
		return;
	qf_snapshot_take(w->f, &s);
	assert_int_equal(qf_snapshot_restore(w->spare, &s), 0);
	assert_true(is_equal(qf_digest(w->spare), digest));
	qf_snapshot_free(&s);
	w->f->m = w->spare->m;
	w->spare->m = m;
	w->restores++;
}

/* ------------------------------------------------------------------------------ the run */

/* Mostly one of the first two. Now and then nothing is heard of one of them for a while. */
static uint64_t
draw_session(struct world *w)
{
	uint64_t session = draw(w, 2) ? QF_SESSION : QF_OTHER;

	if (w->silent_turns == 0 && draw(w, 2000) == 0) {
		w->silent = session;
		w->silent_turns = 200;
	}
	w->silent_turns -= w->silent_turns > 0;
	if (w->silent_turns > 0 && session == w->silent)
		session = session == QF_SESSION ? QF_OTHER : QF_SESSION;
	return draw(w, 10) == 0 ? QF_THIRD : session;
}

static void
turn(struct world *w)
{
	uint64_t session = draw_session(w);
	uint64_t step = draw(w, 2) ? draw(w, w->run->step_ns_max) : 0;
	struct queue_fixture *f = w->f;
	struct queue_command c;
	uint64_t before = f->answer_count;
	int gateways;

	/* Times that meet: a tenth of a second is the grain. */
	step = step / (QF_SECOND_NS / 10) * (QF_SECOND_NS / 10);
	f->now_ns += draw(w, 2000) == 0 ? 100 * step : draw(w, 200) == 0 ? 5 * step : step;
	draw_command(w, session, &c);
	(void)qf_do_in(f, session, c);
	gateways = w->model->gateway_count;
	model_apply(w->model, f->now_ns, session, qf_seq_in(f, session), &c);
	w->detached += w->model->gateway_count < gateways;
	w->replaced += c.op == QUEUE_ATTACH && w->model->answers[0].result > 0;
	check_answers(w, before);
	check_job(w, draw_job(w));
	if (draw(w, 4) == 0)
		check_stats(w);
	if (draw(w, 8) == 0)
		check_tubes(w);
	check_connection(w, session, draw(w, CONNECTIONS));
	if (f->slot % 64 == 0)
		check_pages(f->m, w->model);
	walk_on(w);
	move_over(w);
}

/* How much is kept, and for whom, is the machine's choice; what that means is not. */
static void
init_model(struct world *w)
{
	const uint64_t *capacity = w->f->m->globals.capacity;

	model_init(w->model, w->f->now_ns, qf_stat(w->f, QUEUE_STAT_BYTES_MAX) / 208);
	w->model->cells_kept_for_connections = capacity[FOR_CONNECTIONS] - capacity[FOR_JOBS];
	w->model->cells_kept_for_gateways = capacity[FOR_GATEWAYS] - capacity[FOR_CONNECTIONS];
}

static void
test_run(void **state)
{
	const struct run *run = *state;
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	*w = (struct world){ .run = run, .random = run->seed };
	w->model = malloc(sizeof(*w->model));
	assert_non_null(w->model);
	w->f = qf_create(QUEUE_BYTES_MIN);
	w->spare = qf_create(QUEUE_BYTES_MIN);
	init_model(w);
	for (uint64_t node = 1; node <= 2; node++)
		model_apply(w->model, w->f->now_ns, node == 1 ? QF_SESSION : QF_OTHER, 1,
			&(struct queue_command){ .op = QUEUE_ATTACH, .id = node });
	for (uint32_t i = 0; i < run->commands; i++)
		turn(w);
	/* The run was worth something. */
	assert_true(w->restores > 0 && w->waited > 0);
	assert_true(w->detached > 0 && w->replaced > 0);
	if (run->puts < 26)
		assert_true(w->closed > 0);
	if (run->body_bytes_max > 10000)
		assert_true(w->refused > 0);
	qf_snapshot_free(&w->walk);
	qf_destroy(w->f);
	qf_destroy(w->spare);
	free(w->model);
	free(w);
}

static struct run runs[] = {
	{ "few jobs, much waiting", 1, 120000, 320, 5, 3, QF_SECOND_NS },
	{ "some jobs, time hurries", 2, 40000, 1000, 12, 3, 4 * QF_SECOND_NS },
	{ "many jobs", 3, 8000, 3000, 400, 26, QF_SECOND_NS },
	{ "large jobs, memory is full", 4, 25000, 100000, 100, 26, QF_SECOND_NS },
	{ "large jobs once more", 5, 15000, 120000, 30, 26, 2 * QF_SECOND_NS },
};

#define RUN_COUNT (sizeof(runs) / sizeof(runs[0]))

int
main(void)
{
	struct CMUnitTest tests[RUN_COUNT];

	for (size_t i = 0; i < RUN_COUNT; i++)
		tests[i] = (struct CMUnitTest){
			.name = runs[i].name,
			.test_func = test_run,
			.initial_state = &runs[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
