/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include "apps/digest.h"

#include <xxhash.h>

struct decree_digest
body_digest(const void *body, uint32_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(body, bytes);

	return (struct decree_digest){ .lo = h.low64, .hi = h.high64 };
}
