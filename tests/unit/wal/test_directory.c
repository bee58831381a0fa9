/* SPDX-License-Identifier: Apache-2.0 */
/* A log in a real directory, through io_uring: the current directory's file system must have direct
 * I/O. */
#include "wal/directory.h"
#include "wal/disk_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct directory {
	char path[64];
	struct wal_format format;
	struct wal *wal;
	uint64_t found_count;
	uint64_t found_last;
	char error[DECREE_ERROR_BYTES];
};

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t payload_bytes)
{
	struct directory *d = context;

	(void)place, (void)tag;
	assert_int_equal(payload_bytes, 1000);
	memcpy(&d->found_last, payload, sizeof(d->found_last));
	assert_int_equal(d->found_last, d->found_count);
	d->found_count++;
	return 0;
}

static int
directory_open(struct directory *d, enum decree_log_mode mode)
{
	struct wal_config cfg = {
		.mode = mode,
		.recovery = { .context = d, .record = on_record },
	};

	d->found_count = 0;
	return wal_directory_open(d->path, &cfg, 0, &d->wal, d->error);
}

static void
directory_close(struct directory *d)
{
	wal_close(d->wal);
	d->wal = NULL;
}

static uint64_t
append_durably(struct wal *wal, uint64_t number)
{
	uint8_t payload[1000] = { 0 }, tag[LOG_TAG_BYTES] = { 0 };
	struct log_record record = {
		.tag = tag, .payload = payload, .payload_bytes = sizeof(payload)
	};
	struct log_completion done;
	struct log_place place;

	memcpy(payload, &number, sizeof(number));
	if (wal_log_ops.append(wal, &record, 1, &place) != 1)
		return 0;
	do {
		wal_log_ops.submit(
			wal, 1); /* in every turn: a record at the buffer's end takes two writes */
		sched_yield();
	} while (wal_log_ops.reap(wal, 1, &done, 1) == 0 || done.lsn < place.lsn);
	return done.kind == LOG_DURABLE ? done.lsn : 0;
}

static int
setup(void **state)
{
	struct directory *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	snprintf(d->path, sizeof(d->path), "test_directory.XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->format = (struct wal_format){ .uuid = { .bytes = "directory test" },
		.log_bytes = 8 << 20,
		.segment_bytes = 1 << 20 };
	if (wal_directory_format(d->path, &d->format, d->error) != 0)
		fail_msg("%s", d->error);
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "identity", "hardstate", "segments", "identifiers" };
	struct directory *d = *state;
	char path[128];

	wal_close(d->wal);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", d->path, names[i]);
		(void)unlink(path); /* a test may have removed it */
	}
	assert_int_equal(rmdir(d->path), 0);
	free(d);
	return 0;
}

static void
test_records_come_back_after_a_close(void **state)
{
	struct directory *d = *state;

	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
	for (uint64_t number = 0; number < 100; number++)
		assert_int_equal(append_durably(d->wal, number), number + 1);
	directory_close(d);
	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
	assert_int_equal(d->found_count, 100);
}

static void
test_a_second_format_is_refused(void **state)
{
	struct directory *d = *state;

	assert_int_equal(wal_directory_format(d->path, &d->format, d->error), -EEXIST);
}

/* The child reports each durable record through a pipe, and dies in the middle of it. */
static void
test_what_was_reported_survives_kill_9(void **state)
{
	struct directory *d = *state;
	uint64_t reported = 0, lsn;
	int fds[2];
	pid_t child;

	for (int round = 1; round <= 3; round++) {
		assert_int_equal(pipe(fds), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			if (directory_open(d, DECREE_LOG_DURABLE) != 0)
				_exit(1);
			for (uint64_t number = d->found_count;; number++) {
				lsn = append_durably(d->wal, number);
				number = lsn - 1;
				if (write(fds[1], &lsn, sizeof(lsn)) != sizeof(lsn))
					_exit(1);
			}
		}
		(void)close(fds[1]);
		while (reported < 200ull * (uint64_t)round &&
			read(fds[0], &lsn, sizeof(lsn)) == sizeof(lsn))
			reported = lsn;
		kill(child, SIGKILL);
		while (read(fds[0], &lsn, sizeof(lsn)) == sizeof(lsn))
			reported = lsn;
		(void)close(fds[0]);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_true(reported >= 200ull * (uint64_t)round);
	}
	if (directory_open(d, DECREE_LOG_DURABLE) != 0)
		fail_msg("%s", d->error);
	assert_true(d->found_count >= reported);
	assert_true(d->found_count <= reported + 1);
}

static void
test_a_directory_in_use_is_refused(void **state)
{
	struct directory *d = *state, other = *d;

	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
	assert_int_equal(directory_open(&other, DECREE_LOG_DURABLE), -EBUSY);
	assert_non_null(strstr(other.error, "running process"));
	directory_close(d);
	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
}

