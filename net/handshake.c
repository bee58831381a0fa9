/* SPDX-License-Identifier: Apache-2.0 */
#include "net/handshake.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <string.h>

static bool
nonce_eq(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, NONCE_BYTES) == 0;
}

enum net_drop
hello_decode(const uint8_t *p, uint32_t payload_bytes, struct hello *ret_hello)
{
	struct hello h;

	if (payload_bytes < HELLO_FIXED_BYTES)
		return NET_DROP_HELLO_MALFORMED;
	memcpy(h.nonce, p, NONCE_BYTES);
	memcpy(h.echo, p + 16, NONCE_BYTES);
	h.boot_count = load_u64(p + 32);
	memcpy(h.token, p + 40, DECREE_UUID_BYTES);
	h.flags = p[56];
	h.versions = (struct versions){ .min = p[60], .max = p[61] };
	h.identity_bytes = load_u16(p + 58);
	h.identity = p + HELLO_FIXED_BYTES;
	if (h.flags > (HELLO_ESTABLISHED | HELLO_CONFIRMED) || p[57] != 0 || load_u16(p + 62) != 0)
		return NET_DROP_HELLO_MALFORMED;
	if (h.versions.min == 0 || h.versions.min > h.versions.max)
		return NET_DROP_HELLO_MALFORMED;
	if (h.identity_bytes > NET_IDENTITY_BYTES_MAX ||
		h.identity_bytes != payload_bytes - HELLO_FIXED_BYTES)
		return NET_DROP_HELLO_MALFORMED;
	*ret_hello = h;
	return NET_DROP_NONE;
}

uint32_t
hello_encode(const struct auth *auth, const uint8_t *key, const struct session_ends *ends,
	uint32_t client, const struct hello *hello, uint8_t *ret_datagram)
{
	uint8_t *p = ret_datagram + FRAME_HEADER_BYTES;
	struct frame_header header = {
		.kind = FRAME_HELLO,
		.source_node = ends->local_node,
		.target_node = ends->remote_node,
		.source_shard = ends->shard,
		.target_shard = ends->shard,
		.payload_bytes = (uint16_t)(HELLO_FIXED_BYTES + hello->identity_bytes),
		.client = client,
		.cluster_id = ends->cluster_id,
	};

	decree_assert(hello->identity_bytes <= NET_IDENTITY_BYTES_MAX);

	frame_encode(&header, ret_datagram);
	memcpy(p, hello->nonce, NONCE_BYTES);
	memcpy(p + 16, hello->echo, NONCE_BYTES);
	store_u64(p + 32, hello->boot_count);
	memcpy(p + 40, hello->token, DECREE_UUID_BYTES);
	p[56] = hello->flags;
	p[57] = 0;
	store_u16(p + 58, hello->identity_bytes);
	p[60] = hello->versions.min;
	p[61] = hello->versions.max;
	store_u16(p + 62, 0);
	if (hello->identity_bytes > 0)
		memcpy(p + HELLO_FIXED_BYTES, hello->identity, hello->identity_bytes);
	auth_hello_seal(auth, key, ret_datagram, header.payload_bytes);
	return FRAME_HEADER_BYTES + header.payload_bytes;
}

static void
hello_key(const uint8_t *secret, const char *label, uint64_t cluster_id, uint16_t source,
	uint16_t target, uint8_t shard, uint8_t *ret_key)
{
	uint8_t info[13];

	store_u64(info, cluster_id);
	store_u16(info + 8, source);
	store_u16(info + 10, target);
	info[12] = shard;
	auth_derive(secret, label, info, sizeof(info), ret_key, NET_KEY_BYTES);
}

void
hello_keys(const uint8_t *secret, const char *label, const struct session_ends *ends,
	uint8_t *ret_send_key, uint8_t *ret_receive_key)
{
	hello_key(secret, label, ends->cluster_id, ends->local_node, ends->remote_node, ends->shard,
		ret_send_key);
	hello_key(secret, label, ends->cluster_id, ends->remote_node, ends->local_node, ends->shard,
		ret_receive_key);
}

