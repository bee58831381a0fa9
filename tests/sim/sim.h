/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sim.h
 * A whole cluster in one thread and in virtual time: the production loop, core and log on a simulated
 * network, disk and clock. One seed decides everything; the same seed gives the same run, byte for byte.
 *
 *   world.c     nodes, frames in flight, the order in which things happen
 *   faults.c    what goes wrong, drawn once per seed (swarm testing) and then event by event
 *   oracle.c    what must hold after every step
 *   workload.c  proposers and their commands
 *   main.c      options, one line per failing seed
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "base/assert.h"
#include "base/digest.h"
#include "engine/core/record.h"
#include "engine/core/replica.h"
#include "engine/runtime/shard.h"
#include "tests/lib/disk_fake.h"
#include "wal/wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define US 1000ull

#define SIM_NODE_MAX      7
#define SIM_FRAME_BYTES   640
#define SIM_SLOT_BYTES    320
#define SIM_COMMAND_BYTES 12000 /* more than a window of slots */
#define SIM_POOL_COUNT    128   /* empty frames of one node */
#define SIM_INBOX_COUNT   64    /* frames that arrived and were not received yet; more are lost */
#define SIM_SESSION_COUNT 128
#define SIM_IN_FLIGHT     32         /* commands of one proposer */
#define SIM_LOG_BYTES     (6u << 20) /* room for a run: a full log refuses commands for good */

struct sim;

/* What this seed's world is like. */
struct sim_faults {
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t
		corrupt_ppm; /* a byte is changed on the way; authentication would catch it, here the oracle drops it */
	uint64_t delay_ns_min;
	uint64_t delay_ns_max;
	uint32_t slow_ppm; /* frames that take up to slow_ns_max: reordering across elections */
	uint64_t slow_ns_max;
	uint64_t disk_ns_min;
	uint64_t disk_ns_max;
	uint64_t crash_every_ns;    /* mean; 0 = never */
	uint32_t power_cut_percent; /* of crashes; the others are kill -9 */
	uint64_t down_ns_max;
	uint64_t pause_every_ns;
	uint64_t pause_ns_max;
	uint64_t cut_every_ns;
	uint64_t cut_ns_max;
	uint64_t crash_all_every_ns;
	uint64_t disk_stall_every_ns;
	uint64_t disk_stall_ns_max;
};

struct sim_frame {
	uint64_t due_ns;
	uint64_t number; /* breaks ties: equal times keep their order */
	uint16_t src;
	uint16_t dst;
	uint32_t bytes;
	uint8_t data[SIM_FRAME_BYTES];
};

struct sim_command {
	uint64_t seq; /* 0 = free */
	uint32_t bytes;
	uint8_t body[SIM_COMMAND_BYTES];
};

/* One proposer in a node's process; it dies with it. */
struct sim_proposer {
	uint64_t id; /* unique in the run */
	bool is_open;
	uint16_t node;
	int gateway;
	uint64_t seq_made;
	uint64_t seq_popped;
	uint64_t seq_done;
	uint64_t next_ns; /* next command */
	struct sim_command window[SIM_IN_FLIGHT];
};

struct sim_node {
	uint16_t id;
	bool is_up;
	bool is_dead;      /* halted or log failed: must not happen unless the faults explain it */
	uint64_t up_at_ns; /* restart then, if down */
	uint64_t paused_until_ns;
	uint64_t turn_at_ns; /* next turn even if nothing arrives */
	uint64_t boot_count;
	struct disk_fake *disk;
	struct wal *wal;
	struct shard *shard;
	void *memory;
	struct eng_config group;
	struct sim *sim;
	struct sim_proposer proposer;
	/* frames */
	struct sim_frame *inbox; /* [SIM_INBOX_COUNT] */
	uint32_t inbox_first;
	uint32_t inbox_count;
	uint8_t *pool; /* [SIM_POOL_COUNT][SIM_FRAME_BYTES] */
	uint16_t pool_free[SIM_POOL_COUNT];
	uint32_t pool_free_count;
	/* state machine */
	uint64_t applied_count; /* place in the oracle's order */
	struct decree_digest digest;
	uint64_t cluster_ns;
	/* what the rest of the world has heard from it (survives crashes) */
	struct decree_ballot promised_said;
	struct decree_ballot *accepted_said; /* [SIM_SLOT_MAX] by slot */
};

#define SIM_SLOT_MAX     16384
#define SIM_COMMAND_MAX  65536
#define SIM_PROPOSER_MAX 4096

struct sim_order { /* one executed command, in the order of the log */
	struct decree_slot slot;
	uint32_t index;
	struct decree_session session;
	uint64_t seq;
	uint64_t proposer; /* as the body names it */
	struct decree_digest digest;
};

