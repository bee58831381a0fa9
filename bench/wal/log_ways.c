/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log itself, as a shard's loop drives it: append, submit, reap, and a wait as of wait.h when
 * nothing happens. An append that is larger than a record is a burst of records. All space is
 * pre-written before anything is measured, and what was appended is given back at once, so that the
 * log goes around as it does in a node that takes snapshots.
 */
#include "base/clock.h"
#include "bench/wait.h"
#include "bench/wal/way.h"
#include "wal/directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BURST_COUNT_MAX 256 /* of small records; those of a burst fit 1 MiB */
#define SEGMENT_BYTES   (64u << 20)

struct log_self {
	struct wal *wal;
	char path[512];
	struct log_record records[BURST_COUNT_MAX];
	struct log_place places[BURST_COUNT_MAX];
	uint8_t tag[LOG_TAG_BYTES];
	uint8_t payload[WAL_PAYLOAD_BYTES_MAX];
	uint64_t appended_lsn;
	uint64_t durable_lsn;
	uint64_t heard_ns; /* of the disk, last */
};

static void
folder_remove(const char *path)
{
	static const char *const names[] = { "identity", "hardstate", "segments", "identifiers" };
	char file[600];

	for (int i = 0; i < 4; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		(void)unlink(file); /* may not be there */
	}
	(void)rmdir(path);
}

static void
close_log(void *self)
{
	struct log_self *l = self;

	if (l == NULL)
		return;
	wal_close(l->wal);
	folder_remove(l->path);
	free(l);
}

/* One turn of a shard's loop; nobody needs what is durable. @param ret_is_busy  something happened */
static int
turn(struct log_self *l, bool *ret_is_busy)
{
	struct log_completion done[8];
	uint64_t now = base_now_ns();
	uint32_t count;

	wal_log_ops.submit(l->wal, now);
	count = wal_log_ops.reap(l->wal, now, done, 8);
	for (uint32_t i = 0; i < count; i++) {
		if (done[i].kind == LOG_FAILED)
			return done[i].rc;
		if (done[i].kind == LOG_DURABLE)
			l->durable_lsn = done[i].lsn;
	}
	if (l->durable_lsn > 0)
		wal_log_ops.trim(l->wal, l->durable_lsn);
	*ret_is_busy = count > 0;
	if (count > 0)
		l->heard_ns = now;
	return 0;
}

/* Behind a turn without anything to do. */
static void
idle(const struct log_self *l)
{
	uint64_t now = base_now_ns();

	wait_a_little(now > l->heard_ns ? now - l->heard_ns : 0);
}

/* Turns until all that was appended is durable. */
static int
settle(struct log_self *l)
{
	bool is_busy;
	int rc = 0;

	while (rc == 0 && l->durable_lsn < l->appended_lsn) {
		rc = turn(l, &is_busy);
		if (!is_busy)
			idle(l);
	}
	return rc;
}

static int
prepare(struct log_self *l)
{
	bool is_busy;
	int rc = 0;

	while (rc == 0 && wal_log_ops.room(l->wal).space_record_count_unprepared > 0) {
		rc = turn(l, &is_busy);
		idle(l);
	}
	return rc;
}

static int
open_log(const struct way_place *place, const char *name, const struct wal_config *cfg,
	void **ret_self, char *ret_error)
{
	struct log_self *l = calloc(1, sizeof(*l));
	struct wal_format format = { .uuid.bytes = "bench/wal",
		.payload_bytes_max = WAL_PAYLOAD_BYTES_MAX,
		.log_bytes = place->log_bytes,
		.segment_bytes = place->log_bytes / 4 < SEGMENT_BYTES ? place->log_bytes / 4
								      : SEGMENT_BYTES };
	int rc;

	if (l == NULL)
		return -ENOMEM;
	snprintf(l->path, sizeof(l->path), "%s/%s", place->folder, name);
	rc = wal_directory_format(l->path, &format, ret_error);
	if (rc == 0)
		rc = wal_directory_open(l->path, cfg, 0, &l->wal, ret_error);
	if (rc == 0) {
		rc = prepare(l);
		snprintf(ret_error, DECREE_ERROR_BYTES, "%.400s: %s", l->path, strerror(-rc));
	}
	if (rc == 0)
		*ret_self = l;
	else
		close_log(l);
	return rc;
}

