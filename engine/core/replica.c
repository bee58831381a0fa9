/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step of a replica: turn an event into calls of the handlers, then say when to be woken. And
 * what all handlers share: the ring of slots, the effects.
 */
#include "engine/core/replica.h"

#include "base/digest.h"
#include "base/version.h"
#include "engine/core/readindex.h"
#include "engine/core/record.h"

static size_t
align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static uint32_t
value_stride(const struct eng_config *config)
{
	return (uint32_t)align64(config->slot_bytes);
}

size_t
eng_replica_bytes(const struct eng_config *config)
{
	return align64(sizeof(struct eng_replica)) +
	       align64(config->ring_slots * sizeof(struct entry)) +
	       align64(config->ring_slots * sizeof(struct choice)) +
	       (size_t)config->ring_slots * value_stride(config);
}

static void
config_check(const struct eng_config *c)
{
	decree_assert(c->member_count >= 1 && c->member_count <= DECREE_NODE_COUNT_MAX);
	decree_assert((c->ring_slots & (c->ring_slots - 1)) == 0);
	decree_assert(c->ring_slots >= 2 * c->alpha && c->window_slots <= c->alpha);
	decree_assert(c->slot_bytes + ENG_VALUE_OVERHEAD_BYTES <= c->frame_bytes);
	decree_assert(c->slot_bytes >= ENG_VALUE_HEADER_BYTES + ENG_CONFIG_BYTES_MAX);
	decree_assert(
		c->ring_slots / eng_promise_entry_count_max(c->frame_bytes) < FRAGMENT_WORDS * 64);
	decree_assert(c->election_ns / c->heartbeat_ns < HEARTBEAT_HISTORY / 4);
	decree_assert(c->max_drift_ppm < 1000000);
	decree_assert(c->version_min <= c->version_max);
}

struct eng_replica *
eng_replica_init(void *memory, const struct eng_config *config, struct eng_sessions *sessions)
{
	struct eng_replica *r = memory;
	uint8_t *at = (uint8_t *)memory + align64(sizeof(*r));

	config_check(config);
	r->cfg = *config;
	if (r->cfg.version_max == 0)
		r->cfg.version_min = r->cfg.version_max = VERSION_FIRST;
	r->sessions = sessions;
	r->random = config->seed | 1;
	membership_init(r);
	r->query_peer = r->self; /* nobody was asked yet */
	r->query_turn = r->self;
	r->low.n = 1;
	r->stalled_since_ns = NEVER;
	r->query_ns = NEVER;
	r->election_ns = NEVER;
	r->reprepare_ns = NEVER;
	r->announce_ns = NEVER;
	r->damage.repair_ns = NEVER;
	r->rewrites.ask_ns = NEVER;
	r->inherit_ns = NEVER;
	r->reads.retry_ns = NEVER;
	r->reads.round_retry_ns = NEVER;
	r->audit.ask_ns = NEVER;
	r->deadline_ns = NEVER;
	r->log_space_slots = UINT64_MAX;
	r->value_stride = value_stride(config);
	r->entries = (struct entry *)at;
	at += align64(config->ring_slots * sizeof(struct entry));
	r->choices = (struct choice *)at;
	at += align64(config->ring_slots * sizeof(struct choice));
	r->values = at;
	return r;
}

int32_t
peer_index(const struct eng_replica *r, uint16_t node_id)
{
	for (uint32_t i = 0; i < r->peer_count; i++)
		if (r->peers[i].node_id == node_id)
			return (int32_t)i;
	return -1;
}

/* splitmix64 (Steele et al., 2014): good enough to keep candidates apart. */
uint64_t
random_below(struct eng_replica *r, uint64_t bound)
{
	uint64_t z = r->random += 0x9e3779b97f4a7c15ull;

	decree_assert(bound > 0);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return z % bound;
}

/* ---- effects ---- */

