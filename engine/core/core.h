/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file core.h
 * Multi-Paxos for one group as a pure function: an event in, effects out.
 *
 * The core never reads a clock, never draws a random number that it was not seeded for, never
 * allocates, never blocks and does no input or output. Whoever runs it carries out the effects of a
 * step before the next step:
 *
 *   1. `persists` go to the log in order. Each carries a sequence number (`seq`, from 1, no gaps).
 *      When everything up to seq is durable, an event PERSISTED says so. Records and hard states
 *      share one order: seq counts as durable only if every lower one is.
 *   2. `messages` may leave at once, in order: the core emits a Promise or an Accepted only after
 *      the PERSISTED that it depends on. (protocol 3; Paxos Made Simple, section 2.5)
 *   3. slots [apply_first, apply_after) are chosen and are applied now, in order.
 *   4. `reads` ask for old values from the log; each is answered by an event VALUE.
 *   5. after all events of a turn one FLUSH, which packs what is waiting into slots, acknowledges
 *      what became durable, and announces what was chosen.
 *   6. `read_ready` names batches of reads that may be answered once a slot is applied.
 *   7. `wake_at_ns`: a TICK is due then, even if nothing else happens.
 *   8. `halt` != 0: stop the node and tell the operator why; nothing else of this step counts.
 *
 * Threads:  a replica belongs to the shard that runs it. Nothing here is callable from elsewhere.
 * Memory:   eng_replica_bytes() of it, given by the caller, once.
 * Errors:   input is decoded before it comes here; what remains is protocol, and answers with a
 *           message, a counter or silence.
 */
#ifndef ENG_CORE_H
#define ENG_CORE_H

#include "decree/types.h"
#include "engine/core/msg.h"

#include <stddef.h>

#define ENG_RECORD_TAG_BYTES 64  /* = LOG_TAG_BYTES: what the log keeps apart for one slot */
#define ENG_HARD_BYTES       64  /* hard state of one group */
#define ENG_HEARSAY_BYTES    512 /* what a node keeps of what the others have said in one group */
#define ENG_PEER_COUNT_MAX   16  /* nodes that a replica knows at a time, itself included */
#define ENG_FX_MESSAGE_MAX   512
#define ENG_FX_PERSIST_MAX   256
#define ENG_FX_READ_MAX      64
#define ENG_READ_OPEN_MAX    64 /* batches of reads (ENG_EV_READ) that wait for their slot */

struct eng_snapshot; /* snapshot.h */

/* The voters of one configuration, and one learner on its way in. */
#define ENG_MEMBER_COUNT_MAX (DECREE_NODE_COUNT_MAX + 1)

enum eng_member_role {
	ENG_VOTER = 1,
	ENG_LEARNER = 2, /* receives and applies everything, counts in no quorum */
};

struct eng_address {   /* opaque to the core */
	uint32_t ipv4; /* host order, 0 = as the INI file has it */
	uint16_t port; /* UDP, of shard 0 */
	bool has_mac;
	uint8_t mac[6];
};

struct eng_member {
	uint16_t node_id; /* 1 .. 65535 */
	uint64_t disk;    /* first 8 bytes of its disk uuid, as messages carry it */
	enum eng_member_role role;
	uint16_t replaces; /* learner: once it votes, this node goes; 0 = none */
	uint8_t q1;        /* learner: the quorums once it votes */
	uint8_t q2;
	struct eng_address address;
};

