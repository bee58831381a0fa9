/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a durable commit: a leader and two followers that exchange a frame, write one block durably and answer,
 * and do nothing else. A round is complete when it is durable on the second of the three.
 *
 * Three processes over memif, on any CPU as the nodes of bench/commit are; each has one write in flight at a time,
 * into a pre-written O_DIRECT file of its own (io_uring, RWF_DSYNC), and polls disk and port with sched_yield. A
 * follower that is behind makes up for all that came meanwhile with its next write, as a log's group commit does. A
 * block is 4 KiB, as the floor is defined; a node writes 512 bytes for a command of 64, which takes 2 % less.
 */
#include "apps/histogram.h"
#include "apps/options.h"
#include "bench/clock.h"
#include "bench/memif.h"
#include "bench/raw.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLLOWER_COUNT 2
#define FILE_BYTES     (64u << 20)
#define WARM_UP_COUNT  500
#define ROUND_NS_MAX   UINT64_C(1000000000) /* then somebody may have died */

struct options {
	const char *dir;
	uint32_t bytes;
	uint32_t count;
};

static char folder[256];
static pid_t followers[FOLLOWER_COUNT];

/* ------------------------------------------------------------------------------ one process's disk */

struct disk {
	struct raw *raw;
	char path[300];
	uint32_t bytes;
	uint64_t wanted;  /* the newest round that is to be durable */
	uint64_t writing; /* the round that the write in flight makes durable; 0: none is */
	uint64_t durable;
};

static void
disk_open(struct disk *d, const struct options *o, int place)
{
	*d = (struct disk){ .bytes = o->bytes };
	snprintf(d->path, sizeof(d->path), "%s/raw%d", folder, place);
	if (raw_file_make(d->path, FILE_BYTES) != 0 || raw_open(d->path, RAW_DSYNC, &d->raw) != 0)
		memif_die(
			"the folder takes no file for direct durable writes: choose another --dir");
}

static void
disk_close(struct disk *d)
{
	(void)unlink(d->path); /* of this run alone */
	while (d->writing != 0) {
		uint32_t count = 0;

		if (raw_reap(d->raw, &count) != 0 || count > 0)
			d->writing = 0;
	}
	raw_close(d->raw);
}

/* @return true if a round became durable or a write was begun */
static bool
disk_step(struct disk *d)
{
	uint32_t count = 0;
	bool is_busy = false;

	if (d->writing != 0 && raw_reap(d->raw, &count) != 0)
		memif_die("a write failed");
	if (count > 0) {
		d->durable = d->writing;
		d->writing = 0;
		is_busy = true;
	}
	if (d->writing == 0 && d->wanted > d->durable) {
		d->writing = d->wanted;
		if (raw_start(d->raw, d->bytes) != 0)
			memif_die("a write cannot be begun");
		is_busy = true;
	}
	return is_busy;
}

/* ------------------------------------------------------------------------------ the processes */

static void
run_follower(const struct options *o, int follower)
{
	uint64_t told = 0;
	struct memif m;
	struct disk d;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	disk_open(&d, o, 1 + follower);
	memif_open(&m, "floor", -1, folder, follower, 1, false);
	for (;;) {
		bool is_busy = memif_poll(&m, 0, &d.wanted) > 0;

		if (disk_step(&d))
			is_busy = true;
		if (d.durable > told)
			memif_send(&m, 0, told = d.durable);
		if (!is_busy)
			sched_yield();
	}
}

/* A follower that died would make a round as slow as the slower of the other two. */
static void
followers_check(void)
{
	for (int i = 0; i < FOLLOWER_COUNT; i++)
		if (waitpid(followers[i], NULL, WNOHANG) != 0)
			memif_die("a follower has ended: what it measured is worth nothing");
}

