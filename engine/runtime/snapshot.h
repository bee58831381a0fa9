/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snapshot.h
 * A group's snapshots, inside a shard: snapshot.c cuts and writes them and lets the log go behind
 * them, restore.c gives them to the state machine, state_transfer.c fetches them from peers and
 * serves them.
 *
 * Threads:  the shard's. Memory: taken with the shard's.
 */
#ifndef RUNTIME_SNAPSHOT_H
#define RUNTIME_SNAPSHOT_H

#include "engine/runtime/snap_ops.h"
#include "engine/runtime/snapshot_format.h"

#define TRIM_NOTE_COUNT 512
#define TRIM_NOTE_SLOTS 128 /* a note every so many slots */

/* Everything written at one time: the header, or a chunk's header and, unless the machine lends it,
 * payload. */
#define SNAPSHOT_PIECE_BYTES (SNAPSHOT_CHUNK_HEADER_BYTES + ENG_SESSIONS_PIECE_BYTES_MAX)
static_assert(SNAPSHOT_PIECE_BYTES >= SNAPSHOT_HEADER_BYTES_MAX, "the header is a piece");

enum cut_state {
	CUT_NONE = 0,
	CUT_WRITING = 1,    /* the state machine is frozen; its chunks go to the store */
	CUT_COMMITTING = 2, /* the store makes the file durable and reads it back */
	/* durable; the log does not carry its digest, or no majority has it, yet */
	CUT_ANCHORING = 3,
	CUT_POINTING = 4, /* the hard state that points to it is on its way */
};

/* A snapshot that this node cuts from its own state. */
struct snapshot_cut {
	enum cut_state state;
	struct eng_snapshot facts;
	struct decree_slot anchor; /* a decided MARK there carries the digest; 0 = not yet */
	bool is_agreed;            /* a majority of the voters had the same digest there */
	/* another one is wanted then, if it is not; 0 = there is no anchor yet */
	uint64_t agree_by_ns;
	uint64_t bytes;      /* written */
	uint64_t room_slots; /* of the log until commands are refused, at the beginning */
	/* WRITING */
	enum snapshot_chunk_kind kind; /* next; 0 = the header */
	uint64_t index;
	uint64_t chunk_count;
	struct digest_stream all; /* everything written, in order */
	uint8_t *piece;           /* [SNAPSHOT_PIECE_BYTES] */
	const uint8_t *parts[2];  /* what is being handed to the store */
	uint32_t part_bytes[2];
	uint64_t retry_ns; /* no new cut before this: the last one failed */
	uint32_t failures; /* in a row, since the snapshot of `failed_behind` */
	struct decree_slot failed_behind;
};

/* The snapshot that the hard state points to, as peers may have it. */
struct snapshot_kept {
	struct decree_slot slot; /* 0 = none */
	uint64_t bytes;
	/* 0 = not known here: since a restart, or from a donor that restarted */
	struct decree_slot anchor;
	struct decree_digest digest;
};

/* Every record of a slot above `slot` has an lsn of `lsn` or above. */
struct trim_note {
	struct decree_slot slot;
	uint64_t lsn;
};

struct snapshot_group {
	struct snapshot_cut cut;
	struct snapshot_kept kept;
	uint64_t served_ns; /* a peer asked for bytes of `kept` then; 0 = none yet */
	bool is_rotten;     /* `kept` is damaged: cut as soon as possible */
	struct decree_slot
		lost;  /* its record rotted in the log, and it is an old one: cut behind it */
	bool is_asked; /* by an operator: cut as soon as possible */
	bool is_told; /* the core knows that a cut is due; told again in later turns, none is needed for that */
	/* node_id: the core wants that node's snapshot, or anybody's; 0 = it wants none */
	uint16_t wanted_from;
	bool is_restoring; /* the state machine is in pieces: nothing may be asked of it or of the sessions */
	struct trim_note notes[TRIM_NOTE_COUNT];
	uint64_t note_first;      /* index of the oldest note, modulo TRIM_NOTE_COUNT ... */
	uint64_t note_after;      /* ... and one beyond the newest */
	struct trim_note trimmed; /* how far this group lets the log go */
};

enum fetch_state {
	FETCH_NONE = 0,
	FETCH_ASKING = 1,     /* what has the peer got? */
	FETCH_BYTES = 2,      /* its bytes, into the store and through the reader */
	FETCH_ANCHOR = 3,     /* the log's own word on the digest, from any peer */
	FETCH_COMMITTING = 4, /* the store makes it durable */
	FETCH_POINTING = 5,   /* the hard state that points to it is on its way */
	FETCH_RESTORING = 6,  /* the state machine takes it */
};

struct shard_group;

/* A snapshot that this node takes from its peers; one at a time. */
struct snapshot_fetch {
	enum fetch_state state;
	struct shard_group *group;
	uint16_t peer; /* node_id that is being asked */
	struct snapshot_kept wanted;
	uint64_t offset_bytes; /* taken so far */
	uint64_t asked_after;  /* end of what was asked for */
	uint64_t gap_offset;   /* 1 + where a gap was asked for again */
	struct digest_stream all;
	uint64_t retry_ns; /* ask again then */
	uint32_t silences; /* in a row, of the present peer */
	uint32_t patience; /* doublings of the pause before asking again, since bytes came last */
	uint32_t refusals; /* of peers in a row */
	bool is_outdated; /* somebody who was asked has a newer one, or has let go of the anchor, since bytes came last */
	bool is_reading; /* RESTORING: a read of the store is under way */
};

/* A part of our snapshot that a peer has asked for. */
struct snapshot_serve {
	struct shard_group *group; /* NULL: free */
	uint16_t to;
	struct decree_slot slot;
	uint64_t offset_bytes;
};

#define SNAPSHOT_SERVE_COUNT 4

#endif
