/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes and a client, whole Ethernet frames between them, no device and no clock. */
#include "tests/unit/net/common.h"

#include "net/path.h"
#include "net/udp_session.h"

#define ROOM 2048

static const uint8_t mac_of[3][6] = { { 0 }, { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
static const uint8_t client_mac[6] = { 2, 0, 0, 0, 0, 9 };
#define CLIENT_IPV4 0x0a000009u

struct node {
	struct path path;
	struct path_neighbours neighbours;
	struct net_peer_config peers[2];
};

struct fixture {
	struct node one, two;
	struct udp_session client; /* of node 1 */
	uint64_t now_ns;
	struct path_received received; /* of the last delivery */
	uint8_t answer[PATH_CONTROL_BYTES];
};

static struct net_config
config_of(struct node *node, uint16_t id, uint16_t peer_count)
{
	return (struct net_config){ .cluster_id = 7,
		.node_id = id,
		.boot_count = 1,
		.base_port = 4200,
		.shard_count = 2,
		.port_count = 1,
		.peers = node->peers,
		.peer_count = peer_count,
		.cluster_key = { 1 },
		.client_key = { 2 },
		.are_clients_allowed = true,
		.identity = (const uint8_t *)"id",
		.identity_bytes = 2 };
}

static int
open_node(struct node *node, uint16_t id, uint8_t life)
{
	struct net_config net = config_of(node, id, 1);
	struct path_port port = { .ipv4 = 0x0a000000u + id };
	struct path_config config = { .net = &net,
		.ports = &port,
		.seed = { life, (uint8_t)id },
		.neighbours = &node->neighbours };

	memset(&node->neighbours, 0, sizeof(node->neighbours));
	memcpy(port.mac, mac_of[id], 6);
	net.boot_count = life;
	node->peers[0] = (struct net_peer_config){
		.node_id = 3 - id, .ipv4 = 0x0a000000u + (3 - id), .base_port = 4200
	};
	return path_init(&node->path, &config);
}

static int
setup(void **state)
{
	static struct fixture f;
	struct udp_session_config client = {
		.cluster_id = 7, .node_id = 1, .client_key = { 2 }, .token = { 3 }
	};

	f.now_ns = 1000 * MS;
	*state = &f;
	return open_node(&f.one, 1, 1) | open_node(&f.two, 2, 1) |
	       udp_session_init(&f.client, &client);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	path_fini(&f->one.path);
	path_fini(&f->two.path);
	udp_session_fini(&f->client);
	return 0;
}

/* @return why it was dropped; answers go into f->answer */
static enum net_drop
give(struct fixture *f, struct node *to, uint8_t *frame, uint32_t bytes)
{
	path_begin(&to->path, UINT32_MAX);
	path_receive(&to->path, f->now_ns, 0, frame, bytes, false, f->answer, &f->received);
	return f->received.drop;
}

/* Deliver a frame and every answer that it causes. */
static void
exchange(struct fixture *f, struct node *to, uint8_t *frame, uint32_t bytes)
{
	uint8_t copy[PATH_CONTROL_BYTES];

	while (bytes > 0) {
		memcpy(copy, frame, bytes);
		(void)give(f, to, copy, bytes); /* the outcome is looked at by the test */
		bytes = f->received.answer_bytes;
		frame = f->answer;
		to = to == &f->one ? &f->two : &f->one;
	}
}

/* What both nodes have to say of their own accord, for a while. */
static void
pass_time(struct fixture *f, int ticks)
{
	uint8_t frame[PATH_CONTROL_BYTES];
	uint16_t port;
	uint32_t bytes;

	for (int i = 0; i < ticks; i++) {
		f->now_ns += 10 * MS;
		while ((bytes = path_poll(&f->one.path, f->now_ns, frame, &port)) > 0)
			exchange(f, &f->two, frame, bytes);
		while ((bytes = path_poll(&f->two.path, f->now_ns, frame, &port)) > 0)
			exchange(f, &f->one, frame, bytes);
	}
}

static uint32_t
seal(struct fixture *f, struct node *from, struct net_endpoint to, uint8_t *frame)
{
	uint16_t port;

	(void)f;
	memset(frame + PATH_HEADER_BYTES, 0x5a, 100);
	assert_int_equal(path_seal(&from->path, &to, frame, 100, &port), NET_DROP_NONE);
	return PATH_HEADER_BYTES + 100;
}

static void
connect_nodes(struct fixture *f)
{
	pass_time(f, 30);
	assert_true(f->one.path.peers[0].handshake.is_confirmed);
	assert_true(f->two.path.peers[0].handshake.is_confirmed);
}

static void
test_nodes_find_each_other_by_arp_and_talk(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	uint32_t bytes;

	connect_nodes(f);
	bytes = seal(f, &f->one, (struct net_endpoint){ .node_id = 2 }, frame);
	assert_memory_equal(frame, mac_of[2], 6);
	assert_int_equal(give(f, &f->two, frame, bytes), NET_DROP_NONE);
	assert_int_equal(f->received.verdict, PATH_DELIVER);
	assert_int_equal(f->received.payload_bytes, 100);
	assert_ptr_equal(f->received.payload, frame + PATH_HEADER_BYTES);
	assert_int_equal(f->received.peer.node_id, 1);
	assert_int_equal(give(f, &f->two, frame, bytes), NET_DROP_REPLAY);
}

static void
test_nothing_is_sent_before_address_and_session_are_known(void **state)
{
	struct fixture *f = *state;
	struct net_endpoint to = { .node_id = 2 }, stranger = { .node_id = 5 };
	uint8_t frame[ROOM];
	uint16_t port;

	assert_int_equal(path_seal(&f->one.path, &to, frame, 10, &port), NET_DROP_SEND_NO_SESSION);
	assert_int_equal(
		path_seal(&f->one.path, &stranger, frame, 10, &port), NET_DROP_PEER_UNKNOWN);
}

static void
test_restarted_node_talks_again_and_old_frames_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t old[ROOM], frame[ROOM];
	uint32_t bytes;

	connect_nodes(f);
	bytes = seal(f, &f->two, (struct net_endpoint){ .node_id = 1 }, old);
	path_fini(&f->two.path);
	assert_int_equal(open_node(&f->two, 2, 2), 0);
	connect_nodes(f);
	assert_int_equal(give(f, &f->one, old, bytes), NET_DROP_TAG);
	bytes = seal(f, &f->two, (struct net_endpoint){ .node_id = 1 }, frame);
	assert_int_equal(give(f, &f->one, frame, bytes), NET_DROP_NONE);
}

/* No damaged frame is ever delivered, whichever layer notices. */
static void
test_no_flipped_bit_is_delivered(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM], copy[ROOM];
	uint32_t bytes;

	connect_nodes(f);
	bytes = seal(f, &f->one, (struct net_endpoint){ .node_id = 2 }, frame);
	/* From the IPv4 header on, but for UDP's source port and checksum, which nobody relies on
	 * when there is a tag. MAC addresses are not checked either. */
	for (uint32_t bit = 14 * 8; bit < 8 * bytes; bit++) {
		uint32_t at = bit / 8;

		if (at == 34 || at == 35 || at == 40 || at == 41)
			continue;
		memcpy(copy, frame, bytes);
		copy[at] ^= (uint8_t)(1 << bit % 8);
		(void)give(f, &f->two, copy, bytes);
		assert_int_not_equal(f->received.verdict, PATH_DELIVER);
	}
	assert_int_equal(give(f, &f->two, frame, bytes), NET_DROP_NONE);
}

