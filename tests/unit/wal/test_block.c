/* SPDX-License-Identifier: Apache-2.0 */
/* The format of a block and of an identifier, byte by byte. */
#include "wal/block.h"
#include "wal/identifier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RING_BYTES (32 * WAL_SECTOR_BYTES)

struct block {
	struct wal_seal seal;
	struct block_header header;
	uint8_t tag[LOG_TAG_BYTES];
	uint8_t payload[9216];
	uint8_t ring[RING_BYTES];
	struct sector_ring at;
	struct decree_digest digest;
};

static void
block_init(struct block *b, uint32_t payload_bytes, uint32_t offset)
{
	const struct decree_uuid uuid = { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };

	memset(b, 0, sizeof(*b));
	b->seal = wal_seal_of(&uuid);
	b->header = (struct block_header){ .lsn = 42,
		.position = 1 << 20,
		.durable_lsn = 40,
		.previous = { .lo = 5, .hi = 6 },
		.generation = 70000,
		.payload_bytes = (uint16_t)payload_bytes,
		.kind = BLOCK_RECORD };
	for (uint32_t i = 0; i < LOG_TAG_BYTES; i++)
		b->tag[i] = (uint8_t)(200 - i);
	for (uint32_t i = 0; i < payload_bytes; i++)
		b->payload[i] = (uint8_t)(i * 3 + 1);
	b->at = (struct sector_ring){ .base = b->ring, .bytes = RING_BYTES, .offset = offset };
	block_encode(&b->seal, &b->header, b->tag, b->payload, b->at, &b->digest);
}

static enum block_state
decode(struct block *b, struct block_header *ret_header, uint8_t *ret_tag, uint8_t *ret_payload)
{
	struct decree_digest digest = { 0 };
	enum block_state state = block_decode(
		&b->seal, b->at, BLOCK_SECTOR_COUNT_MAX, ret_header, ret_tag, ret_payload, &digest);

	if (state == BLOCK_VALID)
		assert_memory_equal(&digest, &b->digest, sizeof(digest));
	return state;
}

static void
test_every_size_survives_the_round_trip(void **state)
{
	struct block b;
	struct block_header header;
	uint8_t tag[LOG_TAG_BYTES], payload[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_DATA_BYTES];

	(void)state;
	for (uint32_t bytes = 0; bytes <= sizeof(b.payload); bytes += bytes < 1600 ? 1 : 37) {
		block_init(&b, bytes, RING_BYTES - 2 * WAL_SECTOR_BYTES); /* wraps */
		assert_int_equal(decode(&b, &header, tag, payload), BLOCK_VALID);
		assert_int_equal(header.lsn, 42);
		assert_int_equal(header.position, b.header.position);
		assert_int_equal(header.durable_lsn, 40);
		assert_int_equal(header.generation, 70000);
		assert_int_equal(header.payload_bytes, bytes);
		assert_memory_equal(tag, b.tag, sizeof(tag));
		assert_memory_equal(payload, b.payload, bytes);
	}
}

/* The numbers that slot_bytes was chosen for. */
static void
test_a_full_frame_takes_three_sectors(void **state)
{
	(void)state;
	assert_int_equal(block_sector_count(0), 1);
	assert_int_equal(block_sector_count(384), 1);
	assert_int_equal(block_sector_count(385), 2);
	assert_int_equal(block_sector_count(1336), 3);
	assert_int_equal(block_sector_count(1337), 4);
}

static void
test_no_flipped_bit_passes(void **state)
{
	struct block b;
	struct block_header header;
	struct sector_trailer trailer;
	uint8_t tag[LOG_TAG_BYTES], payload[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_DATA_BYTES];

	(void)state;
	block_init(&b, 500, 0);
	for (uint32_t bit = 0; bit < 2 * WAL_SECTOR_BYTES * 8; bit++) {
		b.ring[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(decode(&b, &header, tag, payload), BLOCK_INCOMPLETE);
		/* Recovery judges single sectors, too. */
		assert_int_equal(
			sector_check(&b.seal, b.ring + bit / 4096 * 512, &trailer), SECTOR_BAD);
		b.ring[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(decode(&b, &header, tag, payload), BLOCK_VALID);
}

static void
test_another_logs_sectors_are_not_ours(void **state)
{
	const struct decree_uuid other = { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8, 10 } };
	struct wal_seal seal = wal_seal_of(&other);
	struct sector_trailer trailer;
	struct block b;

	(void)state;
	block_init(&b, 500, 0);
	assert_int_equal(sector_check(&b.seal, b.ring, &trailer), SECTOR_VALID);
	assert_int_equal(sector_check(&seal, b.ring, &trailer), SECTOR_BAD);
	assert_int_equal(sector_check(&seal, b.ring + 4096, &trailer), SECTOR_ZERO);
}

/* A sector of an older block in the place of a newer one has a good CRC all the same. */
static void
test_a_mixture_of_two_blocks_is_incomplete(void **state)
{
	struct block old, new;
	struct block_header header;
	uint8_t tag[LOG_TAG_BYTES], payload[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_DATA_BYTES];

	(void)state;
	block_init(&old, 1300, 0);
	block_init(&new, 1300, 0);
	new.header.lsn = 43;
	block_encode(&new.seal, &new.header, new.tag, new.payload, new.at, &new.digest);
	for (int i = 0; i < 3; i++) {
		struct block mixed = new;

		mixed.at.base = mixed.ring;
		memcpy(mixed.ring + i * WAL_SECTOR_BYTES, old.ring + i * WAL_SECTOR_BYTES,
			WAL_SECTOR_BYTES);
		assert_int_equal(decode(&mixed, &header, tag, payload), BLOCK_INCOMPLETE);
	}
}

static void
test_no_flipped_bit_passes_in_an_identifier(void **state)
{
	uint8_t entry[IDENTIFIER_BYTES], tag[LOG_TAG_BYTES] = { 9 };
	struct identifier id = { .lsn = 7,
		.position = 512,
		.tag = tag,
		.sector_count = 3,
		.kind = 1,
		.generation = 2 },
			  found;
	const struct decree_uuid uuid = { .bytes = { 3 } };
	struct wal_seal seal = wal_seal_of(&uuid);

	(void)state;
	identifier_encode(entry, &id);
	identifier_seal(&seal, entry);
	assert_int_equal(identifier_check(&seal, entry, &found), SECTOR_VALID);
	assert_int_equal(found.lsn, 7);
	assert_int_equal(found.sector_count, 3);
	assert_memory_equal(found.tag, tag, sizeof(tag));
	for (uint32_t bit = 0; bit < sizeof(entry) * 8; bit++) {
		entry[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(identifier_check(&seal, entry, &found), SECTOR_BAD);
		entry[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size_survives_the_round_trip),
		cmocka_unit_test(test_a_full_frame_takes_three_sectors),
		cmocka_unit_test(test_no_flipped_bit_passes),
		cmocka_unit_test(test_another_logs_sectors_are_not_ours),
		cmocka_unit_test(test_a_mixture_of_two_blocks_is_incomplete),
		cmocka_unit_test(test_no_flipped_bit_passes_in_an_identifier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
