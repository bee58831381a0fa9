/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine says becomes what a client reads.
 *
 * A request that is answered keeps that until those before it have got their replies. A reserve
 * ends with two words: the answer to its command and the word of the handover, which is looked at
 * when the answer was. The answer OK brings the job's id and the handover its body; the answer
 * PARKED brings nothing, and the handover, some time, all. If there should be a word and is none
 * (the node took over another one's state), the body is read from the machine. A peek's body that
 * does not fit the answer comes so, too (reads.c).
 */
#include "queue/serve/private.h"

#include <errno.h>

static void
reply_number(struct client *c, size_t (*print)(uint64_t n, char *ret, size_t capacity), uint64_t n)
{
	char text[QUEUE_REPLY_BYTES_MAX];

	client_say(c, text, print(n, text, sizeof(text)));
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
}

/* ------------------------------------------------------------------------------ reserves */

bool
answer_is_reserve(const struct request *r)
{
	return r->verb == QUEUE_VERB_RESERVE || r->verb == QUEUE_VERB_RESERVE_TIMEOUT ||
	       r->verb == QUEUE_VERB_RESERVE_JOB;
}

void
answer_expect(struct client *c)
{
	if (!c->is_expecting)
		TAILQ_INSERT_TAIL(&c->g->expecting, c, in_expecting);
	c->is_expecting = true;
}

void
answer_expect_no_more(struct client *c)
{
	if (c->is_expecting)
		TAILQ_REMOVE(&c->g->expecting, c, in_expecting);
	c->is_expecting = false;
}

/* @return false: its job, or the body, is still to come */
static bool
reply_reserve(struct client *c, struct request *r)
{
	if (r->status != QUEUE_OK && r->status != QUEUE_PARKED) {
		reply_failure(c, r->status);
		return true;
	}
	if (!r->is_told) {
		if (r->status == QUEUE_OK)
			answer_expect(c);
		return false;
	}
	if (r->told != QUEUE_OK) {
		reply_failure(c, r->told);
		return true;
	}
	if (r->text == NULL) {
		read_body(c);
		return false;
	}
	client_say_text(c, r->text);
	return true;
}

bool
answer_add_body(struct queue_gateway *g, struct evbuffer *to, const struct handover_word *word)
{
	const uint8_t *part;
	uint32_t count;

	for (uint32_t at = 0; at < word->body_bytes; at += count) {
		count = handover_part(&g->handover, word, at, &part);
		if (evbuffer_add(to, part, count) != 0)
			return false;
	}
	return true;
}

/* @return the reply, out of the ring; NULL: there is no memory, so it is to be read in pieces */
static struct evbuffer *
take_reply(struct queue_gateway *g, const struct handover_word *word)
{
	struct evbuffer *text = evbuffer_new();
	char head[QUEUE_REPLY_BYTES_MAX];
	size_t head_bytes = queue_reply_reserved(word->id, word->body_bytes, head, sizeof(head));

	if (text != NULL && evbuffer_add(text, head, head_bytes) == 0 &&
		answer_add_body(g, text, word) && evbuffer_add(text, "\r\n", 2) == 0)
		return text;
	if (text != NULL)
		evbuffer_free(text);
	return NULL;
}

/* @return the one that is not told yet, or NULL */
static struct request *
find_reserve(const struct client *c, uint64_t seq)
{
	for (struct request *r = c->first; r != c->unanswered; r = r->next)
		if (r->is_answered && r->seq == seq && answer_is_reserve(r))
			return r->is_told ? NULL : r;
	return NULL;
}

static void
on_word(struct queue_gateway *g, const struct handover_word *word)
{
	struct client *c = client_find(g, word->connection);
	struct request *r;

	if (c != NULL && word->is_found) {
		read_on_found(c, word);
		return;
	}
	r = c == NULL ? NULL : find_reserve(c, word->seq);
	/* Of a client that is gone, or of a reserve whose body was fetched already. */
	if (r == NULL)
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
		r->text = take_reply(g, word);
	if (c->parked == r)
		c->parked = NULL;
	if (r == c->first)
		answer_expect_no_more(c);
	answer_settle(c);
	client_run(c);
}

/* Its command is executed and not completed yet. */
static bool
is_early(struct queue_gateway *g, const struct handover_word *word)
{
	return word->seq > g->done_seq && client_find(g, word->connection) != NULL;
}

void
answer_on_words(struct queue_gateway *g)
{
	struct handover_word word;
	struct client *c;

	while (handover_peek(&g->handover, &word) && !is_early(g, &word)) {
		on_word(g, &word);
		handover_drop(&g->handover, &word);
	}
	/* A word comes before the answer to its command or read, so what is not there now never
	 * comes. */
	while ((c = TAILQ_FIRST(&g->expecting)) != NULL) {
		answer_expect_no_more(c);
		if (answer_is_reserve(c->first)) {
			c->first->is_told = true;
			c->first->told = QUEUE_OK;
			c->first->id = c->first->result;
			answer_settle(c);
		} else {
			read_go_on(c);
		}
		client_run(c);
	}
}

/* ------------------------------------------------------------------------------ all others */

/* @return false: it goes on */
static bool
reply_kick(struct client *c, struct request *r)
{
	uint32_t kicked = (uint32_t)r->result;

	r->kicked += kicked;
	r->command.bound -= kicked;
	r->command.flag = (uint8_t)(r->result >> 32);
	if (kicked == QUEUE_KICK_COUNT_MAX && r->command.bound > 0) {
		request_go_back(c, r);
		return false;
	}
	reply_number(c, queue_reply_kicked, r->kicked);
	return true;
}

static void
reply_using(struct client *c, const struct request *r)
{
	char text[QUEUE_REPLY_BYTES_MAX];

	client_say(c, text, queue_reply_using(r->tail, r->command.tail_bytes, text, sizeof(text)));
}

/* It was executed. @return false: it goes on */
static bool
reply_success(struct client *c, struct request *r)
{
	switch (r->verb) {
	case QUEUE_VERB_PUT: reply_number(c, queue_reply_inserted, r->result); break;
	case QUEUE_VERB_USE: reply_using(c, r); break;
	case QUEUE_VERB_WATCH:
	case QUEUE_VERB_IGNORE:
		c->watch_count = (uint32_t)r->result;
		reply_number(c, queue_reply_watching, r->result);
		break;
	case QUEUE_VERB_KICK: return reply_kick(c, r);
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

/* @return false: it goes on */
static bool
reply(struct client *c, struct request *r)
{
	if (answer_is_reserve(r))
		return reply_reserve(c, r);
	if (r->status == QUEUE_OK)
		return reply_success(c, r);
	reply_failure(c, r->status);
	return true;
}

void
answer_settle(struct client *c)
{
	while (c->first != NULL && c->first->is_answered && !c->is_read_due && !c->is_reading &&
		!c->has_failed && reply(c, c->first))
		client_finish(c);
}

/* ------------------------------------------------------------------------------ completions */

static void
on_parked(struct client *c, struct request *r)
{
	c->parked = r;
	c->flying_max = 1;
	if (c->unanswered != c->waiting)
		c->behind = c->unanswered;
}

static void
on_request_done(struct client *c, const struct decree_completion *done)
{
	struct request *r = c->unanswered;

	queue_assert(r != c->waiting && r->is_flying);
	queue_assert((done->status == QUEUE_BEHIND) == (c->behind != NULL));
	c->unanswered = r->next;
	c->reserves_flying -= r->is_counted;
	r->is_flying = false;
	if (done->status == QUEUE_BEHIND) {
		if (c->unanswered != c->waiting)
			return;
		request_go_back(c, c->behind);
		c->behind = NULL;
		return;
	}
	r->is_answered = true;
	r->status = (enum queue_status)done->status;
	r->seq = done->seq;
	r->result = done->result;
	if (r->status == QUEUE_PARKED)
		on_parked(c, r);
	else if (r->is_counted && c->flying_max < REQUEST_COUNT_MAX)
		c->flying_max *= 2;
	answer_settle(c);
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
