/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each node is a process of its own, as on hosts of their own. The program gives orders over the
 * board, looks at clocks and counters around each measurement, and sleeps meanwhile: nothing of it
 * is between a command and its answer.
 *
 * A process that ends before it is told to ends the measurement; what it wrote onto the board says
 * why.
 */
#include "bench/commit/run.h"

#include "base/clock.h"
#include "bench/commit/node.h"
#include "bench/ports.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ELECTION_NS UINT64_C(30000000000)
#define ANSWERS_NS  UINT64_C(30000000000) /* longer than a load waits for its own */
#define STOP_NS     UINT64_C(20000000000)
#define PAUSE_NS    5000000
/* Nodes are asked before the measurement begins and after it has ended: to answer takes CPU. */
#define WATCH_NS UINT64_C(100000000)

/* ------------------------------------------------------------------------------ processes */

static void
start_node(struct run *r, uint32_t index, const struct plan_shape *shape, const char *config)
{
	char setting[64];
	const char *settings[PLAN_SETTING_COUNT_MAX + 1];
	struct node_task task = {
		.board = r->board,
		.index = index,
		.config = config,
		.settings = settings,
		.setting_count = r->plan->setting_count,
		.group_count = r->group_count,
		.state_bytes = r->plan->state_bytes,
		.cpus = r->plan->cpus,
		.cpu_count = r->plan->cpu_count,
		.is_load_inside = shape->is_load_inside,
		.is_verbose = r->plan->is_verbose,
	};

	memcpy(settings, r->plan->settings, sizeof(r->plan->settings));
	snprintf(setting, sizeof(setting), "metrics.listen=127.0.0.1:%u", r->metrics_ports[index]);
	settings[task.setting_count++] = setting;
	(void)fflush(NULL); /* or a child would print it again */
	r->pids[index] = fork();
	if (r->pids[index] == 0) {
		(void)signal(SIGINT, SIG_IGN); /* it ends with this one */
		node_run(&task);
	}
}

int
run_fork(struct run *r, run_body *body, void *context)
{
	uint32_t index = r->process_count;
	pid_t pid;

	(void)fflush(NULL); /* or a child would print it again */
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)signal(SIGINT, SIG_IGN); /* it ends with this one */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(context, r->board, index);
		_exit(EXIT_SUCCESS);
	}
	r->pids[r->process_count++] = pid;
	return 0;
}

