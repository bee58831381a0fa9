/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file shard_private.h
 * The inside of a shard, for the files that make up the loop:
 *
 *   shard.c       the turn and its order            effects.c    what a step of the core asks for
 *   shard_layout.c  its memory                      shard_recover.c  what its log says at the start
 *   persist.c     what is durable, slot -> place    apply.c      chosen slots -> state machine -> answers
 *   gateway.c     own proposers' commands           clients.c    remote clients' and forwarded commands
 *   reads.c       old values from the log           report.c     status and log requests
 *   query.c       reads of the state machine   damage.c     what the log lost while it runs
 *   snapshot.c    snapshots of the state            snapshot_walk.c  writing one
 *   trim.c        the log's end behind them
 *   restore.c     from a snapshot to the state     state_transfer.c  snapshots of peers, with transfer.h
 *   room.c        back-pressure of the log        admin.c      what an operator asks for
 *   bundle.c      small messages in one frame
 *   stage_marks.c how long the stages of a commit take
 */
#ifndef RUNTIME_SHARD_PRIVATE_H
#define RUNTIME_SHARD_PRIVATE_H

#include "base/assert.h"
#include "engine/core/session.h"
#include "engine/runtime/bundle.h"
#include "engine/runtime/client_msg.h"
#include "engine/runtime/shard.h"
#include "engine/runtime/slot_index.h"
#include "engine/runtime/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A step appends at most ENG_FX_PERSIST_MAX records; input is only taken while one more such step
 * and a burst of single records fit, so that an append never comes short. */
#define ROOM_STEP  ENG_FX_PERSIST_MAX
#define ROOM_BURST (ROOM_STEP + NET_BURST)

/* Told to the core as "full" this early, so that what is accepted before the next FLUSH still fits. */
#define LOG_SPACE_RESERVE 2048
#define LOG_SPACE_KEPT    (LOG_SPACE_RESERVE / 2) /* of it, for what elections write */

/* Persists on their way per group. The log's buffer holds a few thousand small records. */
#define PERSIST_RING_COUNT 16384

#define RECV_BURSTS_PER_TURN  4   /* one group commit then takes up to 128 frames */
#define SUBMIT_BURST          256 /* commands given to the core at once */
#define POP_BURST             128 /* of 16 bytes: beyond 2 KiB a copy begins to cost a start-up */
#define READ_COUNT_MAX        256 /* reads waiting or in flight */
#define QUERY_COUNT           256 /* reads of one group that wait; a power of two */
#define LOG_JOB_COUNT_MAX     4   /* log requests being answered */
#define LOG_JOB_ENTRIES_MAX   190 /* that fit one reply in a frame of 9,000 bytes */
#define LOG_JOB_SLOTS_MAX     32
#define REPLY_FRAME_COUNT_MAX 16    /* clients that are being answered at once */
#define REGISTER_COUNT_MAX    64    /* clients that wait for their session */
#define SKIP_COUNT_MAX        65536 /* commands remembered as not executed, for log requests */

#define ASSEMBLY_PIECE_COUNT_MAX 4096 /* 4 MiB in pieces of a frame */

/* Longer than the longest pause between two repetitions of a sender (RETRY_NS_MAX). */
#define ASSEMBLY_PATIENCE_NS (250 * 1000 * 1000ull)

#define RETRY_NS_MIN     (5 * 1000 * 1000ull)
#define RETRY_NS_MAX     (200 * 1000 * 1000ull)
#define BUSY_RETRY_US    1000
#define PEERS_WAIT_NS    (100 * 1000 * 1000ull) /* since a peer has passed on a command */
#define CLIENT_BURST_MAX 512 /* commands in one frame of 9,000 bytes: (9000 - 8) / 20 */

/* Who waits for the answers of one session. */
enum owner_kind {
	OWNER_NONE = 0,
	OWNER_CLIENT = 1,
	OWNER_GATEWAY = 2,
};

struct owner {
	uint16_t kind;  /* enum owner_kind */
	uint16_t index; /* client's place, or gateway */
	uint32_t generation;
};

