/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: every type survives the wire byte for byte, and nothing that is cut, padded or absurd
 * does. */
#include "engine/core/msg.h"

#include "base/bytes.h"
#include "engine/core/replica.h"
#include "tests/lib/cluster.h"
#include "tests/lib/msg_example.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FRAME_BYTES 600

static int
decode_copy(const uint8_t *frame, uint32_t bytes)
{
	uint8_t *copy = malloc(bytes + 1);
	struct eng_msg m;

	memcpy(copy, frame, bytes);
	int rc = eng_msg_decode(copy, bytes, &m);
	free(copy);
	return rc;
}

/* Encoding what was decoded must give the same bytes: so no field is lost on either way. */
static void
test_every_type_survives_the_wire(void **state)
{
	(void)state;
	for (uint32_t type = 1; type < ENG_MSG_TYPE_COUNT; type++) {
		if (!eng_msg_is_known(type))
			continue;
		uint8_t frame[FRAME_BYTES];
		uint8_t again[FRAME_BYTES];
		struct eng_msg m = msg_example(type);
		struct eng_msg decoded;

		memset(frame, 0xaa, sizeof(frame));
		memset(again, 0x55, sizeof(again));
		uint32_t bytes = eng_msg_encode(NULL, &m, frame, sizeof(frame));
		assert_int_equal(eng_msg_decode(frame, bytes, &decoded), 0);
		assert_int_equal(decoded.src, 2);
		assert_int_equal(decoded.dst, 3);
		assert_int_equal(decoded.ballot.n, 8 << 16 | 2);
		assert_int_equal(eng_msg_encode(NULL, &decoded, again, sizeof(again)), bytes);
		assert_memory_equal(frame, again, bytes);
	}
}

static void
test_every_truncation_and_every_tail_is_refused(void **state)
{
	(void)state;
	for (uint32_t type = 1; type < ENG_MSG_TYPE_COUNT; type++) {
		if (!eng_msg_is_known(type))
			continue;
		uint8_t frame[FRAME_BYTES] = { 0 };
		struct eng_msg m = msg_example(type);
		uint32_t bytes = eng_msg_encode(NULL, &m, frame, sizeof(frame));

		for (uint32_t cut = 0; cut < bytes; cut++) {
			assert_int_not_equal(decode_copy(frame, cut), 0);
			if (cut < ENG_MSG_HEADER_BYTES)
				continue;
			/* Even if the header agrees that it is shorter. */
			store_u32(frame + 12, cut - ENG_MSG_HEADER_BYTES);
			assert_int_not_equal(decode_copy(frame, cut), 0);
			store_u32(frame + 12, bytes - ENG_MSG_HEADER_BYTES);
		}
		assert_int_not_equal(decode_copy(frame, bytes + 1), 0);
		store_u32(frame + 12, bytes + 1 - ENG_MSG_HEADER_BYTES);
		assert_int_not_equal(decode_copy(frame, bytes + 1), 0);
	}
}

static void
test_unknown_types_and_flags_are_refused(void **state)
{
	struct eng_msg m = msg_example(ENG_MSG_PREPARE);
	uint8_t frame[FRAME_BYTES];
	uint32_t bytes = eng_msg_encode(NULL, &m, frame, sizeof(frame));

	(void)state;
	for (uint32_t type = 0; type < 256; type++) {
		if (eng_msg_is_known(type))
			continue;
		frame[0] = (uint8_t)type;
		assert_int_not_equal(decode_copy(frame, bytes), 0);
	}
	frame[0] = ENG_MSG_PREPARE;
	frame[1] = 2;
	assert_int_not_equal(decode_copy(frame, bytes), 0);
}

/* Slots end at 2^48: sums of slots in the core cannot overflow, and a session's number has room for
 * one. */
static void
test_absurd_slots_are_refused(void **state)
{
	static const struct {
		enum eng_msg_type type;
		uint32_t offset;
	} rows[] = {
		{ ENG_MSG_PREVOTE, 40 },
		{ ENG_MSG_PREPARE, 40 },
		{ ENG_MSG_PROMISE, 48 },
		{ ENG_MSG_PROMISE, 56 },
		{ ENG_MSG_PROMISE, 64 },
		{ ENG_MSG_PROMISE, 72 },
		{ ENG_MSG_ACCEPT, 40 },
		{ ENG_MSG_ACCEPT, 48 },
		{ ENG_MSG_ACCEPT, 56 },
		{ ENG_MSG_ACCEPTED, 56 },
		{ ENG_MSG_SUCCESS, 40 },
		{ ENG_MSG_SUCCESS, 48 },
		{ ENG_MSG_LEADER_CHANGE, 40 },
		{ ENG_MSG_HEARTBEAT, 48 },
		{ ENG_MSG_HEARTBEAT, 56 },
		{ ENG_MSG_HEARTBEAT_ECHO, 56 },
		{ ENG_MSG_QUERY_REPLY, 40 },
		{ ENG_MSG_QUERY_REPLY, 56 },
		{ ENG_MSG_READ_INDEX_REPLY, 56 },
		{ ENG_MSG_FAILURE, 56 },
		{ ENG_MSG_SNAPSHOT_OFFER, 40 },
		{ ENG_MSG_SNAPSHOT_OFFER, 56 },
		{ ENG_MSG_SNAPSHOT_FETCH, 40 },
		{ ENG_MSG_SNAPSHOT_CHUNK, 40 },
		{ ENG_MSG_HELLO, 48 },
		{ ENG_MSG_HELLO_REPLY, 72 },
		{ ENG_MSG_HELLO_REPLY, 80 },
		{ ENG_MSG_STATE_DIGEST, 40 },
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct eng_msg m = msg_example(rows[i].type);
		uint8_t frame[FRAME_BYTES];
		uint32_t bytes = eng_msg_encode(NULL, &m, frame, sizeof(frame));

		store_u64(frame + rows[i].offset, ENG_SLOT_MAX);
		assert_int_equal(decode_copy(frame, bytes), 0);
		store_u64(frame + rows[i].offset, ENG_SLOT_MAX + 1);
		assert_int_not_equal(decode_copy(frame, bytes), 0);
	}
}

