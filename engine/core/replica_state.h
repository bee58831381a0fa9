/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file replica_state.h
 * The replica's state, shared by the files of engine/core and by nobody else. replica.h says which
 * file does what to it.
 */
#ifndef ENG_REPLICA_STATE_H
#define ENG_REPLICA_STATE_H

#include "engine/core/core.h"
#include "engine/core/session.h"
#include "engine/core/snapshot.h"
#include "engine/core/value.h"

#define NEVER UINT64_MAX

/* Accepts that one turn sends again to one peer, at most. A burst of what the ring of a NIC takes
 * at once. */
#define RETRANSMIT_COUNT_MAX 16

/* A frame that overtook another by more than this was not reordered: the other one is lost. */
#define REORDER_NS 2000000ull

/* How often lost Accepts are looked for. */
#define RETRANSMIT_SCAN_NS REORDER_NS

/* Bounds of the wait for an Accepted. The lower one is also the first, before a round trip was
 * measured, and covers a slow fsync, so that a busy disk causes no repeats. */
#define RTO_NS_MIN 10000000ull
#define RTO_NS_MAX 200000000ull

/* Slots that a learner asks for at a time: a few hundred KiB, a fraction of any receive ring. */
#define QUERY_SLOT_COUNT 64
#define QUERY_RETRY_NS   5000000ull

/* A commit index that nobody shows a value for: ask less and less often, then forget it (9.1). Who
 * knows better says it again with the next heartbeat. */
#define QUERY_DOUBLINGS_MAX 4
#define QUERY_ROUNDS_MAX    8

/* A log without room has no use for values. What may help it is a snapshot that somebody cuts, and
 * that takes its time. */
#define QUERY_FULL_DOUBLINGS_MAX 8

/* A hole below the commit index usually means that its Accept is still on its way. */
#define QUERY_GRACE_NS 1000000ull

/* Send times kept. T must not be longer than a quarter of this many heartbeats; the rest is for the
 * rounds of reads, which follow each other at the pace of the fastest quorum: an echo that is
 * slower than that by a factor of 200 is not believed. */
#define HEARTBEAT_HISTORY 256

/* Damage is rare: a rotten page or two. More than this is told less precisely, never wrongly. */
#define DAMAGE_COUNT_MAX 128
#define REPORT_COUNT_MAX 512

/* The log is read again in the background and tells of its damage bit by bit, and again in every
 * round. */
#define REWRITE_COUNT_MAX 128

/* How often everybody is asked for a value that phase 1 waits for. */
#define CHOICE_ASK_NS 20000000ull

#define FRAGMENT_WORDS 4 /* bitmap of Promise fragments seen: 256 fragments */

/* What this node holds of one slot. The value stands in the ring of values at the same index. */
struct entry {
	struct decree_slot slot;      /* 0 = nothing here */
	struct decree_ballot vballot; /* ballot at which the value was accepted */
	struct decree_digest digest;
	uint64_t persist_seq; /* the record is durable once persisted >= this */
	uint64_t sent_ns;     /* leader: when its Accept left last */
	uint32_t bytes;
	uint16_t acks; /* leader: nodes for which (slot, own ballot) is durable, voters or not */
	bool decided;
};

/* What phase 1 has found out about one slot. */
struct choice {
	struct decree_slot slot; /* 0 = nothing reported */
	struct decree_ballot vballot;
	struct decree_digest digest;
	bool decided;
	uint16_t holders; /* nodes that reported exactly this */
	uint16_t unknown; /* nodes whose copy is damaged, of a ballot that nobody knows */
};

/* A damaged copy of a known ballot that some promise reports (choice.c). */
struct report {
	struct decree_slot slot;
	struct decree_ballot vballot;
	struct decree_digest digest;
	uint8_t member;   /* index of the node that reported it */
	bool is_resolved; /* an intact copy of the same is known */
};

/* A damaged copy of our own (damage.c). */
struct damage {
	struct decree_slot slot;
	struct decree_ballot vballot; /* 0 = unknown */
	struct decree_digest digest;  /* if the ballot is known, or a decision was lost */
	bool is_decided;              /* the slot was decided, with the value of this digest */
	bool is_written;              /* the mark is in the log, or on its way there */
};

