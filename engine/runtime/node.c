/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node from configuration to running threads, and back.
 *
 *   decree_open    configuration -> logs recovered into shards -> EAL, unless the host has it ->
 *                  ports
 *   decree_start   one thread per shard, which makes the new boot count durable before its first
 *                  frame; then the control thread
 *   decree_stop    threads end
 *   decree_close   logs and ports closed, memory given back
 *
 * The logs come before EAL: a directory that is damaged or not ours is the likeliest reason to
 * refuse, and it is found without touching a port.
 *
 * What may fail after the start: a shard stops by itself (its log failed, or the core found safety
 * broken). Then every thread of the node ends, since a node that is half there helps nobody, and
 * decree_health() says why.
 */
#include "engine/runtime/node_private.h"

#include "base/memory.h"
#include "base/refuse.h"
#include "base/versioned.h"

#include <linux/magic.h>
#include <rte_eal.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_NS_MAX 1000000000ull /* a shard that does not answer for so long is paused */
/* One that is awake answers within this; for another it is slept, since sched_yield() for all of
 * the time can keep every other thread from this CPU, the shard and the kernel's workers too
 * (thread.c). */
#define ANSWER_YIELD_NS 20000
#define ANSWER_NAP_NS   50000

static bool
is_owner(const struct decree_node *node)
{
	return pthread_equal(node->owner, pthread_self());
}

void
node_fail(struct decree_node *node, int rc, const char *text)
{
	pthread_mutex_lock(&node->failed_mutex);
	if (atomic_load(&node->failed) == 0) {
		snprintf(node->failed_text, sizeof(node->failed_text), "%s", text);
		atomic_store(&node->failed, rc);
	}
	pthread_mutex_unlock(&node->failed_mutex);
	atomic_store(&node->stop, true);
}

/* ------------------------------------------------------------------------------ checks */

/* All six or none: with some of them a node could cut what it cannot restore. */
static bool
are_hooks_whole(const struct decree_machine_ops *ops)
{
	uint32_t count = (ops->snapshot_begin != NULL) + (ops->snapshot_next != NULL) +
			 (ops->snapshot_end != NULL) + (ops->restore_begin != NULL) +
			 (ops->restore_next != NULL) + (ops->restore_end != NULL);

	return count == 0 || count == 6;
}

/* The program may have been compiled against another version than this library. */
static int
take_options(const struct decree_options *options, struct decree_options *ret_o,
	struct decree_machine_ops *ret_ops, char *ret_error)
{
	if (!versioned_copy(ret_o, sizeof(*ret_o), options))
		return base_refuse(-EINVAL, ret_error,
			"options: struct_bytes is not set, or the program sets what this version "
			"of decree does not know: run it with the library whose headers it was "
			"compiled against");
	if (ret_o->config_path == NULL)
		return base_refuse(-EINVAL, ret_error, "options: no config_path");
	if (!versioned_copy(ret_ops, sizeof(*ret_ops), ret_o->machine_ops) ||
		ret_ops->apply == NULL || ret_ops->digest == NULL || ret_o->machines == NULL)
		return base_refuse(-EINVAL, ret_error,
			"options: machine_ops needs apply, digest and struct_bytes, and machines "
			"one machine for each group");
	if ((ret_o->read_metrics != NULL) != (ret_o->metrics != NULL) ||
		ret_o->metric_count > DECREE_METRIC_COUNT_MAX)
		return base_refuse(-EINVAL, ret_error,
			"options: metrics and read_metrics need each other, and there are not more "
			"than 160 of them");
	if (ret_o->metrics != NULL &&
		metrics_program_check(ret_o->metrics, ret_o->metric_count, ret_error) != 0)
		return -EINVAL;
	if (!are_hooks_whole(ret_ops))
		return base_refuse(-EINVAL, ret_error,
			"options: machine_ops has some of the snapshot and restore hooks: give all "
			"six, or none");
	return 0;
}

