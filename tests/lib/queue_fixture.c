/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/queue_fixture.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

struct decree_sink {
	struct queue_fixture *f;
};

/* Whose machine is called. Fixtures may exchange their machines, so it is not the context of a
 * machine. */
static struct queue_fixture *at_work;

void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	struct queue_fixture *f = sink->f;

	/* Each command is answered once. */
	decree_assert(qf_answer_in(f, session.n, seq).status == QF_PENDING);
	decree_assert(f->parked_seq != seq || f->parked_session != session.n);
	if (status == QUEUE_PARKED) {
		f->parked_session = session.n;
		f->parked_seq = seq;
		return;
	}
	f->answers[f->answer_count++ % QF_ANSWER_COUNT] =
		(struct qf_answer){ session.n, seq, status, result };
}

static void
on_reserved(void *context, struct queue_machine *m, const struct queue_reserved *r)
{
	struct queue_fixture *f = at_work;

	(void)context;
	if (r->has_waited) {
		decree_assert(qf_answer_in(f, r->session.n, r->seq).status == QF_PENDING);
		f->answers[f->answer_count++ % QF_ANSWER_COUNT] =
			(struct qf_answer){ r->session.n, r->seq, r->status, r->id };
	}
	if (r->status != QUEUE_OK)
		return;
	f->reserved = *r;
	f->reserved_count++;
	f->body_bytes = queue_machine_body(m, r->id, 0, f->body, sizeof(f->body));
}

static void
on_found(void *context, struct queue_machine *m, const struct queue_found *found)
{
	(void)context, (void)m;
	at_work->found = *found;
	at_work->found_count++;
}

static void
on_restored(void *context)
{
	(void)context;
	at_work->restored_count++;
}

struct queue_fixture *
qf_create(uint64_t queue_bytes)
{
	struct queue_fixture *f = calloc(1, sizeof(*f));
	struct queue_config config = {
		.queue_bytes = queue_bytes,
		.on_reserved = on_reserved,
		.on_found = on_found,
		.on_restored = on_restored,
	};

	decree_assert(f != NULL && queue_machine_create(&config, &f->m) == 0);
	qf_silence_ns(f, 1000 * QF_SECOND_NS);
	decree_assert(qf_attach(f, QF_SESSION, 1).status == QUEUE_OK);
	decree_assert(qf_attach(f, QF_OTHER, 2).status == QUEUE_OK);
	return f;
}

void
qf_destroy(struct queue_fixture *f)
{
	queue_machine_destroy(f->m);
	free(f);
}

int
qf_setup(void **state)
{
	struct queue_fixture *f = qf_create(QUEUE_BYTES_MIN);

	qf_open(f, 1);
	qf_open(f, 2);
	*state = f;
	return 0;
}

int
qf_teardown(void **state)
{
	qf_destroy(*state);
	return 0;
}

/* ------------------------------------------------------------------------------ the log */

static uint32_t
index_of(uint64_t session)
{
	return session == QF_SESSION ? 0 : session == QF_OTHER ? 1 : 2;
}

static struct qf_answer
apply(struct queue_fixture *f, uint64_t session, uint64_t seq, struct queue_command c)
{
	size_t bytes = queue_command_encode(&c, f->command, sizeof(f->command));
	struct decree_sink sink = { f };
	struct decree_command command = {
		.slot = { ++f->slot },
		.session = { session },
		.seq = seq,
		.body = f->command,
		.bytes = (uint32_t)bytes,
	};

	decree_assert(bytes > 0);
	at_work = f;
	queue_machine_ops.apply(f->m, &command, 1, f->now_ns, &sink);
	struct qf_answer a = qf_answer_in(f, session, command.seq);

	/* Every command is answered in its own slot: none holds its place in the session's window. */
	decree_assert(a.status != QF_PENDING ||
		      (f->parked_session == session && f->parked_seq == command.seq));
	return a;
}

struct qf_answer
qf_do_in(struct queue_fixture *f, uint64_t session, struct queue_command c)
{
	return apply(f, session, ++f->seq[index_of(session)], c);
}

struct qf_answer
qf_do(struct queue_fixture *f, struct queue_command c)
{
	return qf_do_in(f, QF_SESSION, c);
}

struct qf_answer
qf_answer_in(const struct queue_fixture *f, uint64_t session, uint64_t seq)
{
	uint64_t low = f->answer_count > 2048 ? f->answer_count - 2048 : 0;

	for (uint64_t i = f->answer_count; i-- > low;) {
		const struct qf_answer *a = &f->answers[i % QF_ANSWER_COUNT];

		if (a->session == session && a->seq == seq)
			return *a;
	}
	return (struct qf_answer){ session, seq, QF_PENDING, 0 };
}

struct qf_answer
qf_answer(const struct queue_fixture *f, uint64_t seq)
{
	return qf_answer_in(f, QF_SESSION, seq);
}

