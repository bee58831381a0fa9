/* SPDX-License-Identifier: Apache-2.0 */
/* The session table: every command exactly once, whatever the log repeats (protocol 7.5, 7.5a). */
#include "engine/core/session.h"

#include "base/assert.h"
#include "base/digest.h"
#include "engine/core/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOT_BYTES 200
#define WINDOW     64
#define SESSIONS   4
#define IDLE       100
#define PART_BYTES (SLOT_BYTES - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES)

struct table {
	struct eng_sessions *s;
	void *memory;
	size_t memory_bytes;
	struct eng_config cfg;
	uint64_t slot;
	struct eng_applied applied[64];
	uint32_t count;
};

static int
setup(void **state)
{
	struct eng_config cfg = {
		.session_count = SESSIONS,
		.session_window = WINDOW,
		.session_idle_slots = IDLE,
		.command_bytes_max = 1000,
		.slot_bytes = SLOT_BYTES,
	};
	struct table *t = calloc(1, sizeof(*t));

	t->cfg = cfg;
	t->memory_bytes = eng_sessions_bytes(&cfg);
	t->memory = calloc(1, t->memory_bytes);
	t->s = eng_sessions_init(t->memory, &cfg);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct table *t = *state;

	free(t->memory);
	free(t);
	return 0;
}

static void
apply_value(struct table *t, const uint8_t *value, uint32_t bytes)
{
	uint64_t cluster_ns;

	t->count = eng_sessions_apply(
		t->s, (struct decree_slot){ ++t->slot }, value, bytes, t->applied, &cluster_ns);
}

static enum eng_verdict
apply(struct table *t, struct decree_session session, uint64_t seq, const void *body,
	uint32_t bytes)
{
	uint8_t value[SLOT_BYTES];
	struct eng_command c = { session, seq, body, bytes };
	uint32_t size = eng_value_begin(value, ENG_VALUE_BATCH);

	size = eng_value_add(value, size, sizeof(value), &c);
	assert_int_not_equal(size, 0);
	apply_value(t, value, size);
	assert_int_equal(t->count, 1);
	return t->applied[0].verdict;
}

static enum eng_verdict
lookup(const struct eng_sessions *s, struct decree_session session, uint64_t seq,
	uint16_t *ret_status, uint64_t *ret_result)
{
	return eng_session_lookup(s, session, seq, base_digest("body", 4), ret_status, ret_result);
}

static struct decree_session
open_session(struct table *t, char name)
{
	uint8_t token[DECREE_UUID_BYTES];

	memset(token, name, sizeof(token));
	assert_int_equal(
		apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)), ENG_REGISTERED);
	return t->applied[0].session;
}

static void
test_session_is_named_by_its_slot_and_index(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(a.n, 1ull << 16);
	assert_int_equal(eng_session_find(t->s, (const uint8_t *)"aaaaaaaaaaaaaaaa").n, a.n);
	assert_int_equal(eng_session_find(t->s, (const uint8_t *)"bbbbbbbbbbbbbbbb").n, 0);
}

/* A client that lost the answer registers again. */
static void
test_same_token_gives_the_same_session(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(open_session(t, 'a').n, a.n);
	assert_int_equal(eng_session_count(t->s), 1);
}

static void
test_full_table_refuses_strangers_and_still_knows_its_own(void **state)
{
	struct table *t = *state;
	uint8_t token[DECREE_UUID_BYTES] = "one too many";

	for (char name = 'a'; name < 'a' + SESSIONS; name++)
		open_session(t, name);
	assert_int_equal(
		apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)), ENG_TABLE_FULL);
	assert_int_equal(open_session(t, 'b').n, 2ull << 16);
}

static void
test_a_repeat_gets_the_first_answer_and_is_not_executed(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(apply(t, a, 1, "pay", 3), ENG_EXECUTE);
	assert_int_equal(apply(t, a, 1, "pay", 3), ENG_PENDING);
	eng_session_answer(t->s, a, 1, 7, 4711);
	assert_int_equal(apply(t, a, 1, "pay", 3), ENG_REPLAYED);
	assert_int_equal(t->applied[0].status, 7);
	assert_int_equal(t->applied[0].result, 4711);
	assert_int_equal(eng_session_last(t->s, a), 1);
}

