/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fio (the flexible I/O tester) on the raw ways' file, with its io_uring engine: somebody else's
 * opinion of the disk. It waits for completions in the kernel and does not poll.
 */
#include "bench/raw.h"
#include "bench/wal/way.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_BYTES 65536

struct fio {
	char raw_path[512];
	uint64_t raw_bytes;
	char output[OUTPUT_BYTES];
};

static int
open_fio(const struct way_place *place, void **ret_self, char *ret_error)
{
	struct fio *f;

	if (system("fio --version >/dev/null 2>&1") != 0) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "fio is not installed: scripts/deps bench");
		return -ENOTSUP;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	snprintf(f->raw_path, sizeof(f->raw_path), "%s", place->raw_path);
	f->raw_bytes = place->raw_bytes;
	*ret_self = f;
	return 0;
}

static void
close_fio(void *self)
{
	free(self);
}

static int
run(struct fio *f, const struct way_task *task)
{
	uint32_t bytes = way_sector_bytes(task->bytes);
	uint32_t depth = task->depth < RAW_DEPTH_MAX ? task->depth : RAW_DEPTH_MAX;
	char command[1536];
	size_t length;
	FILE *output;

	(void)snprintf(command, sizeof(command),
		"fio --name=wal --filename='%s' --size=%llu --bs=%u --rw=write --ioengine=io_uring "
		"--fixedbufs=1 --registerfiles=1 --direct=1 --sync=dsync --iodepth=%u --time_based "
		"--runtime=%.0fms --output-format=json --lat_percentiles=1 --clat_percentiles=0 "
		"--percentile_list=50:99:99.9",
		f->raw_path, (unsigned long long)(f->raw_bytes / bytes * bytes), bytes, depth,
		task->seconds * 1e3); /* fits: the path has at most 511 bytes */
	output = popen(command, "re");
	if (output == NULL)
		return -errno;
	length = fread(f->output, 1, sizeof(f->output) - 1, output);
	f->output[length] = '\0';
	return pclose(output) == 0 ? 0 : -EIO;
}

/* The number behind these keys, each looked for behind the one before. @return < 0 if it is not
 * there */
static double
number_at(const char *json, const char *const *keys)
{
	for (; *keys != NULL; keys++) {
		json = strstr(json, *keys);
		if (json == NULL)
			return -1;
		json += strlen(*keys);
	}
	return strtod(json + strcspn(json, "0123456789"), NULL);
}

static double
latency_us(const struct fio *f, const char *key)
{
	const char *const keys[] = { "\"write\" : {", "\"lat_ns\" : {", key, NULL };

	return number_at(f->output, keys) / 1e3;
}

static int
measure_fio(void *self, const struct way_task *task, struct way_sample *ret)
{
	static const char *const total[] = { "\"write\" : {", "\"total_ios\" :", NULL };
	static const char *const runtime[] = { "\"write\" : {", "\"runtime\" :", NULL };
	struct fio *f = self;
	int rc = run(f, task);

	if (rc != 0)
		return rc;
	*ret = (struct way_sample){
		.append_count = (uint64_t)number_at(f->output, total),
		.seconds = number_at(f->output, runtime) / 1e3,
		.p50_us = latency_us(f, "\"50.000000\" :"),
		.p99_us = latency_us(f, "\"99.000000\" :"),
		.p999_us = latency_us(f, "\"99.900000\" :"),
		.max_us = latency_us(f, "\"max\" :"),
		.write_bytes = way_sector_bytes(task->bytes),
	};
	ret->written_bytes = (double)ret->append_count * ret->write_bytes;
	if (ret->append_count < 1000)
		ret->p99_us = NAN; /* as way_measure_single() has it: ten samples above */
	if (ret->append_count < 10000)
		ret->p999_us = NAN;
	return ret->seconds > 0 && ret->p50_us > 0 ? 0 : -EBADMSG;
}

const struct way way_fio = { "fio", open_fio, measure_fio, close_fio };
