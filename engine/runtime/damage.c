/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that the log found damaged while it runs (protocol 11.8): what is lost, who shall write
 * it again, and what the operator hears of it.
 *
 *   the record has a name     its slot is handed to the core, unless the index knows a newer record
 *                             of it elsewhere, or a snapshot holds it
 *   it has none               all slots whose newest record lay in the hole are handed over, a few
 *                             in each turn
 *   the slot is an old one    a snapshot is wanted, too: the next recovery walks from the damage to
 *                             the new record, and keeps no more slots on the way than the core has
 *                             memory for
 *
 * The log tells of its damage again each time that it has read itself, so whatever finds no room
 * here is not lost.
 */
#include "engine/core/record.h"
#include "engine/runtime/shard_private.h"

#define SLOTS_PER_TURN 1024
#define LINE_COUNT     8
#define LINE_PAUSE_NS  (60 * 1000 * 1000 * 1000ull)
#define NAMELESS       "nothing on the disk says which ones"

/* Whole segments may be gone: a few lines a minute, the status has the number. */
static bool
may_tell(struct shard *s)
{
	struct shard_damage *d = &s->damage;

	if (s->now_ns >= d->quiet_until_ns) {
		d->quiet_until_ns = s->now_ns + LINE_PAUSE_NS;
		d->line_count = 0;
	}
	return ++d->line_count <= LINE_COUNT;
}

static uint32_t
damaged_count(const struct shard_group *g)
{
	struct eng_status now;

	eng_status(g->replica, &now);
	return now.damaged;
}

static void
tell(struct shard *s, const struct shard_group *g, struct decree_slot slot, uint64_t lsn)
{
	if (!may_tell(s))
		return;
	shard_note(s, g, NOTE_LOG_DAMAGED,
		"group %u: log record %llu (slot %llu) cannot be read any more: it is written "
		"again. Look after the disk",
		g->config.group, (unsigned long long)lsn, (unsigned long long)slot.n);
}

static void
hand_over(struct shard *s, struct shard_group *g, struct eng_event *event, uint64_t lsn)
{
	struct decree_slot slot = event->log_damaged.slot;
	uint32_t before = damaged_count(g);

	if (slot.n <= g->snap.kept.slot.n || !room_for_turn(s, g))
		return;
	event->type = ENG_EV_LOG_DAMAGED;
	event->now_ns = s->now_ns;
	shard_step(s, g, event);
	if (s->stop == SHARD_RUNS && damaged_count(g) > before) {
		s->damage.group_count += !g->is_damaged;
		g->is_damaged = true;
		tell(s, g, slot, lsn);
	}
	if (!event->log_damaged.is_mark && slot.n + g->config.ring_slots / 2 <= g->applied.n &&
		g->snap.lost.n < slot.n)
		g->snap.lost = slot;
}

static void
on_named(struct shard *s, const struct log_completion *c)
{
	struct eng_record record;
	struct eng_event event = { 0 };

	if (eng_record_decode(c->tag, &record) != 0)
		return;
	struct shard_group *g = shard_find_group(s, record.group);
	if (g == NULL)
		return;
	event.log_damaged.is_mark = record.kind == ENG_RECORD_FAULTY;
	event.log_damaged.slot = record.slot;
	event.log_damaged.vballot = record.vballot;
	event.log_damaged.digest = record.digest;
	if (!event.log_damaged.is_mark &&
		index_get(&s->index_pool, &g->index, record.slot) >= c->after)
		return; /* a newer one took its place */
	hand_over(s, g, &event, c->lsn);
}

/* Each hole is told once. */
static bool
is_known(struct shard_damage *d, uint64_t position)
{
	for (uint32_t i = 0; i < HOLE_COUNT_MAX; i++)
		if (d->told[i] == position)
			return true;
	d->told[d->told_count++ % HOLE_COUNT_MAX] = position;
	return false;
}

static void
on_nameless(struct shard *s, const struct log_completion *c)
{
	struct shard_damage *d = &s->damage;

	if (d->hole_after != 0)
		return;
	d->hole_first = c->position;
	d->hole_after = c->after;
	d->hole_lsn = c->lsn;
	d->group = 0;
	d->slot.n = 0;
	if (!is_known(d, c->position) && may_tell(s))
		shard_note(s, NULL, NOTE_LOG_DAMAGED,
			"log records up to %llu cannot be read any more, and " NAMELESS
			": what memory knows of them is written again. Look after the disk. A "
			"restart before the log was cut behind them makes this node catch up "
			"before it votes",
			(unsigned long long)c->lsn);
}

void
damage_on_completion(struct shard *s, const struct log_completion *c)
{
	if (!s->has_started)
		return; /* it is told again in the next round */
	if (c->tag != NULL)
		on_named(s, c);
	else
		on_nameless(s, c);
}

static void
search_hole(struct shard *s)
{
	struct shard_damage *d = &s->damage;

	for (uint32_t i = 0; i < SLOTS_PER_TURN && d->group < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[d->group];
		uint64_t position;

		if (d->slot.n <= g->snap.kept.slot.n)
			d->slot.n = g->snap.kept.slot.n + 1;
		if (d->slot.n > g->index.slot_max) {
			d->group++;
			d->slot.n = 0;
			continue;
		}
		position = index_get(&s->index_pool, &g->index, d->slot);
		if (position >= d->hole_first && position < d->hole_after) {
			struct eng_event event = { .log_damaged = { .slot = d->slot } };

			hand_over(s, g, &event, d->hole_lsn);
			if (s->stop != SHARD_RUNS)
				return;
		}
		d->slot.n++;
	}
	if (d->group == s->config.group_count)
		d->hole_after = 0;
	s->did_work = true;
}

static void
tell_repaired(struct shard *s)
{
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[i];

		if (!g->is_damaged || damaged_count(g) > 0)
			continue;
		g->is_damaged = false;
		s->damage.group_count--;
		shard_note(s, g, NOTE_LOG_REPAIRED,
			"group %u: every damaged log record is written again, or covered by a "
			"snapshot",
			g->config.group);
	}
}

void
damage_turn(struct shard *s)
{
	if (s->damage.hole_after != 0)
		search_hole(s);
	if (s->damage.group_count > 0)
		tell_repaired(s);
}
