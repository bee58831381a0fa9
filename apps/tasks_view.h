/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tasks_view.h
 * What a task queue holds at this moment, asked page by page from outside.
 *
 * Each page is a linearizable read; pages are asked one after the other, so while the queue works a
 * job may be seen twice, in two states, and sums need not agree to the job.
 *
 * Threads:  one.
 * Errors:   as decree_client_read().
 * Memory:   a view grows with what it holds, and is used again by the next fetch.
 */
#ifndef APPS_TASKS_VIEW_H
#define APPS_TASKS_VIEW_H

#include "queue/query.h"

#include <decree/client.h>

enum task_state {
	TASK_READY,
	TASK_RESERVED,
	TASK_DELAYED,
	TASK_BURIED,
	TASK_STATE_COUNT
};

struct tasks_tube {
	uint64_t stats[QUEUE_TUBE_STAT_COUNT];
	char name[QUEUE_NAME_BYTES_MAX + 1];
};

struct tasks_job {
	uint64_t numbers[QUEUE_TASK_COUNT];
	uint64_t holder[QUEUE_HOLDER_COUNT]; /* of a reserved one */
	enum task_state state;
	char tube[QUEUE_NAME_BYTES_MAX + 1];
};

struct tasks_view {
	uint64_t stats[QUEUE_STAT_COUNT];
	struct tasks_tube *tubes; /* [tube_count] oldest first */
	uint32_t tube_count, tube_capacity;
	struct tasks_job *jobs; /* [job_count] reserved ones first, then by tube and state */
	uint32_t job_count, job_capacity;
	bool has_more_jobs; /* than were asked for */
};

struct tasks_question {
	struct decree_client *client;
	uint16_t node_id; /* 0: any */
	uint64_t timeout_ns;
	const char *tube; /* NULL: all */
	bool are_jobs_wanted;
	uint32_t count_max; /* of tubes; and of jobs in one state of one tube */
};

/**
 * Ask anew.
 * @retval 0        done  @retval -ENOENT there is no such tube  @retval -EINVAL the cluster is no
 * task queue
 * @retval -EPROTO  an answer that makes no sense  @retval -errno  as decree_client_read()
 */
int tasks_view_fetch(struct tasks_view *view, const struct tasks_question *question);

void tasks_view_fini(struct tasks_view *view);

#endif