/* Persists of one group in the order of their seq; seq itself is the ring's index. */
struct persist_ring {
	uint64_t *marks;   /* [PERSIST_RING_COUNT] lsn or generation, << 1 | is_hard */
	uint64_t appended; /* seq of the last one handed to the log */
	uint64_t durable;  /* seq up to which all are durable; told to the core */
};

#define STAGE_RUN_COUNT  256  /* of one group; what is beyond is not measured */
#define STAGE_SLOT_COUNT 1024 /* the same */

/* When what is on its way was appended. */
struct stage_marks {
	struct {
		uint64_t seq; /* of a step's last persist */
		uint64_t at_ns;
	} runs[STAGE_RUN_COUNT]; /* [run_first, run_after) */
	uint64_t run_first;
	uint64_t run_after;
	struct {
		struct decree_slot slot;
		uint64_t at_ns;
	} slots[STAGE_SLOT_COUNT];
};

/* Where the time of a turn goes. Each moment ends what came before it, so nothing is counted twice. */
struct stage_turn {
	uint64_t before_ns; /* begin of the turn before */
	uint64_t begun_ns;
	/* of this turn so far: decode and apply, which are no part of step or submit */
	uint64_t apart_ns;
	uint64_t step_ns;         /* until the last append of this turn */
	uint64_t appended_ns;     /* moment of that; 0: nothing was appended */
	uint64_t submit_apart_ns; /* apart_ns then */
	/* applied by a leader, or durable at a follower; 0: nothing waits to be told */
	uint64_t decided_ns;
};

struct pending_register {
	uint8_t token[DECREE_UUID_BYTES];
	struct net_endpoint from; /* node_id 0, generation 0: empty */
	bool is_used;
};

/* The administrative request that is being carried out, or was last. */
struct admin_job {
	uint64_t token; /* 0: none yet */
	uint32_t op;
	uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES];
	enum client_admin_status status; /* PENDING, or how it ended */
	char text[CLIENT_ADMIN_TEXT_BYTES + 1];
	struct decree_slot slot; /* snapshot: the one asked for is of this slot or a later one */
	uint64_t until_ns;       /* raise: so long a member may be silent */
};

enum query_asker {
	QUERY_NOBODY = 0, /* it is gone */
	QUERY_GATEWAY = 1,
	QUERY_CLIENT = 2,
};

/* A read of the state machine. */
struct query {
	uint16_t asker;   /* enum query_asker */
	uint16_t gateway; /* GATEWAY */
	uint8_t *answer;
	void *cookie;
	struct net_endpoint from; /* CLIENT */
	uint64_t token;
	const uint8_t *bytes; /* [count] in the mailbox, or in `copy` */
	uint32_t count;
	struct decree_slot slot; /* to be applied first, if before ready_after */
	uint8_t copy[DECREE_QUERY_BYTES_MAX];
};

/* Positions count from 0 for ever; first <= ready_after <= asked_after <= after. */
struct query_queue {
	struct query *ring; /* [QUERY_COUNT] */
	uint64_t first;
	uint64_t ready_after; /* the slot is known */
	uint64_t asked_after; /* the core was asked */
	uint64_t after;
	uint64_t answered; /* of every consistency */
	uint64_t answered_by_lease;
	bool is_refused; /* by the core, in this step */
};

struct shard_group {
	struct eng_config config;

	/* What every turn looks at stands together. */
	uint32_t local;       /* index here */
	bool is_dirty;        /* stepped since the last FLUSH */
	bool was_log_idle;    /* as told by the last FLUSH */
	bool is_deadline_old; /* something was applied since */
	bool is_damaged;      /* the operator was told of damage that is not repaired yet */
	bool has_handed_over; /* led, though it should not */
	uint16_t handed_to;   /* node_id that was asked last to take over; 0 = none yet */
	struct eng_replica *replica;
	struct eng_sessions *sessions;
	void *machine;
	uint64_t wake_at_ns;
	uint64_t deadline_ns;         /* the machine's, as it was last asked while this node led */
	uint64_t peers_wait_until_ns; /* their proposers wait for what is chosen */
	struct decree_slot applied;
	uint64_t applied_count;
	struct persist_ring persists;
	struct query_queue queries;
	struct slot_index index;
	struct owner *owners;     /* [session_count] by session row */
	struct eng_status status; /* refreshed when the role changes and for status requests */

