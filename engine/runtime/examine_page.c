/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the pages of a log: whose it is, its sizes, its last session, what its groups
 * promised. */
#include "engine/core/hearsay.h"
#include "engine/runtime/examine.h"
#include "engine/runtime/meta.h"

#include <stdio.h>
#include <string.h>

static void
begin(struct examine *e, const char *type)
{
	line_begin(&e->line, e->x->is_json, type);
}

int
examine_identity(void *context, const struct decree_uuid *uuid, const void *blob, uint32_t bytes,
	char *ret_error)
{
	struct examine *e = context;
	struct examine_line *l = &e->line;

	(void)ret_error; /* nothing here stops the examination */
	e->has_identity = identity_decode(blob, bytes, &e->identity) == 0;
	if (!e->has_identity)
		examine_refuse(e, "this log was not made by 'decree format' of this version");
	begin(e, "identity");
	line_hex(l, "uuid", uuid->bytes, sizeof(uuid->bytes));
	if (e->has_identity) {
		char cluster[20];

		(void)snprintf(cluster, sizeof(cluster), "%llx",
			(unsigned long long)e->identity.cluster_id);
		line_word(l, "cluster", cluster);
		line_number(l, "node", e->identity.node_id);
		line_number(l, "shard", e->identity.shard);
		line_number(l, "shards", e->identity.shard_count);
		line_number(l, "groups", e->identity.group_count);
		line_hex(l, "disk", e->identity.disk.bytes, sizeof(e->identity.disk.bytes));
	}
	examine_say(e);
	return 0;
}

static const char *
mode_word(enum decree_log_mode mode)
{
	return mode == DECREE_LOG_MEMORY     ? "memory"
	       : mode == DECREE_LOG_BUFFERED ? "buffered"
					     : "durable";
}

void
examine_log(void *context, const struct wal_log_view *log)
{
	struct examine *e = context;
	struct examine_line *l = &e->line;

	e->counts.first_lsn = log->first_lsn;
	begin(e, "geometry");
	line_number(l, "log_bytes", log->log_bytes);
	line_number(l, "segment_bytes", log->segment_bytes);
	line_number(l, "window_bytes", log->window_bytes);
	line_number(l, "identifiers_bytes", log->identifiers_bytes);
	line_number(l, "payload_bytes_max", log->payload_bytes_max);
	examine_say(e);
	begin(e, "session");
	line_number(l, "number", log->session);
	line_word(l, "mode", mode_word(log->mode));
	if (log->session != 0)
		line_word(l, "machine_restarted_since", log->is_boot_ours ? "no" : "yes");
	line_number(l, "prewritten_bytes", log->prewritten_bytes);
	line_number(l, "begins_at_lsn", log->first_lsn);
	line_number(l, "byte", log->first_offset_bytes);
	if (log->session == 0)
		line_below(l, "no node ever ran on it");
	examine_say(e);
}

/* ------------------------------------------------------------------------------ copies */

static const char *
copy_word(enum page_state state)
{
	static const char *const words[] = { "valid", "bad", "of a newer version", "unreadable" };

	return words[state];
}

void
examine_page(void *context, const struct wal_page_view *page)
{
	struct examine *e = context;
	bool is_bad = page->is_ambiguous;

	for (int i = 0; i < 2; i++) {
		if (page->copies[i].state != PAGE_VALID) {
			e->counts.copies_bad++;
			is_bad = true;
		}
	}
	if (e->x->is_verification && !is_bad)
		return;
	for (int i = 0; i < 2; i++) {
		struct examine_line *l = &e->line;

		begin(e, "page");
		line_word(l, "of", page->name);
		line_number(l, "copy", (uint64_t)i);
		line_word(l, "state", copy_word(page->copies[i].state));
		if (page->copies[i].state == PAGE_VALID)
			line_number(l, "generation", page->copies[i].generation);
		line_word(l, "file", page->file);
		line_number(l, "byte", page->copies[i].offset_bytes);
		if (page->copies[i].state == PAGE_BAD)
			line_below(l, "its checksum is wrong, or it is another log's; with one "
				      "good copy a start writes it again");
		if (page->is_ambiguous)
			line_below(l, "both copies are valid and equally new, but differ");
		examine_say(e);
	}
}

