/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_at N COMMAND [ARGUMENT ...]
 *
 * Runs a command and kills it, as kill -9 does, in front of the N-th system call that changes
 * something in a file system. So whoever goes through all N sees every state that such a death can
 * leave. Of its main thread only.
 * Status: 0 it was killed; 1 it ended before; 2 it could not be run.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static bool
is_change(const struct user_regs_struct *r)
{
	switch (r->orig_rax) {
	case SYS_open: return (r->rsi & O_CREAT) != 0;
	case SYS_openat: return (r->rdx & O_CREAT) != 0;
	case SYS_write:
	case SYS_pwrite64:
	case SYS_pwritev: return r->rdi > 2; /* not what it says */
	case SYS_mkdir:
	case SYS_mkdirat:
	case SYS_rename:
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_unlink:
	case SYS_unlinkat:
	case SYS_rmdir:
	case SYS_ftruncate:
	case SYS_fallocate:
	case SYS_fsync:
	case SYS_fdatasync: return true;
	default: return false;
	}
}

/* Until it enters its next system call. @return false: it has ended */
static bool
next_call(pid_t pid, struct user_regs_struct *ret)
{
	static bool is_inside = false;
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, signal) != 0 ||
			waitpid(pid, &status, 0) != pid)
			err(2, "ptrace");
		if (WIFEXITED(status) || WIFSIGNALED(status))
			return false;
		signal = WSTOPSIG(status);
		if (signal != (SIGTRAP | 0x80)) { /* a signal of its own, which it gets */
			signal = signal == SIGTRAP ? 0 : signal;
			continue;
		}
		signal = 0;
		is_inside = !is_inside;
		if (!is_inside)
			continue;
		if (ptrace(PTRACE_GETREGS, pid, NULL, ret) != 0)
			err(2, "ptrace");
		return true;
	}
}

int
main(int argc, char **argv)
{
	struct user_regs_struct r;
	long left = argc > 2 ? atol(argv[1]) : 0;
	pid_t pid = left > 0 ? fork() : -1;
	int status;

	if (pid < 0)
		errx(2, "usage: kill_at N COMMAND [ARGUMENT ...]");
	if (pid == 0) {
		(void)ptrace(
			PTRACE_TRACEME, 0, NULL, NULL); /* if it fails, waitpid() below sees it */
		(void)raise(SIGSTOP);
		(void)execv(argv[2], argv + 2);
		_exit(2);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
		ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) !=
			0)
		err(2, "ptrace");
	while (next_call(pid, &r))
		if (is_change(&r) && --left == 0) {
			(void)kill(pid, SIGKILL); /* it is there: it is stopped */
			(void)waitpid(pid, &status, 0);
			return 0;
		}
	return 1;
}
