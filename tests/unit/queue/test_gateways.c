/* SPDX-License-Identifier: Apache-2.0 */
/* Gateways: who is attached, who is silent, and what becomes of the clients of one that goes. */
#include "tests/lib/queue_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SILENCE_NS (QUEUE_SILENCE_S * QF_SECOND_NS)
#define STEP_NS    (QUEUE_SILENCE_STEP_MS * 1000000ull)

static int
setup(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN * 4);

	qf_open(f, 1);
	qf_open(f, 2);
	*state = f;
	return 0;
}

static struct qf_answer
of(struct queue_fixture *f, uint64_t session, enum queue_op op, uint64_t connection)
{
	return qf_do_in(f, session, (struct queue_command){ .op = op, .connection = connection });
}

static void
open_in(struct queue_fixture *f, uint64_t session, uint64_t first, uint64_t after)
{
	for (uint64_t i = first; i < after; i++)
		assert_int_equal(of(f, session, QUEUE_OPEN, i).status, QUEUE_OK);
}

static bool
is_equal(struct decree_digest a, struct decree_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* Whoever opened clients without it would not be missed when it dies. */
static void
test_who_is_not_attached_has_no_clients(void **state)
{
	struct queue_fixture *f = *state;
	struct decree_digest before = qf_digest(f);

	assert_int_equal(of(f, QF_THIRD, QUEUE_OPEN, 1).status, QUEUE_NO_GATEWAY);
	assert_int_equal(of(f, QF_THIRD, QUEUE_COUNT, 0).status, QUEUE_NO_GATEWAY);
	assert_int_equal(of(f, QF_THIRD, QUEUE_RESERVE, 1).status, QUEUE_NO_CONNECTION);
	assert_int_equal(of(f, QF_THIRD, QUEUE_CLOSE, 1).status, QUEUE_NO_CONNECTION);
	assert_true(is_equal(qf_digest(f), before));
	assert_int_equal(qf_attach(f, QF_THIRD, 3).result, 0);
	assert_int_equal(of(f, QF_THIRD, QUEUE_OPEN, 1).status, QUEUE_OK);
}

/* An ATTACH whose answer was lost is sent again. */
static void
test_attaching_again_is_harmless(void **state)
{
	struct queue_fixture *f = *state;
	struct decree_digest before = qf_digest(f);
	struct qf_answer a = qf_attach(f, QF_SESSION, 1);

	assert_int_equal(a.status, QUEUE_OK);
	assert_int_equal(a.result, 0);
	assert_true(is_equal(qf_digest(f), before));
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
}

/* A session is one node's, as long as it is attached. */
static void
test_a_session_has_one_number(void **state)
{
	struct queue_fixture *f = *state;
	struct decree_digest before = qf_digest(f);

	assert_int_equal(qf_attach(f, QF_SESSION, 3).status, QUEUE_BAD_COMMAND);
	assert_int_equal(qf_attach(f, QF_SESSION, 2).status, QUEUE_BAD_COMMAND);
	assert_true(is_equal(qf_digest(f), before));
}

/* A node that was started anew: its clients of before are gone, those of others are not. */
static void
test_a_new_session_replaces_the_one_before(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits, waits_there;

	open_in(f, QF_OTHER, 0, 10);
	(void)qf_put(f, 1, 0, 0, 100);
	assert_int_equal(of(f, QF_OTHER, QUEUE_RESERVE, 3).result, 1);
	(void)of(f, QF_OTHER, QUEUE_RESERVE, 4);
	waits_there = qf_seq_in(f, QF_OTHER);
	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	assert_int_equal(qf_attach(f, QF_THIRD, 2).result, 10);
	/* It waited longer, but must not get what its dead neighbour held. */
	assert_int_equal(qf_answer_in(f, QF_OTHER, waits_there).status, QUEUE_CLOSED);
	assert_int_equal(qf_answer(f, waits).result, 1);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 2);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
	assert_int_equal(of(f, QF_OTHER, QUEUE_OPEN, 99).status, QUEUE_NO_GATEWAY);
	assert_int_equal(of(f, QF_OTHER, QUEUE_CLOSE, 3).status, QUEUE_NO_CONNECTION);
	open_in(f, QF_THIRD, 3, 4);
}

