/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads messages: those of the steady state field by field in straight code, every other one as the
 * table of msg.c says. What is decoded here is trusted everywhere else, so every bound is checked
 * here.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/msg_layout.h"

#include <errno.h>

#define ACCEPT_BYTES    40 /* before the value */
#define ACCEPTED_BYTES  56
#define HEARTBEAT_BYTES 24 /* before the marks */

/* A flag and the enums are written through their bytes. */
static_assert(sizeof(bool) == 1, "a flag");
static_assert(sizeof(enum eng_failure_reason) == 4, "a reason");
static_assert(sizeof(enum eng_entry_state) == 4, "a state");

static bool
is_slot(struct decree_slot slot)
{
	return slot.n <= ENG_SLOT_MAX;
}

static bool
is_range(struct decree_slot first, struct decree_slot after)
{
	return first.n <= after.n && after.n <= ENG_SLOT_MAX + 1;
}

static bool
decode_value(const uint8_t *at, uint32_t bytes, const uint8_t **ret_value, uint32_t *ret_bytes)
{
	if (bytes < 8 || load_u32(at) != bytes - 8 || load_u32(at + 4) != 0)
		return false;
	*ret_value = at + 8;
	*ret_bytes = bytes - 8;
	return true;
}

/* ---- the steady state ---- */

static bool
decode_accept(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes < ACCEPT_BYTES)
		return false;
	m->accept.slot.n = load_u64(at);
	m->accept.start.n = load_u64(at + 8);
	m->accept.commit.n = load_u64(at + 16);
	m->accept.digest.lo = load_u64(at + 24);
	m->accept.digest.hi = load_u64(at + 32);
	return is_slot(m->accept.slot) && is_slot(m->accept.start) && is_slot(m->accept.commit) &&
	       decode_value(
		       at + ACCEPT_BYTES, bytes - ACCEPT_BYTES, &m->accept.value, &m->accept.bytes);
}

static bool
decode_accepted(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes != ACCEPTED_BYTES)
		return false;
	m->accepted.start.n = load_u64(at);
	m->accepted.after.n = load_u64(at + 8);
	m->accepted.commit.n = load_u64(at + 16);
	for (int i = 0; i < 4; i++)
		m->accepted.sack[i] = load_u64(at + 24 + i * 8);
	return is_range(m->accepted.start, m->accepted.after) && is_slot(m->accepted.commit);
}

static bool
decode_heartbeat(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	if (bytes < HEARTBEAT_BYTES || (bytes - HEARTBEAT_BYTES) % ENG_HIGHEST_BYTES != 0)
		return false;
	m->heartbeat.marks = at + HEARTBEAT_BYTES;
	m->heartbeat.mark_count = (bytes - HEARTBEAT_BYTES) / ENG_HIGHEST_BYTES;
	m->heartbeat.seq = load_u64(at);
	m->heartbeat.start.n = load_u64(at + 8);
	m->heartbeat.commit.n = load_u64(at + 16);
	return is_slot(m->heartbeat.start) && is_slot(m->heartbeat.commit);
}

/* ---- all others ---- */

static void
set_member(struct eng_msg *m, uint32_t offset_bytes, const void *from, uint32_t bytes)
{
	memcpy((uint8_t *)m + offset_bytes, from, bytes);
}

static uint64_t
load_field(enum eng_field_kind kind, const uint8_t *at)
{
	switch (kind) {
	case ENG_FIELD_REASON: return *at;
	case ENG_FIELD_U32: return load_u32(at);
	default: return load_u64(at);
	}
}

/* The first of a range is good if the end, which follows it, is. */
static bool
is_sound(enum eng_field_kind kind, uint64_t v, uint64_t previous)
{
	switch (kind) {
	case ENG_FIELD_STATE: return v == ENG_ENTRY_ACCEPTED || v == ENG_ENTRY_DECIDED;
	case ENG_FIELD_SLOT: return v <= ENG_SLOT_MAX;
	case ENG_FIELD_AFTER: return previous <= v && v <= ENG_SLOT_MAX + 1;
	default: return true;
	}
}

