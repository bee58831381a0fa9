/* SPDX-License-Identifier: Apache-2.0 */
/* What the contract does not know: no room for images, damaged chunks, a job larger than a chunk
 * that goes meanwhile. */
#include "base/bytes.h"
#include "tests/lib/queue_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t
put(struct queue_fixture *f, uint32_t bytes)
{
	static uint8_t body[1 << 19];
	struct queue_command c = {
		.op = QUEUE_PUT,
		.connection = 1,
		.ttr_s = 60,
		.tail = body,
		.tail_bytes = bytes,
	};

	memset(body, (int)bytes, bytes);
	return qf_do(f, c).result;
}

static bool
is_equal(struct decree_digest a, struct decree_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

/* Its beginning was handed out, then it is deleted: the rest comes all the same. */
static void
test_a_large_job_goes_while_it_is_handed_out(void **state)
{
	struct queue_fixture *f = qf_create(4 * QUEUE_BYTES_MIN),
			     *g = qf_create(4 * QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };
	struct decree_digest before;

	(void)state;
	qf_open(f, 1);
	(void)put(f, 200000);
	(void)put(f, 10);
	before = qf_digest(f);
	assert_int_equal(queue_machine_ops.snapshot_begin(f->m), 0);
	assert_int_equal(qf_snapshot_next(f, &s), 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 1), QUEUE_OK);
	(void)put(f, 200000); /* would take its cells, if they were free */
	while (qf_snapshot_next(f, &s) == 1)
		;
	queue_machine_ops.snapshot_end(f->m);
	assert_int_equal(s.count, 4);
	assert_int_equal(qf_snapshot_restore(g, &s), 0);
	assert_int_equal(g->restored_count, 1);
	assert_true(is_equal(qf_digest(g), before));
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(g);
}

/* Jobs that come and go while the walk is at the end of the row: it must not stumble over what is
 * in their cells next. */
static void
test_jobs_that_come_and_go_meanwhile(void **state)
{
	struct queue_fixture *f = qf_create(4 * QUEUE_BYTES_MIN),
			     *g = qf_create(4 * QUEUE_BYTES_MIN);
	static uint32_t ones[100];
	struct queue_command c = {
		.op = QUEUE_PUT, .connection = 1, .tail = ones, .tail_bytes = 400
	};
	struct qf_snapshot s = { 0 };
	struct decree_digest before;

	(void)state;
	for (int i = 0; i < 100; i++)
		ones[i] = 1;  /* looks like an object that the first walk has seen, */
	ones[26] = INT32_MAX; /* and whose neighbour is far away */
	qf_open(f, 1);
	(void)put(f, 300000);
	before = qf_digest(f);
	assert_int_equal(queue_machine_ops.snapshot_begin(f->m), 0);
	(void)put(f, 10);
	(void)put(f, 10);
	assert_int_equal(qf_snapshot_next(f, &s), 1);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 2), QUEUE_OK);
	assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 3), QUEUE_OK);
	assert_int_equal(qf_do(f, c).status, QUEUE_OK);
	while (qf_snapshot_next(f, &s) == 1)
		;
	queue_machine_ops.snapshot_end(f->m);
	assert_int_equal(qf_snapshot_restore(g, &s), 0);
	assert_true(is_equal(qf_digest(g), before));
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(g);
}

/* Images have a share of their own: when it is used up the snapshot fails, and the queue does not
 * notice. */
static void
test_a_walk_without_room_for_images_fails(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN), *calm = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };
	uint64_t jobs = 0;

	(void)state;
	qf_open(f, 1);
	qf_open(calm, 1);
	for (uint64_t id; (id = put(f, 100)) != 0; jobs = id)
		assert_int_equal(put(calm, 100), id);
	(void)put(calm, 100);
	assert_int_equal(queue_machine_ops.snapshot_begin(f->m), 0);
	assert_int_equal(qf_snapshot_next(f, &s), 1);
	for (uint64_t id = jobs; id > jobs / 2; id--) {
		assert_int_equal(qf_job(f, QUEUE_DELETE, 1, id), QUEUE_OK);
		assert_int_equal(qf_job(calm, QUEUE_DELETE, 1, id), QUEUE_OK);
		assert_int_equal(put(f, 100), put(calm, 100));
	}
	assert_int_equal(qf_snapshot_next(f, &s), -ENOSPC);
	queue_machine_ops.snapshot_end(f->m);
	assert_true(is_equal(qf_digest(f), qf_digest(calm)));
	qf_snapshot_free(&s);
	/* What the walk has kept is given back little by little; a later one has room again. */
	for (int i = 0; i < 1000; i++)
		(void)qf_kick(f, 1, 0);
	qf_snapshot_take(f, &s);
	assert_int_equal(qf_snapshot_restore(calm, &s), 0);
	assert_true(is_equal(qf_digest(f), qf_digest(calm)));
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(calm);
}

