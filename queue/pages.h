/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pages.h
 * Answers to queries, and those of them that are a page of a long list. Only for the files that
 * answer (query.h).
 */
#ifndef QUEUE_PAGES_H
#define QUEUE_PAGES_H

#include "queue/bytes.h"
#include "queue/private.h"
#include "queue/query.h"

/* Where an answer goes, in pieces that must fit whole. */
struct writer {
	uint8_t *bytes;
	uint32_t count, capacity;
};

static inline uint32_t
left(const struct writer *w)
{
	return w->capacity - w->count;
}

static inline bool
write_numbers(struct writer *w, const uint64_t *numbers, uint32_t count)
{
	if (left(w) < count * 8)
		return false;
	for (uint32_t i = 0; i < count; i++, w->count += 8)
		queue_store_u64(w->bytes + w->count, numbers[i]);
	return true;
}

static inline bool
write_name(const struct queue_machine *m, struct writer *w, uint32_t tube)
{
	const struct object *o = object_at(m, tube);

	if (left(w) < o->payload_bytes)
		return false;
	payload_read(m, o, 0, w->bytes + w->count, o->payload_bytes);
	w->count += o->payload_bytes;
	return true;
}

static inline uint64_t
time_left(const struct queue_machine *m, uint64_t until_ns)
{
	return until_ns > m->globals.now_ns ? until_ns - m->globals.now_ns : 0;
}

/** The numbers of STATS_TUBE. */
void tube_numbers(const struct queue_machine *m, uint32_t tube, uint64_t n[QUEUE_TUBE_STAT_COUNT]);
/** @return the oldest tube with a number above this one, or none */
uint32_t tube_behind(const struct queue_machine *m, uint64_t number);

/** @return bytes of the answer, or -errno, as query.h says */
int32_t page_tubes(const struct queue_machine *m, uint64_t after, struct writer *w);
int32_t page_jobs(const struct queue_machine *m, const struct queue_query *q, struct writer *w);
int32_t page_held(const struct queue_machine *m, const struct queue_query *q, struct writer *w);

#endif
