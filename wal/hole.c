/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it means that block x is not where it should be, at p. Let W be the window (most that is
 * ever written but not yet durable), L the largest durable lsn that any valid block, sector,
 * identifier or hard state names, and the place of x the sectors that the largest block at p, or at
 * the start of the next segment, would have.
 *
 *   the identifier of x is there                                       x was durable: DAMAGED, its tag is known
 *   L >= x; or a sector of x or later at or beyond p + W; or an
 *     identifier later than x; or x is where the log begins; or every
 *     sector of x is valid, but they contradict each other, the chain,
 *     the place or the session                                         x was durable: DAMAGED
 *   a sector in the place of x, or its identifier, fails its CRC       perhaps it was: DAMAGED
 *   none of all that, but sectors of x or later before p + W           a torn tail, never acknowledged: CUT
 *   none of all that                                                   the END
 *
 * (Protocol 11.3.) The tag of a DAMAGED block is in its identifier, in its first sector or, all
 * that matters of it, in its last; if it is in none of them, the block is lost without a name. Then
 * the walk goes on at the next block or identifier that there is. If there is none, the log goes on
 * behind all that is left of the damage, with a boot record that makes this decision durable:
 * evidence is never written over.
 *
 * "Old" is a valid sector with an lsn below x, or one of a generation below that of the last intact
 * block: an earlier boot record voided it.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Where the walk can go on. */
struct landmark {
	uint64_t lsn; /* 0 = none */
	uint64_t position;
};

static int
refuse(struct scan *s)
{
	snprintf(s->error, DECREE_ERROR_BYTES,
		"log record %llu (file %s, byte %llu): %s. This is damage and not a torn tail, so "
		"nothing was cut or changed. Keep the files, and replace this node by one with a "
		"new node id",
		(unsigned long long)s->lsn, s->suspicion.file,
		(unsigned long long)s->suspicion.offset_bytes, s->suspicion.why);
	return -EBADMSG;
}

/* ---- identifiers, a part of the file at a time ---- */

const uint8_t *
scan_identifier(struct scan *s, uint64_t lsn)
{
	struct wal *w = s->reader.w;
	uint64_t offset = (lsn - 1) % w->geometry.identifier_count * IDENTIFIER_BYTES;
	uint64_t chunk = offset / IDENTIFIER_CHUNK_BYTES;
	uint64_t left = w->geometry.identifiers_bytes - chunk * IDENTIFIER_CHUNK_BYTES;
	uint32_t bytes = left < IDENTIFIER_CHUNK_BYTES ? (uint32_t)left : IDENTIFIER_CHUNK_BYTES;

	if (s->entries_chunk != chunk) {
		reader_drain(&s->reader);
		if (disk_io(w->ops, w->disk, DISK_READ, DISK_IDENTIFIERS,
			    chunk * IDENTIFIER_CHUNK_BYTES, w->identifiers.stage, bytes) != 0)
			reader_rescue(w, DISK_IDENTIFIERS, chunk * IDENTIFIER_CHUNK_BYTES,
				w->identifiers.stage, bytes);
		s->entries_chunk = chunk;
	}
	return w->identifiers.stage + offset % IDENTIFIER_CHUNK_BYTES;
}

/* Whether a valid identifier names the block @p lsn, which may lie at or behind p. */
static bool
is_named(const struct scan *s, uint64_t lsn, const struct identifier *id)
{
	const struct wal *w = s->reader.w;
	uint64_t bytes = (uint64_t)id->sector_count * WAL_SECTOR_BYTES;

	return id->lsn == lsn && id->sector_count >= 1 &&
	       id->sector_count <= w->geometry.sector_count_max &&
	       (id->kind == BLOCK_RECORD || id->kind == BLOCK_BOOT) &&
	       id->generation >= s->generation && id->generation <= w->session.number &&
	       id->position % WAL_SECTOR_BYTES == 0 && id->position >= s->position &&
	       id->position + bytes <= segment_next(w, id->position) &&
	       id->position + bytes <= s->reader.limit;
}

static bool
identifier_find(struct scan *s, uint64_t lsn, struct identifier *ret)
{
	const uint8_t *entry = scan_identifier(s, lsn);

	return identifier_check(&s->reader.w->seal, entry, ret) == SECTOR_VALID &&
	       is_named(s, lsn, ret);
}

