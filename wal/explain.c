/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recovery says to a tool that asks (explain.h): facts about what it has just read, gathered
 * from the same bytes. All of it happens while the scan stands still, and nothing of it changes
 * what the scan does next.
 */
#include "wal/explain.h"

#include "base/digest.h"
#include "wal/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536

static const char *const file_names[DISK_FILE_COUNT] = { "identity", "hardstate", "segments",
	"identifiers" };

/* ---- pages ---- */

void
explain_page(struct wal *w, const struct wal_recovery *to, const struct page_pair *pair,
	const struct wal_seal *seal, const char *name)
{
	struct wal_page_view view = { .name = name, .file = file_names[pair->file] };
	struct page_header header;
	uint8_t *pages;

	if (to->explain == NULL || to->explain->page == NULL)
		return;
	pages = aligned_alloc(PAGE_BYTES_MAX, 2 * page_stride(pair));
	if (pages == NULL)
		return; /* the open itself will say so */
	for (int i = 0; i < 2; i++) {
		view.copies[i].offset_bytes = pair->offset_bytes[i];
		view.copies[i].state = page_copy_load(w->ops, w->disk, pair, i, seal,
			pages + (size_t)i * page_stride(pair), &header);
		if (view.copies[i].state == PAGE_VALID)
			view.copies[i].generation = header.generation;
	}
	view.is_ambiguous = view.copies[0].state == PAGE_VALID &&
			    view.copies[1].state == PAGE_VALID &&
			    view.copies[0].generation == view.copies[1].generation &&
			    memcmp(pages, pages + page_stride(pair), pair->bytes) != 0;
	free(pages);
	to->explain->page(to->explain->context, &view);
}

void
explain_log(const struct wal *w, const struct wal_recovery *to, const uint8_t *boot_id)
{
	const struct wal_geometry *g = &w->geometry;
	const struct wal_session *s = &w->session;
	const struct wal_log_view view = {
		.uuid = g->uuid,
		.log_bytes = g->log_bytes,
		.segment_bytes = g->segment_bytes,
		.identifiers_bytes = g->identifiers_bytes,
		.window_bytes = g->window_bytes,
		.payload_bytes_max = g->payload_bytes_max,
		.session = s->number,
		.mode = s->mode,
		.is_boot_ours = memcmp(s->boot_id, boot_id, WAL_BOOT_ID_BYTES) == 0,
		.prewritten_bytes = s->segments_prewritten_bytes,
		.first_lsn = s->start.lsn,
		.first_offset_bytes = position_to_offset(w, s->start.position),
	};

	if (to->explain != NULL && to->explain->log != NULL)
		to->explain->log(to->explain->context, &view);
}

/* ---- blocks ---- */

static enum wal_identifier_state
identifier_look(struct scan *s, uint64_t lsn, struct identifier *ret)
{
	switch (identifier_check(&s->reader.w->seal, scan_identifier(s, lsn), ret)) {
	case SECTOR_ZERO: return WAL_IDENTIFIER_MISSING;
	case SECTOR_BAD: return WAL_IDENTIFIER_BAD;
	case SECTOR_VALID: break;
	}
	if (ret->lsn == lsn)
		return WAL_IDENTIFIER_MATCHES;
	return ret->lsn < lsn && (lsn - ret->lsn) % s->reader.w->geometry.identifier_count == 0
		       ? WAL_IDENTIFIER_MISSING
		       : WAL_IDENTIFIER_CONTRADICTS;
}

static enum wal_identifier_state
identifier_compare(struct scan *s, const struct block_header *h, struct decree_digest digest)
{
	struct identifier id;
	enum wal_identifier_state state = identifier_look(s, h->lsn, &id);

	if (state != WAL_IDENTIFIER_MATCHES)
		return state;
	return id.position == h->position && id.kind == (uint16_t)h->kind &&
			       id.generation == h->generation && digest_eq(id.digest, digest) &&
			       id.sector_count == block_sector_count(h->payload_bytes) &&
			       memcmp(id.tag, s->tag, LOG_TAG_BYTES) == 0
		       ? WAL_IDENTIFIER_MATCHES
		       : WAL_IDENTIFIER_CONTRADICTS;
}

