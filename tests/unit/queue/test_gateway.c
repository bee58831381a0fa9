/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole server in this process: a cluster of one without ports, its gateway, and clients over real sockets. What they
 * read must be what beanstalkd says. Nothing is timed: a reply is waited for until a deadline that only a broken server meets.
 */
#include "queue/gateway.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <decree/setup.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS  60000
#define WINDOW       1024 /* of the session: the smallest */
#define WAITER_COUNT 1300 /* more than that */

struct fixture {
	char folder[64], config[128], unix_path[128];
	struct queue_machine *machine;
	struct queue_gateway *gateway;
	struct decree_node *node;
	char error[DECREE_ERROR_BYTES];

	/* The shard's thread, whenever a job was handed over, says `held` and waits for `go`. */
	_Atomic bool is_holding;
	sem_t held, go;
	/* ... or tells the gateway that the state was replaced, once. */
	_Atomic bool is_restored;
};

/* ------------------------------------------------------------------------------ a server */

static void
on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	struct fixture *f = context;

	(void)group, (void)first, (void)after;
	queue_gateway_on_applied(f->gateway);
}

static void
on_reserved(void *context, struct queue_machine *m, const struct queue_reserved *r)
{
	struct fixture *f = context;

	queue_gateway_on_reserved(f->gateway, m, r);
	if (atomic_exchange(&f->is_restored, false))
		queue_gateway_on_restored(f->gateway);
	if (!f->is_holding)
		return;
	sem_post(&f->held);
	while (sem_wait(&f->go) != 0)
		;
}

static void
on_restored(void *context)
{
	struct fixture *f = context;

	queue_gateway_on_restored(f->gateway);
}

static void
on_log(void *context, enum decree_log_level level, const char *line)
{
	(void)context, (void)level, (void)line;
}

static void
write_config(struct fixture *f)
{
	FILE *file = fopen(f->config, "we");

	assert_non_null(file);
	fprintf(file,
		"[cluster]\nid = 77\nauth = none\nsession_count = 16\nsession_window = %d\n"
		"command_bytes_max = 131072\n[node 1]\nip = 10.0.0.1\n[local]\nnode = 1\n"
		"data_dir = data\nlog_mode = buffered\nlog_bytes = 64M\nsegment_bytes = 8M\n",
		WINDOW);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(decree_format(f->config, NULL, 0, false, NULL, f->error), 0);
}

static void
open_gateway(struct fixture *f)
{
	char listen_unix[160];
	const char *listens[] = { "127.0.0.1:0", listen_unix };
	const struct queue_gateway_options options = {
		.listens = listens,
		.listen_count = 2,
		.node_id = 1,
		.on_log = on_log,
	};

	snprintf(listen_unix, sizeof(listen_unix), "unix:%s", f->unix_path);
	assert_int_equal(queue_gateway_create(&options, &f->gateway, f->error), 0);
}

static void
open_node(struct fixture *f)
{
	const struct queue_config config = {
		.queue_bytes = 64u << 20,
		.on_reserved = on_reserved,
		.on_restored = on_restored,
		.context = f,
	};
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = f->config,
		.machine_ops = &queue_machine_ops,
		.machines = (void *const *)&f->machine,
		.group_count = 1,
		.context = f,
		.on_applied = on_applied,
		.on_log = on_log,
	};

	assert_int_equal(queue_machine_create(&config, &f->machine), 0);
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	assert_int_equal(decree_start(f->node), 0);
	assert_int_equal(queue_gateway_start(f->gateway, f->node, f->error), 0);
}

