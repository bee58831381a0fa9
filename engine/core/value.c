/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/core/value.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>

/* @return what is behind the bodies, NULL if they go beyond @p end */
static const uint8_t *
pass_bodies(const struct eng_run *run, const uint8_t *end)
{
	const uint8_t *at = run->at;

	if (!run->is_mixed)
		return (uint64_t)(end - at) < (uint64_t)run->count * run->bytes
			       ? NULL
			       : at + (size_t)run->count * run->bytes;
	for (uint32_t i = 0; i < run->count; i++) {
		if (end - at < ENG_RUN_MIXED_BYTES)
			return NULL;
		uint32_t bytes = load_u16(at);
		at += ENG_RUN_MIXED_BYTES;
		if ((uint32_t)(end - at) < bytes)
			return NULL;
		at += bytes;
	}
	return at;
}

static int
decode_batch(struct eng_value *v)
{
	const uint8_t *at = v->next;
	uint32_t count = 0;

	while (at != v->end) {
		if (v->end - at < ENG_RUN_HEADER_BYTES)
			return -EBADMSG;
		struct eng_run run = eng_run_at(at);
		if (run.count == 0 || run.seq > UINT64_MAX - run.count ||
			(run.session.n == 0 && run.count > 1))
			return -EBADMSG;
		at = pass_bodies(&run, v->end);
		if (at == NULL)
			return -EBADMSG;
		count += run.count;
	}
	return count == v->count && count > 0 ? 0 : -EBADMSG;
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
	v->run.count = 0;
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

bool
eng_value_next_run(struct eng_value *v, struct eng_run *ret_run)
{
	if (v->kind != ENG_VALUE_BATCH || v->next == v->end)
		return false;
	*ret_run = eng_run_at(v->next);
	v->next = pass_bodies(ret_run, v->end);
	return true;
}

bool
eng_value_next(struct eng_value *v, struct eng_command *ret_command)
{
	if (v->run.count == 0 && !eng_value_next_run(v, &v->run))
		return false;
	*ret_command = eng_run_first(&v->run);
	eng_run_pass(&v->run, ret_command);
	return true;
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

/* ---- a batch ---- */

void
eng_batch_open(struct eng_batch *b, uint8_t *value, uint32_t slot_bytes, uint32_t command_bytes_max)
{
	*b = (struct eng_batch){
		.value = value,
		.slot_bytes = slot_bytes,
		.command_bytes_max = command_bytes_max,
		.bytes = eng_value_begin(value, ENG_VALUE_BATCH),
	};
}

/* What a command needs to be the next one of its session in this batch. */
struct place {
	uint32_t bytes; /* with its own, and a run's header if it begins one */
	bool begins;    /* a run ... */
	bool is_mixed;  /* ... of this kind */
};

/* A run whose bodies differ is of that kind from its beginning on: it begins where the size
 * changes. */
static struct place
place_of(const struct eng_batch *b, const struct eng_command *c)
{
	struct place alone = { c->bytes + ENG_RUN_HEADER_BYTES, true, false };

	if (b->run == 0 || c->session.n == 0)
		return alone;
	struct eng_run last = eng_run_at(b->value + b->run);
	if (last.session.n != c->session.n || last.seq + last.count != c->seq)
		return alone;
	if (last.is_mixed)
		return (struct place){ c->bytes + ENG_RUN_MIXED_BYTES, false, true };
	if (last.bytes == c->bytes)
		return (struct place){ c->bytes, false, false };
	return (struct place){ c->bytes + ENG_RUN_HEADER_BYTES + ENG_RUN_MIXED_BYTES, true, true };
}

static void
run_open(struct eng_batch *b, const struct eng_command *c, bool is_mixed)
{
	uint8_t *at = b->value + b->bytes;

	decree_assert(c->bytes < ENG_RUN_MIXED);
	store_u64(at, c->session.n);
	store_u64(at + 8, c->seq);
	store_u16(at + 16, 0);
	store_u16(at + 18, is_mixed ? ENG_RUN_MIXED : (uint16_t)c->bytes);
	b->run = b->bytes;
	b->bytes += ENG_RUN_HEADER_BYTES;
}

/* Commands that go on with the last run. @return how many */
static uint32_t
run_add(struct eng_batch *b, const struct eng_command *commands, uint32_t count)
{
	uint8_t *header = b->value + b->run, *to = b->value + b->bytes;
	const struct eng_run run = eng_run_at(header);
	const uint32_t size_bytes = run.is_mixed ? ENG_RUN_MIXED_BYTES : 0;
	const uint32_t least = run.is_mixed ? 0 : run.bytes;
	const uint32_t most = run.is_mixed ? b->command_bytes_max : run.bytes;
	uint32_t left = b->slot_bytes - b->bytes, taken = 0;

	for (; taken < count; taken++) {
		const struct eng_command *c = &commands[taken];

		if (c->session.n != run.session.n || c->seq != run.seq + run.count + taken ||
			c->bytes < least || c->bytes > most || size_bytes + c->bytes > left)
			break;
		if (size_bytes > 0)
			store_u16(to, (uint16_t)c->bytes);
		memcpy(to + size_bytes, c->body, c->bytes);
		to += size_bytes + c->bytes;
		left -= size_bytes + c->bytes;
	}
	store_u16(header + 16, (uint16_t)(run.count + taken));
	store_u16(b->value + 2, (uint16_t)(load_u16(b->value + 2) + taken));
	b->bytes = b->slot_bytes - left;
	return taken;
}

static uint32_t
count_left(const struct eng_batch *b)
{
	return eng_value_commands_max(b->slot_bytes) - load_u16(b->value + 2);
}

bool
eng_batch_has_room(const struct eng_batch *b, const struct eng_command *c)
{
	return b->bytes > 0 && count_left(b) > 0 &&
	       place_of(b, c).bytes <= b->slot_bytes - b->bytes;
}

uint32_t
eng_batch_add(struct eng_batch *b, const struct eng_command *commands, uint32_t count)
{
	const struct decree_session session = commands[0].session;
	uint32_t taken = 0;

	if (count > count_left(b))
		count = count_left(b);
	if (session.n == 0 && count > 1)
		count = 1;
	while (taken < count) {
		const struct eng_command *c = &commands[taken];
		struct place place = place_of(b, c);

		if (c->session.n != session.n || c->seq != commands[0].seq + taken ||
			c->bytes > b->command_bytes_max || place.bytes > b->slot_bytes - b->bytes)
			break;
		if (place.begins)
			run_open(b, c, place.is_mixed);
		taken += run_add(b, c, count - taken);
	}
	return taken;
}

/* Bodies of one size that lie behind each other, behind a run of that size. @return how many */
static uint32_t
run_add_stretch(struct eng_batch *b, const struct eng_body *bodies, uint32_t count)
{
	uint8_t *header = b->value + b->run;
	const uint8_t *next = bodies[0].body;
	const uint32_t bytes = bodies[0].bytes, left = b->slot_bytes - b->bytes;
	uint32_t taken = 0;

	if (bytes > 0 && count > left / bytes)
		count = left / bytes;
	for (; taken < count && bodies[taken].bytes == bytes && bodies[taken].body == next; taken++)
		next += bytes;
	memcpy(b->value + b->bytes, bodies[0].body, taken * (size_t)bytes);
	store_u16(header + 16, (uint16_t)(load_u16(header + 16) + taken));
	store_u16(b->value + 2, (uint16_t)(load_u16(b->value + 2) + taken));
	b->bytes += taken * bytes;
	return taken;
}

uint32_t
eng_batch_add_run(struct eng_batch *b, struct decree_session session, uint64_t seq,
	const struct eng_body *bodies, uint32_t count)
{
	uint32_t taken = 0;

	if (count > count_left(b))
		count = count_left(b);
	while (taken < count) {
		const struct eng_command c = { session, seq + taken, bodies[taken].body,
			bodies[taken].bytes };
		struct place place = place_of(b, &c);

		if (c.bytes > b->command_bytes_max || place.bytes > b->slot_bytes - b->bytes)
			break;
		if (place.begins)
			run_open(b, &c, place.is_mixed);
		taken += place.is_mixed ? run_add(b, &c, 1)
					: run_add_stretch(b, &bodies[taken], count - taken);
	}
	return taken;
}

uint32_t
eng_value_batch(
	uint8_t *value, uint32_t slot_bytes, const struct eng_command *commands, uint32_t count)
{
	struct eng_batch batch;

	eng_batch_open(&batch, value, slot_bytes, slot_bytes);
	for (uint32_t i = 0, taken; i < count; i += taken) {
		taken = eng_batch_add(&batch, &commands[i], count - i);
		if (taken == 0)
			return 0;
	}
	return batch.bytes;
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
