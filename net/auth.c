/* SPDX-License-Identifier: Apache-2.0 */
#include "net/auth.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

int
auth_init(struct auth *auth, enum net_auth_mode mode)
{
	*auth = (struct auth){ .mode = mode };
	if (sodium_init() < 0)
		return -ENOTSUP;
	if (mode == NET_AUTH_NONE)
		return 0;
	auth->manager = alloc_mb_mgr(0);
	if (auth->manager == NULL)
		return -ENOMEM;
	init_mb_mgr_auto(auth->manager, NULL);
	if (imb_get_errno(auth->manager) != 0) {
		auth_fini(auth);
		return -ENOTSUP;
	}
	return 0;
}

void
auth_fini(struct auth *auth)
{
	if (auth == NULL || auth->manager == NULL)
		return;
	free_mb_mgr(auth->manager);
	auth->manager = NULL;
}

void
auth_derive(const uint8_t *secret, const char *label, const void *info, uint32_t info_bytes,
	uint8_t *ret_key, uint32_t ret_bytes)
{
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, secret, NET_KEY_BYTES, ret_bytes);
	crypto_generichash_update(&hash, (const uint8_t *)label, strlen(label) + 1);
	crypto_generichash_update(&hash, info, info_bytes);
	crypto_generichash_final(&hash, ret_key, ret_bytes);
}

void
auth_key_set(const struct auth *auth, const uint8_t *raw, struct auth_key *ret_key)
{
	if (auth->mode == NET_AUTH_NONE)
		memcpy(ret_key->cookie, raw, sizeof(ret_key->cookie));
	else
		IMB_AES128_GCM_PRE(auth->manager, raw, &ret_key->gmac);
}

static void
data_tag(const struct auth *auth, const struct auth_key *key, uint64_t counter,
	const uint8_t *frame, uint32_t payload_bytes, uint8_t *ret_tag)
{
	struct gcm_context_data context;
	uint8_t nonce[12] = { 0 };

	if (auth->mode == NET_AUTH_NONE) {
		memcpy(ret_tag, key->cookie, FRAME_TAG_BYTES);
		return;
	}
	store_u64(nonce, counter);
	IMB_AES128_GMAC_INIT(auth->manager, &key->gmac, &context, nonce, sizeof(nonce));
	IMB_AES128_GMAC_UPDATE(auth->manager, &key->gmac, &context, frame, FRAME_SIGNED_BYTES);
	if (payload_bytes > 0)
		IMB_AES128_GMAC_UPDATE(auth->manager, &key->gmac, &context,
			frame + FRAME_HEADER_BYTES, payload_bytes);
	IMB_AES128_GMAC_FINALIZE(auth->manager, &key->gmac, &context, ret_tag, FRAME_TAG_BYTES);
}

void
auth_seal(const struct auth *auth, const struct auth_key *key, uint64_t counter, uint8_t *frame,
	uint32_t payload_bytes)
{
	data_tag(auth, key, counter, frame, payload_bytes, frame + FRAME_SIGNED_BYTES);
}

/* In the same time whatever the tags are: nobody learns how much of a guess was right. */
static bool
is_same_tag(const uint8_t *a, const uint8_t *b)
{
	static_assert(FRAME_TAG_BYTES == 16, "two words");
	return ((load_u64(a) ^ load_u64(b)) | (load_u64(a + 8) ^ load_u64(b + 8))) == 0;
}

bool
auth_check(const struct auth *auth, const struct auth_key *key, uint64_t counter,
	const uint8_t *frame, uint32_t payload_bytes)
{
	uint8_t tag[FRAME_TAG_BYTES];

	data_tag(auth, key, counter, frame, payload_bytes, tag);
	return is_same_tag(tag, frame + FRAME_SIGNED_BYTES);
}

