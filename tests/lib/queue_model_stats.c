/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked of the model. */
#include "tests/lib/queue_model_private.h"

#include <string.h>

static uint64_t
count_jobs(const struct model *m, int state, const char *tube, uint32_t pri_after)
{
	uint64_t jobs = 0;

	for (int i = 0; i < m->job_count; i++)
		jobs += m->jobs[i].state == state && m->jobs[i].pri < pri_after &&
			(tube == NULL || strcmp(m->jobs[i].tube, tube) == 0);
	return jobs;
}

void
model_stats(const struct model *m, uint64_t n[QUEUE_STAT_COUNT])
{
	memcpy(n, m->counters, sizeof(m->counters));
	n[QUEUE_STAT_JOBS_URGENT] = count_jobs(m, READY, NULL, 1024);
	for (int state = READY; state <= BURIED; state++)
		n[QUEUE_STAT_JOBS_READY + state] = count_jobs(m, state, NULL, UINT32_MAX);
	n[QUEUE_STAT_TUBES] = (uint64_t)m->tube_count;
	n[QUEUE_STAT_CONNECTIONS] = (uint64_t)m->connection_count;
	n[QUEUE_STAT_PRODUCERS] = n[QUEUE_STAT_WORKERS] = n[QUEUE_STAT_WAITING] = 0;
	for (int i = 0; i < m->connection_count; i++) {
		n[QUEUE_STAT_PRODUCERS] += m->connections[i].is_producer;
		n[QUEUE_STAT_WORKERS] += m->connections[i].is_worker;
		n[QUEUE_STAT_WAITING] += m->connections[i].is_waiting;
	}
	n[QUEUE_STAT_NOW_NS] = m->now_ns;
	n[QUEUE_STAT_BYTES_USED] = model_cells_used(m) * 208;
	n[QUEUE_STAT_BYTES_MAX] = m->cells[MODEL_JOBS] * 208;
}

bool
model_tube_stats(const struct model *m, const char *name, uint64_t n[QUEUE_TUBE_STAT_COUNT])
{
	const struct model_tube *t = model_find_tube(m, name);

	if (t == NULL)
		return false;
	memset(n, 0, QUEUE_TUBE_STAT_COUNT * sizeof(n[0]));
	n[QUEUE_TUBE_STAT_JOBS_URGENT] = count_jobs(m, READY, name, 1024);
	for (int state = READY; state <= BURIED; state++)
		n[QUEUE_TUBE_STAT_JOBS_READY + state] = count_jobs(m, state, name, UINT32_MAX);
	for (int i = 0; i < m->connection_count; i++) {
		const struct model_connection *c = &m->connections[i];
		bool watches = model_watched_at(c, name) >= 0;

		n[QUEUE_TUBE_STAT_USING] += strcmp(c->used, name) == 0;
		n[QUEUE_TUBE_STAT_WATCHING] += watches;
		n[QUEUE_TUBE_STAT_WAITING] += watches && c->is_waiting;
	}
	n[QUEUE_TUBE_STAT_TOTAL_JOBS] = t->total_jobs;
	n[QUEUE_TUBE_STAT_CMD_DELETE] = t->cmd_delete;
	n[QUEUE_TUBE_STAT_CMD_PAUSE_TUBE] = t->cmd_pause;
	n[QUEUE_TUBE_STAT_PAUSE_S] = t->pause_ns / SECOND_NS;
	n[QUEUE_TUBE_STAT_PAUSE_LEFT_NS] = t->pause_ns == 0 ? 0 : t->unpause_ns - m->now_ns;
	return true;
}

bool
model_job_stats(const struct model *m, uint64_t id, uint64_t n[QUEUE_JOB_STAT_COUNT])
{
	const struct model_job *j = model_find_job(m, id);

	if (j == NULL)
		return false;
	memset(n, 0, QUEUE_JOB_STAT_COUNT * sizeof(n[0]));
	n[QUEUE_JOB_STAT_ID] = id;
	n[QUEUE_JOB_STAT_STATE] = (uint64_t)j->state;
	n[QUEUE_JOB_STAT_PRI] = j->pri;
	n[QUEUE_JOB_STAT_AGE_NS] = m->now_ns - j->created_ns;
	n[QUEUE_JOB_STAT_DELAY_S] = j->delay_s;
	n[QUEUE_JOB_STAT_TTR_S] = j->ttr_s;
	if (j->state == RESERVED || j->state == DELAYED)
		n[QUEUE_JOB_STAT_LEFT_NS] = j->until_ns - m->now_ns;
	n[QUEUE_JOB_STAT_RESERVES] = j->reserves;
	n[QUEUE_JOB_STAT_TIMEOUTS] = j->timeouts;
	n[QUEUE_JOB_STAT_RELEASES] = j->releases;
	n[QUEUE_JOB_STAT_BURIES] = j->buries;
	n[QUEUE_JOB_STAT_KICKS] = j->kicks;
	for (int i = 0; i < m->connection_count; i++)
		if (j->state == RESERVED && m->connections[i].number == j->holder) {
			n[QUEUE_JOB_STAT_HOLDER_SESSION] = m->connections[i].session;
			n[QUEUE_JOB_STAT_HOLDER] = m->connections[i].id;
		}
	return true;
}

uint64_t
model_peek(const struct model *m, uint64_t session, uint64_t connection, enum queue_query_kind kind)
{
	const struct model_connection *c = model_find_connection(m, session, connection);
	int state = kind == QUEUE_PEEK_READY     ? READY
		    : kind == QUEUE_PEEK_DELAYED ? DELAYED
						 : BURIED;
	const struct model_job *j = c == NULL ? NULL : model_first_job(m, state, c->used, 0);

	return j == NULL ? 0 : j->id;
}