static void
test_a_silent_gateway_is_detached(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_command alive = { .op = QUEUE_COUNT };
	uint64_t waits_there;

	open_in(f, QF_OTHER, 1, 4);
	(void)qf_put(f, 1, 0, 0, 1000);
	assert_int_equal(of(f, QF_OTHER, QUEUE_RESERVE, 1).result, 1);
	(void)of(f, QF_OTHER, QUEUE_RESERVE, 2);
	waits_there = qf_seq_in(f, QF_OTHER);
	qf_silence_ns(f, SILENCE_NS / 2);
	assert_int_equal(qf_do(f, alive).status, QUEUE_OK);
	qf_silence_ns(f, SILENCE_NS / 2 - 1);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_STATE), 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 5);
	qf_silence_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_STATE), 0);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_TIMEOUTS), 0);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 1);
	assert_int_equal(qf_answer_in(f, QF_OTHER, waits_there).status, QUEUE_CLOSED);
	assert_int_equal(of(f, QF_OTHER, QUEUE_CLOSE, 3).status, QUEUE_NO_CONNECTION);
	assert_int_equal(qf_do_in(f, QF_OTHER, alive).status, QUEUE_NO_GATEWAY);
	/* Its memory is given back, too: one cell remains for the gateway that lives, one for
	 * "default". */
	(void)of(f, QF_SESSION, QUEUE_CLOSE, 1);
	(void)of(f, QF_SESSION, QUEUE_CLOSE, 2);
	assert_int_equal(qf_stat(f, QUEUE_STAT_BYTES_USED), 3 * 208);
}

/* The log stood still, and nobody could be heard; the first slot behind that brings the first of
 * them only. */
static void
test_a_leap_of_the_log_is_nobodys_silence(void **state)
{
	struct queue_fixture *f = *state;

	open_in(f, QF_OTHER, 1, 4);
	qf_leap_ns(f, 100 * SILENCE_NS);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 5);
	(void)of(f, QF_SESSION, QUEUE_COUNT, 0);
	assert_int_equal(of(f, QF_OTHER, QUEUE_CLOSE, 3).status, QUEUE_OK);
	/* Leap for leap, so long counts and no longer: to the nanosecond. */
	for (int i = 0; i < 3; i++)
		qf_leap_ns(f, SILENCE_NS);
	qf_leap_ns(f, STEP_NS - 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 4);
	qf_leap_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 0);
}

/* As long as there are gateways the log goes on in steps that count, and none stays for ever
 * because nothing else happens. */
static void
test_there_is_a_slot_every_so_often(void **state)
{
	struct queue_fixture *f = *state;

	for (int i = 1; i < 4; i++) {
		assert_true(queue_machine_ops.next_deadline(f->m) == f->now_ns + STEP_NS);
		qf_leap_ns(f, STEP_NS);
		assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
	}
	assert_true(queue_machine_ops.next_deadline(f->m) == f->now_ns + STEP_NS);
	qf_leap_ns(f, STEP_NS);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 0);
	assert_true(queue_machine_ops.next_deadline(f->m) == UINT64_MAX);
}

/* Whatever is applied, and however it is answered, shows that it lives. */
static void
test_every_command_lets_it_be_heard(void **state)
{
	struct queue_fixture *f = *state;
	static const struct queue_command commands[] = {
		{ .op = QUEUE_COUNT },
		{ .op = QUEUE_PUT, .connection = 1 },
		{ .op = QUEUE_CLOSE, .connection = 77 }, /* NO_CONNECTION */
		{ .op = QUEUE_OPEN, .connection = 1 },   /* EXISTS */
		{ .op = QUEUE_ATTACH, .id = 1 },
		{ .op = QUEUE_ATTACH, .id = 9 }, /* BAD_COMMAND */
		{ .op = QUEUE_DELETE, .connection = 1, .id = 5 },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		qf_silence_ns(f, SILENCE_NS - 1);
		(void)qf_do(f, commands[i]);
		assert_true(queue_machine_ops.next_deadline(f->m) <= f->now_ns + SILENCE_NS);
	}
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
	assert_int_equal(of(f, QF_OTHER, QUEUE_OPEN, 1).status, QUEUE_NO_GATEWAY);
}

/* It was cut off for a while, and comes back with the same session: with no clients. */
static void
test_who_was_detached_attaches_anew(void **state)
{
	struct queue_fixture *f = *state;

	qf_silence_ns(f, SILENCE_NS);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 0);
	assert_true(queue_machine_ops.next_deadline(f->m) == UINT64_MAX);
	assert_int_equal(qf_attach(f, QF_SESSION, 3).status, QUEUE_OK); /* even another number */
	assert_int_equal(qf_reserve(f, 1).status, QUEUE_NO_CONNECTION);
	qf_open(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 1);
}

