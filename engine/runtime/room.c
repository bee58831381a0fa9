/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-pressure of the log: an append never comes short, and what needs no append never waits.
 *
 * Before each event the loop asks whether the log's buffer and the group's ring of persists can
 * take what the event usually appends: one record or none. A replica that has just won an election,
 * and proposes what it inherited, would fill a whole step; it is told how much room there is, and
 * goes on in the next turn. So while the disk stalls:
 *
 *   - commands and Accepts stay where they are, in mailboxes and in the network's queues;
 *   - after PATIENCE_NS frames are taken all the same, so that a heartbeat behind them gets
 *     through: Accepts among them are dropped, and the leader repeats them;
 *   - heartbeats, echoes and votes go on. A stalled disk is judged by disk_stall_ns, not by
 *     silence.
 *
 * A log that is full for good is told to the core LOG_SPACE_RESERVE records early. The core then
 * takes no more commands and Accepts. Half of the reserve is for what elections write, and half for
 * what makes room again where no quorum has any: the MARKs of a cut, and what stands before them.
 * Hard states are no records: heartbeats, promises and elections go on in a log without any room.
 *
 * The medium of the snapshots may be full, too, and below its reserve (11.7). The log would be
 * next, as no snapshot lets go of it any more. So the core is told of a log that is full for
 * commands, and for nothing else; and a leader asks the next voter in the order of the ids to take
 * over: there may be space. So leadership comes to each in turn. If there is none anywhere, each
 * has led once, and whoever leads then says BUSY; somebody else may have got space since, so after
 * AGAIN_ELECTIONS it goes round once more. A transfer that has come to nothing does not count, and
 * the next voter is asked: in the first round at once, then later and later, since while somebody
 * is asked nothing is proposed, not even what the others' snapshots need. So does a leader the log
 * of which has no room even for the MARKs of a cut but in the reserve: others may take commands while
 * the snapshot is made. But once only: elections have used it up, and more of them would not give it
 * back.
 */
#include "engine/runtime/shard_private.h"

#define PATIENCE_NS        (5 * 1000 * 1000ull) /* a quarter of a heartbeat */
#define AGAIN_ELECTIONS    20
#define VAIN_DOUBLINGS_MAX 3

/* Kept for ticks when messages are turned away, and for messages when a flush is. */
#define RESERVE_TICK    4
#define RESERVE_MESSAGE 8
#define RESERVE_ACCEPT  32

#define MARK_COUNT 2 /* of one cut: where, and then what the state was there */

/* Room for that many records, and for a hard state. */
bool
room_for(const struct shard *s, const struct shard_group *g, uint32_t records)
{
	return s->room_left >= records &&
	       g->persists.appended - g->persists.durable + 2 * (records + 1) <= PERSIST_RING_COUNT;
}

/* What the next event of this group may append at most. */
uint32_t
room_of(const struct shard *s, const struct shard_group *g)
{
	uint32_t ring =
		(uint32_t)(PERSIST_RING_COUNT - (g->persists.appended - g->persists.durable)) / 2;

	return min_u32(s->room_left, ring > 0 ? ring - 1 : 0);
}

uint32_t
room_message_needs(const struct eng_msg *m)
{
	switch (m->type) {
	case ENG_MSG_ACCEPT: return RESERVE_ACCEPT;
	case ENG_MSG_PREVOTE:
	case ENG_MSG_PREVOTE_REPLY:
	case ENG_MSG_PREPARE:
	case ENG_MSG_PROMISE:
	case ENG_MSG_HEARTBEAT:
	case ENG_MSG_HEARTBEAT_ECHO:
	case ENG_MSG_HELLO:
	case ENG_MSG_HELLO_REPLY:
	case ENG_MSG_FAILURE:
	case ENG_MSG_LEADER_CHANGE: return 0; /* a hard state at most */
	default: return RESERVE_MESSAGE;
	}
}

/* Whether the group's own events (tick, persisted, flush) may happen now. A buffer without room
 * drains; a log without room stays as it is, and the group must live with it. */
bool
room_for_turn(const struct shard *s, const struct shard_group *g)
{
	return room_for(s, g, s->space_left < RESERVE_TICK ? 0 : RESERVE_TICK);
}

bool
room_for_burst(const struct shard *s)
{
	for (uint32_t i = 0; i < s->config.group_count; i++)
		if (!room_for(s, &s->groups[i], ROOM_BURST))
			return false;
	return true;
}

/* Whether this node should not lead: nothing that it leads makes room any more. */
static void
fitness_look(struct shard *s)
{
	bool is_stuck = s->config.snap_ops != NULL && s->space_unprepared == 0 &&
			s->space_left < LOG_SPACE_RESERVE + MARK_COUNT;
	bool is_unfit = s->is_space_low || is_stuck;

	if (is_unfit == s->is_unfit)
		return;
	s->is_unfit = is_unfit;
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		s->groups[i].has_handed_over = false;
		s->groups[i].handed_to = 0;
		s->groups[i].handed_in_vain = 0;
	}
}

static void
space_look(struct shard *s)
{
	bool is_low = s->config.snap_ops != NULL &&
		      s->config.snap_ops->is_space_low(s->config.snap_store);

	if (is_low == s->is_space_low)
		return;
	s->is_space_low = is_low;
	if (is_low)
		shard_note(s, NULL, NOTE_SPACE_LOW,
			"there is no space for snapshots: this node takes no commands, and lets "
			"another one lead, until there is");
	else
		shard_note(s, NULL, NOTE_SPACE, "there is space for snapshots again");
}

