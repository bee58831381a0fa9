/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue_check.h
 * A queue machine beside its model (queue_model.h): all that can be asked of the one must be what
 * the other says.
 *
 * Each function returns NULL, or a sentence about the first thing that differs, which lasts until
 * the next call.
 *
 * Threads:  one at a time, in the whole process.
 */
#ifndef TESTS_QUEUE_CHECK_H
#define TESTS_QUEUE_CHECK_H

#include "queue/machine.h"
#include "tests/lib/queue_model.h"

/** The model at the beginning of a machine: how much is kept, and for whom, is the machine's choice;
 * what that means is not. */
void queue_check_begin(const struct queue_machine *m, struct model *ret_model);
/** The numbers of STATS, and when the machine wants to be called next. */
const char *queue_check_stats(struct queue_machine *m, struct model *model);
/** A job's numbers, its tube and its whole body, or that there is none. */
const char *queue_check_job(struct queue_machine *m, const struct model *model, uint64_t id);
/** A tube's numbers, or that there is none. */
const char *queue_check_tube(struct queue_machine *m, const struct model *model, const char *name);
/** Which tubes there are, in their order. */
const char *queue_check_tubes(struct queue_machine *m, const struct model *model);
/** What a connection uses, watches, and peeks at, or that there is none. */
const char *queue_check_connection(
	struct queue_machine *m, const struct model *model, uint64_t session, uint64_t connection);
/** The digest is one of all that is replicated: of each object as it is, and of each word that
 * belongs to none. */
const char *queue_check_digest(struct queue_machine *m);
/** All of that. */
const char *queue_check_all(struct queue_machine *m, struct model *model);

#endif
