/* SPDX-License-Identifier: Apache-2.0 */
/* How long the stages of a commit took, as a shard measures them, on a world's clock. */
#include "world.h"

#include "engine/core/msg.h"
#include "engine/runtime/stages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS 1000000ull

static const uint8_t token[DECREE_UUID_BYTES] = "a proposer here";
static struct world *world;
static struct shard_stages stages[WORLD_NODE_COUNT_MAX];
static uint16_t favourite; /* nobody else can be elected */

static uint64_t
stamp_ns(void)
{
	return world->now_ns;
}

static void
measure(struct world_node *n)
{
	n->config.stages = &stages[n->node_id - 1];
	n->config.stamp_ns = stamp_ns;
}

static bool
lose_prepares_of_others(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	(void)to;
	return from != favourite && payload[0] == ENG_MSG_PREPARE;
}

static uint64_t
longest_ns(const struct stage_histogram *h)
{
	uint64_t buckets[STAGE_BUCKET_COUNT];

	(void)stage_read(h, buckets); /* the longest is what counts */
	return stage_quantile_ns(buckets, 1000);
}

static void
cut_off(struct world *w, uint16_t node_id, bool is_cut)
{
	for (uint16_t i = 1; i <= w->node_count; i++)
		if (i != node_id)
			w->cut[i][node_id] = w->cut[node_id][i] = is_cut;
}

/* A leader is cut off in the middle of a slot, gives up, is elected again long after that, and has
 * the slot chosen: the time between is an outage, and no stage of a commit. */
static void
test_a_slot_of_an_earlier_leadership_is_no_long_commit(void **state)
{
	struct world *w = world = world_new(3);
	struct world_node *leader = world_elect(w);
	struct shard_stages *measured = &stages[leader->node_id - 1];
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t count;

	(void)state;
	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50 * MS);
	world_propose(mail, 64);
	world_run(w, 50 * MS);
	assert_int_equal(mail->completed, 1);
	count = stage_count(&measured->chosen);
	assert_true(count > 0);

	favourite = leader->node_id;
	w->lose = lose_prepares_of_others;
	cut_off(w, leader->node_id, true);
	world_propose(mail, 64);
	world_run(w, 20000 * MS);
	assert_int_not_equal(leader->role, DECREE_LEADER);
	assert_int_equal(mail->completed, 1);

	cut_off(w, leader->node_id, false);
	assert_ptr_equal(world_elect(w), leader);
	world_propose(mail, 64);
	world_run(w, 100 * MS);
	assert_int_equal(mail->completed, 3);
	assert_true(stage_count(&measured->chosen) > count);
	assert_in_range(longest_ns(&measured->chosen), 1, 1000 * MS);
	world_mailbox_free(mail);
	world_free(w);
}

/* -------------------------------------------------------------------------- what they add up to */

/* On this clock each look takes a microsecond, and nothing else takes any time: nodes work one
 * after the other, so what one of them does is a wait of the others. */
static uint64_t look_count;

static uint64_t
look_ns(void)
{
	return ++look_count * 1000;
}

static void
measure_by_looks(struct world_node *n)
{
	measure(n);
	n->config.stamp_ns = look_ns;
}

static uint64_t
sum_ns(const struct stage_histogram *h)
{
	return atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
}

/* What follows one another on a command's way; submit and durable are parts of chosen. */
static uint64_t
leader_way_ns(const struct shard_stages *m)
{
	return sum_ns(&m->rx) + sum_ns(&m->step) + sum_ns(&m->chosen) + sum_ns(&m->apply) +
	       sum_ns(&m->tx);
}

/* ... and on the way of an Accept, until its vote is sent. */
static uint64_t
follower_way_ns(const struct shard_stages *m)
{
	return sum_ns(&m->rx) + sum_ns(&m->decode) + sum_ns(&m->step) + sum_ns(&m->durable) +
	       sum_ns(&m->tx);
}

/* One command, and turns until this node has answered or voted. @return from the begin of the
 * node's turn before the one that appended, until the last look of the one that told */
static uint64_t
watch_one(struct world *w, const struct world_node *n, struct world_mailbox *mail)
{
	const struct shard_stages *m = &stages[n->node_id - 1];
	uint64_t steps = stage_count(&m->step), told = stage_count(&m->tx);
	uint64_t begun_ns = 0, before_ns = 0;

	for (uint32_t turn = 0; turn < 1000; turn++) {
		if (turn == 1)
			world_propose(mail, 64);
		for (uint32_t i = 0; i < w->node_count; i++) {
			bool is_watched = &w->nodes[i] == n;

			if (is_watched && stage_count(&m->step) == steps) {
				before_ns = begun_ns;
				begun_ns = (look_count + 1) * 1000;
			}
			(void)shard_turn(w->nodes[i].shard, w->now_ns);
			if (is_watched && stage_count(&m->tx) > told)
				return look_count * 1000 - before_ns;
		}
		w->now_ns += 20000;
	}
	fail();
	return 0;
}

static void
check_ways(const struct world_node *n, uint64_t (*way_ns)(const struct shard_stages *),
	struct world *w, struct world_mailbox *mail)
{
	const struct shard_stages *m = &stages[n->node_id - 1];
	uint32_t alone = 0;

	for (uint32_t i = 0; i < 100; i++) {
		uint64_t before_ns = way_ns(m), submits = stage_count(&m->submit);
		uint64_t records = stage_count(&m->durable), slots = stage_count(&m->chosen);
		uint64_t took_ns = watch_one(w, n, mail);

		/* Now and then the leader has a slot of its own to propose beside it. */
		if (stage_count(&m->durable) == records + 1 &&
			stage_count(&m->chosen) <= slots + 1) {
			alone++;
			assert_int_equal(way_ns(m) - before_ns, took_ns);
			assert_int_equal(stage_count(&m->submit), submits + 1);
		}
		world_run(w, 3 * MS);
	}
	assert_in_range(alone, 90, 100);
}

/* From the begin of the turn before the command came until its answer is handed over, and from
 * there until the vote is sent, each moment belongs to one stage, and none to two. */
static void
test_the_stages_of_a_lone_command_add_up_to_all_of_its_time(void **state)
{
	struct world_mailbox *mail = world_mailbox_new();
	struct world_node *leader;
	struct world *w;

	(void)state;
	world_tune = measure_by_looks;
	w = world = world_new(3);
	leader = world_elect(w);
	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50 * MS);
	check_ways(leader, leader_way_ns, w, mail);
	check_ways(world_follower(w), follower_way_ns, w, mail);
	world_mailbox_free(mail);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slot_of_an_earlier_leadership_is_no_long_commit),
		cmocka_unit_test(test_the_stages_of_a_lone_command_add_up_to_all_of_its_time),
	};

	world_tune = measure;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
