/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk_fake_file.h
 * One file of a disk_fake: what its reads return, and what of it a power cut leaves. In disk_fake.c
 * alone.
 */
#ifndef TESTS_DISK_FAKE_FILE_H
#define TESTS_DISK_FAKE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR_BYTES 512

struct fake_file {
	uint8_t *seen;        /* what a read returns */
	uint8_t *stable;      /* what survives a power cut for certain */
	uint8_t *dirty;       /* [bytes / 512] 1: seen and stable may differ */
	uint8_t *used;        /* [bytes / 4096] 1: may hold something else than zeros */
	uint64_t dirty_first; /* every dirty sector is in [first, after) */
	uint64_t dirty_after;
	uint64_t bytes;
};

/** splitmix64: small, and good enough to draw coins. */
uint64_t fake_draw(uint64_t *random);

/** @param bytes  0: all of its memory goes */
void fake_file_resize(struct fake_file *f, uint64_t bytes);

/** Make it what @p from is. Only pages that hold something in one of the two are touched. */
void fake_file_assign(struct fake_file *f, const struct fake_file *from);

/** Bytes in [offset, offset + bytes) are about to be changed. */
void fake_file_mark_used(struct fake_file *f, uint64_t offset, uint64_t bytes);

/** Zeros where nothing was ever written change nothing. */
bool fake_file_is_zero_over_unused(
	const struct fake_file *f, uint64_t offset, const uint8_t *bytes, uint64_t count);

void fake_file_read(const struct fake_file *f, uint64_t offset, uint8_t *ret_bytes, uint64_t count);

/** Seen from here on, and not yet stable. */
void fake_file_write(struct fake_file *f, uint64_t offset, const uint8_t *bytes, uint64_t count);

void fake_file_make_stable(struct fake_file *f, uint64_t offset, uint64_t bytes);

/** Only what is dirty: a simulator calls this for every durable write. */
void fake_file_make_all_stable(struct fake_file *f);

/**
 * The power goes: each sector that is not stable is kept or lost by itself.
 *
 * @param is_torn     some sectors end up half old, half new
 * @param keeps_some  false: all are lost
 */
void fake_file_settle(struct fake_file *f, uint64_t *random, bool is_torn, bool keeps_some);

#endif
