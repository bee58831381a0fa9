/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire form of the messages between replicas. Little-endian, no padding that is not written as zero.
 *
 *   offset bytes  header, the same for every type
 *        0     1  type
 *        1     1  flags (granted, other_disk, timeout_now, accepted_too, is_question, doubtful: bit 0)
 *        2     2  group
 *        4     4  configuration epoch
 *        8     2  source node_id
 *       10     2  destination node_id
 *       12     4  bytes that follow the header
 *       16     8  source nonce
 *       24     8  source disk
 *       32     8  ballot
 *
 * What follows is written by the writers below, field by field in the order of struct eng_msg. A message
 * is valid if and only if its type is known, the length in the header is the length of the rest, that is
 * what the type needs, and no slot is above ENG_SLOT_MAX (the end of a range may be one above).
 */
#include "engine/core/msg.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/replica.h"

#include <errno.h>

uint64_t
eng_disk_short(const struct decree_uuid *disk)
{
	return load_u64(disk->bytes);
}

struct cursor {
	uint8_t *at;
};

static void
put_u8(struct cursor *c, uint8_t v)
{
	*c->at++ = v;
}

static void
put_u32(struct cursor *c, uint32_t v)
{
	store_u32(c->at, v);
	c->at += 4;
}

static void
put_u64(struct cursor *c, uint64_t v)
{
	store_u64(c->at, v);
	c->at += 8;
}

static void
put_digest(struct cursor *c, struct decree_digest d)
{
	put_u64(c, d.lo);
	put_u64(c, d.hi);
}

static void
put_value(struct cursor *c, const uint8_t *value, uint32_t bytes)
{
	put_u32(c, bytes);
	put_u32(c, 0);
	memcpy(c->at, value, bytes);
	c->at += bytes;
}

static void
put_entries(struct cursor *c, const struct eng_replica *r, struct decree_slot first,
	struct decree_slot after)
{
	for (uint64_t slot = first.n; slot < after.n; slot++) {
		struct eng_promise_entry e =
			eng_replica_promise_entry(r, (struct decree_slot){ slot });

		put_u64(c, e.vballot.n);
		put_digest(c, e.digest);
		put_u32(c, e.bytes);
		put_u32(c, e.state);
	}
}

static uint8_t
flags_of(const struct eng_msg *m)
{
	switch (m->type) {
	case ENG_MSG_PREVOTE_REPLY: return m->prevote_reply.granted;
	case ENG_MSG_FAILURE: return m->failure.other_disk;
	case ENG_MSG_LEADER_CHANGE: return m->leader_change.timeout_now;
	case ENG_MSG_QUERY: return m->query.accepted_too;
	case ENG_MSG_HEARTBEAT_ECHO: return m->heartbeat_echo.cut_asked;
	case ENG_MSG_STATE_DIGEST: return m->state_digest.is_question;
	case ENG_MSG_PROMISE: return m->promise.doubtful;
	case ENG_MSG_HELLO_REPLY: return m->hello_reply.doubtful;
	default: return 0;
	}
}

