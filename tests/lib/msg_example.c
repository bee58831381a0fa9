/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/msg_example.h"

static const uint8_t value[] = "a value of some bytes";

struct eng_msg
msg_example(enum eng_msg_type type)
{
	struct eng_msg m = {
		.type = type,
		.src = 2,
		.dst = 3,
		.group = 4,
		.epoch = 5,
		.src_nonce = 6,
		.src_disk = 7,
		.ballot = { 8 << 16 | 2 },
	};

	switch (type) {
	case ENG_MSG_PREVOTE: m.prevote.first_undecided.n = 20; break;
	case ENG_MSG_PREVOTE_REPLY:
		m.prevote_reply.granted = true;
		m.prevote_reply.reason = ENG_FAIL_LEADER_ALIVE;
		m.prevote_reply.promised.n = 21;
		m.prevote_reply.dst_nonce = 22;
		break;
	case ENG_MSG_PREPARE: m.prepare.from.n = 20; break;
	case ENG_MSG_PROMISE:
		m.promise.dst_nonce = 20;
		m.promise.from.n = 21;
		m.promise.low.n = 1;
		m.promise.commit.n = 22;
		m.promise.last.n = 30;
		m.promise.first.n = 23;
		m.promise.after.n = 23;
		break;
	case ENG_MSG_ACCEPT:
		m.accept.slot.n = 20;
		m.accept.start.n = 21;
		m.accept.commit.n = 22;
		m.accept.digest = (struct decree_digest){ 23, 24 };
		m.accept.value = value;
		m.accept.bytes = sizeof(value);
		break;
	case ENG_MSG_ACCEPTED:
		m.accepted.start.n = 20;
		m.accepted.after.n = 25;
		m.accepted.commit.n = 19;
		for (int i = 0; i < 4; i++)
			m.accepted.sack[i] = 0xf0f0f0f0f0f0f0f0ull + (uint64_t)i;
		break;
	case ENG_MSG_SUCCESS:
		m.success.start.n = 20;
		m.success.commit.n = 21;
		break;
	case ENG_MSG_FAILURE:
		m.failure.reason = ENG_FAIL_BUSY;
		m.failure.promised.n = 20;
		m.failure.dst_nonce = 21;
		m.failure.snapshot.n = 22;
		m.failure.other_disk = true;
		break;
	case ENG_MSG_LEADER_CHANGE:
		m.leader_change.start.n = 20;
		m.leader_change.timeout_now = true;
		m.leader_change.seq = 21;
		break;
	case ENG_MSG_HEARTBEAT:
		m.heartbeat.seq = 20;
		m.heartbeat.start.n = 21;
		m.heartbeat.commit.n = 22;
		break;
	case ENG_MSG_STATE_DIGEST:
		m.state_digest.slot.n = 20;
		m.state_digest.digest = (struct decree_digest){ 21, 22 };
		m.state_digest.is_question = true;
		break;
	case ENG_MSG_HEARTBEAT_ECHO:
		m.heartbeat_echo.cut_asked = true;
		m.heartbeat_echo.seq = 20;
		m.heartbeat_echo.dst_nonce = 21;
		m.heartbeat_echo.commit.n = 22;
		m.heartbeat_echo.promised.n = 23;
		break;
	case ENG_MSG_QUERY:
		m.query.first.n = 20;
		m.query.after.n = 30;
		m.query.accepted_too = true;
		break;
	case ENG_MSG_QUERY_REPLY:
		m.query_reply.slot.n = 20;
		m.query_reply.state = ENG_ENTRY_DECIDED;
		m.query_reply.vballot.n = 21;
		m.query_reply.commit.n = 22;
		m.query_reply.digest = (struct decree_digest){ 23, 24 };
		m.query_reply.value = value;
		m.query_reply.bytes = sizeof(value);
		break;
	case ENG_MSG_HELLO:
		m.hello.challenge = 20;
		m.hello.commit.n = 21;
		break;
	case ENG_MSG_HELLO_REPLY:
		m.hello_reply.challenge = 20;
		m.hello_reply.dst_nonce = 21;
		m.hello_reply.boot_count = 22;
		m.hello_reply.promised.n = 23;
		m.hello_reply.last.n = 24;
		m.hello_reply.commit.n = 25;
		m.hello_reply.found_promised.n = 26;
		m.hello_reply.found_last.n = 27;
		m.hello_reply.doubtful = true;
		break;
	case ENG_MSG_READ_INDEX: m.read_index.token = 20; break;
	case ENG_MSG_READ_INDEX_REPLY:
		m.read_index_reply.token = 20;
		m.read_index_reply.dst_nonce = 21;
		m.read_index_reply.slot.n = 22;
		break;
	case ENG_MSG_SNAPSHOT_OFFER:
		m.snapshot_offer.slot.n = 20;
		m.snapshot_offer.bytes = 21;
		m.snapshot_offer.anchor.n = 22;
		m.snapshot_offer.digest = (struct decree_digest){ 23, 24 };
		break;
	case ENG_MSG_SNAPSHOT_FETCH:
		m.snapshot_fetch.slot.n = 20;
		m.snapshot_fetch.offset_bytes = 21;
		m.snapshot_fetch.count = 22;
		break;
	case ENG_MSG_SNAPSHOT_CHUNK:
		m.snapshot_chunk.slot.n = 20;
		m.snapshot_chunk.offset_bytes = 21;
		m.snapshot_chunk.digest = (struct decree_digest){ 23, 24 };
		m.snapshot_chunk.value = value;
		m.snapshot_chunk.bytes = sizeof(value);
		break;
	case ENG_MSG_TYPE_COUNT: break;
	}
	return m;
}
