/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that were rolled back, and nodes that run twice (protocol 11.9).
 *
 * A disk restored from an old image has forgotten promises and votes, and does not know it. Its
 * peers do: each remembers, for every other node, the highest start count of its answers to
 * challenges, and the highest ballot promised and slot accepted of its Promises and Accepteds,
 * which were durable when they left. A leader's heartbeats spread what it knows of everybody, and
 * each node keeps what it knows (hearsay.c), since memory ends with the process.
 *
 * Every life of a node has a nonce. A message under a nonce that is not the known one counts for
 * nothing until its sender has answered a fresh challenge of ours (HELLO):
 *
 *   it claims at least what we remembered when we asked     it has restarted: this is its nonce from now on
 *   it claims less, or what it found on its disk is less
 *     than what its earlier lives said                      its disk was rolled back: refused, and told so; it halts
 *   it is the life before the present one, and answers      two processes share one identity: both are refused
 *   the start count is the present one's, the nonce is not  the same
 *
 * Its disk as it was found counts, not as it is: a leader's Accepts bring an old image up to date
 * within a moment.
 *
 * A recorded frame of an earlier life cannot answer a challenge, so it disturbs nobody. A node of
 * which nothing is remembered is believed, and has to prove itself (again) when memory comes later
 * that speaks against it.
 */
#include "engine/core/replica.h"

#include "base/bytes.h"

/* A challenge is lost, or its answer: ask again. */
#define CHALLENGE_RETRY_NS 5000000ull

static bool
is_remembered(const struct guard *g)
{
	return g->nonce != 0 ||
	       g->accepted.n != 0; /* all else comes from a life that has a nonce */
}

/* Apart from the replica's other numbers. It must not repeat; nobody is kept from guessing it. */
static uint64_t
challenge_draw(struct eng_replica *r)
{
	uint64_t z = r->guard_random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	return (z ^ z >> 27) | 1;
}

/* What is remembered now: an answer is a later state than the question, so it must not be less than
 * this, though it may be less than what we hear meanwhile. */
static void
challenge_begin(struct eng_replica *r, struct guard *g, uint64_t suspect)
{
	g->challenge = challenge_draw(r);
	g->suspect = suspect;
	g->begun_ns = r->now_ns;
	g->then.boot_count = g->boot_count;
	g->then.promised = g->promised;
	g->then.accepted = g->accepted;
	g->then.accepted_boot = g->accepted_boot;
	g->then.unproved = g->unproved;
}

/* Asked again it is the same question for a while: an answer takes as long as the path is long. A
 * question to any life (0) serves for each of them, and waits for one that was put to a certain
 * one. */
static bool
is_asking(const struct eng_replica *r, const struct guard *g, uint64_t suspect)
{
	bool is_for_it = suspect == 0 || g->suspect == 0 || g->suspect == suspect;

	return g->challenge != 0 && is_for_it && r->now_ns < g->begun_ns + r->cfg.election_ns;
}

static void
challenge(struct eng_replica *r, uint32_t member, uint64_t suspect, struct eng_effects *fx)
{
	struct guard *g = &r->peers[member].guard;

	if (r->now_ns < g->ask_ns || !fx_has_room(fx, 1, 0))
		return;
	g->ask_ns = r->now_ns + CHALLENGE_RETRY_NS;
	if (!is_asking(r, g, suspect))
		challenge_begin(r, g, suspect);
	struct eng_msg *m = message_add(r, ENG_MSG_HELLO, r->peers[member].node_id, fx);
	m->hello.challenge = g->challenge;
	m->hello.commit = r->chosen;
}

void
guard_ask(struct eng_replica *r, uint16_t members, struct eng_effects *fx)
{
	for (uint16_t set = members; set != 0; set = set_rest(set))
		challenge(r, set_first(set), 0, fx);
}

/* Whoever starts makes itself known, so that the challenges are over before it is needed. */
void
guard_start(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	r->boot_count = ev->start.boot_count;
	r->guard_random = r->cfg.nonce;
	r->found_promised = r->promised;
	r->found_last = r->damage.doubt ? (struct decree_slot){ ENG_SLOT_MAX } : r->last;
	r->peers[r->self].guard.boot_count = ev->start.boot_count;
	hearsay_start(r, ev->start.hearsay);
	if (!r->cfg.joins || r->epoch != 0) /* nobody knows a newcomer yet */
		guard_ask(r, r->targets, fx);
}

bool
guard_admits(
	struct eng_replica *r, uint32_t member, const struct eng_msg *m, struct eng_effects *fx)
{
	struct guard *g = &r->peers[member].guard;

	if (m->type == ENG_MSG_HELLO_REPLY || m->type == ENG_MSG_FAILURE)
		return true;
	if (g->is_twin || (g->refused != 0 && g->refused == m->src_nonce)) {
		failure_send(r, m, g->is_twin ? ENG_FAIL_TWIN : ENG_FAIL_ROLLED_BACK, fx);
		r->counters.dropped_unproved++;
		return false;
	}
	if (!is_remembered(g))
		g->nonce = m->src_nonce; /* believed; but which life is it? */
	bool counts = g->nonce == m->src_nonce && !g->is_doubted;
	if (!counts || g->boot_count == 0)
		challenge(r, member, m->src_nonce, fx);
	r->counters.dropped_unproved += !counts && m->type != ENG_MSG_HELLO;
	return counts || m->type == ENG_MSG_HELLO;
}

