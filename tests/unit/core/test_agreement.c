/* SPDX-License-Identifier: Apache-2.0 */
/* Whose word makes a state the cluster's state: a majority of the voters', and nobody else's
 * (protocol 7.4). */
#include "tests/lib/cluster.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIGEST_SLOTS 4

static const struct decree_slot first_mark = { 4 }; /* slot 8 names it, and the digest there */

/* ---- a cluster where node 1 hears state digests of some nodes only ---- */

static bool
is_kept_from_1(const struct cluster_frame *f, uint16_t heard)
{
	return f->dst == 1 && f->data[0] == ENG_MSG_STATE_DIGEST && !(heard & 1u << f->src);
}

/* @param heard  bit of each node whose state digests reach node 1 */
static void
settle(struct cluster *c, uint16_t heard)
{
	bool busy = true;

	while (busy) {
		busy = false;
		for (; c->flight_count > 0; busy = true)
			if (is_kept_from_1(&c->flight[0], heard))
				cluster_drop(c, 0);
			else
				cluster_deliver(c, 0, false);
		for (uint16_t node = 1; node <= c->node_count; node++) {
			busy = busy || c->nodes[node].outstanding_count > 0;
			cluster_persist(c, node, UINT32_MAX);
		}
	}
}

static struct cluster *
cluster_of(uint32_t nodes, uint32_t q1, uint32_t q2)
{
	struct cluster *c = cluster_create_with(nodes, q1, q2, DIGEST_SLOTS, 0, 4, 1);

	assert_true(cluster_elect(c, 1));
	return c;
}

/* One slot after the other, up to this one at least. */
static void
fill_to(struct cluster *c, uint64_t slot, uint16_t heard)
{
	while (cluster_replica(c, 1)->chosen.n < slot) {
		uint8_t token[DECREE_UUID_BYTES] = { 0 };

		store_u64(token, cluster_replica(c, 1)->chosen.n);
		assert_int_equal(
			cluster_submit(c, 1, (struct decree_session){ 0 }, 0, token, sizeof(token)),
			ENG_SUBMIT_OK);
		settle(c, heard);
	}
}

/* ---- what node 1 thinks ---- */

static struct decree_digest
own_digest(struct cluster *c, struct decree_slot slot)
{
	const struct audit *a = &cluster_replica(c, 1)->audit;

	for (uint32_t i = 0; i < AUDIT_OWN_COUNT; i++)
		if (a->own[i].slot.n == slot.n)
			return a->own[i].digest;
	fail_msg("node 1 has no digest of slot %lu", slot.n);
	return (struct decree_digest){ 0, 0 };
}

static bool
is_agreed(struct cluster *c, struct decree_slot slot)
{
	return eng_is_agreed(cluster_replica(c, 1), slot, own_digest(c, slot));
}

static void
hear(struct cluster *c, uint16_t from, struct decree_slot slot, struct decree_digest digest)
{
	struct eng_msg m;

	eng_msg_address(cluster_replica(c, from), ENG_MSG_STATE_DIGEST, 1, &m);
	m.state_digest.slot = slot;
	m.state_digest.digest = digest;
	m.state_digest.is_question = false;
	cluster_step(c, 1,
		&(struct eng_event){ .type = ENG_EV_RECV, .now_ns = c->now_ns, .recv.msg = &m });
	assert_true(eng_was_welcome(cluster_replica(c, 1)));
}

/* ---- the rule ---- */

/* A node alone is its own majority, as soon as it has said so: when its log names the digest. */
static void
test_a_node_alone_agrees_with_itself(void **state)
{
	struct cluster *c = cluster_of(1, 0, 0);
	struct decree_digest own;

	(void)state;
	fill_to(c, 6, 0);
	assert_false(is_agreed(c, first_mark));
	fill_to(c, 8, 0);
	assert_true(is_agreed(c, first_mark));
	own = own_digest(c, first_mark);
	own.lo ^= 1;
	assert_false(eng_is_agreed(cluster_replica(c, 1), first_mark, own));
	cluster_destroy(c);
}

static void
test_of_two_both_must_say_it(void **state)
{
	struct cluster *c = cluster_of(2, 0, 0);

	(void)state;
	fill_to(c, 8, 0);
	assert_false(is_agreed(c, first_mark));
	hear(c, 2, first_mark, own_digest(c, first_mark));
	assert_true(is_agreed(c, first_mark));
	cluster_destroy(c);
}