static void
test_ranges_that_end_before_they_begin_are_refused(void **state)
{
	struct eng_msg query = msg_example(ENG_MSG_QUERY);
	struct eng_msg accepted = msg_example(ENG_MSG_ACCEPTED);
	struct eng_msg promise = msg_example(ENG_MSG_PROMISE);
	uint8_t frame[FRAME_BYTES];

	(void)state;
	query.query.after.n = query.query.first.n - 1;
	assert_int_not_equal(
		decode_copy(frame, eng_msg_encode(NULL, &query, frame, sizeof(frame))), 0);
	accepted.accepted.after.n = accepted.accepted.start.n - 1;
	assert_int_not_equal(
		decode_copy(frame, eng_msg_encode(NULL, &accepted, frame, sizeof(frame))), 0);
	promise.promise.first.n = promise.promise.after.n = ENG_SLOT_MAX + 2;
	assert_int_not_equal(
		decode_copy(frame, eng_msg_encode(NULL, &promise, frame, sizeof(frame))), 0);
	promise.promise.first.n = 23;
	promise.promise.after.n = promise.promise.first.n - 1;
	assert_int_not_equal(
		decode_copy(frame, eng_msg_encode(NULL, &promise, frame, sizeof(frame))), 0);
}

/* The entries of a Promise are read from the replica, as many as one frame takes. */
static void
test_a_promise_carries_the_entries_of_its_range(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	uint8_t frame[CLUSTER_FRAME_BYTES];
	struct eng_msg m = msg_example(ENG_MSG_PROMISE);
	struct eng_msg decoded;

	(void)state;
	assert_true(cluster_elect(c, 1));
	uint32_t count = eng_promise_entry_count_max(sizeof(frame));
	m.promise.first.n = 1;
	m.promise.after.n = 1 + count;
	uint32_t bytes = eng_msg_encode(cluster_replica(c, 1), &m, frame, sizeof(frame));
	assert_true(bytes <= sizeof(frame) && bytes + ENG_PROMISE_ENTRY_BYTES > sizeof(frame));
	assert_int_equal(eng_msg_decode(frame, bytes, &decoded), 0);
	for (uint64_t slot = 1; slot <= 3; slot++) {
		struct eng_promise_entry e =
			eng_promise_entry_at(&decoded, (struct decree_slot){ slot });
		assert_int_equal(e.state, slot < 3 ? ENG_ENTRY_DECIDED : ENG_ENTRY_NONE);
		assert_int_equal(e.vballot.n != 0, slot < 3);
	}
	/* A state that does not exist yet is refused. */
	store_u32(frame + ENG_MSG_HEADER_BYTES + 7 * 8 + 28, 5);
	assert_int_not_equal(decode_copy(frame, bytes), 0);
	cluster_destroy(c);
}

/* Many frames of noise, half of them with a plausible head: refused or decoded, never read past. */
static void
test_random_bytes_are_never_read_past(void **state)
{
	uint64_t random = 1;
	uint32_t decoded = 0;

	(void)state;
	for (uint32_t i = 0; i < 200000; i++) {
		uint8_t frame[160];
		for (uint32_t at = 0; at < sizeof(frame); at += 8) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			store_u64(frame + at, random >> (i % 3 * 20));
		}
		uint32_t bytes = (uint32_t)(random >> 40) % sizeof(frame);
		if (i % 2 == 0 && bytes >= ENG_MSG_HEADER_BYTES) {
			frame[0] = (uint8_t)(1 + i % 13);
			frame[1] = 0;
			store_u32(frame + 12, bytes - ENG_MSG_HEADER_BYTES);
		}
		decoded += decode_copy(frame, bytes) == 0;
	}
	assert_int_not_equal(decoded, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_survives_the_wire),
		cmocka_unit_test(test_every_truncation_and_every_tail_is_refused),
		cmocka_unit_test(test_unknown_types_and_flags_are_refused),
		cmocka_unit_test(test_absurd_slots_are_refused),
		cmocka_unit_test(test_ranges_that_end_before_they_begin_are_refused),
		cmocka_unit_test(test_a_promise_carries_the_entries_of_its_range),
		cmocka_unit_test(test_random_bytes_are_never_read_past),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
