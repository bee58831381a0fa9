/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/queue/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM_BYTES 4096

static int
fail(char *ret_error, const char *what)
{
	snprintf(ret_error, LOAD_ERROR_BYTES, "%s: %s", what, strerror(errno));
	return -1;
}

/* Room for so many more bytes; a load generator without memory ends. */
static void
make_room(char **buffer, size_t *room, size_t used, size_t more)
{
	if (used + more <= *room)
		return;
	while (*room < used + more)
		*room = *room == 0 ? ROOM_BYTES : 2 * *room;
	*buffer = realloc(*buffer, *room);
	if (*buffer == NULL)
		abort();
}

int
client_open(struct client *c, const struct sockaddr_in *to, char ret_error[LOAD_ERROR_BYTES])
{
	char where[INET_ADDRSTRLEN] = "", what[64];
	int on = 1;

	memset(c, 0, sizeof(*c));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return fail(ret_error, "socket");
	inet_ntop(AF_INET, &to->sin_addr, where, sizeof(where));
	snprintf(what, sizeof(what), "cannot connect to %s:%u", where, ntohs(to->sin_port));
	if (connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) != 0 ||
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
		close(c->fd);
		c->fd = -1;
		return fail(ret_error, what);
	}
	return 0;
}

void
client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	free(c->in);
	c->fd = -1;
	c->out = c->in = NULL;
}

void
client_ask(struct client *c, enum client_op op, uint64_t asked_ns, const char *body,
	uint32_t body_bytes, const char *format, ...)
{
	uint32_t at = c->asked_count++ % CLIENT_DEPTH;
	va_list arguments;

	c->asked[at].op = op;
	c->asked[at].asked_ns = asked_ns;
	make_room(&c->out, &c->out_room, c->out_bytes, 512 + (size_t)body_bytes);
	va_start(arguments, format);
	c->out_bytes += (size_t)vsnprintf(c->out + c->out_bytes, 500, format, arguments);
	va_end(arguments);
	memcpy(c->out + c->out_bytes, "\r\n", 2);
	c->out_bytes += 2;
	if (body == NULL)
		return;
	memcpy(c->out + c->out_bytes, body, body_bytes);
	memcpy(c->out + c->out_bytes + body_bytes, "\r\n", 2);
	c->out_bytes += body_bytes + 2;
}

int
client_send(struct client *c, char ret_error[LOAD_ERROR_BYTES])
{
	while (c->out_sent < c->out_bytes) {
		ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_bytes - c->out_sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return 1;
		if (sent < 0)
			return fail(ret_error, "send");
		c->out_sent += (size_t)sent;
	}
	c->out_sent = c->out_bytes = 0;
	return 0;
}

int
client_receive(struct client *c, char ret_error[LOAD_ERROR_BYTES])
{
	ssize_t got;

	if (c->in_read > 0)
		memmove(c->in, c->in + c->in_read, c->in_bytes - c->in_read);
	c->in_bytes -= c->in_read;
	c->in_read = 0;
	make_room(&c->in, &c->in_room, c->in_bytes, ROOM_BYTES);
	got = recv(c->fd, c->in + c->in_bytes, c->in_room - c->in_bytes, MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN ? 0 : fail(ret_error, "recv");
	if (got == 0) {
		snprintf(ret_error, LOAD_ERROR_BYTES, "the server has closed a connection");
		return -1;
	}
	c->in_bytes += (size_t)got;
	return 0;
}

/* The line at hand. @return its bytes with the end of line, 0: it is not whole yet */
static size_t
line_bytes(const struct client *c)
{
	const char *at = c->in + c->in_read, *end = NULL;

	if (c->in_read < c->in_bytes)
		end = memchr(at, '\n', c->in_bytes - c->in_read);
	return end == NULL ? 0 : (size_t)(end - at) + 1;
}

/* @return 1: it is that answer, -1: it is not */
static int
parse(enum client_op op, const char *line, struct client_answer *a, uint64_t *ret_body_bytes)
{
	static const char *const formats[] = {
		[OP_USE] = "USING ",
		[OP_WATCH] = "WATCHING ",
		[OP_IGNORE] = "WATCHING ",
		[OP_PUT] = "INSERTED ",
		[OP_RESERVE] = "RESERVED ",
		[OP_DELETE] = "DELETED",
	};
	char *end;

	*ret_body_bytes = 0;
	if (strncmp(line, formats[op], strlen(formats[op])) != 0)
		return -1;
	if (op != OP_PUT && op != OP_RESERVE)
		return 1;
	a->id = strtoull(line + strlen(formats[op]), &end, 10);
	if (op == OP_RESERVE)
		*ret_body_bytes = strtoull(end, NULL, 10) + 2;
	return 1;
}

int
client_next(struct client *c, struct client_answer *ret_answer, char ret_error[LOAD_ERROR_BYTES])
{
	size_t line = line_bytes(c);
	const char *text = c->in + c->in_read;
	uint32_t at = c->answered_count % CLIENT_DEPTH;
	uint64_t body_bytes;

	if (line == 0)
		return 0;
	*ret_answer = (struct client_answer){
		.op = c->asked[at].op,
		.asked_ns = c->asked[at].asked_ns,
	};
	if (client_flying(c) == 0 || parse(c->asked[at].op, text, ret_answer, &body_bytes) < 0) {
		snprintf(ret_error, LOAD_ERROR_BYTES, "the server says %.*s", (int)line - 1, text);
		return -1;
	}
	if (c->in_bytes - c->in_read < line + body_bytes)
		return 0;
	ret_answer->body = text + line;
	c->in_read += line + body_bytes;
	c->answered_count++;
	return 1;
}
