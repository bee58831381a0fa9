/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire form of the messages between replicas. Little-endian, no padding that is not written as
 * zero.
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
 * What follows is the row of its type in the table below, field by field; the rows that are not
 * there are
 *
 *   ACCEPT     8 slot | 8 start | 8 commit | 16 digest | 4 bytes | 4 zero | the value
 *   ACCEPTED   8 start | 8 after | 8 commit | 4 x 8 sack
 *   HEARTBEAT  8 seq | 8 start | 8 commit | marks of 14 bytes, to the end
 *
 * A message is valid if and only if its type is known, the length in the header is the length of
 * the rest, that is what the type needs, and no slot is above ENG_SLOT_MAX (the end of a range may
 * be one above). Slots are added to and compared all over the core; bounded here, no sum overflows
 * there.
 */
#include "engine/core/msg.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/msg_layout.h"

#define AT(member) offsetof(struct eng_msg, member)

const uint8_t eng_field_bytes[ENG_FIELD_KIND_COUNT] = {
	[ENG_FIELD_REASON] = 1,
	[ENG_FIELD_U32] = 4,
	[ENG_FIELD_U64] = 8,
	[ENG_FIELD_SLOT] = 8,
	[ENG_FIELD_FIRST] = 8,
	[ENG_FIELD_AFTER] = 8,
	[ENG_FIELD_STATE] = 8,
};

