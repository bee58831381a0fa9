/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steady state, counted: three nodes, a process each, real logs and memif, under the load of
 * `decree bench --closed` with one command in flight and with a thousand. For the threads of the
 * shards, and for the second that is measured:
 *
 *   allocations     of the C library and of DPDK: none
 *   locks           mutexes, condition variables, semaphores, and futex(): none
 *   system calls    for each commit at most 1 with one in flight, at most 0.01 with a thousand;
 *                   apart from those by which a shard waits when a turn found no work,
 *                   sched_yield() and the sleep after a millisecond of that, and from a driver's
 *                   kick
 *
 *   steady FOLDER [SECONDS]     a folder on the disk for the logs
 *
 * Exit 77: system calls could not be counted, and the rest is as it should be.
 */
#include "bench/commit/run.h"
#include "tests/steady/calls.h"
#include "tests/steady/interpose.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_COUNT PLAN_NODE_COUNT_MAX /* one shard each */
#define LOG_BYTES    (256ull << 20)
/* What comes with time and not with commits: slots that a leader makes by itself, pieces of the log
 * that are pre-written while no command comes, and what happens between the readings of two
 * counters. */
#define CALLS_PER_SECOND 100

struct shard_thread {
	pid_t tid;
	struct call_source source;
	struct calls calls[2]; /* begin and end */
	struct interposed interposed[2];
};

struct steady {
	struct plan plan;
	struct run run;
	struct run_result result;
	struct shard_thread threads[THREAD_COUNT];
	bool has_calls;
	int rc; /* of the counters */
	uint32_t wrong_count;
};

/* ------------------------------------------------------------------------------ threads */

/* @return the thread of that name; 0: there is none */
static pid_t
find_thread(pid_t pid, const char *name)
{
	char path[600], comm[32];
	struct dirent *entry;
	pid_t found = 0;
	DIR *folder;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	while (folder != NULL && found == 0 && (entry = readdir(folder)) != NULL) {
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(comm, sizeof(comm), file) != NULL &&
			strcspn(comm, "\n") == strlen(name) &&
			strncmp(comm, name, strlen(name)) == 0)
			found = (pid_t)atoi(entry->d_name);
		(void)fclose(file); /* was only read */
	}
	if (folder != NULL)
		(void)closedir(folder); /* the same */
	return found;
}

