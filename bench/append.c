/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a durable append, and what the log adds to it.
 *
 * N processes (as many as nodes share a disk) each write blocks of a fixed size, one at a time, to
 * a pre-written O_DIRECT file of their own with io_uring and RWF_DSYNC, polling with sched_yield:
 * the raw floor, without a line of the log's code. With --wal, rounds of the raw loop and of
 * one-record appends to a real log alternate (A B A B), so that both see the same disk. --prewrite
 * leaves the log's background pre-writing on during the rounds.
 */
#include "apps/options.h"
#include "base/clock.h"
#include "bench/raw.h"
#include "bench/wait.h"
#include "wal/directory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITER_COUNT_MAX 16
#define FILE_BYTES       (64u << 20)

enum kind {
	RAW = 0,
	LOG = 1,
};

struct options {
	const char *directory;
	uint32_t writer_count;
	uint32_t bytes;
	uint32_t count; /* appends of a writer in a round */
	uint32_t round_count;
	uint32_t payload_bytes;
	bool with_wal;
	bool with_prewrite;
};

/* Shared by all processes. */
struct board {
	_Atomic uint32_t arrived; /* writers at the barrier, over all rounds */
	uint64_t latency_ns[];    /* [kind][writer][round][count] */
};

static void
die(const char *what, int rc)
{
	fprintf(stderr, "append: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static uint64_t *
latencies(const struct options *o, struct board *b, enum kind kind, uint32_t writer, uint32_t round)
{
	size_t index = ((size_t)kind * o->writer_count + writer) * o->round_count + round;

	return b->latency_ns + index * o->count;
}

static struct raw *
raw_begin(const struct options *o, uint32_t writer, char *path, size_t capacity)
{
	struct raw *r = NULL;
	int rc;

	snprintf(path, capacity, "%s/raw%u", o->directory, writer);
	rc = raw_file_make(path, FILE_BYTES);
	if (rc == 0)
		rc = raw_open(path, RAW_DSYNC, &r);
	if (rc != 0)
		die(path, rc);
	return r;
}

static void
log_path(char *to, size_t bytes, const struct options *o, uint32_t writer)
{
	snprintf(to, bytes, "%s/log%u", o->directory, writer);
}

static struct wal *
log_open(const struct options *o, uint32_t writer)
{
	struct wal_config cfg = { .prewrite_bytes_per_second = o->with_prewrite ? 0 : 1 };
	struct wal_format format = { .payload_bytes_max = o->payload_bytes };
	char path[256], error[DECREE_ERROR_BYTES];
	struct wal *wal;

	format.uuid.bytes[0] = (uint8_t)(writer + 1);
	log_path(path, sizeof(path), o, writer);
	if (wal_directory_format(path, &format, error) != 0 ||
		wal_directory_open(path, &cfg, 0, &wal, error) != 0) {
		fprintf(stderr, "append: %s\n", error);
		exit(1);
	}
	return wal;
}

static void
log_append(struct wal *wal, const struct options *o)
{
	static uint8_t payload[WAL_PAYLOAD_BYTES_MAX], tag[LOG_TAG_BYTES];
	struct log_record record = {
		.tag = tag, .payload = payload, .payload_bytes = o->payload_bytes
	};
	struct log_completion done;
	struct log_place place;
	uint64_t durable_lsn = 0, began = base_now_ns();

	if (wal_log_ops.append(wal, &record, 1, &place) != 1)
		die("log append (the log is full: fewer rounds)", -ENOSPC);
	while (durable_lsn < place.lsn) {
		uint64_t t = base_now_ns();

		wal_log_ops.submit(wal, t);
		if (wal_log_ops.reap(wal, t, &done, 1) == 0)
			wait_a_little(t - began);
		else if (done.kind == LOG_FAILED)
			die("log", done.rc);
		else
			durable_lsn = done.lsn;
	}
}

static void
barrier(const struct options *o, struct board *b, uint32_t *turn)
{
	uint32_t target = ++*turn * o->writer_count;

	atomic_fetch_add(&b->arrived, 1);
	while (atomic_load(&b->arrived) < target)
		usleep(500);
}

static void
writer_run(const struct options *o, struct board *b, uint32_t writer)
{
	struct wal *wal = o->with_wal ? log_open(o, writer) : NULL;
	char path[256];
	struct raw *raw = raw_begin(o, writer, path, sizeof(path));
	uint32_t turn = 0;
	int rc;

	for (uint32_t round = 0; round < o->round_count; round++) {
		for (int kind = RAW; kind <= (o->with_wal ? LOG : RAW); kind++) {
			uint64_t *latency = latencies(o, b, (enum kind)kind, writer, round);

			barrier(o, b, &turn);
			for (uint32_t i = 0; i < o->count; i++) {
				uint64_t start = base_now_ns();

				if (kind == LOG)
					log_append(wal, o);
				else if ((rc = raw_append(raw, o->bytes)) != 0)
					die("raw write", rc);
				latency[i] = base_now_ns() - start;
			}
		}
	}
	barrier(o, b, &turn);
	wal_close(wal);
	raw_close(raw);
	(void)unlink(path);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Of [count] values in order; a percentile takes ten values above it. */
static void
print_percentile(const uint64_t *values, size_t count, const char *name, size_t one_in)
{
	if (count >= 10 * one_in)
		printf("  %s %6.1f us", name, (double)values[count - 1 - count / one_in] / 1e3);
	else
		printf("  %s %6s us", name, "-");
}

static void
report(const struct options *o, struct board *b, enum kind kind, const char *name)
{
	size_t count = (size_t)o->writer_count * o->round_count * o->count;
	uint64_t *all = latencies(o, b, kind, 0, 0);

	qsort(all, count, sizeof(*all), compare);
	printf("%-4s %u writer(s), %u bytes:", name, o->writer_count,
		kind == RAW ? o->bytes : o->payload_bytes);
	print_percentile(all, count, "p50", 2);
	print_percentile(all, count, "p99", 100);
	print_percentile(all, count, "p99.9", 1000);
	printf("  max %8.1f us  (%zu)\n", (double)all[count - 1] / 1e3, count);
}

static void
logs_remove(const struct options *o)
{
	static const char *const names[] = { "identity", "hardstate", "segments", "identifiers" };
	char path[256], file[320];

	for (uint32_t writer = 0; writer < o->writer_count; writer++) {
		log_path(path, sizeof(path), o, writer);
		for (int i = 0; i < 4; i++) {
			snprintf(file, sizeof(file), "%s/%s", path, names[i]);
			(void)unlink(file);
		}
		(void)rmdir(path);
	}
}

static const char about[] = "What a durable append costs on the disk of DIRECTORY: single blocks "
			    "with O_DIRECT and RWF_DSYNC by several processes at once, and with "
			    "--wal the same through the log, in turns.";

/* @return OPTIONS_GO_ON, or the exit status */
static int
take_arguments(struct options *o, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "writers", 0, "N", "processes that write", .number32 = &o->writer_count, .min = 1,
			.max = WRITER_COUNT_MAX },
		{ "bytes", 0, "N", "a block of the raw loop, a multiple of 512",
			.number32 = &o->bytes, .min = 512, .max = 1 << 20 },
		{ "count", 0, "N", "appends of a writer in a round", .number32 = &o->count,
			.min = 1, .max = 10000000 },
		{ "rounds", 0, "N", "rounds of each kind", .number32 = &o->round_count, .min = 1,
			.max = 1000 },
		{ "wal", 0, NULL, "measure the log, too", .flag = &o->with_wal },
		{ "payload", 0, "N", "bytes of a record of the log", .number32 = &o->payload_bytes,
			.max = WAL_PAYLOAD_BYTES_MAX },
		{ "prewrite", 0, NULL, "the log goes on pre-writing meanwhile",
			.flag = &o->with_prewrite },
	};
	const struct option_page page = { "[OPTION ...] DIRECTORY", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first;
	int status;

	options_set_program("append", "");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first != argc - 1)
		return complain_usage("one DIRECTORY is needed: where to write");
	if (o->bytes % 512 != 0)
		return complain_usage("--bytes %u: expected a multiple of 512", o->bytes);
	o->directory = argv[first];
	return OPTIONS_GO_ON;
}

int
main(int argc, char **argv)
{
	struct options o = {
		.writer_count = 3,
		.bytes = 4096,
		.count = 500,
		.round_count = 6,
		.payload_bytes = 1336,
	};
	struct board *board;
	size_t bytes;
	int failed = 0, status = take_arguments(&o, argc, argv);

	if (status != OPTIONS_GO_ON)
		return status;
	bytes = sizeof(*board) + sizeof(uint64_t) * 2 * o.writer_count * o.round_count * o.count;
	board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		die("memory", -errno);
	for (uint32_t writer = 0; writer < o.writer_count; writer++) {
		pid_t child = fork();

		if (child < 0)
			die("fork", -errno);
		if (child == 0) {
			writer_run(&o, board, writer);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	if (o.with_wal)
		logs_remove(&o);
	if (failed != 0)
		return 1;
	printf("log mode durable, io_uring RWF_DSYNC, polling with sched_yield\n");
	report(&o, board, RAW, "raw");
	if (o.with_wal)
		report(&o, board, LOG, "log");
	return 0;
}
