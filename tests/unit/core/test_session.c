/* SPDX-License-Identifier: Apache-2.0 */
/* The session table: every command exactly once, whatever the log repeats (protocol 7.5). */
#include "tests/unit/core/session_table.h"

#include "base/digest.h"
#include "tests/lib/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
test_session_is_named_by_its_slot_and_index(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(a.n, 1ull << 16);
	assert_int_equal(eng_session_find(t->s, (const uint8_t *)"aaaaaaaaaaaaaaaa").n, a.n);
	assert_int_equal(eng_session_find(t->s, (const uint8_t *)"bbbbbbbbbbbbbbbb").n, 0);
}

/* A client that lost the answer registers again. */
static void
test_same_token_gives_the_same_session(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(table_open(t, 'a').n, a.n);
	assert_int_equal(eng_session_count(t->s), 1);
}

static void
test_full_table_refuses_strangers_and_still_knows_its_own(void **state)
{
	struct table *t = *state;
	uint8_t token[DECREE_UUID_BYTES] = "one too many";

	for (char name = 'a'; name < 'a' + SESSIONS; name++)
		table_open(t, name);
	assert_int_equal(table_apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)),
		ENG_TABLE_FULL);
	assert_int_equal(table_open(t, 'b').n, 2ull << 16);
}

static void
test_a_repeat_gets_the_first_answer_and_is_not_executed(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(table_apply(t, a, 1, "pay", 3), ENG_EXECUTE);
	assert_int_equal(table_apply(t, a, 1, "pay", 3), ENG_PENDING);
	applied_answer(t->s, a, 1, 7, 4711);
	assert_int_equal(table_apply(t, a, 1, "pay", 3), ENG_REPLAYED);
	assert_int_equal(t->applied[0].status, 7);
	assert_int_equal(t->applied[0].result, 4711);
	assert_int_equal(eng_session_last(t->s, a), 1);
}

/* E22: the last one, an older one, and both again after newer ones. */
static void
test_nothing_is_executed_twice(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	int executed = 0;

	for (uint64_t seq = 1; seq <= 5; seq++)
		for (uint64_t again = seq; again >= 1; again--)
			executed += table_apply(t, a, again, "body", 4) == ENG_EXECUTE;
	assert_int_equal(executed, 5);
}

/* Sent again with more behind it: what is old has its answer, what is new is executed (E22). */
static void
test_a_run_that_is_partly_old_is_split(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	struct eng_command commands[5];
	uint8_t value[SLOT_BYTES];

	for (uint32_t i = 0; i < 5; i++)
		commands[i] = (struct eng_command){ a, i + 1, (const uint8_t *)"body", 4 };
	table_apply_value(t, value, eng_value_batch(value, SLOT_BYTES, commands, 3));
	applied_answer(t->s, a, 2, 7, 4711);
	table_apply_value(t, value, eng_value_batch(value, SLOT_BYTES, commands + 1, 4));
	assert_int_equal(t->count, 4);
	assert_int_equal(t->applied[0].verdict, ENG_REPLAYED);
	assert_int_equal(t->applied[0].result, 4711);
	assert_int_equal(t->applied[1].verdict, ENG_PENDING);
	for (uint32_t i = 2; i < 4; i++) {
		assert_int_equal(t->applied[i].verdict, ENG_EXECUTE);
		assert_int_equal(t->applied[i].seq, i + 2);
		assert_int_equal(t->applied[i].index, i);
	}
	assert_int_equal(eng_session_last(t->s, a), 5);
}

static void
test_a_gap_changes_nothing(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(table_apply(t, a, 2, "two", 3), ENG_GAP);
	assert_int_equal(table_apply(t, a, UINT64_MAX, "far", 3), ENG_GAP);
	assert_int_equal(eng_session_last(t->s, a), 0);
	assert_int_equal(table_apply(t, a, 1, "one", 3), ENG_EXECUTE);
	assert_int_equal(table_apply(t, a, 2, "two", 3), ENG_EXECUTE);
}

