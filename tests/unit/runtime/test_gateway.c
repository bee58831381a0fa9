/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "base/digest.h"
#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t token[DECREE_UUID_BYTES] = "a proposer here";

struct fixture {
	struct world *w;
	struct world_mailbox *mail;
	struct world_node *leader;
	struct world_node *follower;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->w = world_new(3);
	f->mail = world_mailbox_new();
	f->leader = world_elect(f->w);
	f->follower = world_follower(f->w);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	world_mailbox_free(f->mail);
	world_free(f->w);
	free(f);
	return 0;
}

static void
open_at(struct fixture *f, struct world_node *n)
{
	int rc = shard_gateway_open(n->shard, 0, token, &world_mailbox_ops, f->mail);

	assert_int_equal(rc, 0);
}

static void
propose(struct fixture *f, uint32_t count, uint32_t bytes)
{
	for (uint32_t i = 0; i < count; i++)
		world_propose(f->mail, bytes);
}

static void
assert_all_applied_once(struct fixture *f)
{
	assert_int_equal(f->mail->completed, f->mail->pushed);
	assert_int_equal(f->mail->consumed, f->mail->pushed);
	for (uint32_t i = 0; i < f->w->node_count; i++)
		assert_int_equal(f->w->nodes[i].machine.count, f->mail->pushed);
	for (uint64_t seq = 1; seq <= f->mail->pushed; seq++) {
		const struct decree_completion *c =
			&f->mail->completions[seq % WORLD_MAIL_COUNT_MAX];

		assert_int_equal(c->seq, seq);
		assert_int_equal(c->outcome, DECREE_APPLIED);
		assert_int_equal(c->result, seq);
	}
}

static void
test_commands_at_the_leader_are_applied_on_every_node(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->leader);
	propose(f, 500, 64);
	world_run(f->w, 100000000);
	assert_all_applied_once(f);
	assert_int_equal(shard_counters(f->leader->shard)->forwarded, 0);
}

static void
test_commands_at_a_follower_are_forwarded_and_completed_by_its_own_apply(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->follower);
	propose(f, 500, 64);
	world_run(f->w, 100000000);
	assert_all_applied_once(f);
	assert_true(shard_counters(f->follower->shard)->forwarded >= 500);
}

static void
test_an_outcome_comes_only_after_the_write_is_durable_on_a_quorum(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->leader);
	propose(f, 1, 64);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 1);
	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].log.hold_records = true;
	propose(f, 1, 64);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 1);
	f->leader->log.hold_records = false; /* its own vote alone is no quorum */
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 1);
	f->follower->log.hold_records = false;
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 2);
}

static uint32_t lose_every;

static bool
lose_some_commands(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	static uint32_t random = 1; /* a regular pattern could lose the same frame in every round */

	(void)w;
	(void)from;
	(void)to;
	random = random * 1664525u + 1013904223u;
	return payload[0] >= CLIENT_MSG_COMMANDS && (random >> 16) % lose_every == 0;
}

/* Go-back-N: what a lost frame carried, and all behind it, is sent again under its number. */
static void
test_lost_command_frames_are_repeated_and_executed_once(void **state)
{
	struct fixture *f = *state;

	lose_every = 3;
	f->w->lose = lose_some_commands;
	open_at(f, f->follower);
	propose(f, 800, 64);
	world_run(f->w, 1000000000);
	assert_true(f->w->lost > 0);
	assert_all_applied_once(f);
}

static void
test_commands_larger_than_a_frame_reach_the_leader_in_fragments(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->follower);
	propose(f, 3, 4000);
	propose(f, 10, 64);
	propose(f, 3, 3999);
	world_run(f->w, 200000000);
	assert_all_applied_once(f);
	assert_int_equal(f->leader->machine.bytes, 3 * 4000 + 10 * 64 + 3 * 3999);
}

static void
test_lost_fragments_are_repeated(void **state)
{
	struct fixture *f = *state;

	lose_every = 4;
	f->w->lose = lose_some_commands;
	open_at(f, f->follower);
	propose(f, 5, 4000);
	world_run(f->w, 2000000000);
	assert_true(f->w->lost > 0);
	assert_all_applied_once(f);
}

