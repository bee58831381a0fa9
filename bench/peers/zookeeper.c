/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZooKeeper: three servers of Debian's jar, with heaps of 512 MiB and nothing else that is not in
 * its own example. The client sets the data of one znode, by its own C library without threads of
 * its own (a thread less between an answer and who waits for it), at the server that leads.
 */
#include "base/clock.h"
#include "bench/peers/answers.h"
#include "bench/peers/peer.h"

#include <zookeeper/zookeeper.h>

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JAR      "/usr/share/java/zookeeper.jar"
#define LOG_JARS "/usr/share/java/slf4j-nop.jar"
#define PATH     "/decree"
/* Beyond 1,000 (globalOutstandingLimit) its servers stop to read from a connection, and now and
 * then forget to begin again. */
#define IN_FLIGHT_MAX  900
#define LINK_COUNT_MAX 64
#define CONNECT_NS     UINT64_C(20000000000)
#define SESSION_MS     20000
#define READ_COUNT_MAX 256 /* answers of one connection; then another one */

static char java[512];

static struct client {
	const struct peer_run *run;
	struct board_node *place;
	uint16_t port; /* of who leads */
	struct answers answers;
	uint32_t link_count, next;
	zhandle_t *links[LINK_COUNT_MAX];
	struct pollfd fds[LINK_COUNT_MAX];
} client;

/* ------------------------------------------------------------------------------ the client */

static void
on_set(int rc, const struct Stat *stat, const void *cookie)
{
	(void)stat;
	answers_push(&client.answers, (void *)(uintptr_t)cookie, rc == ZOK);
}

static int
propose(void *context, const void *body, uint32_t bytes, void *cookie)
{
	struct client *c = context;

	c->next = (c->next + 1) % c->link_count;
	return zoo_aset(c->links[c->next], PATH, body, (int)bytes, -1, on_set, cookie) == ZOK
		       ? 0
		       : -EAGAIN;
}

/* What each connection waits for; it also sends what had no room in its socket, and pings. */
static void
look_at_links(struct client *c, int timeout_ms)
{
	for (uint32_t i = 0; i < c->link_count; i++) {
		struct timeval patience;
		int interest = 0;

		c->fds[i] = (struct pollfd){ -1, 0, 0 };
		if (zookeeper_interest(c->links[i], &c->fds[i].fd, &interest, &patience) != ZOK)
			continue; /* is_connected() will say so, or answers */
		c->fds[i].events = (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) |
					   (interest & ZOOKEEPER_WRITE ? POLLOUT : 0));
	}
	(void)poll(c->fds, c->link_count, timeout_ms); /* woken early is as good */
}

/* One call of the library reads one answer. */
static void
read_link(struct client *c, uint32_t i)
{
	int events = (c->fds[i].revents & POLLOUT ? ZOOKEEPER_WRITE : 0) |
		     (c->fds[i].revents & ~POLLOUT ? ZOOKEEPER_READ : 0);
	uint32_t before;

	for (uint32_t k = 0; k < READ_COUNT_MAX; k++) {
		before = c->answers.count;
		(void)zookeeper_process(c->links[i], events); /* what is lost is told to on_set() */
		if (c->answers.count == before)
			return;
	}
}

static uint32_t
poll_answers(void *context, struct decree_completion *ret_done, uint32_t count_max)
{
	struct client *c = context;

	if (c->answers.count > 0)
		return answers_pop(&c->answers, ret_done, count_max);
	look_at_links(c, 0);
	for (uint32_t i = 0; i < c->link_count; i++)
		if (c->fds[i].revents != 0)
			read_link(c, i);
	return answers_pop(&c->answers, ret_done, count_max);
}

static void
wait_for_answer(void *context, uint64_t timeout_ns)
{
	struct client *c = context;

	for (uint32_t i = 0; i < c->link_count; i++)
		c->fds[i].events = POLLIN;
	(void)poll(c->fds, c->link_count, (int)(timeout_ns / 1000000) + 1);
}

static bool
is_connected(const struct client *c)
{
	for (uint32_t i = 0; i < c->link_count; i++)
		if (zoo_state(c->links[i]) != ZOO_CONNECTED_STATE)
			return false;
	return true;
}

static void
turn(struct client *c)
{
	struct decree_completion none;

	if (poll_answers(c, &none, 1) == 0)
		look_at_links(c, 1);
}

static void
on_create(int rc, const char *path, const void *done)
{
	(void)path;
	*(int *)(uintptr_t)done = rc == ZOK || rc == ZNODEEXISTS ? 1 : -1;
}