struct foreign {
	const char *name;
	uint32_t at; /* byte to change */
	uint8_t change;
	enum net_drop drop;
};

/* Each reason has its counter. IPv4 and UDP checksums are mended before delivery. */
static const struct foreign foreigners[] = {
	{ "other EtherType", 12, 0x80, NET_DROP_FOREIGN },
	{ "other IPv4 address", 33, 0x01, NET_DROP_FOREIGN },
	{ "other UDP port", 36, 0x01, NET_DROP_FOREIGN },
	{ "UDP port of another shard", 37, 0x01, NET_DROP_SHARD },
	{ "other magic", 42, 0x01, NET_DROP_FRAME_MALFORMED },
	{ "no version", 44, 0x01, NET_DROP_FRAME_MALFORMED },
	{ "other version", 44, 0x02, NET_DROP_TAG },
	{ "other kind", 45, 0x04, NET_DROP_FRAME_MALFORMED },
	{ "unknown peer", 46, 0x08, NET_DROP_PEER_UNKNOWN },
	{ "other node", 48, 0x08, NET_DROP_NODE },
	{ "shards of unequal number", 50, 0x01, NET_DROP_SHARD },
	{ "other payload length", 52, 0x01, NET_DROP_FRAME_MALFORMED },
	{ "other cluster", 58, 0x01, NET_DROP_CLUSTER },
	{ "other counter", 66, 0x01, NET_DROP_TAG },
	{ "other tag", 74, 0x01, NET_DROP_TAG },
	{ "other payload", 90, 0x01, NET_DROP_TAG },
};

