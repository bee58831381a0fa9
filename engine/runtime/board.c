/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/board.h"

#include <sched.h>
#include <string.h>

void
board_write(struct board *b, const struct decree_metrics *metrics, uint64_t now_ns)
{
	uint64_t before = atomic_load_explicit(&b->sequence, memory_order_relaxed);
	uint64_t words[BOARD_WORD_COUNT];

	memcpy(words, metrics, sizeof(words));
	atomic_store_explicit(&b->sequence, before + 1, memory_order_relaxed);
	/* Release: pairs with the acquire fence in board_read(). Who sees a word of this write sees
	 * the odd number. */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&b->written_ns, now_ns, memory_order_relaxed);
	for (uint32_t i = 0; i < BOARD_WORD_COUNT; i++)
		atomic_store_explicit(&b->words[i], words[i], memory_order_relaxed);
	/* Release: pairs with the acquire in board_read(). Who sees the even number sees all words. */
	atomic_store_explicit(&b->sequence, before + 2, memory_order_release);
}

bool
board_read(const struct board *b, struct decree_metrics *ret_metrics, uint64_t *ret_written_ns)
{
	uint64_t words[BOARD_WORD_COUNT];

	for (;;) {
		/* Acquire, and the fence: pair with the releases in board_write(). */
		uint64_t before = atomic_load_explicit(&b->sequence, memory_order_acquire);
		uint64_t written_ns = atomic_load_explicit(&b->written_ns, memory_order_relaxed);

		if (before == 0)
			return false;
		for (uint32_t i = 0; i < BOARD_WORD_COUNT; i++)
			words[i] = atomic_load_explicit(&b->words[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if ((before & 1) == 0 &&
			before == atomic_load_explicit(&b->sequence, memory_order_relaxed)) {
			memcpy(ret_metrics, words, sizeof(words));
			*ret_written_ns = written_ns;
			return true;
		}
		sched_yield(); /* the writer may have lost its CPU in the middle */
	}
}
