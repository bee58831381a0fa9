/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file data_dir.h
 * What formatting a node and rescuing one share: the folders of a data directory.
 *
 * Threads:  any. Everything here blocks.
 */
#ifndef RUNTIME_DATA_DIR_H
#define RUNTIME_DATA_DIR_H

#include "engine/runtime/config.h"
#include "engine/runtime/data_paths.h"

/** Make the folder of one shard with an empty log for the configuration's node. */
int data_dir_format_shard(const struct config *c, const char *data_dir, uint32_t shard,
	const struct decree_uuid *disk, char *ret_error);

/** What was made there is on the disk. */
int data_dir_sync(const char *path);

/** The name of the directory @p path itself is on the disk, too. */
int data_dir_sync_name(const char *path);

/** Remove a folder and the files in it, as well as that goes: the error that led here is the one to
 * report. */
void data_dir_remove_folder(const char *path);

#endif
