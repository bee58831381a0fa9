/* SPDX-License-Identifier: Apache-2.0 */
/* Several small messages in one frame: its bytes, and what it saves. */
#include "world.h"

#include "base/bytes.h"
#include "engine/runtime/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t good[] = { BUNDLE_TYPE, 0, 2, 0, 3, 0, 'a', 'b', 'c', 1, 0, 'd' };

/* An exact copy on the heap, so that a sanitizer sees a read past the end. */
static bool
is_valid(const uint8_t *bytes, uint32_t count)
{
	uint8_t *copy = malloc(count + 1);

	memcpy(copy, bytes, count);
	bool ok = bundle_is_valid(copy, count);
	free(copy);
	return ok;
}

static void
test_messages_come_back_in_order(void **state)
{
	const uint8_t *message;
	uint32_t cursor = 0, bytes;

	(void)state;
	assert_true(is_bundle(good, sizeof(good)) && is_valid(good, sizeof(good)));
	assert_true(bundle_next(good, sizeof(good), &cursor, &message, &bytes));
	assert_int_equal(bytes, 3);
	assert_memory_equal(message, "abc", 3);
	assert_true(bundle_next(good, sizeof(good), &cursor, &message, &bytes));
	assert_int_equal(bytes, 1);
	assert_memory_equal(message, "d", 1);
	assert_false(bundle_next(good, sizeof(good), &cursor, &message, &bytes));
}

static void
test_what_is_cut_padded_or_lies_is_refused(void **state)
{
	uint8_t bytes[sizeof(good) + 1] = { 0 };

	(void)state;
	memcpy(bytes, good, sizeof(good));
	for (uint32_t i = 0; i < sizeof(good); i++)
		assert_false(is_valid(bytes, i));
	assert_false(is_valid(bytes, sizeof(bytes)));
	for (uint32_t i = 0; i < sizeof(good); i++) {
		bool is_content = (i >= 6 && i < 9) || i == 11;

		for (uint32_t bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1u << bit);
			assert_int_equal(is_valid(bytes, sizeof(good)), is_content);
			bytes[i] ^= (uint8_t)(1u << bit);
		}
	}
}

/* protocol 13.3: 62 idle groups. Every heartbeat and echo is a message; frames are many times
 * fewer. */
static void
test_idle_groups_share_their_frames(void **state)
{
	struct world *w = world_new_groups(3, 62);
	uint64_t messages = 0, frames = 0, led = 0;

	(void)state;
	world_run(w, 5000000000);
	for (uint32_t i = 0; i < 3; i++) {
		messages -= shard_counters(w->nodes[i].shard)->messages_out;
		frames -= w->nodes[i].net.sent;
	}
	world_run(w, 1000000000);
	for (uint32_t i = 0; i < 3; i++) {
		messages += shard_counters(w->nodes[i].shard)->messages_out;
		frames += w->nodes[i].net.sent;
		for (uint16_t g = 0; g < 62; g++)
			led += eng_leader(shard_replica(w->nodes[i].shard, g)) ==
			       w->nodes[i].node_id;
		assert_int_equal(shard_counters(w->nodes[i].shard)->malformed, 0);
	}
	assert_int_equal(led, 62);
	/* 50 heartbeats a second, two peers, there and back. */
	assert_true(messages >= 62 * 4 * 49);
	print_message("%lu messages in %lu frames a second\n", (unsigned long)messages,
		(unsigned long)frames);
	assert_true(frames * 10 < messages);
	world_free(w);
}

/* Nothing but a frame that is no bundle, and one whose messages are none. */
static void
test_a_damaged_bundle_is_counted_and_harmless(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct net_endpoint from = { .node_id = world_follower(w)->node_id };
	uint8_t bytes[sizeof(good)];

	(void)state;
	memcpy(bytes, good, sizeof(good));
	world_deliver(w, leader, from, bytes, sizeof(good) - 1);
	(void)world_turn(w);
	assert_int_equal(shard_counters(leader->shard)->malformed, 1);
	world_deliver(w, leader, from, bytes, sizeof(good));
	(void)world_turn(w);
	assert_int_equal(shard_counters(leader->shard)->malformed, 3);
	world_run(w, 100000000);
	assert_int_equal(leader->role, DECREE_LEADER);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_come_back_in_order),
		cmocka_unit_test(test_what_is_cut_padded_or_lies_is_refused),
		cmocka_unit_test(test_idle_groups_share_their_frames),
		cmocka_unit_test(test_a_damaged_bundle_is_counted_and_harmless),
	};

	return cmocka_run_group_tests_name("bundle", tests, NULL, NULL);
}
