/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a slot's value: what was written is read back, and nothing else is read. */
#include "engine/core/value.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOT_BYTES 300

static uint32_t
make_noop(uint8_t *value)
{
	eng_value_begin(value, ENG_VALUE_NOOP);
	eng_value_set_stamp(value, 12345);
	return ENG_VALUE_HEADER_BYTES;
}

/* Three runs: of one size, of several, and of another session. */
static const struct eng_command batch_commands[] = {
	{ { 7 << 16 }, 3, (const uint8_t *)"hello", 5 },
	{ { 7 << 16 }, 4, (const uint8_t *)"world", 5 },
	{ { 7 << 16 }, 5, (const uint8_t *)"abc", 3 },
	{ { 7 << 16 }, 6, (const uint8_t *)"", 0 },
	{ { 8 << 16 | 1 }, 4, (const uint8_t *)"", 0 },
};
#define BATCH_COUNT (sizeof(batch_commands) / sizeof(*batch_commands))
#define BATCH_RUN_1 16 /* offsets of the runs */
#define BATCH_RUN_2 46
#define BATCH_RUN_3 73

static uint32_t
make_batch(uint8_t *value)
{
	return eng_value_batch(value, SLOT_BYTES, batch_commands, BATCH_COUNT);
}

static uint32_t
make_fragment(uint8_t *value)
{
	struct eng_fragment f = {
		.session = { 9 },
		.seq = 2,
		.train = { 40 },
		.part = 1,
		.part_count = 3,
		.command_bytes = 20,
		.digest = { 1, 2 },
		.bytes = (const uint8_t *)"fragment",
		.count = 8,
	};

	return eng_value_fragment(value, &f);
}

static uint32_t
make_config(uint8_t *value)
{
	struct eng_membership m = {
		.epoch = 1,
		.version = 1,
		.q1 = 2,
		.q2 = 2,
		.slot_bytes = 1400,
		.alpha = 512,
		.command_bytes_max = 65536,
		.session_count = 1000,
		.session_window = 1024,
		.id_last = 9,
		.member_count = 3,
		.members = { { 1, 11, ENG_VOTER }, { 4, 44, ENG_VOTER }, { 9, 99, ENG_VOTER } },
	};

	return eng_value_config(value, &m);
}

static uint32_t
make_mark(uint8_t *value)
{
	struct eng_mark mark = { .is_cut = true, .anchor = { 7 }, .digest = { 8, 9 } };

	return eng_value_mark(value, &mark);
}

static const struct {
	const char *name;
	enum eng_value_kind kind;
	uint32_t (*make)(uint8_t *value);
} kinds[] = {
	{ "noop", ENG_VALUE_NOOP, make_noop },
	{ "batch", ENG_VALUE_BATCH, make_batch },
	{ "fragment", ENG_VALUE_FRAGMENT, make_fragment },
	{ "config", ENG_VALUE_CONFIG, make_config },
	{ "mark", ENG_VALUE_MARK, make_mark },
};
#define KIND_COUNT (sizeof(kinds) / sizeof(*kinds))

/* An exact copy on the heap, so that a sanitizer sees a read past the end. */
static int
decode(const uint8_t *value, uint32_t bytes)
{
	uint8_t *copy = malloc(bytes + 1);
	struct eng_value v;

	memcpy(copy, value, bytes);
	int rc = eng_value_decode(copy, bytes, &v);
	free(copy);
	return rc;
}

static void
test_every_truncation_and_every_tail_is_refused(void **state)
{
	uint8_t value[SLOT_BYTES + 1] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < KIND_COUNT; i++) {
		uint32_t bytes = kinds[i].make(value);
		assert_int_equal(decode(value, bytes), 0);
		for (uint32_t cut = 0; cut < bytes; cut++)
			assert_int_not_equal(decode(value, cut), 0);
		value[bytes] = 0;
		assert_int_not_equal(decode(value, bytes + 1), 0);
	}
}

static void
test_every_zero_must_be_zero(void **state)
{
	static const uint32_t offsets[] = { 1, 4, 5, 6, 7 };
	uint8_t value[SLOT_BYTES];

	(void)state;
	for (uint32_t i = 0; i < KIND_COUNT; i++) {
		uint32_t bytes = kinds[i].make(value);
		for (uint32_t j = 0; j < 5; j++) {
			value[offsets[j]] ^= 1;
			assert_int_not_equal(decode(value, bytes), 0);
			value[offsets[j]] ^= 1;
		}
	}
}

