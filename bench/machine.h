/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file machine.h
 * A state machine that counts, with as much state to write into snapshots as a benchmark wants.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "decree/machine.h"

#include <stdatomic.h>

struct bench_machine {
	uint64_t count;
	struct decree_digest digest;
	uint64_t state_bytes; /* of the chunks that follow the counters; multiple of 64 KiB */
	/* [BENCH_BALLAST_BYTES] what the chunks are cut from, over and over */
	const uint8_t *ballast;
	uint64_t cut[3]; /* the counters at the cut */
	uint64_t chunk_next;
	_Atomic uint32_t snapshot_count; /* walks that came to their end; any thread */
};

/* More than any cache holds, so that a walk costs what a walk costs. */
#define BENCH_BALLAST_BYTES (64ull << 20)

extern const struct decree_machine_ops bench_machine_ops;

/** @retval 0  @retval -ENOMEM */
int bench_machine_init(struct bench_machine *m, uint64_t state_bytes);

#endif
