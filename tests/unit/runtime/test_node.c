/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole node through the public interface: a cluster of one without ports, two shards with a
 * group each, on a real disk and real threads. What needs other nodes is tested by the cluster
 * tests.
 */
#include "tests/unit/runtime/one_node.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char read_cookie[1]; /* any address */

/* Whoever waits for a disk must not yield for ever: that can keep the kernel's worker from this
 * CPU, for which the disk waits. */
static void
give_way(void)
{
	(void)usleep(50); /* woken early is as good */
}

static void
await(struct decree_proposer *p, uint32_t count, uint64_t *ret_last_result)
{
	while (count > 0) {
		struct decree_completion done[16];
		uint32_t got = decree_poll(p, done, 16);

		for (uint32_t i = 0; i < got; i++) {
			assert_int_equal(done[i].outcome, DECREE_APPLIED);
			assert_int_equal(done[i].status, 1);
			*ret_last_result = done[i].result;
		}
		count -= got;
		if (got == 0)
			give_way();
	}
}

static void
add_up(struct one_node *f, uint16_t group, uint64_t count)
{
	struct decree_proposer *p;
	uint64_t result = 0;

	assert_int_equal(decree_proposer_open(f->node, group, &p, f->error), 0);
	for (uint64_t i = 1; i <= count; i++)
		assert_int_equal(decree_propose(p, &i, sizeof(i), NULL), 0);
	await(p, (uint32_t)count, &result);
	assert_true(result >= count * (count + 1) / 2);
	decree_proposer_close(p);
}

static void
test_two_shards_serve_a_group_each_and_a_restart_keeps_both(void **state)
{
	struct one_node *f = *state;
	struct decree_group_status status;

	assert_int_equal(one_open(f, NULL), 0);
	assert_int_equal(decree_start(f->node), 0);
	add_up(f, 0, 100);
	add_up(f, 1, 50);
	assert_int_equal(decree_group_status(f->node, 1, &status), 0);
	assert_int_equal(status.role, DECREE_LEADER);
	assert_true(status.ready);
	assert_int_equal(status.leader, 1);
	assert_int_equal(status.digest.lo, 50);
	assert_int_equal(decree_group_status(f->node, 2, &status), -ENOENT);
	one_close(f);

	assert_int_equal(one_open(f, NULL), 0);
	assert_int_equal(decree_start(f->node), 0);
	add_up(f, 0, 1);
	add_up(f, 1, 1);
	assert_int_equal(decree_group_status(f->node, 0, &status), 0);
	assert_int_equal(status.digest.lo, 101);
	assert_int_equal(status.digest.hi, 100 * 101 / 2 + 1);
	assert_int_equal(decree_group_status(f->node, 1, &status), 0);
	assert_int_equal(status.digest.lo, 51);
	one_close(f);
	assert_non_null(strstr(f->log, "boot 2"));
	assert_non_null(strstr(f->log, "auth NONE"));
}

static struct decree_completion
await_read(struct decree_proposer *p, const char *query, enum decree_consistency consistency)
{
	struct decree_completion done;

	assert_int_equal(
		decree_read(p, query, (uint32_t)strlen(query), consistency, read_cookie), 0);
	while (decree_poll(p, &done, 1) == 0)
		give_way();
	assert_int_equal(done.outcome, DECREE_APPLIED);
	assert_ptr_equal(done.cookie, read_cookie);
	assert_int_equal(done.seq, 0);
	return done;
}

static void
check_reads(struct one_node *f)
{
	struct decree_completion done;
	struct decree_proposer *p;

	assert_int_equal(decree_start(f->node), 0);
	add_up(f, 0, 10);
	assert_int_equal(decree_proposer_open(f->node, 0, &p, f->error), 0);
	for (int consistency = DECREE_LINEARIZABLE; consistency <= DECREE_STALE; consistency++) {
		done = await_read(p, "sum", consistency);
		assert_int_equal(done.status, 0);
		assert_int_equal(done.answer_bytes, 8);
		assert_int_equal(*(const uint64_t *)done.answer, 55);
		assert_true(done.result > 0);
	}
	done = await_read(p, "product", DECREE_LINEARIZABLE);
	assert_int_equal(done.status, EINVAL);
	assert_int_equal(done.answer_bytes, 0);
	assert_int_equal(
		decree_read(p, "", DECREE_QUERY_BYTES_MAX + 1, DECREE_STALE, NULL), -EMSGSIZE);
	assert_int_equal(decree_read(p, "", 0, DECREE_STALE + 1, NULL), -EINVAL);
	decree_proposer_close(p);
	one_close(f);
}