/* Each length and count of each kind, told wrong in every way that fits its field. */
static void
test_every_lie_about_a_length_is_refused(void **state)
{
	static const struct {
		uint32_t kind;
		uint32_t offset;
		uint32_t field_bytes;
	} rows[] = {
		{ 0, 2, 2 },
		{ 1, 2, 2 },
		{ 1, BATCH_RUN_1 + 16, 2 },
		{ 1, BATCH_RUN_1 + 18, 2 },
		{ 1, BATCH_RUN_2 + 16, 2 },
		{ 1, BATCH_RUN_2 + 18, 2 },
		{ 1, BATCH_RUN_2 + 20, 2 },
		{ 1, BATCH_RUN_2 + 25, 2 },
		{ 1, BATCH_RUN_3 + 16, 2 },
		{ 1, BATCH_RUN_3 + 18, 2 },
		{ 2, 2, 2 },
		{ 2, 52, 4 },
		{ 3, 2, 2 },
		{ 3, 22, 2 },
		{ 4, 2, 2 },
		{ 4, 20, 4 },
	};
	uint8_t value[SLOT_BYTES];

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t bytes = kinds[rows[i].kind].make(value);
		uint32_t truth = rows[i].field_bytes == 2 ? load_u16(value + rows[i].offset)
							  : load_u32(value + rows[i].offset);
		for (uint32_t lie = 0; lie < 70000; lie++) {
			if (lie == truth || (rows[i].field_bytes == 2 && lie > UINT16_MAX))
				continue;
			if (rows[i].field_bytes == 2)
				store_u16(value + rows[i].offset, (uint16_t)lie);
			else
				store_u32(value + rows[i].offset, lie);
			if (eng_value_decode(value, bytes, &(struct eng_value){ 0 }) == 0)
				fail_msg("%s: %u instead of %u at %u", kinds[rows[i].kind].name,
					lie, truth, rows[i].offset);
		}
	}
}

static void
assert_commands(struct eng_value *v, const struct eng_command *commands, uint32_t count)
{
	struct eng_command c;

	for (uint32_t i = 0; i < count; i++) {
		assert_true(eng_value_next(v, &c));
		assert_int_equal(c.session.n, commands[i].session.n);
		assert_int_equal(c.seq, commands[i].seq);
		assert_int_equal(c.bytes, commands[i].bytes);
		assert_memory_equal(c.body, commands[i].body, c.bytes);
	}
	assert_false(eng_value_next(v, &c));
}

static void
test_a_batch_gives_its_commands_back_in_order(void **state)
{
	uint8_t value[SLOT_BYTES];
	struct eng_value v;

	(void)state;
	uint32_t bytes = make_batch(value);
	eng_value_set_stamp(value, 77);
	assert_int_equal(eng_value_decode(value, bytes, &v), 0);
	assert_int_equal(v.count, BATCH_COUNT);
	assert_int_equal(v.stamp_ns, 77);
	assert_commands(&v, batch_commands, BATCH_COUNT);
}

static void
assert_run(struct eng_value *v, uint64_t seq, uint32_t count, bool is_mixed)
{
	struct eng_run run;

	assert_true(eng_value_next_run(v, &run));
	assert_int_equal(run.seq, seq);
	assert_int_equal(run.count, count);
	assert_int_equal(run.is_mixed, is_mixed);
}

/* What commands have in common stands once: that is what a full slot is full of bodies for. */
static void
test_commands_of_a_session_are_a_run(void **state)
{
	uint8_t value[SLOT_BYTES];
	struct eng_run run;
	struct eng_value v;

	(void)state;
	uint32_t bytes = make_batch(value);
	assert_int_equal(bytes, BATCH_RUN_3 + ENG_RUN_HEADER_BYTES);
	assert_int_equal(eng_value_decode(value, bytes, &v), 0);
	assert_run(&v, 3, 2, false);
	assert_run(&v, 5, 2, true);
	assert_run(&v, 4, 1, false);
	assert_false(eng_value_next_run(&v, &run));
}

/* A gap, another session and a registration begin a run. */
static void
test_a_run_has_no_gaps(void **state)
{
	static const struct eng_command rows[][2] = {
		{ { { 1 }, 3, (const uint8_t *)"a", 1 }, { { 1 }, 5, (const uint8_t *)"b", 1 } },
		{ { { 1 }, 3, (const uint8_t *)"a", 1 }, { { 1 }, 3, (const uint8_t *)"b", 1 } },
		{ { { 1 }, 3, (const uint8_t *)"a", 1 }, { { 2 }, 4, (const uint8_t *)"b", 1 } },
		{ { { 0 }, 0, (const uint8_t *)"a", 1 }, { { 0 }, 0, (const uint8_t *)"b", 1 } },
		{ { { 0 }, 0, (const uint8_t *)"a", 1 }, { { 0 }, 1, (const uint8_t *)"b", 1 } },
	};
	uint8_t value[SLOT_BYTES];
	struct eng_value v;

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t bytes = eng_value_batch(value, SLOT_BYTES, rows[i], 2);

		assert_int_equal(eng_value_decode(value, bytes, &v), 0);
		assert_run(&v, rows[i][0].seq, 1, false);
		assert_run(&v, rows[i][1].seq, 1, false);
	}
}

