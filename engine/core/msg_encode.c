/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes messages: those of the steady state field by field in straight code, every other one as
 * the table of msg.c says.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/msg_layout.h"
#include "engine/core/replica.h"

struct cursor {
	uint8_t *at;
};

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

/* ---- the steady state ---- */

static void
put_accept(struct cursor *c, const struct eng_msg *m)
{
	put_u64(c, m->accept.slot.n);
	put_u64(c, m->accept.start.n);
	put_u64(c, m->accept.commit.n);
	put_digest(c, m->accept.digest);
	put_value(c, m->accept.value, m->accept.bytes);
}

static void
put_accepted(struct cursor *c, const struct eng_msg *m)
{
	put_u64(c, m->accepted.start.n);
	put_u64(c, m->accepted.after.n);
	put_u64(c, m->accepted.commit.n);
	for (int i = 0; i < 4; i++)
		put_u64(c, m->accepted.sack[i]);
}

static void
put_heartbeat(struct cursor *c, const struct eng_msg *m)
{
	put_u64(c, m->heartbeat.seq);
	put_u64(c, m->heartbeat.start.n);
	put_u64(c, m->heartbeat.commit.n);
	if (m->heartbeat.mark_count > 0)
		memcpy(c->at, m->heartbeat.marks, m->heartbeat.mark_count * ENG_HIGHEST_BYTES);
	c->at += m->heartbeat.mark_count * ENG_HIGHEST_BYTES;
}

/* ---- all others ---- */

static uint32_t
member_u32(const struct eng_msg *m, uint32_t offset_bytes)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)m + offset_bytes, sizeof(v));
	return v;
}

static uint64_t
member_u64(const struct eng_msg *m, uint32_t offset_bytes)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)m + offset_bytes, sizeof(v));
	return v;
}

static void
put_field(struct cursor *c, const struct eng_msg *m, const struct eng_field *f)
{
	uint64_t v = eng_field_is_u32(f->kind) ? member_u32(m, f->offset_bytes)
					       : member_u64(m, f->offset_bytes);

	switch (f->kind) {
	case ENG_FIELD_REASON: *c->at++ = (uint8_t)v; break;
	case ENG_FIELD_U32: put_u32(c, (uint32_t)v); break;
	default: put_u64(c, v);
	}
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

/* @param flag  of the header */
static void
put_by_layout(struct cursor *c, uint8_t *flag, const struct eng_replica *r, const struct eng_msg *m)
{
	const struct eng_msg_layout *l = &eng_msg_layouts[m->type];
	const uint8_t *value;

	decree_assert(eng_msg_is_known(m->type));
	if (l->flag_offset_bytes != 0)
		*flag = ((const uint8_t *)m)[l->flag_offset_bytes];
	for (uint32_t i = 0; i < ENG_FIELD_COUNT_MAX && l->fields[i].kind != ENG_FIELD_NONE; i++)
		put_field(c, m, &l->fields[i]);
	if (l->tail == ENG_TAIL_VALUE) {
		memcpy(&value, (const uint8_t *)m + l->value_offset_bytes, sizeof(value));
		put_value(c, value, member_u32(m, l->value_bytes_offset_bytes));
	} else if (l->tail == ENG_TAIL_ENTRIES) {
		put_entries(c, r, m->promise.first, m->promise.after);
	}
}

/* ---- whole messages ---- */

uint32_t
eng_msg_encode(
	const struct eng_replica *r, const struct eng_msg *m, uint8_t *ret_out, uint32_t capacity)
{
	struct cursor c = { ret_out + ENG_MSG_HEADER_BYTES };

	ret_out[0] = (uint8_t)m->type;
	ret_out[1] = 0;
	store_u16(ret_out + 2, m->group);
	store_u32(ret_out + 4, m->epoch);
	store_u16(ret_out + 8, m->src);
	store_u16(ret_out + 10, m->dst);
	store_u64(ret_out + 16, m->src_nonce);
	store_u64(ret_out + 24, m->src_disk);
	store_u64(ret_out + 32, m->ballot.n);
	switch (m->type) {
	case ENG_MSG_ACCEPT: put_accept(&c, m); break;
	case ENG_MSG_ACCEPTED: put_accepted(&c, m); break;
	case ENG_MSG_HEARTBEAT: put_heartbeat(&c, m); break;
	default: put_by_layout(&c, ret_out + 1, r, m);
	}
	uint32_t bytes = (uint32_t)(c.at - ret_out);
	decree_assert(bytes <= capacity);
	store_u32(ret_out + 12, bytes - ENG_MSG_HEADER_BYTES);
	return bytes;
}
