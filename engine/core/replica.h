/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file replica.h
 * What the files that make up a replica share; its state is in replica_state.h. For engine/core and
 * nobody else.
 *
 * One replica plays all three roles of Paxos in one single-threaded actor:
 *   acceptor.c  promises and accepts             election.c  who leads: timers, PreVote, phase 1
 *   leader.c    a leadership: from what it inherits to its end
 *   propose.c   commands into slots              votes.c     quorums of votes, and lost frames
 *   stamp.c     cluster time, and slots for its sake alone
 *   learner.c   what is chosen, and how to get it
 *   compaction.c the log's end: what only a snapshot knows
 *   bootstrap.c the first slot: who the members are
 *   transfer.c  leadership given away on request
 *   readindex.c reads without a slot, and leases
 *   audit.c     MARKs, and whether the replicas still have the same state
 *   guard.c     disks that were rolled back, nodes that run twice
 *   hearsay.c   what guard.c remembers, for the next life
 *   choice.c    what phase 1 must propose        damage.c   copies that the disk has lost
 *   membership.c who is known, who takes part, what is a quorum      change.c   changing that
 *   rewrite.c   what the disk has lost of what memory knows
 *   recovery.c  what is found on the disk        status.c   what others may know
 *   replica.c   the ring of slots, the step, and the small helpers below
 */
#ifndef ENG_REPLICA_H
#define ENG_REPLICA_H

#include "base/assert.h"
#include "engine/core/replica_state.h"

struct eng_record;

#include <string.h>

/* ---- replica.c: ring, effects, small questions ---- */

static inline bool
ballot_eq(struct decree_ballot a, struct decree_ballot b)
{
	return a.n == b.n;
}

static inline uint16_t
ballot_node(struct decree_ballot b)
{
	return (uint16_t)b.n;
}

static inline uint64_t
ballot_round(struct decree_ballot b)
{
	return b.n >> 16;
}

static inline struct decree_slot
slot_next(struct decree_slot s)
{
	return (struct decree_slot){ s.n + 1 };
}

static inline uint32_t
ring_index(const struct eng_replica *r, struct decree_slot slot)
{
	return (uint32_t)(slot.n & (r->cfg.ring_slots - 1));
}

static inline struct entry *
entry_place(const struct eng_replica *r, struct decree_slot slot)
{
	return &r->entries[ring_index(r, slot)];
}

static inline uint8_t *
value_place(const struct eng_replica *r, struct decree_slot slot)
{
	return r->values + (size_t)ring_index(r, slot) * r->value_stride;
}

/** Too little room for new commands. Twice the window stays for what is under way, and for what a
 * new leader has to propose again. */
static inline bool
replica_log_is_full(const struct eng_replica *r)
{
	return r->log_space_slots <= 2ull * r->cfg.window_slots;
}

/** The entry of a slot, NULL if this node holds nothing of it in memory. */
static inline struct entry *
entry_find(const struct eng_replica *r, struct decree_slot slot)
{
	struct entry *e = entry_place(r, slot);

	return slot.n != 0 && e->slot.n == slot.n ? e : NULL;
}

/** Highest slot that the ring can take without losing one that is not applied yet. */
static inline struct decree_slot
ring_last(const struct eng_replica *r)
{
	return (struct decree_slot){ r->released.n + r->cfg.ring_slots - 1 };
}

/** Index of a node in the table, -1 if it is unknown. */
int32_t peer_index(const struct eng_replica *r, uint16_t node_id);

/** Uniform in [0, bound). */
uint64_t random_below(struct eng_replica *r, uint64_t bound);

/** Write the hard state down as it is now; it counts once persisted >= persist_last. */
void hard_persist(struct eng_replica *r, struct eng_effects *fx);

struct eng_persist *
persist_add(struct eng_replica *r, enum eng_persist_kind kind, struct eng_effects *fx);

/** Raise own promise and write it down; it counts once persisted >= persist_last. */
void promise_persist(struct eng_replica *r, struct decree_ballot ballot, struct eng_effects *fx);

