/* SPDX-License-Identifier: Apache-2.0 */
/* A client's socket, the thread with the kernel's sockets, and this thread as the shard. */
#include "tests/unit/net/common.h"

#include "base/clock.h"
#include "net/local.h"
#include "net/udp_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define IPV4      0x7f4c4f43u /* of loopback */
#define ROOM      2048
#define BURST     1000 /* several times what the rings hold */
#define PATIENCE  (20000 * MS)
#define PORT_STEP 8

struct fixture {
	struct net_config net;
	struct local *local;
	pthread_t thread;
	struct local_shard *shard;
	struct udp_session client;
	struct sockaddr_in node;
	int fd;
	uint32_t echoed; /* payloads that the shard has sent back */
};

static int
open_somewhere(struct fixture *f)
{
	int rc = -EADDRINUSE;

	for (uint16_t i = 0; i < 1000 && rc == -EADDRINUSE; i++) {
		f->net.base_port = (uint16_t)(20000 + PORT_STEP * i);
		rc = local_open(&f->net, IPV4, &f->local);
	}
	return rc;
}

static int
setup(void **state)
{
	static struct fixture f;
	struct udp_session_config client = {
		.cluster_id = 7, .node_id = 1, .shard = 1, .client_key = { 2 }, .token = { 3 }
	};

	f = (struct fixture){ .net = { .cluster_id = 7,
				      .node_id = 1,
				      .boot_count = 1,
				      .shard_count = 2,
				      .client_key = { 2 },
				      .are_clients_allowed = true,
				      .identity = (const uint8_t *)"id",
				      .identity_bytes = 2 } };
	*state = &f;
	assert_int_equal(open_somewhere(&f), 0);
	f.shard = local_shard(f.local, 1);
	f.node = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(IPV4),
		.sin_port = htons((uint16_t)(f.net.base_port + 1)) };
	f.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(f.fd >= 0);
	assert_int_equal(udp_session_init(&f.client, &client), 0);
	assert_int_equal(pthread_create(&f.thread, NULL, local_main, f.local), 0);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	local_stop(f->local);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	local_close(f->local);
	udp_session_fini(&f->client);
	(void)close(f->fd);
	return 0;
}

/* A turn of the shard's loop: every payload goes back to where it came from. */
static void
turn(struct fixture *f)
{
	struct net_frame in[NET_BURST], out[NET_BURST];
	uint64_t now = base_now_ns();
	uint32_t count = local_ops.recv(f->shard, now, in, NET_BURST);
	uint32_t room = local_ops.alloc(f->shard, out, count);

	for (uint32_t i = 0; i < room; i++) {
		memcpy(out[i].payload, in[i].payload, in[i].payload_bytes);
		out[i].payload_bytes = in[i].payload_bytes;
		out[i].peer = in[i].peer;
	}
	if (count > 0)
		local_ops.release(f->shard, in, count);
	local_ops.send(f->shard, now, out, room);
	f->echoed += room;
}

static void
client_send(struct fixture *f, const uint8_t *datagram, uint32_t bytes)
{
	if (bytes > 0)
		(void)sendto(f->fd, datagram, bytes, 0, (const struct sockaddr *)&f->node,
			sizeof(f->node));
}

static void
client_hello(struct fixture *f)
{
	uint8_t datagram[ROOM], random[16];

	assert_int_equal(getrandom(random, sizeof(random), 0), sizeof(random));
	client_send(f, datagram, udp_session_hello(&f->client, base_now_ns(), random, datagram));
}

static void
client_say(struct fixture *f, uint32_t number)
{
	uint8_t datagram[ROOM];

	memcpy(datagram + UDP_SESSION_HEADER_BYTES, &number, sizeof(number));
	client_send(
		f, datagram, udp_session_seal(&f->client, base_now_ns(), datagram, sizeof(number)));
}

