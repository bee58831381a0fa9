/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/header.h"

#include "bench/commit/json.h"
#include "build.h"
#include "decree/setup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifdef __OPTIMIZE__
#define IS_OPTIMISED true
#else
#define IS_OPTIMISED false
#endif

/* -------------------------------------------------------------------------- files of the kernel */

/* The first line of a file, without what ends it; "" if there is none. */
static void
read_line(const char *path, char *to, size_t capacity)
{
	FILE *file = fopen(path, "re");

	to[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(to, (int)capacity, file) == NULL)
		to[0] = '\0';
	to[strcspn(to, "\n")] = '\0';
	while (to[0] != '\0' && to[strlen(to) - 1] == ' ')
		to[strlen(to) - 1] = '\0';
	(void)fclose(file); /* was only read */
}

/* What stands behind "key :" in a file of such lines. @return false: no line has it */
static bool
read_field(const char *path, const char *key, char *to, size_t capacity)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	bool is_found = false;

	while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL) {
		const char *colon = strchr(line, ':');

		if (colon == NULL || strncmp(line, key, strlen(key)) != 0)
			continue;
		snprintf(to, capacity, "%.*s", (int)capacity - 1,
			colon + 1 + strspn(colon + 1, " \t"));
		to[strcspn(to, "\n")] = '\0';
		is_found = true;
	}
	if (file != NULL)
		(void)fclose(file); /* was only read */
	return is_found;
}

/* ------------------------------------------------------------------------------ the host */

/* "0,4" and "0-1" are two threads of a core. */
static uint32_t
count_list(const char *list)
{
	uint32_t count = 0;

	while (*list != '\0') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		count += (uint32_t)(last - first + 1);
		list = *end == ',' ? end + 1 : "";
	}
	return count;
}

static void
read_host(struct header *h)
{
	char line[4096], number[32];
	struct utsname name;

	(void)read_field("/proc/cpuinfo", "model name", h->cpu, sizeof(h->cpu));
	h->cpu_count = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	read_line("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", line, sizeof(line));
	h->threads_per_core = count_list(line);
	h->is_virtual = read_field("/proc/cpuinfo", "flags", line, sizeof(line)) &&
			strstr(line, " hypervisor") != NULL;
	if (uname(&name) == 0)
		snprintf(h->kernel, sizeof(h->kernel), "%.20s %.100s %.20s", name.sysname,
			name.release, name.machine);
	read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", h->governor,
		sizeof(h->governor));
	if (h->governor[0] == '\0')
		snprintf(h->governor, sizeof(h->governor), "none");
	read_line("/sys/devices/system/cpu/isolated", h->isolated, sizeof(h->isolated));
	read_line("/sys/devices/system/cpu/nohz_full", h->nohz_full, sizeof(h->nohz_full));
	if (strcmp(h->nohz_full, "(null)") == 0)
		h->nohz_full[0] = '\0'; /* a kernel that can, and was not told to */
	if (read_field("/proc/meminfo", "HugePages_Total", number, sizeof(number)))
		h->huge_page_count = strtoull(number, NULL, 10);
	if (read_field("/proc/meminfo", "Hugepagesize", number, sizeof(number)))
		h->huge_page_bytes = strtoull(number, NULL, 10) << 10;
}

/* ------------------------------------------------------------------------------ the disk */

/* The mount whose device this is: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root
 * rw,errors=continue" */
static void
read_mount(struct header *h, dev_t device)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		const char *dash = strstr(line, " - ");
		unsigned major_number, minor_number;
		char options[HEADER_WORD_BYTES], type[32];

		if (dash == NULL ||
			sscanf(line, "%*d %*d %u:%u %*s %*s %159s", &major_number, &minor_number,
				options) != 3 ||
			sscanf(dash, " - %31s", type) != 1 ||
			makedev(major_number, minor_number) != device)
			continue;
		memcpy(h->filesystem, type, sizeof(type));
		memcpy(h->mount_options, options, sizeof(options));
	}
	if (file != NULL)
		(void)fclose(file); /* was only read */
}

/* A partition's queue is its disk's. */
static void
read_queue(struct header *h, const char *folder)
{
	char path[512], line[32];

	snprintf(path, sizeof(path), "%.255s/queue/write_cache", folder);
	read_line(path, h->write_cache, sizeof(h->write_cache));
	snprintf(path, sizeof(path), "%.255s/queue/fua", folder);
	read_line(path, line, sizeof(line));
	h->has_fua = strcmp(line, "1") == 0;
	snprintf(path, sizeof(path), "%.255s/device/model", folder);
	read_line(path, h->model, sizeof(h->model));
}

