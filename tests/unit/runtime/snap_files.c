/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/snap_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTER_ID 0x1122334455667788ull

void
files_close(struct snap_files *f)
{
	snap_store_close(f->store);
	snap_directory_close(f->directory);
	f->store = NULL;
	f->directory = NULL;
}

int
files_reopen(struct snap_files *f)
{
	struct snap_directory_config cfg = {
		.path = f->path,
		.may_create = true,
		.cluster_id = f->cluster_id,
		.reserve_bytes = f->reserve_bytes,
	};
	struct snap_store_config store = { .scrub_bytes_per_second = f->scrub_bytes_per_second };
	int rc;

	files_close(f);
	rc = snap_directory_open(&cfg, &f->directory, f->error);
	if (rc != 0)
		return rc;
	store.directory = f->directory;
	return snap_store_open(&store, &f->store);
}

int
files_setup(void **state)
{
	struct snap_files *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->data = malloc(FILES_BYTES);
	f->loaded = malloc(FILES_BYTES);
	assert_non_null(f->data);
	assert_non_null(f->loaded);
	for (uint32_t i = 0; i < FILES_BYTES; i++)
		f->data[i] = (uint8_t)(i * 131 + (i >> 9));
	strcpy(f->path, "snap-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->cluster_id = CLUSTER_ID;
	assert_int_equal(files_reopen(f), 0);
	*state = f;
	return 0;
}

static uint32_t
for_each_name(struct snap_files *f, bool remove)
{
	DIR *list = opendir(f->path);
	const struct dirent *at;
	uint32_t count = 0;

	assert_non_null(list);
	while ((at = readdir(list)) != NULL) {
		if (at->d_name[0] == '.')
			continue;
		count++;
		if (remove)
			(void)unlinkat(dirfd(list), at->d_name, 0); /* the directory goes next */
	}
	closedir(list);
	return count;
}

uint32_t
files_count(struct snap_files *f)
{
	return for_each_name(f, false);
}

int
files_teardown(void **state)
{
	struct snap_files *f = *state;

	files_close(f);
	(void)for_each_name(f, true);
	(void)rmdir(f->path); /* a leftover in the build directory at worst */
	free(f->loaded);
	free(f->data);
	free(f);
	return 0;
}

bool
files_has(const struct snap_files *f, const char *name)
{
	struct stat st;

	return fstatat(f->directory->fd, name, &st, 0) == 0;
}

bool
files_step(struct snap_files *f)
{
	f->now_ns += FILES_STEP_NS;
	return snap_store_step(f->store, f->now_ns);
}

bool
files_reap(struct snap_files *f)
{
	return snap_file_ops.reap(f->store, f->now_ns, &f->last, 1) == 1;
}

void
files_wait(struct snap_files *f)
{
	while (!files_reap(f))
		assert_true(files_step(f));
}

bool
files_write_some(struct snap_files *f, struct decree_slot slot, int step_max)
{
	uint32_t done = 0;
	bool is_committed = false;

	assert_int_equal(snap_file_ops.begin(f->store, 3, slot), 0);
	for (; step_max > 0; step_max--) {
		uint32_t count = snap_file_ops.room(f->store, 3);

		if (count > FILES_BYTES - done)
			count = FILES_BYTES - done;
		if (!is_committed)
			snap_file_ops.write(f->store, 3, f->data + done, count);
		done += count;
		if (done == FILES_BYTES && !is_committed) {
			snap_file_ops.commit(f->store, 3, base_digest(f->data, FILES_BYTES));
			is_committed = true;
		}
		if (files_reap(f))
			return true;
		(void)files_step(f);
	}
	return false;
}

void
files_commit(struct snap_files *f, struct decree_slot slot)
{
	assert_true(files_write_some(f, slot, 1000));
	assert_int_equal(f->last.kind, SNAP_COMMITTED);
	assert_int_equal(f->last.slot.n, slot.n);
	assert_int_equal(f->last.bytes, FILES_BYTES);
}

static int
sink(void *context, const void *bytes, uint32_t count)
{
	struct snap_files *f = context;

	memcpy(f->loaded + f->loaded_bytes, bytes, count);
	f->loaded_bytes += count;
	return 0;
}

int
files_load(struct snap_files *f, struct decree_slot slot)
{
	struct snap_info info;
	int rc;

	f->loaded_bytes = 0;
	f->error[0] = '\0';
	rc = snap_file_ops.load(f->store, 3, slot, sink, f, &info, f->error);
	if (rc == 0) {
		assert_int_equal(f->loaded_bytes, FILES_BYTES);
		assert_memory_equal(f->loaded, f->data, FILES_BYTES);
		assert_int_equal(info.bytes, FILES_BYTES);
		assert_true(digest_eq(info.digest, base_digest(f->data, FILES_BYTES)));
	} else {
		assert_int_equal(f->loaded_bytes, 0);
		assert_true(f->error[0] != '\0');
	}
	return rc;
}

int
files_read(struct snap_files *f, struct decree_slot slot, uint64_t offset, uint32_t count)
{
	assert_int_equal(snap_file_ops.read(f->store, 3, slot, offset, count, offset + 1), 0);
	files_wait(f);
	assert_int_equal(f->last.kind, SNAP_READ);
	assert_int_equal(f->last.token, offset + 1);
	if (f->last.rc == 0)
		assert_memory_equal(f->last.data, f->data + offset, f->last.count);
	return f->last.rc;
}
