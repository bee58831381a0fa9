/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads: one of a client at a time. Lists that do not fit one answer come piece by piece into the
 * request's text, and so do bodies that have no room in the handover.
 *
 * They are linearizable: the first answer is, and what is asked on is asked of the same state or a
 * later one, since that is this node's own. So is the body of a job that was reserved: this node
 * has executed the reserve. A job may go while its body comes in pieces. Then it was not found; but
 * a peek at the first job of a tube looks for the first one again, since there may have been one
 * all the time. And a reserve that cannot give a job to its worker any more, since it has timed out
 * and somebody else has deleted it, is proposed again. If what stands behind it was proposed
 * already, and may be what has deleted the job, there is no reply that would be true: the client is
 * dropped.
 */
#include "queue/serve/private.h"

#include "queue/bytes.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

/* The job was reserved, and its body is missing. */
static bool
is_reserve(const struct request *r)
{
	return r->command.op != 0;
}

static bool
is_peek(const struct request *r)
{
	return r->query.kind >= QUEUE_PEEK && r->query.kind <= QUEUE_PEEK_BURIED && !is_reserve(r);
}

void
read_ask(struct client *c)
{
	struct queue_gateway *g = c->g;
	struct request *r = c->first;
	const struct queue_query piece = { .kind = QUEUE_PEEK, .id = r->id, .offset = r->offset };
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(r->offset > 0 ? &piece : &r->query, query, sizeof(query));
	int rc;

	queue_assert(bytes > 0 && c->is_read_due && !c->is_reading);
	rc = decree_read(g->proposer, query, (uint32_t)bytes,
		is_reserve(r) || r->text != NULL ? DECREE_STALE : DECREE_LINEARIZABLE, c);
	if (rc == -EAGAIN) {
		client_block(c, BLOCKED_READ);
		return;
	}
	if (rc != 0) {
		g->phase = GATEWAY_OVER; /* the node has stopped */
		return;
	}
	c->is_read_due = false;
	c->is_reading = true;
	g->reading++;
}

void
read_body(struct client *c)
{
	struct request *r = c->first;

	r->query = (struct queue_query){ .kind = QUEUE_PEEK, .id = r->id };
	c->is_read_due = true;
	read_ask(c);
}

/* ------------------------------------------------------------------------------ pieces */

static void
ask_again(struct client *c)
{
	c->is_read_due = true;
	read_ask(c);
}

static void
forget_text(struct request *r)
{
	if (r->text != NULL)
		evbuffer_free(r->text);
	r->text = NULL;
	r->offset = 0;
	r->is_told = false;
}

/* @return false: there is no memory */
static bool
add_text(struct request *r, const void *bytes, size_t count)
{
	if (r->text == NULL)
		r->text = evbuffer_new();
	return r->text != NULL && evbuffer_add(r->text, bytes, count) == 0;
}

static void
fail(struct client *c, enum queue_reply reply)
{
	client_reply_word(c, reply);
	client_finish(c);
}

/* A line, what was gathered, and its end. */
static void
finish_text(struct client *c, const char *line, size_t line_bytes)
{
	client_say(c, line, line_bytes);
	if (c->first->text != NULL)
		client_say_text(c, c->first->text);
	client_say(c, "\r\n", 2);
	client_finish(c);
}

static void
finish_body(struct client *c, const struct request *r)
{
	char line[QUEUE_REPLY_BYTES_MAX];
	size_t count = is_reserve(r)
			       ? queue_reply_reserved(r->id, r->body_bytes, line, sizeof(line))
			       : queue_reply_found(r->id, r->body_bytes, line, sizeof(line));

	finish_text(c, line, count);
}

static void
on_body(struct client *c, struct request *r, const uint8_t *answer, uint32_t bytes)
{
	bool is_first = r->offset == 0;

	queue_assert(bytes >= 12);
	if (is_peek(r) && r->is_told && r->id == queue_load_u64(answer)) {
		finish_body(c, r);
		return;
	}
	if (is_peek(r) && r->is_told)
		forget_text(r); /* what an earlier peek has found */
	r->id = queue_load_u64(answer);
	r->body_bytes = queue_load_u32(answer + 8);
	if (bytes > 12 && !add_text(r, answer + 12, bytes - 12)) {
		if (is_reserve(r))
			c->has_failed = true; /* and the job comes back */
		else
			fail(c, QUEUE_REPLY_OUT_OF_MEMORY);
		return;
	}
	r->offset += bytes - 12;
	if (r->offset == r->body_bytes)
		finish_body(c, r);
	else if (is_first && is_peek(r))
		answer_expect(c);
	else
		ask_again(c);
}

