/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file assert.h
 * Invariants that stay on in release builds. The queue needs nothing but include/decree, so it has
 * its own.
 */
#ifndef QUEUE_ASSERT_H
#define QUEUE_ASSERT_H

_Noreturn void queue_assert_failed(const char *expression, const char *file, int line);

#define queue_assert(expression)                                                                   \
	(__builtin_expect(!!(expression), 1)                                                       \
			? (void)0                                                                  \
			: queue_assert_failed(#expression, __FILE__, __LINE__))

#endif
