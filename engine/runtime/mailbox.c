/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring is an array and a count of what was ever put into it, which its one writer publishes; its
 * one reader counts for itself what it has taken. Nobody looks whether there is room, since a ring
 * cannot overflow: a command is only pushed when the one a whole window before it has its outcome,
 * a read when it has found a place, and the rings hold a window, all places, and both together.
 * (DPDK's rte_ring copies such elements word by word, and counts at both ends: 45 instructions more
 * for each command, and as many for its outcome.)
 *
 * What comes back is told by runs of commands: the ring of outcomes says how each run ended, and
 * the machine's answers lie in an array by seq. Whose cookie it is the proposer knows by itself, so
 * a completion is made where it is read.
 *
 * The arena. Bodies lie behind each other at growing places; a place is a byte count since the
 * start, so place % arena_bytes is where. A body never wraps: what is left before the end is
 * skipped. The shard's `consumed` is the place behind the last body that was executed; everything
 * below it is free.
 */
#include "engine/runtime/mailbox.h"

#include "base/assert.h"
#include "base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A question and its answer, which stays until the proposer polls again: whoever has polled for
 * many completions may ask on behalf of the first before looking at the second. So there are as
 * many places as may be open and lent together. */
#define PLACE_COUNT (2 * MAILBOX_READ_COUNT)

enum place_state {
	PLACE_FREE = 0,
	PLACE_OPEN, /* no completion yet */
	PLACE_LENT, /* the last poll has told of it */
};

struct read_place {
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct decree_completion done;
};

/* Of commands [first, first + count), or of the read whose place is `count`. */
struct outcome {
	uint64_t first; /* 0: of a read */
	uint32_t count;
	enum decree_outcome outcome;
};

struct mailbox {
	uint32_t window;
	size_t arena_bytes;
	uint8_t *arena;
	struct eng_body *commands;     /* [window] by seq */
	uint64_t *ends;                /* [window] by seq: place behind the body */
	struct decree_answer *answers; /* [window] by seq, of those that were applied */
	struct mail_query *queries;    /* [MAILBOX_READ_COUNT] by number */
	struct outcome *outcomes;      /* [outcome_mask + 1] by number */
	uint32_t outcome_mask;
	struct read_place *places; /* [PLACE_COUNT] */

	/* owner: the proposer's thread */
	struct {
		uint64_t seq;   /* of the last command pushed */
		uint64_t place; /* behind its body */
		uint64_t consumed_seen;
		void **cookies;     /* [window] by seq */
		bool *is_open;      /* [window] by seq: pushed, no outcome yet */
		uint64_t abandoned; /* seq up to which mailbox_abandon() has looked */
		uint8_t place_states[PLACE_COUNT]; /* enum place_state */
		void *read_cookies[PLACE_COUNT];
		uint32_t lent[MAILBOX_READ_COUNT]; /* [lent_count] places */
		uint32_t lent_count;
		uint32_t open_count;    /* of places; at most MAILBOX_READ_COUNT */
		uint32_t read_next;     /* place to try first */
		uint64_t read_count;    /* reads ever pushed */
		uint64_t outcome_count; /* outcomes ever taken */
		uint32_t outcome_done;  /* commands of the next one that were taken before */
	} producer __attribute__((aligned(BASE_CACHE_LINE)));

	/* owner: the shard */
	struct {
		uint64_t command_count; /* commands ever taken, and the seq of the last one */
		uint64_t read_count;    /* reads ever taken */
		uint64_t outcome_count; /* outcomes ever put */
	} shard __attribute__((aligned(BASE_CACHE_LINE)));

	/* Released by the proposer when what they count is whole, acquired by the shard. */
	/* = seq of the last */
	_Atomic uint64_t commands_pushed __attribute__((aligned(BASE_CACHE_LINE)));
	_Atomic uint64_t reads_pushed;

	/* The other way round. `consumed`: the shard's last read of a body happens before the
	 * proposer writes over it. */
	_Atomic uint64_t outcomes_put __attribute__((aligned(BASE_CACHE_LINE)));
	_Atomic uint64_t consumed;
};

