/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file msg.h
 * The messages between the replicas of one group, and their bytes.
 *
 * A decoded message lends its pointers from the frame that it was decoded from; an outgoing one
 * lends them from the replica's ring until the end of the turn in which it was emitted.
 *
 * Units: slots and ballots as in types.h; ranges are half-open, [first, after).
 */
#ifndef ENG_MSG_H
#define ENG_MSG_H

#include "decree/types.h"

#include <stddef.h>

struct eng_replica;

enum eng_msg_type {
	ENG_MSG_PREVOTE = 1, /* would you promise this ballot? No state changes */
	ENG_MSG_PREVOTE_REPLY = 2,
	ENG_MSG_PREPARE = 3,       /* phase 1a over the whole log suffix */
	ENG_MSG_PROMISE = 4,       /* phase 1b, in fragments of one frame each */
	ENG_MSG_ACCEPT = 5,        /* phase 2a, one slot */
	ENG_MSG_ACCEPTED = 6,      /* phase 2b, everything durable at this ballot */
	ENG_MSG_SUCCESS = 7,       /* commit index, when no Accept carries it */
	ENG_MSG_FAILURE = 8,       /* nack with a reason */
	ENG_MSG_LEADER_CHANGE = 9, /* phase 1 succeeded; or TimeoutNow to a chosen successor */
	ENG_MSG_HEARTBEAT = 10,
	ENG_MSG_HEARTBEAT_ECHO = 11,
	ENG_MSG_QUERY = 12,            /* values of slots [first, after), please */
	ENG_MSG_QUERY_REPLY = 13,      /* one slot's value */
	ENG_MSG_READ_INDEX = 14,       /* what must a read that begins now see? */
	ENG_MSG_READ_INDEX_REPLY = 15, /* this slot and everything before it */
	ENG_MSG_SNAPSHOT_OFFER = 16,   /* this is the snapshot that I have */
	ENG_MSG_SNAPSHOT_FETCH = 17,   /* some bytes of it, please; or: what have you got? */
	ENG_MSG_SNAPSHOT_CHUNK = 18,   /* bytes of it */
	ENG_MSG_STATE_DIGEST = 19,     /* what a state was right after a MARK */
	ENG_MSG_HELLO = 20,            /* a challenge: prove that you live, and what you know */
	ENG_MSG_HELLO_REPLY = 21,
	ENG_MSG_TYPE_COUNT = 32, /* room for more; see eng_msg_is_known() */
};

enum eng_failure_reason {
	ENG_FAIL_BALLOT = 1, /* promised a higher one */
	/* a leader was heard within T; PreVote: any, else: of a higher ballot */
	ENG_FAIL_LEADER_ALIVE = 2,
	ENG_FAIL_NOT_MEMBER = 3, /* this disk is not the one that the configuration names */
	ENG_FAIL_BUSY = 4,       /* no room in the log */
	ENG_FAIL_COMPACTED = 5,  /* your first undecided slot is below what I still hold */
	/* another holds a lease of mine, or an earlier life of mine may have given one */
	ENG_FAIL_LEASE = 6,
	ENG_FAIL_ROLLED_BACK = 7, /* your disk knows less than you have said */
	ENG_FAIL_TWIN = 8,        /* somebody else runs with your identity */
};

enum eng_entry_state {
	ENG_ENTRY_NONE = 0,
	ENG_ENTRY_ACCEPTED = 1,
	ENG_ENTRY_DECIDED = 2,
	ENG_ENTRY_FAULTY_ID = 3,      /* the value is damaged; ballot and digest are known */
	ENG_ENTRY_FAULTY_UNKNOWN = 4, /* damaged, of an unknown ballot */
};

/* One slot as a Promise lists it: 32 bytes on the wire. */
struct eng_promise_entry {
	struct decree_ballot vballot;
	struct decree_digest digest;
	enum eng_entry_state state;
	uint32_t bytes;
};

