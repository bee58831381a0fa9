/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster time, and the slots that a leader makes for its sake alone.
 *
 * Time is in the stamps of the slots (7.3), so in a log that nobody writes to it stands still. The
 * state machine says when it must be called at the latest: its deadline (14). Any slot brings the
 * time along, and while commands come there is nothing to do here. If nothing comes:
 *
 *   1. FLUSH tells the deadline, and the step that the leader wants to be woken when it has come
 *   2. FLUSH at that time: a no-op, stamped now
 *   3. it is applied, and every node sees from its stamp that the deadline has come
 *
 * What could go wrong:
 *   - two slots for one deadline: one is made only when everything proposed is chosen, and so has
 *     been applied
 *   - a deadline that stays in the past, whether much is due or the machine is wrong: another slot
 *     is made when its stamp is later by DUE_PAUSE_NS, and never sooner
 *   - no room, a train on its way, a transfer, a promise to somebody else: no slot. The deadline is
 *     still there when that is over, here or at the next leader, whose machine knows it as well
 */
#include "engine/core/replica.h"

/* What is still due after a slot was stamped later than it waits so long for the next: a machine
 * that does a part of its work at each moment gets a thousand moments a second, and one that is
 * wrong no more than that. */
#define DUE_PAUSE_NS 1000000ull

/* The last stamp of the past plus our own monotonic time since we became ready. */
uint64_t
stamp_now(const struct eng_replica *r)
{
	uint64_t stamp_ns = r->stamp_base_ns + (r->now_ns - r->stamp_from_ns);

	return stamp_ns > r->stamp_last_ns ? stamp_ns : r->stamp_last_ns;
}

/*
 * A leader is called every heartbeat, if nothing else happens. One that was not called for T was
 * stopped, or its host slept, and nobody was served: an outage like any other, only that a node
 * alone, or one of a cluster that slept as a whole, finds itself leader when it is over.
 */
void
stamp_leave_out(struct eng_replica *r, uint64_t away_ns)
{
	r->stamp_from_ns += away_ns;
}

/* Nothing is on its way that brings the time along, and nothing forbids a slot. */
static bool
may_make_slot(const struct eng_replica *r)
{
	return r->role == DECREE_LEADER && r->ready && r->reprepare_ns == NEVER &&
	       r->transfer.to == 0 && r->batch.bytes == 0 && r->next.n == r->chosen.n + 1 &&
	       leader_takes_commands(r, 1);
}

/* The stamp that the next slot must have to be worth making. Later than the last one in any case. */
static uint64_t
due_stamp(const struct eng_replica *r)
{
	return r->deadline_ns > r->stamp_last_ns ? r->deadline_ns : r->stamp_last_ns + DUE_PAUSE_NS;
}

uint64_t
due_wake_at(const struct eng_replica *r)
{
	if (r->deadline_ns == NEVER || !may_make_slot(r) || r->train.part_count != 0)
		return NEVER;
	uint64_t wait_ns = due_stamp(r) - r->stamp_base_ns;
	return wait_ns < NEVER - r->stamp_from_ns ? r->stamp_from_ns + wait_ns : NEVER;
}

void
due_flush(struct eng_replica *r, struct eng_effects *fx)
{
	if (r->deadline_ns == NEVER || !may_make_slot(r) || stamp_now(r) < due_stamp(r) ||
		leader_has_train(r) || !fx_has_room(fx, 2, 1))
		return;
	leader_propose_tick(r, fx);
}
