/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/hosts/main.h"

#include "apps/options.h"
#include "bench/commit/joined.h"
#include "bench/commit/results.h"
#include "bench/hosts/floor.h"
#include "decree/setup.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct hosts {
	const struct hosts_options *options;
	struct config config;
	struct plan plan;
	struct results results;
	struct hosts_floor floor;
};

/* ------------------------------------------------------------------------------ this host */

/* The data directory's disk, if it is to be the nodes': it is there already, or will be made in the
 * folder above. */
static void
choose_dir(const struct config *c, const char *given, char ret_dir[CONFIG_PATH_BYTES])
{
	struct stat st;
	char *slash;

	snprintf(ret_dir, CONFIG_PATH_BYTES, "%s", given == NULL ? c->data_dir : given);
	if (given != NULL || (stat(ret_dir, &st) == 0 && S_ISDIR(st.st_mode)))
		return;
	slash = strrchr(ret_dir, '/');
	if (slash == NULL)
		(void)strcpy(ret_dir, ".");
	else
		slash[slash == ret_dir] = '\0';
}

/* The file has no name once it is open: however this ends, it goes. */
static int
open_block(struct hosts *h, const char *dir)
{
	char path[CONFIG_PATH_BYTES + 32];
	int rc;

	snprintf(path, sizeof(path), "%s/floor-%d", dir, (int)getpid());
	rc = block_open(&h->floor.block, path, h->options->block_bytes);
	(void)unlink(path); /* it may not be there */
	return rc == 0 ? 0 : complain("%s: %s: " BLOCK_REFUSED, dir, strerror(-rc));
}

