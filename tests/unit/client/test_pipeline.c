/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half of exactly-once, against a cluster of one sequence number and a network that loses,
 * repeats and reorders. Time is a number. */
#include "engine/client/pipeline.h"

#include "base/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS          UINT64_C(1000000)
#define FRAME_BYTES 512
#define SESSION     77

static struct pipeline_config
config(uint32_t in_flight_max)
{
	return (struct pipeline_config){ .in_flight_max = in_flight_max,
		.command_bytes_max = 4096,
		.frame_bytes = FRAME_BYTES,
		.node_count = 3,
		.nodes = { 1, 2, 3 },
		.token = "random token 16" };
}

struct fixture {
	struct pipeline p;
	uint64_t now_ns;
	uint8_t frame[FRAME_BYTES];
	struct client_msg sent; /* the last frame, decoded */
	uint16_t to;
};

static void
receive_written(struct fixture *f, uint16_t from, const uint8_t *bytes, uint32_t count)
{
	struct client_msg m;

	assert_int_equal(client_msg_decode(bytes, count, &m), 0);
	pipeline_receive(&f->p, f->now_ns, from, &m);
}

static void
receive_reply(struct fixture *f, uint16_t from, struct client_reply reply)
{
	uint8_t bytes[64];
	struct client_writer w;

	client_replies_begin(&w, bytes, sizeof(bytes), 0, from);
	assert_true(client_replies_add(&w, &reply));
	receive_written(f, from, bytes, client_writer_finish(&w));
}

static void
receive_answer(struct fixture *f, uint16_t from, uint64_t seq)
{
	receive_reply(f, from,
		(struct client_reply){ .kind = CLIENT_REPLY_APPLIED,
			.session = { SESSION },
			.seq = seq,
			.result = seq * 10 });
}

static void
receive_redirect(
	struct fixture *f, uint16_t from, uint16_t leader, enum client_redirect_reason reason)
{
	struct client_msg m = {
		.type = CLIENT_MSG_REDIRECT, .node_id = leader, .redirect = { reason, 1000 }
	};

	pipeline_receive(&f->p, f->now_ns, from, &m);
}

static bool
send_one(struct fixture *f)
{
	uint32_t count = pipeline_next_frame(&f->p, f->now_ns, f->frame, &f->to);

	if (count == 0)
		return false;
	assert_true(count <= FRAME_BYTES);
	assert_int_equal(client_msg_decode(f->frame, count, &f->sent), 0);
	return true;
}

static struct eng_command
first_sent(struct fixture *f)
{
	struct eng_command command = { 0 };
	uint32_t cursor = 0;

	assert_int_equal(f->sent.type, CLIENT_MSG_COMMANDS);
	assert_true(client_command_next(&f->sent, &cursor, &command));
	return command;
}

/* Time goes on until something is due. */
static void
wait(struct fixture *f, uint64_t ns)
{
	f->now_ns += ns;
	pipeline_tick(&f->p, f->now_ns);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct pipeline_config c = config(64);

	if (f == NULL || pipeline_open(&f->p, &c) != 0)
		return -1;
	f->p.is_session_wanted = true;
	f->now_ns = 1000 * MS;
	for (uint16_t node = 1; node <= 3; node++)
		pipeline_reachable(&f->p, node, true);
	*state = f;
	return 0;
}

static int
setup_registered(void **state)
{
	struct fixture *f;

	if (setup(state) != 0)
		return -1;
	f = *state;
	if (!send_one(f))
		return -1;
	receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_REGISTERED,
			.session = { SESSION },
			.token = "random token 16" });
	return f->p.session.n == SESSION ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	pipeline_close(&f->p);
	free(f);
	return 0;
}

static void
submit(struct fixture *f, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(pipeline_submit(&f->p, "command", 7, f), 0);
}

static uint32_t
take(struct fixture *f, struct decree_completion *ret)
{
	return pipeline_completions(&f->p, ret, 64);
}

/* Registration */

static void
test_commands_wait_for_the_registration(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	assert_true(send_one(f));
	assert_int_equal(first_sent(f).session.n, 0);
	assert_memory_equal(first_sent(f).body, "random token 16", 16);
	assert_false(send_one(f));
}

static void
test_a_lost_registration_is_repeated_with_the_same_token(void **state)
{
	struct fixture *f = *state;

	assert_true(send_one(f));
	wait(f, PIPELINE_RTO_NS);
	assert_true(send_one(f));
	assert_memory_equal(first_sent(f).body, "random token 16", 16);
}

