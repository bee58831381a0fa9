/* SPDX-License-Identifier: Apache-2.0 */
/* One digest, whatever the CPU has: what one node computes another one compares. */
#include "base/digest.h"
#include "base/digest_wide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BYTES_MAX 3000

static uint8_t text[BYTES_MAX + 1];

static void
fill(void)
{
	uint64_t random = 1;

	for (uint32_t i = 0; i < sizeof(text); i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		text[i] = (uint8_t)(random >> 56);
	}
}

/* The stream is never computed by wider instructions. */
static struct decree_digest
streamed(const uint8_t *bytes, size_t count)
{
	struct digest_stream d;

	digest_stream_init(&d);
	digest_stream_add(&d, bytes, count / 3);
	digest_stream_add(&d, bytes + count / 3, count - count / 3);
	return digest_stream_get(&d);
}

static void
test_every_length_has_the_digest_that_plain_code_computes(void **state)
{
	(void)state;
	fill();
	for (uint32_t count = 0; count <= BYTES_MAX; count++) {
		const uint8_t *at = text + count % 2; /* at any alignment */
		struct decree_digest plain = streamed(at, count);

		assert_true(digest_eq(base_digest(at, count), plain));
		if (digest_has_wide())
			assert_true(digest_eq(digest_wide(at, count), plain));
		if (count > BASE_DIGEST_SHORT_BYTES)
			assert_int_equal(base_digest_short(at, count), (uint32_t)plain.lo);
		else
			assert_int_equal(base_digest_short(at, count), digest_crc_plain(at, count));
	}
}

/* Bodies of a size that stand behind each other: each has the digest that it has alone. */
static void
test_a_run_has_the_digests_of_its_bodies(void **state)
{
	uint32_t digests[16];

	(void)state;
	fill();
	for (uint32_t bytes = 0; bytes <= BYTES_MAX / 16; bytes++)
		for (uint32_t count = 1; count < 16; count++) {
			digests[count] = 4711;
			base_digest_short_run(text + bytes % 2, bytes, count, digests);
			for (uint32_t i = 0; i < count; i++)
				assert_int_equal(digests[i],
					base_digest_short(text + bytes % 2 + i * bytes, bytes));
			assert_int_equal(digests[count], 4711);
		}
}

/* As xxhash 0.8 has it, for which formats are written down. */
static void
test_the_digest_of_some_bytes_is_known(void **state)
{
	(void)state;
	assert_true(digest_eq(base_digest("", 0),
		(struct decree_digest){ 0x6001c324468d497full, 0x99aa06d3014798d8ull }));
	assert_int_equal(base_digest_short("123456789", 9), 0xe3069283); /* CRC-32C's check value */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length_has_the_digest_that_plain_code_computes),
		cmocka_unit_test(test_a_run_has_the_digests_of_its_bodies),
		cmocka_unit_test(test_the_digest_of_some_bytes_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
