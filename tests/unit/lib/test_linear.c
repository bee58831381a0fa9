/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge is judged: histories whose verdict is known, written down by hand; thousands of small
 * random ones against a check that tries every permutation; long ones that are legal by
 * construction, and the same with one answer replaced by an older one.
 */
#include "tests/lib/linear.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OP_MAX 8

/* ---- written by hand ---- */

struct row {
	const char *name;
	const struct linear_model *model;
	enum linear_verdict verdict;
	uint32_t core; /* VIOLATION: operations that the report may name at most */
	struct history_op ops[OP_MAX];
};

#define READ(who, from, to, value)                                                                 \
	{                                                                                          \
		.client = who, .kind = HISTORY_READ, .result = { value }, .invoked = from,         \
		.returned = to                                                                     \
	}
#define WRITE(who, from, to, value)                                                                \
	{                                                                                          \
		.client = who, .kind = HISTORY_WRITE, .argument = { value }, .invoked = from,      \
		.returned = to                                                                     \
	}
#define CAS(who, from, to, old, new, done)                                                         \
	{                                                                                          \
		.client = who, .kind = HISTORY_CAS, .argument = { old, new }, .result = { done },  \
		.invoked = from, .returned = to                                                    \
	}
#define APPEND(who, from, to, value, place)                                                        \
	{                                                                                          \
		.client = who, .kind = HISTORY_APPEND, .argument = { value }, .result = { place }, \
		.invoked = from, .returned = to                                                    \
	}
#define COUNT(who, from, to, count)                                                                \
	{                                                                                          \
		.client = who, .kind = HISTORY_READ, .result = { count }, .invoked = from,         \
		.returned = to                                                                     \
	}
#define PENDING HISTORY_NEVER

