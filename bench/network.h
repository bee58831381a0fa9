/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file network.h
 * A network for nodes that are joined by interfaces of the kernel's: veth pairs on a bridge, in a
 * network namespace of this program's own, which nobody else sees and which ends with the last of
 * its processes.
 *
 * Threads:  one, before there are others.
 * Errors:   0 or -errno; what was wrong is on standard error.
 */
#ifndef BENCH_NETWORK_H
#define BENCH_NETWORK_H

#include <stdint.h>

/** This process, and what it forks from now on, moves there. Node i, from 1, has the interface
 * node<i>. @param count  0: nothing is done
 * @param mtu  of all of them */
int network_open(uint32_t count, uint32_t mtu);

#endif
