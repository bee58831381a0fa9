/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a node's snapshots: its lock, the names in it, what a crash left half done, and
 * the reserve.
 *
 * An unfinished file is worth nothing but its blocks, and becomes the spare if there is none. Files
 * with other names are the operator's: they are counted, named in the log once, and never touched.
 */
#include "base/failpoint.h"
#include "base/refuse.h"
#include "engine/runtime/snap_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE "reserve"

void
snap_name(char ret[SNAP_NAME_BYTES], uint16_t group, uint64_t slot)
{
	snprintf(ret, SNAP_NAME_BYTES, "snapshot-%u-%llu", group, (unsigned long long)slot);
}

void
snap_name_unfinished(char ret[SNAP_NAME_BYTES], uint16_t group)
{
	snprintf(ret, SNAP_NAME_BYTES, "snapshot-%u.tmp", group);
}

void
snap_name_spare(char ret[SNAP_NAME_BYTES], uint16_t group)
{
	snprintf(ret, SNAP_NAME_BYTES, "spare-%u", group);
}

/* What a name stands for: it counts only if it is written as we would. */
enum name_kind {
	NAME_FOREIGN = 0,
	NAME_SNAPSHOT,
	NAME_UNFINISHED,
	NAME_SPARE,
	NAME_RESERVE
};

static enum name_kind
name_parse(const char *name, uint16_t *ret_group, uint64_t *ret_slot)
{
	char again[SNAP_NAME_BYTES];
	unsigned long long slot;
	unsigned group;

	if (strcmp(name, RESERVE) == 0)
		return NAME_RESERVE;
	if (sscanf(name, "snapshot-%5u-%20llu", &group, &slot) == 2 &&
		group < DECREE_GROUP_COUNT_MAX) {
		snap_name(again, (uint16_t)group, slot);
		*ret_group = (uint16_t)group;
		*ret_slot = slot;
		return strcmp(name, again) == 0 ? NAME_SNAPSHOT : NAME_FOREIGN;
	}
	if (sscanf(name, "snapshot-%5u", &group) == 1 && group < DECREE_GROUP_COUNT_MAX) {
		snap_name_unfinished(again, (uint16_t)group);
		*ret_group = (uint16_t)group;
		return strcmp(name, again) == 0 ? NAME_UNFINISHED : NAME_FOREIGN;
	}
	if (sscanf(name, "spare-%5u", &group) == 1 && group < DECREE_GROUP_COUNT_MAX) {
		snap_name_spare(again, (uint16_t)group);
		return strcmp(name, again) == 0 ? NAME_SPARE : NAME_FOREIGN;
	}
	return NAME_FOREIGN;
}

/* Keep its blocks for the next snapshot, if none are kept already. */
static void
put_away(const struct snap_directory *d, const char *name, uint16_t group)
{
	char spare[SNAP_NAME_BYTES];
	struct stat st;

	FAILPOINT("snapshot.file.before_forgotten");
	snap_name_spare(spare, group);
	if (fstatat(d->fd, spare, &st, 0) != 0)
		(void)renameat(d->fd, name, d->fd,
			spare); /* failing, it only takes space until the next time */
	else
		(void)unlinkat(d->fd, name, 0); /* the same */
}

/* Call visit for every name. The list is read anew, so visit may rename. */
static int
visit_names(struct snap_directory *d, uint16_t group, uint64_t *slot,
	void (*visit)(struct snap_directory *d, const char *name, uint16_t group, uint64_t *slot))
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *at;

	if (list == NULL) {
		int rc = -errno;

		if (fd >= 0)
			close(fd);
		return rc;
	}
	while ((at = readdir(list)) != NULL)
		visit(d, at->d_name, group, slot);
	closedir(list);
	return 0;
}

static void
visit_at_open(
	struct snap_directory *d, const char *name, uint16_t unused_group, uint64_t *unused_slot)
{
	uint16_t group;
	uint64_t slot;

	(void)unused_group;
	(void)unused_slot;
	if (name[0] == '.')
		return;
	switch (name_parse(name, &group, &slot)) {
	case NAME_UNFINISHED: put_away(d, name, group); return;
	case NAME_FOREIGN:
		d->foreign_count++;
		snprintf(d->foreign_name, sizeof(d->foreign_name), "%.63s", name);
		return;
	case NAME_SNAPSHOT:
	case NAME_SPARE:
	case NAME_RESERVE: return;
	}
}

static void
visit_to_forget(struct snap_directory *d, const char *name, uint16_t group, uint64_t *below)
{
	uint16_t found_group;
	uint64_t slot;

	if (name_parse(name, &found_group, &slot) == NAME_SNAPSHOT && found_group == group &&
		slot < *below)
		put_away(d, name, group);
}

