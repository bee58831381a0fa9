/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the own state (protocol 9.2).
 *
 *   1. somebody wants one: the log is more than half full, so many slots have passed, an operator
 *      asks. The leader is told (ENG_EV_CUT) and puts a MARK into the log
 *   2. the MARK is applied, on every node at the same slot: the state machine and the session table
 *      are frozen, and the walk begins (snapshot_walk.c), at a bounded rate; faster where the log
 *      would be full before its end
 *   3. the file is durable and read back, a later MARK carries the digest of that state, and a
 *      majority of the voters has said the same digest: only then does the hard state point to it.
 *      The MARK alone is no more than its leader's word. A state that has diverged never takes the
 *      place of the log, the leader's neither
 *   4. the pointer is durable: older snapshots are forgotten, and records up to there may go
 *      (trim.c)
 *
 * What may fail, and where it ends:
 *   - the disk is full, a write fails, the machine gives no chunk: the cut is given up, the older
 *     snapshot stays, the log fills up a little more; another one is wanted after a pause
 *   - the next MARK comes before the walk is over: that one is left out here; the others have it
 *   - the walk is over and no MARK ever names it: the next cut takes its place
 *   - no majority agrees, since it is down or has another state: the cut waits, the next one takes
 *     its place
 */
#include "base/failpoint.h"
#include "engine/runtime/shard_private.h"

#define TICK_NS      (5 * 1000 * 1000ull)
#define RETRY_CUT_NS (1000 * 1000 * 1000ull)
#define AGREE_NS     (1000 * 1000 * 1000ull)
#define ROOM_LOOK_NS (500 * 1000ull) /* a seventh of what the store holds at the default rate */

/* Each attempt costs two MARKs, and a full log has room for a few hundred: at 32 s apart they last
 * for hours. */
#define RETRY_CUT_SHIFT_MAX 5
#define REAP_COUNT          8

/* A cut for the log's sake pays only if it lets this many slots go, or, of a log that is full, this
 * many records: there may be many of few slots. */
#define CUT_SLOTS_MIN      (2 * TRIM_NOTE_SLOTS)
#define CUT_RECORDS_MIN    128
#define PINNED_RECORDS_MIN 1024

bool
snapshot_is_possible(const struct shard *s)
{
	const struct decree_machine_ops *ops = s->config.machine_ops;

	return s->config.snap_ops != NULL && ops->snapshot_begin != NULL &&
	       ops->snapshot_next != NULL && ops->snapshot_end != NULL &&
	       ops->restore_begin != NULL && ops->restore_next != NULL && ops->restore_end != NULL;
}

/* ------------------------------------------------------------------- beginning and ending a cut */

static bool
is_agreed(const struct shard_group *g)
{
	const struct snapshot_cut *cut = &g->snap.cut;

	return cut->is_agreed || eng_is_agreed(g->replica, cut->facts.slot, cut->facts.digest);
}

/* All is done, and a majority does not say the same, or not yet: another one may take its place. */
static bool
is_agreement_late(const struct shard *s, const struct shard_group *g)
{
	const struct snapshot_cut *cut = &g->snap.cut;

	return cut->state == CUT_ANCHORING && cut->agree_by_ns != 0 &&
	       s->now_ns >= cut->agree_by_ns && !is_agreed(g);
}

/* Nothing came of it, and each attempt costs two slots: the next one waits, each time longer. */
static void
cut_pause(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;

	cut->state = CUT_NONE;
	g->snap.is_told = false;
	if (cut->failed_behind.n != g->snap.kept.slot.n)
		cut->failures = 0;
	cut->failed_behind = g->snap.kept.slot;
	cut->retry_ns = s->now_ns + (RETRY_CUT_NS << min_u32(cut->failures++, RETRY_CUT_SHIFT_MAX));
}

void
cut_give_up(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;

	if (cut->state == CUT_WRITING) {
		s->config.machine_ops->snapshot_end(g->machine);
		eng_sessions_cut_end(g->sessions);
	}
	if (cut->state == CUT_WRITING || cut->state == CUT_COMMITTING)
		s->config.snap_ops->abort(s->config.snap_store, g->config.group);
	if (cut->state != CUT_NONE && cut->state != CUT_POINTING)
		s->counters.snapshots_failed++;
	cut_pause(s, g);
}

static void
cut_begin(struct shard *s, struct shard_group *g, struct decree_slot slot,
	struct decree_digest digest)
{
	struct snapshot_cut *cut = &g->snap.cut;
	uint8_t *piece = cut->piece;

