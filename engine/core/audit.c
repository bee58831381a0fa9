/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do the replicas still have the same state? (protocol 7.4)
 *
 *   1. every `digest_slots` slots the leader proposes a MARK; whoever runs the replica tells us the
 *      digest of its state right after each MARK (ENG_EV_DIGEST)
 *   2. the next MARK names the one before, its anchor, and the digest that its leader had there
 *   3. at that MARK every replica says its own digest of the anchor to all (STATE_DIGEST)
 *   4. who differs from a majority halts; where no majority is possible any more, everybody halts;
 *      in both cases a heartbeat later, so that the others hear the digest that decided it
 *
 * A MARK that asks for a cut is where all replicas take their snapshot: the same slot everywhere,
 * and no train open. One more MARK follows as soon as it is applied, so that its digest is in the
 * log.
 *
 * What goes wrong, and where it ends:
 *   - digests are lost: who has not heard its own from a majority asks again, the sooner if
 *     somebody differs; the next MARK begins a new comparison, since a state that has diverged
 *     stays so
 *   - a replica is behind: it compares when it gets there; the newest comparisons are remembered
 *   - a member is down: the others are enough if they agree
 *   - the leader is the one that is wrong: its anchors are wrong, everybody else says so, it halts
 */
#include "engine/core/replica.h"

#include "base/digest.h"

/* ---- what this replica computed ---- */

static void
own_put(struct eng_replica *r, struct decree_slot slot, struct decree_digest digest)
{
	struct audit *a = &r->audit;

	a->own_last = (a->own_last + 1) % AUDIT_OWN_COUNT;
	a->own[a->own_last].slot = slot;
	a->own[a->own_last].digest = digest;
}

static const struct decree_digest *
own_find(const struct eng_replica *r, struct decree_slot slot)
{
	for (uint32_t i = 0; i < AUDIT_OWN_COUNT; i++)
		if (slot.n != 0 && r->audit.own[i].slot.n == slot.n)
			return &r->audit.own[i].digest;
	return NULL;
}

/* ---- comparisons ---- */

/* The comparison of a slot, begun if it is newer than the oldest one; NULL if it is not. */
static struct audit_round *
round_of(struct eng_replica *r, struct decree_slot slot)
{
	struct audit_round *oldest = &r->audit.rounds[0];

	for (uint32_t i = 0; i < AUDIT_ROUND_COUNT; i++) {
		struct audit_round *round = &r->audit.rounds[i];

		if (round->slot.n == slot.n)
			return round;
		if (round->slot.n < oldest->slot.n)
			oldest = round;
	}
	if (slot.n < oldest->slot.n)
		return NULL;
	*oldest = (struct audit_round){ .slot = slot };
	return oldest;
}

static void
round_put(struct audit_round *round, uint32_t member, struct decree_digest digest)
{
	round->reported |= set_of(member);
	round->digests[member] = digest;
}

static uint32_t
round_supporters(const struct audit_round *round, uint16_t voters, struct decree_digest digest)
{
	uint32_t count = 0;

	for (uint16_t rest = voters & round->reported; rest != 0; rest = set_rest(rest))
		if (digest_eq(round->digests[set_first(rest)], digest))
			count++;
	return count;
}

static void
digest_send(struct eng_replica *r, struct decree_slot slot, struct decree_digest digest,
	bool is_question, uint16_t to, struct eng_effects *fx)
{
	if (!r->started || r->targets == 0 || !fx_has_room(fx, 1, 0))
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_STATE_DIGEST, to, fx);
	m->state_digest.slot = slot;
	m->state_digest.digest = digest;
	m->state_digest.is_question = is_question;
}

/* Somebody has another digest: ask until a majority has spoken. */
static void
round_dispute(struct eng_replica *r, struct audit_round *round, struct eng_effects *fx)
{
	if (round->is_disputed || round->is_settled)
		return;
	round->is_disputed = true;
	digest_send(r, round->slot, round->digests[r->self], true, 0, fx);
	if (r->audit.verdict == ENG_HALT_NONE)
		r->audit.ask_ns = r->now_ns + r->cfg.heartbeat_ns;
}

