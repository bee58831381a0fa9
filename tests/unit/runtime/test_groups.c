/* SPDX-License-Identifier: Apache-2.0 */
/* Several groups in one log, on one thread, over one network: what happens to one is no concern of
 * the others (13). */
#include "tests/unit/runtime/grouped.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct eng_status
status_of(const struct world_node *n, uint16_t group)
{
	struct eng_status status;

	eng_status(grouped_of(n, group)->replica, &status);
	return status;
}

/* Round and round: each group gets @p count commands, the records of all are mixed in the logs. */
static void
work_on_all(struct world *w, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint16_t group = 0; group < GROUPED_COUNT; group++)
			grouped_work(w, group, group == 0 ? 2 : 1);
}

static void
settle_all(struct world *w)
{
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_settle(w, group);
}

static struct world_node *
other_than(struct world *w, const struct world_node *a, const struct world_node *b)
{
	for (uint32_t i = 0; i < w->node_count; i++)
		if (&w->nodes[i] != a && &w->nodes[i] != b)
			return &w->nodes[i];
	return NULL;
}

/* ---- recovery ---- */

/* Each record goes back to its own group, and so does each hard state. */
static void
test_mixed_records_find_their_groups_again(void **state)
{
	struct world *w = grouped_begin(0);
	struct decree_ballot promised[3][GROUPED_COUNT];

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, &w->nodes[group]); /* three leaders, hence three ballots */
	grouped_open(&w->nodes[0]);
	work_on_all(w, 40);
	settle_all(w);
	for (uint32_t i = 0; i < 3; i++)
		for (uint16_t group = 0; group < GROUPED_COUNT; group++)
			promised[i][group] = status_of(&w->nodes[i], group).promised;
	grouped_power_cut(w);
	for (uint32_t i = 0; i < 3; i++)
		for (uint16_t group = 0; group < GROUPED_COUNT; group++)
			assert_int_equal(
				status_of(&w->nodes[i], group).promised.n, promised[i][group].n);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_assert_all_have(w, group, mails[group]->pushed);
	assert_memory_not_equal(&grouped_machine(&w->nodes[0], 0)->digest,
		&grouped_machine(&w->nodes[0], 1)->digest, 16);
	grouped_end(w);
}

/* The power goes while one node's disk is behind and commands of all groups are on their way: what
 * was answered is there, what was not may be. */
static void
test_a_power_cut_takes_no_answer_back(void **state)
{
	struct world *w = grouped_begin(0);
	uint64_t answered[GROUPED_COUNT];

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, &w->nodes[0]);
	grouped_open(&w->nodes[0]);
	work_on_all(w, 20);
	w->nodes[2].log.hold_records = true;
	work_on_all(w, 20);
	w->nodes[1].log.hold_records = true; /* from here on nothing can be chosen */
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		for (uint32_t i = 0; i < 10; i++)
			world_propose(mails[group], 8);
	world_run(w, 5 * MS);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++) {
		answered[group] = mails[group]->completed;
		assert_true(answered[group] >= 38 && answered[group] < mails[group]->pushed);
	}
	grouped_power_cut(w);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++) {
		(void)grouped_leader(w, group);
		world_run(w, 500 * MS);
		uint64_t count = grouped_machine(&w->nodes[0], group)->count;

		assert_true(count >= answered[group] && count <= mails[group]->pushed);
		grouped_assert_all_have(w, group, count);
	}
	grouped_end(w);
}

/* ---- one log, trimmed for all ---- */

static void
assert_trimmed_to_within(const struct world *w, uint64_t records)
{
	for (uint32_t i = 0; i < w->node_count; i++)
		assert_true(w->nodes[i].log.trimmed_lsn + records > w->nodes[i].log.appended);
}

/* 13.3: it is cut for the others' sake, now and then; and what it has survives with that snapshot
 * alone. */
