/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/queue/results.h"

#include "bench/plot.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------ medians */

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* A field of struct measured, by its offset. */
static double
number_of(const struct measured *m, size_t field)
{
	return *(const double *)((const char *)m + field);
}

static double
median_of(const struct results *r, uint32_t plan, uint32_t server, size_t field)
{
	double values[ROUND_COUNT_MAX];

	for (uint32_t round = 0; round < r->round_count; round++)
		values[round] = number_of(&r->measured[plan][server][round], field);
	return median(values, r->round_count);
}

/* The same of a percentile. @return 0 if a round had too few samples for it */
static double
percentile_of(const struct results *r, uint32_t plan, uint32_t server, size_t field)
{
	for (uint32_t round = 0; round < r->round_count; round++)
		if (number_of(&r->measured[plan][server][round], field) == 0)
			return 0;
	return median_of(r, plan, server, field);
}

/* Median of the ratios of each round. @return 0: there is none */
static double
ratio_of(const struct results *r, uint32_t plan, uint32_t server, size_t field)
{
	double values[ROUND_COUNT_MAX];

	for (uint32_t round = 0; round < r->round_count; round++) {
		double base = number_of(&r->measured[plan][r->against][round], field);

		if (base == 0)
			return 0;
		values[round] = number_of(&r->measured[plan][server][round], field) / base;
	}
	return median(values, r->round_count);
}

/* ------------------------------------------------------------------------------ text */

static void
print_us(double us)
{
	if (us > 0)
		printf(" %9.0f", us);
	else
		printf("         -");
}

static void
print_row(const struct results *r, uint32_t plan, uint32_t server)
{
	printf("%-18s %9.0f", r->servers[server].name,
		median_of(r, plan, server, offsetof(struct measured, per_s)));
	print_us(percentile_of(r, plan, server, offsetof(struct measured, p50_us)));
	print_us(percentile_of(r, plan, server, offsetof(struct measured, p90_us)));
	print_us(percentile_of(r, plan, server, offsetof(struct measured, p99_us)));
	print_us(percentile_of(r, plan, server, offsetof(struct measured, p999_us)));
	print_us(percentile_of(r, plan, server, offsetof(struct measured, max_us)));
	printf(" %8.2f %8.2f", ratio_of(r, plan, server, offsetof(struct measured, per_s)),
		ratio_of(r, plan, server, offsetof(struct measured, p50_us)));
	if (r->plans[plan].rate > 0) {
		print_us(percentile_of(r, plan, server, offsetof(struct measured, lag_us)));
		printf(" %9.0f", median_of(r, plan, server, offsetof(struct measured, unsent)));
	}
	printf("\n");
}

static void
print_plan(const struct results *r, uint32_t plan)
{
	const struct load_plan *p = &r->plans[plan];

	printf("\n%s: %u connection%s, jobs of %u bytes, ", r->plan_names[plan],
		p->connection_count, p->connection_count == 1 ? "" : "s", p->body_bytes);
	if (p->rate > 0)
		printf("open loop at %u/s\n", p->rate);
	else if (p->depth > 1)
		printf("closed loop, %u under way on each\n", p->depth);
	else
		printf("closed loop\n");
	printf("%-18s %9s %9s %9s %9s %9s %9s %8s %8s%s\n", "", "per s", "p50 us", "p90", "p99",
		"p99.9", "max", "rate:", "p50:", p->rate > 0 ? "   lag p99    unsent" : "");
	for (uint32_t server = 0; server < r->server_count; server++)
		print_row(r, plan, server);
}

void
results_print(const struct results *r)
{
	for (uint32_t plan = 0; plan < r->plan_count; plan++)
		print_plan(r, plan);
	printf("\nMedians of %u rounds. rate:, p50: are medians of each round's ratio to %s.\n",
		r->round_count, r->servers[r->against].name);
}

/* ------------------------------------------------------------------------------ Markdown */

/* 12,345; a dash for what there is none of. */
static void
markdown_number(FILE *to, double value)
{
	unsigned long n = (unsigned long)(value + 0.5);

	if (value <= 0)
		fprintf(to, " - |");
	else if (n >= 1000000)
		fprintf(to, " %lu,%03lu,%03lu |", n / 1000000, n / 1000 % 1000, n % 1000);
	else if (n >= 1000)
		fprintf(to, " %lu,%03lu |", n / 1000, n % 1000);
	else
		fprintf(to, " %lu |", n);
}

static void
markdown_ratio(FILE *to, double ratio)
{
	if (ratio > 0)
		fprintf(to, " %.2f |", ratio);
	else
		fprintf(to, " - |");
}

static void
markdown_row(FILE *to, const struct results *r, uint32_t plan, uint32_t server)
{
	fprintf(to, "| %s%s%s | %s |", server == 0 ? "`" : "",
		server == 0 ? r->plan_names[plan] : "", server == 0 ? "`" : "",
		r->servers[server].name);
	markdown_number(to, median_of(r, plan, server, offsetof(struct measured, per_s)));
	markdown_number(to, percentile_of(r, plan, server, offsetof(struct measured, p50_us)));
	markdown_number(to, percentile_of(r, plan, server, offsetof(struct measured, p99_us)));
	markdown_number(to, percentile_of(r, plan, server, offsetof(struct measured, p999_us)));
	markdown_ratio(to, ratio_of(r, plan, server, offsetof(struct measured, per_s)));
	markdown_ratio(to, ratio_of(r, plan, server, offsetof(struct measured, p50_us)));
	fprintf(to, "\n");
}

