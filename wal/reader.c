/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/reader.h"

#include <errno.h>
#include <string.h>

#define UNREADABLE 0xba /* 512 of them pass no checksum */

void
reader_init(struct reader *r, struct wal *w, uint64_t position, bool survives_errors)
{
	uint32_t piece =
		w->geometry.window_bytes / READER_PIECE_COUNT / WAL_SECTOR_BYTES * WAL_SECTOR_BYTES;

	*r = (struct reader){
		.w = w,
		.limit = position + w->geometry.log_bytes,
		.issued = position,
		.loaded = position,
		.kept = position,
		.piece_bytes = piece < READER_PIECE_BYTES_MAX ? piece : READER_PIECE_BYTES_MAX,
		.survives_errors = survives_errors,
	};
}

struct sector_ring
reader_at(const struct reader *r, uint64_t position)
{
	return (struct sector_ring){
		.base = r->w->append.buffer,
		.bytes = r->w->geometry.window_bytes,
		.offset = (uint32_t)(position % r->w->geometry.window_bytes),
	};
}

void
reader_rescue(struct wal *w, enum disk_file file, uint64_t offset, uint8_t *to, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += WAL_SECTOR_BYTES)
		if (disk_io(w->ops, w->disk, DISK_READ, file, offset + at, to + at,
			    WAL_SECTOR_BYTES) != 0)
			memset(to + at, UNREADABLE, WAL_SECTOR_BYTES);
}

bool
reader_is_unreadable(const uint8_t *sector)
{
	return sector[0] == UNREADABLE && memcmp(sector, sector + 1, WAL_SECTOR_BYTES - 1) == 0;
}

/* A piece never wraps in the buffer, nor in the file. */
static uint32_t
piece_size(const struct reader *r)
{
	uint64_t in_buffer = r->w->geometry.window_bytes - r->issued % r->w->geometry.window_bytes;
	uint64_t in_file = r->w->geometry.log_bytes - position_to_offset(r->w, r->issued);
	uint64_t bytes = r->piece_bytes;

	if (bytes > in_buffer)
		bytes = in_buffer;
	if (bytes > in_file)
		bytes = in_file;
	if (bytes > r->limit - r->issued)
		bytes = r->limit - r->issued;
	return (uint32_t)bytes;
}

static void
reader_issue(struct reader *r)
{
	uint32_t window = r->w->geometry.window_bytes;
	bool queued = false;

	/* Whole pieces only: this is asked for each sector, and mostly there is no room for one.
	 * What is needed next is an eighth of the window at most, so nobody waits for the last of
	 * it. */
	while (r->piece_count < READER_PIECE_COUNT && r->issued < r->limit &&
		r->issued + r->piece_bytes <= r->kept + window) {
		uint32_t index = (r->piece_first + r->piece_count) % READER_PIECE_COUNT;
		struct disk_request request = {
			.kind = DISK_READ,
			.file = DISK_SEGMENTS,
			.offset_bytes = position_to_offset(r->w, r->issued),
			.buffer = r->w->append.buffer + r->issued % window,
			.bytes = piece_size(r),
			.token = index,
		};

		if (r->w->ops->submit(r->w->disk, &request, 1) != 1)
			break;
		r->pieces[index] =
			(struct reader_piece){ .position = r->issued, .bytes = request.bytes };
		r->piece_count++;
		r->issued += request.bytes;
		queued = true;
	}
	if (queued)
		r->w->ops->kick(r->w->disk);
}

/* Pieces arrive in any order; the oldest ones that have arrived are loaded. */
static void
reader_collect(struct reader *r)
{
	struct disk_completion done[READER_PIECE_COUNT];
	uint32_t count = r->w->ops->reap(r->w->disk, done, READER_PIECE_COUNT);

	if (count == 0)
		r->w->ops->wait(r->w->disk);
	for (uint32_t i = 0; i < count; i++) {
		r->pieces[done[i].token].is_done = true;
		r->pieces[done[i].token].result = done[i].result;
	}
}

void
reader_drain(struct reader *r)
{
	for (uint32_t i = 0; i < r->piece_count; i++)
		while (!r->pieces[(r->piece_first + i) % READER_PIECE_COUNT].is_done)
			reader_collect(r);
}

/* With nothing else in flight, the completions of whose reads would be mistaken for those of the
 * rescue. */
static void
piece_rescue(struct reader *r, const struct reader_piece *p)
{
	reader_drain(r);
	reader_rescue(r->w, DISK_SEGMENTS, position_to_offset(r->w, p->position),
		r->w->append.buffer + p->position % r->w->geometry.window_bytes, p->bytes);
}

static int
reader_load(struct reader *r)
{
	while (r->piece_count > 0 && r->pieces[r->piece_first].is_done) {
		const struct reader_piece *p = &r->pieces[r->piece_first];

		if (p->result != (int)p->bytes && !r->survives_errors)
			return p->result < 0 ? p->result : -EIO;
		if (p->result != (int)p->bytes)
			piece_rescue(r, p);
		r->loaded += p->bytes;
		r->piece_first = (r->piece_first + 1) % READER_PIECE_COUNT;
		r->piece_count--;
	}
	return 0;
}

int
reader_need(struct reader *r, uint64_t position, uint64_t end)
{
	int rc = 0;

	if (end > r->limit)
		end = r->limit;
	r->kept = position;
	reader_issue(r);
	while (rc == 0 && r->loaded < end) {
		reader_collect(r);
		rc = reader_load(r);
		reader_issue(r);
	}
	return rc;
}

void
reader_fini(struct reader *r)
{
	reader_drain(r);
	r->piece_count = 0;
	r->issued = r->loaded = r->limit;
}

void
reader_seek(struct reader *r, uint64_t position)
{
	if (position >= r->kept && position <= r->issued)
		return;
	reader_fini(r);
	r->issued = r->loaded = r->kept = position;
}
