/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the blocks of a log, what is left of the damaged ones and why they are taken for
 * damaged, and how the log ends. */
#include "engine/runtime/examine.h"

#include "base/bytes.h"

#include <inttypes.h>

#define LISTED_COUNT_MAX 20 /* bad identifiers that a verification shows; all are counted */

/* ------------------------------------------------------------------------------ the tag */

static const char *
kind_word(const struct eng_record *r)
{
	return r->kind == ENG_RECORD_ACCEPTED  ? "accepted"
	       : r->kind == ENG_RECORD_DECIDED ? "decided"
					       : "faulty-mark";
}

/* A record of a group that is not of this log cannot be replayed. */
static bool
is_at_home(const struct examine *e, const struct eng_record *r)
{
	return !e->has_identity || (r->group < e->identity.group_count &&
					   r->group % e->identity.shard_count == e->identity.shard);
}

static bool
decode(struct examine *e, const uint8_t *tag, struct eng_record *ret)
{
	if (tag == NULL)
		return false;
	if (eng_record_decode(tag, ret) == 0 && is_at_home(e, ret))
		return true;
	examine_refuse(e, "a record belongs to a group that is not here, or was written by another "
			  "version: compare [cluster] groups and shards with those at format time");
	return false;
}

static void
say_tag(struct examine_line *l, const struct eng_record *r)
{
	line_word(l, "kind", kind_word(r));
	line_number(l, "group", r->group);
	line_number(l, "slot", r->slot.n);
	if (r->vballot.n != 0)
		line_ballot(l, "ballot", r->vballot);
	else
		line_word(l, "ballot", "unknown");
	line_number(l, "bytes", r->bytes);
	line_number(l, "commit", r->commit.n);
	line_digest(l, "digest", r->digest);
}

static const char *
identifier_word(enum wal_identifier_state state)
{
	static const char *const words[] = { "matches", "missing", "bad", "contradicts" };

	return words[state];
}

/* ------------------------------------------------------------------------------ intact blocks */

static bool
has_room(struct examine *e)
{
	if (e->x->block_count_max != 0 && e->shown_count == e->x->block_count_max)
		return false;
	e->shown_count++;
	return true;
}

static bool
is_wanted(struct examine *e, const struct wal_block_view *b, const struct eng_record *r)
{
	bool is_wrong =
		b->identifier == WAL_IDENTIFIER_BAD || b->identifier == WAL_IDENTIFIER_CONTRADICTS;

	if (e->x->is_verification)
		return is_wrong && e->listed_count++ < LISTED_COUNT_MAX;
	if (b->lsn < e->x->from_lsn || (e->x->is_damage_only && !is_wrong))
		return false;
	if (e->x->slot.n != 0 && (r == NULL || r->slot.n != e->x->slot.n))
		return false;
	return has_room(e);
}

static void
count_block(struct examine *e, const struct wal_block_view *b)
{
	struct examine_counts *c = &e->counts;

	c->block_count++;
	c->boot_count += b->kind == BLOCK_BOOT;
	c->last_lsn = b->lsn;
	c->value_bytes += b->kind == BLOCK_RECORD ? b->payload_bytes : 0;
	if (b->identifier == WAL_IDENTIFIER_MISSING) {
		c->identifiers_unwritten++;
		return;
	}
	c->identifiers[WAL_IDENTIFIER_MISSING] += c->identifiers_unwritten;
	c->identifiers_unwritten = 0;
	c->identifiers[b->identifier]++;
}

static void
say_identifier(struct examine_line *l, enum wal_identifier_state state)
{
	line_word(l, "identifier", identifier_word(state));
	if (state == WAL_IDENTIFIER_BAD)
		line_below(l, "the block is intact; its identifier fails its checksum, so that "
			      "nothing would name the block if it were damaged, too");
	if (state == WAL_IDENTIFIER_CONTRADICTS)
		line_below(l, "the block is intact; its identifier says something else of it: one "
			      "of the two was written to a wrong place");
}

