/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file board.h
 * Where a shard puts what it knows of one group, for whoever wants to look: the values of all
 * metrics at one moment.
 *
 * Threads:  the shard writes, anybody reads; nobody waits for the other. The writer never looks at
 *           who reads. A reader that meets a writer tries again (a sequence lock).
 * Memory:   the caller's, zeroed; 2 KiB each.
 */
#ifndef ENGINE_RUNTIME_BOARD_H
#define ENGINE_RUNTIME_BOARD_H

#include "base/memory.h"
#include "decree/metrics.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#define BOARD_WORD_COUNT (sizeof(struct decree_metrics) / 8)

static_assert(sizeof(struct decree_metrics) % 8 == 0, "it is copied in words");

struct board {
	BASE_OWN_LINE _Atomic uint64_t sequence; /* odd while it is being written; 0 = never was */
	_Atomic uint64_t written_ns;
	_Atomic uint64_t words[BOARD_WORD_COUNT];
};
BASE_ASSERT_WHOLE_LINES(struct board);

/** Shard's thread. */
void board_write(struct board *b, const struct decree_metrics *metrics, uint64_t now_ns);

/** @param ret_written_ns  when that was  @return false: nothing was written yet. Any thread. */
bool
board_read(const struct board *b, struct decree_metrics *ret_metrics, uint64_t *ret_written_ns);

#endif
