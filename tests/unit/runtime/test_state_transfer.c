/* SPDX-License-Identifier: Apache-2.0 */
/* A node that nobody's log reaches takes a snapshot from its peers, whatever the network does
 * (protocol 9.4). */
#include "tests/unit/runtime/lagging.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "engine/core/replica.h"
#include "engine/runtime/shard_private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the network ---- */

static uint32_t chunks_seen;
static uint64_t second_offset; /* lowest that the second donor was asked for */
static uint16_t first_donor, second_donor;

/* One chunk in five is lost. After twenty the first donor falls silent towards the lagging node. */
static bool
lose_some(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	if (payload[0] != ENG_MSG_SNAPSHOT_CHUNK || to != lagging->node_id)
		return false;
	chunks_seen++;
	if (first_donor == 0)
		first_donor = from;
	if (from == first_donor && chunks_seen > 20)
		return true;
	if (from != first_donor) {
		second_donor = from;
		if (load_u64(payload + ENG_MSG_HEADER_BYTES + 8) < second_offset)
			second_offset = load_u64(payload + ENG_MSG_HEADER_BYTES + 8);
	}
	return chunks_seen * 2654435761u >> 28 <
	       3; /* no period that a burst could hit again and again */
}

/* Twenty chunks, and then nothing from anybody. */
static bool
lose_the_rest(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	if (from == lagging->node_id && payload[0] == ENG_MSG_SNAPSHOT_FETCH && first_donor == 0)
		first_donor = to;
	return to == lagging->node_id && payload[0] == ENG_MSG_SNAPSHOT_CHUNK && ++chunks_seen > 20;
}

/* ---- the story ---- */

static struct world *
world_with_history(void)
{
	struct world *w = world_of_three();
	struct world_node *leader = world_elect(w);
	lagging = world_follower(w);
	isolate(w);
	work(w, leader, (const uint8_t *)"a proposer's one");
	assert_true(shard_counters(leader->shard)->snapshots > 2);
	assert_true(shard_counters(leader->shard)->trims > 0);
	return w;
}