static void
test_foreign_frame_is_counted(void **state)
{
	const struct foreign *row = *state;
	struct fixture *f;
	uint8_t frame[ROOM];
	uint32_t bytes;
	uint16_t checksum = 0;

	assert_int_equal(setup((void **)&f), 0);
	connect_nodes(f);
	bytes = seal(f, &f->one, (struct net_endpoint){ .node_id = 2 }, frame);
	frame[row->at] ^= row->change;
	memcpy(frame + 24, &checksum, sizeof(checksum));
	checksum = ether_fold(ether_sum(frame + 14, 20, 0));
	memcpy(frame + 24, &checksum, sizeof(checksum));
	frame[40] = frame[41] = 0;
	assert_int_equal(give(f, &f->two, frame, bytes), row->drop);
	assert_int_equal(f->received.verdict, PATH_DROP);
	assert_int_equal(f->two.path.counters.dropped[row->drop], 1);
	assert_int_equal(teardown((void **)&f), 0);
}

static void
test_frame_of_another_shard_is_handed_over(void **state)
{
	struct fixture *f = *state;
	struct frame_header h = { .kind = FRAME_DATA,
		.version = 1,
		.source_node = 1,
		.target_node = 2,
		.source_shard = 1,
		.target_shard = 1,
		.payload_bytes = 4,
		.cluster_id = 7,
		.counter = 1 };
	struct ether_address from = { .ipv4 = 0x0a000001 }, to = { .ipv4 = 0x0a000002 };
	uint8_t frame[PATH_HEADER_BYTES + 4] = { 0 };

	to.udp_port = 4201;
	frame_encode(&h, frame + ETHER_UDP_BYTES);
	ether_encode_udp(&from, &to, FRAME_HEADER_BYTES + 4, false, frame);
	assert_int_equal(give(f, &f->two, frame, sizeof(frame)), NET_DROP_NONE);
	assert_int_equal(f->received.verdict, PATH_HANDOVER);
	assert_int_equal(f->received.shard, 1);
}

/* A flood of hellos costs a hash each: only so many per burst. */
static void
test_hellos_are_bounded_per_burst(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[PATH_CONTROL_BYTES], copy[PATH_CONTROL_BYTES];
	uint16_t port;
	uint32_t bytes = 0;

	pass_time(f, 30);
	f->one.path.peers[0].handshake.is_confirmed = false;
	f->now_ns += 1000 * MS;
	bytes = path_poll(&f->one.path, f->now_ns, frame, &port);
	assert_true(bytes > ETHER_ARP_BYTES);
	path_begin(&f->two.path, UINT32_MAX);
	for (int i = 0; i < PATH_HELLO_BURST + 5; i++) {
		memcpy(copy, frame, bytes);
		path_receive(
			&f->two.path, f->now_ns, 0, copy, bytes, false, f->answer, &f->received);
	}
	assert_int_equal(f->two.path.counters.dropped[NET_DROP_HELLO_RATE], 5);
}

/* ------------------------------------------------------------------ clients */

static uint32_t
wrap_client(uint8_t *frame, uint32_t datagram_bytes, uint32_t ipv4, uint16_t udp_port)
{
	struct ether_address from = { .ipv4 = ipv4, .udp_port = udp_port };
	struct ether_address to = { .ipv4 = 0x0a000001, .udp_port = 4200 };

	memcpy(from.mac, client_mac, 6);
	memcpy(to.mac, mac_of[1], 6);
	ether_encode_udp(&from, &to, datagram_bytes, false, frame);
	return ETHER_UDP_BYTES + datagram_bytes;
}

/* Let a client and node 1 shake hands. @return true if a session came of it */
static bool
connect_client(struct fixture *f, struct udp_session *client, uint8_t nonce)
{
	uint8_t random[NONCE_BYTES] = { nonce, 0x77 };
	uint64_t before = client->session_count;

	for (int i = 0; i < 10 && client->session_count == before; i++) {
		uint8_t frame[PATH_CONTROL_BYTES];
		const uint8_t *payload;
		uint32_t bytes;

		f->now_ns += 10 * MS;
		bytes = udp_session_hello(client, f->now_ns, random, frame + ETHER_UDP_BYTES);
		if (bytes == 0)
			continue;
		bytes = wrap_client(frame, bytes, CLIENT_IPV4, 5000);
		(void)give(f, &f->one, frame, bytes);
		if (f->received.answer_bytes > 0)
			(void)udp_session_receive(client, f->now_ns, f->answer + ETHER_UDP_BYTES,
				f->received.answer_bytes - ETHER_UDP_BYTES, &payload, &bytes);
	}
	return client->session_count != before;
}

