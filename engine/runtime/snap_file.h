/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snap_file.h
 * Snapshots in a directory: the production side of snap_ops.h.
 *
 *   snapshot-GROUP-SLOT   a committed snapshot
 *   snapshot-GROUP.tmp    the one that is being written
 *   spare-GROUP           a forgotten one, written again by the next: its blocks are allocated and
 *                         written before, and a write to such blocks does not wait for the file
 *                         system's journal
 *   reserve               space that nothing uses, given up when the disk is full so that one more
 *                         snapshot may succeed
 *
 * Anything else there is left alone.
 *
 * A node has one directory, one store per shard over it, and one thread that serves them all. Not
 * the control thread: a piece may wait for a slow disk, an fsync for seconds, and links, log lines
 * and status must not wait with it.
 *
 * Threads:  snap_ops' calls belong to the store's shard, which only touches memory. step() belongs
 *           to the thread that serves the directory; open and close to the one that starts and
 *           stops the others.
 * Errors:   0 or -errno with a sentence for the operator.
 * Memory:   snap_store_open() takes all of the shard's side, SNAP_STORE_BYTES; the serving side
 *           allocates as it needs (tables of checksums, 8 bytes for each 128 KiB).
 */
#ifndef RUNTIME_SNAP_FILE_H
#define RUNTIME_SNAP_FILE_H

#include "engine/runtime/snap_ops.h"

#include <stddef.h>

#define SNAP_BYTES_PER_SECOND_DEFAULT                                                              \
	150000000ull /* costs the log next to nothing on a disk that takes 1 GB/s */
#define SNAP_RESERVE_BYTES_MAX (64ull << 20)

struct snap_directory;
struct snap_store;

extern const struct snap_ops snap_file_ops;

struct snap_directory_config {
	const char *path;
	bool may_create;        /* the directory itself, not its parents */
	uint64_t cluster_id;    /* files of another one are refused */
	uint64_t reserve_bytes; /* 0 = none */
	bool is_read_only;      /* leave everything as it is */
	bool is_shared; /* with is_read_only: no lock, a node may write there. What is read may vanish */
};

/**
 * Lock the directory, and put away what a crash has left half done.
 *
 * @retval -ENOENT  it does not exist, and may not be created
 * @retval -EBUSY   another process uses it
 * @retval -errno   the file system's
 */
int snap_directory_open(const struct snap_directory_config *cfg,
	struct snap_directory **ret_directory, char ret_error[DECREE_ERROR_BYTES]);

/** After the last store over it was closed. NULL is accepted. */
void snap_directory_close(struct snap_directory *d);

/** The highest slot that the group has a file of. @param ret_slot  0 = it has none @retval -errno it
 * cannot be listed */
int snap_directory_newest(struct snap_directory *d, uint16_t group, uint64_t *ret_slot);

/** @return files there that are not a snapshot's, and the name of one of them: worth a line in the
 * log */
uint32_t snap_directory_foreign_count(const struct snap_directory *d, const char **ret_name);

struct snap_store_config {
	struct snap_directory *directory;
	uint64_t bytes_per_second; /* of all writers together; 0 = SNAP_BYTES_PER_SECOND_DEFAULT */
	uint64_t scrub_bytes_per_second; /* kept files are read again at that rate; 0 = never */

	/* May be NULL. For long loads: called about every 256 MiB. */
	void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
	void *context;
};

/** @param ret_store  give it to snap_file_ops as its `store` @retval -ENOMEM */
int snap_store_open(const struct snap_store_config *cfg, struct snap_store **ret_store);

/** What is not committed is lost, as in a crash. NULL is accepted. */
void snap_store_close(struct snap_store *s);

/** What was committed or loaded last for a group, bytes 0 = nothing yet; for status. Thread: the
 * shard's. */
void snap_store_last(const struct snap_store *s, uint16_t group, struct snap_info *ret_info);

/**
 * Serve a store: at most one call into the file system that writes, syncs or renames, and a few
 * reads.
 * @return false if there was nothing to do now
 */
bool snap_store_step(struct snap_store *s, uint64_t now_ns);

/** Something was asked for and not finished yet: look again soon. */
bool snap_store_is_busy(const struct snap_store *s);

#endif
