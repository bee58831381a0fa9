/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: read the log from where the session page says that it begins, at most once around, hand over every intact block, and decide what the first place without
 * one means. Let x be the lsn that is missing, p its place, W the window (most that is ever written but not yet
 * durable), L the largest durable lsn that any valid block, sector or hard state names.
 *
 *   block x intact                                                     keep it
 *   nothing of x or later anywhere, no evidence                        the end
 *   all sectors in [p, p + 2W) valid, old or zero; none of x or later
 *     at or beyond p + W; no identifier of x or later; L < x           torn tail, never acknowledged: cut
 *   a sector fails its CRC                                             refuse
 *   an identifier of x or later is present, or fails its CRC           refuse: x was durable
 *   L >= x                                                             refuse: x was durable
 *   a sector of x or later at or beyond p + W                          refuse: x was durable, or nothing makes sense
 *   x is where the session page says that the log begins, and not 1    refuse: x was durable
 *   every sector of x is valid, but they contradict each other, the
 *     chain, the place or the session                                  refuse
 *
 * "Old" is a valid sector with an lsn below x, or one of a generation below that of the last intact block: an
 * earlier boot record voided it. The cut itself becomes durable as such a boot record, in open.c.
 */
#include "base/assert.h"
#include "wal/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PIECE_COUNT     4
#define PIECE_BYTES_MAX (1u << 20)
#define PROGRESS_BYTES  (64ull << 20)

/* Reads ahead through the write buffer, which nothing else uses yet. */
struct reader {
	struct wal *w;
	uint64_t limit;  /* end of the log */
	uint64_t issued; /* everything before is being read */
	uint64_t loaded; /* everything before has arrived */
	uint64_t kept;   /* nothing before is needed any more */
	struct {
		uint32_t bytes;
		bool done;
	} pieces[PIECE_COUNT];
	uint32_t piece_first;
	uint32_t piece_count;
	uint32_t piece_bytes;
};

/* Where the scan stands. */
struct scan {
	struct reader reader;
	uint64_t position;    /* p */
	uint64_t lsn;         /* x */
	uint64_t durable_lsn; /* L */
	uint32_t generation;  /* of the last intact block */
	struct decree_digest previous;
	struct decree_digest before; /* the one that the last intact block names */
	uint64_t progress_position;
	bool is_lossy; /* what is missing at the end was durable or not: it is gone */
	const struct wal_recovery *to;
	char *error;
	uint8_t tag[LOG_TAG_BYTES];
	uint8_t payload[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_DATA_BYTES];
};

static int
refuse(struct scan *s, const char *file, uint64_t offset, uint64_t lsn, const char *why)
{
	snprintf(s->error, DECREE_ERROR_BYTES,
		"log record %llu (file %s, byte %llu): %s. This is damage and not a torn tail, so "
		"nothing was "
		"cut or changed. Keep the files, and replace this node by one with a new node id",
		(unsigned long long)lsn, file, (unsigned long long)offset, why);
	return -EBADMSG;
}

static struct sector_ring
ring_at(const struct wal *w, uint64_t position)
{
	return (struct sector_ring){
		.base = w->append.buffer,
		.bytes = w->geometry.window_bytes,
		.offset = (uint32_t)(position % w->geometry.window_bytes),
	};
}

static void
reader_issue(struct reader *r)
{
	uint32_t window = r->w->geometry.window_bytes;
	bool queued = false;

	while (r->piece_count < PIECE_COUNT && r->issued < r->limit) {
		uint32_t offset = (uint32_t)(r->issued % window);
		uint32_t index = (r->piece_first + r->piece_count) % PIECE_COUNT;
		struct disk_request request = {
			.kind = DISK_READ,
			.file = DISK_SEGMENTS,
			.offset_bytes = position_to_offset(r->w, r->issued),
			.buffer = r->w->append.buffer + offset,
			.bytes = r->piece_bytes,
			.token = index,
		};

		if (request.bytes > window - offset)
			request.bytes = window - offset;
		if (request.bytes > r->limit - r->issued)
			request.bytes = (uint32_t)(r->limit - r->issued);
		if (request.bytes > r->w->geometry.log_bytes - request.offset_bytes)
			request.bytes = (uint32_t)(r->w->geometry.log_bytes - request.offset_bytes);
		if (r->issued + request.bytes > r->kept + window)
			break;
		if (r->w->ops->submit(r->w->disk, &request, 1) != 1)
			break;
		r->pieces[index].bytes = request.bytes;
		r->pieces[index].done = false;
		r->piece_count++;
		r->issued += request.bytes;
		queued = true;
	}
	if (queued)
		r->w->ops->kick(r->w->disk);
}

