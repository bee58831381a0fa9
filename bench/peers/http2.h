/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file http2.h
 * A connection to etcd that puts values by gRPC: HTTP/2 by libnghttp2, a message of two fields.
 *
 * Threads:  one.
 * Memory:   all in the struct, but for what libnghttp2 takes.
 */
#ifndef BENCH_PEERS_HTTP2_H
#define BENCH_PEERS_HTTP2_H

#include "bench/peers/answers.h"

#include <nghttp2/nghttp2.h>

#define HTTP2_OUT_BYTES (256u << 10)

/* What is put, framed as gRPC wants it; all calls of a load send the same. */
struct http2_message {
	uint32_t length;
	uint8_t bytes[PLAN_BYTES_MAX + 64];
};

/** "key" with this value. */
void http2_message_set(struct http2_message *m, const void *value, uint32_t bytes);

struct http2 {
	int fd;
	nghttp2_session *session;
	const struct http2_message *message;
	struct answers *answers;
	char authority[32];
	uint32_t out_from, out_until; /* of out[]: not written yet */
	uint8_t out[HTTP2_OUT_BYTES];
};

/** @retval 0  @return -errno */
int http2_open(struct http2 *h, uint16_t port, const struct http2_message *message,
	struct answers *answers);
void http2_close(struct http2 *h);

/** One put; it leaves with the next http2_flush(). 0 or -ENOMEM */
int http2_put(struct http2 *h, void *cookie);

/** Write what waits, as far as the socket takes it. @retval 0  @return -errno: it is broken */
int http2_flush(struct http2 *h);

/** Read what has come; answers go where they were asked to. @retval 0  @return -errno: it is broken */
int http2_receive(struct http2 *h);

#endif
