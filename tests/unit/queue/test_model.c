/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands of many connections of three gateways that come and go, with time going on, given
 * to the machine and to a model of it that is too plain to be wrong: every answer, and every number
 * that can be asked for, must be the same. Snapshots are taken meanwhile, and now and then the
 * machine goes on as a copy that was restored from one. */
#include "tests/lib/queue_check.h"
#include "tests/lib/queue_draw.h"
#include "tests/lib/queue_fixture.h"
#include "tests/unit/queue/check_pages.h"

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
	struct queue_draw draw;
	/* A walk under way, and the digest at its beginning. */
	bool is_walking;
	struct decree_digest at_begin;
	struct qf_snapshot walk;
	/* So many turns nothing is heard of that session. */
	uint64_t silent;
	uint32_t silent_turns;
	uint32_t refused, waited, restores, closed, detached, replaced;
};

static uint64_t
draw(struct world *w, uint64_t below)
{
	return queue_draw(&w->draw, below);
}

/* ------------------------------------------------------------------------------ a command */

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
	bool is_attached = model_is_attached(w->model, session);

	if (draw(w, is_attached ? 300 : session == QF_THIRD ? 50 : 3) == 0)
		draw_attach(w, session, c);
	else
		queue_draw_command(&w->draw, w->model, session, c);
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

/* What the fixture calls answers: how a wait ends, and not that it begins. @return how many */
static int
model_answers(const struct model *m, struct qf_answer *ret_answers)
{
	int count = 0;

	for (int i = 0; i < m->answer_count; i++) {
		const struct model_answer *a = &m->answers[i];

		if (a->status != QUEUE_PARKED)
			ret_answers[count++] =
				(struct qf_answer){ a->session, a->seq, a->status, a->result };
	}
	return count;
}

/* The order of the answers to one command is nobody's business: each goes to its own connection. */
static void
check_answers(struct world *w, uint64_t before)
{
	static struct qf_answer got[MODEL_ANSWER_COUNT], wanted[MODEL_ANSWER_COUNT];
	int count = (int)(w->f->answer_count - before);

	assert_int_equal(count, model_answers(w->model, wanted));
	for (int i = 0; i < count; i++)
		got[i] = w->f->answers[(before + (uint64_t)i) % QF_ANSWER_COUNT];
	qsort(got, (size_t)count, sizeof(got[0]), compare_answers);
	qsort(wanted, (size_t)count, sizeof(got[0]), compare_answers);
	for (int i = 0; i < count; i++) {
		assert_int_equal(got[i].session, wanted[i].session);
		assert_int_equal(got[i].seq, wanted[i].seq);
		assert_int_equal(got[i].status, wanted[i].status);
		assert_int_equal(got[i].result, wanted[i].result);
		w->refused += got[i].status == QUEUE_OUT_OF_MEMORY;
		w->closed += got[i].status == QUEUE_CLOSED;
	}
	w->waited += count > 1;
}

static void
is_same(const char *difference)
{
	if (difference != NULL)
		fail_msg("%s", difference);
}

static void
check_tubes(struct world *w)
{
	queue_draw_name(&w->draw);
	is_same(queue_check_tube(w->f->m, w->model, w->draw.name));
	is_same(queue_check_tubes(w->f->m, w->model));
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
	is_same(queue_check_job(f->m, w->model, queue_draw_job(&w->draw, w->model)));
	if (draw(w, 4) == 0)
		is_same(queue_check_stats(f->m, w->model));
	if (draw(w, 8) == 0)
		check_tubes(w);
	is_same(queue_check_connection(f->m, w->model, session, draw(w, CONNECTIONS)));
	if (f->slot % 64 == 0) {
		check_pages(f->m, w->model);
		is_same(queue_check_digest(f->m));
	}
	walk_on(w);
	move_over(w);
}

static void
test_run(void **state)
{
	const struct run *run = *state;
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	*w = (struct world){ .run = run,
		.draw = {
			.random = run->seed,
			.connections = CONNECTIONS,
			.body_bytes_max = run->body_bytes_max,
			.jobs_wanted = run->jobs_wanted,
			.puts = run->puts,
			.opens = 33,
		} };
	w->model = malloc(sizeof(*w->model));
	assert_non_null(w->model);
	w->f = qf_create(QUEUE_BYTES_MIN);
	w->spare = qf_create(QUEUE_BYTES_MIN);
	queue_check_begin(w->f->m, w->model);
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
