/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads between clients and nodes: what is written is read back, what is malformed is
 * refused. */
#include "engine/runtime/client_msg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t frame[1472];

static int
decode(uint32_t bytes, struct client_msg *ret)
{
	return client_msg_decode(frame, bytes, ret);
}

static uint32_t
write_two_commands(void)
{
	const uint8_t token[16] = "0123456789abcdef";
	struct client_writer w;

	client_commands_begin(&w, frame, sizeof(frame), 3);
	assert_true(client_commands_add(&w, &(struct eng_command){ .body = token, .bytes = 16 }));
	assert_true(client_commands_add(
		&w, &(struct eng_command){
			    .session = { 65536 }, .seq = 9, .body = token, .bytes = 5 }));
	return client_writer_finish(&w);
}

static void
test_commands_come_back_in_order(void **state)
{
	uint32_t bytes = write_two_commands();
	struct eng_command command;
	struct client_msg m;
	uint32_t cursor = 0;

	(void)state;
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.type, CLIENT_MSG_COMMANDS);
	assert_int_equal(m.group, 3);
	assert_int_equal(m.count, 2);
	assert_true(client_command_next(&m, &cursor, &command));
	assert_int_equal(command.session.n, 0);
	assert_true(client_command_next(&m, &cursor, &command));
	assert_int_equal(command.session.n, 65536);
	assert_int_equal(command.seq, 9);
	assert_int_equal(command.bytes, 5);
	assert_memory_equal(command.body, "01234", 5);
	assert_false(client_command_next(&m, &cursor, &command));
}

/* An empty line is a command too. */
static void
test_an_empty_body_is_a_command(void **state)
{
	struct client_writer w;
	struct client_msg m;

	(void)state;
	client_commands_begin(&w, frame, sizeof(frame), 0);
	assert_true(client_commands_add(&w, &(struct eng_command){ .session = { 1 }, .seq = 1 }));
	assert_int_equal(decode(client_writer_finish(&w), &m), 0);
}

static void
test_every_shorter_and_longer_payload_is_refused(void **state)
{
	uint32_t bytes = write_two_commands();
	struct client_msg m;

	(void)state;
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(decode(i, &m), -EBADMSG);
	assert_int_equal(decode(bytes + 1, &m), -EBADMSG);
}