static int
load_config(struct decree_node *node, char *ret_error)
{
	const struct decree_options *o = &node->options;
	struct net_config net = { 0 };
	int rc = config_load(o->config_path, o->settings, o->setting_count, CONFIG_FOR_NODE,
		&node->config, ret_error);

	if (rc != 0)
		return rc;
	if (o->group_count != node->config.group_count)
		return base_refuse(-EINVAL, ret_error,
			"%.200s says groups = %u, but the program has machines for %u",
			node->config.path, node->config.group_count, o->group_count);
	rc = thread_check_cpus(&node->config, ret_error);
	if (rc == 0 && !o->eal_is_initialised)
		rc = eal_check_devices(&node->config, ret_error);
	/* The network reads them again: here it is to know, before anything is opened, that it
	 * will. */
	if (rc == 0 && node->config.port_count > 0)
		rc = node_read_keys(&node->config, &net, ret_error);
	node_forget_keys(&net);
	if (rc == 0 && node->config.lease_ns != 0)
		rc = clock_check(CLOCK_SOURCE_PATH, node->config.max_drift_ppm, ret_error);
	return rc;
}

static uint64_t
process_start_ns(void)
{
	unsigned long long ticks = 0;
	char text[1024];
	FILE *file = fopen("/proc/self/stat", "re");

	if (file != NULL) {
		size_t count = fread(text, 1, sizeof(text) - 1, file);
		const char *at;

		text[count] = '\0';
		at = strrchr(text, ')'); /* the name may hold anything */
		if (at != NULL)
			(void)sscanf(at + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				"%*d %*d %*d %llu",
				&ticks);
		fclose(file);
	}
	return ticks > 0 ? ticks * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK)) : node_now_ns();
}

/* ------------------------------------------------------------------------------ open */

static int
open_ports(struct decree_node *node, char *ret_error)
{
	struct identity mine = identity_of_config(&node->config, 0, &node->disk);
	int rc;

	identity_add_leases(&mine, &node->config);
	identity_encode(&mine, node->identity);
	if (node->config.port_count == 0) {
		local_clients_open(node);
		return 0;
	}
	rc = node->options.eal_is_initialised ? eal_check_hosts(node, ret_error)
					      : eal_start(node, ret_error);
	if (rc == 0)
		rc = node_network_open(node, ret_error);
	return rc;
}

static int
create_shards(struct decree_node *node, char *ret_error)
{
	node->shard_count = node->config.shard_count;
	node->shards = base_zeros(node->shard_count, sizeof(*node->shards));
	if (node->shards == NULL)
		return base_refuse(-ENOMEM, ret_error, "out of memory");
	for (uint32_t i = 0; i < node->shard_count; i++) {
		struct node_shard *ns = &node->shards[i];

		ns->node = node;
		ns->index = (uint16_t)i;
		ns->is_pinned = node->config.cpu_count > 0;
		ns->cpu = node->config.cpus[i];
		ns->lines = calloc(NODE_LOG_LINE_COUNT, sizeof(*ns->lines));
		if (ns->lines == NULL)
			return base_refuse(-ENOMEM, ret_error, "out of memory");
	}
	return 0;
}

/* For experiments. Whoever did not mean it would find out after a reboot. */
static const char *
memory_filesystem(const char *data_dir)
{
	struct statfs fs;

	if (statfs(data_dir, &fs) != 0)
		return NULL;
	return fs.f_type == TMPFS_MAGIC ? "tmpfs" : fs.f_type == RAMFS_MAGIC ? "ramfs" : NULL;
}

static void
say_what_is_not_safe(struct decree_node *node)
{
	const struct config *c = &node->config;
	const char *filesystem = memory_filesystem(c->data_dir);

	if (c->log_mode == DECREE_LOG_MEMORY)
		node_log(node, NOTE_MODE,
			"log mode MEMORY: a restart of this process loses what it promised; such a "
			"node must be replaced, never restarted");
	else if (filesystem != NULL)
		node_log(node, NOTE_MODE,
			"%.200s is on %s, which is MEMORY: a reboot loses what this node promised; "
			"put data_dir on a disk",
			c->data_dir, filesystem);
	if (c->log_mode == DECREE_LOG_BUFFERED)
		node_log(node, NOTE_MODE,
			"log mode BUFFERED: a power cut loses what was acknowledged; a node that "
			"lost power must be replaced");
	if (c->auth == CONFIG_AUTH_NONE)
		node_log(node, NOTE_MODE,
			"auth NONE: whoever reaches this port may speak for any node or client");
}

