/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include "base/bytes.h"

/* ---- what is said must stay true ---- */

static struct sim_value *
value_place_of(struct sim *sim, uint64_t slot, uint64_t ballot)
{
	uint64_t hash = (slot * 0x9e3779b97f4a7c15ull) ^ (ballot * 0xc2b2ae3d27d4eb4full);
	uint32_t i = (uint32_t)(hash >> 40) & (SIM_VALUE_COUNT - 1);

	while (sim->oracle.values[i].slot != 0 &&
		(sim->oracle.values[i].slot != slot || sim->oracle.values[i].ballot != ballot))
		i = (i + 1) & (SIM_VALUE_COUNT - 1);
	return &sim->oracle.values[i];
}

/* S1: one value per (slot, ballot). */
static void
check_one_value(struct sim *sim, const struct eng_msg *m)
{
	struct sim_value *v = value_place_of(sim, m->accept.slot.n, m->ballot.n);

	if (v->slot == 0)
		*v = (struct sim_value){ m->accept.slot.n, m->ballot.n, m->accept.digest };
	sim_check(sim, digest_eq(v->digest, m->accept.digest),
		"slot %lu has two values at ballot %lx", m->accept.slot.n, m->ballot.n);
}

static void
note_promised(struct sim_node *n, struct decree_ballot ballot)
{
	if (n->promised_said.n < ballot.n)
		n->promised_said = ballot;
}

static void
note_accepted(struct sim *sim, struct sim_node *n, const struct eng_msg *m)
{
	sim_check(sim, m->accepted.after.n < SIM_SLOT_MAX, "the run outgrew the oracle");
	for (uint64_t slot = m->accepted.start.n; slot < m->accepted.after.n; slot++)
		if (n->accepted_said[slot].n < m->ballot.n)
			n->accepted_said[slot] = m->ballot;
}

void
oracle_on_frame(struct sim *sim, struct sim_node *n, const uint8_t *data, uint32_t bytes)
{
	struct eng_msg m;

	if (data[0] >= 64 || eng_msg_decode(data, bytes, &m) != 0)
		return;
	switch (m.type) {
	case ENG_MSG_ACCEPT: check_one_value(sim, &m); break;
	case ENG_MSG_ACCEPTED:
		note_promised(n, m.ballot);
		note_accepted(sim, n, &m);
		break;
	case ENG_MSG_PROMISE:
	case ENG_MSG_PREPARE: note_promised(n, m.ballot); break;
	default: break;
	}
}

void
oracle_on_recovered(struct sim *sim, struct sim_node *n)
{
	const struct eng_replica *r = shard_replica(n->shard, 0);

	sim_check(sim, r->promised.n >= n->promised_said.n,
		"node %u promised %lx and came back with %lx", n->id, n->promised_said.n,
		r->promised.n);
	for (uint64_t slot = r->chosen.n + 1; slot < SIM_SLOT_MAX; slot++) {
		struct decree_ballot said = n->accepted_said[slot];
		if (said.n == 0)
			continue;
		const struct entry *e = entry_find(r, (struct decree_slot){ slot });
		sim_check(sim, e != NULL && (e->decided || e->vballot.n >= said.n),
			"node %u had accepted slot %lu at %lx and forgot it", n->id, slot, said.n);
	}
}

/* ---- what is chosen stays chosen, and everybody applies the same ---- */

void
oracle_on_applied(
	struct sim *sim, struct sim_node *n, struct decree_slot first, struct decree_slot after)
{
	const struct eng_replica *r = shard_replica(n->shard, 0);

	for (uint64_t slot = first.n; slot < after.n; slot++) {
		uint32_t bytes;
		sim_check(sim, slot < SIM_SLOT_MAX, "the run outgrew the oracle");
		const uint8_t *value = eng_value(r, (struct decree_slot){ slot }, &bytes);
		struct decree_digest d = base_digest(value, bytes);
		if (sim->oracle.chosen_last < slot) {
			sim_check(sim, slot == sim->oracle.chosen_last + 1, "slots out of order");
			sim->oracle.chosen[slot] = d;
			sim->oracle.chosen_last = slot;
		}
		sim_check(sim, digest_eq(sim->oracle.chosen[slot], d),
			"node %u applies another value in slot %lu", n->id, slot);
	}
}

