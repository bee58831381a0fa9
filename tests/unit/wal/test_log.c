/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard's loop relies on: order, durability, room, reads, hard state, and a clean stop after
 * a failure. */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/identifier.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct disk_fake_config calm = {
	.seed = 1, .latency_ns_min = 50, .latency_ns_max = 50, .reap_ns = 10
};

static int
setup(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	log_fixture_init(f, &calm);
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	*state = f;
	return 0;
}

static void
reopen(struct log_fixture *f)
{
	disk_fake_kill_process(f->disk);
	log_fixture_abandon(f);
	if (log_fixture_open(f) != 0)
		fail_msg("%s", f->error);
}

/* Every size up to the largest, so that each count of sectors and each way to end a segment occurs. */
static void
test_records_of_every_size_come_back_in_order(void **state)
{
	struct log_fixture *f = *state;
	uint64_t last = 0, count = 0;

	for (uint32_t bytes = 0; bytes <= FIXTURE_PAYLOAD_BYTES_MAX; bytes += 13) {
		struct log_place place = log_fixture_append(f, count, bytes);

		assert_int_equal(place.lsn, last + 1);
		assert_true(place.position != 0);
		last = place.lsn;
		count++;
		log_fixture_settle(f, last);
		log_fixture_turn(f); /* let pre-writing keep up */
	}
	reopen(f);
	assert_int_equal(f->found_count, count);
	assert_int_equal(f->wrong_count, 0);
	for (uint32_t i = 0; i < f->found_count; i++) {
		assert_int_equal(f->found_numbers[i], i);
		assert_int_equal(f->found_lsns[i], i + 1);
	}
}

static void
test_appends_continue_after_a_restart(void **state)
{
	struct log_fixture *f = *state;

	for (uint64_t number = 0; number < 60; number++) {
		struct log_place place = log_fixture_append(f, number, 100);

		assert_int_equal(place.lsn, number + 1);
		log_fixture_settle(f, place.lsn);
		if (number % 7 == 0)
			reopen(f);
		if (number % 7 == 0)
			assert_int_equal(f->found_count, number + 1);
	}
	reopen(f);
	assert_int_equal(f->found_count, 60);
	assert_int_equal(f->wrong_count, 0);
}

/* Group commit: everything appended in a turn is one write. */
static void
test_a_burst_is_one_contiguous_write(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;

	for (uint64_t number = 0; number < 8; number++)
		assert_int_equal(log_fixture_append(f, number, 100).lsn, number + 1);
	assert_false(wal_log_ops.is_idle(f->wal));
	log_fixture_settle(f, 8);
	assert_true(wal_log_ops.is_idle(f->wal));
	wal_status(f->wal, &status);
	assert_int_equal(status.write_count, 1);
	assert_int_equal(status.write_bytes, 8 * 512);
}

/* A new log is not half full because half of it is not prepared yet: its owner would cut snapshots
 * for nothing. */
static void
test_what_is_not_prepared_yet_is_not_used(void **state)
{
	struct log_fixture *f = *state;
	struct log_room first = wal_log_ops.room(f->wal), last;

	assert_true(first.space_record_count < first.space_record_count_max / 2);
	assert_true(first.space_record_count_unprepared > 0);
	log_fixture_idle(f);
	last = wal_log_ops.room(f->wal);
	assert_int_equal(last.space_record_count_unprepared, 0);
	assert_int_equal(first.space_record_count + first.space_record_count_unprepared,
		last.space_record_count);
}

/* A caller that stays within room() never sees a short append, until the log is full; then it is
 * told so. */
static void
test_room_is_honest_until_the_log_is_full(void **state)
{
	struct log_fixture *f = *state;
	uint64_t number = 0;
	int patience = 0;

	while (patience < 300) {
		struct log_room room = wal_log_ops.room(f->wal);
		uint64_t n = room.buffer_record_count;

		if (room.space_record_count < n)
			n = room.space_record_count;
		for (uint64_t i = 0; i < n; i++) {
			uint32_t bytes = number % 3 == 0 ? FIXTURE_PAYLOAD_BYTES_MAX : 200;

			assert_int_equal(log_fixture_append(f, number, bytes).lsn, number + 1);
			number++;
		}
		patience = n > 0 ? 0 : patience + 1;
		log_fixture_turn(f);
	}
	assert_int_equal(f->durable_lsn, number);
	assert_int_equal(wal_log_ops.room(f->wal).space_record_count, 0);
	assert_true(number > 200);
	reopen(f);
	assert_int_equal(f->found_count, number);
	assert_int_equal(f->wrong_count, 0);
	assert_int_equal(wal_log_ops.room(f->wal).space_record_count, 0);
}

