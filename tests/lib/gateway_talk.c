/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/gateway_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

int
gf_connect(const struct gateway_fixture *f, uint32_t index)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(queue_gateway_port(f->gateway, index)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	/* No time-outs of the socket: with them the kernel does not go on by itself when the node's
	 * io_uring, which belongs to this thread, interrupts a call. */
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

int
gf_client(const struct gateway_fixture *f)
{
	return gf_connect(f, 0);
}

void
gf_say_bytes(int fd, const void *bytes, size_t count)
{
	for (size_t at = 0; at < count;) {
		ssize_t sent = send(fd, (const char *)bytes + at, count - at, MSG_NOSIGNAL);

		assert_true(sent > 0);
		at += (size_t)sent;
	}
}

void
gf_say(int fd, const char *text)
{
	gf_say_bytes(fd, text, strlen(text));
}

size_t
gf_hear_some(int fd, char *ret, size_t capacity)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	assert_int_equal(poll(&p, 1, GF_DEADLINE_MS), 1);
	got = recv(fd, ret, capacity, 0);
	assert_true(got >= 0 || errno == ECONNRESET);
	return got < 0 ? 0 : (size_t)got;
}

void
gf_hear_bytes(int fd, const char *expected, size_t count)
{
	char *got = calloc(1, count + 1);

	for (size_t at = 0; at < count;) {
		size_t some = gf_hear_some(fd, got + at, count - at);

		if (some == 0)
			break;
		at += some;
		if (memcmp(got, expected, at) != 0)
			break;
	}
	if (count < 1000)
		assert_string_equal(got, expected);
	assert_memory_equal(got, expected, count);
	free(got);
}

void
gf_hear(int fd, const char *expected)
{
	gf_hear_bytes(fd, expected, strlen(expected));
}

void
gf_ask(int fd, const char *text, const char *expected)
{
	gf_say(fd, text);
	gf_hear(fd, expected);
}

void
gf_hear_end(int fd)
{
	char byte;

	assert_int_equal(gf_hear_some(fd, &byte, 1), 0);
	close(fd);
}

void
gf_hear_yaml(int fd, char *ret, size_t capacity)
{
	size_t at = 0, wanted = capacity, bytes;

	while (at < wanted) {
		char *line_end;

		at += gf_hear_some(fd, ret + at, 1);
		ret[at] = 0;
		line_end = strstr(ret, "\r\n");
		if (wanted == capacity && line_end != NULL) {
			assert_int_equal(sscanf(ret, "OK %zu\r\n", &bytes), 1);
			wanted = (size_t)(line_end - ret) + 2 + bytes + 2;
			assert_true(wanted < capacity);
		}
	}
}

uint64_t
gf_stat_of(int fd, const char *question, const char *key)
{
	char yaml[8192], wanted[80];
	unsigned long long value;
	const char *found;

	gf_say(fd, question);
	gf_hear_yaml(fd, yaml, sizeof(yaml));
	snprintf(wanted, sizeof(wanted), "\n%s: ", key);
	found = strstr(yaml, wanted);
	assert_non_null(found);
	assert_int_equal(sscanf(found + strlen(wanted), "%llu", &value), 1);
	return value;
}

void
gf_await_stat(int fd, const char *question, const char *key, uint64_t value)
{
	for (int i = 0; gf_stat_of(fd, question, key) != value; i++) {
		assert_true(i < GF_DEADLINE_MS / 10);
		usleep(10000); /* only so that the question is not asked a million times */
	}
}
