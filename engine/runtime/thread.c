/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard's thread: one turn of the loop after the other, and what to do when there is no work.
 *
 *   spin    pause and look again. Only where the CPU is the shard's alone; even so it gives way
 *           while a write is under way if the CPU is shared after all: a spinning thread delays the
 *           completions that its own CPU handles to the next timer tick
 *   yield   sched_yield() on every empty turn: nearly as fast as spinning, also on shared CPUs, as
 *           long as nobody but other shards wants them
 *   sleep   yield while there was work a moment ago, then sleep: the longer it has been idle the
 *           longer, so that a node at rest takes little and what comes then waits for little:
 *           laptops, several nodes or other programs on one CPU. A write that takes longer than a
 *           moment is slept through as well, whatever else there is to do meanwhile (a snapshot
 *           wants something every millisecond): the kernel's worker that ends it may be what waits
 *           for our CPU
 *
 * auto takes spin if every shard is pinned to a CPU of its own that the kernel keeps other work
 * away from (isolcpus), else sleep. A pause or a sleep before the yield only costs: measured on
 * shared CPUs, a yield on every empty turn gives 4 us round trips where pausing first gives
 * milliseconds. But it must not yield for ever: with twenty other busy threads on two CPUs, durable
 * writes of a shard that did took up to 25 seconds, since the kernel's worker that ends them got no
 * CPU; none took one second with sleep. Nor may it while it starts, or for a turn that is due and
 * does nothing: with sessions scheduled as groups (sched_autogroup, 6.18) nothing else on the host
 * ran meanwhile, ksoftirqd included.
 *
 * After a turn that did something the loop looks again at once, since under load there is more to
 * do. With one command in flight there hardly ever is (0 to 16 % of looks, 35 % and more with 64 in
 * flight), and the one whose turn it is waits for that look: where fewer than a quarter of them
 * find anything, the CPU is given away right behind the work, and one look in sixteen tells whether
 * that has changed.
 */
#include "engine/runtime/node_private.h"

#include "base/refuse.h"

#include <rte_lcore.h>
#include <rte_pause.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define SLEEP_AFTER_NS 1000000
#define SLEEP_SHARE    16 /* of the time that it has been idle */
#define SLEEP_NS_MIN                                                                               \
	20000 /* also where a turn is due: what did nothing for SLEEP_AFTER_NS can wait */
#define SLEEP_NS_MAX 500000

#define LOOK_SCORE_MAX 64
#define LOOK_SCORE     32 /* from here on the CPU is given away */
#define LOOK_PRICE     3  /* one that finds something takes away what so many in vain have added */
#define LOOK_TRY       16

/* ------------------------------------------------------------------------------ idle */

const char *
idle_name(enum decree_idle idle)
{
	static const char *const names[] = { "auto", "spin", "yield", "sleep" };

	return names[idle];
}

/* "2-3,5" as /sys/devices/system/cpu/isolated has it. */
static bool
is_listed(const char *list, unsigned cpu)
{
	while (*list != '\0') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list)
			return false;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (cpu >= first && cpu <= last)
			return true;
		list = *end == ',' ? end + 1 : end;
		if (*end != ',')
			return false;
	}
	return false;
}

static bool
is_isolated(unsigned cpu)
{
	FILE *file = fopen("/sys/devices/system/cpu/isolated", "re");
	char list[1024] = "";

	if (file == NULL)
		return false;
	if (fgets(list, sizeof(list), file) == NULL)
		list[0] = '\0';
	fclose(file);
	return is_listed(list, cpu);
}

enum decree_idle
idle_choose(const struct decree_node *node)
{
	const struct config *c = &node->config;

	if (c->idle != DECREE_IDLE_AUTO)
		return c->idle;
	if (c->cpu_count != c->shard_count)
		return DECREE_IDLE_SLEEP;
	for (uint32_t i = 0; i < c->cpu_count; i++) {
		if (!is_isolated(c->cpus[i]))
			return DECREE_IDLE_SLEEP;
		for (uint32_t k = 0; k < i; k++)
			if (c->cpus[k] == c->cpus[i])
				return DECREE_IDLE_SLEEP;
	}
	return DECREE_IDLE_SPIN;
}

