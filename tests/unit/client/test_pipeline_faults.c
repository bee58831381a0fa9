/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half of exactly-once, when nodes are silent, send it elsewhere, or no longer know
 * it. */
#include "tests/unit/client/pipeline_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
test_silence_repeats_from_the_first_unanswered(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 3);
	assert_true(fixture_send_one(f));
	fixture_receive_answer(f, 1, 1);
	fixture_pass(f, PIPELINE_RTO_NS - 1);
	assert_false(fixture_send_one(f));
	fixture_pass(f, 1);
	assert_true(fixture_send_one(f));
	assert_int_equal(fixture_first_sent(f).seq, 2);
	assert_int_equal(f->to, 1);
}

static void
test_lasting_silence_moves_to_the_next_node(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	fixture_pass(f, PIPELINE_RTO_NS);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 1);
	fixture_pass(f, 2 * PIPELINE_RTO_NS);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 2);
}

static void
test_an_unreachable_node_is_left_at_once(void **state)
{
	struct fixture *f = *state;

	pipeline_reachable(&f->p, 1, false);
	fixture_submit(f, 1);
	assert_false(fixture_send_one(f));
	fixture_pass(f, 1);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 2);
}

static void
test_answered_commands_are_not_repeated(void **state)
{
	struct fixture *f = *state;
	struct eng_command command;
	uint32_t cursor = 0;

	fixture_submit(f, 3);
	assert_true(fixture_send_one(f));
	fixture_receive_answer(f, 1, 2);
	fixture_pass(f, PIPELINE_RTO_NS);
	assert_true(fixture_send_one(f));
	assert_true(client_command_next(&f->sent, &cursor, &command));
	assert_int_equal(command.seq, 1);
	assert_true(client_command_next(&f->sent, &cursor, &command));
	assert_int_equal(command.seq, 3);
}

static void
test_a_redirect_is_followed_at_once(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 2);
	assert_true(fixture_send_one(f));
	fixture_receive_redirect(f, 1, 3, CLIENT_REDIRECT_NOT_LEADER);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 3);
	assert_int_equal(fixture_first_sent(f).seq, 1);
}

static void
test_a_late_redirect_of_a_former_target_is_ignored(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 2);
	assert_true(fixture_send_one(f));
	fixture_receive_redirect(f, 1, 3, CLIENT_REDIRECT_NOT_LEADER);
	assert_true(fixture_send_one(f));
	fixture_receive_redirect(f, 1, 2, CLIENT_REDIRECT_NOT_LEADER);
	assert_false(fixture_send_one(f));
	assert_int_equal(f->p.config.nodes[f->p.target], 3);
}

/* Otherwise two nodes that name each other would make a busy loop. */
static void
test_redirects_in_a_circle_are_slowed_down(void **state)
{
	struct fixture *f = *state;
	uint32_t frames = 0;

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	for (uint32_t us = 0; us < 10000; us++) {
		f->now_ns += 1000;
		fixture_receive_redirect(f, f->to, f->to == 1 ? 2 : 1, CLIENT_REDIRECT_NOT_LEADER);
		frames += fixture_send_one(f);
	}
	assert_in_range(frames, 3, 20);
}

static void
test_a_node_without_a_leader_is_left_after_a_pause(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	fixture_receive_redirect(f, 1, 0, CLIENT_REDIRECT_NOT_LEADER);
	assert_false(fixture_send_one(f));
	assert_true(pipeline_wake_at(&f->p) <= f->now_ns + 10 * MS);
	fixture_pass(f, 10 * MS);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 2);
}

static void
test_a_busy_leader_is_asked_again_when_it_said(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	fixture_receive_redirect(f, 1, 1, CLIENT_REDIRECT_BUSY);
	fixture_pass(f, 1 * MS - 1);
	assert_false(fixture_send_one(f));
	fixture_pass(f, 1);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 1);
}

/* The leader is busy with the command itself, so it says so to what comes behind: sending the
 * command anew each time would never reach its last piece. */
static void
test_a_busy_leader_does_not_restart_a_large_command(void **state)
{
	struct fixture *f = *state;
	static const uint8_t body[4096];

	assert_int_equal(pipeline_submit(&f->p, body, sizeof(body), f), 0);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->sent.type, CLIENT_MSG_COMMAND_FRAGMENT);
	uint32_t sent_bytes = f->sent.fragment.offset_bytes + f->sent.fragment.count;
	fixture_receive_redirect(f, 1, 1, CLIENT_REDIRECT_BUSY);
	fixture_pass(f, 1 * MS);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->sent.type, CLIENT_MSG_COMMAND_FRAGMENT);
	assert_int_equal(f->sent.fragment.offset_bytes, sent_bytes);
}

