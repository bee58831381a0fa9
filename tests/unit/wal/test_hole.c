/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery around damage (protocol 11.3): each row of the table in wal/hole.c, and then every byte
 * and every sector of a log. Whatever is done to a log whose records were durable, each of them is
 * handed over whole, or as damaged with its own name, or as one of a nameless hole: never a wrong
 * one, never one fewer. And so it is again after a restart.
 */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD_COUNT 12

static uint64_t
offset_of(uint64_t number)
{
	uint64_t offset = 0;

	for (uint64_t i = 0; i < number; i++)
		offset += block_sector_count(log_fixture_size(i)) * WAL_SECTOR_BYTES;
	return offset;
}

static uint8_t *
segments(struct log_fixture *f)
{
	return disk_fake_data(f->disk, DISK_SEGMENTS, NULL);
}

static void
append_all(struct log_fixture *f, uint64_t first, uint64_t count)
{
	struct log_place place = { 0 };

	for (uint64_t number = first; number < first + count; number++) {
		place = log_fixture_append(f, number, log_fixture_size(number % RECORD_COUNT));
		wal_log_ops.submit(f->wal, f->now_ns);
		f->durable_lsn = 0;
		log_fixture_settle(f, place.lsn);
	}
}

static void
make_log(struct log_fixture *f, bool with_identifiers)
{
	log_fixture_init(f, &log_fixture_calm);
	f->takes_damage = true;
	f->format.log_bytes = 128 << 10;
	f->cfg.prewrite_bytes_per_second = 1; /* never: it would only slow these tests down */
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	append_all(f, 0, RECORD_COUNT);
	if (with_identifiers)
		log_fixture_idle(f);
	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
}

static int
setup(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	make_log(f, true);
	*state = f;
	return 0;
}

static int
setup_without_identifiers(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	make_log(f, false);
	*state = f;
	return 0;
}

static void
reopen(struct log_fixture *f)
{
	log_fixture_abandon(f);
	disk_fake_cut_power(f->disk);
	if (log_fixture_open(f) != 0)
		fail_msg("%s", f->error);
	assert_int_equal(f->wrong_count, 0);
}

static bool
was_found(const struct log_fixture *f, uint64_t number)
{
	for (uint32_t i = 0; i < f->found_count; i++)
		if (f->found_numbers[i] == number)
			return true;
	return false;
}

/* A nameless hole ends with an lsn, and begins behind whatever was handed over before. */
static bool
is_in_a_nameless_hole(const struct log_fixture *f, uint64_t lsn)
{
	for (uint32_t i = 0; i < f->damaged_count; i++)
		if (f->damaged_numbers[i] == UINT64_MAX && lsn <= f->damaged_lsns[i])
			return true;
	return false;
}

static bool
was_named(const struct log_fixture *f, uint64_t number)
{
	for (uint32_t i = 0; i < f->damaged_count; i++)
		if (f->damaged_numbers[i] == number)
			return true;
	return false;
}

/* Of the first records, which are records 0 .. of lsns 1 .., none is missing. */
static void
assert_complete(const struct log_fixture *f, const char *what, uint64_t where)
{
	for (uint64_t number = 0; number < RECORD_COUNT; number++)
		if (!was_found(f, number) && !was_named(f, number) &&
			!is_in_a_nameless_hole(f, number + 1))
			fail_msg("%s at %llu: record %llu is gone", what, (unsigned long long)where,
				(unsigned long long)number);
}

/* The log goes on: what is appended now is found by the next open, beside all that was found by
 * this one. */
static void
assert_goes_on(struct log_fixture *f)
{
	uint32_t found = f->found_count;

	append_all(f, 1000, 3);
	reopen(f);
	assert_int_equal(f->found_count, found + 3);
	for (uint64_t number = 1000; number < 1003; number++)
		assert_true(was_found(f, number));
	assert_complete(f, "second open", 0);
}

static void
open_with(struct log_fixture *f, const char *what, uint64_t where)
{
	if (log_fixture_open(f) != 0)
		fail_msg("%s at %llu: %s", what, (unsigned long long)where, f->error);
	assert_int_equal(f->wrong_count, 0);
	assert_complete(f, what, where);
}

/* ---- the rows of the table ---- */