static void
put_body(struct cursor *c, const struct eng_replica *r, const struct eng_msg *m)
{
	switch (m->type) {
	case ENG_MSG_PREVOTE: put_u64(c, m->prevote.first_undecided.n); break;
	case ENG_MSG_PREVOTE_REPLY:
		put_u64(c, m->prevote_reply.promised.n);
		put_u64(c, m->prevote_reply.dst_nonce);
		put_u8(c, (uint8_t)m->prevote_reply.reason);
		break;
	case ENG_MSG_PREPARE: put_u64(c, m->prepare.from.n); break;
	case ENG_MSG_PROMISE:
		put_u64(c, m->promise.dst_nonce);
		put_u64(c, m->promise.from.n);
		put_u64(c, m->promise.low.n);
		put_u64(c, m->promise.commit.n);
		put_u64(c, m->promise.last.n);
		put_u64(c, m->promise.first.n);
		put_u64(c, m->promise.after.n);
		put_entries(c, r, m->promise.first, m->promise.after);
		break;
	case ENG_MSG_ACCEPT:
		put_u64(c, m->accept.slot.n);
		put_u64(c, m->accept.start.n);
		put_u64(c, m->accept.commit.n);
		put_digest(c, m->accept.digest);
		put_value(c, m->accept.value, m->accept.bytes);
		break;
	case ENG_MSG_ACCEPTED:
		put_u64(c, m->accepted.start.n);
		put_u64(c, m->accepted.after.n);
		put_u64(c, m->accepted.commit.n);
		for (int i = 0; i < 4; i++)
			put_u64(c, m->accepted.sack[i]);
		break;
	case ENG_MSG_SUCCESS:
		put_u64(c, m->success.start.n);
		put_u64(c, m->success.commit.n);
		break;
	case ENG_MSG_FAILURE:
		put_u64(c, m->failure.promised.n);
		put_u64(c, m->failure.dst_nonce);
		put_u64(c, m->failure.snapshot.n);
		put_u8(c, (uint8_t)m->failure.reason);
		break;
	case ENG_MSG_LEADER_CHANGE: put_u64(c, m->leader_change.start.n); break;
	case ENG_MSG_HEARTBEAT:
		put_u64(c, m->heartbeat.seq);
		put_u64(c, m->heartbeat.start.n);
		put_u64(c, m->heartbeat.commit.n);
		if (m->heartbeat.mark_count > 0)
			memcpy(c->at, m->heartbeat.marks,
				m->heartbeat.mark_count * ENG_HIGHEST_BYTES);
		c->at += m->heartbeat.mark_count * ENG_HIGHEST_BYTES;
		break;
	case ENG_MSG_HEARTBEAT_ECHO:
		put_u64(c, m->heartbeat_echo.seq);
		put_u64(c, m->heartbeat_echo.dst_nonce);
		put_u64(c, m->heartbeat_echo.commit.n);
		put_u64(c, m->heartbeat_echo.promised.n);
		break;
	case ENG_MSG_QUERY:
		put_u64(c, m->query.first.n);
		put_u64(c, m->query.after.n);
		break;
	case ENG_MSG_QUERY_REPLY:
		put_u64(c, m->query_reply.slot.n);
		put_u64(c, m->query_reply.vballot.n);
		put_u64(c, m->query_reply.commit.n);
		put_u64(c, m->query_reply.state);
		put_digest(c, m->query_reply.digest);
		put_value(c, m->query_reply.value, m->query_reply.bytes);
		break;
	case ENG_MSG_HELLO:
		put_u64(c, m->hello.challenge);
		put_u64(c, m->hello.commit.n);
		break;
	case ENG_MSG_HELLO_REPLY:
		put_u64(c, m->hello_reply.challenge);
		put_u64(c, m->hello_reply.dst_nonce);
		put_u64(c, m->hello_reply.boot_count);
		put_u64(c, m->hello_reply.promised.n);
		put_u64(c, m->hello_reply.last.n);
		put_u64(c, m->hello_reply.commit.n);
		put_u64(c, m->hello_reply.found_promised.n);
		put_u64(c, m->hello_reply.found_last.n);
		break;
	case ENG_MSG_READ_INDEX: put_u64(c, m->read_index.token); break;
	case ENG_MSG_READ_INDEX_REPLY:
		put_u64(c, m->read_index_reply.token);
		put_u64(c, m->read_index_reply.dst_nonce);
		put_u64(c, m->read_index_reply.slot.n);
		break;
	case ENG_MSG_SNAPSHOT_OFFER:
		put_u64(c, m->snapshot_offer.slot.n);
		put_u64(c, m->snapshot_offer.bytes);
		put_u64(c, m->snapshot_offer.anchor.n);
		put_digest(c, m->snapshot_offer.digest);
		break;
	case ENG_MSG_SNAPSHOT_FETCH:
		put_u64(c, m->snapshot_fetch.slot.n);
		put_u64(c, m->snapshot_fetch.offset_bytes);
		put_u32(c, m->snapshot_fetch.count);
		break;
	case ENG_MSG_SNAPSHOT_CHUNK:
		put_u64(c, m->snapshot_chunk.slot.n);
		put_u64(c, m->snapshot_chunk.offset_bytes);
		put_digest(c, m->snapshot_chunk.digest);
		put_value(c, m->snapshot_chunk.value, m->snapshot_chunk.bytes);
		break;
	case ENG_MSG_STATE_DIGEST:
		put_u64(c, m->state_digest.slot.n);
		put_digest(c, m->state_digest.digest);
		break;
	case ENG_MSG_TYPE_COUNT: decree_assert(false);
	}
}