static const struct row rows[] = {
	{ "nothing happened", &linear_register, LINEAR_OK, 0, { { 0 } } },
	{ "a write, then a read of it", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, 2, 5), READ(1, 3, 4, 5) } },
	/* Herlihy and Wing, figure 1: a read that overlaps a write may see either value. */
	{ "a read beside a write sees the old value", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, 4, 5), READ(2, 2, 3, 0) } },
	{ "a read beside a write sees the new value", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, 4, 5), READ(2, 2, 3, 5) } },
	{ "stale read: a deposed leader answers from memory", &linear_register, LINEAR_VIOLATION, 3,
		{ WRITE(1, 1, 2, 1), WRITE(1, 3, 4, 2), READ(2, 5, 6, 1) } },
	{ "a read that goes back in time behind another read", &linear_register, LINEAR_VIOLATION,
		2, { WRITE(1, 1, 10, 1), READ(2, 2, 3, 1), READ(3, 4, 5, 0) } },
	{ "a value that nobody wrote", &linear_register, LINEAR_VIOLATION, 1,
		{ WRITE(1, 1, 2, 1), READ(2, 3, 4, 9) } },
	{ "lost write: acknowledged, then gone", &linear_register, LINEAR_VIOLATION, 2,
		{ WRITE(1, 1, 2, 1), READ(2, 3, 4, 0) } },
	{ "lost update: two increments from the same value", &linear_register, LINEAR_VIOLATION, 2,
		{ CAS(1, 1, 4, 0, 1, 1), CAS(2, 2, 3, 0, 1, 1) } },
	{ "a refused cas that must have swapped", &linear_register, LINEAR_VIOLATION, 2,
		{ WRITE(1, 1, 2, 7), CAS(2, 3, 4, 7, 8, 0) } },
	{ "a refused cas beside the write it missed", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, 4, 7), CAS(2, 2, 3, 7, 8, 0) } },
	{ "two holders of a lock", &linear_register, LINEAR_VIOLATION, 2,
		{ CAS(1, 1, 2, 0, 1, 1), CAS(2, 3, 4, 0, 2, 1) } },
	{ "a lock that changes hands", &linear_register, LINEAR_OK, 0,
		{ CAS(1, 1, 2, 0, 1, 1), CAS(1, 3, 4, 1, 0, 1), CAS(2, 3, 5, 0, 2, 1) } },
	{ "a write without answer may happen late", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, PENDING, 1), READ(2, 2, 3, 0), READ(2, 4, 5, 1) } },
	{ "a write without answer may never happen", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, PENDING, 1), READ(2, 2, 3, 0), READ(2, 4, 5, 0) } },
	/* The value of a failed write is seen, then vanishes: it cannot have been chosen and not. */
	{ "a write without answer happens once at most", &linear_register, LINEAR_VIOLATION, 2,
		{ WRITE(1, 1, PENDING, 1), READ(2, 2, 3, 1), READ(2, 4, 5, 0) } },
	{ "a write without answer does not happen before it began", &linear_register,
		LINEAR_VIOLATION, 1, { READ(2, 1, 2, 1), WRITE(1, 3, PENDING, 1) } },
	{ "of two equal writes without answer each happens once", &linear_register, LINEAR_OK, 0,
		{ WRITE(1, 1, PENDING, 1), WRITE(2, 2, PENDING, 1), READ(3, 3, 4, 1),
			WRITE(3, 5, 6, 0), READ(3, 7, 8, 1), READ(3, 9, 10, 1) } },
	{ "the second of two equal writes without answer begins late", &linear_register, LINEAR_OK,
		0,
		{ WRITE(1, 1, PENDING, 1), READ(3, 2, 3, 1), WRITE(3, 4, 5, 0),
			WRITE(2, 6, PENDING, 1), READ(3, 7, 8, 1) } },
	{ "but not thrice", &linear_register, LINEAR_VIOLATION, 8,
		{ WRITE(1, 1, PENDING, 1), WRITE(2, 2, PENDING, 1), READ(3, 3, 4, 1),
			WRITE(3, 5, 6, 0), READ(3, 7, 8, 1), WRITE(3, 9, 10, 0),
			READ(3, 11, 12, 1) } },
	/* Concurrent writes have one order for all readers. */
	{ "two readers see two writes in two orders", &linear_register, LINEAR_VIOLATION, 4,
		{ WRITE(1, 1, 20, 1), WRITE(2, 2, 21, 2), READ(3, 3, 4, 1), READ(4, 5, 6, 2),
			READ(3, 7, 8, 1) } },
	{ "a log tells consecutive places", &linear_log, LINEAR_OK, 0,
		{ APPEND(1, 1, 4, 10, 2), APPEND(2, 2, 3, 20, 1), COUNT(3, 5, 6, 2) } },
	{ "one place for two", &linear_log, LINEAR_VIOLATION, 2,
		{ APPEND(1, 1, 4, 10, 1), APPEND(2, 2, 3, 20, 1) } },
	{ "a place that nobody filled", &linear_log, LINEAR_VIOLATION, 1,
		{ APPEND(1, 1, 2, 10, 2) } },
	{ "a place that somebody without answer filled", &linear_log, LINEAR_OK, 0,
		{ APPEND(2, 1, PENDING, 20, 0), APPEND(1, 1, 2, 10, 2) } },
	{ "places against the order of time", &linear_log, LINEAR_VIOLATION, 2,
		{ APPEND(1, 1, 2, 10, 2), APPEND(2, 3, 4, 20, 1) } },
	{ "a count that misses an acknowledged append", &linear_log, LINEAR_VIOLATION, 2,
		{ APPEND(1, 1, 2, 10, 1), COUNT(2, 3, 4, 0) } },
	{ "executed twice", &linear_log, LINEAR_VIOLATION, 2,
		{ APPEND(1, 1, 2, 10, 1), COUNT(2, 3, 4, 2) } },
	{ "executed again after a repeat", &linear_log, LINEAR_VIOLATION, 1,
		{ APPEND(1, 1, PENDING, 10, 0), COUNT(2, 3, 4, 2) } },
};

static uint32_t
ops_count(const struct history_op *ops)
{
	uint32_t count = 0;

	while (count < OP_MAX && ops[count].kind != 0)
		count++;
	return count;
}

/* How many operations the report names. */
static uint32_t
reported(const struct history_op *ops, uint32_t count, const struct linear_model *model)
{
	struct history_op copy[OP_MAX];
	char *text = NULL;
	size_t bytes = 0;
	uint32_t lines = 0;
	FILE *out = open_memstream(&text, &bytes);

	memcpy(copy, ops, count * sizeof(*ops));
	linear_explain(copy, count, model, out);
	fclose(out);
	for (size_t i = 0; i < bytes; i++)
		lines += text[i] == '\n';
	free(text);
	return lines - 1;
}

static void
test_row(void **state)
{
	const struct row *row = *state;
	uint32_t count = ops_count(row->ops);

	assert_int_equal(linear_search(row->ops, count, row->model, 10000, NULL), row->verdict);
	if (row->verdict == LINEAR_VIOLATION)
		assert_in_range(reported(row->ops, count, row->model), 1, row->core);
}

/* ---- every permutation ---- */

static bool
may_come_next(const struct history_op *ops, uint32_t count, uint32_t done, uint32_t op)
{
	for (uint32_t i = 0; i < count; i++)
		if (!(done & 1u << i) && i != op && ops[i].returned < ops[op].invoked)
			return false;
	return true;
}