/* A node that has come back hears what was decided meanwhile, or tells it, though nobody leads: it
 * may be the very configuration that makes one of the two a voter. A leader would say it within T,
 * and better. */
static void
guard_learn(struct eng_replica *r, struct decree_slot commit)
{
	if (r->chosen.n < commit.n)
		learner_want(r, commit, r->now_ns + r->cfg.election_ns);
}

void
on_hello(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct eng_msg *reply = message_add(r, ENG_MSG_HELLO_REPLY, m->src, fx);

	reply->hello_reply.challenge = m->hello.challenge;
	reply->hello_reply.dst_nonce = m->src_nonce;
	reply->hello_reply.boot_count = r->boot_count;
	reply->hello_reply.promised = r->promised;
	reply->hello_reply.last = r->last;
	reply->hello_reply.commit = r->chosen;
	reply->hello_reply.found_promised = r->found_promised;
	reply->hello_reply.found_last = r->found_last;
	reply->hello_reply.doubtful = r->damage.doubt;
	guard_learn(r, m->hello.commit);
}

/* ---- what is remembered ---- */

/* @param boot_count  of the life that accepted it */
static void
accepted_note(struct guard *g, uint64_t boot_count, struct decree_slot accepted)
{
	if (boot_count > g->accepted_boot && accepted.n != 0) {
		if (g->accepted_before.n < g->accepted.n)
			g->accepted_before = g->accepted;
		g->accepted.n = 0;
		g->accepted_boot = boot_count;
	}
	if (boot_count == g->accepted_boot && g->accepted.n < accepted.n)
		g->accepted = accepted;
	else if (boot_count < g->accepted_boot && g->accepted_before.n < accepted.n)
		g->accepted_before = accepted;
}

/* The present life says it itself. */
static void
words_note(struct guard *g, struct decree_slot accepted)
{
	if (g->boot_count == 0 && g->unproved.n < accepted.n)
		g->unproved = accepted;
	else if (g->boot_count != 0 && g->accepted.n < accepted.n)
		accepted_note(g, g->boot_count, accepted);
}

/* ---- the answer ---- */

/* What it accepts and promises now proves nothing: whoever leads brings a disk of the past up to
 * any slot within a moment. So an earlier life's word is held against what was on the disk when
 * this life began, whenever we came to hear of it: it was said before. */
static bool
has_forgotten(const struct guard *g, const struct eng_msg *m)
{
	struct decree_slot before = g->accepted_before;

	if (g->accepted_boot < m->hello_reply.boot_count && before.n < g->accepted.n)
		before = g->accepted;
	if (m->hello_reply.found_last.n < before.n)
		return true;
	return g->nonce != m->src_nonce &&
	       (m->hello_reply.found_promised.n < g->then.promised.n ||
		       m->hello_reply.found_last.n < g->then.unproved.n);
}

static bool
claims_less(const struct guard *g, const struct eng_msg *m)
{
	struct decree_slot said =
		g->then.accepted.n > g->then.unproved.n ? g->then.accepted : g->then.unproved;

	if (m->hello_reply.boot_count < g->then.boot_count ||
		m->hello_reply.boot_count < g->then.accepted_boot ||
		m->hello_reply.promised.n < g->then.promised.n)
		return true;
	/* Who is in doubt knows that records are gone: that is damage, not an old image. */
	return !m->hello_reply.doubtful && m->hello_reply.last.n < said.n;
}

/* Since we asked we have heard of a later life, or words of a life that may be an earlier one: this
 * answer settles nothing. The next one does. */
static bool
is_overtaken(const struct guard *g, const struct eng_msg *m)
{
	return m->hello_reply.boot_count < g->accepted_boot ||
	       (g->nonce != m->src_nonce && m->hello_reply.found_last.n < g->unproved.n);
}

static bool
is_twin(const struct guard *g, const struct eng_msg *m)
{
	if (g->nonce == m->src_nonce)
		return false;
	return (g->nonce_before != 0 && g->nonce_before == m->src_nonce) ||
	       (g->boot_count != 0 && g->boot_count == m->hello_reply.boot_count);
}

static void
refuse(struct eng_replica *r, uint32_t member, const struct eng_msg *m,
	enum eng_failure_reason reason, struct eng_effects *fx)
{
	r->counters.refused_lives++;
	r->peers[member].promised = false;
	fx->alarm = reason;
	fx->alarm_node = m->src;
	failure_send(r, m, reason, fx);
}

