/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file scan.h
 * Where recovery stands in a log, for recover.c, which walks from block to block, and hole.c, which judges what a
 * missing one means.
 */
#ifndef DECREE_WAL_SCAN_H
#define DECREE_WAL_SCAN_H

#include "wal/reader.h"

/* Why a hole is not the end of the log. */
struct suspicion {
	const char *why; /* NULL: no reason yet */
	const char *file;
	uint64_t offset_bytes;
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
	uint64_t
		entries_chunk; /* which part of the identifiers the stage holds; UINT64_MAX = none */
	struct suspicion suspicion; /* about the hole at p */
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

/** Remember the first reason not to take the hole at p for the end of the log. */
void scan_suspect(struct scan *s, const char *file, uint64_t offset_bytes, const char *why);

/** Whether a sector is of a session before the last block's: an earlier cut made it void. */
bool scan_is_void(const struct scan *s, uint16_t generation);

/** Whether a block could lie there if the log goes on at p: at p, or at the start of the next segment for want of room. */
bool scan_is_place(const struct scan *s, uint64_t position, uint32_t sector_count);

#endif
