/* SPDX-License-Identifier: Apache-2.0 */
/* A log gets its room back from a snapshot, and commands come meanwhile: who is in time, the
 * snapshot or the end of the log? */
#include "tests/unit/runtime/lagging.h"

#include "engine/core/replica_state.h"
#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RECORDS       6000u
#define COMMANDS      9000u /* one and a half times the log */
#define UNDER_WAY_MAX 100u
#define SLOTS_FEW     200u /* too few for a cut of a log that is not full */
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

/* The lagging node finds its log used up, all of a sudden; the others have room for days. */
static struct world *
world_with_a_used_up_log(struct world_mailbox *mail, uint32_t commands)
{
	struct world *w = world_of_small_logs(1000000, 0);
	struct world_node *leader = world_elect(w);

	lagging = world_follower(w);
	assert_int_equal(shard_gateway_open(leader->shard, 0, (const uint8_t *)"a proposer here",
				 &world_mailbox_ops, mail),
		0);
	propose_some(w, mail, commands);
	assert_caught_up(w);
	lagging->log.space_all = LOG_SPACE_RESERVE + (uint32_t)lagging->log.appended;
	return w;
}

static uint64_t
cut_count(const struct world *w)
{
	uint64_t ret = 0;

	for (uint32_t i = 0; i < w->node_count; i++)
		ret += shard_counters(w->nodes[i].shard)->snapshots;
	return ret;
}

/* Its log may hold many records of few slots, and nobody may propose enough any more for a cut to
 * let many slots go. */
static void
test_a_full_log_of_few_slots_asks_for_a_cut(void **state)
{
	struct world_mailbox *mail = world_mailbox_new();
	struct world *w = world_with_a_used_up_log(mail, SLOTS_FEW);

	(void)state;
	propose_some(w, mail, 5); /* it cannot take these */
	world_run(w, 5000 * MS);
	assert_caught_up(w);
	assert_true(lagging->shard->space_left + 20 > lagging->log.space_all);
	assert_int_equal(cut_count(w), 2);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	world_mailbox_free(mail);
	world_end(w);
}

/* Where something else keeps it full, snapshot after snapshot would be for nothing. */
static void
test_a_full_log_that_no_cut_helps_asks_for_no_more(void **state)
{
	struct world_mailbox *mail = world_mailbox_new();
	struct world *w = world_with_a_used_up_log(mail, SLOTS_FEW);
	uint64_t cuts;

	(void)state;
	lagging->log.space_all = 0;
	lagging->log.space_left = LOG_SPACE_RESERVE + lagging->eng.window_slots;
	world_run(w, 5000 * MS);
	cuts = cut_count(w);
	assert_in_range(cuts, 1, 3);
	propose_some(w, mail, 20);
	world_run(w, 20000 * MS);
	assert_int_equal(cut_count(w), cuts);
	world_mailbox_free(mail);
	world_end(w);
}

/* In doubt nobody can say what its log holds, so nothing of it goes before the next start would know
 * of the doubt without it. Doubts end with slots to come, for which it has no room: what cannot be
 * let go because of them would never go. */
static void
test_a_full_log_goes_when_its_doubt_is_written_down(void **state)
{
	struct world_mailbox *mail = world_mailbox_new();
	struct world *w = world_with_a_used_up_log(mail, TRIM_NOTE_SLOTS / 2);
	struct eng_replica *r = lagging->shard->groups[0].replica;

	(void)state;
	r->damage.doubt = r->damage.doubt_written = true;
	r->damage.seq = r->persist_last + 1000; /* not durable yet */
	propose_some(w, mail, 5);
	for (uint32_t i = 0; i < 3; i++)
		assert_true(snapshot_ask(w->nodes[i].shard, &w->nodes[i].shard->groups[0]));
	world_run(w, 5000 * MS);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	assert_int_equal(lagging->log.trimmed_lsn, 0);
	r->damage.seq = 0;
	world_run(w, 3000 * MS);
	assert_true(r->damage.doubt);
	assert_true(lagging->log.trimmed_lsn > TRIM_NOTE_SLOTS / 2);
	assert_caught_up(w);
	world_mailbox_free(mail);
	world_end(w);
}

/* One node is dead, and the logs of the other two are full: nothing is chosen but by both. What makes
 * room is taken from what they keep in reserve, and what stands before it. */
static void
test_full_logs_that_a_quorum_needs_make_room(void **state)
{
	struct world_mailbox *mail = world_mailbox_new();
	struct world *w = world_with_a_used_up_log(mail, SLOTS_FEW);
	struct world_node *leader = NULL, *dead = NULL;
	uint64_t done;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		if (w->nodes[i].role == DECREE_LEADER)
			leader = &w->nodes[i];
		else if (&w->nodes[i] != lagging)
			dead = &w->nodes[i];
	dead->is_down = true;
	leader->log.space_all = LOG_SPACE_RESERVE + (uint32_t)leader->log.appended +
				2 * leader->eng.window_slots + 4; /* not yet */
	done = mail->completed;
	propose_some(w, mail, 8);
	world_run(w, 5000 * MS);
	assert_int_equal(mail->completed, done + 8);
	assert_true(cut_count(w) >= 2);
	assert_true(lagging->log.trimmed_lsn > TRIM_NOTE_SLOTS);
	assert_true(leader->log.trimmed_lsn > TRIM_NOTE_SLOTS);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 0);
	world_mailbox_free(mail);
	world_end(w);
}

static bool
lose_values(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	(void)from;
	return to == lagging->node_id &&
	       (payload[0] == ENG_MSG_ACCEPT || payload[0] == ENG_MSG_QUERY_REPLY);
}

/* It has cut the snapshot that would make room, but no room for the slot that names it. */
static void
test_a_full_log_needs_no_room_for_the_name_of_its_snapshot(void **state)
{
	struct world_mailbox *mail = world_mailbox_new();
	struct world *w = world_of_small_logs(1000000, 0);
	struct world_node *leader = world_elect(w);
	const struct snapshot_group *snap;
	const uint64_t *slot_max;

	(void)state;
	lagging = world_follower(w);
	snap = &lagging->shard->groups[0].snap;
	slot_max = &lagging->shard->groups[0].index.slot_max;
	assert_int_equal(shard_gateway_open(leader->shard, 0, (const uint8_t *)"a proposer here",
				 &world_mailbox_ops, mail),
		0);
	propose_some(w, mail, SLOTS_FEW);
	assert_true(snapshot_ask(leader->shard, &leader->shard->groups[0]));
	for (uint64_t slot = *slot_max; slot == *slot_max;)
		world_turn(w);
	w->lose = lose_values; /* the mark is here, and nothing behind it */
	lagging->log.space_all = LOG_SPACE_RESERVE + (uint32_t)lagging->log.appended;
	world_run(w, 100 * MS);
	w->lose = NULL;
	world_run(w, 1000 * MS);
	assert_int_equal(cut_count(w), 3);
	assert_int_equal(snap->kept.slot.n, leader->shard->groups[0].snap.kept.slot.n);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 0);
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
		cmocka_unit_test(test_a_full_log_of_few_slots_asks_for_a_cut),
		cmocka_unit_test(test_a_full_log_that_no_cut_helps_asks_for_no_more),
		cmocka_unit_test(test_a_full_log_goes_when_its_doubt_is_written_down),
		cmocka_unit_test(test_full_logs_that_a_quorum_needs_make_room),
		cmocka_unit_test(test_a_full_log_needs_no_room_for_the_name_of_its_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
