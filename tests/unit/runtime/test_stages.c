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

/* A leader is cut off in the middle of a slot, gives up, is elected again long after that, and has the slot chosen: the time
 * between is an outage, and no stage of a commit. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slot_of_an_earlier_leadership_is_no_long_commit),
	};

	world_tune = measure;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
