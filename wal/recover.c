/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: read the log from where the session page says that it begins, at most once around, and
 * hand over every intact block. Where block x should be and is not, hole.c decides what that means:
 * the end, a torn tail that nobody was told about, or damage to something that may have been
 * acknowledged. Damage is handed over, too, with all that is known of it, and the walk goes on
 * behind it.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_BYTES (64ull << 20)

void
scan_suspect(struct scan *s, const char *file, uint64_t offset, const char *why)
{
	if (s->suspicion.why == NULL)
		s->suspicion = (struct suspicion){ why, file, offset };
}

bool
scan_is_void(const struct scan *s, uint16_t generation)
{
	return (int16_t)(generation - (uint16_t)s->generation) < 0;
}

bool
scan_is_place(const struct scan *s, uint64_t position, uint32_t sector_count)
{
	uint64_t next = segment_next(s->reader.w, s->position);

	if (s->position + (uint64_t)sector_count * WAL_SECTOR_BYTES <= next)
		return position == s->position;
	return position == next;
}

/* @return why block x at that place is not valid, though each of its sectors is; NULL: it is */
static const char *
contradiction_of(const struct scan *s, const struct block_header *h, uint64_t position)
{
	if (h->position != position)
		return "it belongs to another place (misdirected write)";
	if (s->is_chained && (h->previous.lo != s->previous.lo || h->previous.hi != s->previous.hi))
		return "it does not follow the record before it";
	if (h->generation < s->generation || h->generation > s->reader.w->session.number)
		return "it is from a session that never was";
	if (!scan_is_place(s, position, block_sector_count(h->payload_bytes)))
		return "it left a gap that it had no reason to leave";
	return NULL;
}

static bool
is_block_at(struct scan *s, uint64_t position, struct block_header *ret_header,
	struct decree_digest *ret_digest)
{
	struct wal *w = s->reader.w;
	struct sector_ring ring = reader_at(&s->reader, position);
	uint64_t sectors = (segment_next(w, position) - position) / WAL_SECTOR_BYTES;
	const char *contradiction = "its sectors contradict each other";
	struct sector_trailer first;
	enum block_state state;

	if (sector_check(&w->seal, sector_at(ring, 0), &first) != SECTOR_VALID)
		return false;
	if (first.lsn != s->lsn || scan_is_void(s, first.generation))
		return false;
	if (sectors > w->geometry.sector_count_max)
		sectors = w->geometry.sector_count_max;
	state = block_decode(
		&w->seal, ring, (uint32_t)sectors, ret_header, s->tag, s->payload, ret_digest);
	if (state == BLOCK_INCOMPLETE)
		return false;
	if (state == BLOCK_VALID)
		contradiction = contradiction_of(s, ret_header, position);
	if (contradiction != NULL)
		scan_suspect(s, "segments", position_to_offset(w, position), contradiction);
	return contradiction == NULL;
}

/* @retval 1 found  @retval 0 not there  @retval < 0 the disk's error */
static int
block_find(struct scan *s, struct block_header *ret_header, struct decree_digest *ret_digest)
{
	struct wal *w = s->reader.w;
	uint64_t block_bytes = (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t next = segment_next(w, s->position);
	int rc;

	if (s->position >= s->reader.limit)
		return 0;
	rc = reader_need(&s->reader, s->position, s->position + 2 * block_bytes);
	if (rc != 0) {
		snprintf(s->error, DECREE_ERROR_BYTES,
			"cannot read the log (file segments, near byte %llu): %s",
			(unsigned long long)position_to_offset(w, s->reader.loaded), strerror(-rc));
		return rc;
	}
	if (is_block_at(s, s->position, ret_header, ret_digest))
		return 1;
	return next - s->position < block_bytes && next < s->reader.limit &&
	       is_block_at(s, next, ret_header, ret_digest);
}

void
scan_progress(struct scan *s, uint64_t position)
{
	const struct wal *w = s->reader.w;
	uint64_t done = position - w->session.start.position;
	uint64_t total = w->session.segments_prewritten_bytes;

	if (s->to->progress == NULL || position - s->progress_position < PROGRESS_BYTES)
		return;
	s->progress_position = position;
	s->to->progress(s->to->context, done, total > done ? total : done);
}

static int
block_keep(struct scan *s, const struct block_header *h, struct decree_digest digest)
{
	struct wal *w = s->reader.w;
	uint32_t sectors = block_sector_count(h->payload_bytes);
	struct log_place place = { .lsn = h->lsn, .position = h->position };
	int rc = explain_block(s, h, digest);

	if (rc != 0)
		return rc;
	FAILPOINT("wal.recover.block_kept");
	trim_note_block(w, &(struct log_start){
				   .lsn = h->lsn,
				   .position = h->position,
				   .previous = h->previous,
				   .generation = h->generation,
			   });
	identifiers_add(w, &(struct identifier){
				   .lsn = h->lsn,
				   .position = h->position,
				   .digest = digest,
				   .tag = s->tag,
				   .sector_count = (uint16_t)sectors,
				   .kind = (uint16_t)h->kind,
				   .generation = h->generation,
			   });
	s->position = h->position + (uint64_t)sectors * WAL_SECTOR_BYTES;
	s->lsn++;
	s->generation = h->generation;
	s->previous = digest;
	s->is_chained = true;
	s->suspicion.why = NULL;
	if (h->durable_lsn > s->durable_lsn)
		s->durable_lsn = h->durable_lsn;
	if (h->kind == BLOCK_RECORD) {
		w->counters.recovered_count++;
		if (s->to->record != NULL)
			rc = s->to->record(
				s->to->context, &place, s->tag, s->payload, h->payload_bytes);
	}
	scan_progress(s, s->position);
	return rc;
}

/* @param is_lossy  whatever is missing was durable or not: it is gone */
static int
walk(struct scan *s, bool is_lossy, enum hole *ret_end)
{
	struct block_header header = { 0 };
	struct decree_digest digest;
	int rc;

	*ret_end = HOLE_PASSED;
	while (*ret_end == HOLE_PASSED) {
		rc = block_find(s, &header, &digest);
		if (rc == 1)
			rc = block_keep(s, &header, digest);
		else if (rc == 0 && is_lossy)
			*ret_end = HOLE_END;
		else if (rc == 0)
			rc = hole_judge(s, ret_end);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
log_recover(struct wal *w, const struct wal_recovery *to, uint64_t durable_lsn, bool is_lossy,
	struct log_end *ret_end, char *ret_error)
{
	const struct log_start *begin = &w->session.start;
	struct scan s = {
		.position = begin->position,
		.lsn = begin->lsn,
		.durable_lsn = durable_lsn,
		.generation = begin->generation,
		.is_chained = true,
		.previous = begin->previous,
		.progress_position = begin->position,
		.entries_chunk = UINT64_MAX,
		.to = to,
		.error = ret_error,
	};
	enum hole end;
	int rc;

	reader_init(&s.reader, w, begin->position, to->damaged != NULL);
	if (begin->lsn > 1 && begin->lsn > s.durable_lsn)
		s.durable_lsn = begin->lsn; /* a log begins with a durable record */
	rc = walk(&s, is_lossy, &end);
	if (rc == 0)
		explain_end(&s, end, is_lossy);
	reader_fini(&s.reader);
	if (rc != 0)
		return rc;

	w->append.head = s.position;
	w->append.next_lsn = s.lsn;
	w->append.previous = s.previous;
	*ret_end = (struct log_end){ .is_cut = end == HOLE_CUT, .is_sealed = end == HOLE_SEALED };
	return 0;
}