/* Header after header: each is well-formed, but for what makes it a lie. */
static void
test_a_senseless_run_is_refused(void **state)
{
	static const struct {
		uint64_t session, seq;
		uint32_t count, bytes;
		bool is_valid;
	} rows[] = {
		{ 7, 1, 2, 0, true },
		{ 7, 1, 0, 0, false },              /* nobody's */
		{ 7, UINT64_MAX - 2, 2, 0, true },  /* the last ones that there are */
		{ 7, UINT64_MAX - 1, 2, 0, false }, /* one too many */
		{ 0, 0, 1, 0, true },
		{ 0, 0, 2, 0, false },             /* registrations have no number that goes on */
		{ 7, 1, 1, ENG_RUN_MIXED, false }, /* the size of the first is missing */
		{ 7, 1, UINT16_MAX, ENG_RUN_MIXED - 1, false },
	};
	uint8_t value[SLOT_BYTES];

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t bytes = make_batch(value);
		uint8_t *run = value + bytes;

		store_u64(run, rows[i].session);
		store_u64(run + 8, rows[i].seq);
		store_u16(run + 16, (uint16_t)rows[i].count);
		store_u16(run + 18, (uint16_t)rows[i].bytes);
		store_u16(value + 2, (uint16_t)(BATCH_COUNT + rows[i].count));
		assert_int_equal(
			decode(value, bytes + ENG_RUN_HEADER_BYTES) == 0, rows[i].is_valid);
	}
}

#define DRAWN_COUNT 40

/* Two sessions' commands, mostly in order, mostly of one size. */
static void
draw_commands(uint64_t *random, struct eng_command *ret_commands)
{
	static const uint8_t body[8] = "abcdefg";
	struct eng_command c = { .body = body, .session = { 1 }, .seq = 1, .bytes = 3 };

	for (uint32_t i = 0; i < DRAWN_COUNT; i++, c.seq++) {
		*random = *random * 6364136223846793005ull + 1442695040888963407ull;
		if ((*random >> 60) == 0)
			c.session.n = *random >> 58 & 3;
		if ((*random >> 50 & 15) == 0)
			c.seq += *random >> 48 & 3;
		if ((*random >> 40 & 7) == 0)
			c.bytes = *random >> 36 & 7;
		c.body = body + (*random >> 30 & 1);
		ret_commands[i] = c;
	}
}

/* Whatever is given to a batch, and in whatever portions: it holds the commands that it took, and
 * nothing else. */
static void
test_a_batch_holds_what_it_took(void **state)
{
	uint8_t value[SLOT_BYTES], in_one[SLOT_BYTES];
	struct eng_command commands[DRAWN_COUNT];
	uint64_t random = 5;
	struct eng_value v;

	(void)state;
	for (uint32_t round = 0; round < 3000; round++) {
		uint32_t slot_bytes = 60 + round % (SLOT_BYTES - 60), count = 0;
		struct eng_batch b;

		draw_commands(&random, commands);
		eng_batch_open(&b, value, slot_bytes, 6);
		while (count < DRAWN_COUNT) {
			bool has_room = eng_batch_has_room(&b, &commands[count]);
			uint32_t portion = 1 + (uint32_t)(random >> 20 & 7);
			uint32_t taken = eng_batch_add(&b, &commands[count],
				portion < DRAWN_COUNT - count ? portion : DRAWN_COUNT - count);

			assert_int_equal(taken > 0, has_room && commands[count].bytes <= 6);
			count += taken;
			if (taken == 0)
				break;
		}
		if (count == 0)
			continue;
		assert_true(b.bytes <= slot_bytes);
		assert_true(count <= eng_value_commands_max(slot_bytes));
		assert_int_equal(eng_value_batch(in_one, slot_bytes, commands, count), b.bytes);
		assert_memory_equal(in_one, value, b.bytes);
		assert_int_equal(eng_value_decode(value, b.bytes, &v), 0);
		assert_int_equal(v.count, count);
		assert_commands(&v, commands, count);
	}
}

