/* SPDX-License-Identifier: Apache-2.0 */
/* For CPUs where the compiler's own choice of instructions is the best there is. */
#include "base/digest_wide.h"

#include "base/assert.h"

bool
digest_has_wide(void)
{
	return false;
}

struct decree_digest
digest_wide(const void *data, size_t bytes)
{
	(void)data;
	(void)bytes;
	decree_assert(false);
	return (struct decree_digest){ 0 };
}

uint32_t
digest_crc(const uint8_t *bytes, size_t count)
{
	return digest_crc_plain(bytes, count);
}

void
digest_crc_run(const uint8_t *at, size_t bytes, uint32_t count, uint32_t *ret_crcs)
{
	for (uint32_t i = 0; i < count; i++)
		ret_crcs[i] = digest_crc(at + i * bytes, bytes);
}
