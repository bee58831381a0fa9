/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sim.h
 * A whole cluster in one thread and in virtual time: the production loop, core and log on a
 * simulated network, disk and clock. One seed decides everything; the same seed gives the same run,
 * byte for byte.
 *
 *   main.c      options, many seeds, the summary
 *   shrink.c    what a failing run can do without
 *   run.c       one run: safety, then liveness with a quorum, then everybody
 *   world.c     the order in which things happen
 *   node.c      one node: start, turns, crash
 *   tables.c    what its loop reaches the world through: network, log, state machine
 *   disks.c     formatted disks; nodes that come with one, or lose it
 *   blocks.c    where the records of a log lie on its disk, and what becomes of their bytes
 *   frames.c    frames in flight
 *   memory.c    the memory of processes, recycled
 *   faults.c    which kinds of fault this seed's world has, and when each strikes (swarm testing)
 *   faults_*.c  what each kind does: network, disk, processes, clocks; damaged records; disks of
 *               the past; twins
 *   members.c   nodes join and leave, disks are lost for good
 *   operator.c  who asks for that, and asks again
 *   liveness.c  the faults stop for a quorum, and it must make progress
 *   oracle*.c   what must hold after every step: what is said, what is applied, the end
 *   governors.c whose votes count in which slot
 *   workload.c  proposers and their commands
 *   timers.c    what the state machine does when its time has come
 *   queue*.c    worlds whose state machine is the task queue, and whose proposers are its gateways
 *   queries.c   their reads, and what those must have seen
 *
 * A world is built once per process and reset for each seed: only what the last run touched is
 * cleared. No result depends on what ran before.
 *
 * Units: virtual nanoseconds. A node has a clock of its own (faults_clock.c); everything here is in
 * the simulator's time unless it says otherwise.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "base/assert.h"
#include "base/digest.h"
#include "engine/core/record.h"
#include "engine/core/replica.h"
#include "engine/runtime/bundle.h"
#include "engine/runtime/shard.h"
#include "tests/lib/disk_fake.h"
#include "tests/lib/linear.h"
#include "tests/lib/snap_fake.h"
#include "tests/sim/faults.h"
#include "tests/sim/limits.h"
#include "tests/sim/oracle.h"
#include "tests/sim/queue.h"
#include "wal/block.h"
#include "wal/wal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim;
struct sim_node;

/* ---- operator.c ---- */

#define SIM_ASKED_COUNT 64

struct sim_request { /* a change of the members */
	uint32_t op; /* enum decree_admin_op */
	uint16_t node;
	uint16_t old; /* REPLACE: whose place it takes */
	uint8_t q1, q2;
};

struct sim_operator {
	bool is_busy; /* wants something, and has not been told that it is done */
	struct sim_request wish;
	uint64_t token; /* of what is asked; an answer with another one is not understood */
	uint64_t token_last;
	uint16_t leader;      /* the last hint, 0 = none */
	uint16_t lost;        /* its disk is lost, and it is still a member; 0 = none */
	uint32_t patience;    /* asks so often */
	bool has_transferred; /* asked for another leader, ever */
	bool has_raised; /* asked for a raise, ever: whoever starts from then on has the new program */
	struct sim_request asked[SIM_ASKED_COUNT]; /* everything, ever */
	uint32_t asked_count;
};

/* ---- frames: frames.c ---- */

struct sim_frame {
	uint64_t number; /* breaks ties: equal times keep their order */
	uint16_t src;
	uint16_t dst;
	uint8_t version_max; /* of the sender's program, as its session would say */
	uint16_t holder;     /* node whose loop has it; 0: in flight or free */
	uint16_t next;       /* of the list of free ones */
	uint32_t bytes;
	uint8_t data[SIM_FRAME_BYTES];
};

struct sim_flight { /* one entry of the heap, by (due_ns, number) */
	uint64_t due_ns;
	uint64_t number;
	struct sim_frame *frame;
};

