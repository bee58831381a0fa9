/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file line.h
 * Lines to a descriptor whose reader may be slow, stopped or dead: whoever writes never waits for
 * it.
 *
 * What cannot be written at once is lost and counted, and when somebody reads again, the next line
 * is preceded by one that says how many. Regular files are always written.
 *
 * Threads:  any. Two threads' lines are not mixed, as long as lines are shorter than PIPE_BUF (4096
 *           bytes).
 * Errors:   none: a line is written or counted.
 */
#ifndef BASE_LINE_H
#define BASE_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BASE_LINE_BYTES_MAX 4096

struct base_lines {
	int fd;
	_Atomic uint64_t lost; /* since the last that was written */
};

/** Of everybody in the process, so that what was lost is counted once. */
extern struct base_lines base_standard_error;

/** @param text  without a newline; what is beyond BASE_LINE_BYTES_MAX is cut. @return false: it was
 * lost */
bool base_line_put(struct base_lines *to, const char *text);

#endif
