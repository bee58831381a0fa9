/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file data_paths.h
 * Where in a data directory what is: shard-0, shard-1, ... (logs) and snapshots.
 *
 * Threads:  any.
 */
#ifndef RUNTIME_DATA_PATHS_H
#define RUNTIME_DATA_PATHS_H

#include "engine/runtime/config.h"

#define DATA_PATH_BYTES (CONFIG_PATH_BYTES + 32)

/** @param data_dir  shorter than CONFIG_PATH_BYTES */
void data_shard_path(const char *data_dir, uint32_t shard, char ret_path[DATA_PATH_BYTES]);

/** @param snapshot_dir  a directory of its own; NULL or "": snapshots are inside @p data_dir */
void
data_snapshot_path(const char *data_dir, const char *snapshot_dir, char ret_path[DATA_PATH_BYTES]);

#endif
