/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes between whom frames of full size may get lost, somebody who pings them, and somebody
 * with the same address. */
#include "tests/unit/net/common.h"

#include "net/path.h"

#define MTU      1500
#define ROOM     (14 + MTU)
#define STRANGER 0x0a000009u

static const uint8_t mac_of[3][6] = { { 0 }, { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
static const uint8_t stranger_mac[6] = { 2, 0, 0, 0, 0, 9 };

struct node {
	struct path path;
	struct path_neighbours neighbours;
	struct net_peer_config peer;
};

struct fixture {
	struct node nodes[2];
	uint64_t now_ns;
	uint32_t packet_bytes_max; /* that the wire carries */
	struct path_received received;
	uint8_t answer[PATH_CONTROL_BYTES];
};

static int
open_node(struct node *node, uint16_t id, bool is_probe)
{
	struct net_config net = { .cluster_id = 7,
		.node_id = id,
		.boot_count = 1,
		.base_port = 4200,
		.shard_count = 1,
		.port_count = 1,
		.peers = &node->peer,
		.peer_count = 1,
		.cluster_key = { 1 },
		.is_probe = is_probe };
	struct path_port port = { .ipv4 = 0x0a000000u + id };
	struct path_config config = { .net = &net,
		.ports = &port,
		.seed = { (uint8_t)id },
		.neighbours = &node->neighbours };

	memset(&node->neighbours, 0, sizeof(node->neighbours));
	node->neighbours.echo_nonce = 1000 + id;
	memcpy(port.mac, mac_of[id], 6);
	node->peer = (struct net_peer_config){
		.node_id = 3 - id, .ipv4 = 0x0a000000u + (3 - id), .base_port = 4200
	};
	return path_init(&node->path, &config);
}

static int
setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .now_ns = 1000 * MS, .packet_bytes_max = MTU };
	*state = &f;
	return open_node(&f.nodes[0], 1, false) | open_node(&f.nodes[1], 2, false);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	path_fini(&f->nodes[0].path);
	path_fini(&f->nodes[1].path);
	return 0;
}

/* Give a frame to one node, and what it says to the other, until nobody says anything. */
static void
deliver(struct fixture *f, uint32_t to, uint8_t *frame, uint32_t bytes)
{
	static uint8_t answer[PATH_CONTROL_BYTES];

	while (bytes > 0 && bytes <= 14 + f->packet_bytes_max) {
		path_begin(&f->nodes[to].path, UINT32_MAX);
		path_receive(&f->nodes[to].path, f->now_ns, 0, frame, bytes, false, f->answer,
			&f->received);
		if (f->received.verdict != PATH_RETURN) {
			memcpy(answer, f->answer, sizeof(answer));
			frame = answer;
			bytes = f->received.answer_bytes;
		}
		to = 1 - to;
	}
}

static void
pass_time(struct fixture *f, uint32_t ms)
{
	uint8_t frame[ROOM];
	uint32_t bytes, peer;
	uint16_t port;

	for (uint32_t i = 0; i < ms / 10; i++) {
		f->now_ns += 10 * MS;
		for (uint32_t n = 0; n < 2; n++) {
			struct path *p = &f->nodes[n].path;

			while ((bytes = path_poll(p, f->now_ns, frame, &port)) > 0)
				deliver(f, 1 - n, frame, bytes);
			while (path_next_echo(p, f->now_ns, &peer, &bytes)) {
				path_write_echo(p, peer, bytes, frame, &port);
				deliver(f, 1 - n, frame, 14 + bytes);
			}
		}
	}
}

static enum net_reach
reach_of(struct fixture *f, uint32_t node)
{
	struct net_peer_status s;

	path_peer_status(&f->nodes[node].path, 0, &s);
	return s.reach;
}

/* Of somebody at another host. @return bytes of the frame */
static uint32_t
ping(uint32_t packet_bytes, uint8_t *ret_frame)
{
	struct ether_address from = { .ipv4 = STRANGER }, to = { .ipv4 = 0x0a000001u };

	memcpy(from.mac, stranger_mac, 6);
	memcpy(to.mac, mac_of[1], 6);
	echo_encode(&from, &to, 5, packet_bytes, ret_frame);
	return 14 + packet_bytes;
}

