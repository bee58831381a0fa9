/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/machine_contract.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_COUNT_MAX 65536u
#define BURST           8

/* All answers, folded together in their order. */
struct decree_sink {
	uint64_t answers;
};

struct chunk {
	uint8_t *bytes;
	size_t count;
};

struct taken {
	struct chunk *chunks; /* [count] */
	uint32_t count;
};

struct machine {
	const struct machine_contract *c;
	void *m;
	uint64_t applied; /* commands */
	struct decree_sink sink;
};

void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	uint64_t words[] = { session.n, seq, status, result };

	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sink->answers = (sink->answers ^ words[i]) * 0x9e3779b97f4a7c15ull;
}

static struct machine
machine_new(const struct machine_contract *c)
{
	struct machine m = { .c = c, .m = c->create() };

	decree_assert(m.m != NULL);
	return m;
}

static void
machine_free(struct machine *m)
{
	m->c->destroy(m->m);
}

/* A slot holds up to BURST commands; how many of them come in one call is the caller's. */
static void
apply(struct machine *m, uint64_t count, uint32_t burst)
{
	static uint8_t bodies[BURST][MACHINE_CONTRACT_BODY_BYTES];
	struct decree_command commands[BURST];

	for (uint64_t after = m->applied + count; m->applied < after;) {
		uint64_t slot = m->applied / BURST + 1;
		uint32_t n = 0;

		for (; n < burst && m->applied < after && m->applied / BURST + 1 == slot; n++) {
			uint64_t number = m->applied++;

			commands[n] = (struct decree_command){
				.slot = { slot },
				.index = (uint32_t)(number % BURST),
				.session = { 1 << 16 },
				.seq = number + 1,
				.body = bodies[n],
				.bytes = m->c->command(number, bodies[n]),
			};
		}
		m->c->ops->apply(m->m, commands, n, slot * 1000000, &m->sink);
	}
}

static bool
is_digest_equal(const struct machine *a, const struct machine *b)
{
	struct decree_digest x = a->c->ops->digest(a->m), y = b->c->ops->digest(b->m);

	return x.lo == y.lo && x.hi == y.hi;
}

/* ------------------------------------------------------------------------------ snapshots */

static void
taken_free(struct taken *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		free(t->chunks[i].bytes);
	free(t->chunks);
	*t = (struct taken){ 0 };
}

static void
taken_add(struct taken *t, const struct decree_chunk *chunk)
{
	t->chunks = realloc(t->chunks, (t->count + 1) * sizeof(*t->chunks));
	decree_assert(t->chunks != NULL);
	t->chunks[t->count].count = chunk->count;
	t->chunks[t->count].bytes = malloc(chunk->count + 1);
	decree_assert(t->chunks[t->count].bytes != NULL);
	if (chunk->count > 0)
		memcpy(t->chunks[t->count].bytes, chunk->bytes, chunk->count);
	t->count++;
}

/* The whole walk, with @p between commands after each chunk. */
static const char *
take(struct machine *m, uint32_t between, struct taken *ret)
{
	const struct decree_machine_ops *ops = m->c->ops;
	const char *error = NULL;
	struct decree_chunk chunk;
	int rc;

	*ret = (struct taken){ 0 };
	if (ops->snapshot_begin(m->m) != 0)
		return "snapshot_begin() refuses";
	apply(m, between, BURST);
	while (error == NULL && (rc = ops->snapshot_next(m->m, &chunk)) == 1) {
		if (chunk.index != ret->count)
			error = "the indices of the chunks do not count from 0";
		else if (chunk.count > DECREE_CHUNK_BYTES_MAX)
			error = "a chunk is larger than DECREE_CHUNK_BYTES_MAX";
		else if (ret->count == CHUNK_COUNT_MAX)
			error = "the walk does not end";
		if (error != NULL)
			break;
		taken_add(ret, &chunk);
		apply(m, between, BURST);
		if (chunk.count > 0 &&
			memcmp(chunk.bytes, ret->chunks[ret->count - 1].bytes, chunk.count) != 0)
			error = "a chunk's bytes change before the next call of snapshot_next()";
	}
	if (error == NULL && rc != 0)
		error = "snapshot_next() fails";
	ops->snapshot_end(m->m);
	return error;
}

static bool
is_taken_equal(const struct taken *a, const struct taken *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->chunks[i].count != b->chunks[i].count ||
			memcmp(a->chunks[i].bytes, b->chunks[i].bytes, a->chunks[i].count) != 0)
			return false;
	return true;
}

