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
 *   STATUS_REPLY, count = peers    8 u64 token | 16 the fields of status_fields() | peers of 24 bytes:
 *                                  0 u16 node_id | 2 u8 session_up | 3 u8[5] 0 | 8 u64 echo_age_ns
 *                                  16 u64 commit
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
 */
#include "engine/runtime/client_msg.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/session.h"

#include <errno.h>

#define STATUS_BYTES      256u /* the fixed part of STATUS_REPLY, the header included */
#define STATUS_PEER_BYTES 24u
#define LOG_REQUEST_BYTES 32u
#define LOG_REPLY_BYTES   40u /* before the first entry */
#define ADMIN_BYTES       24u /* of a request or reply beside its arguments or text */

static_assert(
	STATUS_BYTES + DECREE_NODE_COUNT_MAX * STATUS_PEER_BYTES <= CLIENT_MSG_FIXED_BYTES_MAX,
	"a status reply is one of the fixed payloads");

static void
store_header(
	uint8_t *out, enum client_msg_type type, uint16_t group, uint16_t count, uint16_t node_id)
{
	decree_assert(group < DECREE_GROUP_COUNT_MAX);
	out[0] = (uint8_t)type;
	out[1] = 0;
	store_u16(out + 2, group);
	store_u16(out + 4, count);
	store_u16(out + 6, node_id);
}

static void
store_digest(uint8_t *out, struct decree_digest digest)
{
	store_u64(out, digest.lo);
	store_u64(out + 8, digest.hi);
}

static struct decree_digest
load_digest(const uint8_t *from)
{
	return (struct decree_digest){ .lo = load_u64(from), .hi = load_u64(from + 8) };
}

static bool
is_zero(const uint8_t *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (from[i] != 0)
			return false;
	return true;
}

/* Commands */

static void
writer_begin(struct client_writer *w, uint8_t *out, uint32_t capacity, enum client_msg_type type,
	uint16_t group, uint16_t node_id)
{
	decree_assert(capacity >= 64);
	*w = (struct client_writer){
		.out = out, .capacity = capacity, .bytes = CLIENT_MSG_HEADER_BYTES
	};
	store_header(out, type, group, 0, node_id);
}

/* Room for one more entry, or NULL. */
static uint8_t *
writer_extend(struct client_writer *w, uint64_t bytes)
{
	uint8_t *at = w->out + w->bytes;

	if (bytes > w->capacity - w->bytes || w->count == UINT16_MAX)
		return NULL;
	w->bytes += (uint32_t)bytes;
	w->count++;
	return at;
}

uint32_t
client_writer_finish(struct client_writer *w)
{
	store_u16(w->out + 4, w->count);
	return w->count > 0 ? w->bytes : 0;
}

void
client_commands_begin(struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group)
{
	writer_begin(w, out, capacity, CLIENT_MSG_COMMANDS, group, 0);
}

static bool
is_command_valid(uint64_t session, uint64_t seq, uint32_t bytes)
{
	return session == 0 ? seq == 0 && eng_is_registration(bytes) : seq != 0;
}

bool
client_commands_add(struct client_writer *w, const struct eng_command *command)
{
	uint8_t *at;

	decree_assert(is_command_valid(command->session.n, command->seq, command->bytes));
	at = writer_extend(w, (uint64_t)CLIENT_COMMAND_BYTES + command->bytes);
	if (at == NULL)
		return false;
	store_u64(at, command->session.n);
	store_u64(at + 8, command->seq);
	store_u32(at + 16, command->bytes);
	if (command->bytes > 0)
		memcpy(at + CLIENT_COMMAND_BYTES, command->body, command->bytes);
	return true;
}

