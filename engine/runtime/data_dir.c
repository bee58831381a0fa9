/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/data_dir.h"

#include "engine/runtime/identity.h"
#include "wal/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

int
data_dir_format_shard(const struct config *c, const char *data_dir, uint32_t shard,
	const struct decree_uuid *disk, char *ret_error)
{
	const struct identity identity = identity_of_config(c, (uint16_t)shard, disk);
	uint8_t blob[IDENTITY_BYTES];
	struct wal_format format = {
		.identity = blob,
		.identity_bytes = sizeof(blob),
		.payload_bytes_max = c->slot_bytes,
		.log_bytes = c->log_bytes,
		.segment_bytes = c->segment_bytes,
	};
	char path[DATA_PATH_BYTES];

	identity_encode(&identity, blob);
	data_shard_path(data_dir, shard, path);
	if (getrandom(format.uuid.bytes, sizeof(format.uuid.bytes), 0) != sizeof(format.uuid.bytes))
		return -EIO;
	return wal_directory_format(path, &format, ret_error);
}

int
data_dir_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) != 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd); /* read only */
	return rc;
}

int
data_dir_sync_name(const char *path)
{
	char parent[CONFIG_PATH_BYTES];

	(void)snprintf(parent, sizeof(parent), "%s", path); /* a path of a configuration fits */
	return data_dir_sync(dirname(parent));
}

void
data_dir_remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0); /* "." and ".." refuse */
	if (dir != NULL)
		(void)closedir(dir);
	(void)rmdir(path);
}
