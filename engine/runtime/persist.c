/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core wants durable, and when it is.
 *
 * The core numbers its persists per group: seq 1, 2, 3, ... A record becomes a record of the log
 * (lsn), a hard state a new generation of the log's meta blob. The log completes the two kinds
 * independently, but seq counts only in order: a Promise that depends on seq 7 may also depend on
 * the record of seq 6. So each group has a ring, indexed by seq, of the lsn or generation that it
 * waits for, and a persist is durable when its own mark is reached and all before it are.
 *
 * The meta blob, one for all groups of this log, is described in meta.h, and so is the hearsay. That
 * has no seq: nothing waits for it.
 */
#include "base/failpoint.h"
#include "base/probe.h"
#include "engine/runtime/meta.h"
#include "engine/runtime/shard_private.h"

static_assert(ENG_RECORD_TAG_BYTES == LOG_TAG_BYTES, "a record's tag is the log's tag");

/* ------------------------------------------------------------------------------ tags */

struct decree_slot
tag_slot(const uint8_t *tag)
{
	struct eng_record record;

	if (eng_record_decode(tag, &record) != 0 || record.kind == ENG_RECORD_FAULTY)
		return (struct decree_slot){ 0 };
	return record.slot;
}

struct decree_slot
tag_mark_slot(const uint8_t *tag)
{
	struct eng_record record;

	if (eng_record_decode(tag, &record) != 0 || record.kind != ENG_RECORD_FAULTY)
		return (struct decree_slot){ 0 };
	return record.slot;
}

uint16_t
tag_group(const uint8_t *tag)
{
	struct eng_record record;

	return eng_record_decode(tag, &record) == 0 ? record.group : UINT16_MAX;
}

/* ------------------------------------------------------------------------------ meta blob */

uint32_t
shard_meta_bytes(uint32_t group_count)
{
	return meta_bytes(group_count);
}

void
meta_init(struct shard *s)
{
	meta_begin(s->meta, s->config.group_count);
	hearsay_begin(s->hearsay, s->config.group_count);
}

int
meta_recover(struct shard *s, const uint8_t *blob, uint32_t bytes)
{
	if (!meta_is_valid(blob, bytes, s->config.group_count))
		return -EBADMSG;
	memcpy(s->meta, blob, bytes);
	s->boot_count = meta_boot_count(s->meta);
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct eng_event event = { .type = ENG_EV_RECOVER_HARD };

		if (!meta_has_hard(s->meta, i))
			continue;
		event.hard.bytes = meta_hard(s->meta, i);
		shard_step(s, &s->groups[i], &event);
	}
	return 0;
}

static uint64_t
meta_write(struct shard *s)
{
	s->meta_generation =
		s->config.log_ops->meta(s->log, s->meta, shard_meta_bytes(s->config.group_count));
	return s->meta_generation;
}

void
meta_write_boot(struct shard *s)
{
	meta_set_boot_count(s->meta, s->boot_count);
	s->boot_generation = meta_write(s);
}

void
meta_write_again(struct shard *s)
{
	(void)meta_write(s); /* nothing waits for it */
}

static uint64_t
hard_write(struct shard *s, const struct shard_group *g, const struct eng_persist *p)
{
	memcpy(meta_hard(s->meta, g->local), p->tag, ENG_HARD_BYTES);
	FAILPOINT("runtime.persist.hard_state_noted");
	meta_set_has_hard(s->meta, g->local);
	s->counters.hard_states++;
	return meta_write(s);
}

/* ------------------------------------------------------------------------------ hearsay */

int
shard_recover_hearsay(struct shard *s, const uint8_t *blob, uint32_t bytes)
{
	if (!hearsay_is_valid(blob, bytes, s->config.group_count))
		return -EBADMSG;
	memcpy(s->hearsay, blob, bytes);
	return 0;
}

void
hearsay_write(struct shard *s, const struct shard_group *g)
{
	memcpy(hearsay_rows(s->hearsay, g->local), eng_hearsay(g->replica), ENG_HEARSAY_BYTES);
	s->config.log_ops->hearsay(s->log, s->hearsay, hearsay_bytes(s->config.group_count));
}

/* ------------------------------------------------------------------------------ appending */

