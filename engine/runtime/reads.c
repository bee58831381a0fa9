/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Old values, read back from the log: for a peer that fell behind further than the core's ring
 * reaches, for this node's own apply after a restart, and for log requests of clients.
 *
 * A read names a slot; the index names its place. The record that comes back says itself which slot
 * it holds, and a mismatch (the index's place was reused) counts as "not here". A read of the core
 * that fails is dropped: the core asks again, or asks somebody else.
 */
#include "engine/runtime/shard_private.h"

static struct read_request *
acquire(struct shard *s)
{
	for (uint32_t i = 0; i < READ_COUNT_MAX; i++)
		if (s->reads[i].kind == READ_FREE)
			return &s->reads[i];
	return NULL;
}

static void
start(struct shard *s, struct read_request *r)
{
	uint64_t token = (uint64_t)(r - s->reads);

	if (s->config.log_ops->read(s->log, r->position, token) != 0)
		return; /* too many in flight: reads_kick() tries again */
	r->is_started = true;
	s->read_waiting_count--;
}

static bool
ask(struct shard *s, const struct read_request *wanted)
{
	struct read_request *r = wanted->position == 0 ? NULL : acquire(s);

	if (r == NULL) {
		s->counters.reads_failed++;
		return false;
	}
	*r = *wanted;
	r->is_started = false;
	s->read_open_count++;
	s->read_waiting_count++;
	s->counters.reads++;
	start(s, r);
	return true;
}

void
reads_ask(struct shard *s, struct shard_group *g, const struct eng_read *read)
{
	struct read_request wanted = {
		.kind = READ_CORE,
		.group = g,
		.slot = read->slot,
		.position = index_get(&s->index_pool, &g->index, read->slot),
		.requester = read->requester,
	};

	(void)ask(s, &wanted); /* a failure is counted; the core repeats what it needs */
}

bool
reads_ask_job(struct shard *s, struct log_job *job, uint16_t job_slot, struct decree_slot slot)
{
	struct read_request wanted = {
		.kind = READ_JOB,
		.group = job->group,
		.slot = slot,
		.position = index_get(&s->index_pool, &job->group->index, slot),
		.job = (uint16_t)(job - s->jobs),
		.job_slot = job_slot,
	};

	return ask(s, &wanted);
}

void
reads_kick(struct shard *s)
{
	for (uint32_t i = 0; s->read_waiting_count > 0 && i < READ_COUNT_MAX; i++) {
		struct read_request *r = &s->reads[i];
		uint32_t before = s->read_waiting_count;

		if (r->kind == READ_FREE || r->is_started)
			continue;
		start(s, r);
		if (s->read_waiting_count == before)
			return;
	}
}

static void
give_to_core(struct shard *s, const struct read_request *r, const struct log_completion *c)
{
	struct eng_event event = {
		.type = ENG_EV_VALUE,
		.now_ns = s->now_ns,
		.value = {
			.requester = r->requester,
			.tag = c->tag,
			.value = c->payload,
			.bytes = c->payload_bytes,
		},
	};

	if (room_for(s, r->group, ROOM_STEP))
		shard_step(s, r->group, &event);
}

void
reads_on_completion(struct shard *s, const struct log_completion *c)
{
	decree_assert(c->token < READ_COUNT_MAX);
	struct read_request *r = &s->reads[c->token];
	struct read_request done = *r;
	bool is_good = c->rc == 0 && tag_group(c->tag) == r->group->config.group &&
		       tag_slot(c->tag).n == r->slot.n;

	decree_assert(r->kind != READ_FREE && r->is_started);
	r->kind = READ_FREE;
	s->read_open_count--;
	if (!is_good)
		s->counters.reads_failed++;
	if (c->rc != 0 && c->rc != -ENOTSUP && c->rc != -ENODATA)
		shard_note(s, done.group, NOTE_LOG_UNREADABLE,
			"group %u: slot %llu cannot be read back from the log: %s",
			done.group->config.group, (unsigned long long)done.slot.n,
			strerror(-c->rc));
	if (done.kind == READ_JOB)
		report_log_value(s, &s->jobs[done.job], done.job_slot, is_good ? c->payload : NULL,
			c->payload_bytes);
	else if (is_good)
		give_to_core(s, &done, c);
}