void
handshake_init(struct handshake *h, const struct handshake_config *config)
{
	uint8_t unused[NET_KEY_BYTES]; /* we send under the first key */

	decree_assert(config->ends.local_node != 0 && config->ends.remote_node != 0);
	decree_assert(config->ends.local_node != config->ends.remote_node);

	*h = (struct handshake){ .config = *config };
	if (config->versions.max == 0)
		h->config.versions = base_versions;
	hello_keys(
		config->secret, HELLO_LABEL_NODE, &config->ends, h->send_key, h->receive_keys[0]);
	if (config->secret_also != NULL)
		hello_keys(config->secret_also, HELLO_LABEL_NODE, &config->ends, unused,
			h->receive_keys[1]);
	h->jitter = load_u64(config->nonce) | 1;
}

uint8_t
versions_common(struct versions a, struct versions b)
{
	uint8_t highest = a.max < b.max ? a.max : b.max;

	return highest >= a.min && highest >= b.min ? highest : 0;
}

void
handshake_require(struct handshake *h, uint8_t version)
{
	decree_assert(version <= h->config.versions.max);

	if (h->config.versions.min < version)
		h->config.versions.min = version;
}

/* Our hello as of now. @param echo  the nonce that it proves to have heard */
static uint32_t
make_hello(struct handshake *h, const uint8_t *echo, uint8_t *ret_datagram)
{
	struct hello hello = {
		.boot_count = h->config.boot_count,
		.versions = h->config.versions,
		.identity = h->config.identity,
		.identity_bytes = h->config.identity_bytes,
	};

	memcpy(hello.nonce, h->config.nonce, NONCE_BYTES);
	memcpy(hello.echo, echo, NONCE_BYTES);
	if (h->is_established && nonce_eq(echo, h->peer_nonce))
		hello.flags = HELLO_ESTABLISHED | (h->is_confirmed ? HELLO_CONFIRMED : 0);
	return hello_encode(h->config.auth, h->send_key, &h->config.ends, 0, &hello, ret_datagram);
}

/* A proved hello, not of the live session: may its sender have a new one? A session that has fallen
 * silent is not protected: whether this is an old copy of a disk is then the core's to say, and the
 * sender shall hear it. */
static enum net_drop
judge_newcomer(const struct handshake *h, uint64_t now_ns, const struct hello *hello)
{
	bool is_protected =
		h->session_count > 0 && now_ns < h->session_heard_ns + HELLO_SESSION_SILENCE_NS;

	if (is_protected && hello->boot_count < h->peer_boot_count)
		return NET_DROP_HELLO_OLD_BOOT;
	if (is_protected && hello->boot_count == h->peer_boot_count)
		return NET_DROP_HELLO_TWIN;
	if (versions_common(h->config.versions, hello->versions) == 0)
		return NET_DROP_HELLO_VERSION;
	if (h->config.accept_identity != NULL &&
		!h->config.accept_identity(h->config.accept_context, h->config.ends.remote_node,
			hello->identity, hello->identity_bytes))
		return NET_DROP_HELLO_IDENTITY;
	return NET_DROP_NONE;
}

static void
remember_session(struct handshake *h)
{
	struct handshake_past *past = &h->past[h->past_count++ % HELLO_PAST_COUNT];

	memcpy(past->peer_nonce, h->peer_nonce, NONCE_BYTES);
	past->replay = h->session.replay;
}

/* What was heard in an earlier session with this life of the peer; nothing, if there was none. */
static struct replay
recall_replay(const struct handshake *h, const uint8_t *peer_nonce)
{
	uint64_t oldest = h->past_count > HELLO_PAST_COUNT ? h->past_count - HELLO_PAST_COUNT : 0;

	for (uint64_t i = h->past_count; i-- > oldest;) {
		const struct handshake_past *past = &h->past[i % HELLO_PAST_COUNT];

		if (nonce_eq(past->peer_nonce, peer_nonce))
			return past->replay;
	}
	return (struct replay){ 0 };
}

/* The keys may be those of an earlier session: see handshake.h. */
static void
open_session(struct handshake *h, const struct hello *hello, const uint8_t *peer_secret)
{
	uint64_t sent_counter = h->session.sent_counter;

	if (h->is_established)
		remember_session(h);
	session_start(h->config.auth, &h->session, h->config.secret, peer_secret, &h->config.ends,
		h->config.nonce, hello->nonce,
		versions_common(h->config.versions, hello->versions));
	h->session.sent_counter = sent_counter; /* no counter twice under one key */
	h->session.replay = recall_replay(h, hello->nonce);
	memcpy(h->peer_nonce, hello->nonce, NONCE_BYTES);
	h->peer_boot_count = hello->boot_count;
	h->peer_version_max = hello->versions.max;
	h->is_established = true;
	h->is_confirmed = false;
	h->session_count++;
}

