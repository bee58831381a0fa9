/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file network.h
 * A network for nodes that are joined by interfaces of the kernel's: veth pairs on a bridge, in a network namespace of this
 * program's own, which nobody else sees and which ends with the last of its processes.
 *
 * Threads:  one, before there are others.
 * Errors:   0 or -errno; what was wrong is on standard error.
 */
#ifndef BENCH_COMMIT_NETWORK_H
#define BENCH_COMMIT_NETWORK_H

#include "bench/commit/plan.h"

/** If some shape of the plan wants it: this process, and what it forks from now on, moves there. Node i has the
 * interface node<i>. */
int network_open(const struct plan *plan);

#endif