static void
test_another_clients_registration_is_ignored(void **state)
{
	struct fixture *f = *state;

	assert_true(send_one(f));
	receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_REGISTERED,
			.session = { SESSION },
			.token = "someone else 16" });
	assert_int_equal(f->p.session.n, 0);
}

static void
test_a_full_session_table_refuses_what_waits(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	submit(f, 1);
	assert_true(send_one(f));
	receive_reply(f, 1,
		(struct client_reply){
			.kind = CLIENT_REPLY_TABLE_FULL, .token = "random token 16" });
	assert_int_equal(take(f, done), 1);
	assert_int_equal(done[0].outcome, DECREE_REFUSED);
	assert_false(send_one(f));
}

/* `decree status` must not fill the session table. */
static void
test_without_a_command_no_session_is_taken(void **state)
{
	struct fixture *f = *state;

	f->p.is_session_wanted = false;
	assert_false(send_one(f));
	wait(f, PIPELINE_RTO_NS);
	assert_false(send_one(f));
	assert_true(pipeline_wake_at(&f->p) == UINT64_MAX);
	submit(f, 1);
	assert_true(send_one(f));
}

/* The steady state */

static void
test_commands_share_frames_and_are_numbered_from_one(void **state)
{
	struct fixture *f = *state;
	uint32_t frames = 0;
	uint64_t seq = 0;

	submit(f, 40);
	while (send_one(f)) {
		struct eng_command command;
		uint32_t cursor = 0;

		frames++;
		while (client_command_next(&f->sent, &cursor, &command)) {
			assert_int_equal(command.seq, ++seq);
			assert_int_equal(command.session.n, SESSION);
		}
	}
	assert_int_equal(seq, 40);
	assert_int_equal(frames, (40 + 17) / 18); /* 18 of 27 bytes in 504 */
}

static void
test_an_answer_completes_its_command_once(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	submit(f, 2);
	assert_true(send_one(f));
	receive_answer(f, 1, 1);
	receive_answer(f, 1, 1);
	assert_int_equal(take(f, done), 1);
	assert_int_equal(done[0].seq, 1);
	assert_int_equal(done[0].outcome, DECREE_APPLIED);
	assert_int_equal(done[0].result, 10);
	assert_ptr_equal(done[0].cookie, f);
	receive_answer(f, 1, 1);
	assert_int_equal(take(f, done), 0);
}

static void
test_answers_to_what_was_never_sent_are_ignored(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	submit(f, 1);
	receive_answer(f, 1, 1);
	receive_answer(f, 1, 2);
	receive_answer(f, 1, UINT64_MAX);
	assert_int_equal(take(f, done), 0);
}

static void
test_a_full_pipeline_refuses_until_completions_are_taken(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	submit(f, 64);
	assert_int_equal(pipeline_submit(&f->p, "x", 1, NULL), -EAGAIN);
	while (send_one(f))
		;
	receive_answer(f, 1, 1);
	assert_int_equal(pipeline_submit(&f->p, "x", 1, NULL), -EAGAIN);
	assert_int_equal(take(f, done), 1);
	assert_int_equal(pipeline_submit(&f->p, "x", 1, NULL), 0);
}

static void
test_a_command_over_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	static const uint8_t body[4097];

	assert_int_equal(pipeline_submit(&f->p, body, 4097, NULL), -EMSGSIZE);
	assert_int_equal(pipeline_submit(&f->p, body, 4096, NULL), 0);
}

static void
test_a_large_command_travels_in_fragments(void **state)
{
	struct fixture *f = *state;
	uint8_t body[4096];
	uint8_t joined[4096] = { 0 };
	uint32_t joined_bytes = 0;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	assert_int_equal(pipeline_submit(&f->p, body, sizeof(body), NULL), 0);
	submit(f, 1);
	while (send_one(f) && f->sent.type == CLIENT_MSG_COMMAND_FRAGMENT) {
		const struct client_fragment *piece = &f->sent.fragment;

		assert_int_equal(piece->seq, 1);
		assert_int_equal(piece->total_bytes, 4096);
		assert_true(digest_eq(piece->digest, base_digest(body, sizeof(body))));
		memcpy(joined + piece->offset_bytes, piece->bytes, piece->count);
		joined_bytes += piece->count;
	}
	assert_int_equal(joined_bytes, 4096);
	assert_memory_equal(joined, body, 4096);
	assert_int_equal(first_sent(f).seq, 2);
}

