/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proposer at a node that jumped over slots by a snapshot: its commands may have been executed
 * there (protocol 7.5). The session table of the snapshot tells, and nothing is executed twice.
 */
#include "tests/unit/runtime/lagging.h"

#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull

static const uint8_t token[DECREE_UUID_BYTES] = "a proposer here";

struct fixture {
	struct world *w;
	struct world_node *leader;
	struct world_mailbox *mail; /* of the proposer at the lagging node */
};

static struct fixture fixture;

static int
setup(void **state)
{
	struct fixture *f = &fixture;

	f->w = world_of_three();
	f->leader = world_elect(f->w);
	f->mail = world_mailbox_new();
	lagging = world_follower(f->w);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	world_mailbox_free(f->mail);
	world_end(f->w);
	return 0;
}

static struct gateway *
gateway(void)
{
	return &lagging->shard->gateways[0];
}

static void
open_gateway(struct fixture *f)
{
	assert_int_equal(
		shard_gateway_open(lagging->shard, 0, token, &world_mailbox_ops, f->mail), 0);
}

static void
propose(struct fixture *f, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		world_propose(f->mail, 8);
}

/* From here on the lagging node is heard, and hears nothing. */
static void
deafen(struct fixture *f)
{
	for (uint16_t id = 1; id <= 3; id++)
		f->w->cut[id][lagging->node_id] = true;
}

/* The others execute what they have heard of, and much more, until nobody's log goes back to here. */
static void
leave_behind(struct fixture *f)
{
	world_run(f->w, 50 * MS);
	isolate(f->w);
	work(f->w, f->leader, (const uint8_t *)"somebody's work!");
}

/* To the turn in which the snapshot is installed. */
static void
restore(struct fixture *f)
{
	heal(f->w);
	for (uint32_t i = 0; shard_counters(lagging->shard)->snapshots_fetched == 0; i++) {
		assert_true(i < 1000000);
		world_turn(f->w);
	}
}

/* Three commands of the proposer are answered. */
static void
begin(struct fixture *f)
{
	open_gateway(f);
	propose(f, 3);
	world_run(f->w, 50 * MS);
	assert_int_equal(f->mail->completed, 3);
}

static void
set_parking(struct fixture *f, bool is_parking)
{
	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].machine.is_parking = is_parking;
}

/* One more, which waits in every machine, as whatever comes until they park no more. */
static void
park_one(struct fixture *f)
{
	set_parking(f, true);
	propose(f, 1);
	world_run(f->w, 50 * MS);
}

/* The one that the next command wakes up. 0: none, for longer than this test lasts. */
static void
set_parked(struct fixture *f, uint64_t seq)
{
	for (uint32_t i = 0; i < 3; i++) {
		f->w->nodes[i].machine.parked_session = gateway()->session;
		f->w->nodes[i].machine.parked_seq = seq;
	}
}

static void
assert_completed(struct fixture *f, uint64_t seq, enum decree_outcome outcome)
{
	assert_true(f->mail->completed >= seq);
	assert_int_equal(f->mail->completions[seq].seq, seq);
	assert_int_equal(f->mail->completions[seq].outcome, outcome);
}

/* That many in all, and those from @p first on with this outcome. */
static void
assert_all_completed(struct fixture *f, uint64_t first, uint64_t last, enum decree_outcome outcome)
{
	assert_int_equal(f->mail->completed, last);
	for (uint64_t seq = first; seq <= last; seq++)
		assert_completed(f, seq, outcome);
}

/* What is proposed from here on never will be executed. */
static void
assert_closed(struct fixture *f)
{
	uint64_t seq = f->mail->completed + 1;

	propose(f, 1);
	world_run(f->w, 50 * MS);
	assert_all_completed(f, seq, seq, DECREE_REFUSED);
}

/* Executed while nothing was heard: completed with the answers of then, their bodies free; the rest
 * goes on. */
