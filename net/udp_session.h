/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file udp_session.h
 * A client's end of a session with one shard of one node, for hosts with ordinary UDP sockets.
 * Bytes in, bytes out: the socket, the clock and the random numbers are the caller's.
 *
 *     for (;;) {
 *         n = udp_session_hello(&s, now, random16, buffer);        // often; at least every 10 ms
 *         if (n > 0) send(buffer, n);
 *         n = recv(buffer);
 *         drop = udp_session_receive(&s, now, buffer, n, &payload, &payload_bytes);
 *         if (drop == NET_DROP_NONE && payload != NULL) use(payload);
 *         if (udp_session_is_established(&s)) {
 *             write up to the MTU's worth at buffer + UDP_SESSION_HEADER_BYTES;
 *             send(buffer, udp_session_seal(&s, now, buffer, payload_bytes));
 *         }
 *     }
 *
 * A node that restarted has forgotten us and keeps silent. So when nothing authentic has come for
 * half a second since we last sent, a new handshake runs beside the old session, under a new nonce,
 * and replaces it when the node has proved itself. A recording can do neither.
 *
 * Threads: one at a time. Memory: the caller's. Cost: 2 KiB per session.
 */
#ifndef DECREE_NET_UDP_SESSION_H
#define DECREE_NET_UDP_SESSION_H

#include "net/handshake.h"

#define UDP_SESSION_HEADER_BYTES FRAME_HEADER_BYTES
#define UDP_SESSION_HELLO_BYTES  HELLO_DATAGRAM_BYTES
#define UDP_SESSION_SILENCE_NS   (500 * UINT64_C(1000000))

struct udp_session_config {
	uint64_t cluster_id;
	uint16_t node_id; /* of the node at the other end */
	uint8_t shard;    /* its UDP port is base_port + shard */
	enum net_auth_mode auth;
	uint8_t client_key[NET_KEY_BYTES]; /* ignored under NET_AUTH_NONE */
	uint8_t token[DECREE_UUID_BYTES];  /* random, this client's for its life */
};

struct udp_session {
	struct auth auth;
	struct udp_session_config config;
	uint8_t send_key[NET_KEY_BYTES];
	uint8_t receive_key[NET_KEY_BYTES];

	bool is_pending; /* a handshake is running */
	uint8_t pending_nonce[NONCE_BYTES];
	uint8_t cookie[NONCE_BYTES]; /* the node's answer to it; zeros: none yet */
	uint64_t hello_due_ns;

	bool is_established;
	uint32_t client; /* our place in the node's table */
	struct session session;
	uint64_t unanswered_ns; /* when we first sent since we last heard; 0: we did not */
	uint64_t session_count;
};

/** @retval 0  @retval -EINVAL node_id is 0  @retval -ENOMEM  @retval -ENOTSUP */
int udp_session_init(struct udp_session *s, const struct udp_session_config *config);
void udp_session_fini(struct udp_session *s);

bool udp_session_is_established(const struct udp_session *s);

/**
 * The hello that is due, if any.
 * @param random        [16] fresh random bytes at every call; used when a new handshake begins
 * @param ret_datagram  [UDP_SESSION_HELLO_BYTES]
 * @return its bytes, 0 = nothing is due
 */
uint32_t udp_session_hello(
	struct udp_session *s, uint64_t now_ns, const uint8_t *random, uint8_t *ret_datagram);

/**
 * Take a datagram from the node's address.
 * @param ret_payload  into the datagram; NULL: it was a hello, call udp_session_hello() next
 * @retval NET_DROP_NONE, or why it was dropped
 */
enum net_drop udp_session_receive(struct udp_session *s, uint64_t now_ns, const uint8_t *datagram,
	uint32_t bytes, const uint8_t **ret_payload, uint32_t *ret_payload_bytes);

/** Seal the payload at datagram + UDP_SESSION_HEADER_BYTES. The session is established.
 * @return the bytes to send */
uint32_t
udp_session_seal(struct udp_session *s, uint64_t now_ns, uint8_t *datagram, uint16_t payload_bytes);

#endif