/* What goes wrong */

static void
test_silence_repeats_from_the_first_unanswered(void **state)
{
	struct fixture *f = *state;

	submit(f, 3);
	assert_true(send_one(f));
	receive_answer(f, 1, 1);
	wait(f, PIPELINE_RTO_NS - 1);
	assert_false(send_one(f));
	wait(f, 1);
	assert_true(send_one(f));
	assert_int_equal(first_sent(f).seq, 2);
	assert_int_equal(f->to, 1);
}

static void
test_lasting_silence_moves_to_the_next_node(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	assert_true(send_one(f));
	wait(f, PIPELINE_RTO_NS);
	assert_true(send_one(f));
	assert_int_equal(f->to, 1);
	wait(f, 2 * PIPELINE_RTO_NS);
	assert_true(send_one(f));
	assert_int_equal(f->to, 2);
}

static void
test_an_unreachable_node_is_left_at_once(void **state)
{
	struct fixture *f = *state;

	pipeline_reachable(&f->p, 1, false);
	submit(f, 1);
	assert_false(send_one(f));
	wait(f, 1);
	assert_true(send_one(f));
	assert_int_equal(f->to, 2);
}

static void
test_answered_commands_are_not_repeated(void **state)
{
	struct fixture *f = *state;
	struct eng_command command;
	uint32_t cursor = 0;

	submit(f, 3);
	assert_true(send_one(f));
	receive_answer(f, 1, 2);
	wait(f, PIPELINE_RTO_NS);
	assert_true(send_one(f));
	assert_true(client_command_next(&f->sent, &cursor, &command));
	assert_int_equal(command.seq, 1);
	assert_true(client_command_next(&f->sent, &cursor, &command));
	assert_int_equal(command.seq, 3);
}

static void
test_a_redirect_is_followed_at_once(void **state)
{
	struct fixture *f = *state;

	submit(f, 2);
	assert_true(send_one(f));
	receive_redirect(f, 1, 3, CLIENT_REDIRECT_NOT_LEADER);
	assert_true(send_one(f));
	assert_int_equal(f->to, 3);
	assert_int_equal(first_sent(f).seq, 1);
}

static void
test_a_late_redirect_of_a_former_target_is_ignored(void **state)
{
	struct fixture *f = *state;

	submit(f, 2);
	assert_true(send_one(f));
	receive_redirect(f, 1, 3, CLIENT_REDIRECT_NOT_LEADER);
	assert_true(send_one(f));
	receive_redirect(f, 1, 2, CLIENT_REDIRECT_NOT_LEADER);
	assert_false(send_one(f));
	assert_int_equal(f->p.config.nodes[f->p.target], 3);
}

/* Otherwise two nodes that name each other would make a busy loop. */
static void
test_redirects_in_a_circle_are_slowed_down(void **state)
{
	struct fixture *f = *state;
	uint32_t frames = 0;

	submit(f, 1);
	assert_true(send_one(f));
	for (uint32_t us = 0; us < 10000; us++) {
		f->now_ns += 1000;
		receive_redirect(f, f->to, f->to == 1 ? 2 : 1, CLIENT_REDIRECT_NOT_LEADER);
		frames += send_one(f);
	}
	assert_in_range(frames, 3, 20);
}

static void
test_a_node_without_a_leader_is_left_after_a_pause(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	assert_true(send_one(f));
	receive_redirect(f, 1, 0, CLIENT_REDIRECT_NOT_LEADER);
	assert_false(send_one(f));
	assert_true(pipeline_wake_at(&f->p) <= f->now_ns + 10 * MS);
	wait(f, 10 * MS);
	assert_true(send_one(f));
	assert_int_equal(f->to, 2);
}

static void
test_a_busy_leader_is_asked_again_when_it_said(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	assert_true(send_one(f));
	receive_redirect(f, 1, 1, CLIENT_REDIRECT_BUSY);
	wait(f, 1 * MS - 1);
	assert_false(send_one(f));
	wait(f, 1);
	assert_true(send_one(f));
	assert_int_equal(f->to, 1);
}

/* The leader is busy with the command itself, so it says so to what comes behind: sending the command anew
 * each time would never reach its last piece. */