/** Append a record, and nothing else. @param value  [record->bytes] lent for the step */
struct eng_persist *record_append(struct eng_replica *r, const struct eng_record *record,
	const uint8_t *value, struct eng_effects *fx);

/**
 * Make (slot, ballot, value) this node's entry and append it to the log. @p value may already stand
 * in the ring. The slot must be <= ring_last().
 */
struct entry *entry_store(struct eng_replica *r, struct decree_slot slot,
	struct decree_ballot ballot, struct decree_digest digest, const uint8_t *value,
	uint32_t bytes, bool decided, struct eng_effects *fx);

/** A value that somebody sent, or that was read from the disk: it fits a slot, and is what it should
 * be. */
bool value_is_sound(const struct eng_replica *r, const uint8_t *value, uint32_t bytes,
	struct decree_digest digest);

/** A message with the common fields filled in; the caller fills the rest. dst 0 = all other
 * members. */
struct eng_msg *
message_add(struct eng_replica *r, enum eng_msg_type type, uint16_t dst, struct eng_effects *fx);

/** True if @p messages more messages and @p persists more writes fit this step. */
bool fx_has_room(const struct eng_effects *fx, uint32_t messages, uint32_t persists);

void failure_send(struct eng_replica *r, const struct eng_msg *m, enum eng_failure_reason reason,
	struct eng_effects *fx);

void halt(struct eng_replica *r, enum eng_halt why, struct eng_effects *fx);

/** One slot as a Promise lists it; for eng_msg_encode(). */
struct eng_promise_entry
eng_replica_promise_entry(const struct eng_replica *r, struct decree_slot slot);

/** The highest ballot that this node goes by: promised, or of a leader that it has heard. */
static inline struct decree_ballot
ballot_highest(const struct eng_replica *r)
{
	return r->promised.n > r->leader_ballot.n ? r->promised : r->leader_ballot;
}

/** Whoever prepares, leads or has led at this ballot is refused everything (8.3). */
static inline bool
is_beaten(const struct eng_replica *r, struct decree_ballot ballot)
{
	return ballot.n < ballot_highest(r).n;
}

