/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file steer.h
 * How a frame gets from a port to the shard that its UDP port names: the first of these that the
 * port can.
 *
 *   flow rules   the port compares the destination port and puts the frame into its shard's queue
 *   RSS          the port spreads flows over its queues by a hash; most frames are handed over once
 *   the driver's own   several queues, filled as the other side or the kernel does: memif's sender
 *                      names the queue
 *   one queue    its shard takes everything, and hands over what is another's
 *
 * Whatever is in use, a frame in a wrong queue is handed over: rules may be lost, with the firmware
 * that had them.
 *
 * A rule stays where it is made for as long as the port runs: DPDK keeps none over a stop, but for
 * drivers that say so, and asks for their removal before it (its guide to rte_flow, "Flow rule").
 * So they are made behind each start and go before each stop. Frames without a rule, ARP and ICMP
 * among them, go where the port sends them by default.
 */
#ifndef DECREE_NET_STEER_H
#define DECREE_NET_STEER_H

#include "net/node.h"

/** Make its rules, or find out that it takes none; one that does not run yet takes none. It has
 * `steering` afterwards. */
void steer_start(const struct net_node *node, struct port *port);

/** The port shall stop: its rules go, and nobody else's. Also of a port that has none. */
void steer_stop(struct port *port);

/** The ways in use at the node's ports, each once: "flow rules", "RSS and one queue, handed over";
 * "" with one shard. */
void steer_describe(const struct net_node *node, char *ret_text, size_t bytes);

#endif
