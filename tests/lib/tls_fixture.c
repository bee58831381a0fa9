/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/tls_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ------------------------------------------------------------------ a server with a certificate */

struct queue_gateway_options
tf_options_of(const struct tls_fixture *w)
{
	static const char *const listens[] = { "tls:127.0.0.1:0", "127.0.0.1:0" };

	return (struct queue_gateway_options){
		.listens = listens,
		.listen_count = 2,
		.tls_cert = w->cert,
		.tls_key = w->key,
	};
}

static struct tls_fixture *
make_world(void)
{
	struct tls_fixture *w = calloc(1, sizeof(*w));

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

int
tf_setup_files(void **state)
{
	*state = make_world();
	return 0;
}

int
tf_setup(void **state)
{
	struct tls_fixture *w = make_world();

	assert_int_equal(gf_open_gateway(w->f, tf_options_of(w)), 0);
	gf_start(w->f);
	*state = w;
	return 0;
}

int
tf_setup_for_known_clients(void **state)
{
	struct tls_fixture *w = make_world();
	struct queue_gateway_options options = tf_options_of(w);

	options.tls_ca = w->ca;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	gf_start(w->f);
	*state = w;
	return 0;
}

int
tf_teardown(void **state)
{
	struct tls_fixture *w = *state;

	gf_destroy(w->f);
	certificate_free(&w->server);
	certificate_free(&w->authority);
	SSL_CTX_free(w->context);
	free(w);
	return 0;
}

/* ------------------------------------------------------------------------------ a client */

SSL *
tf_on_socket(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);

	assert_non_null(ssl);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	return ssl;
}

SSL *
tf_client(const struct tls_fixture *w)
{
	SSL *ssl = tf_on_socket(w->context, gf_connect(w->f, TF_TLS));

	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

void
tf_leave(SSL *ssl)
{
	(void)close(SSL_get_fd(ssl)); /* without a word: most clients do */
	SSL_free(ssl);
}

void
tf_say_bytes(SSL *ssl, const void *bytes, size_t count)
{
	assert_int_equal(SSL_write(ssl, bytes, (int)count), count);
}

void
tf_say(SSL *ssl, const char *text)
{
	tf_say_bytes(ssl, text, strlen(text));
}

void
tf_hear_bytes(SSL *ssl, const char *expected, size_t count)
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

void
tf_hear(SSL *ssl, const char *expected)
{
	tf_hear_bytes(ssl, expected, strlen(expected));
}

void
tf_ask(SSL *ssl, const char *text, const char *expected)
{
	tf_say(ssl, text);
	tf_hear(ssl, expected);
}

void
tf_hear_end(SSL *ssl)
{
	char byte;

	assert_int_equal(SSL_get_error(ssl, SSL_read(ssl, &byte, 1)), SSL_ERROR_ZERO_RETURN);
	tf_leave(ssl);
}
