/* SPDX-License-Identifier: Apache-2.0 */
/* Reserves that are under way together with what stands behind them: what a client reads, and what
 * is executed, is as if each of its requests had been said after the reply to the one before. */
#include "tests/lib/gateway_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* The shard's thread stands still with a job for @p fd: what is said from now on is executed
 * together, in the order in which it was proposed. The sleeps let the gateway propose; however
 * short they are nothing may be wrong. */
static void
hold(struct gateway_fixture *f, int fd)
{
	f->is_holding = true;
	gf_say(fd, "reserve\r\n");
	gf_await_held(f);
	f->is_holding = false;
}

static void
let_go(struct gateway_fixture *f)
{
	usleep(50000);
	sem_post(&f->go);
}

static void
test_many_reserves_at_once(void **state)
{
	enum {
		COUNT = 1000
	};
	static char said[COUNT * 64], told[COUNT * 96];
	int fd = gf_client(*state);
	size_t said_bytes = 0, told_bytes = 0;

	for (int i = 1; i <= COUNT; i++) {
		said_bytes += (size_t)sprintf(said + said_bytes,
			"put 0 0 100 4\r\n%04d\r\nreserve\r\ndelete %d\r\n", i, i);
		told_bytes += (size_t)sprintf(told + told_bytes,
			"INSERTED %d\r\nRESERVED %d 4\r\n%04d\r\nDELETED\r\n", i, i, i);
	}
	gf_say_bytes(fd, said, said_bytes);
	gf_hear_bytes(fd, told, told_bytes);
	assert_int_equal(gf_stat_of(fd, "stats\r\n", "cmd-reserve"), COUNT);
	close(fd);
}

/* Its own puts stand behind the reserve, so they cannot end its wait; and a list behind it shows
 * what came before it. */
static void
test_what_stands_behind_a_wait_waits(void **state)
{
	int fd = gf_client(*state), other = gf_client(*state);

	gf_say(fd, "reserve\r\nput 0 0 100 1\r\nb\r\nreserve\r\nuse t\r\nlist-tube-used\r\n"
		   "put 0 0 100\r\nreserve-with-timeout 0\r\ndelete 1\r\nreserve\r\nquit\r\n");
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	assert_int_equal(gf_stat_of(other, "stats\r\n", "total-jobs"), 0);
	assert_int_equal(gf_stat_of(other, "stats\r\n", "cmd-reserve"), 1);
	gf_ask(other, "put 0 0 100 1\r\na\r\n", "INSERTED 1\r\n");
	gf_hear(fd, "RESERVED 1 1\r\na\r\nINSERTED 2\r\nRESERVED 2 1\r\nb\r\nUSING t\r\nUSING t\r\n"
		    "BAD_FORMAT\r\nTIMED_OUT\r\nDELETED\r\n");
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	gf_ask(other, "put 0 0 100 1\r\nc\r\n", "INSERTED 3\r\n");
	gf_hear(fd, "RESERVED 3 1\r\nc\r\n");
	gf_hear_end(fd);
	close(other);
}

/* The wait begins and ends while what stands behind it is on its way: it comes too late for the
 * beginning, and the end must not let it pass the job that it waits for. All of it is executed in
 * one turn of the shard, but for what has to be said again. */
