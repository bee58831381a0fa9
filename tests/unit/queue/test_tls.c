/* SPDX-License-Identifier: Apache-2.0 */
/* Clients over TLS: the same conversation, and whatever else somebody may send to that port. Nothing is timed but by deadlines that
 * only a broken server meets; the one limit in time that there is, of the handshake, is waited for. */
#include "tests/lib/certificates.h"
#include "tests/lib/gateway_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TLS   0 /* the gateway's addresses */
#define PLAIN 1
#define DAY_S 86400L

#define FLOOD_BYTES_MAX                                                                            \
	(64u << 20) /* whoever takes more from a client that reads nothing has no bound */

struct world {
	struct gateway_fixture *f;
	struct certificate authority, server;
	SSL_CTX *context; /* of clients that trust the authority */
	char cert[128], key[128], ca[128];
};

/* ------------------------------------------------------------------------------ a server with a certificate */

static struct queue_gateway_options
options_of(const struct world *w)
{
	static const char *const listens[] = { "tls:127.0.0.1:0", "127.0.0.1:0" };

	return (struct queue_gateway_options){
		.listens = listens,
		.listen_count = 2,
		.tls_cert = w->cert,
		.tls_key = w->key,
	};
}

static struct world *
make_world(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->f = gf_create();
	w->authority = certificate_make("authority", NULL, -DAY_S, DAY_S);
	w->server = certificate_make("server", &w->authority, -DAY_S, DAY_S);
	certificate_write(&w->authority, w->f->folder, "ca");
	certificate_write(&w->server, w->f->folder, "server");
	snprintf(w->cert, sizeof(w->cert), "%s/server.pem", w->f->folder);
	snprintf(w->key, sizeof(w->key), "%s/server.key", w->f->folder);
	snprintf(w->ca, sizeof(w->ca), "%s/ca.pem", w->f->folder);
	w->context = SSL_CTX_new(TLS_client_method());
	assert_non_null(w->context);
	assert_int_equal(SSL_CTX_load_verify_file(w->context, w->ca), 1);
	SSL_CTX_set_verify(w->context, SSL_VERIFY_PEER, NULL);
	return w;
}

static int
setup_files(void **state)
{
	*state = make_world();
	return 0;
}

static int
setup(void **state)
{
	struct world *w = make_world();

	assert_int_equal(gf_open_gateway(w->f, options_of(w)), 0);
	gf_start(w->f);
	*state = w;
	return 0;
}

/* Clients have to show a certificate of the same authority. */
static int
setup_for_known_clients(void **state)
{
	struct world *w = make_world();
	struct queue_gateway_options options = options_of(w);

	options.tls_ca = w->ca;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	gf_start(w->f);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	gf_destroy(w->f);
	certificate_free(&w->server);
	certificate_free(&w->authority);
	SSL_CTX_free(w->context);
	free(w);
	return 0;
}

/* ------------------------------------------------------------------------------ a client */

static SSL *
on_socket(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);

	assert_non_null(ssl);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	return ssl;
}

