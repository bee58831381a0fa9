/* SPDX-License-Identifier: Apache-2.0 */
/* A node on a NIC of our own making, which takes flow rules or does not, and a second node, on an
 * ordinary port, that talks to it. What lies between is the test: it carries each frame, and the
 * NIC puts it into a queue. Virtual time, one thread. */
#include "tests/unit/net/common.h"

#include "net/node.h"
#include "tests/unit/net/fake_nic.h"
#include "tests/unit/net/start_eal.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <stdio.h>

#define BASE_PORT 4200

struct fixture {
	struct rte_ring *to_peer, *from_peer;
	struct net_node *node, *peer; /* 1, on the NIC, and 2 */
	uint16_t shard_count;
	uint64_t now_ns;
};

static struct fixture fixture;

static struct net_node *
open_node(uint16_t id, const char *device)
{
	struct net_port_config port = { .device = device, .ipv4 = 0x0a000000u + id };
	struct net_peer_config other = { .node_id = (uint16_t)(3 - id),
		.ipv4 = 0x0a000000u + (3u - id),
		.base_port = BASE_PORT };
	struct net_config config = { .cluster_id = 7,
		.node_id = id,
		.boot_count = 1,
		.base_port = BASE_PORT,
		.shard_count = fixture.shard_count,
		.mbuf_count = 4096,
		.ports = &port,
		.port_count = 1,
		.peers = &other,
		.peer_count = 1,
		.cluster_key = { 1, 2, 3 } };
	char error[DECREE_ERROR_BYTES] = "";
	struct net_node *node = NULL;

	if (net_open(&config, &node, error) != 0)
		fail_msg("%s", error);
	return node;
}

static void
open_on_nic(uint16_t shard_count)
{
	fixture.shard_count = shard_count;
	fixture.node = open_node(1, "net_ring_nic");
}

static void
open_peer(void)
{
	assert_true(rte_eth_from_rings("peer", &fixture.to_peer, 1, &fixture.from_peer, 1, 0) >= 0);
	fixture.peer = open_node(2, "net_ring_peer");
}

static void
assert_steering(const char *expected)
{
	char text[NET_STEERING_BYTES];

	net_describe_steering(fixture.node, text);
	assert_string_equal(text, expected);
}

/* Both directions. @return how many frames got into queue `queue` of the NIC */
static uint32_t
carry(uint16_t queue)
{
	uint32_t count = 0;
	void *mbuf;

	while (rte_ring_dequeue(fixture.from_peer, &mbuf) == 0)
		count += fake_nic_receive(mbuf) == queue;
	for (uint16_t i = 0; i < nic.queue_count; i++)
		while (rte_ring_dequeue(nic.out[i], &mbuf) == 0)
			assert_int_equal(rte_ring_enqueue(fixture.to_peer, mbuf), 0);
	return count;
}

/* @return frames that came */
static uint32_t
turn(struct net_node *node, uint16_t shard)
{
	struct net_frame frames[NET_BURST];
	struct net *net = net_shard(node, shard);
	uint32_t count;

	net_dpdk_ops.tick(net, fixture.now_ns);
	count = net_dpdk_ops.recv(net, fixture.now_ns, frames, NET_BURST);
	net_dpdk_ops.release(net, frames, count);
	return count;
}

static void
connect_nodes(void)
{
	struct net_peer_status s;

	for (int i = 0; i < 40; i++) {
		fixture.now_ns += 10 * MS;
		for (uint16_t shard = 0; shard < fixture.shard_count; shard++) {
			(void)turn(fixture.node, shard);
			(void)turn(fixture.peer, shard);
			(void)carry(0);
		}
	}
	for (uint16_t shard = 0; shard < fixture.shard_count; shard++) {
		net_peer_status(fixture.node, shard, 0, &s);
		assert_int_equal(s.state, NET_PEER_ESTABLISHED);
	}
}

/* From the peer's shard to ours of the same number. @return how many of them got into queue `queue` */
static uint32_t
send_frames(uint16_t shard, uint32_t count, uint16_t queue)
{
	struct net_frame frames[NET_BURST];
	struct net *net = net_shard(fixture.peer, shard);

	(void)turn(fixture.peer, 0);
	(void)carry(queue); /* what was on its way */
	for (uint16_t i = 0; i < fixture.shard_count; i++)
		while (turn(fixture.node, i) > 0)
			continue;
	assert_int_equal(net_dpdk_ops.alloc(net, frames, count), count);
	for (uint32_t i = 0; i < count; i++) {
		memset(frames[i].payload, 0, 100);
		frames[i].payload_bytes = 100;
		frames[i].peer = (struct net_endpoint){ .node_id = 1 };
	}
	net_dpdk_ops.send(net, fixture.now_ns, frames, count);
	(void)turn(fixture.peer, 0); /* sends for the others */
	return carry(queue);
}

