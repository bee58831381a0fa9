/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every durable write of the log is a write with RWF_DSYNC, whatever the device: the kernel makes
 * of it the least that is enough, a single write where no cache is volatile or the device has FUA,
 * else a write and a flush. What the log itself has to know is what such a write does for the
 * others: a flush makes all that completed before it durable, FUA only its own write.
 *
 * A folder on a file system without a block device of its own (overlayfs, btrfs, tmpfs) has a
 * device number that the kernel tells nothing about. Then nothing is taken for granted.
 */
#include "wal/device.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A partition has no queue of its own, but lies in the folder of the disk that has. */
static bool
read_queue(const char *device_folder, const char *name, char *ret_line, int capacity)
{
	static const char *const places[] = { "queue", "../queue" };
	char path[PATH_MAX];
	bool has_line = false;

	for (int i = 0; i < 2 && !has_line; i++) {
		FILE *file;

		(void)snprintf(path, sizeof(path), "%s/%s/%s", device_folder, places[i], name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		has_line = fgets(ret_line, capacity, file) != NULL;
		(void)fclose(file); /* was only read */
	}
	if (has_line)
		ret_line[strcspn(ret_line, "\n")] = '\0';
	return has_line;
}

static uint32_t
read_number(const char *device_folder, const char *name)
{
	char line[32];

	return read_queue(device_folder, name, line, sizeof(line))
		       ? (uint32_t)strtoul(line, NULL, 10)
		       : 0;
}

static enum wal_device_cache
read_cache(const char *device_folder)
{
	char line[32];

	if (!read_queue(device_folder, "write_cache", line, sizeof(line)))
		return WAL_DEVICE_CACHE_UNKNOWN;
	if (strcmp(line, "write through") == 0)
		return WAL_DEVICE_CACHE_THROUGH;
	return strcmp(line, "write back") == 0 ? WAL_DEVICE_CACHE_BACK : WAL_DEVICE_CACHE_UNKNOWN;
}

/* The entry of a device is a link to its folder, which has its name. */
static void
read_name(const char *device_folder, char *ret_name, size_t capacity)
{
	char target[PATH_MAX];
	ssize_t bytes = readlink(device_folder, target, sizeof(target) - 1);
	const char *slash;

	if (bytes <= 0)
		return;
	target[bytes] = '\0';
	slash = strrchr(target, '/');
	(void)snprintf(ret_name, capacity, "%.31s", slash == NULL ? target : slash + 1);
}

void
wal_device_probe(
	const char *sys_folder, unsigned int major, unsigned int minor, struct wal_device *ret)
{
	char folder[PATH_MAX / 2];

	*ret = (struct wal_device){ .cache = WAL_DEVICE_CACHE_UNKNOWN };
	(void)snprintf(ret->name, sizeof(ret->name), "%u:%u", major, minor);
	(void)snprintf(folder, sizeof(folder), "%s/%u:%u", sys_folder, major, minor);
	read_name(folder, ret->name, sizeof(ret->name));
	ret->cache = read_cache(folder);
	ret->has_fua = read_number(folder, "fua") == 1;
	ret->logical_block_bytes = read_number(folder, "logical_block_size");
	ret->physical_block_bytes = read_number(folder, "physical_block_size");
}

int
wal_device_of(const char *path, struct wal_device *ret_device)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return -errno;
	wal_device_probe(WAL_DEVICE_SYS_FOLDER, major(st.st_dev), minor(st.st_dev), ret_device);
	return 0;
}

bool
wal_device_flushes_all(const struct wal_device *device)
{
	return device->cache == WAL_DEVICE_CACHE_THROUGH ||
	       (device->cache == WAL_DEVICE_CACHE_BACK && !device->has_fua);
}

void
wal_device_sentence(const struct wal_device *device, char *ret)
{
	static const char *const caches[] = {
		[WAL_DEVICE_CACHE_THROUGH] =
			"no volatile write cache: a durable write is one write",
		[WAL_DEVICE_CACHE_BACK] = "a volatile write cache and no FUA: a durable write is a "
					  "write and a flush",
	};

	if (device->cache == WAL_DEVICE_CACHE_UNKNOWN)
		(void)snprintf(ret, WAL_DEVICE_SENTENCE_BYTES,
			"device %s: the kernel does not tell whether it has a volatile write "
			"cache, so it is taken to have one, and each write is made durable by "
			"itself",
			device->name);
	else
		(void)snprintf(ret, WAL_DEVICE_SENTENCE_BYTES,
			"device %s has %s (blocks of %u bytes, physically %u)", device->name,
			device->cache == WAL_DEVICE_CACHE_BACK && device->has_fua
				? "a volatile write cache and FUA: a durable write is one write"
				: caches[device->cache],
			device->logical_block_bytes, device->physical_block_bytes);
}
