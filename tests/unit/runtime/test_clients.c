/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct world *w;
	struct world_node *leader;
	struct world_node *follower;
	struct decree_session session;
};

static const struct net_endpoint client = { .client = 5, .client_generation = 9 };
static const uint8_t token[DECREE_UUID_BYTES] = "a client's token";

static void
deliver_to_group(
	struct world *world, struct world_node *to, uint16_t group, const struct eng_command *c)
{
	uint8_t payload[WORLD_FRAME_BYTES];
	struct client_writer w;

	client_commands_begin(&w, payload, sizeof(payload), group);
	assert_true(client_commands_add(&w, c));
	world_deliver(world, to, client, payload, client_writer_finish(&w));
}

static void
deliver_command(struct fixture *f, struct world_node *to, struct decree_session session,
	uint64_t seq, const void *body, uint32_t bytes)
{
	struct eng_command c = { .session = session, .seq = seq, .body = body, .bytes = bytes };

	deliver_to_group(f->w, to, 0, &c);
}

/* The newest frame to the client. */
static struct client_msg
last_frame(struct fixture *f)
{
	const struct world_client_frame *frame;
	struct client_msg m;

	assert_true(f->w->client_frame_count > 0);
	frame = &f->w->client_frames[f->w->client_frame_count - 1];
	assert_int_equal(client_msg_decode(frame->payload, frame->bytes, &m), 0);
	assert_int_equal(frame->to.client, client.client);
	assert_int_equal(frame->to.client_generation, client.client_generation);
	return m;
}

static struct client_reply
only_reply(struct fixture *f)
{
	struct client_msg m = last_frame(f);
	struct client_reply reply;
	uint32_t cursor = 0;

	assert_int_equal(m.type, CLIENT_MSG_REPLIES);
	assert_int_equal(m.count, 1);
	assert_true(client_reply_next(&m, &cursor, &reply));
	return reply;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct client_reply reply;

	f->w = world_new(3);
	f->leader = world_elect(f->w);
	f->follower = world_follower(f->w);
	*state = f;
	deliver_command(f, f->leader, (struct decree_session){ 0 }, 0, token, sizeof(token));
	world_run(f->w, 10000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_REGISTERED);
	assert_memory_equal(reply.token, token, sizeof(token));
	f->session = reply.session;
	f->w->client_frame_count = 0;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	world_free(f->w);
	free(f);
	return 0;
}

static void
test_a_command_is_answered_when_it_is_applied(void **state)
{
	struct fixture *f = *state;
	struct client_reply reply;

	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].log.hold_records = true;
	deliver_command(f, f->leader, f->session, 1, "put", 3);
	world_run(f->w, 5000000);
	assert_int_equal(f->w->client_frame_count, 0);
	for (uint32_t i = 0; i < 3; i++)
		f->w->nodes[i].log.hold_records = false;
	world_run(f->w, 5000000);
	assert_int_equal(f->w->client_frame_count, 1);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_APPLIED);
	assert_int_equal(reply.session.n, f->session.n);
	assert_int_equal(reply.seq, 1);
	assert_int_equal(reply.result, 1);
}

/* protocol 14: nobody asks for anything any more, and yet its time comes. */
static void
test_a_parked_command_is_answered_when_its_deadline_comes(void **state)
{
	struct fixture *f = *state;
	struct client_reply reply;

	f->w->park_ns = 100000000;
	deliver_command(f, f->leader, f->session, 1, "reserve", 7);
	world_run(f->w, 90000000);
	f->w->client_frame_count = 0;
	world_run(f->w, 20000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_APPLIED);
	assert_int_equal(reply.seq, 1);
	assert_int_equal(reply.status, 9);
}

static void
test_many_commands_are_answered_in_few_frames(void **state)
{
	struct fixture *f = *state;
	uint32_t replies = 0;

	for (uint64_t seq = 1; seq <= 200; seq++)
		deliver_command(f, f->leader, f->session, seq, &seq, sizeof(seq));
	world_run(f->w, 20000000);
	for (uint32_t i = 0; i < f->w->client_frame_count; i++) {
		struct client_msg m;

		assert_int_equal(client_msg_decode(f->w->client_frames[i].payload,
					 f->w->client_frames[i].bytes, &m),
			0);
		replies += m.count;
	}
	assert_int_equal(replies, 200);
	assert_true(f->w->client_frame_count <= 20);
	assert_int_equal(f->leader->machine.count, 200);
}

