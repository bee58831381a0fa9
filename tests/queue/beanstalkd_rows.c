/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays the rows of tests/lib/beanstalk_rows.h to a server, each on a connection of its own, and
 * compares what comes back.
 *
 *   beanstalkd_rows unix:PATH | ADDRESS:PORT
 *
 * Behind each row one more line is sent whose answer is known, so that a reply too many is noticed.
 */
#include "tests/lib/beanstalk_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLIES_BYTES_MAX 8192
#define PATIENCE_S        60

/* Nothing else is answered like that. */
static const char last_line[] = "use the-end-of-the-row\r\n";
static const char last_reply[] = "USING the-end-of-the-row\r\n";

static union {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in inet;
} address;
static socklen_t address_bytes;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* @return whether it is an address */
static bool
parse_address(const char *text)
{
	char host[64];
	unsigned port;

	if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof(address.local.sun_path)) {
		address.local.sun_family = AF_UNIX;
		strcpy(address.local.sun_path, text + 5);
		address_bytes = sizeof(address.local);
		return true;
	}
	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || port > 65535)
		return false;
	address.inet.sin_family = AF_INET;
	address.inet.sin_port = htons((uint16_t)port);
	address_bytes = sizeof(address.inet);
	return inet_pton(AF_INET, host, &address.inet.sin_addr) == 1;
}

/* A server that is just starting does not listen yet. */
static int
connect_patiently(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };

	for (int i = 0; i < PATIENCE_S * 100; i++) {
		int fd = socket(address.any.sa_family, SOCK_STREAM, 0);

		if (fd < 0)
			die("socket");
		if (connect(fd, &address.any, address_bytes) == 0) {
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
			return fd;
		}
		close(fd);
		usleep(10000);
	}
	die("connect");
	return -1;
}

/* What the server says to a row is less than a socket holds, so this never waits for us to read. */
static void
send_all(int fd, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	while (count != 0) {
		ssize_t n = send(fd, at, count, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* it has closed: what it said before is still to be read */
		at += n;
		count -= (size_t)n;
	}
}

/* @return bytes of replies, without the last one, or with BEANSTALK_CLOSED in its place */
static size_t
receive_all(int fd, char *ret)
{
	size_t last_bytes = sizeof(last_reply) - 1, bytes = 0;

	for (;;) {
		ssize_t n = recv(fd, ret + bytes, REPLIES_BYTES_MAX - bytes, 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			memcpy(ret + bytes, BEANSTALK_CLOSED, strlen(BEANSTALK_CLOSED));
			return bytes + strlen(BEANSTALK_CLOSED);
		}
		if (n < 0)
			return bytes;
		bytes += (size_t)n;
		if (bytes >= last_bytes &&
			memcmp(ret + bytes - last_bytes, last_reply, last_bytes) == 0)
			return bytes - last_bytes;
		if (bytes == REPLIES_BYTES_MAX)
			return bytes;
	}
}

/* The id that the server chose becomes an N. @return bytes left */
static size_t
hide_ids(char *text, size_t bytes)
{
	static const char word[] = "INSERTED ";
	size_t word_bytes = sizeof(word) - 1, to = 0;

	for (size_t at = 0; at < bytes;) {
		bool is_id =
			to >= word_bytes && memcmp(text + to - word_bytes, word, word_bytes) == 0;
		char c = text[at++];

		if (is_id && c >= '0' && c <= '9') {
			while (at < bytes && text[at] >= '0' && text[at] <= '9')
				at++;
			c = 'N';
		}
		text[to++] = c;
	}
	return to;
}

static bool
play(const struct beanstalk_row *row)
{
	static uint8_t input[BEANSTALK_INPUT_BYTES_MAX], want[REPLIES_BYTES_MAX];
	static char replies[REPLIES_BYTES_MAX + sizeof(BEANSTALK_CLOSED)];
	size_t want_bytes = beanstalk_expand(row->replies, want, sizeof(want)), bytes;
	int fd = connect_patiently();

	send_all(fd, input, beanstalk_expand(row->input, input, sizeof(input)));
	send_all(fd, last_line, sizeof(last_line) - 1);
	bytes = hide_ids(replies, receive_all(fd, replies));
	close(fd);
	if (bytes == want_bytes && memcmp(replies, want, bytes) == 0)
		return true;
	printf("FAILED: %s\n  wanted: %.*s\n  got:    %.*s\n", row->name, (int)want_bytes, want,
		(int)bytes, replies);
	return false;
}

int
main(int argc, char **argv)
{
	size_t failed = 0;

	if (argc != 2 || !parse_address(argv[1])) {
		fprintf(stderr, "usage: beanstalkd_rows unix:PATH | ADDRESS:PORT\n");
		return 2;
	}
	for (size_t i = 0; i < beanstalk_row_count; i++)
		failed += !play(&beanstalk_rows[i]);
	printf("%zu rows, %zu failed\n", beanstalk_row_count, failed);
	return failed != 0;
}
