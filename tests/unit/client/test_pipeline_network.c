/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half of exactly-once, against a cluster of one sequence number and a network that
 * loses, repeats and reorders. */
#include "tests/unit/client/pipeline_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WIRE_MAX 256

/* A cluster, reduced to what the client can see of it, behind a bad network. */
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
		fixture_receive_written(&w->f, frame.node, frame.bytes, frame.count);
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
		while (w->wire_count < WIRE_MAX - 2 && fixture_send_one(&w->f))
			world_send(w, w->f.to, false, w->f.frame,
				FRAME_BYTES < w->f.sent.entries_bytes + 8
					? FRAME_BYTES
					: w->f.sent.entries_bytes + 8);
		if (w->wire_count > 0)
			world_deliver_any(w);
		fixture_pass(&w->f, w->wire_count > 0 ? MS / 10 : MS);
		count = fixture_take(&w->f, done);
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
	const struct pipeline_config c = fixture_config(32);

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
		while (fixture_send_one(f)) {
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
			fixture_receive_answer(f, 1, ++seq);
			(void)fixture_take(f, done);
			if (seq > f->p.sent)
				seq = f->p.sent;
		}
		if (round % 5 == 0)
			fixture_pass(f, PIPELINE_RTO_NS_MAX);
	}
	assert_true(seq > 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_command_completes_once_on_a_bad_network),
		REGISTERED(test_bodies_stay_whole_until_they_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
