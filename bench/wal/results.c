/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/wal/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double
number_p50(const struct measured *m)
{
	return m->sample.p50_us;
}

double
number_p99(const struct measured *m)
{
	return m->sample.p99_us;
}

double
number_p999(const struct measured *m)
{
	return m->sample.p999_us;
}

double
number_max(const struct measured *m)
{
	return m->sample.max_us;
}

double
number_appends_per_s(const struct measured *m)
{
	return (double)m->sample.append_count / m->sample.seconds;
}

double
number_written_per_s(const struct measured *m)
{
	return m->sample.written_bytes / m->sample.seconds;
}

double
number_write_bytes(const struct measured *m)
{
	return m->sample.write_bytes;
}

double
number_device_writes(const struct measured *m)
{
	return m->device_writes;
}

double
number_device_flushes(const struct measured *m)
{
	return m->device_flushes;
}

double
number_device_per_s(const struct measured *m)
{
	return m->device_bytes < 0 ? -1 : m->device_bytes / m->sample.seconds;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* NAN if one of them is: a round had too few samples. */
static double
median(double *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (isnan(values[i]))
			return NAN;
	qsort(values, count, sizeof(*values), compare);
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double
results_median(const struct results *r, uint32_t row, uint32_t size, results_number number)
{
	double values[ROUND_COUNT_MAX];

	for (uint32_t i = 0; i < r->round_count; i++)
		values[i] = number(&r->measured[row][size][i]);
	return median(values, r->round_count);
}

double
results_ratio(
	const struct results *r, uint32_t row, uint32_t other, uint32_t size, results_number number)
{
	double values[ROUND_COUNT_MAX];

	if (other == r->row_count)
		return 0;
	for (uint32_t i = 0; i < r->round_count; i++) {
		double of = number(&r->measured[other][size][i]);

		values[i] = of > 0 || isnan(of) ? number(&r->measured[row][size][i]) / of : 0;
	}
	return median(values, r->round_count);
}

uint32_t
results_row(const struct results *r, const char *name, bool is_single)
{
	uint32_t row = 0;

	while (row < r->row_count &&
		(r->rows[row].is_single != is_single || strcmp(r->rows[row].name, name) != 0))
		row++;
	return row;
}
