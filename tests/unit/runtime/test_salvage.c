/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree_force_recover(): what of a log is kept, where it is cut, and what comes of the
 * configurations.
 */
#include "tests/unit/runtime/salvage_fixture.h"

#include "base/digest.h"
#include "engine/core/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The state is the same one: values, ballots and hints stay, and so does what this node promised. */
static void
test_everything_is_kept(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;
	struct eng_hard hard;

	put_history(s, 3);
	put_value(s, 3, 2, 2, STAMP(34));
	put_promise(s, 5);
	kept = salvage_group(s);
	assert_int_equal(s->rescue.cluster_id, 0xc0ffee);
	assert_int_equal(s->rescue.group_count, 1);
	assert_int_equal(kept->last.n, 3);
	assert_int_equal(kept->decided.n, 2);
	assert_int_equal(kept->ballot.n, BALLOT(2).n);
	assert_int_equal(kept->dropped_count, 0);
	assert_false(kept->is_doubtful);
	salvage_read_new(s);
	assert_int_equal(s->found.count, 4);
	assert_int_equal(s->found.records[3].vballot.n, BALLOT(2).n);
	assert_int_equal(s->found.records[3].commit.n, 2);
	assert_int_equal(eng_value_stamp(s->found.values[3]), STAMP(34));
	assert_int_equal(meta_boot_count(s->found.meta), 7);
	assert_int_equal(eng_hard_decode(meta_hard(s->found.meta, 0), &hard), 0);
	assert_int_equal(hard.promised.n, BALLOT(5).n);
}

/* Records are gone, and nothing says whose: any hint may have spoken of one of them. */
static void
test_in_doubt_no_hint_is_kept(void **state)
{
	struct eng_hard hard = { .promised = BALLOT(1), .doubt = true };
	struct salvage *s = *state;

	put_history(s, 3);
	put_hard(s, &hard);
	assert_true(salvage_group(s)->is_doubtful);
	salvage_read_new(s);
	assert_int_equal(s->found.count, 3);
	for (uint32_t i = 0; i < s->found.count; i++)
		assert_int_equal(s->found.records[i].commit.n, 0);
	assert_int_equal(eng_hard_decode(meta_hard(s->found.meta, 0), &hard), 0);
	assert_false(hard.doubt);
}

/* The configuration that a record of the new log holds: one member, the new disk; numbers that were
 * ever used stay used. */
static struct eng_value
config_found(const struct salvage *s, uint32_t index, uint64_t stamp_ns, uint32_t epoch)
{
	struct eng_value v;

	assert_int_equal(
		eng_value_decode(s->found.values[index], s->found.records[index].bytes, &v), 0);
	assert_int_equal(v.kind, ENG_VALUE_CONFIG);
	assert_int_equal(v.stamp_ns, stamp_ns);
	assert_int_equal(v.membership.epoch, epoch);
	assert_int_equal(v.membership.id_last, 9);
	assert_int_equal(v.membership.q1, 1);
	assert_int_equal(v.membership.q2, 1);
	assert_int_equal(v.membership.member_count, 1);
	assert_int_equal(v.membership.members[0].node_id, 3);
	assert_int_equal(v.membership.members[0].disk, s->rescue.disk);
	return v;
}

/* Epochs, slots and stamps stay, and so does who was a member, for replay. */
static void
test_configurations_are_replaced(void **state)
{
	struct salvage *s = *state;
	struct eng_value v;

	put_history(s, 2);
	put_config(s, 3, 2, 9, STAMP(3));
	put_promise(s, 1);
	(void)salvage_group(s);
	salvage_read_new(s);
	assert_int_equal(s->found.count, 3);
	v = config_found(s, 0, STAMP(1), 1);
	assert_true(eng_is_live(&v.membership, 1));
	v = config_found(s, 2, STAMP(3), 2);
	assert_false(eng_is_live(&v.membership, 1));
	assert_true(eng_is_live(&v.membership, 2));
}

/* @param node_id  whose gateway it is; 0: a client's */
static void
put_registration(struct salvage *s, uint64_t slot, uint16_t node_id)
{
	struct eng_registration r = { .token = { (uint8_t)slot }, .node_id = node_id };
	uint8_t value[SALVAGE_VALUE_BYTES], body[ENG_REGISTRATION_GATEWAY_BYTES];
	struct eng_command command = { .body = body };

	r.boot_count = node_id != 0;
	command.bytes = (uint16_t)eng_registration_encode(&r, body);
	uint32_t bytes = eng_value_batch(value, sizeof(value), &command, 1);
	put(s, ENG_RECORD_ACCEPTED, slot, 1, slot - 1, value, bytes);
}

/* The sessions that a log leads to, slot by slot. */
static void
replay(const struct salvage_log *log, struct decree_digest ret_digests[SALVAGE_SLOTS_MAX])
{
	struct eng_config cfg = {
		.session_count = 2,
		.session_window = 1024,
		.session_idle_slots = 2,
		.command_bytes_max = 1024,
		.slot_bytes = SALVAGE_VALUE_BYTES,
	};
	void *memory = calloc(1, eng_sessions_bytes(&cfg));
	struct eng_sessions *sessions = eng_sessions_init(memory, &cfg);
	struct eng_applied applied[64];
	struct decree_command commands[64];
	uint64_t cluster_ns;

	for (uint32_t i = 0; i < log->count; i++) {
		assert_int_equal(log->records[i].slot.n, i + 1);
		(void)eng_sessions_apply(sessions, log->records[i].slot, log->values[i],
			log->records[i].bytes, applied, commands, &cluster_ns);
		ret_digests[i] = eng_sessions_digest(sessions);
	}
	free(memory);
}

