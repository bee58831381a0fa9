/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading single records back while the log runs. What is still in the write buffer is answered
 * from there, without the disk. A record is verified as recovery would, except for the chain.
 */
#include "base/assert.h"
#include "wal/internal.h"

#include <errno.h>
#include <string.h>

static struct wal_read *
slot_acquire(struct wal *w, uint32_t *ret_index)
{
	for (uint32_t i = 0; i < READ_SLOT_COUNT; i++) {
		if (w->reads[i].state == READ_FREE) {
			*ret_index = i;
			return &w->reads[i];
		}
	}
	return NULL;
}

static bool
is_buffered(const struct wal *w, uint64_t position)
{
	const struct wal_append *a = &w->append;

	return position >= a->buffered_first && position + w->geometry.window_bytes >= a->head;
}

static void
copy_from_buffer(struct wal *w, struct wal_read *slot)
{
	struct sector_ring ring = {
		.base = w->append.buffer,
		.bytes = w->geometry.window_bytes,
		.offset = (uint32_t)(slot->position % w->geometry.window_bytes),
	};

	for (uint32_t i = 0; i * WAL_SECTOR_BYTES < slot->bytes; i++)
		memcpy(slot->sectors + i * WAL_SECTOR_BYTES, sector_at(ring, i), WAL_SECTOR_BYTES);
}

/* Its place may have been used again: who asked for it was late, and nothing is wrong with the
 * disk. In mode memory a place is used again one lap later, whoever may still want what it had. */
static bool
is_gone(const struct wal *w, uint64_t position)
{
	if (w->is_endless)
		return position + w->geometry.log_bytes <
			       w->append.head + w->geometry.window_bytes &&
		       !is_buffered(w, position);
	return position < w->trim.noted.position;
}

/* @return false for a position that no append can have returned */
static bool
is_place(const struct wal *w, uint64_t position)
{
	return position >= w->geometry.log_bytes && position < w->append.head &&
	       position % WAL_SECTOR_BYTES == 0;
}

int
read_start(struct wal *w, uint64_t position, uint64_t token)
{
	uint64_t bytes = (uint64_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	uint64_t end = segment_next(w, position);
	struct wal_read *slot;
	uint32_t index;

	slot = slot_acquire(w, &index);
	if (slot == NULL)
		return -EAGAIN;

	if (bytes > end - position)
		bytes = end - position;
	if (is_buffered(w, position) && bytes > w->append.head - position)
		bytes = position < w->append.head ? w->append.head - position : WAL_SECTOR_BYTES;
	slot->position = position;
	slot->token = token;
	slot->bytes = (uint32_t)bytes;
	slot->rc = 0;
	w->read_count++;
	if (!is_place(w, position) || is_gone(w, position)) {
		slot->state = READ_ARRIVED;
		slot->rc = is_place(w, position) ? -ENODATA : -EIO;
	} else if (is_buffered(w, position)) {
		copy_from_buffer(w, slot);
		slot->state = READ_ARRIVED;
	} else {
		struct disk_request request = {
			.kind = DISK_READ,
			.file = DISK_SEGMENTS,
			.offset_bytes = position_to_offset(w, position),
			.buffer = slot->sectors,
			.bytes = slot->bytes,
			.token = token_of(TOKEN_READ, index),
		};
		uint32_t queued = w->ops->submit(w->disk, &request, 1);

		decree_assert(queued == 1);
		w->inflight_count++;
		slot->state = READ_IN_FLIGHT;
	}
	return 0;
}

void
read_on_arrived(struct wal *w, uint32_t index, int result)
{
	struct wal_read *slot = &w->reads[index];

	decree_assert(slot->state == READ_IN_FLIGHT);
	slot->state = READ_ARRIVED;
	slot->rc = result == (int)slot->bytes ? 0 : -EIO;
}

static void
slot_deliver(struct wal *w, struct wal_read *slot, struct log_completion *ret)
{
	struct sector_ring ring = { .base = slot->sectors, .bytes = slot->bytes, .offset = 0 };
	struct block_header header = { 0 };
	struct decree_digest digest;

	if (slot->rc == 0 && (block_decode(&w->seal, ring, slot->bytes / WAL_SECTOR_BYTES, &header,
				      slot->tag, slot->payload, &digest) != BLOCK_VALID ||
				     header.position != slot->position))
		slot->rc = is_gone(w, slot->position) ? -ENODATA : -EBADMSG;
	*ret = (struct log_completion){
		.kind = LOG_READ,
		.rc = slot->rc,
		.token = slot->token,
	};
	if (slot->rc == 0) {
		ret->lsn = header.lsn;
		ret->tag = slot->tag;
		ret->payload = slot->payload;
		ret->payload_bytes = header.payload_bytes;
	}
	slot->state = READ_LENT;
}

uint32_t
read_reap(struct wal *w, struct log_completion *ret, uint32_t count_max)
{
	uint32_t count = 0;

	if (w->read_count == 0)
		return 0;
	for (uint32_t i = 0; i < READ_SLOT_COUNT; i++) {
		struct wal_read *slot = &w->reads[i];

		if (slot->state == READ_LENT) {
			slot->state = READ_FREE;
			w->read_count--;
		} else if (slot->state == READ_ARRIVED && count < count_max) {
			slot_deliver(w, slot, &ret[count++]);
		}
	}
	return count;
}
