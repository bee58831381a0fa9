/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics over HTTP, for Prometheus: one thread, a few connections, one request each.
 *
 *   accept -> read until the empty line -> answer -> write -> wait until the other side closes -> close
 *
 * GET /metrics is answered with metrics_text(), GET / with where to look. Whoever is slow, says
 * nothing or says nonsense costs a place and a buffer for DEADLINE_NS. When all places are taken
 * the oldest gives way to whoever comes: a scraper is never kept out by those who hang.
 *
 * The side that closes first may destroy what the other has not read yet, so after the answer only
 * our direction is closed, and what still comes is thrown away until the other side closes.
 */
#include "engine/runtime/node_private.h"

#include "base/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_COUNT_MAX  32
#define REQUEST_BYTES_MAX 4096
#define HEADER_BYTES_MAX  512
#define DEADLINE_NS       (5 * 1000000000ull)
#define LOOK_MS           100 /* whether the node stops */

struct http_client {
	int fd; /* -1: free */
	uint64_t since_ns;
	char request[REQUEST_BYTES_MAX + 1];
	uint32_t request_bytes;
	char *answer; /* NULL: the request is not whole yet */
	size_t answer_bytes;
	size_t sent;
};

struct metrics_server {
	struct decree_node *node;
	int listen_fd;
	pthread_t thread;
	bool has_thread;
	struct http_client clients[CLIENT_COUNT_MAX];
};

/* ------------------------------------------------------------------------------ answers */

static void
answer(struct http_client *c, const char *status, const char *more, const char *body,
	size_t body_bytes, bool is_head)
{
	size_t capacity = HEADER_BYTES_MAX + body_bytes;
	int bytes;

	c->answer = malloc(capacity);
	if (c->answer == NULL)
		return; /* the deadline ends it */
	bytes = snprintf(c->answer, capacity,
		"HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
		"Content-Length: %zu\r\nCache-Control: no-store\r\nConnection: close\r\n%s\r\n",
		status, body_bytes, more);
	decree_assert(bytes > 0 && bytes < HEADER_BYTES_MAX);
	if (!is_head)
		memcpy(c->answer + bytes, body, body_bytes);
	c->answer_bytes = (size_t)bytes + (is_head ? 0 : body_bytes);
}

static void
refuse(struct http_client *c, const char *status, const char *more)
{
	char body[128];
	int bytes = snprintf(body, sizeof(body), "%s\nThe metrics are at /metrics.\n", status);

	answer(c, status, more, body, (size_t)bytes, false);
}

static void
answer_metrics(struct metrics_server *s, struct http_client *c, bool is_head)
{
	size_t bytes;
	char *text = metrics_text(s->node, &bytes);

	if (text == NULL) {
		refuse(c, "500 Internal Server Error", "");
		return;
	}
	answer(c, "200 OK", "", text, bytes, is_head);
	free(text);
}

/* "GET /metrics HTTP/1.1", cut in place. @return false: it is none */
static bool
cut_request_line(char *line, char **ret_method, char **ret_target)
{
	char *save, *version;

	line[strcspn(line, "\r\n")] = '\0';
	*ret_method = strtok_r(line, " ", &save);
	*ret_target = strtok_r(NULL, " ", &save);
	version = strtok_r(NULL, " ", &save);
	return version != NULL && strtok_r(NULL, " ", &save) == NULL && **ret_target == '/' &&
	       (strcmp(version, "HTTP/1.1") == 0 || strcmp(version, "HTTP/1.0") == 0);
}

/* A request is whole at its first empty line; the little that we answer needs no more of it than
 * the first one. */
static bool
is_whole(const struct http_client *c)
{
	return strstr(c->request, "\r\n\r\n") != NULL || strstr(c->request, "\n\n") != NULL;
}

static void
serve(struct metrics_server *s, struct http_client *c)
{
	char *method, *target;
	bool is_head;

	if (memchr(c->request, '\0', c->request_bytes) != NULL ||
		!cut_request_line(c->request, &method, &target)) {
		refuse(c, "400 Bad Request", "");
		return;
	}
	is_head = strcmp(method, "HEAD") == 0;
	if (!is_head && strcmp(method, "GET") != 0) {
		refuse(c, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
		return;
	}
	target[strcspn(target, "?")] = '\0';
	if (strcmp(target, "/metrics") == 0)
		answer_metrics(s, c, is_head);
	else
		refuse(c, "404 Not Found", "");
}

/* ------------------------------------------------------------------------------ connections */

static void
drop(struct http_client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	free(c->answer);
	c->fd = -1;
	c->answer = NULL;
}

static void
on_readable(struct metrics_server *s, struct http_client *c)
{
	char waste[4096];
	bool is_answered = c->answer != NULL;
	size_t room = is_answered ? sizeof(waste) : REQUEST_BYTES_MAX - c->request_bytes;
	ssize_t bytes = read(c->fd, is_answered ? waste : c->request + c->request_bytes, room);

	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes <= 0) {
		drop(c);
		return;
	}
	if (is_answered)
		return;
	c->request_bytes += (uint32_t)bytes;
	c->request[c->request_bytes] = '\0';
	if (is_whole(c) || memchr(c->request, '\0', c->request_bytes) != NULL)
		serve(s, c);
	else if (c->request_bytes == REQUEST_BYTES_MAX)
		refuse(c, "431 Request Header Fields Too Large", "");
}

static void
on_writable(struct http_client *c)
{
	ssize_t bytes = send(c->fd, c->answer + c->sent, c->answer_bytes - c->sent, MSG_NOSIGNAL);

	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes < 0) {
		drop(c);
		return;
	}
	c->sent += (size_t)bytes;
	if (c->sent == c->answer_bytes)
		(void)shutdown(c->fd, SHUT_WR); /* if it has gone, reading tells */
}