static void
test_an_identifier_names_the_block(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(5), 0xee, offset_of(6) - offset_of(5));
	open_with(f, "rot", 5);
	assert_int_equal(f->found_count, RECORD_COUNT - 1);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], 5);
	assert_int_equal(f->damaged_lsns[0], 6);
	assert_goes_on(f);
	assert_int_equal(f->damaged_count, 1);
}

/* Zeros are what was never written, and yet it was. */
static void
test_a_lost_write_is_damage(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(11), 0, offset_of(12) - offset_of(11));
	open_with(f, "zeros", 11);
	assert_true(was_named(f, 11));
	assert_goes_on(f);
	assert_true(was_named(f, 11));
}

static void
test_the_first_sector_names_the_block(void **state)
{
	struct log_fixture *f = *state;

	segments(f)[offset_of(4) + WAL_SECTOR_BYTES + 9] ^= 1;
	open_with(f, "second sector", 4);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], 4);
	assert_goes_on(f);
	assert_true(was_named(f, 4));
}

static void
test_the_last_sector_names_the_block(void **state)
{
	struct log_fixture *f = *state;

	segments(f)[offset_of(4) + 9] ^= 1;
	open_with(f, "first sector", 4);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], 4);
	assert_goes_on(f);
}

/* The block behind it says that it was durable, and where the walk goes on. */
static void
test_a_block_of_which_nothing_is_left_is_nameless(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(4), 0, offset_of(6) - offset_of(4));
	open_with(f, "zeros", 4);
	assert_int_equal(f->found_count, RECORD_COUNT - 2);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], UINT64_MAX);
	assert_int_equal(f->damaged_lsns[0], 6);
	assert_goes_on(f);
}

/* The hole ends where identifiers know more. */
static void
test_an_identifier_ends_a_nameless_hole(void **state)
{
	struct log_fixture *f = *state;
	uint8_t *ids = disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL);

	memset(segments(f) + offset_of(4), 0, (128u << 10) - offset_of(4));
	memset(ids + 4 * IDENTIFIER_BYTES, 0, 3 * IDENTIFIER_BYTES);
	open_with(f, "zeros", 4);
	assert_int_equal(f->found_count, 4);
	assert_int_equal(f->damaged_numbers[0], UINT64_MAX);
	assert_int_equal(f->damaged_lsns[0], 7);
	assert_int_equal(f->damaged_numbers[1], 7);
	assert_int_equal(f->damaged_count, 1 + RECORD_COUNT - 7);
	assert_goes_on(f);
}

/* Nothing is known behind the hole, but the bytes in it are not those of a torn write. */
static void
test_a_bad_sector_at_the_end_is_sealed(void **state)
{
	struct log_fixture *f = *state;
	struct wal_status status;

	memset(segments(f) + offset_of(11), 0xee, offset_of(12) - offset_of(11));
	open_with(f, "rot", 11);
	assert_int_equal(f->found_count, RECORD_COUNT - 1);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], UINT64_MAX);
	wal_status(f->wal, &status);
	assert_int_equal(status.lsn_cut, 0);
	assert_true(segments(f)[offset_of(11)] == 0xee); /* evidence is not written over */
	assert_goes_on(f);
	assert_int_equal(f->damaged_count, 1);
}

/* Rot where nothing ever was, and nothing can have been, is nobody's. */
static void
test_rot_in_free_space_is_harmless(void **state)
{
	struct log_fixture *f = *state;

	memset(segments(f) + offset_of(12) + (8u << 10), 0xee, WAL_SECTOR_BYTES);
	open_with(f, "rot", 0);
	assert_int_equal(f->found_count, RECORD_COUNT);
	assert_int_equal(f->damaged_count, 0);
	assert_goes_on(f);
}

static void
test_a_misdirected_record_is_damage_where_it_lies(void **state)
{
	struct log_fixture *f = *state;

	assert_int_equal(offset_of(1), WAL_SECTOR_BYTES);
	assert_int_equal(offset_of(2), 2 * WAL_SECTOR_BYTES);
	memcpy(segments(f) + offset_of(1), segments(f), WAL_SECTOR_BYTES);
	open_with(f, "misdirected", 1);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], 1);
	assert_goes_on(f);
}