/* ---- workload.c ---- */

/* Body of a command: proposer, its number there, its number in the history, then anything. */
#define SIM_BODY_BYTES_MIN 20

/* Of a command in a world with a queue: what its proposer has to be told. */
struct sim_outcome {
	uint64_t place; /* in the oracle's order, from 1; 0: nobody has executed it */
	uint64_t result;
	uint32_t status;
};

struct sim_command {
	uint64_t seq; /* 0 = free */
	struct sim_outcome outcome;
	uint32_t bytes;
	uint8_t body[SIM_COMMAND_BYTES];
};

struct sim_read {
	bool is_open;
	uint32_t op; /* its number in the history, unless it is STALE */
	enum decree_consistency consistency;
	uint64_t floor; /* commands executed by anybody when it began */
	uint8_t answer[16];
};

/* One proposer in a node's process; it dies with it. */
struct sim_proposer {
	uint64_t id; /* unique in the run */
	bool is_open;
	bool begins_anew; /* as soon as it may, under another name */
	/* with a queue: bit per connection that it has asked for, since it last attached */
	uint32_t opened;
	int gateway;
	uint64_t seq_made;
	uint64_t seq_popped;
	uint64_t seq_done;
	uint64_t next_ns; /* next command */
	struct sim_read reads[SIM_READS_IN_FLIGHT];
	uint32_t reads_made;
	uint32_t reads_popped;
	struct sim_command window[SIM_IN_FLIGHT];
};

/* What one seed asks of the cluster. */
struct sim_load {
	uint64_t every_ns; /* between two commands of one proposer, at most */
	uint32_t burst_max;
	uint32_t in_flight_max; /* of one proposer */
	uint32_t bytes_max;     /* of an ordinary command */
	uint32_t large_one_in;  /* commands that need several slots */
	uint32_t large_bytes_max;
};

/* ---- memory.c ---- */

struct sim_memory {
	uint8_t *at;
	size_t bytes;
};

/* ---- node.c ---- */

struct sim_own { /* a record of a proposer's own ballot, on its way to the disk */
	uint64_t lsn;
	uint64_t slot;
	uint64_t ballot;
};
#define SIM_OWN_COUNT 4096

struct sim_node {
	uint16_t id;
	uint16_t place; /* in sim->nodes: its id, or SIM_TWIN */
	bool is_up;
	bool is_lost; /* gone for good: its disk, or it was removed and has ended (12.5, 12.4) */
	bool joins;   /* is no founder */
	uint8_t version_max; /* of the program of its present life, 1 or 2 (protocol 16) */
	bool is_wiped;       /* runs under an id whose disk is lost: must count for nothing */
	bool is_disowned; /* its disk is older than its word: what it says counts for nothing (11.9) */
	bool is_full;     /* its log takes no more commands */
	/* that its log takes, where it fills up for good; 0 = not known yet */
	uint64_t log_records_max;
	bool has_lied; /* its disk called writes durable that a power cut may lose */
	/* its disk fails at this request of the next start, from 1; 0 = none */
	uint32_t fails_at_start;
	uint64_t found_boot_count; /* on its disk, by the last start */
	/* places of its records that were struck, ever; 0: all must be intact */
	uint32_t damage_count;
	bool has_bad_page; /* bytes of a page were changed since its last start: the next may be refused */
	uint64_t next_ns;  /* something is due then; see sim_node_touch() */
	uint64_t up_at_ns; /* restart then, if down; UINT64_MAX = not by itself */
	uint64_t paused_until_ns;
	/* what it had read before the pause, for the turn that it was in; 0: none */
	uint64_t turn_clock_ns;
	uint64_t turn_at_ns;       /* next turn even if nothing arrives */
	uint64_t wake_ns;          /* its loop's next timer */
	uint64_t poll_ns;          /* after a turn that left something undone */
	bool is_polling;           /* turn_at_ns is for what the last turn left undone */
	uint32_t inbox_left;       /* frames that the last turn did not take */
	uint64_t completion_count; /* of its disk, counted so far */
	uint64_t boot_count;
	uint32_t crash_after;  /* dies inside a turn, at this many more points; 0 = not planned */
	uint32_t crash_points; /* bit per enum crash_point: those that count */
	struct disk_fake *disk;
	struct snap_fake *snaps;
	struct wal *wal;
	struct shard *shard;
	struct sim_memory memory; /* of each life's shard */
	struct eng_config group;
	struct sim *sim;
	struct sim_proposer proposer;
	jmp_buf out; /* of a turn: a crash inside */