static void
test_another_body_under_a_used_number_is_a_mismatch(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(table_apply(t, a, 1, "one", 3), ENG_EXECUTE);
	assert_int_equal(table_apply(t, a, 1, "eno", 3), ENG_MISMATCH);
	assert_int_equal(eng_session_last(t->s, a), 1);
}

/* A large command's fragments carry its whole digest: whether it is a repeat is seen before it is
 * put together. */
static void
test_the_short_digest_of_a_large_body_is_part_of_the_whole(void **state)
{
	static uint8_t body[5000];

	(void)state;
	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7 + (i >> 8));
	for (uint32_t bytes = 241; bytes < sizeof(body); bytes++)
		assert_int_equal(
			base_digest_short(body, bytes), (uint32_t)base_digest(body, bytes).lo);
}

/* Nobody knows any more what it answered, so it must not be guessed, let alone executed. */
static void
test_older_than_the_kept_replies_is_stale(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint16_t status;
	uint64_t result;

	for (uint64_t seq = 1; seq <= WINDOW + 1; seq++) {
		assert_int_equal(table_apply(t, a, seq, "body", 4), ENG_EXECUTE);
		applied_answer(t->s, a, seq, 0, seq);
	}
	assert_int_equal(table_apply(t, a, 1, "body", 4), ENG_STALE);
	assert_int_equal(table_apply(t, a, 0, "body", 4), ENG_STALE);
	assert_int_equal(table_apply(t, a, 2, "body", 4), ENG_REPLAYED);
	assert_int_equal(table_lookup(t->s, a, 1, &status, &result), ENG_STALE);
	assert_int_equal(table_lookup(t->s, a, 2, &status, &result), ENG_REPLAYED);
	assert_int_equal(result, 2);
	assert_int_equal(table_lookup(t->s, a, WINDOW + 2, &status, &result), ENG_GAP);

	assert_int_equal(
		eng_session_lookup(t->s, a, 2, base_digest_short("other", 5), &status, &result),
		ENG_MISMATCH);
}

/* An answer that comes after its place was reused must not land on another command. */
static void
test_an_answer_that_is_too_late_is_dropped(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint16_t status;
	uint64_t result;

	for (uint64_t seq = 1; seq <= WINDOW + 1; seq++)
		assert_int_equal(table_apply(t, a, seq, "body", 4), ENG_EXECUTE);
	applied_answer(t->s, a, 1, 9, 9);
	assert_int_equal(table_lookup(t->s, a, WINDOW + 1, &status, &result), ENG_PENDING);
}

static void
test_an_unknown_session_executes_nothing(void **state)
{
	struct table *t = *state;
	uint16_t status;
	uint64_t result;

	assert_int_equal(table_apply(t, (struct decree_session){ 5 }, 1, "x", 1), ENG_NO_SESSION);
	assert_int_equal(table_lookup(t->s, (struct decree_session){ 5 }, 1, &status, &result),
		ENG_NO_SESSION);
	assert_int_equal(
		eng_session_admit(t->s, (struct decree_session){ 5 }, 1), ENG_SUBMIT_NO_SESSION);
}

/* The leader keeps such a command out of the log; one that is in it all the same opens nothing. */
static void
test_a_registration_of_another_length_opens_nothing(void **state)
{
	struct table *t = *state;

	for (uint32_t bytes = 0; bytes <= ENG_REGISTRATION_GATEWAY_BYTES + 1; bytes++) {
		uint8_t body[ENG_REGISTRATION_GATEWAY_BYTES + 1] = { 0 };
		bool is_known = bytes == ENG_REGISTRATION_CLIENT_BYTES ||
				bytes == ENG_REGISTRATION_GATEWAY_BYTES;

		body[0] = (uint8_t)bytes;
		assert_int_equal(table_apply(t, (struct decree_session){ 0 }, 0, body, bytes),
			is_known ? ENG_REGISTERED : ENG_MISMATCH);
	}
	assert_int_equal(eng_session_count(t->s), 2);
}

