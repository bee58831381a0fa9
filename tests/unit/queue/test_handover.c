/* SPDX-License-Identifier: Apache-2.0 */
/* What the shard's thread says to the gateway: in order, whole, and never lost. */
#include "queue/serve/handover.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define RING_BYTES 4096u
#define WORDS      32u

static uint8_t
letter(uint64_t id, uint32_t offset)
{
	return (uint8_t)(id * 31 + offset * 7);
}

static void
source(void *context, uint64_t id, uint32_t offset, void *ret_part, uint32_t capacity)
{
	(void)context;
	for (uint32_t i = 0; i < capacity; i++)
		((uint8_t *)ret_part)[i] = letter(id, offset + i);
}

static void
push(struct handover *h, uint64_t id, uint32_t body_bytes)
{
	const struct handover_word word = {
		.connection = id + 100,
		.id = id,
		.body_bytes = body_bytes,
		.has_body = true,
	};

	handover_push(h, &word, source, NULL);
}

/* @return whether its body was there */
static bool
pop(struct handover *h, uint64_t id, uint32_t body_bytes)
{
	struct handover_word word;
	const uint8_t *part;
	uint32_t count;

	assert_true(handover_peek(h, &word));
	assert_int_equal(word.id, id);
	assert_int_equal(word.connection, id + 100);
	assert_int_equal(word.body_bytes, body_bytes);
	for (uint32_t at = 0; word.has_body && at < body_bytes; at += count) {
		count = handover_part(h, &word, at, &part);
		assert_true(count > 0);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(part[i], letter(id, at + i));
	}
	handover_drop(h, &word);
	return word.has_body;
}

/* Sizes that are no multiple of anything, so that heads and bodies lie across the end of the ring,
 * too. */
static void
test_bodies_come_whole_and_in_order(void **state)
{
	struct handover h;
	struct handover_word word;

	(void)state;
	assert_int_equal(handover_init(&h, RING_BYTES, WORDS), 0);
	for (uint64_t id = 0; id < 5000; id++) {
		push(&h, id, (uint32_t)(id * 37 % 1500));
		push(&h, id + 1, 3);
		assert_true(pop(&h, id, (uint32_t)(id * 37 % 1500)));
		assert_true(pop(&h, id + 1, 3));
		assert_false(handover_peek(&h, &word));
	}
	handover_fini(&h);
}

/* A word that is lost is a worker that waits for ever; a body can be read again. */
static void
test_a_full_ring_leaves_out_bodies_and_no_word(void **state)
{
	struct handover h;
	uint32_t with_body = 0;

	(void)state;
	assert_int_equal(handover_init(&h, RING_BYTES, WORDS), 0);
	for (int round = 0; round < 100; round++) {
		for (uint64_t id = 0; id < WORDS; id++)
			push(&h, id, 700);
		for (uint64_t id = 0; id < WORDS; id++)
			with_body += pop(&h, id, 700);
	}
	assert_in_range(with_body, 100, 100 * RING_BYTES / 700);
	handover_fini(&h);
}

/* A word that nobody waits for may be left out, and then must not take the place of others. */
static void
test_room_is_known_before(void **state)
{
	struct handover h;
	uint32_t pushed = 0;

	(void)state;
	assert_int_equal(handover_init(&h, RING_BYTES, WORDS), 0);
	assert_false(handover_has_room(&h, RING_BYTES));
	for (; handover_has_room(&h, 700); pushed++)
		push(&h, pushed, 700);
	assert_in_range(pushed, 1, RING_BYTES / 700);
	for (uint64_t id = pushed; id < pushed + WORDS; id++)
		push(&h, id, 700); /* there is room for all heads still */
	for (uint64_t id = 0; id < pushed + WORDS; id++)
		assert_int_equal(pop(&h, id, 700), id < pushed);
	assert_true(handover_has_room(&h, 700));
	handover_fini(&h);
}

static void
test_a_body_larger_than_the_ring(void **state)
{
	struct handover h;

	(void)state;
	assert_int_equal(handover_init(&h, RING_BYTES, WORDS), 0);
	push(&h, 1, 100000);
	push(&h, 2, 10);
	assert_false(pop(&h, 1, 100000));
	assert_true(pop(&h, 2, 10));
	handover_fini(&h);
	assert_int_equal(handover_init(&h, RING_BYTES, RING_BYTES), -EINVAL);
}

#define COUNT 200000u

static void *
write_all(void *context)
{
	struct handover *h = context;

	for (uint64_t id = 0; id < COUNT; id++) {
		/* As many words as the reader has seen, and WORDS more: what connections guarantee. */
		while (atomic_load(&h->written) - atomic_load(&h->read) >= RING_BYTES / 2)
			sched_yield();
		push(h, id, (uint32_t)(id % 200));
	}
	return NULL;
}

static void
test_two_threads(void **state)
{
	struct handover h;
	struct handover_word word;
	pthread_t writer;

	(void)state;
	assert_int_equal(handover_init(&h, RING_BYTES, WORDS), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_all, &h), 0);
	for (uint64_t id = 0; id < COUNT; id++) {
		while (!handover_peek(&h, &word))
			sched_yield();
		(void)pop(&h, id, (uint32_t)(id % 200));
	}
	assert_int_equal(pthread_join(writer, NULL), 0);
	handover_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies_come_whole_and_in_order),
		cmocka_unit_test(test_a_full_ring_leaves_out_bodies_and_no_word),
		cmocka_unit_test(test_room_is_known_before),
		cmocka_unit_test(test_a_body_larger_than_the_ring),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
