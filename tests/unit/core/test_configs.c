/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes of the members are allowed, what governs which slot, and which quorums meet. */
#include "base/bytes.h"
#include "engine/core/configs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct eng_membership
cluster_of(uint32_t voters)
{
	struct eng_membership m = {
		.epoch = 1,
		.version = 1,
		.q1 = voters / 2 + 1,
		.q2 = voters / 2 + 1,
		.alpha = 4,
		.member_count = voters,
		.id_last = (uint16_t)voters,
	};

	for (uint32_t i = 0; i < voters; i++)
		m.members[i] = (struct eng_member){
			.node_id = (uint16_t)(i + 1),
			.disk = 100 + i + 1,
			.role = ENG_VOTER,
		};
	return m;
}

/* 13.1: every pair for 1 .. 7 voters, against the definition: each phase 1 quorum meets each phase
 * 2 quorum. */
static void
test_quorums_are_sound_if_and_only_if_any_two_meet(void **state)
{
	(void)state;
	for (uint32_t n = 1; n <= DECREE_NODE_COUNT_MAX; n++)
		for (uint32_t q1 = 0; q1 <= n + 1; q1++)
			for (uint32_t q2 = 0; q2 <= n + 1; q2++) {
				/* The two that avoid each other best: the first q1 nodes, the last
				 * q2. */
				bool meet = q1 <= n && q2 <= n && q1 > n - q2;
				assert_int_equal(eng_quorums_are_sound(n, q1, q2), meet);
			}
}

/* Every sound pair survives the wire, every other one is refused there too. */
static void
test_only_sound_quorums_are_decoded(void **state)
{
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];
	struct eng_membership back;

	(void)state;
	for (uint32_t n = 1; n <= DECREE_NODE_COUNT_MAX; n++)
		for (uint32_t q1 = 0; q1 <= n + 1; q1++)
			for (uint32_t q2 = 0; q2 <= n + 1; q2++) {
				struct eng_membership m = cluster_of(n);
				m.q1 = q1;
				m.q2 = q2;
				uint32_t count = eng_membership_encode(&m, bytes);
				int rc = eng_membership_decode(bytes, count, &back);
				assert_int_equal(rc == 0, eng_quorums_are_sound(n, q1, q2));
				if (rc == 0)
					assert_memory_equal(&m, &back, sizeof(m));
			}
}

static void
test_what_an_added_node_carries_survives_the_wire(void **state)
{
	struct eng_membership m = cluster_of(3), back, with;
	struct eng_member_change add = {
		.op = ENG_MEMBER_REPLACE,
		.old = 2,
		.member = { .node_id = 9,
			.disk = 99,
			.address = { 0x0a000009, 7000, true, { 1, 2, 3, 4, 5, 6 } } },
	};
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];

	(void)state;
	assert_int_equal(eng_membership_change(&m, &add, &with), ENG_MEMBER_OK);
	uint32_t count = eng_membership_encode(&with, bytes);
	assert_int_equal(eng_membership_decode(bytes, count, &back), 0);
	assert_int_equal(back.id_last, 9);
	assert_int_equal(back.members[3].role, ENG_LEARNER);
	assert_int_equal(back.members[3].replaces, 2);
	assert_int_equal(back.members[3].address.ipv4, 0x0a000009);
	assert_memory_equal(back.members[3].address.mac, add.member.address.mac, 6);
}

struct row {
	const char *name;
	enum eng_member_op op;
	uint16_t id;
	uint64_t disk;
	uint16_t old;
	uint8_t q1;
	uint8_t q2;
	enum eng_member_result result;
};

