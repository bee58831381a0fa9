/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a memif client is begun anew, and on which thread, against a driver whose connections take
 * as long as a test says: functions that the linker puts before DPDK's. Virtual time, one thread.
 */
#include "tests/unit/net/common.h"

#include "net/node.h"

#include <rte_alarm.h>
#include <stdio.h>

struct fixture {
	struct net_node node;
	struct net shard;
	uint64_t now_ns;
	uint64_t handshake_ns; /* what a connection takes, if nobody begins it anew */
	uint64_t started_ns;
	bool is_started, is_server_there, is_turned_away, is_on_interrupt_thread;
	uint32_t start_count, stop_count;
};

static struct fixture fixture;

int __wrap_rte_eth_dev_start(uint16_t port);
int __wrap_rte_eth_dev_stop(uint16_t port);
int __wrap_rte_eth_link_get_nowait(uint16_t port, struct rte_eth_link *ret_link);
bool __wrap_device_has_connection(const char *device);
int __wrap_rte_eal_alarm_set(uint64_t us, rte_eal_alarm_callback call, void *context);

int
__wrap_rte_eth_dev_start(uint16_t port)
{
	(void)port;
	assert_false(fixture.is_started);
	if (!fixture.is_server_there)
		return -1;
	fixture.is_started = true;
	fixture.started_ns = fixture.now_ns;
	fixture.start_count++;
	return 0;
}

/* The driver frees, without a lock, what a message from the peer may free at the same moment on
 * that thread. */
int
__wrap_rte_eth_dev_stop(uint16_t port)
{
	(void)port;
	assert_true(fixture.is_on_interrupt_thread);
	fixture.is_started = false;
	fixture.stop_count++;
	return 0;
}

int
__wrap_rte_eth_link_get_nowait(uint16_t port, struct rte_eth_link *ret_link)
{
	(void)port;
	ret_link->link_status =
		fixture.is_started && fixture.is_server_there &&
				fixture.now_ns - fixture.started_ns >= fixture.handshake_ns
			? RTE_ETH_LINK_UP
			: RTE_ETH_LINK_DOWN;
	return 0;
}

int
__wrap_rte_eal_alarm_set(uint64_t us, rte_eal_alarm_callback call, void *context)
{
	(void)us;
	fixture.is_on_interrupt_thread = true;
	call(context);
	fixture.is_on_interrupt_thread = false;
	return 0;
}

/* The driver's socket: it closes it when the server turns it away, or is gone. */
bool
__wrap_device_has_connection(const char *device)
{
	assert_string_equal(device, fixture.node.ports[0].device);
	return fixture.is_started && fixture.is_server_there && !fixture.is_turned_away;
}

static int
setup(void **state)
{
	struct port *port = &fixture.node.ports[0];
	char error[DECREE_ERROR_BYTES];

	(void)state;
	memset(&fixture, 0, sizeof(fixture));
	fixture.now_ns = 1000 * MS;
	fixture.is_server_there = true;
	fixture.shard.node = &fixture.node;
	fixture.node.shards = &fixture.shard;
	fixture.node.shard_count = 1;
	fixture.node.port_count = 1;
	snprintf(port->device, sizeof(port->device), "net_memif2,role=client");
	port->is_memif_client = true;
	port->queue_count = 1;
	assert_int_equal(port_start(&fixture.node, port, error), 0);
	return 0;
}

static bool
is_up(void)
{
	return atomic_load(&fixture.node.ports[0].is_up);
}

/* The control thread looks each 10 ms, and the shard at least as often. */
static void
pass_time(uint64_t for_ns)
{
	for (uint64_t until = fixture.now_ns + for_ns; fixture.now_ns < until;) {
		fixture.now_ns += 10 * MS;
		link_sync(&fixture.shard);
		link_step(&fixture.node, 0, fixture.now_ns);
	}
}

/* Begun anew each quarter of a second it would never come about, and what is ended half made may
 * crash either side. */
static void
test_a_slow_handshake_is_left_alone(void **state)
{
	(void)state;
	fixture.handshake_ns = 8000 * MS;
	pass_time(9000 * MS);
	assert_true(is_up());
	assert_int_equal(fixture.start_count, 1);
	assert_int_equal(fixture.stop_count, 0);
}

/* A server whose process has a socket but not started its port yet. */
static void
test_who_is_turned_away_comes_again(void **state)
{
	(void)state;
	fixture.is_turned_away = true;
	fixture.handshake_ns = UINT64_MAX;
	pass_time(2000 * MS);
	assert_true(fixture.start_count > 5);
	assert_int_equal(fixture.stop_count, fixture.start_count - 1);
	fixture.is_turned_away = false;
	fixture.handshake_ns = 50 * MS;
	pass_time(500 * MS);
	assert_true(is_up());
}

static void
test_a_connection_that_is_stuck_is_begun_anew(void **state)
{
	(void)state;
	fixture.handshake_ns = UINT64_MAX;
	pass_time(60000 * MS);
	assert_true(fixture.start_count > 3);
	assert_false(is_up());
}

/* A killed server that is there again has its link within a moment. */
static void
test_a_link_that_was_up_is_begun_anew_at_once(void **state)
{
	(void)state;
	fixture.handshake_ns = 20 * MS;
	pass_time(3000 * MS);
	assert_true(is_up());
	fixture.is_server_there = false;
	pass_time(5000 * MS);
	assert_false(is_up());
	fixture.is_server_there = true;
	pass_time(100 * MS);
	assert_true(is_up());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_slow_handshake_is_left_alone, setup),
		cmocka_unit_test_setup(test_who_is_turned_away_comes_again, setup),
		cmocka_unit_test_setup(test_a_connection_that_is_stuck_is_begun_anew, setup),
		cmocka_unit_test_setup(test_a_link_that_was_up_is_begun_anew_at_once, setup),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