/* Two times that meet: the tube is older than the gateway, and "b" younger. */
static void
test_the_order_of_what_is_due(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits_there;

	(void)qf_put(f, 1, 0, QUEUE_SILENCE_S, 100);
	qf_silence_ns(f, 0);
	open_in(f, QF_OTHER, 1, 2);
	(void)of(f, QF_OTHER, QUEUE_RESERVE, 1);
	waits_there = qf_seq_in(f, QF_OTHER);
	qf_silence_ns(f, SILENCE_NS);
	/* The delay ends first: the client gets the job, and dies with it. */
	assert_int_equal(qf_answer_in(f, QF_OTHER, waits_there).status, QUEUE_OK);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_STATE), 0);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 1);

	assert_int_equal(qf_attach(f, QF_SESSION, 1).status, QUEUE_OK);
	qf_open(f, 1);
	(void)qf_job(f, QUEUE_DELETE, 1, 1);
	(void)qf_use(f, 1, "b");
	(void)qf_watch(f, 1, "b");
	(void)qf_put(f, 1, 0, QUEUE_SILENCE_S, 100);
	(void)qf_reserve(f, 1);
	waits_there = qf_seq(f);
	qf_silence_ns(f, SILENCE_NS);
	assert_int_equal(qf_answer(f, waits_there).status, QUEUE_CLOSED);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_RESERVES), 0);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_STATE), 0);
}

/* Thousands of clients must not hold up a shard: their end takes several moments, and they are none
 * of anybody's meanwhile. */
static void
test_many_clients_go_in_parts(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits_there;

	open_in(f, QF_OTHER, 0, 1500);
	(void)of(f, QF_OTHER, QUEUE_RESERVE, 1400);
	waits_there = qf_seq_in(f, QF_OTHER);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_attach(f, QF_THIRD, 2).result, 1500);
	assert_int_equal(qf_answer_in(f, QF_OTHER, waits_there).status, QUEUE_CLOSED);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2 + 1500 - 1023);
	assert_true(queue_machine_ops.next_deadline(f->m) <= f->now_ns);
	assert_int_equal(of(f, QF_OTHER, QUEUE_CLOSE, 1499).status, QUEUE_NO_CONNECTION);
	assert_int_equal(of(f, QF_OTHER, QUEUE_OPEN, 1).status, QUEUE_NO_GATEWAY);
	assert_int_equal(qf_attach(f, QF_THIRD, 2).status, QUEUE_OK);
	/* It attaches again before the last one of its clients has gone, and opens one of the same
	 * name. */
	assert_int_equal(qf_attach(f, QF_OTHER, 3).result, 0);
	assert_int_equal(of(f, QF_OTHER, QUEUE_CLOSE, 1499).status, QUEUE_NO_CONNECTION);
	open_in(f, QF_OTHER, 1499, 1500);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 3 + 1500 - 1023);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 3);
	assert_int_equal(of(f, QF_OTHER, QUEUE_CLOSE, 1499).status, QUEUE_OK);
	assert_true(queue_machine_ops.next_deadline(f->m) > f->now_ns);
}

/* A gateway with many waiting clients was replaced, and as much has happened in this moment as may;
 * then whoever lives waits, too. @return the command with which it does */
static uint64_t
many_on_their_way_out(struct queue_fixture *f)
{
	open_in(f, QF_OTHER, 0, 3000);
	for (uint64_t i = 0; i < 3000; i++)
		(void)of(f, QF_OTHER, QUEUE_RESERVE, i);
	(void)qf_reserve(f, 2);
	qf_wait_ns(f, 1);
	(void)qf_attach(f, QF_THIRD, 2);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 3001 - 1024);
	return qf_seq(f);
}

/* While they are on their way out a job comes for which one of them has waited longest. The command
 * that brings it must not do the rest of their end by itself. */
static void
test_no_job_goes_to_who_is_gone(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits = many_on_their_way_out(f);

	(void)qf_put(f, 1, 0, 0, 100);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 3001 - 1024);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 0);
	assert_true(queue_machine_ops.next_deadline(f->m) <= f->now_ns);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 3001 - 2 * 1024);
	assert_int_equal(qf_answer(f, waits).status, QF_PENDING);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_answer(f, waits).result, 1);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 1);
	assert_int_equal(qf_answer_in(f, QF_OTHER, qf_seq_in(f, QF_OTHER)).status, QUEUE_CLOSED);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 0);
	for (int i = 0; i < 3; i++)
		qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
	assert_true(queue_machine_ops.next_deadline(f->m) > f->now_ns + QF_SECOND_NS);
}

/* Somebody else takes the job that was left over for the next moment. */
static void
test_nothing_is_left_over_any_more(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits = many_on_their_way_out(f);

	(void)qf_put(f, 1, 0, 0, 100);
	assert_int_equal(qf_reserve(f, 1).result, 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 1), QUEUE_OK);
	(void)qf_put(f, 1, 0, 0, 100);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 2), QUEUE_OK);
	for (int i = 0; i < 6; i++)
		qf_wait_ns(f, 1);
	assert_int_equal(qf_answer(f, waits).status, QF_PENDING);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
	assert_true(queue_machine_ops.next_deadline(f->m) > f->now_ns + QF_SECOND_NS);
}

