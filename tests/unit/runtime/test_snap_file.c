/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files in a real directory. The test itself is the serving thread, so it can stop between
 * any two steps: a process that dies there leaves exactly that. What is committed is then found
 * whole, what is not leaves nothing.
 */
#include "tests/unit/runtime/snap_files.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void
test_what_was_committed_is_there_after_a_restart(void **state)
{
	struct snap_files *f = *state;

	files_commit(f, slot7);
	assert_int_equal(files_load(f, slot7), 0);
	assert_int_equal(files_reopen(f), 0);
	assert_int_equal(files_load(f, slot7), 0);
	assert_int_equal(files_load(f, slot9), -ENOENT);
}

static void
test_any_part_is_read(void **state)
{
	struct snap_files *f = *state;

	files_commit(f, slot7);
	assert_int_equal(files_read(f, slot7, 0, 1), 0);
	assert_int_equal(files_read(f, slot7, SNAP_PIECE_BYTES - 5, 10), 0);
	assert_int_equal(files_read(f, slot7, 3 * SNAP_PIECE_BYTES - 1, SNAP_READ_BYTES_MAX), 0);
	assert_int_equal(f->last.count, SNAP_READ_BYTES_MAX);
	assert_int_equal(files_read(f, slot7, FILES_BYTES - 3, 100), 0);
	assert_int_equal(f->last.count, 3);
	assert_int_equal(f->last.bytes, FILES_BYTES);
	assert_int_equal(files_read(f, slot7, FILES_BYTES, 1), -EINVAL);
	assert_int_equal(files_read(f, slot9, 0, 1), -ENOENT);
}

static void
test_an_empty_snapshot_is_one(void **state)
{
	struct snap_files *f = *state;
	struct snap_info info;

	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	snap_file_ops.commit(f->store, 3, base_digest(NULL, 0));
	files_wait(f);
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
	assert_int_equal(snap_file_ops.load(f->store, 3, slot7, NULL, NULL, &info, f->error), 0);
	assert_int_equal(info.bytes, 0);
}

/* A process may die after any step. The older snapshot is never touched; the new one is whole, or
 * not there. */
static void
test_dying_between_any_two_steps_leaves_old_or_new(void **state)
{
	struct snap_files *f = *state;
	int with_new = 0, without_new = 0;
	bool is_done = false;

	files_commit(f, slot7);
	for (int steps = 0; !is_done; steps++) {
		is_done = files_write_some(f, slot9, steps);
		assert_int_equal(files_reopen(f), 0);
		assert_false(files_has(f, "snapshot-3.tmp"));
		assert_int_equal(files_load(f, slot7), 0);
		if (files_has(f, "snapshot-3-9")) {
			with_new++;
			assert_int_equal(files_load(f, slot9), 0);
			assert_int_equal(unlinkat(f->directory->fd, "snapshot-3-9", 0), 0);
		} else {
			assert_false(is_done);
			without_new++;
		}
	}
	assert_true(with_new > 3); /* named, not yet verified */
	assert_true(without_new > 8);
}

/* The blocks of a forgotten snapshot are written again, and never read as the old one. */
static void
test_a_forgotten_file_is_recycled(void **state)
{
	struct snap_files *f = *state;
	struct stat before, after;

	files_commit(f, slot7);
	assert_int_equal(fstatat(f->directory->fd, "snapshot-3-7", &before, 0), 0);
	assert_int_equal(files_read(f, slot7, 0, 10), 0);
	files_commit(f, slot9);
	assert_true(files_has(f, "snapshot-3-7"));
	snap_file_ops.forget(f->store, 3, slot9);
	assert_true(files_step(f));
	assert_false(files_has(f, "snapshot-3-7"));
	assert_true(files_has(f, "spare-3"));
	assert_int_equal(files_read(f, slot7, 0, 10), -ENOENT);
	files_commit(f, (struct decree_slot){ 11 });
	assert_false(files_has(f, "spare-3"));
	assert_int_equal(fstatat(f->directory->fd, "snapshot-3-11", &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(files_load(f, slot9), 0);
	assert_int_equal(files_count(f), 2);
}

static void
test_an_aborted_writer_leaves_nothing(void **state)
{
	struct snap_files *f = *state;

	assert_false(files_write_some(f, slot7, 4));
	snap_file_ops.abort(f->store, 3);
	assert_int_equal(snap_file_ops.room(f->store, 3), 0);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot9), -EBUSY);
	assert_true(files_step(f));
	assert_false(files_reap(f));
	assert_int_equal(files_count(f), 0);
	files_commit(f, slot9);
}

static void
test_groups_write_at_the_same_time(void **state)
{
	struct snap_files *f = *state;

	for (uint16_t group = 0; group < SNAP_WRITER_COUNT_MAX; group++) {
		assert_int_equal(snap_file_ops.begin(f->store, group, slot7), 0);
		snap_file_ops.write(f->store, group, f->data, 1000u + group);
		snap_file_ops.commit(f->store, group, base_digest(f->data, 1000u + group));
	}
	assert_int_equal(snap_file_ops.begin(f->store, 40, slot7), -EAGAIN);
	for (uint16_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++) {
		files_wait(f);
		assert_int_equal(f->last.kind, SNAP_COMMITTED);
		assert_int_equal(f->last.bytes, 1000u + f->last.group);
	}
	assert_int_equal(snap_file_ops.begin(f->store, 40, slot7), 0);
}

