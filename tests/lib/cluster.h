/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cluster.h
 * A cluster of bare replicas in one thread: the core alone, with every message and every write in
 * the test's hands. Messages travel as encoded bytes, so that the codec is always part of what is
 * tested.
 *
 * A write that was emitted is outstanding until cluster_persist(); a crash loses it. What the test
 * reads are the replicas themselves (replica.h), the messages in flight, and what each node
 * applied.
 */
#ifndef TESTS_CLUSTER_H
#define TESTS_CLUSTER_H

#include "engine/core/record.h"
#include "engine/core/replica.h"

#include <stdio.h>

#define CLUSTER_NODE_MAX 12
#define CLUSTER_FRAME_BYTES                                                                        \
	600 /* small, so that promises need fragments and commands need trains */
#define CLUSTER_SLOT_BYTES 320
#define CLUSTER_FLIGHT_MAX 20000

enum cluster_damage { /* what recovery still knows of a damaged record */
	CLUSTER_WHOLE = 0,
	CLUSTER_DAMAGE_ID,      /* slot, ballot, digest */
	CLUSTER_DAMAGE_UNKNOWN, /* slot */
	CLUSTER_DAMAGE_LOST,    /* that there was one */
};

struct cluster_write {
	uint64_t seq;
	enum eng_persist_kind kind;
	uint8_t tag[ENG_RECORD_TAG_BYTES];
	uint8_t value[CLUSTER_SLOT_BYTES];
	uint32_t bytes;
	enum cluster_damage damage;
};

#define CLUSTER_SNAPSHOT_MAX 3

struct cluster_snapshot {          /* a file of a node's disk */
	struct eng_snapshot facts; /* slot 0: none */
	/* [pieces_bytes] of the session table: 4 bytes of length, then the piece */
	uint8_t *pieces;
	uint32_t pieces_bytes;
	struct decree_digest applied_digest;
	uint64_t executed;
};

struct cluster_node {
	bool up;
	uint16_t node_id;
	struct decree_uuid disk;
	uint64_t boot_count;
	uint64_t nonce_salt; /* nonces differ though a start count came back */
	struct eng_replica *replica;
	struct eng_sessions *sessions;
	void *memory;
	void *session_memory;
	/* the disk */
	struct cluster_write *durable; /* [durable_count] records, in log order */
	uint32_t durable_count;
	uint8_t hard[ENG_HARD_BYTES];
	bool has_hard;
	uint8_t hearsay[ENG_HEARSAY_BYTES]; /* durable as soon as it is asked for */
	bool has_hearsay;
	struct cluster_snapshot snapshots[CLUSTER_SNAPSHOT_MAX];
	struct cluster_write *outstanding; /* [outstanding_count] emitted, not yet durable */
	uint32_t outstanding_count;
	uint64_t wake_at_ns;
	enum eng_halt halted;
	uint8_t version_max;    /* of its program, from its next start on; 0 = the first */
	uint8_t version_speaks; /* of this life */
	/* what it applied in this life */
	struct decree_slot applied;
	struct decree_digest applied_digest; /* of all values in order */
	uint64_t executed;                   /* commands that reached the state machine */
	uint64_t deadline_ns; /* its machine wants to be called at this cluster time; NEVER */
	bool log_is_busy;     /* a write is under way: what comes waits in the open batch */
	bool log_is_full;
	uint32_t log_slots_left; /* if it is full */
	uint32_t log_slots_reserve;
	uint32_t record_room; /* writes that a step may make + 1; 0 = as many as it likes */
	struct {              /* of the disk, taken at some time */
		struct cluster_write *durable;
		uint32_t durable_count;
		uint8_t hard[ENG_HARD_BYTES];
		bool has_hard;
		uint8_t hearsay[ENG_HEARSAY_BYTES];
		bool has_hearsay;
		uint64_t boot_count;
	} image;
};

struct cluster_frame {
	uint64_t number; /* grows: identifies a frame for the test */
	uint16_t src;
	uint16_t dst;
	uint32_t bytes;
	uint8_t data[CLUSTER_FRAME_BYTES];
};

struct cluster {
	uint32_t node_count;    /* nodes 1 .. node_count, joined ones included */
	uint32_t founder_count; /* the cluster was set up with nodes 1 .. founder_count */
	uint32_t alpha;
	uint32_t session_idle_slots;
	uint32_t digest_slots; /* 0 = states are not compared */
	uint32_t q1;           /* 0 = majority */
	uint32_t q2;
	uint64_t now_ns;
	uint64_t seed;
	uint64_t frame_number;
	uint64_t lease_ns;    /* of nodes that start from now on; 0 = no leases */
	uint64_t deadline_ns; /* of the machines of nodes that start from now on; NEVER = none */
	bool is_deadline_staying; /* the machines are wrong: it stays when its time has come */
	struct cluster_node nodes[CLUSTER_NODE_MAX + 1]; /* by node_id, from 1 */
	struct cluster_frame *flight;                    /* [flight_count] in order of sending */
	uint32_t flight_count;
	uint32_t flight_room;
	struct eng_effects *fx; /* of the last step */
	/* Hooks, all optional; `context` is theirs. */
	void *context;
	void (*on_config)(struct cluster *c, uint16_t node,
		struct eng_config *cfg); /* of a node that is about to start */
	void (*on_send)(struct cluster *c, const struct eng_msg *m, uint16_t dst);
	void (*on_write)(struct cluster *c, uint16_t node, const struct cluster_write *w);
	void (*on_apply)(struct cluster *c, uint16_t node, struct decree_slot slot,
		const uint8_t *value, uint32_t bytes);
	void (*on_command)(struct cluster *c, uint16_t node, struct decree_slot slot,
		const struct eng_applied *a);
	void (*on_due)(struct cluster *c, uint16_t node); /* its machine's deadline has come */
	void (*on_halt)(struct cluster *c, uint16_t node, enum eng_halt why);
	void (*on_role)(struct cluster *c, uint16_t node);
	void (*on_read)(struct cluster *c, uint16_t node, const struct eng_read_ready *ready);
	void (*on_fetch)(struct cluster *c, uint16_t node, uint16_t from);
};

