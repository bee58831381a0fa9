/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/wal/results.h"

#include "bench/plot.h"

#include <stdio.h>

/* A block of data with a name, for one curve. Runs can be too short for a percentile: without a p99
 * there is no bar, without a p50 no point. */
static void
curve_write(
	FILE *to, const struct results *r, uint32_t row, results_number low, results_number high)
{
	fprintf(to, "$row%u << END\n", row);
	for (uint32_t size = 0; size < r->size_count; size++) {
		double from = results_median(r, row, size, low);
		double up_to = results_median(r, row, size, high);

		if (from > 0)
			fprintf(to, "%u %g %g\n", r->sizes[size], from, up_to > 0 ? up_to : from);
	}
	fprintf(to, "END\n");
}

/* gnuplot refuses to draw a curve without a point. */
static bool
has_points(const struct results *r, uint32_t row, results_number number)
{
	for (uint32_t size = 0; size < r->size_count; size++)
		if (results_median(r, row, size, number) > 0)
			return true;
	return false;
}

static void
curves_plot(FILE *to, const struct results *r, bool is_single)
{
	const char *between = "plot ";

	for (uint32_t row = 0; row < r->row_count; row++) {
		if (r->rows[row].is_single != is_single || r->rows[row].is_log_sized ||
			!has_points(r, row, is_single ? number_p50 : number_appends_per_s))
			continue;
		if (is_single)
			fprintf(to,
				"%s$row%u using 1:2:2:3 with yerrorlines lw 1.5 ps 0.4 lc %u title "
				"'%s'",
				between, row, row + 1, r->rows[row].name);
		else
			fprintf(to,
				"%s$row%u using 1:($1 * $2 / 1e6) with linespoints lw 1.5 ps 0.4 "
				"lc %u title '%s'",
				between, row, row + 1, r->rows[row].name);
		between = ", ";
	}
	fprintf(to, "\n");
}

/* Error bars go from p50 up to p99. */
static void
script_write(FILE *to, const struct results *r)
{
	for (uint32_t row = 0; row < r->row_count; row++) {
		if (r->rows[row].is_single)
			curve_write(to, r, row, number_p50, number_p99);
		else
			curve_write(to, r, row, number_appends_per_s, number_appends_per_s);
	}
	fprintf(to, "set logscale xy\nset grid\n"
		    "set xlabel 'bytes of an append'\nset xtics ('64' 64, '512' 512, '4Ki' 4096, "
		    "'16Ki' 16384, '128Ki' 131072, '1Mi' 1048576)\n");
	fprintf(to, "set title 'one append in flight: p50, up to p99'\nset ylabel 'us'\n");
	curves_plot(to, r, true);
	fprintf(to, "set title 'saturated'\nset ylabel 'MB/s of appends'\n");
	curves_plot(to, r, false);
}

int
results_plot(const struct results *r, const char *path)
{
	FILE *to;
	int rc = plot_open(path, 1, &to);

	if (rc != 0)
		return rc;
	script_write(to, r);
	return plot_close(to);
}