/* Wing and Gong without any of the cleverness that is under test. */
static bool
any_order(const struct history_op *ops, uint32_t count, const struct linear_model *model,
	uint32_t done, struct linear_state state)
{
	bool all_answered = true;

	for (uint32_t i = 0; i < count; i++)
		all_answered &= (done & 1u << i) != 0 || ops[i].returned == HISTORY_NEVER;
	if (all_answered)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		struct linear_state next;
		if ((done & 1u << i) == 0 && may_come_next(ops, count, done, i) &&
			model->step(&state, &ops[i], &next) &&
			any_order(ops, count, model, done | 1u << i, next))
			return true;
	}
	return false;
}

static uint64_t
draw(uint64_t *random, uint64_t bound)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % bound;
}

/* Any answers, few values: about half of these histories are good. */
static void
random_answer(uint64_t *random, const struct linear_model *model, struct history_op *op)
{
	if (model == &linear_log) {
		op->kind = draw(random, 3) == 0 ? HISTORY_READ : HISTORY_APPEND;
		op->argument[0] = draw(random, 3);
		op->result[0] = draw(random, 4);
		return;
	}
	op->kind = HISTORY_READ + (int)draw(random, 3);
	op->argument[0] = draw(random, 3);
	op->argument[1] = draw(random, 3);
	op->result[0] = draw(random, op->kind == HISTORY_CAS ? 2 : 3);
}

/* Operations overlap at random: each event begins a new one or ends one that is under way. */
static uint32_t
random_history(uint64_t *random, const struct linear_model *model, struct history_op *ops)
{
	uint32_t want = 2 + (uint32_t)draw(random, 6), count = 0;
	uint64_t now = 1;

	memset(ops, 0, OP_MAX * sizeof(*ops));
	for (uint32_t i = 0; i < 3 * want; i++) {
		uint32_t pick = (uint32_t)draw(random, want);
		if (pick >= count && count < want) {
			random_answer(random, model, &ops[count]);
			ops[count].client = count;
			ops[count].invoked = now++;
			ops[count].returned = HISTORY_NEVER;
			count++;
		} else if (pick < count && ops[pick].returned == HISTORY_NEVER) {
			ops[pick].returned = now++;
		}
	}
	return count;
}

static void
agree_on_random_histories(const struct linear_model *model)
{
	uint64_t random = 1;
	uint32_t verdicts[2] = { 0, 0 };

	for (uint32_t i = 0; i < 30000; i++) {
		struct history_op ops[OP_MAX];
		uint32_t count = random_history(&random, model, ops);
		bool is_good = any_order(ops, count, model, 0, model->first);
		enum linear_verdict verdict = linear_search(ops, count, model, 100000, NULL);
		verdicts[is_good]++;
		assert_int_equal(verdict, is_good ? LINEAR_OK : LINEAR_VIOLATION);
	}
	assert_true(verdicts[0] > 3000 && verdicts[1] > 3000);
}

static void
test_register_agrees_with_every_permutation(void **state)
{
	(void)state;
	agree_on_random_histories(&linear_register);
}

static void
test_log_agrees_with_every_permutation(void **state)
{
	(void)state;
	agree_on_random_histories(&linear_log);
}

/* The report names a true contradiction, and nothing in it is superfluous. */
static void
test_core_is_a_contradiction_and_minimal(void **state)
{
	uint64_t random = 7;
	uint32_t bad = 0;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		struct history_op ops[OP_MAX];
		uint32_t count = random_history(&random, &linear_register, ops);
		if (any_order(ops, count, &linear_register, 0, linear_register.first))
			continue;
		bad++;
		FILE *out = fopen("/dev/null", "w");
		count = linear_explain(ops, count, &linear_register, out);
		fclose(out);
		assert_false(any_order(ops, count, &linear_register, 0, linear_register.first));
		for (uint32_t k = 0; k < count; k++) {
			uint64_t returned = ops[k].returned;
			ops[k].returned = HISTORY_NEVER;
			assert_true(
				returned == HISTORY_NEVER ||
				any_order(ops, count, &linear_register, 0, linear_register.first));
			ops[k].returned = returned;
		}
	}
	assert_true(bad > 300);
}

/* ---- long histories, legal by construction ---- */

#define CLIENT_COUNT 20

struct world {
	uint64_t random;
	struct history *h;
	struct linear_state copies[4]; /* by key */
	uint64_t effects;
	uint64_t value_next; /* every value is written once */
	struct {
		bool is_busy;
		bool has_happened;
		uint32_t number;
		uint64_t result[2];
	} clients[CLIENT_COUNT];
};

