/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file net.h
 * The network of one node over DPDK: ports, queues, authenticated sessions with peers and clients.
 *
 * Start: net_eal_args() -> the caller's rte_eal_init() -> net_open() -> one `struct net` per shard
 * for the calls of net_dpdk_ops. On an EAL that somebody else has started, net_open() alone: it
 * makes EAL probe what is missing, and net_close() takes these ports out of EAL again, and no
 * others. Queue i of every port belongs to shard i; a frame that a port delivers to the wrong shard
 * is handed over through a ring.
 *
 * Threads:  net_open(), net_close(): control thread, while no shard runs. net_control_tick(),
 *           status: control thread. net_dpdk_ops on net_shard(n, i): the thread of shard i alone,
 *           which is an lcore of EAL or has called rte_thread_register(): others get no buffer
 *           cache.
 * Errors:   -errno, with one line of text for the operator in `ret_error`.
 * Memory:   taken in net_open() only. Every string and array of the configuration is copied, except
 *           `identity`, which must stay.
 */
#ifndef DECREE_NET_NET_H
#define DECREE_NET_NET_H

#include "base/version.h"
#include "decree/types.h"
#include "net/drop.h"
#include "net/net_ops.h"
#include "net/tap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_PORT_COUNT_MAX     8    /* one shared port, or one per peer, or a mixture */
#define NET_PEER_COUNT_MAX     16   /* voters, and learners or joiners beside them */
#define NET_CLIENT_COUNT_MAX   1024 /* per shard */
#define NET_KEY_BYTES          32
#define NET_IDENTITY_BYTES_MAX 256
#define NET_MTU_DEFAULT        1500
#define NET_MTU_MAX            9000
#define NET_MTU_SPARE                                                                              \
	256 /* in the buffers of a larger MTU: af_packet wants the room of its header, too */
#define NET_MBUF_COUNT_DEFAULT 8192

enum net_auth_mode {
	NET_AUTH_GMAC = 0, /* AES-128-GMAC under keys of this boot, shard pair and direction */
	NET_AUTH_NONE = 1, /* anybody on the wire may speak for anybody: experiments only */
};

/** One port: a DPDK device that EAL has probed. */
struct net_port_config {
	/* "0000:3b:00.0", or a vdev string: "net_memif0,role=server,socket=..." */
	const char *device;
	uint16_t peer_id; /* point-to-point link to this node; 0: shared by all peers without one */
	uint32_t ipv4;    /* our address there, host order */
};

struct net_peer_config {
	uint16_t node_id;
	uint32_t ipv4;      /* host order */
	uint16_t base_port; /* UDP; shard i listens on base_port + i */
	bool has_mac;       /* otherwise ARP asks */
	uint8_t mac[6];
};

struct net_config {
	uint64_t cluster_id;
	uint16_t node_id;
	uint64_t boot_count; /* durable, raised by one at each start (protocol 1.2) */
	uint16_t base_port;  /* UDP; 1 .. 65535 - shard_count */
	uint16_t shard_count;
	uint16_t mtu;        /* 0 = NET_MTU_DEFAULT; the same on all nodes */
	uint32_t mbuf_count; /* per shard, 0 = NET_MBUF_COUNT_DEFAULT; at least 4,096 */

	const struct net_port_config *ports;
	uint32_t port_count;
	bool is_eal_hosts; /* somebody else has started EAL: the ports that it has are not ours to remove */
	const struct net_peer_config *peers; /* without ourselves */
	uint32_t peer_count;

	struct versions versions; /* that this node speaks; 0, 0: base_versions */
	enum net_auth_mode auth;
	uint8_t cluster_key[NET_KEY_BYTES]; /* ignored under NET_AUTH_NONE */
	uint8_t client_key[NET_KEY_BYTES];  /* used if are_clients_allowed */
	bool are_clients_allowed;
	/* Peers and clients may use these, too; this node never does but to answer a client that
	 * did. */
	bool has_cluster_key_also;
	bool has_client_key_also;
	uint8_t cluster_key_also[NET_KEY_BYTES];
	uint8_t client_key_also[NET_KEY_BYTES];