static void
read_disk(struct header *h, const char *dir)
{
	char path[64], target[512];
	const char *slash;
	ssize_t length;
	struct stat st;

	if (stat(dir, &st) != 0)
		return;
	read_mount(h, st.st_dev);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	length = readlink(path, target, sizeof(target) - 1);
	if (length <= 0)
		return;
	target[length] = '\0';
	slash = strrchr(target, '/');
	snprintf(h->device, sizeof(h->device), "%.31s", slash == NULL ? target : slash + 1);
	read_queue(h, path);
	if (h->write_cache[0] == '\0') {
		snprintf(target, sizeof(target), "%s/..", path);
		read_queue(h, target);
	}
}

void
header_read(struct header *h, const char *dir)
{
	time_t now = time(NULL);
	struct tm utc;

	*h = (struct header){ 0 };
	(void)strftime(h->time, sizeof(h->time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	read_host(h);
	read_disk(h, dir);
}

/* ------------------------------------------------------------------------------ printing */

bool
header_is_release(void)
{
	/* "plain" is a package's, which brings its own options. Behind a comma is what looks on: a
	 * sanitizer, say. */
	return IS_OPTIMISED &&
	       (strcmp(BUILD_TYPE, "release") == 0 || strcmp(BUILD_TYPE, "plain") == 0);
}

static const char *
cost_of(const struct header *h)
{
	return h->write_cache[0] == '\0' ? "unknown cache"
	       : strcmp(h->write_cache, "write back") != 0
		       ? "no volatile cache: a write is durable at once"
	       : h->has_fua ? "volatile cache, with FUA: a durable write is one request"
			    : "volatile cache, no FUA: a durable write is a write and a flush";
}

static const char *
or_none(const char *text)
{
	return text[0] == '\0' ? "none" : text;
}

bool
header_is_in_memory(const struct header *h)
{
	return strcmp(h->filesystem, "tmpfs") == 0 || strcmp(h->filesystem, "ramfs") == 0;
}

void
header_print(const struct header *h, FILE *to)
{
	fprintf(to, "program     decree bench %s, commit %s, %s build, compiler %s\n",
		decree_version(), BUILD_COMMIT, BUILD_TYPE, __VERSION__);
	fprintf(to, "host        %s, %u CPUs, %u thread%s per core%s\n",
		h->cpu[0] == '\0' ? "unknown CPU" : h->cpu, h->cpu_count, h->threads_per_core,
		h->threads_per_core == 1 ? "" : "s", h->is_virtual ? ", VIRTUAL" : "");
	fprintf(to,
		"kernel      %s; governor %s; isolated CPUs %s, nohz_full %s; %llu huge pages of "
		"%llu KiB\n",
		h->kernel, h->governor, or_none(h->isolated), or_none(h->nohz_full),
		(unsigned long long)h->huge_page_count,
		(unsigned long long)h->huge_page_bytes >> 10);
	fprintf(to, "disk        %s%s%s, %s; %s (%s)\n",
		h->device[0] == '\0' ? "unknown device" : h->device, h->model[0] == '\0' ? "" : " ",
		h->model, cost_of(h), or_none(h->filesystem), h->mount_options);
}

void
header_print_json(const struct header *h, FILE *to)
{
	const struct {
		const char *key, *text;
	} words[] = {
		{ "time", h->time },
		{ "version", decree_version() },
		{ "commit", BUILD_COMMIT },
		{ "build", BUILD_TYPE },
		{ "compiler", __VERSION__ },
		{ "cpu", h->cpu },
		{ "kernel", h->kernel },
		{ "governor", h->governor },
		{ "isolated_cpus", h->isolated },
		{ "nohz_full", h->nohz_full },
		{ "filesystem", h->filesystem },
		{ "mount_options", h->mount_options },
		{ "device", h->device },
		{ "device_model", h->model },
		{ "write_cache", h->write_cache },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		fprintf(to, "%s\"%s\":", i == 0 ? "" : ",", words[i].key);
		json_text(to, words[i].text);
	}
	fprintf(to,
		",\"cpu_count\":%u,\"threads_per_core\":%u,\"virtual\":%s,\"fua\":%s,"
		"\"huge_pages\":%llu,\"huge_page_bytes\":%llu",
		h->cpu_count, h->threads_per_core, h->is_virtual ? "true" : "false",
		h->has_fua ? "true" : "false", (unsigned long long)h->huge_page_count,
		(unsigned long long)h->huge_page_bytes);
}
