/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls_fixture.h
 * A queue server with a certificate (gateway_fixture.h), and clients that trust who has signed it.
 * Whatever fails ends the test.
 *
 * Threads:  the caller's. SIGPIPE is to be ignored: OpenSSL writes to sockets of servers that have
 *           hung up.
 */
#ifndef TESTS_TLS_FIXTURE_H
#define TESTS_TLS_FIXTURE_H

#include "tests/lib/certificates.h"
#include "tests/lib/gateway_fixture.h"

#include <openssl/ssl.h>

/* The gateway's addresses. */
#define TF_TLS   0
#define TF_PLAIN 1
#define DAY_S    86400L

struct tls_fixture {
	struct gateway_fixture *f;
	struct certificate authority, server;
	SSL_CTX *context; /* of clients that trust the authority */
	char cert[128], key[128], ca[128];
};

/** Two addresses, and the files of the fixture. */
struct queue_gateway_options tf_options_of(const struct tls_fixture *w);

/* For cmocka: the state is a fixture. */
/** The files alone. */
int tf_setup_files(void **state);
/** A server that runs. */
int tf_setup(void **state);
/** The same, and clients have to show a certificate of the same authority. */
int tf_setup_for_known_clients(void **state);
int tf_teardown(void **state);

/** A client whose handshake is still to come. */
SSL *tf_on_socket(SSL_CTX *context, int fd);
SSL *tf_client(const struct tls_fixture *w);
/** Without a word: most clients do. */
void tf_leave(SSL *ssl);
void tf_say_bytes(SSL *ssl, const void *bytes, size_t count);
void tf_say(SSL *ssl, const char *text);
void tf_hear_bytes(SSL *ssl, const char *expected, size_t count);
void tf_hear(SSL *ssl, const char *expected);
void tf_ask(SSL *ssl, const char *text, const char *expected);
/** The server says goodbye: nothing was cut off. */
void tf_hear_end(SSL *ssl);

#endif
