/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/pipeline_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pipeline_config
fixture_config(uint32_t in_flight_max)
{
	return (struct pipeline_config){ .in_flight_max = in_flight_max,
		.command_bytes_max = 4096,
		.frame_bytes = FRAME_BYTES,
		.node_count = 3,
		.nodes = { 1, 2, 3 },
		.token = "random token 16" };
}

void
fixture_receive_written(struct fixture *f, uint16_t from, const uint8_t *bytes, uint32_t count)
{
	struct client_msg m;

	assert_int_equal(client_msg_decode(bytes, count, &m), 0);
	pipeline_receive(&f->p, f->now_ns, from, &m);
}

void
fixture_receive_reply(struct fixture *f, uint16_t from, struct client_reply reply)
{
	uint8_t bytes[64];
	struct client_writer w;

	client_replies_begin(&w, bytes, sizeof(bytes), 0, from);
	assert_true(client_replies_add(&w, &reply));
	fixture_receive_written(f, from, bytes, client_writer_finish(&w));
}

void
fixture_receive_answer(struct fixture *f, uint16_t from, uint64_t seq)
{
	fixture_receive_reply(f, from,
		(struct client_reply){ .kind = CLIENT_REPLY_APPLIED,
			.session = { SESSION },
			.seq = seq,
			.result = seq * 10 });
}

void
fixture_receive_redirect(
	struct fixture *f, uint16_t from, uint16_t leader, enum client_redirect_reason reason)
{
	struct client_msg m = {
		.type = CLIENT_MSG_REDIRECT, .node_id = leader, .redirect = { reason, 1000 }
	};

	pipeline_receive(&f->p, f->now_ns, from, &m);
}

bool
fixture_send_one(struct fixture *f)
{
	uint32_t count = pipeline_next_frame(&f->p, f->now_ns, f->frame, &f->to);

	if (count == 0)
		return false;
	assert_true(count <= FRAME_BYTES);
	assert_int_equal(client_msg_decode(f->frame, count, &f->sent), 0);
	return true;
}

struct eng_command
fixture_first_sent(struct fixture *f)
{
	struct eng_command command = { 0 };
	uint32_t cursor = 0;

	assert_int_equal(f->sent.type, CLIENT_MSG_COMMANDS);
	assert_true(client_command_next(&f->sent, &cursor, &command));
	return command;
}

/* Time goes on until something is due. */
void
fixture_pass(struct fixture *f, uint64_t ns)
{
	f->now_ns += ns;
	pipeline_tick(&f->p, f->now_ns);
}

int
fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct pipeline_config c = fixture_config(64);

	if (f == NULL || pipeline_open(&f->p, &c) != 0)
		return -1;
	f->p.is_session_wanted = true;
	f->now_ns = 1000 * MS;
	for (uint16_t node = 1; node <= 3; node++)
		pipeline_reachable(&f->p, node, true);
	*state = f;
	return 0;
}

int
fixture_setup_registered(void **state)
{
	struct fixture *f;

	if (fixture_setup(state) != 0)
		return -1;
	f = *state;
	if (!fixture_send_one(f))
		return -1;
	fixture_receive_reply(f, 1,
		(struct client_reply){ .kind = CLIENT_REPLY_REGISTERED,
			.session = { SESSION },
			.token = "random token 16" });
	return f->p.session.n == SESSION ? 0 : -1;
}

int
fixture_teardown(void **state)
{
	struct fixture *f = *state;

	pipeline_close(&f->p);
	free(f);
	return 0;
}

void
fixture_submit(struct fixture *f, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(pipeline_submit(&f->p, "command", 7, f), 0);
}

uint32_t
fixture_take(struct fixture *f, struct decree_completion *ret)
{
	return pipeline_completions(&f->p, ret, 64);
}
