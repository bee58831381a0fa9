/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file explain.h
 * What an open that only reads can say about everything that it meets: for tools that show a log to
 * somebody.
 *
 * Recovery calls these while it decides, so that what is shown is what a start of the node would
 * find: there is no second procedure that might come to another conclusion. Nothing here decides
 * anything.
 *
 * Errors:   a hook that returns int may stop the open with -errno.
 * Memory:   everything is lent for the call.
 */
#ifndef DECREE_WAL_EXPLAIN_H
#define DECREE_WAL_EXPLAIN_H

#include "wal/page.h"

#define WAL_SECTOR_VIEW_COUNT                                                                      \
	20 /* of a damaged place: the first so many are described one by one */

/* A page that is kept twice. */
struct wal_page_view {
	const char *name;
	const char *file;
	struct {
		uint64_t offset_bytes;
		enum page_state state;
		uint64_t generation; /* if valid: the higher one is newer */
	} copies[2];
	bool is_ambiguous; /* both are valid and of one generation, but differ */
};

struct wal_log_view {
	struct decree_uuid uuid;
	uint64_t log_bytes;
	uint64_t segment_bytes;
	uint64_t identifiers_bytes;
	uint32_t window_bytes;
	uint32_t payload_bytes_max;
	uint32_t session; /* number of the last one; 0 = never opened */
	enum decree_log_mode mode;
	bool is_boot_ours; /* the machine was not restarted since */
	uint64_t prewritten_bytes;
	uint64_t first_lsn; /* where the log begins */
	uint64_t first_offset_bytes;
};

/* What the identifier ring says of one block. */
enum wal_identifier_state {
	WAL_IDENTIFIER_MATCHES = 0,
	WAL_IDENTIFIER_MISSING,     /* not written yet, or of an earlier lap */
	WAL_IDENTIFIER_BAD,         /* fails its checksum */
	WAL_IDENTIFIER_CONTRADICTS, /* whole, but not what this block, or any, would have there */
};

struct wal_block_view {
	uint64_t lsn;
	uint64_t offset_bytes; /* in `segments` */
	uint32_t sector_count;
	uint32_t generation;
	enum block_kind kind;
	uint64_t durable_lsn; /* that its writer knew of */
	struct decree_digest digest;
	const uint8_t *tag; /* [LOG_TAG_BYTES] */
	const uint8_t *payload;
	uint32_t payload_bytes;
	enum wal_identifier_state identifier;
};

enum wal_sector_finding {
	WAL_SECTOR_INTACT = 0, /* as its writer left it */
	WAL_SECTOR_ZERO,       /* never written, or turned to zeros */
	WAL_SECTOR_ROTTEN,     /* fails its checksum */
	WAL_SECTOR_UNREADABLE, /* the disk returned an error */
	WAL_SECTOR_OTHER,      /* intact, but of another record, or another part of this one */
	WAL_SECTOR_VOID,       /* intact, but of an earlier session: a cut has ended it */
	WAL_SECTOR_FINDING_COUNT,
};

/* What names a damaged record. */
enum wal_witness {
	WAL_WITNESS_NONE = 0,
	WAL_WITNESS_IDENTIFIER,
	WAL_WITNESS_FIRST_SECTOR,
	WAL_WITNESS_LAST_SECTOR, /* the first 40 bytes of the tag, then zeros */
};

struct wal_damage_view {
	uint64_t first_lsn, last_lsn; /* one record if it has a name; else one or more */
	uint64_t offset_bytes;
	uint64_t bytes;
	enum block_kind kind;
	enum wal_witness witness;
	const uint8_t *tag; /* [LOG_TAG_BYTES]; NULL: no witness */
	enum wal_identifier_state identifier;
	/* Why it is no torn tail. */
	const char *evidence;
	const char *evidence_file;
	uint64_t evidence_offset_bytes;
	/* What became of its sectors. */
	uint64_t counts[WAL_SECTOR_FINDING_COUNT];
	/* described below: all of them, or the first so many that are not intact */
	uint32_t sector_count;
	struct {
		uint64_t offset_bytes;
		enum wal_sector_finding finding;
		uint64_t lsn; /* WAL_SECTOR_OTHER, WAL_SECTOR_VOID: whose */
	} sectors[WAL_SECTOR_VIEW_COUNT];
};

enum wal_end_kind {
	WAL_END_CLEAN = 0,
	WAL_END_TORN, /* [first_lsn, last_lsn] would be cut */
	WAL_END_SEALED, /* what the last records were is not known: a boot record would go behind them */
	WAL_END_LOSSY, /* mode `buffered`, and the machine was restarted: what follows is gone */
};

struct wal_end_view {
	enum wal_end_kind kind;
	uint64_t next_lsn;
	uint64_t offset_bytes; /* of the head */
	uint64_t torn_last_lsn;
	uint64_t torn_bytes; /* from the head to the last trace of what would be cut */
};

/* What recovery has no reason to read. */
struct wal_rest_view {
	uint64_t identifiers_bad;
	uint64_t identifiers_later;   /* of records behind the end */
	uint64_t free_bytes;          /* from the head around to the beginning */
	uint64_t sectors_rotten;      /* in it */
	uint64_t rotten_offset_bytes; /* of the first one */
	uint64_t sectors_later;       /* of records behind the end */
	uint64_t later_offset_bytes;
};

/* Each may be NULL. In this order: pages and log (as far as they can be read), blocks and damage by
 * lsn, end, rest. */
struct wal_explainer {
	void *context;
	void (*page)(void *context, const struct wal_page_view *page);
	void (*log)(void *context, const struct wal_log_view *log);
	int (*block)(void *context, const struct wal_block_view *block);
	int (*damage)(void *context, const struct wal_damage_view *damage);
	void (*end)(void *context, const struct wal_end_view *end);
	/** Asked for, it has all of both files read. */
	void (*rest)(void *context, const struct wal_rest_view *rest);
};

#endif
