/* SPDX-License-Identifier: Apache-2.0 */
/* The session table: who gives way when it is full (protocol 7.5). */
#include "tests/unit/core/session_table.h"

#include "base/digest.h"
#include "tests/lib/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
pass_slots(struct table *t, uint32_t count)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];

	for (uint32_t i = 0; i < count; i++)
		table_apply_value(t, value, eng_value_begin(value, ENG_VALUE_NOOP));
}

/* @return the verdict; the session stands in t->applied[0] */
static enum eng_verdict
try_open(struct table *t, char name)
{
	uint8_t token[DECREE_UUID_BYTES];

	memset(token, name, sizeof(token));
	return table_apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token));
}

static struct decree_session
open_gateway(struct table *t, char name, uint64_t boot_count, uint16_t place, uint32_t opened)
{
	struct eng_registration r = {
		.node_id = 7, .place = place, .opened = opened, .boot_count = boot_count
	};
	uint8_t body[ENG_REGISTRATION_GATEWAY_BYTES];

	memset(r.token, name, sizeof(r.token));
	uint32_t bytes = eng_registration_encode(&r, body);
	assert_int_equal(
		table_apply(t, (struct decree_session){ 0 }, 0, body, bytes), ENG_REGISTERED);
	return t->applied[0].session;
}

static bool
is_there(const struct table *t, struct decree_session s)
{
	return eng_session_row(t->s, s) >= 0;
}

static void
answer(struct table *t, struct decree_session s, uint64_t seq)
{
	applied_answer(t->s, s, seq, 0, seq);
}

static void
test_the_longest_unused_session_gives_way(void **state)
{
	struct table *t = *state;
	struct decree_session s[SESSIONS];

	for (uint32_t i = 0; i < SESSIONS; i++)
		s[i] = table_open(t, (char)('a' + i));
	assert_int_equal(table_apply(t, s[0], 1, "x", 1), ENG_EXECUTE); /* used after s[1] */
	answer(t, s[0], 1);
	pass_slots(t, IDLE - 5);
	assert_int_equal(try_open(t, 'n'), ENG_TABLE_FULL); /* nobody is idle yet */
	pass_slots(t, IDLE);
	assert_int_equal(try_open(t, 'n'), ENG_REGISTERED);
	assert_true(t->applied[0].has_new_row);
	assert_false(is_there(t, s[1]));
	assert_true(is_there(t, s[0]) && is_there(t, s[2]) && is_there(t, s[3]));
	assert_int_equal(eng_session_count(t->s), SESSIONS);
	assert_int_equal(eng_session_evicted_count(t->s), 1);
}

/* [E22] What an evicted session did is not done again, whoever repeats it, even after the same
 * token came back. */
static void
test_an_evicted_session_executes_nothing_any_more(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint16_t status;
	uint64_t result;

	assert_int_equal(table_apply(t, a, 1, "pay", 3), ENG_EXECUTE);
	answer(t, a, 1);
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		table_open(t, name);
	pass_slots(t, IDLE);
	table_open(t, 'n');
	assert_int_equal(table_apply(t, a, 1, "pay", 3), ENG_EVICTED);
	assert_int_equal(table_apply(t, a, 2, "pay", 3), ENG_EVICTED);
	assert_int_equal(table_lookup(t->s, a, 1, &status, &result), ENG_EVICTED);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_EVICTED);
	assert_int_equal(eng_session_admit(t->s, a, 2), ENG_SUBMIT_EVICTED);
	pass_slots(t, IDLE);
	struct decree_session again = table_open(t, 'a');
	assert_int_not_equal(again.n, a.n);
	assert_int_equal(table_apply(t, a, 1, "pay", 3), ENG_EVICTED);
	assert_int_equal(eng_session_last(t->s, again), 0);
	/* A number that no slot can have given was no session. */
	assert_int_equal(table_apply(t, (struct decree_session){ (t->slot + 10) << 16 }, 1, "x", 1),
		ENG_NO_SESSION);
}

static void
test_a_session_with_an_answer_outstanding_stays(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(table_apply(t, a, 1, "reserve", 7), ENG_EXECUTE); /* waits */
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		table_open(t, name);
	for (char name = 'n'; name < 'n' + 2 * SESSIONS; name++) {
		pass_slots(t, IDLE);
		table_open(t, name);
		assert_true(is_there(t, a));
	}
	answer(t, a, 1);
	for (char name = 'A'; name < 'A' + SESSIONS; name++) {
		pass_slots(t, IDLE);
		table_open(t, name);
	}
	assert_false(is_there(t, a));
}

/* A window full of them: the count of outstanding answers follows the ring. */
static void
test_answers_that_fell_out_of_the_ring_are_not_waited_for(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	for (uint64_t seq = 1; seq <= 2 * WINDOW; seq++)
		assert_int_equal(table_apply(t, a, seq, "x", 1), ENG_EXECUTE);
	for (uint64_t seq = WINDOW + 1; seq <= 2 * WINDOW; seq++)
		answer(t, a, seq);
	answer(t, a, 1); /* too late: nobody asks for it */
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		table_open(t, name);
	pass_slots(t, IDLE);
	table_open(t, 'n');
	assert_false(is_there(t, a));
	assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
}