static void
set_field(struct eng_msg *m, const struct eng_field *f, uint64_t v)
{
	uint32_t narrow = (uint32_t)v;

	if (eng_field_is_u32(f->kind))
		set_member(m, f->offset_bytes, &narrow, sizeof(narrow));
	else
		set_member(m, f->offset_bytes, &v, sizeof(v));
}

static bool
decode_value_of(
	struct eng_msg *m, const struct eng_msg_layout *l, const uint8_t *at, uint32_t bytes)
{
	const uint8_t *value;
	uint32_t count;

	if (!decode_value(at, bytes, &value, &count))
		return false;
	set_member(m, l->value_offset_bytes, &value, sizeof(value));
	set_member(m, l->value_bytes_offset_bytes, &count, sizeof(count));
	return true;
}

static bool
decode_entries(struct eng_msg *m, const uint8_t *at, uint32_t bytes)
{
	uint64_t count = m->promise.after.n - m->promise.first.n;

	if (count > UINT32_MAX / ENG_PROMISE_ENTRY_BYTES ||
		bytes != count * ENG_PROMISE_ENTRY_BYTES)
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (load_u32(at + i * ENG_PROMISE_ENTRY_BYTES + 28) > ENG_ENTRY_FAULTY_UNKNOWN)
			return false;
	m->promise.entries = at;
	return true;
}

static bool
decode_by_layout(struct eng_msg *m, uint8_t flag, const uint8_t *at, uint32_t bytes)
{
	const struct eng_msg_layout *l = &eng_msg_layouts[m->type];
	uint64_t previous = 0;

	if (!eng_msg_is_known(m->type))
		return false;
	if (l->flag_offset_bytes != 0)
		set_member(m, l->flag_offset_bytes, &flag, sizeof(flag));
	for (uint32_t i = 0; i < ENG_FIELD_COUNT_MAX && l->fields[i].kind != ENG_FIELD_NONE; i++) {
		const struct eng_field *f = &l->fields[i];
		uint32_t field_bytes = eng_field_bytes[f->kind];
		uint64_t v;

		if (bytes < field_bytes)
			return false;
		v = load_field(f->kind, at);
		if (!is_sound(f->kind, v, previous))
			return false;
		set_field(m, f, v);
		previous = v;
		at += field_bytes;
		bytes -= field_bytes;
	}
	switch (l->tail) {
	case ENG_TAIL_VALUE: return decode_value_of(m, l, at, bytes);
	case ENG_TAIL_ENTRIES: return decode_entries(m, at, bytes);
	default: return bytes == 0;
	}
}

/* ---- whole messages ---- */

int
eng_msg_decode(const uint8_t *bytes, uint32_t count, struct eng_msg *ret_msg)
{
	bool ok;

	if (count < ENG_MSG_HEADER_BYTES || load_u32(bytes + 12) != count - ENG_MSG_HEADER_BYTES)
		return -EBADMSG;
	if (bytes[0] >= ENG_MSG_TYPE_COUNT || bytes[1] > 1)
		return -EBADMSG;
	ret_msg->type = bytes[0];
	ret_msg->group = load_u16(bytes + 2);
	ret_msg->epoch = load_u32(bytes + 4);
	ret_msg->src = load_u16(bytes + 8);
	ret_msg->dst = load_u16(bytes + 10);
	ret_msg->src_nonce = load_u64(bytes + 16);
	ret_msg->src_disk = load_u64(bytes + 24);
	ret_msg->ballot.n = load_u64(bytes + 32);

	const uint8_t *at = bytes + ENG_MSG_HEADER_BYTES;
	uint32_t rest = count - ENG_MSG_HEADER_BYTES;
	switch (ret_msg->type) {
	case ENG_MSG_ACCEPT: ok = decode_accept(ret_msg, at, rest); break;
	case ENG_MSG_ACCEPTED: ok = decode_accepted(ret_msg, at, rest); break;
	case ENG_MSG_HEARTBEAT: ok = decode_heartbeat(ret_msg, at, rest); break;
	default: ok = decode_by_layout(ret_msg, bytes[1], at, rest);
	}
	return ok ? 0 : -EBADMSG;
}
