/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wire.h
 * The network path of three nodes without a device: each frame is sealed by the sender's `struct
 * path`, moves as a pointer, and is taken apart by the receiver's, as behind a port that checks and
 * fills in checksums itself.
 */
#ifndef TESTS_BUDGET_WIRE_H
#define TESTS_BUDGET_WIRE_H

#include "net/net_ops.h"
#include "net/path.h"

#define WIRE_NODE_COUNT 3
#define WIRE_MTU_MAX    9000

/* What an MTU leaves for a message (net.h). */
#define WIRE_PAYLOAD_BYTES(mtu) ((mtu)-76)

struct wire;

/* The `void *net` of a shard. */
struct wire_net {
	struct wire *wire;
	struct path path;
	struct path_neighbours neighbours;
	struct wire_frame *first; /* arrived */
	struct wire_frame **last;
	uint64_t frame_count; /* sent */
	uint64_t byte_count;  /* of Ethernet frames */
};

extern const struct net_ops wire_ops;

/** @return NULL: no memory, or no AES */
struct wire *wire_new(void);

/** @param node_id  1 .. WIRE_NODE_COUNT */
struct wire_net *wire_net(struct wire *w, uint16_t node_id);

#endif
