/* SPDX-License-Identifier: Apache-2.0 */
/* Clients, their tubes, and what is left when they go. */
#include "tests/lib/queue_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct qf_answer
of(struct queue_fixture *f, enum queue_op op, uint64_t connection)
{
	return qf_do(f, (struct queue_command){ .op = op, .connection = connection });
}

static uint32_t
ignore(struct queue_fixture *f, uint64_t connection, const char *tube)
{
	struct queue_command c = {
		.op = QUEUE_IGNORE,
		.connection = connection,
		.tail = tube,
		.tail_bytes = (uint32_t)strlen(tube),
	};

	return qf_do(f, c).status;
}

static bool
exists(struct queue_fixture *f, const char *tube)
{
	return qf_tube_stat(f, tube, 0) != UINT64_MAX;
}

/* The same number of two gateways means two clients. */
static void
test_a_connection_is_a_session_and_a_number(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_command open = { .op = QUEUE_OPEN, .connection = 1 };
	struct queue_command put = {
		.op = QUEUE_PUT, .connection = 1, .tail = "x", .tail_bytes = 1
	};

	assert_int_equal(qf_do(f, open).status, QUEUE_EXISTS);
	assert_int_equal(qf_do_in(f, QF_OTHER, put).status, QUEUE_NO_CONNECTION);
	assert_int_equal(qf_do_in(f, QF_OTHER, open).status, QUEUE_OK);
	assert_int_equal(qf_do_in(f, QF_OTHER, put).status, QUEUE_OK);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 3);
	assert_int_equal(qf_stat(f, QUEUE_STAT_PRODUCERS), 1);
	assert_int_equal(qf_stat(f, QUEUE_TOTAL_CONNECTIONS), 3);
}

/* A worker that dies must not hold its jobs until they time out. */
static void
test_closing_releases_jobs_at_once(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	(void)qf_put(f, 1, 0, 0, 1000);
	(void)qf_put(f, 1, 0, 0, 1000);
	(void)qf_reserve(f, 1);
	(void)qf_reserve(f, 1);
	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	assert_int_equal(of(f, QUEUE_CLOSE, 1).status, QUEUE_OK);
	assert_int_equal(qf_answer(f, waits).result, 1);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_STATE), 0);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_RELEASES), 0);
	assert_int_equal(qf_job_stat(f, 2, QUEUE_JOB_STAT_TIMEOUTS), 0);
	assert_int_equal(qf_reserve(f, 1).status, QUEUE_NO_CONNECTION);
	assert_int_equal(of(f, QUEUE_CLOSE, 1).status, QUEUE_NO_CONNECTION);
}

/* Nobody may wait for an answer for ever. */
static void
test_closing_answers_what_waits(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	(void)of(f, QUEUE_CLOSE, 2);
	assert_int_equal(qf_answer(f, waits).status, QUEUE_CLOSED);
	(void)qf_put(f, 1, 0, 0, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 0);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WORKERS), 0);
}

/* An unanswered command holds its place in the session's window, and thousands of workers wait for
 * hours. */
static void
test_a_wait_is_answered_at_once(void **state)
{
	struct queue_fixture *f = *state;
	uint64_t waits;

	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	assert_true(f->parked_session == QF_SESSION && f->parked_seq == waits);
	assert_int_equal(f->reserved_count, 0);
	(void)qf_put(f, 1, 0, 0, 1);
	assert_int_equal(f->reserved_count, 1);
	assert_true(f->reserved.has_waited);
	assert_int_equal(f->reserved.seq, waits);
	assert_int_equal(f->reserved.connection, 2);
	assert_int_equal(f->reserved.id, 1);
	(void)qf_put(f, 1, 0, 0, 1);
	assert_int_equal(qf_reserve(f, 1).result, 2);
	assert_false(f->reserved.has_waited);
}

/* With the mark AFTER. */
static struct qf_answer
after(struct queue_fixture *f, struct queue_command c)
{
	c.is_after = true;
	return qf_do(f, c);
}