/* The proposer keeps its commands until some leader has had them executed. */
static void
test_a_new_leader_gets_everything_that_was_in_flight(void **state)
{
	struct fixture *f = *state;
	struct world_node *old = f->leader;

	open_at(f, f->follower);
	propose(f, 300, 64);
	for (int i = 0; i < 3; i++)
		world_turn(f->w);
	old->is_down = true;
	propose(f, 300, 64);
	world_run(f->w, 3000000000);
	old->is_down = false;
	world_restart(f->w, old);
	world_run(f->w, 1000000000);
	assert_all_applied_once(f);
}

/* Clients take all rows but @p left: all in one slot, or with a pause behind each. */
static void
fill_table(struct fixture *f, uint32_t left, uint64_t pause_ns)
{
	static const struct net_endpoint client = { .client = 5, .client_generation = 9 };
	uint8_t payload[WORLD_FRAME_BYTES];
	uint8_t name[DECREE_UUID_BYTES] = "a client";
	struct eng_command c = { .body = name, .bytes = sizeof(name) };

	for (uint32_t i = 0; i < f->leader->eng.session_count - left; i++) {
		struct client_writer w;

		name[15] = (uint8_t)i;
		client_commands_begin(&w, payload, sizeof(payload), 0);
		assert_true(client_commands_add(&w, &c));
		world_deliver(f->w, f->leader, client, payload, client_writer_finish(&w));
		world_run(f->w, pause_ns);
	}
	world_run(f->w, 20000000);
	assert_int_equal(eng_session_count(shard_sessions(f->leader->shard, 0)),
		f->leader->eng.session_count - left);
}

static void
test_a_full_session_table_refuses_the_proposer_and_executes_nothing(void **state)
{
	struct fixture *f = *state;

	fill_table(f, 0, 0);
	open_at(f, f->leader);
	propose(f, 3, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 3);
	assert_int_equal(f->mail->completions[1].outcome, DECREE_REFUSED);
	assert_int_equal(f->leader->machine.count, 0);
}

/* A second process with this node's id opens a proposer for the same place, and the slot has both:
 * in a full table the later one takes the row of the earlier one before anybody hears of that. */
static void
test_a_session_that_is_gone_in_its_own_slot_is_refused(void **state)
{
	struct fixture *f = *state;
	struct shard *s = f->leader->shard;
	uint8_t body[ENG_REGISTRATION_GATEWAY_BYTES];
	struct eng_registration twin;

	fill_table(f, 1, 5000000);
	open_at(f, f->leader);
	propose(f, 1, 8);
	gateway_run(s, &s->gateways[0]);
	eng_registration_decode(s->gateways[0].registration, sizeof(body), &twin);
	twin.token[0] ^= 1;
	twin.opened++;
	s->submit[0] =
		(struct eng_command){ .body = body, .bytes = eng_registration_encode(&twin, body) };
	shard_submit(s, &s->groups[0], 1);
	assert_int_equal(s->submit_status[0], ENG_SUBMIT_OK);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 1);
	assert_int_equal(f->mail->completions[1].outcome, DECREE_REFUSED);
	assert_int_not_equal(eng_session_find(shard_sessions(s, 0), twin.token).n, 0);
}

/* protocol 7.5: the table has room for whoever works, however often proposers come and go and nodes
 * restart; a proposer that is open keeps its session, however long it is silent. */
