/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica makes of its own log after a restart. */
#include "tests/lib/cluster.h"

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
 * Node 2 misses slot 11, so that its decided prefix stays behind while it accepts many more; then slot 11
 * comes and the prefix jumps; then it misses so much that the next record takes the ring place of a slot that
 * the same record's hint decides. That slot must have been applied before.
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_long_jump_of_the_commit_hint_applies_before_it_overwrites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