static int
open_durable(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_log(place, "log",
		&(struct wal_config){ .prewrite_bytes_per_second = 1ull << 40 }, ret_self,
		ret_error);
}

static int
open_one(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_log(place, "log-1",
		&(struct wal_config){
			.prewrite_bytes_per_second = 1ull << 40, .inflight_count_max = 1 },
		ret_self, ret_error);
}

static int
open_two(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_log(place, "log-2",
		&(struct wal_config){
			.prewrite_bytes_per_second = 1ull << 40, .inflight_count_max = 2 },
		ret_self, ret_error);
}

static int
open_memory(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_log(place, "log-memory", &(struct wal_config){ .mode = DECREE_LOG_MEMORY },
		ret_self, ret_error);
}

/* @return records of an append */
static uint32_t
records_fill(struct log_self *l, uint32_t bytes)
{
	uint32_t count = 0;

	do {
		uint32_t part = bytes < WAL_PAYLOAD_BYTES_MAX ? bytes : WAL_PAYLOAD_BYTES_MAX;

		l->records[count++] = (struct log_record){
			.tag = l->tag, .payload = l->payload, .payload_bytes = part
		};
		bytes -= part;
	} while (bytes > 0);
	return count;
}

static int
append_log(void *self, uint32_t bytes)
{
	struct log_self *l = self;
	uint32_t count = records_fill(l, bytes), done = 0;
	bool is_busy;
	int rc = 0;

	while (rc == 0 && done < count) {
		uint32_t n = wal_log_ops.append(l->wal, l->records + done, count - done, l->places);

		if (n > 0)
			l->appended_lsn = l->places[n - 1].lsn;
		done += n;
		if (n == 0) /* behind it a segment is given back */
			rc = turn(l, &is_busy);
	}
	return rc != 0 ? rc : settle(l);
}

/* As much as the log takes, a burst in each turn. */
static int
fill(struct log_self *l, uint32_t burst_count, uint64_t until)
{
	int rc = 0;

	while (rc == 0 && base_now_ns() < until) {
		uint32_t n = wal_log_ops.append(l->wal, l->records, burst_count, l->places);
		bool is_busy;

		if (n > 0)
			l->appended_lsn = l->places[n - 1].lsn;
		rc = turn(l, &is_busy);
		if (n == 0 && !is_busy)
			idle(l);
	}
	return rc != 0 ? rc : settle(l);
}

static int
measure_many(struct log_self *l, const struct way_task *task, struct way_sample *ret)
{
	uint32_t per_append = records_fill(l, task->bytes), count = per_append;
	uint64_t first_lsn = l->appended_lsn, began = base_now_ns();
	int rc;

	for (; per_append == 1 && count < BURST_COUNT_MAX; count++)
		l->records[count] = l->records[0];
	rc = fill(l, count, began + (uint64_t)(task->seconds * 1e9));
	*ret = (struct way_sample){
		.append_count = (l->appended_lsn - first_lsn) / per_append,
		.seconds = (double)(base_now_ns() - began) / 1e9,
	};
	return rc;
}

static int
measure_log(void *self, const struct way_task *task, struct way_sample *ret)
{
	struct log_self *l = self;
	struct wal_status before, after;
	int rc;

	wal_status(l->wal, &before);
	rc = task->depth > 1 ? measure_many(l, task, ret)
			     : way_measure_single(append_log, l, task, ret);
	wal_status(l->wal, &after);
	ret->written_bytes = (double)(after.write_bytes - before.write_bytes);
	ret->write_bytes = ret->written_bytes / (double)(after.write_count - before.write_count);
	return rc;
}

const struct way way_log = { "log", open_durable, measure_log, close_log };
const struct way way_log_one = { "log-1", open_one, measure_log, close_log };
const struct way way_log_two = { "log-2", open_two, measure_log, close_log };
const struct way way_log_memory = { "memory", open_memory, measure_log, close_log };
