/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd: three members as Debian has them, with nothing set but addresses and folders. The client
 * puts a value of the load's size under one key, at the member that leads.
 */
#include "bench/peers/http2.h"
#include "bench/peers/peer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_COUNT_MAX 256
/* "etcdserver: too many requests" is the answer once 5,000 are agreed on and wait to be applied,
 * and it ends the load. */
#define IN_FLIGHT_MAX 4000

static char program[512];

static struct client {
	const struct peer_run *run;
	struct board_node *place;
	uint16_t port; /* of who leads; 0: nobody is known to */
	struct http2_message message;
	uint32_t message_bytes; /* of the value that is in it */
	struct answers answers;
	uint32_t link_count, next;
	struct http2 links[LINK_COUNT_MAX]; /* untouched pages cost nothing */
	struct pollfd fds[LINK_COUNT_MAX];
} client;

/* ------------------------------------------------------------------------------ the client */

static void
check(const struct client *c, int rc)
{
	if (rc != 0)
		load_die(c->place, strerror(-rc));
}

static int
propose(void *context, const void *body, uint32_t bytes, void *cookie)
{
	struct client *c = context;

	if (c->message.length == 0 || c->message_bytes != bytes) {
		http2_message_set(&c->message, body, bytes);
		c->message_bytes = bytes;
	}
	c->next = (c->next + 1) % c->link_count;
	return http2_put(&c->links[c->next], cookie);
}

static void
look_at_links(struct client *c, int timeout_ms)
{
	for (uint32_t i = 0; i < c->link_count; i++)
		c->fds[i] = (struct pollfd){ c->links[i].fd, POLLIN, 0 };
	(void)poll(c->fds, c->link_count, timeout_ms); /* woken early is as good */
}

static uint32_t
poll_answers(void *context, struct decree_completion *ret_done, uint32_t count_max)
{
	struct client *c = context;

	if (c->answers.count > 0)
		return answers_pop(&c->answers, ret_done, count_max);
	for (uint32_t i = 0; i < c->link_count; i++)
		check(c, http2_flush(&c->links[i]));
	look_at_links(c, 0);
	for (uint32_t i = 0; i < c->link_count; i++)
		if (c->fds[i].revents != 0)
			check(c, http2_receive(&c->links[i]));
	return answers_pop(&c->answers, ret_done, count_max);
}

static void
wait_for_answer(void *context, uint64_t timeout_ns)
{
	look_at_links(context, (int)(timeout_ns / 1000000) + 1);
}

static int
connect_to_leader(void *context, uint32_t connection_count)
{
	struct client *c = context;
	int rc = 0;

	for (; c->link_count > 0; c->link_count--)
		http2_close(&c->links[c->link_count - 1]);
	for (; rc == 0 && c->link_count < connection_count && c->link_count < LINK_COUNT_MAX;
		c->link_count++)
		rc = http2_open(&c->links[c->link_count], c->port, &c->message, &c->answers);
	c->next = 0;
	return rc;
}

static bool
find_leader(void *context)
{
	struct client *c = context;

	c->port = peer_find_leader(
		c->run, "GET /metrics HTTP/1.0\r\n\r\n", "\netcd_server_is_leader 1");
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
	peer_client_serve(&functions, board, index, client.run->connection_count);
}

/* ------------------------------------------------------------------------------ the servers */

static void
serve(void *context, struct board *board, uint32_t index)
{
	const struct peer_run *p = context;
	char name[16], folder[400], log[400], at[64], peers_at[64], all[256] = "";
	const char *const argv[] = { program, "--name", name, "--data-dir", folder,
		"--listen-client-urls", at, "--advertise-client-urls", at, "--listen-peer-urls",
		peers_at, "--initial-advertise-peer-urls", peers_at, "--initial-cluster", all,
		"--initial-cluster-state", "new", NULL };

	(void)board;
	snprintf(name, sizeof(name), "n%u", index + 1);
	snprintf(folder, sizeof(folder), "%s/%u", p->folder, index + 1);
	snprintf(log, sizeof(log), "%s/%u.log", p->folder, index + 1);
	snprintf(at, sizeof(at), "http://127.0.0.1:%u", p->ports[3 * index]);
	snprintf(peers_at, sizeof(peers_at), "http://127.0.0.1:%u", p->ports[3 * index + 1]);
	for (uint32_t i = 0; i < PEER_NODE_COUNT; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%sn%u=http://127.0.0.1:%u",
			i == 0 ? "" : ",", i + 1, p->ports[3 * i + 1]);
	peer_exec(log, argv);
}

static const char *
look(char *ret_version)
{
	char command[600];
	FILE *output;

	if (!peer_find("etcd", program, sizeof(program)))
		return "there is no program 'etcd': scripts/deps peers installs it";
	snprintf(command, sizeof(command), "%s --version", program);
	output = popen(command, "re");
	if (output == NULL || fscanf(output, "etcd Version: %63s", ret_version) != 1)
		ret_version[0] = '\0';
	if (output != NULL)
		(void)pclose(output); /* said what it had to say */
	return ret_version[0] == '\0' ? "the program 'etcd' does not say its version" : NULL;
}

static int
start(struct peer_run *p)
{
	return peer_fork(p, serve, load);
}

const struct peer peer_etcd = {
	.name = "etcd",
	.system = "etcd",
	.transport = "TCP loopback",
	.started = "defaults, at most 4,000 in flight",
	.in_flight_max = IN_FLIGHT_MAX,
	.look = look,
	.start = start,
};
