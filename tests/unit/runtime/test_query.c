/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of the state machine through the loop: from proposers and clients, on any node, with and
 * without leases. */
#include "world.h"

#include "base/bytes.h"
#include "engine/core/replica.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull

struct fixture {
	struct world *w;
	struct world_node *leader;
	struct world_node *follower;
	struct world_mailbox *at_leader; /* five commands were executed from here */
	struct world_mailbox *at_follower;
};

static const struct net_endpoint client = { .client = 5, .client_generation = 9 };
static const uint8_t tokens[2][DECREE_UUID_BYTES] = { "proposer at 1st", "proposer at 2nd" };

static struct world_mailbox *
open_mailbox(struct world_node *n, uint32_t i)
{
	struct world_mailbox *m = world_mailbox_new();

	assert_true(shard_gateway_open(n->shard, 0, tokens[i], &world_mailbox_ops, m) >= 0);
	return m;
}

static struct fixture *
fixture_of(uint64_t lease_ns)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->w = world_new(3);
	world_run(f->w, 1 * MS);
	for (uint32_t i = 0; i < 3 && lease_ns != 0; i++) {
		f->w->nodes[i].eng.lease_ns = lease_ns;
		f->w->nodes[i].eng.max_drift_ppm = 1000;
		world_restart(f->w, &f->w->nodes[i]);
	}
	f->leader = world_elect(f->w);
	f->follower = world_follower(f->w);
	f->at_leader = open_mailbox(f->leader, 0);
	f->at_follower = open_mailbox(f->follower, 1);
	for (uint32_t i = 0; i < 5; i++)
		world_propose(f->at_leader, 8);
	world_run(f->w, 30 * MS);
	assert_int_equal(f->at_leader->completed, 5);
	return f;
}

static int
setup(void **state)
{
	*state = fixture_of(0);
	return 0;
}

static int
setup_leases(void **state)
{
	*state = fixture_of(100 * MS);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	world_mailbox_free(f->at_leader);
	world_mailbox_free(f->at_follower);
	world_free(f->w);
	free(f);
	return 0;
}

static uint64_t
answer_of(const struct world_mailbox *m, uint32_t number)
{
	const struct decree_completion *c = &m->query_completions[number];

	assert_true(number < m->query_completed);
	assert_int_equal(c->outcome, DECREE_APPLIED);
	assert_int_equal(c->status, 0);
	assert_int_equal(c->answer_bytes, 8);
	return load_u64(c->answer);
}

static uint64_t
rounds(const struct world_node *n)
{
	struct eng_status status;

	eng_status(shard_replica(n->shard, 0), &status);
	return status.counters.read_rounds;
}

static uint64_t
lease_reads(const struct world_node *n)
{
	struct decree_status status;

	assert_int_equal(shard_status(n->shard, 0, 0, &status), 0);
	assert_true(status.reads >= status.lease_reads);
	return status.lease_reads;
}

static void
cut_off(struct world *w, const struct world_node *n)
{
	for (uint16_t i = 1; i <= 3; i++)
		w->cut[n->node_id][i] = w->cut[i][n->node_id] = true;
}

static void
test_a_read_sees_what_was_applied_anywhere_before_it(void **state)
{
	struct fixture *f = *state;

	world_read(f->at_leader, DECREE_LINEARIZABLE);
	world_read(f->at_follower, DECREE_LINEARIZABLE);
	world_run(f->w, 1 * MS);
	assert_int_equal(answer_of(f->at_leader, 0), 5);
	assert_int_equal(answer_of(f->at_follower, 0), 5);
}

static bool
lose_success(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	(void)w;
	(void)from;
	(void)to;
	return payload[0] == ENG_MSG_SUCCESS;
}

/* The follower has not heard yet that the command is chosen: it has to wait until it has applied
 * it. */
static void
test_a_follower_applies_first_and_answers_then(void **state)
{
	struct fixture *f = *state;

	f->w->lose = lose_success;
	world_propose(f->at_leader, 8);
	while (f->at_leader->completed < 6)
		world_turn(f->w);
	assert_int_equal(f->follower->machine.count, 5);
	world_read(f->at_follower, DECREE_LINEARIZABLE);
	world_run(f->w, 5 * MS);
	assert_int_equal(answer_of(f->at_follower, 0), 6);
}

/* All that came in one turn is one question, and what came during a round is one round. */
static void
test_many_reads_need_few_rounds(void **state)
{
	struct fixture *f = *state;
	uint64_t before = rounds(f->leader);

	for (uint32_t i = 0; i < 100; i++) {
		world_read(f->at_leader, DECREE_LINEARIZABLE);
		world_read(f->at_follower, DECREE_LINEARIZABLE);
	}
	world_run(f->w, 5 * MS);
	assert_int_equal(f->at_leader->query_completed, 100);
	assert_int_equal(f->at_follower->query_completed, 100);
	assert_true(rounds(f->leader) - before <= 8);
	assert_int_equal(answer_of(f->at_follower, 99), 5);
}

