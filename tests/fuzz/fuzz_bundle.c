/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: what is valid is walked through to its exact end, within its bytes. */
#include "base/assert.h"
#include "engine/runtime/bundle.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const uint8_t *message;
	uint32_t cursor = 0, message_bytes, count = 0;

	if (bytes > 65536 || !bundle_is_valid(data, (uint32_t)bytes))
		return 0;
	decree_assert(is_bundle(data, (uint32_t)bytes));
	while (bundle_next(data, (uint32_t)bytes, &cursor, &message, &message_bytes)) {
		decree_assert(message_bytes > 0);
		decree_assert(message + message_bytes <= data + bytes);
		count++;
	}
	decree_assert(cursor == bytes);
	decree_assert(count >= 2);
	return 0;
}
