/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scrubber has read: the walk of recovery (recover.c, hole.c) over a log that is alive. It
 * is simpler, for everything here was durable: whatever is not an intact block x where x should be
 * is damage, and no tail.
 *
 *   x is intact                                  its identifier shall say the same: if not, it is written again
 *   x is not, when looked at first               it is read once more
 *   memory, or x's identifier on the disk, or
 *     what is left of its first or last sector,
 *     names it                                   LOG_DAMAGED with its tag; the walk goes on behind it
 *   nothing names it                             the next intact block is looked for: LOG_DAMAGED of all between
 */
#include "base/assert.h"
#include "base/digest.h"
#include "wal/internal.h"

#include <string.h>

#define JUDGE_SECTOR_COUNT 64 /* in one turn: some ten microseconds */

static struct sector_ring
piece_at(const struct wal *w, uint64_t position)
{
	return (struct sector_ring){
		.base = w->scrub.piece,
		.bytes = SCRUB_PIECE_BYTES,
		.offset = (uint32_t)(position - w->scrub.piece_first),
	};
}

static uint64_t
block_bytes_max(const struct wal *w)
{
	return (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
}

static uint64_t
block_end(const struct block_header *h)
{
	return h->position + (uint64_t)block_sector_count(h->payload_bytes) * WAL_SECTOR_BYTES;
}

/* ------------------------------------------------------------------------------ identifiers */

static uint8_t *
cached_entry(const struct wal *w, uint64_t lsn)
{
	const struct wal_scrub *s = &w->scrub;

	if (lsn < s->entries_first || lsn >= s->entries_after)
		return NULL;
	return s->entries + (lsn - s->entries_first) * IDENTIFIER_BYTES;
}

/* The entry on the disk shall be this one. */
static void
entry_shall_be(struct wal *w, uint64_t lsn, const uint8_t *entry)
{
	struct wal_scrub *s = &w->scrub;
	uint64_t first = (lsn - 1) / IDENTIFIER_COUNT_PER_SECTOR * IDENTIFIER_COUNT_PER_SECTOR + 1;
	uint8_t *cached = cached_entry(w, lsn);

	if (cached == NULL || memcmp(cached, entry, IDENTIFIER_BYTES) == 0)
		return;
	memcpy(cached, entry, IDENTIFIER_BYTES);
	if (s->dirty_first == s->dirty_after)
		s->dirty_first = s->dirty_after = first;
	if (s->dirty_after < first + IDENTIFIER_COUNT_PER_SECTOR)
		s->dirty_after = first + IDENTIFIER_COUNT_PER_SECTOR;
	w->counters.scrub_identifier_count++;
}

/* What names x apart from its block. @param ret  its tag is lent */
static bool
identifier_find(struct wal *w, uint64_t lsn, struct identifier *ret)
{
	const uint8_t *cached = cached_entry(w, lsn);
	uint8_t *named = w->scrub.named;

	if (identifiers_copy(w, lsn, named)) {
		entry_shall_be(w, lsn, named);
		return identifier_check(&w->seal, named, ret) == SECTOR_VALID;
	}
	return cached != NULL && identifier_check(&w->seal, cached, ret) == SECTOR_VALID &&
	       ret->lsn == lsn && ret->sector_count >= 1 &&
	       ret->sector_count <= w->geometry.sector_count_max &&
	       ret->generation >= w->scrub.at.generation;
}

/* ------------------------------------------------------------------------------ reports */

static void
report(struct wal *w, uint64_t lsn, uint64_t position, uint64_t after, const uint8_t *tag)
{
	struct wal_scrub *s = &w->scrub;

	if (tag != NULL && tag != s->tag)
		memcpy(s->tag, tag, LOG_TAG_BYTES);
	s->report = (struct log_completion){
		.kind = LOG_DAMAGED,
		.lsn = lsn,
		.position = position,
		.after = after,
		.tag = tag != NULL ? s->tag : NULL,
	};
	s->state = SCRUB_REPORTING;
}

void
scrub_report_hole(struct wal *w, uint64_t lsn_last)
{
	struct wal_scrub *s = &w->scrub;

	report(w, lsn_last, s->hole.position, s->at.position, NULL);
}

/* ------------------------------------------------------------------------------ one block */

/* Is there an intact block that has its place there, and is not older than what comes before it? */
static bool
decode(struct wal *w, uint64_t position, struct block_header *ret, struct decree_digest *ret_digest)
{
	const struct wal_scrub *s = &w->scrub;
	uint64_t sectors = (s->piece_end - position) / WAL_SECTOR_BYTES;
	struct sector_ring ring = piece_at(w, position);

	if (sectors > w->geometry.sector_count_max)
		sectors = w->geometry.sector_count_max;
	return block_decode(&w->seal, ring, (uint32_t)sectors, ret, w->scrub.tag, s->payload,
		       ret_digest) == BLOCK_VALID &&
	       ret->position == position && ret->generation >= s->at.generation &&
	       ret->generation <= w->session.number;
}

static void
keep(struct wal *w, const struct block_header *h, struct decree_digest digest)
{
	uint8_t entry[IDENTIFIER_BYTES];

	identifier_encode(
		entry, &(struct identifier){
			       .lsn = h->lsn,
			       .position = h->position,
			       .digest = digest,
			       .tag = w->scrub.tag,
			       .sector_count = (uint16_t)block_sector_count(h->payload_bytes),
			       .kind = (uint16_t)h->kind,
			       .generation = h->generation,
		       });
	identifier_seal(&w->seal, entry);
	entry_shall_be(w, h->lsn, entry);
}

static void
go_on(struct wal *w, uint64_t lsn, uint64_t position, const struct decree_digest *previous)
{
	struct wal_scrub *s = &w->scrub;

	s->at.lsn = lsn;
	s->at.position = position;
	s->is_chained = previous != NULL;
	if (previous != NULL)
		s->at.previous = *previous;
	s->is_careful = false;
}

/* x did not fit its segment: what is left of it is no block. */
static bool
is_gap(struct wal *w)
{
	const struct wal_scrub *s = &w->scrub;
	uint64_t next = segment_next(w, s->at.position);
	const struct log_start *segment = trim_segment(w, next);
	struct identifier id;

	if (next - s->at.position >= block_bytes_max(w) || next >= w->append.durable_end)
		return false;
	if (identifier_find(w, s->at.lsn, &id))
		return id.position == next;
	if (segment->position == next)
		return segment->lsn == s->at.lsn;
	for (uint64_t q = s->at.position; q < s->piece_end; q += WAL_SECTOR_BYTES) {
		struct sector_trailer t;

		if (sector_check(&w->seal, sector_at(piece_at(w, q), 0), &t) != SECTOR_ZERO)
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------------ damage */

/* The tag of x from one of its sectors, into s->tag. */
static bool
tag_of_sector(struct wal *w, uint64_t position, uint64_t *ret_after)
{
	struct wal_scrub *s = &w->scrub;
	const uint8_t *sector = sector_at(piece_at(w, position), 0);
	struct sector_trailer t;

	if (sector_check(&w->seal, sector, &t) != SECTOR_VALID || t.lsn != s->at.lsn ||
		t.count > w->geometry.sector_count_max || t.index >= t.count ||
		position != s->at.position + (uint64_t)t.index * WAL_SECTOR_BYTES)
		return false;
	*ret_after = position + (uint64_t)(t.count - t.index) * WAL_SECTOR_BYTES;
	return sector_tag(sector, &t, s->tag);
}

static void
damaged(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;
	uint64_t lsn = s->at.lsn, position = s->at.position, after;
	struct identifier id;

	if (identifier_find(w, lsn, &id) && id.position == position) {
		s->at.generation = id.generation;
		go_on(w, lsn + 1, position + (uint64_t)id.sector_count * WAL_SECTOR_BYTES,
			&id.digest);
		if (id.kind == BLOCK_RECORD)
			report(w, lsn, position, s->at.position, id.tag);
		return;
	}
	for (uint64_t q = position; q < s->piece_end; q += WAL_SECTOR_BYTES) {
		if (!tag_of_sector(w, q, &after))
			continue;
		go_on(w, lsn + 1, after, NULL);
		report(w, lsn, position, after, s->tag);
		return;
	}
	s->hole.lsn = lsn;
	s->hole.position = position;
	go_on(w, lsn, position + WAL_SECTOR_BYTES, NULL);
}

/* In a hole: is this sector where it ends? How many records it had cannot be told from its size:
 * recovery may have left numbers out. */
static void
search(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;
	struct decree_digest digest;
	struct block_header h;

	if (!decode(w, s->at.position, &h, &digest) || h.lsn < s->hole.lsn ||
		h.lsn > w->append.durable_lsn) {
		s->at.position += WAL_SECTOR_BYTES;
		return;
	}
	s->at.lsn = h.lsn;
	if (h.lsn > s->hole.lsn)
		scrub_report_hole(w, h.lsn - 1);
	s->hole.lsn = 0; /* else it was a gap at a segment's end that has rotten: nobody's */
}

/* ------------------------------------------------------------------------------ a piece */

static void
judge_block(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;
	struct decree_digest digest;
	struct block_header h;

	if (decode(w, s->at.position, &h, &digest) && h.lsn == s->at.lsn &&
		(!s->is_chained || digest_eq(h.previous, s->at.previous))) {
		keep(w, &h, digest);
		s->at.generation = h.generation;
		go_on(w, h.lsn + 1, block_end(&h), &digest);
	} else if (is_gap(w)) {
		s->at.position = segment_next(w, s->at.position);
	} else if (!s->is_careful) {
		s->is_careful = true;
		s->state = SCRUB_RESTING;
	} else {
		damaged(w);
	}
}

/* Nothing more can be told from this piece. */
static bool
is_piece_over(const struct wal *w)
{
	const struct wal_scrub *s = &w->scrub;

	if (s->at.lsn == 0 || s->at.position < w->trim.noted.position) /* it may be overwritten */
		return true;
	if (s->at.position < s->piece_first || s->at.position >= s->piece_end ||
		scrub_needs_entries(w))
		return true;
	return s->is_piece_cut && s->piece_end - s->at.position < block_bytes_max(w);
}

void
scrub_judge(struct wal *w)
{
	struct wal_scrub *s = &w->scrub;
	uint64_t first = s->at.position;

	decree_assert(s->state == SCRUB_JUDGING);
	while (s->state == SCRUB_JUDGING) {
		if (is_piece_over(w))
			s->state = SCRUB_RESTING;
		else if (s->at.position - first >= JUDGE_SECTOR_COUNT * WAL_SECTOR_BYTES)
			return;
		else if (s->hole.lsn != 0)
			search(w);
		else
			judge_block(w);
	}
}