/* Lost frames are asked for again; another peer goes on where the first one stopped. */
static void
test_a_transfer_survives_loss_and_a_change_of_donor(void **state)
{
	struct world *w = world_with_history();

	(void)state;
	chunks_seen = 0;
	second_offset = UINT64_MAX;
	first_donor = second_donor = 0;
	w->lose = lose_some;
	heal(w);
	world_run(w, 5000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	assert_int_not_equal(second_donor, 0);
	assert_true(second_offset > 0); /* it went on, it did not begin anew */
	assert_caught_up(w);
	world_end(w);
}

/* The node that was restored stands on the snapshot after a restart, too. */
static void
test_a_fetched_snapshot_is_what_a_restart_finds(void **state)
{
	struct world *w = world_with_history();

	(void)state;
	heal(w);
	world_run(w, 5000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	snap_fake_crash(stores[lagging->node_id]);
	world_restart(w, lagging);
	lagging->machine.world = w;
	world_run(w, 2000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 0);
	assert_caught_up(w);
	world_end(w);
}

/* What one donor's disk has damaged is not installed; the other donor's copy is. */
static void
test_a_damaged_copy_is_not_installed(void **state)
{
	struct world *w = world_with_history();
	uint16_t bad = lagging->node_id == 1 ? 2 : 1;

	(void)state;
	assert_true(snap_fake_corrupt(stores[bad], 0, snap_fake_last(stores[bad], 0), 30000));
	heal(w);
	world_run(w, 5000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	assert_caught_up(w);
	world_end(w);
}

/* Twenty times the question about the anchor is lost. Counts how often a transfer begins. */
static uint32_t anchors_asked, transfers_begun;

static bool
lose_anchors(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w, (void)to;
	if (from != lagging->node_id)
		return false;
	if (payload[0] == ENG_MSG_SNAPSHOT_FETCH)
		transfers_begun += load_u64(payload + ENG_MSG_HEADER_BYTES) != 0 &&
				   load_u64(payload + ENG_MSG_HEADER_BYTES + 8) == 0;
	return payload[0] == ENG_MSG_QUERY && lagging->shard->fetch.state == FETCH_ANCHOR &&
	       load_u64(payload + ENG_MSG_HEADER_BYTES) == lagging->shard->fetch.wanted.anchor.n &&
	       ++anchors_asked <= 20;
}

/* What is here already is worth waiting for: it does not begin anew. */
static void
test_an_anchor_that_is_long_in_coming(void **state)
{
	struct world *w = world_with_history();

	(void)state;
	anchors_asked = transfers_begun = 0;
	w->lose = lose_anchors;
	heal(w);
	world_run(w, 5000000000);
	assert_true(anchors_asked > 20);
	assert_int_equal(transfers_begun, 1);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	assert_caught_up(w);
	world_end(w);
}

/* A donor that has restarted does not know which slot carries the digest, and perhaps no quorum can
 * tell before the lagging node votes: it is believed, for it compared the two before it kept the
 * file. */
static void
test_a_donor_that_has_restarted_is_believed(void **state)
{
	struct world *w = world_with_history();

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].shard->groups[0].snap.kept.anchor.n = 0;
	heal(w);
	world_run(w, 5000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	assert_caught_up(w);
	world_end(w);
}

/* Half of it is there when one donor dies and the other has a newer one: nobody alive has the rest. */
static void
test_what_only_a_dead_donor_had_is_given_up(void **state)
{
	struct world *w = world_with_history();
	struct world_node *leader = world_elect(w);

	(void)state;
	chunks_seen = 0;
	first_donor = 0;
	w->lose = lose_the_rest;
	heal(w);
	world_run(w, 1000000000);
	assert_true(chunks_seen > 20);
	cut(w, lagging->node_id, first_donor, true);
	work(w, leader, (const uint8_t *)"a proposer's two");
	w->lose = NULL;
	world_run(w, 5000000000);
	assert_true(shard_counters(lagging->shard)->snapshots_fetched >= 1);
	assert_int_equal(lagging->machine.count, leader->machine.count);
	world_end(w);
}

static bool
lose_every_anchor(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w, (void)to;
	return from == lagging->node_id && payload[0] == ENG_MSG_QUERY &&
	       lagging->shard->fetch.state == FETCH_ANCHOR;
}

/* All bytes are there, the donor who is asked for the anchor is silent from now on, and the other
 * one has let go of it. That is so whether he is asked next or has been asked before: `refusals`
 * says where in its round the question is. */
static void
test_a_silent_donor_and_one_that_has_let_go(void **state)
{
	struct world *w = world_with_history();
	struct world_node *leader = world_elect(w);
	const struct snapshot_fetch *f = &lagging->shard->fetch;

	(void)state;
	w->lose = lose_every_anchor;
	heal(w);
	world_run(w, 1000000000);
	assert_int_equal(f->state, FETCH_ANCHOR);
	isolate(w);
	work(w, leader, (const uint8_t *)"a proposer's two");
	for (uint32_t i = 0; i < 10000 && f->refusals != 2; i++)
		world_run(w, 1000000);
	assert_int_equal(f->state, FETCH_ANCHOR);
	assert_int_equal(f->refusals, 2);
	w->lose = NULL;
	heal(w);
	cut(w, lagging->node_id, f->peer, true);
	world_run(w, 5000000000);
	assert_true(shard_counters(lagging->shard)->snapshots_fetched >= 1);
	assert_int_equal(lagging->machine.count, leader->machine.count);
	world_end(w);
}

/* Counts the pieces for the lagging node, and lets nothing through to it. */
static bool
lose_all(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w, (void)from;
	chunks_seen += to == lagging->node_id && payload[0] == ENG_MSG_SNAPSHOT_CHUNK;
	return to == lagging->node_id;
}

/* The lagging node's id asks for the donor's snapshot, on behalf of its disk, or of one that nobody
 * knows. */
static void
ask_as(struct world *w, struct world_node *donor, bool is_strange)
{
	uint8_t bytes[WORLD_FRAME_BYTES];
	struct eng_msg m;

	eng_msg_address(
		lagging->shard->groups[0].replica, ENG_MSG_SNAPSHOT_FETCH, donor->node_id, &m);
	m.src_disk ^= is_strange;
	m.snapshot_fetch.slot = donor->shard->groups[0].snap.kept.slot;
	m.snapshot_fetch.offset_bytes = 0;
	m.snapshot_fetch.count = 4000;
	uint32_t count = eng_msg_encode(NULL, &m, bytes, sizeof(bytes));
	world_deliver(w, donor, (struct net_endpoint){ .node_id = lagging->node_id }, bytes, count);
	world_run(w, 10000000);
}

static bool
lose_chunks(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w, (void)from, (void)to;
	return payload[0] == ENG_MSG_SNAPSHOT_CHUNK;
}

/* A newcomer is given a snapshot by its leader, of whom it has not read yet: its configuration is
 * still that of a member who is gone. When the leader is slow for a while, that one is asked, and
 * then the leader again. */
static void
test_a_newcomer_asks_the_leader_again(void **state)
{
	struct world *w = world_with_history();
	struct world_node *leader = world_elect(w);
	struct world_node *gone = &w->nodes[0];
	struct eng_replica *r = lagging->shard->groups[0].replica;

	(void)state;
	while (gone == leader || gone == lagging)
		gone++;
	gone->is_down = true;
	heal(w);
	while (lagging->shard->fetch.state != FETCH_BYTES)
		world_turn(w);
	r->targets = (uint16_t)(1u << peer_index(r, gone->node_id));
	w->lose = lose_chunks;
	world_run(w, 1000000000);
	assert_int_equal(lagging->shard->fetch.state, FETCH_BYTES);
	w->lose = NULL;
	world_run(w, 3000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	world_end(w);
}

/* Under a member's id, a disk that is not its own is given no snapshot (12.4). */
static void
test_a_strange_disk_is_not_served(void **state)
{
	struct world *w = world_with_history();
	struct world_node *donor = world_elect(w);

	(void)state;
	chunks_seen = 0;
	w->lose = lose_all;
	cut(w, donor->node_id, lagging->node_id, false);
	ask_as(w, donor, true);
	assert_int_equal(chunks_seen, 0);
	ask_as(w, donor, false);
	assert_true(chunks_seen > 0);
	world_end(w);
}

/* Commands for some time, and every 20 ms a piece of the donor's snapshot is asked for. */
static void
work_and_fetch(struct world *w, struct world_mailbox *mail, struct world_node *donor)
{
	for (uint32_t round = 0; round < 40; round++) {
		for (uint32_t i = 0; i < 10; i++) {
			world_propose(mail, 8);
			world_run(w, 1000000);
		}
		ask_as(w, donor, false);
	}
}

static uint64_t
kept_slot(const struct world_node *n)
{
	return n->shard->groups[0].snap.kept.slot.n;
}

/* The snapshot that a peer is fetching stays until nobody has asked for a part of it for T, though
 * the next one is written and agreed; but not when less than an eighth of the log is free (9.2). */
static void
test_a_snapshot_that_is_being_fetched_is_kept(void **state)
{
	struct world *w = world_with_history();
	struct world_node *donor = world_elect(w);
	struct world_node *other = &w->nodes[0];
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t t_ns = donor->eng.election_ns;
	uint64_t fetched = kept_slot(donor);

	(void)state;
	while (other == donor || other == lagging)
		other++;
	assert_int_equal(kept_slot(other), fetched);
	donor->log.space_left = 510000; /* of four million, less a reserve */
	assert_true(shard_gateway_open(donor->shard, 0, (const uint8_t *)"a proposer's two",
			    &world_mailbox_ops, mail) >= 0);
	work_and_fetch(w, mail, donor);
	assert_true(kept_slot(other) > fetched + 2 * 128);
	assert_int_equal(kept_slot(donor), fetched);
	world_run(w, t_ns - 30000000);
	assert_int_equal(kept_slot(donor), fetched);
	world_run(w, 50000000);
	assert_true(kept_slot(donor) > fetched);

	world_run(w, 500000000);
	fetched = kept_slot(donor);
	donor->log.space_left = 490000;
	work_and_fetch(w, mail, donor);
	assert_true(kept_slot(donor) > fetched);
	world_mailbox_free(mail);
	world_end(w);
}

/* Half of the others' log lasts for less than this node takes to make the snapshot durable and to
 * restore it, and seven eighths of it for longer. With a command each millisecond, what comes
 * behind the snapshot would be gone each time. */
static void
test_what_comes_behind_a_snapshot_is_kept_until_it_is_restored(void **state)
{
	const uint64_t slow_ns = 600 * 1000000ull;
	struct world *w = world_of_small_logs(6000, 0);
	struct world_node *leader = world_elect(w);
	struct world_mailbox *mail = world_mailbox_new();

	(void)state;
	lagging = world_follower(w);
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.is_ring = true;
	snap_fake_reset(stores[lagging->node_id],
		&(struct snap_fake_config){
			.seed = 1, .latency_ns_min = slow_ns, .latency_ns_max = slow_ns });
	assert_int_equal(shard_gateway_open(leader->shard, 0, (const uint8_t *)"a proposer's two",
				 &world_mailbox_ops, mail),
		0);
	isolate(w);
	for (uint32_t ms = 0; ms < 20000; ms++) {
		if (ms == 4000)
			heal(w);
		if (mail->pushed - mail->completed < 100)
			world_propose(mail, 8);
		world_run(w, 1000000);
	}
	assert_true(lagging->machine.count + 100 > leader->machine.count);
	assert_int_equal(shard_counters(leader->shard)->log_full, 0);
	world_mailbox_free(mail);
	world_end(w);
}

/* A leader whose memory is not what its log says, and nobody left to tell it: its cuts carry its
 * own word on its own state. It keeps its log, and the third node, back again, has the log's state,
 * not the leader's. */
static void
test_a_diverged_leader_keeps_its_log(void **state)
{
	struct world *w = world_of_three();
	struct world_node *leader = world_elect(w);
	char text[DECREE_ERROR_BYTES];

	(void)state;
	lagging = world_follower(w);
	isolate(w);
	world_run(w, 100000000);
	leader->machine.digest.lo ^= 1;
	work(w, leader, (const uint8_t *)"a proposer's one");
	assert_int_equal(leader->role, DECREE_LEADER);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(shard_counters(w->nodes[i].shard)->snapshots, 0);
		assert_int_equal(shard_counters(w->nodes[i].shard)->trims, 0);
	}
	heal(w);
	world_run(w, 5000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 0);
	assert_int_equal(shard_stop_reason(leader->shard, text), SHARD_STOPPED_HALT);
	for (uint32_t i = 0; i < 3; i++)
		if (&w->nodes[i] != leader)
			assert_memory_equal(
				&w->nodes[i].machine.digest, &lagging->machine.digest, 16);
	world_end(w);
}

static bool
is_status_damaged(struct world *w, const struct world_node *n)
{
	struct decree_status status;

	assert_int_equal(shard_status(n->shard, 0, w->now_ns, &status), 0);
	return status.snapshot_damaged;
}

/* protocol 11.8: with nobody writing, and long before the next one is due, another one takes its
 * place. */
static void
test_a_snapshot_that_rots_is_replaced(void **state)
{
	struct world *w = world_with_history();
	struct world_node *n = &w->nodes[lagging->node_id == 1 ? 1 : 0];
	struct decree_slot rotten;

	(void)state;
	heal(w);
	world_run(w, 5000000000);
	rotten = snap_fake_last(stores[n->node_id], 0);
	assert_false(is_status_damaged(w, n));
	world_run(w, 5000000000);
	assert_int_equal(snap_fake_last(stores[n->node_id], 0).n, rotten.n); /* none is due */
	assert_true(snap_fake_corrupt(stores[n->node_id], 0, rotten, 30000));
	while (!is_status_damaged(w, n))
		world_turn(w);
	while (is_status_damaged(w, n))
		world_turn(w);
	assert_true(snap_fake_last(stores[n->node_id], 0).n > rotten.n);
	world_end(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_transfer_survives_loss_and_a_change_of_donor),
		cmocka_unit_test(test_a_fetched_snapshot_is_what_a_restart_finds),
		cmocka_unit_test(test_a_damaged_copy_is_not_installed),
		cmocka_unit_test(test_an_anchor_that_is_long_in_coming),
		cmocka_unit_test(test_a_donor_that_has_restarted_is_believed),
		cmocka_unit_test(test_what_only_a_dead_donor_had_is_given_up),
		cmocka_unit_test(test_a_silent_donor_and_one_that_has_let_go),
		cmocka_unit_test(test_a_newcomer_asks_the_leader_again),
		cmocka_unit_test(test_a_strange_disk_is_not_served),
		cmocka_unit_test(test_a_snapshot_that_is_being_fetched_is_kept),
		cmocka_unit_test(test_what_comes_behind_a_snapshot_is_kept_until_it_is_restored),
		cmocka_unit_test(test_a_diverged_leader_keeps_its_log),
		cmocka_unit_test(test_a_snapshot_that_rots_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
