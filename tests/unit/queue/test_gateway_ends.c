/* SPDX-License-Identifier: Apache-2.0 */
/* How it ends, for a client, for a server, and for a gateway that has lost its place: whoever is
 * not answered is disconnected, what was answered is done, and jobs come back. */
#include "tests/lib/gateway_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_jobs_of_a_client_that_is_gone(void **state)
{
	int fd = gf_client(*state), other = gf_client(*state);

	gf_ask(fd, "put 0 0 1000 1\r\nx\r\n", "INSERTED 1\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	gf_say(other, "reserve\r\n");
	close(fd);
	gf_hear(other, "RESERVED 1 1\r\nx\r\n");
	gf_await_stat(other, "stats\r\n", "current-connections", 1);
	close(other);
}

/* It gets the answers to what it had asked, but no job is waited for any more. */
static void
test_a_client_that_says_no_more(void **state)
{
	int fd = gf_client(*state);

	gf_say(fd, "put 0 0 10 1\r\na\r\nuse x\r\nlist-tube-used\r\nlist-tub");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	gf_hear(fd, "INSERTED 1\r\nUSING x\r\nUSING x\r\n");
	gf_hear_end(fd);

	fd = gf_client(*state);
	gf_say(fd, "watch none\r\nignore default\r\nreserve\r\nlist-tubes-watched\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	gf_hear(fd, "WATCHING 2\r\nWATCHING 1\r\nTIMED_OUT\r\nOK 11\r\n---\n- none\n\r\n");
	gf_hear_end(fd);

	fd = gf_client(*state);
	gf_ask(fd, "watch none\r\nignore default\r\n", "WATCHING 2\r\nWATCHING 1\r\n");
	gf_say(fd, "reserve\r\n");
	gf_await_stat(gf_client(*state), "stats\r\n", "current-waiting", 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	gf_hear(fd, "TIMED_OUT\r\n");
	gf_hear_end(fd);

	fd = gf_client(*state);
	gf_say(fd, "quit\r\nlist-tubes\r\n");
	gf_hear_end(fd);
}

#define USE_COUNT 8000

/* More than is read from somebody who waits, and less than the kernel has room for: else it could not
 * tell of the end behind it. */
static void
wait_and_say_much(int fd)
{
	static const char use[] = "use default\r\n";
	static char text[USE_COUNT * (sizeof(use) - 1) + 1];

	for (int i = 0; i < USE_COUNT; i++)
		memcpy(text + (size_t)i * (sizeof(use) - 1), use, sizeof(use));
	gf_say(fd, "watch none\r\nignore default\r\nreserve\r\n");
	gf_say(fd, text);
	gf_hear(fd, "WATCHING 2\r\nWATCHING 1\r\n");
}

/* The end of a client is seen behind what is not read yet: it must not get the next job. */
static void
test_a_waiter_that_has_said_much_and_ends(void **state)
{
	static const char using[] = "USING default\r\n";
	int fd = gf_client(*state), other = gf_client(*state);

	wait_and_say_much(fd);
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	close(fd);
	gf_await_stat(other, "stats\r\n", "current-connections", 1);

	fd = gf_client(*state);
	wait_and_say_much(fd);
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	gf_hear(fd, "TIMED_OUT\r\n");
	for (int i = 0; i < USE_COUNT; i++)
		gf_hear(fd, using);
	gf_hear_end(fd);
	close(other);
}

/* Jobs are in the log, connections are not: what was reserved is ready again when the gateway
 * attaches. */
static void
test_a_restart(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f);

	gf_ask(fd, "put 0 0 1000 1\r\na\r\n", "INSERTED 1\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	gf_stop(f);
	gf_hear_end(fd);
	gf_start_plain(f);
	fd = gf_client(f);
	gf_ask(fd, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	assert_int_equal(gf_stat_of(fd, "stats\r\n", "current-connections"), 1);
	close(fd);
}

/* Somebody takes the number of our node: what a node does that was started anew, and our gateway
 * finds itself detached, as after a pause of more than its silence. */
static void
take_its_place(struct gateway_fixture *f)
{
	const struct queue_command attach = { .op = QUEUE_ATTACH, .id = 1 };
	struct decree_proposer *proposer;
	struct decree_completion done;
	uint8_t bytes[QUEUE_COMMAND_FIXED_BYTES_MAX];
	size_t count = queue_command_encode(&attach, bytes, sizeof(bytes));

	assert_int_equal(decree_proposer_open(f->node, 0, &proposer, f->error), 0);
	assert_int_equal(decree_propose(proposer, bytes, (uint32_t)count, NULL), 0);
	for (int i = 0; decree_poll(proposer, &done, 1) == 0; i++) {
		assert_true(i < GF_DEADLINE_MS);
		usleep(1000);
	}
	assert_int_equal(done.outcome, DECREE_APPLIED);
	assert_int_equal(done.status, QUEUE_OK);
	decree_proposer_close(proposer);
}

/* A worker with a job, one that waits for another, and one that says nothing at all. */
struct three {
	int holder, waiter, silent;
};

static void
three_begin(struct gateway_fixture *f, struct three *ret_three)
{
	struct three t = { gf_client(f), gf_client(f), gf_client(f) };
	int fd = gf_client(f);

	gf_ask(fd, "put 0 0 1000 1\r\na\r\n", "INSERTED 1\r\n");
	gf_ask(t.holder, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	gf_ask(t.silent, "list-tube-used\r\n", "USING default\r\n");
	gf_say(t.waiter, "watch none\r\nignore default\r\nreserve\r\n");
	gf_hear(t.waiter, "WATCHING 2\r\nWATCHING 1\r\n");
	gf_await_stat(fd, "stats\r\n", "current-waiting", 1);
	close(fd);
	gf_await_stat(t.silent, "stats\r\n", "current-connections", 3);
	*ret_three = t;
}

/* All are dropped without a word, and nothing of theirs is left: the job is there for whoever comes
 * now. */
static void
three_end(struct gateway_fixture *f, const struct three *t)
{
	int fd;

	gf_hear_end(t->holder);
	gf_hear_end(t->waiter);
	gf_hear_end(t->silent);
	fd = gf_client(f);
	gf_ask(fd, "reserve\r\ndelete 1\r\n", "RESERVED 1 1\r\na\r\nDELETED\r\n");
	gf_await_stat(fd, "stats\r\n", "current-connections", 1);
	assert_int_equal(gf_stat_of(fd, "stats\r\n", "current-waiting"), 0);
	close(fd);
}

static void
test_clients_of_a_gateway_that_was_replaced_are_dropped(void **state)
{
	struct three t;

	three_begin(*state, &t);
	take_its_place(*state);
	three_end(*state, &t);
}

/* What the machine has told while its state came from another node is lost, so nobody may go on
 * waiting for it. */
static void
test_clients_of_a_gateway_that_was_restored_are_dropped(void **state)
{
	struct gateway_fixture *f = *state;
	struct three t;
	int fd;

	three_begin(f, &t);
	fd = gf_client(f);
	f->is_restored = true;
	gf_say(fd,
		"use other\r\nwatch other\r\nput 0 0 1000 1\r\nb\r\nignore default\r\nreserve\r\n");
	for (char some[64]; gf_hear_some(fd, some, sizeof(some)) > 0;)
		; /* as far as it came */
	close(fd);
	three_end(f, &t);
}

/* Of what it says while its gateway is replaced, the client is answered the first so many requests
 * and not one that was not executed: then its connection ends. */
static void
test_answers_end_where_the_gateway_does(void **state)
{
	enum {
		COUNT = 3000
	};
	static char replies[COUNT * 32];
	static const char put[] = "put 0 0 100 1\r\nx\r\n";
	struct gateway_fixture *f = *state;
	int fd = gf_client(f);
	char line[64];
	size_t at = 0, some;
	unsigned inserted = 0;

	gf_ask(fd, put, "INSERTED 1\r\n");
	for (int i = 0; i < COUNT; i++) {
		if (i == COUNT / 2)
			take_its_place(f);
		if (send(fd, put, strlen(put), MSG_NOSIGNAL) < 0)
			break; /* it has ended already */
	}
	while ((some = gf_hear_some(fd, replies + at, sizeof(replies) - at - 1)) > 0)
		at += some;
	close(fd);
	replies[at] = 0;
	for (const char *reply = replies; *reply != 0; inserted++) {
		snprintf(line, sizeof(line), "INSERTED %u\r\n", inserted + 2);
		assert_memory_equal(reply, line, strnlen(reply, strlen(line)));
		reply += strnlen(reply, strlen(line));
	}
	assert_true(inserted <= COUNT / 2);
	fd = gf_client(f);
	gf_await_stat(fd, "stats\r\n", "current-connections", 1);
	assert_in_range(gf_stat_of(fd, "stats\r\n", "current-jobs-ready"), inserted, 1 + COUNT / 2);
	close(fd);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gf_setup, gf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_jobs_of_a_client_that_is_gone),
		TEST(test_a_client_that_says_no_more),
		TEST(test_a_waiter_that_has_said_much_and_ends),
		TEST(test_a_restart),
		TEST(test_clients_of_a_gateway_that_was_replaced_are_dropped),
		TEST(test_clients_of_a_gateway_that_was_restored_are_dropped),
		TEST(test_answers_end_where_the_gateway_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
