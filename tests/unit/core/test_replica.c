/* SPDX-License-Identifier: Apache-2.0 */
/* The edges of a step: what comes twice, too late, too much, or never should come. */
#include "tests/lib/cluster.h"

#include "base/digest.h"
#include "engine/core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS        1000000ull
#define ROUND_MAX ((1ull << 48) - 1)

static void
promise_on_disk(struct cluster *c, uint16_t node, uint64_t round)
{
	struct eng_hard hard = { .promised = { round << 16 | node } };

	cluster_crash(c, node);
	eng_hard_encode(&hard, c->nodes[node].hard);
	c->nodes[node].has_hard = true;
	cluster_restart(c, node);
	cluster_settle(c);
}

/* There is no ballot above the last round: a node that promised it stands no more, and lives. */
static void
test_the_last_round_is_the_end_of_candidacy(void **state)
{
	struct cluster *c = cluster_create(1, 0, 0, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	promise_on_disk(c, 1, ROUND_MAX - 1);
	assert_true(cluster_elect(c, 1)); /* the last one */
	assert_int_equal(cluster_replica(c, 1)->promised.n, ROUND_MAX << 16 | 1);
	promise_on_disk(c, 1, ROUND_MAX);
	cluster_run(c, 2000 * MS);
	assert_int_equal(c->nodes[1].halted, ENG_HALT_NONE);
	assert_false(cluster_replica(c, 1)->ready);
	assert_int_equal(cluster_replica(c, 1)->promised.n, ROUND_MAX << 16 | 1);
	cluster_destroy(c);
}

/* TimeoutNow and a lost ballot lead to the same wall. */
static void
test_nothing_makes_a_node_go_beyond_the_last_round(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_msg m = { .type = ENG_MSG_LEADER_CHANGE, .src = 1, .dst = 2 };

	(void)state;
	assert_true(cluster_elect(c, 1));
	promise_on_disk(c, 2, ROUND_MAX);
	m.src_nonce = cluster_replica(c, 1)->cfg.nonce;
	m.src_disk = eng_disk_short(&c->nodes[1].disk);
	m.ballot.n = ROUND_MAX << 16 | 1;
	m.epoch = 1;
	m.leader_change.timeout_now = true;
	cluster_replica(c, 2)->promised.n = m.ballot.n; /* a lower node of that round */
	cluster_step(c, 2,
		&(struct eng_event){ .type = ENG_EV_RECV, .now_ns = c->now_ns, .recv.msg = &m });
	assert_int_equal(cluster_replica(c, 2)->campaign, CAMPAIGN_NONE);
	assert_int_equal(cluster_replica(c, 2)->promised.n, m.ballot.n);
	/* The others go on without its vote. */
	uint16_t leader = cluster_elect_any(c, 3000 * MS);
	assert_int_not_equal(leader, 0);
	assert_int_not_equal(leader, 2);
	cluster_destroy(c);
}

/* A replica that has halted says so again, and does nothing else. */
static void
test_a_halted_replica_stays_so(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_event ev = { .type = ENG_EV_TICK };

	(void)state;
	assert_true(cluster_elect(c, 1));
	halt(cluster_replica(c, 1), ENG_HALT_DIVERGED, c->fx);
	halt(cluster_replica(c, 1), ENG_HALT_TWIN, c->fx); /* the first reason counts */
	ev.now_ns = c->now_ns + 1000 * MS;
	eng_step(cluster_replica(c, 1), &ev, c->fx);
	assert_int_equal(c->fx->halt, ENG_HALT_DIVERGED);
	assert_int_equal(c->fx->message_count, 0);
	assert_int_equal(c->fx->persist_count, 0);
	cluster_destroy(c);
}

/* An event of a newer runtime, a completion that is told twice, frames that only the runtime reads:
 * nothing. */
static void
test_what_means_nothing_does_nothing(void **state)
{
	static const enum eng_msg_type types[] = { ENG_MSG_SNAPSHOT_OFFER, ENG_MSG_SNAPSHOT_FETCH,
		ENG_MSG_SNAPSHOT_CHUNK, ENG_MSG_TYPE_COUNT, (enum eng_msg_type)99 };
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_replica *r;

	(void)state;
	assert_true(cluster_elect(c, 1));
	r = cluster_replica(c, 2);
	for (uint32_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct eng_msg m = { .type = types[i],
			.src = 1,
			.dst = 2,
			.epoch = 1,
			.src_nonce = cluster_replica(c, 1)->cfg.nonce,
			.src_disk = eng_disk_short(&c->nodes[1].disk) };
		struct eng_event ev = { .type = ENG_EV_RECV, .now_ns = c->now_ns, .recv.msg = &m };
		eng_step(r, &ev, c->fx);
		assert_int_equal(c->fx->message_count + c->fx->persist_count, 0);
	}
	struct eng_event odd = { .type = (enum eng_event_type)99, .now_ns = c->now_ns };
	eng_step(r, &odd, c->fx);
	assert_int_equal(c->fx->message_count + c->fx->persist_count, 0);
	struct eng_event twice = {
		.type = ENG_EV_PERSISTED, .now_ns = c->now_ns, .persisted.seq = r->persisted
	};
	eng_step(r, &twice, c->fx);
	assert_int_equal(c->fx->message_count + c->fx->persist_count, 0);
	cluster_destroy(c);
}

/* What the log hands back is sent on only if it is the decided record that was asked for. */
static void
test_a_record_that_is_none_is_not_handed_on(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_record record = { .kind = ENG_RECORD_ACCEPTED,
		.slot = { 2 },
		.vballot = { 2 << 16 | 1 },
		.commit = { 1 },
		.bytes = 3 };
	uint8_t tag[ENG_RECORD_TAG_BYTES];

	(void)state;
	assert_true(cluster_elect(c, 1));
	for (uint32_t i = 0; i < 5; i++) {
		struct eng_record bad = record;
		uint32_t bytes = 3;

		if (i == 1) {
			bad.kind = ENG_RECORD_FAULTY;
			bad.bytes = 0;
			bytes = 0;
		}
		bad.slot.n = i == 2 ? 50 : 2;
		bytes = i == 3 ? 2 : bytes;
		eng_record_encode(&bad, tag);
		tag[0] = i == 4 ? 9 : tag[0];
		struct eng_event ev = { .type = ENG_EV_VALUE,
			.now_ns = c->now_ns,
			.value = { 3, tag, (const uint8_t *)"abc", bytes } };
		eng_step(cluster_replica(c, 2), &ev, c->fx);
		assert_int_equal(c->fx->message_count, i == 0);
	}
	cluster_destroy(c);
}

static void
test_the_status_names_every_peer(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_peer_status peers[ENG_PEER_COUNT_MAX];

	(void)state;
	assert_true(cluster_elect(c, 2));
	cluster_run(c, 30 * MS);
	assert_int_equal(eng_peer_status(cluster_replica(c, 2), peers), 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(peers[i].node_id, i == 0 ? 1 : 3);
		assert_int_not_equal(peers[i].echo_ns, 0);
		assert_int_equal(peers[i].commit.n, 2);
		assert_int_equal(peers[i].matched.n, 3);
	}
	assert_int_equal(eng_leader(cluster_replica(c, 2)), 2);
	assert_int_equal(eng_leader(cluster_replica(c, 1)), 2);
	cluster_destroy(c);
}

/* ---- more than a step takes ---- */

#define BURST 300

static void
with_a_large_window(struct cluster *c, uint16_t node, struct eng_config *cfg)
{
	(void)c;
	(void)node;
	cfg->alpha = 400;
	cfg->window_slots = 400;
	cfg->ring_slots = 1024;
}

/* A step makes ENG_FX_PERSIST_MAX writes at most: what does not fit is BUSY, what was taken is
 * executed. */
static void
test_a_burst_beyond_one_step_is_busy(void **state)
{
	static struct eng_command commands[BURST];
	static enum eng_submit_status statuses[BURST];
	uint8_t body[280] = { 7 };
	struct cluster *c = cluster_create(1, 0, 0, 1);
	uint32_t taken = 0;

	(void)state;
	c->on_config = with_a_large_window;
	cluster_crash(c, 1);
	cluster_restart(c, 1);
	assert_true(cluster_elect(c, 1));
	assert_int_equal(
		cluster_submit(c, 1, (struct decree_session){ 0 }, 0, "a client's token", 16),
		ENG_SUBMIT_OK);
	cluster_settle(c);
	struct decree_session session =
		eng_session_find(c->nodes[1].sessions, (const uint8_t *)"a client's token");
	for (uint32_t i = 0; i < BURST; i++)
		commands[i] = (struct eng_command){ session, i + 1, body, sizeof(body) };
	cluster_step(c, 1,
		&(struct eng_event){ .type = ENG_EV_SUBMIT,
			.now_ns = c->now_ns,
			.submit = { commands, BURST, statuses } });
	while (taken < BURST && statuses[taken] == ENG_SUBMIT_OK)
		taken++;
	assert_in_range(taken, 200, ENG_FX_PERSIST_MAX);
	for (uint32_t i = taken; i < BURST; i++)
		assert_int_equal(statuses[i], ENG_SUBMIT_BUSY);
	cluster_flush(c, 1);
	cluster_settle(c);
	assert_int_equal(eng_session_last(c->nodes[1].sessions, session), taken);
	cluster_destroy(c);
}

/* Each lost election doubles the wait, up to 2 T (E25). */
static void
test_the_back_off_has_an_end(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_replica *r = cluster_replica(c, 2);

	(void)state;
	assert_true(cluster_elect(c, 1));
	for (uint32_t i = 0; i < 10; i++) {
		campaign_prepare(r, c->fx);
		struct eng_msg m = { .type = ENG_MSG_FAILURE,
			.src = 3,
			.dst = 2,
			.epoch = 1,
			.ballot = r->ballot,
			.src_nonce = cluster_replica(c, 3)->cfg.nonce,
			.src_disk = eng_disk_short(&c->nodes[3].disk) };
		m.failure.reason = ENG_FAIL_BALLOT;
		m.failure.promised.n = r->ballot.n + (1 << 16);
		m.failure.dst_nonce = r->cfg.nonce;
		struct eng_event ev = { .type = ENG_EV_RECV, .now_ns = c->now_ns, .recv.msg = &m };
		c->fx->persist_count = 0;
		eng_step(r, &ev, c->fx);
		uint64_t limit = r->cfg.heartbeat_ns << (i < 6 ? i : 6);
		if (limit > 2 * r->cfg.election_ns)
			limit = 2 * r->cfg.election_ns;
		assert_int_equal(r->campaign, CAMPAIGN_NONE);
		assert_in_range(r->election_ns - c->now_ns, r->cfg.heartbeat_ns,
			r->cfg.heartbeat_ns + limit);
	}
	cluster_destroy(c);
}

/* ---- what phase 1 is told ---- */

static void
report(struct cluster *c, uint16_t node, uint64_t slot, uint32_t member, uint64_t round)
{
	struct eng_promise_entry e = {
		.vballot = { round << 16 | 1 }, .digest = { slot, 1 }, .state = ENG_ENTRY_FAULTY_ID
	};

	choice_merge(cluster_replica(c, node), (struct decree_slot){ slot }, &e, member, c->fx);
}

/* The table of damaged copies is full: the next one counts as of an unknown ballot, which blocks
 * more, not less. */
static void
test_more_reports_than_the_table_holds_count_as_unknown(void **state)
{
	struct cluster *c = cluster_create(7, 0, 0, 1);
	struct eng_replica *r = cluster_replica(c, 1);

	(void)state;
	assert_true(cluster_elect(c, 1));
	choices_forget(r);
	for (uint64_t slot = 3; slot < 120; slot++)
		for (uint32_t member = 0; member < 5; member++) {
			report(c, 1, slot, member, 3);
			report(c, 1, slot, member, 3); /* a fragment came twice */
		}
	assert_int_equal(r->report_count, REPORT_COUNT_MAX);
	assert_true(r->has_unknown);
	assert_int_equal(r->choices[3].unknown, 0);
	assert_int_equal(r->choices[119].unknown, 0x1f);
	cluster_destroy(c);
}

/* A damaged copy below the best intact one blocks nobody: whatever it was, it lost (5.6). */
static void
test_a_damaged_copy_of_a_lower_ballot_is_no_obstacle(void **state)
{
	struct cluster *c = cluster_create(3, 0, 0, 1);
	struct eng_replica *r = cluster_replica(c, 1);
	struct eng_promise_entry intact = {
		.vballot = { 5 << 16 | 1 }, .digest = { 77, 1 }, .state = ENG_ENTRY_ACCEPTED
	};

	(void)state;
	assert_true(cluster_elect(c, 1));
	choices_forget(r);
	r->prepare_last.n = 3;
	report(c, 1, 3, 1, 3);
	assert_false(choices_are_settled(r, 0x3, c->fx));
	choice_merge(r, (struct decree_slot){ 3 }, &intact, 0, c->fx);
	assert_true(choices_are_settled(r, 0x3, c->fx));
	/* Of a higher one it does. */
	choices_forget(r);
	report(c, 1, 3, 1, 9);
	choice_merge(r, (struct decree_slot){ 3 }, &intact, 0, c->fx);
	assert_false(choices_are_settled(r, 0x3, c->fx));
	assert_true(choices_are_settled(r, 0x7, c->fx)); /* without its owner two are left */
	cluster_destroy(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_round_is_the_end_of_candidacy),
		cmocka_unit_test(test_nothing_makes_a_node_go_beyond_the_last_round),
		cmocka_unit_test(test_a_halted_replica_stays_so),
		cmocka_unit_test(test_what_means_nothing_does_nothing),
		cmocka_unit_test(test_a_record_that_is_none_is_not_handed_on),
		cmocka_unit_test(test_the_status_names_every_peer),
		cmocka_unit_test(test_a_burst_beyond_one_step_is_busy),
		cmocka_unit_test(test_the_back_off_has_an_end),
		cmocka_unit_test(test_more_reports_than_the_table_holds_count_as_unknown),
		cmocka_unit_test(test_a_damaged_copy_of_a_lower_ballot_is_no_obstacle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