/* A length near 2^32 must not wrap around the check. */
static void
test_a_huge_body_length_is_refused(void **state)
{
	uint32_t bytes = write_two_commands();
	struct client_msg m;

	(void)state;
	memset(frame + CLIENT_MSG_HEADER_BYTES + 16, 0xff, 4);
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

static void
test_a_full_frame_takes_no_further_command(void **state)
{
	struct eng_command command = { .session = { 1 }, .seq = 1, .body = frame, .bytes = 64 };
	uint8_t out[256];
	struct client_writer w;
	uint32_t count = 0;

	(void)state;
	client_commands_begin(&w, out, sizeof(out), 0);
	while (client_commands_add(&w, &command))
		count++;
	assert_int_equal(count, (256 - CLIENT_MSG_HEADER_BYTES) / (CLIENT_COMMAND_BYTES + 64));
	assert_true(client_writer_finish(&w) <= sizeof(out));
}

static void
test_a_registration_without_a_token_is_refused(void **state)
{
	struct client_msg m;
	uint32_t bytes = write_two_commands();

	(void)state;
	frame[CLIENT_MSG_HEADER_BYTES + 8] = 1; /* seq of the registration */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

static void
test_a_group_beyond_the_limit_is_refused(void **state)
{
	struct client_msg m;
	uint32_t bytes = write_two_commands();

	(void)state;
	frame[2] = DECREE_GROUP_COUNT_MAX;
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

static void
test_replies_carry_answers_and_tokens(void **state)
{
	const struct client_reply answer = { .kind = CLIENT_REPLY_APPLIED,
		.status = 7,
		.session = { 12 },
		.seq = 99,
		.result = UINT64_MAX };
	struct client_reply registered = { .kind = CLIENT_REPLY_REGISTERED, .session = { 13 } };
	struct client_reply got;
	struct client_writer w;
	struct client_msg m;
	uint32_t cursor = 0;

	(void)state;
	memset(registered.token, 0xab, sizeof(registered.token));
	client_replies_begin(&w, frame, sizeof(frame), 1, 2);
	assert_true(client_replies_add(&w, &answer));
	assert_true(client_replies_add(&w, &registered));
	assert_int_equal(decode(client_writer_finish(&w), &m), 0);
	assert_int_equal(m.node_id, 2);
	assert_true(client_reply_next(&m, &cursor, &got));
	assert_int_equal(got.status, 7);
	assert_int_equal(got.seq, 99);
	assert_true(got.result == UINT64_MAX);
	assert_true(client_reply_next(&m, &cursor, &got));
	assert_int_equal(got.session.n, 13);
	assert_memory_equal(got.token, registered.token, 16);
	assert_false(client_reply_next(&m, &cursor, &got));
}

static void
test_an_unknown_reply_kind_is_refused(void **state)
{
	struct client_writer w;
	struct client_msg m;
	uint32_t bytes;

	(void)state;
	client_replies_begin(&w, frame, sizeof(frame), 1, 2);
	assert_true(client_replies_add(&w, &(struct client_reply){ .kind = CLIENT_REPLY_GAP }));
	bytes = client_writer_finish(&w);
	frame[CLIENT_MSG_HEADER_BYTES] = CLIENT_REPLY_KIND_AFTER;
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

static struct decree_status
some_status(void)
{
	struct decree_status s = { .node_id = 3,
		.group = 1,
		.role = DECREE_LEADER,
		.ready = true,
		.leader = 3,
		.ballot = { 1 << 16 | 3 },
		.chosen = { 100 },
		.applied = { 99 },
		.digest = { 1, 2 },
		.applied_count = 5000,
		.log_mode = DECREE_LOG_BUFFERED,
		.auth = true,
		.idle = DECREE_IDLE_YIELD,
		.log_bytes_used = 1,
		.log_bytes = 1 << 30,
		.boot_count = 4,
		.uptime_ns = 5,
		.start_to_ready_ns = 6,
		.memory_bytes = 7,
		.frames_received = 8,
		.frames_sent = 9,
		.frames_dropped = 10,
		.messages_dropped = 11,
		.elections = 12,
		.has_lease = true,
		.lease_ns = 14,
		.reads = 15,
		.lease_reads = 16,
		.read_rounds = 17,
		.agreed = { 77 },
		.session_evicted_count = 78,
		.low = { 61 },
		.snapshot = { 60 },
		.snapshot_bytes = 1 << 20,
		.snapshot_unix_s = 1700000000,
		.snapshot_space_low = true,
		.snapshot_damaged = true,
		.log_damaged = 79,
		.log_rewritten = 80,
		.log_scrub_count = 81,
		.version = 4,
		.version_min = 3,
		.version_max = 255,
		.session_count = 13,
		.epoch = 70000,
		.is_changing = true,
		.q1 = 3,
		.q2 = 2,
		.kind = DECREE_LEARNER,
		.member_count = 2,
		.members = { { 1, DECREE_VOTER }, { 65535, DECREE_LEARNER } },
		.peer_count = 2 };

	s.peers[0] = (struct decree_peer_row){ 1, true, 1000, { 98 } };
	s.peers[1] = (struct decree_peer_row){ 2, false, UINT64_MAX, { 0 } };
	return s;
}

static void
test_a_status_comes_back_whole(void **state)
{
	const struct decree_status want = some_status();
	struct client_msg m = { .type = CLIENT_MSG_STATUS_REPLY,
		.group = 1,
		.node_id = 3,
		.status_reply = { .token = 77, .status = want } };
	const struct decree_status *got = &m.status_reply.status;
	uint32_t bytes = client_msg_encode(&m, frame, sizeof(frame));

	(void)state;
	memset(&m, 0, sizeof(m));
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.status_reply.token, 77);
	assert_int_equal(got->node_id, 3);
	assert_int_equal(got->group, 1);
	assert_int_equal(got->role, want.role);
	assert_true(got->ready && got->auth && !got->log_full);
	assert_int_equal(got->leader, 3);
	assert_int_equal(got->agreed.n, 77);
	assert_int_equal(got->session_evicted_count, 78);
	assert_int_equal(got->ballot.n, want.ballot.n);
	assert_int_equal(got->chosen.n, 100);
	assert_int_equal(got->applied.n, 99);
	assert_int_equal(got->digest.hi, 2);
	assert_int_equal(got->applied_count, 5000);
	assert_int_equal(got->log_mode, want.log_mode);
	assert_int_equal(got->idle, want.idle);
	assert_int_equal(got->log_bytes, 1 << 30);
	assert_int_equal(got->memory_bytes, 7);
	assert_int_equal(got->elections, 12);
	assert_true(got->has_lease);
	assert_int_equal(got->lease_ns, 14);
	assert_int_equal(got->reads, 15);
	assert_int_equal(got->lease_reads, 16);
	assert_int_equal(got->read_rounds, 17);
	assert_int_equal(got->session_count, 13);
	assert_int_equal(got->low.n, 61);
	assert_int_equal(got->snapshot.n, 60);
	assert_int_equal(got->snapshot_bytes, 1 << 20);
	assert_int_equal(got->snapshot_unix_s, 1700000000);
	assert_true(got->snapshot_space_low);
	assert_true(got->snapshot_damaged && !got->log_doubtful);
	assert_int_equal(got->log_damaged, 79);
	assert_int_equal(got->log_rewritten, 80);
	assert_int_equal(got->log_scrub_count, 81);
	assert_int_equal(got->version, 4);
	assert_int_equal(got->version_min, 3);
	assert_int_equal(got->version_max, 255);
	assert_int_equal(got->epoch, 70000);
	assert_true(got->is_changing);
	assert_int_equal(got->q1, 3);
	assert_int_equal(got->q2, 2);
	assert_int_equal(got->kind, DECREE_LEARNER);
	assert_int_equal(got->member_count, 2);
	assert_int_equal(got->members[0].node_id, 1);
	assert_int_equal(got->members[0].kind, DECREE_VOTER);
	assert_int_equal(got->members[1].node_id, 65535);
	assert_int_equal(got->members[1].kind, DECREE_LEARNER);
	assert_int_equal(got->peer_count, 2);
	assert_int_equal(got->peers[0].commit.n, 98);
	assert_true(got->peers[0].session_up && !got->peers[1].session_up);
	assert_true(got->peers[1].echo_age_ns == UINT64_MAX);
}

/* As large as it can be, it fits where a reply is written. */
static void
test_a_status_of_the_largest_cluster_comes_back(void **state)
{
	struct client_msg m = { .type = CLIENT_MSG_STATUS_REPLY, .node_id = 3 };
	struct decree_status *s = &m.status_reply.status;
	uint32_t bytes;

	(void)state;
	*s = some_status();
	s->peer_count = DECREE_NODE_COUNT_MAX;
	s->member_count = DECREE_MEMBER_COUNT_MAX;
	for (uint16_t i = 0; i < DECREE_MEMBER_COUNT_MAX; i++)
		s->members[i] = (struct decree_member_row){ (uint16_t)(i + 1), DECREE_VOTER };
	bytes = client_msg_encode(&m, frame, CLIENT_MSG_FIXED_BYTES_MAX);
	assert_true(bytes <= CLIENT_MSG_FIXED_BYTES_MAX);
	memset(&m, 0, sizeof(m));
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(s->peer_count, DECREE_NODE_COUNT_MAX);
	assert_int_equal(s->members[DECREE_MEMBER_COUNT_MAX - 1].node_id, DECREE_MEMBER_COUNT_MAX);
}

static void
test_a_malformed_status_is_refused(void **state)
{
	/* More members than there can be; a kind of node, a kind of member, a flag and a byte that
	 * there is not. */
	const struct {
		uint32_t at;
		uint8_t value;
	} wrong[] = { { 22, DECREE_MEMBER_COUNT_MAX + 1 }, { 22, 1 }, { 22, 3 }, { 25, 3 },
		{ 26, 2 }, { 274, 1 }, { 288 + 2 * 24 + 2, 0 }, { 288 + 2 * 24 + 2, 3 },
		{ 288 + 2 * 24 + 7, 1 } };
	struct client_msg m = { .type = CLIENT_MSG_STATUS_REPLY, .node_id = 3 };
	uint32_t bytes;

	(void)state;
	m.status_reply.status = some_status();
	bytes = client_msg_encode(&m, frame, sizeof(frame));
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(decode(i, &m), -EBADMSG);
	for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t right = frame[wrong[i].at];

		frame[wrong[i].at] = wrong[i].value;
		assert_int_equal(decode(bytes, &m), -EBADMSG);
		frame[wrong[i].at] = right;
	}
	assert_int_equal(decode(bytes, &m), 0);
}

static void
test_log_entries_come_back_with_the_place_to_continue(void **state)
{
	const struct decree_log_entry entry = { .slot = { 5 },
		.index = 3,
		.session = { 65537 },
		.seq = 8,
		.bytes = 64,
		.executed = true,
		.digest = { 3, 4 } };
	struct decree_log_entry got;
	struct client_writer w;
	struct client_msg m;
	uint32_t cursor = 0;

	(void)state;
	client_log_reply_begin(&w, frame, sizeof(frame), 0, 2, 42);
	assert_true(client_log_reply_add(&w, &entry));
	assert_int_equal(decode(client_log_reply_finish(&w, (struct decree_slot){ 9 },
					(struct decree_slot){ 5 }, 4),
				 &m),
		0);
	assert_int_equal(m.log_reply.token, 42);
	assert_int_equal(m.log_reply.applied.n, 9);
	assert_int_equal(m.log_reply.next.n, 5);
	assert_int_equal(m.log_reply.next_index, 4);
	assert_true(client_log_entry_next(&m, &cursor, &got));
	assert_int_equal(got.index, 3);
	assert_int_equal(got.seq, 8);
	assert_int_equal(got.bytes, 64);
	assert_true(got.executed);
	assert_int_equal(got.digest.hi, 4);
	assert_false(client_log_entry_next(&m, &cursor, &got));
}

static void
test_a_fragment_beyond_its_command_is_refused(void **state)
{
	struct client_msg m = { .type = CLIENT_MSG_COMMAND_FRAGMENT,
		.fragment = { .session = { 1 },
			.seq = 1,
			.total_bytes = 100,
			.offset_bytes = 90,
			.bytes = (const uint8_t *)"0123456789",
			.count = 10 } };
	uint32_t bytes = client_msg_encode(&m, frame, sizeof(frame));

	(void)state;
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.fragment.offset_bytes, 90);
	assert_memory_equal(m.fragment.bytes, "0123456789", 10);
	frame[28] = 91;
	assert_int_equal(decode(bytes, &m), -EBADMSG);
	memset(frame + 28, 0xff, 4);
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

static void
test_a_log_request_for_nothing_is_refused(void **state)
{
	struct client_msg m = { .type = CLIENT_MSG_LOG_REQUEST,
		.log_request = { .token = 1, .first = { 7 }, .first_index = 2, .slot_count = 64 } };
	uint32_t bytes = client_msg_encode(&m, frame, sizeof(frame));

	(void)state;
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.log_request.first.n, 7);
	assert_int_equal(m.log_request.first_index, 2);
	frame[24] = 0; /* slot_count */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
	frame[24] = 1;
	frame[16] = 0; /* first */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

/* Core messages share the frames: none of their types may pass for one of these. */
static void
test_types_of_core_messages_are_refused(void **state)
{
	struct client_msg m = { .type = CLIENT_MSG_STATUS_REQUEST };
	uint32_t bytes = client_msg_encode(&m, frame, sizeof(frame));

	(void)state;
	for (uint32_t type = 0; type < 256; type++) {
		frame[0] = (uint8_t)type;
		if (type < CLIENT_MSG_COMMANDS || type >= CLIENT_MSG_TYPE_AFTER) {
			assert_false(is_client_msg(frame, bytes));
			assert_int_equal(decode(bytes, &m), -EBADMSG);
		}
	}
}

static uint32_t
write_admin_reply(enum client_admin_status status, uint16_t leader)
{
	struct client_msg m = { .type = CLIENT_MSG_ADMIN_REPLY,
		.node_id = 2,
		.admin_reply = { 7, status, leader, (const uint8_t *)"node 2 does not lead", 20 } };

	return client_msg_encode(&m, frame, sizeof(frame));
}

static uint32_t
write_admin_request(void)
{
	static const uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES] = { 2 };
	struct client_msg m = { .type = CLIENT_MSG_ADMIN_REQUEST,
		.admin_request = { 7, DECREE_ADMIN_TRANSFER, arguments } };

	return client_msg_encode(&m, frame, sizeof(frame));
}

static void
test_admin_messages_come_back_whole_and_damaged_ones_are_refused(void **state)
{
	uint32_t bytes = write_admin_request();
	struct client_msg m;

	(void)state;
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.admin_request.token, 7);
	assert_int_equal(m.admin_request.op, DECREE_ADMIN_TRANSFER);
	assert_int_equal(m.admin_request.arguments[0], 2);
	assert_int_equal(decode(bytes - 1, &m), -EBADMSG);
	frame[8] = 0; /* no token */
	assert_int_equal(decode(bytes, &m), -EBADMSG);

	bytes = write_admin_reply(CLIENT_ADMIN_NOT_LEADER, 3);
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.admin_reply.leader, 3);
	assert_int_equal(m.admin_reply.text_bytes, 20);
	assert_int_equal(decode(bytes - 1, &m), -EBADMSG);
	frame[20] = 201; /* a longer text than there may be */
	assert_int_equal(decode(24 + 201, &m), -EBADMSG);
	bytes = write_admin_reply(CLIENT_ADMIN_DONE, 3); /* only NOT_LEADER names one */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
	bytes = write_admin_reply(CLIENT_ADMIN_DONE, 0);
	frame[16] = CLIENT_ADMIN_STATUS_AFTER;
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

