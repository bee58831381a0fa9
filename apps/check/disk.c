/* SPDX-License-Identifier: Apache-2.0 */
/* Can the log live on this disk, is there room for it, and what does a durable write cost? */
#include "apps/check/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The data directory, or the nearest folder above it that exists. */
static void
existing_folder(const char *data_dir, char *folder, size_t capacity)
{
	char *slash;

	(void)snprintf(folder, capacity, "%s", data_dir); /* fits: same size */
	while (access(folder, F_OK) != 0) {
		slash = strrchr(folder, '/');
		if (slash == NULL || slash == folder) {
			(void)snprintf(folder, capacity, "%s", slash != NULL ? "/" : ".");
			return;
		}
		*slash = '\0';
	}
}

/* 'decree format' makes the last folder of data_dir, and none above it. */
static void
check_parent(struct check *c, const char *data_dir)
{
	char parent[DECREE_PATH_BYTES];
	char remedy[DECREE_PATH_BYTES + 32];
	size_t length = strlen(data_dir);

	while (length > 1 && data_dir[length - 1] == '/')
		length--;
	while (length > 0 && data_dir[length - 1] != '/')
		length--;
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)length, data_dir); /* fits: same size */
	if (length == 0 || access(parent, F_OK) == 0)
		return;
	(void)snprintf(remedy, sizeof(remedy), "Make it: mkdir -p %s", parent); /* fits */
	report(c, VERDICT_FATAL, "data_dir", remedy, "there is no folder %s", parent);
}

static bool
is_in_memory(const char *folder)
{
	struct statfs fs;

	return statfs(folder, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static void
check_direct(struct check *c, const char *folder)
{
	char path[DECREE_PATH_BYTES + 32];
	void *sector = NULL;
	ssize_t done = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/.decree-check-%d", folder, (int)getpid()); /* fits */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	if (fd >= 0 && posix_memalign(&sector, 4096, 4096) == 0) {
		memset(sector, 0, 4096);
		done = pwrite(fd, sector, 4096, 0);
	}
	if (done == 4096 && is_in_memory(folder))
		report(c, VERDICT_NOTE, "disk", "Put data_dir on ext4 or XFS on a local disk",
			"%s is in memory (tmpfs): a reboot loses what this node promised", folder);
	else if (done == 4096)
		report(c, VERDICT_GOOD, "disk", NULL, "%s takes O_DIRECT writes", folder);
	else
		report(c, VERDICT_FATAL, "disk",
			"Put data_dir on ext4 or XFS on a local disk, writable for this user",
			"%s: no O_DIRECT write (%s): the log needs it", folder, strerror(errno));
	free(sector);
	if (fd >= 0) {
		(void)close(fd); /* the file is thrown away */
		(void)unlink(path);
	}
}

/* `decree format` allocates the logs; snapshots want room beside them for as long as the node
 * lives. */
#define ROOM_MIB 1024
#define LOW_MIB  64

static void
check_space(struct check *c, const char *folder)
{
	bool is_formatted = strcmp(folder, c->setup->data_dir) == 0;
	uint64_t logs_mib = is_formatted ? 0 : (c->setup->log_bytes >> 20) * c->setup->shard_count;
	struct statvfs fs;
	uint64_t free_mib;

	if (statvfs(folder, &fs) != 0)
		return; /* check_direct() has said why */
	free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	if (free_mib < logs_mib)
		report(c, VERDICT_FATAL, "space",
			"Make room there, put data_dir on another disk, or lower log_bytes",
			"%" PRIu64 " MiB are free in %s, and the logs take %" PRIu64, free_mib,
			folder, logs_mib);
	else if (is_formatted && free_mib < LOW_MIB)
		report(c, VERDICT_FATAL, "space",
			"Make room there, or set [snapshot] directory to another disk",
			"%" PRIu64 " MiB are free in %s: no snapshot can be written, and a node "
			"whose log is full takes no commands",
			free_mib, folder);
	else if (free_mib < logs_mib + ROOM_MIB)
		report(c, VERDICT_NOTE, "space",
			"Make room there, or set [snapshot] directory to another disk",
			"%" PRIu64 " MiB are free in %s: snapshots may not find room, and without "
			"them the log fills up",
			free_mib, folder);
	else
		report(c, VERDICT_GOOD, "space", NULL, "%" PRIu64 " MiB are free in %s", free_mib,
			folder);
}

/* A property of the device under a folder, of its parent if it is a partition. */
static bool
read_queue(const struct check *c, const char *folder, const char *name, char *line, size_t capacity)
{
	struct stat st;

	if (stat(folder, &st) != 0)
		return false;
	return check_read(c, line, capacity, "/sys/dev/block/%u:%u/queue/%s", major(st.st_dev),
		       minor(st.st_dev), name) ||
	       check_read(c, line, capacity, "/sys/dev/block/%u:%u/../queue/%s", major(st.st_dev),
		       minor(st.st_dev), name);
}

static void
check_cache(struct check *c, const char *folder)
{
	char cache[64];
	char fua[64];

	if (!read_queue(c, folder, "write_cache", cache, sizeof(cache)))
		report(c, VERDICT_NOTE, "disk cache", NULL, "unknown for %s", folder);
	else if (strcmp(cache, "write through") == 0)
		report(c, VERDICT_GOOD, "disk cache", NULL,
			"write through: a completed write is durable");
	else if (read_queue(c, folder, "fua", fua, sizeof(fua)) && strcmp(fua, "1") == 0)
		report(c, VERDICT_GOOD, "disk cache", NULL,
			"write back with FUA: one durable write per commit");
	else
		report(c, VERDICT_NOTE, "disk cache",
			"A disk with power-loss protection, or write through, halves the commit "
			"latency",
			"write back without FUA: each commit costs a flush");
}

void
check_disk(struct check *c)
{
	char folder[DECREE_PATH_BYTES];

	if (c->setup == NULL)
		return;
	check_parent(c, c->setup->data_dir);
	existing_folder(c->setup->data_dir, folder, sizeof(folder));
	check_direct(c, folder);
	check_space(c, folder);
	check_cache(c, folder);
	if (c->setup->log_mode != DECREE_LOG_DURABLE)
		report(c, VERDICT_NOTE, "log mode", "Set log_mode = durable",
			"%s: acknowledged commands do not survive a power cut of all nodes",
			log_mode_word(c->setup->log_mode));
	if (!c->setup->auth)
		report(c, VERDICT_NOTE, "auth", "Set auth = gmac",
			"none: anybody on this network may speak for any node");
}
