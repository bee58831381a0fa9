/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file transport.h
 * Payloads to and from the nodes of a cluster over one UDP socket: addresses, authenticated
 * sessions, batches of datagrams per system call.
 *
 * Nothing here waits for anybody. A datagram that does not leave or arrive is lost, as on any
 * network.
 *
 * Threads: one.  Memory: taken in transport_open() only.
 */
#ifndef ENGINE_CLIENT_TRANSPORT_H
#define ENGINE_CLIENT_TRANSPORT_H

#include "engine/runtime/config.h"
#include "net/udp_session.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define TRANSPORT_BATCH 32 /* datagrams per system call */

struct transport_node {
	uint16_t node_id;
	struct sockaddr_in address;
	struct udp_session session;
	uint64_t hello_due_ns;
	bool was_established;
};

struct transport {
	int fd;
	uint32_t datagram_bytes; /* largest, mtu - IP and UDP header */
	uint32_t node_count;
	struct transport_node nodes[DECREE_NODE_COUNT_MAX];
	uint8_t *memory; /* 2 * TRANSPORT_BATCH datagrams: to send, then received */
	uint32_t send_count;
	uint32_t receive_count;
	uint32_t receive_next;
	struct mmsghdr send_headers[TRANSPORT_BATCH];
	struct iovec send_pieces[TRANSPORT_BATCH];
	struct mmsghdr receive_headers[TRANSPORT_BATCH];
	struct iovec receive_pieces[TRANSPORT_BATCH];
	struct sockaddr_in receive_addresses[TRANSPORT_BATCH];
	uint64_t lost_count; /* datagrams that the socket did not take */
};

/** Open a socket and a session to the shard of @p group on every node. Blocks: no; see
 * transport_tick().
 * @param ret_error  [DECREE_ERROR_BYTES] */
int transport_open(struct transport *t, const struct config *c, uint16_t group, char *ret_error);
void transport_close(struct transport *t);

/** Capacity of one payload. */
uint32_t transport_payload_bytes_max(const struct transport *t);

/** Handshakes: at least every 10 ms. */
void transport_tick(struct transport *t, uint64_t now_ns);

/** @return NULL: not a node of this cluster */
struct transport_node *transport_find(struct transport *t, uint16_t node_id);

/** A place for the next payload, [transport_payload_bytes_max()]. Never NULL. */
uint8_t *transport_payload(struct transport *t);

/** Seal and queue what was written there. It leaves with transport_flush(), or when the batch is
 * full. Without a session it is dropped. */
void transport_send(struct transport *t, uint64_t now_ns, uint16_t node_id, uint32_t bytes);
void transport_flush(struct transport *t);

/**
 * The next authentic payload, if one has arrived.
 * @param ret_payload  lent until the next call
 */
bool transport_receive(struct transport *t, uint64_t now_ns, uint16_t *ret_node_id,
	const uint8_t **ret_payload, uint32_t *ret_bytes);

#endif
