/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/node.h"

#include "bench/commit/load.h"
#include "bench/machine.h"
#include "decree/node.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* A load that runs in the turns of its group's shard. */
struct inside {
	_Atomic uint32_t wanted,
		done;          /* orders: counted up by the main thread, then by the shard's */
	struct load_pass pass; /* owner: the shard's thread, as what follows */
	bool is_running;
};

struct process {
	const struct node_task *task;
	struct board_node *place; /* on the board */
	struct decree_node *node;
	struct bench_machine machines[PLAN_SHARD_COUNT_MAX];
	struct load *loads[PLAN_SHARD_COUNT_MAX]; /* NULL: never loaded here */
	struct inside insides[PLAN_SHARD_COUNT_MAX];
};

static void
on_log(void *context, enum decree_log_level level, const char *line)
{
	const struct process *p = context;

	if (p->task->is_verbose || level <= DECREE_LOG_ERROR)
		fprintf(stderr, "node %u: %s\n", p->task->index + 1, line);
}

static bool on_turn(void *context, uint16_t shard);

static void
open_node(struct process *p)
{
	void *machines[PLAN_SHARD_COUNT_MAX];
	char error[DECREE_ERROR_BYTES];
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = p->task->config,
		.settings = p->task->settings,
		.setting_count = p->task->setting_count,
		.machine_ops = &bench_machine_ops,
		.machines = machines,
		.group_count = p->task->group_count,
		.context = p,
		.on_log = on_log,
		.on_turn = p->task->is_load_inside ? on_turn : NULL,
	};

	for (uint32_t i = 0; i < p->task->group_count; i++) {
		machines[i] = &p->machines[i];
		if (bench_machine_init(&p->machines[i], p->task->state_bytes) != 0)
			load_die(p->place, "no memory for the state");
	}
	if (decree_open(&options, &p->node, error) != 0)
		load_die(p->place, error);
	if (decree_start(p->node) != 0)
		load_die(p->place, "the node does not start");
}

/* This thread, which will be the load's, goes elsewhere, if there is any other CPU. */
static void
leave_shards(const struct node_task *task)
{
	cpu_set_t set;

	if (task->cpu_count == 0 || sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (uint32_t i = 0; i < task->cpu_count; i++)
		CPU_CLR(task->cpus[i], &set);
	if (CPU_COUNT(&set) > 0)
		(void)sched_setaffinity(0, sizeof(set), &set); /* it was allowed all of them */
}

static uint64_t
memory_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kib, sum = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %llu", &kib) == 1 ||
			sscanf(line, "HugetlbPages: %llu", &kib) == 1)
			sum += kib;
	if (file != NULL)
		(void)fclose(file); /* was only read */
	return sum << 10;
}

static void
tell_leads(struct process *p)
{
	uint32_t leads = 0;

	for (uint16_t i = 0; i < p->task->group_count; i++) {
		struct decree_group_status status;

		if (decree_group_status(p->node, i, &status) == 0 && status.role == DECREE_LEADER &&
			status.ready)
			leads |= 1u << i;
	}
	atomic_store(&p->place->leads, leads);
}

/* Whoever opens its proposer is the thread that loads. */
static struct load *
load_of(struct process *p, uint16_t group)
{
	struct load *l = p->loads[group];

	if (l != NULL)
		return l;
	l = p->loads[group] = calloc(1, sizeof(*l));
	if (l == NULL)
		load_die(p->place, "no memory for the load");
	*l = (struct load){ .board = p->task->board,
		.node = p->place,
		.group = group,
		.place = group,
		.group_count = (uint16_t)p->task->group_count };
	load_open(l, p->node);
	return l;
}

/* ------------------------------------------------------------------------------ inside a shard */

