/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: every type survives the wire byte for byte, and nothing that is cut, padded or absurd does. */
#include "engine/core/msg.h"

#include "base/bytes.h"
#include "engine/core/replica.h"
#include "tests/lib/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FRAME_BYTES 600

static const uint8_t value[] = "a value of some bytes";

/* One example of each type, every field different. */
static struct eng_msg
example(enum eng_msg_type type)
{
	struct eng_msg m = {
		.type = type,
		.src = 2,
		.dst = 3,
		.group = 4,
		.epoch = 5,
		.src_nonce = 6,
		.src_disk = 7,
		.ballot = { 8 << 16 | 2 },
	};

	switch (type) {
	case ENG_MSG_PREVOTE: m.prevote.first_undecided.n = 20; break;
	case ENG_MSG_PREVOTE_REPLY:
		m.prevote_reply.granted = true;
		m.prevote_reply.reason = ENG_FAIL_LEADER_ALIVE;
		m.prevote_reply.promised.n = 21;
		m.prevote_reply.dst_nonce = 22;
		break;
	case ENG_MSG_PREPARE: m.prepare.from.n = 20; break;
	case ENG_MSG_PROMISE:
		m.promise.dst_nonce = 20;
		m.promise.from.n = 21;
		m.promise.low.n = 1;
		m.promise.commit.n = 22;
		m.promise.last.n = 30;
		m.promise.first.n = 23;
		m.promise.after.n = 23;
		break;
	case ENG_MSG_ACCEPT:
		m.accept.slot.n = 20;
		m.accept.start.n = 21;
		m.accept.commit.n = 22;
		m.accept.digest = (struct decree_digest){ 23, 24 };
		m.accept.value = value;
		m.accept.bytes = sizeof(value);
		break;
	case ENG_MSG_ACCEPTED:
		m.accepted.start.n = 20;
		m.accepted.after.n = 25;
		m.accepted.commit.n = 19;
		for (int i = 0; i < 4; i++)
			m.accepted.sack[i] = 0xf0f0f0f0f0f0f0f0ull + (uint64_t)i;
		break;
	case ENG_MSG_SUCCESS:
		m.success.start.n = 20;
		m.success.commit.n = 21;
		break;
	case ENG_MSG_FAILURE:
		m.failure.reason = ENG_FAIL_BUSY;
		m.failure.promised.n = 20;
		m.failure.dst_nonce = 21;
		m.failure.snapshot.n = 22;
		m.failure.other_disk = true;
		break;
	case ENG_MSG_LEADER_CHANGE:
		m.leader_change.start.n = 20;
		m.leader_change.timeout_now = true;
		break;
	case ENG_MSG_HEARTBEAT:
		m.heartbeat.seq = 20;
		m.heartbeat.start.n = 21;
		m.heartbeat.commit.n = 22;
		break;
	case ENG_MSG_STATE_DIGEST:
		m.state_digest.slot.n = 20;
		m.state_digest.digest = (struct decree_digest){ 21, 22 };
		m.state_digest.is_question = true;
		break;
	case ENG_MSG_HEARTBEAT_ECHO:
		m.heartbeat_echo.cut_asked = true;
		m.heartbeat_echo.seq = 20;
		m.heartbeat_echo.dst_nonce = 21;
		m.heartbeat_echo.commit.n = 22;
		m.heartbeat_echo.promised.n = 23;
		break;
	case ENG_MSG_QUERY:
		m.query.first.n = 20;
		m.query.after.n = 30;
		m.query.accepted_too = true;
		break;
	case ENG_MSG_QUERY_REPLY:
		m.query_reply.slot.n = 20;
		m.query_reply.state = ENG_ENTRY_DECIDED;
		m.query_reply.vballot.n = 21;
		m.query_reply.commit.n = 22;
		m.query_reply.digest = (struct decree_digest){ 23, 24 };
		m.query_reply.value = value;
		m.query_reply.bytes = sizeof(value);
		break;
	case ENG_MSG_HELLO:
		m.hello.challenge = 20;
		m.hello.commit.n = 21;
		break;
	case ENG_MSG_HELLO_REPLY:
		m.hello_reply.challenge = 20;
		m.hello_reply.dst_nonce = 21;
		m.hello_reply.boot_count = 22;
		m.hello_reply.promised.n = 23;
		m.hello_reply.last.n = 24;
		m.hello_reply.commit.n = 25;
		m.hello_reply.found_promised.n = 26;
		m.hello_reply.found_last.n = 27;
		m.hello_reply.doubtful = true;
		break;
	case ENG_MSG_READ_INDEX: m.read_index.token = 20; break;
	case ENG_MSG_READ_INDEX_REPLY:
		m.read_index_reply.token = 20;
		m.read_index_reply.dst_nonce = 21;
		m.read_index_reply.slot.n = 22;
		break;
	case ENG_MSG_SNAPSHOT_OFFER:
		m.snapshot_offer.slot.n = 20;
		m.snapshot_offer.bytes = 21;
		m.snapshot_offer.anchor.n = 22;
		m.snapshot_offer.digest = (struct decree_digest){ 23, 24 };
		break;
	case ENG_MSG_SNAPSHOT_FETCH:
		m.snapshot_fetch.slot.n = 20;
		m.snapshot_fetch.offset_bytes = 21;
		m.snapshot_fetch.count = 22;
		break;
	case ENG_MSG_SNAPSHOT_CHUNK:
		m.snapshot_chunk.slot.n = 20;
		m.snapshot_chunk.offset_bytes = 21;
		m.snapshot_chunk.digest = (struct decree_digest){ 23, 24 };
		m.snapshot_chunk.value = value;
		m.snapshot_chunk.bytes = sizeof(value);
		break;
	case ENG_MSG_TYPE_COUNT: break;
	}
	return m;
}

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
		struct eng_msg m = example(type);
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
		struct eng_msg m = example(type);
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
	struct eng_msg m = example(ENG_MSG_PREPARE);
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

/* Slots end at 2^48: sums of slots in the core cannot overflow, and a session's number has room for one. */
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
		struct eng_msg m = example(rows[i].type);
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
	struct eng_msg query = example(ENG_MSG_QUERY);
	struct eng_msg accepted = example(ENG_MSG_ACCEPTED);
	struct eng_msg promise = example(ENG_MSG_PROMISE);
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
	struct eng_msg m = example(ENG_MSG_PROMISE);
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
