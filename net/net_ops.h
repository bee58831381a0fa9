/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file net_ops.h
 * What a shard's loop sees of the network: bursts of authenticated payloads from and to nodes and
 * clients. The network knows no ballots: payloads are opaque bytes.
 *
 * Threads:  every call belongs to the shard that owns the queue pair. Nothing blocks or allocates.
 * Errors:   there are none: a network may lose anything. Losses that we cause are counted.
 */
#ifndef DECREE_NET_OPS_H
#define DECREE_NET_OPS_H

#include "decree/types.h"

#include <stdbool.h>
#include <stdint.h>

#define NET_BURST 32 /* frames handled per indirect call */

/* Who is at the other end: a node (its node_id, 1 .. 65535) or a client (its place in this shard's
 * table of clients, which is reused after the client has been silent for long). */
struct net_endpoint {
	uint16_t node_id;           /* 0: a client */
	uint16_t client;            /* index, if node_id is 0 */
	uint32_t client_generation; /* tells a reused place; send() drops frames for an older one */
};

struct net_frame {
	/* inside the frame; capacity payload_bytes_max of the network when sending */
	uint8_t *payload;
	uint32_t payload_bytes;
	/* recv: the proved sender; send: the destination, set by the caller */
	struct net_endpoint peer;
	uint8_t version_max; /* recv, from a node: the highest version that its program speaks; 0 = not said */
	void *handle; /* the implementation's (an mbuf) */
};

struct net_ops {
	/** Frames whose authenticity, freshness and addressing have been checked. They stay ours to
	 * read until release(). @return 0 .. count_max */
	uint32_t (*recv)(
		void *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max);

	/** Give received frames back. */
	void (*release)(void *net, struct net_frame *frames, uint32_t count);

	/** Empty frames to write payloads into. @return 0 .. count; fewer when the pool is dry */
	uint32_t (*alloc)(void *net, struct net_frame *ret_frames, uint32_t count);

	/** Send frames from alloc(), in order; they are gone afterwards whatever happens. A frame
	 * for a peer without a session is dropped and counted. */
	void (*send)(void *net, uint64_t now_ns, struct net_frame *frames, uint32_t count);

	/** Handshakes, ARP, link recovery: call at least every 10 ms. Bounded work. NULL: there is
	 * none. */
	void (*tick)(void *net, uint64_t now_ns);

	/** From now on a node that does not speak @p version gets no session; those that there are
	 * stay. NULL: no matter */
	void (*require)(void *net, uint8_t version);
};

#endif
