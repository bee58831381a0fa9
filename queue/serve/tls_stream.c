/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of one client: see tls.h.
 *
 * A client that ends its side says so in a record (close_notify), or just closes its socket: both
 * are has_eof, as a plain client's end. What it had asked until then is answered. Nothing can be
 * cut off that way that a plain client could not leave out: a request without its end is none.
 *
 * Whatever is no TLS 1.3, or fails a check, ends the client. It gets the alert that OpenSSL has
 * written, if its socket takes it.
 */
#include "queue/serve/tls.h"

#include <netdb.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RECORD_BYTES_MAX 16384
#define COMPLAINT_NS     1000000000ull /* one line in the log */
#define KEY_COUNT_MAX                                                                              \
	32 /* new keys without a byte of data between them: each costs us far more than the client */

/* ---------------------------------------------------------------- what OpenSSL reads and writes */

static int
bio_read(BIO *bio, char *ret, int capacity)
{
	const struct tls_stream *s = BIO_get_data(bio);
	int count = evbuffer_remove(bufferevent_get_input(s->c->bev), ret, (size_t)capacity);

	BIO_clear_retry_flags(bio);
	if (s->key_count > KEY_COUNT_MAX)
		return -1; /* the end of the connection */
	if (count > 0)
		return count;
	BIO_set_retry_read(bio);
	return -1;
}

static int
bio_write(BIO *bio, const char *bytes, int count)
{
	const struct tls_stream *s = BIO_get_data(bio);
	struct evbuffer *sealed = bufferevent_get_output(s->c->bev);

	BIO_clear_retry_flags(bio);
	return evbuffer_add(sealed, bytes, (size_t)count) == 0 ? count : -1;
}

static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH; /* and it has nothing else to offer */
}

BIO_METHOD *
tls_make_bio(void)
{
	BIO_METHOD *method =
		BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bufferevent");

	if (method == NULL)
		return NULL;
	(void)BIO_meth_set_read(method, bio_read); /* none of these fails */
	(void)BIO_meth_set_write(method, bio_write);
	(void)BIO_meth_set_ctrl(method, bio_control);
	return method;
}

