/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine: it folds its commands into a digest, and shows each to the judge. The judge
 * knows every slot that was applied anywhere, before the damage or since: the same slot must hold
 * the same commands on every node for ever, and no node may come to a later slot without it.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "tests/tables/tables.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STATE_BYTES 32
#define CHUNK_COUNT 2

/* Something that must never happen. */
static void __attribute__((format(printf, 2, 3))) accuse(struct cluster *c, const char *format, ...)
{
	va_list args;

	if (c->wrong[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(c->wrong, sizeof(c->wrong), format, args);
	va_end(args);
}

void
command_fill(uint64_t number, uint8_t *ret, uint32_t bytes)
{
	decree_assert(bytes >= 8 && bytes <= HELD_BYTES_MAX);
	store_u64(ret, number);
	for (uint32_t i = 8; i < bytes; i++)
		ret[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static bool
is_whole(const struct decree_command *command)
{
	uint8_t expected[HELD_BYTES_MAX];

	if (command->bytes < 8 || command->bytes > HELD_BYTES_MAX)
		return false;
	command_fill(load_u64(command->body), expected, command->bytes);
	return memcmp(command->body, expected, command->bytes) == 0;
}

/* ---- the judge ---- */

/* @return a slot in (last, before) that holds commands, 0 if there is none */
static uint64_t
passed_over(const struct cluster *c, uint64_t last, uint64_t before)
{
	for (uint64_t slot = last + 1; slot < before && slot <= c->slot_last; slot++)
		if (c->slots[slot].is_known)
			return slot;
	return 0;
}

static void
judge_slot(struct node *n, uint64_t slot, struct decree_digest digest, uint64_t number)
{
	struct cluster *c = n->cluster;
	struct judged_slot *s = &c->slots[slot];
	uint64_t missing = passed_over(c, n->machine.last, slot);

	if (slot <= n->machine.last)
		accuse(c, "node %u applied slot %lu after slot %lu", n->world->node_id, slot,
			n->machine.last);
	if (missing != 0)
		accuse(c, "node %u applied slot %lu without slot %lu", n->world->node_id, slot,
			missing);
	if (!s->is_known)
		*s = (struct judged_slot){ .is_known = true, .digest = digest, .number = number };
	if (!digest_eq(s->digest, digest))
		accuse(c, "node %u applied command %lu in slot %lu, which held command %lu",
			n->world->node_id, number, slot, s->number);
	if (c->slot_last < slot)
		c->slot_last = slot;
	if (number == c->proposed && c->proposed_slot == 0)
		c->proposed_slot = slot;
}

void
judge_applied(struct node *n, struct decree_slot after)
{
	uint64_t missing = passed_over(n->cluster, n->machine.last, after.n);

	if (missing != 0)
		accuse(n->cluster, "node %u found nothing in slot %lu, which held command %lu",
			n->world->node_id, missing, n->cluster->slots[missing].number);
}

static void
fold(struct decree_digest *to, struct decree_digest d)
{
	to->lo = to->lo * 31 + d.lo;
	to->hi = to->hi * 31 + d.hi;
}

/* The state of a snapshot is what the slots up to its last command say. */
static void
judge_restored(struct node *n)
{
	const struct machine *m = &n->machine;
	const struct cluster *c = n->cluster;
	struct decree_digest expected = { 0 };
	uint64_t count = 0;

	for (uint64_t slot = 1; slot <= m->last && slot <= c->slot_last; slot++)
		if (c->slots[slot].is_known) {
			fold(&expected, c->slots[slot].digest);
			count++;
		}
	if (count != m->count || !digest_eq(expected, m->fold))
		accuse(n->cluster, "node %u restored a state of slot %lu that never was",
			n->world->node_id, m->last);
}

/* ---- the machine ---- */

static void
machine_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct machine *m = machine;
	struct decree_digest all = { 0 };

	(void)cluster_ns;
	decree_assert(count >= 1 && commands[0].slot.n < SLOT_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (!is_whole(&commands[i]))
			accuse(m->node->cluster, "node %u applied bytes of nobody in slot %lu",
				m->node->world->node_id, commands[i].slot.n);
		fold(&all, base_digest(commands[i].body, commands[i].bytes));
		decree_sink_answer(sink, commands[i].session, commands[i].seq, 0, 0);
	}
	judge_slot(m->node, commands[0].slot.n, all, load_u64(commands[0].body));
	fold(&m->fold, all);
	m->count++;
	m->last = commands[0].slot.n;
}

static struct decree_digest
machine_digest(void *machine)
{
	return ((struct machine *)machine)->fold;
}

const struct decree_machine_ops machine_ops = {
	.struct_bytes = sizeof(machine_ops),
	.apply = machine_apply,
	.digest = machine_digest,
};

/* ---- snapshots: the state, in chunks that say which they are ---- */

static int
snapshot_begin(void *machine)
{
	struct machine *m = machine;

	store_u64(m->frozen, m->last);
	store_u64(m->frozen + 8, m->count);
	store_u64(m->frozen + 16, m->fold.lo);
	store_u64(m->frozen + 24, m->fold.hi);
	m->chunk_next = 0;
	return 0;
}

static int
snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct machine *m = machine;

	if (m->chunk_next == CHUNK_COUNT)
		return 0;
	memcpy(m->chunk, m->frozen, STATE_BYTES);
	store_u64(m->chunk + STATE_BYTES, m->chunk_next);
	*ret_chunk = (struct decree_chunk){
		.index = m->chunk_next++, .bytes = m->chunk, .count = sizeof(m->chunk)
	};
	return 1;
}

static void
snapshot_end(void *machine)
{
	(void)machine;
}

static int
restore_begin(void *machine)
{
	((struct machine *)machine)->chunk_next = 0;
	return 0;
}

static int
restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct machine *m = machine;
	const uint8_t *bytes = chunk->bytes;

	if (chunk->count != sizeof(m->chunk) || chunk->index != m->chunk_next++ ||
		load_u64(bytes + STATE_BYTES) != chunk->index)
		return -EBADMSG;
	m->last = load_u64(bytes);
	m->count = load_u64(bytes + 8);
	m->fold.lo = load_u64(bytes + 16);
	m->fold.hi = load_u64(bytes + 24);
	return 0;
}

static int
restore_end(void *machine)
{
	struct machine *m = machine;

	if (m->chunk_next != CHUNK_COUNT)
		return -EBADMSG;
	judge_restored(m->node);
	return 0;
}

const struct decree_machine_ops machine_snapshot_ops = {
	.struct_bytes = sizeof(machine_snapshot_ops),
	.apply = machine_apply,
	.digest = machine_digest,
	.snapshot_begin = snapshot_begin,
	.snapshot_next = snapshot_next,
	.snapshot_end = snapshot_end,
	.restore_begin = restore_begin,
	.restore_next = restore_next,
	.restore_end = restore_end,
};
