/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica makes of its own log after a restart. */
#include "tests/lib/cluster.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS 1000000ull

static void
submit_and_settle(struct cluster *c, int count)
{
	for (int i = 0; i < count; i++) {
		char token[DECREE_UUID_BYTES + 1];
		(void)snprintf(token, sizeof(token), "%016lu", c->frame_number);
		enum eng_submit_status status =
			cluster_submit(c, 1, (struct decree_session){ 0 }, 0, token, 16);
		assert_int_equal(status, ENG_SUBMIT_OK);
		for (uint32_t f = c->flight_count; f-- > 0;)
			if (c->flight[f].dst == 2 && c->flight[f].data[0] == ENG_MSG_ACCEPT &&
				c->seed == 2)
				cluster_drop(c, f); /* node 2 cannot hear */
		cluster_settle(c);
	}
}

/*
 * Node 2 misses slot 11, so that its decided prefix stays behind while it accepts many more; then
 * slot 11 comes and the prefix jumps; then it misses so much that the next record takes the ring
 * place of a slot that the same record's hint decides. That slot must have been applied before.
 */
static void
test_a_long_jump_of_the_commit_hint_applies_before_it_overwrites(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	submit_and_settle(c, 8); /* slots 3 .. 10 */
	for (int i = 0; i < 90; i++) {
		enum eng_submit_status status = cluster_submit(
			c, 1, (struct decree_session){ 0 }, 0, "sixteen bytes...", 16);
		assert_int_equal(status, ENG_SUBMIT_OK);
		for (uint32_t f = c->flight_count; i == 0 && f-- > 0;)
			if (c->flight[f].dst == 2)
				cluster_drop(c, f);
		cluster_settle(c);
	}
	assert_int_equal(cluster_replica(c, 2)->chosen.n, 10);
	cluster_run(c, 30 * MS); /* Query, and slot 11 comes */
	assert_int_equal(cluster_replica(c, 2)->chosen.n, 100);
	c->seed = 2; /* deaf from here on */
	submit_and_settle(c, 60);
	c->seed = 1;
	c->flight_count = 0;
	assert_int_equal(cluster_replica(c, 2)->chosen.n, 100);
	submit_and_settle(c, 1);
	assert_int_equal(cluster_replica(c, 2)->last.n, 161);

	struct decree_digest before = c->nodes[2].applied_digest;
	cluster_crash(c, 2);
	cluster_restart(c, 2);
	assert_int_equal(c->nodes[2].applied.n, 100);
	assert_true(digest_eq(c->nodes[2].applied_digest, before));
	cluster_destroy(c);
}

/* ---- records that cannot be ours ---- */

static void
label(struct cluster_write *w, uint64_t slot, uint64_t round)
{
	struct eng_record record = {
		.kind = ENG_RECORD_ACCEPTED,
		.slot = { slot },
		.vballot = { round << 16 | 1 },
		.digest = base_digest(w->value, w->bytes),
		.commit = { 2 },
		.bytes = w->bytes,
	};
	eng_record_encode(&record, w->tag);
}

/* A write that will be the newest of a disk. */
static struct cluster_write
accepted(uint64_t slot, uint64_t round, const char *token)
{
	struct cluster_write w = { .kind = ENG_PERSIST_RECORD };
	struct eng_command c = { .body = (const uint8_t *)token, .bytes = DECREE_UUID_BYTES };

	w.bytes = eng_value_batch(w.value, sizeof(w.value), &c, 1);
	label(&w, slot, round);
	return w;
}

static void
append(struct cluster *c, uint16_t node, const struct cluster_write *w)
{
	struct cluster_node *n = &c->nodes[node];

	n->durable = realloc(n->durable, (n->durable_count + 1) * sizeof(*n->durable));
	assert_non_null(n->durable);
	n->durable[n->durable_count++] = *w;
}

static void
digest_anew(struct cluster_write *w)
{
	struct decree_digest d = base_digest(w->value, w->bytes);

	store_u64(w->tag + 24, d.lo);
	store_u64(w->tag + 32, d.hi);
}

static void
spoil_version(struct cluster_write *w)
{
	w->tag[0] = 9;
}

static void
spoil_group(struct cluster_write *w)
{
	w->tag[2] = 5;
}

static void
spoil_length(struct cluster_write *w)
{
	store_u32(w->tag + 4, w->bytes - 1);
}

static void
spoil_digest(struct cluster_write *w)
{
	w->tag[24] ^= 1;
}

