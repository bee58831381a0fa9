/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/common.h"

#include "net/handshake.h"

/* One end, and the last datagram that it wanted to send. */
struct end {
	struct handshake handshake;
	uint8_t out[HELLO_DATAGRAM_BYTES];
	uint32_t out_bytes;
};

struct fixture {
	struct auth auth;
	struct end a; /* node 1 */
	struct end b; /* node 2 */
	uint64_t now_ns;
};

static const uint8_t cluster_key[NET_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t other_key[NET_KEY_BYTES] = { 3, 2, 1 };

static struct handshake_config
config_of(struct fixture *f, uint16_t local, uint16_t remote, uint64_t boot, uint8_t nonce)
{
	return (struct handshake_config){
		.auth = &f->auth,
		.ends = { .cluster_id = 7, .local_node = local, .remote_node = remote },
		.secret = cluster_key,
		.nonce = { nonce, (uint8_t)local },
		.boot_count = boot,
		.identity = (const uint8_t *)"constants",
		.identity_bytes = 9,
	};
}

static void
start(struct fixture *f, struct end *e, uint64_t boot, uint8_t nonce)
{
	uint16_t local = e == &f->a ? 1 : 2;
	struct handshake_config config = config_of(f, local, 3 - local, boot, nonce);

	handshake_init(&e->handshake, &config);
	e->out_bytes = 0;
}

static int
setup(void **state)
{
	static struct fixture f;

	f.now_ns = 1000 * MS;
	*state = &f;
	if (auth_init(&f.auth, NET_AUTH_GMAC) != 0)
		return -1;
	start(&f, &f.a, 5, 0xa);
	start(&f, &f.b, 9, 0xb);
	return 0;
}

static int
teardown(void **state)
{
	auth_fini(&((struct fixture *)*state)->auth);
	return 0;
}

static enum net_drop
give(struct fixture *f, struct end *to, const uint8_t *datagram, uint32_t bytes)
{
	struct frame_header h;

	assert_int_equal(frame_decode(datagram, bytes, &h), NET_DROP_NONE);
	return handshake_receive(&to->handshake, f->now_ns, &h, datagram, to->out, &to->out_bytes);
}

/* Deliver answers until both ends are silent. */
static void
settle(struct fixture *f)
{
	for (int i = 0; i < 10 && (f->a.out_bytes > 0 || f->b.out_bytes > 0); i++) {
		struct end *from = f->a.out_bytes > 0 ? &f->a : &f->b;
		struct end *to = from == &f->a ? &f->b : &f->a;
		uint32_t bytes = from->out_bytes;
		uint8_t datagram[HELLO_DATAGRAM_BYTES];

		memcpy(datagram, from->out, bytes);
		from->out_bytes = 0;
		(void)give(f, to, datagram, bytes); /* the outcome is looked at by the test */
		f->now_ns += HELLO_ANSWER_GAP_NS;
	}
	assert_int_equal(f->a.out_bytes + f->b.out_bytes, 0);
}

static void
poll(struct fixture *f, struct end *e)
{
	e->out_bytes = handshake_poll(&e->handshake, f->now_ns, e->out);
}

static void
establish(struct fixture *f)
{
	f->now_ns += 100 * MS;
	poll(f, &f->a);
	settle(f);
}

/* Does what one end seals open at the other? */
static bool
talks(struct fixture *f, struct end *from, struct end *to)
{
	uint8_t frame[FRAME_HEADER_BYTES + 4] = { 0 };
	struct frame_header h;

	if (!from->handshake.is_established || !to->handshake.is_established)
		return false;
	session_seal(&f->auth, &from->handshake.session, &from->handshake.config.ends, 0, frame, 4);
	assert_int_equal(frame_decode(frame, sizeof(frame), &h), NET_DROP_NONE);
	return session_open(&f->auth, &to->handshake.session, &h, frame) == NET_DROP_NONE;
}

static void
test_one_hello_leads_to_a_session_at_both_ends(void **state)
{
	struct fixture *f = *state;

	establish(f);
	assert_true(talks(f, &f->a, &f->b));
	assert_true(talks(f, &f->b, &f->a));
	assert_true(f->a.handshake.is_confirmed);
	assert_true(f->b.handshake.is_confirmed);
	assert_int_equal(f->a.handshake.peer_boot_count, 9);
	assert_int_equal(f->b.handshake.peer_boot_count, 5);
}

static void
test_two_hellos_that_cross_lead_to_one_session(void **state)
{
	struct fixture *f = *state;

	poll(f, &f->a);
	poll(f, &f->b);
	settle(f);
	assert_true(talks(f, &f->a, &f->b));
	assert_true(talks(f, &f->b, &f->a));
	assert_int_equal(f->a.handshake.session_count, 1);
	assert_int_equal(f->b.handshake.session_count, 1);
}

static void
test_confirmed_ends_send_no_more_hellos(void **state)
{
	struct fixture *f = *state;

	establish(f);
	f->now_ns += 10000 * MS;
	poll(f, &f->a);
	poll(f, &f->b);
	assert_int_equal(f->a.out_bytes, 0);
	assert_int_equal(f->b.out_bytes, 0);
}

/* Each message of the exchange is lost in turn; the repetition must mend it. */
static void
test_any_lost_hello_is_made_up_for(void **state)
{
	struct fixture *f = *state;

	for (int lost = 0; lost < 5; lost++) {
		int sent = 0;

		start(f, &f->a, 5, 0xa);
		start(f, &f->b, 9, 0xb);
		for (int i = 0; i < 40; i++) {
			struct end *from = i % 2 == 0 ? &f->a : &f->b;
			struct end *to = i % 2 == 0 ? &f->b : &f->a;
			uint32_t bytes;
			uint8_t datagram[HELLO_DATAGRAM_BYTES];

			f->now_ns += 35 * MS;
			if (from->out_bytes == 0)
				poll(f, from);
			bytes = from->out_bytes;
			memcpy(datagram, from->out, bytes);
			from->out_bytes = 0;
			if (bytes > 0 && sent++ != lost)
				(void)give(f, to, datagram, bytes);
		}
		assert_true(f->a.handshake.is_confirmed);
		assert_true(f->b.handshake.is_confirmed);
		assert_true(talks(f, &f->a, &f->b));
	}
}

/* What an attacker can record must be useless in every later life of either end. */
static void
test_replayed_hellos_do_not_disturb_a_live_session(void **state)
{
	struct fixture *f = *state;
	uint8_t recorded[2][HELLO_DATAGRAM_BYTES];
	uint32_t recorded_bytes[2];

	poll(f, &f->b); /* unproved, then proving, both of b's boot 9 */
	recorded_bytes[0] = f->b.out_bytes;
	memcpy(recorded[0], f->b.out, f->b.out_bytes);
	poll(f, &f->a);
	assert_int_equal(give(f, &f->b, f->a.out, f->a.out_bytes), NET_DROP_NONE);
	recorded_bytes[1] = f->b.out_bytes;
	memcpy(recorded[1], f->b.out, f->b.out_bytes);
	settle(f);

	start(f, &f->b, 10, 0xbb);
	establish(f);
	poll(f, &f->b);
	settle(f);
	assert_true(talks(f, &f->b, &f->a));
	for (int i = 0; i < 2; i++) {
		(void)give(f, &f->a, recorded[i], recorded_bytes[i]);
		f->a.out_bytes = 0;
		assert_true(talks(f, &f->a, &f->b));
		assert_true(talks(f, &f->b, &f->a));
		assert_int_equal(f->a.handshake.peer_boot_count, 10);
	}
}

/* After our restart, an old proof names a nonce that is no longer ours. */
static void
test_replayed_proof_does_not_open_a_session_after_our_restart(void **state)
{
	struct fixture *f = *state;
	uint8_t proof[HELLO_DATAGRAM_BYTES];
	uint32_t bytes;

	poll(f, &f->a);
	assert_int_equal(give(f, &f->b, f->a.out, f->a.out_bytes), NET_DROP_NONE);
	bytes = f->b.out_bytes;
	memcpy(proof, f->b.out, bytes);
	settle(f);

	start(f, &f->a, 6, 0xaa);
	assert_int_equal(give(f, &f->a, proof, bytes), NET_DROP_NONE);
	assert_false(f->a.handshake.is_established);
}

static void
test_restarted_peer_gets_a_new_session_from_a_silent_one(void **state)
{
	struct fixture *f = *state;

	establish(f);
	start(f, &f->b, 10, 0xbb);
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_true(talks(f, &f->a, &f->b));
	assert_true(talks(f, &f->b, &f->a));
	assert_int_equal(f->a.handshake.session_count, 2);
}

/* Hellos of a dead life, replayed at a high rate, must not use up the answers. */
static void
test_flood_of_old_hellos_does_not_keep_a_restarted_peer_out(void **state)
{
	struct fixture *f = *state;
	uint8_t old[HELLO_DATAGRAM_BYTES];
	uint32_t old_bytes;

	poll(f, &f->b);
	old_bytes = f->b.out_bytes;
	memcpy(old, f->b.out, old_bytes);
	start(f, &f->b, 10, 0xbb);
	poll(f, &f->b); /* its first hello is heard among the flood */
	(void)give(f, &f->a, f->b.out, f->b.out_bytes);
	f->b.out_bytes = 0;
	for (int i = 0; i < 100; i++) {
		f->now_ns += MS;
		(void)give(f, &f->a, old, old_bytes);
	}
	f->a.out_bytes = 0;
	poll(f, &f->b);
	assert_int_equal(give(f, &f->a, f->b.out, f->b.out_bytes), NET_DROP_NONE);
	f->b.out_bytes = 0;
	settle(f);
	assert_true(talks(f, &f->a, &f->b));
}

static void
test_answers_to_unproved_hellos_are_rate_limited(void **state)
{
	struct fixture *f = *state;
	uint8_t hello[HELLO_DATAGRAM_BYTES];
	uint32_t bytes;
	int answers = 0;

	poll(f, &f->b);
	bytes = f->b.out_bytes;
	memcpy(hello, f->b.out, bytes);
	for (int i = 0; i < 1000; i++) { /* within 50 ms */
		f->now_ns += MS / 20;
		(void)give(f, &f->a, hello, bytes);
		answers += f->a.out_bytes > 0;
	}
	assert_in_range(answers, 5, 12);
}

static void
test_lower_boot_count_is_refused_and_seen(void **state)
{
	struct fixture *f = *state;

	establish(f);
	start(f, &f->b, 8, 0xbb); /* its disk was restored from a copy */
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_OLD_BOOT);
	assert_int_equal(f->a.handshake.refused_count, 1);
	assert_int_equal(f->a.handshake.peer_boot_count, 9);
	assert_false(talks(f, &f->b, &f->a));
}

