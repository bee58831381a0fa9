/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's statistics count a flush that somebody asks for as a write of nothing, and once more
 * as a flush when the device gets it, one for all who asked meanwhile. So the writes less the
 * flushes are the writes with data only while flushes are not shared: three nodes on one disk share
 * a fifth of theirs. The tracepoint of requests that are sent to the device tells the writes with
 * data from the others, and counts them exactly.
 */
#include "bench/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* @return the number in a file of one line, -errno */
static long long
file_number(const char *path)
{
	char line[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes;

	if (fd < 0)
		return -errno;
	bytes = read(fd, line, sizeof(line) - 1);
	(void)close(fd); /* was only read */
	if (bytes <= 0)
		return -EIO;
	line[bytes] = '\0';
	return strtoll(line, NULL, 10);
}

/* ------------------------------------------------------------------------------ the tracepoint */

static int
issue_open(long long tracepoint, int cpu, const char *filter)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = (uint64_t)tracepoint,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) == 0)
		return fd;
	(void)close(fd); /* counted nothing */
	return -errno;
}

/* Leaves the source as it is where tracepoints may not be used. */
static void
issues_open(struct counter_source *source, unsigned int device_major, unsigned int device_minor)
{
	long long tracepoint = file_number("/sys/kernel/tracing/events/block/block_rq_issue/id");
	long cpu_count = sysconf(_SC_NPROCESSORS_CONF);
	char filter[96];

	if (tracepoint < 0 || cpu_count > COUNTERS_CPU_MAX)
		return;
	/* The kernel's own number of a device: 12 bits and 20. */
	(void)snprintf(filter, sizeof(filter), "dev == %u && bytes > 0 && rwbs ~ \"*W*\"",
		device_major << 20 | device_minor);
	source->is_exact = true;
	for (int cpu = 0; cpu < cpu_count && source->is_exact; cpu++) {
		int fd = issue_open(tracepoint, cpu, filter);

		if (fd >= 0)
			source->issue_fds[source->issue_count++] = fd;
		else if (fd != -ENODEV) /* a CPU that is off */
			source->is_exact = false;
	}
	source->is_exact = source->is_exact && source->issue_count > 0;
}

static int
issues_read(const struct counter_source *source, uint64_t *ret_count)
{
	*ret_count = 0;
	for (uint32_t i = 0; i < source->issue_count; i++) {
		uint64_t count;

		if (read(source->issue_fds[i], &count, sizeof(count)) != sizeof(count))
			return -EIO;
		*ret_count += count;
	}
	return 0;
}

/* ------------------------------------------------------------------------------ the source */

/* Flushes are counted for a disk, not for its partitions: @return the device of the disk that @p
 * device is or lies on */
static dev_t
disk_of(dev_t device)
{
	unsigned int disk_major, disk_minor;
	char path[128], line[64] = "";
	dev_t disk = device;
	FILE *file;

	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(device), minor(device));
	if (access(path, F_OK) != 0)
		return device;
	(void)snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(device), minor(device));
	file = fopen(path, "re");
	if (file == NULL)
		return device;
	if (fgets(line, sizeof(line), file) != NULL &&
		sscanf(line, "%u:%u", &disk_major, &disk_minor) == 2)
		disk = makedev(disk_major, disk_minor);
	(void)fclose(file); /* was only read */
	return disk;
}

int
counters_open(struct counter_source *source, const char *folder)
{
	struct counters first;
	char path[128];
	struct stat st;
	dev_t disk;
	int rc;

	*source = (struct counter_source){ 0 };
	if (stat(folder, &st) != 0)
		return -errno;
	disk = disk_of(st.st_dev);
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(disk), minor(disk));
	source->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (source->stat_fd < 0)
		return -errno;
	source->is_open = true;
	issues_open(source, major(disk), minor(disk));
	rc = counters_read(source, &first);
	if (rc != 0)
		counters_close(source);
	return rc;
}

void
counters_close(struct counter_source *source)
{
	/* All were only read. */
	if (source->is_open)
		(void)close(source->stat_fd);
	for (uint32_t i = 0; i < source->issue_count; i++)
		(void)close(source->issue_fds[i]);
	*source = (struct counter_source){ 0 };
}

int
counters_read(const struct counter_source *source, struct counters *ret)
{
	unsigned long long writes, sectors, flushes;
	char line[512];
	ssize_t bytes;

	if (!source->is_open)
		return -EBADF;
	bytes = pread(source->stat_fd, line, sizeof(line) - 1, 0);
	if (bytes < 0)
		return -errno;
	line[bytes] = '\0';
	/* Four numbers of reads, four of writes, three of the queue, four of discards, two of
	 * flushes. */
	if (sscanf(line, "%*u %*u %*u %*u %llu %*u %llu %*u %*u %*u %*u %*u %*u %*u %*u %llu %*u",
		    &writes, &sectors, &flushes) != 3)
		return -ENOTSUP;
	*ret = (struct counters){ .write_count = writes - flushes,
		.write_bytes = sectors * 512,
		.flush_count = flushes };
	return source->is_exact ? issues_read(source, &ret->write_count) : 0;
}

struct counters
counters_between(const struct counters *before, const struct counters *after)
{
	return (struct counters){
		.write_count = after->write_count - before->write_count,
		.write_bytes = after->write_bytes - before->write_bytes,
		.flush_count = after->flush_count - before->flush_count,
	};
}
