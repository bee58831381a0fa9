/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file story.h
 * Stories: a list of commands to a cluster of bare replicas, and the trace that they must leave.
 *
 * A file of tests/data is: commands, one a line (`#` comments and empty lines are free), a line
 * `----`, the expected trace. Every command is repeated in the trace behind `*`, followed by what
 * the replicas did.
 *
 *   nodes N [Q1 Q2] [digest=K] [idle=K] [alpha=A]   first command: nodes 1 .. N, all up, all disks new;
 *                                states are compared every K slots, sessions give way when idle for K
 *                                slots, a configuration governs A slots later (64)
 *   join                         one more node with a new disk, formatted to join
 *   member N add|remove ID [Q1 Q2]   node N is asked to change the members; so is it by
 *   member N replace OLD ID
 *   member N raise               node N is asked to raise the version of the cluster
 *   speaks N V                   from its next start on node N runs a program that speaks versions
 *                                1 to V
 *   elect N                      jump to this node's election timeout and settle, until it leads
 *   timeout N                    this node's election timer goes off now
 *   clock +MS                    the clock moves on, no timer is looked at
 *   tick N                       this node looks at its timers
 *   time +MS                     time passes, timers go off, nothing is delivered or written
 *   run +MS                      time passes, timers go off, everything is delivered and written
 *   settle                       deliver and write until nothing is left to do; time stands still
 *   deliver [A>B] [TYPE] [COUNT] deliver the frames in flight that match, in order; `*` as A or B is anybody
 *   dup [A>B] [TYPE] [COUNT]     the same, but they stay in flight
 *   drop [A>B] [TYPE] [COUNT]    lose them
 *   reorder                      the frame sent last is now first
 *   cut A>B   heal               a one-way cut; all cuts end
 *   persist N [COUNT]            the oldest writes of a node become durable (all, if no count)
 *   stall N   resume N           settle and run make no write of this node durable
 *   register N NAME              open session NAME at node N
 *   submit N NAME SEQ BODY       a command of that session; BODY x*1500 is 1,500 times x
 *   submit N TEXT                a command without a session: a registration with TEXT as its token
 *   fill N COUNT                 many such commands, t1, t2, ..., settled
 *   read N                       a batch of reads begins at this node; they are numbered from 1
 *   leases MS                    every node gives leases of MS, from now on and after a restart
 *   lease N                      does this node hold one?
 *   deadline MS [stays]          what was applied last made all state machines want to be called
 *                                when cluster time is MS; they forget it then, or `stays` and they
 *                                are wrong
 *   crash N   restart N   wipe N lose memory; recover from the disk; put in a new disk
 *   corrupt N                    the state of a node's machine is damaged
 *   cut-mark N                   node N is asked to propose where snapshots are cut
 *   transfer N TO                node N is asked to hand its leadership to node TO
 *   hellos                       from here on, challenges and answers are part of the trace, and a
 *                                node that restarts is challenged when frames are delivered (else
 *                                at once, in silence)
 *   image N   rollback N         keep an image of a node's disk; put it back (N is down)
 *   forget N                     its disk loses what it kept of the others (N is down)
 *   damage N SLOT [HOW]          the newest record of a slot at a node that is down: HOW = id (its
 *                                ballot is known), unknown, lost (not even its slot is known)
 *   logfull N [SLOTS [RESERVE]]  the log of a node has no room, or room for so few slots, and so
 *                                many in reserve
 *   logroom N                    ... has room
 *   logbusy N                    node N's log writes something: what is submitted waits in the open
 *                                batch
 *   logidle N                    ... does not
 *   cut-snapshot N               of what this node applied; its file is durable, the pointer is on
 *                                its way
 *   trim N SLOT                  records of slots below SLOT leave this node's log
 *   install N M                  N has fetched M's snapshot; the pointer to it is on its way
 *   installed N                  N's state machine holds it
 *   forge A>B TYPE BALLOT [K=V]  put a frame in flight that A never sent; the keys are in
 *                                story_forge.c
 *   room N COUNT                 so many writes fit the log's buffer of a node in each step from
 *                                now on
 *   status   log N               what the nodes say; what a node applied
 *   stamp N                      the cluster time of the slot that a node applied last
 *   quiet COMMAND                do it without a trace
 *
 * The trace writes a ballot as round.node, 0 as none, a range [first, after), and a value as its
 * text.
 */
#ifndef TESTS_STORY_H
#define TESTS_STORY_H

#include "tests/lib/cluster.h"

#define STORY_SESSION_MAX 32
#define STORY_VALUE_MAX   4096
#define STORY_TEXT_BYTES  160
#define STORY_STATE_MAX   64
#define STORY_WORD_MAX    24

struct words { /* of one command */
	uint32_t count;
	char *at[STORY_WORD_MAX];
};

struct story_value { /* what a digest stands for */
	struct decree_digest digest;
	char text[STORY_TEXT_BYTES];
};

struct story {
	struct cluster *cluster;
	FILE *trace; /* open_memstream, ours */
	bool quiet;
	bool shows_hellos;
	bool cut[CLUSTER_NODE_MAX + 1][CLUSTER_NODE_MAX + 1];
	bool stalled[CLUSTER_NODE_MAX + 1];
	struct {
		char name[17];
		struct decree_session session;
	} sessions[STORY_SESSION_MAX];
	uint32_t session_count;
	uint64_t read_count;
	struct story_value values[STORY_VALUE_MAX];
	uint32_t value_count;
	struct decree_digest states[STORY_STATE_MAX]; /* of state digests, in order of appearance */
	uint32_t state_count;
	char *log[CLUSTER_NODE_MAX + 1];         /* text of what each node applied in this life */
	uint64_t stamp_ns[CLUSTER_NODE_MAX + 1]; /* of the newest of them */
};

/**
 * Run the commands of a story.
 * @param commands  text, lines
 * @return the trace, freed by the caller; NULL after a message on standard error if a command is
 *         wrong
 */
char *story_run(const char *commands);

/* ---- words: "7.2" as a ballot, "key=value", "1>2" with `*` = 0; @return false if it is no link
 * ---- */

struct decree_ballot story_ballot_of(const char *word);
/** From the fifth word on. */
const char *story_key_of(const struct words *w, const char *key, const char *fallback);
uint64_t story_number_of(const struct words *w, const char *key, uint64_t fallback);
bool story_link_of(const struct story *s, const char *word, uint16_t *ret_src, uint16_t *ret_dst);

/* ---- story_forge.c ---- */

/** @return false if no such frame can be made */
bool story_forge(struct story *s, const struct words *w);

/* ---- story_trace.c ---- */

/** Have what the cluster does written into the trace. */
void story_trace_hooks(struct story *s);
/** One line of the trace, unless the story is quiet. */
__attribute__((format(printf, 2, 3))) void story_line(struct story *s, const char *format, ...);
void story_trace_status(struct story *s);
/** The name of a session, or its number. */
const char *story_session_name(const struct story *s, struct decree_session session);

#endif
