/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file directory.h
 * A log in a directory of a real file system: what a node uses. See wal.h for everything else.
 *
 * Mode `memory` keeps its records in memory only. The directory then holds the identity and a mark:
 * a node that ran in that mode once has forgotten what it promised, and is refused ever after.
 */
#ifndef DECREE_WAL_DIRECTORY_H
#define DECREE_WAL_DIRECTORY_H

#include "wal/wal.h"

#define WAL_MEMORY_LOG_BYTES_DEFAULT (32ull << 20)

/** Make the directory (its parent must exist) and format an empty log in it; see wal_format().
 * @retval -EBUSY  another process uses it */
int wal_directory_format(
	const char *path, const struct wal_format *format, char ret_error[DECREE_ERROR_BYTES]);

/** Write over all the space of the log once, before a node is started on it; see wal_prewrite(). */
int wal_directory_prewrite(
	const char *path, const struct wal_recovery *to, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Lock the directory and open its log; see wal_open(). wal_close() unlocks it. With is_read_only no
 * file is opened for writing, so a file system that is mounted read-only will do, and nobody can
 * start a node on it meanwhile.
 *
 * @param cfg  ops, disk, disk_close, boot_id and flushes_own_only are filled in here, whatever they
 *             hold
 * @param memory_log_bytes  mode `memory`: how much of the log read() can reach back to; 0 = 32 MiB;
 *                          a multiple of 128 KiB
 */
int wal_directory_open(const char *path, const struct wal_config *cfg, uint64_t memory_log_bytes,
	struct wal **ret_wal, char ret_error[DECREE_ERROR_BYTES]);

/**
 * What this log was given when it was formatted, whether a process uses it or not.
 * @param ret_blob  [WAL_IDENTITY_BLOB_BYTES_MAX]
 * @retval -ENOENT   no log  @retval -EBADMSG  neither copy is whole, or of a version that is not
 * known here
 */
int wal_directory_identity(const char *path, uint8_t *ret_blob, uint32_t *ret_bytes,
	char ret_error[DECREE_ERROR_BYTES]);

/** Does a process use the log in this directory? Not certain: it may begin or end at any moment. */
bool wal_directory_is_used(const char *path);

/**
 * Look at a log and change nothing, not even its lock: a node may be started on it meanwhile, and
 * that is noticed.
 *
 * @param cfg  as for wal_directory_open(); only `recovery` counts
 * @retval -EBUSY  a node runs on it, or did meanwhile: what was handed over is void
 * @retval ...     as wal_open() says
 */
int wal_directory_examine(
	const char *path, const struct wal_config *cfg, char ret_error[DECREE_ERROR_BYTES]);

#endif