static void
test_a_busy_leader_does_not_restart_a_large_command(void **state)
{
	struct fixture *f = *state;
	static const uint8_t body[4096];

	assert_int_equal(pipeline_submit(&f->p, body, sizeof(body), f), 0);
	assert_true(send_one(f));
	assert_int_equal(f->sent.type, CLIENT_MSG_COMMAND_FRAGMENT);
	uint32_t sent_bytes = f->sent.fragment.offset_bytes + f->sent.fragment.count;
	receive_redirect(f, 1, 1, CLIENT_REDIRECT_BUSY);
	wait(f, 1 * MS);
	assert_true(send_one(f));
	assert_int_equal(f->sent.type, CLIENT_MSG_COMMAND_FRAGMENT);
	assert_int_equal(f->sent.fragment.offset_bytes, sent_bytes);
}

static void
test_a_gap_resumes_behind_what_the_leader_has(void **state)
{
	struct fixture *f = *state;

	submit(f, 40);
	while (send_one(f))
		;
	receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_GAP,
			.session = { SESSION },
			.seq = 30,
			.result = 18 });
	assert_true(send_one(f));
	assert_int_equal(first_sent(f).seq, 19);
	while (send_one(f))
		;
	receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_GAP,
			.session = { SESSION },
			.seq = 31,
			.result = 18 });
	assert_false(send_one(f)); /* the same complaint */
}

/* Blind repetition under a new session could execute a command twice. */
static void
test_a_lost_session_makes_sent_commands_unknown_and_others_refused(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	submit(f, 1);
	assert_true(send_one(f));
	submit(f, 1);
	receive_reply(f, 1,
		(struct client_reply){
			.kind = CLIENT_REPLY_NO_SESSION, .session = { SESSION }, .seq = 1 });
	assert_int_equal(take(f, done), 2);
	assert_int_equal(done[0].outcome, DECREE_UNKNOWN);
	assert_int_equal(done[1].outcome, DECREE_REFUSED);
	submit(f, 1);
	assert_true(send_one(f));
	assert_int_equal(first_sent(f).session.n, 0);
	assert_memory_not_equal(first_sent(f).body, "random token 16", 16);
}

/* An evicted client is told so: what it sent may have been executed, and is not repeated. */
static void
test_an_evicted_session_has_an_outcome_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];

	submit(f, 1);
	assert_true(send_one(f));
	submit(f, 1);
	receive_reply(f, 1,
		(struct client_reply){
			.kind = CLIENT_REPLY_EVICTED, .session = { SESSION }, .seq = 1 });
	assert_int_equal(take(f, done), 2);
	assert_int_equal(done[0].outcome, DECREE_EVICTED);
	assert_int_equal(done[1].outcome, DECREE_REFUSED);
	submit(f, 1);
	assert_true(send_one(f));
	assert_int_equal(
		first_sent(f).session.n, 0); /* and not a repetition under another session */
	assert_memory_not_equal(first_sent(f).body, "random token 16", 16);
}

static void
test_numbers_start_again_in_a_new_session(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];
	struct client_reply registered = { .kind = CLIENT_REPLY_REGISTERED,
		.session = { SESSION + 1 } };

	submit(f, 3);
	assert_true(send_one(f));
	receive_reply(f, 1,
		(struct client_reply){
			.kind = CLIENT_REPLY_NO_SESSION, .session = { SESSION }, .seq = 2 });
	assert_int_equal(take(f, done), 3);
	submit(f, 1);
	assert_true(send_one(f));
	memcpy(registered.token, first_sent(f).body, DECREE_UUID_BYTES);
	receive_reply(f, 1, registered);
	assert_true(send_one(f));
	assert_int_equal(first_sent(f).seq, 1);
	assert_int_equal(first_sent(f).session.n, SESSION + 1);
	receive_answer(f, 1, 1); /* of the old session */
	assert_int_equal(take(f, done), 0);
}

static void
test_answers_through_a_follower_lead_to_the_leader(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[64];
	struct client_writer w;

	submit(f, 1);
	assert_true(send_one(f));
	client_replies_begin(&w, bytes, sizeof(bytes), 0, 2);
	assert_true(client_replies_add(
		&w, &(struct client_reply){
			    .kind = CLIENT_REPLY_APPLIED, .session = { SESSION }, .seq = 1 }));
	receive_written(f, 1, bytes, client_writer_finish(&w));
	submit(f, 1);
	assert_true(send_one(f));
	assert_int_equal(f->to, 2);
}

/* A cluster, reduced to what the client can see of it, behind a bad network. */

#define WIRE_MAX 256