/* The entries were checked by commands_check(). */
bool
client_command_next(const struct client_msg *m, uint32_t *cursor, struct eng_command *ret_command)
{
	const uint8_t *at = m->entries + *cursor;

	decree_assert(m->type == CLIENT_MSG_COMMANDS);
	if (*cursor >= m->entries_bytes)
		return false;
	*ret_command = (struct eng_command){
		.session = { load_u64(at) },
		.seq = load_u64(at + 8),
		.bytes = load_u32(at + 16),
		.body = at + CLIENT_COMMAND_BYTES,
	};
	*cursor += CLIENT_COMMAND_BYTES + ret_command->bytes;
	return true;
}

static int
commands_check(const struct client_msg *m)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const uint8_t *entry = m->entries + at;
		uint32_t bytes;

		if (m->entries_bytes - at < CLIENT_COMMAND_BYTES)
			return -EBADMSG;
		bytes = load_u32(entry + 16);
		at += CLIENT_COMMAND_BYTES;
		if (bytes > m->entries_bytes - at)
			return -EBADMSG;
		at += bytes;
		if (!is_command_valid(load_u64(entry), load_u64(entry + 8), bytes))
			return -EBADMSG;
	}
	return m->count > 0 && at == m->entries_bytes ? 0 : -EBADMSG;
}

static bool
is_fragment_valid(const struct client_fragment *f)
{
	return f->session.n != 0 && f->seq != 0 && f->count > 0 && f->count <= f->total_bytes &&
	       f->offset_bytes <= f->total_bytes - f->count;
}

static uint32_t
fragment_encode(const struct client_fragment *f, uint8_t *out, uint32_t capacity)
{
	decree_assert(is_fragment_valid(f));
	decree_assert(f->count <= capacity - CLIENT_FRAGMENT_BYTES);
	store_u64(out + 8, f->session.n);
	store_u64(out + 16, f->seq);
	store_u32(out + 24, f->total_bytes);
	store_u32(out + 28, f->offset_bytes);
	store_digest(out + 32, f->digest);
	memcpy(out + CLIENT_FRAGMENT_BYTES, f->bytes, f->count);
	return CLIENT_FRAGMENT_BYTES + f->count;
}

static int
fragment_decode(const uint8_t *bytes, uint32_t count, struct client_fragment *ret)
{
	if (count < CLIENT_FRAGMENT_BYTES)
		return -EBADMSG;
	*ret = (struct client_fragment){
		.session = { load_u64(bytes + 8) },
		.seq = load_u64(bytes + 16),
		.total_bytes = load_u32(bytes + 24),
		.offset_bytes = load_u32(bytes + 28),
		.digest = load_digest(bytes + 32),
		.bytes = bytes + CLIENT_FRAGMENT_BYTES,
		.count = count - CLIENT_FRAGMENT_BYTES,
	};
	return is_fragment_valid(ret) ? 0 : -EBADMSG;
}

/* Replies */

void
client_replies_begin(
	struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group, uint16_t leader)
{
	writer_begin(w, out, capacity, CLIENT_MSG_REPLIES, group, leader);
}

static bool
has_token(enum client_reply_kind kind)
{
	return kind == CLIENT_REPLY_REGISTERED || kind == CLIENT_REPLY_TABLE_FULL;
}

bool
client_replies_add(struct client_writer *w, const struct client_reply *reply)
{
	uint8_t *at = writer_extend(w, CLIENT_REPLY_BYTES);

	decree_assert(reply->kind >= CLIENT_REPLY_APPLIED && reply->kind < CLIENT_REPLY_KIND_AFTER);
	if (at == NULL)
		return false;
	at[0] = (uint8_t)reply->kind;
	at[1] = 0;
	store_u16(at + 2, reply->status);
	store_u64(at + 4, reply->session.n);
	if (has_token(reply->kind)) {
		memcpy(at + 12, reply->token, DECREE_UUID_BYTES);
	} else {
		store_u64(at + 12, reply->seq);
		store_u64(at + 20, reply->result);
	}
	return true;
}

