/* SPDX-License-Identifier: Apache-2.0 */
/* Clients over TLS: the same conversation. Nothing is timed but by deadlines that only a broken
 * server meets. */
#include "tests/lib/tls_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_tls_1_3_beside_a_plain_address(void **state)
{
	struct tls_fixture *w = *state;
	SSL *ssl = tf_client(w);
	int fd = gf_connect(w->f, TF_PLAIN);

	assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
	assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
	tf_ask(ssl, "put 10 0 100 5\r\nhello\r\n", "INSERTED 1\r\n");
	gf_say(fd, "reserve\r\n");
	gf_hear(fd, "RESERVED 1 5\r\nhello\r\n");
	tf_say(ssl, "reserve\r\n");
	gf_await_stat(fd, "stats\r\n", "current-waiting", 1);
	gf_say(fd, "release 1 0 0\r\n");
	gf_hear(fd, "RELEASED\r\n");
	tf_hear(ssl, "RESERVED 1 5\r\nhello\r\n");
	tf_ask(ssl, "list-tubes\r\n", "OK 14\r\n---\n- default\n\r\n");
	tf_ask(ssl, "delete 1\r\n", "DELETED\r\n");
	tf_say(ssl, "quit\r\n");
	tf_hear_end(ssl);
	(void)close(fd); /* all is said */
}

static void
test_large_bodies(void **state)
{
	static char body[65535 + 2], head[64];
	SSL *ssl = tf_client(*state);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7 + i / 1000);
	memcpy(body + 65535, "\r\n", 2);
	for (int i = 0; i < 300; i++) {
		tf_say(ssl, "put 0 0 100 65535\r\n");
		tf_say_bytes(ssl, body, sizeof(body));
		snprintf(head, sizeof(head), "INSERTED %d\r\n", i + 1);
		tf_hear(ssl, head);
	}
	/* All at once: the answers are more than what may be sealed, and more than a client's
	 * output may hold. */
	for (int i = 0; i < 300; i++)
		tf_say(ssl, "reserve\r\n");
	for (int i = 0; i < 300; i++) {
		snprintf(head, sizeof(head), "RESERVED %d 65535\r\n", i + 1);
		tf_hear(ssl, head);
		tf_hear_bytes(ssl, body, sizeof(body));
	}
	tf_leave(ssl);
}

/* Requests that are cut by records anywhere, and many in one record. */
static void
test_records_are_no_requests(void **state)
{
	static const char put[] = "put 0 0 100 1\r\nx\r\n";
	static char many[1000 * (sizeof(put) - 1)];
	SSL *ssl = tf_client(*state);
	char line[64];

	for (const char *at = put; *at != 0; at++)
		tf_say_bytes(ssl, at, 1);
	tf_hear(ssl, "INSERTED 1\r\n");
	for (int i = 0; i < 1000; i++)
		memcpy(many + i * (sizeof(put) - 1), put, sizeof(put) - 1);
	for (int i = 0; i < 3; i++)
		tf_say_bytes(ssl, many, sizeof(many));
	tf_say(ssl, "nonsense\r\npeek 3001\r\n");
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 2);
		tf_hear(ssl, line);
	}
	tf_hear(ssl, "UNKNOWN_COMMAND\r\nFOUND 3001 1\r\nx\r\n");
	tf_leave(ssl);
}

/* Whether it says so in a record, or only its socket does: as a plain client it gets all answers,
 * and waits for no job. */
static void
test_a_client_that_says_no_more(void **state)
{
	for (int is_hard = 0; is_hard < 2; is_hard++) {
		SSL *ssl = tf_client(*state);

		tf_say(ssl, "watch none\r\nignore default\r\nuse x\r\nreserve\r\nlist-tube-used\r\n"
			    "list-tub");
		if (is_hard)
			assert_int_equal(shutdown(SSL_get_fd(ssl), SHUT_WR), 0);
		else
			assert_int_equal(SSL_shutdown(ssl), 0);
		tf_hear(ssl, "WATCHING 2\r\nWATCHING 1\r\nUSING x\r\nTIMED_OUT\r\nUSING x\r\n");
		tf_hear_end(ssl);

		ssl = tf_client(*state);
		tf_ask(ssl, "watch none\r\nignore default\r\n", "WATCHING 2\r\nWATCHING 1\r\n");
		tf_say(ssl, "reserve\r\n");
		if (is_hard)
			assert_int_equal(shutdown(SSL_get_fd(ssl), SHUT_WR), 0);
		else
			assert_int_equal(SSL_shutdown(ssl), 0);
		tf_hear(ssl, "TIMED_OUT\r\n");
		tf_hear_end(ssl);
	}
}

