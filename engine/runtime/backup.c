/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree backup: the newest snapshot of each group out of a node's snapshot directory, whether the
 * node runs or not.
 *
 *   1. FILE.new is begun, with room for the header
 *   2. for each group the file with the highest slot is read in parts, verified piece by piece,
 *      taken apart as a restore would, and written behind what is there
 *   3. the header, sync, rename to FILE: there is a whole one or none, and what is there already
 *      stays
 *
 * A running node may finish another snapshot meanwhile and write over the one that is being read.
 * Its digests show that, and the newer one is read instead. The node is not asked for anything and
 * not held up: it shares its disk, so the reading keeps to [snapshot] rate_mb.
 */
#include "engine/runtime/backup.h"

#include "engine/runtime/data_dir.h"
#include "engine/runtime/data_paths.h"
#include "engine/runtime/snap_private.h"
#include "wal/directory.h"

#include <fcntl.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPT_COUNT 10

struct backing {
	struct config config;
	const char *path;
	char building[CONFIG_PATH_BYTES];
	char *ret_error;
	int fd;
	struct backup_header header;
	uint64_t at; /* bytes written */
	struct snap_store *from;
	struct backup_examiner examiner; /* is it what a restore would take? */
};

__attribute__((format(printf, 3, 4))) static int
refuse(const struct backing *b, int rc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(b->ret_error, DECREE_ERROR_BYTES, format, args); /* cut if too long */
	va_end(args);
	return rc;
}

/* ------------------------------------------------------------------------------ the file */

