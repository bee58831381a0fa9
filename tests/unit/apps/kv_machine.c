/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/apps/kv_machine.h"

#include "base/bytes.h"

#include <errno.h>
#include <string.h>

/* ---- the state ---- */

/* One term for each (key, value): what changes is taken out and put in again, so the digest costs
 * O(1). */
static struct decree_digest
term(uint32_t key, uint64_t value)
{
	uint64_t x = (value + 1) * 0x9e3779b97f4a7c15ull ^ (key + 1) * 0xbf58476d1ce4e5b9ull;

	x = (x ^ x >> 31) * 0x94d049bb133111ebull;
	return (struct decree_digest){ x ^ x >> 29, x * 0xd6e8feb86659fd93ull ^ x >> 32 };
}

/* Every replica does this in the same order, so the walk's copies are the same everywhere, too. */
static void
before_change(struct kv_machine *m, uint32_t range)
{
	if (!m->is_walking || range < m->walk_next || m->has_image[range])
		return; /* nobody needs it as it is, or it is kept already */
	m->images[range] = m->ranges[range];
	m->has_image[range] = true;
}

static void
set(struct kv_machine *m, uint32_t key, uint64_t value)
{
	uint64_t *at = &m->ranges[key / KV_RANGE_KEYS].values[key % KV_RANGE_KEYS];
	struct decree_digest old = term(key, *at), new = term(key, value);

	before_change(m, key / KV_RANGE_KEYS);
	m->digest.lo += new.lo - old.lo;
	m->digest.hi += new.hi - old.hi;
	*at = value;
}

static void
kv_apply(void *machine, const struct decree_command *commands, uint32_t count, uint64_t cluster_ns,
	struct decree_sink *sink)
{
	struct kv_machine *m = machine;

	(void)cluster_ns; /* nothing expires here */
	for (uint32_t i = 0; i < count; i++) {
		const struct decree_command *c = &commands[i];
		uint64_t result = 0;

		if (c->bytes == KV_COMMAND_BYTES) {
			uint32_t key = load_u16(c->body) % KV_KEY_COUNT;

			result = m->ranges[key / KV_RANGE_KEYS].values[key % KV_RANGE_KEYS] +
				 load_u64((const uint8_t *)c->body + 2);
			set(m, key, result);
		}
		decree_sink_answer(
			sink, c->session, c->seq, c->bytes == KV_COMMAND_BYTES ? 0 : 1, result);
	}
}

static struct decree_digest
kv_digest(void *machine)
{
	return ((struct kv_machine *)machine)->digest;
}

/* The value of one key, 8 bytes. */
static int32_t
kv_read(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	const struct kv_machine *m = machine;

	if (bytes != 2 || load_u16(query) >= KV_KEY_COUNT)
		return -EINVAL;
	if (capacity < 8)
		return -EMSGSIZE;
	store_u64(ret_answer,
		m->ranges[load_u16(query) / KV_RANGE_KEYS].values[load_u16(query) % KV_RANGE_KEYS]);
	return 8;
}

/* ---- snapshots ---- */

static int
kv_snapshot_begin(void *machine)
{
	struct kv_machine *m = machine;

	m->is_walking = true;
	m->walk_next = 0;
	memset(m->has_image, 0, sizeof(m->has_image));
	return 0;
}

static int
kv_snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct kv_machine *m = machine;
	uint32_t range = m->walk_next;

	if (range == KV_RANGE_COUNT)
		return 0;
	const struct kv_range *from = m->has_image[range] ? &m->images[range] : &m->ranges[range];

	for (uint32_t i = 0; i < KV_RANGE_KEYS; i++) /* the same bytes on every host */
		store_u64((uint8_t *)&m->out.values[i], from->values[i]);
	m->walk_next++;
	*ret_chunk =
		(struct decree_chunk){ .index = range, .bytes = &m->out, .count = sizeof(m->out) };
	return 1;
}

static void
kv_snapshot_end(void *machine)
{
	((struct kv_machine *)machine)->is_walking = false;
}

static int
kv_restore_begin(void *machine)
{
	struct kv_machine *m = machine;

	*m = (struct kv_machine){ 0 };
	return 0;
}

static int
kv_restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct kv_machine *m = machine;

	if (chunk->index != m->restored || chunk->index >= KV_RANGE_COUNT ||
		chunk->count != sizeof(struct kv_range))
		return -EBADMSG;
	for (uint32_t i = 0; i < KV_RANGE_KEYS; i++)
		set(m, m->restored * KV_RANGE_KEYS + i,
			load_u64((const uint8_t *)chunk->bytes + 8 * i));
	m->restored++;
	return 0;
}

static int
kv_restore_end(void *machine)
{
	return ((struct kv_machine *)machine)->restored == KV_RANGE_COUNT ? 0 : -EBADMSG;
}

const struct decree_machine_ops kv_machine_ops = {
	.struct_bytes = sizeof(kv_machine_ops),
	.apply = kv_apply,
	.digest = kv_digest,
	.read = kv_read,
	.snapshot_begin = kv_snapshot_begin,
	.snapshot_next = kv_snapshot_next,
	.snapshot_end = kv_snapshot_end,
	.restore_begin = kv_restore_begin,
	.restore_next = kv_restore_next,
	.restore_end = kv_restore_end,
};
