/* SPDX-License-Identifier: Apache-2.0 */
/* The queue's server and clients over real sockets: what they read must be what beanstalkd says.
 * Nothing is timed: a reply is waited for until a deadline that only a broken server meets. */
#include "tests/lib/gateway_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_a_conversation(void **state)
{
	int fd = gf_client(*state);

	gf_ask(fd, "put 10 0 100 5\r\nhello\r\n", "INSERTED 1\r\n");
	gf_ask(fd, "peek 1\r\n", "FOUND 1 5\r\nhello\r\n");
	gf_ask(fd, "peek-ready\r\n", "FOUND 1 5\r\nhello\r\n");
	gf_ask(fd, "peek-buried\r\n", "NOT_FOUND\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 1 5\r\nhello\r\n");
	gf_ask(fd, "touch 1\r\n", "TOUCHED\r\n");
	gf_ask(fd, "release 1 5 0\r\n", "RELEASED\r\n");
	gf_ask(fd, "reserve-job 1\r\n", "RESERVED 1 5\r\nhello\r\n");
	gf_ask(fd, "bury 1 7\r\n", "BURIED\r\n");
	gf_ask(fd, "peek-buried\r\n", "FOUND 1 5\r\nhello\r\n");
	gf_ask(fd, "kick 10\r\n", "KICKED 1\r\n");
	gf_ask(fd, "kick-job 1\r\n", "NOT_FOUND\r\n");
	gf_ask(fd, "reserve-with-timeout 0\r\n", "RESERVED 1 5\r\nhello\r\n");
	gf_ask(fd, "delete 1\r\n", "DELETED\r\n");
	gf_ask(fd, "delete 1\r\n", "NOT_FOUND\r\n");
	gf_ask(fd, "reserve-with-timeout 0\r\n", "TIMED_OUT\r\n");
	gf_ask(fd, "put 0 1000 100 0\r\n\r\n", "INSERTED 2\r\n");
	gf_ask(fd, "peek-delayed\r\n", "FOUND 2 0\r\n\r\n");
	gf_ask(fd, "kick-job 2\r\n", "KICKED\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 2 0\r\n\r\n");
	gf_ask(fd, "nonsense\r\n", "UNKNOWN_COMMAND\r\n");
	gf_ask(fd, "delete x\r\n", "BAD_FORMAT\r\n");
	gf_say(fd, "quit\r\n");
	gf_hear_end(fd);
}

