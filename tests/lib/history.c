/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/history.h"

#include "base/assert.h"

#include <stdlib.h>

struct history *
history_create(void)
{
	struct history *h = calloc(1, sizeof(*h));

	decree_assert(h != NULL);
	return h;
}

void
history_destroy(struct history *h)
{
	if (h == NULL)
		return;
	free(h->ops);
	free(h);
}

void
history_clear(struct history *h)
{
	h->count = 0;
	h->events = 0;
}

uint32_t
history_invoke(struct history *h, const struct history_op *op, uint64_t now_ns)
{
	if (h->count == h->room) {
		h->room = h->room == 0 ? 256 : 2 * h->room;
		h->ops = realloc(h->ops, h->room * sizeof(*h->ops));
		decree_assert(h->ops != NULL);
	}
	h->ops[h->count] = (struct history_op){
		.key = op->key,
		.client = op->client,
		.kind = op->kind,
		.argument = { op->argument[0], op->argument[1] },
		.invoked = ++h->events,
		.returned = HISTORY_NEVER,
		.invoked_ns = now_ns,
	};
	return h->count++;
}

void
history_return(
	struct history *h, uint32_t number, uint64_t now_ns, uint64_t result0, uint64_t result1)
{
	decree_assert(number < h->count);
	struct history_op *op = &h->ops[number];

	decree_assert(op->returned == HISTORY_NEVER && !op->is_void);
	op->returned = ++h->events;
	op->returned_ns = now_ns;
	op->result[0] = result0;
	op->result[1] = result1;
}

void
history_void(struct history *h, uint32_t number)
{
	decree_assert(number < h->count);
	decree_assert(h->ops[number].returned == HISTORY_NEVER);
	h->ops[number].is_void = true;
}

void
history_claim(struct history *h, uint32_t number, uint64_t order)
{
	decree_assert(number < h->count);
	h->ops[number].order = order;
}

static void
print_call(FILE *out, const struct history_op *op)
{
	switch (op->kind) {
	case HISTORY_READ: fprintf(out, "read"); break;
	case HISTORY_WRITE: fprintf(out, "write %lu", op->argument[0]); break;
	case HISTORY_CAS: fprintf(out, "cas %lu to %lu", op->argument[0], op->argument[1]); break;
	case HISTORY_APPEND: fprintf(out, "append %lu", op->argument[0]); break;
	}
}

static void
print_result(FILE *out, const struct history_op *op)
{
	if (op->returned == HISTORY_NEVER) {
		fprintf(out, ": no answer");
		return;
	}
	switch (op->kind) {
	case HISTORY_READ:
		fprintf(out, ": %lu", op->result[0]);
		if (op->result[1] != 0)
			fprintf(out, " (digest %lx)", op->result[1]);
		break;
	case HISTORY_WRITE: fprintf(out, ": done"); break;
	case HISTORY_CAS: fprintf(out, op->result[0] != 0 ? ": swapped" : ": refused"); break;
	case HISTORY_APPEND: fprintf(out, ": place %lu", op->result[0]); break;
	}
}

void
history_print_op(FILE *out, const struct history_op *op)
{
	fprintf(out, "[%6lu, ", op->invoked);
	if (op->returned == HISTORY_NEVER)
		fprintf(out, " never)");
	else
		fprintf(out, "%6lu)", op->returned);
	fprintf(out, "  %10.3f ms  client %u  key %lu  ", (double)op->invoked_ns / 1e6, op->client,
		op->key);
	print_call(out, op);
	print_result(out, op);
	fprintf(out, "\n");
}