static void
test_a_registration_survives_its_encoding(void **state)
{
	struct eng_registration client = { .token = "a client's token" };
	struct eng_registration gateway = {
		.token = "of one gateway..", .node_id = 3, .place = 4, .opened = 5, .boot_count = 6
	};
	struct eng_registration back;
	uint8_t body[ENG_REGISTRATION_GATEWAY_BYTES];

	(void)state;
	assert_int_equal(eng_registration_encode(&client, body), ENG_REGISTRATION_CLIENT_BYTES);
	eng_registration_decode(body, ENG_REGISTRATION_CLIENT_BYTES, &back);
	assert_memory_equal(back.token, client.token, sizeof(back.token));
	assert_int_equal(back.node_id, 0);
	assert_int_equal(eng_registration_encode(&gateway, body), ENG_REGISTRATION_GATEWAY_BYTES);
	eng_registration_decode(body, ENG_REGISTRATION_GATEWAY_BYTES, &back);
	assert_memory_equal(back.token, gateway.token, sizeof(back.token));
	assert_int_equal(back.node_id, 3);
	assert_int_equal(back.place, 4);
	assert_int_equal(back.opened, 5);
	assert_int_equal(back.boot_count, 6);
}

/* Each command of a run that goes over the end of the kept replies has its own digest and its own
 * answer, whatever the sizes of the bodies. */
static void
test_a_run_over_the_end_of_the_ring_is_answered_one_by_one(void **state)
{
	enum {
		FIRST = WINDOW - 3,
		COUNT = 8
	};
	struct table *t = *state;

	for (uint32_t is_mixed = 0; is_mixed <= 1; is_mixed++) {
		struct decree_session a = table_open(t, is_mixed ? 'b' : 'a');
		struct eng_command commands[COUNT];
		struct decree_answer answers[COUNT];
		uint8_t value[SLOT_BYTES];

		for (uint64_t seq = 1; seq < FIRST; seq++) {
			assert_int_equal(table_apply(t, a, seq, "body", 4), ENG_EXECUTE);
			applied_answer(t->s, a, seq, 0, 0);
		}
		for (uint32_t i = 0; i < COUNT; i++) {
			commands[i] = (struct eng_command){ a, FIRST + i,
				(const uint8_t *)"0123456789" + i, is_mixed ? 1 + i % 3 : 2 };
			answers[i] = (struct decree_answer){ .result = 100 + i,
				.status = (uint16_t)(i + 1) };
		}
		table_apply_value(t, value, eng_value_batch(value, SLOT_BYTES, commands, COUNT));
		eng_session_answer_run(
			t->s, (uint32_t)eng_session_row(t->s, a), FIRST, COUNT, answers);
		for (uint32_t i = 0; i < COUNT; i++) {
			uint32_t digest = base_digest_short(commands[i].body, commands[i].bytes);
			uint16_t status;
			uint64_t result;

			assert_int_equal(
				eng_session_lookup(t->s, a, FIRST + i, digest, &status, &result),
				ENG_REPLAYED);
			assert_int_equal(status, i + 1);
			assert_int_equal(result, 100 + i);
		}
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
	}
}

/* Parked together and answered together, when the first ones have given up their places: the others
 * get theirs. */
static void
test_a_run_of_answers_may_be_partly_too_late(void **state)
{
	static const struct decree_answer answers[3] = { { 1, 1 }, { 2, 2 }, { 3, 3 } };
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint16_t status;
	uint64_t result;

	for (uint64_t seq = 1; seq <= WINDOW + 2; seq++)
		assert_int_equal(table_apply(t, a, seq, "body", 4), ENG_EXECUTE);
	eng_session_answer_run(t->s, (uint32_t)eng_session_row(t->s, a), 1, 3, answers);
	assert_int_equal(table_lookup(t->s, a, 3, &status, &result), ENG_REPLAYED);
	assert_int_equal(status, 3);
	assert_int_equal(result, 3);
	assert_int_equal(table_lookup(t->s, a, 4, &status, &result), ENG_PENDING);
	assert_int_equal(table_lookup(t->s, a, WINDOW + 1, &status, &result), ENG_PENDING);
	assert_int_equal(table_lookup(t->s, a, WINDOW + 2, &status, &result), ENG_PENDING);
}

