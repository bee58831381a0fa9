/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader puts into slots.
 *
 *   1. pack commands into the next free slot while the previous write is on its way to the disk
 *   2. a slot goes to the own log and to every follower in the same turn
 *
 * A command larger than a slot becomes a train of fragments in consecutive slots (7.5a).
 */
#include "engine/core/replica.h"

#include "base/digest.h"

/* How long others wait for the next parts of a long command: longer than any retry of a client. */
#define TRAIN_PATIENCE_NS 250000000ull

/* ---- proposing ---- */

/* (slot, ballot) -> bytes is fixed here, at the first send (6.2). */
void
leader_propose(struct eng_replica *r, struct decree_slot slot, const uint8_t *value, uint32_t bytes,
	struct eng_effects *fx)
{
	/* 12.2, 12.3: what governs this slot is known, and has promised. */
	decree_assert(slot.n <= r->chosen.n + r->cfg.alpha);
	decree_assert(slot.n < r->limit.n);

	struct entry *e =
		entry_store(r, slot, r->ballot, base_digest(value, bytes), value, bytes, false, fx);
	uint64_t stamp_ns = eng_value_stamp(value_place(r, slot));

	e->acks = 0;
	if (r->stamp_last_ns < stamp_ns)
		r->stamp_last_ns = stamp_ns;
	retransmit_soon(r);
	if (value_place(r, slot)[0] == ENG_VALUE_CONFIG)
		membership_proposed(r, slot);
	if (is_alone(r))
		return;
	struct eng_msg *m = message_add(r, ENG_MSG_ACCEPT, 0, fx);
	m->ballot = r->ballot;
	m->accept.slot = slot;
	m->accept.start = r->start;
	m->accept.commit = r->chosen;
	m->accept.digest = e->digest;
	m->accept.value = value_place(r, slot);
	m->accept.bytes = e->bytes;
	r->announced = r->chosen;
}

static void
propose_nothing(
	struct eng_replica *r, struct decree_slot slot, uint64_t stamp_ns, struct eng_effects *fx)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];

	eng_value_begin(value, ENG_VALUE_NOOP);
	eng_value_set_stamp(value, stamp_ns);
	leader_propose(r, slot, value, sizeof(value), fx);
}

void
leader_propose_noop(struct eng_replica *r, struct decree_slot slot, struct eng_effects *fx)
{
	r->counters.noops++;
	propose_nothing(r, slot, r->stamp_last_ns, fx);
}

void
leader_propose_tick(struct eng_replica *r, struct eng_effects *fx)
{
	r->counters.ticks++;
	r->next.n++;
	propose_nothing(r, (struct decree_slot){ r->next.n - 1 }, stamp_now(r), fx);
}

/* ---- commands ---- */

static bool
window_has_room(const struct eng_replica *r, uint32_t slots)
{
	return r->next.n + slots <= r->chosen.n + r->cfg.window_slots + 1 &&
	       r->next.n + slots <= r->limit.n;
}

bool
leader_has_room(const struct eng_replica *r, uint32_t slots)
{
	return window_has_room(r, slots) && !replica_log_is_full(r);
}

/* What a quorum without room has to take is taken from reserves: nothing but what makes room. */
bool
leader_takes_commands(const struct eng_replica *r, uint32_t slots)
{
	return leader_has_room(r, slots) && !leader_lacks_roomy_quorum(r);
}

void
batch_seal(struct eng_replica *r, struct eng_effects *fx)
{
	uint32_t bytes = r->batch.bytes;

	if (bytes == 0)
		return;
	r->batch.bytes = 0;
	decree_assert(r->batch.value == value_place(r, r->next));
	eng_value_set_stamp(value_place(r, r->next), stamp_now(r));
	r->next.n++;
	leader_propose(r, (struct decree_slot){ r->next.n - 1 },
		value_place(r, (struct decree_slot){ r->next.n - 1 }), bytes, fx);
}

static void
batch_open(struct eng_replica *r)
{
	entry_place(r, r->next)->slot.n =
		0; /* what stood here is decided, applied and in the log */
	eng_batch_open(
		&r->batch, value_place(r, r->next), r->cfg.slot_bytes, r->cfg.command_bytes_max);
}

/* Other bytes under the same number are found by the train's digest, when it is applied. */
static bool
is_open_train(const struct eng_replica *r, const struct eng_command *c)
{
	return r->train.part_count != 0 && r->train.session.n == c->session.n &&
	       r->train.seq == c->seq && r->train.bytes == c->bytes;
}