static void
test_a_group_that_says_little_does_not_pin_the_log(void **state)
{
	struct world *w = grouped_begin(0);

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		(void)grouped_leader(w, group);
	grouped_open(&w->nodes[0]);
	grouped_work(w, 1, 5); /* and group 2 says nothing at all */
	grouped_work(w, 0, 4000);
	grouped_settle(w, 0);
	assert_trimmed_to_within(w, 2000);
	for (uint32_t i = 0; i < 3; i++)
		for (uint16_t group = 1; group < GROUPED_COUNT; group++)
			assert_true(status_of(&w->nodes[i], group).last.n < 30);
	grouped_power_cut(w);
	grouped_assert_all_have(w, 0, 4000);
	grouped_assert_all_have(w, 1, 5);
	grouped_assert_all_have(w, 2, 0);
	grouped_end(w);
}

/* The log goes as far as the group that needs most of it allows, however far the others are. */
static void
test_a_group_without_a_snapshot_keeps_the_log(void **state)
{
	struct world *w = grouped_begin(0);

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		(void)grouped_leader(w, group);
	grouped_open(&w->nodes[0]);
	may_cut[1] = false;
	grouped_work(w, 1, 5);
	grouped_work(w, 0, 2000);
	grouped_settle(w, 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(grouped_of(&w->nodes[i], 0)->snap.trimmed.lsn > 1000);
		assert_true(w->nodes[i].log.trimmed_lsn <= 20);
	}
	grouped_power_cut(w);
	grouped_assert_all_have(w, 1, 5);
	may_cut[1] = true;
	world_run(w, 1000 * MS);
	assert_trimmed_to_within(w, 1500);
	grouped_power_cut(w);
	grouped_assert_all_have(w, 0, 2000);
	grouped_assert_all_have(w, 1, 5);
	grouped_end(w);
}

/* ---- snapshots, one group at a time ---- */

/* Asked for by an operator: every node has one of that group, and of no other. */
static void
test_a_snapshot_is_one_groups_own(void **state)
{
	struct world *w = grouped_begin(0);

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.is_crowded = false;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		(void)grouped_leader(w, group);
	grouped_open(&w->nodes[0]);
	work_on_all(w, 20);
	settle_all(w);
	assert_true(snapshot_ask(w->nodes[1].shard, grouped_of(&w->nodes[1], 1)));
	world_run(w, 500 * MS);
	for (uint32_t id = 1; id <= 3; id++)
		for (uint16_t group = 0; group < GROUPED_COUNT; group++)
			assert_int_equal(snap_fake_last(stores[id], group).n > 0, group == 1);
	work_on_all(w, 20);
	settle_all(w);
	grouped_power_cut(w);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_assert_all_have(w, group, mails[group]->pushed);
	grouped_end(w);
}

static void
isolate(struct world *w, const struct world_node *n, bool is_cut)
{
	for (uint16_t id = 1; id <= 3; id++)
		w->cut[id][n->node_id] = w->cut[n->node_id][id] = id != n->node_id && is_cut;
}

/* 9.4: two groups are too far behind and come back one after the other; the third works all the
 * while, and cannot without this node's vote. */
static void
test_groups_are_fetched_while_another_works(void **state)
{
	struct world *w = grouped_begin(64);
	struct world_node *behind = &w->nodes[2];
	uint64_t before, answered = 0;

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, &w->nodes[0]);
	grouped_open(&w->nodes[0]);
	isolate(w, behind, true);
	grouped_work(w, 1, 400);
	grouped_work(w, 2, 400);
	grouped_settle(w, 1);
	grouped_settle(w, 2);
	world_run(w, 500 * MS);
	isolate(w, behind, false);
	w->nodes[1].is_down = true;
	for (uint32_t i = 0; i < 2000 && shard_counters(behind->shard)->snapshots_fetched < 2;
		i++) {
		before = mails[0]->completed;
		grouped_work(w, 0, 1);
		if (behind->shard->fetch.state != FETCH_NONE)
			answered += mails[0]->completed - before;
	}
	assert_int_equal(shard_counters(behind->shard)->snapshots_fetched, 2);
	assert_true(answered > 0);
	settle_all(w);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_assert_all_have(w, group, mails[group]->pushed);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		assert_true(digest_eq(eng_sessions_digest(shard_sessions(behind->shard, group)),
			eng_sessions_digest(shard_sessions(w->nodes[0].shard, group))));
	grouped_end(w);
}

