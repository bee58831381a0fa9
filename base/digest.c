/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include "base/digest.h"

#include <xxhash.h>

struct decree_digest
base_digest(const void *data, size_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(data, bytes);

	return (struct decree_digest){ .lo = h.low64, .hi = h.high64 };
}