/* ---- recovery.c ---- */
void on_recover_hard(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
/**
 * The hint of a record speaks of what was held before it: a step of its own, so that what it
 * decides is applied before the record's value takes the place of an older one in the ring.
 */
void on_recover_commit(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_recover_record(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
/** Everything found on the disk has been handed over. */
void on_start(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);

/* ---- damage.c ---- */
struct damage *damage_search(const struct eng_replica *r, struct decree_slot slot);
/** The mark of a slot's damaged copy, NULL if it is whole. */
static inline struct damage *
damage_find(const struct eng_replica *r, struct decree_slot slot)
{
	return r->damage.count == 0 ? NULL : damage_search(r, slot);
}
/** Marks of slots that are not decided yet: the others are over. */
uint32_t damage_count(const struct eng_replica *r);
/** This entry is not the last word of this node on its slot: something later may be lost. */
bool damage_covers(const struct eng_replica *r, const struct entry *e);
static inline bool
is_sound(const struct eng_replica *r, const struct entry *e)
{
	return (r->damage.count == 0 && !r->damage.doubt) || !damage_covers(r, e);
}
/** The copy is replaced: by a decision, an Accept, or what was lost. */
void damage_clear(struct eng_replica *r, struct decree_slot slot);
struct eng_promise_entry damage_promise_entry(const struct eng_replica *r, struct decree_slot slot);
void on_recover_faulty_id(struct eng_replica *r, const struct eng_event *ev);
void on_recover_faulty_unknown(struct eng_replica *r, const struct eng_event *ev);
/** A mark that an earlier life wrote. */
void damage_recover_mark(struct eng_replica *r, const struct eng_record *record);
/** An intact record that follows; it may replace a damaged one. */
void damage_recover_record(struct eng_replica *r, const struct eng_record *record);
/** A record that follows says that all up to @p commit was decided when it was appended. */
void damage_recover_commit(struct eng_replica *r, struct decree_slot commit);
/** The same while this node runs: nothing is left of this vote. @param vballot  0 = unknown */
void damage_found(struct eng_replica *r, struct decree_slot slot, struct decree_ballot vballot,
	struct decree_digest digest);
/** Recovery is over: write the marks, and begin to repair. */
void damage_start(struct eng_replica *r, struct eng_effects *fx);
/** Append what marks are not in the log yet, as far as there is room. */
void damage_write(struct eng_replica *r, struct eng_effects *fx);
/** Every mark, and whether there is doubt, is durable: phase 1 may be answered. */
bool damage_is_durable(const struct eng_replica *r);
void damage_tick(struct eng_replica *r, struct eng_effects *fx);
/** A peer shows an accepted value: it may be one that is lost here. */
void damage_repair(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);

/** Doubt ends when everything that may be lost is decided: peers tell how far that is (11.3). */
void damage_note_peer(struct eng_replica *r, uint32_t member, const struct eng_msg *m);

/* ---- rewrite.c ---- */
void on_log_damaged(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
/** Append what is in the ring and waits for room. */
void rewrite_flush(struct eng_replica *r, struct eng_effects *fx);
void rewrite_on_persisted(struct eng_replica *r);
void rewrite_tick(struct eng_replica *r, struct eng_effects *fx);
/** A sound answer about a slot that is decided here: its value may be wanted. */
void rewrite_learn(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);

/* ---- guard.c ---- */
void guard_start(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
/** Does a message of this node count? If its life is new to us, it is challenged first. */
bool guard_admits(
	struct eng_replica *r, uint32_t member, const struct eng_msg *m, struct eng_effects *fx);
/** Challenge these nodes, as they are known. */
void guard_ask(struct eng_replica *r, uint16_t members, struct eng_effects *fx);
void on_hello(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_hello_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** A node has said itself, durably, that it promised and accepted this. */
void guard_note(struct eng_replica *r, uint32_t member, struct decree_ballot promised,
	struct decree_slot accepted);
void guard_heartbeat(struct eng_replica *r, struct eng_msg *m, struct eng_effects *fx);
void guard_on_heartbeat(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);

/* ---- hearsay.c ---- */
/** What is remembered has changed in a way that must not be lost: keep it. */
void hearsay_keep(struct eng_replica *r, struct eng_effects *fx);
/** The same now and then, if there is anything new. */
void hearsay_look(struct eng_replica *r, struct eng_effects *fx);
/** Remember what an earlier life did. @param rows  [ENG_HEARSAY_BYTES], or NULL */
void hearsay_start(struct eng_replica *r, const uint8_t *rows);

/* ---- choice.c ---- */
void choices_forget(struct eng_replica *r);
/** One more fact about a slot, from a promise of that member. */
void choice_merge(struct eng_replica *r, struct decree_slot slot, const struct eng_promise_entry *e,
	uint32_t member, struct eng_effects *fx);
/** Somebody shows an accepted value: perhaps the one of a damaged copy. */
void choice_evidence(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** Every slot of the campaign has its value or its no-op, given whole promises of these members. If
 * not, everybody is asked. */
bool choices_are_settled(struct eng_replica *r, uint16_t promised, struct eng_effects *fx);

/* ---- acceptor.c ---- */
void on_prepare(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_accept(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void acceptor_on_persisted(struct eng_replica *r, struct eng_effects *fx);
void acceptor_flush(struct eng_replica *r, struct eng_effects *fx);
/** A full log takes one record all the same, since a quorum waits for this node. @return false: no */
bool reserve_take(struct eng_replica *r);
/** protocol 1.5: a round so far ahead that only damage or malice explains it. */
bool is_round_jump(const struct eng_replica *r, struct decree_ballot ballot);

/* ---- election.c ---- */
/** Are these members enough for phase 1? */
bool has_promises_of(const struct eng_replica *r, uint16_t members);
void on_prevote(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_prevote_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_promise(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_failure(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** Tell the sender that its ballot is beaten, and whether by a leader that is heard here (5.8,
 * 10.4). */
void ballot_refuse(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_leader_change(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void election_on_persisted(struct eng_replica *r, struct eng_effects *fx);
void election_tick(struct eng_replica *r, struct eng_effects *fx);
void election_start(struct eng_replica *r);
/** Prepare a ballot above everything seen; without PreVote where the caller has a reason. */
void campaign_prepare(struct eng_replica *r, struct eng_effects *fx);
/** Phase 1 may have become complete: something was promised or learned. */
void campaign_continue(struct eng_replica *r, struct eng_effects *fx);
/** A leader with this ballot is alive: follow it. */
void
follow(struct eng_replica *r, uint16_t leader, struct decree_ballot ballot, struct eng_effects *fx);
/** Give up a campaign or a leadership; stand again after @p wait_ns at the earliest. */
void step_down(struct eng_replica *r, uint64_t wait_ns, struct eng_effects *fx);
uint64_t election_timeout(struct eng_replica *r);

/** Nodes whose Promise for our ballot is whole. */
uint16_t promised_members(const struct eng_replica *r);
/** 5.5: what those promises call decided has been learned. */
bool has_learned_all(const struct eng_replica *r);
/** Ask for promises of our ballot for the slots from @p from on, from those that gave none yet. */
void prepare_more(struct eng_replica *r, struct decree_slot from, struct eng_effects *fx);

/* ---- leader.c ---- */
void leader_begin(struct eng_replica *r, struct eng_effects *fx);
void leader_check_ready(struct eng_replica *r, struct eng_effects *fx);
void leader_tick(struct eng_replica *r, struct eng_effects *fx);
void heartbeat_send(struct eng_replica *r, struct eng_effects *fx);
/** Somebody waits for what is chosen: the next flush tells it. */
void leader_announce_soon(struct eng_replica *r);
void leader_flush(struct eng_replica *r, bool log_is_idle, struct eng_effects *fx);
void on_heartbeat_echo(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** A value for an inherited slot arrived: propose it if it is the one that phase 1 chose. */
void leader_inherit_value(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
uint64_t leader_wake_at(const struct eng_replica *r);
/** A member has no room in its log for our Accepts. */
void leader_on_busy(struct eng_replica *r, const struct eng_msg *m);
/** Leader: so many logs are full that nothing new can be chosen. */
bool leader_lacks_roomy_quorum(const struct eng_replica *r);
/** This member echoed a heartbeat that was sent within T; a leader always hears itself. */
bool leader_hears(const struct eng_replica *r, uint32_t member);
/** @return the member that answers and has most of the log, -1 = none does */
int32_t leader_best_peer(const struct eng_replica *r);

/* ---- audit.c ---- */
void on_digest(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_cut(struct eng_replica *r);
/** A follower's echo may ask for a cut. */
void audit_on_echo(struct eng_replica *r, const struct eng_msg *m);
void on_state_digest(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** A MARK is decided, not applied yet. */
void audit_on_chosen(struct eng_replica *r, struct decree_slot slot, const struct eng_mark *mark);
/** A leadership begins. */
void audit_begin(struct eng_replica *r);
/** A ready leader proposes a MARK if one is due. */
void audit_flush(struct eng_replica *r, struct eng_effects *fx);
void audit_tick(struct eng_replica *r, struct eng_effects *fx);

/* ---- transfer.c ---- */
void on_transfer(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
/** Say TimeoutNow as soon as the successor has everything; give up after T. */
void transfer_continue(struct eng_replica *r, struct eng_effects *fx);
/** Ask a member to stand for election at once. */
void timeout_now_send(struct eng_replica *r, uint32_t member, struct eng_effects *fx);

/* ---- propose.c ---- */
/** Give a slot its value at our ballot; @p value may already stand in the ring. */
void leader_propose(struct eng_replica *r, struct decree_slot slot, const uint8_t *value,
	uint32_t bytes, struct eng_effects *fx);
/** A gap is filled: no time passes in it. */
void leader_propose_noop(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx);
/** The next slot, with nothing in it but the time. */
void leader_propose_tick(struct eng_replica *r, struct eng_effects *fx);
/** @return false if that is not possible now: a train is open, no room */
bool
leader_propose_mark(struct eng_replica *r, const struct eng_mark *mark, struct eng_effects *fx);
/** Propose the open batch, if there is one. */
void batch_seal(struct eng_replica *r, struct eng_effects *fx);
/** A command larger than a slot is under way, and whoever sends it has not gone silent. */
bool leader_has_train(struct eng_replica *r);
/** The window, the log and the configurations allow @p slots more. */
bool leader_has_room(const struct eng_replica *r, uint32_t slots);
/** ... and a quorum of logs has room for commands. */
bool leader_takes_commands(const struct eng_replica *r, uint32_t slots);
void on_submit(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_submit_run(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);

/* ---- stamp.c ---- */
/** Ready leader: cluster time now. */
uint64_t stamp_now(const struct eng_replica *r);
/** This node was away for @p away_ns, T or longer: none of that is cluster time. */
void stamp_leave_out(struct eng_replica *r, uint64_t away_ns);
/** A ready leader proposes a slot of nothing but time if the state machine's deadline has come. */
void due_flush(struct eng_replica *r, struct eng_effects *fx);
/** When it will, on this node's clock; NEVER = not as things are. */
uint64_t due_wake_at(const struct eng_replica *r);

/* ---- votes.c ---- */
void leader_on_persisted(struct eng_replica *r, struct eng_effects *fx);
void on_accepted(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** An answer of this peer is waited for as long as its round trips say, until something is sent
 * again. */
void votes_expect(struct peer *p);
/** Look for Accepts that were lost, and send them again. */
void retransmit(struct eng_replica *r, struct eng_effects *fx);
/** Something was sent, or heard, or somebody has come: look for lost Accepts a little later. */
void retransmit_soon(struct eng_replica *r);

/* ---- learner.c ---- */
void on_success(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_heartbeat(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_query(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_query_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
void on_value(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void learner_tick(struct eng_replica *r, struct eng_effects *fx);
/** The sender of (ballot, start, commit) leads and says what is chosen (7.1). */
void learn_commit(struct eng_replica *r, struct decree_ballot ballot, struct decree_slot start,
	struct decree_slot commit, struct eng_effects *fx);
/** A slot is decided with the value of its entry. */
void mark_decided(struct eng_replica *r, struct entry *e);
/** Move the decided prefix over everything decided; what it passes is applied. */
void advance_chosen(struct eng_replica *r, struct eng_effects *fx);
/** Answer with a decided slot, from the ring or (slot <= chosen) by way of the log. */
void
decided_send(struct eng_replica *r, struct decree_slot slot, uint16_t to, struct eng_effects *fx);
/** Ask a peer for decided slots soon. */
void learner_want(struct eng_replica *r, struct decree_slot commit, uint64_t at_ns);
/** What made the last questions fruitless is over. */
void learner_ask_anew(struct eng_replica *r);

/* ---- membership.c ---- */

/* The nodes of a bitmap, one a turn:
 * for (uint16_t set = r->targets; set != 0; set = set_rest(set)) */
static inline uint32_t
set_first(uint16_t set)
{
	return (uint32_t)__builtin_ctz(set);
}

static inline uint16_t
set_rest(uint16_t set)
{
	return set & (uint16_t)(set - 1);
}

static inline uint16_t
set_of(uint32_t index)
{
	return (uint16_t)(1u << index);
}

/** Nobody else takes part. */
static inline bool
is_alone(const struct eng_replica *r)
{
	return r->targets == 0;
}

/** The configuration that governs a slot beyond the decided prefix, at most alpha beyond. */
static inline const struct config *
config_governing(const struct eng_replica *r, struct decree_slot slot)
{
	return slot.n < r->config_next.from.n ? &r->config : &r->config_next;
}

/** Are there @p quorum voters of this configuration among the nodes of @p set? */
static inline bool
is_quorum(uint16_t set, const struct config *c, uint32_t quorum)
{
	uint32_t count = 0;

	/* A few bits, and a CPU of which nothing is assumed: __builtin_popcount() would be a call. */
	for (uint32_t left = set & c->voters; left != 0; left &= left - 1)
		count++;
	return count >= quorum;
}

/** @p set holds a phase 1 quorum, or a phase 2 quorum, of every configuration that is open or
 * proposed: for elections, CheckQuorum and read-index (12.3). Any set that has_q2_everywhere()
 * meets every q1. */
bool has_q1_everywhere(const struct eng_replica *r, uint16_t set);
bool has_q2_everywhere(const struct eng_replica *r, uint16_t set);
/** @p set has a node in common with every phase 1 quorum of every configuration that is open. */
bool meets_every_q1(const struct eng_replica *r, uint16_t set);

/** The table of nodes and the configuration as the INI file has them. */
void membership_init(struct eng_replica *r);
/** Configurations known from elsewhere, a snapshot say, take the place of what was known. */
void membership_restore(
	struct eng_replica *r, const struct eng_configs *configs, struct eng_effects *fx);
/** A configuration was decided; may halt the node (12.0, 12.5). */
void membership_decided(struct eng_replica *r, struct decree_slot slot,
	const struct eng_membership *m, struct eng_effects *fx);
/** The decided prefix has reached the next configuration. */
void membership_switch(struct eng_replica *r, struct eng_effects *fx);
/** A node that we have never heard of, but whose configuration is newer than ours: room for it in
 * the table.
 * @return its index, -1 if we do not want to know it */
int32_t peer_admit(struct eng_replica *r, const struct eng_msg *m);
/** A frame of a node that has no place in the table: one whose id was given out once is told that it
 * is out. */
void membership_on_stranger(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);
/** Frames of strangers, and of disks that the cluster does not know: turned away. */
bool is_known_sender(
	struct eng_replica *r, uint32_t index, const struct eng_msg *m, struct eng_effects *fx);
/** May the sender ask for votes? Otherwise it is turned away. */
bool may_campaign(
	struct eng_replica *r, uint32_t index, const struct eng_msg *m, struct eng_effects *fx);
/** This node votes, as far as it knows. */
bool is_voter(const struct eng_replica *r);
/** This node was a member and is no more. */
bool is_removed(const struct eng_replica *r);
/** Somebody says that we are no member; halts when a quorum does. */
void membership_on_refusal(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);

/* ---- change.c: the leader's part of a change ---- */
void membership_begin(struct eng_replica *r, struct eng_effects *fx);
void membership_proposed(struct eng_replica *r, struct decree_slot slot);
void membership_flush(struct eng_replica *r, struct eng_effects *fx);
void membership_tick(struct eng_replica *r, struct eng_effects *fx);
/** A configuration was decided or governs now: what may we propose? */
void membership_limit(struct eng_replica *r, struct eng_effects *fx);
/** One more node has promised our ballot for the slots beyond the limit. */
void membership_promised(struct eng_replica *r, const struct peer *p, struct eng_effects *fx);
void on_member(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);

/* Shared by the two. */
void config_set(struct eng_replica *r, struct config *ret_config, const struct eng_governor *g);
void targets_update(struct eng_replica *r);
/** The nodes that left with the last configuration are strangers from now on. */
void lingering_forget(struct eng_replica *r);

/* ---- compaction.c ---- */
void on_recover_snapshot(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_snapshot(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_snapshot_install(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void
on_snapshot_installed(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx);
void on_trim(struct eng_replica *r, const struct eng_event *ev);
void compaction_on_persisted(struct eng_replica *r);
/** This peer has a snapshot of what we miss, and nobody may have the slots any more. */
void fetch_want(struct eng_replica *r, uint16_t from, struct eng_effects *fx);
/** 9.3: we do not hold what this message asks about, but we have a snapshot. */
void compacted_send(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx);

/* ---- bootstrap.c ---- */
/** The configuration that a new cluster's first leader proposes in slot 1; every member was heard. */
uint32_t bootstrap_value(const struct eng_replica *r, uint8_t *value);
/** Does a decided configuration agree with what this node was started with? */
bool bootstrap_agrees(const struct eng_replica *r, const struct eng_membership *m);

#endif
