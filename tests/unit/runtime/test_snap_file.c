/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files in a real directory. The test itself is the serving thread, so it can stop between any two steps: a
 * process that dies there leaves exactly that. What is committed is then found whole, what is not leaves nothing.
 */
#include "engine/runtime/snap_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES      (5 * SNAP_PIECE_BYTES + 777)
#define STEP_NS    (1000 * 1000 * 1000ull) /* more than the rate asks for */
#define CLUSTER_ID 0x1122334455667788ull

static const struct decree_slot slot7 = { 7 }, slot9 = { 9 };

struct fixture {
	char path[64];
	struct snap_directory *directory;
	struct snap_store *store;
	uint64_t now_ns;
	uint64_t cluster_id;
	uint64_t reserve_bytes;
	uint64_t scrub_bytes_per_second;
	uint8_t *data; /* [BYTES] */
	struct snap_completion last;
	char error[DECREE_ERROR_BYTES];
	/* what load() handed over */
	uint8_t *loaded;
	uint64_t loaded_bytes;
};

static int
reopen(struct fixture *f)
{
	struct snap_directory_config cfg = {
		.path = f->path,
		.may_create = true,
		.cluster_id = f->cluster_id,
		.reserve_bytes = f->reserve_bytes,
	};
	struct snap_store_config store = { .scrub_bytes_per_second = f->scrub_bytes_per_second };
	int rc;

	snap_store_close(f->store);
	snap_directory_close(f->directory);
	f->store = NULL;
	f->directory = NULL;
	rc = snap_directory_open(&cfg, &f->directory, f->error);
	if (rc != 0)
		return rc;
	store.directory = f->directory;
	return snap_store_open(&store, &f->store);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->data = malloc(BYTES);
	f->loaded = malloc(BYTES);
	assert_non_null(f->data);
	assert_non_null(f->loaded);
	for (uint32_t i = 0; i < BYTES; i++)
		f->data[i] = (uint8_t)(i * 131 + (i >> 9));
	strcpy(f->path, "snap-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->cluster_id = CLUSTER_ID;
	assert_int_equal(reopen(f), 0);
	*state = f;
	return 0;
}

static uint32_t
for_each_name(struct fixture *f, bool remove)
{
	DIR *list = opendir(f->path);
	const struct dirent *at;
	uint32_t count = 0;

	assert_non_null(list);
	while ((at = readdir(list)) != NULL) {
		if (at->d_name[0] == '.')
			continue;
		count++;
		if (remove)
			(void)unlinkat(dirfd(list), at->d_name, 0); /* the directory goes next */
	}
	closedir(list);
	return count;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	snap_store_close(f->store);
	snap_directory_close(f->directory);
	(void)for_each_name(f, true);
	(void)rmdir(f->path); /* a leftover in the build directory at worst */
	free(f->loaded);
	free(f->data);
	free(f);
	return 0;
}

static bool
exists(const struct fixture *f, const char *name)
{
	struct stat st;

	return fstatat(f->directory->fd, name, &st, 0) == 0;
}

static bool
step(struct fixture *f)
{
	f->now_ns += STEP_NS;
	return snap_store_step(f->store, f->now_ns);
}

static bool
reap(struct fixture *f)
{
	return snap_file_ops.reap(f->store, f->now_ns, &f->last, 1) == 1;
}

static void
wait(struct fixture *f)
{
	while (!reap(f))
		assert_true(step(f));
}

/* @return false if @p step_max steps were not enough */
static bool
write_some(struct fixture *f, struct decree_slot slot, int step_max)
{
	uint32_t done = 0;
	bool is_committed = false;

	assert_int_equal(snap_file_ops.begin(f->store, 3, slot), 0);
	for (; step_max > 0; step_max--) {
		uint32_t count = snap_file_ops.room(f->store, 3);

		if (count > BYTES - done)
			count = BYTES - done;
		if (!is_committed)
			snap_file_ops.write(f->store, 3, f->data + done, count);
		done += count;
		if (done == BYTES && !is_committed) {
			snap_file_ops.commit(f->store, 3, base_digest(f->data, BYTES));
			is_committed = true;
		}
		if (reap(f))
			return true;
		(void)step(f);
	}
	return false;
}

static void
commit(struct fixture *f, struct decree_slot slot)
{
	assert_true(write_some(f, slot, 1000));
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
	assert_int_equal(f->last.slot.n, slot.n);
	assert_int_equal(f->last.bytes, BYTES);
}

static int
sink(void *context, const void *bytes, uint32_t count)
{
	struct fixture *f = context;

	memcpy(f->loaded + f->loaded_bytes, bytes, count);
	f->loaded_bytes += count;
	return 0;
}

static int
load(struct fixture *f, struct decree_slot slot)
{
	struct snap_info info;
	int rc;

	f->loaded_bytes = 0;
	f->error[0] = '\0';
	rc = snap_file_ops.load(f->store, 3, slot, sink, f, &info, f->error);
	if (rc == 0) {
		assert_int_equal(f->loaded_bytes, BYTES);
		assert_memory_equal(f->loaded, f->data, BYTES);
		assert_int_equal(info.bytes, BYTES);
		assert_true(digest_eq(info.digest, base_digest(f->data, BYTES)));
	} else {
		assert_int_equal(f->loaded_bytes, 0);
		assert_true(f->error[0] != '\0');
	}
	return rc;
}

static int
read_part(struct fixture *f, struct decree_slot slot, uint64_t offset, uint32_t count)
{
	assert_int_equal(snap_file_ops.read(f->store, 3, slot, offset, count, offset + 1), 0);
	wait(f);
	assert_int_equal(f->last.kind, SNAP_READ);
	assert_int_equal(f->last.token, offset + 1);
	if (f->last.rc == 0)
		assert_memory_equal(f->last.data, f->data + offset, f->last.count);
	return f->last.rc;
}

static void
test_what_was_committed_is_there_after_a_restart(void **state)
{
	struct fixture *f = *state;

	commit(f, slot7);
	assert_int_equal(load(f, slot7), 0);
	assert_int_equal(reopen(f), 0);
	assert_int_equal(load(f, slot7), 0);
	assert_int_equal(load(f, slot9), -ENOENT);
}

static void
test_any_part_is_read(void **state)
{
	struct fixture *f = *state;

	commit(f, slot7);
	assert_int_equal(read_part(f, slot7, 0, 1), 0);
	assert_int_equal(read_part(f, slot7, SNAP_PIECE_BYTES - 5, 10), 0);
	assert_int_equal(read_part(f, slot7, 3 * SNAP_PIECE_BYTES - 1, SNAP_READ_BYTES_MAX), 0);
	assert_int_equal(f->last.count, SNAP_READ_BYTES_MAX);
	assert_int_equal(read_part(f, slot7, BYTES - 3, 100), 0);
	assert_int_equal(f->last.count, 3);
	assert_int_equal(f->last.bytes, BYTES);
	assert_int_equal(read_part(f, slot7, BYTES, 1), -EINVAL);
	assert_int_equal(read_part(f, slot9, 0, 1), -ENOENT);
}

static void
test_an_empty_snapshot_is_one(void **state)
{
	struct fixture *f = *state;
	struct snap_info info;

	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	snap_file_ops.commit(f->store, 3, base_digest(NULL, 0));
	wait(f);
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
	assert_int_equal(snap_file_ops.load(f->store, 3, slot7, NULL, NULL, &info, f->error), 0);
	assert_int_equal(info.bytes, 0);
}

/* A process may die after any step. The older snapshot is never touched; the new one is whole, or not there. */
static void
test_dying_between_any_two_steps_leaves_old_or_new(void **state)
{
	struct fixture *f = *state;
	int with_new = 0, without_new = 0;
	bool is_done = false;

	commit(f, slot7);
	for (int steps = 0; !is_done; steps++) {
		is_done = write_some(f, slot9, steps);
		assert_int_equal(reopen(f), 0);
		assert_false(exists(f, "snapshot-3.tmp"));
		assert_int_equal(load(f, slot7), 0);
		if (exists(f, "snapshot-3-9")) {
			with_new++;
			assert_int_equal(load(f, slot9), 0);
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
	struct fixture *f = *state;
	struct stat before, after;

	commit(f, slot7);
	assert_int_equal(fstatat(f->directory->fd, "snapshot-3-7", &before, 0), 0);
	assert_int_equal(read_part(f, slot7, 0, 10), 0);
	commit(f, slot9);
	assert_true(exists(f, "snapshot-3-7"));
	snap_file_ops.forget(f->store, 3, slot9);
	assert_true(step(f));
	assert_false(exists(f, "snapshot-3-7"));
	assert_true(exists(f, "spare-3"));
	assert_int_equal(read_part(f, slot7, 0, 10), -ENOENT);
	commit(f, (struct decree_slot){ 11 });
	assert_false(exists(f, "spare-3"));
	assert_int_equal(fstatat(f->directory->fd, "snapshot-3-11", &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(load(f, slot9), 0);
	assert_int_equal(for_each_name(f, false), 2);
}

static void
test_an_aborted_writer_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	assert_false(write_some(f, slot7, 4));
	snap_file_ops.abort(f->store, 3);
	assert_int_equal(snap_file_ops.room(f->store, 3), 0);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot9), -EBUSY);
	assert_true(step(f));
	assert_false(reap(f));
	assert_int_equal(for_each_name(f, false), 0);
	commit(f, slot9);
}

static void
test_groups_write_at_the_same_time(void **state)
{
	struct fixture *f = *state;

	for (uint16_t group = 0; group < SNAP_WRITER_COUNT_MAX; group++) {
		assert_int_equal(snap_file_ops.begin(f->store, group, slot7), 0);
		snap_file_ops.write(f->store, group, f->data, 1000u + group);
		snap_file_ops.commit(f->store, group, base_digest(f->data, 1000u + group));
	}
	assert_int_equal(snap_file_ops.begin(f->store, 40, slot7), -EAGAIN);
	for (uint16_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++) {
		wait(f);
		assert_int_equal(f->last.kind, SNAP_COMMITTED);
		assert_int_equal(f->last.bytes, 1000u + f->last.group);
	}
	assert_int_equal(snap_file_ops.begin(f->store, 40, slot7), 0);
}

/* At 150 MB/s a piece is due every 874 us. */
static void
test_the_rate_is_bounded(void **state)
{
	struct fixture *f = *state;
	uint64_t written = 0;

	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	f->now_ns = 10 * STEP_NS;
	for (int i = 0; i < 1000; i++) {
		uint32_t count = snap_file_ops.room(f->store, 3);

		if (count > BYTES)
			count = BYTES;
		snap_file_ops.write(f->store, 3, f->data, count);
		written += count;
		f->now_ns += 100000;
		(void)snap_store_step(f->store, f->now_ns);
	}
	assert_in_range(written, 14000000, 16000000); /* in 100 ms */
}

/* What goes through while no time passes, after what @p used says. @return pieces written, and read again */
static uint64_t
pieces_at_once(struct fixture *f, uint32_t used)
{
	snap_file_ops.urge(f->store, 3, used);
	for (int i = 0; i < 100; i++)
		(void)snap_store_step(f->store, f->now_ns);
	return f->store->writers[0].piece_count + f->store->writers[0].verified_count;
}

/* The log fills up: the rate would make it wait. Both halves of the work go as fast as they must, and no faster. */
static void
test_a_snapshot_that_is_late_leaves_the_rate_behind(void **state)
{
	struct fixture *f = *state;

	commit(f, slot7); /* how large one is, is known from here on */
	f->now_ns += STEP_NS;
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot9), 0);
	snap_file_ops.write(f->store, 3, f->data, SNAP_RING_BYTES);
	assert_in_range(pieces_at_once(f, 0), 1, 3);
	assert_in_range(pieces_at_once(f, SNAP_URGE_MAX / 16), 1, 3);
	assert_int_equal(pieces_at_once(f, SNAP_URGE_MAX / 2), 4); /* all of the ring */
	snap_file_ops.write(f->store, 3, f->data + SNAP_RING_BYTES, BYTES - SNAP_RING_BYTES);
	snap_file_ops.commit(f->store, 3, base_digest(f->data, BYTES));
	/* 6 pieces, written and read: of twelve, seven are half and a sixteenth, rounded up. */
	assert_in_range(pieces_at_once(f, SNAP_URGE_MAX / 2), 6, 8);
	assert_in_range(pieces_at_once(f, SNAP_URGE_MAX / 4 * 3), 9, 10);
	assert_int_equal(pieces_at_once(f, SNAP_URGE_MAX), 12);
	assert_true(reap(f));
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
}

