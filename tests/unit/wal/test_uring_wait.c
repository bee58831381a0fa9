/* SPDX-License-Identifier: Apache-2.0 */
/* When completions that wait in the kernel are left to the loop's next yield, and when they are
 * asked for. */
#include "wal/disk_uring_wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* An idle loop yields between two looks, and that brings them without a system call of the log's. */
static void
test_the_first_look_at_the_flag_leaves_it(void **state)
{
	struct disk_uring_wait w = { 0 };

	(void)state;
	assert_true(disk_uring_is_left(&w, false, true));
}

/* A loop that has frames does not yield: they would wait for ever. */
static void
test_the_second_look_asks(void **state)
{
	struct disk_uring_wait w = { 0 };

	(void)state;
	assert_true(disk_uring_is_left(&w, false, true));
	assert_false(disk_uring_is_left(&w, false, true));
	assert_true(disk_uring_is_left(&w, false, true)); /* the next ones begin anew */
}

static void
test_what_is_there_is_taken_at_once(void **state)
{
	struct disk_uring_wait w = { 0 };

	(void)state;
	assert_false(disk_uring_is_left(&w, true, true));
	assert_false(disk_uring_is_left(&w, true, false));
	/* And a flag of before is none of the next ones'. */
	assert_true(disk_uring_is_left(&w, false, true));
	assert_false(disk_uring_is_left(&w, true, true));
	assert_true(disk_uring_is_left(&w, false, true));
}

/* To look into the ring without a flag costs no system call. */
static void
test_without_a_flag_it_looks(void **state)
{
	struct disk_uring_wait w = { 0 };

	(void)state;
	assert_false(disk_uring_is_left(&w, false, false));
	assert_true(disk_uring_is_left(&w, false, true));
	assert_false(disk_uring_is_left(&w, false, false));
	assert_true(disk_uring_is_left(&w, false, true));
}

/* A loop that has waited for so long may be about to sleep, and to sleep is not to yield: each look
 * asks, until something came. */
static void
test_a_long_wait_leaves_nothing(void **state)
{
	struct disk_uring_wait w = { 0 };

	(void)state;
	for (uint32_t i = 0; i < DISK_URING_EMPTY_COUNT_MAX; i++)
		assert_false(disk_uring_is_left(&w, false, false));
	assert_false(disk_uring_is_left(&w, false, true));
	assert_false(disk_uring_is_left(&w, false, true));
	assert_false(disk_uring_is_left(&w, true, false));
	assert_true(disk_uring_is_left(&w, false, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_look_at_the_flag_leaves_it),
		cmocka_unit_test(test_the_second_look_asks),
		cmocka_unit_test(test_what_is_there_is_taken_at_once),
		cmocka_unit_test(test_without_a_flag_it_looks),
		cmocka_unit_test(test_a_long_wait_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
