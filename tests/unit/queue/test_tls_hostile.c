/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever else somebody may send to a port of TLS, and whoever reads nothing. The one limit in
 * time that there is, of the handshake, is waited for. */
#include "tests/lib/tls_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FLOOD_BYTES_MAX                                                                            \
	(64u << 20) /* whoever takes more from a client that reads nothing has no bound */

/* The server has ended it, whatever it said at the end. */
static void
read_to_the_end(int fd)
{
	char some[512];
	ssize_t got;

	while ((got = recv(fd, some, sizeof(some), 0)) > 0)
		;
	assert_true(got == 0 || errno == ECONNRESET);
	(void)close(fd); /* nobody is there any more */
}

static void
check_that_it_lives(struct tls_fixture *w)
{
	SSL *ssl = tf_client(w);

	tf_ask(ssl, "use x\r\n", "USING x\r\n");
	tf_leave(ssl);
}

static void
test_older_versions_are_refused(void **state)
{
	static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION };
	struct tls_fixture *w = *state;

	SSL_CTX_set_security_level(w->context, 0); /* else the oldest are not even offered */
	for (int i = 0; i < 3; i++) {
		SSL *ssl = tf_on_socket(w->context, gf_connect(w->f, TF_TLS));

		assert_int_equal(SSL_set_min_proto_version(ssl, versions[i]), 1);
		assert_int_equal(SSL_set_max_proto_version(ssl, versions[i]), 1);
		ERR_clear_error();
		assert_true(SSL_connect(ssl) <= 0);
		assert_int_equal(
			ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
		tf_leave(ssl);
	}
	gf_await_log(w->f, "failed: unsupported protocol");
	check_that_it_lives(w);
}

struct garbage {
	const char *name;
	const char *bytes;
	size_t count;
};