/* Shard's thread: each shard has one group, of the same number. */
static bool
on_turn(void *context, uint16_t shard)
{
	struct process *p = context;
	struct inside *in = &p->insides[shard];
	/* Acquire: pairs with the release in run_inside(), behind the order's text. */
	uint32_t wanted = atomic_load_explicit(&in->wanted, memory_order_acquire);
	bool did_work, is_over;

	if (wanted == atomic_load_explicit(&in->done, memory_order_relaxed))
		return false;
	if (!in->is_running) {
		(void)load_of(p, shard);
		load_begin(&in->pass, &p->loads[shard], 1);
		in->is_running = true;
	}
	did_work = load_turn(&in->pass, &is_over);
	if (is_over) {
		load_end(&in->pass);
		in->is_running = false;
		/* Release: what was measured is there before it is said to be. */
		atomic_store_explicit(&in->done, wanted, memory_order_release);
	}
	return did_work;
}

/* A node that has stopped ends the measurement, with its own word for why. */
static void
look_at_health(struct process *p)
{
	char error[DECREE_ERROR_BYTES];

	if (decree_health(p->node, error) != 0)
		load_die(p->place, error);
}

/* The shards carry it out; this thread sleeps, and looks whether there are any left. */
static void
run_inside(struct process *p, const uint16_t *groups, uint32_t count)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	for (uint32_t i = 0; i < count; i++)
		(void)atomic_fetch_add_explicit(
			&p->insides[groups[i]].wanted, 1, memory_order_release);
	for (uint32_t i = 0; i < count;) {
		struct inside *in = &p->insides[groups[i]];

		if (atomic_load_explicit(&in->done, memory_order_acquire) ==
			atomic_load_explicit(&in->wanted, memory_order_relaxed))
			i++;
		else
			(void)nanosleep(&pause, NULL); /* woken early is as good */
		look_at_health(p);
	}
}

/* ------------------------------------------------------------------------------ orders */

static void
carry_out(struct process *p)
{
	struct load *loads[PLAN_SHARD_COUNT_MAX];
	uint16_t groups[PLAN_SHARD_COUNT_MAX];
	uint32_t count = 0, snapshot_count = 0;

	for (uint16_t i = 0; i < p->task->group_count; i++)
		if (p->task->board->owners[i] == p->task->index)
			groups[count++] = i;
	if (p->task->is_load_inside) {
		run_inside(p, groups, count);
	} else if (count > 0) {
		for (uint32_t i = 0; i < count; i++)
			loads[i] = load_of(p, groups[i]);
		load_run(loads, count);
	}
	for (uint32_t i = 0; i < p->task->group_count; i++)
		snapshot_count += atomic_load(&p->machines[i].snapshot_count);
	atomic_store(&p->place->snapshot_count, snapshot_count);
	atomic_store(&p->place->memory_bytes, memory_bytes());
}

static void
serve(struct process *p)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct board *b = p->task->board;
	uint32_t done = 0;

	while (!atomic_load(&b->is_over)) {
		/* Acquire: pairs with the release behind the order's text. */
		uint32_t order = atomic_load_explicit(&b->order, memory_order_acquire);

		look_at_health(p);
		if (atomic_load(&b->is_electing))
			tell_leads(p);
		if (order != done) {
			carry_out(p);
			done = order;
			/* Release: what was measured is there before its number. */
			atomic_store_explicit(&p->place->order, done, memory_order_release);
		}
		(void)nanosleep(&pause, NULL); /* woken early is as good */
	}
}

void
node_run(const struct node_task *task)
{
	static struct process p;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	p = (struct process){ .task = task, .place = &task->board->nodes[task->index] };
	open_node(&p);
	leave_shards(task);
	serve(&p);
	for (uint32_t i = 0; !task->is_load_inside && i < task->group_count; i++)
		if (p.loads[i] != NULL)
			load_close(p.loads[i]);
	decree_stop(p.node); /* and the end of the process gives everything back */
	_exit(EXIT_SUCCESS); /* not what the program has not printed yet */
}