static void
test_proposers_come_and_go_and_the_silent_one_keeps_its_session(void **state)
{
	struct fixture *f = *state;
	struct world_node *other = world_follower(f->w);
	uint8_t name[DECREE_UUID_BYTES] = "one of many";

	open_at(f, f->leader);
	propose(f, 1, 8);
	for (uint32_t i = 0; i < 3 * f->leader->eng.session_count; i++) {
		struct world_mailbox *m = world_mailbox_new();

		name[15] = (uint8_t)i;
		name[14] = (uint8_t)(i >> 8);
		int gw = shard_gateway_open(other->shard, 0, name, &world_mailbox_ops, m);
		assert_true(gw >= 0);
		world_propose(m, 8);
		world_run(f->w, 10000000);
		assert_int_equal(m->completed, 1);
		assert_int_equal(m->completions[1].outcome, DECREE_APPLIED);
		shard_gateway_close(other->shard, gw);
		world_mailbox_free(m);
		if (i == f->leader->eng.session_count) {
			world_restart(f->w, other);
			world_run(f->w, 100000000);
		}
	}
	assert_true(eng_session_evicted_count(shard_sessions(f->leader->shard, 0)) > 0);
	propose(f, 1, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 2);
	assert_int_equal(f->mail->completions[2].outcome, DECREE_APPLIED);
}

/* Nobody but the log tells a proposer that its session is no more: a leader gives other nodes no
 * reasons. */
static void
assert_evicted_is_told(struct fixture *f, struct world_node *n)
{
	open_at(f, n);
	propose(f, 2, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 2);
	world_evict(f->w, f->leader, n, n->shard->gateways[0].session);
	world_run(f->w, 50000000);
	propose(f, 1, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 3);
	assert_int_equal(f->mail->completions[3].outcome, DECREE_REFUSED);
	assert_int_equal(f->mail->consumed, 3);
	assert_int_equal(f->leader->machine.count, 2);
}

static void
test_a_session_that_gave_way_ends_a_proposer_at_the_leader(void **state)
{
	struct fixture *f = *state;

	assert_evicted_is_told(f, f->leader);
}

static void
test_a_session_that_gave_way_ends_a_proposer_at_a_follower(void **state)
{
	struct fixture *f = *state;

	assert_evicted_is_told(f, f->follower);
}

static bool
lose_all_commands(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	(void)from;
	(void)to;
	return payload[0] >= CLIENT_MSG_COMMANDS;
}

/* The leader may have had them: their proposer cannot know that they were lost on the way. */
static void
test_what_was_given_before_its_session_gave_way_may_have_been_executed(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->follower);
	propose(f, 2, 8);
	world_run(f->w, 50000000);
	f->w->lose = lose_all_commands;
	propose(f, 3, 8);
	world_run(f->w, 50000000);
	world_evict(f->w, f->leader, f->follower, f->follower->shard->gateways[0].session);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 5);
	for (uint64_t seq = 3; seq <= 5; seq++)
		assert_int_equal(f->mail->completions[seq].outcome, DECREE_EVICTED);
}

/* apply() may leave a command unanswered and answer it with a later one. */
static void
test_a_parked_command_completes_when_the_machine_answers_it(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->leader);
	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].machine.is_parking = true;
	propose(f, 1, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->leader->machine.count, 1);
	assert_int_equal(f->mail->completed, 0);
	assert_int_equal(f->mail->consumed, 1); /* its body is free all the same */
	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].machine.is_parking = false;
	propose(f, 1, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 2);
	assert_int_equal(f->mail->completions[1].status, 7);
	assert_int_equal(f->mail->completions[1].result, 2);
}

/* Answers wait for each other while they come in the order of the slot. One that does not overtakes
 * none, and loses none. */
static void
test_commands_parked_within_a_slot_get_their_answers_in_between(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].machine.park_every = 3;
	open_at(f, f->leader);
	propose(f, 400, 8);
	world_run(f->w, 100000000);
	assert_int_equal(f->mail->completed, 400);
	for (uint64_t seq = 1; seq <= 400; seq++) {
		const struct decree_completion *c = &f->mail->completions[seq];

		assert_int_equal(c->seq, seq);
		assert_int_equal(c->status, seq % 3 == 0 ? 7 : 0);
		assert_int_equal(c->result, seq % 3 == 0 ? seq + 1 : seq);
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_true(digest_eq(eng_sessions_digest(f->w->nodes[i].shard->groups[0].sessions),
			eng_sessions_digest_anew(f->w->nodes[i].shard->groups[0].sessions)));
}

