/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scrubber: while the log runs, its live part is read again from its beginning to what is
 * durable, around and around at a bounded rate, so that a record that has rotten is found, and
 * written again, before a second copy of it rots somewhere else (protocol 11.8).
 *
 *   1. when a piece is due, its identifiers are read, unless those of the last piece cover it, and
 *      then the piece: one request at a time, in a moment without a data write in flight, or after
 *      SCRUB_PATIENCE_NS at any moment
 *   2. its blocks are verified as recovery would (scrub_judge.c), a few in each turn
 *   3. what is wrong is read once more, sector by sector. If it still is, LOG_DAMAGED says so
 *   4. identifiers that are not what their intact block says are written again
 *
 * What may fail: a read: that is damage. A write: it poisons the log, as any other does. The log
 * may be trimmed meanwhile: the pass goes on where the log begins now.
 *
 * Nothing here waits, and nothing makes a system call of its own: requests go out with those of the
 * turn.
 */
#include "base/assert.h"
#include "wal/internal.h"

#include <errno.h>
#include <string.h>

#define SCRUB_PATIENCE_NS (100 * 1000 * 1000ull)
#define SCRUB_PAUSE_NS    (1000 * 1000 * 1000ull) /* between two passes */

/* ------------------------------------------------------------------------------ what to read */

static uint32_t
block_bytes_max(const struct wal *w)
{
	return w->geometry.sector_count_max * WAL_SECTOR_BYTES;
}

/* Entries beyond are not on the disk yet, or share a sector with one that is not. */
static uint64_t
entries_end(const struct wal *w)
{
	return w->identifiers.written_lsn / IDENTIFIER_COUNT_PER_SECTOR *
		       IDENTIFIER_COUNT_PER_SECTOR +
	       1;
}

bool
scrub_needs_entries(const struct wal *w)
{
	const struct wal_scrub *s = &w->scrub;
	uint64_t lsn = s->at.lsn;

	if (s->hole.lsn != 0 || lsn >= entries_end(w))
		return false;
	return lsn < s->entries_first || lsn >= s->entries_after;
}

/* Whole sectors from the one of the next lsn, to the end of the ring at the latest. */
static void
plan_entries(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;
	uint64_t index =
		(s->at.lsn - 1) / IDENTIFIER_COUNT_PER_SECTOR * IDENTIFIER_COUNT_PER_SECTOR;
	uint64_t count = w->geometry.identifier_count;
	uint64_t after = (index / count + 1) * count;
	uint64_t most = SCRUB_ENTRIES_BYTES / IDENTIFIER_BYTES;

	if (s->is_careful) /* of as many blocks as the careful piece may hold, roughly */
		most = (uint64_t)IDENTIFIER_COUNT_PER_SECTOR * w->geometry.sector_count_max;
	if (after > entries_end(w) - 1)
		after = entries_end(w) - 1;
	if (after > index + most)
		after = index + most;
	s->entries_first = index + 1;
	s->entries_after = after + 1;
	s->load = (struct scrub_load){
		.is_entries = true,
		.bytes = (uint32_t)(after - index) * IDENTIFIER_BYTES,
	};
}

static void
plan_piece(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;
	uint64_t end = segment_next(w, s->at.position);
	uint64_t most = s->is_careful ? 2ull * block_bytes_max(w) : SCRUB_PIECE_BYTES;

	if (end > w->append.durable_end)
		end = w->append.durable_end;
	s->is_piece_cut = end > s->at.position + most;
	if (s->is_piece_cut)
		end = s->at.position + most;
	s->piece_first = s->at.position;
	s->piece_end = end;
	s->load = (struct scrub_load){ .bytes = (uint32_t)(end - s->at.position) };
}

static void
pass_begin(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;

	s->at = w->trim.noted;
	s->is_chained = true;
	s->is_careful = false;
	s->hole.lsn = 0;
	s->entries_first = s->entries_after = 0;
}

static void
pass_end(struct wal *w)
{
	w->scrub.at.lsn = 0;
	w->counters.scrub_pass_count++;
}

/* @return false if there is nothing to read now */
static bool
plan(struct wal *w, uint64_t now_ns)
{
	struct wal_scrub *s = &w->scrub;

	if (s->at.lsn == 0 || s->at.position < w->trim.noted.position)
		pass_begin(w);
	if (s->at.position >= w->append.durable_end) {
		if (s->hole.lsn != 0)
			scrub_report_hole(w, w->append.durable_lsn);
		pass_end(w);
		s->due_ns = now_ns + SCRUB_PAUSE_NS;
		return false;
	}
	s->urgent_ns = s->due_ns + SCRUB_PATIENCE_NS;
	s->due_ns = now_ns;
	if (scrub_needs_entries(w))
		plan_entries(w);
	else
		plan_piece(w);
	s->state = SCRUB_LOADING;
	return true;
}

/* ------------------------------------------------------------------------------ requests */

static bool
is_calm(const struct wal *w)
{
	return w->append.write_count == 0 && w->append.head == w->append.submitted;
}