/* Identifiers tell rot from a torn tail: 8 ms later they are all written. */
static void
test_identifiers_follow_soon_after_silence(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;

	for (uint64_t number = 0; number < 5; number++)
		log_fixture_append(f, number, 100);
	log_fixture_settle(f, 5);
	wal_status(f->wal, &status);
	assert_int_equal(status.lsn_identified, 0);
	for (int turn = 0; turn < 450; turn++) /* 9 ms */
		log_fixture_turn(f);
	wal_status(f->wal, &status);
	assert_int_equal(status.lsn_identified, 5);
}

static uint64_t
writes_after(struct log_fixture *f, uint64_t *number, uint32_t record_count)
{
	struct wal_status status;

	for (uint32_t i = 0; i < record_count; i++)
		assert_true(log_fixture_append(f, (*number)++, FIXTURE_PAYLOAD_BYTES_MAX).lsn > 0);
	wal_log_ops.submit(f->wal, 1);
	wal_status(f->wal, &status);
	return status.write_count;
}

/* What waits for a write becomes one write, unless it is so large that the disk should not idle
 * meanwhile. */
static void
test_only_a_large_write_goes_out_beside_another(void **state)
{
	struct log_fixture *f = *state;
	uint64_t number = 0;

	log_fixture_fini(f);
	log_fixture_init(f, &calm);
	f->format.log_bytes = 32 << 20;
	f->format.segment_bytes = 8 << 20;
	f->format.window_bytes = 4 << 20;
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(writes_after(f, &number, 1), 1);
	assert_int_equal(writes_after(f, &number, 600), 1); /* of 1,536 bytes: less than 1 MiB */
	assert_int_equal(writes_after(f, &number, 100), 2);
	assert_int_equal(writes_after(f, &number, 800), 2); /* large, but the third */
	log_fixture_settle(f, number);
	assert_int_equal(f->durable_lsn, number);
	reopen(f);
	assert_int_equal(f->found_count, number);
	assert_int_equal(f->wrong_count, 0);
}

/* While the log is in use its space is prepared at a sixteenth of the rate, which must not be none. */
static void
test_hardly_any_prewriting_is_some(void **state)
{
	struct log_fixture *f = *state;

	log_fixture_fini(f);
	log_fixture_init(f, &calm);
	f->cfg.prewrite_bytes_per_second = 1;
	f->format.log_bytes = 1 << 20;
	f->format.segment_bytes = 256 << 10;
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	log_fixture_append(f, 0, 100);
	log_fixture_settle(f, 1);
}

/* On a device with FUA no flush of a data write carries anything along: what goes out beside data
 * is durable by itself, or a power cut could take the proof that a record of long ago was
 * durable. */
static void
test_identifiers_beside_data_do_not_wait_for_a_flush(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;
	const uint8_t *entries;

	log_fixture_abandon(f);
	f->cfg.flushes_own_only = true;
	assert_int_equal(log_fixture_open(f), 0);
	for (uint64_t number = 0; number < 300; number++) { /* 6 ms, and never idle */
		log_fixture_append(f, number, 100);
		log_fixture_turn(f);
	}
	wal_status(f->wal, &status);
	assert_true(status.lsn_identified >= 200);
	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
	entries = disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL);
	for (uint64_t lsn = 1; lsn <= status.lsn_identified; lsn++)
		assert_int_equal(load_u64(entries + (lsn - 1) * IDENTIFIER_BYTES), lsn);
}

/* Where one command comes at a time, a write of data each 2 ms here, identifiers and pre-writing
 * cost no system call of their own. */
static void
test_what_is_not_urgent_goes_with_data(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;

	log_fixture_idle(f); /* a log as small as this one is pre-written in haste */
	for (uint64_t number = 0; number < 100; number++) {
		log_fixture_append(f, number, 100);
		log_fixture_turn(f);
		for (int turn = 0; turn < 99; turn++) {
			uint64_t requests = disk_fake_call_count(f->disk);

			log_fixture_turn(f);
			assert_int_equal(disk_fake_call_count(f->disk), requests);
		}
	}
	wal_status(f->wal, &status);
	assert_int_equal(status.lsn_durable, 100);
	assert_true(status.lsn_identified >= 90);
}

