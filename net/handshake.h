/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file handshake.h
 * How two nodes agree on keys: one symmetric message, HELLO, and a state machine without clock,
 * randomness or I/O.
 *
 * The happy path. Each side has a nonce of its own, fresh at its start:
 *  1. A sends HELLO {nonce a, echo 0}. B now has heard a, which may be a recording.
 *  2. B answers {nonce b, echo a}. The echo proves to A that B is alive: A derives keys from a and
 *     b.
 *  3. A answers {nonce b's echo, ESTABLISHED}. B derives the same keys, and knows that A has them.
 *  4. B answers {ESTABLISHED, CONFIRMED}. Nobody answers a CONFIRMED hello, so here it ends.
 *
 * What may go wrong:
 *  - A hello is lost: it is repeated about every 50 ms until the other end is known to have the
 *    keys.
 *  - A recorded hello is replayed: its echo is not our nonce, so it proves nothing and changes
 *    nothing but an answer, whose rate is bounded. If it names an older boot than we have heard of,
 *    it cannot even use up the answers that the living peer needs.
 *  - The peer restarts: its new hello proves a higher boot_count, and replaces the session.
 *  - A proved hello has a lower boot_count (a restored disk), or an equal one and another nonce
 *    (two processes with one identity), while the session is in use; or unfitting constants:
 *    refused, counted, shown in the status. If the session is silent it gets one, so that the core
 *    may tell it what it is.
 *  - The cluster key is being changed, node by node: each node sends under one key and takes
 *    another as well. What comes is told by its tag, and each direction's keys are derived from its
 *    sender's: nothing has to be agreed on.
 *  - No version is spoken by both ends: refused like constants that do not fit, and each side says
 *    what the other speaks.
 *  - Both nonces together are new whenever either side starts. A recording that was proved before
 *    (our nonce stays the same for our life) can still take the place of a silent session, whose
 *    peer gets it back under the same keys: so counters run on through all sessions of our life,
 *    and what was heard under a nonce is remembered.
 *
 * Payload of a HELLO frame, little-endian (the tag is in the frame header, under a key of its own):
 *
 *     0  u8[16] sender's nonce         56  u8  flags: 1 established, 2 confirmed
 *    16  u8[16] echo of the receiver's 57  u8  0
 *    32  u64    boot_count (client: 0) 58  u16 identity bytes, 0 .. 256
 *    40  u8[16] client token (node: 0) 60  u8  lowest version that the sender speaks
 *                                      61  u8  highest
 *                                      62  u16 0
 *                                      64  identity
 */
#ifndef DECREE_NET_HANDSHAKE_H
#define DECREE_NET_HANDSHAKE_H

#include "base/version.h"
#include "net/auth.h"

#define HELLO_FIXED_BYTES        64
#define HELLO_DATAGRAM_BYTES     (FRAME_HEADER_BYTES + HELLO_FIXED_BYTES + NET_IDENTITY_BYTES_MAX)
#define HELLO_INTERVAL_NS        (50 * UINT64_C(1000000)) /* +- 20 % */
#define HELLO_ANSWER_GAP_NS      (5 * UINT64_C(1000000)) /* between answers to hellos of one kind */
#define HELLO_SESSION_SILENCE_NS (UINT64_C(2000000000)) /* ten times T: its node is dead, or idle */
#define HELLO_ESTABLISHED        1
#define HELLO_CONFIRMED          2
#define HELLO_KEY_COUNT          2 /* live at a time, while a key is being changed */
#define HELLO_PAST_COUNT         8 /* replaced sessions that are remembered */

struct hello {
	uint8_t nonce[NONCE_BYTES];
	uint8_t echo[NONCE_BYTES];
	uint64_t boot_count;
	uint8_t token[DECREE_UUID_BYTES];
	uint8_t flags;
	struct versions versions; /* 1 <= min <= max */
	const uint8_t *identity;  /* into the frame */
	uint16_t identity_bytes;
};

/** Decode a HELLO's payload. @retval NET_DROP_HELLO_MALFORMED */
enum net_drop hello_decode(const uint8_t *payload, uint32_t payload_bytes, struct hello *ret_hello);

/** Write a whole HELLO datagram, tag included.
 * @param key  [NET_KEY_BYTES] of this direction
 * @param ret_datagram  [HELLO_DATAGRAM_BYTES] @return its bytes */
uint32_t hello_encode(const struct auth *auth, const uint8_t *key, const struct session_ends *ends,
	uint32_t client, const struct hello *hello, uint8_t *ret_datagram);

/** The static keys of both directions between two ends.
 * @param label  what kind of pair: HELLO_LABEL_NODE or HELLO_LABEL_CLIENT */
void hello_keys(const uint8_t *secret, const char *label, const struct session_ends *ends,
	uint8_t *ret_send_key, uint8_t *ret_receive_key);
#define HELLO_LABEL_NODE   "decree node hello 1"
#define HELLO_LABEL_CLIENT "decree client hello 1"

struct handshake_config {
	const struct auth *auth;    /* must stay */
	struct session_ends ends;   /* between nodes */
	const uint8_t *secret;      /* [NET_KEY_BYTES] the cluster key; must stay */
	const uint8_t *secret_also; /* the peer may use this one; NULL: it may not. Must stay */
	uint8_t nonce[NONCE_BYTES]; /* fresh random bytes, never used for another pair or life */
	uint64_t boot_count;
	struct versions versions; /* that this end speaks; 0, 0: base_versions */
	const uint8_t *identity;  /* must stay */
	uint16_t identity_bytes;
	bool (*accept_identity)(
		void *context, uint16_t node_id, const uint8_t *identity, uint32_t identity_bytes);
	void *accept_context;
};

/* A session that another one has replaced. */
struct handshake_past {
	uint8_t peer_nonce[NONCE_BYTES];
	struct replay replay;
};

struct handshake {
	struct handshake_config config;
	uint8_t send_key[NET_KEY_BYTES];                      /* of hellos */
	uint8_t receive_keys[HELLO_KEY_COUNT][NET_KEY_BYTES]; /* of `secret`, of `secret_also` */

	bool is_heard;                    /* an authentic hello came, perhaps a recording */
	uint8_t heard_nonce[NONCE_BYTES]; /* of the highest boot heard: what our own hellos echo */
	uint64_t heard_boot_count;

	bool is_established; /* `session` is live */
	bool is_confirmed;   /* and the peer is known to have it */
	uint8_t peer_nonce[NONCE_BYTES];
	uint64_t peer_boot_count;
	struct versions
		peer_versions;    /* of the last proved hello, refused or not; 0, 0: none yet */
	uint8_t peer_version_max; /* of the life that has the session */
	struct session session;
	uint64_t session_count;
	uint64_t session_heard_ns; /* of its last payload; written by whoever opens them */

	enum net_drop refusal; /* of the last proved hello */
	uint64_t refused_count;

	uint64_t hello_due_ns;
	/* [1]: to hellos of the highest boot heard; [0]: to all others */
	uint64_t answer_due_ns[2];
	uint64_t jitter; /* state of a small generator, seeded from the nonce */

	struct handshake_past past[HELLO_PAST_COUNT]; /* the last ones, in turns */
	uint64_t past_count;                          /* so many in all */
};

void handshake_init(struct handshake *h, const struct handshake_config *config);

/** @return the version that two ends talk at, 0: there is none */
uint8_t versions_common(struct versions a, struct versions b);

/** From now on only ends that speak @p version get a session. */
void handshake_require(struct handshake *h, uint8_t version);

/**
 * Take a HELLO frame from the peer.
 * @param header      decoded; its ends and cluster are the ones of this handshake
 * @param ret_answer  [HELLO_DATAGRAM_BYTES]
 * @param ret_answer_bytes  0: nothing to send
 * @retval NET_DROP_NONE  taken; otherwise why it was dropped (an answer may still be due)
 */
enum net_drop
handshake_receive(struct handshake *h, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame, uint8_t *ret_answer, uint32_t *ret_answer_bytes);

/** @return bytes of the hello that is due now, 0 = none */
uint32_t handshake_poll(struct handshake *h, uint64_t now_ns, uint8_t *ret_datagram);

#endif