bool
client_reply_next(const struct client_msg *m, uint32_t *cursor, struct client_reply *ret_reply)
{
	const uint8_t *at = m->entries + *cursor;

	decree_assert(m->type == CLIENT_MSG_REPLIES);
	if (*cursor >= m->entries_bytes)
		return false;
	*ret_reply = (struct client_reply){
		.kind = (enum client_reply_kind)at[0],
		.status = load_u16(at + 2),
		.session = { load_u64(at + 4) },
	};
	if (has_token(ret_reply->kind)) {
		memcpy(ret_reply->token, at + 12, DECREE_UUID_BYTES);
	} else {
		ret_reply->seq = load_u64(at + 12);
		ret_reply->result = load_u64(at + 20);
	}
	*cursor += CLIENT_REPLY_BYTES;
	return true;
}

static int
replies_check(const struct client_msg *m)
{
	if (m->count == 0 || m->entries_bytes != (uint32_t)m->count * CLIENT_REPLY_BYTES)
		return -EBADMSG;
	for (uint32_t i = 0; i < m->count; i++) {
		const uint8_t *at = m->entries + i * CLIENT_REPLY_BYTES;

		if (at[0] < CLIENT_REPLY_APPLIED || at[0] >= CLIENT_REPLY_KIND_AFTER || at[1] != 0)
			return -EBADMSG;
	}
	return 0;
}

/* Status */

static uint32_t
status_flags(const struct decree_status *s)
{
	return (s->ready ? 1 : 0) | (s->auth ? 2 : 0) | (s->log_full ? 4 : 0) |
	       (s->has_lease ? 8 : 0) | (s->snapshot_space_low ? 16 : 0);
}

static uint32_t
status_encode(const struct decree_status *s, uint64_t token, uint8_t *out)
{
	const uint64_t words[] = { s->ballot.n, s->chosen.n, s->applied.n, s->digest.lo,
		s->digest.hi, s->applied_count, s->log_bytes_used, s->log_bytes, s->boot_count,
		s->uptime_ns, s->start_to_ready_ns, s->memory_bytes, s->frames_received,
		s->frames_sent, s->frames_dropped, s->messages_dropped, s->elections, s->lease_ns,
		s->reads, s->lease_reads, s->read_rounds, s->low.n, s->snapshot.n,
		s->snapshot_bytes, s->snapshot_unix_s, s->agreed.n, s->session_evicted_count,
		s->session_count };
	uint8_t *at = out + STATUS_BYTES;

	static_assert(sizeof(words) == STATUS_BYTES - 32, "the status layout");
	decree_assert(s->peer_count <= DECREE_NODE_COUNT_MAX);
	store_u64(out + 8, token);
	store_u16(out + 16, s->leader);
	out[18] = (uint8_t)s->role;
	out[19] = (uint8_t)s->log_mode;
	out[20] = (uint8_t)s->idle;
	out[21] = (uint8_t)status_flags(s);
	memset(out + 22, 0, 10);
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		store_u64(out + 32 + 8 * i, words[i]);
	for (uint32_t i = 0; i < s->peer_count; i++, at += STATUS_PEER_BYTES) {
		memset(at, 0, STATUS_PEER_BYTES);
		store_u16(at, s->peers[i].node_id);
		at[2] = s->peers[i].session_up;
		store_u64(at + 8, s->peers[i].echo_age_ns);
		store_u64(at + 16, s->peers[i].commit.n);
	}
	return (uint32_t)(at - out);
}

static void
status_words_decode(const uint8_t *at, struct decree_status *ret)
{
	uint64_t *const words[] = { &ret->ballot.n, &ret->chosen.n, &ret->applied.n,
		&ret->digest.lo, &ret->digest.hi, &ret->applied_count, &ret->log_bytes_used,
		&ret->log_bytes, &ret->boot_count, &ret->uptime_ns, &ret->start_to_ready_ns,
		&ret->memory_bytes, &ret->frames_received, &ret->frames_sent, &ret->frames_dropped,
		&ret->messages_dropped, &ret->elections, &ret->lease_ns, &ret->reads,
		&ret->lease_reads, &ret->read_rounds, &ret->low.n, &ret->snapshot.n,
		&ret->snapshot_bytes, &ret->snapshot_unix_s, &ret->agreed.n,
		&ret->session_evicted_count };
	const uint32_t count = sizeof(words) / sizeof(words[0]);

	for (uint32_t i = 0; i < count; i++)
		*words[i] = load_u64(at + 8 * i);
	ret->session_count = (uint32_t)load_u64(at + 8 * count);
}

