/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/numbers.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

void
text_skip_spaces(struct queue_text *t)
{
	while (t->at < t->end && *t->at == ' ')
		t->at++;
}

/* @return digits read; *ret_fits is false if they are more than a number of 64 bits */
static uint32_t
take_digits(struct queue_text *t, uint64_t *ret_n, bool *ret_fits)
{
	uint32_t count = 0;
	uint64_t n = 0;

	*ret_fits = true;
	for (; t->at < t->end && is_digit(*t->at); t->at++, count++)
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*t->at - '0'), &n))
			*ret_fits = false;
	*ret_n = n;
	return count;
}

bool
text_take_number(struct queue_text *t, uint64_t max, uint64_t *ret_n)
{
	bool fits;
	uint64_t n;

	text_skip_spaces(t);
	if (take_digits(t, &n, &fits) == 0 || !fits || n > max)
		return false;
	*ret_n = n;
	return true;
}

/* White space and a sign. @return whether it is a minus */
static bool
take_sign(struct queue_text *t)
{
	while (t->at < t->end && (*t->at == ' ' || (*t->at >= '\t' && *t->at <= '\r')))
		t->at++;
	if (t->at < t->end && (*t->at == '-' || *t->at == '+'))
		return *t->at++ == '-';
	return false;
}

bool
text_take_unsigned(struct queue_text *t, uint64_t *ret_n)
{
	bool is_negative = take_sign(t), fits;
	uint64_t n;

	if (take_digits(t, &n, &fits) == 0 || !fits)
		return false;
	*ret_n = is_negative ? 0 - n : n;
	return true;
}
