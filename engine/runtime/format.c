/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree format: <data_dir>/shard-0, shard-1, ..., one log each, under one new disk uuid; and on
 * request the key files. What exists is never touched, and a failure takes back what it made. And
 * --prewrite.
 */
#include "decree/setup.h"

#include "base/refuse.h"
#include "engine/core/msg.h"
#include "engine/runtime/data_dir.h"
#include "engine/runtime/identity.h"
#include "wal/directory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct formatting {
	const struct config *c;
	bool is_data_dir_ours;
	uint32_t shard_count; /* folders that we made */
	bool is_key_ours;
	bool is_client_key_ours;
};

static void
take_back(const struct formatting *f)
{
	char path[DATA_PATH_BYTES];

	for (uint32_t i = 0; i < f->shard_count; i++) {
		data_shard_path(f->c->data_dir, i, path);
		data_dir_remove_folder(path);
	}
	if (f->is_data_dir_ours)
		(void)rmdir(f->c->data_dir);
	if (f->is_key_ours)
		(void)unlink(f->c->key_file);
	if (f->is_client_key_ours)
		(void)unlink(f->c->client_key_file);
}

static int
refuse_formatted(const char *path, char *ret_error)
{
	return base_refuse(-EEXIST, ret_error,
		"%.300s: already formatted, and never formatted again. A node that lost its data "
		"needs a new node id; to throw a whole cluster away, remove the folder yourself",
		path);
}

static int
make_data_dir(struct formatting *f, char *ret_error)
{
	const char *path = f->c->data_dir;
	char shard[DATA_PATH_BYTES];
	struct stat st;

	if (mkdir(path, 0700) == 0) {
		f->is_data_dir_ours = true;
		return 0;
	}
	if (errno != EEXIST) {
		int rc = -errno;

		return base_refuse(rc, ret_error, "%.300s: cannot make the data directory: %s%s",
			path, strerror(-rc), rc == -ENOENT ? "; make its parent folder first" : "");
	}
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return base_refuse(-ENOTDIR, ret_error,
			"%.300s is not a directory: name another data_dir, or move it away", path);
	for (uint32_t i = 0; i < DECREE_SHARD_COUNT_MAX; i++) {
		data_shard_path(path, i, shard);
		if (access(shard, F_OK) == 0)
			return refuse_formatted(path, ret_error);
	}
	return 0;
}

static int
make_key(const char *path, bool *ret_is_ours, char *ret_error)
{
	int rc = path[0] != '\0' ? config_key_create(path, ret_error) : 0;

	if (rc == -EEXIST)
		(void)snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.300s: exists already and is kept: leave out --new-keys to use it", path);
	*ret_is_ours = rc == 0 && path[0] != '\0';
	return rc;
}

static int
prepare_keys(struct formatting *f, bool are_keys_new, char *ret_error)
{
	uint8_t key[CONFIG_KEY_BYTES];
	int rc = 0;

	if (are_keys_new) {
		rc = make_key(f->c->key_file, &f->is_key_ours, ret_error);
		if (rc == 0)
			rc = make_key(f->c->client_key_file, &f->is_client_key_ours, ret_error);
		return rc;
	}
	if (f->c->auth == CONFIG_AUTH_GMAC)
		rc = config_key_read(f->c->key_file, key, ret_error);
	if (rc == 0 && f->c->auth == CONFIG_AUTH_GMAC && f->c->client_key_file[0] != '\0')
		rc = config_key_read(f->c->client_key_file, key, ret_error);
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* Whoever makes the folder formats it, and may take it back: another one that formats the same
 * directory at this moment has been refused by then. */
static int
make_shard(struct formatting *f, const struct decree_uuid *disk, char *ret_error)
{
	char path[DATA_PATH_BYTES];

	data_shard_path(f->c->data_dir, f->shard_count, path);
	if (mkdir(path, 0700) != 0)
		return errno == EEXIST ? refuse_formatted(f->c->data_dir, ret_error) : -errno;
	return data_dir_format_shard(f->c, f->c->data_dir, f->shard_count++, disk, ret_error);
}

/* Its name too: a machine that loses power must not come back without a disk that the others have
 * been told of. */
static int
sync_all(const struct formatting *f)
{
	int rc = data_dir_sync(f->c->data_dir);

	return rc == 0 && f->is_data_dir_ours ? data_dir_sync_name(f->c->data_dir) : rc;
}

static int
format_all(struct formatting *f, bool are_keys_new, uint64_t *ret_disk, char *ret_error)
{
	struct decree_uuid disk;
	int rc = make_data_dir(f, ret_error);

	if (rc == 0)
		rc = prepare_keys(f, are_keys_new, ret_error);
	if (rc == 0 && getrandom(disk.bytes, sizeof(disk.bytes), 0) != sizeof(disk.bytes))
		rc = -EIO;
	while (rc == 0 && f->shard_count < f->c->shard_count)
		rc = make_shard(f, &disk, ret_error);
	if (rc == 0)
		rc = sync_all(f);
	if (rc == 0 && ret_disk != NULL)
		*ret_disk = eng_disk_short(&disk);
	return rc;
}

int
decree_format(const char *config_path, const char *const *settings, uint32_t setting_count,
	bool are_keys_new, uint64_t *ret_disk, char ret_error[DECREE_ERROR_BYTES])
{
	struct config c;
	struct formatting f = { .c = &c };
	int rc = config_load(config_path, settings, setting_count, CONFIG_FOR_NODE, &c, ret_error);

	if (rc != 0)
		return rc;
	ret_error[0] = '\0';
	rc = format_all(&f, are_keys_new, ret_disk, ret_error);
	if (rc != 0) {
		take_back(&f);
		if (ret_error[0] == '\0')
			(void)snprintf(ret_error, DECREE_ERROR_BYTES, "%.300s: %s", c.data_dir,
				strerror(-rc));
	}
	return rc;
}

/* ------------------------------------------------------------------------------ pre-writing */

struct prewriting {
	void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
	void *context;
	uint32_t shard, shard_count;
};

static void
on_prewritten(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
	const struct prewriting *p = context;

	if (p->progress != NULL)
		p->progress(p->context, p->shard * bytes_total + bytes_done,
			p->shard_count * bytes_total);
}

int
decree_prewrite(const char *config_path, const char *const *settings, uint32_t setting_count,
	void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total), void *context,
	char ret_error[DECREE_ERROR_BYTES])
{
	struct prewriting p = { .progress = progress, .context = context };
	const struct wal_recovery to = { .context = &p, .progress = on_prewritten };
	char path[DATA_PATH_BYTES];
	struct config c;
	int rc = config_load(config_path, settings, setting_count, CONFIG_FOR_NODE, &c, ret_error);

	p.shard_count = c.shard_count;
	for (; rc == 0 && p.shard < p.shard_count; p.shard++) {
		data_shard_path(c.data_dir, p.shard, path);
		rc = wal_directory_prewrite(path, &to, ret_error);
	}
	return rc;
}
