/* SPDX-License-Identifier: Apache-2.0 */
/* Administrative requests, from the frame of a client to what the group does, with shards of a
 * world. */
#include "world.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct net_endpoint client = { .client = 5, .client_generation = 9 };

struct answer {
	enum client_admin_status status;
	uint16_t leader;
	char text[CLIENT_ADMIN_TEXT_BYTES + 1];
};

static struct answer
ask_for_disk(struct world *w, struct world_node *n, uint64_t token, uint32_t op, uint16_t node_id,
	uint64_t disk)
{
	uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES] = { 0 };
	uint8_t payload[CLIENT_MSG_FIXED_BYTES_MAX];
	struct answer answer = { 0 };
	struct client_msg m = {
		.type = CLIENT_MSG_ADMIN_REQUEST,
		.admin_request = { .token = token, .op = op, .arguments = arguments },
	};

	store_u16(arguments, node_id);
	store_u64(arguments + 8, disk);
	w->client_frame_count = 0;
	world_deliver(w, n, client, payload, client_msg_encode(&m, payload, sizeof(payload)));
	(void)world_turn(w);
	assert_int_equal(w->client_frame_count, 1);
	assert_int_equal(
		client_msg_decode(w->client_frames[0].payload, w->client_frames[0].bytes, &m), 0);
	assert_int_equal(m.type, CLIENT_MSG_ADMIN_REPLY);
	assert_int_equal(m.node_id, n->node_id);
	assert_int_equal(m.admin_reply.token, token);
	answer.status = m.admin_reply.status;
	answer.leader = m.admin_reply.leader;
	memcpy(answer.text, m.admin_reply.text, m.admin_reply.text_bytes);
	return answer;
}

static struct answer
ask(struct world *w, struct world_node *n, uint64_t token, uint32_t op, uint16_t node_id)
{
	return ask_for_disk(w, n, token, op, node_id, 0);
}

static void
test_a_transfer_is_pending_and_then_done(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct world_node *next = world_follower(w);

	(void)state;
	assert_int_equal(ask(w, leader, 1, DECREE_ADMIN_TRANSFER, next->node_id).status,
		CLIENT_ADMIN_PENDING);
	world_run(w, 20000000);
	assert_int_equal(next->role, DECREE_LEADER);
	assert_int_equal(
		ask(w, leader, 1, DECREE_ADMIN_TRANSFER, next->node_id).status, CLIENT_ADMIN_DONE);
	/* The same wish under another token holds already, whoever is asked. */
	assert_int_equal(
		ask(w, next, 2, DECREE_ADMIN_TRANSFER, next->node_id).status, CLIENT_ADMIN_DONE);
	world_free(w);
}

static void
test_a_follower_names_the_leader(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct world_node *next = world_follower(w);
	struct answer answer;

	(void)state;
	answer = ask(w, next, 1, DECREE_ADMIN_TRANSFER, next->node_id);
	assert_int_equal(answer.status, CLIENT_ADMIN_NOT_LEADER);
	assert_int_equal(answer.leader, leader->node_id);
	world_free(w);
}

static void
test_a_transfer_that_cannot_be_is_refused_and_another_may_follow(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct world_node *next = world_follower(w);

	(void)state;
	assert_int_equal(ask(w, leader, 1, DECREE_ADMIN_TRANSFER, 77).status, CLIENT_ADMIN_REFUSED);
	assert_int_equal(ask(w, leader, 2, DECREE_ADMIN_TRANSFER, next->node_id).status,
		CLIENT_ADMIN_PENDING);
	world_free(w);
}

/* The successor's disk hangs: the leader goes on, says so as often as it is asked, and takes other
 * requests. */
static void
test_a_transfer_in_vain_fails(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct world_node *next = world_follower(w);

	(void)state;
	next->log.hold_records = true;
	next->log.hold_meta = true;
	assert_int_equal(ask(w, leader, 1, DECREE_ADMIN_TRANSFER, next->node_id).status,
		CLIENT_ADMIN_PENDING);
	assert_int_equal(
		ask(w, leader, 2, DECREE_ADMIN_TRANSFER, 6 - leader->node_id - next->node_id)
			.status,
		CLIENT_ADMIN_BUSY);
	w->cut[leader->node_id][next->node_id] = true;
	world_run(w, 2 * leader->eng.election_ns);
	assert_int_equal(leader->role, DECREE_LEADER);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask(w, leader, 1, DECREE_ADMIN_TRANSFER, next->node_id).status,
			CLIENT_ADMIN_FAILED);
	assert_int_equal(
		ask(w, leader, 2, DECREE_ADMIN_TRANSFER, 6 - leader->node_id - next->node_id)
			.status,
		CLIENT_ADMIN_PENDING);
	world_free(w);
}