static void
client_sends(struct world *w, uint32_t client, const struct linear_model *model)
{
	uint64_t key = draw(&w->random, 4);
	struct history_op op = { .key = key, .client = client };

	op.kind = draw(&w->random, 2) == 0   ? HISTORY_READ
		  : model == &linear_log     ? HISTORY_APPEND
		  : draw(&w->random, 2) == 0 ? HISTORY_WRITE
					     : HISTORY_CAS;
	op.argument[0] = op.kind == HISTORY_CAS ? w->copies[key].word[0] : ++w->value_next;
	op.argument[1] = op.kind == HISTORY_CAS ? ++w->value_next : 0;
	w->clients[client].number = history_invoke(w->h, &op, w->h->events * 1000);
	w->clients[client].is_busy = true;
	w->clients[client].has_happened = false;
}

static void
operation_happens(struct world *w, uint32_t client, const struct linear_model *model, bool claim)
{
	struct history_op op = w->h->ops[w->clients[client].number];
	struct linear_state *copy = &w->copies[op.key], next;
	uint64_t *result = w->clients[client].result;

	op.returned = HISTORY_NEVER;
	model->step(copy, &op, &next);
	result[0] = op.kind == HISTORY_CAS ? copy->word[0] == op.argument[0] : next.word[0];
	result[1] = model == &linear_log && op.kind == HISTORY_READ ? copy->word[1] : 0;
	*copy = next;
	w->clients[client].has_happened = true;
	if (claim)
		history_claim(w->h, w->clients[client].number, ++w->effects);
}

/* One in a hundred clients gives up: what it asked may have happened, or happens never. */
static struct history *
legal_history(uint64_t seed, uint32_t count, const struct linear_model *model, bool claim)
{
	struct world w = { .random = seed, .h = history_create() };

	while (w.h->count < count) {
		uint32_t client = (uint32_t)draw(&w.random, CLIENT_COUNT);
		if (!w.clients[client].is_busy) {
			client_sends(&w, client, model);
		} else if (draw(&w.random, 100) == 0) {
			w.clients[client].is_busy = false;
		} else if (!w.clients[client].has_happened) {
			operation_happens(&w, client, model, claim);
		} else {
			history_return(w.h, w.clients[client].number, w.h->events * 1000,
				w.clients[client].result[0], w.clients[client].result[1]);
			w.clients[client].is_busy = false;
		}
	}
	return w.h;
}

static void
test_legal_histories_are_accepted(void **state)
{
	const struct linear_model *models[] = { &linear_register, &linear_log };

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct history *h = legal_history(seed, 1000, models[seed % 2], false);
		assert_int_equal(
			linear_check(h, models[seed % 2], LINEAR_CONFIG_COUNT_MAX, stderr, NULL),
			LINEAR_OK);
		history_destroy(h);
	}
}

static void
test_right_claim_needs_no_search(void **state)
{
	struct linear_result r;
	struct history *h = legal_history(3, 1000, &linear_register, true);

	(void)state;
	assert_int_equal(linear_check(h, &linear_register, 10, stderr, &r), LINEAR_OK);
	assert_int_equal(r.claims_proved, 4);
	assert_int_equal(r.configurations, 0);
	history_destroy(h);
}

/* A claim is never believed: swap two of them, and the search decides. */
static void
test_wrong_claim_is_searched(void **state)
{
	struct linear_result r;
	struct history *h = legal_history(4, 1000, &linear_register, true);

	(void)state;
	for (uint32_t i = 0; i < h->count; i++)
		h->ops[i].order = 1 + h->count - h->ops[i].order;
	assert_int_equal(
		linear_check(h, &linear_register, LINEAR_CONFIG_COUNT_MAX, stderr, &r), LINEAR_OK);
	assert_true(r.configurations > 0);
	history_destroy(h);
}

/* An order that fits the answers and not the clock is no order. */
static void
test_claim_against_time_is_not_believed(void **state)
{
	struct history *h = history_create();
	struct history_op write = { .kind = HISTORY_WRITE, .argument = { 5 } };
	struct history_op read = { .kind = HISTORY_READ };
	uint32_t first = history_invoke(h, &write, 1);

	(void)state;
	history_return(h, first, 2, 0, 0);
	uint32_t second = history_invoke(h, &read, 3);
	history_return(h, second, 4, 0, 0);
	history_claim(h, first, 2);
	history_claim(h, second, 1);
	assert_int_equal(linear_check(h, &linear_register, 100, NULL, NULL), LINEAR_VIOLATION);
	history_destroy(h);
}