static void
test_another_digest_than_announced_fails(void **state)
{
	struct fixture *f = *state;

	commit(f, slot7);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot9), 0);
	snap_file_ops.write(f->store, 3, f->data, 1000);
	snap_file_ops.commit(f->store, 3, base_digest(f->data, 999));
	wait(f);
	assert_int_equal(f->last.kind, SNAP_FAILED);
	assert_int_equal(f->last.rc, -EBADMSG);
	assert_false(exists(f, "snapshot-3-9"));
	assert_int_equal(load(f, slot7), 0);
}

static void
flip(struct fixture *f, const char *name, uint64_t offset)
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
	struct fixture *f = *state;
	uint64_t end = SNAP_PAGE_BYTES + 6ull * SNAP_PIECE_BYTES + 6 * 8;

	commit(f, slot7);
	for (uint64_t at = 0; at < end; at += at < 104 || at >= end - 48 ? 1 : 4099) {
		if (at >= 104 && at < SNAP_PAGE_BYTES)
			continue; /* the page's padding */
		flip(f, "snapshot-3-7", at);
		assert_int_equal(reopen(f), 0);
		assert_int_equal(load(f, slot7), -EBADMSG);
		flip(f, "snapshot-3-7", at);
	}
	assert_int_equal(reopen(f), 0);
	assert_int_equal(load(f, slot7), 0);
	flip(f, "snapshot-3-7", SNAP_PAGE_BYTES + 2 * SNAP_PIECE_BYTES + 100);
	assert_int_equal(read_part(f, slot7, 10, 1000), 0);
	assert_int_equal(read_part(f, slot7, 2 * SNAP_PIECE_BYTES + 50000, 1), -EBADMSG);
	assert_int_equal(read_part(f, slot7, 4 * SNAP_PIECE_BYTES, 1), 0);
}

