/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/json.h"
#include "bench/wal/results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static void
print_size(uint32_t bytes)
{
	if (bytes >= 1u << 20 && bytes % (1u << 20) == 0)
		printf("%u MiB", bytes >> 20);
	else if (bytes >= 1u << 10 && bytes % (1u << 10) == 0)
		printf("%u KiB", bytes >> 10);
	else
		printf("%u B", bytes);
}

static void
print_per_append(double number)
{
	if (number < 0)
		printf("      ?");
	else
		printf(" %6.*f", number < 0.01 ? 4 : 2, number);
}

static void
print_counters(const struct results *r, uint32_t row, uint32_t size)
{
	print_per_append(results_median(r, row, size, number_device_writes));
	print_per_append(results_median(r, row, size, number_device_flushes));
	printf("\n");
}

static void
print_ratio(double ratio, int width)
{
	if (ratio > 0)
		printf(" %*.2f", width, ratio);
	else
		printf(" %*s", width, "-");
}

/* Of fewer than ten samples above it nothing is told. */
static void
print_us(double us, int width)
{
	if (isnan(us))
		printf(" %*s", width, "-");
	else
		printf(" %*.1f", width, us);
}

static void
print_single(const struct results *r, uint32_t size)
{
	uint32_t raw = results_row(r, "raw", true);

	printf("\nOne append of ");
	print_size(r->sizes[size]);
	printf(" in flight, us\n"
	       "             p50      p99    p99.9      max  appends/s  p50:raw p99:raw writes "
	       "flushes\n");
	for (uint32_t row = 0; row < r->row_count; row++) {
		if (!r->rows[row].is_single)
			continue;
		printf("%-9s", r->rows[row].name);
		print_us(results_median(r, row, size, number_p50), 6);
		print_us(results_median(r, row, size, number_p99), 8);
		print_us(results_median(r, row, size, number_p999), 8);
		printf(" %8.0f %10.0f", results_median(r, row, size, number_max),
			results_median(r, row, size, number_appends_per_s));
		print_ratio(results_ratio(r, row, raw, size, number_p50), 8);
		print_ratio(results_ratio(r, row, raw, size, number_p99), 7);
		print_counters(r, row, size);
	}
}

static void
print_many(const struct results *r, uint32_t size)
{
	uint32_t log = results_row(r, "log", false);

	printf("\nSaturated with appends of ");
	print_size(r->sizes[size]);
	printf("\n           appends/s  MB/s written  KiB/write  log:it  all:it writes flushes\n");
	for (uint32_t row = 0; row < r->row_count; row++) {
		if (r->rows[row].is_single)
			continue;
		printf("%-9s %10.0f %13.1f %10.1f", r->rows[row].name,
			results_median(r, row, size, number_appends_per_s),
			results_median(r, row, size, number_written_per_s) / 1e6,
			results_median(r, row, size, number_write_bytes) / 1024);
		print_ratio(log == r->row_count || log == row
				    ? 0
				    : results_ratio(r, log, row, size, number_written_per_s),
			7);
		print_ratio(log == r->row_count || log == row
				    ? 0
				    : results_ratio(r, log, row, size, number_device_per_s),
			7);
		print_counters(r, row, size);
	}
}

void
results_print(const struct results *r)
{
	for (uint32_t size = 0; size < r->size_count; size++) {
		print_single(r, size);
		print_many(r, size);
	}
	printf("\np50:raw, p99:raw, log:it, all:it: medians of the ratios of each round; log:it of "
	       "MB/s written,\nall:it of all that the device wrote meanwhile, a log's identifiers "
	       "as well.\nwrites, flushes: of the device for each append, as the kernel counts "
	       "them for all processes.\n");
	for (uint32_t row = 0; row < r->row_count; row++)
		printf("%-9s %s, %s\n", r->rows[row].name, r->rows[row].is_single ? "one" : "many",
			r->rows[row].about);
}

static void
json_member(FILE *to, const char *key, double number)
{
	fprintf(to, ",\"%s\":", key);
	json_number(to, number);
}

static void
json_median(FILE *to, const struct results *r, uint32_t row, uint32_t size, const char *key,
	results_number number)
{
	json_member(to, key, results_median(r, row, size, number));
}

static void
json_row(FILE *to, const struct results *r, uint32_t row, uint32_t size)
{
	bool is_single = r->rows[row].is_single;

	fprintf(to, "{\"table\":\"%s\",\"way\":\"%s\",\"bytes\":%u",
		is_single ? "one" : "saturated", r->rows[row].name, r->sizes[size]);
	json_median(to, r, row, size, "appends_per_s", number_appends_per_s);
	json_median(to, r, row, size, "written_bytes_per_s", number_written_per_s);
	json_median(to, r, row, size, "write_bytes", number_write_bytes);
	json_median(to, r, row, size, "device_writes", number_device_writes);
	json_median(to, r, row, size, "device_flushes", number_device_flushes);
	if (is_single) {
		uint32_t raw = results_row(r, "raw", true);

		json_median(to, r, row, size, "p50_us", number_p50);
		json_median(to, r, row, size, "p99_us", number_p99);
		json_median(to, r, row, size, "p999_us", number_p999);
		json_median(to, r, row, size, "max_us", number_max);
		json_member(to, "p50_over_raw", results_ratio(r, row, raw, size, number_p50));
		json_member(to, "p99_over_raw", results_ratio(r, row, raw, size, number_p99));
	} else if (results_row(r, "log", false) < r->row_count) {
		fprintf(to, ",\"log_over_it\":%.4g",
			results_ratio(
				r, results_row(r, "log", false), row, size, number_written_per_s));
		fprintf(to, ",\"all_over_it\":%.4g",
			results_ratio(
				r, results_row(r, "log", false), row, size, number_device_per_s));
	}
	fprintf(to, "}");
}

int
results_write_json(const struct results *r, const char *path)
{
	FILE *to = fopen(path, "we");
	const char *comma = "";

	if (to == NULL)
		return -errno;
	fprintf(to,
		"{\"bench\":\"wal\",\"device\":\"%s\",\"seconds\":%g,\"rounds\":%u,\"depth\":%u,"
		"\"rows\":[",
		r->device.name, r->seconds, r->round_count, r->depth);
	for (uint32_t size = 0; size < r->size_count; size++) {
		for (uint32_t row = 0; row < r->row_count; row++, comma = ",") {
			fprintf(to, "%s\n", comma);
			json_row(to, r, row, size);
		}
	}
	fprintf(to, "\n]}\n");
	return fclose(to) == 0 ? 0 : -errno;
}
