/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scrubber over a log that is open: whatever rots on the disk is told with the name that is
 * left of it, within one pass and in every pass; what is whole never is; and identifiers are
 * written again from their blocks.
 */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD_COUNT 150 /* more than memory has identifiers of */
#define OLD          20  /* one that only the disk names */
#define RECENT       120 /* one that memory names, too */
#define RATE         (1ull << 20)
#define MS           1000000ull

static uint8_t *
segments(struct log_fixture *f)
{
	return disk_fake_data(f->disk, DISK_SEGMENTS, NULL);
}

static uint8_t *
entry(struct log_fixture *f, uint64_t number)
{
	return disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL) + number * IDENTIFIER_BYTES;
}

/* Where record @p number lies, as its identifier says. */
static uint64_t
offset_of(struct log_fixture *f, uint64_t number)
{
	return load_u64(entry(f, number) + 8) % f->format.log_bytes;
}

static uint64_t
bytes_of(uint64_t number)
{
	return (uint64_t)block_sector_count(log_fixture_size(number)) * WAL_SECTOR_BYTES;
}

static void
append_one(struct log_fixture *f, uint64_t number)
{
	struct log_place place = log_fixture_append(f, number, log_fixture_size(number));

	assert_true(place.lsn != 0);
	wal_log_ops.submit(f->wal, f->now_ns);
	f->durable_lsn = 0;
	log_fixture_settle(f, place.lsn);
}

static struct wal_status
status_of(const struct log_fixture *f)
{
	struct wal_status status;

	wal_status(f->wal, &status);
	return status;
}

static int
setup(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	log_fixture_init(f, &log_fixture_calm);
	f->takes_damage = true;
	f->cfg.scrub_bytes_per_second = RATE;
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	*state = f;
	return 0;
}

static int
setup_full(void **state)
{
	(void)setup(state);
	for (uint64_t number = 0; number < RECORD_COUNT; number++)
		append_one(*state, number);
	log_fixture_idle(*state);
	return 0;
}

/* All that is there has been read again since now. */
static void
scrub(struct log_fixture *f)
{
	uint64_t until = status_of(f).scrub_pass_count + 2;

	for (int turn = 0; status_of(f).scrub_pass_count < until; turn++) {
		assert_true(turn < 200000);
		f->now_ns += MS;
		log_fixture_turn(f);
		assert_int_equal(f->failed_rc, 0);
	}
}

/* At least one pass was whole after the damage was there, and at most another one saw some of it. */
static void
assert_only_report(struct log_fixture *f, uint64_t lsn, uint64_t number)
{
	assert_in_range(f->report_count, 1, 2);
	for (uint32_t i = 0; i < f->report_count; i++) {
		assert_int_equal(f->reports[i].lsn, lsn);
		assert_int_equal(f->report_numbers[i], number);
	}
}

static void
reopen(struct log_fixture *f)
{
	log_fixture_idle(f);
	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
	if (log_fixture_open(f) != 0)
		fail_msg("%s", f->error);
}

/* ---- what is whole ---- */

static void
test_a_log_without_damage_is_read_in_silence(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;

	scrub(f);
	status = status_of(f);
	assert_int_equal(f->report_count, 0);
	assert_int_equal(status.scrub_identifier_count, 0);
	assert_true(status.scrub_bytes >= status.used_bytes);
}

static void
test_an_empty_log_has_nothing_to_read(void **state)
{
	struct log_fixture *f = *state;

	scrub(f);
	assert_int_equal(f->report_count, 0);
	assert_int_equal(status_of(f).scrub_bytes, 0);
}

/* Over many laps, with the log let go behind it, the scrubber is overtaken again and again, and
 * never wrong. */
static void
test_a_log_in_use_is_read_in_silence(void **state)
{
	struct log_fixture *f = *state;

	for (uint64_t number = 0; number < 3000; number++) {
		append_one(f, number);
		if (number > 100)
			wal_log_ops.trim(f->wal, number - 100);
		f->now_ns += number % 7 * MS;
		log_fixture_turn(f);
	}
	scrub(f);
	assert_int_equal(f->report_count, 0);
	assert_int_equal(status_of(f).scrub_identifier_count, 0);
	assert_true(status_of(f).used_bytes < f->format.log_bytes);
}

