/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings are DPDK's, with one producer and one consumer, over memory of our own: they need no EAL.
 * They cannot overflow: a command is only pushed when the one a whole window before it has its outcome, a
 * read when it has found a place, and the rings hold a window, all places, and both together.
 *
 * The arena. Bodies lie behind each other at growing places; a place is a byte count since the start, so
 * place % arena_bytes is where. A body never wraps: what is left before the end is skipped. The shard's
 * `consumed` is the place behind the last body that was executed; everything below it is free.
 */
#define RTE_USE_C11_MEM_MODEL /* acquire and release in words that ThreadSanitizer understands */

#include "engine/runtime/mailbox.h"

#include "base/assert.h"

#include <errno.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

/* A question and its answer, which stays until the proposer's next call. */
struct read_place {
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
};

struct mailbox {
	uint32_t window;
	size_t arena_bytes;
	uint8_t *arena;
	struct rte_ring *commands; /* of struct mail_command */
	struct rte_ring *outcomes; /* of struct decree_completion */
	struct rte_ring *queries;  /* of struct mail_query */
	struct read_place *places; /* [MAILBOX_READ_COUNT] */
	size_t memory_bytes;

	/* owner: the proposer's thread */
	struct {
		uint64_t seq;   /* of the last command pushed */
		uint64_t place; /* behind its body */
		uint64_t consumed_seen;
		void **cookies;     /* [window] by seq, for mailbox_abandon() */
		bool *is_open;      /* [window] by seq: pushed, no outcome yet */
		uint64_t abandoned; /* seq up to which mailbox_abandon() has looked */
		bool is_read_open[MAILBOX_READ_COUNT];
		void *read_cookies[MAILBOX_READ_COUNT];
		uint32_t read_next; /* place to try first */
	} producer __attribute__((aligned(CACHE_LINE)));

	/* Written by the shard, read by the proposer. Release in consumed(), acquire in mailbox_push(): the
	 * shard's last read of a body happens before the proposer writes over it. */
	_Atomic uint64_t consumed __attribute__((aligned(CACHE_LINE)));
};

static_assert(sizeof(struct mail_command) % 4 == 0, "element of a ring");
static_assert(sizeof(struct decree_completion) % 4 == 0, "element of a ring");
static_assert(sizeof(struct mail_query) % 4 == 0, "element of a ring");