/* Halt, but not before the others have heard our digest: what they conclude may depend on it. */
static void
condemn(struct eng_replica *r, enum eng_halt why)
{
	if (r->audit.verdict != ENG_HALT_NONE)
		return;
	r->audit.verdict = why;
	r->audit.ask_ns = r->now_ns + r->cfg.heartbeat_ns;
}

/* The largest number of voters that agree on one digest. */
static uint32_t
round_best(const struct audit_round *round, uint16_t voters)
{
	uint32_t best = 0;

	for (uint16_t rest = voters & round->reported; rest != 0; rest = set_rest(rest)) {
		uint32_t count = round_supporters(round, voters, round->digests[set_first(rest)]);

		best = best < count ? count : best;
	}
	return best;
}

static void
round_judge(struct eng_replica *r, struct audit_round *round)
{
	uint16_t voters = r->config.voters;
	uint32_t majority = (uint32_t)__builtin_popcount(voters) / 2 + 1;
	uint32_t silent = (uint32_t)__builtin_popcount(voters & (uint16_t)~round->reported);

	decree_assert(round->reported & set_of(r->self));
	uint32_t own = round_supporters(round, voters, round->digests[r->self]);
	uint32_t best = round_best(round, voters);
	if (own >= majority) {
		round->is_settled = true;
		round->is_disputed = false;
		if (r->audit.agreed.n < round->slot.n)
			r->audit.agreed = round->slot;
	} else if (best >= majority) {
		condemn(r, ENG_HALT_DIVERGED);
	} else if (best + silent < majority) {
		condemn(r, ENG_HALT_NO_AGREEMENT);
	}
}

/* We have said our digest, and no majority has said the same one. A snapshot may wait for it. */
static bool
round_is_open(const struct audit_round *round)
{
	return round->is_disputed || (round->is_said && !round->is_settled);
}

/* Once a slot is not compared any more, later ones speak for it: a state that has diverged stays
 * so. A node that is late finds peers that have forgotten their digests of then. */
bool
eng_is_agreed(const struct eng_replica *r, struct decree_slot slot, struct decree_digest digest)
{
	decree_assert(slot.n != 0);

	for (uint32_t i = 0; i < AUDIT_ROUND_COUNT; i++) {
		const struct audit_round *round = &r->audit.rounds[i];

		if (round->slot.n == slot.n)
			return round->is_settled && digest_eq(round->digests[r->self], digest);
	}
	return r->audit.agreed.n > slot.n;
}

/* ---- events ---- */

/* This replica has come to a MARK that names its anchor, and the digest that the MARK's leader had
 * there. */
static void
anchor_compare(struct eng_replica *r, const struct eng_mark *mark, struct eng_effects *fx)
{
	const struct decree_digest *own = own_find(r, mark->anchor);
	struct audit_round *round = round_of(r, mark->anchor);

	if (own == NULL || round == NULL)
		return; /* older than this life of the node, or than what is being compared */
	if (r->targets == 0 && !digest_eq(*own, mark->digest)) {
		/* Our own log says that we once had another state at this slot. */
		halt(r, ENG_HALT_NO_AGREEMENT, fx);
		return;
	}
	round_put(round, r->self, *own);
	if (!round->is_said) /* several MARKs on their way at once name the same anchor */
		digest_send(r, mark->anchor, *own, false, 0, fx);
	round->is_said = true;
	if (!digest_eq(*own, mark->digest))
		round_dispute(r, round, fx);
	round_judge(r, round);
	if (round_is_open(round) && r->audit.ask_ns == NEVER)
		r->audit.ask_ns = r->now_ns + r->cfg.election_ns / 4;
}

void
on_digest(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	const struct entry *e = entry_find(r, ev->digest.slot);
	struct eng_value v;

	decree_assert(ev->digest.slot.n <= r->chosen.n);

	own_put(r, ev->digest.slot, ev->digest.digest);
	if (r->audit.cut.n == ev->digest.slot.n && r->audit.anchored.n < r->audit.cut.n)
		r->audit.mark_wanted = true;
	if (e == NULL || eng_value_decode(value_place(r, e->slot), e->bytes, &v) != 0 ||
		v.kind != ENG_VALUE_MARK || v.mark.anchor.n == 0)
		return;
	anchor_compare(r, &v.mark, fx);
}