static void
test_it_keeps_to_its_rate(void **state)
{
	struct log_fixture *f = *state;
	uint64_t before = status_of(f).scrub_bytes;
	uint64_t rate =
		16
		<< 10; /* the log is 170 KiB: a pass takes ten times as long as the pause after it */

	f->wal->scrub.bytes_per_second = rate;
	for (int ms = 0; ms < 10000; ms++) {
		f->now_ns += MS;
		log_fixture_turn(f);
	}
	assert_true(status_of(f).scrub_bytes > before);
	assert_true(status_of(f).scrub_bytes <=
		    before + 10 * rate + SCRUB_PIECE_BYTES + SCRUB_ENTRIES_BYTES);
}

static void
test_it_can_be_off(void **state)
{
	struct log_fixture *f = *state;

	f->cfg.scrub_bytes_per_second = 0;
	reopen(f);
	for (int ms = 0; ms < 3000; ms++) {
		f->now_ns += MS;
		log_fixture_turn(f);
	}
	assert_int_equal(status_of(f).scrub_bytes, 0);
}

/* ---- what is not ---- */

static void
test_memory_names_what_has_rotten(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(f, RECENT), 0xee, bytes_of(RECENT));
	scrub(f);
	assert_only_report(f, RECENT + 1, RECENT);
	assert_int_equal(f->reports[0].position % f->format.log_bytes, offset_of(f, RECENT));
	assert_int_equal(f->reports[0].after - f->reports[0].position, bytes_of(RECENT));
}

static void
test_an_identifier_names_what_has_rotten(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(f, OLD), 0xee, bytes_of(OLD));
	scrub(f);
	assert_only_report(f, OLD + 1, OLD);
}

/* Every pass says it again: whoever could not repair it then tries again. */
static void
test_damage_is_told_in_every_pass(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(f, OLD), 0xee, bytes_of(OLD));
	for (int i = 0; i < 3; i++) {
		f->report_count = 0;
		scrub(f);
		assert_only_report(f, OLD + 1, OLD);
	}
}

static void
test_what_is_left_of_a_block_names_it(void **state)
{
	struct log_fixture *f = *state;
	uint64_t last = offset_of(f, OLD) + bytes_of(OLD) - 1;

	assert_int_equal(bytes_of(OLD), 3 * WAL_SECTOR_BYTES);
	memset(entry(f, OLD), 0, IDENTIFIER_BYTES);
	entry(f, OLD + 1)[40] ^= 1;
	segments(f)[last] ^= 1;
	segments(f)[offset_of(f, OLD + 2)] ^= 1;
	scrub(f);
	assert_in_range(f->report_count, 2, 4);
	assert_int_equal(f->reports[f->report_count - 2].lsn, OLD + 1);
	assert_int_equal(f->report_numbers[f->report_count - 2], OLD);
	assert_int_equal(f->report_numbers[f->report_count - 1], OLD + 2);
}

/* The first sector is gone; the last one repeats the name. */
static void
test_the_last_sector_names_a_block(void **state)
{
	struct log_fixture *f = *state;

	segments(f)[offset_of(f, OLD)] ^= 1;
	memset(entry(f, OLD), 0, IDENTIFIER_BYTES);
	scrub(f);
	assert_only_report(f, OLD + 1, OLD);
}

static void
test_what_nothing_names_is_told_as_a_range(void **state)
{
	struct log_fixture *f = *state;
	uint64_t first = offset_of(f, OLD), after = offset_of(f, OLD + 3);

	memset(segments(f) + first, 0xee, after - first);
	memset(entry(f, OLD), 0, 3 * IDENTIFIER_BYTES);
	scrub(f);
	assert_only_report(f, OLD + 3, UINT64_MAX);
	assert_int_equal(f->reports[0].position % f->format.log_bytes, first);
	assert_int_equal(f->reports[0].after % f->format.log_bytes, after);
}

/* Nothing intact follows, but where the log ends is known. */
static void
test_a_hole_may_reach_the_end(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;

	reopen(f); /* the identifiers of the first records are not in memory */
	f->cfg.scrub_bytes_per_second = RATE;
	status = status_of(f);
	memset(f->wal->identifiers.entries, 0, 64 * IDENTIFIER_BYTES);
	memset(segments(f) + offset_of(f, 140), 0, 64 << 10);
	memset(entry(f, 140), 0, 10 * IDENTIFIER_BYTES);
	scrub(f);
	assert_only_report(f, status.lsn_durable, UINT64_MAX);
}

/* Recovery has gone on behind a hole of which it knew neither name nor number, and has left numbers
 * out: the scrubber finds the same hole, and nothing behind it. */
