/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a commit: a leader and followers that exchange a frame, write one block durably and
 * answer, and do nothing else. A round is complete when it is durable on a majority.
 *
 * Processes over memif or interfaces of the kernel's, on any CPU as the nodes are; each has one
 * write in flight at a time, into a pre-written O_DIRECT file of its own (io_uring, RWF_DSYNC), and
 * polls disk and port as a node does (wait.h). A follower that is behind makes up for all that came
 * meanwhile with its next write, as a log's group commit does. A block is 4 KiB, as the floor is
 * defined; a node writes 512 bytes for a command of 64, which takes 2 % less. Writes go around in
 * 16 MiB; a node's log is 128 MiB and more, which makes no difference that can be measured here.
 */
#include "bench/floor.h"

#include "base/clock.h"
#include "bench/asker.h"
#include "bench/block.h"
#include "bench/wait.h"
#include "bench/wire.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_UP_COUNT 500
#define RESEND_NS     UINT64_C(100000000) /* a link that just came up may lose what was sent first */
#define ROUND_NS_MAX  UINT64_C(20000000000) /* then somebody has died */

/* One floor under way: what its processes share. */
struct floor {
	struct floor_plan plan;
	char folder[256];
	_Atomic uint32_t arrived; /* writers that are ready to begin */
	_Atomic bool is_over;     /* the leader has measured */
	struct histogram times[FLOOR_NODE_COUNT_MAX];
};

/* --------------------------------------------------------------------------- one process's disk */

static void
disk_path(const struct floor *f, uint32_t place, char ret_path[300])
{
	snprintf(ret_path, 300, "%s/raw%u", f->folder, place);
}

static void
disk_open(struct block *d, const struct floor *f, uint32_t place)
{
	char path[300];

	disk_path(f, place, path);
	if (block_open(d, path, f->plan.block_bytes) != 0)
		wire_die(BLOCK_REFUSED);
}

/* @return true if a round became durable or a write was begun */
static bool
disk_step(struct block *d)
{
	int rc = block_step(d);

	if (rc < 0)
		wire_die("a write failed");
	return rc > 0;
}

/* Where a node's shard is, behind EAL, which has an opinion of its own. */
static void
pin(const struct floor *f, uint32_t place)
{
	cpu_set_t set;

	if (!f->plan.is_pinned)
		return;
	CPU_ZERO(&set);
	CPU_SET(f->plan.cpus[place], &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		wire_die("a CPU is not there");
}

/* ------------------------------------------------------------------------------ a commit */

static void
open_wire(const struct floor *f, uint32_t place, struct wire *ret)
{
	const struct wire_config config = { .program = "floor",
		.kind = f->plan.joined_by,
		.folder = f->folder,
		.place = place,
		.place_count = f->plan.node_count };

	wire_open(ret, &config);
}

static void
run_follower(struct floor *f, uint32_t place)
{
	uint64_t numbers[FLOOR_NODE_COUNT_MAX] = { 0 }, told = 0, busy_ns = base_now_ns();
	struct wire w;
	struct block d;

	disk_open(&d, f, place);
	open_wire(f, place, &w);
	pin(f, place);
	while (!atomic_load_explicit(&f->is_over, memory_order_relaxed)) {
		bool is_busy = wire_poll(&w, numbers);

		d.wanted = numbers[0];
		if (is_busy && d.wanted <= told)
			wire_send(&w, 0, told); /* asked again: the answer was lost */
		if (disk_step(&d))
			is_busy = true;
		if (d.durable > told)
			wire_send(&w, 0, told = d.durable);
		if (is_busy)
			busy_ns = base_now_ns();
		else
			wait_a_little(base_now_ns() - busy_ns);
	}
	while (d.writing != 0)
		(void)disk_step(&d); /* the file goes */
	wire_close(&w);
}

static void
ask_followers(const struct floor *f, struct wire *w, uint64_t sequence)
{
	for (uint32_t i = 1; i < f->plan.node_count; i++)
		wire_send(w, i, sequence);
}

/* One round. Frames leave before the write is handed to the kernel, which takes microseconds that
 * the followers need not wait for; a shard's turn has the same order. @param answers  the newest
 * round that each process has told. @return ns */
static uint64_t
commit(const struct floor *f, struct wire *w, struct block *d, uint64_t *answers, uint64_t sequence)
{
	uint32_t majority = f->plan.node_count / 2 + 1;
	uint64_t begun = base_now_ns(), resend_ns = begun + RESEND_NS;

	ask_followers(f, w, sequence);
	assert(d->wanted < sequence && d->writing < sequence); /* nothing of this round yet */
	d->wanted = sequence;
	for (;;) {
		bool is_busy = disk_step(d); /* the first begins the write */
		uint32_t votes = d->durable >= sequence;
		uint64_t now = base_now_ns();

		if (now >= resend_ns) {
			ask_followers(f, w, sequence);
			resend_ns = now + RESEND_NS;
		}
		if (f->plan.node_count > 1 && wire_poll(w, answers))
			is_busy = true;
		for (uint32_t i = 1; i < f->plan.node_count; i++)
			votes += answers[i] >= sequence;
		if (votes >= majority)
			return base_now_ns() - begun;
		if (now - begun > ROUND_NS_MAX)
			wire_die("a round takes more than 20 s: has a follower ended?");
		if (!is_busy)
			wait_a_little(now - begun);
	}
}

static void
serve_client(struct floor *f, struct wire *w, struct block *d, uint64_t *answers, uint64_t sequence)
{
	static struct asker client;
	uint64_t busy_ns = base_now_ns();

	if (asker_begin(&client, f->plan.seconds, &f->times[0]) != 0)
		wire_die("no thread for the client");
	while (!asker_is_over(&client)) {
		uint64_t wanted = asker_wants(&client);

		if (wanted == 0) {
			wait_a_little(base_now_ns() - busy_ns);
			continue;
		}
		(void)commit(f, w, d, answers, ++sequence);
		asker_answer(&client, wanted);
		busy_ns = base_now_ns();
	}
	asker_end(&client);
}

static void
run_leader(struct floor *f)
{
	uint64_t answers[FLOOR_NODE_COUNT_MAX] = { 0 }, until, sequence = 0;
	struct wire w;
	struct block d;

	disk_open(&d, f, 0);
	if (f->plan.node_count > 1)
		open_wire(f, 0, &w);
	pin(f, 0);
	while (sequence < WARM_UP_COUNT)
		(void)commit(f, &w, &d, answers, ++sequence);
	if (f->plan.has_client)
		serve_client(f, &w, &d, answers, sequence);
	until = base_now_ns() + (uint64_t)(f->plan.seconds * 1e9);
	while (!f->plan.has_client && base_now_ns() < until)
		histogram_add(&f->times[0], commit(f, &w, &d, answers, ++sequence));
	if (f->plan.node_count > 1)
		wire_close(&w);
}

/* ------------------------------------------------------------------------------ appends */

static void
run_writer(struct floor *f, uint32_t place)
{
	uint64_t until;
	struct block d;

	disk_open(&d, f, place);
	pin(f, place);
	atomic_fetch_add(&f->arrived, 1);
	while (atomic_load(&f->arrived) < f->plan.node_count)
		usleep(500);
	until = base_now_ns() + (uint64_t)(f->plan.seconds * 1e9);
	while (base_now_ns() < until) {
		uint64_t begun = base_now_ns();

		if (raw_append(d.raw, d.bytes) != 0)
			wire_die("a write failed");
		histogram_add(&f->times[place], base_now_ns() - begun);
	}
}

/* ------------------------------------------------------------------------------ processes */

static void
run_place(struct floor *f, uint32_t place, bool are_writers)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (are_writers)
		run_writer(f, place);
	else if (place == 0)
		run_leader(f);
	else
		run_follower(f, place);
	_exit(0);
}