/* Of a cluster of 1, 2, 3 and disks 101, 102, 103. */
static const struct row rows[] = {
	{ "add", ENG_MEMBER_ADD, 4, 104, 0, 0, 0, ENG_MEMBER_OK },
	{ "add with quorums", ENG_MEMBER_ADD, 4, 104, 0, 3, 2, ENG_MEMBER_OK },
	{ "add, q1 + q2 = n", ENG_MEMBER_ADD, 4, 104, 0, 2, 2, ENG_MEMBER_BAD_QUORUM },
	{ "add, q1 above n", ENG_MEMBER_ADD, 4, 104, 0, 5, 2, ENG_MEMBER_BAD_QUORUM },
	{ "add who is there", ENG_MEMBER_ADD, 3, 103, 0, 0, 0, ENG_MEMBER_DONE },
	{ "add under a used id", ENG_MEMBER_ADD, 3, 104, 0, 0, 0, ENG_MEMBER_ID_USED },
	{ "add below a used id", ENG_MEMBER_ADD, 2, 104, 0, 0, 0, ENG_MEMBER_ID_USED },
	{ "add node 0", ENG_MEMBER_ADD, 0, 104, 0, 0, 0, ENG_MEMBER_ID_USED },
	{ "add without a disk", ENG_MEMBER_ADD, 4, 0, 0, 0, 0, ENG_MEMBER_NO_DISK },
	{ "add a used disk", ENG_MEMBER_ADD, 4, 103, 0, 0, 0, ENG_MEMBER_DISK_USED },
	{ "remove", ENG_MEMBER_REMOVE, 3, 0, 0, 0, 0, ENG_MEMBER_OK },
	{ "remove, q1 + q2 = n", ENG_MEMBER_REMOVE, 3, 0, 0, 1, 1, ENG_MEMBER_BAD_QUORUM },
	{ "remove who never was", ENG_MEMBER_REMOVE, 4, 0, 0, 0, 0, ENG_MEMBER_UNKNOWN },
	{ "replace", ENG_MEMBER_REPLACE, 4, 104, 3, 0, 0, ENG_MEMBER_OK },
	{ "replace under the same id", ENG_MEMBER_REPLACE, 3, 104, 3, 0, 0, ENG_MEMBER_ID_USED },
	{ "replace by itself", ENG_MEMBER_REPLACE, 3, 103, 3, 0, 0, ENG_MEMBER_ID_USED },
	{ "replace nobody", ENG_MEMBER_REPLACE, 4, 104, 0, 0, 0, ENG_MEMBER_UNKNOWN },
	{ "replace who is not there", ENG_MEMBER_REPLACE, 4, 104, 7, 0, 0, ENG_MEMBER_UNKNOWN },
};

static void
test_change(void **state)
{
	const struct row *row = *state;
	struct eng_membership m = cluster_of(3), with = { 0 };
	struct eng_member_change change = {
		.op = row->op,
		.member = { .node_id = row->id, .disk = row->disk },
		.old = row->old,
		.q1 = row->q1,
		.q2 = row->q2,
	};

	assert_int_equal(eng_membership_change(&m, &change, &with), row->result);
	if (row->result == ENG_MEMBER_OK)
		assert_int_equal(with.epoch, 2);
}

/* An operation that this version does not know, say of a newer tool. */
static void
test_an_unknown_change_is_refused(void **state)
{
	struct eng_membership m = cluster_of(3), with;
	struct eng_member_change change = { .op = (enum eng_member_op)9,
		.member = { .node_id = 4, .disk = 104 } };

	(void)state;
	assert_int_equal(eng_membership_change(&m, &change, &with), ENG_MEMBER_UNKNOWN);
}

/* A cluster without a voter chooses nothing, and one with eight is more than anything here counts. */
static void
test_too_few_and_too_many_voters_are_not_decoded(void **state)
{
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];
	struct eng_membership m = cluster_of(1), back;

	(void)state;
	m.members[0].role = ENG_LEARNER;
	assert_int_not_equal(
		eng_membership_decode(bytes, eng_membership_encode(&m, bytes), &back), 0);
	m = cluster_of(ENG_MEMBER_COUNT_MAX);
	assert_int_not_equal(
		eng_membership_decode(bytes, eng_membership_encode(&m, bytes), &back), 0);
	m.members[ENG_MEMBER_COUNT_MAX - 1].role = ENG_LEARNER;
	m.q1 = m.q2 = 4;
	assert_int_equal(eng_membership_decode(bytes, eng_membership_encode(&m, bytes), &back), 0);
	/* A highest id that no node can have. */
	uint32_t count = eng_membership_encode(&m, bytes);
	bytes[38] = 1;
	assert_int_not_equal(eng_membership_decode(bytes, count, &back), 0);
}

/* Two members that are one: its word would count twice (E3). Wherever they stand, as voter or as
 * learner. */
static void
test_an_id_or_a_disk_twice_is_not_decoded(void **state)
{
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];
	struct eng_membership whole = cluster_of(4), m, back;

	(void)state;
	whole.members[3].role = ENG_LEARNER;
	whole.q1 = whole.q2 = 2;
	assert_int_equal(
		eng_membership_decode(bytes, eng_membership_encode(&whole, bytes), &back), 0);
	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t k = i + 1; k < 4; k++) {
			m = whole;
			m.members[k].disk = m.members[i].disk;
			uint32_t count = eng_membership_encode(&m, bytes);
			assert_int_equal(eng_membership_decode(bytes, count, &back), -EBADMSG);
			m = whole;
			m.members[k].node_id = m.members[i].node_id;
			count = eng_membership_encode(&m, bytes);
			assert_int_equal(eng_membership_decode(bytes, count, &back), -EBADMSG);
		}
}