static SSL *
client(const struct world *w)
{
	SSL *ssl = on_socket(w->context, gf_connect(w->f, TLS));

	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

static void
leave(SSL *ssl)
{
	(void)close(SSL_get_fd(ssl)); /* without a word: most clients do */
	SSL_free(ssl);
}

static void
say_bytes(SSL *ssl, const void *bytes, size_t count)
{
	assert_int_equal(SSL_write(ssl, bytes, (int)count), count);
}

static void
say(SSL *ssl, const char *text)
{
	say_bytes(ssl, text, strlen(text));
}

static void
hear_bytes(SSL *ssl, const char *expected, size_t count)
{
	char *got = calloc(1, count + 1);

	for (size_t at = 0; at < count;) {
		int some = SSL_read(ssl, got + at, (int)(count - at));

		if (some <= 0)
			break;
		at += (size_t)some;
	}
	if (count < 1000)
		assert_string_equal(got, expected);
	assert_memory_equal(got, expected, count);
	free(got);
}

static void
hear(SSL *ssl, const char *expected)
{
	hear_bytes(ssl, expected, strlen(expected));
}

static void
ask(SSL *ssl, const char *text, const char *expected)
{
	say(ssl, text);
	hear(ssl, expected);
}

/* The server says goodbye: nothing was cut off. */
static void
hear_end(SSL *ssl)
{
	char byte;

	assert_int_equal(SSL_get_error(ssl, SSL_read(ssl, &byte, 1)), SSL_ERROR_ZERO_RETURN);
	leave(ssl);
}

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

/* ------------------------------------------------------------------------------ what it does */

static void
test_tls_1_3_beside_a_plain_address(void **state)
{
	struct world *w = *state;
	SSL *ssl = client(w);
	int fd = gf_connect(w->f, PLAIN);

	assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
	assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
	ask(ssl, "put 10 0 100 5\r\nhello\r\n", "INSERTED 1\r\n");
	gf_say(fd, "reserve\r\n");
	gf_hear(fd, "RESERVED 1 5\r\nhello\r\n");
	say(ssl, "reserve\r\n");
	gf_await_stat(fd, "stats\r\n", "current-waiting", 1);
	gf_say(fd, "release 1 0 0\r\n");
	gf_hear(fd, "RELEASED\r\n");
	hear(ssl, "RESERVED 1 5\r\nhello\r\n");
	ask(ssl, "list-tubes\r\n", "OK 14\r\n---\n- default\n\r\n");
	ask(ssl, "delete 1\r\n", "DELETED\r\n");
	say(ssl, "quit\r\n");
	hear_end(ssl);
	(void)close(fd); /* all is said */
}

static void
test_large_bodies(void **state)
{
	static char body[65535 + 2], head[64];
	SSL *ssl = client(*state);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7 + i / 1000);
	memcpy(body + 65535, "\r\n", 2);
	for (int i = 0; i < 300; i++) {
		say(ssl, "put 0 0 100 65535\r\n");
		say_bytes(ssl, body, sizeof(body));
		snprintf(head, sizeof(head), "INSERTED %d\r\n", i + 1);
		hear(ssl, head);
	}
	/* All at once: the answers are more than what may be sealed, and more than a client's output may hold. */
	for (int i = 0; i < 300; i++)
		say(ssl, "reserve\r\n");
	for (int i = 0; i < 300; i++) {
		snprintf(head, sizeof(head), "RESERVED %d 65535\r\n", i + 1);
		hear(ssl, head);
		hear_bytes(ssl, body, sizeof(body));
	}
	leave(ssl);
}

/* Requests that are cut by records anywhere, and many in one record. */
static void
test_records_are_no_requests(void **state)
{
	static const char put[] = "put 0 0 100 1\r\nx\r\n";
	static char many[1000 * (sizeof(put) - 1)];
	SSL *ssl = client(*state);
	char line[64];

	for (const char *at = put; *at != 0; at++)
		say_bytes(ssl, at, 1);
	hear(ssl, "INSERTED 1\r\n");
	for (int i = 0; i < 1000; i++)
		memcpy(many + i * (sizeof(put) - 1), put, sizeof(put) - 1);
	for (int i = 0; i < 3; i++)
		say_bytes(ssl, many, sizeof(many));
	say(ssl, "nonsense\r\npeek 3001\r\n");
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 2);
		hear(ssl, line);
	}
	hear(ssl, "UNKNOWN_COMMAND\r\nFOUND 3001 1\r\nx\r\n");
	leave(ssl);
}

/* Whether it says so in a record, or only its socket does: as a plain client it gets all answers, and waits for no job. */
static void
test_a_client_that_says_no_more(void **state)
{
	for (int is_hard = 0; is_hard < 2; is_hard++) {
		SSL *ssl = client(*state);

		say(ssl, "watch none\r\nignore default\r\nuse x\r\nreserve\r\nlist-tube-used\r\n"
			 "list-tub");
		if (is_hard)
			assert_int_equal(shutdown(SSL_get_fd(ssl), SHUT_WR), 0);
		else
			assert_int_equal(SSL_shutdown(ssl), 0);
		hear(ssl, "WATCHING 2\r\nWATCHING 1\r\nUSING x\r\nTIMED_OUT\r\nUSING x\r\n");
		hear_end(ssl);

		ssl = client(*state);
		ask(ssl, "watch none\r\nignore default\r\n", "WATCHING 2\r\nWATCHING 1\r\n");
		say(ssl, "reserve\r\n");
		if (is_hard)
			assert_int_equal(shutdown(SSL_get_fd(ssl), SHUT_WR), 0);
		else
			assert_int_equal(SSL_shutdown(ssl), 0);
		hear(ssl, "TIMED_OUT\r\n");
		hear_end(ssl);
	}
}

