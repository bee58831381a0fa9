/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/block.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/digest.h"

#include <isa-l/crc.h>
#include <string.h>

#define TRAILER_OFFSET WAL_SECTOR_DATA_BYTES
#define CRC_OFFSET     508

static_assert(TRAILER_OFFSET + 16 == WAL_SECTOR_BYTES, "on-disk layout");
static_assert(BLOCK_PAYLOAD_OFFSET + 1336 + BLOCK_REPEAT_BYTES <= 3 * WAL_SECTOR_DATA_BYTES,
	"a full slot of one ordinary frame takes three sectors");

uint32_t
wal_crc(uint32_t seed, const void *data, size_t bytes)
{
	/* isa-l asks for a pointer to unsigned char without const, but only reads. */
	return crc32_iscsi((unsigned char *)(uintptr_t)data, (int)bytes, seed);
}

struct wal_seal
wal_seal_of(const struct decree_uuid *uuid)
{
	return (struct wal_seal){
		.log_id = load_u64(uuid->bytes),
		.crc_seed = wal_crc(0xffffffffu, uuid->bytes, sizeof(uuid->bytes)),
	};
}

uint32_t
block_sector_count(uint32_t payload_bytes)
{
	uint32_t stream_bytes = BLOCK_PAYLOAD_OFFSET + payload_bytes;

	if (stream_bytes <= WAL_SECTOR_DATA_BYTES)
		return 1; /* nothing to repeat: the first sector is the last */
	stream_bytes += BLOCK_REPEAT_BYTES;
	return (stream_bytes + WAL_SECTOR_DATA_BYTES - 1) / WAL_SECTOR_DATA_BYTES;
}

static void
header_encode(uint8_t *to, const struct wal_seal *seal, const struct block_header *h)
{
	store_u64(to, seal->log_id);
	store_u64(to + 8, h->position);
	store_u64(to + 16, h->durable_lsn);
	store_u64(to + 24, h->previous.lo);
	store_u64(to + 32, h->previous.hi);
	store_u32(to + 40, h->generation);
	store_u16(to + 44, h->payload_bytes);
	to[46] = (uint8_t)h->kind;
	to[47] = 0;
}

/* @return false if the bytes cannot be a header of this log */
static bool
header_decode(const uint8_t *from, const struct wal_seal *seal, struct block_header *ret)
{
	ret->position = load_u64(from + 8);
	ret->durable_lsn = load_u64(from + 16);
	ret->previous =
		(struct decree_digest){ .lo = load_u64(from + 24), .hi = load_u64(from + 32) };
	ret->generation = load_u32(from + 40);
	ret->payload_bytes = load_u16(from + 44);
	ret->kind = from[46];
	return load_u64(from) == seal->log_id && from[47] == 0 &&
	       (ret->kind == BLOCK_RECORD || ret->kind == BLOCK_BOOT);
}

static void
sector_seal(const struct wal_seal *seal, uint8_t *sector, const struct sector_trailer *t)
{
	store_u64(sector + TRAILER_OFFSET, t->lsn);
	store_u16(sector + TRAILER_OFFSET + 8, t->generation);
	sector[TRAILER_OFFSET + 10] = t->index;
	sector[TRAILER_OFFSET + 11] = t->count;
	store_u32(sector + CRC_OFFSET, wal_crc(seal->crc_seed, sector, CRC_OFFSET));
}

/* Header, tag and every sector's CRC: so the chain covers the payload through its checksums. */
static struct decree_digest
block_digest(struct sector_ring at, uint32_t sector_count)
{
	uint8_t bytes[BLOCK_PAYLOAD_OFFSET + 4 * BLOCK_SECTOR_COUNT_MAX];

	memcpy(bytes, sector_at(at, 0), BLOCK_PAYLOAD_OFFSET);
	for (uint32_t i = 0; i < sector_count; i++)
		memcpy(bytes + BLOCK_PAYLOAD_OFFSET + 4 * i, sector_at(at, i) + CRC_OFFSET, 4);
	return base_digest(bytes, BLOCK_PAYLOAD_OFFSET + 4 * sector_count);
}

void
block_encode(const struct wal_seal *seal, const struct block_header *header, const uint8_t *tag,
	const void *payload, struct sector_ring at, struct decree_digest *ret_digest)
{
	const uint8_t *from = payload;
	uint32_t left = header->payload_bytes;
	uint32_t count = block_sector_count(left);

	decree_assert(count <= BLOCK_SECTOR_COUNT_MAX);
	decree_assert(header->lsn > header->durable_lsn);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *sector = sector_at(at, i);
		uint32_t used = 0, part;

		if (i == 0) {
			header_encode(sector, seal, header);
			memcpy(sector + BLOCK_HEADER_BYTES, tag, LOG_TAG_BYTES);
			used = BLOCK_PAYLOAD_OFFSET;
		}
		part = WAL_SECTOR_DATA_BYTES - used;
		if (part > left)
			part = left;
		if (part > 0) { /* without a payload `from` may be NULL */
			memcpy(sector + used, from, part);
			from += part;
		}
		left -= part;
		used += part;
		memset(sector + used, 0, WAL_SECTOR_DATA_BYTES - used);
		if (i == count - 1 && count > 1)
			memcpy(sector + WAL_SECTOR_DATA_BYTES - BLOCK_REPEAT_BYTES, tag,
				BLOCK_REPEAT_BYTES);
		sector_seal(seal, sector,
			&(struct sector_trailer){ .lsn = header->lsn,
				.generation = (uint16_t)header->generation,
				.index = (uint8_t)i,
				.count = (uint8_t)count });
	}
	decree_assert(left == 0);
	*ret_digest = block_digest(at, count);
}

