/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator: one person at a terminal outside of the cluster, who wants something and asks for
 * it as `decree member` does, with ADMIN requests over the same bad network. The operator asks
 * again until it is done, follows hints to the leader, sometimes asks twice, under another name and
 * at another node, and sometimes loses patience and wants something else. What was asked for once
 * may still come to pass: a frame was slow.
 */
#include "tests/sim/sim.h"

#include "base/bytes.h"
#include "engine/runtime/client_msg.h"
#include "engine/runtime/shard_private.h"

static const char *
name_of(uint32_t op)
{
	return op == DECREE_ADMIN_TRANSFER        ? "hand over to"
	       : op == DECREE_ADMIN_MEMBER_ADD    ? "add"
	       : op == DECREE_ADMIN_MEMBER_REMOVE ? "remove"
	       : op == DECREE_ADMIN_RAISE         ? "raise the version for"
						  : "replace";
}

/* ---- asking ---- */

static uint16_t
whom_to_ask(struct sim *sim)
{
	struct sim_operator *o = &sim->admin;
	uint16_t hint = o->leader;

	o->leader = 0; /* believed once: the node may not answer any more */
	return hint != 0 ? hint : sim_any_node(sim);
}

/* A node that no file names has no address there, and is not added. The file in which the operator
 * has written it down is read at a start; ours has room for one more node, and who runs knows it, too:
 * how files change is no part of these worlds. */
static void
write_down(struct sim *sim, uint16_t newcomer)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		struct sim_node *n = &sim->nodes[id];
		struct eng_config *cfg = n->is_up ? &n->shard->groups[0].config : NULL;

		if (cfg == NULL)
			continue;
		cfg->members[DECREE_NODE_COUNT_MAX - 1].node_id = newcomer;
		cfg->member_count = DECREE_NODE_COUNT_MAX;
	}
}

static void
request_send(struct sim *sim, uint16_t to, uint64_t token)
{
	const struct sim_request *wish = &sim->admin.wish;
	uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES] = { 0 };
	struct sim_frame *f = sim_frame_take(sim);
	struct client_msg m = {
		.type = CLIENT_MSG_ADMIN_REQUEST,
		.admin_request = { .token = token, .op = wish->op, .arguments = arguments },
	};

	if (f == NULL)
		return;
	store_u16(arguments, wish->node);
	store_u16(arguments + 2, wish->old);
	arguments[4] = wish->q1;
	arguments[5] = wish->q2;
	if (wish->op == DECREE_ADMIN_MEMBER_ADD || wish->op == DECREE_ADMIN_MEMBER_REPLACE) {
		struct decree_uuid disk = sim_node_disk(&sim->nodes[wish->node]);
		store_u64(arguments + 8, eng_disk_short(&disk));
		write_down(sim, wish->node);
	}
	f->src = 0;
	f->dst = to;
	f->bytes = client_msg_encode(&m, f->data, SIM_FRAME_BYTES);
	sim_frame_send(sim, f);
}

static void
next_time(struct sim *sim)
{
	sim_faults_note_operator(
		sim, sim->now_ns + sim_draw_between(&sim->random_faults, sim->election_ns / 10,
					   sim->election_ns));
}

static void
give_up(struct sim *sim)
{
	sim_trace(sim, "operator: gives up");
	sim->admin.is_busy = false;
	sim_faults_note_operator(sim, UINT64_MAX);
}

/* With leases of T and more, each hand-over may end with another leader than the wanted one, as the
 * others refuse that one until their grants have run out: who insists keeps the cluster from ever
 * being calm. */
void
operator_calms_down(struct sim *sim)
{
	if (sim->admin.is_busy && (sim->admin.wish.op == DECREE_ADMIN_TRANSFER ||
					  sim->admin.wish.op == DECREE_ADMIN_RAISE))
		give_up(sim);
}

void
operator_step(struct sim *sim)
{
	struct sim_operator *o = &sim->admin;
	uint64_t *random = &sim->random_faults;

	decree_assert(o->is_busy);
	if (o->patience == 0 && !sim->is_calm && o->lost == 0) {
		give_up(sim);
		return;
	}
	o->patience -= o->patience > 0;
	if (!sim->is_calm && sim_draw_percent(random, sim->faults.operator_quirks))
		o->token = ++o->token_last; /* the same again, as if for the first time */
	request_send(sim, whom_to_ask(sim), o->token);
	if (!sim->is_calm && sim_draw_percent(random, sim->faults.operator_quirks))
		request_send(sim, sim_any_node(sim), ++o->token_last); /* twice at once */
	next_time(sim);
}

