/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADMIN_* and READ_*: requests that are no commands of the log, and their answers. The bytes are in
 * the table at the top of client_msg.c.
 */
#include "engine/runtime/client_msg_private.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>

#define ADMIN_BYTES 24u /* of a request or reply beside its arguments or text */

/* Administration */

uint32_t
client_admin_request_encode(const struct client_msg *m, uint8_t *out)
{
	decree_assert(m->admin_request.token != 0);
	store_u64(out + 8, m->admin_request.token);
	store_u32(out + 16, m->admin_request.op);
	store_u32(out + 20, 0);
	memcpy(out + ADMIN_BYTES, m->admin_request.arguments, CLIENT_ADMIN_ARGUMENT_BYTES);
	return ADMIN_BYTES + CLIENT_ADMIN_ARGUMENT_BYTES;
}

int
client_admin_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count != ADMIN_BYTES + CLIENT_ADMIN_ARGUMENT_BYTES || m->count != 0)
		return -EBADMSG;
	m->admin_request.token = load_u64(bytes + 8);
	m->admin_request.op = load_u32(bytes + 16);
	m->admin_request.arguments = bytes + ADMIN_BYTES;
	return m->admin_request.token != 0 && load_u32(bytes + 20) == 0 ? 0 : -EBADMSG;
}

uint32_t
client_admin_reply_encode(const struct client_msg *m, uint8_t *out)
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

int
client_admin_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
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

/* Reads */

uint32_t
client_read_request_encode(const struct client_msg *m, uint8_t *out)
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

int
client_read_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
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

uint32_t
client_read_reply_encode(const struct client_msg *m, uint8_t *out, uint32_t capacity)
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

int
client_read_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
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