struct wire_frame {
	uint8_t bytes[FRAME_BYTES];
	uint32_t count;
	uint16_t node; /* to or from */
	bool is_answer;
};

struct world {
	struct fixture f;
	uint64_t random;
	uint16_t leader;
	uint64_t last_seq;
	struct wire_frame wire[WIRE_MAX];
	uint32_t wire_count;
};

static uint32_t
draw(struct world *w, uint32_t below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % below;
}

static void
world_send(struct world *w, uint16_t node, bool is_answer, const uint8_t *bytes, uint32_t count)
{
	uint32_t copies = draw(w, 10) == 0 ? 0 : draw(w, 10) == 0 ? 2 : 1;

	for (; copies > 0 && w->wire_count < WIRE_MAX; copies--) {
		struct wire_frame *frame = &w->wire[w->wire_count++];

		memcpy(frame->bytes, bytes, count);
		frame->count = count;
		frame->node = node;
		frame->is_answer = is_answer;
	}
}

static struct client_reply
world_execute(struct world *w, const struct eng_command *command)
{
	struct client_reply reply = {
		.kind = CLIENT_REPLY_APPLIED, .session = command->session, .seq = command->seq
	};

	if (command->session.n == 0) {
		reply.kind = CLIENT_REPLY_REGISTERED;
		reply.session.n = SESSION;
		memcpy(reply.token, command->body, DECREE_UUID_BYTES);
	} else if (command->seq > w->last_seq + 1) {
		reply.kind = CLIENT_REPLY_GAP;
		reply.result = w->last_seq;
	} else if (command->seq == w->last_seq + 1) {
		w->last_seq++;
	}
	return reply;
}

static void
world_serve(struct world *w, const struct wire_frame *frame)
{
	uint8_t out[2 * FRAME_BYTES];
	struct eng_command command;
	struct client_writer writer;
	struct client_msg m;
	uint32_t cursor = 0;

	assert_int_equal(client_msg_decode(frame->bytes, frame->count, &m), 0);
	if (frame->node != w->leader) {
		m = (struct client_msg){ .type = CLIENT_MSG_REDIRECT,
			.node_id = draw(w, 2) ? w->leader : 0,
			.redirect = { CLIENT_REDIRECT_NOT_LEADER, 500 } };
		world_send(w, frame->node, true, out, client_msg_encode(&m, out, sizeof(out)));
		return;
	}
	client_replies_begin(&writer, out, FRAME_BYTES, 0, frame->node);
	while (client_command_next(&m, &cursor, &command)) {
		struct client_reply reply = world_execute(w, &command);

		(void)client_replies_add(&writer, &reply); /* what does not fit is lost */
	}
	world_send(w, frame->node, true, out, client_writer_finish(&writer));
}

static void
world_deliver_any(struct world *w)
{
	struct wire_frame frame;
	uint32_t index = draw(w, w->wire_count < 4 ? w->wire_count : 4);

	frame = w->wire[index];
	memmove(&w->wire[index], &w->wire[index + 1], (--w->wire_count - index) * sizeof(frame));
	if (frame.is_answer)
		receive_written(&w->f, frame.node, frame.bytes, frame.count);
	else
		world_serve(w, &frame);
}

static void
world_run(struct world *w, uint32_t command_count)
{
	struct decree_completion done[64];
	uint32_t submitted = 0;
	uint32_t completed = 0;
	uint8_t is_completed[512] = { 0 };

	for (uint32_t step = 0; completed < command_count; step++) {
		uint32_t count;

		assert_true(step < 1000000); /* progress */
		if (submitted < command_count &&
			pipeline_submit(&w->f.p, "x", draw(w, 2), NULL) == 0)
			submitted++;
		if (draw(w, 200) == 0)
			w->leader = (uint16_t)(1 + draw(w, 3));
		while (w->wire_count < WIRE_MAX - 2 && send_one(&w->f))
			world_send(w, w->f.to, false, w->f.frame,
				FRAME_BYTES < w->f.sent.entries_bytes + 8
					? FRAME_BYTES
					: w->f.sent.entries_bytes + 8);
		if (w->wire_count > 0)
			world_deliver_any(w);
		wait(&w->f, w->wire_count > 0 ? MS / 10 : MS);
		count = take(&w->f, done);
		for (uint32_t i = 0; i < count; i++) {
			assert_int_equal(done[i].outcome, DECREE_APPLIED);
			assert_true(done[i].seq <= w->last_seq);
			assert_int_equal(is_completed[done[i].seq]++, 0);
		}
		completed += count;
	}
	assert_int_equal(w->last_seq, command_count); /* each executed, none twice */
}

