/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/core/value.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>

static int
decode_batch(struct eng_value *v)
{
	const uint8_t *at = v->next;

	for (uint32_t i = 0; i < v->count; i++) {
		if (v->end - at < ENG_COMMAND_HEADER_BYTES)
			return -EBADMSG;
		uint32_t bytes = load_u16(at + 16);
		at += ENG_COMMAND_HEADER_BYTES;
		if ((uint32_t)(v->end - at) < bytes)
			return -EBADMSG;
		at += bytes;
	}
	return at == v->end && v->count > 0 ? 0 : -EBADMSG;
}

static int
decode_fragment(struct eng_value *v)
{
	const uint8_t *at = v->next;
	struct eng_fragment *f = &v->fragment;

	if (v->count != 0 || v->end - at < ENG_FRAGMENT_HEADER_BYTES)
		return -EBADMSG;
	f->session.n = load_u64(at);
	f->seq = load_u64(at + 8);
	f->train.n = load_u64(at + 16);
	f->part = load_u32(at + 24);
	f->part_count = load_u32(at + 28);
	f->command_bytes = load_u32(at + 32);
	f->count = load_u32(at + 36);
	f->digest.lo = load_u64(at + 40);
	f->digest.hi = load_u64(at + 48);
	f->bytes = at + ENG_FRAGMENT_HEADER_BYTES;
	if (f->count != (uint32_t)(v->end - f->bytes) || f->part >= f->part_count ||
		f->count > f->command_bytes)
		return -EBADMSG;
	return 0;
}

static int
decode_config(struct eng_value *v)
{
	if (v->count != 0)
		return -EBADMSG;
	return eng_membership_decode(v->next, (uint32_t)(v->end - v->next), &v->membership);
}

static int
decode_mark(struct eng_value *v)
{
	const uint8_t *at = v->next;
	struct eng_mark *m = &v->mark;

	if (v->count != 0 || v->end - at != ENG_MARK_BYTES || load_u32(at) > 1 ||
		load_u32(at + 4) != 0)
		return -EBADMSG;
	m->is_cut = load_u32(at) == 1;
	m->anchor.n = load_u64(at + 8);
	m->digest.lo = load_u64(at + 16);
	m->digest.hi = load_u64(at + 24);
	if (m->anchor.n > ENG_SLOT_MAX ||
		(m->anchor.n == 0 && (m->digest.lo != 0 || m->digest.hi != 0)))
		return -EBADMSG;
	return 0;
}

/* Filled in place: a membership is too large to be cleared for each batch. */
static void
decode_header(const uint8_t *bytes, uint32_t count, struct eng_value *v)
{
	v->kind = bytes[0];
	v->count = load_u16(bytes + 2);
	v->stamp_ns = load_u64(bytes + 8);
	v->next = bytes + ENG_VALUE_HEADER_BYTES;
	v->end = bytes + count;
}

void
eng_value_reopen(const uint8_t *bytes, uint32_t count, struct eng_value *ret_value)
{
	if (bytes[0] != ENG_VALUE_BATCH) {
		int rc = eng_value_decode(bytes, count, ret_value);

		decree_assert(rc == 0);
		return;
	}
	decode_header(bytes, count, ret_value);
	decree_assert(ret_value->next < ret_value->end);
}

int
eng_value_decode(const uint8_t *bytes, uint32_t count, struct eng_value *ret_value)
{
	struct eng_value *v = ret_value;

	if (count < ENG_VALUE_HEADER_BYTES || bytes[1] != 0 || load_u32(bytes + 4) != 0)
		return -EBADMSG;
	decode_header(bytes, count, v);
	switch (v->kind) {
	case ENG_VALUE_NOOP: return v->count == 0 && v->next == v->end ? 0 : -EBADMSG;
	case ENG_VALUE_BATCH: return decode_batch(v);
	case ENG_VALUE_FRAGMENT: return decode_fragment(v);
	case ENG_VALUE_CONFIG: return decode_config(v);
	case ENG_VALUE_MARK: return decode_mark(v);
	}
	return -EBADMSG;
}

uint64_t
eng_value_stamp(const uint8_t *bytes)
{
	return load_u64(bytes + 8);
}

uint32_t
eng_value_begin(uint8_t *value, enum eng_value_kind kind)
{
	memset(value, 0, ENG_VALUE_HEADER_BYTES);
	value[0] = (uint8_t)kind;
	return ENG_VALUE_HEADER_BYTES;
}

uint32_t
eng_value_fragment(uint8_t *value, const struct eng_fragment *f)
{
	uint8_t *at = value + eng_value_begin(value, ENG_VALUE_FRAGMENT);

	store_u64(at, f->session.n);
	store_u64(at + 8, f->seq);
	store_u64(at + 16, f->train.n);
	store_u32(at + 24, f->part);
	store_u32(at + 28, f->part_count);
	store_u32(at + 32, f->command_bytes);
	store_u32(at + 36, f->count);
	store_u64(at + 40, f->digest.lo);
	store_u64(at + 48, f->digest.hi);
	memcpy(at + ENG_FRAGMENT_HEADER_BYTES, f->bytes, f->count);
	return ENG_VALUE_HEADER_BYTES + ENG_FRAGMENT_HEADER_BYTES + f->count;
}

uint32_t
eng_value_config(uint8_t *value, const struct eng_membership *m)
{
	uint32_t bytes = eng_value_begin(value, ENG_VALUE_CONFIG);

	return bytes + eng_membership_encode(m, value + bytes);
}

uint32_t
eng_value_mark(uint8_t *value, const struct eng_mark *mark)
{
	uint8_t *at = value + eng_value_begin(value, ENG_VALUE_MARK);

	decree_assert(mark->anchor.n != 0 || (mark->digest.lo == 0 && mark->digest.hi == 0));
	store_u32(at, mark->is_cut);
	store_u32(at + 4, 0);
	store_u64(at + 8, mark->anchor.n);
	store_u64(at + 16, mark->digest.lo);
	store_u64(at + 24, mark->digest.hi);
	return ENG_VALUE_HEADER_BYTES + ENG_MARK_BYTES;
}

void
eng_value_set_stamp(uint8_t *value, uint64_t stamp_ns)
{
	store_u64(value + 8, stamp_ns);
}
