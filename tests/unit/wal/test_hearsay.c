/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hearsay: the caller finds what it gave last, or before that, or nothing. It never finds
 * anything else, and a log opens whatever became of it.
 */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOB_BYTES LOG_HEARSAY_BYTES_MAX
#define ROUNDS     200

static int
setup(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	log_fixture_init(
		f, &(struct disk_fake_config){
			   .seed = 1, .latency_ns_min = 10, .latency_ns_max = 50, .reap_ns = 10 });
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	*state = f;
	return 0;
}

/* Its number in every word. */
static void
say(struct log_fixture *f, uint64_t number)
{
	static uint8_t blob[BLOB_BYTES];

	for (uint32_t i = 0; i < BLOB_BYTES; i += 8)
		store_u64(blob + i, number);
	wal_log_ops.hearsay(f->wal, blob, BLOB_BYTES);
}

static void
say_and_wait(struct log_fixture *f, uint64_t number)
{
	say(f, number);
	do
		log_fixture_turn(f);
	while (f->wal->hearsay.is_writing || f->wal->hearsay.is_pending);
}

static void
start_again(struct log_fixture *f, bool is_power_cut)
{
	if (is_power_cut)
		disk_fake_cut_power(f->disk);
	else
		disk_fake_kill_process(f->disk);
	log_fixture_abandon(f);
	assert_int_equal(log_fixture_open(f), 0);
}

static void
test_the_last_one_is_found(void **state)
{
	struct log_fixture *f = *state;

	start_again(f, true);
	assert_int_equal(f->found_hearsay_count, 0); /* nobody has said anything */
	for (uint64_t number = 1; number <= 3; number++) {
		say_and_wait(f, number);
		start_again(f, true);
		assert_int_equal(f->found_hearsay_count, 1);
		assert_int_equal(f->found_hearsay_bytes, BLOB_BYTES);
		assert_int_equal(f->found_hearsay, number);
	}
	start_again(f, true); /* it has been found, and is still there */
	assert_int_equal(f->found_hearsay, 3);
}

/* Whoever closes a log in order loses nothing that it was given. */
static void
test_a_close_waits_for_it(void **state)
{
	struct log_fixture *f = *state;

	say(f, 7);
	wal_close(f->wal);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(f->found_hearsay, 7);
}

/* Of what comes during a write the newest is written next, and once. */
static void
test_requests_coalesce(void **state)
{
	struct log_fixture *f = *state;

	say(f, 1);
	log_fixture_turn(f);
	for (uint64_t number = 2; number <= 9; number++)
		say(f, number);
	say_and_wait(f, 10);
	assert_int_equal(f->wal->hearsay.generation, 2);
	start_again(f, true);
	assert_int_equal(f->found_hearsay, 10);
}

/* A power cut tears the copy that is being written: the other one is whole, and it is the newest
 * that was. */
static void
test_a_torn_copy_is_not_the_only_one(void **state)
{
	struct log_fixture *f = *state;
	uint64_t durable = 1;

	say_and_wait(f, durable);
	for (uint64_t number = 2; number <= ROUNDS; number++) {
		say(f, number);
		for (uint64_t turns = number % 7; turns > 0; turns--)
			log_fixture_turn(f);
		if (!f->wal->hearsay.is_writing && !f->wal->hearsay.is_pending)
			durable = number;
		start_again(f, number % 5 != 0);
		assert_int_equal(f->found_hearsay_bytes, BLOB_BYTES);
		assert_int_equal(f->wrong_count, 0);
		assert_in_range(f->found_hearsay, durable, number);
		durable = f->found_hearsay;
	}
}

/* One byte, anywhere in either copy: the other one is found, and nothing else. */
static void
test_a_damaged_copy_is_not_believed(void **state)
{
	struct log_fixture *f = *state;

	say_and_wait(f, 1);
	say_and_wait(f, 2);
	for (uint64_t i = 8192; i < WAL_HARDSTATE_FILE_BYTES; i += 499) {
		disk_fake_flip(f->disk, DISK_HARDSTATE, i, 0x10);
		start_again(f, true);
		assert_int_equal(f->found_hearsay_bytes, BLOB_BYTES);
		assert_in_range(f->found_hearsay, 1, 2);
		disk_fake_flip(f->disk, DISK_HARDSTATE, i, 0x10);
	}
}

/* It is forgotten, and said to be; the log opens, and what comes next is kept again. */
static void
test_two_damaged_copies_stop_nobody(void **state)
{
	struct log_fixture *f = *state;

	say_and_wait(f, 1);
	say_and_wait(f, 2);
	for (int how = 0; how < 2; how++) {
		if (how == 0)
			for (int copy = 0; copy < 2; copy++)
				disk_fake_flip(f->disk, DISK_HARDSTATE,
					page_hearsay.offset_bytes[copy] + 99, 1);
		else
			disk_fake_spoil(f->disk, DISK_HARDSTATE, 8192, 2 * PAGE_HEARSAY_BYTES);
		start_again(f, true);
		assert_int_equal(f->found_hearsay_count, 1);
		assert_int_equal(f->found_hearsay_bytes, 0);
		disk_fake_spoil(f->disk, DISK_HARDSTATE, 0, 0);
		say_and_wait(f, 3);
		say_and_wait(f, 4);
		start_again(f, true);
		assert_int_equal(f->found_hearsay, 4);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, log_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_last_one_is_found),
		T(test_a_close_waits_for_it),
		T(test_requests_coalesce),
		T(test_a_torn_copy_is_not_the_only_one),
		T(test_a_damaged_copy_is_not_believed),
		T(test_two_damaged_copies_stop_nobody),
	};

	return cmocka_run_group_tests_name("wal_hearsay", tests, NULL, NULL);
}
