/* SPDX-License-Identifier: Apache-2.0 */
/* A medium of snapshots below its reserve: no new commands, votes all the same, and another leader
 * (11.7). */
#include "tests/lib/snap_fake.h"
#include "tests/unit/runtime/world.h"

#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull

static const uint8_t token[DECREE_UUID_BYTES] = "a proposer here";
static struct snap_fake *stores[WORLD_NODE_COUNT_MAX + 1]; /* by node_id */
static struct world_mailbox *mail;

static void
tune(struct world_node *n)
{
	stores[n->node_id] = snap_fake_create(&(struct snap_fake_config){ .seed = n->node_id });
	n->config.snap_ops = &snap_fake_ops;
	n->config.snap_store = stores[n->node_id];
}

static int
setup(void **state)
{
	world_tune = tune;
	*state = world_new(3);
	world_tune = NULL;
	mail = world_mailbox_new();
	return 0;
}

static int
teardown(void **state)
{
	world_mailbox_free(mail);
	world_free(*state);
	for (uint32_t id = 1; id <= 3; id++)
		snap_fake_destroy(stores[id]);
	return 0;
}

static uint64_t
ballot(const struct world_node *n)
{
	struct decree_group_status status;

	assert_int_equal(shard_group_status(n->shard, 0, &status), 0);
	return status.ballot.n;
}

static void
propose_some(void)
{
	for (uint32_t i = 0; i < 10; i++)
		world_propose(mail, 8);
}

/* The old leader keeps voting: with a third node down, nothing would be chosen without it. */
static void
test_another_node_leads_and_the_full_one_votes_on(void **state)
{
	struct world *w = *state;
	struct world_node *full = world_elect(w);
	struct world_node *successor;

	snap_fake_set_space_low(stores[full->node_id], true);
	world_run(w, 500 * MS);
	assert_non_null(strstr(full->last_log, "leads"));
	assert_int_not_equal(full->role, DECREE_LEADER);
	successor = world_elect(w);
	assert_ptr_not_equal(successor, full);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].is_down = &w->nodes[i] != full && &w->nodes[i] != successor;
	assert_int_equal(shard_gateway_open(full->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50 * MS);
	propose_some();
	world_run(w, 200 * MS);
	assert_int_equal(mail->completed, 10);
	assert_int_equal(full->machine.count, successor->machine.count);
}

/* A log without room for the marks of a cut: whoever has room leads, and the cut comes about. */
static void
test_a_leader_that_cannot_mark_a_cut_hands_over(void **state)
{
	struct world *w = *state;
	struct world_node *full = world_elect(w);

	full->log.space_left = LOG_SPACE_RESERVE + 1;
	world_run(w, 500 * MS);
	assert_int_not_equal(full->role, DECREE_LEADER);
	assert_ptr_not_equal(world_elect(w), full);
}

/* None has: leadership does not go round for ever. */
static void
test_logs_that_are_all_full_keep_their_leader(void **state)
{
	struct world *w = *state;
	uint64_t settled;

	(void)world_elect(w);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.space_left = LOG_SPACE_RESERVE + 1;
	world_run(w, 2000 * MS);
	settled = ballot(&w->nodes[0]) + ballot(&w->nodes[1]) + ballot(&w->nodes[2]);
	world_run(w, 3000 * MS);
	assert_int_equal(
		ballot(&w->nodes[0]) + ballot(&w->nodes[1]) + ballot(&w->nodes[2]), settled);
}

/* Whichever node of the three has space, it leads in the end. */
static void
test_the_only_node_with_space_leads(void **state)
{
	struct world *w = *state;

	for (uint16_t roomy = 1; roomy <= 3; roomy++) {
		for (uint16_t id = 1; id <= 3; id++)
			snap_fake_set_space_low(stores[id], false);
		world_run(w, 1000 * MS);
		for (uint16_t id = 1; id <= 3; id++)
			snap_fake_set_space_low(stores[id], id != roomy);
		world_run(w, 3000 * MS);
		assert_int_equal(world_elect(w)->node_id, roomy);
	}
}

/* A transfer that came to nothing was none: whoever was asked has just died, and another one is
 * asked. */
static void
test_a_hand_over_that_failed_is_repeated(void **state)
{
	struct world *w = *state;
	struct world_node *full = world_elect(w);
	struct world_node *dead = &w->nodes[full->node_id % 3];

	dead->is_down = true;
	snap_fake_set_space_low(stores[full->node_id], true);
	world_run(w, 2000 * MS);
	assert_ptr_not_equal(world_elect(w), full);
}

