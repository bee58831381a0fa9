/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file assert.h
 * Invariants that stay on in release builds. Input is never asserted: it is decoded first.
 */
#ifndef DECREE_BASE_ASSERT_H
#define DECREE_BASE_ASSERT_H

#include <assert.h> /* static_assert */

/** Print one line about the broken invariant on standard error and abort. */
_Noreturn void base_assert_failed(const char *expression, const char *file, int line);

#define decree_assert(expression)                                                                  \
	(__builtin_expect(!!(expression), 1)                                                       \
			? (void)0                                                                  \
			: base_assert_failed(#expression, __FILE__, __LINE__))

/* Whole-structure walks: debug, test and simulator builds only. */
#ifdef DECREE_ASSERT_SLOW
#define decree_assert_slow(expression) decree_assert(expression)
#else
#define decree_assert_slow(expression) ((void)0)
#endif

#endif