static void
test_what_was_executed_meanwhile_is_completed_once(void **state)
{
	struct fixture *f = *state;

	begin(f);
	deafen(f);
	propose(f, 20);
	leave_behind(f);
	assert_int_equal(f->leader->machine.count, 23 + 900);
	assert_int_equal(f->mail->completed, 3);
	restore(f);
	world_turn(f->w);
	assert_int_equal(f->mail->completed, 23);
	assert_int_equal(f->mail->consumed, 23);
	for (uint64_t seq = 1; seq <= 23; seq++) {
		assert_completed(f, seq, DECREE_APPLIED);
		assert_int_equal(f->mail->completions[seq].result, seq);
	}
	propose(f, 20);
	world_run(f->w, 1000 * MS);
	assert_int_equal(f->mail->completed, 43);
	assert_completed(f, 43, DECREE_APPLIED);
	assert_int_equal(f->mail->completions[43].result, 43 + 900);
	assert_int_equal(lagging->machine.count, 43 + 900);
	assert_caught_up(f->w);
}

/* Given, and lost on the way: they are given again. */
static void
test_what_was_not_executed_is_given_again(void **state)
{
	struct fixture *f = *state;

	begin(f);
	isolate(f->w);
	propose(f, 20);
	leave_behind(f);
	restore(f);
	assert_int_equal(f->mail->completed, 3);
	world_run(f->w, 1000 * MS);
	assert_int_equal(f->mail->completed, 23);
	assert_int_equal(f->mail->completions[4].result, 900 + 4);
	assert_int_equal(lagging->machine.count, 900 + 23);
	assert_caught_up(f->w);
}

/* As many are under way as the window holds, so those that were answered before have given their
 * places to others. */
static void
test_a_full_window_is_not_taken_for_what_stood_there_before(void **state)
{
	struct fixture *f = *state;
	uint32_t window = lagging->shard->config.gateway_window;

	begin(f);
	isolate(f->w);
	propose(f, window);
	leave_behind(f);
	assert_int_equal(gateway()->popped, 3 + window);
	restore(f);
	assert_int_equal(f->mail->completed, 3);
	world_run(f->w, 1000 * MS);
	assert_all_completed(f, 1, 3 + window, DECREE_APPLIED);
}

static bool
lose_what_the_lagging_node_would_learn(
	struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w, (void)from;
	return to == lagging->node_id && payload[0] != ENG_MSG_HEARTBEAT;
}

static uint64_t
chosen_at(const struct world_node *n)
{
	struct decree_group_status status;

	assert_int_equal(shard_group_status(n->shard, 0, &status), 0);
	return status.chosen.n;
}

/* It knows who leads and asks, again and again, and has not come to the slot with its registration
 * yet. One slot is enough: if each repetition took one, a small log would move on faster than the
 * node can follow. */
static void
test_a_repeated_registration_takes_no_more_slots(void **state)
{
	struct fixture *f = *state;
	uint64_t chosen;

	f->w->lose = lose_what_the_lagging_node_would_learn;
	chosen = chosen_at(f->leader);
	open_gateway(f);
	propose(f, 5);
	world_run(f->w, 5000 * MS);
	assert_int_equal(gateway()->leader, f->leader->node_id);
	assert_int_equal(gateway()->session.n, 0);
	assert_int_equal(chosen_at(f->leader), chosen + 1);
	f->w->lose = NULL;
	world_run(f->w, 1000 * MS);
	assert_all_completed(f, 1, 5, DECREE_APPLIED);
	assert_caught_up(f->w);
}

static bool
lose_commands(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w, (void)to;
	return from == lagging->node_id && payload[0] == CLIENT_MSG_COMMANDS;
}

static bool
lose_all_but_heartbeats(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	return lose_commands(w, from, to, payload) ||
	       (to == lagging->node_id && payload[0] != ENG_MSG_HEARTBEAT);
}

/* The leader was there all the time, so nothing else tells the gateway to give them again before
 * its next attempt is due. */
static void
test_what_is_left_is_given_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t forwarded;

	begin(f);
	f->w->lose = lose_all_but_heartbeats;
	propose(f, 20);
	work(f->w, f->leader, (const uint8_t *)"somebody's work!");
	assert_int_equal(gateway()->leader, f->leader->node_id);
	f->w->lose = lose_commands;
	restore(f);
	f->w->lose = NULL;
	forwarded = shard_counters(lagging->shard)->forwarded;
	world_turn(f->w);
	assert_int_equal(shard_counters(lagging->shard)->forwarded, forwarded + 20);
	world_run(f->w, 1000 * MS);
	assert_int_equal(f->mail->completed, 23);
	assert_caught_up(f->w);
}