static void
test_a_wait_that_ends_before_it_is_known(void **state)
{
	struct gateway_fixture *f = *state;
	int worker = gf_client(f), other = gf_client(f), producer = gf_client(f);

	gf_ask(worker, "watch t\r\nignore default\r\nuse t\r\n",
		"WATCHING 2\r\nWATCHING 1\r\nUSING t\r\n");
	gf_ask(producer, "put 0 0 100 1\r\na\r\nuse t\r\n", "INSERTED 1\r\nUSING t\r\n");
	hold(f, other);
	gf_say(worker, "reserve\r\nput 0 0 100 1\r\nc\r\nreserve\r\n");
	usleep(50000);
	gf_say(producer, "put 1 0 100 1\r\nb\r\n");
	usleep(50000);
	gf_say(worker, "reserve-with-timeout 0\r\ndelete 2\r\n");
	let_go(f);
	gf_hear(other, "RESERVED 1 1\r\na\r\n");
	gf_hear(producer, "INSERTED 2\r\n");
	gf_hear(worker,
		"RESERVED 2 1\r\nb\r\nINSERTED 3\r\nRESERVED 3 1\r\nc\r\nTIMED_OUT\r\nDELETED\r\n");
	close(worker);
	close(other);
	close(producer);
}

/* What stands behind the wait is still on its way to the machine when the gateway hears that the
 * wait began and has ended: what the client says then must not overtake it. The shard's thread
 * stands still between the two. */
static void
test_what_comes_back_late(void **state)
{
	struct gateway_fixture *f = *state;
	int worker = gf_client(f), other = gf_client(f), third = gf_client(f),
	    producer = gf_client(f);

	gf_ask(worker, "watch t\r\nignore default\r\nuse t\r\n",
		"WATCHING 2\r\nWATCHING 1\r\nUSING t\r\n");
	gf_ask(third, "list-tube-used\r\n", "USING default\r\n");
	gf_ask(producer, "put 0 0 100 1\r\na\r\nput 0 0 100 1\r\nb\r\nuse t\r\n",
		"INSERTED 1\r\nINSERTED 2\r\nUSING t\r\n");
	hold(f, other);
	f->is_holding = true;
	gf_say(worker, "reserve\r\n");
	usleep(50000);
	gf_say(producer, "put 0 0 100 1\r\nc\r\n");
	let_go(f);
	gf_await_held(f); /* within the put that ends the wait */
	gf_say(third, "reserve\r\n");
	usleep(50000);
	gf_say(worker, "use u\r\n");
	let_go(f);
	gf_await_held(f); /* within a later slot: the wait is known, and "use u" is not executed */
	f->is_holding = false;
	gf_hear(other, "RESERVED 1 1\r\na\r\n");
	gf_hear(worker, "RESERVED 3 1\r\nc\r\n");
	gf_say(worker, "use v\r\n");
	let_go(f);
	gf_hear(worker, "USING u\r\nUSING v\r\n");
	gf_ask(worker, "list-tube-used\r\n", "USING v\r\n");
	gf_hear(third, "RESERVED 2 1\r\nb\r\n");
	gf_hear(producer, "INSERTED 3\r\n");
	close(worker);
	close(other);
	close(third);
	close(producer);
}

/* Of a job that its node has not told of, the answer is all there is: the body is read. */
static void
test_a_job_that_nobody_tells_of(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f);

	gf_ask(fd, "put 0 0 100 1\r\na\r\nput 0 0 100 1\r\nb\r\n", "INSERTED 1\r\nINSERTED 2\r\n");
	f->is_silent = true;
	gf_ask(fd, "reserve\r\nreserve\r\ntouch 2\r\n",
		"RESERVED 1 1\r\na\r\nRESERVED 2 1\r\nb\r\nTOUCHED\r\n");
	close(fd);
}