int
results_write_markdown(const struct results *r, const char *path)
{
	const char *against = r->servers[r->against].name;
	FILE *to = fopen(path, "we");

	if (to == NULL)
		return -errno;
	fprintf(to,
		"| load | server | per s | p50 us | p99 us | p99.9 us | rate : %s | p50 : %s |\n"
		"|---|---|---|---|---|---|---|---|\n",
		against, against);
	for (uint32_t plan = 0; plan < r->plan_count; plan++)
		for (uint32_t server = 0; server < r->server_count; server++)
			markdown_row(to, r, plan, server);
	return fclose(to) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------------------ JSON */

static void
json_row(FILE *to, const struct results *r, uint32_t plan, uint32_t server)
{
	static const struct {
		const char *name;
		size_t field;
	} fields[] = {
		{ "per_s", offsetof(struct measured, per_s) },
		{ "p50_us", offsetof(struct measured, p50_us) },
		{ "p90_us", offsetof(struct measured, p90_us) },
		{ "p99_us", offsetof(struct measured, p99_us) },
		{ "p999_us", offsetof(struct measured, p999_us) },
		{ "max_us", offsetof(struct measured, max_us) },
		{ "lag_us", offsetof(struct measured, lag_us) },
		{ "unsent", offsetof(struct measured, unsent) },
	};

	fprintf(to, "{\"load\":\"%s\",\"server\":\"%s\"", r->plan_names[plan],
		r->servers[server].name);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fprintf(to, ",\"%s\":%.6g", fields[i].name,
			percentile_of(r, plan, server, fields[i].field));
	fprintf(to, ",\"rate_ratio\":%.4g,\"p50_ratio\":%.4g}",
		ratio_of(r, plan, server, offsetof(struct measured, per_s)),
		ratio_of(r, plan, server, offsetof(struct measured, p50_us)));
}

int
results_write_json(const struct results *r, const char *path)
{
	FILE *to = fopen(path, "we");
	const char *comma = "";

	if (to == NULL)
		return -errno;
	fprintf(to, "{\"bench\":\"queue\",\"rounds\":%u,\"against\":\"%s\",\"rows\":[",
		r->round_count, r->servers[r->against].name);
	for (uint32_t plan = 0; plan < r->plan_count; plan++) {
		for (uint32_t server = 0; server < r->server_count; server++, comma = ",") {
			fprintf(to, "%s\n", comma);
			json_row(to, r, plan, server);
		}
	}
	fprintf(to, "\n]}\n");
	return fclose(to) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------------------ plot */

struct panel {
	const char *title, *unit;
	size_t field;
};

static const struct panel panels[] = {
	{ "throughput", "per second", offsetof(struct measured, per_s) },
	{ "latency, p50", "us", offsetof(struct measured, p50_us) },
	{ "latency, p99", "us", offsetof(struct measured, p99_us) },
};
#define PANEL_COUNT (sizeof(panels) / sizeof(panels[0]))

/* What is not there is no bar: a logarithmic axis has no place for 0. */
static void
plot_data(FILE *to, const struct results *r)
{
	fprintf(to, "$data << END\n");
	for (uint32_t plan = 0; plan < r->plan_count; plan++) {
		fprintf(to, "\"%s\"", r->plan_names[plan]);
		for (uint32_t s = 0; s < r->server_count; s++)
			for (size_t i = 0; i < PANEL_COUNT; i++) {
				double value = percentile_of(r, plan, s, panels[i].field);

				if (value > 0)
					fprintf(to, " %g", value);
				else
					fprintf(to, " NaN");
			}
		fprintf(to, "\n");
	}
	fprintf(to, "END\n");
}

/* gnuplot refuses to draw nothing: a server has no bar at all where all of its runs were too short
 * for it. */
static bool
has_any(const struct results *r, uint32_t server, size_t field)
{
	for (uint32_t plan = 0; plan < r->plan_count; plan++)
		if (percentile_of(r, plan, server, field) > 0)
			return true;
	return false;
}

/* A server has the same colour in each panel. */
static void
plot_bars(FILE *to, const struct results *r, size_t panel)
{
	const char *before = "plot ";

	fprintf(to, "set title '%s'\nset ylabel '%s'\n", panels[panel].title, panels[panel].unit);
	for (uint32_t s = 0; s < r->server_count; s++) {
		if (!has_any(r, s, panels[panel].field))
			continue;
		fprintf(to, "%s$data using %zu:xtic(1) linetype %u title '%s'", before,
			2 + PANEL_COUNT * s + panel, s + 1, r->servers[s].name);
		before = ", ";
	}
	fprintf(to, "\n");
}

int
results_plot(const struct results *r, const char *path)
{
	FILE *to;
	int rc = plot_open(path, PANEL_COUNT, &to);

	if (rc != 0)
		return rc;
	plot_data(to, r);
	fprintf(to, "set style data histogram\nset style histogram clustered gap 1.5\n"
		    "set style fill solid 0.85 noborder\nset boxwidth 0.95\n"
		    "set logscale y\nset grid ytics\nset xtics font ',8.5'\nset key outside right "
		    "top vertical\n");
	for (size_t i = 0; i < PANEL_COUNT; i++)
		plot_bars(to, r, i);
	return plot_close(to);
}
