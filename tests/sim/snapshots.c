/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: the store of a node (tests/lib/snap_fake.h) behind the table that the loop uses, and
 * the hooks of the state machine. What is restored must be what the log says up to that place, and
 * the same slot must give the same bytes on every node.
 */
#include "base/bytes.h"
#include "tests/sim/sim.h"

#include <errno.h>

#define CHUNK_COUNT 4
#define CHUNK_BYTES 1500 /* a few frames each */
#define STATE_BYTES 48   /* and the queue's place behind it, where there is one */

/* ---- the store ---- */

static int
store_begin(void *store, uint16_t group, struct decree_slot slot)
{
	struct sim_node *n = store;

	fault_crash_point(n, POINT_SNAPSHOT);
	return snap_fake_ops.begin(n->snaps, group, slot);
}

static uint32_t
store_room(void *store, uint16_t group)
{
	return snap_fake_ops.room(((struct sim_node *)store)->snaps, group);
}

static void
store_write(void *store, uint16_t group, const void *bytes, uint32_t count)
{
	struct sim_node *n = store;

	fault_crash_point(n, POINT_SNAPSHOT);
	snap_fake_ops.write(n->snaps, group, bytes, count);
}

static void
store_commit(void *store, uint16_t group, struct decree_digest digest)
{
	struct sim_node *n = store;

	snap_fake_ops.commit(n->snaps, group, digest);
	fault_crash_point(n, POINT_SNAPSHOT);
}

static void
store_urge(void *store, uint16_t group, uint32_t used)
{
	snap_fake_ops.urge(((struct sim_node *)store)->snaps, group, used);
}

static void
store_abort(void *store, uint16_t group)
{
	snap_fake_ops.abort(((struct sim_node *)store)->snaps, group);
}

static int
store_read(void *store, uint16_t group, struct decree_slot slot, uint64_t offset_bytes,
	uint32_t count, uint64_t token)
{
	return snap_fake_ops.read(
		((struct sim_node *)store)->snaps, group, slot, offset_bytes, count, token);
}

static void
store_forget(void *store, uint16_t group, struct decree_slot slot)
{
	struct sim_node *n = store;

	fault_crash_point(n, POINT_SNAPSHOT);
	snap_fake_ops.forget(n->snaps, group, slot);
}

static void
note_committed(struct sim_node *n, const struct snap_completion *c)
{
	uint64_t bytes;
	const uint8_t *data = snap_fake_data(n->snaps, c->group, c->slot, &bytes);
	struct decree_digest digest = base_digest(data, bytes);
	struct sim_chosen *place = &n->sim->oracle.snapshots[c->slot.n];

	decree_assert(data != NULL && c->slot.n < SIM_SLOT_MAX);
	if (!place->is_known)
		*place = (struct sim_chosen){ .digest = digest, .is_known = true };
	sim_check(n->sim, digest_eq(place->digest, digest),
		"node %u has other bytes in its snapshot of slot %lu", n->id, c->slot.n);
	n->sim->count.snapshots++;
	if (n->sim->oracle.snapshot_last < c->slot.n)
		n->sim->oracle.snapshot_last = c->slot.n;
}

/* The store's time is the world's. */
static uint32_t
store_reap(void *store, uint64_t now_ns, struct snap_completion *ret, uint32_t count_max)
{
	struct sim_node *n = store;
	uint32_t count = snap_fake_ops.reap(n->snaps, n->sim->now_ns, ret, count_max);

	(void)now_ns;
	for (uint32_t i = 0; i < count; i++)
		if (ret[i].kind == SNAP_COMMITTED)
			note_committed(n, &ret[i]);
	return count;
}

static bool
store_is_space_low(void *store)
{
	return snap_fake_ops.is_space_low(((struct sim_node *)store)->snaps);
}

static bool
store_is_damaged(void *store, uint16_t group, struct decree_slot slot)
{
	return snap_fake_ops.is_damaged(((struct sim_node *)store)->snaps, group, slot);
}

static int
store_load(void *store, uint16_t group, struct decree_slot slot,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
	struct snap_info *ret_info, char *ret_error)
{
	return snap_fake_ops.load(
		((struct sim_node *)store)->snaps, group, slot, sink, context, ret_info, ret_error);
}

const struct snap_ops sim_snap_ops = {
	.begin = store_begin,
	.room = store_room,
	.write = store_write,
	.commit = store_commit,
	.urge = store_urge,
	.abort = store_abort,
	.read = store_read,
	.forget = store_forget,
	.reap = store_reap,
	.is_space_low = store_is_space_low,
	.is_damaged = store_is_damaged,
	.load = store_load,
};

void
sim_snapshots_reset(struct sim *sim, struct sim_node *n)
{
	struct snap_fake_config cfg = {
		.seed = sim_draw(&sim->random_nodes, UINT64_MAX),
		.latency_ns_min = sim->faults.disk_ns_min,
		.latency_ns_max = 4 * sim->faults.disk_ns_max,
		.bytes_per_second = 20000000,
		.buffer_bytes = 16384,
	};

	if (n->snaps == NULL)
		n->snaps = snap_fake_create(&cfg);
	else
		snap_fake_reset(n->snaps, &cfg);
}

