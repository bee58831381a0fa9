/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asked becomes a command, a read, or an answer that needs neither; and when it may
 * start. */
#include "queue/serve/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------ what it will be */

/* The command of a verb, 0: it is none. */
static const uint8_t ops[] = {
	[QUEUE_VERB_PUT] = QUEUE_PUT,
	[QUEUE_VERB_RESERVE] = QUEUE_RESERVE,
	[QUEUE_VERB_RESERVE_TIMEOUT] = QUEUE_RESERVE_TIMEOUT,
	[QUEUE_VERB_RESERVE_JOB] = QUEUE_RESERVE_JOB,
	[QUEUE_VERB_DELETE] = QUEUE_DELETE,
	[QUEUE_VERB_RELEASE] = QUEUE_RELEASE,
	[QUEUE_VERB_BURY] = QUEUE_BURY,
	[QUEUE_VERB_KICK] = QUEUE_KICK,
	[QUEUE_VERB_KICK_JOB] = QUEUE_KICK_JOB,
	[QUEUE_VERB_TOUCH] = QUEUE_TOUCH,
	[QUEUE_VERB_USE] = QUEUE_USE,
	[QUEUE_VERB_WATCH] = QUEUE_WATCH,
	[QUEUE_VERB_IGNORE] = QUEUE_IGNORE,
	[QUEUE_VERB_PAUSE_TUBE] = QUEUE_PAUSE_TUBE,
	[QUEUE_VERB_QUIT] = 0,
};

/* The read of a verb, 0: it is none. */
static const uint8_t kinds[] = {
	[QUEUE_VERB_PEEK] = QUEUE_PEEK,
	[QUEUE_VERB_PEEK_READY] = QUEUE_PEEK_READY,
	[QUEUE_VERB_PEEK_DELAYED] = QUEUE_PEEK_DELAYED,
	[QUEUE_VERB_PEEK_BURIED] = QUEUE_PEEK_BURIED,
	[QUEUE_VERB_STATS] = QUEUE_STATS,
	[QUEUE_VERB_STATS_JOB] = QUEUE_STATS_JOB,
	[QUEUE_VERB_STATS_TUBE] = QUEUE_STATS_TUBE,
	[QUEUE_VERB_LIST_TUBES] = QUEUE_LIST_TUBES,
	[QUEUE_VERB_LIST_TUBE_USED] = QUEUE_TUBE_USED,
	[QUEUE_VERB_LIST_TUBES_WATCHED] = QUEUE_LIST_TUBES_WATCHED,
	[QUEUE_VERB_QUIT] = 0,
};

static void
fill_command(struct request *r, const struct client *c, const struct queue_request *q)
{
	r->command = (struct queue_command){
		.op = (enum queue_op)ops[q->verb],
		.connection = c->number,
		.id = q->id,
		.pri = q->pri,
		.seconds = q->verb == QUEUE_VERB_RESERVE_TIMEOUT ? q->timeout_s : q->delay_s,
		.ttr_s = q->ttr_s,
		.bound = q->bound,
		.tail = r->tail,
		.tail_bytes = q->name_bytes, /* a body grows as it comes */
	};
}

static void
fill_query(struct request *r, const struct client *c, const struct queue_request *q)
{
	r->query = (struct queue_query){
		.kind = (enum queue_query_kind)kinds[q->verb],
		.connection = c->number,
		.id = q->id,
		.name = r->tail,
		.name_bytes = q->name_bytes,
	};
}

struct request *
request_create(const struct client *c, const struct queue_request *q)
{
	uint32_t tail_bytes = q->verb == QUEUE_VERB_PUT ? q->bytes : q->name_bytes;
	struct request *r = malloc(sizeof(*r) + tail_bytes);

	if (r == NULL)
		return NULL;
	*r = (struct request){
		.verb = q->verb,
		.reply = q->reply,
		.counter = q->counter,
		.is_producer = q->is_producer,
		.tail_bytes = tail_bytes,
	};
	if (q->name_bytes > 0)
		memcpy(r->tail, q->name, q->name_bytes);
	if (ops[q->verb] != 0)
		fill_command(r, c, q);
	else if (kinds[q->verb] != 0)
		fill_query(r, c, q);
	return r;
}

void
request_free(struct request *r)
{
	if (r != NULL && r->text != NULL)
		evbuffer_free(r->text);
	free(r);
}

/* ------------------------------------------------------------------------------ when it starts */

/* @return as decree_propose(); if it is not 0, the client stands in the queue or the gateway is
 * over */
static int
propose(struct client *c, const struct queue_command *command)
{
	int rc = session_propose(c->g, command, c);

	if (rc == 0)
		c->flying++;
	else if (rc == -EAGAIN)
		client_block(c, BLOCKED_COMMAND);
	return rc;
}

static bool
is_barrier(const struct request *r)
{
	return r->verb == QUEUE_VERB_KICK && r->command.bound > QUEUE_KICK_COUNT_MAX;
}

