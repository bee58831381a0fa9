/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of what is allowed, not of what is not: new system calls are refused until somebody adds
 * them. What is refused gets EPERM and does not end the process, since a library may ask for
 * something and live without it.
 *
 * Left out on purpose: execve and its kin, everything with namespaces, mounts, modules, users or
 * the memory of other processes, bpf, perf_event_open, ptrace, keyctl, new rings (the logs have
 * theirs), and sockets that are neither TCP, UDP nor of this host: raw frames and netlink above
 * all. Of what is allowed, some is so for the process itself alone (its threads' signals, its
 * limits), and a second filter takes out requests that write into a terminal's input or have the
 * kernel send others signals. io_uring is a way around a filter for what its rings can do: read,
 * write, open and connect, which are allowed anyway, and sockets of other families, of which raw
 * frames need a capability that is gone by then.
 */
#include "apps/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DROP_SIGNAL    (SIGRTMAX - 1)
#define DROP_WAIT_NS   1000000
#define DROP_WAITS_MAX 5000 /* of DROP_WAIT_NS: 5 s */

#define NAMESPACE_FLAGS                                                                            \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
		CLONE_NEWPID | CLONE_NEWNET)

static int
refuse(int rc, const char *what, char *ret_error)
{
	(void)snprintf(ret_error, DECREE_ERROR_BYTES, "--sandbox: %s: %s", what, strerror(-rc));
	return rc;
}

/* ------------------------------------------------------------------------------ capabilities */

static atomic_uint dropped_count;
static atomic_int drop_rc;

/* Only of the calling thread. Nothing but a system call: this also runs in a signal handler. */
static int
drop_here(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

static void
on_drop_signal(int number)
{
	int saved = errno, rc = drop_here();

	(void)number;
	if (rc != 0)
		atomic_store(&drop_rc, rc);
	atomic_fetch_add(&dropped_count, 1);
	errno = saved;
}

/* A worker of the kernel's for io_uring: listed among our threads, but it runs nothing of ours and
 * takes no signal. What it does it does with the rights of the thread that asked for it. */
static bool
is_kernels(const char *thread)
{
	char path[64], name[16] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", thread); /* fits */
	file = fopen(path, "re");
	if (file == NULL)
		return true; /* it has ended */
	if (fgets(name, sizeof(name), file) == NULL)
		name[0] = '\0';
	(void)fclose(file); /* read only */
	return strncmp(name, "iou-", 4) == 0;
}

/* @return how many threads got the signal, or -errno */
static int
signal_others(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t self = gettid();
	int count = 0;

	if (tasks == NULL)
		return -errno;
	while ((entry = readdir(tasks)) != NULL) {
		pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

		if (thread <= 0 || thread == self || is_kernels(entry->d_name))
			continue;
		/* One that has ended meanwhile is no failure. */
		if (tgkill(getpid(), thread, DROP_SIGNAL) == 0)
			count++;
	}
	(void)closedir(tasks); /* read only */
	return count;
}

static int
wait_for(unsigned int count)
{
	const struct timespec pause = { .tv_nsec = DROP_WAIT_NS };

	for (uint32_t i = 0; i < DROP_WAITS_MAX; i++) {
		if (atomic_load(&dropped_count) >= count)
			return atomic_load(&drop_rc);
		(void)nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

int
sandbox_drop_capabilities(char ret_error[DECREE_ERROR_BYTES])
{
	struct sigaction action = { .sa_handler = on_drop_signal, .sa_flags = SA_RESTART };
	struct sigaction before;
	int count, rc;

	atomic_store(&dropped_count, 0);
	atomic_store(&drop_rc, 0);
	if (sigaction(DROP_SIGNAL, &action, &before) != 0)
		return refuse(-errno, "cannot take a signal", ret_error);
	count = signal_others();
	rc = count < 0 ? count : wait_for((unsigned int)count);
	/* If not all of them answered, one may do so later, and must not die of it. */
	if (rc == 0)
		(void)sigaction(DROP_SIGNAL, &before, NULL);
	if (rc != 0)
		return refuse(rc, "a thread keeps its capabilities", ret_error);
	rc = drop_here();
	return rc == 0 ? 0 : refuse(rc, "cannot give capabilities up", ret_error);
}

/* ------------------------------------------------------------------------------ system calls */

/* By what a node does with them. */
static const char *const allowed[] = {
	/* memory */
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "mlock", "mlock2",
	"munlock", "mbind", "get_mempolicy", "membarrier",
	"memfd_create", /* the buffers of a memif link, whenever its other side comes */
	/* threads and time */
	"futex", "rseq", "set_robust_list", "get_robust_list", "set_tid_address", "exit",
	"exit_group", "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid",
	"sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
	"sched_getscheduler", "getcpu", "getrusage", "prctl", "arch_prctl", "clock_gettime",
	"clock_getres", "clock_adjtime", "adjtimex", "gettimeofday", "clock_nanosleep", "nanosleep",
	"time", "times", "timerfd_create", "timerfd_settime", "timerfd_gettime", "uname", "sysinfo",
	"getrandom", "restart_syscall",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending",
	"sigaltstack",
	/* files, the log's ring */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
	"pwritev2", "lseek", "open", "openat", "close", "close_range", "stat", "lstat", "fstat",
	"newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink",
	"readlinkat", "getcwd", "getdents64", "fcntl", "flock", "fsync", "fdatasync",
	"sync_file_range", "fallocate", "ftruncate", "fadvise64", "readahead", "rename", "renameat",
	"renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "chmod",
	"fchmod", "fchmodat", "umask", "utimensat", "dup", "dup2", "dup3", "pipe", "pipe2", "ioctl",
	"io_uring_enter", "io_uring_register",
	/* sockets; new ones below */
	"bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername",
	"getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg",
	"recvmmsg", "shutdown", "poll", "ppoll", "select", "pselect6", "epoll_create",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd",
	"eventfd2", "signalfd4"
};

static int
allow_sockets(scmp_filter_ctx filter)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(families) / sizeof(families[0]); i++) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
		if (rc == 0)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	}
	return rc;
}