/* What somebody says twice is said by one; what differs is no support. */
static void
test_of_five_three_must_say_the_same(void **state)
{
	struct cluster *c = cluster_of(5, 0, 0);
	struct decree_digest own, other;

	(void)state;
	fill_to(c, 8, 0);
	own = other = own_digest(c, first_mark);
	other.hi ^= 1;
	hear(c, 2, first_mark, own);
	hear(c, 2, first_mark, own);
	assert_false(is_agreed(c, first_mark));
	hear(c, 3, first_mark, other);
	assert_false(is_agreed(c, first_mark));
	hear(c, 4, first_mark, own);
	assert_true(is_agreed(c, first_mark));
	assert_false(eng_is_agreed(cluster_replica(c, 1), first_mark, other));
	cluster_destroy(c);
}

/* Quorums of two choose values; a state that a minority shares is still nobody's. */
static void
test_small_quorums_are_no_majority(void **state)
{
	struct cluster *c = cluster_of(5, 4, 2);
	struct decree_digest own;

	(void)state;
	fill_to(c, 8, 0);
	own = own_digest(c, first_mark);
	hear(c, 5, first_mark, own);
	assert_false(is_agreed(c, first_mark));
	hear(c, 4, first_mark, own);
	assert_true(is_agreed(c, first_mark));
	cluster_destroy(c);
}

/* ... nor are large ones needed: a majority is enough where every vote is needed to choose. */
static void
test_large_quorums_are_more_than_a_majority(void **state)
{
	struct cluster *c = cluster_of(3, 1, 3);

	(void)state;
	fill_to(c, 8, 1 << 3);
	assert_true(is_agreed(c, first_mark));
	cluster_destroy(c);
}

/* ---- who counts ---- */

/* Node 3 is added to nodes 1 and 2, and is never heard: it stays a learner. */
static void
learner_add(struct cluster *c)
{
	struct eng_member_change change = { .op = ENG_MEMBER_ADD };

	change.member.node_id = cluster_join(c);
	change.member.disk = eng_disk_short(&c->nodes[3].disk);
	assert_int_equal(cluster_member(c, 1, &change), ENG_MEMBER_OK);
	settle(c, 0);
	cluster_run(c, 21000000);
	c->nodes[3].record_room = 1; /* it takes no value, so it does not catch up */
}

static void
test_a_learner_is_no_voter(void **state)
{
	struct cluster *c = cluster_of(2, 0, 0);
	struct eng_replica *leader = cluster_replica(c, 1);
	struct decree_slot mark;
	int32_t learner;

	(void)state;
	learner_add(c);
	do
		fill_to(c, leader->chosen.n + 1, 0);
	while (leader->audit.own[leader->audit.own_last].slot.n <= first_mark.n);
	learner = peer_index(leader, 3);
	assert_true(learner >= 0);
	assert_int_equal(leader->config.voters & set_of((uint32_t)learner), 0);
	mark = leader->audit.own[leader->audit.own_last].slot;
	fill_to(c, mark.n + DIGEST_SLOTS, 0);
	hear(c, 3, mark, own_digest(c, mark));
	assert_false(is_agreed(c, mark));
	hear(c, 2, mark, own_digest(c, mark));
	assert_true(is_agreed(c, mark));
	cluster_destroy(c);
}

/* ---- and until when ---- */

/* Nobody was heard about the first mark, and it is compared no more: that a majority has our state
 * at a later one speaks for it, whatever it was. That a later one is being compared does not. */
static void
test_a_later_agreement_speaks_for_what_is_compared_no_more(void **state)
{
	struct cluster *c = cluster_of(3, 0, 0);
	struct decree_digest own;

	(void)state;
	fill_to(c, 8, 0);
	own = own_digest(c, first_mark);
	fill_to(c, (AUDIT_ROUND_COUNT + 3) * DIGEST_SLOTS, 0);
	assert_false(eng_is_agreed(cluster_replica(c, 1), first_mark, own));
	fill_to(c, (AUDIT_ROUND_COUNT + 4) * DIGEST_SLOTS, 1 << 2);
	assert_true(eng_is_agreed(cluster_replica(c, 1), first_mark, own));
	cluster_destroy(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_node_alone_agrees_with_itself),
		cmocka_unit_test(test_of_two_both_must_say_it),
		cmocka_unit_test(test_of_five_three_must_say_the_same),
		cmocka_unit_test(test_small_quorums_are_no_majority),
		cmocka_unit_test(test_large_quorums_are_more_than_a_majority),
		cmocka_unit_test(test_a_learner_is_no_voter),
		cmocka_unit_test(test_a_later_agreement_speaks_for_what_is_compared_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