struct eng_config {
	uint64_t cluster_id;
	uint16_t node_id;
	uint16_t group;
	struct decree_uuid disk;
	/* A new cluster begins with these members. Once a configuration is in the log, that one
	 * counts, and these are only where to look for the others. */
	uint32_t member_count; /* 1 .. DECREE_NODE_COUNT_MAX */
	struct eng_member
		members[DECREE_NODE_COUNT_MAX]; /* ascending node_id, this node included; ids and
						   addresses. A learner is no founding member,
						   but known */
	bool joins;  /* formatted to join a cluster that exists: takes no part before it is added */
	uint32_t q1; /* phase 1 quorum; q1 + q2 > member_count */
	uint32_t q2; /* phase 2 quorum */
	uint64_t nonce;      /* of this start, fresh random bits */
	uint64_t seed;       /* of the replica's own random numbers */
	uint32_t slot_bytes; /* largest value of one slot; a cluster constant */
	uint32_t alpha;      /* no slot beyond the decided prefix + alpha; a cluster constant */
	/* undecided slots that this node would propose as leader, <= alpha */
	uint32_t window_slots;
	uint32_t ring_slots;        /* slots kept in memory, a power of two, >= 2 * alpha */
	uint32_t frame_bytes;       /* capacity of one frame's payload */
	uint32_t command_bytes_max; /* a cluster constant */
	uint32_t session_count;     /* rows of the session table; a cluster constant */
	/* replies kept per session, power of two >= 1,024; a cluster constant */
	uint32_t session_window;
	uint32_t session_idle_slots; /* unused for so long, a session may give way to a new one; a
					cluster constant */
	uint32_t digest_slots; /* states are compared this often, 0 = never; a cluster constant */
	uint64_t heartbeat_ns;
	bool heartbeat_on_grid; /* at multiples of heartbeat_ns, so that all groups of a node send at once */
	/* a leader keeps a commit index to itself for so long, for the next Accept to carry it */
	uint64_t announce_ns;
	uint64_t election_ns;   /* T; elections time out after uniform [T, 2 T] */
	uint64_t disk_stall_ns; /* oldest write not durable for longer: hand leadership over */
	/* D; a cluster constant; beyond election_ns it delays elections; 0 = no leases */
	uint64_t lease_ns;
	uint32_t max_drift_ppm; /* of any clock against true time; a cluster constant, if leases */
	uint8_t version_min;    /* which versions of a cluster this program can be a part of; */
	uint8_t version_max;    /* 0, 0: VERSION_FIRST alone */
};

enum eng_event_type {
	ENG_EV_RECOVER_HARD = 1, /* before START: the hard state found on disk, if any */
	ENG_EV_RECOVER_SNAPSHOT, /* before the first record: the state machine stands where the
				    hard state's snapshot pointer points */
	ENG_EV_RECOVER_COMMIT, /* before START: the record that follows, for its commit hint alone */
	ENG_EV_RECOVER_RECORD,    /* before START: each record of this group, in log order */
	ENG_EV_RECOVER_FAULTY_ID, /* in the place of a record that cannot be read: what it was */
	ENG_EV_RECOVER_FAULTY_UNKNOWN, /* the same, where only its slots are known, or not even they */
	ENG_EV_START,                  /* everything found on disk has been handed over */
	ENG_EV_TICK,
	ENG_EV_RECV,
	ENG_EV_PERSISTED,
	ENG_EV_SUBMIT,
	ENG_EV_SUBMIT_RUN, /* the same for commands of one session, seq by seq */
	ENG_EV_READ, /* what reads that begin now must see is asked for: answered by read_ready */
	ENG_EV_VALUE,
	ENG_EV_FLUSH,
	ENG_EV_SNAPSHOT, /* the snapshot of an applied slot is durable: point to it */
	ENG_EV_SNAPSHOT_INSTALL, /* that of a slot to come is durable here: point to it, and stop applying */
	ENG_EV_SNAPSHOT_INSTALLED, /* the state machine holds it; go on from there */
	ENG_EV_TRIM,               /* records of slots below `low` are about to go */
	ENG_EV_DIGEST,             /* right after a MARK was applied, and before any other event */
	ENG_EV_LOG_DAMAGED, /* a record that was durable, and that no later one of its slot replaces, cannot be read any more */
	ENG_EV_CUT, /* a MARK is wanted at which everybody cuts its snapshot; a follower asks */
	ENG_EV_TRANSFER, /* a leader hands over to a chosen member, if it can */
	ENG_EV_MEMBER,   /* a leader begins a change of the members, or says how it stands */
};

/* One command on its way into a slot. session 0 registers: the body is eng_registration_encode()'s. */
struct eng_command {
	struct decree_session session;
	uint64_t seq;
	const uint8_t *body; /* lent for the step */
	uint32_t bytes;
};

/* One of a run, whose session and seq the others know. */
struct eng_body {
	const uint8_t *body; /* lent for the step */
	uint32_t bytes;
};

