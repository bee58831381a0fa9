/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client: its bytes become requests, its requests start in order, and when the last one is
 * answered it may go.
 *
 * A client goes when it has closed its side, has said quit, or its socket fails. One that has
 * closed its side still gets the answers to all that it had asked, but waits for no job any more:
 * its reserve is cancelled. Its connection closes in the machine as soon as it is gone, and the
 * jobs that it holds are ready again. What is left of it here stays until the last of its commands
 * is completed, since completions name it.
 */
#include "queue/serve/private.h"

#include "queue/serve/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_MASK     (CLIENT_COUNT_MAX - 1)
#define SEND_TIMEOUT_S 60 /* of a client that has ended and does not take its last replies */

static_assert((CLIENT_COUNT_MAX & PLACE_MASK) == 0, "a place is a part of the number");

struct client *
client_find(struct queue_gateway *g, uint64_t number)
{
	struct client *c = g->clients[number & PLACE_MASK];

	return c != NULL && c->number == number && c->bev != NULL ? c : NULL;
}

struct evbuffer *
client_output(struct client *c)
{
	if (c->tls != NULL)
		return c->tls->output; /* tls_push() takes it from there */
	if (!c->is_unflushed)
		TAILQ_INSERT_TAIL(&c->g->unflushed, c, in_unflushed);
	c->is_unflushed = true;
	return bufferevent_get_output(c->bev);
}

/* What it has said, as far as it may wait here. */
static struct evbuffer *
input_of(struct client *c)
{
	if (c->tls == NULL)
		return bufferevent_get_input(c->bev);
	tls_pull(c);
	return c->tls->input;
}

static size_t
unread_bytes(const struct client *c)
{
	return c->tls != NULL ? tls_unread(c) : evbuffer_get_length(bufferevent_get_input(c->bev));
}

static size_t
unsent_bytes(const struct client *c)
{
	size_t bytes = evbuffer_get_length(bufferevent_get_output(c->bev));

	return c->tls != NULL ? bytes + evbuffer_get_length(c->tls->output) : bytes;
}

static void
unblock(struct client *c)
{
	if (c->blocked != BLOCKED_NOT)
		TAILQ_REMOVE(&c->g->blocked[c->blocked], c, in_blocked);
	c->blocked = BLOCKED_NOT;
}

void
client_block(struct client *c, enum blocked why)
{
	unblock(c);
	c->blocked = why;
	TAILQ_INSERT_TAIL(&c->g->blocked[why], c, in_blocked);
	c->g->is_full[why] = true;
}

/* ---------------------------------------------------------------------------- its replies, sent */

static void
note_flushed(struct client *c)
{
	if (c->is_unflushed)
		TAILQ_REMOVE(&c->g->unflushed, c, in_unflushed);
	c->is_unflushed = false;
}

/* Replies of one turn go in one write, here: libevent would write them no sooner than its next
 * turn, with two more system calls, to hear that the socket takes something and to hear it no more.
 * It gets what the socket does not take now, and keeps whatever comes until all of that is gone.
 * @return false: its socket has failed */
static bool
flush(struct client *c)
{
	struct evbuffer *output = bufferevent_get_output(c->bev);
	int sent;

	note_flushed(c);
	if (evbuffer_get_length(output) == 0 || (bufferevent_get_enabled(c->bev) & EV_WRITE))
		return true;
	evbuffer_unfreeze(output, 1); /* libevent lets nobody but itself take something out */
	sent = evbuffer_write(output, bufferevent_getfd(c->bev));
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	evbuffer_freeze(output, 1);
	if (evbuffer_get_length(output) > 0)
		bufferevent_enable(c->bev, EV_WRITE);
	return true;
}

void
client_flush_all(struct queue_gateway *g)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&g->unflushed)) != NULL) {
		bool was_full = unsent_bytes(c) >= OUTPUT_BYTES_MAX;

		if (!flush(c))
			client_drop(c);
		else if (was_full && unsent_bytes(c) < OUTPUT_BYTES_MAX)
			client_run(c);
	}
}

/* ------------------------------------------------------------------------------ the end */

static void
forget_requests(struct client *c)
{
	struct request *next;

	for (struct request *r = c->first; r != NULL; r = next) {
		next = r->next;
		request_free(r);
	}
	request_free(c->filling);
	c->first = c->last = c->waiting = c->filling = NULL;
	c->unanswered = c->parked = c->behind = NULL;
	if (c->is_expecting)
		TAILQ_REMOVE(&c->g->expecting, c, in_expecting);
	c->is_expecting = false;
}

static void
watch_no_more(struct client *c)
{
	if (c->hang_up != NULL)
		event_free(c->hang_up);
	c->hang_up = NULL;
}

static void
close_socket(struct client *c)
{
	note_flushed(c);
	watch_no_more(c);
	if (c->tls != NULL)
		tls_end(c);
	bufferevent_free(c->bev);
	c->bev = NULL;
}

