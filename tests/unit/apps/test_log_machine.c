/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered log: the same commands give the same digest however they come in bursts; any other
 * command, order or place gives another. */
#include "apps/log_machine.h"

#include "apps/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint64_t answers[8];
static uint32_t answer_count;

void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	(void)sink;
	assert_int_equal(session.n, 65536);
	assert_int_equal(seq, result); /* one session from the start */
	assert_int_equal(status, 0);
	answers[answer_count++ % 8] = result;
}

static struct decree_command
command(uint64_t slot, uint32_t index, uint64_t seq, const void *body, uint32_t bytes)
{
	return (struct decree_command){ .slot = { slot },
		.index = index,
		.session = { 65536 },
		.seq = seq,
		.body = body,
		.bytes = bytes };
}

static struct decree_digest
run(const struct decree_command *commands, uint32_t count, uint32_t burst)
{
	struct log_machine m = { 0 };

	for (uint32_t i = 0; i < count; i += burst)
		log_machine_ops.apply(&m, commands + i, burst, 5 * i, NULL);
	assert_int_equal(m.count, count);
	return log_machine_ops.digest(&m);
}

static int
clear(void **state)
{
	(void)state;
	answer_count = 0;
	return 0;
}

static void
test_each_command_is_answered_with_its_number(void **state)
{
	const struct decree_command c[] = { command(1, 0, 1, "a", 1), command(1, 1, 2, NULL, 0) };

	(void)state;
	(void)run(c, 2, 2);
	assert_int_equal(answer_count, 2);
	assert_int_equal(answers[0], 1);
	assert_int_equal(answers[1], 2);
}

static void
test_bursts_do_not_matter(void **state)
{
	const struct decree_command c[] = { command(1, 0, 1, "a", 1), command(1, 1, 2, "b", 1),
		command(2, 0, 3, "c", 1), command(9, 0, 4, "", 0) };
	struct decree_digest one = run(c, 4, 1);
	struct decree_digest four = run(c, 4, 4);

	(void)state;
	assert_memory_equal(&one, &four, sizeof(one));
}

/* Each variant differs from the first row in one thing. */
static void
test_every_part_of_a_command_counts(void **state)
{
	static uint8_t large[4000];
	struct decree_command variants[] = {
		command(1, 0, 1, "body", 4),
		command(2, 0, 1, "body", 4),
		command(1, 1, 1, "body", 4),
		command(1, 0, 1, "bodz", 4),
		command(1, 0, 1, "body", 3),
		command(1, 0, 1, large, 4000),
		command(1, 0, 1, large, 3999),
		command(1, 0, 1, NULL, 0),
	};
	const uint32_t count = sizeof(variants) / sizeof(variants[0]);
	struct decree_digest digests[sizeof(variants) / sizeof(variants[0])];

	(void)state;
	for (uint32_t i = 0; i < count; i++) {
		digests[i] = run(&variants[i], 1, 1);
		for (uint32_t j = 0; j < i; j++)
			assert_memory_not_equal(&digests[i], &digests[j], sizeof(digests[0]));
	}
}

static void
test_order_counts(void **state)
{
	const struct decree_command c[] = { command(1, 0, 1, "a", 1), command(1, 0, 2, "b", 1) };
	const struct decree_command d[] = { command(1, 0, 1, "b", 1), command(1, 0, 2, "a", 1) };
	struct decree_digest one = run(c, 2, 2);
	struct decree_digest two = run(d, 2, 2);

	(void)state;
	assert_memory_not_equal(&one, &two, sizeof(one));
}

/* Bodies just below and above the limit of the one-piece hash must agree with the streaming one. */
static void
test_the_limit_between_small_and_large_bodies_is_not_visible(void **state)
{
	uint8_t body[512];
	struct decree_digest previous = { 0 };

	(void)state;
	memset(body, 7, sizeof(body));
	for (uint32_t bytes = 200; bytes < 300; bytes++) {
		struct decree_command c = command(1, 0, 1, body, bytes);
		struct decree_digest digest = run(&c, 1, 1);
		uint8_t joined[48 + 512] = { 0 };
		struct decree_digest whole;

		joined[16] = 1; /* slot */
		joined[34] = 1; /* session 65536 */
		joined[40] = 1; /* seq */
		memcpy(joined + 48, body, bytes);
		whole = body_digest(joined, 48 + bytes);
		assert_memory_equal(&digest, &whole, sizeof(digest));
		assert_memory_not_equal(&digest, &previous, sizeof(digest));
		previous = digest;
	}
}

/* The chunk is that of the cut, whatever is applied before it is taken. */
static void
test_a_restored_machine_is_the_one_that_was_cut(void **state)
{
	const struct decree_command c[] = { command(1, 0, 1, "a", 1), command(2, 0, 2, "b", 1) };
	const struct decree_machine_ops *ops = &log_machine_ops;
	struct log_machine one = { 0 }, two = { 0 };
	struct decree_chunk chunk = { 0 };
	struct decree_digest at_cut;

	(void)state;
	ops->apply(&one, c, 1, 0, NULL);
	at_cut = one.digest;
	assert_int_equal(ops->snapshot_begin(&one), 0);
	ops->apply(&one, c + 1, 1, 0, NULL);
	assert_int_equal(ops->snapshot_next(&one, &chunk), 1);

	assert_int_equal(ops->restore_begin(&two), 0);
	assert_int_equal(ops->restore_next(&two, &chunk), 0);
	assert_int_equal(ops->restore_next(&two, &chunk), -EBADMSG);
	assert_int_equal(ops->restore_end(&two), 0);
	assert_int_equal(ops->snapshot_next(&one, &chunk), 0);
	ops->snapshot_end(&one);
	assert_memory_equal(&two.digest, &at_cut, sizeof(at_cut));
	assert_int_equal(two.count, 1);
	ops->apply(&two, c + 1, 1, 0, NULL);
	assert_memory_equal(&two.digest, &one.digest, sizeof(at_cut));
}

static void
test_a_chunk_of_another_size_is_refused(void **state)
{
	uint8_t bytes[LOG_MACHINE_STATE_BYTES + 1] = { 0 };
	struct decree_chunk chunk = { .bytes = bytes, .count = sizeof(bytes) };
	struct log_machine m = { 0 };

	(void)state;
	assert_int_equal(log_machine_ops.restore_begin(&m), 0);
	assert_int_equal(log_machine_ops.restore_next(&m, &chunk), -EBADMSG);
	assert_int_equal(log_machine_ops.restore_end(&m), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_each_command_is_answered_with_its_number, clear),
		cmocka_unit_test_setup(test_bursts_do_not_matter, clear),
		cmocka_unit_test_setup(test_every_part_of_a_command_counts, clear),
		cmocka_unit_test_setup(test_order_counts, clear),
		cmocka_unit_test_setup(test_a_restored_machine_is_the_one_that_was_cut, clear),
		cmocka_unit_test(test_a_chunk_of_another_size_is_refused),
		cmocka_unit_test_setup(
			test_the_limit_between_small_and_large_bodies_is_not_visible, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
