/* SPDX-License-Identifier: Apache-2.0 */
/** @file limits.h  How large a world is. */
#ifndef TESTS_SIM_LIMITS_H
#define TESTS_SIM_LIMITS_H

#define MS 1000000ull
#define US 1000ull

#define SIM_FOUNDER_MAX     7
#define SIM_NODE_MAX        12                 /* with those that join later */
#define SIM_TWIN            (SIM_NODE_MAX + 1) /* the place of a second process of one node */
#define SIM_FRAME_BYTES     640
#define SIM_SLOT_BYTES      320
#define SIM_COMMAND_BYTES   12000 /* more than a window of slots */
#define SIM_FRAME_COUNT     4096  /* in the whole world; when there are no more, frames are lost */
#define SIM_NODE_FRAMES     192   /* taken by one node at a time */
#define SIM_INBOX_COUNT     256   /* frames that arrived and were not received yet; more are lost */
#define SIM_SESSION_COUNT   64
#define SIM_SESSION_WINDOW  64 /* answers kept of each */
#define SIM_IN_FLIGHT       32 /* commands of one proposer */
#define SIM_READS_IN_FLIGHT 16
#define SIM_LOG_BYTES       (8u << 20) /* room for a run: a full log refuses commands for good */
#define SIM_LOG_RECORDS_MIN                                                                        \
	340 /* with fewer, the steps of trims, snapshots and segments are too long */
#define SIM_COMMAND_COUNT_MIN 50           /* executed by a run, before any log fills up for good */
#define SIM_SEGMENT_BYTES     (64u << 10)  /* of a log that is made to fill up */
#define SIM_WINDOW_BYTES      (192u << 10) /* a step and a burst of records, and a third more */

#define SIM_SLOT_MAX     16384
#define SIM_COMMAND_MAX  65536
#define SIM_PROPOSER_MAX 4096
#define SIM_FIRING_MAX   SIM_SLOT_MAX
#define SIM_VALUE_COUNT  65536 /* (slot, ballot) pairs of a run */

#endif
