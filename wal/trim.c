/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the log begins, and how its space comes back.
 *
 *   1. The caller permits: no record below some lsn is needed any more.
 *   2. The log begins later: at the last segment that starts at or below that lsn, and whose first
 *      record is durable. Whole segments only, since a segment always starts with a block. The
 *      segment of the head stays.
 *   3. The new beginning is noted in the session page (prepare.c), durably, in both copies.
 *   4. Only then is the space of the segments before it written again: room() grows.
 *
 * A crash before 3 recovers the old beginning, after it the new one; either way nothing that
 * recovery will read has been overwritten. What is left in a recycled segment cannot pass for a
 * record: its lsns are all below that of any record to come, and its positions name an earlier lap.
 *
 * The beginning is also evidence: its first record was durable, so if that is missing, this is
 * damage.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/internal.h"

static struct log_start *
segment_at(const struct wal *w, uint64_t position)
{
	return &w->trim.segments[position_to_offset(w, position) / w->geometry.segment_bytes];
}

const struct log_start *
trim_segment(const struct wal *w, uint64_t position)
{
	return segment_at(w, position);
}

void
trim_note_block(struct wal *w, const struct log_start *block)
{
	if (block->position % w->geometry.segment_bytes == 0 && !w->is_endless)
		*segment_at(w, block->position) = *block;
}

void
trim_begin(struct wal *w)
{
	w->trim.start = w->session.start;
	w->trim.noted = w->session.start;
	w->trim.wanted_lsn = w->session.start.lsn;
}

void
trim_want(struct wal *w, uint64_t lsn)
{
	if (lsn > w->trim.wanted_lsn)
		w->trim.wanted_lsn = lsn;
}

void
trim_advance(struct wal *w)
{
	struct wal_trim *t = &w->trim;
	uint64_t limit_lsn =
		t->wanted_lsn < w->append.durable_lsn ? t->wanted_lsn : w->append.durable_lsn;

	if (w->is_endless || limit_lsn <= t->start.lsn)
		return;
	for (uint64_t next = segment_next(w, t->start.position); next < w->append.head;
		next += w->geometry.segment_bytes) {
		const struct log_start *segment = segment_at(w, next);

		if (segment->position != next)
			continue; /* damaged: the log cannot begin there */
		if (segment->lsn > limit_lsn)
			return;
		decree_assert(segment->lsn > t->start.lsn);
		t->start = *segment;
		FAILPOINT("wal.trim.advanced");
	}
}

bool
trim_is_due(const struct wal *w)
{
	return w->trim.start.lsn > w->session.start.lsn;
}

void
trim_on_noted(struct wal *w)
{
	decree_assert(w->session.start.lsn >= w->trim.noted.lsn);
	if (w->session.start.lsn > w->trim.noted.lsn)
		FAILPOINT("wal.trim.noted");
	w->trim.noted = w->session.start;
}

uint64_t
trim_end_position(const struct wal *w)
{
	uint64_t start = w->trim.noted.position;

	if (w->prewrite.segments_bytes < w->geometry.log_bytes)
		return w->geometry.log_bytes + w->prewrite.segments_bytes;
	return start - start % w->geometry.segment_bytes + w->geometry.log_bytes;
}

uint64_t
trim_end_lsn(const struct wal *w)
{
	uint64_t count = w->geometry.identifier_count;
	uint64_t prewritten = w->prewrite.identifiers_bytes / IDENTIFIER_BYTES;

	if (prewritten < count)
		return prewritten;
	if (w->trim.noted.lsn == 1)
		return count;
	/* Entries are written by whole sectors, padded with zeros: those of the log's first records
	 * keep away. */
	return w->trim.noted.lsn - 1 + count - 2 * IDENTIFIER_COUNT_PER_SECTOR;
}
