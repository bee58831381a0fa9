/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue_model_private.h
 * Between the model's files. Whatever looks for something returns NULL if it is not there.
 */
#ifndef TESTS_QUEUE_MODEL_PRIVATE_H
#define TESTS_QUEUE_MODEL_PRIVATE_H

#include "tests/lib/queue_model.h"

#define SECOND_NS 1000000000ull
#define SLOT_NS   2500000000ull /* there is a slot so often, if there are gateways */
#define NEVER     UINT64_MAX

enum {
	READY,
	RESERVED,
	DELAYED,
	BURIED
};

/* queue_model.c */
void model_say(struct model *m, uint64_t session, uint64_t seq, uint32_t status, uint64_t result);
void model_end_wait(struct model *m, struct model_connection *c, uint32_t status);
struct model_tube *model_find_tube(const struct model *m, const char *name);
struct model_gateway *model_find_gateway(const struct model *m, uint64_t session);
struct model_gateway *model_find_node(const struct model *m, uint64_t node);
struct model_connection *
model_find_connection(const struct model *m, uint64_t session, uint64_t id);
struct model_job *model_find_job(const struct model *m, uint64_t id);
/** @return its place in the order of watching, -1: it is not watched */
int model_watched_at(const struct model_connection *c, const char *name);
/** The one that comes first. @param tube  NULL: any @param holder  0: any */
struct model_job *
model_first_job(const struct model *m, int state, const char *tube, uint64_t holder);
/** Cells of something whose first cell holds @p first bytes. */
uint64_t model_cells_of(uint64_t bytes, uint64_t first);
uint64_t model_cells_used(const struct model *m);
/** Cells that a tube of that name would take: none if it is there. */
uint64_t model_tube_cells(const struct model *m, const char *name);
void model_need_tube(struct model *m, const char *name);
/** To a reserve, or to one that waits. */
void model_give(struct model *m, struct model_connection *c, uint64_t seq, struct model_job *j);
/** Whoever waits gets what is ready. */
void model_match(struct model *m);
void model_make_ready(struct model *m, struct model_job *j);
void model_reserve(struct model *m, struct model_connection *c, uint64_t seq, uint64_t wait_ns);
void model_close_connection(struct model *m, struct model_connection *c);
/** With all its connections; none of their jobs goes to another one of them. @return how many they
 * were */
uint64_t model_detach(struct model *m, struct model_gateway *g);

/* queue_model_commands.c */
void model_execute(struct model *m, uint64_t session, uint64_t seq, const struct queue_command *q);

#endif
