/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session_private.h
 * The session table from inside, for session.c and session_snapshot.c.
 */
#ifndef ENG_SESSION_PRIVATE_H
#define ENG_SESSION_PRIVATE_H

#include "engine/core/session.h"
#include "engine/core/snapshot.h"

#include <assert.h>

enum reply_state {
	REPLY_NONE = 0,
	REPLY_PENDING = 1, /* executed, the machine has not answered yet */
	REPLY_DONE = 2,
};

struct reply {
	uint64_t result;
	uint32_t digest; /* of the body, cut: it finds a client that reuses a number by mistake */
	uint16_t status;
	uint8_t state;
};
static_assert(sizeof(struct reply) == 16, "one reply is a quarter of a cache line");

struct row {
	struct decree_session session;
	uint64_t last;     /* last executed seq */
	uint64_t admitted; /* leader's hint: last seq on its way, >= last */
	uint8_t token[DECREE_UUID_BYTES];
	struct decree_digest key; /* of session and token, for the table's digest */
	uint64_t summed;          /* seq up to which that digest has this row; <= last */
	uint64_t used;            /* slot of its registration or of its newest executed command */
	uint32_t pending;         /* replies in the ring that wait for their answer */
	uint16_t node_id;         /* a live gateway's: of its node; else 0 */
	uint16_t place;
	uint32_t opened;
	uint64_t boot_count;
};

/* The train that is being put together (7.5a). Any slot that is not its next part closes it. */
struct train {
	struct eng_fragment first; /* part 0; bytes unused */
	uint32_t part_next;        /* 0: no open train */
	uint32_t bytes;            /* collected in `body` */
};

struct eng_sessions;

/** Keep a row as it is now, if that was not done yet. */
void session_save(struct eng_sessions *s, uint32_t row);
/** Enter a row under its session's number. */
void session_index(struct eng_sessions *s, uint32_t row);

uint32_t session_bucket(const struct eng_sessions *s, struct decree_session session);

/* session_evict.c */
/** A row for a new session: an unused one, or one that is taken from its session. @return -1: none */
int32_t session_acquire_row(struct eng_sessions *s);
/** Sessions of a node's earlier gateways are its no more. @return false if this one is itself an
 * earlier one */
bool session_gateway_begin(struct eng_sessions *s, const struct eng_registration *g);

/* ---- session_digest.c: each before or after the change that it speaks of ---- */
/** Before: a row is given back. */
void digest_drop_row(struct eng_sessions *s, uint32_t row);
/** Before: a command of this row is executed, and another row may be ahead. */
void digest_go_ahead(struct eng_sessions *s, uint32_t row);
/** After: a row was registered. */
void digest_add_row(struct eng_sessions *s, uint32_t row);
/** After: the table was filled from a snapshot. */
void digest_restore(struct eng_sessions *s);

struct eng_sessions {
	uint32_t row_count;  /* rows in use; one that is given back goes to another at once */
	uint32_t row_recent; /* where a session was found last: looked at first */
	uint32_t row_ahead;  /* the only row that may have executed more than it has `summed` */
	uint32_t idle_slots;
	uint64_t evicted_count;
	uint32_t row_count_max;
	uint32_t window;      /* power of two */
	uint32_t bucket_mask; /* buckets - 1 */
	uint32_t command_bytes_max;
	struct train train;
	struct decree_slot applied; /* last slot taken */
	uint64_t cluster_ns;        /* its stamp, never going backwards */
	struct row *rows;           /* [row_count_max] */
	struct reply *replies;      /* [row_count_max][window] */
	uint16_t *buckets;          /* [bucket_mask + 1] row + 1, open addressing; 0 = free */
	uint8_t *body;              /* [command_bytes_max] of the open train */
	struct decree_digest sum; /* session_digest.c: of rows' and replies' terms up to `summed` */

	/* The configurations that are in force and to come, as of `applied` (12.1). */
	struct eng_configs configs;

	struct { /* session_snapshot.c: the table as it was at the cut, while it is being written */
		bool is_open;
		/* rows below are written; what happens to them is of no concern */
		uint32_t row_next;
		uint64_t reply_next;   /* its first reply that is not written; 0: none is */
		uint32_t row_count;    /* at the cut */
		struct row *rows;      /* [row_count_max] before-images ... */
		struct reply *replies; /* [row_count_max][window] */
		uint64_t *saved;       /* [row_count_max / 64 + 1] bitmap: ... that were taken */
	} cut;
	uint64_t restore_next; /* seq of the reply that the newest restored row goes on with */
};

/** About to change a row: a snapshot that has not come to it yet keeps what it was (protocol 9). */
static inline void
session_touch(struct eng_sessions *s, uint32_t row)
{
	if (s->cut.is_open && row >= s->cut.row_next)
		session_save(s, row);
}

static inline struct reply *
reply_of(const struct eng_sessions *s, int32_t row, uint64_t seq)
{
	return &s->replies[(size_t)row * s->window + (seq & (s->window - 1))];
}

#endif