/* ---- evidence ---- */

static void
look_at_sector(struct scan *s, uint64_t position, bool is_in_place, struct tail *t)
{
	struct wal *w = s->reader.w;
	const uint8_t *sector = sector_at(reader_at(&s->reader, position), 0);
	uint64_t offset = position_to_offset(w, position);
	struct sector_trailer trailer;
	enum sector_state state = sector_check(&w->seal, sector, &trailer);

	if (state == SECTOR_ZERO || (state == SECTOR_BAD && !is_in_place))
		return;
	if (state == SECTOR_BAD)
		scan_suspect(s, "segments", offset,
			"a sector at or after the end of the log fails its checksum");
	else if (trailer.lsn < s->lsn || scan_is_void(s, trailer.generation))
		return;
	t->end = position + WAL_SECTOR_BYTES;
	if (state == SECTOR_BAD)
		return;
	if (trailer.lsn > t->lsn_last)
		t->lsn_last = trailer.lsn;
	if (position >= s->position + w->geometry.window_bytes)
		scan_suspect(s, "segments", offset,
			"it is missing, but later records exist beyond everything that can have "
			"been in flight with it");
	if (trailer.index == 0 && sector_durable_lsn(sector) > s->durable_lsn)
		s->durable_lsn = sector_durable_lsn(sector);
}

/* Whether a sector may have been x's, or is not behind it in its segment: x is at p, or begins the
 * next segment. */
