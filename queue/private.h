/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file private.h
 * What the files of the queue machine offer each other. All of it runs on the machine's one thread,
 * and nothing fails unless it says so.
 */
#ifndef QUEUE_PRIVATE_H
#define QUEUE_PRIVATE_H

#include "queue/state.h"

/* --------------------------------------------------------------------------- cells.c, payload.c */

/** Forget all cells, and lay the arena out anew. */
void cells_reset(struct queue_machine *m);

/** A cell, all zero. It must be known that there is one. */
uint32_t cell_take(struct queue_machine *m);
/** @param cell  the first of a chain, or none */
void cell_give_chain(struct queue_machine *m, uint32_t cell);
void cell_give(struct queue_machine *m, uint32_t cell);

/** @return cells of an object of that kind with so large a payload */
uint64_t payload_cells(enum kind kind, uint64_t payload_bytes);
/** Take what an object needs beyond its own cell, and copy the payload there. */
void payload_init(struct queue_machine *m, struct object *o, const void *bytes, uint32_t count);
/** The same, to be filled by payload_write(). */
void payload_reserve(struct queue_machine *m, struct object *o, uint32_t count);
void payload_write(struct queue_machine *m, struct object *o, uint32_t offset, const void *bytes,
	uint32_t count);
void payload_read(const struct queue_machine *m, const struct object *o, uint32_t offset, void *ret,
	uint32_t count);
uint64_t payload_hash(const struct queue_machine *m, const struct object *o);
bool payload_is(
	const struct queue_machine *m, const struct object *o, const void *bytes, uint32_t count);

/* ------------------------------------------------------------------------------ tree.c */

#define ORDER_AT offsetof(struct object, order)
#define TIMER_AT offsetof(struct timed, timer)

/** The key of the link must be set. @param at  which link of the object, ORDER_AT or TIMER_AT */
void tree_insert(const struct queue_machine *m, uint32_t *root, size_t at, uint32_t cell);
/** It must be in there. */
void tree_remove(const struct queue_machine *m, uint32_t *root, size_t at, uint32_t cell);
/** @return the least, or none */
uint32_t tree_first(const struct queue_machine *m, uint32_t root, size_t at);
/** @return that one, or none */
uint32_t
tree_find(const struct queue_machine *m, uint32_t root, size_t at, uint64_t key, uint64_t number);
/** @return the least that is greater than that, or none */
uint32_t
tree_behind(const struct queue_machine *m, uint32_t root, size_t at, uint64_t key, uint64_t number);

/* ------------------------------------------------------------------------------ hash.c, index.c */

uint64_t hash_word(uint64_t hash, uint64_t word);
uint64_t hash_bytes(const void *bytes, size_t count);
/** One piece after another, each but the last of a multiple of 8 bytes, then hash_end():
 * hash_bytes() of all. */
uint64_t hash_part(uint64_t hash, const void *bytes, size_t count);
uint64_t hash_end(uint64_t hash, size_t bytes_all);
struct decree_digest digest_words(const uint64_t *words, uint32_t count);

/** @return cell, or none */
uint32_t index_find(const struct queue_machine *m, enum kind kind, uint64_t number);
void index_add(struct queue_machine *m, uint32_t cell);
void index_remove(struct queue_machine *m, uint32_t cell);

uint32_t key_find_tube(const struct queue_machine *m, const void *name, uint32_t name_bytes);
/** @return the one that is attached */
uint32_t key_find_gateway(const struct queue_machine *m, uint64_t session);
uint32_t key_find_connection(const struct queue_machine *m, uint32_t gateway, uint64_t id);
uint32_t key_find_watch(const struct queue_machine *m, uint32_t connection, uint32_t tube);
void key_add(struct queue_machine *m, uint32_t cell);
void key_remove(struct queue_machine *m, uint32_t cell);

/* ------------------------------------------------------------------------------ object.c */

