/* SPDX-License-Identifier: Apache-2.0 */
/* Each test is a process of its own, since there is no way out of a sandbox. */
#include "apps/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* 0, or the number of the first claim that does not hold; 99: the sandbox refuses. Not exit(): what
 * runs at the end of a process, a sanitizer's search for leaks above all, is no concern of the
 * sandbox. */
static int
run_apart(int (*claims)(void))
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(claims());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool
is_refused(long rc)
{
	return rc == -1 && errno == EPERM;
}

/* ------------------------------------------------------------------------------ the filter */

static int
refusals(void)
{
	static char program[] = "/bin/true";
	char *const arguments[] = { program, NULL };
	char error[DECREE_ERROR_BYTES];

	if (sandbox_filter(error) != 0)
		return 99;
	if (!is_refused(execv(program, arguments)))
		return 1;
	if (!is_refused(socket(AF_PACKET, SOCK_RAW, 0)))
		return 2;
	if (!is_refused(socket(AF_NETLINK, SOCK_RAW, 0)))
		return 3;
	if (!is_refused(unshare(CLONE_NEWUSER)))
		return 4;
	if (!is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 5;
	if (!is_refused(syscall(SYS_bpf, 0, NULL, 0)))
		return 6;
	if (!is_refused(mount("none", "/nowhere", "tmpfs", 0, NULL)))
		return 7;
	if (!is_refused(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0)))
		return 8;
	if (!is_refused(kill(getppid(), 0)))
		return 9;
	return 0;
}

/* What is allowed on itself and refused on others; and what types into the terminal that it was
 * started from. Upper halves are what the kernel does not look at. */
static int
refused_arguments(void)
{
	static const unsigned long above = 1ul << 32;
	struct rlimit limit;
	char error[DECREE_ERROR_BYTES], key = 'x';
	pid_t parent = getppid();
	int fds[2];

	if (pipe(fds) != 0)
		return 98;
	if (sandbox_filter(error) != 0)
		return 99;
	if (!is_refused(syscall(SYS_tgkill, parent, parent, 0)))
		return 1;
	if (!is_refused(syscall(SYS_tgkill, above | (unsigned long)parent, parent, 0)))
		return 2;
	if (!is_refused(syscall(SYS_prlimit64, parent, RLIMIT_NOFILE, NULL, &limit)))
		return 3;
	if (!is_refused(ioctl(fds[0], TIOCSTI, &key)) ||
		!is_refused(ioctl(fds[0], TIOCLINUX, &key)))
		return 4;
	if (!is_refused(syscall(SYS_ioctl, fds[0], above | TIOCSTI, &key)))
		return 5;
	if (!is_refused(fcntl(fds[0], F_SETOWN, parent)) ||
		!is_refused(fcntl(fds[0], F_SETSIG, SIGINT)))
		return 6;
	if (!is_refused(syscall(SYS_fcntl, fds[0], above | F_SETOWN, parent)))
		return 7;
	if (!is_refused(ioctl(fds[0], FIOSETOWN, &parent)))
		return 8;
	return 0;
}

static void
test_what_a_node_does_to_itself_is_refused_on_others(void **state)
{
	(void)state;
	assert_int_equal(run_apart(refused_arguments), 0);
}

static void
test_what_a_node_does_not_need_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run_apart(refusals), 0);
}

static void *
nothing(void *context)
{
	return context;
}

static int
permissions(void)
{
	char error[DECREE_ERROR_BYTES];
	struct pollfd nobody = { .fd = -1 };
	struct rlimit limit;
	int fds[2], waiting;
	pthread_t thread;
	int fd;

	if (sandbox_filter(error) != 0)
		return 99;
	if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return 1;
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || close(fd) != 0)
		return 2;
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (fd < 0 || close(fd) != 0)
		return 3;
	if (poll(&nobody, 1, 1) != 0)
		return 4;
	if (syscall(SYS_tgkill, getpid(), gettid(), 0) != 0 ||
		getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 5;
	if (pipe(fds) != 0 || ioctl(fds[0], FIONREAD, &waiting) != 0 ||
		fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
		return 6;
	return 0;
}

static void
test_what_a_node_needs_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(run_apart(permissions), 0);
}

static atomic_int step; /* 0: the thread runs  1: it shall try  2, 3: it was let, or refused */

static void *
try_to_leave(void *context)
{
	while (atomic_load(&step) != 1)
		(void)sched_yield();
	atomic_store(&step, is_refused(unshare(CLONE_NEWUSER)) ? 3 : 2);
	return context;
}

static int
other_thread(void)
{
	char error[DECREE_ERROR_BYTES];
	pthread_t thread;

	if (pthread_create(&thread, NULL, try_to_leave, NULL) != 0)
		return 98;
	if (sandbox_filter(error) != 0)
		return 99;
	atomic_store(&step, 1);
	(void)pthread_join(thread, NULL);
	return atomic_load(&step) == 3 ? 0 : 1;
}

/* DPDK's own threads run long before the filter is there. */
static void
test_threads_that_ran_before_are_filtered_too(void **state)
{
	(void)state;
	assert_int_equal(run_apart(other_thread), 0);
}

/* ------------------------------------------------------------------------------ capabilities */

static bool
has_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) != 0)
		return true;
	return (data[0].permitted | data[0].effective | data[0].inheritable | data[1].permitted |
		       data[1].effective | data[1].inheritable) != 0;
}

static int pipe_fds[2];

/* As EAL's threads: nearly always in a system call that waits. */
static void *
wait_and_look(void *context)
{
	char byte;

	while (read(pipe_fds[0], &byte, 1) < 0 && errno == EINTR)
		;
	return has_capabilities() ? context : NULL;
}

static int
capabilities(void)
{
	char error[DECREE_ERROR_BYTES];
	pthread_t threads[3];
	void *had = NULL;
	int result = 0;

	if (pipe(pipe_fds) != 0)
		return 98;
	for (int i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, wait_and_look, pipe_fds) != 0)
			return 98;
	if (sandbox_drop_capabilities(error) != 0)
		return 99;
	if (has_capabilities())
		result = 1;
	(void)!write(pipe_fds[1], "abc", 3); /* the threads wait for it */
	for (int i = 0; i < 3; i++) {
		(void)pthread_join(threads[i], &had);
		if (had != NULL)
			result = 2;
	}
	return result;
}

/* Without privileges there is nothing to lose, and the claims hold all the same. */
static void
test_capabilities_are_gone_in_every_thread(void **state)
{
	(void)state;
	assert_int_equal(run_apart(capabilities), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_node_does_not_need_is_refused),
		cmocka_unit_test(test_what_a_node_does_to_itself_is_refused_on_others),
		cmocka_unit_test(test_what_a_node_needs_is_allowed),
		cmocka_unit_test(test_threads_that_ran_before_are_filtered_too),
		cmocka_unit_test(test_capabilities_are_gone_in_every_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
