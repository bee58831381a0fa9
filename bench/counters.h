/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file counters.h
 * What the kernel counts for the block device under a folder: writes and flushes, of all processes.
 */
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTERS_CPU_MAX 512

struct counters {
	uint64_t write_count; /* with data; at most so many if the source is not exact */
	uint64_t write_bytes;
	uint64_t flush_count; /* that the device was sent */
};

/** Where the counts come from; the caller owns it, and only counters.c looks inside. */
struct counter_source {
	bool is_open;
	bool is_exact; /* writes are counted by the kernel's tracepoint, which root may use */
	int stat_fd;
	int issue_fds[COUNTERS_CPU_MAX]; /* one counter for each CPU */
	uint32_t issue_count;
};

/** @retval 0  @return -errno if the folder's device is not known to the kernel (overlayfs, btrfs) or
 * does not count flushes; the source is closed then */
int counters_open(struct counter_source *source, const char *folder);

void counters_close(struct counter_source *source);

/** @retval 0  @retval -errno, also of a source that is closed */
int counters_read(const struct counter_source *source, struct counters *ret_counters);

/** @return what was counted between the two */
struct counters counters_between(const struct counters *before, const struct counters *after);

#endif