/* A machine that answers what nobody asked, or asked too long ago, changes nothing. */
static void
test_an_answer_without_a_question_is_nothing(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(table_apply(t, a, 1, "body", 4), ENG_EXECUTE);
	struct decree_digest before = eng_sessions_digest(t->s);
	applied_answer(t->s, (struct decree_session){ 99 << 16 }, 1, 7, 7);
	applied_answer(t->s, a, 0, 7, 7);
	applied_answer(t->s, a, 2, 7, 7);
	assert_true(digest_eq(before, eng_sessions_digest(t->s)));
	applied_answer(t->s, a, 1, 7, 7);
	assert_false(digest_eq(before, eng_sessions_digest(t->s)));
}

/* What a gateway is told of its own commands: the answer, as long as it is kept. */
static void
test_an_answer_is_known_as_long_as_it_is_kept(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');
	uint16_t status = 99;
	uint64_t result = 99;

	assert_int_equal(table_apply(t, a, 1, "body", 4), ENG_EXECUTE);
	assert_false(eng_session_answer_of(t->s, a, 1, &status, &result)); /* it waits */
	applied_answer(t->s, a, 1, 3, 4711);
	assert_false(eng_session_answer_of(
		t->s, (struct decree_session){ 99 << 16 }, 1, &status, &result));
	assert_false(eng_session_answer_of(t->s, a, 0, &status, &result));
	assert_false(eng_session_answer_of(t->s, a, 2, &status, &result));
	assert_int_equal(status, 99);
	assert_true(eng_session_answer_of(t->s, a, 1, &status, &result));
	assert_int_equal(status, 3);
	assert_int_equal(result, 4711);
	for (uint64_t seq = 2; seq <= WINDOW + 1; seq++)
		assert_int_equal(table_apply(t, a, seq, "body", 4), ENG_EXECUTE);
	assert_false(eng_session_answer_of(t->s, a, 1, &status, &result));
	assert_int_equal(table_lookup(t->s, a, 0, &status, &result), ENG_STALE);
}

static void
test_the_leader_admits_each_number_once_and_in_order(void **state)
{
	struct table *t = *state;
	struct decree_session a = table_open(t, 'a');

	assert_int_equal(eng_session_admit(t->s, a, 2), ENG_SUBMIT_GAP);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_OK);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_DUPLICATE);
	assert_int_equal(eng_session_admit(t->s, a, 2), ENG_SUBMIT_OK);
	/* A new leadership knows only what was executed. */
	eng_sessions_admit_reset(t->s);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_OK);
}

/* Cluster time never goes backwards, whatever the stamps say (7.3). */
static void
test_cluster_time_never_goes_backwards(void **state)
{
	static const uint64_t stamps[] = { 10, 30, 20, 31 };
	static const uint64_t expected[] = { 10, 30, 30, 31 };
	struct table *t = *state;
	uint8_t value[ENG_VALUE_HEADER_BYTES];

	for (uint32_t i = 0; i < 4; i++) {
		uint64_t cluster_ns;
		eng_value_begin(value, ENG_VALUE_NOOP);
		eng_value_set_stamp(value, stamps[i]);
		eng_sessions_apply(t->s, (struct decree_slot){ i + 1 }, value, sizeof(value),
			t->applied, NULL, &cluster_ns);
		assert_int_equal(cluster_ns, expected[i]);
	}
}

/* Commands of all kinds, answered at once, late or never: the running sum is the sum. */
static void
test_the_digest_is_that_of_the_table(void **state)
{
	struct table *t = *state;
	struct decree_session sessions[SESSIONS];
	uint64_t random = 7;

	for (uint32_t i = 0; i < SESSIONS; i++)
		sessions[i] = table_open(t, (char)('a' + i));
	for (uint32_t i = 0; i < 5000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		struct decree_session s = sessions[random >> 60 & (SESSIONS - 1)];
		uint64_t last = eng_session_last(t->s, s);
		uint64_t seq = last + (random >> 40 & 3) - (last > 1);
		struct decree_digest before = eng_sessions_digest(t->s);

		if (table_apply(t, s, seq, &seq, sizeof(seq)) != ENG_EXECUTE) {
			assert_true(digest_eq(before, eng_sessions_digest(t->s)));
			continue;
		}
		assert_false(digest_eq(before, eng_sessions_digest(t->s)));
		if ((random >> 33 & 7) != 0)
			applied_answer(t->s, s, seq, (uint16_t)(random >> 50), random);
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
	}
}

