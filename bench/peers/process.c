/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS         5000000
#define ANSWER_BYTES_MAX (1u << 20)

/* ------------------------------------------------------------------------- a process that loads */

static void
carry_out(const struct peer_client *client, struct load *l, uint32_t connection_count)
{
	uint32_t in_flight = l->board->load.in_flight;

	if (connection_count > in_flight)
		connection_count = in_flight;
	if (client->connect != NULL && client->connect(l->target.context, connection_count) != 0)
		load_die(l->node, "no connection");
	load_run(&l, 1);
}

void
peer_client_serve(const struct peer_client *client, struct board *board, uint32_t index,
	uint32_t connection_count)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	static struct load l;
	uint32_t done = 0;

	l = (struct load){ .board = board,
		.node = &board->nodes[index],
		.target = client->target,
		.group_count = 1 };
	while (!atomic_load(&board->is_over)) {
		/* Acquire: pairs with the release behind the order's text. */
		uint32_t order = atomic_load_explicit(&board->order, memory_order_acquire);

		if (atomic_load(&board->is_electing))
			atomic_store(&l.node->leads,
				client->is_ready == NULL || client->is_ready(l.target.context));
		if (order != done) {
			if (board->owners[0] == index)
				carry_out(client, &l, connection_count);
			done = order;
			/* Release: what was measured is there before its number. */
			atomic_store_explicit(&l.node->order, done, memory_order_release);
		}
		if (client->idle != NULL)
			client->idle(l.target.context);
		else
			(void)nanosleep(&pause, NULL); /* woken early is as good */
	}
}

/* ------------------------------------------------------------------------------ programs */

void
peer_exec(const char *log_path, const char *const *argv)
{
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (log >= 0 && null >= 0 && dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2)
		(void)execv(argv[0], (char *const *)argv); /* which changes none of them */
	perror(argv[0]);
	_exit(EXIT_FAILURE);
}

bool
peer_find(const char *program, char *ret_path, size_t capacity)
{
	const char *at = getenv("PATH");

	while (at != NULL && *at != '\0') {
		size_t length = strcspn(at, ":");

		if (snprintf(ret_path, capacity, "%.*s/%s", (int)length, at, program) <
				(int)capacity &&
			access(ret_path, X_OK) == 0)
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

/* ------------------------------------------------------------------------------ sockets */

int
peer_dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc = 0;

	if (fd < 0)
		return -errno;
	/* Loopback connects at once or not at all. */
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
		fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		rc = -errno;
	if (rc == 0)
		return fd;
	(void)close(fd); /* nothing was sent */
	return rc;
}

/* Ask a port of loopback one question until @p word is in an answer. @return false: not there, or
 * another answer */
static bool
asks(uint16_t port, const char *question, const char *word)
{
	static char answer[ANSWER_BYTES_MAX];
	struct timeval patience = { .tv_sec = 2 };
	size_t length = 0;
	ssize_t bytes = 1;
	int fd = peer_dial(port);

	if (fd < 0)
		return false;
	(void)fcntl(fd, F_SETFL, 0); /* or the loop below ends at once */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) == (ssize_t)strlen(question))
		while (length < sizeof(answer) - 1 &&
			(bytes = recv(fd, answer + length, sizeof(answer) - 1 - length, 0)) > 0)
			length += (size_t)bytes;
	answer[length] = '\0';
	(void)close(fd); /* was asked */
	return strstr(answer, word) != NULL;
}

int
peer_fork(struct peer_run *p, run_body *serve, run_body *load)
{
	int rc = 0;

	run_begin(p->run, PEER_NODE_COUNT);
	for (uint32_t i = 0; rc == 0 && i < PEER_NODE_COUNT; i++)
		rc = run_fork(p->run, serve, p);
	return rc == 0 && load != NULL ? run_fork(p->run, load, p) : rc;
}

uint16_t
peer_find_leader(const struct peer_run *p, const char *question, const char *word)
{
	for (uint32_t i = 0; i < PEER_NODE_COUNT; i++)
		if (asks(p->ports[3 * i], question, word))
			return p->ports[3 * i];
	return 0;
}
