/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file scan.h
 * Where recovery stands in a log, for recover.c, which walks from block to block, and hole.c, which
 * judges what a missing one means.
 */
#ifndef DECREE_WAL_SCAN_H
#define DECREE_WAL_SCAN_H

#include "wal/explain.h"
#include "wal/reader.h"

/* Why a hole is not the end of the log. */
struct suspicion {
	const char *why; /* NULL: no reason yet */
	const char *file;
	uint64_t offset_bytes;
};

/* What lies around a hole. */
struct tail {
	uint64_t lsn_last; /* largest seen of x and later; 0 = none */
	/* largest whose identifier fails its CRC: perhaps there was such a record */
	uint64_t lsn_rotten;
	uint64_t end; /* of all that must not be written over */
};

/* What is known of a block, or of several, that recovery passes. */
struct damage {
	uint64_t first_lsn, last_lsn;
	uint64_t position; /* where a witness of it lies, or where it should be */
	uint64_t begin;    /* of its sectors */
	uint64_t end;
	enum wal_witness witness;
	enum block_kind kind;
	const uint8_t *tag; /* NULL: nothing names it */
};

struct scan {
	struct reader reader;
	uint64_t position;    /* p: where block x should be */
	uint64_t lsn;         /* x */
	uint64_t durable_lsn; /* L: largest that anything names */
	uint32_t generation;  /* of the last block, or identifier, before x */
	bool is_chained; /* `previous` is known: not so behind a block of which nothing is left */
	struct decree_digest previous;
	uint64_t progress_position;
	/* which part of the identifiers the stage holds; UINT64_MAX = none */
	uint64_t entries_chunk;
	struct suspicion suspicion; /* about the hole at p */
	struct tail tail;           /* around the last hole */
	const struct wal_recovery *to;
	char *error;
	uint8_t tag[LOG_TAG_BYTES];
	uint8_t payload[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_DATA_BYTES];
};

enum hole {
	HOLE_END, /* nothing was ever written there, or nothing that anybody was told about and nothing is left */
	HOLE_CUT,    /* a torn tail: block x and all behind it must become void */
	HOLE_PASSED, /* x was told to the caller as damaged; the scan stands behind it */
	HOLE_SEALED, /* the same, and nothing is known of what follows: the log goes on behind all that is left */
};

/**
 * Decide what it means that there is no block x at p.
 *
 * @retval 0          see *ret
 * @retval -EBADMSG   damage, and the caller does not take any
 */
int hole_judge(struct scan *s, enum hole *ret);

/** The entry of an lsn, [IDENTIFIER_BYTES], lent until the next call. Bytes that pass no checksum if
 * the disk cannot read it. */
const uint8_t *scan_identifier(struct scan *s, uint64_t lsn);

/** Remember the first reason not to take the hole at p for the end of the log. */
void scan_suspect(struct scan *s, const char *file, uint64_t offset_bytes, const char *why);

/** Whether a sector is of a session before the last block's: an earlier cut made it void. */
bool scan_is_void(const struct scan *s, uint16_t generation);

/** Whether a block could lie there if the log goes on at p: at p, or at the start of the next
 * segment for want of room. */
bool scan_is_place(const struct scan *s, uint64_t position, uint32_t sector_count);

/** Say how far the scan has come, if somebody wants to know, now and then. */
void scan_progress(struct scan *s, uint64_t position);

/* explain.c: all of it does nothing unless somebody asks. */

/** A page was read, or could not be. @param seal  NULL: the identity */
void explain_page(struct wal *w, const struct wal_recovery *to, const struct page_pair *pair,
	const struct wal_seal *seal, const char *name);
/** The session page was read. */
void explain_log(const struct wal *w, const struct wal_recovery *to, const uint8_t *boot_id);
/** A block was found. The scan still stands before it. */
int explain_block(struct scan *s, const struct block_header *header, struct decree_digest digest);
/** A block is passed. The scan still stands before it, and the suspicion about it is known. */
int explain_damage(struct scan *s, const struct damage *damage);
/** The walk is at its end; then what it had no reason to read. */
void explain_end(struct scan *s, enum hole end, bool is_lossy);

#endif