/* Protected by name, without a vote; and only until the next change (12.5). */
static void
test_formers_survive_the_wire_but_no_change(void **state)
{
	struct eng_membership m = cluster_of(1), back, with;
	struct eng_member_change add = {
		.op = ENG_MEMBER_ADD,
		.member = { .node_id = 9, .disk = 99 },
	};
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];

	(void)state;
	m.id_last = 7;
	m.former_count = 2;
	m.former[0] = 2;
	m.former[1] = 7;
	uint32_t count = eng_membership_encode(&m, bytes);
	assert_int_equal(eng_membership_decode(bytes, count, &back), 0);
	assert_memory_equal(&m, &back, sizeof(m));
	assert_int_not_equal(eng_membership_decode(bytes, count - 2, &back), 0);
	assert_true(eng_is_live(&m, 7));
	assert_false(eng_is_live(&m, 1));
	assert_int_equal(eng_membership_change(&m, &add, &with), ENG_MEMBER_OK);
	assert_int_equal(with.former_count, 0);
	assert_false(eng_is_live(&with, 7));
	assert_true(eng_is_live(&with, 1));
	eng_membership_promote(&with, 9, &back);
	assert_true(eng_is_live(&back, 9));
	m.former[1] = 8; /* above id_last */
	assert_int_not_equal(
		eng_membership_decode(bytes, eng_membership_encode(&m, bytes), &back), 0);
	m.former[1] = 2; /* twice */
	assert_int_not_equal(
		eng_membership_decode(bytes, eng_membership_encode(&m, bytes), &back), 0);
}

/* The version of the cluster goes along with every change, never falls, and there is none without
 * one. */
static void
test_a_version_is_only_raised(void **state)
{
	struct eng_membership m = cluster_of(3), back, with;
	struct eng_member_change change = { .op = ENG_MEMBER_RAISE, .version = 2 };
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];

	(void)state;
	assert_int_equal(eng_membership_change(&m, &change, &with), ENG_MEMBER_OK);
	assert_int_equal(with.epoch, m.epoch + 1);
	assert_int_equal(with.version, 2);
	assert_int_equal(with.member_count, 3);
	assert_int_equal(with.q1, m.q1);
	uint32_t count = eng_membership_encode(&with, bytes);
	assert_int_equal(eng_membership_decode(bytes, count, &back), 0);
	assert_memory_equal(&with, &back, sizeof(back));
	assert_int_equal(eng_membership_change(&with, &change, &back), ENG_MEMBER_DONE);
	change.version = 1;
	assert_int_equal(eng_membership_change(&with, &change, &back), ENG_MEMBER_DONE);
	change = (struct eng_member_change){ .op = ENG_MEMBER_REMOVE, .member = { .node_id = 2 } };
	assert_int_equal(eng_membership_change(&with, &change, &back), ENG_MEMBER_OK);
	assert_int_equal(back.version, 2);
	with.version = 0;
	count = eng_membership_encode(&with, bytes);
	assert_int_equal(eng_membership_decode(bytes, count, &back), -EBADMSG);
}

/* Formers have ids, are no more than members can be, and are remembered by a cluster of one node
 * only. */
static void
test_impossible_formers_are_not_decoded(void **state)
{
	struct eng_membership m = cluster_of(1), back;
	uint8_t bytes[ENG_CONFIG_BYTES_MAX];

	(void)state;
	m.id_last = 20;
	m.former_count = 1;
	m.former[0] = 2;
	uint32_t count = eng_membership_encode(&m, bytes);
	assert_int_equal(eng_membership_decode(bytes, count, &back), 0);
	bytes[38] = ENG_MEMBER_COUNT_MAX + 1;
	for (uint32_t i = 1; i <= ENG_MEMBER_COUNT_MAX; i++)
		store_u16(bytes + count + (i - 1) * ENG_CONFIG_FORMER_BYTES, (uint16_t)(2 + i));
	count += ENG_MEMBER_COUNT_MAX * ENG_CONFIG_FORMER_BYTES;
	assert_int_not_equal(eng_membership_decode(bytes, count, &back), 0);
	m.former[0] = 0;
	count = eng_membership_encode(&m, bytes);
	assert_int_not_equal(eng_membership_decode(bytes, count, &back), 0);
	m = cluster_of(3);
	m.former_count = 1;
	m.former[0] = 2;
	count = eng_membership_encode(&m, bytes);
	assert_int_not_equal(eng_membership_decode(bytes, count, &back), 0);
}

