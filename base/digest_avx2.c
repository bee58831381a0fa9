/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of xxhash.h once more, in a file that is compiled for AVX2: a slot's value takes half as
 * many instructions. */
#define XXH_INLINE_ALL
#include "base/digest_wide.h"

#include <xxhash.h>

struct decree_digest
digest_wide(const void *data, size_t bytes)
{
	XXH128_hash_t h = XXH3_128bits(data, bytes);

	return (struct decree_digest){ .lo = h.low64, .hi = h.high64 };
}