/* ---- files that rot while they are kept ---- */

static void
scrub(struct fixture *f)
{
	for (int i = 0; i < 40; i++) /* more than twice around: a piece in each step */
		(void)step(f);
}

static bool
is_damaged(struct fixture *f, struct decree_slot slot)
{
	return snap_file_ops.is_damaged(f->store, 3, slot);
}

/* Whatever load() would refuse is found while the store is open. */
static void
test_rot_of_a_kept_file_is_found(void **state)
{
	struct fixture *f = *state;
	uint64_t end = SNAP_PAGE_BYTES + 6ull * SNAP_PIECE_BYTES + 6 * 8;

	f->scrub_bytes_per_second = 1ull << 30;
	commit(f, slot7);
	for (uint64_t at = 0; at < end; at += at < 104 || at >= end - 48 ? 7 : 20011) {
		if (at >= 104 && at < SNAP_PAGE_BYTES)
			continue;
		assert_int_equal(reopen(f), 0);
		assert_int_equal(load(f, slot7), 0);
		scrub(f);
		assert_false(is_damaged(f, slot7));
		flip(f, "snapshot-3-7", at);
		scrub(f);
		assert_true(is_damaged(f, slot7));
		flip(f, "snapshot-3-7", at);
	}
	assert_int_equal(reopen(f), 0);
	assert_int_equal(load(f, slot7), 0);
	assert_int_equal(unlinkat(f->directory->fd, "snapshot-3-7", 0), 0);
	scrub(f);
	assert_true(is_damaged(f, slot7));
}