/* Asked again, a replacement that is under way is pending; as part of another change it is in the
 * way. */
static void
test_a_replacement_is_known_when_it_is_asked_for_again(void **state)
{
	struct eng_membership m = cluster_of(3), with, after;
	struct eng_member_change change = {
		.op = ENG_MEMBER_REPLACE, .old = 2, .member = { .node_id = 4, .disk = 104 }
	};

	(void)state;
	assert_int_equal(eng_membership_change(&m, &change, &with), ENG_MEMBER_OK);
	assert_int_equal(eng_membership_change(&with, &change, &after), ENG_MEMBER_PENDING);
	change.old = 3;
	assert_int_equal(eng_membership_change(&with, &change, &after), ENG_MEMBER_OUTSTANDING);
	change.op = ENG_MEMBER_ADD;
	assert_int_equal(eng_membership_change(&with, &change, &after), ENG_MEMBER_OUTSTANDING);
	change.op = ENG_MEMBER_REPLACE;
	eng_membership_promote(&with, 4, &after);
	assert_int_equal(eng_membership_change(&after, &change, &with), ENG_MEMBER_ID_USED);
	change.old = 2;
	assert_int_equal(eng_membership_change(&after, &change, &with), ENG_MEMBER_DONE);
}

/* A snapshot names what governs, and what will; both govern from where the log would have it. */
static void
test_restored_configurations_govern_as_decided_ones(void **state)
{
	struct eng_membership m = cluster_of(3);
	struct eng_configs decided, restored;

	(void)state;
	memset(&decided, 0, sizeof(decided)); /* they are compared byte by byte */
	memset(&restored, 0, sizeof(restored));
	eng_configs_init(&decided);
	eng_configs_init(&restored);
	assert_true(eng_configs_decide(&decided, (struct decree_slot){ 1 }, &m));
	eng_configs_restore(&restored, (struct decree_slot){ 1 }, &m);
	assert_memory_equal(&decided, &restored, sizeof(decided));
	m.epoch = 2;
	assert_true(eng_configs_decide(&decided, (struct decree_slot){ 6 }, &m));
	eng_configs_restore(&restored, (struct decree_slot){ 6 }, &m);
	assert_memory_equal(&decided, &restored, sizeof(decided));
	assert_true(eng_configs_advance(&decided, (struct decree_slot){ 9 }));
	eng_configs_init(&restored);
	eng_configs_restore(&restored, (struct decree_slot){ 6 }, &m);
	assert_memory_equal(&decided, &restored, sizeof(decided));
}

/* One step at a time: while a learner catches up, only its own removal is allowed, and its
 * promotion. */
static void
test_a_learner_is_the_one_change(void **state)
{
	struct eng_membership m = cluster_of(3), with, other;
	struct eng_member_change add = { .op = ENG_MEMBER_ADD,
		.member = { .node_id = 4, .disk = 104 } };
	struct eng_member_change another = { .op = ENG_MEMBER_ADD,
		.member = { .node_id = 5, .disk = 105 } };
	struct eng_member_change remove = { .op = ENG_MEMBER_REMOVE, .member = { .node_id = 1 } };

	(void)state;
	assert_int_equal(eng_membership_change(&m, &add, &with), ENG_MEMBER_OK);
	assert_int_equal(eng_voter_count(&with), 3);
	assert_int_equal(eng_membership_change(&with, &add, &other), ENG_MEMBER_PENDING);
	assert_int_equal(eng_membership_change(&with, &another, &other), ENG_MEMBER_OUTSTANDING);
	assert_int_equal(eng_membership_change(&with, &remove, &other), ENG_MEMBER_OUTSTANDING);
	remove.member.node_id = 4;
	assert_int_equal(eng_membership_change(&with, &remove, &other), ENG_MEMBER_OK);
	assert_int_equal(other.member_count, 3);
	assert_int_equal(other.q1, 2);
	/* Its id is spent all the same. */
	assert_int_equal(eng_membership_change(&other, &add, &with), ENG_MEMBER_ID_USED);
}