enum eng_submit_status {
	ENG_SUBMIT_OK = 0,
	ENG_SUBMIT_NOT_LEADER = 1, /* or not ready yet; see eng_leader() */
	ENG_SUBMIT_BUSY = 2,       /* window or log full: again later */
	ENG_SUBMIT_GAP = 3, /* an earlier command of this session is missing: send that first */
	/* on its way already, or executed: the reply is or will be in the session */
	ENG_SUBMIT_DUPLICATE = 4,
	ENG_SUBMIT_NO_SESSION = 5, /* never registered */
	ENG_SUBMIT_TOO_LARGE = 6,  /* over command_bytes_max */
	ENG_SUBMIT_EVICTED = 7,    /* its session gave way to another one */
};

enum eng_transfer_result {
	ENG_TRANSFER_OK = 0,         /* under way, or was already; eng_status() tells the end */
	ENG_TRANSFER_NOT_LEADER = 1, /* or not ready yet */
	ENG_TRANSFER_NOT_MEMBER = 2, /* no voter of that id */
	ENG_TRANSFER_SELF = 3,       /* it leads already */
	ENG_TRANSFER_UNHEARD = 4,    /* it did not answer within T */
	ENG_TRANSFER_BUSY = 5,       /* another transfer is under way */
};

enum eng_member_op {
	ENG_MEMBER_ADD = 1,
	ENG_MEMBER_REMOVE = 2,
	ENG_MEMBER_REPLACE = 3,
	ENG_MEMBER_RAISE = 4, /* not who they are, but the version of the cluster (16) */
};

struct eng_member_change {
	enum eng_member_op op;
	struct eng_member member; /* id, disk and address of who comes; id of who is removed */
	uint16_t old;             /* REPLACE: who goes */
	uint32_t version; /* RAISE: the leader fills it in, the highest that every member speaks */
	uint8_t q1;       /* ADD, REMOVE: the quorums afterwards; 0 = majorities */
	uint8_t q2;
};

enum eng_member_result {
	ENG_MEMBER_OK = 0,          /* begun: ask again until DONE */
	ENG_MEMBER_DONE = 1,        /* it is so */
	ENG_MEMBER_PENDING = 2,     /* begun before, under way */
	ENG_MEMBER_NOT_LEADER = 3,  /* or not ready yet */
	ENG_MEMBER_BUSY = 4,        /* no room for a slot right now: again later */
	ENG_MEMBER_OUTSTANDING = 5, /* another change is under way: one at a time (12.2) */
	ENG_MEMBER_ID_USED = 6,     /* ids are never used again: take a higher one (1.1) */
	ENG_MEMBER_NO_DISK = 7,
	ENG_MEMBER_DISK_USED = 8, /* another member has this disk */
	ENG_MEMBER_UNKNOWN = 9,   /* the node to be removed never was a member */
	ENG_MEMBER_TOO_MANY = 10,
	ENG_MEMBER_BAD_QUORUM = 11,  /* q1 + q2 <= n, or above n */
	ENG_MEMBER_LAST = 12,        /* nobody would be left to vote */
	ENG_MEMBER_NO_QUORUM = 13,   /* too few of the new voters answer now */
	ENG_MEMBER_OLD_PROGRAM = 14, /* a member's program does not speak what another's does */
	ENG_MEMBER_UNHEARD = 15,     /* a member does not answer: what it speaks is not known */
};