#define GARBAGE(bytes) bytes, sizeof(bytes) - 1
static const struct garbage garbage[] = {
	{ "a plain client", GARBAGE("put 0 0 10 1\r\nx\r\n") },
	{ "a browser", GARBAGE("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
	{ "zeros", GARBAGE("\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "data before the handshake", GARBAGE("\x17\x03\x03\0\5abcde") },
	{ "an alert", GARBAGE("\x15\x03\x01\0\2\2\x28") },
	{ "too large a record", GARBAGE("\x16\x03\x01\xff\xffxxxxxxxx") },
	{ "too large a hello", GARBAGE("\x16\x03\x01\0\x10\1\x20\0\0xxxxxxxxxxxx") },
	{ "an empty hello", GARBAGE("\x16\x03\x01\0\4\1\0\0\0") },
	{ "no hello", GARBAGE("\x16\x03\x01\0\4\2\0\0\0") },
};
#define GARBAGE_COUNT (sizeof(garbage) / sizeof(garbage[0]))

/* Whatever it is: that connection ends, at once, and nobody else's. */
static void
test_garbage_instead_of_a_handshake(void **state)
{
	struct tls_fixture *w = *state;

	for (size_t i = 0; i < GARBAGE_COUNT; i++) {
		int fd = gf_connect(w->f, TF_TLS);

		print_message("%s\n", garbage[i].name);
		assert_int_equal(send(fd, garbage[i].bytes, garbage[i].count, MSG_NOSIGNAL),
			garbage[i].count);
		read_to_the_end(fd);
	}
	check_that_it_lives(w);
}

/* Half of a handshake, and then the end. */
static void
test_a_handshake_that_is_left(void **state)
{
	struct tls_fixture *w = *state;
	int fd = gf_connect(w->f, TF_TLS);

	(void)close(fd); /* before a word */
	fd = gf_connect(w->f, TF_TLS);
	assert_int_equal(send(fd, "\x16\x03\x01\1\0\1", 6, MSG_NOSIGNAL), 6);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	read_to_the_end(fd);
	check_that_it_lives(w);
}

/* Somebody in between has changed a byte. Its jobs come back at once. */
static void
test_garbage_after_the_handshake(void **state)
{
	struct tls_fixture *w = *state;
	SSL *ssl = tf_client(w), *other = tf_client(w);

	tf_ask(ssl, "put 0 0 1000 1\r\nx\r\n", "INSERTED 1\r\n");
	tf_ask(ssl, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	tf_say(other, "reserve\r\n");
	assert_int_equal(
		send(SSL_get_fd(ssl), "\x17\x03\x03\0\x15xxxxxxxxxxxxxxxxxxxxx", 26, MSG_NOSIGNAL),
		26);
	tf_hear(other, "RESERVED 1 1\r\nx\r\n");
	read_to_the_end(SSL_get_fd(ssl));
	SSL_free(ssl);
	tf_leave(other);
}

/* One says nothing, one stops in the middle, and one sends a byte now and then, for ever. */
static void
test_handshakes_that_take_too_long(void **state)
{
	struct tls_fixture *w = *state;
	int silent = gf_connect(w->f, TF_TLS), half = gf_connect(w->f, TF_TLS),
	    slow = gf_connect(w->f, TF_TLS), plain = gf_connect(w->f, TF_PLAIN);
	struct pollfd p = { .fd = slow, .events = POLLIN };

	assert_int_equal(send(half, "\x16\x03\x01\1\0\1", 6, MSG_NOSIGNAL), 6);
	assert_int_equal(send(slow, "\x16\x03\x01\x40\0\1\0\x3f\xfc\3\3", 11, MSG_NOSIGNAL), 11);
	for (int i = 0; poll(&p, 1, 100) == 0; i++) {
		assert_true(i < GF_DEADLINE_MS / 100);
		(void)send(slow, "x", 1, MSG_NOSIGNAL); /* it may be over by now */
	}
	read_to_the_end(slow);
	read_to_the_end(half);
	read_to_the_end(silent);
	assert_true(gf_has_logged(w->f, "the handshake was not finished in time"));
	gf_say(plain, "use x\r\n"); /* who is not to shake hands may be as silent as it likes */
	gf_hear(plain, "USING x\r\n");
	(void)close(plain); /* all is said */
}

/* So many who say nothing that there is no room for more of them: the oldest end, and whoever means
 * it comes through. */
static void
test_a_flood_of_handshakes(void **state)
{
	static int flood[1100];
	struct tls_fixture *w = *state;
	int plain = gf_connect(w->f, TF_PLAIN);

	for (int i = 0; i < 1100; i++) {
		flood[i] = gf_connect(w->f, TF_TLS);
		/* Half of them have begun. */
		assert_int_equal(
			send(flood[i], "\x16\x03\x01\1\0\1", i % 2 * 6, MSG_NOSIGNAL), i % 2 * 6);
	}
	for (int i = 0; i < 10; i++)
		check_that_it_lives(w);
	for (int i = 0; i < 1100 - 1024; i++)
		read_to_the_end(flood[i]);
	assert_true(gf_has_logged(w->f, "failed: too many handshakes at a time"));
	gf_ask(plain, "use x\r\n", "USING x\r\n");
	for (int i = 1100 - 1024; i < 1100; i++)
		(void)close(flood[i]); /* it has served */
	check_that_it_lives(w);
	(void)close(plain); /* all is said */
}

/* More at once than there are steps in a turn: each goes on where it was. */
static void
test_many_handshakes_at_once(void **state)
{
	static SSL *clients[200];
	struct tls_fixture *w = *state;
	int left = 200;

	for (int i = 0; i < 200; i++) {
		clients[i] = tf_on_socket(w->context, gf_connect(w->f, TF_TLS));
		assert_int_equal(fcntl(SSL_get_fd(clients[i]), F_SETFL, O_NONBLOCK), 0);
	}
	for (int turn = 0; left > 0; turn++) {
		assert_true(turn < GF_DEADLINE_MS / 10);
		left = 0;
		for (int i = 0; i < 200; i++)
			left += SSL_connect(clients[i]) != 1;
		usleep(10000); /* so that the server has a CPU, too */
	}
	for (int i = 0; i < 200; i++) {
		assert_int_equal(fcntl(SSL_get_fd(clients[i]), F_SETFL, 0), 0);
		tf_ask(clients[i], "use x\r\n", "USING x\r\n");
		tf_leave(clients[i]);
	}
}

static bool
is_writable(SSL *ssl)
{
	struct pollfd p = { .fd = SSL_get_fd(ssl), .events = POLLOUT };

	return poll(&p, 1, 1000) == 1;
}

/* It goes on until the server takes no more. */
static void
flood(SSL *ssl, const char *text)
{
	size_t bytes = strlen(text), taken = 0;

	assert_int_equal(fcntl(SSL_get_fd(ssl), F_SETFL, O_NONBLOCK), 0);
	do {
		while (SSL_write(ssl, text, (int)bytes) > 0) {
			taken += bytes;
			assert_true(taken < FLOOD_BYTES_MAX);
		}
	} while (is_writable(ssl));
}

static void
test_who_does_not_read_is_not_read_from(void **state)
{
	static char text[16384 - 100];
	SSL *ssl = tf_client(*state);
	size_t at = 0;

	while (at + 7 < sizeof(text))
		at += (size_t)snprintf(text + at, sizeof(text) - at, "stats\r\n");
	flood(ssl, text);
	check_that_it_lives(*state);
	tf_leave(ssl);
}

/* A request for new keys costs the server far more than the client: a few are fine, and no more. */
static void
test_many_new_keys(void **state)
{
	struct tls_fixture *w = *state;
	SSL *ssl = tf_client(w);
	uint32_t count = 0;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		tf_ask(ssl, "use x\r\n", "USING x\r\n");
	}
	while (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) {
		assert_true(count++ < 1000000);
		if (count % 100 == 0)
			usleep(1000); /* the server is slower than we are */
	}
	gf_await_log(w->f, "failed: too many new keys");
	check_that_it_lives(w);
	tf_leave(ssl);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tf_setup, tf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_older_versions_are_refused),
		TEST(test_garbage_instead_of_a_handshake),
		TEST(test_a_handshake_that_is_left),
		TEST(test_garbage_after_the_handshake),
		TEST(test_handshakes_that_take_too_long),
		TEST(test_a_flood_of_handshakes),
		TEST(test_many_handshakes_at_once),
		TEST(test_who_does_not_read_is_not_read_from),
		TEST(test_many_new_keys),
	};

	gf_take_descriptors();
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
