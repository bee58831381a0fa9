/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COMMANDS, COMMAND_FRAGMENT and REPLIES: what clients want executed, and what came of it. The
 * bytes are in the table at the top of client_msg.c.
 */
#include "engine/runtime/client_msg_private.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/session.h"

#include <errno.h>

/* Payloads with entries, the applied log's too */

void
client_writer_begin(struct client_writer *w, uint8_t *out, uint32_t capacity,
	enum client_msg_type type, uint16_t group, uint16_t node_id)
{
	decree_assert(capacity >= 64);
	*w = (struct client_writer){
		.out = out, .capacity = capacity, .bytes = CLIENT_MSG_HEADER_BYTES
	};
	client_header_store(out, type, group, 0, node_id);
}

/* Room for one more entry, or NULL. */
uint8_t *
client_writer_extend(struct client_writer *w, uint64_t bytes)
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

/* Commands */

void
client_commands_begin(struct client_writer *w, uint8_t *out, uint32_t capacity, uint16_t group)
{
	client_writer_begin(w, out, capacity, CLIENT_MSG_COMMANDS, group, 0);
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
	at = client_writer_extend(w, (uint64_t)CLIENT_COMMAND_BYTES + command->bytes);
	if (at == NULL)
		return false;
	store_u64(at, command->session.n);
	store_u64(at + 8, command->seq);
	store_u32(at + 16, command->bytes);
	if (command->bytes > 0)
		memcpy(at + CLIENT_COMMAND_BYTES, command->body, command->bytes);
	return true;
}

/* The entries were checked by client_commands_check(). */
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

int
client_commands_check(const struct client_msg *m)
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

uint32_t
client_fragment_encode(const struct client_fragment *f, uint8_t *out, uint32_t capacity)
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

int
client_fragment_decode(const uint8_t *bytes, uint32_t count, struct client_fragment *ret)
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
	client_writer_begin(w, out, capacity, CLIENT_MSG_REPLIES, group, leader);
}

static bool
has_token(enum client_reply_kind kind)
{
	return kind == CLIENT_REPLY_REGISTERED || kind == CLIENT_REPLY_TABLE_FULL;
}

bool
client_replies_add(struct client_writer *w, const struct client_reply *reply)
{
	uint8_t *at = client_writer_extend(w, CLIENT_REPLY_BYTES);

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

int
client_replies_check(const struct client_msg *m)
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
