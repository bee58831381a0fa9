/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log_ops.h
 * What a shard's loop sees of its write-ahead log: bursts of opaque records in, durability out.
 *
 * The log knows no slots and no ballots. A record is a 64-byte tag, kept in the block and in the
 * identifier ring and handed back by recovery, plus a payload. Records are numbered by lsn from 1,
 * in order and without gaps, except that a restart which cuts a torn tail takes one number itself.
 * What survives a crash is always a prefix of what was appended, and includes everything that
 * reap() reported as durable.
 *
 * Threads:  every call belongs to the shard that owns the log. Nothing blocks, nothing allocates.
 * Errors:   a failed write or flush is reported once, as LOG_FAILED; after it the log accepts
 *           nothing and the process must end without sending another message.
 */
#ifndef DECREE_WAL_LOG_OPS_H
#define DECREE_WAL_LOG_OPS_H

#include "decree/types.h"

#include <stdbool.h>
#include <stdint.h>

#define LOG_TAG_BYTES         64
#define LOG_META_BYTES_MAX    4032  /* the whole hard state blob of one log directory */
#define LOG_HEARSAY_BYTES_MAX 32704 /* the same of the hearsay */

struct log_record {
	const uint8_t *tag;     /* [LOG_TAG_BYTES], lent for the call */
	const void *payload;    /* lent for the call; copied into the log's write buffer */
	uint32_t payload_bytes; /* 0 .. payload_bytes_max of the log */
};

struct log_place {
	uint64_t lsn;
	uint64_t position; /* opaque; give it to read(). Never 0 */
};

enum log_completion_kind {
	LOG_DURABLE = 1, /* every record up to and including `lsn` is durable */
	LOG_META = 2, /* the hard state blob of `lsn` (its generation) is durable in both copies */
	LOG_READ = 3, /* a read() finished: `token`, `rc`, and on success tag, payload, bytes */
	LOG_FAILED = 4, /* poisoned: durability is unknown. `rc` = -errno. Stop */
	/* A record that was durable cannot be read any more, though it was tried twice: `lsn`, its
	 * place [position, after), and `tag`, behind the first 40 bytes perhaps zeros. Without a
	 * tag: it is the last of one or more. Said again each time that the log was read, until it
	 * is trimmed. */
	LOG_DAMAGED = 5,
};

struct log_completion {
	enum log_completion_kind kind;
	int rc;         /* LOG_READ: 0, -ENODATA: trimmed, -EIO or -EBADMSG; LOG_FAILED: -errno */
	uint64_t lsn;   /* LOG_DURABLE, LOG_READ, LOG_DAMAGED: lsn; LOG_META: generation */
	uint64_t token; /* LOG_READ: the caller's */
	uint64_t position; /* LOG_DAMAGED */
	uint64_t after;
	/* LOG_READ, LOG_DAMAGED: [LOG_TAG_BYTES], valid until the next reap() */
	const uint8_t *tag;
	const uint8_t *payload; /* LOG_READ: [payload_bytes], valid until the next reap() */
	uint32_t payload_bytes;
};

struct log_room {
	/* appends of the largest payload that fit the write buffer now */
	uint32_t buffer_record_count;
	/* records of the largest payload that fit the log before it is full */
	uint64_t space_record_count;
	/* more that will fit once a new log's space is prepared */
	uint64_t space_record_count_unprepared;
	uint64_t space_record_count_max; /* about the same of an empty log */
};

struct log_ops {
	/**
	 * Append records in order; they become durable in order.
	 * @param records     [count] lent for the call
	 * @param ret_places  [count] filled for each appended record
	 * @return how many were appended: fewer than count when the write buffer or the log is full
	 */
	uint32_t (*append)(void *log, const struct log_record *records, uint32_t count,
		struct log_place *ret_places);

	/** Replace the hard state blob (two copies, each synced). Calls may coalesce: the newest
	 * wins.
	 * @param bytes  1 .. LOG_META_BYTES_MAX, the same at every call
	 * @return the generation that LOG_META will report, counting from the recovered one + 1 */
	uint64_t (*meta)(void *log, const void *blob, uint32_t bytes);

	/** Replace the hearsay blob: what the caller would like to find again, and can do without.
	 * It is written in the log's own time, and nobody is told. A crash may leave an older one,
	 * damage none. Calls may coalesce: the newest wins.
	 * @param bytes  1 .. LOG_HEARSAY_BYTES_MAX */
	void (*hearsay)(void *log, const void *blob, uint32_t bytes);

	/** Start reading one record back. @retval 0 started  @retval -EAGAIN too many reads in
	 * flight */
	int (*read)(void *log, uint64_t position, uint64_t token);

	/** Hand everything queued to the kernel: one contiguous write, if none is in flight that
	 * must finish first. One system call at most. Call it in every turn, appends or not: what
	 * did not fit one write, identifiers and the pre-writing of segments go out here too. */
	void (*submit)(void *log, uint64_t now_ns);

	/** @return how many completions were written to @p ret, 0 .. count_max */
	uint32_t (*reap)(
		void *log, uint64_t now_ns, struct log_completion *ret, uint32_t count_max);

	/** What may be appended now. Callers that stay within it never see a short append. */
	struct log_room (*room)(void *log);

	/**
	 * No record with a smaller lsn is needed any more, now or after a restart: their space may
	 * be used again. A permission, not an order: the log recycles whole segments of its own
	 * size, in its own time, as turns go by, and room() grows then. It never drops a record
	 * with an lsn of @p lsn or above. Records below may still be handed over by the next open,
	 * or be gone; a read() of one gives LOG_READ with an error once it is gone.
	 * @param lsn  1 .. any; a smaller one than before changes nothing. It need not exist yet
	 */
	void (*trim)(void *log, uint64_t lsn);

	/** From now on the pages are of @p version, or of a higher one that they have been of
	 * already: a program that does not know it refuses this log. It shows on the disk with the
	 * next meta(). */
	void (*raise)(void *log, uint32_t version);

	/** True if a record appended now would be written at once: no data write is waiting or in
	 * flight beyond what the log keeps in flight. */
	bool (*is_idle)(void *log);
};

#endif
