/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file counters.h
 * What the kernel counts for the block device under a folder: writes and flushes that completed, of all processes.
 */
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

#include <stdint.h>

struct counters {
	uint64_t write_count; /* with data, at most: see counters.c */
	uint64_t write_bytes;
	uint64_t flush_count; /* that the device was sent */
};

/** @return a descriptor for counters_read(), to be closed; -errno if the folder's device is not known to the kernel
 * (overlayfs, btrfs) or does not count flushes */
int counters_open(const char *folder);

/** @param fd  of counters_open(). @retval 0  @retval -errno */
int counters_read(int fd, struct counters *ret_counters);

/** @return what was counted between the two */
struct counters counters_between(const struct counters *before, const struct counters *after);

#endif