void
client_free(struct client *c)
{
	struct queue_gateway *g = c->g;

	forget_requests(c);
	unblock(c);
	if (c->bev != NULL)
		close_socket(c);
	g->clients[c->number & PLACE_MASK] = NULL;
	g->free_places[g->free_count++] = (uint32_t)(c->number & PLACE_MASK);
	free(c);
}

void
client_free_if_done(struct client *c)
{
	if (c->bev == NULL && c->flying == 0 && !c->is_reading && !c->has_close_due)
		client_free(c);
}

void
client_drop(struct client *c)
{
	if (c->bev == NULL)
		return;
	if (queue_parser_is_in_put(&c->parser))
		session_count(c->g, QUEUE_CMD_PUT); /* as beanstalkd, which counts heads */
	close_socket(c);
	forget_requests(c);
	unblock(c);
	if (c->phase == CLIENT_OPEN)
		request_close(c); /* a client that is opening closes when it is open */
	client_free_if_done(c);
}

/* ------------------------------------------------------------------------------ replies */

void
client_say(struct client *c, const void *bytes, size_t count)
{
	if (evbuffer_add(client_output(c), bytes, count) != 0)
		c->has_failed = true;
}

void
client_say_text(struct client *c, struct evbuffer *text)
{
	if (evbuffer_add_buffer(client_output(c), text) != 0)
		c->has_failed = true;
}

void
client_reply_word(struct client *c, enum queue_reply reply)
{
	char text[QUEUE_REPLY_BYTES_MAX];

	client_say(c, text, queue_reply_word(reply, text, sizeof(text)));
}

void
client_finish(struct client *c)
{
	struct request *r = c->first;

	queue_assert(r != NULL);
	if (c->waiting == r)
		c->waiting = r->next;
	if (c->unanswered == r)
		c->unanswered = r->next;
	c->first = r->next;
	if (c->first == NULL)
		c->last = NULL;
	c->request_count--;
	c->request_bytes -= r->tail_bytes;
	c->is_read_due = false;
	if (c->first == c->waiting) /* a barrier is the last that was started */
		c->has_barrier = false;
	c->reserve_count -= r->is_counted;
	request_free(r);
}

/* ------------------------------------------------------------------------------ what it says */

static void
append(struct client *c, struct request *r)
{
	if (c->last == NULL)
		c->first = r;
	else
		c->last->next = r;
	c->last = r;
	if (c->unanswered == NULL)
		c->unanswered = r;
	if (c->waiting == NULL)
		c->waiting = r;
	c->request_count++;
	c->request_bytes += r->tail_bytes;
}

static void
begin_put(struct client *c, const struct queue_request *q)
{
	/* What this client has asked for before may make room: then the log decides. */
	if (c->request_count == 0 && !queue_machine_had_room(c->g->machine, q->bytes)) {
		queue_parser_skip_body(&c->parser, QUEUE_REPLY_OUT_OF_MEMORY);
		return;
	}
	c->filling = request_create(c, q);
	if (c->filling == NULL)
		queue_parser_skip_body(&c->parser, QUEUE_REPLY_OUT_OF_MEMORY);
}

/* Drain mode is looked at when a put is complete, as beanstalkd does. */
static const struct queue_request drained_put = {
	.verb = QUEUE_VERB_ERROR,
	.reply = QUEUE_REPLY_DRAINING,
	.counter = QUEUE_CMD_PUT,
	.is_producer = true,
};

static void
on_request(struct client *c, const struct queue_request *q)
{
	struct request *r = c->filling;

	if (q->verb == QUEUE_VERB_BODY_END &&
		atomic_load_explicit(&c->g->is_draining, memory_order_relaxed))
		q = &drained_put;
	switch (q->verb) {
	case QUEUE_VERB_NONE: return;
	case QUEUE_VERB_PUT: begin_put(c, q); return;
	case QUEUE_VERB_BODY:
		memcpy(r->tail + r->command.tail_bytes, q->part, q->part_bytes);
		r->command.tail_bytes += q->part_bytes;
		return;
	case QUEUE_VERB_BODY_END: break;
	case QUEUE_VERB_QUIT: c->has_quit = true; return;
	default:
		request_free(r); /* of a put that ended otherwise */
		r = request_create(c, q);
	}
	c->filling = NULL;
	if (r == NULL)
		c->has_failed = true;
	else
		append(c, r);
}

static bool
has_room(const struct client *c)
{
	return !c->has_quit && !c->has_failed && c->request_count < REQUEST_COUNT_MAX &&
	       c->request_bytes < REQUEST_BYTES_MAX && unsent_bytes(c) < OUTPUT_BYTES_MAX;
}

/* @return whether there was anything to take */
static bool
take_input(struct client *c)
{
	struct evbuffer *input = input_of(c);
	struct queue_request q;
	bool did = false;
	size_t count;

	while (has_room(c) && (count = evbuffer_get_contiguous_space(input)) > 0) {
		size_t taken = queue_parser_feed(
			&c->parser, evbuffer_pullup(input, (ev_ssize_t)count), count, &q);

		on_request(c, &q);
		evbuffer_drain(input, taken);
		did = true;
	}
	return did;
}