/* Two processes from one data directory: the first one stays, the second one is seen. */
static void
test_twin_with_equal_boot_count_is_refused(void **state)
{
	struct fixture *f = *state;

	establish(f);
	start(f, &f->b, 9, 0xbb);
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_TWIN);
	assert_false(talks(f, &f->b, &f->a));
}

/* Nobody is disturbed, and the core has something to tell to whoever runs from an old copy. */
static void
test_a_silent_session_gives_way_to_any_proved_boot_count(void **state)
{
	struct fixture *f = *state;

	for (uint64_t boot_count = 9; boot_count >= 8; boot_count--) {
		start(f, &f->b, 9, 0xb);
		establish(f);
		start(f, &f->b, boot_count, 0xbb);
		f->now_ns += HELLO_SESSION_SILENCE_NS;
		poll(f, &f->b);
		settle(f);
		assert_int_equal(f->a.handshake.refusal, NET_DROP_NONE);
		assert_true(talks(f, &f->b, &f->a));
		start(f, &f->a, 5, 0xa);
	}
}

/* Somebody on the path recorded how b's earlier life proved itself. He holds b back until its
 * session is silent, says the recording to a, which has not restarted since, and lets b through
 * again: both have the keys that they had. */
static void
test_a_session_that_comes_back_repeats_no_counter(void **state)
{
	struct fixture *f = *state;
	uint8_t recorded[HELLO_DATAGRAM_BYTES], heard[FRAME_HEADER_BYTES + 4] = { 0 };
	struct frame_header h;
	uint64_t sent_counter;
	uint32_t bytes;

	poll(f, &f->a);
	assert_int_equal(give(f, &f->b, f->a.out, f->a.out_bytes), NET_DROP_NONE);
	f->a.out_bytes = 0;
	bytes = f->b.out_bytes;
	memcpy(recorded, f->b.out, bytes);
	settle(f);
	start(f, &f->b, 10, 0xbb);
	poll(f, &f->b);
	settle(f);
	session_seal(&f->auth, &f->b.handshake.session, &f->b.handshake.config.ends, 0, heard, 4);
	assert_int_equal(frame_decode(heard, sizeof(heard), &h), NET_DROP_NONE);
	assert_int_equal(session_open(&f->auth, &f->a.handshake.session, &h, heard), NET_DROP_NONE);
	for (int i = 0; i < 5; i++)
		assert_true(talks(f, &f->a, &f->b));
	sent_counter = f->a.handshake.session.sent_counter;

	f->now_ns += HELLO_SESSION_SILENCE_NS;
	assert_int_equal(give(f, &f->a, recorded, bytes), NET_DROP_NONE);
	assert_int_equal(f->a.handshake.peer_boot_count, 9);
	f->a.out_bytes = 0;
	assert_false(talks(f, &f->b, &f->a));
	f->now_ns += HELLO_SESSION_SILENCE_NS;
	poll(f, &f->a);
	settle(f);

	assert_int_equal(f->a.handshake.peer_boot_count, 10);
	assert_true(f->a.handshake.session.sent_counter >= sent_counter);
	assert_true(talks(f, &f->a, &f->b));
	assert_true(talks(f, &f->b, &f->a));
	assert_int_equal(
		session_open(&f->auth, &f->a.handshake.session, &h, heard), NET_DROP_REPLAY);
}

