/* SPDX-License-Identifier: Apache-2.0 */
/* Reading back an applied log from a node that loses requests, answers one frame at a time and goes
 * on applying meanwhile: every entry comes once, in order. */
#include "engine/client/log_reader.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAME_BYTES 1424

struct world {
	struct log_reader reader;
	uint64_t now_ns;
	uint64_t applied;
	uint64_t random;
	uint32_t loss_percent;
};

static uint32_t
draw(struct world *w, uint32_t below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % below;
}

/* Slot n holds n % 50 commands: more than a frame's worth, and none, happen too. */
static uint32_t
slot_entry_count(uint64_t slot)
{
	return (uint32_t)(slot % 50);
}

static void
serve(struct world *w, const struct client_msg *request)
{
	uint64_t slot = request->log_request.first.n;
	uint64_t after = slot + 1 + draw(w, request->log_request.slot_count);
	uint32_t index = request->log_request.first_index;
	uint8_t frame[FRAME_BYTES];
	struct client_writer writer;
	struct client_msg reply;
	bool is_full = false;

	client_log_reply_begin(&writer, frame, sizeof(frame), 0, 1, request->log_request.token);
	for (; slot < after && slot <= w->applied && !is_full; slot++, index = 0) {
		while (index < slot_entry_count(slot) &&
			client_log_reply_add(&writer,
				&(struct decree_log_entry){ .slot = { slot }, .index = index }))
			index++;
		is_full = index < slot_entry_count(slot);
		if (is_full)
			break;
	}
	assert_int_equal(
		client_msg_decode(frame,
			client_log_reply_finish(&writer, (struct decree_slot){ w->applied },
				(struct decree_slot){ slot }, (uint16_t)(is_full ? index : 0)),
			&reply),
		0);
	log_reader_receive(&w->reader, w->now_ns, &reply);
}

static uint64_t
read_all(struct world *w, uint64_t first, uint32_t count_max)
{
	struct decree_log_entry *entries = calloc(count_max, sizeof(entries[0]));
	struct decree_slot next = { first };
	uint64_t slot = first;
	uint64_t index = 0;

	log_reader_init(&w->reader, 0, first, 1, w->now_ns);
	for (uint32_t turn = 0; !log_reader_is_done(&w->reader); turn++) {
		struct client_msg request;
		int count;

		assert_true(turn < 100000);
		while (log_reader_request(&w->reader, w->now_ns, &request))
			if (draw(w, 100) >= w->loss_percent)
				serve(w, &request);
		count = log_reader_take(&w->reader, entries, count_max, &next);
		assert_true(count >= 0);
		for (int i = 0; i < count; i++) {
			for (; index == slot_entry_count(slot); slot++)
				index = 0;
			assert_int_equal(entries[i].slot.n, slot);
			assert_int_equal(entries[i].index, index++);
		}
		w->now_ns += LOG_READER_REPEAT_NS / 3;
		w->applied += w->applied < 900 ? draw(w, 3) : 0;
	}
	log_reader_fini(&w->reader);
	free(entries);
	return next.n;
}

static void
test_every_entry_comes_once_and_in_order(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 50; seed++) {
		struct world w = {
			.random = seed, .applied = 500 + seed, .loss_percent = 30, .now_ns = 1
		};
		uint64_t next = read_all(&w, 1 + seed % 3, 50 + seed * 7);

		assert_true(next >= 501 + seed);
		assert_true(next <= w.applied + 1);
	}
}

static void
test_an_empty_log_ends_at_once(void **state)
{
	struct world w = { .random = 1, .now_ns = 1 };

	(void)state;
	assert_int_equal(read_all(&w, 1, 10), 1);
}

static void
test_a_slot_larger_than_the_callers_memory_is_an_error(void **state)
{
	struct world w = { .random = 1, .applied = 10, .now_ns = 1 };
	struct decree_log_entry entries[5];
	struct client_msg request;
	struct decree_slot next;
	int rc = 0;

	(void)state;
	log_reader_init(&w.reader, 0, 8, 1, w.now_ns);
	for (uint32_t i = 0; rc == 0 && i < 100; i++) {
		while (log_reader_request(&w.reader, w.now_ns, &request))
			serve(&w, &request);
		rc = log_reader_take(&w.reader, entries, 5, &next);
		w.now_ns += LOG_READER_REPEAT_NS;
	}
	assert_int_equal(rc, -ENOBUFS);
	log_reader_fini(&w.reader);
}

/* A late or forged reply must not move the reader. */
static void
test_replies_that_do_not_fit_their_question_are_ignored(void **state)
{
	struct world w = { .random = 1, .applied = 1000, .now_ns = 1 };
	struct decree_log_entry entries[50];
	uint8_t frame[FRAME_BYTES];
	struct client_writer writer;
	struct client_msg request;
	struct client_msg reply;
	struct decree_slot next;

	(void)state;
	log_reader_init(&w.reader, 0, 100, 1, w.now_ns);
	assert_true(log_reader_request(&w.reader, w.now_ns, &request));
	for (uint64_t wrong = 0; wrong < 3; wrong++) {
		const uint64_t ends[] = { 99, 133, 102 };

		client_log_reply_begin(
			&writer, frame, sizeof(frame), 0, 1, request.log_request.token);
		assert_true(client_log_reply_add(
			&writer, &(struct decree_log_entry){ .slot = { 103 } }));
		assert_int_equal(
			client_msg_decode(frame,
				client_log_reply_finish(&writer, (struct decree_slot){ 1000 },
					(struct decree_slot){ ends[wrong] }, 0),
				&reply),
			0);
		log_reader_receive(&w.reader, w.now_ns, &reply);
		assert_int_equal(w.reader.ranges[0].next, 100);
	}
	assert_int_equal(log_reader_take(&w.reader, entries, 50, &next), 0);
	log_reader_fini(&w.reader);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_entry_comes_once_and_in_order),
		cmocka_unit_test(test_an_empty_log_ends_at_once),
		cmocka_unit_test(test_a_slot_larger_than_the_callers_memory_is_an_error),
		cmocka_unit_test(test_replies_that_do_not_fit_their_question_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
