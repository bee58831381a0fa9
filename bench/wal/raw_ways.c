/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring without a log: what the log does, and what it could do instead. The thread is handed its
 * writes through a ring of one producer and one consumer, as a log with a thread for writing would
 * have it.
 */
#include "base/clock.h"
#include "bench/raw.h"
#include "bench/wait.h"
#include "bench/wal/way.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_COUNT 64

static int
open_kind(const struct way_place *place, enum raw_kind kind, void **ret_self, char *ret_error)
{
	struct raw *r;
	int rc = raw_open(place->raw_path, kind, &r);

	if (rc != 0)
		snprintf(ret_error, DECREE_ERROR_BYTES, "%s: %s", place->raw_path, strerror(-rc));
	else
		*ret_self = r;
	return rc;
}

static int
open_raw(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_kind(place, RAW_DSYNC, ret_self, ret_error);
}

static int
open_sqpoll(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_kind(place, RAW_SQPOLL, ret_self, ret_error);
}

static int
open_linked(const struct way_place *place, void **ret_self, char *ret_error)
{
	return open_kind(place, RAW_LINKED, ret_self, ret_error);
}

static void
close_raw(void *self)
{
	raw_close(self);
}

static int
append_raw(void *self, uint32_t bytes)
{
	return raw_append(self, way_sector_bytes(bytes));
}

/* As many in flight as asked for, until the time is over and all are done. */
static int
measure_many(struct raw *r, const struct way_task *task, struct way_sample *ret)
{
	uint64_t began = base_now_ns(), until = began + (uint64_t)(task->seconds * 1e9),
		 now = began;
	uint64_t heard = began;
	uint32_t in_flight = 0, done;
	int rc = 0;

	*ret = (struct way_sample){ 0 };
	while (rc == 0 && (now < until || in_flight > 0)) {
		for (; rc == 0 && now < until && in_flight < task->depth; in_flight++)
			rc = raw_start(r, way_sector_bytes(task->bytes));
		if (rc == 0)
			rc = raw_reap(r, &done);
		if (rc != 0)
			break;
		now = base_now_ns();
		if (done > 0)
			heard = now;
		else
			wait_a_little(now - heard);
		in_flight -= done;
		ret->append_count += done;
	}
	ret->seconds = (double)(now - began) / 1e9;
	ret->write_bytes = way_sector_bytes(task->bytes);
	ret->written_bytes = (double)ret->append_count * ret->write_bytes;
	return rc;
}

static int
measure_raw(void *self, const struct way_task *task, struct way_sample *ret)
{
	return task->depth > 1 ? measure_many(self, task, ret)
			       : way_measure_single(append_raw, self, task, ret);
}

const struct way way_raw = { "raw", open_raw, measure_raw, close_raw };
const struct way way_sqpoll = { "sqpoll", open_sqpoll, measure_raw, close_raw };
const struct way way_linked = { "linked", open_linked, measure_raw, close_raw };

/* ------------------------------------------------------------------------- a thread that writes */

struct writer {
	struct raw *raw;
	pthread_t thread;
	uint32_t ring[RING_COUNT]; /* bytes to write */
	_Atomic uint64_t asked;    /* release by the appending thread: its entry is in the ring */
	_Atomic uint64_t done;     /* release by the writing thread: that many are durable */
	_Atomic int rc;
	_Atomic bool is_over;
};

static void *
writer_run(void *context)
{
	struct writer *w = context;
	uint64_t done = 0, asked_ns = base_now_ns();

	while (!atomic_load(&w->is_over)) {
		int rc;

		/* Pairs with the release in append_handed(). */
		if (atomic_load_explicit(&w->asked, memory_order_acquire) == done) {
			wait_a_little(base_now_ns() - asked_ns);
			continue;
		}
		rc = raw_append(w->raw, w->ring[done % RING_COUNT]);
		if (rc != 0)
			atomic_store(&w->rc, rc);
		atomic_store_explicit(&w->done, ++done, memory_order_release);
		asked_ns = base_now_ns();
	}
	return NULL;
}

static int
append_handed(void *self, uint32_t bytes)
{
	struct writer *w = self;
	uint64_t asked = atomic_load_explicit(&w->asked, memory_order_relaxed);
	uint64_t asked_ns = base_now_ns();

	w->ring[asked % RING_COUNT] = way_sector_bytes(bytes);
	atomic_store_explicit(&w->asked, ++asked, memory_order_release);
	/* Pairs with the release in writer_run(). */
	while (atomic_load_explicit(&w->done, memory_order_acquire) < asked)
		wait_a_little(base_now_ns() - asked_ns);
	return atomic_load(&w->rc);
}

static int
open_thread(const struct way_place *place, void **ret_self, char *ret_error)
{
	struct writer *w = calloc(1, sizeof(*w));
	void *raw;
	int rc;

	if (w == NULL)
		return -ENOMEM;
	rc = open_kind(place, RAW_DSYNC, &raw, ret_error);
	if (rc == 0)
		w->raw = raw;
	*ret_self = w;
	if (rc != 0)
		free(w);
	return rc;
}

static int
measure_thread(void *self, const struct way_task *task, struct way_sample *ret)
{
	struct writer *w = self;
	int rc;

	/* It lives as long as it is measured: it polls, which would cost the others. */
	atomic_store(&w->is_over, false);
	atomic_store(&w->asked, 0);
	atomic_store(&w->done, 0);
	rc = -pthread_create(&w->thread, NULL, writer_run, w);
	if (rc != 0)
		return rc;
	rc = way_measure_single(append_handed, w, task, ret);
	atomic_store(&w->is_over, true);
	(void)pthread_join(w->thread, NULL); /* ends now that it is told to */
	return rc;
}

static void
close_thread(void *self)
{
	struct writer *w = self;

	if (w == NULL)
		return;
	raw_close(w->raw);
	free(w);
}

const struct way way_thread = { "thread", open_thread, measure_thread, close_thread };
