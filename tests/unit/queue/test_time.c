/* SPDX-License-Identifier: Apache-2.0 */
/* What cluster time does: workers that wait, jobs that time out, delays, pauses. */
#include "tests/lib/queue_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int
setup(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN * 4);

	for (uint64_t connection = 1; connection <= 3; connection++)
		qf_open(f, connection);
	*state = f;
	return 0;
}

/* Nothing is due but the end of gateways of which nothing is heard any more. */
static bool
is_calm(struct queue_fixture *f)
{
	return queue_machine_ops.next_deadline(f->m) ==
	       f->now_ns + QUEUE_SILENCE_STEP_MS * 1000000ull;
}

/* The put and the reserve that waits for it are answered by one command: one round for both. */
static void
test_a_put_answers_whoever_waits(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	assert_int_equal(qf_reserve(f, 2).status, QF_PENDING);
	waits = qf_seq(f);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 1);
	assert_int_equal(qf_tube_stat(f, "default", QUEUE_TUBE_STAT_WAITING), 1);
	(void)qf_put(f, 1, 0, 0, 10);
	assert_int_equal(qf_answer(f, waits).status, QUEUE_OK);
	assert_int_equal(qf_answer(f, waits).result, 1);
	assert_int_equal(f->reserved.seq, waits);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 0);
}

static void
test_who_waits_longest_is_served_first(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t first, second;

	(void)qf_reserve(f, 3);
	first = qf_seq(f);
	(void)qf_reserve(f, 2);
	second = qf_seq(f);
	(void)qf_put(f, 1, 0, 0, 10);
	assert_int_equal(qf_answer(f, first).status, QUEUE_OK);
	assert_int_equal(qf_answer(f, second).status, QF_PENDING);
	(void)qf_put(f, 1, 0, 0, 10);
	assert_int_equal(qf_answer(f, second).status, QUEUE_OK);
}

static void
test_a_reserve_times_out_at_its_time(void **state)
{
	struct queue_fixture *f = *state;

	assert_int_equal(qf_reserve_for(f, 2, 0).status, QUEUE_TIMED_OUT);
	assert_int_equal(qf_reserve_for(f, 2, 2).status, QF_PENDING);
	assert_true(queue_machine_ops.next_deadline(f->m) == f->now_ns + 2 * QF_SECOND_NS);
	qf_wait_ns(f, 2 * QF_SECOND_NS - 1);
	assert_int_equal(qf_answer(f, qf_seq(f)).status, QF_PENDING);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_answer(f, qf_seq(f)).status, QUEUE_TIMED_OUT);
	assert_true(is_calm(f));
}

static void
test_a_wait_can_be_given_up(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_command cancel = { .op = QUEUE_CANCEL, .connection = 2 };
	uint64_t waits;

	assert_int_equal(qf_do(f, cancel).result, 0);
	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	assert_int_equal(qf_do(f, cancel).result, 1);
	assert_int_equal(qf_answer(f, waits).status, QUEUE_TIMED_OUT);
	(void)qf_put(f, 1, 0, 0, 10);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 1);
}

/* A client is served one command after the other. */
static void
test_nothing_else_while_it_waits(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_reserve(f, 2);
	assert_int_equal(qf_reserve(f, 2).status, QUEUE_WAITS);
	assert_int_equal(qf_use(f, 2, "x"), QUEUE_WAITS);
	assert_int_equal(qf_tube_stat(f, "x", 0), UINT64_MAX);
	assert_int_equal(qf_stat(f, QUEUE_CMD_RESERVE), 1);
}

static void
test_a_job_times_out_and_goes_to_another(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	(void)qf_put(f, 1, 0, 0, 5);
	assert_int_equal(qf_reserve(f, 2).result, 1);
	(void)qf_reserve(f, 3);
	waits = qf_seq(f);
	qf_wait_ns(f, 5 * QF_SECOND_NS - 1);
	assert_int_equal(qf_answer(f, waits).status, QF_PENDING);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_answer(f, waits).result, 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 2, 1), QUEUE_NOT_FOUND);
	assert_int_equal(qf_job(f, QUEUE_TOUCH, 2, 1), QUEUE_NOT_FOUND);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_TIMEOUTS), 1);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_RESERVES), 2);
	assert_int_equal(qf_stat(f, QUEUE_JOB_TIMEOUTS), 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 3, 1), QUEUE_OK);
}

static void
test_touch_begins_the_ttr_anew(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 0, 0, 5);
	(void)qf_reserve(f, 2);
	qf_wait(f, 4);
	assert_int_equal(qf_job(f, QUEUE_TOUCH, 2, 1), QUEUE_OK);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_LEFT_NS), 5 * QF_SECOND_NS);
	qf_wait(f, 4);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 2, 1), QUEUE_OK);
}

