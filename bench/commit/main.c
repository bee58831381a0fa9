/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree bench: commit latency and throughput, by numbers that say how they came about.
 *
 * One round: for each shape of a cluster, start one with empty logs, run each load on it, stop it;
 * then the floors of that shape, on the same disk and for as long. Every second round begins with
 * the floors, so that neither always has the disk that the other has left (A B B A). A number is
 * the median over the rounds, a ratio to a floor the median of the rounds' ratios.
 *
 * With --config this program is one node of a cluster on several hosts. Each host runs the same;
 * the one whose node leads measures, once, and then all serve until they are interrupted.
 */
#include "apps/options.h"
#include "bench/commit/floors.h"
#include "bench/commit/options.h"
#include "bench/floor.h"
#include "bench/network.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench {
	struct plan plan;
	struct bench_outputs outputs;
	struct run run;
	struct results results;
};

/* ------------------------------------------------------------------------------ rounds */

static int
measure_point(struct bench *b, uint32_t point, uint32_t round)
{
	static struct run_result result;
	int rc = run_measure(&b->run, &b->plan.points[point].load, b->plan.does_kill, &result);

	if (rc != 0)
		return rc;
	results_add(&b->results, point, round, &result);
	return b->plan.does_kill
		       ? results_add_kill(&b->results, point, round, b->run.board, result.killed_ns)
		       : 0;
}

/* A cluster whose leader was killed is nothing to measure on any more. */
static int
measure_cluster(struct bench *b, uint32_t first, uint32_t after, uint32_t round)
{
	int rc = 0;

	for (uint32_t i = first; rc == 0 && i < after; i++) {
		if (i == first || b->plan.does_kill)
			rc = run_start(&b->run, &b->plan.points[first].shape);
		if (rc == 0)
			rc = measure_point(b, i, round);
		if (rc == 0 && (i + 1 == after || b->plan.does_kill))
			rc = run_stop(&b->run);
	}
	return rc;
}

static int
measure_shape(struct bench *b, uint32_t first, uint32_t after, uint32_t round)
{
	bool are_floors_first = round % 2 == 1;
	int rc = 0;

	if (b->plan.has_floor && are_floors_first)
		rc = floors_measure(&b->results, first, after, round);
	if (rc == 0)
		rc = measure_cluster(b, first, after, round);
	if (rc == 0 && b->plan.has_floor && !are_floors_first)
		rc = floors_measure(&b->results, first, after, round);
	return rc;
}

static int
measure_round(struct bench *b, uint32_t round)
{
	const struct plan *p = &b->plan;
	uint32_t first = 0;
	int rc = 0;

	while (rc == 0 && first < p->point_count) {
		uint32_t after = first + 1;

		while (after < p->point_count &&
			plan_is_same_shape(&p->points[first].shape, &p->points[after].shape))
			after++;
		rc = measure_shape(b, first, after, round);
		first = after;
	}
	return rc;
}

static int
measure_all(struct bench *b)
{
	int rc = 0;

	for (uint32_t round = 0; rc == 0 && round < b->plan.round_count; round++) {
		rc = measure_round(b, round);
		if (rc != 0)
			break;
		results_compare(&b->results, round);
		report_round(&b->results, round);
	}
	return rc;
}

/* One node of a cluster on several hosts. */
static int
measure_joined(struct bench *b)
{
	int rc;

	printf("this node serves, and measures once it leads; interrupt it to end\n");
	rc = run_join(&b->run);
	for (uint32_t round = 0; rc == 0 && round < b->plan.round_count; round++) {
		for (uint32_t i = 0; rc == 0 && i < b->plan.point_count; i++)
			rc = measure_point(b, i, round);
		if (rc != 0)
			break;
		results_compare(&b->results, round);
		report_round(&b->results, round);
	}
	return rc;
}

/* ------------------------------------------------------------------------------ all of it */

static int
run(struct bench *b)
{
	if (measure_all(b) != 0)
		return EXIT_FAILURE;
	report_print(&b->results);
	return outputs_write(&b->outputs, &b->results);
}

/* To be interrupted is how a node that serves ends; whoever measures then has nothing to tell. */
static int
run_as_node(struct bench *b)
{
	int status = EXIT_SUCCESS, rc = measure_joined(b);

	if (rc == 0) {
		report_print(&b->results);
		status = outputs_write(&b->outputs, &b->results);
		rc = run_serve(&b->run);
	}
	if (rc == 0 || rc == -EINTR)
		rc = run_stop(&b->run);
	return rc == 0 ? status : EXIT_FAILURE;
}

/* Of the shapes that are joined by interfaces of the kernel's; 0: there are none. */
static uint32_t
interface_count(const struct plan *plan)
{
	uint32_t max = 0;

	for (uint32_t i = 0; i < plan->point_count; i++) {
		const struct plan_shape *s = &plan->points[i].shape;

		if (s->joined_by != PLAN_MEMIF && s->node_count > max)
			max = s->node_count;
	}
	return max;
}

static uint32_t
mtu_max(const struct plan *plan)
{
	uint32_t max = PLAN_MTU_MIN;

	for (uint32_t i = 0; i < plan->point_count; i++)
		if (plan->points[i].shape.mtu > max)
			max = plan->points[i].shape.mtu;
	return max;
}

int
main(int argc, char **argv)
{
	static struct bench b;
	char dir[PATH_MAX];
	int status;

	if (argc > 1 && strcmp(argv[1], "floor") == 0)
		return floor_main(argc - 1, argv + 1);
	b.plan = (struct plan){
		.round_count = 3,
		.seconds = 2,
		.warm_up_s = 0.5,
		.settle_s = 2,
		.log_bytes = 256ull << 20,
		.dir = "/var/tmp",
		.words = argv,
		.word_count = (uint32_t)argc,
	};
	status = bench_options_take(argc, argv, &b.plan, &b.outputs);
	if (status != OPTIONS_GO_ON)
		return status;
	/* Sockets between nodes have to have absolute paths. */
	if (realpath(b.plan.dir, dir) == NULL)
		return complain("--dir %s: %s", b.plan.dir, strerror(errno));
	b.plan.dir = dir;
	status = outputs_check(&b.outputs);
	if (status != EXIT_SUCCESS)
		return status;
	if (network_open(interface_count(&b.plan), mtu_max(&b.plan)) != 0 ||
		run_open(&b.run, &b.plan) != 0)
		return EXIT_FAILURE;
	if (results_open(&b.results, &b.plan) == 0) {
		report_header(&b.results);
		status = b.plan.config == NULL ? run(&b) : run_as_node(&b);
	} else {
		status = complain("no memory for results");
	}
	run_close(&b.run);
	results_close(&b.results);
	return status;
}