static const struct rte_flow *
rule_of(uint16_t udp_port)
{
	for (uint32_t i = 0; i < NIC_RULE_COUNT_MAX; i++)
		if (nic.rules[i].is_there && nic.rules[i].udp_port == udp_port)
			return &nic.rules[i];
	return NULL;
}

/* ------------------------------------------------------------------ tests */

/* Then no frame crosses from one shard's thread to another's: a shard gets its own with nobody
 * else's help. */
static void
test_each_shards_frames_come_out_of_its_queue(void **state)
{
	(void)state;
	open_on_nic(2);
	open_peer();
	assert_steering("flow rules");
	assert_int_equal(nic.made_count, 2);
	connect_nodes();
	for (uint16_t shard = 0; shard < 2; shard++) {
		assert_int_equal(rule_of(BASE_PORT + shard)->queue, shard);
		assert_int_equal(send_frames(shard, 20, shard), 20);
		assert_int_equal(turn(fixture.node, shard), 20);
	}
}

/* ARP and ICMP carry no port: they are the default queue's, and both shards are found (above) all
 * the same. */
static void
test_only_shards_udp_ports_have_rules(void **state)
{
	(void)state;
	open_on_nic(2);
	assert_int_equal(fake_nic_rule_count(), 2);
	assert_non_null(rule_of(BASE_PORT));
	assert_non_null(rule_of(BASE_PORT + 1));
}

static void
test_driver_that_wants_the_protocol_is_told_it(void **state)
{
	(void)state;
	nic.wants_protocol = true;
	open_on_nic(2);
	assert_steering("flow rules");
	assert_true(rule_of(BASE_PORT)->has_protocol);
	assert_true(rule_of(BASE_PORT + 1)->has_protocol);
	assert_int_equal(fake_nic_rule_count(), 2);
}

/* Half of the shards steered and the rest not would be an answer that nobody can use. */
static void
test_one_refused_rule_takes_the_others_with_it(void **state)
{
	(void)state;
	nic.invalid_udp_port = BASE_PORT + 1;
	open_on_nic(2);
	assert_steering("the driver's own queues");
	assert_int_equal(fake_nic_rule_count(), 0);
	assert_int_equal(nic.removed_count, nic.made_count);
	assert_true(nic.made_count > 0);
}

/* A valid rule may find no room. Then the frames, all in queue 0 of this NIC, are handed over. */
static void
test_rule_without_room_takes_the_others_with_it(void **state)
{
	(void)state;
	nic.failing_udp_port = BASE_PORT + 1;
	open_on_nic(2);
	open_peer();
	assert_steering("the driver's own queues");
	assert_int_equal(fake_nic_rule_count(), 0);
	assert_int_equal(nic.removed_count, nic.made_count);
	connect_nodes();
	assert_int_equal(send_frames(1, 20, 0), 20);
	assert_int_equal(turn(fixture.node, 1), 0);
	assert_int_equal(turn(fixture.node, 0), 0); /* hands over */
	assert_int_equal(turn(fixture.node, 1), 20);
}

static void
test_port_without_rules_spreads_by_its_hash(void **state)
{
	(void)state;
	nic.has_rules = false;
	nic.has_hash = true;
	open_on_nic(2);
	assert_true(nic.is_hashing);
	assert_steering("RSS");
}

/* What has no rule, and what comes when the rules are lost, is spread as well as the port can. */
static void
test_hash_stays_on_beside_rules(void **state)
{
	(void)state;
	nic.has_hash = true;
	open_on_nic(2);
	assert_true(nic.is_hashing);
	assert_steering("flow rules");
}

static void
test_port_with_one_queue_is_not_asked(void **state)
{
	(void)state;
	nic.queue_count = 1;
	open_on_nic(2);
	assert_int_equal(nic.asked_count, 0);
	assert_steering("one queue, handed over");
}