	struct stage_marks stages;
	struct decree_ballot handed_ballot; /* ours when it handed over */
	uint64_t handed_ns;
	uint32_t handed_in_vain; /* times in a row that nobody has taken over */
	struct pending_register registers[REGISTER_COUNT_MAX];
	uint32_t register_next;
	uint64_t *skips; /* [SKIP_COUNT_MAX] slot << 16 | index, ascending */
	uint64_t skip_count;
	struct admin_job admin;
	struct snapshot_group snap;
};

/** Who waits for the answers of the session in row @p row of the group's table. */
static inline struct owner *
owner_at(const struct shard_group *g, int32_t row)
{
	decree_assert(row >= 0); /* a session that is gone has none */
	return &g->owners[row];
}

struct gateway {
	struct shard_group *group; /* NULL: closed */
	const struct mailbox_ops *ops;
	void *mailbox;
	uint8_t registration[ENG_REGISTRATION_GATEWAY_BYTES];
	struct decree_session session; /* 0: not registered yet */
	bool is_refused;
	uint64_t refused_first;  /* is_refused: from this seq on every command was, or will be */
	struct eng_body *window; /* [gateway_window] by seq */
	uint64_t *open;          /* [gateway_window / 64 + 1] by seq: bit set, no outcome yet */
	uint32_t open_count;     /* of those */
	uint64_t popped;         /* last seq taken from the mailbox */
	uint64_t sent;     /* last seq given to the leader; Invariant: executed <= sent <= popped */
	uint64_t executed; /* last seq applied here */
	uint64_t given;    /* highest that `sent` has been before it fell back; is_refused: ever */
	bool has_consumed; /* more than the mailbox knows */
	bool has_told;     /* outcomes, in this turn */
	bool is_register_sent;
	uint16_t leader; /* whom `sent` speaks of */
	struct decree_ballot ballot;
	uint64_t retry_at_ns; /* repeat what is not executed; UINT64_MAX = nothing is on its way */
	uint64_t retry_ns;
	/* go back then: the leader misses something; UINT64_MAX = it does not */
	uint64_t gap_at_ns;
	uint64_t not_before_ns; /* the leader was busy ... */
	uint32_t busy_count;    /* ... so often since something was executed */
};

struct assembly {
	uint8_t *bytes; /* [command_bytes_max] */
	const struct shard_group *group;
	struct decree_session session; /* 0: free */
	uint64_t seq;
	struct decree_digest digest;
	uint32_t total_bytes;
	uint32_t piece_bytes; /* of every piece but the last; 0: not known yet */
	uint32_t have_bytes;
	bool is_waiting;          /* whole, and the leader was busy: given again in each turn */
	struct net_endpoint from; /* of the last piece */
	uint64_t used;            /* for the least recently used */
	uint64_t used_ns;         /* its sender was heard then */
	uint64_t pieces[ASSEMBLY_PIECE_COUNT_MAX / 64]; /* bitmap of those that are here */
};

struct reply_frame {
	bool is_open;
	struct net_endpoint to;
	uint16_t group;
	struct net_frame frame;
	struct client_writer writer;
};

enum read_kind {
	READ_FREE = 0,
	READ_CORE = 1, /* answered by an event VALUE */
	READ_JOB = 2,  /* of a log request */
};

struct read_request {
	enum read_kind kind;
	bool is_started;
	struct shard_group *group;
	struct decree_slot slot;
	uint64_t position;
	uint16_t requester; /* READ_CORE */
	uint16_t job;       /* READ_JOB */
	uint16_t job_slot;
};