uint64_t
qf_seq(const struct queue_fixture *f)
{
	return qf_seq_in(f, QF_SESSION);
}

uint64_t
qf_seq_in(const struct queue_fixture *f, uint64_t session)
{
	return f->seq[index_of(session)];
}

void
qf_leap_ns(struct queue_fixture *f, uint64_t ns)
{
	struct decree_sink sink = { f };

	f->now_ns += ns;
	f->slot++;
	/* As the runtime does: a slot without commands is applied only if something is due. */
	at_work = f;
	if (queue_machine_ops.next_deadline(f->m) <= f->now_ns || f->slot == 1)
		queue_machine_ops.apply(f->m, NULL, 0, f->now_ns, &sink);
}

void
qf_silence_ns(struct queue_fixture *f, uint64_t ns)
{
	uint64_t due, end = f->now_ns + ns;

	while ((due = queue_machine_ops.next_deadline(f->m)) > f->now_ns && due < end)
		qf_leap_ns(f, due - f->now_ns);
	qf_leap_ns(f, end - f->now_ns);
}

static void
keep_alive(struct queue_fixture *f)
{
	struct queue_command c = { .op = QUEUE_COUNT };

	f->keep_alives++;
	(void)apply(f, QF_SESSION, UINT64_MAX - f->keep_alives, c);
	(void)apply(f, QF_OTHER, UINT64_MAX - f->keep_alives, c);
}

void
qf_wait_ns(struct queue_fixture *f, uint64_t ns)
{
	uint64_t step = QF_SECOND_NS * QUEUE_SILENCE_S / 2;

	for (; ns > step; ns -= step) {
		qf_silence_ns(f, step);
		keep_alive(f);
	}
	qf_silence_ns(f, ns);
	keep_alive(f);
}

void
qf_wait(struct queue_fixture *f, uint64_t seconds)
{
	qf_wait_ns(f, seconds * QF_SECOND_NS);
}

struct decree_digest
qf_digest(const struct queue_fixture *f)
{
	return queue_machine_ops.digest(f->m);
}

/* ------------------------------------------------------------------------------ short forms */

static struct queue_command
named(enum queue_op op, uint64_t connection, const char *tube)
{
	return (struct queue_command){
		.op = op,
		.connection = connection,
		.tail = tube,
		.tail_bytes = (uint32_t)strlen(tube),
	};
}

struct qf_answer
qf_attach(struct queue_fixture *f, uint64_t session, uint64_t node)
{
	return qf_do_in(f, session, (struct queue_command){ .op = QUEUE_ATTACH, .id = node });
}

void
qf_open(struct queue_fixture *f, uint64_t connection)
{
	struct queue_command c = { .op = QUEUE_OPEN, .connection = connection };

	decree_assert(qf_do(f, c).status == QUEUE_OK);
}

uint32_t
qf_use(struct queue_fixture *f, uint64_t connection, const char *tube)
{
	return qf_do(f, named(QUEUE_USE, connection, tube)).status;
}

uint64_t
qf_watch(struct queue_fixture *f, uint64_t connection, const char *tube)
{
	struct qf_answer a = qf_do(f, named(QUEUE_WATCH, connection, tube));

	decree_assert(a.status == QUEUE_OK);
	return a.result;
}

uint64_t
qf_put(struct queue_fixture *f, uint64_t connection, uint32_t pri, uint32_t delay_s, uint32_t ttr_s)
{
	struct queue_command c = {
		.op = QUEUE_PUT,
		.connection = connection,
		.pri = pri,
		.seconds = delay_s,
		.ttr_s = ttr_s,
		.tail = "body",
		.tail_bytes = 4,
	};
	struct qf_answer a = qf_do(f, c);

	decree_assert(a.status == QUEUE_OK);
	return a.result;
}

struct qf_answer
qf_reserve(struct queue_fixture *f, uint64_t connection)
{
	return qf_do(f, (struct queue_command){ .op = QUEUE_RESERVE, .connection = connection });
}

struct qf_answer
qf_reserve_for(struct queue_fixture *f, uint64_t connection, uint32_t seconds)
{
	struct queue_command c = {
		.op = QUEUE_RESERVE_TIMEOUT,
		.connection = connection,
		.seconds = seconds,
	};

	return qf_do(f, c);
}

uint32_t
qf_job(struct queue_fixture *f, enum queue_op op, uint64_t connection, uint64_t id)
{
	return qf_do(f, (struct queue_command){ .op = op, .connection = connection, .id = id })
		.status;
}

uint32_t
qf_release(
	struct queue_fixture *f, uint64_t connection, uint64_t id, uint32_t pri, uint32_t delay_s)
{
	struct queue_command c = {
		.op = QUEUE_RELEASE,
		.connection = connection,
		.id = id,
		.pri = pri,
		.seconds = delay_s,
	};

