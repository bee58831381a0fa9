/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and queries as bytes: what is encoded is decoded, and anything else is refused and
 * changes nothing. */
#include "tests/lib/queue_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t pairs[10] = { QUEUE_CMD_PEEK, 1, 0, 0, 0, QUEUE_CMD_PAUSE_TUBE, 0, 1, 0, 0 };

/* One of each, all fields set that it has. */
static const struct queue_command every[] = {
	{ .op = QUEUE_OPEN, .connection = 1ull << 63 },
	{ .op = QUEUE_CLOSE, .connection = 2 },
	{ .op = QUEUE_PUT,
		.connection = 3,
		.pri = 4,
		.seconds = 5,
		.ttr_s = 6,
		.tail = "job",
		.tail_bytes = 3 },
	{ .op = QUEUE_PUT,
		.connection = 3,
		.pri = UINT32_MAX,
		.seconds = UINT32_MAX,
		.ttr_s = UINT32_MAX },
	{ .op = QUEUE_USE, .connection = 3, .tail = "t", .tail_bytes = 1 },
	{ .op = QUEUE_RESERVE, .connection = 3 },
	{ .op = QUEUE_RESERVE_TIMEOUT, .connection = 3, .seconds = 9 },
	{ .op = QUEUE_RESERVE_JOB, .connection = 3, .id = 10 },
	{ .op = QUEUE_DELETE, .connection = 3, .id = 11 },
	{ .op = QUEUE_RELEASE, .connection = 3, .id = 12, .pri = 13, .seconds = 14 },
	{ .op = QUEUE_BURY, .connection = 3, .id = 15, .pri = 16 },
	{ .op = QUEUE_TOUCH, .connection = 3, .id = 0x1122334455667788 },
	{ .op = QUEUE_WATCH, .connection = 3, .tail = "tube", .tail_bytes = 4 },
	{ .op = QUEUE_IGNORE, .connection = 3, .tail = "tube", .tail_bytes = 4 },
	{ .op = QUEUE_KICK, .connection = 3, .bound = 18, .flag = QUEUE_KICK_DELAYED },
	{ .op = QUEUE_KICK_JOB, .connection = 3, .id = 19 },
	{ .op = QUEUE_PAUSE_TUBE, .connection = 3, .seconds = 20, .tail = "tube", .tail_bytes = 4 },
	{ .op = QUEUE_CANCEL, .connection = 3 },
	{ .op = QUEUE_COUNT, .connection = 3, .flag = 1, .tail = pairs, .tail_bytes = 10 },
	{ .op = QUEUE_COUNT },
	{ .op = QUEUE_RESERVE, .is_after = true, .connection = 3 },
	{ .op = QUEUE_PUT, .is_after = true, .connection = 3, .tail = "job", .tail_bytes = 3 },
	{ .op = QUEUE_COUNT, .is_after = true, .connection = 3, .flag = 1 },
	{ .op = QUEUE_ATTACH, .id = 1 },
	{ .op = QUEUE_ATTACH, .id = 65535 },
};

static void
test_what_is_encoded_is_decoded(void **state)
{
	uint8_t bytes[64], again[64];
	struct queue_command c;

	(void)state;
	for (size_t i = 0; i < COUNT(every); i++) {
		size_t count = queue_command_encode(&every[i], bytes, sizeof(bytes));

		assert_true(
			count >= 9 && count <= QUEUE_COMMAND_FIXED_BYTES_MAX + every[i].tail_bytes);
		assert_int_equal(queue_command_decode(bytes, count, &c), 0);
		assert_int_equal(c.op, every[i].op);
		assert_true(c.connection == every[i].connection && c.id == every[i].id);
		assert_true(c.pri == every[i].pri && c.seconds == every[i].seconds);
		assert_true(c.ttr_s == every[i].ttr_s && c.bound == every[i].bound);
		assert_int_equal(c.flag, every[i].flag);
		assert_int_equal(c.is_after, every[i].is_after);
		assert_int_equal(c.tail_bytes, every[i].tail_bytes);
		assert_int_equal(queue_command_encode(&c, again, sizeof(again)), count);
		assert_memory_equal(again, bytes, count);
	}
}

/* Room for one byte less is no room. */
static void
test_a_command_that_does_not_fit_is_not_encoded(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (size_t i = 0; i < COUNT(every); i++) {
		size_t count = queue_command_encode(&every[i], bytes, sizeof(bytes));

		assert_int_equal(queue_command_encode(&every[i], bytes, count - 1), 0);
	}
}

