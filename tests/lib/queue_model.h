/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file model.h
 * The queue once more, as plainly as possible: arrays, and a scan wherever something is looked for.
 * What it answers is what the machine has to answer.
 *
 * It shares no code with queue/, apart from the names of commands, statuses and statistics. It
 * knows no limit to what happens at one time: for fewer than a thousand jobs and connections there
 * is none.
 *
 * Threads:  the caller's.
 */
#ifndef TESTS_QUEUE_MODEL_H
#define TESTS_QUEUE_MODEL_H

#include "queue/command.h"
#include "queue/query.h"

#include <stdbool.h>

#define MODEL_JOB_COUNT        20000
#define MODEL_TUBE_COUNT       64
#define MODEL_CONNECTION_COUNT 256
#define MODEL_GATEWAY_COUNT    32
#define MODEL_ANSWER_COUNT     4096

/* What a command is answered, or how a wait ends. */
struct model_answer {
	uint64_t session, seq;
	uint32_t status;
	uint64_t result;
	bool has_waited; /* it was answered PARKED earlier, and this is told by on_reserved() */
	bool has_job;    /* the rest is what on_reserved() tells of it */
	uint64_t connection;
	uint32_t reserves, body_bytes;
};

struct model_tube {
	uint64_t number;
	char name[QUEUE_NAME_BYTES_MAX + 1];
	uint64_t total_jobs, cmd_delete, cmd_pause;
	uint64_t pause_ns, unpause_ns;
};

struct model_gateway {
	uint64_t number;
	uint64_t session, node;
	uint64_t until_ns; /* unless it is heard before */
};

struct model_connection {
	uint64_t number;
	uint64_t session, id;
	char used[QUEUE_NAME_BYTES_MAX + 1];
	struct {
		char name[QUEUE_NAME_BYTES_MAX + 1];
	} watched[MODEL_TUBE_COUNT];
	int watched_count;
	bool is_producer, is_worker, is_waiting;
	bool has_parked; /* and no command without the mark AFTER came since */
	uint64_t wait_seq, wait_until, wait_order;
};

struct model_job {
	uint64_t id;
	char tube[QUEUE_NAME_BYTES_MAX + 1];
	int state;       /* 0 ready, 1 reserved, 2 delayed, 3 buried */
	uint64_t holder; /* number of the connection */
	uint64_t until_ns, buried_order, created_ns;
	uint32_t pri, delay_s, ttr_s;
	uint32_t reserves, timeouts, releases, buries, kicks;
	uint32_t bytes;
	uint8_t first; /* of its body, which repeats it */
};

/* Who may use how much. */
enum model_purpose {
	MODEL_JOBS,
	MODEL_CONNECTIONS,
	MODEL_GATEWAYS,
	MODEL_PURPOSE_COUNT,
};

struct model {
	uint64_t now_ns;
	uint64_t cells[MODEL_PURPOSE_COUNT]; /* what OUT_OF_MEMORY is reckoned in */
	uint64_t number_next, job_next, order_next;
	uint64_t counters[QUEUE_COUNTER_COUNT];
	struct model_tube tubes[MODEL_TUBE_COUNT];
	int tube_count;
	struct model_gateway gateways[MODEL_GATEWAY_COUNT];
	int gateway_count;
	struct model_connection connections[MODEL_CONNECTION_COUNT];
	int connection_count;
	struct model_job jobs[MODEL_JOB_COUNT];
	int job_count;
	struct model_answer answers[MODEL_ANSWER_COUNT]; /* of the last call */
	int answer_count;
};

/** An empty queue. Cheap: what the arrays hold beyond their counts is nobody's. */
void model_init(struct model *m, uint64_t now_ns, const uint64_t cells[MODEL_PURPOSE_COUNT]);

/** Time goes on to @p now_ns, and if @p c is not NULL that command of the session is executed. */
void model_apply(struct model *m, uint64_t now_ns, uint64_t session, uint64_t seq,
	const struct queue_command *c);

/** @return whether that session's gateway is attached */
bool model_is_attached(const struct model *m, uint64_t session);
bool model_is_open(const struct model *m, uint64_t session, uint64_t connection);

/** When there has to be a slot, or UINT64_MAX. */
uint64_t model_next_deadline(struct model *m);

/** What STATS answers, as far as it is replicated. */
void model_stats(const struct model *m, uint64_t ret_numbers[QUEUE_STAT_COUNT]);
/** @return false: there is none */
bool model_tube_stats(
	const struct model *m, const char *name, uint64_t ret_numbers[QUEUE_TUBE_STAT_COUNT]);
bool
model_job_stats(const struct model *m, uint64_t id, uint64_t ret_numbers[QUEUE_JOB_STAT_COUNT]);
/** @return what a peek finds, or 0 */
uint64_t model_peek(
	const struct model *m, uint64_t session, uint64_t connection, enum queue_query_kind kind);

#endif
