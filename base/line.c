/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor that we inherit is shared with others, so O_NONBLOCK is not ours to set: it would be
 * theirs, too. Each kind of descriptor has its own way instead:
 *
 *   sockets          MSG_DONTWAIT; the journal's standard error is one
 *   pipes            RWF_NOWAIT where the kernel has it for pipes (6.4), else poll() says whether a
 *                    page is free, which is as much as a line is. Another writer may take that page
 *                    in between, once: when the pipe is full nobody gets that far any more
 *   terminals        poll()
 *   files            a write does not wait for a reader
 */
#include "base/line.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct base_lines base_standard_error = { .fd = STDERR_FILENO };

static bool
has_room(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	/* A pipe without a reader has room for nothing but a SIGPIPE. */
	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT) != 0 &&
	       (poll_fd.revents & (POLLERR | POLLHUP)) == 0;
}

static ssize_t
write_what_polls(int fd, const char *bytes, size_t count)
{
	struct iovec piece = { .iov_base = (void *)bytes, .iov_len = count };
	struct stat st;
	ssize_t rc;

	/* RWF_NOWAIT is no question of readers to a file: btrfs and XFS refuse it for what every
	 * line changes. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return write(fd, bytes, count);
	if (!has_room(fd))
		return -1;
	rc = pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
	if (rc < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
		rc = write(fd, bytes, count);
	return rc;
}

/* @return false: nothing was written */
static bool
put(int fd, const char *bytes, size_t count)
{
	ssize_t rc = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (rc < 0 && errno == ENOTSOCK)
		rc = write_what_polls(fd, bytes, count);
	return rc > 0;
}

/* @return false: whoever reads does not even get this */
static bool
tell_lost(struct base_lines *to)
{
	char line[128];
	uint64_t lost = atomic_exchange_explicit(&to->lost, 0, memory_order_relaxed);
	int count;

	if (lost == 0)
		return true;
	count = snprintf(
		line, sizeof(line), "%" PRIu64 " lines were lost: nobody read them\n", lost);
	if (put(to->fd, line, (size_t)count))
		return true;
	atomic_fetch_add_explicit(&to->lost, lost, memory_order_relaxed);
	return false;
}

bool
base_line_put(struct base_lines *to, const char *text)
{
	char line[BASE_LINE_BYTES_MAX];
	size_t bytes = strnlen(text, sizeof(line) - 1);

	memcpy(line, text, bytes);
	line[bytes++] = '\n';
	if (tell_lost(to) && put(to->fd, line, bytes))
		return true;
	atomic_fetch_add_explicit(&to->lost, 1, memory_order_relaxed);
	return false;
}
