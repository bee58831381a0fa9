/* SPDX-License-Identifier: Apache-2.0 */
/* How much fits, and that whatever does not is refused before anything changes. */
#include "tests/lib/queue_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define JOB_BYTES         100
#define BYTES_PER_JOB_MAX 320

static uint64_t
resident_bytes(void)
{
	unsigned long total, resident;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
	(void)fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct queue_command
put(uint32_t bytes)
{
	static const uint8_t body[1 << 19];

	return (struct queue_command){
		.op = QUEUE_PUT,
		.connection = 1,
		.ttr_s = 60,
		.tail = body,
		.tail_bytes = bytes,
	};
}

/* @return jobs that fit */
static uint64_t
fill(struct queue_fixture *f, uint32_t bytes)
{
	uint64_t jobs = 0;

	while (qf_do(f, put(bytes)).status == QUEUE_OK)
		jobs++;
	return jobs;
}

/* The arena is all there is: what it is asked to be, divided by what fits, and what the kernel has
 * really given. */
static void
test_memory_per_job(void **state)
{
	uint64_t arena = 256u << 20, before = resident_bytes(), jobs, resident;
	struct queue_fixture *f = qf_create(arena);

	(void)state;
	qf_open(f, 1);
	jobs = fill(f, JOB_BYTES);
	resident = resident_bytes() - before;
	print_message("%lu jobs of %d bytes: %lu bytes of the arena each, %lu resident\n",
		(unsigned long)jobs, JOB_BYTES, (unsigned long)(arena / jobs),
		(unsigned long)(resident / jobs));
	assert_true(arena / jobs <= BYTES_PER_JOB_MAX);
	assert_true(resident / jobs <= BYTES_PER_JOB_MAX);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_READY), jobs);
	qf_destroy(f);
}

static bool
is_unchanged(struct queue_fixture *f, struct decree_digest before)
{
	struct decree_digest after = qf_digest(f);

	return before.lo == after.lo && before.hi == after.hi;
}

static uint32_t
named(struct queue_fixture *f, enum queue_op op, uint64_t connection, const char *format,
	int number)
{
	char name[QUEUE_NAME_BYTES_MAX + 1];
	int length = snprintf(name, sizeof(name), format, number);
	struct queue_command c = {
		.op = op, .connection = connection, .tail = name, .tail_bytes = (uint32_t)length
	};

	return qf_do(f, c).status;
}

/* A job of one cell does not fit any more. */
static void
fill_all(struct queue_fixture *f)
{
	(void)fill(f, 50000);
	(void)fill(f, JOB_BYTES);
	assert_int_equal(qf_stat(f, QUEUE_STAT_BYTES_USED), qf_stat(f, QUEUE_STAT_BYTES_MAX));
}

static uint32_t
open_in(struct queue_fixture *f, uint64_t session, uint64_t connection)
{
	struct queue_command c = { .op = QUEUE_OPEN, .connection = connection };

	return qf_do_in(f, session, c).status;
}

/* All cells of the arena but those that are kept for gateways. */
static void
fill_with_connections(struct queue_fixture *f)
{
	uint64_t connection = 1000;

	while (open_in(f, QF_SESSION, connection) == QUEUE_OK)
		connection++;
	assert_true(connection > 1010);
	(void)named(f, QUEUE_USE, 1000, "rest%d", 0); /* in the one cell that may be left */
}

/* put, use, watch, open and attach are all that takes memory. */
static void
test_out_of_memory_changes_nothing(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);
	struct decree_digest before;

	(void)state;
	qf_open(f, 1);
	fill_all(f);
	before = qf_digest(f);
	assert_int_equal(qf_do(f, put(0)).status, QUEUE_OUT_OF_MEMORY);
	assert_true(is_unchanged(f, before));
	fill_with_connections(f);
	before = qf_digest(f);
	assert_int_equal(open_in(f, QF_SESSION, 2), QUEUE_OUT_OF_MEMORY);
	assert_int_equal(named(f, QUEUE_USE, 1, "new%d", 1), QUEUE_OUT_OF_MEMORY);
	assert_int_equal(named(f, QUEUE_WATCH, 1, "new%d", 1), QUEUE_OUT_OF_MEMORY);
	assert_true(is_unchanged(f, before));
	/* Everything else still works, and what is given back is there again. */
	assert_int_equal(qf_reserve(f, 1).result, 1);
	assert_int_equal(qf_release(f, 1, 1, 5, 9), QUEUE_OK);
	assert_int_equal(qf_kick(f, 1, 1).result & UINT32_MAX, 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 1), QUEUE_OK);
	assert_int_equal(open_in(f, QF_SESSION, 2), QUEUE_OK);
	assert_int_equal(qf_do(f, put(50204)).status, QUEUE_OUT_OF_MEMORY);
	assert_int_equal(qf_do(f, put(25000)).status, QUEUE_OK);
	qf_destroy(f);
}

