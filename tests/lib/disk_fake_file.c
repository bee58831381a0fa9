/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/disk_fake_file.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 4096

uint64_t
fake_draw(uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t
page_count(const struct fake_file *f)
{
	return (f->bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

static uint64_t
page_bytes(const struct fake_file *f, uint64_t page)
{
	uint64_t left = f->bytes - page * PAGE_BYTES;

	return left < PAGE_BYTES ? left : PAGE_BYTES;
}

/* Zeros that cost nothing until they are touched. */
static uint8_t *
grow(uint8_t *old, uint64_t old_bytes, uint64_t bytes)
{
	uint8_t *memory = calloc(1, bytes);

	if (memory == NULL)
		abort();
	if (old_bytes > 0)
		memcpy(memory, old, old_bytes < bytes ? old_bytes : bytes);
	free(old);
	return memory;
}

void
fake_file_resize(struct fake_file *f, uint64_t bytes)
{
	uint64_t old = f->bytes;

	if (bytes == old)
		return;
	f->bytes = bytes;
	if (bytes == 0) {
		free(f->seen);
		free(f->stable);
		free(f->dirty);
		free(f->used);
		*f = (struct fake_file){ 0 };
		return;
	}
	f->seen = grow(f->seen, old, bytes);
	f->stable = grow(f->stable, old, bytes);
	f->dirty = grow(f->dirty, old / SECTOR_BYTES, bytes / SECTOR_BYTES + 1);
	f->used = grow(f->used, (old + PAGE_BYTES - 1) / PAGE_BYTES, page_count(f));
}

void
fake_file_mark_used(struct fake_file *f, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / PAGE_BYTES, last = (offset + bytes - 1) / PAGE_BYTES;

	if (bytes == 0)
		return;
	memset(f->used + first, 1, last - first + 1);
}

void
fake_file_assign(struct fake_file *f, const struct fake_file *from)
{
	fake_file_resize(f, from->bytes);
	for (uint64_t page = 0; page < page_count(f); page++) {
		uint64_t at = page * PAGE_BYTES, bytes = page_bytes(f, page);

		if (from->used[page]) {
			memcpy(f->seen + at, from->seen + at, bytes);
			memcpy(f->stable + at, from->stable + at, bytes);
		} else if (f->used[page]) {
			memset(f->seen + at, 0, bytes);
			memset(f->stable + at, 0, bytes);
		}
		f->used[page] = from->used[page];
	}
	if (f->bytes > 0)
		memcpy(f->dirty, from->dirty, f->bytes / SECTOR_BYTES);
	f->dirty_first = from->dirty_first;
	f->dirty_after = from->dirty_after;
}

bool
fake_file_is_zero_over_unused(
	const struct fake_file *f, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
	uint64_t first = offset / PAGE_BYTES, last = (offset + count - 1) / PAGE_BYTES;

	if (count == 0 || bytes[0] != 0 || memchr(f->used + first, 1, last - first + 1) != NULL)
		return false;
	return memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* Pages that hold nothing are not looked at. */
void
fake_file_read(const struct fake_file *f, uint64_t offset, uint8_t *ret_bytes, uint64_t count)
{
	while (count > 0) {
		uint64_t left = PAGE_BYTES - offset % PAGE_BYTES;
		uint64_t piece = left < count ? left : count;

		if (f->used[offset / PAGE_BYTES])
			memcpy(ret_bytes, f->seen + offset, piece);
		else
			memset(ret_bytes, 0, piece);
		ret_bytes += piece;
		offset += piece;
		count -= piece;
	}
}

static void
make_dirty(struct fake_file *f, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset / SECTOR_BYTES, after = first + bytes / SECTOR_BYTES;

	memset(f->dirty + first, 1, after - first);
	if (f->dirty_first == f->dirty_after) {
		f->dirty_first = first;
		f->dirty_after = after;
	}
	if (first < f->dirty_first)
		f->dirty_first = first;
	if (after > f->dirty_after)
		f->dirty_after = after;
}

void
fake_file_write(struct fake_file *f, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
	memcpy(f->seen + offset, bytes, count);
	fake_file_mark_used(f, offset, count);
	make_dirty(f, offset, count);
}

void
fake_file_make_stable(struct fake_file *f, uint64_t offset, uint64_t bytes)
{
	memcpy(f->stable + offset, f->seen + offset, bytes);
	memset(f->dirty + offset / SECTOR_BYTES, 0, bytes / SECTOR_BYTES);
}

void
fake_file_make_all_stable(struct fake_file *f)
{
	for (uint64_t sector = f->dirty_first; sector < f->dirty_after; sector++)
		if (f->dirty[sector] != 0)
			fake_file_make_stable(f, sector * SECTOR_BYTES, SECTOR_BYTES);
	f->dirty_first = f->dirty_after = 0;
}

/* The first bytes of a sector are new, the rest is old. */
static void
tear_sector(struct fake_file *f, uint64_t at, uint64_t *random)
{
	uint64_t bytes = 1 + fake_draw(random) % (SECTOR_BYTES - 1);

	memcpy(f->stable + at, f->seen + at, bytes);
	memcpy(f->seen + at, f->stable + at, SECTOR_BYTES);
}

static void
settle_page(struct fake_file *f, uint64_t page, uint64_t *random, bool is_torn, bool keeps_some)
{
	uint64_t first = page * (PAGE_BYTES / SECTOR_BYTES);
	uint64_t after = first + page_bytes(f, page) / SECTOR_BYTES;

	for (uint64_t sector = first; sector < after; sector++) {
		uint64_t at = sector * SECTOR_BYTES;

		if (f->dirty[sector] == 0)
			continue;
		if (is_torn && fake_draw(random) % 4 == 0)
			tear_sector(f, at, random);
		else if (keeps_some && (fake_draw(random) & 1))
			memcpy(f->stable + at, f->seen + at, SECTOR_BYTES);
		else
			memcpy(f->seen + at, f->stable + at, SECTOR_BYTES);
		f->dirty[sector] = 0;
	}
}

void
fake_file_settle(struct fake_file *f, uint64_t *random, bool is_torn, bool keeps_some)
{
	for (uint64_t page = 0; page < page_count(f); page++)
		if (f->used[page])
			settle_page(f, page, random, is_torn, keeps_some);
	f->dirty_first = f->dirty_after = 0;
}
