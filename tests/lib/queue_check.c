/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/queue_check.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "queue/private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char difference[512];

__attribute__((format(printf, 1, 2))) static const char *
differs(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(difference, sizeof(difference), format, args); /* cut is fine */
	va_end(args);
	return difference;
}

static uint8_t reply[DECREE_ANSWER_BYTES_MAX];

static int32_t
ask(struct queue_machine *m, struct queue_query q)
{
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(&q, query, sizeof(query));

	decree_assert(bytes > 0);
	return queue_machine_ops.read(m, query, (uint32_t)bytes, reply, sizeof(reply));
}

/* What was answered, and what should have been. */
static const char *
check_numbers(
	const char *what, int32_t bytes, bool is_there, const uint64_t *numbers, uint32_t count)
{
	if (!is_there)
		return bytes == -ENOENT ? NULL
					: differs("%s: there is none, and it is answered", what);
	if (bytes < (int32_t)(8 * count))
		return differs("%s: answered with %d bytes", what, bytes);
	for (uint32_t i = 0; i < count; i++)
		if (load_u64(reply + 8 * i) != numbers[i])
			return differs("%s: number %u is %lu and should be %lu", what, i,
				load_u64(reply + 8 * i), numbers[i]);
	return NULL;
}

void
queue_check_begin(const struct queue_machine *m, struct model *ret_model)
{
	static_assert(FOR_JOBS == (int)MODEL_JOBS && FOR_CONNECTIONS == (int)MODEL_CONNECTIONS &&
			      FOR_GATEWAYS == (int)MODEL_GATEWAYS,
		"the same row");

	model_init(ret_model, m->globals.now_ns, m->globals.capacity);
}

const char *
queue_check_stats(struct queue_machine *m, struct model *model)
{
	uint64_t numbers[QUEUE_STAT_COUNT];
	uint64_t next = queue_machine_ops.next_deadline(m);

	model_stats(model, numbers);
	if (next != model_next_deadline(model))
		return differs("the next deadline is %lu and should be %lu", next,
			model_next_deadline(model));
	return check_numbers("stats", ask(m, (struct queue_query){ .kind = QUEUE_STATS }), true,
		numbers, QUEUE_STAT_COUNT);
}

static const char *
check_body(struct queue_machine *m, const struct model_job *j)
{
	uint8_t part[320];

	for (uint32_t at = 0; at <= j->bytes; at += sizeof(part)) {
		uint32_t left = j->bytes - at;
		int64_t bytes = queue_machine_body(m, j->id, at, part, sizeof(part));

		if (bytes != (int64_t)(left < sizeof(part) ? left : sizeof(part)))
			return differs(
				"job %lu: %ld bytes of its body at %u", j->id, (long)bytes, at);
		for (int64_t i = 0; i < bytes; i++)
			if (part[i] != j->first)
				return differs("job %lu: byte %ld of its body is another one",
					j->id, (long)(at + i));
	}
	return NULL;
}

const char *
queue_check_job(struct queue_machine *m, const struct model *model, uint64_t id)
{
	uint64_t numbers[QUEUE_JOB_STAT_COUNT];
	bool is_there = model_job_stats(model, id, numbers);
	int32_t bytes = ask(m, (struct queue_query){ .kind = QUEUE_STATS_JOB, .id = id });
	const struct model_job *j = model->jobs;
	char what[32];

	(void)snprintf(what, sizeof(what), "job %lu", id); /* it fits */
	const char *text = check_numbers(what, bytes, is_there, numbers, QUEUE_JOB_STAT_COUNT);
	if (text != NULL || !is_there)
		return text;
	while (j->id != id)
		j++;
	if (bytes != (int32_t)(QUEUE_JOB_STAT_COUNT * 8 + strlen(j->tube)) ||
		memcmp(reply + QUEUE_JOB_STAT_COUNT * 8, j->tube, strlen(j->tube)) != 0)
		return differs("job %lu: is in another tube than %s", id, j->tube);
	return check_body(m, j);
}

const char *
queue_check_tube(struct queue_machine *m, const struct model *model, const char *name)
{
	uint64_t numbers[QUEUE_TUBE_STAT_COUNT];
	bool is_there = model_tube_stats(model, name, numbers);
	struct queue_query q = {
		.kind = QUEUE_STATS_TUBE,
		.name = name,
		.name_bytes = (uint32_t)strlen(name),
	};

	return check_numbers(name, ask(m, q), is_there, numbers, QUEUE_TUBE_STAT_COUNT);
}

static bool
is_name(const uint8_t *entry, const char *name)
{
	return entry[8] == strlen(name) && memcmp(entry + 9, name, entry[8]) == 0;
}