	return qf_do(f, c).status;
}

uint32_t
qf_bury(struct queue_fixture *f, uint64_t connection, uint64_t id, uint32_t pri)
{
	struct queue_command c = {
		.op = QUEUE_BURY,
		.connection = connection,
		.id = id,
		.pri = pri,
	};

	return qf_do(f, c).status;
}

struct qf_answer
qf_kick(struct queue_fixture *f, uint64_t connection, uint32_t bound)
{
	struct queue_command c = { .op = QUEUE_KICK, .connection = connection, .bound = bound };

	return qf_do(f, c);
}

uint32_t
qf_pause(struct queue_fixture *f, uint64_t connection, const char *tube, uint32_t seconds)
{
	struct queue_command c = named(QUEUE_PAUSE_TUBE, connection, tube);

	c.seconds = seconds;
	return qf_do(f, c).status;
}

/* ------------------------------------------------------------------------------ reads */

static uint64_t
number_of(struct queue_fixture *f, struct queue_query q, unsigned int at)
{
	uint8_t query[DECREE_QUERY_BYTES_MAX], answer[DECREE_ANSWER_BYTES_MAX];
	size_t bytes = queue_query_encode(&q, query, sizeof(query));
	int32_t count =
		queue_machine_ops.read(f->m, query, (uint32_t)bytes, answer, sizeof(answer));

	return count < 0 ? UINT64_MAX : load_u64(answer + 8 * at);
}

uint64_t
qf_stat(struct queue_fixture *f, unsigned int stat)
{
	return number_of(f, (struct queue_query){ .kind = QUEUE_STATS }, stat);
}

uint64_t
qf_job_stat(struct queue_fixture *f, uint64_t id, enum queue_job_stat stat)
{
	return number_of(f, (struct queue_query){ .kind = QUEUE_STATS_JOB, .id = id }, stat);
}

uint64_t
qf_tube_stat(struct queue_fixture *f, const char *tube, enum queue_tube_stat stat)
{
	struct queue_query q = {
		.kind = QUEUE_STATS_TUBE,
		.name = tube,
		.name_bytes = (uint32_t)strlen(tube),
	};

	return number_of(f, q, stat);
}

uint64_t
qf_peek(struct queue_fixture *f, uint64_t connection, enum queue_query_kind kind)
{
	struct queue_query q = { .kind = kind, .session = QF_SESSION, .connection = connection };
	uint64_t id = number_of(f, q, 0);

	return id == UINT64_MAX ? 0 : id;
}

/* ------------------------------------------------------------------------------ snapshots */

int
qf_snapshot_next(struct queue_fixture *f, struct qf_snapshot *s)
{
	struct decree_chunk chunk;
	int rc = queue_machine_ops.snapshot_next(f->m, &chunk);
	struct qf_chunk *to;

	if (rc != 1)
		return rc;
	decree_assert(chunk.index == s->count && chunk.count <= DECREE_CHUNK_BYTES_MAX);
	s->chunks = realloc(s->chunks, (s->count + 1) * sizeof(*s->chunks));
	decree_assert(s->chunks != NULL);
	to = &s->chunks[s->count++];
	*to = (struct qf_chunk){ .bytes = malloc(chunk.count), .count = chunk.count };
	decree_assert(to->bytes != NULL);
	memcpy(to->bytes, chunk.bytes, chunk.count);
	return rc;
}

void
qf_snapshot_take(struct queue_fixture *f, struct qf_snapshot *s)
{
	int rc;

	decree_assert(queue_machine_ops.snapshot_begin(f->m) == 0);
	while ((rc = qf_snapshot_next(f, s)) == 1)
		;
	decree_assert(rc == 0);
	queue_machine_ops.snapshot_end(f->m);
}

int
qf_snapshot_restore(struct queue_fixture *f, const struct qf_snapshot *s)
{
	int rc = queue_machine_ops.restore_begin(f->m);

	at_work = f;
	for (uint32_t i = 0; rc == 0 && i < s->count; i++) {
		struct decree_chunk chunk = {
			.index = i,
			.bytes = s->chunks[i].bytes,
			.count = s->chunks[i].count,
		};

		rc = queue_machine_ops.restore_next(f->m, &chunk);
	}
	return rc == 0 ? queue_machine_ops.restore_end(f->m) : rc;
}

void
qf_snapshot_free(struct qf_snapshot *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		free(s->chunks[i].bytes);
	free(s->chunks);
	*s = (struct qf_snapshot){ 0 };
}

bool
qf_snapshot_equal(const struct qf_snapshot *a, const struct qf_snapshot *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->chunks[i].count != b->chunks[i].count ||
			memcmp(a->chunks[i].bytes, b->chunks[i].bytes, a->chunks[i].count) != 0)
			return false;
	return true;
}