/* For @p capacity elements at least. */
static struct rte_ring *
ring_create(struct mailbox *m, const char *name, uint32_t element_bytes, uint32_t capacity)
{
	uint32_t count = rte_align32pow2(capacity + 1); /* a ring of n holds n - 1 */
	ssize_t bytes = rte_ring_get_memsize_elem(element_bytes, count);
	struct rte_ring *ring;

	if (bytes < 0)
		return NULL;
	ring = aligned_alloc(
		CACHE_LINE, ((size_t)bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
	if (ring == NULL)
		return NULL;
	memset(ring, 0, (size_t)bytes);
	if (rte_ring_init(ring, name, count, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		free(ring);
		return NULL;
	}
	m->memory_bytes += (size_t)bytes;
	return ring;
}

struct mailbox *
mailbox_create(uint32_t window, size_t arena_bytes)
{
	struct mailbox *m = aligned_alloc(CACHE_LINE, sizeof(*m));

	decree_assert(window >= 2 && (window & (window - 1)) == 0 && arena_bytes % CACHE_LINE == 0);
	if (m == NULL)
		return NULL;
	memset(m, 0, sizeof(*m));
	m->window = window;
	m->arena_bytes = arena_bytes;
	m->arena = aligned_alloc(CACHE_LINE, arena_bytes);
	m->producer.cookies = calloc(window, sizeof(*m->producer.cookies));
	m->producer.is_open = calloc(window, sizeof(*m->producer.is_open));
	m->places = calloc(MAILBOX_READ_COUNT, sizeof(*m->places));
	m->commands = ring_create(m, "decree_commands", sizeof(struct mail_command), window);
	m->outcomes = ring_create(m, "decree_outcomes", sizeof(struct decree_completion),
		window + MAILBOX_READ_COUNT);
	m->queries =
		ring_create(m, "decree_queries", sizeof(struct mail_query), MAILBOX_READ_COUNT);
	if (m->arena == NULL || m->producer.cookies == NULL || m->producer.is_open == NULL ||
		m->places == NULL || m->commands == NULL || m->outcomes == NULL ||
		m->queries == NULL) {
		mailbox_destroy(m);
		return NULL;
	}
	memset(m->arena, 0, arena_bytes); /* every page now, none in the loop */
	memset(m->places, 0, MAILBOX_READ_COUNT * sizeof(*m->places));
	m->memory_bytes += sizeof(*m) + arena_bytes + MAILBOX_READ_COUNT * sizeof(*m->places) +
			   window * (sizeof(void *) + sizeof(bool));
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
	free(m->commands);
	free(m->producer.is_open);
	free(m->producer.cookies);
	free(m->arena);
	free(m);
}

size_t
mailbox_bytes(const struct mailbox *m)
{
	return m->memory_bytes;
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
	/* Acquire: pairs with the release in consumed(). */
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
	struct mail_command command;
	memset(&command, 0, sizeof(command)); /* the ring copies padding too */
	command.body = at;
	command.bytes = bytes;
	command.seq = seq;
	command.cookie = cookie;
	command.place = start + bytes;
	m->producer.is_open[index] = true;
	m->producer.cookies[index] = cookie;
	m->producer.seq = seq;
	m->producer.place = start + bytes;
	uint32_t pushed =
		rte_ring_sp_enqueue_bulk_elem(m->commands, &command, sizeof(command), 1, NULL);
	decree_assert(pushed == 1);
	return 0;
}

/* @return MAILBOX_READ_COUNT: none is free */
static uint32_t
free_place(const struct mailbox *m)
{
	for (uint32_t i = 0; i < MAILBOX_READ_COUNT; i++) {
		uint32_t place = (m->producer.read_next + i) % MAILBOX_READ_COUNT;

		if (!m->producer.is_read_open[place])
			return place;
	}
	return MAILBOX_READ_COUNT;
}

int
mailbox_read(struct mailbox *m, const void *query, uint32_t bytes,
	enum decree_consistency consistency, void *cookie)
{
	uint32_t place = free_place(m);
	struct mail_query q;

	decree_assert(bytes <= DECREE_QUERY_BYTES_MAX);
	if (place == MAILBOX_READ_COUNT)
		return -EAGAIN;
	if (bytes > 0)
		memcpy(m->places[place].query, query, bytes);
	memset(&q, 0, sizeof(q)); /* the ring copies padding too */
	q.bytes = m->places[place].query;
	q.count = bytes;
	q.consistency = consistency;
	q.answer = m->places[place].answer;
	q.cookie = cookie;
	m->producer.is_read_open[place] = true;
	m->producer.read_cookies[place] = cookie;
	m->producer.read_next = place + 1;
	uint32_t pushed = rte_ring_sp_enqueue_bulk_elem(m->queries, &q, sizeof(q), 1, NULL);
	decree_assert(pushed == 1);
	return 0;
}

static void
note_outcome(struct mailbox *m, const struct decree_completion *c)
{
	if (c->seq != 0) {
		m->producer.is_open[c->seq & (m->window - 1)] = false;
		return;
	}
	size_t place = (size_t)((const uint8_t *)c->answer - m->places[0].answer) /
		       sizeof(struct read_place);
	decree_assert(place < MAILBOX_READ_COUNT);
	m->producer.is_read_open[place] = false;
}

uint32_t
mailbox_poll(struct mailbox *m, struct decree_completion *ret_completions, uint32_t count_max)
{
	uint32_t count = rte_ring_sc_dequeue_burst_elem(
		m->outcomes, ret_completions, sizeof(*ret_completions), count_max, NULL);

	for (uint32_t i = 0; i < count; i++)
		note_outcome(m, &ret_completions[i]);
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
	for (uint32_t i = 0; i < MAILBOX_READ_COUNT && count < count_max; i++) {
		if (!m->producer.is_read_open[i])
			continue;
		m->producer.is_read_open[i] = false;
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
ring_pop(void *mailbox, struct mail_command *ret_commands, uint32_t count_max)
{
	struct mailbox *m = mailbox;

	return rte_ring_sc_dequeue_burst_elem(
		m->commands, ret_commands, sizeof(*ret_commands), count_max, NULL);
}

static void
ring_consumed(void *mailbox, uint64_t place)
{
	struct mailbox *m = mailbox;

	atomic_store_explicit(&m->consumed, place, memory_order_release);
}

static void
ring_complete(void *mailbox, const struct decree_completion *completions, uint32_t count)
{
	struct mailbox *m = mailbox;
	uint32_t pushed = rte_ring_sp_enqueue_bulk_elem(
		m->outcomes, completions, sizeof(*completions), count, NULL);

	decree_assert(pushed == count);
}

static uint32_t
ring_pop_queries(void *mailbox, struct mail_query *ret_queries, uint32_t count_max)
{
	struct mailbox *m = mailbox;

	return rte_ring_sc_dequeue_burst_elem(
		m->queries, ret_queries, sizeof(*ret_queries), count_max, NULL);
}

const struct mailbox_ops mailbox_ring_ops = {
	.pop = ring_pop,
	.consumed = ring_consumed,
	.complete = ring_complete,
	.pop_queries = ring_pop_queries,
};
