/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file clients.h
 * One shard's clients: ordinary UDP hosts that hold the client key.
 *
 *  1. A client sends HELLO {token, its fresh nonce}. The node remembers nothing: its answer's nonce
 *     is a keyed hash of token, client nonce and an epoch.
 *  2. The client echoes it. That proves that the hello is of now; only then the client takes a
 *     place, and the answer carries ESTABLISHED and the place (`client` in the frame header).
 *  3. Data flows; replies go where the last authenticated data frame came from.
 *
 * When a place is taken from a silent client, or a client opens a new session, the epoch of its
 * token moves on: recordings of the old handshake then prove nothing, and no key is used twice.
 * Epochs are kept per hash of the token, so that one client's restarts do not disturb the others.
 *
 * A full table refuses newcomers, unless somebody has been silent for 10 s: then the longest silent
 * loses its place.
 */
#ifndef DECREE_NET_CLIENTS_H
#define DECREE_NET_CLIENTS_H

#include "net/ether.h"
#include "net/handshake.h"

#include <assert.h>

#define CLIENT_INDEX_BITS  10
#define CLIENT_SILENCE_NS  (10 * UINT64_C(1000000000))
#define CLIENT_EPOCH_COUNT 256
/* Answers to unproved hellos: 1,000 per second, in bursts of at most 64. */
#define CLIENT_ANSWER_GAP_NS   UINT64_C(1000000)
#define CLIENT_ANSWER_BURST_NS (64 * CLIENT_ANSWER_GAP_NS)
static_assert(NET_CLIENT_COUNT_MAX == 1 << CLIENT_INDEX_BITS, "the place fits its field");

/* Where replies go. */
struct client_address {
	struct ether_address ether;
	uint16_t port; /* index of the port that heard it */
};

struct client {
	uint32_t generation; /* 0: never used */
	uint8_t token[DECREE_UUID_BYTES];
	uint8_t client_nonce[NONCE_BYTES];
	uint8_t node_nonce[NONCE_BYTES];
	uint64_t heard_ns;
	struct client_address address;
	struct session session;
};

struct clients {
	const struct auth *auth;
	uint64_t cluster_id;
	uint16_t node_id;
	uint8_t shard;
	const uint8_t *identity; /* shown to clients in hellos */
	uint16_t identity_bytes;
	/* Client keys, any of which a client may hold; it is answered under its own. */
	uint8_t secrets[HELLO_KEY_COUNT][NET_KEY_BYTES];
	uint32_t secret_count; /* 1, or 2 while the key is being changed */
	uint8_t send_keys[HELLO_KEY_COUNT][NET_KEY_BYTES];
	uint8_t receive_keys[HELLO_KEY_COUNT][NET_KEY_BYTES];
	uint8_t cookie_secret[NET_KEY_BYTES]; /* random, of this life */
	uint64_t epochs[CLIENT_EPOCH_COUNT];
	uint64_t answer_tokens_ns; /* time up to which answers have been spent */
	struct client *places;     /* [NET_CLIENT_COUNT_MAX] */
	uint32_t count;            /* places taken so far; they fill from 0 */
};

/** The constant fields of @p c are set by the caller; this derives the rest and takes the places.
 * @retval 0  @retval -ENOMEM */
int clients_init(struct clients *c);
void clients_fini(struct clients *c);

/** Take a HELLO from a client; the same contract as handshake_receive(). */
enum net_drop clients_hello(struct clients *c, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame, const struct client_address *from, uint8_t *ret_answer,
	uint32_t *ret_answer_bytes);

/** Take a DATA frame. @param ret_peer  client and client_generation on success */
enum net_drop clients_data(struct clients *c, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame, const struct client_address *from, struct net_endpoint *ret_peer);

/** Seal a DATA frame to a client. @retval NET_DROP_SEND_NO_SESSION  its place is another's by now */
enum net_drop clients_seal(struct clients *c, const struct net_endpoint *peer, uint8_t *frame,
	uint16_t payload_bytes, struct client_address *ret_to);

#endif