/* A node whose log is full takes snapshots of all groups from the others. What it wrote before is
 * of no use then, of the group that says little neither: else the log stays full, nothing is
 * applied, and no cut is ever due. */
static void
full_log_is_let_go(bool is_restarted)
{
	struct world *w = grouped_begin(64);
	struct world_node *full = &w->nodes[2];
	uint64_t appended;

	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, &w->nodes[0]);
	grouped_open(&w->nodes[0]);
	full->log.is_crowded = false;
	grouped_work(w, 1, 5);
	world_run(w, 100 * MS);
	isolate(w, full, true);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_work(w, group, 400);
	settle_all(w);
	world_run(w, 500 * MS);
	appended = full->log.appended;
	full->log.space_left = LOG_SPACE_RESERVE;
	isolate(w, full, false);
	for (uint32_t i = 0; i < 5000 && shard_counters(full->shard)->snapshots_fetched < 3; i++)
		world_run(w, MS);
	assert_int_equal(shard_counters(full->shard)->snapshots_fetched, 3);
	if (is_restarted) {
		full->log.trimmed_lsn = 0; /* the crash was faster */
		snap_fake_crash(stores[full->node_id]);
		world_restart(w, full);
	}
	world_run(w, 500 * MS);
	assert_true(full->log.trimmed_lsn > appended);
	grouped_end(w);
}

static void
test_a_full_log_is_let_go_behind_fetched_snapshots(void **state)
{
	(void)state;
	full_log_is_let_go(false);
}

/* The same, where the node ends before it gets that far. */
static void
test_a_full_log_is_let_go_after_a_restart(void **state)
{
	(void)state;
	full_log_is_let_go(true);
}

/* Nobody answers, and every group wants to be fetched all the time: each has its turn, again and
 * again. */
static void
test_groups_take_turns_at_being_fetched(void **state)
{
	struct world *w = grouped_begin(64);
	struct world_node *alone = &w->nodes[2];
	const struct shard_group *last = NULL;
	uint32_t turns[GROUPED_COUNT] = { 0 };

	(void)state;
	(void)grouped_leader(w, 0);
	isolate(w, alone, true);
	for (uint32_t i = 0; i < 2000; i++) {
		for (uint16_t group = 0; group < GROUPED_COUNT; group++)
			transfer_want(alone->shard, grouped_of(alone, group), 1);
		world_run(w, MS);
		if (alone->shard->fetch.group != NULL && alone->shard->fetch.group != last)
			turns[alone->shard->fetch.group->local]++;
		last = alone->shard->fetch.group;
	}
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		assert_true(turns[group] >= 2);
	grouped_end(w);
}

/* ---- leaders and members, one group at a time ---- */

/* Each group has its own leader. One that dies takes its own group along until the next election,
 * and no other. */
static void
test_leaders_of_groups_live_on_different_nodes(void **state)
{
	struct world *w = grouped_begin(0);
	struct decree_ballot kept;

	(void)state;
	grouped_lead(w, 0, &w->nodes[0]);
	grouped_lead(w, 1, &w->nodes[1]);
	grouped_lead(w, 2, &w->nodes[2]);
	grouped_open(&w->nodes[2]); /* leads one, forwards the others' */
	work_on_all(w, 20);
	settle_all(w);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++) {
		assert_ptr_equal(grouped_leader(w, group), &w->nodes[group]);
		grouped_assert_all_have(w, group, mails[group]->pushed);
	}
	kept = status_of(&w->nodes[2], 2).ballot;
	w->nodes[1].is_down = true;
	work_on_all(w, 20);
	settle_all(w);
	assert_ptr_equal(grouped_leader(w, 0), &w->nodes[0]);
	assert_ptr_not_equal(grouped_leader(w, 1), &w->nodes[1]);
	assert_int_equal(status_of(&w->nodes[2], 2).ballot.n, kept.n);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_assert_all_have(w, group, mails[group]->pushed);
	grouped_end(w);
}