static int
open_threads(struct steady *s)
{
	for (uint32_t i = 0; i < s->run.node_count; i++) {
		struct shard_thread *t = &s->threads[i];
		int rc;

		t->tid = find_thread(s->run.pids[i], "decree-0");
		if (t->tid == 0) {
			fprintf(stderr, "steady: node %u has no thread decree-0\n", i + 1);
			return -ESRCH;
		}
		rc = s->has_calls ? calls_open(&t->source, t->tid) : 0;
		if (rc != 0) {
			fprintf(stderr, "steady: perf_event_open: %s\n", strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static void
close_threads(struct steady *s)
{
	for (uint32_t i = 0; s->has_calls && i < s->run.node_count; i++)
		calls_close(&s->threads[i].source);
}

/* At the begin and at the end of what is measured. */
static void
on_moment(void *context, bool is_end)
{
	struct steady *s = context;

	for (uint32_t i = 0; i < s->run.node_count; i++) {
		struct shard_thread *t = &s->threads[i];

		if (s->has_calls && calls_read(&t->source, &t->calls[is_end]) != 0)
			s->rc = -EIO;
		t->interposed[is_end] = interpose_read(t->tid);
	}
}

/* ------------------------------------------------------------------------------ judgement */

static void
judge(struct steady *s, const char *node, const char *what, double is, double may)
{
	if (is <= may)
		return;
	printf("FAILED: %s: %s: %.3g for each commit, and may be %.3g\n", node, what, is, may);
	s->wrong_count++;
}

static void
judge_calls(struct steady *s, const char *node, const struct shard_thread *t, double commits,
	double may)
{
	double n[CALL_KIND_COUNT], counted, others;

	for (int i = 0; i < CALL_KIND_COUNT; i++)
		n[i] = (double)(t->calls[1].of[i] - t->calls[0].of[i]) / commits;
	counted = n[CALL_ALL] - n[CALL_YIELD] - n[CALL_SLEEP] - n[CALL_KICK];
	others = counted - n[CALL_IO_URING] - n[CALL_FUTEX];
	printf(" %12.4f %16.4f %10.4f %8.4f %8.4f | %8.2f %8.4f %8.4f", counted, n[CALL_IO_URING],
		n[CALL_COLLECT], n[CALL_FUTEX], others, n[CALL_YIELD], n[CALL_SLEEP], n[CALL_KICK]);
	judge(s, node, "system calls", counted, may);
	judge(s, node, "futex()", n[CALL_FUTEX], 0);
}

static void
judge_all(struct steady *s, const struct plan_load *load)
{
	double commits = (double)s->result.done_count;
	double may =
		(load->in_flight == 1 ? 1 : 0.01) + CALLS_PER_SECOND * s->result.seconds / commits;

	printf("\n%u in flight: %.0f commits/s, each:\n%-10s %12s %12s", load->in_flight,
		commits / s->result.seconds, "", "allocations", "locks");
	if (s->has_calls)
		printf(" %12s %16s %10s %8s %8s | %8s %8s %8s", "system calls", "io_uring_enter",
			"to collect", "futex", "others", "yields", "sleeps", "kicks");
	printf("\n");
	for (uint32_t i = 0; i < s->run.node_count; i++) {
		const struct shard_thread *t = &s->threads[i];
		double allocations =
			(double)(t->interposed[1].allocations - t->interposed[0].allocations);
		double locks = (double)(t->interposed[1].locks - t->interposed[0].locks);
		bool leads = s->run.board->owners[0] == i;
		const char *node = leads ? "leader" : "follower";

		printf("%-10s %12.4f %12.4f", node, allocations / commits, locks / commits);
		if (s->has_calls)
			judge_calls(s, node, t, commits, may);
		printf("\n");
		judge(s, node, "allocations", allocations / commits, 0);
		judge(s, node, "locks", locks / commits, 0);
	}
}

/* ------------------------------------------------------------------------------ run */

static int
measure(struct steady *s, const struct plan_load *load)
{
	int rc = run_measure(&s->run, load, false, &s->result);

	if (rc == 0)
		rc = s->rc;
	if (rc == 0 && s->result.done_count == 0)
		rc = -ENODATA;
	if (rc == 0)
		judge_all(s, load);
	return rc;
}

static int
run(struct steady *s)
{
	int rc = run_open(&s->run, &s->plan);

	s->run.on_moment = on_moment;
	s->run.context = s;
	if (rc == 0)
		rc = run_start(&s->run, &s->plan.points[0].shape);
	if (rc == 0)
		rc = open_threads(s);
	for (uint32_t i = 0; rc == 0 && i < s->plan.point_count; i++)
		rc = measure(s, &s->plan.points[i].load);
	close_threads(s);
	if (rc == 0)
		rc = run_stop(&s->run);
	run_close(&s->run);
	return rc;
}

int
main(int argc, char **argv)
{
	static struct steady s;
	const struct plan_shape shape = { .node_count = 3, .shard_count = 1, .has_auth = true };

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: steady FOLDER [SECONDS]\n");
		return 2;
	}
	s.plan = (struct plan){ .points = { { shape, { .in_flight = 1, .bytes = 64 } },
					{ shape, { .in_flight = 1000, .bytes = 64 } } },
		.point_count = 2,
		.seconds = argc == 3 ? strtod(argv[2], NULL) : 1,
		.warm_up_s = 0.5,
		.log_bytes = LOG_BYTES,
		.dir = argv[1] };
	s.has_calls = calls_prepare() == 0;
	if (interpose_open() != 0 || !interpose_works()) {
		fprintf(stderr, "steady: allocations and locks are not seen\n");
		return 1;
	}
	if (run(&s) != 0 || s.wrong_count > 0)
		return 1;
	if (s.has_calls)
		return 0;
	printf("SKIPPED: system calls: the kernel's tracepoint raw_syscalls:sys_enter takes "
	       "root\n");
	return 77;
}