uint32_t
eng_msg_encode(
	const struct eng_replica *r, const struct eng_msg *m, uint8_t *ret_out, uint32_t capacity)
{
	struct cursor c = { ret_out + ENG_MSG_HEADER_BYTES };

	ret_out[0] = (uint8_t)m->type;
	ret_out[1] = flags_of(m);
	store_u16(ret_out + 2, m->group);
	store_u32(ret_out + 4, m->epoch);
	store_u16(ret_out + 8, m->src);
	store_u16(ret_out + 10, m->dst);
	store_u64(ret_out + 16, m->src_nonce);
	store_u64(ret_out + 24, m->src_disk);
	store_u64(ret_out + 32, m->ballot.n);
	put_body(&c, r, m);
	uint32_t bytes = (uint32_t)(c.at - ret_out);
	decree_assert(bytes <= capacity);
	store_u32(ret_out + 12, bytes - ENG_MSG_HEADER_BYTES);
	return bytes;
}

uint32_t
eng_promise_entry_count_max(uint32_t capacity)
{
	return (capacity - ENG_MSG_HEADER_BYTES - 7 * 8) / ENG_PROMISE_ENTRY_BYTES;
}

struct eng_promise_entry
eng_promise_entry_at(const struct eng_msg *m, struct decree_slot slot)
{
	decree_assert(m->promise.first.n <= slot.n && slot.n < m->promise.after.n);

	const uint8_t *at =
		m->promise.entries + (slot.n - m->promise.first.n) * ENG_PROMISE_ENTRY_BYTES;

	return (struct eng_promise_entry){
		.vballot = { load_u64(at) },
		.digest = { load_u64(at + 8), load_u64(at + 16) },
		.bytes = load_u32(at + 24),
		.state = load_u32(at + 28),
	};
}

static bool
decode_promise(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes < 7 * 8)
		return false;
	m->promise.dst_nonce = load_u64(at);
	m->promise.from.n = load_u64(at + 8);
	m->promise.low.n = load_u64(at + 16);
	m->promise.commit.n = load_u64(at + 24);
	m->promise.last.n = load_u64(at + 32);
	m->promise.first.n = load_u64(at + 40);
	m->promise.after.n = load_u64(at + 48);
	m->promise.entries = at + 7 * 8;
	uint64_t count = m->promise.after.n - m->promise.first.n;
	if (m->promise.after.n < m->promise.first.n ||
		count > UINT32_MAX / ENG_PROMISE_ENTRY_BYTES ||
		bytes - 7 * 8 != count * ENG_PROMISE_ENTRY_BYTES)
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (load_u32(m->promise.entries + i * ENG_PROMISE_ENTRY_BYTES + 28) >
			ENG_ENTRY_FAULTY_UNKNOWN)
			return false;
	return true;
}

static bool
decode_value(const uint8_t *at, uint32_t bytes, const uint8_t **ret_value, uint32_t *ret_bytes)
{
	if (bytes < 8 || load_u32(at) != bytes - 8 || load_u32(at + 4) != 0)
		return false;
	*ret_value = at + 8;
	*ret_bytes = bytes - 8;
	return true;
}

static bool
decode_accept(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes < 40)
		return false;
	m->accept.slot.n = load_u64(at);
	m->accept.start.n = load_u64(at + 8);
	m->accept.commit.n = load_u64(at + 16);
	m->accept.digest.lo = load_u64(at + 24);
	m->accept.digest.hi = load_u64(at + 32);
	return decode_value(at + 40, bytes - 40, &m->accept.value, &m->accept.bytes);
}

static bool
decode_query_reply(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes < 48)
		return false;
	m->query_reply.slot.n = load_u64(at);
	m->query_reply.vballot.n = load_u64(at + 8);
	m->query_reply.commit.n = load_u64(at + 16);
	uint64_t state = load_u64(at + 24);
	m->query_reply.state = (enum eng_entry_state)state;
	m->query_reply.digest.lo = load_u64(at + 32);
	m->query_reply.digest.hi = load_u64(at + 40);
	return (state == ENG_ENTRY_ACCEPTED || state == ENG_ENTRY_DECIDED) &&
	       decode_value(at + 48, bytes - 48, &m->query_reply.value, &m->query_reply.bytes);
}