/* One round. @param answers  the newest round that each follower has told. @return ns */
static uint64_t
commit(struct memif *m, struct disk *d, uint64_t *answers, uint64_t sequence)
{
	uint64_t begun = now_ns();
	int votes = 0;

	d->wanted = sequence;
	(void)disk_step(d);
	for (uint16_t i = 0; i < FOLLOWER_COUNT; i++)
		memif_send(m, i, sequence);
	for (;;) {
		bool is_busy = disk_step(d);

		votes = d->durable >= sequence;
		for (uint16_t i = 0; i < FOLLOWER_COUNT; i++) {
			if (memif_poll(m, i, &answers[i]) > 0)
				is_busy = true;
			votes += answers[i] >= sequence;
		}
		if (votes >= 2)
			return now_ns() - begun;
		if (now_ns() - begun > ROUND_NS_MAX)
			followers_check();
		if (!is_busy)
			sched_yield();
	}
}

static void
run_leader(const struct options *o)
{
	static struct histogram times;
	uint64_t answers[FOLLOWER_COUNT] = { 0 }, begun, sequence = 0;
	struct memif m;
	struct disk d;

	disk_open(&d, o, 0);
	memif_open(&m, "floor", -1, folder, 0, FOLLOWER_COUNT, true);
	while (sequence < WARM_UP_COUNT)
		(void)commit(&m, &d, answers, ++sequence);
	histogram_reset(&times);
	begun = now_ns();
	while (sequence < WARM_UP_COUNT + o->count)
		histogram_add(&times, commit(&m, &d, answers, ++sequence));
	followers_check();
	printf("floor transport=memif block_bytes=%u commits_per_s=%.0f p50_us=%.1f p99_us=%.1f "
	       "p999_us=%.1f\n",
		o->bytes, 1e9 * o->count / (double)(now_ns() - begun),
		(double)histogram_at(&times, 50) / 1000, (double)histogram_at(&times, 99) / 1000,
		(double)histogram_at(&times, 99.9) / 1000);
	fflush(stdout);
	memif_close(&m);
	disk_close(&d);
}

/* ------------------------------------------------------------------------------ the program */

static const char about[] =
	"The floor of a durable commit: a leader and two followers exchange a frame over memif, "
	"write one block durably and answer; the second of the three completes a round.";

/* @return OPTIONS_GO_ON, or the exit status */
static int
take_arguments(int argc, char **argv, struct options *o)
{
	const struct option_row rows[] = {
		{ "bytes", 0, "N", "a block, a multiple of 512", .number32 = &o->bytes, .min = 512,
			.max = RAW_WRITE_BYTES_MAX },
		{ "count", 0, "N", "rounds, one after the other", .number32 = &o->count, .min = 1,
			.max = 100000000 },
		{ "dir", 0, "FOLDER", "where the three write", .text = &o->dir },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first;
	int status;

	options_set_program("floor", "");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first != argc)
		return complain_usage("what is '%s'?", argv[first]);
	if (o->bytes % 512 != 0)
		return complain_usage("--bytes %u: expected a multiple of 512", o->bytes);
	return OPTIONS_GO_ON;
}

static void
remove_followers_files(void)
{
	char path[300];

	for (int i = 1; i <= FOLLOWER_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/raw%d", folder, i);
		(void)unlink(path); /* of this run alone */
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .dir = "/var/tmp", .bytes = 4096, .count = 5000 };
	int status = take_arguments(argc, argv, &o);

	if (status != OPTIONS_GO_ON)
		return status;
	snprintf(folder, sizeof(folder), "%.200s/dfXXXXXX", o.dir);
	if (mkdtemp(folder) == NULL)
		return complain("cannot make a folder in %s", o.dir);
	for (int i = 0; i < FOLLOWER_COUNT; i++) {
		followers[i] = fork();
		if (followers[i] == 0)
			run_follower(&o, i);
		if (followers[i] < 0)
			return complain("cannot fork");
	}
	run_leader(&o);
	for (int i = 0; i < FOLLOWER_COUNT; i++) {
		kill(followers[i], SIGKILL);
		(void)waitpid(followers[i], NULL, 0); /* gone */
	}
	remove_followers_files();
	(void)rmdir(folder); /* empty: closing a port removes its socket */
	return 0;
}
