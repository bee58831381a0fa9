/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file applied.h
 * A run of commands, one by one.
 */
#ifndef TESTS_APPLIED_H
#define TESTS_APPLIED_H

#include "engine/core/session.h"

/** The next command of a run takes the place of the one before it. @return false if there is none */
static inline bool
applied_next(struct eng_applied *a)
{
	if (a->count == 1)
		return false;
	a->count--;
	a->commands++;
	a->seq = a->commands->seq;
	a->index = a->commands->index;
	a->body = a->commands->body;
	a->bytes = a->commands->bytes;
	return true;
}

#endif
