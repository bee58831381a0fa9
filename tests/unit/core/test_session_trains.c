/* SPDX-License-Identifier: Apache-2.0 */
/* The session table: commands that are larger than a slot come in trains (protocol 7.5a). */
#include "tests/unit/core/session_table.h"

#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
apply_part(struct table *t, struct decree_session session, uint64_t seq, uint64_t train,
	uint32_t part, const uint8_t *body, uint32_t body_bytes)
{
	uint32_t parts = eng_value_part_count(body_bytes, SLOT_BYTES);
	uint32_t offset = part * PART_BYTES;
	uint8_t value[SLOT_BYTES];
	struct eng_fragment f = {
		.session = session,
		.seq = seq,
		.train = { train },
		.part = part,
		.part_count = parts,
		.command_bytes = body_bytes,
		.digest = base_digest(body, body_bytes),
		.bytes = body + offset,
		.count = body_bytes - offset < PART_BYTES ? body_bytes - offset : PART_BYTES,
	};

	table_apply_value(t, value, eng_value_fragment(value, &f));
}

static void
fill_body(uint8_t *body, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		body[i] = (uint8_t)(i * 7);
}

static void
test_a_train_is_executed_with_its_last_fragment(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint8_t body[500];

	fill_body(body, sizeof(body));
	for (uint32_t part = 0; part < 4; part++) {
		assert_int_equal(part == 0 ? 0 : t->count, 0);
		apply_part(t, a, 1, 2, part, body, sizeof(body));
	}
	assert_int_equal(t->count, 1);
	assert_int_equal(t->applied[0].verdict, ENG_EXECUTE);
	assert_int_equal(t->applied[0].bytes, sizeof(body));
	assert_memory_equal(t->applied[0].body, body, sizeof(body));
}

static void
test_any_other_slot_closes_a_train(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	struct decree_session b = table_open(t, 'b');
	uint8_t body[500];

	fill_body(body, sizeof(body));
	apply_part(t, a, 1, 3, 0, body, sizeof(body));
	apply_part(t, a, 1, 3, 1, body, sizeof(body));
	assert_int_equal(table_apply(t, b, 1, "x", 1), ENG_EXECUTE);
	apply_part(t, a, 1, 3, 2, body, sizeof(body));
	assert_int_equal(t->count, 0);
	apply_part(t, a, 1, 3, 3, body, sizeof(body));
	assert_int_equal(t->count, 0);
	assert_int_equal(eng_session_last(t->s, a), 0);

	/* The client sends the same number again, as a train of its own. */
	uint64_t train = t->slot + 1;
	for (uint32_t part = 0; part < 4; part++)
		apply_part(t, a, 1, train, part, body, sizeof(body));
	assert_int_equal(t->count, 1);
	assert_int_equal(t->applied[0].verdict, ENG_EXECUTE);
}

static void
test_fragments_out_of_order_are_nothing(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint8_t body[500];

	fill_body(body, sizeof(body));
	static const uint32_t orders[][4] = { { 1, 0, 2, 3 }, { 0, 0, 1, 2 }, { 0, 2, 1, 3 },
		{ 0, 1, 1, 2 } };
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t train = t->slot + 1;
		for (uint32_t j = 0; j < 4; j++) {
			apply_part(t, a, 1, train, orders[i][j], body, sizeof(body));
			assert_int_equal(t->count, 0);
		}
	}
}

/* 7.5a: a part belongs to its train in every respect, or it closes it. */
static void
test_a_part_of_another_train_closes_the_train(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	struct decree_session b = table_open(t, 'b');
	uint8_t body[500];
	const struct {
		struct decree_session session;
		uint64_t seq;
		uint64_t train; /* beyond that of the first part */
		uint32_t bytes; /* of the whole command */
		bool is_whole;
	} rows[] = {
		{ a, 1, 0, sizeof(body), true }, { b, 1, 0, sizeof(body), false },
		{ a, 2, 0, sizeof(body), false }, { a, 1, 1, sizeof(body), false },
		{ a, 1, 0, sizeof(body) - 1, false },   /* as many parts, other bytes */
		{ a, 1, 0, PART_BYTES * 2 + 1, false }, /* fewer parts */
	};

	fill_body(body, sizeof(body));
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t seq = eng_session_last(t->s, a) + 1;
		uint64_t train = t->slot + 1;

		apply_part(t, a, seq, train, 0, body, sizeof(body));
		apply_part(t, rows[i].session, seq - 1 + rows[i].seq, train + rows[i].train, 1,
			body, rows[i].bytes);
		apply_part(t, a, seq, train, 2, body, sizeof(body));
		apply_part(t, a, seq, train, 3, body, sizeof(body));
		assert_int_equal(t->count, rows[i].is_whole);
	}
}

static void
apply_counted_part(struct table *t, struct decree_session session, uint32_t part,
	uint32_t command_bytes, const uint8_t *body, uint32_t count)
{
	uint8_t value[SLOT_BYTES];
	struct eng_fragment f = {
		.session = session,
		.seq = 1,
		.train = { t->slot + 1 - part },
		.part = part,
		.part_count = 2,
		.command_bytes = command_bytes,
		.digest = base_digest(body, command_bytes),
		.bytes = body,
		.count = count,
	};

	table_apply_value(t, value, eng_value_fragment(value, &f));
}

/* Parts that make more or fewer bytes than their command has: no proposer makes them, and none is
 * executed. */
static void
test_a_train_of_another_length_is_dropped(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint8_t body[PART_BYTES];

	fill_body(body, sizeof(body));
	apply_counted_part(t, a, 0, 60, body, 50);
	apply_counted_part(t, a, 1, 60, body, 50);
	assert_int_equal(t->count, 0);
	apply_counted_part(t, a, 0, 60, body, 20);
	apply_counted_part(t, a, 1, 60, body, 20);
	assert_int_equal(t->count, 0);
	assert_int_equal(eng_session_last(t->s, a), 0);
}

/* A train whose parts do not make the body that its digest names is dropped, not executed. */
static void
test_a_train_with_a_wrong_digest_is_dropped(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint8_t body[500];
	uint8_t other[500];

	fill_body(body, sizeof(body));
	fill_body(other, sizeof(other));
	other[450] ^= 1;
	for (uint32_t part = 0; part < 4; part++)
		apply_part(t, a, 1, 2, part, part == 3 ? other : body, sizeof(body));
	assert_int_equal(t->count, 0);
	assert_int_equal(eng_session_last(t->s, a), 0);
}

static void
test_a_train_beyond_the_command_limit_is_dropped(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint8_t body[1001];

	fill_body(body, sizeof(body));
	for (uint32_t part = 0; part < eng_value_part_count(sizeof(body), SLOT_BYTES); part++)
		apply_part(t, a, 1, 2, part, body, sizeof(body));
	assert_int_equal(t->count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_train_is_executed_with_its_last_fragment,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_any_other_slot_closes_a_train, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_fragments_out_of_order_are_nothing, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_part_of_another_train_closes_the_train, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_train_of_another_length_is_dropped, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_train_with_a_wrong_digest_is_dropped, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(test_a_train_beyond_the_command_limit_is_dropped,
			table_setup, table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
