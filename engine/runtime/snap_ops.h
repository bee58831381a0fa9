/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snap_ops.h
 * What a shard's loop sees of its snapshots: files of opaque bytes, each named by its group and its
 * slot, written once from front to back, read in any order, and kept until they are forgotten.
 *
 * The life of one:  begin() -> write() as room() allows, over many turns -> commit() ->
 *                   SNAP_COMMITTED by reap().
 * COMMITTED means that the file is synced, has its name, the name is synced too, and that every
 * byte was read back from the medium and gave the digest of commit(). Until then the snapshot does
 * not exist: a crash leaves nothing of it that read() or load() could find. A group's older
 * snapshot is not touched by any of this; it goes by forget() only.
 *
 * Implemented by engine/runtime/snap_file.c (files, on a thread of their own) and by
 * tests/lib/snap_fake.c.
 *
 * Threads:  every call belongs to the shard that owns the store. Nothing blocks, nothing allocates,
 *           except load(), which is for the start.
 * Errors:   a write that fails costs that snapshot only (SNAP_FAILED). Nothing is retried, the
 *           group's older snapshot stays, and begin() may start another one at once or later.
 * Limits:   one writer and SNAP_READ_COUNT_MAX reads per group, SNAP_WRITER_COUNT_MAX writers per
 *           store.
 * Units:    bytes; offset_bytes counts from the first byte that write() was given.
 */
#ifndef RUNTIME_SNAP_OPS_H
#define RUNTIME_SNAP_OPS_H

#include "decree/types.h"

#include <stdbool.h>
#include <stdint.h>

#define SNAP_READ_COUNT_MAX   4
#define SNAP_READ_BYTES_MAX   65536
#define SNAP_WRITER_COUNT_MAX 4
#define SNAP_URGE_MAX         65536u

enum snap_completion_kind {
	/* the snapshot exists, for ever until forget(): its pointer may be persisted */
	SNAP_COMMITTED = 1,
	SNAP_FAILED = 2, /* begin() .. commit() came to nothing: `rc`, `text` */
	SNAP_READ = 3,   /* a read() finished: `token`, `rc`, and on success `data`, `count` */
};

struct snap_completion {
	enum snap_completion_kind kind;
	uint16_t group;
	struct decree_slot slot;
	int rc; /* FAILED: -ENOSPC, -EIO, -EBADMSG (read back, it was not what had been written) or another -errno
		 * of the file system; READ: 0, -ENOENT (no such snapshot, or forgotten), -EBADMSG (damaged
		 * there: ask another node), -EIO, -EINVAL (beyond the end) */
	/* FAILED: one sentence for the operator that says what to do; valid until the next
	 * reap() */
	const char *text;
	uint64_t bytes; /* COMMITTED: of the whole snapshot; READ: the same, on success */
	/* COMMITTED, and READ where the store knows: wall clock, to be shown only */
	uint64_t committed_unix_s;
	uint64_t token; /* READ: the caller's */
	/* READ: [count], verified against the checksums of the file; valid until the next reap() */
	const uint8_t *data;
	uint32_t count; /* READ: what was asked for, or less at the end of the snapshot */
};

struct snap_info {
	uint64_t bytes;
	struct decree_digest digest; /* as commit() was told */
	uint64_t committed_unix_s;
};

struct snap_ops {
	/**
	 * Start writing the snapshot of a slot. One of the same group and slot is replaced when the
	 * new one commits.
	 * @retval 0        write() may follow
	 * @retval -EBUSY   this group has a writer (an aborted one counts until the store has
	 *                  noticed; try again)
	 * @retval -EAGAIN  SNAP_WRITER_COUNT_MAX writers are busy; try again later
	 */
	int (*begin)(void *store, uint16_t group, struct decree_slot slot);

	/** @return bytes that write() takes now; 0 also if the group has no writer. Grows as the
	 * medium keeps up, at the store's bounded rate. After a failure it stays as it would be:
	 * bytes are swallowed until SNAP_FAILED is reaped, so the caller needs no special case */
	uint32_t (*room)(void *store, uint16_t group);

	/** Append. @param bytes  lent for the call  @param count  0 .. room() */
	void (*write)(void *store, uint16_t group, const void *bytes, uint32_t count);

	/** Everything is written. One COMMITTED or FAILED follows; the group has a writer until
	 * then.
	 * @param digest  base/digest.h's over all the bytes in order: computed by the caller as it
	 *                wrote, and compared with what is read back */
	void (*commit)(void *store, uint16_t group, struct decree_digest digest);

	/**
	 * How much is used up of what may be used up while this snapshot is made: the log's room,
	 * which only its end gives back. A writer that has done less of its work than that leaves
	 * the bounded rate behind, and goes as fast as the medium does, until it has caught up.
	 * Cheap: once a turn is fine. Nothing happens if there is no writer.
	 * @param used  0 .. SNAP_URGE_MAX, of SNAP_URGE_MAX
	 */
	void (*urge)(void *store, uint16_t group, uint32_t used);

	/** Give up a writer, also after commit(); neither COMMITTED nor FAILED of it is reaped any
	 * more. After commit() the file may exist nevertheless: a later snapshot's forget() removes
	 * it. Nothing happens if there is no writer */
	void (*abort)(void *store, uint16_t group);

	/**
	 * Start reading a part of a committed snapshot.
	 * @param count  1 .. SNAP_READ_BYTES_MAX
	 * @retval 0  one SNAP_READ follows  @retval -EAGAIN  SNAP_READ_COUNT_MAX reads of the group
	 * are under way
	 */
	int (*read)(void *store, uint16_t group, struct decree_slot slot, uint64_t offset_bytes,
		uint32_t count, uint64_t token);

	/** Every snapshot of the group with a slot below @p slot may go. To be called once the hard
	 * state that names a newer one is durable. Reads of them that are under way finish or
	 * return -ENOENT */
	void (*forget)(void *store, uint16_t group, struct decree_slot slot);

	/** @return how many completions were written to @p ret, 0 .. count_max */
	uint32_t (*reap)(
		void *store, uint64_t now_ns, struct snap_completion *ret, uint32_t count_max);

	/** The medium is below its reserve (11.7): take no new commands until it is not. Cheap: once
	 * a turn is fine. */
	bool (*is_space_low)(void *store);

	/** The store has read this snapshot again, as it does now and then with what forget() or
	 * load() named last, and it is not what it was. Cheap: once a turn is fine. @param slot
	 * not 0 */
	bool (*is_damaged)(void *store, uint16_t group, struct decree_slot slot);

	/**
	 * At the start, before the first turn: verify one snapshot as a whole, then hand over its
	 * bytes in order. Blocks.
	 * @param sink       returns 0, or -errno, which stops the load with that code; NULL = only
	 *                   verify. @p bytes is lent for the call, count is 1 .. 128 KiB
	 * @param ret_error  [DECREE_ERROR_BYTES] one sentence that says what to do; untouched if
	 *                   the sink stopped it
	 * @retval -ENOENT   there is no such file
	 * @retval -EBADMSG  it is cut short, altered, or of another cluster; nothing was handed
	 *                   over
	 * @retval -errno    the file system's, or the sink's
	 */
	int (*load)(void *store, uint16_t group, struct decree_slot slot,
		int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
		struct snap_info *ret_info, char *ret_error);
};

#endif