static uint32_t
write_read_request(enum decree_consistency consistency, uint32_t bytes)
{
	static const uint8_t query[DECREE_QUERY_BYTES_MAX] = "count";
	struct client_msg m = { .type = CLIENT_MSG_READ_REQUEST,
		.read_request = { 7, consistency, query, bytes } };

	return client_msg_encode(&m, frame, sizeof(frame));
}

static uint32_t
write_read_reply(enum client_read_status status, uint16_t error, uint32_t bytes)
{
	static const uint8_t answer[DECREE_ANSWER_BYTES_MAX] = "42";
	struct client_msg m = { .type = CLIENT_MSG_READ_REPLY,
		.node_id = 2,
		.read_reply = { 7, status, error, { 9 }, answer, bytes } };

	return client_msg_encode(&m, frame, sizeof(frame));
}

static void
test_reads_come_back_whole_and_damaged_ones_are_refused(void **state)
{
	uint32_t bytes = write_read_request(DECREE_STALE, 5);
	struct client_msg m;

	(void)state;
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.read_request.token, 7);
	assert_int_equal(m.read_request.consistency, DECREE_STALE);
	assert_int_equal(m.read_request.bytes, 5);
	assert_memory_equal(m.read_request.query, "count", 5);
	assert_int_equal(decode(CLIENT_READ_REQUEST_BYTES - 1, &m), -EBADMSG);
	frame[17] = 1; /* filler */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
	(void)write_read_request(DECREE_STALE, 0);
	frame[16] = DECREE_STALE + 1;
	assert_int_equal(decode(CLIENT_READ_REQUEST_BYTES, &m), -EBADMSG);
	bytes = write_read_request(DECREE_LEASE, DECREE_QUERY_BYTES_MAX);
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(decode(bytes + 1, &m), -EBADMSG);

	bytes = write_read_reply(CLIENT_READ_ANSWERED, 0, 2);
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.node_id, 2);
	assert_int_equal(m.read_reply.applied.n, 9);
	assert_int_equal(m.read_reply.bytes, 2);
	assert_memory_equal(m.read_reply.answer, "42", 2);
	frame[24] = CLIENT_READ_BUSY; /* has no answer */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
	bytes = write_read_reply(CLIENT_READ_ANSWERED, 0, DECREE_ANSWER_BYTES_MAX);
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(decode(bytes + 1, &m), -EBADMSG);
	bytes = write_read_reply(CLIENT_READ_FAILED, EINVAL, 0);
	assert_int_equal(decode(bytes, &m), 0);
	assert_int_equal(m.read_reply.error, EINVAL);
	frame[24] = CLIENT_READ_STATUS_AFTER;
	assert_int_equal(decode(bytes, &m), -EBADMSG);
	frame[24] = CLIENT_READ_NOT_SUPPORTED; /* only FAILED has an errno */
	assert_int_equal(decode(bytes, &m), -EBADMSG);
}