static bool
decode_snapshot_chunk(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes < 32)
		return false;
	m->snapshot_chunk.slot.n = load_u64(at);
	m->snapshot_chunk.offset_bytes = load_u64(at + 8);
	m->snapshot_chunk.digest.lo = load_u64(at + 16);
	m->snapshot_chunk.digest.hi = load_u64(at + 24);
	return decode_value(
		at + 32, bytes - 32, &m->snapshot_chunk.value, &m->snapshot_chunk.bytes);
}

static bool
decode_small(struct eng_msg *m, uint8_t flags, const uint8_t *at, uint32_t bytes)
{
	switch (m->type) {
	case ENG_MSG_PREVOTE:
		if (bytes != 8)
			return false;
		m->prevote.first_undecided.n = load_u64(at);
		return true;
	case ENG_MSG_PREVOTE_REPLY:
		if (bytes != 17)
			return false;
		m->prevote_reply.granted = flags;
		m->prevote_reply.promised.n = load_u64(at);
		m->prevote_reply.dst_nonce = load_u64(at + 8);
		m->prevote_reply.reason = at[16];
		return true;
	case ENG_MSG_PREPARE:
		if (bytes != 8)
			return false;
		m->prepare.from.n = load_u64(at);
		return true;
	case ENG_MSG_ACCEPTED:
		if (bytes != 56)
			return false;
		m->accepted.start.n = load_u64(at);
		m->accepted.after.n = load_u64(at + 8);
		m->accepted.commit.n = load_u64(at + 16);
		for (int i = 0; i < 4; i++)
			m->accepted.sack[i] = load_u64(at + 24 + i * 8);
		return true;
	case ENG_MSG_SUCCESS:
		if (bytes != 16)
			return false;
		m->success.start.n = load_u64(at);
		m->success.commit.n = load_u64(at + 8);
		return true;
	case ENG_MSG_FAILURE:
		if (bytes != 25)
			return false;
		m->failure.promised.n = load_u64(at);
		m->failure.dst_nonce = load_u64(at + 8);
		m->failure.snapshot.n = load_u64(at + 16);
		m->failure.reason = at[24];
		m->failure.other_disk = flags;
		return true;
	case ENG_MSG_LEADER_CHANGE:
		if (bytes != 8)
			return false;
		m->leader_change.timeout_now = flags;
		m->leader_change.start.n = load_u64(at);
		return true;
	case ENG_MSG_HEARTBEAT:
		if (bytes < 24 || (bytes - 24) % ENG_HIGHEST_BYTES != 0)
			return false;
		m->heartbeat.marks = at + 24;
		m->heartbeat.mark_count = (bytes - 24) / ENG_HIGHEST_BYTES;
		m->heartbeat.seq = load_u64(at);
		m->heartbeat.start.n = load_u64(at + 8);
		m->heartbeat.commit.n = load_u64(at + 16);
		return true;
	case ENG_MSG_HEARTBEAT_ECHO:
		if (bytes != 32)
			return false;
		m->heartbeat_echo.cut_asked = flags;
		m->heartbeat_echo.seq = load_u64(at);
		m->heartbeat_echo.dst_nonce = load_u64(at + 8);
		m->heartbeat_echo.commit.n = load_u64(at + 16);
		m->heartbeat_echo.promised.n = load_u64(at + 24);
		return true;
	case ENG_MSG_QUERY:
		if (bytes != 16)
			return false;
		m->query.accepted_too = flags;
		m->query.first.n = load_u64(at);
		m->query.after.n = load_u64(at + 8);
		return true;
	case ENG_MSG_HELLO:
		if (bytes != 16)
			return false;
		m->hello.challenge = load_u64(at);
		m->hello.commit.n = load_u64(at + 8);
		return true;
	case ENG_MSG_HELLO_REPLY:
		if (bytes != 64)
			return false;
		m->hello_reply.doubtful = flags;
		m->hello_reply.challenge = load_u64(at);
		m->hello_reply.dst_nonce = load_u64(at + 8);
		m->hello_reply.boot_count = load_u64(at + 16);
		m->hello_reply.promised.n = load_u64(at + 24);
		m->hello_reply.last.n = load_u64(at + 32);
		m->hello_reply.commit.n = load_u64(at + 40);
		m->hello_reply.found_promised.n = load_u64(at + 48);
		m->hello_reply.found_last.n = load_u64(at + 56);
		return true;
	case ENG_MSG_READ_INDEX:
		if (bytes != 8)
			return false;
		m->read_index.token = load_u64(at);
		return true;
	case ENG_MSG_READ_INDEX_REPLY:
		if (bytes != 24)
			return false;
		m->read_index_reply.token = load_u64(at);
		m->read_index_reply.dst_nonce = load_u64(at + 8);
		m->read_index_reply.slot.n = load_u64(at + 16);
		return true;
	case ENG_MSG_SNAPSHOT_OFFER:
		if (bytes != 40)
			return false;
		m->snapshot_offer.slot.n = load_u64(at);
		m->snapshot_offer.bytes = load_u64(at + 8);
		m->snapshot_offer.anchor.n = load_u64(at + 16);
		m->snapshot_offer.digest.lo = load_u64(at + 24);
		m->snapshot_offer.digest.hi = load_u64(at + 32);
		return true;
	case ENG_MSG_SNAPSHOT_FETCH:
		if (bytes != 20)
			return false;
		m->snapshot_fetch.slot.n = load_u64(at);
		m->snapshot_fetch.offset_bytes = load_u64(at + 8);
		m->snapshot_fetch.count = load_u32(at + 16);
		return true;
	case ENG_MSG_STATE_DIGEST:
		if (bytes != 24)
			return false;
		m->state_digest.is_question = flags;
		m->state_digest.slot.n = load_u64(at);
		m->state_digest.digest.lo = load_u64(at + 8);
		m->state_digest.digest.hi = load_u64(at + 16);
		return true;
	default: return false;
	}
}

