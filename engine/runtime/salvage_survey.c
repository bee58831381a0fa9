/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one node's log holds. Kept is a prefix without gaps: a command whose predecessors are gone
 * might not mean what its client meant, and a state that skips some is one that never was.
 */
#include "engine/runtime/salvage.h"

#include "engine/core/value.h"
#include "engine/runtime/data_paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	struct salvage *s;
	uint32_t shard;
};

/* ------------------------------------------------------------------------------ whose log it is */

static int
on_identity(void *context, const struct decree_uuid *uuid, const void *blob, uint32_t bytes,
	char *ret_error)
{
	const struct reading *r = context;
	struct salvage *s = r->s;
	struct identity found, wanted;
	const char *difference;

	(void)uuid;
	(void)ret_error; /* salvage_refuse() writes to the same */
	if (identity_decode(blob, bytes, &found) != 0)
		return salvage_refuse(s, -EBADMSG,
			"%.300s was not made by 'decree format' of this version",
			s->rescue->data_dir);
	if (r->shard == 0)
		s->old = found;
	if (memcmp(&found.disk, &s->old.disk, sizeof(found.disk)) != 0 || found.shard != r->shard)
		return salvage_refuse(s, -EXDEV,
			"the folders in %.300s were not formatted together: put the right ones "
			"back",
			s->rescue->data_dir);
	if (found.cluster_id == s->config.cluster_id)
		return salvage_refuse(s, -EINVAL,
			"%.200s has the id of the lost cluster. What comes of this is another one, "
			"which must never be mistaken for it: set a new id (openssl rand -hex 8)",
			s->config.path);
	if (found.node_id != s->config.node_id)
		return salvage_refuse(s, -EINVAL,
			"%.200s belongs to node %u, but %.150s says node = %u: keep the node's "
			"number",
			s->rescue->data_dir, found.node_id, s->config.path, s->config.node_id);
	wanted = identity_of_config(&s->config, (uint16_t)r->shard, &found.disk);
	wanted.cluster_id = found.cluster_id;
	difference = identity_difference(&found, &wanted);
	if (difference != NULL)
		return salvage_refuse(s, -EINVAL,
			"%.200s was formatted with another %s than %.150s says: it stays as it was",
			s->rescue->data_dir, difference, s->config.path);
	return 0;
}

static int
on_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	const struct reading *r = context;
	struct salvage *s = r->s;
	uint32_t count = salvage_group_count(s, r->shard);
	uint8_t meta[META_BYTES_MAX];

	if (generation == 0)
		return 0; /* it was never started */
	if (!meta_is_valid(blob, bytes, count))
		return salvage_refuse(s, -EBADMSG,
			"%.300s: the hard state was written by another version",
			s->rescue->data_dir);
	memcpy(meta, blob, bytes);
	if (s->boot_count < meta_boot_count(meta))
		s->boot_count = meta_boot_count(meta);
	for (uint32_t i = 0; i < count; i++) {
		struct salvage_group *g = &s->groups[salvage_group_of(s, r->shard, i)];

		if (meta_has_hard(meta, i) && eng_hard_decode(meta_hard(meta, i), &g->hard) != 0)
			return -EBADMSG;
		g->found.snapshot = g->hard.snapshot;
		g->found.decided = g->hard.snapshot;
		g->found.is_doubtful = g->hard.doubt;
	}
	return 0;
}

/* An operator's word stands above what a start of the node refuses; but it is said. */
static void
on_lossy(void *context)
{
	const struct reading *r = context;

	for (uint32_t i = 0; i < salvage_group_count(r->s, r->shard); i++)
		r->s->groups[salvage_group_of(r->s, r->shard, i)].found.is_unsynced = true;
}

