/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t token[DECREE_UUID_BYTES] = "a proposer here";

static int
setup(void **state)
{
	*state = world_new(3);
	return 0;
}

static int
teardown(void **state)
{
	world_free(*state);
	return 0;
}

static uint32_t sent_by_type[64];

static bool
count_types(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	(void)from;
	(void)to;
	if (payload[0] < 64)
		sent_by_type[payload[0]]++;
	return false;
}

/* protocol 1.2: the boot count is durable before the first frame. */
static void
test_nothing_is_sent_before_the_boot_count_is_durable(void **state)
{
	struct world *w = *state;
	struct world_node *n = &w->nodes[0];

	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.hold_meta = true;
	world_run(w, 2000000000);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(w->nodes[i].net.sent, 0);
		assert_false(shard_has_started(w->nodes[i].shard));
		/* Nothing is due, so the loop may sleep: a thread that waits for a disk must not
		 * keep the CPU. */
		assert_true(shard_wake_at(w->nodes[i].shard) == UINT64_MAX);
		assert_true(shard_log_waits_ns(w->nodes[i].shard, w->now_ns) >= 1900000000);
	}
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.hold_meta = false;
	world_run(w, 2000000000);
	assert_true(shard_has_started(n->shard));
	assert_true(n->net.sent > 0);
}

/* protocol 3: a Prepare leaves after the own promise is durable, a Promise after the promise is.
 * Records that complete meanwhile change nothing: seq counts in order over both kinds. */
static void
test_promises_wait_for_the_hard_state_even_if_records_are_durable(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);

	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.hold_meta = true;
	leader->is_down = true;
	memset(sent_by_type, 0, sizeof(sent_by_type));
	w->lose = count_types;
	world_run(w, 1500000000);
	assert_true(sent_by_type[ENG_MSG_PREVOTE] > 0);
	assert_int_equal(sent_by_type[ENG_MSG_PREPARE], 0);
	assert_int_equal(sent_by_type[ENG_MSG_PROMISE], 0);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.hold_meta = false;
	world_run(w, 1500000000);
	assert_true(sent_by_type[ENG_MSG_PREPARE] > 0);
	assert_true(sent_by_type[ENG_MSG_PROMISE] > 0);
}

/* protocol 3: Accepted(b, i) only after the record is durable. */
static void
test_a_follower_acknowledges_only_what_is_durable(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.hold_records = true;
	memset(sent_by_type, 0, sizeof(sent_by_type));
	w->lose = count_types;
	world_propose(mail, 64);
	world_run(w, 5000000);
	assert_true(sent_by_type[ENG_MSG_ACCEPT] >= 2);
	assert_int_equal(sent_by_type[ENG_MSG_ACCEPTED], 0);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.hold_records = false;
	world_run(w, 5000000);
	assert_true(sent_by_type[ENG_MSG_ACCEPTED] >= 2);
	assert_int_equal(mail->completed, 1);
	world_mailbox_free(mail);
}

/* The own write and the network run in parallel, and the frames go first. */
static void
test_accepts_leave_in_the_turn_of_the_write_and_before_it(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t sent, writes;

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	sent = leader->net.sent;
	writes = leader->log.submit_count;
	world_propose(mail, 64);
	shard_turn(leader->shard, w->now_ns);
	assert_int_equal(leader->log.submit_count, writes + 1);
	assert_true(leader->log.frames_at_submit >= sent + 2);
	world_mailbox_free(mail);
}

static void
test_a_failed_write_stops_the_shard_and_nothing_more_is_sent(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	char text[DECREE_ERROR_BYTES];
	uint64_t sent;

	leader->log.is_failing = true;
	assert_true(shard_turn(leader->shard, w->now_ns)); /* or nobody would ask why it stopped */
	assert_int_equal(shard_stop_reason(leader->shard, text), SHARD_STOPPED_LOG);
	assert_non_null(strstr(text, "Input/output error"));
	sent = leader->net.sent;
	world_run(w, 3000000000);
	assert_int_equal(leader->net.sent, sent);
}

/* An append must never come short: input waits until the log's buffer has room for a burst. */
static void
test_without_room_in_the_log_no_input_is_taken(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t appended;

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.room = 40;
	appended = leader->log.appended;
	for (int i = 0; i < 10; i++)
		world_propose(mail, 64);
	world_run(w, 3000000);
	assert_int_equal(mail->popped, 0);
	assert_int_equal(leader->log.appended, appended);
	assert_true(shard_counters(leader->shard)->turns_no_room > 0);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.room = 0;
	world_run(w, 1000000000);
	assert_int_equal(mail->completed, 10);
	world_mailbox_free(mail);
}