/* Of the largest jobs that there may be. */
static bool
has_room_for_job(const struct client *c)
{
	return c->reserve_count == 0 ||
	       (c->reserve_count + 1ull) * c->g->options.job_bytes_max <= RESERVED_BYTES_MAX;
}

void
request_go_back(struct client *c, struct request *r)
{
	for (struct request *at = r; at != c->waiting; at = at->next) {
		at->is_flying = at->is_answered = at->is_told = false;
		c->reserve_count -= at->is_counted;
		at->is_counted = false;
	}
	c->has_barrier = false;
	c->unanswered = c->waiting = r;
}

/* An error needs no command, unless the machine must hear that this client is a producer. */
static bool
start_error(struct client *c, struct request *r)
{
	session_count(c->g, r->counter);
	client_reply_word(c, r->reply);
	client_finish(c);
	return true;
}

/* Who gets a job by its id may lose it with what it says next, before it has been sent the body. */
static bool
is_behind_its_reserve(const struct client *c, const struct request *r)
{
	if (r->command.id == 0)
		return false;
	for (const struct request *at = c->first; at != r; at = at->next)
		if (at->verb == QUEUE_VERB_RESERVE_JOB && at->command.id == r->command.id)
			return true;
	return false;
}

static bool
start_command(struct client *c, struct request *r)
{
	bool is_reserve = answer_is_reserve(r);
	int rc;

	if (is_behind_its_reserve(c, r))
		return false;
	if (c->reserves_flying > 0 && c->flying >= c->flying_max)
		return false;
	if (is_reserve && !has_room_for_job(c))
		return false;
	if (r->verb == QUEUE_VERB_ERROR)
		r->command = (struct queue_command){
			.op = QUEUE_COUNT,
			.connection = c->number,
			.flag = 1,
		};
	r->command.is_after = c->reserves_flying > 0;
	rc = propose(c, &r->command);
	if (rc == -EMSGSIZE && r == c->first) {
		client_reply_word(c, QUEUE_REPLY_JOB_TOO_BIG);
		client_finish(c);
		return true;
	}
	if (rc != 0)
		return false;
	if (r->verb == QUEUE_VERB_ERROR) {
		session_count(c->g, r->counter);
		r->counter = QUEUE_COUNTER_COUNT; /* it may have to be started again */
	}
	r->is_flying = true;
	r->is_counted = is_reserve;
	c->reserves_flying += is_reserve;
	c->reserve_count += is_reserve;
	c->has_barrier = is_barrier(r);
	c->waiting = r->next;
	return true;
}

static bool
start_read(struct client *c, struct request *r)
{
	if (r != c->first)
		return false;
	session_count(c->g, r->counter);
	r->query.session = atomic_load_explicit(&c->g->session, memory_order_relaxed);
	c->has_barrier = true;
	c->unanswered = c->waiting = r->next;
	c->is_read_due = true;
	read_ask(c);
	return true;
}

static bool
watches_enough(const struct client *c, const struct request *r)
{
	return r->verb == QUEUE_VERB_WATCH && c->watch_count >= WATCH_COUNT_MAX;
}

/* As if the machine had no memory for it. */
static bool
refuse(struct client *c)
{
	client_reply_word(c, QUEUE_REPLY_OUT_OF_MEMORY);
	client_finish(c);
	return true;
}

/* A connection, before anything else: its answer also says which session we are. */
static bool
open_connection(struct client *c)
{
	const struct queue_command open = { .op = QUEUE_OPEN, .connection = c->number };

	if (c->phase == CLIENT_NEW && propose(c, &open) == 0)
		c->phase = CLIENT_OPENING;
	return c->phase == CLIENT_OPEN;
}

bool
request_start(struct client *c)
{
	struct request *r = c->waiting;

	if (c->has_barrier || c->parked != NULL || c->behind != NULL || c->g->phase != GATEWAY_UP)
		return false;
	if (r->verb == QUEUE_VERB_ERROR && !r->is_producer)
		return r == c->first && start_error(c, r);
	if (!open_connection(c))
		return false;
	if (r->query.kind != 0)
		return start_read(c, r);
	if (watches_enough(c, r))
		return r == c->first && refuse(c);
	return start_command(c, r);
}

/* ------------------------------------------------------------------------------ ends */

void
request_close(struct client *c)
{
	const struct queue_command close = { .op = QUEUE_CLOSE, .connection = c->number };

	c->has_close_due = c->g->phase == GATEWAY_UP && propose(c, &close) == -EAGAIN;
	c->phase = CLIENT_CLOSING;
}

void
request_cancel(struct client *c)
{
	const struct queue_command cancel = { .op = QUEUE_CANCEL, .connection = c->number };

	if (!c->is_cancelling && propose(c, &cancel) == 0)
		c->is_cancelling = true;
}
