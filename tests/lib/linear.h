/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file linear.h
 * Is a history linearizable? That is: can each operation be given one moment between its invocation
 * and its return such that a single copy, executing them at these moments, would have given the
 * same answers?
 *
 *   linear.c          the search
 *   linear_explain.c  the few operations of a bad history that contradict each other
 *   linear_models.c   what a single copy does: register, log
 *
 * The search is that of Wing and Gong (Testing and Verifying Concurrent Objects, 1993) with the
 * memory of Lowe (Testing for linearizability, 2017): a set of operations that led to a state is
 * not tried twice. Keys are checked apart, since linearizability is local (Herlihy and Wing, 1990).
 *
 * Threads:  no state between calls; callable from anywhere.
 * Memory:   allocated and freed within the call; the search is bounded by `config_count_max`.
 */
#ifndef TESTS_LINEAR_H
#define TESTS_LINEAR_H

#include "tests/lib/history.h"

#define LINEAR_CONFIG_COUNT_MAX (1u << 21) /* 32 MiB to 64 MiB at most */

/* The single copy of one key. Equal words are equal states. */
struct linear_state {
	uint64_t word[4];
};

struct linear_model {
	const char *name;
	struct linear_state first;
	/** Execute @p op. @return false if a single copy in state @p s would have answered
	 * otherwise. A pending operation fits any answer. */
	bool (*step)(const struct linear_state *s, const struct history_op *op,
		struct linear_state *ret_next);
};

/* READ, WRITE, CAS of one word; 0 at first. A lock is a register: acquire = cas 0 to me, release =
 * cas me to 0. */
extern const struct linear_model linear_register;

/* APPEND tells the place, READ tells how many there are and the digest of all in order. */
extern const struct linear_model linear_log;

/** Digest of a log with one more value; that of an empty one is 0. For machines that are to be
 * checked. */
uint64_t linear_log_fold(uint64_t digest, uint64_t value);

enum linear_verdict {
	LINEAR_OK = 0,
	LINEAR_VIOLATION = 1,
	LINEAR_UNDECIDED =
		2, /* gave up after config_count_max configurations: a test that learns nothing
				 from it should fail */
};

struct linear_result {
	uint64_t key;            /* VIOLATION, UNDECIDED: the first such key */
	uint64_t configurations; /* visited, all keys */
	uint32_t claims_proved;  /* keys for which the claimed order was right (no search) */
};

/**
 * Check every key of a history.
 * @param config_count_max  of one key
 * @param explain           on a violation, the operations that contradict each other are written
 *                          there; may be NULL
 * @param ret_result        may be NULL
 */
enum linear_verdict linear_check(const struct history *h, const struct linear_model *model,
	uint32_t config_count_max, FILE *explain, struct linear_result *ret_result);

/* ---- for linear_explain.c and the tests ---- */

/**
 * Search one key. @p ops [count], by invocation, without void ones.
 * @param ret_configurations  may be NULL
 */
enum linear_verdict linear_search(const struct history_op *ops, uint32_t count,
	const struct linear_model *model, uint32_t config_count_max, uint64_t *ret_configurations);

/**
 * Write down which answers of a bad key contradict each other.
 * @param ops  [count]; overwritten with the contradiction: its shortest beginning, in which only
 *             those operations still have an answer without which there would be an order
 * @return how many are left in @p ops
 */
uint32_t
linear_explain(struct history_op *ops, uint32_t count, const struct linear_model *model, FILE *out);

#endif