/* What a node has said before it ended. */
static void
tell_failure(const struct run *r, uint32_t index, int status)
{
	const struct board_node *node = &r->board->nodes[index];

	/* Acquire: pairs with the release in load_die(). */
	if (atomic_load_explicit(&node->has_failed, memory_order_acquire))
		fprintf(stderr, "decree bench: node %u: %s\n", index + 1, node->error);
	else
		fprintf(stderr, "decree bench: node %u has ended, by %s %d\n", index + 1,
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* @return 0, or -EIO if a node ended that should not have */
static int
look_at_nodes(struct run *r)
{
	int status;

	for (uint32_t i = 0; i < r->process_count; i++) {
		if (r->pids[i] <= 0 || waitpid(r->pids[i], &status, WNOHANG) == 0)
			continue;
		r->pids[i] = 0;
		tell_failure(r, i, status);
		return -EIO;
	}
	return 0;
}

static volatile sig_atomic_t is_interrupted;

static void
on_signal(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

/* Until that moment, or until a node ends or somebody interrupts. */
static int
sleep_until(struct run *r, uint64_t at_ns)
{
	int rc = is_interrupted ? -EINTR : 0;

	while (rc == 0 && base_now_ns() < at_ns) {
		uint64_t left = at_ns - base_now_ns();
		struct timespec pause = { .tv_nsec = left < PAUSE_NS ? (long)left : PAUSE_NS };

		(void)nanosleep(&pause, NULL); /* woken early is as good */
		rc = is_interrupted ? -EINTR : look_at_nodes(r);
	}
	return rc;
}

void
run_end(struct run *r)
{
	for (uint32_t i = 0; i < r->process_count; i++) {
		if (r->pids[i] <= 0)
			continue;
		(void)kill(r->pids[i], SIGKILL);
		(void)waitpid(r->pids[i], NULL, 0); /* gone */
		r->pids[i] = 0;
	}
}

static bool
has_ended(struct run *r, uint32_t index, int *rc)
{
	int status;

	if (r->pids[index] <= 0)
		return true;
	if (waitpid(r->pids[index], &status, WNOHANG) == 0)
		return false;
	r->pids[index] = 0;
	if (status != 0) {
		tell_failure(r, index, status);
		*rc = -EIO;
	}
	return true;
}

int
run_stop(struct run *r)
{
	uint64_t until = base_now_ns() + STOP_NS;
	uint32_t ended = 0;
	int rc = 0;

	atomic_store(&r->board->is_over, true);
	while (ended < r->process_count && base_now_ns() < until) {
		for (ended = 0; ended < r->process_count && has_ended(r, ended, &rc);)
			ended++;
		(void)usleep(2000);
	}
	if (ended < r->process_count) {
		fprintf(stderr, "decree bench: node %u does not stop\n", ended + 1);
		rc = -EIO;
	}
	run_end(r);
	return rc;
}

/* ------------------------------------------------------------------------------ leaders */

/* @return how many nodes lead it, and take its commands; if it is one, that is its owner then. A
 * process that does nothing but load owns all groups, once it is ready */
static uint32_t
find_owner(struct run *r, uint32_t group)
{
	uint32_t first = r->process_count > r->node_count ? r->node_count : 0, leaders = 0;

	for (uint32_t i = first; i < r->process_count; i++) {
		if ((atomic_load(&r->board->nodes[i].leads) & 1u << group) == 0)
			continue;
		r->board->owners[group] = i;
		leaders++;
	}
	return leaders;
}

static bool
find_owners(struct run *r)
{
	for (uint32_t group = 0; group < r->group_count; group++)
		if (find_owner(r, group) != 1)
			return false;
	return true;
}

static void
tell_leaders(struct run *r, uint64_t for_ns)
{
	fprintf(stderr, "decree bench: not every group is led within %llu s:",
		(unsigned long long)(for_ns / 1000000000u));
	for (uint32_t group = 0; group < r->group_count; group++)
		fprintf(stderr, "%s group %u by %u", group == 0 ? "" : ",", group,
			find_owner(r, group));
	fprintf(stderr, "\n");
}

static int
await_leaders(struct run *r, uint64_t for_ns)
{
	uint64_t from = base_now_ns(), until = from + for_ns;
	int rc = 0;

	atomic_store(&r->board->is_electing, true);
	while (rc == 0 && !find_owners(r)) {
		rc = sleep_until(r, base_now_ns() + PAUSE_NS);
		if (rc == 0 && base_now_ns() > until) {
			tell_leaders(r, for_ns);
			rc = -ETIMEDOUT;
		}
	}
	atomic_store(&r->board->is_electing, false);
	if (rc == 0 && r->plan->is_verbose)
		fprintf(stderr, "decree bench: every group is led after %.3f s\n",
			(double)(base_now_ns() - from) / 1e9);
	return rc;
}

static void
clear_board(struct run *r)
{
	struct board *b = r->board;

	memset(b, 0, offsetof(struct board, groups));
	r->is_fresh = true;
}

void
run_begin(struct run *r, uint32_t node_count)
{
	r->node_count = node_count;
	r->group_count = 1;
	r->process_count = 0;
	memset(r->pids, 0, sizeof(r->pids));
	memset(r->metrics_ports, 0, sizeof(r->metrics_ports));
	clear_board(r);
}

int
run_await(struct run *r)
{
	int rc = await_leaders(r, ELECTION_NS);

	if (rc != 0)
		run_end(r);
	return rc;
}

int
run_start_nodes(struct run *r, const struct plan_shape *shape)
{
	char error[DECREE_ERROR_BYTES], config[512];
	int rc;

	run_begin(r, shape->node_count);
	r->cluster.shape = *shape;
	r->group_count = shape->shard_count;
	rc = bench_cluster_format(&r->cluster, error);
	if (rc != 0) {
		fprintf(stderr, "decree bench: %s\n", error);
		return rc;
	}
	memcpy(r->metrics_ports, r->cluster.metrics_ports, sizeof(r->metrics_ports));
	for (uint32_t i = 0; i < r->node_count; i++) {
		bench_cluster_config(&r->cluster, i + 1, config);
		start_node(r, i, shape, config);
		if (r->pids[i] < 0)
			rc = -errno;
	}
	r->process_count = r->node_count;
	if (rc != 0)
		run_end(r);
	return rc;
}

int
run_start(struct run *r, const struct plan_shape *shape)
{
	int rc = run_start_nodes(r, shape);

	return rc == 0 ? run_await(r) : rc;
}

int
run_join(struct run *r)
{
	int rc;

	run_begin(r, 1);
	r->group_count = r->plan->points[0].shape.shard_count;
	r->process_count = 1;
	rc = ports_choose(r->metrics_ports, 1);
	if (rc == 0)
		start_node(r, 0, &r->plan->points[0].shape, r->plan->config);
	if (r->pids[0] < 0)
		rc = -errno;
	return rc != 0 ? rc : await_leaders(r, UINT64_MAX / 2 - base_now_ns());
}

int
run_serve(struct run *r)
{
	int rc = sleep_until(r, UINT64_MAX);

	return rc == -EINTR ? 0 : rc;
}

/* ------------------------------------------------------------------------------ a measurement */

/* What is read at both ends of a measurement. */
struct moment {
	uint64_t cpu_ns, load_cpu_ns;
	bool is_counted, is_watched;
	struct counters device;
	struct watch watches[PLAN_NODE_COUNT_MAX];
	struct host_cpu host;
	uint64_t own_ns; /* CPU of all processes and of this one, when the host's was read */
};

static uint64_t
cpu_ns_of(pid_t pid)
{
	clockid_t clock;

	return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 ? base_clock_ns(clock) : 0;
}

static uint64_t
cpu_ns_of_all(const struct run *r)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->process_count; i++)
		sum += cpu_ns_of(r->pids[i]);
	return sum;
}

static void
count(struct run *r, struct moment *m, bool is_end)
{
	if (r->on_moment != NULL)
		r->on_moment(r->context, is_end);
	m->load_cpu_ns = 0;
	m->cpu_ns = cpu_ns_of_all(r);
	if (r->process_count > r->node_count)
		m->load_cpu_ns = cpu_ns_of(r->pids[r->node_count]);
	m->is_counted = r->has_device && counters_read(&r->device, &m->device) == 0;
}

static void
watch(struct run *r, struct moment *m)
{
	host_cpu_read(&m->host);
	m->own_ns = cpu_ns_of_all(r) + base_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	m->is_watched = true;
	for (uint32_t i = 0; i < r->node_count; i++)
		if (r->metrics_ports[i] == 0 ||
			(r->pids[i] > 0 && watch_read(r->metrics_ports[i], &m->watches[i]) != 0))
			m->is_watched = false;
}

static void
add_watch(struct watch *to, const struct watch *from)
{
	for (uint32_t i = 0; i < WATCH_STAGE_COUNT; i++) {
		to->stages[i].bound_count = from->stages[i].bound_count;
		memcpy(to->stages[i].bounds_us, from->stages[i].bounds_us,
			sizeof(to->stages[i].bounds_us));
		to->stages[i].sum_us += from->stages[i].sum_us;
		to->stages[i].count += from->stages[i].count;
		for (uint32_t k = 0; k < from->stages[i].bound_count; k++)
			to->stages[i].below[k] += from->stages[i].below[k];
	}
	to->frames_sent += from->frames_sent;
	to->log_bytes += from->log_bytes;
}

/* @return 0: a process that does nothing but load does not know who leads */
static uint32_t
count_leaders(const struct run *r)
{
	uint32_t leads = 0;

	if (r->process_count > r->node_count)
		return 0;
	for (uint32_t i = 0; i < r->group_count; i++)
		leads |= 1u << r->board->owners[i];
	return (uint32_t)__builtin_popcount(leads);
}

static void
compare_moments(
	const struct run *r, const struct moment *a, const struct moment *b, struct run_result *ret)
{
	uint32_t leader = r->board->owners[0];

	ret->seconds = (double)(r->board->until_ns - r->board->from_ns) / 1e9;
	ret->cpu_us = (double)(b->cpu_ns - a->cpu_ns) / 1e3;
	ret->load_cpu_us = (double)(b->load_cpu_ns - a->load_cpu_ns) / 1e3;
	/* Whose leader was killed has taken its CPU time with it. */
	ret->host = host_cpu_between(
		&a->host, &b->host, b->own_ns > a->own_ns ? b->own_ns - a->own_ns : 0);
	if (ret->killed_ns > 0)
		ret->host.others_percent = NAN;
	ret->is_device_counted = a->is_counted && b->is_counted;
	ret->is_device_exact = r->device.is_exact;
	if (ret->is_device_counted)
		ret->device = counters_between(&a->device, &b->device);
	/* What several nodes lead has its leaders' and its followers' work in each of them. */
	ret->leader_count = count_leaders(r);
	ret->is_watched = a->is_watched && b->is_watched && ret->leader_count == 1;
	for (uint32_t i = 0; i < r->node_count && ret->idle[0] == '\0'; i++)
		memcpy(ret->idle, b->watches[i].idle, sizeof(ret->idle));
	for (uint32_t i = 0; ret->is_watched && i < r->node_count; i++) {
		struct watch between;

		watch_between(&a->watches[i], &b->watches[i], &between);
		if (i == leader)
			ret->leader = between;
		else
			add_watch(&ret->followers, &between);
	}
}

static void
take_groups(const struct run *r, struct run_result *ret)
{
	for (uint32_t i = 0; i < r->group_count; i++) {
		const struct board_group *g = &r->board->groups[i];

		histogram_merge(&ret->latency, &g->latency);
		histogram_merge(&ret->lag, &g->lag);
		ret->done_count += g->done_count;
		ret->unsent_count += g->unsent_count;
		ret->unanswered_count += g->unanswered_count;
	}
	for (uint32_t i = 0; i < r->node_count; i++)
		ret->snapshot_count += atomic_load(&r->board->nodes[i].snapshot_count);
	ret->memory_bytes = atomic_load(&r->board->nodes[r->board->owners[0]].memory_bytes);
}

static int
await_owners(struct run *r, uint32_t order)
{
	uint64_t until = r->board->until_ns + ANSWERS_NS;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->group_count;) {
		struct board_node *owner = &r->board->nodes[r->board->owners[i]];

		/* Acquire: pairs with the release in serve(), behind what was measured. */
		if (atomic_load_explicit(&owner->order, memory_order_acquire) == order) {
			i++;
			continue;
		}
		rc = sleep_until(r, base_now_ns() + PAUSE_NS);
		if (rc == 0 && base_now_ns() > until) {
			fprintf(stderr, "decree bench: node %u does not answer\n",
				r->board->owners[i] + 1);
			rc = -ETIMEDOUT;
		}
	}
	return rc;
}

