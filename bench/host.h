/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file host.h
 * What else the host did during a measurement: CPU that other programs took, and that the
 * hypervisor gave to other guests.
 */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

#include <stdint.h>

/* Others have taken so much that a figure says something about them, too: of all CPUs. */
#define HOST_DISTURBED_PERCENT 5.0

/* Sums since the host was started, over all CPUs, in the kernel's ticks of 10 ms. */
struct host_cpu {
	uint64_t at_ns;
	uint64_t programs_ns; /* all of them, and the kernel's threads */
	/* the kernel's threads, which work for whoever asks: the disk's, say */
	uint64_t threads_ns;
	uint64_t stolen_ns;
};

/* Of all CPUs' time between two moments; NAN: not known. */
struct host_share {
	double others_percent; /* programs that are not the measurement's */
	double stolen_percent;
};

/** What cannot be read is 0. Takes some milliseconds: not within a measurement. */
void host_cpu_read(struct host_cpu *ret);

/** @param own_ns  CPU of the measurement's own processes between the two */
struct host_share
host_cpu_between(const struct host_cpu *before, const struct host_cpu *after, uint64_t own_ns);

#endif