/* ---- cluster_life.c ---- */

/** Nodes 1 .. @p node_count with majority quorums (or q1, q2 if not 0), started, timers random by
 * seed. */
struct cluster *cluster_create(uint32_t node_count, uint32_t q1, uint32_t q2, uint64_t seed);
/** The same; states are compared every @p digest_slots slots; sessions (16) may be evicted after
 * @p idle_slots, 0 = after many; a configuration governs @p alpha slots later. */
struct cluster *cluster_create_with(uint32_t node_count, uint32_t q1, uint32_t q2,
	uint32_t digest_slots, uint32_t idle_slots, uint32_t alpha, uint64_t seed);
void cluster_destroy(struct cluster *c);
/** One more node, with a new disk, formatted to join: it takes no part until it is added. @return
 * its id */
uint16_t cluster_join(struct cluster *c);

/** Lose memory and outstanding writes. */
void cluster_crash(struct cluster *c, uint16_t node);
/** Recover from what was durable. */
void cluster_restart(struct cluster *c, uint16_t node);
/** Damage the newest record of a slot on the disk of a node that is down. @return false if there is
 * none */
bool
cluster_damage(struct cluster *c, uint16_t node, struct decree_slot slot, enum cluster_damage how);
/** The same while it is up: its log has found it out. Of an unknown ballot there need be no record.
 * @return false if it is down, too */
bool
cluster_rot(struct cluster *c, uint16_t node, struct decree_slot slot, enum cluster_damage how);
/** Keep a copy of a node's disk as it is now; put it back while the node is down. @return false if
 * there is none */
void cluster_image(struct cluster *c, uint16_t node);
bool cluster_rollback(struct cluster *c, uint16_t node);
/** A fresh disk under the old id. */
void cluster_wipe(struct cluster *c, uint16_t node);

/* ---- cluster.c ---- */

/** One event for one node; its effects are taken up (messages, writes, applied slots). */
void cluster_step(struct cluster *c, uint16_t node, struct eng_event *ev);
void cluster_flush(struct cluster *c, uint16_t node);
/** Tick if its time has come. */
void cluster_tick(struct cluster *c, uint16_t node);
/** Make the oldest @p count outstanding writes durable (UINT32_MAX: all) and tell the core. */
void cluster_persist(struct cluster *c, uint16_t node, uint32_t count);
/** Deliver flight[index] and remove it (unless @p keep: a duplicate stays in flight). */
void cluster_deliver(struct cluster *c, uint32_t index, bool keep);
void cluster_drop(struct cluster *c, uint32_t index);
/** A frame of the test's own: it fills in bytes and data. */
struct cluster_frame *cluster_frame_add(struct cluster *c, uint16_t src, uint16_t dst);
/** Deliver and persist until nothing is left to do; time stands still. */
void cluster_settle(struct cluster *c);
/** Let time pass in steps of the next timer, settling after each, until @p ns are over. */
void cluster_run(struct cluster *c, uint64_t ns);
/** Run until some node is a ready leader. @return its id, 0 after @p ns */
uint16_t cluster_elect_any(struct cluster *c, uint64_t ns);
/** Jump to this node's election timeout and settle, until it leads. @return false if it does not */
bool cluster_elect(struct cluster *c, uint16_t node);
enum eng_submit_status cluster_submit(struct cluster *c, uint16_t node,
	struct decree_session session, uint64_t seq, const void *body, uint32_t bytes);

/** What everybody has applied last gave the machines this deadline. */
void cluster_deadline(struct cluster *c, uint64_t deadline_ns, bool stays);

/** A batch of reads begins at this node; on_read says what it has to see. */
void cluster_read(struct cluster *c, uint16_t node, uint64_t id);
/** @p node is asked to change the members. */
enum eng_member_result
cluster_member(struct cluster *c, uint16_t node, const struct eng_member_change *change);

/* ---- cluster_snapshot.c ---- */

/** Cut a snapshot at the slot that this node applied last; its file is durable at once. */
void cluster_cut_snapshot(struct cluster *c, uint16_t node);
/** Records of slots below @p low leave this node's disk. */
void cluster_trim(struct cluster *c, uint16_t node, struct decree_slot low);
/** @p node has fetched the snapshot that @p donor points to. @return false if there is none */
bool cluster_install(struct cluster *c, uint16_t node, uint16_t donor);
/** ... and its state machine holds it. @return false if the pointer is not durable yet */
bool cluster_installed(struct cluster *c, uint16_t node);
/** During a restart: begin where the hard state points. */
void cluster_recover_snapshot(struct cluster *c, uint16_t node);
/** Sessions and counters of a node become those of a file. */
void cluster_restore(struct cluster *c, uint16_t node, const struct cluster_snapshot *file);

static inline struct eng_replica *
cluster_replica(struct cluster *c, uint16_t node)
{
	return c->nodes[node].replica;
}

#endif