static bool
is_equal(struct decree_digest a, struct decree_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* A client has said "reserve, put, reserve" in one breath: if the first one waits, its own put must
 * not end that. */
static void
test_what_stands_behind_a_wait_is_not_executed(void **state)
{
	struct queue_fixture *f = *state;
	const struct queue_command put = {
		.op = QUEUE_PUT, .connection = 2, .ttr_s = 10, .tail = "x", .tail_bytes = 1
	};
	const struct queue_command reserve = { .op = QUEUE_RESERVE, .connection = 2 };
	struct decree_digest before;
	uint64_t waits;

	(void)qf_reserve(f, 2);
	waits = qf_seq(f);
	before = qf_digest(f);
	assert_int_equal(after(f, put).status, QUEUE_BEHIND);
	assert_int_equal(after(f, reserve).status, QUEUE_BEHIND);
	assert_true(is_equal(qf_digest(f), before));
	assert_int_equal(qf_answer(f, waits).status, QF_PENDING);
	assert_int_equal(qf_stat(f, QUEUE_CMD_PUT), 0);

	/* The wait is over. What was proposed before that was known must not overtake what stands
	 * before it. */
	(void)qf_put(f, 1, 0, 0, 10);
	assert_int_equal(qf_answer(f, waits).result, 1);
	before = qf_digest(f);
	assert_int_equal(after(f, reserve).status, QUEUE_BEHIND);
	assert_true(is_equal(qf_digest(f), before));

	/* From the beginning: the first without the mark. */
	assert_int_equal(qf_do(f, put).result, 2);
	assert_int_equal(after(f, reserve).result, 2);
	assert_int_equal(after(f, put).result, 3);
}

/* A reserve that does not wait stops nothing, whatever it is answered. */
static void
test_what_stands_behind_a_reserve_is_executed(void **state)
{
	struct queue_fixture *f = *state;
	const struct queue_command reserve = { .op = QUEUE_RESERVE, .connection = 2 };
	const struct queue_command at_once = { .op = QUEUE_RESERVE_TIMEOUT, .connection = 2 };
	const struct queue_command remove = { .op = QUEUE_DELETE, .connection = 2, .id = 1 };

	(void)qf_put(f, 1, 0, 0, 2);
	assert_int_equal(qf_reserve(f, 2).result, 1);
	assert_int_equal(after(f, at_once).status, QUEUE_TIMED_OUT);
	qf_wait(f, 1);
	assert_int_equal(after(f, reserve).status, QUEUE_DEADLINE_SOON);
	assert_int_equal(after(f, remove).status, QUEUE_OK);
	assert_int_equal(after(f, remove).status, QUEUE_NOT_FOUND);
}

/* Whichever way a wait ends, and whatever the gateway's own commands do meanwhile. */
static void
test_what_ends_a_wait_lets_nobody_overtake(void **state)
{
	struct queue_fixture *f = *state;
	const struct queue_command touch = { .op = QUEUE_TOUCH, .connection = 2, .id = 1 };

	(void)qf_reserve_for(f, 2, 1);
	qf_wait(f, 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 0);
	assert_int_equal(after(f, touch).status, QUEUE_BEHIND);
	assert_int_equal(qf_do(f, touch).status, QUEUE_NOT_FOUND);
	assert_int_equal(after(f, touch).status, QUEUE_NOT_FOUND);

	(void)qf_reserve(f, 2);
	assert_int_equal(of(f, QUEUE_CANCEL, 2).result, 1);
	assert_int_equal(after(f, touch).status, QUEUE_BEHIND);
	assert_int_equal(of(f, QUEUE_CANCEL, 2).result, 0);
	assert_int_equal(after(f, touch).status, QUEUE_BEHIND);
	/* A reserve that waits again after a command without the mark. */
	(void)qf_reserve(f, 2);
	assert_int_equal(after(f, touch).status, QUEUE_BEHIND);
	assert_int_equal(qf_do(f, touch).status, QUEUE_WAITS);
	assert_int_equal(of(f, QUEUE_CLOSE, 2).status, QUEUE_OK);
	assert_int_equal(after(f, touch).status, QUEUE_NO_CONNECTION);
}

/* What a connection remembers is state: a node that begins with a snapshot refuses the same. */
static void
test_a_restored_node_lets_nobody_overtake_either(void **state)
{
	struct queue_fixture *f = *state;
	const struct queue_command touch = { .op = QUEUE_TOUCH, .connection = 2, .id = 1 };
	struct qf_snapshot s = { 0 };
	struct decree_digest before;

	(void)qf_reserve_for(f, 2, 1);
	qf_wait(f, 1);
	before = qf_digest(f);
	qf_snapshot_take(f, &s);
	assert_int_equal(qf_snapshot_restore(f, &s), 0);
	qf_snapshot_free(&s);
	assert_true(is_equal(qf_digest(f), before));
	assert_int_equal(after(f, touch).status, QUEUE_BEHIND);
	assert_int_equal(qf_do(f, touch).status, QUEUE_NOT_FOUND);
	assert_false(is_equal(qf_digest(f), before));
	assert_int_equal(after(f, touch).status, QUEUE_NOT_FOUND);
}

static void
test_a_tube_is_there_while_it_is_used(void **state)
{
	struct queue_fixture *f = *state;

	assert_true(exists(f, "default"));
	assert_false(exists(f, "a"));
	(void)qf_use(f, 1, "a");
	assert_int_equal(qf_tube_stat(f, "a", QUEUE_TUBE_STAT_USING), 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_TUBES), 2);
	(void)qf_use(f, 1, "b");
	assert_false(exists(f, "a"));
	assert_true(exists(f, "b"));
	(void)of(f, QUEUE_CLOSE, 1);
	assert_false(exists(f, "b"));
	(void)of(f, QUEUE_CLOSE, 2);
	assert_true(exists(f, "default"));
}

static void
test_a_tube_is_there_while_it_is_watched(void **state)
{
	struct queue_fixture *f = *state;

	assert_int_equal(qf_watch(f, 2, "a"), 2);
	assert_int_equal(qf_watch(f, 2, "a"), 2);
	assert_int_equal(qf_tube_stat(f, "a", QUEUE_TUBE_STAT_WATCHING), 1);
	assert_int_equal(ignore(f, 2, "a"), QUEUE_OK);
	assert_false(exists(f, "a"));
}