static bool
refuse_everybody(void *context, uint16_t node_id, const uint8_t *identity, uint32_t identity_bytes)
{
	(void)context;
	assert_int_equal(node_id, 2);
	assert_int_equal(identity_bytes, 9);
	assert_memory_equal(identity, "constants", 9);
	return false;
}

static void
test_unfitting_identity_is_refused_and_seen(void **state)
{
	struct fixture *f = *state;

	f->a.handshake.config.accept_identity = refuse_everybody;
	establish(f);
	assert_false(f->a.handshake.is_established);
	assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_IDENTITY);
}

static void
test_wrong_cluster_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct handshake_config config = config_of(f, 2, 1, 9, 0xb);

	config.secret = other_key;
	handshake_init(&f->b.handshake, &config);
	poll(f, &f->b);
	assert_int_equal(give(f, &f->a, f->b.out, f->b.out_bytes), NET_DROP_HELLO_TAG);
	assert_int_equal(f->a.out_bytes, 0);
	assert_false(f->a.handshake.is_heard);
}

/* The rounds of a change of the cluster key. In each, any two nodes that are in it or in the one
 * before meet. */
struct keys {
	const char *name;
	const uint8_t *a, *a_also, *b, *b_also;
	bool do_meet;
};

static const struct keys rotation[] = {
	{ "one also takes the new key", cluster_key, other_key, cluster_key, NULL, true },
	{ "both do", cluster_key, other_key, cluster_key, other_key, true },
	{ "one uses it", other_key, cluster_key, cluster_key, other_key, true },
	{ "both do, and take the old one", other_key, cluster_key, other_key, cluster_key, true },
	{ "one is done", other_key, NULL, other_key, cluster_key, true },
	{ "a round is left out", other_key, NULL, cluster_key, other_key, false },
	{ "nobody was told", other_key, cluster_key, cluster_key, NULL, false },
	{ "the old key is no key any more", other_key, NULL, cluster_key, NULL, false },
};

