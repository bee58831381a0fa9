/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lines.h
 * Lines of a file or pipe as they are: any bytes but the newline, empty ones included, the last one
 * with or without its newline.
 */
#ifndef APPS_LINES_H
#define APPS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lines_result {
	LINES_ONE,  /* here is the next line */
	LINES_WAIT, /* nothing to read yet: poll the descriptor */
	LINES_END,
	LINES_TOO_LONG, /* the next line, `number`, has more than line_bytes_max */
	LINES_ERROR,    /* errno */
};

struct lines {
	int fd;
	uint32_t line_bytes_max;
	uint8_t *buffer;
	size_t capacity;
	size_t last;     /* start of the line handed out last */
	size_t start;    /* of the next line */
	size_t end;      /* of what was read */
	size_t searched; /* no newline between start and here */
	bool is_at_end;
	uint64_t number; /* of the line handed out last, from 1 */
};

/** @retval -ENOMEM */
int lines_open(struct lines *l, int fd, uint32_t line_bytes_max);
void lines_close(struct lines *l); /* not the descriptor */

/** @param ret_line  lent until the next call */
enum lines_result lines_next(struct lines *l, const uint8_t **ret_line, uint32_t *ret_bytes);

/** Hand out the last line once more. Directly after lines_next(). */
void lines_back(struct lines *l);

/**
 * Look through a regular file without moving its offset.
 * @param ret_count     lines in it
 * @param ret_too_long  number of the first line over @p line_bytes_max, 0 = none
 * @retval -ESPIPE      not a regular file  @retval -errno it cannot be read
 */
int lines_survey(int fd, uint32_t line_bytes_max, uint64_t *ret_count, uint64_t *ret_too_long);

#endif
