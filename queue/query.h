/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file query.h
 * What can be asked of the queue without changing it: the peeks, stats and lists, for
 * decree_read(). They count nothing; a gateway counts with COUNT (command.h).
 *
 * Query, little-endian: kind 1, session 8, connection 8, id 8, offset 4, key 8, and the name up to
 * the end.
 *
 *   query                uses                 answer
 *   PEEK                 id, offset           id 8, body's bytes 4, the body from offset on, as much as fits
 *   PEEK_READY, _DELAYED,                     the same, of the job that comes first in the tube that the connection uses.
 *     _BURIED            connection, offset   The rest of a longer body: PEEK with its id
 *   STATS                                     QUEUE_STAT_COUNT numbers of 8
 *   STATS_JOB            id                   QUEUE_JOB_STAT_COUNT numbers of 8, then the name of its tube
 *   STATS_TUBE           name                 QUEUE_TUBE_STAT_COUNT numbers of 8
 *   LIST_TUBES           id                   for each tube with a number above id, oldest first, as many as fit: number 8,
 *                                             bytes of its name 1, name. Nothing: that were all
 *   LIST_TUBES_WATCHED   connection, id       the same, of the tubes that the connection watches, in the order of
 *                                             watching; the numbers are those of the watches
 *   TUBE_USED            connection           a name
 *   TUBES                id                   for each tube with a number above id, oldest first, as many as fit: number 8,
 *                                             QUEUE_TUBE_STAT_COUNT numbers of 8, bytes of its name 1, name
 *   JOBS                 name, offset, key,   of the tube's jobs in the state `offset` (not reserved), in the order in which
 *                        id                   they leave it: key 8 and id 8 to ask on with, then QUEUE_TASK_COUNT numbers of 8
 *                                             for each job behind (key, id), as many as fit. id 0: that were all
 *   HELD                 session, connection, of all jobs that are reserved: session, connection, key and id to ask on with, 8
 *                        key, id              each, then for each job behind that place QUEUE_TASK_COUNT and QUEUE_HOLDER_COUNT
 *                                             numbers of 8, bytes of its tube's name 1, name. All 0: that were all. First come
 *                                             the jobs of whoever has something to expect first
 *
 * A peek with a session, whose body does not fit from its beginning, is told by on_found() too
 * (machine.h): so a gateway gets it whole.
 *
 * The last three are pages of a list that changes meanwhile: what moves may be seen twice. They
 * cost what they list, and O(log n) for each; HELD may have an empty page on the way.
 *
 * Where "connection" is used, it and `session` name it. Instead of an answer: -ENOENT if the job,
 * tube or connection is not there, -EINVAL if the query is none, -EMSGSIZE if the answer's first
 * part does not fit.
 */
#ifndef QUEUE_QUERY_H
#define QUEUE_QUERY_H

#include "queue/command.h"

#define QUEUE_QUERY_FIXED_BYTES 37

enum queue_query_kind {
	QUEUE_PEEK = 1,
	QUEUE_PEEK_READY = 2,
	QUEUE_PEEK_DELAYED = 3,
	QUEUE_PEEK_BURIED = 4,
	QUEUE_STATS = 5,
	QUEUE_STATS_JOB = 6,
	QUEUE_STATS_TUBE = 7,
	QUEUE_LIST_TUBES = 8,
	QUEUE_LIST_TUBES_WATCHED = 9,
	QUEUE_TUBE_USED = 10,
	QUEUE_TUBES = 11,
	QUEUE_JOBS = 12,
	QUEUE_HELD = 13,
};

struct queue_query {
	enum queue_query_kind kind;
	uint64_t session;
	uint64_t connection;
	uint64_t id;
	uint32_t offset;
	const void *name; /* [name_bytes], lent */
	uint32_t name_bytes;
	uint64_t key;
};