/* @return what node 1 makes of it */
static enum path_verdict
give(struct fixture *f, uint8_t *frame, uint32_t bytes)
{
	path_receive(&f->nodes[0].path, f->now_ns, 0, frame, bytes, false, f->answer, &f->received);
	return f->received.verdict;
}

static void
test_every_size_of_ping_is_answered(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM], asked[ROOM];
	struct echo e;

	for (uint32_t size = ECHO_BYTES_SMALL; size <= MTU; size++) {
		uint32_t bytes = ping(size, frame);

		memcpy(asked, frame, bytes);
		f->now_ns += PATH_ECHO_WINDOW_NS;
		path_begin(&f->nodes[0].path, UINT32_MAX);
		assert_int_equal(give(f, frame, bytes), PATH_RETURN);
		assert_int_equal(echo_decode(frame, bytes, &e), NET_DROP_NONE);
		assert_true(echo_is_intact(frame, &e));
		assert_false(e.is_request);
		assert_int_equal(e.source_ipv4, 0x0a000001u);
		assert_int_equal(e.target_ipv4, STRANGER);
		assert_int_equal(e.packet_bytes, size);
		assert_memory_equal(frame, stranger_mac, 6);
		assert_memory_equal(frame + 6, mac_of[1], 6);
		assert_memory_equal(
			frame + ECHO_HEADER_BYTES - 4, asked + ECHO_HEADER_BYTES - 4, size - 24);
	}
}

static void
test_no_damaged_ping_is_answered(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM], sound[ROOM];
	uint32_t bytes = ping(ECHO_BYTES_SMALL, sound);

	for (uint32_t bit = 14 * 8; bit < bytes * 8; bit++) {
		memcpy(frame, sound, bytes);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		f->now_ns += PATH_ECHO_WINDOW_NS;
		path_begin(&f->nodes[0].path, UINT32_MAX);
		assert_int_not_equal(give(f, frame, bytes), PATH_RETURN);
	}
	for (uint32_t cut = 0; cut < bytes; cut++) {
		memcpy(frame, sound, cut);
		assert_int_not_equal(give(f, frame, cut), PATH_RETURN);
	}
}

/* A flood of pings takes no time from anybody, and is nobody's amplifier. */
static void
test_pings_beyond_a_few_are_not_answered(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	uint32_t answered = 0;

	for (int i = 0; i < 1000; i++) {
		path_begin(&f->nodes[0].path, UINT32_MAX);
		answered += give(f, frame, ping(MTU, frame)) == PATH_RETURN;
	}
	assert_int_equal(answered, PATH_ECHO_BURST);
	assert_int_equal(
		f->nodes[0].path.counters.dropped[NET_DROP_ECHO_RATE], 1000 - PATH_ECHO_BURST);
	f->now_ns += PATH_ECHO_WINDOW_NS;
	assert_int_equal(give(f, frame, ping(MTU, frame)), PATH_RETURN);
	f->now_ns += PATH_ECHO_WINDOW_NS;
	path_begin(&f->nodes[0].path, 8); /* overloaded */
	assert_int_equal(give(f, frame, ping(MTU, frame)), PATH_DROP);
}

static void
test_pings_of_other_addresses_are_foreign(void **state)
{
	struct fixture *f = *state;
	struct ether_address from = { .ipv4 = STRANGER }, to = { .ipv4 = 0x0a0000ffu };
	uint8_t frame[ROOM];

	echo_encode(&from, &to, 5, ECHO_BYTES_SMALL, frame);
	assert_int_equal(give(f, frame, 14 + ECHO_BYTES_SMALL), PATH_DROP);
	assert_int_equal(f->received.drop, NET_DROP_FOREIGN);
	/* An answer that nobody asked for. */
	(void)ping(ECHO_BYTES_SMALL, frame);
	echo_answer(frame, stranger_mac);
	assert_int_equal(give(f, frame, 14 + ECHO_BYTES_SMALL), PATH_DROP);
}

static void
test_a_wire_that_loses_full_frames_is_noticed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reach_of(f, 0), NET_REACH_UNKNOWN);
	pass_time(f, 3000);
	assert_int_equal(reach_of(f, 0), NET_REACH_FULL);
	assert_int_equal(reach_of(f, 1), NET_REACH_FULL);
	f->packet_bytes_max = MTU - 1;
	pass_time(f, 80000);
	assert_int_equal(reach_of(f, 0), NET_REACH_NARROW);
	assert_int_equal(reach_of(f, 1), NET_REACH_NARROW);
	f->packet_bytes_max = MTU;
	pass_time(f, 3000);
	assert_int_equal(reach_of(f, 0), NET_REACH_FULL);
}

