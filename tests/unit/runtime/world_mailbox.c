/* SPDX-License-Identifier: Apache-2.0 */
/* A proposer of the world: commands and reads that wait to be taken, and their outcomes. */
#include "tests/unit/runtime/world.h"

#include "base/assert.h"
#include "engine/runtime/shard_private.h"

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
mail_complete(void *ctx, uint64_t first, uint32_t count, enum decree_outcome outcome,
	const struct decree_answer *answers)
{
	struct world_mailbox *m = ctx;

	decree_assert((answers != NULL) == (outcome == DECREE_APPLIED));
	for (uint64_t seq = first; seq < first + count; seq++) {
		struct decree_completion *done = &m->completions[seq % WORLD_MAIL_COUNT_MAX];

		decree_assert(seq <= m->popped && done->seq < seq); /* each is told once */
		*done = (struct decree_completion){
			.seq = seq,
			.outcome = outcome,
			.status = answers != NULL ? answers[seq - first].status : 0,
			.result = answers != NULL ? answers[seq - first].result : 0,
		};
	}
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
world_mailbox_empty(struct world_mailbox *m)
{
	m->pushed = m->popped = m->consumed = m->completed = 0;
	m->query_pushed = m->query_popped = m->query_completed = 0;
	memset(m->completions, 0, sizeof(m->completions));
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

void
world_evict(struct world *w, struct world_node *leader, const struct world_node *n,
	struct decree_session session)
{
	struct shard *s = leader->shard;
	uint8_t body[ENG_REGISTRATION_GATEWAY_BYTES];
	const struct eng_registration later = {
		.token = "a copy of it",
		.node_id = n->node_id,
		.opened = 99,
		.boot_count = n->boot_count,
	};
	uint32_t bytes = eng_registration_encode(&later, body);

	for (uint32_t i = 1; eng_session_row(s->groups[0].sessions, session) >= 0; i++) {
		decree_assert(i < 2 * leader->eng.session_count);
		s->submit[0] = (struct eng_command){ .body = body, .bytes = bytes };
		shard_submit(s, &s->groups[0], 1);
		decree_assert(s->submit_status[0] == ENG_SUBMIT_OK);
		world_run(w, 10000000);
		bytes = ENG_REGISTRATION_CLIENT_BYTES; /* from here on */
		body[15] = (uint8_t)i;
	}
}