/* In any state, and its counters with it. */
static void
test_a_tube_is_there_while_it_has_a_job(void **state)
{
	struct queue_fixture *f = *state;

	(void)qf_use(f, 1, "a");
	(void)qf_put(f, 1, 0, 5, 100);
	(void)qf_use(f, 1, "default");
	assert_true(exists(f, "a"));
	assert_int_equal(qf_job(f, QUEUE_RESERVE_JOB, 2, 1), QUEUE_OK);
	assert_true(exists(f, "a"));
	(void)qf_bury(f, 2, 1, 0);
	assert_int_equal(qf_tube_stat(f, "a", QUEUE_TUBE_STAT_TOTAL_JOBS), 1);
	(void)qf_job(f, QUEUE_DELETE, 2, 1);
	assert_false(exists(f, "a"));
}

static void
test_the_last_tube_is_not_ignored(void **state)
{
	struct queue_fixture *f = *state;

	assert_int_equal(ignore(f, 2, "default"), QUEUE_NOT_IGNORED);
	assert_int_equal(ignore(f, 2, "nowhere"), QUEUE_OK); /* not watched: nothing to ignore */
	(void)qf_watch(f, 2, "a");
	assert_int_equal(ignore(f, 2, "default"), QUEUE_OK);
	assert_int_equal(ignore(f, 2, "a"), QUEUE_NOT_IGNORED);
	(void)qf_put(f, 1, 0, 0, 1);
	assert_int_equal(qf_reserve_for(f, 2, 0).status, QUEUE_TIMED_OUT);
}

/* Reads are no commands; a gateway brings their numbers along. */
static void
test_reads_are_counted_by_the_gateway(void **state)
{
	struct queue_fixture *f = *state;
	static const uint8_t pairs[] = { QUEUE_CMD_PEEK, 7, 0, 0, 0, QUEUE_CMD_STATS, 1, 1, 0, 0 };
	struct queue_command c = {
		.op = QUEUE_COUNT,
		.connection = 1,
		.tail = pairs,
		.tail_bytes = sizeof(pairs),
	};

	assert_int_equal(qf_do(f, c).status, QUEUE_OK);
	assert_int_equal(qf_stat(f, QUEUE_CMD_PEEK), 7);
	assert_int_equal(qf_stat(f, QUEUE_CMD_STATS), 257);
	assert_int_equal(qf_stat(f, QUEUE_STAT_PRODUCERS), 0);
	c.flag = 1; /* a put that was refused before it came here makes a producer all the same */
	assert_int_equal(qf_do(f, c).status, QUEUE_OK);
	assert_int_equal(qf_stat(f, QUEUE_STAT_PRODUCERS), 1);
	assert_int_equal(qf_stat(f, QUEUE_CMD_PEEK), 14);
	/* What was read is counted, whether the client is still there or waits; who is a producer
	 * must be there. */
	c.connection = 99;
	assert_int_equal(qf_do(f, c).status, QUEUE_NO_CONNECTION);
	c.flag = 0;
	assert_int_equal(qf_do(f, c).status, QUEUE_OK);
	(void)qf_reserve(f, 2);
	c.connection = 2;
	assert_int_equal(qf_do(f, c).status, QUEUE_OK);
	assert_int_equal(qf_stat(f, QUEUE_CMD_PEEK), 28);
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_NO_GATEWAY);
	assert_int_equal(qf_stat(f, QUEUE_CMD_PEEK), 28);
}

/* What is no command is answered, too, and changes nothing. */
static void
test_nonsense_changes_nothing(void **state)
{
	struct queue_fixture *f = *state;
	struct decree_digest before = qf_digest(f), after;
	struct queue_command put = {
		.op = QUEUE_PUT, .connection = 9, .tail = "x", .tail_bytes = 1
	};

	assert_int_equal(qf_do(f, put).status, QUEUE_NO_CONNECTION);
	after = qf_digest(f);
	assert_true(before.lo == after.lo && before.hi == after.hi);
	assert_int_equal(qf_stat(f, QUEUE_CMD_PUT), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, qf_setup, qf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_connection_is_a_session_and_a_number),
		TEST(test_closing_releases_jobs_at_once),
		TEST(test_closing_answers_what_waits),
		TEST(test_a_wait_is_answered_at_once),
		TEST(test_what_stands_behind_a_wait_is_not_executed),
		TEST(test_what_stands_behind_a_reserve_is_executed),
		TEST(test_what_ends_a_wait_lets_nobody_overtake),
		TEST(test_a_restored_node_lets_nobody_overtake_either),
		TEST(test_a_tube_is_there_while_it_is_used),
		TEST(test_a_tube_is_there_while_it_is_watched),
		TEST(test_a_tube_is_there_while_it_has_a_job),
		TEST(test_the_last_tube_is_not_ignored),
		TEST(test_reads_are_counted_by_the_gateway),
		TEST(test_nonsense_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
