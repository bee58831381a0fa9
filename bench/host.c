/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/host.h"

#include "base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IS_KERNEL_THREAD 0x00200000u /* PF_KTHREAD, of the flags in a process's stat */

static uint64_t
ticks_to_ns(unsigned long long ticks)
{
	return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* "cpu  user nice system idle iowait irq softirq steal": interrupts are nobody's. */
static void
read_sums(struct host_cpu *ret)
{
	FILE *file = fopen("/proc/stat", "re");
	unsigned long long user, nice, system, stolen;

	if (file == NULL)
		return;
	if (fscanf(file, "cpu %llu %llu %llu %*u %*u %*u %*u %llu", &user, &nice, &system,
		    &stolen) == 4) {
		ret->programs_ns = ticks_to_ns(user + nice + system);
		ret->stolen_ns = ticks_to_ns(stolen);
	}
	(void)fclose(file); /* was only read */
}

/* "7 (kworker/0:1) I 2 0 0 0 -1 FLAGS minflt cminflt majflt cmajflt UTIME STIME": a name may have
 * anything in it.
 * @return 0 if it is a program's */
static uint64_t
kernel_thread_ns(const char *pid)
{
	char path[300], line[1024];
	unsigned long long user = 0, system = 0;
	unsigned flags = 0;
	const char *behind = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0; /* gone */
	if (fgets(line, sizeof(line), file) != NULL)
		behind = strrchr(line, ')');
	(void)fclose(file); /* was only read */
	if (behind == NULL ||
		sscanf(behind, ") %*c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %llu %llu", &flags,
			&user, &system) != 3)
		return 0;
	return (flags & IS_KERNEL_THREAD) != 0 ? ticks_to_ns(user + system) : 0;
}

void
host_cpu_read(struct host_cpu *ret)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;

	*ret = (struct host_cpu){ .at_ns = base_now_ns() };
	read_sums(ret);
	while (folder != NULL && (entry = readdir(folder)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			ret->threads_ns += kernel_thread_ns(entry->d_name);
	if (folder != NULL)
		(void)closedir(folder); /* was only read */
}

static double
difference(uint64_t after, uint64_t before)
{
	return after > before ? (double)(after - before) : 0;
}

struct host_share
host_cpu_between(const struct host_cpu *before, const struct host_cpu *after, uint64_t own_ns)
{
	double all =
		difference(after->at_ns, before->at_ns) * (double)sysconf(_SC_NPROCESSORS_ONLN);
	double others = difference(after->programs_ns, before->programs_ns) -
			difference(after->threads_ns, before->threads_ns) - (double)own_ns;

	if (after->programs_ns == 0 || all <= 0)
		return (struct host_share){ NAN, NAN };
	/* Ticks are samples: a little less than nothing is nothing, and a little more than
	 * everything is everything. */
	others = others < 0 ? 0 : others > all ? all : others;
	return (struct host_share){ .others_percent = others / all * 100,
		.stolen_percent = difference(after->stolen_ns, before->stolen_ns) / all * 100 };
}
