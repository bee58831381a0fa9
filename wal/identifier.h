/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file identifier.h
 * The entry of the identifier ring: what a block was about, kept in another place of the disk and
 * written only after the block is durable. An entry that is present proves that its block was.
 *
 * Entry (128 bytes, little-endian; four to a sector; entry of lsn x at index (x - 1) modulo the ring's count):
 *      0    8  lsn
 *      8    8  position of the block
 *     16   16  digest of the block
 *     32   64  tag
 *     96    2  sector count of the block
 *     98    2  kind of the block
 *    100    4  generation of the block
 *    104   20  zero
 *    124    4  CRC-32C of bytes [0, 124), seeded from the log's uuid
 */
#ifndef DECREE_WAL_IDENTIFIER_H
#define DECREE_WAL_IDENTIFIER_H

#include "wal/block.h"

#define IDENTIFIER_BYTES            128
#define IDENTIFIER_COUNT_PER_SECTOR 4

struct identifier {
	uint64_t lsn;
	uint64_t position;
	struct decree_digest digest;
	const uint8_t *tag; /* [LOG_TAG_BYTES] */
	uint16_t sector_count;
	uint16_t kind;
	uint32_t generation;
};

/** Without the CRC, which is cheaper later: identifier_seal(). */
void identifier_encode(uint8_t *to, const struct identifier *id);
void identifier_seal(const struct wal_seal *seal, uint8_t *entry);

/** @param ret  filled if SECTOR_VALID; its tag points into the entry */
enum sector_state
identifier_check(const struct wal_seal *seal, const uint8_t *entry, struct identifier *ret);

#endif
