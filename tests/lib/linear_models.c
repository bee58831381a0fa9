/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/linear.h"

static bool
is_told(const struct history_op *op)
{
	return op->returned != HISTORY_NEVER;
}

static bool
register_step(
	const struct linear_state *s, const struct history_op *op, struct linear_state *ret_next)
{
	*ret_next = *s;
	switch (op->kind) {
	case HISTORY_READ: return !is_told(op) || op->result[0] == s->word[0];
	case HISTORY_WRITE: ret_next->word[0] = op->argument[0]; return true;
	case HISTORY_CAS: {
		bool swaps = s->word[0] == op->argument[0];
		if (swaps)
			ret_next->word[0] = op->argument[1];
		return !is_told(op) || (op->result[0] != 0) == swaps;
	}
	case HISTORY_APPEND: break;
	}
	return false; /* not an operation of a register */
}

const struct linear_model linear_register = {
	.name = "register",
	.step = register_step,
};

uint64_t
linear_log_fold(uint64_t digest, uint64_t value)
{
	uint64_t z = (digest + 0x9e3779b97f4a7c15ull) ^ value * 0xbf58476d1ce4e5b9ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return z != 0 ? z : 1; /* 0 is the empty log */
}

/* word[0] = how many, word[1] = digest. */
static bool
log_step(const struct linear_state *s, const struct history_op *op, struct linear_state *ret_next)
{
	*ret_next = *s;
	switch (op->kind) {
	case HISTORY_READ:
		return !is_told(op) || (op->result[0] == s->word[0] &&
					       (op->result[1] == 0 || op->result[1] == s->word[1]));
	case HISTORY_APPEND:
		ret_next->word[0]++;
		ret_next->word[1] = linear_log_fold(s->word[1], op->argument[0]);
		return !is_told(op) || op->result[0] == 0 || op->result[0] == ret_next->word[0];
	case HISTORY_WRITE:
	case HISTORY_CAS: break;
	}
	return false; /* not an operation of a log */
}

const struct linear_model linear_log = {
	.name = "log",
	.step = log_step,
};
