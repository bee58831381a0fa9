/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include "base/digest.h"

#include "base/digest_wide.h"

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

uint32_t
base_digest_short(const void *data, size_t bytes)
{
	return (uint32_t)XXH3_64bits(data, bytes);
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
