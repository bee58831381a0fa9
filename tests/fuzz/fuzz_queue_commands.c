/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a stream of commands to the queue, beside its model: each answer, each end of a wait
 * and each number that can be asked for must be the model's, also where a copy that was restored
 * from a snapshot goes on.
 *
 * Input: steps of 8 bytes, a shorter one at the end counts for nothing.
 *   0 op: the low 7 bits modulo OP_COUNT, one of queue/command.h; 0: a copy goes on; 3: only time passes; the highest bit: the
 *     mark AFTER, on what may bear it
 *   1 who: session (2 bits), connection (2 bits), node for ATTACH (2 bits)
 *   2 tenths of a second that pass before it; from 224 on ten times as many
 *   3 id   4 pri: times 16   5 seconds: modulo 16   6 ttr_s, bound, flag   7 name, size of a body: from 192 on a larger one
 */
#include "tests/lib/queue_check.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define STEP_BYTES      8
#define INPUT_BYTES_MAX 4096 /* so that fewer than a thousand things can be due at once */
#define OP_COUNT        QUEUE_OP_COUNT
#define OP_COPY         0
#define OP_TIME         3
#define TENTH_NS        100000000ull
#define BODY_BYTES_MAX  (64 * 1024)
#define SESSION_COUNT   4

struct decree_sink {
	struct queue_machine *m;
};

static struct model model;
static struct model_answer told[MODEL_ANSWER_COUNT];
static int told_count;
static struct queue_reserved handed; /* to the reserve that is answered next; 0: none */
static uint8_t command[BODY_BYTES_MAX + QUEUE_COMMAND_FIXED_BYTES_MAX];

/* ----------------------------------------------------------------------- what the machine tells */

static struct model_answer
of_job(const struct queue_reserved *r)
{
	return (struct model_answer){
		.session = r->session.n,
		.seq = r->seq,
		.status = r->status,
		.result = r->id,
		.has_waited = r->has_waited,
		.has_job = r->status == QUEUE_OK,
		.connection = r->connection,
		.reserves = r->reserves,
		.body_bytes = r->body_bytes,
	};
}

static void
add(const struct model_answer *a)
{
	decree_assert(told_count < MODEL_ANSWER_COUNT);
	told[told_count++] = *a;
}

static void
on_reserved(void *context, struct queue_machine *m, const struct queue_reserved *r)
{
	struct model_answer a = of_job(r);

	(void)context, (void)m;
	if (r->has_waited)
		add(&a);
	else
		handed = *r;
}

void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	struct model_answer a = {
		.session = session.n, .seq = seq, .status = status, .result = result
	};

	(void)sink;
	if (handed.seq != 0) {
		a = of_job(&handed);
		decree_assert(a.session == session.n && a.seq == seq && status == QUEUE_OK &&
			      result == a.result);
	}
	handed.seq = 0;
	add(&a);
}

/* ------------------------------------------------------------------------------ the same? */