static void
test_change_of_the_cluster_key(void **state)
{
	const struct keys *row = *state;
	struct handshake_config config;
	struct fixture *f;
	void *fixture;

	assert_int_equal(setup(&fixture), 0);
	f = fixture;
	config = config_of(f, 1, 2, 5, 0xa);
	config.secret = row->a;
	config.secret_also = row->a_also;
	handshake_init(&f->a.handshake, &config);
	config = config_of(f, 2, 1, 9, 0xb);
	config.secret = row->b;
	config.secret_also = row->b_also;
	handshake_init(&f->b.handshake, &config);

	establish(f);
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_int_equal(
		f->a.handshake.is_established && f->b.handshake.is_established, row->do_meet);
	if (row->do_meet) {
		assert_true(talks(f, &f->a, &f->b));
		assert_true(talks(f, &f->b, &f->a));
	}
	assert_int_equal(teardown(&fixture), 0);
}

/* Without keys by mistake at one end: neither believes the other. */
static void
test_unequal_authentication_modes_do_not_meet(void **state)
{
	struct fixture *f = *state;
	struct auth none;
	struct handshake_config config = config_of(f, 2, 1, 9, 0xb);

	assert_int_equal(auth_init(&none, NET_AUTH_NONE), 0);
	config.auth = &none;
	handshake_init(&f->b.handshake, &config);
	poll(f, &f->b);
	assert_int_equal(give(f, &f->a, f->b.out, f->b.out_bytes), NET_DROP_HELLO_TAG);
	poll(f, &f->a);
	assert_int_equal(give(f, &f->b, f->a.out, f->a.out_bytes), NET_DROP_HELLO_TAG);
}