static int
reader_collect(struct reader *r)
{
	struct disk_completion done[PIECE_COUNT];
	uint32_t count = r->w->ops->reap(r->w->disk, done, PIECE_COUNT);
	int rc = 0;

	if (count == 0)
		r->w->ops->wait(r->w->disk);
	for (uint32_t i = 0; i < count; i++) {
		r->pieces[done[i].token].done = true;
		if (done[i].result < 0)
			rc = done[i].result;
		else if ((uint32_t)done[i].result != r->pieces[done[i].token].bytes)
			rc = -EIO;
	}
	while (r->piece_count > 0 && r->pieces[r->piece_first].done) {
		r->loaded += r->pieces[r->piece_first].bytes;
		r->piece_first = (r->piece_first + 1) % PIECE_COUNT;
		r->piece_count--;
	}
	return rc;
}

/* Have [position, end) in the buffer, as far as the log goes. */
static int
reader_need(struct scan *s, uint64_t position, uint64_t end)
{
	struct reader *r = &s->reader;
	int rc = 0;

	if (end > r->limit)
		end = r->limit;
	r->kept = position;
	reader_issue(r);
	while (rc == 0 && r->loaded < end) {
		rc = reader_collect(r);
		reader_issue(r);
	}
	if (rc != 0)
		snprintf(s->error, DECREE_ERROR_BYTES,
			"cannot read the log (file segments, near byte %llu): %s",
			(unsigned long long)position_to_offset(r->w, r->loaded), strerror(-rc));
	return rc;
}

/* Leave no read behind: the buffer is about to be used, or given back. */
static void
reader_fini(struct reader *r)
{
	r->limit = r->issued;
	while (r->piece_count > 0)
		(void)reader_collect(r); /* what they read no longer matters */
}

static bool
is_void(const struct scan *s, const struct sector_trailer *t)
{
	return (int16_t)(t->generation - (uint16_t)s->generation) < 0;
}

/* @retval 1 found  @retval 0 not here  @retval -EBADMSG refused */
static int
block_find_at(struct scan *s, uint64_t position, struct block_header *ret_header)
{
	struct wal *w = s->reader.w;
	uint64_t offset = position_to_offset(w, position);
	uint64_t sectors = (segment_next(w, position) - position) / WAL_SECTOR_BYTES;
	struct sector_ring ring = ring_at(w, position);
	struct sector_trailer first;
	struct decree_digest digest;
	enum block_state state;

	if (sector_check(&w->seal, sector_at(ring, 0), &first) != SECTOR_VALID)
		return 0;
	if (first.lsn != s->lsn || is_void(s, &first))
		return 0;
	if (sectors > w->geometry.sector_count_max)
		sectors = w->geometry.sector_count_max;
	state = block_decode(
		&w->seal, ring, (uint32_t)sectors, ret_header, s->tag, s->payload, &digest);
	if (state == BLOCK_INCOMPLETE)
		return 0;

	/* From here on all of it was written as it stands. */

	if (state == BLOCK_CONTRADICTORY)
		return refuse(s, "segments", offset, s->lsn, "its sectors contradict each other");
	if (ret_header->position != position)
		return refuse(s, "segments", offset, s->lsn,
			"it belongs to another place (misdirected write)");
	if (ret_header->previous.lo != s->previous.lo || ret_header->previous.hi != s->previous.hi)
		return refuse(
			s, "segments", offset, s->lsn, "it does not follow the record before it");
	if (ret_header->generation < s->generation || ret_header->generation > w->session.number)
		return refuse(s, "segments", offset, s->lsn, "it is from a session that never was");
	if (position != s->position &&
		s->position + (uint64_t)block_sector_count(ret_header->payload_bytes) *
					WAL_SECTOR_BYTES <=
			segment_next(w, s->position))
		return refuse(s, "segments", offset, s->lsn,
			"it left a gap that it had no reason to leave");
	s->before = s->previous;
	s->previous = digest;
	return 1;
}