bool
leader_has_train(struct eng_replica *r)
{
	if (r->train.part_count == 0)
		return false;
	if (r->now_ns < r->train.used_ns + TRAIN_PATIENCE_NS)
		return true;
	r->train.part_count = 0;
	return false;
}

/* Somebody's train is under way: nothing may stand between its parts. */
static bool
must_wait_for_train(struct eng_replica *r, const struct eng_command *c)
{
	return !is_open_train(r, c) && leader_has_train(r);
}

bool
leader_propose_mark(struct eng_replica *r, const struct eng_mark *mark, struct eng_effects *fx)
{
	uint32_t slots = r->batch.bytes > 0 ? 2 : 1;

	/* Not held back by a log that is full for commands: a snapshot is what makes room there. */
	if (!window_has_room(r, slots) || (r->log_space_slots < 2 && r->reserve.slots < 2) ||
		!fx_has_room(fx, 2, 2))
		return false;
	if (leader_has_train(r) && leader_takes_commands(r, 1))
		return false;
	r->train.part_count = 0; /* one that waits for that room is left, and begins anew */
	batch_seal(r, fx);

	struct decree_slot slot = r->next;
	uint8_t *value = value_place(r, slot);

	entry_place(r, slot)->slot.n = 0;
	uint32_t bytes = eng_value_mark(value, mark);
	eng_value_set_stamp(value, stamp_now(r));
	r->next.n++;
	leader_propose(r, slot, value, bytes, fx);
	return true;
}

static enum eng_submit_status
submit_admit(struct eng_replica *r, const struct eng_command *c)
{
	if (c->session.n == 0)
		return c->seq == 0 && eng_is_registration(c->bytes) ? ENG_SUBMIT_OK
								    : ENG_SUBMIT_NO_SESSION;
	return eng_session_admit(r->sessions, c->session, c->seq);
}

static uint32_t
part_bytes_max(const struct eng_replica *r)
{
	return r->cfg.slot_bytes - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES;
}

static void
propose_part(struct eng_replica *r, const struct eng_command *c, struct eng_effects *fx)
{
	struct decree_slot slot = r->next;
	uint32_t offset = r->train.part_next * part_bytes_max(r);
	uint32_t left = c->bytes - offset;
	struct eng_fragment f = {
		.session = c->session,
		.seq = c->seq,
		.train = r->train.first,
		.part = r->train.part_next++,
		.part_count = r->train.part_count,
		.command_bytes = c->bytes,
		.digest = r->train.digest,
		.bytes = c->body + offset,
		.count = left < part_bytes_max(r) ? left : part_bytes_max(r),
	};

	entry_place(r, slot)->slot.n = 0;
	uint32_t bytes = eng_value_fragment(value_place(r, slot), &f);
	eng_value_set_stamp(value_place(r, slot), stamp_now(r));
	r->next.n++;
	leader_propose(r, slot, value_place(r, slot), bytes, fx);
}

/* @return false if the command may not begin now; *ret_status says why */
static bool
train_begin(struct eng_replica *r, const struct eng_command *c, uint32_t parts,
	enum eng_submit_status *ret_status, struct eng_effects *fx)
{
	*ret_status = eng_session_may_admit(r->sessions, c->session, c->seq);
	if (*ret_status != ENG_SUBMIT_OK)
		return false;
	*ret_status = ENG_SUBMIT_BUSY;
	if (!leader_takes_commands(r, 2) || !fx_has_room(fx, 2, 2))
		return false;
	batch_seal(r, fx);
	r->train.session = c->session;
	r->train.seq = c->seq;
	r->train.bytes = c->bytes;
	r->train.digest = base_digest(c->body, c->bytes);
	r->train.first = r->next;
	r->train.part_next = 0;
	r->train.part_count = parts;
	return true;
}

/*
 * A train: fragments in consecutive slots, nothing between them (7.5a). A long one takes several
 * steps: the answer is BUSY until the last part is proposed, and the same command, given again,
 * goes on where it stopped. Meanwhile other commands wait, unless whoever sends the long one has
 * gone silent; then the train is left as it is, and every node discards it alike.
 */
static enum eng_submit_status
submit_train(
	struct eng_replica *r, const struct eng_command *c, uint32_t parts, struct eng_effects *fx)
{
	bool goes_on = is_open_train(r, c);
	enum eng_submit_status status;