/* A record of our own that is not on the disk any more, though memory knows better (rewrite.c). */
struct rewrite {
	struct decree_slot slot;
	uint64_t seq; /* of the record that takes its place; 0 = not appended yet */
};

/* What we remember of another node's disk (guard.c). */
struct guard {
	uint64_t nonce;                /* of the life that counts; 0 = none yet */
	uint64_t nonce_before;         /* of the one before it */
	uint64_t refused;              /* of a life whose disk was rolled back */
	uint64_t boot_count;           /* highest that it proved; 0 = never asked */
	struct decree_ballot promised; /* highest in its Promises and Accepteds */
	/* Highest slot in the same, or as a leader's heartbeat said: in the life `accepted_boot`,
	 * in any life before that, and in the present one, if it has not proved yet which it is. */
	struct decree_slot accepted;
	uint64_t accepted_boot;
	struct decree_slot accepted_before;
	struct decree_slot unproved;
	/* on its disk, when the life that proved `boot_count` began */
	struct decree_slot found_last;
	bool is_doubted; /* memory came later that speaks against that life: it has to prove itself */
	bool is_twin;    /* two processes share its identity: neither counts */
	/* the challenge under way, and what was remembered when it left */
	uint64_t challenge; /* 0 = none */
	uint64_t suspect;   /* the nonce that is to prove itself; 0 = any */
	struct {
		uint64_t boot_count;
		struct decree_ballot promised;
		struct decree_slot accepted;
		uint64_t accepted_boot;
		struct decree_slot unproved;
	} then;
	uint64_t begun_ns; /* it was new then */
	uint64_t ask_ns;   /* it is not repeated before this */
};

struct peer {
	uint16_t node_id;
	uint8_t version_max;  /* highest version that its program speaks, 0 = not heard yet */
	uint64_t disk;        /* first 8 bytes of its disk uuid as heard, 0 = not yet */
	uint64_t member_disk; /* as the configuration has it; 0 = no member, as far as we know */
	/* leader; an Accepted is about these, so they stand together */
	struct decree_slot matched;    /* durable at our ballot below this slot */
	struct decree_slot commit;     /* its own, as it last said */
	struct decree_slot acked_last; /* highest slot durable there at our ballot */
	uint64_t rto_ns;               /* an Accept that is not answered after this is sent again */
	uint64_t retry_ns;             /* no repeats before this */
	uint64_t rtt_ns;       /* from an Accept to its answer, smoothed; 0 = not measured yet */
	uint64_t rtt_drift_ns; /* how far from it they are, smoothed */
	/* highest slot that was sent again: its answer measures nothing */
	struct decree_slot repeated_last;
	uint64_t full_ns; /* it last refused an Accept for want of room; 0 = never */
	struct guard guard;
	uint64_t echo_seq; /* newest heartbeat that came back */
	uint64_t echo_ns;  /* when that one was SENT (protocol 10: round trips, not receipts) */
	/* newest heartbeat of this ballot that it echoed was sent then; 0 = none */
	uint64_t grant_ns;
	struct { /* its reads (8.2), our own in our own place: the newest token serves all */
		uint64_t nonce; /* of the life that asks */
		uint64_t token; /* 0 = none */
	} read_queued, read_round;
	/* candidate: the Promise that is being put together */
	uint64_t promise_nonce;
	struct decree_slot promise_low;
	struct decree_slot promise_commit;
	struct decree_slot promise_last;
	uint64_t promise_seen[FRAGMENT_WORDS];
	bool promised; /* whole */
	bool doubtful; /* it says that it may have forgotten something, anywhere */
};

/* A configuration as votes are counted: over the table of nodes. None: no voters, quorums of 0, so
 * that every set is one. */
struct config {
	struct decree_slot from; /* first slot that it governs; NEVER: none */
	uint16_t voters;         /* bitmap over peers[] */
	uint8_t voter_count;
	uint8_t q1;
	uint8_t q2;
};

enum campaign {
	CAMPAIGN_NONE = 0,
	CAMPAIGN_PREVOTE = 1,    /* asking whether an election would succeed */
	CAMPAIGN_PERSISTING = 2, /* own promise on its way to the disk (1.4) */
	CAMPAIGN_PREPARING = 3,  /* collecting promises, learning what they say is decided */
};

