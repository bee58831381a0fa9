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

/* The arena is all there is: what it is asked to be, divided by what fits, and what the kernel has really given. */
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

/* put, use, watch, open and attach are all that takes memory. */
static void
test_out_of_memory_changes_nothing(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);
	struct queue_command open = { .op = QUEUE_OPEN, .connection = 2 };
	struct queue_command named = { .connection = 1, .tail = "new", .tail_bytes = 3 };
	struct decree_digest before;

	(void)state;
	qf_open(f, 1);
	(void)fill(f, 50000);
	(void)fill(f, JOB_BYTES);
	before = qf_digest(f);
	assert_int_equal(qf_do(f, put(0)).status, QUEUE_OUT_OF_MEMORY);
	assert_int_equal(qf_do(f, open).status, QUEUE_OUT_OF_MEMORY);
	named.op = QUEUE_USE;
	assert_int_equal(qf_do(f, named).status, QUEUE_OUT_OF_MEMORY);
	named.op = QUEUE_WATCH;
	assert_int_equal(qf_do(f, named).status, QUEUE_OUT_OF_MEMORY);
	assert_int_equal(qf_attach(f, QF_THIRD, 3).status, QUEUE_OUT_OF_MEMORY);
	assert_int_equal(qf_attach(f, QF_THIRD, 2).status, QUEUE_OUT_OF_MEMORY);
	assert_true(is_unchanged(f, before));
	assert_int_equal(qf_stat(f, QUEUE_STAT_BYTES_USED), qf_stat(f, QUEUE_STAT_BYTES_MAX));
	/* Everything else still works, and what is given back is there again. */
	assert_int_equal(qf_reserve(f, 1).result, 1);
	assert_int_equal(qf_release(f, 1, 1, 5, 9), QUEUE_OK);
	assert_int_equal(qf_kick(f, 1, 1).result & UINT32_MAX, 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 1), QUEUE_OK);
	assert_int_equal(qf_do(f, put(50204)).status, QUEUE_OUT_OF_MEMORY);
	assert_int_equal(qf_do(f, put(50000)).status, QUEUE_OK);
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
		cmocka_unit_test(test_sizes_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