static void
test_a_stop_says_goodbye(void **state)
{
	struct tls_fixture *w = *state;
	SSL *ssl = tf_client(w), *waiting = tf_client(w);

	tf_ask(ssl, "use x\r\n", "USING x\r\n");
	tf_say(waiting, "reserve\r\n");
	tf_ask(ssl, "put 0 0 1 1\r\nx\r\n", "INSERTED 1\r\n");
	gf_stop(w->f);
	tf_hear_end(ssl);
	tf_hear_end(waiting);
}

static void
test_many_clients(void **state)
{
	static SSL *clients[1000];
	struct tls_fixture *w = *state;
	int fd = gf_connect(w->f, TF_PLAIN);

	for (int i = 0; i < 1000; i++) {
		clients[i] = tf_client(w);
		tf_say(clients[i], "reserve\r\n");
	}
	gf_await_stat(fd, "stats\r\n", "current-waiting", 1000);
	for (int i = 0; i < 1000; i++)
		gf_say(fd, "put 0 0 100 2\r\nab\r\n");
	for (int i = 0; i < 1000; i++) {
		char reply[64] = "";

		for (int at = 0; strstr(reply, "\r\nab\r\n") == NULL; at++)
			assert_int_equal(SSL_read(clients[i], reply + at, 1), 1);
		tf_leave(clients[i]);
	}
	(void)close(fd); /* its answers are of no interest */
	fd = gf_connect(w->f, TF_PLAIN);
	gf_await_stat(fd, "stats\r\n", "current-connections", 1);
	(void)close(fd); /* all is said */
}

/* @param by  NULL: it shows none */
static SSL *
known_client(const struct tls_fixture *w, const struct certificate *by, long until_s)
{
	SSL *ssl = tf_on_socket(w->context, gf_connect(w->f, TF_TLS));

	if (by != NULL) {
		struct certificate own = certificate_make("client", by, -2 * DAY_S, until_s);

		assert_int_equal(SSL_use_certificate(ssl, own.x), 1);
		assert_int_equal(SSL_use_PrivateKey(ssl, own.key), 1);
		certificate_free(&own);
	}
	assert_int_equal(SSL_connect(ssl), 1); /* to the client that is all */
	return ssl;
}

static void
hear_refusal(SSL *ssl)
{
	char byte;

	(void)SSL_write(ssl, "use x\r\n", 7); /* it may be refused already */
	assert_int_not_equal(SSL_get_error(ssl, SSL_read(ssl, &byte, 1)), SSL_ERROR_NONE);
	tf_leave(ssl);
}

static void
test_known_clients_only(void **state)
{
	struct tls_fixture *w = *state;
	struct certificate foreign = certificate_make("authority", NULL, -DAY_S, DAY_S);
	SSL *ssl = known_client(w, &w->authority, DAY_S);

	tf_ask(ssl, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	hear_refusal(known_client(w, NULL, 0));
	gf_await_log(w->f, "failed: peer did not return a certificate");
	hear_refusal(known_client(w, &foreign, DAY_S));
	hear_refusal(known_client(w, &w->authority, -DAY_S));
	tf_ask(ssl, "peek 1\r\n", "FOUND 1 1\r\nx\r\n");
	tf_leave(ssl);
	certificate_free(&foreign);
}

/* The authority that is named is itself signed by another one, which is not. */
static int
setup_for_clients_of_a_branch(void **state)
{
	struct certificate branch;
	struct queue_gateway_options options;
	struct tls_fixture *w;

	(void)tf_setup_files(state);
	w = *state;
	options = tf_options_of(w);
	branch = certificate_make_with(
		"branch", &w->authority, NID_basic_constraints, "critical,CA:TRUE");
	certificate_write(&branch, w->f->folder, "branch");
	certificate_free(&w->authority);
	w->authority = branch;
	snprintf(w->ca, sizeof(w->ca), "%s/branch.pem", w->f->folder);
	options.tls_ca = w->ca;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	gf_start(w->f);
	return 0;
}

static void
test_clients_of_a_branch(void **state)
{
	struct tls_fixture *w = *state;
	SSL *ssl = known_client(w, &w->authority, DAY_S);

	tf_ask(ssl, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	tf_leave(ssl);
	hear_refusal(known_client(w, NULL, 0));
}

int
main(void)
{
#define TEST(name)  cmocka_unit_test_setup_teardown(name, tf_setup, tf_teardown)
#define KNOWN(name) cmocka_unit_test_setup_teardown(name, tf_setup_for_known_clients, tf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_tls_1_3_beside_a_plain_address),
		TEST(test_large_bodies),
		TEST(test_records_are_no_requests),
		TEST(test_a_client_that_says_no_more),
		TEST(test_a_stop_says_goodbye),
		TEST(test_many_clients),
		KNOWN(test_known_clients_only),
		cmocka_unit_test_setup_teardown(
			test_clients_of_a_branch, setup_for_clients_of_a_branch, tf_teardown),
	};

	gf_take_descriptors();
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
