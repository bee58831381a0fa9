/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a connection's bytes into lines and bodies.
 *
 * A line is looked for in the first 224 bytes: the first CR there must have LF behind it. If it has
 * not, or there is none, those 224 are thrown away, and so are further windows of 224 up to one
 * whose first CR has LF behind it; then comes BAD_FORMAT, and what follows is a new line. That is
 * how beanstalkd finds its way back, and clients are told the same by both: a CR LF that falls on
 * the border of two windows is overlooked, and one CR in the middle spoils its window.
 *
 * Behind the head of a put come as many bytes as it said and two more. Are these no CR LF,
 * EXPECTED_CRLF is all that happens: the next line begins right behind them. Too large a body is
 * thrown away unseen, its last two bytes as well.
 */
#include "queue/protocol.h"

#include "queue/assert.h"
#include "queue/request.h"

#include <string.h>

#define BODY_END_BYTES 2

enum state {
	STATE_LINE = 0,
	STATE_LONG_LINE, /* of a line that was too long: up to its end */
	STATE_BODY,
	STATE_BODY_END,
	STATE_SKIP, /* body_left bytes, then skip_reply */
};

void
queue_parser_init(struct queue_parser *p, uint32_t job_bytes_max)
{
	memset(p, 0, sizeof(*p));
	p->job_bytes_max = job_bytes_max;
}

static void
start_skip(struct queue_parser *p, uint64_t bytes, enum queue_reply reply, bool is_producer)
{
	p->state = STATE_SKIP;
	p->skip_reply = (uint8_t)reply;
	p->skip_is_producer = is_producer;
	p->body_left = bytes;
}

void
queue_parser_skip_body(struct queue_parser *p, enum queue_reply reply)
{
	uint64_t bytes = p->body_left + BODY_END_BYTES - p->line_bytes;

	p->line_bytes = 0;
	start_skip(p, bytes, reply, true);
}

bool
queue_parser_is_idle(const struct queue_parser *p)
{
	return p->state == STATE_LINE && p->line_bytes == 0;
}

bool
queue_parser_is_in_put(const struct queue_parser *p)
{
	return p->state == STATE_BODY || p->state == STATE_BODY_END || p->state == STATE_SKIP;
}

static void
request_none(struct queue_request *r)
{
	*r = (struct queue_request){ .verb = QUEUE_VERB_NONE, .counter = QUEUE_COUNTER_COUNT };
}

/* @return bytes of the line with its end, or 0: there is no end in it */
static uint32_t
find_line_end(const void *bytes, size_t count)
{
	const char *cr = count < 2 ? NULL : memchr(bytes, '\r', count - 1);

	return cr != NULL && cr[1] == '\n' ? (uint32_t)(cr + 2 - (const char *)bytes) : 0;
}

/* A line is complete: it is [0, line_bytes) of @p line, its end included. */
static void
on_line(struct queue_parser *p, const char *line, uint32_t line_bytes,
	struct queue_request *ret_request)
{
	if (p->state == STATE_LONG_LINE) {
		p->state = STATE_LINE;
		request_error(ret_request, QUEUE_REPLY_BAD_FORMAT);
		return;
	}
	request_parse(line, line_bytes - 2, p->job_bytes_max, ret_request);
	if (ret_request->verb == QUEUE_VERB_PUT) {
		p->body_left = ret_request->bytes;
		p->state = p->body_left != 0 ? STATE_BODY : STATE_BODY_END;
	} else if (ret_request->verb == QUEUE_VERB_ERROR &&
		   ret_request->reply == QUEUE_REPLY_JOB_TOO_BIG) {
		start_skip(p, (uint64_t)ret_request->bytes + BODY_END_BYTES,
			QUEUE_REPLY_JOB_TOO_BIG, false);
		request_none(ret_request); /* it is told when the body is over */
	}
}

/* @return bytes taken */
static size_t
feed_line(struct queue_parser *p, const uint8_t *bytes, size_t count,
	struct queue_request *ret_request)
{
	uint32_t had = p->line_bytes, room = QUEUE_LINE_BYTES_MAX - had, end;

	if (had == 0) { /* the usual case: a whole line, nothing to copy */
		end = find_line_end(bytes, count < room ? count : room);
		if (end != 0) {
			on_line(p, (const char *)bytes, end, ret_request);
			return end;
		}
	}
	if (count > room)
		count = room;
	memcpy(p->line + had, bytes, count);
	p->line_bytes = (uint8_t)(had + count);
	end = find_line_end(p->line, p->line_bytes);
	if (end != 0) {
		queue_assert(end > had);
		p->line_bytes = 0;
		on_line(p, p->line, end, ret_request);
		return end - had;
	}
	if (p->line_bytes == QUEUE_LINE_BYTES_MAX) {
		p->state = STATE_LONG_LINE;
		p->line_bytes = 0;
	}
	return count;
}

static size_t
feed_body(struct queue_parser *p, const uint8_t *bytes, size_t count,
	struct queue_request *ret_request)
{
	if (count > p->body_left)
		count = p->body_left;
	p->body_left -= count;
	if (p->body_left == 0)
		p->state = STATE_BODY_END;
	ret_request->verb = QUEUE_VERB_BODY;
	ret_request->part = bytes;
	ret_request->part_bytes = (uint32_t)count;
	return count;
}

static size_t
feed_body_end(struct queue_parser *p, const uint8_t *bytes, size_t count,
	struct queue_request *ret_request)
{
	size_t taken = 0;

	while (taken < count && p->line_bytes < BODY_END_BYTES)
		p->line[p->line_bytes++] = (char)bytes[taken++];
	if (p->line_bytes < BODY_END_BYTES)
		return taken;
	p->line_bytes = 0;
	p->state = STATE_LINE;
	if (memcmp(p->line, "\r\n", BODY_END_BYTES) == 0) {
		ret_request->verb = QUEUE_VERB_BODY_END;
	} else {
		request_error(ret_request, QUEUE_REPLY_EXPECTED_CRLF);
		ret_request->counter = QUEUE_CMD_PUT;
		ret_request->is_producer = true;
	}
	return taken;
}

static size_t
feed_skip(struct queue_parser *p, size_t count, struct queue_request *ret_request)
{
	if (count > p->body_left)
		count = p->body_left;
	p->body_left -= count;
	if (p->body_left == 0) {
		p->state = STATE_LINE;
		request_error(ret_request, p->skip_reply);
		ret_request->counter = QUEUE_CMD_PUT;
		ret_request->is_producer = p->skip_is_producer;
	}
	return count;
}

size_t
queue_parser_feed(struct queue_parser *p, const uint8_t *bytes, size_t count,
	struct queue_request *ret_request)
{
	size_t taken = 0;

	request_none(ret_request);
	while (taken < count && ret_request->verb == QUEUE_VERB_NONE) {
		const uint8_t *at = bytes + taken;
		size_t left = count - taken;

		if (p->state == STATE_BODY)
			taken += feed_body(p, at, left, ret_request);
		else if (p->state == STATE_BODY_END)
			taken += feed_body_end(p, at, left, ret_request);
		else if (p->state == STATE_SKIP)
			taken += feed_skip(p, left, ret_request);
		else
			taken += feed_line(p, at, left, ret_request);
	}
	return taken;
}