static void
test_waits_one_after_the_other(void **state)
{
	int fd = gf_client(*state), other = gf_client(*state);

	gf_ask(fd,
		"reserve-with-timeout 1\r\nreserve-with-timeout 1\r\nput 0 0 1000 "
		"1\r\na\r\nreserve\r\n"
		"reserve-with-timeout 1\r\ndelete 1\r\nreserve-with-timeout 0\r\n",
		"TIMED_OUT\r\nTIMED_OUT\r\nINSERTED 1\r\nRESERVED 1 "
		"1\r\na\r\nTIMED_OUT\r\nDELETED\r\n"
		"TIMED_OUT\r\n");
	/* Each waits for a job, and the deletes between them are of jobs that came for those
	 * before. */
	gf_say(fd, "reserve\r\ndelete 2\r\nreserve\r\ndelete 3\r\nreserve\r\ndelete 4\r\n");
	gf_ask(other, "put 0 0 100 1\r\nx\r\n", "INSERTED 2\r\n");
	gf_hear(fd, "RESERVED 2 1\r\nx\r\nDELETED\r\n");
	gf_ask(other, "put 0 0 100 1\r\ny\r\nput 0 0 100 1\r\nz\r\n",
		"INSERTED 3\r\nINSERTED 4\r\n");
	gf_hear(fd, "RESERVED 3 1\r\ny\r\nDELETED\r\nRESERVED 4 1\r\nz\r\nDELETED\r\n");
	close(fd);
	close(other);
}

/* A worker asks for many jobs at once, and they come one by one: what it asks behind each wait must
 * not go through the log again and again. All numbers of the session count, the gateway's own
 * too. */
static void
test_a_wait_does_not_flood_the_log(void **state)
{
	enum {
		COUNT = 50
	};
	struct gateway_fixture *f = *state;
	int worker = gf_client(f), producer = gf_client(f), seqs[2] = { 0 };
	char line[64];

	for (int i = 0; i < 60; i++)
		gf_say(worker, "reserve\r\nuse default\r\n");
	gf_await_stat(producer, "stats\r\n", "current-waiting", 1);
	for (int i = 1; i <= COUNT; i++) {
		gf_say(producer, "put 0 0 1000 1\r\nx\r\n");
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i);
		gf_hear(producer, line);
		snprintf(line, sizeof(line), "RESERVED %d 1\r\nx\r\nUSING default\r\n", i);
		gf_hear(worker, line);
		seqs[i > 1] = (int)f->reserved_seq;
	}
	assert_in_range(seqs[1] - seqs[0], COUNT, 10 * COUNT);
	close(worker);
	close(producer);
}

/* The second reserve waits until the last second of the first one's job, the third one comes in it;
 * the touch ends that. */
static void
test_the_last_second(void **state)
{
	int fd = gf_client(*state);

	gf_ask(fd,
		"put 0 0 2 1\r\na\r\nreserve\r\nreserve\r\nreserve-with-timeout 0\r\ntouch 1\r\n"
		"reserve-with-timeout 0\r\nreserve-with-timeout 100\r\ndelete 1\r\n",
		"INSERTED 1\r\nRESERVED 1 1\r\na\r\nDEADLINE_SOON\r\nDEADLINE_SOON\r\nTOUCHED\r\n"
		"TIMED_OUT\r\nDEADLINE_SOON\r\nDELETED\r\n");
	close(fd);
}

/* It waits for nothing any more, but all that it has said is done in its order. */
static void
test_a_client_that_says_no_more(void **state)
{
	int fd = gf_client(*state);

	gf_say(fd, "reserve\r\nreserve\r\nput 0 0 100 1\r\na\r\nreserve\r\nreserve\r\ndelete 1\r\n"
		   "list-tube-used\r\nreserve");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	gf_hear(fd, "TIMED_OUT\r\nTIMED_OUT\r\nINSERTED 1\r\nRESERVED 1 "
		    "1\r\na\r\nTIMED_OUT\r\nDELETED\r\n"
		    "USING default\r\n");
	gf_hear_end(fd);
}

/* Nothing is executed of what stands behind the wait of a client whose connection fails. */
static void
test_a_client_that_is_gone(void **state)
{
	const struct linger at_once = { .l_onoff = 1 };
	int fd = gf_client(*state), other = gf_client(*state);

	gf_say(fd, "reserve\r\nput 0 0 100 1\r\na\r\nreserve\r\n");
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	gf_await_stat(other, "stats\r\n", "current-connections", 1);
	assert_int_equal(gf_stat_of(other, "stats\r\n", "total-jobs"), 0);
	assert_int_equal(gf_stat_of(other, "stats\r\n", "current-waiting"), 0);
	close(other);
}