/* The one that takes its place is another file. What is not kept is not looked at. */
static void
test_a_new_snapshot_replaces_a_rotten_one(void **state)
{
	struct fixture *f = *state;

	f->scrub_bytes_per_second = 1ull << 30;
	assert_int_equal(reopen(f), 0);
	commit(f, slot7);
	flip(f, "snapshot-3-7", 20000);
	scrub(f);
	assert_false(is_damaged(f, slot7));
	snap_file_ops.forget(f->store, 3, slot7);
	scrub(f);
	assert_true(is_damaged(f, slot7));
	commit(f, slot9);
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
	struct fixture *f = *state;
	uint32_t pieces = 0;

	f->scrub_bytes_per_second = SNAP_PIECE_BYTES;
	assert_int_equal(reopen(f), 0);
	commit(f, slot7);
	snap_file_ops.forget(f->store, 3, slot7);
	(void)step(f); /* that is done */
	for (int i = 0; i < 500; i++) {
		f->now_ns += STEP_NS / 100;
		pieces += snap_store_step(f->store, f->now_ns);
	}
	assert_in_range(pieces, 3, 6);
}

static void
test_a_file_cut_short_is_found(void **state)
{
	struct fixture *f = *state;

	commit(f, slot7);
	for (off_t bytes = SNAP_PAGE_BYTES + 6 * SNAP_PIECE_BYTES; bytes >= 0; bytes -= 60000) {
		int fd = openat(f->directory->fd, "snapshot-3-7", O_RDWR);

		assert_int_equal(ftruncate(fd, bytes), 0);
		close(fd);
		assert_int_equal(reopen(f), 0);
		assert_int_equal(load(f, slot7), -EBADMSG);
	}
}

