/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue_fixture.h
 * A queue machine under test: its log, its clock, and everything that it has answered. How a wait
 * ends stands among the answers, in place of PARKED.
 *
 * It brings a decree_sink_answer() of its own, so link it with the machine, and not with libdecree.
 *
 * Threads:  the caller's.
 */
#ifndef TESTS_QUEUE_FIXTURE_H
#define TESTS_QUEUE_FIXTURE_H

#include "queue/command.h"
#include "queue/machine.h"
#include "queue/query.h"

#define QF_SECOND_NS     1000000000ull
#define QF_PENDING       0xffffu /* the status of a reserve that waits */
#define QF_SESSION       (7ull << 16)
#define QF_OTHER         (9ull << 16)  /* another gateway */
#define QF_THIRD         (11ull << 16) /* one that is not attached */
#define QF_SESSION_COUNT 3
#define QF_ANSWER_COUNT  65536u
#define QF_COMMAND_BYTES (1u << 20)

struct qf_answer {
	uint64_t session, seq;
	uint32_t status;
	uint64_t result;
};

struct queue_fixture {
	struct queue_machine *m;
	uint64_t now_ns;
	uint64_t slot;
	uint64_t seq[QF_SESSION_COUNT];            /* of QF_SESSION, QF_OTHER, QF_THIRD */
	uint64_t keep_alives;                      /* of both, with seqs of their own */
	struct qf_answer answers[QF_ANSWER_COUNT]; /* a ring */
	uint64_t answer_count;
	uint64_t parked_session, parked_seq; /* of the last reserve that was answered PARKED */
	struct queue_reserved reserved;      /* the last job that on_reserved() was told of */
	uint64_t reserved_count;
	uint8_t body[1 << 16]; /* of that job, as far as it fits, fetched in on_reserved() */
	int64_t body_bytes;
	struct queue_found found; /* the last one that on_found() was told of */
	uint64_t found_count;
	uint64_t restored_count;
	uint8_t command[QF_COMMAND_BYTES];
};

/** A machine with so much memory and two gateways, of the nodes 1 (QF_SESSION) and 2 (QF_OTHER), at
 * the time 1000 s. Ends the test if that fails. */
struct queue_fixture *qf_create(uint64_t queue_bytes);
void qf_destroy(struct queue_fixture *f);
/** A test's state is one with the least memory and the connections 1 and 2. */
int qf_setup(void **state);
int qf_teardown(void **state);

/** Apply one command in a slot of its own. @return its answer; QF_PENDING if it waits */
struct qf_answer qf_do(struct queue_fixture *f, struct queue_command c);
struct qf_answer qf_do_in(struct queue_fixture *f, uint64_t session, struct queue_command c);
/** The answer to that command of QF_SESSION, QF_PENDING if there is none. */
struct qf_answer qf_answer(const struct queue_fixture *f, uint64_t seq);
struct qf_answer qf_answer_in(const struct queue_fixture *f, uint64_t session, uint64_t seq);
/** The number of the last command of QF_SESSION. */
uint64_t qf_seq(const struct queue_fixture *f);
/** The number of the last command of that session. */
uint64_t qf_seq_in(const struct queue_fixture *f, uint64_t session);

/** Time goes on, and the log with it, which has a slot whenever one is due; nothing is heard of any
 * gateway. */
void qf_silence_ns(struct queue_fixture *f, uint64_t ns);
/** Time goes on while the log stands still, until a slot of that moment. */
void qf_leap_ns(struct queue_fixture *f, uint64_t ns);
/** The same, but QF_SESSION and QF_OTHER let themselves be heard. */
void qf_wait_ns(struct queue_fixture *f, uint64_t ns);
void qf_wait(struct queue_fixture *f, uint64_t seconds);

struct decree_digest qf_digest(const struct queue_fixture *f);

/* Short forms, all in QF_SESSION. Those that return a status assert nothing. */
struct qf_answer qf_attach(struct queue_fixture *f, uint64_t session, uint64_t node);
void qf_open(struct queue_fixture *f, uint64_t connection);
uint32_t qf_use(struct queue_fixture *f, uint64_t connection, const char *tube);
uint64_t qf_watch(struct queue_fixture *f, uint64_t connection, const char *tube);
uint64_t qf_put(struct queue_fixture *f, uint64_t connection, uint32_t pri, uint32_t delay_s,
	uint32_t ttr_s);
struct qf_answer qf_reserve(struct queue_fixture *f, uint64_t connection);
struct qf_answer qf_reserve_for(struct queue_fixture *f, uint64_t connection, uint32_t seconds);
/** DELETE, TOUCH, RESERVE_JOB, KICK_JOB. */
uint32_t qf_job(struct queue_fixture *f, enum queue_op op, uint64_t connection, uint64_t id);
uint32_t qf_release(
	struct queue_fixture *f, uint64_t connection, uint64_t id, uint32_t pri, uint32_t delay_s);
uint32_t qf_bury(struct queue_fixture *f, uint64_t connection, uint64_t id, uint32_t pri);
struct qf_answer qf_kick(struct queue_fixture *f, uint64_t connection, uint32_t bound);
uint32_t qf_pause(struct queue_fixture *f, uint64_t connection, const char *tube, uint32_t seconds);

/** Numbers of STATS, STATS_JOB, STATS_TUBE; ~0 if there is no such thing. */
uint64_t qf_stat(struct queue_fixture *f, unsigned int stat);
uint64_t qf_job_stat(struct queue_fixture *f, uint64_t id, enum queue_job_stat stat);
uint64_t qf_tube_stat(struct queue_fixture *f, const char *tube, enum queue_tube_stat stat);
/** The job that a peek finds, or 0. */
uint64_t qf_peek(struct queue_fixture *f, uint64_t connection, enum queue_query_kind kind);

/** A whole snapshot. */
struct qf_snapshot {
	struct qf_chunk {
		uint8_t *bytes;
		size_t count;
	} * chunks;
	uint32_t count;
};

/** Add the walk's next chunk. @return what snapshot_next() said */
int qf_snapshot_next(struct queue_fixture *f, struct qf_snapshot *s);
/** From the beginning to the end. */
void qf_snapshot_take(struct queue_fixture *f, struct qf_snapshot *s);
/** @return 0, or what a hook said */
int qf_snapshot_restore(struct queue_fixture *f, const struct qf_snapshot *s);
void qf_snapshot_free(struct qf_snapshot *s);
bool qf_snapshot_equal(const struct qf_snapshot *a, const struct qf_snapshot *b);

#endif
