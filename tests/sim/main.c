/* SPDX-License-Identifier: Apache-2.0 */
/* Many seeds on several cores, and the summary. */
#include "tests/sim/main.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_EVERY 10 /* seconds */

/* ---- sums ---- */

/* 0: not known yet */
static uint64_t
lower(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static uint64_t
higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void
totals_add_queue(struct totals *t, const struct sim_queue_count *c)
{
	t->queue.puts += c->puts;
	t->queue.deletes += c->deletes;
	t->queue.handed += c->handed;
	t->queue.waited += c->waited;
	t->queue.in_vain += c->in_vain;
	t->queue.behind += c->behind;
	t->queue.expired += c->expired;
	t->queue.gateways += c->gateways;
	t->queue.detached += c->detached;
	t->queue.begun_anew += c->begun_anew;
}

static void
totals_add_run(struct totals *t, const struct sim *sim)
{
	uint64_t events = sim_event_count(sim);

	t->seeds++;
	t->events += events;
	t->commands += sim->oracle.order_count;
	t->crashes += sim->count.crashes;
	t->power_cuts += sim->count.power_cuts;
	t->sent += sim->count.sent;
	t->lost += sim->count.lost;
	t->leaders += sim->oracle.leader_changes;
	t->snapshots += sim->count.snapshots;
	t->restores += sim->count.restores;
	t->fetching_seeds += sim->count.fetched > 0;
	t->fetched += sim->count.fetched;
	t->damaged += sim->count.damaged;
	t->nameless += sim->count.nameless;
	t->refused_starts += sim->count.refused_starts;
	t->rolled_back += sim->count.rolled_back;
	t->outages += sim->count.outages;
	t->twins += sim->count.twins;
	t->fenced += sim->count.fenced;
	t->forgetful += sim->count.forgetful;
	t->rewritten += sim->count.rewritten;
	t->refused += sim->count.refused;
	t->evicted += sim->count.evicted;
	t->filled += sim->count.filled;
	t->emptied += sim->count.emptied;
	t->fired += sim->count.fired;
	t->fired_idle += sim->count.fired_idle;
	t->lost_nodes += sim->count.lost_nodes;
	t->transfers += sim->count.transfers;
	t->raises += sim->count.raises;
	t->too_old += sim->count.too_old;
	t->changes_refused += sim->count.changes_refused;
	for (int i = 0; i < 3; i++)
		t->changes[i] += sim->count.changes[i];
	if (sim->queue->is_on) {
		t->queues++;
		totals_add_queue(t, &sim->queue->count);
	}
	t->slots += sim->oracle.chosen_last;
	t->virtual_ns += sim->now_ns;
	t->crash_free += sim->count.crashes == 0;
	t->events_min = lower(t->events_min, events);
	t->crashes_min = lower(t->crashes_min, sim->count.crashes);
	t->commands_min = lower(t->commands_min, sim->oracle.order_count);
	t->storm_max = higher(t->storm_max, sim->oracle.storm_max);
	t->progress_tenths = higher(t->progress_tenths, sim->count.progress_tenths);
}

static void
totals_add(struct totals *t, const struct totals *other)
{
	t->seeds += other->seeds;
	t->events += other->events;
	t->commands += other->commands;
	t->crashes += other->crashes;
	t->power_cuts += other->power_cuts;
	t->sent += other->sent;
	t->lost += other->lost;
	t->leaders += other->leaders;
	t->slots += other->slots;
	t->snapshots += other->snapshots;
	t->restores += other->restores;
	t->fetching_seeds += other->fetching_seeds;
	t->fetched += other->fetched;
	t->damaged += other->damaged;
	t->nameless += other->nameless;
	t->refused_starts += other->refused_starts;
	t->rolled_back += other->rolled_back;
	t->outages += other->outages;
	t->twins += other->twins;
	t->fenced += other->fenced;
	t->forgetful += other->forgetful;
	t->rewritten += other->rewritten;
	t->refused += other->refused;
	t->evicted += other->evicted;
	t->filled += other->filled;
	t->emptied += other->emptied;
	t->fired += other->fired;
	t->fired_idle += other->fired_idle;
	t->lost_nodes += other->lost_nodes;
	t->transfers += other->transfers;
	t->raises += other->raises;
	t->too_old += other->too_old;
	t->changes_refused += other->changes_refused;
	for (int i = 0; i < 3; i++)
		t->changes[i] += other->changes[i];
	t->queues += other->queues;
	totals_add_queue(t, &other->queue);
	t->virtual_ns += other->virtual_ns;
	t->crash_free += other->crash_free;
	t->cpu_seconds += other->cpu_seconds;
	t->events_min = lower(t->events_min, other->events_min);
	t->commands_min = lower(t->commands_min, other->commands_min);
	t->crashes_min = lower(t->crashes_min, other->crashes_min);
	t->storm_max = higher(t->storm_max, other->storm_max);
	t->progress_tenths = higher(t->progress_tenths, other->progress_tenths);
}

/* Time of this process on a core: other processes on the machine do not count. */
static double
cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void
totals_print(const struct totals *t)
{
	double cpu = t->cpu_seconds > 0 ? t->cpu_seconds : 1e-6;

	printf("%lu seeds passed: %lu events (at least %lu each), %lu commands (at least %lu each) "
	       "in %lu slots, %lu crashes (at least %lu each; %lu power cuts), %lu leaders, %lu of "
	       "%lu frames lost, %lu snapshots (%lu restored, %lu from peers, in %lu seeds); "
	       "progress after %.1f T at the latest, at most %lu rounds in one T\n",
		t->seeds, t->events, t->events_min, t->commands, t->commands_min, t->slots,
		t->crashes, t->crash_free > 0 ? 0 : t->crashes_min, t->power_cuts, t->leaders,
		t->lost, t->sent, t->snapshots, t->restores, t->fetched, t->fetching_seeds,
		(double)t->progress_tenths / 10, t->storm_max);
	printf("disks: %lu damaged records, %lu of them nameless, %lu written again while their "
	       "nodes ran, %lu starts refused, %lu disks rolled back, %lu more while nobody ran, "
	       "%lu nodes ran twice and %lu processes ended for that, %lu forgot what they had "
	       "called durable, %lu nodes lost, %lu logs full and %lu with room again\n",
		t->damaged, t->nameless, t->rewritten, t->refused_starts, t->rolled_back,
		t->outages, t->twins, t->fenced, t->forgetful, t->lost_nodes, t->filled,
		t->emptied);
	printf("sessions: %lu commands were refused, %lu had none any more before they were "
	       "answered\n",
		t->refused, t->evicted);
	printf("members: %lu added, %lu removed, %lu replaced, %lu requests refused; %lu leaders "
	       "chosen by hand, %lu clusters raised to another version, %lu programs too old for "
	       "it\n",
		t->changes[0], t->changes[1], t->changes[2], t->changes_refused, t->transfers,
		t->raises, t->too_old);
	printf("time: %lu timers went off, %lu of them with no command about\n", t->fired,
		t->fired_idle);
	if (t->queues > 0)
		printf("queues: %lu; %lu jobs put, %lu deleted, %lu handed over, %lu of them to "
		       "who waited, %lu waits in vain, %lu commands behind a wait, %lu TTRs "
		       "expired; %lu gateways attached, %lu were silent too long, %lu began anew\n",
			t->queues, t->queue.puts, t->queue.deletes, t->queue.handed,
			t->queue.waited, t->queue.in_vain, t->queue.behind, t->queue.expired,
			t->queue.gateways, t->queue.detached, t->queue.begun_anew);
	/* Not to stdout: the same seed prints the same bytes there. */
	fprintf(stderr,
		"%.1f s virtual in %.2f s of one core: %.0f times real time, %.0f events/s, %.0f "
		"seeds/s\n",
		(double)t->virtual_ns / 1e9, cpu, (double)t->virtual_ns / 1e9 / cpu,
		(double)t->events / cpu, (double)t->seeds / cpu);
}

/* ---- seeds ---- */

/* One process's share: seeds first, first + step, ... @p ret_totals may be read by another process
 * meanwhile. */
static void
run_share(const struct sim_options *options, uint64_t count, uint64_t first, uint64_t step,
	struct totals *ret_totals, volatile bool *stop)
{
	static struct sim *sim; /* the process ends with it */
	double begin = cpu_seconds();
	struct sim_options o = *options;

	sim = sim_create();
	for (uint64_t i = first; i < count && !*stop; i += step) {
		o.seed = options->seed + i;
		sim_run(sim, &o);
		totals_add_run(ret_totals, sim);
		ret_totals->cpu_seconds = cpu_seconds() - begin;
	}
}

struct shared {
	volatile bool stop;
	struct totals totals[JOB_COUNT_MAX];
};

static struct totals
sum(const struct shared *s, uint32_t jobs)
{
	struct totals t = { 0 };

	for (uint32_t i = 0; i < jobs; i++)
		totals_add(&t, &s->totals[i]);
	return t;
}

/* @return whether all of them passed */
static bool
wait_for_jobs(struct shared *s, uint32_t jobs, uint64_t count)
{
	uint32_t left = jobs, ticks = 0;
	bool passed = true;

	while (left > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid > 0) {
			left--;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				s->stop = true;
			passed = passed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
			continue;
		}
		struct timespec nap = { .tv_nsec = 50 * 1000 * 1000 };
		nanosleep(&nap, NULL);
		if (++ticks % (PROGRESS_EVERY * 20) == 0) {
			struct totals t = sum(s, jobs);
			fprintf(stderr, "%lu of %lu seeds, %.0f seeds/s and core\n", t.seeds, count,
				(double)t.seeds / t.cpu_seconds);
		}
	}
	return passed;
}

static int
run_seeds(const struct sim_options *options, uint64_t count, uint32_t jobs)
{
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	if (options->trace) {
		run_share(options, count, 0, 1, &s->totals[0], &s->stop);
		totals_print(&s->totals[0]);
		return 0;
	}
	fflush(stdout);
	for (uint32_t i = 0; i < jobs; i++) {
		pid_t pid = fork();
		if (pid < 0) {
			perror("sim: fork");
			return 2;
		}
		if (pid == 0) {
			run_share(options, count, i, jobs, &s->totals[i], &s->stop);
			exit(0);
		}
	}
	if (!wait_for_jobs(s, jobs, count))
		return 1;
	struct totals t = sum(s, jobs);
	totals_print(&t);
	return 0;
}

int
main(int argc, char **argv)
{
	struct call call;
	int status = call_parse(argc, argv, &call);

	if (status != CALL_RUNS)
		return status;
	return call.shrink ? shrink_seed(&call.options)
			   : run_seeds(&call.options, call.count, call.jobs);
}
