/* SPDX-License-Identifier: Apache-2.0 */
/* Who records, repeats, floods and forges: what hellos keep out. */
#include "tests/unit/net/handshake_fixture.h"

/* What an attacker can record must be useless in every later life of either end. */
static void
test_replayed_hellos_do_not_disturb_a_live_session(void **state)
{
	struct fixture *f = *state;
	struct datagram recorded[2];

	say_hello(f, &f->b); /* unproved, then proving, both of b's boot 9 */
	recorded[0] = f->b.out;
	say_hello(f, &f->a);
	assert_int_equal(give(f, &f->b, &f->a.out), NET_DROP_NONE);
	recorded[1] = f->b.out;
	settle(f);

	start(f, &f->b, 10, 0xbb);
	greet(f, &f->a);
	say_hello(f, &f->b);
	settle(f);
	assert_true(talks(f, &f->b, &f->a));
	for (int i = 0; i < 2; i++) {
		(void)give(f, &f->a, &recorded[i]);
		f->a.out.bytes = 0;
		assert_true(both_talk(f));
		assert_int_equal(f->a.handshake.peer_boot_count, 10);
	}
}

/* After our restart, an old proof names a nonce that is no longer ours. */
static void
test_replayed_proof_does_not_open_a_session_after_our_restart(void **state)
{
	struct fixture *f = *state;
	struct datagram proof;

	say_hello(f, &f->a);
	assert_int_equal(give(f, &f->b, &f->a.out), NET_DROP_NONE);
	proof = f->b.out;
	settle(f);

	start(f, &f->a, 6, 0xaa);
	assert_int_equal(give(f, &f->a, &proof), NET_DROP_NONE);
	assert_false(f->a.handshake.is_established);
}

/* Hellos of a dead life, replayed at a high rate, must not use up the answers. */
static void
test_flood_of_old_hellos_does_not_keep_a_restarted_peer_out(void **state)
{
	struct fixture *f = *state;
	struct datagram old;

	say_hello(f, &f->b);
	old = f->b.out;
	start(f, &f->b, 10, 0xbb);
	say_hello(f, &f->b); /* its first hello is heard among the flood */
	(void)give(f, &f->a, &f->b.out);
	f->b.out.bytes = 0;
	for (int i = 0; i < 100; i++) {
		f->now_ns += MS;
		(void)give(f, &f->a, &old);
	}
	f->a.out.bytes = 0;
	say_hello(f, &f->b);
	assert_int_equal(give(f, &f->a, &f->b.out), NET_DROP_NONE);
	f->b.out.bytes = 0;
	settle(f);
	assert_true(talks(f, &f->a, &f->b));
}

static void
test_answers_to_unproved_hellos_are_rate_limited(void **state)
{
	struct fixture *f = *state;
	int answers = 0;

	say_hello(f, &f->b);
	for (int i = 0; i < 1000; i++) { /* within 50 ms */
		f->now_ns += MS / 20;
		(void)give(f, &f->a, &f->b.out);
		answers += f->a.out.bytes > 0;
	}
	assert_in_range(answers, 5, 12);
}

/* Somebody on the path recorded how b's earlier life proved itself. He holds b back until its
 * session is silent, says the recording to a, which has not restarted since, and lets b through
 * again: both have the keys that they had. */
static void
test_a_session_that_comes_back_repeats_no_counter(void **state)
{
	struct fixture *f = *state;
	uint8_t heard[FRAME_HEADER_BYTES + 4] = { 0 };
	struct datagram recorded;
	struct frame_header h;
	uint64_t sent_counter;

	say_hello(f, &f->a);
	assert_int_equal(give(f, &f->b, &f->a.out), NET_DROP_NONE);
	f->a.out.bytes = 0;
	recorded = f->b.out;
	settle(f);
	start(f, &f->b, 10, 0xbb);
	say_hello(f, &f->b);
	settle(f);
	session_seal(&f->auth, &f->b.handshake.session, &f->b.handshake.config.ends, 0, heard, 4);
	assert_int_equal(frame_decode(heard, sizeof(heard), &h), NET_DROP_NONE);
	assert_int_equal(session_open(&f->auth, &f->a.handshake.session, &h, heard), NET_DROP_NONE);
	for (int i = 0; i < 5; i++)
		assert_true(talks(f, &f->a, &f->b));
	sent_counter = f->a.handshake.session.sent_counter;

	f->now_ns += HELLO_SESSION_SILENCE_NS;
	assert_int_equal(give(f, &f->a, &recorded), NET_DROP_NONE);
	assert_int_equal(f->a.handshake.peer_boot_count, 9);
	f->a.out.bytes = 0;
	assert_false(talks(f, &f->b, &f->a));
	f->now_ns += HELLO_SESSION_SILENCE_NS;
	say_hello(f, &f->a);
	settle(f);

	assert_int_equal(f->a.handshake.peer_boot_count, 10);
	assert_true(f->a.handshake.session.sent_counter >= sent_counter);
	assert_true(both_talk(f));
	assert_int_equal(
		session_open(&f->auth, &f->a.handshake.session, &h, heard), NET_DROP_REPLAY);
}

static void
test_no_damaged_hello_is_believed(void **state)
{
	struct fixture *f = *state;
	struct datagram *hello = &f->b.out;
	struct frame_header h;

	say_hello(f, &f->b);
	for (uint32_t bit = 0; bit < 8 * hello->bytes; bit++) {
		hello->at[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (frame_decode(hello->at, hello->bytes, &h) == NET_DROP_NONE &&
			h.kind == FRAME_HELLO && h.source_node == 2)
			assert_int_equal(give(f, &f->a, hello), NET_DROP_HELLO_TAG);
		hello->at[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(f->a.handshake.is_heard);
}

static void
test_hello_of_every_other_length_is_malformed(void **state)
{
	uint8_t payload[HELLO_FIXED_BYTES + 10] = { 0 };
	struct hello h;

	(void)state;
	payload[58] = 9; /* identity bytes */
	payload[60] = payload[61] = 1;
	for (uint32_t i = 0; i <= sizeof(payload); i++)
		assert_int_equal(hello_decode(payload, i, &h),
			i == HELLO_FIXED_BYTES + 9 ? NET_DROP_NONE : NET_DROP_HELLO_MALFORMED);
}

static void
test_hello_without_sound_versions_is_malformed(void **state)
{
	uint8_t payload[HELLO_FIXED_BYTES] = { 0 };
	struct hello h;

	(void)state;
	for (uint32_t min = 0; min < 256; min++)
		for (uint32_t max = 0; max < 256; max++) {
			payload[60] = (uint8_t)min;
			payload[61] = (uint8_t)max;
			assert_int_equal(hello_decode(payload, sizeof(payload), &h),
				min >= 1 && min <= max ? NET_DROP_NONE : NET_DROP_HELLO_MALFORMED);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replayed_hellos_do_not_disturb_a_live_session),
		TEST(test_replayed_proof_does_not_open_a_session_after_our_restart),
		TEST(test_flood_of_old_hellos_does_not_keep_a_restarted_peer_out),
		TEST(test_answers_to_unproved_hellos_are_rate_limited),
		TEST(test_a_session_that_comes_back_repeats_no_counter),
		TEST(test_no_damaged_hello_is_believed),
		TEST(test_hello_of_every_other_length_is_malformed),
		TEST(test_hello_without_sound_versions_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