static void
test_gateways_of_a_living_node_stay_and_those_before_a_restart_go(void **state)
{
	struct table *t = *state;
	struct decree_session one = open_gateway(t, 'a', 1, 0, 1);
	struct decree_session two = open_gateway(t, 'b', 1, 1, 2);
	struct decree_session late;

	table_open(t, 'c');
	table_open(t, 'd');
	for (char name = 'n'; name < 't'; name++) {
		pass_slots(t, IDLE);
		table_open(t, name);
	}
	assert_true(is_there(t, one) && is_there(t, two));
	/* The same place opened again: its predecessor gives way at once, and first. */
	struct decree_session next = open_gateway(t, 'e', 1, 0, 3);
	assert_false(is_there(t, one));
	assert_true(is_there(t, two));
	/* The node restarts: both give way to the next two, without any pause. */
	(void)open_gateway(t, 'f', 2, 0, 1);
	(void)open_gateway(t, 'g', 2, 1, 2);
	assert_false(is_there(t, next) || is_there(t, two));
	/* A registration of the life before comes late: an ordinary session. */
	pass_slots(t, IDLE);
	late = open_gateway(t, 'h', 1, 0, 9);
	for (char name = 'A'; name < 'A' + SESSIONS; name++) {
		pass_slots(t, IDLE);
		table_open(t, name);
	}
	assert_false(is_there(t, late));
}

/* What was on its way for long is not taken for newer than what overtook it. */
static void
test_a_gateway_that_another_has_overtaken_is_an_ordinary_session(void **state)
{
	struct table *t = *state;
	struct decree_session place0 = open_gateway(t, 'a', 1, 0, 5);
	struct decree_session late = open_gateway(t, 'b', 1, 0, 4); /* opened before it */
	struct decree_session place1 = open_gateway(t, 'c', 1, 1, 4);

	(void)table_open(t, 'd');
	for (char name = 'n'; name < 'n' + 2; name++) {
		pass_slots(t, IDLE);
		table_open(t, name);
	}
	assert_true(is_there(t, place0) && is_there(t, place1));
	assert_false(is_there(t, late));
}

static void
apply_config(struct table *t, uint32_t epoch, uint16_t member)
{
	uint8_t value[SLOT_BYTES];
	struct eng_membership m = { .epoch = epoch,
		.version = 1,
		.q1 = 1,
		.q2 = 1,
		.alpha = 3,
		.id_last = 7,
		.member_count = 1 };

	m.members[0] = (struct eng_member){ .node_id = member, .disk = member, .role = ENG_VOTER };
	table_apply_value(t, value, eng_value_config(value, &m));
}

/* A node that is no member any more protects nothing; one that will be a member does. */
static void
test_gateways_of_a_removed_node_give_way(void **state)
{
	struct table *t = *state;

	apply_config(t, 1, 7);
	struct decree_session gone = open_gateway(t, 'a', 1, 0, 1);
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		table_open(t, name);
	pass_slots(t, IDLE);
	table_open(t, 'n');
	assert_true(is_there(t, gone)); /* node 7 is a member */
	apply_config(t, 2, 1);
	pass_slots(t, IDLE);
	for (char name = 'o'; name < 'o' + SESSIONS; name++) {
		table_open(t, name);
		pass_slots(t, IDLE);
	}
	assert_false(is_there(t, gone));
	/* Decided, not in force yet: node 7 comes back into the cluster. */
	apply_config(t, 3, 7);
	struct decree_session next = open_gateway(t, 'x', 2, 0, 1);
	assert_true(is_there(t, next));
}

/* Rows come and go in every order: each session is found, and no other. */
static void
test_the_index_survives_evictions(void **state)
{
	struct table *t = *state;
	struct decree_session all[400];
	uint64_t random = 3;

	for (uint32_t i = 0; i < 400; i++) {
		uint8_t token[DECREE_UUID_BYTES] = { (uint8_t)i, (uint8_t)(i >> 8), 1 };

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		pass_slots(t, IDLE + (uint32_t)(random >> 60));
		assert_int_equal(
			table_apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)),
			ENG_REGISTERED);
		all[i] = t->applied[0].session;
		uint32_t found = 0;
		for (uint32_t j = 0; j <= i; j++) {
			int32_t row = eng_session_row(t->s, all[j]);
			found += row >= 0;
			assert_true(row < SESSIONS);
		}
		assert_int_equal(found, i < SESSIONS ? i + 1 : SESSIONS);
		struct decree_session used = all[i - (random >> 32) % (i < SESSIONS ? i + 1 : 4)];
		if (table_apply(t, used, eng_session_last(t->s, used) + 1, "x", 1) == ENG_EXECUTE)
			answer(t, used, eng_session_last(t->s, used));
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_the_longest_unused_session_gives_way, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(test_an_evicted_session_executes_nothing_any_more,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(test_a_session_with_an_answer_outstanding_stays,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_answers_that_fell_out_of_the_ring_are_not_waited_for, table_setup,
			table_teardown),
		cmocka_unit_test_setup_teardown(
			test_gateways_of_a_living_node_stay_and_those_before_a_restart_go,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_gateway_that_another_has_overtaken_is_an_ordinary_session,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_gateways_of_a_removed_node_give_way, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_the_index_survives_evictions, table_setup, table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