static void
spoil_value(struct cluster_write *w)
{
	w->value[0] = 77;
	digest_anew(w);
}

static void
spoil_slot(struct cluster_write *w)
{
	store_u64(w->tag + 8, 5000); /* the ring has 128 */
}

static void
spoil_nothing(struct cluster_write *w)
{
	(void)w;
}

static const struct spoiled {
	const char *name;
	void (*spoil)(struct cluster_write *w);
	enum eng_halt halt;
} spoiled[] = {
	{ "a sound record", spoil_nothing, ENG_HALT_NONE },
	{ "a record of another version", spoil_version, ENG_HALT_BAD_RECORD },
	{ "a record of another group", spoil_group, ENG_HALT_BAD_RECORD },
	{ "a record of another length", spoil_length, ENG_HALT_BAD_RECORD },
	{ "a record with another digest", spoil_digest, ENG_HALT_BAD_RECORD },
	{ "a record whose value is none", spoil_value, ENG_HALT_BAD_RECORD },
	{ "a record beyond every window", spoil_slot, ENG_HALT_BAD_RECORD },
};
#define SPOILED_COUNT (sizeof(spoiled) / sizeof(*spoiled))

/* The log said that it is intact, and its content is not what this version writes: nothing is
 * guessed. */
static void
test_spoiled_record(void **state)
{
	const struct spoiled *row = *state;
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct cluster_write w = accepted(3, 9, "sixteen bytes...");

	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	row->spoil(&w);
	append(c, 2, &w);
	cluster_restart(c, 2);
	assert_int_equal(c->nodes[2].halted, row->halt);
	if (row->halt == ENG_HALT_NONE) /* to accept is to promise */
		assert_int_equal(cluster_replica(c, 2)->promised.n, 9 << 16 | 1);
	cluster_destroy(c);
}

/* Its hint is read first, and alone; a runtime that left that step out would find the same. */
static void
test_a_record_is_judged_without_its_hint_too(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct cluster_write w = accepted(3, 9, "sixteen bytes...");

	(void)state;
	spoil_version(&w);
	cluster_step(c, 2,
		&(struct eng_event){ .type = ENG_EV_RECOVER_RECORD,
			.now_ns = c->now_ns,
			.record = { w.tag, w.value, w.bytes } });
	assert_int_equal(c->nodes[2].halted, ENG_HALT_BAD_RECORD);
	cluster_destroy(c);
}

/* slot_bytes is a constant of the cluster, so a longer value was never written here. */
static void
test_a_value_larger_than_a_slot_is_refused(void **state)
{
	static uint8_t value[2 * CLUSTER_SLOT_BYTES];
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct cluster_write w = accepted(3, 9, "sixteen bytes...");

	(void)state;
	store_u32(w.tag + 4, sizeof(value));
	cluster_step(c, 2,
		&(struct eng_event){ .type = ENG_EV_RECOVER_RECORD,
			.now_ns = c->now_ns,
			.record = { w.tag, value, sizeof(value) } });
	assert_int_equal(c->nodes[2].halted, ENG_HALT_BAD_RECORD);
	cluster_destroy(c);
}

/* Arrays for the commands of a slot are sized by its bytes: commands without bodies must not be
 * more than they hold. */
static void
test_more_commands_than_a_slot_may_hold_are_refused(void **state)
{
	const uint32_t most = eng_value_commands_max(CLUSTER_SLOT_BYTES);

	(void)state;
	for (uint32_t count = most; count <= most + 1; count++) {
		struct cluster *c = cluster_create(3, 0, 0, 1);
		struct cluster_write w = { .kind = ENG_PERSIST_RECORD };
		struct eng_command command = {
			.session = { 1 }, .seq = 1, .body = (const uint8_t *)""
		};

		w.bytes = eng_value_batch(w.value, sizeof(w.value), &command, 1);
		store_u16(w.value + 2, (uint16_t)count);
		store_u16(w.value + ENG_VALUE_HEADER_BYTES + 16, (uint16_t)count);
		label(&w, 3, 9);
		assert_true(cluster_elect(c, 1));
		cluster_crash(c, 2);
		append(c, 2, &w);
		cluster_restart(c, 2);
		assert_int_equal(
			c->nodes[2].halted, count == most ? ENG_HALT_NONE : ENG_HALT_BAD_RECORD);
		cluster_destroy(c);
	}
}