/* One log request on its way: read some slots at once, then answer with what fits one frame. */
struct log_job {
	struct shard_group *group; /* NULL: free */
	struct net_endpoint to;
	uint64_t token;
	struct decree_slot first;
	uint16_t first_index;
	uint32_t slot_count;
	uint32_t reads_open;
	uint16_t entry_counts[LOG_JOB_SLOTS_MAX];
	bool is_read[LOG_JOB_SLOTS_MAX];
	bool is_cut[LOG_JOB_SLOTS_MAX]; /* more commands in the slot than entries */
	struct decree_log_entry *entries[LOG_JOB_SLOTS_MAX]; /* [LOG_JOB_ENTRIES_MAX] each */
};

#define HOLE_COUNT_MAX 8

/* What is being done about damage in the log. */
struct shard_damage {
	/* positions [first, after): slots whose record lay there are looked for */
	uint64_t hole_first;
	uint64_t hole_after; /* 0 = nothing is looked for */
	uint64_t hole_lsn;
	uint32_t group_count; /* that are damaged */
	uint32_t group;       /* index of the group, and its slot, to be looked at next */
	struct decree_slot slot;
	uint64_t told[HOLE_COUNT_MAX]; /* positions of holes that the operator has heard of */
	uint32_t told_count;
	uint32_t line_count;
	uint64_t quiet_until_ns;
};

#define BUNDLE_COUNT_MAX ENG_PEER_COUNT_MAX

/* Small messages of this turn to one node, on their way into one frame (bundle.c). */
struct bundle {
	struct net_frame frame;
	uint32_t bytes; /* written so far, the bundle's header included */
	uint16_t count;
};

struct shard {
	struct shard_config config;

	/* What every turn looks at stands together. */
	void *net;
	void *log;
	struct shard_group *groups; /* [config.group_count] */
	uint64_t now_ns;
	uint64_t net_tick_at_ns;
	uint64_t snap_tick_ns; /* look at what is wanted then */
	enum shard_stop stop;
	uint16_t node_id;
	bool is_booting;
	bool has_started;
	bool did_work; /* in this turn */
	bool has_leases;
	bool has_replies;
	bool has_waiting; /* some assembly is_waiting */
	bool has_told_full;
	bool is_log_full;  /* the core takes no commands */
	bool is_space_low; /* the snapshots' medium is below its reserve (11.7) */
	bool is_unfit;     /* to lead: that, or a log without room for a cut's marks */
	uint32_t out_count;
	uint32_t empty_count;
	uint32_t bundle_count;
	uint32_t gateway_after; /* every open one is in [0, gateway_after) */
	uint32_t read_waiting_count;
	uint32_t read_open_count;
	uint64_t query_count; /* in the queues of all groups */
	struct stage_turn stage_turn;
	struct {
		uint64_t done;     /* what the log had made durable then */
		uint64_t since_ns; /* and nothing more since */
		bool is_told;
	} stall; /* stall.c */

	/* Log */
	uint64_t durable_lsn;
	uint64_t appended_lsn;
	uint64_t durable_generation;
	uint64_t meta_generation;  /* last one asked for */
	uint32_t room_left;        /* appends that still fit in this turn */
	uint64_t space_left;       /* records that still fit the log */
	uint64_t space_unprepared; /* more that will fit a new log soon */
	uint64_t space_max;        /* the same of an empty log */
	uint64_t patient_until_ns; /* without room, frames are left in their queues until then */
	struct shard_counters counters;
	struct shard_damage damage;
	uint8_t *meta;    /* [shard_meta_bytes()] */
	uint8_t *hearsay; /* [hearsay_bytes()] */
	uint64_t boot_count;
	uint64_t boot_generation; /* of the blob that holds boot_count */
	/* highest that a configuration of its groups has, as disk and network know it */
	uint32_t version;
	char stop_text[DECREE_ERROR_BYTES];
	int16_t group_local[DECREE_GROUP_COUNT_MAX]; /* -1: not here */

	/* Network: frames on their way out, and empty ones kept for the next turn. */
	struct net_frame out[NET_BURST];
	struct net_frame empty[NET_BURST];
	struct index_pool index_pool;
	struct bundle bundles[BUNDLE_COUNT_MAX];
	struct reply_frame replies[REPLY_FRAME_COUNT_MAX];
	uint32_t reply_next;

