/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/slot_index.h"

#include "base/assert.h"

#include <string.h>

/* The smallest record takes 128 bytes of the log, a typical one far more: one place per 256. */
#define BYTES_PER_SLOT 256u

uint32_t
index_page_count(uint64_t log_bytes, uint32_t group_count)
{
	/* Besides, each group has a page that has just begun, and one that is about to end. */
	return (uint32_t)(log_bytes / BYTES_PER_SLOT / INDEX_PAGE_SLOTS) + 8 + 2 * group_count;
}

uint32_t
index_directory_count(uint32_t page_count)
{
	uint32_t count = 16;

	while (count < page_count)
		count *= 2;
	return count;
}

static uint32_t *
directory_place(const struct slot_index *index, uint64_t number)
{
	return &index->directory[number & index->mask];
}

/* The page of these slots, NULL if there is none. */
static struct index_page *
page_find(const struct index_pool *pool, const struct slot_index *index, uint64_t number)
{
	uint32_t place = *directory_place(index, number);
	struct index_page *page = place == 0 ? NULL : &pool->pages[place - 1];

	return page != NULL && page->owner == index && page->number == number ? page : NULL;
}

/* Second chance: a page that was written to since the hand came by stays for another round. */
static uint32_t
page_choose(struct index_pool *pool)
{
	for (;; pool->hand++) {
		uint32_t at = pool->hand % pool->count;

		if (pool->is_used[at]) {
			pool->is_used[at] = false;
			continue;
		}
		pool->hand++;
		return at;
	}
}

static struct index_page *
page_take(struct index_pool *pool, struct slot_index *index, uint64_t number)
{
	uint32_t at = page_choose(pool);
	struct index_page *page = &pool->pages[at];

	if (page->owner != NULL && page_find(pool, page->owner, page->number) == page)
		*directory_place(page->owner, page->number) = 0;
	page->owner = index;
	page->number = number;
	memset(page->positions, 0, sizeof(page->positions));
	*directory_place(index, number) = at + 1;
	return page;
}

/* A place of the directory serves numbers that are a whole directory apart: the newest has it. */
static bool
is_outdated(const struct index_pool *pool, const struct slot_index *index, uint64_t number)
{
	uint32_t place = *directory_place(index, number);

	return place != 0 && pool->pages[place - 1].owner == index &&
	       pool->pages[place - 1].number > number;
}

void
index_put(struct index_pool *pool, struct slot_index *index, struct decree_slot slot,
	uint64_t position)
{
	uint64_t number = slot.n / INDEX_PAGE_SLOTS;
	struct index_page *page = page_find(pool, index, number);

	index_reach(index, slot);
	if (slot.n == 0 || (page == NULL && is_outdated(pool, index, number)))
		return;
	if (page == NULL)
		page = page_take(pool, index, number);
	page->positions[slot.n % INDEX_PAGE_SLOTS] = position;
	pool->is_used[page - pool->pages] = true;
}

uint64_t
index_get(const struct index_pool *pool, const struct slot_index *index, struct decree_slot slot)
{
	const struct index_page *page = page_find(pool, index, slot.n / INDEX_PAGE_SLOTS);

	return page == NULL || slot.n < index->slot_min
		       ? 0
		       : page->positions[slot.n % INDEX_PAGE_SLOTS];
}