static int
status_peers_decode(const uint8_t *at, uint32_t count, struct decree_status *ret)
{
	for (uint32_t i = 0; i < count; i++, at += STATUS_PEER_BYTES) {
		if (at[2] > 1 || !is_zero(at + 3, 5))
			return -EBADMSG;
		ret->peers[i] = (struct decree_peer_row){
			.node_id = load_u16(at),
			.session_up = at[2] == 1,
			.echo_age_ns = load_u64(at + 8),
			.commit = { load_u64(at + 16) },
		};
	}
	ret->peer_count = count;
	return 0;
}

static int
status_decode(const uint8_t *bytes, uint32_t count, const struct client_msg *m,
	struct decree_status *ret, uint64_t *ret_token)
{
	if (m->count > DECREE_NODE_COUNT_MAX ||
		count != STATUS_BYTES + m->count * STATUS_PEER_BYTES)
		return -EBADMSG;
	if (bytes[18] > DECREE_LEADER || bytes[19] > DECREE_LOG_MEMORY ||
		bytes[20] > DECREE_IDLE_SLEEP || bytes[21] > 31 || !is_zero(bytes + 22, 10))
		return -EBADMSG;
	if (load_u64(bytes + STATUS_BYTES - 8) > UINT32_MAX) /* session_count, the last word */
		return -EBADMSG;
	*ret_token = load_u64(bytes + 8);
	*ret = (struct decree_status){
		.node_id = m->node_id,
		.group = m->group,
		.leader = load_u16(bytes + 16),
		.role = (enum decree_role)bytes[18],
		.log_mode = (enum decree_log_mode)bytes[19],
		.idle = (enum decree_idle)bytes[20],
		.ready = bytes[21] & 1,
		.auth = bytes[21] & 2,
		.log_full = bytes[21] & 4,
		.has_lease = bytes[21] & 8,
		.snapshot_space_low = bytes[21] & 16,
	};
	status_words_decode(bytes + 32, ret);
	return status_peers_decode(bytes + STATUS_BYTES, m->count, ret);
}

/* The applied log */

void
client_log_reply_begin(struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group,
	uint16_t node_id, uint64_t token)
{
	writer_begin(w, out, capacity, CLIENT_MSG_LOG_REPLY, group, node_id);
	store_u64(out + 8, token);
	w->bytes = LOG_REPLY_BYTES;
}

bool
client_log_reply_add(struct client_writer *w, const struct decree_log_entry *entry)
{
	uint8_t *at = writer_extend(w, CLIENT_LOG_ENTRY_BYTES);

	decree_assert(entry->index <= UINT16_MAX);
	if (at == NULL)
		return false;
	store_u64(at, entry->slot.n);
	store_u16(at + 8, (uint16_t)entry->index);
	store_u16(at + 10, entry->executed);
	store_u32(at + 12, entry->bytes);
	store_u64(at + 16, entry->session.n);
	store_u64(at + 24, entry->seq);
	store_digest(at + 32, entry->digest);
	return true;
}

uint32_t
client_log_reply_finish(struct client_writer *w, struct decree_slot applied,
	struct decree_slot next, uint16_t next_index)
{
	decree_assert(next.n > 0);
	store_u16(w->out + 4, w->count);
	store_u64(w->out + 16, applied.n);
	store_u64(w->out + 24, next.n);
	store_u16(w->out + 32, next_index);
	memset(w->out + 34, 0, 6);
	return w->bytes;
}

