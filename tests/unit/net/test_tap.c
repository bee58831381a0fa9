/* SPDX-License-Identifier: Apache-2.0 */
/* The ring between a shard and a capture. */
#include "tests/unit/net/common.h"

#include "net/tap.h"

#include <pthread.h>
#include <sched.h>

#define RECORD_BYTES (16u + 64u)

static uint8_t frame[TAP_SNAP_BYTES_MAX];
static uint8_t copy[TAP_SNAP_BYTES_MAX];

static int
set_up(void **state)
{
	static struct tap tap;

	*state = &tap;
	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	return tap_init(&tap);
}

static int
tear_down(void **state)
{
	tap_fini(*state);
	return 0;
}

static void
test_a_frame_comes_out_as_it_was(void **state)
{
	struct tap *tap = *state;
	struct tap_record r;

	tap_reset(tap, TAP_SNAP_BYTES_MAX);
	tap_push(tap, 42, 3, TAP_SENT, frame, 1499, 1499);
	assert_true(tap_pop(tap, &r, copy));
	assert_int_equal(r.stamp_ns, 42);
	assert_int_equal(r.port, 3);
	assert_int_equal(r.direction, TAP_SENT);
	assert_int_equal(r.kept_bytes, 1499);
	assert_int_equal(r.frame_bytes, 1499);
	assert_memory_equal(copy, frame, 1499);
	assert_false(tap_pop(tap, &r, copy));
}

/* A file that says how long a frame was, although it holds only its head. */
static void
test_a_long_frame_is_cut_and_its_length_kept(void **state)
{
	struct tap *tap = *state;
	struct tap_record r;

	tap_reset(tap, 100);
	tap_push(tap, 1, 0, TAP_RECEIVED, frame, 500, 9000);
	assert_true(tap_pop(tap, &r, copy));
	assert_int_equal(r.kept_bytes, 100);
	assert_int_equal(r.frame_bytes, 9000);
	assert_int_equal(r.direction, TAP_RECEIVED);
}

/* The shard never waits for the disk: what finds no room is counted, and what is there stays whole. */
static void
test_a_full_ring_loses_the_newest_and_says_how_many(void **state)
{
	struct tap *tap = *state;
	uint32_t room = TAP_RING_BYTES / RECORD_BYTES;
	struct tap_record r;

	tap_reset(tap, 64);
	for (uint32_t i = 0; i < room + 5; i++)
		tap_push(tap, i, 0, TAP_SENT, frame, 64, 64);
	assert_int_equal(tap_lost_count(tap), 5);
	for (uint32_t i = 0; i < room; i++) {
		assert_true(tap_pop(tap, &r, copy));
		assert_int_equal(r.stamp_ns, i);
	}
	assert_false(tap_pop(tap, &r, copy));
	tap_push(tap, 7, 0, TAP_SENT, frame, 64, 64);
	assert_true(tap_pop(tap, &r, copy));
	assert_int_equal(tap_lost_count(tap), 5);
	tap_reset(tap, 64);
	assert_int_equal(tap_lost_count(tap), 0);
}

/* Sizes that do not divide the ring: records lie across its end. */
static void
test_records_go_around_the_end(void **state)
{
	struct tap *tap = *state;
	struct tap_record r;

	tap_reset(tap, TAP_SNAP_BYTES_MAX);
	for (uint32_t i = 0; i < 10000; i++) {
		uint32_t bytes = 60 + i * 31 % 9000;

		tap_push(tap, i, (uint8_t)(i % 8), TAP_RECEIVED, frame, bytes, bytes);
		assert_true(tap_pop(tap, &r, copy));
		assert_int_equal(r.stamp_ns, i);
		assert_int_equal(r.kept_bytes, bytes);
		assert_memory_equal(copy, frame, bytes);
	}
	assert_int_equal(tap_lost_count(tap), 0);
}

#define BUSY_COUNT 200000u

static void *
push_many(void *context)
{
	for (uint32_t i = 0; i < BUSY_COUNT; i++) {
		uint32_t bytes = 60 + i % 300;

		tap_push(context, i, 0, TAP_SENT, frame + i % 1000, bytes, bytes);
		if (i % 1000 == 0)
			sched_yield();
	}
	return NULL;
}

/* Two threads: in order, each one whole, and all of them either here or counted. */
static void
test_a_reader_keeps_up_or_the_rest_is_counted(void **state)
{
	struct tap *tap = *state;
	uint64_t seen = 0, after = 0;
	struct tap_record r;
	pthread_t writer;

	tap_reset(tap, 256);
	assert_int_equal(pthread_create(&writer, NULL, push_many, tap), 0);
	while (seen + tap_lost_count(tap) < BUSY_COUNT) {
		if (!tap_pop(tap, &r, copy)) {
			sched_yield();
			continue;
		}
		assert_true(r.stamp_ns >= after);
		assert_int_equal(r.frame_bytes, 60 + r.stamp_ns % 300);
		assert_memory_equal(copy, frame + r.stamp_ns % 1000, r.kept_bytes);
		after = r.stamp_ns + 1;
		seen++;
	}
	pthread_join(writer, NULL);
	assert_false(tap_pop(tap, &r, copy));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_frame_comes_out_as_it_was),
		cmocka_unit_test(test_a_long_frame_is_cut_and_its_length_kept),
		cmocka_unit_test(test_a_full_ring_loses_the_newest_and_says_how_many),
		cmocka_unit_test(test_records_go_around_the_end),
		cmocka_unit_test(test_a_reader_keeps_up_or_the_rest_is_counted),
	};

	return cmocka_run_group_tests_name("tap", tests, set_up, tear_down);
}