int
explain_block(struct scan *s, const struct block_header *h, struct decree_digest digest)
{
	const struct wal_explainer *e = s->to->explain;
	struct wal_block_view view;

	if (e == NULL || e->block == NULL)
		return 0;
	view = (struct wal_block_view){
		.lsn = h->lsn,
		.offset_bytes = position_to_offset(s->reader.w, h->position),
		.sector_count = block_sector_count(h->payload_bytes),
		.generation = h->generation,
		.kind = h->kind,
		.durable_lsn = h->durable_lsn,
		.digest = digest,
		.tag = s->tag,
		.payload = s->payload,
		.payload_bytes = h->payload_bytes,
		.identifier = identifier_compare(s, h, digest),
	};
	return e->block(e->context, &view);
}

/* ---- damage ---- */

static enum wal_sector_finding
sector_look(const struct scan *s, const uint8_t *sector, uint32_t index, bool is_one_block,
	uint64_t *ret_lsn)
{
	struct sector_trailer t;

	switch (sector_check(&s->reader.w->seal, sector, &t)) {
	case SECTOR_ZERO: return WAL_SECTOR_ZERO;
	case SECTOR_BAD:
		return reader_is_unreadable(sector) ? WAL_SECTOR_UNREADABLE : WAL_SECTOR_ROTTEN;
	case SECTOR_VALID: break;
	}
	*ret_lsn = t.lsn;
	if (scan_is_void(s, t.generation))
		return WAL_SECTOR_VOID;
	return is_one_block && (t.lsn != s->lsn || t.index != index) ? WAL_SECTOR_OTHER
								     : WAL_SECTOR_INTACT;
}

static void
sector_note(struct wal_damage_view *view, uint64_t offset, enum wal_sector_finding finding,
	uint64_t lsn, bool is_one_block)
{
	view->counts[finding]++;
	if (view->sector_count == WAL_SECTOR_VIEW_COUNT)
		return;
	if (!is_one_block && finding == WAL_SECTOR_INTACT)
		return;
	view->sectors[view->sector_count].offset_bytes = offset;
	view->sectors[view->sector_count].finding = finding;
	view->sectors[view->sector_count].lsn = lsn;
	view->sector_count++;
}

/* @return how many bytes: a piece ends with its segment */
static uint32_t
piece_read(struct wal *w, uint64_t at, uint64_t end, uint8_t *ret_piece)
{
	uint64_t offset = position_to_offset(w, at);
	uint64_t left = (end < segment_next(w, at) ? end : segment_next(w, at)) - at;
	uint32_t bytes = left < PIECE_BYTES ? (uint32_t)left : PIECE_BYTES;

	if (disk_io(w->ops, w->disk, DISK_READ, DISK_SEGMENTS, offset, ret_piece, bytes) != 0)
		reader_rescue(w, DISK_SEGMENTS, offset, ret_piece, bytes);
	return bytes;
}

/* Read again, piece by piece: what the reader's buffer still has of them depends on how the hole
 * was judged. */
static void
sectors_look(struct scan *s, const struct damage *d, uint8_t *piece, struct wal_damage_view *view)
{
	struct wal *w = s->reader.w;
	bool is_one_block = d->tag != NULL;
	uint64_t end = d->end < s->reader.limit ? d->end : s->reader.limit;
	uint32_t bytes;

	reader_drain(&s->reader);
	for (uint64_t at = d->begin; at < end; at += bytes) {
		bytes = piece_read(w, at, end, piece);
		for (uint32_t i = 0; i < bytes; i += WAL_SECTOR_BYTES) {
			uint32_t index = (uint32_t)((at + i - d->begin) / WAL_SECTOR_BYTES);
			uint64_t lsn = 0;
			enum wal_sector_finding finding =
				sector_look(s, piece + i, index, is_one_block, &lsn);

			sector_note(
				view, position_to_offset(w, at + i), finding, lsn, is_one_block);
		}
	}
}