bool
client_log_entry_next(
	const struct client_msg *m, uint32_t *cursor, struct decree_log_entry *ret_entry)
{
	const uint8_t *at = m->entries + *cursor;

	decree_assert(m->type == CLIENT_MSG_LOG_REPLY);
	if (*cursor >= m->entries_bytes)
		return false;
	*ret_entry = (struct decree_log_entry){
		.slot = { load_u64(at) },
		.index = load_u16(at + 8),
		.executed = load_u16(at + 10) == 1,
		.bytes = load_u32(at + 12),
		.session = { load_u64(at + 16) },
		.seq = load_u64(at + 24),
		.digest = load_digest(at + 32),
	};
	*cursor += CLIENT_LOG_ENTRY_BYTES;
	return true;
}

static int
log_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count < LOG_REPLY_BYTES)
		return -EBADMSG;
	m->log_reply.token = load_u64(bytes + 8);
	m->log_reply.applied.n = load_u64(bytes + 16);
	m->log_reply.next.n = load_u64(bytes + 24);
	m->log_reply.next_index = load_u16(bytes + 32);
	m->entries = bytes + LOG_REPLY_BYTES;
	m->entries_bytes = count - LOG_REPLY_BYTES;
	if (m->log_reply.next.n == 0 || !is_zero(bytes + 34, 6) ||
		m->entries_bytes != (uint32_t)m->count * CLIENT_LOG_ENTRY_BYTES)
		return -EBADMSG;
	for (uint32_t i = 0; i < m->count; i++)
		if (load_u16(m->entries + i * CLIENT_LOG_ENTRY_BYTES + 10) > 1)
			return -EBADMSG;
	return 0;
}

static int
log_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count != LOG_REQUEST_BYTES || m->count != 0)
		return -EBADMSG;
	m->log_request.token = load_u64(bytes + 8);
	m->log_request.first.n = load_u64(bytes + 16);
	m->log_request.slot_count = load_u32(bytes + 24);
	m->log_request.first_index = load_u16(bytes + 28);
	if (m->log_request.first.n == 0 || m->log_request.slot_count == 0 ||
		!is_zero(bytes + 30, 2))
		return -EBADMSG;
	return 0;
}

static uint32_t
log_request_encode(const struct client_msg *m, uint8_t *out)
{
	decree_assert(m->log_request.first.n > 0);
	decree_assert(m->log_request.slot_count > 0);
	store_u64(out + 8, m->log_request.token);
	store_u64(out + 16, m->log_request.first.n);
	store_u32(out + 24, m->log_request.slot_count);
	store_u16(out + 28, m->log_request.first_index);
	store_u16(out + 30, 0);
	return LOG_REQUEST_BYTES;
}

/* Administration */

static uint32_t
admin_request_encode(const struct client_msg *m, uint8_t *out)
{
	decree_assert(m->admin_request.token != 0);
	store_u64(out + 8, m->admin_request.token);
	store_u32(out + 16, m->admin_request.op);
	store_u32(out + 20, 0);
	memcpy(out + ADMIN_BYTES, m->admin_request.arguments, CLIENT_ADMIN_ARGUMENT_BYTES);
	return ADMIN_BYTES + CLIENT_ADMIN_ARGUMENT_BYTES;
}

static int
admin_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count != ADMIN_BYTES + CLIENT_ADMIN_ARGUMENT_BYTES || m->count != 0)
		return -EBADMSG;
	m->admin_request.token = load_u64(bytes + 8);
	m->admin_request.op = load_u32(bytes + 16);
	m->admin_request.arguments = bytes + ADMIN_BYTES;
	return m->admin_request.token != 0 && load_u32(bytes + 20) == 0 ? 0 : -EBADMSG;
}