static void
test_a_missing_directory_or_file_is_named(void **state)
{
	struct directory *d = *state, other = *d;
	char path[128];

	snprintf(other.path, sizeof(other.path), "no_such_directory");
	assert_int_equal(directory_open(&other, DECREE_LOG_DURABLE), -ENOENT);
	snprintf(path, sizeof(path), "%s/segments", d->path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), -ENOENT);
	assert_non_null(strstr(d->error, "segments"));
}

/* Tools that only read are refused while a node runs, and keep one from being started; two of them
 * do not mind. */
static void
test_who_only_reads_keeps_writers_out(void **state)
{
	struct disk_uring_config read = { .is_read_only = true }, write = { 0 };
	struct disk_uring *reader, *other;
	struct directory *d = *state;

	read.path = d->path;
	write.path = d->path;
	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
	assert_int_equal(disk_uring_open(&read, &reader, d->error), -EBUSY);
	directory_close(d);
	read.lock_wait_ms = 30000; /* the kernel ends a ring when it gets to it */
	assert_int_equal(disk_uring_open(&read, &reader, d->error), 0);
	assert_int_equal(disk_uring_open(&read, &other, d->error), 0);
	disk_uring_close(other);
	assert_int_equal(disk_uring_open(&write, &other, d->error), -EBUSY);
	disk_uring_close(reader);
	write.lock_wait_ms = 30000;
	assert_int_equal(disk_uring_open(&write, &other, d->error), 0);
	disk_uring_close(other);
}

static void
test_a_full_disk_is_a_clear_error(void **state)
{
	struct directory *d = *state;
	struct directory big = { .path = "test_directory_big" };
	char path[128];

	(void)d;
	big.format = (struct wal_format){ .log_bytes = 1ull << 44 }; /* 16 TiB */
	assert_int_equal(wal_directory_format(big.path, &big.format, big.error), -ENOSPC);
	assert_non_null(strstr(big.error, "smaller log_bytes"));
	snprintf(path, sizeof(path), "%s/identity", big.path);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/segments", big.path);
	(void)unlink(path); /* may not have been made */
	assert_int_equal(rmdir(big.path), 0);
}

/* Of all fsyncs of this program; see meson.build. */
static uint32_t fsync_count, fsync_failing;
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int
__wrap_fsync(int fd)
{
	if (++fsync_count != fsync_failing)
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

/* The one after a failed one would say that all is well. */
static void
test_a_failed_fsync_is_the_last_one(void **state)
{
	struct directory *d = *state;
	int rc;

	for (fsync_failing = 1;; fsync_failing++) {
		fsync_count = 0;
		rc = directory_open(d, DECREE_LOG_DURABLE);
		if (rc == 0)
			break;
		assert_int_equal(rc, -EIO);
		assert_int_equal(fsync_count, fsync_failing);
	}
	assert_true(fsync_failing > 4);
	fsync_failing = 0;
	directory_close(d);
}

static void
test_buffered_survives_a_process_and_not_a_boot(void **state)
{
	struct directory *d = *state;

	assert_int_equal(directory_open(d, DECREE_LOG_BUFFERED), 0);
	for (uint64_t number = 0; number < 10; number++)
		append_durably(d->wal, number);
	directory_close(d);
	assert_int_equal(directory_open(d, DECREE_LOG_BUFFERED), 0);
	assert_int_equal(d->found_count, 10);
}

/* Protocol 11.10: whoever ran in mode memory is lost after a restart, whatever the next mode. */
static void
test_memory_mode_is_for_one_life(void **state)
{
	struct directory *d = *state, other = *d;

	assert_int_equal(directory_open(d, DECREE_LOG_MEMORY), 0);
	for (uint64_t number = 0; number < 200000; number++)
		assert_int_equal(append_durably(d->wal, number), number + 1);
	assert_int_equal(directory_open(&other, DECREE_LOG_MEMORY), -EBUSY);
	directory_close(d);
	assert_int_equal(directory_open(d, DECREE_LOG_MEMORY), -ESTALE);
	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), -ESTALE);
	assert_non_null(strstr(d->error, "memory"));
}

static void
test_memory_mode_refuses_a_log_with_a_past(void **state)
{
	struct directory *d = *state;

	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
	append_durably(d->wal, 0);
	directory_close(d);
	assert_int_equal(directory_open(d, DECREE_LOG_MEMORY), -ESTALE);
	assert_int_equal(directory_open(d, DECREE_LOG_DURABLE), 0);
	assert_int_equal(d->found_count, 1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_records_come_back_after_a_close),
		T(test_a_second_format_is_refused),
		T(test_what_was_reported_survives_kill_9),
		T(test_a_directory_in_use_is_refused),
		T(test_a_missing_directory_or_file_is_named),
		T(test_who_only_reads_keeps_writers_out),
		T(test_a_full_disk_is_a_clear_error),
		T(test_a_failed_fsync_is_the_last_one),
		T(test_buffered_survives_a_process_and_not_a_boot),
		T(test_memory_mode_is_for_one_life),
		T(test_memory_mode_refuses_a_log_with_a_past),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
