/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/common.h"

#include "net/auth.h"

static const struct session_ends ends_1_to_2 = {
	.cluster_id = 7, .local_node = 1, .remote_node = 2, .shard = 3
};
static const struct session_ends ends_2_to_1 = {
	.cluster_id = 7, .local_node = 2, .remote_node = 1, .shard = 3
};
static const uint8_t secret[NET_KEY_BYTES] = { 9, 8, 7 };
static const uint8_t nonce_1[NONCE_BYTES] = { 1 };
static const uint8_t nonce_2[NONCE_BYTES] = { 2 };

static int
setup(void **state)
{
	static struct auth auth;

	*state = &auth;
	return auth_init(&auth, NET_AUTH_GMAC);
}

static int
teardown(void **state)
{
	auth_fini(*state);
	return 0;
}

static void
known_answer(struct auth *auth, const char *payload, uint64_t counter, const uint8_t *expected)
{
	static const uint8_t raw[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct frame_header h = { .kind = FRAME_DATA,
		.version = 1,
		.source_node = 1,
		.target_node = 2,
		.source_shard = 3,
		.target_shard = 3,
		.payload_bytes = (uint16_t)strlen(payload),
		.cluster_id = 0x1122334455667788,
		.counter = counter };
	uint8_t frame[FRAME_HEADER_BYTES + 16] = { 0 };
	struct auth_key key;

	auth_key_set(auth, raw, &key);
	frame_encode(&h, frame);
	memcpy(frame + FRAME_HEADER_BYTES, payload, strlen(payload));
	auth_seal(auth, &key, counter, frame, h.payload_bytes);
	assert_memory_equal(frame + FRAME_SIGNED_BYTES, expected, FRAME_TAG_BYTES);
	assert_true(auth_check(auth, &key, counter, frame, h.payload_bytes));
}

/* The expected tags were made by `openssl mac -cipher AES-128-GCM ... GMAC` over the same bytes. */
static void
test_tag_is_aes_128_gmac_over_header_and_payload(void **state)
{
	static const uint8_t hello[] = { 0x0e, 0xab, 0x7d, 0xde, 0x13, 0xd6, 0x70, 0x59, 0xd4, 0x39,
		0x96, 0xc3, 0x9a, 0xab, 0xc9, 0xd5 };
	static const uint8_t nothing[] = { 0xed, 0x6f, 0x03, 0x09, 0x26, 0x11, 0x2a, 0x0a, 0xe4,
		0xfe, 0x15, 0x6d, 0x53, 0xa6, 0x87, 0x82 };

	known_answer(*state, "hello", 1, hello);
	known_answer(*state, "", 2, nothing);
}

/* The expected bytes are Python's hashlib.blake2b(b"label\0info", key=..., digest_size=16). */
static void
test_derivation_is_keyed_blake2b(void **state)
{
	static const uint8_t expected[] = { 0xd5, 0x1f, 0x10, 0xf0, 0x6b, 0xa6, 0x94, 0xc0, 0x40,
		0xcd, 0x62, 0x10, 0x5e, 0xad, 0x53, 0x83 };
	uint8_t key[NET_KEY_BYTES], derived[16];

	(void)state;
	for (int i = 0; i < NET_KEY_BYTES; i++)
		key[i] = (uint8_t)i;
	auth_derive(key, "label", "info", 4, derived, sizeof(derived));
	assert_memory_equal(derived, expected, sizeof(expected));
}

static void
decode(const uint8_t *frame, uint32_t bytes, struct frame_header *ret_header)
{
	assert_int_equal(frame_decode(frame, bytes, ret_header), NET_DROP_NONE);
}

static void
test_two_ends_understand_each_other_in_both_directions(void **state)
{
	uint8_t frame[FRAME_HEADER_BYTES + 64] = { 0 };
	struct session one, two;
	struct frame_header h;

	session_start(*state, &one, secret, secret, &ends_1_to_2, nonce_1, nonce_2, 1);
	session_start(*state, &two, secret, secret, &ends_2_to_1, nonce_2, nonce_1, 1);
	session_seal(*state, &one, &ends_1_to_2, 0, frame, 64);
	decode(frame, sizeof(frame), &h);
	assert_int_equal(session_open(*state, &two, &h, frame), NET_DROP_NONE);
	assert_int_equal(session_open(*state, &two, &h, frame), NET_DROP_REPLAY);
	session_seal(*state, &two, &ends_2_to_1, 0, frame, 64);
	decode(frame, sizeof(frame), &h);
	assert_int_equal(session_open(*state, &one, &h, frame), NET_DROP_NONE);
}

/* What the two ends agreed on is in each frame, so a frame of another version is never read as one
 * of this. */
static void
test_a_frame_of_another_version_is_refused(void **state)
{
	uint8_t frame[FRAME_HEADER_BYTES + 64] = { 0 };
	struct session one, two;
	struct frame_header h;

	session_start(*state, &one, secret, secret, &ends_1_to_2, nonce_1, nonce_2, 2);
	session_start(*state, &two, secret, secret, &ends_2_to_1, nonce_2, nonce_1, 1);
	session_seal(*state, &one, &ends_1_to_2, 0, frame, 64);
	decode(frame, sizeof(frame), &h);
	assert_int_equal(h.version, 2);
	assert_int_equal(session_open(*state, &two, &h, frame), NET_DROP_VERSION);
	two.version = 2;
	assert_int_equal(session_open(*state, &two, &h, frame), NET_DROP_NONE);
}

/* A frame thrown back at its sender must not pass for the peer's. */
static void
test_reflected_frame_is_refused(void **state)
{
	uint8_t frame[FRAME_HEADER_BYTES + 64] = { 0 };
	struct session one;
	struct frame_header h;

	session_start(*state, &one, secret, secret, &ends_1_to_2, nonce_1, nonce_2, 1);
	session_seal(*state, &one, &ends_1_to_2, 0, frame, 64);
	decode(frame, sizeof(frame), &h);
	assert_int_equal(session_open(*state, &one, &h, frame), NET_DROP_TAG);
}

static void
test_no_flipped_bit_is_accepted(void **state)
{
	uint8_t frame[FRAME_HEADER_BYTES + 40] = { 0 };
	struct session one, two;

	session_start(*state, &one, secret, secret, &ends_1_to_2, nonce_1, nonce_2, 1);
	session_start(*state, &two, secret, secret, &ends_2_to_1, nonce_2, nonce_1, 1);
	session_seal(*state, &one, &ends_1_to_2, 0, frame, 40);
	for (uint32_t bit = 0; bit < 8 * sizeof(frame); bit++) {
		struct frame_header h;

		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (frame_decode(frame, sizeof(frame), &h) == NET_DROP_NONE)
			assert_int_equal(session_open(*state, &two, &h, frame), NET_DROP_TAG);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(two.replay.newest, 0); /* and forgeries do not move the window */
}

struct difference {
	const char *name;
	struct session_ends ends;
	uint8_t secret;
	uint8_t local_nonce;
	uint8_t remote_nonce;
};

static const uint8_t token[DECREE_UUID_BYTES] = { 5 };

/* Everything that goes into a key must change it, or two streams would share counters. */
static const struct difference differences[] = {
	{ "other cluster", { 8, 2, 1, 3, NULL }, 9, 2, 1 },
	{ "other receiver", { 7, 3, 1, 3, NULL }, 9, 2, 1 },
	{ "other sender", { 7, 2, 3, 3, NULL }, 9, 2, 1 },
	{ "other shard", { 7, 2, 1, 4, NULL }, 9, 2, 1 },
	{ "client's, not a node's", { 7, 2, 1, 3, token }, 9, 2, 1 },
	{ "other secret", { 7, 2, 1, 3, NULL }, 10, 2, 1 },
	{ "receiver restarted", { 7, 2, 1, 3, NULL }, 9, 4, 1 },
	{ "sender restarted", { 7, 2, 1, 3, NULL }, 9, 2, 4 },
};

static void
test_key_depends_on(void **state)
{
	const struct difference *d = *state;
	uint8_t other_secret[NET_KEY_BYTES] = { d->secret, 8, 7 };
	uint8_t local[NONCE_BYTES] = { d->local_nonce }, remote[NONCE_BYTES] = { d->remote_nonce };
	uint8_t frame[FRAME_HEADER_BYTES + 8] = { 0 };
	struct session one, other;
	struct frame_header h;
	struct auth auth;

	assert_int_equal(auth_init(&auth, NET_AUTH_GMAC), 0);
	session_start(&auth, &one, secret, secret, &ends_1_to_2, nonce_1, nonce_2, 1);
	session_start(&auth, &other, other_secret, other_secret, &d->ends, local, remote, 1);
	session_seal(&auth, &one, &ends_1_to_2, 0, frame, 8);
	decode(frame, sizeof(frame), &h);
	assert_int_equal(session_open(&auth, &other, &h, frame), NET_DROP_TAG);
	auth_fini(&auth);
}

/* Without authentication the tag still tells one life of a pair from the next. */
static void
test_none_keeps_out_frames_of_an_earlier_session(void **state)
{
	static const uint8_t nonce_1_reborn[NONCE_BYTES] = { 11 };
	uint8_t frame[FRAME_HEADER_BYTES + 8] = { 0 };
	struct auth none;
	struct session one, two;
	struct frame_header h;

	(void)state;
	assert_int_equal(auth_init(&none, NET_AUTH_NONE), 0);
	session_start(&none, &one, secret, secret, &ends_1_to_2, nonce_1, nonce_2, 1);
	session_start(&none, &two, secret, secret, &ends_2_to_1, nonce_2, nonce_1, 1);
	session_seal(&none, &one, &ends_1_to_2, 0, frame, 8);
	decode(frame, sizeof(frame), &h);
	assert_int_equal(session_open(&none, &two, &h, frame), NET_DROP_NONE);
	session_start(&none, &two, secret, secret, &ends_2_to_1, nonce_2, nonce_1_reborn, 1);
	assert_int_equal(session_open(&none, &two, &h, frame), NET_DROP_TAG);
}

#define ROW(i)                                                                                     \
	{                                                                                          \
		.name = differences[i].name, .test_func = test_key_depends_on,                     \
		.initial_state = (void *)(uintptr_t)&differences[i]                                \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag_is_aes_128_gmac_over_header_and_payload),
		cmocka_unit_test(test_derivation_is_keyed_blake2b),
		cmocka_unit_test(test_two_ends_understand_each_other_in_both_directions),
		cmocka_unit_test(test_a_frame_of_another_version_is_refused),
		cmocka_unit_test(test_reflected_frame_is_refused),
		cmocka_unit_test(test_no_flipped_bit_is_accepted),
		cmocka_unit_test(test_none_keeps_out_frames_of_an_earlier_session),
	};
	const struct CMUnitTest rows[] = { ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6),
		ROW(7) };

	static_assert(
		sizeof(rows) / sizeof(rows[0]) == sizeof(differences) / sizeof(differences[0]),
		"every difference is a test");
	return cmocka_run_group_tests_name("auth", tests, setup, teardown) +
	       cmocka_run_group_tests_name("keys", rows, NULL, NULL);
}