/* ---- the state machine's hooks ---- */

int
sim_snapshot_begin(void *machine)
{
	struct sim_node *n = machine;

	store_u64(n->frozen, n->applied_count);
	store_u64(n->frozen + 8, n->digest.lo);
	store_u64(n->frozen + 16, n->digest.hi);
	store_u64(n->frozen + 24, n->cluster_ns);
	store_u64(n->frozen + 32, n->timer_ns);
	store_u64(n->frozen + 40, n->fired_count);
	store_u64(n->frozen + 48, n->queue_steps);
	n->chunk_next = 0;
	return n->sim->queue->is_on ? queue_machine_ops.snapshot_begin(n->queue) : 0;
}

static uint32_t
state_bytes(const struct sim_node *n)
{
	return n->sim->queue->is_on ? sizeof(n->frozen) : STATE_BYTES;
}

/* The state, and bytes that follow from it: something to carry. */
static void
chunk_fill(const struct sim_node *n, uint64_t index, uint8_t *ret_bytes)
{
	uint64_t z = load_u64(n->frozen) * 0x9e3779b97f4a7c15ull + index;

	memcpy(ret_bytes, n->frozen, state_bytes(n));
	for (uint32_t i = state_bytes(n); i < CHUNK_BYTES; i++) {
		z = z * 6364136223846793005ull + 1442695040888963407ull;
		ret_bytes[i] = (uint8_t)(z >> 56);
	}
}

/* Behind them. */
static int
queue_next(struct sim_node *n, struct decree_chunk *ret_chunk)
{
	int rc = queue_machine_ops.snapshot_next(n->queue, ret_chunk);

	if (rc == 1)
		ret_chunk->index += CHUNK_COUNT;
	return rc;
}

int
sim_snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct sim_node *n = machine;

	if (n->chunk_next == CHUNK_COUNT)
		return n->sim->queue->is_on ? queue_next(n, ret_chunk) : 0;
	chunk_fill(n, n->chunk_next, n->chunk);
	*ret_chunk = (struct decree_chunk){
		.index = n->chunk_next++, .bytes = n->chunk, .count = CHUNK_BYTES
	};
	return 1;
}

void
sim_snapshot_end(void *machine)
{
	struct sim_node *n = machine;

	if (n->sim->queue->is_on)
		queue_machine_ops.snapshot_end(n->queue);
}

int
sim_restore_begin(void *machine)
{
	struct sim_node *n = machine;

	n->applied_count = 0;
	n->digest = (struct decree_digest){ 0, 0 };
	n->cluster_ns = n->timer_ns = n->fired_count = 0;
	n->chunk_next = n->queue_steps = 0;
	return n->sim->queue->is_on ? queue_machine_ops.restore_begin(n->queue) : 0;
}

static int
queue_restore(struct sim_node *n, const struct decree_chunk *chunk)
{
	struct decree_chunk its = *chunk;

	if (its.index < CHUNK_COUNT)
		return -EBADMSG;
	its.index -= CHUNK_COUNT;
	return queue_machine_ops.restore_next(n->queue, &its);
}

int
sim_restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct sim_node *n = machine;
	uint8_t expected[CHUNK_BYTES];

	if (n->chunk_next == CHUNK_COUNT && n->sim->queue->is_on)
		return queue_restore(n, chunk);
	if (chunk->index != n->chunk_next++ || chunk->count != CHUNK_BYTES)
		return -EBADMSG;
	if (chunk->index == 0)
		memcpy(n->frozen, chunk->bytes, state_bytes(n));
	chunk_fill(n, chunk->index, expected);
	return memcmp(expected, chunk->bytes, CHUNK_BYTES) == 0 ? 0 : -EBADMSG;
}

int
sim_restore_end(void *machine)
{
	struct sim_node *n = machine;

	if (n->chunk_next != CHUNK_COUNT)
		return -EBADMSG;
	n->applied_count = load_u64(n->frozen);
	n->digest.lo = load_u64(n->frozen + 8);
	n->digest.hi = load_u64(n->frozen + 16);
	n->cluster_ns = load_u64(n->frozen + 24);
	n->timer_ns = load_u64(n->frozen + 32);
	n->fired_count = load_u64(n->frozen + 40);
	if (n->sim->queue->is_on) {
		int rc = queue_machine_ops.restore_end(n->queue);
		if (rc != 0)
			return rc;
		n->queue_steps = load_u64(n->frozen + 48);
		sim_queue_restored(n);
	}
	n->sim->count.restores++;
	n->sim->count.fetched += shard_has_started(n->shard);
	oracle_on_restored(n->sim, n);
	return 0;
}