/* protocol 7.5: the answer may have been lost; the command is not executed again. */
static void
test_a_repeated_command_gets_its_first_answer(void **state)
{
	struct fixture *f = *state;
	struct client_reply reply;

	deliver_command(f, f->leader, f->session, 1, "a", 1);
	deliver_command(f, f->leader, f->session, 2, "b", 1);
	world_run(f->w, 10000000);
	f->w->client_frame_count = 0;
	deliver_command(f, f->leader, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_APPLIED);
	assert_int_equal(reply.seq, 1);
	assert_int_equal(reply.result, 1);
	assert_int_equal(f->leader->machine.count, 2);
}

static void
test_a_gap_is_answered_with_the_last_known_number(void **state)
{
	struct fixture *f = *state;
	struct client_reply reply;

	deliver_command(f, f->leader, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	deliver_command(f, f->leader, f->session, 7, "g", 1);
	world_run(f->w, 10000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_GAP);
	assert_int_equal(reply.result, 1);
	assert_int_equal(f->leader->machine.count, 1);
}

/* A client that counts wrongly, or two that share a session: neither body is taken for the other. */
static void
test_a_number_with_another_body_is_a_mismatch(void **state)
{
	struct fixture *f = *state;
	struct client_reply reply;

	deliver_command(f, f->leader, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	deliver_command(f, f->leader, f->session, 1, "b", 1);
	world_run(f->w, 10000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_MISMATCH);
	assert_int_equal(reply.seq, 1);
	assert_int_equal(f->leader->machine.count, 1);
}

/* What is older than the kept answers was executed: it is neither executed again nor answered with
 * another's. */
static void
test_a_number_older_than_the_kept_answers_is_stale(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seq = 1; seq <= 1100; seq++) { /* 1,024 are kept */
		deliver_command(f, f->leader, f->session, seq, &seq, sizeof(seq));
		if (seq % 100 == 0)
			world_run(f->w, 20000000);
	}
	assert_int_equal(f->leader->machine.count, 1100);
	f->w->client_frame_count = 0;
	deliver_command(f, f->leader, f->session, 1, &(uint64_t){ 1 }, 8);
	world_run(f->w, 10000000);
	assert_int_equal(only_reply(f).kind, CLIENT_REPLY_STALE);
	assert_int_equal(f->leader->machine.count, 1100);
}

/* Its row went to others while it was silent: it is told so for every number, and under its old
 * token it gets a new session, in which nothing of the old one is known. */
static void
test_a_client_that_returns_after_eviction_is_told_so(void **state)
{
	struct fixture *f = *state;
	uint8_t other[DECREE_UUID_BYTES] = "another client's";

	deliver_command(f, f->leader, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	for (uint32_t i = 0; i < 200; i++) { /* 64 rows, idle for 32 slots */
		memcpy(other, &i, sizeof(i));
		deliver_command(
			f, f->leader, (struct decree_session){ 0 }, 0, other, sizeof(other));
		world_run(f->w, 5000000);
	}
	f->w->client_frame_count = 0;
	deliver_command(f, f->leader, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	assert_int_equal(only_reply(f).kind, CLIENT_REPLY_EVICTED);
	f->w->client_frame_count = 0;
	deliver_command(f, f->leader, f->session, 2, "b", 1);
	world_run(f->w, 10000000);
	assert_int_equal(only_reply(f).kind, CLIENT_REPLY_EVICTED);
	assert_int_equal(f->leader->machine.count, 1);
	f->w->client_frame_count = 0;
	deliver_command(f, f->leader, (struct decree_session){ 0 }, 0, token, sizeof(token));
	world_run(f->w, 10000000);
	assert_int_equal(only_reply(f).kind, CLIENT_REPLY_REGISTERED);
	assert_true(only_reply(f).session.n > f->session.n);
}

static void
test_an_unknown_session_is_told_so(void **state)
{
	struct fixture *f = *state;

	deliver_command(f, f->leader, (struct decree_session){ 12345678 }, 1, "a", 1);
	world_run(f->w, 10000000);
	assert_int_equal(only_reply(f).kind, CLIENT_REPLY_NO_SESSION);
}

static void
test_the_same_token_gives_the_same_session(void **state)
{
	struct fixture *f = *state;
	struct client_reply reply;

	deliver_command(f, f->leader, (struct decree_session){ 0 }, 0, token, sizeof(token));
	world_run(f->w, 10000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_REGISTERED);
	assert_int_equal(reply.session.n, f->session.n);
}

static void
test_a_follower_redirects_to_the_leader(void **state)
{
	struct fixture *f = *state;
	struct client_msg m;

	deliver_command(f, f->follower, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	m = last_frame(f);
	assert_int_equal(m.type, CLIENT_MSG_REDIRECT);
	assert_int_equal(m.redirect.reason, CLIENT_REDIRECT_NOT_LEADER);
	assert_int_equal(m.node_id, f->leader->node_id);
	assert_int_equal(f->leader->machine.count, 0);
}

/* A client moves to another address: its answers follow it. */
/* protocol 13.4: one session is known in group 0 alone. Group 1 does not execute its commands, and
 * a group that is nowhere is no other one. Nothing is taken on to the right group: that would be a
 * second way to it. */
static void
test_a_command_is_executed_in_its_own_group_or_not_at_all(void **state)
{
	struct world *w = world_new_groups(1, 2);
	struct world_node *n = world_elect(w);
	struct fixture f = { .w = w, .leader = n };
	struct eng_command c = { .body = token, .bytes = sizeof(token) };

	(void)state;
	world_run(w, 2000000000);
	deliver_to_group(w, n, 0, &c);
	world_run(w, 10000000);
	c = (struct eng_command){ .session = only_reply(&f).session,
		.seq = 1,
		.body = (const uint8_t *)"a",
		.bytes = 1 };
	w->client_frame_count = 0;
	deliver_to_group(w, n, 2, &c);
	world_run(w, 10000000);
	assert_int_equal(shard_counters(n->shard)->malformed, 1);
	assert_int_equal(w->client_frame_count, 0);
	deliver_to_group(w, n, 1, &c);
	world_run(w, 10000000);
	assert_int_equal(last_frame(&f).group, 1);
	assert_int_equal(only_reply(&f).kind, CLIENT_REPLY_NO_SESSION);
	assert_int_equal(n->machine.count, 0); /* of both groups */
	deliver_to_group(w, n, 0, &c);
	world_run(w, 10000000);
	assert_int_equal(only_reply(&f).kind, CLIENT_REPLY_APPLIED);
	assert_int_equal(n->machine.count, 1);
	world_free(w);
}

static void
test_answers_go_to_where_the_session_was_heard_last(void **state)
{
	struct fixture *f = *state;
	struct eng_command c = {
		.session = f->session, .seq = 1, .body = (const uint8_t *)"a", .bytes = 1
	};
	uint8_t payload[64];
	struct client_writer w;

	client_commands_begin(&w, payload, sizeof(payload), 0);
	assert_true(client_commands_add(&w, &c));
	world_deliver(f->w, f->leader,
		(struct net_endpoint){ .client = 77, .client_generation = 1 }, payload,
		client_writer_finish(&w));
	world_run(f->w, 10000000);
	assert_int_equal(f->w->client_frame_count, 1);
	assert_int_equal(f->w->client_frames[0].to.client, 77);
}

static void
deliver_piece(struct fixture *f, uint64_t seq, const uint8_t *body, uint32_t bytes, uint32_t at)
{
	uint8_t payload[WORLD_FRAME_BYTES];
	struct client_msg m = {
		.type = CLIENT_MSG_COMMAND_FRAGMENT,
		.fragment = { .session = f->session,
			.seq = seq,
			.total_bytes = bytes,
			.offset_bytes = at,
			.digest = base_digest(body, bytes),
			.bytes = body + at,
			.count = bytes - at < 1000 ? bytes - at : 1000 },
	};

	world_deliver(
		f->w, f->leader, client, payload, client_msg_encode(&m, payload, sizeof(payload)));
}

static void
deliver_fragments(
	struct fixture *f, uint64_t seq, const uint8_t *body, uint32_t bytes, uint32_t skip)
{
	struct client_msg m = {
		.type = CLIENT_MSG_COMMAND_FRAGMENT,
		.fragment = { .session = f->session, .seq = seq, .total_bytes = bytes },
	};

	m.fragment.digest = base_digest(body, bytes);
	for (uint32_t at = 0, i = 0; at < bytes; at += m.fragment.count, i++) {
		uint8_t payload[WORLD_FRAME_BYTES];

		m.fragment.offset_bytes = at;
		m.fragment.bytes = body + at;
		m.fragment.count = bytes - at < 1000 ? bytes - at : 1000;
		if (i == skip)
			continue;
		world_deliver(f->w, f->leader, client, payload,
			client_msg_encode(&m, payload, sizeof(payload)));
	}
}

static struct decree_session
register_session(struct fixture *f, uint32_t i)
{
	uint8_t name[DECREE_UUID_BYTES] = "session number ";
	struct client_reply reply;

	name[15] = (uint8_t)('a' + i);
	deliver_command(f, f->leader, (struct decree_session){ 0 }, 0, name, sizeof(name));
	world_run(f->w, 10000000);
	reply = only_reply(f);
	assert_int_equal(reply.kind, CLIENT_REPLY_REGISTERED);
	return reply.session;
}

/* Pieces of more commands than there are places arrive in turn: whoever has a place keeps it while
 * its pieces come, or none of them would ever be whole. */
static void
test_more_large_commands_than_places_do_not_push_each_other_out(void **state)
{
	struct fixture *f = *state;
	struct decree_session sessions[10];
	uint8_t body[3000];

	memset(body, 'x', sizeof(body));
	for (uint32_t i = 0; i < 10; i++)
		sessions[i] = register_session(f, i);
	for (uint32_t round = 0; round < 10 && f->leader->machine.count < 10; round++)
		for (uint32_t piece = 0; piece < 3; piece++)
			for (uint32_t i = 0; i < 10; i++) {
				f->session = sessions[i];
				deliver_piece(f, 1, body, sizeof(body), piece * 1000);
				world_run(f->w, 1000000);
			}
	assert_int_equal(f->leader->machine.count, 10);
}

static void
test_a_command_in_fragments_is_put_together_also_after_a_loss(void **state)
{
	struct fixture *f = *state;
	uint8_t body[5500];

	memset(body, 'x', sizeof(body));
	deliver_fragments(f, 1, body, sizeof(body), 2);
	world_run(f->w, 10000000);
	assert_int_equal(f->leader->machine.count, 0);
	deliver_fragments(f, 1, body, sizeof(body), UINT32_MAX);
	world_run(f->w, 10000000);
	assert_int_equal(f->leader->machine.count, 1);
	assert_int_equal(f->leader->machine.bytes, sizeof(body));
	assert_int_equal(only_reply(f).seq, 1);
}

static void
test_a_command_over_the_limit_is_told_so(void **state)
{
	struct fixture *f = *state;
	static uint8_t body[20000];

	deliver_fragments(f, 1, body, sizeof(body), UINT32_MAX);
	world_run(f->w, 10000000);
	assert_int_equal(only_reply(f).kind, CLIENT_REPLY_TOO_LARGE);
}

/* A flood of commands takes neither the node's frames nor its log away. */
static void
test_a_flood_of_clients_causes_no_leader_change(void **state)
{
	struct fixture *f = *state;
	struct decree_group_status before, after;
	uint8_t body[64] = { 0 };

	assert_int_equal(shard_group_status(f->leader->shard, 0, &before), 0);
	for (int turn = 0; turn < 20000; turn++) {
		for (int i = 0; i < 40; i++)
			deliver_command(f, f->leader, f->session, 1000000, body, sizeof(body));
		while (shard_turn(f->leader->shard, f->w->now_ns))
			f->w->client_frame_count = 0;
		world_turn(f->w);
		f->w->client_frame_count = 0;
	}
	assert_int_equal(shard_group_status(f->leader->shard, 0, &after), 0);
	assert_int_equal(after.ballot.n, before.ballot.n);
	assert_int_equal(after.role, DECREE_LEADER);
}

static void
test_status_tells_role_and_counts(void **state)
{
	struct fixture *f = *state;
	struct client_msg request = {
		.type = CLIENT_MSG_STATUS_REQUEST,
		.status_request = { .token = 99 },
	};
	uint8_t payload[CLIENT_MSG_FIXED_BYTES_MAX];
	struct client_msg m;

	deliver_command(f, f->leader, f->session, 1, "a", 1);
	world_run(f->w, 10000000);
	world_deliver(f->w, f->leader, client, payload,
		client_msg_encode(&request, payload, sizeof(payload)));
	world_run(f->w, 1000000);
	m = last_frame(f);
	assert_int_equal(m.type, CLIENT_MSG_STATUS_REPLY);
	assert_int_equal(m.status_reply.token, 99);
	assert_int_equal(m.status_reply.status.role, DECREE_LEADER);
	assert_true(m.status_reply.status.ready);
	assert_int_equal(m.status_reply.status.applied_count, 1);
	assert_int_equal(m.status_reply.status.session_count, 1);
	assert_int_equal(m.status_reply.status.session_evicted_count, 0);
	assert_int_equal(m.status_reply.status.peer_count, 2);
	assert_int_equal(m.status_reply.status.epoch, 1);
	assert_false(m.status_reply.status.is_changing);
	assert_int_equal(m.status_reply.status.q1, 2);
	assert_int_equal(m.status_reply.status.q2, 2);
	assert_int_equal(m.status_reply.status.kind, DECREE_VOTER);
	assert_int_equal(m.status_reply.status.member_count, 3);
	assert_int_equal(m.status_reply.status.members[2].node_id, 3);
	assert_int_equal(m.status_reply.status.members[2].kind, DECREE_VOTER);
	assert_int_equal(m.status_reply.status.boot_count, 1);
}

static uint32_t
read_log(struct fixture *f, struct decree_log_entry *entries, uint32_t count_max)
{
	struct client_msg request = {
		.type = CLIENT_MSG_LOG_REQUEST,
		.log_request = { .token = 1, .first = { 1 }, .slot_count = 1000 },
	};
	uint32_t count = 0;

	for (int i = 0; i < 1000; i++) {
		uint8_t payload[CLIENT_MSG_FIXED_BYTES_MAX];
		struct client_msg m;
		struct decree_log_entry entry;
		uint32_t cursor = 0;

		f->w->client_frame_count = 0;
		world_deliver(f->w, f->follower, client, payload,
			client_msg_encode(&request, payload, sizeof(payload)));
		world_run(f->w, 1000000);
		m = last_frame(f);
		assert_int_equal(m.type, CLIENT_MSG_LOG_REPLY);
		while (client_log_entry_next(&m, &cursor, &entry)) {
			assert_true(count < count_max);
			entries[count++] = entry;
		}
		request.log_request.first = m.log_reply.next;
		request.log_request.first_index = m.log_reply.next_index;
		if (m.log_reply.next.n > m.log_reply.applied.n)
			return count;
	}
	fail();
	return 0;
}

/* Every node can tell what it applied, skipped repeats included, however slots and frames divide
 * it. */
static void
test_the_log_lists_every_command_once_and_in_order(void **state)
{
	struct fixture *f = *state;
	static struct decree_log_entry entries[1024];
	uint32_t count, executed = 0;
	uint64_t seq = 0;
	static uint8_t large[4000];

	for (uint64_t i = 1; i <= 300; i++)
		deliver_command(f, f->leader, f->session, i, &i, sizeof(i));
	world_run(f->w, 20000000);
	deliver_fragments(f, 301, large, sizeof(large), UINT32_MAX);
	world_run(f->w, 20000000);
	count = read_log(f, entries, 1024);
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(entries[i].slot.n > entries[i - 1].slot.n ||
				    (entries[i].slot.n == entries[i - 1].slot.n &&
					    entries[i].index > entries[i - 1].index));
		if (entries[i].session.n != f->session.n || !entries[i].executed)
			continue;
		assert_int_equal(entries[i].seq, seq + 1);
		seq++;
		executed++;
	}
	assert_int_equal(executed, 301);
	assert_int_equal(entries[count - 1].bytes, sizeof(large));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_command_is_answered_when_it_is_applied),
		T(test_a_parked_command_is_answered_when_its_deadline_comes),
		T(test_many_commands_are_answered_in_few_frames),
		T(test_a_repeated_command_gets_its_first_answer),
		T(test_a_gap_is_answered_with_the_last_known_number),
		T(test_a_number_with_another_body_is_a_mismatch),
		T(test_a_number_older_than_the_kept_answers_is_stale),
		T(test_a_client_that_returns_after_eviction_is_told_so),
		T(test_an_unknown_session_is_told_so),
		T(test_the_same_token_gives_the_same_session),
		T(test_a_follower_redirects_to_the_leader),
		cmocka_unit_test(test_a_command_is_executed_in_its_own_group_or_not_at_all),
		T(test_answers_go_to_where_the_session_was_heard_last),
		T(test_a_command_in_fragments_is_put_together_also_after_a_loss),
		T(test_more_large_commands_than_places_do_not_push_each_other_out),
		T(test_a_command_over_the_limit_is_told_so),
		T(test_a_flood_of_clients_causes_no_leader_change),
		T(test_status_tells_role_and_counts),
		T(test_the_log_lists_every_command_once_and_in_order),
	};

	return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
