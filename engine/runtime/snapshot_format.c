/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian:
 *
 *   header                                     chunk
 *        0  8  "decrsnap"                           0  4  kind: 1 sessions, 2 machine, 3 end
 *        8  4  version of the cluster               4  4  payload bytes
 *       12  2  group                                8  8  index in its kind, from 0
 *       14  2  configurations                      16 16  digest of the 16 bytes before and of the payload
 *       16  8  cluster id                          32  .  payload
 *       24  8  slot
 *       32  8  cluster time of the slot, ns     payload of the end
 *       40 16  digest of the state                  0  8  chunks before this one
 *       56  4  bytes of the header                  8 16  digest of everything before this chunk
 *       60  4  zero
 *       64  .  per configuration: slot 8, value bytes 4, zero 4, the value as the log holds it
 *        .  16 digest of the header so far
 *
 * It is valid if and only if every digest is right, kinds do not descend, indices count, every zero
 * is zero, and it ends with its end.
 */
#include "engine/runtime/snapshot_format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/version.h"

#include <errno.h>
#include <string.h>

#define FIXED_BYTES       64u
#define CONFIG_HEAD_BYTES 16u
#define DIGEST_BYTES      16u
static const char magic[8] = { 'd', 'e', 'c', 'r', 's', 'n', 'a', 'p' };

static_assert(DECREE_CHUNK_BYTES_MAX >= SNAPSHOT_HEADER_BYTES_MAX, "the reader's buffer holds it");
static_assert(
	DECREE_CHUNK_BYTES_MAX >= ENG_SESSIONS_PIECE_BYTES_MAX, "the reader's buffer holds it");

enum stage {
	STAGE_FIXED = 0,
	STAGE_HEADER = 1,
	STAGE_CHUNK = 2,
	STAGE_PAYLOAD = 3,
	STAGE_WHOLE = 4,
};

static void
put_digest(uint8_t *at, struct decree_digest d)
{
	store_u64(at, d.lo);
	store_u64(at + 8, d.hi);
}

static struct decree_digest
get_digest(const uint8_t *at)
{
	return (struct decree_digest){ load_u64(at), load_u64(at + 8) };
}

/* ------------------------------------------------------------------------------ writing */

/* The newest that it says anything of: whoever does not speak that one has no use for the rest. */
static uint32_t
version_of(const struct eng_snapshot *s)
{
	return s->configs[s->config_count - 1].members.version;
}

uint32_t
snapshot_header_encode(
	const struct eng_snapshot *s, uint64_t cluster_id, uint16_t group, uint8_t *ret_bytes)
{
	uint8_t *at = ret_bytes + FIXED_BYTES;

	memset(ret_bytes, 0, FIXED_BYTES);
	memcpy(ret_bytes, magic, sizeof(magic));
	store_u32(ret_bytes + 8, version_of(s));
	store_u16(ret_bytes + 12, group);
	store_u16(ret_bytes + 14, (uint16_t)s->config_count);
	store_u64(ret_bytes + 16, cluster_id);
	store_u64(ret_bytes + 24, s->slot.n);
	store_u64(ret_bytes + 32, s->stamp_ns);
	put_digest(ret_bytes + 40, s->digest);
	for (uint32_t i = 0; i < s->config_count; i++) {
		uint32_t bytes = eng_value_config(at + CONFIG_HEAD_BYTES, &s->configs[i].members);

		store_u64(at, s->configs[i].slot.n);
		store_u32(at + 8, bytes);
		store_u32(at + 12, 0);
		at += CONFIG_HEAD_BYTES + bytes;
	}
	uint32_t bytes = (uint32_t)(at - ret_bytes) + DIGEST_BYTES;
	decree_assert(bytes <= SNAPSHOT_HEADER_BYTES_MAX);
	store_u32(ret_bytes + 56, bytes);
	put_digest(at, base_digest(ret_bytes, bytes - DIGEST_BYTES));
	return bytes;
}

