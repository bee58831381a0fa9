/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: their sizes, and answers in parts. That they tell the truth is shown by test_model.c. */
#include "base/bytes.h"
#include "tests/lib/queue_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int32_t
ask(struct queue_fixture *f, struct queue_query q, uint8_t *ret, uint32_t capacity)
{
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(&q, query, sizeof(query));

	assert_true(bytes > 0);
	return queue_machine_ops.read(f->m, query, (uint32_t)bytes, ret, capacity);
}

static int
setup(void **state)
{
	*state = qf_create(QUEUE_BYTES_MIN);
	qf_open(*state, 1);
	return 0;
}

static void
read_in_parts(struct queue_fixture *f, struct queue_query q, const uint8_t *body, uint32_t count)
{
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];

	while (q.offset < count) {
		int32_t bytes = ask(f, q, answer, sizeof(answer));

		assert_true(bytes > 12);
		assert_int_equal(load_u32(answer + 8), count);
		assert_memory_equal(answer + 12, body + q.offset, (size_t)bytes - 12);
		q = (struct queue_query){ QUEUE_PEEK, .id = load_u64(answer),
			.offset = q.offset + (uint32_t)bytes - 12 };
	}
	assert_int_equal(q.offset, count);
}

static void
test_a_long_body_in_parts(void **state)
{
	struct queue_fixture *f = *state;
	static uint8_t body[5000], back[5000];
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct queue_query q = { .kind = QUEUE_PEEK_READY, .session = QF_SESSION, .connection = 1 };
	struct queue_command put = {
		.op = QUEUE_PUT, .connection = 1, .tail = body, .tail_bytes = 5000
	};

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7 >> 2);
	assert_int_equal(qf_do(f, put).result, 1);
	while (q.offset < 5000) {
		int32_t bytes = ask(f, q, answer, sizeof(answer));

		assert_true(bytes > 12);
		assert_int_equal(load_u64(answer), 1);
		assert_int_equal(load_u32(answer + 8), 5000);
		memcpy(back + q.offset, answer + 12, (size_t)bytes - 12);
		q = (struct queue_query){ QUEUE_PEEK, .id = 1,
			.offset = q.offset + (uint32_t)bytes - 12 };
	}
	assert_memory_equal(back, body, 5000);
	assert_int_equal(ask(f, q, answer, sizeof(answer)), 12);
	(void)qf_job(f, QUEUE_DELETE, 1, 1);
	assert_int_equal(ask(f, q, answer, sizeof(answer)), -ENOENT);
}

/* Who peeks in a session hears at once of a body that does not fit the answer, and of no other: it
 * may be gone before more of it is asked for. */
static void
test_a_long_body_is_told(void **state)
{
	static const struct queue_query none = { .kind = QUEUE_PEEK, .id = 1 };
	static const enum queue_query_kind kinds[] = { QUEUE_PEEK, QUEUE_PEEK_READY };
	struct queue_fixture *f = *state;
	static uint8_t body[DECREE_ANSWER_BYTES_MAX];
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct queue_command put = { .op = QUEUE_PUT, .connection = 1, .tail = body };

	put.tail_bytes = DECREE_ANSWER_BYTES_MAX - 11;
	assert_int_equal(qf_do(f, put).result, 1);
	put.tail_bytes--;
	assert_int_equal(qf_do(f, put).result, 2);
	(void)ask(f, none, answer, sizeof(answer));
	for (uint64_t i = 0; i < 2; i++) {
		struct queue_query q = {
			.kind = kinds[i], .session = QF_SESSION, .connection = 1, .id = 1
		};

		assert_int_equal(f->found_count, i);
		(void)ask(f, q, answer, sizeof(answer));
		assert_int_equal(f->found_count, i + 1);
		assert_int_equal(f->found.session.n, QF_SESSION);
		assert_int_equal(f->found.connection, 1);
		assert_int_equal(f->found.id, 1);
		assert_int_equal(f->found.body_bytes, DECREE_ANSWER_BYTES_MAX - 11);
		q.offset = 1;
		(void)ask(f, q, answer, sizeof(answer));
		q.offset = 0;
		q.kind = QUEUE_PEEK;
		q.id = 2;
		(void)ask(f, q, answer, sizeof(answer));
		assert_int_equal(f->found_count, i + 1);
	}
}