	/* clock: reads clock_ns at clock_from_ns, and runs at 1 + drift_ppm / 1e6 */
	uint64_t clock_ns;
	uint64_t clock_from_ns;
	int64_t drift_ppm;

	/* frames that arrived */
	struct sim_frame *inbox[SIM_INBOX_COUNT];
	uint32_t inbox_first;
	uint32_t inbox_count;
	uint32_t held_count; /* frames that its loop has */

	/* state machine */
	uint64_t applied_count; /* place in the oracle's order */
	struct decree_digest digest;
	uint64_t fold; /* of the commands applied, as linear_log_fold() makes it */
	uint64_t cluster_ns;
	uint64_t timer_ns;    /* cluster time at which it goes off; 0 = none runs */
	uint64_t fired_count; /* place in the oracle's order of those that went off */
	uint8_t frozen[56];   /* the state that is being written, or read */
	uint64_t chunk_next;  /* of its chunks */
	uint8_t chunk[1500];
	struct queue_machine *queue; /* in a world with one; of the last process, or this one */
	uint64_t queue_steps;        /* place in its steps */

	/* what the rest of the world has heard from it (survives crashes) */
	struct decree_ballot promised_said;
	struct decree_ballot *accepted_said; /* [SIM_SLOT_MAX] by slot */
	uint64_t accepted_last;              /* highest slot in it */
	struct sim_own own[SIM_OWN_COUNT];   /* ring: [own_first, own_after) are not durable yet */
	uint64_t own_first;
	uint64_t own_after;
	struct decree_ballot promise_said; /* of its newest Promise message */
	uint64_t promise_commit;           /* what that one called decided */
	bool promise_doubtful;             /* it may have forgotten anything: in no quorum (11.3) */
	struct decree_ballot *listed; /* [SIM_SLOT_MAX] by slot: what its newest Promise listed */
	uint64_t listed_last;         /* highest slot in it */
};

/* ---- snapshots.c ---- */
extern const struct snap_ops sim_snap_ops;
/** An empty store. */
void sim_snapshots_reset(struct sim *sim, struct sim_node *node);
int sim_snapshot_begin(void *machine);
int sim_snapshot_next(void *machine, struct decree_chunk *ret_chunk);
void sim_snapshot_end(void *machine);
int sim_restore_begin(void *machine);
int sim_restore_next(void *machine, const struct decree_chunk *chunk);
int sim_restore_end(void *machine);

/* ---- world.c ---- */

/* What happened; see --help for what an event is. */
struct sim_count {
	uint64_t frames, completions, timers, commands; /* their sum is the number of events */
	uint64_t progress_tenths; /* of T, from the end of the faults to the first new answer */
	uint64_t reads;
	uint64_t refused; /* commands whose proposer has no session ... */
	uint64_t evicted; /* ... or had one that gave way before they were answered */
	uint64_t sent, lost, crashes, power_cuts, faults[FAULT_KIND_COUNT];
	uint64_t snapshots, restores, fetched;
	uint64_t damaged;  /* records handed over as such ... */
	uint64_t nameless; /* ... and holes of which nothing was known */
	uint64_t refused_starts;
	uint64_t rolled_back; /* disks */
	uint64_t outages;     /* the same, while nobody ran */
	uint64_t twins;       /* processes that ran beside another one with their id ... */
	uint64_t fenced;      /* ... and processes that ended for that */
	uint64_t forgetful;   /* starts after lies that had consequences */
	uint64_t rewritten;   /* records that rotted under a running node and were written again */
	uint64_t filled;      /* logs that had no more room for commands ... */
	uint64_t emptied;     /* ... and had it again */
	uint64_t fired;       /* timers of the state machine ... */
	uint64_t fired_idle;  /* ... and those in a slot that nobody's command brought */
	uint64_t lost_nodes;
	uint64_t changes[3]; /* of the members, done: add, remove, replace */
	uint64_t changes_refused, transfers, raises, too_old;
};