/* The last read of @p key that returned before @p before and saw something else than @p than; NULL
 * if none. */
static const struct history_op *
earlier_read(const struct history *h, uint64_t key, uint64_t before, uint64_t than)
{
	for (uint32_t i = h->count; i-- > 0;) {
		const struct history_op *op = &h->ops[i];
		if (op->key == key && op->kind == HISTORY_READ && op->returned < before &&
			op->result[0] != than)
			return op;
	}
	return NULL;
}

/* A read is given what an earlier one had seen, although a third one saw a newer value between the
 * two.
 * @return false if there is no such read */
static bool
make_stale(struct history *h, uint64_t *random)
{
	for (uint32_t attempt = 0; attempt < 1000; attempt++) {
		struct history_op *read = &h->ops[draw(random, h->count)];
		if (read->kind != HISTORY_READ || read->returned == HISTORY_NEVER)
			continue;
		const struct history_op *new =
			earlier_read(h, read->key, read->invoked, HISTORY_NEVER);
		if (new == NULL)
			continue;
		const struct history_op *old =
			earlier_read(h, read->key, new->invoked, new->result[0]);
		if (old == NULL)
			continue;
		read->result[0] = old->result[0];
		read->result[1] = old->result[1];
		return true;
	}
	return false;
}

static void
test_one_stale_answer_is_found(void **state)
{
	const struct linear_model *models[] = { &linear_register, &linear_log };
	uint64_t random = 11;
	uint32_t made = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct history *h = legal_history(seed, 300, models[seed % 2], seed % 3 == 0);
		if (make_stale(h, &random)) {
			made++;
			assert_int_equal(linear_check(h, models[seed % 2], LINEAR_CONFIG_COUNT_MAX,
						 NULL, NULL),
				LINEAR_VIOLATION);
		}
		history_destroy(h);
	}
	assert_true(made > 80);
}

/* What the report says of a stale read among three hundred operations. */
static void
test_report_is_short(void **state)
{
	struct linear_result r;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	uint64_t random = 5;
	struct history *h = legal_history(9, 300, &linear_register, false);

	(void)state;
	assert_true(make_stale(h, &random));
	assert_int_equal(linear_check(h, &linear_register, LINEAR_CONFIG_COUNT_MAX, out, &r),
		LINEAR_VIOLATION);
	fclose(out);
	assert_non_null(strstr(text, "cannot all have had these answers"));
	assert_true(bytes < 1000);
	free(text);
	history_destroy(h);
}

/* Out of memory is no verdict. */
static void
test_undecided_is_said(void **state)
{
	struct linear_result r;
	struct history *h = legal_history(2, 1000, &linear_register, false);

	(void)state;
	assert_int_equal(linear_check(h, &linear_register, 10, NULL, &r), LINEAR_UNDECIDED);
	history_destroy(h);
}

/* A refused operation leaves no trace. */
static void
test_void_operation_does_not_count(void **state)
{
	struct history *h = history_create();
	struct history_op write = { .kind = HISTORY_WRITE, .argument = { 5 } };
	struct history_op read = { .kind = HISTORY_READ };

	(void)state;
	history_void(h, history_invoke(h, &write, 1));
	history_return(h, history_invoke(h, &read, 2), 3, 5, 0);
	assert_int_equal(linear_check(h, &linear_register, 100, NULL, NULL), LINEAR_VIOLATION);
	history_destroy(h);
}

int
main(void)
{
	struct CMUnitTest tests[64] = {
		cmocka_unit_test(test_register_agrees_with_every_permutation),
		cmocka_unit_test(test_log_agrees_with_every_permutation),
		cmocka_unit_test(test_core_is_a_contradiction_and_minimal),
		cmocka_unit_test(test_legal_histories_are_accepted),
		cmocka_unit_test(test_right_claim_needs_no_search),
		cmocka_unit_test(test_wrong_claim_is_searched),
		cmocka_unit_test(test_claim_against_time_is_not_believed),
		cmocka_unit_test(test_one_stale_answer_is_found),
		cmocka_unit_test(test_report_is_short),
		cmocka_unit_test(test_undecided_is_said),
		cmocka_unit_test(test_void_operation_does_not_count),
	};
	size_t count = 11;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tests[count++] = (struct CMUnitTest){
			.name = rows[i].name,
			.test_func = test_row,
			.initial_state = (void *)&rows[i],
		};
	return _cmocka_run_group_tests("linear", tests, count, NULL, NULL);
}
