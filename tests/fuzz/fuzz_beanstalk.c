/* SPDX-License-Identifier: Apache-2.0 */
/* The beanstalk protocol: any bytes of a client, cut at two different places each time, are the
 * same requests. */
#include "queue/protocol.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define JOB_BYTES_MAX 1000

/* What a client has said so far, as one number, and what must hold of it meanwhile. */
struct hearing {
	struct queue_parser parser;
	uint64_t hash;
	uint64_t body_left;
	bool is_closed;
};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
hear(struct hearing *h, uint64_t word)
{
	h->hash = (h->hash ^ word) * 0x9e3779b97f4a7c15u;
	h->hash ^= h->hash >> 29;
}

static void
hear_bytes(struct hearing *h, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < count; i++)
		hear(h, at[i]);
}

static void
on_request(struct hearing *h, const struct queue_request *r)
{
	must(r->counter <= QUEUE_COUNTER_COUNT);
	must(r->name_bytes <= QUEUE_NAME_BYTES_MAX);
	if (r->verb ==
		QUEUE_VERB_BODY) { /* its parts are not what the client said, its bytes are */
		must(r->part_bytes != 0 && r->part_bytes <= h->body_left);
		h->body_left -= r->part_bytes;
		hear_bytes(h, r->part, r->part_bytes);
		return;
	}
	if (r->verb == QUEUE_VERB_PUT) {
		must(r->bytes <= JOB_BYTES_MAX);
		h->body_left = r->bytes;
		if (r->pri == 1) /* a server without memory */
			queue_parser_skip_body(&h->parser, QUEUE_REPLY_OUT_OF_MEMORY);
	}
	must(r->verb != QUEUE_VERB_BODY_END || h->body_left == 0);
	must(r->verb != QUEUE_VERB_ERROR || r->reply < QUEUE_REPLY_COUNT);
	h->is_closed = r->verb == QUEUE_VERB_QUIT;
	hear(h, r->verb);
	hear(h, r->reply);
	hear(h, r->counter);
	hear(h, r->is_producer);
	hear(h, r->id);
	hear(h, r->pri);
	hear(h, r->delay_s);
	hear(h, r->ttr_s);
	hear(h, r->bytes);
	hear(h, r->bound);
	hear(h, r->timeout_s);
	hear_bytes(h, r->name, r->name_bytes);
}

static void
listen_to(struct hearing *h, const uint8_t *bytes, size_t count)
{
	struct queue_request r;
	size_t at = 0;

	while (at < count && !h->is_closed) {
		size_t taken = queue_parser_feed(&h->parser, bytes + at, count - at, &r);

		must(taken <= count - at);
		at += taken;
		if (r.verb == QUEUE_VERB_NONE)
			must(at == count);
		else
			on_request(h, &r);
	}
}

/* @param pieces  [count] where to cut: how many bytes each time, in turn; none: all at once */
static uint64_t
listen_to_all(const uint8_t *bytes, size_t count, const uint8_t *pieces, size_t piece_count)
{
	struct hearing h = { 0 };

	queue_parser_init(&h.parser, JOB_BYTES_MAX);
	for (size_t at = 0, i = 0; at < count; i++) {
		size_t piece = piece_count == 0 ? count : 1u + pieces[i % piece_count];

		if (piece > count - at)
			piece = count - at;
		listen_to(&h, bytes + at, piece);
		at += piece;
	}
	hear(&h, queue_parser_is_idle(&h.parser));
	return h.hash;
}

/* The first four bytes say where it is cut. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	static const uint8_t ones[1] = { 0 };
	uint64_t hash;

	if (count < 4)
		return 0;
	hash = listen_to_all(data + 4, count - 4, NULL, 0);
	must(listen_to_all(data + 4, count - 4, data, 4) == hash);
	must(listen_to_all(data + 4, count - 4, ones, 1) == hash);
	return 0;
}
