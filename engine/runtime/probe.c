/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there? The node's ports for a second or two, with ARP and echoes and nothing else: no
 * session begins, so no peer takes this for the node, and the node's own counters and disk stay as
 * they are.
 */
#include "engine/runtime/node_private.h"

#include <rte_log.h>
#include <time.h>

#define PROBE_NS     1500000000ull /* whoever has not answered ARP by then is not there */
#define PROBE_NS_MAX 5000000000ull /* who has may be busy, and answers echoes last */
#define PAUSE_NS     200000        /* between looks: the CPU may be somebody else's */

static void
turn(struct net_node *net, uint16_t shard_count)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct net_frame frames[NET_BURST];
	uint64_t now_ns = node_now_ns();

	net_control_tick(net, now_ns);
	for (uint16_t i = 0; i < shard_count; i++) {
		struct net *shard = net_shard(net, i);

		net_dpdk_ops.tick(shard, now_ns);
		net_dpdk_ops.release(shard, frames,
			net_dpdk_ops.recv(shard, now_ns, frames, NET_BURST)); /* none */
	}
	(void)nanosleep(&pause, NULL); /* cut short: looks again sooner */
}

/* @return how long it is worth to look, all in all */
static uint64_t
look(const struct decree_node *node, struct probe *ret)
{
	uint64_t worth_ns = PROBE_NS / 2; /* not less: who has our address may be slow */

	for (uint32_t i = 0; i + 1 < node->config.node_count; i++) {
		struct net_peer_status s;

		net_peer_status(node->net, 0, i, &s);
		ret->reach[i] = s.reach;
		ret->has_address[i] = s.has_address;
		if (s.has_address && s.reach == NET_REACH_UNKNOWN)
			worth_ns = PROBE_NS_MAX;
		else if (s.reach != NET_REACH_FULL && worth_ns < PROBE_NS)
			worth_ns = PROBE_NS;
	}
	ret->is_address_taken = net_address_taken(node->net, ret->taken_by);
	return worth_ns;
}

int
probe_run(struct decree_node *node, struct probe *ret_probe, char *ret_error)
{
	uint64_t began_ns, worth_ns = PROBE_NS;
	struct node_network plan;
	int rc;

	rte_log_set_global_level(RTE_LOG_CRIT); /* what fails is said in one sentence */
	rc = eal_start(node, ret_error);
	node_network_plan(node, &plan);
	plan.net.boot_count = 1;
	plan.net.is_probe = true;
	if (rc == 0)
		rc = net_open(&plan.net, &node->net, ret_error);
	began_ns = node_now_ns();
	while (rc == 0 && node_now_ns() < began_ns + worth_ns) {
		turn(node->net, plan.net.shard_count);
		worth_ns = look(node, ret_probe);
	}
	if (rc == 0)
		net_describe_steering(node->net, ret_probe->steering);
	net_close(node->net);
	node->net = NULL;
	eal_stop(node);
	return rc;
}
