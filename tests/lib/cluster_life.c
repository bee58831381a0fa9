/* SPDX-License-Identifier: Apache-2.0 */
/* How nodes come and go, and what becomes of their disks meanwhile: founders and those that join,
 * crashes and restarts, images and damage. */
#include "tests/lib/cluster.h"

#include "base/bytes.h"

#include <stdlib.h>

#define MS 1000000ull

static struct eng_config
config_of(const struct cluster *c, uint16_t node)
{
	struct eng_config cfg = {
		.cluster_id = 0xc1,
		.node_id = node,
		.group = 0,
		.disk = c->nodes[node].disk,
		.joins = node > c->founder_count,
		.q1 = c->q1 != 0 ? c->q1 : c->founder_count / 2 + 1,
		.q2 = c->q2 != 0 ? c->q2 : c->founder_count / 2 + 1,
		.nonce = (uint64_t)node << 32 | c->nodes[node].nonce_salt << 16 |
			 c->nodes[node].boot_count,
		.seed = c->seed * 1000003 + node * 7919 + c->nodes[node].boot_count * 104729,
		.slot_bytes = CLUSTER_SLOT_BYTES,
		.alpha = c->alpha,
		.window_slots = c->alpha < 32 ? c->alpha : 32,
		.ring_slots = 128,
		.frame_bytes = CLUSTER_FRAME_BYTES,
		.command_bytes_max = 2000,
		.session_count = 16,
		.session_window = 64, /* small, so that a story can fall out of it */
		.session_idle_slots = c->session_idle_slots,
		.digest_slots = c->digest_slots,
		.heartbeat_ns = 20 * MS,
		.election_ns = 200 * MS,
		.disk_stall_ns = 1000 * MS,
		.lease_ns = c->lease_ns,
		.max_drift_ppm = 1000,
	};

	/* A file has room for seven: one that joins leaves out some of the founders if need be. */
	for (uint32_t i = 0; i < c->founder_count && i + cfg.joins < DECREE_NODE_COUNT_MAX; i++)
		cfg.members[cfg.member_count++].node_id = (uint16_t)(i + 1);
	if (cfg.joins)
		cfg.members[cfg.member_count++].node_id = node;
	return cfg;
}

static void
recover_damaged(struct cluster *c, uint16_t node, const struct cluster_write *w)
{
	struct eng_event ev = { .type = ENG_EV_RECOVER_FAULTY_UNKNOWN };
	struct eng_record record;

	(void)eng_record_decode(w->tag, &record); /* it was sound when it was written */
	if (w->damage == CLUSTER_DAMAGE_UNKNOWN) {
		ev.faulty_unknown.first = record.slot;
		ev.faulty_unknown.after = slot_next(record.slot);
	} else if (w->damage == CLUSTER_DAMAGE_ID) {
		ev.type = ENG_EV_RECOVER_FAULTY_ID;
		ev.faulty_id.slot = record.slot;
		ev.faulty_id.vballot = record.vballot;
		ev.faulty_id.digest = record.digest;
		ev.faulty_id.is_decision = record.kind == ENG_RECORD_DECIDED;
	}
	cluster_step(c, node, &ev);
}

static void
recover_write(struct cluster *c, uint16_t node, const struct cluster_write *w)
{
	struct eng_event ev = { .type = ENG_EV_RECOVER_COMMIT,
		.record = { w->tag, w->value, w->bytes } };

	if (w->damage != CLUSTER_WHOLE) {
		recover_damaged(c, node, w);
		return;
	}
	cluster_step(c, node, &ev);
	ev.type = ENG_EV_RECOVER_RECORD;
	cluster_step(c, node, &ev);
}

static void
node_start(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];

	n->boot_count++;
	struct eng_config cfg = config_of(c, node);
	if (c->on_config != NULL)
		c->on_config(c, node, &cfg);
	n->version_speaks = n->version_max;
	cfg.version_min = n->version_max != 0;
	cfg.version_max = n->version_max;
	n->memory = aligned_alloc(64, eng_replica_bytes(&cfg));
	n->session_memory = aligned_alloc(64, (eng_sessions_bytes(&cfg) + 63) & ~63ull);
	memset(n->memory, 0, eng_replica_bytes(&cfg));
	memset(n->session_memory, 0, eng_sessions_bytes(&cfg));
	n->sessions = eng_sessions_init(n->session_memory, &cfg);
	n->replica = eng_replica_init(n->memory, &cfg, n->sessions);
	n->up = true;
	n->halted = ENG_HALT_NONE;
	n->applied.n = 0;
	n->applied_digest = (struct decree_digest){ 0, 0 };
	n->executed = 0;
	n->deadline_ns = c->deadline_ns;
	if (n->has_hard)
		cluster_step(c, node,
			&(struct eng_event){ .type = ENG_EV_RECOVER_HARD, .hard.bytes = n->hard });
	cluster_recover_snapshot(c, node);
	for (uint32_t i = 0; i < n->durable_count; i++) {
		recover_write(c, node, &n->durable[i]);
	}
	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_START,
			.now_ns = c->now_ns,
			.start = { .boot_count = n->boot_count,
				.hearsay = n->has_hearsay ? n->hearsay : NULL } });
}

static void
disk_mint(struct cluster *c, uint16_t node)
{
	store_u64(c->nodes[node].disk.bytes, 0xd15c000000000000ull + c->now_ns + node);
}

struct cluster *
cluster_create(uint32_t node_count, uint32_t q1, uint32_t q2, uint64_t seed)
{
	return cluster_create_with(node_count, q1, q2, 0, 0, 64, seed);
}