/* A hard state is no record: a full log changes neither who leads nor how long that takes. */
static void
test_logs_without_any_room_elect_a_leader(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	uint64_t ballot = 0;
	struct decree_group_status st;

	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.is_full = true;
	world_restart(w, leader);
	world_run(w, 3000000000);
	for (uint32_t i = 0; i < 3; i++) {
		char text[DECREE_ERROR_BYTES];
		assert_int_equal(shard_stop_reason(w->nodes[i].shard, text), SHARD_RUNS);
		assert_int_equal(shard_group_status(w->nodes[i].shard, 0, &st), 0);
		assert_true(st.leader != 0);
		assert_true(ballot == 0 || ballot == st.ballot.n);
		ballot = st.ballot.n;
	}
}

/* protocol 3: heartbeats never wait for the disk. */
static void
test_a_full_buffer_costs_no_leader_its_place(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();
	struct decree_group_status before, after;

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	assert_int_equal(shard_group_status(leader->shard, 0, &before), 0);
	for (uint32_t i = 0; i < 3; i++) {
		w->nodes[i].log.room = 10;
		w->nodes[i].log.hold_records = true;
	}
	for (int i = 0; i < 500; i++)
		world_propose(mail, 64);
	world_run(w, 900000000); /* many election timeouts, but less than disk_stall_ns */
	assert_int_equal(mail->completed, 0);
	assert_int_equal(shard_group_status(leader->shard, 0, &after), 0);
	assert_int_equal(after.ballot.n, before.ballot.n);
	assert_int_equal(after.role, DECREE_LEADER);
	for (uint32_t i = 0; i < 3; i++) {
		w->nodes[i].log.room = 0;
		w->nodes[i].log.hold_records = false;
	}
	world_run(w, 1000000000);
	assert_int_equal(mail->completed, 500);
	world_mailbox_free(mail);
}

/* Whoever shares a CPU with the kernel's workers has to know that it waits for one. */
static void
test_it_is_known_for_how_long_the_log_has_made_nothing_durable(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	assert_int_equal(shard_log_waits_ns(leader->shard, w->now_ns), 0);
	leader->log.hold_records = true;
	world_propose(mail, 64);
	world_run(w, 20000000);
	assert_in_range(shard_log_waits_ns(leader->shard, w->now_ns), 19000000, 20000000);
	world_propose(mail, 64); /* to give it more is no progress */
	world_run(w, 20000000);
	assert_in_range(shard_log_waits_ns(leader->shard, w->now_ns), 39000000, 40000000);
	leader->log.hold_records = false;
	world_run(w, 20000000);
	assert_int_equal(shard_log_waits_ns(leader->shard, w->now_ns), 0);
	world_mailbox_free(mail);
}

/* Messages may be lost at any time, so a dry pool is only a delay. */
static void
test_without_empty_frames_messages_are_lost_and_repeated_later(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	leader->net.no_frames = 1;
	for (int i = 0; i < 1000; i++)
		world_propose(mail, 64);
	world_run(w, 20000000);
	assert_true(shard_counters(leader->shard)->no_frame > 0);
	leader->net.no_frames = 0;
	world_run(w, 2000000000);
	assert_int_equal(mail->completed, 1000);
	world_mailbox_free(mail);
}

/* A sender is who the network says it is. */
static void
test_a_message_that_claims_another_sender_is_dropped(void **state)
{
	struct world *w = *state;
	struct world_node *n = &w->nodes[0];
	uint8_t bytes[WORLD_FRAME_BYTES];
	struct eng_msg m = {
		.type = ENG_MSG_HEARTBEAT, .src = 2, .dst = 1, .ballot = { 5 << 16 | 2 }
	};
	uint32_t count = eng_msg_encode(NULL, &m, bytes, sizeof(bytes));
	uint64_t before;

	world_run(w, 1000000);
	before = shard_counters(n->shard)->malformed;
	world_deliver(w, n, (struct net_endpoint){ .node_id = 3 }, bytes, count);
	shard_turn(n->shard, w->now_ns);
	assert_int_equal(shard_counters(n->shard)->malformed, before + 1);
	world_deliver(w, n, (struct net_endpoint){ .client = 1 }, bytes, count);
	shard_turn(n->shard, w->now_ns);
	assert_int_equal(shard_counters(n->shard)->malformed, before + 2);
}