	struct gateway gateways[SHARD_GATEWAY_COUNT_MAX];
	uint32_t gateway_opened;     /* so far */
	struct assembly *assemblies; /* [config.assembly_count] */
	uint64_t assembly_clock;
	struct read_request reads[READ_COUNT_MAX];
	struct log_job jobs[LOG_JOB_COUNT_MAX];

	/* Snapshots */
	uint8_t *snap_buffer;               /* [DECREE_CHUNK_BYTES_MAX] of `snap_reader` */
	struct snapshot_reader snap_reader; /* of the fetch, or of the start */
	struct snapshot_fetch fetch;
	uint32_t fetch_next; /* local index of the group whose turn to fetch it is */
	struct snapshot_serve serves[SNAPSHOT_SERVE_COUNT];

	/* Scratch */
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct eng_applied *applied;     /* [commands_per_slot_max] runs */
	struct decree_command *commands; /* [commands_per_slot_max] of them that execute */
	struct decree_answer *answers;   /* [commands_per_slot_max] of `commands` */
	struct eng_command submit[CLIENT_BURST_MAX];
	enum eng_submit_status submit_status[CLIENT_BURST_MAX];
	struct eng_effects fx;
};

static_assert(CLIENT_BURST_MAX >= SUBMIT_BURST, "gateways share the scratch of clients");