static void
test_the_hole_that_recovery_left_is_no_larger(void **state)
{
	struct log_fixture *f = *state;
	uint64_t last = offset_of(f, RECORD_COUNT - 1);

	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
	memset(segments(f) + last, 0xee, bytes_of(RECORD_COUNT - 1));
	memset(entry(f, RECORD_COUNT - 1), 0, IDENTIFIER_BYTES);
	memset(entry(f, RECORD_COUNT + 29), 0xee, IDENTIFIER_BYTES);
	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(f->damaged_numbers[0], UINT64_MAX);
	for (uint64_t number = 0; number < 10; number++)
		append_one(f, number);
	log_fixture_idle(f);
	scrub(f);
	assert_in_range(f->report_count, 1, 2);
	assert_int_equal(f->report_numbers[0], UINT64_MAX);
	assert_int_equal(f->reports[0].position % f->format.log_bytes, last);
	assert_true(f->reports[0].after - f->reports[0].position <= 4 * WAL_SECTOR_BYTES);
}

static void
test_a_sector_that_cannot_be_read_is_damage(void **state)
{
	struct log_fixture *f = *state;

	disk_fake_spoil(f->disk, DISK_SEGMENTS, offset_of(f, OLD) + 512, 512);
	scrub(f);
	assert_only_report(f, OLD + 1, OLD);
}

static void
test_a_read_that_fails_once_is_none(void **state)
{
	struct log_fixture *f = *state;

	for (int64_t call = 0; call < 12; call++) {
		disk_fake_fail_after(f->disk, call, -EIO);
		while (!disk_fake_has_failed(f->disk))
			scrub(f);
		disk_fake_fail_after(f->disk, call, 512); /* short */
		while (!disk_fake_has_failed(f->disk))
			scrub(f);
	}
	assert_int_equal(f->report_count, 0);
}

/* What came wrong over the cable is read again, and the disk is fine. */
static void
test_a_block_that_came_wrong_once_is_none(void **state)
{
	struct log_fixture *f = *state;
	uint8_t *byte = segments(f) + offset_of(f, OLD);

	*byte ^= 1;
	while (!f->wal->scrub.is_careful) {
		f->now_ns += MS;
		log_fixture_turn(f);
	}
	*byte ^= 1;
	scrub(f);
	assert_int_equal(f->report_count, 0);
}

/* Its checksums are right, and so are lsn and place: but it is not the block that was written
 * there. */
static void
test_a_block_out_of_its_chain_is_damage(void **state)
{
	struct log_fixture *f = *state;
	uint8_t payload[WAL_PAYLOAD_BYTES_MAX] = { 0 }, tag[LOG_TAG_BYTES] = { 0 };
	struct block_header h = {
		.lsn = OLD + 1,
		.position = f->format.log_bytes + offset_of(f, OLD),
		.durable_lsn = OLD,
		.previous = { 1, 2 },
		.generation = 1,
		.payload_bytes = (uint16_t)log_fixture_size(OLD),
		.kind = BLOCK_RECORD,
	};
	struct sector_ring at = { segments(f), (uint32_t)f->format.log_bytes,
		(uint32_t)offset_of(f, OLD) };
	struct decree_digest digest;

	block_encode(&f->wal->seal, &h, tag, payload, at, &digest);
	scrub(f);
	assert_only_report(f, OLD + 1, OLD);
}

/* The rest of a segment that the next record did not fit is nobody's. */
static void
test_rot_in_a_gap_is_harmless(void **state)
{
	struct log_fixture *f = *state;
	uint64_t number = 0;

	while (offset_of(f, number) + bytes_of(number) == offset_of(f, number + 1))
		number++;
	assert_true(number < RECORD_COUNT - 1);
	segments(f)[offset_of(f, number + 1) - 1] ^= 1;
	scrub(f);
	assert_int_equal(f->report_count, 0);
	memset(entry(f, number + 1), 0, IDENTIFIER_BYTES);
	scrub(f);
	assert_int_equal(f->report_count, 0);
}

/* ---- identifiers ---- */

static void
test_identifiers_are_written_again(void **state)
{
	struct log_fixture *f = *state;
	uint8_t before[RECORD_COUNT * IDENTIFIER_BYTES];

	memcpy(before, entry(f, 0), sizeof(before));
	memset(entry(f, 3), 0xee, 40 * IDENTIFIER_BYTES);
	memset(entry(f, 100), 0, 20 * IDENTIFIER_BYTES);
	entry(f, 77)[0] ^= 1;
	scrub(f);
	assert_int_equal(f->report_count, 0);
	assert_int_equal(status_of(f).scrub_identifier_count, 61);
	assert_memory_equal(entry(f, 0), before, sizeof(before));
}