static void
hello_tag(const struct auth *auth, const uint8_t *key, const uint8_t *frame, uint32_t payload_bytes,
	uint8_t *ret_tag)
{
	crypto_generichash_state hash;

	if (auth->mode == NET_AUTH_NONE) {
		memset(ret_tag, 0, FRAME_TAG_BYTES);
		return;
	}
	crypto_generichash_init(&hash, key, NET_KEY_BYTES, FRAME_TAG_BYTES);
	crypto_generichash_update(&hash, frame, FRAME_SIGNED_BYTES);
	crypto_generichash_update(&hash, frame + FRAME_HEADER_BYTES, payload_bytes);
	crypto_generichash_final(&hash, ret_tag, FRAME_TAG_BYTES);
}

void
auth_hello_seal(const struct auth *auth, const uint8_t *key, uint8_t *frame, uint32_t payload_bytes)
{
	hello_tag(auth, key, frame, payload_bytes, frame + FRAME_SIGNED_BYTES);
}

bool
auth_hello_check(
	const struct auth *auth, const uint8_t *key, const uint8_t *frame, uint32_t payload_bytes)
{
	uint8_t tag[FRAME_TAG_BYTES];

	hello_tag(auth, key, frame, payload_bytes, tag);
	return is_same_tag(tag, frame + FRAME_SIGNED_BYTES);
}

/* One direction's key: everything that tells this stream from any other, in the sender's order. */
static void
stream_key(const struct auth *auth, const uint8_t *secret, const struct session_ends *ends,
	bool is_sending, const uint8_t *source_nonce, const uint8_t *target_nonce,
	struct auth_key *ret_key)
{
	const char *label = ends->token != NULL ? "decree client data 1" : "decree node data 1";
	uint8_t info[8 + 2 + 2 + 1 + 1 + DECREE_UUID_BYTES + 2 * NONCE_BYTES] = { 0 };
	uint8_t raw[16];

	store_u64(info, ends->cluster_id);
	store_u16(info + 8, is_sending ? ends->local_node : ends->remote_node);
	store_u16(info + 10, is_sending ? ends->remote_node : ends->local_node);
	info[12] = ends->shard;
	info[13] = ends->shard;
	if (ends->token != NULL)
		memcpy(info + 14, ends->token, DECREE_UUID_BYTES);
	memcpy(info + 30, source_nonce, NONCE_BYTES);
	memcpy(info + 46, target_nonce, NONCE_BYTES);
	auth_derive(secret, label, info, sizeof(info), raw, sizeof(raw));
	auth_key_set(auth, raw, ret_key);
	sodium_memzero(raw, sizeof(raw));
}

void
session_start(const struct auth *auth, struct session *s, const uint8_t *send_secret,
	const uint8_t *receive_secret, const struct session_ends *ends, const uint8_t *local_nonce,
	const uint8_t *remote_nonce, uint8_t version)
{
	stream_key(auth, send_secret, ends, true, local_nonce, remote_nonce, &s->send_key);
	stream_key(auth, receive_secret, ends, false, remote_nonce, local_nonce, &s->receive_key);
	s->version = version;
	s->sent_counter = 0;
	s->replay = (struct replay){ 0 };
}

void
session_seal(const struct auth *auth, struct session *s, const struct session_ends *ends,
	uint32_t client, uint8_t *frame, uint16_t payload_bytes)
{
	struct frame_header header = {
		.kind = FRAME_DATA,
		.version = s->version,
		.source_node = ends->local_node,
		.target_node = ends->remote_node,
		.source_shard = ends->shard,
		.target_shard = ends->shard,
		.payload_bytes = payload_bytes,
		.client = client,
		.cluster_id = ends->cluster_id,
		.counter = ++s->sent_counter,
	};

	decree_assert(
		s->sent_counter != 0); /* 2^64 frames: a repeated nonce would give the key away */
	frame_encode(&header, frame);
	auth_seal(auth, &s->send_key, header.counter, frame, payload_bytes);
}

enum net_drop
session_open(const struct auth *auth, struct session *s, const struct frame_header *header,
	const uint8_t *frame)
{
	if (!auth_check(auth, &s->receive_key, header->counter, frame, header->payload_bytes))
		return NET_DROP_TAG;
	if (header->version != s->version)
		return NET_DROP_VERSION;
	if (!replay_take(&s->replay, header->counter))
		return NET_DROP_REPLAY;
	return NET_DROP_NONE;
}