static void
fx_reset(struct eng_effects *fx, uint32_t record_room)
{
	fx->persist_max = record_room < ENG_FX_PERSIST_MAX ? record_room : ENG_FX_PERSIST_MAX;
	fx->persist_count = 0;
	fx->message_count = 0;
	fx->read_count = 0;
	fx->read_ready_count = 0;
	fx->apply_first.n = 0;
	fx->apply_after.n = 0;
	fx->wake_at_ns = NEVER;
	fx->halt = ENG_HALT_NONE;
	fx->alarm = 0;
	fx->role_changed = false;
	fx->fetch_from = 0;
	fx->members_changed = false;
	fx->hearsay_changed = false;
}

bool
fx_has_room(const struct eng_effects *fx, uint32_t messages, uint32_t persists)
{
	/* A little is kept back for the answers and the hard state that every handler may add. */
	return fx->message_count + messages + 16 <= ENG_FX_MESSAGE_MAX &&
	       fx->persist_count + persists <= fx->persist_max &&
	       fx->persist_count + persists + 2 <= ENG_FX_PERSIST_MAX;
}

void
halt(struct eng_replica *r, enum eng_halt why, struct eng_effects *fx)
{
	if (r->halt == ENG_HALT_NONE)
		r->halt = why;
	fx->halt = r->halt;
}

struct eng_persist *
persist_add(struct eng_replica *r, enum eng_persist_kind kind, struct eng_effects *fx)
{
	decree_assert(fx->persist_count < ENG_FX_PERSIST_MAX);
	struct eng_persist *p = &fx->persists[fx->persist_count++];

	if (r->persisted == r->persist_last)
		r->stalled_since_ns = r->now_ns;
	p->kind = kind;
	p->seq = ++r->persist_last;
	return p;
}

void
hard_persist(struct eng_replica *r, struct eng_effects *fx)
{
	struct eng_persist *p = persist_add(r, ENG_PERSIST_HARD, fx);
	struct eng_hard hard = {
		.promised = r->promised,
		.snapshot = r->snapshot.slot,
		.snapshot_digest = r->snapshot.digest,
		.doubt = r->damage.doubt,
	};

	r->promised_hard = r->promised;
	p->slot.n = 0;
	p->value = NULL;
	p->bytes = 0;
	eng_hard_encode(&hard, p->tag);
}

void
promise_persist(struct eng_replica *r, struct decree_ballot ballot, struct eng_effects *fx)
{
	decree_assert(ballot.n > r->promised.n);

	r->promised = ballot;
	r->promise_due.wanted = false; /* to a candidate that has lost meanwhile */
	hard_persist(r, fx);
}

struct eng_persist *
record_append(struct eng_replica *r, const struct eng_record *record, const uint8_t *value,
	struct eng_effects *fx)
{
	struct eng_persist *p = persist_add(r, ENG_PERSIST_RECORD, fx);

	p->slot = record->slot;
	p->value = value;
	p->bytes = record->bytes;
	eng_record_encode(record, p->tag);
	return p;
}

struct entry *
entry_store(struct eng_replica *r, struct decree_slot slot, struct decree_ballot ballot,
	struct decree_digest digest, const uint8_t *value, uint32_t bytes, bool decided,
	struct eng_effects *fx)
{
	struct entry *e = entry_place(r, slot);
	uint8_t *place = value_place(r, slot);

	decree_assert(slot.n <= ring_last(r).n);
	decree_assert(bytes <= r->cfg.slot_bytes);
	decree_assert(e->slot.n == slot.n || e->slot.n <= r->released.n);
	decree_assert(e->slot.n != slot.n || ballot.n >= e->vballot.n || decided);

	bool was_decided = e->slot.n == slot.n && e->decided;
	decree_assert(!was_decided || digest_eq(e->digest, digest));
	if (place != value)
		memcpy(place, value, bytes);
	*e = (struct entry){
		.slot = slot,
		.vballot = ballot,
		.digest = digest,
		.bytes = bytes,
		.decided = decided || was_decided,
		.sent_ns = r->now_ns,
	};
	if (r->last.n < slot.n)
		r->last = slot;
	damage_clear(r, slot);

	e->persist_seq = record_append(r,
		&(struct eng_record){
			.kind = decided ? ENG_RECORD_DECIDED : ENG_RECORD_ACCEPTED,
			.group = r->cfg.group,
			.slot = slot,
			.vballot = ballot,
			.digest = digest,
			.commit = r->chosen,
			.bytes = bytes,
		},
		place, fx)
				 ->seq;
	return e;
}