static void
life_proved(struct guard *g, const struct eng_msg *m)
{
	if (g->nonce != m->src_nonce) {
		/* Only who has proved itself was a life. Frames of two lives overtake each other,
		 * and the one that we believed unproved may be the later of the two. */
		g->nonce_before = g->boot_count != 0 ? g->nonce : 0;
		g->nonce = m->src_nonce;
		if (g->accepted_before.n < g->unproved.n)
			g->accepted_before = g->unproved; /* this life found as much */
		g->unproved.n = 0;
	}
	g->boot_count = m->hello_reply.boot_count;
	g->found_last = m->hello_reply.found_last;
	g->is_doubted = false;
	words_note(g, g->unproved);
	g->unproved.n = 0;
}

void
on_hello_reply(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	uint32_t member = (uint32_t)peer_index(r, m->src);
	struct guard *g = &r->peers[member].guard;

	if (g->challenge == 0 || m->hello_reply.challenge != g->challenge ||
		m->hello_reply.dst_nonce != r->cfg.nonce || g->is_twin ||
		(g->suspect != 0 && g->suspect != m->src_nonce)) {
		r->counters.dropped_stale++;
		return;
	}

	/* From here on: that life was alive after we asked. */

	g->challenge = 0;
	if (is_twin(g, m)) {
		g->is_twin = true;
		refuse(r, member, m, ENG_FAIL_TWIN, fx);
		return;
	}
	bool claims = !claims_less(g, m);
	if (claims && is_overtaken(g, m)) {
		r->counters.dropped_stale++;
		return;
	}
	if (!claims || has_forgotten(g, m)) {
		g->refused = m->src_nonce;
		refuse(r, member, m, ENG_FAIL_ROLLED_BACK, fx);
		return;
	}
	if (g->nonce != m->src_nonce)
		r->peers[member].commit.n = 0; /* what it knew decided it may have forgotten */
	life_proved(g, m);
	hearsay_keep(r, fx);
	damage_note_peer(r, member, m);
	guard_learn(r, m->hello_reply.commit);
}

void
guard_note(struct eng_replica *r, uint32_t member, struct decree_ballot promised,
	struct decree_slot accepted)
{
	struct guard *g = &r->peers[member].guard;

	if (g->promised.n < promised.n)
		g->promised = promised;
	words_note(g, accepted);
}

/* Our own highest vote, by the same measure: durable. */
static struct decree_slot
own_accepted(const struct eng_replica *r)
{
	for (uint64_t slot = r->next.n - 1; slot >= r->start.n; slot--) {
		const struct entry *e = entry_find(r, (struct decree_slot){ slot });
		if (e == NULL)
			break;
		if (e->persist_seq <= r->persisted && ballot_eq(e->vballot, r->ballot))
			return e->slot;
	}
	return (struct decree_slot){ 0 };
}

void
guard_heartbeat(struct eng_replica *r, struct eng_msg *m, struct eng_effects *fx)
{
	guard_note(r, r->self, r->ballot, own_accepted(r));
	m->heartbeat.marks = r->guard_marks;
	m->heartbeat.mark_count = 0;
	for (uint32_t i = 0; i < r->peer_count; i++) {
		const struct guard *g = &r->peers[i].guard;
		if (g->accepted.n == 0)
			continue;
		uint8_t *at = r->guard_marks + m->heartbeat.mark_count++ * ENG_HIGHEST_BYTES;
		store_u16(at, r->peers[i].node_id);
		store_u64(at + 2, g->accepted.n);
		store_u32(at + 10, (uint32_t)g->accepted_boot);
	}
	hearsay_look(r, fx);
}

/* We said so, in this life or an earlier one, and know nothing of it. Or we are not the last to
 * have this disk. */
static bool
have_we_forgotten(const struct eng_replica *r, struct decree_slot accepted, uint64_t boot_count)
{
	if (boot_count < r->boot_count)
		return accepted.n > r->found_last.n;
	return boot_count > r->boot_count || (accepted.n > r->last.n && !r->damage.doubt);
}

/* Memory has come that the present life was not held against: a later life is known, an earlier one
 * said more than this one found, or nothing at all was known when it was believed. It counts again
 * when it has answered once more, which it cannot if its disk was rolled back. An honest life that
 * is still there loses a round trip. */
static void
life_doubt(struct eng_replica *r, uint32_t member, uint64_t boot_count, struct decree_slot accepted)
{
	struct guard *g = &r->peers[member].guard;
	bool said_more = boot_count < g->boot_count && accepted.n > g->found_last.n;

	if (g->nonce == 0 || (boot_count <= g->boot_count && !said_more))
		return;
	g->is_doubted = true;
	r->peers[member].promised = false;
}

void
guard_on_heartbeat(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < m->heartbeat.mark_count; i++) {
		const uint8_t *at = m->heartbeat.marks + i * ENG_HIGHEST_BYTES;
		struct decree_slot accepted = { load_u64(at + 2) };
		uint64_t boot_count = load_u32(at + 10);
		int32_t member = peer_index(r, load_u16(at));
		if (member < 0)
			continue;
		if ((uint32_t)member != r->self) {
			accepted_note(&r->peers[member].guard, boot_count, accepted);
			life_doubt(r, (uint32_t)member, boot_count, accepted);
		} else if (have_we_forgotten(r, accepted, boot_count)) {
			halt(r, ENG_HALT_ROLLED_BACK, fx);
		}
	}
	hearsay_look(r, fx);
}