static void
test_a_node_that_is_cut_off_answers_only_stale_reads(void **state)
{
	struct fixture *f = *state;
	struct world_node *old = f->leader;

	cut_off(f->w, old);
	world_run(f->w, 100 * MS); /* it does not know yet */
	world_read(f->at_leader, DECREE_LINEARIZABLE);
	world_read(f->at_leader, DECREE_STALE);
	world_run(f->w, 900 * MS);
	assert_int_equal(f->at_leader->query_completed, 1);
	assert_int_equal(load_u64(f->at_leader->query_completions[1].answer), 5);

	f->leader = world_elect(f->w);
	for (uint32_t i = 0; i < 3; i++)
		world_propose(f->at_follower, 8);
	world_run(f->w, 50 * MS);
	memset(f->w->cut, 0, sizeof(f->w->cut));
	world_run(f->w, 500 * MS);
	assert_int_equal(answer_of(f->at_leader, 0), 8);
}

/* ---- clients ---- */

static void
deliver_read(struct fixture *f, struct world_node *to, uint64_t token,
	enum decree_consistency consistency, uint32_t bytes)
{
	uint8_t payload[WORLD_FRAME_BYTES];
	struct client_msg m = {
		.type = CLIENT_MSG_READ_REQUEST,
		.read_request = { token, consistency, (const uint8_t *)"query", bytes },
	};

	world_deliver(f->w, to, client, payload, client_msg_encode(&m, payload, sizeof(payload)));
}

static struct client_msg
frame_at(const struct fixture *f, uint32_t i)
{
	const struct world_client_frame *frame = &f->w->client_frames[i];
	struct client_msg m;

	assert_true(i < f->w->client_frame_count);
	assert_int_equal(client_msg_decode(frame->payload, frame->bytes, &m), 0);
	assert_int_equal(m.type, CLIENT_MSG_READ_REPLY);
	assert_int_equal(frame->to.client, client.client);
	return m;
}

static void
test_a_client_reads_at_any_node(void **state)
{
	struct fixture *f = *state;
	struct client_msg m;

	deliver_read(f, f->follower, 77, DECREE_LINEARIZABLE, 0);
	world_run(f->w, 5 * MS);
	m = frame_at(f, 0);
	assert_int_equal(m.node_id, f->follower->node_id);
	assert_int_equal(m.read_reply.token, 77);
	assert_int_equal(m.read_reply.status, CLIENT_READ_ANSWERED);
	assert_int_equal(m.read_reply.bytes, 8);
	assert_int_equal(load_u64(m.read_reply.answer), 5);
	assert_true(m.read_reply.applied.n > 0);

	deliver_read(f, f->leader, 78, DECREE_LINEARIZABLE, 5);
	world_run(f->w, 5 * MS);
	m = frame_at(f, 1);
	assert_int_equal(m.read_reply.status, CLIENT_READ_FAILED);
	assert_int_equal(m.read_reply.error, EINVAL);
}

static void
test_a_full_queue_is_busy(void **state)
{
	struct fixture *f = *state;

	cut_off(f->w, f->leader);
	for (uint32_t i = 0; i < 300; i++) {
		deliver_read(f, f->leader, i, DECREE_LINEARIZABLE, 0);
		world_turn(f->w);
	}
	assert_int_equal(f->w->client_frame_count, 300 - 256);
	assert_int_equal(frame_at(f, 0).read_reply.status, CLIENT_READ_BUSY);
	assert_int_equal(frame_at(f, 0).read_reply.token, 256);
	memset(f->w->cut, 0, sizeof(f->w->cut));
	world_run(f->w, 2000 * MS);
	assert_int_equal(f->w->client_frame_count, 300);
	assert_int_equal(frame_at(f, 299).read_reply.status, CLIENT_READ_ANSWERED);
}

static void
test_without_a_read_hook_reads_are_refused(void **state)
{
	struct fixture *f = *state;
	struct decree_machine_ops ops = *f->leader->config.machine_ops;

	ops.read = NULL;
	f->leader->config.machine_ops = &ops;
	world_restart(f->w, f->leader);
	world_mailbox_free(f->at_leader);
	f->at_leader = open_mailbox(f->leader, 0);
	world_read(f->at_leader, DECREE_LINEARIZABLE);
	deliver_read(f, f->leader, 1, DECREE_STALE, 0);
	world_run(f->w, 50 * MS);
	assert_int_equal(f->at_leader->query_completions[0].outcome, DECREE_REFUSED);
	assert_int_equal(frame_at(f, 0).read_reply.status, CLIENT_READ_NOT_SUPPORTED);
}

/* Question and answer lie in its mailbox, which is gone when the gateway is closed. */
static void
test_a_closed_gateway_gets_no_answer(void **state)
{
	struct fixture *f = *state;
	struct world_mailbox *m = world_mailbox_new();
	static const uint8_t token[DECREE_UUID_BYTES] = "a third proposer";

	cut_off(f->w, f->leader);
	int gateway = shard_gateway_open(f->leader->shard, 0, token, &world_mailbox_ops, m);
	world_read(m, DECREE_LINEARIZABLE);
	world_read(f->at_leader, DECREE_LINEARIZABLE);
	world_run(f->w, 5 * MS);
	assert_int_equal(m->query_popped, 1);
	shard_gateway_close(f->leader->shard, gateway);
	memset(f->w->cut, 0, sizeof(f->w->cut));
	world_run(f->w, 1000 * MS);
	assert_int_equal(f->at_leader->query_completed, 1);
	assert_int_equal(m->query_completed, 0);
	world_mailbox_free(m);
}

