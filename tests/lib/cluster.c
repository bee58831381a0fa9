/* SPDX-License-Identifier: Apache-2.0 */
/* What happens among nodes that are up: steps and their effects, messages, writes, time. */
#include "tests/lib/cluster.h"

#include "base/digest.h"
#include "tests/lib/applied.h"

#include <stdlib.h>

#define MS 1000000ull

/* ---- taking up effects ---- */

static void
take_writes(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];

	for (uint32_t i = 0; i < c->fx->persist_count; i++) {
		const struct eng_persist *p = &c->fx->persists[i];
		struct cluster_write w = { .seq = p->seq, .kind = p->kind, .bytes = p->bytes };
		memcpy(w.tag, p->tag, sizeof(w.tag));
		if (p->bytes > 0)
			memcpy(w.value, p->value, p->bytes);
		n->outstanding = realloc(
			n->outstanding, (n->outstanding_count + 1) * sizeof(*n->outstanding));
		n->outstanding[n->outstanding_count++] = w;
		if (c->on_write != NULL)
			c->on_write(c, node, &w);
	}
}

struct cluster_frame *
cluster_frame_add(struct cluster *c, uint16_t src, uint16_t dst)
{
	decree_assert(c->flight_count < CLUSTER_FLIGHT_MAX);
	if (c->flight_count == c->flight_room) {
		c->flight_room = c->flight_room == 0 ? 64 : 2 * c->flight_room;
		c->flight = realloc(c->flight, c->flight_room * sizeof(*c->flight));
		decree_assert(c->flight != NULL);
	}
	struct cluster_frame *f = &c->flight[c->flight_count++];
	f->number = c->frame_number++;
	f->src = src;
	f->dst = dst;
	return f;
}

static void
send_to(struct cluster *c, uint16_t node, struct eng_msg m, uint16_t dst)
{
	struct cluster_frame *f = cluster_frame_add(c, node, dst);

	m.dst = dst;
	f->bytes = eng_msg_encode(c->nodes[node].replica, &m, f->data, sizeof(f->data));
}

static void
take_messages(struct cluster *c, uint16_t node)
{
	for (uint32_t i = 0; i < c->fx->message_count; i++) {
		const struct eng_msg *m = &c->fx->messages[i];
		uint16_t targets[ENG_PEER_COUNT_MAX] = { m->dst };
		uint32_t count = m->dst != 0 ? 1 : eng_targets(c->nodes[node].replica, targets);
		if (c->on_send != NULL)
			c->on_send(c, m, m->dst);
		for (uint32_t k = 0; k < count; k++)
			send_to(c, node, *m, targets[k]);
	}
}

static void
deadline_has_come(struct cluster *c, uint16_t node)
{
	if (!c->is_deadline_staying)
		c->nodes[node].deadline_ns = NEVER;
	if (c->on_due != NULL)
		c->on_due(c, node);
}

static void
on_command(struct cluster *c, uint16_t node, struct decree_slot slot, const struct eng_applied *a)
{
	struct cluster_node *n = &c->nodes[node];

	if (a->verdict == ENG_EXECUTE) {
		n->executed++;
		applied_answer(n->sessions, a->session, a->seq, 0, slot.n << 16 | a->index);
	}
	if (c->on_command != NULL)
		c->on_command(c, node, slot, a);
}

static void
apply_slot(struct cluster *c, uint16_t node, struct decree_slot slot)
{
	struct cluster_node *n = &c->nodes[node];
	struct eng_applied applied[64];
	struct decree_command commands[64];
	uint64_t cluster_ns;
	uint32_t bytes;
	const uint8_t *value = eng_value(n->replica, slot, &bytes);

	decree_assert(slot.n == n->applied.n + 1);
	n->applied = slot;
	struct decree_digest d[2] = { n->applied_digest, base_digest(value, bytes) };
	n->applied_digest = base_digest(d, sizeof(d));
	if (c->on_apply != NULL)
		c->on_apply(c, node, slot, value, bytes);
	uint32_t count =
		eng_sessions_apply(n->sessions, slot, value, bytes, applied, commands, &cluster_ns);
	for (uint32_t i = 0; i < count; i++)
		do
			on_command(c, node, slot, &applied[i]);
		while (applied_next(&applied[i]));
	if (cluster_ns >= n->deadline_ns)
		deadline_has_come(c, node);
	if (bytes > 0 && value[0] == ENG_VALUE_MARK)
		cluster_step(c, node,
			&(struct eng_event){ .type = ENG_EV_DIGEST,
				.now_ns = n->replica->now_ns,
				.digest = {
					slot, eng_state_digest(n->sessions, n->applied_digest) } });
}