int
examine_block(void *context, const struct wal_block_view *b)
{
	struct examine *e = context;
	struct examine_line *l = &e->line;
	struct eng_record record;
	bool is_record = b->kind == BLOCK_RECORD && decode(e, b->tag, &record);

	count_block(e, b);
	if (!is_wanted(e, b, is_record ? &record : NULL))
		return 0;
	line_begin(l, e->x->is_json, "block");
	line_number(l, "lsn", b->lsn);
	line_number(l, "byte", b->offset_bytes);
	line_number(l, "sectors", b->sector_count);
	line_number(l, "generation", b->generation);
	if (b->kind == BLOCK_BOOT) {
		line_word(l, "kind", "boot");
		line_number(l, "cut_from_lsn", load_u64(b->payload));
	} else if (is_record) {
		say_tag(l, &record);
	} else {
		line_word(l, "kind", "unknown");
	}
	line_number(l, "durable", b->durable_lsn);
	if (e->x->are_values_wanted && b->kind == BLOCK_RECORD)
		line_hex(l, "value", b->payload, b->payload_bytes);
	say_identifier(l, b->identifier);
	examine_say(e);
	return 0;
}

/* ------------------------------------------------------------------------------ damaged ones */

static const char *
witness_word(enum wal_witness witness)
{
	static const char *const words[] = { "nothing", "its identifier", "its first sector",
		"its last sector" };

	return words[witness];
}

static const char *
finding_word(enum wal_sector_finding finding)
{
	static const char *const words[] = { "intact", "zero", "rotten", "unreadable", "other",
		"void" };

	return words[finding];
}

static const char *
finding_text(enum wal_sector_finding finding)
{
	static const char *const texts[] = {
		"intact",
		"holds nothing but zeros",
		"fails its checksum",
		"cannot be read: the disk returned an error",
		"is intact, but another record's, or from another place of this one",
		"is intact, but of an earlier session",
	};

	return texts[finding];
}

static void
say_sectors(struct examine_line *l, const struct wal_damage_view *d)
{
	line_list_begin(l, "sectors");
	for (uint32_t i = 0; i < d->sector_count; i++) {
		line_list_item(l);
		line_number(l, "byte", d->sectors[i].offset_bytes);
		line_word(l, "state", finding_word(d->sectors[i].finding));
		if (d->sectors[i].lsn != 0)
			line_number(l, "lsn", d->sectors[i].lsn);
		line_list_item_end(l);
	}
	line_list_end(l);
}

static void
tell_sectors(struct examine_line *l, const struct wal_damage_view *d)
{
	uint64_t total = d->bytes / WAL_SECTOR_BYTES;

	for (uint32_t i = 0; i < d->sector_count; i++) {
		uint64_t lsn = d->sectors[i].lsn;
		bool is_other = d->sectors[i].finding == WAL_SECTOR_OTHER;

		if (is_other && lsn != d->first_lsn)
			line_below(l,
				"sector at byte %" PRIu64 ": is intact, but record %" PRIu64 "'s",
				d->sectors[i].offset_bytes, lsn);
		else
			line_below(l, "sector at byte %" PRIu64 ": %s", d->sectors[i].offset_bytes,
				finding_text(d->sectors[i].finding));
	}
	if (total > d->sector_count)
		line_below(l,
			"of %" PRIu64 " sectors: %" PRIu64 " intact, %" PRIu64 " rotten, %" PRIu64
			" unreadable, %" PRIu64 " zero, %" PRIu64 " of earlier sessions",
			total, d->counts[WAL_SECTOR_INTACT], d->counts[WAL_SECTOR_ROTTEN],
			d->counts[WAL_SECTOR_UNREADABLE], d->counts[WAL_SECTOR_ZERO],
			d->counts[WAL_SECTOR_VOID]);
	else if (d->counts[WAL_SECTOR_INTACT] == total)
		line_below(l, "each sector is intact, but together they are not what belongs here");
}

