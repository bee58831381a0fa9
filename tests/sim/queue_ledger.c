/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold of jobs whatever the model says, judged by nothing but what was said of them:
 *
 *   ids count from 1 without gaps
 *   what was handed over was put before, and not deleted
 *   no two reservations of a job share their count: it grows by one each time
 *   a job has one holder: the next one gets it after the first has given it back, is gone, or has had its time
 *   it is deleted once, and not by somebody else while it is held
 *   in the end what was put and not deleted is there, and nobody has it
 */
#include "base/bytes.h"
#include "tests/sim/sim.h"

#include <errno.h>

#define SECOND_NS 1000000000ull

void
sim_queue_ledger_reset(struct sim *sim)
{
	struct sim_queue *q = sim->queue;

	memset(q->jobs, 0, (q->job_last + 1) * sizeof(*q->jobs));
	q->job_last = 0;
}

static struct sim_queue_job *
job_of(struct sim *sim, uint64_t id)
{
	sim_check(sim, id >= 1 && id <= sim->queue->job_last, "job %lu was never put", id);
	return &sim->queue->jobs[id];
}

static uint64_t
now_ns(const struct sim_queue *q)
{
	return q->steps[q->step_count].now_ns;
}

static bool
is_holder(const struct sim_queue_job *j, const struct sim_queue_word *w,
	const struct queue_command *c)
{
	return j->session == w->session && j->connection == c->connection;
}

static bool
is_held(const struct sim_queue *q, const struct sim_queue_job *j)
{
	return j->session != 0 && j->until_ns > now_ns(q) &&
	       model_is_open(&q->model, j->session, j->connection);
}

static void
note_put(struct sim *sim, uint64_t id, const struct queue_command *c)
{
	struct sim_queue *q = sim->queue;

	sim_check(sim, id == q->job_last + 1, "job %lu follows job %lu", id, q->job_last);
	sim_check(sim, id + 1 < SIM_QUEUE_JOB_MAX, "the run outgrew the queue's jobs");
	q->job_last = id;
	q->jobs[id] =
		(struct sim_queue_job){ .is_there = true, .ttr_s = c->ttr_s > 0 ? c->ttr_s : 1 };
	q->count.puts++;
}

static void
note_deleted(struct sim *sim, const struct sim_queue_word *w, const struct queue_command *c)
{
	struct sim_queue_job *j = job_of(sim, c->id);

	sim_check(sim, j->is_there, "job %lu is deleted twice", c->id);
	sim_check(sim, !is_held(sim->queue, j) || is_holder(j, w, c),
		"job %lu is deleted while somebody else holds it", c->id);
	*j = (struct sim_queue_job){ .was_deleted = true };
	sim->queue->count.deletes++;
}

static void
note_closed(struct sim_queue *q, const struct sim_queue_word *w, const struct queue_command *c)
{
	for (uint64_t id = 1; id <= q->job_last; id++)
		if (is_holder(&q->jobs[id], w, c))
			q->jobs[id].session = 0;
}

static void
note_handed(struct sim *sim, const struct sim_queue_word *w)
{
	struct sim_queue_job *j = job_of(sim, w->number);
	struct sim_queue *q = sim->queue;

	sim_check(sim, !j->was_deleted, "job %lu was deleted, and comes back", w->number);
	sim_check(sim, !is_held(q, j), "job %lu goes to %lx.%lu, and %lx.%lu still holds it",
		w->number, w->session, w->connection, j->session, j->connection);
	sim_check(sim, w->reserves == j->reserves + 1,
		"job %lu is reserved for the %uth time after %u", w->number, w->reserves,
		j->reserves);
	j->reserves = w->reserves;
	j->session = w->session;
	j->connection = w->connection;
	j->until_ns = now_ns(q) + j->ttr_s * SECOND_NS;
	q->count.handed++;
	q->count.waited += w->kind == WORD_WAIT_END;
}

static void
note_answer(struct sim *sim, const struct sim_queue_word *w, const struct queue_command *c)
{
	struct sim_queue *q = sim->queue;

	switch (c->op) {
	case QUEUE_PUT: note_put(sim, w->number, c); break;
	case QUEUE_DELETE: note_deleted(sim, w, c); break;
	case QUEUE_OPEN: /* of the same name as one that was gone: it has nothing */
	case QUEUE_CLOSE: note_closed(q, w, c); break;
	case QUEUE_ATTACH: q->count.gateways++; break;
	case QUEUE_TOUCH:
	case QUEUE_RELEASE:
	case QUEUE_BURY:
		sim_check(sim, is_holder(job_of(sim, c->id), w, c),
			"job %lu: somebody speaks for it who does not hold it", c->id);
		if (c->op == QUEUE_TOUCH)
			q->jobs[c->id].until_ns = now_ns(q) + q->jobs[c->id].ttr_s * SECOND_NS;
		else
			q->jobs[c->id].session = 0;
		break;
	default: break;
	}
}

void
sim_queue_ledger_note(
	struct sim *sim, const struct sim_queue_word *w, const struct queue_command *c)
{
	if (w->kind != WORD_ANSWER && w->status == QUEUE_OK)
		note_handed(sim, w);
	else if (w->kind != WORD_ANSWER)
		sim->queue->count.in_vain++;
	else if (w->status == QUEUE_OK)
		note_answer(sim, w, c);
}

/* ---- at the end ---- */

static int32_t
ask(const struct sim_node *n, uint64_t id, uint8_t *ret_answer)
{
	struct queue_query q = { .kind = QUEUE_STATS_JOB, .id = id };
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(&q, query, sizeof(query));

	return queue_machine_ops.read(
		n->queue, query, (uint32_t)bytes, ret_answer, DECREE_ANSWER_BYTES_MAX);
}

void
sim_queue_ledger_check(const struct sim *sim, const struct sim_node *n)
{
	const struct sim_queue *q = sim->queue;
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];

	for (uint64_t id = 1; id <= q->job_last; id++) {
		const struct sim_queue_job *j = &q->jobs[id];
		int32_t bytes = ask(n, id, answer);

		sim_check(sim, j->was_deleted == (bytes == -ENOENT),
			j->was_deleted ? "node %u: job %lu was deleted, and is there"
				       : "node %u: job %lu is lost",
			n->id, id);
		if (!j->was_deleted && q->is_at_rest)
			sim_check(sim, load_u64(answer + 8 * QUEUE_JOB_STAT_STATE) != 1,
				"node %u: job %lu is held although nobody is there", n->id, id);
	}
}
