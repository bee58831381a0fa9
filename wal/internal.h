/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file internal.h
 * The parts of a `struct wal`, for the files of this folder only.
 *
 * A position is log_bytes * lap + offset in `segments`, laps from 1, so that it grows for ever and
 * is never 0. Everything between two positions of one lap is contiguous on the disk. The write
 * buffer maps positions modulo its size: [durable_end, head) is in use, where
 *
 *     durable_end <= durable <= submitted <= head <= durable_end + window
 */
#ifndef DECREE_WAL_INTERNAL_H
#define DECREE_WAL_INTERNAL_H

#include "wal/block.h"
#include "wal/identifier.h"
#include "wal/page.h"
#include "wal/scrub.h"
#include "wal/wal.h"

#define PREWRITE_PIECE_BYTES   131072
#define IDENTIFIER_CHUNK_BYTES 65536 /* of the file, when recovery looks for one */
#define IDENTIFIER_STAGE_BYTES 262144
#define READ_SLOT_COUNT        16
#define COMPLETION_BURST       32
#define OVERLAP_BYTES          (1u << 20)
/* Several commits share a write of identifiers, also where they come one at a time. */
#define IDENTIFIER_DELAY_NS        8000000
#define IDENTIFIER_BATCH_COUNT_MIN 32 /* half of the smallest capacity */
#define IDENTIFIER_BATCH_COUNT_MAX 1024
#define IDENTIFIERS_BYTES_SHIFT    3 /* the ring has log_bytes / 8 bytes: an entry per KiB of log */

/* What the identity page fixes. */
struct wal_geometry {
	struct decree_uuid uuid;
	uint64_t log_bytes;
	uint64_t segment_bytes;
	uint64_t identifiers_bytes;
	uint64_t identifier_count;
	uint32_t window_bytes;
	uint32_t payload_bytes_max;
	uint32_t sector_count_max; /* of one block */
};

/* What the session page says about this and earlier runs. */
struct wal_session {
	uint32_t number; /* = generation of every block written in it; 0 = never opened */
	enum decree_log_mode mode;
	uint8_t boot_id[WAL_BOOT_ID_BYTES];
	/* hints: from the start of the file, never more than is true */
	uint64_t segments_prewritten_bytes;
	uint64_t identifiers_prewritten_bytes;
	struct log_start start; /* nothing before is read any more */
	uint64_t write_count;   /* generation of the page itself */
	uint32_t version;       /* of the pages that are written; 0 = the first (page.h) */
};

struct wal_write {
	uint64_t end_position;
	uint32_t bytes;
	bool done;
};

struct wal_append {
	uint8_t *buffer; /* [window_bytes] */
	uint64_t head;
	uint64_t submitted;
	uint64_t durable;     /* every byte before is */
	uint64_t durable_end; /* of the block of durable_lsn */
	/* the buffer still holds [max(buffered_first, head - window), head) */
	uint64_t buffered_first;
	uint64_t next_lsn;
	uint64_t durable_lsn;
	uint64_t reported_lsn;
	struct decree_digest previous;
	struct wal_write writes[WAL_INFLIGHT_COUNT_MAX]; /* ring: oldest at write_first */
	uint32_t write_first;
	uint32_t write_count;
	uint32_t write_count_max;
	bool overlaps_large; /* one more may be in flight if it has OVERLAP_BYTES */
};

struct wal_identifiers {
	uint8_t *entries;       /* [capacity] in memory, entry of lsn at (lsn - 1) % capacity */
	uint32_t capacity;      /* power of two */
	uint64_t first_lsn;     /* oldest in memory */
	uint64_t written_lsn;   /* last one that is on the disk */
	uint64_t writing_lsn;   /* last one of the write in flight */
	uint32_t writing_bytes; /* in flight; 0 = none */
	bool ride_durably;      /* no flush of a data write will carry them along */
	uint8_t *stage; /* [stage_bytes] of the write in flight, or IDENTIFIER_CHUNK_BYTES read */
	uint32_t stage_bytes;
	uint32_t batch_count; /* so many are written without waiting for more */
	uint64_t pending_since_ns;
};

/* The session page is noted in two steps, so that one copy is always whole. */
enum note_state {
	NOTE_NONE = 0,
	NOTE_FIRST,   /* copy 0 in flight */
	NOTE_BETWEEN, /* copy 0 is durable, copy 1 not yet submitted */
	NOTE_SECOND,  /* copy 1 in flight */
};

struct wal_prewrite {
	uint8_t *zeros;             /* [PREWRITE_PIECE_BYTES] */
	uint64_t segments_bytes;    /* from the start of the file, written and completed */
	uint64_t identifiers_bytes; /* the same of the other file */
	uint64_t noted_bytes;       /* segments_bytes of the session page on disk */
	uint64_t bytes_per_second;
	uint64_t head_seen; /* of the append path, when the last piece was written */
	uint64_t due_ns;
	uint32_t piece_bytes; /* in flight; 0 = none */
	bool piece_is_identifiers;
	enum note_state note_state;
	uint8_t *note; /* [512] */
};