static enum net_drop
client_says(struct fixture *f, struct udp_session *client, uint16_t udp_port, uint8_t *frame)
{
	uint8_t *datagram = frame + ETHER_UDP_BYTES;
	uint32_t bytes;

	memset(datagram + UDP_SESSION_HEADER_BYTES, 1, 20);
	bytes = udp_session_seal(client, f->now_ns, datagram, 20);
	bytes = wrap_client(frame, bytes, CLIENT_IPV4, udp_port);
	return give(f, &f->one, frame, bytes);
}

static void
test_client_talks_and_is_answered_where_it_spoke_last(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	const uint8_t *payload;
	uint32_t bytes;

	assert_true(connect_client(f, &f->client, 1));
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NONE);
	assert_int_equal(f->received.peer.node_id, 0);
	assert_int_equal(f->received.payload_bytes, 20);
	assert_int_equal(client_says(f, &f->client, 5001, frame), NET_DROP_NONE);
	bytes = seal(f, &f->one, f->received.peer, frame);
	assert_memory_equal(frame, client_mac, 6);
	assert_memory_equal(frame + 36, "\x13\x89", 2); /* 5001 */
	assert_int_equal(udp_session_receive(&f->client, f->now_ns, frame + ETHER_UDP_BYTES,
				 bytes - ETHER_UDP_BYTES, &payload, &bytes),
		NET_DROP_NONE);
	assert_int_equal(bytes, 100);
	assert_int_equal(payload[99], 0x5a);
}

static void
test_repeated_client_frame_is_refused_and_moves_no_address(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	struct net_endpoint peer;

	assert_true(connect_client(f, &f->client, 1));
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NONE);
	peer = f->received.peer;
	wrap_client(frame, FRAME_HEADER_BYTES + 20, 0x0a000066, 6666);
	assert_int_equal(give(f, &f->one, frame, PATH_HEADER_BYTES + 20), NET_DROP_REPLAY);
	(void)seal(f, &f->one, peer, frame);
	assert_memory_equal(frame + 36, "\x13\x88", 2); /* 5000 */
}

static void
test_client_with_the_wrong_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct udp_session_config config = f->client.config;
	struct udp_session stranger;

	config.client_key[0] ^= 1;
	assert_int_equal(udp_session_init(&stranger, &config), 0);
	assert_false(connect_client(f, &stranger, 1));
	assert_true(f->one.path.counters.dropped[NET_DROP_HELLO_TAG] > 0);
	udp_session_fini(&stranger);
}

/* While the client key is being changed both are good, each client is answered under its own;
 * afterwards the new one is. */
static void
test_two_client_keys_are_live(void **state)
{
	struct fixture *f = *state;
	struct udp_session_config config = f->client.config;
	struct udp_session other;

	config.client_key[0] ^= 1;
	config.token[0] ^= 1;
	assert_int_equal(udp_session_init(&other, &config), 0);
	assert_false(connect_client(f, &other, 1));
	memcpy(f->one.path.clients.secrets[1], config.client_key, NET_KEY_BYTES);
	clients_fini(&f->one.path.clients);
	f->one.path.clients.secret_count = 2;
	assert_int_equal(clients_init(&f->one.path.clients), 0);
	assert_true(connect_client(f, &other, 2));
	assert_true(connect_client(f, &f->client, 3));
	udp_session_fini(&other);
}

/* The two keys open different doors: whoever holds the client key cannot be a node. */
static void
test_client_key_does_not_speak_for_a_node(void **state)
{
	struct fixture *f = *state;
	struct handshake_config config = { .auth = &f->client.auth,
		.ends = { .cluster_id = 7, .local_node = 2, .remote_node = 1 },
		.secret = f->client.config.client_key,
		.nonce = { 1 },
		.boot_count = 99 };
	struct handshake impostor;
	uint8_t frame[PATH_CONTROL_BYTES];
	uint32_t bytes;

	handshake_init(&impostor, &config);
	bytes = handshake_poll(&impostor, f->now_ns, frame + ETHER_UDP_BYTES);
	bytes = wrap_client(frame, bytes, 0x0a000002, 4200);
	assert_int_equal(give(f, &f->one, frame, bytes), NET_DROP_HELLO_TAG);
}

