/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WINDOW 64
#define ARENA  4096

static int
setup(void **state)
{
	*state = mailbox_create(WINDOW, ARENA);
	return *state == NULL;
}

static int
teardown(void **state)
{
	mailbox_destroy(*state);
	return 0;
}

static void
complete(struct mailbox *m, uint64_t seq)
{
	struct decree_answer a = { .result = seq * 3, .status = 1 };

	mailbox_ring_ops.complete(m, seq, 1, DECREE_APPLIED, &a);
}

static void
test_what_is_pushed_is_popped_in_order_with_its_body(void **state)
{
	struct mailbox *m = *state;
	struct eng_body got[8];

	assert_int_equal(mailbox_push(m, "one", 3, m), 0);
	assert_int_equal(mailbox_push(m, NULL, 0, NULL), 0);
	assert_int_equal(mailbox_push(m, "three", 5, NULL), 0);
	assert_int_equal(mailbox_ring_ops.pop(m, got, 8), 3);
	assert_memory_equal(got[0].body, "one", 3);
	assert_int_equal(got[1].bytes, 0);
	assert_memory_equal(got[2].body, "three", 5);
	assert_int_equal(mailbox_ring_ops.pop(m, got, 8), 0);
}

static void
test_the_window_fills_and_an_outcome_makes_room(void **state)
{
	struct mailbox *m = *state;
	struct eng_body got[WINDOW];
	struct decree_completion done[4];

	for (int i = 0; i < WINDOW; i++)
		assert_int_equal(mailbox_push(m, "x", 1, NULL), 0);
	assert_int_equal(mailbox_push(m, "x", 1, NULL), -EAGAIN);
	assert_int_equal(mailbox_ring_ops.pop(m, got, WINDOW), WINDOW);
	/* The second one is answered first: the place of the first is what the next command needs. */
	complete(m, 2);
	assert_int_equal(mailbox_poll(m, done, 4), 1);
	assert_int_equal(mailbox_push(m, "x", 1, NULL), -EAGAIN);
	complete(m, 1);
	assert_int_equal(mailbox_poll(m, done, 4), 1);
	assert_int_equal(mailbox_push(m, "x", 1, NULL), 0);
	assert_int_equal(mailbox_push(m, "x", 1, NULL), 0);
	assert_int_equal(mailbox_push(m, "x", 1, NULL), -EAGAIN);
}

/* Runs come back as they were told, in as many calls as the reader likes, also over the array's
 * end; a refused one among them. */
static void
test_runs_of_outcomes_are_read_in_pieces(void **state)
{
	struct mailbox *m = *state;
	struct eng_body got[WINDOW];
	struct decree_answer answers[WINDOW];
	struct decree_completion done[7];
	int cookies[WINDOW];
	uint64_t seq = 0;

	for (uint32_t round = 0; round < 5; round++) {
		uint64_t first = seq + 1;

		for (uint32_t i = 0; i < 40; i++) {
			assert_int_equal(mailbox_push(m, "x", 1, &cookies[i]), 0);
			answers[i] = (struct decree_answer){ .result = first + i, .status = 5 };
		}
		assert_int_equal(mailbox_ring_ops.pop(m, got, WINDOW), 40);
		mailbox_ring_ops.complete(m, first, 30, DECREE_APPLIED, answers);
		mailbox_ring_ops.complete(m, first + 30, 8, DECREE_REFUSED, NULL);
		mailbox_ring_ops.complete(m, first + 38, 2, DECREE_APPLIED, answers + 38);
		for (uint32_t i = 0; i < 40;) {
			uint32_t count = mailbox_poll(m, done, 7);

			assert_int_equal(count, i < 35 ? 7 : 5);
			for (uint32_t k = 0; k < count; k++, i++) {
				bool is_refused = i >= 30 && i < 38;

				assert_int_equal(done[k].seq, ++seq);
				assert_ptr_equal(done[k].cookie, &cookies[i]);
				assert_int_equal(done[k].outcome,
					is_refused ? DECREE_REFUSED : DECREE_APPLIED);
				assert_int_equal(done[k].status, is_refused ? 0 : 5);
				assert_int_equal(done[k].result, is_refused ? 0 : seq);
			}
		}
		assert_int_equal(mailbox_poll(m, done, 7), 0);
	}
}

