/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/tasks_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TUBE_ENTRY_BYTES (8 + QUEUE_TUBE_STAT_COUNT * 8 + 1)
#define TASK_BYTES       (QUEUE_TASK_COUNT * 8)
#define HELD_ENTRY_BYTES (TASK_BYTES + QUEUE_HOLDER_COUNT * 8 + 1)

/* ------------------------------------------------------------------------------ bytes */

/* An answer, taken apart from its beginning. */
struct reader {
	uint8_t bytes[DECREE_ANSWER_BYTES_MAX];
	uint32_t at, count;
};

static bool
has(const struct reader *r, uint32_t bytes)
{
	return r->count - r->at >= bytes;
}

/* They are there. */
static void
take_numbers(struct reader *r, uint64_t *ret, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, r->at += 8) {
		ret[i] = 0;
		for (int byte = 7; byte >= 0; byte--)
			ret[i] = ret[i] << 8 | r->bytes[r->at + (uint32_t)byte];
	}
}

/* @param ret  [QUEUE_NAME_BYTES_MAX + 1] @return false: the answer ends before */
static bool
take_name(struct reader *r, char *ret)
{
	uint32_t bytes = r->bytes[r->at++];

	if (bytes > QUEUE_NAME_BYTES_MAX || !has(r, bytes))
		return false;
	memcpy(ret, r->bytes + r->at, bytes);
	ret[bytes] = '\0';
	r->at += bytes;
	return true;
}

static int
ask(const struct tasks_question *t, const struct queue_query *q, struct reader *ret_r)
{
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(q, query, sizeof(query));
	int32_t rc;

	if (bytes == 0)
		return -ENOENT; /* no tube has such a name */
	rc = decree_client_read(t->client, t->node_id, query, (uint32_t)bytes, DECREE_LINEARIZABLE,
		ret_r->bytes, sizeof(ret_r->bytes), t->timeout_ns);
	if (rc < 0)
		return rc;
	ret_r->at = 0;
	ret_r->count = (uint32_t)rc;
	return 0;
}

/* @return the array with room for one more; NULL: there is no memory, and it stays as it is */
static void *
grow(void *array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
	uint32_t wanted = *capacity > 0 ? 2 * *capacity : 64;
	void *bigger;

	if (count < *capacity)
		return array;
	bigger = realloc(array, wanted * element_bytes);
	if (bigger != NULL)
		*capacity = wanted;
	return bigger;
}

/* ------------------------------------------------------------------------------ tubes */

static struct tasks_tube *
add_tube(struct tasks_view *v)
{
	struct tasks_tube *tubes =
		grow(v->tubes, v->tube_count, &v->tube_capacity, sizeof(*v->tubes));

	if (tubes == NULL)
		return NULL;
	v->tubes = tubes;
	return &v->tubes[v->tube_count++];
}

static int
fetch_stats(struct tasks_view *v, const struct tasks_question *t)
{
	struct reader r;
	int rc = ask(t, &(struct queue_query){ .kind = QUEUE_STATS }, &r);

	if (rc == 0 && !has(&r, sizeof(v->stats)))
		rc = -EPROTO;
	if (rc == 0)
		take_numbers(&r, v->stats, QUEUE_STAT_COUNT);
	return rc;
}

static int
fetch_tube(struct tasks_view *v, const struct tasks_question *t)
{
	const struct queue_query q = { .kind = QUEUE_STATS_TUBE,
		.name = t->tube,
		.name_bytes = (uint32_t)strnlen(t->tube, QUEUE_NAME_BYTES_MAX + 1) };
	struct tasks_tube *tube;
	struct reader r;
	int rc = ask(t, &q, &r);

	if (rc != 0)
		return rc;
	if (!has(&r, sizeof(tube->stats)))
		return -EPROTO;
	tube = add_tube(v);
	if (tube == NULL)
		return -ENOMEM;
	take_numbers(&r, tube->stats, QUEUE_TUBE_STAT_COUNT);
	(void)strcpy(tube->name, t->tube); /* fits, or there was no such tube */
	return 0;
}

static int
fetch_tubes(struct tasks_view *v, const struct tasks_question *t)
{
	struct queue_query q = { .kind = QUEUE_TUBES };
	struct reader r;

	for (;;) {
		int rc = ask(t, &q, &r);

		if (rc != 0 || r.count == 0)
			return rc;
		while (r.at < r.count) {
			struct tasks_tube *tube;

			if (v->tube_count == t->count_max)
				return 0;
			if (!has(&r, TUBE_ENTRY_BYTES))
				return -EPROTO;
			tube = add_tube(v);
			if (tube == NULL)
				return -ENOMEM;
			take_numbers(&r, &q.id, 1);
			take_numbers(&r, tube->stats, QUEUE_TUBE_STAT_COUNT);
			if (!take_name(&r, tube->name))
				return -EPROTO;
		}
	}
}