const char *
queue_check_tubes(struct queue_machine *m, const struct model *model)
{
	struct queue_query list = { .kind = QUEUE_LIST_TUBES };
	int32_t bytes;
	int at = 0;

	while ((bytes = ask(m, list)) > 0)
		for (const uint8_t *e = reply; e < reply + bytes; e += 9 + e[8], at++) {
			list.id = load_u64(e);
			if (at == model->tube_count)
				return differs("there are more than %d tubes", at);
			if (list.id != model->tubes[at].number ||
				!is_name(e, model->tubes[at].name))
				return differs("tube %d is not %s", at, model->tubes[at].name);
		}
	return at == model->tube_count ? NULL
				       : differs("there are %d of %d tubes", at, model->tube_count);
}

static const char *
check_watched(struct queue_machine *m, const struct model_connection *c)
{
	struct queue_query q = {
		.kind = QUEUE_LIST_TUBES_WATCHED, .session = c->session, .connection = c->id
	};
	int32_t bytes;
	int at = 0;

	while ((bytes = ask(m, q)) > 0)
		for (const uint8_t *e = reply; e < reply + bytes; e += 9 + e[8], at++) {
			q.id = load_u64(e);
			if (at == c->watched_count || !is_name(e, c->watched[at].name))
				return differs("connection %lu of %lx: its watch %d is another one",
					c->id, c->session, at);
		}
	return at == c->watched_count ? NULL
				      : differs("connection %lu of %lx: watches %d of %d tubes",
						c->id, c->session, at, c->watched_count);
}

static const char *
check_used(struct queue_machine *m, const struct model_connection *c)
{
	struct queue_query q = {
		.kind = QUEUE_TUBE_USED, .session = c->session, .connection = c->id
	};
	int32_t bytes = ask(m, q);

	return bytes == (int32_t)strlen(c->used) && memcmp(reply, c->used, strlen(c->used)) == 0
		       ? NULL
		       : differs("connection %lu of %lx: does not use %s", c->id, c->session,
				 c->used);
}

const char *
queue_check_connection(
	struct queue_machine *m, const struct model *model, uint64_t session, uint64_t connection)
{
	struct queue_query q = { .session = session, .connection = connection };
	const char *text = NULL;
	char what[64];

	(void)snprintf(what, sizeof(what), "connection %lu of %lx: a peek", connection, session);
	for (q.kind = QUEUE_PEEK_READY; q.kind <= QUEUE_PEEK_BURIED && text == NULL; q.kind++) {
		uint64_t id = model_peek(model, session, connection, q.kind);

		text = check_numbers(what, ask(m, q), id != 0, &id, 1);
	}
	for (int i = 0; i < model->connection_count && text == NULL; i++) {
		const struct model_connection *c = &model->connections[i];

		if (c->session != session || c->id != connection)
			continue;
		text = check_used(m, c);
		if (text == NULL)
			text = check_watched(m, c);
	}
	return text;
}

static bool
is_digest(const struct queue_machine *m, struct decree_digest digest)
{
	struct decree_digest now = queue_machine_ops.digest((struct queue_machine *)m);

	return now.lo == digest.lo && now.hi == digest.hi;
}

/* What it should be without the words that belong to no object: reckoned anew, object by object. */
static struct decree_digest
sum_of_objects(const struct queue_machine *m)
{
	struct decree_digest sum = { 0 };
	uint64_t words[OBJECT_WORDS_MAX];

	for (int kind = 0; kind < KIND_COUNT; kind++)
		for (uint32_t at = m->lists[kind].first; at != 0; at = object_at(m, at)->next) {
			uint32_t count = object_words(m, object_at(m, at), words);
			struct decree_digest term = digest_words(words, count);

			sum.lo += term.lo;
			sum.hi += term.hi;
		}
	return sum;
}

/* Nodes that all forget the same part of their state agree with each other for ever, so it is
 * looked for here. */
const char *
queue_check_digest(struct queue_machine *m)
{
	struct decree_digest digest = queue_machine_ops.digest(m), sum = sum_of_objects(m);
	uint64_t *words = (uint64_t *)&m->globals;
	const char *text = NULL;

	if (m->sum.lo != sum.lo || m->sum.hi != sum.hi)
		return differs("the digest is not that of the objects");
	for (size_t i = 0; i < GLOBAL_WORDS; i++) {
		words[i]++;
		if (is_digest(m, digest))
			text = differs("the digest does not change with global word %zu", i);
		words[i]--;
	}
	m->sum.lo++;
	if (is_digest(m, digest))
		text = differs("the digest does not change with the objects");
	m->sum.lo--;
	return text;
}

const char *
queue_check_all(struct queue_machine *m, struct model *model)
{
	const char *text = queue_check_stats(m, model);

	if (text == NULL)
		text = queue_check_digest(m);
	if (text == NULL)
		text = queue_check_tubes(m, model);
	for (int i = 0; i < model->tube_count && text == NULL; i++)
		text = queue_check_tube(m, model, model->tubes[i].name);
	for (int i = 0; i < model->connection_count && text == NULL; i++)
		text = queue_check_connection(
			m, model, model->connections[i].session, model->connections[i].id);
	for (int i = 0; i < model->job_count && text == NULL; i++)
		text = queue_check_job(m, model, model->jobs[i].id);
	return text;
}