void
read_go_on(struct client *c)
{
	ask_again(c);
}

/* Before the read is completed, where it may also be that of the peek before, or right behind it.
 * If it comes later, the same body comes in pieces already. */
static bool
is_welcome(const struct client *c, const struct handover_word *word)
{
	const struct request *r = c->first;

	if (r == NULL || !is_peek(r))
		return false;
	return c->is_expecting ? r->id == word->id : c->is_reading && r->offset == 0;
}

void
read_on_found(struct client *c, const struct handover_word *word)
{
	struct request *r = c->first;

	if (!is_welcome(c, word))
		return;
	forget_text(r);
	r->text = evbuffer_new();
	if (r->text == NULL || !answer_add_body(c->g, r->text, word)) {
		forget_text(r); /* it comes in pieces */
		return;
	}
	r->is_told = true;
	r->id = word->id;
	r->body_bytes = word->body_bytes;
	if (!c->is_expecting)
		return;
	answer_expect_no_more(c);
	finish_body(c, r);
	answer_settle(c);
	client_run(c);
}

static void
on_tubes(struct client *c, struct request *r, const uint8_t *answer, uint32_t bytes)
{
	char item[QUEUE_REPLY_BYTES_MAX];
	bool has_memory = true;

	if (r->text == NULL)
		has_memory = add_text(r, item, queue_yaml_list(item, sizeof(item)));
	for (uint32_t at = 0; at < bytes; at += 9u + answer[at + 8]) {
		size_t count = queue_yaml_item(answer + at + 9, answer[at + 8], item, sizeof(item));

		r->query.id = queue_load_u64(answer + at);
		has_memory = has_memory && add_text(r, item, count);
	}
	if (!has_memory) {
		fail(c, QUEUE_REPLY_OUT_OF_MEMORY);
	} else if (bytes > 0) {
		ask_again(c);
	} else {
		size_t count = queue_reply_ok(evbuffer_get_length(r->text), item, sizeof(item));

		finish_text(c, item, count);
	}
}

/* ------------------------------------------------------------------------------ statistics */

static struct queue_server
describe(const struct queue_gateway *g)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage); /* it cannot fail */
	return (struct queue_server){
		.has_old_yaml = g->options.has_old_yaml,
		.job_bytes_max = g->options.job_bytes_max,
		.pid = (uint64_t)getpid(),
		.user_time_us = (uint64_t)usage.ru_utime.tv_sec * 1000000 +
				(uint64_t)usage.ru_utime.tv_usec,
		.system_time_us = (uint64_t)usage.ru_stime.tv_sec * 1000000 +
				  (uint64_t)usage.ru_stime.tv_usec,
		.uptime_s = (g->now_ns - g->started_ns) / 1000000000,
		.is_draining = atomic_load_explicit(&g->is_draining, memory_order_relaxed),
		.id = g->random_id,
		.hostname = g->hostname,
		.os = g->os,
		.platform = g->platform,
	};
}

static void
run_down(uint64_t *left_ns, uint64_t passed_ns)
{
	*left_ns -= passed_ns < *left_ns ? passed_ns : *left_ns;
}

/* The state is as old as the last slot, which in an idle log may be a second. What is shown is what
 * a clock would say now. Some time has always passed, even if it is less than a tick of that clock:
 * of a TTR of 100 s that has just begun not more than 99 whole seconds are left. */