/* Any command after any other: the next ones of their sessions mostly, repeats, gaps, of nobody. */
static struct eng_command
draw_command(struct table *t, const struct decree_session *sessions, uint64_t *random,
	uint64_t ahead[SESSIONS])
{
	static const char bodies[] = "same other";

	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	uint32_t who = (*random >> 62) == 0 ? (uint32_t)(*random >> 58 & (SESSIONS - 1)) : 0;
	uint32_t kind = *random >> 50 & 15;
	uint64_t next = eng_session_last(t->s, sessions[who]) + ahead[who] + 1;
	uint64_t seq = kind == 0 ? next + 1 : kind == 1 ? next - 1 : kind == 2 ? 1 : next;

	ahead[who] += seq == next;
	return (struct eng_command){ .session = sessions[who],
		.seq = seq,
		.body = (const uint8_t *)bodies + (kind == 3 ? 5 : 0),
		.bytes = 4 + (*random >> 44 & 7 ? 0 : 2) };
}

static void
apply_batch(struct table *t, const struct eng_command *commands, uint32_t count,
	uint8_t value[SLOT_BYTES])
{
	uint32_t size = eng_value_batch(value, SLOT_BYTES, commands, count);

	assert_int_not_equal(size, 0);
	table_apply_value(t, value, size);
	assert_int_equal(t->count, count);
}

#define DRAWN_COUNT 7 /* fit a slot, each in a run of its own */

/* Runs of one session are executed at once, and nobody can tell (7.5). */
static void
test_a_batch_does_what_its_commands_do_one_by_one(void **state)
{
	struct table *t = *state, *alone;
	struct decree_session sessions[SESSIONS];
	uint64_t random = 11;

	table_setup((void **)&alone);
	for (uint32_t i = 0; i < SESSIONS; i++) {
		sessions[i] = table_open(t, (char)('a' + i));
		assert_int_equal(table_open(alone, (char)('a' + i)).n, sessions[i].n);
	}
	for (uint32_t round = 0; round < 2000; round++) {
		uint64_t ahead[SESSIONS] = { 0 };
		struct eng_command commands[DRAWN_COUNT];
		enum eng_verdict verdicts[DRAWN_COUNT];
		uint8_t value[SLOT_BYTES], one[SLOT_BYTES];

		for (uint32_t i = 0; i < DRAWN_COUNT; i++)
			commands[i] = draw_command(t, sessions, &random, ahead);
		apply_batch(t, commands, DRAWN_COUNT, value);
		for (uint32_t i = 0; i < DRAWN_COUNT; i++) {
			const struct eng_applied *a = &t->applied[i];

			verdicts[i] = a->verdict;
			assert_int_equal(a->index, i);
			assert_int_equal(a->seq, commands[i].seq);
			assert_memory_equal(a->body, commands[i].body, commands[i].bytes);
			apply_batch(alone, &commands[i], 1, one);
			assert_int_equal(alone->applied[0].verdict, verdicts[i]);
		}
		for (uint32_t i = 0; i < DRAWN_COUNT; i++)
			if (verdicts[i] == ENG_EXECUTE && (random >> (20 + i) & 1) != 0) {
				applied_answer(
					t->s, commands[i].session, commands[i].seq, 1, round);
				applied_answer(
					alone->s, commands[i].session, commands[i].seq, 1, round);
			}
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest(alone->s)));
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
	}
	table_teardown((void **)&alone);
}