static void
test_an_unknown_operation_is_told_so(void **state)
{
	struct world *w = world_new(1);
	struct world_node *leader = world_elect(w);

	(void)state;
	assert_int_equal(ask(w, leader, 1, 4711, 0).status, CLIENT_ADMIN_UNKNOWN);
	world_free(w);
}

/* One of three is removed: pending until a quorum of the others knows on disk, then done as often
 * as one asks. */
static void
test_a_member_is_removed_and_the_list_says_so(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct world_node *leaving = world_follower(w);
	struct answer answer;

	(void)state;
	answer = ask(w, leader, 1, DECREE_ADMIN_MEMBER_LIST, 0);
	assert_int_equal(answer.status, CLIENT_ADMIN_DONE);
	assert_string_equal(answer.text, "epoch 1, q1 2, q2 2: 1 2 3");
	assert_int_equal(
		ask(w, leader, 2, DECREE_ADMIN_MEMBER_REMOVE, 9).status, CLIENT_ADMIN_REFUSED);
	assert_int_equal(ask(w, leader, 3, DECREE_ADMIN_MEMBER_REMOVE, leaving->node_id).status,
		CLIENT_ADMIN_PENDING);
	world_run(w, 2000000000);
	assert_int_equal(ask(w, leader, 3, DECREE_ADMIN_MEMBER_REMOVE, leaving->node_id).status,
		CLIENT_ADMIN_DONE);
	assert_int_equal(shard_stop_reason(leaving->shard, NULL), SHARD_STOPPED_HALT);
	answer = ask(w, leader, 4, DECREE_ADMIN_MEMBER_LIST, 0);
	assert_memory_equal(answer.text, "epoch 2, q1 2, q2 2:", 20);
	world_free(w);
}

static void
test_a_node_without_a_disk_is_not_added(void **state)
{
	struct world *w = world_new(1);
	struct world_node *leader = world_elect(w);

	(void)state;
	assert_int_equal(
		ask(w, leader, 1, DECREE_ADMIN_MEMBER_ADD, 4).status, CLIENT_ADMIN_REFUSED);
	assert_int_equal(ask(w, leader, 2, DECREE_ADMIN_MEMBER_ADD, 1).status,
		CLIENT_ADMIN_REFUSED); /* an id that is in use, with another disk */
	assert_int_equal(ask(w, leader, 3, DECREE_ADMIN_MEMBER_REMOVE, 1).status,
		CLIENT_ADMIN_REFUSED); /* the last one */
	world_free(w);
}

/* Nobody could send it anything: it would be a learner for ever. */
static void
test_a_node_that_is_in_no_file_is_not_added(void **state)
{
	struct world *w = world_new(3);
	struct world_node *leader = world_elect(w);
	struct answer answer;

	(void)state;
	answer = ask_for_disk(w, leader, 1, DECREE_ADMIN_MEMBER_ADD, 4, 77);
	assert_int_equal(answer.status, CLIENT_ADMIN_REFUSED);
	assert_non_null(strstr(answer.text, "[node 4]"));
	assert_string_equal(
		ask(w, leader, 2, DECREE_ADMIN_MEMBER_LIST, 0).text, "epoch 1, q1 2, q2 2: 1 2 3");
	world_free(w);
}

/* Three found the cluster, and the fourth, of which all files know, may come one day. */
static void
fourth_joins(struct world_node *n)
{
	n->eng.members[3].role = ENG_LEARNER;
	n->eng.q1 = n->eng.q2 = 2;
	n->eng.joins = n->node_id == 4;
}

/* Its machine never comes up. Who it is can be seen, leadership can be handed over, and it can be
 * removed. */
