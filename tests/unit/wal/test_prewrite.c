/* SPDX-License-Identifier: Apache-2.0 */
/* A log whose space is written before its first use: all of it is ready then, and no end of that
 * work harms the log. */
#include "tests/lib/log_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct told {
	uint64_t done_bytes, all_bytes;
	uint32_t count;
};

static void
on_progress(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
	struct told *t = context;

	assert_true(done_bytes >= t->done_bytes && done_bytes <= all_bytes);
	*t = (struct told){ done_bytes, all_bytes, t->count + 1 };
}

static int
prewrite(struct log_fixture *f, struct told *told)
{
	const struct wal_recovery to = { .context = told, .progress = on_progress };

	*told = (struct told){ 0 };
	return wal_prewrite(&disk_fake_ops, f->disk, &to, f->error);
}

static int
setup(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	log_fixture_init(f, &log_fixture_calm);
	f->cfg.prewrite_bytes_per_second = 1; /* what the open log does is not what is tested */
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	*state = f;
	return 0;
}

static void
open_and_use(struct log_fixture *f)
{
	if (log_fixture_open(f) != 0)
		fail_msg("%s", f->error);
	assert_int_equal(f->found_count, 0);
	for (uint64_t number = 0; number < 20; number++)
		assert_int_equal(log_fixture_append(f, number, 300).lsn, number + 1);
	log_fixture_settle(f, 20);
	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(f->found_count, 20);
	assert_int_equal(f->wrong_count, 0);
}

static void
test_all_of_its_space_is_ready(void **state)
{
	struct log_fixture *f = *state;
	uint64_t bytes;
	struct told told;

	assert_int_equal(log_fixture_open(f), 0);
	assert_true(wal_log_ops.room(f->wal).space_record_count_unprepared > 0);
	log_fixture_fini(f);
	setup(state);
	free(f);
	f = *state;

	assert_int_equal(prewrite(f, &told), 0);
	(void)disk_fake_data(f->disk, DISK_IDENTIFIERS, &bytes);
	assert_int_equal(told.all_bytes, f->format.log_bytes + bytes);
	assert_int_equal(told.done_bytes, told.all_bytes);
	for (uint64_t at = 0; at < f->format.log_bytes; at += 512)
		assert_true(disk_fake_is_stable(f->disk, DISK_SEGMENTS, at));
	disk_fake_cut_power(f->disk);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(wal_log_ops.room(f->wal).space_record_count_unprepared, 0);
}

static void
test_a_log_that_was_used_is_left_alone(void **state)
{
	struct log_fixture *f = *state;
	struct told told;

	open_and_use(f);
	log_fixture_abandon(f);
	assert_int_equal(prewrite(f, &told), -EALREADY);
	assert_non_null(strstr(f->error, "has been started"));
	assert_int_equal(told.count, 0);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(f->found_count, 20);
}

/* Whatever request fails, and the power with it. */
static void
test_an_end_in_the_middle_leaves_a_new_log(void **state)
{
	struct log_fixture *f = *state;
	int64_t failed_count = 0;

	for (int64_t at = 0;; at++) {
		struct told told;
		int rc;

		disk_fake_fail_after(f->disk, at, -EIO);
		rc = prewrite(f, &told);
		if (!disk_fake_has_failed(f->disk)) {
			assert_int_equal(rc, 0);
			break;
		}
		failed_count += rc != 0; /* not if one of two equal pages could not be read */
		assert_true(rc == 0 || f->error[0] != '\0');
		disk_fake_cut_power(f->disk);
		disk_fake_fail_after(f->disk, -1, 0);
		open_and_use(f);
		log_fixture_fini(f);
		free(f);
		setup(state);
		f = *state;
	}
	assert_true(failed_count >= 5);
}

/* An identity that the caller does not want is no reason to write. */
static int
refuse(void *context, const struct decree_uuid *uuid, const void *blob, uint32_t bytes, char *error)
{
	(void)context, (void)uuid, (void)blob, (void)bytes;
	strcpy(error, "another cluster's");
	return -EXDEV;
}

static void
test_a_log_of_somebody_else_is_left_alone(void **state)
{
	struct log_fixture *f = *state;
	const struct wal_recovery to = { .identity = refuse };

	assert_int_equal(wal_prewrite(&disk_fake_ops, f->disk, &to, f->error), -EXDEV);
	assert_string_equal(f->error, "another cluster's");
	assert_int_equal(log_fixture_open(f), 0);
	assert_true(wal_log_ops.room(f->wal).space_record_count_unprepared > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, log_fixture_teardown)
		T(test_all_of_its_space_is_ready),
		T(test_a_log_that_was_used_is_left_alone),
		T(test_an_end_in_the_middle_leaves_a_new_log),
		T(test_a_log_of_somebody_else_is_left_alone),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
