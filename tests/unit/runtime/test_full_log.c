/* SPDX-License-Identifier: Apache-2.0 */
/* A log gets its room back from a snapshot, and commands come meanwhile: who is in time, the
 * snapshot or the end of the log? */
#include "tests/unit/runtime/lagging.h"

#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RECORDS       6000u
#define COMMANDS      9000u /* one and a half times the log */
#define UNDER_WAY_MAX 100u
#define MS            1000000ull

/* Half of the log, less what is kept, lasts for a second, and the stores' rate makes a snapshot
 * last for twelve. */
static void
test_the_log_is_never_full_because_of_the_snapshots_rate(void **state)
{
	struct world *w = world_of_small_logs(RECORDS, 10000);
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.is_ring = true;
	assert_int_equal(shard_gateway_open(leader->shard, 0, (const uint8_t *)"a proposer here",
				 &world_mailbox_ops, mail),
		0);
	for (uint32_t i = 0; i < COMMANDS; i++) {
		if (mail->pushed - mail->completed < UNDER_WAY_MAX)
			world_propose(mail, 8);
		world_run(w, 1 * MS);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(shard_counters(w->nodes[i].shard)->log_full, 0);
		assert_true(shard_counters(w->nodes[i].shard)->snapshots > 1);
	}
	assert_true(mail->completed > COMMANDS - UNDER_WAY_MAX);
	world_mailbox_free(mail);
	world_end(w);
}

/* The loop asks when a turn is due: not at once, for as long as the store only has to write what it
 * was given. A shard that is told "now" for all the time of a snapshot never sleeps. */
static void
test_a_snapshot_that_waits_for_its_store_lets_the_loop_sleep(void **state)
{
	struct world *w = world_of_small_logs(RECORDS, 10000);
	struct world_node *leader = world_elect(w);
	const struct shard_group *g = &leader->shard->groups[0];
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t slept = 0;

	(void)state;
	assert_int_equal(shard_gateway_open(leader->shard, 0, (const uint8_t *)"a proposer here",
				 &world_mailbox_ops, mail),
		0);
	for (uint32_t i = 0; i < COMMANDS && slept < 100; i++) {
		if (mail->pushed - mail->completed < UNDER_WAY_MAX)
			world_propose(mail, 8);
		world_run(w, 1 * MS);
		if (g->snap.cut.state != CUT_WRITING)
			continue;
		slept += shard_wake_at(leader->shard) > w->now_ns;
		assert_true(shard_wake_at(leader->shard) <= w->now_ns + 1 * MS);
	}
	assert_int_equal(slept, 100);
	world_mailbox_free(mail);
	world_end(w);
}

/* However it came about: counted and told once, and it is over with the room. */
static void
test_a_log_that_is_full_is_counted_and_told(void **state)
{
	struct world *w = world_of_small_logs(RECORDS, 0);
	struct world_node *leader = world_elect(w);
	const struct shard_counters *counters = shard_counters(leader->shard);

	(void)state;
	leader->log.space_all = 0;
	leader->log.space_left = LOG_SPACE_RESERVE + 2 * leader->eng.window_slots;
	world_run(w, 10 * MS);
	assert_int_equal(counters->log_full, 1);
	assert_non_null(strstr(leader->last_log, "the log is full"));
	leader->log.space_left = 0;
	world_run(w, 10 * MS);
	assert_non_null(strstr(leader->last_log, "room again"));
	assert_int_equal(counters->log_full, 1);
	world_end(w);
}

static uint64_t frames_from; /* the lagging node, but for echoes */
static uint64_t frames_to;   /* ... and heartbeats */

static bool
count_frames(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	frames_from += from == lagging->node_id && payload[0] != ENG_MSG_HEARTBEAT_ECHO;
	frames_to += to == lagging->node_id && payload[0] != ENG_MSG_HEARTBEAT;
	return to == lagging->node_id &&
	       payload[0] == ENG_MSG_ACCEPT; /* nothing comes but answers */
}

static void
propose_some(struct world *w, struct world_mailbox *mail, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		world_propose(mail, 8);
		world_run(w, 10 * MS);
	}
}

/* The others decide what it has no room for, and nobody has a snapshot that would make any.
 * Whatever they send is of no use: they are left alone but for a question now and then. It asks at
 * once when there is room. */
static void
test_a_full_log_asks_the_others_for_little_and_seldom(void **state)
{
	struct world *w = world_of_three();
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();

	(void)state;
	lagging = world_follower(w);
	lagging->log.is_crowded = false;
	lagging->log.space_left = LOG_SPACE_RESERVE;
	assert_int_equal(shard_gateway_open(leader->shard, 0, (const uint8_t *)"a proposer here",
				 &world_mailbox_ops, mail),
		0);
	propose_some(w, mail, 40);
	world_run(w, 10000 * MS); /* more and more seldom */
	assert_int_equal(mail->completed, 40);
	w->lose = count_frames;
	world_run(w, 10000 * MS);
	assert_in_range(frames_from, 1,
		40); /* ten questions, and then for a snapshot, which two others may have */
	assert_in_range(frames_to, 1, 40);
	assert_int_equal(lagging->machine.count, 0);
	frames_from = 0;
	while (frames_from == 0) /* the next one is not due for a second */
		world_run(w, 1 * MS);
	lagging->log.space_left = 0; /* as much as ever */
	world_run(w, 100 * MS);
	assert_caught_up(w);
	world_mailbox_free(mail);
	world_end(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_log_is_never_full_because_of_the_snapshots_rate),
		cmocka_unit_test(test_a_snapshot_that_waits_for_its_store_lets_the_loop_sleep),
		cmocka_unit_test(test_a_log_that_is_full_is_counted_and_told),
		cmocka_unit_test(test_a_full_log_asks_the_others_for_little_and_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
