/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/grouped.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK_COUNT 20
#define CHUNK_BYTES 4000

struct machine {
	struct world_machine now; /* first: that is what the world knows of it */
	struct world_machine frozen;
	uint32_t chunk_next;
	uint8_t chunk[CHUNK_BYTES];
};

struct snap_fake *stores[WORLD_NODE_COUNT_MAX + 1];
struct world_mailbox *mails[GROUPED_COUNT];
bool may_cut[GROUPED_COUNT];
static struct machine machines[WORLD_NODE_COUNT_MAX + 1][GROUPED_COUNT];
static struct decree_machine_ops ops;
static uint64_t slots_per_snapshot;

/* ---- the machine's hooks: its three numbers, and bytes to carry ---- */

static int
snapshot_begin(void *machine)
{
	struct machine *m = machine;

	if (!may_cut[(m - &machines[0][0]) % GROUPED_COUNT])
		return -ENOMEM;
	m->frozen = m->now;
	m->chunk_next = 0;
	return 0;
}

static int
snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct machine *m = machine;

	if (m->chunk_next == CHUNK_COUNT)
		return 0;
	memset(m->chunk, (int)m->chunk_next, CHUNK_BYTES);
	memcpy(m->chunk, &m->frozen.count, 8);
	memcpy(m->chunk + 8, &m->frozen.bytes, 8);
	memcpy(m->chunk + 16, &m->frozen.digest, 16);
	*ret_chunk = (struct decree_chunk){
		.index = m->chunk_next++, .bytes = m->chunk, .count = CHUNK_BYTES
	};
	return 1;
}

static void
snapshot_end(void *machine)
{
	(void)machine;
}

static int
restore_begin_hook(void *machine)
{
	((struct machine *)machine)->chunk_next = 0;
	return 0;
}

static int
restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct machine *m = machine;
	const uint8_t *bytes = chunk->bytes;

	if (chunk->count != CHUNK_BYTES || chunk->index != m->chunk_next++)
		return -EBADMSG;
	memcpy(&m->now.count, bytes, 8);
	memcpy(&m->now.bytes, bytes + 8, 8);
	memcpy(&m->now.digest, bytes + 16, 16);
	return 0;
}

static int
restore_end(void *machine)
{
	return ((struct machine *)machine)->chunk_next == CHUNK_COUNT ? 0 : -EBADMSG;
}

static void
tune(struct world_node *n)
{
	ops = *n->config.machine_ops;
	ops.snapshot_begin = snapshot_begin;
	ops.snapshot_next = snapshot_next;
	ops.snapshot_end = snapshot_end;
	ops.restore_begin = restore_begin_hook;
	ops.restore_next = restore_next;
	ops.restore_end = restore_end;
	stores[n->node_id] = snap_fake_create(&(struct snap_fake_config){
		.seed = n->node_id, .latency_ns_min = 10000, .latency_ns_max = 200000 });
	for (uint32_t i = 0; i < GROUPED_COUNT; i++)
		n->machines[i] = &machines[n->node_id][i].now;
	n->config.machine_ops = &ops;
	n->config.snap_ops = &snap_fake_ops;
	n->config.snap_store = stores[n->node_id];
	n->config.snapshot_slots = slots_per_snapshot;
	n->log.is_crowded = true;
}

/* ---- the story ---- */

struct world *
grouped_begin(uint64_t snapshot_slots)
{
	struct world *w;

	slots_per_snapshot = snapshot_slots;
	for (uint32_t i = 0; i < GROUPED_COUNT; i++) {
		mails[i] = world_mailbox_new();
		may_cut[i] = true;
	}
	world_tune = tune;
	w = world_new_groups(3, GROUPED_COUNT);
	world_tune = NULL;
	return w;
}

void
grouped_end(struct world *w)
{
	world_free(w);
	for (uint32_t id = 1; id <= 3; id++)
		snap_fake_destroy(stores[id]);
	for (uint32_t i = 0; i < GROUPED_COUNT; i++)
		world_mailbox_free(mails[i]);
}

/* It has not stopped, either. */
static bool
is_up(const struct world_node *n)
{
	return !n->is_down && shard_stop_reason(n->shard, NULL) == SHARD_RUNS;
}

static bool
leads(const struct world_node *n, uint16_t group)
{
	struct decree_group_status status;

	return is_up(n) && shard_group_status(n->shard, group, &status) == 0 &&
	       status.role == DECREE_LEADER && status.ready;
}

struct world_node *
grouped_leader(struct world *w, uint16_t group)
{
	for (uint32_t i = 0; i < 10000; i++) {
		for (uint32_t k = 0; k < w->node_count; k++)
			if (leads(&w->nodes[k], group))
				return &w->nodes[k];
		world_run(w, MS);
	}
	fail_msg("nobody leads group %u", group);
	return NULL;
}

void
grouped_lead(struct world *w, uint16_t group, struct world_node *n)
{
	for (uint32_t i = 0; i < 100; i++) {
		struct world_node *leader = grouped_leader(w, group);
		enum eng_transfer_result result;
		struct eng_event event = {
			.type = ENG_EV_TRANSFER,
			.now_ns = w->now_ns,
			.transfer = { .to = n->node_id, .ret_result = &result },
		};

		if (leader == n)
			return;
		shard_step(leader->shard, grouped_of(leader, group), &event);
		world_run(w, 50 * MS);
	}
	fail_msg("node %u does not come to lead group %u", n->node_id, group);
}

void
grouped_open(struct world_node *n)
{
	for (uint16_t i = 0; i < GROUPED_COUNT; i++) {
		uint8_t token[DECREE_UUID_BYTES] = { 'p', (uint8_t)n->node_id, (uint8_t)i };

		assert_true(
			shard_gateway_open(n->shard, i, token, &world_mailbox_ops, mails[i]) >= 0);
	}
}

void
grouped_work(struct world *w, uint16_t group, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		world_propose(mails[group], 8);
		world_run(w, MS);
	}
}

void
grouped_settle(struct world *w, uint16_t group)
{
	for (uint32_t i = 0; i < 10000 && mails[group]->completed < mails[group]->pushed; i++)
		world_run(w, MS);
	assert_int_equal(mails[group]->completed, mails[group]->pushed);
}

struct shard_group *
grouped_of(const struct world_node *n, uint16_t group)
{
	return shard_find_group(n->shard, group);
}

struct world_machine *
grouped_machine(const struct world_node *n, uint16_t group)
{
	return n->machines[group];
}

static bool
has_all(const struct world *w, uint16_t group, uint64_t count)
{
	for (uint32_t i = 0; i < w->node_count; i++)
		if (is_up(&w->nodes[i]) && grouped_machine(&w->nodes[i], group)->count < count)
			return false;
	return true;
}

void
grouped_assert_all_have(struct world *w, uint16_t group, uint64_t count)
{
	const struct decree_digest *digest = NULL;

	for (uint32_t i = 0; i < 10000 && !has_all(w, group, count); i++)
		world_run(w, MS);
	for (uint32_t i = 0; i < w->node_count; i++) {
		const struct world_machine *m = grouped_machine(&w->nodes[i], group);

		if (!is_up(&w->nodes[i]))
			continue;
		assert_int_equal(m->count, count);
		if (digest != NULL)
			assert_memory_equal(&m->digest, digest, sizeof(*digest));
		digest = &m->digest;
	}
}

void
grouped_power_cut(struct world *w)
{
	for (uint32_t i = 0; i < w->node_count; i++)
		snap_fake_crash(stores[w->nodes[i].node_id]);
	for (uint32_t i = 0; i < w->node_count; i++)
		world_restart(w, &w->nodes[i]);
}
