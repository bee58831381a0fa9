/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file print.h
 * Writing text into a buffer of the caller's. What does not fit is noticed once, at the end. No
 * printf: replies are written for every command.
 */
#ifndef QUEUE_PRINT_H
#define QUEUE_PRINT_H

#include "queue/assert.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct print {
	char *start;
	char *at;
	char *end;
	bool is_full; /* something did not fit */
};

static inline struct print
print_start(char *ret, size_t capacity)
{
	return (struct print){ .start = ret, .at = ret, .end = ret + capacity };
}

static inline void
print_bytes(struct print *p, const void *bytes, size_t count)
{
	if (p->is_full || count > (size_t)(p->end - p->at)) {
		p->is_full = true;
		return;
	}
	memcpy(p->at, bytes, count);
	p->at += count;
}

static inline void
print_string(struct print *p, const char *string)
{
	print_bytes(p, string, strlen(string));
}

/** In decimal. */
static inline void
print_number(struct print *p, uint64_t n)
{
	char digits[20], *first = digits + sizeof(digits);

	do {
		*--first = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	print_bytes(p, first, (size_t)(digits + sizeof(digits) - first));
}

/** As 16 hexadecimal digits. */
static inline void
print_hex(struct print *p, uint64_t n)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		print_bytes(p, &"0123456789abcdef"[n >> shift & 15], 1);
}

/** @return bytes written, or 0: they did not fit */
static inline size_t
print_end(const struct print *p)
{
	return p->is_full ? 0 : (size_t)(p->at - p->start);
}

#endif
