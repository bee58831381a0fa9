/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log alone, against the disk under it: how long an append takes, how much goes through, and
 * how many writes and flushes of the device that costs.
 *
 * Two tables for each size of an append: with one append in flight (latencies), and saturated
 * (throughput). The ways to append are measured in turns, for a fraction of a second each (A B C
 * ... A B C ...), so that all see the same disk, and medians of the rounds are printed: absolute
 * times wander, ratios of one round do not.
 *
 * The rows `same` answer how much of the disk's durable bandwidth the log uses: raw writes that are
 * as large as those that the log made just before.
 */
#include "apps/options.h"
#include "bench/counters.h"
#include "bench/raw.h"
#include "bench/wal/results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAW_FILE_BYTES_MAX (64u << 20)

struct options {
	const char *folder;
	const char *sizes;
	const char *only;
	double seconds;
	uint32_t round_count;
	uint32_t depth;
	uint32_t mib;
	const char *json;
	const char *plot;
};

static const struct row all_rows[] = {
	{ "log", "the log as a node runs it, mode durable", &way_log, true, 1 },
	{ "raw", "io_uring, RWF_DSYNC on a pre-written O_DIRECT file, polling with sched_yield",
		&way_raw, true, 1 },
	{ "fdatasync", "pwrite and fdatasync on a file that grows", &way_fdatasync, true, 1 },
	{ "dsync", "pwrite on a pre-written O_DIRECT and O_DSYNC file", &way_dsync, true, 1 },
	{ "fio", "fio, io_uring, O_DIRECT and O_DSYNC on the pre-written file", &way_fio, true, 1 },
	{ "sqpoll", "as raw, submitted by a polling thread of the kernel", &way_sqpoll, true, 1 },
	{ "linked", "as raw, a plain write with an fdatasync linked to it", &way_linked, true, 1 },
	{ "thread", "as raw, by a thread that takes writes from a ring", &way_thread, true, 1 },
	{ "memory", "the log in mode memory: what it costs without a disk", &way_log_memory, true,
		1 },
	{ "log", "the log as a node runs it: a second write in flight only if it is large",
		&way_log, false, 0 },
	{ "log-1", "the log with one write in flight", &way_log_one, false, 0 },
	{ "log-2", "the log with two writes in flight", &way_log_two, false, 0 },
	{ "memory", "the same without a disk", &way_log_memory, false, 0 },
	{ "raw", "as above, with --depth writes in flight", &way_raw, false, 0 },
	{ "fio", "as above, with --depth writes in flight", &way_fio, false, 0 },
	{ "same", "raw writes as large as those of the log, one in flight", &way_raw, false, 1,
		true },
	{ "same-2", "the same, two in flight", &way_raw, false, 2, true },
	{ "same-4", "the same, four in flight", &way_raw, false, 4, true },
};

#define ALL_ROW_COUNT (sizeof(all_rows) / sizeof(all_rows[0]))

/* ------------------------------------------------------------------------------ measuring */

/* The ways that are open; a way in both tables is opened once. */
struct bench {
	struct results results;
	struct way_place place;
	void *selves[ROW_COUNT_MAX]; /* by row; shared by rows of one way */
	struct counter_source counters;
	char raw_path[512];
};

static int
fail(const char *what, int rc)
{
	return complain("%s: %s", what, strerror(-rc));
}

/* @return the name behind the next comma, or NULL */
static const char *
name_next(const char *list)
{
	const char *comma = strchr(list, ',');

	return comma == NULL ? NULL : comma + 1;
}

/* Whether a list of names, separated by commas, holds one. */
static bool
list_has(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; at != NULL; at = name_next(at))
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

/* @return the open self of a way, or NULL */
static void *
self_of(const struct bench *b, const struct way *way)
{
	for (uint32_t row = 0; row < b->results.row_count; row++)
		if (b->results.rows[row].way == way)
			return b->selves[row];
	return NULL;
}

/* A way that cannot be measured here is left out, and that is said. */
static void
row_open(struct bench *b, const struct row *row)
{
	struct results *r = &b->results;
	void *self = self_of(b, row->way);
	char error[DECREE_ERROR_BYTES] = "out of memory";

	if (row->is_log_sized && results_row(r, "log", false) == r->row_count) {
		printf("left out: %s: it takes its size from the log\n", row->name);
		return;
	}
	if (self == NULL && row->way->open(&b->place, &self, error) != 0) {
		printf("left out: %s: %s\n", row->name, error);
		return;
	}
	b->selves[r->row_count] = self;
	r->rows[r->row_count++] = *row;
}