/* What one thread writes shares no cache line with what the other one does. */
BASE_ASSERT_APART(struct mailbox, places, producer);
BASE_ASSERT_APART(struct mailbox, producer, shard);
BASE_ASSERT_APART(struct mailbox, shard, commands_pushed);
BASE_ASSERT_APART(struct mailbox, reads_pushed, outcomes_put);
BASE_ASSERT_APART(struct mailbox, commands_pushed, outcomes_put);
static_assert(offsetof(struct mailbox, consumed) / BASE_CACHE_LINE ==
		      offsetof(struct mailbox, outcomes_put) / BASE_CACHE_LINE,
	"the same writer");
BASE_ASSERT_WHOLE_LINES(struct mailbox);

struct mailbox *
mailbox_create(uint32_t window, size_t arena_bytes)
{
	struct mailbox *m = base_zeros(1, sizeof(*m));

	decree_assert(
		window >= 2 && (window & (window - 1)) == 0 && arena_bytes % BASE_CACHE_LINE == 0);
	if (m == NULL)
		return NULL;
	m->window = window;
	m->arena_bytes = arena_bytes;
	m->outcome_mask = 2 * (window < MAILBOX_READ_COUNT ? MAILBOX_READ_COUNT : window) - 1;
	m->arena = base_zeros(arena_bytes, 1);
	m->producer.cookies = base_zeros(window, sizeof(*m->producer.cookies));
	m->producer.is_open = base_zeros(window, sizeof(*m->producer.is_open));
	m->places = base_zeros(PLACE_COUNT, sizeof(*m->places));
	m->commands = base_zeros(window, sizeof(*m->commands));
	m->ends = base_zeros(window, sizeof(*m->ends));
	m->answers = base_zeros(window, sizeof(*m->answers));
	m->queries = base_zeros(MAILBOX_READ_COUNT, sizeof(*m->queries));
	m->outcomes = base_zeros(m->outcome_mask + 1, sizeof(*m->outcomes));
	if (m->arena == NULL || m->producer.cookies == NULL || m->producer.is_open == NULL ||
		m->places == NULL || m->commands == NULL || m->ends == NULL || m->answers == NULL ||
		m->outcomes == NULL || m->queries == NULL) {
		mailbox_destroy(m);
		return NULL;
	}
	return m;
}

void
mailbox_destroy(struct mailbox *m)
{
	if (m == NULL)
		return;
	free(m->queries);
	free(m->places);
	free(m->outcomes);
	free(m->answers);
	free(m->ends);
	free(m->commands);
	free(m->producer.is_open);
	free(m->producer.cookies);
	free(m->arena);
	free(m);
}

static uint32_t
at_most(uint64_t count, uint32_t count_max)
{
	return count < count_max ? (uint32_t)count : count_max;
}

/* ------------------------------------------------------------------------------ proposer */

/* @return where the body may lie; UINT64_MAX = no room yet */
static uint64_t
arena_reserve(struct mailbox *m, uint32_t bytes)
{
	uint64_t start = m->producer.place;
	uint64_t to_end = m->arena_bytes - start % m->arena_bytes;

	if (bytes > to_end)
		start += to_end;
	if (start + bytes - m->producer.consumed_seen <= m->arena_bytes)
		return start;
	/* Acquire: pairs with the release in ring_consumed(). */
	m->producer.consumed_seen = atomic_load_explicit(&m->consumed, memory_order_acquire);
	return start + bytes - m->producer.consumed_seen <= m->arena_bytes ? start : UINT64_MAX;
}

int
mailbox_push(struct mailbox *m, const void *body, uint32_t bytes, void *cookie)
{
	uint64_t seq = m->producer.seq + 1;
	uint32_t index = (uint32_t)(seq & (m->window - 1));
	uint64_t start;

	if (m->producer.is_open[index] || bytes > m->arena_bytes)
		return -EAGAIN;
	start = arena_reserve(m, bytes);
	if (start == UINT64_MAX)
		return -EAGAIN;

	uint8_t *at = m->arena + start % m->arena_bytes;
	if (bytes > 0)
		memcpy(at, body, bytes);
	m->commands[index] = (struct eng_body){
		.body = at,
		.bytes = bytes,
	};
	m->ends[index] = start + bytes;
	m->producer.is_open[index] = true;
	m->producer.cookies[index] = cookie;
	m->producer.seq = seq;
	m->producer.place = start + bytes;
	atomic_store_explicit(&m->commands_pushed, seq, memory_order_release);
	return 0;
}