/* Of every message of the protocol itself. */
static void
on_message(int is_ours, int version, int type, const void *bytes, size_t count, SSL *ssl,
	void *context)
{
	struct tls_stream *s = context;

	(void)version, (void)ssl;
	if (!is_ours && type == SSL3_RT_HANDSHAKE && count > 0 &&
		*(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
		s->key_count++;
}

/* ------------------------------------------------------------------------------ failures */

static void
complain(struct client *c, const char *why)
{
	struct queue_gateway *g = c->g;
	char host[64] = "?", port[16] = "?";
	struct sockaddr_storage peer;
	socklen_t bytes = sizeof(peer);

	if (g->now_ns < g->tls_complain_at_ns)
		return;
	g->tls_complain_at_ns = g->now_ns + COMPLAINT_NS;
	if (getpeername(bufferevent_getfd(c->bev), (struct sockaddr *)&peer, &bytes) == 0)
		(void)getnameinfo((struct sockaddr *)&peer, bytes, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	gateway_log(
		g, DECREE_LOG_WARNING, "queue: TLS with %s port %s failed: %s", host, port, why);
}

static void
fail(struct client *c)
{
	unsigned long last = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(last);

	if (c->tls->key_count > KEY_COUNT_MAX)
		reason = "too many new keys";
	complain(c, reason != NULL ? reason : "out of memory");
	c->has_failed = true;
}

/* @return whether it may go on later; else has_eof or has_failed say why not */
static bool
on_no_progress(struct client *c, int rc)
{
	switch (SSL_get_error(c->tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ: return true;
	case SSL_ERROR_ZERO_RETURN:
		c->tls->has_ended = c->has_eof = true;
		bufferevent_disable(c->bev, EV_READ);
		return false;
	default: fail(c); return false;
	}
}

static void
give_up(struct tls_stream *s, const char *why)
{
	complain(s->c, why);
	client_drop(s->c);
}

/* ------------------------------------------------------------------------------ begin, end */

static bool
attach(struct tls_stream *s, struct client *c)
{
	BIO *bio;

	s->input = evbuffer_new();
	s->output = evbuffer_new();
	s->ssl = SSL_new(c->g->tls);
	bio = BIO_new(c->g->tls_bio);
	if (s->input == NULL || s->output == NULL || s->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		return false;
	}
	s->c = c;
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio); /* it owns it now */
	SSL_set_msg_callback(s->ssl, on_message);
	SSL_set_msg_callback_arg(s->ssl, s);
	SSL_set_accept_state(s->ssl);
	return true;
}

static void
leave_handshakes(struct tls_stream *s)
{
	struct queue_gateway *g = s->c->g;

	TAILQ_REMOVE(&g->handshakes, s, in_handshakes);
	g->handshake_count--;
}

static void
stream_free(struct tls_stream *s)
{
	SSL_free(s->ssl);
	if (s->input != NULL)
		evbuffer_free(s->input);
	if (s->output != NULL)
		evbuffer_free(s->output);
	free(s);
}

bool
tls_begin(struct client *c)
{
	struct tls_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return false;
	if (!attach(s, c)) {
		stream_free(s);
		return false;
	}
	s->until_ns = c->g->now_ns + TLS_HANDSHAKE_NS;
	if (c->g->handshake_count == TLS_HANDSHAKE_COUNT_MAX)
		give_up(TAILQ_FIRST(&c->g->handshakes), "too many handshakes at a time");
	TAILQ_INSERT_TAIL(&c->g->handshakes, s, in_handshakes);
	c->g->handshake_count++;
	c->tls = s;
	return true;
}

void
tls_end(struct client *c)
{
	struct tls_stream *s = c->tls;
	struct evbuffer *sealed = bufferevent_get_output(c->bev);

	ERR_clear_error();
	if (s->is_open && !c->has_failed && evbuffer_get_length(s->output) == 0)
		(void)SSL_shutdown(s->ssl); /* "all replies were sent" */
	/* Best effort: whoever does not take it sees a connection that ends without a word. */
	(void)evbuffer_unfreeze(sealed, 1);
	(void)evbuffer_write(sealed, bufferevent_getfd(c->bev));
	if (!s->is_open)
		leave_handshakes(s);
	stream_free(s);
	c->tls = NULL;
}

/* ------------------------------------------------------------------------------ bytes */

static bool
shake_hands(struct client *c)
{
	struct tls_stream *s = c->tls;
	int rc;

	if (s->is_open)
		return true;
	if (evbuffer_get_length(bufferevent_get_input(c->bev)) == 0)
		return false; /* it is the client's turn, from the first word on */
	if (c->g->handshake_steps == 0) {
		c->g->has_handshake_waiting = true;
		return false;
	}
	c->g->handshake_steps--;
	rc = SSL_do_handshake(s->ssl);
	if (rc != 1) {
		(void)on_no_progress(c, rc); /* either way there is nothing more to do now */
		return false;
	}
	leave_handshakes(s);
	s->is_open = true;
	return true;
}

void
tls_pull(struct client *c)
{
	struct tls_stream *s = c->tls;
	struct evbuffer *sealed = bufferevent_get_output(c->bev);
	uint8_t part[RECORD_BYTES_MAX];

	if (s->has_ended || c->has_failed)
		return;
	ERR_clear_error();
	if (!shake_hands(c))
		return;
	/* A record may ask for an answer of OpenSSL's own: also whoever sends nothing else has to
	 * read. */
	while (evbuffer_get_length(s->input) < INPUT_BYTES_MAX &&
		evbuffer_get_length(sealed) < TLS_SEALED_BYTES_MAX) {
		int count = SSL_read(s->ssl, part, sizeof(part));

		if (count <= 0) {
			(void)on_no_progress(c, count);
			return;
		}
		s->key_count = 0;
		if (evbuffer_add(s->input, part, (size_t)count) != 0) {
			c->has_failed = true;
			return;
		}
	}
}

void
tls_push(struct client *c)
{
	struct tls_stream *s = c->tls;
	struct evbuffer *sealed = bufferevent_get_output(c->bev);
	uint8_t part[RECORD_BYTES_MAX];

	ERR_clear_error();
	while (!c->has_failed && evbuffer_get_length(s->output) > 0 &&
		evbuffer_get_length(sealed) < TLS_SEALED_BYTES_MAX) {
		ev_ssize_t count = evbuffer_copyout(s->output, part, sizeof(part));

		/* All or nothing: what it writes to takes everything. */
		if (SSL_write(s->ssl, part, (int)count) != count)
			fail(c);
		else
			evbuffer_drain(s->output, (size_t)count);
	}
}

size_t
tls_unread(const struct client *c)
{
	const struct tls_stream *s = c->tls;
	size_t opened = evbuffer_get_length(s->input);

	if (s->has_ended || c->has_failed)
		return opened;
	return opened + (size_t)SSL_pending(s->ssl) +
	       evbuffer_get_length(bufferevent_get_input(c->bev));
}

/* ------------------------------------------------------------------------------ a turn */

void
tls_tend(struct queue_gateway *g)
{
	struct tls_stream *s, *next;

	while ((s = TAILQ_FIRST(&g->handshakes)) != NULL && g->now_ns >= s->until_ns)
		give_up(s, "the handshake was not finished in time");
	g->handshake_steps = TLS_STEP_COUNT_MAX;
	if (!g->has_handshake_waiting)
		return;
	g->has_handshake_waiting = false;
	for (s = TAILQ_FIRST(&g->handshakes); s != NULL && g->handshake_steps > 0; s = next) {
		next = TAILQ_NEXT(s, in_handshakes);
		if (evbuffer_get_length(bufferevent_get_input(s->c->bev)) > 0)
			client_run(s->c); /* which may end it, and no other */
	}
	g->has_handshake_waiting |= s != NULL;
}
