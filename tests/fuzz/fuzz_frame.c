/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole receive path below the device: a node hears a sequence of Ethernet frames.
 *
 * Input: one byte (bit 0: authentication none, bit 1: the port vouches for UDP checksums), then
 * frames, each behind its length (u16, little-endian; a last short one is taken as it is). With
 * authentication on, nothing at all may be delivered: the input cannot know the keys. Without, it
 * may, and what is delivered must lie inside the frame.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "net/path.h"
#include "net/udp_session.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct target {
	struct path path;
	struct path pristine;
	struct path_peer pristine_peer;
	struct path_neighbours neighbours;
	struct udp_session client;
	struct udp_session pristine_client;
};

static void
open_target(struct target *t, enum net_auth_mode auth)
{
	struct net_peer_config peer = { .node_id = 2, .ipv4 = 0x0a000002, .base_port = 4200 };
	struct net_config net = { .cluster_id = 7,
		.node_id = 1,
		.boot_count = 5,
		.base_port = 4200,
		.shard_count = 2,
		.port_count = 1,
		.peers = &peer,
		.peer_count = 1,
		.auth = auth,
		.cluster_key = { 0x11 }, /* not the corpus' */
		.client_key = { 0x22 },
		.are_clients_allowed = true };
	struct path_port port = { .ipv4 = 0x0a000001, .mac = { 2, 0, 0, 0, 0, 1 } };
	struct path_config config = {
		.net = &net, .ports = &port, .seed = { 3 }, .neighbours = &t->neighbours
	};
	struct udp_session_config client = {
		.cluster_id = 7, .node_id = 2, .auth = auth, .client_key = { 0x22 }, .token = { 4 }
	};
	uint8_t random[NONCE_BYTES] = { 5 }, hello[UDP_SESSION_HELLO_BYTES];

	if (path_init(&t->path, &config) != 0 || udp_session_init(&t->client, &client) != 0)
		abort();
	(void)udp_session_hello(&t->client, 1, random, hello); /* so that a handshake is pending */
	t->pristine = t->path;
	t->pristine_peer = t->path.peers[0];
	t->pristine_client = t->client;
}

/* Inputs must not depend on each other. */
static void
reset(struct target *t)
{
	memset(t->path.clients.places, 0, sizeof(struct client) * t->path.clients.count);
	memset(&t->neighbours, 0, sizeof(t->neighbours));
	t->path = t->pristine;
	t->path.peers[0] = t->pristine_peer;
	t->client = t->pristine_client;
}

static void
hear(struct target *t, uint64_t now_ns, uint8_t *frame, uint32_t bytes, bool is_checksum_good)
{
	uint8_t answer[PATH_CONTROL_BYTES];
	struct path_received r;
	const uint8_t *payload;
	uint32_t payload_bytes;

	path_receive(&t->path, now_ns, 0, frame, bytes, is_checksum_good, answer, &r);
	decree_assert(r.answer_bytes <= sizeof(answer));
	decree_assert((r.verdict == PATH_DROP) == (r.drop != NET_DROP_NONE));
	if (r.verdict == PATH_DELIVER) {
		decree_assert(t->path.auth.mode == NET_AUTH_NONE);
		decree_assert(r.payload >= frame + PATH_HEADER_BYTES);
		decree_assert(r.payload + r.payload_bytes <= frame + bytes);
	}
	if (r.verdict == PATH_HANDOVER)
		decree_assert(r.shard == 1);
	if (bytes >= ETHER_UDP_BYTES &&
		udp_session_receive(&t->client, now_ns, frame + ETHER_UDP_BYTES,
			bytes - ETHER_UDP_BYTES, &payload, &payload_bytes) == NET_DROP_NONE)
		decree_assert(t->path.auth.mode == NET_AUTH_NONE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct target targets[2];
	static bool is_open;
	struct target *t;
	uint64_t now_ns = 1000000000;
	size_t at = 1;

	if (!is_open) {
		open_target(&targets[0], NET_AUTH_GMAC);
		open_target(&targets[1], NET_AUTH_NONE);
		is_open = true;
	}
	if (bytes == 0)
		return 0;
	t = &targets[data[0] & 1];
	reset(t);
	path_begin(&t->path, UINT32_MAX);
	while (bytes - at >= 2) {
		uint32_t count = load_u16(data + at);
		uint8_t *frame;

		at += 2;
		if (count > bytes - at)
			count = (uint32_t)(bytes - at);
		frame = malloc(count > 0 ? count : 1); /* exact, so that a read beyond is seen */
		if (frame == NULL)
			abort();
		memcpy(frame, data + at, count);
		hear(t, now_ns, frame, count, (data[0] & 2) != 0);
		free(frame);
		at += count;
		now_ns += 10000000;
	}
	return 0;
}
