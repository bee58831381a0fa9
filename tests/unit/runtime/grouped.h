/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file grouped.h
 * Three nodes with several groups in one log each: every group has a state machine and snapshots of
 * its own, and a proposer that works for it on one of the nodes.
 */
#ifndef TEST_RUNTIME_GROUPED_H
#define TEST_RUNTIME_GROUPED_H

#include "engine/runtime/shard_private.h"
#include "tests/lib/snap_fake.h"
#include "tests/unit/runtime/world.h"

#define GROUPED_COUNT 3u /* groups */
#define MS            1000000ull

extern struct snap_fake *stores[WORLD_NODE_COUNT_MAX + 1]; /* by node_id */
extern struct world_mailbox *mails[GROUPED_COUNT];         /* by group */
extern bool may_cut[GROUPED_COUNT]; /* else its state machine refuses to begin; all may at first */

/** Begins a test: cut a snapshot when the log needs it, or every @p snapshot_slots. */
struct world *grouped_begin(uint64_t snapshot_slots);
void grouped_end(struct world *w);

/** The leader of a group, once there is one that is ready; asserts within 10 s of world time. */
struct world_node *grouped_leader(struct world *w, uint16_t group);
/** Make a node the leader of a group. */
void grouped_lead(struct world *w, uint16_t group, struct world_node *n);

/** A proposer for each group, on that node. */
void grouped_open(struct world_node *n);
/** So many commands of 8 bytes for one group, one a millisecond. */
void grouped_work(struct world *w, uint16_t group, uint32_t count);
/** Time, until every command of that group is answered; asserts within 10 s. */
void grouped_settle(struct world *w, uint16_t group);

struct shard_group *grouped_of(const struct world_node *n, uint16_t group);
struct world_machine *grouped_machine(const struct world_node *n, uint16_t group);

/** All nodes that run have executed so many commands of the group, with one state. Gives them time
 * to. */
void grouped_assert_all_have(struct world *w, uint16_t group, uint64_t count);

/** Every node loses power at this moment, and starts again. Proposers are gone. */
void grouped_power_cut(struct world *w);

#endif
