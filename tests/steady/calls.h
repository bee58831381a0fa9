/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file calls.h
 * The system calls of one thread, counted by the kernel's tracepoint raw_syscalls:sys_enter. Root
 * only.
 *
 * Errors:   0 or -errno.
 */
#ifndef TESTS_STEADY_CALLS_H
#define TESTS_STEADY_CALLS_H

#include <stdint.h>
#include <sys/types.h>

enum call_kind {
	CALL_ALL = 0,
	CALL_IO_URING,
	CALL_COLLECT, /* io_uring_enter() that submits nothing, but lets the kernel hand over completions */
	CALL_YIELD,
	CALL_SLEEP,
	CALL_FUTEX,
	CALL_KICK, /* write(): a port's driver wakes its peer */
	CALL_KIND_COUNT,
};

struct calls {
	uint64_t of[CALL_KIND_COUNT];
};

struct call_source {
	int fds[CALL_KIND_COUNT];
};

/** Makes the tracepoints visible to this process and its children, if they are not. Before there are
 * threads.
 * @retval -EACCES, -EPERM  not root, or the kernel has none */
int calls_prepare(void);

int calls_open(struct call_source *source, pid_t tid);
void calls_close(struct call_source *source);
int calls_read(const struct call_source *source, struct calls *ret_calls);

#endif