	/* Only look who is there: ARP and echoes, no handshakes and no data. */
	bool is_probe;

	/* Opaque to the net: what peers must know of this node's constants (disk uuid, slot_bytes,
	 * ...). */
	const uint8_t *identity;
	uint16_t identity_bytes; /* 0 .. NET_IDENTITY_BYTES_MAX */
	/* Is a proved peer's identity acceptable? Called on shard threads. NULL: everything is. */
	bool (*accept_identity)(
		void *context, uint16_t node_id, const uint8_t *identity, uint32_t identity_bytes);
	void *accept_context;
};

enum net_peer_state {
	NET_PEER_SILENT = 0,      /* never heard */
	NET_PEER_HEARD = 1,       /* its hello is authentic, not yet proved to be of now */
	NET_PEER_ESTABLISHED = 2, /* payloads flow */
};

/* How much of what we send reaches a peer: told by its answers to ICMP echoes. */
enum net_reach {
	NET_REACH_UNKNOWN = 0, /* it has answered none yet */
	/* it answers small ones, and none of full size: an MTU on the way is too small */
	NET_REACH_NARROW = 1,
	NET_REACH_FULL = 2, /* frames as large as ours ever are get there and back */
};

struct net_peer_status {
	uint16_t node_id;
	enum net_peer_state state;
	uint64_t boot_count; /* the session's */
	/* why its last proved hello was refused; NET_DROP_NONE: it was not */
	enum net_drop refusal;
	uint64_t refused_count;
	struct versions versions; /* that it speaks, by its last proved hello; 0, 0: not known */
	uint8_t version_required; /* the lowest that we take from it */
	uint64_t session_count;   /* sessions since our start: restarts of the peer + 1 */
	bool has_address;         /* its MAC is known */
	enum net_reach reach;     /* as shard 0 sees it */
	bool is_port_up;
};

struct net_node; /* the ports and everything that shards share */
struct net;      /* one shard's part: the `void *net` of net_dpdk_ops */

extern const struct net_ops net_dpdk_ops;

/**
 * Start the ports and prepare one `struct net` per shard.
 *
 * A memif client whose server is not there yet is no error: net_control_tick() keeps trying.
 *
 * @param ret_node   on success; net_close() it before rte_eal_cleanup()
 * @param ret_error  [DECREE_ERROR_BYTES] on failure
 * @retval -ENODEV   a port of the configuration is not among EAL's ports
 * @retval -EBUSY    somebody else in this process uses it
 * @retval -EINVAL   the configuration contradicts itself
 * @retval -ENOMEM, or what the port's driver answered
 */
int net_open(const struct net_config *config, struct net_node **ret_node, char *ret_error);

/** Stop the ports and free everything. NULL is fine. No shard may use its part any more. A port of
 * the host's is stopped, and needs new queues before it is started again. */
void net_close(struct net_node *node);

/** @param shard  0 .. shard_count - 1 */
struct net *net_shard(struct net_node *node, uint16_t shard);

/** Capacity of net_frame.payload when sending: mtu - 76. At least 1,424 at an MTU of 1,500. */
uint32_t net_payload_bytes_max(const struct net_node *node);

/** Slow work, dev_stop and dev_start of links that went down: every 10 .. 100 ms, control thread.
 * May block for some milliseconds. Never called by a shard. */
void net_control_tick(struct net_node *node, uint64_t now_ns);

/** Status of one peer as one shard sees it, at most one tick() old. Control thread.
 * @param index  0 .. peer_count - 1, as in the configuration */
void net_peer_status(
	struct net_node *node, uint16_t shard, uint32_t index, struct net_peer_status *ret_status);

/** Another host said that our address is its own, while this node was young.
 * @param ret_mac  [6] @return false: nobody did. Control thread. */
