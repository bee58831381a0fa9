/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever delays the commands of a proposer, each has one outcome: leaders that are busy, hand
 * over, or are told so by another that believes to know one. That none is told twice the world's
 * mailbox asserts.
 */
#include "world.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS 1000000ull

struct fixture {
	struct world *w;
	struct world_node *leader, *follower;
	struct world_mailbox *mails[2]; /* of a proposer at either */
};

static int
setup(void **state)
{
	static const uint8_t tokens[2][DECREE_UUID_BYTES] = { "at the leader", "elsewhere" };
	struct fixture *f = calloc(1, sizeof(*f));

	f->w = world_new(3);
	f->leader = world_elect(f->w);
	f->follower = world_follower(f->w);
	for (int i = 0; i < 2; i++) {
		struct world_node *n = i == 0 ? f->leader : f->follower;

		f->mails[i] = world_mailbox_new();
		assert_int_equal(
			shard_gateway_open(n->shard, 0, tokens[i], &world_mailbox_ops, f->mails[i]),
			0);
	}
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++)
		world_mailbox_free(f->mails[i]);
	world_free(f->w);
	free(f);
	return 0;
}

static void
propose(struct fixture *f, uint32_t count, uint32_t bytes)
{
	for (uint32_t i = 0; i < count; i++)
		for (int k = 0; k < 2; k++)
			world_propose(f->mails[k], bytes);
}

static void
assert_all_applied(struct fixture *f)
{
	uint64_t sum = 0;

	for (int k = 0; k < 2; k++) {
		const struct world_mailbox *m = f->mails[k];

		assert_int_equal(m->completed, m->pushed);
		assert_int_equal(m->consumed, m->pushed);
		for (uint64_t seq = 1; seq <= m->pushed; seq++) {
			assert_int_equal(m->completions[seq].seq, seq);
			assert_int_equal(m->completions[seq].outcome, DECREE_APPLIED);
		}
		sum += m->pushed;
	}
	for (uint32_t i = 0; i < f->w->node_count; i++)
		assert_int_equal(f->w->nodes[i].machine.count, sum);
}

static void
hold_disks(struct fixture *f, bool is_held)
{
	for (uint32_t i = 0; i < f->w->node_count; i++)
		f->w->nodes[i].log.hold_records = is_held;
}

/* Nothing becomes durable until its window is full, and its answer to everybody is BUSY. */
static void
test_a_leader_that_was_busy_has_everything_executed(void **state)
{
	struct fixture *f = *state;

	propose(f, 1, 64);
	world_run(f->w, 50 * MS);
	hold_disks(f, true);
	propose(f, 500, 1000); /* a slot for each, and 128 of them in a window */
	world_run(f->w, 100 * MS);
	assert_true(shard_counters(f->leader->shard)->client_refused > 0);
	assert_int_equal(f->mails[0]->completed + f->mails[1]->completed, 2);
	hold_disks(f, false);
	world_run(f->w, 2000 * MS);
	assert_all_applied(f);
}

static void
hand_over(struct fixture *f, const struct world_node *to)
{
	static const struct net_endpoint client = { .client = 5, .client_generation = 9 };
	uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES] = { 0 };
	uint8_t payload[CLIENT_MSG_FIXED_BYTES_MAX];
	struct client_msg m = {
		.type = CLIENT_MSG_ADMIN_REQUEST,
		.admin_request = { .token = 1,
			.op = DECREE_ADMIN_TRANSFER,
			.arguments = arguments },
	};

	store_u16(arguments, to->node_id);
	world_deliver(
		f->w, f->leader, client, payload, client_msg_encode(&m, payload, sizeof(payload)));
}

/* Each turn brings more, before it begins, while it lasts, and when the other one leads. */
static void
test_a_leader_that_hands_over_loses_nothing(void **state)
{
	struct fixture *f = *state;

	propose(f, 100, 64);
	for (int i = 0; i < 5; i++)
		world_turn(f->w);
	hand_over(f, f->follower);
	for (int i = 0; i < 300; i++) {
		propose(f, 1, 64);
		world_turn(f->w);
	}
	world_run(f->w, 1000 * MS);
	assert_int_equal(f->follower->role, DECREE_LEADER);
	assert_all_applied(f);
}

/* It takes no commands while it waits for one that does not answer, and goes on when it has waited
 * long enough. */
static void
test_a_leader_that_hands_over_in_vain_goes_on(void **state)
{
	struct fixture *f = *state;
	struct world_node *other = f->follower;

	for (uint32_t i = 0; i < 3; i++)
		if (&f->w->nodes[i] != f->leader && &f->w->nodes[i] != f->follower)
			other = &f->w->nodes[i];
	propose(f, 50, 64);
	world_run(f->w, 50 * MS);
	other->log.hold_records = true; /* so it never holds what its leader waits for */
	propose(f, 1, 64);
	world_run(f->w, 20 * MS);
	hand_over(f, other);
	world_run(f->w, 5 * MS);
	propose(f, 100, 64);
	world_run(f->w, 20 * MS);
	assert_true(f->mails[0]->completed < 151);
	world_run(f->w, 3000 * MS);
	other->log.hold_records = false;
	world_run(f->w, 500 * MS);
	assert_int_equal(f->leader->role, DECREE_LEADER);
	assert_all_applied(f);
}

/* The old leader hears nobody, and does not know yet that it is none. What it had proposed may be
 * lost or found; its own proposer gives it to the next leader again. */
static void
test_a_leader_that_was_cut_off_has_its_proposers_commands_executed_by_the_next(void **state)
{
	struct fixture *f = *state;

	propose(f, 100, 64);
	world_turn(f->w);
	for (uint16_t id = 1; id <= 3; id++)
		if (id != f->leader->node_id)
			f->w->cut[id][f->leader->node_id] = f->w->cut[f->leader->node_id][id] =
				true;
	propose(f, 100, 64);
	world_run(f->w, 3000 * MS);
	assert_true(f->mails[0]->completed < f->mails[0]->pushed);
	assert_int_equal(f->mails[1]->completed, f->mails[1]->pushed);
	memset(f->w->cut, 0, sizeof(f->w->cut));
	world_run(f->w, 3000 * MS);
	assert_all_applied(f);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_leader_that_was_busy_has_everything_executed),
		T(test_a_leader_that_hands_over_loses_nothing),
		T(test_a_leader_that_hands_over_in_vain_goes_on),
		T(test_a_leader_that_was_cut_off_has_its_proposers_commands_executed_by_the_next),
	};

	return cmocka_run_group_tests_name("outcomes", tests, NULL, NULL);
}