/* A leader's killing is seen by who is left: the next node has the load. @return the leader */
static uint32_t
give_to_follower(struct run *r)
{
	uint32_t leader = r->board->owners[0];

	r->board->owners[0] = (leader + 1) % r->node_count;
	return leader;
}

static int
kill_leader(struct run *r, uint32_t leader, uint64_t at_ns, struct run_result *ret)
{
	int rc = sleep_until(r, at_ns);

	if (rc != 0)
		return rc;
	(void)kill(r->pids[leader], SIGKILL);
	ret->killed_ns = base_now_ns() - r->board->from_ns;
	(void)waitpid(r->pids[leader], NULL, 0); /* gone */
	r->pids[leader] = 0;
	return 0;
}

int
run_measure(struct run *r, const struct plan_load *load, bool kill, struct run_result *ret)
{
	static struct moment before, after;
	struct board *b = r->board;
	double warm_up_s = r->plan->warm_up_s + (r->is_fresh ? r->plan->settle_s : 0);
	uint32_t order = atomic_load(&b->order) + 1, leader = kill ? give_to_follower(r) : 0;
	int rc;

	memset(ret, 0, sizeof(*ret));
	r->is_fresh = false;
	b->load = *load;
	b->are_samples_wanted = kill;
	b->sample_count = 0;
	b->from_ns = base_now_ns() + (uint64_t)(warm_up_s * 1e9);
	b->until_ns = b->from_ns + (uint64_t)(r->plan->seconds * 1e9);
	/* Release: pairs with the acquire in serve(). */
	atomic_store_explicit(&b->order, order, memory_order_release);
	rc = sleep_until(r, b->from_ns - WATCH_NS);
	watch(r, &before);
	if (rc == 0)
		rc = sleep_until(r, b->from_ns);
	count(r, &before, false);
	if (rc == 0 && kill)
		rc = kill_leader(r, leader, (b->from_ns + b->until_ns) / 2, ret);
	if (rc == 0)
		rc = sleep_until(r, b->until_ns);
	count(r, &after, true);
	watch(r, &after);
	if (rc == 0)
		rc = await_owners(r, order);
	if (rc != 0) {
		run_end(r);
		return rc;
	}
	compare_moments(r, &before, &after, ret);
	take_groups(r, ret);
	return 0;
}