static uint32_t
admin_reply_encode(const struct client_msg *m, uint8_t *out)
{
	decree_assert(m->admin_reply.token != 0);
	decree_assert(m->admin_reply.text_bytes <= CLIENT_ADMIN_TEXT_BYTES);
	store_u64(out + 8, m->admin_reply.token);
	store_u16(out + 16, (uint16_t)m->admin_reply.status);
	store_u16(out + 18, m->admin_reply.leader);
	store_u16(out + 20, m->admin_reply.text_bytes);
	store_u16(out + 22, 0);
	if (m->admin_reply.text_bytes > 0)
		memcpy(out + ADMIN_BYTES, m->admin_reply.text, m->admin_reply.text_bytes);
	return ADMIN_BYTES + m->admin_reply.text_bytes;
}

static int
admin_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	uint16_t status;

	if (count < ADMIN_BYTES || m->count != 0)
		return -EBADMSG;
	status = load_u16(bytes + 16);
	m->admin_reply.token = load_u64(bytes + 8);
	m->admin_reply.status = (enum client_admin_status)status;
	m->admin_reply.leader = load_u16(bytes + 18);
	m->admin_reply.text_bytes = load_u16(bytes + 20);
	m->admin_reply.text = bytes + ADMIN_BYTES;
	if (m->admin_reply.token == 0 || status < CLIENT_ADMIN_DONE ||
		status >= CLIENT_ADMIN_STATUS_AFTER || load_u16(bytes + 22) != 0 ||
		m->admin_reply.text_bytes > CLIENT_ADMIN_TEXT_BYTES ||
		count != ADMIN_BYTES + m->admin_reply.text_bytes)
		return -EBADMSG;
	return status == CLIENT_ADMIN_NOT_LEADER || m->admin_reply.leader == 0 ? 0 : -EBADMSG;
}

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

/* Reads */

static uint32_t
read_request_encode(const struct client_msg *m, uint8_t *out)
{
	decree_assert(m->read_request.bytes <= DECREE_QUERY_BYTES_MAX);
	store_u64(out + 8, m->read_request.token);
	memset(out + 16, 0, 8);
	out[16] = (uint8_t)m->read_request.consistency;
	if (m->read_request.bytes > 0)
		memcpy(out + CLIENT_READ_REQUEST_BYTES, m->read_request.query,
			m->read_request.bytes);
	return CLIENT_READ_REQUEST_BYTES + m->read_request.bytes;
}

static int
read_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count < CLIENT_READ_REQUEST_BYTES || m->count != 0)
		return -EBADMSG;
	m->read_request.token = load_u64(bytes + 8);
	m->read_request.consistency = (enum decree_consistency)bytes[16];
	m->read_request.query = bytes + CLIENT_READ_REQUEST_BYTES;
	m->read_request.bytes = count - CLIENT_READ_REQUEST_BYTES;
	return bytes[16] <= DECREE_STALE && is_zero(bytes + 17, 7) &&
			       m->read_request.bytes <= DECREE_QUERY_BYTES_MAX
		       ? 0
		       : -EBADMSG;
}

static uint32_t
read_reply_encode(const struct client_msg *m, uint8_t *out, uint32_t capacity)
{
	decree_assert(m->read_reply.bytes <= DECREE_ANSWER_BYTES_MAX);
	decree_assert(capacity >= CLIENT_READ_REPLY_BYTES + m->read_reply.bytes);
	store_u64(out + 8, m->read_reply.token);
	store_u64(out + 16, m->read_reply.applied.n);
	memset(out + 24, 0, 8);
	out[24] = (uint8_t)m->read_reply.status;
	store_u16(out + 26, m->read_reply.error);
	if (m->read_reply.bytes > 0)
		memcpy(out + CLIENT_READ_REPLY_BYTES, m->read_reply.answer, m->read_reply.bytes);
	return CLIENT_READ_REPLY_BYTES + m->read_reply.bytes;
}

