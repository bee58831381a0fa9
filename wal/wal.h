/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wal.h
 * The write-ahead log of one shard: format a directory, open it with recovery, close it.
 *
 * The log carries opaque records (wal/log_ops.h) over a disk (wal/disk_ops.h); docs/wal-format.md
 * describes every byte. A node uses wal/directory.h, which puts this on io_uring.
 *
 * Threads:  a `struct wal` belongs to one thread at a time. wal_open() may run on another thread
 *           than the shard's, if the hand-over is ordered (a thread start, a join).
 * Errors:   0 or -errno, with a sentence for the operator in `ret_error`. Nothing is changed on the
 *           disk by an open that refuses.
 * Units:    bytes; lsn counts records from 1; times are monotonic nanoseconds.
 * Memory:   all of it is taken in wal_open(): see wal_status.memory_bytes.
 */
#ifndef DECREE_WAL_WAL_H
#define DECREE_WAL_WAL_H

#include "wal/disk_ops.h"
#include "wal/log_ops.h"

#define WAL_IDENTITY_BLOB_BYTES_MAX 2048
#define WAL_PAYLOAD_BYTES_MAX       9216
#define WAL_BOOT_ID_BYTES           16
#define WAL_INFLIGHT_COUNT_MAX      4

struct wal;
struct wal_explainer;

/* What is fixed for the life of a log. 0 = default where one is named. */
struct wal_format {
	struct decree_uuid uuid; /* fresh random bytes: tells this log's sectors from all others */
	/* opaque to the log; handed back by wal_open() before anything else */
	const void *identity;
	uint32_t identity_bytes;    /* 0 .. WAL_IDENTITY_BLOB_BYTES_MAX */
	uint32_t payload_bytes_max; /* of a record; default 1,400 */
	uint64_t log_bytes;         /* multiple of segment_bytes; default 1 GiB */
	/* multiple of 32 KiB; default 64 MiB, or log_bytes if that is less */
	uint64_t segment_bytes;
	uint32_t
		window_bytes; /* most that is ever written but not yet durable, and the size of the write
				     * buffer; multiple of 4 KiB; default 4 MiB, or log_bytes / 4 if that is less */
};

/* What recovery hands to the caller, in this order: identity, meta, hearsay, records. Each may return -errno
 * to stop the open with that code; it then writes its own sentence into `ret_error` of wal_open().
 * NULL = not wanted. A later refusal makes everything handed over void. */
struct wal_recovery {
	void *context;

	/** @param blob  lent: what wal_format() was given. Check here that the directory is the
	 * right one */
	int (*identity)(void *context, const struct decree_uuid *uuid, const void *blob,
		uint32_t bytes, char *ret_error);

	/** @param generation  the hard state's, 0 with @p bytes = 0 if none was ever written */
	int (*meta)(void *context, uint64_t generation, const void *blob, uint32_t bytes);

	/** What log_ops.hearsay() was given last, or before that; not called if nothing ever was.
	 * @param bytes  0: it is damaged, and forgotten */
	void (*hearsay)(void *context, const void *blob, uint32_t bytes);

	/** One record, in order of lsn. Numbers increase by one, except that a restart which cut a
	 * torn tail took one number for its own boot record. @param tag [LOG_TAG_BYTES], lent, as
	 * is the payload */
	int (*record)(void *context, const struct log_place *place, const uint8_t *tag,
		const void *payload, uint32_t payload_bytes);

	/**
	 * In the place of a record that may have been durable and cannot be read any more (protocol
	 * 11.3), in the same order. NULL: an open that finds such a record is refused.
	 *
	 * @param place  of the record; if it is nameless, the last of one or more, at a position
	 *               that is nobody's
	 * @param tag    [LOG_TAG_BYTES], lent; behind the first 40 bytes perhaps zeros. NULL:
	 *               nothing names it
	 */
	int (*damaged)(void *context, const struct log_place *place, const uint8_t *tag);

	/** Only of an open that only reads: this log was `buffered` and the machine was restarted
	 * under it. What follows is what can be read; how much was behind it cannot be told. */
	void (*lossy)(void *context);

	/** Every detail of what is read, for tools; NULL = nobody asks. Only of an open that only
	 * reads. With it, such an open goes on behind what it refuses, if the rest can be read, and
	 * returns the refusal at the end. */
	const struct wal_explainer *explain; /* wal/explain.h */

	/** For long recoveries: called about every 64 MiB. @p bytes_total is an estimate, >=
	 * bytes_done */
	void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
};

struct wal_config {
	const struct disk_ops *ops;
	void *disk;
	void (*disk_close)(
		void *disk); /* called by wal_close() and by a failing wal_open(); may be NULL */
	enum decree_log_mode mode;
	/* the kernel's; tells mode `buffered` that the machine restarted */
	uint8_t boot_id[WAL_BOOT_ID_BYTES];
	bool flushes_own_only; /* a durable write makes none durable but itself (FUA), or nobody knows */
	uint32_t
		inflight_count_max; /* data writes in flight, 1 .. WAL_INFLIGHT_COUNT_MAX; 0 = one, and a
					  * second one beside it if that has 1 MiB or more */
	uint64_t prewrite_bytes_per_second; /* in the background; 0 = 128 MiB/s */
	uint64_t scrub_bytes_per_second; /* what is there is read again at that rate; 0 = never */
	bool is_read_only; /* hand over what is there and write nothing: see wal_open() */
	struct wal_recovery recovery;
};

