/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file raw.h
 * Durable writes without a line of the log's code: io_uring on a pre-written O_DIRECT file, one
 * write behind the other, from the file's beginning again once it is full. What the disk and the
 * kernel can do, for the log to be compared with.
 *
 * Threads:  one at a time.
 * Errors:   0 or -errno.
 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <stdbool.h>
#include <stdint.h>

#define RAW_WRITE_BYTES_MAX (4u << 20)
#define RAW_DEPTH_MAX       64

struct raw;

/** What makes a write durable, and who sends it. */
enum raw_kind {
	RAW_DSYNC = 0, /* RWF_DSYNC */
	RAW_LINKED,    /* a plain write, and an fdatasync linked behind it */
	RAW_SQPOLL,    /* RWF_DSYNC, taken up by a thread of the kernel that polls */
};

/** Make a file of that size and write all of it, durably. @param bytes  multiple of 1 MiB */
int raw_file_make(const char *path, uint64_t bytes);

/** Open a file that raw_file_make() made. */
int raw_open(const char *path, enum raw_kind kind, struct raw **ret_raw);

/** NULL is accepted. Nothing may be in flight. */
void raw_close(struct raw *r);

/** Start a write; fewer than RAW_DEPTH_MAX are in flight. @param bytes  multiple of 512, <=
 * RAW_WRITE_BYTES_MAX */
int raw_start(struct raw *r, uint32_t bytes);

/** @param ret_count  writes that became durable since the last call. Never blocks */
int raw_reap(struct raw *r, uint32_t *ret_count);

/** One write, waiting for it as wait.h does. */
int raw_append(struct raw *r, uint32_t bytes);

#endif
