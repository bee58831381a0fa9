/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold after every step. The oracle listens to what nodes say and do, and knows nothing
 * of how they came to it. Each check costs O(1) per event.
 *
 *   said      one value per (slot, ballot); what q2 nodes accepted at one ballot is chosen, and
 *             every higher ballot proposes just that (S1, S2)
 *   governed  a slot is proposed within the window, and the configuration that governs it says
 *             whose votes and promises count (12.1 - 12.3; governors.c)
 *   allowed   each first proposal at a ballot is one that some q1 quorum of its promises allows
 *             (5.6)
 *   promised  an accept is a promise; a Promise lists every vote that its sender cast or will still
 *             confirm
 *   elected   rounds do not run away: whoever meets a higher promise waits before it tries again
 *   durable   a node that comes back stands by every promise and every acceptance that it ever sent
 *             (S4)
 *   applied   the chosen value of each slot, in order, the same commands everywhere, each once (S3,
 *             S4)
 *   told      each command has one outcome: an answer, that nothing executes it, or that its
 *             session is gone
 *   answered  only what was executed; in the end the whole history is checked to be linearizable
 *             (S5)
 */
#include "tests/sim/sim.h"

#include "base/bytes.h"

/* Seven nodes that all fail their elections at once have their back-offs: 4 rounds were the most in
 * 100,000 runs. Without back-off there is one for each round trip. */
#define STORM_ROUNDS_MAX 16

void
oracle_create(struct sim *sim)
{
	struct sim_oracle *o = &sim->oracle;

	o->chosen = calloc(SIM_SLOT_MAX, sizeof(*o->chosen));
	o->snapshots = calloc(SIM_SLOT_MAX, sizeof(*o->snapshots));
	o->order = calloc(SIM_COMMAND_MAX, sizeof(*o->order));
	o->values = calloc(SIM_VALUE_COUNT, sizeof(*o->values));
	o->value_first = calloc(SIM_SLOT_MAX, sizeof(*o->value_first));
	o->executed = calloc(SIM_PROPOSER_MAX, sizeof(*o->executed));
	o->firings = calloc(SIM_FIRING_MAX, sizeof(*o->firings));
	o->history = history_create();
	o->sessions = calloc(SIM_PROPOSER_MAX, sizeof(*o->sessions));
	o->ended = calloc(SIM_PROPOSER_MAX, sizeof(*o->ended));
}

void
oracle_reset(struct sim *sim)
{
	struct sim_oracle *o = &sim->oracle;

	memset(o->chosen, 0, (o->slot_high + 1) * sizeof(*o->chosen));
	memset(o->snapshots, 0, (o->snapshot_last + 1) * sizeof(*o->snapshots));
	o->snapshot_last = 0;
	memset(o->value_first, 0, (o->slot_high + 1) * sizeof(*o->value_first));
	memset(o->executed, 0, SIM_PROPOSER_MAX * sizeof(*o->executed));
	memset(o->sessions, 0, SIM_PROPOSER_MAX * sizeof(*o->sessions));
	memset(o->ended, 0, SIM_PROPOSER_MAX * sizeof(*o->ended));
	o->value_count = 0;
	o->slot_high = 0;
	o->chosen_last = 0;
	o->order_count = 0;
	o->firing_count = 0;
	o->acked_count = 0;
	history_clear(o->history);
	o->leader_changes = 0;
	o->round_high = o->storm_from_ns = o->storm_round = o->storm_max = 0;
	governors_reset(sim);
}

void
oracle_note_slot(struct sim *sim, uint64_t slot)
{
	sim_check(sim, slot < SIM_SLOT_MAX, "the run outgrew the oracle");
	if (sim->oracle.slot_high < slot)
		sim->oracle.slot_high = slot;
}

/* ---- what is said must stay true ---- */

static struct sim_value *
value_find(struct sim *sim, uint64_t slot, uint64_t ballot)
{
	struct sim_oracle *o = &sim->oracle;

	for (uint32_t i = o->value_first[slot]; i != 0; i = o->values[i - 1].next)
		if (o->values[i - 1].ballot == ballot)
			return &o->values[i - 1];
	return NULL;
}

static struct sim_value *
value_add(struct sim *sim, uint64_t slot, uint64_t ballot, struct decree_digest digest)
{
	struct sim_oracle *o = &sim->oracle;

	sim_check(sim, o->value_count < SIM_VALUE_COUNT, "the run outgrew the oracle");
	struct sim_value *v = &o->values[o->value_count++];
	*v = (struct sim_value){ .ballot = ballot, .digest = digest, .next = o->value_first[slot] };
	o->value_first[slot] = o->value_count;
	return v;
}

