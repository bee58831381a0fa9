/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sim.h
 * A whole cluster in one thread and in virtual time: the production loop, core and log on a simulated
 * network, disk and clock. One seed decides everything; the same seed gives the same run, byte for byte.
 *
 *   main.c      options, many seeds, the summary
 *   shrink.c    what a failing run can do without
 *   run.c       one run: safety, then liveness with a quorum, then everybody
 *   world.c     the order in which things happen
 *   node.c      one node: start, crash, and the tables that its loop reaches the world through
 *   frames.c    frames in flight
 *   memory.c    the memory of processes, recycled
 *   faults.c    which kinds of fault this seed's world has, and when each strikes (swarm testing)
 *   faults_*.c  what each kind does: network, disk, processes, clocks; damaged records; disks of the past; twins
 *   members.c   nodes join and leave, disks are lost for good
 *   operator.c  who asks for that, and asks again
 *   liveness.c  the faults stop for a quorum, and it must make progress
 *   oracle.c    what must hold after every step
 *   governors.c whose votes count in which slot
 *   workload.c  proposers and their commands
 *   queries.c   their reads, and what those must have seen
 *
 * A world is built once per process and reset for each seed: only what the last run touched is cleared. No
 * result depends on what ran before.
 *
 * Units: virtual nanoseconds. A node has a clock of its own (faults_clock.c); everything here is in the
 * simulator's time unless it says otherwise.
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
#include "wal/wal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
#define SIM_VALUE_COUNT  65536 /* (slot, ballot) pairs of a run */

struct sim;
struct sim_node;

/* ---- faults: faults.c ---- */

enum fault_kind {
	/* faults_net.c */
	FAULT_LOSS = 0,
	FAULT_DUPLICATE,
	FAULT_CORRUPT,
	FAULT_SLOW_FRAME,
	FAULT_REPLAY,
	FAULT_CLOG,
	FAULT_PARTITION,
	FAULT_PICKY,
	FAULT_CHURN,
	/* faults_process.c */
	FAULT_CRASH,
	FAULT_CRASH_INSIDE,
	FAULT_CRASH_LOOP,
	FAULT_CRASH_ALL,
	FAULT_PAUSE,
	/* faults_disk.c */
	FAULT_DISK_SLOW,
	FAULT_DISK_HANG,
	FAULT_DISK_ERROR,
	/* faults_clock.c */
	FAULT_DRIFT,
	FAULT_JUMP,
	/* faults_process.c: what nobody may rely on */
	FAULT_AMNESIA,
	/* faults_damage.c */
	FAULT_DAMAGE,
	FAULT_ROT,
	FAULT_READ_ERROR,
	/* faults_disk.c */
	FAULT_SMALL_LOG,
	/* faults_identity.c */
	FAULT_LYING,
	FAULT_ROLLBACK,
	/* members.c */
	FAULT_MEMBER_ADD,
	FAULT_MEMBER_REMOVE,
	FAULT_MEMBER_REPLACE,
	FAULT_DISK_LOST,
	/* faults_process.c */
	FAULT_ABSENT,
	FAULT_SLEEPER,
	/* members.c */
	FAULT_TRANSFER,
	/* faults_twin.c */
	FAULT_TWIN,
	FAULT_KIND_COUNT,
};

/* One row of the table of kinds. */
struct fault {
	const char *name; /* for --without and for the story */
	const char *text; /* for --help */
	uint32_t percent; /* of the seeds have it */

	/** Decide how bad it is in this seed's world. May be NULL. */
	void (*draw)(struct sim *sim);

	/** It strikes once. NULL: a fault that is there all the time, see draw. */
	void (*strike)(struct sim *sim);
	uint32_t every_min; /* between two strikes of it on average, in tenths of T: drawn from */
	uint32_t every_max; /* [every_min, every_max] */
};

/* Where in a turn a process may die. */
enum crash_point {
	POINT_ANY_FRAME = 0, /* before a frame leaves */
	POINT_ACCEPT = 1,    /* before an Accept leaves: some have it, some do not */
	POINT_ANSWER = 2,    /* before a Promise or an Accepted leaves: durable, and nobody knows */
	POINT_APPEND = 3,    /* before records or a hard state are handed to the log */
	POINT_SUBMIT = 4,    /* around the system call of the log */
	POINT_SNAPSHOT = 5,  /* around the steps of a snapshot, and before the log is let go */
	POINT_CHUNK = 6,     /* before a piece of a snapshot leaves for a peer */
};