static void
say_what_runs(struct decree_node *node)
{
	static const char *const modes[] = { "durable", "buffered", "memory" };
	const struct config *c = &node->config;
	uint64_t bytes = control_memory_bytes();
	char steering[NET_STEERING_BYTES] = "";

	atomic_store(&node->memory_bytes, bytes);
	node_log(node, NOTE_STARTS,
		"node %u, boot %llu: %u shard(s), %u group(s), log %s, %s, idle %s, memory %llu "
		"MiB (resident + hugepages)",
		c->node_id, (unsigned long long)node->boot_count, c->shard_count, c->group_count,
		modes[c->log_mode], node->net != NULL ? net_describe(node->net) : "no network",
		idle_name(node->idle), (unsigned long long)(bytes >> 20));
	if (node->net != NULL)
		net_describe_steering(node->net, steering);
	if (steering[0] != '\0')
		node_log(node, NOTE_NETWORK, "steering: %s", steering);
	say_what_is_not_safe(node);
}

/* What the shard's net_ops are called with. */
static void *
net_of(struct decree_node *node, uint16_t shard)
{
	return node->net != NULL     ? (void *)net_shard(node->net, shard)
	       : node->local != NULL ? (void *)local_shard(node->local, shard)
				     : NULL;
}

static int
build(struct decree_node *node, char *ret_error)
{
	int rc = load_config(node, ret_error);

	clock_stamp_calibrate();
	if (rc == 0)
		rc = create_shards(node, ret_error);
	if (rc == 0)
		rc = recover_shards(node, ret_error);
	if (rc == 0)
		rc = open_ports(node, ret_error);
	if (rc == 0)
		rc = metrics_server_open(node, ret_error);
	if (rc != 0)
		return rc;
	node->idle = idle_choose(node);
	for (uint32_t i = 0; i < node->shard_count; i++)
		shard_attach(node->shards[i].shard, node->shards[i].wal, net_of(node, (uint16_t)i));
	say_what_runs(node);
	return 0;
}

DECREE_API
int
decree_open(const struct decree_options *options, struct decree_node **ret_node,
	char ret_error[DECREE_ERROR_BYTES])
{
	struct decree_machine_ops ops;
	struct decree_options o;
	struct decree_node *node;
	int rc = take_options(options, &o, &ops, ret_error);

	if (rc != 0)
		return rc;
	node = base_zeros(1, sizeof(*node));
	if (node == NULL)
		return base_refuse(-ENOMEM, ret_error, "out of memory");
	node->owner = pthread_self();
	node->options = o;
	node->machine_ops = ops;
	node->process_start_ns = process_start_ns();
	pthread_mutex_init(&node->failed_mutex, NULL);
	pthread_mutex_init(&node->status_mutex, NULL);
	pthread_mutex_init(&node->program_mutex, NULL);
	rc = build(node, ret_error);
	if (rc != 0) {
		decree_close(node);
		return rc;
	}
	*ret_node = node;
	return 0;
}

/* --------------------------------------------------------------------------- start, stop, close */

DECREE_API
int
decree_start(struct decree_node *node)
{
	int rc = 0;

	if (!is_owner(node))
		return -EPERM;
	if (node->is_started)
		return -EALREADY;
	node->is_started = true;
	for (uint32_t i = 0; rc == 0 && i < node->shard_count; i++)
		rc = thread_start(&node->shards[i]);
	if (rc == 0)
		rc = snap_thread_start(node);
	if (rc == 0)
		rc = control_start(node);
	if (rc == 0)
		rc = metrics_server_start(node);
	if (rc == 0)
		rc = local_clients_start(node);
	if (rc == 0)
		telemetry_open(node);
	else
		decree_stop(node);
	return rc;
}

