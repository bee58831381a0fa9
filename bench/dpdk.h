/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dpdk.h
 * DPDK's ports for a benchmark that moves frames itself: one queue pair each, no offloads, nothing
 * of net's.
 *
 * Threads:  one.
 * Errors:   NULL, or what is wrong, in a sentence that stays.
 */
#ifndef BENCH_DPDK_H
#define BENCH_DPDK_H

#include <stdint.h>

struct rte_mempool;

struct dpdk_config {
	const char *program;        /* for EAL's files */
	const char *const *devices; /* [device_count] as net_port_config.device */
	uint32_t device_count;
	const char *const *extra; /* [extra_count] arguments of EAL's */
	uint32_t extra_count;
};

/** Start EAL with these devices, on any CPU, and configure their ports. Once in a process.
 * @param ret_ports  [device_count] */
const char *
dpdk_open(const struct dpdk_config *config, uint16_t *ret_ports, struct rte_mempool **ret_pool);

/** The end of the program: sockets and programs in the kernel are removed. */
void dpdk_close(const uint16_t *ports, uint32_t count);

#endif
