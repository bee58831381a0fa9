/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The results as JSON, from which plots are drawn; docs/benchmarks.md says what is in it. Another
 * program that measures another system writes the same, with its own name for `system`, and is
 * drawn beside this one.
 */
#include "bench/commit/json.h"
#include "bench/commit/results.h"
#include "bench/commit/settings.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define CURVE_STEPS_PER_HALF 5

static void
write_numbers(FILE *to, const struct numbers *n)
{
	fprintf(to, "{");
	for (uint32_t i = 0; i < NUMBER_COUNT; i++) {
		fprintf(to, "%s\"%s\":", i == 0 ? "" : ",", number_key((enum number)i));
		json_number(to, n->of[i]);
	}
	fprintf(to, "}");
}

static void
write_rounds(FILE *to, const struct results *r, const struct numbers *rounds)
{
	struct numbers median, min, max;

	fprintf(to, "\"rounds\":[");
	for (uint32_t i = 0; i < r->round_count; i++) {
		fprintf(to, "%s\n   ", i == 0 ? "" : ",");
		write_numbers(to, &rounds[i]);
	}
	for (uint32_t i = 0; i < NUMBER_COUNT; i++) {
		median.of[i] = results_median(r, rounds, (enum number)i);
		min.of[i] = results_min(r, rounds, (enum number)i);
		max.of[i] = results_max(r, rounds, (enum number)i);
	}
	fprintf(to, "],\n  \"median\":");
	write_numbers(to, &median);
	fprintf(to, ",\n  \"min\":");
	write_numbers(to, &min);
	fprintf(to, ",\n  \"max\":");
	write_numbers(to, &max);
}

/* All rounds together: how many there were, percentiles that have ten samples above them, and the
 * curve. */
static void
write_all(FILE *to, const struct histogram *h)
{
	static const double percents[] = { 50, 90, 99, 99.9, 99.99 };
	static const char *const keys[] = { "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us" };
	struct histogram_step step = { 0 };
	const char *comma = "";

	fprintf(to, "\"all\":{\"count\":%llu", (unsigned long long)h->count);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		fprintf(to, ",\"%s\":", keys[i]);
		json_number(to, results_percentile_us(h, percents[i]));
	}
	fprintf(to, ",\n   \"curve\":[");
	while (histogram_walk(h, CURVE_STEPS_PER_HALF, &step) && histogram_has(h, step.percent)) {
		fprintf(to, "%s[%.7g,%.7g]", comma, step.percent, (double)step.value / 1e3);
		comma = ",";
	}
	fprintf(to, "]}");
}

static double
stage_median(const struct results *r, const struct result_stage *rounds, size_t offset)
{
	double values[PLAN_ROUND_COUNT_MAX];

	for (uint32_t i = 0; i < r->round_count; i++)
		values[i] = *(const double *)((const char *)&rounds[i] + offset);
	return results_median_of(values, r->round_count);
}

static void
write_stage(FILE *to, const struct results *r, const char *word, const struct result_stage *rounds)
{
	fprintf(to, "\"%s\":{\"mean_us\":", word);
	json_number(to, stage_median(r, rounds, offsetof(struct result_stage, mean_us)));
	fprintf(to, ",\"p50_us\":");
	json_number(to, stage_median(r, rounds, offsetof(struct result_stage, p50_us)));
	fprintf(to, ",\"p99_us\":");
	json_number(to, stage_median(r, rounds, offsetof(struct result_stage, p99_us)));
	fprintf(to, "}");
}

static void
write_stages(FILE *to, const struct results *r, const struct result_point *p)
{
	fprintf(to, "\"stages\":{");
	for (uint32_t i = 0; i < WATCH_STAGE_COUNT; i++) {
		write_stage(to, r, watch_stage_word((enum watch_stage_kind)i), p->stages[i]);
		fprintf(to, ",");
	}
	for (uint32_t i = 0; i < WATCH_STAGE_COUNT; i++) {
		char word[32];

		if (i == WATCH_CHOSEN)
			continue; /* a leader's */
		snprintf(word, sizeof(word), "follower_%s",
			watch_stage_word((enum watch_stage_kind)i));
		write_stage(to, r, word, p->follower_stages[i]);
		fprintf(to, i + 1 < WATCH_STAGE_COUNT ? "," : "}");
	}
}

static void
write_kills(FILE *to, const struct results *r, const struct result_point *p)
{
	fprintf(to, "\"kills\":[");
	for (uint32_t i = 0; i < r->round_count; i++) {
		const struct result_kill *k = &p->kills[i];

		fprintf(to,
			"%s\n   "
			"{\"gap_us\":%.7g,\"next_us\":%.7g,\"bin_us\":%llu,\"first_us\":%.7g,"
			"\"bins\":[",
			i == 0 ? "" : ",", k->gap_us, k->next_us,
			(unsigned long long)(RESULTS_BIN_NS / 1000), k->first_us);
		for (uint32_t b = 0; b < k->bin_count; b++) {
			fprintf(to, "%s[%u,%u,", b == 0 ? "" : ",", k->bins[b].due_count,
				k->bins[b].done_count);
			json_number(to, k->bins[b].p50_us);
			fprintf(to, ",");
			json_number(to, k->bins[b].max_us);
			fprintf(to, "]");
		}
		fprintf(to, "]}");
	}
	fprintf(to, "]");
}

