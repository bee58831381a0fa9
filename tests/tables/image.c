/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tables/image.h"

#include "base/assert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 512

static const char *const log_names[DISK_FILE_COUNT] = { "identity", "hardstate", "segments",
	"identifiers" };

static void
must(bool is_good, const char *what, const char *path)
{
	if (is_good)
		return;
	fprintf(stderr, "tables: cannot %s %s: %s\n", what, path, strerror(errno));
	exit(2);
}

/* ---- taking ---- */

static void
file_take(struct image_file *f, const char *path)
{
	char name[PATH_BYTES + IMAGE_NAME_BYTES];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "%s/%s", path, f->name);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && fstat(fd, &st) == 0, "read", name);
	f->is_folder = S_ISDIR(st.st_mode);
	f->size = f->capacity = f->is_folder ? 0 : (uint64_t)st.st_size;
	f->bytes = calloc(1, f->capacity + 1);
	decree_assert(f->bytes != NULL);
	must(f->is_folder || read(fd, f->bytes, f->size) == (ssize_t)f->size, "read", name);
	f->is_there = true;
	close(fd);
}

static void
take_snapshots(struct image *image, const char *path)
{
	char folder[PATH_BYTES];
	const struct dirent *at;
	DIR *list;

	snprintf(folder, sizeof(folder), "%s/" SNAPSHOT_FOLDER, path);
	list = opendir(folder);
	if (list == NULL)
		return;
	while ((at = readdir(list)) != NULL) {
		struct image_file *f = &image->files[image->count];

		if (at->d_name[0] == '.')
			continue;
		decree_assert(image->count < IMAGE_FILE_MAX);
		snprintf(f->name, sizeof(f->name), SNAPSHOT_FOLDER "/%.50s", at->d_name);
		file_take(f, path);
		image->count++;
	}
	closedir(list);
}

void
image_take(struct image *image, const char *path)
{
	memset(image, 0, sizeof(*image));
	for (; image->count < DISK_FILE_COUNT; image->count++) {
		struct image_file *f = &image->files[image->count];

		snprintf(f->name, sizeof(f->name), SHARD_FOLDER "/%s", log_names[image->count]);
		file_take(f, path);
	}
	take_snapshots(image, path);
}

void
image_free(struct image *image)
{
	for (uint32_t i = 0; i < IMAGE_FILE_MAX; i++)
		free(image->files[i].bytes);
	memset(image, 0, sizeof(*image));
}

static void
file_assign(struct image_file *f, const struct image_file *from)
{
	uint8_t *bytes = f->bytes;

	if (f->capacity < from->capacity || bytes == NULL) {
		free(bytes);
		bytes = malloc(from->capacity + 1);
		decree_assert(bytes != NULL);
		f->capacity = from->capacity;
	}
	memcpy(bytes, from->bytes, from->capacity);
	memset(bytes + from->capacity, 0, f->capacity - from->capacity);
	*f = (struct image_file){
		.bytes = bytes,
		.size = from->size,
		.capacity = f->capacity,
		.is_there = from->is_there,
		.is_folder = from->is_folder,
	};
	memcpy(f->name, from->name, sizeof(f->name));
}

void
image_assign(struct image *image, const struct image *from)
{
	for (uint32_t i = 0; i < from->count; i++)
		file_assign(&image->files[i], &from->files[i]);
	image->count = from->count;
	image->bad = from->bad;
}

/* ---- writing ---- */

static void
folder_clear(const char *path)
{
	char name[PATH_BYTES + 300];
	const struct dirent *at;
	DIR *list;

	must(mkdir(path, 0700) == 0 || errno == EEXIST, "make", path);
	list = opendir(path);
	must(list != NULL, "read", path);
	while ((at = readdir(list)) != NULL) {
		if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, at->d_name);
		must(remove(name) == 0, "remove", name);
	}
	closedir(list);
}

/* Most of a log is zeros, which need not be written. */
static uint64_t
bytes_used(const struct image_file *f)
{
	uint64_t used = f->size;

	while (used >= IMAGE_SECTOR_BYTES && f->bytes[used - 1] == 0 &&
		memcmp(f->bytes + used - IMAGE_SECTOR_BYTES,
			f->bytes + used - IMAGE_SECTOR_BYTES + 1, IMAGE_SECTOR_BYTES - 1) == 0)
		used -= IMAGE_SECTOR_BYTES;
	return used;
}

static void
file_write(const struct image_file *f, const char *path)
{
	char name[PATH_BYTES + IMAGE_NAME_BYTES];
	uint64_t used = bytes_used(f);
	int fd;

	snprintf(name, sizeof(name), "%s/%s", path, f->name);
	if (f->is_folder) {
		must(mkdir(name, 0700) == 0, "make", name);
		return;
	}
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd >= 0, "make", name);
	must(write(fd, f->bytes, used) == (ssize_t)used, "write", name);
	must(ftruncate(fd, (off_t)f->size) == 0, "extend", name);
	close(fd);
}

void
image_write(const struct image *image, const char *path)
{
	char folder[PATH_BYTES];

	must(mkdir(path, 0700) == 0 || errno == EEXIST, "make", path);
	snprintf(folder, sizeof(folder), "%s/" SHARD_FOLDER, path);
	folder_clear(folder);
	snprintf(folder, sizeof(folder), "%s/" SNAPSHOT_FOLDER, path);
	folder_clear(folder);
	for (uint32_t i = 0; i < image->count; i++)
		if (image->files[i].is_there)
			file_write(&image->files[i], path);
}

/* ---- damage ---- */

uint64_t
draw(uint64_t *random, uint64_t below)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % below;
}

static void
fill_noise(uint8_t *at, uint64_t bytes, uint64_t *random)
{
	for (uint64_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)draw(random, 256);
}

void
image_spoil(struct image *image, enum disk_file file, uint64_t offset, uint64_t bytes)
{
	for (uint64_t at = offset; at < offset + bytes; at += IMAGE_SECTOR_BYTES) {
		bool *is_bad = &image->bad.is_bad[file][at / IMAGE_SECTOR_BYTES];

		decree_assert(at / IMAGE_SECTOR_BYTES < BAD_SECTOR_COUNT);
		image->bad.count += !*is_bad;
		*is_bad = true;
	}
}

void
image_damage(struct image_file *f, uint64_t offset, uint64_t bytes, enum damage_kind kind,
	const struct image_file *old, uint64_t *random)
{
	uint64_t other =
		f->size > bytes ? draw(random, (f->size - bytes) / IMAGE_SECTOR_BYTES + 1) : 0;

	decree_assert(offset + bytes <= f->capacity);
	switch (kind) {
	case DAMAGE_ZEROS: memset(f->bytes + offset, 0, bytes); break;
	case DAMAGE_NOISE: fill_noise(f->bytes + offset, bytes, random); break;
	case DAMAGE_BIT:
		f->bytes[offset + draw(random, bytes)] ^= (uint8_t)(1u << draw(random, 8));
		break;
	case DAMAGE_OLD: memcpy(f->bytes + offset, old->bytes + offset, bytes); break;
	case DAMAGE_ELSEWHERE:
		memmove(f->bytes + offset, f->bytes + other * IMAGE_SECTOR_BYTES, bytes);
		break;
	case DAMAGE_KIND_COUNT: decree_assert(!"a kind of damage"); break;
	}
}