static void
test_every_command_completes_once_on_a_bad_network(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct pipeline_config c = config(32);

	(void)state;
	assert_non_null(w);
	for (uint32_t seed = 1; seed <= 100; seed++) {
		*w = (struct world){ .random = seed, .leader = 1, .f.now_ns = 1 };
		assert_int_equal(pipeline_open(&w->f.p, &c), 0);
		for (uint16_t node = 1; node <= 3; node++)
			pipeline_reachable(&w->f.p, node, true);
		world_run(w, 300);
		pipeline_close(&w->f.p);
	}
	free(w);
}

/* Bodies of all sizes come and go; none may ever be overwritten while it can still be sent. */
static void
test_bodies_stay_whole_until_they_are_answered(void **state)
{
	struct fixture *f = *state;
	struct decree_completion done[64];
	static uint8_t body[4096];
	uint64_t random = 1;
	uint64_t seq = 0;

	for (uint32_t round = 0; round < 2000; round++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		memset(body, (int)(f->p.accepted & 0xff), sizeof(body));
		(void)pipeline_submit(
			&f->p, body, (uint32_t)(random >> 40) % 4096, NULL); /* may be full */
		while (send_one(f)) {
			struct eng_command command = { 0 };
			uint32_t cursor = 0;

			if (f->sent.type == CLIENT_MSG_COMMAND_FRAGMENT)
				assert_int_equal(f->sent.fragment.bytes[f->sent.fragment.count - 1],
					(f->sent.fragment.seq - 1) & 0xff);
			else
				while (client_command_next(&f->sent, &cursor, &command))
					if (command.bytes > 0)
						assert_int_equal(command.body[command.bytes - 1],
							(command.seq - 1) & 0xff);
		}
		if (round % 3 != 0 || f->p.accepted - f->p.released > 40) {
			receive_answer(f, 1, ++seq);
			(void)take(f, done);
			if (seq > f->p.sent)
				seq = f->p.sent;
		}
		if (round % 5 == 0)
			wait(f, PIPELINE_RTO_NS_MAX);
	}
	assert_true(seq > 500);
}

int
main(void)
{
#define REGISTERED(test) cmocka_unit_test_setup_teardown(test, setup_registered, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_commands_wait_for_the_registration, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_lost_registration_is_repeated_with_the_same_token, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_clients_registration_is_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_full_session_table_refuses_what_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_busy_leader_does_not_restart_a_large_command,
			setup_registered, teardown),
		cmocka_unit_test_setup_teardown(
			test_without_a_command_no_session_is_taken, setup, teardown),
		REGISTERED(test_commands_share_frames_and_are_numbered_from_one),
		REGISTERED(test_an_answer_completes_its_command_once),
		REGISTERED(test_answers_to_what_was_never_sent_are_ignored),
		REGISTERED(test_a_full_pipeline_refuses_until_completions_are_taken),
		REGISTERED(test_a_command_over_the_limit_is_refused),
		REGISTERED(test_a_large_command_travels_in_fragments),
		REGISTERED(test_silence_repeats_from_the_first_unanswered),
		REGISTERED(test_lasting_silence_moves_to_the_next_node),
		REGISTERED(test_an_unreachable_node_is_left_at_once),
		REGISTERED(test_answered_commands_are_not_repeated),
		REGISTERED(test_a_redirect_is_followed_at_once),
		REGISTERED(test_a_late_redirect_of_a_former_target_is_ignored),
		REGISTERED(test_redirects_in_a_circle_are_slowed_down),
		REGISTERED(test_a_node_without_a_leader_is_left_after_a_pause),
		REGISTERED(test_a_busy_leader_is_asked_again_when_it_said),
		REGISTERED(test_a_gap_resumes_behind_what_the_leader_has),
		REGISTERED(test_a_lost_session_makes_sent_commands_unknown_and_others_refused),
		REGISTERED(test_an_evicted_session_has_an_outcome_of_its_own),
		REGISTERED(test_numbers_start_again_in_a_new_session),
		REGISTERED(test_answers_through_a_follower_lead_to_the_leader),
		REGISTERED(test_bodies_stay_whole_until_they_are_answered),
		cmocka_unit_test(test_every_command_completes_once_on_a_bad_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