	if (!goes_on && !train_begin(r, c, parts, &status, fx))
		return status;
	r->train.used_ns = r->now_ns;
	while (r->train.part_next < r->train.part_count) {
		bool is_last = r->train.part_next + 1 == r->train.part_count;

		if (!leader_takes_commands(r, 1) || !fx_has_room(fx, 1, 1))
			return ENG_SUBMIT_BUSY;
		if (goes_on && is_last &&
			!digest_eq(r->train.digest, base_digest(c->body, c->bytes))) {
			/* Other bytes than it began with: leave it, begin anew. */
			r->train.part_count = 0;
			return ENG_SUBMIT_BUSY;
		}
		propose_part(r, c, fx);
	}
	r->train.part_count = 0;
	return eng_session_admit(r->sessions, c->session, c->seq);
}

static enum eng_submit_status
submit_small(struct eng_replica *r, const struct eng_command *c, struct eng_effects *fx)
{
	bool fits = eng_batch_has_room(&r->batch, c);

	if (!fits &&
		(!leader_takes_commands(r, r->batch.bytes > 0 ? 2 : 1) || !fx_has_room(fx, 1, 1)))
		return ENG_SUBMIT_BUSY;
	enum eng_submit_status status = submit_admit(r, c);
	if (status != ENG_SUBMIT_OK)
		return status;
	if (!fits) {
		batch_seal(r, fx);
		batch_open(r);
	}
	uint32_t taken = eng_batch_add(&r->batch, c, 1);
	decree_assert(taken == 1);
	return ENG_SUBMIT_OK;
}

/* What submit_one() asks for each command is asked once for a run of them: the next ones of one
 * session, without a gap, as far as they go into the open batch. */
static bool
may_submit_run(struct eng_replica *r, struct decree_session session, uint64_t seq)
{
	return r->batch.bytes != 0 && r->transfer.to == 0 && r->train.part_count == 0 &&
	       eng_session_is_next(r->sessions, session, seq);
}

/* @return how many it took; 0: ask submit_one() */
static uint32_t
submit_run(struct eng_replica *r, const struct eng_command *commands, uint32_t count)
{
	if (!may_submit_run(r, commands[0].session, commands[0].seq))
		return 0;
	uint32_t taken = eng_batch_add(&r->batch, commands, count);
	eng_session_admit_more(r->sessions, taken);
	return taken;
}

static enum eng_submit_status
submit_one(struct eng_replica *r, const struct eng_command *c, struct eng_effects *fx)
{
	if (c->bytes > r->cfg.command_bytes_max)
		return ENG_SUBMIT_TOO_LARGE;
	if (r->transfer.to != 0 || must_wait_for_train(r, c))
		return ENG_SUBMIT_BUSY;
	uint32_t parts = eng_value_part_count(c->bytes, r->cfg.slot_bytes);
	return parts == 1 ? submit_small(r, c, fx) : submit_train(r, c, parts, fx);
}

/* @return whether this node leads, and may propose */
static bool
submit_begin(struct eng_replica *r)
{
	bool leads = r->role == DECREE_LEADER && r->ready && r->reprepare_ns == NEVER;

	if (leads && r->admit_reset) {
		eng_sessions_admit_reset(r->sessions);
		r->admit_reset = false;
	}
	return leads;
}

void
on_submit(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	bool leads = submit_begin(r);

	for (uint32_t i = 0; i < ev->submit.count; i++) {
		uint32_t run =
			leads ? submit_run(r, &ev->submit.commands[i], ev->submit.count - i) : 0;

		for (; run > 0; run--)
			ev->submit.ret_statuses[i++] = ENG_SUBMIT_OK;
		if (i < ev->submit.count)
			ev->submit.ret_statuses[i] =
				leads ? submit_one(r, &ev->submit.commands[i], fx)
				      : ENG_SUBMIT_NOT_LEADER;
	}
}

void
on_submit_run(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	const struct eng_body *bodies = ev->submit_run.bodies;
	const struct decree_session session = ev->submit_run.session;
	const uint32_t count = ev->submit_run.count;
	enum eng_submit_status status = ENG_SUBMIT_NOT_LEADER;
	bool leads = submit_begin(r);
	uint32_t taken = 0;

	decree_assert(session.n != 0);
	while (leads && taken < count) {
		uint64_t seq = ev->submit_run.seq + taken;

		if (may_submit_run(r, session, seq)) {
			uint32_t run = eng_batch_add_run(
				&r->batch, session, seq, &bodies[taken], count - taken);

			eng_session_admit_more(r->sessions, run);
			taken += run;
			if (run > 0)
				continue;
		}
		status = submit_one(r,
			&(struct eng_command){
				session, seq, bodies[taken].body, bodies[taken].bytes },
			fx);
		if (status != ENG_SUBMIT_OK && status != ENG_SUBMIT_DUPLICATE)
			break;
		taken++;
	}
	*ev->submit_run.ret_taken = taken;
	*ev->submit_run.ret_status = status;
}