/* ---- leases ---- */

static void
test_a_lease_needs_no_round(void **state)
{
	struct fixture *f = *state;
	uint64_t before = rounds(f->leader);

	world_read(f->at_leader, DECREE_LEASE);
	world_turn(f->w);
	assert_int_equal(answer_of(f->at_leader, 0), 5);
	assert_int_equal(rounds(f->leader), before);
	assert_int_equal(lease_reads(f->leader), 1);

	world_read(f->at_leader, DECREE_LINEARIZABLE); /* by name only */
	world_run(f->w, 1 * MS);
	assert_int_equal(answer_of(f->at_leader, 1), 5);
	assert_int_equal(rounds(f->leader), before + 1);

	world_read(f->at_follower, DECREE_LEASE); /* it holds none */
	world_run(f->w, 1 * MS);
	assert_int_equal(answer_of(f->at_follower, 0), 5);
	assert_int_equal(rounds(f->leader), before + 2);
}

/* E18: the process stands still while the machine computes its answer, longer than the lease.
 * Meanwhile another node may have been elected and have answered commands: the answer must not
 * leave. */
static void
test_an_answer_that_took_longer_than_the_lease_is_thrown_away(void **state)
{
	struct fixture *f = *state;

	cut_off(f->w, f->leader);
	f->leader->machine.read_ns = 150 * MS;
	world_read(f->at_leader, DECREE_LEASE);
	shard_turn(f->leader->shard, f->w->now_ns);
	assert_int_equal(f->at_leader->query_popped, 1);
	assert_int_equal(f->at_leader->query_completed, 0);
	assert_int_equal(lease_reads(f->leader), 0);

	f->leader->machine.read_ns = 0;
	memset(f->w->cut, 0, sizeof(f->w->cut));
	world_run(f->w, 1000 * MS);
	assert_int_equal(answer_of(f->at_leader, 0), 5); /* by a round, later */
}

/* E18: the process stands still between reading the clock and receiving: what it grants with the
 * heartbeat that came meanwhile must count from after the pause, or it would be over before the
 * leader's lease is. */
static void
test_a_grant_counts_from_after_a_pause(void **state)
{
	struct fixture *f = *state;
	uint64_t old_ns = f->w->now_ns;

	while (f->follower->net.first == NULL) { /* until a heartbeat is in its queue */
		for (uint32_t i = 0; i < 3; i++)
			if (&f->w->nodes[i] != f->follower)
				shard_turn(f->w->nodes[i].shard, f->w->now_ns);
		f->w->now_ns += 1 * MS;
	}
	f->w->now_ns += 150 * MS;
	shard_turn(f->follower->shard, old_ns);
	const struct eng_replica *r = shard_replica(f->follower->shard, 0);
	assert_int_equal(r->lease.holder, f->leader->node_id);
	assert_true(r->lease.until_ns >= f->w->now_ns + 100 * MS);
}

/* As long as the leader's lease may last nobody else leads, however the links are cut. */
static void
test_no_other_leader_before_the_lease_is_over(void **state)
{
	struct fixture *f = *state;
	const struct eng_replica *old = shard_replica(f->leader->shard, 0);

	cut_off(f->w, f->leader);
	for (uint32_t turn = 0; turn < 50000; turn++) {
		uint32_t leaders = 0;
		world_turn(f->w);
		for (uint32_t i = 0; i < 3; i++)
			leaders += shard_replica(f->w->nodes[i].shard, 0)->role == DECREE_LEADER;
		assert_true(leaders <= 1 || !eng_lease_holds(old, f->w->now_ns));
	}
	assert_false(eng_lease_holds(old, f->w->now_ns));
	assert_true(world_elect(f->w) != f->leader);
}

int
main(void)
{
#define WITH(test, up) cmocka_unit_test_setup_teardown(test, up, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_a_read_sees_what_was_applied_anywhere_before_it, setup),
		WITH(test_a_follower_applies_first_and_answers_then, setup),
		WITH(test_many_reads_need_few_rounds, setup),
		WITH(test_a_node_that_is_cut_off_answers_only_stale_reads, setup),
		WITH(test_a_client_reads_at_any_node, setup),
		WITH(test_a_full_queue_is_busy, setup),
		WITH(test_without_a_read_hook_reads_are_refused, setup),
		WITH(test_a_closed_gateway_gets_no_answer, setup),
		WITH(test_a_lease_needs_no_round, setup_leases),
		WITH(test_an_answer_that_took_longer_than_the_lease_is_thrown_away, setup_leases),
		WITH(test_a_grant_counts_from_after_a_pause, setup_leases),
		WITH(test_no_other_leader_before_the_lease_is_over, setup_leases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
