/* SPDX-License-Identifier: Apache-2.0 */
#include "net/clients.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GENERATION_MASK ((UINT32_C(1) << (32 - CLIENT_INDEX_BITS)) - 1)

int
clients_init(struct clients *c)
{
	struct session_ends ends = {
		.cluster_id = c->cluster_id, .local_node = c->node_id, .shard = c->shard
	};

	decree_assert(c->secret_count >= 1);
	decree_assert(c->secret_count <= HELLO_KEY_COUNT);

	for (uint32_t i = 0; i < c->secret_count; i++)
		hello_keys(c->secrets[i], HELLO_LABEL_CLIENT, &ends, c->send_keys[i],
			c->receive_keys[i]);
	c->places = base_zeros(NET_CLIENT_COUNT_MAX, sizeof(struct client));
	if (c->places == NULL)
		return -ENOMEM;
	return 0;
}

void
clients_fini(struct clients *c)
{
	free(c->places);
	c->places = NULL;
}

static struct session_ends
client_ends(const struct clients *c, const uint8_t *token)
{
	return (struct session_ends){
		.cluster_id = c->cluster_id,
		.local_node = c->node_id,
		.shard = c->shard,
		.token = token,
	};
}

static uint32_t
place_to_wire(const struct clients *c, const struct client *client)
{
	uint32_t index = (uint32_t)(client - c->places);

	return (client->generation & GENERATION_MASK) << CLIENT_INDEX_BITS | index;
}

static struct client *
find_by_token(struct clients *c, const uint8_t *token)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (memcmp(c->places[i].token, token, DECREE_UUID_BYTES) == 0)
			return &c->places[i];
	return NULL;
}

/* Tokens are random, so their first byte is as good as a hash. */
static uint64_t *
epoch_of(struct clients *c, const uint8_t *token)
{
	static_assert(CLIENT_EPOCH_COUNT == 256, "indexed by a byte");
	return &c->epochs[token[0]];
}

static void
make_cookie(struct clients *c, const struct hello *hello, uint8_t *ret_cookie)
{
	uint8_t info[DECREE_UUID_BYTES + NONCE_BYTES + 8];

	memcpy(info, hello->token, DECREE_UUID_BYTES);
	memcpy(info + DECREE_UUID_BYTES, hello->nonce, NONCE_BYTES);
	store_u64(info + DECREE_UUID_BYTES + NONCE_BYTES, *epoch_of(c, hello->token));
	auth_derive(
		c->cookie_secret, "decree cookie 1", info, sizeof(info), ret_cookie, NONCE_BYTES);
}

/* @return a place for a newcomer, NULL if everybody has been heard lately */
static struct client *
take_place(struct clients *c, uint64_t now_ns)
{
	struct client *oldest = &c->places[0];

	if (c->count < NET_CLIENT_COUNT_MAX)
		return &c->places[c->count++];
	for (uint32_t i = 1; i < c->count; i++)
		if (c->places[i].heard_ns < oldest->heard_ns)
			oldest = &c->places[i];
	if (now_ns - oldest->heard_ns < CLIENT_SILENCE_NS)
		return NULL;
	++*epoch_of(c, oldest->token);
	return oldest;
}

static enum net_drop
open_session(struct clients *c, uint64_t now_ns, uint32_t key, struct client *client,
	const struct hello *hello, const uint8_t *cookie, const struct client_address *from,
	struct client **ret_client)
{
	struct session_ends ends;

	if (client == NULL)
		client = take_place(c, now_ns);
	else
		++*epoch_of(c, hello->token);
	if (client == NULL)
		return NET_DROP_CLIENT_TABLE_FULL;
	if (++client->generation == 0)
		client->generation = 1;
	memcpy(client->token, hello->token, DECREE_UUID_BYTES);
	memcpy(client->client_nonce, hello->nonce, NONCE_BYTES);
	memcpy(client->node_nonce, cookie, NONCE_BYTES);
	client->heard_ns = now_ns;
	client->address = *from;
	ends = client_ends(c, client->token);
	session_start(c->auth, &client->session, c->secrets[key], c->secrets[key], &ends, cookie,
		hello->nonce, versions_common(base_versions, hello->versions));
	*ret_client = client;
	return NET_DROP_NONE;
}

