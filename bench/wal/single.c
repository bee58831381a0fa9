/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/histogram.h"
#include "base/clock.h"
#include "bench/wal/way.h"

#include <math.h>

/* A percentile takes ten samples above it. */
static double
percentile_us(const struct histogram *h, double percent)
{
	return histogram_has(h, percent) ? (double)histogram_at(h, percent) / 1e3 : NAN;
}

int
way_measure_single(int (*append)(void *self, uint32_t bytes), void *self,
	const struct way_task *task, struct way_sample *ret)
{
	static struct histogram latencies;
	uint64_t began = base_now_ns(), until = began + (uint64_t)(task->seconds * 1e9);
	uint64_t before = began, max_ns = 0;
	int rc = 0;

	histogram_reset(&latencies);
	while (rc == 0 && before < until) {
		uint64_t after;

		rc = append(self, task->bytes);
		after = base_now_ns();
		histogram_add(&latencies, after - before);
		max_ns = after - before > max_ns ? after - before : max_ns;
		before = after;
	}
	*ret = (struct way_sample){
		.append_count = latencies.count,
		.seconds = (double)(before - began) / 1e9,
		.p50_us = percentile_us(&latencies, 50),
		.p99_us = percentile_us(&latencies, 99),
		.p999_us = percentile_us(&latencies, 99.9),
		.max_us = (double)max_ns / 1e3,
		.written_bytes = (double)latencies.count * way_sector_bytes(task->bytes),
		.write_bytes = way_sector_bytes(task->bytes),
	};
	return rc;
}