void
on_state_digest(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	const struct decree_digest *own = own_find(r, m->state_digest.slot);
	uint32_t member = (uint32_t)peer_index(r, m->src);
	struct audit_round *round;

	if (m->state_digest.slot.n == 0 || m->state_digest.slot.n > ring_last(r).n)
		return;
	if (own != NULL && m->state_digest.is_question)
		digest_send(r, m->state_digest.slot, *own, false, m->src, fx);
	round = round_of(r, m->state_digest.slot);
	if (round == NULL)
		return;

	/* From here on: one member's digest of a slot that is being compared, or will be when we
	 * get there. */

	round_put(round, member, m->state_digest.digest);
	if (own == NULL)
		return;
	round_put(round, r->self, *own);
	if (!digest_eq(*own, m->state_digest.digest))
		round_dispute(r, round, fx);
	round_judge(r, round);
}

void
audit_tick(struct eng_replica *r, struct eng_effects *fx)
{
	bool is_open = false;

	if (r->now_ns < r->audit.ask_ns)
		return;
	if (r->audit.verdict != ENG_HALT_NONE) {
		halt(r, r->audit.verdict, fx);
		return;
	}
	for (uint32_t i = 0; i < AUDIT_ROUND_COUNT; i++) {
		struct audit_round *round = &r->audit.rounds[i];

		if (!round_is_open(round))
			continue;
		digest_send(r, round->slot, round->digests[r->self], true, 0, fx);
		is_open = true;
	}
	r->audit.ask_ns = is_open ? r->now_ns + r->cfg.election_ns / 4 : NEVER;
}

/* ---- MARKs in the log ---- */

void
audit_on_chosen(struct eng_replica *r, struct decree_slot slot, const struct eng_mark *mark)
{
	struct audit *a = &r->audit;

	if (a->marked.n < slot.n)
		a->marked = slot;
	if (a->anchored.n < mark->anchor.n)
		a->anchored = mark->anchor;
	if (mark->is_cut) {
		a->cut = slot;
		a->cut_wanted = false;
		a->cut_asked = false;
	}
	if (a->anchored.n >= a->cut.n)
		a->mark_wanted = false;
}

void
audit_begin(struct eng_replica *r)
{
	r->audit.mark_wanted =
		r->audit.cut.n > r->audit.anchored.n && own_find(r, r->audit.cut) != NULL;
	r->audit.cut_wanted = false;
	r->audit.cut_marked.n = 0;
}

static bool
is_mark_due(const struct eng_replica *r)
{
	const struct audit *a = &r->audit;

	return a->mark_wanted || a->cut_wanted ||
	       (r->cfg.digest_slots != 0 && r->next.n >= a->marked.n + r->cfg.digest_slots);
}

void
audit_flush(struct eng_replica *r, struct eng_effects *fx)
{
	struct audit *a = &r->audit;

	if (!is_mark_due(r))
		return;
	/* A cut that has no anchor yet goes first, though a later MARK may be applied already:
	 * whoever fetches its snapshot checks it by the log. */
	const struct decree_digest *cut = a->cut.n > a->anchored.n ? own_find(r, a->cut) : NULL;
	struct eng_mark mark = {
		.is_cut = a->cut_wanted,
		.anchor = cut != NULL ? a->cut : a->own[a->own_last].slot,
		.digest = cut != NULL ? *cut : a->own[a->own_last].digest,
	};
	if (!leader_propose_mark(r, &mark, fx))
		return; /* a train is open, or the window is full: the next flush tries again */
	a->marked.n = r->next.n - 1;
	if (mark.is_cut)
		a->cut_marked = a->marked;
	a->cut_wanted = false;
	a->mark_wanted = false;
}

void
on_cut(struct eng_replica *r)
{
	struct audit *a = &r->audit;

	if (r->role != DECREE_LEADER)
		a->cut_asked = true; /* the next echo says so */
	else if (a->cut_marked.n <= r->chosen.n)
		a->cut_wanted = true; /* else one is on its way */
}

void
audit_on_echo(struct eng_replica *r, const struct eng_msg *m)
{
	/* Whoever has not come to the newest cut yet asks for that one. */
	if (m->heartbeat_echo.cut_asked && m->heartbeat_echo.commit.n >= r->audit.cut.n)
		on_cut(r);
}
