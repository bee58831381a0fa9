/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half of exactly-once: registration, numbering, completion. */
#include "tests/unit/client/pipeline_fixture.h"

#include "base/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
test_commands_wait_for_the_registration(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	assert_int_equal(fixture_first_sent(f).session.n, 0);
	assert_memory_equal(fixture_first_sent(f).body, "random token 16", 16);
	assert_false(fixture_send_one(f));
}

static void
test_a_lost_registration_is_repeated_with_the_same_token(void **state)
{
	struct fixture *f = *state;

	assert_true(fixture_send_one(f));
	fixture_pass(f, PIPELINE_RTO_NS);
	assert_true(fixture_send_one(f));
	assert_memory_equal(fixture_first_sent(f).body, "random token 16", 16);
}

static void
test_another_clients_registration_is_ignored(void **state)
{
	struct fixture *f = *state;

	assert_true(fixture_send_one(f));
	fixture_receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_REGISTERED,
			.session = { SESSION },
			.token = "someone else 16" });
	assert_int_equal(f->p.session.n, 0);
}

static void
test_a_full_session_table_refuses_what_waits(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	fixture_receive_reply(f, 1,
		(struct client_reply){
			.kind = CLIENT_REPLY_TABLE_FULL, .token = "random token 16" });
	assert_int_equal(fixture_take(f, done), 1);
	assert_int_equal(done[0].outcome, DECREE_REFUSED);
	assert_false(fixture_send_one(f));
}

/* `decree status` must not fill the session table. */
static void
test_without_a_command_no_session_is_taken(void **state)
{
	struct fixture *f = *state;

	f->p.is_session_wanted = false;
	assert_false(fixture_send_one(f));
	fixture_pass(f, PIPELINE_RTO_NS);
	assert_false(fixture_send_one(f));
	assert_true(pipeline_wake_at(&f->p) == UINT64_MAX);
	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
}

static void
test_commands_share_frames_and_are_numbered_from_one(void **state)
{
	struct fixture *f = *state;
	uint32_t frames = 0;
	uint64_t seq = 0;

	fixture_submit(f, 40);
	while (fixture_send_one(f)) {
		struct eng_command command;
		uint32_t cursor = 0;

		frames++;
		while (client_command_next(&f->sent, &cursor, &command)) {
			assert_int_equal(command.seq, ++seq);
			assert_int_equal(command.session.n, SESSION);
		}
	}
	assert_int_equal(seq, 40);
	assert_int_equal(frames, (40 + 17) / 18); /* 18 of 27 bytes in 504 */
}

static void
test_an_answer_completes_its_command_once(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	fixture_submit(f, 2);
	assert_true(fixture_send_one(f));
	fixture_receive_answer(f, 1, 1);
	fixture_receive_answer(f, 1, 1);
	assert_int_equal(fixture_take(f, done), 1);
	assert_int_equal(done[0].seq, 1);
	assert_int_equal(done[0].outcome, DECREE_APPLIED);
	assert_int_equal(done[0].result, 10);
	assert_ptr_equal(done[0].cookie, f);
	fixture_receive_answer(f, 1, 1);
	assert_int_equal(fixture_take(f, done), 0);
}

static void
test_answers_to_what_was_never_sent_are_ignored(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	fixture_submit(f, 1);
	fixture_receive_answer(f, 1, 1);
	fixture_receive_answer(f, 1, 2);
	fixture_receive_answer(f, 1, UINT64_MAX);
	assert_int_equal(fixture_take(f, done), 0);
}

static void
test_a_full_pipeline_refuses_until_completions_are_taken(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	fixture_submit(f, 64);
	assert_int_equal(pipeline_submit(&f->p, "x", 1, NULL), -EAGAIN);
	while (fixture_send_one(f))
		;
	fixture_receive_answer(f, 1, 1);
	assert_int_equal(pipeline_submit(&f->p, "x", 1, NULL), -EAGAIN);
	assert_int_equal(fixture_take(f, done), 1);
	assert_int_equal(pipeline_submit(&f->p, "x", 1, NULL), 0);
}

static void
test_a_command_over_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	static const uint8_t body[4097];

	assert_int_equal(pipeline_submit(&f->p, body, 4097, NULL), -EMSGSIZE);
	assert_int_equal(pipeline_submit(&f->p, body, 4096, NULL), 0);
}

static void
test_a_large_command_travels_in_fragments(void **state)
{
	struct fixture *f = *state;
	uint8_t body[4096];
	uint8_t joined[4096] = { 0 };
	uint32_t joined_bytes = 0;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	assert_int_equal(pipeline_submit(&f->p, body, sizeof(body), NULL), 0);
	fixture_submit(f, 1);
	while (fixture_send_one(f) && f->sent.type == CLIENT_MSG_COMMAND_FRAGMENT) {
		const struct client_fragment *piece = &f->sent.fragment;

		assert_int_equal(piece->seq, 1);
		assert_int_equal(piece->total_bytes, 4096);
		assert_true(digest_eq(piece->digest, base_digest(body, sizeof(body))));
		memcpy(joined + piece->offset_bytes, piece->bytes, piece->count);
		joined_bytes += piece->count;
	}
	assert_int_equal(joined_bytes, 4096);
	assert_memory_equal(joined, body, 4096);
	assert_int_equal(fixture_first_sent(f).seq, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_commands_wait_for_the_registration, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_lost_registration_is_repeated_with_the_same_token, fixture_setup,
			fixture_teardown),
		cmocka_unit_test_setup_teardown(test_another_clients_registration_is_ignored,
			fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_session_table_refuses_what_waits,
			fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_without_a_command_no_session_is_taken,
			fixture_setup, fixture_teardown),
		REGISTERED(test_commands_share_frames_and_are_numbered_from_one),
		REGISTERED(test_an_answer_completes_its_command_once),
		REGISTERED(test_answers_to_what_was_never_sent_are_ignored),
		REGISTERED(test_a_full_pipeline_refuses_until_completions_are_taken),
		REGISTERED(test_a_command_over_the_limit_is_refused),
		REGISTERED(test_a_large_command_travels_in_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