static void
test_a_restart_replays_the_log_into_the_same_state(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();
	struct world_node *follower = world_follower(w);
	struct decree_digest digest;

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	for (int i = 0; i < 3000; i++) {
		world_propose(mail, 64);
		if (i % 500 == 499)
			world_run(w, 20000000);
	}
	world_run(w, 100000000);
	assert_int_equal(mail->completed, 3000);
	digest = leader->machine.digest;
	world_restart(w, follower);
	world_run(w, 1000000000);
	assert_int_equal(follower->machine.count, 3000);
	assert_memory_equal(&follower->machine.digest, &digest, sizeof(digest));
	assert_int_equal(follower->boot_count, 2);
	world_mailbox_free(mail);
}

static void
assert_damage_is_repaired(struct world *w, bool is_unknown)
{
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();
	struct world_node *follower = world_follower(w);

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	for (int i = 0; i < 100; i++) {
		world_propose(mail, 64);
		world_run(w, 1000000);
	}
	follower->log.damaged_lsn = follower->log.durable / 2;
	follower->log.is_damage_unknown = is_unknown;
	world_restart(w, follower);
	assert_true(follower->machine.count < 100); /* what is behind the damage waits for it */
	world_run(w, 1000000000);
	assert_int_equal(follower->machine.count, 100);
	assert_memory_equal(
		&follower->machine.digest, &leader->machine.digest, sizeof(struct decree_digest));
	world_mailbox_free(mail);
}

/* protocol 11.5: peers have what is damaged here. */
static void
test_a_damaged_record_is_fetched_from_a_peer(void **state)
{
	assert_damage_is_repaired(*state, false);
}

static void
test_a_record_of_which_nothing_is_known_is_fetched_from_a_peer(void **state)
{
	assert_damage_is_repaired(*state, true);
}

/* More slots than the core's ring holds: they come back from the leader's log. */
static void
test_a_node_that_was_away_for_long_catches_up_from_a_peers_log(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();
	struct world_node *follower = world_follower(w);
	uint64_t reads = 0;

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	follower->is_down = true;
	for (int i = 0; i < 2000; i++) {
		world_propose(mail, 1200); /* one to a slot, and the ring holds 512 */
		if (i % 100 == 99)
			world_run(w, 20000000);
	}
	world_run(w, 100000000);
	assert_int_equal(mail->completed, 2000);
	world_restart(w, follower);
	world_run(w, 5000000000);
	assert_int_equal(follower->machine.count, 2000);
	assert_memory_equal(
		&follower->machine.digest, &leader->machine.digest, sizeof(struct decree_digest));
	for (uint32_t i = 0; i < 3; i++)
		reads += shard_counters(w->nodes[i].shard)->reads;
	assert_true(reads > 1000); /* of either peer */
	world_mailbox_free(mail);
}

static void
test_a_hard_state_blob_of_another_shape_is_refused(void **state)
{
	struct world *w = *state;
	struct world_node *n = &w->nodes[0];
	uint64_t boot_count;

	world_run(w, 1000000);
	n->is_down = true;
	memset(n->memory, 0, n->memory_bytes);
	n->shard = shard_init(n->memory, &n->config);
	assert_int_equal(
		shard_recover_meta(n->shard, n->log.meta, n->log.meta_bytes - 1, &boot_count),
		-EBADMSG);
	n->log.meta[0] ^= 1;
	assert_int_equal(shard_recover_meta(n->shard, n->log.meta, n->log.meta_bytes, &boot_count),
		-EBADMSG);
	n->log.meta[0] ^= 1;
	assert_int_equal(
		shard_recover_meta(n->shard, n->log.meta, n->log.meta_bytes, &boot_count), 0);
	assert_int_equal(boot_count, 1);
}

/* protocol 7.4: a damaged state is found at the next comparison, and its node stops and says what
 * to do. */
static void
test_a_node_whose_state_differs_stops(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w);
	struct world_node *odd = world_follower(w);
	struct world_mailbox *m = world_mailbox_new();
	char text[DECREE_ERROR_BYTES];

	(void)shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, m);
	odd->machine.digest.lo ^= 1;
	for (uint32_t i = 0; i < 400; i++) {
		world_propose(m, 8);
		world_run(w, 1000000);
	}
	assert_int_equal(shard_stop_reason(odd->shard, text), SHARD_STOPPED_HALT);
	assert_non_null(strstr(text, "a majority of the nodes had another state"));
	for (uint32_t i = 0; i < 3; i++)
		if (&w->nodes[i] != odd)
			assert_int_equal(shard_stop_reason(w->nodes[i].shard, text), SHARD_RUNS);
	assert_int_equal(leader->role, DECREE_LEADER);
	world_mailbox_free(m);
}