/* @return 0, or what a hook said: the chunks [0, count), the first one last if they are @p turned. */
static int
restore(struct machine *m, const struct taken *t, uint32_t count, bool turned)
{
	const struct decree_machine_ops *ops = m->c->ops;
	int rc = ops->restore_begin(m->m);

	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		uint32_t from = turned ? (i + 1) % count : i;
		struct decree_chunk chunk = {
			.index = from,
			.bytes = t->chunks[from].bytes,
			.count = t->chunks[from].count,
		};

		rc = ops->restore_next(m->m, &chunk);
	}
	return rc == 0 ? ops->restore_end(m->m) : rc;
}

/* ------------------------------------------------------------------------------ the six claims */

static const char *
check_bursts(const struct machine_contract *c)
{
	struct machine one = machine_new(c), many = machine_new(c);
	const char *error = NULL;

	apply(&one, c->count, 1);
	apply(&many, c->count, BURST);
	if (!is_digest_equal(&one, &many))
		error = "commands one by one and in bursts lead to different digests";
	else if (one.sink.answers != many.sink.answers)
		error = "commands one by one and in bursts get different answers";
	machine_free(&one);
	machine_free(&many);
	return error;
}

static const char *
check_walks(const struct machine_contract *c, const struct taken *whole)
{
	struct machine still = machine_new(c), busy = machine_new(c);
	struct taken other;
	struct decree_chunk chunk;
	const char *error;

	apply(&busy, c->count, BURST);
	error = take(&busy, c->commands_per_chunk, &other);
	if (error == NULL && !is_taken_equal(whole, &other))
		error = "commands between two chunks change what the snapshot holds";
	apply(&still, busy.applied, BURST);
	if (error == NULL && !is_digest_equal(&still, &busy))
		error = "a walk changes the state";
	if (error == NULL &&
		(c->ops->snapshot_begin(busy.m) != 0 || c->ops->snapshot_next(busy.m, &chunk) < 0))
		error = "there is no second snapshot";
	if (error == NULL) {
		c->ops->snapshot_end(busy.m); /* given up */
		apply(&busy, c->count, BURST);
		apply(&still, c->count, BURST);
		if (!is_digest_equal(&still, &busy) || still.sink.answers != busy.sink.answers)
			error = "a walk that is given up changes the state";
	}
	taken_free(&other);
	machine_free(&still);
	machine_free(&busy);
	return error;
}

static const char *
check_restore(const struct machine_contract *c, const struct taken *whole)
{
	struct machine original = machine_new(c), copy = machine_new(c);
	struct taken again = { 0 };
	const char *error = NULL;

	apply(&original, c->count, BURST);
	apply(&copy, c->count / 3, BURST); /* whatever there was is forgotten */
	if (restore(&copy, whole, whole->count, false) != 0)
		error = "a snapshot of its own is refused";
	else if (!is_digest_equal(&original, &copy))
		error = "what is restored has another digest";
	copy.applied = original.applied;
	if (error == NULL)
		error = take(&copy, 0, &again);
	if (error == NULL && !is_taken_equal(whole, &again))
		error = "what is restored gives other chunks";
	original.sink.answers = copy.sink.answers = 0;
	apply(&original, c->count, BURST);
	apply(&copy, c->count, BURST);
	if (error == NULL &&
		(!is_digest_equal(&original, &copy) || original.sink.answers != copy.sink.answers))
		error = "what is restored does not go on as the original does";
	taken_free(&again);
	machine_free(&original);
	machine_free(&copy);
	return error;
}

static const char *
check_refusals(const struct machine_contract *c, const struct taken *whole)
{
	struct machine m = machine_new(c);
	const char *error = NULL;

	if (whole->count > 0 && restore(&m, whole, whole->count - 1, false) == 0)
		error = "a snapshot without its last chunk is taken for a whole one";
	else if (whole->count > 1 && restore(&m, whole, whole->count, true) == 0)
		error = "chunks in another order are taken";
	else if (restore(&m, whole, whole->count, false) != 0)
		error = "after a refused snapshot a good one is refused, too";
	machine_free(&m);
	return error;
}

const char *
machine_contract_check(const struct machine_contract *c)
{
	const char *error = check_bursts(c);
	struct machine m = machine_new(c);
	struct taken whole = { 0 };

	apply(&m, c->count, BURST);
	if (error == NULL)
		error = take(&m, 0, &whole);
	if (error == NULL)
		error = check_walks(c, &whole);
	if (error == NULL)
		error = check_restore(c, &whole);
	if (error == NULL)
		error = check_refusals(c, &whole);
	taken_free(&whole);
	machine_free(&m);
	return error;
}
