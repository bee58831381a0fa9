/* SPDX-License-Identifier: Apache-2.0 */
/* Which node is asked, how often, and what its answer means. */
#include "engine/client/admin_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN 42

static struct admin_request
request(void)
{
	static const uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES] = { 3 };
	static const uint16_t nodes[] = { 1, 2, 3 };
	struct admin_request a;

	admin_request_init(&a, 0, TOKEN, DECREE_ADMIN_TRANSFER, arguments, nodes, 3);
	return a;
}

/* @return the node asked, 0 if none is */
static uint16_t
next(struct admin_request *a, uint64_t now_ns)
{
	struct client_msg m;
	uint16_t node_id;

	return admin_request_next(a, now_ns, &node_id, &m) ? node_id : 0;
}

static void
answer(struct admin_request *a, uint64_t now_ns, uint16_t from, enum client_admin_status status,
	uint16_t leader)
{
	struct client_msg m = {
		.type = CLIENT_MSG_ADMIN_REPLY,
		.node_id = from,
		.admin_reply = { .token = TOKEN,
			.status = status,
			.leader = leader,
			.text = (const uint8_t *)"so",
			.text_bytes = 2 },
	};

	admin_request_receive(a, now_ns, &m);
}

static void
test_the_leader_is_asked_at_once_and_pending_is_asked_again(void **state)
{
	struct admin_request a = request();
	char text[DECREE_ERROR_BYTES];

	(void)state;
	assert_int_equal(next(&a, 1000), 1);
	assert_int_equal(next(&a, 1001), 0);
	answer(&a, 2000, 1, CLIENT_ADMIN_NOT_LEADER, 3);
	assert_int_equal(next(&a, 2000), 3);
	answer(&a, 3000, 3, CLIENT_ADMIN_PENDING, 0);
	assert_int_equal(next(&a, 3000), 0);
	assert_int_equal(next(&a, 3000 + ADMIN_PAUSE_NS), 3);
	answer(&a, 4000, 3, CLIENT_ADMIN_DONE, 0);
	assert_true(a.is_done);
	assert_int_equal(admin_request_result(&a, text), 0);
	assert_string_equal(text, "so");
}

static void
test_silence_and_ignorance_turn_to_the_next_node(void **state)
{
	struct admin_request a = request();
	uint64_t now_ns = 0;

	(void)state;
	for (int i = 0; i < ADMIN_SILENCE_COUNT; i++, now_ns += ADMIN_REPEAT_NS)
		assert_int_equal(next(&a, now_ns), 1);
	assert_int_equal(next(&a, now_ns), 2);
	answer(&a, now_ns, 2, CLIENT_ADMIN_NOT_LEADER, 0);
	assert_int_equal(next(&a, now_ns + ADMIN_PAUSE_NS), 3);
	answer(&a, now_ns, 3, CLIENT_ADMIN_NOT_LEADER, 9); /* nobody that we know */
	assert_int_equal(next(&a, now_ns + ADMIN_PAUSE_NS), 1);
}

static void
test_each_end_has_its_result(void **state)
{
	static const struct {
		enum client_admin_status status;
		int result;
	} ends[] = {
		{ CLIENT_ADMIN_DONE, 0 },
		{ CLIENT_ADMIN_REFUSED, -ECANCELED },
		{ CLIENT_ADMIN_FAILED, -ECANCELED },
		{ CLIENT_ADMIN_OFF, -EACCES },
		{ CLIENT_ADMIN_UNKNOWN, -ENOSYS },
	};
	char text[DECREE_ERROR_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct admin_request a = request();

		assert_int_equal(admin_request_result(&a, text), -ETIMEDOUT);
		assert_int_equal(next(&a, 0), 1);
		answer(&a, 0, 1, CLIENT_ADMIN_BUSY, 0);
		assert_int_equal(admin_request_result(&a, text), -ETIMEDOUT);
		assert_string_equal(text, "not over in time: so. Asking again does no harm");
		answer(&a, 0, 1, ends[i].status, 0);
		assert_int_equal(admin_request_result(&a, text), ends[i].result);
	}
}

static void
test_another_requests_answer_is_ignored(void **state)
{
	struct admin_request a = request();
	struct client_msg m = { .type = CLIENT_MSG_ADMIN_REPLY,
		.admin_reply = { .token = TOKEN + 1, .status = CLIENT_ADMIN_DONE } };

	(void)state;
	admin_request_receive(&a, 0, &m);
	assert_false(a.is_done);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_leader_is_asked_at_once_and_pending_is_asked_again),
		cmocka_unit_test(test_silence_and_ignorance_turn_to_the_next_node),
		cmocka_unit_test(test_each_end_has_its_result),
		cmocka_unit_test(test_another_requests_answer_is_ignored),
	};

	return cmocka_run_group_tests_name("admin_request", tests, NULL, NULL);
}
