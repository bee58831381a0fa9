/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cluster.h
 * The nodes of one cluster in this thread, each with its log and its snapshots in a directory, and
 * the judge of what they apply. Nodes start, run and die; a death leaves the files as they are.
 *
 * Time is virtual, and stands still while any disk is busy: the same files and the same seed give
 * the same run.
 *
 * Owner: one thread.
 */
#ifndef DECREE_TABLES_CLUSTER_H
#define DECREE_TABLES_CLUSTER_H

#include "tests/tables/image.h"
#include "tests/unit/runtime/world.h"
#include "wal/wal.h"

#define NODE_MAX       WORLD_NODE_COUNT_MAX
#define SLOT_MAX       1024 /* of any run */
#define HELD_BYTES_MAX 1024 /* of a command */

struct snap_directory;
struct snap_store;

/* What is known of a slot that was applied anywhere: every node must say the same, and none may
 * pass over it. */
struct judged_slot {
	bool is_known;
	struct decree_digest digest; /* of its commands */
	uint64_t number;             /* of its first command */
};

struct machine {
	/* what the world forgets when the node starts; the rest is ours */
	struct world_machine base;
	struct node *node;
	uint64_t last; /* slot of the last command */
	uint64_t count;
	struct decree_digest fold; /* of all commands in their order */
	uint32_t chunk_next;       /* of the snapshot that is being cut or restored */
	uint8_t frozen[40];
	uint8_t chunk[40];
};

struct node {
	struct cluster *cluster;
	struct world_node *world;
	struct table_disk *disk;
	struct wal *wal;
	struct snap_directory *snap_directory;
	struct snap_store *snaps;
	struct bad_sectors bad;
	struct machine machine;
	char path[256];
	const char *why_not;              /* a record that is none of ours */
	char refusal[DECREE_ERROR_BYTES]; /* it did not start, or has stopped by itself; "" */
};

struct cluster {
	struct world *world;
	uint32_t node_count;
	bool has_snapshots;
	bool is_direct;
	struct node nodes[NODE_MAX];
	struct judged_slot slots[SLOT_MAX];
	uint64_t held_last; /* last slot that was committed before the damage */
	uint64_t slot_last; /* last one that is known */
	char wrong[512];    /* the first thing that is; "" */
	struct world_mailbox *mailbox;
	uint8_t body[HELD_BYTES_MAX];
	struct node *proposer;  /* where the mailbox is open; NULL = nowhere */
	uint64_t proposed;      /* number of the last command */
	uint64_t proposed_slot; /* where it was applied first; 0 = not yet */
};

/** @param path  an existing directory for the nodes' own */
struct cluster *
cluster_create(const char *path, uint32_t node_count, bool has_snapshots, bool is_direct);
void cluster_destroy(struct cluster *c);

/** Nobody runs; judge by what @p slots say, at the time where every run begins. @param seed  of all
 * nodes */
void cluster_begin(struct cluster *c, const struct judged_slot slots[SLOT_MAX], uint64_t held_last,
	uint64_t seed);

/** An empty data directory. */
void node_format(struct node *n);

/** Start from the files. @return false if it refuses: n->refusal */
bool node_start(struct node *n);

/** It ends at once, as by a signal. Nothing happens if it does not run. */
void node_kill(struct node *n);

bool node_is_up(const struct node *n);

/** Every node that runs takes turns, until @p is_done says so. @return false if @p for_ns passed
 * before */
bool cluster_run(struct cluster *c, uint64_t for_ns, bool (*is_done)(struct cluster *c));

/** Propose command @p number at @p n. */
void cluster_propose(struct cluster *c, struct node *n, uint64_t number, uint32_t bytes);

/** The node that leads and is ready; NULL: none. */
struct node *cluster_leader(struct cluster *c);

/** What was proposed last was applied by every node that runs. */
bool cluster_has_applied(struct cluster *c);

/** Every node that runs has all that was held, and a command proposed since. It is proposed here. */
bool cluster_has_converged(struct cluster *c);

/** Every record is durable and has its identifier. */
bool cluster_is_idle(struct cluster *c);

/* ---- machine.c ---- */

extern const struct decree_machine_ops machine_ops;
extern const struct decree_machine_ops machine_snapshot_ops;

/** Slots up to before @p after were applied there. */
void judge_applied(struct node *n, struct decree_slot after);

/** The bytes of command @p number. */
void command_fill(uint64_t number, uint8_t *ret, uint32_t bytes);

#endif