	if (s->config.snap_ops->begin(s->config.snap_store, g->config.group, slot) != 0) {
		s->counters
			.snapshots_failed++; /* every writer is busy, perhaps with other groups: soon one is not */
		return;
	}
	if (s->config.machine_ops->snapshot_begin(g->machine) != 0) {
		s->config.snap_ops->abort(s->config.snap_store, g->config.group);
		s->counters.snapshots_failed++;
		cut_pause(s, g);
		return;
	}
	eng_sessions_cut_begin(g->sessions);
	FAILPOINT("snapshot.cut.begun");
	*cut = (struct snapshot_cut){
		.state = CUT_WRITING,
		.piece = piece,
		.failures = cut->failures,
		.failed_behind = cut->failed_behind,
	};
	cut->room_slots = room_until_full(s, g);
	eng_sessions_facts(g->sessions, &cut->facts);
	cut->facts.digest = digest;
	digest_stream_init(&cut->all);
	decree_assert(cut->facts.slot.n == slot.n);
	g->snap.is_asked = g->snap.is_told = false;
	trim_note_end(s, g);
}

void
snapshot_on_mark(struct shard *s, struct shard_group *g, struct decree_slot slot,
	struct decree_digest digest, const struct eng_mark *mark)
{
	struct snapshot_group *n = &g->snap;
	struct snapshot_cut *cut = &n->cut;

	if (mark->anchor.n != 0 && mark->anchor.n == n->kept.slot.n &&
		digest_eq(mark->digest, n->kept.digest) && n->kept.anchor.n == 0)
		n->kept.anchor = slot;
	if (cut->state != CUT_NONE && mark->anchor.n >= cut->facts.slot.n && cut->anchor.n == 0) {
		if (mark->anchor.n == cut->facts.slot.n &&
			digest_eq(mark->digest, cut->facts.digest))
			cut->anchor = slot;
		else
			cut_give_up(s, g); /* passed over; or our state is not the leader's (7.4) */
	}
	if (!mark->is_cut || !s->has_started || !snapshot_is_possible(s))
		return;
	if ((cut->state == CUT_ANCHORING && cut->anchor.n == 0) || is_agreement_late(s, g))
		cut_give_up(s, g); /* the newer one takes its place */
	if (cut->state == CUT_NONE && s->fetch.group != g)
		cut_begin(s, g, slot, digest);
}

/* ----------------------------------------------------------------- from the file to the pointer */

/* The log has no room for the slot that would name it. Then the majority's word must do, as that of
 * a donor does that has restarted (9.4); whoever has not heard it wants another cut. */
static bool
is_anchor_out_of_reach(const struct shard *s, const struct shard_group *g)
{
	return g->snap.cut.anchor.n == 0 && s->space_left <= LOG_SPACE_RESERVE;
}

/* The digests come while the walk goes on, and the core compares only the newest. */
static void
cut_note_agreement(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;

	if (cut->state == CUT_NONE)
		return;
	cut->is_agreed = is_agreed(g);
	if (cut->state == CUT_ANCHORING && cut->agree_by_ns == 0 &&
		(cut->anchor.n != 0 || is_anchor_out_of_reach(s, g)))
		cut->agree_by_ns =
			s->now_ns + (AGREE_NS << min_u32(cut->failures, RETRY_CUT_SHIFT_MAX));
}

/* A peer that fetches our snapshot would have to begin anew with the next one, for ever where they
 * come faster than it can fetch. So the next one waits for it, as long as the log can. */
static uint64_t
held_until_ns(const struct shard *s, const struct shard_group *g)
{
	uint64_t space = s->space_left + s->space_unprepared;

	if (g->snap.served_ns == 0 || s->space_max < LOG_SPACE_RESERVE ||
		space < LOG_SPACE_RESERVE + (s->space_max - LOG_SPACE_RESERVE) / 8)
		return 0;
	return g->snap.served_ns + g->config.election_ns;
}

/* Nothing is trimmed before this snapshot is there, and commands come meanwhile. It shall be there
 * when three quarters of the room that there was are used; what is left is for whatever goes slower
 * at the end. */
static void
cut_urge(struct shard *s, struct shard_group *g)
{
	const struct snapshot_cut *cut = &g->snap.cut;
	uint64_t left = room_until_full(s, g), may_use = cut->room_slots / 4 * 3;
	uint64_t used = left < cut->room_slots ? cut->room_slots - left : 0;

	s->config.snap_ops->urge(s->config.snap_store, g->config.group,
		used < may_use ? (uint32_t)(used * SNAP_URGE_MAX / may_use) : SNAP_URGE_MAX);
}

