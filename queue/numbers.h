/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file numbers.h
 * The two ways in which beanstalkd reads a number. Text is [at, end); what is behind the number
 * stays.
 */
#ifndef QUEUE_NUMBERS_H
#define QUEUE_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

struct queue_text {
	const char *at;
	const char *end;
};

void text_skip_spaces(struct queue_text *t);

/** Spaces, then digits and nothing else. @return false: no digit, or more than @p max */
bool text_take_number(struct queue_text *t, uint64_t max, uint64_t *ret_n);

/**
 * White space of any kind, a sign, digits: as strtoul() does it, so -1 is 2^64 - 1.
 * @return false: no digit, or too large
 */
bool text_take_unsigned(struct queue_text *t, uint64_t *ret_n);

#endif
