/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue.h
 * Worlds whose state machine is the task queue, and whose proposers are its gateways: queue.c,
 * queue_gateway.c, queue_ledger.c.
 *
 * A command is a body of workload.c, whose tail is a command of queue/command.h: the oracle sees to
 * the order, the once and the linearizability of bodies as everywhere, and the queue to what they
 * mean. The first node that executes a slot lets the model (tests/lib/queue_model.h) execute it
 * too. What the model says, and the digest of that node's state, are written down as a *step*, and
 * every node has to say and become the same, whether it lives through it, reads its log again, or
 * begins with a snapshot.
 *
 * A second of the queue is as long as the world says: delays and TTRs are of the order of the time
 * between two commands, whatever an election takes. So the queue's clock is cluster time in other
 * units, and nothing else.
 */
#ifndef TESTS_SIM_QUEUE_H
#define TESTS_SIM_QUEUE_H

#include "queue/machine.h"
#include "tests/lib/queue_draw.h"
#include "tests/lib/queue_model.h"
#include "tests/sim/limits.h"

struct sim;
struct sim_node;

#define SIM_QUEUE_WORD_MAX  (4 * SIM_COMMAND_MAX)
#define SIM_QUEUE_TOLD_MAX  1024 /* in one slot */
#define SIM_QUEUE_BURST_MAX 64   /* commands of one slot */
#define SIM_QUEUE_JOB_MAX   SIM_COMMAND_MAX

enum sim_queue_word_kind {
	WORD_ANSWER,   /* of a command: status and number */
	WORD_HANDED,   /* on_reserved(): a job for a reserve that came just now */
	WORD_WAIT_END, /* on_reserved(): for one that waited, a job or none */
};

/* Without padding: two are the same if their bytes are. */
struct sim_queue_word {
	uint64_t session, seq;
	uint64_t connection; /* 0 in an ANSWER */
	uint64_t number;     /* the answer's; else the job's id */
	uint32_t kind;
	uint32_t status;
	uint32_t reserves, body_bytes; /* of a job */
};

struct sim_queue_step { /* one call of the machine */
	uint64_t slot;
	uint64_t now_ns;             /* of the queue */
	struct decree_digest digest; /* of the machine, afterwards */
	uint32_t word_first, word_after;
};

/* What was said of a job, as whoever reads the words would know it. */
struct sim_queue_job {
	bool is_there, was_deleted;
	uint32_t ttr_s;
	uint32_t reserves;
	uint64_t session, connection; /* who got it, and has not given it back; session 0: nobody */
	uint64_t until_ns;
};

struct sim_queue_count {
	uint64_t puts, deletes;
	uint64_t handed, waited;     /* jobs; those to a reserve that had waited */
	uint64_t in_vain;            /* waits that ended without one */
	uint64_t behind;             /* commands that stood behind one */
	uint64_t expired;            /* TTRs */
	uint64_t gateways, detached; /* attached; gone because of their silence */
	uint64_t begun_anew;
};

struct sim_queue {
	bool is_on;
	uint64_t random;
	uint64_t second_ns; /* of cluster time */
	uint32_t silence_one_in;
	struct model model; /* after the last step */
	struct queue_draw draw;
	struct decree_digest empty;   /* of a machine that was never called */
	struct sim_queue_step *steps; /* [step_count <= SIM_SLOT_MAX] */
	uint64_t step_count;
	struct sim_queue_word *words; /* [word_count <= SIM_QUEUE_WORD_MAX] */
	uint32_t word_count;
	struct sim_queue_word told[SIM_QUEUE_TOLD_MAX]; /* by the node that is executing now */
	uint32_t told_count;
	struct sim_queue_job *jobs; /* [job_last + 1 <= SIM_QUEUE_JOB_MAX] by id */
	uint64_t job_last;
	struct sim_queue_count count;
	bool is_at_rest; /* nothing will ever be due: gateways and connections are gone */
};

/* queue.c */
void sim_queue_create(struct sim *sim);
/** Is this world one? After the load and the faults. */
void sim_queue_draw(struct sim *sim);
/** A process begins: with an empty machine. */
void sim_queue_start(struct sim_node *n);
void sim_queue_apply(struct sim_node *n, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink);
/** Cluster time at which the queue wants to be called. */
uint64_t sim_queue_next(const struct sim_node *n);
/** A state came from a snapshot: it must be that of its step. */
void sim_queue_restored(struct sim_node *n);
/** All is silent and well: whatever is due happens in its time, up to nothing that ever will be. */
void sim_queue_require(struct sim *sim);
/** Then all nodes have the same, and every job that was not deleted. */
void sim_queue_check_end(struct sim *sim);

/* queue_gateway.c */
/** @param ret_bytes  [SIM_COMMAND_BYTES - SIM_BODY_BYTES_MIN] @return bytes of the next command of
 * that gateway */
uint32_t sim_queue_command(struct sim *sim, struct sim_node *n, uint8_t *ret_bytes);
/** @return how long it is silent now, 0 nearly always */
uint64_t sim_queue_silence_ns(struct sim *sim);
/** The first to execute a command: what its proposer has to be told. */
void sim_queue_expect(struct sim *sim, const struct decree_command *c,
	const struct sim_queue_word *w, uint64_t place);

/* queue_ledger.c */
void sim_queue_ledger_reset(struct sim *sim);
/** What was said in a step. @param c  the command that @p w answers, or NULL */
void sim_queue_ledger_note(
	struct sim *sim, const struct sim_queue_word *w, const struct queue_command *c);
/** Every job that was put and not deleted is there, at rest, and no other. */
void sim_queue_ledger_check(const struct sim *sim, const struct sim_node *n);

#endif