/* 10.8: one disk, hence all groups that it leads. Work goes on elsewhere while it hangs, and it
 * follows when it answers. */
static void
test_a_hung_disk_gives_all_its_groups_away(void **state)
{
	struct world *w = grouped_begin(0);
	struct world_node *hung = &w->nodes[0];

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, hung);
	grouped_open(&w->nodes[1]);
	work_on_all(w, 10);
	settle_all(w);
	hung->log.hold_records = hung->log.hold_meta = true;
	work_on_all(w, 400); /* 1.6 s; disk_stall_ns is 1 s */
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		assert_ptr_not_equal(grouped_leader(w, group), hung);
	settle_all(w);
	hung->log.hold_records = hung->log.hold_meta = false;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_assert_all_have(w, group, mails[group]->pushed);
	grouped_end(w);
}

static enum eng_member_result
remove_member(struct world *w, uint16_t group, uint16_t node_id)
{
	struct world_node *leader = grouped_leader(w, group);
	struct eng_member_change change = { .op = ENG_MEMBER_REMOVE,
		.member = { .node_id = node_id } };
	enum eng_member_result result = ENG_MEMBER_BUSY;
	struct eng_event event = {
		.type = ENG_EV_MEMBER,
		.now_ns = w->now_ns,
		.member = { .change = &change, .ret_result = &result },
	};

	shard_step(leader->shard, grouped_of(leader, group), &event);
	return result;
}

static uint32_t
target_count(const struct world_node *n, uint16_t group)
{
	uint16_t nodes[ENG_PEER_COUNT_MAX];

	return eng_targets(grouped_of(n, group)->replica, nodes);
}

/* Members are a group's own, before a restart and after. A node that one group has removed ends
 * (12.6), and the others count it as one that is down. */
static void
test_members_are_one_groups_own(void **state)
{
	struct world *w = grouped_begin(0);
	struct world_node *gone = &w->nodes[2];

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, &w->nodes[0]);
	grouped_open(&w->nodes[0]);
	work_on_all(w, 10);
	for (uint32_t i = 0; i < 100 && remove_member(w, 1, 3) != ENG_MEMBER_DONE; i++)
		world_run(w, 20 * MS);
	assert_int_equal(remove_member(w, 1, 3), ENG_MEMBER_DONE);
	world_run(w, 1000 * MS);
	assert_int_equal(shard_stop_reason(gone->shard, NULL), SHARD_STOPPED_HALT);
	work_on_all(w, 10);
	settle_all(w);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint16_t group = 0; group < GROUPED_COUNT; group++) {
			(void)grouped_leader(w, group);
			world_run(w, 500 * MS);
			grouped_assert_all_have(w, group, mails[group]->pushed);
			assert_int_equal(target_count(&w->nodes[0], group), group == 1 ? 1 : 2);
			assert_int_equal(target_count(&w->nodes[1], group), group == 1 ? 1 : 2);
		}
		gone->is_down = true;
		world_restart(w, &w->nodes[0]);
		world_restart(w, &w->nodes[1]);
	}
	grouped_end(w);
}

/* ---- messages ---- */

/* A Prepare of a far higher ballot: encoded as one of the group, from a member. */
static uint32_t
prepare_of(const struct world_node *from, uint16_t to, uint16_t group, uint8_t *ret_bytes)
{
	struct eng_msg m;

	eng_msg_address(grouped_of(from, group)->replica, ENG_MSG_PREPARE, to, &m);
	m.ballot.n = 1000ull << 16 | from->node_id;
	m.prepare.from.n = 1;
	return eng_msg_encode(NULL, &m, ret_bytes, WORLD_FRAME_BYTES);
}

/* 13.4: a message is about the group that it names. It moves no other, and one of a group that is
 * not here nothing. */