/* Given as a run, whose bodies lie behind each other or do not, they make the same batch. */
static void
test_a_run_makes_the_same_batch(void **state)
{
	static const uint8_t text[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t value[SLOT_BYTES], other[SLOT_BYTES];
	struct eng_command commands[DRAWN_COUNT];
	struct eng_body bodies[DRAWN_COUNT];
	uint64_t random = 7;

	(void)state;
	for (uint32_t round = 0; round < 3000; round++) {
		uint32_t slot_bytes = 60 + round % (SLOT_BYTES - 60), bytes = round % 4, at = 0;
		struct eng_batch one_by_one, run;

		for (uint32_t i = 0; i < DRAWN_COUNT; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			if ((random >> 60) == 0)
				bytes = random >> 57 & 7;
			if ((random >> 50 & 7) == 0 || at + bytes >= sizeof(text))
				at = random >> 40 & 7;
			bodies[i] = (struct eng_body){ text + at, bytes };
			commands[i] = (struct eng_command){ { 3 }, 9 + i, text + at, bytes };
			at += bytes;
		}
		eng_batch_open(&one_by_one, value, slot_bytes, 6);
		eng_batch_open(&run, other, slot_bytes, 6);
		uint32_t taken = eng_batch_add(&one_by_one, commands, DRAWN_COUNT);
		uint32_t portion = random >> 30 & 15;
		if (portion > taken)
			portion = taken;
		uint32_t first =
			eng_batch_add_run(&run, (struct decree_session){ 3 }, 9, bodies, portion);

		assert_int_equal(first, portion);
		assert_int_equal(first + eng_batch_add_run(&run, (struct decree_session){ 3 },
						 9 + first, bodies + first, DRAWN_COUNT - first),
			taken);
		assert_int_equal(run.bytes, one_by_one.bytes);
		assert_memory_equal(other, value, run.bytes);
	}
}

static void
test_a_command_that_does_not_fit_is_not_added(void **state)
{
	uint8_t value[SLOT_BYTES];
	uint8_t body[SLOT_BYTES] = { 0 };
	struct eng_command c = { { 1 }, 1, body,
		SLOT_BYTES - ENG_VALUE_HEADER_BYTES - ENG_RUN_HEADER_BYTES };

	(void)state;
	c.bytes++;
	assert_int_equal(eng_value_batch(value, SLOT_BYTES, &c, 1), 0);
	c.bytes--;
	assert_int_equal(eng_value_batch(value, SLOT_BYTES, &c, 1), SLOT_BYTES);
}

static void
test_a_fragment_comes_back(void **state)
{
	uint8_t value[SLOT_BYTES];
	struct eng_value v;

	(void)state;
	uint32_t bytes = make_fragment(value);
	assert_int_equal(eng_value_decode(value, bytes, &v), 0);
	assert_int_equal(v.fragment.session.n, 9);
	assert_int_equal(v.fragment.train.n, 40);
	assert_int_equal(v.fragment.part, 1);
	assert_int_equal(v.fragment.part_count, 3);
	assert_int_equal(v.fragment.command_bytes, 20);
	assert_int_equal(v.fragment.count, 8);
	assert_memory_equal(v.fragment.bytes, "fragment", 8);
	store_u32(value + 40, 3); /* part 3 of 3, counted from 0 */
	assert_int_not_equal(eng_value_decode(value, bytes, &v), 0);
}

/* Quorums that do not intersect, members out of order or without a number: refused by the decoder. */
static void
test_a_senseless_configuration_is_refused(void **state)
{
	static const struct {
		uint32_t offset;
		uint8_t byte;
	} rows[] = {
		{ 16, 0 },  /* epoch 0 */
		{ 20, 1 },  /* q1 + q2 = 3 of 3 */
		{ 20, 4 },  /* q1 of 3 members */
		{ 21, 4 },  /* q2 */
		{ 52, 8 },  /* an id above the highest one */
		{ 54, 1 },  /* a zero that is not */
		{ 56, 0 },  /* member id 0 */
		{ 58, 0 },  /* no role */
		{ 59, 2 },  /* a flag that nobody knows */
		{ 64, 0 },  /* no disk */
		{ 64, 44 }, /* the same disk twice */
		{ 84, 1 },  /* a zero that is not */
		{ 88, 1 },  /* the same id twice */
		{ 120, 2 }, /* descending */
	};
	uint8_t value[SLOT_BYTES];
	struct eng_value v;

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t bytes = make_config(value);
		assert_int_equal(eng_value_decode(value, bytes, &v), 0);
		value[rows[i].offset] = rows[i].byte;
		assert_int_not_equal(eng_value_decode(value, bytes, &v), 0);
	}
}

