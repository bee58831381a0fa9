/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *
base_zeros(size_t count, size_t element_bytes)
{
	size_t bytes;
	void *memory;

	if (__builtin_mul_overflow(count, element_bytes, &bytes) ||
		bytes > SIZE_MAX - BASE_CACHE_LINE)
		return NULL;
	bytes = (bytes + BASE_CACHE_LINE - 1) / BASE_CACHE_LINE * BASE_CACHE_LINE;
	memory = aligned_alloc(BASE_CACHE_LINE, bytes);
	if (memory != NULL)
		memset(memory, 0, bytes);
	return memory;
}
