/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of processes. A run has a dozen lives of nodes; fresh pages from the kernel for each would
 * take a third of the simulator's time. So memory is kept, and cleared for its next use:
 *
 *   - the log's mmap64() and munmap() lead here (--wrap, see meson.build): its regions are small
 *     and all in use
 *   - so do those of a queue's arena, which is like a shard's memory, all of one size, and never
 *     given back
 *   - a shard's memory is large and mostly never touched: only pages that the kernel says exist are
 *     cleared
 */
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT_COUNT_MAX  24
#define SPARE_COUNT_MAX 256
#define ARENA_COUNT_MAX (SIM_TWIN + 2) /* of each node, and one to measure */
#define CLASS_BYTES     (256u << 10)
#define PAGE_BYTES      4096
#define PAGES_AT_ONCE   512

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);

static struct {
	void *at;
	size_t bytes;
} kept[KEPT_COUNT_MAX];
static uint32_t kept_count;

static struct sim_memory arenas[ARENA_COUNT_MAX];
static bool is_arena_free[ARENA_COUNT_MAX];
static uint32_t arena_count;

static void clear(const struct sim_memory *m);

/* Few sizes, so that what one run gives back suits the next. */
static size_t
size_class(size_t bytes)
{
	return (bytes + CLASS_BYTES - 1) / CLASS_BYTES * CLASS_BYTES;
}

static void *
arena_take(size_t bytes, int protection, int flags)
{
	uint32_t i = 0;

	while (i < arena_count && !is_arena_free[i])
		i++;
	if (i < arena_count) {
		clear(&arenas[i]);
	} else {
		decree_assert(i < ARENA_COUNT_MAX);
		arenas[arena_count++] = (struct sim_memory){
			.at = __real_mmap64(NULL, bytes, protection, flags, -1, 0), .bytes = bytes
		};
	}
	decree_assert(arenas[i].bytes == bytes && arenas[i].at != MAP_FAILED);
	is_arena_free[i] = false;
	return arenas[i].at;
}

/* @return false: it is none */
static bool
arena_give(const void *at)
{
	for (uint32_t i = 0; i < arena_count; i++)
		if (arenas[i].at == at) {
			is_arena_free[i] = true;
			return true;
		}
	return false;
}

void *
__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if ((flags & MAP_NORESERVE) != 0)
		return arena_take(bytes, protection, flags);
	if (at != NULL || (flags & MAP_ANONYMOUS) == 0 || (flags & MAP_POPULATE) == 0)
		return __real_mmap64(at, bytes, protection, flags, fd, offset);
	for (uint32_t i = 0; i < kept_count; i++)
		if (kept[i].bytes == size_class(bytes)) {
			void *found = kept[i].at;
			kept[i] = kept[--kept_count];
			return memset(found, 0, bytes);
		}
	return __real_mmap64(at, size_class(bytes), protection, flags, fd, offset);
}

int
__wrap_munmap(void *at, size_t bytes)
{
	if (arena_give(at))
		return 0;
	if (kept_count == KEPT_COUNT_MAX)
		return __real_munmap(at, size_class(bytes));
	kept[kept_count].at = at;
	kept[kept_count++].bytes = size_class(bytes);
	return 0;
}

/* ---- of shards ---- */

/* What the kernel knows of this process's pages: 64 bits each. A child of fork() opens its own. */
static int
pagemap(void)
{
	static pid_t owner;
	static int fd = -1;

	if (owner != getpid()) {
		owner = getpid();
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	}
	return fd;
}

/* Clear those of @p count pages that exist, in memory or swapped out. @return false if that is not
 * known */
static bool
clear_pages(uint8_t *at, size_t count)
{
	uint64_t entries[PAGES_AT_ONCE];
	off_t offset = (off_t)((uintptr_t)at / PAGE_BYTES * sizeof(entries[0]));
	size_t bytes = count * sizeof(entries[0]);

	if (pread(pagemap(), entries, bytes, offset) != (ssize_t)bytes)
		return false;
	for (size_t i = 0; i < count; i++)
		if (entries[i] >> 62 != 0)
			memset(at + i * PAGE_BYTES, 0, PAGE_BYTES);
	return true;
}

static void
clear(const struct sim_memory *m)
{
	size_t count = (m->bytes + PAGE_BYTES - 1) / PAGE_BYTES;

	for (size_t page = 0; page < count; page += PAGES_AT_ONCE) {
		size_t left = count - page;
		if (clear_pages(
			    m->at + page * PAGE_BYTES, left < PAGES_AT_ONCE ? left : PAGES_AT_ONCE))
			continue;
		int rc = madvise(m->at, m->bytes, MADV_DONTNEED);
		decree_assert(rc == 0);
		return;
	}
}

/* The one before goes back. Each size has its own: the same pages are touched each time, and those
 * are few. */
void *
sim_memory_take(struct sim_memory *m, size_t bytes)
{
	static struct sim_memory spare[SPARE_COUNT_MAX];
	static uint32_t spare_count;

	if (m->bytes != bytes) {
		struct sim_memory old = *m;
		uint32_t i = 0;

		while (i < spare_count && spare[i].bytes != bytes)
			i++;
		if (i < spare_count) {
			*m = spare[i];
			spare[i] = spare[--spare_count];
		} else {
			m->bytes = bytes;
			m->at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			decree_assert(m->at != MAP_FAILED);
		}
		if (old.at != NULL && spare_count < SPARE_COUNT_MAX)
			spare[spare_count++] = old;
	}
	clear(m);
	return m->at;
}