extern const struct fault sim_fault_table[FAULT_KIND_COUNT];

/* What this seed's world is like. */
struct sim_faults {
	bool has[FAULT_KIND_COUNT];
	uint64_t every_ns[FAULT_KIND_COUNT];
	uint64_t next_ns[FAULT_KIND_COUNT]; /* UINT64_MAX = never */
	uint64_t operator_ns;               /* the operator asks again then */
	uint64_t first_ns;                  /* smallest of all these and heal_ns */
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t corrupt_ppm; /* a byte is changed; who decodes it anyway would believe a lie */
	uint32_t slow_ppm;    /* frames that take up to slow_ns_max: reordering across elections */
	uint64_t slow_ns_max;
	uint64_t delay_ns_min;
	uint64_t delay_ns_max;
	uint64_t disk_ns_min;
	uint64_t disk_ns_max;
	uint32_t power_cut_percent; /* of crashes; the others are kill -9 */
	uint64_t down_ns_max;
	uint64_t pause_ns_max;
	uint32_t churn_left;  /* steps of the churn under way */
	uint32_t picky_types; /* bit per message type that picky paths lose */
	uint8_t is_picky[SIM_NODE_MAX + 1][SIM_NODE_MAX + 1]; /* [from][to] */
	uint64_t heal_ns;                                     /* the links heal then */
	uint64_t cut_ns_max;
	uint32_t drift_ppm_max;
	uint32_t
		log_records; /* that a log holds before it takes no more commands; 0 = more than a run has */
	uint32_t doubt_percent;   /* of the damage says not even which slots it was */
	uint32_t deep_percent;    /* of the damage is anywhere in the log, the rest near its end */
	uint32_t operator_quirks; /* percent of the operator's deeds that are odd */
	uint32_t strike_count;    /* so far; the number of an occurrence, for --only-faults */
};

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
	struct sim_request asked[SIM_ASKED_COUNT]; /* everything, ever */
	uint32_t asked_count;
};

/* ---- frames: frames.c ---- */