static void
test_no_damaged_hello_is_believed(void **state)
{
	struct fixture *f = *state;
	uint8_t hello[HELLO_DATAGRAM_BYTES];
	uint32_t bytes;

	poll(f, &f->b);
	bytes = f->b.out_bytes;
	memcpy(hello, f->b.out, bytes);
	for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
		struct frame_header h;

		hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (frame_decode(hello, bytes, &h) == NET_DROP_NONE && h.kind == FRAME_HELLO &&
			h.source_node == 2)
			assert_int_equal(handshake_receive(&f->a.handshake, f->now_ns, &h, hello,
						 f->a.out, &f->a.out_bytes),
				NET_DROP_HELLO_TAG);
		hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
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

static const struct pair {
	const char *name;
	struct versions a, b;
	uint8_t common; /* 0: they do not meet */
} pairs[] = {
	{ "equal programs talk at their highest version", { 1, 3 }, { 1, 3 }, 3 },
	{ "a newer program talks as the older one can", { 1, 2 }, { 1, 3 }, 2 },
	{ "and the other way round", { 1, 3 }, { 1, 2 }, 2 },
	{ "the only common version is both ends' edge", { 1, 2 }, { 2, 3 }, 2 },
	{ "a program that is too old is refused", { 1, 1 }, { 2, 3 }, 0 },
	{ "a program that is too new is refused", { 3, 4 }, { 1, 2 }, 0 },
	{ "one far version is not two near ones", { 255, 255 }, { 1, 254 }, 0 },
};

/* Whoever they are, both ends come to the same version, or both know why there is none. */
static void
test_versions(void **state)
{
	const struct pair *row = *state;
	struct fixture *f;

	assert_int_equal(setup((void **)&f), 0);
	f->a.handshake.config.versions = row->a;
	f->b.handshake.config.versions = row->b;
	for (int i = 0; i < 3; i++) {
		establish(f);
		poll(f, &f->b);
		settle(f);
	}
	assert_int_equal(f->a.handshake.is_established, row->common != 0);
	assert_int_equal(f->b.handshake.is_established, row->common != 0);
	if (row->common == 0) {
		assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_VERSION);
		assert_int_equal(f->b.handshake.refusal, NET_DROP_HELLO_VERSION);
	} else {
		assert_int_equal(f->a.handshake.session.version, row->common);
		assert_true(talks(f, &f->a, &f->b));
		assert_true(talks(f, &f->b, &f->a));
	}
	assert_int_equal(f->a.handshake.peer_versions.min, row->b.min);
	assert_int_equal(f->a.handshake.peer_versions.max, row->b.max);
	assert_int_equal(f->b.handshake.peer_versions.max, row->a.max);
	assert_int_equal(teardown((void **)&f), 0);
}

