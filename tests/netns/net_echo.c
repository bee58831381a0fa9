/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node's network and nothing else, for tests with real processes: `echo` answers every ping,
 * `ping` sends them one at a time, says when the first one of a session was answered, and ends when
 * enough were; `flood` sends as many as it can, to find out what a loaded link does when it breaks.
 *
 *     net_echo ping|echo|flood NODE BOOT none|gmac SECONDS COUNT IPV4 PEER PEER_IPV4 DEVICE [SHARDS]
 *
 * Exit status of ping: 0 if COUNT answers came within SECONDS. Standard output of ping: one line
 * "session N" per session in which an answer came.
 */
#include "net/net.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <rte_eal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct echo {
	struct net_node *node;
	struct net *net;
	uint16_t peer_id;
	uint64_t sent_ns; /* the ping that is under way; 0: none */
	uint64_t sequence;
	uint64_t answer_count;
	uint64_t session_seen;
};

static void
say(struct echo *e, char what, uint64_t sequence)
{
	struct net_frame frame;

	if (net_dpdk_ops.alloc(e->net, &frame, 1) != 1)
		return;
	memset(frame.payload, 0, 64);
	frame.payload[0] = (uint8_t)what;
	memcpy(frame.payload + 8, &sequence, sizeof(sequence));
	frame.payload_bytes = 64;
	frame.peer = (struct net_endpoint){ .node_id = e->peer_id };
	net_dpdk_ops.send(e->net, base_now_ns(), &frame, 1);
}

static void
on_answer(struct echo *e, uint64_t sequence)
{
	struct net_peer_status s;

	if (e->sequence == 0 || sequence != e->sequence || e->sent_ns == 0)
		return;
	e->sent_ns = 0;
	e->answer_count++;
	net_peer_status(e->node, 0, 0, &s);
	if (s.session_count != e->session_seen) {
		e->session_seen = s.session_count;
		printf("session %llu\n", (unsigned long long)s.session_count);
		fflush(stdout);
	}
}

static uint32_t
receive(struct echo *e)
{
	struct net_frame frames[NET_BURST];
	uint32_t count = net_dpdk_ops.recv(e->net, base_now_ns(), frames, NET_BURST);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t sequence;

		if (frames[i].payload_bytes != 64)
			continue;
		memcpy(&sequence, frames[i].payload + 8, sizeof(sequence));
		if (frames[i].payload[0] == 'P')
			say(e, 'A', sequence);
		else if (frames[i].payload[0] == 'A')
			on_answer(e, sequence);
	}
	net_dpdk_ops.release(e->net, frames, count);
	return count;
}

static void
show_drops(const struct echo *e)
{
	const struct net_counters *c = net_shard_counters(e->node, 0);

	fprintf(stderr, "received %llu sent %llu", (unsigned long long)c->received,
		(unsigned long long)c->sent);
	for (int i = 1; i < NET_DROP_COUNT; i++)
		if (c->dropped[i] != 0)
			fprintf(stderr, " %s %llu", net_drop_name((enum net_drop)i),
				(unsigned long long)c->dropped[i]);
	fprintf(stderr, "\n");
}

static void
flood(struct echo *e)
{
	struct net_frame frames[NET_BURST];
	uint32_t count = net_dpdk_ops.alloc(e->net, frames, NET_BURST);

	for (uint32_t i = 0; i < count; i++) {
		memset(frames[i].payload, 'P', 64);
		frames[i].payload_bytes = 64;
		frames[i].peer = (struct net_endpoint){ .node_id = e->peer_id };
	}
	net_dpdk_ops.send(e->net, base_now_ns(), frames, count);
}

/* @return true if enough answers came before the deadline */
static bool
run(struct echo *e, const char *mode, uint64_t deadline_ns, uint64_t count)
{
	bool is_ping = strcmp(mode, "ping") == 0;
	bool is_flood = strcmp(mode, "flood") == 0;
	uint64_t ticked_ns = 0;

	while (base_now_ns() < deadline_ns) {
		uint64_t t = base_now_ns();

		if (t - ticked_ns > 5000000) {
			net_dpdk_ops.tick(e->net, t);
			net_control_tick(e->node, t);
			ticked_ns = t;
		}
		if (receive(e) == 0)
			sched_yield();
		if (is_flood)
			flood(e);
		if (!is_ping)
			continue;
		if (e->answer_count >= count)
			return true;
		if (e->sent_ns == 0 || t - e->sent_ns > 10000000) { /* lost: ask again */
			e->sent_ns = t;
			say(e, 'P', ++e->sequence);
		}
	}
	return false;
}

static void
start_eal(const char *device, const char *node)
{
	char prefix[64];
	static struct net_eal_args args;
	struct net_eal_config config = {
		.program = "net_echo",
		.file_prefix = prefix,
		.devices = &device,
		.device_count = 1,
		.memory_mib = 64,
	};
	char error[DECREE_ERROR_BYTES];

	snprintf(prefix, sizeof(prefix), "decree-net-echo-%.16s", node);
	if (net_eal_args(&config, &args, error) != 0) {
		fprintf(stderr, "%s\n", error);
		exit(2);
	}
	if (rte_eal_init(args.argc, args.argv) < 0) {
		fprintf(stderr, "EAL does not start\n");
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static struct echo e;
	char error[DECREE_ERROR_BYTES];
	bool is_done;

	if (argc < 11) {
		fprintf(stderr, "see the head of net_echo.c\n");
		return 2;
	}
	struct net_port_config port = { .device = argv[10], .ipv4 = ntohl(inet_addr(argv[7])) };
	struct net_peer_config peer = { .node_id = (uint16_t)atoi(argv[8]),
		.ipv4 = ntohl(inet_addr(argv[9])),
		.base_port = 4200 };
	struct net_config config = {
		.cluster_id = 7,
		.node_id = (uint16_t)atoi(argv[2]),
		.boot_count = strtoull(argv[3], NULL, 10),
		.base_port = 4200,
		.shard_count = argc > 11 ? (uint16_t)atoi(argv[11]) : 1,
		.ports = &port,
		.port_count = 1,
		.peers = &peer,
		.peer_count = 1,
		.auth = strcmp(argv[4], "none") == 0 ? NET_AUTH_NONE : NET_AUTH_GMAC,
		.cluster_key = { 1, 2, 3 },
	};

	start_eal(argv[10], argv[2]);
	if (net_open(&config, &e.node, error) != 0) {
		fprintf(stderr, "%s\n", error);
		return 2;
	}
	e.net = net_shard(e.node, 0);
	e.peer_id = peer.node_id;
	is_done = run(&e, argv[1], base_now_ns() + strtoull(argv[5], NULL, 10) * 1000000000u,
		strtoull(argv[6], NULL, 10));
	show_drops(&e);
	net_close(e.node);
	rte_eal_cleanup();
	return is_done ? 0 : 1;
}
