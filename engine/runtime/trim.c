/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the log: what a snapshot holds may be forgotten (protocol 9.2). Records go only while
 * the log is more than half full, so that a slow peer finds as many as possible.
 *
 * The log knows positions and not slots. So now and then it is noted that every record of a slot
 * above this one comes at that lsn or later; the log is cut at the newest note that the snapshot
 * covers. Of several groups in one log, the one that needs most of it decides.
 */
#include "base/failpoint.h"
#include "engine/runtime/shard_private.h"

static uint64_t
note_last(const struct snapshot_group *n)
{
	return n->note_after == n->note_first
		       ? n->trimmed.slot.n
		       : n->notes[(n->note_after - 1) % TRIM_NOTE_COUNT].slot.n;
}

/* Every record of a slot above slot_max will come at this lsn or later. */
static void
note_add(struct shard_group *g, uint64_t lsn)
{
	struct snapshot_group *n = &g->snap;

	if (n->note_after - n->note_first == TRIM_NOTE_COUNT)
		for (uint64_t i = 0; i < TRIM_NOTE_COUNT / 2; i++, n->note_after--)
			n->notes[(n->note_first + i) % TRIM_NOTE_COUNT] =
				n->notes[(n->note_first + 2 * i + 1) % TRIM_NOTE_COUNT];
	n->notes[n->note_after++ % TRIM_NOTE_COUNT] =
		(struct trim_note){ .slot = { g->index.slot_max }, .lsn = lsn };
}

void
trim_note(struct shard_group *g, struct decree_slot slot, uint64_t lsn)
{
	if (slot.n > g->index.slot_max &&
		g->index.slot_max >= note_last(&g->snap) + TRIM_NOTE_SLOTS)
		note_add(g, lsn);
}

void
trim_note_end(const struct shard *s, struct shard_group *g)
{
	if (g->index.slot_max > note_last(&g->snap))
		note_add(g, s->appended_lsn + 1);
}

/* In doubt a record of nobody knows which slot may lie there, and a start must find it, unless the
 * hard state tells of the doubt: that is all that can be made of the record (11.3). */
void
trim_note_here(const struct shard *s, struct shard_group *g)
{
	if (!eng_is_doubt_unwritten(g->replica))
		trim_note_end(s, g);
}

static uint64_t
note_last_lsn(const struct snapshot_group *n)
{
	return n->note_after == n->note_first ? n->trimmed.lsn
					      : n->notes[(n->note_after - 1) % TRIM_NOTE_COUNT].lsn;
}

void
trim_note_full(const struct shard *s, struct shard_group *g)
{
	struct snapshot_group *n = &g->snap;

	if (g->index.slot_max == 0 || g->index.slot_max < note_last(n) ||
		note_last_lsn(n) > s->appended_lsn || eng_is_doubt_unwritten(g->replica))
		return;
	if (n->note_after != n->note_first && note_last(n) == g->index.slot_max)
		n->notes[(n->note_after - 1) % TRIM_NOTE_COUNT].lsn = s->appended_lsn + 1;
	else
		note_add(g, s->appended_lsn + 1);
}

uint64_t
trim_records_next(const struct shard_group *g)
{
	return note_last_lsn(&g->snap) - g->snap.trimmed.lsn;
}

/* In a log of a few MiB the reserve alone is more than half. What is not prepared yet is not used
 * either: else a new log would be cut again and again for the minutes that its preparation
 * takes. */
bool
trim_is_wanted(const struct shard *s)
{
	uint64_t space = s->space_left + s->space_unprepared;

	return space < s->space_max / 2 || space < 2 * LOG_SPACE_RESERVE;
}

/* One step further: the oldest note that the snapshot covers. */
static bool
trim_step(struct shard *s, struct shard_group *g)
{
	struct snapshot_group *n = &g->snap;
	struct trim_note *note = &n->notes[n->note_first % TRIM_NOTE_COUNT];
	struct eng_event event = { .type = ENG_EV_TRIM, .now_ns = s->now_ns };

	if (n->note_first == n->note_after || note->slot.n > n->kept.slot.n || !room_for_turn(s, g))
		return false;
	n->trimmed = *note;
	n->note_first++;
	event.trim.low.n = n->trimmed.slot.n + 1;
	shard_step(s, g, &event);
	FAILPOINT("runtime.trim.stepped");
	g->index.slot_min = event.trim.low.n;
	s->counters.trims++;
	return true;
}

/* A hole of which nobody knows what it held is no group's more than another's, and goes with what
 * lies around it. Until the hard state says that there was one, only the hole does (11.3). */
static bool
is_hole_needed(const struct shard *s)
{
	for (uint32_t i = 0; i < s->config.group_count; i++)
		if (eng_is_doubt_unwritten(s->groups[i].replica))
			return true;
	return false;
}

/* The log goes as far as every group lets it go. */
void
trim_turn(struct shard *s)
{
	uint64_t lsn = UINT64_MAX;
	bool has_moved = false;

	if (is_hole_needed(s))
		return;
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[i];

		has_moved |= trim_step(s, g);
		if (g->index.slot_max > 0) /* else it has no record here */
			lsn = min_u64(lsn, g->snap.trimmed.lsn);
	}
	if (has_moved && lsn > 0 && s->stop == SHARD_RUNS)
		s->config.log_ops->trim(s->log, lsn);
}