struct eng_event {
	enum eng_event_type type;
	/* Monotonic, suspended time included; 0 during recovery. With leases, the now_ns of a RECV
	 * is not older than the frame's arrival: a refusal counts from there (8.3). */
	uint64_t now_ns;
	/* records that the log's buffer takes now: this step appends no more */
	uint32_t record_room;
	union {
		struct {
			const uint8_t *bytes; /* [ENG_HARD_BYTES] */
		} hard;
		struct {
			const uint8_t *tag; /* [ENG_RECORD_TAG_BYTES] */
			const uint8_t *value;
			uint32_t bytes;
		} record;
		struct {
			uint64_t boot_count; /* of this life, durable: higher than any before */
			/* [ENG_HEARSAY_BYTES] eng_hearsay() of an earlier life, any earlier one;
			 * NULL = it is lost, or there was none. Lent for the step */
			const uint8_t *hearsay;
		} start;
		struct {
			struct decree_slot slot;
			struct decree_ballot vballot;
			struct decree_digest digest;
			bool is_decision; /* what is lost was learned as decided: it is no vote */
		} faulty_id;
		struct {
			struct decree_slot first; /* [first, after); first 0 = any slot */
			struct decree_slot after;
		} faulty_unknown;
		struct {
			struct decree_slot slot;
			bool is_mark;                 /* it only told of a damaged copy */
			struct decree_ballot vballot; /* 0 = unknown, and so is the digest */
			struct decree_digest digest;
		} log_damaged;
		struct {
			const struct eng_msg *msg;
			/* The highest version that the sender's program speaks, as its session
			 * says; 0 = nobody says, VERSION_FIRST is assumed. */
			uint8_t version_max;
		} recv;
		struct {
			uint64_t seq; /* all persists up to and including this are durable */
		} persisted;
		struct {
			const struct eng_command *commands; /* [count] */
			uint32_t count;
			enum eng_submit_status *ret_statuses; /* [count] */
		} submit;
		struct {
			struct decree_session session;
			uint64_t seq; /* of the first one */
			/* [count] those that lie behind each other are copied at once */
			const struct eng_body *bodies;
			uint32_t count;
			uint32_t *ret_taken; /* so many, from the first on, are OK or DUPLICATE */
			/* of the one behind them, if there is one */
			enum eng_submit_status *ret_status;
		} submit_run;
		struct {
			uint64_t id; /* of the batch, the runtime's own */
		} read;
		struct {
			uint16_t requester; /* copied from the read */
			const uint8_t *tag;
			const uint8_t *value;
			uint32_t bytes;
		} value;
		struct {
			/* SNAPSHOT and INSTALL: slot and digest alone */
			const struct eng_snapshot *snapshot;
		} snapshot;
		struct {
			struct decree_slot low;
		} trim;
		struct {
			bool log_is_idle; /* a record appended now would be written at once */
			bool peers_wait;  /* for what is chosen: a commit index is not kept */
			uint64_t log_space_slots;   /* records that still fit the log */
			uint64_t log_reserve_slots; /* and more for what a quorum waits for */
			/* Leader: cluster time at which the state machine, with everything applied
			 * that this core has called chosen, wants to be called; UINT64_MAX =
			 * never */
			uint64_t deadline_ns;
		} flush;
		struct {
			struct decree_slot slot;
			struct decree_digest digest; /* eng_state_digest() there */
		} digest;
		struct {
			uint16_t to; /* node_id; 0 = whoever has most of the log */
			enum eng_transfer_result *ret_result;
		} transfer;
		struct {
			const struct eng_member_change *change; /* lent for the step */
			enum eng_member_result *ret_result;
		} member;
	};
};

enum eng_persist_kind {
	ENG_PERSIST_RECORD = 1, /* append {tag, value} */
	ENG_PERSIST_HARD = 2,   /* replace this group's hard state */
};

struct eng_persist {
	enum eng_persist_kind kind;
	uint64_t seq;
	struct decree_slot slot; /* RECORD: the runtime indexes slot -> position in the log */
	uint8_t tag[ENG_RECORD_TAG_BYTES]; /* RECORD: tag; HARD: the hard state */
	const uint8_t *value;              /* RECORD: lent until the next step */
	uint32_t bytes;
};

struct eng_read {
	struct decree_slot slot;
	uint16_t requester; /* node_id, returned in the VALUE event */
};

/* A batch of reads: answer it from the state after `slot`, or any later one. */
struct eng_read_ready {
	uint64_t id;             /* of the READ event */
	struct decree_slot slot; /* 0 = there was nothing to see */
	bool is_busy; /* ENG_READ_OPEN_MAX batches wait: it was not taken. Only in the step of its READ */
};