/* Every ballot above the one that chose it must propose the same. */
static void
check_higher_ballot(struct sim *sim, uint64_t slot, const struct sim_value *v)
{
	const struct sim_chosen *c = &sim->oracle.chosen[slot];

	sim_check(sim,
		!c->is_known || c->ballot == 0 || v->ballot < c->ballot ||
			digest_eq(v->digest, c->digest),
		"slot %lu: ballot %lu.%lu proposes something else than what %lu.%lu chose", slot,
		v->ballot >> 16, v->ballot & 0xffff, c->ballot >> 16, c->ballot & 0xffff);
}

/* S2: a quorum has accepted it; from here on nothing else may ever be chosen, or even proposed
 * above. */
static void
note_chosen(struct sim *sim, uint64_t slot, const struct sim_value *v)
{
	struct sim_oracle *o = &sim->oracle;
	struct sim_chosen *c = &o->chosen[slot];

	sim_check(sim, !c->is_known || digest_eq(c->digest, v->digest),
		"slot %lu has two chosen values, at ballots %lu.%lu and %lu.%lu", slot,
		c->ballot >> 16, c->ballot & 0xffff, v->ballot >> 16, v->ballot & 0xffff);
	if (c->is_known && c->ballot != 0 && c->ballot <= v->ballot)
		return;
	if (!c->is_known)
		sim_trace(sim, "slot %lu: value %04lx is chosen, at ballot %lu.%lu", slot,
			v->digest.lo & 0xffff, v->ballot >> 16, v->ballot & 0xffff);
	*c = (struct sim_chosen){ .digest = v->digest, .ballot = v->ballot, .is_known = true };
	for (uint32_t i = o->value_first[slot]; i != 0; i = o->values[i - 1].next)
		check_higher_ballot(sim, slot, &o->values[i - 1]);
	governors_on_chosen(sim);
}

static void
count_vote(struct sim *sim, uint16_t id, uint64_t slot, struct sim_value *v)
{
	const struct sim_governor *governor = governor_of(sim, slot);

	if (sim->nodes[id].is_wiped)
		return; /* it may have voted otherwise, and has forgotten that */
	v->votes |= 1u << id;
	if ((uint32_t)__builtin_popcount(v->votes & governor->voters) >= governor->q2)
		note_chosen(sim, slot, v);
}

/* Have a q1 quorum promised @p ballot and said then that they accepted nothing above @p vballot in
 * @p slot? Whoever has promised a higher one since may have said anything. */
static bool
has_promised_up_to(const struct sim *sim, uint64_t slot, uint64_t ballot, uint64_t vballot)
{
	const struct sim_governor *governor = governor_of(sim, slot);
	uint32_t promised = 0;

	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = sim_voice(sim, id);
		uint64_t listed = slot <= n->listed_last ? n->listed[slot].n : 0;
		/* A proposer whose own promise is a quorum sends no Prepare. */
		bool is_silent = n->promise_said.n < ballot && id == (ballot & 0xffff);
		if (n->promise_said.n > ballot || is_silent || n->is_wiped ||
			(n->promise_said.n == ballot && slot > n->promise_commit &&
				listed <= vballot && !n->promise_doubtful))
			promised |= 1u << id;
	}
	return (uint32_t)__builtin_popcount(promised & governor->voters) >= governor->q1;
}

/* Did anybody tell of exactly this one? */
static bool
is_listed(const struct sim *sim, uint64_t slot, uint64_t ballot, uint64_t vballot)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = sim_voice(sim, id);
		if (n->promise_said.n == ballot && slot <= n->listed_last &&
			n->listed[slot].n == vballot)
			return true;
	}
	return false;
}

/* 5.6: some q1 quorum of promises allows this value: it is that of the highest ballot that the
 * quorum told of, or the quorum told of none. A value that is known chosen is always right, and
 * checked elsewhere. */
static void
check_choice(struct sim *sim, uint64_t slot, const struct sim_value *v)
{
	const struct sim_oracle *o = &sim->oracle;

	if (o->chosen[slot].is_known || has_promised_up_to(sim, slot, v->ballot, 0))
		return;
	for (uint32_t i = o->value_first[slot]; i != 0; i = o->values[i - 1].next) {
		const struct sim_value *old = &o->values[i - 1];
		if (old->ballot < v->ballot && digest_eq(old->digest, v->digest) &&
			is_listed(sim, slot, v->ballot, old->ballot) &&
			has_promised_up_to(sim, slot, v->ballot, old->ballot))
			return;
	}
	sim_check(sim, false, "slot %lu: no quorum of promises allows what ballot %lu.%lu proposes",
		slot, v->ballot >> 16, v->ballot & 0xffff);
}