/* And the other way round, so that a leaked configuration of a node's pair is no client either. */
static void
test_cluster_key_does_not_speak_for_a_client(void **state)
{
	struct fixture *f = *state;
	struct udp_session_config config = f->client.config;
	struct udp_session impostor;

	memcpy(config.client_key, f->one.path.cluster_key, NET_KEY_BYTES);
	assert_int_equal(udp_session_init(&impostor, &config), 0);
	assert_false(connect_client(f, &impostor, 1));
	udp_session_fini(&impostor);
}

/* A recording of a client's handshake must not bring back an old key with its counters at zero. */
static void
test_replayed_client_handshake_opens_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t random[NONCE_BYTES] = { 1 }, proof[PATH_CONTROL_BYTES], copy[PATH_CONTROL_BYTES];
	uint8_t old_data[ROOM];
	const uint8_t *payload;
	uint32_t bytes, proof_bytes;

	bytes = udp_session_hello(&f->client, f->now_ns, random, proof + ETHER_UDP_BYTES);
	(void)give(f, &f->one, proof, wrap_client(proof, bytes, CLIENT_IPV4, 5000));
	(void)udp_session_receive(&f->client, f->now_ns, f->answer + ETHER_UDP_BYTES,
		f->received.answer_bytes - ETHER_UDP_BYTES, &payload, &bytes);
	bytes = udp_session_hello(&f->client, f->now_ns, random, proof + ETHER_UDP_BYTES);
	proof_bytes = wrap_client(proof, bytes, CLIENT_IPV4, 5000);
	memcpy(copy, proof, proof_bytes);
	(void)give(f, &f->one, copy, proof_bytes);
	(void)udp_session_receive(&f->client, f->now_ns, f->answer + ETHER_UDP_BYTES,
		f->received.answer_bytes - ETHER_UDP_BYTES, &payload, &bytes);
	assert_true(udp_session_is_established(&f->client));
	assert_int_equal(client_says(f, &f->client, 5000, old_data), NET_DROP_NONE);

	/* Replayed into the live session: nothing is reset. */
	memcpy(copy, proof, proof_bytes);
	(void)give(f, &f->one, copy, proof_bytes);
	assert_int_equal(give(f, &f->one, old_data, PATH_HEADER_BYTES + 20), NET_DROP_REPLAY);

	/* Replayed after the client has opened another session: it proves nothing any more. */
	f->client.is_established = false;
	assert_true(connect_client(f, &f->client, 2));
	memcpy(copy, proof, proof_bytes);
	(void)give(f, &f->one, copy, proof_bytes);
	assert_int_not_equal(give(f, &f->one, old_data, PATH_HEADER_BYTES + 20), NET_DROP_NONE);
	assert_int_equal(client_says(f, &f->client, 5000, old_data), NET_DROP_NONE);
}

static void
test_client_finds_a_restarted_node_again(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];

	assert_true(connect_client(f, &f->client, 1));
	path_fini(&f->one.path);
	assert_int_equal(open_node(&f->one, 1, 2), 0);
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NO_SESSION);
	assert_false(connect_client(f, &f->client, 2)); /* it may just be slow */
	f->now_ns += UDP_SESSION_SILENCE_NS;
	assert_true(connect_client(f, &f->client, 3));
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NONE);
}

/* @return how many of count clients with tokens from first got a session */
static int
connect_many(struct fixture *f, int first, int count)
{
	int connected = 0;

	for (int i = first; i < first + count; i++) {
		struct udp_session_config config = f->client.config;
		struct udp_session client;

		config.token[0] = (uint8_t)i;
		config.token[1] = (uint8_t)(i >> 8);
		config.token[15] = 1;
		assert_int_equal(udp_session_init(&client, &config), 0);
		connected += connect_client(f, &client, 1);
		udp_session_fini(&client);
	}
	return connected;
}

