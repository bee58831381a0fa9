/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR_BLOCK_BYTES 4096u /* as the floor is defined */
#define SECTOR_BYTES      512u

const char *
number_key(enum number n)
{
	static const char *const keys[] = {
#define X(name, key) key,
		NUMBER_TABLE(X)
#undef X
	};

	return keys[n];
}

const char *
floor_word(const struct result_floor *f)
{
	if (f->kind == FLOOR_APPEND)
		return "append";
	if (f->kind == FLOOR_ROUND_TRIP)
		return "round trip";
	if (f->kind == FLOOR_CLIENT)
		return f->block_bytes > 0 ? "floor to client" : "echo to client";
	return f->block_bytes > 0 ? "floor" : "majority echo";
}

int
results_open(struct results *r, const struct plan *plan)
{
	*r = (struct results){ .plan = plan };
	r->points = calloc(plan->point_count + 1, sizeof(*r->points)); /* floors alone: none */
	if (r->points == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < plan->point_count; i++)
		r->points[i].point = plan->points[i];
	header_read(&r->header, plan->dir);
	return 0;
}

void
results_close(struct results *r)
{
	for (uint32_t i = 0; r->points != NULL && i < r->plan->point_count; i++)
		for (uint32_t k = 0; k < PLAN_ROUND_COUNT_MAX; k++)
			free(r->points[i].kills[k].bins);
	free(r->points);
	r->points = NULL;
}

/* ------------------------------------------------------------------------------ adding */

double
results_percentile_us(const struct histogram *h, double percent)
{
	return histogram_has(h, percent) ? (double)histogram_at(h, percent) / 1e3 : NAN;
}

static void
add_latencies(struct numbers *n, const struct histogram *h)
{
	bool is_empty = h->count == 0;

	n->of[NUMBER_MIN] = is_empty ? NAN : (double)histogram_at(h, 0) / 1e3;
	n->of[NUMBER_MEAN] = is_empty ? NAN : histogram_mean(h) / 1e3;
	n->of[NUMBER_STDEV] = is_empty ? NAN : histogram_deviation(h) / 1e3;
	n->of[NUMBER_P50] = results_percentile_us(h, 50);
	n->of[NUMBER_P90] = results_percentile_us(h, 90);
	n->of[NUMBER_P99] = results_percentile_us(h, 99);
	n->of[NUMBER_P999] = results_percentile_us(h, 99.9);
	n->of[NUMBER_P9999] = results_percentile_us(h, 99.99);
	n->of[NUMBER_MAX] = is_empty ? NAN : (double)h->max / 1e3;
}

static void
add_host(struct numbers *n, const struct host_share *host)
{
	n->of[NUMBER_OTHERS] = host->others_percent;
	n->of[NUMBER_STOLEN] = host->stolen_percent;
}

bool
results_is_disturbed(const struct numbers *round)
{
	return round->of[NUMBER_OTHERS] + round->of[NUMBER_STOLEN] > HOST_DISTURBED_PERCENT;
}

void
results_print_others(const struct numbers *round)
{
	double others = round->of[NUMBER_OTHERS], stolen = round->of[NUMBER_STOLEN];

	if (isnan(others))
		return;
	printf("; other programs %.1f %% of the CPUs, stolen %.1f %%%s", others, stolen,
		results_is_disturbed(round) ? ": DISTURBED" : "");
}

static struct result_stage
stage_of(const struct watch_stage *s)
{
	return (struct result_stage){ watch_mean_us(s), watch_quantile_us(s, 0.5),
		watch_quantile_us(s, 0.99) };
}

static void
add_per_commit(struct numbers *n, const struct run_result *run)
{
	double commits = run->done_count > 0 ? (double)run->done_count : NAN;

	n->of[NUMBER_CPU] = run->cpu_us / commits;
	if (run->load_cpu_us > 0)
		n->of[NUMBER_SERVER_CPU] = (run->cpu_us - run->load_cpu_us) / commits;
	n->of[NUMBER_LEADERS] = run->leader_count;
	if (run->leader_count == 1)
		n->of[NUMBER_MEMORY] = (double)(run->memory_bytes >> 20);
	n->of[NUMBER_SNAPSHOTS] = run->snapshot_count;
	if (run->is_device_counted) {
		n->of[NUMBER_WRITES] = (double)run->device.write_count / commits;
		n->of[NUMBER_FLUSHES] = (double)run->device.flush_count / commits;
		n->of[NUMBER_DEVICE_BYTES] = (double)run->device.write_bytes / commits;
	}
	if (run->is_watched && run->leader.commands > 0) {
		n->of[NUMBER_LOG_BYTES] = run->leader.log_bytes / run->leader.commands;
		n->of[NUMBER_FRAMES] = run->leader.frames_sent / run->leader.commands;
		n->of[NUMBER_BATCH] = run->leader.commands / run->leader.slots;
	}
}