static int
read_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count < CLIENT_READ_REPLY_BYTES || m->count != 0 || bytes[25] != 0 ||
		!is_zero(bytes + 28, 4))
		return -EBADMSG;
	m->read_reply.token = load_u64(bytes + 8);
	m->read_reply.applied.n = load_u64(bytes + 16);
	m->read_reply.status = (enum client_read_status)bytes[24];
	m->read_reply.error = load_u16(bytes + 26);
	m->read_reply.answer = bytes + CLIENT_READ_REPLY_BYTES;
	m->read_reply.bytes = count - CLIENT_READ_REPLY_BYTES;
	if (bytes[24] < CLIENT_READ_ANSWERED || bytes[24] >= CLIENT_READ_STATUS_AFTER ||
		m->read_reply.bytes > DECREE_ANSWER_BYTES_MAX ||
		(m->read_reply.bytes > 0 && bytes[24] != CLIENT_READ_ANSWERED) ||
		(m->read_reply.error != 0) != (bytes[24] == CLIENT_READ_FAILED))
		return -EBADMSG;
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
	store_header(ret_out, m->type, m->group, count, m->node_id);

	switch (m->type) {
	case CLIENT_MSG_COMMAND_FRAGMENT: return fragment_encode(&m->fragment, ret_out, capacity);
	case CLIENT_MSG_REDIRECT:
		store_u32(ret_out + 8, m->redirect.reason);
		store_u32(ret_out + 12, m->redirect.retry_after_us);
		return 16;
	case CLIENT_MSG_STATUS_REQUEST: store_u64(ret_out + 8, m->status_request.token); return 16;
	case CLIENT_MSG_STATUS_REPLY:
		return status_encode(&m->status_reply.status, m->status_reply.token, ret_out);
	case CLIENT_MSG_LOG_REQUEST: return log_request_encode(m, ret_out);
	case CLIENT_MSG_READ_REQUEST: return read_request_encode(m, ret_out);
	case CLIENT_MSG_READ_REPLY: return read_reply_encode(m, ret_out, capacity);
	case CLIENT_MSG_ADMIN_REQUEST: return admin_request_encode(m, ret_out);
	case CLIENT_MSG_ADMIN_REPLY: return admin_reply_encode(m, ret_out);
	default: decree_assert(!"a payload with entries has a writer"); return 0;
	}
}

/* Only answers name a node. */
static bool
names_node(enum client_msg_type type)
{
	return type == CLIENT_MSG_REPLIES || type == CLIENT_MSG_REDIRECT ||
	       type == CLIENT_MSG_STATUS_REPLY || type == CLIENT_MSG_LOG_REPLY ||
	       type == CLIENT_MSG_ADMIN_REPLY || type == CLIENT_MSG_READ_REPLY;
}

static int
body_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	switch (m->type) {
	case CLIENT_MSG_COMMANDS: return commands_check(m);
	case CLIENT_MSG_COMMAND_FRAGMENT:
		return m->count == 0 ? fragment_decode(bytes, count, &m->fragment) : -EBADMSG;
	case CLIENT_MSG_REPLIES: return replies_check(m);
	case CLIENT_MSG_REDIRECT: return redirect_decode(bytes, count, m);
	case CLIENT_MSG_STATUS_REQUEST:
		if (count != 16 || m->count != 0)
			return -EBADMSG;
		m->status_request.token = load_u64(bytes + 8);
		return 0;
	case CLIENT_MSG_STATUS_REPLY:
		return status_decode(
			bytes, count, m, &m->status_reply.status, &m->status_reply.token);
	case CLIENT_MSG_LOG_REQUEST: return log_request_decode(bytes, count, m);
	case CLIENT_MSG_LOG_REPLY: return log_reply_decode(bytes, count, m);
	case CLIENT_MSG_READ_REQUEST: return read_request_decode(bytes, count, m);
	case CLIENT_MSG_READ_REPLY: return read_reply_decode(bytes, count, m);
	case CLIENT_MSG_ADMIN_REQUEST: return admin_request_decode(bytes, count, m);
	case CLIENT_MSG_ADMIN_REPLY: return admin_reply_decode(bytes, count, m);
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