/* At 150 MB/s a piece is due every 874 us. */
static void
test_the_rate_is_bounded(void **state)
{
	struct snap_files *f = *state;
	uint64_t written = 0;

	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	f->now_ns = 10 * FILES_STEP_NS;
	for (int i = 0; i < 1000; i++) {
		uint32_t count = snap_file_ops.room(f->store, 3);

		if (count > FILES_BYTES)
			count = FILES_BYTES;
		snap_file_ops.write(f->store, 3, f->data, count);
		written += count;
		f->now_ns += 100000;
		(void)snap_store_step(f->store, f->now_ns);
	}
	assert_in_range(written, 14000000, 16000000); /* in 100 ms */
}

/* What goes through while no time passes, after what @p used says. @return pieces written, and read
 * again */
static uint64_t
pieces_at_once(struct snap_files *f, uint32_t used)
{
	snap_file_ops.urge(f->store, 3, used);
	for (int i = 0; i < 100; i++)
		(void)snap_store_step(f->store, f->now_ns);
	return f->store->writers[0].piece_count + f->store->writers[0].verified_count;
}

/* The log fills up: the rate would make it wait. Both halves of the work go as fast as they must,
 * and no faster. */
static void
test_a_snapshot_that_is_late_leaves_the_rate_behind(void **state)
{
	struct snap_files *f = *state;

	files_commit(f, slot7); /* how large one is, is known from here on */
	f->now_ns += FILES_STEP_NS;
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot9), 0);
	snap_file_ops.write(f->store, 3, f->data, SNAP_RING_BYTES);
	assert_in_range(pieces_at_once(f, 0), 1, 3);
	assert_in_range(pieces_at_once(f, SNAP_URGE_MAX / 16), 1, 3);
	assert_int_equal(pieces_at_once(f, SNAP_URGE_MAX / 2), 4); /* all of the ring */
	snap_file_ops.write(f->store, 3, f->data + SNAP_RING_BYTES, FILES_BYTES - SNAP_RING_BYTES);
	snap_file_ops.commit(f->store, 3, base_digest(f->data, FILES_BYTES));
	/* 6 pieces, written and read: of twelve, seven are half and a sixteenth, rounded up. */
	assert_in_range(pieces_at_once(f, SNAP_URGE_MAX / 2), 6, 8);
	assert_in_range(pieces_at_once(f, SNAP_URGE_MAX / 4 * 3), 9, 10);
	assert_int_equal(pieces_at_once(f, SNAP_URGE_MAX), 12);
	assert_true(files_reap(f));
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
}

static void
test_another_digest_than_announced_fails(void **state)
{
	struct snap_files *f = *state;

	files_commit(f, slot7);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot9), 0);
	snap_file_ops.write(f->store, 3, f->data, 1000);
	snap_file_ops.commit(f->store, 3, base_digest(f->data, 999));
	files_wait(f);
	assert_int_equal(f->last.kind, SNAP_FAILED);
	assert_int_equal(f->last.rc, -EBADMSG);
	assert_false(files_has(f, "snapshot-3-9"));
	assert_int_equal(files_load(f, slot7), 0);
}

static void
test_foreign_files_are_left_alone(void **state)
{
	static const char *const names[] = { "notes.txt", "snapshot-3-07", "snapshot-3-7.old",
		"snapshot-99-1", "spare-x" };
	struct snap_files *f = *state;
	const char *name;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		close(openat(f->directory->fd, names[i], O_CREAT | O_WRONLY, 0600));
	assert_int_equal(files_reopen(f), 0);
	assert_int_equal(snap_directory_foreign_count(f->directory, &name), 5);
	files_commit(f, slot7);
	files_commit(f, slot9);
	snap_file_ops.forget(f->store, 3, slot9);
	assert_true(files_step(f));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(files_has(f, names[i]));
}

static void
test_a_directory_that_is_missing_or_in_use_is_refused(void **state)
{
	struct snap_files *f = *state;
	struct snap_directory_config cfg = { .path = "no/such/place", .may_create = true };
	struct snap_directory *other = NULL;

	assert_int_equal(snap_directory_open(&cfg, &other, f->error), -ENOENT);
	cfg.path = "not-there";
	cfg.may_create = false;
	assert_int_equal(snap_directory_open(&cfg, &other, f->error), -ENOENT);
	cfg.path = f->path;
	assert_int_equal(snap_directory_open(&cfg, &other, f->error), -EBUSY);
	assert_null(other);
}

static void
test_a_directory_that_vanishes_costs_one_snapshot(void **state)
{
	struct snap_files *f = *state;

	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	snap_file_ops.write(f->store, 3, f->data, 1000);
	files_wait(f);
	assert_int_equal(f->last.kind, SNAP_FAILED);
	assert_int_equal(f->last.rc, -ENOENT);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	assert_int_equal(mkdir(f->path, 0700), 0); /* for the teardown */
}