static void
test_a_gap_resumes_behind_what_the_leader_has(void **state)
{
	struct fixture *f = *state;

	fixture_submit(f, 40);
	while (fixture_send_one(f))
		;
	fixture_receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_GAP,
			.session = { SESSION },
			.seq = 30,
			.result = 18 });
	assert_true(fixture_send_one(f));
	assert_int_equal(fixture_first_sent(f).seq, 19);
	while (fixture_send_one(f))
		;
	fixture_receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_GAP,
			.session = { SESSION },
			.seq = 31,
			.result = 18 });
	assert_false(fixture_send_one(f)); /* the same complaint */
}

/* One command was sent, and one was not. The next one does not go under another session, but
 * registers anew. */
static void
assert_session_ends(struct fixture *f, enum client_reply_kind kind, enum decree_outcome of_sent)
{
	struct decree_completion done[64];

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	fixture_submit(f, 1);
	fixture_receive_reply(
		f, 1, (struct client_reply){ .kind = kind, .session = { SESSION }, .seq = 1 });
	assert_int_equal(fixture_take(f, done), 2);
	assert_int_equal(done[0].outcome, of_sent);
	assert_int_equal(done[1].outcome, DECREE_REFUSED);
	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	assert_int_equal(fixture_first_sent(f).session.n, 0);
	assert_memory_not_equal(fixture_first_sent(f).body, "random token 16", 16);
}

/* Blind repetition under a new session could execute a command twice. */
static void
test_a_lost_session_makes_sent_commands_unknown_and_others_refused(void **state)
{
	assert_session_ends(*state, CLIENT_REPLY_NO_SESSION, DECREE_UNKNOWN);
}

/* An evicted client is told so: what it sent may have been executed, and is not repeated. */
static void
test_an_evicted_session_has_an_outcome_of_its_own(void **state)
{
	assert_session_ends(*state, CLIENT_REPLY_EVICTED, DECREE_EVICTED);
}

static void
test_numbers_start_again_in_a_new_session(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];
	struct client_reply registered = { .kind = CLIENT_REPLY_REGISTERED,
		.session = { SESSION + 1 } };

	fixture_submit(f, 3);
	assert_true(fixture_send_one(f));
	fixture_receive_reply(f, 1,
		(struct client_reply){
			.kind = CLIENT_REPLY_NO_SESSION, .session = { SESSION }, .seq = 2 });
	assert_int_equal(fixture_take(f, done), 3);
	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	memcpy(registered.token, fixture_first_sent(f).body, DECREE_UUID_BYTES);
	fixture_receive_reply(f, 1, registered);
	assert_true(fixture_send_one(f));
	assert_int_equal(fixture_first_sent(f).seq, 1);
	assert_int_equal(fixture_first_sent(f).session.n, SESSION + 1);
	fixture_receive_answer(f, 1, 1); /* of the old session */
	assert_int_equal(fixture_take(f, done), 0);
}

static void
test_answers_through_a_follower_lead_to_the_leader(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[64];
	struct client_writer w;

	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	client_replies_begin(&w, bytes, sizeof(bytes), 0, 2);
	assert_true(client_replies_add(
		&w, &(struct client_reply){
			    .kind = CLIENT_REPLY_APPLIED, .session = { SESSION }, .seq = 1 }));
	fixture_receive_written(f, 1, bytes, client_writer_finish(&w));
	fixture_submit(f, 1);
	assert_true(fixture_send_one(f));
	assert_int_equal(f->to, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REGISTERED(test_silence_repeats_from_the_first_unanswered),
		REGISTERED(test_lasting_silence_moves_to_the_next_node),
		REGISTERED(test_an_unreachable_node_is_left_at_once),
		REGISTERED(test_answered_commands_are_not_repeated),
		REGISTERED(test_a_redirect_is_followed_at_once),
		REGISTERED(test_a_late_redirect_of_a_former_target_is_ignored),
		REGISTERED(test_redirects_in_a_circle_are_slowed_down),
		REGISTERED(test_a_node_without_a_leader_is_left_after_a_pause),
		REGISTERED(test_a_busy_leader_is_asked_again_when_it_said),
		cmocka_unit_test_setup_teardown(test_a_busy_leader_does_not_restart_a_large_command,
			fixture_setup_registered, fixture_teardown),
		REGISTERED(test_a_gap_resumes_behind_what_the_leader_has),
		REGISTERED(test_a_lost_session_makes_sent_commands_unknown_and_others_refused),
		REGISTERED(test_an_evicted_session_has_an_outcome_of_its_own),
		REGISTERED(test_numbers_start_again_in_a_new_session),
		REGISTERED(test_answers_through_a_follower_lead_to_the_leader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
