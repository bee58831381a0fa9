/* SPDX-License-Identifier: Apache-2.0 */
/* Tags and hard states in the log: a damaged one is refused, not misread. */
#include "engine/core/record.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct eng_record example = {
	.kind = ENG_RECORD_DECIDED,
	.group = 3,
	.slot = { 0x0123456789abull },
	.vballot = { 7 << 16 | 2 },
	.digest = { 11, 22 },
	.commit = { 99 },
	.bytes = 1234,
};

static void
test_a_record_comes_back(void **state)
{
	uint8_t tag[ENG_RECORD_TAG_BYTES];
	struct eng_record r;

	(void)state;
	eng_record_encode(&example, tag);
	assert_int_equal(eng_record_decode(tag, &r), 0);
	assert_int_equal(r.kind, ENG_RECORD_DECIDED);
	assert_int_equal(r.group, 3);
	assert_int_equal(r.slot.n, example.slot.n);
	assert_int_equal(r.vballot.n, example.vballot.n);
	assert_int_equal(r.digest.lo, 11);
	assert_int_equal(r.digest.hi, 22);
	assert_int_equal(r.commit.n, 99);
	assert_int_equal(r.bytes, 1234);
}

static void
test_unknown_versions_kinds_and_leftovers_are_refused(void **state)
{
	uint8_t tag[ENG_RECORD_TAG_BYTES];
	struct eng_record r;

	(void)state;
	for (uint32_t at = 0; at < ENG_RECORD_TAG_BYTES; at = at == 1 ? 48 : at + 1) {
		eng_record_encode(&example, tag);
		tag[at] = 9;
		assert_int_not_equal(eng_record_decode(tag, &r), 0);
	}
	memset(tag, 0, sizeof(tag));
	assert_int_not_equal(eng_record_decode(tag, &r), 0);
}

/* A record without a slot or a ballot was never written by anybody. */
static void
test_no_slot_and_no_ballot_are_refused(void **state)
{
	uint8_t tag[ENG_RECORD_TAG_BYTES];
	struct eng_record r = example;

	(void)state;
	r.slot.n = 0;
	eng_record_encode(&r, tag);
	assert_int_not_equal(eng_record_decode(tag, &r), 0);
	r = example;
	r.vballot.n = 0;
	eng_record_encode(&r, tag);
	assert_int_not_equal(eng_record_decode(tag, &r), 0);
}

/* A mark of damage may know no ballot, but always a slot, and never a value. */
static void
test_a_mark_of_damage_has_a_slot_and_no_value(void **state)
{
	uint8_t tag[ENG_RECORD_TAG_BYTES];
	struct eng_record mark = { .kind = ENG_RECORD_FAULTY, .group = 3, .slot = { 5 } };
	struct eng_record r;

	(void)state;
	eng_record_encode(&mark, tag);
	assert_int_equal(eng_record_decode(tag, &r), 0);
	assert_int_equal(r.slot.n, 5);
	mark.bytes = 1;
	eng_record_encode(&mark, tag);
	assert_int_not_equal(eng_record_decode(tag, &r), 0);
	mark.bytes = 0;
	mark.slot.n = 0;
	eng_record_encode(&mark, tag);
	assert_int_not_equal(eng_record_decode(tag, &r), 0);
	/* No kind at all. */
	eng_record_encode(&example, tag);
	tag[1] = 0;
	assert_int_not_equal(eng_record_decode(tag, &r), 0);
}

static void
test_a_hard_state_comes_back_and_an_unwritten_one_promises_nothing(void **state)
{
	uint8_t bytes[ENG_HARD_BYTES];
	struct eng_hard hard = { { 5 << 16 | 1 }, { 77 }, { 8, 9 } };
	struct eng_hard found;

	(void)state;
	eng_hard_encode(&hard, bytes);
	assert_int_equal(eng_hard_decode(bytes, &found), 0);
	assert_int_equal(found.promised.n, hard.promised.n);
	assert_int_equal(found.snapshot.n, 77);
	assert_int_equal(found.snapshot_digest.lo, 8);
	assert_int_equal(found.snapshot_digest.hi, 9);
	assert_false(found.doubt);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(eng_hard_decode(bytes, &found), 0);
	assert_int_equal(found.promised.n, 0);
	assert_int_equal(found.snapshot.n, 0);
}

static void
test_a_hard_state_of_the_future_is_refused(void **state)
{
	uint8_t bytes[ENG_HARD_BYTES];
	struct eng_hard hard = { { 5 << 16 | 1 }, { 77 }, { 8, 9 } };
	struct eng_hard found;

	(void)state;
	for (int at = 0; at < ENG_HARD_BYTES; at = at == 7 ? 40 : at + 1) {
		eng_hard_encode(&hard, bytes);
		bytes[at] = 7;
		assert_int_not_equal(eng_hard_decode(bytes, &found), 0);
	}
	/* No slot is that high. */
	eng_hard_encode(&hard, bytes);
	bytes[23] = 1;
	assert_int_not_equal(eng_hard_decode(bytes, &found), 0);
	/* A promise without a version is damage, not an unwritten state. */
	memset(bytes, 0, sizeof(bytes));
	bytes[8] = 1;
	assert_int_not_equal(eng_hard_decode(bytes, &found), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_comes_back),
		cmocka_unit_test(test_unknown_versions_kinds_and_leftovers_are_refused),
		cmocka_unit_test(test_no_slot_and_no_ballot_are_refused),
		cmocka_unit_test(test_a_mark_of_damage_has_a_slot_and_no_value),
		cmocka_unit_test(
			test_a_hard_state_comes_back_and_an_unwritten_one_promises_nothing),
		cmocka_unit_test(test_a_hard_state_of_the_future_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
