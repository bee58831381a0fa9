/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and new clients. When there are as many as there may be, or the process has no more
 * descriptors all the same, accepting pauses: the kernel's queue holds whoever comes meanwhile. One
 * line in the log for each such time.
 */
#include "queue/serve/private.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG         1024
#define ACCEPT_PAUSE_NS 100000000ull

static int
complain(const char *address, int rc, const char *why, char *ret_error)
{
	const char *remedy = "";

	if (rc == -EADDRINUSE && strncmp(address, "unix:", 5) == 0)
		remedy = ": name another path, or end what uses it ('ss -lxp' shows that)";
	else if (rc == -EADDRINUSE)
		remedy = ": name another port, or end what uses it ('ss -ltnp' shows that)";
	else if (rc == -EADDRNOTAVAIL)
		remedy = ": name an address of this host ('ip address' lists them)";
	snprintf(ret_error, DECREE_ERROR_BYTES, "queue: cannot listen on %s: %s%s", address, why,
		remedy);
	return rc;
}

static bool
has_place(const struct queue_gateway *g)
{
	return CLIENT_COUNT_MAX - g->free_count < g->client_count_max;
}

static void
pause_accepting(struct queue_gateway *g, const char *why)
{
	if (!g->has_complained)
		gateway_log(g, DECREE_LOG_WARNING,
			"queue: no new clients for now: %s (%u are connected)", why,
			CLIENT_COUNT_MAX - g->free_count);
	g->has_complained = true;
	g->accept_at_ns = g->now_ns + ACCEPT_PAUSE_NS;
	for (uint32_t i = 0; i < g->listen_count; i++)
		evconnlistener_disable(g->listens[i].listener);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int bytes,
	void *context)
{
	const struct listening *at = context;
	int one = 1;

	(void)listener;
	(void)bytes;
	if (address->sa_family != AF_UNIX) {
		/* Best effort: without them it is slower, or a dead client stays until it is spoken
		 * to. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	}
	if (!client_accept(at->g, fd, at->is_tls))
		return;
	if (has_place(at->g))
		at->g->has_complained = false;
	else /* before libevent accepts the next one */
		pause_accepting(at->g, at->g->client_count_max == CLIENT_COUNT_MAX
					       ? "there are too many"
					       : "the limit of open files allows no more");
}

static void
on_accept_error(struct evconnlistener *listener, void *context)
{
	const struct listening *at = context;

	(void)listener;
	pause_accepting(at->g, strerror(errno));
}

void
listen_start(struct queue_gateway *g)
{
	g->accept_at_ns = 0;
	for (uint32_t i = 0; i < g->listen_count; i++)
		evconnlistener_enable(g->listens[i].listener);
}

void
listen_tend(struct queue_gateway *g)
{
	if (g->accept_at_ns != 0 && g->now_ns >= g->accept_at_ns && has_place(g))
		listen_start(g);
}

/* The lowest number that is free is as good as a count: whatever is open has a lower one. */
void
listen_measure(struct queue_gateway *g)
{
	int lowest = fcntl(g->wake_fd, F_DUPFD_CLOEXEC, 0);
	struct rlimit limit;
	rlim_t left, kept;

	g->client_count_max = CLIENT_COUNT_MAX;
	if (lowest < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return; /* accept() fails when there are too many */
	close(lowest);
	left = limit.rlim_cur > (rlim_t)lowest ? limit.rlim_cur - (rlim_t)lowest : 0;
	kept = left / 2 < DESCRIPTORS_KEPT ? left / 2 : DESCRIPTORS_KEPT;
	if (left - kept < g->client_count_max)
		g->client_count_max = (uint32_t)(left - kept);
}

void
listen_close(struct queue_gateway *g)
{
	for (uint32_t i = 0; i < g->listen_count; i++) {
		evconnlistener_free(g->listens[i].listener);
		if (g->listens[i].path[0] != 0)
			(void)unlink(g->listens[i].path); /* somebody else may have removed it */
	}
	g->listen_count = 0;
}

/* ------------------------------------------------------------------------------ addresses */

static bool
is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	if (sa->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* Where a socket listens, as it is and not as somebody has written it: port 0 has become one. */
static void
look(struct listening *at, int fd)
{
	struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
	const struct sockaddr_un *un = (const struct sockaddr_un *)&bound;
	const char *tls = at->is_tls ? "tls:" : "";
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE] = "?", port[8] = "?";
	socklen_t bytes = sizeof(bound);

	(void)getsockname(fd, (struct sockaddr *)&bound, &bytes); /* it is a socket */
	if (bound.ss_family == AF_UNIX) {
		bool is_abstract = un->sun_path[0] == 0;

		(void)snprintf(at->name, sizeof(at->name), "%sunix:%s%s", tls,
			is_abstract ? "@" : "", &un->sun_path[is_abstract]);
		return;
	}
	(void)getnameinfo((struct sockaddr *)&bound, bytes, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV);
	(void)snprintf(at->name, sizeof(at->name),
		bound.ss_family == AF_INET6 ? "%s[%s]:%s" : "%s%s:%s", tls, host, port);
	at->port = (uint16_t)strtoul(port, NULL, 10);
	at->is_remote = !is_loopback((struct sockaddr *)&bound);
}

/* The next place gets a socket that listens; from here on that is ours, whatever comes of it. */
static int
attach(struct queue_gateway *g, const char *address, int fd, char *ret_error)
{
	struct listening *at = &g->listens[g->listen_count];

	look(at, fd);
	at->g = g;
	at->listener = evconnlistener_new(g->base, on_accept, at,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	if (at->listener == NULL) {
		close(fd);
		return complain(address, -ENOMEM, "out of memory", ret_error);
	}
	evconnlistener_set_error_cb(at->listener, on_accept_error);
	g->listen_count++;
	return 0;
}

static int
listen_at(struct queue_gateway *g, const char *address, const struct sockaddr *sa, socklen_t bytes,
	char *ret_error)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return complain(address, -errno, strerror(errno), ret_error);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, sa, bytes) != 0 || listen(fd, BACKLOG) != 0) {
		int rc = -errno;

		close(fd);
		return complain(address, rc, strerror(-rc), ret_error);
	}
	return attach(g, address, fd, ret_error);
}

