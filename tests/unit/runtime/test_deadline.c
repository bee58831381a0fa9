/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine's deadlines (protocol 14): what is due happens though nobody asks for anything,
 * once, at the same slot on every node, and whoever waits for it hears of it.
 */
#include "world.h"

#include "engine/core/replica_state.h"
#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS      1000000ull
#define PARK_NS (300 * MS)

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
	f->w->park_ns = PARK_NS;
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

/* One command is applied, and parked. */
static void
park(struct fixture *f, struct world_node *n)
{
	int rc = shard_gateway_open(n->shard, 0, token, &world_mailbox_ops, f->mail);

	assert_int_equal(rc, 0);
	world_propose(f->mail, 8);
	world_run(f->w, 50 * MS);
	assert_int_equal(n->machine.count, 1);
	assert_int_equal(f->mail->completed, 0);
}

static uint64_t
ticks_of(const struct world_node *n)
{
	return shard_replica(n->shard, 0)->counters.ticks;
}

static void
assert_same_state(const struct world *w, uint64_t due_count)
{
	const struct world_machine *first = &w->nodes[0].machine;

	for (uint32_t i = 0; i < w->node_count; i++) {
		const struct world_machine *m = &w->nodes[i].machine;

		assert_int_equal(m->due_count, due_count);
		assert_int_equal(m->digest.lo, first->digest.lo);
		assert_int_equal(m->digest.hi, first->digest.hi);
	}
}

static void
assert_answered_by_deadline(const struct fixture *f)
{
	assert_int_equal(f->mail->completed, 1);
	assert_int_equal(f->mail->completions[1].outcome, DECREE_APPLIED);
	assert_int_equal(f->mail->completions[1].status, 9);
}

static void
test_a_deadline_comes_in_an_idle_cluster_once_and_answers_who_waits(void **state)
{
	struct fixture *f = *state;

	park(f, f->leader);
	world_run(f->w, PARK_NS - 60 * MS);
	assert_int_equal(f->mail->completed, 0);
	world_run(f->w, 20 * MS);
	assert_answered_by_deadline(f);
	world_run(f->w, 2000 * MS);
	assert_int_equal(ticks_of(f->leader), 1);
	assert_same_state(f->w, 1);
}

static void
test_who_waits_at_a_follower_hears_of_it_too(void **state)
{
	struct fixture *f = *state;

	park(f, f->follower);
	world_run(f->w, PARK_NS);
	assert_answered_by_deadline(f);
	assert_same_state(f->w, 1);
}

/* The loop sleeps until something is due: a deadline is. */
static void
test_a_leader_that_sleeps_wakes_for_it_and_a_follower_does_not(void **state)
{
	struct fixture *f = *state;
	const struct eng_replica *r = shard_replica(f->leader->shard, 0);

	park(f, f->leader);
	uint64_t due_ns = r->stamp_from_ns + (f->leader->machine.due_ns - r->stamp_base_ns);
	while (f->w->now_ns < due_ns) {
		assert_true(shard_wake_at(f->leader->shard) <= due_ns);
		world_turn(f->w);
	}
	assert_true(f->w->now_ns < due_ns + MS);
	world_run(f->w, MS);
	assert_answered_by_deadline(f);
	assert_int_equal(ticks_of(f->follower), 0);
}

/* Replay makes the same calls: the log has the time. */
static void
test_a_restart_finds_in_the_log_what_was_due(void **state)
{
	struct fixture *f = *state;

	park(f, f->leader);
	world_run(f->w, PARK_NS);
	assert_same_state(f->w, 1);
	for (uint32_t i = 0; i < 3; i++)
		world_restart(f->w, &f->w->nodes[i]);
	world_elect(f->w);
	assert_same_state(f->w, 1);
}

/* An outage is no time: whoever leads next waits for what was left, and no longer. */
static void
test_a_deadline_outlives_its_leader_and_a_restart_of_all(void **state)
{
	struct fixture *f = *state;

	park(f, f->leader);
	for (uint32_t i = 0; i < 3; i++)
		world_restart(f->w, &f->w->nodes[i]);
	f->w->now_ns += 10 * PARK_NS;
	world_elect(f->w);
	world_run(f->w, PARK_NS - 100 * MS);
	assert_same_state(f->w, 0);
	world_run(f->w, 200 * MS);
	assert_same_state(f->w, 1);
}

/* A machine that is wrong costs a slot a millisecond at most, not the whole log at once. */
static void
test_a_deadline_that_stays_makes_no_storm(void **state)
{
	struct fixture *f = *state;

	f->w->is_due_stuck = true;
	park(f, f->leader);
	world_run(f->w, PARK_NS - 45 * MS);
	uint64_t before = ticks_of(f->leader);
	assert_true(before >= 1);
	world_run(f->w, 100 * MS);
	assert_true(ticks_of(f->leader) > before + 10);
	assert_true(ticks_of(f->leader) <= before + 101);
}

/* The hot path does not pay for it: followers are not asked, and a leader once in a turn. */
static void
test_the_machine_is_asked_once_a_turn_and_only_where_it_leads(void **state)
{
	struct fixture *f = *state;
	uint64_t turns = shard_counters(f->leader->shard)->turns;
	uint64_t asked = f->leader->machine.ask_count;

	f->w->park_ns = 0;
	assert_int_equal(
		shard_gateway_open(f->leader->shard, 0, token, &world_mailbox_ops, f->mail), 0);
	for (uint32_t i = 0; i < 1000; i++)
		world_propose(f->mail, 8);
	uint64_t asked_there = f->follower->machine.ask_count;
	for (uint32_t i = 0; f->mail->completed < 1000; i++) {
		assert_true(i < 10000);
		world_turn(f->w);
	}
	assert_true(f->leader->machine.ask_count - asked <=
		    shard_counters(f->leader->shard)->turns - turns);
	assert_true(f->leader->machine.ask_count - asked < 500);
	/* A slot without a command, such as the registration's or a MARK, asks everywhere. */
	assert_true(f->follower->machine.ask_count - asked_there < 20);
}

/* Time is a matter of the log: a full one stands still, and goes on when it has room. */
static void
test_a_full_log_has_no_time_and_forgets_no_deadline(void **state)
{
	struct fixture *f = *state;

	park(f, f->leader);
	f->leader->log.space_left = LOG_SPACE_RESERVE + 1;
	world_run(f->w, 2 * PARK_NS);
	assert_int_equal(ticks_of(f->leader), 0);
	assert_true(shard_wake_at(f->leader->shard) > f->w->now_ns);
	assert_same_state(f->w, 0);
	f->leader->log.space_left = 0; /* as much as ever */
	world_run(f->w, 50 * MS);
	assert_answered_by_deadline(f);
	assert_same_state(f->w, 1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_deadline_comes_in_an_idle_cluster_once_and_answers_who_waits),
		T(test_who_waits_at_a_follower_hears_of_it_too),
		T(test_a_leader_that_sleeps_wakes_for_it_and_a_follower_does_not),
		T(test_a_restart_finds_in_the_log_what_was_due),
		T(test_a_deadline_outlives_its_leader_and_a_restart_of_all),
		T(test_a_deadline_that_stays_makes_no_storm),
		T(test_the_machine_is_asked_once_a_turn_and_only_where_it_leads),
		T(test_a_full_log_has_no_time_and_forgets_no_deadline),
	};

	return cmocka_run_group_tests_name("deadline", tests, NULL, NULL);
}
