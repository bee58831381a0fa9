/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree_force_recover() on a log that rots: after such a loss there is nobody to fetch from, so
 * one rotten sector is no reason to lose what stands before it.
 */
#include "tests/unit/runtime/salvage_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The sector of the first record whose value has this stamp turns to noise. */
static void
rot(struct salvage *s, uint64_t stamp_ns)
{
	FILE *file = salvage_open_file(s, "segments");
	uint8_t sector[512];
	bool is_found = false;

	while (!is_found && fread(sector, sizeof(sector), 1, file) == 1)
		is_found = memmem(sector, sizeof(sector), &stamp_ns, sizeof(stamp_ns)) != NULL;
	assert_true(is_found);
	memset(sector, 0xee, sizeof(sector));
	assert_int_equal(fseek(file, -(long)sizeof(sector), SEEK_CUR), 0);
	assert_int_equal(fwrite(sector, sizeof(sector), 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* What would name a record whose sectors are gone. */
static void
rot_identifiers(struct salvage *s)
{
	FILE *file = salvage_open_file(s, "identifiers");
	long bytes;

	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	bytes = ftell(file);
	rewind(file);
	for (long i = 0; i < bytes; i++)
		assert_int_equal(fputc(0xee, file), 0xee);
	assert_int_equal(fclose(file), 0);
}

static void
test_a_rotten_sector_is_a_gap(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 6);
	put_promise(s, 1);
	rot(s, STAMP(4));
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 3);
	assert_int_equal(kept->decided.n, 5); /* another node may have it */
	assert_int_equal(kept->dropped_count, 2);
	salvage_read_new(s);
	assert_int_equal(s->found.count, 3);
	assert_int_equal(eng_value_stamp(s->found.values[2]), STAMP(3));
}

/* What the slot held before is not what was accepted last; what was written after it is. */
static void
test_a_rotten_sector_speaks_for_its_slot(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 3);
	put_value(s, 2, 2, 1, STAMP(22));
	put_value(s, 3, 2, 2, STAMP(33));
	put_value(s, 4, 2, 2, STAMP(4));
	put_promise(s, 1);
	rot(s, STAMP(2));
	rot(s, STAMP(33));
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 2);
	assert_int_equal(kept->dropped_count, 1);
	salvage_read_new(s);
	assert_int_equal(eng_value_stamp(s->found.values[s->found.count - 1]), STAMP(22));
}

/* y was accepted, x learned as decided, and that record rots. x is accepted again later, so its
 * slot is kept; but the hint in between spoke of what has rotted, and in the new log it would speak
 * of y. */
static void
test_a_hint_speaks_of_nothing_that_is_left_out(void **state)
{
	const uint64_t x = STAMP(33), y = STAMP(3);
	struct salvage *s = *state;

	put_history(s, 2);
	put_value(s, 3, 4, 2, y);
	put_decided(s, 3, 2, 2, x);
	put_value(s, 4, 4, 3, STAMP(4));
	put_value(s, 3, 6, 2, x);
	put_value(s, 5, 6, 4, STAMP(5));
	put_promise(s, 1);
	rot(s, x);
	assert_int_equal(salvage_group(s)->last.n, 5);
	salvage_read_new(s);
	assert_int_equal(s->found.count, 6);
	for (uint32_t i = 0; i < s->found.count; i++)
		assert_in_range(s->found.records[i].commit.n, 0, 2);
}

/* Then no slot is beyond doubt, and it is said. */
static void
test_rot_without_a_name_is_said(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 6);
	put_promise(s, 1);
	rot(s, STAMP(4));
	rot_identifiers(s);
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 3);
	assert_true(kept->is_doubtful);
}

static void
test_a_log_without_its_beginning_is_refused(void **state)
{
	struct salvage *s = *state;

	put_history(s, 2);
	put_promise(s, 1);
	rot(s, STAMP(1));
	assert_int_equal(salvage_run(s), -EBADMSG);
	assert_non_null(strstr(s->error, "slot 1 is damaged"));
	assert_false(salvage_exists(s, "new"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, salvage_setup, salvage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_rotten_sector_is_a_gap),
		TEST(test_a_rotten_sector_speaks_for_its_slot),
		TEST(test_a_hint_speaks_of_nothing_that_is_left_out),
		TEST(test_rot_without_a_name_is_said),
		TEST(test_a_log_without_its_beginning_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
