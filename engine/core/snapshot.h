/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snapshot.h
 * What a snapshot says beside the state machine's own chunks: where it was cut, which
 * configurations were in force there, and the table of sessions.
 *
 * Writing the table is a walk in the order of its rows, in pieces of at most
 * ENG_SESSIONS_PIECE_BYTES_MAX. Commands go on being applied meanwhile: a row that changes before
 * the walk has come to it is copied first, so the pieces are those of the cut on every node, byte
 * for byte.
 *
 * One piece, little-endian:
 *
 *   offset bytes
 *        0     4  row
 *        4     4  replies in this piece
 *        8     8  session
 *       16     8  last executed seq
 *       24    16  token
 *       40     8  seq of the first reply in this piece
 *       48     8  slot of its newest use
 *       56     8  a live gateway's: boot_count of its node ...
 *       64     2  ... node_id, else 0 ...
 *       66     2  ... place ...
 *       68     4  ... opening
 *       72    16  per reply: result 8, digest of the body 4 (base_digest_short()), status 2, state 1 (1 pending, 2 done), zero 1
 *
 * A row's kept replies, the oldest first, take as many pieces as they need, at least one. A table
 * is valid if and only if rows ascend, the pieces of a row follow each other, and no reply is
 * missing.
 */
#ifndef ENG_SNAPSHOT_H
#define ENG_SNAPSHOT_H

#include "engine/core/session.h"
#include "engine/core/value.h"

#define ENG_SNAPSHOT_CONFIG_MAX 2 /* in force, and decided but not in force yet (12.1) */

#define ENG_SESSIONS_PIECE_HEADER_BYTES 72u
#define ENG_SESSIONS_PIECE_BOOT_AT      56u /* boot_count */
#define ENG_SESSIONS_PIECE_REPLIES_MAX  1024u
#define ENG_SESSIONS_PIECE_BYTES_MAX                                                               \
	(ENG_SESSIONS_PIECE_HEADER_BYTES + 16u * ENG_SESSIONS_PIECE_REPLIES_MAX)

struct eng_snapshot_config {
	struct decree_slot slot; /* where it was decided */
	struct eng_membership members;
};

/* What the core has to know of a snapshot. */
struct eng_snapshot {
	struct decree_slot slot;     /* the state is that after this slot */
	struct decree_digest digest; /* of that state, as the log's MARK says */
	uint64_t stamp_ns;           /* cluster time of the slot */
	uint32_t config_count;       /* 1 .. ENG_SNAPSHOT_CONFIG_MAX, in the order of their slots */
	struct eng_snapshot_config configs[ENG_SNAPSHOT_CONFIG_MAX];
};

/** Fill in everything but the digest: the state after the slot that was applied last. */
void eng_sessions_facts(const struct eng_sessions *s, struct eng_snapshot *ret_snapshot);

/** Freeze the table as it is now, for the walk; the one before it ends. */
void eng_sessions_cut_begin(struct eng_sessions *s);

/**
 * The next piece of the walk. Cost: one copy of the piece.
 * @param ret_piece  [ENG_SESSIONS_PIECE_BYTES_MAX]
 * @return its bytes, 0 after the last one
 */
uint32_t eng_sessions_cut_next(struct eng_sessions *s, uint8_t *ret_piece);

/** The walk is over, or given up: rows need not be copied any more. */
void eng_sessions_cut_end(struct eng_sessions *s);

/** Become an empty table at the place of a snapshot. Its pieces follow, in order. */
void eng_sessions_restore_begin(struct eng_sessions *s, const struct eng_snapshot *snapshot);

/** @retval -EBADMSG  it is no piece of a valid table, or not the next one */
int eng_sessions_restore_piece(struct eng_sessions *s, const uint8_t *piece, uint32_t bytes);

/** @retval -EBADMSG  replies of the last row are missing */
int eng_sessions_restore_end(struct eng_sessions *s);

#endif
