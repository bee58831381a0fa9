/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp_session.h"

#include "base/assert.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

static struct session_ends
ends_of(const struct udp_session *s)
{
	return (struct session_ends){
		.cluster_id = s->config.cluster_id,
		.remote_node = s->config.node_id,
		.shard = s->config.shard,
		.token = s->config.token,
	};
}

int
udp_session_init(struct udp_session *s, const struct udp_session_config *config)
{
	struct session_ends ends;
	int rc;

	*s = (struct udp_session){ .config = *config };
	if (config->node_id == 0)
		return -EINVAL;
	if (config->auth == NET_AUTH_NONE)
		memset(s->config.client_key, 0, NET_KEY_BYTES);
	rc = auth_init(&s->auth, config->auth);
	if (rc != 0)
		return rc;
	ends = ends_of(s);
	hello_keys(s->config.client_key, HELLO_LABEL_CLIENT, &ends, s->send_key, s->receive_key);
	return 0;
}

void
udp_session_fini(struct udp_session *s)
{
	if (s == NULL)
		return;
	auth_fini(&s->auth);
	sodium_memzero(s, sizeof(*s));
}

bool
udp_session_is_established(const struct udp_session *s)
{
	return s->is_established;
}

/* Have we sent something that should have been answered by now? */
static bool
is_silent(const struct udp_session *s, uint64_t now_ns)
{
	return s->unanswered_ns != 0 && now_ns - s->unanswered_ns >= UDP_SESSION_SILENCE_NS;
}

uint32_t
udp_session_hello(
	struct udp_session *s, uint64_t now_ns, const uint8_t *random, uint8_t *ret_datagram)
{
	struct session_ends ends = ends_of(s);
	struct hello hello = { 0 };

	if (!s->is_pending) {
		if (s->is_established && !is_silent(s, now_ns))
			return 0;
		s->is_pending = true;
		memcpy(s->pending_nonce, random, NONCE_BYTES);
		memset(s->cookie, 0, NONCE_BYTES);
		s->hello_due_ns = now_ns;
	}
	if (now_ns < s->hello_due_ns)
		return 0;
	s->hello_due_ns = now_ns + HELLO_INTERVAL_NS;
	memcpy(hello.nonce, s->pending_nonce, NONCE_BYTES);
	memcpy(hello.echo, s->cookie, NONCE_BYTES);
	memcpy(hello.token, s->config.token, DECREE_UUID_BYTES);
	hello.versions = base_versions;
	return hello_encode(&s->auth, s->send_key, &ends, 0, &hello, ret_datagram);
}

static enum net_drop
on_hello(struct udp_session *s, uint64_t now_ns, const struct frame_header *header,
	const uint8_t *frame)
{
	struct session_ends ends = ends_of(s);
	struct hello hello;
	enum net_drop drop;
	uint8_t version;

	if (!auth_hello_check(&s->auth, s->receive_key, frame, header->payload_bytes))
		return NET_DROP_HELLO_TAG;
	drop = hello_decode(frame + FRAME_HEADER_BYTES, header->payload_bytes, &hello);
	if (drop != NET_DROP_NONE)
		return drop;
	if (!s->is_pending || memcmp(hello.echo, s->pending_nonce, NONCE_BYTES) != 0 ||
		memcmp(hello.token, s->config.token, DECREE_UUID_BYTES) != 0)
		return NET_DROP_REPLAY; /* of an earlier handshake, or of another client's */

	/* From here on: the node answers the handshake in progress. */

	version = versions_common(base_versions, hello.versions);
	if (version == 0)
		return NET_DROP_HELLO_VERSION;

	if (!(hello.flags & HELLO_ESTABLISHED)) {
		if (memcmp(s->cookie, hello.nonce, NONCE_BYTES) != 0)
			s->hello_due_ns = now_ns; /* echo it at once */
		memcpy(s->cookie, hello.nonce, NONCE_BYTES);
		return NET_DROP_NONE;
	}
	session_start(&s->auth, &s->session, s->config.client_key, s->config.client_key, &ends,
		s->pending_nonce, hello.nonce, version);
	s->client = header->client;
	s->is_pending = false;
	s->is_established = true;
	s->session_count++;
	s->unanswered_ns = 0;
	return NET_DROP_NONE;
}

enum net_drop
udp_session_receive(struct udp_session *s, uint64_t now_ns, const uint8_t *datagram, uint32_t bytes,
	const uint8_t **ret_payload, uint32_t *ret_payload_bytes)
{
	struct frame_header header;
	enum net_drop drop = frame_decode(datagram, bytes, &header);

	*ret_payload = NULL;
	*ret_payload_bytes = 0;
	if (drop != NET_DROP_NONE)
		return drop;
	if (header.cluster_id != s->config.cluster_id)
		return NET_DROP_CLUSTER;
	if (header.source_node != s->config.node_id || header.target_node != 0)
		return NET_DROP_NODE;
	if (header.source_shard != s->config.shard || header.target_shard != s->config.shard)
		return NET_DROP_SHARD;
	if (header.kind == FRAME_HELLO)
		return on_hello(s, now_ns, &header, datagram);
	if (!s->is_established || header.client != s->client)
		return NET_DROP_NO_SESSION;
	drop = session_open(&s->auth, &s->session, &header, datagram);
	if (drop != NET_DROP_NONE)
		return drop;
	s->unanswered_ns = 0;
	*ret_payload = datagram + FRAME_HEADER_BYTES;
	*ret_payload_bytes = header.payload_bytes;
	return NET_DROP_NONE;
}

uint32_t
udp_session_seal(struct udp_session *s, uint64_t now_ns, uint8_t *datagram, uint16_t payload_bytes)
{
	struct session_ends ends = ends_of(s);

	decree_assert(s->is_established);

	if (s->unanswered_ns == 0)
		s->unanswered_ns = now_ns;
	session_seal(&s->auth, &s->session, &ends, s->client, datagram, payload_bytes);
	return FRAME_HEADER_BYTES + payload_bytes;
}