#define AUDIT_OWN_COUNT                                                                            \
	32 /* MARKs whose digest is remembered here: a peer that is late asks for them */
#define AUDIT_ROUND_COUNT 4 /* comparisons remembered: replicas come to a MARK at different times */

/* Who said what about the state after one MARK. */
struct audit_round {
	struct decree_slot slot; /* 0: free */
	uint16_t reported;       /* nodes that said their digest, this one included */
	bool is_said;            /* we told everybody ours */
	bool is_disputed;        /* somebody differs, and no majority has spoken yet */
	bool is_settled;         /* a majority of the voters has our digest */
	struct decree_digest digests[ENG_PEER_COUNT_MAX];
};

struct audit {
	struct decree_slot marked;   /* highest MARK, chosen or proposed by us */
	struct decree_slot cut;      /* newest chosen MARK with a cut */
	struct decree_slot anchored; /* highest anchor of a chosen MARK */
	struct decree_slot agreed;   /* newest slot where a majority has our digest */
	bool cut_wanted;
	bool cut_asked;                /* follower: the leader is asked for one */
	struct decree_slot cut_marked; /* leader: the newest that it proposed itself */
	bool mark_wanted;              /* the cut is applied and has no anchor yet */
	enum eng_halt verdict;         /* why this replica halts at ask_ns */
	uint64_t ask_ns; /* digests that are missing are asked for again then; NEVER */
	struct {
		struct decree_slot slot;
		struct decree_digest digest;
	} own[AUDIT_OWN_COUNT];
	uint32_t own_last; /* the newest of them */
	struct audit_round rounds[AUDIT_ROUND_COUNT];
};

struct eng_replica { /* owner: the shard that runs it */
	struct eng_config cfg;
	struct eng_sessions *sessions;
	uint64_t now_ns; /* of the event being handled */
	uint64_t random; /* state of the replica's own generator */
	bool started;    /* everything found on disk has been handed over */
	uint32_t self;   /* index of this node in peers[] and in every bitmap */
	uint32_t peer_count;
	struct peer
		peers[ENG_PEER_COUNT_MAX]; /* known nodes, this one included, in no order; bitmaps
						  of nodes are over this table */
	uint16_t targets;                  /* nodes that dst 0 means */
	struct config config;              /* governs the first undecided slot */
	struct config config_next;         /* decided, governs from a later slot on */
	/* leader: in a slot that is not decided yet; governs nothing */
	struct config config_proposed;
	struct decree_slot proposed_slot; /* that slot, 0 = none */
	struct eng_configs configs;
	uint32_t epoch;     /* of the newest decided configuration */
	bool was_member;    /* some decided configuration had this node */
	uint16_t lingering; /* left with the last configuration: still heard, may not lead */
	uint16_t served;    /* leader: lingering nodes that still receive everything (12.4) */
	bool settling;      /* leader: not known yet to be held by a quorum of the configuration */
	/* a record of this seq or later knows that the configuration governs */
	uint64_t settle_seq;
	uint16_t turned_away;     /* members that say we are none */
	struct decree_slot limit; /* leader: no slot from here on may be proposed; NEVER = any */
	uint64_t limit_retry_ns;  /* ask again for the promises that are missing */
	struct eng_counters counters;
	enum eng_halt halt;

	/* Acceptor */
	struct decree_ballot promised;
	struct decree_ballot promised_hard; /* as the hard state says, or will */
	/* What START wrote, if records said more than the hard state: no vote before persisted >=
	 * this */
	uint64_t found_seq;