DECREE_API
int
decree_health(struct decree_node *node, char ret_error[DECREE_ERROR_BYTES])
{
	int rc = atomic_load(&node->failed);

	if (rc == 0)
		return 0;
	pthread_mutex_lock(&node->failed_mutex);
	memcpy(ret_error, node->failed_text, DECREE_ERROR_BYTES);
	pthread_mutex_unlock(&node->failed_mutex);
	return rc;
}

DECREE_API
void
decree_stop(struct decree_node *node)
{
	decree_assert(is_owner(node));
	telemetry_close(node);
	atomic_store(&node->stop, true);
	for (uint32_t i = 0; i < node->shard_count; i++)
		thread_join(&node->shards[i]);
	snap_thread_join(node);
	metrics_server_join(node);
	local_clients_join(node);
	control_join(node);
	capture_join(node);
}

static void
free_shard(struct node_shard *ns)
{
	free(ns->lines);
	free(ns->boards);
}

DECREE_API
void
decree_close(struct decree_node *node)
{
	if (node == NULL)
		return;
	decree_stop(node);
	metrics_server_close(node);
	recover_undo(node);
	snap_thread_close(node);
	net_close(node->net);
	local_close(node->local);
	eal_stop(node);
	for (uint32_t i = 0; node->shards != NULL && i < node->shard_count; i++)
		free_shard(&node->shards[i]);
	free(node->shards);
	pthread_mutex_destroy(&node->status_mutex);
	pthread_mutex_destroy(&node->program_mutex);
	pthread_mutex_destroy(&node->failed_mutex);
	free(node);
}

/* ------------------------------------------------------------------------------ status */

static bool
is_running(const struct node_shard *ns)
{
	/* Acquire: pairs with the release at the end of thread_main(). */
	return atomic_load_explicit(&ns->is_running, memory_order_acquire);
}

/* Withdraw a question. @return false: it is being answered, or was */
static bool
take_back_question(struct node_shard *ns)
{
	uint32_t asked = QUESTION_ASKED;

	return atomic_compare_exchange_strong_explicit(
		&ns->question, &asked, QUESTION_NONE, memory_order_relaxed, memory_order_relaxed);
}

/* The shard answers between two turns: what it says is of one moment. */
static int
ask(struct node_shard *ns, uint16_t group, struct decree_group_status *ret_status)
{
	const struct timespec nap = { .tv_nsec = ANSWER_NAP_NS };
	uint64_t asked_ns = node_now_ns();

	ns->question_group = group;
	/* Release and acquire: pair with those in answer_question(). */
	atomic_store_explicit(&ns->question, QUESTION_ASKED, memory_order_release);
	while (atomic_load_explicit(&ns->question, memory_order_acquire) != QUESTION_ANSWERED) {
		if (!is_running(ns) && take_back_question(ns))
			return shard_group_status(ns->shard, group, ret_status);
		uint64_t waited_ns = node_now_ns() - asked_ns;

		if (waited_ns > ANSWER_NS_MAX && take_back_question(ns))
			return -ETIMEDOUT;
		if (waited_ns < ANSWER_YIELD_NS)
			sched_yield();
		else
			(void)nanosleep(&nap, NULL); /* woken early is as good */
	}
	*ret_status = ns->question_answer;
	return ns->question_rc;
}

DECREE_API
int
decree_group_status(
	struct decree_node *node, uint16_t group, struct decree_group_status *ret_status)
{
	struct node_shard *ns;
	int rc;

	if (group >= node->config.group_count)
		return -ENOENT;
	ns = &node->shards[config_group_to_shard(&node->config, group)];
	if (thread_is_of(ns))
		return shard_group_status(ns->shard, group, ret_status);
	if (thread_is_shards())
		return -EPERM;
	pthread_mutex_lock(&node->status_mutex);
	if (is_running(ns))
		rc = ask(ns, group, ret_status);
	else
		rc = shard_group_status(ns->shard, group, ret_status);
	pthread_mutex_unlock(&node->status_mutex);
	return rc;
}