static void
test_a_senseless_mark_is_refused(void **state)
{
	static const struct {
		uint32_t offset;
		uint8_t byte;
	} rows[] = {
		{ 16, 2 }, /* a flag that does not exist */
		{ 20, 1 }, /* a zero that is not */
		{ 24, 0 }, /* a digest without an anchor */
		{ 30, 1 }, /* an anchor above 2^48 */
	};
	uint8_t value[SLOT_BYTES];
	struct eng_value v;

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t bytes = make_mark(value);
		assert_int_equal(eng_value_decode(value, bytes, &v), 0);
		assert_true(v.mark.is_cut && v.mark.anchor.n == 7 && v.mark.digest.hi == 9);
		value[rows[i].offset] = rows[i].byte;
		assert_int_not_equal(eng_value_decode(value, bytes, &v), 0);
	}
}

/* Kinds of a newer version, and a batch of nothing. */
static void
test_unknown_kinds_and_empty_batches_are_refused(void **state)
{
	uint8_t value[SLOT_BYTES] = { 0 };

	(void)state;
	for (uint32_t kind = 0; kind < 256; kind++) {
		bool is_known = kind >= ENG_VALUE_NOOP && kind <= ENG_VALUE_MARK;

		value[0] = (uint8_t)kind;
		assert_int_equal(decode(value, ENG_VALUE_HEADER_BYTES) == 0,
			is_known && kind == ENG_VALUE_NOOP);
	}
}

/* More bytes than the whole command has, though the value is as long as it says. */
static void
test_a_fragment_larger_than_its_command_is_refused(void **state)
{
	uint8_t value[SLOT_BYTES];
	uint32_t bytes = make_fragment(value);

	(void)state;
	store_u32(value + 48, 7);
	assert_int_not_equal(decode(value, bytes), 0);
	store_u32(value + 48, 8);
	assert_int_equal(decode(value, bytes), 0);
}

static void
test_a_mark_without_an_anchor_has_no_digest(void **state)
{
	struct eng_mark mark = { .is_cut = false };
	uint8_t value[SLOT_BYTES];
	uint32_t bytes = eng_value_mark(value, &mark);

	(void)state;
	assert_int_equal(decode(value, bytes), 0);
	for (uint32_t at = 0; at < sizeof(mark.digest); at += 8) {
		store_u64(value + ENG_VALUE_HEADER_BYTES + 16 + at, 1);
		assert_int_not_equal(decode(value, bytes), 0);
		store_u64(value + ENG_VALUE_HEADER_BYTES + 16 + at, 0);
	}
}

static void
test_part_counts_meet_at_the_borders(void **state)
{
	uint32_t whole = SLOT_BYTES - ENG_VALUE_HEADER_BYTES - ENG_RUN_HEADER_BYTES;
	uint32_t per_part = SLOT_BYTES - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES;

	(void)state;
	assert_int_equal(eng_value_part_count(0, SLOT_BYTES), 1);
	assert_int_equal(eng_value_part_count(whole, SLOT_BYTES), 1);
	assert_int_equal(eng_value_part_count(whole + 1, SLOT_BYTES), 2);
	assert_int_equal(eng_value_part_count(2 * per_part, SLOT_BYTES), 2);
	assert_int_equal(eng_value_part_count(2 * per_part + 1, SLOT_BYTES), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_truncation_and_every_tail_is_refused),
		cmocka_unit_test(test_every_zero_must_be_zero),
		cmocka_unit_test(test_every_lie_about_a_length_is_refused),
		cmocka_unit_test(test_a_batch_gives_its_commands_back_in_order),
		cmocka_unit_test(test_commands_of_a_session_are_a_run),
		cmocka_unit_test(test_a_run_has_no_gaps),
		cmocka_unit_test(test_a_senseless_run_is_refused),
		cmocka_unit_test(test_a_batch_holds_what_it_took),
		cmocka_unit_test(test_a_run_makes_the_same_batch),
		cmocka_unit_test(test_a_command_that_does_not_fit_is_not_added),
		cmocka_unit_test(test_a_fragment_comes_back),
		cmocka_unit_test(test_a_senseless_configuration_is_refused),
		cmocka_unit_test(test_a_senseless_mark_is_refused),
		cmocka_unit_test(test_unknown_kinds_and_empty_batches_are_refused),
		cmocka_unit_test(test_a_fragment_larger_than_its_command_is_refused),
		cmocka_unit_test(test_a_mark_without_an_anchor_has_no_digest),
		cmocka_unit_test(test_part_counts_meet_at_the_borders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