void
results_add(struct results *r, uint32_t point, uint32_t round, const struct run_result *run)
{
	struct result_point *p = &r->points[point];
	struct numbers *n = &p->rounds[round];

	for (uint32_t i = 0; i < NUMBER_COUNT; i++)
		n->of[i] = NAN;
	histogram_merge(&p->all, &run->latency);
	add_latencies(n, &run->latency);
	n->of[NUMBER_RATE] = (double)run->done_count / run->seconds;
	if (p->point.load.rate > 0) {
		n->of[NUMBER_LAG_P99] = results_percentile_us(&run->lag, 99);
		n->of[NUMBER_LAG_MAX] = (double)run->lag.max / 1e3;
		n->of[NUMBER_UNSENT] = (double)run->unsent_count;
		n->of[NUMBER_UNANSWERED] = (double)run->unanswered_count;
	}
	add_per_commit(n, run);
	add_host(n, &run->host);
	p->is_device_exact = run->is_device_exact;
	memcpy(p->idle, run->idle, sizeof(p->idle));
	for (uint32_t i = 0; i < WATCH_STAGE_COUNT; i++) {
		p->stages[i][round] = stage_of(&run->leader.stages[i]);
		p->follower_stages[i][round] = stage_of(&run->followers.stages[i]);
	}
}

/* ------------------------------------------------------------------------------ floors */

bool
results_is_durable(const struct results *r, const struct plan_shape *shape)
{
	return shape->mode == PLAN_DURABLE && !header_is_in_memory(&r->header);
}

const char *
results_transport(const struct results *r, const struct plan_shape *shape)
{
	if (shape->transport != NULL)
		return shape->transport;
	return r->plan->config == NULL ? plan_transport_word(shape->joined_by) : r->plan->joined_by;
}