uint64_t
room_space_slots(const struct shard *s, const struct shard_group *g)
{
	uint64_t space = s->space_left > LOG_SPACE_RESERVE ? s->space_left - LOG_SPACE_RESERVE : 0;

	return s->is_space_low ? min_u64(space, g->config.window_slots) : space;
}

uint64_t
room_reserve_slots(const struct shard *s)
{
	uint64_t space = min_u64(s->space_left, LOG_SPACE_RESERVE);

	return space > LOG_SPACE_KEPT ? space - LOG_SPACE_KEPT : 0;
}

/* The next id above, or the lowest. @return 0 if this node is alone */
static uint16_t
node_behind(const struct shard_group *g, uint16_t id)
{
	uint16_t nodes[ENG_PEER_COUNT_MAX];
	uint32_t count = eng_targets(g->replica, nodes);
	uint16_t ret = 0;

	for (uint32_t i = 0; i < count; i++)
		if (ret == 0 || (uint16_t)(nodes[i] - id - 1) < (uint16_t)(ret - id - 1))
			ret = nodes[i];
	return ret;
}

/* How long after one voter was asked the next one is. A transfer takes T to fail. */
static uint64_t
ask_pause_ns(const struct shard_group *g)
{
	uint16_t nodes[ENG_PEER_COUNT_MAX];
	uint32_t count = eng_targets(g->replica, nodes);
	uint32_t rounds = count > 0 ? g->handed_in_vain / count : 0;

	return g->config.election_ns << min_u32(rounds, VAIN_DOUBLINGS_MAX);
}

/* The transfer is over, and we still lead, as we did. */
static bool
has_failed(const struct shard *s, const struct shard_group *g)
{
	struct eng_status now;

	if (s->now_ns < g->handed_ns + ask_pause_ns(g))
		return false; /* or it has, and nobody else is asked yet */
	eng_status(g->replica, &now);
	return now.role == DECREE_LEADER && now.transfer_to == 0 &&
	       now.ballot.n == g->handed_ballot.n;
}

/* Nobody had space, or whoever had it leads no more. It goes on with the next node: whoever was
 * asked last may have stood for election in vain, and would again. */
static void
hand_over_again(const struct shard *s, struct shard_group *g)
{
	if (!g->has_handed_over || !s->is_space_low ||
		s->now_ns < g->handed_ns + AGAIN_ELECTIONS * g->config.election_ns)
		return;
	g->has_handed_over = false;
	g->handed_in_vain = 0;
}

/* What the core keeps of it for what is under way, it keeps while it takes no commands. */
uint64_t
room_until_full(const struct shard *s, const struct shard_group *g)
{
	uint64_t space = s->space_left + s->space_unprepared;
	uint64_t kept = LOG_SPACE_RESERVE + 2ull * g->config.window_slots;

	return space > kept ? space - kept : 0;
}

static void
hand_over(struct shard *s, struct shard_group *g)
{
	enum eng_transfer_result result;
	struct eng_event event = {
		.type = ENG_EV_TRANSFER,
		.now_ns = s->now_ns,
		.transfer = { .ret_result = &result },
	};

	hand_over_again(s, g);
	if (g->status.role != DECREE_LEADER || s->stop != SHARD_RUNS || !room_for_turn(s, g) ||
		(g->has_handed_over && !has_failed(s, g)))
		return;
	g->handed_in_vain += g->has_handed_over;
	g->handed_to = node_behind(g, g->handed_to != 0 ? g->handed_to : s->node_id);
	if (g->handed_to == 0)
		return;
	event.transfer.to = g->handed_to;
	shard_step(s, g, &event);
	g->has_handed_over = result == ENG_TRANSFER_OK;
	g->handed_ballot = g->status.ballot;
	g->handed_ns = s->now_ns;
}

void
room_hand_over(struct shard *s)
{
	for (uint32_t i = 0; i < s->config.group_count && s->is_unfit; i++)
		hand_over(s, &s->groups[i]);
}

static void
full_tell(struct shard *s, bool is_full)
{
	if (is_full && !s->has_told_full && s->space_unprepared == 0) {
		s->has_told_full = true;
		shard_note(s, NULL, NOTE_LOG_FULL,
			"the log is full: no more commands are accepted until a snapshot makes "
			"room");
	} else if (!is_full && s->has_told_full && s->space_left > 2 * LOG_SPACE_RESERVE) {
		s->has_told_full = false;
		shard_note(s, NULL, NOTE_LOG_ROOM, "the log has room again");
	}
}

/* The core's own rule. A log of which not all was written once may be waiting for that, which is
 * soon over. */
static void
full_look(struct shard *s)
{
	uint64_t kept = LOG_SPACE_RESERVE + 2ull * s->groups[0].config.window_slots;
	bool is_full = s->space_left <= kept;

	if (is_full == s->is_log_full && is_full == s->has_told_full)
		return;
	s->counters.log_full += is_full && !s->is_log_full;
	s->is_log_full = is_full;
	full_tell(s, is_full);
}

/* At the start of a turn. */
void
room_look(struct shard *s)
{
	struct log_room room = s->config.log_ops->room(s->log);

	s->room_left = room.buffer_record_count;
	s->space_left = room.space_record_count;
	s->space_unprepared = room.space_record_count_unprepared;
	s->space_max = room.space_record_count_max;
	space_look(s);
	fitness_look(s);
	if (room_for_burst(s))
		s->patient_until_ns = s->now_ns + PATIENCE_NS;
	else
		s->counters.turns_no_room++;
	full_look(s);
}

bool
room_is_patience_over(const struct shard *s)
{
	return s->now_ns >= s->patient_until_ns;
}
