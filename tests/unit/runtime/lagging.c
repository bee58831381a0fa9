/* SPDX-License-Identifier: Apache-2.0 */
#include "lagging.h"

#include "base/assert.h"
#include "base/digest.h"
#include "engine/runtime/shard_private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK_COUNT 30 /* about 90 frames */
#define CHUNK_BYTES 4000
#define COMMANDS    900 /* more slots than the ring has */

struct world_node *lagging;
struct snap_fake *stores[WORLD_NODE_COUNT_MAX + 1]; /* by node_id */
static struct decree_machine_ops ops;
static struct world_machine frozen[WORLD_NODE_COUNT_MAX + 1];
static uint32_t chunk_next[WORLD_NODE_COUNT_MAX + 1];
static uint8_t chunks[WORLD_NODE_COUNT_MAX + 1][CHUNK_BYTES]; /* each node has its own memory */

/* ---- the machine's hooks: its three numbers, and bytes to carry ---- */

static uint32_t
node_of(const void *machine)
{
	const struct world_machine *m = machine;

	for (uint32_t i = 0; i < m->world->node_count; i++)
		if (&m->world->nodes[i].machine == m)
			return m->world->nodes[i].node_id;
	return 0;
}

static int
snapshot_begin(void *machine)
{
	frozen[node_of(machine)] = *(struct world_machine *)machine;
	chunk_next[node_of(machine)] = 0;
	return 0;
}

static int
snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	uint32_t node = node_of(machine);

	if (chunk_next[node] == CHUNK_COUNT)
		return 0;
	uint8_t *chunk_bytes = chunks[node];
	memset(chunk_bytes, (int)chunk_next[node], CHUNK_BYTES);
	memcpy(chunk_bytes, &frozen[node].count, 8);
	memcpy(chunk_bytes + 8, &frozen[node].bytes, 8);
	memcpy(chunk_bytes + 16, &frozen[node].digest, 16);
	*ret_chunk = (struct decree_chunk){
		.index = chunk_next[node]++, .bytes = chunk_bytes, .count = CHUNK_BYTES
	};
	return 1;
}

static void
snapshot_end(void *machine)
{
	(void)machine;
}

static int
machine_restore_begin(void *machine)
{
	chunk_next[node_of(machine)] = 0;
	return 0;
}

static int
restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct world_machine *m = machine;
	const uint8_t *bytes = chunk->bytes;

	if (chunk->count != CHUNK_BYTES || chunk->index != chunk_next[node_of(machine)]++)
		return -EBADMSG;
	memcpy(&m->count, bytes, 8);
	memcpy(&m->bytes, bytes + 8, 8);
	memcpy(&m->digest, bytes + 16, 16);
	return 0;
}

static int
restore_end(void *machine)
{
	return chunk_next[node_of(machine)] == CHUNK_COUNT ? 0 : -EBADMSG;
}

static void
tune(struct world_node *n)
{
	ops = *n->config.machine_ops;
	ops.snapshot_begin = snapshot_begin;
	ops.snapshot_next = snapshot_next;
	ops.snapshot_end = snapshot_end;
	ops.restore_begin = machine_restore_begin;
	ops.restore_next = restore_next;
	ops.restore_end = restore_end;
	stores[n->node_id] = snap_fake_create(&(struct snap_fake_config){
		.seed = n->node_id, .latency_ns_min = 10000, .latency_ns_max = 200000 });
	n->config.machine_ops = &ops;
	n->config.snap_ops = &snap_fake_ops;
	n->config.snap_store = stores[n->node_id];
	n->config.snapshot_slots = 128;
	n->log.is_crowded = true;
}

/* ---- the story ---- */

void
cut(struct world *w, uint16_t a, uint16_t b, bool is_cut)
{
	w->cut[a][b] = w->cut[b][a] = is_cut;
}

void
work(struct world *w, struct world_node *leader, const uint8_t token[DECREE_UUID_BYTES])
{
	struct world_mailbox *mail = world_mailbox_new();

	assert_true(shard_gateway_open(leader->shard, 0, token, &world_mailbox_ops, mail) >= 0);
	for (uint32_t i = 0; i < COMMANDS; i++) {
		world_propose(mail, 8);
		world_run(w, 1000000);
	}
	world_run(w, 500000000);
	shard_gateway_close(leader->shard, 0);
	world_mailbox_free(mail);
}

struct world *
world_of_three(void)
{
	struct world *w;

	world_tune = tune;
	w = world_new(3);
	world_tune = NULL;
	return w;
}

static uint32_t small_records;
static uint64_t small_rate;

static void
tune_small(struct world_node *n)
{
	tune(n);
	snap_fake_reset(stores[n->node_id],
		&(struct snap_fake_config){ .seed = n->node_id, .bytes_per_second = small_rate });
	n->config.snapshot_slots = 0;
	n->log.is_crowded = false;
	n->log.space_all = small_records;
}

struct world *
world_of_small_logs(uint32_t records, uint64_t bytes_per_second)
{
	struct world *w;

	small_records = records;
	small_rate = bytes_per_second;
	world_tune = tune_small;
	w = world_new(3);
	world_tune = NULL;
	return w;
}

void
world_end(struct world *w)
{
	world_free(w);
	for (uint32_t id = 1; id <= 3; id++)
		snap_fake_destroy(stores[id]);
}

void
isolate(struct world *w)
{
	for (uint16_t id = 1; id <= 3; id++)
		if (id != lagging->node_id)
			cut(w, lagging->node_id, id, true);
}

void
heal(struct world *w)
{
	for (uint16_t id = 1; id <= 3; id++)
		cut(w, lagging->node_id, id, false);
}

void
assert_caught_up(struct world *w)
{
	const struct world_node *other = &w->nodes[lagging == &w->nodes[0] ? 1 : 0];

	assert_int_equal(lagging->machine.count, other->machine.count);
	assert_memory_equal(&lagging->machine.digest, &other->machine.digest, 16);
	assert_true(digest_eq(eng_sessions_digest(shard_sessions(lagging->shard, 0)),
		eng_sessions_digest(shard_sessions(other->shard, 0))));
}