static void
test_the_arena_fills_and_executed_bodies_make_room(void **state)
{
	struct mailbox *m = *state;
	struct eng_body got[8];
	uint8_t body[1500];

	memset(body, 'b', sizeof(body));
	assert_int_equal(mailbox_push(m, body, 1500, NULL), 0);
	assert_int_equal(mailbox_push(m, body, 1500, NULL), 0);
	assert_int_equal(mailbox_push(m, body, 1500, NULL), -EAGAIN); /* 1,096 are left */
	assert_int_equal(mailbox_push(m, body, 1000, NULL), 0);
	assert_int_equal(mailbox_ring_ops.pop(m, got, 8), 3);
	mailbox_ring_ops.consumed(m, 1);
	memset(body, 'c', sizeof(body));
	assert_int_equal(mailbox_push(m, body, 1500, NULL), 0); /* from the start again */
	assert_int_equal(mailbox_ring_ops.pop(m, got + 3, 1), 1);
	assert_int_equal(((const uint8_t *)got[3].body)[1499], 'c');
	assert_int_equal(((const uint8_t *)got[1].body)[0], 'b');
	assert_int_equal(mailbox_push(m, body, ARENA + 1, NULL), -EAGAIN);
}

static void
test_what_has_no_outcome_ends_as_unknown(void **state)
{
	struct mailbox *m = *state;
	struct decree_completion done[WINDOW];
	int cookies[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(mailbox_push(m, "x", 1, &cookies[i]), 0);
	complete(m, 2);
	assert_int_equal(mailbox_poll(m, done, WINDOW), 1);
	assert_int_equal(mailbox_abandon(m, done, WINDOW), 2);
	assert_int_equal(done[0].outcome, DECREE_UNKNOWN);
	assert_int_equal(done[0].seq, 1);
	assert_ptr_equal(done[1].cookie, &cookies[2]);
	assert_int_equal(mailbox_abandon(m, done, WINDOW), 0);
}

/* A read keeps its place, question and answer, until its completion is taken; reads may end in any
 * order. */
static void
test_reads_have_places_of_their_own(void **state)
{
	struct mailbox *m = *state;
	struct mail_query got[MAILBOX_READ_COUNT];
	struct decree_completion c = { .outcome = DECREE_APPLIED };
	struct decree_completion done[2];

	for (int i = 0; i < MAILBOX_READ_COUNT; i++)
		assert_int_equal(mailbox_read(m, &i, sizeof(i), DECREE_STALE, m), 0);
	assert_int_equal(mailbox_read(m, "", 0, DECREE_STALE, m), -EAGAIN);
	assert_int_equal(mailbox_ring_ops.pop_queries(m, got, 100), MAILBOX_READ_COUNT);
	for (int i = 0; i < MAILBOX_READ_COUNT; i++) {
		assert_memory_equal(got[i].bytes, &i, sizeof(i));
		assert_int_equal(got[i].consistency, DECREE_STALE);
		assert_ptr_equal(got[i].cookie, m);
	}
	for (int i = 0; i < WINDOW; i++) /* commands and reads share the way back */
		assert_int_equal(mailbox_push(m, "x", 1, NULL), 0);
	for (int i = 1; i <= WINDOW; i++)
		complete(m, (uint64_t)i);
	memcpy(got[40].answer, "forty", 5);
	c.answer = got[40].answer;
	c.answer_bytes = 5;
	mailbox_ring_ops.complete_read(m, &c);
	for (int i = 0; i < WINDOW; i++)
		assert_int_equal(mailbox_poll(m, done, 1), 1);
	assert_int_equal(mailbox_poll(m, done, 2), 1);
	assert_int_equal(done[0].seq, 0);
	assert_memory_equal(done[0].answer, "forty", 5);
	assert_int_equal(mailbox_read(m, "again", 5, DECREE_LEASE, NULL), 0);
	assert_int_equal(mailbox_read(m, "", 0, DECREE_STALE, m), -EAGAIN);
	assert_int_equal(mailbox_ring_ops.pop_queries(m, got, 100), 1);
	assert_memory_equal(got[0].bytes, "again", 5);
}

/* All places' worth of questions, taken by the shard. */
static void
ask_all(struct mailbox *m, struct mail_query *ret_queries)
{
	for (int i = 0; i < MAILBOX_READ_COUNT; i++)
		assert_int_equal(mailbox_read(m, "", 0, DECREE_STALE, m), 0);
	assert_int_equal(mailbox_read(m, "", 0, DECREE_STALE, m), -EAGAIN);
	assert_int_equal(mailbox_ring_ops.pop_queries(m, ret_queries, 100), MAILBOX_READ_COUNT);
}

/* Whoever has polled for many completions asks on behalf of one before looking at the next. */
static void
test_answers_of_a_poll_stay_while_more_is_asked(void **state)
{
	struct mailbox *m = *state;
	struct mail_query got[MAILBOX_READ_COUNT];
	struct decree_completion done[MAILBOX_READ_COUNT];

	for (int round = 0; round < 3; round++) {
		ask_all(m, got);
		for (int i = 0; i < MAILBOX_READ_COUNT; i++) {
			const struct decree_completion c = {
				.outcome = DECREE_APPLIED,
				.answer = memset(got[i].answer, i, 1),
				.answer_bytes = 1,
			};

			mailbox_ring_ops.complete_read(m, &c);
		}
		assert_int_equal(mailbox_poll(m, done, MAILBOX_READ_COUNT), MAILBOX_READ_COUNT);
		ask_all(m, got);
		for (int i = 0; i < MAILBOX_READ_COUNT; i++) {
			memset(got[i].answer, 0xff, 1);
			assert_memory_equal(done[i].answer, &(uint8_t){ (uint8_t)i }, 1);
		}
		assert_int_equal(mailbox_abandon(m, done, MAILBOX_READ_COUNT), MAILBOX_READ_COUNT);
	}
}

static void
test_reads_without_an_answer_end_as_unknown(void **state)
{
	struct mailbox *m = *state;
	struct decree_completion done[4];
	int cookies[2];

	assert_int_equal(mailbox_read(m, "a", 1, DECREE_STALE, &cookies[0]), 0);
	assert_int_equal(mailbox_push(m, "x", 1, NULL), 0);
	assert_int_equal(mailbox_read(m, "b", 1, DECREE_STALE, &cookies[1]), 0);
	assert_int_equal(mailbox_abandon(m, done, 2), 2);
	assert_int_equal(done[0].seq, 1);
	assert_int_equal(done[1].seq, 0);
	assert_int_equal(done[1].outcome, DECREE_UNKNOWN);
	assert_ptr_equal(done[1].cookie, &cookies[0]);
	assert_int_equal(mailbox_abandon(m, done, 4), 1);
	assert_ptr_equal(done[0].cookie, &cookies[1]);
	assert_int_equal(mailbox_abandon(m, done, 4), 0);
}

/* ------------------------------------------------------------------------------ two threads */

#define COMMAND_COUNT 100000

static void *
shard_main(void *context)
{
	struct mailbox *m = context;
	uint64_t seq = 0;

	while (seq < COMMAND_COUNT) {
		struct eng_body got[16];
		struct decree_answer answers[16];
		uint32_t count = mailbox_ring_ops.pop(m, got, 16);

		if (count == 0) {
			sched_yield();
			continue;
		}
		for (uint32_t i = 0; i < count; i++) {
			uint64_t sum = 0;

			seq++;
			for (uint32_t k = 0; k < got[i].bytes; k++)
				sum += got[i].body[k];
			if (sum != (uint64_t)got[i].bytes * (seq & 0xff))
				return (void *)"a body was overwritten";
		}
		mailbox_ring_ops.consumed(m, seq);
		for (uint32_t i = 0; i < count; i++)
			answers[i] = (struct decree_answer){ .result = (seq - count + 1 + i) * 3 };
		mailbox_ring_ops.complete(m, seq - count + 1, count, DECREE_APPLIED, answers);
	}
	return NULL;
}

/* Meant for ThreadSanitizer: two threads share nothing but the mailbox. */
static void
test_two_threads_pass_bodies_and_outcomes_unharmed(void **state)
{
	struct mailbox *m = *state;
	uint64_t pushed = 0, done = 0;
	pthread_t thread;
	void *complaint;

	assert_int_equal(pthread_create(&thread, NULL, shard_main, m), 0);
	while (done < COMMAND_COUNT) {
		struct decree_completion completions[11];
		uint8_t body[300];
		uint32_t bytes = (uint32_t)((pushed * 37) % sizeof(body)), count;

		memset(body, (int)((pushed + 1) & 0xff), bytes);
		if (pushed < COMMAND_COUNT && mailbox_push(m, body, bytes, NULL) == 0)
			pushed++;
		count = mailbox_poll(m, completions, 11);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(completions[i].result, ++done * 3);
		if (count == 0)
			sched_yield();
	}
	assert_int_equal(pthread_join(thread, &complaint), 0);
	assert_null(complaint);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_what_is_pushed_is_popped_in_order_with_its_body),
		T(test_the_window_fills_and_an_outcome_makes_room),
		T(test_runs_of_outcomes_are_read_in_pieces),
		T(test_the_arena_fills_and_executed_bodies_make_room),
		T(test_what_has_no_outcome_ends_as_unknown),
		T(test_reads_have_places_of_their_own),
		T(test_answers_of_a_poll_stay_while_more_is_asked),
		T(test_reads_without_an_answer_end_as_unknown),
		T(test_two_threads_pass_bodies_and_outcomes_unharmed),
	};

	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
