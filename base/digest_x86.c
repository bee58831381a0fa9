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

uint32_t
digest_crc(const uint8_t *bytes, size_t count)
{
	return __builtin_cpu_supports("sse4.2") ? crc_by_instruction(bytes, count)
						: digest_crc_plain(bytes, count);
}
