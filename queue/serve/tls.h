/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls.h
 * TLS 1.3 between a client's socket and its bytes.
 *
 * The socket's bufferevent carries records, as a plain client's carries lines. OpenSSL reads and
 * writes those two buffers and never the socket, so it never waits; what it has opened, and what it
 * has to seal, is in two buffers beside them:
 *
 *   socket -> input of the bufferevent -> tls_pull() -> stream's input  -> requests
 *   socket <- output of the bufferevent <- tls_push() <- stream's output <- replies
 *
 * Bounds of one client: INPUT_BYTES_MAX of records and as much that is opened, TLS_SEALED_BYTES_MAX
 * that is sealed and not sent, what OpenSSL keeps (one record of 16 KiB; during the handshake one
 * message, of 128 KiB at most), and TLS_HANDSHAKE_NS for the handshake, however busy the client
 * seems. Of all clients: TLS_HANDSHAKE_COUNT_MAX handshakes, a few steps of which in a turn.
 *
 * All of it runs on the gateway's thread, tls_open() and tls_close() excepted.
 */
#ifndef QUEUE_SERVE_TLS_H
#define QUEUE_SERVE_TLS_H

#include "queue/serve/private.h"

#include <openssl/ssl.h>

#define TLS_SEALED_BYTES_MAX (2 * OUTPUT_BYTES_LOW) /* it goes on at half of that */
#define TLS_HANDSHAKE_NS     10000000000ull

/* Handshakes under way; one more, and the oldest ends. Whoever means it is through in a few round
 * trips, so a flood of those who say nothing takes no place from clients, and not more memory than
 * this many. */
#define TLS_HANDSHAKE_COUNT_MAX 1024
/* Steps of handshakes in a turn: each may take a millisecond, and others wait meanwhile. */
#define TLS_STEP_COUNT_MAX 16

struct tls_stream {
	struct client *c;
	SSL *ssl;
	struct evbuffer *input, *output; /* opened, and to be sealed */
	bool is_open;                    /* the handshake is over */
	bool has_ended;                  /* the client has said that it says nothing more */
	uint64_t until_ns;               /* of the handshake */
	uint32_t key_count;              /* new keys that it has asked for since its last byte */
	TAILQ_ENTRY(tls_stream) in_handshakes;
};

/* ------------------------------------------------------------------------------ tls.c */

/**
 * Read certificate, key and authority, if the options name them.
 * @param ret_error  a sentence that says what to do
 */
int tls_open(struct queue_gateway *g, const struct queue_gateway_options *o, char *ret_error);
/** After the last client. */
void tls_close(struct queue_gateway *g);

/* ------------------------------------------------------------------------------ tls_stream.c */

/** For the streams of tls_begin(). @return NULL: there is no memory */
BIO_METHOD *tls_make_bio(void);
/** A client has come. @return false: there is no memory */
bool tls_begin(struct client *c);
/** Say goodbye if there is somebody to say it to, and forget all. The bufferevent is to be freed
 * after this. */
void tls_end(struct client *c);
/** Shake hands, then open what there is: as far as it goes. It may set has_eof or has_failed. */
void tls_pull(struct client *c);
/** Seal what there is, as far as it goes. It may set has_failed. */
void tls_push(struct client *c);
/** @return bytes that tls_pull() has not given yet, or the client's requests have not taken */
size_t tls_unread(const struct client *c);
/** Once a turn: drop whoever has not finished the handshake in time, and go on with those that had
 * to wait. */
void tls_tend(struct queue_gateway *g);

#endif
