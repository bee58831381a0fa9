/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file memory.h
 * Lines of the cache, and who may write them.
 *
 * Two threads that write one line take it from each other with every store, though neither touches
 * what is the other's; and one that looks now and then at what another writes in its loop makes the
 * next store there wait. So in structures that several threads touch, what each of them writes
 * begins on a line of its own, and assertions behind the structure say so. calloc() aligns for 16
 * bytes alone: structures with such members come from base_zeros().
 */
#ifndef DECREE_BASE_MEMORY_H
#define DECREE_BASE_MEMORY_H

#include <assert.h>
#include <stddef.h>

#define BASE_CACHE_LINE 64

/** Before a member: from here on another line. */
#define BASE_OWN_LINE _Alignas(BASE_CACHE_LINE)

/** `before` and all in front of it shares no line with `after` and all behind it. */
#define BASE_ASSERT_APART(type, before, after)                                                     \
	static_assert(offsetof(type, after) % BASE_CACHE_LINE == 0 &&                              \
			      offsetof(type, before) < offsetof(type, after),                      \
		"another thread writes from here on")

/** Neither does the next of these in an array, or whatever the allocator puts behind it. */
#define BASE_ASSERT_WHOLE_LINES(type)                                                              \
	static_assert(_Alignof(type) == BASE_CACHE_LINE && sizeof(type) % BASE_CACHE_LINE == 0,    \
		"what lies behind it is on another line")

/** Zeros at the begin of a line, whose pages are there now and not in a loop: calloc() would leave
 * that to whoever touches them first.
 * @return to be given to free(); NULL: no memory */
void *base_zeros(size_t count, size_t element_bytes);

#endif