struct sim_frame {
	uint64_t number; /* breaks ties: equal times keep their order */
	uint16_t src;
	uint16_t dst;
	uint16_t holder; /* node whose loop has it; 0: in flight or free */
	uint16_t next;   /* of the list of free ones */
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

struct sim_command {
	uint64_t seq; /* 0 = free */
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

/* A record that was durable and cannot be read any more. The log of today refuses to open then; a finished one tells
 * the loop what it still knows of it (protocol 11.3), and so does sim_damage_recover(). */
enum sim_damage_known {
	DAMAGE_ID = 0, /* ballot and digest */
	DAMAGE_SLOT,   /* only the slot */
	DAMAGE_DOUBT,  /* nothing */
	DAMAGE_GONE,   /* not even that there was a record */
};

struct sim_damage {
	uint64_t lsn;
	uint64_t slot; /* 0: not handed over yet */
	enum sim_damage_known known;
	bool is_told; /* its node has answered phase 1: its mark must do, if the record is gone */
};
#define SIM_DAMAGE_COUNT 32

struct sim_node {
	uint16_t id;
	uint16_t place; /* in sim->nodes: its id, or SIM_TWIN */
	bool is_up;
	bool is_lost;  /* gone for good: its disk, or it was removed and has ended (12.5, 12.4) */
	bool joins;    /* is no founder */
	bool is_wiped; /* runs under an id whose disk is lost: must count for nothing */
	bool is_disowned; /* its disk is older than its word: what it says counts for nothing (11.9) */
	bool is_full;     /* its log takes no more commands */
	uint64_t
		log_records_max; /* that its log takes, where it fills up for good; 0 = not known yet */
	bool has_lied;           /* its disk called writes durable that a power cut may lose */
	bool is_rotten;          /* bytes of its log were changed: its next start may be refused */
	uint32_t
		fails_at_start; /* its disk fails at this request of the next start, from 1; 0 = none */
	uint64_t found_boot_count; /* on its disk, by the last start */
	uint32_t damage_count;
	struct sim_damage damage[SIM_DAMAGE_COUNT];
	uint64_t next_ns;  /* something is due then; see sim_node_touch() */
	uint64_t up_at_ns; /* restart then, if down; UINT64_MAX = not by itself */
	uint64_t paused_until_ns;
	uint64_t
		turn_clock_ns; /* what it had read before the pause, for the turn that it was in; 0: none */
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
	uint8_t frozen[32];  /* the state that is being written, or read */
	uint64_t chunk_next; /* of its chunks */
	uint8_t chunk[1500];

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

/* ---- oracle.c ---- */

struct sim_order { /* one executed command, in the order of the log */
	struct decree_slot slot;
	uint32_t index;
	struct decree_session session;
	uint64_t seq;
	uint64_t proposer; /* as the body names it */
	struct decree_digest digest;
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
	uint64_t
		ballot; /* a quorum was seen to vote for it at this one; 0: known by its application */
	bool is_known;
};

struct sim_oracle {
	struct sim_chosen *chosen; /* [SIM_SLOT_MAX] */
	uint64_t chosen_last;      /* highest that anybody applied */
	struct sim_order *order;   /* [SIM_COMMAND_MAX] */
	uint64_t order_count;
	struct sim_value *values; /* [value_count <= SIM_VALUE_COUNT] */
	uint32_t value_count;
	uint32_t *value_first;           /* [SIM_SLOT_MAX] place + 1; 0 = none */
	uint64_t slot_high;              /* highest slot that has one */
	uint64_t *executed;              /* [SIM_PROPOSER_MAX] highest seq executed, by proposer */
	struct decree_session *sessions; /* [SIM_PROPOSER_MAX] of each proposer */
	struct sim_chosen
		*snapshots; /* [SIM_SLOT_MAX] digest of the bytes that somebody cut there */
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
	uint64_t refused; /* proposers that lost their session */
	uint64_t sent, lost, crashes, power_cuts, faults[FAULT_KIND_COUNT];
	uint64_t snapshots, restores, fetched;
	uint64_t damaged; /* records handed over as such */
	uint64_t refused_starts;
	uint64_t rolled_back; /* disks */
	uint64_t twins;       /* processes that ran beside another one with their id ... */
	uint64_t fenced;      /* ... and processes that ended for that */
	uint64_t forgetful;   /* starts after lies that had consequences */
	uint64_t filled;      /* logs that had no more room for commands ... */
	uint64_t emptied;     /* ... and had it again */
	uint64_t lost_nodes;
	uint64_t changes[3]; /* of the members, done: add, remove, replace */
	uint64_t changes_refused, transfers;
};

/* What a node's disk was like some time ago. */
struct sim_image {
	struct disk_fake *disk; /* NULL until the first one is taken */
	struct snap_fake *snaps;
	uint16_t id;                         /* whose; 0 = none */
	uint64_t boot_count, promised, last; /* what a node that starts on it can claim at most */
	uint64_t taken_ns;
};

/* Two processes with one id: sim->nodes[id], and sim->nodes[SIM_TWIN] on a copy of its disk. One per run. */
struct sim_twin {
	uint16_t id; /* 0 = none yet */
	bool takes_over; /* the copy speaks for the node from its start on, and the original is disowned; or the reverse */
	bool waits;     /* the original stands still until everybody believes the copy */
	bool hears_all; /* what is sent to the id reaches both; or one of them, drawn for each frame */
	uint64_t give_up_ns; /* it waits no longer */
	struct sim_image image;
};

struct sim_options {
	uint64_t seed;
	uint32_t node_count;  /* 0: drawn */
	uint64_t event_count; /* of the part with faults */
	bool trace;
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
	uint64_t now_ns;
	uint64_t election_ns;   /* T: the unit of every pause, partition and pace */
	uint32_t node_count;    /* ids in use are 1 .. node_count */
	uint32_t founder_count; /* those after them join */
	uint32_t q1, q2;        /* of the founders */
	uint32_t alpha, window_slots, ring_slots;
	uint32_t snapshot_slots; /* cut so often; 0: never, or when the log needs it */
	bool has_snapshots;
	bool fills_up;        /* logs are small, and nothing ever makes room in them */
	bool trims_early;     /* the log lets go of what a snapshot holds as soon as it may */
	uint64_t event_limit; /* sim_run_until() ends there too */
	bool is_calm;         /* the faults have stopped */
	uint32_t core_nodes;  /* bit per node that works since then */
	uint32_t
		spoilt_nodes; /* bit per node whose disk is, was or may be bad: never more than a quorum can spare */
	bool is_silent; /* no more new commands */
	struct sim_faults faults;
	struct sim_operator admin;
	struct sim_load load;
	struct {
		uint32_t one_in;        /* commands come with a read */
		uint64_t lease_ns;      /* 0 = no leases in this world */
		uint32_t max_drift_ppm; /* as configured */
	} reads;
	struct sim_node nodes[SIM_TWIN + 1]; /* by id, from 1 */
	struct sim_twin twin;
	uint16_t liar;                                      /* whose disk lies; 0 = nobody's */
	struct sim_image image;                             /* for FAULT_ROLLBACK */
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
	struct sim_count count;
	/* For whoever watches from another process; NULL if nobody does. */
	uint32_t *told_strikes;
	uint32_t *told_nodes;
	uint64_t *told_events;
};
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

/* faults.c */
void sim_faults_draw(struct sim *sim);
void sim_faults_step(struct sim *sim);
/** A fault beside the schedule strikes now, with a number like any other. */
void sim_faults_strike(struct sim *sim, enum fault_kind kind);
/** The next occurrence gets its number. @return whether --only-faults keeps it */
bool sim_faults_number(struct sim *sim, const char *name);
/** From now on, after an average of @p every_ns; UINT64_MAX for 0. */
uint64_t sim_faults_schedule(struct sim *sim, uint64_t every_ns);
void sim_faults_note_heal(struct sim *sim, uint64_t heal_ns);
uint16_t sim_any_node(struct sim *sim);
/** Leaders are where the interesting state is. */
uint16_t sim_victim(struct sim *sim);

/** The operator acts then; UINT64_MAX = never. */
void sim_faults_note_operator(struct sim *sim, uint64_t at_ns);

/* faults_net.c */
/** A frame leaves a node: put it on its way, or lose it. Takes the frame over. */
void sim_frame_send(struct sim *sim, struct sim_frame *frame);
void sim_links_heal(struct sim *sim);
/** Nobody reaches the node, and it reaches nobody, until the links heal after @p ns. */
void sim_cut_off(struct sim *sim, uint16_t id, uint64_t ns);
void fault_loss_draw(struct sim *sim);
void fault_duplicate_draw(struct sim *sim);
void fault_corrupt_draw(struct sim *sim);
void fault_slow_frame_draw(struct sim *sim);
void fault_replay_strike(struct sim *sim);
void fault_clog_strike(struct sim *sim);
void fault_partition_draw(struct sim *sim);
void fault_partition_strike(struct sim *sim);
void fault_picky_strike(struct sim *sim);
void fault_churn_strike(struct sim *sim);
void faults_net_draw(struct sim *sim);

/* faults_process.c */
void faults_process_draw(struct sim *sim);
void fault_crash_strike(struct sim *sim);
void fault_crash_inside_strike(struct sim *sim);
void fault_crash_loop_strike(struct sim *sim);
void fault_crash_all_strike(struct sim *sim);
void fault_absent_strike(struct sim *sim);
void fault_sleeper_strike(struct sim *sim);
void fault_pause_draw(struct sim *sim);
void fault_pause_strike(struct sim *sim);
/** A process dies here if it is meant to: called from inside the tables of node.c. */
void fault_crash_point(struct sim_node *n, enum crash_point point);
void fault_amnesia_strike(struct sim *sim);
/** The node dies now; it comes back after a while. */
void fault_crash_now(struct sim *sim, uint16_t id);

/* faults_disk.c */
void faults_disk_draw(struct sim *sim);
void fault_disk_slow_strike(struct sim *sim);
void fault_disk_hang_strike(struct sim *sim);
void fault_disk_error_strike(struct sim *sim);
void fault_small_log_draw(struct sim *sim);

/* faults_damage.c */
void fault_damage_draw(struct sim *sim);
void fault_damage_strike(struct sim *sim);
void fault_rot_strike(struct sim *sim);
void fault_read_error_strike(struct sim *sim);
/** Nodes outside spoilt_nodes must remain a quorum of both phases: may this one join it? */
bool sim_may_spoil(const struct sim *sim, uint16_t id);
/** Nodes that the quorums can do without. */
uint32_t sim_spare_count(const struct sim *sim);
/** @return true if the record is damaged: the shard was told so instead of getting it */
bool sim_damage_recover(struct sim_node *n, const struct log_place *place, const uint8_t *tag);
/** The node answers phase 1, or begins it: whatever it knows to be damaged must be written down by now (11.4). */
void sim_damage_on_promise(struct sim_node *n);

/* faults_identity.c */
void fault_lying_strike(struct sim *sim);
void fault_rollback_strike(struct sim *sim);
/** Somebody whose word counts for nothing runs, and only memory tells: no process may end meanwhile. */
bool sim_must_remember(const struct sim *sim);
/** Every other node runs, and remembers more of this one than its recovered replica claims. */
bool sim_is_found_out(const struct sim *sim, const struct sim_node *n);

/** Does every other node refuse a life of this one that claims so much? */
bool sim_image_is_outdated(const struct sim *sim, const struct sim_image *image);
void sim_image_take(struct sim *sim, struct sim_image *image, const struct sim_node *n);
/** A node starts on what the image holds. Latencies as in this world, and a stream of its own. */
void sim_image_put(struct sim *sim, const struct sim_image *image, struct sim_node *n);
/** What was meant to end processes does not. */
void sim_spare_processes(struct sim *sim);

/* faults_twin.c */
void fault_twin_strike(struct sim *sim);
void sim_twin_reset(struct sim *sim);
/** The original wakes up as soon as it may. */
void sim_twin_step(struct sim *sim);
/** A second process with this id runs, or has run. */
bool sim_has_twin(const struct sim *sim, uint16_t id);
/** It still runs, or the other one may not be believed and still runs. */
bool sim_twins_are_open(const struct sim *sim);
/** Whichever of its processes speaks for this id. */
const struct sim_node *sim_voice(const struct sim *sim, uint16_t id);
/** One of two processes has ended, for what the others know of it. */
void sim_twin_note_end(struct sim *sim, const struct sim_node *n);
/** May it, though its word counts? */
bool sim_twin_ends_rightly(const struct sim *sim, const struct sim_node *n, enum eng_halt why);
/** A frame for this id has arrived. @return who gets it; @p ret_other: who gets a copy, or NULL */
struct sim_node *sim_twin_hearer(struct sim *sim, uint16_t id, struct sim_node **ret_other);
/** Nothing disturbs any more: they must be found out within a bound. */
void sim_twins_settle(struct sim *sim);

/* faults_clock.c */
void fault_drift_draw(struct sim *sim);
void fault_jump_strike(struct sim *sim);
/** A process starts; after a power cut its clock begins anew. */
void sim_clock_start(struct sim *sim, struct sim_node *n);
/** What the node's clock reads now. */
uint64_t sim_clock_read(const struct sim *sim, const struct sim_node *n);
void sim_clocks_agree(struct sim *sim);
/** When the node's clock will read @p node_ns or more. */
uint64_t sim_clock_when(const struct sim *sim, const struct sim_node *n, uint64_t node_ns);

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
/** Are these nodes, bit per node, quorums of every configuration that still matters? Not while one changes. */
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
/** Everybody knows, or has known, that the cluster was complete once: from then on some may be missing (12.0). */
bool sim_is_bootstrapped(const struct sim *sim);
/** No more faults, but for a drawn set of nodes that stay broken. */
void liveness_begin(struct sim *sim);
/** The others make progress within the bound, and their leader stays. */
void liveness_require(struct sim *sim);
void liveness_heal_all(struct sim *sim);

/* oracle.c */
void oracle_create(struct sim *sim);
void oracle_reset(struct sim *sim);
/** Bit per type of the core's messages in a frame that a node sends. */
uint32_t sim_frame_types(const uint8_t *data, uint32_t bytes);
void oracle_on_frame(struct sim *sim, struct sim_node *node, const uint8_t *data, uint32_t bytes);
void oracle_on_applied(
	struct sim *sim, struct sim_node *node, struct decree_slot first, struct decree_slot after);
void oracle_on_command(struct sim *sim, struct sim_node *node, const struct decree_command *c);
void oracle_on_ack(struct sim *sim, uint64_t proposer, uint64_t seq);
/** The whole history is that of a single copy: commands take their places between question and answer, and reads
 * see everything that was answered before they began (S5). */
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

/* workload.c */
extern const struct mailbox_ops sim_mailbox_ops;
void workload_draw(struct sim *sim);
void workload_open(struct sim *sim, struct sim_node *node);
void workload_step(struct sim *sim);
uint64_t workload_next_ns(const struct sim *sim);
bool workload_is_done(const struct sim *sim);

/* queries.c */
void sim_reads_draw(struct sim *sim); /* after the faults */
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
