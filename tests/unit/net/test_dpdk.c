/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes with two shards each in one process, over ring ports with one queue: so shard 1 sends
 * through shard 0's queue and receives what shard 0 hands over. Virtual time, one thread. */
#include "tests/unit/net/common.h"

#include "net/node.h"
#include "tests/unit/net/start_eal.h"

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <stdio.h>

struct fixture {
	struct rte_ring *a_to_b, *b_to_a;
	struct net_node *a, *b; /* nodes 1 and 2 */
	uint64_t now_ns;
};

static struct fixture fixture;

static struct net_node *
open_node(uint16_t id, uint64_t boot_count)
{
	bool is_a = id == 1;
	const char *name = is_a ? "a" : "b";
	struct rte_ring *in = is_a ? fixture.b_to_a : fixture.a_to_b;
	struct rte_ring *out = is_a ? fixture.a_to_b : fixture.b_to_a;
	struct net_port_config port = { .device = is_a ? "net_ring_a" : "net_ring_b",
		.ipv4 = 0x0a000000u + id };
	struct net_peer_config peer = {
		.node_id = (uint16_t)(3 - id), .ipv4 = 0x0a000000u + (3u - id), .base_port = 4200
	};
	struct net_config config = { .cluster_id = 7,
		.node_id = id,
		.boot_count = boot_count,
		.base_port = 4200,
		.shard_count = 2,
		.mbuf_count = 4096,
		.ports = &port,
		.port_count = 1,
		.peers = &peer,
		.peer_count = 1,
		.cluster_key = { 1, 2, 3 } };
	char error[DECREE_ERROR_BYTES] = "";
	struct net_node *node = NULL;

	assert_true(rte_eth_from_rings(name, &in, 1, &out, 1, 0) >= 0);
	assert_int_equal(net_open(&config, &node, error), 0);
	return node;
}

/* A turn of each shard's loop. @return payload bytes 0 of what came, added up, and how many */
static uint32_t
turn(struct net_node *node, uint16_t shard, uint64_t *sum)
{
	struct net_frame frames[NET_BURST];
	struct net *net = net_shard(node, shard);
	uint32_t count;

	net_dpdk_ops.tick(net, fixture.now_ns);
	count = net_dpdk_ops.recv(net, fixture.now_ns, frames, NET_BURST);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(frames[i].payload_bytes, 100);
		*sum += frames[i].payload[0];
	}
	net_dpdk_ops.release(net, frames, count);
	return count;
}

static void
pass_time(int ticks)
{
	uint64_t ignored = 0;

	for (int i = 0; i < ticks; i++) {
		fixture.now_ns += 10 * MS;
		for (uint16_t shard = 0; shard < 2; shard++) {
			(void)turn(fixture.a, shard, &ignored);
			(void)turn(fixture.b, shard, &ignored);
		}
	}
}

static void
assert_connected(uint16_t shard)
{
	struct net_peer_status s;

	net_peer_status(fixture.a, shard, 0, &s);
	assert_int_equal(s.state, NET_PEER_ESTABLISHED);
	net_peer_status(fixture.b, shard, 0, &s);
	assert_int_equal(s.state, NET_PEER_ESTABLISHED);
}

/* Send count frames numbered from 1 and see them all arrive at the other node's same shard. */
static void
exchange(struct net_node *from, struct net_node *to, uint16_t peer_id, uint16_t shard,
	uint32_t count)
{
	struct net_frame frames[NET_BURST];
	struct net *net = net_shard(from, shard);
	uint64_t sum = 0, ignored = 0;
	uint32_t received = 0;

	assert_int_equal(net_dpdk_ops.alloc(net, frames, count), count);
	for (uint32_t i = 0; i < count; i++) {
		memset(frames[i].payload, 0, 100);
		frames[i].payload[0] = (uint8_t)(i + 1);
		frames[i].payload_bytes = 100;
		frames[i].peer = (struct net_endpoint){ .node_id = peer_id };
	}
	net_dpdk_ops.send(net, fixture.now_ns, frames, count);
	for (int i = 0; i < 4; i++) {
		(void)turn(from, 0, &ignored); /* sends for shard 1 */
		(void)turn(to, 0, shard == 0 ? &sum : &ignored);
		if (shard == 1)
			received += turn(to, 1, &sum);
	}
	assert_int_equal(sum, count * (count + 1) / 2);
	if (shard == 1)
		assert_int_equal(received, count);
}

