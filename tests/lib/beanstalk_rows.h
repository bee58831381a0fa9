/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file beanstalk_rows.h
 * What a client may send, and what beanstalkd 1.13 answers, where that does not depend on other
 * connections or on time: every error, every odd line, and how the server finds its way back to the
 * next command.
 *
 * The parser of queue/protocol.h is held to these rows (tests/unit/queue/test_protocol.c), and so
 * are the real beanstalkd (tests/queue/beanstalkd_rows.sh), so that they stay true, and decreed
 * (tests/queue/differential.sh).
 */
#ifndef TESTS_BEANSTALK_ROWS_H
#define TESTS_BEANSTALK_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define BEANSTALK_CLOSED "(closed)" /* at the end of replies: the server closes */

struct beanstalk_row {
	const char *name;
	/**
	 * In both, "{NAME*COUNT}" stands for COUNT times the bytes NAME, or for one NUL if it is
	 * "{NUL*1}". A job's id is "N". Every row starts with a new connection, which uses
	 * "default".
	 */
	const char *input;
	const char *replies;
};

extern const struct beanstalk_row beanstalk_rows[];
extern const size_t beanstalk_row_count;

/** @return bytes written into @p ret, which must have room */
size_t beanstalk_expand(const char *text, uint8_t *ret, size_t capacity);

/* Of an input, expanded. */
#define BEANSTALK_INPUT_BYTES_MAX 300000

#endif
