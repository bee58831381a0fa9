/* SPDX-License-Identifier: Apache-2.0 */
/* What a node keeps of the others' words (protocol 11.9): it holds nobody to what another disk said,
 * nor to bytes that mean nothing. */
#include "tests/lib/cluster.h"

#include "base/bytes.h"
#include "engine/core/hearsay.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define T_NS              (200 * 1000000ull)
#define BALLOT_NEVER_SEEN (1000ull << 16)

static const struct eng_hearsay example = {
	.node_id = 0x0102,
	.disk = 0x1112131415161718,
	.nonce = 0x2122232425262728,
	.boot_count = 0x3132,
	.promised = { 0x41424344 },
	.accepted = { 0x5152 },
	.accepted_boot = 0x6162,
	.accepted_before = { 0x7172 },
};

static void
test_a_row_says_what_it_was_told(void **state)
{
	uint8_t row[ENG_HEARSAY_ROW_BYTES];
	struct eng_hearsay got;

	(void)state;
	eng_hearsay_encode(&example, row);
	assert_int_equal(eng_hearsay_decode(row, &got), 0);
	assert_int_equal(got.node_id, example.node_id);
	assert_int_equal(got.disk, example.disk);
	assert_int_equal(got.nonce, example.nonce);
	assert_int_equal(got.boot_count, example.boot_count);
	assert_int_equal(got.promised.n, example.promised.n);
	assert_int_equal(got.accepted.n, example.accepted.n);
	assert_int_equal(got.accepted_boot, example.accepted_boot);
	assert_int_equal(got.accepted_before.n, example.accepted_before.n);
}

static void
test_what_is_no_row_is_refused(void **state)
{
	static const struct {
		uint32_t at, bytes;
		uint8_t byte;
	} rows[] = { { 0, 2, 0 }, { 8, 8, 0 }, { 5, 1, 1 }, { 40, 8, 0xff }, { 56, 8, 0xff } };
	uint8_t row[ENG_HEARSAY_ROW_BYTES] = { 0 };
	struct eng_hearsay got;

	(void)state;
	assert_int_equal(eng_hearsay_decode(row, &got), -ENOENT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		eng_hearsay_encode(&example, row);
		memset(row + rows[i].at, rows[i].byte, rows[i].bytes);
		assert_int_equal(eng_hearsay_decode(row, &got), -EBADMSG);
	}
}

/* ---- a node that comes back with a row that claims too much of node 3 ---- */

static struct cluster *
cluster_that_remembers(void)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);

	assert_true(cluster_elect(c, 1));
	cluster_run(c, 20 * T_NS);
	assert_true(c->nodes[2].has_hearsay);
	cluster_crash(c, 2);
	return c;
}

/* @return the row of node 3 on the disk of node 2 */
static uint8_t *
row_of_3(struct cluster *c, struct eng_hearsay *ret)
{
	for (uint32_t i = 0; i < ENG_HEARSAY_ROW_COUNT_MAX; i++) {
		uint8_t *row = c->nodes[2].hearsay + i * ENG_HEARSAY_ROW_BYTES;

		if (eng_hearsay_decode(row, ret) == 0 && ret->node_id == 3)
			return row;
	}
	fail_msg("nothing was kept of node 3");
	return NULL;
}

/* It says that node 3 promised what nobody ever proposed.
 * @return the row */
static uint8_t *
claim_too_much(struct cluster *c, bool of_another_disk)
{
	struct eng_hearsay row;
	uint8_t *at = row_of_3(c, &row);

	row.promised.n = BALLOT_NEVER_SEEN;
	row.disk ^= of_another_disk;
	eng_hearsay_encode(&row, at);
	return at;
}

static void
come_back(struct cluster *c)
{
	cluster_restart(c, 2);
	cluster_settle(c);
	cluster_run(c, 5 * T_NS);
}

static void
test_a_node_is_held_to_its_words(void **state)
{
	struct cluster *c = cluster_that_remembers();

	(void)state;
	(void)claim_too_much(c, false);
	come_back(c);
	assert_int_equal(c->nodes[3].halted, ENG_HALT_ROLLED_BACK);
	cluster_destroy(c);
}

/* Its member was replaced, or it never was one. */
static void
test_words_of_another_disk_are_forgotten(void **state)
{
	struct cluster *c = cluster_that_remembers();

	(void)state;
	(void)claim_too_much(c, true);
	come_back(c);
	assert_int_equal(c->nodes[3].halted, ENG_HALT_NONE);
	assert_int_equal(
		cluster_replica(c, 2)->peers[peer_index(cluster_replica(c, 2), 3)].guard.boot_count,
		c->nodes[3].boot_count);
	cluster_destroy(c);
}

static void
test_what_is_no_row_is_forgotten(void **state)
{
	struct cluster *c = cluster_that_remembers();

	(void)state;
	claim_too_much(c, false)[3] = 1; /* where a row is zero */
	come_back(c);
	assert_int_equal(c->nodes[3].halted, ENG_HALT_NONE);
	cluster_destroy(c);
}

/* Whoever was there all the time, and is asked by a node that has only just come back, is neither
 * another process nor outdated; nor is one that was started again meanwhile. */
static void
test_a_node_that_comes_back_accuses_nobody(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		struct cluster *c = cluster_that_remembers();

		for (int times = 0; times < how; times++) {
			cluster_crash(c, 3);
			cluster_restart(c, 3);
			cluster_settle(c);
		}
		come_back(c);
		for (uint16_t node = 1; node <= 3; node++)
			assert_int_equal(c->nodes[node].halted, ENG_HALT_NONE);
		assert_int_equal(cluster_replica(c, 2)->counters.refused_lives, 0);
		cluster_destroy(c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_row_says_what_it_was_told),
		cmocka_unit_test(test_what_is_no_row_is_refused),
		cmocka_unit_test(test_a_node_is_held_to_its_words),
		cmocka_unit_test(test_words_of_another_disk_are_forgotten),
		cmocka_unit_test(test_what_is_no_row_is_forgotten),
		cmocka_unit_test(test_a_node_that_comes_back_accuses_nobody),
	};

	return cmocka_run_group_tests_name("hearsay", tests, NULL, NULL);
}
