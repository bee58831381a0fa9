/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include "base/digest.h"

#include <assert.h>
#include <xxhash.h>

struct decree_digest
base_digest(const void *data, size_t bytes)
{
	if (bytes > BASE_DIGEST_SHORT_BYTES && digest_has_wide())
		return digest_wide(data, bytes);
	XXH128_hash_t h = XXH3_128bits(data, bytes);

	return (struct decree_digest){ .lo = h.low64, .hi = h.high64 };
}

void
base_digest_short_run(const uint8_t *bodies, size_t bytes, uint32_t count, uint32_t *ret_digests)
{
	if (bytes <= BASE_DIGEST_SHORT_BYTES) {
		digest_crc_run(bodies, bytes, count, ret_digests);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		ret_digests[i] = base_digest_short(bodies + i * bytes, bytes);
}

/* Half a byte at a time: nearly every CPU has an instruction for it. */
uint32_t
digest_crc_plain(const uint8_t *bytes, size_t count)
{
	static const uint32_t table[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6,
		0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };
	uint32_t crc = ~0u;

	for (size_t i = 0; i < count; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static_assert(sizeof(struct digest_stream) >= sizeof(XXH3_state_t), "the library's state fits");

void
digest_stream_init(struct digest_stream *d)
{
	(void)XXH3_128bits_reset((XXH3_state_t *)d->state); /* fails for NULL only */
}

void
digest_stream_add(struct digest_stream *d, const void *data, size_t bytes)
{
	(void)XXH3_128bits_update((XXH3_state_t *)d->state, data, bytes); /* the same */
}

struct decree_digest
digest_stream_get(const struct digest_stream *d)
{
	XXH128_hash_t h = XXH3_128bits_digest((const XXH3_state_t *)d->state);

	return (struct decree_digest){ .lo = h.low64, .hi = h.high64 };
}
