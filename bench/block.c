/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/block.h"

#include <stddef.h>

#define FILE_BYTES (16u << 20)

int
block_open(struct block *b, const char *path, uint32_t bytes)
{
	int rc;

	*b = (struct block){ .bytes = bytes };
	if (bytes == 0)
		return 0;
	rc = raw_file_make(path, FILE_BYTES);
	return rc == 0 ? raw_open(path, RAW_DSYNC, &b->raw) : rc;
}

int
block_step(struct block *b)
{
	uint32_t count = 0;
	int is_busy = 0, rc;

	if (b->raw == NULL) {
		b->durable = b->wanted;
		return 0;
	}
	if (b->writing != 0) {
		rc = raw_reap(b->raw, &count);
		if (rc != 0)
			return rc;
	}
	if (count > 0) {
		b->durable = b->writing;
		b->writing = 0;
		is_busy = 1;
	}
	if (b->writing == 0 && b->wanted > b->durable) {
		b->writing = b->wanted;
		rc = raw_start(b->raw, b->bytes);
		if (rc != 0)
			return rc;
		is_busy = 1;
	}
	return is_busy;
}