/* What a node's disk was like some time ago. */
struct sim_image {
	struct disk_fake *disk; /* NULL until the first one is taken */
	struct snap_fake *snaps;
	uint16_t id;                         /* whose; 0 = none */
	uint64_t boot_count, promised, last; /* what a node that starts on it can claim at most */
	uint64_t taken_ns;
};

/* Two processes with one id: sim->nodes[id], and sim->nodes[SIM_TWIN] on a copy of its disk. One
 * per run. */
struct sim_twin {
	uint16_t id; /* 0 = none yet */
	bool takes_over; /* the copy speaks for the node from its start on, and the original is disowned; or the reverse */
	bool waits;     /* the original stands still until everybody believes the copy */
	bool hears_all; /* what is sent to the id reaches both; or one of them, drawn for each frame */
	uint64_t give_up_ns; /* it waits no longer */
	struct sim_image image;
};

enum sim_machine {
	SIM_MACHINE_DRAWN,
	SIM_MACHINE_LOG, /* it only counts */
	SIM_MACHINE_QUEUE,
};

struct sim_options {
	uint64_t seed;
	enum sim_machine machine;
	uint32_t node_count;  /* 0: drawn */
	uint64_t event_count; /* of the part with faults */
	bool trace;
	bool with[FAULT_KIND_COUNT];    /* kinds that need not be drawn */
	bool without[FAULT_KIND_COUNT]; /* kinds that are switched off */
	const uint32_t *only_faults; /* [only_count] ascending numbers of occurrences; NULL: all */
	uint32_t only_count;         /* a list of a single 0 keeps none */
};

