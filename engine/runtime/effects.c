/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carry out what one step of the core asks for, in the order that core.h gives: log, messages,
 * apply, reads. The core holds a Promise or an Accepted back until it was told that the write is
 * durable, so every message here may leave at once.
 *
 * Messages are encoded straight into frames of the network. Frames gather over the steps of a turn
 * and leave in bursts; an unused empty frame is kept for the next turn.
 */
#include "base/probe.h"
#include "engine/runtime/shard_private.h"

/* @return false if the network has no empty frame: the message is lost */
bool
out_frame(struct shard *s, struct net_frame *ret_frame)
{
	if (s->empty_count == 0)
		s->empty_count = s->config.net_ops->alloc(s->net, s->empty, NET_BURST);
	if (s->empty_count == 0) {
		s->counters.no_frame++;
		return false;
	}
	*ret_frame = s->empty[--s->empty_count];
	return true;
}

/* An empty frame that was not needed after all. */
void
out_give_back(struct shard *s, const struct net_frame *frame)
{
	decree_assert(s->empty_count < NET_BURST);
	s->empty[s->empty_count++] = *frame;
}

void
out_push(struct shard *s, const struct net_frame *frame)
{
	decree_assert(frame->payload_bytes > 0);
	s->out[s->out_count++] = *frame;
	s->counters.frames_out++;
	if (s->out_count == NET_BURST)
		out_flush(s);
}

void
out_flush(struct shard *s)
{
	if (s->out_count == 0)
		return;
	s->config.net_ops->send(s->net, s->now_ns, s->out, s->out_count);
	s->out_count = 0;
	s->did_work = true;
}

static void
send_one(struct shard *s, const struct shard_group *g, struct eng_msg *m, uint16_t node_id)
{
	struct net_frame frame;

	m->dst = node_id;
	if (bundle_take(s, g, m) || !out_frame(s, &frame))
		return;
	frame.peer = (struct net_endpoint){ .node_id = node_id };
	frame.payload_bytes = eng_msg_encode(g->replica, m, frame.payload, s->config.frame_bytes);
	s->counters.messages_out++;
	out_push(s, &frame);
}

/* dst 0: every other member. */
static void
send_message(struct shard *s, const struct shard_group *g, struct eng_msg *m)
{
	uint16_t nodes[ENG_PEER_COUNT_MAX];

	if (m->dst != 0) {
		send_one(s, g, m, m->dst);
		return;
	}
	uint32_t count = eng_targets(g->replica, nodes);
	for (uint32_t i = 0; i < count; i++)
		send_one(s, g, m, nodes[i]);
}

static void
on_role_changed(struct shard *s, struct shard_group *g)
{
	struct eng_status before = g->status;

	eng_status(g->replica, &g->status);
	stages_on_role(g);
	BASE_PROBE4(leader_change, g->config.group, g->status.role, g->status.leader,
		g->status.ballot.n >> 16);
	g->is_deadline_old = true; /* who leads now may hold the state of a snapshot */
	if (g->status.leader != 0 &&
		(g->status.leader != before.leader || g->status.ballot.n != before.ballot.n))
		shard_note(s, g, NOTE_LEADER, "group %u: node %u leads, ballot %llu.%u",
			g->config.group, g->status.leader,
			(unsigned long long)(g->status.ballot.n >> 16),
			(unsigned)(g->status.ballot.n & 0xffff));
	else if (g->status.leader == 0 && before.leader != 0)
		shard_note(s, g, NOTE_NO_LEADER, "group %u: no leader", g->config.group);
	if (s->config.on_role != NULL)
		s->config.on_role(s->config.context, g->config.group, g->status.role,
			g->status.leader, g->status.ballot);
}

static void
on_alarm(struct shard *s, const struct shard_group *g)
{
	shard_note(s, g, NOTE_REFUSED,
		s->fx.alarm == ENG_FAIL_TWIN
			? "group %u: two processes run as node %u: both are refused. Stop them, "
			  "and replace the node by one with a new id"
			: "group %u: the disk of node %u was rolled back to an older state: it is "
			  "refused. Replace it by a node with a new id",
		g->config.group, s->fx.alarm_node);
}

static void
apply(struct shard *s, struct shard_group *g, struct decree_slot first, struct decree_slot after)
{
	uint64_t chosen_ns = stages_on_chosen(s, g, first, after);

	BASE_PROBE3(slots_chosen, g->config.group, first.n, after.n);
	apply_range(s, g, first, after);
	BASE_PROBE3(slots_applied, g->config.group, first.n, after.n);
	stages_on_applied(s, g, chosen_ns);
}

void
effects_carry_out(struct shard *s, struct shard_group *g)
{
	struct eng_effects *fx = &s->fx;

	if (fx->halt == ENG_HALT_VERSION) {
		version_halt(s, g);
		return;
	}
	if (fx->halt != ENG_HALT_NONE) {
		shard_stop(s, SHARD_STOPPED_HALT, "group %u: %s", g->config.group,
			eng_halt_text(fx->halt));
		return;
	}
	g->wake_at_ns = fx->wake_at_ns;
	if (fx->alarm != 0)
		on_alarm(s, g);
	if (fx->persist_count > 0 && !persist_append(s, g, fx)) {
		shard_stop(s, SHARD_STOPPED_NO_ROOM,
			"the log took fewer records than it had room for: this is an error in "
			"decree, please report it with the node's log");
		return;
	}
	if (fx->members_changed)
		version_changed(s, g);
	if (fx->hearsay_changed)
		hearsay_write(s, g);
	uint16_t fetch_from = fx->fetch_from; /* applying slots takes further steps */
	for (uint32_t i = 0; i < fx->message_count; i++)
		send_message(s, g, &fx->messages[i]);
	for (uint32_t i = 0; i < fx->read_ready_count; i++)
		query_on_ready(g, &fx->read_ready[i]);
	for (uint32_t i = 0; i < fx->read_count; i++)
		reads_ask(s, g, &fx->reads[i]);
	if (fx->role_changed)
		on_role_changed(s, g);
	if (fx->apply_first.n < fx->apply_after.n)
		apply(s, g, fx->apply_first, fx->apply_after);
	if (fetch_from != 0)
		transfer_want(s, g, fetch_from);
}
