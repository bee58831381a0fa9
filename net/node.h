/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * What the files of net that know DPDK share among themselves: ports, rings between shards, and the
 * hand-shaking by which the control thread takes a port away from the shards to restart it.
 *
 * Taking a port away. The control thread clears `is_wanted`. Each shard looks at it in tick(),
 * stops using the port, and clears its `is_used`. When no shard uses it, the control thread may
 * stop the device. Nothing of this costs the hot path anything: it looks at a flag of its own
 * shard.
 */
#ifndef DECREE_NET_NODE_H
#define DECREE_NET_NODE_H

#include "base/memory.h"
#include "net/path.h"
#include "net/tap.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdatomic.h>

#define DEVICE_BYTES 512

enum port_state {
	PORT_STOPPED = 0, /* dev_start has not succeeded yet */
	PORT_RUNNING = 1,
	PORT_DRAINING = 2, /* waiting for the shards to let go */
};

/* How frames get to their shards: steer.h. */
enum port_steering {
	STEERING_NONE = 0, /* one shard; or the port has not started yet */
	STEERING_RULES = 1,
	STEERING_HASH = 2,
	STEERING_DRIVER = 3,
	STEERING_HANDOVER = 4,
	STEERING_COUNT = 5,
};

struct port {
	/* What the shards look at for each burst; nobody writes it while they run. */
	uint16_t id; /* EAL's */
	/* 1 .. shard_count; shard i owns queue i, and sends for shards i + k * count */
	uint16_t queue_count;
	bool has_udp_offload; /* sending */
	bool has_hash;        /* RSS over UDP's ports is on */
	char device[DEVICE_BYTES];
	bool is_hosts;        /* it was there before us, and will be there after us */
	bool is_memif_client; /* starts when its server is there; restarts when its link goes down */

	/* owner: the control thread, which looks a hundred times a second whether the link is up */
	BASE_OWN_LINE _Atomic bool is_wanted; /* -> shards, which look in tick() */
	_Atomic bool is_up;                   /* link state, for the status */
	enum port_state state;
	uint64_t state_ns; /* since when, or when to try again */
	/* a memif client's last start, as the control thread knows it; 0: none yet */
	uint64_t started_ns;
	_Atomic enum port_steering steering;            /* others read it, relaxed */
	struct rte_flow *rules[DECREE_SHARD_COUNT_MAX]; /* by shard; NULL: none */
};

BASE_ASSERT_APART(struct port, is_memif_client, is_wanted);
BASE_ASSERT_WHOLE_LINES(struct port);

/* What a shard publishes of a peer in tick(): words that the control thread may read at any time. */
struct published_peer {
	_Atomic uint64_t
		state; /* state | refusal << 8 | has_address << 16 | reach << 24 | versions << 32, << 40
				* | version_required << 48 */
	_Atomic uint64_t boot_count;
	_Atomic uint64_t refused_count;
	_Atomic uint64_t session_count;
};

/* owner: its shard's thread, but for the atomics */
struct net {
	struct path path;
	struct net_node *node;
	uint16_t shard;
	/* What passes through our queues is copied while `is_tapped`: the shard's own word, brought
	 * up to date in tick(), so that the hot path pays for one branch. */
	bool is_tapped;
	uint64_t now_ns; /* of the call from the loop */
	struct rte_mempool *pool;
	bool is_port_on[NET_PORT_COUNT_MAX]; /* may be used in this turn */
	uint32_t first_port;       /* where recv() begins, so that no port starves the others */
	uint32_t full_burst_count; /* turns in a row in which some port had a full burst */
	struct rte_mbuf *staged[NET_PORT_COUNT_MAX][NET_BURST]; /* send(), by port */
	uint32_t staged_count[NET_PORT_COUNT_MAX];
	/* Now and then, for others. */
	BASE_OWN_LINE struct published_peer published[NET_PEER_COUNT_MAX];
	_Atomic bool is_port_used[NET_PORT_COUNT_MAX]; /* is_port_on, for the control thread */
	_Atomic bool is_tap_used; /* shard -> control side; release: it pushes no more */
	BASE_OWN_LINE _Atomic bool is_tap_wanted; /* control side -> shard */
	struct tap tap;
};
BASE_ASSERT_APART(struct net, staged_count, published);
BASE_ASSERT_APART(struct net, is_tap_used, is_tap_wanted);
BASE_ASSERT_APART(struct net, is_tap_wanted, tap);
BASE_ASSERT_WHOLE_LINES(struct net);

struct net_node {
	struct port ports[NET_PORT_COUNT_MAX];
	uint32_t port_count;
	uint16_t shard_count;
	uint16_t base_port;
	uint16_t mtu;
	uint32_t peer_count;
	uint16_t peer_ports[NET_PEER_COUNT_MAX]; /* index of each peer's port */
	enum net_auth_mode auth;
	bool is_eal_hosts; /* as in the configuration */
	uint64_t owner_id; /* ours, among those who share EAL's ports */
	struct path_neighbours neighbours;
	struct net *shards; /* [shard_count] */
	/* [from * shard_count + to], single producer, single consumer; NULL if every port has a
	 * queue for every shard and from == to */
	struct rte_ring **received_rings; /* frames that arrived at the wrong shard */
	struct rte_ring **sending_rings;  /* frames for a port whose queue another shard owns */
	char description[128];
};
BASE_ASSERT_APART(struct net_node, owner_id, neighbours);
BASE_ASSERT_APART(struct net_node, neighbours, shards);

/** Find the device among EAL's ports, or make EAL probe it, and own it: what succeeds here ends with
 * port_close().
 * @retval -ENODEV  EAL cannot make it  @retval -EBUSY  it has an owner */
int port_take(struct net_node *node, struct port *port, char *ret_error);

/** Configure queues and offloads. The pools exist. @return 0 or -errno with ret_error written */
int port_configure(struct net_node *node, struct port *port, char *ret_error);

/** Start it, with its flow rules. A memif client without a server is left stopped, for the control
 * thread to retry. */
int port_start(const struct net_node *node, struct port *port, char *ret_error);

/** Stop it, its flow rules first. No shard uses it. */
void port_stop(struct port *port);

/** Stop it if we have started it. Ours is taken out of EAL, the host's given back. */
void port_close(struct net_node *node, struct port *port);

/** Retry, watch and restart: one step of one port. Control thread. */
void link_step(struct net_node *node, uint32_t index, uint64_t now_ns);

/** The shard's half: take up and let go of ports as the control thread wishes. */
void link_sync(struct net *net);

#endif