int
salvage_read_old(struct salvage *s, uint32_t shard, const struct wal_recovery *recovery)
{
	/* The mode matters only to what is appended, and nothing is. */
	struct wal_config cfg = {
		.mode = DECREE_LOG_DURABLE,
		.is_read_only = true,
		.recovery = *recovery,
	};
	char path[DATA_PATH_BYTES];
	struct wal *none;

	data_shard_path(s->rescue->data_dir, shard, path);
	return wal_directory_open(path, &cfg, 0, &none, s->ret_error);
}

/* ------------------------------------------------------------------------------ its records */

static int
held_grow(struct salvage_group *g, uint64_t bit)
{
	uint64_t count = g->held_count != 0 ? g->held_count : 1 << 16;

	while (count <= bit)
		count *= 2;
	if (count == g->held_count)
		return 0;
	uint64_t *held = realloc(g->held, count / 8);
	if (held == NULL)
		return -ENOMEM;
	memset((uint8_t *)held + g->held_count / 8, 0, (count - g->held_count) / 8);
	g->held = held;
	g->held_count = count;
	return 0;
}

static bool
is_held(const struct salvage_group *g, uint64_t slot)
{
	uint64_t bit = slot - g->found.snapshot.n - 1;

	return bit < g->held_count && (g->held[bit / 64] >> (bit % 64) & 1) != 0;
}

/* From the end: most records have the ballot of the one before. */
static int
note_ballot(struct salvage_group *g, const struct eng_record *record)
{
	uint32_t at = g->ballot_count;

	while (at > 0 && g->ballots[at - 1].ballot.n > record->vballot.n)
		at--;
	if (at > 0 && g->ballots[at - 1].ballot.n == record->vballot.n) {
		if (g->ballots[at - 1].first.n > record->slot.n)
			g->ballots[at - 1].first = record->slot;
		return 0;
	}
	if (g->ballot_count == g->ballot_capacity) {
		uint32_t capacity = g->ballot_capacity != 0 ? 2 * g->ballot_capacity : 64;
		struct salvage_ballot *more = realloc(g->ballots, capacity * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		g->ballots = more;
		g->ballot_capacity = capacity;
	}
	memmove(&g->ballots[at + 1], &g->ballots[at],
		(g->ballot_count - at) * sizeof(g->ballots[0]));
	g->ballots[at] = (struct salvage_ballot){ record->vballot, record->slot };
	g->ballot_count++;
	return 0;
}

static int
note_slot(struct salvage_group *g, const struct eng_record *record)
{
	uint64_t bit = record->slot.n - g->found.snapshot.n - 1;
	int rc = held_grow(g, bit);

	if (rc != 0)
		return rc;
	/* A mark speaks of a record before it: whatever of this slot stands there is not what it
	 * was (11.4). */
	if (record->kind == ENG_RECORD_FAULTY) {
		g->held[bit / 64] &= ~(1ull << (bit % 64));
		if (g->lost_first.n == 0 || g->lost_first.n > record->slot.n)
			g->lost_first = record->slot;
	} else {
		g->held[bit / 64] |= 1ull << (bit % 64);
	}
	if (g->held_last.n < record->slot.n)
		g->held_last = record->slot;
	return record->kind == ENG_RECORD_FAULTY ? 0 : note_ballot(g, record);
}

static void
note_decided(struct salvage_group *g, const struct eng_record *record)
{
	struct decree_slot *decided = &g->found.decided;

	if (decided->n < record->commit.n)
		*decided = record->commit;
	if (record->kind == ENG_RECORD_DECIDED && record->slot.n == decided->n + 1)
		*decided = record->slot;
}

static struct salvage_group *
group_of_record(const struct reading *r, const struct eng_record *record)
{
	struct salvage *s = r->s;

	if (record->group >= s->config.group_count ||
		config_group_to_shard(&s->config, record->group) != r->shard)
		return NULL;
	return &s->groups[record->group];
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t bytes)
{
	const struct reading *r = context;
	struct salvage *s = r->s;
	struct eng_record record;
	struct salvage_group *g;
	struct eng_value v;

	(void)place;
	if (eng_record_decode(tag, &record) != 0 || (g = group_of_record(r, &record)) == NULL)
		return salvage_refuse(s, -EBADMSG,
			"%.300s holds a record of a group that is not here", s->rescue->data_dir);
	note_decided(g, &record);
	if (record.slot.n <= g->found.snapshot.n)
		return 0;
	if (record.kind != ENG_RECORD_FAULTY) {
		if (eng_value_decode(payload, bytes, &v) != 0)
			return salvage_refuse(s, -EBADMSG,
				"%.300s holds a record of another version", s->rescue->data_dir);
		if (v.kind == ENG_VALUE_CONFIG && g->id_last < v.membership.id_last)
			g->id_last = v.membership.id_last;
		if (v.kind == ENG_VALUE_CONFIG && record.slot.n == 1)
			g->has_first = true;
	}
	return note_slot(g, &record);
}

/* A record that rotted is as a mark would say it: what stands before it of the same slot is not
 * what was accepted. And if nothing tells which slot it was, every group of the log may be the
 * one. */
static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	const struct reading *r = context;
	struct salvage *s = r->s;
	struct eng_record record;
	struct salvage_group *g;

	(void)place;
	for (uint32_t i = 0; tag == NULL && i < salvage_group_count(s, r->shard); i++)
		s->groups[salvage_group_of(s, r->shard, i)].found.is_doubtful = true;
	if (tag == NULL)
		return 0;
	if (eng_record_decode(tag, &record) != 0 || (g = group_of_record(r, &record)) == NULL)
		return salvage_refuse(s, -EBADMSG,
			"%.300s holds a damaged record of a group that is not here",
			s->rescue->data_dir);
	note_decided(g, &record);
	record.kind = ENG_RECORD_FAULTY;
	return record.slot.n <= g->found.snapshot.n ? 0 : note_slot(g, &record);
}