/* `test_client_msg --corpus DIR` writes one valid payload of each type: the seeds of the fuzzer. */
static void
write_seed(const char *dir, const char *name, uint32_t bytes)
{
	char path[512];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(frame, 1, bytes, file) != bytes || fclose(file) != 0)
		exit(1);
}

static int
write_corpus(const char *dir)
{
	struct client_msg m = { .type = CLIENT_MSG_STATUS_REPLY, .group = 1, .node_id = 3 };
	struct client_writer w;

	write_seed(dir, "commands", write_two_commands());
	m.status_reply.status = some_status();
	write_seed(dir, "status_reply", client_msg_encode(&m, frame, sizeof(frame)));
	m = (struct client_msg){ .type = CLIENT_MSG_STATUS_REQUEST };
	write_seed(dir, "status_request", client_msg_encode(&m, frame, sizeof(frame)));
	m = (struct client_msg){
		.type = CLIENT_MSG_REDIRECT, .node_id = 2, .redirect = { CLIENT_REDIRECT_BUSY, 500 }
	};
	write_seed(dir, "redirect", client_msg_encode(&m, frame, sizeof(frame)));
	m = (struct client_msg){ .type = CLIENT_MSG_LOG_REQUEST,
		.log_request = { 1, { 1 }, 0, 64 } };
	write_seed(dir, "log_request", client_msg_encode(&m, frame, sizeof(frame)));
	m = (struct client_msg){ .type = CLIENT_MSG_COMMAND_FRAGMENT,
		.fragment = { { 1 }, 1, 20, 4, { 5, 6 }, (const uint8_t *)"piece", 5 } };
	write_seed(dir, "fragment", client_msg_encode(&m, frame, sizeof(frame)));
	m = (struct client_msg){ .type = CLIENT_MSG_METRICS_REQUEST };
	write_seed(dir, "metrics_request", client_msg_encode(&m, frame, sizeof(frame)));
	write_seed(dir, "metrics_reply",
		client_metrics_encode(&(struct decree_metrics){ .node_id = 3, .peer_count = 2 }, 7,
			frame, sizeof(frame)));
	write_seed(dir, "admin_request", write_admin_request());
	write_seed(dir, "admin_reply", write_admin_reply(CLIENT_ADMIN_NOT_LEADER, 3));
	write_seed(dir, "read_request", write_read_request(DECREE_LEASE, 5));
	write_seed(dir, "read_reply", write_read_reply(CLIENT_READ_ANSWERED, 0, 2));
	client_replies_begin(&w, frame, sizeof(frame), 1, 2);
	(void)client_replies_add(
		&w, &(struct client_reply){ .kind = CLIENT_REPLY_GAP, .result = 4 });
	(void)client_replies_add(&w, &(struct client_reply){ .kind = CLIENT_REPLY_REGISTERED });
	write_seed(dir, "replies", client_writer_finish(&w));
	client_log_reply_begin(&w, frame, sizeof(frame), 0, 2, 42);
	(void)client_log_reply_add(
		&w, &(struct decree_log_entry){ .slot = { 5 }, .executed = true });
	write_seed(dir, "log_reply",
		client_log_reply_finish(
			&w, (struct decree_slot){ 9 }, (struct decree_slot){ 5 }, 1));
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_come_back_in_order),
		cmocka_unit_test(test_an_empty_body_is_a_command),
		cmocka_unit_test(test_every_shorter_and_longer_payload_is_refused),
		cmocka_unit_test(test_a_huge_body_length_is_refused),
		cmocka_unit_test(test_a_full_frame_takes_no_further_command),
		cmocka_unit_test(test_a_registration_without_a_token_is_refused),
		cmocka_unit_test(test_a_group_beyond_the_limit_is_refused),
		cmocka_unit_test(test_replies_carry_answers_and_tokens),
		cmocka_unit_test(test_an_unknown_reply_kind_is_refused),
		cmocka_unit_test(test_a_status_comes_back_whole),
		cmocka_unit_test(test_a_status_of_the_largest_cluster_comes_back),
		cmocka_unit_test(test_a_malformed_status_is_refused),
		cmocka_unit_test(test_log_entries_come_back_with_the_place_to_continue),
		cmocka_unit_test(test_a_fragment_beyond_its_command_is_refused),
		cmocka_unit_test(test_a_log_request_for_nothing_is_refused),
		cmocka_unit_test(test_types_of_core_messages_are_refused),
		cmocka_unit_test(test_admin_messages_come_back_whole_and_damaged_ones_are_refused),
		cmocka_unit_test(test_reads_come_back_whole_and_damaged_ones_are_refused),
	};

	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