/* A node that was restored has its cells in other places, and must refuse the same put. */
static void
test_a_restored_node_refuses_the_same(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN), *g = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };

	(void)state;
	qf_open(f, 1);
	(void)fill(f, 3000);
	for (uint64_t id = 1; id < 100; id += 3)
		(void)qf_job(f, QUEUE_DELETE, 1, id);
	qf_snapshot_take(f, &s);
	assert_int_equal(qf_snapshot_restore(g, &s), 0);
	g->now_ns = f->now_ns;
	for (uint32_t bytes = 40000; bytes > 0; bytes = bytes * 9 / 10)
		for (int i = 0; i < 3; i++) {
			uint32_t status = qf_do(f, put(bytes)).status;

			assert_int_equal(qf_do(g, put(bytes)).status, status);
		}
	assert_true(is_unchanged(g, qf_digest(f)));
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(g);
}

/* All nodes were started anew: their gateways attach while what they have left is still there, and
 * clients come in and make room. */
static void
check_that_clients_come_in(struct queue_fixture *f)
{
	uint64_t used = qf_stat(f, QUEUE_STAT_BYTES_USED);

	assert_int_equal(qf_attach(f, QF_THIRD, 1).status, QUEUE_OK);
	for (uint64_t i = 1; i < 10; i++)
		assert_int_equal(open_in(f, QF_THIRD, i), QUEUE_OK);
	struct queue_command c = { .op = QUEUE_USE, .connection = 1, .tail = "a", .tail_bytes = 1 };

	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OK);
	c.op = QUEUE_WATCH;
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OK);
	c = put(0);
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OUT_OF_MEMORY);
	c = (struct queue_command){ .op = QUEUE_RESERVE, .connection = 1 };
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OK);
	c = (struct queue_command){ .op = QUEUE_TOUCH, .connection = 1, .id = f->reserved.id };
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OK);
	c.op = QUEUE_BURY;
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OK);
	c.op = QUEUE_DELETE;
	assert_int_equal(qf_do_in(f, QF_THIRD, c).status, QUEUE_OK);
	assert_true(qf_stat(f, QUEUE_STAT_BYTES_USED) < used);
	assert_int_equal(qf_do_in(f, QF_THIRD, put(0)).status, QUEUE_OK);
}

static void
test_a_full_arena_lets_clients_in(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN), *g = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };

	(void)state;
	qf_open(f, 1);
	fill_all(f);
	qf_snapshot_take(f, &s);
	assert_int_equal(qf_snapshot_restore(g, &s), 0);
	g->now_ns = f->now_ns;
	memcpy(g->seq, f->seq, sizeof(g->seq));
	check_that_clients_come_in(f);
	check_that_clients_come_in(g);
	assert_true(is_unchanged(g, qf_digest(f)));
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(g);
}

/* Connections cannot use up what gateways need. */
static void
test_gateways_have_room_of_their_own(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);

	(void)state;
	qf_open(f, 1);
	assert_int_equal(open_in(f, QF_OTHER, 7), QUEUE_OK);
	fill_all(f);
	fill_with_connections(f);
	assert_int_equal(open_in(f, QF_OTHER, 8), QUEUE_OUT_OF_MEMORY);
	assert_int_equal(qf_attach(f, QF_THIRD, 2).status, QUEUE_OK);
	assert_int_equal(
		open_in(f, QF_THIRD, 1), QUEUE_OK); /* in the place of the one that it replaced */
	qf_destroy(f);
}

/* One connection cannot watch away what all others need to come in, nor with tubes that it leaves
 * behind. */
static void
test_one_connection_takes_little_of_what_is_kept(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);
	uint64_t cells;

	(void)state;
	qf_open(f, 1);
	fill_all(f);
	cells = qf_stat(f, QUEUE_STAT_BYTES_USED) / 208;
	for (int i = 0; i < 7; i++)
		assert_int_equal(named(f, QUEUE_WATCH, 1, "%0200d", i), QUEUE_OK);
	assert_int_equal(named(f, QUEUE_WATCH, 1, "%0200d", 7), QUEUE_OUT_OF_MEMORY);
	assert_int_equal(named(f, QUEUE_WATCH, 1, "%0200d", 6), QUEUE_OK);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(named(f, QUEUE_USE, 1, "%0199d", i), QUEUE_OK);
		assert_int_equal(qf_do(f, put(0)).status, QUEUE_OUT_OF_MEMORY);
	}
	assert_int_equal(qf_stat(f, QUEUE_STAT_BYTES_USED) / 208, cells + 7 * 3 + 2);
	qf_destroy(f);
}

static void
test_sizes_that_are_refused(void **state)
{
	struct queue_config config = { .queue_bytes = QUEUE_BYTES_MIN - 1 };
	struct queue_machine *m;

	(void)state;
	assert_int_equal(queue_machine_create(&config, &m), -EINVAL);
	config.queue_bytes = QUEUE_BYTES_MAX + 4096;
	assert_int_equal(queue_machine_create(&config, &m), -EINVAL);
	queue_machine_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_per_job),
		cmocka_unit_test(test_out_of_memory_changes_nothing),
		cmocka_unit_test(test_a_restored_node_refuses_the_same),
		cmocka_unit_test(test_a_full_arena_lets_clients_in),
		cmocka_unit_test(test_gateways_have_room_of_their_own),
		cmocka_unit_test(test_one_connection_takes_little_of_what_is_kept),
		cmocka_unit_test(test_sizes_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