static struct decree_digest
chunk_digest(const uint8_t *head, const void *payload, uint32_t bytes)
{
	struct digest_stream d;

	digest_stream_init(&d);
	digest_stream_add(&d, head, 16);
	digest_stream_add(&d, payload, bytes);
	return digest_stream_get(&d);
}

void
snapshot_chunk_encode(enum snapshot_chunk_kind kind, uint64_t index, const void *payload,
	uint32_t payload_bytes, uint8_t ret_bytes[SNAPSHOT_CHUNK_HEADER_BYTES])
{
	store_u32(ret_bytes, kind);
	store_u32(ret_bytes + 4, payload_bytes);
	store_u64(ret_bytes + 8, index);
	put_digest(ret_bytes + 16, chunk_digest(ret_bytes, payload, payload_bytes));
}

void
snapshot_end_encode(
	uint64_t chunk_count, struct decree_digest before, uint8_t ret_bytes[SNAPSHOT_END_BYTES])
{
	store_u64(ret_bytes, chunk_count);
	put_digest(ret_bytes + 8, before);
}

/* ------------------------------------------------------------------------------ reading */

void
snapshot_reader_init(
	struct snapshot_reader *r, uint64_t cluster_id, uint16_t group, uint8_t *buffer)
{
	*r = (struct snapshot_reader){
		.cluster_id = cluster_id,
		.group = group,
		.buffer = buffer,
		.wanted = FIXED_BYTES,
		.stage = STAGE_FIXED,
		.chunk_kind = SNAPSHOT_SESSIONS,
	};
	digest_stream_init(&r->all);
}

bool
snapshot_is_whole(const struct snapshot_reader *r)
{
	return r->stage == STAGE_WHOLE;
}