/* A log takes no more records than it has said; more of them would end the node. Hard states are
 * none. */
static void
check_room(const struct eng_effects *fx, uint32_t record_room)
{
	uint32_t records = 0;

	for (uint32_t i = 0; i < fx->persist_count; i++)
		records += fx->persists[i].kind == ENG_PERSIST_RECORD;
	decree_assert(records <= record_room);
}

void
cluster_step(struct cluster *c, uint16_t node, struct eng_event *ev)
{
	struct cluster_node *n = &c->nodes[node];

	if (!n->up || n->halted != ENG_HALT_NONE)
		return;
	ev->record_room = n->record_room != 0 ? n->record_room - 1 : ENG_FX_PERSIST_MAX;
	eng_step(n->replica, ev, c->fx);
	check_room(c->fx, ev->record_room);
	if (c->fx->halt != ENG_HALT_NONE) {
		n->halted = c->fx->halt;
		if (c->on_halt != NULL)
			c->on_halt(c, node, c->fx->halt);
		return;
	}
	n->wake_at_ns = c->fx->wake_at_ns;
	if (c->fx->hearsay_changed) {
		memcpy(n->hearsay, eng_hearsay(n->replica), sizeof(n->hearsay));
		n->has_hearsay = true;
	}
	take_writes(c, node);
	take_messages(c, node);
	bool role_changed = c->fx->role_changed;
	for (uint32_t i = 0; i < c->fx->read_ready_count && c->on_read != NULL; i++)
		c->on_read(c, node, &c->fx->read_ready[i]);
	uint16_t fetch_from = c->fx->fetch_from;
	uint64_t after = c->fx->apply_after.n; /* a MARK makes a step of its own */
	for (uint64_t slot = c->fx->apply_first.n; slot < after && n->halted == ENG_HALT_NONE;
		slot++)
		apply_slot(c, node, (struct decree_slot){ slot });
	if (role_changed && c->on_role != NULL)
		c->on_role(c, node);
	if (fetch_from != 0 && c->on_fetch != NULL)
		c->on_fetch(c, node, fetch_from);
}

void
cluster_flush(struct cluster *c, uint16_t node)
{
	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_FLUSH,
			.now_ns = c->now_ns,
			.flush = { .log_is_idle = !c->nodes[node].log_is_busy,
				.log_space_slots = c->nodes[node].log_is_full
							   ? c->nodes[node].log_slots_left
							   : 1000000,
				.log_reserve_slots = c->nodes[node].log_slots_reserve,
				.deadline_ns = c->nodes[node].deadline_ns } });
}

void
cluster_tick(struct cluster *c, uint16_t node)
{
	if (!c->nodes[node].up || c->now_ns < c->nodes[node].wake_at_ns)
		return;
	cluster_step(c, node, &(struct eng_event){ .type = ENG_EV_TICK, .now_ns = c->now_ns });
	cluster_flush(c, node);
}

void
cluster_persist(struct cluster *c, uint16_t node, uint32_t count)
{
	struct cluster_node *n = &c->nodes[node];

	if (count > n->outstanding_count)
		count = n->outstanding_count;
	if (!n->up || count == 0)
		return;
	uint64_t seq = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct cluster_write *w = &n->outstanding[i];
		seq = w->seq;
		if (w->kind == ENG_PERSIST_HARD) {
			memcpy(n->hard, w->tag, ENG_HARD_BYTES);
			n->has_hard = true;
			continue;
		}
		n->durable = realloc(n->durable, (n->durable_count + 1) * sizeof(*n->durable));
		n->durable[n->durable_count++] = *w;
	}
	n->outstanding_count -= count;
	memmove(n->outstanding, n->outstanding + count,
		n->outstanding_count * sizeof(*n->outstanding));
	cluster_step(c, node,
		&(struct eng_event){
			.type = ENG_EV_PERSISTED, .now_ns = c->now_ns, .persisted.seq = seq });
	cluster_flush(c, node);
}

void
cluster_drop(struct cluster *c, uint32_t index)
{
	decree_assert(index < c->flight_count);
	c->flight_count--;
	memmove(&c->flight[index], &c->flight[index + 1],
		(c->flight_count - index) * sizeof(*c->flight));
}

static void
take_reads(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];
	struct eng_read reads[ENG_FX_READ_MAX];
	uint32_t count = c->fx->read_count;

	memcpy(reads, c->fx->reads, count * sizeof(*reads));
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = n->durable_count; j-- > 0;) {
			struct eng_record record;
			eng_record_decode(n->durable[j].tag, &record);
			if (record.slot.n != reads[i].slot.n || record.kind == ENG_RECORD_FAULTY ||
				n->durable[j].damage != CLUSTER_WHOLE)
				continue;
			cluster_step(c, node,
				&(struct eng_event){ .type = ENG_EV_VALUE,
					.now_ns = c->now_ns,
					.value = { reads[i].requester, n->durable[j].tag,
						n->durable[j].value, n->durable[j].bytes } });
			break;
		}
}

