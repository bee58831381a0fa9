/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snap_files.h
 * A store of snapshots in a real directory, and one snapshot that is written to it again and again.
 * The test itself is the serving thread: it takes every step.
 */
#ifndef TEST_RUNTIME_SNAP_FILES_H
#define TEST_RUNTIME_SNAP_FILES_H

#include "engine/runtime/snap_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FILES_BYTES   (5 * SNAP_PIECE_BYTES + 777)
#define FILES_STEP_NS (1000 * 1000 * 1000ull) /* more than the rate asks for */

static const struct decree_slot slot7 = { 7 }, slot9 = { 9 };

struct snap_files {
	char path[64];
	struct snap_directory *directory;
	struct snap_store *store;
	uint64_t now_ns;
	uint64_t cluster_id;
	uint64_t reserve_bytes;
	uint64_t scrub_bytes_per_second;
	uint8_t *data; /* [FILES_BYTES] */
	struct snap_completion last;
	char error[DECREE_ERROR_BYTES];
	/* what files_load() handed over */
	uint8_t *loaded;
	uint64_t loaded_bytes;
};

/** With an open store in a folder of its own, and without it. */
int files_setup(void **state);
int files_teardown(void **state);

void files_close(struct snap_files *f);
/** Close and open, as what is set in @p f says: all that was in memory is lost. @return
 * snap_directory_open()'s or snap_store_open()'s */
int files_reopen(struct snap_files *f);

bool files_has(const struct snap_files *f, const char *name);
uint32_t files_count(struct snap_files *f);

/** A second passes, and the serving thread takes a step. @return false: there was nothing to do */
bool files_step(struct snap_files *f);
/** @return false: nothing has ended; else see f->last */
bool files_reap(struct snap_files *f);
void files_wait(struct snap_files *f);

/** All of it, as f->data is. @return false if @p step_max steps were not enough */
bool files_write_some(struct snap_files *f, struct decree_slot slot, int step_max);
void files_commit(struct snap_files *f, struct decree_slot slot);

/** As after a restart. What is loaded is what was written, or nothing. @return
 * snap_file_ops.load()'s */
int files_load(struct snap_files *f, struct decree_slot slot);
/** As for a peer. @return the completion's rc */
int files_read(struct snap_files *f, struct decree_slot slot, uint64_t offset, uint32_t count);

#endif