/* E22: the last one, an older one, and both again after newer ones. */
static void
test_nothing_is_executed_twice(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');
	int executed = 0;

	for (uint64_t seq = 1; seq <= 5; seq++)
		for (uint64_t again = seq; again >= 1; again--)
			executed += apply(t, a, again, "body", 4) == ENG_EXECUTE;
	assert_int_equal(executed, 5);
}

static void
test_a_gap_changes_nothing(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(apply(t, a, 2, "two", 3), ENG_GAP);
	assert_int_equal(apply(t, a, UINT64_MAX, "far", 3), ENG_GAP);
	assert_int_equal(eng_session_last(t->s, a), 0);
	assert_int_equal(apply(t, a, 1, "one", 3), ENG_EXECUTE);
	assert_int_equal(apply(t, a, 2, "two", 3), ENG_EXECUTE);
}

static void
test_another_body_under_a_used_number_is_a_mismatch(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(apply(t, a, 1, "one", 3), ENG_EXECUTE);
	assert_int_equal(apply(t, a, 1, "eno", 3), ENG_MISMATCH);
	assert_int_equal(eng_session_last(t->s, a), 1);
}

/* Nobody knows any more what it answered, so it must not be guessed, let alone executed. */
static void
test_older_than_the_kept_replies_is_stale(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');
	uint16_t status;
	uint64_t result;

	for (uint64_t seq = 1; seq <= WINDOW + 1; seq++) {
		assert_int_equal(apply(t, a, seq, "body", 4), ENG_EXECUTE);
		eng_session_answer(t->s, a, seq, 0, seq);
	}
	assert_int_equal(apply(t, a, 1, "body", 4), ENG_STALE);
	assert_int_equal(apply(t, a, 0, "body", 4), ENG_STALE);
	assert_int_equal(apply(t, a, 2, "body", 4), ENG_REPLAYED);
	assert_int_equal(lookup(t->s, a, 1, &status, &result), ENG_STALE);
	assert_int_equal(lookup(t->s, a, 2, &status, &result), ENG_REPLAYED);
	assert_int_equal(result, 2);
	assert_int_equal(lookup(t->s, a, WINDOW + 2, &status, &result), ENG_GAP);

	assert_int_equal(eng_session_lookup(t->s, a, 2, base_digest("other", 5), &status, &result),
		ENG_MISMATCH);
}

/* An answer that comes after its place was reused must not land on another command. */
static void
test_an_answer_that_is_too_late_is_dropped(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');
	uint16_t status;
	uint64_t result;

	for (uint64_t seq = 1; seq <= WINDOW + 1; seq++)
		assert_int_equal(apply(t, a, seq, "body", 4), ENG_EXECUTE);
	eng_session_answer(t->s, a, 1, 9, 9);
	assert_int_equal(lookup(t->s, a, WINDOW + 1, &status, &result), ENG_PENDING);
}