static bool
is_zero(const uint8_t *data, size_t bytes)
{
	return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

enum sector_state
sector_check(const struct wal_seal *seal, const uint8_t *sector, struct sector_trailer *ret_trailer)
{
	uint32_t crc = load_u32(sector + CRC_OFFSET);

	if (crc == 0 && is_zero(sector, WAL_SECTOR_BYTES))
		return SECTOR_ZERO;
	if (crc != wal_crc(seal->crc_seed, sector, CRC_OFFSET))
		return SECTOR_BAD;

	ret_trailer->lsn = load_u64(sector + TRAILER_OFFSET);
	ret_trailer->generation = load_u16(sector + TRAILER_OFFSET + 8);
	ret_trailer->index = sector[TRAILER_OFFSET + 10];
	ret_trailer->count = sector[TRAILER_OFFSET + 11];
	return SECTOR_VALID;
}

bool
sector_tag(const uint8_t *sector, const struct sector_trailer *trailer, uint8_t *ret_tag)
{
	memset(ret_tag, 0, LOG_TAG_BYTES);
	if (trailer->index == 0)
		memcpy(ret_tag, sector + BLOCK_HEADER_BYTES, LOG_TAG_BYTES);
	else if (trailer->index == trailer->count - 1)
		memcpy(ret_tag, sector + WAL_SECTOR_DATA_BYTES - BLOCK_REPEAT_BYTES,
			BLOCK_REPEAT_BYTES);
	return trailer->index == 0 || trailer->index == trailer->count - 1;
}

uint64_t
sector_durable_lsn(const uint8_t *sector)
{
	return load_u64(sector + 16);
}

/* Copy the payload out from between the trailers. @return false if a byte that must be zero is not */
static bool
payload_gather(struct sector_ring at, uint32_t count, uint32_t payload_bytes, uint8_t *ret_payload)
{
	uint32_t left = payload_bytes;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *data = sector_at(at, i);
		uint32_t used = i == 0 ? BLOCK_PAYLOAD_OFFSET : 0;
		uint32_t end = WAL_SECTOR_DATA_BYTES;
		uint32_t part = end - used < left ? end - used : left;

		if (i == count - 1 && count > 1)
			end -= BLOCK_REPEAT_BYTES;
		memcpy(ret_payload, data + used, part);
		ret_payload += part;
		left -= part;
		used += part;
		if (used < end && !is_zero(data + used, end - used))
			return false;
	}
	return left == 0;
}

enum block_state
block_decode(const struct wal_seal *seal, struct sector_ring at, uint32_t sector_count_max,
	struct block_header *ret_header, uint8_t *ret_tag, uint8_t *ret_payload,
	struct decree_digest *ret_digest)
{
	const uint8_t *first = sector_at(at, 0);
	struct sector_trailer t0, t;
	uint32_t count;

	if (sector_check(seal, first, &t0) != SECTOR_VALID || t0.index != 0 || t0.count == 0)
		return BLOCK_INCOMPLETE;
	if (t0.count > sector_count_max || t0.count > BLOCK_SECTOR_COUNT_MAX)
		return BLOCK_INCOMPLETE;
	count = t0.count;
	for (uint32_t i = 1; i < count; i++) {
		if (sector_check(seal, sector_at(at, i), &t) != SECTOR_VALID)
			return BLOCK_INCOMPLETE;
		if (t.lsn != t0.lsn || t.generation != t0.generation || t.index != i ||
			t.count != count)
			return BLOCK_INCOMPLETE;
	}

	/* From here on every sector is what its writer wrote; now they must agree with each other. */

	if (!header_decode(first, seal, ret_header))
		return BLOCK_CONTRADICTORY;
	ret_header->lsn = t0.lsn;
	if ((uint16_t)ret_header->generation != t0.generation || ret_header->durable_lsn >= t0.lsn)
		return BLOCK_CONTRADICTORY;
	if (block_sector_count(ret_header->payload_bytes) != count)
		return BLOCK_CONTRADICTORY;
	if (!payload_gather(at, count, ret_header->payload_bytes, ret_payload))
		return BLOCK_CONTRADICTORY;
	memcpy(ret_tag, first + BLOCK_HEADER_BYTES, LOG_TAG_BYTES);
	if (count > 1 &&
		memcmp(sector_at(at, count - 1) + WAL_SECTOR_DATA_BYTES - BLOCK_REPEAT_BYTES,
			ret_tag, BLOCK_REPEAT_BYTES) != 0)
		return BLOCK_CONTRADICTORY;
	*ret_digest = block_digest(at, count);
	return BLOCK_VALID;
}
