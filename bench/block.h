/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file block.h
 * The disk of one process of a floor: blocks, durably, one write in flight at a time, as a log's
 * group commit does: what came meanwhile is made durable by the next one.
 *
 * Threads:  one.
 * Errors:   0 or -errno.
 */
#ifndef BENCH_BLOCK_H
#define BENCH_BLOCK_H

#include "bench/raw.h"

struct block {
	struct raw *raw; /* NULL: blocks are not written */
	uint32_t bytes;
	uint64_t wanted;  /* the newest round that is to be durable */
	uint64_t writing; /* the round that the write in flight makes durable; 0: none is */
	uint64_t durable;
};

#define BLOCK_REFUSED "the folder takes no file for direct durable writes: choose another --dir"

/** Make and pre-write a file of 16 MiB, which is written around. @param bytes  of a block; 0: no
 * file, and what is wanted is durable */
int block_open(struct block *b, const char *path, uint32_t bytes);

/** Go on. @return > 0: a round became durable or a write was begun; 0: neither; -errno: a write
 * failed */
int block_step(struct block *b);

#endif
