/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file reader.h
 * Recovery's way through `segments`: forward, with several reads ahead, through the write buffer,
 * which nothing else uses yet. Nothing here knows what a record is.
 */
#ifndef DECREE_WAL_READER_H
#define DECREE_WAL_READER_H

#include "wal/internal.h"

#define READER_PIECE_COUNT     4
#define READER_PIECE_BYTES_MAX (1u << 20)

struct reader_piece {
	uint64_t position;
	uint32_t bytes;
	int result;
	bool is_done;
};

struct reader {
	struct wal *w;
	uint64_t limit;  /* end of the log */
	uint64_t issued; /* everything before is being read */
	uint64_t loaded; /* everything before has arrived */
	uint64_t kept;   /* nothing before is needed any more */
	struct reader_piece pieces[READER_PIECE_COUNT];
	uint32_t piece_first;
	uint32_t piece_count;
	uint32_t piece_bytes;
	/* What the disk cannot read is damage, not the end of everything: see reader_need(). */
	bool survives_errors;
};

/** Begin at a position; the log ends at the latest one lap behind it. */
void reader_init(struct reader *r, struct wal *w, uint64_t position, bool survives_errors);

/**
 * Have the sectors of [position, end) in the buffer, as far as the log goes. Blocks. Nothing before
 * @p position can be had again without reader_seek().
 *
 * @retval -EIO ...  the disk's error. If the reader survives errors: sectors that cannot be read,
 *                   even one by one, have arrived as bytes that pass no checksum
 */
int reader_need(struct reader *r, uint64_t position, uint64_t end);

/** Be ready for reader_need() of that position, be it behind or far ahead. */
void reader_seek(struct reader *r, uint64_t position);

/** Wait for everything in flight, so that others may use the disk. What has arrived stays. */
void reader_drain(struct reader *r);

/** Leave no read behind: the buffer is about to be used, or given back. */
void reader_fini(struct reader *r);

/** The sectors from a position on, where reader_need() has put them. */
struct sector_ring reader_at(const struct reader *r, uint64_t position);

/** Whether the bytes of a sector are those that stand for one that the disk could not read. */
bool reader_is_unreadable(const uint8_t *sector);

/** Read sectors of any file now; what cannot be read becomes bytes that pass no checksum. Blocks. */
void reader_rescue(
	struct wal *w, enum disk_file file, uint64_t offset_bytes, uint8_t *to, uint32_t bytes);

#endif