static struct http_client *
place_for_one(struct metrics_server *s)
{
	struct http_client *oldest = &s->clients[0];

	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++) {
		if (s->clients[i].fd < 0)
			return &s->clients[i];
		if (s->clients[i].since_ns < oldest->since_ns)
			oldest = &s->clients[i];
	}
	drop(oldest);
	return oldest;
}

static void
take_one(struct metrics_server *s, uint64_t now_ns)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct http_client *c;

	if (fd < 0) {
		/* Without a descriptor to give, poll() would say at once that somebody waits. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			(void)poll(NULL, 0, LOOK_MS); /* nothing to learn from it */
		return;                               /* later, unless it has gone again */
	}
	c = place_for_one(s);
	c->fd = fd;
	c->since_ns = now_ns;
	c->request_bytes = 0;
	c->sent = 0;
}

static void
drop_late(struct metrics_server *s, uint64_t now_ns)
{
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
		if (s->clients[i].fd >= 0 && now_ns - s->clients[i].since_ns > DEADLINE_NS)
			drop(&s->clients[i]);
}

static void
turn(struct metrics_server *s)
{
	struct pollfd fds[CLIENT_COUNT_MAX + 1] = { { .fd = s->listen_fd, .events = POLLIN } };
	uint64_t now_ns;

	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++) {
		const struct http_client *c = &s->clients[i];

		fds[i + 1].fd = c->fd; /* a negative one is passed over */
		fds[i + 1].events =
			c->answer != NULL && c->sent < c->answer_bytes ? POLLOUT : POLLIN;
	}
	if (poll(fds, CLIENT_COUNT_MAX + 1, LOOK_MS) < 0)
		return;
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++) {
		struct http_client *c = &s->clients[i];

		if ((fds[i + 1].revents & POLLOUT) != 0)
			on_writable(c);
		else if (fds[i + 1].revents != 0)
			on_readable(s, c);
	}
	now_ns = node_now_ns();
	drop_late(s, now_ns);
	if (fds[0].revents != 0)
		take_one(s, now_ns);
}

static void *
server_main(void *context)
{
	struct metrics_server *s = context;

	prctl(PR_SET_NAME, "decree-metrics");
	while (!atomic_load_explicit(&s->node->stop, memory_order_relaxed))
		turn(s);
	return NULL;
}

/* ------------------------------------------------------------------------------ start and stop */

/* "127.0.0.1:9464" or "[::1]:9464". @return 0, or -errno */
static int
resolve(const char *text, struct addrinfo **ret)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	char host[CONFIG_TEXT_BYTES];
	char *port;

	snprintf(host, sizeof(host), "%s", text);
	port = strrchr(host, ':');
	*port++ = '\0'; /* there is one: the configuration was checked */
	if (host[0] == '[' && port[-2] == ']') {
		port[-2] = '\0';
		return getaddrinfo(host + 1, port, &hints, ret) == 0 ? 0 : -EINVAL;
	}
	return getaddrinfo(host, port, &hints, ret) == 0 ? 0 : -EINVAL;
}

static int
listen_on(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, rc;

	if (fd < 0)
		return -errno;
	(void)setsockopt(
		fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* a restart waits else */
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, CLIENT_COUNT_MAX) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int
metrics_listen(const char *where)
{
	struct addrinfo *at;
	int rc = resolve(where, &at);

	if (rc != 0)
		return rc;
	rc = listen_on(at);
	freeaddrinfo(at);
	return rc;
}

static void
say_where(struct decree_node *node, int fd, const char *text)
{
	struct sockaddr_in6 at = { 0 }; /* its port is where an IPv4 address has it */
	socklen_t bytes = sizeof(at);

	(void)getsockname(fd, (struct sockaddr *)&at, &bytes); /* a socket that is bound has one */
	node_log(node, NOTE_METRICS, "metrics at http://%.*s:%u/metrics",
		(int)(strrchr(text, ':') - text), text, ntohs(at.sin6_port));
}

int
metrics_server_open(struct decree_node *node, char *ret_error)
{
	const char *where = node->config.metrics_listen;
	struct metrics_server *s;
	int rc;

	if (where[0] == '\0')
		return 0;
	rc = metrics_listen(where);
	if (rc < 0)
		return base_refuse(rc, ret_error, "[metrics] listen = %s: %s", where,
			rc == -EADDRINUSE ? "this port is in use: name another one, or end what "
					    "uses it ('ss -ltnp' shows that)"
			: rc == -EINVAL   ? "not an address of numbers, such as 127.0.0.1:9464"
					  : strerror(-rc));
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		close(rc);
		return base_refuse(-ENOMEM, ret_error, "out of memory");
	}
	s->node = node;
	s->listen_fd = rc;
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
		s->clients[i].fd = -1;
	node->metrics_server = s;
	say_where(node, rc, where);
	return 0;
}

int
metrics_server_start(struct decree_node *node)
{
	struct metrics_server *s = node->metrics_server;
	int rc;

	if (s == NULL)
		return 0;
	rc = control_thread_start(node, &s->thread, server_main, s);
	s->has_thread = rc == 0;
	return rc;
}

void
metrics_server_join(struct decree_node *node)
{
	struct metrics_server *s = node->metrics_server;

	if (s == NULL || !s->has_thread)
		return;
	pthread_join(s->thread, NULL);
	s->has_thread = false;
}

void
metrics_server_close(struct decree_node *node)
{
	struct metrics_server *s = node->metrics_server;

	if (s == NULL)
		return;
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
		drop(&s->clients[i]);
	close(s->listen_fd);
	free(s);
	node->metrics_server = NULL;
}
