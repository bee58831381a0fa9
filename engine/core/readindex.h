/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file readindex.h
 * Reads without a slot, and leases: what the other files of the core call. The story is in
 * readindex.c.
 */
#ifndef ENG_READINDEX_H
#define ENG_READINDEX_H

#include "engine/core/replica.h"

/* Lost questions, answers and rounds are repeated after so long: many round trips, a fraction of T. */
#define READ_RETRY_NS        5000000ull
#define READ_RETRY_SHIFT_MAX 10

/* ---- reads ---- */
void on_read(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_read_index(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_read_index_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** A member echoed a heartbeat of ours: the round may be complete. */
void readindex_on_echo(struct eng_replica *r, struct eng_effects *fx);
/** The end of a turn: ask for what waits, start a round if none is under way. */
void readindex_flush(struct eng_replica *r, struct eng_effects *fx);
/** A leadership begins: nothing of an earlier one counts. */
void readindex_leader_begin(struct eng_replica *r);
void readindex_leader_tick(struct eng_replica *r, struct eng_effects *fx);
uint64_t readindex_wake_at(const struct eng_replica *r);

/* ---- leases (8.3) ---- */
/** Follower: the heartbeat of @p leader that is being handled is also the beginning of a refusal. */
void lease_grant(struct eng_replica *r, uint16_t leader);
/** This life begins: what an earlier one granted, and to whom, is not known. */
void lease_start(struct eng_replica *r);
/** May this candidate, perhaps this node itself, not be promised anything now? */
bool lease_refuses(const struct eng_replica *r, uint16_t candidate);
/** When lease_refuses() ends for everybody. */
uint64_t lease_refuses_until(const struct eng_replica *r);
/** The holder itself says that it uses its lease no more (TimeoutNow). */
void lease_give_back(struct eng_replica *r, uint16_t holder);
/** Leader: no lease at this ballot any more. Before TimeoutNow is sent: a copy of that message may
 * arrive late, and lets its receiver forget what it granted. */
void lease_revoke(struct eng_replica *r);
/** Leader: no lease until lease_resume(), which counts grants from then on only. Around a change of
 * membership. */
void lease_suspend(struct eng_replica *r);
void lease_resume(struct eng_replica *r);

#endif