/* @return whether a payload came */
static bool
client_hears(struct fixture *f, uint32_t *ret_number)
{
	uint8_t datagram[ROOM];
	const uint8_t *payload = NULL;
	uint32_t bytes;
	ssize_t got = recv(f->fd, datagram, sizeof(datagram), 0);

	if (got <= 0 || udp_session_receive(&f->client, base_now_ns(), datagram, (uint32_t)got,
				&payload, &bytes) != NET_DROP_NONE)
		return false;
	if (payload == NULL) {
		client_hello(f); /* the next step of the handshake */
		return false;
	}
	assert_int_equal(bytes, sizeof(*ret_number));
	memcpy(ret_number, payload, sizeof(*ret_number));
	return true;
}

static void
connect_client(struct fixture *f)
{
	uint64_t until = base_now_ns() + PATIENCE;
	uint32_t number;

	while (!udp_session_is_established(&f->client) && base_now_ns() < until) {
		client_hello(f);
		turn(f);
		(void)client_hears(f, &number);
	}
	assert_true(udp_session_is_established(&f->client));
}

/* Again and again, as a client does that waits. */
static void
ask(struct fixture *f, uint32_t number)
{
	uint64_t until = base_now_ns() + PATIENCE;
	uint32_t heard = number + 1;

	while (heard != number && base_now_ns() < until) {
		client_say(f, number);
		turn(f);
		while (client_hears(f, &heard) && heard != number)
			;
	}
	assert_int_equal(heard, number);
}

/* What a socket brings gets through handshake and tag to the shard, and its answers get back. */
static void
test_client_is_answered(void **state)
{
	struct fixture *f = *state;

	connect_client(f);
	for (uint32_t i = 0; i < 100; i++)
		ask(f, i);
	assert_true(atomic_load(&local_shard_counters(f->local, 1)->received) >= 100);
	assert_int_equal(atomic_load(&local_shard_counters(f->local, 0)->received), 0);
}

/* More than the rings hold is lost or waits, and every buffer comes back. */
static void
test_flood_loses_no_buffer(void **state)
{
	struct fixture *f = *state;
	struct net_frame frames[NET_BURST];
	uint32_t number;

	connect_client(f);
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < BURST; i++)
			client_say(f, i);
		for (uint32_t i = 0; i < 20; i++)
			turn(f);
	}
	assert_true(f->echoed > 0);
	ask(f, BURST);
	while (client_hears(f, &number))
		;
	for (uint32_t i = 0; i < 100; i++) {
		uint64_t until = base_now_ns() + PATIENCE;
		uint32_t count = 0;

		while (count == 0 && base_now_ns() < until)
			count = local_ops.alloc(f->shard, frames, NET_BURST);
		assert_int_equal(count, NET_BURST);
		for (uint32_t k = 0; k < count; k++) {
			frames[k].payload_bytes = 1;
			frames[k].peer = (struct net_endpoint){ .client = 9 }; /* nobody */
		}
		local_ops.send(f->shard, base_now_ns(), frames, count);
	}
}

/* Whoever holds another key gets no session, and the shard no payload. */
static void
test_another_key_is_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t until = base_now_ns() + PATIENCE;
	const struct net_counters *counters = local_shard_counters(f->local, 1);
	uint32_t number;

	f->client.send_key[0] ^= 1;
	while (atomic_load(&counters->dropped[NET_DROP_HELLO_TAG]) < 3 && base_now_ns() < until) {
		client_hello(f);
		turn(f);
		assert_false(client_hears(f, &number));
	}
	assert_true(atomic_load(&counters->dropped[NET_DROP_HELLO_TAG]) >= 3);
	assert_false(udp_session_is_established(&f->client));
}

/* Two nodes of one address are a mistake that has to be told. */
static void
test_taken_address(void **state)
{
	struct fixture *f = *state;
	struct local *other = NULL;

	assert_int_equal(local_open(&f->net, IPV4, &other), -EADDRINUSE);
	assert_null(other);
}

/* A node without such sockets: nobody is heard, and what is said to somebody is not even written. */
static void
test_nobody_there(void **state)
{
	struct net_frame frames[NET_BURST];

	(void)state;
	assert_int_equal(local_ops.recv(NULL, 1, frames, NET_BURST), 0);
	assert_int_equal(local_ops.alloc(NULL, frames, NET_BURST), 0);
	local_ops.tick(NULL, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_client_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood_loses_no_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_key_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_address, setup, teardown),
		cmocka_unit_test(test_nobody_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