static void
forge_last_block(struct log_fixture *f, int what)
{
	struct wal_seal seal = wal_seal_of(&f->format.uuid);
	struct sector_ring at = {
		.base = segments(f), .bytes = 128 << 10, .offset = (uint32_t)offset_of(11)
	};
	uint8_t tag[LOG_TAG_BYTES], payload[4 * WAL_SECTOR_DATA_BYTES];
	struct decree_digest digest;
	struct block_header h;

	assert_int_equal(block_decode(&seal, at, 4, &h, tag, payload, &digest), BLOCK_VALID);
	h.previous.lo += what == 0;
	h.position += what == 1 ? WAL_SECTOR_BYTES : 0;
	h.generation += what == 2 ? 100 : 0;
	block_encode(&seal, &h, tag, payload, at, &digest);
}

/* Every checksum of the last block is right, and it cannot be what was written there. Nothing else
 * says that something was. */
static void
test_a_block_that_contradicts_itself_is_damage(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept = f->disk;

	for (int what = 0; what < 3; what++) {
		f->disk = disk_fake_copy(kept, 1);
		forge_last_block(f, what);
		memset(disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL), 0, 16 << 10);
		open_with(f, "contradiction", (uint64_t)what);
		assert_int_equal(f->damaged_count, 1);
		assert_int_equal(f->damaged_numbers[0], 11);
		assert_goes_on(f);
		assert_true(was_named(f, 11));
		log_fixture_abandon(f);
		disk_fake_destroy(f->disk);
	}
	f->disk = kept;
}

/* All that is left is a sector too far away to have been in flight together with what is missing.
 * It is not the first of its block, which would name a durable record by itself. */
static void
test_a_sector_beyond_the_window_is_evidence(void **state)
{
	struct log_fixture *f = *state;
	uint64_t number = RECORD_COUNT, first = offset_of(4), end = offset_of(12);
	uint8_t kept[WAL_SECTOR_BYTES];

	assert_int_equal(log_fixture_open(f), 0);
	append_all(f, RECORD_COUNT, 3 * RECORD_COUNT);
	while (end <= first + f->format.window_bytes ||
		block_sector_count(log_fixture_size((number - 1) % RECORD_COUNT)) < 2)
		end += block_sector_count(log_fixture_size(number++ % RECORD_COUNT)) *
		       WAL_SECTOR_BYTES;
	log_fixture_abandon(f);
	disk_fake_cut_power(f->disk);

	memcpy(kept, segments(f) + end - WAL_SECTOR_BYTES, WAL_SECTOR_BYTES);
	memset(segments(f) + first, 0, (128u << 10) - first);
	memset(disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL), 0, 16 << 10);
	memcpy(segments(f) + end - WAL_SECTOR_BYTES, kept, WAL_SECTOR_BYTES);
	open_with(f, "beyond the window", number);
	assert_int_equal(f->found_count, 4);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], UINT64_MAX);
	assert_int_equal(f->damaged_lsns[0], number);
	assert_goes_on(f);
}

/* A disk that cannot read some sectors: they are damaged, the others are not. */
static void
test_an_unreadable_sector_is_damage(void **state)
{
	struct log_fixture *f = *state;

	disk_fake_spoil(f->disk, DISK_SEGMENTS, offset_of(3), WAL_SECTOR_BYTES);
	open_with(f, "unreadable", 3);
	assert_int_equal(f->damaged_count, 1);
	assert_int_equal(f->damaged_numbers[0], 3);
	assert_int_equal(f->found_count, RECORD_COUNT - 1);
	assert_goes_on(f);
}

/* The log cannot begin with a block that is lost without a name, but it does not stay full for
 * that. */
static void
test_trimming_passes_a_segment_that_begins_with_damage(void **state)
{
	struct log_fixture f;
	struct wal_status status;
	uint64_t number = 0, damaged_lsn;

	(void)state;
	log_fixture_init(&f, &log_fixture_calm);
	f.takes_damage = true;
	assert_int_equal(wal_format(&disk_fake_ops, f.disk, &f.format, f.error), 0);
	assert_int_equal(log_fixture_open(&f), 0);
	while (wal_status(f.wal, &status), status.used_bytes < 150 << 10)
		append_all(&f, number++, 1);
	memset(segments(&f) + (64 << 10) - 3 * WAL_SECTOR_BYTES, 0xee, 8 * WAL_SECTOR_BYTES);
	memset(disk_fake_data(f.disk, DISK_IDENTIFIERS, NULL), 0xee, 16 << 10);
	reopen(&f);
	assert_true(f.damaged_count > 0);
	damaged_lsn = f.damaged_lsns[f.damaged_count - 1];
	append_all(&f, number++, 1);
	wal_log_ops.trim(f.wal, damaged_lsn + 100);
	log_fixture_idle(&f);
	wal_status(f.wal, &status);
	assert_true(status.lsn_first > damaged_lsn);
	reopen(&f);
	assert_int_equal(f.damaged_count, 0);
	log_fixture_fini(&f);
}

