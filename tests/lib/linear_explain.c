/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a history is not linearizable, in as few operations as possible.
 *
 *   1. The shortest beginning that is already bad: a beginning of a good history is good, so
 *      bisection finds the return that cannot be explained. Operations still under way then are
 *      pending there.
 *   2. Forget answers: an operation without its answer may happen at any later time or never, which
 *      only makes things easier. Whatever can forget its answer while the rest still contradicts
 *      itself is not part of the contradiction. What is left is: without any one of these answers
 *      there is an order.
 */
#include "tests/lib/linear.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define EXPLAIN_CONFIG_COUNT_MAX 20000

static bool
is_bad(const struct history_op *ops, uint32_t count, const struct linear_model *model)
{
	return linear_search(ops, count, model, EXPLAIN_CONFIG_COUNT_MAX, NULL) == LINEAR_VIOLATION;
}

/* What an observer knew at the moment @p until. @return operations */
static uint32_t
beginning(const struct history_op *ops, uint32_t count, uint64_t until, struct history_op *ret_ops)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (ops[i].invoked > until)
			continue;
		ret_ops[kept] = ops[i];
		if (ret_ops[kept].returned > until)
			ret_ops[kept].returned = HISTORY_NEVER;
		kept++;
	}
	return kept;
}

static uint32_t
shortest_beginning(struct history_op *ops, uint32_t count, const struct linear_model *model,
	struct history_op *scratch)
{
	uint64_t good = 0, bad = 0;

	for (uint32_t i = 0; i < count; i++)
		if (ops[i].returned != HISTORY_NEVER && ops[i].returned > bad)
			bad = ops[i].returned;
	while (good + 1 < bad) {
		uint64_t middle = good + (bad - good) / 2;
		uint32_t kept = beginning(ops, count, middle, scratch);
		if (is_bad(scratch, kept, model))
			bad = middle;
		else
			good = middle;
	}
	uint32_t kept = beginning(ops, count, bad, scratch);
	memcpy(ops, scratch, kept * sizeof(*ops));
	return kept;
}

/* Let @p step operations from @p first on forget their answers, if what is left is still bad. */
static void
forget_some(struct history_op *ops, uint32_t count, uint32_t first, uint32_t step,
	const struct linear_model *model, uint64_t *saved)
{
	uint32_t after = first + step < count ? first + step : count;

	for (uint32_t i = first; i < after; i++) {
		saved[i] = ops[i].returned;
		ops[i].returned = HISTORY_NEVER;
	}
	if (is_bad(ops, count, model))
		return;
	for (uint32_t i = first; i < after; i++)
		ops[i].returned = saved[i];
}

uint32_t
linear_explain(struct history_op *ops, uint32_t count, const struct linear_model *model, FILE *out)
{
	struct history_op *scratch = malloc((count + 1) * sizeof(*scratch));
	uint64_t *saved = malloc((count + 1) * sizeof(*saved));
	uint32_t core = 0;

	decree_assert(scratch != NULL && saved != NULL);
	count = shortest_beginning(ops, count, model, scratch);
	for (uint32_t step = count; step > 0; step /= 2)
		for (uint32_t first = 0; first < count; first += step)
			forget_some(ops, count, first, step, model, saved);
	for (uint32_t i = 0; i < count; i++)
		core += ops[i].returned != HISTORY_NEVER;
	fprintf(out, "key %lu (%s): of %u operations these %u cannot all have had these answers:\n",
		ops[0].key, model->name, count, core);
	for (uint32_t i = 0; i < count; i++)
		if (ops[i].returned != HISTORY_NEVER)
			history_print_op(out, &ops[i]);
	free(scratch);
	free(saved);
	return count;
}