static void
test_reads_are_answered_in_every_consistency(void **state)
{
	struct one_node *f = *state;

	assert_int_equal(one_open(f, NULL), 0);
	check_reads(f);
}

/* Leases may be switched on later: the data directory knows nothing of them. */
static void
test_leases_need_a_clock_that_can_carry_them(void **state)
{
	struct one_node *f = *state;
	int rc = one_open(f, "cluster.lease_ms=100");

	if (rc == 0) {
		check_reads(f);
		return;
	}
	assert_true(rc == -ENOTSUP || rc == -ERANGE);
	assert_non_null(strstr(f->error, "clock"));
}

static void
test_large_commands_pass_through_the_arena_and_the_log(void **state)
{
	struct one_node *f = *state;
	struct decree_proposer *p;
	static uint8_t body[131072];
	uint64_t result = 0;

	assert_int_equal(one_open(f, NULL), 0);
	assert_int_equal(decree_start(f->node), 0);
	assert_int_equal(decree_proposer_open(f->node, 0, &p, f->error), 0);
	body[0] = 3;
	for (int i = 0; i < 10; i++)
		assert_int_equal(decree_propose(p, body, sizeof(body), NULL), 0);
	assert_int_equal(decree_propose(p, body, sizeof(body) + 1, NULL), -EMSGSIZE);
	await(p, 10, &result);
	assert_int_equal(result, 30);
	decree_proposer_close(p);
}

struct stranger {
	struct decree_node *node;
	struct decree_proposer *proposer;
	int propose_rc, start_rc;
	uint32_t polled;
};

static void *
stranger_main(void *context)
{
	struct stranger *s = context;
	struct decree_completion done[1];

	s->propose_rc = decree_propose(s->proposer, "x", 1, NULL);
	s->polled = decree_poll(s->proposer, done, 1);
	s->start_rc = decree_start(s->node);
	return NULL;
}

static void
test_a_call_from_a_wrong_thread_is_refused(void **state)
{
	struct one_node *f = *state;
	struct stranger s;
	pthread_t thread;

	assert_int_equal(one_open(f, NULL), 0);
	s.node = f->node;
	assert_int_equal(decree_proposer_open(f->node, 0, &s.proposer, f->error), 0);
	assert_int_equal(pthread_create(&thread, NULL, stranger_main, &s), 0);
	pthread_join(thread, NULL);
	assert_int_equal(s.propose_rc, -EPERM);
	assert_int_equal(s.polled, 0);
	assert_int_equal(s.start_rc, -EPERM);
	decree_proposer_close(s.proposer);
}

static void
test_after_a_stop_what_was_in_flight_is_unknown(void **state)
{
	struct one_node *f = *state;
	struct decree_completion done[8];
	struct decree_proposer *p;

	assert_int_equal(one_open(f, NULL), 0); /* never started: nobody executes anything */
	assert_int_equal(decree_proposer_open(f->node, 0, &p, f->error), 0);
	assert_int_equal(decree_propose(p, "x", 1, f), 0);
	decree_stop(f->node);
	assert_int_equal(decree_propose(p, "x", 1, NULL), -ESHUTDOWN);
	assert_int_equal(decree_poll(p, done, 8), 1);
	assert_int_equal(done[0].outcome, DECREE_UNKNOWN);
	assert_ptr_equal(done[0].cookie, f);
	decree_proposer_close(p);
}

#define FLIGHT_COUNT 700