static uint64_t
min_ns(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max_ns(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t
idle_pause_ns(uint64_t idle_ns, uint64_t log_waits_ns, uint64_t until_wake_ns)
{
	uint64_t quiet_ns = max_ns(idle_ns, log_waits_ns);
	uint64_t pause_ns = min_ns(min_ns(quiet_ns / SLEEP_SHARE, SLEEP_NS_MAX), until_wake_ns);

	return quiet_ns < SLEEP_AFTER_NS ? 0 : max_ns(pause_ns, SLEEP_NS_MIN);
}

static void
sleep_a_little(struct node_shard *ns, uint64_t now_ns)
{
	uint64_t wake_at = shard_wake_at(ns->shard);
	uint64_t pause_ns = idle_pause_ns(now_ns - ns->turn_at_ns,
		shard_log_waits_ns(ns->shard, now_ns), wake_at > now_ns ? wake_at - now_ns : 0);
	struct timespec pause = { .tv_nsec = (long)pause_ns };

	if (pause_ns == 0)
		sched_yield();
	else
		nanosleep(&pause, NULL);
}

static void
idle(struct node_shard *ns, uint64_t now_ns)
{
	switch (ns->node->idle) {
	case DECREE_IDLE_SPIN:
		if (shard_is_log_busy(ns->shard))
			sched_yield();
		else
			rte_pause();
		return;
	case DECREE_IDLE_SLEEP: sleep_a_little(ns, now_ns); return;
	case DECREE_IDLE_AUTO:
	case DECREE_IDLE_YIELD: sched_yield(); return;
	}
}

/* Behind a turn that did something. @return true if the CPU was given away */
static bool
give_way(struct node_shard *ns)
{
	if (ns->node->idle == DECREE_IDLE_SPIN || ns->vain_look_score < LOOK_SCORE ||
		++ns->look_skip_count % LOOK_TRY == 0)
		return false;
	sched_yield();
	return true;
}

/* A turn right behind one that did something. */
static void
note_look(struct node_shard *ns, bool did_work)
{
	if (!did_work && ns->vain_look_score < LOOK_SCORE_MAX)
		ns->vain_look_score++;
	else if (did_work)
		ns->vain_look_score -=
			ns->vain_look_score < LOOK_PRICE ? ns->vain_look_score : LOOK_PRICE;
}

/* ------------------------------------------------------------------------------ thread */

static _Thread_local const struct node_shard *thread_of;

bool
thread_is_of(const struct node_shard *ns)
{
	return thread_of == ns;
}

bool
thread_is_shards(void)
{
	return thread_of != NULL;
}

static void
answer_question(struct node_shard *ns)
{
	uint32_t asked = QUESTION_ASKED;

	if (atomic_load_explicit(&ns->question, memory_order_relaxed) != QUESTION_ASKED)
		return;
	/* Acquire: pairs with the release in ask(). It may have been taken back meanwhile. */
	if (!atomic_compare_exchange_strong_explicit(&ns->question, &asked, QUESTION_ANSWERING,
		    memory_order_acquire, memory_order_relaxed))
		return;
	ns->question_rc = shard_group_status(ns->shard, ns->question_group, &ns->question_answer);
	atomic_store_explicit(&ns->question, QUESTION_ANSWERED, memory_order_release);
}

static void
note_ready(struct node_shard *ns, uint64_t now_ns)
{
	uint64_t none = 0;

	if (!shard_has_started(ns->shard))
		return;
	(void)atomic_compare_exchange_strong_explicit(&ns->node->ready_ns, &none,
		now_ns - ns->node->process_start_ns, memory_order_relaxed, memory_order_relaxed);
}

/* What another start would meet again is told from what may be over by then. */
static int
stop_rc(enum shard_stop why)
{
	return why == SHARD_STOPPED_HALT || why == SHARD_STOPPED_SNAPSHOT ? -ENOTRECOVERABLE : -EIO;
}

static bool
turn(struct node_shard *ns, uint64_t now_ns)
{
	const struct decree_options *o = &ns->node->options;
	bool did_work = shard_turn(ns->shard, now_ns);

	if (o->on_turn != NULL && o->on_turn(o->context, ns->index))
		did_work = true;
	return did_work;
}

static void
run(struct node_shard *ns)
{
	struct decree_node *node = ns->node;
	uint64_t turns = 0;
	bool is_ready = false, is_look = false;

	ns->turn_at_ns = node_now_ns();
	while (!atomic_load_explicit(&node->stop, memory_order_relaxed)) {
		uint64_t now_ns = node_now_ns();
		bool did_work = turn(ns, now_ns);
		char text[DECREE_ERROR_BYTES];

		atomic_store_explicit(&ns->turns, ++turns, memory_order_relaxed);
		proposer_serve(ns);
		answer_question(ns);
		metrics_publish(ns, now_ns);
		if (is_look)
			note_look(ns, did_work);
		is_look = false;
		if (did_work) {
			ns->turn_at_ns = now_ns;
			if (shard_stop_reason(ns->shard, text) != SHARD_RUNS) {
				node_fail(node, stop_rc(shard_stop_reason(ns->shard, NULL)), text);
				return;
			}
			if (!is_ready)
				note_ready(ns, now_ns);
			is_ready = shard_has_started(ns->shard);
			is_look = !give_way(ns);
			continue;
		}
		idle(ns, now_ns);
	}
}

static void *
thread_main(void *context)
{
	struct node_shard *ns = context;
	char name[16];

	thread_of = ns;
	snprintf(name, sizeof(name), "decree-%u", ns->index);
	prctl(PR_SET_NAME, name);
	/* Gives the thread an lcore id, and with it the caches of the buffer pools. */
	if (ns->node->net != NULL && rte_thread_register() != 0) {
		node_fail(ns->node, -ENOSPC, "EAL has no lcore id left for a shard's thread");
	} else {
		shard_start(ns->shard, ns->node->boot_count, node_now_ns());
		run(ns);
		if (ns->node->net != NULL)
			rte_thread_unregister();
	}
	/* Release: whoever sees it may look into the shard. */
	atomic_store_explicit(&ns->is_running, false, memory_order_release);
	return NULL;
}

/* The kernel alone knows: a CPU may be absent, switched off, or another cpuset's. Lists of what is
 * allowed now (taskset) bind nobody. */
static bool
may_run_on(uint32_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static int
refuse_cpu(uint32_t cpu, const char *key, char *ret_error)
{
	return base_refuse(-EINVAL, ret_error,
		"CPU %u of '%s' does not exist here, or is not allowed to this process: 'lscpu -e' "
		"lists them",
		cpu, key);
}

int
thread_check_cpus(const struct config *c, char *ret_error)
{
	cpu_set_t before;
	int rc = 0;

	if (sched_getaffinity(0, sizeof(before), &before) != 0)
		return 0; /* more CPUs than a set holds: the threads' start tells */
	for (uint32_t i = 0; rc == 0 && i < c->cpu_count; i++)
		if (!may_run_on(c->cpus[i]))
			rc = refuse_cpu(c->cpus[i], "cpus", ret_error);
	if (rc == 0 && c->control_cpu >= 0 && !may_run_on((uint32_t)c->control_cpu))
		rc = refuse_cpu((uint32_t)c->control_cpu, "control_cpu", ret_error);
	(void)sched_setaffinity(
		0, sizeof(before), &before); /* where this thread was allowed before */
	return rc;
}

static int
set_cpu(pthread_attr_t *attr, uint16_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return -pthread_attr_setaffinity_np(attr, sizeof(set), &set);
}

int
thread_start(struct node_shard *ns)
{
	pthread_attr_t attr;
	int rc = -pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	if (ns->is_pinned)
		rc = set_cpu(&attr, ns->cpu);
	atomic_store_explicit(&ns->is_running, true, memory_order_relaxed);
	if (rc == 0)
		rc = -pthread_create(&ns->thread, &attr, thread_main, ns);
	if (rc != 0)
		atomic_store_explicit(&ns->is_running, false, memory_order_relaxed);
	ns->has_thread = rc == 0;
	pthread_attr_destroy(&attr);
	return rc;
}

void
thread_join(struct node_shard *ns)
{
	if (ns->has_thread)
		pthread_join(ns->thread, NULL);
	ns->has_thread = false;
}
