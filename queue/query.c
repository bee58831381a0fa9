/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/query.h"

#include "queue/bytes.h"
#include "queue/pages.h"
#include "queue/private.h"

#include <errno.h>

/* ------------------------------------------------------------------------------ bytes */

static bool
is_ok(const struct queue_query *q)
{
	bool has_name = q->kind == QUEUE_STATS_TUBE || q->kind == QUEUE_JOBS;

	return q->kind >= QUEUE_PEEK && q->kind <= QUEUE_HELD &&
	       (has_name ? q->name_bytes >= 1 && q->name_bytes <= QUEUE_NAME_BYTES_MAX
			 : q->name_bytes == 0);
}

size_t
queue_query_encode(const struct queue_query *q, void *ret, size_t capacity)
{
	uint8_t *at = ret;

	if (!is_ok(q) || QUEUE_QUERY_FIXED_BYTES + q->name_bytes > capacity)
		return 0;
	at[0] = (uint8_t)q->kind;
	queue_store_u64(at + 1, q->session);
	queue_store_u64(at + 9, q->connection);
	queue_store_u64(at + 17, q->id);
	queue_store_u32(at + 25, q->offset);
	queue_store_u64(at + 29, q->key);
	if (q->name_bytes > 0)
		memcpy(at + QUEUE_QUERY_FIXED_BYTES, q->name, q->name_bytes);
	return QUEUE_QUERY_FIXED_BYTES + q->name_bytes;
}

int
queue_query_decode(const void *bytes, size_t count, struct queue_query *ret_q)
{
	const uint8_t *at = bytes;
	struct queue_query q;

	if (count < QUEUE_QUERY_FIXED_BYTES ||
		count > QUEUE_QUERY_FIXED_BYTES + QUEUE_NAME_BYTES_MAX)
		return -EINVAL;
	q = (struct queue_query){
		.kind = at[0],
		.session = queue_load_u64(at + 1),
		.connection = queue_load_u64(at + 9),
		.id = queue_load_u64(at + 17),
		.offset = queue_load_u32(at + 25),
		.key = queue_load_u64(at + 29),
		.name = at + QUEUE_QUERY_FIXED_BYTES,
		.name_bytes = (uint32_t)(count - QUEUE_QUERY_FIXED_BYTES),
	};
	if (!is_ok(&q))
		return -EINVAL;
	*ret_q = q;
	return 0;
}

/* ------------------------------------------------------------------------------ answers */

static int32_t
end(const struct writer *w, bool has_fitted)
{
	return has_fitted ? (int32_t)w->count : -EMSGSIZE;
}

static void
tell_found(struct queue_machine *m, const struct queue_query *q, const struct object *job)
{
	if (m->config.on_found != NULL)
		m->config.on_found(m->config.context, m,
			&(struct queue_found){
				.session = { q->session },
				.connection = q->connection,
				.id = job->number,
				.body_bytes = job->payload_bytes,
			});
}

/* The peeks. */
static int32_t
peek(struct queue_machine *m, uint32_t job, const struct queue_query *q, struct writer *w)
{
	const struct object *o = object_at(m, job);
	uint32_t n;

	if (job == 0)
		return -ENOENT;
	if (left(w) < 12)
		return -EMSGSIZE;
	queue_store_u64(w->bytes, o->number);
	queue_store_u32(w->bytes + 8, o->payload_bytes);
	w->count = 12;
	n = q->offset < o->payload_bytes ? o->payload_bytes - q->offset : 0;
	if (n > left(w))
		n = left(w);
	if (n > 0)
		payload_read(m, o, q->offset, w->bytes + w->count, n);
	w->count += n;
	if (q->session != 0 && q->offset == 0 && n < o->payload_bytes)
		tell_found(m, q, o);
	return (int32_t)w->count;
}

static int32_t
peek_tube(
	struct queue_machine *m, const struct queue_query *q, uint32_t connection, struct writer *w)
{
	const struct tube *t = tube_at(m, object_at(m, connection)->tube);
	uint32_t root = q->kind == QUEUE_PEEK_READY     ? t->ready
			: q->kind == QUEUE_PEEK_DELAYED ? t->delayed
							: t->buried;

	return peek(m, tree_first(m, root, ORDER_AT), q, w);
}