struct eng_msg {
	enum eng_msg_type type;
	uint16_t src; /* node_id */
	uint16_t dst; /* node_id; outgoing 0 = every other member */
	uint16_t group;
	uint32_t epoch;              /* configuration epoch of the sender; 0 = none yet */
	uint64_t src_nonce;          /* incarnation of the sender */
	uint64_t src_disk;           /* first 8 bytes of the sender's disk uuid */
	struct decree_ballot ballot; /* of the exchange that this message belongs to */
	union {
		struct {
			struct decree_slot first_undecided;
		} prevote; /* ballot: the one that would be prepared */
		struct {
			bool granted;
			enum eng_failure_reason reason; /* if not granted */
			struct decree_ballot promised;
			uint64_t dst_nonce; /* nonce of the PreVote that this answers */
		} prevote_reply;
		struct {
			struct decree_slot from;
		} prepare;
		struct {
			bool doubtful; /* more may be damaged than is listed: counts in no quorum */
			uint64_t dst_nonce;
			struct decree_slot from; /* of the Prepare that this answers */
			struct decree_slot low;  /* slots below are known only through a snapshot */
			/* decided prefix whose values the sender holds */
			struct decree_slot commit;
			/* highest slot that it accepted or knows decided */
			struct decree_slot last;
			struct decree_slot first; /* this fragment lists [first, after) */
			struct decree_slot after;
			const uint8_t *entries; /* wire form; read with eng_promise_entry_at() */
		} promise;
		struct {
			struct decree_slot slot;
			struct decree_slot start; /* first slot that this ballot proposes itself */
			struct decree_slot commit;
			struct decree_digest digest;
			const uint8_t *value;
			uint32_t bytes;
		} accept;
		struct {
			struct decree_slot start; /* as in the Accept */
			struct decree_slot after; /* durable at this ballot: [start, after) ... */
			uint64_t sack[4]; /* ... and after + 1 + bit (so bit 0 is slot after + 1) */
			struct decree_slot commit;
		} accepted;
		struct {
			struct decree_slot start;
			struct decree_slot commit;
		} success;
		struct {
			enum eng_failure_reason reason;
			struct decree_ballot promised;
			uint64_t dst_nonce;
			struct decree_slot snapshot; /* COMPACTED: the snapshot that is here */
			bool other_disk; /* NOT_MEMBER: the id is a member's, the disk is not */
		} failure;               /* ballot: of the message that is refused */
		struct {
			struct decree_slot start;
			bool timeout_now; /* stand for election at once (hand-over) */
			uint64_t seq;     /* of the heartbeat that the sender had sent last */
		} leader_change;
		struct {
			uint64_t seq;
			struct decree_slot start;
			struct decree_slot commit;
			const uint8_t *marks; /* [mark_count] of ENG_HIGHEST_BYTES */
			uint32_t mark_count;
		} heartbeat;
		struct {
			uint64_t seq;
			uint64_t dst_nonce;
			struct decree_slot commit;
			struct decree_ballot promised;
			bool cut_asked; /* the sender would like a snapshot to be cut */
		} heartbeat_echo;       /* ballot: of the heartbeat */
		struct {
			struct decree_slot first;
			struct decree_slot after;
			bool accepted_too; /* phase 1 also takes undecided values, by digest */
		} query;
		struct {
			struct decree_slot slot;
			enum eng_entry_state state;
			struct decree_ballot vballot;
			struct decree_slot commit; /* of the sender */
			struct decree_digest digest;
			const uint8_t *value;
			uint32_t bytes;
		} query_reply;
		struct {
			uint64_t challenge; /* fresh random bits, > 0 */
			struct decree_slot commit;
		} hello; /* ballot 0 */
		struct {
			uint64_t challenge; /* of the HELLO that this answers ... */
			uint64_t dst_nonce; /* ... of this life */
			uint64_t boot_count;
			struct decree_ballot promised;
			struct decree_slot last;
			struct decree_slot commit;
			struct decree_ballot found_promised; /* on the disk, when this life began */
			struct decree_slot found_last;       /* the same; in doubt: ENG_SLOT_MAX */
			bool doubtful;
		} hello_reply; /* ballot 0 */
		struct {
			uint64_t token; /* of the sender's life, > 0 */
		} read_index; /* ballot: at which the receiver leads, as far as the sender knows */
		struct {
			uint64_t token;     /* this and all lower ones of ... */
			uint64_t dst_nonce; /* ... this life are answered */
			struct decree_slot slot;
		} read_index_reply;
		/* The ballot of these three is 0. */
		struct {
			struct decree_slot slot; /* 0: none */
			uint64_t bytes;
			/* a decided MARK there (0: not known) carries ... */
			struct decree_slot anchor;
			struct decree_digest digest; /* ... this digest of the state after `slot` */
		} snapshot_offer;
		struct {
			struct decree_slot slot; /* 0: offer me the newest that you have */
			uint64_t offset_bytes;
			uint32_t count;
		} snapshot_fetch;
		struct {
			struct decree_slot slot;
			uint64_t offset_bytes;
			struct decree_digest digest; /* of `value` */
			const uint8_t *value;
			uint32_t bytes;
		} snapshot_chunk;
		struct {
			struct decree_slot slot; /* of the MARK */
			struct decree_digest digest;
			bool is_question; /* tell me yours */
		} state_digest;
	};
};

#define ENG_SLOT_MAX            ((1ull << 48) - 1) /* a session's number has 48 bits for its slot */
#define ENG_MSG_HEADER_BYTES    40
#define ENG_PROMISE_FIXED_BYTES 56 /* after the header, before the entries */
#define ENG_PROMISE_ENTRY_BYTES 32
/* One of a heartbeat: node_id (2), highest slot accepted (8), start count of that life (4). */
#define ENG_HIGHEST_BYTES        14
#define ENG_VALUE_OVERHEAD_BYTES 96 /* bytes of an Accept or QueryReply beside the value, at most */

/** First 8 bytes of a disk uuid, as messages carry it. */
uint64_t eng_disk_short(const struct decree_uuid *disk);

/**
 * Write one message. A Promise's entries are read from @p r, which must be in the state in which
 * the message was emitted.
 *
 * @param r          the emitting replica; NULL is fine for every other type
 * @param capacity   of @p ret_bytes_out; at least ENG_VALUE_OVERHEAD_BYTES + slot_bytes
 * @return bytes written, > 0
 */
uint32_t eng_msg_encode(
	const struct eng_replica *r, const struct eng_msg *m, uint8_t *ret_out, uint32_t capacity);

/** Entries that one Promise fragment of @p capacity bytes can list. */
uint32_t eng_promise_entry_count_max(uint32_t capacity);

/** @retval 0 decoded; pointers lend from @p bytes  @retval -EBADMSG not a message */
int eng_msg_decode(const uint8_t *bytes, uint32_t count, struct eng_msg *ret_msg);

/** Entry of slot @p slot of a decoded Promise; promise.first <= slot < promise.after. */
struct eng_promise_entry eng_promise_entry_at(const struct eng_msg *m, struct decree_slot slot);

/** A type that this version has; others do not decode. */
bool eng_msg_is_known(uint32_t type);

const char *eng_msg_type_name(enum eng_msg_type type);
const char *eng_failure_reason_name(enum eng_failure_reason reason);

#endif