/* S1: one value per (slot, ballot). */
static struct sim_value *
note_proposed(
	struct sim *sim, uint64_t slot, struct decree_ballot ballot, struct decree_digest digest)
{
	oracle_note_slot(sim, slot);
	struct sim_value *v = value_find(sim, slot, ballot.n);
	if (v == NULL) {
		sim_check(sim, slot <= sim->oracle.governors.prefix + sim->alpha,
			"slot %lu is proposed although only %lu slots are chosen", slot,
			sim->oracle.governors.prefix);
		v = value_add(sim, slot, ballot.n, digest);
		check_higher_ballot(sim, slot, v);
		check_choice(sim, slot, v);
		sim_trace(sim, "slot %lu: ballot %lu.%lu proposes value %04lx", slot,
			ballot.n >> 16, ballot.n & 0xffff, digest.lo & 0xffff);
	}
	sim_check(sim, digest_eq(v->digest, digest), "slot %lu has two values at ballot %lu.%lu",
		slot, ballot.n >> 16, ballot.n & 0xffff);
	return v;
}

static bool
is_own_record(const struct sim_node *n, const uint8_t *tag, struct eng_record *ret_record)
{
	return eng_record_decode(tag, ret_record) == 0 && ret_record->kind == ENG_RECORD_ACCEPTED &&
	       (ret_record->vballot.n & 0xffff) == n->id;
}

/* The proposer's own vote is no message: it counts when its record is durable. */
/* The votes of a node whose copy takes over count no more. But the ballot that it leads is its own:
 * what it still proposes there may be accepted, if only as a frame that comes very late. */
static bool
is_rightful_proposal(
	const struct sim *sim, const struct sim_node *n, const struct eng_record *record)
{
	return sim_has_twin(sim, n->id) && sim->twin.takes_over && n->place != SIM_TWIN &&
	       ballot_node(record->vballot) == n->id;
}

void
oracle_on_append(
	struct sim *sim, struct sim_node *n, const struct log_record *appended, uint64_t lsn)
{
	struct eng_record record;

	if (!is_own_record(n, appended->tag, &record) ||
		(n->is_disowned && !is_rightful_proposal(sim, n, &record)))
		return;
	governors_on_value(
		sim, record.slot.n, record.digest, appended->payload, appended->payload_bytes);
	(void)note_proposed(sim, record.slot.n, record.vballot, record.digest);
	if (n->is_disowned)
		return;
	sim_check(sim, n->own_after - n->own_first < SIM_OWN_COUNT, "the run outgrew the oracle");
	n->own[n->own_after++ % SIM_OWN_COUNT] =
		(struct sim_own){ lsn, record.slot.n, record.vballot.n };
}

/* From here on it must stand by this vote. */
static void
note_said(struct sim_node *n, uint64_t slot, struct decree_ballot ballot)
{
	if (n->accepted_last < slot)
		n->accepted_last = slot;
	if (n->accepted_said[slot].n < ballot.n)
		n->accepted_said[slot] = ballot;
}

void
oracle_on_durable(struct sim *sim, struct sim_node *n, uint64_t lsn)
{
	for (; n->own_first < n->own_after; n->own_first++) {
		const struct sim_own *own = &n->own[n->own_first % SIM_OWN_COUNT];
		if (own->lsn > lsn)
			return;
		count_vote(sim, n->id, own->slot, value_find(sim, own->slot, own->ballot));
		note_said(n, own->slot, (struct decree_ballot){ own->ballot });
	}
}

void
oracle_on_recovered_record(struct sim *sim, struct sim_node *n, const uint8_t *tag)
{
	struct eng_record record;

	if (!n->is_disowned && is_own_record(n, tag, &record))
		count_vote(sim, n->id, record.slot.n,
			note_proposed(sim, record.slot.n, record.vballot, record.digest));
}

static void
note_promised(struct sim_node *n, struct decree_ballot ballot)
{
	if (n->promised_said.n < ballot.n)
		n->promised_said = ballot;
}

