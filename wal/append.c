/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write path. append_block() encodes into the buffer at the block's own position modulo the
 * buffer's size; append_next_write() turns everything since the last write into one contiguous
 * request; writes finish in any order, but only the finished prefix counts.
 *
 * A block never straddles the end of a segment: the rest of the segment is written as zeros. A
 * write never straddles the end of the buffer or of the log, so a block may take two writes there.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "base/probe.h"
#include "wal/internal.h"

#include <string.h>

static struct sector_ring
buffer_at(const struct wal *w, uint64_t position)
{
	return (struct sector_ring){
		.base = w->append.buffer,
		.bytes = w->geometry.window_bytes,
		.offset = (uint32_t)(position % w->geometry.window_bytes),
	};
}

/* Where the next block of that many sectors goes: the head, or the next segment's start. */
static uint64_t
next_position(const struct wal *w, uint32_t sector_count)
{
	uint64_t head = w->append.head;
	uint64_t end = head + (uint64_t)sector_count * WAL_SECTOR_BYTES;
	uint64_t next = segment_next(w, head);

	return end <= next ? head : next;
}

/* @return the position that no block may cross now. The window counts from the last durable block
 * and not from the last durable byte, which may lie in the middle of a block: recovery knows only
 * blocks. */
static uint64_t
limit_position(const struct wal *w)
{
	uint64_t window = w->append.durable_end + w->geometry.window_bytes;
	uint64_t end = trim_end_position(w);

	if (w->is_endless)
		return window;
	return window < end ? window : end;
}

/* @return how many more records the identifiers have room for, in memory and on the disk */
static uint64_t
identifier_room(const struct wal *w)
{
	uint64_t last_lsn = w->append.next_lsn - 1;
	uint64_t held = last_lsn - w->identifiers.written_lsn + 2 * IDENTIFIER_COUNT_PER_SECTOR;
	uint64_t room = w->identifiers.capacity > held ? w->identifiers.capacity - held : 0;
	uint64_t end_lsn = trim_end_lsn(w), disk;

	if (w->is_endless)
		return room;
	disk = end_lsn > last_lsn ? end_lsn - last_lsn : 0;
	return room < disk ? room : disk;
}

struct log_place
append_block(struct wal *w, enum block_kind kind, const uint8_t *tag, const void *payload,
	uint32_t payload_bytes)
{
	struct wal_append *a = &w->append;
	uint32_t count = block_sector_count(payload_bytes);
	struct block_header header = {
		.lsn = a->next_lsn,
		.position = next_position(w, count),
		.durable_lsn = a->durable_lsn,
		.previous = a->previous,
		.generation = w->session.number,
		.payload_bytes = (uint16_t)payload_bytes,
		.kind = kind,
	};

	trim_note_block(w, &(struct log_start){
				   .lsn = header.lsn,
				   .position = header.position,
				   .previous = header.previous,
				   .generation = header.generation,
			   });
	for (uint64_t gap = a->head; gap < header.position; gap += WAL_SECTOR_BYTES)
		memset(sector_at(buffer_at(w, gap), 0), 0, WAL_SECTOR_BYTES);
	block_encode(&w->seal, &header, tag, payload, buffer_at(w, header.position), &a->previous);
	identifiers_add(w, &(struct identifier){
				   .lsn = header.lsn,
				   .position = header.position,
				   .digest = a->previous,
				   .tag = tag,
				   .sector_count = (uint16_t)count,
				   .kind = (uint16_t)kind,
				   .generation = header.generation,
			   });
	a->head = header.position + (uint64_t)count * WAL_SECTOR_BYTES;
	a->next_lsn++;
	FAILPOINT("wal.append.block_encoded");
	return (struct log_place){ .lsn = header.lsn, .position = header.position };
}

uint32_t
append_records(struct wal *w, const struct log_record *records, uint32_t count,
	struct log_place *ret_places)
{
	uint64_t limit = limit_position(w);
	uint64_t identifiers = identifier_room(w);
	uint32_t done = 0;

	if (w->failed_rc != 0)
		return 0;
	for (; done < count && done < identifiers; done++) {
		const struct log_record *r = &records[done];
		uint32_t sectors = block_sector_count(r->payload_bytes);

		decree_assert(r->payload_bytes <= w->geometry.payload_bytes_max);
		if (next_position(w, sectors) + (uint64_t)sectors * WAL_SECTOR_BYTES > limit)
			break;
		ret_places[done] =
			append_block(w, BLOCK_RECORD, r->tag, r->payload, r->payload_bytes);
	}
	decree_assert(w->append.head <= limit || done == 0);
	return done;
}

