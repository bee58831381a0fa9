/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-writing: zeros over space that was allocated but never written, since the first write to such
 * space costs a journal commit of the file system (187 us where an overwrite takes 86). One segment
 * is ready before wal_open() returns; the rest follows in small pieces at a bounded rate, slowly
 * while the log is in use.
 *
 * How far it got is noted in the session page after each segment. This part of the note is a hint:
 * losing it only repeats work, and pre-writing never starts before the head of the log. Where the
 * log begins (trim.c) is noted there too.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/internal.h"

#include <errno.h>

/* Segments and identifiers advance together, eight bytes to one. */
static bool
next_is_identifiers(const struct wal *w)
{
	const struct wal_prewrite *p = &w->prewrite;

	if (p->identifiers_bytes == w->geometry.identifiers_bytes)
		return false;
	return p->identifiers_bytes << IDENTIFIERS_BYTES_SHIFT < p->segments_bytes ||
	       p->segments_bytes == w->geometry.log_bytes;
}

/* @return false when everything is written */
static bool
next_piece(struct wal *w, struct disk_request *ret_request)
{
	struct wal_prewrite *p = &w->prewrite;
	bool is_identifiers = next_is_identifiers(w);
	uint64_t offset = is_identifiers ? p->identifiers_bytes : p->segments_bytes;
	uint64_t end = is_identifiers ? w->geometry.identifiers_bytes : w->geometry.log_bytes;
	uint64_t bytes = PREWRITE_PIECE_BYTES - offset % PREWRITE_PIECE_BYTES;

	if (offset == end)
		return false;
	if (bytes > end - offset)
		bytes = end - offset;
	*ret_request = (struct disk_request){
		.kind = DISK_WRITE,
		.file = is_identifiers ? DISK_IDENTIFIERS : DISK_SEGMENTS,
		.offset_bytes = offset,
		.buffer = p->zeros,
		.bytes = (uint32_t)bytes,
		.token = token_of(TOKEN_PREWRITE, 0),
	};
	p->piece_bytes = (uint32_t)bytes;
	p->piece_is_identifiers = is_identifiers;
	return true;
}

/* Does the head come close to what is not written yet? */
static bool
is_urgent(const struct wal *w)
{
	uint64_t used_bytes = w->append.head - w->geometry.log_bytes;

	return w->prewrite.segments_bytes <= used_bytes + w->geometry.segment_bytes / 2;
}

/*
 * Full speed while nobody appends, or while the head comes close; else a sixteenth of it. A writer
 * that shares its disk with full-speed pre-writing waits two to three times as long for each
 * append.
 */
static uint64_t
pace_bytes_per_second(struct wal *w)
{
	struct wal_prewrite *p = &w->prewrite;
	bool is_in_use = w->append.head != p->head_seen;

	p->head_seen = w->append.head;
	return is_in_use && !is_urgent(w) ? p->bytes_per_second / 16 + 1 : p->bytes_per_second;
}

bool
prewrite_next_write(struct wal *w, uint64_t now_ns, bool is_time, struct disk_request *ret_request)
{
	struct wal_prewrite *p = &w->prewrite;

	if (w->is_endless || !(is_time || is_urgent(w)) || p->piece_bytes != 0 ||
		now_ns < p->due_ns)
		return false;
	if (!next_piece(w, ret_request))
		return false;
	p->due_ns = now_ns + p->piece_bytes * 1000000000ull / pace_bytes_per_second(w);
	return true;
}

void
prewrite_on_written(struct wal *w)
{
	struct wal_prewrite *p = &w->prewrite;

	decree_assert(p->piece_bytes != 0);
	FAILPOINT("wal.prewrite.piece_written");
	if (p->piece_is_identifiers)
		p->identifiers_bytes += p->piece_bytes;
	else
		p->segments_bytes += p->piece_bytes;
	p->piece_bytes = 0;
}

static void
note_seal(struct wal *w)
{
	w->session.segments_prewritten_bytes = w->prewrite.segments_bytes;
	w->session.identifiers_prewritten_bytes = w->prewrite.identifiers_bytes;
	w->session.start = w->trim.start;
	w->session.write_count++;
	wal_session_seal(w->prewrite.note, &w->session, &w->seal);
}

/* @return true if there is something worth noting: a segment more or less, or all of them */
static bool
is_note_due(const struct wal *w)
{
	const struct wal_prewrite *p = &w->prewrite;

	if (trim_is_due(w))
		return true;
	if (p->segments_bytes >= p->noted_bytes + w->geometry.segment_bytes)
		return true;
	return p->segments_bytes == w->geometry.log_bytes &&
	       p->identifiers_bytes == w->geometry.identifiers_bytes &&
	       w->session.identifiers_prewritten_bytes < p->identifiers_bytes;
}

bool
prewrite_next_note(struct wal *w, struct disk_request *ret_request)
{
	struct wal_prewrite *p = &w->prewrite;

	if (p->note_state == NOTE_BETWEEN) {
		FAILPOINT("wal.note.between_copies");
		p->note_state = NOTE_SECOND;
	} else if (p->note_state == NOTE_NONE && !w->is_endless &&
		   w->scrub.state != SCRUB_WRITING && is_note_due(w)) {
		p->noted_bytes = p->segments_bytes;
		note_seal(w);
		FAILPOINT("wal.note.sealed");
		p->note_state = NOTE_FIRST;
	} else {
		return false;
	}
	*ret_request = page_copy_write(
		&page_session, p->note_state == NOTE_SECOND, p->note, token_of(TOKEN_NOTE, 0));
	return true;
}

void
prewrite_on_noted(struct wal *w)
{
	struct wal_prewrite *p = &w->prewrite;

	p->note_state = p->note_state == NOTE_FIRST ? NOTE_BETWEEN : NOTE_NONE;
	if (p->note_state == NOTE_NONE) {
		FAILPOINT("wal.note.written");
		trim_on_noted(w);
	}
}

int
prewrite_first(struct wal *w)
{
	struct wal_prewrite *p = &w->prewrite;
	uint64_t target = w->append.head - w->geometry.log_bytes + w->geometry.segment_bytes;
	uint64_t identifiers = (w->append.next_lsn - 1) * IDENTIFIER_BYTES +
			       (w->geometry.segment_bytes >> IDENTIFIERS_BYTES_SHIFT);
	struct disk_request request;
	int rc = 0;

	if (target > w->geometry.log_bytes)
		target = w->geometry.log_bytes;
	if (identifiers > w->geometry.identifiers_bytes)
		identifiers = w->geometry.identifiers_bytes;
	while (rc == 0 && (p->segments_bytes < target || p->identifiers_bytes < identifiers) &&
		next_piece(w, &request)) {
		rc = disk_io(w->ops, w->disk, request.kind, request.file, request.offset_bytes,
			request.buffer, request.bytes);
		if (rc == 0)
			prewrite_on_written(w);
	}
	return rc;
}
