/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's EAL under a node: started for it alone, or found to be one that a node can live in.
 *
 * A host program that has called rte_eal_init() itself keeps its EAL: no argument of ours counts,
 * and decree_close() leaves it running. What a shard needs there is an lcore id for its thread, for
 * the caches of the buffer pools; and EAL gives none to a thread of somebody else once a secondary
 * process is attached, which it lets in no more afterwards. Both are looked at here, before any
 * thread runs.
 */
#include "engine/runtime/node_private.h"

#include "base/line.h"
#include "base/refuse.h"

#include <rte_alarm.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Buffers of one shard: 8,192 of some 2.4 KiB, and their rings; what an MTU has above 1,500 is in
 * each of them. The first 64 MiB hold EAL's own. */
#define EAL_MIB_FIRST 64
#define EAL_MIB_NEXT  32

#define INTERRUPT_THREAD_S_MAX 2

/* EAL pins the thread that starts it; "0@(0,1)" gives it every CPU that it has now. */
static void
lcores_text(const cpu_set_t *cpus, char *text, size_t bytes)
{
	size_t used = (size_t)snprintf(text, bytes, "0@(");
	const char *comma = "";

	for (int cpu = 0; cpu < CPU_SETSIZE && used + 8 < bytes; cpu++)
		if (CPU_ISSET(cpu, cpus)) {
			used += (size_t)snprintf(text + used, bytes - used, "%s%d", comma, cpu);
			comma = ",";
		}
	snprintf(text + used, bytes - used, ")");
}

/* EAL makes one for each process, for its sockets, and leaves it behind. */
static char runtime_folder[512];

static void
remove_runtime_folder(void)
{
	if (runtime_folder[0] != '\0')
		(void)rmdir(runtime_folder); /* not empty: somebody uses it */
}

int
eal_check_devices(const struct config *c, char *ret_error)
{
	int rc = 0;

	for (uint32_t i = 0; i < c->port_count && rc == 0; i++)
		rc = net_device_check(c->ports[i].device, c->mtu, ret_error);
	return rc;
}

/* What DPDK logs, from any thread and long after the start: nobody may wait for who reads it. */
static ssize_t
write_dpdk_line(void *cookie, const char *bytes, size_t count)
{
	char line[BASE_LINE_BYTES_MAX];
	size_t used = count;

	(void)cookie;
	while (used > 0 && bytes[used - 1] == '\n')
		used--;
	snprintf(line, sizeof(line), "%.*s", (int)used, bytes); /* a longer one is cut */
	if (used > 0)
		(void)base_line_put(&base_standard_error, line); /* it counts */
	return (ssize_t)count;
}

/* EAL's own way is to write to standard error and to syslog, which are often the same in the end,
 * and to wait for both. */
static void
take_dpdk_lines(void)
{
	const cookie_io_functions_t functions = { .write = write_dpdk_line };
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream != NULL)
		(void)rte_openlog_stream(stream); /* for the life of the process, as EAL */
}

static int
init_eal(struct decree_node *node, char *ret_error)
{
	int rc;

	/* Before EAL's own, so that it runs after: then the folder is empty. Without it the folder
	 * stays, which does no harm. */
	(void)atexit(remove_runtime_folder);
	take_dpdk_lines();
	rc = rte_eal_init(node->eal_args->argc, node->eal_args->argv);
	(void)snprintf(runtime_folder, sizeof(runtime_folder), "%s",
		rte_eal_get_runtime_dir()); /* cut: stays */
	if (rc >= 0)
		return 0;
	if (rte_errno == EALREADY)
		return base_refuse(-EALREADY, ret_error,
			"DPDK's EAL was started in this process before, and that works once: a "
			"program that calls rte_eal_init() itself sets eal_is_initialised");
	snprintf(ret_error, DECREE_ERROR_BYTES,
		"DPDK's EAL did not start (%s): its own lines above say more; 'decree check' looks "
		"at hugepages, drivers and limits",
		rte_strerror(rte_errno));
	return rte_errno > 0 ? -rte_errno : -EIO;
}

static uint32_t
memory_mib(const struct config *c)
{
	uint32_t spare_bytes = c->mtu - NET_MTU_DEFAULT + NET_MTU_SPARE; /* of a buffer */
	uint32_t spare_mib = (NET_MBUF_COUNT_DEFAULT * spare_bytes >> 20) + 1;

	return EAL_MIB_FIRST + (c->shard_count - 1) * EAL_MIB_NEXT + c->shard_count * spare_mib;
}

