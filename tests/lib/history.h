/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file history.h
 * What clients asked and what they were told: the input of the linearizability checker (linear.h).
 *
 * An operation begins when its client sends it and ends when the client has the answer. Both
 * moments get a number from one counter, so "before" is never a matter of equal clock readings. An
 * operation that never ends (timeout, crash of the client) stays pending: it may take effect at any
 * later time, or never.
 *
 * Threads:  belongs to the one that records.
 * Memory:   grows as needed; history_destroy() frees it.
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_NEVER UINT64_MAX

enum history_kind {
	HISTORY_READ = 1,  /* register: result[0] = value; log: {count, digest}, 0 = not told */
	HISTORY_WRITE = 2, /* argument[0] = value */
	HISTORY_CAS = 3,   /* argument = {expected, new}, result[0] = 1 if it was swapped */
	/* argument[0] = value, result[0] = its place in the log from 1, 0 = not told */
	HISTORY_APPEND = 4,
};

struct history_op {
	uint64_t key; /* operations on different keys have nothing to do with each other */
	uint32_t client;
	enum history_kind kind;
	uint64_t argument[2];
	uint64_t result[2];  /* valid if it returned */
	uint64_t invoked;    /* number of the event, from 1 */
	uint64_t returned;   /* HISTORY_NEVER: pending */
	uint64_t invoked_ns; /* for the reader of a report; decides nothing */
	uint64_t returned_ns;
	uint64_t order; /* a claim about where it took effect, see history_claim(); 0 = none */
	bool is_void;   /* it surely did not happen (refused): as if it had never been asked */
};

struct history {
	struct history_op *ops; /* [count] by invocation */
	uint32_t count;
	uint32_t room;
	uint64_t events;
};

struct history *history_create(void);
void history_destroy(struct history *h);

/** Start again with an empty history; keeps the memory. */
void history_clear(struct history *h);

/**
 * A client sends an operation.
 * @param op  key, client, kind, argument are copied; the rest is ignored
 * @return its number, for the calls below
 */
uint32_t history_invoke(struct history *h, const struct history_op *op, uint64_t now_ns);

/** The client has its answer. */
void history_return(
	struct history *h, uint32_t number, uint64_t now_ns, uint64_t result0, uint64_t result1);

/** The client was told that the operation did not and will not happen. Never for a timeout. */
void history_void(struct history *h, uint32_t number);

/**
 * Claim where an operation took effect: operations of a key in ascending @p order, those with 0 not
 * at all. A claim that proves right spares the checker its search; one that is wrong costs nothing
 * but time.
 */
void history_claim(struct history *h, uint32_t number, uint64_t order);

/** One line, as reports show it. */
void history_print_op(FILE *out, const struct history_op *op);

#endif
