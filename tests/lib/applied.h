/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file applied.h
 * A run of commands, and their answers, one by one.
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

/** A state machine's answer to one command, as the loop passes it on: of no session it is nothing. */
static inline void
applied_answer(struct eng_sessions *s, struct decree_session session, uint64_t seq, uint16_t status,
	uint64_t result)
{
	const struct decree_answer answer = { .result = result, .status = status };
	int32_t row = eng_session_row(s, session);

	if (row >= 0)
		eng_session_answer_run(s, (uint32_t)row, seq, 1, &answer);
}

#endif