/* Nothing is lost for good by accident: some of the full ones in between are enough. */
static void
test_a_wire_that_loses_some_frames_is_not_narrow(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 10; i++) {
		f->packet_bytes_max = MTU - 1;
		pass_time(f, (PATH_ECHO_NARROW_ROUNDS - 2) * 1000);
		f->packet_bytes_max = MTU;
		pass_time(f, 1000);
		assert_int_not_equal(reach_of(f, 0), NET_REACH_NARROW);
	}
}

static void
test_a_silent_peer_is_not_narrow(void **state)
{
	struct fixture *f = *state;

	pass_time(f, 3000);
	f->packet_bytes_max = 0;
	pass_time(f, 80000);
	assert_int_equal(reach_of(f, 0), NET_REACH_FULL); /* what was last known */
}

static void
say_that_it_is_mine(struct fixture *f)
{
	struct ether_arp arp = { .sender_ipv4 = 0x0a000001u, .target_ipv4 = 0x0a000001u };
	uint8_t frame[ETHER_ARP_BYTES];

	memcpy(arp.sender_mac, stranger_mac, 6);
	ether_encode_arp(&arp, mac_of[1], frame);
	path_begin(&f->nodes[0].path, UINT32_MAX);
	(void)give(f, frame, sizeof(frame));
	assert_int_equal(f->received.drop, NET_DROP_ADDRESS_TAKEN);
}

/* The newcomer is the one who is wrong; a node that has lived for long is not talked out of its
 * address. */
static void
test_only_a_young_node_believes_that_its_address_is_taken(void **state)
{
	struct fixture *f = *state;

	pass_time(f, 3000);
	say_that_it_is_mine(f);
	assert_int_equal(f->nodes[0].neighbours.taken_by, 0);
	path_fini(&f->nodes[0].path);
	assert_int_equal(open_node(&f->nodes[0], 1, false), 0);
	pass_time(f, 100);
	say_that_it_is_mine(f);
	assert_memory_equal((const void *)&f->nodes[0].neighbours.taken_by, stranger_mac, 6);
}

/* A young node asks, so that whoever has its address says so. */
static void
test_a_young_node_asks_for_its_own_address(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	struct ether_arp arp;
	uint32_t asked = 0, bytes;
	uint16_t port;

	for (int i = 0; i < 300; i++) {
		f->now_ns += 10 * MS;
		while ((bytes = path_poll(&f->nodes[0].path, f->now_ns, frame, &port)) > 0)
			if (ether_decode_arp(frame, bytes, &arp) == NET_DROP_NONE &&
				ether_type(frame, bytes) == ETHER_TYPE_ARP &&
				arp.target_ipv4 == 0x0a000001u && arp.sender_ipv4 == 0)
				asked++;
	}
	assert_int_equal(asked, PATH_PROBE_COUNT);
}

/* Looking who is there opens no session: the peer would take the next real life for a twin. */
static void
test_a_probe_shakes_no_hands(void **state)
{
	struct fixture *f = *state;

	path_fini(&f->nodes[0].path);
	assert_int_equal(open_node(&f->nodes[0], 1, true), 0);
	pass_time(f, 1000);
	assert_int_equal(reach_of(f, 0), NET_REACH_FULL);
	assert_int_equal(f->nodes[0].path.counters.hellos_sent, 0);
	assert_false(f->nodes[1].path.peers[0].handshake.is_heard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_size_of_ping_is_answered),
		TEST(test_no_damaged_ping_is_answered),
		TEST(test_pings_beyond_a_few_are_not_answered),
		TEST(test_pings_of_other_addresses_are_foreign),
		TEST(test_a_wire_that_loses_full_frames_is_noticed),
		TEST(test_a_wire_that_loses_some_frames_is_not_narrow),
		TEST(test_a_silent_peer_is_not_narrow),
		TEST(test_only_a_young_node_believes_that_its_address_is_taken),
		TEST(test_a_young_node_asks_for_its_own_address),
		TEST(test_a_probe_shakes_no_hands),
	};

	return cmocka_run_group_tests_name("echo", tests, NULL, NULL);
}