static int
on_fixed(struct snapshot_reader *r)
{
	const uint8_t *b = r->buffer;
	uint32_t configs = load_u16(b + 14);

	r->header_bytes = load_u32(b + 56);
	if (memcmp(b, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	r->version = load_u32(b + 8);
	if (!version_is_known(r->version))
		return -EPROTONOSUPPORT;
	if (load_u16(b + 12) != r->group || load_u64(b + 16) != r->cluster_id ||
		load_u32(b + 60) != 0 || configs < 1 || configs > ENG_SNAPSHOT_CONFIG_MAX ||
		r->header_bytes > SNAPSHOT_HEADER_BYTES_MAX ||
		r->header_bytes < FIXED_BYTES + DIGEST_BYTES)
		return -EBADMSG;
	r->facts = (struct eng_snapshot){
		.slot = { load_u64(b + 24) },
		.stamp_ns = load_u64(b + 32),
		.digest = get_digest(b + 40),
		.config_count = configs,
	};
	if (r->facts.slot.n == 0 || r->facts.slot.n > ENG_SLOT_MAX)
		return -EBADMSG;
	r->stage = STAGE_HEADER;
	r->wanted = r->header_bytes;
	return SNAPSHOT_FOUND_NOTHING;
}

static bool
read_config(const uint8_t **at, const uint8_t *end, struct eng_snapshot_config *ret_config)
{
	struct eng_value v;

	if (end - *at < CONFIG_HEAD_BYTES)
		return false;
	uint32_t bytes = load_u32(*at + 8);
	if (load_u32(*at + 12) != 0 || bytes > end - *at - CONFIG_HEAD_BYTES ||
		eng_value_decode(*at + CONFIG_HEAD_BYTES, bytes, &v) != 0 ||
		v.kind != ENG_VALUE_CONFIG)
		return false;
	ret_config->slot.n = load_u64(*at);
	ret_config->members = v.membership;
	*at += CONFIG_HEAD_BYTES + bytes;
	return true;
}

static void
expect_chunk(struct snapshot_reader *r)
{
	r->stage = STAGE_CHUNK;
	r->have = 0;
	r->wanted = SNAPSHOT_CHUNK_HEADER_BYTES;
}

static int
on_header(struct snapshot_reader *r)
{
	const uint8_t *at = r->buffer + FIXED_BYTES;
	const uint8_t *end = r->buffer + r->header_bytes - DIGEST_BYTES;

	if (!digest_eq(get_digest(end), base_digest(r->buffer, r->header_bytes - DIGEST_BYTES)))
		return -EBADMSG;
	for (uint32_t i = 0; i < r->facts.config_count; i++)
		if (!read_config(&at, end, &r->facts.configs[i]))
			return -EBADMSG;
	if (at != end || version_of(&r->facts) != r->version)
		return -EBADMSG;
	digest_stream_add(&r->all, r->buffer, r->header_bytes);
	expect_chunk(r);
	return SNAPSHOT_FOUND_HEADER;
}

static int
on_chunk_head(struct snapshot_reader *r)
{
	uint32_t kind = load_u32(r->buffer);

	if (kind < (uint32_t)r->chunk_kind || kind > SNAPSHOT_END)
		return -EBADMSG;
	if (kind != (uint32_t)r->chunk_kind)
		r->index_next = 0;
	r->chunk_kind = kind;
	r->chunk_bytes = load_u32(r->buffer + 4);
	r->chunk_index = load_u64(r->buffer + 8);
	if (r->chunk_index != r->index_next || r->chunk_bytes > DECREE_CHUNK_BYTES_MAX ||
		(kind == SNAPSHOT_END && r->chunk_bytes != SNAPSHOT_END_BYTES))
		return -EBADMSG;
	memcpy(r->chunk_head, r->buffer, sizeof(r->chunk_head));
	r->chunk_digest = get_digest(r->buffer + 16);
	if (kind != SNAPSHOT_END)
		digest_stream_add(&r->all, r->buffer, SNAPSHOT_CHUNK_HEADER_BYTES);
	r->stage = STAGE_PAYLOAD;
	r->have = 0;
	r->wanted = r->chunk_bytes;
	return SNAPSHOT_FOUND_NOTHING;
}

static int
on_payload(struct snapshot_reader *r)
{
	if (!digest_eq(r->chunk_digest, chunk_digest(r->chunk_head, r->buffer, r->chunk_bytes)))
		return -EBADMSG;
	if (r->chunk_kind == SNAPSHOT_END) {
		if (load_u64(r->buffer) != r->chunk_count ||
			!digest_eq(get_digest(r->buffer + 8), digest_stream_get(&r->all)))
			return -EBADMSG;
		r->stage = STAGE_WHOLE;
		return SNAPSHOT_FOUND_END;
	}
	digest_stream_add(&r->all, r->buffer, r->chunk_bytes);
	r->chunk_count++;
	r->index_next++;
	expect_chunk(r);
	return SNAPSHOT_FOUND_CHUNK;
}

static int
on_stage(struct snapshot_reader *r)
{
	switch ((enum stage)r->stage) {
	case STAGE_FIXED: return on_fixed(r);
	case STAGE_HEADER: return on_header(r);
	case STAGE_CHUNK: return on_chunk_head(r);
	case STAGE_PAYLOAD: return on_payload(r);
	case STAGE_WHOLE: break;
	}
	return -EBADMSG; /* something follows the end */
}

int
snapshot_read(struct snapshot_reader *r, const uint8_t *bytes, uint32_t count, uint32_t *ret_taken)
{
	uint32_t taken = 0;
	int found = SNAPSHOT_FOUND_NOTHING;

	while (found == SNAPSHOT_FOUND_NOTHING) {
		uint32_t part = r->wanted - r->have;

		if (r->stage == STAGE_WHOLE && taken < count)
			return -EBADMSG;
		if (part > count - taken)
			part = count - taken;
		memcpy(r->buffer + r->have, bytes + taken, part);
		r->have += part;
		taken += part;
		if (r->stage == STAGE_WHOLE || r->have < r->wanted)
			break;
		found = on_stage(r);
	}
	*ret_taken = taken;
	return found;
}