/* Another size of the arena refuses other puts, so it is another state machine. */
static void
test_another_arena_is_refused(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN), *g = qf_create(2 * QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };

	(void)state;
	qf_snapshot_take(f, &s);
	assert_int_equal(qf_snapshot_restore(g, &s), -EMSGSIZE);
	assert_int_equal(qf_snapshot_restore(f, &s), 0);
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(g);
}

/* It is not damage, and the operator can do something about it. */
static void
test_another_version_is_told_from_damage(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };

	(void)state;
	qf_snapshot_take(f, &s);
	s.chunks[0].bytes[7] = '2';
	assert_int_equal(qf_snapshot_restore(f, &s), -EPROTONOSUPPORT);
	s.chunks[0].bytes[6] ^= 1;
	assert_int_equal(qf_snapshot_restore(f, &s), -EBADMSG);
	qf_snapshot_free(&s);
	qf_destroy(f);
}

static void
do_there(struct queue_fixture *f, enum queue_op op, uint64_t connection, const char *tube)
{
	struct queue_command c = {
		.op = op,
		.connection = connection,
		.tail = tube,
		.tail_bytes = tube == NULL ? 0 : (uint32_t)strlen(tube),
	};

	(void)qf_do_in(f, QF_OTHER, c);
}

/* One gateway was replaced by another, and so much happens at this moment that its clients are
 * still there, one with a job, and one that waits. */
static void
some_gateways(struct queue_fixture *f)
{
	for (int i = 0; i < 1023; i++)
		(void)qf_put(f, 1, 5, 4, 10);
	qf_wait(f, 4);
	for (uint64_t id = 2; id <= 1023; id++)
		(void)qf_job(f, QUEUE_DELETE, 1, id);
	for (uint64_t i = 3; i > 0; i--) {
		do_there(f, QUEUE_OPEN, i, NULL);
		if (i < 3) {
			do_there(f, QUEUE_WATCH, i, "x");
			do_there(f, QUEUE_IGNORE, i, "default");
		}
		do_there(f, QUEUE_RESERVE, i, NULL);
	}
	assert_int_equal(qf_attach(f, QF_THIRD, 2).result, 3);
	assert_int_equal(qf_stat(f, QUEUE_STAT_CONNECTIONS), 4);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 1);
	assert_int_equal(qf_job_stat(f, 1, QUEUE_JOB_STAT_HOLDER), 3);
}

/* Some of everything. */
static void
some_state(struct queue_fixture *f)
{
	qf_open(f, 1);
	some_gateways(f);
	qf_open(f, 2);
	(void)qf_watch(f, 2, "a tube with a name that is longer than what fits into its own cell");
	(void)qf_put(f, 1, 5, 0, 10);
	(void)qf_put(f, 1, 5, 9, 10);
	(void)qf_put(f, 1, 5, 0, 10);
	(void)qf_reserve(f, 1);
	(void)qf_bury(f, 1, 1024, 0);
	(void)qf_reserve(f, 1);
	(void)qf_pause(f, 1, "default", 3);
	(void)put(f, 1000);
	(void)qf_reserve_for(f, 2, 7);
	assert_int_equal(qf_stat(f, QUEUE_STAT_JOBS_BURIED), 1);
	assert_int_equal(qf_stat(f, QUEUE_STAT_WAITING), 2);
}

/* Whatever the bytes are: a state whose digest is another one, or -EBADMSG, and the machine can be
 * restored again. The sanitizers watch. */