/* The same when the cluster has closed its connection. */
static void
test_a_gateway_that_was_restored(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f), other = gf_client(f);

	gf_say(fd, "watch t\r\nignore default\r\nreserve\r\nput 0 0 100 1\r\na\r\nreserve\r\n");
	gf_hear(fd, "WATCHING 2\r\nWATCHING 1\r\n");
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	f->is_restored = true;
	gf_say(other, "put 0 0 100 1\r\nb\r\nreserve\r\nreserve\r\ndelete 1\r\n");
	for (char some[64]; gf_hear_some(other, some, sizeof(some)) > 0;)
		; /* as far as it came */
	close(other);
	gf_hear_end(fd);
	other = gf_client(f);
	gf_await_stat(other, "stats\r\n", "current-connections", 1);
	assert_int_equal(gf_stat_of(other, "stats\r\n", "total-jobs"), 1);
	close(other);
}

/* A kick that comes back from behind a wait, and goes on in several commands. */
static void
test_many_are_kicked_behind_a_wait(void **state)
{
	int fd = gf_client(*state), other = gf_client(*state);
	char line[64];

	gf_ask(fd, "use t\r\n", "USING t\r\n");
	for (int i = 0; i < 1500; i++)
		gf_say(fd, "put 0 1000 100 1\r\nx\r\n");
	for (int i = 0; i < 1500; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		gf_hear(fd, line);
	}
	gf_say(fd, "reserve\r\nkick 1400\r\nkick 1000\r\nuse default\r\n");
	gf_await_stat(other, "stats\r\n", "current-waiting", 1);
	assert_int_equal(gf_stat_of(other, "stats-tube t\r\n", "current-jobs-delayed"), 1500);
	gf_ask(other, "put 0 0 100 1\r\na\r\n", "INSERTED 1501\r\n");
	gf_hear(fd, "RESERVED 1501 1\r\na\r\nKICKED 1400\r\nKICKED 100\r\nUSING default\r\n");
	assert_int_equal(gf_stat_of(other, "stats\r\n", "cmd-kick"), 2);
	close(fd);
	close(other);
}

/* ---------------------------------------------------------- bodies that do not fit the handover */

#define LARGE_BYTES 5000

static int
setup_small(void **state)
{
	return gf_setup_without_room(state, LARGE_BYTES);
}

static const char *
large_body(char letter)
{
	static char body[LARGE_BYTES + 3];

	memset(body, letter, LARGE_BYTES);
	memcpy(body + LARGE_BYTES, "\r\n", 3);
	return body;
}

static void
put_large(int fd, char letter)
{
	gf_say(fd, "put 0 0 1000 5000\r\n");
	gf_say(fd, large_body(letter));
}

static void
test_bodies_that_are_read(void **state)
{
	int fd = gf_client(*state);
	char line[64];

	for (int i = 0; i < 20; i++)
		put_large(fd, (char)('a' + i));
	gf_say(fd, "put 1 0 1000 1\r\nx\r\n");
	for (int i = 0; i < 21; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		gf_hear(fd, line);
	}
	for (int i = 0; i < 21; i++)
		gf_say(fd, "reserve\r\ntouch 1\r\n");
	gf_say(fd, "delete 1\r\nreserve-with-timeout 0\r\n");
	for (int i = 0; i < 20; i++) {
		snprintf(line, sizeof(line), "RESERVED %d 5000\r\n", i + 1);
		gf_hear(fd, line);
		gf_hear(fd, large_body((char)('a' + i)));
		gf_hear(fd, "TOUCHED\r\n");
	}
	gf_hear(fd, "RESERVED 21 1\r\nx\r\nTOUCHED\r\nDELETED\r\nTIMED_OUT\r\n");
	close(fd);
}

