/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log as the shard's loop sees it: wal_log_ops over append.c, identifiers.c, hardstate.c,
 * hearsay.c, prepare.c, scrub.c and read.c. Each of these says what it wants to write next and is told when
 * that was written; this file carries requests to the disk and completions back.
 *
 * One turn:  append()* -> submit() -> ... -> reap(). submit() belongs into every turn, also into
 * one that appended nothing: identifiers and the pre-writing of segments advance there.
 *
 * Failure: the first write that fails or comes back short poisons the log. LOG_FAILED is reported
 * once; then nothing is accepted, written or reported any more.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/internal.h"

#include <errno.h>

/* What becomes due by the clock alone has waited for milliseconds, and waits for this as well: a
 * loop without work takes a turn each microsecond. */
#define LOOK_NS 20000

static uint32_t
log_append(
	void *log, const struct log_record *records, uint32_t count, struct log_place *ret_places)
{
	struct wal *w = log;

	w->has_news = true;
	w->is_room_known = false;
	return append_records(w, records, count, ret_places);
}

static uint64_t
log_meta(void *log, const void *blob, uint32_t bytes)
{
	struct wal *w = log;

	w->has_news = true;
	return meta_request(w, blob, bytes);
}

static void
log_hearsay(void *log, const void *blob, uint32_t bytes)
{
	struct wal *w = log;

	w->has_news = true;
	hearsay_request(w, blob, bytes);
}

static int
log_read(void *log, uint64_t position, uint64_t token)
{
	return read_start(log, position, token);
}

/* Identifiers and pre-writing go with a write of data while there are any: one system call for
 * both, and identifiers need no flush of their own. (Scrubbing has a pace that needs no such care,
 * and wants the disk for itself.) A log that has had nothing to write for as long as identifiers
 * may wait does it by itself. */
static bool
is_time_for_more(struct wal *w, uint64_t now_ns)
{
	if (w->append.head != w->append.submitted &&
		w->append.write_count < w->append.write_count_max) {
		w->alone_ns = now_ns + IDENTIFIER_DELAY_NS;
		return true;
	}
	return now_ns >= w->alone_ns;
}

/* Each kind of work has at most one request per turn, so the table of a turn has a fixed size. */
static void
submit_what_is_due(struct wal *w, uint64_t now_ns)
{
	struct disk_request requests[7], identifiers;
	bool has_identifiers, is_time;
	uint32_t count = 0;

	trim_advance(w);

	/* The identifiers are chosen before the data, to know whether the log is idle, but go after
	 * it. */
	is_time = is_time_for_more(w, now_ns);
	has_identifiers = identifiers_next_write(w, now_ns, is_time, &identifiers);
	if (append_next_write(w, &requests[count]))
		count++;
	if (count > 0)
		FAILPOINT("wal.submit.write_chosen");
	if (meta_next_write(w, &requests[count]))
		count++;
	if (hearsay_next_write(w, &requests[count]))
		count++;
	if (has_identifiers)
		requests[count++] = identifiers;
	if (prewrite_next_write(w, now_ns, is_time, &requests[count]))
		count++;
	if (prewrite_next_note(w, &requests[count]))
		count++;
	if (scrub_next_request(w, now_ns, &requests[count]))
		count++;

	if (count > 0) {
		uint32_t queued = w->ops->submit(w->disk, requests, count);

		decree_assert(queued ==
			      count); /* the disk has room for all that a log ever has in flight */
		w->inflight_count += count;
		FAILPOINT("wal.submit.queued");
		w->ops->kick(w->disk);
		FAILPOINT("wal.submit.kicked");
	}
	w->has_news = count > 0; /* there may be more than one of a kind */
	w->look_ns = now_ns + LOOK_NS;
}

static void
log_submit(void *log, uint64_t now_ns)
{
	struct wal *w = log;

	if (w->failed_rc != 0)
		return;
	if (w->has_news || now_ns >= w->look_ns || w->scrub.state == SCRUB_JUDGING)
		submit_what_is_due(w, now_ns);
	else if (w->inflight_count > 0)
		w->ops->kick(w->disk); /* an earlier one may have failed: no memory in the kernel */
}

/* @return the bytes that a request with this token asked to write */
static uint32_t
bytes_of_token(const struct wal *w, uint64_t token)
{
	switch ((enum token_kind)(token >> 32)) {
	case TOKEN_DATA: return w->append.writes[(uint32_t)token].bytes;
	case TOKEN_IDENTIFIERS: return w->identifiers.writing_bytes;
	case TOKEN_PREWRITE: return w->prewrite.piece_bytes;
	case TOKEN_NOTE: return page_session.bytes;
	case TOKEN_META: return page_hardstate.bytes;
	case TOKEN_HEARSAY: return page_hearsay.bytes;
	case TOKEN_READ:
	case TOKEN_SCRUB: break;
	}
	return 0;
}