static void
test_a_file_of_another_cluster_or_slot_is_refused(void **state)
{
	struct fixture *f = *state;

	commit(f, slot7);
	assert_int_equal(
		renameat(f->directory->fd, "snapshot-3-7", f->directory->fd, "snapshot-3-9"), 0);
	assert_int_equal(reopen(f), 0);
	assert_int_equal(load(f, slot9), -EBADMSG);
	assert_non_null(strstr(f->error, "renamed"));
	assert_int_equal(
		renameat(f->directory->fd, "snapshot-3-9", f->directory->fd, "snapshot-3-7"), 0);
	f->cluster_id++;
	assert_int_equal(reopen(f), 0);
	assert_int_equal(load(f, slot7), -EBADMSG);
	assert_non_null(strstr(f->error, "another cluster"));
}

static void
test_foreign_files_are_left_alone(void **state)
{
	static const char *const names[] = { "notes.txt", "snapshot-3-07", "snapshot-3-7.old",
		"snapshot-99-1", "spare-x" };
	struct fixture *f = *state;
	const char *name;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		close(openat(f->directory->fd, names[i], O_CREAT | O_WRONLY, 0600));
	assert_int_equal(reopen(f), 0);
	assert_int_equal(snap_directory_foreign_count(f->directory, &name), 5);
	commit(f, slot7);
	commit(f, slot9);
	snap_file_ops.forget(f->store, 3, slot9);
	assert_true(step(f));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(exists(f, names[i]));
}

static void
test_a_directory_that_is_missing_or_in_use_is_refused(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	snap_file_ops.write(f->store, 3, f->data, 1000);
	wait(f);
	assert_int_equal(f->last.kind, SNAP_FAILED);
	assert_int_equal(f->last.rc, -ENOENT);
	assert_int_equal(snap_file_ops.begin(f->store, 3, slot7), 0);
	assert_int_equal(mkdir(f->path, 0700), 0); /* for the teardown */
}

/* ------------------------------------------------------------------------------ two threads */

struct server {
	struct fixture *f;
	_Atomic bool stop;
};

static void *
serve(void *context)
{
	struct server *server = context;
	uint64_t now_ns = 0;

	while (!atomic_load(&server->stop))
		if (!snap_store_step(server->f->store, now_ns += STEP_NS))
			sched_yield();
	return NULL;
}