	uint64_t persist_last;     /* last persist sequence number given out */
	uint64_t persisted;        /* durable up to here; Invariant: persisted <= persist_last */
	uint64_t stalled_since_ns; /* the oldest write is under way since; NEVER = none */
	uint64_t log_space_slots;  /* as the last FLUSH said */
	struct {                   /* a log that is full: what it takes all the same */
		uint64_t slots;    /* that fit, as the last FLUSH said, less what was taken since */
		uint64_t since_ns; /* Accepts up to `last` were refused since then; 0 = none were */
		struct decree_slot last;
		struct decree_slot may; /* Accepts up to here were refused for long enough */
		/* a quorum was seen to wait for this node; until then it counts */
		uint64_t until_ns;
	} reserve;
	struct decree_slot last;         /* highest slot with an entry */
	struct decree_slot low;          /* slots below are known only through a snapshot; >= 1 */
	struct {                         /* what the hard state points to */
		struct decree_slot slot; /* as last asked for; 0 = nothing */
		struct decree_slot durable; /* Invariant: low - 1 <= durable <= slot */
		struct decree_digest digest;
		uint64_t seq; /* `slot` is durable when persisted >= seq */
		/* nothing is applied until the machine holds this; 0 */
		struct decree_slot installing;
	} snapshot;
	struct {
		bool wanted;
		uint16_t to;
		uint64_t to_nonce;
		struct decree_slot from;
		uint64_t seq; /* send when persisted >= seq */
	} promise_due;
	struct { /* what the next Accepted says */
		struct decree_ballot ballot;
		struct decree_slot start;
		struct decree_slot after; /* durable at `ballot`: [start, after) */
		struct decree_slot last;  /* highest slot accepted at `ballot` */
		uint64_t seq_first;       /* oldest write that no Accepted covers yet, 0 = none */
		uint64_t seq_last;        /* newest write at `ballot` */
		bool wanted;
	} ack;

	/* Learner */
	struct decree_slot chosen;   /* decided prefix, values held */
	struct decree_slot released; /* chosen when this step began: up to here values are applied
					   and may give way in the ring; released <= chosen */
	struct decree_slot chosen_seen; /* highest commit index heard of */
	uint64_t query_ns;              /* next Query not before; NEVER = nothing missing */
	uint64_t query_idle_ns;   /* no Query before this, after questions without an answer */
	uint32_t query_fruitless; /* Queries since the decided prefix moved last */
	uint32_t query_peer;      /* index of the peer asked last */
	uint32_t query_turn; /* index of the one asked last in turn, the leader not being asked */
	struct decree_slot query_after; /* end of the range asked last */

	/* Who leads */
	enum decree_role role;
	uint16_t leader;                    /* node_id, 0 = unknown */
	struct decree_ballot leader_ballot; /* highest of a leader that was heard; never falls */
	uint64_t heard_seq;                 /* highest heartbeat heard at leader_ballot */
	uint64_t heard_ns;                  /* last message of a live leader; 0 = never */
	uint64_t started_ns;  /* until T after it, a leader may live that we have not heard yet */
	uint64_t round_seen;  /* highest round in any message */
	uint64_t election_ns; /* stand for election then; NEVER for a leader */
	uint32_t failures;    /* elections lost in a row: back-off exponent */

	/* Candidate and leader */
	enum campaign campaign;
	struct decree_ballot ballot; /* of the campaign or of the leadership */
	/* CAMPAIGN_PERSISTING: our promise is durable when persisted >= this */
	uint64_t campaign_seq;
	uint64_t campaign_retry_ns; /* repeat PreVote or Prepare then */
	uint16_t grants;            /* nodes that would vote for us */
	struct decree_slot prepare_from;
	struct decree_slot prepare_last; /* highest slot that any promise mentions */

	/* Leader */
	struct decree_slot start; /* first slot proposed at this ballot */
	struct decree_slot next;  /* next free slot */
	/* next inherited slot to propose again, <= prepare_last + 1 */
	struct decree_slot inherit_next;
	bool ready;
	bool admit_reset;             /* forget the session hints before the next SUBMIT */
	bool bootstrapping;           /* slot 1 needs every member (12.0) */
	struct decree_slot announced; /* commit index that the followers were told */
	uint64_t announce_ns;         /* tell them of a higher one then; NEVER = there is none */
	uint64_t heartbeat_ns;        /* next one due */
	uint64_t heartbeat_seq;
	uint64_t heartbeat_sent_ns[HEARTBEAT_HISTORY];
	uint64_t retransmit_ns; /* look for lost Accepts then */
	uint64_t reprepare_ns;  /* phase 1 again above a higher promise (5.8); NEVER */
	uint64_t stamp_base_ns; /* cluster time when this leader became ready ... */
	uint64_t stamp_from_ns; /* ... which was at this monotonic time */
	uint64_t stamp_last_ns; /* highest stamp seen in any value (7.3) */
	uint64_t deadline_ns;   /* the state machine's, as the last FLUSH said; NEVER = none */
	struct eng_batch batch; /* in the ring place of `next`, if it is open */
	struct {                /* a command that is larger than a slot, on its way into slots */
		struct decree_session session;
		uint64_t seq;
		struct decree_digest digest;
		struct decree_slot first;
		uint32_t bytes;
		uint32_t part_next;
		uint32_t part_count; /* 0: none */
		uint64_t used_ns;
	} train;
	struct { /* leadership on its way to another member; no new commands meanwhile */
		uint16_t to;       /* node_id, 0: none */
		uint64_t until_ns; /* given up then */
		uint64_t send_ns;  /* TimeoutNow not before */
	} transfer;
	uint64_t busy_ns;          /* some follower last refused an Accept for want of room */
	uint32_t inherit_asked;    /* round-robin over the holders of a value */
	uint64_t inherit_ns;       /* ask again for inherited values then; NEVER */
	uint64_t inherit_until_ns; /* values missing by then: phase 1 again, with another quorum */