static int
compare(const void *left, const void *right)
{
	const struct model_answer *a = left, *b = right;

	if (a->session != b->session)
		return a->session < b->session ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static bool
is_equal(const struct model_answer *a, const struct model_answer *b)
{
	return a->session == b->session && a->seq == b->seq && a->status == b->status &&
	       a->result == b->result && a->has_waited == b->has_waited &&
	       a->has_job == b->has_job && a->connection == b->connection &&
	       a->reserves == b->reserves && a->body_bytes == b->body_bytes;
}

static void
must_be_same(const char *difference)
{
	if (difference == NULL)
		return;
	fprintf(stderr, "fuzz_queue_commands: %s\n", difference);
	abort();
}

static void
check(struct queue_machine *m)
{
	qsort(told, (size_t)told_count, sizeof(told[0]), compare);
	qsort(model.answers, (size_t)model.answer_count, sizeof(told[0]), compare);
	for (int i = 0; i < told_count && i < model.answer_count; i++)
		if (!is_equal(&told[i], &model.answers[i]))
			must_be_same("another answer than the model's");
	if (told_count != model.answer_count)
		must_be_same("more answers than the model's, or fewer");
	must_be_same(queue_check_stats(m, &model));
}

/* ------------------------------------------------------------------------------ a step */

static const char *
name_of(uint8_t number)
{
	static const char *const names[] = { "default", "a", "b", "c",
		"a name that goes on in another cell, for it is long",
		"a name that goes on in another cell, for it is lon", "d", "e" };

	return names[number % 8];
}

static void
fill_tail(const uint8_t *step, struct queue_command *c)
{
	static uint8_t bytes[BODY_BYTES_MAX];

	switch (c->op) {
	case QUEUE_PUT:
		c->tail_bytes = step[7] < 192 ? step[7] * 2u : (step[7] - 191u) * 1000u;
		memset(bytes, step[3], c->tail_bytes);
		break;
	case QUEUE_COUNT:
		c->tail_bytes = step[7] % 2 * QUEUE_COUNT_PAIR_BYTES;
		bytes[0] = (uint8_t)(step[3] % (QUEUE_CMD_PAUSE_TUBE + 1));
		store_u32(bytes + 1, step[4]);
		break;
	case QUEUE_USE:
	case QUEUE_WATCH:
	case QUEUE_IGNORE:
	case QUEUE_PAUSE_TUBE:
		c->tail_bytes = (uint32_t)strlen(name_of(step[7]));
		memcpy(bytes, name_of(step[7]), c->tail_bytes);
		break;
	default: break;
	}
	c->tail = bytes;
}

static enum queue_op
op_of(const uint8_t *step)
{
	return (enum queue_op)((step[0] & 0x7f) % OP_COUNT);
}

/* The fields that a command does not have must be 0, as they are for the machine. */
static struct queue_command
command_of(const uint8_t *step)
{
	struct queue_command c = {
		.op = op_of(step),
		.connection = step[1] >> 2 & 3,
		.id = step[3],
		.pri = step[4] * 16u,
		.seconds = step[5] % 16,
		.ttr_s = step[6],
		.bound = step[6],
		.flag = (uint8_t)(step[6] % 3),
	};

	if (c.op == QUEUE_ATTACH) {
		c.id = 1 + (step[1] >> 4 & 3);
		c.connection = 0;
	}
	if (c.op == QUEUE_COUNT)
		c.flag %= 2;
	c.is_after = step[0] >> 7 && c.op != QUEUE_ATTACH && c.op != QUEUE_OPEN &&
		     c.op != QUEUE_CLOSE && c.op != QUEUE_CANCEL &&
		     (c.op != QUEUE_COUNT || c.flag == 1);
	fill_tail(step, &c);
	return c;
}

static void
run(struct queue_machine *m, const uint8_t *step, uint64_t now_ns, uint64_t *seqs)
{
	uint64_t session = step[1] % SESSION_COUNT;
	struct queue_command c = command_of(step), decoded;
	size_t bytes = queue_command_encode(&c, command, sizeof(command));
	struct decree_sink sink = { m };
	struct decree_command from = {
		.slot = { 1 },
		.session = { session + 1 },
		.seq = ++seqs[session],
		.body = command,
		.bytes = (uint32_t)bytes,
	};
	bool is_command = c.op != OP_TIME && c.op != OP_COPY;

	decree_assert(!is_command || bytes > 0);
	decree_assert(!is_command || queue_command_decode(command, bytes, &decoded) == 0);
	told_count = 0;
	queue_machine_ops.apply(m, &from, is_command, now_ns, &sink);
	model_apply(&model, now_ns, session + 1, from.seq, is_command ? &decoded : NULL);
	check(m);
}

/* Chunk by chunk; what went on until now is the copy's. */
static void
copy(struct queue_machine **from, struct queue_machine **to)
{
	struct queue_machine *m = *from;
	struct decree_chunk chunk;
	int rc;

	decree_assert(queue_machine_ops.snapshot_begin(m) == 0);
	decree_assert(queue_machine_ops.restore_begin(*to) == 0);
	while ((rc = queue_machine_ops.snapshot_next(m, &chunk)) == 1)
		decree_assert(queue_machine_ops.restore_next(*to, &chunk) == 0);
	decree_assert(rc == 0 && queue_machine_ops.restore_end(*to) == 0);
	queue_machine_ops.snapshot_end(m);
	*from = *to;
	*to = m;
	must_be_same(queue_check_all(*from, &model));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	struct queue_config config = { .queue_bytes = QUEUE_BYTES_MIN, .on_reserved = on_reserved };
	uint64_t now_ns = 1000 * 10 * TENTH_NS, seqs[SESSION_COUNT] = { 0 };
	struct queue_machine *m, *spare;

	if (count > INPUT_BYTES_MAX || queue_machine_create(&config, &m) != 0)
		return 0;
	decree_assert(queue_machine_create(&config, &spare) == 0);
	queue_machine_ops.apply(m, NULL, 0, now_ns, NULL);
	queue_check_begin(m, &model);
	for (size_t at = 0; at + STEP_BYTES <= count; at += STEP_BYTES) {
		const uint8_t *step = data + at;

		now_ns += step[2] * (step[2] < 224 ? 1u : 10u) * TENTH_NS;
		run(m, step, now_ns, seqs);
		if (op_of(step) == OP_COPY)
			copy(&m, &spare);
	}
	must_be_same(queue_check_all(m, &model));
	queue_machine_destroy(m);
	queue_machine_destroy(spare);
	return 0;
}