/* ------------------------------------------------------------------------------ hard state */

static void
say_hard(struct examine *e, uint16_t group, bool was_written, const struct eng_hard *hard)
{
	struct examine_line *l = &e->line;

	begin(e, "group");
	line_number(l, "group", group);
	line_ballot(l, "promised", hard->promised);
	line_number(l, "snapshot", hard->snapshot.n);
	if (hard->snapshot.n != 0)
		line_digest(l, "state_digest", hard->snapshot_digest);
	line_word(l, "doubt", hard->doubt ? "yes" : "no");
	if (!was_written)
		line_below(l, "it never promised anything");
	if (hard->doubt)
		line_below(l, "records were lost before, and of which slots is not known: the node "
			      "votes on no leader until it has caught up with the others");
	examine_say(e);
}

/* Groups of this log. */
static uint32_t
group_count(const struct identity *id)
{
	uint32_t count = 0;

	while (id->shard + count * id->shard_count < id->group_count)
		count++;
	return count;
}

int
examine_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct examine *e = context;
	const struct identity *id = &e->identity;
	uint32_t count;
	uint8_t meta[META_BYTES_MAX];

	if (generation == 0 || !e->has_identity)
		return 0; /* no node ever ran on it, or it is not ours to read */
	count = group_count(id);
	if (bytes > sizeof(meta) || !meta_is_valid(blob, bytes, count)) {
		examine_refuse(e, "the hard state was written by another version, or with another "
				  "number of groups");
		return 0;
	}
	memcpy(meta, blob, bytes);
	begin(e, "hardstate");
	line_number(&e->line, "generation", generation);
	line_number(&e->line, "starts", meta_boot_count(meta));
	examine_say(e);
	for (uint32_t i = 0; i < count; i++) {
		uint16_t group = (uint16_t)(id->shard + i * id->shard_count);
		bool was_written = meta_has_hard(meta, i);
		struct eng_hard hard = { 0 };

		if (was_written && eng_hard_decode(meta_hard(meta, i), &hard) != 0)
			examine_refuse(e, "the hard state was written by another version");
		say_hard(e, group, was_written, &hard);
	}
	return 0;
}

/* ------------------------------------------------------------------------------ hearsay */

static void
say_heard(struct examine *e, uint16_t group, const struct eng_hearsay *row)
{
	struct examine_line *l = &e->line;

	begin(e, "heard");
	line_number(l, "group", group);
	line_number(l, "of_node", row->node_id);
	line_number(l, "starts", row->boot_count);
	line_ballot(l, "promised", row->promised);
	line_number(l, "accepted", row->accepted.n);
	line_number(l, "in_start", row->accepted_boot);
	line_number(l, "accepted_before", row->accepted_before.n);
	examine_say(e);
}

void
examine_hearsay(void *context, const void *blob, uint32_t bytes)
{
	struct examine *e = context;
	const struct identity *id = &e->identity;
	uint32_t count = e->has_identity ? group_count(id) : 0;

	if (!e->has_identity || e->x->is_verification)
		return;
	if (!hearsay_is_valid(blob, bytes, count)) {
		begin(e, "hearsay");
		line_word(&e->line, "state", "forgotten");
		line_below(&e->line, "what the node kept of the others' words is damaged; it "
				     "starts without it");
		examine_say(e);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < ENG_HEARSAY_ROW_COUNT_MAX; k++) {
			const uint8_t *rows =
				(const uint8_t *)blob + META_HEADER_BYTES + i * ENG_HEARSAY_BYTES;
			struct eng_hearsay row;

			if (eng_hearsay_decode(rows + k * ENG_HEARSAY_ROW_BYTES, &row) == 0)
				say_heard(e, (uint16_t)(id->shard + i * id->shard_count), &row);
		}
}
