/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel counts a flush that somebody asks for as a write of nothing, and once more as a flush when the device gets it,
 * one for all who asked meanwhile. So writes with data are all writes less the flushes, exactly if one process asks at a
 * time, and fewer than that if flushes were shared.
 */
#include "bench/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int
counters_open(const char *folder)
{
	struct counters first;
	char path[128];
	struct stat st;
	int fd, rc, chars;

	if (stat(folder, &st) != 0)
		return -errno;
	chars = snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u/", major(st.st_dev), minor(st.st_dev));
	/* Flushes are counted for a disk, not for its partitions. */
	(void)snprintf(path + chars, sizeof(path) - (size_t)chars, "partition");
	(void)snprintf(path + chars, sizeof(path) - (size_t)chars, "%s",
		access(path, F_OK) == 0 ? "../stat" : "stat");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = counters_read(fd, &first);
	if (rc == 0)
		return fd;
	(void)close(fd); /* was only read */
	return rc;
}

int
counters_read(int fd, struct counters *ret)
{
	unsigned long long writes, sectors, flushes;
	char line[512];
	ssize_t bytes = pread(fd, line, sizeof(line) - 1, 0);

	if (bytes < 0)
		return -errno;
	line[bytes] = '\0';
	/* Four numbers of reads, four of writes, three of the queue, four of discards, two of flushes. */
	if (sscanf(line, "%*u %*u %*u %*u %llu %*u %llu %*u %*u %*u %*u %*u %*u %*u %*u %llu %*u",
		    &writes, &sectors, &flushes) != 3)
		return -ENOTSUP;
	*ret = (struct counters){ .write_count = writes - flushes,
		.write_bytes = sectors * 512,
		.flush_count = flushes };
	return 0;
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
