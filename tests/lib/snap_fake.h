/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snap_fake.h
 * Snapshots in memory that come late, get lost, rot and fail, and do so exactly alike for the same
 * seed.
 *
 * What is committed survives a crash, power cut or not: the production store has synced it before
 * it says so. A writer that has not committed leaves nothing. A commit that a crash interrupts has
 * happened or not (drawn): the rename may have reached the disk although nobody was told.
 *
 * Time:   reap() moves it to its now_ns; a simulator that sleeps asks snap_fake_next_ns().
 * Owner:  one thread. Memory: as many bytes as the snapshots have.
 */
#ifndef DECREE_TESTS_SNAP_FAKE_H
#define DECREE_TESTS_SNAP_FAKE_H

#include "engine/runtime/snap_ops.h"

struct snap_fake;

struct snap_fake_config {
	uint64_t seed;
	/* of a read, and of a commit after its last byte; drawn evenly from [min, max] */
	uint64_t latency_ns_min;
	uint64_t latency_ns_max;
	uint64_t bytes_per_second; /* of each writer; 0 = no limit */
	uint32_t buffer_bytes;     /* what room() says at most; 0 = 64 KiB */
};

extern const struct snap_ops snap_fake_ops;

/** Aborts if there is no memory. */
struct snap_fake *snap_fake_create(const struct snap_fake_config *cfg);
void snap_fake_destroy(struct snap_fake *f);

/** Make it what a new one with this configuration would be; cheap. */
void snap_fake_reset(struct snap_fake *f, const struct snap_fake_config *cfg);

/** Give @p f the snapshots that @p from holds now, instead of its own; nothing is under way in it
 * afterwards. */
void snap_fake_assign(struct snap_fake *f, const struct snap_fake *from);

void snap_fake_set_now(struct snap_fake *f, uint64_t now_ns);

/** @return when the next read or commit completes, UINT64_MAX if none is under way */
uint64_t snap_fake_next_ns(const struct snap_fake *f);

/** The process ends. Nothing is under way afterwards, no completion is returned. */
void snap_fake_crash(struct snap_fake *f);

/** The disk is gone: an empty store, as after `decree format`. */
void snap_fake_wipe(struct snap_fake *f);

/** Let the commit after @p count more of them fail with @p rc, once; -1 as @p count: none. */
void snap_fake_fail_after(struct snap_fake *f, int64_t count, int rc);

/** What is_space_low() says from now on. */
void snap_fake_set_space_low(struct snap_fake *f, bool is_low);

/** Damage one byte where it is stored: read() of that place and load() fail from now on.
 * @return false if there is no such snapshot or it is not that long */
bool snap_fake_corrupt(
	struct snap_fake *f, uint16_t group, struct decree_slot slot, uint64_t offset_bytes);

/** Cut a stored snapshot short. @return false as above */
bool
snap_fake_truncate(struct snap_fake *f, uint16_t group, struct decree_slot slot, uint64_t bytes);

/** @return the stored bytes, lent until the next call; NULL if there is no such snapshot */
const uint8_t *snap_fake_data(
	const struct snap_fake *f, uint16_t group, struct decree_slot slot, uint64_t *ret_bytes);

/** @return the highest committed slot of a group, 0 = none */
struct decree_slot snap_fake_last(const struct snap_fake *f, uint16_t group);

/** @return committed snapshots of a group */
uint32_t snap_fake_count(const struct snap_fake *f, uint16_t group);

#endif