/* ------------------------------------------------------------------------------ open, close */

static uint32_t
in_flight_max(const struct plan *plan)
{
	uint32_t max = 1;

	for (uint32_t i = 0; i < plan->point_count; i++)
		if (plan->points[i].load.in_flight > max)
			max = plan->points[i].load.in_flight;
	return max;
}

int
run_open(struct run *r, const struct plan *plan)
{
	const struct sigaction action = { .sa_handler = on_signal };
	char error[DECREE_ERROR_BYTES];
	int rc;

	*r = (struct run){ .plan = plan };
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	r->board = mmap(NULL, sizeof(*r->board), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->board == MAP_FAILED) {
		r->board = NULL;
		fprintf(stderr, "decree bench: no memory\n");
		return -ENOMEM;
	}
	r->cluster.log_bytes = plan->log_bytes;
	r->cluster.settings = plan->settings;
	r->cluster.setting_count = plan->setting_count;
	r->cluster.is_not_prewritten = plan->is_not_prewritten;
	r->cluster.in_flight = in_flight_max(plan);
	r->cluster.cpu_count = plan->cpu_count;
	memcpy(r->cluster.cpus, plan->cpus, sizeof(r->cluster.cpus));
	snprintf(r->cluster.folder, sizeof(r->cluster.folder), "%.200s/dbXXXXXX", plan->dir);
	rc = bench_cluster_create(&r->cluster, error);
	if (rc != 0) {
		fprintf(stderr, "decree bench: %s\n", error);
		(void)munmap(r->board, sizeof(*r->board));
		r->board = NULL;
		return rc;
	}
	r->has_device = counters_open(&r->device, plan->dir) == 0;
	return 0;
}

void
run_close(struct run *r)
{
	if (r == NULL || r->board == NULL)
		return;
	run_end(r);
	counters_close(&r->device);
	bench_cluster_remove(&r->cluster);
	(void)munmap(r->board, sizeof(*r->board));
	r->board = NULL;
}
