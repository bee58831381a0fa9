/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot files that somebody has damaged, cut short or renamed, before they are opened or while
 * they are kept: that is found. */
#include "tests/unit/runtime/snap_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void
flip(struct snap_files *f, const char *name, uint64_t offset)
{
	int fd = openat(f->directory->fd, name, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

/* Every byte that matters: the page, the pieces, the padding of the last one, the table. */
static void
test_damage_anywhere_is_found(void **state)
{
	struct snap_files *f = *state;
	uint64_t end = SNAP_PAGE_BYTES + 6ull * SNAP_PIECE_BYTES + 6 * 8;

	files_commit(f, slot7);
	for (uint64_t at = 0; at < end; at += at < 104 || at >= end - 48 ? 1 : 4099) {
		if (at >= 104 && at < SNAP_PAGE_BYTES)
			continue; /* the page's padding */
		flip(f, "snapshot-3-7", at);
		assert_int_equal(files_reopen(f), 0);
		assert_int_equal(files_load(f, slot7), -EBADMSG);
		flip(f, "snapshot-3-7", at);
	}
	assert_int_equal(files_reopen(f), 0);
	assert_int_equal(files_load(f, slot7), 0);
	flip(f, "snapshot-3-7", SNAP_PAGE_BYTES + 2 * SNAP_PIECE_BYTES + 100);
	assert_int_equal(files_read(f, slot7, 10, 1000), 0);
	assert_int_equal(files_read(f, slot7, 2 * SNAP_PIECE_BYTES + 50000, 1), -EBADMSG);
	assert_int_equal(files_read(f, slot7, 4 * SNAP_PIECE_BYTES, 1), 0);
}

/* ---- files that rot while they are kept ---- */

static void
scrub(struct snap_files *f)
{
	for (int i = 0; i < 40; i++) /* more than twice around: a piece in each step */
		(void)files_step(f);
}

static bool
is_damaged(struct snap_files *f, struct decree_slot slot)
{
	return snap_file_ops.is_damaged(f->store, 3, slot);
}

/* Whatever files_load() would refuse is found while the store is open. */
static void
test_rot_of_a_kept_file_is_found(void **state)
{
	struct snap_files *f = *state;
	uint64_t end = SNAP_PAGE_BYTES + 6ull * SNAP_PIECE_BYTES + 6 * 8;

	f->scrub_bytes_per_second = 1ull << 30;
	files_commit(f, slot7);
	for (uint64_t at = 0; at < end; at += at < 104 || at >= end - 48 ? 7 : 20011) {
		if (at >= 104 && at < SNAP_PAGE_BYTES)
			continue;
		assert_int_equal(files_reopen(f), 0);
		assert_int_equal(files_load(f, slot7), 0);
		scrub(f);
		assert_false(is_damaged(f, slot7));
		flip(f, "snapshot-3-7", at);
		scrub(f);
		assert_true(is_damaged(f, slot7));
		flip(f, "snapshot-3-7", at);
	}
	assert_int_equal(files_reopen(f), 0);
	assert_int_equal(files_load(f, slot7), 0);
	assert_int_equal(unlinkat(f->directory->fd, "snapshot-3-7", 0), 0);
	scrub(f);
	assert_true(is_damaged(f, slot7));
}

/* The one that takes its place is another file. What is not kept is not looked at. */
static void
test_a_new_snapshot_replaces_a_rotten_one(void **state)
{
	struct snap_files *f = *state;

	f->scrub_bytes_per_second = 1ull << 30;
	assert_int_equal(files_reopen(f), 0);
	files_commit(f, slot7);
	flip(f, "snapshot-3-7", 20000);
	scrub(f);
	assert_false(is_damaged(f, slot7));
	snap_file_ops.forget(f->store, 3, slot7);
	scrub(f);
	assert_true(is_damaged(f, slot7));
	files_commit(f, slot9);
	snap_file_ops.forget(f->store, 3, slot9);
	scrub(f);
	assert_false(is_damaged(f, slot9));
	flip(f, "snapshot-3-9", 20000);
	scrub(f);
	assert_true(is_damaged(f, slot9));
}

static void
test_scrubbing_keeps_to_its_rate(void **state)
{
	struct snap_files *f = *state;
	uint32_t pieces = 0;

	f->scrub_bytes_per_second = SNAP_PIECE_BYTES;
	assert_int_equal(files_reopen(f), 0);
	files_commit(f, slot7);
	snap_file_ops.forget(f->store, 3, slot7);
	(void)files_step(f); /* that is done */
	for (int i = 0; i < 500; i++) {
		f->now_ns += FILES_STEP_NS / 100;
		pieces += snap_store_step(f->store, f->now_ns);
	}
	assert_in_range(pieces, 3, 6);
}

static void
test_a_file_cut_short_is_found(void **state)
{
	struct snap_files *f = *state;

	files_commit(f, slot7);
	for (off_t bytes = SNAP_PAGE_BYTES + 6 * SNAP_PIECE_BYTES; bytes >= 0; bytes -= 60000) {
		int fd = openat(f->directory->fd, "snapshot-3-7", O_RDWR);

		assert_int_equal(ftruncate(fd, bytes), 0);
		close(fd);
		assert_int_equal(files_reopen(f), 0);
		assert_int_equal(files_load(f, slot7), -EBADMSG);
	}
}

static void
test_a_file_of_another_cluster_or_slot_is_refused(void **state)
{
	struct snap_files *f = *state;

	files_commit(f, slot7);
	assert_int_equal(
		renameat(f->directory->fd, "snapshot-3-7", f->directory->fd, "snapshot-3-9"), 0);
	assert_int_equal(files_reopen(f), 0);
	assert_int_equal(files_load(f, slot9), -EBADMSG);
	assert_non_null(strstr(f->error, "renamed"));
	assert_int_equal(
		renameat(f->directory->fd, "snapshot-3-9", f->directory->fd, "snapshot-3-7"), 0);
	f->cluster_id++;
	assert_int_equal(files_reopen(f), 0);
	assert_int_equal(files_load(f, slot7), -EBADMSG);
	assert_non_null(strstr(f->error, "another cluster"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_damage_anywhere_is_found),
		TEST(test_rot_of_a_kept_file_is_found),
		TEST(test_a_new_snapshot_replaces_a_rotten_one),
		TEST(test_scrubbing_keeps_to_its_rate),
		TEST(test_a_file_cut_short_is_found),
		TEST(test_a_file_of_another_cluster_or_slot_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
