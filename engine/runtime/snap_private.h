/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snap_private.h
 * The inside of a store of snapshot files:
 *
 *   snap_shard.c      the shard's side of snap_ops: memory only
 *   snap_write.c      the serving thread's side of one writer, one step at a time
 *   snap_read.c       reading a part, and the whole at the start
 *   snap_scrub.c      reading the kept ones again, whether they are still whole
 *   snap_page.c       the bytes of a file that are not the snapshot's own
 *   snap_directory.c  names, the lock, what is put away, the reserve
 *
 * The two sides of a store share writers and reads. Each has one owner at a time, named by its
 * state, and hands itself over by a release of the state that pairs with the other side's acquire.
 *
 * A file, little-endian:
 *
 *     0 .. 4,095            page, see below
 *     4,096 + i * 131,072   piece i of the snapshot; the last one is filled up with zeros
 *     after the last piece  a digest of each piece (XXH3-128, lower half, of all 131,072 bytes), 8
 *                           bytes each, filled up with zeros to a multiple of 4,096
 *     after that            nothing: leftovers of an earlier use
 *
 * Page:
 *       0   8  magic "creesn1" and a zero byte
 *       8   4  version: 1
 *      12   4  bytes of a piece: 131,072
 *      16   8  cluster id
 *      24   2  group
 *      26   6  zero
 *      32   8  slot
 *      40   8  bytes of the snapshot
 *      48  16  digest of the snapshot
 *      64   8  when it was committed, seconds since 1970
 *      72  16  digest of the table of digests, filled up as it is
 *      88  16  digest of bytes 0 .. 87
 *     104   -  zeros
 *
 * A file is valid if and only if its page's digest, magic, version and piece size are right;
 * cluster, group and slot are those of its name; it is as long as the page says; and table, pieces
 * and snapshot have the digests that page and table say.
 */
#ifndef RUNTIME_SNAP_PRIVATE_H
#define RUNTIME_SNAP_PRIVATE_H

#include "base/assert.h"
#include "base/digest.h"
#include "base/memory.h"
#include "engine/runtime/snap_file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SNAP_PAGE_BYTES       4096u
#define SNAP_PIECE_BYTES      131072u
#define SNAP_RING_PIECE_COUNT 4u
#define SNAP_RING_BYTES       (SNAP_RING_PIECE_COUNT * SNAP_PIECE_BYTES)
#define SNAP_READ_SLOT_COUNT  16
#define SNAP_OPEN_COUNT       4
#define SNAP_NAME_BYTES       64
#define SNAP_EXTEND_BYTES_MIN                                                                      \
	(1ull << 20) /* space is asked for in such steps: no space is noticed early */
#define SNAP_EXTEND_BYTES_MAX (16ull << 20)
#define SNAP_SYNC_BYTES                                                                            \
	(16ull << 20) /* synced as often: a sync at the end of it all would hold up the log's (9.5) */
#define SNAP_RESERVE_RETRY_NS (5 * 1000 * 1000 * 1000ull)

struct snap_page {
	uint64_t cluster_id;
	uint16_t group;
	uint64_t slot;
	uint64_t bytes;
	struct decree_digest digest;
	uint64_t committed_unix_s;
	struct decree_digest table_digest;
};

struct snap_directory {
	int fd; /* locked */
	char path[256];
	uint64_t cluster_id;
	uint64_t reserve_bytes;
	uint64_t reserve_retry_ns;
	_Atomic bool is_space_low;
	uint32_t foreign_count;
	char foreign_name[SNAP_NAME_BYTES];
};

/* How far the serving thread is with a writer. */
enum writer_step {
	STEP_OPEN = 0,
	STEP_WRITE,
	STEP_FINISH, /* table, then page */
	STEP_SYNC,
	STEP_RENAME,
	STEP_SYNC_NAME,
	STEP_VERIFY,
};

enum writer_state {
	WRITER_FREE = 0, /* the shard's */
	/* the serving thread's; head, is_committing and is_aborted are the shard's all the same */
	WRITER_ACTIVE = 1,
	WRITER_DONE = 2, /* the shard's: rc and the rest say how it went */
};

struct snap_writer {
	_Atomic uint32_t state;
	_Atomic bool is_committing; /* release after digest and the last head */
	_Atomic bool is_aborted;
	_Atomic uint64_t head; /* bytes written by the shard; release after the bytes */
	_Atomic uint32_t used; /* as urge() said last */
	uint16_t group;
	struct decree_slot slot;
	struct decree_digest digest;
	/* as many as the group's snapshot before had; 0 = there was none */
	uint64_t expected_bytes;
	/* [SNAP_RING_BYTES] aligned for direct I/O; byte n of the snapshot at n modulo that */
	uint8_t *ring;
	/* The serving thread writes from here on. */
	/* bytes that the ring need not keep; release after they were used */
	BASE_OWN_LINE _Atomic uint64_t tail;
	/* result */
	int rc;
	uint64_t bytes;
	uint64_t committed_unix_s;
	char text[DECREE_ERROR_BYTES];
	/* the serving thread's alone */
	enum writer_step step;
	int fd;
	uint64_t file_bytes; /* allocated */
	uint64_t synced_bytes;
	uint64_t verified_count; /* pieces */
	struct digest_stream verified;
	uint64_t *table; /* [table_capacity] */
	uint64_t table_capacity;
	uint64_t piece_count;
};
BASE_ASSERT_APART(struct snap_writer, ring, tail);
BASE_ASSERT_WHOLE_LINES(struct snap_writer);