/* 240 KB each 4 ms, where pre-writing may go on with 128 MiB/s: one piece of 128 KiB with each
 * write would not do. */
static void
test_a_head_that_comes_close_is_not_waited_for(void **state)
{
	static const struct disk_fake_config slow = {
		.seed = 1, .latency_ns_min = 1000000, .latency_ns_max = 1000000, .reap_ns = 20000
	};
	struct log_fixture *f = *state;
	uint64_t number = 0;

	log_fixture_fini(f);
	log_fixture_init(f, &slow);
	f->cfg.prewrite_bytes_per_second = 128 << 20;
	f->format.log_bytes = 32 << 20;
	f->format.segment_bytes = 4 << 20;
	f->format.window_bytes = 1 << 20;
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	for (uint32_t burst = 0; burst < 50; burst++) {
		for (uint32_t i = 0; i < 160; i++)
			assert_int_equal(log_fixture_append(f, number, 1300).lsn, number + 1),
				number++;
		log_fixture_settle(f, number);
		for (uint32_t turn = 0; turn < 150; turn++) /* 3 ms */
			log_fixture_turn(f);
	}
}

static void
test_hard_state_survives_and_the_newest_wins(void **state)
{
	struct log_fixture *f = *state;

	assert_int_equal(f->found_meta_generation, 0);
	assert_int_equal(wal_log_ops.meta(f->wal, "aaa", 3), 1);
	log_fixture_turn(f);
	assert_int_equal(wal_log_ops.meta(f->wal, "bbb", 3), 2);
	assert_int_equal(wal_log_ops.meta(f->wal, "ccc", 3), 3);
	while (f->meta_generation < 3)
		log_fixture_turn(f);
	reopen(f);
	assert_int_equal(f->found_meta_generation, 3);
	assert_int_equal(f->found_meta_bytes, 3);
	assert_memory_equal(f->found_meta, "ccc", 3);
	assert_int_equal(wal_log_ops.meta(f->wal, "ddd", 3), 4);
}

/* From the write buffer, from the disk, and nothing for a position that was never given out. */
static void
test_reads_return_the_record_wherever_it_lies(void **state)
{
	struct log_fixture *f = *state;
	struct log_place places[40];
	uint8_t expected[FIXTURE_PAYLOAD_BYTES_MAX];

	for (uint64_t number = 0; number < 40; number++) {
		places[number] = log_fixture_append(f, number, 1000);
		log_fixture_settle(f, places[number].lsn);
	}
	for (uint64_t number = 0; number < 40; number++) {
		memset(&f->read, 0, sizeof(f->read));
		assert_int_equal(wal_log_ops.read(f->wal, places[number].position, 77 + number), 0);
		for (int turn = 0; turn < 50 && f->read.kind == 0; turn++)
			log_fixture_turn(f);
		assert_int_equal(f->read.kind, LOG_READ);
		assert_int_equal(f->read.rc, 0);
		assert_int_equal(f->read.token, 77 + number);
		assert_int_equal(f->read.lsn, places[number].lsn);
		log_fixture_payload(number, 1000, expected);
		assert_memory_equal(f->read_payload, expected, 1000);
	}
	assert_int_equal(wal_log_ops.read(f->wal, places[39].position + (1 << 20), 1), 0);
	log_fixture_turn(f);
	assert_int_equal(f->read.rc, -EIO);
	assert_int_equal(wal_log_ops.read(f->wal, places[3].position + 512, 1), 0);
	for (int turn = 0; turn < 20; turn++)
		log_fixture_turn(f);
	assert_int_equal(f->read.rc, -EBADMSG);
}

/* Protocol 11.6: after a failed write nothing is retried, accepted or reported. */
static void
test_a_failed_write_poisons_once_and_for_all(void **state)
{
	struct log_fixture *f = *state;
	struct log_completion done[8];

	log_fixture_append(f, 0, 100);
	disk_fake_fail_after(f->disk, 0, -EIO);
	log_fixture_settle(f, 1);
	assert_int_equal(f->failed_rc, -EIO);
	assert_int_equal(f->durable_lsn, 0);
	assert_int_equal(log_fixture_append(f, 1, 100).lsn, 0);
	assert_int_equal(wal_log_ops.room(f->wal).buffer_record_count, 0);
	for (int turn = 0; turn < 20; turn++) {
		wal_log_ops.submit(f->wal, f->now_ns += 1000000);
		assert_int_equal(wal_log_ops.reap(f->wal, f->now_ns, done, 8), 0);
	}
}

