/* SPDX-License-Identifier: Apache-2.0 */
/* The first slot: all founders agree on who they are and on the constants, or the odd one out stops
 * (12.0). */
#include "tests/lib/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* One node's file differs in one number. */
struct row {
	const char *name;
	size_t offset;
	uint32_t value;
	uint32_t q1;         /* of the cluster; q2 is 2 */
	bool is_of_founding; /* counts while the cluster is set up only: a file may be changed later */
};

static const struct row rows[] = {
	{ "slot_bytes", offsetof(struct eng_config, slot_bytes), CLUSTER_SLOT_BYTES + 64, 2,
		false },
	{ "alpha", offsetof(struct eng_config, alpha), 32, 2, false },
	{ "command_bytes_max", offsetof(struct eng_config, command_bytes_max), 1999, 2, false },
	{ "session_count", offsetof(struct eng_config, session_count), 17, 2, false },
	{ "session_window", offsetof(struct eng_config, session_window), 128, 2, false },
	{ "digest_slots", offsetof(struct eng_config, digest_slots), 7, 2, false },
	{ "session_idle_slots", offsetof(struct eng_config, session_idle_slots), 7, 2, false },
	{ "q1", offsetof(struct eng_config, q1), 3, 2, true },
	{ "q2", offsetof(struct eng_config, q2), 3, 2, true },
	{ "one founder less", offsetof(struct eng_config, member_count), 2, 2, true },
	{ "one founder more", offsetof(struct eng_config, member_count), 4, 3, true },
};
#define ROW_COUNT (sizeof(rows) / sizeof(*rows))

static void
on_config(struct cluster *c, uint16_t node, struct eng_config *cfg)
{
	const struct row *row = c->context;

	if (node != 2 || row == NULL)
		return;
	cfg->members[3].node_id = 4; /* counts for one row only */
	memcpy((uint8_t *)cfg + row->offset, &row->value, sizeof(row->value));
}

/* Node 2 starts anew, with the file of that row. */
static void
restart(struct cluster *c, const struct row *row)
{
	c->on_config = on_config;
	c->context = (void *)(uintptr_t)row;
	if (c->nodes[2].up)
		cluster_crash(c, 2);
	cluster_restart(c, 2);
	cluster_settle(c);
}

/* While the cluster is set up every file counts. */
static void
test_a_founder_of_another_mind_stops(void **state)
{
	const struct row *row = *state;
	struct cluster *c = cluster_create(3, row->q1, 2, 1);

	restart(c, row);
	(void)cluster_elect(c, 1); /* slot 2 waits for node 2 for ever */
	assert_int_equal(c->nodes[2].halted, ENG_HALT_CONSTANTS);
	assert_false(cluster_replica(c, 1)->ready);
	assert_int_equal(cluster_replica(c, 1)->chosen.n, 1);
	cluster_destroy(c);
}

/* Later the log counts: constants are for ever, who founded the cluster is history. */
static void
test_a_file_that_changes_later(void **state)
{
	const struct row *row = *state;
	struct cluster *c = cluster_create(3, row->q1, 2, 1);

	assert_true(cluster_elect(c, 1));
	restart(c, row);
	assert_int_equal(
		c->nodes[2].halted, row->is_of_founding ? ENG_HALT_NONE : ENG_HALT_CONSTANTS);
	cluster_destroy(c);
}

/* The same of a node that begins with a snapshot. */
static void
test_a_snapshot_of_another_mind(void **state)
{
	const struct row *row = *state;
	struct cluster *c = cluster_create(3, row->q1, 2, 1);

	assert_true(cluster_elect(c, 1));
	cluster_cut_snapshot(c, 2);
	cluster_settle(c);
	restart(c, row);
	assert_int_equal(
		c->nodes[2].halted, row->is_of_founding ? ENG_HALT_NONE : ENG_HALT_CONSTANTS);
	cluster_destroy(c);
}

static void
another_founder(struct cluster *c, uint16_t node, struct eng_config *cfg)
{
	(void)c;
	if (node == 2)
		cfg->members[2].node_id = 9;
}

static void
test_another_founder_by_name_stops(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	(void)state;
	c->on_config = another_founder;
	cluster_crash(c, 2);
	cluster_restart(c, 2);
	cluster_settle(c);
	(void)cluster_elect(c, 1);
	assert_int_equal(c->nodes[2].halted, ENG_HALT_CONSTANTS);
	cluster_destroy(c);
}

static void
with_a_learner(struct cluster *c, uint16_t node, struct eng_config *cfg)
{
	(void)c;
	(void)node;
	cfg->members[3] = (struct eng_member){ .node_id = 4, .role = ENG_LEARNER };
	cfg->member_count = 4;
}

/* A node that a file names with `joins` is known by its address, and founds nothing. */
static void
test_who_joins_later_is_no_founder(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_configs configs;

	(void)state;
	c->on_config = with_a_learner;
	for (uint16_t node = 1; node <= 3; node++) {
		cluster_crash(c, node);
		cluster_restart(c, node);
	}
	cluster_settle(c);
	assert_true(cluster_elect(c, 1));
	configs = *eng_known_configs(cluster_replica(c, 1));
	assert_int_equal(configs.now.m.epoch, 1);
	assert_int_equal(configs.now.m.member_count, 3);
	assert_null(eng_member_find(&configs.now.m, 4));
	for (uint16_t node = 1; node <= 3; node++)
		assert_int_equal(c->nodes[node].halted, ENG_HALT_NONE);
	cluster_destroy(c);
}

static void
names_itself_only(struct cluster *c, uint16_t node, struct eng_config *cfg)
{
	if (node <= c->founder_count)
		return;
	cfg->members[0].node_id = node;
	cfg->member_count = 1;
}

/* All whom its file names may be gone: who joins asks whoever calls. */
static void
test_who_joins_asks_whoever_calls(void **state)
{
	struct cluster *c = cluster_create(1, 0, 0, 1);
	struct eng_member_change add = { .op = ENG_MEMBER_ADD };

	(void)state;
	assert_true(cluster_elect(c, 1));
	c->on_config = names_itself_only;
	add.member.node_id = cluster_join(c);
	add.member.disk = eng_disk_short(&c->nodes[add.member.node_id].disk);
	assert_int_equal(cluster_member(c, 1, &add), ENG_MEMBER_OK);
	for (int i = 0; i < 20; i++) {
		cluster_settle(c);
		cluster_run(c, 21 * 1000000ull);
	}
	assert_true(cluster_replica(c, 2)->chosen.n > 0);
	assert_int_equal(cluster_replica(c, 2)->chosen.n, cluster_replica(c, 1)->chosen.n);
	cluster_destroy(c);
}

int
main(void)
{
	struct CMUnitTest tests[3 * ROW_COUNT + 3] = { { 0 } };
	uint32_t count = 0;

	for (uint32_t i = 0; i < ROW_COUNT; i++) {
		void *row = (void *)(uintptr_t)&rows[i];
		tests[count++] = (struct CMUnitTest){ rows[i].name,
			test_a_founder_of_another_mind_stops, NULL, NULL, row };
		tests[count++] = (struct CMUnitTest){ rows[i].name, test_a_file_that_changes_later,
			NULL, NULL, row };
		tests[count++] = (struct CMUnitTest){ rows[i].name, test_a_snapshot_of_another_mind,
			NULL, NULL, row };
	}
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_another_founder_by_name_stops);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_who_joins_later_is_no_founder);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_who_joins_asks_whoever_calls);
	return _cmocka_run_group_tests("bootstrap", tests, count, NULL, NULL);
}