/* Followers run until they are told, or until the leader has failed; a leader's and a writer's end
 * is the measurement's.
 * @return 0 or -EIO */
static int
await(struct floor *f, const pid_t *pids, uint32_t count, bool are_writers)
{
	int rc = 0, status;

	for (uint32_t i = 0; i < count; i++) {
		if (i > 0 && !are_writers && rc != 0)
			(void)kill(pids[i], SIGKILL);
		if (waitpid(pids[i], &status, 0) != pids[i] ||
			(status != 0 && (i == 0 || are_writers)))
			rc = -EIO;
		atomic_store(&f->is_over, true);
	}
	return rc;
}

static void
remove_files(const struct floor *f)
{
	char path[300];

	for (uint32_t i = 0; i < f->plan.node_count; i++) {
		disk_path(f, i, path);
		(void)unlink(path); /* of this run alone */
		snprintf(path, sizeof(path), "%s/%u", f->folder, i);
		(void)unlink(path); /* a socket that its server did not remove */
	}
	(void)rmdir(f->folder);
}

static int
run(const struct floor_plan *plan, bool are_writers, struct histogram *ret_times)
{
	struct floor *f =
		mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[FLOOR_NODE_COUNT_MAX]; /* the leader is the first */
	uint32_t count = 0;
	int rc;

	if (f == MAP_FAILED)
		return -errno;
	f->plan = *plan;
	snprintf(f->folder, sizeof(f->folder), "%.200s/dfXXXXXX", plan->dir);
	if (mkdtemp(f->folder) == NULL) {
		rc = -errno;
		fprintf(stderr, "floor: cannot make a folder in %s: %s\n", plan->dir,
			strerror(-rc));
		(void)munmap(f, sizeof(*f));
		return rc;
	}
	for (; count < plan->node_count; count++) {
		pids[count] = fork();
		if (pids[count] == 0)
			run_place(f, count, are_writers);
		if (pids[count] < 0)
			break;
	}
	rc = await(f, pids, count, are_writers);
	if (count < plan->node_count)
		rc = -EAGAIN;
	histogram_reset(ret_times);
	for (uint32_t i = 0; i < plan->node_count; i++)
		histogram_merge(ret_times, &f->times[i]);
	remove_files(f);
	(void)munmap(f, sizeof(*f));
	return rc;
}

int
floor_commit(const struct floor_plan *plan, struct histogram *ret_times)
{
	return run(plan, false, ret_times);
}

int
floor_append(const struct floor_plan *plan, struct histogram *ret_times)
{
	return run(plan, true, ret_times);
}