static void
rows_close(struct bench *b)
{
	for (uint32_t row = 0; row < b->results.row_count; row++) {
		void *self = b->selves[row];

		for (uint32_t other = row; other < b->results.row_count; other++)
			if (b->selves[other] == self)
				b->selves[other] = NULL;
		if (self != NULL)
			b->results.rows[row].way->close(self);
	}
	counters_close(&b->counters);
	(void)unlink(b->raw_path);
}

static int
measure(struct bench *b, uint32_t row, const struct way_task *task, struct measured *ret)
{
	struct counters before, after, between;
	bool is_counted = counters_read(&b->counters, &before) == 0;
	int rc = b->results.rows[row].way->measure(b->selves[row], task, &ret->sample);

	ret->device_writes = ret->device_flushes = ret->device_bytes = -1;
	if (rc != 0 || !is_counted || counters_read(&b->counters, &after) != 0)
		return rc;
	between = counters_between(&before, &after);
	ret->device_writes = (double)between.write_count / (double)ret->sample.append_count;
	ret->device_flushes = (double)between.flush_count / (double)ret->sample.append_count;
	/* A log in memory writes nothing: what was counted is somebody else's. */
	if ((double)between.write_bytes >= ret->sample.written_bytes / 2)
		ret->device_bytes = (double)between.write_bytes;
	return 0;
}

static int
measure_round(struct bench *b, uint32_t size, uint32_t round)
{
	struct results *r = &b->results;
	uint32_t log = results_row(r, "log", false);

	for (uint32_t row = 0; row < r->row_count; row++) {
		struct way_task task = { .bytes = r->sizes[size],
			.depth = r->rows[row].depth == 0 ? r->depth : r->rows[row].depth,
			.seconds = r->seconds };
		int rc;

		if (r->rows[row].is_log_sized)
			task.bytes = (uint32_t)r->measured[log][size][round].sample.write_bytes;
		rc = measure(b, row, &task, &r->measured[row][size][round]);
		if (rc != 0)
			return fail(r->rows[row].name, rc);
	}
	return 0;
}

static int
measure_all(struct bench *b)
{
	int status = 0;

	for (uint32_t size = 0; size < b->results.size_count; size++)
		for (uint32_t round = 0; status == 0 && round < b->results.round_count; round++)
			status = measure_round(b, size, round);
	return status;
}

/* ------------------------------------------------------------------------------ begin and end */

static void
print_head(const struct bench *b)
{
	char sentence[WAL_DEVICE_SENTENCE_BYTES];

	wal_device_sentence(&b->results.device, sentence);
	printf("%s: %s\n%u rounds of %.2f s for each way and size, in turns; saturated: %u in "
	       "flight\n",
		b->place.folder, sentence, b->results.round_count, b->results.seconds,
		b->results.depth);
	if (!b->counters.is_open)
		printf("device writes and flushes: not counted here\n");
	else if (!b->counters.is_exact)
		printf("device writes: at most so many; root can count them exactly\n");
}

static int
begin(struct bench *b, const struct options *o)
{
	int rc;

	snprintf(b->raw_path, sizeof(b->raw_path), "%.400s/raw", o->folder);
	b->place = (struct way_place){ .folder = o->folder,
		.raw_path = b->raw_path,
		.raw_bytes = (uint64_t)o->mib << 20,
		.log_bytes = (uint64_t)o->mib << 20 };
	if (b->place.raw_bytes > RAW_FILE_BYTES_MAX)
		b->place.raw_bytes = RAW_FILE_BYTES_MAX;
	rc = wal_device_of(o->folder, &b->results.device);
	if (rc == 0)
		rc = raw_file_make(b->raw_path, b->place.raw_bytes);
	if (rc != 0)
		return fail(o->folder, rc);
	(void)counters_open(&b->counters, o->folder); /* what cannot be opened cannot be read */
	print_head(b);
	for (uint32_t i = 0; i < ALL_ROW_COUNT; i++)
		if (o->only == NULL || list_has(o->only, all_rows[i].name))
			row_open(b, &all_rows[i]);
	return b->results.row_count > 0 ? 0 : complain("nothing is left to measure");
}

static int
tell(const struct results *r, const struct options *o)
{
	int rc = 0;

	results_print(r);
	if (o->json != NULL)
		rc = results_write_json(r, o->json);
	if (rc != 0)
		return fail(o->json, rc);
	if (o->plot == NULL)
		return 0;
	rc = results_plot(r, o->plot);
	if (rc == -ENOENT)
		return complain("no plot: gnuplot is not installed: scripts/deps bench");
	return rc == 0 ? 0 : fail(o->plot, rc);
}