struct eng_msg *
message_add(struct eng_replica *r, enum eng_msg_type type, uint16_t dst, struct eng_effects *fx)
{
	decree_assert(fx->message_count < ENG_FX_MESSAGE_MAX);
	struct eng_msg *m = &fx->messages[fx->message_count++];

	eng_msg_address(r, type, dst, m);
	return m;
}

void
eng_msg_address(
	const struct eng_replica *r, enum eng_msg_type type, uint16_t dst, struct eng_msg *ret_msg)
{
	ret_msg->type = type;
	ret_msg->src = r->cfg.node_id;
	ret_msg->dst = dst;
	ret_msg->group = r->cfg.group;
	ret_msg->epoch = r->epoch;
	ret_msg->src_nonce = r->cfg.nonce;
	ret_msg->src_disk = eng_disk_short(&r->cfg.disk);
	ret_msg->ballot.n = 0;
}

void
failure_send(struct eng_replica *r, const struct eng_msg *m, enum eng_failure_reason reason,
	struct eng_effects *fx)
{
	struct eng_msg *f = message_add(r, ENG_MSG_FAILURE, m->src, fx);

	f->ballot = m->ballot;
	f->failure.reason = reason;
	f->failure.promised = ballot_highest(r);
	f->failure.dst_nonce = m->src_nonce;
	f->failure.snapshot.n = 0;
	f->failure.other_disk = false;
}

struct eng_promise_entry
eng_replica_promise_entry(const struct eng_replica *r, struct decree_slot slot)
{
	const struct entry *e = entry_find(r, slot);

	if (e == NULL && damage_find(r, slot) == NULL)
		return (struct eng_promise_entry){ .state = ENG_ENTRY_NONE };
	if (e == NULL || !is_sound(r, e))
		return damage_promise_entry(r, slot);
	return (struct eng_promise_entry){
		.vballot = e->vballot,
		.digest = e->digest,
		.bytes = e->bytes,
		.state = e->decided ? ENG_ENTRY_DECIDED : ENG_ENTRY_ACCEPTED,
	};
}

bool
value_is_sound(const struct eng_replica *r, const uint8_t *value, uint32_t bytes,
	struct decree_digest digest)
{
	struct eng_value v;

	return bytes <= r->cfg.slot_bytes && digest_eq(digest, base_digest(value, bytes)) &&
	       eng_value_decode(value, bytes, &v) == 0 &&
	       v.count <= eng_value_commands_max(r->cfg.slot_bytes);
}

const uint8_t *
eng_value(const struct eng_replica *r, struct decree_slot slot, uint32_t *ret_bytes)
{
	const struct entry *e = entry_find(r, slot);

	decree_assert(e != NULL && slot.n <= r->chosen.n);
	*ret_bytes = e->bytes;
	return value_place(r, slot);
}

/* ---- the step ---- */

/* A PreVote names a ballot that nobody may ever begin. Two nodes that each went above the other's
 * would climb for as long as neither can be elected (10.2: no state changes). */
static bool
is_ballot_begun(enum eng_msg_type type)
{
	return type != ENG_MSG_PREVOTE && type != ENG_MSG_PREVOTE_REPLY;
}

/* Frames of strangers, of other groups, of disks that the cluster does not know: not for us. */
static bool
is_welcome(struct eng_replica *r, const struct eng_msg *m, struct eng_effects *fx)
{
	int32_t index = peer_index(r, m->src);

	if (index < 0)
		index = peer_admit(r, m);
	if (index < 0)
		membership_on_stranger(r, m, fx);
	if (index < 0 || (uint32_t)index == r->self || m->group != r->cfg.group ||
		m->src_disk == 0) {
		r->counters.dropped_not_member++;
		return false;
	}
	if (r->peers[index].member_disk != m->src_disk &&
		!is_known_sender(r, (uint32_t)index, m, fx)) {
		r->counters.dropped_not_member++;
		return false;
	}
	if (is_round_jump(r, m->ballot)) {
		r->counters.round_jumps++;
		return false;
	}
	if (!guard_admits(r, (uint32_t)index, m, fx))
		return false;
	r->peers[index].disk = m->src_disk;
	if (is_ballot_begun(m->type) && r->round_seen < ballot_round(m->ballot))
		r->round_seen = ballot_round(m->ballot);
	return true;
}