static struct decree_proposer *
fly(struct one_node *f)
{
	struct decree_proposer *p;
	char error[DECREE_ERROR_BYTES];

	assert_int_equal(one_open(f, NULL), 0);
	assert_int_equal(decree_start(f->node), 0);
	assert_int_equal(decree_proposer_open(f->node, 0, &p, error), 0);
	for (uint64_t i = 0; i < FLIGHT_COUNT; i++)
		assert_int_equal(decree_propose(p, &i, sizeof(i), &f->machines[0]), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(decree_read(p, "sum", 3, DECREE_LINEARIZABLE, read_cookie), 0);
	return p;
}

/* Wherever a stop strikes, in the first commands or behind the last: each has one outcome, those
 * that were executed before it those of their machine. */
static void
test_a_stop_in_full_flight_tells_each_once(void **state)
{
	struct one_node *f = *state;

	for (int round = 0; round < 4; round++) {
		struct decree_proposer *p = fly(f);
		struct decree_completion done[50];
		uint64_t seq = 0;
		uint32_t reads = 0, count, unknown = 0;

		for (uint32_t polled = 0; polled < (uint32_t)round * 200; polled += count) {
			count = decree_poll(p, done, 7);
			for (uint32_t i = 0; i < count; i++)
				if (done[i].answer == NULL)
					assert_int_equal(done[i].seq, ++seq);
				else
					reads++;
			give_way();
		}
		decree_stop(f->node);
		while ((count = decree_poll(p, done, 50)) > 0)
			for (uint32_t i = 0; i < count; i++) {
				reads += done[i].answer != NULL;
				if (done[i].answer != NULL)
					continue;
				assert_int_equal(done[i].seq, ++seq);
				assert_ptr_equal(done[i].cookie, &f->machines[0]);
				unknown += done[i].outcome == DECREE_UNKNOWN;
				assert_int_equal(done[i].outcome,
					unknown > 0 ? DECREE_UNKNOWN : DECREE_APPLIED);
			}
		assert_int_equal(seq, FLIGHT_COUNT);
		assert_int_equal(reads, 20);
		decree_proposer_close(p);
		one_close(f);
	}
}

#define INSIDE_COUNT 200

/* Works in the turns of shard 1 alone: opens, proposes one command behind the other, closes. */
struct insider {
	struct one_node *fixture;
	struct decree_proposer *proposer;
	pthread_t thread;
	uint32_t proposed, answered;
	bool was_elsewhere; /* called by another thread than before */
	bool is_leaving_it_open;
	int own_rc, other_rc,
		open_rc; /* of questions about both groups, and a proposer of the other */
	_Atomic bool is_over;
	_Atomic uint32_t other_count; /* calls of shard 0 */
};

static bool
work_inside(void *context, uint16_t shard)
{
	struct insider *in = context;
	struct decree_group_status status;
	struct decree_completion done;
	char error[DECREE_ERROR_BYTES];
	uint64_t one = 1;

	if (shard != 1)
		return atomic_fetch_add(&in->other_count, 1) == UINT32_MAX;
	if (atomic_load(&in->is_over))
		return false;
	if (in->proposer == NULL) {
		in->thread = pthread_self();
		in->own_rc = decree_group_status(in->fixture->node, 1, &status);
		in->other_rc = decree_group_status(in->fixture->node, 0, &status);
		in->open_rc = decree_proposer_open(in->fixture->node, 0, &in->proposer, error);
		return decree_proposer_open(in->fixture->node, 1, &in->proposer, error) == 0;
	}
	in->was_elsewhere |= !pthread_equal(in->thread, pthread_self());
	if (decree_poll(in->proposer, &done, 1) == 1)
		in->answered += done.outcome == DECREE_APPLIED && done.result == in->proposed;
	if (in->answered < in->proposed)
		return false;
	if (in->proposed < INSIDE_COUNT)
		return decree_propose(in->proposer, &one, 8, NULL) == 0 && ++in->proposed > 0;
	if (!in->is_leaving_it_open)
		decree_proposer_close(in->proposer); /* waits for the shard, which this is */
	else
		(void)decree_propose(in->proposer, &one, 8, NULL); /* perhaps unknown then */
	atomic_store(&in->is_over, true);
	return true;
}

static void
work_in_turns(struct one_node *f, struct insider *in)
{
	struct decree_options options = one_options(f);

	in->fixture = f;
	options.context = in;
	options.on_turn = work_inside;
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	assert_int_equal(decree_start(f->node), 0);
	while (!atomic_load(&in->is_over) || atomic_load(&in->other_count) == 0) {
		assert_int_equal(decree_health(f->node, f->error), 0);
		give_way();
	}
	assert_int_equal(in->answered, INSIDE_COUNT);
	assert_false(in->was_elsewhere);
	decree_stop(f->node);
	assert_int_equal(f->adders[0].sum, 0);
}

static void
test_a_program_may_work_in_a_shards_own_turns(void **state)
{
	struct insider in = { 0 };

	work_in_turns(*state, &in);
	assert_int_equal(((struct one_node *)*state)->adders[1].sum, INSIDE_COUNT);
}

/* Two shards that waited for each other would wait for ever. */
static void
test_in_its_turns_a_shard_asks_of_its_own_groups_alone(void **state)
{
	struct insider in = { 0 };

	work_in_turns(*state, &in);
	assert_int_equal(in.own_rc, 0);
	assert_int_equal(in.other_rc, -EPERM);
	assert_int_equal(in.open_rc, -EINVAL);
}

static void
test_what_a_shards_turns_left_open_is_closed_by_who_stopped_it(void **state)
{
	struct insider in = { .is_leaving_it_open = true };
	struct decree_completion done;

	work_in_turns(*state, &in);
	assert_int_equal(decree_poll(in.proposer, &done, 1), 1);
	assert_true(done.outcome == DECREE_APPLIED || done.outcome == DECREE_UNKNOWN);
	assert_int_equal(decree_poll(in.proposer, &done, 1), 0);
	decree_proposer_close(in.proposer);
}

/* A shard that stands still for as long as it is told to. */
static bool
stand_still(void *context, uint16_t shard)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	_Atomic bool *is_told = context;

	while (shard == 1 && atomic_load(is_told))
		(void)nanosleep(&nap, NULL);
	return false;
}