/* The last second of a job's TTR is for finishing it, not for waiting. */
static void
test_deadline_soon(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	(void)qf_put(f, 1, 0, 0, 3);
	(void)qf_reserve(f, 2);
	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	qf_wait_ns(f, 2 * QF_SECOND_NS - 1);
	assert_int_equal(qf_answer(f, waits).status, QF_PENDING);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_answer(f, waits).status, QUEUE_DEADLINE_SOON);
	assert_int_equal(qf_reserve(f, 2).status, QUEUE_DEADLINE_SOON);
	assert_int_equal(qf_reserve_for(f, 2, 0).status, QUEUE_DEADLINE_SOON);
	(void)qf_put(f, 1, 0, 0, 3); /* a job that is there is given all the same */
	assert_int_equal(qf_reserve(f, 2).result, 2);
}

static void
test_a_delay_ends_at_its_time(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 0, 4, 10);
	(void)qf_put(f, 1, 0, 2, 10);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_DELAYED), 2);
	(void)qf_reserve(f, 2);
	qf_wait_ns(f, 2 * QF_SECOND_NS - 1);
	assert_int_equal(qf_answer(f, qf_seq(f)).status, QF_PENDING);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_answer(f, qf_seq(f)).result, 2);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_DELAYED), 1);
}

static void
test_a_pause_holds_jobs_back(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	assert_int_equal(qf_pause(f, 1, "nowhere", 5), QUEUE_NOT_FOUND);
	assert_int_equal(qf_pause(f, 1, "default", 5), QUEUE_OK);
	(void)qf_put(f, 1, 0, 0, 10);
	assert_int_equal(qf_reserve_for(f, 3, 0).status, QUEUE_TIMED_OUT);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_READY), 1);
	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	(void)qf_put(f, 1, 9, 0, 10); /* not even to those who wait already */
	assert_int_equal(qf_answer(f, waits).status, QF_PENDING);
	qf_wait(f, 2);
	assert_int_equal(qf_tube_stat(f, "default", QUEUE_TUBE_STAT_PAUSE_S), 5);
	assert_int_equal(qf_tube_stat(f, "default", QUEUE_TUBE_STAT_CMD_PAUSE_TUBE), 1);
	qf_wait(f, 3);
	assert_int_equal(qf_answer(f, waits).result, 1);
	assert_int_equal(qf_tube_stat(f, "default", QUEUE_TUBE_STAT_PAUSE_S), 0);
}

static void
test_a_pause_of_0_ends_a_pause(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	(void)qf_pause(f, 1, "default", 500);
	(void)qf_put(f, 1, 0, 0, 10);
	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	assert_int_equal(qf_pause(f, 1, "default", 0), QUEUE_OK);
	assert_int_equal(qf_answer(f, waits).result, 1);
}

/* Ten thousand jobs that become ready at once must not hold up a shard: they do so a thousand at a
 * time. */
static void
test_what_is_due_at_once_happens_in_parts(void **state)
{
	struct queue_fixture *f = *state;

	for (int i = 0; i < 3000; i++)
		(void)qf_put(f, 1, 0, 7, 10);
	qf_wait(f, 7);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 1024);
	assert_true(queue_machine_ops.next_deadline(f->m) <= f->now_ns);
	qf_wait_ns(f, 0); /* the same time: nothing more, however often apply() is called */
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 1024);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 2048);
	qf_wait_ns(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 3000);
	assert_true(is_calm(f));
}

/* The longest delay, TTR and pause that can be asked for. */
static void
test_the_longest_times(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 0, UINT32_MAX, UINT32_MAX);
	(void)qf_pause(f, 1, "default", UINT32_MAX);
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 2, 1), QUEUE_OK);
	assert_int_equal(qf_reserve_for(f, 2, UINT32_MAX).status, QF_PENDING);
	assert_true(is_calm(f));
	qf_wait(f, 1000);
	assert_int_equal(qf_answer(f, qf_seq(f)).status, QF_PENDING);
	assert_int_equal(
		qf_job_stat(f, 1, QUEUE_JOB_STAT_LEFT_NS), (UINT32_MAX - 1000ull) * QF_SECOND_NS);
	assert_int_equal(qf_tube_stat(f, "default", QUEUE_TUBE_STAT_PAUSE_LEFT_NS),
		(UINT32_MAX - 1000ull) * QF_SECOND_NS);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, qf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_put_answers_whoever_waits),
		TEST(test_who_waits_longest_is_served_first),
		TEST(test_a_reserve_times_out_at_its_time),
		TEST(test_a_wait_can_be_given_up),
		TEST(test_nothing_else_while_it_waits),
		TEST(test_a_job_times_out_and_goes_to_another),
		TEST(test_touch_begins_the_ttr_anew),
		TEST(test_deadline_soon),
		TEST(test_a_delay_ends_at_its_time),
		TEST(test_a_pause_holds_jobs_back),
		TEST(test_a_pause_of_0_ends_a_pause),
		TEST(test_what_is_due_at_once_happens_in_parts),
		TEST(test_the_longest_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
