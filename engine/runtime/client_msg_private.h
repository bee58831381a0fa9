/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client_msg_private.h
 * One file for each subject encodes and decodes its payloads; client_msg.c chooses among them.
 *
 * An encoder writes what follows the common header and returns the bytes of the whole payload. A
 * decoder is given the whole payload and a message whose common header is filled in; -EBADMSG if it
 * is malformed.
 */
#ifndef ENGINE_RUNTIME_CLIENT_MSG_PRIVATE_H
#define ENGINE_RUNTIME_CLIENT_MSG_PRIVATE_H

#include "base/bytes.h"
#include "engine/runtime/client_msg.h"

static inline void
store_digest(uint8_t *out, struct decree_digest digest)
{
	store_u64(out, digest.lo);
	store_u64(out + 8, digest.hi);
}

static inline struct decree_digest
load_digest(const uint8_t *from)
{
	return (struct decree_digest){ .lo = load_u64(from), .hi = load_u64(from + 8) };
}

static inline bool
is_zero(const uint8_t *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (from[i] != 0)
			return false;
	return true;
}

/* ---- client_msg.c ---- */

void client_header_store(
	uint8_t *out, enum client_msg_type type, uint16_t group, uint16_t count, uint16_t node_id);

/* ---- client_msg_commands.c ---- */

void client_writer_begin(struct client_writer *w, uint8_t *out, uint32_t capacity,
	enum client_msg_type type, uint16_t group, uint16_t node_id);
/** Room for one more entry, or NULL. */
uint8_t *client_writer_extend(struct client_writer *w, uint64_t bytes);
int client_commands_check(const struct client_msg *m);
uint32_t client_fragment_encode(const struct client_fragment *f, uint8_t *out, uint32_t capacity);
int client_fragment_decode(const uint8_t *bytes, uint32_t count, struct client_fragment *ret);
int client_replies_check(const struct client_msg *m);

/* ---- client_msg_status.c ---- */

uint32_t client_status_encode(const struct decree_status *s, uint64_t token, uint8_t *out);
int client_status_decode(const uint8_t *bytes, uint32_t count, const struct client_msg *m,
	struct decree_status *ret, uint64_t *ret_token);
uint32_t client_log_request_encode(const struct client_msg *m, uint8_t *out);
int client_log_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);
int client_log_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);

/* ---- client_msg_ask.c ---- */

uint32_t client_admin_request_encode(const struct client_msg *m, uint8_t *out);
int client_admin_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);
uint32_t client_admin_reply_encode(const struct client_msg *m, uint8_t *out);
int client_admin_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);
uint32_t client_read_request_encode(const struct client_msg *m, uint8_t *out);
int client_read_request_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);
uint32_t client_read_reply_encode(const struct client_msg *m, uint8_t *out, uint32_t capacity);
int client_read_reply_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);

/* ---- client_msg_metrics.c ---- */

int client_metrics_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m);

#endif
