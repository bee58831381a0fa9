/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk_memory.h
 * A disk that is memory: for log mode `memory`, where only the other nodes keep a copy. Writes
 * complete at the next reap(). Identifiers are dropped: they help recovery, and there will be none.
 *
 * Threads:  one owner.   Memory: the segments are taken by create() and populated as they are written.
 */
#ifndef DECREE_WAL_DISK_MEMORY_H
#define DECREE_WAL_DISK_MEMORY_H

#include "wal/disk_ops.h"

struct disk_memory;

extern const struct disk_ops disk_memory_ops;

/**
 * @param companion        may be NULL; given to companion_close() by destroy(): the locked
 *                         directory of the node
 * @param companion_close  may be NULL
 * @retval 0  @retval -ENOMEM
 */
int disk_memory_create(
	void *companion, void (*companion_close)(void *companion), struct disk_memory **ret_disk);

/** NULL is accepted. */
void disk_memory_destroy(struct disk_memory *disk);

#endif