/* Block x lies at p, or at the start of the next segment if p's has no room for it. */
static int
block_find(struct scan *s, struct block_header *ret_header)
{
	struct wal *w = s->reader.w;
	uint64_t block_bytes = (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t next = segment_next(w, s->position);
	int rc;

	if (s->position >= s->reader.limit)
		return 0;
	rc = reader_need(s, s->position, s->position + 2 * block_bytes);
	if (rc == 0)
		rc = block_find_at(s, s->position, ret_header);
	if (rc == 0 && next - s->position < block_bytes && next < s->reader.limit)
		rc = block_find_at(s, next, ret_header);
	return rc;
}

static void
report_progress(struct scan *s)
{
	const struct wal *w = s->reader.w;
	uint64_t done = s->position - w->session.start.position;
	uint64_t total = w->session.segments_prewritten_bytes;

	if (s->to->progress == NULL || s->position - s->progress_position < PROGRESS_BYTES)
		return;
	s->progress_position = s->position;
	s->to->progress(s->to->context, done, total > done ? total : done);
}

static int
block_keep(struct scan *s, const struct block_header *h)
{
	struct wal *w = s->reader.w;
	uint32_t sectors = block_sector_count(h->payload_bytes);
	struct log_place place = { .lsn = h->lsn, .position = h->position };
	int rc = 0;

	trim_note_block(w, &(struct log_start){
				   .lsn = h->lsn,
				   .position = h->position,
				   .previous = s->before,
				   .generation = h->generation,
			   });
	identifiers_add(w, &(struct identifier){
				   .lsn = h->lsn,
				   .position = h->position,
				   .digest = s->previous,
				   .tag = s->tag,
				   .sector_count = (uint16_t)sectors,
				   .kind = (uint16_t)h->kind,
				   .generation = h->generation,
			   });
	s->position = h->position + (uint64_t)sectors * WAL_SECTOR_BYTES;
	s->lsn++;
	s->generation = h->generation;
	if (h->durable_lsn > s->durable_lsn)
		s->durable_lsn = h->durable_lsn;
	if (h->kind == BLOCK_RECORD) {
		w->counters.recovered_count++;
		if (s->to->record != NULL)
			rc = s->to->record(
				s->to->context, &place, s->tag, s->payload, h->payload_bytes);
	}
	report_progress(s);
	return rc;
}

/* One sector at or after p, where x is missing. */
static int
tail_sector(struct scan *s, uint64_t position, bool *ret_is_torn)
{
	struct wal *w = s->reader.w;
	const uint8_t *sector = sector_at(ring_at(w, position), 0);
	uint64_t offset = position_to_offset(w, position);
	struct sector_trailer t;

	switch (sector_check(&w->seal, sector, &t)) {
	case SECTOR_ZERO: return 0;
	case SECTOR_BAD:
		return refuse(s, "segments", offset, s->lsn,
			"a sector at or after the end of the log fails its checksum");
	case SECTOR_VALID: break;
	}
	if (t.lsn < s->lsn || is_void(s, &t))
		return 0;
	if (position >= s->position + w->geometry.window_bytes)
		return refuse(s, "segments", offset, s->lsn,
			"it is missing, but later records exist beyond everything that can have "
			"been in "
			"flight with it");
	if (t.index == 0 && sector_durable_lsn(sector) >= s->lsn)
		return refuse(s, "segments", offset, s->lsn,
			"it is missing, but a later record says that it was durable");
	*ret_is_torn = true;
	return 0;
}

static int
tail_check_segments(struct scan *s, bool *ret_is_torn)
{
	struct wal *w = s->reader.w;
	uint64_t end = s->position + 2ull * w->geometry.window_bytes;
	int rc = 0;

	if (end > s->reader.limit)
		end = s->reader.limit;
	for (uint64_t q = s->position; rc == 0 && q < end; q += WAL_SECTOR_BYTES) {
		rc = reader_need(s, q, q + WAL_SECTOR_BYTES);
		if (rc == 0)
			rc = tail_sector(s, q, ret_is_torn);
	}
	return rc;
}

static int
tail_identifier(struct scan *s, const uint8_t *entry, uint64_t offset)
{
	struct identifier id;

	switch (identifier_check(&s->reader.w->seal, entry, &id)) {
	case SECTOR_ZERO: return 0;
	case SECTOR_BAD:
		return refuse(s, "identifiers", offset, s->lsn,
			"its identifier, or a later one, fails its checksum");
	case SECTOR_VALID: break;
	}
	if (id.lsn < s->lsn)
		return 0;
	return refuse(s, "segments",
		position_to_offset(s->reader.w, id.lsn == s->lsn ? id.position : s->position),
		s->lsn,
		"it is missing or damaged, but its identifier, or a later one, says that it was "
		"durable");
}

/* The entries of [first_lsn, first_lsn + count), which do not wrap; those below x do not matter. */
static int
tail_check_entries(struct scan *s, uint64_t first_lsn, uint32_t count)
{
	struct wal *w = s->reader.w;
	uint64_t offset = (first_lsn - 1) % w->geometry.identifier_count * IDENTIFIER_BYTES;
	uint8_t *stage = w->identifiers.stage;
	int rc = disk_io(w->ops, w->disk, DISK_READ, DISK_IDENTIFIERS, offset, stage,
		count * IDENTIFIER_BYTES);

	if (rc != 0)
		snprintf(s->error, DECREE_ERROR_BYTES,
			"cannot read the log (file identifiers, byte %llu): %s",
			(unsigned long long)offset, strerror(-rc));
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		if (first_lsn + i >= s->lsn)
			rc = tail_identifier(
				s, stage + i * IDENTIFIER_BYTES, offset + i * IDENTIFIER_BYTES);
	return rc;
}

/* As many entries as blocks of one sector fit two windows, once around the ring at most. */
static int
tail_check_identifiers(struct scan *s)
{
	const struct wal_geometry *g = &s->reader.w->geometry;
	uint64_t lsn = (s->lsn - 1) / IDENTIFIER_COUNT_PER_SECTOR * IDENTIFIER_COUNT_PER_SECTOR + 1;
	uint64_t left = 2ull * g->window_bytes / WAL_SECTOR_BYTES;
	int rc = 0;

	if (left > g->identifier_count)
		left = g->identifier_count;
	while (rc == 0 && left > 0) {
		uint64_t count = g->identifier_count - (lsn - 1) % g->identifier_count;

		if (count > left)
			count = left;
		if (count > IDENTIFIER_STAGE_BYTES / IDENTIFIER_BYTES)
			count = IDENTIFIER_STAGE_BYTES / IDENTIFIER_BYTES;
		rc = tail_check_entries(s, lsn, (uint32_t)count);
		lsn += count;
		left -= count;
	}
	return rc;
}

static int
scan_all(struct scan *s, bool *ret_is_torn)
{
	struct block_header header = { 0 };
	int rc;

	while ((rc = block_find(s, &header)) == 1) {
		rc = block_keep(s, &header);
		if (rc != 0)
			return rc;
	}
	if (s->is_lossy)
		return rc;
	if (rc == 0)
		rc = tail_check_segments(s, ret_is_torn);
	reader_fini(&s->reader);
	if (rc == 0)
		rc = tail_check_identifiers(s);
	if (rc == 0 && s->durable_lsn >= s->lsn)
		rc = refuse(s, "segments", position_to_offset(s->reader.w, s->position), s->lsn,
			"it is missing, but was known to be durable");
	return rc;
}

int
log_recover(struct wal *w, const struct wal_recovery *to, uint64_t durable_lsn, bool is_lossy,
	bool *ret_is_cut, char *ret_error)
{
	const struct log_start *begin = &w->session.start;
	uint64_t start = begin->position;
	struct scan s = {
		.reader = {
			.w = w,
			.limit = start + w->geometry.log_bytes,
			.issued = start,
			.loaded = start,
			.kept = start,
			.piece_bytes = w->geometry.window_bytes / PIECE_COUNT / WAL_SECTOR_BYTES
				* WAL_SECTOR_BYTES,
		},
		.position = start,
		.lsn = begin->lsn,
		.durable_lsn = durable_lsn,
		.generation = begin->generation,
		.previous = begin->previous,
		.progress_position = start,
		.is_lossy = is_lossy,
		.to = to,
		.error = ret_error,
	};
	bool is_torn = false;
	int rc;

	if (s.reader.piece_bytes > PIECE_BYTES_MAX)
		s.reader.piece_bytes = PIECE_BYTES_MAX;
	if (begin->lsn > 1 && begin->lsn > s.durable_lsn)
		s.durable_lsn = begin->lsn; /* a log begins with a durable record */
	rc = scan_all(&s, &is_torn);
	reader_fini(&s.reader);
	if (rc != 0)
		return rc;

	w->append.head = s.position;
	w->append.next_lsn = s.lsn;
	w->append.previous = s.previous;
	*ret_is_cut = is_torn;
	return 0;
}
