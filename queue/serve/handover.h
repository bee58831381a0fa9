/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file handover.h
 * Words of the machine to its node's gateway: how reserves went, and the bodies of the jobs that
 * were reserved or found.
 *
 * A ring of bytes with one writer, the shard's thread inside apply() or read(), and one reader, the
 * gateway's. The head of a word always fits, as long as no more are unread than were said: a
 * connection has one reserve at most that waits, and all others that are under way are commands in
 * the session's window. A body that does not fit is left out, and the gateway reads it from the
 * machine. What was found is no word at all if it does not fit: anybody may ask.
 *
 * Threads:  handover_push() is the writer's, handover_peek() and _drop() are the reader's.
 * Memory:   taken in handover_init(), every page of it.
 */
#ifndef QUEUE_SERVE_HANDOVER_H
#define QUEUE_SERVE_HANDOVER_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handover_word {
	uint64_t connection;
	uint64_t seq; /* of the reserve */
	uint64_t id;
	uint32_t body_bytes;
	uint16_t status; /* enum queue_status */
	bool has_body;   /* it follows */
	bool is_found;   /* by a read: there is no seq, and always a body */
};

struct handover {
	uint8_t *bytes; /* [mask + 1] */
	uint64_t mask;
	uint64_t kept; /* for heads */
	/* Places since the beginning. The writer's release of `written` pairs with the reader's
	 * acquire: a word is there before it is announced. The reader's release of `read` pairs
	 * with the writer's acquire: a word was copied before it is written over. */
	_Alignas(64) _Atomic uint64_t written;
	_Alignas(64) _Atomic uint64_t read;
};
static_assert(offsetof(struct handover, written) % 64 == 0 &&
		      offsetof(struct handover, read) % 64 == 0 &&
		      sizeof(struct handover) % 64 == 0,
	"the writer's, the reader's, and nobody's else behind them");

/**
 * @param bytes         a power of two
 * @param words_max     that may be unread at once
 * @retval 0  @retval -ENOMEM  @retval -EINVAL  so many heads would not fit
 */
int handover_init(struct handover *h, uint64_t bytes, uint32_t words_max);
void handover_fini(struct handover *h);

/** The writer's. @return whether such a body would be in its word */
bool handover_has_room(const struct handover *h, uint32_t body_bytes);

/** Writes @p capacity bytes of the body from @p offset on. */
typedef void (*handover_source)(
	void *context, uint64_t id, uint32_t offset, void *ret_part, uint32_t capacity);

/** @param word  its has_body says whether there is a body that could follow */
void handover_push(struct handover *h, const struct handover_word *word, handover_source source,
	void *context);

/** @return whether there is a word: the oldest one */
bool handover_peek(const struct handover *h, struct handover_word *ret_word);
/** A part of its body, as it lies in the ring. @return how many bytes lie together from @p offset
 * on */
uint32_t handover_part(const struct handover *h, const struct handover_word *word, uint32_t offset,
	const uint8_t **ret_part);
/** The oldest word is done with. */
void handover_drop(struct handover *h, const struct handover_word *word);

#endif