static void
test_a_stop_says_goodbye(void **state)
{
	struct world *w = *state;
	SSL *ssl = client(w), *waiting = client(w);

	ask(ssl, "use x\r\n", "USING x\r\n");
	say(waiting, "reserve\r\n");
	ask(ssl, "put 0 0 1 1\r\nx\r\n", "INSERTED 1\r\n");
	gf_stop(w->f);
	hear_end(ssl);
	hear_end(waiting);
}

static void
test_many_clients(void **state)
{
	static SSL *clients[1000];
	struct world *w = *state;
	int fd = gf_connect(w->f, PLAIN);

	for (int i = 0; i < 1000; i++) {
		clients[i] = client(w);
		say(clients[i], "reserve\r\n");
	}
	gf_await_stat(fd, "stats\r\n", "current-waiting", 1000);
	for (int i = 0; i < 1000; i++)
		gf_say(fd, "put 0 0 100 2\r\nab\r\n");
	for (int i = 0; i < 1000; i++) {
		char reply[64] = "";

		for (int at = 0; strstr(reply, "\r\nab\r\n") == NULL; at++)
			assert_int_equal(SSL_read(clients[i], reply + at, 1), 1);
		leave(clients[i]);
	}
	(void)close(fd); /* its answers are of no interest */
	fd = gf_connect(w->f, PLAIN);
	gf_await_stat(fd, "stats\r\n", "current-connections", 1);
	(void)close(fd); /* all is said */
}

/* ------------------------------------------------------------------------------ what else may come */

static void
check_that_it_lives(struct world *w)
{
	SSL *ssl = client(w);

	ask(ssl, "use x\r\n", "USING x\r\n");
	leave(ssl);
}