static void
ring_push(struct persist_ring *ring, uint64_t seq, uint64_t mark, bool is_hard)
{
	decree_assert(seq == ring->appended + 1);
	decree_assert(seq - ring->durable <= PERSIST_RING_COUNT);
	ring->marks[seq & (PERSIST_RING_COUNT - 1)] = mark << 1 | is_hard;
	ring->appended = seq;
}

/* A run of records, all of one group. @return false if the log took fewer than it had promised to */
static bool
append_run(struct shard *s, struct shard_group *g, const struct eng_persist *run, uint32_t count)
{
	struct log_record records[64];
	struct log_place places[64];

	decree_assert(count >= 1 && count <= 64);
	for (uint32_t i = 0; i < count; i++)
		records[i] = (struct log_record){
			.tag = run[i].tag,
			.payload = run[i].value,
			.payload_bytes = run[i].bytes,
		};
	if (s->config.log_ops->append(s->log, records, count, places) != count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		ring_push(&g->persists, run[i].seq, places[i].lsn, false);
		trim_note(g, run[i].slot, places[i].lsn);
		index_put(&s->index_pool, &g->index, run[i].slot, places[i].position);
	}
	FAILPOINT("runtime.persist.records_appended");
	for (uint32_t i = 0; i < count; i++)
		if (g->status.role == DECREE_LEADER)
			BASE_PROBE4(slot_proposed, g->config.group, run[i].slot.n, run[i].bytes,
				run[i].seq);
		else
			BASE_PROBE4(slot_accepted, g->config.group, run[i].slot.n, run[i].bytes,
				run[i].seq);
	stages_on_append(s, g, run, count);
	s->appended_lsn = places[count - 1].lsn;
	s->counters.appended += count;
	s->room_left -= min_u32(s->room_left, count);
	s->space_left -= min_u64(s->space_left, count);
	return true;
}

bool
persist_append(struct shard *s, struct shard_group *g, const struct eng_effects *fx)
{
	uint32_t i = 0;

	while (i < fx->persist_count) {
		const struct eng_persist *p = &fx->persists[i];
		uint32_t count = 1;

		if (p->kind == ENG_PERSIST_HARD) {
			ring_push(&g->persists, p->seq, hard_write(s, g, p), true);
			i++;
			continue;
		}
		while (i + count < fx->persist_count && count < 64 &&
			p[count].kind == ENG_PERSIST_RECORD)
			count++;
		if (!append_run(s, g, p, count))
			return false;
		i += count;
	}
	return true;
}

/* ------------------------------------------------------------------------------ completions */

void
persist_on_completion(struct shard *s, const struct log_completion *c)
{
	switch (c->kind) {
	case LOG_DURABLE:
		decree_assert(c->lsn >= s->durable_lsn);
		s->durable_lsn = c->lsn;
		break;
	case LOG_META:
		decree_assert(c->lsn >= s->durable_generation);
		s->durable_generation = c->lsn;
		break;
	case LOG_FAILED:
		shard_stop(s, SHARD_STOPPED_LOG,
			"the log could not be written (%s): what it holds is unknown until it is "
			"read again. The node stops and sends nothing more. Check the device, then "
			"start the node again",
			strerror(-c->rc));
		break;
	case LOG_READ:           /* reads.c */
	case LOG_DAMAGED: break; /* damage.c */
	}
}

static bool
is_durable(const struct shard *s, uint64_t mark)
{
	return mark >> 1 <= ((mark & 1) != 0 ? s->durable_generation : s->durable_lsn);
}

static void
release_group(struct shard *s, struct shard_group *g)
{
	struct persist_ring *ring = &g->persists;
	uint64_t seq = ring->durable;

	while (seq < ring->appended &&
		is_durable(s, ring->marks[(seq + 1) & (PERSIST_RING_COUNT - 1)]))
		seq++;
	if (seq == ring->durable || !room_for_turn(s, g))
		return; /* without room for what the core may want next, it is told in a later turn */
	ring->durable = seq;
	BASE_PROBE2(slots_durable, g->config.group, seq);
	stages_on_durable(s, g);
	struct eng_event event = {
		.type = ENG_EV_PERSISTED, .now_ns = s->now_ns, .persisted = { .seq = seq }
	};
	FAILPOINT("runtime.persist.before_release");
	shard_step(s, g, &event);
	FAILPOINT("runtime.persist.released");
}

void
persist_release(struct shard *s)
{
	for (uint32_t i = 0; i < s->config.group_count; i++)
		release_group(s, &s->groups[i]);
}