/* ---------------------------------------------------------------------------- as far as it goes */

static bool
start_requests(struct client *c)
{
	bool did = false;

	if (c->is_read_due && c->blocked == BLOCKED_NOT)
		read_ask(c);
	while (c->bev != NULL && c->waiting != NULL && c->blocked == BLOCKED_NOT &&
		unsent_bytes(c) < OUTPUT_BYTES_MAX && request_start(c))
		did = true;
	return did;
}

static bool
is_over(const struct client *c)
{
	return c->has_failed ||
	       (c->first == NULL && (c->has_quit || (c->has_eof && unread_bytes(c) == 0)));
}

/* All is answered. If the replies are not sent yet, its socket stays a little. */
static void
end(struct client *c)
{
	const struct timeval patience = { .tv_sec = SEND_TIMEOUT_S };

	if (c->has_failed || (c->is_unflushed && !flush(c)) || unsent_bytes(c) == 0) {
		client_drop(c);
		return;
	}
	bufferevent_disable(c->bev, EV_READ);
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	bufferevent_set_timeouts(c->bev, NULL, &patience);
}

static void
on_hang_up(evutil_socket_t fd, short events, void *context)
{
	struct client *c = context;

	(void)fd, (void)events;
	c->has_hung_up = true;
	client_run(c);
}

/* Nobody reads its end, but who waits for a job must not get one when it is gone. */
static void
watch_hang_up(struct client *c)
{
	c->hang_up = event_new(c->g->base, bufferevent_getfd(c->bev), EV_CLOSED, on_hang_up, c);
	if (c->hang_up != NULL)
		(void)event_add(c->hang_up, NULL); /* without it, it goes when it is answered */
}

/* A read watermark would do, but libevent calls back, again and again and nobody else meanwhile, as
 * long as there is as much as that. */
static void
pause_reading(struct client *c)
{
	size_t waiting = evbuffer_get_length(bufferevent_get_input(c->bev));

	if (!c->is_paused && waiting >= INPUT_BYTES_MAX) {
		c->is_paused = true;
		bufferevent_disable(c->bev, EV_READ);
		watch_hang_up(c);
	} else if (c->is_paused && waiting < INPUT_BYTES_MAX) {
		c->is_paused = false;
		watch_no_more(c);
		bufferevent_enable(c->bev, EV_READ);
	}
}

void
client_run(struct client *c)
{
	bool did;

	if (c->bev == NULL) {
		if (c->has_close_due)
			request_close(c);
		client_free_if_done(c);
		return;
	}
	do {
		did = take_input(c);
		did |= start_requests(c);
	} while (did);
	pause_reading(c);
	if (c->parked != NULL && (c->has_eof || c->has_hung_up) && c->flying == 0 &&
		c->blocked == BLOCKED_NOT)
		request_cancel(c);
	if (c->tls != NULL)
		tls_push(c);
	if (is_over(c))
		end(c);
}

/* ------------------------------------------------------------------------------ its socket */

static void
on_readable(struct bufferevent *bev, void *context)
{
	(void)bev;
	client_run(context);
}

static void
on_written(struct bufferevent *bev, void *context)
{
	struct client *c = context;

	if (c->tls == NULL && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		bufferevent_disable(bev, EV_WRITE); /* what comes now is ours again: flush() */
	client_run(c);
}

static void
on_event(struct bufferevent *bev, short events, void *context)
{
	struct client *c = context;

	(void)bev;
	if ((events & BEV_EVENT_EOF) == 0) {
		client_drop(c);
		return;
	}
	c->has_eof = true;
	client_run(c);
}

bool
client_accept(struct queue_gateway *g, evutil_socket_t fd, bool is_tls)
{
	struct client *c = g->free_count == 0 ? NULL : calloc(1, sizeof(*c));
	uint32_t place;

	if (c != NULL)
		c->bev = bufferevent_socket_new(g->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c == NULL || c->bev == NULL) {
		evutil_closesocket(fd);
		free(c);
		return false;
	}
	c->g = g;
	if (is_tls && !tls_begin(c)) {
		bufferevent_free(c->bev);
		free(c);
		return false;
	}
	place = g->free_places[--g->free_count];
	c->number = ++g->generation * CLIENT_COUNT_MAX + place;
	c->blocked = BLOCKED_NOT;
	c->flying_max = REQUEST_COUNT_MAX;
	queue_parser_init(&c->parser, g->options.job_bytes_max);
	g->clients[place] = c;
	bufferevent_setcb(c->bev, on_readable, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_BYTES_LOW, 0);
	bufferevent_enable(c->bev, is_tls ? EV_READ | EV_WRITE : EV_READ);
	if (!is_tls)
		bufferevent_disable(c->bev, EV_WRITE); /* see flush() */
	return true;
}