/* ---- everything ---- */

static void
try_copy(
	struct log_fixture *f, struct disk_fake *kept, const char *what, uint64_t where, bool again)
{
	open_with(f, what, where);
	if (again)
		assert_goes_on(f);
	log_fixture_abandon(f);
	disk_fake_destroy(f->disk);
	f->disk = kept;
}

static void
flip_all(struct log_fixture *f)
{
	struct disk_fake *kept = f->disk;

	for (uint64_t i = 0; i < offset_of(12) + 2048; i++) {
		f->disk = disk_fake_copy(kept, 1);
		disk_fake_flip(f->disk, DISK_SEGMENTS, i, (uint8_t)(1u << i % 8));
		try_copy(f, kept, "flipped byte", i, i % 61 == 0);
	}
	for (uint64_t i = 0; i < (RECORD_COUNT + 8) * IDENTIFIER_BYTES; i++) {
		f->disk = disk_fake_copy(kept, 1);
		disk_fake_flip(f->disk, DISK_IDENTIFIERS, i, 0x04);
		try_copy(f, kept, "flipped identifier", i, i % 61 == 0);
	}
}

static void
test_every_flipped_byte(void **state)
{
	flip_all(*state);
}

static void
test_every_flipped_byte_without_identifiers(void **state)
{
	flip_all(*state);
}

/* Every prefix of the log, the rest as if never written. */
static void
test_every_prefix(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept = f->disk;

	for (uint64_t i = 0; i < offset_of(12); i++) {
		f->disk = disk_fake_copy(kept, 1);
		memset(segments(f) + i, 0, (128u << 10) - i);
		try_copy(f, kept, "prefix", i, i % 61 == 0);
	}
}

/* Every pair of a first and a last sector that is gone, with and without their identifiers. */
static void
test_every_range_of_sectors(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept = f->disk;
	uint64_t sectors = offset_of(12) / WAL_SECTOR_BYTES;

	for (uint64_t first = 0; first < sectors; first++) {
		for (uint64_t last = first; last < sectors; last++) {
			uint64_t where = first * 100 + last;

			f->disk = disk_fake_copy(kept, 1);
			memset(segments(f) + first * WAL_SECTOR_BYTES, where % 2 ? 0xee : 0,
				(last + 1 - first) * WAL_SECTOR_BYTES);
			if (where % 3 == 0)
				memset(disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL), 0xee,
					where % 16 * IDENTIFIER_BYTES);
			try_copy(f, kept, "sectors", where, where % 7 == 0);
		}
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, log_fixture_teardown)
#define W(name)                                                                                    \
	cmocka_unit_test_setup_teardown(name, setup_without_identifiers, log_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_an_identifier_names_the_block),
		T(test_a_lost_write_is_damage),
		W(test_the_first_sector_names_the_block),
		W(test_the_last_sector_names_the_block),
		W(test_a_block_of_which_nothing_is_left_is_nameless),
		T(test_an_identifier_ends_a_nameless_hole),
		W(test_a_bad_sector_at_the_end_is_sealed),
		T(test_rot_in_free_space_is_harmless),
		T(test_a_misdirected_record_is_damage_where_it_lies),
		W(test_a_block_that_contradicts_itself_is_damage),
		W(test_a_sector_beyond_the_window_is_evidence),
		W(test_an_unreadable_sector_is_damage),
		cmocka_unit_test(test_trimming_passes_a_segment_that_begins_with_damage),
		T(test_every_flipped_byte),
		W(test_every_flipped_byte_without_identifiers),
		T(test_every_prefix),
		T(test_every_range_of_sectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
