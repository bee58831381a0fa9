/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (1u << 20)

int
lines_open(struct lines *l, int fd, uint32_t line_bytes_max)
{
	*l = (struct lines){ .fd = fd,
		.line_bytes_max = line_bytes_max,
		.capacity = (size_t)line_bytes_max + 1 + CHUNK_BYTES };
	l->buffer = malloc(l->capacity);
	return l->buffer != NULL ? 0 : -ENOMEM;
}

void
lines_close(struct lines *l)
{
	free(l->buffer);
	l->buffer = NULL;
}

/* @return LINES_ONE: something was read, or the end was met */
static enum lines_result
refill(struct lines *l)
{
	struct pollfd poll_fd = { .fd = l->fd, .events = POLLIN };
	ssize_t got;

	if (poll(&poll_fd, 1, 0) == 0)
		return LINES_WAIT;
	memmove(l->buffer, l->buffer + l->start, l->end - l->start);
	l->end -= l->start;
	l->searched -= l->start;
	l->start = 0;
	got = read(l->fd, l->buffer + l->end, l->capacity - l->end);
	if (got < 0)
		return errno == EINTR || errno == EAGAIN ? LINES_WAIT : LINES_ERROR;
	l->end += (size_t)got;
	l->is_at_end = got == 0;
	return LINES_ONE;
}

enum lines_result
lines_next(struct lines *l, const uint8_t **ret_line, uint32_t *ret_bytes)
{
	for (;;) {
		const uint8_t *line = l->buffer + l->start;
		const uint8_t *newline =
			memchr(l->buffer + l->searched, '\n', l->end - l->searched);
		size_t bytes = newline != NULL ? (size_t)(newline - line) : l->end - l->start;
		enum lines_result result;

		l->searched = newline != NULL ? l->searched : l->end;
		if (bytes > l->line_bytes_max) {
			l->number++;
			return LINES_TOO_LONG;
		}
		if (newline != NULL || (l->is_at_end && bytes > 0)) {
			*ret_line = line;
			*ret_bytes = (uint32_t)bytes;
			l->last = l->start;
			l->start += bytes + (newline != NULL);
			l->searched = l->start;
			l->number++;
			return LINES_ONE;
		}
		if (l->is_at_end)
			return LINES_END;
		result = refill(l);
		if (result != LINES_ONE)
			return result;
	}
}

void
lines_back(struct lines *l)
{
	l->start = l->last;
	l->searched = l->last;
	l->number--;
}

int
lines_survey(int fd, uint32_t line_bytes_max, uint64_t *ret_count, uint64_t *ret_too_long)
{
	uint8_t *chunk;
	uint64_t count = 0;
	uint64_t line_bytes = 0;
	uint64_t too_long = 0;
	struct stat st;
	off_t offset = lseek(fd, 0, SEEK_CUR);
	ssize_t got = 0;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) || offset < 0)
		return -ESPIPE;
	chunk = malloc(CHUNK_BYTES);
	if (chunk == NULL)
		return -ENOMEM;
	while (too_long == 0 && (got = pread(fd, chunk, CHUNK_BYTES, offset)) > 0) {
		const uint8_t *at = chunk;
		const uint8_t *end = chunk + got;

		offset += got;
		while (at < end) {
			const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));

			line_bytes += (uint64_t)((newline != NULL ? newline : end) - at);
			if (line_bytes > line_bytes_max && too_long == 0)
				too_long = count + 1;
			if (newline == NULL)
				break;
			count++;
			line_bytes = 0;
			at = newline + 1;
		}
	}
	free(chunk);
	if (got < 0)
		return -errno;
	*ret_count = count + (line_bytes > 0);
	*ret_too_long = too_long;
	return 0;
}