static uint64_t
proposer_of(const struct decree_command *c)
{
	return c->bytes >= 16 ? load_u64(c->body) : 0;
}

static void
check_once(struct sim *sim, const struct decree_command *c)
{
	for (uint64_t i = sim->oracle.order_count; i-- > 0;) {
		const struct sim_order *o = &sim->oracle.order[i];
		if (o->session.n != c->session.n)
			continue;
		sim_check(sim, o->seq + 1 == c->seq, "session %lx executed %lu after %lu",
			c->session.n, c->seq, o->seq);
		return;
	}
	sim_check(sim, c->seq == 1, "session %lx began with %lu", c->session.n, c->seq);
}

void
oracle_on_command(struct sim *sim, struct sim_node *n, const struct decree_command *c)
{
	struct sim_oracle *o = &sim->oracle;
	struct decree_digest d = base_digest(c->body, c->bytes);

	if (n->applied_count == o->order_count) {
		sim_check(sim, o->order_count < SIM_COMMAND_MAX, "the run outgrew the oracle");
		check_once(sim, c);
		o->order[o->order_count++] = (struct sim_order){ c->slot, c->index, c->session,
			c->seq, proposer_of(c), d };
		sim_check(sim,
			proposer_of(c) != 0 && load_u64((const uint8_t *)c->body + 8) == c->seq,
			"slot %lu holds a command that nobody proposed", c->slot.n);
		sim_check(sim, o->executed[proposer_of(c)] + 1 == c->seq,
			"command %lu of proposer %lu executed twice or out of order", c->seq,
			proposer_of(c));
		o->executed[proposer_of(c)] = c->seq;
	}
	const struct sim_order *first = &o->order[n->applied_count++];
	sim_check(sim,
		first->slot.n == c->slot.n && first->index == c->index &&
			first->session.n == c->session.n && first->seq == c->seq &&
			digest_eq(first->digest, d),
		"node %u executes another command in slot %lu", n->id, c->slot.n);
	struct decree_digest both[2] = { n->digest, d };
	n->digest = base_digest(both, sizeof(both));
}

void
oracle_on_ack(struct sim *sim, uint64_t proposer, uint64_t seq)
{
	sim->oracle.acked_count++;
	sim_check(sim, seq <= sim->oracle.executed[proposer],
		"command %lu of proposer %lu was acknowledged and never executed", seq, proposer);
}

/* What a person wants to see of a run that got stuck. */
static void
print_nodes(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		struct eng_status st;
		if (!n->is_up) {
			fprintf(stderr, "node %u: down\n", id);
			continue;
		}
		eng_status(shard_replica(n->shard, 0), &st);
		fprintf(stderr,
			"node %u: role %d ready %d leader %u ballot %lx promised %lx chosen %lu "
			"last %lu "
			"executed %lu, proposer made %lu popped %lu done %lu\n",
			id, st.role, st.ready, st.leader, st.ballot.n, st.promised.n, st.chosen.n,
			st.last.n, n->applied_count, n->proposer.seq_made, n->proposer.seq_popped,
			n->proposer.seq_done);
	}
}

bool
oracle_is_calm(const struct sim *sim)
{
	bool is_calm = sim_leader(sim) != 0 && workload_is_done(sim);

	for (uint16_t id = 1; id <= sim->node_count; id++)
		is_calm &=
			sim->nodes[id].is_up &&
			sim->nodes[id].applied_count == sim->oracle.order_count &&
			shard_replica(sim->nodes[id].shard, 0)->chosen.n == sim->oracle.chosen_last;
	return is_calm;
}

void
oracle_check_calm(struct sim *sim)
{
	const struct sim_oracle *o = &sim->oracle;

	if (!oracle_is_calm(sim))
		print_nodes(sim);
	sim_check(sim, sim_leader(sim) != 0, "no leader although nothing is wrong any more");
	sim_check(sim, workload_is_done(sim),
		"commands are stuck although nothing is wrong any more");
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		const struct eng_replica *r = shard_replica(n->shard, 0);
		sim_check(sim, n->is_up, "node %u is down", id);
		sim_check(sim, r->chosen.n == o->chosen_last, "node %u has chosen %lu of %lu", id,
			r->chosen.n, o->chosen_last);
		sim_check(sim, n->applied_count == o->order_count, "node %u executed %lu of %lu",
			id, n->applied_count, o->order_count);
	}
}