static void
test_a_hard_state_that_cannot_be_read_stops_the_node(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	c->nodes[2].hard[0] = 9;
	cluster_restart(c, 2);
	assert_int_equal(c->nodes[2].halted, ENG_HALT_BAD_RECORD);
	cluster_destroy(c);
}

/* 11.3: replay keeps the highest ballot of a slot, in whatever order the records stand. */
static void
test_replay_keeps_the_highest_ballot(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct cluster_write high = accepted(3, 9, "the higher one..");
	struct cluster_write low = accepted(3, 8, "the lower one...");

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	append(c, 2, &high);
	append(c, 2, &low);
	cluster_restart(c, 2);
	struct eng_promise_entry e =
		eng_replica_promise_entry(cluster_replica(c, 2), (struct decree_slot){ 3 });
	assert_int_equal(e.vballot.n, 9 << 16 | 1);
	assert_int_equal(cluster_replica(c, 2)->promised.n, 9 << 16 | 1);
	cluster_destroy(c);
}

/* ---- a promise that only a record tells of ---- */

static uint32_t
accepted_in_flight(const struct cluster *c)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < c->flight_count; i++)
		count += c->flight[i].src == 2 && c->flight[i].data[0] == ENG_MSG_ACCEPTED;
	return count;
}

/* 2: the record of an Accept may be durable before the hard state that was written beside it. Its
 * ballot is promised, but what is said by that promise must not hang on one record that may rot. */
static void
test_a_promise_found_in_a_record_is_durable_before_a_vote(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct cluster_write w = accepted(3, 9, "sixteen bytes...");
	struct eng_msg m = { 0 };
	struct eng_hard hard;

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	append(c, 2, &w);
	cluster_restart(c, 2);
	while (c->flight_count > 0)
		cluster_deliver(c, 0, false); /* who is who; nothing becomes durable */
	eng_msg_address(cluster_replica(c, 1), ENG_MSG_ACCEPT, 2, &m);
	m.ballot.n = 9 << 16 | 1;
	m.accept.slot.n = m.accept.start.n = 3;
	m.accept.commit.n = 2;
	m.accept.digest = base_digest(w.value, w.bytes);
	m.accept.value = w.value;
	m.accept.bytes = w.bytes;
	cluster_step(c, 2,
		&(struct eng_event){
			.type = ENG_EV_RECV, .now_ns = c->now_ns, .recv = { .msg = &m } });
	cluster_flush(c, 2);
	assert_int_equal(cluster_replica(c, 2)->promised.n, 9 << 16 | 1);
	assert_int_equal(accepted_in_flight(c), 0);

	cluster_persist(c, 2, UINT32_MAX);
	assert_int_equal(eng_hard_decode(c->nodes[2].hard, &hard), 0);
	assert_int_equal(hard.promised.n, 9 << 16 | 1);
	assert_int_equal(accepted_in_flight(c), 1);
	cluster_destroy(c);
}

/* ---- damage ---- */

static void
restart_with(struct cluster *c, enum cluster_damage how, uint64_t slot, uint64_t round)
{
	struct cluster_write w = accepted(slot, round, "what is damaged.");

	w.damage = how;
	append(c, 2, &w);
	cluster_restart(c, 2);
	assert_int_equal(c->nodes[2].halted, ENG_HALT_NONE);
}

/* 11.3: what lies behind a hole and further than the ring reaches cannot be listed, so it is in
 * doubt. */
static void
test_a_record_behind_a_hole_and_beyond_the_ring_is_doubt(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct cluster_write far = accepted(3, 9, "far away........");

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	struct cluster_write hole = accepted(3, 9, "a hole..........");
	hole.damage = CLUSTER_DAMAGE_UNKNOWN;
	append(c, 2, &hole);
	store_u64(far.tag + 8, 500);
	append(c, 2, &far);
	cluster_restart(c, 2);
	assert_int_equal(c->nodes[2].halted, ENG_HALT_NONE);
	assert_true(cluster_replica(c, 2)->damage.doubt);
	cluster_destroy(c);
}

/* The same of a damaged copy: its mark finds no place in the ring. */
static void
test_damage_beyond_the_ring_is_doubt(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	restart_with(c, CLUSTER_DAMAGE_ID, 500, 9);
	assert_true(cluster_replica(c, 2)->damage.doubt);
	assert_int_equal(cluster_replica(c, 2)->damage.count, 0);
	/* It promised that ballot, whatever has become of the value. */
	assert_int_equal(cluster_replica(c, 2)->promised.n, 9 << 16 | 1);
	cluster_destroy(c);
}