static void
close_server(struct fixture *f)
{
	queue_gateway_stop(f->gateway);
	decree_close(f->node);
	queue_gateway_destroy(f->gateway);
	queue_machine_destroy(f->machine);
	f->gateway = NULL;
	f->node = NULL;
	f->machine = NULL;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/var/tmp/decree-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->config, sizeof(f->config), "%s/node.ini", f->folder);
	snprintf(f->unix_path, sizeof(f->unix_path), "%s/socket", f->folder);
	sem_init(&f->held, 0, 0);
	sem_init(&f->go, 0, 0);
	write_config(f);
	open_gateway(f);
	open_node(f);
	*state = f;
	return 0;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	close_server(f);
	assert_int_equal(access(f->unix_path, F_OK), -1);
	(void)nftw(f->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* ------------------------------------------------------------------------------ a client */

static int
client(struct fixture *f)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(queue_gateway_port(f->gateway, 0)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
say_bytes(int fd, const void *bytes, size_t count)
{
	for (size_t at = 0; at < count;) {
		ssize_t sent = send(fd, (const char *)bytes + at, count - at, MSG_NOSIGNAL);

		assert_true(sent > 0);
		at += (size_t)sent;
	}
}

static void
say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

/* @return bytes, 0 at the end of the connection */
static size_t
hear_some(int fd, char *ret, size_t capacity)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	got = recv(fd, ret, capacity, 0);
	assert_true(got >= 0 || errno == ECONNRESET);
	return got < 0 ? 0 : (size_t)got;
}

static void
hear_bytes(int fd, const char *expected, size_t count)
{
	char *got = calloc(1, count + 1);

	for (size_t at = 0; at < count;) {
		size_t some = hear_some(fd, got + at, count - at);

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

static void
hear(int fd, const char *expected)
{
	hear_bytes(fd, expected, strlen(expected));
}

static void
ask(int fd, const char *text, const char *expected)
{
	say(fd, text);
	hear(fd, expected);
}

/* The connection ends here, and nothing is left unread. */
static void
hear_end(int fd)
{
	char byte;

	assert_int_equal(hear_some(fd, &byte, 1), 0);
	close(fd);
}

/* A whole reply of YAML. */
static void
hear_yaml(int fd, char *ret, size_t capacity)
{
	size_t at = 0, wanted = capacity, bytes;

	while (at < wanted) {
		char *line_end;

		at += hear_some(fd, ret + at, 1);
		ret[at] = 0;
		line_end = strstr(ret, "\r\n");
		if (wanted == capacity && line_end != NULL) {
			assert_int_equal(sscanf(ret, "OK %zu\r\n", &bytes), 1);
			wanted = (size_t)(line_end - ret) + 2 + bytes + 2;
			assert_true(wanted < capacity);
		}
	}
}

static uint64_t
stat_of(int fd, const char *question, const char *key)
{
	char yaml[8192], wanted[80];
	unsigned long long value;
	const char *found;

	say(fd, question);
	hear_yaml(fd, yaml, sizeof(yaml));
	snprintf(wanted, sizeof(wanted), "\n%s: ", key);
	found = strstr(yaml, wanted);
	assert_non_null(found);
	assert_int_equal(sscanf(found + strlen(wanted), "%llu", &value), 1);
	return value;
}

static void
await_stat(int fd, const char *question, const char *key, uint64_t value)
{
	for (int i = 0; stat_of(fd, question, key) != value; i++) {
		assert_true(i < DEADLINE_MS / 10);
		usleep(10000); /* only so that the question is not asked a million times */
	}
}

/* ------------------------------------------------------------------------------ what it does */

static void
test_a_conversation(void **state)
{
	int fd = client(*state);

	ask(fd, "put 10 0 100 5\r\nhello\r\n", "INSERTED 1\r\n");
	ask(fd, "peek 1\r\n", "FOUND 1 5\r\nhello\r\n");
	ask(fd, "peek-ready\r\n", "FOUND 1 5\r\nhello\r\n");
	ask(fd, "peek-buried\r\n", "NOT_FOUND\r\n");
	ask(fd, "reserve\r\n", "RESERVED 1 5\r\nhello\r\n");
	ask(fd, "touch 1\r\n", "TOUCHED\r\n");
	ask(fd, "release 1 5 0\r\n", "RELEASED\r\n");
	ask(fd, "reserve-job 1\r\n", "RESERVED 1 5\r\nhello\r\n");
	ask(fd, "bury 1 7\r\n", "BURIED\r\n");
	ask(fd, "peek-buried\r\n", "FOUND 1 5\r\nhello\r\n");
	ask(fd, "kick 10\r\n", "KICKED 1\r\n");
	ask(fd, "kick-job 1\r\n", "NOT_FOUND\r\n");
	ask(fd, "reserve-with-timeout 0\r\n", "RESERVED 1 5\r\nhello\r\n");
	ask(fd, "delete 1\r\n", "DELETED\r\n");
	ask(fd, "delete 1\r\n", "NOT_FOUND\r\n");
	ask(fd, "reserve-with-timeout 0\r\n", "TIMED_OUT\r\n");
	ask(fd, "put 0 1000 100 0\r\n\r\n", "INSERTED 2\r\n");
	ask(fd, "peek-delayed\r\n", "FOUND 2 0\r\n\r\n");
	ask(fd, "kick-job 2\r\n", "KICKED\r\n");
	ask(fd, "reserve\r\n", "RESERVED 2 0\r\n\r\n");
	ask(fd, "nonsense\r\n", "UNKNOWN_COMMAND\r\n");
	ask(fd, "delete x\r\n", "BAD_FORMAT\r\n");
	say(fd, "quit\r\n");
	hear_end(fd);
}

static void
test_tubes(void **state)
{
	int fd = client(*state);

	ask(fd, "list-tube-used\r\n", "USING default\r\n");
	ask(fd, "use a\r\n", "USING a\r\n");
	ask(fd, "watch b\r\n", "WATCHING 2\r\n");
	ask(fd, "list-tube-used\r\n", "USING a\r\n");
	ask(fd, "list-tubes\r\n", "OK 22\r\n---\n- default\n- a\n- b\n\r\n");
	ask(fd, "ignore default\r\n", "WATCHING 1\r\n");
	ask(fd, "ignore b\r\n", "NOT_IGNORED\r\n");
	ask(fd, "list-tubes-watched\r\n", "OK 8\r\n---\n- b\n\r\n");
	ask(fd, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	ask(fd, "reserve-with-timeout 0\r\n", "TIMED_OUT\r\n");
	ask(fd, "watch a\r\n", "WATCHING 2\r\n");
	ask(fd, "pause-tube a 1000\r\n", "PAUSED\r\n");
	ask(fd, "reserve-with-timeout 0\r\n", "TIMED_OUT\r\n");
	ask(fd, "pause-tube a 0\r\n", "PAUSED\r\n");
	ask(fd, "pause-tube c 0\r\n", "NOT_FOUND\r\n");
	ask(fd, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	assert_int_equal(stat_of(fd, "stats-tube a\r\n", "current-jobs-reserved"), 1);
	assert_int_equal(stat_of(fd, "stats-job 1\r\n", "ttr"), 100);
	ask(fd, "stats-job 9\r\n", "NOT_FOUND\r\n");
	ask(fd, "stats-tube c\r\n", "NOT_FOUND\r\n");
	close(fd);
}

/* Two hundred tubes with long names: their list comes in many pieces. */
static void
test_a_long_list(void **state)
{
	int fd = client(*state);
	char name[201], line[300], yaml[65536];

	for (int i = 0; i < 200; i++) {
		memset(name, 'n', 200);
		name[200] = 0;
		name[199] = (char)('a' + i / 20);
		name[198] = (char)('a' + i % 20);
		snprintf(line, sizeof(line), "watch %s\r\n", name);
		say(fd, line);
		snprintf(line, sizeof(line), "WATCHING %d\r\n", i + 2);
		hear(fd, line);
	}
	say(fd, "list-tubes-watched\r\nlist-tubes\r\n");
	for (int i = 0; i < 2; i++) {
		hear_yaml(fd, yaml, sizeof(yaml));
		assert_non_null(strstr(yaml, "- default\n"));
		snprintf(line, sizeof(line), "- %s\n", name);
		assert_non_null(strstr(yaml, line));
	}
	close(fd);
}

/* ------------------------------------------------------------------------------ workers that wait */

static void
test_a_worker_waits_for_a_job(void **state)
{
	int worker = client(*state), producer = client(*state);

	say(worker, "reserve\r\nlist-tube-used\r\n");
	await_stat(producer, "stats\r\n", "current-waiting", 1);
	ask(producer, "put 0 0 100 3\r\nabc\r\n", "INSERTED 1\r\n");
	hear(worker, "RESERVED 1 3\r\nabc\r\nUSING default\r\n");
	ask(worker, "reserve-with-timeout 1\r\n", "TIMED_OUT\r\n");
	close(worker);
	close(producer);
}

/* More of them than the session has commands in its window, and then more puts than that. */
static void
test_workers_that_wait_stop_nobody(void **state)
{
	static int workers[WAITER_COUNT];
	int producer = client(*state);
	char line[64];

	for (int i = 0; i < WAITER_COUNT; i++) {
		workers[i] = client(*state);
		say(workers[i], "reserve\r\n");
	}
	await_stat(producer, "stats\r\n", "current-waiting", WAITER_COUNT);
	for (int i = 0; i < WAITER_COUNT + WINDOW; i++)
		say(producer, "put 0 0 1000 2\r\nxy\r\n");
	for (int i = 0; i < WAITER_COUNT + WINDOW; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		hear(producer, line);
	}
	for (int i = 0; i < WAITER_COUNT; i++) {
		char reply[64];
		size_t at = 0;

		while (at < 6 || memcmp(reply + at - 6, "\r\nxy\r\n", 6) != 0) {
			assert_true(at < sizeof(reply));
			at += hear_some(workers[i], reply + at, 1);
		}
		close(workers[i]);
	}
	await_stat(producer, "stats\r\n", "current-jobs-ready", WAITER_COUNT + WINDOW);
	close(producer);
}

static void
test_time_limits(void **state)
{
	int fd = client(*state), other = client(*state);

	ask(fd, "put 0 0 3 1\r\nx\r\n", "INSERTED 1\r\n");
	ask(fd, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	ask(fd, "reserve\r\n", "DEADLINE_SOON\r\n");
	ask(other, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	ask(fd, "delete 1\r\n", "NOT_FOUND\r\n");
	ask(other, "release 1 0 1\r\n", "RELEASED\r\n");
	ask(fd, "reserve-with-timeout 1000\r\n", "RESERVED 1 1\r\nx\r\n");
	close(fd);
	close(other);
}

/* ------------------------------------------------------------------------------ many at once */

static void
test_pipelined_requests_are_answered_in_order(void **state)
{
	int fd = client(*state);
	char line[64];

	for (int i = 0; i < 3000; i++)
		say(fd, "put 0 0 100 1\r\nx\r\n");
	say(fd, "nonsense\r\npeek 3000\r\nuse t\r\nlist-tube-used\r\nreserve\r\ndelete 1\r\n"
		"reserve-with-timeout 0\r\nput 0 0 1 2\r\nabc\r\nuse default\r\n");
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		hear(fd, line);
	}
	hear(fd, "UNKNOWN_COMMAND\r\nFOUND 3000 1\r\nx\r\nUSING t\r\nUSING t\r\nRESERVED 1 "
		 "1\r\nx\r\n"
		 "DELETED\r\nRESERVED 2 1\r\nx\r\nEXPECTED_CRLF\r\n");
	close(fd);
}

static void
await_held(struct fixture *f)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_MS / 1000;
	assert_int_equal(sem_timedwait(&f->held, &until), 0);
}

/* A worker deletes a job and reserves the next one in one breath. If both are executed together with the put that ends its wait, the
 * job is told before the deletion is completed. So that they are, the shard's thread stands still until all are proposed, and
 * again when the job was told; the sleeps let the gateway see what is there, and however short they are nothing may be wrong. */
static void
test_a_job_that_is_told_before_an_earlier_answer(void **state)
{
	struct fixture *f = *state;
	int worker = client(f), other = client(f), producer = client(f);

	ask(worker, "watch t\r\nput 0 0 100 1\r\na\r\nreserve\r\n",
		"WATCHING 2\r\nINSERTED 1\r\nRESERVED 1 1\r\na\r\n");
	ask(producer, "put 0 0 100 1\r\nb\r\nuse t\r\n", "INSERTED 2\r\nUSING t\r\n");
	f->is_holding = true;
	say(other, "reserve\r\n");
	await_held(f);
	say(worker, "delete 1\r\nreserve\r\n");
	usleep(50000);
	say(producer, "put 0 0 100 1\r\nc\r\n");
	usleep(50000);
	sem_post(&f->go);
	await_held(f);
	usleep(50000);
	f->is_holding = false;
	sem_post(&f->go);
	hear(other, "RESERVED 2 1\r\nb\r\n");
	hear(producer, "INSERTED 3\r\n");
	hear(worker, "DELETED\r\nRESERVED 3 1\r\nc\r\n");
	close(worker);
	close(other);
	close(producer);
}

/* More than the gateway takes from one client at a time, behind a request that waits: nobody else is held up. */
static void
test_more_than_may_wait(void **state)
{
	int fd = client(*state), other = client(*state);

	say(fd, "reserve\r\n");
	for (int i = 0; i < 8000; i++)
		say(fd, "use default\r\n");
	ask(other, "put 0 0 100 1\r\nx\r\n", "INSERTED 1\r\n");
	hear(fd, "RESERVED 1 1\r\nx\r\n");
	for (int i = 0; i < 8000; i++)
		hear(fd, "USING default\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear_end(fd);
	close(other);
}

/* One command moves 1,024 of them at most. */
static void
test_many_are_kicked(void **state)
{
	int fd = client(*state);
	char line[64];

	for (int i = 0; i < 2500; i++)
		say(fd, "put 0 1000 100 1\r\nx\r\n");
	for (int i = 0; i < 2500; i++) {
		snprintf(line, sizeof(line), "INSERTED %d\r\n", i + 1);
		hear(fd, line);
	}
	say(fd, "kick 2400\r\nkick 1000\r\n");
	hear(fd, "KICKED 2400\r\nKICKED 100\r\n");
	assert_int_equal(stat_of(fd, "stats\r\n", "cmd-kick"), 2);
	close(fd);
}

static void
test_large_bodies(void **state)
{
	static char body[65535 + 2], head[64];
	int fd = client(*state);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7 + i / 1000);
	memcpy(body + 65535, "\r\n", 2);
	for (int i = 0; i < 300; i++) {
		say(fd, "put 0 0 100 65535\r\n");
		say_bytes(fd, body, sizeof(body));
		snprintf(head, sizeof(head), "INSERTED %d\r\n", i + 1);
		hear(fd, head);
	}
	ask(fd, "peek 2\r\n", "FOUND 2 65535\r\n");
	hear_bytes(fd, body, sizeof(body));
	/* All at once: the answers are more than a client's output may hold. */
	for (int i = 0; i < 300; i++)
		say(fd, "reserve\r\n");
	for (int i = 0; i < 300; i++) {
		snprintf(head, sizeof(head), "RESERVED %d 65535\r\n", i + 1);
		hear(fd, head);
		hear_bytes(fd, body, sizeof(body));
	}
	say(fd, "put 0 0 100 65536\r\n");
	say_bytes(fd, body, 65534);
	say_bytes(fd, body, 2);
	say(fd, "\r\n");
	hear(fd, "JOB_TOO_BIG\r\n");
	ask(fd, "list-tube-used\r\n", "USING default\r\n");
	close(fd);
}

/* ------------------------------------------------------------------------------ ends */

static void
test_jobs_of_a_client_that_is_gone(void **state)
{
	int fd = client(*state), other = client(*state);

	ask(fd, "put 0 0 1000 1\r\nx\r\n", "INSERTED 1\r\n");
	ask(fd, "reserve\r\n", "RESERVED 1 1\r\nx\r\n");
	say(other, "reserve\r\n");
	close(fd);
	hear(other, "RESERVED 1 1\r\nx\r\n");
	await_stat(other, "stats\r\n", "current-connections", 1);
	close(other);
}

/* It gets the answers to what it had asked, but no job is waited for any more. */
static void
test_a_client_that_says_no_more(void **state)
{
	int fd = client(*state);

	say(fd, "put 0 0 10 1\r\na\r\nuse x\r\nlist-tube-used\r\nlist-tub");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear(fd, "INSERTED 1\r\nUSING x\r\nUSING x\r\n");
	hear_end(fd);

	fd = client(*state);
	say(fd, "watch none\r\nignore default\r\nreserve\r\nlist-tubes-watched\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear(fd, "WATCHING 2\r\nWATCHING 1\r\nTIMED_OUT\r\nOK 11\r\n---\n- none\n\r\n");
	hear_end(fd);

	fd = client(*state);
	ask(fd, "watch none\r\nignore default\r\n", "WATCHING 2\r\nWATCHING 1\r\n");
	say(fd, "reserve\r\n");
	await_stat(client(*state), "stats\r\n", "current-waiting", 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear(fd, "TIMED_OUT\r\n");
	hear_end(fd);

	fd = client(*state);
	say(fd, "quit\r\nlist-tubes\r\n");
	hear_end(fd);
}

static void
test_draining(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	ask(fd, "put 0 0 10 1\r\na\r\n", "INSERTED 1\r\n");
	queue_gateway_drain(f->gateway);
	ask(fd, "put 0 0 10 1\r\na\r\n", "DRAINING\r\n");
	ask(fd, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	await_stat(fd, "stats\r\n", "cmd-put", 2);
	await_stat(fd, "stats\r\n", "current-producers", 1);
	close(fd);
}

static void
test_a_unix_socket(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, f->unix_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ask(fd, "put 0 0 10 1\r\na\r\n", "INSERTED 1\r\n");
	close(fd);
}

/* Jobs are in the log, connections are not: what was reserved is ready again when the gateway attaches. */
static void
test_a_restart(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	ask(fd, "put 0 0 1000 1\r\na\r\n", "INSERTED 1\r\n");
	ask(fd, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	close_server(f);
	hear_end(fd);
	open_gateway(f);
	open_node(f);
	fd = client(f);
	ask(fd, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	assert_int_equal(stat_of(fd, "stats\r\n", "current-connections"), 1);
	close(fd);
}

/* ------------------------------------------------------------------------------ the gateway's place is lost */

/* Somebody takes the number of our node: what a node does that was started anew, and our gateway finds itself detached, as after
 * a pause of more than its silence. */
static void
take_its_place(struct fixture *f)
{
	const struct queue_command attach = { .op = QUEUE_ATTACH, .id = 1 };
	struct decree_proposer *proposer;
	struct decree_completion done;
	uint8_t bytes[QUEUE_COMMAND_FIXED_BYTES_MAX];
	size_t count = queue_command_encode(&attach, bytes, sizeof(bytes));

	assert_int_equal(decree_proposer_open(f->node, 0, &proposer, f->error), 0);
	assert_int_equal(decree_propose(proposer, bytes, (uint32_t)count, NULL), 0);
	for (int i = 0; decree_poll(proposer, &done, 1) == 0; i++) {
		assert_true(i < DEADLINE_MS);
		usleep(1000);
	}
	assert_int_equal(done.outcome, DECREE_APPLIED);
	assert_int_equal(done.status, QUEUE_OK);
	decree_proposer_close(proposer);
}

/* A worker with a job, one that waits for another, and one that says nothing at all. */
struct three {
	int holder, waiter, silent;
};

static void
three_begin(struct fixture *f, struct three *ret_three)
{
	struct three t = { client(f), client(f), client(f) };
	int fd = client(f);

	ask(fd, "put 0 0 1000 1\r\na\r\n", "INSERTED 1\r\n");
	ask(t.holder, "reserve\r\n", "RESERVED 1 1\r\na\r\n");
	ask(t.silent, "list-tube-used\r\n", "USING default\r\n");
	say(t.waiter, "watch none\r\nignore default\r\nreserve\r\n");
	hear(t.waiter, "WATCHING 2\r\nWATCHING 1\r\n");
	await_stat(fd, "stats\r\n", "current-waiting", 1);
	close(fd);
	await_stat(t.silent, "stats\r\n", "current-connections", 3);
	*ret_three = t;
}

/* All are dropped without a word, and nothing of theirs is left: the job is there for whoever comes now. */
static void
three_end(struct fixture *f, const struct three *t)
{
	int fd;

	hear_end(t->holder);
	hear_end(t->waiter);
	hear_end(t->silent);
	fd = client(f);
	ask(fd, "reserve\r\ndelete 1\r\n", "RESERVED 1 1\r\na\r\nDELETED\r\n");
	await_stat(fd, "stats\r\n", "current-connections", 1);
	assert_int_equal(stat_of(fd, "stats\r\n", "current-waiting"), 0);
	close(fd);
}

static void
test_clients_of_a_gateway_that_was_replaced_are_dropped(void **state)
{
	struct three t;

	three_begin(*state, &t);
	take_its_place(*state);
	three_end(*state, &t);
}

/* What the machine has told while its state came from another node is lost, so nobody may go on waiting for it. */
static void
test_clients_of_a_gateway_that_was_restored_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct three t;
	int fd;

	three_begin(f, &t);
	fd = client(f);
	f->is_restored = true;
	say(fd, "use other\r\nwatch other\r\nput 0 0 1000 1\r\nb\r\nignore default\r\nreserve\r\n");
	for (char some[64]; hear_some(fd, some, sizeof(some)) > 0;)
		; /* as far as it came */
	close(fd);
	three_end(f, &t);
}

/* Of what it says while its gateway is replaced, the client is answered the first so many requests and not one that was not executed:
 * then its connection ends. */
static void
test_answers_end_where_the_gateway_does(void **state)
{
	enum {
		COUNT = 3000
	};
	static char replies[COUNT * 32];
	static const char put[] = "put 0 0 100 1\r\nx\r\n";
	struct fixture *f = *state;
	int fd = client(f);
	char line[64];
	size_t at = 0, some;
	unsigned inserted = 0;

	ask(fd, put, "INSERTED 1\r\n");
	for (int i = 0; i < COUNT; i++) {
		if (i == COUNT / 2)
			take_its_place(f);
		if (send(fd, put, strlen(put), MSG_NOSIGNAL) < 0)
			break; /* it has ended already */
	}
	while ((some = hear_some(fd, replies + at, sizeof(replies) - at - 1)) > 0)
		at += some;
	close(fd);
	replies[at] = 0;
	for (const char *reply = replies; *reply != 0; inserted++) {
		snprintf(line, sizeof(line), "INSERTED %u\r\n", inserted + 2);
		assert_memory_equal(reply, line, strnlen(reply, strlen(line)));
		reply += strnlen(reply, strlen(line));
	}
	assert_true(inserted <= COUNT / 2);
	fd = client(f);
	await_stat(fd, "stats\r\n", "current-connections", 1);
	assert_in_range(stat_of(fd, "stats\r\n", "current-jobs-ready"), inserted, 1 + COUNT / 2);
	close(fd);
}

/* ------------------------------------------------------------------------------ addresses */

static void
test_addresses(void **state)
{
	static const char *const bad[] = { "", "7", ":7", "127.0.0.1:", "::1:7", "[::1:7",
		"unix:", "127.0.0.1:x", "127.0.0.1:0:" };
	struct queue_gateway_options options = { .listen_count = 1, .node_id = 1 };
	struct queue_gateway *g;
	char error[DECREE_ERROR_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options.listens = &bad[i];
		error[0] = 0;
		assert_true(queue_gateway_create(&options, &g, error) < 0);
		assert_non_null(strstr(error, "cannot listen on"));
	}
	options.listen_count = 0;
	options.job_bytes_max = 5u << 20;
	assert_int_equal(queue_gateway_create(&options, &g, error), -EINVAL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_conversation),
		TEST(test_tubes),
		TEST(test_a_long_list),
		TEST(test_a_worker_waits_for_a_job),
		TEST(test_workers_that_wait_stop_nobody),
		TEST(test_time_limits),
		TEST(test_pipelined_requests_are_answered_in_order),
		TEST(test_a_job_that_is_told_before_an_earlier_answer),
		TEST(test_more_than_may_wait),
		TEST(test_many_are_kicked),
		TEST(test_large_bodies),
		TEST(test_jobs_of_a_client_that_is_gone),
		TEST(test_a_client_that_says_no_more),
		TEST(test_draining),
		TEST(test_a_unix_socket),
		TEST(test_a_restart),
		TEST(test_clients_of_a_gateway_that_was_replaced_are_dropped),
		TEST(test_clients_of_a_gateway_that_was_restored_are_dropped),
		TEST(test_answers_end_where_the_gateway_does),
		cmocka_unit_test(test_addresses),
	};
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* then a test says so */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
