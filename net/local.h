/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file local.h
 * The network of a node without ports: clients on the same host, by UDP sockets of the kernel's on
 * an address of its loopback.
 *
 *     client --- socket of shard i --- the thread --- two rings --- shard i
 *
 * The thread alone makes system calls. What it hands to a shard are whole Ethernet frames, as a
 * port's are, with headers that it writes itself; so what they may do is path.c's business here,
 * too. It sleeps until a datagram comes; a shard wakes nobody, so for a while after a datagram the
 * thread looks often whether there is an answer, then ever more seldom.
 *
 * A full ring: what clients send waits in the socket, and is lost there at last; what a shard sends
 * is dropped and counted.
 *
 * Threads:  open, close, stop: the owner. local_main(): a thread of its own. local_ops: the shard.
 *           Counters: any.
 * Errors:   0 or -errno.
 * Memory:   taken in local_open() only.
 */
#ifndef DECREE_NET_LOCAL_H
#define DECREE_NET_LOCAL_H

#include "net/net.h"

struct local;
struct local_shard;

/** Of a shard; its `void *net` is its struct local_shard, or NULL: then there is nobody to hear, and
 * nobody to tell. */
extern const struct net_ops local_ops;

/**
 * Bind a socket for each shard, base_port + i.
 *
 * @param config  ports and peers of it are not looked at; there are no peers. Lent for the call but
 *                the identity
 * @param ipv4    in 127.0.0.0/8, host order
 * @retval -EADDRINUSE, -EADDRNOTAVAIL, or what else the kernel says of the address  @retval -ENOMEM
 * @retval -ENOTSUP no AES
 */
int local_open(const struct net_config *config, uint32_t ipv4, struct local **ret_local);

/** Neither thread nor shards may use it any more. NULL is fine. */
void local_close(struct local *local);

/** The thread: returns after local_stop(). @param local  a struct local */
void *local_main(void *local);
void local_stop(struct local *local);

/** @param shard  0 .. shard_count - 1 */
struct local_shard *local_shard(struct local *local, uint16_t shard);

/** The counters of one shard; read with relaxed loads. */
const struct net_counters *local_shard_counters(const struct local *local, uint16_t shard);

#endif
