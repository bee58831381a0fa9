/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/directory.h"

#include "wal/disk_memory.h"
#include "wal/disk_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOCK_WAIT_MS 300 /* a killed process holds the lock until its last write is done */

int
wal_directory_format(
	const char *path, const struct wal_format *format, char error[DECREE_ERROR_BYTES])
{
	struct disk_uring_config disk_cfg = { .path = path, .is_new = true };
	struct disk_uring *disk;
	int rc = disk_uring_open(&disk_cfg, &disk, error);

	if (rc != 0)
		return rc;
	rc = wal_format(&disk_uring_ops, disk, format, error);
	disk_uring_close(disk);
	return rc;
}

/* @return false if the kernel does not tell */
static bool
boot_id_read(uint8_t ret_id[WAL_BOOT_ID_BYTES])
{
	char text[64] = { 0 };
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	size_t count = 0;

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	(void)close(fd);
	for (const char *c = text; *c != '\0' && count < WAL_BOOT_ID_BYTES; c++) {
		unsigned int byte;

		if (*c == '-')
			continue;
		if (sscanf(c, "%2x", &byte) != 1)
			break;
		ret_id[count++] = (uint8_t)byte;
		c++;
	}
	return count == WAL_BOOT_ID_BYTES;
}

static void
close_uring(void *disk)
{
	disk_uring_close(disk);
}

static void
close_memory(void *disk)
{
	disk_memory_destroy(disk);
}

/* The directory stays open, and locked, beside the memory. */
static int
memory_open(struct wal_config *cfg, uint64_t log_bytes, struct wal **ret_wal, char *error)
{
	uint8_t blob[WAL_IDENTITY_BLOB_BYTES_MAX];
	struct wal_format format;
	struct disk_memory *disk;
	int rc = wal_memory_begin(cfg, &format, blob, error);

	if (rc == 0)
		rc = disk_memory_create(cfg->disk, cfg->disk_close, &disk);
	if (rc != 0) {
		cfg->disk_close(cfg->disk);
		return rc;
	}
	format.log_bytes = log_bytes != 0 ? log_bytes : WAL_MEMORY_LOG_BYTES_DEFAULT;
	format.segment_bytes = format.log_bytes / 4;
	rc = wal_format(&disk_memory_ops, disk, &format, error);
	if (rc != 0) {
		disk_memory_destroy(disk);
		return rc;
	}
	cfg->ops = &disk_memory_ops;
	cfg->disk = disk;
	cfg->disk_close = close_memory;
	cfg->recovery.identity = NULL; /* was asked already */
	return wal_open(cfg, ret_wal, error);
}

int
wal_directory_open(const char *path, const struct wal_config *given, uint64_t memory_log_bytes,
	struct wal **ret_wal, char error[DECREE_ERROR_BYTES])
{
	struct disk_uring_config disk_cfg = {
		.path = path,
		.is_buffered = given->mode == DECREE_LOG_BUFFERED,
		.lock_wait_ms = LOCK_WAIT_MS,
	};
	struct wal_config cfg = *given;
	struct disk_uring *disk;
	int rc;

	if (!boot_id_read(cfg.boot_id) && cfg.mode == DECREE_LOG_BUFFERED) {
		snprintf(error, DECREE_ERROR_BYTES,
			"log mode buffered needs /proc/sys/kernel/random/boot_id, which cannot be "
			"read here");
		return -ENOTSUP;
	}
	rc = disk_uring_open(&disk_cfg, &disk, error);
	if (rc != 0)
		return rc;
	cfg.ops = &disk_uring_ops;
	cfg.disk = disk;
	cfg.disk_close = close_uring;
	if (cfg.mode == DECREE_LOG_MEMORY)
		return memory_open(&cfg, memory_log_bytes, ret_wal, error);
	return wal_open(&cfg, ret_wal, error);
}
