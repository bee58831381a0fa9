/* SPDX-License-Identifier: Apache-2.0 */
/* An EAL that a secondary process is attached to gives no lcore ids to threads of ours. The
 * secondary process is this program again, with "secondary" as its first argument. */
#include "engine/runtime/node_private.h"

#include <rte_eal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct decree_node node = { .config.shard_count = 1 };

/* @return of rte_eal_init(), with runtime files in a folder of this test's own */
static int
start_eal(const char *process_type)
{
	char type[32];
	char arguments[][32] = { "test_eal", "--lcores=0", "--no-huge", "--no-pci",
		"--no-telemetry", "--log-level=lib.eal:1", "--file-prefix=test", "-m", "16" };
	char *argv[sizeof(arguments) / sizeof(arguments[0]) + 2] = { NULL };
	int argc = 0;

	for (; argc < (int)(sizeof(arguments) / sizeof(arguments[0])); argc++)
		argv[argc] = arguments[argc];
	snprintf(type, sizeof(type), "--proc-type=%s", process_type);
	argv[argc++] = type;
	return rte_eal_init(argc, argv);
}

static void
test_a_secondary_process_is_one_too_many(void **state)
{
	char error[DECREE_ERROR_BYTES] = "";
	pid_t child;

	(void)state;
	if (start_eal("primary") < 0)
		skip(); /* no DPDK on this machine */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		execl("/proc/self/exe", "test_eal", "secondary", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(eal_check_hosts(&node, error), -EBUSY);
	assert_non_null(strstr(error, "a secondary process is attached"));
}

int
main(int argc, char **argv)
{
	static char folder[] = "/tmp/decree-eal-XXXXXX";
	char command[64];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_secondary_process_is_one_too_many),
	};
	int rc;

	if (argc > 1) {
		/* Without hugepages it gets no further than to be noticed, which is enough. */
		(void)start_eal(argv[1]);
		return 0;
	}
	if (mkdtemp(folder) == NULL || setenv("RUNTIME_DIRECTORY", folder, 1) != 0)
		return 1;
	rc = cmocka_run_group_tests_name("eal_shared", tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) != 0 || rc != 0;
}