static const char *
load_word(const struct plan_shape *s)
{
	return s->is_load_inside ? "inside" : s->is_load_apart ? "client" : "thread";
}

static void
write_point(FILE *to, const struct results *r, const struct result_point *p)
{
	const struct plan_shape *s = &p->point.shape;
	const struct plan_load *l = &p->point.load;

	fprintf(to,
		" {\"system\":\"%s\",\"setting\":{\"loop\":\"%s\",\"rate\":%u,\"in_flight\":%u,"
		"\"bytes\":%u,\"load\":\"%s\",\"nodes\":%u,\"shards\":%u,\"mode\":\"%s\","
		"\"durable\":%s,\"transport\":\"%s\",\"auth\":\"%s\",\"snapshots\":%s",
		s->system == NULL ? "decree" : s->system, l->rate > 0 ? "open" : "closed", l->rate,
		l->in_flight, l->bytes, load_word(s), s->node_count, s->shard_count,
		plan_mode_word(s->mode), results_is_durable(r, s) ? "true" : "false",
		results_transport(r, s), s->has_auth ? "gmac" : "none",
		s->has_snapshots ? "true" : "false");
	if (s->mtu > 0)
		fprintf(to, ",\"mtu\":%u", s->mtu);
	if (s->version != NULL)
		fprintf(to, ",\"version\":\"%s\"", s->version);
	if (s->started != NULL) {
		fprintf(to, ",\"started\":");
		json_text(to, s->started);
	}
	if (p->idle[0] != '\0')
		fprintf(to, ",\"idle\":\"%s\"", p->idle);
	fprintf(to, "},\n  ");
	write_rounds(to, r, p->rounds);
	fprintf(to, ",\n  \"device_writes_exact\":%s,\n  \"retried_rounds\":[",
		p->is_device_exact ? "true" : "false");
	for (uint32_t i = 0, count = 0; i < r->round_count; i++)
		if (p->is_retried[i])
			fprintf(to, "%s%u", count++ == 0 ? "" : ",", i + 1);
	fprintf(to, "],\n  ");
	write_stages(to, r, p);
	fprintf(to, ",\n  ");
	if (r->plan->does_kill) {
		write_kills(to, r, p);
		fprintf(to, ",\n  ");
	}
	write_all(to, &p->all);
	fprintf(to, "}");
}

static void
write_floor(FILE *to, const struct results *r, const struct result_floor *f)
{
	fprintf(to, " {\"kind\":\"%s\",\"transport\":", floor_word(f));
	json_text(to,
		r->plan->config == NULL ? plan_transport_word(f->joined_by) : r->plan->joined_by);
	fprintf(to, ",\"nodes\":%u,\"block_bytes\":%u,\n  ", f->node_count, f->block_bytes);
	write_rounds(to, r, f->rounds);
	fprintf(to, ",\n  ");
	write_all(to, &f->all);
	fprintf(to, "}");
}

int
results_write_json(const struct results *r, const char *path)
{
	FILE *to = fopen(path, "we");

	if (to == NULL)
		return -errno;
	fprintf(to, "{\"format\":\"decree-bench 1\",\n\"header\":{");
	header_print_json(&r->header, to);
	fprintf(to, "},\n\"settings\":{");
	settings_print_json(r->plan, to);
	fprintf(to, "},\n\"seconds\":%.7g,\"warm_up_s\":%.7g,\"settle_s\":%.7g,\"points\":[",
		r->plan->seconds, r->plan->warm_up_s, r->plan->settle_s);
	for (uint32_t i = 0; i < r->plan->point_count; i++) {
		fprintf(to, "%s\n", i == 0 ? "" : ",");
		write_point(to, r, &r->points[i]);
	}
	fprintf(to, "],\n\"floors\":[");
	for (uint32_t i = 0; i < r->floor_count; i++) {
		fprintf(to, "%s\n", i == 0 ? "" : ",");
		write_floor(to, r, &r->floors[i]);
	}
	fprintf(to, "]}\n");
	return fclose(to) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------------------ .hgrm */

int
results_write_hgrm(const struct results *r, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash == NULL ? path : slash, '.');
	int stem = dot == NULL ? (int)strlen(path) : (int)(dot - path);

	for (uint32_t i = 0; i < r->plan->point_count; i++) {
		char name[4096];
		FILE *to;

		if (r->plan->point_count == 1)
			snprintf(name, sizeof(name), "%s", path);
		else
			snprintf(name, sizeof(name), "%.*s-%u%s", stem, path, i + 1, path + stem);
		to = fopen(name, "we");
		if (to == NULL)
			return -errno;
		histogram_print(&r->points[i].all, 1000, to);
		if (fclose(to) != 0)
			return -errno;
	}
	return 0;
}
