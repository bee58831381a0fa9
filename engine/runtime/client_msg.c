/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes after the common header (client_msg.h), offsets from the start of the payload or the entry:
 *
 *   COMMANDS, count >= 1 entries   0 u64 session | 8 u64 seq | 16 u32 bytes | 20 body
 *       session 0 has seq 0 and a registration of 16 or 32 bytes; every other session has seq >= 1
 *   COMMAND_FRAGMENT               8 u64 session | 16 u64 seq | 24 u32 total | 28 u32 offset
 *                                  32 u128 digest | 48 piece, to the end of the payload
 *   REPLIES, count >= 1 entries    0 u8 kind | 1 u8 0 | 2 u16 status | 4 u64 session
 *                                  12 u64 seq | 20 u64 result, or 12 u8[16] token
 *   REDIRECT                       8 u32 reason | 12 u32 retry_after_us
 *   STATUS_REQUEST                 8 u64 token
 *   STATUS_REPLY, count = peers    8 u64 token | 16 what client_status_encode() says | peers of 24
 *                                  bytes: 0 u16 node_id | 2 u8 session_up | 3 u8[5] 0 | 8 u64 echo_age_ns
 *                                  16 u64 commit; behind them members of 4 bytes:
 *                                  0 u16 node_id | 2 u8 kind, 1 or 2 | 3 u8 0
 *   LOG_REQUEST                    8 u64 token | 16 u64 first | 24 u32 slot_count | 28 u16 index | 30 u16 0
 *   LOG_REPLY, count entries       8 u64 token | 16 u64 applied | 24 u64 next | 32 u16 next_index
 *                                  34 u8[6] 0 | 40 entries of 48 bytes:
 *                                  0 u64 slot | 8 u16 index | 10 u16 executed, 0 or 1 | 12 u32 bytes
 *                                  16 u64 session | 24 u64 seq | 32 u128 digest
 *   READ_REQUEST                   8 u64 token | 16 u8 consistency, 0 .. 2 | 17 u8[7] 0 | 24 question, to the
 *                                  end of the payload, up to 256 bytes
 *   READ_REPLY                     8 u64 token | 16 u64 applied | 24 u8 status, 1 .. 4 | 25 u8 0 | 26 u16 errno
 *                                  28 u8[4] 0 | 32 answer, to the end of the payload, up to 1,024 bytes
 *   ADMIN_REQUEST                  8 u64 token, not 0 | 16 u32 op | 20 u32 0 | 24 u8[64] arguments, per op
 *   ADMIN_REPLY                    8 u64 token, not 0 | 16 u16 status, 1 .. 8 | 18 u16 leader
 *                                  20 u16 text_bytes, <= 200 | 22 u16 0 | 24 text
 *   METRICS_REQUEST                8 u64 token
 *   METRICS_REPLY, count = peers   8 u64 token | 16 u16 rows | 18 u16 drops | 20 u16 rows of a peer | 22 u16 0
 *                                  24 u64 for each row, then for each reason for drops, in the order of
 *                                  metrics.h; then for each peer u64 node_id and u64 for each of its rows
 */
#include "engine/runtime/client_msg_private.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>

void
client_header_store(
	uint8_t *out, enum client_msg_type type, uint16_t group, uint16_t count, uint16_t node_id)
{
	decree_assert(group < DECREE_GROUP_COUNT_MAX);
	out[0] = (uint8_t)type;
	out[1] = 0;
	store_u16(out + 2, group);
	store_u16(out + 4, count);
	store_u16(out + 6, node_id);
}

/* Redirects */

static int
redirect_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	uint32_t reason;

	if (count != 16 || m->count != 0)
		return -EBADMSG;
	reason = load_u32(bytes + 8);
	if (reason < CLIENT_REDIRECT_NOT_LEADER || reason >= CLIENT_REDIRECT_REASON_AFTER)
		return -EBADMSG;
	m->redirect.reason = (enum client_redirect_reason)reason;
	m->redirect.retry_after_us = load_u32(bytes + 12);
	return 0;
}

/* All of them */