/* Whose row a registration takes depends on who is a member (7.5). The table is full, and node 1's
 * gateway has the oldest row: it stays while node 1 is a member, and goes after it has left.
 * Otherwise what was acknowledged would be executed otherwise, and no old mark would fit any
 * more. */
static void
test_the_sessions_stay_the_same(void **state)
{
	struct decree_digest before[SALVAGE_SLOTS_MAX], after[SALVAGE_SLOTS_MAX];
	struct salvage *s = *state;
	uint64_t slot;

	put_history(s, 1);
	put_registration(s, 2, 1);
	put_registration(s, 3, 0);
	for (slot = 4; slot < 8; slot++)
		put_value(s, slot, 1, slot - 1, STAMP(slot));
	put_registration(s, slot++, 0); /* takes the client's */
	put_config(s, slot, 2, 4, STAMP(slot));
	for (slot++; slot < 30; slot++)
		put_value(s, slot, 1, slot - 1, STAMP(slot));
	put_registration(s, slot, 0); /* takes the gateway's */
	put_promise(s, 1);
	replay(&s->written, before);
	(void)salvage_group(s);
	salvage_read_new(s);
	assert_int_equal(s->found.count, s->written.count);
	replay(&s->found, after);
	for (uint32_t i = 0; i < s->found.count; i++)
		assert_true(digest_eq(before[i], after[i]));
}

/* A state that skips a command is one that never was. */
static void
test_a_gap_ends_what_is_kept(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 2);
	put_value(s, 4, 1, 2, STAMP(4));
	put_value(s, 5, 1, 4, STAMP(5));
	put_value(s, 2, 2, 5, STAMP(22));
	put_promise(s, 1);
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 2);
	assert_int_equal(kept->decided.n, 5);
	assert_int_equal(kept->dropped_count, 2);
	salvage_read_new(s);
	assert_int_equal(s->found.count, 3);
	assert_int_equal(s->found.records[2].slot.n, 2);
	assert_int_equal(s->found.records[2].commit.n, 2);
}

/* What is marked as damaged is not what was accepted, until it was written anew. */
static void
test_a_damaged_copy_is_a_gap(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 3);
	put(s, ENG_RECORD_FAULTY, 2, 1, 0, NULL, 0);
	put_value(s, 2, 2, 1, STAMP(22));
	put(s, ENG_RECORD_FAULTY, 3, 2, 0, NULL, 0);
	put_promise(s, 1);
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 2);
	assert_int_equal(kept->dropped_count, 0);
}

/* Nodes are chosen by their ballots. One that was away hears a new leader's first Accept, of a slot
 * far behind what it has: it has nothing of that leader's to keep, and must not be taken for the
 * sake of it. */
static void
test_a_ballot_counts_if_its_slot_is_kept(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 3);
	put_value(s, 2, 2, 2, STAMP(22));
	put_value(s, 23, 4, 2, STAMP(23));
	put_value(s, 24, 3, 2, STAMP(24));
	put_promise(s, 4);
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 3);
	assert_int_equal(kept->ballot.n, BALLOT(2).n);
	assert_int_equal(kept->dropped_count, 2);
}

/* The order of the records is none of the slots': a ballot is met first behind the gap, and then
 * before it. */
static void
test_a_ballot_counts_for_its_first_slot(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 1);
	put_value(s, 5, 4, 1, STAMP(5));
	put_value(s, 2, 2, 1, STAMP(2));
	put_value(s, 3, 4, 1, STAMP(3));
	put_promise(s, 4);
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 3);
	assert_int_equal(kept->ballot.n, BALLOT(4).n);
}

/* What was learned as decided is known to be, before a later record says so. */
static void
test_a_decision_is_known_at_once(void **state)
{
	struct salvage *s = *state;
	const struct decree_survivor *kept;

	put_history(s, 1);
	put_decided(s, 2, 1, 1, STAMP(2));
	put_decided(s, 3, 1, 1, STAMP(3));
	put_decided(s, 5, 1, 1, STAMP(5));
	put_value(s, 4, 1, 1, STAMP(4));
	put_promise(s, 4);
	kept = salvage_group(s);
	assert_int_equal(kept->last.n, 5);
	assert_int_equal(kept->decided.n, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, salvage_setup, salvage_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_everything_is_kept),
		TEST(test_in_doubt_no_hint_is_kept),
		TEST(test_configurations_are_replaced),
		TEST(test_the_sessions_stay_the_same),
		TEST(test_a_gap_ends_what_is_kept),
		TEST(test_a_damaged_copy_is_a_gap),
		TEST(test_a_ballot_counts_if_its_slot_is_kept),
		TEST(test_a_ballot_counts_for_its_first_slot),
		TEST(test_a_decision_is_known_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
