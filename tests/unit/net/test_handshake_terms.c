/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends have to have alike: keys, constants, a version. */
#include "tests/unit/net/handshake_fixture.h"

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
	greet(f, &f->a);
	assert_false(f->a.handshake.is_established);
	assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_IDENTITY);
}

static void
test_wrong_cluster_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct handshake_config config = config_of(f, &f->b, 9, 0xb);

	config.secret = other_key;
	handshake_init(&f->b.handshake, &config);
	say_hello(f, &f->b);
	assert_int_equal(give(f, &f->a, &f->b.out), NET_DROP_HELLO_TAG);
	assert_int_equal(f->a.out.bytes, 0);
	assert_false(f->a.handshake.is_heard);
}

/* Without keys by mistake at one end: neither believes the other. */
static void
test_unequal_authentication_modes_do_not_meet(void **state)
{
	struct fixture *f = *state;
	struct auth none;
	struct handshake_config config = config_of(f, &f->b, 9, 0xb);

	assert_int_equal(auth_init(&none, NET_AUTH_NONE), 0);
	config.auth = &none;
	handshake_init(&f->b.handshake, &config);
	say_hello(f, &f->b);
	assert_int_equal(give(f, &f->a, &f->b.out), NET_DROP_HELLO_TAG);
	say_hello(f, &f->a);
	assert_int_equal(give(f, &f->b, &f->a.out), NET_DROP_HELLO_TAG);
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
#define KEYS_COUNT (sizeof(rotation) / sizeof(rotation[0]))

static void
test_change_of_the_cluster_key(void **state)
{
	const struct keys *row = *state;
	struct handshake_config config;
	struct fixture *f;
	void *fixture;

	assert_int_equal(setup(&fixture), 0);
	f = fixture;
	config = config_of(f, &f->a, 5, 0xa);
	config.secret = row->a;
	config.secret_also = row->a_also;
	handshake_init(&f->a.handshake, &config);
	config = config_of(f, &f->b, 9, 0xb);
	config.secret = row->b;
	config.secret_also = row->b_also;
	handshake_init(&f->b.handshake, &config);

	greet(f, &f->a);
	greet(f, &f->b);
	assert_int_equal(
		f->a.handshake.is_established && f->b.handshake.is_established, row->do_meet);
	assert_int_equal(both_talk(f), row->do_meet);
	assert_int_equal(teardown(&fixture), 0);
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
#define PAIR_COUNT (sizeof(pairs) / sizeof(pairs[0]))

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
		greet(f, &f->a);
		say_hello(f, &f->b);
		settle(f);
	}
	assert_int_equal(f->a.handshake.is_established, row->common != 0);
	assert_int_equal(f->b.handshake.is_established, row->common != 0);
	if (row->common == 0) {
		assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_VERSION);
		assert_int_equal(f->b.handshake.refusal, NET_DROP_HELLO_VERSION);
	} else {
		assert_int_equal(f->a.handshake.session.version, row->common);
		assert_true(both_talk(f));
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
	greet(f, &f->a);
	assert_int_equal(f->a.handshake.session.version, 1);
	start(f, &f->b, 10, 0xbb);
	f->b.handshake.config.versions = (struct versions){ 1, 2 };
	greet(f, &f->b);
	assert_int_equal(f->a.handshake.session.version, 2);
	assert_int_equal(f->a.handshake.peer_version_max, 2);
	assert_true(talks(f, &f->a, &f->b));
	start(f, &f->b, 11, 0xbc);
	greet(f, &f->b);
	assert_int_equal(f->a.handshake.session.version, 1);
	assert_true(talks(f, &f->a, &f->b));
}

/* What the cluster has left behind is required of newcomers, not of whoever is there. */
static void
test_what_is_required_counts_from_the_next_session_on(void **state)
{
	struct fixture *f = *state;

	f->a.handshake.config.versions = (struct versions){ 1, 2 };
	greet(f, &f->a);
	handshake_require(&f->a.handshake, 2);
	handshake_require(&f->a.handshake, 1); /* never less */
	assert_true(talks(f, &f->a, &f->b));
	start(f, &f->b, 10, 0xbb);
	greet(f, &f->b); /* what it hears it refuses; what it says next is refused */
	greet(f, &f->b);
	assert_int_equal(f->b.handshake.refusal, NET_DROP_HELLO_VERSION);
	assert_int_equal(f->a.handshake.refusal, NET_DROP_HELLO_VERSION);
	assert_int_equal(f->a.handshake.refused_count, 1);
	assert_false(f->b.handshake.is_established);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unfitting_identity_is_refused_and_seen),
		TEST(test_wrong_cluster_key_is_refused),
		TEST(test_unequal_authentication_modes_do_not_meet),
		TEST(test_each_session_is_negotiated_anew),
		TEST(test_what_is_required_counts_from_the_next_session_on),
	};
	struct CMUnitTest rows[KEYS_COUNT + PAIR_COUNT];

	for (uint32_t i = 0; i < KEYS_COUNT; i++)
		rows[i] = (struct CMUnitTest){
			.name = rotation[i].name,
			.test_func = test_change_of_the_cluster_key,
			.initial_state = (void *)(uintptr_t)&rotation[i],
		};
	for (uint32_t i = 0; i < PAIR_COUNT; i++)
		rows[KEYS_COUNT + i] = (struct CMUnitTest){
			.name = pairs[i].name,
			.test_func = test_versions,
			.initial_state = (void *)(uintptr_t)&pairs[i],
		};
	return cmocka_run_group_tests_name("terms", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("keys and versions", rows, NULL, NULL);
}