struct cluster *
cluster_create_with(uint32_t node_count, uint32_t q1, uint32_t q2, uint32_t digest_slots,
	uint32_t idle_slots, uint32_t alpha, uint64_t seed)
{
	struct cluster *c = calloc(1, sizeof(*c));

	c->node_count = node_count;
	c->founder_count = node_count;
	c->alpha = alpha;
	c->digest_slots = digest_slots;
	c->session_idle_slots = idle_slots != 0 ? idle_slots : 1000000;
	c->q1 = q1;
	c->q2 = q2;
	c->seed = seed;
	c->now_ns = 1000 * MS;
	c->deadline_ns = NEVER;
	c->fx = calloc(1, sizeof(*c->fx));
	for (uint16_t node = 1; node <= node_count; node++) {
		struct cluster_node *n = &c->nodes[node];
		n->node_id = node;
		n->durable = NULL;
		disk_mint(c, node);
		node_start(c, node);
	}
	/* They make themselves known to each other before the test begins. */
	while (c->flight_count > 0)
		cluster_deliver(c, 0, false);
	return c;
}

uint16_t
cluster_join(struct cluster *c)
{
	uint16_t node = (uint16_t)++c->node_count;

	decree_assert(node <= CLUSTER_NODE_MAX);
	c->nodes[node].node_id = node;
	disk_mint(c, node);
	node_start(c, node);
	return node;
}

static void
node_free(struct cluster_node *n)
{
	free(n->memory);
	free(n->session_memory);
	n->memory = NULL;
	n->session_memory = NULL;
	n->replica = NULL;
	n->sessions = NULL;
}

void
cluster_destroy(struct cluster *c)
{
	if (c == NULL)
		return;
	for (uint16_t node = 1; node <= c->node_count; node++) {
		node_free(&c->nodes[node]);
		free(c->nodes[node].durable);
		free(c->nodes[node].image.durable);
		free(c->nodes[node].outstanding);
		for (uint32_t i = 0; i < CLUSTER_SNAPSHOT_MAX; i++)
			free(c->nodes[node].snapshots[i].pieces);
	}
	free(c->flight);
	free(c->fx);
	free(c);
}

void
cluster_crash(struct cluster *c, uint16_t node)
{
	c->nodes[node].up = false;
	c->nodes[node].outstanding_count = 0;
	node_free(&c->nodes[node]);
}

void
cluster_restart(struct cluster *c, uint16_t node)
{
	decree_assert(!c->nodes[node].up);
	node_start(c, node);
}

void
cluster_wipe(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];

	if (n->up)
		cluster_crash(c, node);
	n->durable_count = 0;
	n->has_hard = false;
	n->has_hearsay = false;
	for (uint32_t i = 0; i < CLUSTER_SNAPSHOT_MAX; i++)
		n->snapshots[i].facts.slot.n = 0;
	disk_mint(c, node);
}

static struct cluster_write *
writes_copy(const struct cluster_write *from, uint32_t count)
{
	struct cluster_write *copy = calloc(count + 1, sizeof(*copy));

	if (count > 0)
		memcpy(copy, from, count * sizeof(*copy));
	return copy;
}

void
cluster_image(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];

	free(n->image.durable);
	n->image.durable = writes_copy(n->durable, n->durable_count);
	n->image.durable_count = n->durable_count;
	memcpy(n->image.hard, n->hard, sizeof(n->hard));
	n->image.has_hard = n->has_hard;
	memcpy(n->image.hearsay, n->hearsay, sizeof(n->hearsay));
	n->image.has_hearsay = n->has_hearsay;
	n->image.boot_count = n->boot_count;
}

bool
cluster_rollback(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];

	decree_assert(!n->up);
	if (n->image.durable == NULL)
		return false;
	free(n->durable);
	n->durable = writes_copy(n->image.durable, n->image.durable_count);
	n->durable_count = n->image.durable_count;
	memcpy(n->hard, n->image.hard, sizeof(n->hard));
	n->has_hard = n->image.has_hard;
	memcpy(n->hearsay, n->image.hearsay, sizeof(n->hearsay));
	n->has_hearsay = n->image.has_hearsay;
	n->boot_count = n->image.boot_count;
	n->nonce_salt++;
	return true;
}

static struct cluster_write *
newest_record(struct cluster_node *n, struct decree_slot slot, struct eng_record *ret_record)
{
	for (uint32_t i = n->durable_count; i-- > 0;)
		if (eng_record_decode(n->durable[i].tag, ret_record) == 0 &&
			ret_record->kind != ENG_RECORD_FAULTY && ret_record->slot.n == slot.n)
			return &n->durable[i];
	return NULL;
}

bool
cluster_damage(struct cluster *c, uint16_t node, struct decree_slot slot, enum cluster_damage how)
{
	struct eng_record record;
	struct cluster_write *w = newest_record(&c->nodes[node], slot, &record);

	decree_assert(!c->nodes[node].up);
	if (w != NULL)
		w->damage = how;
	return w != NULL;
}

bool
cluster_rot(struct cluster *c, uint16_t node, struct decree_slot slot, enum cluster_damage how)
{
	struct eng_event ev = { .type = ENG_EV_LOG_DAMAGED, .now_ns = c->now_ns };
	struct eng_record record;
	struct cluster_write *w = newest_record(&c->nodes[node], slot, &record);

	if (!c->nodes[node].up || (w == NULL && how == CLUSTER_DAMAGE_ID))
		return false;
	if (w != NULL)
		w->damage = how;
	ev.log_damaged.slot = slot;
	if (how == CLUSTER_DAMAGE_ID) {
		ev.log_damaged.vballot = record.vballot;
		ev.log_damaged.digest = record.digest;
	}
	cluster_step(c, node, &ev);
	cluster_flush(c, node);
	return true;
}
