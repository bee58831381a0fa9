/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file kv_machine.h
 * An example of a state machine with snapshots: numbered counters, one chunk for each range of
 * them, and the usual walk with before-images. docs/embedding.md explains it;
 * test_machine_contract.c holds it to the contract.
 *
 * Command: u16 key, u64 to add, little-endian; answered with the key's new value.
 */
#ifndef TESTS_KV_MACHINE_H
#define TESTS_KV_MACHINE_H

#include <decree/machine.h>

#define KV_KEY_COUNT     1024
#define KV_RANGE_KEYS    64
#define KV_RANGE_COUNT   (KV_KEY_COUNT / KV_RANGE_KEYS)
#define KV_COMMAND_BYTES 10

struct kv_range {
	uint64_t values[KV_RANGE_KEYS];
};

struct kv_machine {
	struct kv_range ranges[KV_RANGE_COUNT];
	struct decree_digest digest; /* a sum over all values, corrected with each change */
	/* The walk: ranges below `walk_next` were handed out, none is frozen without one. */
	bool is_walking;
	uint32_t walk_next;
	bool has_image[KV_RANGE_COUNT];
	struct kv_range images[KV_RANGE_COUNT]; /* as they were at the cut */
	struct kv_range out;                    /* what the last chunk points to */
	uint32_t restored;                      /* chunks of restore_begin() .. restore_end() */
};

extern const struct decree_machine_ops kv_machine_ops;

#endif
