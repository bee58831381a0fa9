/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file image.h
 * The files of one node in memory: taken from its directory, damaged, and written out again.
 *
 * Units: bytes. Memory: taken by image_take(), given back by image_free(). Owner: one thread.
 */
#ifndef DECREE_TABLES_IMAGE_H
#define DECREE_TABLES_IMAGE_H

#include "tests/tables/disk.h"

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_FILE_MAX     12
#define IMAGE_NAME_BYTES   64
#define IMAGE_SECTOR_BYTES 512
#define SHARD_FOLDER       "shard-0"
#define SNAPSHOT_FOLDER    "snapshots"

struct image_file {
	char name[IMAGE_NAME_BYTES]; /* below the node's directory */
	uint8_t *bytes;              /* [capacity], zeros behind `size` */
	uint64_t size;
	uint64_t capacity;
	bool is_there;
	bool is_folder; /* something else has its name: it cannot be opened */
};

struct image {
	struct image_file files[IMAGE_FILE_MAX]; /* the log's four first, by enum disk_file */
	uint32_t count;
	struct bad_sectors bad;
};

/** Read what is in a node's directory. Aborts if it cannot. */
void image_take(struct image *image, const char *path);
void image_free(struct image *image);

/** Make @p image what @p from is; what @p image holds is used again. */
void image_assign(struct image *image, const struct image *from);

/** Make the node's directory hold these files and no others: new ones, whatever a dead process still
 * has open. */
void image_write(const struct image *image, const char *path);

/** @return 0 .. below - 1 */
uint64_t draw(uint64_t *random, uint64_t below);

/* ---- what can happen to a range of a file ---- */

enum damage_kind {
	DAMAGE_ZEROS,
	DAMAGE_NOISE,
	DAMAGE_BIT,       /* one, somewhere in the range */
	DAMAGE_OLD,       /* what was there at an earlier time: a write that never happened */
	DAMAGE_ELSEWHERE, /* what another place of the file holds: a write that went astray */
	DAMAGE_KIND_COUNT,
};

/** From now on it cannot be read. @param offset, bytes  whole sectors */
void image_spoil(struct image *image, enum disk_file file, uint64_t offset, uint64_t bytes);

/** @param old  the same file at an earlier time, for DAMAGE_OLD */
void image_damage(struct image_file *file, uint64_t offset, uint64_t bytes, enum damage_kind kind,
	const struct image_file *old, uint64_t *random);

#endif
