/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file block.h
 * The format of a record on disk: one block of k sectors of 512 bytes, each of which can be told
 * old, new or rotten on its own. Pure functions over memory; docs/wal-format.md has the same tables
 * in prose.
 *
 * Sector (512 bytes, little-endian):
 *      0  496  data: this sector's part of the block's stream
 *    496    8  lsn of the block
 *    504    2  generation of the log's session that wrote it, low 16 bits
 *    506    1  index of the sector in its block, from 0
 *    507    1  count of sectors in the block, 1 .. 255
 *    508    4  CRC-32C of bytes [0, 508), seeded from the log's uuid
 *
 * Stream of a block (k * 496 bytes):
 *      0    8  log id: the first half of the log's uuid
 *      8    8  position: where the block belongs (log_bytes * lap + offset in `segments`, laps from 1)
 *     16    8  durable lsn that the writer knew of when it encoded the block; < lsn
 *     24   16  digest of the previous block (hash chain); zero for the first record of a log
 *     40    4  generation: the number of the session that wrote it
 *     44    2  payload bytes
 *     46    1  kind: 1 record, 2 boot
 *     47    1  zero
 *     48   64  tag
 *    112    -  payload, then zeros
 *   last 40 -  if k > 1: the first 40 bytes of the tag once more, so that what the block was about
 *              survives the loss of its first sector
 *
 * The digest of a block is XXH3-128 over its stream's first 112 bytes and the CRCs of all its
 * sectors.
 */
#ifndef DECREE_WAL_BLOCK_H
#define DECREE_WAL_BLOCK_H

#include "wal/log_ops.h"

#include <assert.h>
#include <stddef.h>

#define WAL_SECTOR_BYTES       512
#define WAL_SECTOR_DATA_BYTES  496
#define BLOCK_HEADER_BYTES     48
#define BLOCK_PAYLOAD_OFFSET   (BLOCK_HEADER_BYTES + LOG_TAG_BYTES)
#define BLOCK_REPEAT_BYTES     40
#define BLOCK_SECTOR_COUNT_MAX 20

/* What makes a sector ours: both come from the log's uuid. */
struct wal_seal {
	uint64_t log_id;
	uint32_t crc_seed;
};

/* A byte range that wraps: sectors of a block follow each other modulo bytes. */
struct sector_ring {
	uint8_t *base;
	uint32_t bytes; /* multiple of WAL_SECTOR_BYTES */
	uint32_t offset;
};

enum block_kind {
	BLOCK_RECORD = 1,
	/* written by recovery over a torn tail: what lies beyond, of earlier sessions, is void */
	BLOCK_BOOT = 2,
};

struct block_header {
	uint64_t lsn;
	uint64_t position;
	uint64_t durable_lsn;
	struct decree_digest previous;
	uint32_t generation;
	uint16_t payload_bytes;
	enum block_kind kind;
};

enum sector_state {
	SECTOR_ZERO = 0, /* never written, or pre-written */
	SECTOR_VALID = 1,
	SECTOR_BAD = 2, /* rotten, or another log's */
};

struct sector_trailer {
	uint64_t lsn;
	uint16_t generation;
	uint8_t index;
	uint8_t count;
};

enum block_state {
	BLOCK_VALID = 0,
	/* some sector is zero, old or rotten: look at the sectors one by one */
	BLOCK_INCOMPLETE = 1,
	BLOCK_CONTRADICTORY = 2, /* every sector is valid, but together they make no sense */
};

struct wal_seal wal_seal_of(const struct decree_uuid *uuid);

/** CRC-32C (Castagnoli) of data with a seed. */
uint32_t wal_crc(uint32_t seed, const void *data, size_t bytes);

/** @return how many sectors a record of that payload takes */
uint32_t block_sector_count(uint32_t payload_bytes);

/** Write a block's sectors into a ring. @param ret_digest  for the next block and the identifier */
void
block_encode(const struct wal_seal *seal, const struct block_header *header, const uint8_t *tag,
	const void *payload, struct sector_ring at, struct decree_digest *ret_digest);

/** Judge one sector. @param ret_trailer  filled if SECTOR_VALID */
enum sector_state sector_check(
	const struct wal_seal *seal, const uint8_t *sector, struct sector_trailer *ret_trailer);

/**
 * The tag of a block from one of its sectors alone: the first has it, the last one repeats most of
 * it.
 *
 * @param ret_tag  [LOG_TAG_BYTES], what is not known as zeros
 * @return false: it is neither of these
 */
bool sector_tag(const uint8_t *sector, const struct sector_trailer *trailer, uint8_t *ret_tag);

/**
 * Verify the block that starts at a sector, except for what only its neighbours can tell (lsn,
 * position, chain).
 *
 * @param at                 ring; at least sector_count_max sectors from at.offset are readable
 * @param sector_count_max   a block with more is incomplete
 * @param ret_tag            [LOG_TAG_BYTES]
 * @param ret_payload        [sector_count_max * WAL_SECTOR_DATA_BYTES] contiguous copy
 */
enum block_state block_decode(const struct wal_seal *seal, struct sector_ring at,
	uint32_t sector_count_max, struct block_header *ret_header, uint8_t *ret_tag,
	uint8_t *ret_payload, struct decree_digest *ret_digest);

/** The durable lsn in a valid first sector: evidence that outlives the rest of its block. */
uint64_t sector_durable_lsn(const uint8_t *sector);

static inline uint8_t *
sector_at(struct sector_ring ring, uint32_t index)
{
	uint64_t offset = (uint64_t)ring.offset + (uint64_t)index * WAL_SECTOR_BYTES;

	while (offset >= ring.bytes)
		offset -= ring.bytes;
	return ring.base + offset;
}

#endif
