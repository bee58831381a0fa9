/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file machine.h
 * The task queue as a state machine: beanstalkd's semantics over include/decree/machine.h.
 * docs/queue.md explains it.
 *
 * Commands are those of command.h, reads those of query.h.
 *
 * Threads:  all calls come from one thread, the shard's.
 * Errors:   0 or -errno.
 * Units:    nanoseconds of cluster time; seconds where a client said seconds.
 * Memory:   one reservation in queue_machine_create(), which the kernel fills as it is used.
 *           Nothing else, ever.
 */
#ifndef QUEUE_MACHINE_H
#define QUEUE_MACHINE_H

#include "queue/command.h"

#include <decree/machine.h>

struct queue_machine;

/** How a reserve went: what its worker gets. */
struct queue_reserved {
	struct decree_session session; /* of the reserve */
	uint64_t seq;
	uint64_t connection;
	bool has_waited; /* it was answered PARKED, and this is the only word of its end; else OK was its answer */
	/* OK: a job; if it has waited, also TIMED_OUT, DEADLINE_SOON, CLOSED: the rest is 0 */
	enum queue_status status;
	uint64_t id;
	uint32_t reserves; /* with the id the fencing token: no two reservations share both */
	uint32_t body_bytes;
};

/** A peek that has found a job whose body does not fit its answer. */
struct queue_found {
	struct decree_session session; /* both as the query names them */
	uint64_t connection;
	uint64_t id;
	uint32_t body_bytes;
};

struct queue_config {
	/** The whole arena; the same on all nodes, as it decides which put is answered
	 * OUT_OF_MEMORY. At least QUEUE_BYTES_MIN. A job of up to 100 bytes takes about 245 of
	 * it. */
	uint64_t queue_bytes;

	/**
	 * A reserve of some session gets a job, which is the moment to fetch its body with
	 * queue_machine_body(), or a reserve that waited ends without one. Called on every node,
	 * and only for what is executed there: see on_restored. May be NULL, as that. They change
	 * nothing in the machine, and need not be the same on all nodes.
	 */
	void (*on_reserved)(void *context, struct queue_machine *m, const struct queue_reserved *r);
	/**
	 * The moment to fetch that body whole, since the job may be gone before the rest of it is
	 * asked for. Called within the read, on the node that answers it. May be NULL.
	 */
	void (*on_found)(void *context, struct queue_machine *m, const struct queue_found *f);
	/** The state was replaced by that of another node: waits may have ended meanwhile without
	 * on_reserved(). */
	void (*on_restored)(void *context);
	void *context;
};

#define QUEUE_BYTES_MIN (1u << 20)
#define QUEUE_BYTES_MAX (1ull << 39)

/** Give this to decree_open(), with the machine itself. */
extern const struct decree_machine_ops queue_machine_ops;

/**
 * @retval 0
 * @retval -EINVAL  queue_bytes is out of range
 * @retval -ENOMEM  there is not so much address space
 */
int queue_machine_create(const struct queue_config *config, struct queue_machine **ret_m);

/** @param m  may be NULL */
void queue_machine_destroy(struct queue_machine *m);

/**
 * A part of a job's body.
 *
 * @param ret_part  [capacity]
 * @return bytes written: 0 where the body ends at or before @p offset; -ENOENT: there is no such
 *         job
 */
int64_t queue_machine_body(
	struct queue_machine *m, uint64_t id, uint32_t offset, void *ret_part, uint32_t capacity);

/**
 * Whether a job with such a body would have fitted after the last slot that was applied here.
 * Nothing hangs on it: a put that is proposed is answered by the state that it meets. Any thread,
 * at any time.
 */
bool queue_machine_had_room(const struct queue_machine *m, uint32_t body_bytes);

#endif