/* Somebody calls it decided: the votes must be there. */
void
oracle_require_votes(const struct sim *sim, const struct sim_node *n, uint64_t slot)
{
	sim_check(sim, sim->oracle.chosen[slot].is_known,
		"node %u calls slot %lu decided, for which no quorum has voted", n->id, slot);
}

static void
note_vote(struct sim *sim, struct sim_node *n, uint64_t slot, uint64_t ballot)
{
	struct sim_value *v = value_find(sim, slot, ballot);

	sim_check(sim, v != NULL,
		"node %u accepted slot %lu at ballot %lu.%lu, which nobody proposed", n->id, slot,
		ballot >> 16, ballot & 0xffff);
	count_vote(sim, n->id, slot, v);
}

static void
note_accepted_slot(struct sim *sim, struct sim_node *n, uint64_t slot, struct decree_ballot ballot)
{
	const struct eng_replica *r = sim_replica(n);

	oracle_note_slot(sim, slot);
	sim_check(sim, r->damage.count == 0 || damage_find(r, (struct decree_slot){ slot }) == NULL,
		"node %u confirms slot %lu, of which its copy is damaged", n->id, slot);
	if (slot <= n->accepted_last && n->accepted_said[slot].n >= ballot.n)
		return;
	sim_check(sim,
		ballot.n >= n->promise_said.n || slot <= n->promise_commit ||
			(slot <= n->listed_last && n->listed[slot].n >= ballot.n),
		"node %u confirms slot %lu at ballot %lu.%lu after a Promise that did not list it",
		n->id, slot, ballot.n >> 16, ballot.n & 0xffff);
	note_said(n, slot, ballot);
	note_vote(sim, n, slot, ballot.n);
}

static void
note_accepted(struct sim *sim, struct sim_node *n, const struct eng_msg *m)
{
	for (uint64_t slot = m->accepted.start.n; slot < m->accepted.after.n; slot++)
		note_accepted_slot(sim, n, slot, m->ballot);
	for (uint32_t word = 0; word < 4; word++)
		for (uint64_t bits = m->accepted.sack[word]; bits != 0; bits &= bits - 1)
			note_accepted_slot(sim, n,
				m->accepted.after.n + 1 + word * 64 +
					(uint64_t)__builtin_ctzll(bits),
				m->ballot);
}

static void
listing_begin(struct sim_node *n, struct decree_ballot ballot, uint64_t commit, bool doubtful)
{
	if (n->promise_said.n >= ballot.n)
		return;
	sim_trace(n->sim, "node %u: %s %lu.%lu, holds decided slots up to %lu", n->id,
		(ballot.n & 0xffff) == n->id ? "prepares" : "promises", ballot.n >> 16,
		ballot.n & 0xffff, commit);
	memset(n->listed, 0, (n->listed_last + 1) * sizeof(*n->listed));
	n->listed_last = 0;
	n->promise_said = ballot;
	n->promise_commit = commit;
	n->promise_doubtful = doubtful;
}

/* A damaged copy counts with its ballot, one of an unknown ballot as infinite; who is in doubt may
 * list anything. */
static void
listing_add(struct sim *sim, struct sim_node *n, uint64_t slot, const struct eng_promise_entry *e)
{
	struct decree_ballot vballot = e->vballot;

	if (e->state == ENG_ENTRY_NONE)
		vballot.n = 0;
	else if (e->state == ENG_ENTRY_FAULTY_UNKNOWN)
		vballot.n = UINT64_MAX;
	else if (e->state == ENG_ENTRY_DECIDED && vballot.n < n->accepted_said[slot].n)
		vballot = n->accepted_said[slot]; /* of a decision the ballot does not matter */
	oracle_note_slot(sim, slot);
	if (n->listed_last < slot)
		n->listed_last = slot;
	n->listed[slot] = vballot;
	sim_check(sim, vballot.n >= n->accepted_said[slot].n || n->promise_doubtful,
		"node %u promises %lu.%lu and hides that it accepted slot %lu at %lu.%lu", n->id,
		n->promise_said.n >> 16, n->promise_said.n & 0xffff, slot,
		n->accepted_said[slot].n >> 16, n->accepted_said[slot].n & 0xffff);
}

