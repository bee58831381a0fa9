/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/gateway_fixture.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <decree/setup.h>
#include <errno.h>
#include <ftw.h>
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

/* ------------------------------------------------------------------------------ a server */

static void
on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	struct gateway_fixture *f = context;

	(void)group, (void)first, (void)after;
	queue_gateway_on_applied(f->gateway);
}

static void
on_node_log(void *context, enum decree_log_level level, const char *line)
{
	(void)context, (void)level, (void)line;
}

static void
on_gateway_log(void *context, enum decree_log_level level, const char *line)
{
	struct gateway_fixture *f = context;
	size_t bytes = strlen(line);

	(void)level;
	pthread_mutex_lock(&f->lock);
	if (f->log_bytes + bytes + 2 <= sizeof(f->log)) {
		memcpy(f->log + f->log_bytes, line, bytes);
		f->log_bytes += bytes;
		f->log[f->log_bytes++] = '\n';
	}
	pthread_mutex_unlock(&f->lock);
}

static void
write_config(struct gateway_fixture *f)
{
	FILE *file = fopen(f->config, "we");

	assert_non_null(file);
	fprintf(file,
		"[cluster]\nid = 77\nauth = none\nsession_count = 16\nsession_window = 1024\n"
		"command_bytes_max = 131072\n[node 1]\nip = 10.0.0.1\n[local]\nnode = 1\n"
		"data_dir = data\nlog_mode = buffered\nlog_bytes = 64M\nsegment_bytes = 8M\n");
	assert_int_equal(fclose(file), 0);
	assert_int_equal(decree_format(f->config, NULL, 0, false, NULL, f->error), 0);
}

struct gateway_fixture *
gf_create(void)
{
	struct gateway_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->folder, sizeof(f->folder), "/var/tmp/decree-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->config, sizeof(f->config), "%s/node.ini", f->folder);
	write_config(f);
	return f;
}

int
gf_open_gateway(struct gateway_fixture *f, struct queue_gateway_options options)
{
	options.node_id = 1;
	options.context = f;
	options.on_log = on_gateway_log;
	return queue_gateway_create(&options, &f->gateway, f->error);
}

void
gf_start(struct gateway_fixture *f)
{
	const struct queue_config config = {
		.queue_bytes = 64u << 20,
		.on_reserved = queue_gateway_on_reserved,
		.on_restored = queue_gateway_on_restored,
		.context = f->gateway,
	};
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = f->config,
		.machine_ops = &queue_machine_ops,
		.machines = (void *const *)&f->machine,
		.group_count = 1,
		.context = f,
		.on_applied = on_applied,
		.on_log = on_node_log,
	};

	assert_int_equal(queue_machine_create(&config, &f->machine), 0);
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	assert_int_equal(decree_start(f->node), 0);
	assert_int_equal(queue_gateway_start(f->gateway, f->node, f->error), 0);
}

void
gf_stop(struct gateway_fixture *f)
{
	if (f->node != NULL) {
		queue_gateway_stop(f->gateway);
		decree_close(f->node);
	}
	queue_gateway_destroy(f->gateway);
	queue_machine_destroy(f->machine);
	f->gateway = NULL;
	f->node = NULL;
	f->machine = NULL;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

void
gf_destroy(struct gateway_fixture *f)
{
	gf_stop(f);
	(void)nftw(
		f->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what is left is in /var/tmp */
	pthread_mutex_destroy(&f->lock);
	free(f);
}

bool
gf_has_logged(struct gateway_fixture *f, const char *text)
{
	bool has;

	pthread_mutex_lock(&f->lock);
	has = strstr(f->log, text) != NULL;
	pthread_mutex_unlock(&f->lock);
	return has;
}

void
gf_await_log(struct gateway_fixture *f, const char *text)
{
	for (int i = 0; !gf_has_logged(f, text); i++) {
		assert_true(i < GF_DEADLINE_MS / 10);
		usleep(10000); /* only so that it is not looked for all the time */
	}
}

/* ------------------------------------------------------------------------------ a client */

int
gf_connect(const struct gateway_fixture *f, uint32_t index)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(queue_gateway_port(f->gateway, index)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval patience = { .tv_sec = GF_DEADLINE_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void
gf_say(int fd, const char *text)
{
	size_t bytes = strlen(text);

	assert_int_equal(send(fd, text, bytes, MSG_NOSIGNAL), bytes);
}

void
gf_hear(int fd, const char *expected)
{
	char got[4096] = "";
	size_t bytes = strlen(expected);

	assert_true(bytes < sizeof(got));
	(void)recv(fd, got, bytes, MSG_WAITALL); /* what came is looked at */
	assert_string_equal(got, expected);
}

void
gf_hear_end(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
	(void)close(fd); /* nobody is there any more */
}

void
gf_await_stat(int fd, const char *line)
{
	char yaml[8192];
	size_t bytes;

	for (int i = 0;; i++) {
		gf_say(fd, "stats\r\n");
		for (bytes = 0; bytes < 5 || memcmp(yaml + bytes - 3, "\n\r\n", 3) != 0; bytes++) {
			assert_true(bytes < sizeof(yaml) - 1);
			assert_int_equal(recv(fd, yaml + bytes, 1, 0), 1);
		}
		yaml[bytes] = 0;
		if (strstr(yaml, line) != NULL)
			return;
		assert_true(i < GF_DEADLINE_MS / 10);
		usleep(10000); /* only so that the question is not asked a million times */
	}
}
