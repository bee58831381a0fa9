/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a job, command by command. */
#include "tests/lib/queue_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t
state_of(struct queue_fixture *f, uint64_t id)
{
	return qf_job_stat(f, id, QUEUE_JOB_STAT_STATE);
}

enum {
	READY,
	RESERVED,
	DELAYED,
	BURIED
};

/* Refused puts must not leave gaps either: a client could count them. */
static void
test_ids_count_from_1(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_command nobody = {
		.op = QUEUE_PUT, .connection = 77, .tail = "x", .tail_bytes = 1
	};

	assert_int_equal(qf_put(f, 1, 0, 0, 1), 1);
	assert_int_equal(qf_do(f, nobody).status, QUEUE_NO_CONNECTION);
	assert_int_equal(qf_put(f, 2, 0, 5, 1), 2);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 2), QUEUE_OK);
	assert_int_equal(qf_put(f, 1, 0, 0, 1), 3);
}

static void
test_ready_order_is_priority_then_id(void **state)
{
	struct queue_fixture *f = *state;
	static const uint32_t pris[] = { 5, 0, UINT32_MAX, 5, 0, 1024 };
	static const uint64_t wanted[] = { 2, 5, 1, 4, 6, 3 };

	for (int i = 0; i < 6; i++)
		(void)qf_put(f, 1, pris[i], 0, 100);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_URGENT), 4);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_READY), wanted[i]);
		assert_int_equal(qf_reserve(f, 2).result, wanted[i]);
	}
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_URGENT), 0);
}

/* The least of all watched tubes, not of one after the other. */
static void
test_reserve_looks_at_all_watched_tubes(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_watch(f, 2, "a");
	(void)qf_watch(f, 2, "b");
	(void)qf_put(f, 1, 7, 0, 100);
	(void)qf_use(f, 1, "b");
	(void)qf_put(f, 1, 6, 0, 100);
	(void)qf_use(f, 1, "a");
	(void)qf_put(f, 1, 6, 0, 100);
	(void)qf_use(f, 1, "unwatched");
	(void)qf_put(f, 1, 0, 0, 100);
	assert_int_equal(qf_reserve(f, 2).result, 2);
	assert_int_equal(qf_reserve(f, 2).result, 3);
	assert_int_equal(qf_reserve(f, 2).result, 1);
	assert_int_equal(qf_reserve_for(f, 2, 0).status, QUEUE_TIMED_OUT);
}

static void
test_ttr_0_is_1(void **state)
{
	struct queue_fixture *f = *state;

	assert_int_equal(qf_job_stat(f, qf_put(f, 1, 0, 0, 0), QUEUE_JOB_STAT_TTR_S), 1);
	assert_int_equal(qf_job_stat(f, qf_put(f, 1, 0, 0, 2), QUEUE_JOB_STAT_TTR_S), 2);
}

/* Ready, delayed and buried ones anybody may delete; a reserved one only who holds it. */
static void
test_who_may_delete(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 0, 0, 100);
	(void)qf_put(f, 1, 0, 0, 100);
	assert_int_equal(qf_reserve(f, 2).result, 1);
	assert_int_equal(qf_reserve(f, 2).result, 2);
	assert_int_equal(qf_bury(f, 2, 2, 0), QUEUE_OK);
	(void)qf_put(f, 1, 0, 0, 100);
	(void)qf_put(f, 1, 0, 9, 100);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 1), QUEUE_NOT_FOUND);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 2), QUEUE_OK);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 3), QUEUE_OK);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 4), QUEUE_OK);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 2, 1), QUEUE_OK);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 2, 1), QUEUE_NOT_FOUND);
	assert_int_equal(qf_tube_stat(f, "default", QUEUE_TUBE_STAT_CMD_DELETE), 4);
	assert_int_equal(qf_stat(f, QUEUE_CMD_DELETE), 6);
}

static void
test_release(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 9, 0, 100);
	(void)qf_put(f, 1, 9, 0, 100);
	assert_int_equal(qf_release(f, 2, 1, 0, 0), QUEUE_NOT_FOUND);
	(void)qf_reserve(f, 2);
	assert_int_equal(qf_release(f, 1, 1, 0, 0), QUEUE_NOT_FOUND); /* not the holder */
	assert_int_equal(qf_release(f, 2, 1, 10, 0), QUEUE_OK);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_READY), 2); /* a worse priority now */
	assert_int_equal(qf_reserve(f, 2).result, 2);
	assert_int_equal(qf_release(f, 2, 2, 11, 3), QUEUE_OK);
	assert_int_equal(state_of(f, 2), DELAYED);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_DELAY_S), 3);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_RELEASES), 1);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_RESERVES), 1);
	qf_wait(f, 3);
	assert_int_equal(state_of(f, 2), READY);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_PRI), 11);
}

/* First buried, first kicked, whatever the priority. */
static void
test_buried_jobs_are_a_queue(void **state)
{
	struct queue_fixture *f = *state;

	for (int i = 0; i < 3; i++)
		(void)qf_put(f, 1, 0, 0, 100);
	for (int i = 0; i < 3; i++)
		(void)qf_reserve(f, 2);
	assert_int_equal(qf_bury(f, 1, 3, 0), QUEUE_NOT_FOUND);
	assert_int_equal(qf_bury(f, 2, 3, 50), QUEUE_OK);
	assert_int_equal(qf_bury(f, 2, 1, 40), QUEUE_OK);
	assert_int_equal(qf_bury(f, 2, 2, 30), QUEUE_OK);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_BURIED), 3);
	assert_int_equal(qf_kick(f, 1, 2).result & UINT32_MAX, 2);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_BURIED), 2);
	assert_int_equal(qf_job_stat(f, 3, QUEUE_JOB_STAT_KICKS), 1);
	assert_int_equal(qf_job_stat(f, 3, QUEUE_JOB_STAT_BURIES), 1);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_READY), 1);
}

