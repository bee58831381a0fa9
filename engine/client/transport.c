/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client/transport.h"

#include "base/assert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define IP_UDP_BYTES 28
#define HELLO_PERIOD_NS                                                                            \
	UINT64_C(5000000) /* the session itself decides which of these calls sends */
#define SOCKET_BUFFER_BYTES (4 << 20)

static uint8_t *
send_place(struct transport *t, uint32_t index)
{
	return t->memory + (size_t)index * t->datagram_bytes;
}

static uint8_t *
receive_place(struct transport *t, uint32_t index)
{
	return send_place(t, TRANSPORT_BATCH + index);
}

static int
open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int bytes = SOCKET_BUFFER_BYTES;

	if (fd < 0)
		return -errno;
	/* Best effort, the second pair for privileged users: smaller buffers cost retransmissions. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static int
open_node(struct transport_node *node, const struct config *c, const struct config_node *from,
	struct udp_session_config *session)
{
	node->node_id = from->node_id;
	node->address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(from->ipv4),
		.sin_port = htons((uint16_t)(c->base_port + session->shard)),
	};
	session->node_id = from->node_id;
	if (getrandom(session->token, sizeof(session->token), 0) != (ssize_t)sizeof(session->token))
		return -EIO;
	return udp_session_init(&node->session, session);
}

static void
prepare_headers(struct transport *t)
{
	for (uint32_t i = 0; i < TRANSPORT_BATCH; i++) {
		t->send_pieces[i].iov_base = send_place(t, i);
		t->send_headers[i].msg_hdr = (struct msghdr){
			.msg_namelen = sizeof(struct sockaddr_in),
			.msg_iov = &t->send_pieces[i],
			.msg_iovlen = 1,
		};
		t->receive_pieces[i].iov_base = receive_place(t, i);
	}
}

int
transport_open(struct transport *t, const struct config *c, uint16_t group, char *ret_error)
{
	struct udp_session_config session = {
		.cluster_id = c->cluster_id,
		.shard = (uint8_t)config_group_to_shard(c, group),
		.auth = c->auth == CONFIG_AUTH_GMAC ? NET_AUTH_GMAC : NET_AUTH_NONE,
	};
	int rc = 0;

	*t = (struct transport){ .fd = -1, .datagram_bytes = c->mtu - IP_UDP_BYTES };
	if (c->auth == CONFIG_AUTH_GMAC)
		rc = config_key_read(c->client_key_file, session.client_key, ret_error);
	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < c->node_count && rc == 0; i++) {
		rc = open_node(&t->nodes[i], c, &c->nodes[i], &session);
		t->node_count += rc == 0;
	}
	explicit_bzero(&session, sizeof(session));
	if (rc == 0)
		rc = t->fd = open_socket();
	t->memory = rc >= 0 ? malloc((size_t)2 * TRANSPORT_BATCH * t->datagram_bytes) : NULL;
	if (rc >= 0 && t->memory == NULL)
		rc = -ENOMEM;
	if (rc < 0) {
		(void)snprintf(ret_error, DECREE_ERROR_BYTES,
			"cannot open the client's socket and sessions: %s", strerror(-rc));
		transport_close(t);
		return rc;
	}
	prepare_headers(t);
	return 0;
}

void
transport_close(struct transport *t)
{
	for (uint32_t i = 0; i < t->node_count; i++)
		udp_session_fini(&t->nodes[i].session);
	if (t->fd >= 0)
		(void)close(t->fd); /* nothing is buffered that matters */
	free(t->memory);
	*t = (struct transport){ .fd = -1 };
}

uint32_t
transport_payload_bytes_max(const struct transport *t)
{
	return t->datagram_bytes - UDP_SESSION_HEADER_BYTES;
}

struct transport_node *
transport_find(struct transport *t, uint16_t node_id)
{
	for (uint32_t i = 0; i < t->node_count; i++)
		if (t->nodes[i].node_id == node_id)
			return &t->nodes[i];
	return NULL;
}

/* Sending */

void
transport_flush(struct transport *t)
{
	uint32_t done = 0;

	while (done < t->send_count) {
		int rc = sendmmsg(t->fd, t->send_headers + done, t->send_count - done, 0);

		if (rc > 0) {
			done += (uint32_t)rc;
			continue;
		}
		/* A full socket, an unreachable network, a stale ICMP error: the datagram is lost,
		 * and repeated like any other. Trying the rest clears an error that belonged to one
		 * of them. */
		t->lost_count++;
		done++;
	}
	t->send_count = 0;
}

