/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log_reader.h
 * Reading back what a node applied, as a pure state machine: a few ranges of slots are asked for
 * side by side, since each reply is only one frame, and handed over in order.
 *
 * A range is asked for again, from where its last reply ended, until it is covered or its node has
 * applied no more. Silence repeats the question. Replies carry the token of the question, so that a
 * late one to an older question is told apart.
 *
 * Threads: one.  Memory: entries grow with the ranges; this is no hot path.
 */
#ifndef ENGINE_CLIENT_LOG_READER_H
#define ENGINE_CLIENT_LOG_READER_H

#include "engine/runtime/client_msg.h"

#define LOG_READER_RANGE_COUNT 4 /* a node serves as many requests at a time and drops the rest */
#define LOG_READER_RANGE_SLOTS 32
#define LOG_READER_REPEAT_NS   (20 * UINT64_C(1000000))

struct log_range {
	uint64_t first; /* slots [first, after); first == 0: not in use */
	uint64_t after;
	uint64_t next; /* covered up to here */
	uint16_t next_index;
	uint64_t token; /* of the open question */
	uint64_t repeat_at_ns;
	bool is_complete;
	struct decree_log_entry *entries;
	uint32_t entry_count;
	uint32_t entry_capacity;
};

struct log_reader {
	uint16_t group;
	uint64_t next;    /* first slot that no range covers */
	uint64_t applied; /* as the node last said; UINT64_MAX: not yet */
	uint64_t token;
	struct log_range ranges[LOG_READER_RANGE_COUNT]; /* in order, from `head` on */
	uint32_t head;
	uint64_t heard_ns; /* last reply */
	int rc;
};

void log_reader_init(
	struct log_reader *r, uint16_t group, uint64_t first, uint64_t seed, uint64_t now_ns);
void log_reader_fini(struct log_reader *r);

/** The next question to send. @return false: none now */
bool log_reader_request(struct log_reader *r, uint64_t now_ns, struct client_msg *ret_request);

/** Take a LOG_REPLY; others are ignored. */
void log_reader_receive(struct log_reader *r, uint64_t now_ns, const struct client_msg *m);

/**
 * Hand over whole slots in order.
 * @param ret_next  first slot not handed over
 * @return entries written; 0 also when nothing is complete yet: see log_reader_is_done()
 * @retval -ENOBUFS  one slot has more than count_max entries  @retval -ENOMEM
 */
int log_reader_take(struct log_reader *r, struct decree_log_entry *ret_entries, uint32_t count_max,
	struct decree_slot *ret_next);

/** Everything that the node has applied was handed over. */
bool log_reader_is_done(const struct log_reader *r);

#endif
