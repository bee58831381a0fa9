/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file slot_index.h
 * Where in the log the newest record of each slot is, for all groups of one log.
 *
 * Positions stand in pages of 512 slots. All groups take their pages from one pool that is sized by
 * the log, so the index covers the log however its records are divided among the groups. When the
 * pool is used up, the page that was not written to for longest, about, goes to whoever needs one:
 * its records are the oldest.
 *
 * Threads:  one, the shard's.  Memory: the caller's, once.
 * Errors:   a slot that is not found is not an error: the log may have dropped it, too. Whoever
 *           reads a position checks that the record there is the wanted one.
 */
#ifndef RUNTIME_SLOT_INDEX_H
#define RUNTIME_SLOT_INDEX_H

#include "decree/types.h"

#include <stdbool.h>
#include <stddef.h>

#define INDEX_PAGE_SLOTS 512u

struct index_page {
	struct slot_index *owner;             /* NULL: free */
	uint64_t number;                      /* slots [number * 512, (number + 1) * 512) */
	uint64_t positions[INDEX_PAGE_SLOTS]; /* 0 = none */
};

struct index_pool {
	struct index_page *pages; /* [count] zeroed */
	bool *is_used;            /* [count] written to since the hand came by */
	uint32_t count;
	uint32_t hand;
};

/* One group's. */
struct slot_index {
	uint32_t *directory; /* [mask + 1] page + 1, by number; 0 = none. Zeroed */
	uint32_t mask;
	uint64_t slot_min; /* records of slots below are gone */
	uint64_t slot_max; /* highest slot that was ever put or reached */
};

/** Pages for a log of @p log_bytes shared by @p group_count groups. */
uint32_t index_page_count(uint64_t log_bytes, uint32_t group_count);
/** Entries of a directory beside a pool of @p page_count: a power of two. */
uint32_t index_directory_count(uint32_t page_count);

/** The newest record of a slot is at this position, not 0. Slot 0 is ignored. */
void index_put(struct index_pool *pool, struct slot_index *index, struct decree_slot slot,
	uint64_t position);

/** The log has something about this slot, though no record that can be read. */
static inline void
index_reach(struct slot_index *index, struct decree_slot slot)
{
	if (index->slot_max < slot.n)
		index->slot_max = slot.n;
}

/** @return 0 if it is not known */
uint64_t
index_get(const struct index_pool *pool, const struct slot_index *index, struct decree_slot slot);

#endif
