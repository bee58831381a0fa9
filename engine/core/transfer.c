/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leadership given away on request (10.5's TimeoutNow, but planned).
 *
 *   1. the leader takes no new commands, and seals what is waiting
 *   2. everything proposed is chosen, and durable at the successor: its phase 1 will find nothing
 *      to do
 *   3. TimeoutNow: the successor prepares a ballot of its own, without PreVote; its Prepare ends
 *      this leadership here and everywhere
 *
 * What goes wrong, and where it ends:
 *   - TimeoutNow is lost: it is repeated with every heartbeat
 *   - TimeoutNow comes late, when this leader has long gone on: it names the last heartbeat before
 *     it, and whoever has heard a later one of this ballot does not believe it
 *   - the successor is too slow, dead or cut off: after T this leader takes commands again
 *   - the successor is removed meanwhile: given up at once
 *   - this leader falls meanwhile: so does the plan, whoever leads next
 */
#include "engine/core/readindex.h"

void
timeout_now_send(struct eng_replica *r, uint32_t member, struct eng_effects *fx)
{
	struct eng_msg *m = message_add(r, ENG_MSG_LEADER_CHANGE, r->peers[member].node_id, fx);

	m->ballot = r->ballot;
	m->leader_change.start = r->start;
	m->leader_change.timeout_now = true;
	m->leader_change.seq = r->heartbeat_seq;
	lease_revoke(r);
}

static enum eng_transfer_result
transfer_check(const struct eng_replica *r, uint16_t to)
{
	int32_t member = peer_index(r, to);

	if (r->role != DECREE_LEADER || !r->ready || r->reprepare_ns != NEVER)
		return ENG_TRANSFER_NOT_LEADER;
	if (member < 0 || !(r->config.voters & set_of((uint32_t)member)))
		return ENG_TRANSFER_NOT_MEMBER;
	if ((uint32_t)member == r->self)
		return ENG_TRANSFER_SELF;
	if (!leader_hears(r, (uint32_t)member))
		return ENG_TRANSFER_UNHEARD;
	if (r->transfer.to != 0 && r->transfer.to != to)
		return ENG_TRANSFER_BUSY;
	return ENG_TRANSFER_OK;
}

/* Everything that this leader proposed is chosen, and the successor has it on its disk. */
static bool
transfer_is_due(const struct eng_replica *r)
{
	const struct peer *p = &r->peers[peer_index(r, r->transfer.to)];

	return r->batch.bytes == 0 && r->chosen.n + 1 == r->next.n && p->matched.n >= r->next.n &&
	       r->now_ns >= r->transfer.send_ns;
}

void
transfer_continue(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->transfer.to == 0)
		return;
	if (r->now_ns >= r->transfer.until_ns || peer_index(r, r->transfer.to) < 0) {
		r->transfer.to = 0;
		r->counters.transfers_failed++;
		return;
	}
	if (!transfer_is_due(r) || !fx_has_room(fx, 1, 0))
		return;
	timeout_now_send(r, (uint32_t)peer_index(r, r->transfer.to), fx);
	r->transfer.send_ns = r->heartbeat_ns; /* lost? again with the next one */
}

void
on_transfer(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	int32_t best = ev->transfer.to == 0 && r->role == DECREE_LEADER ? leader_best_peer(r) : -1;
	uint16_t to = best >= 0 ? r->peers[best].node_id : ev->transfer.to;
	enum eng_transfer_result result = transfer_check(r, to);

	*ev->transfer.ret_result = result;
	if (result != ENG_TRANSFER_OK || r->transfer.to == to)
		return;

	/* From here on: a plan, and no new commands until it has succeeded or failed. */

	r->transfer.to = to;
	r->transfer.until_ns = r->now_ns + r->cfg.election_ns;
	r->transfer.send_ns = r->now_ns;
	if (fx_has_room(fx, 1, 1))
		batch_seal(r, fx); /* else a flush does, as soon as there is room */
	transfer_continue(r, fx);
}

const char *
eng_transfer_result_name(enum eng_transfer_result result)
{
	switch (result) {
	case ENG_TRANSFER_OK: return "ok";
	case ENG_TRANSFER_NOT_LEADER: return "not-leader";
	case ENG_TRANSFER_NOT_MEMBER: return "not-member";
	case ENG_TRANSFER_SELF: return "self";
	case ENG_TRANSFER_UNHEARD: return "unheard";
	case ENG_TRANSFER_BUSY: return "busy";
	}
	return "?";
}