static void
test_bursts_arrive_at_the_same_shard(void **state)
{
	(void)state;
	pass_time(40);
	for (uint16_t shard = 0; shard < 2; shard++) {
		assert_connected(shard);
		exchange(fixture.a, fixture.b, 2, shard, NET_BURST);
		exchange(fixture.b, fixture.a, 1, shard, 7);
	}
}

static uint64_t
buffers_in_use(const struct net_node *node)
{
	return (uint64_t)rte_mempool_in_use_count(node->shards[0].pool) +
	       rte_mempool_in_use_count(node->shards[1].pool);
}

static void
test_foreign_frames_are_counted_and_their_buffers_come_back(void **state)
{
	const struct net_counters *c = net_shard_counters(fixture.b, 0);
	uint64_t before = c->dropped[NET_DROP_FOREIGN], ignored = 0, in_use;

	(void)state;
	pass_time(1);
	in_use = buffers_in_use(fixture.a);
	for (int i = 0; i < 20; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(fixture.a->shards[0].pool);

		assert_non_null(mbuf);
		memset(rte_pktmbuf_append(mbuf, 60), 0x86, 60);
		assert_int_equal(rte_ring_enqueue(fixture.a_to_b, mbuf), 0);
	}
	assert_int_equal(turn(fixture.b, 0, &ignored), 0);
	assert_int_equal(c->dropped[NET_DROP_FOREIGN] - before, 20);
	assert_int_equal(buffers_in_use(fixture.a), in_use);
}

static void
test_frames_for_nobody_are_dropped_and_their_buffers_come_back(void **state)
{
	struct net_frame frames[4];
	struct net *net = net_shard(fixture.a, 0);
	uint64_t in_use = buffers_in_use(fixture.a);

	(void)state;
	assert_int_equal(net_dpdk_ops.alloc(net, frames, 4), 4);
	for (int i = 0; i < 4; i++) {
		frames[i].payload_bytes = 100;
		frames[i].peer = (struct net_endpoint){ .node_id = 77 };
	}
	net_dpdk_ops.send(net, fixture.now_ns, frames, 4);
	assert_int_equal(buffers_in_use(fixture.a), in_use);
	assert_int_equal(net_shard_counters(fixture.a, 0)->dropped[NET_DROP_PEER_UNKNOWN], 4);
}

/* Neither more than the pool has, nor a frame lost on the way. */
static void
test_dry_pool_gives_what_it_has(void **state)
{
	static struct net_frame frames[8192];
	struct net *net = net_shard(fixture.a, 0);
	uint64_t in_use = buffers_in_use(fixture.a);
	uint32_t count;

	(void)state;
	count = net_dpdk_ops.alloc(net, frames, 8192);
	assert_in_range(count, 4096 - 1024, 4096);
	assert_int_equal(net_dpdk_ops.alloc(net, frames + count, 1), 0);
	net_dpdk_ops.release(net, frames, count);
	assert_int_equal(buffers_in_use(fixture.a), in_use);
}