static void
on_event(zhandle_t *link, int type, int state, const char *path, void *context)
{
	(void)link, (void)type, (void)state, (void)path, (void)context;
}

static int
make_node(struct client *c, uint64_t until)
{
	static int done;

	done = 0;
	if (zoo_acreate(c->links[0], PATH, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, on_create, &done) != ZOK)
		return -EIO;
	while (done == 0 && base_now_ns() < until)
		turn(c);
	return done == 1 ? 0 : -EIO;
}

static int
connect_to_leader(void *context, uint32_t connection_count)
{
	uint64_t until = base_now_ns() + CONNECT_NS;
	struct client *c = context;
	char host[32];

	snprintf(host, sizeof(host), "127.0.0.1:%u", c->port);
	for (; c->link_count > 0; c->link_count--)
		(void)zookeeper_close(c->links[c->link_count - 1]); /* all was answered */
	while (c->link_count < connection_count && c->link_count < LINK_COUNT_MAX) {
		zhandle_t *link = zookeeper_init(host, on_event, SESSION_MS, NULL, NULL, 0);

		if (link == NULL)
			return -errno;
		c->links[c->link_count++] = link;
	}
	while (!is_connected(c) && base_now_ns() < until)
		turn(c);
	c->next = 0;
	return is_connected(c) ? make_node(c, until) : -ETIMEDOUT;
}

static bool
find_leader(void *context)
{
	struct client *c = context;

	c->port = peer_find_leader(c->run, "srvr", "Mode: leader");
	return c->port != 0;
}

static void
load(void *context, struct board *board, uint32_t index)
{
	const struct peer_client functions = {
		.target = { &client, propose, poll_answers, wait_for_answer },
		.connect = connect_to_leader,
		.is_ready = find_leader,
	};

	client.run = context;
	client.place = &board->nodes[index];
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
	peer_client_serve(&functions, board, index, client.run->connection_count);
}

/* ------------------------------------------------------------------------------ the servers */

static bool
write_files(const struct peer_run *p, uint32_t index, const char *config)
{
	char path[400];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%u", p->folder, index + 1);
	if (mkdir(path, 0777) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/%u/myid", p->folder, index + 1);
	file = fopen(path, "we");
	if (file == NULL || fprintf(file, "%u\n", index + 1) < 0 || fclose(file) != 0)
		return false;
	file = fopen(config, "we");
	if (file == NULL)
		return false;
	/* As in its example; syncing is on if nothing is said. */
	fprintf(file,
		"tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s/"
		"%u\nclientPort=%u\nadmin.enableServer=false\n",
		p->folder, index + 1, p->ports[3 * index]);
	for (uint32_t i = 0; i < PEER_NODE_COUNT; i++)
		fprintf(file, "server.%u=127.0.0.1:%u:%u\n", i + 1, p->ports[3 * i + 1],
			p->ports[3 * i + 2]);
	return fclose(file) == 0;
}

static void
serve(void *context, struct board *board, uint32_t index)
{
	const struct peer_run *p = context;
	char log[400], config[400];
	const char *const argv[] = { java, "-Xmx512m", "-cp", JAR ":" LOG_JARS,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", config, NULL };

	snprintf(log, sizeof(log), "%s/%u.log", p->folder, index + 1);
	snprintf(config, sizeof(config), "%s/%u.cfg", p->folder, index + 1);
	if (!write_files(p, index, config))
		load_die(&board->nodes[index], "its files cannot be written");
	peer_exec(log, argv);
}

/* The file's name has it. */
static void
read_version(char *ret_version)
{
	glob_t found;

	snprintf(ret_version, 64, "unknown");
	if (glob("/usr/share/java/zookeeper-[0-9]*.jar", 0, NULL, &found) == 0) {
		const char *dash = strrchr(found.gl_pathv[0], '-');

		snprintf(ret_version, 64, "%.*s", (int)(strlen(dash) - sizeof("-jar")), dash + 1);
	}
	globfree(&found);
}

static const char *
look(char *ret_version)
{
	if (access(JAR, R_OK) != 0)
		return "there is no " JAR ": scripts/deps peers installs it";
	if (!peer_find("java", java, sizeof(java)))
		return "there is no program 'java': scripts/deps peers installs it";
	read_version(ret_version);
	return NULL;
}

static int
start(struct peer_run *p)
{
	return peer_fork(p, serve, load);
}

const struct peer peer_zookeeper = {
	.name = "zookeeper",
	.system = "ZooKeeper",
	.transport = "TCP loopback",
	.started = "heaps of 512 MiB (-Xmx512m), tickTime 2000, at most 900 in flight",
	.in_flight_max = IN_FLIGHT_MAX,
	.look = look,
	.start = start,
};