static void
queue_datagram(struct transport *t, struct transport_node *node, uint32_t bytes)
{
	t->send_pieces[t->send_count].iov_len = bytes;
	t->send_headers[t->send_count].msg_hdr.msg_name = &node->address;
	if (++t->send_count == TRANSPORT_BATCH)
		transport_flush(t);
}

uint8_t *
transport_payload(struct transport *t)
{
	decree_assert(t->send_count < TRANSPORT_BATCH);
	return send_place(t, t->send_count) + UDP_SESSION_HEADER_BYTES;
}

void
transport_send(struct transport *t, uint64_t now_ns, uint16_t node_id, uint32_t bytes)
{
	struct transport_node *node = transport_find(t, node_id);

	decree_assert(bytes <= transport_payload_bytes_max(t));
	if (node == NULL || !udp_session_is_established(&node->session))
		return;
	queue_datagram(t, node,
		udp_session_seal(
			&node->session, now_ns, send_place(t, t->send_count), (uint16_t)bytes));
}

static void
send_hello(struct transport *t, struct transport_node *node, uint64_t now_ns)
{
	static_assert(
		UDP_SESSION_HELLO_BYTES <= 576 - IP_UDP_BYTES, "a hello fits the smallest MTU");
	uint8_t random[16];
	uint32_t bytes;

	node->hello_due_ns = now_ns + HELLO_PERIOD_NS;
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		return; /* again at the next tick */
	bytes = udp_session_hello(&node->session, now_ns, random, send_place(t, t->send_count));
	if (bytes > 0)
		queue_datagram(t, node, bytes);
}

void
transport_tick(struct transport *t, uint64_t now_ns)
{
	for (uint32_t i = 0; i < t->node_count; i++)
		if (now_ns >= t->nodes[i].hello_due_ns)
			send_hello(t, &t->nodes[i], now_ns);
}

/* Receiving */

static void
refill(struct transport *t)
{
	int rc;

	for (uint32_t i = 0; i < TRANSPORT_BATCH; i++) {
		t->receive_pieces[i].iov_len = t->datagram_bytes;
		t->receive_headers[i].msg_hdr = (struct msghdr){
			.msg_name = &t->receive_addresses[i],
			.msg_namelen = sizeof(t->receive_addresses[i]),
			.msg_iov = &t->receive_pieces[i],
			.msg_iovlen = 1,
		};
	}
	do
		rc = recvmmsg(t->fd, t->receive_headers, TRANSPORT_BATCH, MSG_DONTWAIT, NULL);
	while (rc < 0 && errno == EINTR);
	t->receive_count = rc > 0 ? (uint32_t)rc : 0;
	t->receive_next = 0;
}

static struct transport_node *
find_sender(struct transport *t, const struct sockaddr_in *address)
{
	for (uint32_t i = 0; i < t->node_count; i++)
		if (t->nodes[i].address.sin_addr.s_addr == address->sin_addr.s_addr &&
			t->nodes[i].address.sin_port == address->sin_port)
			return &t->nodes[i];
	return NULL;
}

bool
transport_receive(struct transport *t, uint64_t now_ns, uint16_t *ret_node_id,
	const uint8_t **ret_payload, uint32_t *ret_bytes)
{
	for (;;) {
		struct transport_node *node;
		uint32_t index;

		if (t->receive_next == t->receive_count)
			refill(t);
		if (t->receive_count == 0)
			return false;
		index = t->receive_next++;
		node = find_sender(t, &t->receive_addresses[index]);
		*ret_payload = NULL;
		if (node == NULL ||
			(t->receive_headers[index].msg_hdr.msg_flags & MSG_TRUNC) != 0 ||
			udp_session_receive(&node->session, now_ns, receive_place(t, index),
				t->receive_headers[index].msg_len, ret_payload,
				ret_bytes) != NET_DROP_NONE)
			continue;
		if (*ret_payload == NULL) {
			send_hello(t, node, now_ns);
			continue;
		}
		*ret_node_id = node->node_id;
		return true;
	}
}
