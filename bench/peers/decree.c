/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree itself, in the ways that others are compared with: proposed in the turns of the shard that
 * leads, as libraft is in those of its loop; by a thread beside it in the same process, as a
 * program does whose work has a thread of its own; and as seen by a client of another process,
 * through the client library and the kernel's UDP. For the last each node has a port at a bridge,
 * by AF_PACKET on one end of a veth (bench/peers/run makes them), beside its memif links to the
 * others.
 */
#include "bench/peers/answers.h"
#include "bench/peers/peer.h"
#include "decree/client.h"
#include "decree/setup.h"

#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_NS UINT64_C(200000000)

static const struct plan_shape by_thread = {
	.node_count = PEER_NODE_COUNT, .shard_count = 1, .mode = PLAN_DURABLE, .has_auth = true
};

static const struct plan_shape inside = { .node_count = PEER_NODE_COUNT,
	.shard_count = 1,
	.mode = PLAN_DURABLE,
	.has_auth = true,
	.is_load_inside = true };

/* ------------------------------------------------------------------------------ the client */

static int
propose(void *context, const void *body, uint32_t bytes, void *cookie)
{
	return decree_client_submit(context, body, bytes, cookie);
}

static uint32_t
poll_completions(void *context, struct decree_completion *ret_done, uint32_t count_max)
{
	return decree_client_poll(context, ret_done, count_max, 0);
}

static void
wait_for_frame(void *context, uint64_t timeout_ns)
{
	struct pollfd fd = { .fd = decree_client_fd(context), .events = POLLIN };

	(void)poll(&fd, 1, (int)(timeout_ns / 1000000) + 1); /* woken early is as good */
}

static bool
has_leader(void *context)
{
	for (uint16_t i = 1; i <= PEER_NODE_COUNT; i++) {
		struct decree_status status;

		if (decree_client_status(context, i, STATUS_NS, &status) == 0 &&
			status.role == DECREE_LEADER && status.ready)
			return true;
	}
	return false;
}

static void
load(void *context, struct board *board, uint32_t index)
{
	const struct peer_run *p = context;
	char path[512], error[DECREE_ERROR_BYTES];
	struct decree_client_options options = { .struct_bytes = sizeof(options),
		.config_path = path };
	struct peer_client client = { .target = { NULL, propose, poll_completions, wait_for_frame },
		.is_ready = has_leader };
	struct decree_client *c;

	bench_cluster_config(&p->run->cluster, 1, path);
	if (decree_client_open(&options, &c, error) != 0)
		load_die(&board->nodes[index], error);
	client.target.context = c;
	peer_client_serve(&client, board, index, 1);
}

/* ------------------------------------------------------------------------------ all of them */

static const char *
look(char *ret_version)
{
	snprintf(ret_version, 64, "%s", decree_version());
	return NULL;
}

static const char *
look_for_ports(char *ret_version)
{
	for (uint32_t i = 1; i <= PEER_NODE_COUNT; i++) {
		char name[IF_NAMESIZE];

		snprintf(name, sizeof(name), "n%u", i);
		if (if_nametoindex(name) == 0)
			return "there are no interfaces n1, n2 and n3: bench/peers/run makes them";
	}
	return look(ret_version);
}

static int
start(struct peer_run *p)
{
	p->run->cluster.has_clients = false;
	return run_start_nodes(p->run, &inside);
}

static int
start_with_thread(struct peer_run *p)
{
	p->run->cluster.has_clients = false;
	return run_start_nodes(p->run, &by_thread);
}

static int
start_with_client(struct peer_run *p)
{
	int rc;

	p->run->cluster.has_clients = true;
	rc = run_start_nodes(p->run, &by_thread); /* which nobody orders to do anything */
	return rc == 0 ? run_fork(p->run, load, p) : rc;
}

const struct peer peer_decree = {
	.name = "decree",
	.system = "decree",
	.transport = "memif",
	.is_embedded = true,
	.is_load_inside = true,
	.look = look,
	.start = start,
};

const struct peer peer_decree_thread = {
	.name = "decree-thread",
	.system = "decree, by a thread",
	.transport = "memif",
	.is_embedded = true,
	.look = look,
	.start = start_with_thread,
};

const struct peer peer_decree_client = {
	.name = "decree-client",
	.system = "decree, by a client",
	.transport = "memif; client: UDP",
	.look = look_for_ports,
	.start = start_with_client,
};