/* @p fd has job 1; the next one is large, so whoever gets it has to read its body. */
static void
hold_before_a_body(struct gateway_fixture *f, int fd)
{
	gf_ask(fd, "put 0 0 1000 1\r\nx\r\n", "INSERTED 1\r\n");
	put_large(fd, 'b');
	gf_hear(fd, "INSERTED 2\r\n");
	hold(f, fd);
}

/* The second reserve has waited, and has its job before the body of the first one's is read. */
static void
test_a_wait_that_ends_before_a_body_is_read(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f), other = gf_client(f), producer = gf_client(f);

	gf_ask(producer, "list-tube-used\r\n", "USING default\r\n");
	hold_before_a_body(f, other);
	gf_say(fd, "list-tube-used\r\nreserve\r\nreserve\r\nuse u\r\n");
	usleep(50000);
	gf_say(producer, "put 0 0 1000 1\r\ny\r\n");
	let_go(f);
	gf_hear(other, "RESERVED 1 1\r\nx\r\n");
	gf_hear(producer, "INSERTED 3\r\n");
	gf_hear(fd, "USING default\r\nRESERVED 2 5000\r\n");
	gf_hear(fd, large_body('b'));
	gf_hear(fd, "RESERVED 3 1\r\ny\r\nUSING u\r\n");
	close(fd);
	close(other);
	close(producer);
}

/* It deletes the job that it is about to get, and whose body nobody has any more: no reply would be
 * true. */
static void
test_a_body_that_is_gone(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f), other = gf_client(f);

	hold_before_a_body(f, other);
	gf_say(fd, "list-tube-used\r\nreserve\r\ndelete 2\r\n");
	let_go(f);
	gf_hear(other, "RESERVED 1 1\r\nx\r\n");
	gf_hear(fd, "USING default\r\n");
	gf_hear_end(fd);
	gf_await_stat(other, "stats\r\n", "current-connections", 1);
	assert_int_equal(gf_stat_of(other, "stats\r\n", "cmd-delete"), 1);
	gf_ask(other, "delete 1\r\nreserve-with-timeout 0\r\n", "DELETED\r\nTIMED_OUT\r\n");
	close(other);
}

/* The same by its id, which it may know: then it gets the body first. */
static void
test_a_body_that_is_asked_for_by_id(void **state)
{
	struct gateway_fixture *f = *state;
	int fd = gf_client(f), other = gf_client(f);

	hold_before_a_body(f, other);
	gf_say(fd, "list-tube-used\r\nreserve-job 2\r\ndelete 2\r\n");
	let_go(f);
	gf_hear(other, "RESERVED 1 1\r\nx\r\n");
	gf_hear(fd, "USING default\r\nRESERVED 2 5000\r\n");
	gf_hear(fd, large_body('b'));
	gf_hear(fd, "DELETED\r\n");
	close(fd);
	close(other);
}

int
main(void)
{
#define TEST(name)  cmocka_unit_test_setup_teardown(name, gf_setup, gf_teardown)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, setup_small, gf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_many_reserves_at_once),
		TEST(test_what_stands_behind_a_wait_waits),
		TEST(test_a_wait_that_ends_before_it_is_known),
		TEST(test_what_comes_back_late),
		TEST(test_a_job_that_nobody_tells_of),
		TEST(test_waits_one_after_the_other),
		TEST(test_a_wait_does_not_flood_the_log),
		TEST(test_the_last_second),
		TEST(test_a_client_that_says_no_more),
		TEST(test_a_client_that_is_gone),
		TEST(test_a_gateway_that_was_restored),
		TEST(test_many_are_kicked_behind_a_wait),
		SMALL(test_bodies_that_are_read),
		SMALL(test_a_wait_that_ends_before_a_body_is_read),
		SMALL(test_a_body_that_is_gone),
		SMALL(test_a_body_that_is_asked_for_by_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
