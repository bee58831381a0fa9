/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file scrub.h
 * Where the scrubber stands: scrub.c reads the live part of the log again and again, scrub_judge.c
 * looks at what came.
 */
#ifndef DECREE_WAL_SCRUB_H
#define DECREE_WAL_SCRUB_H

#include "wal/log_ops.h"

#define SCRUB_PIECE_BYTES   131072u
#define SCRUB_ENTRIES_BYTES 65536u /* identifiers of 512 records: of several pieces, mostly */

/* A block at the start of a segment, and what must be known to read the log from there. */
struct log_start {
	uint64_t lsn;
	uint64_t position;
	struct decree_digest previous; /* digest of the block before; zero for lsn 1 */
	uint32_t generation;
};

enum scrub_state {
	SCRUB_RESTING = 0, /* nothing before due_ns */
	SCRUB_LOADING,     /* the next part of `load` is to be read */
	SCRUB_READING,     /* in flight */
	SCRUB_JUDGING,     /* a piece is here, judged up to `at` */
	SCRUB_REPORTING,   /* `report` waits for reap() */
	SCRUB_LENT,        /* the caller has it until the next reap() */
	SCRUB_WRITING,     /* identifiers, in flight */
};

/* What is being read: identifiers, then blocks. Sector by sector, if that is needed to get around
 * one that fails. */
struct scrub_load {
	bool is_entries;
	uint32_t bytes;
	uint32_t done;
	uint32_t request_bytes; /* in flight */
};

struct wal_scrub {
	uint64_t bytes_per_second; /* 0 = off */
	uint64_t due_ns;
	uint64_t urgent_ns; /* waits for a calm moment no longer than this */
	enum scrub_state state;
	struct scrub_load load;

	struct log_start
		at;      /* the next block, where the one before it ends; lsn 0 = begin a pass */
	bool is_chained; /* at.previous is known */
	bool is_careful; /* something is wrong there: it is read once more */
	struct { /* behind `lsn` at `position` nothing is known until `at`; lsn 0 = no hole */
		uint64_t lsn;
		uint64_t position;
	} hole;

	uint8_t *piece;       /* [SCRUB_PIECE_BYTES] the log's bytes [piece_first, piece_end) */
	uint64_t piece_first; /* positions */
	uint64_t piece_end;
	bool is_piece_cut; /* it ends for want of room: perhaps within a block */
	uint8_t *payload;  /* scratch, one block's */
	uint8_t *entries;  /* [SCRUB_ENTRIES_BYTES] identifiers of [entries_first, entries_after) */
	uint64_t entries_first; /* lsns; the first one of a sector, and so is entries_after */
	uint64_t entries_after;
	uint64_t dirty_first; /* lsns, of whole sectors, to be written again; equal = none */
	uint64_t dirty_after;

	uint8_t named[128]; /* an identifier that memory has */
	struct log_completion report;
	uint8_t tag[LOG_TAG_BYTES]; /* of the report; of a block that is being judged */
};

#endif