/* A node comes back with the newer program, and then with the older one again. */
static void
test_each_session_is_negotiated_anew(void **state)
{
	struct fixture *f = *state;

	f->a.handshake.config.versions = (struct versions){ 1, 2 };
	establish(f);
	assert_int_equal(f->a.handshake.session.version, 1);
	start(f, &f->b, 10, 0xbb);
	f->b.handshake.config.versions = (struct versions){ 1, 2 };
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_int_equal(f->a.handshake.session.version, 2);
	assert_int_equal(f->a.handshake.peer_version_max, 2);
	assert_true(talks(f, &f->a, &f->b));
	start(f, &f->b, 11, 0xbc);
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_int_equal(f->a.handshake.session.version, 1);
	assert_true(talks(f, &f->a, &f->b));
}

/* What the cluster has left behind is required of newcomers, not of whoever is there. */
static void
test_what_is_required_counts_from_the_next_session_on(void **state)
{
	struct fixture *f = *state;

	f->a.handshake.config.versions = (struct versions){ 1, 2 };
	establish(f);
	handshake_require(&f->a.handshake, 2);
	handshake_require(&f->a.handshake, 1); /* never less */
	assert_true(talks(f, &f->a, &f->b));
	start(f, &f->b, 10, 0xbb);
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f); /* what it hears it refuses; what it says next is refused */
	f->now_ns += 100 * MS;
	poll(f, &f->b);
	settle(f);
	assert_int_equal(f->b.handshake.refusal, NET_DROP_HELLO_VERSION);
	assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_VERSION);
	assert_int_equal(f->a.handshake.refused_count, 1);
	assert_false(f->b.handshake.is_established);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ROW(i)                                                                                     \
	{                                                                                          \
		.name = pairs[i].name, .test_func = test_versions,                                 \
		.initial_state = (void *)&pairs[i],                                                \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_hello_leads_to_a_session_at_both_ends),
		TEST(test_two_hellos_that_cross_lead_to_one_session),
		TEST(test_confirmed_ends_send_no_more_hellos),
		TEST(test_any_lost_hello_is_made_up_for),
		TEST(test_replayed_hellos_do_not_disturb_a_live_session),
		TEST(test_replayed_proof_does_not_open_a_session_after_our_restart),
		TEST(test_restarted_peer_gets_a_new_session_from_a_silent_one),
		TEST(test_flood_of_old_hellos_does_not_keep_a_restarted_peer_out),
		TEST(test_answers_to_unproved_hellos_are_rate_limited),
		TEST(test_lower_boot_count_is_refused_and_seen),
		TEST(test_twin_with_equal_boot_count_is_refused),
		TEST(test_a_silent_session_gives_way_to_any_proved_boot_count),
		TEST(test_a_session_that_comes_back_repeats_no_counter),
		TEST(test_unfitting_identity_is_refused_and_seen),
		TEST(test_wrong_cluster_key_is_refused),
		TEST(test_unequal_authentication_modes_do_not_meet),
		TEST(test_no_damaged_hello_is_believed),
		TEST(test_hello_of_every_other_length_is_malformed),
		TEST(test_hello_without_sound_versions_is_malformed),
		TEST(test_each_session_is_negotiated_anew),
		TEST(test_what_is_required_counts_from_the_next_session_on),
		ROW(0),
		ROW(1),
		ROW(2),
		ROW(3),
		ROW(4),
		ROW(5),
		ROW(6),
	};

	struct CMUnitTest rows[sizeof(rotation) / sizeof(rotation[0])];

	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rows[i] = (struct CMUnitTest){
			.name = rotation[i].name,
			.test_func = test_change_of_the_cluster_key,
			.initial_state = (void *)(uintptr_t)&rotation[i],
		};
	return cmocka_run_group_tests_name("handshake", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("change of the cluster key", rows, NULL, NULL);
}