/* A disk that is memory has the record when it was told of it: nobody waits for another turn. */
static void
test_a_record_that_is_durable_at_once_is_acknowledged_in_the_turn_that_brought_it(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w), *follower = world_follower(w);
	struct world_mailbox *mail = world_mailbox_new();

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	memset(sent_by_type, 0, sizeof(sent_by_type));
	w->lose = count_types;
	world_propose(mail, 64);
	(void)shard_turn(leader->shard, w->now_ns);
	assert_int_equal(sent_by_type[ENG_MSG_ACCEPT], 2);
	(void)shard_turn(follower->shard, w->now_ns);
	assert_int_equal(sent_by_type[ENG_MSG_ACCEPTED], 1);
	(void)shard_turn(leader->shard, w->now_ns);
	assert_int_equal(mail->completed, 1);
	world_mailbox_free(mail);
}

#define ANNOUNCE_NS 10000000

static void
keep_what_is_chosen(struct world_node *n)
{
	n->eng.announce_ns = n->groups[0].announce_ns = ANNOUNCE_NS;
}

static int
setup_keeping(void **state)
{
	world_tune = keep_what_is_chosen;
	*state = world_new(3);
	world_tune = NULL;
	return 0;
}

/* protocol 7: where the next Accept comes soon, it says what a Success would have said. */
static void
test_an_accept_that_comes_soon_saves_a_success(void **state)
{
	struct world *w = *state;
	struct world_node *leader = world_elect(w), *follower = world_follower(w);
	struct world_mailbox *mail = world_mailbox_new();

	assert_int_equal(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	memset(sent_by_type, 0, sizeof(sent_by_type));
	w->lose = count_types;
	for (uint32_t i = 1; i <= 20; i++) {
		world_propose(mail, 8);
		world_run(w, ANNOUNCE_NS / 2);
		assert_int_equal(mail->completed, i);
		assert_true(follower->machine.count >= i - 1);
	}
	assert_int_equal(sent_by_type[ENG_MSG_SUCCESS], 0);
	world_run(w, ANNOUNCE_NS);
	assert_int_equal(sent_by_type[ENG_MSG_SUCCESS], 2);
	assert_int_equal(follower->machine.count, 20);
	world_mailbox_free(mail);
}

/* A proposer beside a follower has its answer when that follower applies. */
static void
test_what_a_followers_proposer_waits_for_is_not_kept(void **state)
{
	struct world *w = *state;
	struct world_node *follower = (world_elect(w), world_follower(w));
	struct world_mailbox *mail = world_mailbox_new();

	assert_int_equal(
		shard_gateway_open(follower->shard, 0, token, &world_mailbox_ops, mail), 0);
	world_run(w, 50000000);
	for (uint32_t i = 1; i <= 20; i++) {
		world_propose(mail, 8);
		world_run(w, ANNOUNCE_NS / 4);
		assert_int_equal(mail->completed, i);
	}
	world_mailbox_free(mail);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nothing_is_sent_before_the_boot_count_is_durable),
		T(test_promises_wait_for_the_hard_state_even_if_records_are_durable),
		T(test_a_follower_acknowledges_only_what_is_durable),
		T(test_accepts_leave_in_the_turn_of_the_write_and_before_it),
		T(test_a_failed_write_stops_the_shard_and_nothing_more_is_sent),
		T(test_without_room_in_the_log_no_input_is_taken),
		T(test_a_full_buffer_costs_no_leader_its_place),
		T(test_logs_without_any_room_elect_a_leader),
		T(test_it_is_known_for_how_long_the_log_has_made_nothing_durable),
		T(test_without_empty_frames_messages_are_lost_and_repeated_later),
		T(test_a_message_that_claims_another_sender_is_dropped),
		T(test_a_restart_replays_the_log_into_the_same_state),
		T(test_a_damaged_record_is_fetched_from_a_peer),
		T(test_a_record_of_which_nothing_is_known_is_fetched_from_a_peer),
		T(test_a_node_that_was_away_for_long_catches_up_from_a_peers_log),
		T(test_a_hard_state_blob_of_another_shape_is_refused),
		T(test_a_node_whose_state_differs_stops),
		T(test_a_record_that_is_durable_at_once_is_acknowledged_in_the_turn_that_brought_it),
		cmocka_unit_test_setup_teardown(
			test_an_accept_that_comes_soon_saves_a_success, setup_keeping, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_a_followers_proposer_waits_for_is_not_kept, setup_keeping,
			teardown),
	};

	return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