/** @return whether this many more cells may be used for that */
bool has_room(const struct queue_machine *m, enum purpose purpose, uint64_t cells);

/** A new object at the end of its kind's list: numbers only grow. object_done() is to follow. */
uint32_t object_add(struct queue_machine *m, enum kind kind, uint64_t number);
/** Its words are about to change: the walk may want them, the digest lets go of them. */
void object_edit(struct queue_machine *m, struct object *o);
void object_done(struct queue_machine *m, const struct object *o);
/** It leaves the list and the digest; its cells are free, or the walk's. */
void object_remove(struct queue_machine *m, uint32_t cell);
/** @param ret_words  [OBJECT_WORDS_MAX] @return how many */
uint32_t object_words(const struct queue_machine *m, const struct object *o, uint64_t *ret_words);
uint32_t object_word_count(enum kind kind);

/* ------------------------------------------------------------------------------ tube.c */

/** @return cells that tube_get() will take */
uint64_t tube_room(const struct queue_machine *m, const void *name, uint32_t name_bytes);
uint32_t tube_get(struct queue_machine *m, const void *name, uint32_t name_bytes);
/** A new one appears among all tubes. */
void tube_enter(struct queue_machine *m, uint32_t tube);
/** It goes if nobody refers to it. */
void tube_drop(struct queue_machine *m, uint32_t tube);
/** @param pause_ns  0: no pause; those that wait get what is ready */
void tube_pause(struct queue_machine *m, uint32_t tube, uint64_t pause_ns);
/** @return whether somebody waits for it and a job is ready: between two commands only as long as
 * reserve_match() has left something over */
bool tube_is_matching(const struct tube *t);
/** What it waits for may have changed. */
void tube_set_timer(struct queue_machine *m, uint32_t tube);
/** A ready job, or somebody who waits, has left it: there may be nothing left over any more. */
void tube_note_match(struct queue_machine *m, uint32_t tube);
/** Its timer has come: what was left over goes on, one delayed job becomes ready, or its pause is
 * over. */
void tube_due(struct queue_machine *m, uint32_t tube);

/* ------------------------------------------------------------------------------ job.c */

uint32_t job_add(struct queue_machine *m, uint32_t tube, const struct queue_command *c);
/** Put it where its state says, and count it. For a new one. */
void job_enter(struct queue_machine *m, uint32_t job);
void job_to_ready(struct queue_machine *m, uint32_t job);
void job_to_delayed(struct queue_machine *m, uint32_t job, uint32_t delay_s);
void job_to_buried(struct queue_machine *m, uint32_t job);
/** The TTR begins now. */
void job_to_reserved(struct queue_machine *m, uint32_t job, uint32_t connection);
/** Its TTR begins anew. */
void job_touch(struct queue_machine *m, uint32_t job);
void job_remove(struct queue_machine *m, uint32_t job);

/* ------------------------------------------------------------------------------ attach.c */

/** There must be room for one cell. */
void gateway_attach(struct queue_machine *m, uint64_t session, uint64_t node);
bool gateway_is_detached(const struct queue_machine *m, uint32_t gateway);
/** @return the one that is attached under that number, or none */
uint32_t gateway_find_node(const struct queue_machine *m, uint64_t node);
/** When the log's next slot has to come for their sake. */
uint64_t gateway_next(const struct queue_machine *m);
/** So long no slot came: what is too long of it does not count towards anybody's silence. */
void gateway_forgive(struct queue_machine *m, uint64_t passed_ns);
/** A command of its session is being applied. */
void gateway_hear(struct queue_machine *m, uint32_t gateway);
/** From now on it has no connections; gateway_due() closes them. */
void gateway_detach(struct queue_machine *m, uint32_t gateway);
/** Its timer has come: one step of its end. */
void gateway_due(struct queue_machine *m, uint32_t gateway);
/** A connection appears in the list of its gateway, and leaves it. */
void gateway_enter(struct queue_machine *m, uint32_t connection);
void gateway_leave(struct queue_machine *m, uint32_t connection);