const struct eng_msg_layout eng_msg_layouts[ENG_MSG_TYPE_COUNT] = {
	[ENG_MSG_PREVOTE] = { "prevote",
		.fields = { { AT(prevote.first_undecided), ENG_FIELD_SLOT } } },
	[ENG_MSG_PREVOTE_REPLY] = { "prevote-reply", .flag_offset_bytes = AT(prevote_reply.granted),
		.fields = { { AT(prevote_reply.promised), ENG_FIELD_U64 },
			{ AT(prevote_reply.dst_nonce), ENG_FIELD_U64 },
			{ AT(prevote_reply.reason), ENG_FIELD_REASON } } },
	[ENG_MSG_PREPARE] = { "prepare", .fields = { { AT(prepare.from), ENG_FIELD_SLOT } } },
	[ENG_MSG_PROMISE] = { "promise", .flag_offset_bytes = AT(promise.doubtful),
		.fields = { { AT(promise.dst_nonce), ENG_FIELD_U64 },
			{ AT(promise.from), ENG_FIELD_SLOT }, { AT(promise.low), ENG_FIELD_SLOT },
			{ AT(promise.commit), ENG_FIELD_SLOT },
			{ AT(promise.last), ENG_FIELD_SLOT },
			{ AT(promise.first), ENG_FIELD_FIRST },
			{ AT(promise.after), ENG_FIELD_AFTER } },
		.tail = ENG_TAIL_ENTRIES },
	[ENG_MSG_ACCEPT] = { "accept" },
	[ENG_MSG_ACCEPTED] = { "accepted" },
	[ENG_MSG_SUCCESS] = { "success", .fields = { { AT(success.start), ENG_FIELD_SLOT },
						 { AT(success.commit), ENG_FIELD_SLOT } } },
	[ENG_MSG_FAILURE] = { "failure", .flag_offset_bytes = AT(failure.other_disk),
		.fields = { { AT(failure.promised), ENG_FIELD_U64 },
			{ AT(failure.dst_nonce), ENG_FIELD_U64 },
			{ AT(failure.snapshot), ENG_FIELD_SLOT },
			{ AT(failure.reason), ENG_FIELD_REASON } } },
	[ENG_MSG_LEADER_CHANGE] = { "leader-change",
		.flag_offset_bytes = AT(leader_change.timeout_now),
		.fields = { { AT(leader_change.start), ENG_FIELD_SLOT },
			{ AT(leader_change.seq), ENG_FIELD_U64 } } },
	[ENG_MSG_HEARTBEAT] = { "heartbeat" },
	[ENG_MSG_HEARTBEAT_ECHO] = { "echo", .flag_offset_bytes = AT(heartbeat_echo.cut_asked),
		.fields = { { AT(heartbeat_echo.seq), ENG_FIELD_U64 },
			{ AT(heartbeat_echo.dst_nonce), ENG_FIELD_U64 },
			{ AT(heartbeat_echo.commit), ENG_FIELD_SLOT },
			{ AT(heartbeat_echo.promised), ENG_FIELD_U64 } } },
	[ENG_MSG_QUERY] = { "query", .flag_offset_bytes = AT(query.accepted_too),
		.fields = { { AT(query.first), ENG_FIELD_FIRST },
			{ AT(query.after), ENG_FIELD_AFTER } } },
	[ENG_MSG_QUERY_REPLY] = { "query-reply",
		.fields = { { AT(query_reply.slot), ENG_FIELD_SLOT },
			{ AT(query_reply.vballot), ENG_FIELD_U64 },
			{ AT(query_reply.commit), ENG_FIELD_SLOT },
			{ AT(query_reply.state), ENG_FIELD_STATE },
			{ AT(query_reply.digest.lo), ENG_FIELD_U64 },
			{ AT(query_reply.digest.hi), ENG_FIELD_U64 } },
		.tail = ENG_TAIL_VALUE, .value_offset_bytes = AT(query_reply.value),
		.value_bytes_offset_bytes = AT(query_reply.bytes) },
	[ENG_MSG_HELLO] = { "hello", .fields = { { AT(hello.challenge), ENG_FIELD_U64 },
					     { AT(hello.commit), ENG_FIELD_SLOT } } },
	[ENG_MSG_HELLO_REPLY] = { "hello-reply", .flag_offset_bytes = AT(hello_reply.doubtful),
		.fields = { { AT(hello_reply.challenge), ENG_FIELD_U64 },
			{ AT(hello_reply.dst_nonce), ENG_FIELD_U64 },
			{ AT(hello_reply.boot_count), ENG_FIELD_U64 },
			{ AT(hello_reply.promised), ENG_FIELD_U64 },
			{ AT(hello_reply.last), ENG_FIELD_SLOT },
			{ AT(hello_reply.commit), ENG_FIELD_SLOT },
			{ AT(hello_reply.found_promised), ENG_FIELD_U64 },
			{ AT(hello_reply.found_last), ENG_FIELD_SLOT } } },
	[ENG_MSG_READ_INDEX] = { "read-index",
		.fields = { { AT(read_index.token), ENG_FIELD_U64 } } },
	[ENG_MSG_READ_INDEX_REPLY] = { "read-index-reply",
		.fields = { { AT(read_index_reply.token), ENG_FIELD_U64 },
			{ AT(read_index_reply.dst_nonce), ENG_FIELD_U64 },
			{ AT(read_index_reply.slot), ENG_FIELD_SLOT } } },
	[ENG_MSG_SNAPSHOT_OFFER] = { "snapshot-offer",
		.fields = { { AT(snapshot_offer.slot), ENG_FIELD_SLOT },
			{ AT(snapshot_offer.bytes), ENG_FIELD_U64 },
			{ AT(snapshot_offer.anchor), ENG_FIELD_SLOT },
			{ AT(snapshot_offer.digest.lo), ENG_FIELD_U64 },
			{ AT(snapshot_offer.digest.hi), ENG_FIELD_U64 } } },
	[ENG_MSG_SNAPSHOT_FETCH] = { "snapshot-fetch",
		.fields = { { AT(snapshot_fetch.slot), ENG_FIELD_SLOT },
			{ AT(snapshot_fetch.offset_bytes), ENG_FIELD_U64 },
			{ AT(snapshot_fetch.count), ENG_FIELD_U32 } } },
	[ENG_MSG_SNAPSHOT_CHUNK] = { "snapshot-chunk",
		.fields = { { AT(snapshot_chunk.slot), ENG_FIELD_SLOT },
			{ AT(snapshot_chunk.offset_bytes), ENG_FIELD_U64 },
			{ AT(snapshot_chunk.digest.lo), ENG_FIELD_U64 },
			{ AT(snapshot_chunk.digest.hi), ENG_FIELD_U64 } },
		.tail = ENG_TAIL_VALUE, .value_offset_bytes = AT(snapshot_chunk.value),
		.value_bytes_offset_bytes = AT(snapshot_chunk.bytes) },
	[ENG_MSG_STATE_DIGEST] = { "state-digest",
		.flag_offset_bytes = AT(state_digest.is_question),
		.fields = { { AT(state_digest.slot), ENG_FIELD_SLOT },
			{ AT(state_digest.digest.lo), ENG_FIELD_U64 },
			{ AT(state_digest.digest.hi), ENG_FIELD_U64 } } },
};

uint64_t
eng_disk_short(const struct decree_uuid *disk)
{
	return load_u64(disk->bytes);
}

uint32_t
eng_promise_entry_count_max(uint32_t capacity)
{
	return (capacity - ENG_MSG_HEADER_BYTES - ENG_PROMISE_FIXED_BYTES) /
	       ENG_PROMISE_ENTRY_BYTES;
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

bool
eng_msg_is_known(uint32_t type)
{
	return type < ENG_MSG_TYPE_COUNT && eng_msg_layouts[type].name != NULL;
}

const char *
eng_msg_type_name(enum eng_msg_type type)
{
	return eng_msg_is_known(type) ? eng_msg_layouts[type].name : "?";
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