/* Where the node's first shard is. */
static int
pin(const struct config *c)
{
	cpu_set_t set;

	if (c->cpu_count == 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(c->cpus[0], &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0
		       ? 0
		       : complain("[local] cpus: CPU %u is not there, or not for us", c->cpus[0]);
}

static int
read_config(struct hosts *h)
{
	const struct hosts_options *o = h->options;
	struct decree_setup setup;
	char error[DECREE_ERROR_BYTES];

	if (config_load(o->config, o->settings, o->setting_count, CONFIG_FOR_NODE, &h->config,
		    error) != 0 ||
		decree_setup_read(o->config, o->settings, o->setting_count, true, &setup, error) !=
			0)
		return complain("%s", error);
	joined_words(&setup, h->plan.joined_by, sizeof(h->plan.joined_by));
	return 0;
}

static int
open_all(struct hosts *h)
{
	static char dir[CONFIG_PATH_BYTES];
	const struct hosts_options *o = h->options;
	const char *wrong;

	h->plan = (struct plan){ .round_count = o->round_count,
		.seconds = o->seconds,
		.dir = dir,
		.config = o->config,
		.words = o->words,
		.word_count = o->word_count };
	if (read_config(h) != 0)
		return -EINVAL;
	h->plan.log_bytes = h->config.log_bytes;
	choose_dir(&h->config, o->dir, dir);
	h->floor.step = HOSTS_STEP_NONE;
	h->floor.wait_ns = o->wait_s * UINT64_C(1000000000);
	if (open_block(h, dir) != 0)
		return -EIO;
	wrong = lane_open(&h->floor.lane, &h->config);
	if (wrong != NULL)
		return complain("%s%s", wrong,
			strstr(wrong, "port") != NULL
				? ". Does a node run here? It has to be stopped for this"
				: "");
	return pin(&h->config);
}

/* ------------------------------------------------------------------------------ the leader */

static int
measure_step(struct hosts *h, uint32_t round, enum hosts_step step)
{
	static const enum floor_kind kinds[] = { FLOOR_ROUND_TRIP, FLOOR_COMMIT, FLOOR_APPEND,
		FLOOR_COMMIT, FLOOR_CLIENT };
	static struct histogram times;
	uint32_t place_count = step == HOSTS_ROUND_TRIP ? 2
			       : step == HOSTS_APPEND   ? 1
							: h->floor.lane.place_count;
	struct result_floor *f = results_floor(&h->results, kinds[step], PLAN_MEMIF, place_count,
		step >= HOSTS_APPEND ? h->options->block_bytes : 0);
	const struct host_share unknown = { NAN, NAN };
	int rc = hosts_measure(
		&h->floor, (uint8_t)(round * HOSTS_STEP_COUNT + step), h->options->seconds, &times);

	if (rc == 0)
		results_add_floor(f, round, &times, &unknown);
	return rc;
}

static int
measure_round(struct hosts *h, uint32_t round)
{
	int rc = 0;

	for (uint32_t step = 0; rc == 0 && step < HOSTS_STEP_COUNT; step++)
		if (step >= HOSTS_APPEND || h->floor.lane.place_count > 1)
			rc = measure_step(h, round, (enum hosts_step)step);
	h->results.round_count = rc == 0 ? round + 1 : round;
	return rc;
}

static void
print_round(const struct hosts *h, uint32_t round)
{
	printf("round %u:", round + 1);
	for (uint32_t i = 0; i < h->results.floor_count; i++) {
		double p50_us = h->results.floors[i].rounds[round].of[NUMBER_P50];

		printf("%s %s p50 ", i == 0 ? "" : ",", floor_word(&h->results.floors[i]));
		if (isnan(p50_us))
			printf("-"); /* too few */
		else
			printf("%.1f us", p50_us);
	}
	printf("\n");
	(void)fflush(stdout);
}

static void
print_appends(const struct hosts *h)
{
	printf("Appends of the others, us, in the last round:");
	for (uint32_t i = 1; i < h->floor.lane.place_count; i++) {
		const struct hosts_append *a = &h->floor.appends[i];

		printf("%s node %u p50 %.1f", i == 1 ? "" : ",",
			h->floor.lane.peers[i].node->node_id, a->p50_us);
		if (!isnan(a->p99_us))
			printf(" p99 %.1f", a->p99_us); /* else too few */
	}
	printf("\n");
}

static int
lead(struct hosts *h)
{
	int rc;

	printf("this node leads: waiting for %u other%s\n", h->floor.lane.place_count - 1,
		h->floor.lane.place_count == 2 ? "" : "s");
	(void)fflush(stdout);
	rc = hosts_gather(&h->floor);
	for (uint32_t round = 0; rc == 0 && round < h->options->round_count; round++) {
		rc = measure_round(h, round);
		if (rc == 0)
			print_round(h, round);
	}
	hosts_end(&h->floor, rc == 0);
	if (rc != 0)
		return rc;
	report_floors(&h->results);
	if (h->floor.lane.place_count > 1)
		print_appends(h);
	if (h->options->json == NULL)
		return 0;
	rc = results_write_json(&h->results, h->options->json);
	return rc == 0 ? 0 : complain("%s: %s", h->options->json, strerror(-rc));
}

static int
follow(struct hosts *h)
{
	int rc;

	printf("this node follows; node %u leads, and prints the figures\n",
		h->floor.lane.peers[0].node->node_id);
	(void)fflush(stdout);
	rc = hosts_follow(&h->floor);
	if (rc == 0)
		printf("the leader has all that it wanted\n");
	return rc;
}

int
hosts_main(const struct hosts_options *options)
{
	static struct hosts h;
	const struct sigaction end = { .sa_handler = hosts_interrupt };
	int rc;

	h.options = options;
	rc = open_all(&h);
	if (rc == 0)
		rc = results_open(&h.results, &h.plan);
	if (rc == 0) {
		(void)sigaction(SIGINT, &end, NULL); /* cannot fail */
		(void)sigaction(SIGTERM, &end, NULL);
		header_print(&h.results.header, stdout);
		printf("hosts       %u, %s\n", h.floor.lane.place_count, h.plan.joined_by);
		if (!header_is_release())
			printf("build       NOT A RELEASE BUILD: figures are worth nothing\n");
		rc = h.floor.lane.place == 0 ? lead(&h) : follow(&h);
	}
	lane_close(&h.floor.lane);
	results_close(&h.results);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
