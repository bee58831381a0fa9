/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue_draw.h
 * Random commands for a queue that make sense often enough: the model (queue_model.h) is asked who
 * holds what.
 *
 * Threads:  the caller's.
 */
#ifndef TESTS_QUEUE_DRAW_H
#define TESTS_QUEUE_DRAW_H

#include "tests/lib/queue_model.h"

#define QUEUE_DRAW_BODY_BYTES (1u << 17)

struct queue_draw {
	uint64_t random;
	uint32_t connections; /* of each session, from 0 */
	/* of one put in thirty; of the others at most 319; below QUEUE_DRAW_BODY_BYTES */
	uint32_t body_bytes_max;
	uint32_t jobs_wanted; /* more deletes above, */
	uint32_t puts;        /* and so many puts of a hundred commands; 26 below */
	uint32_t opens; /* so many of a hundred commands of a connection that is not open open it */
	uint8_t body[QUEUE_DRAW_BODY_BYTES];
	char name[QUEUE_NAME_BYTES_MAX + 1];
};

/** @return 0 .. below - 1 */
uint64_t queue_draw(struct queue_draw *d, uint64_t below);

/** Any command but ATTACH. @param ret  its tail is in @p d until the next call */
void queue_draw_command(
	struct queue_draw *d, const struct model *m, uint64_t session, struct queue_command *ret);

/** A job that is there, nearly always. */
uint64_t queue_draw_job(struct queue_draw *d, const struct model *m);
/** A tube's name, into d->name; a few exist. */
void queue_draw_name(struct queue_draw *d);

#endif