static void
test_damaged_chunks_do_no_harm(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN), *g = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };
	uint32_t refused = 0, taken = 0;
	size_t whole;

	(void)state;
	some_state(f);
	qf_snapshot_take(f, &s);
	assert_int_equal(s.count, 1);
	for (size_t at = 0; at < s.chunks[0].count; at++)
		for (int bit = 0; bit < 8; bit += 3) {
			s.chunks[0].bytes[at] ^= (uint8_t)(1 << bit);
			if (qf_snapshot_restore(g, &s) != 0) {
				refused++;
			} else {
				taken++;
				assert_false(is_equal(qf_digest(f), qf_digest(g)));
			}
			s.chunks[0].bytes[at] ^= (uint8_t)(1 << bit);
		}
	assert_true(refused > 0 && taken > 0);
	whole = s.chunks[0].count;
	for (size_t count = 0; count < whole; count++) {
		s.chunks[0].count = count;
		assert_int_equal(qf_snapshot_restore(g, &s), -EBADMSG);
	}
	s.chunks[0].count = whole;
	assert_int_equal(qf_snapshot_restore(g, &s), 0);
	assert_true(is_equal(qf_digest(f), qf_digest(g)));
	qf_snapshot_free(&s);
	qf_destroy(f);
	qf_destroy(g);
}

/* @return where the words of that gateway have its session; its number follows */
static uint8_t *
gateway_in(const struct qf_snapshot *s, uint64_t session)
{
	uint8_t *at = s->chunks[0].bytes;

	while (load_u64(at) != session) {
		at++;
		assert_true(at + 16 <= s->chunks[0].bytes + s->chunks[0].count);
	}
	return at;
}

/* What no machine writes. */
static void
test_impossible_gateways_are_refused(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 };
	uint8_t *at;

	(void)state;
	qf_snapshot_take(f, &s);
	at = gateway_in(&s, QF_OTHER);
	store_u64(at + 8, 0);
	assert_int_equal(qf_snapshot_restore(f, &s), -EBADMSG);
	store_u64(at + 8, 65536);
	assert_int_equal(qf_snapshot_restore(f, &s), -EBADMSG);
	store_u64(at + 8, 2);
	assert_int_equal(qf_snapshot_restore(f, &s), 0);
	store_u64(at, QF_SESSION); /* twice */
	assert_int_equal(qf_snapshot_restore(f, &s), -EBADMSG);
	store_u64(at, QF_OTHER);
	store_u64(at + 8, 1); /* two of one node */
	assert_int_equal(qf_snapshot_restore(f, &s), -EBADMSG);
	qf_snapshot_free(&s);
	qf_destroy(f);
}

/* A node that is far behind is restored in the middle of its life, even of a walk. */
static void
test_a_restore_ends_a_walk(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);
	struct qf_snapshot s = { 0 }, none = { 0 };
	struct decree_digest before;

	(void)state;
	some_state(f);
	before = qf_digest(f);
	qf_snapshot_take(f, &s);
	assert_int_equal(queue_machine_ops.snapshot_begin(f->m), 0);
	(void)qf_job(f, QUEUE_DELETE, 1, 1024);
	assert_int_equal(qf_snapshot_restore(f, &s), 0);
	assert_true(is_equal(qf_digest(f), before));
	assert_int_equal(qf_snapshot_next(f, &none), -ENOSPC);
	queue_machine_ops.snapshot_end(f->m);
	qf_snapshot_take(f, &none);
	assert_true(qf_snapshot_equal(&s, &none));
	qf_snapshot_free(&none);
	qf_snapshot_free(&s);
	qf_destroy(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_large_job_goes_while_it_is_handed_out),
		cmocka_unit_test(test_jobs_that_come_and_go_meanwhile),
		cmocka_unit_test(test_a_walk_without_room_for_images_fails),
		cmocka_unit_test(test_another_arena_is_refused),
		cmocka_unit_test(test_another_version_is_told_from_damage),
		cmocka_unit_test(test_damaged_chunks_do_no_harm),
		cmocka_unit_test(test_impossible_gateways_are_refused),
		cmocka_unit_test(test_a_restore_ends_a_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