/* shard.c */
struct shard_group *shard_find_group(const struct shard *s, uint16_t group);
void shard_stop(struct shard *s, enum shard_stop why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* @param g  NULL: it is about all groups */
void shard_note(struct shard *s, const struct shard_group *g, enum note note, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* One event of a group and everything that it entails. */
void shard_step(struct shard *s, struct shard_group *g, struct eng_event *event);
void shard_submit(struct shard *s, struct shard_group *g, uint32_t count);
/* Commands of one session, from seq on. @return of the one behind *ret_taken that are OK or
 * DUPLICATE, if there is one */
enum eng_submit_status
shard_submit_run(struct shard *s, struct shard_group *g, struct decree_session session,
	uint64_t seq, const struct eng_body *bodies, uint32_t count, uint32_t *ret_taken);

/* stall.c */
/** Tell the operator of a disk that does not answer. After completions were taken, once a turn. */
void stall_look(struct shard *s);

/* room.c */
void room_look(struct shard *s);
bool room_for(const struct shard *s, const struct shard_group *g, uint32_t records);
bool room_for_burst(const struct shard *s);
bool room_for_turn(const struct shard *s, const struct shard_group *g);
uint32_t room_of(const struct shard *s, const struct shard_group *g);
uint32_t room_message_needs(const struct eng_msg *m);
bool room_is_patience_over(const struct shard *s);
/** What the core shall believe about the log: the rest is for what is under way. */
uint64_t room_space_slots(const struct shard *s, const struct shard_group *g);
/** ... and for what a quorum waits for. */
uint64_t room_reserve_slots(const struct shard *s);
/** Records that still fit the log before the core takes no more commands, were all of it
 * pre-written. */
uint64_t room_until_full(const struct shard *s, const struct shard_group *g);
/** Without space for snapshots, somebody else shall lead. */
void room_hand_over(struct shard *s);

/* effects.c */
void effects_carry_out(struct shard *s, struct shard_group *g);
bool out_frame(struct shard *s, struct net_frame *ret_frame);
void out_push(struct shard *s, const struct net_frame *frame);
void out_give_back(struct shard *s, const struct net_frame *frame);
void out_flush(struct shard *s);

/* bundle.c */
/* @return true if the message needs no frame of its own: it waits for the turn's end, or is lost */
bool bundle_take(struct shard *s, const struct shard_group *g, const struct eng_msg *m);
void bundles_flush(struct shard *s);

/* persist.c */
bool persist_append(struct shard *s, struct shard_group *g, const struct eng_effects *fx);
void persist_on_completion(struct shard *s, const struct log_completion *c);
void persist_release(struct shard *s);
void meta_init(struct shard *s);
int meta_recover(struct shard *s, const uint8_t *blob, uint32_t bytes);
void meta_write_boot(struct shard *s);
/** What this group keeps of the others' words has changed. */
void hearsay_write(struct shard *s, const struct shard_group *g);
/** The same once more: the log's pages have something new to say. */
void meta_write_again(struct shard *s);
struct decree_slot tag_slot(const uint8_t *tag);      /* whose value this is; 0 = none */
struct decree_slot tag_mark_slot(const uint8_t *tag); /* whose damage it tells of; 0 = none */
uint16_t tag_group(const uint8_t *tag);

/* version.c */
uint32_t version_of_group(const struct shard_group *g); /* newest decided; 0 = none yet */
/** Tell disk and network what the group's configurations say. @return false: they know */
bool version_follow(struct shard *s, const struct shard_group *g);
/** The configurations of a group have changed. */
void version_changed(struct shard *s, const struct shard_group *g);
/** The core found that this program cannot be a part of the cluster. */
void version_halt(struct shard *s, const struct shard_group *g);

/* apply.c */
void apply_range(
	struct shard *s, struct shard_group *g, struct decree_slot first, struct decree_slot after);
/** Pass on the answers of this burst so far; what apply_range() does behind each. */
void apply_tell_answers(struct decree_sink *sink);
bool was_skipped(const struct shard_group *g, struct decree_slot slot, uint32_t index);

/* gateway.c */
void gateway_run(struct shard *s, struct gateway *gw);
uint64_t gateway_wake_at(const struct gateway *gw, uint64_t now_ns);
void gateway_on_registered(struct shard *s, struct shard_group *g, const struct eng_applied *a);
void gateway_on_applied(struct shard *s, struct gateway *gw, const struct eng_applied *a);
void gateway_on_answers(const struct shard *s, struct gateway *gw, uint64_t first, uint32_t count,
	const struct decree_answer *answers);
void gateway_on_read(struct gateway *gw, const struct decree_completion *done);
/** Another session has its row. */
void gateway_on_evicted(struct shard *s, struct gateway *gw);
/* gateway_restored.c */
void gateway_on_restored(struct shard *s, struct gateway *gw, uint16_t index);
/* gateway.c */
/** Tell which bodies are free. */
void gateway_flush(struct gateway *gw);
void gateway_on_node_msg(struct shard *s, struct shard_group *g, const struct client_msg *m);

/* clients.c */
void clients_on_frame(struct shard *s, const struct net_frame *frame);
void clients_on_registered(struct shard *s, struct shard_group *g, const struct eng_applied *a);
void clients_on_applied(
	struct shard *s, struct shard_group *g, struct owner to, const struct eng_applied *a);
/* To commands [first, first + count). */
void clients_on_answers(struct shard *s, struct shard_group *g, struct owner to,
	struct decree_session session, uint64_t first, uint32_t count,
	const struct decree_answer *answers);
/* Large commands that are whole and have not found room yet. */
void clients_continue(struct shard *s);
void clients_flush(struct shard *s);

/* admin.c */
void admin_on_request(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct client_msg *m);

/* reads.c */
void reads_ask(struct shard *s, struct shard_group *g, const struct eng_read *read);
bool
reads_ask_job(struct shard *s, struct log_job *job, uint16_t job_slot, struct decree_slot slot);
void reads_kick(struct shard *s);
void reads_on_completion(struct shard *s, const struct log_completion *c);

/* damage.c */
void damage_on_completion(struct shard *s, const struct log_completion *c);
void damage_turn(struct shard *s);

/* query.c */
void query_take(struct shard *s);
void query_on_request(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct client_msg *m);
void query_on_ready(struct shard_group *g, const struct eng_read_ready *ready);
void query_ask(struct shard *s);
void query_answer(struct shard *s);
void query_forget(struct shard *s, const struct gateway *gw);

/* snapshot.c */
bool snapshot_is_possible(const struct shard *s);
/** A MARK was applied, and this is the digest of the state behind it. */
void snapshot_on_mark(struct shard *s, struct shard_group *g, struct decree_slot slot,
	struct decree_digest digest, const struct eng_mark *mark);
/** Snapshots' part of a turn: bounded work. */
void snapshot_turn(struct shard *s);
uint64_t snapshot_wake_at(const struct shard *s);
/** Cut as soon as possible. @return false if this group cannot */
bool snapshot_ask(struct shard *s, struct shard_group *g);
void cut_give_up(struct shard *s, struct shard_group *g);

/* snapshot_walk.c */
/** A turn's worth of a cut that is CUT_WRITING; CUT_COMMITTING once the store has it all. */
void cut_write(struct shard *s, struct shard_group *g);

/* trim.c */
/** A record of a slot is appended at an lsn (or was found there by recovery); before index_put(). */
void trim_note(struct shard_group *g, struct decree_slot slot, uint64_t lsn);
/** All records so far are of slots up to the highest: a group that falls silent now pins nothing. */
void trim_note_end(const struct shard *s, struct shard_group *g);
/** The same for a group that no cut has brought here: it may have few records, and none of use, and
 * no cut to come. */
void trim_note_here(const struct shard *s, struct shard_group *g);
/** The same for a full log, as often as one likes. Slots come no more, and what came since the last
 * note may be many records of few slots: votes at ballot after ballot, or what a node with a hole in
 * its log learns anew at each start. */
void trim_note_full(const struct shard *s, struct shard_group *g);
/** How many records this group would let go of behind its next snapshot. */
uint64_t trim_records_next(const struct shard_group *g);
/** Whether the log has so little room left that it shall lose its beginning. */
bool trim_is_wanted(const struct shard *s);
/** One step: the log goes as far as every group lets it go. */
void trim_turn(struct shard *s);

/* restore.c */
int restore_begin(struct shard *s, struct shard_group *g);
/** More bytes of the snapshot. @retval 1 it is whole, and the state is the one that it names
 * @retval 0 more is needed @retval -EBADMSG */
int restore_feed(struct shard *s, struct shard_group *g, const uint8_t *bytes, uint32_t count);
/** At the start: stand where the hard state points. @return 0, or -EBADMSG after shard_stop() */
int restore_at_start(struct shard *s, struct shard_group *g);
/** The state jumped: whoever waits here for commands that it contains gets the answers. */
void restore_owners(struct shard *s, struct shard_group *g);

/* state_transfer.c */
/** This group wants a snapshot: it is fetched when it is the group's turn. */
void transfer_want(const struct shard *s, struct shard_group *g, uint16_t from);
/** A message that the core has seen, and whose sender it lets speak. */
void transfer_on_message(struct shard *s, struct shard_group *g, const struct eng_msg *m);
void transfer_on_completion(struct shard *s, const struct snap_completion *c);
void transfer_turn(struct shard *s);

/* report.c */
void report_status(struct shard *s, struct shard_group *g, struct net_endpoint to, uint64_t token);
void report_metrics(struct shard *s, struct shard_group *g, struct net_endpoint to, uint64_t token);
void report_log(
	struct shard *s, struct shard_group *g, struct net_endpoint to, const struct client_msg *m);
void report_log_value(struct shard *s, struct log_job *job, uint16_t job_slot, const uint8_t *value,
	uint32_t bytes);

static inline uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* stage_marks.c */
void stages_on_turn(struct shard *s);
/** @return the moment, for stages_on_received() */
uint64_t stages_on_receive(struct shard *s);
void stages_on_received(struct shard *s, uint64_t from_ns);
/* The answers to this process, or the frames, of this turn are on their way. */
void stages_on_told(struct shard *s);
void stages_on_submitted(struct shard *s);
void stages_on_append(
	struct shard *s, struct shard_group *g, const struct eng_persist *run, uint32_t count);
/* Forgets the slots of an earlier leadership. */
void stages_on_role(struct shard_group *g);
void stages_on_durable(struct shard *s, struct shard_group *g);
/** @return the moment, for stages_on_applied() */
uint64_t stages_on_chosen(
	struct shard *s, struct shard_group *g, struct decree_slot first, struct decree_slot after);
void stages_on_applied(struct shard *s, const struct shard_group *g, uint64_t chosen_ns);

#endif