/* ------------------------------------------------------------------------------ jobs */

static struct tasks_job *
add_job(struct tasks_view *v, enum task_state state)
{
	struct tasks_job *jobs = grow(v->jobs, v->job_count, &v->job_capacity, sizeof(*v->jobs));

	if (jobs == NULL)
		return NULL;
	v->jobs = jobs;
	v->jobs[v->job_count] = (struct tasks_job){ .state = state };
	return &v->jobs[v->job_count++];
}

static int
fetch_held(struct tasks_view *v, const struct tasks_question *t)
{
	struct queue_query q = { .kind = QUEUE_HELD };
	struct reader r;

	do {
		uint64_t place[4];
		int rc = ask(t, &q, &r);

		if (rc == 0 && !has(&r, sizeof(place)))
			rc = -EPROTO;
		if (rc != 0)
			return rc;
		take_numbers(&r, place, 4);
		q.session = place[0], q.connection = place[1], q.key = place[2], q.id = place[3];
		while (r.at < r.count) {
			struct tasks_job *job;

			if (!has(&r, HELD_ENTRY_BYTES))
				return -EPROTO;
			if (v->job_count == t->count_max) {
				v->has_more_jobs = true;
				return 0;
			}
			job = add_job(v, TASK_RESERVED);
			if (job == NULL)
				return -ENOMEM;
			take_numbers(&r, job->numbers, QUEUE_TASK_COUNT);
			take_numbers(&r, job->holder, QUEUE_HOLDER_COUNT);
			if (!take_name(&r, job->tube))
				return -EPROTO;
			if (t->tube != NULL && strcmp(t->tube, job->tube) != 0)
				v->job_count--;
		}
	} while (q.session != 0);
	return 0;
}

static int
fetch_jobs(struct tasks_view *v, const struct tasks_question *t, const char *tube,
	enum task_state state)
{
	struct queue_query q = { .kind = QUEUE_JOBS,
		.offset = state,
		.name = tube,
		.name_bytes = (uint32_t)strlen(tube) };
	uint32_t before = v->job_count;
	struct reader r;

	do {
		uint64_t place[2];
		int rc = ask(t, &q, &r);

		if (rc == -ENOENT)
			return 0; /* it has gone meanwhile, and its jobs before it */
		if (rc == 0 && !has(&r, sizeof(place)))
			rc = -EPROTO;
		if (rc != 0)
			return rc;
		take_numbers(&r, place, 2);
		q.key = place[0], q.id = place[1];
		while (r.at < r.count) {
			struct tasks_job *job;

			if (!has(&r, TASK_BYTES))
				return -EPROTO;
			if (v->job_count - before == t->count_max) {
				v->has_more_jobs = true;
				return 0;
			}
			job = add_job(v, state);
			if (job == NULL)
				return -ENOMEM;
			take_numbers(&r, job->numbers, QUEUE_TASK_COUNT);
			(void)strcpy(job->tube, tube); /* fits */
		}
	} while (q.id != 0);
	return 0;
}

static int
fetch_all_jobs(struct tasks_view *v, const struct tasks_question *t)
{
	static const enum queue_tube_stat counts[TASK_STATE_COUNT] = { QUEUE_TUBE_STAT_JOBS_READY,
		QUEUE_TUBE_STAT_JOBS_RESERVED, QUEUE_TUBE_STAT_JOBS_DELAYED,
		QUEUE_TUBE_STAT_JOBS_BURIED };
	int rc = fetch_held(v, t);

	for (uint32_t i = 0; i < v->tube_count && rc == 0; i++)
		for (enum task_state state = 0; state < TASK_STATE_COUNT && rc == 0; state++)
			if (state != TASK_RESERVED && v->tubes[i].stats[counts[state]] > 0)
				rc = fetch_jobs(v, t, v->tubes[i].name, state);
	return rc;
}

int
tasks_view_fetch(struct tasks_view *v, const struct tasks_question *t)
{
	int rc = fetch_stats(v, t);

	v->tube_count = v->job_count = 0;
	v->has_more_jobs = false;
	if (rc == 0)
		rc = t->tube != NULL ? fetch_tube(v, t) : fetch_tubes(v, t);
	if (rc == 0 && t->are_jobs_wanted)
		rc = fetch_all_jobs(v, t);
	return rc;
}

void
tasks_view_fini(struct tasks_view *v)
{
	free(v->tubes);
	free(v->jobs);
}
