/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcdserverpb.KV/Put: a request of HTTP/2 whose body is one gRPC message (a byte 0, the length in
 * 4 bytes, big-endian, and protobuf's PutRequest: field 1 the key, field 2 the value), and whose
 * answer is good if the trailer grpc-status is 0.
 */
#include "bench/peers/http2.h"

#include "bench/peers/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY            "key"
#define IN_BYTES       (64u << 10)
#define PREFIX_BYTES   5
#define FIELD_OF_BYTES 2 /* protobuf: a length and so many bytes */

/* One put that has no answer yet. */
struct call {
	void *cookie;
	uint32_t sent; /* of the message */
	bool is_good;
};

/* ------------------------------------------------------------------------------ the message */

static uint8_t *
write_field(uint8_t *to, uint32_t number, const void *bytes, uint32_t length)
{
	*to++ = (uint8_t)(number << 3 | FIELD_OF_BYTES);
	for (uint32_t rest = length; rest > 0 || rest == length; rest >>= 7) {
		*to++ = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
		if (rest <= 0x7f)
			break;
	}
	memcpy(to, bytes, length);
	return to + length;
}

void
http2_message_set(struct http2_message *m, const void *value, uint32_t bytes)
{
	uint8_t *end = write_field(m->bytes + PREFIX_BYTES, 1, KEY, sizeof(KEY) - 1);
	uint32_t length;

	end = write_field(end, 2, value, bytes);
	m->length = (uint32_t)(end - m->bytes);
	length = m->length - PREFIX_BYTES;
	m->bytes[0] = 0; /* not compressed */
	for (uint32_t i = 0; i < 4; i++)
		m->bytes[1 + i] = (uint8_t)(length >> (24 - 8 * i));
}

/* ----------------------------------------------------------------------- libnghttp2's questions */

static ssize_t
read_message(nghttp2_session *session, int32_t stream, uint8_t *to, size_t capacity,
	uint32_t *flags, nghttp2_data_source *source, void *context)
{
	const struct http2 *h = context;
	struct call *call = source->ptr;
	uint32_t rest = h->message->length - call->sent;
	uint32_t count = rest < capacity ? rest : (uint32_t)capacity;

	(void)session, (void)stream;
	memcpy(to, h->message->bytes + call->sent, count);
	call->sent += count;
	if (call->sent == h->message->length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return count;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags, void *context)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags, (void)context;
	if (call != NULL && name_bytes == 11 && memcmp(name, "grpc-status", 11) == 0)
		call->is_good = value_bytes == 1 && value[0] == '0';
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);
	struct http2 *h = context;

	if (call != NULL)
		answers_push(h->answers, call->cookie, call->is_good && error == NGHTTP2_NO_ERROR);
	free(call);
	return 0;
}

/* ------------------------------------------------------------------------------ a connection */

int
http2_open(struct http2 *h, uint16_t port, const struct http2_message *message,
	struct answers *answers)
{
	nghttp2_session_callbacks *callbacks;
	int rc;

	h->session = NULL;
	h->out_from = h->out_until = 0;
	h->message = message;
	h->answers = answers;
	snprintf(h->authority, sizeof(h->authority), "127.0.0.1:%u", port);
	h->fd = peer_dial(port);
	if (h->fd < 0)
		return h->fd;
	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	rc = nghttp2_session_client_new(&h->session, callbacks, h);
	nghttp2_session_callbacks_del(callbacks);
	if (rc == 0)
		rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, NULL, 0);
	return rc == 0 ? 0 : -ENOMEM;
}

void
http2_close(struct http2 *h)
{
	nghttp2_session_del(h->session);
	if (h->fd >= 0)
		(void)close(h->fd); /* all was answered */
	h->session = NULL;
	h->fd = -1;
}

#define HEADER(name, value)                                                                        \
	{                                                                                          \
		(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,        \
			NGHTTP2_NV_FLAG_NONE                                                       \
	}

int
http2_put(struct http2 *h, void *cookie)
{
	struct call *call = calloc(1, sizeof(*call));
	nghttp2_data_provider body = { .source.ptr = call, .read_callback = read_message };
	nghttp2_nv headers[] = {
		HEADER(":method", "POST"),
		HEADER(":scheme", "http"),
		HEADER(":path", "/etcdserverpb.KV/Put"),
		{ (uint8_t *)":authority", (uint8_t *)h->authority, 10, strlen(h->authority),
			NGHTTP2_NV_FLAG_NONE },
		HEADER("content-type", "application/grpc"),
		HEADER("te", "trailers"),
	};

	if (call == NULL)
		return -ENOMEM;
	call->cookie = cookie;
	if (nghttp2_submit_request(h->session, NULL, headers, sizeof(headers) / sizeof(headers[0]),
		    &body, call) < 0) {
		free(call);
		return -ENOMEM;
	}
	return 0;
}

/* Move what libnghttp2 has to send into out[], while there is room for its largest frame. */
static void
fill(struct http2 *h)
{
	if (h->out_from == h->out_until)
		h->out_from = h->out_until = 0;
	while (HTTP2_OUT_BYTES - h->out_until >= IN_BYTES) {
		const uint8_t *bytes;
		ssize_t length = nghttp2_session_mem_send(h->session, &bytes);

		if (length <= 0)
			return;
		memcpy(h->out + h->out_until, bytes, (size_t)length);
		h->out_until += (uint32_t)length;
	}
}

int
http2_flush(struct http2 *h)
{
	for (;;) {
		ssize_t sent;

		fill(h);
		if (h->out_from == h->out_until)
			return 0;
		sent = send(h->fd, h->out + h->out_from, h->out_until - h->out_from, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		h->out_from += (uint32_t)sent;
	}
}

int
http2_receive(struct http2 *h)
{
	static uint8_t in[IN_BYTES];
	ssize_t length;

	while ((length = recv(h->fd, in, sizeof(in), 0)) > 0) {
		if (nghttp2_session_mem_recv(h->session, in, (size_t)length) != length)
			return -EPROTO;
		if (length < (ssize_t)sizeof(in))
			return 0;
	}
	return length < 0 && errno == EAGAIN ? 0 : length == 0 ? -ECONNRESET : -errno;
}