bool net_address_taken(const struct net_node *node, uint8_t *ret_mac);

/** The counters of one shard; read with relaxed loads. Any thread. */
const struct net_counters *net_shard_counters(const struct net_node *node, uint16_t shard);

/**
 * Have each shard copy the frames that its queues receive and send, whatever becomes of them, into
 * its tap; or no more. It takes a tick until they do. One thread at a time that is no shard's.
 * @param snap_bytes  of each frame, TAP_SNAP_BYTES_MIN .. TAP_SNAP_BYTES_MAX
 * @retval 0  @retval -EBUSY  a shard has not let go of its tap yet
 */
int net_tap_begin(struct net_node *node, uint32_t snap_bytes);
void net_tap_end(struct net_node *node);

/** Has every shard let go of its tap? One that hangs, or whose thread has ended, does not. */
bool net_tap_has_ended(const struct net_node *node);

/** For tap_pop(). */
struct tap *net_shard_tap(struct net_node *node, uint16_t shard);

/** The device of a port. @param index  0 .. net_port_count() - 1 */
const char *net_port_device(const struct net_node *node, uint32_t index);
uint32_t net_port_count(const struct net_node *node);

/** One line for start-up messages and benchmark headers: "memif, auth gmac", "af_packet, AUTH
 * NONE". */
const char *net_describe(const struct net_node *node);

/** How frames get to their shards, at any of the ports: "flow rules", "RSS", "the driver's own
 * queues", "one queue, handed over", or some of these with " and " between; "" with one shard. Any
 * thread. */
#define NET_STEERING_BYTES 96
void net_describe_steering(const struct net_node *node, char ret_text[NET_STEERING_BYTES]);

/* ----------------------------------------------------------------- arguments for rte_eal_init() */

#define NET_EAL_ARG_COUNT_MAX 64

/**
 * Is what a port names there, and ours to have? Before EAL looks, which tells in lines of its own
 * what it does not find.
 *
 * @param device     a PCI address, or a virtual device; what is neither is left to net_eal_args()
 * @param mtu        that an interface of the kernel's must have at least
 * @retval -ENODEV   there is no such device or interface, or the kernel has it
 * @retval -EMSGSIZE the interface's MTU is smaller
 */
int net_device_check(const char *device, uint32_t mtu, char *ret_error);

struct net_eal_config {
	const char *program;
	const char *const *devices; /* as net_port_config.device */
	uint32_t device_count;
	const char *lcores; /* EAL's --lcores; NULL: "0" */
	/* unique on the host, the same at each start; NULL: by process id */
	const char *file_prefix;
	uint32_t memory_mib; /* what the pools need, 0 = 64; only --no-huge reserves it at once */
	const char *const *extra; /* raw arguments of the operator, last */
	uint32_t extra_count;
};

struct net_eal_args {
	int argc;
	char *argv[NET_EAL_ARG_COUNT_MAX + 1]; /* NULL at the end; points into text */
	bool has_hugepages;                    /* false: --no-huge; `notice` says so */
	char notice[256];                      /* "" or one line for the operator */
	char text[8192];
};

/**
 * Compose the arguments of rte_eal_init() for a list of ports, and remove the stale sockets of
 * memif servers (left by a kill -9) that nobody listens on any more.
 *
 * @param ret_args   caller's; must stay while EAL runs, since EAL keeps argv[0]
 * @param ret_error  [DECREE_ERROR_BYTES] on failure
 * @retval -EINVAL   a device string is neither a PCI address nor a vdev
 * @retval -ENOMEM   a physical port, and too few huge pages are free
 * @retval -E2BIG    too many or too long
 */
int
net_eal_args(const struct net_eal_config *config, struct net_eal_args *ret_args, char *ret_error);

/** If the device is a memif server whose socket a killed process left behind, remove that. Anything
 * else is left alone. */
void net_remove_stale_socket(const char *device);

#endif