/* ------------------------------------------------------------------------------ two threads */

struct server {
	struct snap_files *f;
	_Atomic bool stop;
};

static void *
serve(void *context)
{
	struct server *server = context;
	uint64_t now_ns = 0;

	while (!atomic_load(&server->stop))
		if (!snap_store_step(server->f->store, now_ns += FILES_STEP_NS))
			sched_yield();
	return NULL;
}

/* Pieces of odd sizes, reads of the one before, every third one given up: as a shard does, beside
 * the thread. */
static void
write_beside(struct snap_files *f, uint64_t slot)
{
	uint32_t done = 0, last = (uint32_t)(slot % 3 == 0 ? FILES_BYTES / 2 : FILES_BYTES);

	while (snap_file_ops.begin(f->store, 3, (struct decree_slot){ slot }) == -EBUSY)
		(void)files_reap(
			f); /* until the thread has noticed that the one before was given up */
	while (done < last) {
		uint32_t room = snap_file_ops.room(f->store, 3),
			 count = 1 + (done * 7u + 13) % 90000;

		if (count > room)
			count = room;
		if (count > last - done)
			count = last - done;
		snap_file_ops.write(f->store, 3, f->data + done, count);
		done += count;
		(void)snap_file_ops.read(
			f->store, 3, (struct decree_slot){ slot - 1 }, done / 2, 1000, 1);
		if (files_reap(f) && f->last.rc == 0)
			assert_int_equal(f->last.kind, SNAP_READ);
	}
	if (last < FILES_BYTES) {
		snap_file_ops.abort(f->store, 3);
		return;
	}
	snap_file_ops.commit(f->store, 3, base_digest(f->data, FILES_BYTES));
	do {
		while (!files_reap(f))
			sched_yield();
	} while (f->last.kind != SNAP_COMMITTED && f->last.kind != SNAP_FAILED);
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
	snap_file_ops.forget(f->store, 3, (struct decree_slot){ slot });
}

static void
test_shard_and_server_run_beside_each_other(void **state)
{
	struct snap_files *f = *state;
	struct server server = { .f = f };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
	for (uint64_t slot = 1; slot <= 20; slot++)
		write_beside(f, slot);
	atomic_store(&server.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(files_load(f, (struct decree_slot){ 20 }), 0);
}

/* ------------------------------------------------------------------------------ a full disk */

/* 2 MiB of memory as a file system; needs to be root. @return false if it cannot be had */
static bool
mount_small(struct snap_files *f)
{
	files_close(f);
	return mount("tmpfs", f->path, "tmpfs", 0, "size=2m") == 0;
}

static void
unmount_small(struct snap_files *f)
{
	files_close(f);
	assert_int_equal(umount(f->path), 0);
}

static void
fill_disk(struct snap_files *f, const char *name, uint64_t bytes)
{
	int fd = openat(f->directory->fd, name, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, (off_t)bytes), 0);
	close(fd);
}

static void
test_a_full_disk_spends_the_reserve_and_then_refuses(void **state)
{
	struct snap_files *f = *state;

	f->reserve_bytes = 1 << 20;
	if (!mount_small(f))
		skip();
	assert_int_equal(files_reopen(f), 0);
	assert_false(snap_file_ops.is_space_low(f->store));
	fill_disk(f, "other", 960 << 10);
	files_commit(f, slot7); /* needs what was kept back */
	assert_true(snap_file_ops.is_space_low(f->store));
	assert_true(files_write_some(f, slot9, 1000));
	assert_int_equal(f->last.kind, SNAP_FAILED);
	assert_int_equal(f->last.rc, -ENOSPC);
	assert_non_null(strstr(f->last.text, "make room"));
	assert_int_equal(files_load(f, slot7), 0);
	assert_false(files_has(f, "snapshot-3.tmp"));

	assert_int_equal(unlinkat(f->directory->fd, "other", 0), 0);
	for (int i = 0; i < 10; i++)
		(void)files_step(f);
	assert_false(snap_file_ops.is_space_low(f->store));
	assert_true(files_has(f, "reserve"));
	unmount_small(f);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_committed_is_there_after_a_restart),
		TEST(test_any_part_is_read),
		TEST(test_an_empty_snapshot_is_one),
		TEST(test_dying_between_any_two_steps_leaves_old_or_new),
		TEST(test_a_forgotten_file_is_recycled),
		TEST(test_an_aborted_writer_leaves_nothing),
		TEST(test_groups_write_at_the_same_time),
		TEST(test_the_rate_is_bounded),
		TEST(test_a_snapshot_that_is_late_leaves_the_rate_behind),
		TEST(test_another_digest_than_announced_fails),
		TEST(test_foreign_files_are_left_alone),
		TEST(test_a_directory_that_is_missing_or_in_use_is_refused),
		TEST(test_a_directory_that_vanishes_costs_one_snapshot),
		TEST(test_shard_and_server_run_beside_each_other),
		TEST(test_a_full_disk_spends_the_reserve_and_then_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
