/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest_wide.h"

#include "base/bytes.h"

bool
digest_has_wide(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}

__attribute__((target("sse4.2"))) static uint32_t
crc_by_instruction(const uint8_t *bytes, size_t count)
{
	uint64_t crc = ~0u;

	for (; count >= 32; bytes += 32, count -= 32) {
		crc = __builtin_ia32_crc32di(crc, load_u64(bytes));
		crc = __builtin_ia32_crc32di(crc, load_u64(bytes + 8));
		crc = __builtin_ia32_crc32di(crc, load_u64(bytes + 16));
		crc = __builtin_ia32_crc32di(crc, load_u64(bytes + 24));
	}
	for (; count >= 8; bytes += 8, count -= 8)
		crc = __builtin_ia32_crc32di(crc, load_u64(bytes));
	for (; count > 0; bytes++, count--)
		crc = __builtin_ia32_crc32qi((uint32_t)crc, *bytes);
	return ~(uint32_t)crc;
}

/* The instruction takes three turns, and begins one a turn: four at once wait for nobody. */
__attribute__((target("sse4.2"))) static void
crc_of_four(const uint8_t *at, size_t bytes, uint32_t *ret_crcs)
{
	const uint8_t *a = at, *b = a + bytes, *c = b + bytes, *d = c + bytes;
	uint64_t crc_a = ~0u, crc_b = ~0u, crc_c = ~0u, crc_d = ~0u;
	size_t i = 0;

	for (; i + 32 <= bytes; i += 32)
		for (size_t word = i; word < i + 32; word += 8) { /* unrolled */
			crc_a = __builtin_ia32_crc32di(crc_a, load_u64(a + word));
			crc_b = __builtin_ia32_crc32di(crc_b, load_u64(b + word));
			crc_c = __builtin_ia32_crc32di(crc_c, load_u64(c + word));
			crc_d = __builtin_ia32_crc32di(crc_d, load_u64(d + word));
		}
	for (; i + 8 <= bytes; i += 8) {
		crc_a = __builtin_ia32_crc32di(crc_a, load_u64(a + i));
		crc_b = __builtin_ia32_crc32di(crc_b, load_u64(b + i));
		crc_c = __builtin_ia32_crc32di(crc_c, load_u64(c + i));
		crc_d = __builtin_ia32_crc32di(crc_d, load_u64(d + i));
	}
	for (; i < bytes; i++) {
		crc_a = __builtin_ia32_crc32qi((uint32_t)crc_a, a[i]);
		crc_b = __builtin_ia32_crc32qi((uint32_t)crc_b, b[i]);
		crc_c = __builtin_ia32_crc32qi((uint32_t)crc_c, c[i]);
		crc_d = __builtin_ia32_crc32qi((uint32_t)crc_d, d[i]);
	}
	ret_crcs[0] = ~(uint32_t)crc_a;
	ret_crcs[1] = ~(uint32_t)crc_b;
	ret_crcs[2] = ~(uint32_t)crc_c;
	ret_crcs[3] = ~(uint32_t)crc_d;
}

void
digest_crc_run(const uint8_t *at, size_t bytes, uint32_t count, uint32_t *ret_crcs)
{
	uint32_t i = 0;

	if (__builtin_cpu_supports("sse4.2"))
		for (; i + 4 <= count; i += 4)
			crc_of_four(at + i * bytes, bytes, ret_crcs + i);
	for (; i < count; i++)
		ret_crcs[i] = digest_crc(at + i * bytes, bytes);
}

uint32_t
digest_crc(const uint8_t *bytes, size_t count)
{
	return __builtin_cpu_supports("sse4.2") ? crc_by_instruction(bytes, count)
						: digest_crc_plain(bytes, count);
}
