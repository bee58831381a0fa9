/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file joined.h
 * What joins the hosts of somebody's own cluster: each port of a configuration with what the kernel
 * knows of it.
 */
#ifndef BENCH_COMMIT_JOINED_H
#define BENCH_COMMIT_JOINED_H

#include "decree/setup.h"

#include <stddef.h>

/** "net_af_packet0,iface=eth1 (10000 Mb/s)", "0000:03:00.0 (8086:1572, vfio-pci)": one behind the
 * other. */
void joined_words(const struct decree_setup *setup, char *ret_words, size_t capacity);

#endif
