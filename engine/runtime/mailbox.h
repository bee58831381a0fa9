/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mailbox.h
 * The way between a proposing thread and the shard that owns its group: two rings and an arena.
 *
 *   proposer --- ring of commands ----> shard      bodies lie in the arena, a first-in-first-out buffer
 *   proposer <-- ring of outcomes ----- shard      whose end the shard moves when bodies were executed
 *   proposer --- ring of reads -------> shard      questions and answers lie in places of their own
 *
 * Threads:  push(), poll(): the proposer's thread. The calls of mailbox_ops: the shard's thread.
 *           create(), destroy(): when no other thread uses it.
 * Memory:   all taken in mailbox_create().
 * Errors:   -errno; a full mailbox is -EAGAIN, and empties as commands are executed.
 */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include "engine/runtime/mailbox_ops.h"

#define MAILBOX_READ_COUNT 64 /* reads without a completion */

struct mailbox;

extern const struct mailbox_ops mailbox_ring_ops;

/**
 * @param window       commands without an outcome; a power of two
 * @param arena_bytes  for their bodies; a multiple of 64
 * @return NULL: no memory
 */
struct mailbox *mailbox_create(uint32_t window, size_t arena_bytes);
void mailbox_destroy(struct mailbox *m);

/** @retval -EAGAIN  window or arena full */
int mailbox_push(struct mailbox *m, const void *body, uint32_t bytes, void *cookie);

/** @retval -EAGAIN  MAILBOX_READ_COUNT reads have no completion. @param bytes  <=
 * DECREE_QUERY_BYTES_MAX */
int mailbox_read(struct mailbox *m, const void *query, uint32_t bytes,
	enum decree_consistency consistency, void *cookie);

/** Answers of reads are lent until the next call. @return outcomes, 0 .. count_max */
uint32_t
mailbox_poll(struct mailbox *m, struct decree_completion *ret_completions, uint32_t count_max);

/** After the shard's end: outcomes UNKNOWN for everything that has none. @return 0 .. count_max */
uint32_t
mailbox_abandon(struct mailbox *m, struct decree_completion *ret_completions, uint32_t count_max);

#endif