static void
bring_up_to_date(const struct queue_gateway *g, enum queue_verb verb, uint64_t *numbers)
{
	uint64_t applied_ns = atomic_load_explicit(&g->applied_ns, memory_order_relaxed);
	uint64_t now_ns = gateway_moment_ns();
	uint64_t passed_ns = applied_ns != 0 && applied_ns < now_ns ? now_ns - applied_ns : 1;

	if (verb == QUEUE_VERB_STATS_JOB) {
		numbers[QUEUE_JOB_STAT_AGE_NS] += passed_ns;
		run_down(&numbers[QUEUE_JOB_STAT_LEFT_NS], passed_ns);
	} else if (verb == QUEUE_VERB_STATS_TUBE) {
		run_down(&numbers[QUEUE_TUBE_STAT_PAUSE_LEFT_NS], passed_ns);
	}
}

static void
on_stats(struct client *c, struct request *r, const uint8_t *answer, uint32_t bytes, uint32_t count)
{
	uint64_t numbers[QUEUE_STAT_COUNT];
	struct queue_server server = describe(c->g);
	bool is_old = c->g->options.has_old_yaml;
	char text[QUEUE_STATS_BYTES_MAX];
	size_t length;

	queue_assert(bytes >= 8 * count && count <= QUEUE_STAT_COUNT);
	for (uint32_t i = 0; i < count; i++)
		numbers[i] = queue_load_u64(answer + (size_t)8 * i);
	bring_up_to_date(c->g, r->verb, numbers);
	if (r->verb == QUEUE_VERB_STATS)
		length = queue_reply_stats(&server, numbers, text, sizeof(text));
	else if (r->verb == QUEUE_VERB_STATS_JOB)
		length = queue_reply_stats_job(is_old, numbers, answer + (size_t)8 * count,
			bytes - 8 * count, text, sizeof(text));
	else
		length = queue_reply_stats_tube(
			is_old, numbers, r->tail, r->query.name_bytes, text, sizeof(text));
	queue_assert(length > 0);
	client_say(c, text, length);
	client_finish(c);
}

static void
on_used(struct client *c, const uint8_t *answer, uint32_t bytes)
{
	char text[QUEUE_REPLY_BYTES_MAX];

	client_say(c, text, queue_reply_using(answer, bytes, text, sizeof(text)));
	client_finish(c);
}

/* ------------------------------------------------------------------------------ which is it? */

static void
on_answer(struct client *c, struct request *r, const uint8_t *answer, uint32_t bytes)
{
	switch (r->query.kind) {
	case QUEUE_PEEK:
	case QUEUE_PEEK_READY:
	case QUEUE_PEEK_DELAYED:
	case QUEUE_PEEK_BURIED: on_body(c, r, answer, bytes); break;
	case QUEUE_STATS: on_stats(c, r, answer, bytes, QUEUE_STAT_COUNT); break;
	case QUEUE_STATS_JOB: on_stats(c, r, answer, bytes, QUEUE_JOB_STAT_COUNT); break;
	case QUEUE_STATS_TUBE: on_stats(c, r, answer, bytes, QUEUE_TUBE_STAT_COUNT); break;
	case QUEUE_LIST_TUBES:
	case QUEUE_LIST_TUBES_WATCHED: on_tubes(c, r, answer, bytes); break;
	case QUEUE_TUBE_USED: on_used(c, answer, bytes); break;
	case QUEUE_TUBES:
	case QUEUE_JOBS:
	case QUEUE_HELD: break; /* the protocol has no such question */
	}
}

static void
on_missing(struct client *c, struct request *r)
{
	if (is_reserve(r) && c->waiting != r->next) {
		c->has_failed = true;
		return;
	}
	if (is_peek(r) && r->verb != QUEUE_VERB_PEEK && r->offset > 0) {
		forget_text(r);
		ask_again(c);
		return;
	}
	if (!is_reserve(r) || r->verb == QUEUE_VERB_RESERVE_JOB) {
		fail(c, QUEUE_REPLY_NOT_FOUND);
		return;
	}
	forget_text(r);
	r->query = (struct queue_query){ 0 };
	request_go_back(c, r);
}

void
read_on_done(struct client *c, const struct decree_completion *done)
{
	c->is_reading = false;
	if (c->bev == NULL) {
		client_free_if_done(c);
		return;
	}
	if (done->status == ENOENT)
		on_missing(c, c->first);
	else if (done->status != 0)
		fail(c, QUEUE_REPLY_INTERNAL_ERROR);
	else
		on_answer(c, c->first, done->answer, done->answer_bytes);
	answer_settle(c);
	client_run(c);
}
