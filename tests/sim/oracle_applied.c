/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of one node after a start, and what nodes apply: see oracle.c. */
#include "tests/sim/sim.h"

#include "base/bytes.h"

/* What is damaged is not forgotten, as long as the node knows of it. */
static bool
stands_by(const struct sim_node *n, struct decree_slot slot)
{
	const struct eng_replica *r = sim_replica(n);
	const struct damage *d = damage_find(r, slot);
	const struct entry *e = entry_find(r, slot);
	uint64_t said = n->accepted_said[slot.n].n;

	return r->damage.doubt || (d != NULL && (d->vballot.n == 0 || d->vballot.n >= said)) ||
	       (e != NULL && (e->decided || e->vballot.n >= said));
}

/* @return the first slot that it accepted and knows nothing of, 0 = none */
static uint64_t
first_forgotten(const struct sim_node *n)
{
	for (uint64_t slot = sim_replica(n)->chosen.n + 1; slot <= n->accepted_last; slot++)
		if (n->accepted_said[slot].n != 0 && !stands_by(n, (struct decree_slot){ slot }))
			return slot;
	return 0;
}

bool
oracle_keeps_its_word(const struct sim *sim, const struct sim_node *n)
{
	(void)sim;
	return sim_replica(n)->promised.n >= n->promised_said.n && first_forgotten(n) == 0;
}

void
oracle_on_recovered(struct sim *sim, struct sim_node *n)
{
	uint64_t promised = sim_replica(n)->promised.n;
	uint64_t slot = n->is_disowned ? 0 : first_forgotten(n);

	sim_check(sim, n->is_disowned || promised >= n->promised_said.n,
		"node %u promised %lu.%lu and came back with %lu.%lu", n->id,
		n->promised_said.n >> 16, n->promised_said.n & 0xffff, promised >> 16,
		promised & 0xffff);
	sim_check(sim, slot == 0, "node %u had accepted slot %lu at %lu.%lu and forgot it", n->id,
		slot, n->accepted_said[slot].n >> 16, n->accepted_said[slot].n & 0xffff);
}

/* ---- what is chosen stays chosen, and everybody applies the same ---- */

void
oracle_on_applied(
	struct sim *sim, struct sim_node *n, struct decree_slot first, struct decree_slot after)
{
	const struct eng_replica *r = sim_replica(n);

	for (uint64_t slot = first.n; slot < after.n; slot++) {
		const struct entry *e = entry_find(r, (struct decree_slot){ slot });
		struct sim_chosen *c = &sim->oracle.chosen[slot];

		oracle_note_slot(sim, slot);
		decree_assert(e != NULL);
		if (sim->oracle.chosen_last < slot) {
			sim_check(sim, slot == sim->oracle.chosen_last + 1, "slots out of order");
			sim->oracle.chosen_last = slot;
		}
		oracle_require_votes(sim, n, slot);
		sim_check(sim, digest_eq(c->digest, e->digest),
			"node %u applies another value in slot %lu", n->id, slot);
	}
}

static uint64_t
proposer_of(const struct decree_command *c)
{
	uint64_t id = c->bytes >= SIM_BODY_BYTES_MIN ? load_u64(c->body) : 0;

	return id < SIM_PROPOSER_MAX ? id : 0;
}

/* The first node to execute it: exactly once, in its session's order, and as it was proposed. */
static void
note_executed(struct sim *sim, const struct decree_command *c, struct decree_digest digest)
{
	struct sim_oracle *o = &sim->oracle;
	uint64_t id = proposer_of(c);

	sim_check(sim, o->order_count < SIM_COMMAND_MAX, "the run outgrew the oracle");
	sim_check(sim, id != 0 && load_u64((const uint8_t *)c->body + 8) == c->seq,
		"slot %lu holds a command that nobody proposed", c->slot.n);
	sim_check(sim, o->executed[id] + 1 == c->seq,
		"command %lu of proposer %lu executed twice or out of order", c->seq, id);
	sim_check(sim, !o->ended[id],
		"command %lu of proposer %lu is executed after it was told that none will be",
		c->seq, id);
	if (c->seq == 1)
		o->sessions[id] = c->session;
	sim_check(sim, o->sessions[id].n == c->session.n, "proposer %lu has two sessions", id);
	o->executed[id] = c->seq;
	history_claim(
		o->history, load_u32((const uint8_t *)c->body + 16), (o->order_count + 1) << 20);
	o->order[o->order_count++] =
		(struct sim_order){ c->slot, c->index, c->session, c->seq, id, digest };
}

static void
state_add(struct decree_digest *state, struct decree_digest command)
{
	state->lo = (state->lo ^ command.lo) * 0x9e3779b97f4a7c15ull + command.hi;
}

void
oracle_on_command(struct sim *sim, struct sim_node *n, const struct decree_command *c)
{
	struct sim_oracle *o = &sim->oracle;
	struct decree_digest d = base_digest(c->body, c->bytes);

	if (n->applied_count == o->order_count) {
		note_executed(sim, c, d);
		sim_reads_ask_deposed(sim, n);
	}
	const struct sim_order *first = &o->order[n->applied_count++];
	sim_check(sim,
		first->slot.n == c->slot.n && first->index == c->index &&
			first->session.n == c->session.n && first->seq == c->seq &&
			digest_eq(first->digest, d),
		"node %u executes another command in slot %lu", n->id, c->slot.n);
	n->fold = linear_log_fold(n->fold, proposer_of(c) << 32 | c->seq);
	state_add(&n->digest, d);
}

void
oracle_on_restored(struct sim *sim, struct sim_node *n)
{
	struct decree_digest state = { 0, 0 };
	const struct sim_oracle *all = &sim->oracle;
	uint64_t fired = 0;

	sim_check(sim, n->applied_count <= all->order_count && n->fired_count <= all->firing_count,
		"node %u restored what nobody executed", n->id);
	n->fold = 0;
	for (uint64_t i = 0; i <= n->applied_count; i++) {
		while (fired < n->fired_count && all->firings[fired].after == i)
			sim_timer_state(&state, &all->firings[fired++]);
		if (i == n->applied_count)
			break;
		const struct sim_order *o = &all->order[i];
		state_add(&state, o->digest);
		n->fold = linear_log_fold(n->fold, o->proposer << 32 | o->seq);
	}
	sim_check(sim, digest_eq(state, n->digest), "node %u restored another state", n->id);
}

void
oracle_on_ack(struct sim *sim, uint64_t proposer, uint64_t seq)
{
	sim->oracle.acked_count++;
	sim_check(sim, seq <= sim->oracle.executed[proposer],
		"command %lu of proposer %lu was acknowledged and never executed", seq, proposer);
}

/* The slot in which its session gave way is applied here, so whatever was executed of it is known. */
void
oracle_on_end(struct sim *sim, const struct sim_node *n, uint64_t seq, enum decree_outcome outcome)
{
	struct sim_oracle *o = &sim->oracle;
	uint64_t id = n->proposer.id;

	sim_check(sim,
		outcome == DECREE_EVICTED || (outcome == DECREE_REFUSED && seq > o->executed[id]),
		"command %lu of proposer %lu ends with %d, and %lu were executed", seq, id,
		(int)outcome, o->executed[id]);
	sim_check(sim,
		o->sessions[id].n == 0 ||
			eng_session_row(shard_sessions(n->shard, 0), o->sessions[id]) < 0,
		"command %lu of proposer %lu ends with %d, and it has its session", seq, id,
		(int)outcome);
	o->ended[id] = true;
}