	struct { /* reads (8.2). Tokens are given out in order, from 1 */
		uint64_t open[ENG_READ_OPEN_MAX]; /* ids of own batches (done, last], by token */
		uint64_t done;
		uint64_t last;
		uint64_t asked; /* newest token that the leader was asked for ... */
		struct decree_ballot asked_ballot; /* ... and at which ballot it led */
		uint64_t retry_ns;                 /* ask again then */
		uint32_t repeat_count;             /* of the question, or of the round */
		/* leader */
		bool is_queued;     /* some read_queued.token is set */
		uint64_t round_seq; /* heartbeat of the round under way, or a later one; 0 = none */
		struct decree_slot round_slot;
		uint64_t round_retry_ns;
	} reads;
	struct {                        /* leases (8.3) */
		uint16_t holder;        /* follower: whom it granted one ... */
		uint64_t until_ns;      /* ... and until when it refuses all others */
		uint64_t mute_until_ns; /* what an earlier life may have granted */
		bool is_revoked;        /* leader: none at this ballot any more */
		bool is_suspended;
	} lease;

	struct audit audit;

	uint32_t value_stride;
	struct {
		struct damage marks[DAMAGE_COUNT_MAX]; /* [count] in no order */
		uint32_t count;
		bool doubt;              /* any slot that is not decided here may be damaged */
		bool doubt_written;      /* as the hard state says, or will */
		uint64_t seq;            /* marks and doubt are durable once persisted >= this */
		uint64_t over_seq;       /* the doubt ends when persisted >= this; 0 = not known */
		struct decree_slot hint; /* decided once, as an intact record says */
		uint64_t repair_ns;      /* ask peers for a value then; NEVER */
		uint32_t repair_next;
		uint16_t told;           /* doubt: peers without any that told us their last slot */
		struct decree_slot last; /* the highest that they told */
	} damage;
	struct {
		struct rewrite slots[REWRITE_COUNT_MAX]; /* [count] in no order */
		uint32_t count;
		uint32_t turn;   /* who is asked for next */
		uint32_t asked;  /* index of the peer asked last */
		uint64_t ask_ns; /* ask peers for values then; NEVER */
	} rewrites;
	uint64_t boot_count;                 /* of this life */
	struct decree_ballot found_promised; /* on the disk, when this life began */
	struct decree_slot found_last;       /* the same; in doubt: any slot */
	bool was_welcome;                    /* the message of the last RECV */
	uint64_t guard_random;
	uint8_t guard_marks[ENG_PEER_COUNT_MAX *
			    ENG_HIGHEST_BYTES];  /* as the heartbeat carries them */
	uint8_t hearsay[ENG_HEARSAY_BYTES];      /* as it is kept, or will be */
	uint64_t hearsay_ns;                     /* it is not made anew before this */
	struct report reports[REPORT_COUNT_MAX]; /* [report_count] of the campaign */
	uint32_t report_count;
	bool has_unknown; /* some choice's `unknown` is not empty */
	uint64_t choice_ask_ns;

	struct entry *entries;  /* [ring_slots] */
	struct choice *choices; /* [ring_slots] */
	uint8_t *values;        /* [ring_slots][value_stride] */
};

#endif
