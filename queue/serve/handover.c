/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/serve/handover.h"

#include "queue/assert.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES sizeof(struct handover_word)

static_assert((HEAD_BYTES & 7) == 0, "places are multiples of 8, so a head begins where it may");

int
handover_init(struct handover *h, uint64_t bytes, uint32_t words_max)
{
	queue_assert(bytes > 0 && (bytes & (bytes - 1)) == 0);
	*h = (struct handover){ .mask = bytes - 1, .kept = words_max * HEAD_BYTES };
	if (h->kept >= bytes)
		return -EINVAL;
	h->bytes = malloc(bytes);
	if (h->bytes == NULL)
		return -ENOMEM;
	memset(h->bytes, 0, bytes); /* every page now, none on the shard's thread */
	return 0;
}

void
handover_fini(struct handover *h)
{
	free(h->bytes);
	h->bytes = NULL;
}

static uint64_t
word_bytes(const struct handover_word *word)
{
	return HEAD_BYTES + (word->has_body ? (word->body_bytes + 7ull) & ~7ull : 0);
}

/* @return bytes that lie together from a place on, @p wanted at most */
static uint32_t
together(const struct handover *h, uint64_t place, uint64_t wanted)
{
	uint64_t to_end = h->mask + 1 - (place & h->mask);

	return (uint32_t)(wanted < to_end ? wanted : to_end);
}

static void
put(struct handover *h, uint64_t place, const void *bytes, uint32_t count)
{
	uint32_t first = together(h, place, count);

	memcpy(h->bytes + (place & h->mask), bytes, first);
	memcpy(h->bytes, (const uint8_t *)bytes + first, count - first);
}

/* @return bytes that are free in front of a place */
static uint64_t
room_at(const struct handover *h, uint64_t place)
{
	/* Acquire: pairs with the release in handover_drop(). */
	return h->mask + 1 - (place - atomic_load_explicit(&h->read, memory_order_acquire));
}

bool
handover_has_room(const struct handover *h, uint32_t body_bytes)
{
	const struct handover_word word = { .has_body = true, .body_bytes = body_bytes };
	uint64_t place = atomic_load_explicit(&h->written, memory_order_relaxed); /* our own */

	return word_bytes(&word) + h->kept <= room_at(h, place);
}

void
handover_push(
	struct handover *h, const struct handover_word *word, handover_source source, void *context)
{
	uint64_t place = atomic_load_explicit(&h->written, memory_order_relaxed); /* our own */
	uint64_t room = room_at(h, place);
	struct handover_word w;
	uint32_t part;

	memcpy(&w, word, sizeof(w));
	if (word_bytes(&w) + h->kept > room)
		w.has_body = false;
	queue_assert(word_bytes(&w) <= room);
	put(h, place, &w, HEAD_BYTES);
	for (uint32_t at = 0; w.has_body && at < w.body_bytes; at += part) {
		uint64_t to = place + HEAD_BYTES + at;

		part = together(h, to, w.body_bytes - at);
		source(context, w.id, at, h->bytes + (to & h->mask), part);
	}
	/* Release: pairs with the acquire in handover_peek(). */
	atomic_store_explicit(&h->written, place + word_bytes(&w), memory_order_release);
}

bool
handover_peek(const struct handover *h, struct handover_word *ret_word)
{
	uint64_t place = atomic_load_explicit(&h->read, memory_order_relaxed); /* our own */
	uint32_t first = together(h, place, HEAD_BYTES);

	/* Acquire: pairs with the release in handover_push(). */
	if (atomic_load_explicit(&h->written, memory_order_acquire) == place)
		return false;
	memcpy(ret_word, h->bytes + (place & h->mask), first);
	memcpy((uint8_t *)ret_word + first, h->bytes, HEAD_BYTES - first);
	return true;
}

uint32_t
handover_part(const struct handover *h, const struct handover_word *word, uint32_t offset,
	const uint8_t **ret_part)
{
	uint64_t place = atomic_load_explicit(&h->read, memory_order_relaxed) + HEAD_BYTES + offset;

	queue_assert(word->has_body && offset <= word->body_bytes);
	*ret_part = h->bytes + (place & h->mask);
	return together(h, place, word->body_bytes - offset);
}

void
handover_drop(struct handover *h, const struct handover_word *word)
{
	uint64_t place = atomic_load_explicit(&h->read, memory_order_relaxed);

	/* Release: pairs with the acquire in handover_push(). */
	atomic_store_explicit(&h->read, place + word_bytes(word), memory_order_release);
}