static void
test_an_unknown_session_executes_nothing(void **state)
{
	struct table *t = *state;
	uint16_t status;
	uint64_t result;

	assert_int_equal(apply(t, (struct decree_session){ 5 }, 1, "x", 1), ENG_NO_SESSION);
	assert_int_equal(
		lookup(t->s, (struct decree_session){ 5 }, 1, &status, &result), ENG_NO_SESSION);
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
		assert_int_equal(apply(t, (struct decree_session){ 0 }, 0, body, bytes),
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

/* A machine that answers what nobody asked, or asked too long ago, changes nothing. */
static void
test_an_answer_without_a_question_is_nothing(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(apply(t, a, 1, "body", 4), ENG_EXECUTE);
	struct decree_digest before = eng_sessions_digest(t->s);
	eng_session_answer(t->s, (struct decree_session){ 99 << 16 }, 1, 7, 7);
	eng_session_answer(t->s, a, 0, 7, 7);
	eng_session_answer(t->s, a, 2, 7, 7);
	assert_true(digest_eq(before, eng_sessions_digest(t->s)));
	eng_session_answer(t->s, a, 1, 7, 7);
	assert_false(digest_eq(before, eng_sessions_digest(t->s)));
}

/* What a gateway is told of its own commands: the answer, as long as it is kept. */
static void
test_an_answer_is_known_as_long_as_it_is_kept(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');
	uint16_t status = 99;
	uint64_t result = 99;

	assert_int_equal(apply(t, a, 1, "body", 4), ENG_EXECUTE);
	assert_false(eng_session_answer_of(t->s, a, 1, &status, &result)); /* it waits */
	eng_session_answer(t->s, a, 1, 3, 4711);
	assert_false(eng_session_answer_of(
		t->s, (struct decree_session){ 99 << 16 }, 1, &status, &result));
	assert_false(eng_session_answer_of(t->s, a, 0, &status, &result));
	assert_false(eng_session_answer_of(t->s, a, 2, &status, &result));
	assert_int_equal(status, 99);
	assert_true(eng_session_answer_of(t->s, a, 1, &status, &result));
	assert_int_equal(status, 3);
	assert_int_equal(result, 4711);
	for (uint64_t seq = 2; seq <= WINDOW + 1; seq++)
		assert_int_equal(apply(t, a, seq, "body", 4), ENG_EXECUTE);
	assert_false(eng_session_answer_of(t->s, a, 1, &status, &result));
	assert_int_equal(lookup(t->s, a, 0, &status, &result), ENG_STALE);
}

static void
test_the_leader_admits_each_number_once_and_in_order(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(eng_session_admit(t->s, a, 2), ENG_SUBMIT_GAP);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_OK);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_DUPLICATE);
	assert_int_equal(eng_session_admit(t->s, a, 2), ENG_SUBMIT_OK);
	/* A new leadership knows only what was executed. */
	eng_sessions_admit_reset(t->s);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_OK);
}

/* ---- trains ---- */

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

	apply_value(t, value, eng_value_fragment(value, &f));
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
	struct decree_session a = open_session(t, 'a');
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
	struct decree_session a = open_session(t, 'a');
	struct decree_session b = open_session(t, 'b');
	uint8_t body[500];

	fill_body(body, sizeof(body));
	apply_part(t, a, 1, 3, 0, body, sizeof(body));
	apply_part(t, a, 1, 3, 1, body, sizeof(body));
	assert_int_equal(apply(t, b, 1, "x", 1), ENG_EXECUTE);
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
	struct decree_session a = open_session(t, 'a');
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
	struct decree_session a = open_session(t, 'a');
	struct decree_session b = open_session(t, 'b');
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

	apply_value(t, value, eng_value_fragment(value, &f));
}

/* Parts that make more or fewer bytes than their command has: no proposer makes them, and none is executed. */
static void
test_a_train_of_another_length_is_dropped(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');
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
	struct decree_session a = open_session(t, 'a');
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
	struct decree_session a = open_session(t, 'a');
	uint8_t body[1001];

	fill_body(body, sizeof(body));
	for (uint32_t part = 0; part < eng_value_part_count(sizeof(body), SLOT_BYTES); part++)
		apply_part(t, a, 1, 2, part, body, sizeof(body));
	assert_int_equal(t->count, 0);
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
			t->applied, &cluster_ns);
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
		sessions[i] = open_session(t, (char)('a' + i));
	for (uint32_t i = 0; i < 5000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		struct decree_session s = sessions[random >> 60 & (SESSIONS - 1)];
		uint64_t last = eng_session_last(t->s, s);
		uint64_t seq = last + (random >> 40 & 3) - (last > 1);
		struct decree_digest before = eng_sessions_digest(t->s);

		if (apply(t, s, seq, &seq, sizeof(seq)) != ENG_EXECUTE) {
			assert_true(digest_eq(before, eng_sessions_digest(t->s)));
			continue;
		}
		assert_false(digest_eq(before, eng_sessions_digest(t->s)));
		if ((random >> 33 & 7) != 0)
			eng_session_answer(t->s, s, seq, (uint16_t)(random >> 50), random);
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
	}
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
		struct decree_session a = open_session(t, 'a');
		assert_int_equal(apply(t, a, 1, "body", 4), ENG_EXECUTE);
		if (i < 3)
			eng_session_answer(t->s, a, 1, i == 1 ? 5 : 4, i == 2 ? 5 : 4);
		digests[i] = eng_state_digest(t->s, (struct decree_digest){ 0, 0 });
		for (uint32_t j = 0; j < i; j++)
			assert_false(digest_eq(digests[i], digests[j]));
	}
}

