/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-pressure of the log: an append never comes short, and what needs no append never waits.
 *
 * Before each event the loop asks whether the log's buffer and the group's ring of persists can take what the
 * event usually appends: one record or none. A replica that has just won an election, and proposes what it
 * inherited, would fill a whole step; it is told how much room there is, and goes on in the next turn. So
 * while the disk stalls:
 *
 *   - commands and Accepts stay where they are, in mailboxes and in the network's queues;
 *   - after PATIENCE_NS frames are taken all the same, so that a heartbeat behind them gets through:
 *     Accepts among them are dropped, and the leader repeats them;
 *   - heartbeats, echoes and votes go on. A stalled disk is judged by disk_stall_ns, not by silence.
 *
 * A log that is full for good is told to the core LOG_SPACE_RESERVE records early. The core then takes no
 * more commands and Accepts; the reserve is for what elections write. Hard states are no records: heartbeats,
 * promises and elections go on in a log without any room.
 */
#include "engine/runtime/shard_private.h"

#define PATIENCE_NS (5 * 1000 * 1000ull) /* a quarter of a heartbeat */

/* Kept for ticks when messages are turned away, and for messages when a flush is. */
#define RESERVE_TICK    4
#define RESERVE_MESSAGE 8
#define RESERVE_ACCEPT  32

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

/* Whether the group's own events (tick, persisted, flush) may happen now. A buffer without room drains; a
 * log without room stays as it is, and the group must live with it. */
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

/* At the start of a turn. */
void
room_look(struct shard *s)
{
	struct log_room room = s->config.log_ops->room(s->log);

	s->room_left = room.buffer_record_count;
	s->space_left = room.space_record_count;
	s->space_max = room.space_record_count_max;
	if (room_for_burst(s))
		s->patient_until_ns = s->now_ns + PATIENCE_NS;
	else
		s->counters.turns_no_room++;
	if (s->space_left <= LOG_SPACE_RESERVE && !s->has_told_full) {
		s->has_told_full = true;
		shard_note(s, DECREE_LOG_WARNING,
			"the log is full: no more commands are accepted until a snapshot makes "
			"room");
	} else if (s->space_left > 2 * LOG_SPACE_RESERVE && s->has_told_full) {
		s->has_told_full = false;
		shard_note(s, DECREE_LOG_NOTICE, "the log has room again");
	}
}

bool
room_is_patience_over(const struct shard *s)
{
	return s->now_ns >= s->patient_until_ns;
}
