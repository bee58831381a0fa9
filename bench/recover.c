/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast recovery reads a log, against the disk itself.
 *
 * A log of the given size is filled with records of one size and closed. Then rounds alternate (A B
 * C A B C ...): the file `segments` read from front to back with O_DIRECT, one request of 1 MiB at
 * a time (dd) and eight at a time (as fast as the disk can), and the log opened for reading with
 * everything that a node's start does in the log. Nothing comes from the page cache.
 */
#include "apps/options.h"
#include "base/clock.h"
#include "wal/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES     (1u << 20)
#define DEPTH_MAX       8
#define ROUND_COUNT_MAX 100
#define BURST           256

enum kind {
	RAW_ONE = 0,
	RAW_MANY = 1,
	LOG = 2,
	KIND_COUNT = 3,
};

struct options {
	const char *directory;
	uint32_t payload_bytes;
	uint32_t log_mib;
	uint32_t round_count;
};

struct result {
	uint64_t ns[KIND_COUNT][ROUND_COUNT_MAX];
	uint64_t cpu_ns[ROUND_COUNT_MAX]; /* of recovery */
	uint64_t record_count;
	uint64_t bytes; /* of `segments` that hold records, in whole MiB */
};

static void
die(const char *what, int rc)
{
	fprintf(stderr, "recover: %s: %s\n", what, strerror(-rc));
	exit(1);
}

/* ------------------------------------------------------------------------------ the log */

/* Turns, one at least, until that record is durable. */
static void
settle(struct wal *wal, uint64_t lsn)
{
	struct log_completion done[8];
	uint64_t durable_lsn = 0;

	do {
		uint64_t t = base_now_ns();

		wal_log_ops.submit(wal, t);
		for (uint32_t i = 0, n = wal_log_ops.reap(wal, t, done, 8); i < n; i++) {
			if (done[i].kind == LOG_FAILED)
				die("log", done[i].rc);
			durable_lsn = done[i].kind == LOG_DURABLE ? done[i].lsn : durable_lsn;
		}
	} while (durable_lsn < lsn);
}

static void
log_fill(const struct options *o, const char *path, struct result *ret)
{
	static uint8_t payload[WAL_PAYLOAD_BYTES_MAX], tag[LOG_TAG_BYTES];
	struct wal_format format = { .uuid.bytes = { 1 },
		.log_bytes = (uint64_t)o->log_mib << 20,
		.payload_bytes_max = o->payload_bytes };
	const struct wal_config cfg = { .prewrite_bytes_per_second = 1ull << 40 };
	struct log_record records[BURST];
	struct log_place places[BURST] = { 0 };
	char error[DECREE_ERROR_BYTES];
	struct wal *wal;

	if (wal_directory_format(path, &format, error) != 0 ||
		wal_directory_open(path, &cfg, 0, &wal, error) != 0) {
		fprintf(stderr, "recover: %s\n", error);
		exit(1);
	}
	memset(payload, 0x5a, sizeof(payload));
	for (uint32_t i = 0; i < BURST; i++)
		records[i] = (struct log_record){
			.tag = tag, .payload = payload, .payload_bytes = o->payload_bytes
		};
	for (;;) {
		struct log_room room = wal_log_ops.room(wal);
		uint32_t count;

		if (room.space_record_count + room.space_record_count_unprepared <= BURST)
			break;
		count = wal_log_ops.append(wal, records, BURST, places);
		settle(wal, count > 0 ? places[count - 1].lsn : 0);
		ret->record_count += count; /* 0: space is being prepared */
		if (count > 0)
			ret->bytes = places[count - 1].position % format.log_bytes / PIECE_BYTES *
				     PIECE_BYTES;
	}
	wal_close(wal);
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t payload_bytes)
{
	uint64_t *count = context;

	(void)place;
	(void)tag;
	(void)payload;
	*count += payload_bytes > 0;
	return 0;
}

static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	(void)context;
	(void)tag;
	fprintf(stderr, "recover: record %llu is damaged\n", (unsigned long long)place->lsn);
	return -EBADMSG;
}

static uint64_t
log_round(const char *path, uint64_t expected)
{
	uint64_t count = 0, start = base_now_ns();
	const struct wal_config cfg = {
		.is_read_only = true,
		.recovery = { .context = &count, .record = on_record, .damaged = on_damaged },
	};
	char error[DECREE_ERROR_BYTES];
	struct wal *none;

	if (wal_directory_open(path, &cfg, 0, &none, error) != 0) {
		fprintf(stderr, "recover: %s\n", error);
		exit(1);
	}
	if (count != expected)
		die("records are missing", -EBADMSG);
	return base_now_ns() - start;
}

/* ------------------------------------------------------------------------------ the disk alone */

static void
raw_start(struct io_uring *ring, int fd, uint8_t *buffer, uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, fd, buffer, PIECE_BYTES, offset);
	io_uring_sqe_set_data(sqe, buffer);
}