/* Invariant: noted.lsn <= session.start.lsn <= start.lsn */
struct wal_trim {
	/* [log_bytes / segment_bytes] the block that each one starts with, of its last use */
	struct log_start *segments;
	struct log_start start; /* of the log, as soon as it is noted */
	/* durable in both copies of the session page: space before it is free */
	struct log_start noted;
	uint64_t wanted_lsn; /* records below are not needed */
};

struct wal_meta {
	uint8_t *page;    /* [4096] being written */
	uint8_t *pending; /* [LOG_META_BYTES_MAX] newest blob from the caller */
	uint32_t pending_bytes;
	uint64_t requested_generation; /* newest */
	uint64_t writing_generation;
	uint64_t durable_generation;
	uint64_t reported_generation;
	int copy;        /* in flight: 0, 1; -1 = none */
	bool is_waiting; /* copy 0 is durable, copy 1 not yet submitted */
};

struct wal_hearsay {
	uint8_t *page;    /* [PAGE_HEARSAY_BYTES] being written */
	uint8_t *pending; /* [LOG_HEARSAY_BYTES_MAX] newest blob from the caller */
	uint32_t pending_bytes;
	uint64_t generation; /* of the newest copy; it went to copy generation & 1 */
	bool is_pending;
	bool is_writing;
};

enum read_state {
	READ_FREE = 0,
	READ_IN_FLIGHT,
	READ_ARRIVED, /* raw sectors are in the slot */
	READ_LENT,    /* given to the caller until the next reap() */
};

struct wal_read {
	enum read_state state;
	int rc;
	uint64_t position;
	uint64_t token;
	uint32_t bytes;
	uint8_t *sectors; /* [sector_count_max * WAL_SECTOR_BYTES] */
	uint8_t *payload; /* [sector_count_max * WAL_SECTOR_DATA_BYTES] */
	uint8_t tag[LOG_TAG_BYTES];
};

/* owner: its shard */
struct wal {
	const struct disk_ops *ops;
	void *disk;
	void (*disk_close)(void *disk);
	struct wal_geometry geometry;
	struct wal_seal seal;
	struct wal_session session;
	enum decree_log_mode mode;
	bool is_endless; /* mode memory: laps without end, nothing is ever full */
	uint8_t *memory;
	size_t memory_bytes;
	struct wal_append append;
	struct wal_identifiers identifiers;
	struct wal_prewrite prewrite;
	struct wal_trim trim;
	struct wal_meta meta;
	struct wal_hearsay hearsay;
	struct wal_read reads[READ_SLOT_COUNT];
	uint32_t read_count; /* not free */
	struct wal_scrub scrub;
	uint32_t inflight_count; /* requests of any kind */
	uint64_t alone_ns;       /* until then what is not urgent waits for data to go with */
	uint64_t look_ns;        /* with nothing new, submit() looks for something to write then */
	bool has_news;           /* something was asked for, or done, since it looked last */
	bool is_room_known;
	/* if so; what it is counted from changes with an append or a completion */
	struct log_room room;
	int failed_rc;
	bool failed_reported;
	struct wal_status counters; /* recovered_count, write_count, write_bytes, lsn_cut */
};

/* The upper half of a request's token says whose it is. */
enum token_kind {
	TOKEN_DATA = 1,
	TOKEN_IDENTIFIERS = 2,
	TOKEN_PREWRITE = 3,
	TOKEN_NOTE = 4,
	TOKEN_META = 5,
	TOKEN_READ = 6, /* lower half: index of the slot */
	TOKEN_SCRUB = 7,
	TOKEN_HEARSAY = 8,
};

static inline uint64_t
token_of(enum token_kind kind, uint32_t index)
{
	return (uint64_t)kind << 32 | index;
}

static inline uint64_t
position_to_offset(const struct wal *w, uint64_t position)
{
	return position % w->geometry.log_bytes;
}

/** @return the first position of the segment after the one that holds @p position */
static inline uint64_t
segment_next(const struct wal *w, uint64_t position)
{
	return (position / w->geometry.segment_bytes + 1) * w->geometry.segment_bytes;
}

/* append.c */
/** Encode one block into the buffer. The caller has checked the room. @return its place */
struct log_place append_block(struct wal *w, enum block_kind kind, const uint8_t *tag,
	const void *payload, uint32_t payload_bytes);
uint32_t append_records(struct wal *w, const struct log_record *records, uint32_t count,
	struct log_place *ret_places);
/** Build the request for everything appended since the last one. @return false if there is nothing
 * to write */
bool append_next_write(struct wal *w, struct disk_request *ret_request);
void append_on_written(struct wal *w, uint64_t token);
struct log_room append_room(const struct wal *w);

/* identifiers.c */
/** Remember the identifier of an appended (or recovered) block. */
void identifiers_add(struct wal *w, const struct identifier *id);
/** The next record is damaged and has no identifier. */
void identifiers_skip(struct wal *w, uint64_t lsn);
/** @param is_time  a write of data goes out in this turn, or none has for long */
bool identifiers_next_write(
	struct wal *w, uint64_t now_ns, bool is_time, struct disk_request *ret_request);