static void
cut_point(struct shard *s, struct shard_group *g)
{
	struct snapshot_cut *cut = &g->snap.cut;
	struct eng_event event = {
		.type = ENG_EV_SNAPSHOT,
		.now_ns = s->now_ns,
		.snapshot = { .snapshot = &cut->facts },
	};

	if ((cut->anchor.n == 0 && !is_anchor_out_of_reach(s, g)) || !cut->is_agreed)
		return;
	if (s->now_ns < held_until_ns(s, g) || !room_for_turn(s, g))
		return;
	FAILPOINT("snapshot.cut.agreed");
	cut->state = CUT_POINTING;
	shard_step(s, g, &event);
}

static void
cut_finish(struct shard *s, struct shard_group *g)
{
	struct snapshot_group *n = &g->snap;
	struct eng_status now;

	eng_status(g->replica, &now);
	if (now.snapshot.n < n->cut.facts.slot.n)
		return;
	n->kept = (struct snapshot_kept){
		.slot = n->cut.facts.slot,
		.bytes = n->cut.bytes,
		.anchor = n->cut.anchor,
		.digest = n->cut.facts.digest,
	};
	FAILPOINT("snapshot.cut.pointed_to");
	n->cut.state = CUT_NONE;
	s->counters.snapshots++;
	s->config.snap_ops->forget(s->config.snap_store, g->config.group, n->kept.slot);
	shard_note(s, g, NOTE_SNAPSHOT, "group %u: snapshot of slot %llu, %llu KiB",
		g->config.group, (unsigned long long)n->kept.slot.n,
		(unsigned long long)((n->kept.bytes + 1023) / 1024));
}

static void
cut_on_completion(struct shard *s, struct shard_group *g, const struct snap_completion *c)
{
	struct snapshot_cut *cut = &g->snap.cut;

	if (cut->facts.slot.n != c->slot.n ||
		(cut->state != CUT_WRITING && cut->state != CUT_COMMITTING))
		return;
	if (c->kind == SNAP_COMMITTED) {
		cut->state = CUT_ANCHORING;
		return;
	}
	shard_note(s, g, NOTE_SNAPSHOT_FAILED,
		"group %u: the snapshot of slot %llu was not written: %s", g->config.group,
		(unsigned long long)c->slot.n, c->text);
	if (cut->state == CUT_COMMITTING)
		cut->state = CUT_ANCHORING; /* its writer is gone: nothing to abort */
	cut_give_up(s, g);
}

static void
reap(struct shard *s)
{
	struct snap_completion done[REAP_COUNT];
	uint32_t count =
		s->config.snap_ops->reap(s->config.snap_store, s->now_ns, done, REAP_COUNT);

	for (uint32_t i = 0; i < count && s->stop == SHARD_RUNS; i++) {
		struct shard_group *g = shard_find_group(s, done[i].group);

		decree_assert(g != NULL);
		if (done[i].kind != SNAP_READ)
			cut_on_completion(s, g, &done[i]);
		transfer_on_completion(s, &done[i]);
	}
	s->did_work = s->did_work || count > 0;
}

/* ------------------------------------------------------------------------------ what is wanted */

bool
snapshot_ask(struct shard *s, struct shard_group *g)
{
	if (!snapshot_is_possible(s))
		return false;
	g->snap.is_asked = true;
	s->snap_tick_ns = s->now_ns;
	return true;
}

/* A group that says little keeps the log from being let go for the others' sake (13.3). */
static bool
is_pinning(const struct shard *s, const struct shard_group *g)
{
	return s->config.group_count > 1 &&
	       s->appended_lsn > g->snap.trimmed.lsn + PINNED_RECORDS_MIN;
}

static bool
does_pay(const struct shard *s, const struct shard_group *g, uint64_t slots)
{
	return slots >= CUT_SLOTS_MIN || is_pinning(s, g) ||
	       (s->is_log_full && trim_records_next(g) >= CUT_RECORDS_MIN);
}

/* Apart from the pause after one that failed. */
static bool
is_cut_due(const struct shard *s, const struct shard_group *g)
{
	const struct snapshot_group *n = &g->snap;
	uint64_t slots = g->applied.n - n->kept.slot.n;

	if (s->fetch.group == g || g->applied.n <= n->kept.slot.n ||
		(n->cut.state != CUT_NONE && !is_agreement_late(s, g)))
		return false;
	return n->is_asked || n->is_rotten || n->lost.n > n->kept.slot.n ||
	       (s->config.snapshot_slots != 0 && slots >= s->config.snapshot_slots) ||
	       (trim_is_wanted(s) && does_pay(s, g, slots));
}