static bool
is_slot(struct decree_slot slot)
{
	return slot.n <= ENG_SLOT_MAX;
}

static bool
is_range(struct decree_slot first, struct decree_slot after)
{
	return first.n <= after.n && after.n <= ENG_SLOT_MAX + 1;
}

/* Slots are added to and compared all over the core; bounded here, no sum overflows there. */
static bool
has_sound_slots(const struct eng_msg *m)
{
	switch (m->type) {
	case ENG_MSG_PREVOTE: return is_slot(m->prevote.first_undecided);
	case ENG_MSG_PREPARE: return is_slot(m->prepare.from);
	case ENG_MSG_PROMISE:
		return is_slot(m->promise.from) && is_slot(m->promise.low) &&
		       is_slot(m->promise.commit) && is_slot(m->promise.last) &&
		       is_range(m->promise.first, m->promise.after);
	case ENG_MSG_ACCEPT:
		return is_slot(m->accept.slot) && is_slot(m->accept.start) &&
		       is_slot(m->accept.commit);
	case ENG_MSG_ACCEPTED:
		return is_range(m->accepted.start, m->accepted.after) &&
		       is_slot(m->accepted.commit);
	case ENG_MSG_FAILURE: return is_slot(m->failure.snapshot);
	case ENG_MSG_SNAPSHOT_OFFER:
		return is_slot(m->snapshot_offer.slot) && is_slot(m->snapshot_offer.anchor);
	case ENG_MSG_SNAPSHOT_FETCH: return is_slot(m->snapshot_fetch.slot);
	case ENG_MSG_SNAPSHOT_CHUNK: return is_slot(m->snapshot_chunk.slot);
	case ENG_MSG_SUCCESS: return is_slot(m->success.start) && is_slot(m->success.commit);
	case ENG_MSG_LEADER_CHANGE: return is_slot(m->leader_change.start);
	case ENG_MSG_HEARTBEAT: return is_slot(m->heartbeat.start) && is_slot(m->heartbeat.commit);
	case ENG_MSG_HEARTBEAT_ECHO: return is_slot(m->heartbeat_echo.commit);
	case ENG_MSG_QUERY: return is_range(m->query.first, m->query.after);
	case ENG_MSG_QUERY_REPLY:
		return is_slot(m->query_reply.slot) && is_slot(m->query_reply.commit);
	case ENG_MSG_HELLO: return is_slot(m->hello.commit);
	case ENG_MSG_HELLO_REPLY:
		return is_slot(m->hello_reply.last) && is_slot(m->hello_reply.commit) &&
		       is_slot(m->hello_reply.found_last);
	case ENG_MSG_READ_INDEX_REPLY: return is_slot(m->read_index_reply.slot);
	case ENG_MSG_STATE_DIGEST: return is_slot(m->state_digest.slot);
	default: return true;
	}
}

