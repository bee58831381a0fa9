/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the log: slots that only a snapshot knows (protocol 9).
 *
 * Cutting back:  SNAPSHOT: the file of slot s is durable and verified -> the hard state points to it
 *                -> durable: records up to s may go -> TRIM says how far they do, and `low` rises
 * Catching up:   a peer answers COMPACTED -> the runtime fetches its snapshot and verifies it
 *                -> SNAPSHOT_INSTALL: the hard state points to it; nothing is applied from here on
 *                -> durable: the runtime gives it to the state machine -> SNAPSHOT_INSTALLED: go on behind it
 *
 * A crash before the pointer is durable finds the old state; after it, the snapshot, by
 * RECOVER_SNAPSHOT.
 *
 * What must not happen:
 *   - a slot below `low` counts as empty: it is decided, and whoever asks is told COMPACTED (9.3, E17)
 *   - a snapshot of another node brings a promise along: promised is this node's own word (9.4, E32)
 *   - the decided prefix goes back: a snapshot of what is known already is not installed
 */
#include "engine/core/replica.h"

void
fetch_want(struct eng_replica *r, uint16_t from, struct eng_effects *fx)
{
	if (r->role != DECREE_LEADER && r->snapshot.installing.n == 0)
		fx->fetch_from = from; /* a leader's slots are decided by its own quorum */
}

void
compacted_send(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	decree_assert(r->snapshot.durable.n + 1 >= r->low.n);

	failure_send(r, m, ENG_FAIL_COMPACTED, fx);
	fx->messages[fx->message_count - 1].failure.snapshot = r->snapshot.durable;
}

/* ---- the pointer ---- */

static void
pointer_persist(struct eng_replica *r, const struct eng_snapshot *s, struct eng_effects *fx)
{
	r->snapshot.slot = s->slot;
	r->snapshot.digest = s->digest;
	hard_persist(r, fx);
	r->snapshot.seq = r->persist_last;
}

void
compaction_on_persisted(struct eng_replica *r)
{
	if (r->persisted >= r->snapshot.seq)
		r->snapshot.durable = r->snapshot.slot;
}

void
on_snapshot(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	const struct eng_snapshot *s = ev->snapshot.snapshot;

	decree_assert(s->slot.n != 0);
	decree_assert(s->slot.n <= r->chosen.n);
	decree_assert(r->snapshot.installing.n == 0);

	if (s->slot.n > r->snapshot.slot.n)
		pointer_persist(r, s, fx);
}

void
on_trim(struct eng_replica *r, const struct eng_event *ev)
{
	decree_assert(ev->trim.low.n <= r->snapshot.durable.n + 1);

	if (r->low.n < ev->trim.low.n)
		r->low = ev->trim.low;
}

/* ---- from a snapshot on ---- */

/* Everything up to its slot is decided and applied, without values. What was accepted beyond stays. */
static void
jump(struct eng_replica *r, const struct eng_snapshot *s, struct eng_effects *fx)
{
	struct eng_configs configs;

	decree_assert(s->slot.n > r->chosen.n);

	r->chosen = s->slot;
	r->low = slot_next(s->slot);
	if (r->last.n < s->slot.n)
		r->last = s->slot;
	if (r->chosen_seen.n < s->slot.n)
		r->chosen_seen = s->slot;
	if (r->stamp_last_ns < s->stamp_ns)
		r->stamp_last_ns = s->stamp_ns;
	if (r->ack.after.n <= s->slot.n)
		r->ack.start = r->ack.after = slot_next(s->slot);
	eng_configs_init(&configs);
	for (uint32_t i = 0; i < s->config_count; i++)
		eng_configs_restore(&configs, s->configs[i].slot, &s->configs[i].members);
	membership_restore(r, &configs, fx);
}

void
on_recover_snapshot(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	const struct eng_snapshot *s = ev->snapshot.snapshot;

	decree_assert(r->chosen.n == 0);
	decree_assert(s->slot.n == r->snapshot.durable.n);
	jump(r, s, fx);
}

void
on_snapshot_install(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	const struct eng_snapshot *s = ev->snapshot.snapshot;

	if (s->slot.n <= r->chosen.n || r->role == DECREE_LEADER || r->snapshot.installing.n != 0)
		return; /* caught up meanwhile: eng_status() says that nothing is being installed */
	if (r->campaign != CAMPAIGN_NONE)
		step_down(r, 0, fx);
	r->snapshot.installing = s->slot;
	r->query_ns = NEVER;
	pointer_persist(r, s, fx);
}

void
on_snapshot_installed(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	const struct eng_snapshot *s = ev->snapshot.snapshot;

	decree_assert(s->slot.n == r->snapshot.installing.n);
	decree_assert(s->slot.n == r->snapshot.durable.n);

	r->snapshot.installing.n = 0;
	r->audit.cut_asked = false; /* here is one; whoever needs a newer one says so again */
	jump(r, s, fx);
	if (r->halt != ENG_HALT_NONE)
		return;
	advance_chosen(r, fx);
	learner_ask_anew(r);
}