static void
say_evidence(struct examine_line *l, const struct wal_damage_view *d)
{
	const char *why = d->evidence;

	if (d->witness == WAL_WITNESS_IDENTIFIER && d->evidence == NULL)
		why = "its identifier says that it was durable";
	if (why == NULL)
		return;
	if (l->is_json)
		line_word(l, "evidence", why);
	if (d->evidence_file == NULL)
		line_below(l, "no torn tail: %s", why);
	else
		line_below(l, "no torn tail: %s (file %s, byte %" PRIu64 ")", why, d->evidence_file,
			d->evidence_offset_bytes);
}

/* What has no name may be of the slot that is asked for. */
static bool
is_damage_wanted(struct examine *e, const struct wal_damage_view *d, const struct eng_record *r)
{
	if (e->x->is_verification)
		return true;
	if (d->last_lsn < e->x->from_lsn)
		return false;
	if (e->x->slot.n != 0 && r != NULL && r->slot.n != e->x->slot.n)
		return false;
	return has_room(e);
}

static void
count_damage(struct examine *e, const struct wal_damage_view *d)
{
	if (d->tag == NULL)
		e->counts.nameless_count++;
	else
		e->counts.named_count++;
	if (d->identifier == WAL_IDENTIFIER_BAD)
		e->counts.identifiers[WAL_IDENTIFIER_BAD]++;
	e->counts.last_lsn = d->last_lsn;
}

int
examine_damage(void *context, const struct wal_damage_view *d)
{
	struct examine *e = context;
	struct examine_line *l = &e->line;
	struct eng_record record;
	bool is_record = d->kind == BLOCK_RECORD && decode(e, d->tag, &record);

	count_damage(e, d);
	if (!is_damage_wanted(e, d, is_record ? &record : NULL))
		return 0;
	line_begin(l, e->x->is_json, "damaged");
	line_number(l, "lsn", d->first_lsn);
	if (d->last_lsn != d->first_lsn)
		line_number(l, "to_lsn", d->last_lsn);
	line_number(l, "byte", d->offset_bytes);
	line_number(l, "sectors", d->bytes / WAL_SECTOR_BYTES);
	if (is_record)
		say_tag(l, &record);
	else
		line_word(l, "kind", d->kind == BLOCK_BOOT ? "boot" : "unknown");
	line_word(l, "named_by", witness_word(d->witness));
	line_word(l, "identifier", identifier_word(d->identifier));
	if (l->is_json)
		say_sectors(l, d);
	else
		tell_sectors(l, d);
	say_evidence(l, d);
	if (d->tag == NULL)
		line_below(l, "nothing says which slots were here: the node would vote on no "
			      "leader until it has caught up with the others");
	examine_say(e);
	return 0;
}

/* ------------------------------------------------------------------------------ the end */

void
examine_end(void *context, const struct wal_end_view *end)
{
	static const char *const words[] = { "clean", "torn", "sealed", "lossy" };
	struct examine *e = context;
	struct examine_line *l = &e->line;

	e->counts.end = *end;
	if (e->x->is_verification && end->kind == WAL_END_CLEAN)
		return;
	line_begin(l, e->x->is_json, "end");
	line_word(l, "state", words[end->kind]);
	line_number(l, "next_lsn", end->next_lsn);
	line_number(l, "byte", end->offset_bytes);
	if (end->kind == WAL_END_TORN) {
		line_number(l, "cut_to_lsn", end->torn_last_lsn);
		line_number(l, "cut_bytes", end->torn_bytes);
		line_below(l, "an append that was never acknowledged to anybody: a start would cut "
			      "it off");
	}
	if (end->kind == WAL_END_SEALED)
		line_below(l, "the last records are damaged, and how many they were is not known: "
			      "a start would go on behind all that is left of them");
	if (end->kind == WAL_END_LOSSY)
		line_below(l, "the machine was restarted under a log that is never flushed: how "
			      "much was behind this cannot be told");
	examine_say(e);
}
