/* SPDX-License-Identifier: Apache-2.0 */
/* A proposer of the world: commands and reads that wait to be taken, and their outcomes. */
#include "tests/unit/runtime/world.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
mail_pop(void *ctx, struct eng_body *ret, uint32_t count_max)
{
	struct world_mailbox *m = ctx;
	uint32_t count = 0;

	while (count < count_max && m->popped < m->pushed)
		ret[count++] = m->commands[++m->popped % WORLD_MAIL_COUNT_MAX];
	return count;
}

static void
mail_consumed(void *ctx, uint64_t seq)
{
	struct world_mailbox *m = ctx;

	decree_assert(seq > m->consumed && seq <= m->popped);
	m->consumed = seq;
}

static void
mail_complete(void *ctx, uint64_t first, uint32_t count, const struct decree_answer *answers)
{
	struct world_mailbox *m = ctx;

	for (uint64_t seq = first; seq < first + count; seq++)
		m->completions[seq % WORLD_MAIL_COUNT_MAX] = (struct decree_completion){
			.seq = seq,
			.outcome = answers != NULL ? DECREE_APPLIED : DECREE_REFUSED,
			.status = answers != NULL ? answers[seq - first].status : 0,
			.result = answers != NULL ? answers[seq - first].result : 0,
		};
	m->completed += count;
}

static void
mail_complete_read(void *ctx, const struct decree_completion *completion)
{
	struct world_mailbox *m = ctx;

	m->query_completions[(uintptr_t)completion->cookie] = *completion;
	m->query_completed++;
}

static uint32_t
mail_pop_queries(void *ctx, struct mail_query *ret, uint32_t count_max)
{
	struct world_mailbox *m = ctx;
	uint32_t count = 0;

	while (count < count_max && m->query_popped < m->query_pushed)
		ret[count++] = m->queries[m->query_popped++];
	return count;
}

const struct mailbox_ops world_mailbox_ops = { mail_pop, mail_consumed, mail_complete,
	mail_complete_read, mail_pop_queries };

void
world_read(struct world_mailbox *m, enum decree_consistency consistency)
{
	uint32_t number = m->query_pushed++;

	decree_assert(number < WORLD_QUERY_COUNT_MAX);
	m->queries[number] = (struct mail_query){
		.bytes = m->answers[number],
		.consistency = consistency,
		.answer = m->answers[number],
		.cookie = (void *)(uintptr_t)number,
	};
}

#define MAIL_BODY_BYTES 4096

struct world_mailbox *
world_mailbox_new(void)
{
	struct world_mailbox *m = calloc(1, sizeof(*m));

	decree_assert(m != NULL);
	m->bodies = calloc(WORLD_MAIL_COUNT_MAX, MAIL_BODY_BYTES);
	decree_assert(m->bodies != NULL);
	return m;
}

void
world_mailbox_free(struct world_mailbox *m)
{
	free(m->bodies);
	free(m);
}

void
world_propose(struct world_mailbox *m, uint32_t bytes)
{
	uint64_t seq = ++m->pushed;
	uint8_t *body = m->bodies + (seq % WORLD_MAIL_COUNT_MAX) * MAIL_BODY_BYTES;

	decree_assert(bytes <= MAIL_BODY_BYTES);
	memset(body, (int)(seq & 0xff), bytes);
	m->commands[seq % WORLD_MAIL_COUNT_MAX] = (struct eng_body){
		.body = body,
		.bytes = bytes,
	};
}