/** The numbers of STATS: the counters first, as in enum queue_counter. */
enum queue_stat {
	QUEUE_STAT_JOBS_URGENT = QUEUE_COUNTER_COUNT,
	QUEUE_STAT_JOBS_READY,
	QUEUE_STAT_JOBS_RESERVED,
	QUEUE_STAT_JOBS_DELAYED,
	QUEUE_STAT_JOBS_BURIED,
	QUEUE_STAT_TUBES,
	QUEUE_STAT_CONNECTIONS,
	QUEUE_STAT_PRODUCERS,
	QUEUE_STAT_WORKERS,
	QUEUE_STAT_WAITING,
	QUEUE_STAT_NOW_NS, /* cluster time */
	QUEUE_STAT_BYTES_USED,
	QUEUE_STAT_BYTES_MAX, /* that puts may use; connections and gateways may go a little beyond */
	QUEUE_STAT_COUNT,
};

enum queue_job_stat {
	QUEUE_JOB_STAT_ID,
	QUEUE_JOB_STAT_STATE, /* 0 ready, 1 reserved, 2 delayed, 3 buried */
	QUEUE_JOB_STAT_PRI,
	QUEUE_JOB_STAT_AGE_NS,
	QUEUE_JOB_STAT_DELAY_S,
	QUEUE_JOB_STAT_TTR_S,
	QUEUE_JOB_STAT_LEFT_NS, /* reserved: until it times out; delayed: until it is ready; else 0 */
	QUEUE_JOB_STAT_RESERVES,
	QUEUE_JOB_STAT_TIMEOUTS,
	QUEUE_JOB_STAT_RELEASES,
	QUEUE_JOB_STAT_BURIES,
	QUEUE_JOB_STAT_KICKS,
	QUEUE_JOB_STAT_HOLDER_SESSION, /* who holds it, or 0 */
	QUEUE_JOB_STAT_HOLDER,
	QUEUE_JOB_STAT_COUNT,
};

enum queue_tube_stat {
	QUEUE_TUBE_STAT_JOBS_URGENT,
	QUEUE_TUBE_STAT_JOBS_READY,
	QUEUE_TUBE_STAT_JOBS_RESERVED,
	QUEUE_TUBE_STAT_JOBS_DELAYED,
	QUEUE_TUBE_STAT_JOBS_BURIED,
	QUEUE_TUBE_STAT_TOTAL_JOBS,
	QUEUE_TUBE_STAT_USING,
	QUEUE_TUBE_STAT_WATCHING,
	QUEUE_TUBE_STAT_WAITING,
	QUEUE_TUBE_STAT_CMD_DELETE,
	QUEUE_TUBE_STAT_CMD_PAUSE_TUBE,
	QUEUE_TUBE_STAT_PAUSE_S,
	QUEUE_TUBE_STAT_PAUSE_LEFT_NS,
	QUEUE_TUBE_STAT_COUNT,
};

/** Of a job in JOBS and HELD. */
enum queue_task {
	QUEUE_TASK_ID,
	QUEUE_TASK_PRI,
	QUEUE_TASK_AGE_NS,
	QUEUE_TASK_LEFT_NS, /* as QUEUE_JOB_STAT_LEFT_NS */
	QUEUE_TASK_RESERVES,
	QUEUE_TASK_RELEASES,
	QUEUE_TASK_TIMEOUTS,
	QUEUE_TASK_BODY_BYTES,
	QUEUE_TASK_COUNT,
};

/** Behind them in HELD. */
enum queue_holder {
	QUEUE_HOLDER_NODE,
	QUEUE_HOLDER_SESSION,
	QUEUE_HOLDER_CONNECTION,
	QUEUE_HOLDER_COUNT,
};

/** @return bytes written, or 0: no such query, or it does not fit */
size_t queue_query_encode(const struct queue_query *q, void *ret, size_t capacity);

/** @return 0 or -EINVAL */
int queue_query_decode(const void *bytes, size_t count, struct queue_query *ret_q);

#endif
