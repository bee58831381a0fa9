/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client_msg.h
 * The payloads that are not messages between replicas: commands and their answers, redirects,
 * status, and reading back what was applied.
 *
 *   client   -> node      COMMANDS, COMMAND_FRAGMENT, STATUS_REQUEST, LOG_REQUEST, ADMIN_REQUEST,
 *                         READ_REQUEST, METRICS_REQUEST
 *   follower -> leader    COMMANDS, COMMAND_FRAGMENT, passed on unchanged
 *   leader   -> follower  REPLIES, REDIRECT, passed on to whoever asked
 *   node     -> client    REPLIES, REDIRECT, STATUS_REPLY, LOG_REPLY, ADMIN_REPLY, READ_REPLY,
 *                         METRICS_REPLY
 *
 * The first byte tells them from the messages of engine/core/msg.h, which use 1 .. 63.
 *
 * Registration: a command of session 0 and seq 0 whose body is a 16-byte token (a gateway's has 32
 * bytes, see struct eng_registration). The same token always gives the same session, so it may be
 * repeated like every other command.
 *
 * Bytes, little-endian. Every payload starts with
 *
 *   0  u8   type, 64 ..
 *   1  u8   0
 *   2  u16  group
 *   4  u16  count of entries, 0 where there are none
 *   6  u16  node_id: of the leader in REPLIES and REDIRECT (0 = unknown), of the node that answers in
 *           STATUS_REPLY, LOG_REPLY, ADMIN_REPLY, READ_REPLY and METRICS_REPLY, else 0
 *   8       per type, see the table at the top of client_msg.c
 *
 * A payload is valid if and only if its length is exactly what its type and its entries say, each
 * field is in the range given in the table, and byte 1 is 0.
 *
 * Threads:  pure functions. Memory: what is decoded lends its pointers from the frame.
 * Errors:   decoding returns -EBADMSG for everything malformed.
 */
#ifndef ENGINE_RUNTIME_CLIENT_MSG_H
#define ENGINE_RUNTIME_CLIENT_MSG_H

#include "decree/client.h"
#include "decree/metrics.h"
#include "engine/core/core.h"

enum client_msg_type {
	CLIENT_MSG_COMMANDS = 64,
	CLIENT_MSG_COMMAND_FRAGMENT = 65,
	CLIENT_MSG_REPLIES = 66,
	CLIENT_MSG_REDIRECT = 67,
	CLIENT_MSG_STATUS_REQUEST = 68,
	CLIENT_MSG_STATUS_REPLY = 69,
	CLIENT_MSG_LOG_REQUEST = 70,
	CLIENT_MSG_LOG_REPLY = 71,
	CLIENT_MSG_ADMIN_REQUEST = 72, /* change how the cluster runs: see admin.c */
	CLIENT_MSG_ADMIN_REPLY = 73,
	CLIENT_MSG_READ_REQUEST = 74, /* ask the state machine; any node answers */
	CLIENT_MSG_READ_REPLY = 75,
	CLIENT_MSG_METRICS_REQUEST = 76,
	CLIENT_MSG_METRICS_REPLY = 77,
	CLIENT_MSG_TYPE_AFTER = 80,
};

#define CLIENT_MSG_HEADER_BYTES     8u
#define CLIENT_COMMAND_BYTES        20u /* of one COMMANDS entry beside the body */
#define CLIENT_FRAGMENT_BYTES       48u /* of a COMMAND_FRAGMENT beside its piece, the header included */
#define CLIENT_REPLY_BYTES          28u /* of one REPLIES entry */
#define CLIENT_LOG_ENTRY_BYTES      48u /* of one LOG_REPLY entry */
#define CLIENT_ADMIN_ARGUMENT_BYTES 64u
#define CLIENT_ADMIN_TEXT_BYTES     200u
#define CLIENT_READ_REQUEST_BYTES   24u  /* beside the question, the header included */
#define CLIENT_READ_REPLY_BYTES     32u  /* beside the answer, the header included */
#define CLIENT_MSG_FIXED_BYTES_MAX  512u /* holds every payload without bodies or entries */