static int32_t
stats(const struct queue_machine *m, struct writer *w)
{
	uint64_t n[QUEUE_STAT_COUNT];

	memcpy(n, m->globals.counters, sizeof(m->globals.counters));
	n[QUEUE_STAT_JOBS_URGENT] = m->urgent_count;
	n[QUEUE_STAT_JOBS_READY] = m->job_counts[JOB_READY];
	n[QUEUE_STAT_JOBS_RESERVED] = m->job_counts[JOB_RESERVED];
	n[QUEUE_STAT_JOBS_DELAYED] = m->job_counts[JOB_DELAYED];
	n[QUEUE_STAT_JOBS_BURIED] = m->job_counts[JOB_BURIED];
	n[QUEUE_STAT_TUBES] = m->lists[KIND_TUBE].count;
	n[QUEUE_STAT_CONNECTIONS] = m->lists[KIND_CONNECTION].count;
	n[QUEUE_STAT_PRODUCERS] = m->producer_count;
	n[QUEUE_STAT_WORKERS] = m->worker_count;
	n[QUEUE_STAT_WAITING] = m->waiting_count;
	n[QUEUE_STAT_NOW_NS] = m->globals.now_ns;
	n[QUEUE_STAT_BYTES_USED] = (uint64_t)m->used * CELL_BYTES;
	n[QUEUE_STAT_BYTES_MAX] = m->globals.capacity[FOR_JOBS] * CELL_BYTES;
	return end(w, write_numbers(w, n, QUEUE_STAT_COUNT));
}

static int32_t
stats_job(const struct queue_machine *m, uint32_t job, struct writer *w)
{
	const struct job *j = job_at(m, job);
	const struct connection *holder;
	uint64_t n[QUEUE_JOB_STAT_COUNT];
	bool has_time;

	if (job == 0)
		return -ENOENT;
	holder = connection_at(m, j->holder);
	has_time = j->o.state == JOB_RESERVED || j->o.state == JOB_DELAYED;
	n[QUEUE_JOB_STAT_ID] = j->o.number;
	n[QUEUE_JOB_STAT_STATE] = j->o.state;
	n[QUEUE_JOB_STAT_PRI] = j->pri;
	n[QUEUE_JOB_STAT_AGE_NS] = m->globals.now_ns - j->created_ns;
	n[QUEUE_JOB_STAT_DELAY_S] = j->delay_s;
	n[QUEUE_JOB_STAT_TTR_S] = j->ttr_s;
	n[QUEUE_JOB_STAT_LEFT_NS] = has_time ? time_left(m, j->o.order.key) : 0;
	n[QUEUE_JOB_STAT_RESERVES] = j->reserves;
	n[QUEUE_JOB_STAT_TIMEOUTS] = j->timeouts;
	n[QUEUE_JOB_STAT_RELEASES] = j->releases;
	n[QUEUE_JOB_STAT_BURIES] = j->buries;
	n[QUEUE_JOB_STAT_KICKS] = j->kicks;
	n[QUEUE_JOB_STAT_HOLDER_SESSION] = j->holder == 0 ? 0 : connection_session(m, j->holder);
	n[QUEUE_JOB_STAT_HOLDER] = j->holder == 0 ? 0 : holder->id;
	return end(w, write_numbers(w, n, QUEUE_JOB_STAT_COUNT) && write_name(m, w, j->o.tube));
}

void
tube_numbers(const struct queue_machine *m, uint32_t tube, uint64_t n[QUEUE_TUBE_STAT_COUNT])
{
	const struct tube *t = tube_at(m, tube);

	n[QUEUE_TUBE_STAT_JOBS_URGENT] = t->urgent_count;
	n[QUEUE_TUBE_STAT_JOBS_READY] = t->job_counts[JOB_READY];
	n[QUEUE_TUBE_STAT_JOBS_RESERVED] = t->job_counts[JOB_RESERVED];
	n[QUEUE_TUBE_STAT_JOBS_DELAYED] = t->job_counts[JOB_DELAYED];
	n[QUEUE_TUBE_STAT_JOBS_BURIED] = t->job_counts[JOB_BURIED];
	n[QUEUE_TUBE_STAT_TOTAL_JOBS] = t->total_jobs;
	n[QUEUE_TUBE_STAT_USING] = t->using_count;
	n[QUEUE_TUBE_STAT_WATCHING] = t->watching_count;
	n[QUEUE_TUBE_STAT_WAITING] = t->waiting_count;
	n[QUEUE_TUBE_STAT_CMD_DELETE] = t->cmd_delete;
	n[QUEUE_TUBE_STAT_CMD_PAUSE_TUBE] = t->cmd_pause;
	n[QUEUE_TUBE_STAT_PAUSE_S] = t->pause_ns / SECOND_NS;
	n[QUEUE_TUBE_STAT_PAUSE_LEFT_NS] = t->pause_ns == 0 ? 0 : time_left(m, t->unpause_ns);
}

