/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that answers and does nothing: each put gets the next id, each reserve the next id and a
 * body of the size of the last put, each delete DELETED. It has no queue, no log and no timers; one
 * recv() and one send() for whatever has come on a connection. So a load of puts or cycles against
 * it shows what the sockets and the client of bench/queue allow on this machine, and no server of
 * one thread can do better there. Loads whose workers look at bodies (fan) mean nothing here.
 *
 *   ceiling PORT   on all addresses, until it is killed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT_COUNT      256
#define FD_COUNT         65536
#define INPUT_BYTES_MAX  (256u << 10)
#define OUTPUT_BYTES_MAX (1u << 20)
#define BODY_BYTES_MAX   65536u
#define REPLY_BYTES_MAX  (BODY_BYTES_MAX + 64)

struct connection {
	int fd;
	size_t skip;       /* bytes of a body that are still to come, with its end */
	size_t line_bytes; /* of a line whose end is still to come */
	char line[256];
	unsigned body_bytes; /* of the last put */
	uint64_t put_last, reserve_last;
};

static char input[INPUT_BYTES_MAX], output[OUTPUT_BYTES_MAX], body[BODY_BYTES_MAX];
static size_t output_bytes;

static void
fail(const char *what)
{
	fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
flush(const struct connection *c)
{
	for (size_t at = 0; at < output_bytes;) {
		ssize_t sent = send(c->fd, output + at, output_bytes - at, MSG_NOSIGNAL);

		if (sent < 0)
			break; /* it is gone, and recv() will say so */
		at += (size_t)sent;
	}
	output_bytes = 0;
}

static bool
begins(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

static void
answer(struct connection *c, const char *line)
{
	char *to = output + output_bytes;

	if (begins(line, "put ")) {
		c->body_bytes = (unsigned)strtoul(strrchr(line, ' '), NULL, 10);
		if (c->body_bytes > BODY_BYTES_MAX)
			exit(1);
		c->skip = c->body_bytes + 2u;
		output_bytes += (size_t)sprintf(to, "INSERTED %" PRIu64 "\r\n", ++c->put_last);
	} else if (begins(line, "reserve")) {
		output_bytes += (size_t)sprintf(
			to, "RESERVED %" PRIu64 " %u\r\n", ++c->reserve_last, c->body_bytes);
		memcpy(output + output_bytes, body, c->body_bytes);
		memcpy(output + output_bytes + c->body_bytes, "\r\n", 2);
		output_bytes += c->body_bytes + 2u;
	} else if (begins(line, "delete ")) {
		output_bytes += (size_t)sprintf(to, "DELETED\r\n");
	} else if (begins(line, "use ")) {
		output_bytes += (size_t)sprintf(to, "USING %s\r\n", line + 4);
	} else {
		output_bytes += (size_t)sprintf(to, "WATCHING 1\r\n");
	}
	if (output_bytes > OUTPUT_BYTES_MAX - REPLY_BYTES_MAX)
		flush(c);
}

/* @return bytes of the next line, with its end, or all there are */
static size_t
take_line(struct connection *c, const char *bytes, size_t count)
{
	const char *end = memchr(bytes, '\n', count);
	size_t part = end == NULL ? count : (size_t)(end - bytes) + 1;

	if (c->line_bytes + part >= sizeof(c->line))
		exit(1); /* our own client sends none */
	memcpy(c->line + c->line_bytes, bytes, part);
	c->line_bytes += part;
	if (end == NULL)
		return part;
	c->line[c->line_bytes - 2] = 0;
	c->line_bytes = 0;
	answer(c, c->line);
	return part;
}

/* @return false: it is gone */
static bool
serve(struct connection *c)
{
	ssize_t got = recv(c->fd, input, sizeof(input), 0);
	size_t part;

	if (got <= 0)
		return false;
	for (size_t at = 0; at < (size_t)got; at += part) {
		size_t left = (size_t)got - at;

		part = c->skip < left ? c->skip : left;
		c->skip -= part;
		if (part == 0)
			part = take_line(c, input + at, left);
	}
	flush(c);
	return true;
}

static int
listen_on(uint16_t port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(fd, 1024) != 0)
		fail("cannot listen");
	return fd;
}

static void
accept_one(int epoll_fd, int listen_fd, struct connection **connections)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0)
		return;
	if (fd >= FD_COUNT || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		fail("accept");
	connections[fd] = calloc(1, sizeof(struct connection));
	if (connections[fd] == NULL)
		abort();
	connections[fd]->fd = e.data.fd = fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
		fail("epoll");
}

int
main(int argc, char **argv)
{
	static struct connection *connections[FD_COUNT];
	struct epoll_event events[EVENT_COUNT], e = { .events = EPOLLIN };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 2 || atoi(argv[1]) <= 0 || atoi(argv[1]) > UINT16_MAX) {
		fprintf(stderr, "usage: ceiling PORT\n");
		return 2;
	}
	memset(body, 'x', sizeof(body));
	e.data.fd = listen_on((uint16_t)atoi(argv[1]));
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e.data.fd, &e) != 0)
		fail("epoll");
	for (;;) {
		int ready = epoll_wait(epoll_fd, events, EVENT_COUNT, -1);

		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;

			if (fd == e.data.fd) {
				accept_one(epoll_fd, fd, connections);
			} else if (!serve(connections[fd])) {
				close(fd);
				free(connections[fd]);
			}
		}
	}
}