enum eng_halt {
	ENG_HALT_NONE = 0,
	ENG_HALT_TWO_VALUES, /* one (slot, ballot), two digests: the cluster's safety is broken */
	ENG_HALT_TWO_DECISIONS, /* one slot, two decided values */
	ENG_HALT_NOT_MEMBER,    /* the cluster knows another disk under this node id */
	ENG_HALT_BAD_RECORD,    /* the log holds a record that this version cannot read */
	ENG_HALT_REMOVED,       /* no longer a member, and no longer needed: an orderly end */
	ENG_HALT_ROLLED_BACK,   /* the peers remember more than this disk does */
	ENG_HALT_TWIN,          /* another process runs with this identity */
	ENG_HALT_CONSTANTS,     /* the decided configuration differs from this node's constants */
	ENG_HALT_DIVERGED,      /* a majority had another state after the same slot */
	ENG_HALT_NO_AGREEMENT,  /* no majority had the same state after the same slot */
	ENG_HALT_VERSION,       /* the cluster is of a version that this program does not speak */
};

struct eng_effects {
	uint32_t persist_count;
	uint32_t message_count;
	uint32_t read_count;
	uint32_t read_ready_count;
	struct decree_slot apply_first; /* [apply_first, apply_after), empty if equal */
	struct decree_slot apply_after;
	uint64_t wake_at_ns;
	enum eng_halt halt;
	enum eng_failure_reason alarm; /* ROLLED_BACK or TWIN: alarm_node was found out; 0 = none */
	uint16_t alarm_node;
	bool role_changed;    /* see eng_status() */
	uint32_t persist_max; /* of this step: the core's own limit on persist_count */
	/* This peer's log does not go back to what is missing here, but it has a snapshot (9.3):
	 * fetch it, from there or from anybody, unless that is under way. 0 = no wish. */
	uint16_t fetch_from;
	bool members_changed; /* see eng_known_configs(): learn the addresses */
	bool hearsay_changed; /* see eng_hearsay(): to be kept, soon; nothing waits for it */
	struct eng_persist persists[ENG_FX_PERSIST_MAX];
	struct eng_msg messages[ENG_FX_MESSAGE_MAX];
	struct eng_read reads[ENG_FX_READ_MAX];
	struct eng_read_ready read_ready[ENG_READ_OPEN_MAX]; /* in the order of the READs */
};

struct eng_counters {
	uint64_t elections;    /* Prepares that this node started */
	uint64_t ballots_lost; /* leaderships that ended */
	uint64_t retransmits;  /* Accepts sent again */
	uint64_t queries;      /* slots asked from peers */
	uint64_t noops;        /* gaps filled */
	uint64_t ticks;        /* slots made because the state machine's deadline had come */
	uint64_t dropped_not_member;
	uint64_t dropped_stale;    /* wrong ballot, nonce or role */
	uint64_t dropped_window;   /* Accepts beyond what the ring can hold */
	uint64_t dropped_full;     /* Accepts refused because the log is full */
	uint64_t handovers;        /* leaderships given away because of a stalled disk */
	uint64_t transfers_failed; /* the successor did not take over within T */
	uint64_t dropped_unproved; /* from a life that has not answered our challenge */
	uint64_t refused_lives;    /* rolled back, or running twice */
	uint64_t round_jumps;      /* ballots refused by protocol 1.5 */
	uint64_t read_rounds;      /* heartbeats sent for the sake of reads */
	uint64_t rewritten;        /* records that were lost on the disk and are there again */
};

struct eng_status {
	enum decree_role role;
	bool ready;           /* leader: everything inherited is chosen, commands are taken */
	bool log_full;        /* no new commands for want of log space, here or at so many
				 others that no quorum is left */
	uint16_t leader;      /* node_id as known here, 0 = none */
	uint16_t transfer_to; /* node_id of the successor that is being handed over to, 0 = none */
	struct decree_ballot ballot; /* of the leader that is followed, or own */
	struct decree_ballot promised;
	struct decree_slot chosen;     /* decided prefix with values held */
	struct decree_slot last;       /* highest slot accepted here */
	struct decree_slot low;        /* slots below are known only through a snapshot */
	struct decree_slot snapshot;   /* where the durable snapshot pointer points, 0 = nowhere */
	struct decree_slot installing; /* between INSTALL and INSTALLED, else 0 */
	uint32_t epoch;    /* of the decided configuration, 0 before bootstrap is complete */
	uint64_t heard_ns; /* last sign of life of the leader, or of a quorum if leader */
	struct decree_slot agreed; /* newest slot where a majority is known to have had our state */
	struct decree_slot cut;    /* newest decided MARK at which snapshots are cut */
	uint32_t damaged; /* slots whose copy on this node's disk is damaged, not repaired yet */
	bool doubt;       /* more may be damaged, and of which slots is not known (11.3) */
	struct eng_counters counters;
};

