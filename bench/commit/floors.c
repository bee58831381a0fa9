/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/floors.h"

#include "apps/options.h"
#include "base/clock.h"
#include "bench/floor.h"

#include <assert.h>
#include <sys/resource.h>

#define ROUND_TRIP_NODES 2u

static_assert((int)PLAN_AF_PACKET == (int)WIRE_AF_PACKET && (int)PLAN_AF_XDP == (int)WIRE_AF_XDP,
	"floors are joined as nodes are");

/* Of this process, and of those that it has waited for. */
static uint64_t
own_cpu_ns(void)
{
	struct rusage waited;

	(void)getrusage(RUSAGE_CHILDREN, &waited); /* cannot fail */
	return base_clock_ns(CLOCK_PROCESS_CPUTIME_ID) +
	       (uint64_t)(waited.ru_utime.tv_sec + waited.ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(waited.ru_utime.tv_usec + waited.ru_stime.tv_usec) * 1000u;
}

static int
run_floor(const struct floor_plan *plan, enum floor_kind kind, struct histogram *ret_times,
	struct host_share *ret_host)
{
	struct host_cpu before, after;
	uint64_t own_ns;
	int rc;

	host_cpu_read(&before);
	own_ns = own_cpu_ns();
	rc = kind == FLOOR_APPEND ? floor_append(plan, ret_times) : floor_commit(plan, ret_times);
	host_cpu_read(&after);
	*ret_host = host_cpu_between(&before, &after, own_cpu_ns() - own_ns);
	return rc;
}

static int
measure(struct results *r, uint32_t point, enum floor_kind kind, uint32_t node_count,
	uint32_t block_bytes, uint32_t round)
{
	static struct histogram times;
	const struct plan_shape *shape = &r->plan->points[point].shape;
	struct result_floor *f = results_floor(r, kind, shape->joined_by, node_count, block_bytes);
	struct floor_plan plan = {
		.dir = r->plan->dir,
		.node_count = node_count,
		.block_bytes = block_bytes,
		.joined_by = (enum wire_kind)shape->joined_by,
		.seconds = r->plan->seconds,
	};
	struct host_share host;
	int rc;

	plan.has_client = kind == FLOOR_CLIENT;
	plan.is_pinned = r->plan->cpu_count >= node_count * shape->shard_count;
	for (uint32_t i = 0; plan.is_pinned && i < node_count; i++)
		plan.cpus[i] = r->plan->cpus[i * shape->shard_count];
	if (f == NULL || f->rounds[round].of[NUMBER_MAX] > 0)
		return 0;   /* no place, or another point has the same */
	(void)fflush(NULL); /* or a child would print it again */
	rc = run_floor(&plan, kind, &times, &host);
	if (rc != 0)
		return complain("a floor could not be measured"), rc;
	results_add_floor(f, round, &times, &host);
	return 0;
}

int
floors_measure_one(struct results *r, uint32_t point, uint32_t round)
{
	const struct plan_point *p = &r->plan->points[point];

	return measure(r, point, results_floor_kind(&p->shape), p->shape.node_count,
		results_block_bytes(p), round);
}

int
floors_measure(struct results *r, uint32_t first, uint32_t after, uint32_t round)
{
	uint32_t node_count = r->plan->points[first].shape.node_count;
	int rc = 0;

	for (uint32_t i = first; rc == 0 && i < after; i++) {
		uint32_t bytes = results_block_bytes(&r->plan->points[i]);

		if (bytes == 0 && node_count == 1)
			continue; /* nothing is sent and nothing is written */
		rc = measure(r, i, FLOOR_COMMIT, node_count, bytes, round);
		if (rc == 0 && !r->plan->points[i].shape.is_load_inside)
			rc = measure(r, i, FLOOR_CLIENT, node_count, bytes, round);
		if (rc == 0 && bytes > 0)
			rc = measure(r, i, FLOOR_APPEND, node_count, bytes, round);
	}
	if (rc == 0 && node_count > 1)
		rc = measure(r, first, FLOOR_ROUND_TRIP, ROUND_TRIP_NODES, 0, round);
	return rc;
}