static void
test_older_versions_are_refused(void **state)
{
	static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION };
	struct world *w = *state;

	SSL_CTX_set_security_level(w->context, 0); /* else the oldest are not even offered */
	for (int i = 0; i < 3; i++) {
		SSL *ssl = on_socket(w->context, gf_connect(w->f, TLS));

		assert_int_equal(SSL_set_min_proto_version(ssl, versions[i]), 1);
		assert_int_equal(SSL_set_max_proto_version(ssl, versions[i]), 1);
		ERR_clear_error();
		assert_true(SSL_connect(ssl) <= 0);
		assert_int_equal(
			ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
		leave(ssl);
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
	struct world *w = *state;

	for (size_t i = 0; i < GARBAGE_COUNT; i++) {
		int fd = gf_connect(w->f, TLS);

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
	struct world *w = *state;
	int fd = gf_connect(w->f, TLS);

	(void)close(fd); /* before a word */
	fd = gf_connect(w->f, TLS);
	assert_int_equal(send(fd, "\x16\x03\x01\1\0\1", 6, MSG_NOSIGNAL), 6);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	read_to_the_end(fd);
	check_that_it_lives(w);
}

/* Somebody in between has changed a byte. Its jobs come back at once. */
static void
test_garbage_after_the_handshake(void **state)
{
	struct world *w = *state;
	SSL *ssl = client(w), *other = client(w);

	ask(ssl, "put 0 0 1000 1\r\nx\r\n", "INSERTED 1\r\n");
	ask(ssl, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	say(other, "reserve\r\n");
	assert_int_equal(
		send(SSL_get_fd(ssl), "\x17\x03\x03\0\x15xxxxxxxxxxxxxxxxxxxxx", 26, MSG_NOSIGNAL),
		26);
	hear(other, "RESERVED 1 1\r\nx\r\n");
	read_to_the_end(SSL_get_fd(ssl));
	SSL_free(ssl);
	leave(other);
}

/* One says nothing, one stops in the middle, and one sends a byte now and then, for ever. */
static void
test_handshakes_that_take_too_long(void **state)
{
	struct world *w = *state;
	int silent = gf_connect(w->f, TLS), half = gf_connect(w->f, TLS),
	    slow = gf_connect(w->f, TLS), plain = gf_connect(w->f, PLAIN);
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

/* ------------------------------------------------------------------------------ who reads nothing */

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
	SSL *ssl = client(*state);
	size_t at = 0;

	while (at + 7 < sizeof(text))
		at += (size_t)snprintf(text + at, sizeof(text) - at, "stats\r\n");
	flood(ssl, text);
	check_that_it_lives(*state);
	leave(ssl);
}

/* A request for new keys costs the server far more than the client: a few are fine, and no more. */
static void
test_many_new_keys(void **state)
{
	struct world *w = *state;
	SSL *ssl = client(w);
	uint32_t count = 0;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		ask(ssl, "use x\r\n", "USING x\r\n");
	}
	while (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) {
		assert_true(count++ < 1000000);
		if (count % 100 == 0)
			usleep(1000); /* the server is slower than we are */
	}
	gf_await_log(w->f, "failed: too many new keys");
	check_that_it_lives(w);
	leave(ssl);
}

/* ------------------------------------------------------------------------------ clients with certificates */

/* @param by  NULL: it shows none */
static SSL *
known_client(const struct world *w, const struct certificate *by, long until_s)
{
	SSL *ssl = on_socket(w->context, gf_connect(w->f, TLS));

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
	leave(ssl);
}

static void
test_known_clients_only(void **state)
{
	struct world *w = *state;
	struct certificate foreign = certificate_make("authority", NULL, -DAY_S, DAY_S);
	SSL *ssl = known_client(w, &w->authority, DAY_S);

	ask(ssl, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	hear_refusal(known_client(w, NULL, 0));
	gf_await_log(w->f, "failed: peer did not return a certificate");
	hear_refusal(known_client(w, &foreign, DAY_S));
	hear_refusal(known_client(w, &w->authority, -DAY_S));
	ask(ssl, "peek 1\r\n", "FOUND 1 1\r\nx\r\n");
	leave(ssl);
	certificate_free(&foreign);
}

/* ------------------------------------------------------------------------------ what is wrong at the start */

/* @return the sentence */
static const char *
refusal(struct world *w, struct queue_gateway_options options, int rc)
{
	w->f->error[0] = 0;
	assert_int_equal(gf_open_gateway(w->f, options), rc);
	assert_null(w->f->gateway);
	return w->f->error;
}

static void
check_refusal(struct world *w, struct queue_gateway_options options, int rc, const char *text)
{
	const char *said = refusal(w, options, rc);

	if (strstr(said, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", said, text);
}

static void
test_files_that_are_not_there(void **state)
{
	struct world *w = *state;
	struct queue_gateway_options options = options_of(w);

	options.tls_key = NULL;
	check_refusal(w, options, -EINVAL, "set [queue] tls_cert and tls_key");
	options.tls_cert = NULL;
	check_refusal(w, options, -EINVAL, "tls:127.0.0.1:0: TLS needs a certificate");
	options.tls_ca = w->ca;
	check_refusal(w, options, -EINVAL, "set [queue] tls_cert and tls_key");
	options = options_of(w);
	options.tls_cert = "/nowhere";
	check_refusal(w, options, -ENOENT, "tls_cert /nowhere: No such file");
	options = options_of(w);
	options.tls_key = "/nowhere";
	check_refusal(w, options, -ENOENT, "tls_key /nowhere: No such file");
	options = options_of(w);
	options.tls_ca = w->f->folder;
	check_refusal(w, options, -EINVAL, "not a regular file");
}

static void
test_files_that_are_something_else(void **state)
{
	struct world *w = *state;
	struct queue_gateway_options options = options_of(w);

	options.tls_cert = w->key;
	check_refusal(w, options, -EINVAL, "no certificate in PEM that can be used");
	options = options_of(w);
	options.tls_ca = w->key;
	check_refusal(w, options, -EINVAL, "tls_ca");
	options = options_of(w);
	options.tls_key = w->cert;
	assert_int_equal(chmod(w->cert, 0600), 0);
	check_refusal(w, options, -EINVAL, "no private key in PEM");
	options.tls_key = w->key;
	assert_int_equal(chmod(w->key, 0640), 0);
	check_refusal(w, options, -EPERM, "others may read this key (mode 640): chmod 600");
	certificate_write(&w->authority, w->f->folder, "server2");
	snprintf(w->key, sizeof(w->key), "%s/server2.key", w->f->folder);
	check_refusal(w, options, -EINVAL, "does not belong to the certificate");
}

static void
test_a_key_with_a_passphrase(void **state)
{
	struct world *w = *state;
	FILE *file = fopen(w->key, "we");

	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, w->server.key, EVP_aes_128_cbc(),
				 (const unsigned char *)"secret", 6, NULL, NULL),
		1);
	assert_int_equal(fclose(file), 0);
	check_refusal(w, options_of(w), -EINVAL, "has a passphrase");
}

static void
write_server(struct world *w, long from_s, long until_s)
{
	struct certificate c = certificate_make("server", &w->authority, from_s, until_s);

	certificate_write(&c, w->f->folder, "server");
	certificate_free(&c);
}

static void
test_certificates_of_another_time(void **state)
{
	struct world *w = *state;
	struct queue_gateway_options options = options_of(w);
	struct certificate old = certificate_make("authority", NULL, -2 * DAY_S, -DAY_S);

	write_server(w, -2 * DAY_S, -DAY_S);
	check_refusal(w, options, -EINVAL, "the certificate has expired on 20");
	write_server(w, DAY_S, 2 * DAY_S);
	check_refusal(w, options, -EINVAL, "the certificate is not valid before 20");
	write_server(w, -DAY_S, DAY_S);
	certificate_write(&old, w->f->folder, "ca");
	options.tls_ca = w->ca;
	check_refusal(w, options, -EINVAL, "the certificate has expired on 20");
	options.tls_ca = NULL;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	certificate_free(&old);
}

static void
test_warnings(void **state)
{
	static const char warning[] = "whoever reaches port";
	static const char *const listens[] = { "tls:0.0.0.0:0", "127.0.0.2:0", "[::1]:0",
		"0.0.0.0:0" };
	struct world *w = *state;
	struct queue_gateway_options options = options_of(w);

	options.listens = listens;
	options.listen_count = 3;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	assert_int_equal(w->f->log_bytes, 0);
	gf_stop(w->f);
	options.listen_count = 4;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	assert_true(gf_has_logged(w->f, warning));
	assert_false(gf_has_logged(w->f, "nothing is encrypted"));
	gf_stop(w->f);
	options.listens = listens + 1;
	options.listen_count = 1;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	assert_true(gf_has_logged(w->f, "nothing is encrypted"));
}

int
main(void)
{
#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define FILES(name) cmocka_unit_test_setup_teardown(name, setup_files, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_tls_1_3_beside_a_plain_address),
		TEST(test_large_bodies),
		TEST(test_records_are_no_requests),
		TEST(test_a_client_that_says_no_more),
		TEST(test_a_stop_says_goodbye),
		TEST(test_many_clients),
		TEST(test_older_versions_are_refused),
		TEST(test_garbage_instead_of_a_handshake),
		TEST(test_a_handshake_that_is_left),
		TEST(test_garbage_after_the_handshake),
		TEST(test_handshakes_that_take_too_long),
		TEST(test_who_does_not_read_is_not_read_from),
		TEST(test_many_new_keys),
		cmocka_unit_test_setup_teardown(
			test_known_clients_only, setup_for_known_clients, teardown),
		FILES(test_files_that_are_not_there),
		FILES(test_files_that_are_something_else),
		FILES(test_a_key_with_a_passphrase),
		FILES(test_certificates_of_another_time),
		FILES(test_warnings),
	};

	gf_take_descriptors();
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets of servers that have hung up */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