void
snap_directory_forget(struct snap_directory *d, uint16_t group, uint64_t below)
{
	/* Failing, old files stay and take space; the next snapshot's forget tries again. */
	(void)visit_names(d, group, &below, visit_to_forget);
}

static void
visit_to_find(struct snap_directory *d, const char *name, uint16_t group, uint64_t *newest)
{
	uint16_t found_group;
	uint64_t slot;

	(void)d;
	if (name_parse(name, &found_group, &slot) == NAME_SNAPSHOT && found_group == group &&
		slot > *newest)
		*newest = slot;
}

int
snap_directory_newest(struct snap_directory *d, uint16_t group, uint64_t *ret_slot)
{
	uint64_t newest = 0;
	int rc = visit_names(d, group, &newest, visit_to_find);

	if (rc == 0)
		*ret_slot = newest;
	return rc;
}

int
snap_directory_open_file(const struct snap_directory *d, const char *name, int flags)
{
	int fd = openat(d->fd, name, flags | O_CLOEXEC | O_DIRECT, 0600);

	if (fd < 0 && errno == EINVAL) /* tmpfs */
		fd = openat(d->fd, name, flags | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : -errno;
}

/* ------------------------------------------------------------------------------ the reserve */

static int
reserve_take(const struct snap_directory *d)
{
	int fd = openat(d->fd, RESERVE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (fallocate(fd, 0, 0, (off_t)d->reserve_bytes) != 0 && errno != EOPNOTSUPP)
		rc = -errno;
	close(fd);
	if (rc != 0)
		(void)unlinkat(d->fd, RESERVE, 0); /* half a reserve only takes space */
	return rc;
}

bool
snap_directory_release_reserve(struct snap_directory *d)
{
	atomic_store_explicit(&d->is_space_low, true, memory_order_relaxed);
	return unlinkat(d->fd, RESERVE, 0) == 0;
}

void
snap_directory_renew_reserve(struct snap_directory *d, uint64_t now_ns)
{
	if (!atomic_load_explicit(&d->is_space_low, memory_order_relaxed))
		return;
	if (now_ns < d->reserve_retry_ns)
		return;
	d->reserve_retry_ns = now_ns + SNAP_RESERVE_RETRY_NS;
	if (d->reserve_bytes == 0 || reserve_take(d) == 0)
		atomic_store_explicit(&d->is_space_low, false, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------ open, close */

static int
refuse(const struct snap_directory_config *cfg, int rc, const char *remedy, char *ret_error)
{
	return base_refuse(
		rc, ret_error, "snapshot directory %.200s: %s%s", cfg->path, strerror(-rc), remedy);
}

static int
open_locked(struct snap_directory *d, const struct snap_directory_config *cfg, char *ret_error)
{
	if (cfg->may_create && mkdir(cfg->path, 0700) != 0 && errno != EEXIST)
		return refuse(cfg, -errno, ": it could not be made", ret_error);
	d->fd = open(cfg->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return refuse(cfg, -errno,
			errno == ENOENT ? ": make it, or mount what should be mounted there" : "",
			ret_error);
	if (!cfg->is_shared && flock(d->fd, LOCK_EX | LOCK_NB) != 0)
		return refuse(cfg, errno == EWOULDBLOCK ? -EBUSY : -errno,
			": another process uses it; each node needs one of its own", ret_error);
	return 0;
}

int
snap_directory_open(const struct snap_directory_config *cfg, struct snap_directory **ret_directory,
	char ret_error[DECREE_ERROR_BYTES])
{
	struct snap_directory *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return refuse(cfg, -ENOMEM, "", ret_error);
	d->fd = -1;
	d->cluster_id = cfg->cluster_id;
	d->reserve_bytes = cfg->reserve_bytes;
	snprintf(d->path, sizeof(d->path), "%s", cfg->path);
	rc = open_locked(d, cfg, ret_error);
	if (rc == 0 && !cfg->is_read_only) {
		rc = visit_names(d, 0, NULL, visit_at_open);
		if (rc != 0)
			(void)refuse(cfg, rc, ": it cannot be listed", ret_error);
	}
	if (rc != 0) {
		snap_directory_close(d);
		return rc;
	}
	if (d->reserve_bytes > 0 && reserve_take(d) != 0)
		atomic_store(&d->is_space_low, true);
	*ret_directory = d;
	return 0;
}

void
snap_directory_close(struct snap_directory *d)
{
	if (d == NULL)
		return;
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}

uint32_t
snap_directory_foreign_count(const struct snap_directory *d, const char **ret_name)
{
	*ret_name = d->foreign_name;
	return d->foreign_count;
}
