/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATUS_REPLY, LOG_REQUEST and LOG_REPLY: what a node says of itself and of what it applied. The
 * bytes are in the table at the top of client_msg.c.
 */
#include "engine/runtime/client_msg_private.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>

#define STATUS_BYTES        288u /* the fixed part of STATUS_REPLY, the header included */
#define STATUS_PEER_BYTES   24u
#define STATUS_MEMBER_BYTES 4u
#define LOG_REQUEST_BYTES   32u
#define LOG_REPLY_BYTES     40u /* before the first entry */

static_assert(STATUS_BYTES + DECREE_NODE_COUNT_MAX * STATUS_PEER_BYTES +
			      DECREE_MEMBER_COUNT_MAX * STATUS_MEMBER_BYTES <=
		      CLIENT_MSG_FIXED_BYTES_MAX,
	"a status reply is one of the fixed payloads");

/* Status */

static uint32_t
status_flags(const struct decree_status *s)
{
	return (s->ready ? 1 : 0) | (s->auth ? 2 : 0) | (s->log_full ? 4 : 0) |
	       (s->has_lease ? 8 : 0) | (s->snapshot_space_low ? 16 : 0) |
	       (s->log_doubtful ? 32 : 0) | (s->snapshot_damaged ? 64 : 0);
}

/* @return the byte after the last one */
static uint8_t *
status_peers_encode(const struct decree_status *s, uint8_t *at)
{
	decree_assert(s->peer_count <= DECREE_NODE_COUNT_MAX);
	for (uint32_t i = 0; i < s->peer_count; i++, at += STATUS_PEER_BYTES) {
		memset(at, 0, STATUS_PEER_BYTES);
		store_u16(at, s->peers[i].node_id);
		at[2] = s->peers[i].session_up;
		store_u64(at + 8, s->peers[i].echo_age_ns);
		store_u64(at + 16, s->peers[i].commit.n);
	}
	return at;
}

static uint8_t *
status_members_encode(const struct decree_status *s, uint8_t *at)
{
	decree_assert(s->member_count <= DECREE_MEMBER_COUNT_MAX);
	for (uint32_t i = 0; i < s->member_count; i++, at += STATUS_MEMBER_BYTES) {
		store_u16(at, s->members[i].node_id);
		at[2] = (uint8_t)s->members[i].kind;
		at[3] = 0;
	}
	return at;
}

uint32_t
client_status_encode(const struct decree_status *s, uint64_t token, uint8_t *out)
{
	const uint64_t words[] = { s->ballot.n, s->chosen.n, s->applied.n, s->digest.lo,
		s->digest.hi, s->applied_count, s->log_bytes_used, s->log_bytes, s->boot_count,
		s->uptime_ns, s->start_to_ready_ns, s->memory_bytes, s->frames_received,
		s->frames_sent, s->frames_dropped, s->messages_dropped, s->elections, s->lease_ns,
		s->reads, s->lease_reads, s->read_rounds, s->low.n, s->snapshot.n,
		s->snapshot_bytes, s->snapshot_unix_s, s->agreed.n, s->session_evicted_count,
		s->log_damaged, s->log_rewritten, s->log_scrub_count,
		s->version_min | s->version_max << 8, s->session_count };
	uint8_t *after;

	static_assert(sizeof(words) == STATUS_BYTES - 32, "the status layout");
	store_u64(out + 8, token);
	store_u16(out + 16, s->leader);
	out[18] = (uint8_t)s->role;
	out[19] = (uint8_t)s->log_mode;
	out[20] = (uint8_t)s->idle;
	out[21] = (uint8_t)status_flags(s);
	out[22] = (uint8_t)s->member_count;
	out[23] = (uint8_t)s->q1;
	out[24] = (uint8_t)s->q2;
	out[25] = (uint8_t)s->kind;
	out[26] = s->is_changing;
	out[27] = (uint8_t)s->version;
	store_u32(out + 28, s->epoch);
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		store_u64(out + 32 + 8 * i, words[i]);
	after = status_peers_encode(s, out + STATUS_BYTES);
	return (uint32_t)(status_members_encode(s, after) - out);
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
		&ret->session_evicted_count, &ret->log_damaged, &ret->log_rewritten,
		&ret->log_scrub_count };
	const uint32_t count = sizeof(words) / sizeof(words[0]);

	for (uint32_t i = 0; i < count; i++)
		*words[i] = load_u64(at + 8 * i);
	/* The versions' bytes are between the two. */
	ret->session_count = (uint32_t)load_u64(at + 8 * (count + 1));
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
status_members_decode(const uint8_t *at, uint32_t count, struct decree_status *ret)
{
	for (uint32_t i = 0; i < count; i++, at += STATUS_MEMBER_BYTES) {
		if (at[2] < DECREE_VOTER || at[2] > DECREE_LEARNER || at[3] != 0)
			return -EBADMSG;
		ret->members[i] = (struct decree_member_row){
			.node_id = load_u16(at),
			.kind = (enum decree_member_kind)at[2],
		};
	}
	ret->member_count = count;
	return 0;
}

/* The counts that the bytes claim are within the limits, and give these bytes. */
static bool
status_length_is_right(const uint8_t *bytes, uint32_t count, uint32_t peer_count)
{
	return count >= STATUS_BYTES && peer_count <= DECREE_NODE_COUNT_MAX &&
	       bytes[22] <= DECREE_MEMBER_COUNT_MAX &&
	       count == STATUS_BYTES + peer_count * STATUS_PEER_BYTES +
				bytes[22] * STATUS_MEMBER_BYTES;
}

int
client_status_decode(const uint8_t *bytes, uint32_t count, const struct client_msg *m,
	struct decree_status *ret, uint64_t *ret_token)
{
	if (!status_length_is_right(bytes, count, m->count))
		return -EBADMSG;
	if (bytes[18] > DECREE_LEADER || bytes[19] > DECREE_LOG_MEMORY ||
		bytes[20] > DECREE_IDLE_SLEEP || bytes[21] > 127 || bytes[25] > DECREE_LEARNER ||
		bytes[26] > 1 || load_u64(bytes + STATUS_BYTES - 16) > UINT16_MAX)
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
		.log_doubtful = bytes[21] & 32,
		.snapshot_damaged = bytes[21] & 64,
		.q1 = bytes[23],
		.q2 = bytes[24],
		.kind = (enum decree_member_kind)bytes[25],
		.is_changing = bytes[26] == 1,
		.version = bytes[27],
		.version_min = bytes[STATUS_BYTES - 16],
		.version_max = bytes[STATUS_BYTES - 15],
		.epoch = load_u32(bytes + 28),
	};
	status_words_decode(bytes + 32, ret);
	if (status_peers_decode(bytes + STATUS_BYTES, m->count, ret) != 0)
		return -EBADMSG;
	return status_members_decode(
		bytes + STATUS_BYTES + m->count * STATUS_PEER_BYTES, bytes[22], ret);
}

/* The applied log */

void
client_log_reply_begin(struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group,
	uint16_t node_id, uint64_t token)
{
	client_writer_begin(w, out, capacity, CLIENT_MSG_LOG_REPLY, group, node_id);
	store_u64(out + 8, token);
	w->bytes = LOG_REPLY_BYTES;
}

bool
client_log_reply_add(struct client_writer *w, const struct decree_log_entry *entry)
{
	uint8_t *at = client_writer_extend(w, CLIENT_LOG_ENTRY_BYTES);

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

int
client_log_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
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

uint32_t
client_log_request_encode(const struct client_msg *m, uint8_t *out)
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

int
client_log_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
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