int
explain_damage(struct scan *s, const struct damage *d)
{
	const struct wal_explainer *e = s->to->explain;
	struct identifier id;
	struct wal_damage_view view;
	uint8_t *piece;

	if (e == NULL || e->damage == NULL)
		return 0;
	view = (struct wal_damage_view){
		.first_lsn = d->first_lsn,
		.last_lsn = d->last_lsn,
		.offset_bytes = position_to_offset(s->reader.w, d->begin),
		.bytes = d->end - d->begin,
		.kind = d->kind,
		.witness = d->witness,
		.tag = d->tag,
		.identifier = identifier_look(s, d->first_lsn, &id),
		.evidence = s->suspicion.why,
		.evidence_file = s->suspicion.file,
		.evidence_offset_bytes = s->suspicion.offset_bytes,
	};
	piece = aligned_alloc(PAGE_BYTES_MAX, PIECE_BYTES);
	if (piece == NULL)
		return -ENOMEM;
	sectors_look(s, d, piece, &view);
	free(piece);
	return e->damage(e->context, &view);
}

/* ---- the end, and what lies behind it ---- */

static void
identifiers_rest(struct scan *s, struct wal_rest_view *view)
{
	uint64_t first = s->reader.w->session.start.lsn;
	uint64_t after = first + s->reader.w->geometry.identifier_count;
	struct identifier id;

	for (uint64_t lsn = s->lsn; lsn < after; lsn++)
		switch (identifier_check(&s->reader.w->seal, scan_identifier(s, lsn), &id)) {
		case SECTOR_ZERO: break;
		case SECTOR_BAD: view->identifiers_bad++; break;
		case SECTOR_VALID: view->identifiers_later += id.lsn >= s->lsn; break;
		}
}

static void
free_sector_note(struct scan *s, uint64_t position, struct wal_rest_view *view)
{
	struct wal *w = s->reader.w;
	uint64_t judged_end = s->position + 2ull * w->geometry.window_bytes;
	uint64_t offset = position_to_offset(w, position);
	struct sector_trailer t;

	switch (sector_check(&w->seal, sector_at(reader_at(&s->reader, position), 0), &t)) {
	case SECTOR_ZERO: return;
	case SECTOR_BAD:
		if (view->sectors_rotten++ == 0)
			view->rotten_offset_bytes = offset;
		return;
	case SECTOR_VALID: break;
	}
	if (t.lsn < s->lsn || scan_is_void(s, t.generation) || position < judged_end)
		return;
	if (view->sectors_later++ == 0)
		view->later_offset_bytes = offset;
}

static void
free_space_look(struct scan *s, struct wal_rest_view *view)
{
	reader_seek(&s->reader, s->position);
	for (uint64_t q = s->position; q < s->reader.limit; q += WAL_SECTOR_BYTES) {
		if (reader_need(&s->reader, q, q + WAL_SECTOR_BYTES) != 0)
			return; /* not of a reader that survives errors, which this is */
		free_sector_note(s, q, view);
		scan_progress(s, q);
	}
}

void
explain_end(struct scan *s, enum hole end, bool is_lossy)
{
	const struct wal_explainer *e = s->to->explain;
	struct wal_end_view view = {
		.kind = is_lossy             ? WAL_END_LOSSY
			: end == HOLE_CUT    ? WAL_END_TORN
			: end == HOLE_SEALED ? WAL_END_SEALED
					     : WAL_END_CLEAN,
		.next_lsn = s->lsn,
		.offset_bytes = position_to_offset(s->reader.w, s->position),
	};
	struct wal_rest_view rest = { .free_bytes = s->reader.limit - s->position };

	if (e == NULL)
		return;
	if (view.kind == WAL_END_TORN) {
		view.torn_last_lsn = s->tail.lsn_last;
		view.torn_bytes = s->tail.end - s->position;
	}
	if (e->end != NULL)
		e->end(e->context, &view);
	if (e->rest == NULL)
		return;
	identifiers_rest(s, &rest);
	free_space_look(s, &rest);
	e->rest(e->context, &rest);
}