/* The largest body, as a gateway gets it: whole while the job is being handed over, at once or
 * after a wait; later in pieces. */
static void
test_the_largest_body(void **state)
{
	struct queue_fixture *f = *state;
	static uint8_t body[65535], part[1000];
	struct queue_command put = {
		.op = QUEUE_PUT, .connection = 1, .ttr_s = 9, .tail = body, .tail_bytes = 65535
	};

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 11 >> 3);
	qf_open(f, 2);
	(void)qf_reserve(f, 2);
	for (uint64_t id = 1; id <= 2; id++) {
		body[0] = (uint8_t)id;
		assert_int_equal(qf_do(f, put).result, id);
		if (id == 2)
			assert_int_equal(qf_reserve(f, 1).result, 2);
		assert_int_equal(f->reserved.id, id);
		assert_int_equal(f->reserved.body_bytes, 65535);
		assert_int_equal(f->body_bytes, 65535);
		assert_memory_equal(f->body, body, 65535);
	}
	for (uint32_t at = 0; at < 65535; at += sizeof(part)) {
		int64_t bytes = queue_machine_body(f->m, 2, at, part, sizeof(part));

		assert_int_equal(bytes, at < 65000 ? 1000 : 535);
		assert_memory_equal(part, body + at, (size_t)bytes);
	}
	assert_int_equal(queue_machine_body(f->m, 2, 65535, part, sizeof(part)), 0);
	assert_int_equal(queue_machine_body(f->m, 3, 0, part, sizeof(part)), -ENOENT);
	read_in_parts(f, (struct queue_query){ .kind = QUEUE_PEEK, .id = 2 }, body, 65535);
}

/* Page after page each tube once, even if the last one of a page has gone. */
static void
test_tubes_in_pages(void **state)
{
	struct queue_fixture *f = *state;
	uint8_t answer[64];
	struct queue_query q = { .kind = QUEUE_LIST_TUBES };
	char name[16];
	uint32_t tubes = 0;
	int32_t bytes;

	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "tube-%d", i);
		(void)qf_use(f, 1, name);
		(void)qf_put(f, 1, 0, 0, 1);
	}
	while ((bytes = ask(f, q, answer, sizeof(answer))) > 0) {
		for (const uint8_t *e = answer; e < answer + bytes; e += 9 + e[8], tubes++)
			q.id = load_u64(e);
		if (tubes == 9) /* default, tube-0 .. tube-7 */
			assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 8), QUEUE_OK);
	}
	assert_int_equal(bytes, 0);
	assert_int_equal(tubes, 51);
}

static void
test_what_does_not_fit(void **state)
{
	struct queue_fixture *f = *state;
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct queue_query q = { .session = QF_SESSION, .connection = 1, .id = 0 };

	(void)qf_put(f, 1, 0, 0, 1);
	for (q.kind = QUEUE_PEEK; q.kind <= QUEUE_TUBE_USED; q.kind++) {
		q.name = q.kind == QUEUE_STATS_TUBE ? "default" : NULL;
		q.name_bytes = q.kind == QUEUE_STATS_TUBE ? 7 : 0;
		q.id = q.kind == QUEUE_PEEK || q.kind == QUEUE_STATS_JOB;
		if (q.kind == QUEUE_PEEK_DELAYED || q.kind == QUEUE_PEEK_BURIED)
			continue; /* there are none */
		assert_true(ask(f, q, answer, sizeof(answer)) > 0);
		assert_int_equal(ask(f, q, answer, 6), -EMSGSIZE);
	}
	assert_int_equal(queue_machine_ops.read(f->m, "", 0, answer, sizeof(answer)), -EINVAL);
}

/* A page where some of what was seen has gone, and some of what comes has moved, goes on behind its
 * place. */
