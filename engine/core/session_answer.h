/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session_answer.h
 * The part of session.c that every answer runs through, while nothing else wants to know of it.
 */
#ifndef ENG_SESSION_ANSWER_H
#define ENG_SESSION_ANSWER_H

#include "base/assert.h"
#include "engine/core/session_private.h"

/** @return false if a snapshot is being cut, or the digest has the command already, or there is none: nothing happened, and
 * eng_session_answer_row() knows what to do. @param row  eng_session_row(), before any registration */
static inline bool
session_answer_plainly(
	struct eng_sessions *s, uint32_t row, uint64_t seq, uint16_t status, uint64_t result)
{
	struct row *w = &s->rows[row];

	if (s->cut.is_open || seq <= w->summed || w->last - seq >= s->window)
		return false; /* a seq above `last` is a large number there */
	struct reply *reply = reply_of(s, (int32_t)row, seq);
	decree_assert(reply->state == REPLY_PENDING);
	reply->state = REPLY_DONE;
	reply->status = status;
	reply->result = result;
	w->pending--;
	return true;
}

#endif