/* Nothing more is asked of the disk, however often the loop comes round. */
static void
assert_silence(struct log_fixture *f)
{
	uint64_t calls = disk_fake_call_count(f->disk);

	for (int turn = 0; turn < 20; turn++)
		log_fixture_turn(f);
	assert_int_equal(disk_fake_call_count(f->disk), calls);
	assert_int_equal(f->durable_lsn, 0);
	assert_int_equal(f->meta_generation, 0);
}

/* Errors that elsewhere mean "once more", and that of a request whose chain was cut, are errors. */
static void
test_no_failure_is_tried_again(void **state)
{
	static const int errors[] = { EIO, ECANCELED, EAGAIN, EINTR, ENOSPC, EROFS };
	struct log_fixture *f = *state;

	for (uint32_t i = 0; i < 2 * sizeof(errors) / sizeof(errors[0]); i++) {
		f->failed_rc = 0;
		if (i % 2 == 0)
			log_fixture_append(f, 0, 100);
		else
			(void)wal_log_ops.meta(f->wal, "hard", 4);
		disk_fake_fail_after(f->disk, 0, -errors[i / 2]);
		for (int turn = 0; turn < 20 && f->failed_rc == 0; turn++)
			log_fixture_turn(f);
		assert_int_equal(f->failed_rc, -errors[i / 2]);
		assert_silence(f);
		log_fixture_abandon(f);
		disk_fake_cut_power(f->disk);
		disk_fake_fail_after(f->disk, -1, 0);
		assert_int_equal(log_fixture_open(f), 0);
	}
}

/* Nothing waits for them, but what the disk says is said of all that it holds. */
static void
test_failed_identifiers_poison_as_well(void **state)
{
	struct log_fixture *f = *state;

	log_fixture_abandon(f);
	disk_fake_kill_process(f->disk);
	f->cfg.prewrite_bytes_per_second = 1024; /* only identifiers are written, as good as */
	assert_int_equal(log_fixture_open(f), 0);
	log_fixture_append(f, 0, 100);
	log_fixture_settle(f, 1);
	disk_fake_fail_after(f->disk, 0, -EIO);
	for (int turn = 0; turn < 600 && f->failed_rc == 0; turn++)
		log_fixture_turn(f);
	assert_int_equal(f->failed_rc, -EIO);
	f->durable_lsn = 0;
	assert_silence(f);
}

static void
test_a_short_write_is_a_failed_write(void **state)
{
	struct log_fixture *f = *state;

	log_fixture_append(f, 0, 1000);
	disk_fake_fail_after(f->disk, 0, 512);
	log_fixture_settle(f, 1);
	assert_int_equal(f->failed_rc, -EIO);
	assert_silence(f);
}

static void
test_an_orderly_close_leaves_nothing_behind(void **state)
{
	struct log_fixture *f = *state;

	for (uint64_t number = 0; number < 9; number++)
		log_fixture_append(f, number, 300);
	wal_log_ops.meta(f->wal, "zzz", 3);
	wal_close(f->wal);
	f->wal = NULL;
	disk_fake_cut_power(f->disk);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(f->found_count, 9);
	assert_memory_equal(f->found_meta, "zzz", 3);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, log_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_records_of_every_size_come_back_in_order),
		T(test_appends_continue_after_a_restart),
		T(test_a_burst_is_one_contiguous_write),
		T(test_what_is_not_prepared_yet_is_not_used),
		T(test_room_is_honest_until_the_log_is_full),
		T(test_identifiers_follow_soon_after_silence),
		T(test_only_a_large_write_goes_out_beside_another),
		T(test_hardly_any_prewriting_is_some),
		T(test_identifiers_beside_data_do_not_wait_for_a_flush),
		T(test_what_is_not_urgent_goes_with_data),
		T(test_a_head_that_comes_close_is_not_waited_for),
		T(test_hard_state_survives_and_the_newest_wins),
		T(test_reads_return_the_record_wherever_it_lies),
		T(test_a_failed_write_poisons_once_and_for_all),
		T(test_no_failure_is_tried_again),
		T(test_failed_identifiers_poison_as_well),
		T(test_a_short_write_is_a_failed_write),
		T(test_an_orderly_close_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
