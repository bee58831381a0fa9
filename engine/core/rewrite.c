/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that the disk has lost while this node runs (protocol 11.8).
 *
 * The log reads itself again in the background and tells what it cannot read any more. Memory still
 * knows what stood there, so nothing is in doubt and nothing is taken back: no vote, no
 * acknowledgement. But the next recovery would find a damaged copy, and a second fault elsewhere
 * could then lose what this node had. So the record is written again:
 *
 *   the slot is in the ring        at once, at the ballot and with the value that this node holds
 *                                  now
 *   it was decided, and has left   peers are asked for the decision, whatever its ballot: it
 *                                  outweighs every vote
 *   it was not, and is not there   no memory of the vote is left: a damaged copy like those of
 *                                  recovery (damage.c)
 *   a snapshot holds it            nothing: no recovery needs it
 *
 * Until the new record is durable, the slot counts as damaged in the status. The table is small;
 * what finds no place in it is told again when the log has been read once more.
 */
#include "engine/core/replica.h"

#include "base/digest.h"
#include "engine/core/record.h"

/* How often peers are asked for values, and for how many at a time. */
#define ASK_RETRY_NS  20000000ull
#define ASK_COUNT_MAX 8

static struct rewrite *
rewrite_find(struct eng_replica *r, struct decree_slot slot)
{
	for (uint32_t i = 0; i < r->rewrites.count; i++)
		if (r->rewrites.slots[i].slot.n == slot.n)
			return &r->rewrites.slots[i];
	return NULL;
}

static void
write_again(struct eng_replica *r, struct rewrite *w, const struct eng_record *record,
	const uint8_t *value, struct eng_effects *fx)
{
	record_append(r, record, value, fx);
	w->seq = r->persist_last;
}

static bool
has_room(const struct eng_replica *r, const struct eng_effects *fx)
{
	return r->log_space_slots > 0 && fx_has_room(fx, 0, 1);
}

static void
write_from_ring(struct eng_replica *r, struct rewrite *w, struct eng_effects *fx)
{
	const struct entry *e = entry_find(r, w->slot);

	if (w->seq != 0 || e == NULL || !has_room(r, fx))
		return;
	bool is_decided = e->decided || e->slot.n <= r->chosen.n;
	write_again(r, w,
		&(struct eng_record){
			.kind = is_decided ? ENG_RECORD_DECIDED : ENG_RECORD_ACCEPTED,
			.group = r->cfg.group,
			.slot = e->slot,
			.vballot = e->vballot,
			.digest = e->digest,
			.commit = r->chosen,
			.bytes = e->bytes,
		},
		value_place(r, e->slot), fx);
}

void
on_log_damaged(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	struct decree_slot slot = ev->log_damaged.slot;
	struct damage *mark = damage_find(r, slot);

	decree_assert(r->started && slot.n != 0);
	if (slot.n <= r->snapshot.durable.n || rewrite_find(r, slot) != NULL)
		return;
	if (mark != NULL) {
		mark->is_written &= !ev->log_damaged.is_mark;
		return; /* damage.c is at it */
	}
	if (ev->log_damaged.is_mark)
		return; /* of a copy that is whole again */
	if (slot.n > r->chosen.n && entry_find(r, slot) == NULL) {
		damage_found(r, slot, ev->log_damaged.vballot, ev->log_damaged.digest);
		return;
	}
	if (r->rewrites.count == REWRITE_COUNT_MAX)
		return;
	r->rewrites.slots[r->rewrites.count++] = (struct rewrite){ .slot = slot };
	r->rewrites.ask_ns = r->now_ns;
	rewrite_flush(r, fx);
}

void
rewrite_flush(struct eng_replica *r, struct eng_effects *fx)
{
	for (uint32_t i = 0; i < r->rewrites.count; i++)
		write_from_ring(r, &r->rewrites.slots[i], fx);
}

void
rewrite_on_persisted(struct eng_replica *r)
{
	for (uint32_t i = r->rewrites.count; i-- > 0;) {
		const struct rewrite *w = &r->rewrites.slots[i];
		bool is_done = w->seq != 0 && w->seq <= r->persisted;

		r->counters.rewritten += is_done;
		if (is_done || w->slot.n <= r->snapshot.durable.n)
			r->rewrites.slots[i] = r->rewrites.slots[--r->rewrites.count];
	}
}

/* ---- from peers ---- */

/* Another one each time: who has the value is not known. */
static uint16_t
peer_to_ask(struct eng_replica *r)
{
	do
		r->rewrites.asked = (r->rewrites.asked + 1) % r->peer_count;
	while (!(r->targets & set_of(r->rewrites.asked)));
	return r->peers[r->rewrites.asked].node_id;
}

void
rewrite_tick(struct eng_replica *r, struct eng_effects *fx)
{
	uint32_t left = ASK_COUNT_MAX;
	uint16_t to = 0;

	if (r->now_ns < r->rewrites.ask_ns)
		return;
	r->rewrites.ask_ns = NEVER;
	for (uint32_t i = 0; i < r->rewrites.count && left > 0 && !is_alone(r); i++) {
		uint32_t turn = r->rewrites.turn++ % r->rewrites.count;
		const struct rewrite *w = &r->rewrites.slots[turn];

		if (w->seq != 0 || entry_find(r, w->slot) != NULL)
			continue;
		if (to == 0)
			to = peer_to_ask(r);
		struct eng_msg *q = message_add(r, ENG_MSG_QUERY, to, fx);
		q->query.first = w->slot;
		q->query.after = slot_next(w->slot);
		q->query.accepted_too = false;
		r->counters.queries++;
		r->rewrites.ask_ns = r->now_ns + ASK_RETRY_NS;
		left--;
	}
}

void
rewrite_learn(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	struct rewrite *w = rewrite_find(r, m->query_reply.slot);

	if (w == NULL || w->seq != 0 || entry_find(r, w->slot) != NULL || !has_room(r, fx) ||
		m->query_reply.state != ENG_ENTRY_DECIDED || m->query_reply.vballot.n == 0 ||
		is_round_jump(r, m->query_reply.vballot))
		return;

	/* From here on: what was decided, and applied here long ago. */

	write_again(r, w,
		&(struct eng_record){
			.kind = ENG_RECORD_DECIDED,
			.group = r->cfg.group,
			.slot = w->slot,
			.vballot = m->query_reply.vballot,
			.digest = m->query_reply.digest,
			.commit = r->chosen,
			.bytes = m->query_reply.bytes,
		},
		m->query_reply.value, fx);
}