/* A pause for whose end thousands of workers and jobs have waited. */
static void
test_many_are_served_in_parts(void **state)
{
	struct queue_fixture *f = *state;

	open_in(f, QF_OTHER, 0, 2500);
	qf_pause(f, 1, "default", 5);
	for (uint64_t i = 0; i < 2500; i++) {
		(void)of(f, QF_OTHER, QUEUE_RESERVE, i);
		(void)qf_put(f, 1, 0, 0, 100);
	}
	qf_pause(f, 1, "default", 0);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_RESERVED), 1024);
	assert_true(queue_machine_ops.next_deadline(f->m) <= f->now_ns);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_RESERVED), 2048);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_RESERVED), 2500);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 0);
	assert_true(queue_machine_ops.next_deadline(f->m) > f->now_ns + QF_SECOND_NS);
}

/* One client may hold any number of jobs. */
static void
test_many_jobs_come_back_in_parts(void **state)
{
	struct queue_fixture *f = *state;

	open_in(f, QF_OTHER, 1, 2);
	for (int i = 0; i < 1500; i++) {
		(void)qf_put(f, 1, 0, 0, 100);
		assert_int_equal(of(f, QF_OTHER, QUEUE_RESERVE, 1).status, QUEUE_OK);
	}
	qf_wait_ns(f, 1);
	(void)qf_attach(f, QF_THIRD, 2);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 1024);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 3);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 1500);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 2);
}

/* A node that was restored goes on as the others do. */
static void
check_that_a_copy_goes_on(struct queue_fixture *f, struct queue_fixture *g)
{
	struct qf_snapshot s = { 0 };

	qf_snapshot_take(f, &s);
	assert_int_equal(qf_snapshot_restore(g, &s), 0);
	qf_snapshot_free(&s);
	assert_true(is_equal(qf_digest(f), qf_digest(g)));
	g->now_ns = f->now_ns;
	memcpy(g->seq, f->seq, sizeof(g->seq));
	for (int i = 0; i < 6; i++) {
		assert_true(queue_machine_ops.next_deadline(f->m) ==
			    queue_machine_ops.next_deadline(g->m));
		qf_silence_ns(f, i < 3 ? 1 : SILENCE_NS / 2);
		qf_silence_ns(g, i < 3 ? 1 : SILENCE_NS / 2);
		assert_true(is_equal(qf_digest(f), qf_digest(g)));
	}
	assert_int_equal(qf_stat(g, QUEUE_STAT_CONNECTIONS), 0);
}

static void
test_a_snapshot_in_the_middle_of_an_end(void **state)
{
	struct queue_fixture *f = *state, *g = qf_create(QUEUE_BYTES_MIN * 4);

	open_in(f, QF_OTHER, 0, 1500);
	(void)qf_reserve(f, 2);
	qf_wait_ns(f, 1);
	(void)qf_attach(f, QF_THIRD, 2);
	assert_int_equal(
		qf_attach(f, QF_OTHER, 3).status, QUEUE_OK); /* beside what is left of it */
	check_that_a_copy_goes_on(f, g);
	qf_destroy(g);
}

/* And so does one that was restored while something was left over. */
static void
test_a_snapshot_before_the_rest(void **state)
{
	struct queue_fixture *f = *state, *g = qf_create(QUEUE_BYTES_MIN * 4);

	(void)many_on_their_way_out(f);
	(void)qf_put(f, 1, 0, 0, 100);
	qf_wait_ns(f, 1); /* it was left over before the moment of the snapshot */
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 0);
	check_that_a_copy_goes_on(f, g);
	assert_int_equal(qf_job_stat(g, 1, QUEUE_JOB_STAT_RESERVES), 1);
	qf_destroy(g);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, qf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_who_is_not_attached_has_no_clients),
		TEST(test_attaching_again_is_harmless),
		TEST(test_a_session_has_one_number),
		TEST(test_a_new_session_replaces_the_one_before),
		TEST(test_a_silent_gateway_is_detached),
		TEST(test_a_leap_of_the_log_is_nobodys_silence),
		TEST(test_there_is_a_slot_every_so_often),
		TEST(test_every_command_lets_it_be_heard),
		TEST(test_who_was_detached_attaches_anew),
		TEST(test_the_order_of_what_is_due),
		TEST(test_many_clients_go_in_parts),
		TEST(test_no_job_goes_to_who_is_gone),
		TEST(test_nothing_is_left_over_any_more),
		TEST(test_many_are_served_in_parts),
		TEST(test_many_jobs_come_back_in_parts),
		TEST(test_a_snapshot_in_the_middle_of_an_end),
		TEST(test_a_snapshot_before_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