static int
put(struct backing *b, const void *bytes, uint64_t count, uint64_t at)
{
	while (count > 0) {
		ssize_t done = pwrite(b->fd, bytes, count, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return refuse(b, -errno, "%.300s: %s", b->building, strerror(errno));
		bytes = (const uint8_t *)bytes + done;
		count -= (uint64_t)done;
		at += (uint64_t)done;
	}
	return 0;
}

static int
begin(struct backing *b)
{
	if (snprintf(b->building, sizeof(b->building), "%s.new", b->path) >=
		(int)sizeof(b->building))
		return refuse(b, -ENAMETOOLONG, "%.300s: too long a path", b->path);
	if (access(b->path, F_OK) == 0)
		return refuse(b, -EEXIST, "%.300s exists already, and is kept: name another file",
			b->path);
	b->fd = open(b->building, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (b->fd >= 0)
		return 0;
	if (errno == EEXIST)
		return refuse(b, -EEXIST,
			"%.300s is there: another backup is being written, or one was cut short; "
			"remove it if it was",
			b->building);
	return refuse(b, -errno, "%.300s: cannot be made: %s", b->building, strerror(errno));
}

static int
finish(struct backing *b)
{
	uint8_t header[BACKUP_HEADER_BYTES];
	char folder[CONFIG_PATH_BYTES];
	char *slash;
	int rc;

	b->header.taken_unix_s = (uint64_t)time(NULL);
	backup_header_encode(&b->header, header);
	rc = put(b, header, sizeof(header), 0);
	/* An attempt that was given up may have written more than the one that came after it. */
	if (rc == 0 &&
		(ftruncate(b->fd, (off_t)b->at) != 0 || fsync(b->fd) != 0 ||
			renameat2(AT_FDCWD, b->building, AT_FDCWD, b->path, RENAME_NOREPLACE) != 0))
		rc = errno == EEXIST
			     ? refuse(b, -EEXIST,
				       "%.300s exists now, and is kept: name another file", b->path)
			     : refuse(b, -errno, "%.300s: %s", b->building, strerror(errno));
	(void)snprintf(folder, sizeof(folder), "%s", b->path);
	slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[slash == folder] = '\0';
	return rc == 0 ? data_dir_sync(slash != NULL ? folder : ".") : rc;
}

/* ------------------------------------------------------------------------------ one group */

static void
keep_rate(const struct backing *b, uint32_t count)
{
	uint64_t ns = (uint64_t)count * 1000 / b->config.snapshot_rate_mb;

	(void)nanosleep(
		&(struct timespec){ .tv_nsec = (long)ns }, NULL); /* cut short: a little faster */
}

/* @retval -ENOENT, -EBADMSG  it is gone, or not what it was: nothing is said yet */
static int
read_part(struct backing *b, uint16_t group, struct decree_slot slot, uint64_t offset,
	struct snap_completion *ret_done)
{
	int rc = snap_file_ops.read(b->from, group, slot, offset, SNAP_READ_BYTES_MAX, 0);

	while (rc == 0 && snap_file_ops.reap(b->from, 0, ret_done, 1) == 0)
		(void)snap_store_step(b->from, 0);
	return rc == 0 ? ret_done->rc : rc;
}

static int
copy_snapshot(struct backing *b, uint16_t group, struct decree_slot slot)
{
	struct snap_completion done = { .bytes = 1 };
	uint64_t offset = 0;
	int rc = 0;

	backup_examine_begin(&b->examiner, b->config.cluster_id, group);
	while (rc == 0 && offset < done.bytes) {
		rc = read_part(b, group, slot, offset, &done);
		if (rc == 0)
			rc = backup_examine(&b->examiner, done.data, done.count);
		if (rc == 0)
			rc = put(b, done.data, done.count, b->at + offset);
		if (rc == 0)
			keep_rate(b, done.count);
		offset += done.count;
	}
	if (rc == 0)
		rc = backup_examine_end(&b->examiner, slot.n);
	if (rc == 0) {
		b->header.slots[group] = slot.n;
		b->header.bytes[group] = offset;
		b->header.snapshot_unix_s[group] = done.committed_unix_s;
		b->at += offset;
	}
	return rc;
}

static int
copy_group(struct backing *b, struct snap_directory *directory, uint16_t group)
{
	uint64_t before = 0, slot = 0;
	int rc = -EBADMSG;

	for (uint32_t i = 0; i < ATTEMPT_COUNT; i++) {
		int listed = snap_directory_newest(directory, group, &slot);

		if (listed != 0)
			return refuse(b, listed, "the snapshot directory: %s", strerror(-listed));
		if (slot == 0)
			return refuse(b, -ENOENT,
				"group %u has no snapshot yet: 'decree snapshot' has the nodes cut "
				"one",
				group);
		if (slot == before)
			break; /* the same one again: it is not that the node has a newer one */
		rc = copy_snapshot(b, group, (struct decree_slot){ slot });
		if (rc == 0 || b->ret_error[0] != '\0')
			return rc;
		before = slot;
	}
	return refuse(b, rc,
		"the snapshot of group %u up to slot %llu cannot be read (%s): have another one "
		"cut with 'decree snapshot', or take the backup from another node",
		group, (unsigned long long)slot, rc == -EBADMSG ? "it is damaged" : strerror(-rc));
}

/* ------------------------------------------------------------------------------ all of it */

static int
copy_all(struct backing *b)
{
	struct snap_store_config store = { 0 };
	struct snap_directory *directory = NULL;
	char path[DATA_PATH_BYTES];
	struct snap_directory_config cfg = {
		.path = path,
		.cluster_id = b->config.cluster_id,
		.is_read_only = true,
		.is_shared = true,
	};
	int rc;

	data_snapshot_path(b->config.data_dir, b->config.snapshot_dir, path);
	rc = snap_directory_open(&cfg, &directory, b->ret_error);
	store.directory = directory;
	if (rc == 0)
		rc = snap_store_open(&store, &b->from);
	for (uint16_t i = 0; rc == 0 && i < b->header.identity.group_count; i++)
		rc = copy_group(b, directory, i);
	snap_store_close(b->from);
	snap_directory_close(directory);
	return rc;
}

/* How many groups there are, and all that a restore will compare, is what the node was formatted
 * with: its file may have been changed since, and not read yet. */
static int
find_identity(struct backing *b)
{
	uint8_t blob[WAL_IDENTITY_BLOB_BYTES_MAX];
	char path[DATA_PATH_BYTES];
	uint32_t bytes;
	int rc;

	data_shard_path(b->config.data_dir, 0, path);
	rc = wal_directory_identity(path, blob, &bytes, b->ret_error);
	if (rc != 0)
		return rc;
	if (identity_decode(blob, bytes, &b->header.identity) != 0)
		return refuse(b, -EBADMSG, "%.300s: it was not made by 'decree format'", path);
	rc = identity_check(&b->header.identity, &b->config, 0, path, b->ret_error);
	b->header.identity.disk = (struct decree_uuid){ { 0 } };
	return rc;
}

static int
make(struct backing *b)
{
	int rc = find_identity(b);

	if (rc == 0)
		rc = begin(b);
	if (rc != 0)
		return rc;
	b->at = BACKUP_HEADER_BYTES;
	rc = copy_all(b);
	if (rc == 0)
		rc = finish(b);
	(void)close(b->fd); /* it is synced, or goes */
	if (rc != 0)
		(void)unlink(b->building); /* half a backup is none */
	return rc;
}

DECREE_API
int
decree_backup(const char *config_path, const char *const *settings, uint32_t setting_count,
	const char *file, struct decree_backup *ret_backup, char ret_error[DECREE_ERROR_BYTES])
{
	struct backing *b = base_zeros(1, sizeof(*b));
	int rc;

	ret_error[0] = '\0';
	if (b == NULL)
		return -ENOMEM;
	b->path = file;
	b->ret_error = ret_error;
	rc = config_load(
		config_path, settings, setting_count, CONFIG_FOR_NODE, &b->config, ret_error);
	if (rc == 0)
		rc = make(b);
	if (rc == 0)
		backup_describe(&b->header, ret_backup);
	if (rc != 0 && ret_error[0] == '\0')
		(void)refuse(b, rc, "%.300s: %s", file, strerror(-rc));
	free(b);
	return rc;
}
