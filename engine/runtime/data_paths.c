/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/data_paths.h"

#include <stdio.h>

void
data_shard_path(const char *data_dir, uint32_t shard, char path[DATA_PATH_BYTES])
{
	(void)snprintf(path, DATA_PATH_BYTES, "%.1023s/shard-%u", data_dir, shard); /* fits */
}

void
data_snapshot_path(const char *data_dir, const char *snapshot_dir, char path[DATA_PATH_BYTES])
{
	if (snapshot_dir != NULL && snapshot_dir[0] != '\0')
		(void)snprintf(path, DATA_PATH_BYTES, "%.1023s", snapshot_dir); /* fits */
	else
		(void)snprintf(path, DATA_PATH_BYTES, "%.1023s/snapshots", data_dir); /* fits */
}
