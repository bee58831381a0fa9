/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lagging.h
 * Three nodes that cut snapshots, and one of them that nobody's log reaches any more.
 */
#ifndef TEST_RUNTIME_LAGGING_H
#define TEST_RUNTIME_LAGGING_H

#include "tests/lib/snap_fake.h"
#include "tests/unit/runtime/world.h"

extern struct world_node *lagging;                         /* the test says which */
extern struct snap_fake *stores[WORLD_NODE_COUNT_MAX + 1]; /* by node_id */

/** Three nodes; a snapshot has about 90 frames, and is cut every 128 slots. @return world_end() it */
struct world *world_of_three(void);
/** As above, of logs with so many records: cut when they are half full. @param bytes_per_second  of
 * the stores */
struct world *world_of_small_logs(uint32_t records, uint64_t bytes_per_second);
void world_end(struct world *w);

/** Of two nodes, both ways. */
void cut(struct world *w, uint16_t a, uint16_t b, bool is_cut);
/** All links of the lagging node are cut. */
void isolate(struct world *w);
/** ... and whole again. */
void heal(struct world *w);

/** 900 commands of a proposer at @p leader, and time for the snapshots behind them: more than a ring
 * of slots. */
void work(struct world *w, struct world_node *leader, const uint8_t token[DECREE_UUID_BYTES]);

/** The lagging node has the state of another one, and its sessions. */
void assert_caught_up(struct world *w);

#endif