/* @return blocks of the largest size between two positions, gaps at the ends of segments considered */
static uint64_t
block_count_between(const struct wal *w, uint64_t first, uint64_t end)
{
	uint64_t block = (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t per_segment = w->geometry.segment_bytes / block;
	uint64_t next = segment_next(w, first);

	if (end <= first)
		return 0;
	if (end <= next)
		return (end - first) / block;
	return (next - first) / block + (end - next) / w->geometry.segment_bytes * per_segment +
	       (end - next) % w->geometry.segment_bytes / block;
}

/* What space_record_count says of an empty log, but for what is held back at the ends of segments. */
static uint64_t
append_space_max(const struct wal *w)
{
	uint64_t block = (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t blocks = w->geometry.log_bytes / block;

	return blocks < w->geometry.identifier_count ? blocks : w->geometry.identifier_count;
}

/* Records of the largest payload between the head and both ends, one per segment held back. */
static uint64_t
space_until(const struct wal *w, uint64_t end, uint64_t end_lsn)
{
	uint64_t head = w->append.head;
	uint64_t last_lsn = w->append.next_lsn - 1;
	uint64_t blocks = block_count_between(w, head, end);
	uint64_t entries = end_lsn > last_lsn ? end_lsn - last_lsn : 0;
	uint64_t crossed = end > head ? (end - 1) / w->geometry.segment_bytes -
						head / w->geometry.segment_bytes
				      : 0;

	blocks = blocks > crossed ? blocks - crossed : 0;
	return blocks < entries ? blocks : entries;
}

/* What the background has yet to prepare is room as well, but not now. */
static uint64_t
space_unprepared(const struct wal *w, uint64_t space)
{
	uint64_t whole;

	if (w->prewrite.segments_bytes == w->geometry.log_bytes &&
		w->prewrite.identifiers_bytes == w->geometry.identifiers_bytes)
		return 0;
	/* Nothing was used twice before everything was prepared once. */
	whole = space_until(w, 2 * w->geometry.log_bytes, w->geometry.identifier_count);
	return whole > space ? whole - space : 0;
}

/* A short block before large ones may push one of them over a segment's end, which then wastes
 * almost a whole block there: callers may mix sizes, so one block per segment in reach is held
 * back. */
struct log_room
append_room(const struct wal *w)
{
	uint64_t limit = limit_position(w);
	uint64_t identifiers = identifier_room(w);
	uint64_t head = w->append.head;
	uint64_t crossed = limit > head ? (limit - 1) / w->geometry.segment_bytes -
						  head / w->geometry.segment_bytes
					: 0;
	uint64_t buffer = block_count_between(w, head, limit);
	uint64_t space, unprepared = 0;

	if (w->failed_rc != 0)
		return (struct log_room){ 0 };
	buffer = buffer > crossed ? buffer - crossed : 0;
	if (buffer > identifiers)
		buffer = identifiers;
	if (w->is_endless) {
		space = UINT64_MAX;
	} else {
		space = space_until(w, trim_end_position(w), trim_end_lsn(w));
		unprepared = space_unprepared(w, space);
	}
	return (struct log_room){ .buffer_record_count = (uint32_t)buffer,
		.space_record_count = space,
		.space_record_count_unprepared = unprepared,
		.space_record_count_max = w->is_endless ? UINT64_MAX : append_space_max(w) };
}

/* A small write beside another splits what would have become one write, and costs a flush more; a
 * large one keeps the disk busy while the other waits for its flush. */
static bool
may_write(const struct wal_append *a, uint64_t bytes)
{
	if (a->write_count < a->write_count_max)
		return true;
	return a->overlaps_large && a->write_count == 1 && bytes >= OVERLAP_BYTES;
}

bool
append_next_write(struct wal *w, struct disk_request *ret_request)
{
	struct wal_append *a = &w->append;
	uint64_t bytes = a->head - a->submitted;
	uint32_t buffer_offset = (uint32_t)(a->submitted % w->geometry.window_bytes);
	uint64_t log_left = w->geometry.log_bytes - position_to_offset(w, a->submitted);
	struct wal_write *write;

	if (bytes > w->geometry.window_bytes - buffer_offset)
		bytes = w->geometry.window_bytes - buffer_offset;
	if (bytes > log_left)
		bytes = log_left;
	if (bytes == 0 || !may_write(a, bytes))
		return false;

	*ret_request = (struct disk_request){
		.kind = DISK_WRITE_DURABLE,
		.file = DISK_SEGMENTS,
		.offset_bytes = position_to_offset(w, a->submitted),
		.buffer = a->buffer + buffer_offset,
		.bytes = (uint32_t)bytes,
		.token = token_of(
			TOKEN_DATA, (a->write_first + a->write_count) % WAL_INFLIGHT_COUNT_MAX),
	};
	a->submitted += bytes;
	write = &a->writes[(a->write_first + a->write_count) % WAL_INFLIGHT_COUNT_MAX];
	*write = (struct wal_write){ .end_position = a->submitted, .bytes = (uint32_t)bytes };
	a->write_count++;
	w->counters.write_count++;
	w->counters.write_bytes += bytes;
	BASE_PROBE2(log_write_submitted, a->submitted, bytes);
	return true;
}

void
append_on_written(struct wal *w, uint64_t token)
{
	struct wal_append *a = &w->append;

	FAILPOINT("wal.append.write_completed");
	a->writes[(uint32_t)token].done = true;
	while (a->write_count > 0 && a->writes[a->write_first].done) {
		a->durable = a->writes[a->write_first].end_position;
		a->write_first = (a->write_first + 1) % WAL_INFLIGHT_COUNT_MAX;
		a->write_count--;
	}
	while (a->durable_lsn + 1 < a->next_lsn) {
		uint64_t end = identifiers_end_position(w, a->durable_lsn + 1);

		if (end > a->durable)
			break;
		a->durable_end = end;
		a->durable_lsn++;
	}
	BASE_PROBE2(log_write_completed, a->durable, a->durable_lsn);
	decree_assert(a->durable_end <= a->durable && a->durable <= a->submitted &&
		      a->submitted <= a->head);
}
