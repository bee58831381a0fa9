/* SPDX-License-Identifier: Apache-2.0 */
/* Many clients, many requests, large bodies: nobody is forgotten, mixed up or held up. */
#include "tests/lib/gateway_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAITER_COUNT 1300 /* more than the window of the session */

/* More of them than the session has commands in its window, and then more puts than that. */
static void
test_workers_that_wait_stop_nobody(void **state)
{
	static int workers[WAITER_COUNT];
	int producer = gf_client(*state);
	char line[64];

	for (int i = 0; i < WAITER_COUNT; i++) {
		workers[i] = gf_client(*state);
		gf_say(workers[i], "reserve\r\n");
	}
	gf_await_stat(producer, "stats\r\n", "current-waiting", WAITER_COUNT);
	for (int i = 0; i < WAITER_COUNT + GF_WINDOW; i++)
		gf_say(producer, "put 0 0 1000 2\r\nxy\r\n");
	for (int i = 0; i < WAITER_COUNT + GF_WINDOW; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		gf_hear(producer, line);
	}
	for (int i = 0; i < WAITER_COUNT; i++) {
		char reply[64];
		size_t at = 0;

		while (at < 6 || memcmp(reply + at - 6, "\r\nxy\r\n", 6) != 0) {
			assert_true(at < sizeof(reply));
			at += gf_hear_some(workers[i], reply + at, 1);
		}
		close(workers[i]);
	}
	gf_await_stat(producer, "stats\r\n", "current-jobs-ready", WAITER_COUNT + GF_WINDOW);
	close(producer);
}

static void
test_pipelined_requests_are_answered_in_order(void **state)
{
	int fd = gf_client(*state);
	char line[64];

	for (int i = 0; i < 3000; i++)
		gf_say(fd, "put 0 0 100 1\r\nx\r\n");
	gf_say(fd, "nonsense\r\npeek 3000\r\nuse t\r\nlist-tube-used\r\nreserve\r\ndelete 1\r\n"
		   "reserve-with-timeout 0\r\nput 0 0 1 2\r\nabc\r\nuse default\r\n");
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		gf_hear(fd, line);
	}
	gf_hear(fd, "UNKNOWN_COMMAND\r\nFOUND 3000 1\r\nx\r\nUSING t\r\nUSING t\r\nRESERVED 1 "
		    "1\r\nx\r\n"
		    "DELETED\r\nRESERVED 2 1\r\nx\r\nEXPECTED_CRLF\r\n");
	close(fd);
}

#define WATCH_COUNT 5000

static void
hear_line(int fd, char *ret, size_t capacity)
{
	size_t at = 0;

	do {
		assert_true(at < capacity - 1);
		assert_int_equal(gf_hear_some(fd, ret + at, 1), 1);
	} while (ret[at++] != '\n');
	ret[at] = 0;
}

/* A reserve looks at all tubes that its client watches, and everybody waits for that. Those that
 * are asked for at once may be a few more than the most. */
static void
test_a_client_watches_so_many_tubes_and_no_more(void **state)
{
	static char said[WATCH_COUNT * 16];
	int fd = gf_client(*state), most = 1;
	char line[64], expected[64];

	for (int i = 0, at = 0; i < WATCH_COUNT; i++)
		at += snprintf(said + at, sizeof(said) - (size_t)at, "watch t%d\r\n", i);
	gf_say(fd, said);
	for (int i = 0; i < WATCH_COUNT; i++) {
		hear_line(fd, line, sizeof(line));
		snprintf(expected, sizeof(expected), "WATCHING %d\r\n", most + 1);
		if (most == i + 1 && strcmp(line, expected) == 0)
			most++;
		else
			assert_string_equal(line, "OUT_OF_MEMORY\r\n");
	}
	assert_in_range(most, 4096, 4096 + 64);
	while (most > 4095) {
		snprintf(said, sizeof(said), "ignore t%d\r\n", most - 2);
		snprintf(expected, sizeof(expected), "WATCHING %d\r\n", --most);
		gf_ask(fd, said, expected);
	}
	gf_ask(fd, "watch x\r\n", "WATCHING 4096\r\n");
	gf_ask(fd, "watch z\r\nuse z\r\n", "OUT_OF_MEMORY\r\nUSING z\r\n");
	close(fd);
}

#define READER_COUNT 200 /* more than may have reads under way */
#define READ_COUNT   50  /* of each */

/* Each gets the body of the job that it asked for, and not what somebody else has asked for at the
 * same time: whose reads begin when commands of theirs are answered take the places of others. */
