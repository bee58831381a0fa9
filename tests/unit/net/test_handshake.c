/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends find each other, lose each other, and come back. */
#include "tests/unit/net/handshake_fixture.h"

static void
test_one_hello_leads_to_a_session_at_both_ends(void **state)
{
	struct fixture *f = *state;

	greet(f, &f->a);
	assert_true(both_talk(f));
	assert_true(f->a.handshake.is_confirmed);
	assert_true(f->b.handshake.is_confirmed);
	assert_int_equal(f->a.handshake.peer_boot_count, 9);
	assert_int_equal(f->b.handshake.peer_boot_count, 5);
}

static void
test_two_hellos_that_cross_lead_to_one_session(void **state)
{
	struct fixture *f = *state;

	say_hello(f, &f->a);
	say_hello(f, &f->b);
	settle(f);
	assert_true(both_talk(f));
	assert_int_equal(f->a.handshake.session_count, 1);
	assert_int_equal(f->b.handshake.session_count, 1);
}

static void
test_confirmed_ends_send_no_more_hellos(void **state)
{
	struct fixture *f = *state;

	greet(f, &f->a);
	f->now_ns += 10000 * MS;
	say_hello(f, &f->a);
	say_hello(f, &f->b);
	assert_int_equal(f->a.out.bytes, 0);
	assert_int_equal(f->b.out.bytes, 0);
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

			f->now_ns += 35 * MS;
			if (from->out.bytes == 0)
				say_hello(f, from);
			if (from->out.bytes > 0 && sent++ != lost)
				(void)give(f, to, &from->out);
			from->out.bytes = 0;
		}
		assert_true(f->a.handshake.is_confirmed);
		assert_true(f->b.handshake.is_confirmed);
		assert_true(talks(f, &f->a, &f->b));
	}
}

static void
test_restarted_peer_gets_a_new_session_from_a_silent_one(void **state)
{
	struct fixture *f = *state;

	greet(f, &f->a);
	start(f, &f->b, 10, 0xbb);
	greet(f, &f->b);
	assert_true(both_talk(f));
	assert_int_equal(f->a.handshake.session_count, 2);
}

static void
test_lower_boot_count_is_refused_and_seen(void **state)
{
	struct fixture *f = *state;

	greet(f, &f->a);
	start(f, &f->b, 8, 0xbb); /* its disk was restored from a copy */
	greet(f, &f->b);
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

	greet(f, &f->a);
	start(f, &f->b, 9, 0xbb);
	greet(f, &f->b);
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
		greet(f, &f->a);
		start(f, &f->b, boot_count, 0xbb);
		f->now_ns += HELLO_SESSION_SILENCE_NS;
		say_hello(f, &f->b);
		settle(f);
		assert_int_equal(f->a.handshake.refusal, NET_DROP_NONE);
		assert_true(talks(f, &f->b, &f->a));
		start(f, &f->a, 5, 0xa);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_hello_leads_to_a_session_at_both_ends),
		TEST(test_two_hellos_that_cross_lead_to_one_session),
		TEST(test_confirmed_ends_send_no_more_hellos),
		TEST(test_any_lost_hello_is_made_up_for),
		TEST(test_restarted_peer_gets_a_new_session_from_a_silent_one),
		TEST(test_lower_boot_count_is_refused_and_seen),
		TEST(test_twin_with_equal_boot_count_is_refused),
		TEST(test_a_silent_session_gives_way_to_any_proved_boot_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