static void
test_a_learner_that_never_comes_holds_up_nothing(void **state)
{
	struct world *w;
	struct world_node *leader, *next;

	(void)state;
	world_tune = fourth_joins;
	w = world_new(4);
	world_tune = NULL;
	w->nodes[3].is_down = true;
	leader = world_elect(w);
	next = world_follower(w);
	assert_int_equal(ask_for_disk(w, leader, 1, DECREE_ADMIN_MEMBER_ADD, 4, 77).status,
		CLIENT_ADMIN_PENDING);
	world_run(w, 2000000000);
	assert_int_equal(ask_for_disk(w, leader, 1, DECREE_ADMIN_MEMBER_ADD, 4, 77).status,
		CLIENT_ADMIN_PENDING);
	assert_non_null(
		strstr(ask(w, leader, 2, DECREE_ADMIN_MEMBER_LIST, 0).text, " 4 (learner, "));
	assert_int_equal(ask(w, leader, 3, DECREE_ADMIN_TRANSFER, next->node_id).status,
		CLIENT_ADMIN_PENDING);
	world_run(w, 2000000000);
	leader = next;
	assert_int_equal(ask_for_disk(w, leader, 1, DECREE_ADMIN_MEMBER_ADD, 4, 77).status,
		CLIENT_ADMIN_PENDING);
	assert_int_equal(
		ask(w, leader, 4, DECREE_ADMIN_MEMBER_REMOVE, 4).status, CLIENT_ADMIN_PENDING);
	world_run(w, 2000000000);
	assert_int_equal(
		ask(w, leader, 4, DECREE_ADMIN_MEMBER_REMOVE, 4).status, CLIENT_ADMIN_DONE);
	/* Who asked for it first is not told that it goes on. */
	assert_int_equal(ask_for_disk(w, leader, 1, DECREE_ADMIN_MEMBER_ADD, 4, 77).status,
		CLIENT_ADMIN_REFUSED);
	world_free(w);
}

/* Without hooks in its state machine a node cannot cut, and does not pretend to be at it. */
static void
test_a_snapshot_of_a_machine_without_hooks_is_refused(void **state)
{
	struct world *w = world_new(1);
	struct world_node *leader = world_elect(w);

	(void)state;
	assert_int_equal(ask(w, leader, 1, DECREE_ADMIN_SNAPSHOT, 0).status, CLIENT_ADMIN_REFUSED);
	world_free(w);
}

static uint32_t node_request_op;

static enum client_admin_status
on_node_request(
	void *context, uint64_t token, uint32_t op, const uint8_t *arguments, char *ret_text)
{
	(void)context;
	(void)arguments;
	node_request_op = op;
	strcpy(ret_text, "well");
	return token == 5 ? CLIENT_ADMIN_PENDING : CLIENT_ADMIN_DONE;
}

static void
tune(struct world_node *n)
{
	n->config.on_node_request = on_node_request;
}

/* A capture is of a node: whoever leads, and whatever the group is busy with for however long. */
static void
test_a_request_of_the_node_and_a_job_of_the_group_do_not_wait_for_each_other(void **state)
{
	struct world *w;
	struct world_node *leader, *next;
	struct answer answer;

	(void)state;
	world_tune = tune;
	w = world_new(3);
	leader = world_elect(w);
	next = world_follower(w);
	answer = ask(w, next, 5, DECREE_ADMIN_CAPTURE, 0);
	assert_int_equal(answer.status, CLIENT_ADMIN_PENDING);
	assert_int_equal(node_request_op, DECREE_ADMIN_CAPTURE);
	assert_int_equal(ask(w, leader, 5, DECREE_ADMIN_CAPTURE, 0).status, CLIENT_ADMIN_PENDING);
	assert_int_equal(ask(w, leader, 6, DECREE_ADMIN_TRANSFER, next->node_id).status,
		CLIENT_ADMIN_PENDING);
	assert_int_equal(ask(w, leader, 7, DECREE_ADMIN_CAPTURE_STOP, 0).status, CLIENT_ADMIN_DONE);
	world_run(w, 20000000);
	assert_int_equal(
		ask(w, leader, 6, DECREE_ADMIN_TRANSFER, next->node_id).status, CLIENT_ADMIN_DONE);
	world_tune = NULL;
	world_free(w);
}

static void
test_a_node_that_cannot_capture_says_so(void **state)
{
	struct world *w = world_new(1);
	struct world_node *leader = world_elect(w);

	(void)state;
	assert_int_equal(ask(w, leader, 1, DECREE_ADMIN_CAPTURE, 0).status, CLIENT_ADMIN_REFUSED);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_transfer_is_pending_and_then_done),
		cmocka_unit_test(test_a_follower_names_the_leader),
		cmocka_unit_test(test_a_transfer_that_cannot_be_is_refused_and_another_may_follow),
		cmocka_unit_test(test_a_transfer_in_vain_fails),
		cmocka_unit_test(test_an_unknown_operation_is_told_so),
		cmocka_unit_test(test_a_member_is_removed_and_the_list_says_so),
		cmocka_unit_test(test_a_node_without_a_disk_is_not_added),
		cmocka_unit_test(test_a_node_that_is_in_no_file_is_not_added),
		cmocka_unit_test(test_a_learner_that_never_comes_holds_up_nothing),
		cmocka_unit_test(test_a_snapshot_of_a_machine_without_hooks_is_refused),
		cmocka_unit_test(
			test_a_request_of_the_node_and_a_job_of_the_group_do_not_wait_for_each_other),
		cmocka_unit_test(test_a_node_that_cannot_capture_says_so),
	};

	return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
