/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage of every kind: the log keeps everything that was durable or refuses to open, and says why.
 * It never hands over a wrong record, never drops a durable one, and changes nothing when it
 * refuses.
 */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD_COUNT 12

/* A log of twelve records and a hard state, all durable, not closed in order. */
static void
make_log(struct log_fixture *f, bool with_identifiers)
{
	log_fixture_init(f, &log_fixture_calm);
	f->format.log_bytes = 128 << 10;
	f->cfg.prewrite_bytes_per_second = 1; /* never: it would only slow these tests down */
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	for (uint64_t number = 0; number < RECORD_COUNT; number++) {
		log_fixture_append(f, number, log_fixture_size(number));
		wal_log_ops.submit(f->wal, 1);
		log_fixture_settle(f, number + 1);
	}
	if (with_identifiers)
		log_fixture_idle(f);
	wal_log_ops.meta(f->wal, "hard", 4);
	while (f->meta_generation < 1)
		log_fixture_turn(f);
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

/* Open a damaged disk: all or nothing. @return wal_open()'s */
static int
open_damaged(struct log_fixture *f, const char *what, uint64_t where)
{
	int rc;

	f->error[0] = '\0';
	rc = log_fixture_open(f);
	if (f->wrong_count > 0)
		fail_msg("%s at %llu: a wrong record was handed over", what,
			(unsigned long long)where);
	if (rc == 0 && f->found_count != RECORD_COUNT)
		fail_msg("%s at %llu: %u records of %u came back", what, (unsigned long long)where,
			f->found_count, RECORD_COUNT);
	if (rc == 0 && (f->found_meta_generation != 1 || memcmp(f->found_meta, "hard", 4) != 0))
		fail_msg("%s at %llu: the hard state is wrong", what, (unsigned long long)where);
	if (rc != 0 && f->error[0] == '\0')
		fail_msg("%s at %llu: refused without a word", what, (unsigned long long)where);
	if (rc == 0)
		log_fixture_abandon(f);
	return rc;
}

/* Flip one byte, open, and put everything back. */
static int
open_flipped(struct log_fixture *f, enum disk_file file, uint64_t offset, uint8_t mask)
{
	struct disk_fake *kept = f->disk;
	int rc;

	f->disk = disk_fake_copy(kept, 1);
	disk_fake_flip(f->disk, file, offset, mask);
	rc = open_damaged(f, "flipped byte", offset);
	disk_fake_destroy(f->disk);
	f->disk = kept;
	return rc;
}

static void
flip_everything(struct log_fixture *f, uint64_t segments_step)
{
	uint64_t used_bytes = 0, refused = 0;

	for (uint64_t number = 0; number < RECORD_COUNT; number++)
		used_bytes += block_sector_count(log_fixture_size(number)) * WAL_SECTOR_BYTES;
	for (uint64_t i = 0; i < used_bytes; i += segments_step)
		refused += open_flipped(f, DISK_SEGMENTS, i, (uint8_t)(1u << i % 8)) != 0;
	assert_true(refused >=
		    used_bytes / segments_step); /* each of these bytes belongs to a record */
	for (uint64_t i = used_bytes; i < 128 << 10; i += 499)
		(void)open_flipped(f, DISK_SEGMENTS, i, 0x10); /* judged inside */
	for (uint64_t i = 0; i < (RECORD_COUNT + 8) * IDENTIFIER_BYTES; i += 3)
		(void)open_flipped(f, DISK_IDENTIFIERS, i, 0x04);
}

static void
test_every_flipped_byte_is_refused_or_harmless(void **state)
{
	flip_everything(*state, 1);
}

static void
test_every_flipped_byte_is_refused_or_harmless_without_identifiers(void **state)
{
	flip_everything(*state, 5);
}

/* Two copies: one of them may be damaged anywhere. */
static void
test_a_damaged_copy_is_replaced_by_the_other(void **state)
{
	struct log_fixture *f = *state;

	for (uint64_t i = 0; i < WAL_IDENTITY_FILE_BYTES; i += i % 4096 < 256 ? 1 : 97)
		assert_int_equal(open_flipped(f, DISK_IDENTITY, i, 0x20), 0);
	for (uint64_t i = 0; i < 8192; i += i % 4096 < 256 ? 1 : 97)
		assert_int_equal(open_flipped(f, DISK_HARDSTATE, i, 0x20), 0);
}

/* The repaired copy must stand by itself afterwards. */
static void
test_a_damaged_copy_is_repaired_at_once(void **state)
{
	struct log_fixture *f = *state;

	for (int copy = 0; copy < 2; copy++) {
		disk_fake_flip(f->disk, DISK_HARDSTATE, (uint64_t)copy * 4096 + 70, 1);
		disk_fake_flip(f->disk, DISK_IDENTITY, (uint64_t)copy * 4096 + 70, 1);
		assert_int_equal(open_damaged(f, "copy", (uint64_t)copy), 0);
	}
}

/* One bad sector is no reason to stay away as long as the same page is elsewhere, too. */
static void
test_an_unreadable_copy_is_replaced_by_the_other(void **state)
{
	struct log_fixture *f = *state;

	for (int copy = 0; copy < 2; copy++) {
		const uint64_t offset = (uint64_t)copy * 4096;

		disk_fake_spoil(f->disk, DISK_HARDSTATE, offset, 4096);
		assert_int_equal(open_damaged(f, "hard state", offset), 0);
		disk_fake_spoil(f->disk, DISK_IDENTITY, offset, 4096);
		assert_int_equal(open_damaged(f, "identity", offset), 0);
		disk_fake_spoil(f->disk, DISK_IDENTITY, 8192 + offset, 512);
		assert_int_equal(open_damaged(f, "session page", offset), 0);
	}
	disk_fake_spoil(f->disk, DISK_HARDSTATE, 0, 8192);
	assert_int_equal(open_damaged(f, "both", 0), -EIO);
	assert_non_null(strstr(f->error, "hardstate"));
}

static void
test_two_damaged_copies_are_refused(void **state)
{
	struct log_fixture *f = *state;

	disk_fake_flip(f->disk, DISK_HARDSTATE, 70, 1);
	disk_fake_flip(f->disk, DISK_HARDSTATE, 4096 + 70, 1);
	assert_int_equal(open_damaged(f, "hard state", 0), -EBADMSG);
	assert_non_null(strstr(f->error, "hardstate"));
}

static void
test_a_file_of_another_size_is_refused(void **state)
{
	struct log_fixture *f = *state;

	for (int file = 0; file < DISK_FILE_COUNT; file++) {
		struct disk_fake *kept = f->disk;
		uint64_t bytes;

		disk_fake_data(kept, (enum disk_file)file, &bytes);
		for (int eighth = 0; eighth <= 9; eighth++) {
			uint64_t size = bytes * (uint64_t)eighth / 8;

			if (eighth == 8)
				continue;
			f->disk = disk_fake_copy(kept, 1);
			disk_fake_resize(f->disk, (enum disk_file)file, size);
			assert_int_equal(
				open_damaged(f, "size", size), size == 0 ? -ENOENT : -EBADMSG);
			disk_fake_destroy(f->disk);
		}
		f->disk = kept;
	}
}

/* A file whose tail turned to zeros has its full size; the identifiers still know what was there. */
static void
test_a_zeroed_tail_is_refused(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept = f->disk;

	for (uint64_t offset = 0; offset < 8 * WAL_SECTOR_BYTES; offset += WAL_SECTOR_BYTES) {
		uint64_t bytes;
		uint8_t *data;

		f->disk = disk_fake_copy(kept, 1);
		data = disk_fake_data(f->disk, DISK_SEGMENTS, &bytes);
		memset(data + offset, 0, bytes - offset);
		assert_int_equal(open_damaged(f, "zeros", offset), -EBADMSG);
		assert_non_null(strstr(f->error, "identifier"));
		disk_fake_destroy(f->disk);
	}
	f->disk = kept;
}

/* Without identifiers, a later block or the hard state bears witness. Only the very last record has
 * none. */
static void
test_a_zeroed_record_is_refused_by_its_successors(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept = f->disk;
	uint64_t offset = 0;

	for (uint64_t number = 0; number < RECORD_COUNT; number++) {
		uint64_t bytes = block_sector_count(log_fixture_size(number)) * WAL_SECTOR_BYTES;

		f->disk = disk_fake_copy(kept, 1);
		memset(disk_fake_data(f->disk, DISK_SEGMENTS, NULL) + offset, 0, bytes);
		assert_int_equal(open_damaged(f, "zeros", offset), -EBADMSG);
		disk_fake_destroy(f->disk);
		offset += bytes;
	}
	f->disk = kept;
}

static void
test_the_refusal_names_record_file_place_and_remedy(void **state)
{
	struct log_fixture *f = *state;

	disk_fake_flip(f->disk, DISK_SEGMENTS, 10, 1);
	assert_int_equal(open_damaged(f, "flip", 10), -EBADMSG);
	assert_non_null(strstr(f->error, "log record 1 "));
	assert_non_null(strstr(f->error, "file segments, byte 0"));
	assert_non_null(strstr(f->error, "new node id"));
}

static void
test_a_refusal_changes_nothing(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *before;

	disk_fake_flip(f->disk, DISK_SEGMENTS, 10, 1);
	before = disk_fake_copy(f->disk, 1);
	assert_int_equal(open_damaged(f, "flip", 10), -EBADMSG);
	for (int file = 0; file < DISK_FILE_COUNT; file++) {
		uint64_t bytes;
		uint8_t *data = disk_fake_data(f->disk, (enum disk_file)file, &bytes);

		assert_memory_equal(
			data, disk_fake_data(before, (enum disk_file)file, NULL), bytes);
	}
	disk_fake_destroy(before);
}

/* Copied from another log of the same shape: every sector is whole, and none is ours. */
static void
test_another_logs_segments_are_refused(void **state)
{
	struct log_fixture *f = *state;
	struct log_fixture *other = malloc(sizeof(*other));
	uint64_t bytes;
	uint8_t *data = disk_fake_data(f->disk, DISK_SEGMENTS, &bytes);

	assert_non_null(other);
	log_fixture_init(other, &log_fixture_calm);
	other->format.uuid.bytes[0] ^= 1;
	other->format.log_bytes = 128 << 10;
	assert_int_equal(wal_format(&disk_fake_ops, other->disk, &other->format, other->error), 0);
	assert_int_equal(log_fixture_open(other), 0);
	log_fixture_append(other, 0, log_fixture_size(0));
	log_fixture_settle(other, 1);
	memcpy(data, disk_fake_data(other->disk, DISK_SEGMENTS, NULL), bytes);
	assert_int_equal(open_damaged(f, "foreign", 0), -EBADMSG);
	log_fixture_fini(other);
	free(other);
}

/* Every sector of two records is whole, but each lies where the other belongs. */
static void
test_a_misdirected_record_is_refused(void **state)
{
	struct log_fixture *f = *state;
	uint8_t *data = disk_fake_data(f->disk, DISK_SEGMENTS, NULL);
	uint32_t first = block_sector_count(log_fixture_size(0)) * WAL_SECTOR_BYTES;

	/* Record 1 once more, in the place of record 2. */
	assert_int_equal(block_sector_count(log_fixture_size(1)), 1);
	memcpy(data + first, data, first);
	assert_int_equal(open_damaged(f, "misdirected", first), -EBADMSG);
}

static int
refuse_identity(void *context, const struct decree_uuid *uuid, const void *blob, uint32_t bytes,
	char *error)
{
	(void)context, (void)uuid;
	assert_int_equal(bytes, 3);
	assert_memory_equal(blob, "who", 3);
	snprintf(error, DECREE_ERROR_BYTES, "another node's");
	return -EPERM;
}

static void
test_the_caller_can_refuse_a_directory_by_its_identity(void **state)
{
	struct log_fixture *f = *state;

	f->cfg.recovery.identity = refuse_identity;
	assert_int_equal(log_fixture_open(f), -EPERM);
	assert_string_equal(f->error, "another node's");
	assert_int_equal(f->found_count, 0);
}

/* A record of three sectors whose middle one never reached the disk, and a whole one after it, both
 * unacknowledged: the torn one is cut, and the one after it never comes back, whatever is appended
 * in its place. */
static void
test_what_lies_beyond_a_cut_never_comes_back(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept;
	struct wal_status status;
	uint8_t *data, *kept_data;
	uint64_t offset;

	assert_int_equal(log_fixture_open(f), 0);
	wal_status(f->wal, &status);
	offset = status.used_bytes;
	kept = disk_fake_copy(f->disk, 1);
	log_fixture_append(f, 100, 1300);
	log_fixture_append(f, 101, 1300);
	log_fixture_settle(f, RECORD_COUNT + 2);
	log_fixture_abandon(f);
	data = disk_fake_data(f->disk, DISK_SEGMENTS, NULL);
	kept_data = disk_fake_data(kept, DISK_SEGMENTS, NULL);
	memcpy(kept_data + offset, data + offset, 6 * WAL_SECTOR_BYTES);
	memset(kept_data + offset + WAL_SECTOR_BYTES, 0, WAL_SECTOR_BYTES);
	disk_fake_destroy(f->disk);
	f->disk = disk_fake_copy(kept, 2);
	disk_fake_destroy(kept);

	assert_int_equal(log_fixture_open(f), 0);
	wal_status(f->wal, &status);
	assert_int_equal(f->found_count, RECORD_COUNT);
	assert_int_equal(status.lsn_cut, RECORD_COUNT + 1);
	/* The boot record and two of one sector each fill the three sectors of the torn one. */
	f->durable_lsn = 0;
	log_fixture_append(f, 200, 10);
	log_fixture_append(f, 201, 10);
	log_fixture_settle(f, RECORD_COUNT + 3);
	log_fixture_abandon(f);
	disk_fake_cut_power(f->disk);

	assert_int_equal(log_fixture_open(f), 0);
	assert_int_equal(f->found_count, RECORD_COUNT + 2);
	assert_int_equal(f->found_numbers[RECORD_COUNT], 200);
	assert_int_equal(f->found_numbers[RECORD_COUNT + 1], 201);
	assert_int_equal(f->found_lsns[RECORD_COUNT], RECORD_COUNT + 2);
}

/* Every call of an open, of appends and of a hard state fails once. Nothing durable is lost by any
 * of them. */
static void
test_every_disk_error_is_survived(void **state)
{
	struct log_fixture *f = *state;
	struct disk_fake *kept = f->disk;
	bool has_failed = true;

	for (int64_t n = 0; has_failed; n++) {
		uint64_t durable_count = RECORD_COUNT;

		f->disk = disk_fake_copy(kept, (uint64_t)n);
		f->error[0] = '\0';
		f->durable_lsn = 0;
		disk_fake_fail_after(f->disk, n, -EIO);
		if (log_fixture_open(f) == 0) {
			/* Reading ahead of what turned out to be the end may fail unheard. */
			bool was_spared = disk_fake_has_failed(f->disk);

			log_fixture_append(f, 50, 700);
			(void)wal_log_ops.meta(f->wal, "hard", 4);
			log_fixture_settle(f, RECORD_COUNT + 1);
			log_fixture_idle(f);
			durable_count += f->durable_lsn > RECORD_COUNT;
			assert_true(f->failed_rc == -EIO || was_spared ||
				    !disk_fake_has_failed(f->disk));
		} else {
			assert_true(f->error[0] != '\0');
		}
		has_failed = disk_fake_has_failed(f->disk);
		disk_fake_cut_power(f->disk);
		log_fixture_abandon(f);

		disk_fake_fail_after(f->disk, -1, 0);
		if (log_fixture_open(f) != 0)
			fail_msg("after error %lld: %s", (long long)n, f->error);
		assert_true(f->found_count >= durable_count);
		assert_int_equal(f->wrong_count, 0);
		log_fixture_abandon(f);
		disk_fake_destroy(f->disk);
	}
	f->disk = kept;
}

static uint32_t flush_count, flush_failing;

static int
flush_counted(void *disk)
{
	return ++flush_count == flush_failing ? -EIO : disk_fake_ops.sync_all(disk);
}

/* The kernel takes what it could not write for written: a second flush would say so, and would be
 * wrong (11.6). */
static void
test_a_failed_flush_is_not_repeated(void **state)
{
	struct log_fixture *f = *state;
	struct disk_ops ops = disk_fake_ops;
	int rc;

	ops.sync_all = flush_counted;
	f->cfg.ops = &ops;
	for (flush_failing = 1;; flush_failing++) {
		flush_count = 0;
		rc = log_fixture_open(f);
		if (rc == 0)
			break;
		assert_int_equal(rc, -EIO);
		assert_int_equal(flush_count, flush_failing);
	}
	assert_true(flush_failing > 2 && flush_count == flush_failing - 1);
	log_fixture_abandon(f);
	f->cfg.ops = &disk_fake_ops;
}

static void
on_lossy(void *context)
{
	(*(uint32_t *)context)++;
}

/* 11.10: in mode buffered a machine that restarted has forgotten, a process has not, an orderly end
 * neither. */
static void
test_buffered_mode_knows_its_boot(void **state)
{
	struct log_fixture *f = *state;

	f->cfg.mode = DECREE_LOG_BUFFERED;
	f->cfg.boot_id[0] = 1;
	assert_int_equal(log_fixture_open(f), 0);
	log_fixture_abandon(f);
	assert_int_equal(log_fixture_open(f), 0);
	wal_close(f->wal);
	f->wal = NULL;
	f->cfg.boot_id[0] = 2;
	assert_int_equal(log_fixture_open(f), 0);
	log_fixture_abandon(f);
	f->cfg.boot_id[0] = 3;
	assert_int_equal(log_fixture_open(f), -ESTALE);
	f->cfg.mode = DECREE_LOG_DURABLE;
	assert_int_equal(log_fixture_open(f), -ESTALE);
}

/* What is left of it can be read, by whoever says that he wants no more than that. */
static void
test_a_lossy_log_can_be_read(void **state)
{
	struct log_fixture *f = *state;
	uint32_t lossy_count = 0;

	f->cfg.mode = DECREE_LOG_BUFFERED;
	f->cfg.boot_id[0] = 2;
	assert_int_equal(log_fixture_open(f), 0);
	log_fixture_abandon(f);
	f->cfg.is_read_only = true;
	f->cfg.recovery.context = &lossy_count;
	f->cfg.recovery.lossy = on_lossy;
	f->cfg.recovery.identity = NULL;
	f->cfg.recovery.meta = NULL;
	f->cfg.recovery.record = NULL;
	assert_int_equal(wal_open(&f->cfg, &f->wal, f->error), 0);
	assert_null(f->wal);
	assert_int_equal(lossy_count, 0);
	f->cfg.boot_id[0] = 3;
	assert_int_equal(wal_open(&f->cfg, &f->wal, f->error), 0);
	assert_null(f->wal);
	assert_int_equal(lossy_count, 1);
	f->cfg.is_read_only = false; /* and it was only read */
	assert_int_equal(wal_open(&f->cfg, &f->wal, f->error), -ESTALE);
}

static void
test_sizes_that_do_not_fit_are_refused_by_format(void **state)
{
	struct log_fixture *f = *state;
	const struct wal_format bad[] = {
		{ .payload_bytes_max = 9217 },
		{ .log_bytes = 3 << 20, .segment_bytes = 2 << 20 },
		{ .log_bytes = 1 << 20, .segment_bytes = 1000 },
		{ .log_bytes = 1 << 20, .window_bytes = 5000 },
		{ .log_bytes = 1 << 20, .window_bytes = 4096 },
		{ .log_bytes = 1ull << 60, .segment_bytes = 1ull << 60 },
		{ .log_bytes = 1 << 20, .identity = "", .identity_bytes = 2049 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(wal_format(&disk_fake_ops, f->disk, &bad[i], f->error), -EINVAL);
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), -EEXIST);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, log_fixture_teardown)
#define W(name)                                                                                    \
	cmocka_unit_test_setup_teardown(name, setup_without_identifiers, log_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_every_flipped_byte_is_refused_or_harmless),
		W(test_every_flipped_byte_is_refused_or_harmless_without_identifiers),
		T(test_a_damaged_copy_is_replaced_by_the_other),
		T(test_a_damaged_copy_is_repaired_at_once),
		T(test_an_unreadable_copy_is_replaced_by_the_other),
		T(test_two_damaged_copies_are_refused),
		T(test_a_file_of_another_size_is_refused),
		T(test_a_zeroed_tail_is_refused),
		W(test_a_zeroed_record_is_refused_by_its_successors),
		T(test_the_refusal_names_record_file_place_and_remedy),
		T(test_a_refusal_changes_nothing),
		T(test_another_logs_segments_are_refused),
		T(test_a_misdirected_record_is_refused),
		T(test_the_caller_can_refuse_a_directory_by_its_identity),
		T(test_what_lies_beyond_a_cut_never_comes_back),
		T(test_every_disk_error_is_survived),
		T(test_a_failed_flush_is_not_repeated),
		T(test_buffered_mode_knows_its_boot),
		T(test_a_lossy_log_can_be_read),
		T(test_sizes_that_do_not_fit_are_refused_by_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