/* Threads, but no namespaces. What clone3() is asked for is behind a pointer, where no filter sees
 * it; told that there is none, the C library takes clone(). */
static int
allow_threads(scmp_filter_ctx filter)
{
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACE_FLAGS, 0));

	return rc != 0 ? rc : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Numbers are compared as they are, all 64 bits: what the kernel would cut to our own is none of
 * ours. */
static int
allow_for_itself(scmp_filter_ctx filter)
{
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));

	/* The C library asks for the limits of process 0, which is the one that asks. */
	return rc != 0 ? rc
		       : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
				 SCMP_A0(SCMP_CMP_EQ, 0));
}

static int
build_allowed(scmp_filter_ctx filter)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		int number = seccomp_syscall_resolve_name(allowed[i]);

		/* One that this library does not know is one that it cannot allow. */
		if (number != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	if (rc == 0)
		rc = allow_sockets(filter);
	if (rc == 0)
		rc = allow_threads(filter);
	if (rc == 0)
		rc = allow_for_itself(filter);
	/* A tree instead of a list: a dozen steps for any call, and not as many as there are calls
	 * before it. */
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return rc;
}

/* The kernel looks at the lower half of a request, so the upper half does not count here either. */
static int
forbid_request(scmp_filter_ctx filter, int number, uint32_t request)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 1,
		SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, request));
}

/* A list of what is not allowed, for calls with too many good requests to list: a second filter,
 * since the stricter of two counts. */
static int
build_forbidden(scmp_filter_ctx filter)
{
	/* What types into a terminal, the one that somebody has started us from; and whom the
	 * kernel sends signals. */
	static const uint32_t ioctls[] = { TIOCSTI, TIOCLINUX, TIOCSPGRP, FIOSETOWN, SIOCSPGRP };
	static const uint32_t fcntls[] = { F_SETOWN, F_SETOWN_EX, F_SETSIG };
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	for (size_t i = 0; rc == 0 && i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		rc = forbid_request(filter, SCMP_SYS(ioctl), ioctls[i]);
	for (size_t i = 0; rc == 0 && i < sizeof(fcntls) / sizeof(fcntls[0]); i++)
		rc = forbid_request(filter, SCMP_SYS(fcntl), fcntls[i]);
	return rc;
}

static int
load(uint32_t otherwise, int (*build)(scmp_filter_ctx))
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int rc = filter == NULL ? -ENOMEM : build(filter);

	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}

int
sandbox_filter(char ret_error[DECREE_ERROR_BYTES])
{
	/* In this order: with the other one nothing more can be loaded. */
	int rc = load(SCMP_ACT_ALLOW, build_forbidden);

	if (rc == 0)
		rc = load(SCMP_ACT_ERRNO(EPERM), build_allowed);
	return rc == 0 ? 0 : refuse(rc, "the filter of system calls", ret_error);
}
