/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/identity.h"

#include "base/bytes.h"
#include "base/refuse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1

static const uint8_t magic[8] = { 'd', 'e', 'c', 'r', 'e', 'e', 'I', 'D' };

struct identity
identity_of_config(const struct config *c, uint16_t shard, const struct decree_uuid *disk)
{
	return (struct identity){
		.cluster_id = c->cluster_id,
		.node_id = c->node_id,
		.disk = *disk,
		.shard_count = (uint16_t)c->shard_count,
		.shard = shard,
		.group_count = (uint16_t)c->group_count,
		.slot_bytes = c->slot_bytes,
		.alpha = c->alpha,
		.session_count = c->session_count,
		.session_window = c->session_window,
		.command_bytes_max = c->command_bytes_max,
		.digest_slots = c->digest_slots,
		.session_idle_slots = c->session_idle_slots,
	};
}

void
identity_add_leases(struct identity *identity, const struct config *c)
{
	identity->lease_ms = (uint32_t)(c->lease_ns / 1000000);
	identity->max_drift_ppm = c->lease_ns == 0 ? 0 : c->max_drift_ppm;
}

void
identity_encode(const struct identity *identity, uint8_t ret_blob[IDENTITY_BYTES])
{
	memset(ret_blob, 0, IDENTITY_BYTES);
	memcpy(ret_blob, magic, sizeof(magic));
	store_u32(ret_blob + 8, VERSION);
	store_u16(ret_blob + 12, identity->node_id);
	store_u64(ret_blob + 16, identity->cluster_id);
	memcpy(ret_blob + 24, identity->disk.bytes, DECREE_UUID_BYTES);
	store_u16(ret_blob + 48, identity->shard_count);
	store_u16(ret_blob + 50, identity->shard);
	store_u32(ret_blob + 52, identity->slot_bytes);
	store_u32(ret_blob + 56, identity->alpha);
	store_u32(ret_blob + 60, identity->session_count);
	store_u32(ret_blob + 64, identity->session_window);
	store_u32(ret_blob + 68, identity->command_bytes_max);
	store_u16(ret_blob + 72, identity->group_count);
	store_u32(ret_blob + 76, identity->digest_slots);
	store_u32(ret_blob + 80, identity->lease_ms);
	store_u32(ret_blob + 84, identity->max_drift_ppm);
	store_u32(ret_blob + 88, identity->session_idle_slots);
}

int
identity_decode(const uint8_t *blob, uint32_t bytes, struct identity *ret_identity)
{
	uint8_t again[IDENTITY_BYTES];
	struct identity identity;

	if (bytes != IDENTITY_BYTES || memcmp(blob, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	identity = (struct identity){
		.node_id = load_u16(blob + 12),
		.cluster_id = load_u64(blob + 16),
		.shard_count = load_u16(blob + 48),
		.shard = load_u16(blob + 50),
		.slot_bytes = load_u32(blob + 52),
		.alpha = load_u32(blob + 56),
		.session_count = load_u32(blob + 60),
		.session_window = load_u32(blob + 64),
		.command_bytes_max = load_u32(blob + 68),
		.group_count = load_u16(blob + 72),
		.digest_slots = load_u32(blob + 76),
		.lease_ms = load_u32(blob + 80),
		.max_drift_ppm = load_u32(blob + 84),
		.session_idle_slots = load_u32(blob + 88),
	};
	memcpy(identity.disk.bytes, blob + 24, DECREE_UUID_BYTES);
	identity_encode(&identity, again); /* covers the version and every reserved byte */
	if (memcmp(again, blob, IDENTITY_BYTES) != 0)
		return -EBADMSG;
	*ret_identity = identity;
	return 0;
}

struct constant {
	const char *name;
	uint32_t a;
	uint32_t b;
};

#define CONSTANT_COUNT 9

static void
constants(const struct identity *a, const struct identity *b, struct constant ret[CONSTANT_COUNT])
{
	ret[0] = (struct constant){ "shards", a->shard_count, b->shard_count };
	ret[1] = (struct constant){ "groups", a->group_count, b->group_count };
	ret[2] = (struct constant){ "slot_bytes", a->slot_bytes, b->slot_bytes };
	ret[3] = (struct constant){ "alpha", a->alpha, b->alpha };
	ret[4] = (struct constant){ "session_count", a->session_count, b->session_count };
	ret[5] = (struct constant){ "session_window", a->session_window, b->session_window };
	ret[6] = (struct constant){ "command_bytes_max", a->command_bytes_max,
		b->command_bytes_max };
	ret[7] = (struct constant){ "digest_slots", a->digest_slots, b->digest_slots };
	ret[8] = (struct constant){ "session_idle_slots", a->session_idle_slots,
		b->session_idle_slots };
}

const char *
identity_difference(const struct identity *mine, const struct identity *theirs)
{
	struct constant rows[CONSTANT_COUNT];

	if (mine->cluster_id != theirs->cluster_id)
		return "cluster id";
	constants(mine, theirs, rows);
	for (uint32_t i = 0; i < CONSTANT_COUNT; i++)
		if (rows[i].a != rows[i].b)
			return rows[i].name;
	if (mine->lease_ms != theirs->lease_ms)
		return "lease_ms";
	if (mine->max_drift_ppm != theirs->max_drift_ppm)
		return "max_drift_ppm";
	return NULL;
}

int
identity_check(const struct identity *found, const struct config *c, uint16_t shard,
	const char *what, char *ret_error)
{
	const struct identity wanted = identity_of_config(c, shard, &found->disk);
	struct constant rows[CONSTANT_COUNT];

	if (found->cluster_id != c->cluster_id)
		return base_refuse(-EXDEV, ret_error,
			"%.200s belongs to cluster %llx, but %.150s says id = %llx: correct "
			"data_dir or id",
			what, (unsigned long long)found->cluster_id, c->path,
			(unsigned long long)c->cluster_id);
	if (found->node_id != c->node_id)
		return base_refuse(-EXDEV, ret_error,
			"%.200s belongs to node %u, but %.150s says node = %u: correct data_dir or "
			"node",
			what, found->node_id, c->path, c->node_id);
	constants(found, &wanted, rows);
	for (uint32_t i = 0; i < CONSTANT_COUNT; i++)
		if (rows[i].a != rows[i].b)
			return base_refuse(-EINVAL, ret_error,
				"%.200s was formatted with %s = %u, but %.150s says %u: it can "
				"only be set by 'decree format', for all nodes at once",
				what, rows[i].name, rows[i].a, c->path, rows[i].b);
	if (found->shard != shard)
		return base_refuse(-EXDEV, ret_error,
			"%.200s holds the log of shard %u: the folders of this node were mixed up",
			what, found->shard);
	return 0;
}