struct wal_status {
	enum decree_log_mode mode;
	uint64_t log_bytes;
	uint64_t segment_bytes;
	uint64_t used_bytes; /* from where the log begins to its head */
	/* how far appends may go now; grows in the background up to log_bytes */
	uint64_t prewritten_bytes;
	uint64_t lsn_first;      /* where the log begins: what an open would hand over first */
	uint64_t lsn_appended;   /* last appended; 0 = none */
	uint64_t lsn_durable;    /* last durable */
	uint64_t lsn_identified; /* last whose identifier was written */
	uint64_t lsn_cut; /* first record that this open's recovery cut as a torn tail; 0 = none */
	uint32_t payload_bytes_max; /* of one record */
	uint64_t meta_generation;   /* last one durable */
	uint64_t recovered_count;   /* records handed over by this open */
	uint64_t damaged_count;     /* the same, damaged ones */
	uint64_t nameless_count;    /* of these: holes of which nothing names the records */
	uint64_t write_count;       /* data writes since open */
	uint64_t write_bytes;
	uint64_t scrub_pass_count;       /* times that all of it was read again */
	uint64_t scrub_bytes;            /* the same, since open */
	uint64_t scrub_identifier_count; /* written again, since their blocks say otherwise */
	uint64_t memory_bytes;           /* taken by this log, the disk's own part excluded */
	int failed;                      /* 0, or the -errno that poisoned the log */
};

/**
 * Make an empty log on a disk whose four files do not exist yet.
 *
 * @retval -EEXIST   some file is there already: nothing is ever overwritten
 * @retval -ENOSPC   the disk is too small for log_bytes + log_bytes / 8
 * @retval -EINVAL   sizes that do not fit each other; `ret_error` says which
 * Thread: any. Blocks: yes.
 */
int wal_format(const struct disk_ops *ops, void *disk, const struct wal_format *format,
	char ret_error[DECREE_ERROR_BYTES]);

/**
 * Write zeros over all the space of a log that no node was started on yet, so that no append is the
 * first write to its place. wal_open() does that for one segment, and a running log slowly for the
 * rest.
 *
 * @param to  `identity` is asked as by wal_open(), `progress` told; both may be NULL
 * @retval -EALREADY  a node was started on it: nothing was touched
 * Thread: any. Blocks: as long as the disk takes for log_bytes + log_bytes / 8.
 */
int wal_prewrite(const struct disk_ops *ops, void *disk, const struct wal_recovery *to,
	char ret_error[DECREE_ERROR_BYTES]);

/**
 * Recover, repair what may be repaired, pre-write at least one segment, and be ready for appends.
 * Everything that was handed over is durable when this returns.
 *
 * With `is_read_only` that is all: nothing is written, the disk is closed again, and *ret_wal is
 * NULL.
 *
 * @param cfg      lent for the call; ops and disk stay in use until wal_close()
 * @param ret_wal  on success; give it to wal_log_ops as its `log`
 *
 * @retval -ENOENT    not formatted, or a file is missing
 * @retval -EBADMSG   damage that is not provably a torn tail; `ret_error` names lsn, file, offset,
 *                    remedy
 * @retval -ESTALE    the node lost what it promised (modes memory and buffered): replace it
 * @retval -EIO ...   the disk's own error
 * Thread: the owner. Blocks: yes.
 */
int
wal_open(const struct wal_config *cfg, struct wal **ret_wal, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Mode `memory`: check a freshly formatted directory and mark it, durably, as one whose node
 * forgets. The identity callback of @p cfg is called. @p cfg's disk stays open.
 *
 * @param ret_format  what to format a memory disk with; its identity points into @p ret_blob
 * @retval -ESTALE    it was opened before: its node is lost, or would be
 */
int wal_memory_begin(const struct wal_config *cfg, struct wal_format *ret_format,
	uint8_t ret_blob[WAL_IDENTITY_BLOB_BYTES_MAX], char ret_error[DECREE_ERROR_BYTES]);

/** Finish what is in flight, write the last identifiers, give everything back. NULL is accepted.
 * Blocks. */
void wal_close(struct wal *w);

/** Give the memory back without another word to the disk: a simulated crash. The disk stays open,
 * and must have dropped what was in flight: its buffers are gone. */
void wal_abandon(struct wal *w);

/** Thread: owner. Cost: a copy. */
void wal_status(const struct wal *w, struct wal_status *ret_status);

/** The table for a shard's loop; its `log` is a `struct wal`. */
extern const struct log_ops wal_log_ops;

#endif