uint32_t
client_msg_encode(const struct client_msg *m, uint8_t *ret_out, uint32_t capacity)
{
	uint16_t count = 0;

	if (m->type == CLIENT_MSG_COMMAND_FRAGMENT)
		decree_assert(capacity >= CLIENT_FRAGMENT_BYTES);
	else
		decree_assert(capacity >= CLIENT_MSG_FIXED_BYTES_MAX);
	if (m->type == CLIENT_MSG_STATUS_REPLY)
		count = (uint16_t)m->status_reply.status.peer_count;
	client_header_store(ret_out, m->type, m->group, count, m->node_id);

	switch (m->type) {
	case CLIENT_MSG_COMMAND_FRAGMENT:
		return client_fragment_encode(&m->fragment, ret_out, capacity);
	case CLIENT_MSG_REDIRECT:
		store_u32(ret_out + 8, m->redirect.reason);
		store_u32(ret_out + 12, m->redirect.retry_after_us);
		return 16;
	case CLIENT_MSG_STATUS_REQUEST: store_u64(ret_out + 8, m->status_request.token); return 16;
	case CLIENT_MSG_METRICS_REQUEST:
		store_u64(ret_out + 8, m->metrics_request.token);
		return 16;
	case CLIENT_MSG_STATUS_REPLY:
		return client_status_encode(
			&m->status_reply.status, m->status_reply.token, ret_out);
	case CLIENT_MSG_LOG_REQUEST: return client_log_request_encode(m, ret_out);
	case CLIENT_MSG_READ_REQUEST: return client_read_request_encode(m, ret_out);
	case CLIENT_MSG_READ_REPLY: return client_read_reply_encode(m, ret_out, capacity);
	case CLIENT_MSG_ADMIN_REQUEST: return client_admin_request_encode(m, ret_out);
	case CLIENT_MSG_ADMIN_REPLY: return client_admin_reply_encode(m, ret_out);
	default: decree_assert(!"a payload with entries has a writer"); return 0;
	}
}

/* Only answers name a node. */
static bool
names_node(enum client_msg_type type)
{
	return type == CLIENT_MSG_REPLIES || type == CLIENT_MSG_REDIRECT ||
	       type == CLIENT_MSG_STATUS_REPLY || type == CLIENT_MSG_LOG_REPLY ||
	       type == CLIENT_MSG_ADMIN_REPLY || type == CLIENT_MSG_READ_REPLY ||
	       type == CLIENT_MSG_METRICS_REPLY;
}

static int
body_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	switch (m->type) {
	case CLIENT_MSG_COMMANDS: return client_commands_check(m);
	case CLIENT_MSG_COMMAND_FRAGMENT:
		return m->count == 0 ? client_fragment_decode(bytes, count, &m->fragment)
				     : -EBADMSG;
	case CLIENT_MSG_REPLIES: return client_replies_check(m);
	case CLIENT_MSG_REDIRECT: return redirect_decode(bytes, count, m);
	case CLIENT_MSG_STATUS_REQUEST:
		if (count != 16 || m->count != 0)
			return -EBADMSG;
		m->status_request.token = load_u64(bytes + 8);
		return 0;
	case CLIENT_MSG_METRICS_REQUEST:
		if (count != 16 || m->count != 0)
			return -EBADMSG;
		m->metrics_request.token = load_u64(bytes + 8);
		return 0;
	case CLIENT_MSG_METRICS_REPLY: return client_metrics_decode(bytes, count, m);
	case CLIENT_MSG_STATUS_REPLY:
		return client_status_decode(
			bytes, count, m, &m->status_reply.status, &m->status_reply.token);
	case CLIENT_MSG_LOG_REQUEST: return client_log_request_decode(bytes, count, m);
	case CLIENT_MSG_LOG_REPLY: return client_log_reply_decode(bytes, count, m);
	case CLIENT_MSG_READ_REQUEST: return client_read_request_decode(bytes, count, m);
	case CLIENT_MSG_READ_REPLY: return client_read_reply_decode(bytes, count, m);
	case CLIENT_MSG_ADMIN_REQUEST: return client_admin_request_decode(bytes, count, m);
	case CLIENT_MSG_ADMIN_REPLY: return client_admin_reply_decode(bytes, count, m);
	default: return -EBADMSG;
	}
}

int
client_msg_decode(const uint8_t *bytes, uint32_t count, struct client_msg *ret_msg)
{
	struct client_msg m = { 0 };
	int rc;

	if (count < CLIENT_MSG_HEADER_BYTES || bytes[1] != 0)
		return -EBADMSG;
	m.type = (enum client_msg_type)bytes[0];
	m.group = load_u16(bytes + 2);
	m.count = load_u16(bytes + 4);
	m.node_id = load_u16(bytes + 6);
	m.entries = bytes + CLIENT_MSG_HEADER_BYTES;
	m.entries_bytes = count - CLIENT_MSG_HEADER_BYTES;
	if (m.group >= DECREE_GROUP_COUNT_MAX || (m.node_id != 0 && !names_node(m.type)))
		return -EBADMSG;

	rc = body_decode(bytes, count, &m);
	if (rc == 0)
		*ret_msg = m;
	return rc;
}
