/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file auth.h
 * Keys and tags. Data frames: AES-128-GMAC (libipsec-mb) under a key that no two processes' lives
 * share, with the frame counter as the nonce. Hellos, whose keys are static: BLAKE2b keyed hash
 * (libsodium), since GMAC must never see a nonce twice under one key.
 *
 * Under NET_AUTH_NONE all of it runs with keys of zero: the tag of a data frame is then the
 * session's key itself, a cookie. It keeps out frames of an earlier life by accident, and nobody by
 * intent.
 *
 * Threads: a struct auth belongs to one shard.
 */
#ifndef DECREE_NET_AUTH_H
#define DECREE_NET_AUTH_H

#include "net/frame.h"
#include "net/net.h"
#include "net/replay.h"

#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stdint.h>

#define NONCE_BYTES 16

struct auth {
	enum net_auth_mode mode;
	IMB_MGR *manager; /* NULL under NET_AUTH_NONE */
};

struct auth_key {
	/* The library stores the key schedule with aligned moves; 16 is what malloc() gives. */
	struct gcm_key_data gmac __attribute__((aligned(16)));
	uint8_t cookie[FRAME_TAG_BYTES]; /* NET_AUTH_NONE only */
};

/** @retval 0  @retval -ENOMEM  @retval -ENOTSUP the processor lacks what libipsec-mb needs */
int auth_init(struct auth *auth, enum net_auth_mode mode);
void auth_fini(struct auth *auth);

/** ret_key = BLAKE2b(key = secret, message = label | 0 | info). @param secret [NET_KEY_BYTES] */
void auth_derive(const uint8_t *secret, const char *label, const void *info, uint32_t info_bytes,
	uint8_t *ret_key, uint32_t ret_bytes);

/** Expand 16 bytes of derived key. */
void auth_key_set(const struct auth *auth, const uint8_t *raw, struct auth_key *ret_key);

/** Write the tag of a data frame into its header. @param frame  header (tag excepted) and payload */
void auth_seal(const struct auth *auth, const struct auth_key *key, uint64_t counter,
	uint8_t *frame, uint32_t payload_bytes);

/** Is the tag right? Constant time in the tag. */
bool auth_check(const struct auth *auth, const struct auth_key *key, uint64_t counter,
	const uint8_t *frame, uint32_t payload_bytes);

/** The same two for hellos. @param key [NET_KEY_BYTES] */
void auth_hello_seal(
	const struct auth *auth, const uint8_t *key, uint8_t *frame, uint32_t payload_bytes);
bool auth_hello_check(
	const struct auth *auth, const uint8_t *key, const uint8_t *frame, uint32_t payload_bytes);

/* One established pair of streams. */
struct session {
	struct auth_key send_key;
	struct auth_key receive_key;
	uint64_t sent_counter; /* of the last frame sealed */
	struct replay replay;
	uint8_t version; /* of its frames */
};

/** Who is at the two ends of a session, as both of them see it. */
struct session_ends {
	uint64_t cluster_id;
	uint16_t local_node;  /* 0: the client */
	uint16_t remote_node; /* 0: the client */
	uint8_t shard;        /* sessions join equal shards */
	const uint8_t *token; /* [DECREE_UUID_BYTES] the client's, NULL between nodes */
};

/** Derive both keys from both nonces and start the counters anew.
 * @param send_secret, receive_secret  [NET_KEY_BYTES] the sender's key of either direction: two
 *                                     keys while they are being rotated, else one
 * @param version  of its frames: both ends must have come to the same */
void session_start(const struct auth *auth, struct session *session, const uint8_t *send_secret,
	const uint8_t *receive_secret, const struct session_ends *ends, const uint8_t *local_nonce,
	const uint8_t *remote_nonce, uint8_t version);

/** Complete a data frame: header, tag. @param frame  payload is in place behind the header
 * @param client  the header's field, 0 between nodes */
void session_seal(const struct auth *auth, struct session *session, const struct session_ends *ends,
	uint32_t client, uint8_t *frame, uint16_t payload_bytes);

/** @retval NET_DROP_NONE  authentic and fresh; @retval NET_DROP_TAG  @retval NET_DROP_REPLAY
 * @retval NET_DROP_VERSION */
enum net_drop session_open(const struct auth *auth, struct session *session,
	const struct frame_header *header, const uint8_t *frame);

#endif