/* Its own node leads and cannot take anything until a snapshot makes room: nobody asks it in every
 * turn. */
static void
test_a_full_log_is_asked_again_after_a_pause(void **state)
{
	struct fixture *f = *state;

	open_at(f, f->leader);
	propose(f, 1, 8);
	world_run(f->w, 50000000);
	f->leader->log.space_left = LOG_SPACE_RESERVE + 1;
	world_run(f->w, 50000000);
	propose(f, 1, 8);
	world_run(f->w, 50000000);
	assert_int_equal(f->mail->completed, 1);
	assert_true(shard_wake_at(f->leader->shard) > f->w->now_ns);
	f->leader->log.space_left = 0; /* as much as ever */
	world_run(f->w, 300000000);
	assert_all_applied_once(f);
}

/* Whether a machine answers one by one or by bursts of any size is its own affair, and may differ
 * between nodes: proposers get the same answers, and the tables of sessions stay equal. Runs of two
 * proposers share the slots, and some commands are parked until the one behind them. */
static void
test_answers_by_bursts_are_those_of_one_by_one(void **state)
{
	static const uint8_t name[DECREE_UUID_BYTES] = { 5 };
	static const uint32_t bursts[3] = { 64, 7, 0 };
	struct fixture *f = *state;
	struct world_mailbox *other = world_mailbox_new();
	struct decree_digest digests[3];

	for (uint32_t i = 0; i < 3; i++) {
		f->w->nodes[i].machine.answer_burst = bursts[i];
		f->w->nodes[i].machine.park_every = 23;
	}
	open_at(f, f->leader);
	assert_true(shard_gateway_open(f->leader->shard, 0, name, &world_mailbox_ops, other) >= 0);
	for (uint32_t round = 0; round < 40; round++) {
		propose(f, 1 + round % 19, 8);
		for (uint32_t i = 0; i < 1 + round % 13; i++)
			world_propose(other, 8);
		world_run(f->w, 1000000);
	}
	propose(f, 1, 8); /* the last of all is not parked */
	world_run(f->w, 100000000);
	assert_int_equal(f->mail->completed, f->mail->pushed);
	assert_int_equal(other->completed, other->pushed);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(f->w->nodes[i].machine.count, f->mail->pushed + other->pushed);
		digests[i] = eng_sessions_digest(shard_sessions(f->w->nodes[i].shard, 0));
		assert_memory_equal(&digests[i], &digests[0], sizeof(digests[0]));
	}
	world_mailbox_free(other);
}

/* Four commands of this proposer are on their way, and the first three numbers are executed in one
 * slot.
 * @param bodies  of these three */
static void
execute_three(struct fixture *f, const uint8_t *const bodies[3])
{
	struct shard *s = f->leader->shard;
	struct gateway *gw = &s->gateways[0];
	struct decree_command commands[3];
	const struct decree_answer answers[3] = { { 1 }, { 2 }, { 3 } };

	assert_int_equal(gw->popped, 4);
	assert_int_equal(gw->executed, 0);
	for (uint64_t seq = 1; seq <= 3; seq++)
		commands[seq - 1] = (struct decree_command){
			.session = gw->session,
			.seq = seq,
			.body = bodies[seq - 1],
			.bytes = 64,
		};
	gateway_on_applied(s, gw,
		&(struct eng_applied){ .verdict = ENG_EXECUTE,
			.session = gw->session,
			.seq = 1,
			.count = 3,
			.commands = commands });
	gateway_on_answers(s, gw, 1, 3, answers); /* where one is not ours, not that one's */
	gateway_flush(gw);
}

static void
propose_four(struct fixture *f)
{
	open_at(f, f->leader);
	world_run(f->w, 50000000);
	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].log.hold_records = true;
	propose(f, 4, 64);
	world_run(f->w, 1000000);
}

