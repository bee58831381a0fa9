/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file oracle.h
 * What must hold, and what the oracle knows: oracle.c, oracle_applied.c, oracle_end.c, governors.c.
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "engine/core/replica.h"
#include "engine/runtime/shard.h"
#include "tests/lib/linear.h"
#include "tests/sim/limits.h"

struct sim;
struct sim_node;

struct sim_order { /* one executed command, in the order of the log */
	struct decree_slot slot;
	uint32_t index;
	struct decree_session session;
	uint64_t seq;
	uint64_t proposer; /* as the body names it */
	struct decree_digest digest;
};

struct sim_firing { /* a timer of the state machine went off */
	uint64_t slot;
	uint64_t timer_ns;
	uint64_t after; /* so many commands had been executed */
};

struct sim_value { /* one (slot, ballot) that was proposed */
	uint64_t ballot;
	struct decree_digest digest;
	uint32_t votes; /* bit per node that said Accepted */
	uint32_t next;  /* another ballot of this slot: its place + 1; 0 = none */
};

/* governors.c */

struct sim_governor { /* who votes in the slots from here on, up to the next one's */
	uint64_t from;
	uint32_t voters; /* bit per node */
	uint32_t q1, q2;
};

struct sim_proposed_config {
	uint64_t slot;
	struct decree_digest digest;
	struct eng_membership m;
};

#define SIM_GOVERNOR_COUNT 256 /* configurations of a run */

struct sim_governors {
	uint64_t prefix;            /* every slot up to here is chosen */
	struct eng_configs configs; /* what they decided */
	struct sim_governor list[SIM_GOVERNOR_COUNT];
	uint32_t count;
	struct sim_proposed_config proposed[SIM_GOVERNOR_COUNT]; /* by anybody, ever */
	uint32_t proposed_count;
};

struct sim_chosen {
	struct decree_digest digest;
	/* a quorum was seen to vote for it at this one; 0: known by its application */
	uint64_t ballot;
	bool is_known;
};

struct sim_oracle {
	struct sim_chosen *chosen; /* [SIM_SLOT_MAX] */
	uint64_t chosen_last;      /* highest that anybody applied */
	struct sim_order *order;   /* [SIM_COMMAND_MAX] */
	uint64_t order_count;
	struct sim_firing *firings; /* [firing_count <= SIM_FIRING_MAX] */
	uint64_t firing_count;
	struct sim_value *values; /* [value_count <= SIM_VALUE_COUNT] */
	uint32_t value_count;
	uint32_t *value_first;           /* [SIM_SLOT_MAX] place + 1; 0 = none */
	uint64_t slot_high;              /* highest slot that has one */
	uint64_t *executed;              /* [SIM_PROPOSER_MAX] highest seq executed, by proposer */
	struct decree_session *sessions; /* [SIM_PROPOSER_MAX] of each proposer */
	bool *ended; /* [SIM_PROPOSER_MAX] was told that it has no session: nothing more of it is executed */
	/* [SIM_SLOT_MAX] digest of the bytes that somebody cut there */
	struct sim_chosen *snapshots;
	uint64_t snapshot_last;
	uint64_t acked_count;
	struct history *history; /* what was asked and answered, for the checker at the end */
	uint64_t leader_changes;
	uint64_t round_high;    /* of any Prepare */
	uint64_t storm_from_ns; /* rounds are counted from here on, for one T */
	uint64_t storm_round;   /* round_high at that time */
	uint64_t storm_max;     /* most rounds in one T */
	struct sim_governors governors;
};

/* oracle.c */
void oracle_create(struct sim *sim);
void oracle_reset(struct sim *sim);
/** A slot is spoken of: the tables have room for it. */
void oracle_note_slot(struct sim *sim, uint64_t slot);
/** Somebody calls it decided: the votes must be there. */
void oracle_require_votes(const struct sim *sim, const struct sim_node *n, uint64_t slot);
/** Bit per type of the core's messages in a frame that a node sends. */
uint32_t sim_frame_types(const uint8_t *data, uint32_t bytes);
void oracle_on_frame(struct sim *sim, struct sim_node *node, const uint8_t *data, uint32_t bytes);
void oracle_on_applied(
	struct sim *sim, struct sim_node *node, struct decree_slot first, struct decree_slot after);
void oracle_on_command(struct sim *sim, struct sim_node *node, const struct decree_command *c);
void oracle_on_ack(struct sim *sim, uint64_t proposer, uint64_t seq);
/** A node tells its proposer that a command ends without an answer. */
void oracle_on_end(
	struct sim *sim, const struct sim_node *node, uint64_t seq, enum decree_outcome outcome);
/** The whole history is that of a single copy: commands take their places between question and
 * answer, and reads see everything that was answered before they began (S5). */
void oracle_check_history(struct sim *sim);
/** A record was handed to the log; its vote counts when the log says that it is durable. */
void oracle_on_append(
	struct sim *sim, struct sim_node *node, const struct log_record *record, uint64_t lsn);
void oracle_on_durable(struct sim *sim, struct sim_node *node, uint64_t lsn);
void oracle_on_recovered_record(struct sim *sim, struct sim_node *node, const uint8_t *tag);
/** A node has read its log again: it must stand by everything that it ever said. */
void oracle_on_recovered(struct sim *sim, struct sim_node *node);
/** @return whether it does */
bool oracle_keeps_its_word(const struct sim *sim, const struct sim_node *node);
/** A state came from a snapshot: it must be what its commands lead to. */
void oracle_on_restored(struct sim *sim, struct sim_node *node);
/** Everything agrees and everything that was asked for is done. */
bool oracle_is_calm(const struct sim *sim);
void oracle_check_calm(struct sim *sim);
/** What a person wants to see of a run that got stuck. */
void oracle_print_nodes(const struct sim *sim);

/* governors.c */
void governors_reset(struct sim *sim);
/** The slot must be within alpha of what is chosen, or nobody knows yet. @return lent */
const struct sim_governor *governor_of(const struct sim *sim, uint64_t slot);
/** The newest configuration that is decided, whether it governs or not; epoch 0 before bootstrap. */
const struct eng_membership *governors_newest(const struct sim *sim);
/** Who votes in a configuration: bit i is node i. */
uint32_t governors_voters(const struct eng_membership *m);
/** Somebody proposes a value; looked at if it is a configuration. */
void governors_on_value(struct sim *sim, uint64_t slot, struct decree_digest digest,
	const void *bytes, uint32_t count);
/** One more slot is chosen. */
void governors_on_chosen(struct sim *sim);

#endif