/* The registration was executed in the slots that are not here: its session is found by its token. */
static void
test_a_session_that_was_opened_meanwhile_is_found(void **state)
{
	struct fixture *f = *state;

	deafen(f);
	open_gateway(f);
	propose(f, 5);
	leave_behind(f);
	assert_int_equal(gateway()->session.n, 0);
	restore(f);
	assert_int_not_equal(gateway()->session.n, 0);
	world_run(f->w, 1000 * MS);
	assert_all_completed(f, 1, 5, DECREE_APPLIED);
	assert_int_equal(lagging->machine.count, 900 + 5);
	/* This proposer, and the one who did the work: nobody registered twice. */
	assert_int_equal(eng_session_count(shard_sessions(lagging->shard, 0)), 2);
}

/* Its registration never got anywhere: it goes on trying. */
static void
test_a_proposer_without_a_session_registers(void **state)
{
	struct fixture *f = *state;

	isolate(f->w);
	open_gateway(f);
	propose(f, 5);
	leave_behind(f);
	restore(f);
	assert_int_equal(gateway()->session.n, 0);
	world_run(f->w, 1000 * MS);
	assert_all_completed(f, 1, 5, DECREE_APPLIED);
}

/* The state machine answers some commands later: what was executed and has no answer yet is not
 * completed. */
static void
test_a_parked_command_is_answered_by_the_restored_machine(void **state)
{
	struct fixture *f = *state;

	begin(f);
	deafen(f);
	park_one(f);
	set_parking(f, false);
	set_parked(f, 0);
	leave_behind(f);
	restore(f);
	world_run(f->w, 50 * MS);
	assert_int_equal(f->mail->completed, 3);
	assert_int_equal(f->mail->consumed, 4);
	lagging->machine.parked_session = gateway()->session;
	lagging->machine.parked_seq = 4;
	propose(f, 1);
	world_run(f->w, 50 * MS);
	assert_int_equal(f->mail->completed, 5);
	assert_int_equal(f->mail->completions[4].status, 7);
}

/* Session numbers are no secrets: under a number of this proposer somebody has had another command
 * executed. Whatever the answer says, it is not about what this proposer gave. */
static void
test_a_number_that_somebody_else_has_used_closes_the_proposer(void **state)
{
	struct fixture *f = *state;

	begin(f);
	deafen(f);
	propose(f, 5);
	leave_behind(f);
	f->mail->bodies[6 * 4096] ^= 1;
	restore(f);
	world_turn(f->w);
	assert_completed(f, 5, DECREE_APPLIED);
	assert_all_completed(f, 6, 8, DECREE_EVICTED); /* 7 and 8 were executed */
	assert_int_equal(f->mail->consumed, 8);
}

/* A command waits for its answer when somebody else uses the number behind it. */
static void
park_and_steal(struct fixture *f)
{
	struct shard *s = f->leader->shard;

	begin(f);
	park_one(f);
	set_parked(f, 0);
	s->submit[0] =
		(struct eng_command){ gateway()->session, 5, (const uint8_t *)"stolen!!", 8 };
	shard_submit(s, &s->groups[0], 1);
	assert_int_equal(s->submit_status[0], ENG_SUBMIT_OK);
	world_run(f->w, 50 * MS);
	assert_true(gateway()->is_refused);
	assert_int_equal(f->mail->completed, 3);
	set_parking(f, false);
	set_parked(f, 4);                /* and 5, which is not ours, for ever */
	lagging->machine.parked_seq = 0; /* it does not get to hear of what wakes it up */
}

/* The proposer was closed, and then what it had given before was answered in slots that are not
 * here. */
static void
test_an_answer_before_the_stolen_number_comes_from_the_snapshot(void **state)
{
	struct fixture *f = *state;

	park_and_steal(f);
	deafen(f);
	leave_behind(f); /* the first command of it wakes up the parked one */
	assert_int_equal(f->mail->completed, 3);
	restore(f);
	world_turn(f->w);
	assert_completed(f, 4, DECREE_APPLIED);
	assert_int_equal(f->mail->completions[4].status, 7);
	assert_closed(f);
	assert_caught_up(f->w);
}

/* The same, when the answer comes after the snapshot. */
static void
test_an_answer_before_the_stolen_number_comes_after_the_snapshot(void **state)
{
	struct fixture *f = *state;

	park_and_steal(f);
	set_parked(f, 0);
	deafen(f);
	leave_behind(f);
	restore(f);
	world_run(f->w, 50 * MS);
	assert_int_equal(f->mail->completed, 3);
	set_parked(f, 4);
	work(f->w, f->leader, (const uint8_t *)"somebody's more!");
	assert_completed(f, 4, DECREE_APPLIED);
	assert_int_equal(f->mail->completions[4].status, 7);
}