/* The leader has all four. What it makes of those behind the stolen number nobody tells. */
static void
assert_two_applied_two_evicted(const struct fixture *f)
{
	assert_true(f->leader->shard->gateways[0].is_refused);
	assert_int_equal(f->mail->completed, 4);
	for (uint64_t seq = 1; seq <= 4; seq++)
		assert_int_equal(f->mail->completions[seq].outcome,
			seq <= 2 ? DECREE_APPLIED : DECREE_EVICTED);
}

/* Two commands of this proposer, and behind them in the same slot one that somebody else gave under
 * its number: what was executed is told so, and not that it never will be. */
static void
test_a_stolen_number_behind_our_own_ends_only_what_was_not_executed(void **state)
{
	static const uint8_t stolen[64] = "stolen!!";
	struct fixture *f = *state;

	propose_four(f);
	execute_three(f, (const uint8_t *const[3]){
				 f->mail->commands[1].body, f->mail->commands[2].body, stolen });
	assert_two_applied_two_evicted(f);
}

/* As the three commands lie in the proposer's arena: then they are compared in one piece.
 * @param ret_bodies  the copies */
static void
copy_three(const struct fixture *f, uint8_t *copy, size_t copy_bytes, uint8_t *ret_bodies[3])
{
	const uint8_t *first = f->mail->commands[1].body;

	for (uint32_t i = 0; i < 3; i++) {
		size_t at = (size_t)(f->mail->commands[1 + i].body - first);

		assert_true(at + 64 <= copy_bytes);
		ret_bodies[i] = copy + at;
		memcpy(ret_bodies[i], first + at, 64);
	}
}

/* The same, with bodies that lie in the slot as the proposer's own do. */
static void
test_a_stolen_number_is_seen_among_bodies_that_are_compared_at_once(void **state)
{
	static uint8_t copy[16384];
	uint8_t *bodies[3];
	struct fixture *f = *state;

	propose_four(f);
	copy_three(f, copy, sizeof(copy), bodies);
	bodies[2][63] ^= 1;
	execute_three(f, (const uint8_t *const *)bodies);
	assert_two_applied_two_evicted(f);
}

/* What lies between bodies is nobody's. */
static void
test_what_lies_between_bodies_is_not_compared(void **state)
{
	static uint8_t copy[16384];
	uint8_t *bodies[3];
	struct fixture *f = *state;

	propose_four(f);
	memset(copy, 0xee, sizeof(copy));
	copy_three(f, copy, sizeof(copy), bodies);
	assert_true(bodies[1] > bodies[0] + 64);
	execute_three(f, (const uint8_t *const *)bodies);
	assert_false(f->leader->shard->gateways[0].is_refused);
	assert_int_equal(f->mail->completed, 3);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_commands_at_the_leader_are_applied_on_every_node),
		T(test_commands_at_a_follower_are_forwarded_and_completed_by_its_own_apply),
		T(test_an_outcome_comes_only_after_the_write_is_durable_on_a_quorum),
		T(test_lost_command_frames_are_repeated_and_executed_once),
		T(test_commands_larger_than_a_frame_reach_the_leader_in_fragments),
		T(test_lost_fragments_are_repeated),
		T(test_a_new_leader_gets_everything_that_was_in_flight),
		T(test_a_full_session_table_refuses_the_proposer_and_executes_nothing),
		T(test_a_session_that_is_gone_in_its_own_slot_is_refused),
		T(test_proposers_come_and_go_and_the_silent_one_keeps_its_session),
		T(test_a_session_that_gave_way_ends_a_proposer_at_the_leader),
		T(test_a_session_that_gave_way_ends_a_proposer_at_a_follower),
		T(test_what_was_given_before_its_session_gave_way_may_have_been_executed),
		T(test_a_parked_command_completes_when_the_machine_answers_it),
		T(test_commands_parked_within_a_slot_get_their_answers_in_between),
		T(test_answers_by_bursts_are_those_of_one_by_one),
		T(test_a_full_log_is_asked_again_after_a_pause),
		T(test_a_stolen_number_behind_our_own_ends_only_what_was_not_executed),
		T(test_a_stolen_number_is_seen_among_bodies_that_are_compared_at_once),
		T(test_what_lies_between_bodies_is_not_compared),
	};

	return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