uint32_t
results_block_bytes(const struct plan_point *p)
{
	uint32_t bytes = (p->load.bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;

	if (p->shape.mode != PLAN_DURABLE)
		return 0;
	return bytes > FLOOR_BLOCK_BYTES ? bytes : FLOOR_BLOCK_BYTES;
}

enum floor_kind
results_floor_kind(const struct plan_shape *s)
{
	return s->is_load_inside ? FLOOR_COMMIT : FLOOR_CLIENT;
}

static struct result_floor *
find_floor(struct results *r, enum floor_kind kind, enum plan_transport joined_by,
	uint32_t node_count, uint32_t block_bytes)
{
	for (struct result_floor *f = r->floors; f < r->floors + r->floor_count; f++)
		if (f->kind == kind && f->joined_by == joined_by && f->node_count == node_count &&
			f->block_bytes == block_bytes)
			return f;
	return NULL;
}

struct result_floor *
results_floor(struct results *r, enum floor_kind kind, enum plan_transport joined_by,
	uint32_t node_count, uint32_t block_bytes)
{
	struct result_floor *f = find_floor(r, kind, joined_by, node_count, block_bytes);

	if (f != NULL || r->floor_count == RESULTS_FLOOR_COUNT_MAX)
		return f;
	f = &r->floors[r->floor_count++];
	f->kind = kind;
	f->joined_by = joined_by;
	f->node_count = node_count;
	f->block_bytes = block_bytes;
	for (uint32_t i = 0; i < PLAN_ROUND_COUNT_MAX; i++)
		for (uint32_t k = 0; k < NUMBER_COUNT; k++)
			f->rounds[i].of[k] = NAN;
	return f;
}

void
results_add_floor(struct result_floor *f, uint32_t round, const struct histogram *times,
	const struct host_share *host)
{
	histogram_merge(&f->all, times);
	add_latencies(&f->rounds[round], times);
	add_host(&f->rounds[round], host);
}

/* A floor has one round under way. A latency that others under way have made longer is not compared
 * with it. In an open loop so many are on average as came due while one was answered. */
bool
results_is_one_in_flight(const struct plan_load *l, double mean_us)
{
	if (l->rate == 0)
		return l->in_flight == 1;
	return l->rate * mean_us / 1e6 <= 1;
}

void
results_compare(struct results *r, uint32_t round)
{
	for (uint32_t i = 0; i < r->plan->point_count; i++) {
		struct result_point *p = &r->points[i];
		const struct result_floor *f =
			find_floor(r, results_floor_kind(&p->point.shape), p->point.shape.joined_by,
				p->point.shape.node_count, results_block_bytes(&p->point));
		struct numbers *n = &p->rounds[round];

		for (uint32_t k = 0; f != NULL && k <= NUMBER_P999 - NUMBER_P50; k++) {
			n->of[NUMBER_FLOOR_P50 + k] = f->rounds[round].of[NUMBER_P50 + k];
			if (results_is_one_in_flight(&p->point.load, n->of[NUMBER_MEAN]))
				n->of[NUMBER_RATIO_P50 + k] =
					n->of[NUMBER_P50 + k] / n->of[NUMBER_FLOOR_P50 + k];
		}
	}
	r->round_count = round + 1;
}

/* ------------------------------------------------------------------------------ a kill */

static int
by_done(const void *a, const void *b)
{
	const struct board_sample *x = a, *y = b;
	uint64_t p = (uint64_t)x->due_us + x->latency_us, q = (uint64_t)y->due_us + y->latency_us;

	return (p > q) - (p < q);
}

static int
by_due(const void *a, const void *b)
{
	const struct board_sample *x = a, *y = b;

	return (x->due_us > y->due_us) - (x->due_us < y->due_us);
}

static int
by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
results_median_of(double *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (isnan(values[i]))
			return NAN;
	if (count == 0)
		return NAN;
	qsort(values, count, sizeof(*values), by_number);
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The longest time without an answer that ended after the kill. */
static void
find_gap(
	struct result_kill *k, const struct board_sample *samples, uint32_t count, double killed_us)
{
	for (uint32_t i = 1; i < count; i++) {
		double before = (double)samples[i - 1].due_us + samples[i - 1].latency_us;
		double next = (double)samples[i].due_us + samples[i].latency_us;

		if (next < killed_us || next - before <= k->gap_us)
			continue;
		k->gap_us = next - before;
		k->next_us = next - killed_us;
	}
}

static void
fill_bin(struct result_bin *bin, const struct board_sample *samples, uint32_t count)
{
	static double latencies[1u << 16];
	uint32_t kept = count < 1u << 16 ? count : 1u << 16;

	bin->due_count = count;
	bin->p50_us = bin->max_us = NAN;
	for (uint32_t i = 0; i < kept; i++)
		latencies[i] = samples[i].latency_us;
	bin->p50_us = results_median_of(latencies, kept);
	if (kept > 0)
		bin->max_us = latencies[kept - 1]; /* they are in order now */
}

int
results_add_kill(struct results *r, uint32_t point, uint32_t round, const struct board *board,
	uint64_t killed_ns)
{
	struct result_kill *k = &r->points[point].kills[round];
	uint64_t bin_us = RESULTS_BIN_NS / 1000;
	uint32_t count = board->sample_count;
	struct board_sample *samples = malloc(((size_t)count + 1) * sizeof(*samples));

	k->bin_count = (uint32_t)((uint64_t)(r->plan->seconds * 1e6) / bin_us);
	k->bins = calloc(k->bin_count, sizeof(*k->bins));
	k->first_us = -(double)killed_ns / 1e3;
	if (samples == NULL || k->bins == NULL) {
		free(samples);
		return -ENOMEM;
	}
	memcpy(samples, board->samples, count * sizeof(*samples));
	qsort(samples, count, sizeof(*samples), by_done);
	find_gap(k, samples, count, (double)killed_ns / 1e3);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t bin = ((uint64_t)samples[i].due_us + samples[i].latency_us) / bin_us;

		if (bin < k->bin_count)
			k->bins[bin].done_count++;
	}
	qsort(samples, count, sizeof(*samples), by_due);
	for (uint32_t bin = 0, first = 0; bin < k->bin_count; bin++) {
		uint32_t after = first;

		while (after < count && samples[after].due_us < (bin + 1) * bin_us)
			after++;
		fill_bin(&k->bins[bin], samples + first, after - first);
		first = after;
	}
	free(samples);
	return 0;
}

/* ------------------------------------------------------------------------------ over the rounds */

static uint32_t
collect(const struct results *r, const struct numbers *rounds, enum number n, double *values)
{
	for (uint32_t i = 0; i < r->round_count; i++)
		values[i] = rounds[i].of[n];
	return r->round_count;
}

double
results_median(const struct results *r, const struct numbers *rounds, enum number n)
{
	double values[PLAN_ROUND_COUNT_MAX];

	return results_median_of(values, collect(r, rounds, n, values));
}

double
results_min(const struct results *r, const struct numbers *rounds, enum number n)
{
	double values[PLAN_ROUND_COUNT_MAX];
	uint32_t count = collect(r, rounds, n, values);

	return isnan(results_median_of(values, count)) ? NAN : values[0];
}

double
results_max(const struct results *r, const struct numbers *rounds, enum number n)
{
	double values[PLAN_ROUND_COUNT_MAX];
	uint32_t count = collect(r, rounds, n, values);

	return isnan(results_median_of(values, count)) ? NAN : values[count - 1];
}