/* The session is gone from the snapshot, so nobody tells what was answered in the slots that are
 * not here; and what was given to the leader may have been executed there. What is proposed from
 * then on never will be. */
static void
test_answers_that_went_with_their_session_are_told_so(void **state)
{
	struct fixture *f = *state;

	begin(f);
	park_one(f);
	set_parking(f, false);
	lagging->machine.parked_seq = 0; /* it does not get to hear of what wakes it up */
	assert_int_equal(gateway()->executed, 4);
	assert_int_equal(f->mail->completed, 3);
	deafen(f);
	propose(f, 2);
	world_run(f->w, 50 * MS);
	assert_int_equal(f->leader->machine.count, 6);
	world_evict(f->w, f->leader, lagging, gateway()->session);
	leave_behind(f);
	restore(f);
	world_turn(f->w);
	assert_all_completed(f, 4, 6, DECREE_EVICTED);
	assert_closed(f);
	assert_int_equal(f->mail->consumed, 7);
	assert_caught_up(f->w);
}

/* So many numbers that the table keeps no answer any more that this proposer could ask for. */
static void
steal(struct fixture *f, uint64_t first, uint32_t count)
{
	struct shard *s = f->leader->shard;

	for (uint32_t i = 0; i < count; i++) {
		s->submit[0] = (struct eng_command){ gateway()->session, first + i,
			(const uint8_t *)"stolen!!", 8 };
		shard_submit(s, &s->groups[0], 1);
		assert_int_equal(s->submit_status[0], ENG_SUBMIT_OK);
		world_run(f->w, 1 * MS);
	}
	assert_int_equal(
		eng_session_last(s->groups[0].sessions, gateway()->session), first + count - 1);
}

/* What the table would say of them is forgotten. Nobody can tell whose they were, or what was
 * answered. */
static void
test_numbers_that_are_not_kept_any_more_close_the_proposer(void **state)
{
	struct fixture *f = *state;

	begin(f);
	isolate(f->w);
	propose(f, 5);
	steal(f, 4, f->leader->eng.session_window + 10);
	leave_behind(f);
	restore(f);
	world_turn(f->w);
	assert_all_completed(f, 4, 8, DECREE_EVICTED);
	assert_closed(f);
}

/* The leader takes what comes under these numbers for repeats, and the log says nothing of them any
 * more. */
static void
test_numbers_that_somebody_else_has_used_ahead_close_the_proposer(void **state)
{
	struct fixture *f = *state;

	begin(f);
	isolate(f->w);
	steal(f, 4, 3);
	leave_behind(f);
	restore(f);
	assert_closed(f);
	assert_caught_up(f->w);
}

/* A command that was executed here, and answered where this node has not looked: that is forgotten,
 * too. */
static void
test_an_answer_that_is_not_kept_any_more_closes_the_proposer(void **state)
{
	struct fixture *f = *state;

	park_and_steal(f);
	deafen(f);
	steal(f, 6, f->leader->eng.session_window + 10);
	leave_behind(f);
	assert_int_equal(f->mail->completed, 3);
	restore(f);
	world_turn(f->w);
	assert_all_completed(f, 4, 4, DECREE_EVICTED);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_what_was_executed_meanwhile_is_completed_once),
		T(test_a_full_window_is_not_taken_for_what_stood_there_before),
		T(test_what_was_not_executed_is_given_again),
		T(test_what_is_left_is_given_at_once),
		T(test_a_repeated_registration_takes_no_more_slots),
		T(test_a_session_that_was_opened_meanwhile_is_found),
		T(test_a_proposer_without_a_session_registers),
		T(test_a_parked_command_is_answered_by_the_restored_machine),
		T(test_a_number_that_somebody_else_has_used_closes_the_proposer),
		T(test_an_answer_before_the_stolen_number_comes_from_the_snapshot),
		T(test_an_answer_before_the_stolen_number_comes_after_the_snapshot),
		T(test_answers_that_went_with_their_session_are_told_so),
		T(test_numbers_that_are_not_kept_any_more_close_the_proposer),
		T(test_numbers_that_somebody_else_has_used_ahead_close_the_proposer),
		T(test_an_answer_that_is_not_kept_any_more_closes_the_proposer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