/* The table of marks is full: the next one says less, and is never wrong. */
static void
test_more_damage_than_the_table_holds_is_doubt(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	cluster_restart(c, 2);
	for (uint64_t first = 3; first < 3 + DAMAGE_COUNT_MAX; first += 40) {
		assert_false(cluster_replica(c, 2)->damage.doubt);
		cluster_step(c, 2,
			&(struct eng_event){ .type = ENG_EV_RECOVER_FAULTY_UNKNOWN,
				.now_ns = c->now_ns,
				.faulty_unknown = { { first }, { first + 40 } } });
	}
	assert_true(cluster_replica(c, 2)->damage.doubt);
	cluster_destroy(c);
}

/* A range that is longer than the table holds is not even begun. */
static void
test_a_long_damaged_range_is_doubt(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	cluster_crash(c, 2);
	cluster_restart(c, 2);
	cluster_step(c, 2,
		&(struct eng_event){ .type = ENG_EV_RECOVER_FAULTY_UNKNOWN,
			.now_ns = c->now_ns,
			.faulty_unknown = { { 3 }, { 4 + DAMAGE_COUNT_MAX } } });
	assert_true(cluster_replica(c, 2)->damage.doubt);
	assert_int_equal(cluster_replica(c, 2)->damage.count, 0);
	cluster_destroy(c);
}

/* What is decided and held needs no mark: a damaged copy of it that stands later in the log is of
 * no concern. */
static void
test_damage_of_what_is_decided_leaves_no_mark(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	submit_and_settle(c, 2); /* the record of slot 4 says that slot 3 is decided */
	cluster_crash(c, 2);
	restart_with(c, CLUSTER_DAMAGE_UNKNOWN, 3, 9);
	assert_int_equal(cluster_replica(c, 2)->damage.count, 0);
	assert_false(cluster_replica(c, 2)->damage.doubt);
	cluster_destroy(c);
}

/* An intact record of a later ballot ends a mark, one of an earlier ballot does not (11.4). */
static void
test_a_later_record_ends_a_mark(void **state)
{
	static const struct {
		uint64_t round;
		uint32_t marks;
	} rounds[] = { { 7, 1 }, { 8, 0 }, { 9, 0 } };

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct cluster *c = cluster_create(3, 0, 0, 1);
		struct cluster_write damaged = accepted(3, 8, "what is damaged.");
		struct cluster_write later = accepted(3, rounds[i].round, "what is there...");

		assert_true(cluster_elect(c, 1));
		cluster_crash(c, 2);
		damaged.damage = CLUSTER_DAMAGE_ID;
		append(c, 2, &damaged);
		append(c, 2, &later);
		cluster_restart(c, 2);
		assert_int_equal(cluster_replica(c, 2)->damage.count, rounds[i].marks);
		cluster_destroy(c);
	}
}

int
main(void)
{
	struct CMUnitTest tests[SPOILED_COUNT + 13] = { { 0 } };
	uint32_t count = 0;

	for (uint32_t i = 0; i < SPOILED_COUNT; i++)
		tests[count++] = (struct CMUnitTest){
			.name = spoiled[i].name,
			.test_func = test_spoiled_record,
			.initial_state = (void *)(uintptr_t)&spoiled[i],
		};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(test_a_long_jump_of_the_commit_hint_applies_before_it_overwrites),
		cmocka_unit_test(test_a_record_is_judged_without_its_hint_too),
		cmocka_unit_test(test_a_value_larger_than_a_slot_is_refused),
		cmocka_unit_test(test_more_commands_than_a_slot_may_hold_are_refused),
		cmocka_unit_test(test_a_hard_state_that_cannot_be_read_stops_the_node),
		cmocka_unit_test(test_replay_keeps_the_highest_ballot),
		cmocka_unit_test(test_a_promise_found_in_a_record_is_durable_before_a_vote),
		cmocka_unit_test(test_a_record_behind_a_hole_and_beyond_the_ring_is_doubt),
		cmocka_unit_test(test_damage_beyond_the_ring_is_doubt),
		cmocka_unit_test(test_more_damage_than_the_table_holds_is_doubt),
		cmocka_unit_test(test_a_long_damaged_range_is_doubt),
		cmocka_unit_test(test_damage_of_what_is_decided_leaves_no_mark),
		cmocka_unit_test(test_a_later_record_ends_a_mark),
	};
	for (uint32_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		tests[count++] = others[i];
	return _cmocka_run_group_tests("recovery", tests, count, NULL, NULL);
}