static void
on_recv(struct eng_replica *r, const struct eng_msg *m, uint8_t version_max, struct eng_effects *fx)
{
	r->was_welcome = is_welcome(r, m, fx);
	if (!r->was_welcome)
		return;
	r->peers[peer_index(r, m->src)].version_max =
		version_max != 0 ? version_max : VERSION_FIRST;
	switch (m->type) {
	case ENG_MSG_PREVOTE: on_prevote(r, m, fx); break;
	case ENG_MSG_PREVOTE_REPLY: on_prevote_reply(r, m, fx); break;
	case ENG_MSG_PREPARE: on_prepare(r, m, fx); break;
	case ENG_MSG_PROMISE: on_promise(r, m, fx); break;
	case ENG_MSG_ACCEPT: on_accept(r, m, fx); break;
	case ENG_MSG_ACCEPTED: on_accepted(r, m, fx); break;
	case ENG_MSG_SUCCESS: on_success(r, m, fx); break;
	case ENG_MSG_FAILURE: on_failure(r, m, fx); break;
	case ENG_MSG_LEADER_CHANGE: on_leader_change(r, m, fx); break;
	case ENG_MSG_HEARTBEAT: on_heartbeat(r, m, fx); break;
	case ENG_MSG_HEARTBEAT_ECHO: on_heartbeat_echo(r, m, fx); break;
	case ENG_MSG_QUERY: on_query(r, m, fx); break;
	case ENG_MSG_QUERY_REPLY: on_query_reply(r, m, fx); break;
	case ENG_MSG_READ_INDEX: on_read_index(r, m, fx); break;
	case ENG_MSG_READ_INDEX_REPLY: on_read_index_reply(r, m, fx); break;
	case ENG_MSG_SNAPSHOT_OFFER:
	case ENG_MSG_SNAPSHOT_FETCH:
	case ENG_MSG_SNAPSHOT_CHUNK: break; /* the runtime moves the bytes */
	case ENG_MSG_STATE_DIGEST: on_state_digest(r, m, fx); break;
	case ENG_MSG_HELLO: on_hello(r, m, fx); break;
	case ENG_MSG_HELLO_REPLY: on_hello_reply(r, m, fx); break;
	case ENG_MSG_TYPE_COUNT: break;
	}
}

bool
eng_was_welcome(const struct eng_replica *r)
{
	return r->was_welcome;
}

static void
on_persisted(struct eng_replica *r, uint64_t seq, struct eng_effects *fx)
{
	decree_assert(seq <= r->persist_last);

	if (seq <= r->persisted)
		return;
	r->persisted = seq;
	r->stalled_since_ns = seq == r->persist_last ? NEVER : r->now_ns;
	compaction_on_persisted(r);
	rewrite_on_persisted(r);
	acceptor_on_persisted(r, fx);
	election_on_persisted(r, fx);
	leader_on_persisted(r, fx);
}

static void
on_tick(struct eng_replica *r, struct eng_effects *fx)
{
	leader_tick(r, fx);
	election_tick(r, fx);
	learner_tick(r, fx);
	audit_tick(r, fx);
	damage_tick(r, fx);
	rewrite_tick(r, fx);
}