enum client_reply_kind {
	CLIENT_REPLY_APPLIED = 1,    /* status and result are the machine's */
	CLIENT_REPLY_REGISTERED = 2, /* session answers token */
	CLIENT_REPLY_TABLE_FULL = 3, /* token cannot be registered now: again later */
	CLIENT_REPLY_GAP = 4,        /* result = last seq known here: send from the one after */
	CLIENT_REPLY_STALE = 5,      /* executed long ago, its answer is no longer kept */
	CLIENT_REPLY_NO_SESSION = 6, /* never registered: never executed */
	CLIENT_REPLY_MISMATCH = 7,   /* this seq was used with another body */
	CLIENT_REPLY_TOO_LARGE = 8,  /* over command_bytes_max */
	/* it gave way to another session: not executed now, nor from now on */
	CLIENT_REPLY_EVICTED = 9,
	CLIENT_REPLY_KIND_AFTER = 10,
};

struct client_reply {
	enum client_reply_kind kind;
	uint16_t status;
	struct decree_session session;
	/* seq and result, or for REGISTERED and TABLE_FULL the token: they share 16 bytes on the
	 * wire. */
	uint64_t seq;
	uint64_t result;
	uint8_t token[DECREE_UUID_BYTES];
};

enum client_redirect_reason {
	CLIENT_REDIRECT_NOT_LEADER = 1, /* ask `leader`; 0: nobody leads as far as I know */
	CLIENT_REDIRECT_BUSY = 2,       /* window or queue full */
	CLIENT_REDIRECT_NOT_READY = 3,  /* I lead, but what I inherited is not chosen yet */
	CLIENT_REDIRECT_LOG_FULL = 4,
	CLIENT_REDIRECT_REASON_AFTER = 5,
};

enum client_admin_status {
	CLIENT_ADMIN_DONE = 1,
	CLIENT_ADMIN_PENDING = 2,    /* begun: ask again with the same token for the outcome */
	CLIENT_ADMIN_NOT_LEADER = 3, /* ask `leader`; 0: nobody leads as far as I know */
	CLIENT_ADMIN_BUSY = 4,       /* another request is being carried out: again later */
	CLIENT_ADMIN_REFUSED = 5,    /* not possible as things are; nothing was done */
	CLIENT_ADMIN_FAILED = 6,     /* tried, and did not work */
	CLIENT_ADMIN_OFF = 7,        /* this node takes no administrative requests */
	CLIENT_ADMIN_UNKNOWN = 8,    /* no such operation in this version */
	CLIENT_ADMIN_STATUS_AFTER = 9,
};

/* One command too large for a frame, in pieces of any size that arrive in any order. */
struct client_fragment {
	struct decree_session session; /* not 0 */
	uint64_t seq;                  /* not 0 */
	uint32_t total_bytes;
	uint32_t offset_bytes;
	struct decree_digest digest; /* of the whole body */
	const uint8_t *bytes;        /* [count] */
	uint32_t count;              /* >= 1; offset_bytes + count <= total_bytes */
};

enum client_read_status {
	CLIENT_READ_ANSWERED = 1,
	CLIENT_READ_FAILED = 2,        /* the machine's read() says `error` */
	CLIENT_READ_BUSY = 3,          /* too many reads wait here: again later, or elsewhere */
	CLIENT_READ_NOT_SUPPORTED = 4, /* the machine has no read() */
	CLIENT_READ_STATUS_AFTER = 5,
};