/* One answer that differs is enough. */
static void
test_another_answer_is_another_digest(void **state)
{
	struct table *t = *state;
	struct decree_digest digests[4];

	for (uint32_t i = 0; i < 4; i++) {
		memset(t->memory, 0, t->memory_bytes);
		t->s = eng_sessions_init(t->memory, &t->cfg);
		t->slot = 0;
		struct decree_session a = table_open(t, 'a');
		assert_int_equal(table_apply(t, a, 1, "body", 4), ENG_EXECUTE);
		if (i < 3)
			applied_answer(t->s, a, 1, i == 1 ? 5 : 4, i == 2 ? 5 : 4);
		digests[i] = eng_state_digest(t->s, (struct decree_digest){ 0, 0 });
		for (uint32_t j = 0; j < i; j++)
			assert_false(digest_eq(digests[i], digests[j]));
	}
}

static void
apply_version(struct table *t, uint32_t version)
{
	struct eng_membership m = {
		.epoch = 1,
		.version = 1,
		.q1 = 1,
		.q2 = 1,
		.alpha = 3,
		.id_last = 1,
		.member_count = 1,
		.members[0] = { .node_id = 1, .disk = 1, .role = ENG_VOTER },
	};
	uint8_t value[SLOT_BYTES];

	memset(t->memory, 0, t->memory_bytes);
	t->s = eng_sessions_init(t->memory, &t->cfg);
	t->slot = 0;
	table_apply_value(t, value, eng_value_config(value, &m));
	m.epoch = 2;
	m.version = version;
	table_apply_value(t, value, eng_value_config(value, &m));
}

/* From the slot on from which it governs: nodes that do not agree on that slot are found out (16). */
static void
test_another_version_is_another_digest(void **state)
{
	struct decree_digest digests[2][4];
	struct table *t = *state;

	for (uint32_t version = 1; version <= 2; version++) {
		apply_version(t, version);
		for (uint32_t i = 0; i < 4; i++) {
			uint8_t noop[ENG_VALUE_HEADER_BYTES];

			digests[version - 1][i] =
				eng_state_digest(t->s, (struct decree_digest){ 0, 0 });
			table_apply_value(t, noop, eng_value_begin(noop, ENG_VALUE_NOOP));
		}
	}
	assert_true(digest_eq(digests[0][0], digests[1][0]));
	assert_true(digest_eq(digests[0][1], digests[1][1]));
	assert_false(digest_eq(digests[0][2], digests[1][2]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_session_is_named_by_its_slot_and_index, table_setup, table_teardown),
		cmocka_unit_test(test_the_short_digest_of_a_large_body_is_part_of_the_whole),
		cmocka_unit_test_setup_teardown(
			test_same_token_gives_the_same_session, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_full_table_refuses_strangers_and_still_knows_its_own, table_setup,
			table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_repeat_gets_the_first_answer_and_is_not_executed, table_setup,
			table_teardown),
		cmocka_unit_test_setup_teardown(
			test_nothing_is_executed_twice, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_run_that_is_partly_old_is_split, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_gap_changes_nothing, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(test_another_body_under_a_used_number_is_a_mismatch,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_older_than_the_kept_replies_is_stale, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_an_answer_that_is_too_late_is_dropped, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_an_unknown_session_executes_nothing, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(test_a_registration_of_another_length_opens_nothing,
			table_setup, table_teardown),
		cmocka_unit_test(test_a_registration_survives_its_encoding),
		cmocka_unit_test_setup_teardown(
			test_a_run_over_the_end_of_the_ring_is_answered_one_by_one, table_setup,
			table_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_run_of_answers_may_be_partly_too_late, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_an_answer_without_a_question_is_nothing, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_an_answer_is_known_as_long_as_it_is_kept, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_the_leader_admits_each_number_once_and_in_order, table_setup,
			table_teardown),
		cmocka_unit_test_setup_teardown(
			test_cluster_time_never_goes_backwards, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(test_a_batch_does_what_its_commands_do_one_by_one,
			table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_the_digest_is_that_of_the_table, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_another_answer_is_another_digest, table_setup, table_teardown),
		cmocka_unit_test_setup_teardown(
			test_another_version_is_another_digest, table_setup, table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
