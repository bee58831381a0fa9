/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file meta.h
 * The two blobs that a shard keeps beside its records. The first: its node's boot count and the hard
 * states of its groups.
 *
 * Little-endian:
 *
 *   offset bytes
 *        0     4  version
 *        4     4  group count
 *        8     8  boot count of the node
 *       16     8  bit i set: hard state i was written
 *       24    40  zero
 *       64    64  hard state of the group with local index 0, then of 1, ...
 *
 * It is valid if and only if version, group count and length are the expected ones; the log has
 * checked its own checksum over the bytes. Groups count in ascending order, those of this shard
 * only.
 *
 * The second, which it can do without, is what its groups keep of what the others have said:
 *
 *   offset bytes
 *        0     4  version
 *        4     4  group count
 *        8    56  zero
 *       64   512  the group with local index 0 (engine/core/hearsay.c), then of 1, ...
 *
 * It is valid under the same conditions.
 */
#ifndef RUNTIME_META_H
#define RUNTIME_META_H

#include "base/bytes.h"
#include "engine/core/record.h"
#include "engine/runtime/shard.h"
#include "wal/log_ops.h"

#include <assert.h>

#define META_VERSION      1u
#define META_HEADER_BYTES 64u
#define META_BYTES_MAX    (META_HEADER_BYTES + SHARD_GROUP_COUNT_MAX * ENG_HARD_BYTES)

#define HEARSAY_VERSION   1u
#define HEARSAY_BYTES_MAX (META_HEADER_BYTES + SHARD_GROUP_COUNT_MAX * ENG_HEARSAY_BYTES)

static_assert(META_BYTES_MAX <= LOG_META_BYTES_MAX, "every group's hard state fits the log's blob");
static_assert(HEARSAY_BYTES_MAX <= LOG_HEARSAY_BYTES_MAX, "and so does what it has heard");

static inline uint32_t
meta_bytes(uint32_t group_count)
{
	return META_HEADER_BYTES + group_count * ENG_HARD_BYTES;
}

/** @param ret_meta  [meta_bytes()], zeroed by the caller */
static inline void
meta_begin(uint8_t *ret_meta, uint32_t group_count)
{
	store_u32(ret_meta, META_VERSION);
	store_u32(ret_meta + 4, group_count);
}

static inline bool
meta_is_valid(const uint8_t *meta, uint32_t bytes, uint32_t group_count)
{
	return bytes == meta_bytes(group_count) && load_u32(meta) == META_VERSION &&
	       load_u32(meta + 4) == group_count;
}

static inline uint64_t
meta_boot_count(const uint8_t *meta)
{
	return load_u64(meta + 8);
}

static inline void
meta_set_boot_count(uint8_t *meta, uint64_t boot_count)
{
	store_u64(meta + 8, boot_count);
}

/** @return [ENG_HARD_BYTES], whether it was written or not */
static inline uint8_t *
meta_hard(uint8_t *meta, uint32_t local)
{
	return meta + META_HEADER_BYTES + local * ENG_HARD_BYTES;
}

static inline bool
meta_has_hard(const uint8_t *meta, uint32_t local)
{
	return (load_u64(meta + 16) >> local & 1) != 0;
}

/** meta_hard() was filled in. */
static inline void
meta_set_has_hard(uint8_t *meta, uint32_t local)
{
	store_u64(meta + 16, load_u64(meta + 16) | 1ull << local);
}

static inline uint32_t
hearsay_bytes(uint32_t group_count)
{
	return META_HEADER_BYTES + group_count * ENG_HEARSAY_BYTES;
}

/** @param ret_hearsay  [hearsay_bytes()], zeroed by the caller */
static inline void
hearsay_begin(uint8_t *ret_hearsay, uint32_t group_count)
{
	store_u32(ret_hearsay, HEARSAY_VERSION);
	store_u32(ret_hearsay + 4, group_count);
}

static inline bool
hearsay_is_valid(const uint8_t *hearsay, uint32_t bytes, uint32_t group_count)
{
	return bytes == hearsay_bytes(group_count) && load_u32(hearsay) == HEARSAY_VERSION &&
	       load_u32(hearsay + 4) == group_count;
}

/** @return [ENG_HEARSAY_BYTES] of one group */
static inline uint8_t *
hearsay_rows(uint8_t *hearsay, uint32_t local)
{
	return hearsay + META_HEADER_BYTES + local * ENG_HEARSAY_BYTES;
}

#endif
