/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records from the old log into the new one, in their order and as they are, so that what recovery
 * made of the old log it makes of the new one. Three things change:
 *
 *   configurations   each names this node alone, at its epoch and in its slot. For replay it still
 *                    names whom it named, because sessions depend on that (7.5), and old marks on
 *                    sessions
 *   beyond the gap   what salvage_survey() does not keep is left out
 *   hints            no record calls anything decided that is not here, or from the first slot on
 *                    of which a record was lost: a hint speaks of the last record before it, and
 *                    that would be an older one now
 *
 * What was accepted and not decided gets decided by the new cluster's first election: this node's
 * phase 1 finds it as it would find it on any acceptor.
 */
#include "engine/runtime/salvage.h"

#include "base/clock.h"
#include "base/digest.h"
#include "engine/core/value.h"
#include "engine/runtime/data_dir.h"

#include <errno.h>
#include <string.h>

#define PREWRITE_BYTES_PER_SECOND (16ull << 30) /* nobody else uses this disk's time here */
#define REAP_COUNT                16

struct copy {
	struct salvage *s;
	uint32_t shard;
	struct wal *to;
	uint64_t appended_lsn;
	uint64_t durable_lsn;
	uint64_t durable_generation;
	int failed;
};

/* ------------------------------------------------------------------------------ the new log */

static void
turn(struct copy *c)
{
	struct log_completion done[REAP_COUNT];
	uint64_t now_ns = base_now_ns();
	uint32_t count;

	wal_log_ops.submit(c->to, now_ns);
	count = wal_log_ops.reap(c->to, now_ns, done, REAP_COUNT);
	for (uint32_t i = 0; i < count; i++) {
		if (done[i].kind == LOG_DURABLE)
			c->durable_lsn = done[i].lsn;
		else if (done[i].kind == LOG_META)
			c->durable_generation = done[i].lsn;
		else if (done[i].kind == LOG_FAILED)
			c->failed = done[i].rc;
	}
	if (count == 0)
		salvage_rest();
}

/* Everything appended is durable, so what is missing is not the buffer's room but the log's. */
static bool
is_full(const struct copy *c)
{
	struct wal_status status;

	wal_status(c->to, &status);
	return c->durable_lsn == c->appended_lsn && status.prewritten_bytes >= status.log_bytes;
}

static int
refuse_failed(const struct copy *c)
{
	return salvage_refuse(c->s, c->failed, "the new log cannot be written");
}

static int
append(struct copy *c, const struct log_record *record)
{
	struct log_place place;

	while (wal_log_ops.append(c->to, record, 1, &place) == 0) {
		if (c->failed != 0)
			return refuse_failed(c);
		if (is_full(c))
			return salvage_refuse(c->s, -ENOSPC,
				"the new log is too small for what is kept: raise log_bytes");
		turn(c);
	}
	c->appended_lsn = place.lsn;
	return 0;
}

static int
flush(struct copy *c)
{
	while (c->failed == 0 && c->durable_lsn < c->appended_lsn)
		turn(c);
	return c->failed != 0 ? refuse_failed(c) : 0;
}

static int
write_meta(struct copy *c)
{
	const struct salvage *s = c->s;
	uint32_t count = salvage_group_count(s, c->shard);
	uint8_t meta[META_BYTES_MAX] = { 0 };
	uint64_t generation;

	meta_begin(meta, count);
	meta_set_boot_count(meta, s->boot_count);
	for (uint32_t i = 0; i < count; i++) {
		struct eng_hard hard = s->groups[salvage_group_of(s, c->shard, i)].hard;

		hard.doubt = false; /* there is nobody left who could know better */
		eng_hard_encode(&hard, meta_hard(meta, i));
		meta_set_has_hard(meta, i);
	}
	generation = wal_log_ops.meta(c->to, meta, meta_bytes(count));
	while (c->failed == 0 && c->durable_generation < generation)
		turn(c);
	return flush(c);
}

/* ------------------------------------------------------------------------------ a record */

/* @return bytes of the value in @p ret_value */
static uint32_t
replace_config(const struct copy *c, const struct eng_record *record, const struct eng_value *v,
	uint8_t *ret_value)
{
	struct eng_membership members;
	uint32_t bytes;

	salvage_membership(c->s, &c->s->groups[record->group], &v->membership, &members);
	bytes = eng_value_config(ret_value, &members);
	eng_value_set_stamp(ret_value, v->stamp_ns);
	return bytes;
}

/* The highest slot that a hint may speak of. Behind it ballots and records of decisions tell. */
static struct decree_slot
hint_last(const struct salvage_group *g)
{
	if (g->found.is_doubtful)
		return g->found.snapshot; /* what is lost may be of any slot */
	if (g->lost_first.n != 0 && g->lost_first.n <= g->found.last.n)
		return (struct decree_slot){ g->lost_first.n - 1 };
	return g->found.last;
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t bytes)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES + ENG_CONFIG_BYTES_MAX], new_tag[LOG_TAG_BYTES];
	struct copy *c = context;
	struct log_record out = { .tag = new_tag, .payload = payload, .payload_bytes = bytes };
	const struct salvage_group *g;
	const struct decree_survivor *found;
	struct eng_record record;
	struct eng_value v;

	(void)place;
	if (eng_record_decode(tag, &record) != 0)
		return -EBADMSG; /* the survey read it, and nobody has written since */
	g = &c->s->groups[record.group];
	found = &g->found;
	if (record.kind == ENG_RECORD_FAULTY || record.slot.n <= found->snapshot.n ||
		record.slot.n > found->last.n)
		return 0;
	if (record.commit.n > hint_last(g).n)
		record.commit = hint_last(g);
	if (eng_value_decode(payload, bytes, &v) == 0 && v.kind == ENG_VALUE_CONFIG) {
		record.bytes = replace_config(c, &record, &v, value);
		record.digest = base_digest(value, record.bytes);
		out.payload = value;
		out.payload_bytes = record.bytes;
	}
	eng_record_encode(&record, new_tag);
	return append(c, &out);
}

/* The survey has counted it: nothing that is kept needs it. */
static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	(void)context, (void)place, (void)tag;
	return 0;
}

static int
copy_records(struct copy *c)
{
	struct wal_recovery recovery = {
		.context = c,
		.record = on_record,
		.damaged = on_damaged,
	};

	return salvage_read_old(c->s, c->shard, &recovery);
}

int
salvage_copy_log(struct salvage *s, uint32_t shard)
{
	struct wal_config cfg = {
		.mode = DECREE_LOG_DURABLE,
		.prewrite_bytes_per_second = PREWRITE_BYTES_PER_SECOND,
	};
	struct copy c = { .s = s, .shard = shard };
	char path[DATA_PATH_BYTES];
	int rc = data_dir_format_shard(&s->config, s->building, shard, &s->disk, s->ret_error);

	if (rc != 0)
		return rc;
	data_shard_path(s->building, shard, path);
	rc = wal_directory_open(path, &cfg, 0, &c.to, s->ret_error);
	if (rc != 0)
		return rc;
	if (s->backup == NULL) /* a backup has none */
		rc = copy_records(&c);
	if (rc == 0)
		rc = write_meta(&c);
	wal_close(c.to);
	return rc;
}