/* 11.8: found now, and not at the next start. */
static void
look_at_kept(struct shard *s, struct shard_group *g)
{
	struct snapshot_group *n = &g->snap;
	bool was_rotten = n->is_rotten;

	n->is_rotten = n->kept.slot.n != 0 && s->config.snap_ops->is_damaged(s->config.snap_store,
						      g->config.group, n->kept.slot);
	if (n->is_rotten && !was_rotten)
		shard_note(s, g, NOTE_SNAPSHOT_DAMAGED,
			"group %u: the snapshot of slot %llu cannot be read any more, or is not "
			"what it was: another one takes its place. Look after the disk",
			g->config.group, (unsigned long long)n->kept.slot.n);
}

static void
tick(struct shard *s)
{
	s->snap_tick_ns = s->now_ns + TICK_NS;
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[i];
		struct eng_event event = { .type = ENG_EV_CUT, .now_ns = s->now_ns };

		look_at_kept(s, g);
		if (s->is_log_full)
			trim_note_full(s, g);
		if (!is_cut_due(s, g) || s->now_ns < g->snap.cut.retry_ns || !room_for_turn(s, g))
			continue;
		g->snap.is_told = true;
		shard_step(s, g, &event);
	}
}

void
snapshot_turn(struct shard *s)
{
	if (!snapshot_is_possible(s))
		return;
	reap(s);
	for (uint32_t i = 0; i < s->config.group_count && s->stop == SHARD_RUNS; i++) {
		struct shard_group *g = &s->groups[i];

		cut_note_agreement(s, g);
		if (g->snap.cut.state == CUT_WRITING || g->snap.cut.state == CUT_COMMITTING)
			cut_urge(s, g);
		switch (g->snap.cut.state) {
		case CUT_WRITING: cut_write(s, g); break;
		case CUT_ANCHORING: cut_point(s, g); break;
		case CUT_POINTING: cut_finish(s, g); break;
		case CUT_NONE:
		case CUT_COMMITTING: break;
		}
	}
	transfer_turn(s);
	if (trim_is_wanted(s))
		trim_turn(s);
	if (s->now_ns >= s->snap_tick_ns)
		tick(s);
}

/* When a cut that waits for its pointer goes on by itself. */
static uint64_t
point_at_ns(const struct shard *s, const struct shard_group *g)
{
	const struct snapshot_cut *cut = &g->snap.cut;

	if (cut->state != CUT_ANCHORING || cut->anchor.n == 0)
		return UINT64_MAX;
	if (is_agreed(g))
		return held_until_ns(s, g);
	return is_agreement_late(s, g) ? UINT64_MAX : cut->agree_by_ns;
}

static bool
has_room(const struct shard *s, const struct shard_group *g)
{
	return s->config.snap_ops->room(s->config.snap_store, g->config.group) > 0;
}

/* Whether a turn could do something that does not depend on a completion. */
static bool
is_unfinished(const struct shard *s)
{
	bool ret = s->fetch.state == FETCH_RESTORING && !s->fetch.is_reading;

	for (uint32_t i = 0; i < s->config.group_count; i++) {
		const struct snapshot_cut *cut = &s->groups[i].snap.cut;

		ret |= s->fetch.state == FETCH_NONE && s->groups[i].snap.wanted_from != 0;
		ret |= (cut->state == CUT_WRITING && has_room(s, &s->groups[i])) ||
		       s->now_ns >= point_at_ns(s, &s->groups[i]);
	}
	return ret;
}

uint64_t
snapshot_wake_at(const struct shard *s)
{
	if (!snapshot_is_possible(s))
		return UINT64_MAX;
	if (is_unfinished(s))
		return s->now_ns;
	/* What makes a cut due happens in turns that something else has woken. */
	uint64_t at = s->fetch.state == FETCH_NONE ? UINT64_MAX
						   : min_u64(s->snap_tick_ns, s->fetch.retry_ns);
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		const struct shard_group *g = &s->groups[i];

		/* The store makes room as it writes, and tells nobody. */
		if (g->snap.cut.state == CUT_WRITING)
			at = min_u64(at, s->now_ns + ROOM_LOOK_NS);
		if (is_cut_due(s, g) && !g->snap.is_told)
			at = min_u64(at, s->snap_tick_ns > g->snap.cut.retry_ns
						 ? s->snap_tick_ns
						 : g->snap.cut.retry_ns);
		at = min_u64(at, point_at_ns(s, g));
	}
	return at;
}