static void
test_many_readers_hear_what_they_asked_for(void **state)
{
	static int readers[READER_COUNT];
	int producer = gf_client(*state);
	char said[READ_COUNT * 64], expected[READ_COUNT * 1000];

	for (int i = 0; i < READER_COUNT; i++) {
		snprintf(said, sizeof(said), "put 0 0 100 800\r\n%0800d\r\n", i);
		snprintf(expected, sizeof(expected), "INSERTED %d\r\n", i + 1);
		gf_ask(producer, said, expected);
		readers[i] = gf_client(*state);
	}
	for (int i = 0; i < READER_COUNT; i++) {
		size_t at = 0;

		for (int k = 0; k < READ_COUNT; k++)
			at += (size_t)snprintf(said + at, sizeof(said) - at,
				"use t\r\npeek %d\r\nlist-tube-used\r\n", i + 1);
		gf_say(readers[i], said);
	}
	for (int i = 0; i < READER_COUNT; i++) {
		size_t at = 0;

		for (int k = 0; k < READ_COUNT; k++)
			at += (size_t)snprintf(expected + at, sizeof(expected) - at,
				"USING t\r\nFOUND %d 800\r\n%0800d\r\nUSING t\r\n", i + 1, i);
		gf_hear(readers[i], expected);
		close(readers[i]);
	}
	close(producer);
}

/* A worker deletes a job and reserves the next one in one breath. If both are executed together
 * with the put that ends its wait, the job is told before the deletion is completed. So that they
 * are, the shard's thread stands still until all are proposed, and again when the job was told; the
 * sleeps let the gateway see what is there, and however short they are nothing may be wrong. */
static void
test_a_job_that_is_told_before_an_earlier_answer(void **state)
{
	struct gateway_fixture *f = *state;
	int worker = gf_client(f), other = gf_client(f), producer = gf_client(f);

	gf_ask(worker, "watch t\r\nput 0 0 100 1\r\na\r\nreserve\r\n",
		"WATCHING 2\r\nINSERTED 1\r\nRESERVED 1 1\r\na\r\n");
	gf_ask(producer, "put 0 0 100 1\r\nb\r\nuse t\r\n", "INSERTED 2\r\nUSING t\r\n");
	f->is_holding = true;
	gf_say(other, "reserve\r\n");
	gf_await_held(f);
	gf_say(worker, "delete 1\r\nreserve\r\n");
	usleep(50000);
	gf_say(producer, "put 0 0 100 1\r\nc\r\n");
	usleep(50000);
	sem_post(&f->go);
	gf_await_held(f);
	usleep(50000);
	f->is_holding = false;
	sem_post(&f->go);
	gf_hear(other, "RESERVED 2 1\r\nb\r\n");
	gf_hear(producer, "INSERTED 3\r\n");
	gf_hear(worker, "DELETED\r\nRESERVED 3 1\r\nc\r\n");
	close(worker);
	close(other);
	close(producer);
}

/* More than the gateway takes from one client at a time, behind a request that waits: nobody else
 * is held up. */
static void
test_more_than_may_wait(void **state)
{
	static const char use[] = "use default\r\n", using[] = "USING default\r\n";
	static char asked[8000 * (sizeof(use) - 1)], told[8000 * (sizeof(using) - 1)];
	int fd = gf_client(*state), other = gf_client(*state);

	for (int i = 0; i < 8000; i++) {
		memcpy(asked + i * (sizeof(use) - 1), use, sizeof(use) - 1);
		memcpy(told + i * (sizeof(using) - 1), using, sizeof(using) - 1);
	}
	gf_say(fd, "reserve\r\n");
	gf_say_bytes(fd, asked, sizeof(asked));
	gf_ask(other, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	gf_hear(fd, "RESERVED 1 1\r\nx\r\n");
	gf_hear_bytes(fd, told, sizeof(told));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	gf_hear_end(fd);
	close(other);
}

/* One command moves 1,024 of them at most. */
static void
test_many_are_kicked(void **state)
{
	int fd = gf_client(*state);
	char line[64];

	for (int i = 0; i < 2500; i++)
		gf_say(fd, "put 0 1000 100 1\r\nx\r\n");
	for (int i = 0; i < 2500; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		gf_hear(fd, line);
	}
	gf_say(fd, "kick 2400\r\nkick 1000\r\n");
	gf_hear(fd, "KICKED 2400\r\nKICKED 100\r\n");
	assert_int_equal(gf_stat_of(fd, "stats\r\n", "cmd-kick"), 2);
	close(fd);
}

static uint64_t
chosen(const struct gateway_fixture *f)
{
	struct decree_group_status status;

	assert_int_equal(decree_group_status(f->node, 0, &status), 0);
	return status.chosen.n;
}

static void
say_put_of(int fd, uint32_t bytes)
{
	static char body[65535 + 2];

	memcpy(body + bytes, "\r\n", 2);
	gf_say(fd, "put 0 0 100 65535\r\n");
	gf_say_bytes(fd, body, bytes + 2);
}

/* A body of this size is a train of 50 slots, if it is proposed. */
static void
test_a_full_queue_proposes_no_more_bodies(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f);
	uint64_t before;
	char head[64];
	int count = 0;

	while (queue_machine_had_room(f->machine, 65535)) {
		say_put_of(fd, 65535);
		snprintf(head, sizeof(head), "INSERTED %d\r\n", ++count);
		gf_hear(fd, head);
	}
	before = chosen(f);
	for (int i = 0; i < 40; i++) {
		say_put_of(fd, 65535);
		gf_hear(fd, "OUT_OF_MEMORY\r\n");
	}
	assert_in_range(chosen(f) - before, 0, 40 * 50 / 4); /* its statistics go on */
	/* What makes room is awaited, also where it was asked for at once. */
	gf_say(fd, "delete 1\r\n");
	say_put_of(fd, 65535);
	gf_hear(fd, "DELETED\r\n");
	snprintf(head, sizeof(head), "INSERTED %d\r\n", count + 1);
	gf_hear(fd, head);
	gf_ask(fd, "delete 2\r\n", "DELETED\r\n");
	say_put_of(fd, 65535);
	snprintf(head, sizeof(head), "INSERTED %d\r\n", count + 2);
	gf_hear(fd, head);
	close(fd);
}