/* Pieces of odd sizes, reads of the one before, every third one given up: as a shard does, beside the thread. */
static void
write_beside(struct fixture *f, uint64_t slot)
{
	uint32_t done = 0, last = (uint32_t)(slot % 3 == 0 ? BYTES / 2 : BYTES);

	while (snap_file_ops.begin(f->store, 3, (struct decree_slot){ slot }) == -EBUSY)
		(void)reap(f); /* until the thread has noticed that the one before was given up */
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
		if (reap(f) && f->last.rc == 0)
			assert_int_equal(f->last.kind, SNAP_READ);
	}
	if (last < BYTES) {
		snap_file_ops.abort(f->store, 3);
		return;
	}
	snap_file_ops.commit(f->store, 3, base_digest(f->data, BYTES));
	do {
		while (!reap(f))
			sched_yield();
	} while (f->last.kind != SNAP_COMMITTED && f->last.kind != SNAP_FAILED);
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
	snap_file_ops.forget(f->store, 3, (struct decree_slot){ slot });
}

static void
test_shard_and_server_run_beside_each_other(void **state)
{
	struct fixture *f = *state;
	struct server server = { .f = f };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
	for (uint64_t slot = 1; slot <= 20; slot++)
		write_beside(f, slot);
	atomic_store(&server.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(load(f, (struct decree_slot){ 20 }), 0);
}

/* ------------------------------------------------------------------------------ a full disk */

/* 2 MiB of memory as a file system; needs to be root. @return false if it cannot be had */
static bool
mount_small(struct fixture *f)
{
	snap_store_close(f->store);
	snap_directory_close(f->directory);
	f->store = NULL;
	f->directory = NULL;
	return mount("tmpfs", f->path, "tmpfs", 0, "size=2m") == 0;
}

static void
unmount_small(struct fixture *f)
{
	snap_store_close(f->store);
	snap_directory_close(f->directory);
	f->store = NULL;
	f->directory = NULL;
	assert_int_equal(umount(f->path), 0);
}

static void
fill_disk(struct fixture *f, const char *name, uint64_t bytes)
{
	int fd = openat(f->directory->fd, name, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, (off_t)bytes), 0);
	close(fd);
}

static void
test_a_full_disk_spends_the_reserve_and_then_refuses(void **state)
{
	struct fixture *f = *state;

	f->reserve_bytes = 1 << 20;
	if (!mount_small(f))
		skip();
	assert_int_equal(reopen(f), 0);
	assert_false(snap_file_ops.is_space_low(f->store));
	fill_disk(f, "other", 960 << 10);
	commit(f, slot7); /* needs what was kept back */
	assert_true(snap_file_ops.is_space_low(f->store));
	assert_true(write_some(f, slot9, 1000));
	assert_int_equal(f->last.kind, SNAP_FAILED);
	assert_int_equal(f->last.rc, -ENOSPC);
	assert_non_null(strstr(f->last.text, "make room"));
	assert_int_equal(load(f, slot7), 0);
	assert_false(exists(f, "snapshot-3.tmp"));

	assert_int_equal(unlinkat(f->directory->fd, "other", 0), 0);
	for (int i = 0; i < 10; i++)
		(void)step(f);
	assert_false(snap_file_ops.is_space_low(f->store));
	assert_true(exists(f, "reserve"));
	unmount_small(f);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
		TEST(test_damage_anywhere_is_found),
		TEST(test_rot_of_a_kept_file_is_found),
		TEST(test_a_new_snapshot_replaces_a_rotten_one),
		TEST(test_scrubbing_keeps_to_its_rate),
		TEST(test_a_file_cut_short_is_found),
		TEST(test_a_file_of_another_cluster_or_slot_is_refused),
		TEST(test_foreign_files_are_left_alone),
		TEST(test_a_directory_that_is_missing_or_in_use_is_refused),
		TEST(test_a_directory_that_vanishes_costs_one_snapshot),
		TEST(test_shard_and_server_run_beside_each_other),
		TEST(test_a_full_disk_spends_the_reserve_and_then_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
