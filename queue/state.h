/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file state.h
 * The state of the queue machine.
 *
 * Everything lives in cells of one size in one array; a cell's index is its name, 0 is none. So
 * memory can be full but never fragmented, and whether something fits depends on how many cells the
 * state has, not on its history: a node that was restored from a snapshot refuses the same put as
 * one that lived through everything.
 *
 *   tube, gateway, connection, watch, job   an object: one cell, and a chain of more where a name or body goes on
 *   image                                   an object as it was when a snapshot began (walk.c)
 *
 * An object's *words* are what it is: they are digested and written into snapshots. Everything else
 * in it is derived. Between object_edit() and object_done() its words may change, and nowhere else.
 */
#ifndef QUEUE_STATE_H
#define QUEUE_STATE_H

#include "queue/assert.h"
#include "queue/command.h"
#include "queue/machine.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define SECOND_NS 1000000000ull
#define NEVER_NS  UINT64_MAX

/* ---------------------------------------------------------------------------- what is in a cell */

#define CELL_BYTES 208 /* so that a job of 100 bytes is one cell */

/* In the order of their sections in a snapshot: who is referred to comes first. */
enum kind {
	KIND_TUBE,
	KIND_GATEWAY,
	KIND_CONNECTION,
	KIND_WATCH,
	KIND_JOB,
	KIND_COUNT,
};

/* Place in a tree: by key, then by the object's number. */
struct link {
	uint64_t key;
	uint32_t left, right;
};

struct object {
	uint32_t hash_next;
	uint32_t previous, next; /* of its kind, by number */
	uint32_t epoch;          /* the walk that has an image of it, or an earlier one */
	uint32_t more;           /* chain with the rest of the payload */
	uint32_t payload_bytes;
	uint32_t tube; /* a job's, the one that a connection uses, the one that is watched */
	uint8_t kind;
	uint8_t state; /* enum job_state; flags of a gateway or connection */
	uint64_t number;
	/* A job: in its tube's or holder's tree, see enum job_state. A watch: in its tube's tree of
	 * those that wait; a connection: in its gateway's. A tube: in that of all tubes, with key
	 * 0. An image: in the walk's. */
	struct link order;
};

/* What can become due. */
struct timed {
	struct object o;
	struct link timer; /* key NEVER_NS: in no tree */
};

struct tube {
	struct timed t;
	uint64_t name_hash;
	uint64_t total_jobs, cmd_delete, cmd_pause;
	uint64_t pause_ns; /* 0: not paused */
	uint64_t unpause_ns;
	uint32_t ready, delayed, buried, waiting; /* trees */
	uint32_t key_next;
	uint32_t using_count, watching_count, waiting_count;
	uint32_t urgent_count;
	uint32_t job_counts[4]; /* by enum job_state */
	uint8_t name[36];       /* its beginning */
};

/* Flag of a gateway. */
#define IS_DETACHED 1

struct gateway {
	/* Attached until then, unless it is heard or the log leaps; if it IS_DETACHED, since then. */
	struct timed t;
	uint64_t session, node;
	uint32_t key_next;
	uint32_t connection_first, connection_last, connection_count; /* by number */
	uint32_t waiting; /* tree of those that wait, by wait_order */
};

/* Flags of a connection. */
#define IS_PRODUCER 1
#define IS_WORKER   2
#define IS_WAITING  4
#define HAS_PARKED                                                                                 \
	8 /* a reserve since the last command without the mark AFTER; as long as it IS_WAITING */

struct connection {
	struct timed t;
	uint64_t id;
	uint64_t wait_seq;   /* of the reserve that waits */
	uint64_t wait_until; /* NEVER_NS: without a timeout */
	uint64_t wait_order; /* who waited first is served first */
	uint32_t gateway;
	uint32_t previous, next; /* of its gateway */
	uint32_t key_next;
	uint32_t watch_first, watch_last, watch_count;
	uint32_t reserved, reserved_count; /* tree of the jobs that it holds */
};

struct watch {
	struct object o;
	uint32_t key_next;
	uint32_t connection;
	uint32_t previous, next; /* of its connection, in the order of watching */
};

/* The tree that a job is in, and the key there. */
enum job_state {
	JOB_READY,    /* tube: pri */
	JOB_RESERVED, /* connection: when it times out */
	JOB_DELAYED,  /* tube: when it becomes ready */
	JOB_BURIED,   /* tube: order of burying */
};

#define JOB_INLINE_BYTES 100
#define URGENT_PRI       1024 /* below it a ready job counts as urgent */

struct job {
	struct object o;
	uint64_t created_ns;
	uint64_t body_hash;
	uint32_t holder; /* connection, if reserved */
	uint32_t pri, delay_s, ttr_s;
	uint32_t reserves, timeouts, releases, buries, kicks;
	uint8_t body[JOB_INLINE_BYTES]; /* its beginning */
};
static_assert(sizeof(struct object) == 56, "shared by all kinds");
static_assert(sizeof(struct tube) <= CELL_BYTES, "one cell");
static_assert(sizeof(struct gateway) <= CELL_BYTES, "one cell");
static_assert(sizeof(struct connection) <= CELL_BYTES, "one cell");
static_assert(sizeof(struct watch) <= CELL_BYTES, "one cell");
static_assert(sizeof(struct job) == CELL_BYTES, "one cell, all of it");

#define OBJECT_WORDS_MAX 11

