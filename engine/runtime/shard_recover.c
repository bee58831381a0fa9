/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard learns at its start from the log that was found: each record that is whole, and of
 * each that is not as much as is known. The order is that of the log; nothing is sent and nothing
 * is written meanwhile.
 */
#include "engine/core/record.h"
#include "engine/runtime/shard_private.h"

int
shard_recover_meta(struct shard *s, const uint8_t *blob, uint32_t bytes, uint64_t *ret_boot_count)
{
	int rc = meta_recover(s, blob, bytes);

	for (uint32_t i = 0; i < s->config.group_count && rc == 0; i++)
		rc = restore_at_start(s, &s->groups[i]);
	if (rc == 0)
		*ret_boot_count = s->boot_count;
	return rc;
}

int
shard_recover_record(struct shard *s, const uint8_t *tag, const uint8_t *payload, uint32_t bytes,
	struct log_place place)
{
	struct shard_group *g = shard_find_group(s, tag_group(tag));
	struct eng_event event = {
		.record = { .tag = tag, .value = payload, .bytes = bytes },
	};

	if (g == NULL)
		return -EBADMSG;
	s->durable_lsn = s->appended_lsn = place.lsn;
	trim_note(g, tag_slot(tag), place.lsn);
	index_put(&s->index_pool, &g->index, tag_slot(tag), place.position);
	index_reach(&g->index, tag_mark_slot(tag));
	event.type = ENG_EV_RECOVER_COMMIT;
	shard_step(s, g, &event);
	event.type = ENG_EV_RECOVER_RECORD;
	shard_step(s, g, &event);
	return 0;
}

/* What may be cut off the log behind it depends on the slot that it was of. */
static int
recover_faulty(struct shard *s, uint16_t group, struct decree_slot last, struct log_place place,
	struct eng_event *event)
{
	struct shard_group *g = shard_find_group(s, group);

	if (g == NULL)
		return -EBADMSG;
	s->durable_lsn = s->appended_lsn = place.lsn;
	trim_note(g, last, place.lsn);
	index_reach(&g->index, last);
	shard_step(s, g, event);
	return 0;
}

int
shard_recover_damaged(struct shard *s, const uint8_t *tag, struct log_place place)
{
	struct eng_event event = { .type = ENG_EV_RECOVER_FAULTY_ID };
	struct eng_record record;

	if (eng_record_decode(tag, &record) != 0)
		return -EBADMSG;
	if (record.vballot.n == 0) /* itself a mark, of a copy of unknown ballot */
		return shard_recover_unknown(s, record.group, record.slot,
			(struct decree_slot){ record.slot.n + 1 }, place);
	event.faulty_id.slot = record.slot;
	event.faulty_id.vballot = record.vballot;
	event.faulty_id.digest = record.digest;
	event.faulty_id.is_decision = record.kind == ENG_RECORD_DECIDED;
	return recover_faulty(s, record.group, record.slot, place, &event);
}

int
shard_recover_unknown(struct shard *s, uint16_t group, struct decree_slot first,
	struct decree_slot after, struct log_place place)
{
	struct eng_event event = {
		.type = ENG_EV_RECOVER_FAULTY_UNKNOWN,
		.faulty_unknown = { first, after },
	};
	int rc = 0;

	if (first.n != 0)
		return recover_faulty(s, group, (struct decree_slot){ after.n - 1 }, place, &event);
	for (uint32_t i = 0; i < s->config.group_count && rc == 0; i++)
		rc = recover_faulty(s, s->groups[i].config.group, first, place, &event);
	return rc;
}
