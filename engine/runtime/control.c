/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread: everything slow, a hundred times a second.
 *
 *   - links that went down, addresses that are not known yet (net_control_tick)
 *   - log lines of the shards (lines.c)
 *   - what status replies show and no shard knows: memory, peers' sessions
 *   - a pulse for the embedding program's watchdog, as long as every shard's loop goes round
 */
#include "engine/runtime/node_private.h"

#include <sys/prctl.h>
#include <time.h>

#define LOOK_EVERY_NS  (500 * 1000 * 1000ull)
#define PULSE_EVERY_NS (100 * 1000 * 1000ull)

/* ------------------------------------------------------------------------------ status */

/* Resident memory and hugepages of this process. */
uint64_t
control_memory_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kib, sum = 0;
	char line[256];

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %llu", &kib) == 1 ||
			sscanf(line, "HugetlbPages: %llu", &kib) == 1)
			sum += kib;
	fclose(file);
	return sum * 1024;
}

static void
look_at_peers(struct decree_node *node)
{
	uint32_t peer_count = node->config.node_count - 1;

	if (node->net == NULL)
		return;
	for (uint16_t i = 0; i < node->shard_count; i++)
		for (uint32_t k = 0; k < peer_count; k++) {
			struct net_peer_status status;

			net_peer_status(node->net, i, k, &status);
			atomic_store_explicit(&node->shards[i].peer_up[k],
				status.state == NET_PEER_ESTABLISHED, memory_order_relaxed);
		}
}

/* Both lists are in the order of the configuration without this node. */
static void
fill_peers(const struct node_shard *ns, struct decree_status *status)
{
	for (uint32_t i = 0; i < status->peer_count; i++)
		status->peers[i].session_up =
			atomic_load_explicit(&ns->peer_up[i], memory_order_relaxed) != 0;
}

static uint64_t
sum_drops(const struct net_counters *counters)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < NET_DROP_COUNT; i++)
		sum += atomic_load_explicit(&counters->dropped[i], memory_order_relaxed);
	return sum;
}

static void
fill_snapshot(const struct node_shard *ns, struct decree_status *status)
{
	struct snap_info info;

	if (ns->snaps == NULL)
		return;
	snap_store_last(ns->snaps, status->group, &info);
	status->snapshot_bytes = info.bytes;
	status->snapshot_unix_s = info.committed_unix_s;
	status->snapshot_space_low = snap_file_ops.is_space_low(ns->snaps);
}

/* Shard's thread. */
void
control_fill_status(void *context, struct decree_status *status)
{
	struct node_shard *ns = context;
	struct decree_node *node = ns->node;
	const struct net_counters *counters = node_shard_counters(ns);
	struct wal_status wal;

	wal_status(ns->wal, &wal);
	status->log_mode = wal.mode;
	status->log_bytes = wal.log_bytes;
	status->log_bytes_used = wal.used_bytes;
	status->log_scrub_count = wal.scrub_pass_count;
	status->auth = node->config.auth == CONFIG_AUTH_GMAC;
	status->idle = node->idle;
	status->uptime_ns = node_now_ns() - node->process_start_ns;
	status->start_to_ready_ns = atomic_load_explicit(&node->ready_ns, memory_order_relaxed);
	status->memory_bytes = atomic_load_explicit(&node->memory_bytes, memory_order_relaxed);
	if (counters != NULL) {
		status->frames_received =
			atomic_load_explicit(&counters->received, memory_order_relaxed);
		status->frames_sent = atomic_load_explicit(&counters->sent, memory_order_relaxed);
		status->frames_dropped = sum_drops(counters);
	}
	fill_peers(ns, status);
	fill_snapshot(ns, status);
}

/* ------------------------------------------------------------------------------ thread */

static void
watch_clock(struct decree_node *node)
{
	uint32_t limit = node->config.max_drift_ppm;
	char text[DECREE_ERROR_BYTES];

	if (node->config.lease_ns == 0)
		return;
	uint64_t ppm = clock_slew_ppm(&node->clock);
	if (ppm <= limit)
		return;
	snprintf(text, sizeof(text),
		"this machine's clock runs %llu ppm off, more than max_drift_ppm = %u: leases that "
		"this node gave may not be kept. It stops; start it when the clock is in step",
		(unsigned long long)ppm, limit);
	node_fail(node, -ERANGE, text);
}

/* One shard that hangs is a node that hangs: others may wait for its groups. */
static void
pulse(struct decree_node *node, uint64_t now_ns)
{
	if (node->options.on_pulse == NULL || now_ns < node->pulse_at_ns)
		return;
	for (uint32_t i = 0; i < node->shard_count; i++)
		if (atomic_load_explicit(&node->shards[i].turns, memory_order_relaxed) ==
			node->shards[i].turns_seen)
			return;
	for (uint32_t i = 0; i < node->shard_count; i++)
		node->shards[i].turns_seen =
			atomic_load_explicit(&node->shards[i].turns, memory_order_relaxed);
	node->pulse_at_ns = now_ns + PULSE_EVERY_NS;
	node->options.on_pulse(node->options.context);
}

static void *
control_main(void *context)
{
	struct decree_node *node = context;
	struct timespec pause = { .tv_nsec = NODE_CONTROL_NS };
	uint64_t look_at_ns = 0;
	bool has_told_failure = false;

	prctl(PR_SET_NAME, "decree-control");
	while (!atomic_load_explicit(&node->stop, memory_order_relaxed) ||
		(!has_told_failure && atomic_load(&node->failed) != 0)) {
		uint64_t now_ns = node_now_ns();

		if (node->net != NULL)
			net_control_tick(node->net, now_ns);
		look_at_peers(node);
		capture_tick(node);
		watch_address(node);
		pulse(node, now_ns);
		for (uint32_t i = 0; i < node->shard_count; i++) {
			lines_drain(&node->shards[i], now_ns);
			metrics_look_back(&node->shards[i], now_ns);
		}
		if (now_ns >= look_at_ns) {
			look_at_ns = now_ns + LOOK_EVERY_NS;
			atomic_store_explicit(
				&node->memory_bytes, control_memory_bytes(), memory_order_relaxed);
			watch_drops(node, now_ns);
			watch_reach(node, now_ns);
			watch_clock(node);
			lines_look_back(node, now_ns);
		}
		if (!has_told_failure && atomic_load(&node->failed) != 0) {
			char text[DECREE_ERROR_BYTES];

			has_told_failure = true;
			(void)decree_health(node, text);
			node_log(node, NOTE_FAILED, "%s", text);
		}
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int
control_thread_start(
	const struct decree_node *node, pthread_t *ret_thread, void *(*main)(void *), void *context)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int rc = -pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	if (node->config.control_cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(node->config.control_cpu, &set);
		rc = -pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	if (rc == 0)
		rc = -pthread_create(ret_thread, &attr, main, context);
	pthread_attr_destroy(&attr);
	return rc;
}

int
control_start(struct decree_node *node)
{
	int rc = control_thread_start(node, &node->control, control_main, node);

	node->has_control = rc == 0;
	return rc;
}

void
control_join(struct decree_node *node)
{
	if (node->has_control)
		pthread_join(node->control, NULL);
	node->has_control = false;
}