/* A Promise lists everything that its sender accepted beyond the prefix that it holds decided. */
static void
note_promise(struct sim *sim, struct sim_node *n, const struct eng_msg *m)
{
	if (m->ballot.n < n->promise_said.n)
		return; /* repeated, and late */
	if (m->ballot.n == n->promise_said.n && m->promise.doubtful && !n->promise_doubtful)
		return; /* repeated by a later life, which knows less: the first one was meant */
	/* The asking candidate holds everything below `from` decided itself. */
	listing_begin(n, m->ballot,
		m->promise.commit.n + 1 < m->promise.from.n ? m->promise.from.n - 1
							    : m->promise.commit.n,
		m->promise.doubtful);
	for (uint64_t slot = m->promise.first.n; slot < m->promise.after.n; slot++) {
		struct eng_promise_entry e = eng_promise_entry_at(m, (struct decree_slot){ slot });
		if (e.state == ENG_ENTRY_DECIDED)
			oracle_require_votes(sim, n, slot);
		listing_add(sim, n, slot, &e);
	}
}

/* Who sends a Prepare has promised its ballot to itself, and what it holds counts like a Promise. */
static void
note_own_promise(struct sim *sim, struct sim_node *n, struct decree_ballot ballot)
{
	const struct eng_replica *r = sim_replica(n);

	if (n->promise_said.n >= ballot.n)
		return;
	listing_begin(n, ballot, r->chosen.n, r->damage.doubt);
	for (uint64_t slot = r->chosen.n + 1; slot <= r->last.n; slot++) {
		struct eng_promise_entry e =
			eng_replica_promise_entry(r, (struct decree_slot){ slot });
		if (e.state != ENG_ENTRY_NONE && ballot_eq(e.vballot, ballot))
			continue; /* elected in the same step: what was there before is unknown */
		if (e.state == ENG_ENTRY_DECIDED)
			oracle_require_votes(sim, n, slot);
		listing_add(sim, n, slot, &e);
	}
}

/* Rounds grow with elections, and those have pauses between them (E25). */
static void
note_round(struct sim *sim, struct decree_ballot ballot)
{
	struct sim_oracle *o = &sim->oracle;
	uint64_t round = ballot.n >> 16;

	if (o->round_high < round)
		o->round_high = round;
	if (sim->now_ns >= o->storm_from_ns + sim->election_ns) {
		o->storm_from_ns = sim->now_ns;
		o->storm_round = o->round_high;
	}
	if (o->storm_max < o->round_high - o->storm_round)
		o->storm_max = o->round_high - o->storm_round;
	sim_check(sim, o->storm_max <= STORM_ROUNDS_MAX, "%lu rounds within one T: a ballot storm",
		o->storm_max);
}

static void
on_message(struct sim *sim, struct sim_node *n, const uint8_t *data, uint32_t bytes)
{
	struct eng_msg m;

	if (data[0] != ENG_MSG_ACCEPT && data[0] != ENG_MSG_ACCEPTED &&
		data[0] != ENG_MSG_PROMISE && data[0] != ENG_MSG_PREPARE &&
		data[0] != ENG_MSG_LEADER_CHANGE)
		return;
	if (eng_msg_decode(data, bytes, &m) != 0)
		sim_check(sim, false, "node %u sends what it could not read", n->id);
	if (m.type == ENG_MSG_ACCEPT) {
		(void)note_proposed(sim, m.accept.slot.n, m.ballot, m.accept.digest);
		return;
	}
	if (m.type == ENG_MSG_LEADER_CHANGE) {
		if (!m.leader_change.timeout_now)
			sim_leases_check(sim, n, m.ballot);
		return;
	}
	sim_check(sim, sim_replica(n)->promised.n >= m.ballot.n,
		"node %u speaks for ballot %lu.%lu and has not promised it", n->id,
		m.ballot.n >> 16, m.ballot.n & 0xffff);
	if (m.type == ENG_MSG_ACCEPTED)
		note_accepted(sim, n, &m);
	else if (m.type == ENG_MSG_PROMISE)
		note_promise(sim, n, &m);
	else {
		note_own_promise(sim, n, m.ballot);
		note_round(sim, m.ballot);
	}
	note_promised(n, m.ballot);
}

void
oracle_on_frame(struct sim *sim, struct sim_node *n, const uint8_t *data, uint32_t bytes)
{
	const uint8_t *message;
	uint32_t cursor = 0, message_bytes;

	if (n->is_disowned)
		return; /* it counts for nothing: whoever counts it fails another check */
	if (!is_bundle(data, bytes)) {
		on_message(sim, n, data, bytes);
		return;
	}
	sim_check(sim, bundle_is_valid(data, bytes), "node %u sends a bundle that is none", n->id);
	while (bundle_next(data, bytes, &cursor, &message, &message_bytes))
		on_message(sim, n, message, message_bytes);
}
