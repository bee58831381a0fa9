/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file answers.h
 * Completions between the call that brings them and the poll that wants them. As many as can be in
 * flight.
 */
#ifndef BENCH_PEERS_ANSWERS_H
#define BENCH_PEERS_ANSWERS_H

#include "bench/commit/plan.h"
#include "decree/node.h"

struct answers {
	uint32_t first, count;
	struct decree_completion of[PLAN_IN_FLIGHT_MAX];
};

static inline void
answers_push(struct answers *a, void *cookie, bool is_applied)
{
	a->of[(a->first + a->count++) % PLAN_IN_FLIGHT_MAX] =
		(struct decree_completion){ .cookie = cookie,
			.outcome = is_applied ? DECREE_APPLIED : DECREE_UNKNOWN };
}

static inline uint32_t
answers_pop(struct answers *a, struct decree_completion *ret_done, uint32_t count_max)
{
	uint32_t count = 0;

	for (; count < count_max && a->count > 0; count++, a->count--) {
		ret_done[count] = a->of[a->first];
		a->first = (a->first + 1) % PLAN_IN_FLIGHT_MAX;
	}
	return count;
}

#endif
