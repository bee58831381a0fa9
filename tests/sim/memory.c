/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for logs. A run opens a log for each life of a node; fresh pages from the kernel would take a third of
 * the simulator's time. So the log's mmap64() and munmap() lead here (--wrap, see meson.build): regions are kept
 * and cleared for their next use.
 */
#include "tests/sim/sim.h"

#include <sys/mman.h>

#define KEPT_COUNT_MAX 16

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);

static struct {
	void *at;
	size_t bytes;
} kept[KEPT_COUNT_MAX];
static uint32_t kept_count;

void *
__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (at != NULL || (flags & MAP_ANONYMOUS) == 0 || (flags & MAP_POPULATE) == 0)
		return __real_mmap64(at, bytes, protection, flags, fd, offset);
	for (uint32_t i = 0; i < kept_count; i++)
		if (kept[i].bytes == bytes) {
			void *found = kept[i].at;
			kept[i] = kept[--kept_count];
			return memset(found, 0, bytes);
		}
	return __real_mmap64(at, bytes, protection, flags, fd, offset);
}

int
__wrap_munmap(void *at, size_t bytes)
{
	if (kept_count == KEPT_COUNT_MAX)
		return __real_munmap(at, bytes);
	kept[kept_count].at = at;
	kept[kept_count++].bytes = bytes;
	return 0;
}