static uint32_t
make_answer(struct clients *c, uint32_t key, const struct client *client, const struct hello *hello,
	const uint8_t *node_nonce, uint8_t *ret_answer)
{
	struct session_ends ends = client_ends(c, hello->token);
	struct hello answer = {
		.flags = client != NULL ? HELLO_ESTABLISHED : 0,
		.versions = base_versions,
		.identity = c->identity,
		.identity_bytes = c->identity_bytes,
	};

	memcpy(answer.nonce, node_nonce, NONCE_BYTES);
	memcpy(answer.echo, hello->nonce, NONCE_BYTES);
	memcpy(answer.token, hello->token, DECREE_UUID_BYTES);
	return hello_encode(c->auth, c->send_keys[key], &ends,
		client != NULL ? place_to_wire(c, client) : 0, &answer, ret_answer);
}

/* A leaky bucket in units of time. */
static bool
may_answer(struct clients *c, uint64_t now_ns)
{
	if (c->answer_tokens_ns + CLIENT_ANSWER_BURST_NS < now_ns)
		c->answer_tokens_ns = now_ns - CLIENT_ANSWER_BURST_NS;
	if (c->answer_tokens_ns + CLIENT_ANSWER_GAP_NS > now_ns)
		return false;
	c->answer_tokens_ns += CLIENT_ANSWER_GAP_NS;
	return true;
}

/* @return index of the key that a hello was sent under; secret_count: none of ours */
static uint32_t
find_key(const struct clients *c, const uint8_t *frame, uint32_t payload_bytes)
{
	uint32_t key = 0;

	while (key < c->secret_count &&
		!auth_hello_check(c->auth, c->receive_keys[key], frame, payload_bytes))
		key++;
	return key;
}

enum net_drop
clients_hello(struct clients *c, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame, const struct client_address *from, uint8_t *ret_answer,
	uint32_t *ret_answer_bytes)
{
	uint8_t cookie[NONCE_BYTES];
	struct client *client;
	struct hello hello;
	enum net_drop drop;
	uint32_t key;

	*ret_answer_bytes = 0;
	key = find_key(c, frame, header->payload_bytes);
	if (key == c->secret_count)
		return NET_DROP_HELLO_TAG;
	drop = hello_decode(frame + FRAME_HEADER_BYTES, header->payload_bytes, &hello);
	if (drop != NET_DROP_NONE)
		return drop;
	client = find_by_token(c, hello.token);
	if (client != NULL && memcmp(hello.nonce, client->client_nonce, NONCE_BYTES) == 0) {
		/* Of the live session: its answer was lost, or this is a recording. Both get it. */
		if (!may_answer(c, now_ns))
			return NET_DROP_HELLO_RATE;
		*ret_answer_bytes =
			make_answer(c, key, client, &hello, client->node_nonce, ret_answer);
		return NET_DROP_NONE;
	}
	make_cookie(c, &hello, cookie);
	if (memcmp(hello.echo, cookie, NONCE_BYTES) != 0) {
		if (!may_answer(c, now_ns))
			return NET_DROP_HELLO_RATE;
		*ret_answer_bytes = make_answer(c, key, NULL, &hello, cookie, ret_answer);
		return NET_DROP_NONE;
	}

	/* From here on: a client, now, with a nonce that has no session. */

	if (versions_common(base_versions, hello.versions) == 0)
		return NET_DROP_HELLO_VERSION;
	drop = open_session(c, now_ns, key, client, &hello, cookie, from, &client);
	if (drop == NET_DROP_NONE)
		*ret_answer_bytes = make_answer(c, key, client, &hello, cookie, ret_answer);
	return drop;
}

enum net_drop
clients_data(struct clients *c, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame, const struct client_address *from, struct net_endpoint *ret_peer)
{
	uint32_t index = header->client % NET_CLIENT_COUNT_MAX;
	struct client *client = &c->places[index];
	enum net_drop drop;

	if (index >= c->count || place_to_wire(c, client) != header->client)
		return NET_DROP_NO_SESSION;
	drop = session_open(c->auth, &client->session, header, frame);
	if (drop != NET_DROP_NONE)
		return drop;
	client->heard_ns = now_ns;
	client->address = *from;
	*ret_peer = (struct net_endpoint){ .client = (uint16_t)index,
		.client_generation = client->generation };
	return NET_DROP_NONE;
}

enum net_drop
clients_seal(struct clients *c, const struct net_endpoint *peer, uint8_t *frame,
	uint16_t payload_bytes, struct client_address *ret_to)
{
	struct session_ends ends;
	struct client *client;

	decree_assert(peer->node_id == 0);

	if (peer->client >= c->count)
		return NET_DROP_SEND_NO_SESSION;
	client = &c->places[peer->client];
	if (client->generation != peer->client_generation)
		return NET_DROP_SEND_NO_SESSION;
	ends = client_ends(c, client->token);
	session_seal(
		c->auth, &client->session, &ends, place_to_wire(c, client), frame, payload_bytes);
	*ret_to = client->address;
	return NET_DROP_NONE;
}