static uint64_t
raw_round(const char *file, uint64_t bytes, uint32_t depth)
{
	uint8_t *buffer = aligned_alloc(4096, (size_t)DEPTH_MAX * PIECE_BYTES);
	int fd = open(file, O_RDONLY | O_DIRECT | O_CLOEXEC);
	uint64_t start, issued = 0, done = 0;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	if (fd < 0 || buffer == NULL || io_uring_queue_init(DEPTH_MAX, &ring, 0) != 0)
		die(file, -errno);
	memset(buffer, 0, (size_t)DEPTH_MAX * PIECE_BYTES);
	start = base_now_ns();
	for (; issued < (uint64_t)depth * PIECE_BYTES; issued += PIECE_BYTES)
		raw_start(&ring, fd, buffer + issued, issued);
	while (done < bytes) {
		io_uring_submit_and_wait(&ring, 1);
		if (io_uring_wait_cqe(&ring, &cqe) != 0 || cqe->res != (int)PIECE_BYTES)
			die(file, -EIO);
		done += PIECE_BYTES;
		if (issued < bytes) {
			raw_start(&ring, fd, io_uring_cqe_get_data(cqe), issued);
			issued += PIECE_BYTES;
		}
		io_uring_cqe_seen(&ring, cqe);
	}
	start = base_now_ns() - start;
	io_uring_queue_exit(&ring);
	(void)close(fd);
	free(buffer);
	return start;
}

/* ------------------------------------------------------------------------------ the report */

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(const struct options *o, struct result *r)
{
	static const char *const names[] = { "raw, 1 read of 1 MiB", "raw, 8 reads of 1 MiB",
		"recovery" };
	double speed[KIND_COUNT];

	printf("%llu MiB of records in a log of %u MiB, %llu records of %u bytes, O_DIRECT, median "
	       "of %u rounds\n",
		(unsigned long long)(r->bytes >> 20), o->log_mib,
		(unsigned long long)r->record_count, o->payload_bytes, o->round_count);
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		uint64_t *ns = r->ns[kind];

		qsort(ns, o->round_count, sizeof(*ns), compare);
		speed[kind] = (double)r->bytes / (double)ns[o->round_count / 2] * 1e9 / (1 << 20);
		printf("%-22s %7.0f MiB/s  %6.3f s  (%.3f - %.3f)\n", names[kind], speed[kind],
			(double)ns[o->round_count / 2] / 1e9, (double)ns[0] / 1e9,
			(double)ns[o->round_count - 1] / 1e9);
	}
	qsort(r->cpu_ns, o->round_count, sizeof(r->cpu_ns[0]), compare);
	printf("recovery took %.3f s of CPU: a faster disk would be read at %.0f MiB/s at most\n",
		(double)r->cpu_ns[o->round_count / 2] / 1e9,
		(double)r->bytes / (double)r->cpu_ns[o->round_count / 2] * 1e9 / (1 << 20));
	printf("recovery reads at %.0f %% of one read at a time, %.0f %% of eight\n",
		100 * speed[LOG] / speed[RAW_ONE], 100 * speed[LOG] / speed[RAW_MANY]);
}

static void
log_remove(const char *path)
{
	static const char *const names[] = { "identity", "hardstate", "segments", "identifiers" };
	char file[512];

	for (int i = 0; i < 4; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		(void)unlink(file);
	}
	(void)rmdir(path);
}

static const char about[] = "How fast recovery reads a full log on the disk of DIRECTORY, against "
			    "reading the same file without looking at it, in turns.";

int
main(int argc, char **argv)
{
	struct options o = { .payload_bytes = 1328, .log_mib = 1024, .round_count = 5 };
	const struct option_row rows[] = {
		{ "payload", 0, "N", "bytes of a record", .number32 = &o.payload_bytes, .min = 1,
			.max = WAL_PAYLOAD_BYTES_MAX },
		{ "mib", 0, "N", "size of the log, a multiple of 64", .number32 = &o.log_mib,
			.min = 64, .max = 1 << 16 },
		{ "rounds", 0, "N", "rounds of each kind", .number32 = &o.round_count, .min = 1,
			.max = ROUND_COUNT_MAX },
	};
	const struct option_page page = { "[OPTION ...] DIRECTORY", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	struct result r = { 0 };
	char path[256], file[300];
	int first, status;

	options_set_program("recover", "");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first != argc - 1)
		return complain_usage("one DIRECTORY is needed: where to write");
	o.directory = argv[first];
	snprintf(path, sizeof(path), "%s/recover-log", o.directory);
	snprintf(file, sizeof(file), "%s/segments", path);
	log_fill(&o, path, &r);
	for (uint32_t round = 0; round < o.round_count; round++) {
		r.ns[RAW_ONE][round] = raw_round(file, r.bytes, 1);
		r.ns[RAW_MANY][round] = raw_round(file, r.bytes, DEPTH_MAX);
		r.cpu_ns[round] = base_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		r.ns[LOG][round] = log_round(path, r.record_count);
		r.cpu_ns[round] = base_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - r.cpu_ns[round];
	}
	log_remove(path);
	report(&o, &r);
	return 0;
}
