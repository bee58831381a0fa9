/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file drop.h
 * Why a frame was dropped. Each reason has a counter; nothing that arrives is ever fatal.
 */
#ifndef DECREE_NET_DROP_H
#define DECREE_NET_DROP_H

#include <stdatomic.h>
#include <stdint.h>

/* X(identifier, word in status and metrics) */
#define NET_DROP_TABLE(X)                                                                          \
	X(SHORT, "short")         /* ends inside a header */                                       \
	X(FOREIGN, "foreign")     /* not IPv4/UDP to our address and ports */                      \
	X(IP_HEADER, "ip_header") /* version, length or fragment */                                \
	X(IP_CHECKSUM, "ip_checksum")                                                              \
	X(UDP_LENGTH, "udp_length")                                                                \
	X(UDP_CHECKSUM, "udp_checksum")                                                            \
	X(FRAME_MALFORMED, "frame_malformed") /* magic, version, kind, length, reserved bits */    \
	X(CLUSTER, "other_cluster")                                                                \
	X(NODE, "other_node")           /* addressed to another node_id */                         \
	X(SHARD, "other_shard")         /* no such shard, or shards of unequal number */           \
	X(PEER_UNKNOWN, "unknown_peer") /* a node_id that is not configured */                     \
	X(NO_SESSION, "no_session")     /* data before, or without, a handshake */                 \
	X(TAG, "tag")                   /* not authentic */                                        \
	X(REPLAY, "replay")             /* seen before, or too old to tell */                      \
	X(VERSION, "version")           /* not the version that its session is of */               \
	X(HELLO_MALFORMED, "hello_malformed")                                                      \
	X(HELLO_TAG, "hello_tag")           /* wrong key, or another authentication mode */        \
	X(HELLO_RATE, "hello_rate")         /* unanswered: too many in a short time */             \
	X(HELLO_OLD_BOOT, "hello_old_boot") /* proved, with a boot_count of the past */            \
	X(HELLO_TWIN, "hello_twin")         /* proved, same boot_count, another process */         \
	X(HELLO_IDENTITY, "hello_identity") /* proved, but its constants do not fit ours */        \
	X(HELLO_VERSION, "hello_version")   /* proved, and no version is spoken by both */         \
	X(CLIENT_REFUSED, "client_refused") /* clients are not allowed here */                     \
	X(CLIENT_TABLE_FULL, "client_table_full")                                                  \
	X(CLIENT_FLOOD, "client_flood") /* beyond the clients' share of an overload */             \
	X(ARP_MALFORMED, "arp_malformed")                                                          \
	X(ADDRESS_TAKEN, "address_taken") /* another host says that our address is its own */      \
	X(ECHO_RATE, "echo_rate")         /* ICMP echoes beyond the few that are answered */       \
	X(HANDOVER_FULL, "handover_full") /* ring to the shard that owns it */                     \
	X(SEND_NO_SESSION, "send_no_session")                                                      \
	X(SEND_NO_ADDRESS, "send_no_address") /* ARP has not been answered yet */                  \
	X(SEND_PORT_DOWN, "send_port_down")                                                        \
	X(SEND_QUEUE_FULL, "send_queue_full")                                                      \
	X(NO_BUFFER, "no_buffer")                                                                  \
	X(HEADER_MULTISEGMENT, "multisegment") /* larger than one buffer */

enum net_drop {
	NET_DROP_NONE = 0,
#define X(identifier, word) NET_DROP_##identifier,
	NET_DROP_TABLE(X)
#undef X
	NET_DROP_COUNT,
};

/* Counters of one shard. Written by the shard alone, read by anybody: relaxed, no
 * read-modify-write. */
struct net_counters {
	_Atomic uint64_t received; /* authenticated payloads handed to the loop */
	_Atomic uint64_t sent;     /* payloads handed to a port */
	_Atomic uint64_t hellos_received;
	_Atomic uint64_t hellos_sent;
	_Atomic uint64_t dropped[NET_DROP_COUNT]; /* by enum net_drop */
};

static inline void
net_count(_Atomic uint64_t *counter, uint64_t add)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + add, memory_order_relaxed);
}

/** @return the word for status and metrics; "" for NET_DROP_NONE */
const char *net_drop_name(enum net_drop drop);

#endif