/* ------------------------------------------------------------------------------ options */

/* "64,4K,1M" @return false after a complaint */
static bool
take_sizes(const char *text, struct results *r)
{
	for (const char *at = text;; at++) {
		char *end;
		unsigned long number = strtoul(at, &end, 10);
		uint32_t shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 0;

		at = end + (shift > 0);
		if (number == 0 || number > (1u << 20) >> shift || (*at != ',' && *at != '\0') ||
			r->size_count == SIZE_COUNT_MAX) {
			(void)complain_usage("--sizes %s: expected up to %u sizes, 1 to 1M, as in "
					     "64,4K,1M",
				text, SIZE_COUNT_MAX);
			return false;
		}
		r->sizes[r->size_count++] = (uint32_t)number << shift;
		if (*at == '\0')
			return true;
	}
}

/* @return false after a complaint */
static bool
check_names(const char *list)
{
	char text[256];

	for (const char *at = list; at != NULL; at = name_next(at)) {
		int length = (int)strcspn(at, ",");
		bool is_known = false;

		snprintf(text, sizeof(text), "%.*s", length, at);
		for (uint32_t i = 0; i < ALL_ROW_COUNT; i++)
			is_known |= strcmp(all_rows[i].name, text) == 0;
		if (is_known)
			continue;
		(void)complain_usage(
			"--only: what is '%s'? There are log, raw, fdatasync, dsync, fio, sqpoll, "
			"linked, thread, log-1, log-2, memory, same, same-2, same-4",
			text);
		return false;
	}
	return true;
}

static bool
take_seconds(const struct option_row *row, const char *text)
{
	double *seconds = row->context;
	char *end;

	*seconds = strtod(text, &end);
	if (end != text && *end == '\0' && *seconds >= 0.001 && *seconds <= 60)
		return true;
	(void)complain_usage("--seconds %s: expected 0.001 to 60", text);
	return false;
}

static const char about[] =
	"The log alone on the disk of DIRECTORY, against that disk: latency of one append at a "
	"time, throughput of as many as fit, and the device's writes and flushes, for appends of "
	"several sizes. Everything is measured in turns with raw writes, plain files, and fio.";

/* @return OPTIONS_GO_ON, or the exit status */
static int
take_arguments(struct options *o, struct results *r, int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "sizes", 0, "LIST", "bytes of an append, up to 1M", .text = &o->sizes },
		{ "only", 0, "LIST", "names of rows to measure, as in log,raw", .text = &o->only },
		{ "seconds", 0, "S", "measure each this long in a round (0.2)",
			.take = take_seconds, .context = &o->seconds },
		{ "rounds", 0, "N", "rounds; the medians are printed", .number32 = &o->round_count,
			.min = 1, .max = ROUND_COUNT_MAX },
		{ "depth", 0, "N", "raw writes in flight where the disk is saturated",
			.number32 = &o->depth, .min = 2, .max = RAW_DEPTH_MAX },
		{ "mib", 0, "N", "size of a log, a multiple of 16", .number32 = &o->mib, .min = 16,
			.max = 65536 },
		{ "json", 0, "FILE", "write the medians there", .text = &o->json },
		{ "plot", 0, "FILE", "draw them there, as an SVG; needs gnuplot",
			.text = &o->plot },
	};
	const struct option_page page = { "[OPTION ...] DIRECTORY", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first, status;

	options_set_program("wal", "");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first != argc - 1)
		return complain_usage("one DIRECTORY is needed: where to write");
	if (o->mib % 16 != 0)
		return complain_usage("--mib %u: expected a multiple of 16", o->mib);
	if (!take_sizes(o->sizes, r) || !check_names(o->only))
		return EXIT_USAGE;
	o->folder = argv[first];
	r->folder = o->folder;
	r->seconds = o->seconds;
	r->depth = o->depth;
	r->round_count = o->round_count;
	return OPTIONS_GO_ON;
}

int
main(int argc, char **argv)
{
	static struct bench b;
	struct options o = { .sizes = "64,512,4K,16K,128K,1M",
		.seconds = 0.2,
		.round_count = 6,
		.depth = 32,
		.mib = 256 };
	int status = take_arguments(&o, &b.results, argc, argv);

	if (status != OPTIONS_GO_ON)
		return status;
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = begin(&b, &o);
	if (status == 0)
		status = measure_all(&b);
	rows_close(&b);
	return status == 0 ? tell(&b.results, &o) : status;
}