/* There is one. */
static uint32_t
free_place(const struct mailbox *m)
{
	uint32_t place = m->producer.read_next;

	while (m->producer.place_states[place] != PLACE_FREE)
		place = (place + 1) % PLACE_COUNT;
	return place;
}

int
mailbox_read(struct mailbox *m, const void *query, uint32_t bytes,
	enum decree_consistency consistency, void *cookie)
{
	uint32_t place;

	decree_assert(bytes <= DECREE_QUERY_BYTES_MAX);
	if (m->producer.open_count == MAILBOX_READ_COUNT)
		return -EAGAIN;
	place = free_place(m);
	if (bytes > 0)
		memcpy(m->places[place].query, query, bytes);
	m->queries[m->producer.read_count++ % MAILBOX_READ_COUNT] = (struct mail_query){
		.bytes = m->places[place].query,
		.count = bytes,
		.consistency = consistency,
		.answer = m->places[place].answer,
		.cookie = cookie,
	};
	m->producer.place_states[place] = PLACE_OPEN;
	m->producer.open_count++;
	m->producer.read_cookies[place] = cookie;
	m->producer.read_next = (place + 1) % PLACE_COUNT;
	atomic_store_explicit(&m->reads_pushed, m->producer.read_count, memory_order_release);
	return 0;
}

static void
lend(struct mailbox *m, uint32_t place)
{
	decree_assert(m->producer.place_states[place] == PLACE_OPEN);
	m->producer.place_states[place] = PLACE_LENT;
	m->producer.open_count--;
	m->producer.lent[m->producer.lent_count++] = place;
}

/* What the poll before has told of is not looked at any more. */
static void
free_lent(struct mailbox *m)
{
	for (uint32_t i = 0; i < m->producer.lent_count; i++)
		m->producer.place_states[m->producer.lent[i]] = PLACE_FREE;
	m->producer.lent_count = 0;
}

/* What is left of a run of commands, and as much of it as there is room for. @return how many */
static uint32_t
take_run(struct mailbox *m, const struct outcome *o, struct decree_completion *ret_completions,
	uint32_t count_max)
{
	uint64_t seq = o->first + m->producer.outcome_done;
	uint32_t count = at_most(o->count - m->producer.outcome_done, count_max);

	for (uint32_t i = 0; i < count; i++, seq++) {
		uint32_t index = (uint32_t)(seq & (m->window - 1));

		decree_assert(m->producer.is_open[index]);
		m->producer.is_open[index] = false;
		ret_completions[i] = (struct decree_completion){
			.cookie = m->producer.cookies[index],
			.seq = seq,
			.outcome = o->outcome,
			.status = m->answers[index].status,
			.result = m->answers[index].result,
		};
	}
	m->producer.outcome_done += count;
	return count;
}

uint32_t
mailbox_poll(struct mailbox *m, struct decree_completion *ret_completions, uint32_t count_max)
{
	/* Acquire: pairs with the release in outcome_put(). */
	uint64_t put = atomic_load_explicit(&m->outcomes_put, memory_order_acquire);
	uint32_t count = 0;

	free_lent(m);
	while (count < count_max && m->producer.outcome_count < put) {
		const struct outcome *o = &m->outcomes[m->producer.outcome_count & m->outcome_mask];

		if (o->first == 0) {
			lend(m, o->count);
			ret_completions[count++] = m->places[o->count].done;
		} else {
			count += take_run(m, o, ret_completions + count, count_max - count);
		}
		if (o->first != 0 && m->producer.outcome_done < o->count)
			break;
		m->producer.outcome_done = 0;
		m->producer.outcome_count++;
	}
	return count;
}