struct sim {
	struct sim_options options;
	uint64_t random_load;
	uint64_t random_net;
	uint64_t random_faults;
	uint64_t random_nodes;
	uint64_t random_disks; /* of the kinds of fault from FAULT_DAMAGE on */
	uint64_t random_twins; /* of FAULT_TWIN */
	uint64_t random_flaps; /* of FAULT_FLAPPING */
	uint64_t random_space; /* of FAULT_SNAPSHOT_SPACE */
	uint64_t random_timers;
	uint64_t random_answers;
	uint64_t random_usurpers;  /* of FAULT_USURPER */
	uint64_t random_decisions; /* of FAULT_DECISION */
	uint64_t random_outages;   /* of FAULT_OUTAGE */
	uint64_t now_ns;
	uint64_t election_ns;   /* T: the unit of every pause, partition and pace */
	uint32_t node_count;    /* ids in use are 1 .. node_count */
	uint32_t founder_count; /* those after them join */
	uint32_t q1, q2;        /* of the founders */
	uint32_t alpha, window_slots, ring_slots;
	uint32_t snapshot_slots; /* cut so often; 0: never, or when the log needs it */
	bool has_snapshots;
	bool fills_up;    /* logs are small, and nothing ever makes room in them */
	bool trims_early; /* the log lets go of what a snapshot holds as soon as it may */
	bool scrubs; /* the logs read themselves again: wherever bytes rot, and in some worlds where none do */
	uint64_t event_limit; /* sim_run_until() ends there too */
	bool is_calm;         /* the faults have stopped */
	uint32_t core_nodes;  /* bit per node that works since then */
	/* bit per node whose disk is, was or may be bad: never more than a quorum can spare */
	uint32_t spoilt_nodes;
	bool is_silent; /* no more new commands */
	struct sim_faults faults;
	struct sim_operator admin;
	struct sim_load load;
	struct {
		uint32_t one_in;        /* commands come with a read */
		uint64_t lease_ns;      /* 0 = no leases in this world */
		uint32_t max_drift_ppm; /* as configured */
	} reads;
	struct {
		uint32_t one_in; /* commands sets a timer; 0 = none does */
		uint64_t after_ns_max;
	} timers;
	struct sim_node nodes[SIM_TWIN + 1]; /* by id, from 1 */
	struct sim_twin twin;
	uint16_t liar;                                      /* whose disk lies; 0 = nobody's */
	struct sim_image image;                             /* for FAULT_ROLLBACK */
	struct sim_image outage;                            /* for FAULT_OUTAGE */
	uint8_t is_cut[SIM_NODE_MAX + 1][SIM_NODE_MAX + 1]; /* [from][to] */
	uint64_t clog_until_ns[SIM_NODE_MAX + 1][SIM_NODE_MAX + 1]; /* frames wait till then */
	struct disk_fake *blanks[SIM_NODE_MAX + 1];                 /* by id: a formatted disk */
	struct disk_fake *settled[SIM_NODE_MAX + 1]; /* and one that is all prepared */
	struct disk_fake *pieces[SIM_NODE_MAX + 1]; /* the same, in segments of SIM_SEGMENT_BYTES */
	struct sim_frame *frames;                   /* [SIM_FRAME_COUNT] */
	uint16_t frame_free;                        /* first free one + 1; 0 = none ... */
	uint32_t frame_after;                       /* ... but those from here on, never used yet */
	struct sim_flight *heap;                    /* [heap_count <= SIM_FRAME_COUNT] */
	uint32_t heap_count;
	uint64_t frame_number;
	struct sim_frame *recorded; /* [SIM_RECORDED_COUNT] old frames, for a replay */
	uint32_t recorded_count;
	uint64_t proposer_number;
	struct sim_oracle oracle;
	struct sim_queue *queue;
	struct sim_count count;
	/* For whoever watches from another process; NULL if nobody does. */
	uint32_t *told_strikes;
	uint32_t *told_nodes;
	uint64_t *told_events;
};

/** A frame that leaves now, or arrives, gets nowhere. */
static inline bool
sim_is_cut(const struct sim *sim, uint16_t from, uint16_t to)
{
	return sim->is_cut[from][to] ||
	       (sim->faults.is_flapped_off && sim->faults.is_flapping[from][to]);
}
#define SIM_RECORDED_COUNT 64

void sim_trace_line(const struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define sim_trace(sim, ...)                                                                        \
	do {                                                                                       \
		if ((sim)->options.trace)                                                          \
			sim_trace_line(sim, __VA_ARGS__);                                          \
	} while (0)

/** The seed must be in the message: it is the bug report. Ends the process with status 1. */
void sim_fail(const struct sim *sim, const char *condition, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));

#define sim_check(sim, condition, ...)                                                             \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			sim_fail(sim, #condition, __VA_ARGS__);                                    \
	} while (0)

/* random numbers: one stream for each source, so that leaving one fault out moves the others little */
uint64_t sim_draw(uint64_t *stream, uint64_t bound);
uint64_t sim_draw_between(uint64_t *stream, uint64_t low, uint64_t high);
bool sim_draw_percent(uint64_t *stream, uint32_t percent);

/* world.c */
struct sim *sim_create(void);
/** Begin a run: everything of the last one is forgotten. */
void sim_reset(struct sim *sim, const struct sim_options *options);
/** Until virtual time @p end_ns, or until event_limit events have happened. */
void sim_run_until(struct sim *sim, uint64_t end_ns);
uint64_t sim_event_count(const struct sim *sim);
/** The ready leader of the highest ballot, 0 if none. */
uint16_t sim_leader(const struct sim *sim);

