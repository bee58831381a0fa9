/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file path.h
 * Everything between a shard's loop and a device's frames, without the device: Ethernet frames go
 * in, a decision comes out, and the other way round. Pure: time arrives as data, no I/O, no
 * allocation after path_init().
 *
 * A frame that arrives is, in this order: taken apart (ether.h); looked at for cluster, node and
 * shard; handed over if it belongs to another shard; for DATA, its session is found, its tag
 * checked and its counter taken; for HELLO, given to the handshake. The first thing that is wrong
 * ends it, counted.
 *
 * Threads: a struct path belongs to its shard. The neighbours are shared by the node's shards.
 */
#ifndef DECREE_NET_PATH_H
#define DECREE_NET_PATH_H

#include "base/memory.h"
#include "net/clients.h"
#include "net/echo.h"
#include "net/ether.h"
#include "net/handshake.h"
#include "net/net.h"

/* Answers and hellos as whole Ethernet frames. */
#define PATH_CONTROL_BYTES  (ETHER_UDP_BYTES + HELLO_DATAGRAM_BYTES)
#define PATH_HEADER_BYTES   (ETHER_UDP_BYTES + FRAME_HEADER_BYTES) /* before a payload */
#define PATH_ARP_RETRY_NS   (100 * UINT64_C(1000000))
#define PATH_ARP_REFRESH_NS (30 * UINT64_C(1000000000))

/* A young node asks whether somebody else has its address, so often; it ends if somebody has, and
 * an older one only says so. */
#define PATH_PROBE_COUNT   3
#define PATH_PROBE_GAP_NS  (100 * UINT64_C(1000000))
#define PATH_PROBE_LIFE_NS (2 * UINT64_C(1000000000))
#define PATH_PROBE_WAIT_NS (20 * UINT64_C(1000000)) /* for the first answer, before any hello */

/* Echoes are answered to so many at a time, and to nobody while there is more than enough to do. */
#define PATH_ECHO_BURST     16
#define PATH_ECHO_WINDOW_NS (100 * UINT64_C(1000000))
/* Rounds of one small echo and one of full size: often until a full one was answered, then now and
 * then. */
#define PATH_ECHO_ROUND_NS       (1 * UINT64_C(1000000000))
#define PATH_ECHO_ROUND_LONG_NS  (30 * UINT64_C(1000000000))
#define PATH_ECHO_ROUND_PROBE_NS (100 * UINT64_C(1000000))
#define PATH_ECHO_NARROW_ROUNDS  5 /* with only the small one answered, in a row: no accident */

/* Hellos cost a hash each, data frames of nobody nothing: a bound per call of recv. */
#define PATH_HELLO_BURST 8

#define PATH_ECHO_SMALL 1
#define PATH_ECHO_FULL  2

/* By peer, written by whichever shard hears ARP and echoes. */
struct path_neighbours {
	_Atomic uint64_t macs[NET_PEER_COUNT_MAX]; /* bit 48: known */
	_Atomic uint64_t taken_by; /* a young node's address is this MAC's; bit 48 */
	uint64_t echo_nonce;       /* of our echoes, of this life */
	/* Written with each answer, when all that is above is only read, for each frame that is
	 * sent. */
	/* answered since the round began */
	BASE_OWN_LINE _Atomic uint64_t echoes[NET_PEER_COUNT_MAX];
};
BASE_ASSERT_APART(struct path_neighbours, echo_nonce, echoes);
BASE_ASSERT_WHOLE_LINES(struct path_neighbours);

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

	/* Shard 0's alone. */
	uint64_t echo_due_ns;
	bool is_full_due; /* of the two echoes of a round */
	uint8_t narrow_count;
	enum net_reach reach;
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
	uint16_t mtu;
	bool is_probe; /* ARP and echoes only */
	bool are_clients_allowed;
	uint8_t cluster_key[NET_KEY_BYTES];
	uint8_t cluster_key_also[NET_KEY_BYTES];
	struct path_port ports[NET_PORT_COUNT_MAX];
	uint32_t port_count;
	struct path_peer *peers; /* [peer_count] */
	uint32_t peer_count;
	struct path_neighbours *neighbours;
	struct clients clients;
	/* Others look at these, and at nothing else here. */
	BASE_OWN_LINE struct net_counters counters;

	/* For the loop of one recv(): reset by path_begin(). */
	BASE_OWN_LINE uint32_t hello_count;
	uint32_t client_count;
	uint32_t client_count_max;

	uint32_t poll_peer; /* where path_poll() goes on */
	uint32_t poll_echo; /* where path_next_echo() does */

	uint64_t born_ns; /* the first path_poll() */
	uint32_t probe_count;
	uint64_t probe_due_ns;
	uint64_t echo_window_ns; /* which ends then */
	uint32_t echo_count;     /* answered in it */
};
BASE_ASSERT_APART(struct path, clients, counters);
BASE_ASSERT_APART(struct path, counters, hello_count);
BASE_ASSERT_WHOLE_LINES(struct path);

enum path_verdict {
	PATH_DROP = 0,     /* counted */
	PATH_DELIVER = 1,  /* `payload` and `peer` are set */
	PATH_HANDOVER = 2, /* it belongs to shard `shard` of this node */
	PATH_TAKEN = 3,    /* ARP or handshake: done with it */
	PATH_RETURN = 4,   /* send the frame back as it now is, out of the same port */
};

struct path_received {
	enum path_verdict verdict;
	enum net_drop drop;
	uint8_t shard;
	uint8_t *payload;
	uint32_t payload_bytes;
	struct net_endpoint peer;
	uint8_t version_max;   /* of a node's program */
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

/**
 * An ICMP echo came: answer it in place, or note that a peer has answered ours. For path_receive().
 * @retval NET_DROP_NONE, NET_DROP_FOREIGN, NET_DROP_ECHO_RATE, or what is wrong with it
 */
enum net_drop path_on_echo(struct path *p, uint64_t now_ns, uint16_t port, uint8_t *frame,
	uint32_t frame_bytes, struct path_received *ret_received);

/** The next echo that is due, on shard 0. Call until it returns false; that ends after all peers.
 * @param ret_packet_bytes  path_write_echo() wants 14 bytes more */
bool
path_next_echo(struct path *p, uint64_t now_ns, uint32_t *ret_peer, uint32_t *ret_packet_bytes);

/** Write that echo. @param ret_port  index of the port to send it from */
void path_write_echo(struct path *p, uint32_t peer, uint32_t packet_bytes, uint8_t *ret_frame,
	uint16_t *ret_port);

/** From now on peers that do not speak @p version get no session. */
void path_require(struct path *p, uint8_t version);

/** @param index  0 .. peer_count - 1 */
void path_peer_status(const struct path *p, uint32_t index, struct net_peer_status *ret_status);

#endif