/* A prefix is never taken for the whole; only a body may end anywhere. */
static void
test_every_prefix_is_refused(void **state)
{
	uint8_t bytes[64];
	struct queue_command c;

	(void)state;
	for (size_t i = 0; i < COUNT(every); i++) {
		size_t fixed, count = queue_command_encode(&every[i], bytes, sizeof(bytes));

		fixed = count - every[i].tail_bytes;
		for (size_t cut = 0; cut < fixed; cut++)
			assert_int_equal(queue_command_decode(bytes, cut, &c), -EBADMSG);
		if (every[i].tail_bytes == 0 && every[i].op != QUEUE_PUT)
			assert_int_equal(queue_command_decode(bytes, count + 1, &c), -EBADMSG);
	}
}

struct bad {
	const char *name;
	size_t count;
	uint8_t bytes[32];
};

static const struct bad bad[] = {
	{ "nothing", 0, { 0 } },
	{ "no such op", 9, { 0 } },
	{ "an op from the future", 9, { QUEUE_OP_COUNT } },
	{ "an op that there is not", 17, { 3 } },
	{ "node 0", 17, { QUEUE_ATTACH } },
	{ "node 65536", 17, { QUEUE_ATTACH, [11] = 1 } },
	{ "attached for a connection", 17, { QUEUE_ATTACH, [1] = 1, [9] = 1 } },
	{ "no name", 9, { QUEUE_USE } },
	{ "no name to pause", 13, { QUEUE_PAUSE_TUBE } },
	{ "no such kick", 14, { QUEUE_KICK, [13] = 3 } },
	{ "no such flag", 10, { QUEUE_COUNT, [9] = 2 } },
	{ "opened behind a reserve", 9, { 0x80 | QUEUE_OPEN } },
	{ "closed behind a reserve", 9, { 0x80 | QUEUE_CLOSE } },
	{ "cancelled behind a reserve", 9, { 0x80 | QUEUE_CANCEL } },
	{ "attached behind a reserve", 17, { 0x80 | QUEUE_ATTACH, [9] = 1 } },
	{ "what a gateway counts, behind a reserve", 10, { 0x80 | QUEUE_COUNT } },
	{ "nothing, behind a reserve", 9, { 0x80 } },
	{ "half a pair", 14, { QUEUE_COUNT } },
	{ "a counter that no read counts", 15, { QUEUE_COUNT, [10] = QUEUE_JOB_TIMEOUTS } },
};

static void
test_nonsense_is_refused(void **state)
{
	const struct bad *row = *state;
	struct queue_command c;

	assert_int_equal(queue_command_decode(row->bytes, row->count, &c), -EBADMSG);
}

static void
test_a_name_is_at_most_200_bytes(void **state)
{
	uint8_t bytes[300] = { QUEUE_WATCH };
	struct queue_command c;

	(void)state;
	assert_int_equal(queue_command_decode(bytes, 9 + 200, &c), 0);
	assert_int_equal(queue_command_decode(bytes, 9 + 201, &c), -EBADMSG);
}

static void
test_queries_too(void **state)
{
	struct queue_query q = {
		.kind = QUEUE_STATS_TUBE,
		.session = 1,
		.connection = 2,
		.id = 3,
		.offset = 4,
		.name = "tube",
		.name_bytes = 4,
		.key = 5,
	};
	struct queue_query again;
	uint8_t bytes[DECREE_QUERY_BYTES_MAX];
	size_t count = queue_query_encode(&q, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(count, QUEUE_QUERY_FIXED_BYTES + 4);
	assert_int_equal(queue_query_decode(bytes, count, &again), 0);
	assert_true(again.session == 1 && again.connection == 2 && again.id == 3 &&
		    again.offset == 4 && again.key == 5);
	assert_memory_equal(again.name, "tube", 4);
	assert_int_equal(queue_query_encode(&q, bytes, count - 1), 0);
	assert_int_equal(queue_query_decode(bytes, QUEUE_QUERY_FIXED_BYTES - 1, &again), -EINVAL);
	assert_int_equal(queue_query_decode(bytes, QUEUE_QUERY_FIXED_BYTES, &again), -EINVAL);
	bytes[0] = QUEUE_PEEK; /* has no name */
	assert_int_equal(queue_query_decode(bytes, count, &again), -EINVAL);
	bytes[0] = QUEUE_HELD + 1;
	assert_int_equal(queue_query_decode(bytes, QUEUE_QUERY_FIXED_BYTES, &again), -EINVAL);
}

#define BAD_COUNT COUNT(bad)

int
main(void)
{
	struct CMUnitTest tests[5 + BAD_COUNT] = {
		cmocka_unit_test(test_what_is_encoded_is_decoded),
		cmocka_unit_test(test_a_command_that_does_not_fit_is_not_encoded),
		cmocka_unit_test(test_every_prefix_is_refused),
		cmocka_unit_test(test_a_name_is_at_most_200_bytes),
		cmocka_unit_test(test_queries_too),
	};

	for (size_t i = 0; i < BAD_COUNT; i++)
		tests[5 + i] = (struct CMUnitTest){
			.name = bad[i].name,
			.test_func = test_nonsense_is_refused,
			.initial_state = (void *)(uintptr_t)&bad[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