/* Delayed jobs are kicked only if none is buried, in the order of their deadlines. */
static void
test_kick_takes_buried_jobs_or_delayed_ones(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 0, 0, 100);
	(void)qf_put(f, 1, 0, 20, 100);
	(void)qf_put(f, 1, 0, 10, 100);
	(void)qf_reserve(f, 2);
	(void)qf_bury(f, 2, 1, 0);
	assert_int_equal(qf_kick(f, 1, 5).result, 1 | (uint64_t)QUEUE_KICK_BURIED << 32);
	assert_int_equal(qf_peek(f, 1, QUEUE_PEEK_DELAYED), 3);
	assert_int_equal(qf_kick(f, 1, 1).result, 1 | (uint64_t)QUEUE_KICK_DELAYED << 32);
	assert_int_equal(state_of(f, 3), READY);
	assert_int_equal(state_of(f, 2), DELAYED);
	assert_int_equal(qf_kick(f, 1, 0).result & UINT32_MAX, 0);
	assert_int_equal(qf_stat(f, QUEUE_CMD_KICK), 3);
}

/* One command moves so many and no more; the gateway goes on with the same kind, and that is not
 * counted again. */
static void
test_a_large_kick_comes_in_parts(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_command rest = {
		.op = QUEUE_KICK,
		.connection = 1,
		.bound = UINT32_MAX,
		.flag = QUEUE_KICK_DELAYED,
	};

	for (int i = 0; i < QUEUE_KICK_COUNT_MAX + 5; i++)
		(void)qf_put(f, 1, 0, 100, 100);
	assert_int_equal(qf_kick(f, 1, UINT32_MAX).result & UINT32_MAX, QUEUE_KICK_COUNT_MAX);
	assert_int_equal(qf_do(f, rest).result & UINT32_MAX, 5);
	assert_int_equal(qf_stat(f, QUEUE_CMD_KICK), 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), QUEUE_KICK_COUNT_MAX + 5);
}

static void
test_kick_job(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_put(f, 1, 0, 0, 100);
	(void)qf_put(f, 1, 0, 10, 100);
	assert_int_equal(qf_job(f, QUEUE_KICK_JOB, 1, 1), QUEUE_NOT_FOUND); /* ready */
	assert_int_equal(qf_job(f, QUEUE_KICK_JOB, 1, 9), QUEUE_NOT_FOUND);
	assert_int_equal(qf_job(f, QUEUE_KICK_JOB, 1, 2), QUEUE_OK);
	(void)qf_reserve(f, 2);
	assert_int_equal(qf_job(f, QUEUE_KICK_JOB, 1, 1), QUEUE_NOT_FOUND); /* reserved */
	(void)qf_bury(f, 2, 1, 0);
	assert_int_equal(qf_job(f, QUEUE_KICK_JOB, 1, 1), QUEUE_OK);
	assert_int_equal(state_of(f, 1), READY);
}

/* By its id a job is reserved out of any tube and state, but never from another worker. */
static void
test_reserve_job(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_use(f, 1, "elsewhere");
	(void)qf_put(f, 1, 0, 0, 100);
	(void)qf_put(f, 1, 0, 50, 100);
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 2, 2), QUEUE_OK);
	assert_int_equal(f->reserved.id, 2);
	assert_int_equal(f->reserved.connection, 2);
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 1, 2), QUEUE_NOT_FOUND);
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 2, 2), QUEUE_NOT_FOUND);
	assert_int_equal(qf_bury(f, 2, 2, 0), QUEUE_OK);
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 1, 2), QUEUE_OK);
	assert_int_equal(f->reserved.reserves, 2);
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 1, 1), QUEUE_OK);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WORKERS), 2);
}

/* The worker is told the job, the fencing token and the size of its body in the same call. */
static void
test_a_body_comes_back_as_it_was_put(void **state)
{
	struct queue_fixture *f = *state;
	static uint8_t body[70000], back[70000];
	struct queue_command put = { .op = QUEUE_PUT, .connection = 1, .ttr_s = 5, .tail = body };

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 31 >> 3);
	for (uint32_t bytes = 0; bytes <= 70000; bytes = bytes < 700 ? bytes + 1 : bytes * 3) {
		put.tail_bytes = bytes;
		assert_int_equal(qf_do(f, put).status, QUEUE_OK);
		assert_int_equal(qf_reserve(f, 2).status, QUEUE_OK);
		assert_int_equal(f->reserved.body_bytes, bytes);
		assert_int_equal(
			queue_machine_body(f->m, f->reserved.id, 0, back, sizeof(back)), bytes);
		assert_memory_equal(back, body, bytes);
		assert_int_equal(queue_machine_body(f->m, f->reserved.id, bytes, back, 1), 0);
		assert_int_equal(qf_job(f, QUEUE_DELETE, 2, f->reserved.id), QUEUE_OK);
	}
	assert_int_equal(queue_machine_body(f->m, 1, 0, back, 1), -2);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, qf_setup, qf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_ids_count_from_1),
		TEST(test_ready_order_is_priority_then_id),
		TEST(test_reserve_looks_at_all_watched_tubes),
		TEST(test_ttr_0_is_1),
		TEST(test_who_may_delete),
		TEST(test_release),
		TEST(test_buried_jobs_are_a_queue),
		TEST(test_kick_takes_buried_jobs_or_delayed_ones),
		TEST(test_a_large_kick_comes_in_parts),
		TEST(test_kick_job),
		TEST(test_reserve_job),
		TEST(test_a_body_comes_back_as_it_was_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
