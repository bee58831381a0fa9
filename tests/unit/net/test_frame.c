/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/common.h"

#include "net/frame.h"
#include "net/replay.h"

static const struct frame_header sample = {
	.kind = FRAME_DATA,
	.version = 1,
	.source_node = 0x0102,
	.target_node = 0x0304,
	.source_shard = 5,
	.target_shard = 6,
	.payload_bytes = 3,
	.cluster_id = 0x1112131415161718,
	.counter = 0x2122232425262728,
};

/* The layout is on the wire: this is it, byte by byte. */
static void
test_header_bytes_are_the_documented_ones(void **state)
{
	static const uint8_t expected[FRAME_SIGNED_BYTES] = { 0xc4, 0xde, 1, 1, 2, 1, 4, 3, 5, 6, 3,
		0, 0, 0, 0, 0, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26,
		0x25, 0x24, 0x23, 0x22, 0x21 };
	uint8_t bytes[FRAME_HEADER_BYTES] = { 0 };

	(void)state;
	frame_encode(&sample, bytes);
	assert_memory_equal(bytes, expected, sizeof(expected));
}

static void
test_decoding_gives_back_what_was_encoded(void **state)
{
	uint8_t bytes[FRAME_HEADER_BYTES + 3] = { 0 };
	struct frame_header h;

	(void)state;
	frame_encode(&sample, bytes);
	assert_int_equal(frame_decode(bytes, sizeof(bytes), &h), NET_DROP_NONE);
	assert_int_equal(h.kind, sample.kind);
	assert_int_equal(h.source_node, sample.source_node);
	assert_int_equal(h.target_node, sample.target_node);
	assert_int_equal(h.source_shard, sample.source_shard);
	assert_int_equal(h.target_shard, sample.target_shard);
	assert_int_equal(h.payload_bytes, sample.payload_bytes);
	assert_int_equal(h.cluster_id, sample.cluster_id);
	assert_int_equal(h.counter, sample.counter);
}

/* Also one byte too long: nothing may hide behind a payload. */
static void
test_every_other_length_is_refused(void **state)
{
	uint8_t bytes[FRAME_HEADER_BYTES + 4] = { 0 };
	struct frame_header h;

	(void)state;
	frame_encode(&sample, bytes);
	for (uint32_t i = 0; i <= sizeof(bytes); i++) {
		enum net_drop drop = frame_decode(bytes, i, &h);

		if (i == FRAME_HEADER_BYTES + 3)
			assert_int_equal(drop, NET_DROP_NONE);
		else if (i < FRAME_HEADER_BYTES)
			assert_int_equal(drop, NET_DROP_SHORT);
		else
			assert_int_equal(drop, NET_DROP_FRAME_MALFORMED);
	}
}

/* What every version must be able to read, so that it can say what it speaks. */
static void
test_a_hello_is_of_the_first_version_for_ever(void **state)
{
	struct frame_header hello = sample;
	uint8_t bytes[FRAME_HEADER_BYTES + 3] = { 0 };
	struct frame_header h;

	(void)state;
	hello.kind = FRAME_HELLO;
	hello.version = 7;
	frame_encode(&hello, bytes);
	assert_int_equal(bytes[2], 1);
	assert_int_equal(frame_decode(bytes, sizeof(bytes), &h), NET_DROP_NONE);
	bytes[2] = 2;
	assert_int_equal(frame_decode(bytes, sizeof(bytes), &h), NET_DROP_FRAME_MALFORMED);
}

static void
test_unknown_magic_version_and_kind_are_refused(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		uint8_t bytes[FRAME_HEADER_BYTES + 3] = { 0 };
		struct frame_header h;

		frame_encode(&sample, bytes);
		bytes[i] ^= i == 2 ? 1 : 0x40; /* no version is 0 */
		assert_int_equal(frame_decode(bytes, sizeof(bytes), &h), NET_DROP_FRAME_MALFORMED);
	}
}

static void
test_frames_between_two_clients_are_refused(void **state)
{
	struct frame_header nobody = sample;
	uint8_t bytes[FRAME_HEADER_BYTES + 3] = { 0 };
	struct frame_header h;

	(void)state;
	nobody.source_node = 0;
	nobody.target_node = 0;
	frame_encode(&nobody, bytes);
	assert_int_equal(frame_decode(bytes, sizeof(bytes), &h), NET_DROP_FRAME_MALFORMED);
}

static void
test_window_takes_each_counter_once_in_any_order(void **state)
{
	static const uint64_t order[] = { 3, 1, 2, 100, 64, 63, 65, 1000, 961, 5000, 4095, 4096 };
	struct replay window = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_true(replay_take(&window, order[i]));
		assert_false(replay_take(&window, order[i]));
	}
}

static void
test_window_refuses_zero(void **state)
{
	struct replay window = { 0 };

	(void)state;
	assert_false(replay_take(&window, 0));
}

static void
test_window_reaches_back_as_far_as_it_says(void **state)
{
	(void)state;
	for (uint64_t newest = REPLAY_REACH + 1; newest < REPLAY_REACH + 200; newest++) {
		struct replay window = { 0 };

		assert_true(replay_take(&window, newest));
		assert_true(replay_take(&window, newest - REPLAY_REACH));
		assert_false(replay_take(&window, newest - REPLAY_REACH));
	}
}

/* What slid out of the window must never be taken again: its bit is another counter's by now. */
static void
test_window_refuses_what_is_too_old_to_tell(void **state)
{
	struct replay window = { 0 };

	(void)state;
	for (uint64_t i = 1; i <= 5000; i++)
		assert_true(replay_take(&window, i));
	for (uint64_t i = 1; i <= 5000; i++)
		assert_false(replay_take(&window, i));
}

static void
test_window_forgets_nothing_across_a_jump(void **state)
{
	struct replay window = { 0 };

	(void)state;
	assert_true(replay_take(&window, 10));
	assert_true(replay_take(&window, UINT64_MAX - 5));
	assert_false(replay_take(&window, 10));
	assert_true(replay_take(&window, UINT64_MAX - 6));
	assert_false(replay_take(&window, UINT64_MAX - 6));
	assert_true(replay_take(&window, UINT64_MAX));
	assert_false(replay_take(&window, UINT64_MAX - 5));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_bytes_are_the_documented_ones),
		cmocka_unit_test(test_decoding_gives_back_what_was_encoded),
		cmocka_unit_test(test_every_other_length_is_refused),
		cmocka_unit_test(test_a_hello_is_of_the_first_version_for_ever),
		cmocka_unit_test(test_unknown_magic_version_and_kind_are_refused),
		cmocka_unit_test(test_frames_between_two_clients_are_refused),
		cmocka_unit_test(test_window_takes_each_counter_once_in_any_order),
		cmocka_unit_test(test_window_refuses_zero),
		cmocka_unit_test(test_window_reaches_back_as_far_as_it_says),
		cmocka_unit_test(test_window_refuses_what_is_too_old_to_tell),
		cmocka_unit_test(test_window_forgets_nothing_across_a_jump),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