/* ---- eviction (7.5) ---- */

static void
pass_slots(struct table *t, uint32_t count)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];

	for (uint32_t i = 0; i < count; i++)
		apply_value(t, value, eng_value_begin(value, ENG_VALUE_NOOP));
}

/* @return the verdict; the session stands in t->applied[0] */
static enum eng_verdict
try_open(struct table *t, char name)
{
	uint8_t token[DECREE_UUID_BYTES];

	memset(token, name, sizeof(token));
	return apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token));
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
	assert_int_equal(apply(t, (struct decree_session){ 0 }, 0, body, bytes), ENG_REGISTERED);
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
	eng_session_answer(t->s, s, seq, 0, seq);
}

static void
test_the_longest_unused_session_gives_way(void **state)
{
	struct table *t = *state;
	struct decree_session s[SESSIONS];

	for (uint32_t i = 0; i < SESSIONS; i++)
		s[i] = open_session(t, (char)('a' + i));
	assert_int_equal(apply(t, s[0], 1, "x", 1), ENG_EXECUTE); /* used after s[1] */
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

/* [E22] What an evicted session did is not done again, whoever repeats it, even after the same token came back. */
static void
test_an_evicted_session_executes_nothing_any_more(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');
	uint16_t status;
	uint64_t result;

	assert_int_equal(apply(t, a, 1, "pay", 3), ENG_EXECUTE);
	answer(t, a, 1);
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		open_session(t, name);
	pass_slots(t, IDLE);
	open_session(t, 'n');
	assert_int_equal(apply(t, a, 1, "pay", 3), ENG_EVICTED);
	assert_int_equal(apply(t, a, 2, "pay", 3), ENG_EVICTED);
	assert_int_equal(lookup(t->s, a, 1, &status, &result), ENG_EVICTED);
	assert_int_equal(eng_session_admit(t->s, a, 1), ENG_SUBMIT_EVICTED);
	assert_int_equal(eng_session_admit(t->s, a, 2), ENG_SUBMIT_EVICTED);
	pass_slots(t, IDLE);
	struct decree_session again = open_session(t, 'a');
	assert_int_not_equal(again.n, a.n);
	assert_int_equal(apply(t, a, 1, "pay", 3), ENG_EVICTED);
	assert_int_equal(eng_session_last(t->s, again), 0);
	/* A number that no slot can have given was no session. */
	assert_int_equal(apply(t, (struct decree_session){ (t->slot + 10) << 16 }, 1, "x", 1),
		ENG_NO_SESSION);
}

static void
test_a_session_with_an_answer_outstanding_stays(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	assert_int_equal(apply(t, a, 1, "reserve", 7), ENG_EXECUTE); /* waits */
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		open_session(t, name);
	for (char name = 'n'; name < 'n' + 2 * SESSIONS; name++) {
		pass_slots(t, IDLE);
		open_session(t, name);
		assert_true(is_there(t, a));
	}
	answer(t, a, 1);
	for (char name = 'A'; name < 'A' + SESSIONS; name++) {
		pass_slots(t, IDLE);
		open_session(t, name);
	}
	assert_false(is_there(t, a));
}

/* A window full of them: the count of outstanding answers follows the ring. */
static void
test_answers_that_fell_out_of_the_ring_are_not_waited_for(void **state)
{
	struct table *t = *state;
	struct decree_session a = open_session(t, 'a');

	for (uint64_t seq = 1; seq <= 2 * WINDOW; seq++)
		assert_int_equal(apply(t, a, seq, "x", 1), ENG_EXECUTE);
	for (uint64_t seq = WINDOW + 1; seq <= 2 * WINDOW; seq++)
		answer(t, a, seq);
	answer(t, a, 1); /* too late: nobody asks for it */
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		open_session(t, name);
	pass_slots(t, IDLE);
	open_session(t, 'n');
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

	open_session(t, 'c');
	open_session(t, 'd');
	for (char name = 'n'; name < 't'; name++) {
		pass_slots(t, IDLE);
		open_session(t, name);
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
		open_session(t, name);
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

	(void)open_session(t, 'd');
	for (char name = 'n'; name < 'n' + 2; name++) {
		pass_slots(t, IDLE);
		open_session(t, name);
	}
	assert_true(is_there(t, place0) && is_there(t, place1));
	assert_false(is_there(t, late));
}

static void
apply_config(struct table *t, uint32_t epoch, uint16_t member)
{
	uint8_t value[SLOT_BYTES];
	struct eng_membership m = {
		.epoch = epoch, .q1 = 1, .q2 = 1, .alpha = 3, .id_last = 7, .member_count = 1
	};

	m.members[0] = (struct eng_member){ .node_id = member, .disk = member, .role = ENG_VOTER };
	apply_value(t, value, eng_value_config(value, &m));
}

/* A node that is no member any more protects nothing; one that will be a member does. */
static void
test_gateways_of_a_removed_node_give_way(void **state)
{
	struct table *t = *state;

	apply_config(t, 1, 7);
	struct decree_session gone = open_gateway(t, 'a', 1, 0, 1);
	for (char name = 'b'; name < 'a' + SESSIONS; name++)
		open_session(t, name);
	pass_slots(t, IDLE);
	open_session(t, 'n');
	assert_true(is_there(t, gone)); /* node 7 is a member */
	apply_config(t, 2, 1);
	pass_slots(t, IDLE);
	for (char name = 'o'; name < 'o' + SESSIONS; name++) {
		open_session(t, name);
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
		assert_int_equal(apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)),
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
		if (apply(t, used, eng_session_last(t->s, used) + 1, "x", 1) == ENG_EXECUTE)
			answer(t, used, eng_session_last(t->s, used));
		assert_true(digest_eq(eng_sessions_digest(t->s), eng_sessions_digest_anew(t->s)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_session_is_named_by_its_slot_and_index, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_same_token_gives_the_same_session, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_full_table_refuses_strangers_and_still_knows_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_repeat_gets_the_first_answer_and_is_not_executed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_executed_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_gap_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_body_under_a_used_number_is_a_mismatch, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_older_than_the_kept_replies_is_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_answer_that_is_too_late_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_unknown_session_executes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_leader_admits_each_number_once_and_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_train_is_executed_with_its_last_fragment, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_any_other_slot_closes_a_train, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_fragments_out_of_order_are_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_train_with_a_wrong_digest_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_train_beyond_the_command_limit_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_cluster_time_never_goes_backwards, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_digest_is_that_of_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_answer_is_another_digest, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_longest_unused_session_gives_way, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_evicted_session_executes_nothing_any_more, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_session_with_an_answer_outstanding_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_answers_that_fell_out_of_the_ring_are_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_gateways_of_a_living_node_stay_and_those_before_a_restart_go, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_a_registration_of_another_length_opens_nothing, setup, teardown),
		cmocka_unit_test(test_a_registration_survives_its_encoding),
		cmocka_unit_test_setup_teardown(
			test_an_answer_without_a_question_is_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_answer_is_known_as_long_as_it_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_part_of_another_train_closes_the_train, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_train_of_another_length_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_gateway_that_another_has_overtaken_is_an_ordinary_session, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_gateways_of_a_removed_node_give_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_index_survives_evictions, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