int
eng_msg_decode(const uint8_t *bytes, uint32_t count, struct eng_msg *ret_msg)
{
	bool ok;

	if (count < ENG_MSG_HEADER_BYTES || load_u32(bytes + 12) != count - ENG_MSG_HEADER_BYTES)
		return -EBADMSG;
	if (!eng_msg_is_known(bytes[0]) || bytes[1] > 1)
		return -EBADMSG;
	ret_msg->type = bytes[0];
	ret_msg->group = load_u16(bytes + 2);
	ret_msg->epoch = load_u32(bytes + 4);
	ret_msg->src = load_u16(bytes + 8);
	ret_msg->dst = load_u16(bytes + 10);
	ret_msg->src_nonce = load_u64(bytes + 16);
	ret_msg->src_disk = load_u64(bytes + 24);
	ret_msg->ballot.n = load_u64(bytes + 32);

	const uint8_t *at = bytes + ENG_MSG_HEADER_BYTES;
	uint32_t rest = count - ENG_MSG_HEADER_BYTES;
	switch (ret_msg->type) {
	case ENG_MSG_PROMISE:
		ret_msg->promise.doubtful = bytes[1];
		ok = decode_promise(ret_msg, at, rest);
		break;
	case ENG_MSG_ACCEPT: ok = decode_accept(ret_msg, at, rest); break;
	case ENG_MSG_QUERY_REPLY: ok = decode_query_reply(ret_msg, at, rest); break;
	case ENG_MSG_SNAPSHOT_CHUNK: ok = decode_snapshot_chunk(ret_msg, at, rest); break;
	default: ok = decode_small(ret_msg, bytes[1], at, rest); break;
	}
	return ok && has_sound_slots(ret_msg) ? 0 : -EBADMSG;
}

static const char *const names[ENG_MSG_TYPE_COUNT] = {
	[ENG_MSG_PREVOTE] = "prevote",
	[ENG_MSG_PREVOTE_REPLY] = "prevote-reply",
	[ENG_MSG_PREPARE] = "prepare",
	[ENG_MSG_PROMISE] = "promise",
	[ENG_MSG_ACCEPT] = "accept",
	[ENG_MSG_ACCEPTED] = "accepted",
	[ENG_MSG_SUCCESS] = "success",
	[ENG_MSG_FAILURE] = "failure",
	[ENG_MSG_LEADER_CHANGE] = "leader-change",
	[ENG_MSG_HEARTBEAT] = "heartbeat",
	[ENG_MSG_HEARTBEAT_ECHO] = "echo",
	[ENG_MSG_QUERY] = "query",
	[ENG_MSG_QUERY_REPLY] = "query-reply",
	[ENG_MSG_READ_INDEX] = "read-index",
	[ENG_MSG_HELLO] = "hello",
	[ENG_MSG_HELLO_REPLY] = "hello-reply",
	[ENG_MSG_READ_INDEX_REPLY] = "read-index-reply",
	[ENG_MSG_SNAPSHOT_OFFER] = "snapshot-offer",
	[ENG_MSG_SNAPSHOT_FETCH] = "snapshot-fetch",
	[ENG_MSG_SNAPSHOT_CHUNK] = "snapshot-chunk",
	[ENG_MSG_STATE_DIGEST] = "state-digest",
};

bool
eng_msg_is_known(uint32_t type)
{
	return type < ENG_MSG_TYPE_COUNT && names[type] != NULL;
}

const char *
eng_msg_type_name(enum eng_msg_type type)
{
	return eng_msg_is_known(type) ? names[type] : "?";
}

const char *
eng_failure_reason_name(enum eng_failure_reason reason)
{
	switch (reason) {
	case ENG_FAIL_BALLOT: return "ballot";
	case ENG_FAIL_LEADER_ALIVE: return "leader-alive";
	case ENG_FAIL_NOT_MEMBER: return "not-member";
	case ENG_FAIL_BUSY: return "busy";
	case ENG_FAIL_COMPACTED: return "compacted";
	case ENG_FAIL_LEASE: return "lease";
	case ENG_FAIL_ROLLED_BACK: return "rolled-back";
	case ENG_FAIL_TWIN: return "twin";
	}
	return "?";
}