/* Nobody answers at what a process that was killed has left behind. A queue of clients that is full
 * is an answer, too. */
static bool
is_stale(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool is_refused = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 &&
			  errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return is_refused;
}

static int
open_unix(struct queue_gateway *g, const char *address, const char *path, char *ret_error)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	uint32_t at = g->listen_count;
	struct stat status;
	int rc;

	if (path[0] == 0 || strlen(path) >= sizeof(un.sun_path))
		return complain(address, -EINVAL, "the path is empty or too long", ret_error);
	strcpy(un.sun_path, path);
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && is_stale(&un))
		(void)unlink(path); /* if that fails, so does bind() */
	rc = listen_at(g, address, (struct sockaddr *)&un, sizeof(un), ret_error);
	if (rc == 0)
		strcpy(g->listens[at].path, path);
	return rc;
}

/* "ADDR:PORT" or "[V6]:PORT", cut in two. */
static bool
split(const char *address, char *ret_host, size_t capacity, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t bytes = colon == NULL ? 0 : (size_t)(colon - address);

	if (bytes == 0 || bytes >= capacity || colon[1] == 0)
		return false;
	if (address[0] == '[') {
		if (bytes < 3 || address[bytes - 1] != ']')
			return false;
		address++;
		bytes -= 2;
	} else if (memchr(address, ':', bytes) != NULL) {
		return false; /* would be ambiguous */
	}
	memcpy(ret_host, address, bytes);
	ret_host[bytes] = 0;
	*ret_port = colon + 1;
	return true;
}

static int
open_inet(struct queue_gateway *g, const char *address, const char *where, char *ret_error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	const char *port;
	char host[256];
	int rc;

	if (!split(where, host, sizeof(host), &port))
		return complain(address, -EINVAL,
			"write ADDRESS:PORT, [ADDRESS]:PORT for IPv6, tls: before either, or "
			"unix:PATH",
			ret_error);
	rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0) {
		(void)complain(address, -EADDRNOTAVAIL, gai_strerror(rc), ret_error);
		return -EINVAL;
	}
	rc = listen_at(g, address, found->ai_addr, found->ai_addrlen, ret_error);
	freeaddrinfo(found);
	return rc;
}

/* A place for one more. */
static int
begin(struct queue_gateway *g, const char *address, bool is_tls, char *ret_error)
{
	if (g->listen_count == LISTEN_COUNT_MAX)
		return complain(address, -EINVAL, "16 addresses are enough", ret_error);
	if (is_tls && g->tls == NULL)
		return complain(address, -EINVAL,
			"TLS needs a certificate and its key: set [queue] tls_cert and tls_key",
			ret_error);
	g->listens[g->listen_count] = (struct listening){ .is_tls = is_tls };
	return 0;
}

int
listen_open(struct queue_gateway *g, const char *address, char *ret_error)
{
	bool is_tls = strncmp(address, "tls:", 4) == 0;
	int rc = begin(g, address, is_tls, ret_error);

	if (rc != 0)
		return rc;
	if (strncmp(address, "unix:", 5) == 0)
		return open_unix(g, address, address + 5, ret_error);
	return open_inet(g, address, address + (is_tls ? 4 : 0), ret_error);
}

static bool
does_listen(int fd)
{
	int type = 0, listens = 0;
	socklen_t bytes = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && listens != 0;
}

int
listen_take(struct queue_gateway *g, const struct queue_socket *socket, char *ret_error)
{
	char address[32];
	int rc;

	(void)snprintf(address, sizeof(address), "descriptor %d", socket->fd);
	rc = begin(g, address, socket->is_tls, ret_error);
	if (rc != 0)
		return rc;
	if (!does_listen(socket->fd))
		return complain(address, -EINVAL,
			"it is no stream socket that listens: see ListenStream= in "
			"systemd.socket(5)",
			ret_error);
	if (evutil_make_socket_nonblocking(socket->fd) != 0)
		return complain(address, -errno, strerror(errno), ret_error);
	return attach(g, address, socket->fd, ret_error);
}

void
listen_warn(struct queue_gateway *g)
{
	uint32_t tls_count = 0;

	for (uint32_t i = 0; i < g->listen_count; i++) {
		const struct listening *at = &g->listens[i];

		tls_count += at->is_tls;
		if (at->is_remote && !at->is_tls)
			gateway_log(g, DECREE_LOG_WARNING,
				"queue: whoever reaches port %u of this host may do everything, "
				"and what is said there is not encrypted: see TLS in "
				"docs/operating.md",
				at->port);
	}
	if (g->tls != NULL && tls_count == 0)
		gateway_log(g, DECREE_LOG_WARNING,
			"queue: there is a tls_cert, but no listen = tls:ADDRESS:PORT: nothing is "
			"encrypted");
}