static void
test_large_bodies(void **state)
{
	static char body[65535 + 2], head[64];
	int fd = gf_client(*state);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7 + i / 1000);
	memcpy(body + 65535, "\r\n", 2);
	for (int i = 0; i < 300; i++) {
		gf_say(fd, "put 0 0 100 65535\r\n");
		gf_say_bytes(fd, body, sizeof(body));
		snprintf(head, sizeof(head), "INSERTED %d\r\n", i + 1);
		gf_hear(fd, head);
	}
	gf_ask(fd, "peek 2\r\n", "FOUND 2 65535\r\n");
	gf_hear_bytes(fd, body, sizeof(body));
	/* All at once: the answers are more than a client's output may hold. */
	for (int i = 0; i < 300; i++)
		gf_say(fd, "reserve\r\n");
	for (int i = 0; i < 300; i++) {
		snprintf(head, sizeof(head), "RESERVED %d 65535\r\n", i + 1);
		gf_hear(fd, head);
		gf_hear_bytes(fd, body, sizeof(body));
	}
	gf_say(fd, "put 0 0 100 65536\r\n");
	gf_say_bytes(fd, body, 65534);
	gf_say_bytes(fd, body, 2);
	gf_say(fd, "\r\n");
	gf_hear(fd, "JOB_TOO_BIG\r\n");
	gf_ask(fd, "list-tube-used\r\n", "USING default\r\n");
	close(fd);
}

/* Until the gateway has given it all that it gives to somebody who does not read. */
static void
await_full(int asker, uint64_t least)
{
	uint64_t count = 0, before;
	int same = 0;

	while (count < least || same < 20) {
		before = count;
		count = gf_stat_of(asker, "stats\r\n", "current-jobs-reserved");
		same = count == before ? same + 1 : 0;
	}
}

/* What its socket did not take comes when it reads again, though nothing else happens then. */
static void
test_a_client_that_reads_late(void **state)
{
	enum {
		COUNT = 200
	};
	static char body[65535 + 2];
	int asker = gf_client(*state), fd = gf_client(*state), few = 1 << 18;
	char head[64];

	for (int i = 0; i < COUNT; i++) {
		say_put_of(asker, 65535);
		snprintf(head, sizeof(head), "INSERTED %d\r\n", i + 1);
		gf_hear(asker, head);
	}
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few)), 0);
	for (int i = 0; i < COUNT; i++)
		gf_say(fd, "reserve\r\n");
	await_full(asker, 17);
	assert_true(gf_stat_of(asker, "stats\r\n", "current-jobs-reserved") < COUNT);
	memcpy(body + 65535, "\r\n", 2);
	for (int i = 0; i < COUNT; i++) {
		snprintf(head, sizeof(head), "RESERVED %d 65535\r\n", i + 1);
		gf_hear(fd, head);
		gf_hear_bytes(fd, body, sizeof(body));
	}
	gf_ask(fd, "list-tube-used\r\n", "USING default\r\n");
	close(fd);
	close(asker);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gf_setup, gf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_workers_that_wait_stop_nobody),
		TEST(test_pipelined_requests_are_answered_in_order),
		TEST(test_many_readers_hear_what_they_asked_for),
		TEST(test_a_client_watches_so_many_tubes_and_no_more),
		TEST(test_a_job_that_is_told_before_an_earlier_answer),
		TEST(test_more_than_may_wait),
		TEST(test_many_are_kicked),
		TEST(test_a_full_queue_proposes_no_more_bodies),
		TEST(test_large_bodies),
		TEST(test_a_client_that_reads_late),
	};

	gf_take_descriptors();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