void
operator_wants(struct sim *sim, const struct sim_request *wish)
{
	struct sim_operator *o = &sim->admin;

	decree_assert(o->asked_count < SIM_ASKED_COUNT);
	sim_trace(sim, "operator: wants to %s node %u%s%.0u, q1 %u, q2 %u", name_of(wish->op),
		wish->op == DECREE_ADMIN_MEMBER_REPLACE ? wish->old : wish->node,
		wish->op == DECREE_ADMIN_MEMBER_REPLACE ? " by node " : "",
		wish->op == DECREE_ADMIN_MEMBER_REPLACE ? wish->node : 0u, wish->q1, wish->q2);
	o->wish = *wish;
	o->asked[o->asked_count++] = *wish;
	o->is_busy = true;
	o->token = ++o->token_last;
	o->patience = (uint32_t)sim_draw_between(&sim->random_faults, 3, 60);
	sim_faults_note_operator(sim, sim->now_ns);
}

/* ---- answers ---- */

/* It may have changed again since; what was done cannot look as if it never was. */
static void
check_done(const struct sim *sim, const struct sim_request *wish)
{
	const struct eng_membership *m = governors_newest(sim);
	const struct eng_member *member = eng_member_find(m, wish->node);

	if (wish->op == DECREE_ADMIN_MEMBER_REMOVE)
		sim_check(sim, member == NULL, "node %u is still there, and called removed",
			wish->node);
	else
		sim_check(sim,
			wish->node <= m->id_last && (member == NULL || member->role == ENG_VOTER),
			"node %u does not vote, and is called added", wish->node);
	if (wish->op == DECREE_ADMIN_MEMBER_REPLACE)
		sim_check(sim, eng_member_find(m, wish->old) == NULL,
			"node %u is still there, and called replaced", wish->old);
}

static void
on_done(struct sim *sim)
{
	struct sim_operator *o = &sim->admin;

	if (o->wish.op == DECREE_ADMIN_TRANSFER)
		sim->count.transfers++;
	else if (o->wish.op == DECREE_ADMIN_RAISE)
		sim->count.raises += governors_newest(sim)->version > 1;
	else
		check_done(sim, &o->wish);
	sim_trace(sim, "operator: that is done");
	sim->count.changes[0] += o->wish.op == DECREE_ADMIN_MEMBER_ADD;
	sim->count.changes[1] += o->wish.op == DECREE_ADMIN_MEMBER_REMOVE;
	sim->count.changes[2] += o->wish.op == DECREE_ADMIN_MEMBER_REPLACE;
	o->is_busy = false;
	sim_faults_note_operator(sim, UINT64_MAX);
}

/* As things are it is not possible. They may change, until all is calm; a lost node must be
 * replaced. */
static void
on_refused(struct sim *sim, const struct client_msg *m)
{
	sim_trace(sim, "operator: is refused: %.*s", (int)m->admin_reply.text_bytes,
		(const char *)m->admin_reply.text);
	sim->count.changes_refused++;
	sim->admin.token = ++sim->admin.token_last; /* that one has got its answer */
	if (sim->admin.lost != 0)
		return;
	if (sim_draw_percent(&sim->random_faults, 30) || sim->is_calm)
		give_up(sim);
}

void
operator_receive(struct sim *sim, const struct sim_frame *f)
{
	struct sim_operator *o = &sim->admin;
	struct client_msg m;

	if (client_msg_decode(f->data, f->bytes, &m) != 0 || m.type != CLIENT_MSG_ADMIN_REPLY ||
		!o->is_busy || m.admin_reply.token != o->token)
		return;
	switch (m.admin_reply.status) {
	case CLIENT_ADMIN_DONE: on_done(sim); break;
	case CLIENT_ADMIN_FAILED:
	case CLIENT_ADMIN_REFUSED: on_refused(sim, &m); break;
	case CLIENT_ADMIN_NOT_LEADER: o->leader = m.admin_reply.leader; break;
	default: o->leader = f->src; break; /* begun, or busy: the same one again */
	}
}