/* run.c */
void sim_run(struct sim *sim, const struct sim_options *options);

/* tables.c */
extern const struct net_ops sim_net_ops;
extern const struct log_ops sim_log_ops;
extern const struct decree_machine_ops sim_machine_ops;
/** For the story: which of two processes with one id it is. */
const char *sim_copy_mark(const struct sim_node *n);
void sim_on_note(void *context, enum note note, int32_t group, const char *line);
void
sim_on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after);
void sim_on_role(void *context, uint16_t group, enum decree_role role, uint16_t leader,
	struct decree_ballot ballot);

/* node.c */
/** Its disk is gone, and it with it. */
void sim_node_lose(struct sim *sim, struct sim_node *n);
void sim_node_create(struct sim *sim, uint16_t id); /* once per process */
void sim_node_reset(struct sim *sim, uint16_t id);  /* a formatted disk, and no process */
/** No process and no memory of one; its disk is left as it is. */
void sim_node_clear(struct sim_node *n);
void sim_node_start(struct sim *sim, uint16_t place);
void sim_node_crash(struct sim *sim, uint16_t place, bool power_cut);
/** What is due now: a turn, or a start. */
void sim_node_turn(struct sim *sim, struct sim_node *n);
/** A new node, with a disk of its own; it may wait to be added for ever. */
void sim_node_join(struct sim *sim, uint16_t id);
/** Its disk is gone; @p comes_back: it starts again with an empty one. */
void sim_node_destroy(struct sim *sim, uint16_t id, bool comes_back);
struct decree_uuid sim_node_disk(const struct sim_node *n);
/** Something changed that the node's next_ns depends on. */
void sim_node_touch(const struct sim *sim, struct sim_node *n);
const struct eng_replica *sim_replica(const struct sim_node *n);

/* blocks.c */
struct sim_block {
	uint64_t offset; /* in its file, a multiple of 512, as is */
	uint64_t bytes;
	bool is_identified; /* by an entry that a power cut leaves: its sectors may vanish silently */
};

enum sim_spoil {
	SPOIL_FLIP = 0, /* one bit */
	SPOIL_NOISE,
	SPOIL_UNREADABLE,
	SPOIL_ZEROS,    /* from here on silently */
	SPOIL_STRANGER, /* what lies elsewhere */
	SPOIL_COUNT,
};

/** Of its log. */
struct wal_seal sim_seal_of(const struct sim_node *n);
/** @return false if it is not there, or what lies before it is damaged */
bool sim_block_find(const struct sim_node *n, uint64_t lsn, struct sim_block *ret);
/** Its record is of a decision that the node was told. */
bool sim_block_is_decision(const struct sim_node *n, const struct sim_block *b);
/** What may happen to it, so that it is known that something was there. */
enum sim_spoil sim_spoil_draw(struct sim *sim, const struct sim_block *b);
/** To all of its sectors, or to one. */
void sim_block_spoil(struct sim *sim, struct sim_node *n, const struct sim_block *b,
	enum sim_spoil how, bool is_whole);
void sim_identifier_spoil(struct sim *sim, struct sim_node *n, uint64_t lsn);
/** One was written over the other, and is not where it should be. Both must be identified. */
void sim_block_misdirect(struct sim *sim, struct sim_node *n, const struct sim_block *from,
	const struct sim_block *to);

/* memory.c */
/** Memory as a fresh process finds it: zeros. What was there before is gone. */
void *sim_memory_take(struct sim_memory *m, size_t bytes);

/* frames.c */
void sim_frames_reset(struct sim *sim);
/** @return NULL if there are no more */
struct sim_frame *sim_frame_take(struct sim *sim);
void sim_frame_give(struct sim *sim, struct sim_frame *frame);
/** A process ended: whatever frames it had. */
void sim_frames_reclaim(struct sim *sim, struct sim_node *n);
void sim_heap_push(struct sim *sim, struct sim_frame *frame, uint64_t due_ns);
struct sim_frame *sim_heap_pop(struct sim *sim);