static void
on_flush(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *fx)
{
	bool was_full = r->log_space_slots == 0;

	r->log_space_slots = ev->flush.log_space_slots;
	r->reserve.slots = ev->flush.log_reserve_slots;
	if (was_full && r->log_space_slots > 0)
		learner_ask_anew(r);
	r->deadline_ns = ev->flush.deadline_ns;
	damage_write(r, fx);
	rewrite_flush(r, fx);
	if (ev->flush.peers_wait)
		leader_announce_soon(r);
	leader_flush(r, ev->flush.log_is_idle, fx);
	acceptor_flush(r, fx);
	readindex_flush(r, fx);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
wake_at(const struct eng_replica *r)
{
	uint64_t at = earlier(r->election_ns, earlier(r->query_ns, r->audit.ask_ns));

	if (r->campaign != CAMPAIGN_NONE)
		at = earlier(at, r->campaign_retry_ns);
	at = earlier(at, readindex_wake_at(r));
	at = earlier(at, r->damage.repair_ns);
	at = earlier(at, r->rewrites.ask_ns);
	return earlier(at, leader_wake_at(r));
}

static void
check_invariants(const struct eng_replica *r)
{
	decree_assert(r->persisted <= r->persist_last);
	decree_assert(r->chosen.n <= r->last.n);
	decree_assert(r->low.n <= r->snapshot.durable.n + 1);
	decree_assert(r->low.n <= r->chosen.n + 1);
	if (r->role == DECREE_LEADER) {
		decree_assert(r->promised.n >= r->ballot.n);
		decree_assert(r->campaign == CAMPAIGN_NONE);
		decree_assert(r->next.n > r->chosen.n);
		decree_assert(r->next.n <= ring_last(r).n + 1);
	}
}

void
eng_step(struct eng_replica *r, const struct eng_event *ev, struct eng_effects *ret_fx)
{
	enum decree_role role = r->role;
	uint16_t leader = r->leader;
	bool ready = r->ready;

	fx_reset(ret_fx, ev->record_room);
	if (r->halt != ENG_HALT_NONE) {
		ret_fx->halt = r->halt;
		return;
	}
	decree_assert(ev->now_ns >= r->now_ns);
	if (ev->now_ns - r->now_ns > r->cfg.election_ns)
		stamp_leave_out(r, ev->now_ns - r->now_ns);
	r->now_ns = ev->now_ns;
	r->released = r->chosen;
	switch (ev->type) {
	case ENG_EV_RECOVER_HARD: on_recover_hard(r, ev, ret_fx); break;
	case ENG_EV_RECOVER_SNAPSHOT: on_recover_snapshot(r, ev, ret_fx); break;
	case ENG_EV_RECOVER_COMMIT: on_recover_commit(r, ev, ret_fx); break;
	case ENG_EV_RECOVER_RECORD: on_recover_record(r, ev, ret_fx); break;
	case ENG_EV_RECOVER_FAULTY_ID: on_recover_faulty_id(r, ev); break;
	case ENG_EV_RECOVER_FAULTY_UNKNOWN: on_recover_faulty_unknown(r, ev); break;
	case ENG_EV_START: on_start(r, ev, ret_fx); break;
	case ENG_EV_TICK: on_tick(r, ret_fx); break;
	case ENG_EV_RECV: on_recv(r, ev->recv.msg, ev->recv.version_max, ret_fx); break;
	case ENG_EV_PERSISTED: on_persisted(r, ev->persisted.seq, ret_fx); break;
	case ENG_EV_SUBMIT: on_submit(r, ev, ret_fx); break;
	case ENG_EV_SUBMIT_RUN: on_submit_run(r, ev, ret_fx); break;
	case ENG_EV_READ: on_read(r, ev, ret_fx); break;
	case ENG_EV_VALUE: on_value(r, ev, ret_fx); break;
	case ENG_EV_FLUSH: on_flush(r, ev, ret_fx); break;
	case ENG_EV_SNAPSHOT: on_snapshot(r, ev, ret_fx); break;
	case ENG_EV_SNAPSHOT_INSTALL: on_snapshot_install(r, ev, ret_fx); break;
	case ENG_EV_SNAPSHOT_INSTALLED: on_snapshot_installed(r, ev, ret_fx); break;
	case ENG_EV_TRIM: on_trim(r, ev); break;
	case ENG_EV_DIGEST: on_digest(r, ev, ret_fx); break;
	case ENG_EV_CUT: on_cut(r); break;
	case ENG_EV_LOG_DAMAGED: on_log_damaged(r, ev, ret_fx); break;
	case ENG_EV_TRANSFER: on_transfer(r, ev, ret_fx); break;
	case ENG_EV_MEMBER: on_member(r, ev, ret_fx); break;
	}
	ret_fx->role_changed = role != r->role || leader != r->leader || ready != r->ready;
	ret_fx->wake_at_ns = wake_at(r);
	check_invariants(r);
}