static void
next_read(struct wal *w, uint64_t now_ns, struct disk_request *ret_request)
{
	struct wal_scrub *s = &w->scrub;
	struct scrub_load *l = &s->load;
	uint64_t index = (s->entries_first - 1) % w->geometry.identifier_count;

	l->request_bytes = s->is_careful ? WAL_SECTOR_BYTES : l->bytes;
	*ret_request = (struct disk_request){
		.kind = DISK_READ,
		.file = l->is_entries ? DISK_IDENTIFIERS : DISK_SEGMENTS,
		.offset_bytes = l->done + (l->is_entries ? index * IDENTIFIER_BYTES
							 : position_to_offset(w, s->piece_first)),
		.buffer = (l->is_entries ? s->entries : s->piece) + l->done,
		.bytes = l->request_bytes,
		.token = token_of(TOKEN_SCRUB, 0),
	};
	if (s->due_ns < now_ns)
		s->due_ns = now_ns;
	s->due_ns += l->request_bytes * 1000000000ull / s->bytes_per_second;
	w->counters.scrub_bytes += l->request_bytes;
	s->state = SCRUB_READING;
}

/* The sectors hold nothing but entries of blocks that were verified, and what was read beside them:
 * each is on the disk already as far as it is known, and the ring does not come to them before the
 * log is trimmed beyond them, which waits for this write (prepare.c). */
static bool
next_repair(struct wal *w, struct disk_request *ret_request)
{
	struct wal_scrub *s = &w->scrub;
	uint32_t offset = (uint32_t)(s->dirty_first - s->entries_first) * IDENTIFIER_BYTES;
	uint64_t index = (s->dirty_first - 1) % w->geometry.identifier_count;

	if (w->prewrite.note_state != NOTE_NONE)
		return false;
	if (s->dirty_first + IDENTIFIER_COUNT_PER_SECTOR <= w->trim.noted.lsn) {
		s->dirty_first = s->dirty_after; /* trimmed meanwhile, at least some of it */
		return false;
	}
	s->load.request_bytes = (uint32_t)(s->dirty_after - s->dirty_first) * IDENTIFIER_BYTES;
	*ret_request = (struct disk_request){
		.kind = DISK_WRITE_DURABLE, /* rare */
		.file = DISK_IDENTIFIERS,
		.offset_bytes = index * IDENTIFIER_BYTES,
		.buffer = s->entries + offset,
		.bytes = s->load.request_bytes,
		.token = token_of(TOKEN_SCRUB, 0),
	};
	s->dirty_first = s->dirty_after;
	s->state = SCRUB_WRITING;
	return true;
}

bool
scrub_next_request(struct wal *w, uint64_t now_ns, struct disk_request *ret_request)
{
	struct wal_scrub *s = &w->scrub;

	if (s->bytes_per_second == 0 || w->is_endless)
		return false;
	if (s->state == SCRUB_JUDGING)
		scrub_judge(w);
	if (s->state != SCRUB_RESTING && s->state != SCRUB_LOADING)
		return false;
	if (s->dirty_first != s->dirty_after)
		return next_repair(w, ret_request);
	if (s->state == SCRUB_RESTING && (now_ns < s->due_ns || !plan(w, now_ns)))
		return false;
	if (!is_calm(w) && now_ns < s->urgent_ns)
		return false;
	next_read(w, now_ns, ret_request);
	return true;
}

/* ------------------------------------------------------------------------------ completions */

static void
on_read(struct wal *w, int32_t result)
{
	struct wal_scrub *s = &w->scrub;
	struct scrub_load *l = &s->load;
	uint8_t *to = (l->is_entries ? s->entries : s->piece) + l->done;

	if (result != (int32_t)l->request_bytes) {
		if (!s->is_careful) {
			s->is_careful = true;
			s->entries_first = s->entries_after = 0;
			s->state = SCRUB_RESTING;
			return;
		}
		memset(to, SCRUB_UNREADABLE, l->request_bytes); /* passes no checksum */
	}
	l->done += l->request_bytes;
	if (l->done == l->bytes && l->is_entries)
		plan_piece(w);
	else if (l->done == l->bytes) {
		s->state = SCRUB_JUDGING;
		return;
	}
	s->state = SCRUB_LOADING;
}

int
scrub_on_completion(struct wal *w, int32_t result)
{
	struct wal_scrub *s = &w->scrub;

	if (s->state == SCRUB_READING) {
		on_read(w, result);
		return 0;
	}
	decree_assert(s->state == SCRUB_WRITING);
	s->state = SCRUB_RESTING;
	if (result < 0)
		return result;
	return (uint32_t)result == s->load.request_bytes ? 0 : -EIO;
}

uint32_t
scrub_reap(struct wal *w, struct log_completion *ret, uint32_t count_max)
{
	struct wal_scrub *s = &w->scrub;

	if (s->state == SCRUB_LENT)
		s->state = SCRUB_JUDGING;
	if (s->state != SCRUB_REPORTING || count_max == 0)
		return 0;
	*ret = s->report;
	s->state = SCRUB_LENT;
	return 1;
}