static void
drain(struct rte_ring *ring)
{
	void *mbuf;

	while (rte_ring_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

static void
test_peer_that_closes_and_opens_again_is_found_again(void **state)
{
	struct net_peer_status s;

	(void)state;
	drain(fixture.b_to_a); /* a ring port's queue does not die with its sender's pool */
	net_close(fixture.b);
	fixture.b = open_node(2, 2);
	pass_time(40);
	for (uint16_t shard = 0; shard < 2; shard++) {
		assert_connected(shard);
		exchange(fixture.a, fixture.b, 2, shard, NET_BURST);
		exchange(fixture.b, fixture.a, 1, shard, NET_BURST);
	}
	net_peer_status(fixture.a, 0, 0, &s);
	assert_int_equal(s.session_count, 2);
	assert_int_equal(s.boot_count, 2);
}

static void
assert_not_there(const char *device, const char *said)
{
	struct net_port_config port = { .device = device };
	struct net_config config = {
		.node_id = 1, .base_port = 4200, .shard_count = 1, .ports = &port, .port_count = 1
	};
	char error[DECREE_ERROR_BYTES] = "";
	struct net_node *node = NULL;

	assert_int_equal(net_open(&config, &node, error), -ENODEV);
	assert_non_null(strstr(error, said));
	assert_null(node);
}

static void
test_port_that_eal_does_not_have_is_named(void **state)
{
	(void)state;
	assert_not_there("net_nothing9,role=client", "net_nothing9,role=client");
}

/* It is not to be bound, since it is not there. */
static void
test_nic_that_the_host_does_not_have_is_named(void **state)
{
	(void)state;
	assert_not_there("ffff:ff:1f.7", "ffff:ff:1f.7\": there is no such PCI device");
}

/* ---- an EAL of the host program's ---- */

static int
open_on_hosts_eal(const char *device, struct net_node **ret_node, char *ret_error)
{
	struct net_port_config port = { .device = device };
	struct net_config config = { .node_id = 9,
		.base_port = 4200,
		.shard_count = 1,
		.mbuf_count = 4096,
		.is_eal_hosts = true,
		.ports = &port,
		.port_count = 1,
		.cluster_key = { 1 } };

	return net_open(&config, ret_node, ret_error);
}

/* A port of the program that embeds us, with its own buffers. */
static uint16_t
start_hosts_port(struct rte_mempool *pool)
{
	const struct rte_eth_conf conf = { 0 };
	uint16_t id;

	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring_host", &id), 0);
	assert_int_equal(rte_eth_dev_configure(id, 1, 1, &conf), 0);
	assert_int_equal(rte_eth_rx_queue_setup(id, 0, 64, 0, NULL, pool), 0);
	assert_int_equal(rte_eth_tx_queue_setup(id, 0, 64, 0, NULL), 0);
	assert_int_equal(rte_eth_dev_start(id), 0);
	return id;
}

static bool
passes_a_frame(uint16_t id, struct rte_mempool *pool)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool), *back = NULL;
	bool passes = rte_eth_tx_burst(id, 0, &frame, 1) == 1 &&
		      rte_eth_rx_burst(id, 0, &back, 1) == 1 && back == frame;

	rte_pktmbuf_free(frame);
	return passes;
}

/* Whoever opens a node beside ports of his own must never lose one of them, neither to a node that
 * is refused nor to one that is closed. */
static void
test_port_of_the_hosts_stays_the_hosts(void **state)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create("host", 63, 0, 0, 2048, 0);
	struct rte_ring *ring = rte_ring_create("host", 64, 0, 0);
	struct rte_eth_dev_owner host = { .name = "the host" }, owner;
	char error[DECREE_ERROR_BYTES] = "";
	struct net_node *node = NULL;
	uint16_t id;

	(void)state;
	assert_true(rte_eth_from_rings("host", &ring, 1, &ring, 1, 0) >= 0);
	id = start_hosts_port(pool);

	assert_int_equal(open_on_hosts_eal("net_ring_host", &node, error), -EBUSY);
	assert_non_null(strstr(error, "started already"));
	assert_true(passes_a_frame(id, pool));

	assert_int_equal(rte_eth_dev_stop(id), 0);
	assert_int_equal(rte_eth_dev_owner_new(&host.id), 0);
	assert_int_equal(rte_eth_dev_owner_set(id, &host), 0);
	assert_int_equal(open_on_hosts_eal("net_ring_host", &node, error), -EBUSY);
	assert_non_null(strstr(error, "\"the host\""));
	assert_int_equal(rte_eth_dev_owner_unset(id, host.id), 0);

	/* Nobody uses it now: the node does, and leaves it as it was. */
	assert_int_equal(open_on_hosts_eal("net_ring_host", &node, error), 0);
	assert_int_equal(rte_eth_dev_owner_get(id, &owner), 0);
	assert_string_equal(owner.name, "decree");
	net_close(node);
	assert_int_equal(rte_eth_dev_owner_get(id, &owner), 0);
	assert_int_equal(owner.id, RTE_ETH_DEV_NO_OWNER);
	assert_int_equal(start_hosts_port(pool), id);
	assert_true(passes_a_frame(id, pool));

	assert_int_equal(rte_eth_dev_stop(id), 0);
	assert_int_equal(rte_eth_dev_close(id), 0);
	rte_ring_free(ring);
	rte_mempool_free(pool);
}