static void
test_a_promoted_learner_takes_the_place_of_the_one_it_replaces(void **state)
{
	struct eng_membership m = cluster_of(3), with, after;
	struct eng_member_change change = {
		.op = ENG_MEMBER_REPLACE, .old = 2, .member = { .node_id = 4, .disk = 104 }
	};

	(void)state;
	m.q1 = 3;
	m.q2 = 1;
	assert_int_equal(eng_membership_change(&m, &change, &with), ENG_MEMBER_OK);
	eng_membership_promote(&with, 4, &after);
	assert_int_equal(after.epoch, 3);
	assert_int_equal(eng_voter_count(&after), 3);
	assert_null(eng_member_find(&after, 2));
	assert_int_equal(eng_member_find(&after, 4)->role, ENG_VOTER);
	assert_int_equal(after.q1, 3); /* the same number of voters, the same quorums */
	assert_int_equal(after.q2, 1);
}

static void
test_the_last_voter_stays_and_seven_are_enough(void **state)
{
	struct eng_membership one = cluster_of(1), seven = cluster_of(7), with;
	struct eng_member_change remove = { .op = ENG_MEMBER_REMOVE, .member = { .node_id = 1 } };
	struct eng_member_change add = { .op = ENG_MEMBER_ADD,
		.member = { .node_id = 8, .disk = 108 } };

	(void)state;
	assert_int_equal(eng_membership_change(&one, &remove, &with), ENG_MEMBER_LAST);
	assert_int_equal(eng_membership_change(&seven, &add, &with), ENG_MEMBER_TOO_MANY);
	add.op = ENG_MEMBER_REPLACE;
	add.old = 1;
	assert_int_equal(eng_membership_change(&seven, &add, &with), ENG_MEMBER_OK);
}

/* 12.1: chosen in slot i, it governs from i + alpha on; what does not fit is void. */
static void
test_what_governs_follows_from_the_log_alone(void **state)
{
	struct eng_membership m = cluster_of(3);
	struct eng_configs c;

	(void)state;
	eng_configs_init(&c);
	assert_true(eng_configs_decide(&c, (struct decree_slot){ 1 }, &m));
	assert_int_equal(c.now.m.epoch, 1);
	m.epoch = 3;
	assert_false(
		eng_configs_decide(&c, (struct decree_slot){ 5 }, &m)); /* not the next epoch */
	m.epoch = 2;
	assert_true(eng_configs_decide(&c, (struct decree_slot){ 6 }, &m));
	assert_int_equal(c.next.from.n, 10);
	m.epoch = 3;
	assert_false(eng_configs_decide(&c, (struct decree_slot){ 7 }, &m)); /* two at once */
	assert_false(eng_configs_advance(&c, (struct decree_slot){ 8 }));
	assert_int_equal(c.now.m.epoch, 1);
	assert_true(eng_configs_advance(&c, (struct decree_slot){ 9 }));
	assert_int_equal(c.now.m.epoch, 2);
	assert_int_equal(eng_governor_slot(&c.now).n, 6);
	assert_true(eng_configs_decide(&c, (struct decree_slot){ 10 }, &m));
}

#define ROW_COUNT (sizeof(rows) / sizeof(*rows))

int
main(void)
{
	struct CMUnitTest tests[ROW_COUNT + 15] = { { 0 } };
	uint32_t count = 0;

	for (uint32_t i = 0; i < ROW_COUNT; i++)
		tests[count++] = (struct CMUnitTest){
			.name = rows[i].name,
			.test_func = test_change,
			.initial_state = (void *)&rows[i],
		};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(test_quorums_are_sound_if_and_only_if_any_two_meet),
		cmocka_unit_test(test_only_sound_quorums_are_decoded),
		cmocka_unit_test(test_what_an_added_node_carries_survives_the_wire),
		cmocka_unit_test(test_an_unknown_change_is_refused),
		cmocka_unit_test(test_too_few_and_too_many_voters_are_not_decoded),
		cmocka_unit_test(test_an_id_or_a_disk_twice_is_not_decoded),
		cmocka_unit_test(test_formers_survive_the_wire_but_no_change),
		cmocka_unit_test(test_a_version_is_only_raised),
		cmocka_unit_test(test_impossible_formers_are_not_decoded),
		cmocka_unit_test(test_a_replacement_is_known_when_it_is_asked_for_again),
		cmocka_unit_test(test_restored_configurations_govern_as_decided_ones),
		cmocka_unit_test(test_a_learner_is_the_one_change),
		cmocka_unit_test(test_a_promoted_learner_takes_the_place_of_the_one_it_replaces),
		cmocka_unit_test(test_the_last_voter_stays_and_seven_are_enough),
		cmocka_unit_test(test_what_governs_follows_from_the_log_alone),
	};
	for (uint32_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		tests[count++] = others[i];
	return _cmocka_run_group_tests("configs", tests, count, NULL, NULL);
}