static void
test_a_message_concerns_the_group_that_it_names(void **state)
{
	struct world *w = grouped_begin(0);
	struct world_node *to = grouped_leader(w, 0);
	struct world_node *from = other_than(w, to, NULL);
	struct net_endpoint peer = { .node_id = from->node_id };
	uint64_t promised[GROUPED_COUNT];
	uint8_t bytes[WORLD_FRAME_BYTES];
	uint64_t malformed;

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, to);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		promised[group] = status_of(to, group).promised.n;
	malformed = shard_counters(to->shard)->malformed;
	uint32_t count = prepare_of(from, to->node_id, 1, bytes);
	store_u16(bytes + 2, GROUPED_COUNT); /* its group, which none of them is */
	world_deliver(w, to, peer, bytes, count);
	(void)world_turn(w);
	assert_int_equal(shard_counters(to->shard)->malformed, malformed + 1);
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		assert_int_equal(status_of(to, group).promised.n, promised[group]);
	count = prepare_of(from, to->node_id, 1, bytes);
	world_deliver(w, to, peer, bytes, count);
	(void)world_turn(w);
	assert_int_equal(shard_counters(to->shard)->malformed, malformed + 1);
	assert_int_equal(status_of(to, 0).promised.n, promised[0]);
	assert_true(status_of(to, 1).promised.n > promised[1]);
	assert_int_equal(status_of(to, 2).promised.n, promised[2]);
	grouped_end(w);
}

/* A command under a session of another group is not executed: sessions are a group's own. A group
 * that is not here gives no answer at all. */
static void
test_a_command_for_the_wrong_group_is_not_executed(void **state)
{
	static const struct net_endpoint client = { .client = 5, .client_generation = 9 };
	struct world *w = grouped_begin(0);
	struct world_node *leader = grouped_leader(w, 0);
	struct decree_session session;
	uint8_t bytes[WORLD_FRAME_BYTES];
	struct client_writer writer;

	(void)state;
	for (uint16_t group = 0; group < GROUPED_COUNT; group++)
		grouped_lead(w, group, leader);
	grouped_open(leader);
	grouped_work(w, 1, 20);
	session = leader->shard->gateways[1].session;
	assert_int_not_equal(session.n, 0);
	for (uint16_t group = 2; group <= GROUPED_COUNT; group++) {
		struct eng_command command = { .session = { session.n + 1000 },
			.seq = 1,
			.body = (const uint8_t *)"body",
			.bytes = 4 };

		w->client_frame_count = 0;
		client_commands_begin(&writer, bytes, sizeof(bytes), group);
		assert_true(client_commands_add(&writer, &command));
		world_deliver(w, leader, client, bytes, client_writer_finish(&writer));
		world_run(w, 20 * MS);
		assert_int_equal(w->client_frame_count, group < GROUPED_COUNT);
	}
	assert_int_equal(shard_counters(leader->shard)->malformed, 1);
	grouped_assert_all_have(w, 2, 0);
	grouped_end(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mixed_records_find_their_groups_again),
		cmocka_unit_test(test_a_power_cut_takes_no_answer_back),
		cmocka_unit_test(test_a_group_that_says_little_does_not_pin_the_log),
		cmocka_unit_test(test_a_group_without_a_snapshot_keeps_the_log),
		cmocka_unit_test(test_a_snapshot_is_one_groups_own),
		cmocka_unit_test(test_groups_are_fetched_while_another_works),
		cmocka_unit_test(test_a_full_log_is_let_go_behind_fetched_snapshots),
		cmocka_unit_test(test_a_full_log_is_let_go_after_a_restart),
		cmocka_unit_test(test_groups_take_turns_at_being_fetched),
		cmocka_unit_test(test_leaders_of_groups_live_on_different_nodes),
		cmocka_unit_test(test_a_hung_disk_gives_all_its_groups_away),
		cmocka_unit_test(test_members_are_one_groups_own),
		cmocka_unit_test(test_a_message_concerns_the_group_that_it_names),
		cmocka_unit_test(test_a_command_for_the_wrong_group_is_not_executed),
	};

	return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
