/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tube's name, a job's body: bytes that never change, beginning in the object's own cell and
 * going on in a chain.
 */
#include "queue/private.h"

static uint32_t
inline_bytes(enum kind kind)
{
	switch (kind) {
	case KIND_TUBE: return sizeof(((struct tube *)0)->name);
	case KIND_JOB: return JOB_INLINE_BYTES;
	default: return 0;
	}
}

static uint8_t *
inline_at(const struct object *o)
{
	return o->kind == KIND_TUBE ? ((struct tube *)(uintptr_t)o)->name
				    : ((struct job *)(uintptr_t)o)->body;
}

uint64_t
payload_cells(enum kind kind, uint64_t payload_bytes)
{
	uint64_t in = inline_bytes(kind);

	return payload_bytes <= in ? 1 : 1 + (payload_bytes - in + CHAIN_BYTES - 1) / CHAIN_BYTES;
}

void
payload_reserve(struct queue_machine *m, struct object *o, uint32_t count)
{
	uint64_t cells = payload_cells(o->kind, count);
	uint32_t *end = &o->more;

	o->payload_bytes = count;
	for (uint64_t i = 1; i < cells; i++) {
		*end = cell_take(m);
		end = &((struct chain *)cell_at(m, *end))->next;
	}
	m->used += (uint32_t)(cells - 1);
}

/* One contiguous piece of it. */
struct piece {
	uint8_t *bytes;
	uint32_t count;
	uint32_t next; /* chain cell that comes after it */
};

static struct piece
first_piece(const struct object *o)
{
	return (struct piece){ inline_at(o), inline_bytes(o->kind), o->more };
}

static struct piece
next_piece(const struct queue_machine *m, struct piece p)
{
	struct chain *c = cell_at(m, p.next);

	queue_assert(p.next != 0);
	return (struct piece){ c->bytes, CHAIN_BYTES, c->next };
}

static struct piece
piece_at(const struct queue_machine *m, const struct object *o, uint32_t offset)
{
	struct piece p = first_piece(o);

	while (offset > 0 && offset >= p.count) {
		offset -= p.count;
		p = next_piece(m, p);
	}
	return (struct piece){ p.bytes + offset, p.count - offset, p.next };
}

void
payload_write(struct queue_machine *m, struct object *o, uint32_t offset, const void *bytes,
	uint32_t count)
{
	const uint8_t *from = bytes;

	queue_assert(count <= o->payload_bytes && offset <= o->payload_bytes - count);
	if (count == 0)
		return;
	for (struct piece p = piece_at(m, o, offset);; p = next_piece(m, p)) {
		uint32_t n = count < p.count ? count : p.count;

		memcpy(p.bytes, from, n);
		from += n;
		count -= n;
		if (count == 0)
			return;
	}
}

void
payload_read(const struct queue_machine *m, const struct object *o, uint32_t offset, void *ret,
	uint32_t count)
{
	uint8_t *to = ret;

	queue_assert(count <= o->payload_bytes && offset <= o->payload_bytes - count);
	if (count == 0)
		return;
	for (struct piece p = piece_at(m, o, offset);; p = next_piece(m, p)) {
		uint32_t n = count < p.count ? count : p.count;

		memcpy(to, p.bytes, n);
		to += n;
		count -= n;
		if (count == 0)
			return;
	}
}

void
payload_init(struct queue_machine *m, struct object *o, const void *bytes, uint32_t count)
{
	payload_reserve(m, o, count);
	payload_write(m, o, 0, bytes, count);
}

uint64_t
payload_hash(const struct queue_machine *m, const struct object *o)
{
	uint8_t whole[512];
	uint32_t left = o->payload_bytes, filled = 0;
	uint64_t hash = 0;

	for (struct piece p = first_piece(o); left > 0;) {
		uint32_t n = left < p.count ? left : p.count;

		n = n < sizeof(whole) - filled ? n : (uint32_t)sizeof(whole) - filled;
		memcpy(whole + filled, p.bytes, n);
		p = (struct piece){ p.bytes + n, p.count - n, p.next };
		filled += n;
		left -= n;
		if (filled == sizeof(whole)) {
			hash = hash_part(hash, whole, filled);
			filled = 0;
		}
		if (p.count == 0 && left > 0)
			p = next_piece(m, p);
	}
	return hash_end(hash_part(hash, whole, filled), o->payload_bytes);
}

bool
payload_is(const struct queue_machine *m, const struct object *o, const void *bytes, uint32_t count)
{
	const uint8_t *with = bytes;

	if (o->payload_bytes != count)
		return false;
	for (struct piece p = first_piece(o); count > 0; p = next_piece(m, p)) {
		uint32_t n = count < p.count ? count : p.count;

		if (memcmp(with, p.bytes, n) != 0)
			return false;
		with += n;
		count -= n;
		if (count == 0)
			break;
	}
	return true;
}