/* Nobody has space: leadership has gone round and rests for 20 T, nothing is taken, nothing lost. */
static void
test_without_space_anywhere_commands_wait(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	uint64_t settled;

	for (uint32_t id = 1; id <= 3; id++)
		snap_fake_set_space_low(stores[id], true);
	world_run(w, 2000 * MS);
	leader = world_elect(w);
	settled = ballot(leader);
	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	propose_some();
	world_run(w, 1500 * MS);
	assert_int_equal(ballot(leader), settled);
	assert_int_equal(leader->role, DECREE_LEADER);
	assert_int_equal(mail->completed, 0);
	for (uint32_t id = 1; id <= 3; id++)
		snap_fake_set_space_low(stores[id], false);
	world_run(w, 1000 * MS);
	assert_int_equal(mail->completed, 10);
	assert_int_equal(leader->machine.count, 10);
}

/* Leadership has gone round in vain. Later somebody has space, and the leader is not told: it asks
 * once more. */
static void
test_space_that_comes_back_elsewhere_is_found(void **state)
{
	struct world *w = *state;
	struct world_node *leader;

	(void)world_elect(w);
	for (uint32_t id = 1; id <= 3; id++)
		snap_fake_set_space_low(stores[id], true);
	world_run(w, 2000 * MS);
	leader = world_elect(w);
	for (uint16_t id = 1; id <= 3; id++)
		snap_fake_set_space_low(stores[id], id != leader->node_id % 3 + 1);
	world_run(w, 5000 * MS); /* 25 T */
	assert_int_equal(world_elect(w)->node_id, leader->node_id % 3 + 1);
}

static uint16_t first_asked; /* stands for election in vain */
static uint16_t only_full;   /* leads, and again */

/* Nobody but the full leader is elected by himself, and the one whom it asks first gets no promise. */
static bool
lose_his_election(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	return (to == first_asked && payload[0] == ENG_MSG_PROMISE) ||
	       (from != only_full && payload[0] == ENG_MSG_PREVOTE);
}

/* Whoever is asked first cannot win, and the full leader is elected again. The next round goes on
 * behind him. */
static void
test_whoever_stands_in_vain_is_not_asked_for_ever(void **state)
{
	struct world *w = *state;
	struct world_node *full = world_elect(w);

	only_full = full->node_id;
	first_asked = full->node_id % 3 + 1;
	w->lose = lose_his_election;
	snap_fake_set_space_low(stores[only_full], true);
	snap_fake_set_space_low(stores[first_asked], true);
	world_run(w, 2000 * MS);
	assert_ptr_equal(world_elect(w), full);
	world_run(w, 10000 * MS); /* 50 T: two rounds more */
	assert_int_equal(world_elect(w)->node_id, first_asked % 3 + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static uint64_t
failed_transfers(const struct world_node *n)
{
	struct eng_status status;

	eng_status(n->shard->groups[0].replica, &status);
	return status.counters.transfers_failed;
}

static void
hold_others(struct world *w, const struct world_node *leader, bool held)
{
	for (uint32_t i = 0; i < 3; i++)
		if (&w->nodes[i] != leader)
			w->nodes[i].log.hold_records = held;
}

/* Nobody has what the full leader has proposed, so it hands over to nobody, however often it tries:
 * first each in his T, then less and less often. */
static void
test_a_leader_whom_nobody_relieves_asks_less_and_less(void **state)
{
	struct world *w = *state;
	struct world_node *full = world_elect(w);
	uint64_t failed;

	assert_int_equal(shard_gateway_open(full->shard, 0, token, &world_mailbox_ops, mail), 0);
	hold_others(w, full, true);
	world_run(w, 10 * MS);
	snap_fake_set_space_low(stores[full->node_id], true);
	world_run(w, 500 * MS);
	assert_int_equal(failed_transfers(full), 2);
	world_run(w, 4000 * MS); /* 20 T */
	failed = failed_transfers(full);
	world_run(w, 8000 * MS); /* 40 T, 8 between two of them */
	assert_in_range(failed_transfers(full) - failed, 4, 6);
	assert_int_equal(full->role, DECREE_LEADER);
	hold_others(w, full, false);
	world_run(w, 2000 * MS);
	assert_int_not_equal(full->role, DECREE_LEADER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_another_node_leads_and_the_full_one_votes_on),
		TEST(test_a_leader_that_cannot_mark_a_cut_hands_over),
		TEST(test_logs_that_are_all_full_keep_their_leader),
		TEST(test_the_only_node_with_space_leads),
		TEST(test_a_hand_over_that_failed_is_repeated),
		TEST(test_without_space_anywhere_commands_wait),
		TEST(test_space_that_comes_back_elsewhere_is_found),
		TEST(test_whoever_stands_in_vain_is_not_asked_for_ever),
		TEST(test_a_leader_whom_nobody_relieves_asks_less_and_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