static bool
is_in_place_of(const struct scan *s, uint64_t position)
{
	const struct wal *w = s->reader.w;
	uint64_t block_bytes = (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t next = segment_next(w, s->position);

	if (position < s->position + block_bytes && position < next)
		return true;
	return next < s->position + block_bytes && position >= next &&
	       position < next + block_bytes;
}

static int
look_at_segments(struct scan *s, struct tail *t)
{
	struct wal *w = s->reader.w;
	uint64_t end = s->position + 2ull * w->geometry.window_bytes;
	int rc = 0;

	reader_seek(&s->reader, s->position);
	if (end > s->reader.limit)
		end = s->reader.limit;
	for (uint64_t q = s->position; rc == 0 && q < end; q += WAL_SECTOR_BYTES) {
		rc = reader_need(&s->reader, q, q + WAL_SECTOR_BYTES);
		if (rc == 0)
			look_at_sector(s, q, is_in_place_of(s, q), t);
	}
	if (rc != 0)
		snprintf(s->error, DECREE_ERROR_BYTES,
			"cannot read the log (file segments, near byte %llu): %s",
			(unsigned long long)position_to_offset(w, s->reader.loaded), strerror(-rc));
	return rc;
}

/* As many entries as blocks of one sector fit two windows, once around the ring at most. */
static void
look_at_identifiers(struct scan *s, struct tail *t)
{
	const struct wal_geometry *g = &s->reader.w->geometry;
	uint64_t count = 2ull * g->window_bytes / WAL_SECTOR_BYTES;
	uint64_t offset = (s->lsn - 1) % g->identifier_count * IDENTIFIER_BYTES;
	struct identifier id;

	if (identifier_check(&s->reader.w->seal, scan_identifier(s, s->lsn), &id) == SECTOR_BAD)
		scan_suspect(s, "identifiers", offset, "its identifier fails its checksum");
	if (count > g->identifier_count)
		count = g->identifier_count;
	for (uint64_t i = 0; i < count; i++) {
		enum sector_state state =
			identifier_check(&s->reader.w->seal, scan_identifier(s, s->lsn + i), &id);

		if (state == SECTOR_BAD)
			t->lsn_rotten = s->lsn + i;
		if (state != SECTOR_VALID || !is_named(s, s->lsn + i, &id))
			continue;
		t->lsn_last = t->lsn_last < id.lsn ? id.lsn : t->lsn_last;
		scan_suspect(s, "segments",
			position_to_offset(
				s->reader.w, id.lsn == s->lsn ? id.position : s->position),
			"it is missing or damaged, but its identifier, or a later one, says that "
			"it was durable");
	}
}

static int
look_around(struct scan *s, struct tail *t)
{
	int rc = look_at_segments(s, t);

	if (rc != 0)
		return rc;
	look_at_identifiers(s, t);
	if (s->durable_lsn >= s->lsn)
		scan_suspect(s, "segments", position_to_offset(s->reader.w, s->position),
			"it is missing, but was known to be durable");
	return 0;
}

/* ---- passing a damaged block ---- */

static int
tell(struct scan *s, const struct damage *d)
{
	struct wal *w = s->reader.w;
	struct log_place place = { .lsn = d->last_lsn, .position = d->position };
	int rc = explain_damage(s, d);

	if (rc != 0 || d->kind == BLOCK_BOOT)
		return rc;
	FAILPOINT("wal.recover.damage_told");
	w->counters.damaged_count++;
	w->counters.nameless_count += d->tag == NULL;
	return s->to->damaged(s->to->context, &place, d->tag);
}

/* The walk goes on behind x, or several of them, or at the next landmark. */
static void
go_on(struct scan *s, uint64_t lsn, uint64_t position)
{
	struct wal *w = s->reader.w;
	uint64_t first = s->lsn;

	if (lsn - first > w->identifiers.capacity)
		first = lsn - w->identifiers.capacity;
	for (uint64_t i = first; i < lsn; i++)
		identifiers_skip(w, i);
	s->lsn = lsn;
	s->position = position;
	s->is_chained = false;
	s->previous = (struct decree_digest){ 0 };
	s->suspicion.why = NULL;
	reader_seek(&s->reader, position);
}

static int
pass_identified(struct scan *s, const struct identifier *id)
{
	struct wal *w = s->reader.w;
	const struct damage damage = {
		.first_lsn = id->lsn,
		.last_lsn = id->lsn,
		.position = id->position,
		.begin = id->position,
		.end = id->position + (uint64_t)id->sector_count * WAL_SECTOR_BYTES,
		.witness = WAL_WITNESS_IDENTIFIER,
		.kind = id->kind,
		.tag = id->tag,
	};
	int rc = tell(s, &damage);

	if (s->is_chained)
		trim_note_block(w, &(struct log_start){
					   .lsn = id->lsn,
					   .position = id->position,
					   .previous = s->previous,
					   .generation = id->generation,
				   });
	go_on(s, id->lsn + 1, damage.end);
	identifiers_add(w, id);
	s->generation = id->generation;
	s->previous = id->digest;
	s->is_chained = true;
	if (s->durable_lsn < id->lsn)
		s->durable_lsn = id->lsn;
	return rc;
}

/* One sector in the place of x. @return whether it tells the tag */
static bool
tag_of_sector(struct scan *s, uint64_t position, struct damage *ret)
{
	const struct wal *w = s->reader.w;
	const uint8_t *sector = sector_at(reader_at(&s->reader, position), 0);
	struct sector_trailer t;

	if (sector_check(&w->seal, sector, &t) != SECTOR_VALID || t.lsn != s->lsn ||
		scan_is_void(s, t.generation) || t.count > w->geometry.sector_count_max ||
		t.index >= t.count)
		return false;
	if (!scan_is_place(s, position - (uint64_t)t.index * WAL_SECTOR_BYTES, t.count))
		return false;
	*ret = (struct damage){
		.first_lsn = s->lsn,
		.last_lsn = s->lsn,
		.position = position,
		.begin = position - (uint64_t)t.index * WAL_SECTOR_BYTES,
		.end = position + (uint64_t)(t.count - t.index) * WAL_SECTOR_BYTES,
		.witness = t.index == 0 ? WAL_WITNESS_FIRST_SECTOR : WAL_WITNESS_LAST_SECTOR,
		.kind = BLOCK_RECORD,
		.tag = s->tag,
	};
	return sector_tag(sector, &t, s->tag);
}

/* The tag of x from what is left of its sectors, the first before the last. */
static bool
tag_from_remains(struct scan *s, struct damage *ret)
{
	const struct wal *w = s->reader.w;
	uint64_t span = 2ull * w->geometry.sector_count_max * WAL_SECTOR_BYTES;

	reader_seek(&s->reader, s->position);
	if (reader_need(&s->reader, s->position, s->position + span) != 0)
		return false;
	for (uint64_t q = s->position; q < s->position + span && q < s->reader.limit;
		q += WAL_SECTOR_BYTES)
		if (is_in_place_of(s, q) && tag_of_sector(s, q, ret))
			return true;
	return false;
}

static struct landmark
next_identified(struct scan *s)
{
	uint64_t count = s->reader.w->geometry.identifier_count;
	struct identifier id;

	for (uint64_t lsn = s->lsn + 1; lsn < s->lsn + count; lsn++)
		if (identifier_find(s, lsn, &id) && id.position > s->position)
			return (struct landmark){ lsn, id.position };
	return (struct landmark){ 0 };
}

static bool
is_landmark(struct scan *s, uint64_t position, struct block_header *ret)
{
	const struct wal *w = s->reader.w;
	uint64_t sectors = (segment_next(w, position) - position) / WAL_SECTOR_BYTES;
	struct sector_ring ring = reader_at(&s->reader, position);
	struct decree_digest digest;
	struct sector_trailer t;

	if (sector_check(&w->seal, sector_at(ring, 0), &t) != SECTOR_VALID || t.index != 0 ||
		t.lsn <= s->lsn || t.lsn - s->lsn > (position - s->position) / WAL_SECTOR_BYTES + 1)
		return false;
	if (sectors > w->geometry.sector_count_max)
		sectors = w->geometry.sector_count_max;
	return block_decode(&w->seal, ring, (uint32_t)sectors, ret, s->tag, s->payload, &digest) ==
		       BLOCK_VALID &&
	       ret->position == position && ret->generation >= s->generation &&
	       ret->generation <= w->session.number;
}

/* The first intact block behind the hole; before that landmark, if there is one. */
static struct landmark
next_intact(struct scan *s, const struct landmark *before)
{
	uint64_t block_bytes = (uint64_t)s->reader.w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t end = before->lsn != 0 ? before->position : s->reader.limit;
	struct block_header header;

	reader_seek(&s->reader, s->position);
	for (uint64_t q = s->position; q < end; q += WAL_SECTOR_BYTES) {
		if (reader_need(&s->reader, q, q + block_bytes) != 0)
			break;
		if (is_landmark(s, q, &header) && (before->lsn == 0 || header.lsn < before->lsn))
			return (struct landmark){ header.lsn, header.position };
	}
	return *before;
}

/* Nothing is left that names x, and perhaps several behind it. */
static int
pass_nameless(struct scan *s, enum hole *ret)
{
	const struct tail *t = &s->tail;
	struct landmark identified = next_identified(s);
	struct landmark next = next_intact(s, &identified);
	int rc;

	if (next.lsn == 0) {
		*ret = HOLE_SEALED;
		next.lsn = s->lsn;
		if (next.lsn < s->durable_lsn)
			next.lsn = s->durable_lsn;
		if (next.lsn < t->lsn_last)
			next.lsn = t->lsn_last;
		if (next.lsn < t->lsn_rotten)
			next.lsn = t->lsn_rotten;
		next.lsn++;
		next.position = t->end;
		FAILPOINT("wal.recover.end_sealed");
	}
	rc = tell(s, &(struct damage){
			     .first_lsn = s->lsn,
			     .last_lsn = next.lsn - 1,
			     .position = s->position,
			     .begin = s->position,
			     .end = next.position,
			     .kind = BLOCK_RECORD,
		     });
	if (*ret == HOLE_SEALED && next.position + WAL_SECTOR_BYTES > s->reader.limit) {
		scan_suspect(s, "segments", position_to_offset(s->reader.w, s->position), "");
		s->suspicion.why =
			"it is damaged, and the log has no space left to go on behind it";
		return refuse(s);
	}
	go_on(s, next.lsn, next.position);
	return rc;
}

int
hole_judge(struct scan *s, enum hole *ret)
{
	struct identifier id;
	struct damage damage;
	int rc;

	*ret = HOLE_PASSED;
	if (s->to->damaged != NULL && identifier_find(s, s->lsn, &id) &&
		scan_is_place(s, id.position, id.sector_count))
		return pass_identified(s, &id);
	s->tail = (struct tail){ .end = s->position };
	rc = look_around(s, &s->tail);
	if (rc != 0)
		return rc;
	if (s->suspicion.why == NULL) {
		*ret = s->tail.lsn_last != 0 ? HOLE_CUT : HOLE_END;
		return 0;
	}
	if (s->to->damaged == NULL)
		return refuse(s);
	if (!tag_from_remains(s, &damage))
		return pass_nameless(s, ret);
	rc = tell(s, &damage);
	go_on(s, s->lsn + 1, damage.end);
	return rc;
}