enum read_slot_state {
	READ_SLOT_FREE = 0, /* the shard's */
	READ_SLOT_ASKED,    /* the serving thread's */
	READ_SLOT_DONE,     /* the shard's */
	READ_SLOT_LENT,     /* the shard's, until the next reap */
};

struct snap_read_slot {
	_Atomic uint32_t state;
	uint16_t group;
	struct decree_slot slot;
	uint64_t offset_bytes;
	uint32_t count;
	uint64_t token;
	int rc;
	uint64_t total_bytes;
	uint64_t committed_unix_s;
	uint8_t *bytes; /* [SNAP_READ_BYTES_MAX] */
};

/* A committed file, open for reading. */
struct snap_open_file {
	int fd; /* -1 = free */
	struct snap_page page;
	uint64_t *table;
	uint64_t used; /* for the least recently used */
};

/* How far the kept files have been read again. */
struct snap_scrub {
	uint64_t due_ns;
	uint16_t group;
	uint64_t slot;  /* 0 = the group's file is not begun */
	uint64_t index; /* next piece */
};

struct snap_store {
	struct snap_store_config config;
	struct snap_writer writers[SNAP_WRITER_COUNT_MAX];
	struct snap_read_slot reads[SNAP_READ_SLOT_COUNT];
	uint8_t *memory;                                       /* rings and read buffers */
	_Atomic uint64_t forget_below[DECREE_GROUP_COUNT_MAX]; /* slots; the shard's wish */
	_Atomic uint64_t forget_count;                         /* of wishes */
	/* slot of what the hard state names; the shard's */
	_Atomic uint64_t kept[DECREE_GROUP_COUNT_MAX];
	/* the shard's alone */
	bool is_idle; /* no writer and no read in use: nothing to reap, and most turns find it so */
	char reaped_text[DECREE_ERROR_BYTES];
	struct snap_info last[DECREE_GROUP_COUNT_MAX]; /* load() writes it too, at the start */
	/* the serving thread's */
	/* slot of a kept file that has rotten */
	BASE_OWN_LINE _Atomic uint64_t damaged[DECREE_GROUP_COUNT_MAX];
	/* the serving thread's alone */
	uint64_t forget_seen;
	struct snap_scrub scrub;
	uint64_t due_ns; /* no write before: the bounded rate */
	uint32_t writer_next;
	struct snap_open_file files[SNAP_OPEN_COUNT];
	uint64_t file_clock;
	uint8_t *piece; /* [SNAP_PIECE_BYTES] the piece read last */
	int piece_file; /* whose it is: index of files[], -1 = nobody's */
	uint64_t piece_index;
};
BASE_ASSERT_APART(struct snap_store, last, damaged);
BASE_ASSERT_WHOLE_LINES(struct snap_store);

/* snap_page.c */
void snap_page_encode(const struct snap_page *page, uint8_t ret_bytes[SNAP_PAGE_BYTES]);
/** @return NULL, or what is wrong with it in words */
const char *snap_page_decode(const uint8_t bytes[SNAP_PAGE_BYTES], struct snap_page *ret_page);
uint64_t snap_piece_count(uint64_t bytes);
uint64_t snap_table_bytes(uint64_t piece_count);
uint64_t snap_piece_offset(uint64_t index);
uint64_t snap_piece_digest(const uint8_t *piece);

/* snap_directory.c */
void snap_name(char ret_name[SNAP_NAME_BYTES], uint16_t group, uint64_t slot);
void snap_name_unfinished(char ret_name[SNAP_NAME_BYTES], uint16_t group);
void snap_name_spare(char ret_name[SNAP_NAME_BYTES], uint16_t group);
/** Rename or remove the snapshots of a group that are older than @p below. */
void snap_directory_forget(struct snap_directory *d, uint16_t group, uint64_t below);
/** Open directly if the file system can, through the page cache if not. @return fd or -errno */
int snap_directory_open_file(const struct snap_directory *d, const char *name, int flags);
/** The disk is full: give up the reserve. @return true if that may have helped */
bool snap_directory_release_reserve(struct snap_directory *d);
/** Try to get it back, now and then. */
void snap_directory_renew_reserve(struct snap_directory *d, uint64_t now_ns);

/* snap_write.c */
/** @return false if there was nothing to do for this writer now */
bool snap_writer_step(struct snap_store *s, struct snap_writer *w, uint64_t now_ns);
/** Let go of what only the serving thread has. */
void snap_writer_fini(struct snap_writer *w);

/* snap_scrub.c */
/** @return false if there was nothing to do now */
bool snap_scrub_step(struct snap_store *s, uint64_t now_ns);

/* snap_read.c */
/** Whoever reads it next opens it again. */
void snap_read_close(struct snap_store *s, uint16_t group, uint64_t below);
/** Read a piece of a file from the medium. @retval 1 it is the last one @retval 0 it is not @retval
 * -errno as load() */
int snap_read_verify(struct snap_store *s, uint16_t group, uint64_t slot, uint64_t index);
/** pread() of all of it. @return 0, -EIO or -errno; -EBADMSG if the file ends before */
int snap_read_all(int fd, void *buffer, uint64_t bytes, uint64_t offset);
int snap_load(void *store, uint16_t group, struct decree_slot slot,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
	struct snap_info *ret_info, char *ret_error);

#endif