/* ------------------------------------------------------------------------------ what is kept */

static void
conclude(struct salvage_group *g)
{
	struct decree_survivor *f = &g->found;

	f->last = f->snapshot;
	while (is_held(g, f->last.n + 1))
		f->last.n++;
	for (uint64_t slot = f->last.n + 1; slot <= g->held_last.n; slot++)
		f->dropped_count += is_held(g, slot);
	/* A ballot of what is left out says nothing for what is kept: it may be that of a leader of
	 * whom a node far behind has heard a single Accept. */
	for (uint32_t i = 0; i < g->ballot_count; i++)
		if (g->ballots[i].first.n <= f->last.n)
			f->ballot = g->ballots[i].ballot;
}

int
salvage_survey(struct salvage *s, uint32_t shard)
{
	struct reading reading = { s, shard };
	struct wal_recovery recovery = {
		.context = &reading,
		.identity = on_identity,
		.meta = on_meta,
		.record = on_record,
		.damaged = on_damaged,
		.lossy = on_lossy,
	};
	int rc = salvage_read_old(s, shard, &recovery);

	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < salvage_group_count(s, shard); i++) {
		struct salvage_group *g = &s->groups[salvage_group_of(s, shard, i)];

		conclude(g);
		if (g->found.last.n == 0 &&
			(g->has_first || g->held_last.n != 0 || g->found.is_doubtful))
			return salvage_refuse(s, -EBADMSG,
				"%.300s: group %u: slot 1 is damaged or missing, and there is no "
				"snapshot, so nothing of it could be kept. Use another node's "
				"directory, or a backup",
				s->rescue->data_dir, salvage_group_of(s, shard, i));
		if (g->found.snapshot.n == 0 && !g->has_first)
			return salvage_refuse(s, -EBADMSG,
				"%.300s: group %u holds nothing: this node never was a member of a "
				"cluster that was complete. Use another node's directory",
				s->rescue->data_dir, salvage_group_of(s, shard, i));
	}
	return 0;
}