uint32_t
mailbox_abandon(struct mailbox *m, struct decree_completion *ret_completions, uint32_t count_max)
{
	uint64_t low = m->producer.seq > m->window ? m->producer.seq - m->window : 0;
	uint32_t count = 0;

	if (m->producer.abandoned < low)
		m->producer.abandoned = low;
	while (count < count_max && m->producer.abandoned < m->producer.seq) {
		uint64_t seq = ++m->producer.abandoned;
		uint32_t index = (uint32_t)(seq & (m->window - 1));

		if (!m->producer.is_open[index])
			continue;
		m->producer.is_open[index] = false;
		ret_completions[count++] = (struct decree_completion){
			.cookie = m->producer.cookies[index],
			.seq = seq,
			.outcome = DECREE_UNKNOWN,
		};
	}
	free_lent(m);
	for (uint32_t i = 0; i < PLACE_COUNT && count < count_max; i++) {
		if (m->producer.place_states[i] != PLACE_OPEN)
			continue;
		lend(m, i);
		ret_completions[count++] = (struct decree_completion){
			.cookie = m->producer.read_cookies[i],
			.outcome = DECREE_UNKNOWN,
			.answer = m->places[i].answer,
		};
	}
	return count;
}

/* ------------------------------------------------------------------------------ shard */

static uint32_t
ring_pop(void *mailbox, struct eng_body *ret_commands, uint32_t count_max)
{
	struct mailbox *m = mailbox;
	uint64_t pushed = atomic_load_explicit(&m->commands_pushed, memory_order_acquire);
	uint32_t count = at_most(pushed - m->shard.command_count, count_max);

	if (count == 0)
		return 0;
	uint32_t index = (uint32_t)(m->shard.command_count + 1) & (m->window - 1);
	uint32_t to_end = at_most(m->window - index, count);
	memcpy(ret_commands, &m->commands[index], to_end * sizeof(*ret_commands));
	memcpy(ret_commands + to_end, m->commands, (count - to_end) * sizeof(*ret_commands));
	m->shard.command_count += count;
	return count;
}

static void
ring_consumed(void *mailbox, uint64_t seq)
{
	struct mailbox *m = mailbox;

	/* Without an outcome it keeps its index: the proposer has not written another end there. */
	atomic_store_explicit(&m->consumed, m->ends[seq & (m->window - 1)], memory_order_release);
}

static void
outcome_put(struct mailbox *m, uint64_t first, uint32_t count, enum decree_outcome outcome)
{
	m->outcomes[m->shard.outcome_count++ & m->outcome_mask] =
		(struct outcome){ .first = first, .count = count, .outcome = outcome };
	/* Release: pairs with the acquire in mailbox_poll(). */
	atomic_store_explicit(&m->outcomes_put, m->shard.outcome_count, memory_order_release);
}

static void
ring_complete(void *mailbox, uint64_t first, uint32_t count, enum decree_outcome outcome,
	const struct decree_answer *answers)
{
	struct mailbox *m = mailbox;
	uint32_t index = (uint32_t)first & (m->window - 1);
	uint32_t to_end = at_most(m->window - index, count);

	if (answers != NULL) {
		memcpy(&m->answers[index], answers, to_end * sizeof(*answers));
		memcpy(m->answers, answers + to_end, (count - to_end) * sizeof(*answers));
	} else {
		memset(&m->answers[index], 0, to_end * sizeof(*answers));
		memset(m->answers, 0, (count - to_end) * sizeof(*answers));
	}
	outcome_put(m, first, count, outcome);
}

static void
ring_complete_read(void *mailbox, const struct decree_completion *completion)
{
	struct mailbox *m = mailbox;
	size_t place = (size_t)((const uint8_t *)completion->answer - m->places[0].answer) /
		       sizeof(struct read_place);

	decree_assert(place < PLACE_COUNT);
	m->places[place].done = *completion;
	outcome_put(m, 0, (uint32_t)place, completion->outcome);
}

static uint32_t
ring_pop_queries(void *mailbox, struct mail_query *ret_queries, uint32_t count_max)
{
	struct mailbox *m = mailbox;
	uint64_t pushed = atomic_load_explicit(&m->reads_pushed, memory_order_acquire);
	uint32_t count = at_most(pushed - m->shard.read_count, count_max);

	for (uint32_t i = 0; i < count; i++)
		ret_queries[i] = m->queries[m->shard.read_count++ % MAILBOX_READ_COUNT];
	return count;
}

const struct mailbox_ops mailbox_ring_ops = {
	.pop = ring_pop,
	.consumed = ring_consumed,
	.complete = ring_complete,
	.complete_read = ring_complete_read,
	.pop_queries = ring_pop_queries,
};