int
eal_start(struct decree_node *node, char *ret_error)
{
	const struct config *c = &node->config;
	const char *devices[CONFIG_PORT_COUNT_MAX], *extra[CONFIG_EAL_ARG_COUNT_MAX];
	char lcores[4096];
	cpu_set_t cpus;
	struct net_eal_config eal = {
		.program = "decree",
		.devices = devices,
		.device_count = c->port_count,
		.lcores = lcores,
		.memory_mib = memory_mib(c),
		.extra = extra,
		.extra_count = c->eal_arg_count,
	};
	int rc;

	for (uint32_t i = 0; i < c->port_count; i++)
		devices[i] = c->ports[i].device;
	for (uint32_t i = 0; i < c->eal_arg_count; i++)
		extra[i] = c->eal_args[i];
	CPU_ZERO(&cpus);
	(void)sched_getaffinity(0, sizeof(cpus), &cpus); /* cannot fail for this thread and size */
	lcores_text(&cpus, lcores, sizeof(lcores));

	node->eal_args = calloc(1, sizeof(*node->eal_args));
	if (node->eal_args == NULL)
		return base_refuse(-ENOMEM, ret_error, "out of memory");
	rc = net_eal_args(&eal, node->eal_args, ret_error);
	if (rc != 0)
		return rc;
	if (node->eal_args->notice[0] != '\0')
		node_log(node, NOTE_NETWORK, "%s", node->eal_args->notice);
	rc = init_eal(node, ret_error);
	if (rc != 0)
		return rc;
	node->owns_eal = true;
	(void)sched_setaffinity(0, sizeof(cpus), &cpus); /* as it was; failing costs only speed */
	return 0;
}

static void
on_alarm(void *passed)
{
	(void)sem_post(passed);
}

/* EAL's thread for interrupts may be looking at what the ports had registered there, and
 * rte_eal_cleanup() takes that memory away without a word to it: about one exit in ten ended in
 * SIGSEGV on a busy machine. An alarm runs on that thread, so when a second one has, whatever it
 * was about before the first is over. */
static void
pass_interrupt_thread(void)
{
	static sem_t passed; /* outlives an alarm that comes too late */
	struct timespec deadline;

	(void)sem_init(&passed, 0, 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += INTERRUPT_THREAD_S_MAX;
	for (int i = 0; i < 2; i++) {
		int rc = rte_eal_alarm_set(1, on_alarm, &passed);

		if (rc != 0)
			return;
		do {
			rc = sem_clockwait(&passed, CLOCK_MONOTONIC, &deadline);
		} while (rc != 0 && errno == EINTR);
	}
}

void
eal_stop(struct decree_node *node)
{
	if (node->owns_eal) {
		pass_interrupt_thread();
		rte_eal_cleanup();
	}
	free(node->eal_args);
	node->eal_args = NULL;
	node->owns_eal = false;
}

static uint32_t
free_lcore_count(void)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < RTE_MAX_LCORE; i++)
		count += rte_eal_lcore_role(i) == ROLE_OFF;
	return count;
}

int
eal_check_hosts(struct decree_node *node, char *ret_error)
{
	const struct config *c = &node->config;

	if (rte_lcore_count() == 0)
		return base_refuse(-EINVAL, ret_error,
			"options: eal_is_initialised is set, but rte_eal_init() has not succeeded "
			"in this process");
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return base_refuse(-ENOTSUP, ret_error,
			"this is a secondary process of EAL (--proc-type): a node runs in a "
			"primary one only");
	if (!rte_mp_disable())
		return base_refuse(-EBUSY, ret_error,
			"a secondary process is attached to this EAL, so it gives no lcore id to "
			"the threads of shards: end that process before the node is opened");
	if (free_lcore_count() < c->shard_count)
		return base_refuse(-ENOSPC, ret_error,
			"EAL has %u of its %u lcore ids left, and each of %u shard(s) needs one: "
			"give it fewer (--lcores, -l)",
			free_lcore_count(), RTE_MAX_LCORE, c->shard_count);
	if (c->eal_arg_count > 0)
		node_log(node, NOTE_NETWORK,
			"eal_arg is without effect: the program has started EAL itself");
	return 0;
}