static void
test_node_with_one_shard_does_not_ask(void **state)
{
	(void)state;
	open_on_nic(1);
	assert_int_equal(nic.asked_count, 0);
	assert_steering("");
}

static void
test_shards_share_the_queues_that_there_are(void **state)
{
	(void)state;
	open_on_nic(4);
	assert_steering("flow rules");
	for (uint16_t shard = 0; shard < 4; shard++)
		assert_int_equal(rule_of(BASE_PORT + shard)->queue, shard % 2);
}

/* DPDK keeps no rule over a stop, and asks for their removal before (fake_nic.c looks). */
static void
test_rules_are_made_again_by_a_restart(void **state)
{
	char error[DECREE_ERROR_BYTES];
	struct port *port;

	(void)state;
	open_on_nic(2);
	open_peer();
	port = &fixture.node->ports[0];
	port_stop(port);
	assert_false(nic.is_started);
	assert_int_equal(fake_nic_rule_count(), 0);
	assert_int_equal(port_start(fixture.node, port, error), 0);
	assert_int_equal(fake_nic_rule_count(), 2);
	assert_steering("flow rules");
	connect_nodes();
	assert_int_equal(send_frames(1, 20, 1), 20);
	assert_int_equal(turn(fixture.node, 1), 20);
}

/* What the port can do may be another after a restart: an update of its firmware, or somebody
 * else's rules. */
static void
test_restart_may_end_with_another_way(void **state)
{
	char error[DECREE_ERROR_BYTES];

	(void)state;
	open_on_nic(2);
	port_stop(&fixture.node->ports[0]);
	nic.has_rules = false;
	assert_int_equal(port_start(fixture.node, &fixture.node->ports[0], error), 0);
	assert_steering("the driver's own queues");
}

static void
test_rules_go_with_the_node(void **state)
{
	(void)state;
	open_on_nic(2);
	net_close(fixture.node);
	fixture.node = NULL;
	assert_int_equal(fake_nic_rule_count(), 0);
	assert_int_equal(nic.removed_count, 2);
}

/* Nobody says so when a NIC forgets. */
static void
test_lost_rules_lose_no_frame(void **state)
{
	(void)state;
	open_on_nic(2);
	open_peer();
	connect_nodes();
	memset(nic.rules, 0, sizeof(nic.rules));
	assert_int_equal(send_frames(1, 20, 0), 20);
	assert_int_equal(turn(fixture.node, 1), 0);
	assert_int_equal(turn(fixture.node, 0), 0);
	assert_int_equal(turn(fixture.node, 1), 20);
}

/* ------------------------------------------------------------------ */

static int
setup(void **state)
{
	(void)state;
	fixture = (struct fixture){ .now_ns = 1000 * MS,
		.to_peer = rte_ring_create("to_peer", 1024, 0, 0),
		.from_peer = rte_ring_create("from_peer", 1024, 0, 0) };
	fake_nic_make();
	return 0;
}

static void
drain(struct rte_ring *ring)
{
	void *mbuf;

	while (rte_ring_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	rte_ring_free(ring);
}

/* The pools go with the nodes, so what is on its way goes first. */
static int
teardown(void **state)
{
	(void)state;
	fake_nic_drain();
	drain(fixture.to_peer);
	drain(fixture.from_peer);
	net_close(fixture.node);
	net_close(fixture.peer);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_shards_frames_come_out_of_its_queue),
		TEST(test_only_shards_udp_ports_have_rules),
		TEST(test_driver_that_wants_the_protocol_is_told_it),
		TEST(test_one_refused_rule_takes_the_others_with_it),
		TEST(test_rule_without_room_takes_the_others_with_it),
		TEST(test_port_without_rules_spreads_by_its_hash),
		TEST(test_hash_stays_on_beside_rules),
		TEST(test_port_with_one_queue_is_not_asked),
		TEST(test_node_with_one_shard_does_not_ask),
		TEST(test_shards_share_the_queues_that_there_are),
		TEST(test_rules_are_made_again_by_a_restart),
		TEST(test_restart_may_end_with_another_way),
		TEST(test_rules_go_with_the_node),
		TEST(test_lost_rules_lose_no_frame),
	};
	int rc = start_eal("test_net_steer", "decree-test-steer", 192);

	if (rc != 0)
		return rc;
	rc = cmocka_run_group_tests_name("steer", tests, NULL, NULL);
	rte_eal_cleanup();
	return rc;
}