void identifiers_on_written(struct wal *w);
/** A remembered identifier as it is on the disk, or will be. @param ret_entry  [IDENTIFIER_BYTES]
 * @return false if none is */
bool identifiers_copy(const struct wal *w, uint64_t lsn, uint8_t *ret_entry);
/** @return the end position of the block of a remembered lsn */
uint64_t identifiers_end_position(const struct wal *w, uint64_t lsn);

/* prepare.c */
/** @param is_time  as for identifiers */
bool
prewrite_next_write(struct wal *w, uint64_t now_ns, bool is_time, struct disk_request *ret_request);
void prewrite_on_written(struct wal *w);
bool prewrite_next_note(struct wal *w, struct disk_request *ret_request);
void prewrite_on_noted(struct wal *w);
/** Start-up: pre-write at least one segment after the head. Blocks. */
int prewrite_first(struct wal *w);

/* trim.c */
/** A block was appended or recovered: remember it if a segment starts with it. */
void trim_note_block(struct wal *w, const struct log_start *block);
/** The session page was read. */
void trim_begin(struct wal *w);
void trim_want(struct wal *w, uint64_t lsn);
/** The block that a segment starts with, if that segment is in use and it is known: else of another
 * position. */
const struct log_start *trim_segment(const struct wal *w, uint64_t position);
/** Let the log begin as late as it may. */
void trim_advance(struct wal *w);
/** @return true if the session page should be noted for a new beginning */
bool trim_is_due(const struct wal *w);
void trim_on_noted(struct wal *w);
/** @return the position that no block may cross for want of space */
uint64_t trim_end_position(const struct wal *w);
/** @return the last lsn that has a place in the identifier ring */
uint64_t trim_end_lsn(const struct wal *w);

/* hardstate.c */
uint64_t meta_request(struct wal *w, const void *blob, uint32_t bytes);
bool meta_next_write(struct wal *w, struct disk_request *ret_request);
void meta_on_written(struct wal *w);

/* hearsay.c */
void hearsay_request(struct wal *w, const void *blob, uint32_t bytes);
bool hearsay_next_write(struct wal *w, struct disk_request *ret_request);
void hearsay_on_written(struct wal *w);
/** Start-up: hand over what is there. If that is nothing, nothing is lost that the log has
 * promised. */
void hearsay_load(struct wal *w, const struct wal_recovery *to);

/* read.c */
int read_start(struct wal *w, uint64_t position, uint64_t token);
void read_on_arrived(struct wal *w, uint32_t slot, int rc);
/** Free what was lent and hand out what arrived. @return completions written */
uint32_t read_reap(struct wal *w, struct log_completion *ret, uint32_t count_max);

/* scrub.c */
#define SCRUB_UNREADABLE 0xa5 /* every byte of what the disk could not read */
/** The identifier of the next block is on the disk, and has not been read. */
bool scrub_needs_entries(const struct wal *w);
bool scrub_next_request(struct wal *w, uint64_t now_ns, struct disk_request *ret_request);
/** @retval -errno  a write failed: the log is poisoned. What a read says is damage or none */
int scrub_on_completion(struct wal *w, int32_t result);
uint32_t scrub_reap(struct wal *w, struct log_completion *ret, uint32_t count_max);

/* scrub_judge.c */
/** Verify some of the piece that was read. */
void scrub_judge(struct wal *w);
/** All records from the hole's to @p lsn_last are lost without a name. */
void scrub_report_hole(struct wal *w, uint64_t lsn_last);

/* identity.c */
/** @retval 0  @retval -EBADMSG numbers that do not fit each other */
int wal_identity_decode(const uint8_t *page, uint32_t body_bytes, struct wal_geometry *ret_geometry,
	const uint8_t **ret_blob, uint32_t *ret_blob_bytes);
void
wal_session_seal(uint8_t *page, const struct wal_session *session, const struct wal_seal *seal);
int session_decode(const uint8_t *page, const struct page_header *header,
	const struct wal_geometry *geometry, struct wal_session *ret);

/* recover.c */
/** What recovery decided about the end of a log. Either way a boot record must be durable before the
 * first append. */
struct log_end {
	bool is_cut;    /* a torn tail is there: it must become void */
	bool is_sealed; /* the last records are lost, and nothing says how many they were */
};

/**
 * Read the log, hand over its records and its damage, and decide about its end; sets append.head,
 * next_lsn, previous. Blocks.
 *
 * @param durable_lsn  largest one known so far (from the hard state)
 * @param is_lossy     whatever is missing at the end is gone: no damage
 */
int log_recover(struct wal *w, const struct wal_recovery *to, uint64_t durable_lsn, bool is_lossy,
	struct log_end *ret_end, char *ret_error);

/* open.c */
/** Read identity and session of a disk. @param ret_page [PAGE_BYTES_MAX] holds the identity blob */
int identity_load(struct wal *w, const struct wal_recovery *to, int *ret_stale, uint8_t *page,
	char *ret_error);
int session_load(struct wal *w, char *ret_error);

#endif
