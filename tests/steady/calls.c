/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/steady/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing"

/* A number is written out, since a filter is a text that the kernel reads. */
static const char *
filter_of(enum call_kind kind, char *text, size_t capacity)
{
	static const int numbers[CALL_KIND_COUNT] = {
		[CALL_IO_URING] = SYS_io_uring_enter,
		[CALL_YIELD] = SYS_sched_yield,
		[CALL_FUTEX] = SYS_futex,
		[CALL_KICK] = SYS_write,
	};

	if (kind == CALL_ALL)
		return NULL;
	if (kind == CALL_COLLECT)
		return "to_submit == 0";
	if (kind == CALL_SLEEP) /* a completion interrupts it, and it goes on */
		(void)snprintf(text, capacity, "id == %d || id == %d || id == %d",
			SYS_clock_nanosleep, SYS_nanosleep, SYS_restart_syscall);
	else
		(void)snprintf(text, capacity, "id == %d", numbers[kind]);
	return text;
}

static long long
tracepoint_id(enum call_kind kind)
{
	FILE *file =
		fopen(kind == CALL_COLLECT ? TRACING "/events/syscalls/sys_enter_io_uring_enter/id"
					   : TRACING "/events/raw_syscalls/sys_enter/id",
			"re");
	long long id = -1;

	if (file == NULL)
		return -1;
	if (fscanf(file, "%lld", &id) != 1)
		id = -1;
	(void)fclose(file); /* was only read */
	return id;
}

int
calls_prepare(void)
{
	if (tracepoint_id(CALL_COLLECT) >= 0)
		return 0;
	/* Of this process and its children alone: the host's own mounts stay as they are. */
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tracefs", TRACING, "tracefs", 0, NULL) != 0)
		return -errno;
	return tracepoint_id(CALL_COLLECT) >= 0 ? 0 : -EACCES;
}

static int
open_one(pid_t tid, enum call_kind kind)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = (uint64_t)tracepoint_id(kind),
	};
	char text[96];
	const char *filter = filter_of(kind, text, sizeof(text));
	int fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	if (filter == NULL || ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) == 0)
		return fd;
	rc = -errno;
	(void)close(fd); /* counted nothing */
	return rc;
}

int
calls_open(struct call_source *source, pid_t tid)
{
	for (int i = 0; i < CALL_KIND_COUNT; i++)
		source->fds[i] = -1;
	for (int i = 0; i < CALL_KIND_COUNT; i++) {
		source->fds[i] = open_one(tid, (enum call_kind)i);
		if (source->fds[i] < 0) {
			int rc = source->fds[i];

			calls_close(source);
			return rc;
		}
	}
	return 0;
}

void
calls_close(struct call_source *source)
{
	for (int i = 0; i < CALL_KIND_COUNT; i++)
		if (source->fds[i] >= 0)
			(void)close(source->fds[i]); /* was only read */
}

int
calls_read(const struct call_source *source, struct calls *ret_calls)
{
	for (int i = 0; i < CALL_KIND_COUNT; i++)
		if (read(source->fds[i], &ret_calls->of[i], sizeof(ret_calls->of[i])) !=
			sizeof(ret_calls->of[i]))
			return -EIO;
	return 0;
}