static enum net_drop
on_proved(
	struct handshake *h, uint64_t now_ns, const struct hello *hello, const uint8_t *peer_secret)
{
	bool is_live = h->is_established && nonce_eq(hello->nonce, h->peer_nonce);

	if (!is_live) {
		enum net_drop refusal = judge_newcomer(h, now_ns, hello);

		h->peer_versions = hello->versions;
		h->refusal = refusal;
		if (refusal != NET_DROP_NONE) {
			h->refused_count++;
			return refusal;
		}
		open_session(h, hello, peer_secret);
		h->session_heard_ns = now_ns;
	}
	if (hello->flags & HELLO_ESTABLISHED)
		h->is_confirmed = true;
	return NET_DROP_NONE;
}

static void
note_heard(struct handshake *h, const struct hello *hello)
{
	if (h->is_heard && hello->boot_count < h->heard_boot_count)
		return;
	h->is_heard = true;
	h->heard_boot_count = hello->boot_count;
	memcpy(h->heard_nonce, hello->nonce, NONCE_BYTES);
}

/* @return the cluster key that the hello was sent under; NULL: none of ours */
static const uint8_t *
find_secret(const struct handshake *h, const uint8_t *frame, uint32_t payload_bytes)
{
	const struct handshake_config *c = &h->config;

	if (auth_hello_check(c->auth, h->receive_keys[0], frame, payload_bytes))
		return c->secret;
	if (c->secret_also != NULL &&
		auth_hello_check(c->auth, h->receive_keys[1], frame, payload_bytes))
		return c->secret_also;
	return NULL;
}

enum net_drop
handshake_receive(struct handshake *h, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame, uint8_t *ret_answer, uint32_t *ret_answer_bytes)
{
	const uint8_t *peer_secret;
	enum net_drop drop;
	struct hello hello;
	uint64_t *answer_due_ns;

	decree_assert(header->kind == FRAME_HELLO);
	decree_assert(header->source_node == h->config.ends.remote_node);

	*ret_answer_bytes = 0;
	peer_secret = find_secret(h, frame, header->payload_bytes);
	if (peer_secret == NULL)
		return NET_DROP_HELLO_TAG;
	drop = hello_decode(frame + FRAME_HEADER_BYTES, header->payload_bytes, &hello);
	if (drop != NET_DROP_NONE)
		return drop;

	/* From here on: the peer wrote this, now or in some earlier life. */

	note_heard(h, &hello);
	if (nonce_eq(hello.echo, h->config.nonce)) {
		drop = on_proved(h, now_ns, &hello, peer_secret);
		if (drop != NET_DROP_NONE)
			return drop;
	}
	if (hello.flags & HELLO_CONFIRMED)
		return NET_DROP_NONE; /* it knows all that an answer could tell */

	answer_due_ns = &h->answer_due_ns[hello.boot_count >= h->heard_boot_count];
	if (now_ns < *answer_due_ns && !nonce_eq(hello.echo, h->config.nonce))
		return NET_DROP_HELLO_RATE;
	*answer_due_ns = now_ns + HELLO_ANSWER_GAP_NS;
	*ret_answer_bytes = make_hello(h, hello.nonce, ret_answer);
	return NET_DROP_NONE;
}

/* 40 .. 60 ms, so that nodes which start together do not stay in step. */
static uint64_t
next_interval_ns(struct handshake *h)
{
	h->jitter ^= h->jitter << 13;
	h->jitter ^= h->jitter >> 7;
	h->jitter ^= h->jitter << 17;
	return HELLO_INTERVAL_NS * 4 / 5 + h->jitter % (HELLO_INTERVAL_NS * 2 / 5);
}

uint32_t
handshake_poll(struct handshake *h, uint64_t now_ns, uint8_t *ret_datagram)
{
	static const uint8_t nothing[NONCE_BYTES];

	if (h->is_established && h->is_confirmed)
		return 0;
	if (now_ns < h->hello_due_ns)
		return 0;
	h->hello_due_ns = now_ns + next_interval_ns(h);
	if (h->is_established)
		return make_hello(h, h->peer_nonce, ret_datagram);
	return make_hello(h, h->is_heard ? h->heard_nonce : nothing, ret_datagram);
}
