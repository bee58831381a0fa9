/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree_force_recover() makes a whole directory or none, and touches nothing that is there.
 */
#include "tests/unit/runtime/salvage_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Looking changes nothing. */
static void
test_a_survey_makes_nothing(void **state)
{
	struct salvage *s = *state;

	put_history(s, 2);
	put_promise(s, 1);
	s->rescue.is_dry = true;
	assert_int_equal(salvage_group(s)->last.n, 2);
	assert_false(salvage_exists(s, "new"));
	assert_false(salvage_exists(s, "new.new"));
}

static void
test_a_node_without_history_is_refused(void **state)
{
	struct salvage *s = *state;

	assert_int_equal(salvage_run(s), -EBADMSG);
	assert_non_null(strstr(s->error, "never was a member"));
	assert_false(salvage_exists(s, "new"));
}

/* The next attempt does not take half of a directory for a whole one. */
static void
test_what_exists_is_not_touched(void **state)
{
	struct salvage *s = *state;
	char path[128];

	put_history(s, 1);
	put_promise(s, 1);
	snprintf(path, sizeof(path), "%s.new", s->new_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(salvage_run(s), -EEXIST);
	assert_non_null(strstr(s->error, "cut short"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(s->new_dir, 0700), 0);
	assert_int_equal(salvage_run(s), -EEXIST);
	assert_non_null(strstr(s->error, "exists already"));
}

static void
test_a_log_that_is_too_small_is_refused(void **state)
{
	static uint8_t body[1200];
	struct salvage *s = *state;
	uint8_t value[SALVAGE_VALUE_BYTES];

	put_history(s, 1);
	for (uint64_t slot = 2; slot < 4000; slot++) {
		struct eng_command command = { .body = body, .bytes = sizeof(body) };

		command.session.n = 1;
		command.seq = slot;
		uint32_t bytes = eng_value_batch(value, sizeof(value), &command, 1);
		put(s, ENG_RECORD_ACCEPTED, slot, 1, slot - 1, value, bytes);
	}
	put_promise(s, 1);
	assert_int_equal(salvage_run(s), -ENOSPC);
	assert_non_null(strstr(s->error, "log_bytes"));
	assert_false(salvage_exists(s, "new"));
	assert_false(salvage_exists(s, "new.new"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, salvage_setup, salvage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_survey_makes_nothing),
		TEST(test_a_node_without_history_is_refused),
		TEST(test_what_exists_is_not_touched),
		TEST(test_a_log_that_is_too_small_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
