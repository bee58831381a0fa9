/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a node can live on an EAL that its host program has started, or should have. In this
 * order: EAL starts once in a process. */
#include "engine/runtime/node_private.h"

#include <rte_eal.h>
#include <rte_lcore.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct decree_node node = { .config.shard_count = 2 };
static char error[DECREE_ERROR_BYTES];

static void
test_eal_that_nobody_has_started_is_missed(void **state)
{
	(void)state;
	assert_int_equal(eal_check_hosts(&node, error), -EINVAL);
	assert_non_null(strstr(error, "rte_eal_init()"));
}

static void
test_eal_of_the_host_is_fine(void **state)
{
	static char arguments[][16] = { "test_eal", "--lcores=0", "--no-huge", "--no-shconf",
		"--no-pci", "--no-telemetry", "-m", "16" };
	char *argv[sizeof(arguments) / sizeof(arguments[0]) + 1] = { NULL };
	int argc = 0;

	(void)state;
	for (; argc < (int)(sizeof(arguments) / sizeof(arguments[0])); argc++)
		argv[argc] = arguments[argc];
	if (rte_eal_init(argc, argv) < 0)
		skip(); /* no DPDK on this machine */
	assert_int_equal(eal_check_hosts(&node, error), 0);
}

static void
test_eal_is_not_started_twice(void **state)
{
	(void)state;
	assert_int_equal(eal_start(&node, error), -EALREADY);
	assert_non_null(strstr(error, "eal_is_initialised"));
	assert_false(node.owns_eal);
	free(node.eal_args);
	node.eal_args = NULL;
}

/* Each of these keeps its lcore id until the other end of the pipe is closed. */
static int gate[2];
static _Atomic uint32_t registered_count;

static void *
keep_an_lcore(void *unused)
{
	char byte;

	(void)unused;
	if (rte_thread_register() != 0)
		return NULL;
	atomic_fetch_add(&registered_count, 1);
	(void)!read(gate[0], &byte, 1); /* its end is the sign */
	rte_thread_unregister();
	return NULL;
}

static void
test_every_shard_needs_an_lcore_id(void **state)
{
	pthread_t threads[RTE_MAX_LCORE - 2];

	(void)state;
	assert_int_equal(pipe(gate), 0);
	for (uint32_t i = 0; i < RTE_MAX_LCORE - 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_an_lcore, NULL), 0);
	while (atomic_load(&registered_count) < RTE_MAX_LCORE - 2)
		sched_yield();
	assert_int_equal(
		eal_check_hosts(&node, error), -ENOSPC); /* the main one, and these, leave one */
	assert_non_null(strstr(error, "has 1 of its"));
	node.config.shard_count = 1;
	assert_int_equal(eal_check_hosts(&node, error), 0);
	close(gate[1]);
	for (uint32_t i = 0; i < RTE_MAX_LCORE - 2; i++)
		pthread_join(threads[i], NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eal_that_nobody_has_started_is_missed),
		cmocka_unit_test(test_eal_of_the_host_is_fine),
		cmocka_unit_test(test_eal_is_not_started_twice),
		cmocka_unit_test(test_every_shard_needs_an_lcore_id),
	};

	return cmocka_run_group_tests_name("eal", tests, NULL, NULL);
}