struct sim_value { /* (slot, ballot) -> digest, open addressing */
	uint64_t slot;
	uint64_t ballot;
	struct decree_digest digest;
};

struct sim_oracle {
	struct decree_digest chosen[SIM_SLOT_MAX];
	uint64_t chosen_last;
	struct sim_order *order; /* [SIM_COMMAND_MAX] */
	uint64_t order_count;
	struct sim_value *values; /* [SIM_VALUE_COUNT] */
	uint64_t *executed;       /* [SIM_PROPOSER_MAX] highest seq executed, by proposer */
	uint64_t acked_count;
	uint64_t leader_changes;
};
#define SIM_VALUE_COUNT (1u << 18)

struct sim {
	uint64_t seed;
	uint64_t random;
	uint64_t now_ns;
	uint64_t events;
	uint32_t node_count;
	bool trace;
	bool is_calm; /* the faults have stopped */
	struct sim_faults faults;
	struct sim_node nodes[SIM_NODE_MAX + 1];         /* by id, from 1 */
	bool is_cut[SIM_NODE_MAX + 1][SIM_NODE_MAX + 1]; /* [from][to] */
	uint64_t heal_at_ns;
	uint64_t next_crash_ns, next_pause_ns, next_cut_ns, next_crash_all_ns, next_stall_ns;
	struct sim_frame **heap; /* [heap_count] by (due_ns, number) */
	uint32_t heap_count;
	uint32_t heap_max;
	uint64_t frame_number;
	uint64_t proposer_number;
	struct sim_oracle oracle;
	struct { /* what happened, for the summary */
		uint64_t crashes, power_cuts, pauses, cuts, stalls, lost, sent, commands, turns;
	} count;
};

#define sim_trace(sim, ...)                                                                        \
	do {                                                                                       \
		if ((sim)->trace) {                                                                \
			printf("%10.3f ms  ", (double)(sim)->now_ns / 1e6);                        \
			printf(__VA_ARGS__);                                                       \
			printf("\n");                                                              \
		}                                                                                  \
	} while (0)

/* The seed must be in the message: it is the bug report. */
#define sim_check(sim, condition, ...)                                                             \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fflush(stdout);                                                            \
			fprintf(stderr, "FAILED seed %lu at %.3f ms: %s: ", (sim)->seed,           \
				(double)(sim)->now_ns / 1e6, #condition);                          \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* world.c */
struct sim *sim_create(uint64_t seed, uint32_t node_count, bool trace);
void sim_destroy(struct sim *sim);
/** Until virtual time @p end_ns. */
void sim_run_until(struct sim *sim, uint64_t end_ns);
void sim_node_crash(struct sim *sim, uint16_t id, bool power_cut);
void sim_node_start(struct sim *sim, uint16_t id);
uint64_t sim_draw(struct sim *sim, uint64_t bound);
/** A ready leader that a quorum would follow, 0 if none. */
uint16_t sim_leader(const struct sim *sim);

/* faults.c */
void sim_faults_draw(struct sim *sim);
void sim_faults_step(struct sim *sim);
uint64_t sim_faults_next_ns(const struct sim *sim);
/** No more faults: everything heals, everybody is up. */
void sim_faults_stop(struct sim *sim);
/** Put a frame on its way, or lose it. */
void
sim_frame_send(struct sim *sim, uint16_t src, uint16_t dst, const uint8_t *data, uint32_t bytes);
void sim_heap_push(struct sim *sim, struct sim_frame *frame);

/* oracle.c */
void oracle_on_frame(struct sim *sim, struct sim_node *node, const uint8_t *data, uint32_t bytes);
void oracle_on_applied(
	struct sim *sim, struct sim_node *node, struct decree_slot first, struct decree_slot after);
void oracle_on_command(struct sim *sim, struct sim_node *node, const struct decree_command *c);
void oracle_on_ack(struct sim *sim, uint64_t proposer, uint64_t seq);
/** A node has read its log again: it must stand by everything that it ever said. */
void oracle_on_recovered(struct sim *sim, struct sim_node *node);
/** Everything agrees and everything that was asked for is done. */
bool oracle_is_calm(const struct sim *sim);
void oracle_check_calm(struct sim *sim);

/* workload.c */
extern const struct mailbox_ops sim_mailbox_ops;
void workload_open(struct sim *sim, struct sim_node *node);
void workload_step(struct sim *sim);
uint64_t workload_next_ns(const struct sim *sim);
bool workload_is_done(const struct sim *sim);

#endif