/* --------------------------------------------------------------- connection.c, reserve.c, due.c */

/** @return cell, or none: there is no room */
uint32_t connection_open(struct queue_machine *m, uint32_t gateway, uint64_t id);
/** In whose session its reserves are answered. */
uint64_t connection_session(const struct queue_machine *m, uint32_t connection);
/** Answer its waiting reserve, let go of its jobs and tubes. */
void connection_close(struct queue_machine *m, uint32_t connection);
void connection_use(struct queue_machine *m, uint32_t connection, uint32_t tube);
void connection_watch(struct queue_machine *m, uint32_t connection, uint32_t tube);
void connection_ignore(struct queue_machine *m, uint32_t watch);
/** Put a watch into the lists of both its ends. */
void watch_enter(struct queue_machine *m, uint32_t watch);
void connection_set_flag(struct queue_machine *m, uint32_t connection, uint8_t flag);
/** It HAS_PARKED, and waits no more. */
void connection_forget_parked(struct queue_machine *m, uint32_t connection);
void connection_set_timer(struct queue_machine *m, uint32_t connection);
void connection_due(struct queue_machine *m, uint32_t connection);

/** Answer a reserve: with a job, or that it waits. */
void reserve(struct queue_machine *m, uint32_t connection, uint64_t seq, bool has_timeout,
	uint32_t seconds);
/** The job goes to the connection, and the answer to its reserve. */
void reserve_give(struct queue_machine *m, uint32_t connection, uint64_t seq, uint32_t job);
/** As long as somebody waits for this tube and a job is ready: serve them. If they are too many the
 * tube's timer goes on with it. */
void reserve_match(struct queue_machine *m, uint32_t tube);
/** The tube is matching: whoever waits longest gets a job, or goes since his gateway is detached. */
void reserve_match_one(struct queue_machine *m, uint32_t tube);
/** A connection that waits appears in the trees of its tubes. */
void wait_enter(struct queue_machine *m, uint32_t connection);
/** The same for one watch of a connection that waits already. */
void wait_enter_watch(struct queue_machine *m, uint32_t watch);
/** It waits no longer, and gets no job. */
void wait_end(struct queue_machine *m, uint32_t connection, enum queue_status status);

void timer_set(struct queue_machine *m, uint32_t cell, uint64_t due_ns);
/** Time goes on, and what has become due happens. */
void due_run(struct queue_machine *m, uint64_t now_ns);
/** @return when the next slot has to come, or NEVER_NS */
uint64_t due_next(const struct queue_machine *m);

void answer(struct queue_machine *m, uint64_t session, uint64_t seq, enum queue_status status,
	uint64_t result);

/* ---------------------------------------------------------- apply.c, query.c, walk.c, restore.c */

void execute(struct queue_machine *m, const struct decree_command *command);

int32_t queue_query_answer(struct queue_machine *m, const void *query, uint32_t bytes,
	void *ret_answer, uint32_t capacity);

/** Before an object's words change, or it goes: keep them if the walk still needs them. */
void walk_note(struct queue_machine *m, struct object *o);
/** It goes. @return true if its cells are the walk's from now on */
bool walk_keep(struct queue_machine *m, uint32_t cell);
int walk_begin(struct queue_machine *m);
int walk_next(struct queue_machine *m, struct decree_chunk *ret_chunk);
void walk_end(struct queue_machine *m);
/** Free a little of what earlier walks have left. */
void walk_tidy(struct queue_machine *m);

/** Nothing but the tube "default", or with @p is_bare not even that. */
void machine_reset(struct queue_machine *m, bool is_bare);
int queue_restore_begin(struct queue_machine *m);
int queue_restore_next(struct queue_machine *m, const struct decree_chunk *chunk);
int queue_restore_end(struct queue_machine *m);

#endif
