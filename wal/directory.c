/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/directory.h"

#include "wal/device.h"
#include "wal/disk_memory.h"
#include "wal/disk_uring.h"
#include "wal/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 3000 /* a process that ended holds the lock until its last write is done */

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

int
wal_directory_prewrite(
	const char *path, const struct wal_recovery *to, char error[DECREE_ERROR_BYTES])
{
	struct disk_uring_config disk_cfg = { .path = path, .lock_wait_ms = LOCK_WAIT_MS };
	struct disk_uring *disk;
	int rc = disk_uring_open(&disk_cfg, &disk, error);

	if (rc != 0)
		return rc;
	rc = wal_prewrite(&disk_uring_ops, disk, to, error);
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
		.is_read_only = given->is_read_only,
		.lock_wait_ms = LOCK_WAIT_MS,
	};
	struct wal_config cfg = *given;
	struct wal_device device;
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
	cfg.flushes_own_only =
		wal_device_of(path, &device) != 0 || !wal_device_flushes_all(&device);
	if (cfg.mode == DECREE_LOG_MEMORY)
		return memory_open(&cfg, memory_log_bytes, ret_wal, error);
	return wal_open(&cfg, ret_wal, error);
}

/* The page is written once, by format: whoever has the log open leaves it alone. */
static int
identity_read(int fd, uint8_t *ret_blob, uint32_t *ret_bytes)
{
	uint8_t page[PAGE_BYTES_MAX];

	for (int copy = 0; copy < 2; copy++) {
		struct wal_geometry geometry;
		struct page_header header;
		const uint8_t *blob;

		if (pread(fd, page, page_identity.bytes, (off_t)page_identity.offset_bytes[copy]) ==
				page_identity.bytes &&
			page_check(page, &page_identity, NULL, &header) == PAGE_VALID &&
			wal_identity_decode(page, header.body_bytes, &geometry, &blob, ret_bytes) ==
				0) {
			memcpy(ret_blob, blob, *ret_bytes);
			return 0;
		}
	}
	return -EBADMSG;
}

int
wal_directory_identity(const char *path, uint8_t *ret_blob, uint32_t *ret_bytes,
	char ret_error[DECREE_ERROR_BYTES])
{
	char file[4096];
	int rc = -ENAMETOOLONG, fd = -1;

	if (snprintf(file, sizeof(file), "%s/identity", path) < (int)sizeof(file)) {
		fd = open(file, O_RDONLY | O_CLOEXEC);
		rc = fd >= 0 ? identity_read(fd, ret_blob, ret_bytes) : -errno;
	}
	if (fd >= 0)
		close(fd);
	if (rc != 0)
		snprintf(ret_error, DECREE_ERROR_BYTES, "%.300s/identity: %s", path,
			rc == -EBADMSG ? "this is no log of this program's" : strerror(-rc));
	return rc;
}

static int
refuse_busy(const char *path, const char *when, char *error)
{
	snprintf(error, DECREE_ERROR_BYTES,
		"%.300s: a node %s, so what is there is changing: stop the node first", path, when);
	return -EBUSY;
}

/* A process that was just killed holds the lock a little longer. */
static bool
is_in_use(const char *path, uint64_t *ret_changed_ns)
{
	const struct timespec step = { .tv_nsec = 10000000 };

	for (uint32_t waited_ms = 0; disk_uring_is_in_use(path, ret_changed_ns); waited_ms += 10) {
		if (waited_ms >= LOCK_WAIT_MS)
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

int
wal_directory_examine(
	const char *path, const struct wal_config *given, char error[DECREE_ERROR_BYTES])
{
	struct disk_uring_config disk_cfg = {
		.path = path,
		.is_read_only = true,
		.is_unlocked = true,
	};
	struct wal_config cfg = {
		.ops = &disk_uring_ops,
		.disk_close = close_uring,
		.mode = DECREE_LOG_DURABLE, /* matters to what is appended, and nothing is */
		.is_read_only = true,
		.recovery = given->recovery,
	};
	uint64_t before_ns, after_ns;
	struct disk_uring *disk;
	struct wal *none;
	int rc;

	if (is_in_use(path, &before_ns))
		return refuse_busy(path, "runs on this log", error);
	rc = disk_uring_open(&disk_cfg, &disk, error);
	if (rc != 0)
		return rc;
	cfg.disk = disk;
	(void)boot_id_read(cfg.boot_id); /* unknown: as if the machine had been restarted */
	rc = wal_open(&cfg, &none, error);
	if (disk_uring_is_in_use(path, &after_ns) || before_ns != after_ns)
		return refuse_busy(path, "was started on this log meanwhile", error);
	return rc;
}

bool
wal_directory_is_used(const char *path)
{
	uint64_t ignored_ns; /* when it was changed */

	return disk_uring_is_in_use(path, &ignored_ns);
}