struct image {
	struct object o;      /* kind and number are those of the original; order.key is the kind */
	uint32_t source;      /* the original's cell; its payload never changes */
	uint32_t owns_source; /* the original is gone, its cells are kept for us */
	uint64_t words[OBJECT_WORDS_MAX];
};
static_assert(sizeof(struct image) <= CELL_BYTES, "one cell");

#define CHAIN_BYTES (CELL_BYTES - 4)

struct chain {
	uint32_t next;
	uint8_t bytes[CHAIN_BYTES];
};

/* Chains that nobody uses are kept as they were, so that giving one back costs the same whatever
 * its length. */
struct free_cell {
	uint32_t next; /* of the same chain */
	uint32_t next_chain;
};

/* ------------------------------------------------------------------------------ the machine */

/*
 * What cells are wanted for. Jobs may not fill the memory to its end: whoever wants to delete some
 * has to come in first, and a node that was started anew has to attach before it lets anybody in.
 *
 *   JOBS          puts; tubes that a connection watches beyond the first WATCH_KEPT_COUNT
 *   CONNECTIONS   a connection, the tube that it uses, the first tubes that it watches: so each of
 *                 them takes little
 *   GATEWAYS      of which there are as many as nodes
 */
enum purpose {
	FOR_JOBS,
	FOR_CONNECTIONS,
	FOR_GATEWAYS,
	PURPOSE_COUNT,
};
#define WATCH_KEPT_COUNT 8

/* What is replicated and belongs to no object; all of it is digested and in the header of a
 * snapshot. */
struct globals {
	uint64_t now_ns;
	uint64_t due_budget; /* how many due things may still happen at this time */
	/* cells that may be in use after such an addition; ascending */
	uint64_t capacity[PURPOSE_COUNT];
	uint64_t number_next; /* of tubes, gateways, connections and watches together */
	uint64_t job_next;
	uint64_t order_next; /* of burying and of waiting */
	uint64_t counters[QUEUE_COUNTER_COUNT];
};
#define GLOBAL_WORDS (sizeof(struct globals) / sizeof(uint64_t))

struct list {
	uint32_t first, last, count;
};

#define SNAPSHOT_MAGIC 0x3165756575716465ull /* "edqueue1": the first format */

/* A snapshot on its way (walk.c). */
struct walk {
	bool is_on;
	bool has_failed; /* no room for images */
	bool has_header;
	uint32_t epoch;
	uint64_t chunk_index;
	/* Everything before (kind, number) was handed out. */
	enum kind kind;
	uint64_t number;
	uint32_t cursor; /* the first object of that kind not before it, or none */
	uint64_t numbers_after[KIND_COUNT]; /* objects from here on came after the beginning */
	uint32_t images;                    /* tree */
	struct list list;                   /* of the same */
	uint32_t payload_offset;            /* of the image being handed out, if some of it was */
	bool is_inside;                     /* its words were */
	uint64_t header[1 + KIND_COUNT + GLOBAL_WORDS];
};

/* A restore on its way (restore.c). */
struct restoring {
	bool is_on;
	uint64_t chunk_index;
	uint64_t left[KIND_COUNT]; /* objects that are still to come */
	uint32_t object;           /* whose payload is still to come, or none */
	uint32_t payload_offset;
};

struct queue_machine {
	struct queue_config config;
	struct decree_sink *sink; /* during apply() */
	uint8_t *arena;           /* [arena_bytes] reserved by mmap() */
	uint64_t arena_bytes;

	uint8_t *cells;      /* [cell_count] of CELL_BYTES, the first one unused */
	uint32_t cell_count; /* capacity + retired_max + 1 */
	uint32_t cell_fresh; /* from here on never used */
	uint32_t cell_free;  /* chains of them */
	uint32_t used;       /* by objects; Invariant: used <= globals.capacity[FOR_GATEWAYS] */
	uint32_t retired;    /* by images and what they keep; Invariant: retired <= retired_max */
	uint32_t retired_max;

	uint32_t *by_number; /* [number_mask + 1] */
	uint32_t number_mask;
	uint32_t *
		by_key; /* [key_mask + 1] tubes by name, the attached gateways by session, connections
			    by gateway and id, watches by both ends */
	uint32_t key_mask;

	struct list lists[KIND_COUNT];
	uint32_t timers;   /* tree of tubes, gateways and connections */
	uint32_t tubes;    /* tree of all of them */
	uint32_t fallback; /* the tube "default" */
	uint32_t producer_count, worker_count, waiting_count;
	uint64_t urgent_count;
	uint64_t job_counts[4]; /* by enum job_state */

	struct globals globals;
	struct decree_digest sum; /* over the terms of all objects */

	struct walk walk;
	struct list garbage; /* images of walks that are over */
	struct restoring restoring;
	uint8_t chunk[DECREE_CHUNK_BYTES_MAX];

	/* Relaxed: cells that were left for jobs, for threads that cannot look. They do for each
	 * put; nothing else here is theirs. */
	_Alignas(64) _Atomic uint32_t job_room;
};
static_assert(offsetof(struct queue_machine, job_room) % 64 == 0, "on a line of its own");

/* --------------------------------------------------------------------------- a cell by its name */

static inline void *
cell_at(const struct queue_machine *m, uint32_t cell)
{
	return m->cells + (uint64_t)cell * CELL_BYTES;
}

static inline struct object *
object_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

static inline struct tube *
tube_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

static inline struct gateway *
gateway_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

static inline struct connection *
connection_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

static inline struct watch *
watch_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

static inline struct job *
job_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

static inline struct image *
image_at(const struct queue_machine *m, uint32_t cell)
{
	return cell_at(m, cell);
}

#endif