struct client_msg {
	enum client_msg_type type;
	uint16_t group;   /* < DECREE_GROUP_COUNT_MAX */
	uint16_t node_id; /* see the header's table */
	uint16_t count;   /* entries of COMMANDS, REPLIES (>= 1) and LOG_REPLY (>= 0) */
	/* wire form, [entries_bytes]; read with the client_*_next() functions */
	const uint8_t *entries;
	uint32_t entries_bytes;
	union {
		struct client_fragment fragment;
		struct {
			enum client_redirect_reason reason;
			uint32_t retry_after_us;
		} redirect;
		struct {
			uint64_t token; /* returned with the reply */
		} status_request;
		struct {
			uint64_t token;
			struct decree_status status;
		} status_reply;
		struct {
			uint64_t token; /* returned with the reply */
		} metrics_request;
		struct { /* client_metrics_read() has the rest */
			uint64_t token;
			uint16_t row_count;
			uint16_t drop_count;
			uint16_t peer_row_count;
		} metrics_reply;
		struct {
			uint64_t token;
			/* not 0; entries from (first, first_index) on ... */
			struct decree_slot first;
			uint16_t first_index;
			uint32_t slot_count; /* ... of at most this many slots, >= 1 */
		} log_request;
		struct {
			uint64_t token;
			struct decree_slot applied; /* of the answering node */
			/* first place not covered: ask there for more, if <= applied */
			struct decree_slot next;
			/* index in that slot, as a slot may not fit one reply */
			uint16_t next_index;
		} log_reply;
		struct {
			uint64_t token; /* returned with the reply */
			enum decree_consistency consistency;
			const uint8_t *query; /* [bytes] 0 .. DECREE_QUERY_BYTES_MAX */
			uint32_t bytes;
		} read_request;
		struct {
			uint64_t token;
			enum client_read_status status;
			uint16_t error;             /* FAILED: an errno > 0, else 0 */
			struct decree_slot applied; /* by the answering node, when it answered */
			const uint8_t *answer;      /* [bytes] 0 .. DECREE_ANSWER_BYTES_MAX */
			uint32_t bytes;             /* 0 unless ANSWERED */
		} read_reply;
		struct {
			uint64_t token; /* not 0; the same in every repetition of one request */
			uint32_t op;    /* enum decree_admin_op; any number decodes */
			const uint8_t *arguments; /* [CLIENT_ADMIN_ARGUMENT_BYTES] */
		} admin_request;
		struct {
			uint64_t token;
			enum client_admin_status status;
			uint16_t leader;     /* NOT_LEADER only, else 0 */
			const uint8_t *text; /* [text_bytes] for the operator, no terminator */
			uint16_t text_bytes; /* <= CLIENT_ADMIN_TEXT_BYTES */
		} admin_reply;
	};
};

/**
 * Write one payload without entries: COMMAND_FRAGMENT, REDIRECT, STATUS_*, LOG_REQUEST, ADMIN_*.
 * @param capacity  CLIENT_MSG_FIXED_BYTES_MAX suffices; a fragment needs CLIENT_FRAGMENT_BYTES +
 *                  its piece
 * @return bytes written, > 0; fields out of range are asserted
 */
uint32_t client_msg_encode(const struct client_msg *m, uint8_t *ret_out, uint32_t capacity);

/** @retval 0 valid as a whole, every entry included  @retval -EBADMSG not such a payload */
int client_msg_decode(const uint8_t *bytes, uint32_t count, struct client_msg *ret_msg);

/* Payloads with entries are written entry by entry into a frame. */
struct client_writer {
	uint8_t *out;
	uint32_t capacity;
	uint32_t bytes;
	uint16_t count;
};

/** @param capacity  at least 64 bytes */
void
client_commands_begin(struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group);
void client_replies_begin(
	struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group, uint16_t leader);
void client_log_reply_begin(struct client_writer *w, uint8_t *out, uint32_t capacity,
	uint16_t group, uint16_t node_id, uint64_t token);

/** @return false if it does not fit any more: finish this payload and begin another */
bool client_commands_add(struct client_writer *w, const struct eng_command *command);
bool client_replies_add(struct client_writer *w, const struct client_reply *reply);
bool client_log_reply_add(struct client_writer *w, const struct decree_log_entry *entry);

/** Write the header's count. @return bytes of the payload; COMMANDS and REPLIES need an entry: 0 if
 * none */
uint32_t client_writer_finish(struct client_writer *w);
uint32_t client_log_reply_finish(struct client_writer *w, struct decree_slot applied,
	struct decree_slot next, uint16_t next_index);

/** Read a decoded payload's entries in order. @param cursor  0 before the first. @return false at
 * the end */
bool
client_command_next(const struct client_msg *m, uint32_t *cursor, struct eng_command *ret_command);
bool
client_reply_next(const struct client_msg *m, uint32_t *cursor, struct client_reply *ret_reply);
bool client_log_entry_next(
	const struct client_msg *m, uint32_t *cursor, struct decree_log_entry *ret_entry);

/**
 * Write a METRICS_REPLY, of as many values as fit.
 * @param capacity  CLIENT_MSG_FIXED_BYTES_MAX suffices for some of them
 * @return bytes written
 */
uint32_t client_metrics_encode(
	const struct decree_metrics *metrics, uint64_t token, uint8_t *out, uint32_t capacity);

/** What a decoded METRICS_REPLY says, of the metrics that are known here; what it does not say is
 * 0. */
void client_metrics_read(const struct client_msg *m, struct decree_metrics *ret_metrics);

static inline bool
is_client_msg(const uint8_t *bytes, uint32_t count)
{
	return count > 0 && bytes[0] >= CLIENT_MSG_COMMANDS && bytes[0] < CLIENT_MSG_TYPE_AFTER;
}

#endif
