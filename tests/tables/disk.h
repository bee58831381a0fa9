/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk.h
 * The disk of a node of these experiments: the real files of a directory through io_uring, and
 * sectors of them that cannot be read. Nobody cuts the power here, so writes may go through the
 * page cache and nothing is flushed: a start costs a millisecond, and any file system will do.
 *
 * Owner: one thread.
 */
#ifndef DECREE_TABLES_DISK_H
#define DECREE_TABLES_DISK_H

#include "wal/disk_ops.h"

#include "decree/types.h"

#define BAD_SECTOR_COUNT 1024 /* of the largest file */

/* Reads of these give -EIO until they are written again, as of a disk that has sectors left in
 * reserve. */
struct bad_sectors {
	bool is_bad[DISK_FILE_COUNT][BAD_SECTOR_COUNT];
	uint32_t count; /* 0: nothing needs to be looked up */
};

struct table_disk;

extern const struct disk_ops table_disk_ops;

/**
 * @param bad        lent until close
 * @param is_direct  O_DIRECT and flushes, as a node in mode `durable` does
 * @return 0 or disk_uring_open()'s
 */
int table_disk_open(const char *path, struct bad_sectors *bad, bool is_direct, bool is_new,
	struct table_disk **ret_disk, char ret_error[DECREE_ERROR_BYTES]);

/** What is in flight is finished, and nobody is told. NULL is accepted. */
void table_disk_close(struct table_disk *d);

/** Wait until everything that is in flight is done, so that the next reap() returns it: at the same
 * turn in every run. */
void table_disk_settle(struct table_disk *d);

/** Something was asked for and not reaped yet. */
bool table_disk_is_busy(const struct table_disk *d);

#endif