static void
on_written(struct wal *w, uint64_t token)
{
	switch ((enum token_kind)(token >> 32)) {
	case TOKEN_DATA: append_on_written(w, token); break;
	case TOKEN_IDENTIFIERS: identifiers_on_written(w); break;
	case TOKEN_PREWRITE: prewrite_on_written(w); break;
	case TOKEN_NOTE: prewrite_on_noted(w); break;
	case TOKEN_META: meta_on_written(w); break;
	case TOKEN_HEARSAY: hearsay_on_written(w); break;
	case TOKEN_READ:
	case TOKEN_SCRUB: break;
	}
}

static void
on_completion(struct wal *w, const struct disk_completion *c)
{
	w->inflight_count--;
	w->has_news = true;
	w->is_room_known = false;
	if (c->token >> 32 == TOKEN_READ) {
		read_on_arrived(w, (uint32_t)c->token, c->result);
		return;
	}
	if (w->failed_rc != 0)
		return;
	if (c->token >> 32 == TOKEN_SCRUB) {
		w->failed_rc = scrub_on_completion(w, c->result);
		return;
	}
	if (c->result < 0)
		w->failed_rc = c->result;
	else if ((uint32_t)c->result != bytes_of_token(w, c->token))
		w->failed_rc = -EIO;
	else
		on_written(w, c->token);
}

static uint32_t
report_failure(struct wal *w, struct log_completion *ret, uint32_t count_max)
{
	if (w->failed_reported || count_max == 0)
		return 0;
	w->failed_reported = true;
	*ret = (struct log_completion){ .kind = LOG_FAILED, .rc = w->failed_rc };
	return 1;
}

static uint32_t
reap_all(struct wal *w, struct log_completion *ret, uint32_t count_max)
{
	struct disk_completion done[COMPLETION_BURST];
	uint32_t count, reported = 0;

	do {
		count = w->ops->reap(w->disk, done, COMPLETION_BURST);
		for (uint32_t i = 0; i < count; i++)
			on_completion(w, &done[i]);
	} while (count == COMPLETION_BURST);

	if (w->failed_rc != 0)
		return report_failure(w, ret, count_max);

	if (reported < count_max && w->append.durable_lsn > w->append.reported_lsn) {
		FAILPOINT("wal.reap.durable");
		w->append.reported_lsn = w->append.durable_lsn;
		ret[reported++] = (struct log_completion){
			.kind = LOG_DURABLE,
			.lsn = w->append.durable_lsn,
		};
	}
	if (reported < count_max && w->meta.durable_generation > w->meta.reported_generation) {
		FAILPOINT("wal.reap.hard_state_durable");
		w->meta.reported_generation = w->meta.durable_generation;
		ret[reported++] = (struct log_completion){
			.kind = LOG_META,
			.lsn = w->meta.durable_generation,
		};
	}
	reported += scrub_reap(w, ret + reported, count_max - reported);
	return reported + read_reap(w, ret + reported, count_max - reported);
}

/* Nothing is on its way, and what came was reported. */
static bool
is_at_rest(const struct wal *w)
{
	return w->inflight_count == 0 && w->read_count == 0 && w->failed_rc == 0 &&
	       w->append.durable_lsn == w->append.reported_lsn &&
	       w->meta.durable_generation == w->meta.reported_generation &&
	       w->scrub.state != SCRUB_REPORTING && w->scrub.state != SCRUB_LENT;
}

static uint32_t
log_reap(void *log, uint64_t now_ns, struct log_completion *ret, uint32_t count_max)
{
	struct wal *w = log;

	(void)now_ns; /* no time-out here: the caller watches a disk that does not answer */
	return is_at_rest(w) ? 0 : reap_all(w, ret, count_max);
}

static struct log_room
log_room(void *log)
{
	struct wal *w = log;

	if (!w->is_room_known)
		w->room = append_room(w);
	w->is_room_known = true;
	return w->room;
}

static void
log_trim(void *log, uint64_t lsn)
{
	struct wal *w = log;

	w->has_news = true;
	trim_want(w, lsn);
}

static void
log_raise(void *log, uint32_t version)
{
	struct wal *w = log;

	if (w->session.version < version)
		w->session.version = version;
}

static bool
log_is_idle(void *log)
{
	const struct wal *w = log;

	return w->append.head == w->append.submitted &&
	       w->append.write_count < w->append.write_count_max;
}

const struct log_ops wal_log_ops = {
	.append = log_append,
	.meta = log_meta,
	.hearsay = log_hearsay,
	.read = log_read,
	.submit = log_submit,
	.reap = log_reap,
	.room = log_room,
	.trim = log_trim,
	.raise = log_raise,
	.is_idle = log_is_idle,
};