static int32_t
stats_tube(const struct queue_machine *m, uint32_t tube, struct writer *w)
{
	uint64_t n[QUEUE_TUBE_STAT_COUNT];

	if (tube == 0)
		return -ENOENT;
	tube_numbers(m, tube, n);
	return end(w, write_numbers(w, n, QUEUE_TUBE_STAT_COUNT));
}

/* One entry of a list. @return false: it does not fit */
static bool
write_entry(const struct queue_machine *m, struct writer *w, uint64_t number, uint32_t tube)
{
	uint32_t name_bytes = object_at(m, tube)->payload_bytes;

	if (left(w) < 9 + name_bytes)
		return false;
	queue_store_u64(w->bytes + w->count, number);
	w->bytes[w->count + 8] = (uint8_t)name_bytes;
	w->count += 9;
	return write_name(m, w, tube);
}

uint32_t
tube_behind(const struct queue_machine *m, uint64_t number)
{
	return tree_behind(m, m->tubes, ORDER_AT, 0, number);
}

static int32_t
list_tubes(const struct queue_machine *m, uint64_t after, struct writer *w)
{
	for (uint32_t at = tube_behind(m, after); at != 0; at = object_at(m, at)->next)
		if (!write_entry(m, w, object_at(m, at)->number, at))
			return w->count > 0 ? (int32_t)w->count : -EMSGSIZE;
	return (int32_t)w->count;
}

static int32_t
list_watched(const struct queue_machine *m, uint32_t connection, uint64_t after, struct writer *w)
{
	for (uint32_t at = connection_at(m, connection)->watch_first; at != 0;
		at = watch_at(m, at)->next) {
		const struct object *o = object_at(m, at);

		if (o->number > after && !write_entry(m, w, o->number, o->tube))
			return w->count > 0 ? (int32_t)w->count : -EMSGSIZE;
	}
	return (int32_t)w->count;
}

static int32_t
answer_connection(struct queue_machine *m, const struct queue_query *q, struct writer *w)
{
	uint32_t gateway = key_find_gateway(m, q->session);
	uint32_t connection = gateway == 0 ? 0 : key_find_connection(m, gateway, q->connection);

	if (connection == 0)
		return -ENOENT;
	switch (q->kind) {
	case QUEUE_LIST_TUBES_WATCHED: return list_watched(m, connection, q->id, w);
	case QUEUE_TUBE_USED: return end(w, write_name(m, w, object_at(m, connection)->tube));
	default: return peek_tube(m, q, connection, w);
	}
}

int32_t
queue_query_answer(struct queue_machine *m, const void *query, uint32_t bytes, void *ret_answer,
	uint32_t capacity)
{
	struct writer w = { .bytes = ret_answer, .capacity = capacity };
	struct queue_query q;

	if (queue_query_decode(query, bytes, &q) != 0)
		return -EINVAL;
	switch (q.kind) {
	case QUEUE_PEEK: return peek(m, index_find(m, KIND_JOB, q.id), &q, &w);
	case QUEUE_STATS: return stats(m, &w);
	case QUEUE_STATS_JOB: return stats_job(m, index_find(m, KIND_JOB, q.id), &w);
	case QUEUE_STATS_TUBE: return stats_tube(m, key_find_tube(m, q.name, q.name_bytes), &w);
	case QUEUE_LIST_TUBES: return list_tubes(m, q.id, &w);
	case QUEUE_TUBES: return page_tubes(m, q.id, &w);
	case QUEUE_JOBS: return page_jobs(m, &q, &w);
	case QUEUE_HELD: return page_held(m, &q, &w);
	default: return answer_connection(m, &q, &w);
	}
}
