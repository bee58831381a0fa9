/* SPDX-License-Identifier: Apache-2.0 */
/*
 * METRICS_REQUEST and METRICS_REPLY; the bytes are in the table at the top of client_msg.c. Values
 * stand in the order of the table in metrics.h: rows, reasons for drops, and for each peer the rows
 * of peers. Each of the three has its own count, so that nodes and clients of different versions
 * understand what both of them know.
 */
#include "engine/runtime/client_msg_private.h"
#include "engine/runtime/metrics.h"

#include "base/assert.h"

#include <errno.h>

#define METRICS_BYTES 24u /* of a reply before its values, the header included */
#define PEER_BYTES    (8u + 8u * METRIC_PEER_ROW_COUNT)

static uint32_t
min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint8_t *
values_store(uint8_t *at, const uint64_t *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, at += 8)
		store_u64(at, values[i]);
	return at;
}

uint32_t
client_metrics_encode(
	const struct decree_metrics *metrics, uint64_t token, uint8_t *out, uint32_t capacity)
{
	uint32_t room = capacity - METRICS_BYTES;
	uint32_t peer_count = min(metrics->peer_count, room / PEER_BYTES);
	uint32_t row_count, drop_count;
	uint8_t *at = out + METRICS_BYTES;

	decree_assert(capacity >= CLIENT_MSG_FIXED_BYTES_MAX);
	room -= peer_count * PEER_BYTES;
	row_count = min(METRIC_ROW_COUNT, room / 8);
	room -= row_count * 8;
	drop_count = min(METRIC_DROP_COUNT, room / 8);
	client_header_store(out, CLIENT_MSG_METRICS_REPLY, metrics->group, (uint16_t)peer_count,
		metrics->node_id);
	store_u64(out + 8, token);
	store_u16(out + 16, (uint16_t)row_count);
	store_u16(out + 18, (uint16_t)drop_count);
	store_u16(out + 20, METRIC_PEER_ROW_COUNT);
	store_u16(out + 22, 0);
	at = values_store(at, metrics->values, row_count);
	at = values_store(at, metrics->values + METRIC_ROW_COUNT, drop_count);
	for (uint32_t i = 0; i < peer_count; i++) {
		store_u64(at, metrics->peers[i].node_id);
		at = values_store(at + 8, metrics->peers[i].values, METRIC_PEER_ROW_COUNT);
	}
	return (uint32_t)(at - out);
}

int
client_metrics_decode(const uint8_t *bytes, uint32_t count, struct client_msg *m)
{
	if (count < METRICS_BYTES || !is_zero(bytes + 22, 2))
		return -EBADMSG;
	m->metrics_reply.token = load_u64(bytes + 8);
	m->metrics_reply.row_count = load_u16(bytes + 16);
	m->metrics_reply.drop_count = load_u16(bytes + 18);
	m->metrics_reply.peer_row_count = load_u16(bytes + 20);
	m->entries = bytes + METRICS_BYTES;
	m->entries_bytes = count - METRICS_BYTES;
	if (m->count > DECREE_NODE_COUNT_MAX ||
		m->entries_bytes != 8u * (m->metrics_reply.row_count + m->metrics_reply.drop_count +
						 m->count * (1u + m->metrics_reply.peer_row_count)))
		return -EBADMSG;
	for (uint32_t i = 0; i < m->count; i++)
		if (load_u64(bytes + count -
			     8u * (m->count - i) * (1u + m->metrics_reply.peer_row_count)) >
			UINT16_MAX)
			return -EBADMSG;
	return 0;
}

static const uint8_t *
values_load(const uint8_t *at, uint32_t count, uint64_t *ret, uint32_t known)
{
	for (uint32_t i = 0; i < min(count, known); i++)
		ret[i] = load_u64(at + 8 * i);
	return at + 8 * count;
}

/* What the other side does not say stays like this: a zero would be an answer. */
static void
values_clear(uint64_t *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		values[i] = DECREE_METRIC_ABSENT;
}

void
client_metrics_read(const struct client_msg *m, struct decree_metrics *ret_metrics)
{
	struct decree_metrics *ret = ret_metrics;
	const uint8_t *at = m->entries;

	decree_assert(m->type == CLIENT_MSG_METRICS_REPLY);
	memset(ret, 0, sizeof(*ret));
	values_clear(ret->values, METRIC_COUNT);
	ret->node_id = m->node_id;
	ret->group = m->group;
	ret->value_count = METRIC_COUNT;
	ret->peer_count = m->count;
	at = values_load(at, m->metrics_reply.row_count, ret->values, METRIC_ROW_COUNT);
	at = values_load(
		at, m->metrics_reply.drop_count, ret->values + METRIC_ROW_COUNT, METRIC_DROP_COUNT);
	for (uint32_t i = 0; i < m->count; i++) {
		ret->peers[i].node_id = (uint16_t)load_u64(at);
		values_clear(ret->peers[i].values, METRIC_PEER_ROW_COUNT);
		at = values_load(at + 8, m->metrics_reply.peer_row_count, ret->peers[i].values,
			METRIC_PEER_ROW_COUNT);
	}
}
