/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine says becomes what a client reads.
 *
 * A reserve ends with two words, in any order: the answer to its command and the word of the handover. The answer OK
 * brings the job's id and the handover its body; the answer PARKED brings nothing, and the handover, some time, all.
 * If there should be a word and is none (the node took over another one's state), the body is read from the machine.
 */
#include "queue/serve/private.h"

#include <errno.h>

static void
reply_number(struct client *c, size_t (*print)(uint64_t n, char *ret, size_t capacity), uint64_t n)
{
	char text[QUEUE_REPLY_BYTES_MAX];

	evbuffer_add(client_output(c), text, print(n, text, sizeof(text)));
}

static void
reply_failure(struct client *c, enum queue_status status)
{
	switch (status) {
	case QUEUE_NOT_FOUND: client_reply_word(c, QUEUE_REPLY_NOT_FOUND); break;
	case QUEUE_TIMED_OUT: client_reply_word(c, QUEUE_REPLY_TIMED_OUT); break;
	case QUEUE_DEADLINE_SOON: client_reply_word(c, QUEUE_REPLY_DEADLINE_SOON); break;
	case QUEUE_NOT_IGNORED: client_reply_word(c, QUEUE_REPLY_NOT_IGNORED); break;
	case QUEUE_OUT_OF_MEMORY: client_reply_word(c, QUEUE_REPLY_OUT_OF_MEMORY); break;
	default:
		gateway_log(c->g, DECREE_LOG_ERROR, "queue: the machine answered %d", (int)status);
		client_reply_word(c, QUEUE_REPLY_INTERNAL_ERROR);
	}
	client_finish(c);
}

/* ------------------------------------------------------------------------------ reserves */

static void
expect(struct client *c)
{
	c->is_expecting = true;
	TAILQ_INSERT_TAIL(&c->g->expecting, c, in_expecting);
}

static void
expect_no_more(struct client *c)
{
	if (c->is_expecting)
		TAILQ_REMOVE(&c->g->expecting, c, in_expecting);
	c->is_expecting = false;
}

/* Both words are there. */
static void
end_reserve(struct client *c, struct request *r)
{
	expect_no_more(c);
	c->is_parked = false;
	if (r->told != QUEUE_OK) {
		reply_failure(c, r->told);
	} else if (r->text == NULL) {
		read_body(c);
	} else {
		evbuffer_add_buffer(client_output(c), r->text);
		client_finish(c);
	}
}

static void
on_reserve_done(struct client *c, struct request *r, const struct decree_completion *done)
{
	if (done->status != QUEUE_OK && done->status != QUEUE_PARKED) {
		reply_failure(c, (enum queue_status)done->status);
		return;
	}
	r->is_answered = true;
	r->id = done->result;
	if (r->is_told)
		end_reserve(c, r);
	else if (done->status == QUEUE_OK)
		expect(c);
	else
		c->is_parked = true;
}

/* The reply, out of the ring. */
static void
take_body(struct queue_gateway *g, struct evbuffer *to, const struct handover_word *word)
{
	char head[QUEUE_REPLY_BYTES_MAX];
	const uint8_t *part;
	uint32_t count;

	evbuffer_add(
		to, head, queue_reply_reserved(word->id, word->body_bytes, head, sizeof(head)));
	for (uint32_t at = 0; at < word->body_bytes; at += count) {
		count = handover_part(&g->handover, word, at, &part);
		evbuffer_add(to, part, count);
	}
	evbuffer_add(to, "\r\n", 2);
}

static bool
is_reserve(const struct request *r)
{
	return r->verb == QUEUE_VERB_RESERVE || r->verb == QUEUE_VERB_RESERVE_TIMEOUT ||
	       r->verb == QUEUE_VERB_RESERVE_JOB;
}

/* The one that flies or is parked. It is the last that was proposed, but not always the first request: what the client
 * had asked before it may be executed and not completed yet. @return NULL: none */
static struct request *
reserve_under_way(const struct client *c)
{
	struct request *r = c->first;

	while (r != c->waiting && !is_reserve(r))
		r = r->next;
	return r == c->waiting ? NULL : r;
}

static void
on_word(struct queue_gateway *g, const struct handover_word *word)
{
	struct client *c = client_find(g, word->connection);
	struct request *r = c == NULL ? NULL : reserve_under_way(c);

	/* Of a client that is gone, or of a reserve whose body was fetched already. */
	if (r == NULL || r->is_told)
		return;
	if (word->status == QUEUE_CLOSED) {
		g->is_lost = true; /* we did not close it, so all of ours were closed */
		return;
	}
	r->is_told = true;
	r->told = (enum queue_status)word->status;
	r->id = word->id;
	r->body_bytes = word->body_bytes;
	if (word->has_body)
		r->text = evbuffer_new();
	if (r->text != NULL)
		take_body(g, r->text, word);
	if (!r->is_answered)
		return;
	end_reserve(c, r);
	client_run(c);
}

void
answer_on_words(struct queue_gateway *g)
{
	struct handover_word word;
	struct client *c;

	while (handover_peek(&g->handover, &word)) {
		on_word(g, &word);
		handover_drop(&g->handover, &word);
	}
	/* A word comes before the answer to its command, so what is not there now never comes. */
	while ((c = TAILQ_FIRST(&g->expecting)) != NULL) {
		expect_no_more(c);
		read_body(c);
		client_run(c);
	}
}

/* ------------------------------------------------------------------------------ all others */

/* @return false: it goes on */
static bool
on_kick_done(struct client *c, struct request *r, uint64_t result)
{
	uint32_t kicked = (uint32_t)result;

	r->kicked += kicked;
	r->command.bound -= kicked;
	r->command.flag = (uint8_t)(result >> 32);
	if (kicked == QUEUE_KICK_COUNT_MAX && r->command.bound > 0) {
		r->is_flying = false;
		c->has_barrier = false;
		c->waiting = r;
		return false;
	}
	reply_number(c, queue_reply_kicked, r->kicked);
	return true;
}

static void
reply_using(struct client *c, const struct request *r)
{
	char text[QUEUE_REPLY_BYTES_MAX];

	evbuffer_add(client_output(c), text,
		queue_reply_using(r->tail, r->command.tail_bytes, text, sizeof(text)));
}

/* It was executed. @return false: it goes on */
static bool
reply_success(struct client *c, struct request *r, uint64_t result)
{
	switch (r->verb) {
	case QUEUE_VERB_PUT: reply_number(c, queue_reply_inserted, result); break;
	case QUEUE_VERB_USE: reply_using(c, r); break;
	case QUEUE_VERB_WATCH:
	case QUEUE_VERB_IGNORE: reply_number(c, queue_reply_watching, result); break;
	case QUEUE_VERB_KICK: return on_kick_done(c, r, result);
	case QUEUE_VERB_DELETE: client_reply_word(c, QUEUE_REPLY_DELETED); break;
	case QUEUE_VERB_RELEASE: client_reply_word(c, QUEUE_REPLY_RELEASED); break;
	case QUEUE_VERB_BURY: client_reply_word(c, QUEUE_REPLY_BURIED); break;
	case QUEUE_VERB_TOUCH: client_reply_word(c, QUEUE_REPLY_TOUCHED); break;
	case QUEUE_VERB_KICK_JOB: client_reply_word(c, QUEUE_REPLY_KICKED); break;
	case QUEUE_VERB_PAUSE_TUBE: client_reply_word(c, QUEUE_REPLY_PAUSED); break;
	default: client_reply_word(c, r->reply); /* an error, with a COUNT */
	}
	return true;
}

static void
on_request_done(struct client *c, const struct decree_completion *done)
{
	struct request *r = c->first;

	queue_assert(r != NULL && r->is_flying);
	if (is_reserve(r))
		on_reserve_done(c, r, done);
	else if (done->status != QUEUE_OK)
		reply_failure(c, (enum queue_status)done->status);
	else if (reply_success(c, r, done->result))
		client_finish(c);
}

static void
on_open_done(struct client *c, const struct decree_completion *done)
{
	if (done->status == QUEUE_OK) {
		c->phase = CLIENT_OPEN;
		/* Relaxed: the shard's thread needs it when it executes what we propose after this. */
		atomic_store_explicit(&c->g->session, done->result, memory_order_relaxed);
		return;
	}
	/* There is no room for it. It hears so, and has to go. */
	c->phase = CLIENT_NEW;
	c->has_quit = true;
	if (c->first != NULL)
		reply_failure(c, (enum queue_status)done->status);
	while (c->first != NULL)
		client_finish(c);
}

void
answer_on_done(struct client *c, const struct decree_completion *done)
{
	c->flying--;
	if (done->status == QUEUE_NO_CONNECTION || done->status == QUEUE_NO_GATEWAY) {
		c->g->is_lost = true;
		return;
	}
	if (c->phase == CLIENT_OPENING)
		on_open_done(c, done);
	else if (c->is_cancelling)
		c->is_cancelling = false;
	else if (c->bev != NULL)
		on_request_done(c, done);
	if (c->bev != NULL) {
		client_run(c);
		return;
	}
	if (c->phase == CLIENT_OPEN)
		request_close(c);
	client_free_if_done(c);
}
