/* SPDX-License-Identifier: Apache-2.0 */
/* One read: whom to ask, when to ask again, what an answer means. */
#include "engine/client/client_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint8_t answer[16];

static struct client_read
read_of(uint32_t node_count)
{
	static const uint16_t nodes[] = { 4, 5, 6 };
	struct client_msg m = { .type = CLIENT_MSG_READ_REQUEST, .group = 1 };
	struct client_read r;

	m.read_request.token = 70;
	client_read_init(&r, &m, nodes, node_count, answer, sizeof(answer));
	return r;
}

static struct client_msg
reply_of(enum client_read_status status)
{
	struct client_msg m = { .type = CLIENT_MSG_READ_REPLY, .group = 1, .node_id = 4 };

	m.read_reply.token = 70;
	m.read_reply.status = status;
	return m;
}

static void
test_silence_repeats_the_question_and_then_asks_the_next_node(void **state)
{
	struct client_read r = read_of(2);
	uint64_t now_ns = 1;
	uint16_t node;

	(void)state;
	for (uint32_t i = 0; i < 3 * CLIENT_READ_SILENCE_COUNT; i++) {
		assert_true(client_read_next(&r, now_ns, &node));
		assert_int_equal(node, i / CLIENT_READ_SILENCE_COUNT == 1 ? 5 : 4);
		assert_false(client_read_next(&r, now_ns + CLIENT_READ_REPEAT_NS - 1, &node));
		now_ns += CLIENT_READ_REPEAT_NS;
	}
	assert_int_equal(r.result, -ETIMEDOUT);
}

static void
test_a_node_without_a_session_or_too_busy_gives_way_at_once(void **state)
{
	struct client_read r = read_of(3);
	struct client_msg busy = reply_of(CLIENT_READ_BUSY);
	uint16_t node;

	(void)state;
	assert_true(client_read_next(&r, 1, &node));
	client_read_unsent(&r, 1);
	assert_false(client_read_next(&r, 1, &node));
	assert_true(client_read_next(&r, 1 + CLIENT_READ_PAUSE_NS, &node));
	assert_int_equal(node, 5);
	client_read_receive(&r, 2, &busy);
	assert_false(r.is_done);
	assert_true(client_read_next(&r, 2 + CLIENT_READ_PAUSE_NS, &node));
	assert_int_equal(node, 6);
}

static void
test_the_first_answer_to_this_question_counts(void **state)
{
	struct client_read r = read_of(3);
	struct client_msg m = reply_of(CLIENT_READ_ANSWERED);
	uint16_t node;

	(void)state;
	assert_true(client_read_next(&r, 1, &node));
	m.read_reply.answer = (const uint8_t *)"old";
	m.read_reply.bytes = 3;
	m.read_reply.token = 69; /* of a read that gave up */
	client_read_receive(&r, 2, &m);
	assert_false(r.is_done);
	m.read_reply.token = 70;
	m.node_id = 6;
	m.read_reply.answer = (const uint8_t *)"new";
	client_read_receive(&r, 2, &m);
	assert_true(r.is_done);
	assert_int_equal(r.result, 3);
	assert_memory_equal(answer, "new", 3);
	assert_false(client_read_next(&r, UINT64_MAX / 2, &node));
}

static void
test_failures_have_their_numbers(void **state)
{
	struct client_read r = read_of(1);
	struct client_msg m = reply_of(CLIENT_READ_FAILED);

	(void)state;
	m.read_reply.error = EDOM;
	client_read_receive(&r, 1, &m);
	assert_int_equal(r.result, -EDOM);
	r = read_of(1);
	m = reply_of(CLIENT_READ_NOT_SUPPORTED);
	client_read_receive(&r, 1, &m);
	assert_int_equal(r.result, -ENOTSUP);
	r = read_of(1);
	m = reply_of(CLIENT_READ_ANSWERED);
	m.read_reply.answer = (const uint8_t *)"seventeen bytes..";
	m.read_reply.bytes = 17;
	client_read_receive(&r, 1, &m);
	assert_int_equal(r.result, -EMSGSIZE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silence_repeats_the_question_and_then_asks_the_next_node),
		cmocka_unit_test(test_a_node_without_a_session_or_too_busy_gives_way_at_once),
		cmocka_unit_test(test_the_first_answer_to_this_question_counts),
		cmocka_unit_test(test_failures_have_their_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