static void
test_full_table_refuses_newcomers_until_somebody_is_silent(void **state)
{
	struct fixture *f = *state;
	struct net_endpoint old;
	uint8_t frame[ROOM];
	uint16_t port;

	assert_true(connect_client(f, &f->client, 1));
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NONE);
	old = f->received.peer;
	/* Each takes 20 ms, so the first would be silent for 10 s before the last arrives. */
	f->now_ns += 60000 * MS;
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NONE);
	for (uint32_t i = 0; i < NET_CLIENT_COUNT_MAX; i++)
		f->one.path.clients.places[i].heard_ns = f->now_ns;
	f->one.path.clients.count = NET_CLIENT_COUNT_MAX;
	assert_int_equal(connect_many(f, 0, 3), 0);
	assert_true(f->one.path.counters.dropped[NET_DROP_CLIENT_TABLE_FULL] > 0);
	f->one.path.clients.places[old.client].heard_ns = f->now_ns - CLIENT_SILENCE_NS;
	assert_int_equal(connect_many(f, 10, 2), 1);

	/* The place is another's now: what was meant for the first is not sent to the second. */
	assert_int_equal(path_seal(&f->one.path, &old, frame, 10, &port), NET_DROP_SEND_NO_SESSION);
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NO_SESSION);
}

static void
test_client_frames_beyond_the_bound_are_dropped_unread(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	uint32_t bytes;

	assert_true(connect_client(f, &f->client, 1));
	path_begin(&f->one.path, 2);
	for (int i = 0; i < 5; i++) {
		bytes = udp_session_seal(&f->client, f->now_ns, frame + ETHER_UDP_BYTES, 20);
		bytes = wrap_client(frame, bytes, CLIENT_IPV4, 5000);
		path_receive(
			&f->one.path, f->now_ns, 0, frame, bytes, false, f->answer, &f->received);
		assert_int_equal(f->received.verdict, i < 2 ? PATH_DELIVER : PATH_DROP);
	}
	assert_int_equal(f->one.path.counters.dropped[NET_DROP_CLIENT_FLOOD], 3);
}

static void
test_client_drops_frames_that_are_not_its_nodes(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[ROOM];
	const uint8_t *payload;
	uint32_t bytes, payload_bytes;

	assert_true(connect_client(f, &f->client, 1));
	assert_int_equal(client_says(f, &f->client, 5000, frame), NET_DROP_NONE);
	bytes = seal(f, &f->one, f->received.peer, frame) - ETHER_UDP_BYTES;
	for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
		uint8_t *at = &frame[ETHER_UDP_BYTES + bit / 8];

		*at ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(
			udp_session_receive(&f->client, f->now_ns, frame + ETHER_UDP_BYTES, bytes,
				&payload, &payload_bytes),
			NET_DROP_NONE);
		assert_null(payload);
		*at ^= (uint8_t)(1 << bit % 8);
	}
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_not_equal(udp_session_receive(&f->client, f->now_ns,
					     frame + ETHER_UDP_BYTES, i, &payload, &payload_bytes),
			NET_DROP_NONE);
	assert_int_equal(udp_session_receive(&f->client, f->now_ns, frame + ETHER_UDP_BYTES, bytes,
				 &payload, &payload_bytes),
		NET_DROP_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ROW(i)                                                                                     \
	{                                                                                          \
		.name = foreigners[i].name, .test_func = test_foreign_frame_is_counted,            \
		.initial_state = (void *)(uintptr_t)&foreigners[i]                                 \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nodes_find_each_other_by_arp_and_talk),
		TEST(test_nothing_is_sent_before_address_and_session_are_known),
		TEST(test_restarted_node_talks_again_and_old_frames_are_refused),
		TEST(test_no_flipped_bit_is_delivered),
		TEST(test_frame_of_another_shard_is_handed_over),
		TEST(test_hellos_are_bounded_per_burst),
		TEST(test_client_talks_and_is_answered_where_it_spoke_last),
		TEST(test_repeated_client_frame_is_refused_and_moves_no_address),
		TEST(test_client_with_the_wrong_key_is_refused),
		TEST(test_two_client_keys_are_live),
		TEST(test_client_key_does_not_speak_for_a_node),
		TEST(test_cluster_key_does_not_speak_for_a_client),
		TEST(test_replayed_client_handshake_opens_nothing),
		TEST(test_client_finds_a_restarted_node_again),
		TEST(test_full_table_refuses_newcomers_until_somebody_is_silent),
		TEST(test_client_frames_beyond_the_bound_are_dropped_unread),
		TEST(test_client_drops_frames_that_are_not_its_nodes),
	};
	const struct CMUnitTest rows[] = { ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6),
		ROW(7), ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15) };

	static_assert(sizeof(rows) / sizeof(rows[0]) == sizeof(foreigners) / sizeof(foreigners[0]),
		"every row is a test");
	return cmocka_run_group_tests_name("path", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("foreign frames", rows, NULL, NULL);
}