void
cluster_deliver(struct cluster *c, uint32_t index, bool keep)
{
	struct cluster_frame f = c->flight[index];
	struct eng_msg m;

	if (!keep)
		cluster_drop(c, index);
	if (!c->nodes[f.dst].up)
		return;
	int rc = eng_msg_decode(f.data, f.bytes, &m);
	decree_assert(rc == 0);
	cluster_step(c, f.dst,
		&(struct eng_event){ .type = ENG_EV_RECV,
			.now_ns = c->now_ns,
			.recv = { .msg = &m, .version_max = c->nodes[f.src].version_speaks } });
	take_reads(c, f.dst);
	cluster_flush(c, f.dst);
}

void
cluster_settle(struct cluster *c)
{
	bool busy = true;

	while (busy) {
		busy = false;
		while (c->flight_count > 0) {
			cluster_deliver(c, 0, false);
			busy = true;
		}
		for (uint16_t node = 1; node <= c->node_count; node++) {
			if (c->nodes[node].up && c->nodes[node].outstanding_count > 0) {
				cluster_persist(c, node, UINT32_MAX);
				busy = true;
			}
		}
	}
}

void
cluster_run(struct cluster *c, uint64_t ns)
{
	uint64_t end_ns = c->now_ns + ns;

	while (c->now_ns < end_ns) {
		uint64_t next_ns = end_ns;
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].up && c->nodes[node].wake_at_ns < next_ns)
				next_ns = c->nodes[node].wake_at_ns;
		if (c->now_ns < next_ns)
			c->now_ns = next_ns;
		else
			c->now_ns += 1000;
		for (uint16_t node = 1; node <= c->node_count; node++)
			cluster_tick(c, node);
		cluster_settle(c);
	}
}

uint16_t
cluster_elect_any(struct cluster *c, uint64_t ns)
{
	for (uint64_t end_ns = c->now_ns + ns; c->now_ns < end_ns;) {
		cluster_run(c, 10 * MS);
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].up && cluster_replica(c, node)->ready)
				return node;
	}
	return 0;
}

bool
cluster_elect(struct cluster *c, uint16_t node)
{
	for (int attempt = 0; attempt < 10; attempt++) {
		struct eng_replica *r = cluster_replica(c, node);
		if (r->role == DECREE_LEADER && r->ready)
			return true;
		/* Nobody has been heard for T, and nobody else's timer has gone off. */
		if (c->now_ns < r->heard_ns + 2 * r->cfg.election_ns + 1 ||
			c->now_ns < r->started_ns + 2 * r->cfg.election_ns + 1)
			c->now_ns += 2 * r->cfg.election_ns + 1;
		r->election_ns = c->now_ns;
		cluster_step(
			c, node, &(struct eng_event){ .type = ENG_EV_TICK, .now_ns = c->now_ns });
		cluster_flush(c, node);
		cluster_settle(c);
	}
	return cluster_replica(c, node)->ready;
}

enum eng_submit_status
cluster_submit(struct cluster *c, uint16_t node, struct decree_session session, uint64_t seq,
	const void *body, uint32_t bytes)
{
	enum eng_submit_status status = ENG_SUBMIT_NOT_LEADER;
	struct eng_command command = { session, seq, body, bytes };

	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_SUBMIT,
			.now_ns = c->now_ns,
			.submit = { &command, 1, &status } });
	cluster_flush(c, node);
	return status;
}

void
cluster_deadline(struct cluster *c, uint64_t deadline_ns, bool stays)
{
	c->deadline_ns = deadline_ns;
	c->is_deadline_staying = stays;
	for (uint16_t node = 1; node <= c->node_count; node++) {
		c->nodes[node].deadline_ns = deadline_ns;
		if (c->nodes[node].up)
			cluster_flush(c, node);
	}
}

void
cluster_read(struct cluster *c, uint16_t node, uint64_t id)
{
	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_READ, .now_ns = c->now_ns, .read.id = id });
	cluster_flush(c, node);
}

enum eng_member_result
cluster_member(struct cluster *c, uint16_t node, const struct eng_member_change *change)
{
	enum eng_member_result result = ENG_MEMBER_NOT_LEADER;

	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_MEMBER,
			.now_ns = c->now_ns,
			.member = { change, &result } });
	cluster_flush(c, node);
	return result;
}