static void
test_identifiers_that_cannot_be_read_are_written_again(void **state)
{
	struct log_fixture *f = *state;
	uint8_t before[RECORD_COUNT * IDENTIFIER_BYTES];

	memcpy(before, entry(f, 0), sizeof(before));
	disk_fake_spoil(f->disk, DISK_IDENTIFIERS, 5 * 512, 512);
	scrub(f);
	disk_fake_spoil(f->disk, DISK_IDENTIFIERS, 0, 0);
	assert_true(status_of(f).scrub_identifier_count >= 4);
	assert_memory_equal(entry(f, 0), before, sizeof(before));
	assert_int_equal(f->report_count, 0);
}

/* What memory knows of a block that is lost goes to the disk, for the next recovery to find. */
static void
test_a_name_outlives_its_block_and_its_identifier(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(f, RECENT), 0xee, bytes_of(RECENT));
	memset(entry(f, RECENT), 0, IDENTIFIER_BYTES);
	scrub(f);
	reopen(f);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], RECENT);
}

/* A write that fails poisons the log, whatever it was for. */
static void
test_a_repair_that_fails_poisons_the_log(void **state)
{
	struct log_fixture *f = *state;
	uint64_t writes = 0;

	entry(f, 7)[0] ^= 1;
	for (int turn = 0; f->failed_rc == 0; turn++) {
		assert_true(turn < 200000);
		if (f->wal->scrub.dirty_first != f->wal->scrub.dirty_after && writes++ == 0)
			disk_fake_fail_after(f->disk, 0, -EIO);
		f->now_ns += MS;
		log_fixture_turn(f);
	}
	assert_int_equal(f->failed_rc, -EIO);
}

/* ---- everything ---- */

/* Of the log's first ten blocks, each byte: the block is told by its name, once in every pass. */
static void
test_no_byte_rots_unnoticed(void **state)
{
	struct log_fixture *f = *state;

	for (uint64_t number = 0; number < 10; number++)
		for (uint64_t at = 0; at < bytes_of(number); at += 5) {
			uint8_t *byte = segments(f) + offset_of(f, number) + at;

			*byte ^= 0x10;
			f->report_count = 0;
			scrub(f);
			assert_only_report(f, number + 1, number);
			*byte ^= 0x10;
		}
	scrub(f);
	f->report_count = 0;
	scrub(f);
	assert_int_equal(f->report_count, 0);
}

static void
test_every_byte_of_an_identifier_is_mended(void **state)
{
	struct log_fixture *f = *state;
	uint8_t before[4 * IDENTIFIER_BYTES];

	memcpy(before, entry(f, OLD), sizeof(before));
	for (uint64_t at = 0; at < sizeof(before); at++) {
		entry(f, OLD)[at] ^= 0x10;
		scrub(f);
		assert_memory_equal(entry(f, OLD), before, sizeof(before));
	}
	assert_int_equal(f->report_count, 0);
}

int
main(void)
{
#define FULL(test) cmocka_unit_test_setup_teardown(test, setup_full, log_fixture_teardown)
	const struct CMUnitTest tests[] = {
		FULL(test_a_log_without_damage_is_read_in_silence),
		cmocka_unit_test_setup_teardown(
			test_an_empty_log_has_nothing_to_read, setup, log_fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_log_in_use_is_read_in_silence, setup, log_fixture_teardown),
		FULL(test_it_keeps_to_its_rate),
		FULL(test_it_can_be_off),
		FULL(test_memory_names_what_has_rotten),
		FULL(test_an_identifier_names_what_has_rotten),
		FULL(test_damage_is_told_in_every_pass),
		FULL(test_what_is_left_of_a_block_names_it),
		FULL(test_the_last_sector_names_a_block),
		FULL(test_what_nothing_names_is_told_as_a_range),
		FULL(test_a_hole_may_reach_the_end),
		FULL(test_the_hole_that_recovery_left_is_no_larger),
		FULL(test_a_sector_that_cannot_be_read_is_damage),
		FULL(test_a_read_that_fails_once_is_none),
		FULL(test_a_block_that_came_wrong_once_is_none),
		FULL(test_a_block_out_of_its_chain_is_damage),
		FULL(test_rot_in_a_gap_is_harmless),
		FULL(test_identifiers_are_written_again),
		FULL(test_identifiers_that_cannot_be_read_are_written_again),
		FULL(test_a_name_outlives_its_block_and_its_identifier),
		FULL(test_a_repair_that_fails_poisons_the_log),
		FULL(test_no_byte_rots_unnoticed),
		FULL(test_every_byte_of_an_identifier_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