/* Whoever asks a shard that does not answer may be what keeps it from its CPU: a thread that does
 * nothing but sched_yield() has kept every other thread from it for 20 seconds. Only sleep is
 * counted as given up of its own will. */
static void
test_who_waits_for_a_shards_answer_sleeps(void **state)
{
	struct one_node *f = *state;
	struct decree_options options = one_options(f);
	struct decree_group_status status;
	struct rusage before, after;
	_Atomic bool is_told = true;

	options.context = &is_told;
	options.on_log = NULL;
	options.on_turn = stand_still;
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	assert_int_equal(decree_start(f->node), 0);
	assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
	assert_int_equal(decree_group_status(f->node, 1, &status), -ETIMEDOUT);
	assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
	assert_true(after.ru_nvcsw > before.ru_nvcsw);
	atomic_store(&is_told, false);
	assert_int_equal(decree_group_status(f->node, 1, &status), 0);
	decree_stop(f->node);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, one_setup, one_teardown)
	const struct CMUnitTest tests[] = {
		T(test_two_shards_serve_a_group_each_and_a_restart_keeps_both),
		T(test_reads_are_answered_in_every_consistency),
		T(test_leases_need_a_clock_that_can_carry_them),
		T(test_large_commands_pass_through_the_arena_and_the_log),
		T(test_a_call_from_a_wrong_thread_is_refused),
		T(test_after_a_stop_what_was_in_flight_is_unknown),
		T(test_a_stop_in_full_flight_tells_each_once),
		T(test_a_program_may_work_in_a_shards_own_turns),
		T(test_in_its_turns_a_shard_asks_of_its_own_groups_alone),
		T(test_what_a_shards_turns_left_open_is_closed_by_who_stopped_it),
		T(test_who_waits_for_a_shards_answer_sleeps),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