/* What EAL has made for the node alone goes with it, and can be made again. */
static void
test_port_of_ours_leaves_the_hosts_eal(void **state)
{
	char error[DECREE_ERROR_BYTES] = "";
	struct net_node *node = NULL;
	uint16_t id;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_on_hosts_eal("net_null7", &node, error), 0);
		assert_int_equal(rte_eth_dev_get_port_by_name("net_null7", &id), 0);
		net_close(node);
		assert_int_equal(rte_eth_dev_get_port_by_name("net_null7", &id), -ENODEV);
	}
}

static void
test_payload_capacity_is_what_a_slot_counts_on(void **state)
{
	(void)state;
	assert_int_equal(net_payload_bytes_max(fixture.a), 1424);
}

static int
setup(void **state)
{
	(void)state;
	fixture.now_ns = 1000 * MS;
	fixture.a_to_b = rte_ring_create("a_to_b", 1024, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	fixture.b_to_a = rte_ring_create("b_to_a", 1024, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	fixture.a = open_node(1, 1);
	fixture.b = open_node(2, 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	drain(fixture.a_to_b);
	drain(fixture.b_to_a);
	net_close(fixture.a);
	net_close(fixture.b);
	return 0;
}

/* Not sysctl: a number of ours there would take pages from others. Nobody has these free. */
static void
test_too_few_huge_pages_are_to_be_reserved_beside_those_of_others(void **state)
{
	struct net_eal_config config = { .program = "test", .memory_mib = 1u << 30 };
	static struct net_eal_args args;
	char error[DECREE_ERROR_BYTES];

	(void)state;
	assert_int_equal(net_eal_args(&config, &args, error), 0);
	assert_false(args.has_hugepages);
	assert_non_null(strstr(args.notice, "'decree-hugepages reserve 1073741952M'"));
	assert_non_null(strstr(args.notice, "others have some already")); /* not cut */
	assert_null(strstr(args.notice, "sysctl"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bursts_arrive_at_the_same_shard),
		cmocka_unit_test(test_foreign_frames_are_counted_and_their_buffers_come_back),
		cmocka_unit_test(test_frames_for_nobody_are_dropped_and_their_buffers_come_back),
		cmocka_unit_test(test_dry_pool_gives_what_it_has),
		cmocka_unit_test(test_peer_that_closes_and_opens_again_is_found_again),
		cmocka_unit_test(test_port_that_eal_does_not_have_is_named),
		cmocka_unit_test(test_nic_that_the_host_does_not_have_is_named),
		cmocka_unit_test(test_port_of_the_hosts_stays_the_hosts),
		cmocka_unit_test(test_port_of_ours_leaves_the_hosts_eal),
		cmocka_unit_test(test_too_few_huge_pages_are_to_be_reserved_beside_those_of_others),
		cmocka_unit_test(test_payload_capacity_is_what_a_slot_counts_on),
	};
	int rc = start_eal("test_net_dpdk", "decree-test-net", 128);

	if (rc != 0)
		return rc;
	rc = cmocka_run_group_tests_name("dpdk", tests, setup, teardown);
	rte_eal_cleanup();
	return rc;
}