struct eng_peer_status {
	uint16_t node_id;
	uint64_t echo_ns;           /* when it last echoed one of our heartbeats; 0 = never */
	struct decree_slot commit;  /* as it last said */
	struct decree_slot matched; /* leader: durable there below this slot */
	uint8_t version_max; /* highest that its program speaks, as it last said; 0 = not heard yet */
};

struct eng_configs;
struct eng_sessions;
struct eng_replica;

/** Bytes that a replica of this configuration needs, 64-byte aligned. */
size_t eng_replica_bytes(const struct eng_config *config);

/**
 * Build a replica in @p memory, zeroed by the caller, [eng_replica_bytes()], 64-byte aligned, lent
 * until the replica is no longer used. Nothing else is ever allocated.
 * @param sessions  the session table of this group, consulted before a command is proposed; lent
 */
struct eng_replica *
eng_replica_init(void *memory, const struct eng_config *config, struct eng_sessions *sessions);

/** Handle one event; @p ret_fx is overwritten. Cost: bounded by the burst constants above. */
void eng_step(struct eng_replica *r, const struct eng_event *event, struct eng_effects *ret_fx);

/**
 * Whether a majority of the voters has said that @p digest, ours, was its state right after @p slot
 * (7.4). When the slot is too old to be compared still: whether a majority has had our state at a
 * later one. A yes may be kept.
 */
bool
eng_is_agreed(const struct eng_replica *r, struct decree_slot slot, struct decree_digest digest);

/** Whether it is in doubt (11.3), and only the hole in its log says so yet: nothing of the log may be
 * let go until the hard state does. */
bool eng_is_doubt_unwritten(const struct eng_replica *r);

/** Whether the message of the last RECV came from a node, and a life of it, that counts here (11.9,
 * 12.4). */
bool eng_was_welcome(const struct eng_replica *r);

/** The fields that every message of this replica has, ballot 0: for those that the runtime sends
 * itself. */
void eng_msg_address(
	const struct eng_replica *r, enum eng_msg_type type, uint16_t dst, struct eng_msg *ret_msg);

/** The chosen value of a slot in the apply range of the last step. @return lent until the next step */
const uint8_t *eng_value(const struct eng_replica *r, struct decree_slot slot, uint32_t *ret_bytes);

void eng_status(const struct eng_replica *r, struct eng_status *ret_status);

/** @return how many peers were written, without this node itself */
uint32_t
eng_peer_status(const struct eng_replica *r, struct eng_peer_status ret_peers[ENG_PEER_COUNT_MAX]);

/** The configurations as this node knows them: configs.h. @return lent until the next step */
const struct eng_configs *eng_known_configs(const struct eng_replica *r);

/** What the other members have said, as the next START should bring it: [ENG_HEARSAY_BYTES],
 * hearsay.h. @return lent until the next step */
const uint8_t *eng_hearsay(const struct eng_replica *r);

/** node_id of the leader to send commands to, 0 if unknown. This node itself only if it is ready. */
uint16_t eng_leader(const struct eng_replica *r);

/**
 * Where a message with dst 0 goes: every other node that takes part.
 * @return how many node ids were written
 */
uint32_t eng_targets(const struct eng_replica *r, uint16_t ret_nodes[ENG_PEER_COUNT_MAX]);

/** Does this node lead, and nobody else for sure, at @p now_ns? A read that was answered from its
 * state may leave only if this holds after the answer was computed, by a clock read after it
 * (8.3). */
bool eng_lease_holds(const struct eng_replica *r, uint64_t now_ns);

/** Text for an operator. */
const char *eng_member_result_text(enum eng_member_result result);

const char *eng_halt_text(enum eng_halt halt);

const char *eng_transfer_result_name(enum eng_transfer_result result);

/** Longest hard-coded text; the operator's remedy is part of it. */
const char *eng_submit_status_name(enum eng_submit_status status);

#endif