/* members.c */
void fault_member_draw(struct sim *sim);
void fault_member_add_strike(struct sim *sim);
void fault_member_remove_strike(struct sim *sim);
void fault_member_replace_strike(struct sim *sim);
void fault_disk_lost_strike(struct sim *sim);
void fault_transfer_strike(struct sim *sim);
/** The operator waits, or what was decided is not the end of it. */
bool members_are_changing(const struct sim *sim);
/** Or something may come of what was given up. */
bool members_may_change(const struct sim *sim);
/** Bit per node that has its disk, as it last was. */
uint32_t members_alive(const struct sim *sim);
/** Are these nodes, bit per node, quorums of every configuration that still matters? Not while one
 * changes. */
bool members_suffice(const struct sim *sim, uint32_t nodes);
/** By the newest decided configuration; all founders before there is one. */
bool sim_is_member(const struct sim *sim, uint16_t id);

/* operator.c */
void operator_wants(struct sim *sim, const struct sim_request *wish);
void operator_step(struct sim *sim);
/** Whoever leads is good enough from now on. */
void operator_calms_down(struct sim *sim);
/** An answer arrives; the frame stays the caller's. */
void operator_receive(struct sim *sim, const struct sim_frame *frame);

/* liveness.c */
/** A quorum needs a node that crashed between a cut and its durable snapshot, and the elections
 * since have filled the rest of its log. It cannot vote on anything new, not even on the next cut,
 * and cannot be done without. */
bool liveness_needs_a_stuck_node(const struct sim *sim);
/** Everybody knows, or has known, that the cluster was complete once: from then on some may be
 * missing (12.0). */
bool sim_is_bootstrapped(const struct sim *sim);
/** No more faults, but for a drawn set of nodes that stay broken. */
void liveness_begin(struct sim *sim);
/** The others make progress within the bound, and their leader stays. */
void liveness_require(struct sim *sim);
void liveness_heal_all(struct sim *sim);

/* workload.c */
void workload_draw(struct sim *sim);
void workload_open(struct sim *sim, struct sim_node *node);
void workload_step(struct sim *sim);
uint64_t workload_next_ns(const struct sim *sim);
bool workload_is_done(const struct sim *sim);

/* timers.c */
void sim_timers_draw(struct sim *sim); /* after the load */
/** Time has come to a slot: a timer may go off. @param is_idle  the slot brings no command */
void sim_timer_look(struct sim_node *n, bool is_idle);
/** A command is executed: perhaps it sets one. */
void sim_timer_set(struct sim_node *n, const struct decree_command *c);
uint64_t sim_timer_next(const struct sim_node *n);
/** What one that went off does to the state. */
void sim_timer_state(struct decree_digest *state, const struct sim_firing *f);
/** All is silent and well: whatever runs goes off in its time. */
void sim_timers_require(struct sim *sim);

/* queries.c */
void sim_reads_draw(struct sim *sim); /* after the faults */
/** Somebody is elected: nobody may hold the lease of a lower ballot. */
void sim_leases_check(struct sim *sim, const struct sim_node *leader, struct decree_ballot ballot);
void sim_reads_open(struct sim_proposer *p);
/** Somebody executes a command: whoever still believes to lead, and does not, is asked. */
void sim_reads_ask_deposed(struct sim *sim, const struct sim_node *leader);
/** Ask a few now. */
void sim_reads_burst(struct sim *sim, struct sim_proposer *p);
/** Perhaps begin one. */
void sim_reads_ask(struct sim *sim, struct sim_proposer *p);
uint32_t sim_reads_pop(void *mailbox, struct mail_query *ret_queries, uint32_t count_max);
void sim_reads_complete(struct sim *sim, uint16_t node, const struct decree_completion *c);
bool sim_reads_are_done(const struct sim_proposer *p);

#endif
