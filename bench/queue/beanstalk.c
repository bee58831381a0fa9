/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/queue/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM_BYTES 4096

enum word {
	WORD_USING,
	WORD_WATCHING,
	WORD_INSERTED,
	WORD_RESERVED,
	WORD_DELETED
};

static const char *const words[] = {
	[WORD_USING] = "USING ",
	[WORD_WATCHING] = "WATCHING ",
	[WORD_INSERTED] = "INSERTED ",
	[WORD_RESERVED] = "RESERVED ",
	[WORD_DELETED] = "DELETED",
};

struct beanstalk {
	struct {
		enum word word; /* that begins the answer */
		uint64_t asked_ns;
	} asked[CLIENT_DEPTH];

	char *out; /* [out_room], from out_sent to out_bytes not sent yet */
	size_t out_bytes, out_sent, out_room;
	char *in; /* [in_room], from in_read to in_bytes not looked at yet */
	size_t in_bytes, in_read, in_room;
};

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

/* @param body  of a put, else NULL */
static void __attribute__((format(printf, 6, 7))) ask(struct client *c, enum word word,
	uint64_t asked_ns, const char *body, uint32_t body_bytes, const char *format, ...)
{
	struct beanstalk *b = c->state;
	uint32_t at = c->asked_count++ % CLIENT_DEPTH;
	va_list arguments;

	b->asked[at].word = word;
	b->asked[at].asked_ns = asked_ns;
	make_room(&b->out, &b->out_room, b->out_bytes, 512 + (size_t)body_bytes);
	va_start(arguments, format);
	b->out_bytes += (size_t)vsnprintf(b->out + b->out_bytes, 500, format, arguments);
	va_end(arguments);
	memcpy(b->out + b->out_bytes, "\r\n", 2);
	b->out_bytes += 2;
	if (body == NULL)
		return;
	memcpy(b->out + b->out_bytes, body, body_bytes);
	memcpy(b->out + b->out_bytes + body_bytes, "\r\n", 2);
	b->out_bytes += body_bytes + 2;
}

static int
beanstalk_open(struct client *c, const struct sockaddr_in *to, const struct client_use *use,
	char *ret_error)
{
	char where[INET_ADDRSTRLEN] = "", what[64];
	int on = 1;

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
	c->state = calloc(1, sizeof(struct beanstalk));
	if (c->state == NULL)
		abort();
	ask(c, WORD_USING, 0, NULL, 0, "use %s", use->tube);
	ask(c, WORD_WATCHING, 0, NULL, 0, "watch %s", use->tube);
	ask(c, WORD_WATCHING, 0, NULL, 0, "ignore default");
	return 0;
}

static void
beanstalk_close(struct client *c)
{
	struct beanstalk *b = c->state;

	if (c->fd >= 0)
		close(c->fd);
	if (b != NULL) {
		free(b->out);
		free(b->in);
	}
	free(b);
	c->fd = -1;
	c->state = NULL;
}

static void
beanstalk_put(
	struct client *c, uint64_t asked_ns, const char *body, uint32_t body_bytes, uint32_t ttr_s)
{
	ask(c, WORD_INSERTED, asked_ns, body, body_bytes, "put 0 0 %u %u", ttr_s, body_bytes);
}

static void
beanstalk_reserve(struct client *c, uint64_t asked_ns)
{
	ask(c, WORD_RESERVED, asked_ns, NULL, 0, "reserve");
}

static void
beanstalk_remove(struct client *c, uint64_t asked_ns, uint64_t id)
{
	ask(c, WORD_DELETED, asked_ns, NULL, 0, "delete %" PRIu64, id);
}

static int
beanstalk_send(struct client *c, char *ret_error)
{
	struct beanstalk *b = c->state;

	while (b->out_sent < b->out_bytes) {
		ssize_t sent = send(c->fd, b->out + b->out_sent, b->out_bytes - b->out_sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return 1;
		if (sent < 0)
			return fail(ret_error, "send");
		b->out_sent += (size_t)sent;
	}
	b->out_sent = b->out_bytes = 0;
	return 0;
}

static int
beanstalk_receive(struct client *c, char *ret_error)
{
	struct beanstalk *b = c->state;
	ssize_t got;

	if (b->in_read > 0)
		memmove(b->in, b->in + b->in_read, b->in_bytes - b->in_read);
	b->in_bytes -= b->in_read;
	b->in_read = 0;
	make_room(&b->in, &b->in_room, b->in_bytes, ROOM_BYTES);
	got = recv(c->fd, b->in + b->in_bytes, b->in_room - b->in_bytes, MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN ? 0 : fail(ret_error, "recv");
	if (got == 0) {
		snprintf(ret_error, LOAD_ERROR_BYTES, "the server has closed a connection");
		return -1;
	}
	b->in_bytes += (size_t)got;
	return 0;
}

/* The line at hand. @return its bytes with the end of line, 0: it is not whole yet */
static size_t
line_bytes(const struct beanstalk *b)
{
	const char *at = b->in + b->in_read, *end = NULL;

	if (b->in_read < b->in_bytes)
		end = memchr(at, '\n', b->in_bytes - b->in_read);
	return end == NULL ? 0 : (size_t)(end - at) + 1;
}

/* @return whether it is that answer */
static bool
parse(enum word word, const char *line, struct client_answer *a, uint64_t *ret_body_bytes)
{
	static const enum client_op ops[] = {
		[WORD_INSERTED] = OP_PUT,
		[WORD_RESERVED] = OP_RESERVE,
		[WORD_DELETED] = OP_DELETE,
	};
	char *end;

	*ret_body_bytes = 0;
	if (strncmp(line, words[word], strlen(words[word])) != 0)
		return false;
	a->op = word < WORD_INSERTED ? OP_TUBE : ops[word];
	if (a->op != OP_PUT && a->op != OP_RESERVE)
		return true;
	a->id = strtoull(line + strlen(words[word]), &end, 10);
	if (a->op == OP_RESERVE)
		*ret_body_bytes = strtoull(end, NULL, 10) + 2;
	return true;
}

static int
beanstalk_next(struct client *c, struct client_answer *ret_answer, char *ret_error)
{
	struct beanstalk *b = c->state;
	size_t line = line_bytes(b);
	const char *text = b->in + b->in_read;
	uint32_t at = c->answered_count % CLIENT_DEPTH;
	uint64_t body_bytes;

	if (line == 0)
		return 0;
	*ret_answer = (struct client_answer){ .asked_ns = b->asked[at].asked_ns };
	if (client_flying(c) == 0 || !parse(b->asked[at].word, text, ret_answer, &body_bytes)) {
		snprintf(ret_error, LOAD_ERROR_BYTES, "the server says %.*s", (int)line - 1, text);
		return -1;
	}
	if (b->in_bytes - b->in_read < line + body_bytes)
		return 0;
	ret_answer->body = text + line;
	b->in_read += line + body_bytes;
	c->answered_count++;
	return 1;
}

const struct client_protocol client_beanstalk = {
	.open = beanstalk_open,
	.close = beanstalk_close,
	.put = beanstalk_put,
	.reserve = beanstalk_reserve,
	.remove = beanstalk_remove,
	.send = beanstalk_send,
	.receive = beanstalk_receive,
	.next = beanstalk_next,
};
