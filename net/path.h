/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file path.h
 * Everything between a shard's loop and a device's frames, without the device: Ethernet frames go in,
 * a decision comes out, and the other way round. Pure: time arrives as data, no I/O, no allocation
 * after path_init().
 *
 * A frame that arrives is, in this order: taken apart (ether.h); looked at for cluster, node and shard;
 * handed over if it belongs to another shard; for DATA, its session is found, its tag checked and its
 * counter taken; for HELLO, given to the handshake. The first thing that is wrong ends it, counted.
 *
 * Threads: a struct path belongs to its shard. The neighbours are shared by the node's shards.
 */
#ifndef DECREE_NET_PATH_H
#define DECREE_NET_PATH_H

#include "net/clients.h"
#include "net/ether.h"
#include "net/handshake.h"
#include "net/net.h"

/* Answers and hellos as whole Ethernet frames. */
#define PATH_CONTROL_BYTES  (ETHER_UDP_BYTES + HELLO_DATAGRAM_BYTES)
#define PATH_HEADER_BYTES   (ETHER_UDP_BYTES + FRAME_HEADER_BYTES) /* before a payload */
#define PATH_ARP_RETRY_NS   (100 * UINT64_C(1000000))
#define PATH_ARP_REFRESH_NS (30 * UINT64_C(1000000000))

/* Hellos cost a hash each, data frames of nobody nothing: a bound per call of recv. */
#define PATH_HELLO_BURST 8

/* MAC addresses by peer, written by whichever shard hears ARP. bit 48: known. */
struct path_neighbours {
	_Atomic uint64_t macs[NET_PEER_COUNT_MAX];
};

struct path_port {
	uint8_t mac[ETHER_MAC_BYTES];
	uint32_t ipv4;
	uint16_t peer_id; /* 0: shared */
	bool has_udp_offload;
};

struct path_peer {
	struct net_peer_config config;
	uint16_t port; /* index */
	uint64_t arp_due_ns;
	struct handshake handshake;
};

struct path_config {
	const struct net_config *net;
	const struct path_port *ports; /* [net->port_count] */
	uint8_t shard;
	uint8_t seed[NET_KEY_BYTES]; /* random, of this life and this shard */
	struct path_neighbours *neighbours;
};

struct path {
	struct auth auth;
	uint64_t cluster_id;
	uint16_t node_id;
	uint16_t base_port;
	uint8_t shard;
	uint8_t shard_count;
	bool are_clients_allowed;
	uint8_t cluster_key[NET_KEY_BYTES];
	uint8_t cluster_key_also[NET_KEY_BYTES];
	struct path_port ports[NET_PORT_COUNT_MAX];
	uint32_t port_count;
	struct path_peer *peers; /* [peer_count] */
	uint32_t peer_count;
	struct path_neighbours *neighbours;
	struct clients clients;
	struct net_counters counters;

	/* For the loop of one recv(): reset by path_begin(). */
	uint32_t hello_count;
	uint32_t client_count;
	uint32_t client_count_max;

	uint32_t poll_peer; /* where path_poll() goes on */
};

enum path_verdict {
	PATH_DROP = 0,     /* counted */
	PATH_DELIVER = 1,  /* `payload` and `peer` are set */
	PATH_HANDOVER = 2, /* it belongs to shard `shard` of this node */
	PATH_TAKEN = 3,    /* ARP or handshake: done with it */
};

struct path_received {
	enum path_verdict verdict;
	enum net_drop drop;
	uint8_t shard;
	uint8_t *payload;
	uint32_t payload_bytes;
	struct net_endpoint peer;
	uint32_t answer_bytes; /* > 0, with any verdict: send `answer` out of the same port */
};

/** @retval 0  @retval -ENOMEM  @retval -ENOTSUP no AES  @retval -EINVAL a peer has no port */
int path_init(struct path *p, const struct path_config *config);
void path_fini(struct path *p);

/** Start a burst. @param client_count_max  client DATA beyond this is dropped before its tag is
 * checked, until the next path_begin() */
void path_begin(struct path *p, uint32_t client_count_max);

/** Decide about one Ethernet frame.
 * @param port        index of the port it came from
 * @param frame       whole and writable; `payload` will point into it
 * @param is_checksum_good  the port has checked the UDP checksum
 * @param ret_answer  [PATH_CONTROL_BYTES] */
void
path_receive(struct path *p, uint64_t now_ns, uint16_t port, uint8_t *frame, uint32_t frame_bytes,
	bool is_checksum_good, uint8_t *ret_answer, struct path_received *ret_received);

/** Complete a frame whose payload is at frame + PATH_HEADER_BYTES.
 * @param ret_port  index of the port to send it from
 * @retval NET_DROP_NONE, or why it cannot leave (not counted here) */
enum net_drop path_seal(struct path *p, const struct net_endpoint *peer, uint8_t *frame,
	uint32_t payload_bytes, uint16_t *ret_port);

/** The next hello or ARP request that is due. Call until it returns 0; that ends after two rounds of
 * the peers at the latest.
 * @param ret_frame  [PATH_CONTROL_BYTES] */
uint32_t path_poll(struct path *p, uint64_t now_ns, uint8_t *ret_frame, uint16_t *ret_port);

/** @param index  0 .. peer_count - 1 */
void path_peer_status(const struct path *p, uint32_t index, struct net_peer_status *ret_status);

#endif