static void
test_pages_of_jobs_that_go(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_query q = { .kind = QUEUE_JOBS, .name = "default", .name_bytes = 7 };
	uint8_t answer[16 + 3 * QUEUE_TASK_COUNT * 8];
	uint64_t next = 1;

	for (int i = 0; i < 20; i++)
		(void)qf_put(f, 1, 5, 0, 9);
	do {
		int32_t bytes = ask(f, q, answer, sizeof(answer));

		for (const uint8_t *e = answer + 16; e < answer + bytes;
			e += QUEUE_TASK_COUNT * 8) {
			assert_int_equal(load_u64(e), next);
			next += next == 6 ? 2 : 1;
		}
		q.key = load_u64(answer);
		q.id = load_u64(answer + 8);
		if (q.id == 3)
			for (uint64_t id = 1; id <= 3; id++) /* the place itself among them */
				assert_int_equal(qf_job(f, QUEUE_DELETE, 1, id), QUEUE_OK);
		if (q.id == 6)
			assert_int_equal(qf_job(f, QUEUE_DELETE, 1, 7), QUEUE_OK);
	} while (q.id != 0);
	assert_int_equal(next, 21);
}

/* A worker with a hundred jobs among thousands of clients that wait: pages are short, none is
 * endless, all is listed. */
static void
test_pages_of_jobs_that_are_held(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_query q = { .kind = QUEUE_HELD };
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	uint32_t pages = 0, held = 0;
	uint64_t sum = 0;

	qf_open(f, 2);
	for (int i = 0; i < 100; i++) {
		(void)qf_put(f, 1, 5, 0, 900);
		(void)qf_reserve(f, 1 + i % 2);
	}
	for (uint64_t c = 3; c < 1003; c++) {
		qf_open(f, c);
		(void)qf_reserve_for(f, c, (uint32_t)c);
	}
	do {
		int32_t bytes = ask(f, q, answer, sizeof(answer));

		for (const uint8_t *e = answer + 32; e < answer + bytes; held++) {
			sum += load_u64(e);
			e += (QUEUE_TASK_COUNT + QUEUE_HOLDER_COUNT) * 8;
			e += 1 + *e;
		}
		q.session = load_u64(answer);
		q.connection = load_u64(answer + 8);
		q.key = load_u64(answer + 16);
		q.id = load_u64(answer + 24);
		pages++;
	} while (q.session != 0);
	assert_int_equal(held, 100);
	assert_int_equal(sum, 5050);
	assert_in_range(pages, 1000 / 64, 1000 / 64 + 100 / 9 + 2);
}

static void
test_pages_that_are_refused(void **state)
{
	struct queue_fixture *f = *state;
	struct queue_query q = { .kind = QUEUE_JOBS, .name = "default", .name_bytes = 7 };
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];

	assert_int_equal(ask(f, q, answer, 16 + QUEUE_TASK_COUNT * 8 - 1), -EMSGSIZE);
	q.offset = 1; /* reserved jobs are not with their tube */
	assert_int_equal(ask(f, q, answer, sizeof(answer)), -EINVAL);
	q.offset = 4;
	assert_int_equal(ask(f, q, answer, sizeof(answer)), -EINVAL);
	q.offset = 0;
	q.name = "nothing";
	assert_int_equal(ask(f, q, answer, sizeof(answer)), -ENOENT);
	q = (struct queue_query){ .kind = QUEUE_HELD };
	(void)qf_put(f, 1, 5, 0, 9);
	(void)qf_reserve(f, 1);
	assert_int_equal(ask(f, q, answer, 31), -EMSGSIZE);
	assert_int_equal(ask(f, q, answer, 40), -EMSGSIZE);
	q = (struct queue_query){ .kind = QUEUE_TUBES };
	assert_int_equal(ask(f, q, answer, 40), -EMSGSIZE);
}

/* A question changes nothing, and costs no command. */
static void
test_reads_change_nothing(void **state)
{
	struct queue_fixture *f = *state;
	struct decree_digest before = qf_digest(f), after;

	(void)qf_stat(f, 0);
	(void)qf_peek(f, 1, QUEUE_PEEK_READY);
	(void)qf_tube_stat(f, "new", 0);
	after = qf_digest(f);
	assert_true(before.lo == after.lo && before.hi == after.hi);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, qf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_long_body_in_parts),
		TEST(test_a_long_body_is_told),
		TEST(test_the_largest_body),
		TEST(test_tubes_in_pages),
		TEST(test_what_does_not_fit),
		TEST(test_pages_of_jobs_that_go),
		TEST(test_pages_of_jobs_that_are_held),
		TEST(test_pages_that_are_refused),
		TEST(test_reads_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