static void
test_tubes(void **state)
{
	int fd = gf_client(*state);

	gf_ask(fd, "list-tube-used\r\n", "USING default\r\n");
	gf_ask(fd, "use a\r\n", "USING a\r\n");
	gf_ask(fd, "watch b\r\n", "WATCHING 2\r\n");
	gf_ask(fd, "list-tube-used\r\n", "USING a\r\n");
	gf_ask(fd, "list-tubes\r\n", "OK 22\r\n---\n- default\n- a\n- b\n\r\n");
	gf_ask(fd, "ignore default\r\n", "WATCHING 1\r\n");
	gf_ask(fd, "ignore b\r\n", "NOT_IGNORED\r\n");
	gf_ask(fd, "list-tubes-watched\r\n", "OK 8\r\n---\n- b\n\r\n");
	gf_ask(fd, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	gf_ask(fd, "reserve-with-timeout 0\r\n", "TIMED_OUT\r\n");
	gf_ask(fd, "watch a\r\n", "WATCHING 2\r\n");
	gf_ask(fd, "pause-tube a 1000\r\n", "PAUSED\r\n");
	gf_ask(fd, "reserve-with-timeout 0\r\n", "TIMED_OUT\r\n");
	gf_ask(fd, "pause-tube a 0\r\n", "PAUSED\r\n");
	gf_ask(fd, "pause-tube c 0\r\n", "NOT_FOUND\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	assert_int_equal(gf_stat_of(fd, "stats-tube a\r\n", "current-jobs-reserved"), 1);
	assert_int_equal(gf_stat_of(fd, "stats-job 1\r\n", "ttr"), 100);
	gf_ask(fd, "stats-job 9\r\n", "NOT_FOUND\r\n");
	gf_ask(fd, "stats-tube c\r\n", "NOT_FOUND\r\n");
	close(fd);
}

/* Two hundred tubes with long names: their list comes in many pieces. */
static void
test_a_long_list(void **state)
{
	int fd = gf_client(*state);
	char name[201], line[300], yaml[65536];

	for (int i = 0; i < 200; i++) {
		memset(name, 'n', 200);
		name[200] = 0;
		name[199] = (char)('a' + i / 20);
		name[198] = (char)('a' + i % 20);
		snprintf(line, sizeof(line), "watch %s\r\n", name);
		gf_say(fd, line);
		snprintf(line, sizeof(line), "WATCHING %d\r\n", i + 2);
		gf_hear(fd, line);
	}
	gf_say(fd, "list-tubes-watched\r\nlist-tubes\r\n");
	for (int i = 0; i < 2; i++) {
		gf_hear_yaml(fd, yaml, sizeof(yaml));
		assert_non_null(strstr(yaml, "- default\n"));
		snprintf(line, sizeof(line), "- %s\n", name);
		assert_non_null(strstr(yaml, line));
	}
	close(fd);
}

static void
test_a_worker_waits_for_a_job(void **state)
{
	int worker = gf_client(*state), producer = gf_client(*state);

	gf_say(worker, "reserve\r\nlist-tube-used\r\n");
	gf_await_stat(producer, "stats\r\n", "current-waiting", 1);
	gf_ask(producer, "put 0 0 100 3\r\nabc\r\n", "INSERTED 1\r\n");
	gf_hear(worker, "RESERVED 1 3\r\nabc\r\nUSING default\r\n");
	gf_ask(worker, "reserve-with-timeout 1\r\n", "TIMED_OUT\r\n");
	close(worker);
	close(producer);
}

static void
test_time_limits(void **state)
{
	int fd = gf_client(*state), other = gf_client(*state);

	gf_ask(fd, "put 0 0 3 1\r\nx\r\n", "INSERTED 1\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	gf_ask(fd, "reserve\r\n", "DEADLINE_SOON\r\n");
	gf_ask(other, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	gf_ask(fd, "delete 1\r\n", "NOT_FOUND\r\n");
	gf_ask(other, "release 1 0 1\r\n", "RELEASED\r\n");
	gf_ask(fd, "reserve-with-timeout 1000\r\n", "RESERVED 1 1\r\nx\r\n");
	close(fd);
	close(other);
}

static void
test_draining(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f);

	gf_ask(fd, "put 0 0 10 1\r\na\r\n", "INSERTED 1\r\n");
	queue_gateway_drain(f->gateway);
	gf_ask(fd, "put 0 0 10 1\r\na\r\n", "DRAINING\r\n");
	gf_ask(fd, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	gf_await_stat(fd, "stats\r\n", "cmd-put", 2);
	gf_await_stat(fd, "stats\r\n", "current-producers", 1);
	close(fd);
}

/* Seconds are rounded down, and however soon it is asked some of the first one is over. */
static void
test_a_second_that_has_begun_is_not_left(void **state)
{
	int fd = gf_client(*state);

	gf_ask(fd, "put 0 100 100 1\r\nx\r\nput 0 0 100 1\r\ny\r\nreserve\r\n",
		"INSERTED 1\r\nINSERTED 2\r\nRESERVED 2 1\r\ny\r\n");
	assert_in_range(gf_stat_of(fd, "stats-job 1\r\n", "time-left"), 1, 99);
	for (int i = 0; i < 20; i++) {
		gf_ask(fd, "touch 2\r\npause-tube default 100\r\n", "TOUCHED\r\nPAUSED\r\n");
		assert_in_range(gf_stat_of(fd, "stats-job 2\r\n", "time-left"), 1, 99);
		assert_in_range(gf_stat_of(fd, "stats-tube default\r\n", "pause-time-left"), 1, 99);
	}
	close(fd);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gf_setup, gf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_conversation),
		TEST(test_a_second_that_has_begun_is_not_left),
		TEST(test_tubes),
		TEST(test_a_long_list),
		TEST(test_a_worker_waits_for_a_job),
		TEST(test_time_limits),
		TEST(test_draining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
